/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rawshare MARK: the box's root speaks FUSE (linux/fuse.h) to the server of a shared project
 * itself.
 *
 * Lines of the answer: "spoke" when the server answered the first request; "READ: WHAT" when MARK,
 * which lies outside of the project, came back; "WROTE: WHAT" when a change was acknowledged;
 * "done" at the end. That the server is gone by then is fine.
 */
#include "device.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FS_DEVICE "0x105a" /* 0x1040 and VIRTIO_ID_FS */
#define QUEUES    2
#define REQUESTS  1 /* the queue; 0 is for what is urgent */

static const char *mark;

static uint8_t *request, *answer;
#define NO_ANSWER 9999

static bool has_mark(void)
{
    return memmem(answer, DEVICE_PAGE, mark, strlen(mark)) != NULL;
}

/* The head with this length in it (0: the right one), then a payload. The error of the answer,
 * above 0. */
static int ask_lying(uint32_t opcode, uint64_t node, const void *payload, size_t size,
                     uint32_t length, int milliseconds)
{
    static uint64_t unique = 100;
    struct fuse_in_header head = {.len = length ? length : (uint32_t)(sizeof head + size),
                                  .opcode = opcode,
                                  .unique = unique++,
                                  .nodeid = node};
    memcpy(request, &head, sizeof head);
    if (size > 0)
        memcpy(request + sizeof head, payload, size);
    memset(answer, 0, DEVICE_PAGE);
    if (!device_ask(REQUESTS, request, sizeof head + size, answer, milliseconds))
        return NO_ANSWER;
    struct fuse_out_header out;
    memcpy(&out, answer, sizeof out);
    return -out.error;
}

static int ask(uint32_t opcode, uint64_t node, const void *payload, size_t size)
{
    return ask_lying(opcode, node, payload, size, 0, 3000);
}

/* A struct, then one or two names with a NUL byte behind each. */
static int ask_named(uint32_t opcode, uint64_t node, const void *head, size_t size,
                     const char *first, const char *second)
{
    static uint8_t payload[DEVICE_PAGE - 256];
    size_t used = size;
    if (size > 0)
        memcpy(payload, head, size);
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? first : second;
        if (!name)
            break;
        size_t length = strnlen(name, sizeof payload - used - 1);
        memcpy(payload + used, name, length);
        payload[used + length] = '\0';
        used += length + 1;
    }
    return ask(opcode, node, payload, used);
}

/* 0: there is none. */
static uint64_t look_up(uint64_t node, const char *name)
{
    struct fuse_entry_out entry;
    if (ask_named(FUSE_LOOKUP, node, NULL, 0, name, NULL) != 0)
        return 0;
    memcpy(&entry, answer + sizeof(struct fuse_out_header), sizeof entry);
    return entry.nodeid;
}

static uint64_t open_node(uint64_t node, uint32_t flags, int *error)
{
    const struct fuse_open_in in = {.flags = flags};
    struct fuse_open_out out = {0};
    *error = ask(FUSE_OPEN, node, &in, sizeof in);
    if (*error == 0)
        memcpy(&out, answer + sizeof(struct fuse_out_header), sizeof out);
    return out.fh;
}

static void try_read(uint64_t node, const char *what)
{
    int error;
    if (ask(FUSE_READLINK, node, NULL, 0) == 0 && has_mark())
        device_say("READ: %s, by readlink\n", what);
    uint64_t handle = open_node(node, O_RDONLY | O_NONBLOCK, &error);
    const struct fuse_read_in in = {.fh = handle, .size = 1024};
    if (error == 0 && ask(FUSE_READ, node, &in, sizeof in) == 0 && has_mark())
        device_say("READ: %s\n", what);
}

static void lead_out(void)
{
    static char long_name[3000];
    memset(long_name, 'a', sizeof long_name - 1);
    const char *const names[] = {
        "..", "../outside", "dir/../../outside", "/etc/passwd", "dir/inner", "./text",
        "",   ".",          "out/../../..",      "../../..",    long_name};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint64_t node = look_up(FUSE_ROOT_ID, names[i]);
        if (node == 0)
            continue;
        try_read(node, names[i]);
        uint64_t below = look_up(node, "outside");
        if (below != 0)
            device_say("READ: 'outside' is there below '%.40s'\n", names[i]);
    }
    uint64_t dir = look_up(FUSE_ROOT_ID, "dir");
    for (uint64_t up = look_up(dir, ".."), i = 0; up != 0 && i < 4; i++, up = look_up(up, ".."))
        if (look_up(up, "outside") != 0)
            device_say("READ: 'outside' is there above 'dir'\n");
    static const char *const links[] = {"out", "absolute", "ignored.pipe"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        uint64_t node = look_up(FUSE_ROOT_ID, links[i]);
        try_read(node, links[i]);
        if (look_up(node, "outside") != 0)
            device_say("READ: 'outside' is there below '%s'\n", links[i]);
    }
    for (uint64_t node = 0; node < 40; node++)
        try_read(node, "a number");
    static const uint64_t far[] = {UINT64_C(1) << 31, UINT64_C(1) << 40, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        try_read(far[i], "a wild number");
}

/* Of .git the box gets a copy without credentials; what is shared has none at all. */
static void read_git(void)
{
    static const char *const files[] = {"config", "HEAD", "hooks", "logs"};
    uint64_t git = look_up(FUSE_ROOT_ID, ".git");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        uint64_t node = look_up(git, files[i]);
        if (node == 0)
            continue;
        device_say("READ: .git/%s is there\n", files[i]);
        try_read(node, files[i]);
    }
}

