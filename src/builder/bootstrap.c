/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The root file system of a bootstrap recipe, by mmdebstrap. The tar file is kept in the cache
 * under a digest of suite, packages and sources: a change in a script or in the guest program does
 * not repeat the slow part. `image rm` and a rebuild take the cached one for a week, then a fresh
 * one is made, so that packages do not grow old without end.
 *
 * As root mmdebstrap runs in a pid namespace of its own that dies with us; as another user it makes
 * one itself.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "builder/build-private.h"
#include "builder/build.h"
#include "builder/scratch.h"
#include "builder/sources.h"
#include "image/store-private.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/paths.h"

#define CACHE_DAYS 7
#define KEY_LENGTH 64

/* What a box has no use for. */
static const char *const left_out[] = {
    "/usr/share/doc/*",  "/usr/share/locale/*",  "/usr/share/man/*",
    "/usr/share/info/*", "/usr/share/lintian/*", "/usr/share/linda/*",
};

typedef struct {
    GString *line;
    char *problem; /* the first line that says what is wrong */
} Output;

static void end_line(Output *output)
{
    g_autofree char *line = tb_escape_name(output->line->str);
    g_string_truncate(output->line, 0);
    if (!*line)
        return;
    if (g_str_has_prefix(line, "I: "))
        tb_status("root file system: %s", line + 3);
    else
        tb_debug("mmdebstrap: %s", line);
    if (!output->problem && g_str_has_prefix(line, "E: "))
        output->problem = g_strdup(line + 3);
}

/* mmdebstrap's progress bars are lines that end in a carriage return. */
static bool take_output(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Output *output = user_data;
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n' || data[i] == '\r')
            end_line(output);
        else if (output->line->len < 4096)
            g_string_append_c(output->line, (char)data[i]);
    }
    return true;
}

static char *cache_key(const TbBuild *build)
{
    g_autoptr(GString) text = g_string_new("bootstrap 1\n");
    g_string_append_printf(text, "%s %s\n", tb_host_arch(), build->recipe->suite);
    for (char **package = build->recipe->packages; *package; package++)
        g_string_append_printf(text, "%s\n", *package);
    for (unsigned i = 0; i < build->sources->len; i++)
        g_string_append_printf(text, "%s\n", (char *)g_ptr_array_index(build->sources, i));
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, (gssize)text->len);
}

static void add_apt_options(TbCommand *command)
{
    g_autoptr(TbCommand) config = tb_command_new("apt-config");
    tb_command_add(config, "dump", NULL);
    g_autoptr(GBytes) out = NULL;
    g_autoptr(GError) error = NULL;
    if (!tb_command_run(config, &out, &error)) {
        tb_debug("%s", error->message);
        return;
    }
    g_autoptr(GPtrArray) options = tb_apt_options(g_bytes_get_data(out, NULL));
    for (unsigned i = 0; i < options->len; i++)
        tb_command_add_format(command, "--aptopt=%s", (char *)g_ptr_array_index(options, i));
}

static TbCommand *start_words(void)
{
    if (geteuid() != 0) {
        TbCommand *command = tb_command_new("mmdebstrap");
        tb_command_add(command, "--mode=unshare", NULL);
        return command;
    }
    TbCommand *command = tb_command_new("unshare");
    tb_command_add(command, "--pid", "--fork", "--kill-child", "--mount-proc", "--", "mmdebstrap",
                   "--mode=root", NULL);
    return command;
}

static TbCommand *mmdebstrap(const TbBuild *build, const char *scratch)
{
    TbCommand *command = start_words();
    tb_command_add(command, "--variant=minbase", "--format=tar",
                   "--aptopt=APT::Install-Recommends \"false\"", NULL);
    add_apt_options(command);
    for (size_t i = 0; i < G_N_ELEMENTS(left_out); i++)
        tb_command_add_format(command, "--dpkgopt=path-exclude=%s", left_out[i]);
    for (char **package = build->recipe->packages; *package; package++)
        tb_command_add_format(command, "--include=%s", *package);
    /* It would carry this host's proxy, perhaps with a password, into the image. */
    tb_command_add(command, "--customize-hook=rm -f \"$1/etc/apt/apt.conf.d/99mmdebstrap\"",
                   build->recipe->suite, "-", NULL);
    for (unsigned i = 0; i < build->sources->len; i++)
        tb_command_add(command, (char *)g_ptr_array_index(build->sources, i), NULL);
    tb_command_setenv(command, "LC_ALL", "C.UTF-8");
    tb_command_setenv(command, "TMPDIR", scratch);
    return command;
}

/* What is missing for an ordinary user, in words: mmdebstrap's own message is long. */
static bool check_user(GError **error)
{
    g_autofree char *program = g_find_program_in_path("mmdebstrap");
    if (!program)
        return tb_error_set(error, TB_ERROR_DEPENDENCY,
                            "cannot make a root file system: there is no mmdebstrap (run 'apt "
                            "install mmdebstrap')");
    if (geteuid() == 0)
        return true;
    g_autofree char *map = g_find_program_in_path("newuidmap");
    if (!map)
        return tb_error_set(error, TB_ERROR_DEPENDENCY,
                            "cannot make a root file system as an ordinary user: there is no "
                            "newuidmap (run 'apt install uidmap')");
    g_autofree char *subuid = NULL;
    g_autofree char *prefix = g_strconcat(g_get_user_name(), ":", NULL);
    if (!g_file_get_contents("/etc/subuid", &subuid, NULL, NULL) || !strstr(subuid, prefix))
        return tb_error_set(error, TB_ERROR_DEPENDENCY,
                            "cannot make a root file system: user '%s' has no subordinate user ids "
                            "(run 'usermod --add-subuids 100000-165535 --add-subgids "
                            "100000-165535 %s' as root)",
                            g_get_user_name(), g_get_user_name());
    return true;
}

