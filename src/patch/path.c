/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rule is git's verify_path with all of core.protectHFS and core.protectNTFS, made a little
 * stricter where strictness costs nobody anything: any number behind "git~", a few more invisible
 * code points. What passes here git takes; the unit test holds the two against each other. So git
 * never has to drop a path by itself, which it does with exit status 0.
 *
 * A name is looked at in a folded form: invisible code points left out, ASCII letters in lower
 * case. A backslash parts components, too, since it does so on Windows.
 */
#include "patch/path.h"

#include <string.h>

/* The longest thing compared is ".gitmodules" or an NTFS short name; the rest of a name matters
 * only as "dots and spaces up to the end or a colon". */
#define FOLDED_MAX TB_PATH_MAX_COMPONENT

typedef struct {
    char text[FOLDED_MAX + 1];
    size_t length;
} Folded;

/* U+200B..200F, U+202A..202E, U+2060..206F: E2 80 8B..8F, E2 80 AA..AE, E2 81 A0..AF; U+FEFF:
 * EF BB BF. Returns how many bytes to leave out. */
static size_t invisible(const uint8_t *at, size_t left)
{
    if (left < 3)
        return 0;
    if (at[0] == 0xe2 && at[1] == 0x80 &&
        ((at[2] >= 0x8b && at[2] <= 0x8f) || (at[2] >= 0xaa && at[2] <= 0xae)))
        return 3;
    if (at[0] == 0xe2 && at[1] == 0x81 && at[2] >= 0xa0 && at[2] <= 0xaf)
        return 3;
    if (at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf)
        return 3;
    return 0;
}

