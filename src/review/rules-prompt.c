/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that the prompt does not name. A word of the prompt names files when it is a path of the
 * base or the result, a directory of theirs, or the last component of a path with a dot in it. A
 * prompt that names none has no say.
 */
#include "review/rules.h"

#include <string.h>

#define MAX_WORDS 200
#define MAX_NAMED 20 /* findings; more are one */

/* Words that could be paths, quotes and punctuation taken off. */
static GPtrArray *candidates(const char *prompt)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) parts = g_strsplit_set(prompt, " \t\r\n\"'`()<>{}[],;|*", -1);
    for (char **part = parts; *part && words->len < MAX_WORDS; part++) {
        char *word = *part;
        if (g_str_has_prefix(word, "./"))
            word += 2;
        size_t length = strlen(word);
        while (length && strchr(".:!?/", word[length - 1]))
            word[--length] = '\0';
        if (length && (strchr(word, '/') || strchr(word, '.')))
            g_ptr_array_add(words, g_strdup(word));
    }
    return words;
}

static bool names(const char *word, const char *path)
{
    size_t length = strlen(word);
    if (strncmp(path, word, length) == 0 && (path[length] == '\0' || path[length] == '/'))
        return true;
    const char *slash = strrchr(path, '/');
    return slash && !strchr(word, '/') && strcmp(slash + 1, word) == 0;
}

/* Marks the words that name something of a list of NUL-terminated paths. */
static void mark(const GPtrArray *words, bool *real, const char *text, size_t length)
{
    for (const char *path = text; path < text + length; path += strlen(path) + 1)
        for (guint i = 0; i < words->len; i++)
            real[i] = real[i] || names(words->pdata[i], path);
}

static bool mark_base(TbRuleScan *scan, const GPtrArray *words, bool *real, GError **error)
{
    g_autoptr(GBytes) out = rule_list_tree(scan, scan->base_tree, error);
    if (!out)
        return false;
    size_t length = 0;
    const char *text = g_bytes_get_data(out, &length);
    mark(words, real, text, length);
    return true;
}

bool rule_outside_prompt(TbRuleScan *scan, GError **error)
{
    g_autoptr(GPtrArray) words = candidates(scan->prompt ? scan->prompt : "");
    if (words->len == 0 || scan->files->len == 0)
        return true;
    g_autofree bool *real = g_new0(bool, words->len);
    if (!mark_base(scan, words, real, error))
        return false;
    bool any = false;
    for (guint i = 0; i < scan->files->len; i++) {
        const TbPatchFile *file = scan->files->pdata[i];
        mark(words, real, file->path, strlen(file->path) + 1);
    }
    for (guint i = 0; i < words->len; i++)
        any |= real[i];
    for (guint i = 0; any && i < scan->files->len; i++) {
        const TbPatchFile *file = scan->files->pdata[i];
        bool named = false;
        for (guint k = 0; k < words->len && !named; k++)
            named = real[k] && names(words->pdata[k], file->path);
        scan->in_file = *scan->fired < MAX_NAMED ? 0 : G_MAXINT32;
        if (!named)
            rule_found(scan, file->path, 0, NULL);
    }
    return true;
}
