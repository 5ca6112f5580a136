/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The walk. It goes by descriptor from directory to directory, follows no link, enters no other
 * mount, opens no file but the few small ones of git that it must read, and ends with one sorted
 * list of what the box shall hold: the only list from which project image, delta and base tree
 * take what they carry.
 *
 * Inside of a git directory only what scan-git.c wants is taken, and files of ours are put beside
 * it: a configuration without anything personal in it, an empty hooks directory.
 */
#include "project/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/hole.h"
#include "util/interrupt.h"

#define MAX_DEPTH   128
#define MAX_PATH    4096
#define MAX_ITEMS   4000000
#define MAX_FILE    (UINT64_C(16) << 30)
#define MAX_BYTES   (UINT64_C(60) << 30)
#define CONFIG_FILE ((size_t)4 << 20)
#define REFS_FILE   ((size_t)256 << 20)

typedef struct {
    TbScan *scan;
    TbSource source;
    unsigned skip;
    uint64_t mount; /* of the source */
    uint32_t dev_major, dev_minor;
    bool by_mount;
    uid_t user;         /* whose rights decide */
    const char *inside; /* git directory inside of the work tree that is not .git; NULL: none */
} Walk;

/* Where in a git directory the walk is. */
typedef struct {
    bool active;
    size_t prefix; /* bytes of the box path up to and with the git directory's '/' */
    TbGitPart part;
    bool nested; /* not the project's own */
} Git;

static bool walk_dir(Walk *walk, int fd, const char *path, unsigned depth, const Git *git,
                     GError **error);

static bool stat_of(int fd, const char *name, struct statx *st)
{
    int flags = (tb_hole("scan-follow") ? 0 : AT_SYMLINK_NOFOLLOW) | AT_NO_AUTOMOUNT |
                (*name ? 0 : AT_EMPTY_PATH);
    return statx(fd, name, flags, STATX_BASIC_STATS | STATX_MNT_ID, st) == 0;
}

static bool elsewhere(const Walk *walk, const struct statx *st)
{
    if (walk->by_mount)
        return st->stx_mnt_id != walk->mount;
    return st->stx_dev_major != walk->dev_major || st->stx_dev_minor != walk->dev_minor;
}

static TbItem *add_item(Walk *walk, const char *path, TbEntryKind kind, const struct statx *st)
{
    TbItem item = {
        .path = g_strdup(path),
        .source = walk->source,
        .skip = walk->skip,
        .kind = kind,
        .mode = st->stx_mode,
        .size = kind == TB_ENTRY_FILE ? st->stx_size : 0,
        .ino = st->stx_ino,
        .mtime = {st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec},
        .ctime = {st->stx_ctime.tv_sec, st->stx_ctime.tv_nsec},
        .linked = kind == TB_ENTRY_FILE && st->stx_nlink > 1,
    };
    TbScan *scan = walk->scan;
    g_array_append_val(scan->items, item);
    if (kind != TB_ENTRY_DIR)
        scan->files++;
    scan->bytes += item.size;
    return tb_scan_item(scan, scan->items->len - 1);
}

uint64_t tb_text_number(const char *text)
{
    uint8_t digest[32];
    gsize length = sizeof digest;
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, (const guchar *)text, (gssize)strlen(text));
    g_checksum_get_digest(checksum, digest, &length);
    uint64_t number;
    memcpy(&number, digest, sizeof number);
    return number;
}

/* Something of ours; takes `text`. */
static void add_ours(TbScan *scan, char *path, TbEntryKind kind, char *text)
{
    TbItem item = {
        .path = path,
        .kind = kind,
        .mode = kind == TB_ENTRY_DIR ? S_IFDIR | 0755 : S_IFREG | 0644,
        .size = text ? strlen(text) : 0,
        .mtime = scan->started,
        .ctime = scan->started,
        .ino = text ? tb_text_number(text) : 0,
        .text = text,
        .ours = true,
    };
    g_array_append_val(scan->items, item);
}

