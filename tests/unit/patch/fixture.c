/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patch/changes-private.h"
#include "util/auto.h"

static char **clean_env(const char *const *more)
{
    char **env = g_get_environ();
    static const char *const fixed[] = {
        "LC_ALL=C",
        "HOME=/nonexistent",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_CEILING_DIRECTORIES=/tmp",
        "GIT_COMMITTER_NAME=Test",
        "GIT_COMMITTER_EMAIL=test@example.invalid",
        "GIT_AUTHOR_NAME=Test",
        "GIT_AUTHOR_EMAIL=test@example.invalid",
        NULL,
    };
    for (int list = 0; list < 2; list++) {
        const char *const *from = list ? more : fixed;
        for (int i = 0; from && from[i]; i++) {
            g_auto(GStrv) pair = g_strsplit(from[i], "=", 2);
            env = g_environ_setenv(env, pair[0], pair[1], TRUE);
        }
    }
    return env;
}

char *run(const char *const *argv, const char *cwd, const char *const *more)
{
    g_auto(GStrv) env = clean_env(more);
    g_autoptr(GError) error = NULL;
    g_autofree char *err = NULL;
    char *out = NULL;
    int status = 0;
    gboolean ok = g_spawn_sync(cwd, (char **)argv, env, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err,
                               &status, &error);
    ck_assert_msg(ok, "cannot run %s", argv[0]);
    ck_assert_msg(status == 0, "%s %s %s: status %d: %s", argv[0], argv[1] ? argv[1] : "",
                  argv[1] && argv[2] ? argv[2] : "", status, err);
    if (g_str_has_suffix(out, "\n"))
        out[strlen(out) - 1] = '\0';
    return out;
}

int run_status(const char *const *argv, const char *cwd)
{
    g_auto(GStrv) env = clean_env(NULL);
    int status = 0;
    ck_assert(
        g_spawn_sync(cwd, (char **)argv, env,
                     G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL | G_SPAWN_STDOUT_TO_DEV_NULL,
                     NULL, NULL, NULL, NULL, &status, NULL));
    return status;
}

char *git_in(Fixture *f, const char *worktree, const char *index, const char *const *argv)
{
    g_autofree char *dir = g_strconcat("GIT_DIR=", f->repository, NULL);
    g_autofree char *tree = g_strconcat("GIT_WORK_TREE=", worktree, NULL);
    g_autofree char *file = g_strconcat("GIT_INDEX_FILE=", index, NULL);
    const char *env[] = {dir, tree, file, NULL};
    return run(argv, worktree, env);
}

void put_file(const char *dir, const char *path, const void *data, gssize length, int mode)
{
    g_autofree char *full = g_build_filename(dir, path, NULL);
    g_autofree char *parent = g_path_get_dirname(full);
    ck_assert_int_eq(g_mkdir_with_parents(parent, 0755), 0);
    unlink(full);
    /* not by a temporary file: a name can be as long as names get */
    size_t size = length < 0 ? strlen(data) : (size_t)length;
    FILE *file = fopen(full, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert(fwrite(data, 1, size, file) == size && fclose(file) == 0);
    ck_assert_int_eq(chmod(full, (mode_t)mode), 0);
}

void fixture_start(Fixture *f)
{
    f->dir = g_strdup("/tmp/taskbox-patch-XXXXXX");
    ck_assert_ptr_nonnull(g_mkdtemp(f->dir));
    f->project = g_build_filename(f->dir, "project", NULL);
    f->box = g_build_filename(f->dir, "box", NULL);
    f->repository = g_build_filename(f->dir, "plain.git", NULL);
    f->base_index = g_build_filename(f->dir, "base-index", NULL);
    ck_assert_int_eq(mkdir(f->project, 0755), 0);
    const char *format = f->sha256 ? "--object-format=sha256" : "--object-format=sha1";
    g_free(RUN(f->dir, "git", "init", "-q", "--bare", format, "plain.git"));
    g_free(RUN(f->dir, "git", "-C", "plain.git", "config", "core.bare", "false"));
}

void fixture_base(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_free(GIT(f, f->project, f->base_index, "add", "-A"));
    f->base_tree = GIT(f, f->project, f->base_index, "write-tree");
    g_autofree char *objects = g_build_filename(f->repository, "objects", NULL);
    g_autofree char *private = g_build_filename(f->dir, "private.git", NULL);
    const char *alternates[] = {objects, NULL};
    f->git = tb_git_create(private, f->sha256, alternates, &error);
    ck_assert_msg(f->git != NULL, "%s", error ? error->message : "");
    copy_dir(f->project, f->box);
}

void fixture_stop(Fixture *f)
{
    g_clear_pointer(&f->git, tb_git_free);
    g_free(RUN("/tmp", "chmod", "-R", "u+rwX", f->dir));
    g_free(RUN("/tmp", "rm", "-rf", f->dir));
    g_free(f->dir);
    g_free(f->project);
    g_free(f->box);
    g_free(f->repository);
    g_free(f->base_index);
    g_free(f->base_tree);
}

void copy_dir(const char *from, const char *to)
{
    g_free(RUN("/tmp", "rm", "-rf", to));
    g_free(RUN("/tmp", "cp", "-a", from, to));
}

char *tree_of(Fixture *f, const char *dir)
{
    g_autofree char *index = g_strconcat(f->dir, "/tree-index", NULL);
    g_free(RUN("/tmp", "cp", f->base_index, index));
    g_free(GIT(f, dir, index, "add", "-A"));
    return GIT(f, dir, index, "write-tree");
}

static gint name_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *names_in(const char *dir)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    DIR *handle = opendir(dir);
    for (struct dirent *entry; handle && (entry = readdir(handle));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, ".git") != 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    if (handle)
        closedir(handle);
    g_ptr_array_sort(names, name_compare);
    return names;
}

