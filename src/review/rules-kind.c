/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules on what a file is: kind, mode, size, name, place. */
#include "review/rules.h"

#include <string.h>

#include "patch/path.h"
#include "review/unicode.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/units.h"

#define LIST_LIMIT ((size_t)1 << 30)

void rule_executable(TbRuleScan *scan)
{
    const TbPatchFile *file = scan->diff->file;
    if (file->new_mode == TB_MODE_EXECUTABLE && file->old_mode != TB_MODE_EXECUTABLE)
        rule_found(scan, file->path, 0, file->old_mode ? NULL : "new");
}

/* Does `target`, from the directory of `path`, end outside the project or in a git directory? Both
 * are looked at as text: other links on the way have findings of their own. */
static bool leaves(const char *path, const char *target)
{
    if (target[0] == '/')
        return true;
    int depth = -1;
    for (const char *at = path; at; at = strchr(at, '/')) {
        depth++;
        at += *at == '/';
    }
    g_auto(GStrv) parts = g_strsplit(target, "/", -1);
    for (char **part = parts; *part; part++) {
        if (strcmp(*part, "..") == 0)
            depth--;
        else if (**part && strcmp(*part, ".") != 0)
            depth++;
        if (depth < 0 || tb_path_is_git((const uint8_t *)*part, strlen(*part)))
            return true;
    }
    return false;
}

static char *target_of(const TbFileDiff *diff)
{
    if (diff->file->new_mode != TB_MODE_SYMLINK || !diff->new_bytes)
        return NULL;
    size_t length = 0;
    const char *data = g_bytes_get_data(diff->new_bytes, &length);
    return g_strndup(data ? data : "", length);
}

static void found_link(TbRuleScan *scan, bool out)
{
    g_autofree char *target = target_of(scan->diff);
    if (!target || leaves(scan->diff->file->path, target) != out)
        return;
    g_autofree char *shown = tb_escape_name(target);
    rule_found(scan, scan->diff->file->path, 0, "to '%s'", shown);
}

void rule_symlink(TbRuleScan *scan)
{
    found_link(scan, false);
}

void rule_symlink_out(TbRuleScan *scan)
{
    found_link(scan, true);
}

void rule_submodule(TbRuleScan *scan)
{
    const TbPatchFile *file = scan->diff->file;
    bool before = file->old_mode == TB_MODE_GITLINK, after = file->new_mode == TB_MODE_GITLINK;
    if (before || after)
        rule_found(scan, file->path, 0, before && after ? "changed" : after ? "added" : "removed");
}

static const struct {
    const char *magic;
    size_t length;
    const char *what;
} programs[] = {
    {"\x7f"
     "ELF",
     4, "ELF"},
    {"MZ", 2, "Windows program"},
    {"\xfe\xed\xfa\xce", 4, "Mach-O"},
    {"\xfe\xed\xfa\xcf", 4, "Mach-O"},
    {"\xce\xfa\xed\xfe", 4, "Mach-O"},
    {"\xcf\xfa\xed\xfe", 4, "Mach-O"},
    {"\xca\xfe\xba\xbe", 4, "Java class or Mach-O"},
    {"\0asm", 4, "WebAssembly"},
    {"!<arch>\n", 8, "object archive"},
    {"dex\n", 4, "Dalvik byte code"},
    {"BC\xc0\xde", 4, "LLVM bitcode"},
};

static const char *const program_names[] = {
    "*.pyc", "*.pyo", "*.jar", "*.war", "*.so",  "*.dll", "*.exe", "*.dylib", "*.o",
    "*.a",   "*.apk", "*.deb", "*.rpm", "*.whl", "*.egg", "*.msi", "*.node",  NULL,
};

static const char *program_kind(const TbFileDiff *diff)
{
    size_t length = 0;
    const char *data = diff->new_bytes ? g_bytes_get_data(diff->new_bytes, &length) : NULL;
    for (size_t i = 0; data && diff->binary && i < G_N_ELEMENTS(programs); i++)
        if (length > programs[i].length && memcmp(data, programs[i].magic, programs[i].length) == 0)
            return programs[i].what;
    bool named = (diff->binary || diff->unread) && diff->file->new_mode &&
                 rule_path_matches(program_names, diff->file->path);
    return named ? "by its name" : NULL;
}

void rule_program(TbRuleScan *scan)
{
    const char *kind = program_kind(scan->diff);
    if (kind)
        rule_found(scan, scan->diff->file->path, 0, "%s", kind);
}

