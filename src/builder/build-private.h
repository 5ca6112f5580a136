/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps of a build and what they hand on. */
#pragma once

#include <glib.h>
#include <guestfs.h>
#include <stdbool.h>
#include "image/manifest.h"
#include "config/recipe.h"
#include "image/store.h"
#include "vm/session.h"

typedef struct {
    TbRecipe *recipe;
    char *digest;  /* of recipe and inputs */
    char *staging; /* absolute; becomes the image */
    char *work;    /* absolute; within staging, removed at the end */

    char *guest, *guest_digest; /* the guest program */
    char *unit, *unit_digest;   /* its systemd unit */

    GPtrArray *sources; /* bootstrap: lines of package sources */
    char *tar;          /* bootstrap: the root file system, in the cache */
    int tar_lock;       /* keeps the cached file while it is used */
    char *cloud;        /* cloud image: local file */
    char *cloud_digest; /* hex */
    const TbRecipeImage *cloud_entry;
    TbImage *base;      /* layer: what it lies on, open */
    char *base_sum;     /* layer: SHA-256 of its disk, hex */
    const char **bases; /* layer: the disks it lies on, nearest first; NULL-terminated */

    char *cmdline;
    bool own_initrd;
    char *kernel_release, *filesystems; /* what the booted image said */
    GPtrArray *packages;                /* "NAME VERSION" */
    GPtrArray *hosts;                   /* of TbImageHost *: of its package managers */
} TbBuild;

void tb_build_free(TbBuild *build);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbBuild, tb_build_free)

/* layer-build.c: opens what the recipe's image is to lie on, built first where a recipe says how
 * and it is not there; the recipe takes from it what it does not say. `above` holds the paths of
 * the recipes that are being built for each other. Nothing to do for other recipes. */
bool tb_build_open_base(TbBuild *build, const GPtrArray *above, GError **error);
/* layer-build.c: whether a layer on `name` lies on what a recipe makes, not on an image that is
 * there by that name. */
bool tb_build_has_recipe(const char *name);
/* layer-build.c: disk, kernel and initrd in staging; the command line. */
bool tb_build_layer(TbBuild *build, GError **error);
/* build.c: tb_image_build for the sake of another recipe. */
TbImage *tb_image_build_below(const char *recipe, const GPtrArray *above, GError **error);

/* inputs.c: finds guest program, unit, package sources; computes the digest. */
bool tb_build_inputs(TbBuild *build, GError **error);

/* fetch.c: the recipe's cloud image as a local file (downloaded to the cache when need be) and its
 * digest; a file that is not what the recipe names is refused before anything parses it. */
bool tb_build_fetch(TbBuild *build, GError **error);
/* Whether `path` still has the digest. */
bool tb_check_digest(const char *path, const char *hex, GError **error);

/* bootstrap.c: the root file system as a tar file in the cache. */
bool tb_build_bootstrap(TbBuild *build, GError **error);

/* appliance.c: libguestfs, launched with this disk. */
guestfs_h *tb_appliance_launch(const TbBuild *build, const char *disk, GError **error);
/* TB_ERROR_IMAGE "cannot WHAT: last error". Returns false. */
bool tb_error_set_guestfs(GError **error, guestfs_h *g, const char *what);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(guestfs_h, guestfs_close)

/* disk.c: disk, kernel and initrd in staging; the command line. */
bool tb_build_disk(TbBuild *build, GError **error);
/* inject.c: the guest program and what makes an installed system a box. */
bool tb_build_inject(TbBuild *build, guestfs_h *g, GError **error);
/* initrd.c: our initramfs from the image's modules; *made = false: they do not suffice. */
bool tb_build_initrd(TbBuild *build, guestfs_h *g, const char *release, const char *root_type,
                     bool *made, GError **error);

/* provision.c: boots the disk once, does what the recipe says in it, seals it. */
bool tb_build_provision(TbBuild *build, GError **error);
/* steps.c: packages, files and scripts of the recipe. */
bool tb_build_steps(const TbBuild *build, TbSession *session, GError **error);
