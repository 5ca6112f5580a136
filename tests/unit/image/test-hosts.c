/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which hosts an image's package managers are said to use: the script, with tools that answer as
 * the real ones do, and bytes of every kind in what it prints. */
#include <check.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "image/hosts.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/fs.h"

static char *text_of(const GPtrArray *hosts)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < hosts->len; i++) {
        const TbImageHost *host = hosts->pdata[i];
        g_string_append_printf(text, "%s %s (%s)\n", host->group, host->host, host->from);
    }
    return g_string_free(text, FALSE);
}

static const struct {
    const char *line, *host; /* NULL: none */
} lines[] = {
    {"apt\t/etc/apt/sources.list:1\thttp://deb.test/debian", "deb.test"},
    {"apt\tx\thttp://deb.test:80/debian", "deb.test"},
    {"apt\tx\thttps://deb.test:443/debian", "deb.test"},
    {"apt\tx\thttp://deb.test:443/debian", "deb.test:443"},
    {"apt\tx\thttps://deb.test:3142/", "deb.test:3142"},
    {"npm\tnpm config\thttps://name:password@npm.test/path?q", "npm.test"},
    {"pip\tx\tHTTPS://Pip.Test", "Pip.Test"},
    {"apt\tx\tfile:///srv/packages", NULL},
    {"apt\tx\tcdrom:[Debian]/", NULL},
    {"apt\tx\tmirror+file:/etc/apt/mirrors", NULL},
    {"apt\tx\thttp:///", NULL},
    {"cargo\tx\thttps://a.test/", "a.test"},
    {"gems\tx\thttps://a.test/", NULL},
    {"\tx\thttps://a.test/", NULL},
    {"apt\t\thttps://a.test/", NULL},
    {"apt\tx\033[31m\thttps://a.test/", NULL},
    {"apt\tx", NULL},
    {"apt https://a.test/", NULL},
    {"apt\tx\thttps://a.test:99999/", NULL},
    {"", NULL},
};

START_TEST(what_is_printed)
{
    g_autoptr(GPtrArray) hosts = tb_image_hosts_parse(lines[_i].line);
    ck_assert_msg(hosts->len == (lines[_i].host != NULL), "'%s': %u", lines[_i].line, hosts->len);
    if (lines[_i].host)
        ck_assert_str_eq(((TbImageHost *)hosts->pdata[0])->host, lines[_i].host);
}
END_TEST

START_TEST(not_without_end)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 5000; i++)
        g_string_append_printf(text, "apt\tx\thttp://h%d.test/\n", i % 2500);
    g_autoptr(GPtrArray) hosts = tb_image_hosts_parse(text->str);
    ck_assert_uint_eq(hosts->len, 64);
}
END_TEST

/* ---- the script, with a PATH of its own */

static char *dir;

static void tool(const char *name, const char *body)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *script = g_strconcat("#!/bin/sh\n", body, "\n", NULL);
    ck_assert(g_file_set_contents_full(path, script, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
}

static char *ask(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) out = NULL;
    g_autoptr(TbCommand) command = tb_command_new("/bin/sh");
    tb_command_add(command, "-c", tb_image_hosts_script, NULL);
    tb_command_env_clear(command);
    tb_command_setenv(command, "PATH", dir);
    tb_command_setenv(command, "HOME", dir);
    tb_command_setenv(command, "CARGO_REGISTRIES_OUR_OWN_INDEX", "sparse+https://env.test/index/");
    bool ran = tb_command_run(command, &out, &error);
    ck_assert_msg(ran, "%s", error ? error->message : "");
    g_autofree char *text = g_strndup(g_bytes_get_data(out, NULL), g_bytes_get_size(out));
    g_autoptr(GPtrArray) hosts = tb_image_hosts_parse(text);
    return text_of(hosts);
}

static void set_up(void)
{
    static const char *const needed[] = {"sed", "grep", "tr", "rm", "env"};
    dir = g_dir_make_tmp("taskbox-hosts-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        g_autofree char *path = g_find_program_in_path(needed[i]);
        g_autofree char *body = g_strdup_printf("exec %s \"$@\"", path);
        tool(needed[i], body);
    }
}

static void tear_down(void)
{
    ck_assert(tb_remove_tree(AT_FDCWD, dir, NULL));
    g_clear_pointer(&dir, g_free);
}

