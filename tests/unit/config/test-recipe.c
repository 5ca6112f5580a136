/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include "../suite.h"
#include "config/recipe.h"
#include "util/error.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static TbRecipe *parse(const char *text, GError **error)
{
    return tb_recipe_parse("/r/thing.yaml", text, strlen(text), error);
}

START_TEST(reads_a_bootstrap)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbRecipe) r =
        parse("bootstrap:\n  suite: bookworm\n  packages: [git, g++]\ncpus: 3\nmemory: 1GiB\n"
              "disk: 8G\nmountType: 9p\nprovision:\n  - mode: system\n    script: |\n      a\n"
              "      b\n  - {script: c, mode: user}\n",
              &error);
    ck_assert_msg(r != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(r->name, "thing");
    ck_assert_str_eq(r->suite, "bookworm");
    ck_assert_str_eq(r->packages[1], "g++");
    ck_assert_uint_eq(r->cpus, 3);
    ck_assert_uint_eq(r->memory, 1ULL << 30);
    ck_assert_uint_eq(r->disk, 8ULL << 30);
    ck_assert_int_eq(r->mount_type, TB_MOUNT_9P);
    ck_assert_uint_eq(r->provision->len, 2);
    const TbProvision *first = g_ptr_array_index(r->provision, 0);
    ck_assert_str_eq(first->script, "a\nb\n");
    ck_assert(!first->user);
    ck_assert(((TbProvision *)g_ptr_array_index(r->provision, 1))->user);
}
END_TEST

START_TEST(reads_images_and_takes_the_host_s)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbRecipe) r = parse("images:\n- {location: /a.img, arch: aarch64}\n"
                                  "- {location: 'https://x/b.img', arch: x86_64, digest: "
                                  "'sha256:" HEX64 "'}\n- location: c.img\n",
                                  &error);
    ck_assert_msg(r != NULL, "%s", error ? error->message : "");
    const TbRecipeImage *image = tb_recipe_image(r, &error);
    ck_assert_ptr_nonnull(image);
    ck_assert(!image->arch || g_str_equal(image->arch, tb_host_arch()));
    const char *other = g_str_equal(tb_host_arch(), "aarch64") ? "x86_64" : "aarch64";
    g_autofree char *text = g_strdup_printf("images: [{location: /a, arch: %s}]", other);
    g_autoptr(TbRecipe) foreign = parse(text, NULL);
    ck_assert_ptr_nonnull(foreign);
    ck_assert_ptr_null(tb_recipe_image(foreign, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_UNSUPPORTED);
}
END_TEST

START_TEST(reads_a_layer)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbRecipe) r =
        parse("from: debian\nmemory: 1GiB\nenv: {A: '1', B: two words}\n"
              "packages: [gcc, g++]\nfiles:\n"
              "- {path: /etc/x, content: hello, mode: 0600, owner: 'agent:adm'}\n"
              "- {path: /opt/y, content: ''}\nwarm: [cc --version, 'true']\n",
              &error);
    ck_assert_msg(r != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(r->from, "debian");
    ck_assert_str_eq(r->env[1], "B=two words");
    ck_assert_str_eq(r->install[1], "g++");
    ck_assert_str_eq(r->warm[0], "cc --version");
    const TbRecipeFile *x = g_ptr_array_index(r->files, 0), *y = g_ptr_array_index(r->files, 1);
    ck_assert_uint_eq(x->mode, 0600);
    ck_assert_str_eq(x->owner, "agent:adm");
    ck_assert_uint_eq(y->mode, 0644);
    ck_assert_ptr_null(y->owner);
    ck_assert_str_eq(y->content, "");
    ck_assert(tb_recipe_has_steps(r));
    /* The rest is what it lies on. */
    char *env[] = {(char *)"B=other", (char *)"C=3", NULL};
    tb_recipe_inherit(r, &(TbRecipeDefaults){3, 5ULL << 30, 7ULL << 30, TB_MOUNT_9P, env});
    ck_assert_uint_eq(r->cpus, 3);
    ck_assert_uint_eq(r->memory, 1ULL << 30);
    ck_assert_uint_eq(r->disk, 7ULL << 30);
    ck_assert_int_eq(r->mount_type, TB_MOUNT_9P);
    g_autofree char *all = g_strjoinv(";", r->env);
    ck_assert_str_eq(all, "A=1;B=two words;C=3");
    g_autoptr(TbRecipe) bare = parse("from: x", NULL);
    ck_assert(!tb_recipe_has_steps(bare));
}
END_TEST

