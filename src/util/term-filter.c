/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state machine follows ECMA-48 and xterm. What it does not know it drops, so a terminal never
 * sees the beginning of something that ends elsewhere: each escape sequence is judged once it is
 * whole, and is written whole or not at all.
 *
 * Strings (OSC, DCS, APC, PM, SOS) are all dropped: none is needed to draw, and each terminal has
 * more of them than anybody can list. C1 controls are dropped in all their forms, since terminals
 * disagree on them.
 */
#include "util/term-filter.h"

#include <stdio.h>
#include <string.h>

#include "util/hole.h"

#define ESC '\033'

enum { GROUND, ESCAPE, INTERMEDIATE, CSI, OVERLONG, STRING, OSC };

/* Settings besides the private modes. */
enum { INSERT = 1, KEYPAD = 2, MARGINS = 4, CURSOR = 8, CHARSET = 16, STYLE = 32 };

/* Private modes that pass, and what they are before a session. */
static const struct {
    unsigned short number;
    bool initially;
} modes[] = {
    {1, false},    /* cursor keys */
    {5, false},    /* reverse video */
    {6, false},    /* origin */
    {7, true},     /* wrap */
    {12, false},   /* blinking cursor */
    {25, true},    /* cursor shown */
    {45, false},   /* reverse wrap */
    {47, false},   /* other screen */
    {66, false},   /* keypad */
    {69, false},   /* left and right margins */
    {1000, false}, /* mouse */
    {1002, false}, {1003, false}, {1004, false}, {1005, false},
    {1006, false}, {1007, true},  {1015, false}, {1047, false}, /* other screen */
    {1048, false},                                              /* cursor saved */
    {1049, false},                                              /* both */
    {2004, false},                                              /* bracketed paste */
    {2026, false},                                              /* updates at once */
};
enum { N_MODES = sizeof modes / sizeof *modes };
_Static_assert(N_MODES <= 32, "a bit each");

void tb_term_filter_init(TbTermFilter *filter, bool utf8)
{
    memset(filter, 0, sizeof *filter);
    filter->ascii = !utf8;
}

/* ESC c becomes 13 bytes, any other byte three (U+FFFD); what was kept comes on top. */
size_t tb_term_filter_room(size_t length)
{
    return 7 * length + TB_TERM_SEQUENCE;
}

static int mode_index(unsigned number)
{
    for (int i = 0; i < N_MODES; i++)
        if (modes[i].number == number)
            return i;
    return -1;
}

/* --- one whole sequence: does it pass? ---------------------------------------------------------
 */

typedef struct {
    char prefix; /* of "<=>?", 0: none */
    const char *parameters;
    size_t n_parameters;
    char intermediate; /* 0: none */
    bool odd;          /* more than one intermediate, or a prefix in the middle */
    char final;
} Sequence;

static Sequence take_apart(const TbTermFilter *filter)
{
    const char *at = filter->sequence + 2, *end = filter->sequence + filter->length - 1;
    Sequence s = {.final = *end};
    if (at < end && *at >= '<' && *at <= '?')
        s.prefix = *at++;
    s.parameters = at;
    while (at < end && *at >= '0' && *at <= ';')
        at++;
    s.n_parameters = (size_t)(at - s.parameters);
    if (at < end && *at >= ' ' && *at <= '/')
        s.intermediate = *at++;
    s.odd = at != end;
    return s;
}

/* The next number of the parameters; an empty one is 0. False at their end. */
static bool next_number(const char **at, const char *end, unsigned *number)
{
    if (*at > end)
        return false;
    *number = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
        if (*number < 100000)
            *number = *number * 10 + (unsigned)(**at - '0');
    if (*at < end && **at != ';')
        *number = 100000; /* sub-parameters: none that we know */
    while (*at < end && **at != ';')
        (*at)++;
    (*at)++;
    return true;
}

static bool all_in(const Sequence *s, unsigned first, unsigned last)
{
    const char *at = s->parameters;
    unsigned number;
    while (next_number(&at, s->parameters + s->n_parameters, &number))
        if (number < first || number > last)
            return false;
    return true;
}

static bool set_modes(TbTermFilter *filter, const Sequence *s)
{
    const char *at = s->parameters, *end = at + s->n_parameters;
    unsigned number;
    uint32_t seen = 0;
    while (next_number(&at, end, &number)) {
        int index = mode_index(number);
        if (index < 0)
            return false;
        seen |= UINT32_C(1) << index;
    }
    for (int i = 0; i < N_MODES; i++)
        if (seen & UINT32_C(1) << i) {
            if ((s->final == 'h') == modes[i].initially)
                filter->modes &= ~(UINT32_C(1) << i);
            else
                filter->modes |= UINT32_C(1) << i;
        }
    return true;
}

