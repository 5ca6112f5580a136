/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Import. The file is hostile: it may name other files (the disk as its backing), claim to be an
 * image that a recipe makes here, be a bomb. So the archive has exactly the files it must, every
 * value of the manifest is checked and written anew, sizes are believed only as limits, and the
 * disk's bytes are opened by nothing on this side; QEMU does that, in the jail, and is told that
 * nothing lies behind them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/yaml.h"
#include "image/archive.h"
#include "image/manifest.h"
#include "image/qcow2.h"
#include "image/share.h"
#include "image/staging.h"
#include "image/store-private.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/units.h"

#define MIB            ((uint64_t)1 << 20)
#define MANIFEST_LIMIT (16 * MIB)
#define SUMS_LIMIT     (64 * (uint64_t)1024)
#define KERNEL_LIMIT   (256 * MIB)
#define INITRD_LIMIT   (1024 * MIB)
#define RESERVE        (1024 * MIB) /* of the disk that the store is on */
#define ZSTD_MEMORY    (512 * MIB)
#define TEXT_LIMIT     4096
#define WARM_LIMIT     (32 * 1024) /* of one command */
#define LIST_LIMIT     256

enum { MANIFEST, SUMS, KERNEL, INITRD, DISK };

typedef struct {
    const char *path, *name; /* the file; what it is to be called, NULL: as it says */
    GString *texts[2];       /* manifest and sums */
    TbImage *image;          /* as it is to be; after the sums */
    GPtrArray *packages;
    char *guest, *origin; /* digests: of the guest program, of what was exported */
    char *sums[4];        /* in the order of tb_image_files */
    TbStaging staging;
    int lock, locks;
    char *lock_name;
    unsigned file; /* of the archive, that is being read */
    int to;        /* the file that is being written; -1 with a text */
    uint64_t written;
    GChecksum *sum;
    bool there; /* it is in the store already: reading was ended */
} Import;

static void import_clear(Import *in)
{
    g_string_free(in->texts[MANIFEST], TRUE);
    g_string_free(in->texts[SUMS], TRUE);
    tb_image_free(in->image);
    g_clear_pointer(&in->packages, g_ptr_array_unref);
    g_free(in->guest);
    g_free(in->origin);
    for (unsigned i = 0; i < 4; i++)
        g_free(in->sums[i]);
    tb_staging_clear(&in->staging);
    tb_clear_fd(&in->to);
    g_checksum_free(in->sum);
    if (in->lock >= 0)
        unlinkat(in->locks, in->lock_name, 0); /* while we hold it */
    tb_clear_fd(&in->lock);
    tb_clear_fd(&in->locks);
    g_free(in->lock_name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Import, import_clear)

static bool refuse(const Import *in, GError **error, const char *what)
{
    return tb_error_set(error, TB_ERROR_IMAGE, "cannot import '%s': %s", in->path, what);
}

/* ---- the manifest */

static bool env_good(char *const *env)
{
    size_t length = 0;
    unsigned count = 0;
    for (; *env; env++, count++) {
        const char *equals = strchr(*env, '=');
        g_autofree char *name = g_strndup(*env, equals ? (size_t)(equals - *env) : 0);
        if (!*name || !tb_env_name_valid(name))
            return false;
        length += strlen(*env);
    }
    return length <= TB_ENV_LIMIT && count <= LIST_LIMIT;
}

static bool warm_good(char *const *warm)
{
    for (char *const *command = warm; *command; command++)
        if (!**command || strlen(*command) > WARM_LIMIT)
            return false;
    return g_strv_length((char **)warm) <= LIST_LIMIT;
}

static bool check_values(Import *in, GError **error)
{
    const TbImage *image = in->image;
    if (!tb_is_plain(image->cmdline, TEXT_LIMIT) || !tb_is_plain(image->filesystems, 256) ||
        !tb_is_plain(image->kernel_release, 64) || !tb_is_plain(image->arch, 16) ||
        (image->taskbox && !tb_is_plain(image->taskbox, 64)) || !env_good(image->env) ||
        !warm_good(image->warm) ||
        !tb_recipe_shape_good(image->cpus, image->memory, image->disk_size))
        return refuse(in, error, "a value in its manifest makes no sense");
    if (image->base_digest)
        return refuse(in, error, "it is a layer without what it lies on");
    if (!g_str_equal(image->arch, tb_host_arch()))
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot import '%s': it is for '%s', and this host is '%s'", in->path,
                            image->arch, tb_host_arch());
    for (guint i = in->packages->len; i-- > 0;)
        if (!tb_is_plain(in->packages->pdata[i], 512))
            g_ptr_array_remove_index(in->packages, i);
    if (in->guest && !tb_digest_valid(in->guest))
        g_clear_pointer(&in->guest, g_free);
    return true;
}