/* The configuration and the hooks directory of the git directory at box path `path`. */
static void add_git_files(TbScan *scan, const char *path, int config_dir, bool submodule)
{
    g_autoptr(GBytes) config =
        config_dir >= 0 ? tb_read_file_at(config_dir, "config", CONFIG_FILE, NULL) : NULL;
    char *text = tb_git_config_sanitized(config ? g_bytes_get_data(config, NULL) : NULL, submodule);
    add_ours(scan, g_strdup_printf("%s/config", path), TB_ENTRY_FILE, text);
    add_ours(scan, g_strdup_printf("%s/hooks", path), TB_ENTRY_DIR, NULL);
}

static void add_link(Walk *walk, int fd, const char *name, const char *path, const struct statx *st)
{
    char target[MAX_PATH];
    ssize_t length = readlinkat(fd, name, target, sizeof target);
    if (length <= 0 || length >= (ssize_t)sizeof target) {
        tb_scan_leave_out(walk->scan, path, "a symbolic link that cannot be read");
        return;
    }
    TbItem *item = add_item(walk, path, TB_ENTRY_SYMLINK, st);
    item->size = (uint64_t)length;
    item->text = g_strndup(target, (gsize)length);
}

static bool readable(const Walk *walk, int fd, const char *name, const struct statx *st)
{
    if (walk->user == 0 || (st->stx_uid == walk->user && (st->stx_mode & S_IRUSR)))
        return true;
    return faccessat(fd, name, R_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0;
}

static void add_file(Walk *walk, int fd, const char *name, const char *path, const Git *git,
                     const struct statx *st)
{
    TbScan *scan = walk->scan;
    if (st->stx_size > MAX_FILE)
        tb_scan_leave_out(walk->scan, path, "larger than 16 GiB");
    else if (!readable(walk, fd, name, st))
        tb_scan_leave_out(walk->scan, path, "cannot be read (permission denied)");
    else {
        TbItem *item = add_item(walk, path, TB_ENTRY_FILE, st);
        item->listed = git->active ? NULL : tb_mask_list_match(scan->list, path);
        scan->listed += item->listed != NULL;
    }
}

/* The .git file of a submodule: what it says must be true in the box. */
static void add_git_file(Walk *walk, int fd, const char *path)
{
    g_autoptr(GBytes) bytes = tb_read_file_at(fd, ".git", MAX_PATH, NULL);
    char *text =
        bytes ? tb_git_file_in_box(walk->scan->project, path, g_bytes_get_data(bytes, NULL)) : NULL;
    if (text)
        add_ours(walk->scan, g_strdup(path), TB_ENTRY_FILE, text);
    else
        tb_scan_leave_out(walk->scan, path, "leads to a repository outside of the project");
    g_autofree char *dir = g_path_get_dirname(path);
    g_ptr_array_add(walk->scan->nested, g_steal_pointer(&dir));
}

/* packed-refs less what the box does not get. */
static void add_packed_refs(Walk *walk, int fd, const char *path)
{
    g_autoptr(GBytes) text = tb_read_file_at(fd, "packed-refs", REFS_FILE, NULL);
    if (text)
        add_ours(walk->scan, g_strdup(path), TB_ENTRY_FILE,
                 tb_git_packed_refs(g_bytes_get_data(text, NULL)));
    else
        tb_scan_leave_out(walk->scan, path, "cannot be read");
}

static const char *kind_name(unsigned mode)
{
    switch (mode & S_IFMT) {
    case S_IFSOCK:
        return "a socket";
    case S_IFIFO:
        return "a named pipe";
    case S_IFBLK:
    case S_IFCHR:
        return "a device";
    default:
        return "no file that is known";
    }
}

static bool enter_dir(Walk *walk, int fd, const char *name, const char *path, unsigned depth,
                      const Git *git, const struct statx *st, GError **error)
{
    if (depth >= MAX_DEPTH) {
        tb_scan_leave_out(walk->scan, path, "deeper than %d directories", MAX_DEPTH);
        return true;
    }
    tb_autofd child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0) {
        tb_scan_leave_out(walk->scan, path, "cannot be read (%s)", g_strerror(errno));
        return true;
    }
    add_item(walk, path, TB_ENTRY_DIR, st);
    Git inner = *git;
    bool is_git = false;
    if (!git->active && strcmp(name, ".git") == 0) {
        inner = (Git){.active = true, .prefix = strlen(path) + 1, .nested = strchr(path, '/')};
        is_git = tb_is_git_dir(child);
        if (inner.nested && is_git)
            g_ptr_array_add(walk->scan->nested, g_path_get_dirname(path));
    } else if (git->active && g_str_has_prefix(path + git->prefix, "modules/") &&
               tb_is_git_dir(child)) {
        inner = (Git){.active = true, .prefix = strlen(path) + 1, .nested = true};
        add_git_files(walk->scan, path, child, true);
    }
    if (is_git)
        add_git_files(walk->scan, path, child, false);
    return walk_dir(walk, child, path, depth + 1, &inner, error);
}