static void note(TbTermFilter *filter, unsigned what, bool changed)
{
    filter->others = changed ? filter->others | what : filter->others & ~what;
}

/* Without prefix and intermediate. */
static bool plain_passes(TbTermFilter *filter, const Sequence *s)
{
    switch (s->final) {
    case 'h': /* insert; not: the keyboard locked, its Enter sent as two, no echo */
    case 'l':
        if (!all_in(s, 4, 4))
            return false;
        note(filter, INSERT, s->final == 'h');
        return true;
    case 'J': /* not: the scrollback */
        return all_in(s, 0, 2);
    case 'n': /* where the cursor is: numbers only */
        filter->asked |= all_in(s, 5, 6);
        return all_in(s, 5, 6);
    case 'c': /* what the terminal is: numbers only */
        filter->asked |= all_in(s, 0, 0);
        return all_in(s, 0, 0);
    case 'r':
        note(filter, MARGINS, s->n_parameters > 0);
        return true;
    case 'm':
        note(filter, STYLE, !all_in(s, 0, 0));
        return true;
    default:
        return strchr("@ABCDEFGHIKLMPSTXZ`abdefgsu", s->final) != NULL;
    }
}

static bool csi_passes(TbTermFilter *filter)
{
    Sequence s = take_apart(filter);
    if (s.odd)
        return false;
    if (s.intermediate == ' ' && s.prefix == 0 && s.final == 'q') {
        note(filter, CURSOR, !all_in(&s, 0, 0));
        return all_in(&s, 0, 6);
    }
    if (s.intermediate == '!' && s.prefix == 0 && s.final == 'p')
        return s.n_parameters == 0;
    if (s.intermediate)
        return false;
    if (s.prefix == 0)
        return plain_passes(filter, &s);
    if (s.prefix == '?' && (s.final == 'h' || s.final == 'l'))
        return set_modes(filter, &s);
    if (s.prefix == '?' && (s.final == 'J' || s.final == 'K'))
        return all_in(&s, 0, 2);
    bool kind = s.prefix == '>' && s.final == 'c' && all_in(&s, 0, 0);
    filter->asked |= kind;
    return kind;
}

/* ESC and one byte, or ESC, an intermediate and one byte. */
static bool escape_passes(TbTermFilter *filter)
{
    char first = filter->sequence[1], last = filter->sequence[filter->length - 1];
    if (filter->length == 2) {
        if (first == '=' || first == '>')
            note(filter, KEYPAD, first == '=');
        if (first == 'n' || first == 'o')
            note(filter, CHARSET, true);
        return strchr("78=>DEHMno|}~", first) != NULL;
    }
    if (filter->length != 3)
        return false;
    if (strchr("()*+", first)) {
        note(filter, CHARSET, true);
        return strchr("B0A", last) != NULL;
    }
    return first == '#' && strchr("34568", last) != NULL;
}

/* --- the machine -------------------------------------------------------------------------------
 */

static size_t emit(const TbTermFilter *filter, char *out)
{
    memcpy(out, filter->sequence, filter->length);
    return filter->length;
}

/* A full reset takes the scrollback with it; this does all the rest. */
static size_t soft_reset(TbTermFilter *filter, char *out)
{
    static const char text[] = "\033[!p\033[H\033[2J";
    note(filter, INSERT | KEYPAD | MARGINS | STYLE, false);
    memcpy(out, text, sizeof text - 1);
    return sizeof text - 1;
}

static void begin(TbTermFilter *filter)
{
    filter->state = ESCAPE;
    filter->sequence[0] = ESC;
    filter->length = 1;
}

static size_t end_escape(TbTermFilter *filter, char *out)
{
    filter->state = GROUND;
    if (filter->length == 2 && filter->sequence[1] == 'c')
        return soft_reset(filter, out);
    return escape_passes(filter) ? emit(filter, out) : 0;
}

static size_t take_escape(TbTermFilter *filter, char byte, char *out)
{
    filter->sequence[filter->length++] = byte;
    if (filter->state == ESCAPE) {
        switch (byte) {
        case '[':
            filter->state = CSI;
            return 0;
        case ']':
            filter->state = OSC;
            return 0;
        case 'P':
        case '_':
        case '^':
        case 'X':
        case 'k': /* screen's title */
            filter->state = STRING;
            return 0;
        default:
            break;
        }
    }
    if (byte >= ' ' && byte <= '/') {
        filter->state = filter->length < 4 ? INTERMEDIATE : OVERLONG;
        return 0;
    }
    return end_escape(filter, out);
}

static size_t take_csi(TbTermFilter *filter, char byte, char *out)
{
    bool final = byte >= '@' && byte <= '~';
    if (filter->state == CSI && filter->length < TB_TERM_SEQUENCE)
        filter->sequence[filter->length++] = byte;
    else
        filter->state = OVERLONG;
    if (!final)
        return 0;
    bool passes = filter->state == CSI && csi_passes(filter);
    filter->state = GROUND;
    return passes ? emit(filter, out) : 0;
}

