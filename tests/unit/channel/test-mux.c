/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two ends of a mux in one process: what goes in on one side comes out on the other, whoever is
 * slow, gone or lying. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../suite.h"
#include "channel/frame.h"
#include "channel/mux.h"

enum { MANY = TB_MUX_STREAMS };

static TbMux *guest, *host;
static int port[2];
static int taken[4 * MANY]; /* our ends of what the host was given */
static int n_taken, refuse_after;

static int on_open(void *data)
{
    int ends[2];
    if (n_taken >= refuse_after)
        return -1;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    taken[n_taken++] = ends[0];
    return ends[1];
}

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, port), 0);
    n_taken = 0;
    refuse_after = 4 * MANY;
    guest = tb_mux_new(port[0], NULL, NULL);
    host = tb_mux_new(port[1], on_open, NULL);
}

static void tear_down(void)
{
    tb_mux_free(guest);
    tb_mux_free(host);
    close(port[0]);
    close(port[1]);
    for (int i = 0; i < n_taken; i++)
        close(taken[i]);
}

static bool step(TbMux *mux, int milliseconds)
{
    struct pollfd fds[TB_MUX_FDS];
    tb_mux_poll(mux, fds);
    poll(fds, TB_MUX_FDS, milliseconds);
    return tb_mux_step(mux, fds);
}

static void rounds(int count)
{
    for (int i = 0; i < count; i++)
        ck_assert(step(guest, 0) && step(host, 0));
}

/* A stream; returns our end of the guest's socket. */
static int open_stream(void)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    ck_assert(!tb_mux_full(guest));
    tb_mux_open(guest, ends[1]);
    rounds(2);
    return ends[0];
}

static void assert_reads(int fd, const char *text)
{
    char buffer[64];
    ssize_t got = read(fd, buffer, sizeof buffer);
    ck_assert_int_eq(got, (ssize_t)strlen(text));
    ck_assert(memcmp(buffer, text, strlen(text)) == 0);
}

static void put(int fd, const char *text)
{
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

START_TEST(both_ways_and_half_closed)
{
    int fd = open_stream();
    ck_assert_int_eq(n_taken, 1);
    put(fd, "question");
    shutdown(fd, SHUT_WR);
    rounds(4);
    assert_reads(taken[0], "question");
    assert_reads(taken[0], ""); /* its end */
    put(taken[0], "answer");
    rounds(4);
    assert_reads(fd, "answer");
    shutdown(taken[0], SHUT_WR);
    rounds(4);
    assert_reads(fd, "");
    close(fd);
}
END_TEST

/* Bytes of a stream that tell where they stand. */
static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 2654435761U >> 13);
}

static size_t write_pattern(int fd, size_t at, size_t most)
{
    uint8_t buffer[100000];
    size_t size = most < sizeof buffer ? most : sizeof buffer;
    for (size_t i = 0; i < size; i++)
        buffer[i] = pattern(at + i);
    ssize_t n = write(fd, buffer, size);
    return n > 0 ? (size_t)n : 0;
}

static size_t read_pattern(int fd, size_t at, size_t most)
{
    uint8_t buffer[100000];
    ssize_t n = read(fd, buffer, most < sizeof buffer ? most : sizeof buffer);
    bool same = true;
    for (ssize_t i = 0; i < n; i++)
        same = same && buffer[i] == pattern(at + (size_t)i);
    ck_assert(same);
    return n > 0 ? (size_t)n : 0;
}

/* Both directions at once, each end reading in sizes of its own. */
START_TEST(much_and_every_byte)
{
    enum { ALL = 6 * 1000 * 1000 };
    int fd = open_stream();
    size_t up = 0, up_read = 0, down = 0, down_read = 0;
    for (unsigned round = 0; up_read < ALL || down_read < ALL; round++) {
        ck_assert_uint_lt(round, 200000);
        up += write_pattern(fd, up, ALL - up);
        down += write_pattern(taken[0], down, ALL - down);
        rounds(1);
        if (round % 3 == 0)
            up_read += read_pattern(taken[0], up_read, 1 + round * 7919 % 90000);
        if (round % 5 == 0)
            down_read += read_pattern(fd, down_read, 1 + round * 104729 % 90000);
    }
    ck_assert_uint_eq(up_read, ALL);
    ck_assert_uint_eq(down_read, ALL);
    close(fd);
}
END_TEST