static char *content_of(const char *path, const struct stat *st, gsize *length)
{
    char *text = NULL;
    *length = 0;
    if (S_ISREG(st->st_mode)) {
        ck_assert(g_file_get_contents(path, &text, length, NULL));
    } else if (S_ISLNK(st->st_mode)) {
        text = g_malloc0(4097);
        ssize_t got = readlink(path, text, 4096);
        *length = (gsize)MAX(got, 0);
    }
    return text;
}

static void snapshot_into(GString *out, const char *dir, const char *prefix)
{
    g_autoptr(GPtrArray) names = names_in(dir);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *full = g_build_filename(dir, names->pdata[i], NULL);
        g_autofree char *path = g_strconcat(prefix, names->pdata[i], NULL);
        struct stat st;
        gsize length = 0;
        ck_assert_int_eq(lstat(full, &st), 0);
        g_autofree char *text = content_of(full, &st, &length);
        g_autofree char *sum =
            g_compute_checksum_for_data(G_CHECKSUM_SHA1, (guchar *)(text ? text : ""), length);
        g_string_append_printf(out, "%o %s %s\n", st.st_mode, sum, path);
        g_autofree char *below = g_strconcat(path, "/", NULL);
        if (S_ISDIR(st.st_mode))
            snapshot_into(out, full, below);
    }
}

char *snapshot(const char *dir)
{
    GString *out = g_string_new(NULL);
    snapshot_into(out, dir, "");
    return g_string_free(out, FALSE);
}

static bool same_file(const char *a, const struct stat *sa, const char *b, const struct stat *sb)
{
    if (sa->st_mode != sb->st_mode || S_ISDIR(sa->st_mode))
        return false;
    gsize la = 0, lb = 0;
    g_autofree char *ta = content_of(a, sa, &la);
    g_autofree char *tb = content_of(b, sb, &lb);
    return la == lb && (la == 0 || memcmp(ta, tb, la) == 0);
}

static void add_entry(TbChanges *changes, TbEntryKind kind, const char *path, const struct stat *st,
                      const char *target, size_t target_length)
{
    g_autoptr(GError) error = NULL;
    TbEntry entry = {.kind = kind,
                     .mode = st ? st->st_mode & 07777 : 0,
                     .size = kind == TB_ENTRY_FILE ? (uint64_t)st->st_size : 0,
                     .path = (const uint8_t *)path,
                     .path_length = strlen(path),
                     .target = (const uint8_t *)target,
                     .target_length = target_length};
    ck_assert_msg(tb_changes_add(&entry, changes, &error), "%s", error ? error->message : "");
}

/* A file or link that the upper holds. */
static void walk_leaf(TbChanges *changes, const char *full, const char *path, const struct stat *st)
{
    gsize length = 0;
    g_autofree char *target = S_ISLNK(st->st_mode) ? content_of(full, st, &length) : NULL;
    TbEntryKind kind = target                 ? TB_ENTRY_SYMLINK
                       : S_ISREG(st->st_mode) ? TB_ENTRY_FILE
                                              : TB_ENTRY_OTHER;
    add_entry(changes, kind, path, st, target, length);
}

