/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store. Invariants:
 * - what stands under images/<digest> is complete: it got there by one rename;
 * - it goes away only under an exclusive lock, and by one rename first;
 * - a name is a small file with a digest, replaced atomically; a name may dangle for a moment.
 */
#include "image/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include "image/manifest.h"
#include "image/store-private.h"
#include "image/template.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/paths.h"

#define DIGEST_LENGTH 64
#define PREFIX_MIN    6

void tb_image_free(TbImage *image)
{
    if (!image)
        return;
    g_free(image->name);
    g_free(image->digest);
    g_free(image->dir);
    g_free(image->disk);
    g_free(image->kernel);
    g_free(image->initrd);
    g_free(image->cmdline);
    g_free(image->filesystems);
    g_free(image->kernel_release);
    g_free(image->arch);
    g_free(image->taskbox);
    g_clear_pointer(&image->hosts, g_ptr_array_unref);
    g_strfreev(image->env);
    g_strfreev(image->warm);
    g_free(image->base_name);
    g_free(image->base_digest);
    g_free(image->base_sum);
    g_free(image->bases);
    tb_image_free(image->base);
    tb_clear_fd(&image->lock);
    g_free(image);
}

bool tb_digest_valid(const char *digest)
{
    return strlen(digest) == DIGEST_LENGTH && strspn(digest, "0123456789abcdef") == DIGEST_LENGTH;
}

int tb_store_dir(const char *sub, char **path, GError **error)
{
    g_autofree char *data = tb_path_data();
    g_autofree char *full = g_build_filename(data, sub, NULL);
    int fd = tb_open_private_dir(full, error);
    if (path)
        *path = g_steal_pointer(&full);
    return fd;
}

static char *image_dir(const char *digest)
{
    g_autofree char *data = tb_path_data();
    return g_build_filename(data, "images", digest, NULL);
}

bool tb_store_has(const char *digest)
{
    g_autofree char *dir = image_dir(digest);
    return g_file_test(dir, G_FILE_TEST_IS_DIR);
}

/* The digest that a name means; NULL when there is no such name. */
static char *read_name(int names, const char *name)
{
    if (!tb_image_name_valid(name))
        return NULL;
    g_autoptr(GBytes) data = tb_read_file_at(names, name, 256, NULL);
    if (!data)
        return NULL;
    g_autofree char *digest = g_strstrip(g_strdup(g_bytes_get_data(data, NULL)));
    return tb_digest_valid(digest) ? g_steal_pointer(&digest) : NULL;
}

char *tb_store_digest_of(const char *name)
{
    tb_autofd names = tb_store_dir("names", NULL, NULL);
    return names < 0 ? NULL : read_name(names, name);
}

bool tb_store_set_name(const char *name, const char *digest, GError **error)
{
    tb_autofd names = tb_store_dir("names", NULL, error);
    if (names < 0)
        return false;
    g_autofree char *old = read_name(names, name);
    if (g_strcmp0(old, digest) == 0)
        return true;
    g_autofree char *text = g_strconcat(digest, "\n", NULL);
    return tb_write_atomic(names, name, text, strlen(text), 0600, error);
}

/* g_ptr_array_sort gives places, not what is there. */
static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *tb_store_entries(const char *sub, bool hidden, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    tb_autofd fd = tb_store_dir(sub, NULL, error);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(tb_steal_fd(&fd));
    if (!dir) {
        tb_error_set_errno(error, errno, "cannot read the image store");
        return NULL;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.' ||
            (hidden && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0))
            g_ptr_array_add(list, g_strdup(entry->d_name));
    closedir(dir);
    g_ptr_array_sort(list, compare_names);
    return g_steal_pointer(&list);
}

