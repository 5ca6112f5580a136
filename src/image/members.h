/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Members of a JSON object, as the manifests of images and templates have them. */
#pragma once

#include <json-glib/json-glib.h>
#include <stdint.h>

/* `value` NULL is written as null. */
void tb_member_set_text(JsonBuilder *json, const char *key, const char *value);
void tb_member_set_number(JsonBuilder *json, const char *key, uint64_t value);
/* NULL when it is not there or no string. g_free. */
char *tb_member_text(JsonObject *object, const char *key);
/* 0 when it is not there, no integer, or below 0. */
uint64_t tb_member_number(JsonObject *object, const char *key);
