/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers as people write them. Integer arithmetic throughout, every overflow is an error. */
#include "util/units.h"

#include <string.h>

#include "util/error.h"

#define KIB ((uint64_t)1024)

static bool bad(GError **error, const char *what, const char *text, const char *examples)
{
    return tb_error_set(error, TB_ERROR_USAGE, "'%s' is no %s (write it like %s)", text, what,
                        examples);
}

/* Digits at *text; false when there are none or too many. Moves *text behind them. */
static bool take_number(const char **text, uint64_t *out)
{
    const char *start = *text;
    uint64_t value = 0;
    for (; g_ascii_isdigit(**text); (*text)++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
            return false;
    *out = value;
    return *text > start;
}

/* "K", "KB" or "KiB" and so on, "B" or nothing: what one unit is. */
static bool size_unit(const char *text, uint64_t *unit)
{
    static const char letters[] = "kmgt";
    *unit = 1;
    if (*text == '\0' || g_ascii_strcasecmp(text, "b") == 0)
        return true;
    const char *letter = strchr(letters, g_ascii_tolower(*text));
    if (!letter)
        return false;
    for (const char *l = letters; l <= letter; l++)
        *unit *= KIB;
    return text[1] == '\0' || g_ascii_strcasecmp(text + 1, "b") == 0 ||
           g_ascii_strcasecmp(text + 1, "ib") == 0;
}

/* The part behind the point: of `unit`, in whole bytes. At most 6 digits keep it in 64 bits. */
static bool take_fraction(const char **text, uint64_t *numerator, uint64_t *denominator)
{
    *numerator = 0;
    *denominator = 1;
    if (**text != '.')
        return true;
    const char *digits = ++*text;
    if (!take_number(text, numerator) || *text - digits > 6)
        return false;
    for (; digits < *text; digits++)
        *denominator *= 10;
    return true;
}

bool tb_size_parse(const char *text, uint64_t *bytes, GError **error)
{
    static const char examples[] = "512M, 8GiB or 1.5G";
    const char *rest = text;
    uint64_t whole, numerator, denominator, unit, size;
    if (!take_number(&rest, &whole) || !take_fraction(&rest, &numerator, &denominator) ||
        !size_unit(rest, &unit) || (denominator > 1 && unit == 1))
        return bad(error, "size", text, examples);
    if (__builtin_mul_overflow(whole, unit, &size) ||
        __builtin_add_overflow(size, numerator * unit / denominator, &size))
        return tb_error_set(error, TB_ERROR_USAGE, "'%s' is too large a size", text);
    *bytes = size;
    return true;
}

bool tb_duration_parse(const char *text, uint64_t *seconds, GError **error)
{
    static const char examples[] = "90s, 30m or 1h30m";
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    const char *rest = text;
    uint64_t total = 0, number;
    size_t next = 0; /* units come from large to small, each once */
    if (take_number(&rest, &number) && *rest == '\0') {
        *seconds = number;
        return true;
    }
    for (rest = text; *rest || rest == text;) {
        if (!take_number(&rest, &number))
            return bad(error, "duration", text, examples);
        while (next < G_N_ELEMENTS(units) && units[next].letter != *rest)
            next++;
        if (next == G_N_ELEMENTS(units) ||
            __builtin_mul_overflow(number, units[next].seconds, &number) ||
            __builtin_add_overflow(total, number, &total))
            return bad(error, "duration", text, examples);
        next++;
        rest++;
    }
    *seconds = total;
    return true;
}

char *tb_size_format(uint64_t bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < KIB)
        return g_strdup_printf("%u B", (unsigned)bytes);
    double value = (double)bytes / (double)KIB;
    size_t name = 0;
    while (value >= 1023.95 && name + 1 < G_N_ELEMENTS(names)) { /* it would print as 1024.0 */
        value /= (double)KIB;
        name++;
    }
    char number[G_ASCII_DTOSTR_BUF_SIZE]; /* a point in every locale */
    g_ascii_formatd(number, sizeof number, "%.1f", value);
    return g_strdup_printf("%s %s", number, names[name]);
}

char *tb_duration_format(uint64_t milliseconds)
{
    uint64_t seconds = milliseconds / 1000;
    if (milliseconds < 1000)
        return g_strdup_printf("%u ms", (unsigned)milliseconds);
    if (seconds < 60)
        return g_strdup_printf("%u.%u s", (unsigned)seconds, (unsigned)(milliseconds % 1000 / 100));
    if (seconds < 3600)
        return g_strdup_printf("%u m %02u s", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
    if (seconds < 86400)
        return g_strdup_printf("%u h %02u m", (unsigned)(seconds / 3600),
                               (unsigned)(seconds / 60 % 60));
    return g_strdup_printf("%" G_GUINT64_FORMAT " d %02u h", seconds / 86400,
                           (unsigned)(seconds / 3600 % 24));
}

bool tb_number_parse(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *out,
                     GError **error)
{
    const char *rest = text;
    uint64_t number;
    if (!take_number(&rest, &number) || *rest != '\0' || number < min || number > max)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "'%s' is no %s (a number from %" G_GUINT64_FORMAT
                            " to %" G_GUINT64_FORMAT ")",
                            text, what, min, max);
    *out = number;
    return true;
}

/* Letters to insert, delete, change or swap with their neighbour to make b of a. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), width = lb + 1;
    g_autofree size_t *cost = g_new0(size_t, (la + 1) * width);
    for (size_t i = 0; i <= la; i++) {
        for (size_t j = 0; j <= lb; j++) {
            size_t *here = cost + i * width + j;
            if (i == 0 || j == 0) {
                *here = i + j;
                continue;
            }
            size_t change = here[-(gssize)width - 1] + (a[i - 1] != b[j - 1]);
            *here = MIN(change, MIN(here[-(gssize)width], here[-1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                *here = MIN(*here, here[-2 * (gssize)width - 2] + 1);
        }
    }
    return cost[la * width + lb];
}

const char *tb_nearest_word(const char *word, const char *const *words)
{
    const char *nearest = NULL;
    size_t length = strlen(word);
    if (length > 64) /* nobody mistypes that; the table would be large */
        return NULL;
    size_t least = MAX(length, 3) / 3 + 1;
    for (; *words; words++) {
        size_t distance = edit_distance(word, *words);
        if (distance < least) {
            least = distance;
            nearest = *words;
        }
    }
    return nearest;
}

bool tb_history_parse(const char *text, unsigned *commits, GError **error)
{
    uint64_t number = 0;
    if (strcmp(text, "full") == 0 || strcmp(text, "none") == 0) {
        *commits = *text == 'f' ? TB_ALL_COMMITS : 0;
        return true;
    }
    if (!g_ascii_isdigit(*text))
        return tb_error_set(error, TB_ERROR_USAGE,
                            "bad value '%s' (must be full, none or a number of commits)", text);
    if (!tb_number_parse(text, "number of commits", 1, TB_MAX_COMMITS, &number, error))
        return false;
    *commits = (unsigned)number;
    return true;
}
