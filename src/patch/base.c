/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list stays as git printed it; entries point into it. git's order is that of the bytes, so
 * what lies below a directory is one run of entries. */
#include "patch/base.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define LIST_LIMIT ((size_t)1 << 30)

static TbCommand *list_command(TbGit *git, const char *index)
{
    TbCommand *command = tb_git_command(git, "ls-files", NULL, index);
    tb_command_add(command, "-s", "-z", NULL);
    return command;
}

GBytes *tb_index_list(TbGit *git, const char *index, GError **error)
{
    if (!g_file_test(index, G_FILE_TEST_EXISTS))
        return g_bytes_new_static("", 0);
    g_autoptr(TbCommand) command = list_command(git, index);
    tb_command_set_stdout_limit(command, LIST_LIMIT);
    GBytes *out = NULL;
    return tb_command_run(command, &out, error) ? out : NULL;
}

bool tb_index_copy(const char *from, const char *to, GError **error)
{
    if (unlink(to) != 0 && errno != ENOENT)
        return tb_error_set_errno(error, errno, "cannot remove '%s'", to);
    tb_autofd in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0 && errno == ENOENT)
        return true;
    if (in < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", from);
    tb_autofd out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s'", to);
    return tb_copy_file(in, out, to, error);
}

/* One "MODE OID STAGE\tPATH" that ends before `end`. */
static bool entry_parse(TbBase *base, const char *line, const char *end, TbBaseEntry *entry)
{
    char *rest = NULL;
    uint64_t mode = g_ascii_strtoull(line, &rest, 8);
    const char *oid = rest + 1;
    const char *stage = oid + base->oid_length;
    if (*rest != ' ' || stage + 4 > end || memcmp(stage, " 0\t", 3) != 0)
        return false;
    *entry = (TbBaseEntry){.path = stage + 3, .oid = oid, .mode = (uint32_t)mode};
    return true;
}

static bool is_attributes(const char *path, const char *end)
{
    static const char name[] = ".gitattributes";
    const char *at = end - (sizeof name - 1);
    return at >= path && memcmp(at, name, sizeof name) == 0 && (at == path || at[-1] == '/');
}

struct TbBaseList {
    TbChild *child;
    int fd; /* memory file: what git says */
};

TbBaseList *tb_base_list_start(TbGit *git, const char *index)
{
    g_autoptr(TbBaseList) list = g_new0(TbBaseList, 1);
    list->fd = memfd_create("base-list", MFD_CLOEXEC);
    g_autoptr(TbCommand) command = list_command(git, index);
    tb_command_set_stdout_fd(command, list->fd);
    if (list->fd >= 0 && g_file_test(index, G_FILE_TEST_EXISTS))
        list->child = tb_command_start(command, NULL);
    return list->child ? g_steal_pointer(&list) : NULL;
}

void tb_base_list_free(TbBaseList *list)
{
    if (!list)
        return;
    g_clear_pointer(&list->child, tb_child_free);
    tb_clear_fd(&list->fd);
    g_free(list);
}

/* What the child has said; NULL unless it has ended well by now. */
static GBytes *list_take(TbBaseList *list)
{
    int status = 0;
    struct stat st;
    if (!list || !tb_child_poll(list->child, &status) || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0 || fstat(list->fd, &st) != 0 || st.st_size > (off_t)LIST_LIMIT)
        return NULL;
    g_autofree char *text = g_malloc((size_t)st.st_size + 1);
    for (off_t done = 0; done < st.st_size;) {
        ssize_t got = pread(list->fd, text + done, (size_t)(st.st_size - done), done);
        if (got <= 0)
            return NULL;
        done += got;
    }
    text[st.st_size] = '\0';
    return g_bytes_new_take(g_steal_pointer(&text), (gsize)st.st_size);
}

static bool base_parse(TbBase *base, GError **error)
{
    gsize size = 0;
    const char *text = g_bytes_get_data(base->text, &size);
    for (const char *at = text, *end; at < text + size; at = end + 1) {
        TbBaseEntry entry;
        end = memchr(at, '\0', (size_t)(text + size - at));
        if (!end || !entry_parse(base, at, end, &entry))
            return tb_error_set(error, TB_ERROR_INTERNAL,
                                "cannot read the base tree's index: not a list of merged entries");
        base->has_attributes |= is_attributes(entry.path, end);
        g_array_append_val(base->array, entry);
    }
    base->entries = (TbBaseEntry *)(void *)base->array->data;
    base->count = base->array->len;
    return true;
}

TbBase *tb_base_new(TbGit *git, const char *index, TbBaseList *list, GError **error)
{
    g_autoptr(TbBase) base = g_new0(TbBase, 1);
    base->array = g_array_new(FALSE, FALSE, sizeof(TbBaseEntry));
    base->oid_length = tb_git_oid_length(git);
    base->text = list_take(list);
    if (!base->text)
        base->text = tb_index_list(git, index, error);
    if (!base->text || !base_parse(base, error))
        return NULL;
    return g_steal_pointer(&base);
}

void tb_base_free(TbBase *base)
{
    if (!base)
        return;
    g_clear_pointer(&base->text, g_bytes_unref);
    g_clear_pointer(&base->array, g_array_unref);
    g_free(base);
}

static int path_compare(const char *entry, const char *path, size_t length)
{
    int order = strncmp(entry, path, length);
    return order ? order : entry[length] != '\0';
}

/* The first entry that is not before `path`. */
static size_t lower_bound(const TbBase *base, const char *path, size_t length)
{
    size_t low = 0, high = base->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (path_compare(base->entries[middle].path, path, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

TbBaseEntry *tb_base_find(const TbBase *base, const char *path, size_t length)
{
    size_t at = lower_bound(base, path, length);
    if (at == base->count || path_compare(base->entries[at].path, path, length) != 0)
        return NULL;
    return &base->entries[at];
}

size_t tb_base_below(const TbBase *base, const char *path, size_t *first)
{
    g_autofree char *start = g_strconcat(path, "/", NULL);
    size_t length = strlen(start);
    *first = lower_bound(base, start, length);
    start[length - 1]++; /* the byte after '/' */
    return lower_bound(base, start, length) - *first;
}

TbBaseEntry *tb_base_above(const TbBase *base, const char *path)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        TbBaseEntry *entry = tb_base_find(base, path, (size_t)(slash - path));
        if (entry && !entry->removed)
            return entry;
    }
    return NULL;
}
