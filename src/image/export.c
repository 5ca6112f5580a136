/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/archive.h"
#include "image/manifest.h"
#include "image/qcow2.h"
#include "image/share.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/paths.h"

#define END_SIZE        (2 * TB_ARCHIVE_BLOCK)
#define QEMU_IMG_MEMORY ((uint64_t)4 << 30)

const char *const tb_share_files[] = {TB_IMAGE_MANIFEST, TB_IMAGE_SUMS, TB_IMAGE_KERNEL,
                                      TB_IMAGE_INITRD,   TB_IMAGE_DISK, NULL};

enum { MANIFEST, SUMS, KERNEL, INITRD, DISK, FILES };

typedef struct {
    int fds[FILES];
    uint64_t sizes[FILES];
    /* What is being written: a file's header, its bytes, its padding; at last the end. */
    unsigned file;
    uint64_t at; /* of header, bytes and padding taken together */
    uint64_t end_left;
} Export;

static void export_clear(Export *out)
{
    for (unsigned i = 0; i < FILES; i++)
        tb_clear_fd(&out->fds[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Export, export_clear)

/* A file in the cache that has no name any more; -1 with error. */
static int nameless_file(GError **error)
{
    g_autofree char *cache = tb_path_cache();
    tb_autofd dir = tb_open_private_dir(cache, error);
    if (dir < 0)
        return -1;
    g_autofree char *path = g_build_filename(cache, "export-XXXXXX", NULL);
    tb_autofd fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        tb_error_set_errno(error, errno, "cannot create a file in '%s'", cache);
        return -1;
    }
    unlink(path);
    return tb_steal_fd(&fd);
}

/* All that a layer lies on becomes part of its disk. */
static int flatten(const TbImage *image, GError **error)
{
    tb_autofd fd = nameless_file(error);
    if (fd < 0)
        return -1;
    g_autofree char *from = tb_disk_description(image->disk, image->bases);
    g_autoptr(TbCommand) command = tb_command_new("qemu-img");
    tb_status("exporting image '%s': joining its layers", image->name);
    tb_command_add(command, "convert", "-O", "qcow2", from, NULL);
    tb_command_add_format(command, "/proc/%d/fd/%d", (int)getpid(), fd);
    tb_command_set_rlimit(command, RLIMIT_AS, QEMU_IMG_MEMORY); /* one of them may be an import */
    if (!tb_command_run(command, NULL, error))
        return -1;
    return tb_steal_fd(&fd);
}

static int text_file(const char *text, GError **error)
{
    tb_autofd fd = nameless_file(error);
    return fd >= 0 && tb_write_all(fd, text, strlen(text), "a temporary file", error)
               ? tb_steal_fd(&fd)
               : -1;
}

static void replace_text(JsonObject *object, const char *key, const char *value)
{
    json_object_set_string_member(object, key, value);
}

/* The image's own, but for what it lay on. g_free. */
static char *manifest_alone(const TbImage *image, const char *disk_sum, GError **error)
{
    g_autofree char *text = tb_image_manifest(image->digest, error);
    g_autoptr(JsonParser) parser = json_parser_new();
    if (!text || !json_parser_load_from_data(parser, text, -1, error))
        return NULL;
    JsonNode *root = json_parser_get_root(parser);
    JsonObject *object = json_node_get_object(root);
    json_object_remove_member(object, "from");
    replace_text(object, "name", image->name);
    replace_text(json_object_get_object_member(object, "sha256"), TB_IMAGE_DISK, disk_sum);
    g_autofree char *out = json_to_string(root, TRUE);
    return g_strconcat(out, "\n", NULL);
}

static bool open_file(Export *out, unsigned which, const char *path, GError **error)
{
    out->fds[which] = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return out->fds[which] >= 0 || tb_error_set_errno(error, errno, "cannot open '%s'", path);
}

static bool measure(Export *out, GError **error)
{
    for (unsigned i = 0; i < FILES; i++) {
        struct stat st;
        if (fstat(out->fds[i], &st) < 0 || lseek(out->fds[i], 0, SEEK_SET) < 0)
            return tb_error_set_errno(error, errno, "cannot read '%s'", tb_share_files[i]);
        out->sizes[i] = (uint64_t)st.st_size;
    }
    out->end_left = END_SIZE;
    return true;
}

static bool collect(Export *out, const TbImage *image, GError **error)
{
    if (image->base)
        out->fds[DISK] = flatten(image, error);
    else if (!open_file(out, DISK, image->disk, error))
        return false;
    if (out->fds[DISK] < 0 || !open_file(out, KERNEL, image->kernel, error) ||
        !open_file(out, INITRD, image->initrd, error))
        return false;
    g_autofree char *disk = tb_sha256_fd(out->fds[DISK], TB_IMAGE_DISK, error);
    g_autofree char *kernel = disk ? tb_sha256_fd(out->fds[KERNEL], TB_IMAGE_KERNEL, error) : NULL;
    g_autofree char *initrd =
        kernel ? tb_sha256_fd(out->fds[INITRD], TB_IMAGE_INITRD, error) : NULL;
    g_autofree char *manifest = initrd ? manifest_alone(image, disk, error) : NULL;
    if (!manifest)
        return false;
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, manifest, -1);
    const char *const sums[] = {disk, kernel, initrd};
    g_autofree char *list = tb_image_sums_format(sums, sum);
    out->fds[MANIFEST] = text_file(manifest, error);
    out->fds[SUMS] = out->fds[MANIFEST] < 0 ? -1 : text_file(list, error);
    return out->fds[SUMS] >= 0 && measure(out, error);
}

