/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>

#include "../suite.h"
#include "util/error.h"
#include "util/units.h"

static const struct {
    const char *text;
    uint64_t bytes;
} sizes[] = {
    {"0", 0},
    {"512", 512},
    {"512B", 512},
    {"512M", 512ull << 20},
    {"8GiB", 8ull << 30},
    {"20g", 20ull << 30},
    {"1.5GiB", 3ull << 29},
    {"1.5gb", 3ull << 29},
    {"0.000001T", 1099511},
    {"2T", 2ull << 40},
    {"18446744073709551615", UINT64_MAX},
    {"16777215T", 16777215ull << 40},
};

START_TEST(test_size_good)
{
    uint64_t bytes = 0;
    GError *error = NULL;
    ck_assert(tb_size_parse(sizes[_i].text, &bytes, &error));
    ck_assert_uint_eq(bytes, sizes[_i].bytes);
}
END_TEST

static const char *const bad_sizes[] = {
    "",
    " 1",
    "1 ",
    "-1",
    "+1",
    "1X",
    "1GiBs",
    "1.G",
    ".5G",
    "1.5",
    "1.5B",
    "1..5G",
    "1.1234567G",
    "0x10",
    "1e3",
    "G",
    "18446744073709551616",
    "16777216T",
    "18446744073709551615K",
    "1,5G",
    "1.99999999999999999999G",
};

START_TEST(test_size_bad)
{
    uint64_t bytes = 7;
    g_autoptr(GError) error = NULL;
    ck_assert_msg(!tb_size_parse(bad_sizes[_i], &bytes, &error), "'%s'", bad_sizes[_i]);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
    ck_assert_uint_eq(bytes, 7);
}
END_TEST

static const struct {
    const char *text;
    uint64_t seconds;
} durations[] = {
    {"0", 0},        {"90", 90},    {"90s", 90},         {"30m", 1800},   {"2h", 7200},
    {"1h30m", 5400}, {"1d", 86400}, {"1d2h3m4s", 93784}, {"1d4s", 86404}, {"90m", 5400},
};

START_TEST(test_duration_good)
{
    uint64_t seconds = 0;
    GError *error = NULL;
    ck_assert(tb_duration_parse(durations[_i].text, &seconds, &error));
    ck_assert_uint_eq(seconds, durations[_i].seconds);
}
END_TEST

static const char *const bad_durations[] = {
    "",
    "s",
    "1x",
    "1h30",
    "1m1h",
    "1h1h",
    "1.5h",
    " 1s",
    "1s ",
    "-1s",
    "1H",
    "18446744073709551616",
    "213503982334602d",
};

START_TEST(test_duration_bad)
{
    uint64_t seconds = 7;
    g_autoptr(GError) error = NULL;
    ck_assert_msg(!tb_duration_parse(bad_durations[_i], &seconds, &error), "'%s'",
                  bad_durations[_i]);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
    ck_assert_uint_eq(seconds, 7);
}
END_TEST

static const struct {
    uint64_t value;
    const char *text;
} size_texts[] =
    {
        {0, "0 B"},
        {312, "312 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {3ull << 29, "1.5 GiB"},
        {(1ull << 20) - 1, "1.0 MiB"},
        {UINT64_MAX, "16.0 EiB"},
},
  duration_texts[] = {
      {0, "0 ms"},       {340, "340 ms"},      {1000, "1.0 s"},       {12345, "12.3 s"},
      {59999, "59.9 s"}, {125000, "2 m 05 s"}, {3720000, "1 h 02 m"}, {273600000, "3 d 04 h"},
};

START_TEST(test_formats)
{
    for (size_t i = 0; i < G_N_ELEMENTS(size_texts); i++) {
        g_autofree char *text = tb_size_format(size_texts[i].value);
        ck_assert_str_eq(text, size_texts[i].text);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(duration_texts); i++) {
        g_autofree char *text = tb_duration_format(duration_texts[i].value);
        ck_assert_str_eq(text, duration_texts[i].text);
    }
}
END_TEST

START_TEST(test_number)
{
    uint64_t number = 0;
    g_autoptr(GError) error = NULL;
    ck_assert(tb_number_parse("4", "number of CPUs", 1, 64, &number, NULL));
    ck_assert_uint_eq(number, 4);
    ck_assert(tb_number_parse("18446744073709551615", "number", 0, UINT64_MAX, &number, NULL));
    ck_assert(!tb_number_parse("0", "number of CPUs", 1, 64, &number, NULL));
    ck_assert(!tb_number_parse("4x", "number of CPUs", 1, 64, &number, NULL));
    ck_assert(!tb_number_parse("", "number of CPUs", 0, 64, &number, NULL));
    ck_assert(!tb_number_parse("65", "number of CPUs", 1, 64, &number, &error));
    ck_assert_str_eq(error->message, "'65' is no number of CPUs (a number from 1 to 64)");
}
END_TEST

START_TEST(test_nearest)
{
    static const char *const words[] = {"cpus", "memory", "disk", "mountType", "ls", NULL};
    static const char *const none[] = {NULL};
    ck_assert_str_eq(tb_nearest_word("cpu", words), "cpus");
    ck_assert_str_eq(tb_nearest_word("memroy", words), "memory");
    ck_assert_str_eq(tb_nearest_word("mounttype", words), "mountType");
    ck_assert_str_eq(tb_nearest_word("sl", words), "ls");
    ck_assert_ptr_null(tb_nearest_word("network", words));
    ck_assert_ptr_null(tb_nearest_word("", words));
    ck_assert_ptr_null(tb_nearest_word("cpu", none));
}
END_TEST

int main(void)
{
    TCase *units = tcase_create("units");
    tcase_add_loop_test(units, test_size_good, 0, G_N_ELEMENTS(sizes));
    tcase_add_loop_test(units, test_size_bad, 0, G_N_ELEMENTS(bad_sizes));
    tcase_add_loop_test(units, test_duration_good, 0, G_N_ELEMENTS(durations));
    tcase_add_loop_test(units, test_duration_bad, 0, G_N_ELEMENTS(bad_durations));
    tcase_add_test(units, test_formats);
    tcase_add_test(units, test_number);
    tcase_add_test(units, test_nearest);
    Suite *suite = suite_create("util-units");
    suite_add_tcase(suite, units);
    return suite_run(suite);
}
