/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/guest.h"

enum { NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC };

const char *harness_missing(void)
{
    if (geteuid() != 0)
        return "needs root";
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(NAMESPACES) == 0 ? 0 : 1);
    int status = 1;
    waitpid(pid, &status, 0);
    return status == 0 ? NULL : "namespaces cannot be made here";
}

static void socket_address(const Harness *harness, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "%s.socket", harness->dir);
}

static char *find_cgroup(void)
{
    g_autofree char *mounts = NULL;
    g_file_get_contents("/proc/self/mounts", &mounts, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(mounts ? mounts : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);
        if (g_strv_length(words) > 2 && strcmp(words[2], "cgroup2") == 0)
            return g_strdup_printf("%s/taskbox-test-%d", words[1], getpid());
    }
    return g_strdup("/nonexistent/taskbox");
}

/* --- the guest's side ------------------------------------------------------------------------ */

static void stop_now(void)
{
    _exit(42);
}

/* A closed connection is taken back; the next one is accepted when it comes. */
static int reopen(int fd, void *data)
{
    const int *listener = data;
    if (fd >= 0)
        close(fd);
    struct pollfd state = {.fd = *listener, .events = POLLIN};
    if (poll(&state, 1, 20) <= 0)
        return -1;
    return accept4(*listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void make_tree(const char *dir)
{
    static const char *const dirs[] = {"root/etc/sudoers.d",
                                       "root/etc/ssh",
                                       "root/var/log/journal",
                                       "root/var/lib/apt/lists",
                                       "root/run",
                                       "root/root",
                                       "root/tmp",
                                       "state",
                                       "workspace"};
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", 0, NULL) != 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "mode=0755") != 0)
        _exit(91);
    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_autofree char *path = g_build_filename(dir, dirs[i], NULL);
        g_mkdir_with_parents(path, 0755);
    }
    g_autofree char *passwd = g_build_filename(dir, "root/etc/passwd", NULL);
    g_autofree char *group = g_build_filename(dir, "root/etc/group", NULL);
    g_file_set_contents(
        passwd, "root:x:0:0:root:/root:/bin/sh\nother:x:54321:1:o:/home/other:/bin/sh\n", -1, NULL);
    g_file_set_contents(group, "root:x:0:\ndocker:x:999:other,agent\n", -1, NULL);
}

_Noreturn static void guest_main(const Harness *harness)
{
    make_tree(harness->dir);
    g_autofree char *root = g_build_filename(harness->dir, "root", NULL);
    g_autofree char *state = g_build_filename(harness->dir, "state", NULL);
    g_autofree char *workspace = g_build_filename(harness->dir, "workspace", NULL);
    int listener = harness->listener;
    const TbGuestConfig config = {.root = root,
                                  .state = state,
                                  .workspace = workspace,
                                  .cgroup = harness->cgroup,
                                  .disk = NULL,
                                  .power_off = stop_now,
                                  .reopen = reopen,
                                  .data = &listener};
    int port = -1;
    while (port < 0)
        port = reopen(-1, &listener);
    _exit(tb_guest_serve(&config, port));
}

_Noreturn static void guest_parent(const Harness *harness)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(NAMESPACES) != 0)
        _exit(90);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        guest_main(harness);
    }
    int status;
    waitpid(pid, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
}

/* --- the host's side ------------------------------------------------------------------------- */

Harness *harness_start(void)
{
    Harness *harness = g_new0(Harness, 1);
    struct sockaddr_un address;
    harness->dir = g_dir_make_tmp("taskbox-guest-XXXXXX", NULL);
    ck_assert_ptr_nonnull(harness->dir);
    chmod(harness->dir, 0755);
    harness->cgroup = find_cgroup();
    socket_address(harness, &address);
    harness->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(harness->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(harness->listener, 8), 0);
    harness->pid = fork();
    if (harness->pid == 0)
        guest_parent(harness);
    return harness;
}

int harness_stop(Harness *harness)
{
    int status;
    for (int i = 0; i < 100 && waitpid(harness->pid, &status, WNOHANG) == 0; i++) {
        if (i == 10)
            kill(harness->pid, SIGKILL);
        g_usleep(20000);
    }
    struct sockaddr_un address;
    socket_address(harness, &address);
    unlink(address.sun_path);
    close(harness->listener);
    for (int i = 0; i < 50 && rmdir(harness->cgroup) != 0 && errno == EBUSY; i++)
        g_usleep(20000);
    rmdir(harness->dir);
    g_free(harness->dir);
    g_free(harness->cgroup);
    g_free(harness);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int harness_connect(Harness *harness)
{
    struct sockaddr_un address;
    socket_address(harness, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

int64_t harness_deadline(double seconds)
{
    return g_get_monotonic_time() + (int64_t)(seconds * G_USEC_PER_SEC);
}

void harness_ok(bool ok, GError *error)
{
    if (!ok)
        ck_abort_msg("%s", error ? error->message : "failed without an error");
    ck_assert_ptr_null(error);
}

TbSession *harness_session(Harness *harness)
{
    TbGuestInfo info;
    GError *error = NULL;
    TbSession *session = tb_session_new(harness_connect(harness));
    bool ok = tb_session_hello(session, harness_deadline(10), &info, &error);
    harness_ok(ok, error);
    return session;
}

TbSession *harness_ready(Harness *harness)
{
    GError *error = NULL;
    const TbSetup setup = {.hostname = "box-test", .uid = HARNESS_UID, .gid = HARNESS_GID};
    TbSession *session = harness_session(harness);
    bool ok = tb_session_setup(session, &setup, harness_deadline(10), &error);
    harness_ok(ok, error);
    return session;
}

static bool keep_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    HarnessRun *run = user_data;
    g_string_append_len(fd == 1 ? run->out : run->err, (const char *)data, (gssize)length);
    return true;
}

HarnessRun *harness_shell(TbSession *session, const char *line)
{
    HarnessRun *run = g_new0(HarnessRun, 1);
    GError *error = NULL;
    const char *argv[] = {"sh", "-c", line, NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .as_root = true, .stdin_fd = -1};
    const TbExecHandlers handlers = {.output = keep_output, .data = run};
    run->out = g_string_new(NULL);
    run->err = g_string_new(NULL);
    bool ok =
        tb_session_exec(session, &exec, &handlers, harness_deadline(20), &run->result, &error);
    harness_ok(ok, error);
    return run;
}

void harness_run_free(HarnessRun *run)
{
    g_string_free(run->out, TRUE);
    g_string_free(run->err, TRUE);
    g_free(run);
}

int harness_main(Suite *suite)
{
    const char *missing = harness_missing();
    SRunner *runner = srunner_create(suite);
    if (missing) {
        fprintf(stderr, "skipped: %s\n", missing);
        srunner_free(runner);
        return HARNESS_SKIP;
    }
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
