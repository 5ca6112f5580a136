/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many blobs by one `git cat-file --batch`. Its answers are "OID blob SIZE\n", the bytes, "\n":
 * they are taken apart as they come, and each must be the answer to what was asked.
 */
#include "util/git.h"

#include <string.h>

#include "util/error.h"

#define MAX_HEAD 256

typedef struct {
    const char *type;
    const char *const *oids;
    size_t count, next; /* `next`: the one whose answer is to come, or is coming */
    bool sizes_only;
    const TbBlobStream *stream;
    void *user_data;
    GString *head;
    bool in_blob;
    bool newline; /* the one behind the bytes is to come */
    uint64_t left;
} Reader;

static bool reader_confused(const Reader *reader, GError **error)
{
    return tb_error_set(error, TB_ERROR_INTERNAL, "cannot read object '%s' of the task",
                        reader->next < reader->count ? reader->oids[reader->next] : "?");
}

static bool blob_done(Reader *reader, GError **error)
{
    reader->in_blob = false;
    return reader->stream->end(reader->next++, reader->user_data, error);
}

static bool head_done(Reader *reader, GError **error)
{
    if (reader->next >= reader->count)
        return reader_confused(reader, error);
    g_autofree char *expected = g_strdup_printf("%s %s ", reader->oids[reader->next], reader->type);
    char *rest = NULL;
    if (!g_str_has_prefix(reader->head->str, expected))
        return reader_confused(reader, error);
    const char *digits = reader->head->str + strlen(expected);
    reader->left = g_ascii_strtoull(digits, &rest, 10);
    if (rest == digits || *rest)
        return reader_confused(reader, error);
    g_string_truncate(reader->head, 0);
    if (!reader->stream->begin(reader->next, reader->left, reader->user_data, error))
        return false;
    if (reader->sizes_only)
        return blob_done(reader, error);
    reader->newline = true;
    reader->in_blob = reader->left > 0;
    return reader->in_blob || blob_done(reader, error);
}

static bool take_head(Reader *reader, uint8_t byte, GError **error)
{
    if (byte == '\n')
        return head_done(reader, error);
    g_string_append_c(reader->head, (char)byte);
    return reader->head->len < MAX_HEAD || reader_confused(reader, error);
}

static bool on_bytes(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Reader *reader = user_data;
    while (length > 0) {
        size_t used = 1;
        if (reader->in_blob) {
            used = (size_t)MIN(reader->left, (uint64_t)length);
            if (!reader->stream->bytes(data, used, reader->user_data, error))
                return false;
            reader->left -= used;
            if (reader->left == 0 && !blob_done(reader, error))
                return false;
        } else if (reader->newline) {
            reader->newline = false;
        } else if (!take_head(reader, *data, error)) {
            return false;
        }
        data += used;
        length -= used;
    }
    return true;
}

static bool run_reader(TbGit *git, Reader *reader, GError **error)
{
    if (reader->count == 0)
        return true;
    g_autoptr(GString) input = g_string_new(NULL);
    for (size_t i = 0; i < reader->count; i++)
        g_string_append_printf(input, "%s\n", reader->oids[i]);
    g_autoptr(TbCommand) command = tb_git_command(git, "cat-file", NULL, NULL);
    tb_command_add(command, reader->sizes_only ? "--batch-check" : "--batch", NULL);
    tb_command_set_stdin_bytes(command, input->str, input->len);
    g_autoptr(GString) head = g_string_new(NULL);
    reader->head = head;
    tb_command_set_stdout_fn(command, on_bytes, reader);
    tb_command_set_stdout_limit(command, SIZE_MAX);
    if (!tb_command_run(command, NULL, error))
        return false;
    return reader->next == reader->count || reader_confused(reader, error);
}

bool tb_git_stream_blobs(TbGit *git, const char *const *oids, size_t count,
                         const TbBlobStream *stream, void *user_data, GError **error)
{
    Reader reader = {
        .type = "blob", .oids = oids, .count = count, .stream = stream, .user_data = user_data};
    return run_reader(git, &reader, error);
}

/* ---- whole blobs; one over the limit passes by without being kept */

typedef struct {
    size_t limit;
    uint64_t size;
    GByteArray *bytes;
    TbBlobFn fn;
    void *user_data;
} Whole;

static bool whole_begin(size_t index, uint64_t size, void *user_data, GError **error)
{
    Whole *whole = user_data;
    whole->size = size;
    g_byte_array_set_size(whole->bytes, 0);
    return true;
}

static bool whole_bytes(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Whole *whole = user_data;
    if (whole->size <= whole->limit)
        g_byte_array_append(whole->bytes, data, (guint)length);
    return true;
}

static bool whole_end(size_t index, void *user_data, GError **error)
{
    Whole *whole = user_data;
    static const uint8_t none[1] = {0};
    bool kept = whole->limit > 0 && whole->size <= whole->limit;
    const uint8_t *data = kept ? whole->bytes->data ? whole->bytes->data : none : NULL;
    return whole->fn(index, data, whole->size, whole->user_data, error);
}

bool tb_git_read_objects(TbGit *git, const char *type, const char *const *oids, size_t count,
                         size_t limit, TbBlobFn fn, void *user_data, GError **error)
{
    static const TbBlobStream stream = {whole_begin, whole_bytes, whole_end};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Whole whole = {.limit = limit, .bytes = bytes, .fn = fn, .user_data = user_data};
    Reader reader = {.type = type,
                     .oids = oids,
                     .count = count,
                     .sizes_only = limit == 0,
                     .stream = &stream,
                     .user_data = &whole};
    return run_reader(git, &reader, error);
}

bool tb_git_read_blobs(TbGit *git, const char *const *oids, size_t count, size_t limit, TbBlobFn fn,
                       void *user_data, GError **error)
{
    return tb_git_read_objects(git, "blob", oids, count, limit, fn, user_data, error);
}