/* A file's own word must not make it what a recipe here makes, or replace an image. */
static bool choose_name(Import *in, GError **error)
{
    TbImage *image = in->image;
    g_autofree char *recipe = in->name ? NULL : tb_recipe_find(image->name, NULL);
    if (in->name && !tb_image_name_valid(in->name))
        return tb_error_set(error, TB_ERROR_USAGE, "'%s' is no name of an image", in->name);
    if (recipe)
        return tb_error_set(error, TB_ERROR_EXISTS,
                            "cannot import '%s': it calls its image '%s', as a recipe here is "
                            "called (say --name %s to have it so, or another name)",
                            in->path, image->name, image->name);
    if (in->name) {
        g_free(image->name);
        image->name = g_strdup(in->name);
    }
    g_autofree char *other = tb_store_digest_of(image->name);
    return !other || g_str_equal(other, image->digest) ||
           tb_error_set(error, TB_ERROR_EXISTS,
                        "cannot import '%s': there is another image '%s' (give --name, or remove "
                        "it with 'taskbox image rm %s')",
                        in->path, image->name, image->name);
}

/* Of all that is in it: the same file is the same image, and never one that was built. */
static void set_digest(Import *in)
{
    g_autoptr(GString) text = g_string_new("taskbox import\n");
    for (unsigned i = 0; i < 4; i++)
        g_string_append_printf(text, "%s\n", in->sums[i]);
    in->origin = in->image->digest;
    in->image->digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, -1);
    in->image->imported = true;
    /* Which hosts its package managers go to is no word of a stranger's. */
    g_ptr_array_set_size(in->image->hosts, 0);
}

static bool lock_and_stage(Import *in, GError **error)
{
    const char *digest = in->image->digest;
    in->locks = tb_store_dir("locks", NULL, error);
    if (in->locks < 0)
        return false;
    in->lock_name = g_strconcat("build-", digest, NULL);
    in->lock = tb_store_lock_build(in->locks, in->lock_name, in->image->name, error);
    if (in->lock < 0)
        return false;
    in->there = tb_store_has(digest);
    if (in->there)
        return tb_error_set(error, TB_ERROR_EXISTS, "no more of it need be read");
    return tb_staging_make(&in->staging, digest, RESERVE, "import an image", error);
}

static bool take_texts(Import *in, GError **error)
{
    const GString *manifest = in->texts[MANIFEST];
    g_autofree char *sum =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, manifest->str, (gssize)manifest->len);
    if (strlen(in->texts[SUMS]->str) != in->texts[SUMS]->len ||
        !tb_image_sums_parse(in->texts[SUMS]->str, in->sums))
        return refuse(in, error, "its digests cannot be read");
    for (unsigned i = 0; i < 4; i++)
        if (!tb_digest_valid(in->sums[i]))
            return refuse(in, error, "its digests cannot be read");
    if (!g_str_equal(sum, in->sums[3]))
        return refuse(in, error, "its manifest is not what its digests say");
    in->image =
        tb_image_manifest_parse(manifest->str, manifest->len, "", &in->packages, &in->guest, error);
    if (!in->image) {
        g_prefix_error(error, "cannot import '%s': ", in->path);
        return false;
    }
    if (!check_values(in, error))
        return false;
    set_digest(in);
    return choose_name(in, error) && lock_and_stage(in, error);
}

/* ---- the files */

static uint64_t limit_of(const Import *in, unsigned index)
{
    static const uint64_t limits[] = {MANIFEST_LIMIT, SUMS_LIMIT, KERNEL_LIMIT, INITRD_LIMIT};
    if (index != DISK)
        return limits[index];
    return in->image->disk_size + in->image->disk_size / 8 + 64 * MIB;
}

