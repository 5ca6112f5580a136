/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Templates: a golden image, booted once for one shape and frozen, from which boxes are forked.
 *
 *     templates/<key>/{memory,state,disk.qcow2,overlay.qcow2,manifest.json}   0444 in a 0555
 * directory templates/.new-<key>   being made, or left by a taskbox that was killed
 *     templates/.failed-<key>   why it could not be made, for a while
 *     locks/template-<key>   flock: who makes it
 *
 * all under the data directory. The key is a digest of everything that must be the same for a fork
 * to be right; a template with another key is never looked at. Nobody holds a template: who forks
 * has its files open, and removing them takes nothing away from a box that runs.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "image/store.h"
#include "vm/box.h"

/* What a box is to be. */
typedef struct {
    const TbImage *image;
    unsigned cpus;
    uint64_t memory;
    uint64_t disk; /* bytes, virtual */
    TbAccel accel;
    TbMountType mount; /* one of image, 9p, virtiofs */
    uint32_t uid, gid; /* the task's user, if known: not of the key, but a fork for it is quicker */
} TbShape;

typedef struct {
    char *key; /* 64 hex digits */
    char *dir;
    TbBoxTemplate files; /* its paths are these: */
    char *memory_path, *state_path, *disk_path, *overlay_path;
    char *image_name, *image_digest, *accel, *mount, *machine, *taskbox;
    char *seals; /* of its files: no two templates ever have the same */
    unsigned cpus;
    uint64_t memory, disk; /* bytes */
    int64_t created;       /* seconds since the epoch */
    int64_t used;          /* the last fork; seconds since the epoch */
    uint64_t bytes;        /* on disk */
} TbTemplate;

void tb_template_free(TbTemplate *template);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbTemplate, tb_template_free)

/* The part of a box's spec that its shape decides: image, processors, memory, disk. */
void tb_shape_spec(const TbShape *shape, TbBoxSpec *spec);

/*
 * The template of a shape, made when there is none: a boot, once; another taskbox that is at it is
 * waited for. Checks by size, inode and ctime (which nobody can forge) that no file of it has
 * changed since it was made, else drops it, says so and makes it anew. *made (may be NULL) says
 * whether this call made it. An error other than TB_ERROR_INTERRUPTED means: boot instead. A
 * failure is remembered for an hour, unless `retry`.
 */
TbTemplate *tb_template_get(const TbShape *shape, bool retry, bool *made, GError **error);
/* Notes that a box was forked from it just now. */
void tb_template_touch(const TbTemplate *template);

/* All templates, newest first; GPtrArray of TbTemplate. */
GPtrArray *tb_template_list(GError **error);
/* The one whose key begins with `key` (6 digits or more), or of the only template of the image
 * called so. TB_ERROR_NOT_FOUND, TB_ERROR_USAGE when it means several. */
TbTemplate *tb_template_open(const char *name, GError **error);
/* The manifest's JSON text. */
char *tb_template_manifest(const TbTemplate *template, GError **error);
/* Whether this very template is still there and sound. Asked once the box runs: then nothing has
 * come between the check of its files and their use, and no file is another template's. */
bool tb_template_unchanged(const TbTemplate *template, GError **error);
/* Removes it, unless another has taken its place. */
bool tb_template_discard(const TbTemplate *template, GError **error);
/* Removes it; boxes that were forked from it go on. */
bool tb_template_remove(const char *key, GError **error);
/* Removes all that were made of this image. */
bool tb_template_remove_of(const char *image_digest, GError **error);
/* Finds (with `apply` removes) what killed makers left, templates whose image is gone, that were
 * made with another QEMU, libvirt or taskbox, or that nobody has used for `max_age` seconds. Adds a
 * line each to `found`. */
bool tb_template_gc(uint64_t max_age, bool apply, GPtrArray *found, GError **error);
