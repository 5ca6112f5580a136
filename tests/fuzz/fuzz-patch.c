/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The patch reader on any bytes: no fault, and what it lets through holds the rules said again here
 * in the plainest way. */
#include "patch/parse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_span(const uint8_t *data, size_t size, TbPatchSpan span, const char *alphabet)
{
    require(span.text >= data && span.length > 0 && span.length <= size);
    require(span.text + span.length < data + size && span.text[span.length] == '\n');
    for (size_t i = 0; i < span.length; i++)
        require(alphabet ? span.text[i] && strchr(alphabet, span.text[i])
                         : span.text[i] >= 0x20 && span.text[i] < 0x7f);
}

static size_t count(const uint8_t *data, size_t size, const char *text)
{
    size_t found = 0, length = strlen(text);
    for (size_t i = 0; i + length <= size; i++)
        found += memcmp(data + i, text, length) == 0;
    return found;
}

static void check_head(const uint8_t *data, size_t size, const TbPatchHead *head)
{
    static const char digits[] = "0123456789abcdef";
    static const char *const once[] = {"\nTaskbox-Task: ",
                                       "\nTaskbox-Base-Tree: ",
                                       "\nTaskbox-Result-Tree: ",
                                       "\nTaskbox-Diff-SHA256: ",
                                       "\n---\n",
                                       "\nFrom: ",
                                       "\nDate: ",
                                       "\nSubject: "};
    require(head->length <= size && head->length <= TB_PATCH_HEAD_LIMIT && head->length > 5);
    require(memcmp(data + head->length - 5, "\n---\n", 5) == 0);
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        require(count(data, head->length, once[i]) == 1);
    check_span(data, size, head->task, NULL);
    if (head->image.text)
        check_span(data, size, head->image, NULL);
    check_span(data, size, head->base, digits);
    check_span(data, size, head->result, digits);
    check_span(data, size, head->sha256, digits);
    require(head->base.length == head->result.length && head->sha256.length == 64);
    require(head->base.length == 40 || head->base.length == 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy without a byte to spare, so that a read past either end is seen. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    TbPatchHead head;
    size_t length = 0;
    require(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    TbPatchVerdict verdict = tb_patch_parse_head(copy, size, &head);
    require(tb_patch_reason(verdict) != NULL);
    if (verdict == TB_PATCH_FINE)
        check_head(copy, size, &head);
    if (tb_patch_parse_tail(copy, size, &length) == TB_PATCH_FINE) {
        require(length <= size && length <= TB_PATCH_TAIL_LIMIT && length > 13);
        require(memcmp(copy + size - length, "-- \ntaskbox ", 12) == 0);
        require(copy[size - 1] == '\n' && copy[size - 2] == '\n');
    }
    free(copy);
    return 0;
}
