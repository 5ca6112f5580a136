/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The jail itself, with a program in it that tries to get out (jail-drill.c). As root this also
 * shows the way down to a uid without rights: everything is laid out below a folder of mode 0700
 * and files of mode 0600 that belong to root.
 *
 * Skipped where the host has no bubblewrap or no user namespaces for us.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "golden.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "vm/jail.h"
#include "vm/layout.h"

#define SECONDS    10
#define KILL_LIMIT (500 * 1000) /* microseconds, on a busy machine; some 10 ms else */
#define FILE_LIMIT (64 * 1024)

static char top[] = "/tmp/taskbox-test-jail-XXXXXX";
static const char *drill;
static const char *const arguments[] = {"jail-drill", NULL};
static const char template_text[] = "what all forks of a template share";
static const struct {
    const char *name, *target;
} template_files[] = {{"memory", TB_JAIL_MEMORY},
                      {"state", TB_JAIL_STATE},
                      {"template.qcow2", TB_JAIL_TEMPLATE_DISK}};

/* Files as a template has them, bound as those of a fork. */
static bool add_template(TbJailSpec *spec, GPtrArray *paths, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(template_files); i++) {
        char *path = g_build_filename(top, template_files[i].name, NULL);
        g_ptr_array_add(paths, path);
        if (!g_file_test(path, G_FILE_TEST_EXISTS) &&
            (!g_file_set_contents(path, template_text, -1, error) || chmod(path, 0444) < 0))
            return false;
        spec->binds[spec->n_binds++] =
            (TbJailBind){.source = path, .target = template_files[i].target};
    }
    return true;
}

/* Makes the box directory and the image, and gives the first to the jail's user. */
static TbJail *start(const char *id, GError **error)
{
    g_autofree char *dir = g_build_filename(top, id, NULL);
    g_autofree char *image = g_build_filename(top, "image", NULL);
    TbJailUser user;
    if (!tb_jail_user(id, &user, error) || !g_file_set_contents(image, "image", -1, error) ||
        chmod(image, 0600) < 0 || mkdir(dir, 0700) < 0 ||
        (user.drops && chown(dir, user.uid, user.gid) < 0))
        return NULL;
    TbJailSpec spec = {.id = id,
                       .program = drill,
                       .dir = dir,
                       .binds = {{.source = image, .target = "/image/disk.qcow2"}},
                       .n_binds = 1,
                       .file_limit = FILE_LIMIT,
                       .arguments = arguments};
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    return add_template(&spec, paths, error) ? tb_jail_start(&spec, error) : NULL;
}

/* The next event, waiting for it. */
static TbJailNext next(TbJail *jail, char **word, char **rest)
{
    for (;;) {
        TbJailNext kind = tb_jail_next(jail, word, rest);
        if (kind != TB_JAIL_AGAIN)
            return kind;
        struct pollfd ready = {.fd = tb_jail_fd(jail), .events = POLLIN};
        if (poll(&ready, 1, SECONDS * 1000) == 1)
            continue;
        *rest = g_strdup("nothing came in time");
        return TB_JAIL_ENDED;
    }
}

/* All the drill has to say, name -> number. */
static GHashTable *hear_out(TbJail *jail)
{
    GHashTable *results = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (;;) {
        char *word = NULL;
        g_autofree char *rest = NULL;
        TbJailNext kind = next(jail, &word, &rest);
        ck_assert_msg(kind == TB_JAIL_EVENT, "the drill ended: %s", rest);
        bool end = strcmp(word, "end") == 0;
        gpointer value = GSIZE_TO_POINTER((gsize)g_ascii_strtoull(rest, NULL, 10)), before;
        if (g_hash_table_lookup_extended(results, word, NULL, &before))
            ck_assert_msg(before == value, "%s: %s, and something else before", word, rest);
        g_hash_table_replace(results, word, value);
        if (end)
            return results;
    }
}

