/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The export. First the list (made at once, sent as there is room), then the bytes of those files
 * the host asks for by number, in batches. A file that cannot be read as the list said ends its
 * batch with an ERROR.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/sha256.h"
#include "guest/guest.h"
#include "guest/walk.h"

struct TbExport {
    TbExportState state;
    TbList list;
    bool alone; /* only the upper is looked at */
    uint32_t limit;
    uint32_t next; /* entry or place in `wanted` to be sent */
    uint32_t wanted[TB_FILES_BATCH];
    uint32_t count;
    int root, file;
    uint64_t left;
    TbSha256 hash; /* of the file */
    TbSha256 manifest;
};

TbExport *tb_export_new(void)
{
    TbExport *export = calloc(1, sizeof *export);
    if (export)
        export->root = export->file = -1;
    return export;
}

void tb_export_stop(TbExport *export)
{
    export->state = TB_EXPORT_IDLE;
    tb_close(&export->file);
    tb_close(&export->root);
}

void tb_export_free(TbExport *export)
{
    tb_export_stop(export);
    tb_list_clear(&export->list);
    free(export);
}

bool tb_export_busy(const TbExport *export)
{
    return export->state != TB_EXPORT_IDLE;
}

bool tb_export_sending(const TbExport *export)
{
    return export->state == TB_EXPORT_LIST || export->state == TB_EXPORT_FILES;
}

bool tb_export_list(TbGuest *guest, uint32_t limit, bool alone, TbFault *fault)
{
    TbExport *export = guest->export;
    if (guest->project[0] == '\0')
        return tb_fault(fault, "an export before the mount");
    if (tb_export_busy(export))
        return tb_fault(fault, "an export is going on already");
    tb_task_kill_all(guest);
    export->limit = limit;
    export->alone = alone;
    export->state = TB_EXPORT_WANTED; /* the killed process tells its end first */
    return true;
}

static void upper_path(const TbGuest *guest, char *out, size_t size)
{
    snprintf(out, size, "%s/upper", guest->config->state);
}

static void merged_path(const TbGuest *guest, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", guest->config->workspace, guest->project);
}

/* Should we die in the middle of the export, the work can be had from the disk; nobody waits. */
static void sync_beside(const TbGuest *guest)
{
    if (!guest->config->own_machine || fork() != 0)
        return;
    sync();
    _exit(0);
}

static void make_list(TbGuest *guest)
{
    TbExport *export = guest->export;
    char upper[TB_PATH_SIZE], merged[TB_PATH_SIZE];
    TbFault fault;
    upper_path(guest, upper, sizeof upper);
    merged_path(guest, merged, sizeof merged);
    export->next = 0;
    tb_sha256_init(&export->manifest);
    export->state = TB_EXPORT_LIST;
    if (tb_list_make(&export->list, upper, export->alone ? NULL : merged, export->limit, &fault)) {
        if (export->list.count > 0)
            sync_beside(guest);
        return;
    }
    export->state = TB_EXPORT_IDLE;
    tb_guest_send_fault(guest, 0, &fault);
}

static void send_list(TbGuest *guest)
{
    TbExport *export = guest->export;
    while (export->next < export->list.count && tb_guest_room(guest) >= TB_ROOM_BULK) {
        size_t length;
        const uint8_t *entry = tb_list_entry(&export->list, export->next++, &length);
        tb_sha256_add(&export->manifest, entry, length);
        tb_guest_send(guest, TB_MSG_ENTRY, 0, entry, length);
    }
    if (export->next < export->list.count || tb_guest_room(guest) < TB_ROOM_BULK)
        return;
    uint8_t payload[4 + TB_HASH_SIZE], hash[TB_HASH_SIZE];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, export->list.count);
    tb_sha256_end(&export->manifest, hash);
    tb_put_raw(&writer, hash, sizeof hash);
    tb_guest_send(guest, TB_MSG_LIST_END, 0, payload, writer.length);
    export->state = TB_EXPORT_IDLE;
}