static void note_odd(TbScan *scan, const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    bool read_by_git = g_str_has_prefix(name, ".git") || strstr(path, ".git/");
    if (read_by_git && !scan->odd_git_input)
        scan->odd_git_input = tb_escape_name(path);
}

static bool visit(Walk *walk, int fd, const char *name, const char *path, unsigned depth,
                  const Git *git, GError **error)
{
    struct statx st;
    TbScan *scan = walk->scan;
    if (!stat_of(fd, name, &st))
        return true; /* gone since the directory was read */
    unsigned type = st.stx_mode & S_IFMT;
    if (git->active && !tb_git_part_wanted(path + git->prefix, type == S_IFDIR, git->part))
        return true;
    if (strlen(path) >= MAX_PATH) {
        tb_scan_leave_out(scan, path, "its path is too long");
    } else if (elsewhere(walk, &st)) {
        tb_scan_leave_out(scan, path, "another file system is mounted there");
    } else if (type == S_IFDIR) {
        if (walk->inside && strcmp(path, walk->inside) == 0)
            return true; /* comes as .git */
        return enter_dir(walk, fd, name, path, depth, git, &st, error);
    } else if (strcmp(path, ".git") == 0 && walk->source == TB_SOURCE_ROOT &&
               scan->project->git_dir) {
        return true; /* a linked worktree's: the box gets a real directory */
    } else if (strcmp(name, ".git") == 0 && type == S_IFREG && !git->active) {
        add_git_file(walk, fd, path);
    } else if (type == S_IFLNK && (git->active || strcmp(name, ".git") == 0)) {
        tb_scan_leave_out(scan, path, "a symbolic link inside of a git directory");
    } else if (type == S_IFLNK) {
        add_link(walk, fd, name, path, &st);
    } else if (type == S_IFREG && git->active && strcmp(path + git->prefix, "packed-refs") == 0) {
        add_packed_refs(walk, fd, path);
    } else if (type == S_IFREG) {
        if (strcmp(name, ".gitattributes") == 0)
            scan->has_attributes = true;
        add_file(walk, fd, name, path, git, &st);
    } else {
        note_odd(scan, path);
        tb_scan_leave_out(scan, path, "%s", kind_name(type));
    }
    return true;
}

static bool check_limits(const TbScan *scan, GError **error)
{
    if (scan->items->len > MAX_ITEMS)
        return tb_error_set(error, TB_ERROR_LIMIT,
                            "cannot use project '%s': it has more than %d files",
                            scan->project->root, MAX_ITEMS);
    if (scan->bytes > MAX_BYTES)
        return tb_error_set(error, TB_ERROR_LIMIT,
                            "cannot use project '%s': it holds more than %d GiB",
                            scan->project->root, (int)(MAX_BYTES >> 30));
    return scan->items->len % 1024 != 0 || tb_interrupt_check(error);
}

static gint name_order(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, in the order of bytes: so items come nearly sorted, and a directory
 * that did not change is told in the same order every time. */
static GPtrArray *names_in(int fd, GError **error)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir) {
        tb_error_set_errno(error, errno, "cannot read a directory of the project");
        tb_clear_fd(&copy);
        return NULL;
    }
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    rewinddir(dir); /* an earlier scan has read it to its end, and the place is the descriptor's */
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    closedir(dir);
    g_ptr_array_sort(names, name_order);
    return names;
}

