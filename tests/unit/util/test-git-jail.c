/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* git's jail: what goes through it, what ends in it, what can be seen from it. Scripts are run in
 * git's place, as aliases, for git alone would not try to get out. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../suite.h"
#include "util/auto.h"
#include "util/command-private.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/git.h"
#include "util/interrupt.h"
#include "util/landlock.h"

static char *dir, *marker;
static TbGit *git;

static char *in_dir(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

static void setup(void)
{
    dir = g_dir_make_tmp("tb-jail-XXXXXX", NULL);
    marker = g_strdup_printf("marker-%d-%u", (int)getpid(), g_random_int());
    g_autofree char *path = in_dir("g");
    git = tb_git_create(path, false, NULL, NULL);
    ck_assert_ptr_nonnull(git);
}

static void teardown(void)
{
    tb_git_free(git);
    ck_assert(tb_remove_tree(AT_FDCWD, dir, NULL));
    g_free(marker);
    g_free(dir);
}

/* A command that runs `script` where git would run. */
static TbCommand *script(const char *worktree, const char *format, ...) G_GNUC_PRINTF(2, 3);
static TbCommand *script(const char *worktree, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    TbCommand *command = tb_git_command(git, "-c", worktree, NULL);
    tb_command_add_format(command, "alias.t=!%s", text);
    tb_command_add(command, "t", NULL);
    return command;
}

/* What the command, which is freed, wrote. */
static char *output(TbCommand *unowned)
{
    g_autoptr(TbCommand) command = unowned;
    g_autoptr(GBytes) out = NULL;
    g_autoptr(GError) error = NULL;
    bool ran = tb_command_run(command, &out, &error);
    ck_assert_msg(ran, "%s", error ? error->message : "");
    char *text = g_strndup(g_bytes_get_data(out, NULL), g_bytes_get_size(out));
    return g_strchomp(text);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    g_autoptr(GDir) fds = g_dir_open("/proc/self/fd", 0, NULL);
    while (g_dir_read_name(fds))
        count++;
    return count;
}

/* A process whose command line has `word`; 0: there is none. */
static pid_t find_process(const char *word)
{
    pid_t found = 0;
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    for (const char *name; !found && (name = g_dir_read_name(proc));) {
        g_autofree char *file = g_build_filename("/proc", name, "cmdline", NULL);
        g_autofree char *text = NULL;
        gsize length = 0;
        if (!g_ascii_isdigit(*name) || !g_file_get_contents(file, &text, &length, NULL))
            continue;
        for (gsize i = 0; i < length; i++)
            if (text[i] == '\0')
                text[i] = ' ';
        if (strstr(text, word))
            found = (pid_t)atoi(name);
    }
    return found;
}

static bool wait_for_marker(bool there)
{
    for (int i = 0; i < 500; i++) {
        if ((find_process(marker) != 0) == there)
            return true;
        g_usleep(20000);
    }
    return false;
}

/* The jail's bubblewrap, which names the git directory. */
static pid_t jail_pid(void)
{
    g_autofree char *word = g_strdup_printf("--bind %s ", tb_git_path(git));
    return find_process(word);
}

START_TEST(many_calls_one_jail_no_descriptor_left)
{
    unsigned before = 0;
    pid_t jail = 0;
    for (int i = 0; i < 100; i++) {
        g_autoptr(TbCommand) command = tb_git_command(git, "hash-object", NULL, NULL);
        tb_command_add(command, "--stdin", NULL);
        tb_command_set_stdin_bytes(command, "x", 1);
        g_autofree char *oid = tb_git_run_oid(git, command, NULL);
        ck_assert_str_eq(oid, "c1b0730e0133447badcfd47fd144e254807b06e1");
        if (i == 0) {
            before = open_descriptors();
            jail = jail_pid();
            ck_assert_int_ne(jail, 0);
        }
    }
    ck_assert_uint_eq(open_descriptors(), before);
    ck_assert_int_eq(jail_pid(), jail);
    tb_git_free(git);
    git = NULL;
    ck_assert_int_ne(kill(jail, 0), 0);
}
END_TEST

START_TEST(many_megabytes_both_ways)
{
    const size_t size = (size_t)24 << 20;
    g_autofree uint32_t *data = g_malloc(size);
    for (size_t i = 0; i < size / 4; i++)
        data[i] = (uint32_t)i * 2654435761u;
    g_autoptr(TbCommand) command = script(NULL, "cat");
    tb_command_set_stdin_bytes(command, data, size);
    g_autoptr(GBytes) out = NULL;
    ck_assert(tb_command_run(command, &out, NULL));
    ck_assert_uint_eq(g_bytes_get_size(out), size);
    ck_assert_int_eq(memcmp(g_bytes_get_data(out, NULL), data, size), 0);
}
END_TEST

START_TEST(ends_are_told)
{
    int status = -1;
    g_autoptr(TbCommand) third = script(NULL, "exit 3; :");
    ck_assert(tb_command_run_status(third, NULL, &status, NULL));
    ck_assert_int_eq(status, 3);
    /* git itself: it passes on what killed the script as an exit status. */
    g_autoptr(TbCommand) killed = script(NULL, "kill -9 $PPID; sleep 600; :");
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_command_run(killed, NULL, &error));
    ck_assert_msg(strstr(error->message, "was killed by signal 9"), "%s", error->message);
    g_clear_error(&error);
    g_autoptr(TbCommand) loud = script(NULL, "echo reason >&2; exit 1; :");
    ck_assert(!tb_command_run(loud, NULL, &error));
    ck_assert_msg(strstr(error->message, ": reason"), "%s", error->message);
}
END_TEST

