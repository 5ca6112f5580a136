/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a jail.
 *
 * The child we start is a guard with bwrap's outer process below it; what holds the jail together
 * is its first process inside, init of the process-id namespace. bwrap tells its number before
 * anything in the jail runs, and a pidfd on it is how we kill and how we know: the kernel lets that
 * descriptor become readable only when every process of the namespace is gone.
 *
 * Should we die without a chance to kill, the guard in front of bwrap hears of it (jail-stage.c);
 * bwrap's init dies with bwrap, and taskbox-vmm ends when its event socket has no other end.
 */
#include "vm/jail-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/packet.h"
#include "util/paths.h"
#include "vm/cgroup.h"
#include "vm/layout.h"

#define MAX_FILES   4096 /* descriptors a process may have */
#define GONE_MS     10000
#define REAP_MS     200
#define INFO_LIMIT  4096
#define STDERR_TAIL 400
#define MAX_DATA    6

struct TbJail {
    TbChild *child;
    TbCgroup *group; /* NULL: none here */
    int init;        /* pidfd of the first process inside; -1: bwrap did not get that far */
    int events;      /* our end */
    int errors;      /* read end of stderr */
};

int tb_jail_memfd(const char *name, const void *data, size_t length, GError **error)
{
    tb_autofd fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0 || !tb_write_all(fd, data, length, name, error) || lseek(fd, 0, SEEK_SET) < 0) {
        if (fd < 0 || (error && !*error))
            tb_error_set_errno(error, errno, "cannot make '%s' for the jail", name);
        return -1;
    }
    return tb_steal_fd(&fd);
}

/* ---- files that are made for the jail */

static const char libvirt_conf[] = "security_driver = \"none\"\n" /* the jail is the confinement */
                                   "dynamic_ownership = 0\n"
                                   "remember_owner = 0\n"
                                   "cgroup_controllers = []\n"
                                   "namespaces = []\n"
                                   "stdio_handler = \"file\"\n"
                                   "max_core = 0\n";

static const char hosts[] = "127.0.0.1 localhost taskbox\n::1 localhost\n";
static const char name_service[] =
    "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n";

typedef struct {
    TbJailData items[MAX_DATA];
    unsigned n;
    char *capabilities_path;
} DataFiles;

static void clear_data(DataFiles *files)
{
    for (unsigned i = 0; i < files->n; i++)
        tb_clear_fd(&files->items[i].fd);
    g_free(files->capabilities_path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DataFiles, clear_data)

static bool add_data(DataFiles *files, const char *target, const void *data, size_t length,
                     GError **error)
{
    int fd = tb_jail_memfd(target, data, length, error);
    if (fd < 0)
        return false;
    files->items[files->n++] = (TbJailData){.target = target, .fd = fd};
    return true;
}

typedef struct {
    uint32_t uid, gid;
} Inside;

static Inside seen_from_inside(const TbJailSpec *spec, const TbJailUser *user)
{
    bool other = user->drops && spec->uid;
    return (Inside){.uid = other ? spec->uid : user->uid,
                    .gid = other && spec->gid ? spec->gid : user->gid};
}

static bool make_data(DataFiles *files, const TbJailSpec *spec, const TbJailUser *user,
                      GError **error)
{
    const Inside inside = seen_from_inside(spec, user);
    g_autofree char *passwd =
        g_strdup_printf("taskbox:x:%u:%u::/tmp:/usr/sbin/nologin\n", inside.uid, inside.gid);
    g_autofree char *group = g_strdup_printf("taskbox:x:%u:\n", inside.gid);
    if ((!spec->file_server && !add_data(files, TB_JAIL_LIBVIRT "/etc/qemu.conf", libvirt_conf,
                                         strlen(libvirt_conf), error)) ||
        !add_data(files, "/etc/passwd", passwd, strlen(passwd), error) ||
        !add_data(files, "/etc/group", group, strlen(group), error) ||
        !add_data(files, "/etc/hosts", hosts, strlen(hosts), error) ||
        !add_data(files, "/etc/nsswitch.conf", name_service, strlen(name_service), error))
        return false;
    if (!spec->capabilities)
        return true;
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, TB_EMULATOR, -1);
    files->capabilities_path =
        g_strdup_printf("%s/cache/qemu/capabilities/%s.xml", TB_JAIL_LIBVIRT, digest);
    gsize length = 0;
    const void *data = g_bytes_get_data(spec->capabilities, &length);
    return add_data(files, files->capabilities_path, data, length, error);
}

/* ---- start */