START_TEST(no_tools)
{
    g_autofree char *text = ask();
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(all_tools)
{
    tool("apt-get", "[ \"$*\" = 'update --print-uris' ] || exit 1\n"
                    "echo \"'http://deb.test/debian/dists/x/InRelease' deb.test_x_InRelease 0 \"\n"
                    "echo \"'http://deb.test/debian/dists/x/main/Packages.xz' deb.test_x 0 \"\n"
                    "echo \"'https://own.test:8443/dists/x/InRelease' own.test_x_InRelease 0 \"\n"
                    "echo \"'copy:/srv/dists/x/InRelease' srv_x_InRelease 0 \"");
    tool("npm", "[ \"$*\" = 'config list --json' ] || exit 1\n"
                "echo '{'\n"
                "echo '  \"@team:registry\": \"https://team.test/\",'\n"
                "echo '  \"cache\": \"https://no.test/\",'\n"
                "echo '  \"registry\": \"https://npm.test/\"'\n"
                "echo '}'");
    /* pip shows a list as Python does. */
    tool(
        "python3",
        "case \"$*\" in\n"
        "*--version) ;;\n"
        "*'config list') cat=$(printf '%s\\n' \"global.index-url='https://py.test/simple'\" "
        "\"global.timeout='60'\")\n"
        "printf '%s\\n' \"$cat\"\n"
        "printf '%s\\n' 'global.extra-index-url='\\''https://a.test/x\\nhttps://b.test/y'\\''' ;;\n"
        "*) exit 1 ;;\nesac");
    tool("go", "case \"$*\" in\n"
               "'env GOPROXY') echo 'https://goproxy.test,https://two.test|direct' ;;\n"
               "'env GOSUMDB') echo sum.test ;;\nesac");
    g_autofree char *text = ask();
    ck_assert_str_eq(text, "apt deb.test (apt's sources)\n"
                           "apt own.test:8443 (apt's sources)\n"
                           "npm team.test (npm config)\n"
                           "npm npm.test (npm config)\n"
                           "pip py.test (pip config)\n"
                           "pip a.test (pip config)\n"
                           "pip b.test (pip config)\n"
                           "go goproxy.test (go env GOPROXY)\n"
                           "go two.test (go env GOPROXY)\n"
                           "go sum.test (go env GOSUMDB)\n");
}
END_TEST

/* Without an index of its own pip's code is asked; a data base of sums may have an address of its
 * own, or be off. */
START_TEST(defaults)
{
    tool("python3", "case \"$*\" in\n"
                    "*--version | *'config list') ;;\n"
                    "*PyPI*) printf 'pip\\tthe default of pip\\thttps://py.test/\\n' ;;\n"
                    "*) exit 1 ;;\nesac");
    tool("go", "case \"$*\" in\n"
               "'env GOPROXY') echo off ;;\n"
               "'env GOSUMDB') echo 'sum.test+0123abcd https://mirror.test/sum' ;;\nesac");
    g_autofree char *text = ask();
    ck_assert_str_eq(text, "pip py.test (the default of pip)\n"
                           "go mirror.test (go env GOSUMDB)\n");
    tool("go", "echo off");
    tool("python3", "exit 1");
    g_autofree char *none = ask();
    ck_assert_str_eq(none, "");
}
END_TEST

/* What replaces a source, and registries, in all the ways that TOML has to write them. */
START_TEST(cargo)
{
    static const char config[] =
        "# index = \"https://no.test/\", git = \"https://no.test/\"\n"
        "[source.crates-io]\nreplace-with = \"mirror\"\n"
        "[source.mirror]\nregistry = \"sparse+https://mirror.test/index/\"\n"
        "[registries]\n"
        "team = { index = \"https://name:word@git.test/index.git\", token = \"t\" }\n"
        "[registries.other]\n  'index'='sparse+http://other.test:8080/' # ours\n"
        "[net]\ngit-fetch-with-cli = true\n"
        "[registries.disk]\nindex = \"file:///srv/index\"\n"
        "[http]\nproxy = \"https://no.test/\"\n";
    g_autofree char *folder = g_build_filename(dir, ".cargo", NULL);
    g_autofree char *file = g_build_filename(folder, "config.toml", NULL);
    ck_assert_int_eq(g_mkdir(folder, 0755), 0);
    ck_assert(g_file_set_contents(file, config, -1, NULL));
    g_autofree char *without = ask();
    ck_assert_str_eq(without, "");
    tool("cargo", "exit 1");
    g_autofree char *text = ask();
    g_autofree char *wanted = g_strdup_printf("cargo mirror.test (%s)\n"
                                              "cargo git.test (%s)\n"
                                              "cargo other.test:8080 (%s)\n"
                                              "cargo env.test (CARGO_REGISTRIES_OUR_OWN_INDEX)\n",
                                              file, file, file);
    ck_assert_str_eq(text, wanted);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image-hosts");
    TCase *tests = tcase_create("hosts");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, what_is_printed, 0, G_N_ELEMENTS(lines));
    tcase_add_test(tests, not_without_end);
    tcase_add_test(tests, no_tools);
    tcase_add_test(tests, all_tools);
    tcase_add_test(tests, defaults);
    tcase_add_test(tests, cargo);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
