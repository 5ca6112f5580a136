/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox doctor: runs the checks, prints them, ends with 1 when one failed. */
#include "cli/doctor.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"
#include "util/error.h"
#include "util/escape.h"

static const char *const status_names[] = {
    [TB_CHECK_OK] = "ok", [TB_CHECK_WARN] = "warn", [TB_CHECK_FAIL] = "fail"};

static void check_free(void *data)
{
    TbCheck *check = data;
    g_free(check->detail);
    g_free(check->fix);
    g_free(check);
}

void tb_check_add(GPtrArray *checks, const char *name, TbCheckStatus status, char *detail,
                  const char *fix)
{
    TbCheck *check = g_new(TbCheck, 1);
    *check = (TbCheck){.name = name,
                       .status = status,
                       .detail = detail,
                       .fix = status == TB_CHECK_OK ? NULL : g_strdup(fix)};
    g_ptr_array_add(checks, check);
}

static void add_member(JsonBuilder *json, const char *name, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    json_builder_set_member_name(json, name);
    if (valid)
        json_builder_add_string_value(json, valid);
    else
        json_builder_add_null_value(json);
}

static bool print_json(const GPtrArray *checks, bool healthy, GError **error)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    add_member(json, "status", healthy ? "ok" : "fail");
    json_builder_set_member_name(json, "checks");
    json_builder_begin_array(json);
    for (guint i = 0; i < checks->len; i++) {
        const TbCheck *check = checks->pdata[i];
        json_builder_begin_object(json);
        add_member(json, "name", check->name);
        add_member(json, "status", status_names[check->status]);
        add_member(json, "detail", check->detail);
        add_member(json, "fix", check->fix);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *text = json_to_string(root, FALSE);
    return tb_print_format(error, "%s\n", text);
}

static bool print_lines(const GPtrArray *checks, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < checks->len; i++) {
        const TbCheck *check = checks->pdata[i];
        g_autofree char *detail = tb_escape_name(check->detail);
        g_string_append_printf(text, "%-5s %-16s %s\n", status_names[check->status], check->name,
                               detail);
        if (check->fix)
            g_string_append_printf(text, "%-5s %-16s   -> %s\n", "", "", check->fix);
    }
    return tb_print(text->str, error);
}

bool tb_cli_doctor(TbCli *cli, int *status, GError **error)
{
    if (!tb_arguments_none(cli->arguments, error))
        return false;
    g_autoptr(GPtrArray) checks = g_ptr_array_new_with_free_func(check_free);
    tb_doctor_programs(checks);
    tb_doctor_jail(checks);
    tb_doctor_host(checks);
    tb_doctor_taskbox(checks);
    bool healthy = true;
    for (guint i = 0; i < checks->len; i++)
        healthy &= ((TbCheck *)checks->pdata[i])->status != TB_CHECK_FAIL;
    *status = healthy ? 0 : 1;
    return tb_arguments_flag(cli->arguments, "json") ? print_json(checks, healthy, error)
                                                     : print_lines(checks, error);
}
