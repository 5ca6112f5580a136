/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How an agent's output is read, when it writes JSON, an object a line: rules that say which parts
 * of which lines are for people. docs/agents.md describes them.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "config/yaml.h"

/* What a rule makes of a part: words of the agent, a piece of them without an end, a command that
 * it runs, a file that it changes, anything else. */
typedef enum {
    TB_STREAM_SAY,
    TB_STREAM_PART,
    TB_STREAM_RUN,
    TB_STREAM_EDIT,
    TB_STREAM_NOTE,
    TB_STREAM_KINDS
} TbStreamKind;

/* The member at `path` ("item.type"; a number is a place in an array) is this text; "*": is there.
 */
typedef struct {
    char *path, *value;
} TbStreamTest;

typedef struct {
    GPtrArray *when; /* TbStreamTest * of the line; NULL: any */
    char *
        each; /* an array of the line: what follows is of each of its elements; NULL: of the line */
    GPtrArray *where;                    /* TbStreamTest *; NULL: any */
    char *texts[TB_STREAM_KINDS];        /* with "{path}" in them; NULL: nothing */
    char *tokens_in, *tokens_out, *cost; /* "{path}" of numbers, which add up; cost in dollars */
} TbStreamRule;

/* Handler for a sequence of rules; field: GPtrArray * of TbStreamRule *. */
bool tb_yaml_stream(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
