/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest program of an attacker's: root in the box stops the real one and talks to the host in its
 * place, while the host waits for a command to end.
 *
 *     hostile HOW
 *
 * HOW is a row of the table at the end. Static, libc and the channel's encoders only.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "channel/sha256.h"

#define PORTS   "/sys/class/virtio-ports"
#define CONTENT "#!/bin/sh\ntouch /tmp/taskbox-mark\n"

static int port = -1;
static TbFrameDecoder decoder;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void open_port(void)
{
    DIR *dir = opendir(PORTS);
    for (struct dirent *entry; dir && port < 0 && (entry = readdir(dir));) {
        char path[512], name[64] = "";
        snprintf(path, sizeof path, PORTS "/%s/name", entry->d_name);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        if (fgets(name, sizeof name, file) && strncmp(name, TB_CHANNEL_PORT "\n", 64) == 0) {
            snprintf(path, sizeof path, "/dev/%s", entry->d_name);
            for (int i = 0; i < 100 && (port = open(path, O_RDWR | O_CLOEXEC)) < 0; i++)
                usleep(50000); /* the real one may not have let go yet */
        }
        fclose(file);
    }
    if (port < 0)
        die("port");
}

/* ---- frames */

static void write_all(const void *data, size_t length)
{
    const uint8_t *at = data;
    while (length > 0) {
        ssize_t n = write(port, at, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die("write");
        at += n;
        length -= (size_t)n;
    }
}

static void send_frame(TbMessageType type, uint16_t stream, const void *payload, size_t length)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, (uint8_t)type, stream, (uint32_t)length);
    write_all(header, sizeof header);
    write_all(payload, length);
}

/* The next frame of type `type`; what comes before it is dropped. */
static TbFrame await(TbMessageType type)
{
    static uint8_t buffer[65536];
    static const uint8_t *at;
    static size_t left;
    for (;;) {
        TbFrame frame;
        TbFrameResult result = tb_frame_decoder_push(&decoder, &at, &left, &frame);
        if (result == TB_FRAME_READY && frame.type == type)
            return frame;
        if (result == TB_FRAME_READY)
            continue;
        ssize_t n = read(port, buffer, sizeof buffer);
        if (n <= 0)
            usleep(10000);
        at = buffer;
        left = n > 0 ? (size_t)n : 0;
    }
}

static void send_exit(void)
{
    uint8_t payload[8] = {0};
    send_frame(TB_MSG_EXIT, 0, payload, sizeof payload);
}

/* ---- an export */

typedef struct {
    const char *path;
    size_t length; /* 0: strlen */
    TbEntryKind kind;
    const char *target;
} Told;

typedef struct {
    bool list_hash, file_hash, size, count;
    bool other_file; /* another one than was asked for */
    bool fewer;      /* not all that were asked for, and "done" */
    bool again;      /* the list, once more */
    bool exit;       /* the end of the command in the middle of the list */
} Lies;

static void tell(const Told *told, TbSha256 *hash)
{
    static uint8_t payload[TB_ENTRY_WIRE_LIMIT];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbEntry entry = {.kind = told->kind,
                     .mode = 0755,
                     .size = told->kind == TB_ENTRY_FILE ? strlen(CONTENT) : 0,
                     .mtime_sec = 1700000000,
                     .path = (const uint8_t *)told->path,
                     .path_length = told->length ? told->length : strlen(told->path),
                     .target = (const uint8_t *)told->target,
                     .target_length = told->target ? strlen(told->target) : 0};
    tb_encode_entry(&writer, &entry);
    tb_sha256_add(hash, payload, writer.length);
    send_frame(TB_MSG_ENTRY, 0, payload, writer.length);
}

static void send_file(uint32_t index, const Lies *lies)
{
    uint8_t payload[64], digest[32];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbSha256 hash;
    tb_put_u32(&writer, index);
    tb_put_u64(&writer, strlen(CONTENT));
    send_frame(TB_MSG_FILE_BEGIN, 0, payload, writer.length);
    tb_sha256_init(&hash);
    for (int i = 0; i < (lies->size ? 1000 : 1); i++) {
        send_frame(TB_MSG_FILE_DATA, 0, CONTENT, strlen(CONTENT));
        tb_sha256_add(&hash, CONTENT, strlen(CONTENT));
    }
    tb_sha256_end(&hash, digest);
    digest[0] ^= lies->file_hash;
    send_frame(TB_MSG_FILE_END, 0, digest, sizeof digest);
}