START_TEST(variables_are_not_for_whole_files)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *long_value = g_strnfill(33 * 1024, 'x');
    g_autofree char *text = g_strdup_printf("from: a\nenv: {A: %s}\n", long_value);
    ck_assert_ptr_null(parse(text, &error));
    ck_assert_msg(strstr(error->message, "'env' is too long (32 KiB"), "%s", error->message);
}
END_TEST

/* mmdebstrap does it, without a network in the box. */
START_TEST(packages_of_a_bootstrap_are_the_bootstraps)
{
    g_autoptr(TbRecipe) r = parse("packages: [c]\nbootstrap: {suite: s, packages: [a, b]}\n", NULL);
    g_autofree char *all = g_strjoinv(" ", r->packages);
    ck_assert_str_eq(all, "a b c");
    ck_assert(!tb_recipe_has_steps(r));
}
END_TEST

/* A whole template, as somebody wrote it for Lima. */
START_TEST(a_template_of_limas_is_taken_as_it_is)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbRecipe) r = tb_recipe_load(TB_TEST_DATA "/dotnet-sandbox.yaml", &error);
    ck_assert_msg(r != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(r->name, "dotnet-sandbox");
    ck_assert_uint_eq(r->images->len, 2);
    const TbRecipeImage *image = g_ptr_array_index(r->images, 0);
    ck_assert(g_str_has_prefix(image->location, "https://cloud-images.ubuntu.com/"));
    ck_assert_str_eq(image->arch, "x86_64");
    ck_assert_uint_eq(r->cpus, 4);
    ck_assert_uint_eq(r->memory, 8ULL << 30);
    ck_assert_uint_eq(r->disk, 40ULL << 30);
    ck_assert_int_eq(r->mount_type, TB_MOUNT_9P);
    ck_assert_uint_eq(r->provision->len, 1);
    const TbProvision *step = g_ptr_array_index(r->provision, 0);
    ck_assert(!step->user);
    ck_assert(g_str_has_prefix(step->script, "#!/bin/bash\nset -eux"));
    ck_assert_ptr_nonnull(strstr(step->script, "snap install --classic powershell\n"));
    /* What means nothing here is said, with its place. */
    ck_assert_uint_eq(r->ignored->len, 3);
    ck_assert_str_eq(r->ignored->pdata[0],
                     TB_TEST_DATA "/dotnet-sandbox.yaml:13:1: 'mounts' is left out: a box sees the "
                                  "project and nothing else of this machine");
    ck_assert_ptr_nonnull(strstr(r->ignored->pdata[1], ":19:1: 'containerd' is left out: "));
    ck_assert_ptr_nonnull(strstr(r->ignored->pdata[2], ":23:1: 'ssh' is left out: "));
}
END_TEST

