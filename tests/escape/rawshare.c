/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rawshare MARK: the box's root speaks FUSE to the server of a shared project itself. It takes the
 * device from the kernel, which would never say such things, and drives it from here (virtio 1.1,
 * sections 2.6 and 4.1; linux/fuse.h).
 *
 * Lines of the answer: "spoke" when the server answered the first request; "READ: WHAT" when MARK,
 * which lies outside of the project, came back; "WROTE: WHAT" when a change was acknowledged;
 * "done" at the end. That the server is gone by then is fine.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE       4096
#define FS_DEVICE  "0x105a" /* 0x1040 and VIRTIO_ID_FS */
#define QUEUE_SIZE 16
#define REQUESTS   1 /* the queue; 0 is for what is urgent */
#define NOWHERE    UINT64_C(0xffffffff000)

static const char *mark;
static volatile struct virtio_pci_common_cfg *common;
static volatile uint8_t *notify;
static uint32_t notify_step;

static _Noreturn void die(const char *what)
{
    printf("cannot: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    fflush(stdout);
}

/* ---- memory that the device can be told of */

static uint64_t physical(const void *page)
{
    static int map = -1;
    uint64_t entry = 0;
    if (map < 0)
        map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    off_t at = (off_t)((uintptr_t)page / PAGE * sizeof entry);
    if (pread(map, &entry, sizeof entry, at) != sizeof entry || (entry << 9) == 0)
        die("see where memory lies");
    return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

static void *new_page(void)
{
    void *page =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    if (page == MAP_FAILED)
        die("get memory");
    memset(page, 0, PAGE);
    return page;
}

/* ---- the device */

static void write_to(const char *folder, const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        die(path);
    close(fd);
}

static bool find_device(char *folder, size_t size, char *name, size_t name_size)
{
    static const char devices[] = "/sys/bus/pci/devices";
    DIR *dir = opendir(devices);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[512], text[16] = "";
        snprintf(path, sizeof path, "%s/%s/device", devices, entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t got = read(fd, text, sizeof text - 1);
        close(fd);
        if (got <= 0 || strncmp(text, FS_DEVICE, strlen(FS_DEVICE)) != 0)
            continue;
        snprintf(folder, size, "%s/%s", devices, entry->d_name);
        snprintf(name, name_size, "%s", entry->d_name);
        return true;
    }
    return false;
}

static volatile uint8_t *map_region(const char *folder, const struct virtio_pci_cap *cap)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/resource%u", folder, cap->bar);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        die(path);
    uint8_t *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        die(path);
    return map + cap->offset;
}

static void take_device(void)
{
    char folder[300], name[256], path[512];
    uint8_t config[256];
    if (!find_device(folder, sizeof folder, name, sizeof name)) {
        errno = ENODEV;
        die("find the share's device");
    }
    write_to(folder, "driver/unbind", name);
    write_to(folder, "enable", "1");
    snprintf(path, sizeof path, "%s/config", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || pread(fd, config, sizeof config, 0) != sizeof config)
        die(path);
    uint8_t command = config[PCI_COMMAND] | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    if (pwrite(fd, &command, 1, PCI_COMMAND) != 1)
        die(path);
    close(fd);
    for (uint8_t at = config[PCI_CAPABILITY_LIST]; at != 0 && at < 240; at = config[at + 1]) {
        struct virtio_pci_cap cap;
        memcpy(&cap, config + at, sizeof cap);
        if (cap.cap_vndr != PCI_CAP_ID_VNDR)
            continue;
        if (cap.cfg_type == VIRTIO_PCI_CAP_COMMON_CFG)
            common = (volatile void *)map_region(folder, &cap);
        if (cap.cfg_type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
            notify = map_region(folder, &cap);
            memcpy(&notify_step, config + at + sizeof cap, sizeof notify_step);
        }
    }
    if (!common || !notify)
        die("find the device's registers");
}

/* ---- its queues */

typedef struct {
    struct vring_desc *desc;
    struct vring_avail *avail;
    volatile struct vring_used *used;
    uint16_t seen;
    volatile uint16_t *bell;
} Queue;
static Queue queues[2];

static void split(uint64_t address, volatile uint32_t *low, volatile uint32_t *high)
{
    *low = (uint32_t)address;
    *high = (uint32_t)(address >> 32);
}

static void set_queue(uint16_t number)
{
    Queue *queue = &queues[number];
    queue->desc = new_page();
    queue->avail = new_page();
    queue->used = new_page();
    queue->seen = 0;
    common->queue_select = number;
    common->queue_size = QUEUE_SIZE;
    split(physical(queue->desc), &common->queue_desc_lo, &common->queue_desc_hi);
    split(physical(queue->avail), &common->queue_avail_lo, &common->queue_avail_hi);
    split(physical((const void *)queue->used), &common->queue_used_lo, &common->queue_used_hi);
    queue->bell = (volatile void *)(notify + common->queue_notify_off * notify_step);
    common->queue_enable = 1;
}

static void start_device(void)
{
    common->device_status = 0;
    while (common->device_status != 0)
        usleep(1000);
    common->device_status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
    common->guest_feature_select = 0;
    common->guest_feature = 0;
    common->guest_feature_select = 1;
    common->guest_feature = 1; /* version 1 */
    common->device_status |= VIRTIO_CONFIG_S_FEATURES_OK;
    set_queue(0);
    set_queue(REQUESTS);
    common->device_status |= VIRTIO_CONFIG_S_DRIVER_OK;
}

/* Hands descriptor 0 over, and waits for it to come back. */
static bool ring(int milliseconds)
{
    Queue *queue = &queues[REQUESTS];
    queue->avail->ring[queue->avail->idx % QUEUE_SIZE] = 0;
    __sync_synchronize();
    queue->avail->idx++;
    __sync_synchronize();
    *queue->bell = REQUESTS;
    for (int i = 0; i < milliseconds; i++) {
        if (queue->used->idx != queue->seen) {
            queue->seen = queue->used->idx;
            return true;
        }
        usleep(1000);
    }
    return false;
}

/* ---- requests */

static uint8_t *request, *answer;
#define NO_ANSWER 9999

static bool has_mark(void)
{
    return memmem(answer, PAGE, mark, strlen(mark)) != NULL;
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
    memset(answer, 0, PAGE);
    struct vring_desc *desc = queues[REQUESTS].desc;
    desc[0] = (struct vring_desc){physical(request), (uint32_t)(sizeof head + size),
                                  VRING_DESC_F_NEXT, 1};
    desc[1] = (struct vring_desc){physical(answer), PAGE, VRING_DESC_F_WRITE, 0};
    if (!ring(milliseconds))
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
    static uint8_t payload[PAGE - 256];
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
        say("READ: %s, by readlink\n", what);
    uint64_t handle = open_node(node, O_RDONLY | O_NONBLOCK, &error);
    const struct fuse_read_in in = {.fh = handle, .size = 1024};
    if (error == 0 && ask(FUSE_READ, node, &in, sizeof in) == 0 && has_mark())
        say("READ: %s\n", what);
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
            say("READ: 'outside' is there below '%.40s'\n", names[i]);
    }
    uint64_t dir = look_up(FUSE_ROOT_ID, "dir");
    for (uint64_t up = look_up(dir, ".."), i = 0; up != 0 && i < 4; i++, up = look_up(up, ".."))
        if (look_up(up, "outside") != 0)
            say("READ: 'outside' is there above 'dir'\n");
    static const char *const links[] = {"out", "absolute", "ignored.pipe"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        uint64_t node = look_up(FUSE_ROOT_ID, links[i]);
        try_read(node, links[i]);
        if (look_up(node, "outside") != 0)
            say("READ: 'outside' is there below '%s'\n", links[i]);
    }
    for (uint64_t node = 0; node < 40; node++)
        try_read(node, "a number");
    static const uint64_t far[] = {UINT64_C(1) << 31, UINT64_C(1) << 40, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        try_read(far[i], "a wild number");
}

static void expect_refusal(int error, const char *what)
{
    if (error == 0)
        say("WROTE: %s\n", what);
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
            say("READ: by noise\n");
    }
}

