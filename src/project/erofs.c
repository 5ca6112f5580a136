/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An EROFS file system of exactly what a scan lists.
 *
 * mkfs.erofs would walk the project a second time by itself, follow what was swapped for a link
 * meanwhile, and give up on the first file it cannot read. Written here the image is a list of
 * what may go in, is filled in place (the VM has the file open already), and every file is checked
 * against the scan before and after it is read. The format without compression is small:
 *
 *   block 0            superblock at byte 1024
 *   blocks 1..M        inodes of 64 bytes (with times), in the order of the scan; a short rest of a
 *                      file, a directory or a link's target lies right behind its inode and ends
 *                      in the same block ("inline")
 *   blocks M+1..       the other data, each from a block's start
 *
 * An inode's number is its byte position divided by 32. All positions are known from the scan
 * before anything is written, so both regions are written from front to back in one pass.
 * A directory's blocks hold 12-byte records, then the names; records are sorted by name over the
 * whole directory, "." and ".." among them.
 */
#include "project/private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/interrupt.h"

#define BLOCK        4096u
#define SLOT         32u
#define SUPER_OFFSET 1024
#define MAGIC        0xe0f5e1e2u
#define HAS_MTIME    2u /* feature_compat: times are modification times */
#define PLAIN        0u /* data layouts */
#define INLINE       2u
#define INLINE_MAX   2048u /* longer rests get a block: they would leave too many holes */
#define BUFFER       (1u << 20)

typedef struct __attribute__((packed)) {
    uint32_t magic, checksum, feature_compat;
    uint8_t block_bits, extension_slots;
    uint16_t root_nid;
    uint64_t inodes, build_time;
    uint32_t build_time_nsec, blocks, meta_block, xattr_block;
    uint8_t uuid[16], volume[16];
    uint32_t feature_incompat;
    uint16_t compression, extra_devices, device_slots;
    uint8_t reserved[38];
} Super;
G_STATIC_ASSERT(sizeof(Super) == 128);

typedef struct __attribute__((packed)) {
    uint16_t format, xattr_count, mode, reserved;
    uint64_t size;
    uint32_t block, ino, uid, gid;
    uint64_t mtime;
    uint32_t mtime_nsec, nlink;
    uint8_t reserved2[16];
} Inode;
G_STATIC_ASSERT(sizeof(Inode) == 64);

typedef struct __attribute__((packed)) {
    uint64_t nid;
    uint16_t name_offset;
    uint8_t type, reserved;
} Dirent;
G_STATIC_ASSERT(sizeof(Dirent) == 12);

typedef struct {
    uint64_t position; /* of the inode */
    uint64_t size;     /* of the content */
    uint64_t block;    /* first data block, from the start of the data region */
    uint32_t tail;     /* bytes behind the inode */
    guint parent, first_child, next_sibling; /* 0: none (0 is the root, nobody's child) */
    uint32_t subdirs;
} Node;

typedef struct {
    int fd;
    uint64_t offset; /* where the buffer's first byte goes */
    size_t used;
    uint8_t *buffer;
} Out;

typedef struct {
    const TbScan *scan;
    Node *nodes;
    guint count;
    uint64_t data_start; /* block */
    Out meta, data;
    uint8_t *taken;
} Writer;

static void writer_clear(Writer *writer)
{
    g_free(writer->nodes);
    g_free(writer->meta.buffer);
    g_free(writer->data.buffer);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Writer, writer_clear)

static bool all_zero(const uint8_t *data, size_t length)
{
    return length == 0 || (data[0] == 0 && memcmp(data, data + 1, length - 1) == 0);
}

