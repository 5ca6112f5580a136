/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store of templates. A template gets to its place by one rename and leaves it by one; it is
 * made under a lock of its key, so two tasks of one shape make one template.
 */
#include "image/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "image/store-private.h"
#include "image/template-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

#define FAILED_FOR   3600 /* seconds */
#define REASON_LIMIT 4096
#define PREFIX_MIN   6

void tb_shape_spec(const TbShape *shape, TbBoxSpec *spec)
{
    spec->disk = shape->image->disk;
    spec->bases = shape->image->bases;
    spec->kernel = shape->image->kernel;
    spec->initrd = shape->image->initrd;
    spec->cmdline = shape->image->cmdline;
    spec->cpus = shape->cpus;
    spec->memory = shape->memory;
    spec->disk_size = shape->disk;
    spec->accel = shape->accel;
    spec->share_port = shape->mount == TB_MOUNT_VIRTIOFS;
}

char *tb_template_key(const TbShape *shape, const char *machine)
{
    /* Only what has another device says so: the keys of all others are as they were. */
    g_autofree char *mount = shape->mount > TB_MOUNT_IMAGE
                                 ? g_strdup_printf("mount %s\n", tb_mount_type_name(shape->mount))
                                 : g_strdup("");
    g_autofree char *text = g_strdup_printf(
        "taskbox template %d\nimage %s\ncpus %u\nmemory %" G_GUINT64_FORMAT
        "\ndisk %" G_GUINT64_FORMAT "\nproject disk %" G_GUINT64_FORMAT "\nmachine %s\n%s",
        TB_TEMPLATE_FORMAT, shape->image->digest, shape->cpus, shape->memory, shape->disk,
        (guint64)TB_BOX_PROJECT_DISK_SIZE, machine, mount);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

/* The directory's descriptor; *dir (g_free) is the template's path. */
static int open_store(const char *key, char **dir, GError **error)
{
    g_autofree char *path = NULL;
    int fd = tb_store_dir("templates", &path, error);
    if (fd >= 0 && dir)
        *dir = g_build_filename(path, key, NULL);
    return fd;
}

/* ---- going away */

/* Two that remove one at once do not meet under its new name. */
static bool drop(int store, const char *key, GError **error)
{
    g_autofree char *gone = g_strdup_printf(TB_TEMPLATE_GONE "%s-%d", key, (int)getpid());
    if (!tb_remove_tree(store, gone, error))
        return false;
    if (renameat(store, key, store, gone) < 0)
        return errno == ENOENT ||
               tb_error_set_errno(error, errno, "cannot remove template '%.12s'", key);
    return tb_remove_tree(store, gone, error);
}

bool tb_template_remove(const char *key, GError **error)
{
    tb_autofd store = open_store(key, NULL, error);
    return store >= 0 && drop(store, key, error);
}

bool tb_template_unchanged(const TbTemplate *template, GError **error)
{
    g_autoptr(TbTemplate) now =
        tb_template_manifest_read(template->dir, template->key, true, error);
    if (now && strcmp(now->seals, template->seals) != 0)
        return tb_error_set(error, TB_ERROR_IMAGE, "template '%.12s' was replaced by another",
                            template->key);
    return now != NULL;
}

bool tb_template_discard(const TbTemplate *template, GError **error)
{
    g_autoptr(TbTemplate) now =
        tb_template_manifest_read(template->dir, template->key, false, NULL);
    bool replaced = now && strcmp(now->seals, template->seals) != 0;
    return replaced || tb_template_remove(template->key, error);
}

/* ---- a failure that is remembered */

static char *failed_name(const char *key)
{
    return g_strconcat(TB_TEMPLATE_FAILED, key, NULL);
}

static void note_failure(int store, const char *key, const GError *why)
{
    if (g_error_matches(why, TB_ERROR, TB_ERROR_INTERRUPTED) ||
        g_error_matches(why, TB_ERROR, TB_ERROR_NO_SPACE))
        return; /* it may well go the next time */
    g_autofree char *name = failed_name(key);
    size_t length = MIN(strlen(why->message), REASON_LIMIT - 1);
    g_autoptr(GError) ignored = NULL;
    if (!tb_write_atomic(store, name, why->message, length, 0600, &ignored))
        tb_debug("%s", ignored->message);
}

bool tb_template_failure_counts(const struct stat *st)
{
    time_t age = time(NULL) - st->st_mtim.tv_sec;
    return age >= 0 && age <= FAILED_FOR;
}

static bool failed_lately(int store, const char *key, GError **error)
{
    g_autofree char *name = failed_name(key);
    struct stat st;
    if (fstatat(store, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    g_autoptr(GBytes) why = tb_read_file_at(store, name, REASON_LIMIT, NULL);
    if (!why || !tb_template_failure_counts(&st)) {
        unlinkat(store, name, 0);
        return false;
    }
    tb_error_set(error, TB_ERROR_VM,
                 "no template could be made: %s (try again with 'taskbox template build')",
                 (const char *)g_bytes_get_data(why, NULL));
    return true;
}

/* ---- making */

static bool publish(int store, const char *new_name, const char *key, int dirfd, GError **error)
{
    if (fchmod(dirfd, 0555) < 0 || fsync(dirfd) < 0 || renameat(store, new_name, store, key) < 0 ||
        fsync(store) < 0)
        return tb_error_set_errno(error, errno, "cannot keep template '%.12s'", key);
    return true;
}

#define OUTDATED_AFTER 86400 /* seconds; two builds of taskbox may be in use at once */

/* Of the same shape, but another QEMU or taskbox: nothing will be forked from them again. */
static void drop_outdated(const TbTemplate *fresh)
{
    g_autoptr(GPtrArray) all = tb_template_list(NULL);
    for (guint i = 0; all && i < all->len; i++) {
        const TbTemplate *t = all->pdata[i];
        if (fresh->created - t->used > OUTDATED_AFTER && t->cpus == fresh->cpus &&
            t->memory == fresh->memory && t->disk == fresh->disk &&
            strcmp(t->image_digest, fresh->image_digest) == 0 &&
            strcmp(t->accel, fresh->accel) == 0 && strcmp(t->mount, fresh->mount) == 0 &&
            strcmp(t->machine, fresh->machine) != 0)
            tb_template_remove(t->key, NULL);
    }
}

static bool make(const TbShape *shape, const char *key, const char *machine, const char *dir,
                 int store, GError **error)
{
    g_autofree char *name = g_strconcat(TB_TEMPLATE_NEW, key, NULL);
    g_autofree char *parent = g_path_get_dirname(dir);
    g_autofree char *staging = g_build_filename(parent, name, NULL);
    if (!tb_remove_tree(store, name, error))
        return false;
    if (mkdirat(store, name, 0700) < 0)
        return tb_error_set_errno(error, errno, "cannot make '%s'", staging);
    tb_autofd fd = openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    g_autoptr(GError) why = NULL;
    bool ok = fd >= 0 && tb_template_make(shape, key, machine, staging, fd, &why) &&
              publish(store, name, key, fd, &why);
    if (ok)
        return true;
    tb_remove_tree(store, name, NULL);
    note_failure(store, key, why);
    g_propagate_prefixed_error(error, g_steal_pointer(&why), "cannot make a template: ");
    return false;
}

/* The template that is there and sound; else NULL, and *why says what is wrong with the one that is
 * there (NULL: there is none). */
static TbTemplate *find(const char *dir, const char *key, GError **why)
{
    g_clear_error(why);
    TbTemplate *template = tb_template_manifest_read(dir, key, true, why);
    if (!template && g_error_matches(*why, TB_ERROR, TB_ERROR_NOT_FOUND))
        g_clear_error(why);
    return template;
}

static int lock_key(const char *key, GError **error)
{
    g_autofree char *name = g_strconcat("template-", key, NULL);
    tb_autofd locks = tb_store_dir("locks", NULL, error);
    if (locks < 0)
        return -1;
    int lock = tb_lock(locks, name, false, NULL);
    if (lock >= 0)
        return lock;
    tb_info("another taskbox is making the template for this shape; waiting for it");
    return tb_lock(locks, name, true, error);
}

/* With the key's lock: nobody else makes one or finds this one damaged. */
static TbTemplate *get_locked(const TbShape *shape, const char *key, const char *machine,
                              const char *dir, int store, bool retry, bool *made, GError **error)
{
    g_autoptr(GError) bad = NULL;
    TbTemplate *template = find(dir, key, &bad);
    if (template)
        return template;
    if (bad) {
        tb_warn("%s; it is dropped", bad->message);
        if (!drop(store, key, error))
            return NULL;
    }
    if (!retry && failed_lately(store, key, error))
        return NULL;
    int64_t start = g_get_monotonic_time();
    if (!make(shape, key, machine, dir, store, error))
        return NULL;
    template = tb_template_manifest_read(dir, key, true, error);
    if (!template)
        return NULL;
    g_autofree char *failed = failed_name(key);
    unlinkat(store, failed, 0);
    drop_outdated(template);
    tb_verbose("the template took %" G_GINT64_FORMAT " ms",
               (g_get_monotonic_time() - start) / 1000);
    *made = true;
    return template;
}

TbTemplate *tb_template_get(const TbShape *shape, bool retry, bool *made, GError **error)
{
    g_autofree char *machine = tb_box_machine(shape->accel, error);
    g_autofree char *key = machine ? tb_template_key(shape, machine) : NULL;
    g_autofree char *dir = NULL;
    tb_autofd store = key ? open_store(key, &dir, error) : -1;
    g_autoptr(GError) bad = NULL;
    bool made_here;
    if (!made)
        made = &made_here;
    *made = false;
    if (store < 0)
        return NULL;
    TbTemplate *template = find(dir, key, &bad);
    if (template || (!bad && !retry && failed_lately(store, key, error)))
        return template;
    tb_autofd lock = lock_key(key, error);
    if (lock < 0)
        return NULL;
    return get_locked(shape, key, machine, dir, store, retry, made, error);
}

void tb_template_touch(const TbTemplate *template)
{
    tb_autofd fd = open(template->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        utimensat(fd, TB_TEMPLATE_MANIFEST, NULL, AT_SYMLINK_NOFOLLOW);
}

/* ---- looking */

GPtrArray *tb_template_names(int store)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    tb_autofd fd = openat(store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(tb_steal_fd(&fd)) : NULL;
    for (struct dirent *entry; stream && (entry = readdir(stream));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    if (stream)
        closedir(stream);
    return g_steal_pointer(&names);
}

static int newest_first(const void *a, const void *b)
{
    const TbTemplate *x = *(TbTemplate *const *)a, *y = *(TbTemplate *const *)b;
    return x->created == y->created ? strcmp(x->key, y->key) : x->created < y->created ? 1 : -1;
}

GPtrArray *tb_template_list(GError **error)
{
    g_autofree char *path = NULL;
    tb_autofd store = tb_store_dir("templates", &path, error);
    if (store < 0)
        return NULL;
    g_autoptr(GPtrArray) names = tb_template_names(store);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)tb_template_free);
    for (guint i = 0; i < names->len; i++) {
        const char *key = names->pdata[i];
        g_autofree char *dir = g_build_filename(path, key, NULL);
        TbTemplate *template =
            tb_digest_valid(key) ? tb_template_manifest_read(dir, key, false, NULL) : NULL;
        if (template)
            g_ptr_array_add(list, template);
    }
    g_ptr_array_sort(list, newest_first);
    return list;
}

TbTemplate *tb_template_open(const char *name, GError **error)
{
    g_autoptr(GPtrArray) list = tb_template_list(error);
    bool by_key = strlen(name) >= PREFIX_MIN && strspn(name, "0123456789abcdef") == strlen(name);
    int found = -1;
    for (guint i = 0; list && i < list->len; i++) {
        const TbTemplate *t = list->pdata[i];
        if (strcmp(t->image_name, name) != 0 && !(by_key && g_str_has_prefix(t->key, name)))
            continue;
        if (found >= 0) {
            tb_error_set(error, TB_ERROR_USAGE,
                         "'%s' means several templates (see 'taskbox template ls')", name);
            return NULL;
        }
        found = (int)i;
    }
    if (!list)
        return NULL;
    if (found < 0) {
        tb_error_set(error, TB_ERROR_NOT_FOUND, "no template '%s' (see 'taskbox template ls')",
                     name);
        return NULL;
    }
    return g_ptr_array_steal_index(list, (guint)found);
}

char *tb_template_manifest(const TbTemplate *template, GError **error)
{
    g_autofree char *path = g_build_filename(template->dir, TB_TEMPLATE_MANIFEST, NULL);
    g_autoptr(GBytes) data = tb_read_file_at(AT_FDCWD, path, 65536, error);
    return data ? g_strdup(g_bytes_get_data(data, NULL)) : NULL;
}

bool tb_template_remove_of(const char *image_digest, GError **error)
{
    g_autoptr(GPtrArray) list = tb_template_list(error);
    for (guint i = 0; list && i < list->len; i++) {
        const TbTemplate *t = list->pdata[i];
        if (strcmp(t->image_digest, image_digest) == 0 && !tb_template_remove(t->key, error))
            return false;
    }
    return list != NULL;
}
