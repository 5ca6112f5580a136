/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What differs between two texts, line by line.
 *
 * Lines that are the same get the same number (by sorting: no hash that somebody could aim at).
 * Then, range by range: equal lines at both ends are taken off; lines that are unique in both are
 * anchors (patience diff); between anchors Myers' greedy search finds the shortest script, up to a
 * limit; a range where even that gives up is one replacement. Any answer is a right one, since an
 * edit is a range for a range; a better one only reads better.
 */
#include "review/lines.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64  /* of anchors within anchors */
#define MAX_COST  512 /* edits that Myers looks for in one range */
#define NONE      UINT32_MAX

typedef struct {
    const uint8_t *text;
    size_t length;
    uint32_t index; /* lines of a, then those of b */
} Key;

typedef struct {
    uint32_t *a, *b;                     /* number of each line */
    uint32_t *pair;                      /* for each line of a its partner in b, or NONE */
    uint32_t *seen_a, *seen_b, *where_b; /* by number; all 0 between uses */
} Match;

typedef struct {
    uint32_t a, a_end, b, b_end;
} Range;

typedef struct {
    uint32_t a, b;
} Pair;

static int compare_keys(const void *x, const void *y)
{
    const Key *a = x, *b = y;
    int order = memcmp(a->text, b->text, MIN(a->length, b->length));
    if (order == 0)
        order = a->length < b->length ? -1 : a->length > b->length;
    return order ? order : a->index < b->index ? -1 : 1;
}

static void fill_keys(Key *keys, const TbLines *lines, uint32_t first)
{
    for (uint32_t i = 0; i < lines->count; i++) {
        keys[i].text = tb_line(lines, i, &keys[i].length);
        keys[i].index = first + i;
    }
}

/* Numbers the lines; returns how many different ones there are. */
static uint32_t number_lines(Match *match, const TbLines *a, const TbLines *b)
{
    size_t count = (size_t)a->count + b->count;
    g_autofree Key *keys = g_new(Key, count + 1);
    fill_keys(keys, a, 0);
    fill_keys(keys + a->count, b, a->count);
    qsort(keys, count, sizeof *keys, compare_keys);
    uint32_t number = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (keys[i].length != keys[i - 1].length ||
                      memcmp(keys[i].text, keys[i - 1].text, keys[i].length) != 0))
            number++;
        if (keys[i].index < a->count)
            match->a[keys[i].index] = number;
        else
            match->b[keys[i].index - a->count] = number;
    }
    return number + 1;
}

static void trim(Match *match, Range *range)
{
    while (range->a < range->a_end && range->b < range->b_end &&
           match->a[range->a] == match->b[range->b])
        match->pair[range->a++] = range->b++;
    while (range->a < range->a_end && range->b < range->b_end &&
           match->a[range->a_end - 1] == match->b[range->b_end - 1])
        match->pair[--range->a_end] = --range->b_end;
}

/* Lines that stand exactly once in both sides of the range: a's lines in order with b's. */
static GArray *unique_pairs(Match *match, const Range *range)
{
    GArray *pairs = g_array_new(FALSE, FALSE, sizeof(Pair));
    for (uint32_t i = range->a; i < range->a_end; i++)
        match->seen_a[match->a[i]]++;
    for (uint32_t i = range->b; i < range->b_end; i++) {
        match->seen_b[match->b[i]]++;
        match->where_b[match->b[i]] = i;
    }
    for (uint32_t i = range->a; i < range->a_end; i++) {
        uint32_t number = match->a[i];
        Pair pair = {i, match->where_b[number]};
        if (match->seen_a[number] == 1 && match->seen_b[number] == 1)
            g_array_append_val(pairs, pair);
    }
    for (uint32_t i = range->a; i < range->a_end; i++)
        match->seen_a[match->a[i]] = 0;
    for (uint32_t i = range->b; i < range->b_end; i++)
        match->seen_b[match->b[i]] = 0;
    return pairs;
}

/* The longest part of `pairs` in which b's lines ascend, too. */
static GArray *ascending(const GArray *pairs)
{
    const Pair *pair = (const void *)pairs->data;
    g_autofree uint32_t *tail = g_new(uint32_t, pairs->len + 1);
    g_autofree uint32_t *before = g_new(uint32_t, pairs->len + 1);
    uint32_t length = 0;
    for (uint32_t i = 0; i < pairs->len; i++) {
        uint32_t low = 0, high = length;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (pair[tail[middle]].b < pair[i].b)
                low = middle + 1;
            else
                high = middle;
        }
        before[i] = low ? tail[low - 1] : NONE;
        tail[low] = i;
        length = MAX(length, low + 1);
    }
    GArray *out = g_array_sized_new(FALSE, FALSE, sizeof(Pair), length);
    g_array_set_size(out, length);
    Pair *chosen = (void *)out->data;
    for (uint32_t i = length, at = length ? tail[length - 1] : NONE; i-- > 0; at = before[at])
        chosen[i] = pair[at];
    return out;
}

