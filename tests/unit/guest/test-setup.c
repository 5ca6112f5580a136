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
         "agent ALL=(ALL) NOPASSWD: ALL\n440\n");
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

int main(void)
{
    const TTest *const tests[] = {files, again_with_another_uid, refusals};
    Suite *suite = suite_create("guest-setup");
    TCase *tcase = tcase_create("setup");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return harness_main(suite);
}
