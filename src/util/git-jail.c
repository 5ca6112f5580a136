/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The jail that git runs in: bubblewrap, with taskbox-git as its first process.
 *
 * No network, nothing to be seen but git's own files, the work tree and the borrowed objects, all
 * of it read-only but our directory; limits on memory, CPU time and file size for each process in
 * it, and where the kernel has landlock that says once more what can be written. What it may see
 * and write is fixed when it starts. It is started early and without waiting: requests lie in the
 * socket until somebody is there to read them. Whatever comes out of it is hostile: an answer is
 * one number, and what it says on stderr is cut and escaped.
 */
#include "util/git-jail.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/command-private.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/git-wire.h"
#include "util/hole.h"
#include "util/jail-user.h"
#include "util/paths.h"

#define CPU_SECONDS  300
#define MEMORY       (UINT64_C(4) << 30)
#define FILE_SIZE    (UINT64_C(64) << 30)
#define END_MS       2000
#define WORDS_MS     500
#define WORDS_MAX    512
#define JAIL_PROGRAM "/run/taskbox-git"

struct TbGitJail {
    TbChild *child; /* bwrap */
    int fd;         /* requests */
    int stderr_fd;  /* what bwrap and taskbox-git say */
};

/* What programs need to start, wherever the distribution keeps it. */
static const char *const system_dirs[] = {"/usr",   "/bin", "/sbin",           "/lib",
                                          "/lib64", "/nix", "/etc/ld.so.cache"};

/* What landlock leaves writable, where the kernel has it. */
static void add_writable(TbCommand *command, const TbGitView *view)
{
    if (tb_hole("git-trust")) {
        tb_command_add(command, "/", NULL);
        return;
    }
    tb_command_add(command, view->git_dir, "/tmp", "/dev", NULL);
    for (guint i = 0; i < view->written->len; i++)
        tb_command_add(command, view->written->pdata[i], NULL);
}

/* --new-session: nothing in it may type into our terminal. */
static void add_view(TbCommand *command, const TbGitView *view, const TbJailUser *user,
                     const char *program)
{
    tb_command_add(command, "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
                   "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL", NULL);
    if (user->drops)
        tb_command_add(command, "--userns", G_STRINGIFY(GIT_WIRE_USERNS), "--cap-add",
                       "CAP_DAC_OVERRIDE", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID",
                       "--cap-add", "CAP_SETPCAP", NULL);
    else
        tb_command_add(command, "--unshare-user", NULL);
    if (tb_hole("git-trust"))
        tb_command_add(command, "--bind", "/", "/", "--tmpfs", "/run", "--dev", "/dev", NULL);
    else
        tb_command_add(command, "--tmpfs", "/tmp", "--dev", "/dev", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(system_dirs); i++)
        tb_command_add(command, "--ro-bind-try", system_dirs[i], system_dirs[i], NULL);
    tb_command_add(command, "--ro-bind", program, JAIL_PROGRAM, NULL);
    for (guint i = 0; i < view->read->len; i++)
        tb_command_add(command, "--ro-bind", view->read->pdata[i], view->read->pdata[i], NULL);
    for (const char *const *path = view->read_each; path && *path; path++)
        tb_command_add(command, "--ro-bind-try", *path, *path, NULL);
    for (guint i = 0; i < view->written->len; i++)
        tb_command_add(command, "--bind", view->written->pdata[i], view->written->pdata[i], NULL);
    tb_command_add(command, "--bind", view->git_dir, view->git_dir, "--chdir", "/", NULL);
    tb_command_add(command, "--", JAIL_PROGRAM, NULL);
    if (user->drops) {
        tb_command_add_format(command, "%u", (unsigned)user->uid);
        tb_command_add_format(command, "%u", (unsigned)user->gid);
    } else {
        tb_command_add(command, "-", "-", NULL);
    }
    add_writable(command, view);
}

/* Between fork and exec. */
static int hand_on_pidfd(void *unused)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return fd < 0 || dup2(fd, GIT_WIRE_OUTER) < 0 ? -1 : 0;
}