START_TEST(too_much_is_refused)
{
    g_autofree char *text = g_strnfill(70000, 'x');
    g_autoptr(TbCommand) command = script(NULL, "true %s", text);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_command_run(command, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    g_autofree char *fine = output(script(NULL, "echo fine"));
    ck_assert_str_eq(fine, "fine");
}
END_TEST

START_TEST(timeout_ends_it_and_only_it)
{
    g_autoptr(TbCommand) command = script(NULL, ": %s; sleep 600; :", marker);
    tb_command_set_timeout(command, 1);
    g_autoptr(GError) error = NULL;
    gint64 start = g_get_monotonic_time();
    ck_assert(!tb_command_run(command, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_TIMEOUT);
    ck_assert_int_lt(g_get_monotonic_time() - start, 15 * G_USEC_PER_SEC);
    ck_assert(wait_for_marker(false));
    g_autofree char *fine = output(script(NULL, "echo fine"));
    ck_assert_str_eq(fine, "fine");
}
END_TEST

/* A process that left its group and session is gone when the call is. */
START_TEST(nothing_survives_its_call)
{
    g_autofree char *fine = output(script(
        NULL, "setsid sh -c ': %s; sleep 600; :' >/dev/null 2>&1 </dev/null & echo fine", marker));
    ck_assert_str_eq(fine, "fine");
    ck_assert(wait_for_marker(false));
}
END_TEST

/* In a child of its own: does `signal_number` to `pid` once the marker is there. */
static void signal_when_running(pid_t pid, int signal_number)
{
    if (fork() != 0)
        return;
    bool seen = wait_for_marker(true);
    kill(pid, signal_number);
    _exit(seen ? 0 : 1);
}

START_TEST(an_interrupt_ends_it)
{
    tb_interrupt_install();
    g_autofree char *fine = output(script(NULL, "echo fine"));
    g_autoptr(TbCommand) command = script(NULL, ": %s; sleep 600; :", marker);
    signal_when_running(getpid(), SIGINT);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_command_run(command, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERRUPTED);
    ck_assert(wait_for_marker(false));
}
END_TEST

/* The kernel opens any file of a file system by its handle for who has the right to read all. */
static const char by_handle[] =
    "import ctypes, os\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "handle = ctypes.create_string_buffer(136)\n"
    "ctypes.c_uint.from_buffer(handle).value = 128\n"
    "mount = ctypes.c_int()\n"
    "path = os.environ['GIT_DIR'].encode()\n"
    "assert libc.name_to_handle_at(-100, path, handle, ctypes.byref(mount), 0) == 0\n"
    "fd = libc.open_by_handle_at(os.open(path, os.O_RDONLY), handle, os.O_RDONLY)\n"
    "print('opened' if fd >= 0 else os.strerror(ctypes.get_errno()))\n";

START_TEST(root_is_nobody_in_it)
{
    g_autofree char *uid = output(script(NULL, "id -u"));
    ck_assert_str_ne(uid, "0");
    g_autofree char *worktree = in_dir("w");
    g_autofree char *file = in_dir("w/private");
    ck_assert_int_eq(mkdir(worktree, 0700), 0);
    ck_assert(g_file_set_contents(file, "theirs", -1, NULL));
    ck_assert_int_eq(chmod(file, 0600), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(worktree, 12345, 12345), 0);
        ck_assert_int_eq(chown(file, 12345, 12345), 0);
    }
    g_autofree char *text = output(script(worktree, "cat private"));
    ck_assert_str_eq(text, "theirs");
    g_autoptr(TbCommand) python = script(NULL, "python3 -");
    tb_command_set_stdin_bytes(python, by_handle, strlen(by_handle));
    g_autoptr(GBytes) out = NULL;
    ck_assert(tb_command_run(python, &out, NULL));
    g_autofree char *answer = g_strndup(g_bytes_get_data(out, NULL), g_bytes_get_size(out));
    ck_assert_str_eq(g_strchomp(answer), g_strerror(EPERM));
}
END_TEST

START_TEST(a_killed_jail_is_an_error)
{
    g_autofree char *fine = output(script(NULL, "echo fine"));
    g_autoptr(TbCommand) command = script(NULL, ": %s; sleep 600; :", marker);
    signal_when_running(jail_pid(), SIGKILL);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_command_run(command, NULL, &error));
    ck_assert_msg(strstr(error->message, "the jail it ran in has ended"), "%s", error->message);
    g_clear_error(&error);
    ck_assert(wait_for_marker(false));
    g_autoptr(TbCommand) next = script(NULL, "echo fine");
    ck_assert(!tb_command_run(next, NULL, &error));
    ck_assert_msg(strstr(error->message, "jail"), "%s", error->message);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_IO);
}
END_TEST