bool tb_export_files(TbGuest *guest, const uint8_t *payload, size_t length, TbFault *fault)
{
    TbExport *export = guest->export;
    TbReader reader = tb_reader(payload, length);
    uint32_t count = (uint32_t)(length / 4);
    if (tb_export_busy(export))
        return tb_fault(fault, "an export is going on already");
    if (length % 4 != 0 || count > TB_FILES_BATCH)
        return tb_fault(fault, "the request for files makes no sense");
    for (uint32_t i = 0; i < count; i++) {
        export->wanted[i] = tb_get_u32(&reader);
        if (export->wanted[i] >= export->list.count)
            return tb_fault(fault, "file %u is not in the list", export->wanted[i]);
    }
    char root[TB_PATH_SIZE];
    (export->alone ? upper_path : merged_path)(guest, root, sizeof root);
    tb_close(&export->root);
    export->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (export->root < 0)
        return tb_fault_errno(fault, "cannot open '%s'", root);
    export->count = count;
    export->next = 0;
    export->state = TB_EXPORT_FILES;
    return true;
}

static bool open_next(TbGuest *guest, TbFault *fault)
{
    TbExport *export = guest->export;
    uint32_t index = export->wanted[export->next];
    size_t length;
    const uint8_t *wire = tb_list_entry(&export->list, index, &length);
    TbEntry entry;
    char path[TB_PATH_LIMIT + 1];
    struct stat st;
    if (!tb_decode_entry(wire, length, &entry) || entry.kind != TB_ENTRY_FILE)
        return tb_fault(fault, "entry %u is no regular file", index);
    memcpy(path, entry.path, entry.path_length);
    path[entry.path_length] = '\0';
    export->file = tb_open_in(export->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (export->file < 0 || fstat(export->file, &st) != 0)
        return tb_fault_errno(fault, "cannot read '%.300s'", path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != entry.size)
        return tb_fault(fault, "'%.300s' changed while it was read", path);
    uint8_t payload[12];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, index);
    tb_put_u64(&writer, entry.size);
    tb_guest_send(guest, TB_MSG_FILE_BEGIN, 0, payload, writer.length);
    export->left = entry.size;
    tb_sha256_init(&export->hash);
    return true;
}

static bool send_chunk(TbGuest *guest, TbFault *fault)
{
    static uint8_t buffer[TB_FRAME_MAX];
    TbExport *export = guest->export;
    size_t want = export->left < sizeof buffer ? (size_t) export->left : sizeof buffer;
    ssize_t n = read(export->file, buffer, want);
    if (n < 0)
        return tb_fault_errno(fault, "cannot read file %u", export->wanted[export->next]);
    if (n == 0)
        return tb_fault(fault, "file %u changed while it was read", export->wanted[export->next]);
    tb_sha256_add(&export->hash, buffer, (size_t)n);
    tb_guest_send(guest, TB_MSG_FILE_DATA, 0, buffer, (size_t)n);
    export->left -= (size_t)n;
    return true;
}

static bool send_file_step(TbGuest *guest, TbFault *fault)
{
    TbExport *export = guest->export;
    if (export->file < 0)
        return open_next(guest, fault);
    if (export->left > 0)
        return send_chunk(guest, fault);
    uint8_t hash[TB_HASH_SIZE];
    tb_sha256_end(&export->hash, hash);
    tb_guest_send(guest, TB_MSG_FILE_END, 0, hash, sizeof hash);
    tb_close(&export->file);
    export->next++;
    return true;
}

static void send_files(TbGuest *guest)
{
    TbExport *export = guest->export;
    TbFault fault;
    while (export->next < export->count && tb_guest_room(guest) >= TB_ROOM_BULK) {
        if (!send_file_step(guest, &fault)) {
            tb_export_stop(export);
            tb_guest_send_fault(guest, 0, &fault);
            return;
        }
    }
    if (export->next == export->count && tb_guest_room(guest) >= TB_ROOM_BULK) {
        tb_export_stop(export);
        tb_guest_send_ok(guest, TB_MSG_EXPORT_FILES);
    }
}

void tb_export_step(TbGuest *guest)
{
    TbExport *export = guest->export;
    if (export->state == TB_EXPORT_WANTED &&
        (export->alone || guest->tasks[0].state != TB_PROCESS_RUNNING))
        make_list(guest);
    if (export->state == TB_EXPORT_LIST)
        send_list(guest);
    else if (export->state == TB_EXPORT_FILES)
        send_files(guest);
}
