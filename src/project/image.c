/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Project images that outlive a run.
 *
 * Per project a private directory in the cache holds image-XXXX files and one manifest that names
 * the kept one. An image is written once, by the run that made it, before its manifest exists;
 * from then on nobody writes it: a box that has it as its disk never sees it change. A new image
 * gets a new name, so replacing one is replacing the manifest.
 *
 * Who uses an image holds a shared flock on it. Files that no manifest names and nobody holds are
 * left over and go away. The directory's own lock is held for moments only.
 *
 * Until its image has safely reached the disk a manifest counts for this boot of the host only.
 */
#include "project/image-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hole.h"
#include "util/log.h"
#include "util/paths.h"

#define FORMAT        "4" /* counts up when what goes into an image changes */
#define COARSE_SLACK  2   /* seconds, where a file system knows no finer times */
#define FINE_SLACK_NS 20000000

struct TbProjectImage {
    TbProject *project;
    char *key_path, *path, *name;
    const char *filesystem;
    int dir, fd;
    bool live;   /* no image: the box mounts the project directory itself, read-only */
    bool fresh;  /* made by this run */
    bool filled; /* and complete */
    TbManifest *manifest;
};

char *tb_boot_id(void)
{
    char *text = NULL;
    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
        return g_strdup("unknown");
    return g_strstrip(text);
}

char *tb_images_root(void)
{
    g_autofree char *cache = tb_path_cache();
    return g_build_filename(cache, "projects", NULL);
}

/* Removes images that neither the manifest names nor anybody holds. The directory is locked. */
static void sweep(int dir, const char *kept)
{
    g_autoptr(GPtrArray) names = tb_image_names(dir);
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (kept && strcmp(name, kept) == 0)
            continue;
        tb_autofd fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dir, name, 0);
    }
}

/* Opens the image that `manifest` names and holds it; -1 when it is not what it was. */
static int hold_kept(int dir, const TbManifest *manifest)
{
    g_autofree char *boot = tb_boot_id();
    if (manifest->boot_id && strcmp(manifest->boot_id, boot) != 0)
        return -1;
    tb_autofd fd = openat(dir, manifest->image, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size != TB_PROJECT_IMAGE_SIZE || flock(fd, LOCK_SH | LOCK_NB) < 0)
        return -1;
    return tb_steal_fd(&fd);
}

/* A new, empty image of full size that this run holds. */
static bool create_image(TbProjectImage *image, GError **error)
{
    g_autofree char *name = g_strdup_printf("image-%08x%08x", g_random_int(), g_random_int());
    tb_autofd fd =
        openat(image->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0 || fchmod(fd, 0644) < 0 ||
        ftruncate(fd, TB_PROJECT_IMAGE_SIZE) < 0) {
        tb_error_set_errno(error, errno, "cannot create a project image in '%s'", image->key_path);
        unlinkat(image->dir, name, 0);
        return false;
    }
    image->fresh = true;
    image->fd = tb_steal_fd(&fd);
    image->name = g_steal_pointer(&name);
    return true;
}

static bool new_image(TbProjectImage *image, GError **error)
{
    unlinkat(image->dir, "manifest", 0);
    if (!create_image(image, error))
        return false;
    sweep(image->dir, image->name);
    return true;
}

/* Holds the kept image, or makes a new one. */
static bool take_image(TbProjectImage *image, GError **error)
{
    tb_autofd lock = tb_lock(image->dir, "lock", true, error);
    if (lock < 0)
        return false;
    g_autoptr(TbManifest) manifest = tb_manifest_read(image->dir, "manifest");
    image->fd = manifest ? hold_kept(image->dir, manifest) : -1;
    if (image->fd < 0)
        return new_image(image, error);
    image->name = g_strdup(manifest->image);
    image->manifest = g_steal_pointer(&manifest);
    utimensat(image->dir, "manifest", NULL, 0); /* when it was used last */
    sweep(image->dir, image->name);
    return true;
}

bool tb_project_image_mask(TbProjectImage *image, TbScan *scan, TbGit *git, GError **error)
{
    if (!image->live && image->manifest)
        tb_scan_mask_known(scan, image->manifest);
    return tb_scan_mask(scan, git, error);
}

bool tb_project_image_outgrown(const TbProjectImage *image, TbScan *scan)
{
    return !image->live && image->manifest &&
           (!tb_manifest_fits(image->manifest, scan) || tb_delta_outgrows(image->manifest, scan));
}

