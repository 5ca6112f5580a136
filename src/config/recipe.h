/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A recipe: YAML that says how a golden image is made. docs/recipes.md is its reference. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/mount.h"

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
    char *path;    /* absolute */
    char *content; /* text */
    unsigned mode; /* permission bits */
    char *owner;   /* "USER" or "USER:GROUP"; NULL: root */
} TbRecipeFile;

typedef struct {
    char *path;        /* the file */
    char *name;        /* its base name without .yaml: the image's name */
    GPtrArray *images; /* of TbRecipeImage *; empty with a bootstrap */
    char *suite;       /* bootstrap; NULL with images */
    char **packages;   /* bootstrap; never NULL */
    char *arch;        /* the only one it is for; NULL: any */
    char *from;        /* name of the image this is a layer on; NULL with the others */
    unsigned cpus;     /* defaults are filled in; of a layer 0, like the three below, until */
    uint64_t memory;   /* bytes                        tb_recipe_inherit */
    uint64_t disk;     /* bytes, virtual size */
    TbMountType mount_type;
    char **env;           /* "NAME=VALUE", for all commands; never NULL */
    char **install;       /* packages for what is there, unless by bootstrap; never NULL */
    GPtrArray *files;     /* of TbRecipeFile *, in order */
    char **warm;          /* shell commands before the freeze; never NULL */
    GPtrArray *provision; /* of TbProvision *, in order; the installation of agents comes last */
    GPtrArray *agents;    /* while it is read: those installations */
    GPtrArray *ignored;   /* of char *: what it says that means nothing here, each with its line */
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

/* Bytes that an image's variables may have, taken together. */
#define TB_ENV_LIMIT (32 * 1024)

/* "A=1" of `above`, then those of `below` whose names are not among them. Either may be NULL.
 * A GStrv, never NULL. */
char **tb_env_join(const char *const *above, const char *const *below);

/* The first entry of `images` for this host; NULL with error when there is none. */
const TbRecipeImage *tb_recipe_image(const TbRecipe *recipe, GError **error);
/* This host's architecture as uname(2) says it. */
const char *tb_host_arch(void);

/* What a layer does not say is as in the image it lies on: fills in cpus, memory, disk, mount type
 * and adds the variables of `env` (of its image) that it does not set itself. */
typedef struct {
    unsigned cpus;
    uint64_t memory, disk;
    TbMountType mount_type;
    char **env;
} TbRecipeDefaults;
void tb_recipe_inherit(TbRecipe *recipe, const TbRecipeDefaults *from);

/* Whether anything is to be done in the booted image, for which it has a network. */
bool tb_recipe_has_steps(const TbRecipe *recipe);

/* A canonical text of all that decides what the image holds, but for what it lies on. It does not
 * depend on the file's place, comments or the order of keys. g_free. */
char *tb_recipe_canonical(const TbRecipe *recipe);

/* Whether a box may be of this shape: what a recipe's cpus, memory and disk are held to. */
bool tb_recipe_shape_good(unsigned cpus, uint64_t memory, uint64_t disk);

/* Letters, digits, '.', '_', '-'; starts with a letter or digit; at most 64. */
bool tb_image_name_valid(const char *name);
