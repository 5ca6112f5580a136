/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connection itself: hello, hosts that come and go, frames that make no sense, the end. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "harness.h"

static Harness *harness;

static void set_up(void)
{
    harness = harness_start();
}

static void tear_down(void)
{
    harness_stop(harness);
}

START_TEST(hello_tells_the_kernel)
{
    TbGuestInfo info;
    GError *error = NULL;
    struct utsname name;
    uname(&name);
    g_autoptr(TbSession) session = tb_session_new(harness_connect(harness));
    bool ok = tb_session_hello(session, harness_deadline(10), &info, &error);
    harness_ok(ok, error);
    ck_assert_uint_eq(info.version, TB_PROTOCOL_VERSION);
    ck_assert_str_eq(info.kernel, name.release);
    g_autofree char *known = NULL;
    g_file_get_contents("/proc/filesystems", &known, NULL, NULL);
    ck_assert(!strstr(known, "\text4\n") == !strstr(info.filesystems, "ext4"));
}
END_TEST

START_TEST(hello_twice_on_one_connection)
{
    TbGuestInfo info;
    GError *error = NULL;
    g_autoptr(TbSession) session = harness_ready(harness);
    bool ok = tb_session_hello(session, harness_deadline(10), &info, &error);
    harness_ok(ok, error);
    g_autoptr(HarnessRun) done = harness_shell(session, "echo x");
    ck_assert_str_eq(done->out->str, "x\n");
}
END_TEST

static void send_raw(int fd, const void *data, size_t length)
{
    ck_assert_int_eq(write(fd, data, length), (ssize_t)length);
}

/* A new host on the same connection, which the guest cannot notice by an end of file: the first one
 * has left half a frame and an unread answer. */
START_TEST(new_host_after_half_a_frame)
{
    static const size_t sent[] = {1, 7, 8, 9, 1000, 40000};
    for (size_t i = 0; i < G_N_ELEMENTS(sent); i++) {
        int fd = harness_connect(harness);
        int other = dup(fd);
        TbSession *first = tb_session_new(fd);
        TbGuestInfo info;
        GError *error = NULL;
        bool ok = tb_session_hello(first, harness_deadline(10), &info, &error);
        harness_ok(ok, error);
        g_autofree uint8_t *frame = g_malloc0(TB_FRAME_PADDING);
        tb_frame_header(frame, TB_MSG_EXEC_PART, 0, TB_FRAME_MAX);
        memset(frame + TB_FRAME_HEADER, 0x55, TB_FRAME_MAX);
        send_raw(other, frame, sent[i]);
        tb_session_free(first);
        g_autoptr(TbSession) second = tb_session_new(other);
        ok = tb_session_hello(second, harness_deadline(10), &info, &error);
        harness_ok(ok, error);
        g_autoptr(HarnessRun) done = harness_shell(second, "echo again");
        ck_assert_str_eq(done->out->str, "again\n");
    }
}
END_TEST

START_TEST(process_survives_a_reconnect)
{
    TbSession *first = harness_ready(harness);
    const char *argv[] = {"sh", "-c", "echo $$ > /proc/self/comm; seq 1 300000; sleep 60", NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .as_root = true, .stdin_fd = -1};
    TbExecResult result;
    g_autoptr(GError) error = NULL;
    /* The host dies: nobody says SIGKILL, so the process goes on. */
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGALRM, SIG_DFL); /* check's own handler kills us all */
        alarm(1);
        tb_session_exec(first, &exec, NULL, harness_deadline(30), &result, NULL);
        _exit(0);
    }
    tb_session_free(first);
    g_usleep(1500000);
    TbSession *second = harness_session(harness);
    g_autoptr(HarnessRun) done = harness_shell(second, "echo after");
    ck_assert_str_eq(done->out->str, "after\n");
    tb_session_free(second);
}
END_TEST

START_TEST(pending_exit_is_told_again)
{
    int fd = harness_connect(harness);
    int other = dup(fd);
    TbSession *first = tb_session_new(fd);
    TbGuestInfo info;
    GError *error = NULL;
    bool ok = tb_session_hello(first, harness_deadline(10), &info, &error);
    harness_ok(ok, error);
    uint8_t payload[256];
    TbWriter writer = tb_writer(payload + TB_FRAME_HEADER, sizeof payload - TB_FRAME_HEADER);
    const char *argv[] = {"sh", "-c", "exit 5", NULL}, *env[] = {NULL};
    const TbExecMessage exec = {.as_root = true, .cwd = "/", .argv = argv, .env = env};
    tb_encode_exec(&writer, &exec);
    tb_frame_header(payload, TB_MSG_EXEC, 0, (uint32_t)writer.length);
    send_raw(other, payload, TB_FRAME_HEADER + writer.length);
    tb_session_free(first);
    close(other);
    g_usleep(300000);
    /* The new host hears of a process it never started, and is not confused by it. */
    g_autoptr(TbSession) second = harness_session(harness);
    g_autoptr(HarnessRun) done = harness_shell(second, "exit 6");
    ck_assert_int_eq(done->result.code, 6);
}
END_TEST

START_TEST(many_connections)
{
    for (int i = 0; i < 20; i++) {
        int fd = harness_connect(harness);
        send_raw(fd, "garbage that is no hello", 24);
        close(fd);
        g_autoptr(TbSession) session = harness_session(harness);
        g_autoptr(HarnessRun) done = harness_shell(session, "head -c 100000 /dev/zero");
        ck_assert_uint_eq(done->out->len, 100000);
    }
}
END_TEST