static bool begin(unsigned index, uint64_t size, void *data, GError **error)
{
    Import *in = data;
    if (size > limit_of(in, index))
        return refuse(in, error, "a file in it is larger than it can be");
    g_checksum_reset(in->sum);
    in->written = 0;
    in->file = index;
    if (index <= SUMS)
        return true;
    uint64_t room = tb_free_space(in->staging.path);
    if (room > 0 && (room < RESERVE || room - RESERVE < size)) {
        g_autofree char *need = tb_size_format(size + RESERVE);
        g_autofree char *have = tb_size_format(room);
        return tb_error_set(error, TB_ERROR_NO_SPACE,
                            "cannot import '%s': %s free in the store, and it may take %s",
                            in->path, have, need);
    }
    g_autofree char *to = g_build_filename(in->staging.path, tb_share_files[index], NULL);
    in->to = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (in->to < 0 || ftruncate(in->to, (off_t)size) < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s'", to);
    return true;
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static bool bytes(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Import *in = user_data;
    g_checksum_update(in->sum, data, (gssize)length);
    if (in->file <= SUMS) {
        g_string_append_len(in->texts[in->file], (const char *)data, (gssize)length);
        return true;
    }
    for (size_t at = 0; at < length && !all_zero(data, length);) {
        ssize_t done = pwrite(in->to, data + at, length - at, (off_t)(in->written + at));
        if (done < 0 && errno != EINTR)
            return tb_error_set_errno(error, errno, "cannot write the imported image");
        at += done > 0 ? (size_t)done : 0;
    }
    in->written += length;
    return true;
}

static bool end(unsigned index, void *data, GError **error)
{
    static const unsigned sums[] = {[KERNEL] = 1, [INITRD] = 2, [DISK] = 0};
    Import *in = data;
    if (index == MANIFEST)
        return true;
    if (index == SUMS)
        return take_texts(in, error);
    tb_clear_fd(&in->to);
    if (!g_str_equal(g_checksum_get_string(in->sum), in->sums[sums[index]]))
        return refuse(in, error, "a file in it is not what its digests say");
    if (index != DISK)
        return true;
    g_autofree char *disk = g_build_filename(in->staging.path, TB_IMAGE_DISK, NULL);
    return tb_qcow2_check_import(disk, in->image->disk_size, error);
}

static bool take(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    return tb_archive_feed(user_data, data, length, error);
}

static bool read_archive(TbArchive *archive, int fd, bool compressed, GError **error)
{
    g_autoptr(TbCommand) command = tb_command_new(compressed ? "zstd" : "cat");
    if (compressed)
        tb_command_add(command, "-d", "-q", "-c", "--memory=128MB", NULL);
    tb_command_env_clear(command);
    tb_command_set_rlimit(command, RLIMIT_AS, ZSTD_MEMORY);
    tb_command_set_rlimit(command, RLIMIT_FSIZE, 0);
    tb_command_set_stdin_fd(command, fd);
    tb_command_set_stdout_fn(command, take, archive);
    return tb_command_run(command, NULL, error) && tb_archive_finish(archive, error);
}

static bool publish(Import *in, GError **error)
{
    const char *const sums[] = {in->sums[0], in->sums[1], in->sums[2]};
    for (unsigned i = 0; i < G_N_ELEMENTS(sums); i++) {
        g_autofree char *sum = tb_staging_finish_file(&in->staging, tb_image_files[i], error);
        if (!sum)
            return false;
        if (!g_str_equal(sum, in->sums[i]))
            return refuse(in, error, "it was changed while it was imported");
    }
    const TbManifestSources sources = {
        .packages = in->packages, .guest_digest = in->guest, .import_of = in->origin};
    g_autofree char *text = tb_image_manifest_write(in->image, &sources, sums);
    return tb_staging_describe(&in->staging, text, sums, error) &&
           tb_staging_publish(&in->staging, in->image->digest, in->image->name, error);
}

TbImage *tb_image_import_fd(int fd, const char *path, const char *name, bool compressed,
                            bool *there, GError **error)
{
    g_auto(Import) in = {.path = path,
                         .name = name,
                         .texts = {g_string_new(NULL), g_string_new(NULL)},
                         .staging = TB_STAGING_NONE,
                         .lock = -1,
                         .locks = -1,
                         .to = -1,
                         .sum = g_checksum_new(G_CHECKSUM_SHA256)};
    const TbArchiveHandlers handlers = {.begin = begin, .bytes = bytes, .end = end, .data = &in};
    g_autoptr(TbArchive) archive = tb_archive_new(path, tb_share_files, &handlers);
    GError *why = NULL;
    tb_status("importing '%s'", path);
    bool ok = read_archive(archive, fd, compressed, &why);
    tb_status_done();
    if (in.there)
        g_clear_error(&why);
    if (why || (ok && !publish(&in, &why))) {
        g_propagate_error(error, why);
        return NULL;
    }
    if (there)
        *there = in.there;
    if (in.there && !tb_store_set_name(in.image->name, in.image->digest, error))
        return NULL;
    return tb_image_open(in.image->name, error);
}

TbImage *tb_image_import(const char *path, const char *name, bool *there, GError **error)
{
    struct stat st;
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        tb_error_set_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        tb_error_set(error, TB_ERROR_USAGE, "cannot import '%s': it is no regular file", path);
        return NULL;
    }
    return tb_image_import_fd(fd, path, name, true, there, error);
}
