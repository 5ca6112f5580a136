/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include "../suite.h"
#include "config/layers.h"
#include "config/settings.h"
#include "util/error.h"

static TbSettings *parse(const char *text, GError **error)
{
    return tb_settings_parse("c.yaml", text, strlen(text), error);
}

START_TEST(reads_all_keys)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbSettings) s =
        parse("image: ubuntu-24.04\ncpus: 3\nmemory: 4G\ndisk: 30GiB\ntimeout: 2h\nkeep: failed\n"
              "agent: two\nagents:\n"
              "  one: {command: [one, -p, '{prompt}']}\n"
              "  two:\n    command: [two]\n    stdin: prompt\n    env: {KEY: v=w, EMPTY: ''}\n"
              "require_kvm: true\ncapacity: {cpus: 12, memory: 20GiB}\nnet: agent\nallow_hosts: "
              "[a.test, '*.b.test']\n",
              &error);
    ck_assert_msg(s != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(s->image, "ubuntu-24.04");
    ck_assert_uint_eq(s->cpus, 3);
    ck_assert_uint_eq(s->memory, 4ULL << 30);
    ck_assert_uint_eq(s->disk, 30ULL << 30);
    ck_assert_uint_eq(s->timeout, 7200);
    ck_assert_uint_eq(s->capacity.cpus, 12);
    ck_assert_uint_eq(s->capacity.memory, 20ULL << 30);
    ck_assert_int_eq(s->keep, TB_KEEP_FAILED);
    ck_assert_int_eq(s->net, TB_NET_AGENT);
    ck_assert(s->require_kvm);
    ck_assert_str_eq(s->allow_hosts[1], "*.b.test");
    const TbAgent *agent = tb_settings_agent(s, NULL, &error);
    ck_assert_ptr_nonnull(agent);
    ck_assert_str_eq(agent->name, "two");
    ck_assert(agent->prompt_stdin);
    ck_assert_str_eq(agent->env[0], "KEY=v=w");
    ck_assert_str_eq(agent->env[1], "EMPTY=");
    agent = tb_settings_agent(s, "one", &error);
    ck_assert(!agent->prompt_stdin);
    ck_assert_ptr_nonnull(agent->env);
    ck_assert_ptr_null(tb_settings_agent(s, "three", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
}
END_TEST

START_TEST(secrets)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbSettings) s = parse(
        "secrets:\n  A: {hosts: [a.test]}\n  B: {hosts: [b.test, 'c.test:8443'], file: ~/b}\n"
        "agents:\n  one:\n    command: [one, '{prompt}']\n    secrets:\n"
        "      C: {hosts: [c.test], command: [pass, show, c], base_url: {env: C_URL, path: /v1}}\n"
        "limits: {requests: 7, net-bytes: 2M}\n",
        &error);
    ck_assert_msg(s != NULL, "%s", error ? error->message : "");
    const TbSecretSetting *a = s->secrets->pdata[0], *b = s->secrets->pdata[1];
    ck_assert_str_eq(a->name, "A");
    ck_assert_str_eq(a->env, "A");
    ck_assert_str_eq(b->file, "~/b");
    ck_assert_ptr_null(b->env);
    ck_assert_str_eq(b->hosts[1], "c.test:8443");
    const TbAgent *agent = s->agents->pdata[0];
    const TbSecretSetting *c = agent->secrets->pdata[0];
    ck_assert_str_eq(c->command[2], "c");
    ck_assert_str_eq(c->base_env, "C_URL");
    ck_assert_str_eq(c->base_path, "/v1");
    ck_assert_uint_eq(s->limits.requests, 7);
    ck_assert_uint_eq(s->limits.net_bytes, 2 << 20);
    static const char *const wrong[] = {
        "secrets: [A]\n",
        "secrets: {A: {}}\n",
        "secrets: {A: {hosts: []}}\n",
        "secrets: {A: {hosts: [a.test], value: x}}\n",
        "secrets: {A: {hosts: [a.test], file: x, env: y}}\n",
        "secrets: {A: {hosts: [a.test], command: []}}\n",
        "secrets: {A: {hosts: [a.test], base_url: {path: /v1}}}\n",
        "secrets: {A: {hosts: [a.test], base_url: {env: B, path: v1}}}\n",
        "secrets: {A: {hosts: [a.test], base_url: {env: B, path: '/a b'}}}\n",
        "secrets: {A: {hosts: [a.test]}, A: {hosts: [b.test]}}\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) why = NULL;
        ck_assert_msg(parse(wrong[i], &why) == NULL, "%s", wrong[i]);
        ck_assert_int_eq(tb_error_code(why), TB_ERROR_CONFIG);
        ck_assert(g_str_has_prefix(why->message, "c.yaml:1:"));
    }
}
END_TEST

