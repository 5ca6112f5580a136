/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "review/page.h"

#include <string.h>

#include "review/page-diff.h"
#include "review/page-style.h"
#include "util/escape.h"
#include "util/hole.h"
#include "util/units.h"

void tb_page_text(GString *page, const void *text, size_t length)
{
    g_autofree char *shown = tb_escape_terminal(text, length, true);
    if (tb_hole("page-escape")) {
        g_string_append(page, shown);
        return;
    }
    for (const char *at = shown; *at; at++) {
        switch (*at) {
        case '&':
            g_string_append(page, "&amp;");
            break;
        case '<':
            g_string_append(page, "&lt;");
            break;
        case '>':
            g_string_append(page, "&gt;");
            break;
        case '"':
            g_string_append(page, "&quot;");
            break;
        case '\'':
            g_string_append(page, "&#39;");
            break;
        default:
            g_string_append_c(page, *at);
        }
    }
}

static void add_string(GString *page, const char *text)
{
    tb_page_text(page, text, strlen(text));
}

/* A heading and preformatted text; nothing when there is none. */
static void add_block(GString *page, const char *heading, const char *text)
{
    if (!text || !*text)
        return;
    g_string_append_printf(page, "<h2>%s</h2>\n<pre>", heading);
    add_string(page, text);
    g_string_append(page, "</pre>\n");
}

static void add_head(GString *page, const TbPageContent *content)
{
    g_string_append(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
                          "'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action "
                          "'none'\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
                          "<meta name=\"viewport\" content=\"width=device-width, "
                          "initial-scale=1\">\n<title>");
    add_string(page, content->title);
    g_string_append(page, " - taskbox review</title>\n<style>" PAGE_STYLE
                          "</style>\n</head>\n<body>\n<main>\n<h1>Review of ");
    add_string(page, content->title);
    g_string_append(page, "</h1>\n");
}

static void add_finding(GString *page, const TbFinding *finding)
{
    const char *severity = tb_severity_name(finding->severity);
    g_autofree char *place = tb_finding_place(finding);
    g_string_append_printf(page, "<li class=\"%s\"><span class=\"sev\">%s</span> <strong>",
                           severity, severity);
    add_string(page, finding->rule);
    g_string_append(page, "</strong> <code>");
    add_string(page, place);
    g_string_append(page, "</code><br>");
    add_string(page, finding->why);
    if (finding->detail) {
        g_string_append(page, ": <code>");
        add_string(page, finding->detail);
        g_string_append(page, "</code>");
    }
    g_string_append(page, "</li>\n");
}

static void add_findings(GString *page, const TbFindings *findings)
{
    g_autofree char *count = tb_findings_count_text(findings->counts);
    g_string_append_printf(page, "<h2>Findings: %s</h2>\n", count);
    if (findings->list->len == 0)
        return;
    g_string_append(page, "<ul class=\"findings\">\n");
    for (guint i = 0; i < findings->list->len; i++)
        add_finding(page, findings->list->pdata[i]);
    g_string_append(page, "</ul>\n");
}

static void add_notes(GString *page, const GPtrArray *notes)
{
    if (!notes || notes->len == 0)
        return;
    g_string_append(page, "<h2>Notes</h2>\n<ul>\n");
    for (guint i = 0; i < notes->len; i++) {
        g_string_append(page, "<li>");
        add_string(page, notes->pdata[i]);
        g_string_append(page, "</li>\n");
    }
    g_string_append(page, "</ul>\n");
}

static void add_log(GString *page, const TbPageContent *content)
{
    if (content->log_length == 0)
        return;
    g_string_append(page, "<h2>Log</h2>\n<details><summary>What the task wrote");
    if (content->log_left_out) {
        g_autofree char *size = tb_size_format(content->log_left_out);
        g_string_append_printf(page,
                               " <span class=\"faint\">(the end of it; %s before are left "
                               "out)</span>",
                               size);
    }
    g_string_append(page, "</summary>\n<pre>");
    tb_page_text(page, content->log, content->log_length);
    g_string_append(page, "</pre></details>\n");
}

GString *tb_page_new(const TbPageContent *content, GError **error)
{
    GString *page = g_string_new(NULL);
    add_head(page, content);
    add_findings(page, content->findings);
    add_block(page, "Prompt", content->prompt);
    add_block(page, "Outcome", content->outcome);
    if (!page_add_diff(page, content->git, content->base_tree, content->result_tree, error)) {
        g_string_free(page, TRUE);
        return NULL;
    }
    add_notes(page, content->notes);
    add_log(page, content);
    add_block(page, "How it was made", content->made);
    g_string_append(page, "</main>\n</body>\n</html>\n");
    return page;
}
