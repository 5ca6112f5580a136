/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox inspect: all about a patch but its lines, what matters most first. */
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/pager.h"
#include "cli/show.h"
#include "cli/style.h"
#include "review/file-diff.h"
#include "task/findings.h"
#include "task/finish.h"
#include "util/escape.h"
#include "util/units.h"

typedef struct {
    const TbTask *task;
    TbFindings *findings; /* NULL, as the two below, without a patch */
    GPtrArray *files;
    uint64_t *sizes;
} Inspection;

static void inspection_clear(Inspection *inspection)
{
    g_clear_pointer(&inspection->findings, tb_findings_free);
    g_clear_pointer(&inspection->files, g_ptr_array_unref);
    g_clear_pointer(&inspection->sizes, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Inspection, inspection_clear)

/* A discarded task still has its findings, but no objects to list files from. */
static bool inspection_read(Inspection *inspection, GError **error)
{
    const TbTask *task = inspection->task;
    if (!task->has_patch)
        return true;
    inspection->findings = tb_task_findings(task, error);
    if (!inspection->findings)
        return false;
    if (task->state == TB_TASK_DISCARDED)
        return true;
    inspection->files = tb_task_files(task, error);
    g_autoptr(TbGit) git = inspection->files ? tb_task_objects(task, error) : NULL;
    inspection->sizes = git ? tb_file_sizes(git, inspection->files, error) : NULL;
    return inspection->sizes != NULL;
}

static const char *status_of(const TbPatchFile *file)
{
    return !file->old_mode ? "added" : !file->new_mode ? "deleted" : "changed";
}

static const char *kind_of(uint32_t mode)
{
    switch (mode) {
    case TB_MODE_EXECUTABLE:
        return " (executable)";
    case TB_MODE_SYMLINK:
        return " (symbolic link)";
    case TB_MODE_GITLINK:
        return " (submodule)";
    default:
        return "";
    }
}

static void add_file(GString *text, const TbStyle *style, const TbPatchFile *file, uint64_t bytes)
{
    g_autofree char *name = tb_escape_name(file->path);
    g_autofree char *size = file->new_mode ? tb_size_format(bytes) : g_strdup("");
    g_autofree char *lines = file->added < 0
                                 ? g_strdup("binary")
                                 : g_strdup_printf("+%" G_GINT64_FORMAT " -%" G_GINT64_FORMAT,
                                                   file->added, file->removed);
    uint32_t mode = file->new_mode ? file->new_mode : file->old_mode;
    g_string_append_printf(text, "  %-7s %-12s %10s  %s%s%s%s\n", status_of(file), lines, size,
                           tb_colour(style, TB_COLOUR_PLACE), name, tb_colour_end(style),
                           kind_of(mode));
}

static char *describe(const Inspection *inspection, const TbStyle *style)
{
    GString *text = g_string_new(NULL);
    if (inspection->findings)
        tb_style_findings(text, style, inspection->findings);
    else
        g_string_append(text, "no patch\n");
    g_string_append_c(text, '\n');
    tb_show_outcome(text, inspection->task);
    if (inspection->files)
        g_string_append(text, inspection->files->len ? "\nfiles\n" : "\nno files\n");
    for (guint i = 0; inspection->files && i < inspection->files->len; i++)
        add_file(text, style, inspection->files->pdata[i], inspection->sizes[i]);
    g_string_append_c(text, '\n');
    tb_show_notes(text, inspection->task);
    tb_show_made(text, inspection->task);
    tb_show_places(text, inspection->task);
    return g_string_free(text, FALSE);
}

static void add_text(JsonBuilder *json, const char *name, const char *value)
{
    g_autofree char *shown = g_utf8_validate(value, -1, NULL) ? NULL : tb_escape_name(value);
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, shown ? shown : value);
}

static void add_number(JsonBuilder *json, const char *name, bool there, int64_t value)
{
    json_builder_set_member_name(json, name);
    if (there)
        json_builder_add_int_value(json, value);
    else
        json_builder_add_null_value(json);
}

static void add_mode(JsonBuilder *json, const char *name, uint32_t mode)
{
    g_autofree char *text = g_strdup_printf("%06o", mode);
    json_builder_set_member_name(json, name);
    if (mode)
        json_builder_add_string_value(json, text);
    else
        json_builder_add_null_value(json);
}

static void add_json_file(JsonBuilder *json, const TbPatchFile *file, uint64_t bytes)
{
    json_builder_begin_object(json);
    add_text(json, "file", file->path);
    add_text(json, "status", status_of(file));
    add_mode(json, "old_mode", file->old_mode);
    add_mode(json, "new_mode", file->new_mode);
    add_number(json, "bytes", tb_mode_has_bytes(file->new_mode), (int64_t)bytes);
    add_number(json, "lines_added", file->added >= 0, file->added);
    add_number(json, "lines_removed", file->removed >= 0, file->removed);
    json_builder_end_object(json);
}

/* A member that is JSON already: all of `text`, or the member `part` of it. */
static void add_node(JsonBuilder *json, const char *name, const char *text, const char *part)
{
    JsonNode *node = json_from_string(text, NULL);
    json_builder_set_member_name(json, name);
    if (part) {
        json_builder_add_value(
            json, json_node_copy(json_object_get_member(json_node_get_object(node), part)));
        json_node_unref(node);
    } else {
        json_builder_add_value(json, node);
    }
}

static char *describe_json(const Inspection *inspection)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autofree char *record = tb_task_record_json(inspection->task);
    json_builder_begin_object(json);
    add_node(json, "task", record, NULL);
    if (inspection->findings) {
        g_autofree char *findings = tb_findings_format(inspection->findings);
        add_node(json, "findings", findings, "findings");
    }
    if (inspection->files) {
        json_builder_set_member_name(json, "files");
        json_builder_begin_array(json);
        for (guint i = 0; i < inspection->files->len; i++)
            add_json_file(json, inspection->files->pdata[i], inspection->sizes[i]);
        json_builder_end_array(json);
    }
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    return json_to_string(root, FALSE);
}

bool tb_cli_inspect(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    if (!task)
        return false;
    g_auto(Inspection) inspection = {.task = task};
    if (!inspection_read(&inspection, error))
        return false;
    bool json = tb_arguments_flag(cli->arguments, "json");
    if (!json)
        tb_pager_start();
    TbStyle style = tb_style_of(STDOUT_FILENO);
    g_autofree char *text = json ? describe_json(&inspection) : describe(&inspection, &style);
    return tb_print_format(error, "%s%s", text, json ? "\n" : "");
}