/* The file is new and sparse: what is zero need not be written. */
static bool out_flush(Out *out, GError **error)
{
    size_t done = all_zero(out->buffer, out->used) ? out->used : 0;
    while (done < out->used) {
        ssize_t n =
            pwrite(out->fd, out->buffer + done, out->used - done, (off_t)(out->offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tb_error_set_errno(error, errno, "cannot write the project image");
        done += (size_t)n;
    }
    out->offset += out->used;
    out->used = 0;
    return true;
}

static bool out_put(Out *out, const void *data, size_t length, GError **error)
{
    const uint8_t *bytes = data;
    while (length > 0) {
        size_t part = MIN(length, BUFFER - out->used);
        if (bytes) {
            memcpy(out->buffer + out->used, bytes, part);
            bytes += part;
        } else {
            memset(out->buffer + out->used, 0, part);
        }
        out->used += part;
        length -= part;
        if (out->used == BUFFER && !out_flush(out, error))
            return false;
    }
    return true;
}

/* Zeros up to `position`. */
static bool out_seek(Out *out, uint64_t position, GError **error)
{
    uint64_t at = out->offset + out->used;
    return out_put(out, NULL, (size_t)(position - at), error);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Parents and children. The scan's order makes the last directory on the way down the parent. */
static bool link_nodes(Writer *writer, GError **error)
{
    g_autofree guint *last = g_new0(guint, writer->count);
    for (guint i = 1; i < writer->count; i++) {
        const TbItem *item = tb_scan_item(writer->scan, i);
        size_t length = strlen(item->path) - strlen(base_name(item->path));
        g_autofree char *above = g_strndup(item->path, length ? length - 1 : 0);
        guint parent = GPOINTER_TO_UINT(g_hash_table_lookup(writer->scan->by_path, above));
        if (parent-- == 0 || tb_scan_item(writer->scan, parent)->kind != TB_ENTRY_DIR)
            return tb_error_set(error, TB_ERROR_INTERNAL, "a file without a directory was scanned");
        Node *up = &writer->nodes[parent];
        writer->nodes[i].parent = parent;
        if (last[parent])
            writer->nodes[last[parent]].next_sibling = i;
        else
            up->first_child = i;
        last[parent] = i;
        up->subdirs += item->kind == TB_ENTRY_DIR;
    }
    return true;
}

/* The next name of a directory, dots included. `state` counts the dots that were given. */
typedef struct {
    guint child;
    unsigned dots;
} Names;

static const char *next_name(const Writer *writer, guint dir, Names *names, guint *target)
{
    static const char *const dots[] = {".", ".."};
    const char *child =
        names->child ? base_name(tb_scan_item(writer->scan, names->child)->path) : NULL;
    if (names->dots < 2 && (!child || strcmp(dots[names->dots], child) < 0)) {
        *target = names->dots ? writer->nodes[dir].parent : dir;
        return dots[names->dots++];
    }
    if (child) {
        *target = names->child;
        names->child = writer->nodes[names->child].next_sibling;
    }
    return child;
}

static uint64_t dir_size(const Writer *writer, guint dir)
{
    Names names = {writer->nodes[dir].first_child, 0};
    uint64_t blocks = 0;
    size_t used = 0;
    guint target;
    for (const char *name; (name = next_name(writer, dir, &names, &target));) {
        size_t need = sizeof(Dirent) + strlen(name);
        if (used + need > BLOCK) {
            blocks++;
            used = 0;
        }
        used += need;
    }
    return blocks * BLOCK + used;
}

static void place_nodes(Writer *writer)
{
    uint64_t at = BLOCK, block = 0;
    for (guint i = 0; i < writer->count; i++) {
        const TbItem *item = tb_scan_item(writer->scan, i);
        Node *node = &writer->nodes[i];
        node->size = item->kind == TB_ENTRY_DIR ? dir_size(writer, i) : item->size;
        uint32_t rest = (uint32_t)(node->size % BLOCK);
        bool is_inline = rest > 0 && (rest <= INLINE_MAX || (item->kind == TB_ENTRY_SYMLINK &&
                                                             rest <= BLOCK - sizeof(Inode)));
        node->tail = is_inline ? rest : 0;
        if (at % BLOCK + sizeof(Inode) + node->tail > BLOCK)
            at += BLOCK - at % BLOCK;
        node->position = at;
        at += (sizeof(Inode) + node->tail + SLOT - 1) / SLOT * SLOT;
        node->block = block;
        block += (node->size - node->tail + BLOCK - 1) / BLOCK;
    }
    writer->data_start = (at + BLOCK - 1) / BLOCK;
}

static bool put_inode(Writer *writer, guint index, const uint8_t *tail, GError **error)
{
    const Node *node = &writer->nodes[index];
    const TbItem *item = tb_scan_item(writer->scan, index);
    const TbProject *project = writer->scan->project;
    bool has_blocks = node->size > node->tail;
    Inode inode = {
        .format = GUINT16_TO_LE(1u | (node->tail ? INLINE : PLAIN) << 1),
        .mode = GUINT16_TO_LE((uint16_t)item->mode),
        .size = GUINT64_TO_LE(node->size),
        .block = GUINT32_TO_LE(has_blocks ? (uint32_t)(writer->data_start + node->block) : 0),
        .ino = GUINT32_TO_LE(index + 1),
        .uid = GUINT32_TO_LE(project->uid),
        .gid = GUINT32_TO_LE(project->gid),
        .mtime = GUINT64_TO_LE((uint64_t)item->mtime.tv_sec),
        .mtime_nsec = GUINT32_TO_LE((uint32_t)item->mtime.tv_nsec),
        .nlink = GUINT32_TO_LE(item->kind == TB_ENTRY_DIR ? 2 + node->subdirs : 1),
    };
    return out_seek(&writer->meta, node->position, error) &&
           out_put(&writer->meta, &inode, sizeof inode, error) &&
           out_put(&writer->meta, tail, node->tail, error);
}

/* Content that is in memory: blocks and rest. */
static bool put_bytes(Writer *writer, guint index, const uint8_t *bytes, GError **error)
{
    const Node *node = &writer->nodes[index];
    uint64_t whole = node->size - node->tail;
    return out_put(&writer->data, bytes, whole, error) &&
           out_seek(&writer->data,
                    (writer->data.offset + writer->data.used + BLOCK - 1) / BLOCK * BLOCK, error) &&
           put_inode(writer, index, bytes + whole, error);
}

static uint8_t dirent_type(TbEntryKind kind)
{
    return kind == TB_ENTRY_DIR ? 2 : kind == TB_ENTRY_SYMLINK ? 7 : 1;
}

/* One block of a directory, from the names in `block_names` on. Returns the bytes used. */
static size_t fill_block(const Writer *writer, guint dir, Names *names, uint8_t *block)
{
    Names ahead = *names;
    guint target;
    size_t used = 0;
    unsigned count = 0;
    for (const char *name; (name = next_name(writer, dir, &ahead, &target)); count++) {
        size_t need = sizeof(Dirent) + strlen(name);
        if (used + need > BLOCK)
            break;
        used += need;
    }
    size_t name_at = count * sizeof(Dirent);
    for (unsigned i = 0; i < count; i++) {
        const char *name = next_name(writer, dir, names, &target);
        Dirent entry = {
            .nid = GUINT64_TO_LE(writer->nodes[target].position / SLOT),
            .name_offset = GUINT16_TO_LE((uint16_t)name_at),
            .type = dirent_type(tb_scan_item(writer->scan, target)->kind),
        };
        memcpy(block + i * sizeof entry, &entry, sizeof entry);
        memcpy(block + name_at, name, strlen(name));
        name_at += strlen(name);
    }
    return used;
}

static bool put_dir(Writer *writer, guint index, GError **error)
{
    uint64_t size = writer->nodes[index].size;
    g_autofree uint8_t *bytes = g_malloc0((size + BLOCK - 1) / BLOCK * BLOCK);
    Names names = {writer->nodes[index].first_child, 0};
    for (uint64_t at = 0; at < size; at += BLOCK)
        fill_block(writer, index, &names, bytes + at);
    return put_bytes(writer, index, bytes, error);
}

/* Reads until `length` bytes are there or the file ends. */
static size_t read_full(int fd, uint8_t *buffer, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t n = read(fd, buffer + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

/* A file that cannot be read, or is not what the scan saw, becomes zeros and is not "taken". */
static bool put_file(Writer *writer, guint index, uint8_t *buffer, GError **error)
{
    const TbItem *item = tb_scan_item(writer->scan, index);
    const Node *node = &writer->nodes[index];
    struct stat st;
    uint8_t tail[BLOCK] = {0};
    tb_autofd fd = tb_item_open(writer->scan->project, item, &st, NULL);
    bool good = fd >= 0 && tb_item_same(item, &st);
    for (uint64_t left = node->size - node->tail; left > 0;) {
        size_t part = (size_t)MIN(left, BUFFER);
        size_t got = good ? read_full(fd, buffer, part) : 0;
        good = good && got == part;
        memset(buffer + got, 0, part - got);
        if (!out_put(&writer->data, buffer, part, error) || !tb_interrupt_check(error))
            return false;
        left -= part;
    }
    good = good && read_full(fd, tail, node->tail) == node->tail && fstat(fd, &st) == 0 &&
           tb_item_same(item, &st);
    writer->taken[index] = good;
    uint64_t end = writer->data.offset + writer->data.used;
    return out_seek(&writer->data, (end + BLOCK - 1) / BLOCK * BLOCK, error) &&
           put_inode(writer, index, tail, error);
}

static bool put_node(Writer *writer, guint index, uint8_t *buffer, GError **error)
{
    const TbItem *item = tb_scan_item(writer->scan, index);
    writer->taken[index] = true;
    if (item->kind == TB_ENTRY_DIR)
        return put_dir(writer, index, error);
    if (item->text)
        return put_bytes(writer, index, (const uint8_t *)item->text, error);
    return put_file(writer, index, buffer, error);
}

static bool put_super(Writer *writer, uint64_t blocks, GError **error)
{
    Super super = {
        .magic = GUINT32_TO_LE(MAGIC),
        .feature_compat = GUINT32_TO_LE(HAS_MTIME),
        .block_bits = 12,
        .root_nid = GUINT16_TO_LE((uint16_t)(writer->nodes[0].position / SLOT)),
        .inodes = GUINT64_TO_LE(writer->count),
        .build_time = GUINT64_TO_LE((uint64_t)writer->scan->started.tv_sec),
        .blocks = GUINT32_TO_LE((uint32_t)blocks),
        .volume = "taskbox",
    };
    for (size_t i = 0; i < sizeof super.uuid; i++)
        super.uuid[i] = (uint8_t)g_random_int();
    Out *out = &writer->meta;
    out->offset = SUPER_OFFSET;
    return out_put(out, &super, sizeof super, error) && out_flush(out, error);
}

bool tb_erofs_write(int fd, const TbScan *scan, uint64_t limit, uint8_t *taken, GError **error)
{
    g_auto(Writer) writer = {.scan = scan, .count = scan->items->len, .taken = taken};
    writer.nodes = g_new0(Node, writer.count);
    if (!link_nodes(&writer, error))
        return false;
    place_nodes(&writer);
    const Node *last = &writer.nodes[writer.count - 1];
    uint64_t blocks =
        writer.data_start + last->block + (last->size - last->tail + BLOCK - 1) / BLOCK;
    if (blocks > limit / BLOCK)
        return tb_error_set(error, TB_ERROR_LIMIT, "the project does not fit in a project image");
    writer.meta = (Out){.fd = fd, .offset = BLOCK, .buffer = g_malloc(BUFFER)};
    writer.data = (Out){.fd = fd, .offset = writer.data_start * BLOCK, .buffer = g_malloc(BUFFER)};
    g_autofree uint8_t *buffer = g_malloc(BUFFER);
    for (guint i = 0; i < writer.count; i++)
        if (!put_node(&writer, i, buffer, error))
            return false;
    return out_flush(&writer.meta, error) && out_flush(&writer.data, error) &&
           put_super(&writer, blocks, error);
}
