/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a reviewer should see first in a patch: files and lines that run by themselves later, hide
 * something, or weaken what protects the project. Rules are a table (rules.c); docs/findings.md
 * says the same, and a test compares. Everything looked at is hostile; nothing of it is in a
 * finding unescaped, and no credential whole.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "util/git.h"

typedef enum { TB_SEVERITY_LOW, TB_SEVERITY_MEDIUM, TB_SEVERITY_HIGH } TbSeverity;
#define TB_SEVERITIES 3

/* "low", "medium", "high". Static string. */
const char *tb_severity_name(TbSeverity severity);

typedef struct {
    char *rule;
    TbSeverity severity;
    char *commit;  /* made in the box, that has it while the result has not; NULL: the patch */
    char *path;    /* raw bytes; NULL: the patch as a whole, or the commit's own words; "": all
                    * commits */
    uint32_t line; /* of the file, or of the commit's message, from 1; 0: none, or its author */
    char *why;     /* one sentence */
    char *detail;  /* what was seen, escaped; NULL: nothing more to say */
} TbFinding;

typedef struct {
    GPtrArray *list;                /* TbFinding, the gravest first, then by path and line */
    uint32_t counts[TB_SEVERITIES]; /* all, those over the limit of a rule included */
} TbFindings;

void tb_findings_free(TbFindings *findings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbFindings, tb_findings_free)

/* Looks at what lies between two trees. `prompt` may be NULL. */
TbFindings *tb_findings_find(TbGit *git, const char *base_tree, const char *result_tree,
                             const char *prompt, GError **error);

/* Adds what lies in the commits of `series` (array of TbSeriesStep, patch/series.h) and not in
 * `result_tree`: it reaches the history of whoever takes the commits, and no patch shows it. And
 * what is in their messages and authors. */
bool tb_findings_add_commits(TbFindings *findings, TbGit *git, const char *base_tree,
                             const char *result_tree, const GPtrArray *series, GError **error);

/* Adds one that is not about a file: of the rule called `rule`, which must be in the table;
 * `detail` (taken) is escaped already. */
void tb_findings_add(TbFindings *findings, const char *rule, char *detail);

/* Names of the rules of severity high that have fired, each once; ends with NULL (g_free: the
 * names are the findings'). With `commits` those of the commits, too. */
const char **tb_findings_high_rules(const TbFindings *findings, bool commits);

/* As JSON, one line, and back. TB_ERROR_IO when the text is none of ours. */
char *tb_findings_format(const TbFindings *findings);
TbFindings *tb_findings_parse(const char *text, size_t length, GError **error);

/* "PATH:LINE" escaped, "PATH", or "" for the patch as a whole; "PATH:LINE in commit ID", "message
 * of commit ID, line N", "author of commit ID". g_free. */
char *tb_finding_place(const TbFinding *finding);
/* "2 high, 1 low"; "none". g_free. */
char *tb_findings_count_text(const uint32_t counts[TB_SEVERITIES]);
