/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a hostile program writes to the user's own terminal, when that is what the user asked for
 * (an interactive shell in a box). Text, colours, cursor movement and full-screen programs pass;
 * what could reach beyond the screen does not: clipboard, titles, links, notifications, printing,
 * key definitions, other character sets, answers whose text the box could choose, the scrollback.
 * docs/security.md has the list. libc only, no allocation; fuzzed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TB_TERM_SEQUENCE = 64, /* a longer escape sequence is dropped */
    TB_TERM_RESTORE = 512, /* bytes that tb_term_filter_restore writes at most */
};

typedef struct {
    unsigned state;
    size_t length;    /* of the sequence so far, from its ESC on */
    unsigned missing; /* bytes of a character that are still to come */
    size_t n_character;
    bool asked;      /* something passed that the terminal answers */
    bool ascii;      /* the terminal is not known to read UTF-8 */
    uint32_t modes;  /* private modes that are not as they were */
    unsigned others; /* further settings that are not as they were */
    char sequence[TB_TERM_SEQUENCE];
    uint8_t character[4];
} TbTermFilter;

/* The beginning of a session. `utf8`: the terminal reads UTF-8; else only ASCII passes. */
void tb_term_filter_init(TbTermFilter *filter, bool utf8);
/* How much room `length` bytes may need. */
size_t tb_term_filter_room(size_t length);
/* Filters bytes; the number of bytes written to `out`, which has the room. A sequence or character
 * that is not complete is kept for the next call. */
size_t tb_term_filter_push(TbTermFilter *filter, const void *data, size_t length, char *out);
/* Forgets what is not complete and gives what sets the terminal's modes back to what they were
 * before the session: the number of bytes. */
size_t tb_term_filter_restore(TbTermFilter *filter, char out[TB_TERM_RESTORE]);