/* Waits for bwrap's {"child-pid": N, ...}; -1 when it ended before. */
static int read_init(int fd)
{
    char text[INFO_LIMIT + 1];
    size_t length = 0;
    while (length < INFO_LIMIT) {
        ssize_t got = read(fd, text + length, INFO_LIMIT - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
        if (memchr(text, '}', length))
            break;
    }
    text[length] = '\0';
    const char *key = strstr(text, "\"child-pid\":");
    int pid = key ? (int)g_ascii_strtoll(key + strlen("\"child-pid\":"), NULL, 10) : -1;
    return pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0U) : -1;
}

static bool make_pipes(int events[2], int errors[2], int info[2], GError **error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, events) < 0 ||
        pipe2(errors, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(info, O_CLOEXEC) < 0)
        return tb_error_set_errno(error, errno, "cannot make the jail's pipes");
    return true;
}

static bool explain(const TbJailUser *user, GError **error)
{
    if (error && g_error_matches(*error, TB_ERROR, TB_ERROR_DEPENDENCY)) {
        g_clear_error(error);
        return tb_error_set(error, TB_ERROR_DEPENDENCY,
                            "cannot make the jail: 'bwrap' is not installed (install the package "
                            "'bubblewrap')");
    }
    g_prefix_error(error, "cannot make the jail: ");
    if (error && user->drops && g_error_matches(*error, TB_ERROR, TB_ERROR_DENIED)) {
        g_autofree char *text = g_steal_pointer(&(*error)->message);
        (*error)->message = g_strdup_printf("%s (root may not mount here: run taskbox as an "
                                            "ordinary user)",
                                            text);
    }
    return false;
}

/* The group's cgroup.procs; -1: no group can be had here, which 'taskbox doctor' explains. */
static int join_group(TbJail *jail, const TbJailSpec *spec)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbCgroupPlace) place = tb_cgroup_find(NULL);
    if (!place)
        return -1;
    jail->group = tb_cgroup_new(place, spec->id, spec->memory, &error);
    if (!jail->group)
        tb_warn("%s (the limits of each process hold without it)", error->message);
    return jail->group ? tb_cgroup_fd(jail->group) : -1;
}

uint64_t tb_jail_server_files(void)
{
    struct rlimit files = {.rlim_max = MAX_FILES};
    getrlimit(RLIMIT_NOFILE, &files);
    return files.rlim_max;
}

static bool start_child(TbJail *jail, const TbJailPlan *plan, const TbJailUser *user,
                        GError **error)
{
    tb_autofd filter = tb_jail_filter(plan->spec, error);
    int events[2] = {-1, -1}, errors[2] = {-1, -1}, info[2] = {-1, -1};
    if (filter < 0)
        return false;
    bool piped = make_pipes(events, errors, info, error);
    jail->events = events[0];
    jail->errors = errors[0];
    tb_autofd events_inside = events[1];
    tb_autofd errors_inside = errors[1];
    tb_autofd info_reader = info[0];
    tb_autofd info_writer = info[1];
    g_auto(TbStage) stage = {.host = getpid(), .group = join_group(jail, plan->spec)};
    if (!piped || (user->drops && !tb_stage_prepare(&stage, user, plan, error)))
        return false;

    g_autoptr(TbCommand) command = tb_jail_command(plan);
    tb_command_set_stdout_fd(command, errors_inside);
    tb_command_set_stderr_fd(command, errors_inside);
    tb_command_pass_fd(command, events_inside, TB_JAIL_EVENT_FD);
    tb_command_pass_fd(command, filter, FD_FILTER);
    tb_command_pass_fd(command, info_writer, FD_INFO);
    for (unsigned i = 0; i < plan->n_data; i++)
        tb_command_pass_fd(command, plan->data[i].fd, FD_DATA + (int)i);
    tb_command_set_rlimit(command, RLIMIT_CORE, 0);
    if (plan->spec->file_server) {
        tb_command_pass_fd(command, plan->spec->listener, TB_JAIL_LISTEN_FD);
        tb_command_set_rlimit(command, RLIMIT_NOFILE, tb_jail_server_files());
    } else {
        tb_command_set_rlimit(command, RLIMIT_NOFILE, MAX_FILES);
    }
    tb_command_set_rlimit(command, RLIMIT_FSIZE, plan->spec->file_limit);
    tb_command_set_child_setup(command, user->drops ? tb_stage_enter : tb_stage_stay, &stage);
    jail->child = tb_command_start(command, error);
    if (!jail->child)
        return explain(user, error);
    tb_clear_fd(&info_writer);
    jail->init = read_init(info_reader);
    return true;
}

