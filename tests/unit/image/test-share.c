/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Import: files as somebody who means harm would make them. A good one first, then one thing of it
 * at a time is changed; after each the store is as it was. */
#include <check.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../suite.h"
#include "image/archive.h"
#include "image/manifest.h"
#include "image/share.h"
#include "image/store-private.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/fs.h"

#define GIB       ((uint64_t)1 << 30)
#define DIGEST    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DISK_SIZE 1024

static char root[] = "/tmp/tb-share-XXXXXX";

static void setup(void)
{
    ck_assert_ptr_nonnull(g_mkdtemp(root));
    g_setenv("XDG_DATA_HOME", root, TRUE);
    g_autofree char *cache = g_build_filename(root, "cache", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
    g_setenv("XDG_CONFIG_HOME", cache, TRUE);
}

static void teardown(void)
{
    g_autofree char *name = g_path_get_basename(root);
    tb_autofd tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert(tb_remove_tree(tmp, name, NULL));
}

/* What a test changes in a good archive. */
typedef struct {
    const char *name; /* in the manifest */
    const char *arch, *cmdline, *kernel_release, *env, *warm, *base;
    unsigned cpus;
    uint64_t disk_size;       /* in the manifest */
    unsigned disk_byte;       /* of the disk's header: set to 1 + its place's ... */
    uint8_t disk_value;       /* ... to this; place 0: none */
    int wrong_sum;            /* 1..4: this digest is another's */
    const char *from, *to;    /* in the manifest's text */
    int header;               /* 1..5: of this file's header */
    unsigned header_at;       /* this place ... */
    const char *header_bytes; /* ... holds this */
    uint64_t claims;          /* the size that header names, with `header` */
    size_t cut;               /* bytes that are missing at the end */
    const char *after;        /* what comes after the end */
    char between;             /* in the padding after the kernel */
} Change;

static GString *disk_of(const Change *change)
{
    GString *disk = g_string_new(NULL);
    g_string_set_size(disk, DISK_SIZE);
    memset(disk->str, 0, DISK_SIZE);
    memcpy(disk->str, "QFI\xfb\0\0\0\3", 8);
    disk->str[28] = 0x40; /* 1 GiB */
    if (change->disk_byte)
        disk->str[change->disk_byte] = (char)change->disk_value;
    return disk;
}

static char *manifest_of(const Change *change, const char *const sums[3])
{
    char *env[] = {(char *)(change->env ? change->env : "A=b"), NULL};
    char *warm[] = {(char *)(change->warm ? change->warm : "true"), NULL};
    g_autoptr(GPtrArray) hosts = tb_image_hosts_new();
    ck_assert(tb_image_hosts_add(hosts, "apt", "evil.example.org", "its own word"));
    const TbImage image = {
        .hosts = hosts,
        .name = (char *)(change->name ? change->name : "sent"),
        .digest = (char *)DIGEST,
        .cmdline = (char *)(change->cmdline ? change->cmdline : "root=LABEL=x quiet"),
        .cpus = change->cpus ? change->cpus : 2,
        .memory = GIB,
        .disk_size = change->disk_size ? change->disk_size : GIB,
        .filesystems = (char *)"ext4,erofs",
        .kernel_release = (char *)(change->kernel_release ? change->kernel_release : "6.1.0"),
        .arch = (char *)(change->arch ? change->arch : tb_host_arch()),
        .taskbox = (char *)"0.1.0",
        .created = 1700000000,
        .env = env,
        .warm = warm,
        .base_name = (char *)change->base,
        .base_digest = (char *)(change->base ? DIGEST : NULL),
        .base_sum = (char *)(change->base ? DIGEST : NULL),
    };
    g_autoptr(GPtrArray) packages = g_ptr_array_new();
    g_ptr_array_add(packages, (char *)"git 1:2.39");
    g_ptr_array_add(packages, (char *)"\033[31mred 1");
    const TbManifestSources sources = {.suite = "bookworm", .packages = packages};
    char *text = tb_image_manifest_write(&image, &sources, sums);
    if (!change->from)
        return text;
    g_auto(GStrv) parts = g_strsplit(text, change->from, -1);
    ck_assert_ptr_nonnull(parts[1]);
    g_free(text);
    return g_strjoinv(change->to, parts);
}

static void add_file(GString *archive, const Change *change, int number, const char *name,
                     const char *data, size_t length)
{
    uint8_t block[TB_ARCHIVE_BLOCK];
    bool changed = change->header == number;
    tb_archive_header(block, name, changed && change->claims ? change->claims : length);
    if (changed && change->header_bytes) {
        memcpy(block + change->header_at, change->header_bytes, strlen(change->header_bytes));
        unsigned sum = 8 * ' ';
        for (unsigned i = 0; i < TB_ARCHIVE_BLOCK; i++)
            sum += i >= 148 && i < 156 ? 0 : block[i];
        g_autofree char *text = g_strdup_printf("%06o", sum);
        memcpy(block + 148, text, 7);
    }
    g_string_append_len(archive, (char *)block, sizeof block);
    g_string_append_len(archive, data, (gssize)length);
    while (archive->len % TB_ARCHIVE_BLOCK)
        g_string_append_c(archive, '\0');
}

static GString *archive_of(const Change *change)
{
    GString *archive = g_string_new(NULL);
    g_autoptr(GString) disk = disk_of(change);
    char *sums[4];
    sums[0] = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (uint8_t *)disk->str, disk->len);
    sums[1] = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "kernel", -1);
    sums[2] = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "initrd", -1);
    g_autofree char *manifest = manifest_of(change, (const char *const *)sums);
    sums[3] = g_compute_checksum_for_string(G_CHECKSUM_SHA256, manifest, -1);
    if (change->wrong_sum)
        sums[change->wrong_sum - 1][0] = sums[change->wrong_sum - 1][0] == '0' ? '1' : '0';
    g_autofree char *list = tb_image_sums_format((const char *const *)sums, sums[3]);
    add_file(archive, change, 1, TB_IMAGE_MANIFEST, manifest, strlen(manifest));
    add_file(archive, change, 2, TB_IMAGE_SUMS, list, strlen(list));
    add_file(archive, change, 3, TB_IMAGE_KERNEL, "kernel", 6);
    add_file(archive, change, 4, TB_IMAGE_INITRD, "initrd", 6);
    add_file(archive, change, 5, TB_IMAGE_DISK, disk->str, disk->len);
    for (unsigned i = 0; i < 2 * TB_ARCHIVE_BLOCK; i++)
        g_string_append_c(archive, '\0');
    if (change->between) /* before the heads of initrd and disk, their bytes and the end */
        archive->str[archive->len - 3 * TB_ARCHIVE_BLOCK - DISK_SIZE - 2 * TB_ARCHIVE_BLOCK - 1] =
            change->between;
    if (change->after)
        g_string_append(archive, change->after);
    g_string_truncate(archive, archive->len - change->cut);
    for (unsigned i = 0; i < 4; i++)
        g_free(sums[i]);
    return archive;
}

