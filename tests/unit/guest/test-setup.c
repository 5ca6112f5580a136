/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What SETUP writes, seen by a process of the box. */
#include <string.h>

#include "harness.h"

static Harness *harness;
static TbSession *session;

static void set_up(void)
{
    harness = harness_start();
    session = harness_ready(harness);
}

static void tear_down(void)
{
    tb_session_free(session);
    harness_stop(harness);
}

static void says(const char *line, const char *expected)
{
    g_autofree char *full = g_strdup_printf("cd %s/root && %s", harness->dir, line);
    g_autoptr(HarnessRun) done = harness_shell(session, full);
    ck_assert_str_eq(done->out->str, expected);
}

START_TEST(files)
{
    says("cat etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
                           "agent:x:54321:54322:AI Agent:/home/agent:/bin/sh\n"
                           "other:x:54321:1:o:/home/other:/bin/sh\n");
    says("cat etc/group", "root:x:0:\nagent:x:54322:\ndocker:x:999:other,agent\n");
    says("cat etc/shadow; stat -c %a etc/shadow", "agent:*:19000:0:99999:7:::\n640\n");
    says("stat -c %u:%g:%a home/agent", "54321:54322:755\n");
    says("cat etc/sudoers.d/taskbox; stat -c %a etc/sudoers.d/taskbox",
         "agent ALL=(ALL) NOPASSWD: ALL\nDefaults env_keep += \"HTTP_PROXY HTTPS_PROXY ALL_PROXY "
         "NO_PROXY http_proxy https_proxy all_proxy no_proxy\"\n440\n");
    says("cat etc/subuid; cmp etc/subuid etc/subgid", "agent:2100000000:65536\n");
    says("cat etc/hostname; hostname; cat etc/hosts",
         "box-test\nbox-test\n127.0.0.1\tlocalhost box-test # taskbox\n");
    says("git config -f etc/gitconfig -l",
         "user.name=AI Agent\nuser.email=agent@internal.sandbox\nsafe.directory=*\n"
         "core.checkstat=minimal\ncore.trustctime=false\ninit.defaultbranch=main\n");
    says("grep -cE '^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$' etc/machine-id", "1\n");
    says("grep -q 127.0.0.1 /proc/net/fib_trie && echo up", "up\n");
}
END_TEST

START_TEST(again_with_another_uid)
{
    GError *error = NULL;
    const TbSetup setup = {.hostname = "second", .uid = 60001, .gid = 60002};
    says("mkdir -p home/agent/a/b && touch home/agent/a/b/c && ln -s /etc/passwd home/agent/l", "");
    says("echo '# mine' >> etc/gitconfig; cp etc/machine-id id; chown -R 54321:54322 home/agent; "
         "stat -c %u /etc/passwd",
         "0\n");
    bool ok = tb_session_setup(session, &setup, harness_deadline(10), &error);
    harness_ok(ok, error);
    says("stat -c %u home/agent/a/b/c home/agent/l /etc/passwd", "60001\n60001\n0\n");
    says("grep -c agent etc/passwd; grep agent etc/passwd",
         "1\nagent:x:60001:60002:AI Agent:/home/agent:/bin/sh\n");
    says("cat etc/hosts", "127.0.0.1\tlocalhost second # taskbox\n");
    says("cat etc/subgid", "agent:2100000000:65536\n");
    says("tail -1 etc/gitconfig; grep -c taskbox etc/gitconfig", "# mine\n1\n");
    says("cmp -s id etc/machine-id; echo $?", "1\n");
}
END_TEST

