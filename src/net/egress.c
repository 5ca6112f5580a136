/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The jail is bubblewrap: the host's network, and of its files the programs' and what resolving
 * names and judging certificates needs. Started by root it is another uid before bubblewrap starts;
 * since that uid may not be able to walk to the program, the program is handed in as bytes.
 *
 * A thread reads what it tells, so that the main session never waits for the network nor the
 * network for it. That thread starts no process and ends when the process's socket does.
 */
#include "net/egress.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/secret.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/hole.h"
#include "util/jail-user.h"
#include "util/log.h"
#include "util/packet.h"
#include "util/paths.h"

#define PROGRAM    "/run/taskbox-egress"
#define FD_PROGRAM 5
#define FD_NAMES   6
#define LOG_LIMIT  (UINT64_C(16) << 20)
#define READY_MS   20000
#define END_MS     2000
#define WORDS_MAX  512

struct TbEgress {
    TbChild *child; /* bwrap */
    int control, words;
    GThread *reader;
    int log;
    GMutex mutex; /* of what is below */
    GCond changed;
    bool ready, ended;
    uint64_t written;
    TbNetCounts counts;
    GPtrArray *refusals; /* of TbRefusal * */
    char *over, *authority;
};

/* ---- what it tells: in the thread */

static void count(TbNetCounts *counts, const TbNetEvent *event)
{
    counts->connections++;
    counts->refused += event->verdict == TB_NET_REFUSED;
    counts->failed += event->verdict == TB_NET_FAILED;
    counts->sent += event->sent;
    counts->received += event->received;
}

static void refusal_free(void *data)
{
    TbRefusal *refusal = data;
    g_free(refusal->host);
    g_free(refusal->reason);
    g_free(refusal);
}

static TbRefusalKind kind_of(const char *reason)
{
    return g_str_has_prefix(reason, TB_NET_PLACEHOLDER) ? TB_REFUSED_PLACEHOLDER
           : g_str_has_prefix(reason, TB_NET_FOREIGN)   ? TB_REFUSED_FOREIGN
                                                        : TB_REFUSED_OTHER;
}

/* The one of this host and kind, or the rest of this kind, or a new one. */
static TbRefusal *find_refusal(GPtrArray *refusals, const TbNetEvent *event)
{
    TbRefusalKind kind = kind_of(event->reason);
    TbRefusal *rest = NULL;
    guint known = 0;
    for (guint i = 0; i < refusals->len; i++) {
        TbRefusal *refusal = refusals->pdata[i];
        if (refusal->kind != kind)
            continue;
        known++;
        if (!refusal->host)
            rest = refusal;
        else if (refusal->port == event->port && strcmp(refusal->host, event->host) == 0)
            return refusal;
    }
    if (known > TB_REFUSALS_MAX)
        return rest;
    bool last = known == TB_REFUSALS_MAX;
    TbRefusal *refusal = g_new(TbRefusal, 1);
    *refusal = (TbRefusal){.kind = kind,
                           .host = last ? NULL : g_strdup(event->host),
                           .reason = g_strdup(last ? "" : event->reason),
                           .port = last ? 0 : event->port};
    g_ptr_array_add(refusals, refusal);
    return refusal;
}

static void note_refusal(TbEgress *egress, const TbNetEvent *event)
{
    if (event->verdict != TB_NET_REFUSED)
        return;
    if (!g_str_has_prefix(event->reason, TB_NET_BUDGET))
        find_refusal(egress->refusals, event)->count++;
    else if (!egress->over)
        egress->over = g_strdup(event->reason);
}

/* What the box shall trust is for the box to understand; here it only is sure to be such a text. */
static char *read_pem(const char *text)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----\n",
                      end[] = "-----END CERTIFICATE-----\n",
                      letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789+/=\n";
    if (strlen(text) >= TB_AUTHORITY_PEM || !g_str_has_prefix(text, begin) ||
        !g_str_has_suffix(text, end))
        return NULL;
    const char *body = text + strlen(begin);
    return strspn(body, letters) == strlen(body) - strlen(end) ? g_strdup(text) : NULL;
}

static void write_line(TbEgress *egress, const TbNetEvent *event)
{
    static const char full[] = "0\t\t\t0\trefused\tmore is not kept, since the log is full\t0\t0\n";
    g_autofree char *text = tb_net_event_format(event);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    if (egress->written > LOG_LIMIT)
        return;
    egress->written += strlen(line);
    bool last = egress->written > LOG_LIMIT;
    if (!tb_write_all(egress->log, last ? full : line, last ? strlen(full) : strlen(line),
                      "network", NULL))
        egress->written = LOG_LIMIT + 1;
}

