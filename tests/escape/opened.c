/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether anybody opens a file:
 *
 *     opened FILE
 *
 * says "watching", then "opened" for each time, until it is killed.
 */
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char events[4096];
    int fd = inotify_init1(IN_CLOEXEC);
    if (argc != 2 || fd < 0 || inotify_add_watch(fd, argv[1], IN_OPEN) < 0) {
        perror("opened");
        return 1;
    }
    puts("watching");
    fflush(stdout);
    while (read(fd, events, sizeof events) > 0) {
        puts("opened");
        fflush(stdout);
    }
    return 0;
}
