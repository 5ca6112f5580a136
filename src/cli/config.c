/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox config show and explain: which value of a setting holds here, and who says so. The rules
 * are config/layers.h's; a row of the table says how a setting is read from one layer and shown.
 */
#include <json-glib/json-glib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/show.h"
#include "config/layers.h"
#include "project/project.h"
#include "util/error.h"
#include "util/table.h"
#include "util/units.h"

typedef struct {
    TbSettings *user, *all; /* `all` has the other two layers */
} Layers;

static void layers_clear(Layers *layers)
{
    g_clear_pointer(&layers->user, tb_settings_free);
    g_clear_pointer(&layers->all, tb_settings_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Layers, layers_clear)

#define OF_IMAGE "the image's"

/* ---- values; NULL: this layer does not say */

static char *count_text(uint64_t count)
{
    return count ? g_strdup_printf("%" G_GUINT64_FORMAT, count) : NULL;
}

static char *size_text(uint64_t bytes)
{
    return bytes ? tb_size_format(bytes) : NULL;
}

static char *list_text(char *const *list)
{
    return list ? g_strjoinv(", ", (char **)list) : NULL;
}

static char *timeout_text(uint64_t seconds)
{
    return seconds ? tb_duration_format(seconds * 1000) : NULL;
}

static char *history_text(uint64_t commits)
{
    return commits == TB_ALL_COMMITS ? g_strdup("full")
           : commits                 ? g_strdup_printf("%" G_GUINT64_FORMAT, commits)
                                     : g_strdup("none");
}

static char *net_text(uint64_t net)
{
    return g_strdup(tb_net_name((TbNet)net));
}

/* Which and where to, never what. */
static char *secrets_text(const TbSettings *settings)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; settings->secrets && i < settings->secrets->len; i++) {
        const TbSecretSetting *secret = settings->secrets->pdata[i];
        g_autofree char *hosts = g_strjoinv(",", secret->hosts);
        g_string_append_printf(names, "%s%s@%s", i ? ", " : "", secret->name, hosts);
    }
    return names->len ? g_strdup(names->str) : NULL;
}

/* FIRST: the project has a say only where nobody else has. */
typedef enum { HIGHEST, FIRST, LOWEST, LARGEST, USER_ONLY, PROJECT_ONLY } Rule;

#define NUMBER(field)                                                                              \
    static uint64_t number_##field(const TbSettings *settings)                                     \
    {                                                                                              \
        return settings->field;                                                                    \
    }
#define LIMIT(field)                                                                               \
    static uint64_t limit_##field(const TbSettings *settings)                                      \
    {                                                                                              \
        return settings->limits.field;                                                             \
    }
#define TEXT(field, expression)                                                                    \
    static char *text_##field(const TbSettings *settings)                                          \
    {                                                                                              \
        return expression;                                                                         \
    }
NUMBER(cpus)
NUMBER(memory)
NUMBER(disk)
NUMBER(timeout)
NUMBER(net)
NUMBER(require_kvm)
LIMIT(free_space)
LIMIT(log)
LIMIT(changes)
LIMIT(files)
LIMIT(patch)
LIMIT(processes)
LIMIT(requests)
LIMIT(net_bytes)
TEXT(image, g_strdup(settings->image))
TEXT(agent, g_strdup(settings->agent))
TEXT(verify, g_strdup(settings->verify))
TEXT(agents, tb_settings_agent_names(settings))
TEXT(require_kvm, settings->require_kvm ? g_strdup("true") : NULL)
TEXT(keep, settings->has_keep ? g_strdup(tb_keep_name(settings->keep)) : NULL)
TEXT(mount, g_strdup(tb_mount_type_name(settings->mount)))
TEXT(history, settings->has_history ? history_text(settings->history) : NULL)
TEXT(exclude, list_text(settings->exclude))
TEXT(include, list_text(settings->include))
TEXT(allow_hosts, list_text(settings->allow_hosts))
TEXT(only_hosts, list_text(settings->only_hosts))
TEXT(secrets, secrets_text(settings))
TEXT(capacity_cpus, count_text(settings->capacity.cpus))
TEXT(capacity_memory, size_text(settings->capacity.memory))

static uint64_t number_history(const TbSettings *settings)
{
    return settings->has_history ? (uint64_t)settings->history + 1 : 0; /* "none" is a value */
}

typedef struct {
    const char *key;
    Rule rule;
    uint64_t (*number)(const TbSettings *settings); /* with LOWEST and LARGEST: to compare */
    char *(*format)(uint64_t number);
    char *(*text)(const TbSettings *settings); /* instead of number and format, where it is set */
    const char *unset;                         /* what holds when nobody says anything */
    const char *meaning;
} Key;

