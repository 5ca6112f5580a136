/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "channel/messages.h"

static uint8_t buffer[16384];

static size_t written(const TbWriter *writer)
{
    ck_assert(!writer->failed);
    return writer->length;
}

/* A copy of exactly the length, so that a sanitizer sees a read past it. */
static uint8_t *exact(size_t length)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, buffer, length);
    return copy;
}

START_TEST(numbers)
{
    TbWriter writer = tb_writer(buffer, 15);
    tb_put_u8(&writer, 0xab);
    tb_put_u16(&writer, 0x1234);
    tb_put_u32(&writer, 0xdeadbeef);
    tb_put_u64(&writer, 0x0102030405060708);
    ck_assert_uint_eq(written(&writer), 15);
    ck_assert_uint_eq(buffer[1], 0x34);
    tb_put_u8(&writer, 1);
    ck_assert(writer.failed);
    TbReader reader = tb_reader(buffer, 15);
    ck_assert_uint_eq(tb_get_u8(&reader), 0xab);
    ck_assert_uint_eq(tb_get_u16(&reader), 0x1234);
    ck_assert_uint_eq(tb_get_u32(&reader), 0xdeadbeef);
    ck_assert(!tb_reader_done(&reader) || reader.left == 8);
    ck_assert_uint_eq(tb_get_u64(&reader), 0x0102030405060708);
    ck_assert(tb_reader_done(&reader));
    ck_assert_uint_eq(tb_get_u8(&reader), 0);
    ck_assert(reader.failed);
}
END_TEST

START_TEST(strings)
{
    TbWriter writer = tb_writer(buffer, sizeof buffer);
    tb_put_string(&writer, "text");
    TbReader reader = tb_reader(buffer, written(&writer));
    ck_assert_str_eq(tb_get_string(&reader, 4), "text");
    reader = tb_reader(buffer, writer.length);
    ck_assert_str_eq(tb_get_string(&reader, 3), ""); /* longer than allowed */
    ck_assert(reader.failed);
    buffer[5] = 0; /* NUL inside */
    reader = tb_reader(buffer, writer.length);
    ck_assert_str_eq(tb_get_string(&reader, 4), "");
    buffer[5] = 'e';
    buffer[8] = 'x'; /* none at the end */
    reader = tb_reader(buffer, writer.length);
    ck_assert_str_eq(tb_get_string(&reader, 4), "");
}
END_TEST

/* Every message cut at every place, or longer by one, is refused. */
static void only_whole(size_t length, bool (*decode)(const void *data, size_t size))
{
    ck_assert(decode(buffer, length));
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *copy = exact(cut);
        ck_assert(!decode(copy, cut));
        free(copy);
    }
    ck_assert(!decode(buffer, length + 1));
}

static bool hello_decodes(const void *data, size_t size)
{
    TbHelloMessage hello;
    return tb_decode_hello(data, size, &hello) && hello.version == 3 && hello.nonce[15] == 9;
}

static bool guest_hello_decodes(const void *data, size_t size)
{
    TbGuestHelloMessage hello;
    return tb_decode_guest_hello(data, size, &hello) && strcmp(hello.kernel, "6.1") == 0 &&
           strcmp(hello.filesystems, "erofs,ext4") == 0 && hello.task == TB_PROCESS_RUNNING;
}

static bool setup_decodes(const void *data, size_t size)
{
    TbSetupMessage setup;
    return tb_decode_setup(data, size, &setup) && setup.seconds == -5 && setup.uid == 1000 &&
           setup.network == 1 && setup.entropy[63] == 7 && strcmp(setup.hostname, "box") == 0;
}

static bool mount_decodes(const void *data, size_t size)
{
    TbMountMessage mount;
    return tb_decode_mount(data, size, &mount) && strcmp(mount.name, "demo") == 0 &&
           strcmp(mount.filesystem, "erofs") == 0;
}

static bool exec_decodes(const void *data, size_t size)
{
    TbExecMessage exec;
    if (!tb_decode_exec(data, size, &exec))
        return false;
    bool ok = exec.argc == 2 && exec.envc == 1 && strcmp(exec.argv[1], "") == 0 && !exec.argv[2] &&
              strcmp(exec.env[0], "A=b") == 0 && exec.rows == 24 && exec.pty && !exec.as_root &&
              strcmp(exec.cwd, "/x") == 0;
    tb_exec_message_clear(&exec);
    return ok;
}

