/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store on small made-up images: its own files, none that boots. */
#include <check.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../suite.h"
#include "image/manifest.h"
#include "image/store-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "aaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define DIGEST_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static char root[] = "/tmp/tb-store-XXXXXX";

static void setup(void)
{
    ck_assert_ptr_nonnull(g_mkdtemp(root));
    g_setenv("XDG_DATA_HOME", root, TRUE);
    g_autofree char *cache = g_build_filename(root, "cache", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
}

static void teardown(void)
{
    g_autofree char *name = g_path_get_basename(root);
    tb_autofd tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert(tb_remove_tree(tmp, name, NULL));
}

static char *in_store(const char *a, const char *b, const char *c)
{
    return g_build_filename(root, "taskbox", a, b, c, NULL);
}

static void put(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    ck_assert(g_file_set_contents(path, text, -1, NULL));
    ck_assert_int_eq(g_chmod(path, 0444), 0);
}

static char *sum(const char *text)
{
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

/* What a layer lies on; NULLs: nothing. */
typedef struct {
    const char *name, *digest, *sum;
} Base;

static char *manifest(const char *name, const char *digest, const Base *base,
                      const char *const sums[3])
{
    TbImage image = {
        .base_name = (char *)base->name,
        .base_digest = (char *)base->digest,
        .base_sum = (char *)base->sum,
        .name = (char *)name,
        .digest = (char *)digest,
        .cmdline = (char *)"root=LABEL=x quiet",
        .cpus = 2,
        .memory = 1 << 30,
        .disk_size = 1 << 30,
        .mount_type = TB_MOUNT_9P,
        .filesystems = (char *)"ext4,erofs",
        .kernel_release = (char *)"6.1.0",
        .arch = (char *)"x86_64",
        .taskbox = (char *)"0.1.0",
        .created = 1700000000,
    };
    g_autoptr(GPtrArray) packages = g_ptr_array_new();
    g_ptr_array_add(packages, (char *)"git 1:2.39");
    g_autoptr(GPtrArray) hosts = image.hosts = tb_image_hosts_new();
    ck_assert(tb_image_hosts_add(hosts, "apt", "deb.test:8080", "/etc/apt/sources.list:1"));
    ck_assert(tb_image_hosts_add(hosts, "go", "go.test", "go env GOPROXY"));
    const TbManifestSources sources = {.suite = "bookworm", .packages = packages};
    return tb_image_manifest_write(&image, &sources, sums);
}

static void make_layer(const char *name, const char *digest, const Base *base)
{
    tb_autofd images = tb_store_dir("images", NULL, NULL);
    ck_assert_int_ge(images, 0);
    g_autofree char *dir = in_store("images", digest, NULL);
    ck_assert_int_eq(g_mkdir(dir, 0700), 0);
    static const char *const names[] = {TB_IMAGE_DISK, TB_IMAGE_KERNEL, TB_IMAGE_INITRD};
    char *sums[3];
    for (int i = 0; i < 3; i++) {
        put(dir, names[i], names[i]);
        sums[i] = sum(names[i]);
    }
    g_autofree char *text = manifest(name, digest, base, (const char *const *)sums);
    g_autofree char *own = sum(text);
    g_autofree char *list =
        g_strdup_printf("%s  disk.qcow2\n%s  kernel\n%s  initrd\n%s  manifest.json\n", sums[0],
                        sums[1], sums[2], own);
    put(dir, TB_IMAGE_MANIFEST, text);
    put(dir, TB_IMAGE_SUMS, list);
    ck_assert_int_eq(g_chmod(dir, 0555), 0);
    ck_assert(tb_store_set_name(name, digest, NULL));
    for (int i = 0; i < 3; i++)
        g_free(sums[i]);
}

static void make_image(const char *name, const char *digest)
{
    make_layer(name, digest, &(Base){0});
}

/* Writes one byte, gives the file its old times back. */
static void flip(const char *digest, const char *file)
{
    g_autofree char *path = in_store("images", digest, file);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(g_chmod(path, 0644), 0);
    tb_autofd fd = open(path, O_RDWR | O_CLOEXEC);
    char byte;
    ck_assert_int_eq(pread(fd, &byte, 1, 3), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, 3), 1);
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    ck_assert_int_eq(futimens(fd, times), 0);
    ck_assert_int_eq(fchmod(fd, 0444), 0);
}

static void expect(const GError *error, TbErrorCode code, const char *word)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(tb_error_code(error) == code, "code %d: %s", error->code, error->message);
    ck_assert_msg(strstr(error->message, word), "got '%s'", error->message);
}

