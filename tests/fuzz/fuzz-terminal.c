/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a box writes to the user's terminal. Whatever it is: what passes is the same in whichever
 * pieces it comes, would pass again as it is, and holds nothing that reaches beyond the screen. */
#include <stdlib.h>
#include <string.h>

#include "util/term-filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t filter_all(const uint8_t *data, size_t size, size_t step, bool utf8, char *out)
{
    TbTermFilter filter;
    size_t n = 0;
    tb_term_filter_init(&filter, utf8);
    for (size_t at = 0; at < size; at += step) {
        size_t part = size - at < step ? size - at : step;
        size_t more = tb_term_filter_push(&filter, data + at, part, out + n);
        if (more > tb_term_filter_room(part))
            abort();
        n += more;
    }
    char restore[TB_TERM_RESTORE];
    if (tb_term_filter_restore(&filter, restore) >= TB_TERM_RESTORE)
        abort();
    return n;
}

static void check(const char *out, size_t n, bool utf8)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)out[i];
        unsigned char next = i + 1 < n ? (unsigned char)out[i + 1] : 0;
        if (byte == 0 || byte == 5 || byte == 0x7f || (!utf8 && byte >= 0x80))
            abort();
        if (byte == 0xc2 && next < 0xa0) /* C1 */
            abort();
        if (byte == 033 && (next == 0 || strchr("]P_^Xk%Zc\\ ", next)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool utf8 = size == 0 || data[0] != 'A';
    char *one = malloc(tb_term_filter_room(size)), *other = malloc(tb_term_filter_room(size));
    size_t n = filter_all(data, size, size + 1, utf8, one);
    size_t m = filter_all(data, size, 1 + size % 5, utf8, other);
    if (n != m || memcmp(one, other, n) != 0)
        abort();
    check(one, n, utf8);
    char *again = malloc(tb_term_filter_room(n));
    if (filter_all((const uint8_t *)one, n, n + 1, utf8, again) != n || memcmp(one, again, n) != 0)
        abort();
    free(one);
    free(other);
    free(again);
    return 0;
}