START_TEST(a_jail_that_cannot_be_says_why)
{
    g_autofree char *nowhere = in_dir("nowhere");
    g_autoptr(TbCommand) command = script(nowhere, "echo fine");
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_command_run(command, NULL, &error));
    ck_assert_msg(strstr(error->message, "nowhere"), "%s", error->message);
}
END_TEST

/* What a person's Ctrl-C or the kernel's OOM killer may leave: nothing. */
START_TEST(dies_with_us)
{
    pid_t pid = fork();
    if (pid == 0) {
        g_autoptr(TbCommand) command = script(NULL, ": %s; setsid sleep 600; :", marker);
        _exit(tb_command_run(command, NULL, NULL) ? 0 : 1);
    }
    ck_assert(wait_for_marker(true));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ck_assert(wait_for_marker(false));
    ck_assert_int_eq(jail_pid(), 0);
}
END_TEST

static int listen_on_loopback(unsigned *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

START_TEST(what_can_be_seen_and_written)
{
    g_autofree char *project = in_dir("project"), *secret = in_dir("secret");
    ck_assert_int_eq(mkdir(project, 0700), 0);
    g_autofree char *file = g_build_filename(project, "file", NULL);
    ck_assert(g_file_set_contents(file, "text", -1, NULL));
    ck_assert(g_file_set_contents(secret, "secret", -1, NULL));
    unsigned port = 0;
    tb_autofd listener = listen_on_loopback(&port);
    ck_assert(tb_git_start(git, project, NULL));
    pid_t jail = 0;
    g_autofree char *seen = output(script(
        project,
        "bash -c '"
        "[ \"$PWD\" = \"%s\" ] && echo cwd; cat file; echo; cat \"%s\" /etc/passwd /root/* /home/*;"
        "echo x >file; echo x >new; touch /usr/x; echo x >\"%s/new\" && echo written;"
        "echo x >/run/taskbox-git; (: </dev/tty) && echo terminal; ls /proc/self /sys;"
        "(: <>/dev/tcp/127.0.0.1/%u) && echo network; (: <>/dev/tcp/127.0.0.1/%u) && echo network;"
        "for fd in {3..63}; do (: <&$fd) && echo descriptor $fd; done;"
        "echo limits $(ulimit -c) $(ulimit -v) $(ulimit -t) $(ulimit -f);"
        "kill -9 1; :' 2>/dev/null; :",
        project, secret, tb_git_path(git), port, port));
    ck_assert_str_eq(seen, "cwd\ntext\nwritten\nlimits 0 4194304 300 67108864");
    g_autofree char *after = NULL;
    ck_assert(g_file_get_contents(file, &after, NULL, NULL));
    ck_assert_str_eq(after, "text");
    jail = jail_pid();
    g_autofree char *objects = output(script(NULL, "echo still here"));
    ck_assert_str_eq(objects, "still here");
    ck_assert_int_eq(jail_pid(), jail);
}
END_TEST

/* Its root is a file system of the jail's own, which the mounts leave writable. */
START_TEST(landlock_says_it_once_more)
{
    g_autofree char *said =
        output(script(NULL,
                      "bash -c 'echo x >/new && echo root; echo x >/tmp/new && echo tmp; echo x "
                      ">\"%s/new\" && echo own; : >/dev/null && echo null' 2>/dev/null; :",
                      tb_git_path(git)));
    ck_assert_str_eq(said, tb_landlock_version() ? "tmp\nown\nnull" : "root\ntmp\nown\nnull");
}
END_TEST

/* A directory that is named later is seen, and what runs meanwhile goes on. */
START_TEST(a_later_work_tree)
{
    g_autofree char *project = in_dir("project"), *file = in_dir("project/file");
    ck_assert_int_eq(mkdir(project, 0700), 0);
    ck_assert(g_file_set_contents(file, "text", -1, NULL));
    g_autoptr(TbBlobWriter) writer = tb_blob_writer_new(git, NULL);
    ck_assert_ptr_nonnull(writer);
    g_autofree char *text = output(script(project, "cat file"));
    ck_assert_str_eq(text, "text");
    uint32_t mark;
    ck_assert(tb_blob_writer_begin(writer, 1, NULL));
    ck_assert(tb_blob_writer_data(writer, "x", 1, NULL));
    ck_assert(tb_blob_writer_end(writer, &mark, NULL));
    g_autoptr(GPtrArray) oids = NULL;
    ck_assert(tb_blob_writer_finish(writer, &oids, NULL));
    ck_assert_str_eq(oids->pdata[0], "c1b0730e0133447badcfd47fd144e254807b06e1");
}
END_TEST

/* A jail that somebody has taken over, and what it may answer. */
static int answer_fd = -1;
static const void *answer;
static size_t answer_length;

static int answer_start(void *data, TbCommand *command, const int standard[3], GError **error)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    if (!answer && answer_length == 0) { /* it never says anything */
        answer_fd = ends[1];
        return ends[0];
    }
    if (answer)
        ck_assert_int_eq(send(ends[1], answer, answer_length, 0), (ssize_t)answer_length);
    close(ends[1]);
    return ends[0];
}

