/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store of templates, on made-up ones that nothing is forked from. What a real one does is
 * tested with real boxes (tests/vm/test-fork.sh).
 */
#include <check.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../suite.h"
#include "image/store-private.h"
#include "image/template-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define DAY      86400

static char root[] = "/tmp/tb-template-XXXXXX";
static char *store, *present; /* the store's path; this machine, as keys have it */

static void setup(void)
{
    ck_assert_ptr_nonnull(g_mkdtemp(root));
    g_setenv("XDG_DATA_HOME", root, TRUE);
    g_autofree char *cache = g_build_filename(root, "cache", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
    tb_autofd fd = tb_store_dir("templates", &store, NULL);
    ck_assert_int_ge(fd, 0);
    present = tb_box_machine(TB_ACCEL_TCG, NULL);
    ck_assert_ptr_nonnull(present);
}

static void teardown(void)
{
    g_autofree char *name = g_path_get_basename(root);
    tb_autofd tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert(tb_remove_tree(tmp, name, NULL));
    g_free(store);
    g_free(present);
}

static TbImage image_a = {.name = (char *)"one",
                          .digest = (char *)DIGEST_A,
                          .disk = (char *)"/nonexistent/disk.qcow2",
                          .kernel = (char *)"/nonexistent/kernel",
                          .cmdline = (char *)"quiet",
                          .disk_size = 1 << 30};
static TbImage image_b = {.name = (char *)"two", .digest = (char *)DIGEST_B};

static TbShape shape_of(const TbImage *image)
{
    return (TbShape){.image = image,
                     .cpus = 2,
                     .memory = 1 << 30,
                     .disk = 20LL << 30,
                     .accel = TB_ACCEL_TCG,
                     .uid = 1000,
                     .gid = 1000};
}

/* A template at its place, as tb_template_make leaves it; its key (g_free). */
static char *make_for(const TbShape *shape, const char *machine)
{
    char *key = tb_template_key(shape, machine);
    g_autofree char *dir = g_build_filename(store, key, NULL);
    ck_assert_int_eq(g_mkdir(dir, 0700), 0);
    for (const char *const *name = tb_template_files; *name; name++) {
        g_autofree char *path = g_build_filename(dir, *name, NULL);
        ck_assert(g_file_set_contents(path, *name, -1, NULL));
        ck_assert_int_eq(g_chmod(path, 0444), 0);
    }
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    ck_assert_msg(tb_template_manifest_write(shape, key, machine, fd, &error), "%s",
                  error ? error->message : "");
    ck_assert_int_eq(fchmod(fd, 0555), 0);
    return key;
}

static char *make_one(void)
{
    TbShape shape = shape_of(&image_a);
    return make_for(&shape, present);
}

static TbTemplate *read_checked(const char *key, GError **error)
{
    g_autofree char *dir = g_build_filename(store, key, NULL);
    return tb_template_manifest_read(dir, key, true, error);
}

static bool is_there(const char *name)
{
    g_autofree char *path = g_build_filename(store, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void expect(const GError *error, TbErrorCode code, const char *word)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(tb_error_code(error) == code, "code %d: %s", error->code, error->message);
    ck_assert_msg(strstr(error->message, word), "got '%s'", error->message);
}

/* ---- manifest */

START_TEST(what_is_written_is_read)
{
    TbShape shape = shape_of(&image_a);
    g_autofree char *key = make_one();
    g_autoptr(GError) error = NULL;
    g_autoptr(TbTemplate) t = read_checked(key, &error);
    ck_assert_msg(t != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(t->key, key);
    ck_assert_str_eq(t->image_name, "one");
    ck_assert_str_eq(t->image_digest, DIGEST_A);
    ck_assert_str_eq(t->machine, present);
    ck_assert_str_eq(t->accel, "tcg");
    ck_assert_uint_eq(t->cpus, 2);
    ck_assert_uint_eq(t->memory, shape.memory);
    ck_assert_uint_eq(t->disk, shape.disk);
    ck_assert_int_le(llabs(t->created - (int64_t)time(NULL)), 5);
    ck_assert_uint_gt(t->bytes, 0);
    ck_assert(g_str_has_suffix(t->files.memory, "/memory"));
    ck_assert(g_str_has_suffix(t->files.state, "/state"));
    ck_assert(g_str_has_suffix(t->files.disk, "/disk.qcow2"));
    ck_assert(g_str_has_suffix(t->files.overlay, "/overlay.qcow2"));
    g_autofree char *text = tb_template_manifest(t, NULL);
    ck_assert(text && strstr(text, DIGEST_A));
}
END_TEST

/* Ways to spoil a file. All of them leave its bytes as they were or give them back, but two. */
static void flip(const char *path)
{
    struct stat st;
    ck_assert(stat(path, &st) == 0 && g_chmod(path, 0644) == 0);
    tb_autofd fd = open(path, O_RDWR | O_CLOEXEC);
    char byte;
    ck_assert_int_eq(pread(fd, &byte, 1, 0), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, 0), 1);
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    ck_assert(futimens(fd, times) == 0 && fchmod(fd, 0444) == 0);
}

static void shorten(const char *path)
{
    ck_assert(g_chmod(path, 0644) == 0 && truncate(path, 3) == 0 && g_chmod(path, 0444) == 0);
}

static void delete_it(const char *path)
{
    ck_assert_int_eq(g_unlink(path), 0);
}

static void make_writable(const char *path)
{
    ck_assert_int_eq(g_chmod(path, 0644), 0);
}

static void replace_by_copy(const char *path)
{
    g_autofree char *text = NULL;
    ck_assert(g_file_get_contents(path, &text, NULL, NULL) && g_unlink(path) == 0);
    ck_assert(g_file_set_contents(path, text, -1, NULL) && g_chmod(path, 0444) == 0);
}

static void replace_by_link(const char *path)
{
    g_autofree char *moved = g_strconcat(path, ".moved", NULL);
    ck_assert(g_rename(path, moved) == 0 && symlink(moved, path) == 0);
}

static void give_away(const char *path)
{
    if (geteuid() == 0)
        ck_assert_int_eq(chown(path, 12345, 12345), 0);
    else
        delete_it(path);
}

static void touch(const char *path)
{
    ck_assert_int_eq(utimensat(AT_FDCWD, path, NULL, 0), 0);
}

static void (*const ways[])(const char *) = {
    flip, shorten, delete_it, make_writable, replace_by_copy, replace_by_link, give_away, touch,
};
enum { WAYS = 8, FILES = 4 };

START_TEST(a_spoilt_file_is_named)
{
    g_autofree char *key = make_one();
    const char *name = tb_template_files[_i % FILES];
    g_autofree char *dir = g_build_filename(store, key, NULL);
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(TbTemplate) before = read_checked(key, NULL);
    ck_assert(before && tb_template_unchanged(before, NULL));
    ck_assert_int_eq(g_chmod(dir, 0755), 0);
    g_usleep(20000); /* the kernel's clock for files is a coarse one */
    ways[_i / FILES](path);
    ck_assert_int_eq(g_chmod(dir, 0555), 0);
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(read_checked(key, &error));
    expect(error, TB_ERROR_IMAGE, name);
    ck_assert_ptr_nonnull(strstr(error->message, "has changed since it was made"));
    g_clear_error(&error);
    ck_assert(!tb_template_unchanged(before, &error));
    expect(error, TB_ERROR_IMAGE, name);
}
END_TEST

static const char *const bad_manifests[] = {
    "", "{", "[]", "{}", "{\"key\": 7, \"files\": []}", "\xff\xfe{\"key\": \"\"}",
};

START_TEST(a_damaged_manifest_is_named)
{
    g_autofree char *key = make_one();
    g_autofree char *dir = g_build_filename(store, key, NULL);
    g_autofree char *path = g_build_filename(dir, TB_TEMPLATE_MANIFEST, NULL);
    ck_assert_int_eq(g_chmod(dir, 0755), 0);
    ck_assert(g_file_set_contents(path, bad_manifests[_i], -1, NULL));
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(read_checked(key, &error));
    expect(error, TB_ERROR_IMAGE, TB_TEMPLATE_MANIFEST);
}
END_TEST

/* A whole template under the key of another shape. */
START_TEST(a_template_at_the_place_of_another_is_refused)
{
    g_autofree char *key = make_one();
    g_autofree char *there = g_build_filename(store, key, NULL);
    g_autofree char *here = g_build_filename(store, DIGEST_B, NULL);
    ck_assert_int_eq(g_rename(there, here), 0);
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(read_checked(DIGEST_B, &error));
    expect(error, TB_ERROR_IMAGE, TB_TEMPLATE_MANIFEST);
    g_clear_error(&error);
    ck_assert_ptr_null(read_checked(key, &error));
    expect(error, TB_ERROR_NOT_FOUND, "cannot open template");
}
END_TEST

/* Made anew while somebody was forking from the old one. */
START_TEST(a_template_that_took_its_place_is_noticed)
{
    g_autofree char *key = make_one();
    g_autoptr(TbTemplate) old = read_checked(key, NULL);
    g_autofree char *there = g_build_filename(store, key, NULL);
    g_autofree char *away = g_build_filename(root, "away", NULL);
    ck_assert(old && g_rename(there, away) == 0); /* its inodes stay in use */
    g_autofree char *again = make_one();
    ck_assert_str_eq(key, again);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_template_unchanged(old, &error));
    expect(error, TB_ERROR_IMAGE, "replaced");
    ck_assert(tb_template_discard(old, NULL)); /* not to blame: it stays */
    ck_assert(is_there(key));
    g_autoptr(TbTemplate) now = read_checked(key, NULL);
    ck_assert(now && tb_template_unchanged(now, NULL));
    ck_assert(tb_template_discard(now, NULL));
    ck_assert(!is_there(key));
}
END_TEST

/* ---- key */

START_TEST(every_part_of_a_shape_makes_another_key)
{
    enum { SHAPES = 8, OTHER_MACHINE = 5 };
    TbShape shapes[SHAPES];
    for (int i = 0; i < SHAPES; i++)
        shapes[i] = shape_of(&image_a);
    shapes[1].image = &image_b;
    shapes[2].cpus++;
    shapes[3].memory += 1 << 20;
    shapes[4].disk += 1 << 20;
    shapes[6].mount = TB_MOUNT_9P;
    shapes[7].mount = TB_MOUNT_VIRTIOFS;
    char *keys[SHAPES];
    for (int i = 0; i < SHAPES; i++)
        keys[i] = tb_template_key(&shapes[i], i == OTHER_MACHINE ? "another machine" : present);
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(keys[i], keys[j]);
    shapes[0].uid++; /* a fork for another user is slower, not wrong */
    shapes[0].mount = TB_MOUNT_IMAGE;
    g_autofree char *same = tb_template_key(&shapes[0], present);
    ck_assert_str_eq(same, keys[0]);
    for (int i = 0; i < SHAPES; i++)
        g_free(keys[i]);
}
END_TEST

/* ---- looking */

START_TEST(lists_and_names)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *first = make_one();
    TbShape shape = shape_of(&image_b);
    g_autofree char *second = make_for(&shape, present);
    g_autoptr(GPtrArray) list = tb_template_list(NULL);
    ck_assert_uint_eq(list->len, 2);
    g_autoptr(TbTemplate) by_name = tb_template_open("two", NULL);
    ck_assert(by_name && strcmp(by_name->key, second) == 0);
    g_autofree char *prefix = g_strndup(first, 6);
    g_autoptr(TbTemplate) by_prefix = tb_template_open(prefix, NULL);
    ck_assert(by_prefix && strcmp(by_prefix->key, first) == 0);
    prefix[5] = '\0';
    ck_assert_ptr_null(tb_template_open(prefix, &error));
    expect(error, TB_ERROR_NOT_FOUND, "no template");
    g_clear_error(&error);
    shape.cpus = 4;
    g_autofree char *third = make_for(&shape, present);
    ck_assert_ptr_null(tb_template_open("two", &error));
    expect(error, TB_ERROR_USAGE, "means several templates");
    g_clear_error(&error);
    ck_assert_ptr_null(tb_template_open("../../etc", &error));
    expect(error, TB_ERROR_NOT_FOUND, "no template");
}
END_TEST