bool tb_project_image_renew(TbProjectImage *image, GError **error)
{
    tb_autofd lock = tb_lock(image->dir, "lock", true, error);
    if (lock < 0)
        return false;
    g_clear_pointer(&image->manifest, tb_manifest_free);
    g_clear_pointer(&image->name, g_free);
    g_clear_pointer(&image->path, g_free);
    tb_clear_fd(&image->fd);
    if (!new_image(image, error))
        return false;
    image->path = g_build_filename(image->key_path, image->name, NULL);
    return true;
}

static char *image_key(const TbProject *project)
{
    g_autofree char *text =
        g_strdup_printf("%s\n%u %u\nerofs " FORMAT "\n", project->root, project->uid, project->gid);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

static bool can_mount(const char *filesystems, const char *wanted)
{
    g_auto(GStrv) list = g_strsplit(filesystems ? filesystems : "", ",", -1);
    return g_strv_contains((const char *const *)list, wanted);
}

TbProjectImage *tb_project_image_open(TbProject *project, const char *filesystems, GError **error)
{
    g_autoptr(TbProjectImage) image = g_new0(TbProjectImage, 1);
    image->project = project;
    image->dir = image->fd = -1;
    image->filesystem = "none";
    if (!can_mount(filesystems, "erofs"))
        return g_steal_pointer(&image);
    g_autofree char *root = tb_images_root();
    g_autofree char *key = image_key(project);
    image->key_path = g_build_filename(root, key, NULL);
    if (!tb_make_dirs(root, 0700, error))
        return NULL;
    image->dir = tb_open_private_dir(image->key_path, error);
    if (image->dir < 0 || !take_image(image, error))
        return NULL;
    image->path = g_build_filename(image->key_path, image->name, NULL);
    image->filesystem = "erofs";
    return g_steal_pointer(&image);
}

bool tb_project_image_kept(const TbProject *project)
{
    g_autofree char *root = tb_images_root();
    g_autofree char *key = image_key(project);
    g_autofree char *manifest = g_build_filename(root, key, "manifest", NULL);
    return access(manifest, F_OK) == 0;
}

TbProjectImage *tb_project_image_live(TbProject *project, const char *filesystem)
{
    TbProjectImage *image = g_new0(TbProjectImage, 1);
    image->project = project;
    image->dir = image->fd = -1;
    image->filesystem = filesystem;
    image->live = true;
    return image;
}

int tb_project_image_dir(const TbProjectImage *image)
{
    return image->dir;
}

const char *tb_project_image_path(const TbProjectImage *image)
{
    return image->path;
}

const char *tb_project_image_filesystem(const TbProjectImage *image)
{
    return image->filesystem;
}

const TbManifest *tb_project_image_manifest(const TbProjectImage *image)
{
    return image->manifest;
}

TbProject *tb_project_image_project(const TbProjectImage *image)
{
    return image->project;
}

/* With `live` only what lies in the project directory itself, its .git aside. */
static TbManifest *manifest_of(const TbScan *scan, const char *name, const uint8_t *taken,
                               bool live)
{
    TbManifest *manifest = tb_manifest_new(name);
    manifest->bytes = scan->bytes;
    manifest->rules = g_strdup(scan->rules);
    manifest->index = g_strdup(scan->index_state);
    manifest->no_history = tb_scan_without_history(scan);
    for (guint i = 0; i < scan->items->len; i++) {
        const TbItem *item = tb_scan_item(scan, i);
        if (live && (tb_path_in_git(item->path) || item->ours || item->source != TB_SOURCE_ROOT))
            continue;
        TbManifestEntry entry = {
            .path = g_strdup(item->path),
            .kind = item->kind,
            .mode = item->mode,
            .size = item->size,
            .ino = taken[i] ? item->ino : 0,
            .mtime_sec = item->mtime.tv_sec,
            .mtime_nsec = (uint32_t)item->mtime.tv_nsec,
            .ctime_sec = taken[i] ? item->ctime.tv_sec : 0,
            .ctime_nsec = taken[i] ? (uint32_t)item->ctime.tv_nsec : 0,
            .mask = item->mask,
        };
        g_array_append_val(manifest->entries, entry);
    }
    return manifest;
}

bool tb_is_recent(int64_t seconds, uint32_t nanoseconds, const struct timespec *started)
{
    int64_t now = started->tv_sec * INT64_C(1000000000) + started->tv_nsec;
    int64_t slack = nanoseconds ? FINE_SLACK_NS : COARSE_SLACK * INT64_C(1000000000);
    return seconds * INT64_C(1000000000) + nanoseconds > now - slack;
}

/* A file changed in the very moment of the scan could change again without its times showing it:
 * to later runs it is unknown. */
static void distrust_recent(TbManifest *manifest, const struct timespec *started)
{
    for (guint i = 0; i < manifest->entries->len; i++) {
        TbManifestEntry *entry = &g_array_index(manifest->entries, TbManifestEntry, i);
        if (tb_is_recent(entry->ctime_sec, entry->ctime_nsec, started))
            entry->ctime_sec = entry->ctime_nsec = 0;
    }
}

/* Makes this run's image the kept one. */
static bool keep(TbProjectImage *image, const TbScan *scan, GError **error)
{
    if (fchmod(image->fd, tb_hole("project-disk") ? 0666 : 0444) < 0)
        return tb_error_set_errno(error, errno, "cannot protect '%s'", image->path);
    /* Writing it out may begin; waiting for it is for the end of the run. */
    sync_file_range(image->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    tb_autofd lock = tb_lock(image->dir, "lock", true, error);
    if (lock < 0)
        return false;
    TbManifest copy = *image->manifest;
    copy.entries = g_array_copy(image->manifest->entries);
    distrust_recent(&copy, &scan->started);
    copy.boot_id = tb_boot_id();
    bool written = tb_manifest_write(&copy, image->dir, "manifest", error);
    g_free(copy.boot_id);
    g_array_set_clear_func(copy.entries, NULL); /* the paths are the original's */
    g_array_unref(copy.entries);
    if (written)
        sweep(image->dir, image->name);
    return written;
}

static gint by_path_order(gconstpointer a, gconstpointer b)
{
    const TbManifestEntry *first = a, *second = b;
    return tb_path_order(first->path, second->path);
}

static void add_hidden(TbManifest *manifest, const char *path)
{
    TbManifestEntry entry = {.path = g_strdup(path), .kind = TB_ENTRY_FILE};
    g_array_append_val(manifest->entries, entry);
}

/* What the box sees of a live directory, made to look like an image: what the scan left out is
 * there and must be covered, and .git is replaced as a whole, for it would bring its configuration
 * and hooks along. */
static TbManifest *manifest_of_live(const TbScan *scan)
{
    g_autofree uint8_t *taken = g_malloc(scan->items->len);
    memset(taken, 1, scan->items->len);
    TbManifest *manifest = manifest_of(scan, "live", taken, true);
    if (tb_scan_find(scan, ".git"))
        add_hidden(manifest, ".git");
    GHashTableIter iter;
    gpointer path;
    g_hash_table_iter_init(&iter, scan->omitted);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        if (!g_str_has_prefix(path, ".git/"))
            add_hidden(manifest, path);
    g_array_sort(manifest->entries, by_path_order);
    return manifest;
}

bool tb_project_image_fill(TbProjectImage *image, TbScan *scan, GError **error)
{
    if (!scan->masks_done)
        return tb_error_set(error, TB_ERROR_INTERNAL, "an image of a scan that is not masked");
    if (image->live && scan->masked->len > 0)
        return tb_error_set(error, TB_ERROR_INTERNAL, "a share of what must be hidden");
    if (image->live && !image->manifest)
        image->manifest = manifest_of_live(scan);
    if (!image->fresh || image->filled)
        return true;
    g_autofree uint8_t *taken = g_malloc0(scan->items->len);
    g_autoptr(GError) reason = NULL;
    if (!tb_erofs_write(image->fd, scan, (uint64_t)TB_PROJECT_IMAGE_SIZE, taken, &reason)) {
        if (!g_error_matches(reason, TB_ERROR, TB_ERROR_LIMIT)) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return false;
        }
        tb_verbose("%s; sending it file by file", reason->message);
        image->filesystem = "none";
        return true;
    }
    image->manifest = manifest_of(scan, image->name, taken, false);
    image->filled = true;
    return keep(image, scan, error);
}

/* The image is on disk: from now on its manifest counts for ever. */
static void settle(TbProjectImage *image)
{
    if (fdatasync(image->fd) < 0)
        return;
    tb_autofd lock = tb_lock(image->dir, "lock", true, NULL);
    g_autoptr(TbManifest) manifest = lock >= 0 ? tb_manifest_read(image->dir, "manifest") : NULL;
    if (!manifest || strcmp(manifest->image, image->name) != 0)
        return;
    g_clear_pointer(&manifest->boot_id, g_free);
    (void)tb_manifest_write(manifest, image->dir, "manifest", NULL);
}

void tb_project_image_free(TbProjectImage *image)
{
    if (!image)
        return;
    if (image->fd >= 0 && image->fresh && !image->filled)
        unlinkat(image->dir, image->name, 0);
    else if (image->fd >= 0 && image->fresh)
        settle(image);
    tb_clear_fd(&image->fd);
    tb_clear_fd(&image->dir);
    tb_manifest_free(image->manifest);
    g_free(image->key_path);
    g_free(image->path);
    g_free(image->name);
    g_free(image);
}