static size_t take_control(TbTermFilter *filter, char byte, char *out)
{
    if (byte == ESC) {
        begin(filter);
        return 0;
    }
    if (byte == 0x18 || byte == 0x1a) { /* end whatever it was */
        filter->state = GROUND;
        return 0;
    }
    if (filter->state == OSC || filter->state == STRING) {
        if (byte == '\a' && filter->state == OSC)
            filter->state = GROUND;
        return 0;
    }
    if (byte == 0x0e)
        note(filter, CHARSET, true);
    if (byte < '\a' || byte > 0x0f) /* ENQ makes some terminals answer */
        return 0;
    *out = byte; /* in the middle of a sequence, too, as terminals do it */
    return 1;
}

static size_t replace(const TbTermFilter *filter, char *out)
{
    const char *with = filter->ascii ? "?" : "\xef\xbf\xbd";
    size_t length = strlen(with);
    memcpy(out, with, length);
    return length;
}

static bool is_character(const uint8_t *bytes, size_t length)
{
    uint32_t code = length == 2   ? bytes[0] & 0x1fu
                    : length == 3 ? bytes[0] & 0x0fu
                                  : bytes[0] & 0x07u;
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (bytes[i] & 0x3fu);
    static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000}; /* C1 is none */
    return code >= least[length] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

/* A byte from 0x80 on, in the ground state. */
static size_t take_high(TbTermFilter *filter, uint8_t byte, char *out)
{
    size_t n = 0;
    if (filter->missing > 0 && (byte & 0xc0) == 0x80) {
        filter->character[filter->n_character++] = byte;
        if (--filter->missing > 0)
            return 0;
        bool fine = is_character(filter->character, filter->n_character) && !filter->ascii;
        if (!fine)
            return replace(filter, out);
        memcpy(out, filter->character, filter->n_character);
        return filter->n_character;
    }
    if (filter->missing > 0)
        n = replace(filter, out);
    filter->missing = byte >= 0xf0 && byte <= 0xf4  ? 3
                      : byte >= 0xe0 && byte < 0xf0 ? 2
                      : byte >= 0xc2 && byte < 0xe0 ? 1
                                                    : 0;
    if (filter->missing == 0)
        return n + replace(filter, out + n);
    filter->character[0] = byte;
    filter->n_character = 1;
    return n;
}

static size_t take(TbTermFilter *filter, uint8_t byte, char *out)
{
    if (filter->state == GROUND && byte >= 0x80)
        return take_high(filter, byte, out);
    size_t n = filter->missing > 0 ? replace(filter, out) : 0;
    filter->missing = 0;
    if (byte < ' ')
        return n + take_control(filter, (char)byte, out + n);
    if (filter->state == OSC || filter->state == STRING)
        return n;
    if (byte >= 0x7f) { /* no sequence holds it */
        if (byte >= 0x80)
            filter->state = GROUND;
        return n;
    }
    switch (filter->state) {
    case ESCAPE:
    case INTERMEDIATE:
        return n + take_escape(filter, (char)byte, out + n);
    case CSI:
    case OVERLONG:
        return n + take_csi(filter, (char)byte, out + n);
    default:
        out[n] = (char)byte;
        return n + 1;
    }
}

size_t tb_term_filter_push(TbTermFilter *filter, const void *data, size_t length, char *out)
{
    const uint8_t *bytes = data;
    size_t n = 0;
    if (tb_hole("term-filter")) {
        memcpy(out, data, length);
        return length;
    }
    for (size_t i = 0; i < length; i++)
        n += take(filter, bytes[i], out + n);
    return n;
}

/* --- the end -----------------------------------------------------------------------------------
 */

size_t tb_term_filter_restore(TbTermFilter *filter, char out[TB_TERM_RESTORE])
{
    static const struct {
        unsigned what;
        const char *text;
    } others[] = {
        {INSERT, "\033[4l"},           {KEYPAD, "\033>"},
        {MARGINS, "\0337\033[r\0338"}, {CURSOR, "\033[0 q"},
        {CHARSET, "\033(B\033)B\017"}, {STYLE, "\033[m"},
    };
    size_t n = 0;
    for (int i = N_MODES - 1; i >= 0; i--)
        if (filter->modes & UINT32_C(1) << i && modes[i].number != 1048)
            n += (size_t)snprintf(out + n, TB_TERM_RESTORE - n, "\033[?%u%c", modes[i].number,
                                  modes[i].initially ? 'h' : 'l');
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (filter->others & others[i].what)
            n += (size_t)snprintf(out + n, TB_TERM_RESTORE - n, "%s", others[i].text);
    tb_term_filter_init(filter, !filter->ascii);
    return n;
}