static bool no_image(const char *name, GError **error)
{
    g_autofree char *recipe = tb_image_name_valid(name) ? tb_recipe_find(name, NULL) : NULL;
    if (recipe && g_file_test(recipe, G_FILE_TEST_EXISTS))
        return tb_error_set(error, TB_ERROR_NOT_FOUND,
                            "no image '%s' (run 'taskbox image build %s')", name, name);
    return tb_error_set(error, TB_ERROR_NOT_FOUND,
                        "no image '%s' (see 'taskbox image ls'; 'taskbox image build RECIPE' makes "
                        "one)",
                        name);
}

static char *by_prefix(const char *prefix, GError **error)
{
    g_autoptr(GPtrArray) images = tb_store_entries("images", false, error);
    if (!images)
        return NULL;
    const char *found = NULL;
    for (unsigned i = 0; i < images->len; i++) {
        const char *digest = g_ptr_array_index(images, i);
        if (!tb_digest_valid(digest) || !g_str_has_prefix(digest, prefix))
            continue;
        if (found) {
            tb_error_set(error, TB_ERROR_USAGE, "'%s' means several images (give more digits)",
                         prefix);
            return NULL;
        }
        found = digest;
    }
    if (!found)
        no_image(prefix, error);
    return g_strdup(found);
}

/* The digest meant by a name or a prefix. */
static char *resolve(const char *name, GError **error)
{
    tb_autofd names = tb_store_dir("names", NULL, error);
    if (names < 0)
        return NULL;
    char *digest = read_name(names, name);
    if (digest)
        return digest;
    if (strlen(name) >= PREFIX_MIN && strspn(name, "0123456789abcdef") == strlen(name))
        return by_prefix(name, error);
    no_image(name, error);
    return NULL;
}

static bool still_named(int dirfd, const char *name, int fd)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

int tb_store_lock_shared(const char *digest, GError **error)
{
    tb_autofd locks = tb_store_dir("locks", NULL, error);
    while (locks >= 0) {
        tb_autofd fd = openat(locks, digest, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
            tb_error_set_errno(error, errno, "cannot open the lock of image '%.12s'", digest);
            return -1;
        }
        if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
            tb_error_set(error, TB_ERROR_BUSY, "image '%.12s' is being removed", digest);
            return -1;
        }
        if (still_named(locks, digest, fd))
            return tb_steal_fd(&fd);
    }
    return -1;
}

int tb_store_lock_build(int locks, const char *name, const char *image, GError **error)
{
    g_autoptr(GError) why = NULL;
    int lock = tb_lock(locks, name, false, &why);
    if (lock >= 0)
        return lock;
    if (!g_error_matches(why, TB_ERROR, TB_ERROR_BUSY)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return -1;
    }
    tb_info("another taskbox builds image '%s'; waiting for it", image);
    return tb_lock(locks, name, true, error);
}

GHashTable *tb_store_names_by_digest(GError **error)
{
    g_autoptr(GHashTable) table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    tb_autofd dir = tb_store_dir("names", NULL, error);
    g_autoptr(GPtrArray) names = dir < 0 ? NULL : tb_store_entries("names", false, error);
    if (!names)
        return NULL;
    for (unsigned i = 0; i < names->len; i++) {
        char *digest = read_name(dir, g_ptr_array_index(names, i));
        if (digest && !g_hash_table_contains(table, digest))
            g_hash_table_insert(table, digest, g_strdup(g_ptr_array_index(names, i)));
        else
            g_free(digest);
    }
    return g_steal_pointer(&table);
}

static int newest_first(const void *a, const void *b)
{
    const TbImage *x = *(TbImage *const *)a, *y = *(TbImage *const *)b;
    return x->created == y->created  ? strcmp(x->digest, y->digest)
           : x->created < y->created ? 1
                                     : -1;
}

/* What to call an image in messages: as the user did, or by a name that can be built. */
static char *name_for(const char *digest, const char *asked)
{
    if (!g_str_has_prefix(digest, asked))
        return g_strdup(asked);
    g_autoptr(GHashTable) names = tb_store_names_by_digest(NULL);
    const char *name = names ? g_hash_table_lookup(names, digest) : NULL;
    return name ? g_strdup(name) : g_strndup(digest, 12);
}