/* `lower` NULL: nothing of the project lies here. */
static void walk(TbChanges *changes, const char *lower, const char *upper, const char *prefix,
                 GRand *random);

static void walk_one(TbChanges *changes, const char *lower, const char *upper, const char *path,
                     GRand *random)
{
    struct stat low, up;
    bool has_low = lower && lstat(lower, &low) == 0;
    if (lstat(upper, &up) != 0) {
        if (has_low)
            add_entry(changes, TB_ENTRY_DELETE, path, NULL, NULL, 0);
        return;
    }
    if (!S_ISDIR(up.st_mode)) {
        bool copied_up = random && g_rand_int_range(random, 0, 8) == 0;
        if (!has_low || copied_up || !same_file(lower, &low, upper, &up))
            walk_leaf(changes, upper, path, &up);
        return;
    }
    g_autofree char *below = g_strconcat(path, "/", NULL);
    bool merged = has_low && S_ISDIR(low.st_mode);
    bool opaque = (has_low && !merged) || (random && g_rand_int_range(random, 0, 4) == 0);
    add_entry(changes, opaque ? TB_ENTRY_REPLACE : TB_ENTRY_DIR, path, &up, NULL, 0);
    walk(changes, merged && !opaque ? lower : NULL, upper, below, random);
}

static void walk(TbChanges *changes, const char *lower, const char *upper, const char *prefix,
                 GRand *random)
{
    g_autoptr(GPtrArray) names = names_in(upper);
    g_autoptr(GPtrArray) old = lower ? names_in(lower) : g_ptr_array_new();
    for (guint i = 0; i < old->len; i++)
        if (!g_ptr_array_find_with_equal_func(names, old->pdata[i], g_str_equal, NULL))
            g_ptr_array_add(names, g_strdup(old->pdata[i]));
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *low = lower ? g_build_filename(lower, names->pdata[i], NULL) : NULL;
        g_autofree char *up = g_build_filename(upper, names->pdata[i], NULL);
        g_autofree char *path = g_strconcat(prefix, names->pdata[i], NULL);
        walk_one(changes, low, up, path, random);
    }
}

void feed_walk(Fixture *f, TbChanges *changes, GRand *random)
{
    walk(changes, f->project, f->box, "", random);
}

bool feed(TbChanges *changes, TbEntryKind kind, const char *path, GError **error)
{
    TbEntry entry = {.kind = kind,
                     .mode = 0644,
                     .path = (const uint8_t *)path,
                     .path_length = strlen(path),
                     .target = (const uint8_t *)"target",
                     .target_length = kind == TB_ENTRY_SYMLINK ? 6 : 0};
    return tb_changes_add(&entry, changes, error);
}

void feed_files(TbChanges *changes, const char *dir)
{
    const uint32_t *indices = NULL;
    size_t count = 0;
    g_autoptr(GError) error = NULL;
    bool ok = tb_changes_wanted(changes, &indices, &count, &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    for (size_t i = 0; i < count; i++) {
        const Item *item = changes_item(changes, indices[i]);
        g_autofree char *full = g_build_filename(dir, item->path, NULL);
        g_autofree char *text = NULL;
        gsize length = 0;
        ck_assert(g_file_get_contents(full, &text, &length, NULL));
        ok = tb_changes_file_begin(indices[i], length, changes, &error) &&
             tb_changes_file_bytes((uint8_t *)text, length / 2, changes, &error) &&
             tb_changes_file_bytes((uint8_t *)text + length / 2, length - length / 2, changes,
                                   &error) &&
             tb_changes_file_end(indices[i], changes, &error);
        ck_assert_msg(ok, "%s", error ? error->message : "");
    }
}

void add_path(TbChanges *changes, TbEntryKind kind, const char *path)
{
    g_autoptr(GError) error = NULL;
    ck_assert_msg(feed(changes, kind, path, &error), "%s", error ? error->message : "");
}

void add_file(TbChanges *changes, const char *path, const char *text, int mode)
{
    g_autoptr(GError) error = NULL;
    TbEntry entry = {.kind = TB_ENTRY_FILE,
                     .mode = (uint32_t)mode,
                     .size = strlen(text),
                     .path = (const uint8_t *)path,
                     .path_length = strlen(path)};
    ck_assert(tb_changes_add(&entry, changes, &error));
}

char *finish_tree(Fixture *f, TbChanges *changes, const char *text)
{
    const uint32_t *indices = NULL;
    size_t count = 0;
    g_autoptr(GError) error = NULL;
    bool ok = tb_changes_wanted(changes, &indices, &count, &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    for (size_t i = 0; i < count; i++) {
        uint64_t size = changes_item(changes, indices[i])->size;
        ck_assert(tb_changes_file_begin(indices[i], size, changes, &error));
        ck_assert(size == 0 || tb_changes_file_bytes((const uint8_t *)text, size, changes, &error));
        ck_assert(tb_changes_file_end(indices[i], changes, &error));
    }
    char *tree = tb_changes_result_tree(changes, &error);
    ck_assert_msg(tree != NULL, "%s", error ? error->message : "");
    return tree;
}

char *list_tree(Fixture *f, const char *tree)
{
    g_autofree char *text =
        GIT(f, f->project, f->base_index, "--git-dir=../private.git", "ls-tree", "-r", tree);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *out = g_string_new(NULL);
    for (char **line = lines; *line && **line; line++)
        g_string_append_printf(out, "%.6s %s\n", *line, strchr(*line, '\t') + 1);
    return g_string_free(out, FALSE);
}

TbChanges *changes_for(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    TbChanges *changes =
        tb_changes_new(f->git, f->base_index, NULL, f->base_tree, NULL, NULL, NULL, &error);
    ck_assert_msg(changes != NULL, "%s", error ? error->message : "");
    return changes;
}

char *result_of_walk(Fixture *f, GRand *random)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbChanges) changes = changes_for(f);
    feed_walk(f, changes, random);
    feed_files(changes, f->box);
    char *tree = tb_changes_result_tree(changes, &error);
    ck_assert_msg(tree != NULL, "%s", error ? error->message : "");
    return tree;
}

