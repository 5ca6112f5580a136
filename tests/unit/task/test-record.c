/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "task/record.h"

/* Every field, with bytes that are no UTF-8, quotes and newlines. */
static void fill(TbTask *task)
{
    static const char *const argv[] = {"sh", "-c", "printf '\\n'", "\xff\xfe", "", NULL};
    task->project_root = g_strdup("/tmp/odd \xe9 name");
    task->project_subdir = g_strdup("a/b");
    task->project_name = g_strdup("name");
    task->image_name = g_strdup("debian");
    task->image_digest = g_strdup("0123");
    task->accel = g_strdup("tcg");
    task->command = g_strdupv((char **)argv);
    task->prompt = g_strdup("fix \"it\"\nplease \xc3\xa4");
    task->agent = g_strdup("mine");
    task->exited = true;
    task->exit_code = 139;
    task->exit_signal = 11;
    task->base_tree = g_strdup("aa");
    task->result_tree = g_strdup("bb");
    task->has_patch = task->verified = true;
    task->stat = (TbPatchStat){3, UINT64_C(1) << 40, 2, 1, 77};
    task->error_code = g_strdup("vm");
    task->error_message = g_strdup("it \x01 broke");
    task->cause = g_strdup("interrupted");
    task->keep = true;
    task->net_policy = g_strdup("a.test");
    task->net = (TbNetCounts){5, 2, 1, UINT64_C(1) << 41, 7, true};
    tb_task_note(task, "first");
    tb_task_note(task, "second");
    task->trial =
        (TbTrial){.command = g_strdup("make \xe9"), .exited = true, .exit_code = 2, .ms = 7};
    task->from = g_strdup("other-task-k2");
    task->on_top = true;
    task->flags = g_strsplit("--net=none --memory=1G", " ", -1);
    tb_task_timing(task, "boot", 1234);
    tb_task_timing(task, "command", 5);
}

START_TEST(test_round_trip)
{
    g_autoptr(TbTask) task = new_task();
    fill(task);
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    g_autoptr(TbTask) seen = tb_task_open(store, task->id, NULL);
    g_autofree char *before = tb_record_format(task);
    g_autofree char *after = tb_record_format(seen);
    ck_assert_str_eq(before, after);
    ck_assert_str_eq(seen->command[3], "\xff\xfe");
    ck_assert_str_eq(seen->command[4], "");
    ck_assert_ptr_null(seen->command[5]);
    ck_assert_str_eq(seen->project_root, "/tmp/odd \xe9 name");
    ck_assert_str_eq(seen->error_message, "it \x01 broke");
    ck_assert_uint_eq(seen->stat.added, UINT64_C(1) << 40);
    ck_assert_uint_eq(seen->timings->len, 2);
    ck_assert_str_eq(seen->net_policy, "a.test");
    ck_assert_uint_eq(seen->net.connections, 5);
    ck_assert_uint_eq(seen->net.sent, UINT64_C(1) << 41);
    ck_assert(seen->net.lost);
    ck_assert_str_eq(seen->trial.command, "make \xe9");
    ck_assert(seen->trial.exited && !seen->trial.running && seen->trial.exit_code == 2);
    ck_assert_str_eq(tb_trial_word(&seen->trial), "failed");
    g_autofree char *text = tb_trial_text(&seen->trial);
    ck_assert_str_eq(text, "failed with exit code 2 in 7 ms: make \\xE9");
    ck_assert(seen->on_top);
    ck_assert_str_eq(seen->flags[1], "--memory=1G");
    ck_assert(seen->keep && seen->exited && seen->has_patch && seen->verified);
}
END_TEST

static JsonObject *parse(JsonParser *parser, const char *text)
{
    ck_assert(json_parser_load_from_data(parser, text, -1, NULL));
    return json_node_get_object(json_parser_get_root(parser));
}

START_TEST(test_json_for_others)
{
    g_autoptr(TbTask) task = new_task();
    fill(task);
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    g_autofree char *text = tb_task_record_json(task);
    ck_assert(g_utf8_validate(text, -1, NULL));
    ck_assert_ptr_null(strchr(text, '\n'));
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *object = parse(parser, text);
    ck_assert_str_eq(json_object_get_string_member(object, "id"), task->id);
    ck_assert_str_eq(json_object_get_string_member(object, "status"), "ready");
    ck_assert(json_object_get_boolean_member(object, "verified"));
    ck_assert_int_eq(json_object_get_int_member(object, "exit_code"), 139);
    ck_assert_str_eq(json_object_get_string_member(object, "base_tree"), "aa");
    ck_assert_str_eq(json_object_get_string_member(object, "result_tree"), "bb");
    ck_assert_int_eq(json_object_get_int_member(object, "files"), 3);
    ck_assert_int_eq(json_object_get_int_member(object, "lines_removed"), 2);
    ck_assert_str_eq(json_object_get_string_member(object, "image_digest"), "0123");
    ck_assert_str_eq(json_object_get_string_member(object, "accelerator"), "tcg");
    ck_assert(g_str_has_suffix(json_object_get_string_member(object, "patch"), "/patch"));
    JsonObject *times = json_object_get_object_member(object, "milliseconds");
    ck_assert_int_eq(json_object_get_int_member(times, "boot"), 1234);
    JsonObject *error = json_object_get_object_member(object, "error");
    ck_assert_str_eq(json_object_get_string_member(error, "class"), "vm");
}
END_TEST

START_TEST(test_json_of_a_fresh_task)
{
    g_autoptr(TbTask) task = new_task();
    g_autofree char *text = tb_task_record_json(task);
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *object = parse(parser, text);
    static const char *const nulls[] = {"error", "exit_code", "patch",
                                        "files", "base_tree", "ended"};
    for (size_t i = 0; i < G_N_ELEMENTS(nulls); i++)
        ck_assert(json_object_get_null_member(object, nulls[i]));
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("record");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_round_trip);
    tcase_add_test(cases, test_json_for_others);
    tcase_add_test(cases, test_json_of_a_fresh_task);
    return suite_run_case("task record", cases);
}
