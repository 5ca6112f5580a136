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
 * child has limits and a deadline, and runs in a jail (git-jail.c) where all but our directory is
 * read-only. Read-only is more than a fence: git sets the mtime of an object it finds instead of
 * writing it anew, in a borrowed directory, too, and the project must not change by so much as an
 * mtime.
 *
 * One jail serves all commands of a TbGit. When a command names a directory that the jail does not
 * have, the next one is made; that does not happen on the path of a task (tb_git_start).
 */
#include "util/git.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/command-private.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/git-jail.h"
#include "util/hole.h"

#define GIT_TIMEOUT 300

struct TbGit {
    char *path;
    bool sha256;
    GStrv alternates;
    char *search, *program;    /* PATH; git, NULL: not there */
    GPtrArray *read, *written; /* char *: other directories that commands asked for */
    GPtrArray *jails;          /* TbGitJail; the last one sees all there is to be seen by now */
    bool jail_is_stale;        /* something was added to `read` or `written` since */
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

void tb_git_quote(GString *out, const char *path)
{
    g_string_append_c(out, '"');
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        if (*p < 0x20 || *p >= 0x7f || *p == '"' || *p == '\\')
            g_string_append_printf(out, "\\%03o", *p);
        else
            g_string_append_c(out, (char)*p);
    }
    g_string_append(out, "\"\n");
}

/* Reads back what write_alternates wrote. */
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
    g_autofree char *info = g_build_filename(git_dir, "objects", "info", NULL);
    if (!tb_make_dirs(info, 0700, error))
        return false;
    tb_autofd fd = open(info, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", info);
    g_autoptr(GString) text = g_string_new(NULL);
    for (const char *const *path = alternates; *path; path++)
        tb_git_quote(text, *path);
    return tb_write_atomic(fd, "alternates", text->str, text->len, 0600, error);
}

static bool write_new(int dirfd, const char *name, const char *text, GError **error)
{
    tb_autofd fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s'", name);
    return tb_write_all(fd, text, strlen(text), name, error);
}

/* What `git init --bare --template=` would make, without a program that could be told otherwise. */
static bool write_git_dir(const char *path, bool sha256, GError **error)
{
    static const char *const dirs[] = {"objects", "objects/info", "objects/pack", "refs"};
    g_autofree char *config =
        g_strconcat("[core]\n\trepositoryformatversion = ", sha256 ? "1" : "0",
                    "\n\tfilemode = true\n\tbare = true\n",
                    sha256 ? "[extensions]\n\tobjectformat = sha256\n" : "", NULL);
    tb_autofd fd = -1;
    if (mkdir(path, 0700) == 0)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot create git directory '%s'", path);
    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++)
        if (mkdirat(fd, dirs[i], 0700) < 0)
            return tb_error_set_errno(error, errno, "cannot create '%s/%s'", path, dirs[i]);
    return write_new(fd, "HEAD", "ref: refs/heads/none\n", error) &&
           write_new(fd, "config", config, error);
}

TbGit *tb_git_create(const char *path, bool sha256, const char *const *alternates, GError **error)
{
    bool borrows = alternates && alternates[0];
    if (!write_git_dir(path, sha256, error) ||
        (borrows && !write_alternates(path, alternates, error)))
        return NULL;
    return tb_git_open(path, error);
}

