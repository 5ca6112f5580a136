/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A review as one HTML page that needs nothing else: no network, no script. What it shows is
 * hostile: text gets in through one function that escapes it, and a policy in the page's head
 * forbids everything but its own style sheet.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "review/findings.h"
#include "util/git.h"

typedef struct {
    const char *title;   /* of the page: the task's id */
    const char *prompt;  /* or the command line; NULL: none */
    const char *outcome; /* lines */
    const TbFindings *findings;
    TbGit *git;
    const char *base_tree, *result_tree;
    const GPtrArray *notes; /* char * */
    const char *log;        /* its tail; raw bytes */
    size_t log_length;
    uint64_t log_left_out; /* bytes of the log before `log` */
    const char *made;      /* how it was made, lines */
} TbPageContent;

/* The whole page (free with g_string_free). */
GString *tb_page_new(const TbPageContent *content, GError **error);

/* Appends bytes as text: markup characters escaped, what cannot be shown written out
 * (tb_escape_terminal). The only way for text into a page. */
void tb_page_text(GString *page, const void *text, size_t length);