static void export(const Told *list, size_t count, Lies lies)
{
    uint8_t end[64], digest[32];
    TbSha256 hash;
    TbWriter writer = tb_writer(end, sizeof end);
    send_exit();
    await(TB_MSG_EXPORT_LIST);
    tb_sha256_init(&hash);
    for (size_t i = 0; i < count; i++) {
        tell(&list[i], &hash);
        if (lies.exit)
            send_exit();
    }
    tb_sha256_end(&hash, digest);
    digest[31] ^= lies.list_hash;
    tb_put_u32(&writer, (uint32_t)count + lies.count);
    tb_put_raw(&writer, digest, sizeof digest);
    send_frame(TB_MSG_LIST_END, 0, end, writer.length);
    for (size_t i = 0; lies.again && i < count; i++)
        tell(&list[i], &hash);
    if (lies.again)
        send_frame(TB_MSG_LIST_END, 0, end, writer.length);
    for (;;) {
        static uint8_t wanted[TB_FRAME_MAX];
        const uint8_t ok = TB_MSG_EXPORT_FILES;
        TbFrame frame = await(TB_MSG_EXPORT_FILES);
        size_t length = frame.length;
        memcpy(wanted, frame.payload, length);
        TbReader reader = tb_reader(wanted, length);
        while (reader.left >= 4 && !lies.fewer)
            send_file(tb_get_u32(&reader) + lies.other_file, &lies);
        send_frame(TB_MSG_OK, 0, &ok, 1);
    }
}

/* ---- the ways */

#define FILE_AT(path)                                                                              \
    {                                                                                              \
        path, 0, TB_ENTRY_FILE, NULL                                                               \
    }
#define BYTES_AT(path)                                                                             \
    {                                                                                              \
        path, sizeof(path) - 1, TB_ENTRY_FILE, NULL                                                \
    }
#define LINK_AT(path, where)                                                                       \
    {                                                                                              \
        path, 0, TB_ENTRY_SYMLINK, where                                                           \
    }

/* What must be refused, and what must come through as it is (its name says so). */
static void names(void)
{
    static const Told list[] = {
        FILE_AT("legal"),
        BYTES_AT("legal \xff\xfe bytes"),
        BYTES_AT("legal\nnewline"),
        BYTES_AT("legal \033[31mred"),
        FILE_AT(".git/hooks/post-checkout"),
        FILE_AT(".GIT/config"),
        FILE_AT("git~1/config"),
        BYTES_AT(".g\xe2\x80\x8cit/config"),
        FILE_AT(".git./config"),
        FILE_AT(".git /config"),
        FILE_AT(".git::$INDEX_ALLOCATION/config"),
        FILE_AT("a/.git/config"),
        FILE_AT("../outside"),
        FILE_AT("a/../../outside"),
        FILE_AT("/etc/taskbox-absolute"),
        FILE_AT("a//b"),
        FILE_AT("./dot"),
        FILE_AT("a\\.git\\config"),
        LINK_AT(".gitmodules", "text"),
    };
    export(list, sizeof list / sizeof list[0], (Lies){0});
}

static void deep(void)
{
    static char path[4096];
    for (size_t i = 0; i < 2000; i++)
        memcpy(path + 2 * i, "d/", 2);
    strcpy(path + 4000, "f");
    const Told list[] = {FILE_AT("legal"), FILE_AT(path)};
    export(list, 2, (Lies){0});
}

static void twice(void)
{
    static const Told list[] = {FILE_AT("same"), FILE_AT("same")};
    export(list, 2, (Lies){0});
}

static void clash(void)
{
    static const Told list[] = {FILE_AT("a"), FILE_AT("a/b")};
    export(list, 2, (Lies){0});
}

static void through_link(void)
{
    static const Told list[] = {LINK_AT("way", "/tmp"), FILE_AT("way/in")};
    export(list, 2, (Lies){0});
}

static const Told one[] = {FILE_AT("legal")};

static void lie_list(void)
{
    export(one, 1, (Lies){.list_hash = true});
}

static void lie_count(void)
{
    export(one, 1, (Lies){.count = true});
}

static void lie_file(void)
{
    export(one, 1, (Lies){.file_hash = true});
}

static void lie_size(void)
{
    export(one, 1, (Lies){.size = true});
}

static void lie_path(void)
{
    static const Told two[] = {FILE_AT("legal"), FILE_AT("other")};
    export(two, 2, (Lies){.other_file = true});
}

