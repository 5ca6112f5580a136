/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The other side says its last word and closes, over and over, while we look. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "../suite.h"
#include "util/auto.h"
#include "util/packet.h"

#define ROUNDS  100000 /* of which plain recv(2) loses 20 to 30 on two cores */
#define SECONDS 10     /* on one core both of us wait for a turn each time */

static int pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int theirs = -1; /* atomic: the socket to speak on, -1 for none yet, -2 at the end */

static void *speak(void *unused)
{
    for (int round = 0;; round++) {
        int fd;
        do
            fd = __atomic_exchange_n(&theirs, -1, __ATOMIC_ACQ_REL);
        while (fd == -1);
        if (fd == -2)
            return NULL;
        for (volatile int pause = round % 300; pause > 0; pause--)
            continue;
        send(fd, &round, sizeof round, MSG_NOSIGNAL);
        close(fd);
    }
}

static ssize_t listen_for(int fd, int *word)
{
    ssize_t got;
    do
        got = tb_packet_recv(fd, word, sizeof *word, MSG_DONTWAIT);
    while (got < 0 && errno == EAGAIN);
    return got;
}

START_TEST(last_word)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, speak, NULL), 0);
    time_t end = time(NULL) + SECONDS;
    for (int round = 0; round < ROUNDS && time(NULL) < end; round++) {
        int ends[2], word = -1;
        ck_assert_int_eq(pair(ends), 0);
        tb_autofd ours = ends[0];
        __atomic_store_n(&theirs, ends[1], __ATOMIC_RELEASE);
        ssize_t got = listen_for(ours, &word);
        ck_assert_msg(got == sizeof word && word == round, "round %d: %zd bytes", round, got);
        ck_assert_int_eq(tb_packet_recv(ours, &word, sizeof word, 0), 0);
    }
    __atomic_store_n(&theirs, -2, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(nothing_there)
{
    int ends[2], word;
    ck_assert_int_eq(pair(ends), 0);
    tb_autofd ours = ends[0];
    tb_autofd other = ends[1];
    ck_assert_int_eq(tb_packet_recv(ours, &word, sizeof word, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(send(other, "0123456789", 10, 0), 10);
    ck_assert_int_eq(tb_packet_recv(ours, &word, sizeof word, MSG_TRUNC), 10);
    ck_assert_int_eq(tb_packet_recv(-1, &word, sizeof word, 0), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("packet");
    TCase *tcase = tcase_create("packet");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, last_word);
    tcase_add_test(tcase, nothing_there);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
