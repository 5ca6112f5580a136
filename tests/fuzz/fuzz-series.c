/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a box answers when it is asked for its commits: the list, the commits' text, and which paths
 * they change. git is left out (--wrap): it says what the input says. A series that comes of it is
 * the same when read back, and nothing in it or in the notes could drive a terminal once it is
 * cleaned. The input is also read as the file of a series.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "patch/base.h"
#include "patch/commit.h"
#include "review/words.h"
#include "task/commits.h"
#include "task/record.h"
#include "util/escape.h"
#include "util/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OID "0123456789012345678901234567890123456789"

static struct {
    const uint8_t *commit, *paths;
    size_t commit_size, paths_size;
    bool written;
} box;

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* ---- what must hold */

static bool is_plain(const char *text, bool multiline)
{
    for (const char *at = text; *at; at++)
        if (((unsigned char)*at < ' ' && !(multiline && (*at == '\n' || *at == '\t'))) ||
            *at == 0x7f || ((unsigned char)at[0] == 0xc2 && (unsigned char)at[1] < 0xa0))
            return false;
    return g_utf8_validate(text, -1, NULL);
}

static void check_step(const TbSeriesStep *step, bool of_box)
{
    require(step->tree && step->message && !step->commit == !step->author);
    g_autofree char *message = tb_clean_message(step->message, step->encoding);
    require(is_plain(message, true) && !strstr(message, "\xe2\x80\xae"));
    g_autofree char *again = tb_clean_message(message, NULL);
    require(strcmp(message, again) == 0);
    if (!step->author)
        return;
    g_autofree char *author = tb_clean_author(step->author, step->encoding);
    require(is_plain(author, false));
    require(!of_box || (strchr(author, '<') && strstr(author, "> ")));
}

static void check_series(const GPtrArray *series, bool of_box)
{
    for (guint i = 0; i < series->len; i++)
        check_step(series->pdata[i], of_box);
    g_autoptr(GBytes) bytes = tb_series_format(series);
    g_autoptr(GPtrArray) again = tb_series_parse(bytes, NULL);
    require(again && again->len == series->len);
    g_autoptr(GBytes) twice = tb_series_format(again);
    require(g_bytes_equal(bytes, twice));
}

/* ---- in git's place */

TbCommand *__wrap_tb_git_command(TbGit *git, const char *subcommand, const char *worktree,
                                 const char *index);
bool __wrap_tb_command_run(TbCommand *command, GBytes **out, GError **error);
char *__wrap_tb_git_run_oid(TbGit *git, TbCommand *command, GError **error);
unsigned __wrap_tb_git_oid_length(const TbGit *git);
const char *__wrap_tb_git_path(const TbGit *git);
bool __wrap_tb_git_read_objects(TbGit *git, const char *type, const char *const *oids, size_t count,
                                size_t limit, TbBlobFn fn, void *user_data, GError **error);
bool __wrap_tb_index_copy(const char *from, const char *to, GError **error);
GPtrArray *__wrap_tb_patch_raw_within(TbGit *git, const char *base_tree, const char *result_tree,
                                      size_t bytes, unsigned seconds, GError **error);
char *__wrap_tb_tree_empty(TbGit *git, GError **error);
bool __wrap_tb_write_atomic(int dirfd, const char *name, const void *data, size_t length,
                            mode_t mode, GError **error);

TbCommand *__wrap_tb_git_command(TbGit *git, const char *subcommand, const char *worktree,
                                 const char *index)
{
    return tb_command_new(subcommand);
}

/* None of the commits is there yet. */
bool __wrap_tb_command_run(TbCommand *command, GBytes **out, GError **error)
{
    GString *lines = g_string_new(NULL);
    for (unsigned i = 0; out && i < TB_SERIES_COMMITS; i++)
        g_string_append(lines, OID " missing\n");
    if (out)
        *out = g_string_free_to_bytes(lines);
    else
        g_string_free(lines, TRUE);
    return true;
}

char *__wrap_tb_git_run_oid(TbGit *git, TbCommand *command, GError **error)
{
    return g_strdup(OID);
}