START_TEST(removed_is_removed)
{
    g_autofree char *key = make_one();
    TbShape shape = shape_of(&image_b);
    g_autofree char *other = make_for(&shape, present);
    ck_assert(tb_template_remove(key, NULL));
    ck_assert(!is_there(key) && is_there(other));
    ck_assert(tb_template_remove(key, NULL)); /* nothing to do */
    g_autofree char *again = make_one();
    ck_assert(tb_template_remove_of(DIGEST_A, NULL));
    ck_assert(!is_there(key) && is_there(other));
    tb_autofd fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GPtrArray) names = tb_template_names(fd);
    ck_assert_uint_eq(names->len, 1);
}
END_TEST

/* An image goes with what was made of it. */
START_TEST(an_image_takes_its_templates_along)
{
    g_autofree char *key = make_one();
    g_autofree char *image = g_build_filename(root, "taskbox", "images", DIGEST_A, NULL);
    ck_assert_int_eq(g_mkdir_with_parents(image, 0700), 0);
    g_autoptr(GError) error = NULL;
    ck_assert_msg(tb_store_drop(DIGEST_A, false, &error), "%s", error ? error->message : "");
    ck_assert(!is_there(key));
}
END_TEST

START_TEST(a_use_is_noted)
{
    g_autofree char *key = make_one();
    g_autofree char *path = g_build_filename(store, key, TB_TEMPLATE_MANIFEST, NULL);
    const struct timespec old[] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
    g_autoptr(TbTemplate) before = read_checked(key, NULL);
    ck_assert(before && before->used == 1000);
    tb_template_touch(before);
    g_autoptr(TbTemplate) after = read_checked(key, NULL);
    ck_assert(after && after->used > 1000);
}
END_TEST