static const Key keys[] = {
    {"image", HIGHEST, NULL, NULL, text_image, "the agent's, else " TB_DEFAULT_IMAGE,
     "the golden image that boxes are made of"},
    {"cpus", LOWEST, number_cpus, count_text, NULL, OF_IMAGE, "virtual processors of a box"},
    {"memory", LOWEST, number_memory, size_text, NULL, OF_IMAGE, "memory of a box"},
    {"disk", LOWEST, number_disk, size_text, NULL, OF_IMAGE, "disk of a box"},
    {"timeout", LOWEST, number_timeout, timeout_text, NULL, "none",
     "longest time of a task's command"},
    {"keep", HIGHEST, NULL, NULL, text_keep, "never", "which boxes are kept after the task"},
    {"agent", HIGHEST, NULL, NULL, text_agent, "the only one", "the agent that gets a prompt"},
    {"verify", FIRST, NULL, NULL, text_verify, "none", "the shell command that tries a patch"},
    {"agents", USER_ONLY, NULL, NULL, text_agents, "none", "the agents there are"},
    {"net", LOWEST, number_net, net_text, NULL, "none for a command, agent for a prompt",
     "what a box may reach"},
    {"allow_hosts", USER_ONLY, NULL, NULL, text_allow_hosts, "none",
     "hosts that any box with a network may reach"},
    {"only_hosts", PROJECT_ONLY, NULL, NULL, text_only_hosts, "any that is allowed",
     "of the hosts that files allow, those that a project's boxes may reach"},
    {"secrets", USER_ONLY, NULL, NULL, text_secrets, "none",
     "keys that any box with a network may use, and their hosts"},
    {"require_kvm", LARGEST, number_require_kvm, NULL, text_require_kvm, "false",
     "no box by emulation"},
    {"mount", USER_ONLY, NULL, NULL, text_mount, "the image's 'mountType', else image",
     "how the project gets in: image, virtiofs, 9p, or auto"},
    {"history", LOWEST, number_history, NULL, text_history,
     "full, none where a masked file is tracked", "how many commits go into a box"},
    {"exclude", LARGEST, NULL, NULL, text_exclude, "none",
     "what boxes do not see, on top of masks"},
    {"include", USER_ONLY, NULL, NULL, text_include, "none", "what boxes see in spite of masks"},
    {"limits.free-space", LARGEST, limit_free_space, size_text, NULL, "512 MiB and more",
     "what stays free on the host"},
    {"limits.log", LOWEST, limit_log, size_text, NULL, "default", "output that is kept"},
    {"limits.changes", LOWEST, limit_changes, size_text, NULL, "default",
     "new content that comes back"},
    {"limits.files", LOWEST, limit_files, count_text, NULL, "default",
     "changed paths that come back"},
    {"limits.patch", LOWEST, limit_patch, size_text, NULL, "default", "size of the patch file"},
    {"limits.processes", LOWEST, limit_processes, count_text, NULL, "none",
     "processes of the command at once"},
    {"limits.requests", LOWEST, limit_requests, count_text, NULL, "none",
     "requests to the network, in all"},
    {"limits.net-bytes", LOWEST, limit_net_bytes, size_text, NULL, "none",
     "bytes over the network, in all"},
    {"capacity.cpus", USER_ONLY, NULL, NULL, text_capacity_cpus, "by the machine",
     "processors of all boxes at once"},
    {"capacity.memory", USER_ONLY, NULL, NULL, text_capacity_memory, "by the machine",
     "memory of all boxes at once"},
};

static char *value_in(const Key *key, const TbSettings *layer)
{
    if (!layer)
        return NULL;
    return key->text ? key->text(layer) : key->format(key->number(layer));
}

/* ---- which holds */

static bool project_holds(const Key *key, const TbSettings *user, const TbSettings *project)
{
    if (key->rule == FIRST) {
        g_autofree char *by_user = value_in(key, user);
        return !by_user;
    }
    if (!key->number)
        return true;
    uint64_t held = key->number(user), asked = key->number(project);
    if (strcmp(key->key, "net") == 0 && !held)
        held = TB_NET_AGENT;
    return !held || (key->rule == LARGEST ? asked > held : asked < held);
}

/* The layer that decides; NULL: none says anything. *from (g_free) names it. */
static const TbSettings *holder(const Key *key, const Layers *layers, char **from)
{
    const TbSettings *above = layers->all->environment, *project = layers->all->project;
    g_autofree char *by_env = value_in(key, above), *by_project = value_in(key, project);
    g_autofree char *by_user = value_in(key, layers->user);
    bool is_net = strcmp(key->key, "net") == 0;
    /* TASKBOX_NET can only lower. */
    if (by_env &&
        (!is_net ||
         project_holds(
             key, by_project && project_holds(key, layers->user, project) ? project : layers->user,
             above))) {
        g_autofree char *name = g_ascii_strup(key->key, -1);
        *from = g_strconcat("TASKBOX_", name, NULL);
        return above;
    }
    if (by_project && project_holds(key, layers->user, project)) {
        *from = g_strdup(TB_PROJECT_SETTINGS);
        return project;
    }
    *from = g_strdup(by_user ? layers->user->path : "default");
    return by_user ? layers->user : NULL;
}