START_TEST(whole_messages_only)
{
    TbWriter writer = tb_writer(buffer, sizeof buffer);
    tb_encode_hello(&writer, &(TbHelloMessage){.version = 3, .nonce = {[15] = 9}});
    uint8_t mark[16];
    memcpy(mark, tb_hello_mark, sizeof mark);
    ck_assert_uint_eq(mark[4], written(&writer));
    ck_assert(memcmp(mark + 8, buffer, 8) == 0);
    only_whole(writer.length, hello_decodes);
    writer = tb_writer(buffer, sizeof buffer);
    tb_encode_guest_hello(&writer, &(TbGuestHelloMessage){.version = 1,
                                                          .task = TB_PROCESS_RUNNING,
                                                          .kernel = "6.1",
                                                          .filesystems = "erofs,ext4"});
    only_whole(written(&writer), guest_hello_decodes);
    writer = tb_writer(buffer, sizeof buffer);
    tb_encode_setup(
        &writer,
        &(TbSetupMessage){
            .seconds = -5, .entropy = {[63] = 7}, .uid = 1000, .network = 1, .hostname = "box"});
    only_whole(written(&writer), setup_decodes);
    writer = tb_writer(buffer, sizeof buffer);
    tb_encode_mount(&writer, &(TbMountMessage){.name = "demo", .filesystem = "erofs"});
    only_whole(written(&writer), mount_decodes);
    writer = tb_writer(buffer, sizeof buffer);
    const char *argv[] = {"ls", "", NULL}, *env[] = {"A=b", NULL};
    tb_encode_exec(
        &writer, &(TbExecMessage){.pty = true, .rows = 24, .cwd = "/x", .argv = argv, .env = env});
    only_whole(written(&writer), exec_decodes);
}
END_TEST

static TbEntry sample(void)
{
    return (TbEntry){.kind = TB_ENTRY_FILE,
                     .mode = 0755,
                     .size = 1u << 20,
                     .mtime_sec = -1,
                     .mtime_nsec = 999999999,
                     .path = (const uint8_t *)"a/b",
                     .path_length = 3};
}

static bool entry_decodes(const void *data, size_t size)
{
    TbEntry entry;
    return tb_decode_entry(data, size, &entry) && entry.path_length == 3 && entry.mtime_sec == -1 &&
           memcmp(entry.path, "a/b", 3) == 0;
}

static bool accepted(const TbEntry *entry)
{
    TbWriter writer = tb_writer(buffer, sizeof buffer);
    TbEntry out;
    tb_encode_entry(&writer, entry);
    return tb_decode_entry(buffer, written(&writer), &out);
}

START_TEST(entries)
{
    TbEntry entry = sample();
    ck_assert(accepted(&entry));
    TbWriter writer = tb_writer(buffer, sizeof buffer);
    tb_encode_entry(&writer, &entry);
    only_whole(written(&writer), entry_decodes);
    static char long_path[TB_PATH_LIMIT + 1];
    memset(long_path, 'x', sizeof long_path);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        entry = sample();                                                                          \
        change;                                                                                    \
        ck_assert_msg(!accepted(&entry), #change);                                                 \
    } while (0)
    REFUSED(entry.kind = 0);
    REFUSED(entry.kind = 7);
    REFUSED(entry.mode = 0100644);
    REFUSED(entry.mtime_nsec = 1000000000);
    REFUSED(entry.path_length = 0);
    REFUSED(entry.path = (const uint8_t *)"a\0b");
    REFUSED(entry.kind = TB_ENTRY_DIR); /* with a size */
    REFUSED((entry.target = (const uint8_t *)"t", entry.target_length = 1));
    REFUSED((entry.path = (const uint8_t *)long_path, entry.path_length = sizeof long_path));
    entry = sample();
    entry.path = (const uint8_t *)long_path;
    entry.path_length = TB_PATH_LIMIT;
    ck_assert(accepted(&entry));
    entry.kind = TB_ENTRY_SYMLINK;
    entry.size = 0;
    entry.target = (const uint8_t *)long_path;
    entry.target_length = TB_TARGET_LIMIT;
    ck_assert(accepted(&entry));
    entry.target_length++;
    ck_assert(!accepted(&entry));
}
END_TEST

START_TEST(claimed_counts_allocate_nothing)
{
    TbExecMessage exec;
    TbWriter writer = tb_writer(buffer, sizeof buffer);
    for (int i = 0; i < 7; i++)
        tb_put_u8(&writer, 0);
    tb_put_string(&writer, "/");
    tb_put_u32(&writer, UINT32_MAX); /* argc */
    ck_assert(!tb_decode_exec(buffer, written(&writer), &exec));
    ck_assert_ptr_null(exec.argv);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel-messages");
    TCase *tcase = tcase_create("messages");
    tcase_add_test(tcase, numbers);
    tcase_add_test(tcase, strings);
    tcase_add_test(tcase, whole_messages_only);
    tcase_add_test(tcase, entries);
    tcase_add_test(tcase, claimed_counts_allocate_nothing);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