TbImage *tb_image_open_digest(const char *digest, const char *shown, unsigned depth, GError **error)
{
    tb_autofd lock = tb_store_lock_shared(digest, error);
    if (lock < 0)
        return NULL;
    g_autofree char *dir = image_dir(digest);
    if (!tb_store_has(digest)) {
        no_image(shown, error);
        return NULL;
    }
    if (!tb_image_check(dir, digest, shown, error))
        return NULL;
    g_autoptr(TbImage) image = tb_image_manifest_read(dir, digest, error);
    if (!image)
        return NULL;
    if (!g_str_has_prefix(digest, shown)) {
        g_free(image->name);
        image->name = g_strdup(shown);
    }
    image->lock = tb_steal_fd(&lock);
    return tb_store_open_bases(image, depth, error) ? g_steal_pointer(&image) : NULL;
}

TbImage *tb_image_open(const char *name, GError **error)
{
    g_autofree char *digest = resolve(name, error);
    if (!digest)
        return NULL;
    g_autofree char *shown = name_for(digest, name);
    return tb_image_open_digest(digest, shown, 0, error);
}

GPtrArray *tb_image_list(GError **error)
{
    g_autoptr(GHashTable) names = tb_store_names_by_digest(error);
    g_autoptr(GPtrArray) digests = names ? tb_store_entries("images", false, error) : NULL;
    if (!digests)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)tb_image_free);
    for (unsigned i = 0; i < digests->len; i++) {
        const char *digest = g_ptr_array_index(digests, i);
        if (!tb_digest_valid(digest))
            continue;
        g_autofree char *dir = image_dir(digest);
        TbImage *image = tb_image_manifest_read(dir, digest, NULL);
        if (!image) {
            image = g_new0(TbImage, 1);
            image->lock = -1;
            image->digest = g_strdup(digest);
            image->dir = g_steal_pointer(&dir);
        }
        g_free(image->name);
        image->name = g_strdup(g_hash_table_lookup(names, digest));
        g_ptr_array_add(list, image);
    }
    g_ptr_array_sort(list, newest_first);
    return list;
}

char *tb_image_manifest(const char *name, GError **error)
{
    g_autofree char *digest = resolve(name, error);
    if (!digest)
        return NULL;
    g_autofree char *dir = image_dir(digest);
    g_autoptr(TbImage) image = tb_image_manifest_read(dir, digest, error);
    tb_autofd fd = image ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    g_autoptr(GBytes) data =
        fd < 0 ? NULL : tb_read_file_at(fd, TB_IMAGE_MANIFEST, 16 * 1024 * 1024, error);
    return data ? g_strdup(g_bytes_get_data(data, NULL)) : NULL;
}

bool tb_image_verify(const char *name, GError **error)
{
    g_autofree char *digest = resolve(name, error);
    if (!digest)
        return false;
    tb_autofd lock = tb_store_lock_shared(digest, error);
    if (lock < 0)
        return false;
    if (!tb_store_has(digest))
        return no_image(name, error);
    g_autofree char *dir = image_dir(digest);
    tb_image_check_forget(digest);
    g_autofree char *shown = name_for(digest, name);
    if (!tb_image_check_full(dir, digest, shown, error))
        return false;
    g_autoptr(TbImage) image = tb_image_manifest_read(dir, digest, error);
    if (!image || !image->base_digest)
        return image != NULL;
    tb_clear_fd(&lock);
    if (!tb_image_verify(image->base_digest, error)) {
        g_prefix_error(error, "image '%s' is a layer on '%s': ", shown, image->base_name);
        return false;
    }
    g_autoptr(TbImage) whole = tb_image_open(digest, error);
    return whole != NULL;
}

