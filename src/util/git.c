/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * git as a calculator of objects.
 *
 * git is a fine store and a dangerous reader: it runs what configuration, attributes and hooks
 * name. So every child gets GIT_DIR of ours (then git never looks for a repository, and the only
 * repository configuration is the one `git init` wrote here), an environment made from nothing,
 * and command-line settings that switch off what could still run or rewrite bytes. What is left of
 * the project is data: objects borrowed through alternates, paths, and bytes that our own code
 * read.
 *
 * Data can still be hostile (a few bytes of tree objects can ask for gigabytes of work), so each
 * child has limits on memory, CPU time and file size, and a deadline; and it runs in a small jail
 * of its own (bubblewrap): no network, nothing to be seen but git's own files, the work tree and
 * the borrowed objects, all of it read-only but our directory. Read-only is more than a fence: git
 * sets the mtime of an object it finds instead of writing it anew, in a borrowed directory, too,
 * and the project must not change by so much as an mtime.
 */
#include "util/git.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define GIT_TIMEOUT 300
#define GIT_MEMORY  (UINT64_C(4) << 30)
#define GIT_FILE    (UINT64_C(64) << 30)

struct TbGit {
    char *path;
    bool sha256;
    GStrv alternates;
};

static const char *const environment[][2] = {
    {"HOME", "/nonexistent"},
    {"LC_ALL", "C"},
    {"GIT_CONFIG_NOSYSTEM", "1"},
    {"GIT_CONFIG_GLOBAL", "/dev/null"},
    {"GIT_CONFIG_SYSTEM", "/dev/null"},
    {"GIT_ATTR_NOSYSTEM", "1"},
    {"GIT_NO_LAZY_FETCH", "1"},
    {"GIT_NO_REPLACE_OBJECTS", "1"},
    {"GIT_ALLOW_PROTOCOL", ""},
    {"GIT_TERMINAL_PROMPT", "0"},
    {"GIT_OPTIONAL_LOCKS", "0"},
    {"GIT_LITERAL_PATHSPECS", "1"},
    {"GIT_PAGER", "cat"},
};

static const char *const settings[] = {
    /* nothing is run */
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    /* nobody's files decide */
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.sparseCheckout=false",
    "core.commitGraph=false",
    /* names that some other system would take for .git are refused */
    "core.protectHFS=true",
    "core.protectNTFS=true",
    /* bytes, modes and names as they are */
    "core.fileMode=true",
    "core.symlinks=true",
    "core.ignoreCase=false",
    "core.precomposeUnicode=false",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.quotePath=true",
    /* private and short-lived: no fsync for each object; windows that fit the memory limit */
    "core.fsync=none",
    "core.packedGitWindowSize=64m",
    "core.packedGitLimit=1g",
};

/* The absolute entries of PATH: a relative one would be looked up in the project. */
static char *absolute_path_entries(void)
{
    const char *path = g_getenv("PATH");
    if (!path || !*path)
        path = "/usr/local/bin:/usr/bin:/bin";
    g_auto(GStrv) entries = g_strsplit(path, ":", -1);
    GString *out = g_string_new(NULL);
    for (char **entry = entries; *entry; entry++) {
        if ((*entry)[0] != '/')
            continue;
        if (out->len)
            g_string_append_c(out, ':');
        g_string_append(out, *entry);
    }
    return g_string_free(out, FALSE);
}

/* NULL when it is nowhere. */
static char *find_program(const char *search, const char *name)
{
    g_auto(GStrv) entries = g_strsplit(search, ":", -1);
    for (char **entry = entries; *entry; entry++) {
        g_autofree char *program = g_build_filename(*entry, name, NULL);
        if (g_file_test(program, G_FILE_TEST_IS_EXECUTABLE) &&
            !g_file_test(program, G_FILE_TEST_IS_DIR))
            return g_steal_pointer(&program);
    }
    return NULL;
}

