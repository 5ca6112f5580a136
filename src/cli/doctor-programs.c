/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has to be installed: programs answer to --version, libvirt's driver lies beside its library,
 * libguestfs needs a kernel it can read. */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "util/command.h"
#include "util/error.h"
#include "vm/box.h"
#include "vm/layout.h"
#include "vm/share.h"

#define VERSION_TIMEOUT 10
#define GIT_LEAST       "2.30"
#define LIBVIRT_LEAST   "9.0"

typedef struct {
    const char *name, *program, *version_option;
    const char *least; /* NULL: any */
    TbCheckStatus missing;
    const char *fix;
} Program;

static const Program programs[] = {
    {"qemu", TB_EMULATOR, "--version", "6.0", TB_CHECK_FAIL, "apt install qemu-system-x86"},
    {"qemu-img", "qemu-img", "--version", NULL, TB_CHECK_FAIL, "apt install qemu-utils"},
    {"bubblewrap", "bwrap", "--version", "0.4", TB_CHECK_FAIL, "apt install bubblewrap"},
    {"git", "git", "--version", GIT_LEAST, TB_CHECK_FAIL, "apt install git"},
    {"mmdebstrap", "mmdebstrap", "--version", NULL, TB_CHECK_WARN,
     "apt install mmdebstrap (needed to build the debian image)"},
    {"supermin", "supermin", "--version", NULL, TB_CHECK_FAIL,
     "apt install libguestfs-tools supermin (libguestfs makes images with it)"},
};

/* The first number with a dot in it: "git version 2.39.5" gives "2.39.5". */
static char *version_in(const char *text)
{
    for (const char *at = text; *at; at++) {
        size_t length = strspn(at, "0123456789.");
        if (g_ascii_isdigit(*at) && memchr(at, '.', length))
            return g_strndup(at, length);
        at += length ? length - 1 : 0;
    }
    return NULL;
}

/* Numbers between dots, one after the other. */
static bool is_at_least(const char *version, const char *least)
{
    g_auto(GStrv) have = g_strsplit(version, ".", -1), want = g_strsplit(least, ".", -1);
    for (guint i = 0; want[i]; i++) {
        if (!have[i])
            return false;
        gint64 a = g_ascii_strtoll(have[i], NULL, 10), b = g_ascii_strtoll(want[i], NULL, 10);
        if (a != b)
            return a > b;
    }
    return true;
}

static void check_program(GPtrArray *checks, const Program *program)
{
    g_autoptr(TbCommand) command = tb_command_new(program->program);
    tb_command_add(command, program->version_option, NULL);
    tb_command_setenv(command, "LC_ALL", "C");
    tb_command_set_timeout(command, VERSION_TIMEOUT);
    g_autoptr(GBytes) out = NULL;
    g_autoptr(GError) error = NULL;
    int status = 0;
    if (!tb_command_run_status(command, &out, &status, &error)) {
        tb_check_add(checks, program->name, program->missing, g_strdup(error->message),
                     program->fix);
        return;
    }
    g_autofree char *version = version_in(g_bytes_get_data(out, NULL));
    if (program->least && version && !is_at_least(version, program->least)) {
        tb_check_add(checks, program->name, TB_CHECK_FAIL,
                     g_strdup_printf("%s is older than %s", version, program->least),
                     "install a newer one");
        return;
    }
    tb_check_add(checks, program->name, TB_CHECK_OK, g_strdup(version ? version : "there"), NULL);
}

/* The first file of these patterns; g_free. */
static char *find_file(const char *const *patterns)
{
    for (; *patterns; patterns++) {
        glob_t found = {0};
        char *path = glob(*patterns, 0, NULL, &found) == 0 ? g_strdup(found.gl_pathv[0]) : NULL;
        globfree(&found);
        if (path)
            return path;
    }
    return NULL;
}

/* libvirt.so.0.9000.2 is 9.0.2. Only taskbox-vmm links with it, so its file has to tell. */
static char *libvirt_version(void)
{
    static const char *const places[] = {"/usr/lib/*/libvirt.so.0.*", "/usr/lib64/libvirt.so.0.*",
                                         "/usr/lib/libvirt.so.0.*", NULL};
    g_autofree char *path = find_file(places);
    unsigned number = 0, patch = 0;
    if (!path || sscanf(strstr(path, ".so.0."), ".so.0.%u.%u", &number, &patch) != 2)
        return NULL;
    return g_strdup_printf("%u.%u.%u", number / 1000, number % 1000, patch);
}

