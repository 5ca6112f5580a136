/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "review/findings.h"
#include "review/rules.h"

/* Empty ones. */
TbFindings *findings_new(void);

/* One look with all rules, or with those for commits. */
typedef struct {
    TbRuleScan scan;
    uint32_t *fired, *kept, *in_file; /* by rule */
    bool *asked;                      /* by rule: about the lines of this file */
} Finder;
void finder_init(Finder *finder, TbFindings *findings, TbGit *git);
void finder_clear(Finder *finder);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Finder, finder_clear)

/* Is rule `index` one of those that `where` (TB_RULE_*; 0: the patch) is for? */
bool finder_has(size_t index, unsigned where);
/* Asks rule `index` about the file of finder->scan.diff; those that read lines are then asked about
 * each by finder_line (`line` from 0). */
void finder_file(Finder *finder, size_t index);
void finder_line(Finder *finder, uint32_t line);
/* Asks the rule about these bytes, whatever was asked before. */
void finder_ask(Finder *finder, size_t index, const uint8_t *text, size_t length, uint32_t number);
/* What was over the limits is named once a rule; then all is put in order. */
void finder_end(Finder *finder);
