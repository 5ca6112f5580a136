/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A task in memory and as JSON. Private to src/task. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include "task/store.h"

/* An empty task: no id, no descriptors. Free with tb_task_free. */
TbTask *tb_record_new(void);
/* The whole record, for record.json: what tb_record_parse reads back byte for byte. g_free. */
char *tb_record_format(const TbTask *task);
/* Fills an empty task. TB_ERROR_IO when the text is no record, TB_ERROR_UNSUPPORTED when a newer
 * taskbox wrote it. The messages are clauses without a subject. */
bool tb_record_parse(TbTask *task, const char *text, size_t length, GError **error);

/* What both forms of the record share: a member with a number or a flag, all of the network's
 * counts, what the agent says it has used, the findings by severity; the text (g_free). */
void record_add_number(JsonBuilder *json, const char *name, int64_t value);
void record_add_flag(JsonBuilder *json, const char *name, bool value);
void record_add_net(JsonBuilder *json, const TbTask *task);
void record_add_usage(JsonBuilder *json, const TbTask *task);
void record_add_findings(JsonBuilder *json, const TbTask *task);
char *record_print(JsonBuilder *json, bool pretty);
