/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store of golden images:
 *
 *     images/<digest>/{disk.qcow2,kernel,initrd,manifest.json}   0444 in a 0555 directory
 *     names/<NAME>            the digest that a name means
 *     locks/<digest>          flock: shared by users, exclusive to remove
 *     locks/build-<digest>    flock: who builds it
 *     images/.staging-<digest>  being built, or left by a build that was killed
 *
 * all under the data directory. An image is never written after its rename into place.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "image/hosts.h"
#include "config/recipe.h"

/* How many images one may lie on. */
#define TB_LAYERS_MAX 4

typedef struct TbImage TbImage;
struct TbImage {
    char *name;   /* the name it was made under */
    char *digest; /* 64 hex digits */
    char *dir;    /* absolute paths */
    char *disk;
    char *kernel;
    char *initrd;
    char *cmdline; /* kernel command line, root= included */
    unsigned cpus; /* what the recipe says */
    uint64_t memory;
    uint64_t disk_size; /* virtual, bytes */
    TbMountType mount_type;
    char *filesystems;    /* "ext4,erofs,squashfs": what its kernel can mount */
    char *kernel_release; /* uname -r */
    char *arch;
    char *taskbox;    /* version that built it */
    int64_t created;  /* seconds since the epoch */
    char **env;       /* "NAME=VALUE", for all commands; never NULL in one that was read */
    char **warm;      /* shell commands to run before a box of it is frozen; likewise */
    bool own_initrd;  /* taskbox's; else the distribution's */
    bool imported;    /* came from a file, not from a recipe */
    uint64_t bytes;   /* on disk */
    GPtrArray *hosts; /* of TbImageHost *, never NULL once its manifest is read */
    int lock;         /* shared lock while open; -1 in lists */

    /* Of a layer; else NULL. Its disk holds only what differs from that image's disk, and that
     * must be the very bytes: a second build of the same recipe has others. */
    char *base_name, *base_digest;
    char *base_sum;     /* SHA-256 of the disk it lies on, hex */
    TbImage *base;      /* of an open image: that one, open */
    const char **bases; /* of an open image: the disks it lies on, nearest first; NULL-terminated */
};

void tb_image_free(TbImage *image); /* gives the lock back */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbImage, tb_image_free)

/* Opens an image by name or unique digest prefix (at least 6 digits) for use: holds a shared lock
 * until it is freed and checks that no file has changed since it was built (by size, inode and
 * ctime, which nobody can forge, against the last full check; a full check when they differ). With
 * a layer so are the images it lies on.
 * TB_ERROR_NOT_FOUND says what to build, TB_ERROR_IMAGE what is damaged. */
TbImage *tb_image_open(const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All images, newest first, not locked and not checked; GPtrArray of TbImage. One whose manifest
 * cannot be read has only digest and dir. `name` is NULL for an image that no name means. */
GPtrArray *tb_image_list(GError **error);
/* The manifest's JSON text. */
char *tb_image_manifest(const char *name, GError **error);
/* Hashes every file and compares with the manifest; names the damaged one. What a layer lies on,
 * too. */
bool tb_image_verify(const char *name, GError **error);
/* Removes a name and the image, when no other name means it. TB_ERROR_BUSY while in use, and while
 * there are layers on it. */
bool tb_image_remove(const char *name, GError **error);

/* Finds what killed builds left and images that no name means; `keep` (may be NULL) is a set of
 * digests still wanted. What these lie on is wanted, too. With `apply` removes them. Returns a
 * GPtrArray of strings that say what. */
GPtrArray *tb_image_gc(bool apply, GHashTable *keep, GError **error);

/* Removes what killed builds and removals left; what cannot be removed is warned of. Cheap; every
 * command starts with it. */
void tb_image_clean(void);
