/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox-vmm: libvirt's embedded driver in the jail, and nothing else.
 *
 * It takes the machine as arguments, starts it, and says on descriptor 3 what becomes of it, one
 * packet an event: "running", "frozen", "stopped REASON", "io-error REASON" (QEMU's word: enospc),
 * "error TEXT". It ends when the machine does. It decides nothing and knows no secret: a guest that
 * breaks out of QEMU can write into this process (same uid), so whatever it says is hostile to the
 * host's side.
 *
 * libvirt calls back on the event loop's thread while the main thread may be in a call of its own;
 * what the two share is `life`, under its mutex.
 *
 * When the host's end of that descriptor closes, taskbox is gone and everything here ends. bwrap
 * sees to that, too, but its init asks the kernel for it a moment after it was made: a taskbox that
 * is killed in that moment would leave the jail behind.
 *
 * The main thread also keeps the console file small: QEMU appends to it, so cutting it to nothing
 * is safe at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/hole.h"
#include "util/landlock.h"
#include "vm/domain.h"
#include "vm/layout.h"
#include "vm/vmm.h"

#define CONSOLE_LIMIT   (1024 * 1024)
#define TICK_MS         250
#define LOG_TAIL        512
#define MAX_TASKS       1024 /* processes and threads in the jail */
#define OWN_MEMORY      ((rlim_t)3 << 30)
#define CAPABILITY_FILE TB_JAIL_LIBVIRT "/cache/qemu/capabilities"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stopped, freeze;
} life = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

static struct {
    char *name, *cmdline;
    int cpus, bases;
    gint64 memory;
    gboolean kvm, initrd, overlay, project_disk, project_dir, network, probe, freezable, fork,
        share, share_port;
} arguments;

static const GOptionEntry options[] = {
    {"name", 0, 0, G_OPTION_ARG_STRING, &arguments.name, NULL, NULL},
    {"cpus", 0, 0, G_OPTION_ARG_INT, &arguments.cpus, NULL, NULL},
    {"memory", 0, 0, G_OPTION_ARG_INT64, &arguments.memory, NULL, NULL},
    {"bases", 0, 0, G_OPTION_ARG_INT, &arguments.bases, NULL, NULL},
    {"kvm", 0, 0, G_OPTION_ARG_NONE, &arguments.kvm, NULL, NULL},
    {"initrd", 0, 0, G_OPTION_ARG_NONE, &arguments.initrd, NULL, NULL},
    {"cmdline", 0, 0, G_OPTION_ARG_STRING, &arguments.cmdline, NULL, NULL},
    {"overlay", 0, 0, G_OPTION_ARG_NONE, &arguments.overlay, NULL, NULL},
    {"project-disk", 0, 0, G_OPTION_ARG_NONE, &arguments.project_disk, NULL, NULL},
    {"project-dir", 0, 0, G_OPTION_ARG_NONE, &arguments.project_dir, NULL, NULL},
    {"network", 0, 0, G_OPTION_ARG_NONE, &arguments.network, NULL, NULL},
    {"probe", 0, 0, G_OPTION_ARG_NONE, &arguments.probe, NULL, NULL},
    {"freezable", 0, 0, G_OPTION_ARG_NONE, &arguments.freezable, NULL, NULL},
    {"share", 0, 0, G_OPTION_ARG_NONE, &arguments.share, NULL, NULL},
    {"share-port", 0, 0, G_OPTION_ARG_NONE, &arguments.share_port, NULL, NULL},
    {"fork", 0, 0, G_OPTION_ARG_NONE, &arguments.fork, NULL, NULL},
    {NULL},
};

