/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt starts QEMU once or twice to ask it what it can do, and keeps the answer in a file. Every
 * box gets a copy of that file from here; nothing ever comes back from a box that ran a guest.
 *
 * libvirt checks the file against the binaries it was made for and makes its own when it does not
 * fit, so a stale copy costs time and nothing else. The key only says when to ask again.
 */
#include "vm/capabilities.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"
#include "util/paths.h"
#include "vm/jail.h"
#include "vm/layout.h"

#define SIZE_LIMIT    (4 * 1024 * 1024)
#define PROBE_SECONDS 60
#define POLL_MS       200

static const char *const watched[] = {
    TB_EMULATOR,
    "/usr/lib/x86_64-linux-gnu/libvirt.so.0",
    "/usr/lib64/libvirt.so.0",
    "/usr/lib/libvirt.so.0",
};

static void append_file(GString *text, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0)
        g_string_append_printf(text, "|%s %ju %jd %jd.%09ld", path, (uintmax_t)st.st_ino,
                               (intmax_t)st.st_size, (intmax_t)st.st_ctim.tv_sec,
                               st.st_ctim.tv_nsec);
}

void tb_capabilities_identity(GString *text)
{
    for (size_t i = 0; i < G_N_ELEMENTS(watched); i++)
        append_file(text, watched[i]);
}

static char *cache_name(bool kvm)
{
    g_autoptr(GString) text = g_string_new(kvm ? "kvm 2" : "tcg 2");
    tb_capabilities_identity(text);
    append_file(text, "/proc/sys/kernel/random/boot_id");
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, -1);
    digest[32] = '\0';
    return g_strconcat(digest, ".xml", NULL);
}

static bool await_probe(TbJail *jail, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)PROBE_SECONDS * G_USEC_PER_SEC;
    for (;;) {
        g_autofree char *word = NULL, *rest = NULL;
        switch (tb_jail_next(jail, &word, &rest)) {
        case TB_JAIL_EVENT:
            if (strcmp(word, "running") == 0)
                return true;
            return tb_error_set(error, TB_ERROR_VM, "cannot use QEMU: %s", rest);
        case TB_JAIL_ENDED:
            return tb_error_set(error, TB_ERROR_VM,
                                "cannot run the jail: %s (see 'taskbox doctor')",
                                *rest ? rest : "it ended without a word");
        case TB_JAIL_AGAIN:
            break;
        }
        if (!tb_interrupt_check(error))
            return false;
        if (g_get_monotonic_time() > deadline)
            return tb_error_set(error, TB_ERROR_TIMEOUT,
                                "QEMU has not said what it can do within %d s", PROBE_SECONDS);
        struct pollfd fds[2] = {{.fd = tb_jail_fd(jail), .events = POLLIN},
                                {.fd = tb_interrupt_fd(), .events = POLLIN}};
        poll(fds, 2, POLL_MS);
    }
}

/* In `dir`, an empty directory of ours that the caller removes. */
static GBytes *probe_in(const char *dir, bool kvm, GError **error)
{
    static const char *const arguments[] = {"--probe", NULL};
    static const char *const arguments_kvm[] = {"--probe", "--kvm", NULL};
    TbJailSpec spec = {.id = "probe",
                       .dir = dir,
                       .kvm = kvm,
                       .file_limit = SIZE_LIMIT,
                       .arguments = kvm ? arguments_kvm : arguments};
    TbJailUser user;
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || !tb_jail_user(spec.id, &user, error))
        return NULL;
    if (user.drops && fchown(fd, user.uid, user.gid) < 0) {
        tb_error_set_errno(error, errno, "cannot hand '%s' to the jail", dir);
        return NULL;
    }
    g_autoptr(TbJail) jail = tb_jail_start(&spec, error);
    if (!jail || !await_probe(jail, error))
        return NULL;
    return tb_read_file_at(fd, TB_BOX_CAPABILITIES, SIZE_LIMIT, error);
}

/* With this flag libvirt asks a started QEMU for each of some three hundred properties of its
 * processor, one message each: most of a second, for an answer that nobody looks at. Without it, it
 * asks twice. */
static GBytes *without_slow_flag(GBytes *capabilities)
{
    static const char flag[] = "  <flag name='cpu-unavailable-features'/>\n";
    const char *text = g_bytes_get_data(capabilities, NULL);
    const char *at = g_strstr_len(text, (gssize)g_bytes_get_size(capabilities), flag);
    if (!at)
        return capabilities;
    const char *rest = at + strlen(flag);
    g_autofree char *before = g_strndup(text, (size_t)(at - text));
    char *joined = g_strconcat(before, rest, NULL);
    g_bytes_unref(capabilities);
    return g_bytes_new_take(joined, strlen(joined));
}

/* `name` in `folder`, which may be there from one who was killed. */
static GBytes *probe(const char *folder, const char *name, bool kvm, GError **error)
{
    g_autofree char *dir = g_build_filename(folder, name, NULL);
    g_autoptr(GError) ignored = NULL;
    tb_autofd folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0 || !tb_remove_tree(folder_fd, name, error) ||
        mkdirat(folder_fd, name, 0700) < 0) {
        if (error && !*error)
            tb_error_set_errno(error, errno, "cannot make '%s'", dir);
        return NULL;
    }
    tb_verbose("asking QEMU what it can do");
    GBytes *answer = probe_in(dir, kvm, error);
    if (answer)
        answer = without_slow_flag(answer);
    if (!tb_remove_tree(folder_fd, name, &ignored))
        tb_debug("%s", ignored->message);
    return answer;
}

/* Nowhere to keep it: it only takes longer then. */
static GBytes *probe_once(bool kvm, GError **error)
{
    g_autofree char *name = g_strdup_printf("taskbox-probe-%d", (int)getpid());
    return probe(g_get_tmp_dir(), name, kvm, error);
}

GBytes *tb_capabilities_get(bool kvm, GError **error)
{
    if (access(TB_EMULATOR, X_OK) < 0) {
        tb_error_set(error, TB_ERROR_DEPENDENCY,
                     "cannot run '%s': %s (install QEMU for x86, the package 'qemu-system-x86')",
                     TB_EMULATOR, g_strerror(errno));
        return NULL;
    }
    g_autofree char *cache = tb_path_cache();
    g_autofree char *folder = g_build_filename(cache, "libvirt", NULL);
    g_autofree char *name = cache_name(kvm);
    g_autoptr(GError) problem = NULL;
    tb_autofd fd = -1;
    if (tb_make_dirs(cache, 0700, &problem))
        fd = tb_open_private_dir(folder, &problem);
    if (fd < 0) {
        tb_debug("no cache: %s", problem->message);
        return probe_once(kvm, error);
    }
    GBytes *known = tb_read_file_at(fd, name, SIZE_LIMIT, NULL);
    if (known)
        return known;
    tb_autofd lock = tb_lock(fd, "lock", true, error);
    if (lock < 0)
        return NULL;
    known = tb_read_file_at(fd, name, SIZE_LIMIT, NULL);
    if (known)
        return known;
    GBytes *fresh = probe(folder, "probe", kvm, error);
    gsize length = 0;
    const void *data = fresh ? g_bytes_get_data(fresh, &length) : NULL;
    if (data && !tb_write_atomic(fd, name, data, length, 0600, &problem))
        tb_debug("%s", problem->message);
    return fresh;
}
