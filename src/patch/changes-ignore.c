/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which new files are ignored, by the base tree's own rules: a box that writes a .gitignore cannot
 * hide from the patch with it, nor can one that empties it flood the patch.
 *
 * git decides (check-ignore), in a scratch work tree of ours that holds nothing but the base tree's
 * .gitignore files of the directories asked about. The user's global ignore file and the
 * repository's info/exclude rank below all of those, in this order; put in front of the lines of
 * the root's .gitignore they mean the same.
 */
#include "patch/changes-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "patch/path.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/git-ignore.h"

#define SCRATCH     "taskbox-ignore"
#define RULES_LIMIT ((size_t)16 << 20)

/* The base's .gitignore entries of all directories that a candidate lies in. */
static GPtrArray *rule_entries(TbChanges *changes, const GArray *candidates)
{
    GPtrArray *entries = g_ptr_array_new();
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    g_autoptr(GString) name = g_string_new(NULL);
    for (guint i = 0; i < candidates->len; i++) {
        const char *path = changes_item(changes, g_array_index(candidates, uint32_t, i))->path;
        for (const char *at = path; at; at = strchr(at, '/')) {
            at += at != path;
            g_string_truncate(name, 0);
            g_string_append_len(name, path, at - path);
            g_string_append(name, ".gitignore");
            TbBaseEntry *entry = tb_base_find(changes->base, name->str, name->len);
            bool file = entry && (entry->mode & 0170000) == 0100000;
            if (file && g_hash_table_add(seen, entry))
                g_ptr_array_add(entries, entry);
        }
    }
    return entries;
}

/* All the entries' blobs by one child, as "OID blob SIZE\nBYTES\n" each. */
static GBytes *read_blobs(TbChanges *changes, const GPtrArray *entries, GError **error)
{
    g_autoptr(GString) input = g_string_new(NULL);
    for (guint i = 0; i < entries->len; i++) {
        const TbBaseEntry *entry = entries->pdata[i];
        g_string_append_len(input, entry->oid, changes->base->oid_length);
        g_string_append_c(input, '\n');
    }
    g_autoptr(TbCommand) command = tb_git_command(changes->git, "cat-file", NULL, NULL);
    tb_command_add(command, "--batch", NULL);
    tb_command_set_stdin_bytes(command, input->str, input->len);
    GBytes *out = NULL;
    return tb_command_run(command, &out, error) ? out : NULL;
}

static bool write_file(int root, const char *path, const char *text, size_t length, GError **error)
{
    tb_autofd fd = openat(root, path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot create a scratch '.gitignore'");
    return tb_write_all(fd, text, length, "a scratch '.gitignore'", error);
}

static bool write_rules(TbChanges *changes, const char *scratch, int root, const GPtrArray *entries,
                        GBytes *blobs, GError **error)
{
    gsize left = 0;
    const char *at = g_bytes_get_data(blobs, &left);
    for (guint i = 0; i < entries->len; i++) {
        const TbBaseEntry *entry = entries->pdata[i];
        const char *line_end = memchr(at, '\n', left);
        char *rest = NULL;
        const char *size_at = at + changes->base->oid_length + strlen(" blob ");
        if (!line_end || size_at >= line_end || memcmp(size_at - 6, " blob ", 6) != 0)
            return tb_error_set(error, TB_ERROR_INTERNAL, "cannot read '.gitignore' of the base");
        uint64_t size = g_ascii_strtoull(size_at, &rest, 10);
        left -= (gsize)(line_end + 1 - at);
        at = line_end + 1;
        if (rest != line_end || size >= left)
            return tb_error_set(error, TB_ERROR_INTERNAL, "cannot read '.gitignore' of the base");
        /* git would not write such a path to a work tree, neither do we. */
        if (tb_path_check((const uint8_t *)entry->path, strlen(entry->path)) == TB_PATH_OK) {
            g_autofree char *dir = g_path_get_dirname(entry->path);
            g_autofree char *full = g_build_filename(scratch, dir, NULL);
            if (!tb_make_dirs(full, 0700, error) || !write_file(root, entry->path, at, size, error))
                return false;
        }
        at += size + 1;
        left -= size + 1;
    }
    return true;
}

/* Puts a rule file of the user's before the root's own lines. One that cannot be read has no
 * rules, as with git. */
static bool write_outer_rules(int root, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize length = 0;
    if (!path || !g_file_test(path, G_FILE_TEST_IS_REGULAR) ||
        !g_file_get_contents(path, &text, &length, NULL) || length > RULES_LIMIT)
        return true;
    size_t mark = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    return write_file(root, ".gitignore", text + mark, length - mark, error) &&
           write_file(root, ".gitignore", "\n", 1, error);
}

static bool make_scratch(TbChanges *changes, const char *scratch, const GArray *candidates,
                         GError **error)
{
    g_autoptr(GPtrArray) entries = rule_entries(changes, candidates);
    tb_autofd root = tb_open_private_dir(scratch, error);
    if (root < 0 || !write_outer_rules(root, changes->excludes_file, error) ||
        !write_outer_rules(root, changes->info_exclude, error))
        return false;
    if (entries->len == 0)
        return true;
    g_autoptr(GBytes) blobs = read_blobs(changes, entries, error);
    return blobs && write_rules(changes, scratch, root, entries, blobs, error);
}

typedef struct {
    TbChanges *changes;
    const GArray *candidates;
} Question;

static Item *asked(const Question *question, guint index)
{
    return changes_item(question->changes, g_array_index(question->candidates, uint32_t, index));
}

static const char *path_of(guint index, bool *is_dir, void *user_data)
{
    const Item *item = asked(user_data, index);
    *is_dir = item->kind == TB_ENTRY_DIR;
    return item->path;
}

static void take_answer(guint index, bool ignored, void *user_data)
{
    if (ignored)
        asked(user_data, index)->fate = FATE_DROPPED;
}

static bool ask_git(TbChanges *changes, const char *scratch, const GArray *candidates,
                    GError **error)
{
    Question question = {changes, candidates};
    TbIgnoreRules rules = {.scratch = scratch};
    return tb_git_ignored(changes->git, &rules, candidates->len, path_of, take_answer, &question,
                          error);
}

bool changes_drop_ignored(TbChanges *changes, const GArray *candidates, GError **error)
{
    if (candidates->len == 0)
        return true;
    tb_autofd git_dir = open(tb_git_path(changes->git), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (git_dir < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", tb_git_path(changes->git));
    g_autofree char *scratch = g_build_filename(tb_git_path(changes->git), SCRATCH, NULL);
    if (!tb_remove_tree(git_dir, SCRATCH, error))
        return false;
    g_autoptr(GError) later = NULL;
    bool done = make_scratch(changes, scratch, candidates, error) &&
                ask_git(changes, scratch, candidates, error);
    tb_remove_tree(git_dir, SCRATCH, &later); /* leftovers are removed with the git directory */
    return done;
}