/* ---- garbage */

static bool holds(GPtrArray *list, const char *word)
{
    for (unsigned i = 0; i < list->len; i++)
        if (strstr(g_ptr_array_index(list, i), word))
            return true;
    return false;
}

static void add_folder(const char *name)
{
    g_autofree char *path = g_build_filename(store, name, "box", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(path, 0700), 0);
}

static void add_image(void)
{
    g_autofree char *image = g_build_filename(root, "taskbox", "images", DIGEST_A, NULL);
    ck_assert_int_eq(g_mkdir_with_parents(image, 0700), 0);
}

START_TEST(gc_takes_what_nobody_will_use)
{
    add_image();
    TbShape of_gone = shape_of(&image_b), plain = shape_of(&image_a), small = shape_of(&image_a);
    small.cpus = 1;
    g_autofree char *used = make_for(&plain, present);
    g_autofree char *gone = make_for(&of_gone, present);
    g_autofree char *outdated = make_for(&plain, "an older QEMU");
    g_autofree char *spoilt = make_for(&small, present);
    g_autofree char *state = g_build_filename(store, spoilt, "state", NULL);
    flip(state);
    add_folder(TB_TEMPLATE_NEW DIGEST_A);
    add_folder(TB_TEMPLATE_NEW DIGEST_B);
    add_folder(TB_TEMPLATE_GONE DIGEST_A "-17");
    tb_autofd locks = tb_store_dir("locks", NULL, NULL);
    tb_autofd being_made = tb_lock(locks, "template-" DIGEST_B, false, NULL);
    ck_assert_int_ge(being_made, 0);

    for (int apply = 0; apply < 3; apply++) { /* looks, removes, finds nothing */
        g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) error = NULL;
        ck_assert_msg(tb_template_gc(DAY, apply > 0, found, &error), "%s",
                      error ? error->message : "");
        ck_assert_uint_eq(found->len, apply < 2 ? 5 : 0);
        ck_assert(apply == 2 || (holds(found, "its image is gone") && holds(found, "made with") &&
                                 holds(found, "has changed") && holds(found, "half-made") &&
                                 holds(found, "half-removed")));
        bool there = apply == 0;
        ck_assert(is_there(gone) == there && is_there(outdated) == there);
        ck_assert(is_there(spoilt) == there && is_there(TB_TEMPLATE_NEW DIGEST_A) == there);
        ck_assert(is_there(used) && is_there(TB_TEMPLATE_NEW DIGEST_B));
    }
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    ck_assert(tb_template_gc(0, true, found, NULL));
    ck_assert(found->len == 1 && holds(found, "not used lately") && !is_there(used));
}
END_TEST