START_TEST(refusals)
{
    static const TbSetup bad[] = {{.hostname = "x", .uid = 0, .gid = 1},
                                  {.hostname = "", .uid = 5, .gid = 5},
                                  {.hostname = "a b", .uid = 5, .gid = 5},
                                  {.hostname = "a\nb", .uid = 5, .gid = 5},
                                  {.hostname = "net", .uid = 5, .gid = 5, .network = true}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        ck_assert(!tb_session_setup(session, &bad[i], harness_deadline(20), &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
        g_clear_error(&error);
    }
}
END_TEST

/* ---- a box that is frozen before it is anybody's, and its fork's SETUP */

static void set_up_unready(void)
{
    harness = harness_start();
    session = harness_session(harness);
}

static void settle(void)
{
    GError *error = NULL;
    bool ok = tb_session_settle(session, HARNESS_UID, HARNESS_GID, harness_deadline(10), &error);
    harness_ok(ok, error);
}

static void be(const char *hostname)
{
    GError *error = NULL;
    const TbSetup setup = {.hostname = hostname, .uid = HARNESS_UID, .gid = HARNESS_GID};
    bool ok = tb_session_setup(session, &setup, harness_deadline(10), &error);
    harness_ok(ok, error);
}

static const char all_that_stays[] = "cat etc/passwd etc/group etc/shadow etc/sudoers.d/taskbox "
                                     "etc/gitconfig | sha256sum; readlink etc/machine-id "
                                     "etc/hostname etc/hosts; stat -c '%n %a %u' etc/* home/agent";

static char *state_of_it(void)
{
    g_autofree char *full = g_strdup_printf("cd %s/root && %s", harness->dir, all_that_stays);
    g_autoptr(HarnessRun) done = harness_shell(session, full);
    return g_strdup(done->out->str);
}

START_TEST(settled_twice_is_settled_once)
{
    says("printf 'of the image\n' >etc/machine-id; echo '10.0.0.1 other' >etc/hosts; "
         "echo template >etc/hostname",
         "");
    settle();
    g_autofree char *once = state_of_it();
    settle();
    g_autofree char *twice = state_of_it();
    ck_assert_str_eq(once, twice);
    says("grep -c ^agent etc/passwd; ls home", "1\nagent\n");
    /* no identity is given yet, and what was there is still to be read */
    says("cat etc/machine-id etc/hosts etc/hostname", "of the image\n10.0.0.1 other\ntemplate\n");
    says("readlink etc/machine-id etc/hosts etc/hostname",
         "../run/taskbox/machine-id\n../run/taskbox/hosts\n../run/taskbox/hostname\n");
}
END_TEST

START_TEST(setup_of_a_fork_is_quick_and_its_own)
{
    settle();
    g_autofree char *before = state_of_it();
    be("first");
    g_autofree char *after = state_of_it();
    ck_assert_str_eq(before, after); /* all that all forks share was there */
    says("cp etc/machine-id id; cat etc/hostname etc/hosts",
         "first\n127.0.0.1\tlocalhost first # taskbox\n");
    says("grep -cE '^[0-9a-f]{32}$' etc/machine-id", "1\n");
    be("second");
    says("cat etc/hostname etc/hosts; hostname",
         "second\n127.0.0.1\tlocalhost second # taskbox\nsecond\n");
    says("cmp -s id etc/machine-id; echo $?; readlink etc/machine-id",
         "1\n../run/taskbox/machine-id\n");
}
END_TEST

START_TEST(links_that_lead_nowhere_are_made_anew)
{
    settle();
    be("first"); /* what SETTLE saw counts once only */
    says("rm -r run/taskbox; ln -sf /nonexistent etc/hostname", "");
    be("later");
    says("cat etc/hostname; readlink etc/hostname", "later\n../run/taskbox/hostname\n");
    says("grep -cE '^[0-9a-f]{32}$' etc/machine-id", "1\n");
}
END_TEST

START_TEST(nobody_settles_for_root)
{
    GError *error = NULL;
    ck_assert(!tb_session_settle(session, 0, 0, harness_deadline(10), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
    g_clear_error(&error);
    settle(); /* and the conversation goes on */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {files, again_with_another_uid, refusals};
    const TTest *const of_forks[] = {
        settled_twice_is_settled_once, setup_of_a_fork_is_quick_and_its_own,
        links_that_lead_nowhere_are_made_anew, nobody_settles_for_root};
    Suite *suite = suite_create("guest-setup");
    TCase *tcase = tcase_create("setup");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    TCase *forks = tcase_create("fork");
    tcase_set_timeout(forks, 60);
    tcase_add_checked_fixture(forks, set_up_unready, tear_down);
    for (size_t i = 0; i < G_N_ELEMENTS(of_forks); i++)
        tcase_add_test(forks, of_forks[i]);
    suite_add_tcase(suite, forks);
    return harness_main(suite);
}