static TbImage *import(const Change *change, const char *name, bool *there, GError **error)
{
    g_autoptr(GString) archive = archive_of(change);
    tb_autofd fd = memfd_create("archive", MFD_CLOEXEC);
    ck_assert(tb_write_all(fd, archive->str, archive->len, "the archive", NULL));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return tb_image_import_fd(fd, "x.tar", name, false, there, error);
}

/* Locks apart, nothing is in the store. */
static void assert_empty(void)
{
    g_autoptr(GPtrArray) images = tb_store_entries("images", true, NULL);
    g_autoptr(GPtrArray) names = tb_store_entries("names", true, NULL);
    ck_assert_uint_eq(images->len, 0);
    ck_assert_uint_eq(names->len, 0);
}

START_TEST(a_good_one_is_an_image_of_its_own)
{
    g_autoptr(GError) error = NULL;
    bool there = true;
    g_autoptr(TbImage) image = import(&(Change){0}, NULL, &there, &error);
    ck_assert_msg(image != NULL, "%s", error ? error->message : "");
    ck_assert(!there);
    ck_assert_str_eq(image->name, "sent");
    ck_assert(image->imported);
    ck_assert_str_eq(image->env[0], "A=b");
    ck_assert_str_eq(image->warm[0], "true");
    ck_assert_uint_eq(image->hosts->len, 0); /* a group of hosts names nothing of a stranger's */
    ck_assert_str_ne(image->digest, DIGEST); /* whatever it says: it is not what was built */
    ck_assert(!tb_store_has(DIGEST));
    ck_assert(tb_image_verify("sent", NULL));
    g_autofree char *manifest = tb_image_manifest("sent", NULL);
    ck_assert_ptr_nonnull(strstr(manifest, "1:2.39"));
    ck_assert_ptr_null(strstr(manifest, "red"));
    struct stat st;
    ck_assert_int_eq(stat(image->disk, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0444);
    ck_assert_int_eq(st.st_size, DISK_SIZE);
    /* Once more, and by another name: the same image. */
    g_autoptr(TbImage) again = import(&(Change){0}, "other", &there, &error);
    ck_assert_msg(again != NULL, "%s", error ? error->message : "");
    ck_assert(there);
    ck_assert_str_eq(again->digest, image->digest);
}
END_TEST

static const struct {
    Change change;
    const char *words;
} hostile[] = {
    /* The disk: what a tool would open besides it. */
    {{.disk_byte = 15, .disk_value = 0x90}, "it has a backing file"},
    {{.disk_byte = 8, .disk_value = 1}, "it has a backing file"},
    {{.disk_byte = 79, .disk_value = 1 << 2}, "its data lie in another file"},
    {{.disk_byte = 35, .disk_value = 1}, "it is encrypted"},
    {{.disk_byte = 79, .disk_value = 1 << 1}, "or it is damaged"},
    {{.disk_byte = 72, .disk_value = 1}, "or it is damaged"},
    {{.disk_byte = 7, .disk_value = 9}, "unknown qcow2 version"},
    {{.disk_byte = 1, .disk_value = 'x'}, "it is no qcow2 image"},
    {{.disk_byte = 24, .disk_value = 1}, "its size is not what the manifest says"},
    {{.disk_size = 2 * GIB}, "its size is not what the manifest says"},
    /* Digests. */
    {{.wrong_sum = 1}, "a file in it is not what its digests say"},
    {{.wrong_sum = 2}, "a file in it is not what its digests say"},
    {{.wrong_sum = 3}, "a file in it is not what its digests say"},
    {{.wrong_sum = 4}, "its manifest is not what its digests say"},
    /* The manifest. */
    {{.base = "debian"}, "it is a layer without what it lies on"},
    {{.cmdline = "root=x\n<evil/>"}, "a value in its manifest makes no sense"},
    {{.kernel_release = "6.1\033[2J"}, "a value in its manifest makes no sense"},
    {{.env = "A B=c"}, "a value in its manifest makes no sense"},
    {{.env = "nothing"}, "a value in its manifest makes no sense"},
    {{.env = "=x"}, "a value in its manifest makes no sense"},
    {{.warm = ""}, "a value in its manifest makes no sense"},
    {{.cpus = 100000}, "a value in its manifest makes no sense"},
    {{.disk_size = (uint64_t)1 << 50}, "a value in its manifest makes no sense"},
    {{.arch = "vax"}, "it is for 'vax', and this host is"},
    {{.name = "../../names/x"}, "cannot read the image's manifest"},
    {{.from = "\"format\"", .to = "\"formal\""}, "cannot read the image's manifest"},
    {{.from = "{", .to = "["}, "cannot read the image's manifest"},
    {{.from = DIGEST, .to = "../../x"}, "cannot read the image's manifest"},
    /* The archive: names, kinds, sizes. */
    {{.header = 5, .header_bytes = "../../disk"}, "not the one that must be there"},
    {{.header = 3, .header_bytes = "/kernel"}, "not the one that must be there"},
    {{.header = 3, .header_at = 156, .header_bytes = "2"}, "not the one that must be there"},
    {{.header = 3, .header_at = 156, .header_bytes = "1"}, "not the one that must be there"},
    {{.header = 3, .header_at = 156, .header_bytes = "5"}, "not the one that must be there"},
    {{.header = 3, .header_at = 156, .header_bytes = "x"}, "not the one that must be there"},
    {{.header = 4, .header_at = 157, .header_bytes = "/etc/passwd"}, "not the one that must"},
    {{.header = 4, .header_at = 345, .header_bytes = "../.."}, "not the one that must be there"},
    {{.header = 4, .header_at = 124, .header_bytes = "-0000000001"}, "makes no sense"},
    {{.header = 4, .header_at = 257, .header_bytes = "nothing"}, "is no exported image"},
    {{.header = 1, .claims = 17 << 20}, "a file in it is larger than it can be"},
    {{.header = 2, .claims = 65537}, "a file in it is larger than it can be"},
    {{.header = 3, .claims = GIB}, "a file in it is larger than it can be"},
    {{.header = 5, .claims = 2 * GIB}, "a file in it is larger than it can be"},
    {{.header = 5, .claims = (uint64_t)1 << 60}, "a file in it is larger than it can be"},
    {{.header = 5, .claims = 100}, "a file in it is not what its digests say"},
    {{.between = 'x'}, "there is something between the files"},
    {{.cut = 1}, "it ends too early"},
    {{.cut = TB_ARCHIVE_BLOCK}, "it ends too early"},
    {{.cut = 2 * TB_ARCHIVE_BLOCK + 1}, "it ends too early"},
    {{.cut = 5 * TB_ARCHIVE_BLOCK}, "it ends too early"},
    {{.after = "more"}, "it ends too early"},
};

START_TEST(a_hostile_one_gains_nothing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbImage) image = import(&hostile[_i].change, NULL, NULL, &error);
    ck_assert_ptr_null(image);
    ck_assert_msg(strstr(error->message, hostile[_i].words), "got '%s'", error->message);
    ck_assert(tb_error_code(error) == TB_ERROR_IMAGE ||
              tb_error_code(error) == TB_ERROR_UNSUPPORTED);
    ck_assert(g_utf8_validate(error->message, -1, NULL));
    ck_assert_ptr_null(strchr(error->message, '\033'));
    assert_empty();
}
END_TEST