START_TEST(gc_keeps_for_ever_when_told)
{
    add_image();
    g_autofree char *key = make_one();
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    ck_assert(tb_template_gc(UINT64_MAX, true, found, NULL));
    ck_assert(found->len == 0 && is_there(key));
}
END_TEST

/* ---- a failure is remembered */

/* An image without a disk: no box of it starts. */
static bool get_fails(bool retry, const char *word)
{
    TbShape shape = shape_of(&image_a);
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_template_get(&shape, retry, NULL, &error));
    ck_assert_ptr_nonnull(error);
    return strstr(error->message, word) != NULL;
}

static void age_failure(const char *name, time_t seconds)
{
    g_autofree char *path = g_build_filename(store, name, NULL);
    const struct timespec then = {.tv_sec = time(NULL) - seconds};
    const struct timespec times[] = {then, then};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

START_TEST(a_failure_counts_for_an_hour)
{
    static const char tried[] = "cannot make a template: ", known[] = "no template could be made: ";
    TbShape shape = shape_of(&image_a);
    g_autofree char *key = tb_template_key(&shape, present);
    g_autofree char *name = g_strconcat(TB_TEMPLATE_FAILED, key, NULL);
    g_autofree char *staging = g_strconcat(TB_TEMPLATE_NEW, key, NULL);
    ck_assert(get_fails(false, tried));
    ck_assert(is_there(name) && !is_there(staging));
    ck_assert(get_fails(false, known));
    ck_assert(get_fails(false, "/nonexistent/disk.qcow2")); /* says why */
    ck_assert(get_fails(true, tried));
    age_failure(name, 3590);
    ck_assert(get_fails(false, known));
    age_failure(name, 3610);
    ck_assert(get_fails(false, tried));
    age_failure(name, -DAY); /* the clock was set back */
    ck_assert(get_fails(false, tried));
    age_failure(name, 3610);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    ck_assert(tb_template_gc(DAY, true, found, NULL));
    ck_assert(found->len == 0 && !is_there(name));
}
END_TEST

/* One that is spoilt is dropped, also when none can be made in its place. */
START_TEST(a_spoilt_template_is_dropped)
{
    g_autofree char *key = make_one();
    g_autofree char *memory = g_build_filename(store, key, "memory", NULL);
    shorten(memory);
    ck_assert(get_fails(false, "cannot make a template: "));
    ck_assert(!is_there(key));
}
END_TEST

START_TEST(a_sound_template_is_found)
{
    TbShape shape = shape_of(&image_a);
    g_autofree char *key = make_one();
    bool made = true;
    g_autoptr(TbTemplate) found = tb_template_get(&shape, false, &made, NULL);
    ck_assert(found && !made && strcmp(found->key, key) == 0);
    shape.cpus++;
    ck_assert_ptr_null(tb_template_get(&shape, false, &made, NULL));
    ck_assert(is_there(key));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {what_is_written_is_read,
                                  a_template_at_the_place_of_another_is_refused,
                                  a_template_that_took_its_place_is_noticed,
                                  every_part_of_a_shape_makes_another_key,
                                  lists_and_names,
                                  removed_is_removed,
                                  an_image_takes_its_templates_along,
                                  a_use_is_noted,
                                  gc_takes_what_nobody_will_use,
                                  gc_keeps_for_ever_when_told,
                                  a_failure_counts_for_an_hour,
                                  a_spoilt_template_is_dropped,
                                  a_sound_template_is_found};
    Suite *suite = suite_create("image-template");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60); /* a template is on the disk before it is one */
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_add_loop_test(tcase, a_spoilt_file_is_named, 0, WAYS * FILES);
    tcase_add_loop_test(tcase, a_damaged_manifest_is_named, 0, G_N_ELEMENTS(bad_manifests));
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