static void take_packet(TbEgress *egress, const char *packet)
{
    g_auto(TbNetEvent) event = {0};
    g_mutex_lock(&egress->mutex);
    if (strcmp(packet, TB_EGRESS_READY) == 0) {
        egress->ready = true;
        g_cond_signal(&egress->changed);
    } else if (g_str_has_prefix(packet, TB_EGRESS_PEM)) {
        if (!egress->ready && !egress->authority)
            egress->authority = read_pem(packet + strlen(TB_EGRESS_PEM));
    } else if (tb_net_event_parse(packet, &event)) {
        count(&egress->counts, &event);
        note_refusal(egress, &event);
        write_line(egress, &event);
    }
    g_mutex_unlock(&egress->mutex);
}

static void *read_reports(void *data)
{
    TbEgress *egress = data;
    char packet[TB_EGRESS_PACKET + 1];
    for (;;) {
        ssize_t got = tb_packet_recv(egress->control, packet, sizeof packet - 1, 0);
        if (got <= 0)
            break;
        packet[got] = '\0';
        take_packet(egress, packet);
    }
    g_mutex_lock(&egress->mutex);
    egress->ended = true;
    g_cond_signal(&egress->changed);
    g_mutex_unlock(&egress->mutex);
    return NULL;
}

/* ---- its jail */

/* Of /etc what names and certificates need; of the rest what programs need to start. */
static const char *const shown[] = {"/usr",
                                    "/bin",
                                    "/sbin",
                                    "/lib",
                                    "/lib64",
                                    "/nix",
                                    "/etc/ld.so.cache",
                                    "/etc/resolv.conf",
                                    "/etc/hosts",
                                    "/etc/host.conf",
                                    "/etc/gai.conf",
                                    "/etc/services",
                                    "/etc/ssl/certs",
                                    "/etc/ssl/openssl.cnf",
                                    "/etc/ca-certificates",
                                    "/etc/pki/tls/certs",
                                    "/etc/pki/ca-trust"};
static const char names[] = "hosts: files dns\nservices: files\n";

static TbCommand *make_command(void)
{
    TbCommand *command = tb_command_new("bwrap");
    tb_command_env_clear(command);
    tb_command_add(command, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
                   "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop",
                   "ALL", "--hostname", "taskbox", "--clearenv", "--setenv", "PATH", "/usr/bin",
                   "--setenv", "LC_ALL", "C", "--setenv", "GIO_USE_VFS", "local", "--setenv",
                   "GIO_USE_PROXY_RESOLVER", "dummy", "--proc", "/proc", "--dev", "/dev", NULL);
    if (tb_hole_open())
        tb_command_add(command, "--setenv", "TASKBOX_HOLE", tb_hole_open(), NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
        tb_command_add(command, "--ro-bind-try", shown[i], shown[i], NULL);
    tb_command_add(command, "--file", G_STRINGIFY(FD_NAMES), "/etc/nsswitch.conf", "--perms",
                   "0555", "--file", G_STRINGIFY(FD_PROGRAM), PROGRAM, "--remount-ro", "/",
                   "--chdir", "/", "--", PROGRAM, NULL);
    return command;
}

/* Between fork and exec. Not by libc's functions, which would look for other threads. */
static int become(void *data)
{
    const TbJailUser *user = data;
    pid_t host = getppid();
    if (user->drops && (syscall(SYS_setgroups, 0, NULL) < 0 ||
                        syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0 ||
                        syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0))
        return -1;
    /* Another uid, and the kernel has forgotten whose death we want to hear of. */
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != host ? -1 : 0;
}

static int sealed(const char *name, const char *text, GError **error)
{
    tb_autofd fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || !tb_write_all(fd, text, strlen(text), name, NULL) || lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        tb_error_set_errno(error, errno, "cannot make '%s' for the egress process", name);
        return -1;
    }
    return tb_steal_fd(&fd);
}

int tb_egress_seal(const GPtrArray *secrets, GError **error)
{
    char *text = tb_secrets_format(secrets);
    int fd = sealed("taskbox-secrets", text, error);
    tb_secret_wipe(text);
    return fd;
}