START_TEST(more_than_the_image_is_refused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *block = g_strnfill(TB_ARCHIVE_BLOCK, 'x');
    ck_assert_ptr_null(import(&(Change){.after = block}, NULL, NULL, &error));
    ck_assert_msg(strstr(error->message, "there is more in it"), "got '%s'", error->message);
    assert_empty();
}
END_TEST

START_TEST(its_name_takes_nothing_away)
{
    g_autoptr(GError) error = NULL;
    /* A recipe's, the default image's above all. */
    ck_assert_ptr_null(import(&(Change){.name = "debian"}, NULL, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_EXISTS);
    ck_assert_msg(strstr(error->message, "say --name debian"), "got '%s'", error->message);
    assert_empty();
    g_autoptr(TbImage) meant = import(&(Change){.name = "debian"}, "debian", NULL, NULL);
    ck_assert_ptr_nonnull(meant);
    /* Another image's, even when it is asked for. */
    g_clear_error(&error);
    ck_assert_ptr_null(import(&(Change){.env = "OTHER=1"}, "debian", NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_EXISTS);
    g_autoptr(TbImage) still = tb_image_open("debian", NULL);
    ck_assert_str_eq(still->digest, meant->digest);
    g_clear_error(&error);
    ck_assert_ptr_null(import(&(Change){0}, "../x", NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
}
END_TEST

/* Some kilobytes that would be a petabyte: refused by what they say, not by what they fill. */
START_TEST(a_bomb_does_not_go_off)
{
    g_autoptr(GString) archive = archive_of(&(Change){.header = 5, .claims = (uint64_t)1 << 50});
    g_autoptr(GBytes) packed = NULL;
    g_autoptr(TbCommand) zstd = tb_command_new("zstd");
    g_autoptr(GError) error = NULL;
    size_t length = archive->len;
    g_string_set_size(archive, length + (64 << 20));
    memset(archive->str + length, 0, 64 << 20);
    tb_command_add(zstd, "-q", "-c", NULL);
    tb_command_set_stdin_bytes(zstd, archive->str, archive->len);
    ck_assert(tb_command_run(zstd, &packed, NULL));
    ck_assert_uint_lt(g_bytes_get_size(packed), 64 << 10);
    g_autofree char *path = g_build_filename(root, "bomb", NULL);
    ck_assert(g_file_set_contents(path, g_bytes_get_data(packed, NULL),
                                  (gssize)g_bytes_get_size(packed), NULL));
    ck_assert_ptr_null(tb_image_import(path, NULL, NULL, &error));
    ck_assert_msg(strstr(error->message, "larger than it can be"), "got '%s'", error->message);
    assert_empty();
    g_clear_error(&error);
    ck_assert(g_file_set_contents(path, "no zstd at all", -1, NULL));
    ck_assert_ptr_null(tb_image_import(path, NULL, NULL, &error));
    g_clear_error(&error);
    ck_assert_ptr_null(tb_image_import(root, NULL, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
}
END_TEST

START_TEST(what_is_exported_comes_back)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbImage) image = import(&(Change){0}, NULL, NULL, NULL);
    g_autofree char *path = g_build_filename(root, "out", NULL);
    ck_assert_msg(tb_image_export("sent", path, &error), "%s", error ? error->message : "");
    ck_assert(!tb_image_export("sent", path, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_EXISTS);
    g_autoptr(TbImage) back = tb_image_import(path, "back", NULL, NULL);
    ck_assert_ptr_nonnull(back);
    ck_assert_str_eq(back->env[0], "A=b");
    ck_assert_str_ne(back->digest, image->digest);
    g_autofree char *one = tb_image_disk_sum(image->dir, NULL);
    g_autofree char *two = tb_image_disk_sum(back->dir, NULL);
    ck_assert_str_eq(one, two);
    /* Not through a link that was put there. */
    g_autofree char *link = g_build_filename(root, "link", NULL);
    g_autofree char *target = g_build_filename(root, "target", NULL);
    ck_assert_int_eq(symlink(target, link), 0);
    ck_assert(!tb_image_export("sent", link, NULL));
    ck_assert(!g_file_test(target, G_FILE_TEST_EXISTS));
}
END_TEST

START_TEST(sizes_survive_a_header)
{
    static const uint64_t sizes[] = {
        0, 1, 511, ((uint64_t)1 << 33) - 1, (uint64_t)1 << 33, (uint64_t)1 << 44};
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GError) error = NULL;
        Change change = {.header = 5, .claims = sizes[i] ? sizes[i] : 1};
        g_autoptr(TbImage) image = import(&change, NULL, NULL, &error);
        ck_assert_ptr_null(image); /* that the size was read shows in why */
        bool large = change.claims > 2 * GIB;
        ck_assert_msg(strstr(error->message, large ? "larger than it can be" : "is not what its") ||
                          strstr(error->message, "between the files"),
                      "size %zu: '%s'", i, error->message);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image-share");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_good_one_is_an_image_of_its_own);
    tcase_add_test(tcase, more_than_the_image_is_refused);
    tcase_add_test(tcase, its_name_takes_nothing_away);
    tcase_add_test(tcase, a_bomb_does_not_go_off);
    tcase_add_test(tcase, what_is_exported_comes_back);
    tcase_add_test(tcase, sizes_survive_a_header);
    tcase_add_loop_test(tcase, a_hostile_one_gains_nothing, 0, G_N_ELEMENTS(hostile));
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
