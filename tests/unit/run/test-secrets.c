/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which secrets a task has, where their values come from, and that they are nowhere afterwards. */
#include "../suite.h"
#include "../task/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "run/network.h"
#include "util/auto.h"

#define VALUE "sk-a-value-of-some-length"

static const char settings_text[] =
    "secrets:\n  ALL: {hosts: [all.test]}\n  BOTH: {hosts: [all.test]}\n"
    "agents:\n  one:\n    command: [a, '{prompt}']\n    secrets:\n"
    "      BOTH: {hosts: [one.test], base_url: {env: URL, path: /v1}}\n";

static TbSettings *settings;
static int sealed_fd = -1;

/* What the sealed file holds. g_free. */
static char *sealed_text(void)
{
    char *text = g_malloc0(65536);
    ck_assert_int_gt(pread(sealed_fd, text, 65535, 0), 0);
    return text;
}

static void begin(void)
{
    settings = tb_settings_parse("c", settings_text, strlen(settings_text), NULL);
    ck_assert_ptr_nonnull(settings);
    g_setenv("ALL", VALUE, TRUE);
    g_setenv("BOTH", VALUE "2", TRUE);
}

static void end(void)
{
    tb_clear_fd(&sealed_fd);
    g_clear_pointer(&settings, tb_settings_free);
}

/* "NAME@HOST NAME@HOST". g_free. */
static char *chosen_text(const TbRunOptions *options, bool agent)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) chosen =
        tb_secrets_choose(settings, options, agent ? settings->agents->pdata[0] : NULL, &error);
    ck_assert_msg(chosen != NULL, "%s", error ? error->message : "");
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < chosen->len; i++) {
        const TbSecretSetting *setting = chosen->pdata[i];
        g_string_append_printf(text, "%s%s@%s", i ? " " : "", setting->name, setting->hosts[0]);
    }
    return g_string_free(text, FALSE);
}

START_TEST(chosen)
{
    const char *flags[] = {"BOTH@flag.test,x.test:8443", "OTHER@flag.test", NULL};
    TbRunOptions none = {0}, flagged = {.secrets = flags},
                 alone = {.secrets = flags, .net = TB_NET_NONE};
    g_autofree char *command = chosen_text(&none, false), *agent = chosen_text(&none, true);
    g_autofree char *both = chosen_text(&flagged, true), *few = chosen_text(&alone, true);
    ck_assert_str_eq(command, "ALL@all.test BOTH@all.test");
    ck_assert_str_eq(agent, "BOTH@one.test ALL@all.test");
    ck_assert_str_eq(both, "BOTH@flag.test OTHER@flag.test ALL@all.test");
    ck_assert_str_eq(few, "BOTH@flag.test OTHER@flag.test");
    /* For all tasks, and not there: left out. For this agent: that is found out when it is read. */
    g_unsetenv("ALL");
    g_unsetenv("BOTH");
    g_autofree char *without = chosen_text(&none, false), *with = chosen_text(&none, true);
    ck_assert_str_eq(without, "");
    ck_assert_str_eq(with, "BOTH@one.test");
    static const char *const wrong[] = {"A",         "A@",         "@a.test",        "A@*.test",
                                        "A@a.test,", "A B@a.test", "A@a.test@b.test"};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        const char *one[] = {wrong[i], NULL};
        TbRunOptions options = {.secrets = one};
        ck_assert_msg(!tb_secrets_choose(settings, &options, NULL, &error), "'%s'", wrong[i]);
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
    }
}
END_TEST

