/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run/secrets.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "run/network.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/log.h"

#define GATEWAY         "http://127.0.0.1:3128/"
#define AUTHORITY       "/run/taskbox/ca.pem"
#define BUNDLE          "/run/taskbox/ca-bundle.pem"
#define COMMAND_SECONDS 120
#define READ_MAX        ((size_t)TB_SECRET_MAX + 2) /* a line's end may follow */

TbSecretSetting *tb_secret_setting_parse(const char *text, GError **error)
{
    const char *at = strchr(text, '@');
    if (!at || at == text || !at[1]) {
        g_autofree char *shown = tb_escape_name(text);
        tb_error_set(error, TB_ERROR_USAGE, "'%s' is no secret (NAME@HOST or NAME@HOST,HOST)",
                     shown);
        return NULL;
    }
    TbSecretSetting *setting = g_new0(TbSecretSetting, 1);
    setting->name = g_strndup(text, (gsize)(at - text));
    setting->env = g_strdup(setting->name);
    setting->by_flag = true;
    setting->hosts = g_strsplit(at + 1, ",", -1);
    return setting;
}

/* ---- which */

static bool has_name(const GPtrArray *chosen, const char *name)
{
    for (guint i = 0; i < chosen->len; i++)
        if (strcmp(((TbSecretSetting *)chosen->pdata[i])->name, name) == 0)
            return true;
    return false;
}

/* Takes the setting. */
static bool choose(GPtrArray *chosen, TbSecretSetting *setting, GError **error)
{
    if (has_name(chosen, setting->name)) {
        tb_secret_setting_free(setting);
        return true;
    }
    g_ptr_array_add(chosen, setting);
    if (setting->base_env && !tb_secret_name_valid(setting->base_env))
        return tb_error_set(error, TB_ERROR_CONFIG,
                            "secret '%s': 'env' of 'base_url' is no name of a variable",
                            setting->name);
    for (char **host = setting->hosts; *host; host++) {
        TbSecretHost *parsed = tb_secret_host_parse(*host, error);
        if (!parsed) {
            g_prefix_error(error, "secret '%s': ", setting->name);
            return false;
        }
        tb_secret_host_free(parsed);
    }
    if (!tb_secret_name_valid(setting->name)) {
        g_autofree char *shown = tb_escape_name(setting->name);
        return tb_error_set(error, TB_ERROR_USAGE,
                            "'%s' is no name for a secret (letters, digits and '_', as a variable)",
                            shown);
    }
    return chosen->len <= TB_SECRETS_MAX ||
           tb_error_set(error, TB_ERROR_USAGE, "more than %d secrets", TB_SECRETS_MAX);
}

static bool choose_all(GPtrArray *chosen, const GPtrArray *settings, bool for_all, GError **error)
{
    for (guint i = 0; settings && i < settings->len; i++) {
        const TbSecretSetting *setting = settings->pdata[i];
        if (for_all && setting->env && !g_getenv(setting->env))
            continue;
        if (!choose(chosen, tb_secret_setting_copy(setting), error))
            return false;
    }
    return true;
}

GPtrArray *tb_secrets_choose(const TbSettings *settings, const TbRunOptions *options,
                             const TbAgent *agent, GError **error)
{
    g_autoptr(GPtrArray) chosen = g_ptr_array_new_with_free_func(tb_secret_setting_free);
    for (const char *const *text = options->secrets; text && *text; text++) {
        TbSecretSetting *setting = tb_secret_setting_parse(*text, error);
        if (!setting || !choose(chosen, setting, error)) {
            g_prefix_error(error, "--secret: ");
            return NULL;
        }
    }
    bool names = false;
    TbNet net = tb_network_level(settings, options, agent, &names);
    if ((agent && net != TB_NET_NONE && !choose_all(chosen, agent->secrets, false, error)) ||
        (names && !choose_all(chosen, settings->secrets, true, error)))
        return NULL;
    return g_steal_pointer(&chosen);
}