START_TEST(a_recipe_for_another_machine_is_refused)
{
    g_autoptr(GError) error = NULL;
    const char *other = g_str_equal(tb_host_arch(), "aarch64") ? "x86_64" : "aarch64";
    g_autofree char *text = g_strdup_printf("arch: %s\nimages: [{location: /a}]\n", other);
    g_autoptr(TbRecipe) r = parse(text, NULL);
    ck_assert_ptr_null(tb_recipe_image(r, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_UNSUPPORTED);
    g_autoptr(TbRecipe) any = parse("arch: default\nimages: [{location: /a}]\n", NULL);
    ck_assert_ptr_nonnull(tb_recipe_image(any, NULL));
}
END_TEST

START_TEST(fills_in_sensible_defaults)
{
    g_autoptr(TbRecipe) r = parse("bootstrap: {suite: sid}", NULL);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_ge(r->cpus, 1);
    ck_assert_uint_ge(r->memory, 256ULL << 20);
    ck_assert_uint_le(r->memory, 2ULL << 30);
    ck_assert_uint_eq(r->disk, 20ULL << 30);
    ck_assert_int_eq(r->mount_type, TB_MOUNT_IMAGE);
    ck_assert_ptr_nonnull(r->packages);
}
END_TEST

static const struct {
    const char *text, *message;
} bad[] = {
    {"", "/r/thing.yaml:1:1: none of 'images', 'bootstrap' and 'from'"},
    {"bootstrap: {suite: a}\nimages: [{location: x}]\n", "/r/thing.yaml:1:1: more than one of"},
    {"bootstrap: {packages: [git]}\n", "/r/thing.yaml:1:12: 'suite' is missing"},
    {"bootstrap: {suite: a}\ncpu: 1\n",
     "/r/thing.yaml:2:1: unknown key 'cpu' (did you mean 'cpus'?)"},
    {"bootstrap: {suit: a}\n", "/r/thing.yaml:1:13: unknown key 'suit' (did you mean 'suite'?)"},
    {"bootstrap: {suite: '--mode=root'}\n", "/r/thing.yaml:1:20: bad suite"},
    {"bootstrap: {suite: a, packages: ['-x']}\n", "/r/thing.yaml:1:34: bad package name"},
    {"bootstrap: {suite: a, packages: ['a b']}\n", "/r/thing.yaml:1:34: bad package name"},
    {"bootstrap: {suite: a, packages: git}\n", "/r/thing.yaml:1:33: 'packages' must be a list"},
    {"images: [{arch: x86_64}]\n", "/r/thing.yaml:1:10: 'location' is missing"},
    {"images: [{location: 'http://x/y'}]\n", "/r/thing.yaml:1:21: unsupported location"},
    {"images: [{location: x, digest: 'md5:00'}]\n", "/r/thing.yaml:1:32: bad digest"},
    {"images: [{location: x, digest: 'sha256:12'}]\n", "/r/thing.yaml:1:32: bad digest"},
    {"images: [{location: x, arch: vax}]\n", "/r/thing.yaml:1:30: bad value 'vax'"},
    {"mountType: [virtiofs]\n", "/r/thing.yaml:1:12: "},
    {"mountType: reverse-sshfs\n", "/r/thing.yaml:1:12: mountType 'reverse-sshfs' is not"},
    {"mountType: nfs\n",
     "/r/thing.yaml:1:12: bad value 'nfs' (must be one of: image, 9p, virtiofs, auto)"},
    {"agents: [nobody]\n", "/r/thing.yaml:1:10: there is no profile of an agent 'nobody'"},
    {"provision: [{mode: boot, script: x}]\n", "/r/thing.yaml:1:20: mode 'boot' is not supported"},
    {"provision: [{mode: system}]\n", "/r/thing.yaml:1:13: 'script' is missing"},
    {"memory: 1MiB\n", "/r/thing.yaml:1:9: too little memory"},
    {"disk: 1MiB\n", "/r/thing.yaml:1:7: bad disk size"},
    {"disk: lots\n", "/r/thing.yaml:1:7: "},
    {"cpus: 1000\n", "/r/thing.yaml:1:7: too many cpus"},
    {"from: ./x.yaml\n", "/r/thing.yaml:1:7: bad name of an image"},
    {"from: a\nbootstrap: {suite: s}\n", "/r/thing.yaml:1:1: more than one of"},
    {"env: [A]\n", "/r/thing.yaml:1:6: 'env' must be a mapping"},
    {"env: {'A B': c}\n", "/r/thing.yaml:1:7: bad variable name"},
    {"files: [{path: etc/x, content: a}]\n", "/r/thing.yaml:1:16: bad path"},
    {"files: [{path: /etc/../x, content: a}]\n", "/r/thing.yaml:1:16: bad path"},
    {"files: [{path: /etc//x, content: a}]\n", "/r/thing.yaml:1:16: bad path"},
    {"files: [{path: /etc/, content: a}]\n", "/r/thing.yaml:1:16: bad path"},
    {"files: [{path: /tmp/x, content: a}]\n", "/r/thing.yaml:1:16: a file there would not be"},
    {"files: [{path: /workspace/x, content: a}]\n", "/r/thing.yaml:1:16: a file there would"},
    {"files: [{path: /x, content: a, mode: 4755}]\n", "/r/thing.yaml:1:38: bad mode"},
    {"files: [{path: /x, content: a, mode: 9}]\n", "/r/thing.yaml:1:38: bad mode"},
    {"files: [{path: /x, content: a, owner: '-R'}]\n", "/r/thing.yaml:1:39: bad owner"},
    {"files: [{path: /x, content: a, owner: 'a:b:c'}]\n", "/r/thing.yaml:1:39: bad owner"},
    {"files: [{path: /x}]\n", "/r/thing.yaml:1:9: 'content' is missing"},
    {"files: [{content: x}]\n", "/r/thing.yaml:1:9: 'path' is missing"},
    {"packages: ['a;b']\n", "/r/thing.yaml:1:12: bad package name"},
    {"warm: ['']\n", "/r/thing.yaml:1:8: empty value"},
    {"warm: cc\n", "/r/thing.yaml:1:7: 'warm' must be a list"},
    {"base: template:x\n", "/r/thing.yaml:1:7: Lima's 'base' is not supported"},
    {"arch: vax\n", "/r/thing.yaml:1:7: bad value 'vax'"},
    {"portForward: []\n", "/r/thing.yaml:1:1: unknown key 'portForward' (valid keys: images, "},
    {"cpus: 1\ncpus: 1\n", "/r/thing.yaml:2:1: duplicate key 'cpus'"},
};

START_TEST(says_what_is_wrong_and_where)
{
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(parse(bad[_i].text, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    ck_assert_msg(g_str_has_prefix(error->message, bad[_i].message), "got '%s'", error->message);
}
END_TEST

static char *canonical(const char *path, const char *text)
{
    g_autoptr(TbRecipe) r = tb_recipe_parse(path, text, strlen(text), NULL);
    ck_assert_ptr_nonnull(r);
    return tb_recipe_canonical(r);
}

START_TEST(the_canonical_form_is_stable)
{
    g_autofree char *a = canonical("/a/x.yaml", "bootstrap: {suite: s, packages: [p]}\ncpus: 1\n"
                                                "memory: 1024MiB\ndisk: 20GiB\n");
    g_autofree char *b = canonical("/b/y.yaml", "# comment\ndisk: 20G\nmemory: 1GiB\ncpus: 1\n"
                                                "bootstrap:\n  packages:\n  - p\n  suite: s\n");
    ck_assert_str_eq(a, b);
    ck_assert_str_eq(a, "taskbox recipe\ncpus 1\nmemory 1073741824\ndisk 21474836480\n"
                        "mount image\nsuite 1:s\npackage 1:p\n");
}
END_TEST

START_TEST(the_canonical_form_tells_recipes_apart)
{
    static const char *const texts[] = {
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\n",
        "bootstrap: {suite: s}\ncpus: 2\nmemory: 1G\n",
        "bootstrap: {suite: t}\ncpus: 1\nmemory: 1G\n",
        "bootstrap: {suite: s, packages: [a, b]}\ncpus: 1\nmemory: 1G\n",
        "bootstrap: {suite: s, packages: [b, a]}\ncpus: 1\nmemory: 1G\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\nprovision: [{mode: system, script: a}]\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\nprovision: [{mode: user, script: a}]\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\n"
        "provision: [{mode: system, script: \"a\\nuser 1:b\"}]\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\n"
        "provision: [{mode: system, script: a}, {mode: user, script: b}]\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\nenv: {A: b}\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\nenv: {A: c}\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\nwarm: [A=b]\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\nfiles: [{path: /a, content: b}]\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\nfiles: [{path: /a, content: c}]\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\n"
        "files: [{path: /a, content: b, mode: 755}]\n",
        "bootstrap: {suite: s}\ncpus: 1\nmemory: 1G\n"
        "files: [{path: /a, content: b, owner: agent}]\n",
        "from: a\ncpus: 1\nmemory: 1G\npackages: [a]\n",
        "from: a\ncpus: 1\nmemory: 1G\npackages: [b]\n",
    };
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        ck_assert_msg(g_hash_table_add(seen, canonical("/x.yaml", texts[i])), "text %zu", i);
}
END_TEST

START_TEST(a_name_comes_from_the_file)
{
    g_autoptr(GError) error = NULL;
    const char *text = "bootstrap: {suite: s}";
    g_autoptr(TbRecipe) r = tb_recipe_parse("/x/my.box-1.yml", text, strlen(text), NULL);
    ck_assert_str_eq(r->name, "my.box-1");
    ck_assert_ptr_null(tb_recipe_parse("/x/my box.yaml", text, strlen(text), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    ck_assert(!tb_image_name_valid(""));
    ck_assert(!tb_image_name_valid(".hidden"));
    ck_assert(!tb_image_name_valid("a/b"));
    ck_assert(!tb_image_name_valid("-x"));
}
END_TEST

START_TEST(an_own_recipe_goes_before_a_shipped_one)
{
    char dir[] = "/tmp/tb-recipe-XXXXXX";
    ck_assert_ptr_nonnull(g_mkdtemp(dir));
    g_setenv("XDG_CONFIG_HOME", dir, TRUE);
    g_autofree char *images = g_build_filename(dir, "taskbox", "images", NULL);
    g_autofree char *path = g_build_filename(images, "mine.yaml", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(images, 0700), 0);
    ck_assert(g_file_set_contents(path, "bootstrap: {suite: s}\n", -1, NULL));
    g_autofree char *found = tb_recipe_find("mine", NULL);
    ck_assert_str_eq(found, path);
    g_autofree char *direct = tb_recipe_find("/x/y.yaml", NULL);
    ck_assert_str_eq(direct, "/x/y.yaml");
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_recipe_find("no-such-recipe", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
    g_unlink(path);
    g_rmdir(images);
    g_autofree char *parent = g_path_get_dirname(images);
    g_rmdir(parent);
    g_rmdir(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config-recipe");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, reads_a_bootstrap);
    tcase_add_test(tcase, reads_images_and_takes_the_host_s);
    tcase_add_test(tcase, reads_a_layer);
    tcase_add_test(tcase, variables_are_not_for_whole_files);
    tcase_add_test(tcase, packages_of_a_bootstrap_are_the_bootstraps);
    tcase_add_test(tcase, a_template_of_limas_is_taken_as_it_is);
    tcase_add_test(tcase, a_recipe_for_another_machine_is_refused);
    tcase_add_test(tcase, fills_in_sensible_defaults);
    tcase_add_test(tcase, the_canonical_form_is_stable);
    tcase_add_test(tcase, the_canonical_form_tells_recipes_apart);
    tcase_add_test(tcase, a_name_comes_from_the_file);
    tcase_add_test(tcase, an_own_recipe_goes_before_a_shipped_one);
    tcase_add_loop_test(tcase, says_what_is_wrong_and_where, 0, G_N_ELEMENTS(bad));
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