START_TEST(an_image_is_found_by_name_and_by_prefix)
{
    make_image("one", DIGEST_A);
    g_autoptr(GError) error = NULL;
    g_autoptr(TbImage) by_name = tb_image_open("one", &error);
    ck_assert_msg(by_name != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(by_name->digest, DIGEST_A);
    ck_assert_str_eq(by_name->cmdline, "root=LABEL=x quiet");
    ck_assert_str_eq(by_name->filesystems, "ext4,erofs");
    ck_assert_int_eq(by_name->mount_type, TB_MOUNT_9P);
    ck_assert_int_eq(by_name->created, 1700000000);
    ck_assert_uint_eq(by_name->hosts->len, 2);
    const TbImageHost *host = by_name->hosts->pdata[0];
    ck_assert_str_eq(host->group, "apt");
    ck_assert_str_eq(host->host, "deb.test:8080");
    ck_assert_str_eq(host->from, "/etc/apt/sources.list:1");
    ck_assert(g_file_test(by_name->disk, G_FILE_TEST_IS_REGULAR));
    g_autoptr(TbImage) by_digest = tb_image_open("aaaaaa", NULL);
    ck_assert_ptr_nonnull(by_digest);
    ck_assert_str_eq(by_digest->name, "one");
    make_image("two", DIGEST_B);
    ck_assert_ptr_null(tb_image_open("aaaaaa", &error));
    expect(error, TB_ERROR_USAGE, "several images");
    g_autoptr(TbImage) longer = tb_image_open("aaaaaaab", NULL);
    ck_assert_ptr_nonnull(longer);
    ck_assert_str_eq(longer->name, "two");
}
END_TEST

START_TEST(what_is_not_there_says_what_to_do)
{
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_image_open("debian", &error));
    expect(error, TB_ERROR_NOT_FOUND, "run 'taskbox image build debian'");
    g_clear_error(&error);
    ck_assert_ptr_null(tb_image_open("no-such-recipe", &error)); /* then that would not help */
    expect(error, TB_ERROR_NOT_FOUND, "see 'taskbox image ls'");
    g_clear_error(&error);
    ck_assert_ptr_null(tb_image_open("../../etc/passwd", &error));
    expect(error, TB_ERROR_NOT_FOUND, "no image");
    g_clear_error(&error);
    ck_assert(!tb_image_verify("debian", &error));
    expect(error, TB_ERROR_NOT_FOUND, "no image 'debian'");
}
END_TEST

START_TEST(a_flipped_byte_is_noticed_before_use)
{
    static const char *const files[] = {TB_IMAGE_DISK, TB_IMAGE_KERNEL, TB_IMAGE_INITRD,
                                        TB_IMAGE_MANIFEST, TB_IMAGE_SUMS};
    make_image("one", DIGEST_A);
    g_autoptr(TbImage) fine = tb_image_open("one", NULL);
    ck_assert_ptr_nonnull(fine);
    ck_assert(tb_image_verify("one", NULL));
    flip(DIGEST_A, files[_i]);
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_image_open("one", &error));
    /* a wrong sum shows at the file that it is of */
    const char *named = g_str_equal(files[_i], TB_IMAGE_SUMS) ? TB_IMAGE_DISK : files[_i];
    expect(error, TB_ERROR_IMAGE, named);
    ck_assert_ptr_nonnull(strstr(error->message, "image 'one' has changed since it was built"));
    ck_assert_ptr_nonnull(strstr(error->message, "taskbox image build one"));
    g_clear_error(&error);
    ck_assert(!tb_image_verify("one", &error));
    expect(error, TB_ERROR_IMAGE, named);
    flip(DIGEST_A, files[_i]);
    ck_assert(tb_image_verify("one", NULL));
}
END_TEST