/* What a socket takes that nobody reads is bounded, and the stream beside it goes on. */
START_TEST(one_that_is_not_read)
{
    int slow = open_stream(), quick = open_stream();
    size_t stuck = 0, before = 1;
    while (stuck != before) {
        before = stuck;
        for (int i = 0; i < 20; i++) {
            stuck += write_pattern(slow, stuck, 100000);
            rounds(1);
        }
    }
    int buffer = 0;
    socklen_t length = sizeof buffer;
    getsockopt(slow, SOL_SOCKET, SO_SNDBUF, &buffer, &length);
    ck_assert_uint_le(stuck, TB_MUX_WINDOW + 4 * (size_t)buffer);
    put(quick, "still here");
    rounds(4);
    assert_reads(taken[1], "still here");
    shutdown(slow, SHUT_WR); /* what is under way still arrives */
    rounds(4);
    size_t got = 0;
    for (int i = 0; i < 2000 && got < stuck; i++) {
        got += read_pattern(taken[0], got, 100000);
        rounds(1);
    }
    ck_assert_uint_eq(got, stuck);
    close(slow);
    close(quick);
}
END_TEST

START_TEST(refused_stream)
{
    refuse_after = 0;
    int fd = open_stream();
    rounds(4);
    assert_reads(fd, "");
    close(fd);
    refuse_after = 1;
    fd = open_stream();
    put(fd, "x");
    rounds(4);
    assert_reads(taken[0], "x");
    close(fd);
}
END_TEST

/* The far socket is gone while much is under way to it: this end hears of it, and its number and
 * memory come back. */
START_TEST(broken_socket)
{
    for (int i = 0; i < 3 * MANY; i++) {
        int fd = open_stream();
        write_pattern(fd, 0, 100000);
        close(taken[n_taken - 1]);
        n_taken--;
        rounds(6);
        ck_assert_uint_eq(write_pattern(fd, 0, 1), 0);
        close(fd);
        rounds(4);
    }
    ck_assert(!tb_mux_full(guest));
}
END_TEST

/* All the streams there can be; then none; then again, without a number that is in use. */
START_TEST(as_many_as_can_be)
{
    int fds[MANY];
    for (int again = 0; again < 3; again++) {
        for (int i = 0; i < MANY; i++)
            fds[i] = open_stream();
        ck_assert(tb_mux_full(guest));
        for (int i = 0; i < MANY; i++) {
            put(fds[i], "in");
            rounds(2);
            assert_reads(taken[again * MANY + i], "in");
            close(fds[i]);
            shutdown(taken[again * MANY + i], SHUT_WR);
        }
        rounds(4);
        ck_assert(!tb_mux_full(guest));
    }
}
END_TEST

START_TEST(port_that_ends)
{
    int fd = open_stream();
    rounds(2);
    tb_mux_free(host);
    close(port[1]);
    ck_assert(!step(guest, 0));
    port[1] = dup(port[0]);
    host = NULL;
    tb_mux_free(guest);
    guest = NULL;
    assert_reads(fd, "");
    close(fd);
}
END_TEST

/* ---- a peer that lies */

typedef struct {
    uint8_t bytes[512];
    size_t length;
} Stream;

static void frame(Stream *stream, uint8_t type, uint16_t id, const void *payload, size_t length)
{
    tb_frame_header(stream->bytes + stream->length, type, id, (uint32_t)length);
    if (length > 0)
        memcpy(stream->bytes + stream->length + TB_FRAME_HEADER, payload, length);
    stream->length += TB_FRAME_HEADER + length;
}

static const uint8_t one_byte_of_credit[4] = {1, 0, 0, 0};