typedef struct {
    uint8_t bytes[16];
    size_t length;
} Bad;

static const Bad bad_frames[] = {
    {{0x77, 0, 0, 0, 0, 0, 0, 0}, 8},                          /* unknown type */
    {{TB_MSG_SETUP, 1, 0, 0, 0, 0, 0, 0}, 8},                  /* flags */
    {{TB_MSG_SETUP, 0, 0, 0, 1, 0, 1, 0}, 8},                  /* 65537 bytes */
    {{TB_MSG_SETUP, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, 8},      /* 4 GiB */
    {{TB_MSG_SETUP, 0, 0, 0, 2, 0, 0, 0, 1, 2}, 10},           /* short payload */
    {{TB_MSG_MOUNT, 0, 0, 0, 4, 0, 0, 0, 255, 255, 0, 0}, 12}, /* length in it out of range */
    {{TB_MSG_SIGNAL, 0, 0, 0, 1, 0, 0, 0, 9}, 9},
    {{TB_MSG_GUEST_HELLO, 0, 0, 0, 0, 0, 0, 0}, 8}, /* our own direction */
};

START_TEST(frames_that_make_no_sense)
{
    const Bad *bad = &bad_frames[_i];
    int fd = harness_connect(harness);
    int other = dup(fd);
    TbGuestInfo info;
    GError *error = NULL;
    g_autoptr(TbSession) session = tb_session_new(fd);
    bool ok = tb_session_hello(session, harness_deadline(10), &info, &error);
    harness_ok(ok, error);
    send_raw(other, bad->bytes, bad->length);
    g_usleep(50000);
    const TbMount mount = {.name = "x", .filesystem = "none"};
    ck_assert(!tb_session_mount(session, &mount, harness_deadline(5), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
    ck_assert_str_eq(error->message, "guest: the host's frames make no sense");
    g_clear_error(&error);
    /* A hello brings both back in step. */
    ok = tb_session_hello(session, harness_deadline(10), &info, &error);
    harness_ok(ok, error);
    g_autoptr(HarnessRun) done = harness_shell(session, "echo well");
    ck_assert_str_eq(done->out->str, "well\n");
    close(other);
}
END_TEST

START_TEST(seal_empties_and_powers_off)
{
    GError *error = NULL;
    g_autoptr(TbSession) session = harness_ready(harness);
    g_autofree char *line = g_strdup_printf(
        "cd %s/root && touch etc/ssh/ssh_host_rsa_key etc/ssh/sshd_config var/lib/apt/lists/x "
        "&& echo log > var/log/syslog && echo h > root/.bash_history && mkdir -p var/log/journal/id"
        " && ! test -s /nonexistent && test -s etc/machine-id",
        harness->dir);
    g_autoptr(HarnessRun) done = harness_shell(session, line);
    ck_assert_int_eq(done->result.code, 0);
    /* The files are in the guest's mounts only: looked at from its root, which we enter. */
    g_autofree char *root = NULL;
    g_autofree char *children = NULL;
    g_autofree char *list =
        g_strdup_printf("/proc/%d/task/%d/children", harness->pid, harness->pid);
    ck_assert(g_file_get_contents(list, &children, NULL, NULL));
    root = g_strdup_printf("/proc/%s/root%s/root", g_strstrip(children), harness->dir);
    ck_assert_int_eq(chdir(root), 0);
    bool ok = tb_session_seal(session, harness_deadline(10), &error);
    harness_ok(ok, error);
    ck_assert_int_ne(access("etc/ssh/ssh_host_rsa_key", F_OK), 0);
    ck_assert_int_eq(access("etc/ssh/sshd_config", F_OK), 0);
    ck_assert_int_ne(access("var/lib/apt/lists/x", F_OK), 0);
    ck_assert_int_ne(access("root/.bash_history", F_OK), 0);
    ck_assert_int_ne(access("var/log/journal/id", F_OK), 0);
    g_autofree char *id = NULL;
    gsize length = 1;
    ck_assert(g_file_get_contents("etc/machine-id", &id, &length, NULL));
    ck_assert_uint_eq(length, 0);
    static const char *const identity[] = {"etc/machine-id", "etc/hostname", "etc/hosts"};
    for (size_t i = 0; i < G_N_ELEMENTS(identity); i++) {
        struct stat st;
        ck_assert_int_eq(lstat(identity[i], &st), 0);
        ck_assert_msg(S_ISREG(st.st_mode), "an image has a link for %s", identity[i]);
    }
    g_autofree char *log = NULL;
    ck_assert(g_file_get_contents("var/log/syslog", &log, &length, NULL));
    ck_assert_uint_eq(length, 0);
    ck_assert_int_eq(chdir("/"), 0);
    int status;
    for (int i = 0; i < 100 && kill(harness->pid, 0) == 0; i++)
        g_usleep(10000);
    status = harness_stop(harness);
    ck_assert_int_eq(status, 42); /* the power went */
    harness = harness_start();    /* for the fixture */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {hello_tells_the_kernel,      hello_twice_on_one_connection,
                                  new_host_after_half_a_frame, process_survives_a_reconnect,
                                  pending_exit_is_told_again,  many_connections,
                                  seal_empties_and_powers_off};
    Suite *suite = suite_create("guest-service");
    TCase *tcase = tcase_create("service");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_add_loop_test(tcase, frames_that_make_no_sense, 0, G_N_ELEMENTS(bad_frames));
    suite_add_tcase(suite, tcase);
    return harness_main(suite);
}