static const struct {
    const char *name;
    int result, or_else; /* errno; 0: works */
} expected[] = {
    {"read-shadow", ENOENT, ENOENT},
    {"see-root-home", ENOENT, ENOENT},
    {"see-home", ENOENT, ENOENT},
    {"write-usr", EROFS, EACCES},
    {"write-root", EROFS, EACCES},
    {"write-image", EROFS, EROFS},
    {"read-image", 0, 0},
    {"write-program", EROFS, EACCES},
    {"write-sys", EROFS, ENOENT},
    {"write-own", 0, 0},
    {"chmod-setuid", EPERM, EPERM},
    {"chmod-setgid", EPERM, EPERM},
    {"create-setuid", EPERM, EPERM},
    {"fchmodat2", ENOSYS, ENOSYS},
    {"openat2", ENOSYS, ENOSYS},
    {"mknod-block", EPERM, EPERM},
    {"mknod-char", EPERM, EPERM},
    {"grow-file", EFBIG, EFBIG},
    {"by-handle", EPERM, EPERM},
    {"template-read", 0, 0},
    {"template-write", EROFS, EACCES},
    {"template-reopen", EROFS, EACCES},
    {"template-truncate", EROFS, EACCES},
    {"template-truncate-fd", EINVAL, EBADF}, /* not open for writing */
    {"template-chmod", EROFS, EROFS},
    {"template-fchmod", EROFS, EROFS},
    {"template-chown", EROFS, EROFS},
    {"template-times", EROFS, EROFS},
    {"template-unlink", EBUSY, EROFS},
    {"template-rename", EXDEV, EROFS},
    {"template-link", EXDEV, EPERM},
    {"template-map-shared", EACCES, EACCES},
    {"template-map-private", 0, 0},
    {"template-mprotect", EACCES, EACCES},
    {"template-mount", EPERM, EPERM},
    {"template-setattr", EPERM, EPERM},
    {"socket-unix", 0, 0},
    {"socket-inet", EAFNOSUPPORT, EAFNOSUPPORT},
    {"socket-inet6", EAFNOSUPPORT, EAFNOSUPPORT},
    {"socket-vsock", EAFNOSUPPORT, EAFNOSUPPORT},
    {"socket-packet", EAFNOSUPPORT, EAFNOSUPPORT},
    {"socket-high-bits", EAFNOSUPPORT, EAFNOSUPPORT},
    {"mount-setattr", EPERM, EPERM},
    {"mount", EPERM, EPERM},
    {"umount", EPERM, EPERM},
    {"open-tree", EPERM, EPERM},
    {"pivot-root", EPERM, EPERM},
    {"chroot", EPERM, EPERM},
    {"unshare-user", EPERM, EPERM},
    {"clone-user", EPERM, EPERM},
    {"clone3", ENOSYS, ENOSYS},
    {"io-uring", EPERM, EPERM},
    {"bpf", EPERM, EPERM},
    {"userfaultfd", EPERM, EPERM},
    {"ptrace", EPERM, EPERM},
    {"process-vm-writev", EPERM, EPERM},
    {"pidfd-getfd", EPERM, EPERM},
    {"keyctl", EPERM, EPERM},
    {"perf", EPERM, EPERM},
    {"tiocsti", EPERM, EPERM},
    {"setuid", EINVAL, EPERM},
    {"capabilities", 0, 0},
    {"bounding", 0, 0},
    {"no-new-privs", 1, 1},
    {"seccomp", 2, 2},
    {"processes", 2, 2},   /* bwrap's init and the drill */
    {"descriptors", 5, 5}, /* 0 to 3, and the one that looks */
    {"variables", 4, 3},   /* PATH, HOME, LC_ALL, PWD */
};

static long uid_of(const char *pid)
{
    g_autofree char *path = g_build_filename("/proc", pid, "status", NULL);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return -1;
    const char *line = strstr(text, "\nUid:");
    return line ? strtol(line + strlen("\nUid:"), NULL, 10) : -1;
}

/* How many processes belong to jails of this test. With `user`, each of them must be of it. */
static int drills_running(const TbJailUser *user)
{
    int count = 0;
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    for (const char *name; (name = g_dir_read_name(proc));) {
        g_autofree char *path = g_build_filename("/proc", name, "cmdline", NULL);
        g_autofree char *line = NULL;
        gsize length = 0;
        if (!g_ascii_isdigit(*name) || !g_file_get_contents(path, &line, &length, NULL) || !length)
            continue;
        for (gsize i = 0; i + 1 < length; i++)
            if (line[i] == '\0')
                line[i] = ' ';
        bool inside = strcmp(line, "/run/taskbox-vmm jail-drill") == 0;
        if (!inside && !(g_str_has_prefix(line, "bwrap ") && strstr(line, " jail-drill")))
            continue;
        count++;
        if (user)
            ck_assert_int_eq(uid_of(name), (long)user->uid);
    }
    return count;
}