static bool explain(const Output *output, const GError *why, GError **error)
{
    int code = why->domain == TB_ERROR ? why->code : TB_ERROR_IMAGE;
    if (code == TB_ERROR_IO || code == TB_ERROR_INTERNAL)
        code = TB_ERROR_IMAGE;
    if (code == TB_ERROR_IMAGE && output->problem)
        return tb_error_set(error, TB_ERROR_IMAGE,
                            "cannot make the root file system: mmdebstrap: %s (TASKBOX_DEBUG=1 "
                            "shows all it says)",
                            output->problem);
    return tb_error_set(error, (TbErrorCode)code, "cannot make the root file system: %s",
                        why->message);
}

static bool run(const TbBuild *build, const char *scratch, int fd, GError **error)
{
    Output output = {.line = g_string_new(NULL)};
    g_autoptr(TbCommand) command = mmdebstrap(build, scratch);
    tb_command_set_stdout_fd(command, fd);
    tb_command_set_stderr_fn(command, take_output, &output);
    g_autoptr(GError) why = NULL;
    bool ok = tb_command_run(command, NULL, &why);
    end_line(&output);
    tb_status_done();
    if (!ok)
        explain(&output, why, error);
    g_string_free(output.line, TRUE);
    g_free(output.problem);
    return ok;
}

static bool fresh(int cache, const char *name)
{
    struct stat st;
    return fstatat(cache, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_mtime + CACHE_DAYS * 86400L > g_get_real_time() / G_USEC_PER_SEC;
}

static bool make(TbBuild *build, int cache, const char *name, GError **error)
{
    g_autofree char *part = g_strconcat(name, ".part", NULL);
    if (build->sources->len == 0)
        tb_warn("no package source of this host offers '%s'; mmdebstrap's own default is used",
                build->recipe->suite);
    if (!check_user(error))
        return false;
    tb_autofd fd = openat(cache, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s' in the cache", part);
    g_autofree char *note = g_strconcat(name, ".scratch", NULL);
    g_autofree char *scratch = tb_scratch_make(cache, note, error);
    bool ok = scratch && run(build, scratch, fd, error);
    g_autoptr(GError) why = NULL;
    if (!tb_scratch_remove(cache, note, &why))
        tb_warn("cannot remove what mmdebstrap left: %s", why->message);
    if (ok && (fsync(fd) < 0 || renameat(cache, part, cache, name) < 0))
        ok = tb_error_set_errno(error, errno, "cannot keep the root file system in the cache");
    if (!ok)
        unlinkat(cache, part, 0);
    return ok;
}

static bool is_garbage(int cache, const char *name)
{
    if (strlen(name) < KEY_LENGTH)
        return false;
    const char *kind = name + KEY_LENGTH;
    return g_str_equal(kind, ".tar.part") || g_str_equal(kind, ".tar.scratch") ||
           (g_str_equal(kind, ".tar") && !fresh(cache, name));
}

/* Whoever makes or uses a file holds the lock of its key. */
static void remove_garbage(int cache, const char *name, bool apply, GPtrArray *found)
{
    g_autofree char *lock_name = g_strdup_printf("%.*s.lock", KEY_LENGTH, name);
    tb_autofd lock = tb_lock(cache, lock_name, false, NULL);
    if (lock < 0)
        return;
    if (found)
        g_ptr_array_add(found, g_strdup_printf("root file system in the cache: %s", name));
    g_autoptr(GError) error = NULL;
    if (apply && g_str_has_suffix(name, ".scratch")) {
        if (!tb_scratch_remove(cache, name, &error))
            tb_warn("cannot remove what mmdebstrap left: %s", error->message);
    } else if (apply) {
        unlinkat(cache, name, 0);
    }
    unlinkat(cache, lock_name, 0); /* while it is held */
}

void tb_builder_clean(bool apply, GPtrArray *found)
{
    g_autofree char *base = tb_path_cache();
    g_autofree char *path = g_build_filename(base, "bootstrap", NULL);
    if (!g_file_test(path, G_FILE_TEST_IS_DIR))
        return;
    tb_autofd cache = tb_open_private_dir(path, NULL);
    GDir *dir = cache < 0 ? NULL : g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (is_garbage(cache, name))
            remove_garbage(cache, name, apply, found);
    if (dir)
        g_dir_close(dir);
}

bool tb_build_bootstrap(TbBuild *build, GError **error)
{
    g_autofree char *base = tb_path_cache();
    g_autofree char *path = g_build_filename(base, "bootstrap", NULL);
    tb_autofd cache = tb_open_private_dir(path, error);
    if (cache < 0)
        return false;
    g_autofree char *key = cache_key(build);
    g_autofree char *name = g_strconcat(key, ".tar", NULL);
    g_autofree char *lock = g_strconcat(key, ".lock", NULL);
    tb_builder_clean(true, NULL);
    build->tar_lock = tb_lock(cache, lock, true, error);
    if (build->tar_lock < 0)
        return false;
    build->tar = g_build_filename(path, name, NULL);
    if (!fresh(cache, name))
        return make(build, cache, name, error);
    tb_verbose("the root file system is in the cache");
    return true;
}
