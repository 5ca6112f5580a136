/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../suite.h"
#include "channel/frame.h"
#include "channel/messages.h"
#include "channel/sha256.h"
#include "task/copy-out.h"
#include "util/error.h"
#include "util/fs.h"

static char *place;
static int place_fd;
static GByteArray *stream;
static uint32_t entries;

static void set_up(void)
{
    place = g_dir_make_tmp("taskbox-copy-XXXXXX", NULL);
    place_fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(place_fd, 0);
    stream = g_byte_array_new();
    entries = 0;
}

static void tear_down(void)
{
    g_byte_array_unref(stream);
    close(place_fd);
    tb_remove_tree(AT_FDCWD, place, NULL);
    g_free(place);
}

static void put(uint8_t type, const void *payload, size_t length)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, type, 0, (uint32_t)length);
    g_byte_array_append(stream, header, sizeof header);
    g_byte_array_append(stream, payload, (guint)length);
}

static void put_entry(TbEntryKind kind, const char *path, unsigned mode, const char *target)
{
    uint8_t payload[TB_ENTRY_WIRE_LIMIT];
    TbWriter writer = tb_writer(payload, sizeof payload);
    const TbEntry entry = {.kind = kind,
                           .mode = mode,
                           .path = (const uint8_t *)path,
                           .path_length = strlen(path),
                           .target = (const uint8_t *)target,
                           .target_length = target ? strlen(target) : 0};
    tb_encode_entry(&writer, &entry);
    put(TB_MSG_ENTRY, payload, writer.length);
    entries++;
}

static void put_file(const char *path, unsigned mode, const char *text)
{
    TbSha256 hash;
    uint8_t digest[TB_HASH_SIZE];
    put_entry(TB_ENTRY_FILE, path, mode, NULL);
    put(TB_MSG_FILE_DATA, text, strlen(text));
    tb_sha256_init(&hash);
    tb_sha256_add(&hash, text, strlen(text));
    tb_sha256_end(&hash, digest);
    put(TB_MSG_FILE_END, digest, sizeof digest);
}

static void put_end(void)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, entries);
    put(TB_MSG_LIST_END, payload, writer.length);
}

/* The copy of the stream as `name`, fed in pieces. NULL with the error's code in *code. */
static TbCopyOut *copied(const char *name, bool force, uint64_t max, TbErrorCode *code)
{
    g_autoptr(GError) error = NULL;
    TbCopyOut *copy = tb_copy_out_new(place_fd, name, force, max, &error);
    for (size_t at = 0; copy && !error && at < stream->len; at += 13)
        tb_copy_out_take(copy, stream->data + at, MIN(13, stream->len - at), &error);
    if (copy && !error)
        tb_copy_out_finish(copy, &error);
    if (error) {
        if (code)
            *code = tb_error_code(error);
        else
            ck_abort_msg("%s", error->message);
        g_clear_pointer(&copy, tb_copy_out_free);
    }
    return copy;
}

static void refused(const char *name, TbErrorCode wanted)
{
    TbErrorCode code = TB_ERROR_INTERNAL;
    ck_assert_ptr_null(copied(name, false, 1000, &code));
    ck_assert_int_eq(code, wanted);
}

static char *listing(void)
{
    g_autofree char *command =
        g_strdup_printf("cd %s && find . -mindepth 1 -printf '%%y%%m %%P %%l;' | sort -z", place);
    char *out = NULL;
    const char *argv[] = {"sh", "-c", command, NULL};
    ck_assert(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                           &out, NULL, NULL, NULL));
    return out;
}

static bool has_note(const TbCopyOut *copy, const char *text)
{
    const GPtrArray *notes = tb_copy_out_notes(copy);
    for (guint i = 0; i < notes->len; i++)
        if (strstr(notes->pdata[i], text))
            return true;
    return false;
}