/* What programs need to start, wherever the distribution keeps it. */
static const char *const system_dirs[] = {"/usr",   "/bin", "/sbin",           "/lib",
                                          "/lib64", "/nix", "/etc/ld.so.cache"};

static void add_jail(TbCommand *command, const TbGit *git, const char *worktree, const char *index)
{
    tb_command_add(command, "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
                   "--die-with-parent", "--cap-drop", "ALL", NULL);
    /* As root there is no user namespace in which a user's private files could still be read. */
    if (geteuid() == 0)
        tb_command_add(command, "--cap-add", "CAP_DAC_READ_SEARCH", NULL);
    else
        tb_command_add(command, "--unshare-user", NULL);
    tb_command_add(command, "--tmpfs", "/tmp", "--dev", "/dev", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(system_dirs); i++)
        tb_command_add(command, "--ro-bind-try", system_dirs[i], system_dirs[i], NULL);
    if (worktree)
        tb_command_add(command, "--ro-bind", worktree, worktree, NULL);
    for (char **path = git->alternates; path && *path; path++)
        tb_command_add(command, "--ro-bind-try", *path, *path, NULL);
    if (index) {
        g_autofree char *dir = g_path_get_dirname(index);
        tb_command_add(command, "--bind", dir, dir, NULL);
    }
    tb_command_add(command, "--bind", git->path, git->path, "--chdir",
                   worktree ? worktree : git->path, NULL);
}

/* "git <settings>" with the environment and the limits; in the jail when there is a `git` for it,
 * which is always but for the making of one. */
static TbCommand *safe_git(const TbGit *git, const char *worktree, const char *index)
{
    g_autofree char *search = absolute_path_entries();
    g_autofree char *program = find_program(search, "git");
    g_autofree char *bwrap = find_program(search, "bwrap");
    TbCommand *command = NULL;
    if (git && program) { /* a git that is missing is better named by tb_command_run */
        command = tb_command_new(bwrap ? bwrap : "/usr/bin/bwrap");
        add_jail(command, git, worktree, index);
        tb_command_add(command, "--", program, NULL);
    } else {
        command = tb_command_new(program ? program : "/usr/bin/git");
    }
    tb_command_env_clear(command);
    tb_command_setenv(command, "PATH", search);
    for (size_t i = 0; i < G_N_ELEMENTS(environment); i++)
        tb_command_setenv(command, environment[i][0], environment[i][1]);
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
        tb_command_add(command, "-c", settings[i], NULL);
    tb_command_set_timeout(command, GIT_TIMEOUT);
    tb_command_set_rlimit(command, RLIMIT_AS, GIT_MEMORY);
    tb_command_set_rlimit(command, RLIMIT_CPU, GIT_TIMEOUT);
    tb_command_set_rlimit(command, RLIMIT_FSIZE, GIT_FILE);
    tb_command_set_rlimit(command, RLIMIT_CORE, 0);
    return command;
}

/* One line of an alternates file, always in git's C-style quotes: a path may hold any byte. */
static void append_alternate(GString *out, const char *path)
{
    g_string_append_c(out, '"');
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        if (*p == '"' || *p == '\\')
            g_string_append_printf(out, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            g_string_append_printf(out, "\\%03o", *p);
        else
            g_string_append_c(out, (char)*p);
    }
    g_string_append(out, "\"\n");
}

/* Reads back what append_alternate wrote. */
static GStrv parse_alternates(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GStrvBuilder) paths = g_strv_builder_new();
    for (char **line = lines; *line; line++) {
        size_t length = strlen(*line);
        if (length < 2 || (*line)[0] != '"' || (*line)[length - 1] != '"')
            continue;
        (*line)[length - 1] = '\0';
        g_autofree char *path = g_strcompress(*line + 1);
        g_strv_builder_add(paths, path);
    }
    return g_strv_builder_end(paths);
}