static bool walk_dir(Walk *walk, int fd, const char *path, unsigned depth, const Git *git,
                     GError **error)
{
    g_autoptr(GPtrArray) names = names_in(fd, error);
    if (!names)
        return false;
    bool fine = true;
    g_autoptr(GString) child = g_string_new(NULL);
    for (guint i = 0; fine && i < names->len; i++) {
        g_string_assign(child, path);
        if (child->len)
            g_string_append_c(child, '/');
        g_string_append(child, names->pdata[i]);
        fine = visit(walk, fd, names->pdata[i], child->str, depth, git, error) &&
               check_limits(walk->scan, error);
    }
    return fine;
}

static bool start_walk(Walk *walk, TbScan *scan, TbSource source, struct statx *st, GError **error)
{
    if (!stat_of(scan->project->fds[source], "", st))
        return tb_error_set_errno(error, errno, "cannot look at project '%s'", scan->project->root);
    *walk = (Walk){
        .scan = scan,
        .source = source,
        .mount = st->stx_mnt_id,
        .dev_major = st->stx_dev_major,
        .dev_minor = st->stx_dev_minor,
        .by_mount = (st->stx_mask & STATX_MNT_ID) != 0,
        .user = geteuid(),
    };
    return true;
}

static bool walk_root(TbScan *scan, GError **error)
{
    Walk walk;
    struct statx st;
    TbProject *project = scan->project;
    if (!start_walk(&walk, scan, TB_SOURCE_ROOT, &st, error))
        return false;
    size_t length = strlen(project->root);
    if (project->git_dir && !project->git_inside &&
        strncmp(project->git_dir, project->root, length) == 0 && project->git_dir[length] == '/')
        walk.inside = project->git_dir + length + 1;
    add_item(&walk, "", TB_ENTRY_DIR, &st);
    const Git none = {0};
    return walk_dir(&walk, project->fds[TB_SOURCE_ROOT], "", 0, &none, error);
}

/* A git directory outside of the work tree (or its main repository) becomes .git. */
static bool walk_outside(TbScan *scan, TbSource source, TbGitPart part, GError **error)
{
    Walk walk;
    struct statx st;
    if (!start_walk(&walk, scan, source, &st, error))
        return false;
    walk.skip = strlen(".git/");
    const Git git = {.active = true, .prefix = strlen(".git/"), .part = part};
    return walk_dir(&walk, scan->project->fds[source], ".git", 1, &git, error);
}

static bool walk_git(TbScan *scan, GError **error)
{
    TbProject *project = scan->project;
    bool linked = project->fds[TB_SOURCE_COMMON] >= 0;
    add_ours(scan, g_strdup(".git"), TB_ENTRY_DIR, NULL);
    add_git_files(scan, ".git", project->fds[linked ? TB_SOURCE_COMMON : TB_SOURCE_GIT], false);
    if (!linked)
        return walk_outside(scan, TB_SOURCE_GIT, TB_GIT_WHOLE, error);
    return walk_outside(scan, TB_SOURCE_COMMON, TB_GIT_COMMON, error) &&
           walk_outside(scan, TB_SOURCE_GIT, TB_GIT_OWN, error);
}

static gint item_order(gconstpointer a, gconstpointer b)
{
    return tb_path_order((*(TbItem *const *)a)->path, (*(TbItem *const *)b)->path);
}

static void sort(TbScan *scan)
{
    guint count = scan->items->len;
    g_autofree TbItem **order = g_new(TbItem *, count);
    for (guint i = 0; i < count; i++)
        order[i] = tb_scan_item(scan, i);
    qsort(order, count, sizeof order[0], item_order);
    GArray *sorted = g_array_sized_new(FALSE, TRUE, sizeof(TbItem), count);
    for (guint i = 0; i < count; i++)
        g_array_append_vals(sorted, order[i], 1);
    g_array_set_clear_func(scan->items, NULL);
    g_array_unref(scan->items);
    scan->items = sorted;
    tb_scan_own_items(scan);
}