START_TEST(no_file_means_defaults)
{
    char dir[] = "/tmp/tb-settings-XXXXXX";
    ck_assert_ptr_nonnull(g_mkdtemp(dir));
    g_setenv("XDG_CONFIG_HOME", dir, TRUE);
    g_autoptr(GError) error = NULL;
    g_autoptr(TbSettings) s = tb_settings_load(&error);
    ck_assert_ptr_nonnull(s);
    ck_assert_ptr_null(s->path);
    ck_assert_ptr_null(s->image);
    ck_assert_uint_eq(s->cpus, 0);
    ck_assert_uint_eq(s->capacity.cpus, 0);
    ck_assert_uint_eq(s->capacity.memory, 0);
    ck_assert_int_eq(s->keep, TB_KEEP_NEVER);
    ck_assert_ptr_null(tb_settings_agent(s, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "needs none"));
    g_rmdir(dir);
}
END_TEST

START_TEST(a_file_that_all_may_write_is_refused)
{
    char dir[] = "/tmp/tb-settings-XXXXXX";
    ck_assert_ptr_nonnull(g_mkdtemp(dir));
    g_setenv("XDG_CONFIG_HOME", dir, TRUE);
    g_autofree char *sub = g_build_filename(dir, "taskbox", NULL);
    g_autofree char *path = g_build_filename(sub, "config.yaml", NULL);
    ck_assert_int_eq(g_mkdir(sub, 0700), 0);
    ck_assert(g_file_set_contents(path, "cpus: 1\n", -1, NULL));
    g_autoptr(TbSettings) s = tb_settings_load(NULL);
    ck_assert_ptr_nonnull(s);
    ck_assert_str_eq(s->path, path);
    ck_assert_uint_eq(s->cpus, 1);
    g_autoptr(GError) error = NULL;
    ck_assert_int_eq(g_chmod(path, 0666), 0);
    ck_assert_ptr_null(tb_settings_load(&error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_DENIED);
    g_unlink(path);
    g_rmdir(sub);
    g_rmdir(dir);
}
END_TEST

static const struct {
    const char *text, *message;
} bad[] = {
    {"keep: maybe\n", "c.yaml:1:7: bad value 'maybe' (must be one of: never, failed, always)"},
    {"agents: {a: {}}\n", "c.yaml:1:10: agent 'a' has no 'command'"},
    {"agents: {a: {command: [x]}}\n", "c.yaml:1:10: agent 'a' never gets the prompt"},
    {"agents: {a: {comand: [x]}}\n", "c.yaml:1:14: unknown key 'comand' (did you mean 'command'?)"},
    {"agents: {a: {command: ['{prompt}'], stdin: yes}}\n", "c.yaml:1:44: bad value 'yes'"},
    {"agents: {a: {command: ['{prompt}'], env: {1X: a}}}\n", "c.yaml:1:43: bad variable name"},
    {"agents: {a: {command: ['{prompt}']}, a: {command: ['{prompt}']}}\n",
     "c.yaml:1:38: duplicate key 'a' (first at line 1)"},
    {"capacity: {cpu: 2}\n", "c.yaml:1:12: unknown key 'cpu' (did you mean 'cpus'?)"},
    {"capacity: {cpus: 0}\n", "c.yaml:1:18: "},
    {"capacity: 4\n", "c.yaml:1:11: "},
    {"imgae: debian\n", "c.yaml:1:1: unknown key 'imgae' (did you mean 'image'?)"},
};

START_TEST(says_what_is_wrong_and_where)
{
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(parse(bad[_i].text, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    ck_assert_msg(g_str_has_prefix(error->message, bad[_i].message), "got '%s'", error->message);
}
END_TEST

START_TEST(the_prompt_is_one_argument_and_is_not_expanded_again)
{
    g_autoptr(TbSettings) s =
        parse("agents: {a: {command: [x, 'say: {prompt}!', '{prompt}']}}", NULL);
    ck_assert_ptr_nonnull(s);
    g_auto(GStrv) argv = tb_agent_argv(tb_settings_agent(s, NULL, NULL), "$(rm) {prompt} 'x'");
    ck_assert_uint_eq(g_strv_length(argv), 3);
    ck_assert_str_eq(argv[1], "say: $(rm) {prompt} 'x'!");
    ck_assert_str_eq(argv[2], "$(rm) {prompt} 'x'");
}
END_TEST

START_TEST(several_agents_need_a_default)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbSettings) s =
        parse("agents: {a: {command: ['{prompt}']}, b: {command: ['{prompt}']}}", NULL);
    ck_assert_ptr_null(tb_settings_agent(s, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "--agent NAME"));
}
END_TEST

START_TEST(masks_and_limits)
{
    g_autoptr(TbSettings) s = parse("exclude: [a, 'b/']\ninclude: ['*.pem']\nhistory: 20\n"
                                    "limits: {free-space: 5G, log: 16M, processes: 9}",
                                    NULL);
    ck_assert_ptr_nonnull(s);
    ck_assert_str_eq(s->exclude[1], "b/");
    ck_assert_str_eq(s->include[0], "*.pem");
    ck_assert(s->has_history && s->history == 20);
    ck_assert_uint_eq(s->limits.free_space, UINT64_C(5) << 30);
    ck_assert_uint_eq(s->limits.log, 16 << 20);
    ck_assert_uint_eq(s->limits.processes, 9);
    g_autoptr(TbSettings) none = parse("history: none", NULL);
    ck_assert(none->has_history && none->history == 0);
    g_autoptr(TbSettings) unset = parse("image: x", NULL);
    ck_assert(!unset->has_history);
    ck_assert_int_eq(unset->mount, TB_MOUNT_UNSAID);
    for (TbMountType type = TB_MOUNT_IMAGE; type <= TB_MOUNT_AUTO; type++) {
        g_autofree char *text = g_strdup_printf("mount: %s", tb_mount_type_name(type));
        g_autoptr(TbSettings) mount = parse(text, NULL);
        ck_assert_int_eq(mount->mount, type);
    }
    static const char *const wrong[] = {"history: all",     "history: 0",       "history: 100000",
                                        "limits: {log: 0}", "limits: {lag: 1}", "exclude: a",
                                        "mount: nfs"};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        ck_assert_msg(!parse(wrong[i], &error), "%s", wrong[i]);
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    }
}
END_TEST

START_TEST(keep_words_go_both_ways)
{
    TbKeep keep;
    for (TbKeep k = TB_KEEP_NEVER; k <= TB_KEEP_ALWAYS; k++) {
        ck_assert(tb_keep_parse(tb_keep_name(k), &keep, NULL));
        ck_assert_int_eq(k, keep);
    }
    ck_assert(!tb_keep_parse("Never", &keep, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config-settings");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, reads_all_keys);
    tcase_add_test(tcase, secrets);
    tcase_add_test(tcase, no_file_means_defaults);
    tcase_add_test(tcase, a_file_that_all_may_write_is_refused);
    tcase_add_loop_test(tcase, says_what_is_wrong_and_where, 0, G_N_ELEMENTS(bad));
    tcase_add_test(tcase, the_prompt_is_one_argument_and_is_not_expanded_again);
    tcase_add_test(tcase, several_agents_need_a_default);
    tcase_add_test(tcase, masks_and_limits);
    tcase_add_test(tcase, keep_words_go_both_ways);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