typedef void (*Lie)(Stream *);
static void unknown_type(Stream *s)
{
    frame(s, TB_MUX_OPEN, 1, NULL, 0);
    frame(s, 0x7f, 1, NULL, 0);
}
static void data_of_nothing(Stream *s)
{
    frame(s, TB_MUX_DATA, 1, "x", 1);
}
static void number_zero(Stream *s)
{
    frame(s, TB_MUX_OPEN, 0, NULL, 0);
}
static void opened_twice(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
}
static void open_with_payload(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, "x", 1);
}
static void data_after_close(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
    frame(s, TB_MUX_CLOSE, 7, NULL, 0);
    frame(s, TB_MUX_DATA, 7, "x", 1);
}
static void empty_data(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
    frame(s, TB_MUX_DATA, 7, NULL, 0);
}
static void closed_twice(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
    frame(s, TB_MUX_CLOSE, 7, NULL, 0);
    frame(s, TB_MUX_CLOSE, 7, NULL, 0);
}
static void done_twice(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
    frame(s, TB_MUX_DONE, 7, NULL, 0);
    frame(s, TB_MUX_DONE, 7, NULL, 0);
}
static void credit_over_the_window(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
    frame(s, TB_MUX_CREDIT, 7, one_byte_of_credit, 4);
}
static void credit_cut_short(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
    frame(s, TB_MUX_CREDIT, 7, one_byte_of_credit, 3);
}
static void after_all_is_said(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
    frame(s, TB_MUX_CLOSE, 7, NULL, 0); /* answered with DONE */
    frame(s, TB_MUX_DONE, 7, NULL, 0);  /* answered with CLOSE: over */
    frame(s, TB_MUX_CLOSE, 7, NULL, 0);
}
static void no_frame(Stream *s)
{
    frame(s, TB_MUX_OPEN, 7, NULL, 0);
    memset(s->bytes + s->length, 0xff, TB_FRAME_HEADER);
    s->length += TB_FRAME_HEADER;
}

static const Lie lies[] = {
    unknown_type,     data_of_nothing,   number_zero,  opened_twice, open_with_payload,
    data_after_close, empty_data,        closed_twice, done_twice,   credit_over_the_window,
    credit_cut_short, after_all_is_said, no_frame,
};

START_TEST(lie)
{
    Stream stream = {.length = 0};
    lies[_i](&stream);
    ck_assert_int_eq(write(port[0], stream.bytes, stream.length), (ssize_t)stream.length);
    ck_assert(!step(host, 0));
}
END_TEST

START_TEST(more_than_the_window)
{
    Stream stream = {.length = 0};
    frame(&stream, TB_MUX_OPEN, 7, NULL, 0);
    ck_assert(tb_mux_take(host, stream.bytes, stream.length));
    static uint8_t full[TB_FRAME_HEADER + TB_FRAME_MAX];
    tb_frame_header(full, TB_MUX_DATA, 7, TB_FRAME_MAX);
    for (int i = 0; i < TB_MUX_WINDOW / TB_FRAME_MAX; i++)
        ck_assert(tb_mux_take(host, full, sizeof full));
    /* Nobody has read at the other end, and no more credit than the socket took was given. */
    bool ok = true;
    for (int i = 0; ok && i < 64; i++)
        ok = tb_mux_take(host, full, sizeof full);
    ck_assert(!ok);
}
END_TEST

START_TEST(more_streams_than_can_be)
{
    refuse_after = 0;
    for (uint16_t id = 1; id <= TB_MUX_STREAMS; id++) {
        Stream stream = {.length = 0};
        frame(&stream, TB_MUX_OPEN, id, NULL, 0);
        ck_assert(tb_mux_take(host, stream.bytes, stream.length));
    }
    Stream stream = {.length = 0};
    frame(&stream, TB_MUX_OPEN, TB_MUX_STREAMS + 1, NULL, 0);
    ck_assert(!tb_mux_take(host, stream.bytes, stream.length));
}
END_TEST

START_TEST(host_that_opens)
{
    Stream stream = {.length = 0};
    frame(&stream, TB_MUX_OPEN, 7, NULL, 0);
    ck_assert(!tb_mux_take(guest, stream.bytes, stream.length));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel-mux");
    TCase *tests = tcase_create("mux");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, both_ways_and_half_closed);
    tcase_add_test(tests, much_and_every_byte);
    tcase_add_test(tests, one_that_is_not_read);
    tcase_add_test(tests, refused_stream);
    tcase_add_test(tests, broken_socket);
    tcase_add_test(tests, as_many_as_can_be);
    tcase_add_test(tests, port_that_ends);
    tcase_add_loop_test(tests, lie, 0, (int)(sizeof lies / sizeof *lies));
    tcase_add_test(tests, more_than_the_window);
    tcase_add_test(tests, more_streams_than_can_be);
    tcase_add_test(tests, host_that_opens);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
