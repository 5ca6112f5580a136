/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of what a kept project image holds. It lies beside the image in a private directory and
 * is written and read by one build on one machine, so it is plain structs; a file that does not
 * look right in every respect is no manifest, and a new image is made.
 */
#include "project/private.h"

#include <fcntl.h>
#include <string.h>

#include "util/error.h"
#include "util/fs.h"

#define MAGIC        "taskbox manifest 1\n"
#define MAX_MANIFEST ((size_t)4 << 30)

typedef struct {
    char magic[sizeof MAGIC];
    char image[64];
    char boot_id[64];
    uint64_t bytes, count, strings;
} Header;

typedef struct {
    uint64_t size, ino;
    int64_t mtime_sec, ctime_sec;
    uint32_t mtime_nsec, ctime_nsec, kind, mode;
} Record;

static void entry_clear(void *data)
{
    g_free(((TbManifestEntry *)data)->path);
}

TbManifest *tb_manifest_new(const char *image)
{
    TbManifest *manifest = g_new0(TbManifest, 1);
    manifest->image = g_strdup(image);
    manifest->entries = g_array_new(FALSE, TRUE, sizeof(TbManifestEntry));
    g_array_set_clear_func(manifest->entries, entry_clear);
    return manifest;
}

void tb_manifest_free(TbManifest *manifest)
{
    if (!manifest)
        return;
    g_free(manifest->image);
    g_free(manifest->boot_id);
    g_array_unref(manifest->entries);
    g_clear_pointer(&manifest->text, g_bytes_unref);
    g_free(manifest);
}

bool tb_manifest_write(const TbManifest *manifest, int dirfd, const char *name, GError **error)
{
    g_autoptr(GString) records = g_string_new(NULL);
    g_autoptr(GString) strings = g_string_new(NULL);
    for (guint i = 0; i < manifest->entries->len; i++) {
        const TbManifestEntry *entry = &g_array_index(manifest->entries, TbManifestEntry, i);
        Record record = {entry->size,       entry->ino,        entry->mtime_sec, entry->ctime_sec,
                         entry->mtime_nsec, entry->ctime_nsec, entry->kind,      entry->mode};
        g_string_append_len(records, (const char *)&record, sizeof record);
        g_string_append_len(strings, entry->path, (gssize)strlen(entry->path) + 1);
    }
    Header header = {.magic = MAGIC,
                     .bytes = manifest->bytes,
                     .count = manifest->entries->len,
                     .strings = strings->len};
    g_strlcpy(header.image, manifest->image, sizeof header.image);
    g_strlcpy(header.boot_id, manifest->boot_id ? manifest->boot_id : "", sizeof header.boot_id);
    g_string_prepend_len(records, (const char *)&header, sizeof header);
    g_string_append_len(records, strings->str, (gssize)strings->len);
    return tb_write_atomic(dirfd, name, records->str, records->len, 0600, error);
}

/* The header when all sizes fit together, else NULL. */
static const Header *check_header(const char *data, size_t length)
{
    const Header *header = (const void *)data;
    if (length < sizeof *header || memcmp(header->magic, MAGIC, sizeof MAGIC) != 0 ||
        memchr(header->image, '\0', sizeof header->image) == NULL ||
        memchr(header->boot_id, '\0', sizeof header->boot_id) == NULL || !header->image[0] ||
        strchr(header->image, '/'))
        return NULL;
    size_t rest = length - sizeof *header;
    if (header->count > rest / sizeof(Record) ||
        header->strings != rest - header->count * sizeof(Record) ||
        (header->strings > 0 && data[length - 1] != '\0'))
        return NULL;
    return header;
}

TbManifest *tb_manifest_read(int dirfd, const char *name)
{
    g_autoptr(GBytes) bytes = tb_read_file_at(dirfd, name, MAX_MANIFEST, NULL);
    if (!bytes)
        return NULL;
    size_t length = 0;
    const char *data = g_bytes_get_data(bytes, &length);
    const Header *header = check_header(data, length);
    if (!header)
        return NULL;
    g_autoptr(TbManifest) manifest = tb_manifest_new(header->image);
    manifest->text = g_bytes_ref(bytes);
    g_array_unref(manifest->entries);
    manifest->entries = g_array_sized_new(FALSE, FALSE, sizeof(TbManifestEntry),
                                          (guint)MIN(header->count, G_MAXINT));
    manifest->boot_id = header->boot_id[0] ? g_strdup(header->boot_id) : NULL;
    manifest->bytes = header->bytes;
    const char *record_at = data + sizeof *header;
    const char *path = record_at + header->count * sizeof(Record), *end = data + length;
    for (uint64_t i = 0; i < header->count; i++, record_at += sizeof(Record)) {
        Record record;
        memcpy(&record, record_at, sizeof record);
        if (path >= end)
            return NULL;
        TbManifestEntry entry = {(char *)path,     record.kind,       record.mode,
                                 record.size,      record.ino,        record.mtime_sec,
                                 record.ctime_sec, record.mtime_nsec, record.ctime_nsec};
        path += strlen(path) + 1;
        g_array_append_val(manifest->entries, entry);
    }
    return g_steal_pointer(&manifest);
}