static char *held_value(const Key *key, const Layers *layers, char **from)
{
    const TbSettings *layer = holder(key, layers, from);
    if (key->text == text_agents) {
        g_free(*from);
        *from = g_strdup("your file and profiles");
        return text_agents(layers->all);
    }
    if (key->text == text_exclude && layer == layers->all->project && layers->user->exclude) {
        g_autofree char *one = value_in(key, layers->user), *other = value_in(key, layer);
        g_free(*from);
        *from = g_strconcat(layers->user->path, " and " TB_PROJECT_SETTINGS, NULL);
        return g_strconcat(one, ", ", other, NULL);
    }
    g_autofree char *value = value_in(key, layer);
    /* What the image has is not looked up here, and bounds what the project asks for. */
    bool by_image = layer && layer == layers->all->project && strcmp(key->unset, OF_IMAGE) == 0 &&
                    !key->number(layers->user);
    if (by_image)
        return g_strconcat(value, ", at most " OF_IMAGE, NULL);
    return g_strdup(value ? value : key->unset);
}

static bool load(const TbArguments *arguments, Layers *layers, GError **error)
{
    const char *dir = tb_arguments_value(arguments, "directory");
    layers->user = tb_settings_user(error);
    layers->all = layers->user ? tb_settings_load(error) : NULL;
    g_autoptr(TbProject) project = layers->all ? tb_project_open(dir ? dir : ".", error) : NULL;
    return project && tb_settings_add_project(layers->all, tb_project_root(project), error);
}

/* ---- config show */

static bool print_json(const Layers *layers, GError **error)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_array(json);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *from = NULL;
        g_autofree char *value = held_value(&keys[i], layers, &from);
        json_builder_begin_object(json);
        json_builder_set_member_name(json, "key");
        json_builder_add_string_value(json, keys[i].key);
        json_builder_set_member_name(json, "value");
        json_builder_add_string_value(json, value);
        json_builder_set_member_name(json, "from");
        json_builder_add_string_value(json, from);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *text = json_to_string(root, TRUE);
    return tb_print_format(error, "%s\n", text);
}

bool tb_cli_config_show(TbCli *cli, int *status, GError **error)
{
    g_auto(Layers) layers = {0};
    if (!tb_arguments_none(cli->arguments, error) || !load(cli->arguments, &layers, error))
        return false;
    if (tb_arguments_flag(cli->arguments, "json"))
        return print_json(&layers, error);
    g_autoptr(TbTable) table = tb_table_new("KEY", "VALUE", "FROM", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *from = NULL;
        g_autofree char *value = held_value(&keys[i], &layers, &from);
        tb_table_add_row(table, (const char *[]){keys[i].key, value, from});
    }
    tb_table_print(table, stdout);
    return true;
}

/* ---- config explain */

static const char *rule_text(const Key *key)
{
    switch (key->rule) {
    case HIGHEST:
        return strcmp(key->key, "image") == 0
                   ? "a flag, else the variable, else the project, else your file"
                   : "a flag, else the variable, else your file; a project may not set it";
    case FIRST:
        return "a flag, else the variable, else your file, else the project";
    case LOWEST:
        return strcmp(key->key, "net") == 0
                   ? "a flag, else your file; variable and project can only lower it"
                   : "a flag, else the variable, else your file, which the project can only lower";
    case LARGEST:
        return strcmp(key->key, "exclude") == 0
                   ? "all together: your file, the project, flags"
                   : "a flag, else your file, which the project can only raise";
    case USER_ONLY:
        return "your file; a project may not set it";
    case PROJECT_ONLY:
        return "the project's file; flags are above it";
    }
    return NULL;
}

static const Key *find_key(const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (strcmp(keys[i].key, name) == 0)
            return &keys[i];
    tb_error_set(error, TB_ERROR_USAGE,
                 "there is no setting '%s' ('taskbox config show' lists all)", name);
    return NULL;
}

bool tb_cli_config_explain(TbCli *cli, int *status, GError **error)
{
    g_auto(Layers) layers = {0};
    const char *name = tb_arguments_sole(cli->arguments, "the name of a setting", error);
    const Key *key = name ? find_key(name, error) : NULL;
    if (!key || !load(cli->arguments, &layers, error))
        return false;
    g_autofree char *from = NULL;
    g_autofree char *value = held_value(key, &layers, &from);
    g_autofree char *held = g_strdup_printf("%s (%s)", value, from);
    g_autofree char *by_env = value_in(key, layers.all->environment);
    g_autofree char *by_project = value_in(key, layers.all->project);
    g_autofree char *by_user = value_in(key, layers.user);
    g_autoptr(GString) text = g_string_new(NULL);
    tb_show_add(text, "setting", key->key);
    tb_show_add(text, "is", key->meaning);
    tb_show_add(text, "holds", held);
    tb_show_add(text, "rule", rule_text(key));
    tb_show_add(text, "variable", by_env);
    tb_show_add(text, "project", by_project);
    tb_show_add(text, "your file", by_user);
    tb_show_add(text, "default", key->unset);
    return tb_print(text->str, error);
}