/* Descriptors that lead nowhere, in circles, or are as long as can be said. */
static void lie_about_memory(void)
{
    const uint16_t both = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE;
    const struct vring_desc lies[][2] = {
        {{physical(request), UINT32_MAX, VRING_DESC_F_NEXT, 1}, {physical(answer), PAGE, 2, 0}},
        {{physical(request), 64, VRING_DESC_F_NEXT, 1}, {physical(answer), UINT32_MAX, 2, 0}},
        {{physical(request), 64, VRING_DESC_F_NEXT, 0}, {0}},
        {{physical(request), 0, VRING_DESC_F_NEXT, 1}, {physical(answer), 0, 2, 0}},
        {{physical(answer), PAGE, both, 1}, {physical(request), 64, 0, 0}},
        {{physical(request), 64, VRING_DESC_F_NEXT, 60000}, {0}},
        {{NOWHERE, 64, VRING_DESC_F_NEXT, 1}, {NOWHERE, PAGE, VRING_DESC_F_WRITE, 0}},
        {{NOWHERE, UINT32_MAX, VRING_DESC_F_INDIRECT, 0}, {0}},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(queues[REQUESTS].desc, lies[i], sizeof lies[i]);
        ring(200);
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
    take_device();
    request = new_page();
    answer = new_page();
    start_device();
    if (ask_lying(FUSE_INIT, 0, &init, 16, 0, 10000) != 0)
        die("be understood by the server");
    say("spoke\n");
    if (look_up(FUSE_ROOT_ID, "text") == 0)
        die("find the project's file");
    say("found\n");
    lead_out();
    change();
    say("asked\n");
    sleep(5); /* until that is out: what follows may end the server, and the box with it */
    talk_nonsense();
    lie_about_memory();
    say("done\n");
    return 0;
}
