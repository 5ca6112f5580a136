/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A recipe: YAML that says how a golden image is made. docs/recipes.md is its reference. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* How the project gets in: as a read-only disk image of its own, or as a 9p share. */
typedef enum { TB_MOUNT_IMAGE, TB_MOUNT_9P } TbMountType;
const char *tb_mount_type_name(TbMountType type); /* "image", "9p" */

typedef struct {
    char *location; /* path, file:// or https:// */
    char *arch;     /* "x86_64", "aarch64"; NULL: the host's */
    char *digest;   /* "sha256:HEX" or NULL */
} TbRecipeImage;

typedef struct {
    bool user; /* mode: user; else system (root) */
    char *script;
} TbProvision;

typedef struct {
    char *path;        /* the file */
    char *name;        /* its base name without .yaml: the image's name */
    GPtrArray *images; /* of TbRecipeImage *; empty with a bootstrap */
    char *suite;       /* bootstrap; NULL with images */
    char **packages;   /* bootstrap; never NULL */
    unsigned cpus;     /* defaults are filled in */
    uint64_t memory;   /* bytes */
    uint64_t disk;     /* bytes, virtual size */
    TbMountType mount_type;
    GPtrArray *provision; /* of TbProvision *, in order; the installation of agents comes last */
    GPtrArray *agents;    /* while it is read: those installations */
} TbRecipe;

/* The file of a recipe: a path (anything with a slash or ending in .yaml or .yml), else a name that
 * is looked for in tb_path_config ()/images and in the shipped recipes. g_free. */
char *tb_recipe_find(const char *name, GError **error);
/* Finds, reads and checks a recipe. */
TbRecipe *tb_recipe_load(const char *name, GError **error);
/* The same from a text; `path` stands in the messages, relative locations start at its folder. */
TbRecipe *tb_recipe_parse(const char *path, const void *data, size_t length, GError **error);
void tb_recipe_free(TbRecipe *recipe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbRecipe, tb_recipe_free)

/* The first entry of `images` for this host; NULL with error when there is none. */
const TbRecipeImage *tb_recipe_image(const TbRecipe *recipe, GError **error);
/* This host's architecture as uname(2) says it. */
const char *tb_host_arch(void);

/* A canonical text of all that decides what the image holds. It does not depend on the file's
 * place, comments or the order of keys. g_free. */
char *tb_recipe_canonical(const TbRecipe *recipe);

/* Letters, digits, '.', '_', '-'; starts with a letter or digit; at most 64. */
bool tb_image_name_valid(const char *name);