START_TEST(allowed_and_in_the_box)
{
    g_autoptr(GError) error = NULL;
    const char *flags[] = {"KEY@flag.test,x.test:8443", NULL};
    TbRunOptions options = {.secrets = flags};
    g_setenv("KEY", VALUE "3", TRUE);
    g_autoptr(TbNetPolicy) policy =
        tb_network_policy(settings, &options, settings->agents->pdata[0], NULL, &error);
    ck_assert_msg(policy != NULL, "%s", error ? error->message : "");
    g_autofree char *text = tb_net_policy_text(policy);
    ck_assert_str_eq(text, "one.test:443, all.test:443, flag.test:443, x.test:8443");
    g_autoptr(GPtrArray) list =
        tb_secrets_choose(settings, &options, settings->agents->pdata[0], &error);
    g_autoptr(GPtrArray) secrets = tb_secrets_read(list, &sealed_fd, &error);
    ck_assert_msg(secrets != NULL, "%s", error ? error->message : "");
    g_autoptr(GPtrArray) env = g_ptr_array_new_with_free_func(g_free);
    tb_secrets_env(list, secrets, env);
    const TbSecret *key = secrets->pdata[0];
    g_autofree char *line = g_strconcat("KEY=", key->placeholder, NULL);
    ck_assert(g_ptr_array_find_with_equal_func(env, line, g_str_equal, NULL));
    ck_assert(g_ptr_array_find_with_equal_func(env, "URL=http://127.0.0.1:3128/one.test/v1",
                                               g_str_equal, NULL));
    ck_assert(g_ptr_array_find_with_equal_func(env, "SSL_CERT_FILE=/run/taskbox/ca-bundle.pem",
                                               g_str_equal, NULL));
    for (guint i = 0; i < env->len; i++)
        ck_assert_ptr_null(strstr(env->pdata[i], VALUE));
}
END_TEST

/* Reads one secret of a setting like this. */
static GPtrArray *read_setting(const char *source, GError **error)
{
    g_autofree char *text = g_strdup_printf("secrets:\n  S: {hosts: [a.test], %s}\n", source);
    g_autoptr(TbSettings) own = tb_settings_parse("c", text, strlen(text), error);
    return own ? tb_secrets_read(own->secrets, &sealed_fd, error) : NULL;
}

START_TEST(sources)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "tb-secret-XXXXXX", NULL);
    int fd = g_mkstemp_full(path, O_RDWR, 0600);
    ck_assert_int_eq(write(fd, VALUE "\r\n", strlen(VALUE) + 2), (ssize_t)strlen(VALUE) + 2);
    g_autofree char *from_file = g_strdup_printf("file: %s", path);
    const char *good[] = {"env: ALL", from_file, "command: [printf, '%s\\n', " VALUE "]"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) secrets = read_setting(good[i], &error);
        ck_assert_msg(secrets != NULL, "%s: %s", good[i], error ? error->message : "");
        ck_assert_ptr_null(((TbSecret *)secrets->pdata[0])->value);
        g_autofree char *text = sealed_text();
        ck_assert_ptr_nonnull(strstr(text, "\t" VALUE "\ta.test:443\n"));
        tb_clear_fd(&sealed_fd);
    }
    ck_assert_int_eq(fchmod(fd, 0644), 0);
    static const char *const bad[] = {"env: NOT_SET",
                                      "file: /nonexistent",
                                      "file: /dev/zero",
                                      "command: ['false']",
                                      "command: [no-such-program]",
                                      "command: [seq, '100000']",
                                      "command: [printf, 'a\\0b']",
                                      "command: [printf, 'two\\nlines of it']"};
    for (size_t i = 0; i <= G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        const char *source = i < G_N_ELEMENTS(bad) ? bad[i] : from_file;
        g_autoptr(GPtrArray) secrets = read_setting(source, &error);
        ck_assert_msg(!secrets && strstr(error->message, "'S'"), "%s: %s", source,
                      error ? error->message : "it was read");
    }
    close(fd);
    unlink(path);
}
END_TEST

/* The bytes of the environment that this process was started with, which /proc shows. */
START_TEST(left_nowhere)
{
    static char place[] = "PLACED=" VALUE;
    g_autoptr(GError) error = NULL;
    struct rlimit core;
    ck_assert_int_eq(putenv(place), 0);
    g_autoptr(GPtrArray) secrets = read_setting("env: PLACED", &error);
    ck_assert_ptr_nonnull(secrets);
    ck_assert_ptr_null(g_getenv("PLACED"));
    ck_assert_int_eq(place[strlen("PLACED=")], '\0');
    ck_assert_int_eq(place[sizeof place - 2], '\0');
    ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 1);
    ck_assert_int_eq(write(sealed_fd, "x", 1), -1);
    getrlimit(RLIMIT_CORE, &core);
    ck_assert_uint_eq(core.rlim_cur, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run-secrets");
    TCase *tests = tcase_create("secrets");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, chosen);
    tcase_add_test(tests, allowed_and_in_the_box);
    tcase_add_test(tests, sources);
    tcase_add_test(tests, left_nowhere);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
