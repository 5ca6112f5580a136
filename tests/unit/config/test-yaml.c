/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "../suite.h"
#include "config/yaml.h"
#include "util/error.h"

typedef struct {
    char *name;
    unsigned cpus;
    uint64_t memory, timeout;
    char **list;
} Thing;

static const TbYamlKey keys[] = {
    {"name", YAML_SCALAR_NODE, tb_yaml_string, offsetof(Thing, name)},
    {"cpus", YAML_SCALAR_NODE, tb_yaml_count, offsetof(Thing, cpus)},
    {"memory", YAML_SCALAR_NODE, tb_yaml_size, offsetof(Thing, memory)},
    {"timeout", YAML_SCALAR_NODE, tb_yaml_duration, offsetof(Thing, timeout)},
    {"list", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(Thing, list)},
    {0},
};

static bool read_thing(const char *text, Thing *thing, GError **error)
{
    g_autoptr(TbYaml) yaml = tb_yaml_parse("f.yaml", text, strlen(text), error);
    return yaml && tb_yaml_map(yaml, tb_yaml_root(yaml), keys, thing, error);
}

static void clear_thing(Thing *thing)
{
    g_free(thing->name);
    g_strfreev(thing->list);
}

static void expect_error(const char *text, const char *message)
{
    Thing thing = {0};
    g_autoptr(GError) error = NULL;
    ck_assert_msg(!read_thing(text, &thing, &error), "accepted: %s", text);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    ck_assert_msg(g_str_has_prefix(error->message, message), "got '%s', wanted '%s'",
                  error->message, message);
    clear_thing(&thing);
}

START_TEST(fills_every_field)
{
    Thing thing = {0};
    g_autoptr(GError) error = NULL;
    ck_assert(read_thing("name: x y\ncpus: 4\nmemory: 1.5GiB\ntimeout: 1h30m\nlist: [a, \"b c\"]\n",
                         &thing, &error));
    ck_assert_str_eq(thing.name, "x y");
    ck_assert_uint_eq(thing.cpus, 4);
    ck_assert_uint_eq(thing.memory, 3ULL << 29);
    ck_assert_uint_eq(thing.timeout, 5400);
    ck_assert_uint_eq(g_strv_length(thing.list), 2);
    ck_assert_str_eq(thing.list[1], "b c");
    clear_thing(&thing);
}
END_TEST

START_TEST(empty_text_is_an_empty_mapping)
{
    Thing thing = {0};
    ck_assert(read_thing("", &thing, NULL));
    ck_assert(read_thing("# only a comment\n", &thing, NULL));
    ck_assert_ptr_null(thing.name);
}
END_TEST

static const struct {
    const char *text, *message;
} bad[] = {
    {"name: a\ncpu: 2\n", "f.yaml:2:1: unknown key 'cpu' (did you mean 'cpus'?)"},
    {"{name: a, zzzzzzzz: 2}\n", "f.yaml:1:11: unknown key 'zzzzzzzz' (valid keys: name, cpus"},
    {"cpus: 1\nname: b\ncpus: 2\n", "f.yaml:3:1: duplicate key 'cpus' (first at line 1)"},
    {"cpus: [1]\n", "f.yaml:1:7: 'cpus' must be a single value, not a list"},
    {"list: a\n", "f.yaml:1:7: 'list' must be a list, not a single value"},
    {"list:\n  - {a: b}\n", "f.yaml:2:5: an item of this list must be a single value, not a map"},
    {"- a\n", "f.yaml:1:1: this must be a mapping, not a list"},
    {"name: ''\n", "f.yaml:1:7: empty value"},
    {"cpus: 0\n", "f.yaml:1:7: "},
    {"cpus: two\n", "f.yaml:1:7: "},
    {"name: a\nmemory: 3X\n", "f.yaml:2:9: "},
    {"memory: 0\n", "f.yaml:1:9: bad size '0': must not be zero"},
    {"memory: 99999999999999999T\n", "f.yaml:1:9: "},
    {"timeout: soon\n", "f.yaml:1:10: "},
    {"name: a\n---\nname: b\n", "f.yaml:3:1: a second document is not allowed"},
    {"name: [a\n", "f.yaml:2:1: not valid YAML: "},
    {"name: \"a\\0b\"\n", "f.yaml:1:7: the value holds a NUL byte"},
    {"name: \xff\n", "f.yaml: not valid UTF-8"},
    {"? [a]\n: b\n", "f.yaml:1:3: a key must be a single value, not a list"},
    {"\"na\\0me\": b\n", "f.yaml:1:1: empty or broken key"},
};

START_TEST(names_the_place_of_what_is_wrong)
{
    expect_error(bad[_i].text, bad[_i].message);
}
END_TEST

START_TEST(aliases_do_not_explode)
{
    GString *text = g_string_new("a0: &a0 [x, x]\n");
    for (int i = 1; i < 40; i++)
        g_string_append_printf(text, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
    expect_error(text->str, "f.yaml:1:1: unknown key 'a0'");
    g_string_free(text, TRUE);
}
END_TEST

START_TEST(a_missing_or_huge_file_is_named)
{
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_yaml_load("/nonexistent/x.yaml", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
    g_clear_error(&error);
    ck_assert_ptr_null(tb_yaml_load("/dev/zero", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config-yaml");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, fills_every_field);
    tcase_add_test(tcase, empty_text_is_an_empty_mapping);
    tcase_add_loop_test(tcase, names_the_place_of_what_is_wrong, 0, G_N_ELEMENTS(bad));
    tcase_add_test(tcase, aliases_do_not_explode);
    tcase_add_test(tcase, a_missing_or_huge_file_is_named);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