TbGitJail *tb_git_jail_new(const TbGitView *view, GError **error)
{
    g_autofree char *program = tb_path_libexec("util/taskbox-git", "taskbox-git", error);
    TbJailUser user;
    if (!program || !tb_jail_user(view->git_dir, &user, error))
        return NULL;
    tb_autofd users = user.drops ? tb_user_namespace_of_all() : -1;
    if (user.drops && users < 0) {
        tb_error_set_errno(error, errno, "cannot make a user namespace for git's jail");
        return NULL;
    }
    int ends[2], words[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        tb_error_set_errno(error, errno, "cannot start git's jail");
        return NULL;
    }
    tb_autofd ours = ends[0];
    tb_autofd theirs = ends[1];
    if (pipe2(words, O_CLOEXEC) < 0) {
        tb_error_set_errno(error, errno, "cannot start git's jail");
        return NULL;
    }
    tb_autofd words_in = words[0];
    tb_autofd words_out = words[1];
    g_autoptr(TbCommand) command = tb_command_new("bwrap");
    add_view(command, view, &user, program);
    tb_command_env_clear(command);
    tb_command_setenv(command, "PATH", view->search);
    tb_command_set_cwd(command, "/");
    tb_command_set_stderr_fd(command, words_out);
    tb_command_pass_fd(command, theirs, GIT_WIRE_SOCKET);
    if (user.drops) {
        tb_command_pass_fd(command, users, GIT_WIRE_USERNS);
        tb_command_set_child_setup(command, hand_on_pidfd, NULL);
    }
    tb_command_set_rlimit(command, RLIMIT_AS, MEMORY);
    tb_command_set_rlimit(command, RLIMIT_CPU, CPU_SECONDS);
    tb_command_set_rlimit(command, RLIMIT_FSIZE, FILE_SIZE);
    tb_command_set_rlimit(command, RLIMIT_CORE, 0);
    TbChild *child = tb_command_start(command, error);
    if (!child)
        return NULL;
    TbGitJail *jail = g_new(TbGitJail, 1);
    *jail = (TbGitJail){child, ours, words_in};
    ours = words_in = -1;
    return jail;
}

/* taskbox-git ends when the socket does, and the jail with it. */
void tb_git_jail_free(TbGitJail *jail)
{
    if (!jail)
        return;
    tb_clear_fd(&jail->fd);
    tb_child_wait(jail->child, END_MS, NULL);
    tb_child_free(jail->child);
    tb_clear_fd(&jail->stderr_fd);
    g_free(jail);
}

/* cwd, arguments, environment as git-wire.h says; NULL when that is too much. */
static GByteArray *make_request(const TbCommand *command, GError **error)
{
    GitWireHead head = {.magic = GIT_WIRE_MAGIC,
                        .arguments = command->argv->len,
                        .variables = g_strv_length(command->env)};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_byte_array_append(bytes, (const uint8_t *)&head, sizeof head);
    const char *cwd = command->cwd ? command->cwd : "/";
    g_byte_array_append(bytes, (const uint8_t *)cwd, (guint)strlen(cwd) + 1);
    for (guint i = 0; i < command->argv->len; i++) {
        const char *argument = command->argv->pdata[i];
        g_byte_array_append(bytes, (const uint8_t *)argument, (guint)strlen(argument) + 1);
    }
    for (char **variable = command->env; *variable; variable++)
        g_byte_array_append(bytes, (const uint8_t *)*variable, (guint)strlen(*variable) + 1);
    if (bytes->len > GIT_WIRE_MAX || head.arguments + head.variables > GIT_WIRE_STRINGS) {
        g_autofree char *label = tb_command_label(command);
        tb_error_set(error, TB_ERROR_LIMIT, "cannot run '%s': its arguments are too long", label);
        return NULL;
    }
    return g_steal_pointer(&bytes);
}

/* True when the request lies in the socket. It never waits: a jail that lets requests pile up is
 * broken. */
static bool send_request(const TbGitJail *jail, const GByteArray *bytes, const int fds[])
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * GIT_WIRE_FDS)];
    } control = {0};
    struct iovec iov = {.iov_base = bytes->data, .iov_len = bytes->len};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *descriptors = CMSG_FIRSTHDR(&message);
    descriptors->cmsg_level = SOL_SOCKET;
    descriptors->cmsg_type = SCM_RIGHTS;
    descriptors->cmsg_len = CMSG_LEN(sizeof(int) * GIT_WIRE_FDS);
    memcpy(CMSG_DATA(descriptors), fds, sizeof(int) * GIT_WIRE_FDS);
    ssize_t sent;
    do
        sent = sendmsg(jail->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)bytes->len;
}

int tb_git_jail_start(TbGitJail *jail, const TbCommand *command, const int standard[3],
                      GError **error)
{
    g_autoptr(GByteArray) bytes = make_request(command, error);
    int ends[2];
    if (!bytes)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        tb_error_set_errno(error, errno, "cannot start git");
        return -1;
    }
    tb_autofd ours = ends[0];
    tb_autofd theirs = ends[1];
    const int fds[GIT_WIRE_FDS] = {standard[0], standard[1], standard[2], theirs};
    if (!send_request(jail, bytes, fds)) {
        int err = errno;
        g_autofree char *words = tb_git_jail_last_words(jail);
        tb_error_set_errno(error, err, "cannot start git in its jail%s%s", words ? ": " : "",
                           words ? words : "");
        return -1;
    }
    return tb_steal_fd(&ours);
}

char *tb_git_jail_last_words(TbGitJail *jail)
{
    char text[WORDS_MAX];
    tb_child_wait(jail->child, WORDS_MS, NULL); /* it may be about to say why it ends */
    fcntl(jail->stderr_fd, F_SETFL, O_NONBLOCK);
    ssize_t length = read(jail->stderr_fd, text, sizeof text - 1);
    if (length <= 0)
        return NULL;
    text[length] = '\0';
    g_strdelimit(text, "\r\n", ' ');
    return tb_escape_name(g_strstrip(text));
}