static void lie_fewer(void)
{
    export(one, 1, (Lies){.fewer = true});
}

/* All is well, and nothing is there any more to be asked. */
static void lie_end(void)
{
    send_exit();
    if (system("systemctl poweroff -ff") != 0)
        return;
    pause();
}

/* A status that no process has. */
static void lie_exit(void)
{
    static const uint8_t payload[8] = {0, 1, 0, 0, 0, 0, 0, 0};
    send_frame(TB_MSG_EXIT, 0, payload, sizeof payload);
    pause();
}

static void replay(void)
{
    export(one, 1, (Lies){.again = true});
}

static void interleaved(void)
{
    export(one, 1, (Lies){.exit = true});
}

static void two_hellos(void)
{
    uint8_t payload[512];
    const TbGuestHelloMessage hello = {
        .version = TB_PROTOCOL_VERSION, .kernel = "6.1.0", .filesystems = "ext4"};
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_encode_guest_hello(&writer, &hello);
    for (int i = 0; i < 2; i++)
        send_frame(TB_MSG_GUEST_HELLO, 0, payload, writer.length);
    pause();
}

/* What only a taskbox says, to a guest or over the control socket of a task. */
static void as_host(void)
{
    static const uint8_t size[4] = {24, 0, 80, 0};
    send_frame(TB_MSG_HELLO, 0, "0123456789abcdef0123", 20);
    send_frame(TB_MSG_ATTACH, 0, size, sizeof size);
    send_frame(TB_MSG_STOP, 0, "", 0);
    pause();
}

/* As much as will go, without waiting for room, then an honest end. */
static void flood(void)
{
    static uint8_t bytes[32768];
    memset(bytes, 'A', sizeof bytes);
    for (int i = 0; i < 4096; i++)
        send_frame(TB_MSG_OUTPUT, 1, bytes, sizeof bytes);
    export(one, 1, (Lies){0});
}

/* A list that does not end. */
static void endless(void)
{
    char path[32];
    TbSha256 hash;
    send_exit();
    await(TB_MSG_EXPORT_LIST);
    tb_sha256_init(&hash);
    for (unsigned i = 0;; i++) {
        snprintf(path, sizeof path, "f%u", i);
        tell(&(Told){.path = path, .kind = TB_ENTRY_FILE}, &hash);
    }
}

static void huge_length(void)
{
    static const uint8_t header[TB_FRAME_HEADER] = {TB_MSG_OUTPUT, 0, 1, 0, 0xff, 0xff, 0xff, 0xff};
    static uint8_t bytes[65536];
    write_all(header, sizeof header);
    memset(bytes, 'A', sizeof bytes);
    for (int i = 0; i < 10000; i++)
        write_all(bytes, sizeof bytes);
}

static void garbage(void)
{
    uint8_t bytes[4096];
    int random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 1000 && read(random, bytes, sizeof bytes) > 0; i++)
        write_all(bytes, sizeof bytes);
}

static void unknown_type(void)
{
    send_frame((TbMessageType)0xee, 7, "x", 1);
    pause();
}

static void exit_and_more(void)
{
    send_exit();
    for (int i = 0; i < 3; i++) {
        send_exit();
        send_frame(TB_MSG_OUTPUT, 1, "late\n", 5);
    }
    send_frame(TB_MSG_LIST_END, 0, "", 0);
    pause();
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"names", names},
    {"deep", deep},
    {"twice", twice},
    {"clash", clash},
    {"through-link", through_link},
    {"lie-list", lie_list},
    {"lie-count", lie_count},
    {"lie-file", lie_file},
    {"lie-size", lie_size},
    {"lie-path", lie_path},
    {"lie-fewer", lie_fewer},
    {"lie-end", lie_end},
    {"lie-exit", lie_exit},
    {"replay", replay},
    {"interleaved", interleaved},
    {"two-hellos", two_hellos},
    {"as-host", as_host},
    {"flood", flood},
    {"endless", endless},
    {"huge-length", huge_length},
    {"garbage", garbage},
    {"unknown-type", unknown_type},
    {"exit-and-more", exit_and_more},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(argv[1], ways[i].name) != 0)
            continue;
        if (system("systemctl stop taskbox-guest.service") != 0)
            return 1;
        tb_frame_decoder_reset(&decoder);
        open_port();
        ways[i].run();
        return 0;
    }
    fprintf(stderr, "usage: hostile HOW\n");
    return 2;
}
