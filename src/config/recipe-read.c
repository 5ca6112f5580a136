/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keys of a recipe. They are Lima's where Lima has one, so that its users find their way, and a
 * template of theirs can be taken as it is: what it has besides and what would change the image is
 * refused by name; the rest, which is about how Lima runs a machine, is left out with a warning.
 */
#include <string.h>
#include <unistd.h>
#include "config/profile.h"
#include "config/recipe-private.h"
#include "util/error.h"

#define GIB      (1024ULL * 1024 * 1024)
#define MIB      (1024ULL * 1024)
#define DISK_MIN (1 * GIB)
#define DISK_MAX (16 * 1024 * GIB)
#define MEM_MIN  (256 * MIB)
#define CPUS_MAX 255

void recipe_image_free(void *data)
{
    TbRecipeImage *image = data;
    g_free(image->location);
    g_free(image->arch);
    g_free(image->digest);
    g_free(image);
}

void recipe_provision_free(void *data)
{
    TbProvision *provision = data;
    g_free(provision->script);
    g_free(provision);
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
    /* Those that Lima has, too; a template lists an image for each. */
    static const char *const words[] = {"x86_64",  "aarch64", "armv7l", "ppc64le",
                                        "riscv64", "s390x",   NULL};
    unsigned index = 0;
    if (!tb_yaml_word(yaml, node, words, &index, error))
        return false;
    char **arch = field;
    g_free(*arch);
    *arch = g_strdup(words[index]);
    return true;
}