/* ---- the archive, as zstd asks for it */

static size_t give_block(uint8_t *to, size_t room, const uint8_t *block, uint64_t at)
{
    size_t length = MIN(room, (size_t)(TB_ARCHIVE_BLOCK - at));
    memcpy(to, block + at, length);
    return length;
}

/* Something of the present file; 0 with error set when its bytes cannot be had. */
static size_t give_file(Export *out, uint8_t *to, size_t room, GError **error)
{
    uint64_t size = out->sizes[out->file], bytes_end = TB_ARCHIVE_BLOCK + size;
    if (out->at < TB_ARCHIVE_BLOCK) {
        uint8_t block[TB_ARCHIVE_BLOCK];
        tb_archive_header(block, tb_share_files[out->file], size);
        return give_block(to, room, block, out->at);
    }
    if (out->at >= bytes_end) {
        size_t padding = (size_t)(-size % TB_ARCHIVE_BLOCK);
        size_t length = MIN(room, (size_t)(bytes_end + padding - out->at));
        memset(to, 0, length);
        return length;
    }
    off_t from = (off_t)(out->at - TB_ARCHIVE_BLOCK);
    ssize_t got =
        pread(out->fds[out->file], to, (size_t)MIN((uint64_t)room, bytes_end - out->at), from);
    if (got > 0)
        return (size_t)got;
    tb_error_set_errno(error, got < 0 ? errno : EIO, "cannot read '%s'", tb_share_files[out->file]);
    return 0;
}

static bool give(uint8_t *buffer, size_t size, size_t *length, void *user_data, GError **error)
{
    Export *out = user_data;
    if (out->file == FILES) {
        *length = (size_t)MIN((uint64_t)size, out->end_left);
        memset(buffer, 0, *length);
        out->end_left -= *length;
        return true;
    }
    *length = give_file(out, buffer, size, error);
    if (*length == 0)
        return false;
    out->at += *length;
    uint64_t file_size = out->sizes[out->file];
    if (out->at == TB_ARCHIVE_BLOCK + file_size + (-file_size % TB_ARCHIVE_BLOCK)) {
        out->at = 0;
        out->file++;
    }
    return true;
}

static bool compress(Export *out, int to, GError **error)
{
    g_autoptr(TbCommand) command = tb_command_new("zstd");
    tb_command_add(command, "-q", "-T0", "-c", NULL);
    tb_command_set_stdin_fn(command, give, out);
    tb_command_set_stdout_fd(command, to);
    return tb_command_run(command, NULL, error) &&
           (fsync(to) == 0 || tb_error_set_errno(error, errno, "cannot write the export"));
}

/* There in whole or not at all. */
static bool write_out(Export *out, const char *path, GError **error)
{
    g_autofree char *part = g_strdup_printf("%s.part-%d", path, (int)getpid());
    tb_autofd fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return tb_error_set(error, TB_ERROR_EXISTS, "'%s' is there already", path);
    tb_autofd to = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (to < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s'", part);
    bool ok = compress(out, to, error);
    if (ok && renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
        ok = tb_error_set_errno(error, errno, "cannot rename '%s' to '%s'", part, path);
    if (!ok)
        unlink(part);
    return ok;
}

bool tb_image_export(const char *name, const char *path, GError **error)
{
    g_auto(Export) out = {.fds = {-1, -1, -1, -1, -1}};
    g_autoptr(TbImage) image = tb_image_open(name, error);
    if (!image)
        return false;
    tb_status("exporting image '%s'", image->name);
    bool ok = collect(&out, image, error) && write_out(&out, path, error);
    tb_status_done();
    return ok;
}