void tb_vmm_report(const char *format, ...)
{
    char packet[TB_JAIL_EVENT_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(packet, sizeof packet, format, args);
    va_end(args);
    size_t size = MIN((size_t)length, sizeof packet - 1);
    while (send(TB_JAIL_EVENT_FD, packet, size, MSG_NOSIGNAL) < 0 && errno == EINTR)
        continue;
}

bool tb_vmm_fail(const char *what, const char *reason)
{
    const virError *last = virGetLastError();
    if (!reason)
        reason = last && last->message ? last->message : "unknown cause";
    tb_vmm_report("error %s: %s", what, reason);
    return false;
}

static int fail(const char *what)
{
    tb_vmm_fail(what, NULL);
    return EXIT_FAILURE;
}

static void quiet(void *data, virErrorPtr error)
{
}

/* What can come is the wish to freeze the machine, and the end. */
static void *watch_host(void *data)
{
    char word[sizeof TB_JAIL_FREEZE];
    for (;;) {
        ssize_t got = recv(TB_JAIL_EVENT_FD, word, sizeof word, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != strlen(TB_JAIL_FREEZE) || memcmp(word, TB_JAIL_FREEZE, (size_t)got) != 0)
            break;
        pthread_mutex_lock(&life.mutex);
        life.freeze = true;
        pthread_cond_signal(&life.changed);
        pthread_mutex_unlock(&life.mutex);
    }
    kill(-1, SIGKILL); /* all in the jail but its init, which ends when it has no children */
    _exit(EXIT_FAILURE);
}

static void *run_loop(void *data)
{
    while (virEventRunDefaultImpl() == 0)
        continue;
    tb_vmm_report("error libvirt's event loop broke");
    _exit(EXIT_FAILURE);
}

/* The last line QEMU wrote before it died. */
static char *qemu_last_words(void)
{
    g_autofree char *path = g_strdup_printf("%s/log/qemu/%s.log", TB_JAIL_LIBVIRT, arguments.name);
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    char tail[LOG_TAIL + 1] = "";
    if (fd < 0 || fstat(fd, &st) < 0)
        return g_strdup("");
    ssize_t got = pread(fd, tail, LOG_TAIL, MAX(0, st.st_size - LOG_TAIL));
    tail[MAX(got, 0)] = '\0';
    g_auto(GStrv) lines = g_strsplit(g_strchomp(tail), "\n", -1);
    for (guint i = g_strv_length(lines); i > 0; i--)
        if (strstr(lines[i - 1], "qemu-system") && !strstr(lines[i - 1], "terminating on signal"))
            return g_strdup(strstr(lines[i - 1], "qemu-system"));
    return g_strdup("");
}

static const char *stop_reason(int detail)
{
    switch (detail) {
    case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
        return "shutdown";
    case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
        return "crashed";
    case VIR_DOMAIN_EVENT_STOPPED_FAILED:
        return "failed";
    default:
        return "destroyed";
    }
}

static int on_life(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
    if (event != VIR_DOMAIN_EVENT_STOPPED)
        return 0;
    bool clean = detail == VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN;
    g_autofree char *words = clean ? g_strdup("") : qemu_last_words();
    tb_vmm_report("stopped %s %s", stop_reason(detail), words);
    pthread_mutex_lock(&life.mutex);
    life.stopped = true;
    pthread_cond_signal(&life.changed);
    pthread_mutex_unlock(&life.mutex);
    return 0;
}

static void on_io_error(virConnectPtr connection, virDomainPtr domain, const char *source,
                        const char *device, int action, const char *reason, void *data)
{
    if (action == VIR_DOMAIN_EVENT_IO_ERROR_PAUSE)
        tb_vmm_report("io-error %s", reason && *reason ? reason : "other");
}

static bool watch_events(virConnectPtr connection)
{
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                            VIR_DOMAIN_EVENT_CALLBACK(on_life), NULL, NULL) >= 0 &&
           virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
                                            VIR_DOMAIN_EVENT_CALLBACK(on_io_error), NULL,
                                            NULL) >= 0;
}

static void cap_console(void)
{
    tb_autofd fd =
        open(TB_JAIL_DIR "/" TB_BOX_CONSOLE, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= CONSOLE_LIMIT)
        return;
    if (ftruncate(fd, 0) < 0)
        tb_vmm_report("io-error console");
}