/* Of the whole recipe. */
static bool read_only_arch(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return g_str_equal(scalar(node), "default") || read_arch(yaml, node, field, error);
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
    if (g_str_equal(text, "reverse-sshfs"))
        return tb_yaml_error(yaml, node, error,
                             "mountType '%s' is not supported by taskbox (use 'image', 'virtiofs' "
                             "or '9p')",
                             text);
    return tb_yaml_mount(yaml, node, field, error);
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
    return tb_yaml_either(yaml, node, "system", "user", field, error);
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

/* Ends in a command line of mmdebstrap: nothing but what such names are made of. */
static bool read_suite(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *text = scalar(node);
    if (!g_ascii_isalnum(*text) ||
        strspn(text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS ".-") != strlen(text))
        return tb_yaml_error(yaml, node, error, "bad suite (such as 'bookworm' or 'noble')");
    return tb_yaml_string(yaml, node, field, error);
}

static bool read_bootstrap(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    static const TbYamlKey keys[] = {
        {"suite", YAML_SCALAR_NODE, read_suite, offsetof(TbRecipe, suite)},
        {"packages", YAML_SEQUENCE_NODE, recipe_read_packages, offsetof(TbRecipe, packages)},
        {0},
    };
    TbRecipe *recipe = field;
    if (!tb_yaml_map(yaml, node, keys, recipe, error))
        return false;
    return recipe->suite || tb_yaml_error(yaml, node, error, "'suite' is missing");
}

bool tb_recipe_shape_good(unsigned cpus, uint64_t memory, uint64_t disk)
{
    return cpus >= 1 && cpus <= CPUS_MAX && memory >= MEM_MIN && memory <= INT64_MAX &&
           disk >= DISK_MIN && disk <= DISK_MAX;
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

static bool read_from(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    if (!tb_image_name_valid(scalar(node)))
        return tb_yaml_error(yaml, node, error,
                             "bad name of an image (the name of a recipe or of an image; no path)");
    return tb_yaml_string(yaml, node, field, error);
}

static bool refuse_base(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_error(yaml, node, error,
                         "Lima's 'base' is not supported by taskbox (put the template's keys here; "
                         "to build on an image of taskbox's say 'from: NAME')");
}

#define LIMA(key, why)                                                                             \
    {                                                                                              \
        key, YAML_NO_NODE, NULL, offsetof(TbRecipe, ignored), why                                  \
    }

/* 'bootstrap' fills fields of the recipe itself: offset 0. The second half is what Lima's templates
 * have besides: nothing of it changes what is in the image. */
static const TbYamlKey recipe_keys[] = {
    {"images", YAML_SEQUENCE_NODE, read_images, offsetof(TbRecipe, images)},
    {"bootstrap", YAML_MAPPING_NODE, read_bootstrap, 0},
    {"from", YAML_SCALAR_NODE, read_from, offsetof(TbRecipe, from)},
    {"arch", YAML_SCALAR_NODE, read_only_arch, offsetof(TbRecipe, arch)},
    {"cpus", YAML_SCALAR_NODE, read_cpus, offsetof(TbRecipe, cpus)},
    {"memory", YAML_SCALAR_NODE, read_memory, offsetof(TbRecipe, memory)},
    {"disk", YAML_SCALAR_NODE, read_disk, offsetof(TbRecipe, disk)},
    {"mountType", YAML_SCALAR_NODE, read_mount_type, offsetof(TbRecipe, mount_type)},
    {"env", YAML_MAPPING_NODE, tb_yaml_env, offsetof(TbRecipe, env)},
    {"packages", YAML_SEQUENCE_NODE, recipe_read_packages, offsetof(TbRecipe, install)},
    {"files", YAML_SEQUENCE_NODE, recipe_read_files, offsetof(TbRecipe, files)},
    {"provision", YAML_SEQUENCE_NODE, read_provision, offsetof(TbRecipe, provision)},
    {"agents", YAML_SEQUENCE_NODE, read_agents, offsetof(TbRecipe, agents)},
    {"warm", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbRecipe, warm)},
    {"base", YAML_NO_NODE, refuse_base, 0, "it is refused"},
    LIMA("minimumLimaVersion", "taskbox is not Lima"),
    LIMA("vmType", "a box is always QEMU's"),
    LIMA("vmOpts", "a box is always QEMU's"),
    LIMA("os", "a box is always Linux"),
    LIMA("cpuType", "taskbox chooses it"),
    LIMA("mounts", "a box sees the project and nothing else of this machine"),
    LIMA("mountTypesUnsupported", "there is only the project to mount"),
    LIMA("mountInotify", "there is only the project to mount"),
    LIMA("additionalDisks", "a box has one disk ('disk' is its size)"),
    LIMA("ssh", "boxes are not reached by ssh ('taskbox shell', 'taskbox exec')"),
    LIMA("firmware", "boxes are started without one"),
    LIMA("audio", "boxes have none"),
    LIMA("video", "boxes have none"),
    LIMA("upgradePackages", "a script can do it"),
    LIMA("containerd", "nothing is installed that the recipe does not install"),
    LIMA("guestInstallPrefix", "the guest program is taskbox's own"),
    LIMA("probes", "a script that fails fails the build"),
    LIMA("hostResolver", "boxes have no name service (docs/network.md)"),
    LIMA("useHostResolver", "boxes have no name service (docs/network.md)"),
    LIMA("dns", "boxes have no name service (docs/network.md)"),
    LIMA("message", "there is nothing to say it at"),
    LIMA("networks", "boxes have no network card (docs/network.md)"),
    LIMA("network", "boxes have no network card (docs/network.md)"),
    LIMA("portForwards", "boxes have no network card (docs/network.md)"),
    LIMA("copyToHost", "only a patch leaves a box ('taskbox cp' while it runs)"),
    LIMA("param", "scripts do not see it ('env' they do)"),
    LIMA("propagateProxyEnv", "nothing of this machine's environment gets in"),
    LIMA("caCerts", "scripts trust what this machine trusts, boxes what the image does"),
    LIMA("rosetta", "it is for another system"),
    LIMA("timezone", "a script can set it"),
    LIMA("nestedVirtualization", "boxes have none"),
    LIMA("user", "the task's user is 'agent', with the project owner's number"),
    LIMA("plain", "nothing of Lima's is in a box"),
    {0},
};

static void fill_defaults(TbRecipe *recipe)
{
    uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (!recipe->env)
        recipe->env = g_new0(char *, 1);
    if (!recipe->install)
        recipe->install = g_new0(char *, 1);
    if (!recipe->warm)
        recipe->warm = g_new0(char *, 1);
    if (!recipe->packages)
        recipe->packages = g_new0(char *, 1);
    if (recipe->from)
        return;
    if (recipe->mount_type == TB_MOUNT_UNSAID)
        recipe->mount_type = TB_MOUNT_IMAGE;
    if (!recipe->cpus)
        recipe->cpus = online >= 2 ? 2 : 1;
    if (!recipe->memory)
        recipe->memory = MAX(MIN(2 * GIB, ram / 2 / MIB * MIB), MEM_MIN);
    if (!recipe->disk)
        recipe->disk = 20 * GIB;
}

/* mmdebstrap installs them on this machine, which is quicker than to do it in the box. */
static void join_packages(TbRecipe *recipe)
{
    if (!recipe->suite || !recipe->install[0])
        return;
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    for (char **name = recipe->packages; *name; name++)
        g_ptr_array_add(all, *name);
    for (char **name = recipe->install; *name; name++)
        g_ptr_array_add(all, *name);
    g_ptr_array_add(all, NULL);
    g_free(recipe->packages);
    recipe->packages = (char **)g_ptr_array_steal(all, NULL);
    recipe->install[0] = NULL; /* the names have moved */
}

/* Where the root file system comes from is said once. */
static bool check_sources(TbYaml *yaml, const TbRecipe *recipe, GError **error)
{
    unsigned count = (recipe->images->len > 0) + !!recipe->suite + !!recipe->from;
    return count == 1 ||
           tb_yaml_error(yaml, tb_yaml_root(yaml), error,
                         count ? "more than one of 'images', 'bootstrap' and 'from' is given (one "
                                 "says where the root file system comes from)"
                               : "none of 'images', 'bootstrap' and 'from' is given (one says "
                                 "where the root file system comes from)");
}

/* It goes with every command. */
static bool check_env(TbYaml *yaml, const TbRecipe *recipe, GError **error)
{
    size_t length = 0;
    for (char **variable = recipe->env; variable && *variable; variable++)
        length += strlen(*variable) + 1;
    return length <= TB_ENV_LIMIT ||
           tb_yaml_error(yaml, tb_yaml_root(yaml), error, "'env' is too long (%d KiB at most)",
                         TB_ENV_LIMIT / 1024);
}

bool recipe_read(TbYaml *yaml, TbRecipe *recipe, GError **error)
{
    if (!tb_yaml_map(yaml, tb_yaml_root(yaml), recipe_keys, recipe, error) ||
        !check_sources(yaml, recipe, error) || !check_env(yaml, recipe, error))
        return false;
    g_ptr_array_extend_and_steal(recipe->provision, g_steal_pointer(&recipe->agents));
    recipe->agents = g_ptr_array_new();
    fill_defaults(recipe);
    join_packages(recipe);
    return true;
}