static char *answer_words(void *data)
{
    return NULL;
}

static bool run_with_answer(const void *data, size_t length, int *status, GError **error)
{
    static const TbStarter hostile = {.start = answer_start, .last_words = answer_words};
    answer = data;
    answer_length = length;
    g_autoptr(TbCommand) command = tb_command_new("/usr/bin/git");
    command->starter = &hostile;
    tb_command_set_timeout(command, 1);
    return tb_command_run_status(command, NULL, status, error);
}

START_TEST(hostile_answers)
{
    int status = -1;
    g_autoptr(GError) error = NULL;
    g_autofree char *much = g_malloc0(100000);
    int stopped = 0x137f, continued = 0xffff, signalled = SIGTERM, fine = 0;
    ck_assert(run_with_answer(&fine, sizeof fine, &status, NULL) && status == 0);
    ck_assert(run_with_answer(&signalled, sizeof signalled, &status, NULL) && status == 143);
    const struct {
        const void *data;
        size_t length;
    } lies[] = {{much, 1},
                {much, 100000},
                {&stopped, sizeof stopped},
                {&continued, sizeof continued},
                {NULL, 1}};
    for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
        ck_assert(!run_with_answer(lies[i].data, lies[i].length, &status, &error));
        ck_assert_msg(strstr(error->message, "is gone"), "%s", error->message);
        g_clear_error(&error);
    }
    gint64 start = g_get_monotonic_time();
    ck_assert(!run_with_answer(NULL, 0, &status, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_TIMEOUT);
    ck_assert_int_lt(g_get_monotonic_time() - start, 20 * G_USEC_PER_SEC);
    tb_clear_fd(&answer_fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("git-jail");
    TCase *tcase = tcase_create("git-jail");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, many_calls_one_jail_no_descriptor_left);
    tcase_add_test(tcase, many_megabytes_both_ways);
    tcase_add_test(tcase, ends_are_told);
    tcase_add_test(tcase, too_much_is_refused);
    tcase_add_test(tcase, timeout_ends_it_and_only_it);
    tcase_add_test(tcase, nothing_survives_its_call);
    tcase_add_test(tcase, an_interrupt_ends_it);
    tcase_add_test(tcase, root_is_nobody_in_it);
    tcase_add_test(tcase, a_killed_jail_is_an_error);
    tcase_add_test(tcase, a_jail_that_cannot_be_says_why);
    tcase_add_test(tcase, dies_with_us);
    tcase_add_test(tcase, what_can_be_seen_and_written);
    tcase_add_test(tcase, landlock_says_it_once_more);
    tcase_add_test(tcase, a_later_work_tree);
    tcase_add_test(tcase, hostile_answers);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
