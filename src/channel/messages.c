/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "channel/messages.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC "TASKBOX1"

enum { HELLO_LENGTH = 8 + 2 + TB_NONCE_SIZE, KERNEL_LIMIT = 64, FILESYSTEMS_LIMIT = 127 };

const uint8_t tb_hello_mark[16] = {TB_MSG_HELLO, 0,   0,   0,   HELLO_LENGTH, 0,   0,   0,
                                   'T',          'A', 'S', 'K', 'B',          'O', 'X', '1'};

void tb_encode_hello(TbWriter *writer, const TbHelloMessage *hello)
{
    tb_put_raw(writer, MAGIC, 8);
    tb_put_u16(writer, hello->version);
    tb_put_raw(writer, hello->nonce, sizeof hello->nonce);
}

static void get_fixed(TbReader *reader, void *to, size_t length)
{
    const uint8_t *at = tb_get_raw(reader, length);
    if (at)
        memcpy(to, at, length);
    else
        memset(to, 0, length);
}

bool tb_decode_hello(const void *data, size_t length, TbHelloMessage *hello)
{
    TbReader reader = tb_reader(data, length);
    const uint8_t *magic = tb_get_raw(&reader, 8);
    hello->version = tb_get_u16(&reader);
    get_fixed(&reader, hello->nonce, sizeof hello->nonce);
    return tb_reader_done(&reader) && memcmp(magic, MAGIC, 8) == 0;
}

void tb_encode_guest_hello(TbWriter *writer, const TbGuestHelloMessage *hello)
{
    tb_put_raw(writer, hello->nonce, sizeof hello->nonce);
    tb_put_u16(writer, hello->version);
    tb_put_u8(writer, hello->task);
    tb_put_string(writer, hello->kernel);
    tb_put_string(writer, hello->filesystems);
}

bool tb_decode_guest_hello(const void *data, size_t length, TbGuestHelloMessage *hello)
{
    TbReader reader = tb_reader(data, length);
    get_fixed(&reader, hello->nonce, sizeof hello->nonce);
    hello->version = tb_get_u16(&reader);
    hello->task = tb_get_u8(&reader);
    hello->kernel = tb_get_string(&reader, KERNEL_LIMIT);
    hello->filesystems = tb_get_string(&reader, FILESYSTEMS_LIMIT);
    return tb_reader_done(&reader) && hello->task <= TB_PROCESS_EXITED;
}

void tb_encode_setup(TbWriter *writer, const TbSetupMessage *setup)
{
    tb_put_u64(writer, (uint64_t)setup->seconds);
    tb_put_u32(writer, setup->nanoseconds);
    tb_put_raw(writer, setup->entropy, sizeof setup->entropy);
    tb_put_u32(writer, setup->uid);
    tb_put_u32(writer, setup->gid);
    tb_put_u8(writer, setup->network);
    tb_put_string(writer, setup->hostname);
}

bool tb_decode_setup(const void *data, size_t length, TbSetupMessage *setup)
{
    TbReader reader = tb_reader(data, length);
    setup->seconds = (int64_t)tb_get_u64(&reader);
    setup->nanoseconds = tb_get_u32(&reader);
    get_fixed(&reader, setup->entropy, sizeof setup->entropy);
    setup->uid = tb_get_u32(&reader);
    setup->gid = tb_get_u32(&reader);
    setup->network = tb_get_u8(&reader);
    setup->hostname = tb_get_string(&reader, 64);
    return tb_reader_done(&reader) && setup->nanoseconds < 1000000000u &&
           setup->network <= TB_NETWORK_PROXY;
}

void tb_encode_entry(TbWriter *writer, const TbEntry *entry)
{
    tb_put_u8(writer, (uint8_t)entry->kind);
    tb_put_u32(writer, entry->mode);
    tb_put_u64(writer, entry->size);
    tb_put_u64(writer, (uint64_t)entry->mtime_sec);
    tb_put_u32(writer, entry->mtime_nsec);
    tb_put_bytes(writer, entry->path, entry->path_length);
    tb_put_bytes(writer, entry->target, entry->target_length);
}