START_TEST(a_file)
{
    umask(022);
    put_file("x", 06640, "hello");
    put_end();
    g_autoptr(TbCopyOut) copy = copied("name", false, 1000, NULL);
    uint64_t files, bytes;
    tb_copy_out_size(copy, &files, &bytes);
    ck_assert_uint_eq(files, 1);
    ck_assert_uint_eq(bytes, 5);
    g_autofree char *list = listing();
    ck_assert_str_eq(list, "f644 name ;");
}
END_TEST

START_TEST(a_tree)
{
    umask(022);
    put_entry(TB_ENTRY_DIR, "x", 07700, NULL);
    put_entry(TB_ENTRY_DIR, "x/d", 0, NULL);
    put_file("x/d/run", 04755, "#!");
    put_entry(TB_ENTRY_SYMLINK, "x/d/l", 0777, "../d/./run");
    put_entry(TB_ENTRY_SYMLINK, "x/d/out", 0777, "../../y");
    put_entry(TB_ENTRY_SYMLINK, "x/abs", 0777, "/etc/passwd");
    put_entry(TB_ENTRY_SYMLINK, "x/git", 0777, "d/.GIT/config");
    put_entry(TB_ENTRY_OTHER, "x/pipe", 0, NULL);
    put_entry(TB_ENTRY_DIR, "x/.git", 0755, NULL);
    put_file("x/.git/config", 0644, "[core]");
    put_file("x/\033[2J", 0644, "");
    put(TB_MSG_ERROR, "\033[31mx", 6);
    put_end();
    g_autoptr(TbCopyOut) copy = copied("tree", false, 1000, NULL);
    g_autofree char *list = listing();
    ck_assert_ptr_nonnull(strstr(list, "d755 tree ;"));
    ck_assert_ptr_nonnull(strstr(list, "f755 tree/d/run ;"));
    ck_assert_ptr_nonnull(strstr(list, "l777 tree/d/l ../d/./run;"));
    const char *const not [] = {"out", "abs", "git", "pipe"};
    for (size_t i = 0; i < G_N_ELEMENTS(not ); i++)
        ck_assert_ptr_null(strstr(list, not [i]));
    ck_assert(has_note(copy, "d/out: left out, a link"));
    ck_assert(has_note(copy, "abs: left out, a link"));
    ck_assert(has_note(copy, ".git: left out"));
    ck_assert(!has_note(copy, ".git/config"));
    ck_assert(has_note(copy, "pipe: left out"));
    ck_assert(has_note(copy, "\\x1B[31mx"));
}
END_TEST

static const struct {
    const char *path, *target;
    bool stays;
} links[] = {
    {"l", "a", true},           {"l", "a/b", true},
    {"l", "..", false},         {"l", "../a", false},
    {"d/l", "..", true},        {"d/l", "../a", true},
    {"d/l", "../..", false},    {"l", "/a", false},
    {"l", "", false},           {"l", "d/../a", false}, /* d may be a link */
    {"d/e/l", "../../a", true}, {"d/e/l", "./../x/..", false},
    {"l", ".git/hooks", false}, {"l", "a/.GiT", false},
};

START_TEST(links_stay)
{
    ck_assert_int_eq(tb_copy_out_link_stays(links[_i].path, links[_i].target), links[_i].stays);
}
END_TEST

START_TEST(nothing_is_replaced)
{
    put_file("x", 0644, "new");
    put_end();
    g_autofree char *there = g_build_filename(place, "there", NULL);
    ck_assert(g_file_set_contents(there, "old", -1, NULL));
    refused("there", TB_ERROR_EXISTS);
    g_autofree char *text = NULL;
    ck_assert(g_file_get_contents(there, &text, NULL, NULL));
    ck_assert_str_eq(text, "old");
    tb_copy_out_free(copied("there", true, 1000, NULL));
    g_free(text);
    ck_assert(g_file_get_contents(there, &text, NULL, NULL));
    ck_assert_str_eq(text, "new");
    ck_assert_int_eq(mkdirat(place_fd, "dir", 0755), 0);
    TbErrorCode code = TB_ERROR_INTERNAL;
    ck_assert_ptr_null(copied("dir", true, 1000, &code));
    ck_assert_int_eq(code, TB_ERROR_EXISTS);
}
END_TEST

