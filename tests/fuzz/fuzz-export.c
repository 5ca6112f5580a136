/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's export with all hashes right, so that what lies behind them is reached: the list goes
 * through the session into the changes, they are settled, and the files they want are sent. The
 * input says what is listed and where the guest lies. git is left out (--wrap): the base is a list
 * made here, ignored is what the list says, and blobs are only counted.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/sha256.h"
#include "patch/changes-private.h"
#include "util/error.h"
#include "vm/session-private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 60000, MOST_ENTRIES = 64, MOST_BYTES = 8192 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* ---- in git's place */

#define OID "0123456789012345678901234567890123456789"

TbBase *__wrap_tb_base_new(TbGit *git, const char *index, TbBaseList *list, GError **error);
bool __wrap_changes_drop_ignored(TbChanges *changes, const GArray *candidates, GError **error);
TbBlobWriter *__wrap_tb_blob_writer_new(TbGit *git, GError **error);
bool __wrap_tb_blob_writer_begin(TbBlobWriter *writer, uint64_t size, GError **error);
bool __wrap_tb_blob_writer_data(TbBlobWriter *writer, const void *data, size_t length,
                                GError **error);
bool __wrap_tb_blob_writer_end(TbBlobWriter *writer, uint32_t *out_mark, GError **error);
void __wrap_tb_blob_writer_free(TbBlobWriter *writer);

static const TbBaseEntry base_entries[] = {
    {".gitignore", OID, TB_MODE_FILE}, {".gitmodules", OID, TB_MODE_FILE},
    {"a", OID, TB_MODE_FILE},          {"a.b", OID, TB_MODE_EXECUTABLE},
    {"d-", OID, TB_MODE_FILE},         {"d/e/f", OID, TB_MODE_FILE},
    {"d/e/g", OID, TB_MODE_SYMLINK},   {"d/h", OID, TB_MODE_FILE},
    {"d0", OID, TB_MODE_FILE},         {"link", OID, TB_MODE_SYMLINK},
    {"module", OID, TB_MODE_GITLINK},  {"x/module", OID, TB_MODE_GITLINK},
    {"x/module.c", OID, TB_MODE_FILE}, {"\xff", OID, TB_MODE_FILE},
};

TbBase *__wrap_tb_base_new(TbGit *git, const char *index, TbBaseList *list, GError **error)
{
    TbBase *base = g_new0(TbBase, 1);
    base->array = g_array_new(FALSE, FALSE, sizeof(TbBaseEntry));
    g_array_append_vals(base->array, base_entries, G_N_ELEMENTS(base_entries));
    base->entries = (TbBaseEntry *)(void *)base->array->data;
    base->count = base->array->len;
    base->oid_length = 40;
    return base;
}

/* Everything with an 'i' in its name. */
bool __wrap_changes_drop_ignored(TbChanges *changes, const GArray *candidates, GError **error)
{
    for (guint i = 0; i < candidates->len; i++) {
        Item *item = changes_item(changes, g_array_index(candidates, uint32_t, i));
        if (strchr(item->path, 'i'))
            item->fate = FATE_DROPPED;
    }
    return true;
}

struct TbBlobWriter {
    bool open;
    uint64_t left;
    uint32_t count;
};

TbBlobWriter *__wrap_tb_blob_writer_new(TbGit *git, GError **error)
{
    return g_new0(TbBlobWriter, 1);
}

bool __wrap_tb_blob_writer_begin(TbBlobWriter *writer, uint64_t size, GError **error)
{
    require(!writer->open && size <= MOST_BYTES);
    writer->open = true;
    writer->left = size;
    return true;
}

bool __wrap_tb_blob_writer_data(TbBlobWriter *writer, const void *data, size_t length,
                                GError **error)
{
    require(writer->open && length <= writer->left);
    writer->left -= length;
    return true;
}

bool __wrap_tb_blob_writer_end(TbBlobWriter *writer, uint32_t *out_mark, GError **error)
{
    require(writer->open && writer->left == 0);
    writer->open = false;
    *out_mark = writer->count++;
    return true;
}

void __wrap_tb_blob_writer_free(TbBlobWriter *writer)
{
    g_free(writer);
}

/* ---- the guest */

typedef struct {
    const uint8_t *at, *end;
} Input;

static unsigned take(Input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static const uint8_t *take_bytes(Input *input, size_t *length)
{
    size_t told = take(input), left = (size_t)(input->end - input->at);
    *length = MIN(told, left);
    const uint8_t *at = input->at;
    input->at += *length;
    return at;
}

static void put_frame(TbWriter *out, TbMessageType type, const void *payload, size_t length)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, (uint8_t)type, 0, (uint32_t)length);
    tb_put_raw(out, header, sizeof header);
    tb_put_raw(out, payload, length);
}

/* One entry: kind, mode and size, path, and a link's target. */
static void put_entry(TbWriter *out, Input *input, TbSha256 *hash)
{
    static const uint64_t sizes[] = {0,          1,         2, 100, MOST_BYTES, MOST_BYTES + 1,
                                     1ull << 40, UINT64_MAX};
    static const uint32_t modes[] = {0644, 0755, 0, 07777, 0100, 0100644};
    uint8_t payload[1024];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbEntry entry = {.kind = (TbEntryKind)(take(input) % 8)};
    unsigned how = take(input);
    entry.mode = modes[how % G_N_ELEMENTS(modes)];
    entry.size = entry.kind == TB_ENTRY_FILE ? sizes[how / 16 % G_N_ELEMENTS(sizes)] : 0;
    entry.path = take_bytes(input, &entry.path_length);
    entry.target = (const uint8_t *)"";
    if (entry.kind == TB_ENTRY_SYMLINK)
        entry.target = take_bytes(input, &entry.target_length);
    tb_encode_entry(&writer, &entry);
    require(!writer.failed);
    tb_sha256_add(hash, payload, writer.length);
    put_frame(out, TB_MSG_ENTRY, payload, writer.length);
}

