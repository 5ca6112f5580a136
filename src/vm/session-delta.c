/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The delta on its way into the box. Memory is one chunk, whatever the files' sizes are. */
#include <string.h>

#include "util/error.h"
#include "vm/session-private.h"

static bool send_data(TbSession *session, const TbEntrySource *source, uint64_t left,
                      int64_t deadline, GError **error)
{
    g_autofree uint8_t *buffer = g_malloc(TB_FRAME_MAX);
    while (left > 0) {
        size_t length = 0;
        if (!source->read(source->data, buffer, (size_t)MIN(left, TB_FRAME_MAX), &length, error))
            return false;
        if (length == 0 || length > MIN(left, TB_FRAME_MAX))
            return tb_error_set(error, TB_ERROR_INTERNAL, "a file of the delta ended early");
        if (!tb_session_send(session, TB_MSG_DELTA_DATA, buffer, length, deadline, error))
            return false;
        left -= length;
    }
    return true;
}

static bool send_entry(TbSession *session, const TbEntry *entry, int64_t deadline, GError **error)
{
    uint8_t payload[TB_ENTRY_WIRE_LIMIT];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbEntry masked = *entry;
    masked.mode &= 07777;
    if (entry->kind != TB_ENTRY_FILE)
        masked.size = 0;
    if (entry->kind != TB_ENTRY_SYMLINK)
        masked.target_length = 0;
    tb_encode_entry(&writer, &masked);
    if (writer.failed || entry->path_length == 0 || entry->path_length > TB_PATH_LIMIT ||
        entry->target_length > TB_TARGET_LIMIT)
        return tb_error_set(error, TB_ERROR_INTERNAL, "a path of the delta is too long");
    return tb_session_send(session, TB_MSG_DELTA_ENTRY, payload, writer.length, deadline, error);
}

static bool finish(TbSession *session, int64_t deadline, GError **error)
{
    return tb_session_send(session, TB_MSG_DELTA_END, NULL, 0, deadline, error) &&
           tb_session_expect_ok(session, TB_MSG_DELTA_END, deadline, error);
}

/* Nothing at all for a delta without entries: in the box the layer costs tenths of a second. */
static bool send_all(TbSession *session, const TbEntrySource *source, int64_t deadline,
                     GError **error)
{
    for (bool first = true;; first = false) {
        TbEntry entry = {0};
        bool done = false;
        if (!source->next(source->data, &entry, &done, error))
            return false;
        if (done)
            return first || finish(session, deadline, error);
        if (first && !tb_session_send(session, TB_MSG_DELTA_BEGIN, NULL, 0, deadline, error))
            return false;
        if (!send_entry(session, &entry, deadline, error))
            return false;
        if (entry.kind == TB_ENTRY_FILE && !send_data(session, source, entry.size, deadline, error))
            return false;
    }
}

bool tb_session_send_delta(TbSession *session, const TbEntrySource *source, int64_t deadline,
                           GError **error)
{
    return tb_session_usable(session, error) && send_all(session, source, deadline, error);
}