bool tb_git_set_alternates(TbGit *git, const char *const *alternates, GError **error)
{
    if (!write_alternates(git->path, alternates, error))
        return false;
    for (const char *const *path = alternates; *path; path++)
        git->jail_is_stale |=
            !git->alternates || !g_strv_contains((const char *const *)git->alternates, *path);
    g_strfreev(git->alternates);
    git->alternates = g_strdupv((char **)(uintptr_t)alternates);
    return true;
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
    git->search = absolute_path_entries();
    git->program = find_program(git->search, "git");
    git->read = g_ptr_array_new_with_free_func(g_free);
    git->written = g_ptr_array_new_with_free_func(g_free);
    git->jails = g_ptr_array_new_with_free_func((GDestroyNotify)tb_git_jail_free);
    /* write_git_dir wrote this file; nobody else does. */
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
    g_ptr_array_unref(git->jails);
    g_ptr_array_unref(git->read);
    g_ptr_array_unref(git->written);
    g_free(git->search);
    g_free(git->program);
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

/* The jail to run in; NULL with an error. Older ones stay: a command may be running there. */
static TbGitJail *jail_for_now(TbGit *git, GError **error)
{
    if (git->jails->len == 0 || git->jail_is_stale) {
        TbGitView view = {.git_dir = git->path,
                          .written = git->written,
                          .read = git->read,
                          .read_each = (const char *const *)git->alternates,
                          .search = git->search};
        TbGitJail *jail = tb_git_jail_new(&view, error);
        if (!jail)
            return NULL;
        g_ptr_array_add(git->jails, jail);
        git->jail_is_stale = false;
    }
    return git->jails->pdata[git->jails->len - 1];
}

static int start_in_jail(void *data, TbCommand *command, const int standard[3], GError **error)
{
    TbGit *git = data;
    if (!git->program) {
        tb_error_set(error, TB_ERROR_DEPENDENCY, "cannot run 'git': not installed or not in PATH");
        return -1;
    }
    TbGitJail *jail = jail_for_now(git, error);
    return jail ? tb_git_jail_start(jail, command, standard, error) : -1;
}

static char *last_words(void *data)
{
    TbGit *git = data;
    return tb_git_jail_last_words(git->jails->pdata[git->jails->len - 1]);
}

static const TbStarter in_jail = {.start = start_in_jail, .last_words = last_words};

/* Notes that `path` is to be seen in the jail, unless it lies in our own directory. */
static void want(TbGit *git, GPtrArray *paths, const char *path)
{
    size_t length = strlen(git->path);
    if (g_str_has_prefix(path, git->path) && (path[length] == '/' || path[length] == '\0'))
        return;
    if (g_ptr_array_find_with_equal_func(paths, path, g_str_equal, NULL))
        return;
    g_ptr_array_add(paths, g_strdup(path));
    git->jail_is_stale = true;
}

bool tb_git_start(TbGit *git, const char *worktree, GError **error)
{
    if (worktree)
        want(git, git->read, worktree);
    return jail_for_now(git, error) != NULL;
}

TbCommand *tb_git_command(TbGit *git, const char *subcommand, const char *worktree,
                          const char *index)
{
    TbCommand *command = tb_command_new(git->program ? git->program : "git");
    command->starter = &in_jail;
    command->starter_data = git;
    tb_command_env_clear(command);
    tb_command_setenv(command, "PATH", git->search);
    for (size_t i = 0; i < G_N_ELEMENTS(environment); i++)
        tb_command_setenv(command, environment[i][0], environment[i][1]);
    tb_command_setenv(command, "GIT_DIR", git->path);
    if (worktree) {
        want(git, git->read, worktree);
        tb_command_setenv(command, "GIT_WORK_TREE", worktree);
    }
    if (index) {
        g_autofree char *dir = g_path_get_dirname(index);
        want(git, git->written, dir);
        tb_command_setenv(command, "GIT_INDEX_FILE", index);
    }
    if (tb_hole("git-config") && worktree) {
        g_autofree char *its_own = g_build_filename(worktree, ".git", "config", NULL);
        tb_command_setenv(command, "GIT_CONFIG_GLOBAL", its_own);
    }
    if (tb_hole("git-attributes")) {
        g_autofree char *info = g_build_filename(git->path, "info", NULL);
        g_autofree char *attributes = g_build_filename(info, "attributes", NULL);
        (void)g_mkdir_with_parents(info, 0755);
        (void)g_file_set_contents(attributes, "*.c -diff\n", -1, NULL);
    }
    if (tb_hole("git-trust") && worktree) {
        g_autofree char *its_own = g_build_filename(worktree, ".git", NULL);
        tb_command_setenv(command, "GIT_DIR", its_own);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(settings) && !tb_hole("git-trust"); i++)
        tb_command_add(command, "-c", settings[i], NULL);
    tb_command_set_cwd(command, worktree ? worktree : git->path);
    tb_command_set_timeout(command, GIT_TIMEOUT);
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
