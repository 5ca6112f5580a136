/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../suite.h"
#include "patch/path.h"

#include <string.h>

#include "fixture.h"
#include "util/error.h"

static TbPathVerdict check(const char *path)
{
    return tb_path_check((const uint8_t *)path, strlen(path));
}

START_TEST(legal_paths)
{
    static const char *const good[] = {
        "a",
        "a/b",
        ".gitignore",
        ".github/workflows/ci.yml",
        ".gitmodules",
        "git",
        "git~",
        "git~x",
        "git~1x",
        ".gitx",
        "..a",
        "...",
        "a..",
        " ",
        "a b",
        "a\nb",
        "\x1b[2J",
        "\xff\xfe",
        "\"",
        "ü",
        "x.git",
        "a/x.git/y",
        ".git-blame-ignore-revs",
        "-rf",
        ":(top)",
        "a\\b",
        "C:",
        "~",
        "#",
        "g\xe2\x80\x8cit",
        ".gi",
        ".git_",
        "con",
        "a:b",
        ".git\xc3\xbc",
        ".git\xf0\x9f\x98\x80",
        ".g\xffit",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        ck_assert_msg(check(good[i]) == TB_PATH_OK, "'%s' refused", good[i]);
}
END_TEST

START_TEST(refused_paths)
{
    static const struct {
        const char *path;
        TbPathVerdict verdict;
    } bad[] = {
        {"", TB_PATH_EMPTY},
        {"/", TB_PATH_EMPTY},
        {"/etc/passwd", TB_PATH_EMPTY},
        {"a//b", TB_PATH_EMPTY},
        {"a/", TB_PATH_EMPTY},
        {".", TB_PATH_DOT},
        {"..", TB_PATH_DOT},
        {"a/..", TB_PATH_DOT},
        {"../a", TB_PATH_DOT},
        {"a/./b", TB_PATH_DOT},
        {".git", TB_PATH_GIT},
        {".GIT", TB_PATH_GIT},
        {".Git/config", TB_PATH_GIT},
        {"a/.git/config", TB_PATH_GIT},
        {"git~1", TB_PATH_GIT},
        {"GIT~1/hooks", TB_PATH_GIT},
        {"git~4711", TB_PATH_GIT},
        {"git~1.", TB_PATH_GIT},
        {"git~1:x", TB_PATH_GIT},
        {".git.", TB_PATH_GIT},
        {".git ", TB_PATH_GIT},
        {".git . .", TB_PATH_GIT},
        {".git:stream", TB_PATH_GIT},
        {".git::$INDEX_ALLOCATION", TB_PATH_GIT},
        {".git . :x/y", TB_PATH_GIT},
        {".git\\x", TB_PATH_GIT},
        {"a\\.git", TB_PATH_GIT},
        {".g\xe2\x80\x8cit", TB_PATH_GIT},
        {"\xe2\x80\x8e.git", TB_PATH_GIT},
        {".gi\xe2\x80\xaet", TB_PATH_GIT},
        {".git\xef\xbb\xbf", TB_PATH_GIT},
        {".git\xff", TB_PATH_GIT},
        {".git\xe2\x80x", TB_PATH_GIT},
        {".git\xed\xa0\x80", TB_PATH_GIT},
        {".git\xef\xbf\xbf", TB_PATH_GIT},
        {".\xe2\x81\xaagIt/x", TB_PATH_GIT},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        ck_assert_msg(check(bad[i].path) == bad[i].verdict, "'%s': %d", bad[i].path,
                      check(bad[i].path));
    ck_assert_int_eq(tb_path_check((const uint8_t *)"a\0b", 3), TB_PATH_NUL);
    ck_assert_int_eq(tb_path_check((const uint8_t *)"a\0", 2), TB_PATH_NUL);
}
END_TEST

START_TEST(limits)
{
    g_autofree char *name = g_strnfill(256, 'n');
    ck_assert_int_eq(check(name), TB_PATH_COMPONENT);
    ck_assert_int_eq(check(name + 1), TB_PATH_OK);
    g_autoptr(GString) deep = g_string_new("d");
    for (int i = 1; i < 128; i++)
        g_string_append(deep, "/d");
    ck_assert_int_eq(check(deep->str), TB_PATH_OK);
    g_string_append(deep, "/d");
    ck_assert_int_eq(check(deep->str), TB_PATH_DEEP);
    g_autoptr(GString) lengthy = g_string_new(NULL);
    while (lengthy->len < 4000)
        g_string_append_printf(lengthy, "%s/", name + 100);
    g_string_append(lengthy, name + 40);
    ck_assert_int_eq(check(lengthy->str), TB_PATH_LONG);
    ck_assert(tb_path_target_ok((const uint8_t *)"x", 1));
    ck_assert(!tb_path_target_ok((const uint8_t *)"", 0));
    ck_assert(!tb_path_target_ok((const uint8_t *)"x\0y", 3));
    g_autofree char *target = g_strnfill(4096, 't');
    ck_assert(tb_path_target_ok((const uint8_t *)target, 4095));
    ck_assert(!tb_path_target_ok((const uint8_t *)target, 4096));
}
END_TEST

START_TEST(gitmodules)
{
    static const char *const bad[] = {".gitmodules",
                                      ".GitModules",
                                      "a/.gitmodules/b",
                                      "gitmod~1",
                                      ".gitmodules .",
                                      "gi7eba~1",
                                      "gi7e~123",
                                      "~1000000",
                                      ".gitmodules:x",
                                      ".gitmo\xe2\x80\x8d"
                                      "dules"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        ck_assert_msg(tb_path_has_gitmodules((const uint8_t *)bad[i], strlen(bad[i])), "%s",
                      bad[i]);
    ck_assert(!tb_path_has_gitmodules((const uint8_t *)".gitmodule", 11));
    ck_assert(!tb_path_has_gitmodules((const uint8_t *)"~1", 2));
}
END_TEST

/* Builds a path from pieces that are near to what is forbidden. */
static char *random_path(GRand *random)
{
    static const char *const pieces[] = {
        ".",
        "git",
        "GIT",
        "~",
        "1",
        "23",
        " ",
        ":",
        "/",
        "\\",
        "a",
        "..",
        ".git",
        "git~",
        "mod",
        "ules",
        "gi7",
        "eba",
        "\n",
        "\xff",
        "\xe2\x80\x8c",
        "\xef\xbb\xbf",
        "\xe2\x81\xab",
        "\xe2\x80",
        "t",
        "i",
        "g",
        "x/",
        "$",
    };
    g_autoptr(GString) path = g_string_new(NULL);
    int count = g_rand_int_range(random, 1, 7);
    for (int i = 0; i < count; i++)
        g_string_append(path, pieces[g_rand_int_range(random, 0, G_N_ELEMENTS(pieces))]);
    return g_string_free(g_steal_pointer(&path), FALSE);
}

/* What passes here git's own check takes as well, as a file and as a link: none may be dropped. */
START_TEST(git_agrees)
{
    Fixture f = {0};
    fixture_start(&f);
    PUT(f.project, "seed", "seed");
    fixture_base(&f);
    g_autofree char *blob = GIT(&f, f.project, f.base_index, "rev-parse", ":seed");
    GRand *random = g_rand_new_with_seed(7);
    g_autoptr(GString) feed_text = g_string_new(NULL);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    unsigned accepted = 0, refused = 0;
    for (int i = 0; i < 20000; i++) {
        g_autofree char *path = random_path(random);
        if (check(path) != TB_PATH_OK || g_hash_table_contains(seen, path)) {
            refused++;
            continue;
        }
        bool link = !tb_path_has_gitmodules((const uint8_t *)path, strlen(path));
        /* Each in a directory of its own, so that none is below another. */
        for (int kind = 0; kind < (link ? 2 : 1); kind++) {
            g_string_append_printf(feed_text, "%s %s\t%d%c%d/%s", kind ? "120000" : "100644", blob,
                                   i, kind ? 'l' : 'f', i, path);
            g_string_append_c(feed_text, '\0');
            accepted++;
        }
        g_hash_table_add(seen, g_steal_pointer(&path));
    }
    g_rand_free(random);
    g_autofree char *index = g_build_filename(f.dir, "agree-index", NULL);
    g_autoptr(TbCommand) update = tb_git_command(f.git, "update-index", NULL, index);
    tb_command_add(update, "-z", "--index-info", NULL);
    tb_command_set_stdin_bytes(update, feed_text->str, feed_text->len);
    g_autoptr(GError) error = NULL;
    ck_assert(tb_command_run(update, NULL, &error));
    g_autoptr(TbCommand) list = tb_git_command(f.git, "ls-files", NULL, index);
    tb_command_add(list, "-z", NULL);
    g_autoptr(GBytes) out = NULL;
    ck_assert(tb_command_run(list, &out, &error));
    gsize size = 0;
    const char *text = g_bytes_get_data(out, &size);
    unsigned kept = 0;
    for (gsize i = 0; i < size; i++)
        kept += text[i] == '\0';
    ck_assert_uint_eq(kept, accepted);
    ck_assert_uint_gt(accepted, 2000);
    ck_assert_uint_gt(refused, 2000);
    fixture_stop(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch-path");
    TCase *tests = tcase_create("path");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, legal_paths);
    tcase_add_test(tests, refused_paths);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, gitmodules);
    tcase_add_test(tests, git_agrees);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
