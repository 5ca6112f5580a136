/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Space, memory, and security modules that could be in the way. */
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "util/fs.h"
#include "util/paths.h"
#include "util/units.h"

#define MIB          (UINT64_C(1) << 20)
#define SPACE_GOOD   (5120 * MIB)
#define SPACE_LEAST  (1024 * MIB)
#define MEMORY_GOOD  (2048 * MIB)
#define MEMORY_LEAST (768 * MIB)

/* The nearest directory above that is there: it holds the file system `path` will be on. */
static char *existing_part(const char *path)
{
    char *part = g_strdup(path);
    while (!g_file_test(part, G_FILE_TEST_EXISTS) && strcmp(part, "/") != 0) {
        char *parent = g_path_get_dirname(part);
        g_free(part);
        part = parent;
    }
    return part;
}

static void add_amount(GPtrArray *checks, const char *name, uint64_t amount, uint64_t least,
                       uint64_t good, const char *where, const char *fix)
{
    TbCheckStatus status = amount >= good    ? TB_CHECK_OK
                           : amount >= least ? TB_CHECK_WARN
                                             : TB_CHECK_FAIL;
    g_autofree char *size = tb_size_format(amount);
    tb_check_add(checks, name, status,
                 g_strdup_printf("%s free%s%s", size, where ? " for " : "", where ? where : ""),
                 fix);
}

static void check_space(GPtrArray *checks, const char *name, char *path)
{
    g_autofree char *owned = path;
    g_autofree char *part = existing_part(owned);
    if (access(part, W_OK) < 0)
        tb_check_add(
            checks, name, TB_CHECK_FAIL, g_strdup_printf("%s cannot be written", part),
            "mend its owner and mode, or set XDG_STATE_HOME, XDG_DATA_HOME, XDG_CACHE_HOME");
    else
        add_amount(checks, name, tb_free_space(part), SPACE_LEAST, SPACE_GOOD, owned,
                   "make room: 'taskbox gc --apply' may help");
}

/* KiB of a line of /proc/meminfo, as bytes. */
static uint64_t memory_available(void)
{
    g_autofree char *text = NULL;
    const char *line = g_file_get_contents("/proc/meminfo", &text, NULL, NULL)
                           ? strstr(text, "\nMemAvailable:")
                           : NULL;
    return line ? g_ascii_strtoull(line + strlen("\nMemAvailable:"), NULL, 10) * 1024 : 0;
}

static void check_temporary(GPtrArray *checks)
{
    if (access(g_get_tmp_dir(), W_OK | X_OK) < 0)
        tb_check_add(checks, "temporary files", TB_CHECK_FAIL,
                     g_strdup_printf("%s cannot be written", g_get_tmp_dir()),
                     "mend it (mode 1777), or set TMPDIR");
    else
        add_amount(checks, "temporary files", tb_free_space(g_get_tmp_dir()), 64 * MIB, 512 * MIB,
                   g_get_tmp_dir(), "make room there, or set TMPDIR");
}

static bool reads_as(const char *path, const char *value)
{
    g_autofree char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) && strcmp(g_strstrip(text), value) == 0;
}

static void check_modules(GPtrArray *checks)
{
    g_autoptr(GString) active = g_string_new(NULL);
    bool in_the_way = false;
    if (reads_as("/sys/fs/selinux/enforce", "1"))
        g_string_append(active, "SELinux enforces (the jail needs no label); ");
    if (reads_as("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")) {
        g_string_append(active, "AppArmor restricts user namespaces; ");
        in_the_way = geteuid() != 0;
    }
    if (reads_as("/proc/sys/kernel/unprivileged_userns_clone", "0")) {
        g_string_append(active, "unprivileged user namespaces are off; ");
        in_the_way = true;
    }
    if (active->len == 0)
        g_string_append(active, "nothing in the way; ");
    g_string_truncate(active, active->len - 2);
    tb_check_add(checks, "security modules", in_the_way ? TB_CHECK_WARN : TB_CHECK_OK,
                 g_strdup(active->str),
                 "see 'user namespaces' above: what counts is whether those work");
}

void tb_doctor_host(GPtrArray *checks)
{
    check_space(checks, "tasks", tb_path_state());
    check_space(checks, "image store", tb_path_data());
    check_space(checks, "cache", tb_path_cache());
    add_amount(checks, "memory", memory_available(), MEMORY_LEAST, MEMORY_GOOD, NULL,
               "end other programs, or give boxes less with --memory");
    check_temporary(checks);
    check_modules(checks);
}
