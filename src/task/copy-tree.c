/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A copy out of a task that has ended: its box is gone, but the project as it left it is a git
 * tree. It takes the same way as one out of a box, as frames, so the same checks hold.
 */
#include <string.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "channel/sha256.h"
#include "task/copy-out.h"
#include "task/finish.h"
#include "util/error.h"
#include "util/git.h"

#define LIST_LIMIT (256u << 20)
#define BLOB_LIMIT (512u << 20)

typedef struct {
    TbEntryKind kind;
    bool executable;
    char *path; /* "x" or "x/..." */
    char *oid;
} Item;

static void item_free(void *data)
{
    Item *item = data;
    g_free(item->path);
    g_free(item->oid);
    g_free(item);
}

typedef struct {
    TbCopyOut *copy;
    GPtrArray *items;
    guint at; /* the next one to be told */
    uint32_t told;
} Teller;

static bool put(Teller *teller, TbMessageType type, const void *payload, size_t length,
                GError **error)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, (uint8_t)type, 0, (uint32_t)length);
    return tb_copy_out_take(teller->copy, header, sizeof header, error) &&
           tb_copy_out_take(teller->copy, payload, length, error);
}

static bool put_entry(Teller *teller, const Item *item, const void *target, size_t length,
                      GError **error)
{
    uint8_t payload[TB_ENTRY_WIRE_LIMIT];
    TbWriter writer = tb_writer(payload, sizeof payload);
    const TbEntry entry = {.kind = item->kind,
                           .mode = item->executable ? 0755 : 0644,
                           .path = (const uint8_t *)item->path,
                           .path_length = strlen(item->path),
                           .target = target,
                           .target_length = length};
    tb_encode_entry(&writer, &entry);
    teller->told++;
    return writer.failed
               ? tb_error_set(error, TB_ERROR_LIMIT, "a path of the task is too long to be copied")
               : put(teller, TB_MSG_ENTRY, payload, writer.length, error);
}

static bool put_file(Teller *teller, const Item *item, const uint8_t *data, size_t length,
                     GError **error)
{
    TbSha256 hash;
    uint8_t digest[TB_HASH_SIZE];
    if (!put_entry(teller, item, NULL, 0, error))
        return false;
    for (size_t done = 0; done < length; done += MIN(length - done, TB_FRAME_MAX))
        if (!put(teller, TB_MSG_FILE_DATA, data + done, MIN(length - done, TB_FRAME_MAX), error))
            return false;
    tb_sha256_init(&hash);
    tb_sha256_add(&hash, data, length);
    tb_sha256_end(&hash, digest);
    return put(teller, TB_MSG_FILE_END, digest, sizeof digest, error);
}

/* Whatever stands before the next blob. */
static bool tell_others(Teller *teller, GError **error)
{
    for (; teller->at < teller->items->len; teller->at++) {
        const Item *item = teller->items->pdata[teller->at];
        if (item->oid)
            return true;
        if (!put_entry(teller, item, NULL, 0, error))
            return false;
    }
    return true;
}

static bool on_blob(size_t index, const uint8_t *data, uint64_t size, void *user_data,
                    GError **error)
{
    Teller *teller = user_data;
    if (!tell_others(teller, error))
        return false;
    const Item *item = teller->items->pdata[teller->at++];
    if (!data)
        return tb_error_set(error, TB_ERROR_LIMIT, "'%s' is too large to be copied (512 MiB)",
                            item->path);
    if (item->kind == TB_ENTRY_SYMLINK)
        return put_entry(teller, item, data, (size_t)size, error);
    return put_file(teller, item, data, (size_t)size, error);
}

/* "MODE TYPE OID\tPATH" of ls-tree; NULL: it is above what is wanted. */
static Item *parse_item(const char *line, const char *root)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 3);
    const char *path = strchr(line, '\t');
    if (g_strv_length(words) != 3 || !path)
        return NULL;
    size_t length = strlen(root);
    path++;
    if (length > 0 && (strncmp(path, root, length) != 0 || (path[length] && path[length] != '/')))
        return NULL;
    Item *item = g_new0(Item, 1);
    const char *rest = length > 0 ? path + length : path;
    item->path = g_strconcat("x", length == 0 ? "/" : "", rest, NULL);
    item->executable = strcmp(words[0], "100755") == 0;
    item->kind = strcmp(words[0], "040000") == 0     ? TB_ENTRY_DIR
                 : strcmp(words[0], "120000") == 0   ? TB_ENTRY_SYMLINK
                 : g_str_has_prefix(words[0], "100") ? TB_ENTRY_FILE
                                                     : TB_ENTRY_OTHER;
    if (item->kind == TB_ENTRY_FILE || item->kind == TB_ENTRY_SYMLINK)
        item->oid = g_strndup(words[2], strcspn(words[2], "\t"));
    return item;
}

static bool list(TbGit *git, const char *tree, const char *root, GPtrArray *items, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "ls-tree", NULL, NULL);
    tb_command_add(command, "-r", "-t", "-z", "--full-tree", tree, NULL);
    if (*root)
        tb_command_add(command, root, NULL);
    tb_command_set_stdout_limit(command, LIST_LIMIT);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return false;
    size_t length = 0;
    const char *text = g_bytes_get_data(out, &length);
    if (!*root) {
        Item *top = g_new0(Item, 1);
        top->kind = TB_ENTRY_DIR;
        top->path = g_strdup("x");
        g_ptr_array_add(items, top);
    }
    for (const char *line = text; line < text + length; line += strlen(line) + 1) {
        Item *item = parse_item(line, root);
        if (item)
            g_ptr_array_add(items, item);
    }
    return true;
}

/* From the project's root, without a "." or a slash too many. NULL with an error. */
static char *path_in_project(const TbTask *task, const char *path, GError **error)
{
    g_autofree char *here = g_build_filename("/workspace", task->project_name, NULL);
    g_autofree char *all =
        *path == '/'
            ? g_strdup(path)
            : g_build_filename(here, task->project_subdir ? task->project_subdir : "", path, NULL);
    g_autofree char *plain = g_canonicalize_filename(all, "/");
    size_t length = strlen(here);
    if (strncmp(plain, here, length) == 0 && (plain[length] == '/' || plain[length] == '\0'))
        return g_strdup(plain[length] ? plain + length + 1 : "");
    tb_error_set(error, TB_ERROR_NOT_FOUND,
                 "'%s' is not in the project, and the box of task '%s' is gone", path, task->id);
    return NULL;
}

bool tb_copy_out_ended(TbCopyOut *copy, const TbTask *task, const char *path, GError **error)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
    g_autofree char *root = path_in_project(task, path, error);
    g_autoptr(TbGit) git = root ? tb_task_objects(task, error) : NULL;
    if (!git || !list(git, task->result_tree, root, items, error))
        return false;
    if (items->len == 0)
        return tb_error_set(error, TB_ERROR_NOT_FOUND, "there is no '%s' in what task '%s' left",
                            path, task->id);
    g_autoptr(GPtrArray) oids = g_ptr_array_new();
    for (guint i = 0; i < items->len; i++)
        if (((Item *)items->pdata[i])->oid)
            g_ptr_array_add(oids, ((Item *)items->pdata[i])->oid);
    Teller teller = {.copy = copy, .items = items};
    if (oids->len > 0 && !tb_git_read_blobs(git, (const char *const *)oids->pdata, oids->len,
                                            BLOB_LIMIT, on_blob, &teller, error))
        return false;
    uint8_t payload[4];
    if (!tell_others(&teller, error))
        return false;
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, teller.told);
    return put(&teller, TB_MSG_LIST_END, payload, writer.length, error);
}
