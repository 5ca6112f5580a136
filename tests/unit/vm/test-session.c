/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session against guests that break the protocol. The guest is a thread-less script: a child
 * that reads what the host sends, answers the hello and then sends prepared bytes. What a whole
 * guest does is tested with the real one in tests/unit/guest.
 */
#include "../suite.h"
#include "vm/session.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "channel/sha256.h"
#include "util/error.h"

static pid_t guest;

static int64_t in_seconds(double seconds)
{
    return g_get_monotonic_time() + (int64_t)(seconds * G_USEC_PER_SEC);
}

/* --- the guest's script ---------------------------------------------------------------------- */

static GByteArray *script;

static void put_frame(uint8_t type, uint16_t stream, const void *payload, size_t length)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, type, stream, (uint32_t)length);
    g_byte_array_append(script, header, sizeof header);
    if (length > 0)
        g_byte_array_append(script, payload, (guint)length);
}

static void put_numbers(uint8_t type, const uint32_t *numbers, size_t count)
{
    uint8_t payload[64];
    TbWriter writer = tb_writer(payload, sizeof payload);
    for (size_t i = 0; i < count; i++)
        tb_put_u32(&writer, numbers[i]);
    put_frame(type, 0, payload, writer.length);
}

#define PUT(type, ...)                                                                             \
    put_numbers(type, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static void put_entry(TbEntryKind kind, const char *path, uint64_t size)
{
    uint8_t payload[TB_ENTRY_WIRE_LIMIT];
    TbWriter writer = tb_writer(payload, sizeof payload);
    const TbEntry entry = {.kind = kind,
                           .mode = 0644,
                           .size = size,
                           .path = (const uint8_t *)path,
                           .path_length = strlen(path)};
    tb_encode_entry(&writer, &entry);
    put_frame(TB_MSG_ENTRY, 0, payload, writer.length);
}

typedef struct {
    const char *kernel;
    uint16_t version;
    uint8_t task;
    bool wrong_nonce, close_after, flood;
    size_t garbage; /* bytes before the mark */
    size_t again;   /* where in the script a flood begins anew */
} Manner;

static const Manner polite = {.kernel = "6.1.0-test", .version = TB_PROTOCOL_VERSION};

/* Reads until the host's hello, returns its nonce. */
static void await_hello(int fd, uint8_t nonce[16])
{
    TbFrameDecoder *decoder = g_new0(TbFrameDecoder, 1);
    for (;;) {
        uint8_t buffer[4096];
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
            _exit(1);
        const uint8_t *data = buffer;
        size_t left = (size_t)n;
        TbFrame frame;
        TbHelloMessage hello;
        while (tb_frame_decoder_push(decoder, &data, &left, &frame) == TB_FRAME_READY)
            if (tb_decode_hello(frame.payload, frame.length, &hello)) {
                memcpy(nonce, hello.nonce, 16);
                g_free(decoder);
                return;
            }
    }
}

static void write_full(int fd, const void *data, size_t length)
{
    for (const char *at = data; length > 0;) {
        ssize_t n = write(fd, at, length);
        if (n <= 0)
            _exit(2);
        at += n;
        length -= (size_t)n;
    }
}

static void answer_hello(int fd, const Manner *manner)
{
    uint8_t nonce[16], payload[512];
    await_hello(fd, nonce);
    g_autofree uint8_t *garbage = g_malloc(manner->garbage + 1);
    memset(garbage, TB_MSG_GUEST_HELLO, manner->garbage);
    write_full(fd, garbage, manner->garbage);
    write_full(fd, nonce, sizeof nonce);
    TbGuestHelloMessage hello = {.version = manner->version,
                                 .task = manner->task,
                                 .kernel = manner->kernel,
                                 .filesystems = "erofs,ext4"};
    memcpy(hello.nonce, nonce, 16);
    hello.nonce[3] ^= manner->wrong_nonce;
    TbWriter writer = tb_writer(payload + TB_FRAME_HEADER, sizeof payload - TB_FRAME_HEADER);
    tb_encode_guest_hello(&writer, &hello);
    tb_frame_header(payload, TB_MSG_GUEST_HELLO, 0, (uint32_t)writer.length);
    write_full(fd, payload, TB_FRAME_HEADER + writer.length);
}

static void guest_run(int fd, const Manner *manner)
{
    signal(SIGALRM, SIG_DFL);
    alarm(30);
    answer_hello(fd, manner);
    struct pollfd state = {.fd = fd, .events = POLLIN};
    poll(&state, 1, script->len > 0 ? 300 : 0); /* until the host asks */
    size_t from = 0;
    do {
        write_full(fd, script->data + from, script->len - from);
        from = manner->again;
    } while (manner->flood);
    if (manner->close_after)
        _exit(0);
    char buffer[4096];
    while (read(fd, buffer, sizeof buffer) > 0)
        continue;
    _exit(0);
}

static TbSession *start(const Manner *manner)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    guest = fork();
    if (guest == 0) {
        close(fds[0]);
        guest_run(fds[1], manner);
    }
    close(fds[1]);
    return tb_session_new(fds[0]);
}