bool tb_secrets_allow(const GPtrArray *chosen, bool by_flag, TbNetPolicy *policy, GError **error)
{
    for (guint i = 0; i < chosen->len; i++) {
        const TbSecretSetting *setting = chosen->pdata[i];
        for (char **text = setting->hosts; setting->by_flag == by_flag && *text; text++) {
            TbSecretHost *host = tb_secret_host_parse(*text, error);
            if (!host)
                return false;
            g_autofree char *rule = g_strdup_printf("%s:%u", host->host, host->port);
            bool added = tb_net_policy_add(policy, rule, error);
            tb_secret_host_free(host);
            if (!added)
                return false;
        }
    }
    return true;
}

char *tb_secret_setting_source(const TbSecretSetting *setting)
{
    g_autofree char *text =
        setting->file ? g_strdup_printf("the file '%s'", setting->file)
        : setting->command
            ? g_strdup_printf("what '%s' prints", setting->command[0])
            : g_strdup_printf("taskbox's own variable %s", setting->env ? setting->env : "");
    return tb_escape_name(text);
}

/* ---- their values; each reader fills a buffer of READ_MAX bytes and a NUL */

typedef struct {
    char text[READ_MAX + 1];
    size_t length;
} Value;

static bool add(Value *value, const void *bytes, size_t length)
{
    size_t room = READ_MAX - value->length;
    memcpy(value->text + value->length, bytes, MIN(length, room));
    value->length += MIN(length, room);
    return length <= room;
}

static bool on_output(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    return add(user_data, data, length) ||
           tb_error_set(error, TB_ERROR_LIMIT, "it prints more than a secret has");
}

static bool read_command(const TbSecretSetting *setting, Value *value, GError **error)
{
    g_autoptr(TbCommand) command = tb_command_new(setting->command[0]);
    tb_command_add_strv(command, (const char *const *)setting->command + 1);
    tb_command_set_stdout_fn(command, on_output, value);
    tb_command_set_timeout(command, COMMAND_SECONDS);
    return tb_command_run(command, NULL, error);
}

static char *path_of(const char *text)
{
    return g_str_has_prefix(text, "~/") ? g_build_filename(g_get_home_dir(), text + 2, NULL)
                                        : g_strdup(text);
}

static bool read_file(const TbSecretSetting *setting, Value *value, GError **error)
{
    g_autofree char *path = path_of(setting->file);
    struct stat st;
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return tb_error_set_errno(error, errno, "cannot read '%s'", path);
    if (!S_ISREG(st.st_mode))
        return tb_error_set(error, TB_ERROR_CONFIG, "'%s' is no file", path);
    if (st.st_mode & (S_IWGRP | S_IWOTH | S_IROTH))
        return tb_error_set(error, TB_ERROR_DENIED, "others may read or write '%s' (chmod 600)",
                            path);
    char buffer[READ_MAX];
    ssize_t got = 0;
    bool fits = true;
    while (fits && (got = read(fd, buffer, sizeof buffer)) > 0)
        fits = add(value, buffer, (size_t)got);
    int problem = errno;
    explicit_bzero(buffer, sizeof buffer);
    if (got < 0)
        return tb_error_set_errno(error, problem, "cannot read '%s'", path);
    return fits || tb_error_set(error, TB_ERROR_LIMIT, "'%s' holds more than a secret has", path);
}

static bool read_env(const TbSecretSetting *setting, Value *value, GError **error)
{
    const char *text = g_getenv(setting->env);
    if (!text || !*text)
        return tb_error_set(error, TB_ERROR_NOT_FOUND,
                            "the variable '%s' is not set (set it where taskbox is called)",
                            setting->env);
    return add(value, text, strlen(text)) ||
           tb_error_set(error, TB_ERROR_LIMIT, "the variable '%s' holds more than a secret has",
                        setting->env);
}

