/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE_SIZE 16
#define QUEUES     2
#define NOWHERE    UINT64_C(0xffffffff000)

static volatile struct virtio_pci_common_cfg *common;
static volatile uint8_t *notify;
static uint32_t notify_step;

_Noreturn void device_die(const char *what)
{
    printf("cannot: %s: %s\n", what, strerror(errno));
    exit(2);
}

void device_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    fflush(stdout);
}

/* ---- memory that the device can be told of */

uint64_t device_physical(const void *page)
{
    static int map = -1;
    uint64_t entry = 0;
    if (map < 0)
        map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    off_t at = (off_t)((uintptr_t)page / DEVICE_PAGE * sizeof entry);
    if (pread(map, &entry, sizeof entry, at) != sizeof entry || (entry << 9) == 0)
        device_die("see where memory lies");
    return (entry & ((UINT64_C(1) << 55) - 1)) * DEVICE_PAGE;
}

void *device_page(void)
{
    void *page = mmap(NULL, DEVICE_PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    if (page == MAP_FAILED)
        device_die("get memory");
    memset(page, 0, DEVICE_PAGE);
    return page;
}

/* ---- the device */

static void write_to(const char *folder, const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        device_die(path);
    close(fd);
}

static bool find_device(const char *id, char *folder, size_t size, char *name, size_t name_size)
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
        if (got <= 0 || strncmp(text, id, strlen(id)) != 0)
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
        device_die(path);
    uint8_t *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        device_die(path);
    return map + cap->offset;
}

static void find_registers(const char *folder, const uint8_t config[256])
{
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
        device_die("find the device's registers");
}

void device_take(const char *id)
{
    char folder[300], name[256], path[512];
    uint8_t config[256];
    if (!find_device(id, folder, sizeof folder, name, sizeof name)) {
        errno = ENODEV;
        device_die("find the share's device");
    }
    snprintf(path, sizeof path, "%s/driver", folder);
    if (access(path, F_OK) == 0)
        write_to(folder, "driver/unbind", name);
    write_to(folder, "enable", "1");
    snprintf(path, sizeof path, "%s/config", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || pread(fd, config, sizeof config, 0) != sizeof config)
        device_die(path);
    uint8_t command = config[PCI_COMMAND] | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    if (pwrite(fd, &command, 1, PCI_COMMAND) != 1)
        device_die(path);
    close(fd);
    find_registers(folder, config);
}

/* ---- its queues */

typedef struct {
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    uint16_t seen;
    volatile uint16_t *bell;
} Queue;
static Queue queues[QUEUES];

static void split(uint64_t address, volatile uint32_t *low, volatile uint32_t *high)
{
    *low = (uint32_t)address;
    *high = (uint32_t)(address >> 32);
}

static void *clean_page(void *page)
{
    return page ? memset(page, 0, DEVICE_PAGE) : device_page();
}

static void set_queue(uint16_t number)
{
    Queue *queue = &queues[number];
    queue->desc = clean_page(queue->desc);
    queue->avail = clean_page(queue->avail);
    queue->used = clean_page(queue->used);
    queue->seen = 0;
    common->queue_select = number;
    common->queue_size = QUEUE_SIZE;
    split(device_physical(queue->desc), &common->queue_desc_lo, &common->queue_desc_hi);
    split(device_physical(queue->avail), &common->queue_avail_lo, &common->queue_avail_hi);
    split(device_physical(queue->used), &common->queue_used_lo, &common->queue_used_hi);
    queue->bell = (volatile void *)(notify + common->queue_notify_off * notify_step);
    common->queue_enable = 1;
}

void device_start(unsigned count)
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
    for (uint16_t i = 0; i < count && i < QUEUES; i++)
        set_queue(i);
    common->device_status |= VIRTIO_CONFIG_S_DRIVER_OK;
}

struct vring_desc *device_descriptors(unsigned queue)
{
    return queues[queue].desc;
}

bool device_ring(unsigned number, int milliseconds)
{
    Queue *queue = &queues[number];
    volatile struct vring_used *used = queue->used;
    queue->avail->ring[queue->avail->idx % QUEUE_SIZE] = 0;
    __sync_synchronize();
    queue->avail->idx++;
    __sync_synchronize();
    *queue->bell = (uint16_t)number;
    for (int i = 0; i < milliseconds; i++) {
        if (used->idx != queue->seen) {
            queue->seen = used->idx;
            return true;
        }
        usleep(1000);
    }
    return false;
}

bool device_ask(unsigned queue, const void *request, size_t size, void *answer, int milliseconds)
{
    struct vring_desc *desc = queues[queue].desc;
    desc[0] = (struct vring_desc){device_physical(request), (uint32_t)size, VRING_DESC_F_NEXT, 1};
    desc[1] = (struct vring_desc){device_physical(answer), DEVICE_PAGE, VRING_DESC_F_WRITE, 0};
    return device_ring(queue, milliseconds);
}

void device_lie(unsigned queue, const void *request, void *answer, void (*after)(void))
{
    const uint16_t next = VRING_DESC_F_NEXT, in = VRING_DESC_F_WRITE, both = next | in;
    const uint64_t from = device_physical(request), to = device_physical(answer);
    const struct vring_desc lies[][2] = {
        {{from, UINT32_MAX, next, 1}, {to, DEVICE_PAGE, in, 0}},
        {{from, 64, next, 1}, {to, UINT32_MAX, in, 0}},
        {{from, 64, next, 0}, {0}},
        {{from, 0, next, 1}, {to, 0, in, 0}},
        {{to, DEVICE_PAGE, both, 1}, {from, 64, 0, 0}},
        {{from, 64, next, 60000}, {0}},
        {{NOWHERE, 64, next, 1}, {NOWHERE, DEVICE_PAGE, in, 0}},
        {{NOWHERE, UINT32_MAX, VRING_DESC_F_INDIRECT, 0}, {0}},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(queues[queue].desc, lies[i], sizeof lies[i]);
        device_ring(queue, 200);
        if (after)
            after();
    }
}
