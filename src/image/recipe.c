/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recipes. The keys are Lima's where Lima has one, so that its users find their way; what Lima can
 * and we cannot is refused by name, not ignored.
 *
 * tb_recipe_canonical decides what counts as the same recipe: only what reaches the image's bytes
 * or the manifest.
 */
#include "image/recipe.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "config/profile.h"
#include "config/yaml.h"
#include "util/error.h"
#include "util/paths.h"

#define GIB      (1024ULL * 1024 * 1024)
#define MIB      (1024ULL * 1024)
#define DISK_MIN (1 * GIB)
#define DISK_MAX (16 * 1024 * GIB)
#define MEM_MIN  (256 * MIB)
#define CPUS_MAX 255

const char *tb_mount_type_name(TbMountType type)
{
    return type == TB_MOUNT_9P ? "9p" : "image";
}

static void image_free(void *data)
{
    TbRecipeImage *image = data;
    g_free(image->location);
    g_free(image->arch);
    g_free(image->digest);
    g_free(image);
}

static void provision_free(void *data)
{
    TbProvision *provision = data;
    g_free(provision->script);
    g_free(provision);
}

void tb_recipe_free(TbRecipe *recipe)
{
    if (!recipe)
        return;
    g_free(recipe->path);
    g_free(recipe->name);
    g_free(recipe->suite);
    g_strfreev(recipe->packages);
    g_ptr_array_unref(recipe->images);
    g_ptr_array_unref(recipe->provision);
    g_ptr_array_unref(recipe->agents);
    g_free(recipe);
}

const char *tb_host_arch(void)
{
    static struct utsname host;
    if (!host.machine[0])
        uname(&host);
    return host.machine;
}