TbJail *tb_jail_start(const TbJailSpec *spec, GError **error)
{
    TbJailUser user;
    g_auto(DataFiles) files = {0};
    g_autofree char *vmm = spec->program ? g_strdup(spec->program)
                                         : tb_path_libexec("vm/taskbox-vmm", "taskbox-vmm", error);
    if (!vmm || !tb_jail_user(spec->id, &user, error) || !make_data(&files, spec, &user, error))
        return NULL;
    g_assert(spec->n_binds <= TB_JAIL_MAX_BINDS);
    const char *sources[TB_STAGE_ITEMS] = {spec->dir, vmm};
    for (unsigned i = 0; i < spec->n_binds; i++)
        sources[i + 2] = spec->binds[i].source;
    const Inside inside = seen_from_inside(spec, &user);
    TbJailPlan plan = {.spec = spec,
                       .vmm = vmm,
                       .uid = inside.uid,
                       .gid = inside.gid,
                       .sources = sources,
                       .data = files.items,
                       .n_data = files.n};
    static const char *const staged[TB_STAGE_ITEMS] = {
        "/tmp/0", "/tmp/1", "/tmp/2", "/tmp/3",  "/tmp/4",  "/tmp/5",  "/tmp/6",
        "/tmp/7", "/tmp/8", "/tmp/9", "/tmp/10", "/tmp/11", "/tmp/12", "/tmp/13"};
    if (user.drops)
        plan.sources = staged;
    g_autoptr(TbJail) jail = g_new0(TbJail, 1);
    jail->init = jail->events = jail->errors = -1;
    if (!start_child(jail, &plan, &user, error))
        return NULL;
    return g_steal_pointer(&jail);
}

/* ---- end */

static void await_end_of_namespace(const TbJail *jail)
{
    struct pollfd gone = {.fd = jail->init, .events = POLLIN};
    int ready;
    while ((ready = poll(&gone, 1, GONE_MS)) < 0 && errno == EINTR)
        continue;
    if (ready == 0)
        tb_warn("a process of the box does not end (it hangs in the kernel)");
}

void tb_jail_free(TbJail *jail)
{
    if (!jail)
        return;
    if (jail->init >= 0) {
        syscall(SYS_pidfd_send_signal, jail->init, SIGKILL, NULL, 0U);
        await_end_of_namespace(jail);
        tb_child_wait(jail->child, REAP_MS, NULL); /* bwrap reaps its init and ends */
    }
    if (jail->child)
        tb_child_free(jail->child);
    if (jail->group && tb_cgroup_killed(jail->group) > 0)
        tb_warn("the box's memory was used up, taken together: the kernel has ended it");
    tb_cgroup_free(jail->group);
    tb_clear_fd(&jail->init);
    tb_clear_fd(&jail->events);
    tb_clear_fd(&jail->errors);
    g_free(jail);
}

/* ---- events */

int tb_jail_fd(const TbJail *jail)
{
    return jail->events;
}

bool tb_jail_say(TbJail *jail, const char *word, GError **error)
{
    while (send(jail->events, word, strlen(word), MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return tb_error_set_errno(error, errno, "cannot reach the jail");
    return true;
}

static char *last_errors(TbJail *jail)
{
    char text[65536];
    ssize_t got = read(jail->errors, text, sizeof text);
    if (got <= 0)
        return g_strdup("");
    while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == ' '))
        got--;
    const char *start = text, *end = text + got;
    if (got > STDERR_TAIL) { /* whole lines, if there are any */
        start = end - STDERR_TAIL;
        const char *newline = memchr(start, '\n', STDERR_TAIL);
        start = newline ? newline + 1 : start;
    }
    for (char *at = text; at < end; at++)
        if (*at == '\n')
            *at = ' ';
    return tb_escape_terminal(start, (size_t)(end - start), false);
}

TbJailNext tb_jail_next(TbJail *jail, char **word, char **rest)
{
    char packet[TB_JAIL_EVENT_MAX];
    ssize_t got = tb_packet_recv(jail->events, packet, sizeof packet, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return TB_JAIL_AGAIN;
    if (got <= 0) {
        *rest = last_errors(jail);
        return TB_JAIL_ENDED;
    }
    const char *space = memchr(packet, ' ', (size_t)got);
    size_t first = space ? (size_t)(space - packet) : (size_t)got;
    *word = tb_escape_terminal(packet, first, false);
    *rest = space ? tb_escape_terminal(space + 1, (size_t)got - first - 1, false) : g_strdup("");
    return TB_JAIL_EVENT;
}
