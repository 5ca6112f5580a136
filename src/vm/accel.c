/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether KVM is good for anything. Some hosts offer a /dev/kvm that makes VMs and then interprets
 * every instruction, a thousand times slower than TCG. So it is tried: a guest of a few bytes that
 * counts to a million has to be done in the time given. A child does it, because only SIGKILL
 * surely ends a guest that does not come back.
 *
 * The answer is kept for this boot of the host. "Too slow" is believed after three tries only: a
 * busy host is no broken one. That the device is not there or not allowed is never kept: it costs
 * nothing to see, and changes.
 */
#include "vm/box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/paths.h"

#define CACHE_FILE  "accelerator"
#define CACHE_LIMIT 512
#define BOOT_ID     "/proc/sys/kernel/random/boot_id"
#define SETUP_MS    250
#define RUN_MS      100
#define TRIES       3
#define PAGE        4096
#define GUEST_START 0x1000
#define TSS_ADDRESS 0xfffbd000UL

/* What the child says: one byte when the guest is about to run, one when it is done. */
enum { SAID_READY = 'r', SAID_DONE = 'd' };

typedef enum { KVM_WORKS, KVM_SLOW, KVM_BROKEN } KvmVerdict;

/* 16 bit code: mov ecx, 1000000; again: dec ecx; jnz again; hlt */
static const uint8_t guest_code[] = {0x66, 0xb9, 0x40, 0x42, 0x0f, 0x00,
                                     0x66, 0x49, 0x75, 0xfc, 0xf4};

const char *tb_accel_name(TbAccel accel)
{
    return accel == TB_ACCEL_KVM ? "kvm" : "tcg";
}

/* ---- in the child: system calls only */

static int make_guest(int kvm, int *vcpu)
{
    int vm = ioctl(kvm, KVM_CREATE_VM, 0UL);
    if (vm < 0)
        return -1;
    ioctl(vm, KVM_SET_TSS_ADDR, TSS_ADDRESS); /* older processors want it; others do not mind */
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return -1;
    memcpy(page, guest_code, sizeof guest_code);
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = GUEST_START, .memory_size = PAGE, .userspace_addr = (uintptr_t)page};
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return -1;
    *vcpu = ioctl(vm, KVM_CREATE_VCPU, 0UL);
    struct kvm_sregs segments;
    if (*vcpu < 0 || ioctl(*vcpu, KVM_GET_SREGS, &segments) < 0)
        return -1;
    segments.cs.base = 0;
    segments.cs.selector = 0;
    struct kvm_regs registers = {.rip = GUEST_START, .rflags = 2};
    if (ioctl(*vcpu, KVM_SET_SREGS, &segments) < 0 || ioctl(*vcpu, KVM_SET_REGS, &registers) < 0)
        return -1;
    return ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL);
}

static void say(int fd, char what)
{
    ssize_t written = write(fd, &what, 1);
    (void)written; /* the parent has stopped listening: then it kills us */
}

static _Noreturn void child_main(pid_t parent, int kvm, int report)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the prctl */
        _exit(1);
    int vcpu = -1;
    int size = make_guest(kvm, &vcpu);
    if (size < 0)
        _exit(1);
    struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED)
        _exit(1);
    say(report, SAID_READY);
    while (ioctl(vcpu, KVM_RUN, 0UL) < 0)
        if (errno != EINTR)
            _exit(1);
    if (run->exit_reason != KVM_EXIT_HLT)
        _exit(1);
    say(report, SAID_DONE);
    _exit(0);
}

/* ---- in the parent */

/* The child's next byte; 0 when it ended, -1 when the time is over. */
static int hear(int fd, int milliseconds)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)milliseconds * 1000;
    for (;;) {
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int result = poll(&ready, 1, (int)MAX(left, 0));
        if (result == 0)
            return -1;
        char byte = 0;
        ssize_t got = result > 0 ? read(fd, &byte, 1) : -1;
        if (got >= 0)
            return got == 1 ? byte : 0;
        if (errno != EINTR)
            return 0;
    }
}

static KvmVerdict try_once(int kvm)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return KVM_BROKEN;
    tb_autofd reader = ends[0];
    tb_autofd writer = ends[1];
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return KVM_BROKEN;
    if (pid == 0)
        child_main(self, kvm, writer);
    tb_clear_fd(&writer);
    KvmVerdict verdict = KVM_WORKS;
    int first = hear(reader, SETUP_MS);
    int second = first == SAID_READY ? hear(reader, RUN_MS) : first;
    if (second < 0)
        verdict = KVM_SLOW;
    else if (second != SAID_DONE)
        verdict = KVM_BROKEN;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return verdict;
}

static KvmVerdict try_kvm(int kvm)
{
    KvmVerdict verdict = KVM_SLOW;
    for (int i = 0; i < TRIES && verdict == KVM_SLOW; i++)
        verdict = try_once(kvm);
    return verdict;
}

static const char *const verdict_words[] = {
    [KVM_WORKS] = "KVM works",
    [KVM_SLOW] = "/dev/kvm is there but runs guests too slowly to be of use",
    [KVM_BROKEN] = "/dev/kvm is there but cannot run a guest",
};

/* ---- the answer of this boot: "BOOT-ID VERDICT" */

static char *boot_id(void)
{
    char *text = NULL;
    if (!g_file_get_contents(BOOT_ID, &text, NULL, NULL))
        return NULL;
    return g_strchomp(text);
}

static int open_cache(void)
{
    g_autofree char *path = tb_path_cache();
    return tb_make_dirs(path, 0700, NULL) ? tb_open_private_dir(path, NULL) : -1;
}

static bool recall(int cache, const char *boot, KvmVerdict *verdict)
{
    g_autoptr(GBytes) bytes = tb_read_file_at(cache, CACHE_FILE, CACHE_LIMIT, NULL);
    if (!bytes)
        return false;
    const char *text = g_bytes_get_data(bytes, NULL);
    size_t length = strlen(boot);
    if (strncmp(text, boot, length) != 0 || text[length] != ' ' || text[length + 1] < '0' ||
        text[length + 1] > '0' + KVM_BROKEN)
        return false;
    *verdict = (KvmVerdict)(text[length + 1] - '0');
    return true;
}

static void remember(int cache, const char *boot, KvmVerdict verdict)
{
    g_autofree char *line = g_strdup_printf("%s %d\n", boot, (int)verdict);
    g_autoptr(GError) error = NULL;
    if (!tb_write_atomic(cache, CACHE_FILE, line, strlen(line), 0600, &error))
        tb_debug("%s", error->message);
}

TbAccel tb_accel_probe(char **why)
{
    tb_autofd kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0) {
        if (why)
            *why = g_strdup_printf("cannot open /dev/kvm: %s%s", g_strerror(errno),
                                   errno == EACCES ? " (join its group, usually 'kvm')" : "");
        return TB_ACCEL_TCG;
    }
    KvmVerdict verdict = KVM_BROKEN;
    tb_autofd cache = open_cache();
    g_autofree char *boot = boot_id();
    if (cache < 0 || !boot || !recall(cache, boot, &verdict)) {
        verdict = try_kvm(kvm);
        if (cache >= 0 && boot)
            remember(cache, boot, verdict);
    }
    if (why)
        *why = g_strdup(verdict_words[verdict]);
    return verdict == KVM_WORKS ? TB_ACCEL_KVM : TB_ACCEL_TCG;
}