static bool drop_locked(int locks, const char *digest, GError **error)
{
    tb_autofd images = tb_store_dir("images", NULL, error);
    if (images < 0)
        return false;
    g_autofree char *trash = g_strconcat(TB_TRASH_PREFIX, digest, NULL);
    if (!tb_remove_tree(images, trash, error))
        return false;
    if (renameat(images, digest, images, trash) < 0 && errno != ENOENT)
        return tb_error_set_errno(error, errno, "cannot remove image '%.12s'", digest);
    tb_image_check_forget(digest);
    return tb_template_remove_of(digest, error) && tb_remove_tree(images, trash, error) &&
           (unlinkat(locks, digest, 0) == 0 || errno == ENOENT ||
            tb_error_set_errno(error, errno, "cannot remove the lock of image '%.12s'", digest));
}

/* With the image's lock: nobody puts a layer on it now. */
static bool check_no_layers(const char *digest, const char *shown, GError **error)
{
    g_autoptr(GPtrArray) layers = tb_store_layers(digest, error);
    if (!layers || layers->len == 0)
        return layers != NULL;
    g_ptr_array_add(layers, NULL);
    g_autofree char *list = g_strjoinv(", ", (char **)layers->pdata);
    return tb_error_set(error, TB_ERROR_BUSY,
                        "image '%s' has layers on it: %s (remove these first, with 'taskbox image "
                        "rm')",
                        shown, list);
}

bool tb_store_drop(const char *digest, bool layers_too, GError **error)
{
    tb_autofd locks = tb_store_dir("locks", NULL, error);
    if (locks < 0)
        return false;
    g_autofree char *shown = name_for(digest, digest);
    g_autoptr(GError) why = NULL;
    tb_autofd lock = tb_lock(locks, digest, false, &why);
    if (lock < 0 && g_error_matches(why, TB_ERROR, TB_ERROR_BUSY))
        return tb_error_set(error, TB_ERROR_BUSY,
                            "image '%s' is in use by a task (wait until it has ended)", shown);
    if (lock < 0) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return (layers_too || check_no_layers(digest, shown, error)) &&
           drop_locked(locks, digest, error);
}

/* How many names mean `digest`, other than `name`. */
static unsigned other_names(const char *digest, const char *name)
{
    unsigned count = 0;
    tb_autofd dir = tb_store_dir("names", NULL, NULL);
    g_autoptr(GPtrArray) names = dir < 0 ? NULL : tb_store_entries("names", false, NULL);
    for (unsigned i = 0; names && i < names->len; i++) {
        g_autofree char *other = read_name(dir, g_ptr_array_index(names, i));
        count += g_strcmp0(other, digest) == 0 && !g_str_equal(g_ptr_array_index(names, i), name);
    }
    return count;
}

/* By digest all names go; by name that one. */
static bool remove_names(const char *digest, const char *name, GError **error)
{
    tb_autofd dir = tb_store_dir("names", NULL, error);
    g_autoptr(GPtrArray) names = dir < 0 ? NULL : tb_store_entries("names", false, error);
    if (!names)
        return false;
    bool by_digest = g_str_has_prefix(digest, name);
    for (unsigned i = 0; i < names->len; i++) {
        const char *other = g_ptr_array_index(names, i);
        g_autofree char *meant = read_name(dir, other);
        if (g_strcmp0(meant, digest) != 0 || (!by_digest && !g_str_equal(other, name)))
            continue;
        if (unlinkat(dir, other, 0) < 0)
            return tb_error_set_errno(error, errno, "cannot remove the name '%s'", other);
    }
    return true;
}

bool tb_image_remove(const char *name, GError **error)
{
    g_autofree char *digest = resolve(name, error);
    if (!digest)
        return false;
    bool by_digest = g_str_has_prefix(digest, name);
    if (!by_digest && other_names(digest, name) > 0)
        return remove_names(digest, name, error);
    return tb_store_drop(digest, false, error) && remove_names(digest, name, error);
}
