/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tree with some of its paths changed, by one `git fast-import`: it reads and writes only the
 * directories that change, where an index would have every file of the project read and written.
 *
 * Paths are always sent in git's quotes, every byte that is not plain text as an octal number, so
 * none can end a line. What fast-import would take without a word (a file in a directory's place)
 * is for the caller to find: what differs from the tree before must be what was asked for.
 */
#include "util/git.h"

#include <string.h>

#include "util/error.h"

#define REF       "refs/taskbox/tree"
#define ANSWER    "040000 tree "
#define ANSWER_OF "\t\n"

/* The commit is there because fast-import changes trees in commits only; nothing names it. */
static GString *make_stream(const TbGit *git, const char *tree, const TbTreeEntry *entries,
                            size_t count)
{
    GString *out = g_string_new("feature done\ncommit " REF "\ncommitter taskbox <> 0 +0000\n"
                                "data 0\n");
    g_string_append_printf(out, "M 040000 %s \"\"\n", tree);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].mode)
            continue;
        g_string_append(out, "D ");
        tb_git_quote(out, entries[i].path);
    }
    for (size_t i = 0; i < count; i++) {
        if (!entries[i].mode)
            continue;
        g_string_append_printf(out, "M %o %s ", entries[i].mode, entries[i].oid);
        tb_git_quote(out, entries[i].path);
    }
    g_autofree char *none = g_strnfill(tb_git_oid_length(git), '0');
    g_string_append_printf(out, "ls \"\"\nreset " REF "\nfrom %s\n\ndone\n", none);
    return out;
}

/* "040000 tree OID\t\n". g_free. */
static char *parse_answer(const TbGit *git, GBytes *answer)
{
    gsize size = 0;
    const char *text = g_bytes_get_data(answer, &size);
    size_t head = strlen(ANSWER), oid = tb_git_oid_length(git);
    if (size != head + oid + strlen(ANSWER_OF) || memcmp(text, ANSWER, head) != 0 ||
        memcmp(text + head + oid, ANSWER_OF, strlen(ANSWER_OF)) != 0)
        return NULL;
    char *tree = g_strndup(text + head, oid);
    if (strspn(tree, "0123456789abcdef") != oid)
        g_clear_pointer(&tree, g_free);
    return tree;
}

char *tb_git_change_tree(TbGit *git, const char *tree, const TbTreeEntry *entries, size_t count,
                         GError **error)
{
    g_autoptr(GString) stream = make_stream(git, tree, entries, count);
    g_autoptr(TbCommand) command = tb_git_command(git, "fast-import", NULL, NULL);
    tb_command_add(command, "--quiet", "--depth=0", NULL);
    /* One pack: many loose objects would cost a write to the disk each. */
    tb_command_setenv(command, "GIT_CONFIG_COUNT", "1");
    tb_command_setenv(command, "GIT_CONFIG_KEY_0", "fastimport.unpackLimit");
    tb_command_setenv(command, "GIT_CONFIG_VALUE_0", "0");
    tb_command_set_stdin_bytes(command, stream->str, stream->len);
    g_autoptr(GBytes) answer = NULL;
    if (!tb_command_run(command, &answer, error))
        return NULL;
    char *made = parse_answer(git, answer);
    if (!made)
        tb_error_set(error, TB_ERROR_INTERNAL, "cannot read what git fast-import says of a tree");
    return made;
}

bool tb_git_read_tree(TbGit *git, const char *tree, const char *index, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "read-tree", NULL, index);
    tb_command_add(command, tree, NULL);
    return tb_command_run(command, NULL, error);
}