/* Walks back along the saved frontiers and pairs the lines of the path's diagonals. */
static void myers_path(Match *match, const Range *range, int32_t *const *saved, int32_t cost)
{
    int32_t x = (int32_t)(range->a_end - range->a), y = (int32_t)(range->b_end - range->b);
    for (int32_t d = cost; d >= 0; d--) {
        int32_t k = x - y, from_x = 0, from_y = 0;
        if (d > 0) {
            const int32_t *v = saved[d - 1] + d; /* v[k] for -(d-1)..d-1, margins filled */
            bool down = k == -d || (k != d && v[k - 1] < v[k + 1]);
            from_x = down ? v[k + 1] : v[k - 1];
            from_y = from_x - (down ? k + 1 : k - 1);
        }
        while (x > from_x && y > from_y) {
            x--;
            y--;
            match->pair[range->a + (uint32_t)x] = range->b + (uint32_t)y;
        }
        x = from_x;
        y = from_y;
    }
}

static bool myers(Match *match, const Range *range)
{
    int32_t n = (int32_t)(range->a_end - range->a), m = (int32_t)(range->b_end - range->b);
    g_autofree int32_t *room = g_new0(int32_t, 2 * MAX_COST + 4);
    int32_t *v = room + MAX_COST + 1;
    g_autoptr(GPtrArray) saved = g_ptr_array_new_with_free_func(g_free);
    for (int32_t d = 0; d <= MAX_COST; d++) {
        for (int32_t k = -d; k <= d; k += 2) {
            bool down = k == -d || (k != d && v[k - 1] < v[k + 1]);
            int32_t x = d == 0 ? 0 : down ? v[k + 1] : v[k - 1] + 1;
            int32_t y = x - k;
            while (x >= 0 && y >= 0 && x < n && y < m &&
                   match->a[range->a + (uint32_t)x] == match->b[range->b + (uint32_t)y]) {
                x++;
                y++;
            }
            v[k] = x;
            if (x == n && y == m) {
                myers_path(match, range, (int32_t *const *)saved->pdata, d);
                return true;
            }
        }
        g_ptr_array_add(saved, g_memdup2(v - d - 1, (2 * (size_t)d + 3) * sizeof *v));
    }
    return false;
}

static void match_range(Match *match, Range range, unsigned depth)
{
    trim(match, &range);
    if (range.a == range.a_end || range.b == range.b_end)
        return;
    g_autoptr(GArray) pairs = unique_pairs(match, &range);
    if (pairs->len == 0 || depth == MAX_DEPTH) {
        myers(match, &range);
        return;
    }
    g_autoptr(GArray) anchors = ascending(pairs);
    const Pair *anchor = (const void *)anchors->data;
    Range gap = range;
    for (uint32_t i = 0; i < anchors->len; i++) {
        gap.a_end = anchor[i].a;
        gap.b_end = anchor[i].b;
        match->pair[gap.a_end] = gap.b_end;
        match_range(match, gap, depth + 1);
        gap.a = anchor[i].a + 1;
        gap.b = anchor[i].b + 1;
    }
    gap.a_end = range.a_end;
    gap.b_end = range.b_end;
    match_range(match, gap, depth + 1);
}

static TbEdit *collect(const Match *match, uint32_t a_count, uint32_t b_count, size_t *count)
{
    GArray *edits = g_array_new(FALSE, FALSE, sizeof(TbEdit));
    uint32_t b = 0;
    for (uint32_t a = 0; a < a_count || b < b_count;) {
        if (a < a_count && match->pair[a] == b) {
            a++;
            b++;
            continue;
        }
        TbEdit edit = {.a = a, .b = b};
        while (a < a_count && match->pair[a] == NONE)
            a++;
        b = a < a_count ? match->pair[a] : b_count;
        edit.a_count = a - edit.a;
        edit.b_count = b - edit.b;
        g_array_append_val(edits, edit);
    }
    *count = edits->len;
    return (TbEdit *)(void *)g_array_free(edits, FALSE);
}

TbEdit *tb_lines_compare(const TbLines *a, const TbLines *b, size_t *count)
{
    g_autofree uint32_t *of_a = g_new(uint32_t, (size_t)a->count + 1);
    g_autofree uint32_t *of_b = g_new(uint32_t, (size_t)b->count + 1);
    g_autofree uint32_t *pair = g_new(uint32_t, (size_t)a->count + 1);
    Match match = {.a = of_a, .b = of_b, .pair = pair};
    for (uint32_t i = 0; i < a->count; i++)
        pair[i] = NONE;
    uint32_t numbers = number_lines(&match, a, b);
    g_autofree uint32_t *by_number = g_new0(uint32_t, 3 * (size_t)numbers);
    match.seen_a = by_number;
    match.seen_b = by_number + numbers;
    match.where_b = by_number + 2 * (size_t)numbers;
    match_range(&match, (Range){0, a->count, 0, b->count}, 0);
    return collect(&match, a->count, b->count, count);
}