/* True: the host wants the machine frozen; false: it has stopped. */
static bool wait_for_change(void)
{
    pthread_mutex_lock(&life.mutex);
    while (!life.stopped && !life.freeze) {
        struct timespec next;
        clock_gettime(CLOCK_REALTIME, &next);
        next.tv_nsec += TICK_MS * 1000000L;
        next.tv_sec += next.tv_nsec / 1000000000L;
        next.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&life.changed, &life.mutex, &next) == ETIMEDOUT)
            cap_console();
    }
    bool freeze = life.freeze && !life.stopped;
    life.freeze = false;
    pthread_mutex_unlock(&life.mutex);
    return freeze;
}

static TbDomainSpec domain_spec(virConnectPtr connection)
{
    static const char *const bases[] = TB_JAIL_BASES;
    TbDomainSpec spec = {
        .bases = bases,
        .n_bases = (unsigned)CLAMP(arguments.bases, 0, (int)G_N_ELEMENTS(bases)),
        .name = arguments.name,
        .emulator = TB_EMULATOR,
        .cpus = (unsigned)arguments.cpus,
        .memory = (uint64_t)arguments.memory,
        .kvm = arguments.kvm,
        .kernel = TB_JAIL_KERNEL,
        .initrd = arguments.initrd ? TB_JAIL_INITRD : NULL,
        .cmdline = arguments.cmdline,
        .disk = arguments.overlay ? TB_JAIL_DIR "/" TB_BOX_OVERLAY : TB_JAIL_IMAGE,
        .backing = arguments.overlay ? TB_JAIL_IMAGE : NULL,
        .project_disk = arguments.project_disk ? TB_JAIL_PROJECT_DISK : NULL,
        .project_dir = arguments.project_dir ? TB_JAIL_PROJECT_DIR : NULL,
        .share_port = arguments.share_port,
        .network = arguments.network,
        .channel = TB_JAIL_DIR "/" TB_BOX_CHANNEL,
        .egress = TB_JAIL_DIR "/" TB_BOX_EGRESS,
        .console = TB_JAIL_DIR "/" TB_BOX_CONSOLE,
    };
    if (arguments.freezable) {
        spec.memory_kind = TB_MEMORY_SHARED;
        spec.memory_file = TB_JAIL_DIR "/" TB_BOX_MEMORY;
    } else if (arguments.fork) {
        spec.memory_kind = TB_MEMORY_PRIVATE;
        spec.memory_file = TB_JAIL_MEMORY;
        spec.memory_preload = tb_vmm_maps_read_only(connection) ? NULL : TB_JAIL_PRELOAD;
        spec.backing = TB_JAIL_TEMPLATE_DISK;
        spec.base = TB_JAIL_IMAGE;
    }
    if (arguments.share) {
        spec.memory_kind = arguments.fork ? TB_MEMORY_COPY : TB_MEMORY_OWN;
        spec.memory_file = TB_JAIL_OWN_MEMORY;
    }
    if (arguments.fork && tb_hole("template-write")) {
        spec.backing = TB_JAIL_IMAGE;
        spec.base = NULL;
    }
    return spec;
}

static int run_domain(virConnectPtr connection)
{
    if (!watch_events(connection))
        return fail("cannot watch the VM");
    if (arguments.share && !tb_vmm_make_memory((uint64_t)arguments.memory, arguments.fork))
        return EXIT_FAILURE;
    TbDomainSpec spec = domain_spec(connection);
    g_autofree char *xml = tb_domain_xml(&spec);
    bool paused = arguments.fork || arguments.share;
    g_autoptr(virDomain) domain =
        virDomainCreateXML(connection, xml, paused ? VIR_DOMAIN_START_PAUSED : 0);
    if (!domain)
        return fail("cannot start the VM");
    if ((arguments.fork && !tb_vmm_thaw(domain)) || (arguments.share && !tb_vmm_plug_share(domain)))
        return EXIT_FAILURE;
    if (paused && virDomainResume(domain) < 0)
        return fail("cannot let the VM run");
    tb_vmm_report("running");
    while (wait_for_change()) {
        if (!tb_vmm_freeze(domain))
            return EXIT_FAILURE;
        tb_vmm_report("frozen");
    }
    return EXIT_SUCCESS;
}

