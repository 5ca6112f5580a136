/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The export. Nothing the guest says is taken further than its form here: lengths, order, counts
 * and hashes. The list ends with the hash of all its entries (kind, mode, size, time, path,
 * target), each file with the hash of its bytes, so what was lost or altered on the way is noticed.
 * What a path or a mode means is the patch's business.
 */
#include <string.h>

#include "channel/sha256.h"
#include "util/error.h"
#include "util/hole.h"
#include "vm/session-private.h"

#define SILENCE_US (60 * G_USEC_PER_SEC)

/* The guest's own count and hash of the list. */
static bool check_list_end(TbSession *session, const TbFrame *frame, uint32_t count,
                           TbSha256 *manifest, GError **error)
{
    uint8_t mine[TB_HASH_SIZE];
    TbReader reader = tb_reader(frame->payload, frame->length);
    uint32_t told = tb_get_u32(&reader);
    const uint8_t *hash = tb_get_raw(&reader, sizeof mine);
    if (!tb_reader_done(&reader) || told != count)
        return tb_session_breach(session, error, "a list with another count");
    tb_sha256_end(manifest, mine);
    return memcmp(hash, mine, sizeof mine) == 0 || tb_hole("export-hash") ||
           tb_session_breach(session, error, "a list with another hash");
}

/* A guest that exports says something all the time. One that has gone to sleep, or whose QEMU has
 * lost a thread, says nothing at all for as long as the whole may take. */
static int64_t soon(int64_t deadline)
{
    return MIN(deadline, g_get_monotonic_time() + SILENCE_US);
}

static bool take_list(TbSession *session, uint32_t max_entries, TbEntryFn fn, void *data,
                      int64_t deadline, GError **error)
{
    TbSha256 manifest;
    tb_sha256_init(&manifest);
    for (uint32_t count = 0;; count++) {
        TbFrame frame;
        TbEntry entry;
        if (!tb_session_next_frame(session, &frame, soon(deadline), error))
            return false;
        if (frame.type == TB_MSG_LIST_END)
            return check_list_end(session, &frame, count, &manifest, error);
        if (frame.type != TB_MSG_ENTRY)
            return tb_session_breach(session, error, "frame 0x%02x in a list", frame.type);
        if (count >= max_entries && !tb_hole("export-limit")) {
            session->broken = true;
            return tb_error_set(error, TB_ERROR_LIMIT,
                                "the task changed more than %u files and directories", max_entries);
        }
        if (!tb_decode_entry(frame.payload, frame.length, &entry))
            return tb_session_breach(session, error, "an entry that makes no sense");
        tb_sha256_add(&manifest, frame.payload, frame.length);
        if (!fn(&entry, data, error)) {
            session->broken = true; /* the rest of the list is still under way */
            return false;
        }
    }
}

static bool ask_list(TbSession *session, TbMessageType request, uint32_t max_entries,
                     int64_t deadline, GError **error)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, max_entries);
    return tb_session_usable(session, error) &&
           tb_session_send(session, request, payload, writer.length, deadline, error);
}

bool tb_session_export_list(TbSession *session, uint32_t max_entries, TbEntryFn entry, void *data,
                            int64_t deadline, GError **error)
{
    return ask_list(session, TB_MSG_EXPORT_LIST, max_entries, deadline, error) &&
           take_list(session, max_entries, entry, data, deadline, error);
}

bool tb_session_export_upper(TbSession *session, uint32_t max_entries, TbEntryFn entry, void *data,
                             int64_t deadline, GError **error)
{
    return ask_list(session, TB_MSG_EXPORT_UPPER, max_entries, deadline, error) &&
           take_list(session, max_entries, entry, data, deadline, error);
}

static bool take_data(TbSession *session, uint64_t left, const TbFileSink *sink, int64_t deadline,
                      GError **error)
{
    TbSha256 hash;
    TbFrame frame;
    uint8_t mine[TB_HASH_SIZE];
    tb_sha256_init(&hash);
    while (left > 0) {
        if (!tb_session_expect(session, TB_MSG_FILE_DATA, &frame, soon(deadline), error))
            return false;
        if (frame.length == 0 || frame.length > left)
            return tb_session_breach(session, error, "more of a file than it has");
        tb_sha256_add(&hash, frame.payload, frame.length);
        if (!sink->bytes(frame.payload, frame.length, sink->data, error))
            return false;
        left -= frame.length;
    }
    tb_sha256_end(&hash, mine);
    if (!tb_session_expect(session, TB_MSG_FILE_END, &frame, soon(deadline), error))
        return false;
    if (frame.length != sizeof mine ||
        (memcmp(frame.payload, mine, sizeof mine) != 0 && !tb_hole("export-hash")))
        return tb_session_breach(session, error, "a file with another hash");
    return true;
}

static bool take_file(TbSession *session, uint32_t index, uint64_t *room, const TbFileSink *sink,
                      int64_t deadline, GError **error)
{
    TbFrame frame;
    if (!tb_session_expect(session, TB_MSG_FILE_BEGIN, &frame, soon(deadline), error))
        return false;
    TbReader reader = tb_reader(frame.payload, frame.length);
    uint32_t told = tb_get_u32(&reader);
    uint64_t size = tb_get_u64(&reader);
    if (!tb_reader_done(&reader) || (told != index && !tb_hole("export-files")))
        return tb_session_breach(session, error, "another file than was asked for");
    if (size > *room)
        return tb_error_set(error, TB_ERROR_LIMIT,
                            "the changed files are larger than the limit for all of them");
    *room -= size;
    return sink->begin(index, size, sink->data, error) &&
           take_data(session, size, sink, deadline, error) && sink->end(index, sink->data, error);
}

static bool take_batch(TbSession *session, const uint32_t *indices, size_t count, uint64_t *room,
                       const TbFileSink *sink, int64_t deadline, GError **error)
{
    g_autofree uint8_t *payload = g_malloc(4 * TB_FILES_BATCH);
    TbWriter writer = tb_writer(payload, 4 * TB_FILES_BATCH);
    for (size_t i = 0; i < count; i++)
        tb_put_u32(&writer, indices[i]);
    if (!tb_session_send(session, TB_MSG_EXPORT_FILES, payload, writer.length, deadline, error))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!take_file(session, indices[i], room, sink, deadline, error))
            return false;
    return tb_session_expect_ok(session, TB_MSG_EXPORT_FILES, deadline, error);
}

bool tb_session_export_files(TbSession *session, const uint32_t *indices, size_t count,
                             uint64_t max_bytes, const TbFileSink *sink, int64_t deadline,
                             GError **error)
{
    uint64_t room = max_bytes;
    if (!tb_session_usable(session, error))
        return false;
    for (size_t done = 0; done < count;) {
        size_t batch = MIN(count - done, TB_FILES_BATCH);
        g_autoptr(GError) own = NULL;
        if (!take_batch(session, indices + done, batch, &room, sink, deadline, &own)) {
            /* After anything but the guest's own refusal the rest of the batch is under way. */
            if (!g_error_matches(own, TB_ERROR, TB_ERROR_GUEST))
                session->broken = true;
            g_propagate_error(error, g_steal_pointer(&own));
            return false;
        }
        done += batch;
    }
    return true;
}