/* Longer names are cut: callers refuse them by their length. */
static void fold(Folded *out, const uint8_t *name, size_t length)
{
    out->length = 0;
    for (size_t i = 0; i < length && out->length < FOLDED_MAX;) {
        size_t skip = invisible(name + i, length - i);
        if (skip) {
            i += skip;
            continue;
        }
        uint8_t c = name[i++];
        out->text[out->length++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    out->text[out->length] = '\0';
}

/* From `at` only dots and spaces up to the end or the colon of an NTFS stream. */
static bool ends_there(const Folded *name, size_t at)
{
    while (at < name->length && (name->text[at] == '.' || name->text[at] == ' '))
        at++;
    return at == name->length || name->text[at] == ':';
}

static bool continues(const uint8_t *at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((at[i] & 0xc0) != 0x80)
            return false;
    return true;
}

/* HFS+ names are Unicode: to git, a name of it ends where the UTF-8 is broken. The folded text
 * ends with a NUL byte, which continues no character. */
static bool broken_there(const Folded *name, size_t at)
{
    const uint8_t *c = (const uint8_t *)name->text + at;
    if (c[0] < 0x80)
        return false;
    if (c[0] >= 0xc2 && c[0] <= 0xdf)
        return !continues(c + 1, 1);
    if (c[0] >= 0xe0 && c[0] <= 0xef && continues(c + 1, 2)) {
        unsigned code = (c[0] & 0x0fu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu);
        return code < 0x800 || (code >= 0xd800 && code <= 0xdfff) || code >= 0xfffe;
    }
    if (c[0] >= 0xf0 && c[0] <= 0xf4 && continues(c + 1, 3)) {
        unsigned code =
            (c[0] & 0x07u) << 18 | (c[1] & 0x3fu) << 12 | (c[2] & 0x3fu) << 6 | (c[3] & 0x3fu);
        return code < 0x10000 || code > 0x10ffff || (code & 0xfffe) == 0xfffe;
    }
    return true;
}

/* "NAME", or NAME and what a file system would not see. */
static bool is_name(const Folded *folded, const char *name)
{
    size_t length = strlen(name);
    return strncmp(folded->text, name, length) == 0 &&
           (ends_there(folded, length) || broken_there(folded, length));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "PREFIX~N", any number, then dots, spaces, a stream. */
static bool is_short_name(const Folded *name, const char *prefix)
{
    size_t at = strlen(prefix);
    if (strncmp(name->text, prefix, at) != 0 || name->text[at] != '~' ||
        !is_digit(name->text[at + 1]))
        return false;
    at++;
    while (is_digit(name->text[at]))
        at++;
    return ends_there(name, at);
}

static bool part_is_git(const uint8_t *name, size_t length)
{
    Folded folded;
    fold(&folded, name, length);
    return is_name(&folded, ".git") || is_short_name(&folded, "git");
}

/* NTFS makes up short names of ".gitmodules": GITMOD~1, and when many are taken some beginning of
 * the hash "gi7eba", a tilde and digits, eight characters in all. */
static bool part_is_gitmodules(const uint8_t *name, size_t length)
{
    static const char hash[] = "gi7eba";
    Folded folded;
    fold(&folded, name, length);
    if (is_name(&folded, ".gitmodules") || is_short_name(&folded, "gitmod"))
        return true;
    size_t at = 0;
    while (hash[at] && folded.text[at] == hash[at])
        at++;
    if (folded.text[at++] != '~')
        return false;
    while (at < 8 && is_digit(folded.text[at]))
        at++;
    return at == 8 && ends_there(&folded, at);
}

/* Asks `test` for each part between slashes and backslashes. */
static bool any_part(const uint8_t *path, size_t length,
                     bool (*test)(const uint8_t *name, size_t length))
{
    size_t start = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && path[i] != '/' && path[i] != '\\')
            continue;
        if (test(path + start, i - start))
            return true;
        start = i + 1;
    }
    return false;
}

bool tb_path_is_git(const uint8_t *name, size_t length)
{
    return any_part(name, length, part_is_git);
}

bool tb_path_has_gitmodules(const uint8_t *path, size_t length)
{
    return any_part(path, length, part_is_gitmodules);
}

static TbPathVerdict component_check(const uint8_t *name, size_t length)
{
    if (length == 0)
        return TB_PATH_EMPTY;
    if (length > TB_PATH_MAX_COMPONENT)
        return TB_PATH_COMPONENT;
    if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
        return TB_PATH_DOT;
    return tb_path_is_git(name, length) ? TB_PATH_GIT : TB_PATH_OK;
}

TbPathVerdict tb_path_check(const uint8_t *path, size_t length)
{
    if (length == 0)
        return TB_PATH_EMPTY;
    if (length > TB_PATH_MAX_LENGTH)
        return TB_PATH_LONG;
    if (memchr(path, '\0', length))
        return TB_PATH_NUL;
    size_t start = 0, depth = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && path[i] != '/')
            continue;
        if (++depth > TB_PATH_MAX_DEPTH)
            return TB_PATH_DEEP;
        TbPathVerdict verdict = component_check(path + start, i - start);
        if (verdict != TB_PATH_OK)
            return verdict;
        start = i + 1;
    }
    return TB_PATH_OK;
}

const char *tb_path_reason(TbPathVerdict verdict)
{
    switch (verdict) {
    case TB_PATH_OK:
        return "fine";
    case TB_PATH_EMPTY:
        return "empty or absolute path, or an empty component";
    case TB_PATH_LONG:
        return "path longer than 4096 bytes";
    case TB_PATH_DEEP:
        return "more than 128 directories deep";
    case TB_PATH_COMPONENT:
        return "a name longer than 255 bytes";
    case TB_PATH_NUL:
        return "a NUL byte in the path";
    case TB_PATH_DOT:
        return "'.' or '..' in the path";
    case TB_PATH_GIT:
        return "a name that is git's own";
    }
    return "not known";
}

bool tb_path_target_ok(const uint8_t *target, size_t length)
{
    return length > 0 && length <= TB_PATH_MAX_TARGET && !memchr(target, '\0', length);
}