static uint32_t put_list(TbWriter *out, Input *input)
{
    uint8_t payload[4 + 32];
    uint32_t count = 0, most = take(input) % (MOST_ENTRIES + 8);
    TbSha256 hash;
    tb_sha256_init(&hash);
    while (count < most && input->at < input->end && out->length < ROOM - 2048) {
        put_entry(out, input, &hash);
        count++;
    }
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, count);
    tb_sha256_end(&hash, payload + 4);
    put_frame(out, TB_MSG_LIST_END, payload, sizeof payload);
    return count;
}

/* A file of the size that was listed, in pieces; a guest may lie about index, size and bytes. */
static void put_file(TbWriter *out, Input *input, uint32_t index, uint64_t size)
{
    static const uint8_t zeros[MOST_BYTES + 1];
    uint8_t payload[32];
    unsigned lie = take(input);
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, lie == 1 ? index + 1 : index);
    tb_put_u64(&writer, lie == 2 ? size + 1 : size);
    put_frame(out, TB_MSG_FILE_BEGIN, payload, writer.length);
    TbSha256 hash;
    tb_sha256_init(&hash);
    for (uint64_t left = size + (lie == 3); left > 0;) {
        size_t most = 64 + (size_t)take(input) * 64, piece = (size_t)MIN(left, most);
        tb_sha256_add(&hash, zeros, piece);
        put_frame(out, TB_MSG_FILE_DATA, zeros, piece);
        left -= piece;
    }
    tb_sha256_end(&hash, payload);
    payload[0] ^= lie == 4;
    put_frame(out, TB_MSG_FILE_END, payload, 32);
}

/* ---- what must hold */

static bool at_or_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);
    return strncmp(path, dir, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static void check_path(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (char **part = parts; *part; part++)
        require(**part && strcmp(*part, ".") && strcmp(*part, "..") && strcasecmp(*part, ".git"));
}

/* No two of what comes and what stays are at one place, and none is below another. */
static void check_settled(const TbChanges *changes)
{
    for (uint32_t i = 0; i < changes->items->len; i++) {
        const Item *item = changes_item(changes, i);
        if (item->fate != FATE_CARRIED)
            continue;
        require(item->kind == TB_ENTRY_FILE || item->kind == TB_ENTRY_SYMLINK);
        check_path(item->path);
        for (uint32_t k = 0; k < changes->items->len; k++) {
            const Item *other = changes_item(changes, k);
            require(k == i || other->fate != FATE_CARRIED || !at_or_below(other->path, item->path));
        }
        for (size_t k = 0; k < changes->base->count; k++) {
            const TbBaseEntry *entry = &changes->base->entries[k];
            require(entry->removed || (!at_or_below(entry->path, item->path) &&
                                       !at_or_below(item->path, entry->path)));
        }
    }
}

static bool send_all(int fd, const TbWriter *out)
{
    require(!out->failed);
    return write(fd, out->data, out->length) == (ssize_t)out->length;
}

static bool take_files(TbSession *session, int guest, TbChanges *changes, Input *input,
                       int64_t deadline, GError **error)
{
    static uint8_t bytes[3 * MOST_BYTES + ROOM];
    TbWriter out = tb_writer(bytes, sizeof bytes);
    const uint32_t *wanted = NULL;
    size_t count = 0;
    if (!tb_changes_wanted(changes, &wanted, &count, error))
        return false;
    check_settled(changes);
    for (size_t i = 0; i < count; i++) {
        const Item *item = changes_item(changes, wanted[i]);
        require(item->kind == TB_ENTRY_FILE && item->fate == FATE_CARRIED);
        put_file(&out, input, wanted[i], item->size);
    }
    put_frame(&out, TB_MSG_OK, "\x0e", 1);
    require(send_all(guest, &out) && shutdown(guest, SHUT_WR) == 0);
    TbFileSink sink = {tb_changes_file_begin, tb_changes_file_bytes, tb_changes_file_end, changes};
    return tb_session_export_files(session, wanted, count, MOST_BYTES, &sink, deadline, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[ROOM];
    int fds[2];
    Input input = {data, data + size};
    TbWriter out = tb_writer(bytes, sizeof bytes);
    const TbPatchLimits limits = {.max_bytes = MOST_BYTES, .max_entries = MOST_ENTRIES};
    int64_t deadline = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
    g_autoptr(GError) error = NULL;
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    TbSession *session = tb_session_new(fds[0]);
    session->greeted = true;
    TbChanges *changes = tb_changes_new(NULL, "", NULL, OID, NULL, NULL, &limits, &error);
    if (take(&input) & 1)
        tb_changes_leave_out(changes, "n");
    uint32_t count = put_list(&out, &input);
    require(send_all(fds[1], &out));
    bool ok =
        tb_session_export_list(session, MOST_ENTRIES, tb_changes_add, changes, deadline, &error);
    require(!ok || changes->items->len == count);
    ok = ok && take_files(session, fds[1], changes, &input, deadline, &error);
    require(ok == (error == NULL));
    require(ok || !g_error_matches(error, TB_ERROR, TB_ERROR_INTERNAL));
    tb_changes_free(changes);
    tb_session_free(session);
    close(fds[1]);
    return 0;
}