static bool greet(TbSession *session, GError **error)
{
    TbGuestInfo info;
    return tb_session_hello(session, in_seconds(5), &info, error);
}

static TbSession *greeted(const Manner *manner)
{
    g_autoptr(GError) error = NULL;
    TbSession *session = start(manner);
    if (!greet(session, &error))
        ck_abort_msg("%s", error->message);
    return session;
}

static void set_up(void)
{
    script = g_byte_array_new();
}

static void tear_down(void)
{
    if (guest > 0) {
        kill(guest, SIGKILL);
        waitpid(guest, NULL, 0);
    }
    g_byte_array_unref(script);
}

static void is_breach(TbSession *session, bool ok, GError *error)
{
    ck_assert(!ok);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
    ck_assert_msg(g_str_has_prefix(error->message, "guest: "), "%s", error->message);
    g_error_free(error);
    /* and there is no way on */
    GError *again = NULL;
    const TbMount mount = {.name = "x", .filesystem = "none"};
    ck_assert(!tb_session_mount(session, &mount, in_seconds(1), &again));
    ck_assert_str_eq(again->message, "guest: the connection is no longer usable");
    g_error_free(again);
}

/* --- hello ----------------------------------------------------------------------------------- */

START_TEST(garbage_before_the_mark)
{
    Manner manner = polite;
    manner.garbage = 300000;
    g_autoptr(TbSession) session = greeted(&manner);
}
END_TEST

static void bad_hello(Manner manner, TbErrorCode code)
{
    GError *error = NULL;
    g_autoptr(TbSession) session = start(&manner);
    ck_assert(!greet(session, &error));
    ck_assert_int_eq(tb_error_code(error), code);
    g_error_free(error);
}

START_TEST(bad_hellos)
{
    Manner manner = polite;
    manner.wrong_nonce = true;
    bad_hello(manner, TB_ERROR_GUEST);
}
END_TEST

START_TEST(hello_with_control_characters)
{
    Manner manner = polite;
    manner.kernel = "6.1\033[2J";
    bad_hello(manner, TB_ERROR_GUEST);
}
END_TEST

/* The first HELLO to a fork is the frame alone: nobody spoke to this guest before. The next, should
 * the answer get lost, has its padding. */
START_TEST(hello_to_a_fork)
{
    int fds[2];
    uint8_t bytes[TB_FRAME_PADDING + 256];
    TbGuestInfo info;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    g_autoptr(TbSession) session = tb_session_new(fds[0]);
    tb_session_begin_clean(session);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_session_hello(session, in_seconds(0.2), &info, &error));
    ssize_t first = read(fds[1], bytes, sizeof bytes);
    ck_assert_int_gt(first, TB_FRAME_HEADER);
    ck_assert_int_lt(first, 64);
    ck_assert_uint_eq(bytes[0], TB_MSG_HELLO);
    g_clear_error(&error);
    ck_assert(!tb_session_hello(session, in_seconds(0.2), &info, &error));
    size_t got = 0;
    while (got < (size_t)first + TB_FRAME_PADDING) {
        ssize_t n = read(fds[1], bytes + got, sizeof bytes - got);
        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    ck_assert_uint_eq(got, (size_t)first + TB_FRAME_PADDING);
    ck_assert_uint_eq(bytes[0], 0);
    close(fds[1]);
}
END_TEST