static bool entry_is_sane(const TbEntry *entry)
{
    return entry->kind >= TB_ENTRY_FILE && entry->kind <= TB_ENTRY_OTHER &&
           (entry->mode & ~07777u) == 0 && entry->mtime_nsec < 1000000000u &&
           entry->path_length > 0 && !memchr(entry->path, 0, entry->path_length) &&
           (entry->kind == TB_ENTRY_FILE || entry->size == 0) &&
           (entry->kind == TB_ENTRY_SYMLINK || entry->target_length == 0) &&
           (entry->target_length == 0 || !memchr(entry->target, 0, entry->target_length));
}

bool tb_decode_entry(const void *data, size_t length, TbEntry *entry)
{
    TbReader reader = tb_reader(data, length);
    *entry = (TbEntry){0};
    entry->kind = (TbEntryKind)tb_get_u8(&reader);
    entry->mode = tb_get_u32(&reader);
    entry->size = tb_get_u64(&reader);
    entry->mtime_sec = (int64_t)tb_get_u64(&reader);
    entry->mtime_nsec = tb_get_u32(&reader);
    entry->path = tb_get_bytes(&reader, TB_PATH_LIMIT, &entry->path_length);
    entry->target = tb_get_bytes(&reader, TB_TARGET_LIMIT, &entry->target_length);
    return tb_reader_done(&reader) && entry_is_sane(entry);
}

void tb_encode_mount(TbWriter *writer, const TbMountMessage *mount)
{
    tb_put_string(writer, mount->name);
    tb_put_string(writer, mount->filesystem);
}

bool tb_decode_mount(const void *data, size_t length, TbMountMessage *mount)
{
    TbReader reader = tb_reader(data, length);
    mount->name = tb_get_string(&reader, 255);
    mount->filesystem = tb_get_string(&reader, 15);
    return tb_reader_done(&reader);
}

static void put_strings(TbWriter *writer, const char *const *strings)
{
    uint32_t count = 0;
    while (strings && strings[count])
        count++;
    tb_put_u32(writer, count);
    for (uint32_t i = 0; i < count; i++)
        tb_put_string(writer, strings[i]);
}

void tb_encode_exec(TbWriter *writer, const TbExecMessage *exec)
{
    tb_put_u8(writer, exec->as_root);
    tb_put_u8(writer, exec->pty);
    tb_put_u8(writer, exec->has_stdin);
    tb_put_u16(writer, exec->rows);
    tb_put_u16(writer, exec->columns);
    tb_put_string(writer, exec->cwd);
    put_strings(writer, (const char *const *)exec->argv);
    put_strings(writer, (const char *const *)exec->env);
}

/* A string takes at least five bytes, so a count cannot claim more memory than was sent. */
static const char **get_strings(TbReader *reader, size_t *count)
{
    *count = tb_get_u32(reader);
    if (*count > reader->left / 5) {
        reader->failed = true;
        *count = 0;
    }
    const char **strings = calloc(*count + 1, sizeof *strings);
    if (!strings)
        reader->failed = true;
    for (size_t i = 0; strings && i < *count; i++)
        strings[i] = tb_get_string(reader, TB_EXEC_LIMIT);
    return strings;
}

bool tb_decode_exec(const void *data, size_t length, TbExecMessage *exec)
{
    TbReader reader = tb_reader(data, length);
    exec->as_root = tb_get_u8(&reader) != 0;
    exec->pty = tb_get_u8(&reader) != 0;
    exec->has_stdin = tb_get_u8(&reader) != 0;
    exec->rows = tb_get_u16(&reader);
    exec->columns = tb_get_u16(&reader);
    exec->cwd = tb_get_string(&reader, TB_PATH_LIMIT);
    exec->argv = get_strings(&reader, &exec->argc);
    exec->env = get_strings(&reader, &exec->envc);
    if (tb_reader_done(&reader) && exec->argc > 0)
        return true;
    tb_exec_message_clear(exec);
    return false;
}

void tb_exec_message_clear(TbExecMessage *exec)
{
    free(exec->argv);
    free(exec->env);
    exec->argv = exec->env = NULL;
}