static bool start_child(TbEgress *egress, const char *id, const TbNetPolicy *policy, int secrets,
                        GError **error)
{
    TbJailUser user;
    g_autofree char *path = tb_path_libexec("net/taskbox-egress", "taskbox-egress", error);
    if (!path || !tb_jail_user(id, &user, error))
        return false;
    g_autofree char *text = tb_net_policy_format(policy);
    tb_autofd config = sealed("taskbox-policy", text, error);
    tb_autofd name_service = config < 0 ? -1 : sealed("taskbox-names", names, error);
    if (name_service < 0)
        return false;
    tb_autofd program = open(path, O_RDONLY | O_CLOEXEC);
    int ends[2], words[2];
    if (program < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", path);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return tb_error_set_errno(error, errno, "cannot start the egress process");
    egress->control = ends[0];
    tb_autofd theirs = ends[1];
    if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0)
        return tb_error_set_errno(error, errno, "cannot start the egress process");
    egress->words = words[0];
    tb_autofd words_in = words[1];
    g_autoptr(TbCommand) command = make_command();
    tb_command_set_cwd(command, "/");
    tb_command_set_stdout_fd(command, words_in);
    tb_command_set_stderr_fd(command, words_in);
    tb_command_pass_fd(command, theirs, TB_EGRESS_CONTROL);
    tb_command_pass_fd(command, config, TB_EGRESS_CONFIG);
    tb_command_pass_fd(command, program, FD_PROGRAM);
    tb_command_pass_fd(command, name_service, FD_NAMES);
    if (secrets >= 0)
        tb_command_pass_fd(command, secrets, TB_EGRESS_SECRETS);
    tb_command_set_rlimit(command, RLIMIT_CORE, 0);
    tb_command_set_child_setup(command, become, &user);
    egress->child = tb_command_start(command, error);
    if (!egress->child)
        g_prefix_error(error, "cannot start the egress process: ");
    return egress->child != NULL;
}

/* ---- life */

TbEgress *tb_egress_start(const char *id, const TbNetPolicy *policy, int secrets, int log,
                          GError **error)
{
    g_autoptr(TbEgress) egress = g_new0(TbEgress, 1);
    egress->control = egress->words = -1;
    egress->log = log;
    g_mutex_init(&egress->mutex);
    g_cond_init(&egress->changed);
    egress->refusals = g_ptr_array_new_with_free_func(refusal_free);
    if (!start_child(egress, id, policy, secrets, error))
        return NULL;
    egress->reader = g_thread_new("network", read_reports, egress);
    return g_steal_pointer(&egress);
}

static bool send_port(const TbEgress *egress, int port)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (char[]){'p'}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &port, sizeof port);
    ssize_t sent;
    do
        sent = sendmsg(egress->control, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == 1;
}

static char *last_words(const TbEgress *egress)
{
    char text[WORDS_MAX];
    ssize_t got = read(egress->words, text, sizeof text - 1);
    text[MAX(got, 0)] = '\0';
    g_strdelimit(text, "\r\n", ' ');
    return tb_escape_name(g_strstrip(text));
}

bool tb_egress_attach(TbEgress *egress, int port, GError **error)
{
    tb_autofd ours = port;
    gint64 deadline = g_get_monotonic_time() + READY_MS * G_TIME_SPAN_MILLISECOND;
    bool sent = send_port(egress, ours);
    g_mutex_lock(&egress->mutex);
    while (sent && !egress->ready && !egress->ended)
        if (!g_cond_wait_until(&egress->changed, &egress->mutex, deadline))
            break;
    bool ready = egress->ready && !egress->ended;
    g_mutex_unlock(&egress->mutex);
    if (ready)
        return true;
    g_autofree char *words = last_words(egress);
    return tb_error_set(error, TB_ERROR_VM, "the egress process does not run%s%s",
                        *words ? ": " : "", words);
}

const char *tb_egress_authority(const TbEgress *egress)
{
    return egress->authority;
}

char *tb_egress_over(TbEgress *egress)
{
    g_mutex_lock(&egress->mutex);
    char *over = g_strdup(egress->over);
    g_mutex_unlock(&egress->mutex);
    return over;
}

GPtrArray *tb_egress_refusals(TbEgress *egress)
{
    return g_ptr_array_ref(egress->refusals);
}

void tb_egress_stop(TbEgress *egress, TbNetCounts *counts)
{
    g_mutex_lock(&egress->mutex);
    bool lost = egress->ended;
    g_mutex_unlock(&egress->mutex);
    shutdown(egress->control, SHUT_WR);
    tb_child_wait(egress->child, END_MS, NULL);
    tb_child_kill(egress->child, SIGKILL);
    shutdown(egress->control, SHUT_RD);
    g_thread_join(g_steal_pointer(&egress->reader));
    egress->counts.lost = lost;
    if (counts)
        *counts = egress->counts;
}

void tb_egress_free(TbEgress *egress)
{
    if (!egress)
        return;
    if (egress->reader)
        tb_egress_stop(egress, NULL);
    if (egress->child)
        tb_child_free(egress->child);
    tb_clear_fd(&egress->control);
    tb_clear_fd(&egress->words);
    g_mutex_clear(&egress->mutex);
    g_cond_clear(&egress->changed);
    g_ptr_array_unref(egress->refusals);
    g_free(egress->over);
    g_free(egress->authority);
    g_free(egress);
}
