/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a rule is written. Private to src/review, but for the table, which tests and docs read.
 *
 * A rule with `paths` and no function fires on each changed file that one of them names. With
 * functions the paths (NULL: all) say on which files they are asked. Functions get bytes that
 * nobody vouches for and must be linear in them.
 */
#pragma once

#include "review/file-diff.h"
#include "review/findings.h"

typedef struct TbRule TbRule;

/* Where besides the patch a rule is asked: about the commits that were made in the box. */
enum {
    TB_RULE_STEPS = 1, /* what one of them has and the result has not */
    TB_RULE_WORDS = 2, /* messages and authors */
};

/* What a rule's function gets. */
typedef struct {
    const TbRule *rule;     /* the one that is asked */
    const TbFileDiff *diff; /* NULL for `tree`; of words its file has no path */
    TbGit *git;
    const GPtrArray *files; /* all of the patch */
    const char *base_tree, *result_tree;
    const char *prompt;
    const char *commit; /* that is looked at; NULL: the patch */
    TbFindings *findings;
    uint32_t *fired, *kept; /* of this rule, so far */
    uint32_t in_file;
} TbRuleScan;

struct TbRule {
    const char *name;
    TbSeverity severity;
    const char *fires; /* on what, for the docs */
    const char *why;   /* the sentence of its findings */
    const char *const *paths;
    unsigned commits; /* TB_RULE_* */
    bool deletions;   /* paths alone: a file that is deleted counts, too */
    void (*file)(TbRuleScan *scan);
    /* each added line, without newline; `number` counts from 1 */
    void (*line)(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
    bool (*tree)(TbRuleScan *scan, GError **error);
};

extern const TbRule tb_rules[];
extern const size_t tb_rule_count;

/* A finding of scan->rule; `format` (NULL: nothing) is the detail, escaped by the caller. */
void rule_found(TbRuleScan *scan, const char *path, uint32_t line, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* Does one of the patterns name the path? "x" is a last component, "a/b" an end of the path, "a/" a
 * directory at any depth; "*" and "?" as in fnmatch(3), letters of either case. */
bool rule_path_matches(const char *const *patterns, const char *path);
extern const char *const rule_test_paths[];

/* Helpers over bytes. */
const uint8_t *rule_memmem(const uint8_t *text, size_t length, const char *word);
/* Is `line` (from 0) of the result new? */
bool rule_line_is_added(const TbFileDiff *diff, uint32_t line);

/* The paths of all files of a tree, each with a NUL byte at its end. g_bytes_unref. */
GBytes *rule_list_tree(const TbRuleScan *scan, const char *tree, GError **error);

/* rules-kind.c: what kind of file, mode, content */
void rule_executable(TbRuleScan *scan);
void rule_symlink(TbRuleScan *scan);
void rule_symlink_out(TbRuleScan *scan);
void rule_submodule(TbRuleScan *scan);
void rule_binary(TbRuleScan *scan);
void rule_program(TbRuleScan *scan);
void rule_unread(TbRuleScan *scan);
void rule_odd_name(TbRuleScan *scan);
bool rule_bare_repository(TbRuleScan *scan, GError **error);
/* rules-text.c: what a line looks like */
void rule_long_line(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
void rule_hidden_right(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
void rule_escape(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
void rule_bidi(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
void rule_invisible(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
void rule_homoglyph(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
/* rules-secret.c */
void rule_credential(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
/* rules-project.c: what it means for the project */
void rule_attributes(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
void rule_hidden_diff(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
void rule_package_script(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
void rule_test_deleted(TbRuleScan *scan);
void rule_test_weakened(TbRuleScan *scan);
void rule_test_skipped(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number);
/* rules-dependency.c */
void rule_dependency(TbRuleScan *scan);
/* rules-prompt.c */
bool rule_outside_prompt(TbRuleScan *scan, GError **error);