/* The QEMU driver is a module that the embedded mode loads. */
static void check_libvirt_driver(GPtrArray *checks)
{
    static const char *const places[] = {
        "/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so",
        "/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so",
        "/usr/lib/libvirt/connection-driver/libvirt_driver_qemu.so", NULL};
    const char *fix = "apt install libvirt0 libvirt-daemon-driver-qemu (Debian 12: libvirt-daemon)";
    g_autofree char *driver = find_file(places);
    g_autofree char *version = libvirt_version();
    if (!version || !driver)
        tb_check_add(
            checks, "libvirt library", TB_CHECK_FAIL,
            g_strdup_printf("%s is not installed", version ? "libvirt's QEMU driver" : "libvirt"),
            fix);
    else if (!is_at_least(version, LIBVIRT_LEAST))
        tb_check_add(checks, "libvirt library", TB_CHECK_FAIL,
                     g_strdup_printf("%s is older than " LIBVIRT_LEAST, version),
                     "install a newer one");
    else
        tb_check_add(checks, "libvirt library", TB_CHECK_OK,
                     g_strdup_printf("%s with its QEMU driver", version), NULL);
}

/* libguestfs boots an appliance with a kernel of the host's. Ubuntu keeps those from users. */
static void check_kernel(GPtrArray *checks)
{
    glob_t found = {0};
    const char *readable = NULL, *hidden = NULL;
    if (glob("/boot/vmlinu[xz]-*", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            if (access(found.gl_pathv[i], R_OK) == 0)
                readable = found.gl_pathv[i];
            else
                hidden = found.gl_pathv[i];
        }
    }
    if (readable)
        tb_check_add(checks, "kernel", TB_CHECK_OK,
                     g_strdup_printf("libguestfs can read %s", readable), NULL);
    else if (hidden)
        tb_check_add(checks, "kernel", TB_CHECK_FAIL,
                     g_strdup_printf("libguestfs cannot read %s", hidden),
                     "sudo chmod 0644 /boot/vmlinuz-*");
    else
        tb_check_add(checks, "kernel", TB_CHECK_FAIL,
                     g_strdup("there is no kernel in /boot for libguestfs"),
                     "apt install linux-image-cloud-amd64 (Ubuntu: linux-image-kvm)");
    globfree(&found);
}

static bool file_names(const char *path, const char *user)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return false;
    g_autofree char *start = g_strconcat(user, ":", NULL);
    g_autofree char *inside = g_strconcat("\n", start, NULL);
    return g_str_has_prefix(text, start) || strstr(text, inside);
}

/* An ordinary user's mmdebstrap needs a range of ids of its own. */
static void check_id_ranges(GPtrArray *checks)
{
    if (geteuid() == 0)
        return;
    const char *user = g_get_user_name();
    g_autofree char *map = g_find_program_in_path("newuidmap");
    if (!map)
        tb_check_add(checks, "id ranges", TB_CHECK_WARN, g_strdup("newuidmap is not installed"),
                     "apt install uidmap (needed to build the debian image)");
    else if (!file_names("/etc/subuid", user) || !file_names("/etc/subgid", user))
        tb_check_add(checks, "id ranges", TB_CHECK_WARN,
                     g_strdup_printf("/etc/subuid or /etc/subgid has no range for '%s'", user),
                     "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER");
    else
        tb_check_add(checks, "id ranges", TB_CHECK_OK, g_strdup("newuidmap, subuid and subgid"),
                     NULL);
}

/* For shared projects alone. */
static void check_virtiofsd(GPtrArray *checks)
{
    const char *program = tb_share_program(NULL);
    if (program)
        tb_check_add(checks, "virtiofsd", TB_CHECK_OK,
                     g_strdup_printf("%s, for projects of up to %" G_GUINT64_FORMAT
                                     " files (ulimit -Hn)",
                                     program, tb_box_share_files()),
                     NULL);
    else
        tb_check_add(checks, "virtiofsd", TB_CHECK_WARN, g_strdup("not installed"),
                     "apt install virtiofsd (needed for --mount virtiofs)");
}

void tb_doctor_programs(GPtrArray *checks)
{
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++)
        check_program(checks, &programs[i]);
    check_libvirt_driver(checks);
    check_kernel(checks);
    check_id_ranges(checks);
    check_virtiofsd(checks);
}
