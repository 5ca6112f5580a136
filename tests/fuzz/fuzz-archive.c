/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as the archive of an exported image, in pieces of any size: refused with a message, or
 * just the files that must be there, each with just the bytes that its header says. */
#include <stdlib.h>
#include <string.h>

#include "image/archive.h"
#include "util/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"a", "kernel", "disk.qcow2", NULL};

typedef struct {
    unsigned next; /* file */
    uint64_t left;
    bool open;
} Seen;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool begin(unsigned index, uint64_t size, void *data, GError **error)
{
    Seen *seen = data;
    require(!seen->open && index == seen->next && index < 3);
    seen->open = true;
    seen->left = size;
    return size < (uint64_t)1 << 40 || tb_error_set(error, TB_ERROR_LIMIT, "too large");
}

static bool bytes(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Seen *seen = user_data;
    require(seen->open && length > 0 && length <= seen->left);
    seen->left -= length;
    return true;
}

static bool end(unsigned index, void *data, GError **error)
{
    Seen *seen = data;
    require(seen->open && seen->left == 0 && index == seen->next);
    seen->open = false;
    seen->next++;
    return true;
}

static bool feed_all(const uint8_t *data, size_t size, size_t piece, GError **error)
{
    Seen seen = {0};
    const TbArchiveHandlers handlers = {begin, bytes, end, &seen};
    g_autoptr(TbArchive) archive = tb_archive_new("x", names, &handlers);
    bool ok = true;
    for (size_t at = 0; ok && at < size; at += piece)
        ok = tb_archive_feed(archive, data + at, MIN(piece, size - at), error);
    ok = ok && tb_archive_finish(archive, error);
    require(!ok || (seen.next == 3 && !seen.open));
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 511, 512, 4096};
    bool first = false;
    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autoptr(GError) error = NULL;
        bool ok = feed_all(data, size, pieces[i], &error);
        require(ok == !error && (ok || tb_error_code(error) != TB_ERROR_INTERNAL));
        require(i == 0 || ok == first); /* however it is cut */
        first = ok;
    }
    return 0;
}