char *write_patch_file(Fixture *f, const char *result, const char *subject, TbPatchStat *stat)
{
    g_autoptr(GError) error = NULL;
    TbPatchHeader header = {.subject = subject,
                            .task_id = "abc123",
                            .image_digest = "sha256:0123",
                            .base_tree = f->base_tree,
                            .result_tree = result,
                            .author = "AI Agent <agent@internal.sandbox>",
                            .time = 1700000000};
    tb_autofd dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = tb_patch_write(f->git, &header, NULL, dirfd, "out.patch", stat, &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    return g_build_filename(f->dir, "out.patch", NULL);
}

char *tree_by_git_apply(Fixture *f, const char *patch)
{
    g_autofree char *copy = g_build_filename(f->dir, "applied", NULL);
    copy_dir(f->project, copy);
    /* Outside a repository git apply knows SHA-1 only. */
    if (f->sha256) {
        g_free(RUN(copy, "git", "init", "-q", "--object-format=sha256"));
        PUT(copy, ".git/info/attributes", PLAIN_ATTRIBUTES);
    }
    g_free(RUN(copy, "git", "apply", "--whitespace=nowarn", patch));
    g_free(RUN(copy, "rm", "-rf", ".git"));
    return tree_of(f, copy);
}

char *tree_by_git_am(Fixture *f, const char *patch, char **message)
{
    g_autofree char *clone = g_build_filename(f->dir, "clone", NULL);
    g_free(RUN("/tmp", "rm", "-rf", clone));
    const char *format = f->sha256 ? "--object-format=sha256" : "--object-format=sha1";
    g_free(RUN(f->dir, "git", "init", "-q", format, "clone"));
    g_autofree char *objects = g_strconcat(f->repository, "/objects\n", NULL);
    put_file(clone, ".git/objects/info/alternates", objects, -1, 0644);
    /* A user whose attributes convert line ends has another work tree than the base tree. */
    PUT(clone, ".git/info/attributes", PLAIN_ATTRIBUTES);
    g_autofree char *commit = RUN(clone, "git", "commit-tree", "-m", "base", f->base_tree);
    g_free(RUN(clone, "git", "reset", "-q", "--hard", commit));
    g_free(RUN(clone, "git", "am", "-q", "--keep-cr", "--whitespace=nowarn", patch));
    if (message)
        *message = RUN(clone, "git", "log", "-1", "--format=%an <%ae> %at%n%B");
    char *tree = RUN(clone, "git", "rev-parse", "HEAD^{tree}");
    return tree;
}

bool has_note(const TbChanges *changes, const char *part)
{
    const GPtrArray *notes = tb_changes_notes(changes);
    for (guint i = 0; i < notes->len; i++)
        if (strstr(notes->pdata[i], part))
            return true;
    return false;
}