void rule_binary(TbRuleScan *scan)
{
    const TbFileDiff *diff = scan->diff;
    if (!diff->binary || !diff->file->new_mode || program_kind(diff))
        return;
    g_autofree char *size = tb_size_format(diff->new_size);
    rule_found(scan, diff->file->path, 0, "%s", size);
}

void rule_unread(TbRuleScan *scan)
{
    if (!scan->diff->unread)
        return;
    g_autofree char *size = tb_size_format(MAX(scan->diff->new_size, scan->diff->old_size));
    rule_found(scan, scan->diff->file->path, 0, "%s", size);
}

void rule_odd_name(TbRuleScan *scan)
{
    const TbPatchFile *file = scan->diff->file;
    if (file->old_mode)
        return;
    const char *last = strrchr(file->path, '/');
    g_autofree char *shown = tb_escape_name(file->path);
    g_autofree char *mixed = tb_mixed_word((const uint8_t *)file->path, strlen(file->path));
    if (strcmp(shown, file->path) != 0)
        rule_found(scan, file->path, 0, "what does not show as itself is written out");
    else if (mixed)
        rule_found(scan, file->path, 0, "%s", mixed);
    else if (file->path[0] == '-' || (last && last[1] == '-'))
        rule_found(scan, file->path, 0, "begins with a dash");
}

/* The directory of a new path that is a part of a git directory: g_free, NULL: it is none. */
static char *repository_of(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    guint count = g_strv_length(parts);
    GString *dir = g_string_new(NULL);
    for (guint i = 0; i < count; i++) {
        bool is_dir = i + 1 < count;
        if ((!is_dir && g_ascii_strcasecmp(parts[i], "HEAD") == 0) ||
            (is_dir && (g_ascii_strcasecmp(parts[i], "objects") == 0 ||
                        g_ascii_strcasecmp(parts[i], "refs") == 0)))
            return g_string_free(dir, FALSE);
        g_string_append_printf(dir, "%s/", parts[i]);
    }
    g_string_free(dir, TRUE);
    return NULL;
}

GBytes *rule_list_tree(const TbRuleScan *scan, const char *tree, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(scan->git, "ls-tree", NULL, NULL);
    tb_command_add(command, "-r", "-z", "--name-only", tree, NULL);
    tb_command_set_stdout_limit(command, LIST_LIMIT);
    GBytes *paths = NULL;
    return tb_command_run(command, &paths, error) ? paths : NULL;
}

/* Which of HEAD (1), objects/ (2) and refs/ (4) the result has in each of `dirs`. */
static bool look_for_parts(TbRuleScan *scan, GHashTable *dirs, GError **error)
{
    g_autoptr(GBytes) out = rule_list_tree(scan, scan->result_tree, error);
    if (!out)
        return false;
    size_t length = 0;
    const char *text = g_bytes_get_data(out, &length);
    for (const char *path = text; path < text + length; path += strlen(path) + 1) {
        g_autofree char *dir = repository_of(path);
        if (!dir || !g_hash_table_contains(dirs, dir))
            continue;
        const char *rest = path + strlen(dir);
        guint parts = GPOINTER_TO_UINT(g_hash_table_lookup(dirs, dir));
        parts |= !strchr(rest, '/') ? 1 : g_ascii_strncasecmp(rest, "objects/", 8) == 0 ? 2 : 4;
        g_hash_table_replace(dirs, g_strdup(dir), GUINT_TO_POINTER(parts));
    }
    return true;
}

bool rule_bare_repository(TbRuleScan *scan, GError **error)
{
    g_autoptr(GHashTable) dirs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < scan->files->len; i++) {
        const TbPatchFile *file = scan->files->pdata[i];
        char *dir = file->new_mode ? repository_of(file->path) : NULL;
        if (dir)
            g_hash_table_insert(dirs, dir, NULL);
    }
    if (g_hash_table_size(dirs) == 0)
        return true;
    if (!look_for_parts(scan, dirs, error))
        return false;
    GHashTableIter iter;
    gpointer dir, parts;
    for (g_hash_table_iter_init(&iter, dirs); g_hash_table_iter_next(&iter, &dir, &parts);)
        if (GPOINTER_TO_UINT(parts) == 7)
            rule_found(scan, *(char *)dir ? dir : ".", 0, NULL);
    return true;
}