unsigned __wrap_tb_git_oid_length(const TbGit *git)
{
    return strlen(OID);
}

const char *__wrap_tb_git_path(const TbGit *git)
{
    return "/nonexistent";
}

bool __wrap_tb_git_read_objects(TbGit *git, const char *type, const char *const *oids, size_t count,
                                size_t limit, TbBlobFn fn, void *user_data, GError **error)
{
    for (size_t i = 0; i < count; i++) {
        require(strlen(oids[i]) == strlen(OID));
        /* Not a byte to spare, so that a read past the end is seen. */
        g_autofree uint8_t *copy = g_memdup2(box.commit, box.commit_size);
        static const uint8_t none;
        if (!fn(i, copy ? copy : &none, box.commit_size, user_data, error))
            return false;
    }
    return true;
}

bool __wrap_tb_index_copy(const char *from, const char *to, GError **error)
{
    return true;
}

/* A mode and a path each, which ends with a NUL byte. */
GPtrArray *__wrap_tb_patch_raw_within(TbGit *git, const char *base_tree, const char *result_tree,
                                      size_t bytes, unsigned seconds, GError **error)
{
    static const uint32_t modes[] = {0, TB_MODE_FILE, TB_MODE_EXECUTABLE, TB_MODE_SYMLINK,
                                     TB_MODE_GITLINK};
    GPtrArray *files = tb_patch_list_new();
    const uint8_t *at = box.paths, *end = at + box.paths_size;
    require(strspn(base_tree, "0123456789abcdef") == strlen(OID));
    for (const uint8_t *nul; at < end && (nul = memchr(at, '\0', (size_t)(end - at)));
         at = nul + 1) {
        TbPatchFile *file = g_new0(TbPatchFile, 1);
        file->new_mode = modes[*at % G_N_ELEMENTS(modes)];
        file->path = g_strdup(at < nul ? (const char *)at + 1 : "");
        file->old_oid = g_strdup(OID);
        file->new_oid = g_strdup(OID);
        g_ptr_array_add(files, file);
    }
    return files;
}

char *__wrap_tb_tree_empty(TbGit *git, GError **error)
{
    return g_strdup(OID);
}

bool __wrap_tb_write_atomic(int dirfd, const char *name, const void *data, size_t length,
                            mode_t mode, GError **error)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, length);
    g_autoptr(GPtrArray) series = tb_series_parse(bytes, NULL);
    require(series && series->len > 0);
    check_series(series, true);
    box.written = true;
    return true;
}

/* ---- the box */

static void try_answer(const void *head, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbTask) task = tb_record_new();
    task->base_tree = g_strdup(OID);
    task->result_tree = g_strdup("9876543210987654321098765432109876543210");
    int fd = memfd_create("answer", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, head, size) == (ssize_t)size);
    box.written = false;
    bool done = tb_task_commits_store(task, NULL, "", fd, 0, &error);
    require(done == (error == NULL) && task->commits <= TB_SERIES_COMMITS);
    require((task->commits > 0) == (done && box.written));
    for (guint i = 0; i < task->notes->len; i++)
        require(is_plain(task->notes->pdata[i], false));
    if (error)
        require(is_plain(error->message, false));
    close(fd);
}

static const uint8_t *take(const uint8_t **at, const uint8_t *end, size_t *length)
{
    size_t told = end - *at >= 2 ? (size_t)((*at)[0] | (*at)[1] << 8) : 0;
    const uint8_t *start = end - *at >= 2 ? *at + 2 : end;
    *length = MIN(told, (size_t)(end - start));
    *at = start + *length;
    return start;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] = "taskbox-commits 2 3\n" OID "\n" OID "\npack";
    const uint8_t *at = data, *end = data + size;
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(GPtrArray) series = tb_series_parse(bytes, NULL);
    if (series)
        check_series(series, false);
    size_t length = 0;
    const uint8_t *head = take(&at, end, &length);
    box.commit = take(&at, end, &box.commit_size);
    box.paths = at;
    box.paths_size = (size_t)(end - at);
    if (length > 0)
        try_answer(head, length);
    else
        try_answer(good, strlen(good));
    return 0;
}