/* Inode, mode, owner, size and change time of a file that the jail was shown. */
static char *look_at(const char *name)
{
    g_autofree char *path = g_build_filename(top, name, NULL);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return g_strdup_printf("%ju %o %u %jd %jd.%09ld", (uintmax_t)st.st_ino, st.st_mode, st.st_uid,
                           (intmax_t)st.st_size, (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

START_TEST(no_way_out)
{
    g_autoptr(GError) error = NULL;
    char *before[G_N_ELEMENTS(template_files)];
    for (size_t i = 0; i < G_N_ELEMENTS(template_files); i++)
        before[i] = look_at(template_files[i].name);
    g_autoptr(TbJail) jail = start("drill", &error);
    ck_assert_msg(jail != NULL, "%s", error ? error->message : "");
    g_autoptr(GHashTable) results = hear_out(jail);
    for (size_t i = 0; i < G_N_ELEMENTS(template_files); i++) {
        g_autofree char *after = look_at(template_files[i].name);
        ck_assert_str_eq(after, before[i]);
        g_free(before[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        gpointer value = NULL;
        ck_assert_msg(g_hash_table_lookup_extended(results, expected[i].name, NULL, &value),
                      "%s is missing", expected[i].name);
        int result = (int)GPOINTER_TO_SIZE(value);
        ck_assert_msg(result == expected[i].result || result == expected[i].or_else, "%s: %d (%s)",
                      expected[i].name, result, g_strerror(result));
    }
    TbJailUser user;
    ck_assert(tb_jail_user("drill", &user, NULL));
    ck_assert_uint_eq(GPOINTER_TO_SIZE(g_hash_table_lookup(results, "uid")), user.uid);
    ck_assert_int_ge(drills_running(&user), 3); /* bwrap's init, the drill, its children */
}
END_TEST

START_TEST(free_takes_everything)
{
    g_autoptr(GError) error = NULL;
    int before = drills_running(NULL);
    TbJail *jail = start("free", &error);
    ck_assert_msg(jail != NULL, "%s", error ? error->message : "");
    g_autoptr(GHashTable) results = hear_out(jail);
    ck_assert_int_gt(drills_running(NULL), before);
    gint64 begin = g_get_monotonic_time();
    tb_jail_free(jail);
    ck_assert_int_lt(g_get_monotonic_time() - begin, KILL_LIMIT);
    ck_assert_int_eq(drills_running(NULL), before);
}
END_TEST

/* In a child: starts a jail, says so, waits to be killed. */
static _Noreturn void own_a_jail(int report)
{
    TbJail *jail = start("orphan", NULL);
    if (!jail)
        _exit(1);
    g_autoptr(GHashTable) results = hear_out(jail);
    if (write(report, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

START_TEST(sigkill_of_the_owner_takes_everything)
{
    int ends[2];
    int before = drills_running(NULL);
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        own_a_jail(ends[1]);
    close(ends[1]);
    char byte;
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    ck_assert_int_gt(drills_running(NULL), before);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    gint64 begin = g_get_monotonic_time();
    while (drills_running(NULL) > before && g_get_monotonic_time() - begin < KILL_LIMIT)
        g_usleep(1000);
    ck_assert_int_eq(drills_running(NULL), before);
    close(ends[0]);
}
END_TEST

/* Whether a process that has to do with a jail of this test still has a mount at `where`. */
static bool is_mounted_in_a_jail(const char *where)
{
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    for (const char *name; (name = g_dir_read_name(proc));) {
        g_autofree char *path = g_build_filename("/proc", name, "mountinfo", NULL);
        g_autofree char *text = NULL;
        if (g_ascii_isdigit(*name) && g_file_get_contents(path, &text, NULL, NULL) &&
            strstr(text, where))
            return true;
    }
    return false;
}

/* A disk that is unmounted while a box runs is free then. */
START_TEST(holds_no_mount_of_the_host)
{
    g_autofree char *where = g_build_filename(top, "other disk", NULL);
    g_autofree char *shown = g_build_filename(top, "other\\040disk", NULL);
    if (mkdir(where, 0755) < 0 || mount("tmpfs", where, "tmpfs", 0, "size=64k") < 0)
        return; /* not root, or root that may not mount: then the jail has not copied it either */
    ck_assert(is_mounted_in_a_jail(shown));
    g_autoptr(GError) error = NULL;
    g_autoptr(TbJail) jail = start("mounts", &error);
    bool running = jail != NULL;
    g_autoptr(GHashTable) results = running ? hear_out(jail) : NULL;
    ck_assert_int_eq(umount(where), 0);
    ck_assert_msg(running, "%s", error ? error->message : "");
    ck_assert(!is_mounted_in_a_jail(shown));
}
END_TEST

START_TEST(program_that_is_not_there)
{
    g_autoptr(GError) error = NULL;
    const char *real = drill;
    drill = "/nonexistent/program";
    g_autoptr(TbJail) jail = start("nothing", &error);
    drill = real;
    if (!jail) { /* root looks at it first */
        ck_assert_ptr_nonnull(strstr(error->message, "/nonexistent/program"));
        return;
    }
    g_autofree char *word = NULL, *rest = NULL;
    ck_assert_int_eq(next(jail, &word, &rest), TB_JAIL_ENDED);
    ck_assert_msg(strstr(rest, "/nonexistent/program") != NULL, "%s", rest);
}
END_TEST

static bool has_jail(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbJail) jail = start("probe", &error);
    g_autofree char *word = NULL, *rest = NULL;
    if (jail && next(jail, &word, &rest) == TB_JAIL_EVENT)
        return true;
    g_printerr("skipped: %s\n", error ? error->message : rest);
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 2 || !mkdtemp(top))
        return 99;
    drill = argv[1];
    int status = 77;
    if (has_jail()) {
        Suite *suite = suite_create("vm-jail");
        TCase *tests = tcase_create("drill");
        tcase_set_timeout(tests, 3 * SECONDS);
        tcase_add_test(tests, no_way_out);
        tcase_add_test(tests, free_takes_everything);
        tcase_add_test(tests, sigkill_of_the_owner_takes_everything);
        tcase_add_test(tests, holds_no_mount_of_the_host);
        tcase_add_test(tests, program_that_is_not_there);
        suite_add_tcase(suite, tests);
        status = suite_run(suite);
    }
    g_autoptr(GError) error = NULL;
    return tb_remove_tree(AT_FDCWD, top, &error) ? status : 99;
}