static void expect_refusal(int error, const char *what)
{
    if (error == 0)
        device_say("WROTE: %s\n", what);
}

static void change(void)
{
    static const uint32_t ways[] = {O_RDWR, O_WRONLY | O_TRUNC, O_RDWR | O_CREAT | O_APPEND};
    uint64_t text = look_up(FUSE_ROOT_ID, "text");
    int error;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        uint64_t handle = open_node(text, ways[i], &error);
        struct {
            struct fuse_write_in head;
            char bytes[5];
        } in = {.head = {.fh = handle, .size = 5}, .bytes = "mine"};
        if (error == 0)
            expect_refusal(ask(FUSE_WRITE, text, &in, sizeof in.head + 5), "text, opened");
    }
    for (uint64_t handle = 0; handle < 8; handle++) {
        struct {
            struct fuse_write_in head;
            char bytes[5];
        } in = {.head = {.fh = handle, .size = 5}, .bytes = "mine"};
        expect_refusal(ask(FUSE_WRITE, text, &in, sizeof in.head + 5), "text, by a number");
    }
    const struct fuse_create_in create = {.flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0666};
    expect_refusal(ask_named(FUSE_CREATE, 1, &create, sizeof create, "made", NULL), "create");
    expect_refusal(ask_named(FUSE_CREATE, 1, &create, sizeof create, "../made", NULL), "../create");
    const struct fuse_mkdir_in mkdir_in = {.mode = 0777};
    expect_refusal(ask_named(FUSE_MKDIR, 1, &mkdir_in, sizeof mkdir_in, "made.d", NULL), "mkdir");
    const struct fuse_mknod_in device = {.mode = S_IFBLK | 0666, .rdev = 8 << 8};
    expect_refusal(ask_named(FUSE_MKNOD, 1, &device, sizeof device, "dev", NULL), "mknod");
    const struct fuse_mknod_in pipe_in = {.mode = S_IFIFO | 0666};
    expect_refusal(ask_named(FUSE_MKNOD, 1, &pipe_in, sizeof pipe_in, "pipe", NULL), "mkfifo");
    expect_refusal(ask_named(FUSE_SYMLINK, 1, NULL, 0, "soft", "/etc"), "symlink");
    const struct fuse_link_in link_in = {.oldnodeid = text};
    expect_refusal(ask_named(FUSE_LINK, 1, &link_in, sizeof link_in, "hard", NULL), "link");
    const struct fuse_rename_in rename_in = {.newdir = 1};
    expect_refusal(ask_named(FUSE_RENAME, 1, &rename_in, sizeof rename_in, "text", "../moved"),
                   "rename out");
    expect_refusal(ask_named(FUSE_RENAME, 1, &rename_in, sizeof rename_in, "tool", "moved"),
                   "rename");
    const struct fuse_setattr_in mode = {.valid = FATTR_MODE, .mode = 0777};
    expect_refusal(ask(FUSE_SETATTR, text, &mode, sizeof mode), "chmod");
    const struct fuse_setattr_in size = {.valid = FATTR_SIZE, .size = 0};
    expect_refusal(ask(FUSE_SETATTR, text, &size, sizeof size), "truncate");
    const struct fuse_setattr_in times = {.valid = FATTR_MTIME, .mtime = 1};
    expect_refusal(ask(FUSE_SETATTR, text, &times, sizeof times), "utimes");
    const struct fuse_setxattr_in xattr = {.size = 1};
    expect_refusal(ask_named(FUSE_SETXATTR, text, &xattr, 8, "user.mine", "x"), "setxattr");
    expect_refusal(ask_named(FUSE_RMDIR, 1, NULL, 0, "empty", NULL), "rmdir");
    expect_refusal(ask_named(FUSE_UNLINK, 1, NULL, 0, "text", NULL), "unlink");
}

/* Heads that lie about their length, operations that are none, payloads that fit nothing. */
static void talk_nonsense(void)
{
    static const uint32_t lengths[] = {1, 8, 39, 41, 4096, 65536, INT32_MAX, UINT32_MAX};
    uint8_t noise[256];
    srandom(1);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        ask_lying(FUSE_GETATTR, 1, noise, sizeof(struct fuse_getattr_in), lengths[i], 100);
    for (uint32_t i = 0; i < 300; i++) {
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (uint8_t)(random() & (i & 1 ? 0xff : 3));
        ask_lying(i < 80 ? i : (uint32_t)random() % 60, (uint64_t)random() % 8, noise,
                  (size_t)random() % sizeof noise, 0, 50);
        if (has_mark())
            device_say("READ: by noise\n");
    }
}

int main(int argc, char **argv)
{
    const struct fuse_init_in init = {.major = FUSE_KERNEL_VERSION,
                                      .minor = 31,
                                      .max_readahead = 65536,
                                      .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES};
    if (argc != 2)
        return 2;
    mark = argv[1];
    device_take(FS_DEVICE);
    request = device_page();
    answer = device_page();
    device_start(QUEUES);
    if (ask_lying(FUSE_INIT, 0, &init, 16, 0, 10000) != 0)
        device_die("be understood by the server");
    device_say("spoke\n");
    if (look_up(FUSE_ROOT_ID, "text") == 0)
        device_die("find the project's file");
    device_say("found\n");
    lead_out();
    read_git();
    change();
    device_say("asked\n");
    sleep(5); /* until that is out: what follows may end the server, and the box with it */
    talk_nonsense();
    device_lie(REQUESTS, request, answer, NULL);
    device_say("done\n");
    return 0;
}