START_TEST(a_missing_file_is_named)
{
    make_image("one", DIGEST_A);
    g_autofree char *dir = in_store("images", DIGEST_A, NULL);
    g_autofree char *path = in_store("images", DIGEST_A, TB_IMAGE_KERNEL);
    ck_assert_int_eq(g_chmod(dir, 0755), 0);
    ck_assert_int_eq(g_unlink(path), 0);
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_image_open("one", &error));
    expect(error, TB_ERROR_IMAGE, TB_IMAGE_KERNEL);
    g_clear_error(&error);
    ck_assert_int_eq(symlink("/etc/passwd", path), 0);
    ck_assert(!tb_image_verify("one", &error));
    expect(error, TB_ERROR_IMAGE, TB_IMAGE_KERNEL);
}
END_TEST

START_TEST(an_unchanged_image_is_not_hashed_again)
{
    make_image("one", DIGEST_A);
    ck_assert(tb_image_verify("one", NULL));
    g_autofree char *seal =
        g_build_filename(root, "cache", "taskbox", "images", DIGEST_A ".seal", NULL);
    struct stat before, after;
    ck_assert_int_eq(stat(seal, &before), 0);
    for (int i = 0; i < 3; i++) {
        g_autoptr(TbImage) image = tb_image_open("one", NULL);
        ck_assert_ptr_nonnull(image);
    }
    /* a full check writes the note anew */
    ck_assert_int_eq(stat(seal, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    g_autofree char *disk = in_store("images", DIGEST_A, TB_IMAGE_DISK);
    ck_assert_int_eq(g_chmod(disk, 0400), 0);
    g_autoptr(TbImage) again = tb_image_open("one", NULL);
    ck_assert_ptr_nonnull(again);
    ck_assert_int_eq(stat(seal, &after), 0);
    ck_assert_uint_ne(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(an_image_in_use_is_not_removed)
{
    make_image("one", DIGEST_A);
    g_autoptr(TbImage) first = tb_image_open("one", NULL);
    g_autoptr(TbImage) second = tb_image_open("one", NULL);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(second);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_image_remove("one", &error));
    expect(error, TB_ERROR_BUSY, "image 'one' is in use");
    g_clear_pointer(&first, tb_image_free);
    ck_assert(!tb_image_remove("one", NULL));
    g_clear_pointer(&second, tb_image_free);
    g_clear_error(&error);
    ck_assert_msg(tb_image_remove("one", &error), "%s", error ? error->message : "");
    ck_assert(!tb_store_has(DIGEST_A));
    ck_assert_ptr_null(tb_image_open("one", &error));
    expect(error, TB_ERROR_NOT_FOUND, "no image 'one'");
}
END_TEST

START_TEST(two_names_may_mean_one_image)
{
    make_image("one", DIGEST_A);
    ck_assert(tb_store_set_name("uno", DIGEST_A, NULL));
    g_autoptr(TbImage) image = tb_image_open("uno", NULL);
    ck_assert_ptr_nonnull(image);
    ck_assert_str_eq(image->name, "uno");
    ck_assert(tb_image_remove("one", NULL)); /* only a name goes: no matter who uses it */
    ck_assert(tb_store_has(DIGEST_A));
    g_clear_pointer(&image, tb_image_free);
    ck_assert(tb_image_remove(DIGEST_A, NULL));
    ck_assert(!tb_store_has(DIGEST_A));
    g_autoptr(GPtrArray) list = tb_image_list(NULL);
    ck_assert_uint_eq(list->len, 0);
}
END_TEST

START_TEST(lists_show_damaged_and_nameless_ones)
{
    make_image("one", DIGEST_A);
    make_image("two", DIGEST_B);
    ck_assert(tb_store_set_name("two", DIGEST_A, NULL));
    g_autofree char *bad = in_store("images", DIGEST_B, TB_IMAGE_MANIFEST);
    ck_assert_int_eq(g_chmod(bad, 0644), 0);
    ck_assert_int_eq(truncate(bad, 10), 0);
    g_autoptr(GPtrArray) list = tb_image_list(NULL);
    ck_assert_uint_eq(list->len, 2);
    const TbImage *good = g_ptr_array_index(list, 0), *broken = g_ptr_array_index(list, 1);
    ck_assert_str_eq(good->name, "one");
    ck_assert_str_eq(broken->digest, DIGEST_B);
    ck_assert_ptr_null(broken->name);
    ck_assert_ptr_null(broken->cmdline);
}
END_TEST

static bool holds(GPtrArray *list, const char *word)
{
    for (unsigned i = 0; i < list->len; i++)
        if (strstr(g_ptr_array_index(list, i), word))
            return true;
    return false;
}

START_TEST(gc_takes_what_nobody_wants)
{
    make_image("one", DIGEST_A);
    make_image("two", DIGEST_B);
    ck_assert(tb_store_set_name("two", DIGEST_A, NULL)); /* B has no name now */
    g_autofree char *staging = in_store("images", TB_STAGING_PREFIX DIGEST_A, "work");
    ck_assert_int_eq(g_mkdir_with_parents(staging, 0700), 0);
    g_autoptr(GPtrArray) found = tb_image_gc(false, NULL, NULL);
    ck_assert_uint_eq(found->len, 2);
    ck_assert(holds(found, "killed") && holds(found, "without a name"));
    ck_assert(tb_store_has(DIGEST_B));
    g_autoptr(GHashTable) keep = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_add(keep, (char *)DIGEST_B);
    g_autoptr(GPtrArray) kept = tb_image_gc(true, keep, NULL);
    ck_assert_uint_eq(kept->len, 1);
    ck_assert(tb_store_has(DIGEST_B));
    ck_assert(!g_file_test(staging, G_FILE_TEST_EXISTS));
    g_autoptr(GPtrArray) removed = tb_image_gc(true, NULL, NULL);
    ck_assert_uint_eq(removed->len, 1);
    ck_assert(!tb_store_has(DIGEST_B));
    ck_assert(tb_store_has(DIGEST_A));
}
END_TEST

START_TEST(leftovers_go_by_themselves)
{
    make_image("one", DIGEST_A);
    make_image("two", DIGEST_B);
    ck_assert(tb_store_set_name("two", DIGEST_A, NULL)); /* B has no name now */
    g_autofree char *killed = in_store("images", TB_STAGING_PREFIX DIGEST_A, "work");
    g_autofree char *trash = in_store("images", TB_TRASH_PREFIX DIGEST_A, NULL);
    g_autofree char *running = in_store("images", TB_STAGING_PREFIX DIGEST_B, "work");
    ck_assert_int_eq(g_mkdir_with_parents(killed, 0700), 0);
    ck_assert_int_eq(g_mkdir_with_parents(trash, 0700), 0);
    ck_assert_int_eq(g_mkdir_with_parents(running, 0700), 0);
    tb_autofd locks = tb_store_dir("locks", NULL, NULL);
    tb_autofd build = tb_lock(locks, "build-" DIGEST_B, false, NULL);
    ck_assert_int_ge(build, 0);
    tb_image_clean();
    g_autofree char *staging = in_store("images", TB_STAGING_PREFIX DIGEST_A, NULL);
    ck_assert(!g_file_test(staging, G_FILE_TEST_EXISTS));
    ck_assert(!g_file_test(trash, G_FILE_TEST_EXISTS));
    ck_assert(g_file_test(running, G_FILE_TEST_IS_DIR));
    ck_assert(tb_store_has(DIGEST_A) && tb_store_has(DIGEST_B));
}
END_TEST

START_TEST(cleaning_makes_nothing)
{
    g_autofree char *images = in_store("images", NULL, NULL);
    g_autofree char *cache = g_build_filename(root, "cache", "taskbox", "bootstrap", NULL);
    tb_image_clean();
    ck_assert(!g_file_test(images, G_FILE_TEST_EXISTS));
    ck_assert(!g_file_test(cache, G_FILE_TEST_EXISTS));
}
END_TEST

START_TEST(gc_leaves_builds_and_users_alone)
{
    make_image("one", DIGEST_A);
    make_image("one", DIGEST_B); /* A has no name now */
    tb_autofd lock = tb_store_lock_shared(DIGEST_A, NULL);
    ck_assert_int_ge(lock, 0);
    g_autofree char *staging = in_store("images", TB_STAGING_PREFIX DIGEST_B, NULL);
    ck_assert_int_eq(g_mkdir(staging, 0700), 0);
    tb_autofd locks = tb_store_dir("locks", NULL, NULL);
    tb_autofd build = tb_lock(locks, "build-" DIGEST_B, false, NULL);
    ck_assert_int_ge(build, 0);
    for (int apply = 0; apply < 2; apply++) {
        g_autoptr(GPtrArray) found = tb_image_gc(apply, NULL, NULL);
        ck_assert_uint_eq(found->len, 0);
    }
    ck_assert(tb_store_has(DIGEST_A));
    ck_assert(g_file_test(staging, G_FILE_TEST_IS_DIR));
}
END_TEST

START_TEST(the_manifest_is_shown_as_it_is)
{
    make_image("one", DIGEST_A);
    g_autofree char *text = tb_image_manifest("one", NULL);
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(strstr(text, "\"version\" : \"1:2.39\""));
    ck_assert_ptr_nonnull(strstr(text, "\"suite\" : \"bookworm\""));
}
END_TEST

static void make_layer_on(const char *name, const char *digest, const char *base_name,
                          const char *base_digest)
{
    g_autofree char *disk = sum(TB_IMAGE_DISK); /* all disks here hold this */
    make_layer(name, digest, &(Base){base_name, base_digest, disk});
}

START_TEST(a_layer_opens_with_what_it_lies_on)
{
    make_image("base", DIGEST_A);
    make_layer_on("layer", DIGEST_B, "base", DIGEST_A);
    g_autoptr(GError) error = NULL;
    g_autoptr(TbImage) image = tb_image_open("layer", &error);
    ck_assert_msg(image != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(image->base->digest, DIGEST_A);
    ck_assert_str_eq(image->bases[0], image->base->disk);
    ck_assert_ptr_null(image->bases[1]);
    ck_assert(!tb_store_drop(DIGEST_A, true, &error)); /* it is used, too */
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
    g_clear_pointer(&image, tb_image_free);
    ck_assert(tb_image_verify("layer", NULL));
    flip(DIGEST_A, TB_IMAGE_KERNEL);
    g_clear_error(&error);
    ck_assert(!tb_image_verify("layer", &error));
    ck_assert_msg(strstr(error->message, "kernel"), "got '%s'", error->message);
    g_clear_error(&error);
    ck_assert_ptr_null(tb_image_open("layer", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_IMAGE);
    ck_assert_msg(strstr(error->message, "image 'layer' is a layer on image 'base'"), "got '%s'",
                  error->message);
}
END_TEST

/* Of the same recipe, with the same digest and other bytes: blocks of the one and blocks of the
 * other would make a disk that never was. */
START_TEST(a_base_that_was_built_anew_is_not_taken_for_the_old)
{
    g_autofree char *other = sum("another build");
    make_image("base", DIGEST_A);
    make_layer("layer", DIGEST_B, &(Base){"base", DIGEST_A, other});
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_image_open("layer", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_IMAGE);
    ck_assert_msg(strstr(error->message, "which was built anew since (run 'taskbox image build "
                                         "layer')"),
                  "got '%s'", error->message);
}
END_TEST

START_TEST(what_has_layers_stays)
{
    make_image("base", DIGEST_A);
    make_layer_on("layer", DIGEST_B, "base", DIGEST_A);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_image_remove("base", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
    ck_assert_str_eq(error->message, "image 'base' has layers on it: layer (remove these first, "
                                     "with 'taskbox image rm')");
    g_clear_error(&error);
    /* A name that means another image now: the layer's stays as it was. */
    make_image("other", DIGEST_C);
    ck_assert(tb_store_set_name("base", DIGEST_C, NULL));
    g_autoptr(GPtrArray) found = tb_image_gc(true, NULL, NULL);
    ck_assert(tb_store_has(DIGEST_A));
    ck_assert_uint_eq(found->len, 0);
    g_autoptr(TbImage) image = tb_image_open("layer", &error);
    ck_assert_msg(image != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(image->base->digest, DIGEST_A);
    g_clear_pointer(&image, tb_image_free);
    /* Damaged, it may be replaced; then the layer says so. */
    ck_assert(tb_store_drop(DIGEST_A, true, NULL));
    ck_assert_ptr_null(tb_image_open("layer", &error));
    ck_assert_msg(strstr(error->message, "cannot be used"), "got '%s'", error->message);
    ck_assert(tb_image_remove("layer", NULL));
}
END_TEST

START_TEST(gc_takes_layers_and_what_they_lie_on)
{
    make_image("base", DIGEST_A);
    make_layer_on("layer", DIGEST_B, "base", DIGEST_A);
    make_image("new", DIGEST_C);
    ck_assert(tb_store_set_name("base", DIGEST_C, NULL));
    ck_assert(tb_store_set_name("layer", DIGEST_C, NULL));
    g_autoptr(GHashTable) keep = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_add(keep, (char *)DIGEST_B); /* of a box that is kept */
    g_autoptr(GPtrArray) kept = tb_image_gc(true, keep, NULL);
    ck_assert_uint_eq(kept->len, 0);
    g_autoptr(GPtrArray) said = tb_image_gc(false, NULL, NULL);
    ck_assert_uint_eq(said->len, 2);
    ck_assert(tb_store_has(DIGEST_A) && tb_store_has(DIGEST_B));
    g_autoptr(GPtrArray) taken = tb_image_gc(true, NULL, NULL);
    ck_assert_uint_eq(taken->len, 2);
    ck_assert(!tb_store_has(DIGEST_A) && !tb_store_has(DIGEST_B) && tb_store_has(DIGEST_C));
}
END_TEST

START_TEST(layers_end_somewhere)
{
    g_autoptr(GError) error = NULL;
    make_layer_on("loop", DIGEST_A, "loop", DIGEST_A);
    ck_assert_ptr_null(tb_image_open("loop", &error));
    ck_assert_msg(strstr(error->message, "more than 4 layers"), "got '%s'", error->message);
    make_layer("half", DIGEST_B, &(Base){.digest = DIGEST_A});
    g_clear_error(&error);
    ck_assert_ptr_null(tb_image_open("half", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_IMAGE);
    make_layer("path", DIGEST_C, &(Base){"base", "../../../etc", DIGEST_A});
    g_clear_error(&error);
    ck_assert_ptr_null(tb_image_open("path", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_IMAGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image-store");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_image_is_found_by_name_and_by_prefix);
    tcase_add_test(tcase, what_is_not_there_says_what_to_do);
    tcase_add_test(tcase, a_missing_file_is_named);
    tcase_add_test(tcase, an_unchanged_image_is_not_hashed_again);
    tcase_add_test(tcase, an_image_in_use_is_not_removed);
    tcase_add_test(tcase, two_names_may_mean_one_image);
    tcase_add_test(tcase, lists_show_damaged_and_nameless_ones);
    tcase_add_test(tcase, gc_takes_what_nobody_wants);
    tcase_add_test(tcase, leftovers_go_by_themselves);
    tcase_add_test(tcase, cleaning_makes_nothing);
    tcase_add_test(tcase, gc_leaves_builds_and_users_alone);
    tcase_add_test(tcase, the_manifest_is_shown_as_it_is);
    tcase_add_loop_test(tcase, a_flipped_byte_is_noticed_before_use, 0, 5);
    tcase_add_test(tcase, a_layer_opens_with_what_it_lies_on);
    tcase_add_test(tcase, a_base_that_was_built_anew_is_not_taken_for_the_old);
    tcase_add_test(tcase, what_has_layers_stays);
    tcase_add_test(tcase, gc_takes_layers_and_what_they_lie_on);
    tcase_add_test(tcase, layers_end_somewhere);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