/* What does not come to its end leaves nothing. */
static void nothing_left(TbErrorCode wanted)
{
    refused("name", wanted);
    g_autofree char *list = listing();
    ck_assert_str_eq(list, "");
}

START_TEST(streams_that_make_no_sense)
{
    const uint8_t wrong[TB_HASH_SIZE] = {0};
    uint32_t count = 9;
    switch (_i) {
    case 0: /* ends early */
        put_file("x", 0644, "text");
        break;
    case 1:
        put_entry(TB_ENTRY_FILE, "x", 0644, NULL);
        put(TB_MSG_FILE_DATA, "text", 4);
        put(TB_MSG_FILE_END, wrong, sizeof wrong);
        break;
    case 2:
        put_entry(TB_ENTRY_FILE, "x", 0644, NULL);
        put_end();
        break;
    case 3:
        put_file("y", 0644, "text");
        break;
    case 4:
        put_entry(TB_ENTRY_DIR, "x", 0755, NULL);
        put_file("xy", 0644, "text");
        break;
    case 5:
        put_entry(TB_ENTRY_DELETE, "x", 0755, NULL);
        break;
    case 6:
        put(TB_MSG_FILE_DATA, "text", 4);
        break;
    case 7:
        put_file("x", 0644, "text");
        put(TB_MSG_LIST_END, &count, 4);
        break;
    case 8:
        put_file("x", 0644, "text");
        put_end();
        put_file("x/y", 0644, "text");
        break;
    case 9:
        put(TB_MSG_OUTPUT, "text", 4);
        break;
    default:
        g_byte_array_append(stream, (const guint8 *)"\x88\x01\x00\x00\xff\xff\xff\xff", 8);
    }
    nothing_left(TB_ERROR_GUEST);
}
END_TEST

START_TEST(paths_that_lead_elsewhere)
{
    static const char *const paths[] = {"x/../../evil", "x//evil", "x/./evil", "x/"};
    put_entry(TB_ENTRY_DIR, "x", 0755, NULL);
    put_file(paths[_i], 0644, "text");
    put_end();
    g_autoptr(TbCopyOut) copy = copied("name", false, 1000, NULL);
    g_autofree char *list = listing();
    ck_assert_str_eq(list, "d755 name ;");
    ck_assert_uint_eq(tb_copy_out_notes(copy)->len, 1);
}
END_TEST

/* A name in the place of a directory: what is below it goes nowhere. */
START_TEST(below_a_link)
{
    put_entry(TB_ENTRY_DIR, "x", 0755, NULL);
    put_entry(TB_ENTRY_DIR, "x/d", 0755, NULL);
    put_entry(TB_ENTRY_SYMLINK, "x/l", 0777, "d");
    put_file("x/l/f", 0644, "text");
    put_end();
    TbErrorCode code = TB_ERROR_INTERNAL;
    ck_assert_ptr_null(copied("name", false, 1000, &code));
    g_autofree char *list = listing();
    ck_assert_str_eq(list, "");
}
END_TEST

START_TEST(limits)
{
    put_file("x", 0644, "0123456789");
    put_end();
    TbErrorCode code = TB_ERROR_INTERNAL;
    ck_assert_ptr_null(copied("name", false, 9, &code));
    ck_assert_int_eq(code, TB_ERROR_LIMIT);
    tb_copy_out_free(copied("name", false, 10, NULL));
    g_byte_array_set_size(stream, 0);
    entries = 0;
    put(TB_MSG_ERROR, "Permission denied", 17);
    put_end();
    refused("other", TB_ERROR_NOT_FOUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("copy-out");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_file);
    tcase_add_test(tcase, a_tree);
    tcase_add_loop_test(tcase, links_stay, 0, (int)G_N_ELEMENTS(links));
    tcase_add_test(tcase, nothing_is_replaced);
    tcase_add_loop_test(tcase, streams_that_make_no_sense, 0, 11);
    tcase_add_loop_test(tcase, paths_that_lead_elsewhere, 0, 4);
    tcase_add_test(tcase, below_a_link);
    tcase_add_test(tcase, limits);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
