/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Only what mail.c writes is taken: a line more, a trailer twice or in another order, and the file
 * is none of ours. That leaves no second way to read a patch.
 */
#include "patch/parse.h"

#include <string.h>

#define FROM "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001"

#define VALUE_LIMIT 200

typedef struct {
    const uint8_t *at, *end;
} Input;

/* The next line without its newline; false when no newline comes. */
static bool next_line(Input *input, TbPatchSpan *line)
{
    size_t left = (size_t)(input->end - input->at);
    const uint8_t *newline = left ? memchr(input->at, '\n', left) : NULL;
    if (!newline)
        return false;
    *line = (TbPatchSpan){input->at, (size_t)(newline - input->at)};
    input->at = newline + 1;
    return true;
}

static bool is(TbPatchSpan line, const char *text)
{
    return line.length == strlen(text) && memcmp(line.text, text, line.length) == 0;
}

/* Takes `prefix` off the line. */
static bool skip(TbPatchSpan *line, const char *prefix)
{
    size_t length = strlen(prefix);
    if (line->length < length || memcmp(line->text, prefix, length) != 0)
        return false;
    line->text += length;
    line->length -= length;
    return true;
}

static bool printable(TbPatchSpan text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.text[i] < 0x20 || text.text[i] > 0x7e)
            return false;
    return true;
}

static bool hex(TbPatchSpan text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!((text.text[i] >= '0' && text.text[i] <= '9') ||
              (text.text[i] >= 'a' && text.text[i] <= 'f')))
            return false;
    return true;
}

/* From, Date, Subject (folded or not) and what says that the body is UTF-8, each once. */
static TbPatchVerdict parse_headers(Input *input)
{
    static const char *const names[] = {"From: ", "Date: ", "Subject: [PATCH] "};
    static const char *const mime[] = {"MIME-Version: 1.0",
                                       "Content-Type: text/plain; charset=UTF-8",
                                       "Content-Transfer-Encoding: 8bit", ""};
    const uint8_t *before = input->at;
    TbPatchSpan line;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!next_line(input, &line))
            return TB_PATCH_ENDLESS;
        if (!skip(&line, names[i]) || !printable(line))
            return TB_PATCH_HEADER;
        while (before = input->at, next_line(input, &line) && skip(&line, " "))
            if (!printable(line))
                return TB_PATCH_HEADER;
        input->at = before;
    }
    for (size_t i = 0; i < sizeof mime / sizeof *mime; i++) {
        if (!next_line(input, &line))
            return TB_PATCH_ENDLESS;
        if (!is(line, mime[i]))
            return TB_PATCH_HEADER;
    }
    return TB_PATCH_FINE;
}

enum { TASK, IMAGE, BASE, RESULT, SHA256, TRAILERS };

static TbPatchSpan *trailer_of(TbPatchHead *head, unsigned which)
{
    TbPatchSpan *const spans[TRAILERS] = {&head->task, &head->image, &head->base, &head->result,
                                          &head->sha256};
    return spans[which];
}

static bool value_fine(unsigned which, TbPatchSpan value)
{
    switch (which) {
    case BASE:
    case RESULT:
        return (value.length == 40 || value.length == 64) && hex(value);
    case SHA256:
        return value.length == 64 && hex(value);
    default:
        return value.length > 0 && value.length <= VALUE_LIMIT && printable(value);
    }
}

/* A "Taskbox-..." line; *next is the first trailer that may come. */
static TbPatchVerdict parse_trailer(TbPatchHead *head, TbPatchSpan line, unsigned *next)
{
    static const char *const names[TRAILERS] = {
        "Task: ", "Image: ", "Base-Tree: ", "Result-Tree: ", "Diff-SHA256: "};
    for (unsigned which = 0; which < TRAILERS; which++) {
        if (!skip(&line, names[which]))
            continue;
        if (which < *next)
            return TB_PATCH_DUPLICATE;
        if (!value_fine(which, line))
            return TB_PATCH_VALUE;
        *trailer_of(head, which) = line;
        *next = which + 1;
        return TB_PATCH_FINE;
    }
    return TB_PATCH_UNKNOWN;
}