/* Sorts; of two directories for one path (.git/info of both parts of a worktree) one stays. */
static void settle(TbScan *scan)
{
    sort(scan);
    guint kept = 0;
    for (guint i = 0; i < scan->items->len; i++) {
        TbItem *item = tb_scan_item(scan, i);
        if (kept && strcmp(tb_scan_item(scan, kept - 1)->path, item->path) == 0) {
            g_free(item->path);
            g_free(item->text);
        } else {
            if (kept != i)
                *tb_scan_item(scan, kept) = *item;
            kept++;
        }
        if (kept != i + 1)
            *item = (TbItem){0};
    }
    g_array_set_size(scan->items, kept);
    for (guint i = 0; i < kept; i++)
        g_hash_table_insert(scan->by_path, tb_scan_item(scan, i)->path, GUINT_TO_POINTER(i + 1));
}

/* True when the path is a .git or below one; *own: the project's. */
static bool in_git(const char *path, bool *own)
{
    *own = tb_path_in_git(path);
    size_t length = strlen(path);
    return *own || strstr(path, "/.git/") ||
           (length > 5 && strcmp(path + length - 5, "/.git") == 0);
}

/* `kept` names files in .git, and with a "*" at the end those that begin so. */
static bool is_kept(const char *path, const char *const *kept)
{
    for (; kept && *kept && strlen(path) > strlen(".git/"); kept++) {
        size_t length = strcspn(*kept, "*");
        const char *name = path + strlen(".git/");
        if (strncmp(name, *kept, length) == 0 && ((*kept)[length] || !name[length]))
            return true;
    }
    return false;
}

static void drop_git(TbScan *scan, const char *const *kept)
{
    guint left = 0;
    g_hash_table_remove_all(scan->by_path);
    for (guint i = 0; i < scan->items->len; i++) {
        TbItem *item = tb_scan_item(scan, i);
        bool own = false;
        if (in_git(item->path, &own) && !(own && is_kept(item->path, kept))) {
            scan->files -= item->kind != TB_ENTRY_DIR && !item->ours;
            scan->bytes -= item->kind == TB_ENTRY_FILE && !item->ours ? item->size : 0;
            g_free(item->path);
            g_free(item->text);
            *item = (TbItem){0};
            continue;
        }
        if (left != i) {
            *tb_scan_item(scan, left) = *item;
            *item = (TbItem){0};
        }
        left++;
    }
    g_array_set_size(scan->items, left);
}

bool tb_scan_replace_git(TbScan *scan, const char *const *kept, GError **error)
{
    drop_git(scan, kept);
    add_ours(scan, g_strdup(".git"), TB_ENTRY_DIR, NULL);
    add_git_files(scan, ".git", scan->project->fds[TB_SOURCE_MADE], false);
    if (!walk_outside(scan, TB_SOURCE_MADE, TB_GIT_WHOLE, error))
        return false;
    settle(scan);
    return true;
}

/* Objects that the repository borrows lie outside; a hostile project could name anybody's. */
static void note_borrowed(TbScan *scan)
{
    TbProject *project = scan->project;
    if (!project->common_dir)
        return;
    tb_autofd fd = open(project->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    g_autoptr(GBytes) lines =
        fd >= 0 ? tb_read_file_at(fd, "objects/info/alternates", CONFIG_FILE, NULL) : NULL;
    if (lines && g_bytes_get_size(lines) > 0)
        tb_scan_leave_out(scan, ".git/objects/info/alternates",
                          "borrowed objects stay out, the history in the box has holes (git repack "
                          "-a -d and removing this file make the repository whole)");
}

TbScan *tb_scan_new(TbProject *project, GError **error)
{
    g_autoptr(TbScan) scan = tb_scan_alloc(project);
    if (!walk_root(scan, error))
        return NULL;
    if (project->git_dir && !project->git_inside && !walk_git(scan, error))
        return NULL;
    settle(scan);
    note_borrowed(scan);
    if (scan->odd_git_input) {
        tb_error_set(error, TB_ERROR_DENIED,
                     "cannot use project '%s': '%s', which git would read, is a pipe, socket or "
                     "device (remove it)",
                     project->root, scan->odd_git_input);
        return NULL;
    }
    return tb_scan_read_rules(scan, error) ? g_steal_pointer(&scan) : NULL;
}