START_TEST(hello_of_another_version)
{
    Manner manner = polite;
    manner.version = TB_PROTOCOL_VERSION + 1;
    bad_hello(manner, TB_ERROR_UNSUPPORTED);
}
END_TEST

START_TEST(no_hello)
{
    int fds[2];
    GError *error = NULL;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    g_autoptr(TbSession) session = tb_session_new(fds[0]);
    TbGuestInfo info;
    ck_assert(!tb_session_hello(session, in_seconds(0.2), &info, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_TIMEOUT);
    g_clear_error(&error);
    close(fds[1]);
    ck_assert(!tb_session_hello(session, in_seconds(5), &info, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
    g_clear_error(&error);
}
END_TEST

START_TEST(request_before_hello)
{
    GError *error = NULL;
    g_autoptr(TbSession) session = start(&polite);
    const TbMount mount = {.name = "x", .filesystem = "none"};
    ck_assert(!tb_session_mount(session, &mount, in_seconds(1), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERNAL);
    g_clear_error(&error);
}
END_TEST

/* --- any request ----------------------------------------------------------------------------- */

static void mount_breaks(void)
{
    GError *error = NULL;
    const TbMount mount = {.name = "x", .filesystem = "none"};
    g_autoptr(TbSession) session = greeted(&polite);
    bool ok = tb_session_mount(session, &mount, in_seconds(5), &error);
    is_breach(session, ok, error);
}

START_TEST(unknown_frame)
{
    put_frame(0x70, 0, "x", 1);
    mount_breaks();
}
END_TEST

START_TEST(oversized_frame)
{
    g_byte_array_append(script, (const uint8_t[]){TB_MSG_OK, 0, 0, 0, 1, 0, 1, 0}, 8);
    mount_breaks();
}
END_TEST

START_TEST(frame_of_another_order)
{
    PUT(TB_MSG_LIST_END, 0);
    mount_breaks();
}
END_TEST

START_TEST(ok_to_another_request)
{
    put_frame(TB_MSG_OK, 0, (const uint8_t[]){TB_MSG_SETUP}, 1);
    mount_breaks();
}
END_TEST

START_TEST(guest_starts_anew)
{
    put_frame(TB_MSG_BOOT, 0, NULL, 0);
    mount_breaks();
}
END_TEST

START_TEST(guest_closes)
{
    GError *error = NULL;
    Manner manner = polite;
    manner.close_after = true;
    g_autoptr(TbSession) session = greeted(&manner);
    const TbMount mount = {.name = "x", .filesystem = "none"};
    bool ok = tb_session_mount(session, &mount, in_seconds(5), &error);
    is_breach(session, ok, error);
}
END_TEST

START_TEST(error_is_escaped_and_harmless)
{
    GError *error = NULL;
    const TbMount mount = {.name = "x", .filesystem = "none"};
    put_frame(TB_MSG_ERROR, 0, "no \033[31mway\n", 12);
    put_frame(TB_MSG_OK, 0, (const uint8_t[]){TB_MSG_MOUNT}, 1);
    g_autoptr(TbSession) session = greeted(&polite);
    ck_assert(!tb_session_mount(session, &mount, in_seconds(5), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
    g_autofree char *lower = g_ascii_strdown(error->message, -1);
    ck_assert_str_eq(lower, "guest: no \\x1b[31mway\\x0a");
    g_clear_error(&error);
    ck_assert(tb_session_mount(session, &mount, in_seconds(5), &error));
}
END_TEST

START_TEST(stale_frames_are_skipped_once)
{
    GError *error = NULL;
    Manner manner = polite;
    manner.task = TB_PROCESS_RUNNING;
    const TbMount mount = {.name = "x", .filesystem = "none"};
    put_frame(TB_MSG_OUTPUT, 1, "late", 4);
    PUT(TB_MSG_EXIT, 0, 0);
    put_frame(TB_MSG_OK, 0, (const uint8_t[]){TB_MSG_MOUNT}, 1);
    put_frame(TB_MSG_OUTPUT, 1, "too late", 8);
    g_autoptr(TbSession) session = greeted(&manner);
    ck_assert(tb_session_mount(session, &mount, in_seconds(5), &error));
    bool ok = tb_session_mount(session, &mount, in_seconds(5), &error);
    is_breach(session, ok, error);
}
END_TEST

START_TEST(flood_does_not_stop_the_clock)
{
    GError *error = NULL;
    Manner manner = polite;
    manner.task = TB_PROCESS_RUNNING; /* so that OUTPUT is skipped, for ever */
    manner.flood = true;
    put_frame(TB_MSG_OUTPUT, 1, "x", 1);
    const TbMount mount = {.name = "x", .filesystem = "none"};
    g_autoptr(TbSession) session = greeted(&manner);
    int64_t begin = g_get_monotonic_time();
    ck_assert(!tb_session_mount(session, &mount, in_seconds(0.5), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_TIMEOUT);
    ck_assert_int_lt(g_get_monotonic_time() - begin, 3 * G_USEC_PER_SEC);
    g_clear_error(&error);
}
END_TEST

static bool failing_watch(void *data, GError **error)
{
    return tb_error_set(error, TB_ERROR_VM, "the box died");
}

START_TEST(watch_ends_the_call)
{
    GError *error = NULL;
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    g_autoptr(TbSession) session = greeted(&polite);
    tb_session_set_watch(session, pipe_fds[0], failing_watch, NULL);
    ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
    const TbMount mount = {.name = "x", .filesystem = "none"};
    ck_assert(!tb_session_mount(session, &mount, in_seconds(5), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_VM);
    g_clear_error(&error);
    ck_assert(!tb_session_mount(session, &mount, in_seconds(5), &error));
    ck_assert_str_eq(error->message, "guest: the connection is no longer usable");
    g_clear_error(&error);
    tb_session_set_watch(session, -1, NULL, NULL); /* it goes on without */
    ck_assert(!tb_session_mount(session, &mount, g_get_monotonic_time() + 50000, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_TIMEOUT);
    g_clear_error(&error);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}
END_TEST

/* --- exec ------------------------------------------------------------------------------------ */

static void exec_breaks(bool pty)
{
    GError *error = NULL;
    const char *argv[] = {"x", NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .pty = pty, .stdin_fd = -1};
    TbExecResult result;
    g_autoptr(TbSession) session = greeted(&polite);
    bool ok = tb_session_exec(session, &exec, NULL, in_seconds(5), &result, &error);
    is_breach(session, ok, error);
}

static bool answer_side(unsigned process, const TbFrame *frame, void *session, GError **error)
{
    tb_session_side_send(session, process, TB_MSG_TAKEN, "\1\0\0\0", 4);
    return true;
}

/* Each byte of a side process is answered, and a guest that never reads must not fill our memory
 * with the answers. */
START_TEST(flood_that_does_not_listen)
{
    GError *error = NULL;
    Manner manner = polite;
    const char *argv[] = {"x", NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .stdin_fd = -1};
    TbExecResult result;
    manner.flood = true;
    put_frame(TB_MSG_STARTED, 0, NULL, 0);
    manner.again = script->len;
    for (int i = 0; i < 1000; i++)
        put_frame(TB_MSG_OUTPUT, tb_stream(1, 1), "x", 1);
    g_autoptr(TbSession) session = greeted(&manner);
    ck_assert_uint_eq(tb_session_side_start(session, "", 0), 1);
    const TbExecHandlers handlers = {.side = answer_side, .data = session};
    bool ok = tb_session_exec(session, &exec, &handlers, in_seconds(20), &result, &error);
    ck_assert_msg(error && strstr(error->message, "does not read"), "%s",
                  error ? error->message : "no error");
    is_breach(session, ok, error);
}
END_TEST

START_TEST(output_before_start)
{
    put_frame(TB_MSG_OUTPUT, 1, "x", 1);
    exec_breaks(false);
}
END_TEST

START_TEST(started_twice)
{
    put_frame(TB_MSG_STARTED, 0, NULL, 0);
    put_frame(TB_MSG_STARTED, 0, NULL, 0);
    exec_breaks(false);
}
END_TEST

START_TEST(output_on_other_streams)
{
    put_frame(TB_MSG_STARTED, 0, NULL, 0);
    put_frame(TB_MSG_OUTPUT, (uint16_t)(_i == 0 ? 0 : _i == 1 ? 3 : 2), "x", 1);
    exec_breaks(_i == 2); /* a terminal has no second stream */
}
END_TEST

START_TEST(impossible_credit)
{
    put_frame(TB_MSG_STARTED, 0, NULL, 0);
    PUT(TB_MSG_CREDIT, TB_STDIN_WINDOW);
    PUT(TB_MSG_CREDIT, _i == 0 ? 1 : UINT32_MAX);
    exec_breaks(false);
}
END_TEST

START_TEST(impossible_exit)
{
    static const uint32_t bad[][2] = {{256, 0}, {0, 9}, {137, 8}, {193, 65}, {UINT32_MAX, 0}};
    put_frame(TB_MSG_STARTED, 0, NULL, 0);
    PUT(TB_MSG_EXIT, bad[_i][0], bad[_i][1]);
    exec_breaks(false);
}
END_TEST

/* --- export ---------------------------------------------------------------------------------- */

static bool on_entry(const TbEntry *entry, void *data, GError **error)
{
    uint32_t *count = data;
    return ++*count != 77 || tb_error_set(error, TB_ERROR_CONFLICT, "refused");
}

static bool on_begin(uint32_t index, uint64_t size, void *data, GError **error)
{
    return true;
}

static bool on_bytes(const uint8_t *bytes, size_t length, void *data, GError **error)
{
    *(uint64_t *)data += length;
    return true;
}

static bool on_end(uint32_t index, void *data, GError **error)
{
    return true;
}

static void list_breaks(uint32_t max, TbErrorCode code)
{
    GError *error = NULL;
    uint32_t count = 0;
    g_autoptr(TbSession) session = greeted(&polite);
    ck_assert(!tb_session_export_list(session, max, on_entry, &count, in_seconds(5), &error));
    ck_assert_int_eq(tb_error_code(error), code);
    g_clear_error(&error);
    ck_assert(!tb_session_export_list(session, max, on_entry, &count, in_seconds(5), &error));
    g_clear_error(&error);
}

static void put_list_end(uint32_t count, const uint8_t hash[TB_HASH_SIZE])
{
    uint8_t payload[4 + TB_HASH_SIZE];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, count);
    tb_put_raw(&writer, hash, TB_HASH_SIZE);
    put_frame(TB_MSG_LIST_END, 0, payload, writer.length);
}

static void hash_entry(const TbEntry *entry, uint8_t hash[TB_HASH_SIZE])
{
    uint8_t wire[TB_ENTRY_WIRE_LIMIT];
    TbWriter writer = tb_writer(wire, sizeof wire);
    TbSha256 sum;
    tb_encode_entry(&writer, entry);
    tb_sha256_init(&sum);
    tb_sha256_add(&sum, wire, writer.length);
    tb_sha256_end(&sum, hash);
}

START_TEST(list_with_wrong_count)
{
    put_entry(TB_ENTRY_FILE, "a", 1);
    put_list_end(2, (uint8_t[TB_HASH_SIZE]){0});
    list_breaks(10, TB_ERROR_GUEST);
}
END_TEST

static TbEntry list_entry(void)
{
    return (TbEntry){.kind = TB_ENTRY_FILE,
                     .mode = 0644,
                     .size = 1,
                     .path = (const uint8_t *)"a",
                     .path_length = 1};
}

/* What the guest says it sent differs in a path, a mode, a size or a target from what arrived. */
START_TEST(list_with_wrong_hash)
{
    uint8_t hash[TB_HASH_SIZE];
    TbEntry entry = list_entry();
    switch (_i) {
    case 0:
        entry.path = (const uint8_t *)"b";
        break;
    case 1:
        entry.mode = 0755;
        break;
    default:
        entry.size = 2;
        break;
    }
    hash_entry(&entry, hash);
    put_entry(TB_ENTRY_FILE, "a", 1);
    put_list_end(1, hash);
    list_breaks(10, TB_ERROR_GUEST);
}
END_TEST

START_TEST(list_with_its_hash)
{
    GError *error = NULL;
    uint32_t count = 0;
    uint8_t hash[TB_HASH_SIZE];
    TbEntry entry = list_entry();
    hash_entry(&entry, hash);
    put_entry(TB_ENTRY_FILE, "a", 1);
    put_list_end(1, hash);
    g_autoptr(TbSession) session = greeted(&polite);
    bool ok = tb_session_export_list(session, 10, on_entry, &count, in_seconds(5), &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(list_without_end)
{
    for (int i = 0; i < 11; i++)
        put_entry(TB_ENTRY_FILE, "a", 1);
    list_breaks(10, TB_ERROR_LIMIT);
}
END_TEST

START_TEST(list_refused_by_the_caller)
{
    for (int i = 0; i < 90; i++)
        put_entry(TB_ENTRY_FILE, "a", 1);
    list_breaks(100, TB_ERROR_CONFLICT);
}
END_TEST

START_TEST(entry_that_makes_no_sense)
{
    put_frame(TB_MSG_ENTRY, 0, "\1\2\3", 3);
    list_breaks(10, TB_ERROR_GUEST);
}
END_TEST

typedef enum { WRONG_INDEX, TOO_MUCH, EMPTY_DATA, WRONG_HASH, SHORT_HASH, TOO_LITTLE } BadFile;

static void put_file(BadFile bad)
{
    uint8_t hash[32];
    TbSha256 state;
    tb_sha256_init(&state);
    tb_sha256_add(&state, "12345", 5);
    tb_sha256_end(&state, hash);
    PUT(TB_MSG_FILE_BEGIN, bad == WRONG_INDEX ? 4 : 3, 5, 0);
    put_frame(TB_MSG_FILE_DATA, 0, "123", bad == EMPTY_DATA ? 0 : 3);
    if (bad != TOO_LITTLE)
        put_frame(TB_MSG_FILE_DATA, 0, "456", bad == TOO_MUCH ? 3 : 2);
    hash[0] ^= bad == WRONG_HASH;
    put_frame(TB_MSG_FILE_END, 0, hash, bad == SHORT_HASH ? 31 : 32);
}

START_TEST(files_that_make_no_sense)
{
    GError *error = NULL;
    const uint32_t index = 3;
    uint64_t total = 0;
    const TbFileSink sink = {on_begin, on_bytes, on_end, &total};
    put_file((BadFile)_i);
    g_autoptr(TbSession) session = greeted(&polite);
    bool ok = tb_session_export_files(session, &index, 1, 1000, &sink, in_seconds(5), &error);
    ck_assert_uint_le(total, 5);
    is_breach(session, ok, error);
}
END_TEST

START_TEST(file_over_the_limit)
{
    GError *error = NULL;
    const uint32_t index = 3;
    uint64_t total = 0;
    const TbFileSink sink = {on_begin, on_bytes, on_end, &total};
    PUT(TB_MSG_FILE_BEGIN, 3, UINT32_MAX, UINT32_MAX);
    g_autoptr(TbSession) session = greeted(&polite);
    ck_assert(!tb_session_export_files(session, &index, 1, 1000, &sink, in_seconds(5), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    ck_assert_uint_eq(total, 0);
    g_clear_error(&error);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {garbage_before_the_mark,
                                  bad_hellos,
                                  hello_with_control_characters,
                                  hello_of_another_version,
                                  hello_to_a_fork,
                                  no_hello,
                                  request_before_hello,
                                  unknown_frame,
                                  oversized_frame,
                                  frame_of_another_order,
                                  ok_to_another_request,
                                  guest_starts_anew,
                                  guest_closes,
                                  error_is_escaped_and_harmless,
                                  stale_frames_are_skipped_once,
                                  flood_does_not_stop_the_clock,
                                  watch_ends_the_call,
                                  output_before_start,
                                  flood_that_does_not_listen,
                                  started_twice,
                                  list_with_wrong_count,
                                  list_with_its_hash,
                                  list_without_end,
                                  list_refused_by_the_caller,
                                  entry_that_makes_no_sense,
                                  file_over_the_limit};
    signal(SIGPIPE, SIG_IGN);
    Suite *suite = suite_create("vm-session");
    TCase *tcase = tcase_create("session");
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_add_loop_test(tcase, output_on_other_streams, 0, 3);
    tcase_add_loop_test(tcase, impossible_credit, 0, 2);
    tcase_add_loop_test(tcase, list_with_wrong_hash, 0, 3);
    tcase_add_loop_test(tcase, impossible_exit, 0, 5);
    tcase_add_loop_test(tcase, files_that_make_no_sense, 0, TOO_LITTLE + 1);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