/* The prompt's lines are indented or empty; trailers come last. */
static TbPatchVerdict parse_body(Input *input, TbPatchHead *head)
{
    TbPatchSpan line;
    unsigned next = 0;
    while (next_line(input, &line)) {
        if (is(line, "---"))
            return TB_PATCH_FINE;
        if (skip(&line, "Taskbox-")) {
            TbPatchVerdict verdict = parse_trailer(head, line, &next);
            if (verdict != TB_PATCH_FINE)
                return verdict;
        } else if (next > 0 || (line.length > 0 && !skip(&line, "    "))) {
            return TB_PATCH_BODY;
        }
    }
    return TB_PATCH_ENDLESS;
}

TbPatchVerdict tb_patch_parse_head(const uint8_t *data, size_t size, TbPatchHead *head)
{
    if (size > TB_PATCH_HEAD_LIMIT)
        size = TB_PATCH_HEAD_LIMIT;
    Input input = {data, data + size};
    TbPatchSpan line;
    *head = (TbPatchHead){.length = 0};
    if (!next_line(&input, &line) || !is(line, FROM))
        return TB_PATCH_FOREIGN;
    TbPatchVerdict verdict = parse_headers(&input);
    if (verdict == TB_PATCH_FINE)
        verdict = parse_body(&input, head);
    if (verdict != TB_PATCH_FINE)
        return verdict;
    if (!head->task.text || !head->base.text || !head->result.text || !head->sha256.text)
        return TB_PATCH_MISSING;
    if (head->base.length != head->result.length)
        return TB_PATCH_VALUE;
    head->length = (size_t)(input.at - data);
    return TB_PATCH_FINE;
}

TbPatchVerdict tb_patch_parse_tail(const uint8_t *data, size_t size, size_t *length)
{
    size_t scanned = size < TB_PATCH_TAIL_LIMIT ? size : TB_PATCH_TAIL_LIMIT;
    const uint8_t *end = data + size, *start = end - scanned;
    if (scanned < 2 || memcmp(end - 2, "\n\n", 2) != 0)
        return TB_PATCH_CUT;
    /* The version's line, and before it what must be there. */
    const uint8_t *version = end - 2;
    while (version > start && version[-1] != '\n')
        version--;
    TbPatchSpan line = {version, (size_t)(end - 2 - version)};
    if (!skip(&line, "taskbox ") || line.length == 0 || !printable(line) || version - start < 4)
        return TB_PATCH_CUT;
    const uint8_t *at = version - 4;
    if (memcmp(at, "-- \n", 4) != 0 || (at > start && at[-1] != '\n'))
        return TB_PATCH_CUT;
    *length = (size_t)(end - at);
    return TB_PATCH_FINE;
}

const char *tb_patch_reason(TbPatchVerdict verdict)
{
    switch (verdict) {
    case TB_PATCH_FINE:
        return "nothing is wrong with it";
    case TB_PATCH_FOREIGN:
        return "it does not begin like a patch of taskbox";
    case TB_PATCH_ENDLESS:
        return "its head does not end";
    case TB_PATCH_HEADER:
        return "its mail header was altered";
    case TB_PATCH_BODY:
        return "its message was altered";
    case TB_PATCH_UNKNOWN:
        return "it has a trailer that is not known (a newer taskbox may know it)";
    case TB_PATCH_DUPLICATE:
        return "a trailer is there twice or out of order";
    case TB_PATCH_VALUE:
        return "a trailer has an impossible value";
    case TB_PATCH_MISSING:
        return "a trailer is missing";
    case TB_PATCH_CUT:
        return "its end is missing";
    }
    return "it cannot be read";
}