bool tb_image_name_valid(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= 64 && g_ascii_isalnum(name[0]) &&
           strspn(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-") == length;
}

static const char *scalar(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static bool read_digest(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *text = scalar(node);
    const char *hex = text + strlen("sha256:");
    if (!g_str_has_prefix(text, "sha256:") || strlen(hex) != 64 ||
        strspn(hex, "0123456789abcdefABCDEF") != 64)
        return tb_yaml_error(yaml, node, error,
                             "bad digest (must be 'sha256:' and 64 hexadecimal digits)");
    char **digest = field;
    g_free(*digest);
    *digest = g_ascii_strdown(text, -1);
    return true;
}

static bool read_arch(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    static const char *const words[] = {"x86_64", "aarch64", NULL};
    unsigned index = 0;
    if (!tb_yaml_word(yaml, node, words, &index, error))
        return false;
    char **arch = field;
    g_free(*arch);
    *arch = g_strdup(words[index]);
    return true;
}

static bool read_location(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *text = scalar(node);
    const char *scheme_end = strstr(text, "://");
    if (scheme_end && !g_str_has_prefix(text, "https://") && !g_str_has_prefix(text, "file:///"))
        return tb_yaml_error(yaml, node, error,
                             "unsupported location (must be https://, file:/// or a path)");
    return tb_yaml_string(yaml, node, field, error);
}

static bool read_mount_type(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *text = scalar(node);
    if (g_str_equal(text, "virtiofs") || g_str_equal(text, "reverse-sshfs"))
        return tb_yaml_error(yaml, node, error,
                             "mountType '%s' is not supported by taskbox (use 'image' or '9p')",
                             text);
    static const char *const words[] = {"image", "9p", NULL};
    unsigned index = 0;
    if (!tb_yaml_word(yaml, node, words, &index, error))
        return false;
    *(TbMountType *)field = index == 1 ? TB_MOUNT_9P : TB_MOUNT_IMAGE;
    return true;
}

static const TbYamlKey image_keys[] = {
    {"location", YAML_SCALAR_NODE, read_location, offsetof(TbRecipeImage, location)},
    {"arch", YAML_SCALAR_NODE, read_arch, offsetof(TbRecipeImage, arch)},
    {"digest", YAML_SCALAR_NODE, read_digest, offsetof(TbRecipeImage, digest)},
    {0},
};

static bool read_image(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    TbRecipeImage *image = g_new0(TbRecipeImage, 1);
    g_ptr_array_add(*(GPtrArray **)field, image);
    if (!tb_yaml_map(yaml, node, image_keys, image, error))
        return false;
    return image->location || tb_yaml_error(yaml, node, error, "'location' is missing");
}

static bool read_images(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_each(yaml, node, YAML_MAPPING_NODE, read_image, field, error);
}

static bool read_mode(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    static const char *const lima[] = {"boot", "dependency", "ansible", "data", "yq", NULL};
    if (g_strv_contains(lima, scalar(node)))
        return tb_yaml_error(yaml, node, error,
                             "mode '%s' is not supported by taskbox (use 'system' or 'user')",
                             scalar(node));
    static const char *const words[] = {"system", "user", NULL};
    unsigned index = 0;
    if (!tb_yaml_word(yaml, node, words, &index, error))
        return false;
    *(bool *)field = index == 1;
    return true;
}

static const TbYamlKey provision_keys[] = {
    {"mode", YAML_SCALAR_NODE, read_mode, offsetof(TbProvision, user)},
    {"script", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbProvision, script)},
    {0},
};

static bool read_step(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    TbProvision *step = g_new0(TbProvision, 1);
    g_ptr_array_add(*(GPtrArray **)field, step);
    if (!tb_yaml_map(yaml, node, provision_keys, step, error))
        return false;
    return step->script || tb_yaml_error(yaml, node, error, "'script' is missing");
}

static bool read_provision(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_each(yaml, node, YAML_MAPPING_NODE, read_step, field, error);
}

/* Both end in command lines of mmdebstrap: nothing but what such names are made of. */
static bool read_suite(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *text = scalar(node);
    if (!g_ascii_isalnum(*text) ||
        strspn(text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS ".-") != strlen(text))
        return tb_yaml_error(yaml, node, error, "bad suite (such as 'bookworm' or 'noble')");
    return tb_yaml_string(yaml, node, field, error);
}

static bool check_package(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *text = scalar(node);
    if (!g_ascii_isalnum(*text) || strspn(text, G_CSET_a_2_z G_CSET_DIGITS "+.-:") != strlen(text))
        return tb_yaml_error(yaml, node, error, "bad package name (small letters, digits, '+.-')");
    return true;
}

static bool read_packages(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_each(yaml, node, YAML_SCALAR_NODE, check_package, NULL, error) &&
           tb_yaml_string_list(yaml, node, field, error);
}

static bool read_bootstrap(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    static const TbYamlKey keys[] = {
        {"suite", YAML_SCALAR_NODE, read_suite, offsetof(TbRecipe, suite)},
        {"packages", YAML_SEQUENCE_NODE, read_packages, offsetof(TbRecipe, packages)},
        {0},
    };
    TbRecipe *recipe = field;
    if (!tb_yaml_map(yaml, node, keys, recipe, error))
        return false;
    return recipe->suite || tb_yaml_error(yaml, node, error, "'suite' is missing");
}

static bool read_cpus(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    if (!tb_yaml_count(yaml, node, field, error))
        return false;
    return *(unsigned *)field <= CPUS_MAX ||
           tb_yaml_error(yaml, node, error, "too many cpus (at most %d)", CPUS_MAX);
}

static bool read_memory(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    if (!tb_yaml_size(yaml, node, field, error))
        return false;
    return *(uint64_t *)field >= MEM_MIN ||
           tb_yaml_error(yaml, node, error, "too little memory (at least 256MiB)");
}

static bool read_disk(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    if (!tb_yaml_size(yaml, node, field, error))
        return false;
    uint64_t *disk = field;
    if (*disk < DISK_MIN || *disk > DISK_MAX)
        return tb_yaml_error(yaml, node, error, "bad disk size (1GiB to 16TiB)");
    *disk = (*disk + MIB - 1) / MIB * MIB; /* partition tools want whole MiB */
    return true;
}

/* An agent's profile says how it is installed: one script more, after those of the recipe. */
static bool add_agent(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(TbAgent) agent = tb_profile_find(scalar(node), &why);
    if (!agent)
        return tb_yaml_error(yaml, node, error, "%s", why->message);
    if (!agent->install)
        return tb_yaml_error(yaml, node, error, "the profile of '%s' has no 'install'",
                             scalar(node));
    TbProvision *step = g_new0(TbProvision, 1);
    step->script = g_strdup(agent->install);
    g_ptr_array_add(*(GPtrArray **)field, step);
    return true;
}

static bool read_agents(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_each(yaml, node, YAML_SCALAR_NODE, add_agent, field, error);
}

/* 'bootstrap' fills fields of the recipe itself: offset 0. */
static const TbYamlKey recipe_keys[] = {
    {"images", YAML_SEQUENCE_NODE, read_images, offsetof(TbRecipe, images)},
    {"bootstrap", YAML_MAPPING_NODE, read_bootstrap, 0},
    {"cpus", YAML_SCALAR_NODE, read_cpus, offsetof(TbRecipe, cpus)},
    {"memory", YAML_SCALAR_NODE, read_memory, offsetof(TbRecipe, memory)},
    {"disk", YAML_SCALAR_NODE, read_disk, offsetof(TbRecipe, disk)},
    {"mountType", YAML_SCALAR_NODE, read_mount_type, offsetof(TbRecipe, mount_type)},
    {"provision", YAML_SEQUENCE_NODE, read_provision, offsetof(TbRecipe, provision)},
    {"agents", YAML_SEQUENCE_NODE, read_agents, offsetof(TbRecipe, agents)},
    {0},
};

static void fill_defaults(TbRecipe *recipe)
{
    uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (!recipe->cpus)
        recipe->cpus = online >= 2 ? 2 : 1;
    if (!recipe->memory)
        recipe->memory = MAX(MIN(2 * GIB, ram / 2 / MIB * MIB), MEM_MIN);
    if (!recipe->disk)
        recipe->disk = 20 * GIB;
    if (!recipe->packages)
        recipe->packages = g_new0(char *, 1);
}

static TbRecipe *recipe_new(const char *path, GError **error)
{
    g_autoptr(TbRecipe) recipe = g_new0(TbRecipe, 1);
    recipe->images = g_ptr_array_new_with_free_func(image_free);
    recipe->provision = g_ptr_array_new_with_free_func(provision_free);
    recipe->agents = g_ptr_array_new_with_free_func(provision_free);
    recipe->path = g_strdup(path);
    recipe->name = g_path_get_basename(path);
    char *dot = strrchr(recipe->name, '.');
    if (dot && (g_str_equal(dot, ".yaml") || g_str_equal(dot, ".yml")))
        *dot = '\0';
    if (tb_image_name_valid(recipe->name))
        return g_steal_pointer(&recipe);
    tb_error_set(error, TB_ERROR_CONFIG,
                 "cannot name an image after recipe '%s': a name has letters, digits and '._-', 64 "
                 "at most (rename the file)",
                 path);
    return NULL;
}

static TbRecipe *from_yaml(const char *path, TbYaml *yaml, GError **error)
{
    g_autoptr(TbRecipe) recipe = recipe_new(path, error);
    if (!recipe || !tb_yaml_map(yaml, tb_yaml_root(yaml), recipe_keys, recipe, error))
        return NULL;
    if (recipe->images->len > 0 && recipe->suite) {
        tb_yaml_error(
            yaml, tb_yaml_root(yaml), error,
            "both 'images' and 'bootstrap' are given (one says where the root file system "
            "comes from)");
        return NULL;
    }
    if (recipe->images->len == 0 && !recipe->suite) {
        tb_yaml_error(yaml, tb_yaml_root(yaml), error,
                      "neither 'images' nor 'bootstrap' is given (one says where the root file "
                      "system comes from)");
        return NULL;
    }
    g_ptr_array_extend_and_steal(recipe->provision, g_steal_pointer(&recipe->agents));
    recipe->agents = g_ptr_array_new();
    fill_defaults(recipe);
    return g_steal_pointer(&recipe);
}

TbRecipe *tb_recipe_parse(const char *path, const void *data, size_t length, GError **error)
{
    g_autoptr(TbYaml) yaml = tb_yaml_parse(path, data, length, error);
    return yaml ? from_yaml(path, yaml, error) : NULL;
}

char *tb_recipe_find(const char *name, GError **error)
{
    if (strchr(name, '/') || g_str_has_suffix(name, ".yaml") || g_str_has_suffix(name, ".yml"))
        return g_canonicalize_filename(name, NULL);
    g_autofree char *file = g_strconcat(name, ".yaml", NULL);
    g_autofree char *config = tb_path_config();
    g_autofree char *own = g_build_filename(config, "images", file, NULL);
    if (g_file_test(own, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&own);
    g_autofree char *dir = tb_path_recipes(error);
    if (!dir)
        return NULL;
    g_autofree char *shipped = g_build_filename(dir, file, NULL);
    if (g_file_test(shipped, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&shipped);
    tb_error_set(error, TB_ERROR_NOT_FOUND,
                 "no recipe '%s' in %s/images or %s (give a path to use another file)", name,
                 config, dir);
    return NULL;
}

TbRecipe *tb_recipe_load(const char *name, GError **error)
{
    g_autofree char *path = tb_recipe_find(name, error);
    if (!path)
        return NULL;
    g_autoptr(TbYaml) yaml = tb_yaml_load(path, error);
    return yaml ? from_yaml(path, yaml, error) : NULL;
}

const TbRecipeImage *tb_recipe_image(const TbRecipe *recipe, GError **error)
{
    for (unsigned i = 0; i < recipe->images->len; i++) {
        const TbRecipeImage *image = g_ptr_array_index(recipe->images, i);
        if (!image->arch || g_str_equal(image->arch, tb_host_arch()))
            return image;
    }
    tb_error_set(error, TB_ERROR_UNSUPPORTED, "recipe '%s' has no image for this host's '%s'",
                 recipe->path, tb_host_arch());
    return NULL;
}

/* Lengths before texts: no two recipes have the same canonical form. */
static void add_text(GString *out, const char *key, const char *text)
{
    g_string_append_printf(out, "%s %zu:%s\n", key, strlen(text), text);
}

char *tb_recipe_canonical(const TbRecipe *recipe)
{
    GString *out = g_string_new("taskbox recipe\n");
    g_string_append_printf(
        out, "cpus %u\nmemory %" G_GUINT64_FORMAT "\ndisk %" G_GUINT64_FORMAT "\nmount %s\n",
        recipe->cpus, recipe->memory, recipe->disk, tb_mount_type_name(recipe->mount_type));
    if (recipe->suite)
        add_text(out, "suite", recipe->suite);
    for (char **package = recipe->packages; *package; package++)
        add_text(out, "package", *package);
    for (unsigned i = 0; i < recipe->provision->len; i++) {
        const TbProvision *step = g_ptr_array_index(recipe->provision, i);
        add_text(out, step->user ? "user" : "system", step->script);
    }
    return g_string_free(out, FALSE);
}