/* Of each process in the jail, QEMU first. Measured with 2 GiB for the guest: 5.9 GiB of addresses,
 * since QEMU reserves the guest's memory twice (domain.c) and for translated code; the rest is
 * room. Where there is no sanitizer, which reserves terabytes. */
static void limit_memory(void)
{
#ifndef __SANITIZE_ADDRESS__
    if (arguments.probe || arguments.memory <= 0)
        return;
    rlim_t most = 2 * (rlim_t)arguments.memory + OWN_MEMORY;
    struct rlimit memory = {.rlim_cur = most, .rlim_max = most};
    setrlimit(RLIMIT_AS, &memory);
#endif
}

/* Where the kernel has landlock, it says once more what the mounts of the jail say. */
static bool limit_files(void)
{
    /* The image itself is writable to a build alone, and else only shown. */
    const char *const writable[] = {TB_JAIL_DIR, TB_JAIL_LIBVIRT, "/tmp", "/run", "/var",
                                    "/dev",      TB_JAIL_RAM,     NULL,   NULL};
    const char *paths[G_N_ELEMENTS(writable)];
    memcpy(paths, writable, sizeof paths);
    if (!arguments.probe && !arguments.overlay)
        paths[G_N_ELEMENTS(paths) - 2] = TB_JAIL_IMAGE;
    if (tb_hole("project-disk"))
        paths[G_N_ELEMENTS(paths) - 2] = TB_JAIL_PROJECT_DISK;
    if (tb_hole("share-9p"))
        paths[G_N_ELEMENTS(paths) - 2] = TB_JAIL_PROJECT_DIR;
    int refused = tb_hole("jail-landlock") ? 0 : tb_landlock_enter(tb_landlock_version(), paths);
    return refused == 0 || tb_vmm_fail("cannot set landlock's rules", strerror(refused));
}

/* Copies what libvirt found out about this QEMU to where the host finds it. */
static int run_probe(virConnectPtr connection)
{
    g_autofree char *answer = virConnectGetDomainCapabilities(
        connection, TB_EMULATOR, "x86_64", "q35", arguments.kvm ? "kvm" : "qemu", 0);
    if (!answer)
        return fail("libvirt cannot use QEMU");
    g_autoptr(GError) error = NULL;
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, TB_EMULATOR, -1);
    g_autofree char *path = g_strdup_printf("%s/%s.xml", CAPABILITY_FILE, digest);
    g_autofree char *content = NULL;
    gsize length = 0;
    if (g_file_get_contents(path, &content, &length, &error) &&
        g_file_set_contents(TB_JAIL_DIR "/" TB_BOX_CAPABILITIES, content, (gssize)length, &error))
        tb_vmm_report("running");
    else
        tb_vmm_report("error %s", error->message);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 1 ||
        (!arguments.probe && (!arguments.name || !arguments.cmdline))) {
        fprintf(stderr, "taskbox-vmm: %s (it is started by taskbox only)\n",
                error ? error->message : "wrong arguments");
        return EXIT_FAILURE;
    }
    fcntl(TB_JAIL_EVENT_FD, F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    /* Here and not on the way in: in a user namespace of our own only the jail's tasks count. */
    struct rlimit tasks = {.rlim_cur = MAX_TASKS, .rlim_max = MAX_TASKS};
    setrlimit(RLIMIT_NPROC, &tasks);

    if (!limit_files())
        return EXIT_FAILURE;
    limit_memory();
    virSetErrorFunc(NULL, quiet);
    pthread_t watcher, loop;
    if (pthread_create(&watcher, NULL, watch_host, NULL) != 0)
        return fail("cannot watch the host");
    if (virEventRegisterDefaultImpl() < 0 || pthread_create(&loop, NULL, run_loop, NULL) != 0)
        return fail("cannot start libvirt's event loop");
    virConnectPtr connection = virConnectOpen("qemu:///embed?root=" TB_JAIL_LIBVIRT);
    if (!connection)
        return fail("cannot open libvirt's embedded driver");
    /* The connection is not closed: the process ends, and with it the jail. */
    return arguments.probe ? run_probe(connection) : run_domain(connection);
}
