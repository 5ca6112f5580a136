/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What deceives the eye in UTF-8 text. Linear, over bytes that nobody vouches for. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next character at *at (which moves on); an invalid byte gives (gunichar)-1. */
gunichar tb_utf8_next(const uint8_t *text, size_t length, size_t *at);
bool tb_is_bidi_control(gunichar character);
/* C0, DEL, C1. */
bool tb_is_control(gunichar character);
/* Shows nothing, or reorders without being a bidi control proper, and has no honest use behind
 * `before` (0: nothing), as in emoji and in scripts with joined letters. */
bool tb_is_hidden(gunichar character, gunichar before);
/* A word that mixes letters of scripts that look alike, described for people: g_free; NULL: none.
 */
char *tb_mixed_word(const uint8_t *text, size_t length);