static TbSecret *read_one(const TbSecretSetting *setting, Value *value, GError **error)
{
    bool ok = setting->file      ? read_file(setting, value, error)
              : setting->command ? read_command(setting, value, error)
                                 : read_env(setting, value, error);
    if (!ok) {
        g_prefix_error(error, "no value for secret '%s': ", setting->name);
        return NULL;
    }
    while (value->length > 0 && strchr("\r\n", value->text[value->length - 1]))
        value->length--;
    value->text[value->length] = '\0';
    if (strlen(value->text) != value->length) {
        tb_error_set(error, TB_ERROR_CONFIG, "the value of secret '%s' holds a NUL byte",
                     setting->name);
        return NULL;
    }
    return tb_secret_new(setting->name, value->text, (const char *const *)setting->hosts, error);
}

/* What /proc shows of a process's environment is where it began. */
static void forget_env(const GPtrArray *chosen)
{
    for (guint i = 0; i < chosen->len; i++) {
        const TbSecretSetting *setting = chosen->pdata[i];
        char *text = setting->env ? getenv(setting->env) : NULL;
        if (text)
            explicit_bzero(text, strlen(text));
        if (text)
            g_unsetenv(setting->env);
    }
}

static bool hide(GError **error)
{
    const struct rlimit none = {0};
    if (prctl(PR_SET_DUMPABLE, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0)
        return true;
    return tb_error_set_errno(error, errno, "cannot keep secrets out of a core dump");
}

static GPtrArray *read_all(const GPtrArray *chosen, int *sealed, GError **error)
{
    g_autoptr(GPtrArray) secrets = tb_secrets_new();
    for (guint i = 0; i < chosen->len; i++) {
        Value value = {0};
        TbSecret *secret = read_one(chosen->pdata[i], &value, error);
        explicit_bzero(&value, sizeof value);
        if (!secret)
            return NULL;
        g_ptr_array_add(secrets, secret);
    }
    *sealed = tb_egress_seal(secrets, error);
    tb_secrets_forget(secrets);
    return *sealed < 0 ? NULL : g_steal_pointer(&secrets);
}

GPtrArray *tb_secrets_read(const GPtrArray *chosen, int *sealed, GError **error)
{
    *sealed = -1;
    if (chosen->len == 0)
        return tb_secrets_new();
    int dumpable = prctl(PR_GET_DUMPABLE);
    if (!hide(error))
        return NULL;
    GPtrArray *secrets = read_all(chosen, sealed, error);
    forget_env(chosen);
    /* Programs that make the box are given descriptors by their place in /proc. */
    if (dumpable == 1)
        prctl(PR_SET_DUMPABLE, 1);
    return secrets;
}

/* ---- in the box */

static void add_base(const TbSecretSetting *setting, const TbSecret *secret, GPtrArray *env)
{
    const TbSecretHost *host = secret->hosts->pdata[0];
    g_autofree char *port = host->port == 443 ? g_strdup("") : g_strdup_printf(":%u", host->port);
    if (setting->base_env)
        g_ptr_array_add(env, g_strdup_printf("%s=" GATEWAY "%s%s%s", setting->base_env, host->host,
                                             port, setting->base_path ? setting->base_path : ""));
}

void tb_secrets_env(const GPtrArray *chosen, const GPtrArray *secrets, GPtrArray *env)
{
    static const char *const certificates[] = {
        "SSL_CERT_FILE=" BUNDLE,      "CURL_CA_BUNDLE=" BUNDLE,
        "REQUESTS_CA_BUNDLE=" BUNDLE, "GIT_SSL_CAINFO=" BUNDLE,
        "PIP_CERT=" BUNDLE,           "AWS_CA_BUNDLE=" BUNDLE,
        "CARGO_HTTP_CAINFO=" BUNDLE,  "NODE_EXTRA_CA_CERTS=" AUTHORITY,
        "DENO_CERT=" AUTHORITY,       NULL};
    for (const char *const *line = certificates; secrets->len > 0 && *line; line++)
        g_ptr_array_add(env, g_strdup(*line));
    for (guint i = 0; i < secrets->len; i++) {
        const TbSecret *secret = secrets->pdata[i];
        g_ptr_array_add(env, g_strdup_printf("%s=%s", secret->name, secret->placeholder));
        add_base(chosen->pdata[i], secret, env);
    }
}