static bool write_alternates(const char *git_dir, const char *const *alternates, GError **error)
{
    if (!alternates || !alternates[0])
        return true;
    g_autofree char *info = g_build_filename(git_dir, "objects", "info", NULL);
    if (!tb_make_dirs(info, 0700, error))
        return false;
    tb_autofd fd = open(info, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", info);
    g_autoptr(GString) text = g_string_new(NULL);
    for (const char *const *path = alternates; *path; path++)
        append_alternate(text, *path);
    return tb_write_atomic(fd, "alternates", text->str, text->len, 0600, error);
}

TbGit *tb_git_create(const char *path, bool sha256, const char *const *alternates, GError **error)
{
    if (g_file_test(path, G_FILE_TEST_EXISTS) || g_file_test(path, G_FILE_TEST_IS_SYMLINK)) {
        tb_error_set(error, TB_ERROR_EXISTS, "cannot create git directory '%s': it exists", path);
        return NULL;
    }
    g_autoptr(TbCommand) command = safe_git(NULL, NULL, NULL);
    tb_command_add(command, "init", "-q", "--bare", "--template=", NULL);
    if (sha256)
        tb_command_add(command, "--object-format=sha256", NULL);
    tb_command_add(command, "--", path, NULL);
    tb_command_set_cwd(command, "/");
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return NULL;
    if (!write_alternates(path, alternates, error))
        return NULL;
    return tb_git_open(path, error);
}

TbGit *tb_git_open(const char *path, GError **error)
{
    tb_autofd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        tb_error_set_errno(error, errno, "cannot open git directory '%s'", path);
        return NULL;
    }
    g_autoptr(GBytes) config = tb_read_file_at(fd, "config", 65536, error);
    if (!config) {
        g_prefix_error(error, "cannot open git directory '%s': ", path);
        return NULL;
    }
    TbGit *git = g_new0(TbGit, 1);
    git->path = g_canonicalize_filename(path, NULL);
    /* `git init` wrote this file; nobody else does. */
    git->sha256 = strstr(g_bytes_get_data(config, NULL), "objectformat = sha256") != NULL;
    g_autoptr(GBytes) lines = tb_read_file_at(fd, "objects/info/alternates", 1 << 20, NULL);
    if (lines)
        git->alternates = parse_alternates(g_bytes_get_data(lines, NULL));
    return git;
}

void tb_git_free(TbGit *git)
{
    if (!git)
        return;
    g_free(git->path);
    g_strfreev(git->alternates);
    g_free(git);
}

const char *tb_git_path(const TbGit *git)
{
    return git->path;
}

unsigned tb_git_oid_length(const TbGit *git)
{
    return git->sha256 ? 64 : 40;
}

TbCommand *tb_git_command(TbGit *git, const char *subcommand, const char *worktree,
                          const char *index)
{
    TbCommand *command = safe_git(git, worktree, index);
    tb_command_setenv(command, "GIT_DIR", git->path);
    if (worktree)
        tb_command_setenv(command, "GIT_WORK_TREE", worktree);
    if (index)
        tb_command_setenv(command, "GIT_INDEX_FILE", index);
    tb_command_set_cwd(command, "/");
    tb_command_add(command, subcommand, NULL);
    return command;
}

char *tb_git_run_oid(TbGit *git, TbCommand *command, GError **error)
{
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return NULL;
    size_t length = 0;
    const char *text = g_bytes_get_data(out, &length);
    while (length > 0 && g_ascii_isspace(text[length - 1]))
        length--;
    bool hex = length == tb_git_oid_length(git);
    for (size_t i = 0; hex && i < length; i++)
        hex = g_ascii_isxdigit(text[i]);
    if (!hex) {
        g_autofree char *line = tb_command_to_string(command);
        tb_error_set(error, TB_ERROR_INTERNAL, "cannot read an object id from '%s'", line);
        return NULL;
    }
    return g_strndup(text, length);
}
