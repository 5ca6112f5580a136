/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "../suite.h"
#include "builder/sources.h"

static GPtrArray *new_list(void)
{
    return g_ptr_array_new_with_free_func(tb_source_free);
}

static char *joined(const GPtrArray *lines)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < lines->len; i++)
        g_string_append_printf(text, "%s\n", (char *)g_ptr_array_index(lines, i));
    return g_string_free(text, FALSE);
}

static char *select_from(const GPtrArray *sources, const char *known, const char *suite)
{
    g_autoptr(TbReleases) releases = tb_releases_parse(known);
    g_autoptr(GPtrArray) lines = tb_sources_select(sources, releases, suite);
    return joined(lines);
}

static const char one_line[] =
    "# comment\n"
    "deb http://mirror.example/debian bookworm main contrib # tail\n"
    "deb-src http://mirror.example/debian bookworm main\n"
    "deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian-security/ "
    "bookworm-security main\n"
    "\tdeb\thttp://mirror.example/debian\tbookworm-updates\tmain\n"
    "deb https://vendor.example/apt bookworm main\n"
    "deb https://vendor.example/linux/debian bookworm stable\n"
    "deb https://flat.example/ ./\n"
    "deb [signed-by=/x http://broken.example/debian bookworm main\n"
    "debug http://mirror.example/debian bookworm main\n";

static const char known[] = "https://vendor.example/linux/debian/|bookworm|bookworm|Docker\n"
                            "https://vendor.example/apt/|bookworm|bookworm|Vendor\n";

START_TEST(one_line_style)
{
    g_autoptr(GPtrArray) sources = new_list();
    tb_sources_parse_list(one_line, sources);
    g_autofree char *lines = select_from(sources, known, "bookworm");
    ck_assert_str_eq(lines, "deb [signed-by=/usr/share/keyrings/k.gpg] "
                            "http://mirror.example/debian-security/ bookworm-security main\n"
                            "deb http://mirror.example/debian/ bookworm main contrib\n"
                            "deb http://mirror.example/debian/ bookworm-updates main\n");
}
END_TEST

static const char deb822[] = "Types: deb deb-src\n"
                             "# a comment\n"
                             "URIs: http://mirror.example/ubuntu\n"
                             "Suites: noble noble-updates\n"
                             " noble-backports\n"
                             "Components: main universe\n"
                             "Signed-By: /usr/share/keyrings/ubuntu.gpg\n"
                             "\n"
                             "types: deb\n"
                             "uris: http://mirror.example/ubuntu\n"
                             "suites: noble-security\n"
                             "components: main\n"
                             "signed-by:\n"
                             " -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
                             " .\n"
                             " abc\n"
                             "\n"
                             "Enabled: no\n"
                             "Types: deb\n"
                             "URIs: http://off.example/ubuntu\n"
                             "Suites: noble\n"
                             "Components: main\n"
                             "\n"
                             "Types: deb-src\n"
                             "URIs: http://source.example/ubuntu\n"
                             "Suites: noble\n"
                             "Components: main\n";

START_TEST(deb822_style)
{
    g_autoptr(GPtrArray) sources = new_list();
    tb_sources_parse_deb822(deb822, sources);
    g_autofree char *lines = select_from(sources, "", "noble");
    ck_assert_str_eq(lines, "deb [signed-by=/usr/share/keyrings/ubuntu.gpg] "
                            "http://mirror.example/ubuntu/ noble main universe\n"
                            "deb [signed-by=/usr/share/keyrings/ubuntu.gpg] "
                            "http://mirror.example/ubuntu/ noble-updates main universe\n"
                            "deb http://mirror.example/ubuntu/ noble-security main\n");
}
END_TEST

START_TEST(a_suite_alias_is_known_by_its_codename)
{
    g_autoptr(GPtrArray) sources = new_list();
    tb_sources_parse_list("deb http://corp.example/remote stable main\n", sources);
    g_autofree char *lines =
        select_from(sources, "http://corp.example/remote/|stable|bookworm|Debian\n", "bookworm");
    ck_assert_str_eq(lines, "deb http://corp.example/remote/ stable main\n");
    g_autofree char *unknown = select_from(
        sources, "http://corp.example/remote/|stable|$(CODENAME)|$(ORIGIN)\n", "bookworm");
    ck_assert_str_eq(unknown, "");
}
END_TEST

START_TEST(updates_alone_are_not_enough)
{
    g_autoptr(GPtrArray) sources = new_list();
    tb_sources_parse_list("deb http://m.example/debian bookworm-updates main\n"
                          "deb http://m.example/debian trixie main\n",
                          sources);
    g_autofree char *lines = select_from(sources, "", "bookworm");
    ck_assert_str_eq(lines, "");
    g_autofree char *prefix = select_from(sources, "", "trix");
    ck_assert_str_eq(prefix, "");
}
END_TEST

START_TEST(the_same_source_twice_is_one)
{
    g_autoptr(GPtrArray) sources = new_list();
    tb_sources_parse_list("deb http://m.example/debian sid main\n", sources);
    tb_sources_parse_list("deb http://m.example/debian/ sid main\n", sources);
    g_autofree char *lines = select_from(sources, "", "sid");
    ck_assert_str_eq(lines, "deb http://m.example/debian/ sid main\n");
}
END_TEST

START_TEST(only_proxies_and_certificates_are_taken_over)
{
    g_autoptr(GPtrArray) options =
        tb_apt_options("APT \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://p:1/\";\n"
                       "Acquire::http::Proxy::host.example \"DIRECT\";\n"
                       "Acquire::https::CaInfo \"/etc/ca.pem\";\nAcquire::https::Proxy \"\";\n"
                       "DPkg::Pre-Install-Pkgs:: \"/bin/evil\";\nAcquire::cdrom::mount \"x\";\n");
    g_autofree char *text = joined(options);
    ck_assert_str_eq(text, "Acquire::http::Proxy \"http://p:1/\"\n"
                           "Acquire::http::Proxy::host.example \"DIRECT\"\n"
                           "Acquire::https::CaInfo \"/etc/ca.pem\"\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("builder-sources");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, one_line_style);
    tcase_add_test(tcase, deb822_style);
    tcase_add_test(tcase, a_suite_alias_is_known_by_its_codename);
    tcase_add_test(tcase, updates_alone_are_not_enough);
    tcase_add_test(tcase, the_same_source_twice_is_one);
    tcase_add_test(tcase, only_proxies_and_certificates_are_taken_over);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
