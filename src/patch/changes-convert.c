/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which changed files git would convert on their way between a tree and the disk: line ends, $Id$,
 * encodings, filters. Our trees hold the bytes of the disk, so for these plain git, which holds
 * others, may not take the patch as it is, and that must be said.
 *
 * Whether git converts line ends besides (core.autocrlf), whoever calls says: no configuration of
 * the user's is read here. git is asked for the attributes of the base and, where the box changed
 * any, of the result, from an index: it runs nothing and reads no work tree. Whether an attribute
 * does anything to a file is decided by its bytes.
 */
#include "patch/changes-private.h"

#include <string.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fs.h"

#define ATTRIBUTES       ".gitattributes"
#define ATTRIBUTES_INDEX "taskbox-attributes-index"
#define RULES_LIMIT      ((size_t)1 << 20)
#define OUTPUT_LIMIT     ((size_t)1 << 30)
#define LOOK_LIMIT       ((size_t)16 << 20)
#define NAMED            100

enum {
    LINES = 1,  /* a CR LF is not kept */
    AUTO = 2,   /* the same, but where the file is no text */
    IDENT = 4,  /* $Id$ */
    ALWAYS = 8, /* a filter or an encoding: whatever the bytes */
};

static const char *const names[] = {"text",  "crlf",   "eol",
                                    "ident", "filter", "working-tree-encoding"};
#define NAMES G_N_ELEMENTS(names)

static bool is_set(const char *value)
{
    return strcmp(value, "unspecified") != 0 && strcmp(value, "unset") != 0;
}

/* What git's values, in the order of `names`, do to a file. */
static unsigned conversions(const char *const *values, bool autocrlf)
{
    bool unsaid = strcmp(values[0], "unspecified") == 0 && strcmp(values[1], "unspecified") == 0 &&
                  !is_set(values[2]);
    bool old = strcmp(values[0], "unspecified") == 0; /* the name that "text" had once */
    const char *text = values[old];
    unsigned what = 0;
    if (strcmp(text, "auto") == 0 || (unsaid && autocrlf))
        what |= AUTO;
    else if (is_set(text) || (strcmp(text, "unset") != 0 && is_set(values[2])))
        what |= LINES;
    if (strcmp(values[3], "set") == 0)
        what |= IDENT;
    if (is_set(values[4]) || is_set(values[5]))
        what |= ALWAYS;
    return what;
}

/* What the attributes in `index` say of each file, where nobody has said anything yet: `values`,
 * NAMES a file. */
static bool ask_git(TbChanges *changes, const char *index, const GPtrArray *files, char **values,
                    GError **error)
{
    g_autoptr(GString) input = g_string_new(NULL);
    for (guint i = 0; i < files->len; i++)
        g_string_append_len(input, ((TbPatchFile *)files->pdata[i])->path,
                            (gssize)strlen(((TbPatchFile *)files->pdata[i])->path) + 1);
    g_autoptr(TbCommand) command = tb_git_command(changes->git, "check-attr", NULL, index);
    tb_command_add(command, "--cached", "--stdin", "-z", NULL);
    for (size_t i = 0; i < NAMES; i++)
        tb_command_add(command, names[i], NULL);
    tb_command_set_stdin_bytes(command, input->str, input->len);
    tb_command_set_stdout_limit(command, OUTPUT_LIMIT);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return false;
    gsize size = 0, answers = 0;
    const char *at = g_bytes_get_data(out, &size), *end = at + size;
    /* "PATH\0NAME\0VALUE\0", all names of a path together */
    for (; at < end && answers / NAMES < files->len; answers++) {
        const char *name = at + strlen(at) + 1, *value = name < end ? name + strlen(name) + 1 : end;
        if (value >= end)
            break;
        if (!values[answers] || strcmp(values[answers], "unspecified") == 0) {
            g_free(values[answers]);
            values[answers] = g_strdup(value);
        }
        at = value + strlen(value) + 1;
    }
    return (at == end && answers == NAMES * files->len) ||
           tb_error_set(error, TB_ERROR_INTERNAL, "git's list of attributes is not understood");
}

static bool is_attributes(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, ATTRIBUTES) == 0;
}

static bool attributes_changed(const GPtrArray *files)
{
    for (guint i = 0; i < files->len; i++)
        if (is_attributes(((TbPatchFile *)files->pdata[i])->path))
            return true;
    return false;
}

static bool box_has_attributes(const TbChanges *changes)
{
    for (uint32_t i = 0; i < changes->items->len; i++) {
        const Item *item = changes_item(changes, i);
        if (item->fate == FATE_CARRIED && is_attributes(item->path))
            return true;
    }
    return false;
}

/* git reads info/attributes in its own directory, where a copy must not stay: it would say how the
 * patch is shown. */
static bool lend(TbChanges *changes, const char *attributes, char **lent, GError **error)
{
    g_autofree char *text = NULL;
    gsize length = 0;
    if (!attributes || !g_file_test(attributes, G_FILE_TEST_IS_REGULAR) ||
        !g_file_get_contents(attributes, &text, &length, NULL) || length > RULES_LIMIT)
        return true;
    g_autofree char *info = g_build_filename(tb_git_path(changes->git), "info", NULL);
    g_autofree char *path = g_build_filename(info, "attributes", NULL);
    if (!tb_make_dirs(info, 0700, error))
        return false;
    if (!g_file_set_contents(path, text, (gssize)length, NULL))
        return tb_error_set(error, TB_ERROR_IO, "cannot write '%s'", path);
    *lent = g_steal_pointer(&path);
    return true;
}

static bool ask_with(TbChanges *changes, const char *attributes, const char *index,
                     const GPtrArray *files, char **values, GError **error)
{
    g_autofree char *lent = NULL;
    bool done =
        lend(changes, attributes, &lent, error) && ask_git(changes, index, files, values, error);
    if (lent)
        unlink(lent);
    return done;
}

/* The user's own file comes last, and git would let what we lend come first: so it is asked about
 * once more, for what is unspecified without it. */
static bool ask_of(TbChanges *changes, const TbAttributes *outside, const char *index,
                   const GPtrArray *files, unsigned *what, GError **error)
{
    gsize count = NAMES * files->len;
    g_auto(GStrv) values = g_new0(char *, count + 1);
    bool done = ask_with(changes, outside->repository, index, files, values, error) &&
                (!outside->user || ask_with(changes, outside->user, index, files, values, error));
    for (guint i = 0; done && i < files->len; i++)
        what[i] |= conversions((const char *const *)values + i * NAMES, outside->autocrlf);
    for (gsize i = 0; i < count; i++)
        g_clear_pointer(&values[i], g_free); /* not all are there after an error */
    return done;
}

static bool ask_of_result(TbChanges *changes, const TbAttributes *outside, const char *result_tree,
                          const GPtrArray *files, unsigned *what, GError **error)
{
    g_autofree char *index = g_build_filename(tb_git_path(changes->git), ATTRIBUTES_INDEX, NULL);
    bool done = tb_git_read_tree(changes->git, result_tree, index, error) &&
                ask_of(changes, outside, index, files, what, error);
    unlink(index);
    return done;
}

static bool is_there(const char *path)
{
    return path && g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

static bool ask(TbChanges *changes, const char *result_tree, const TbAttributes *outside,
                const GPtrArray *files, unsigned *what, GError **error)
{
    bool worth_it = is_there(outside->repository) || is_there(outside->user) || outside->autocrlf ||
                    changes->base->has_attributes;
    return (!worth_it || ask_of(changes, outside, changes->base_index, files, what, error)) &&
           (!attributes_changed(files) ||
            ask_of_result(changes, outside, result_tree, files, what, error));
}

typedef struct {
    unsigned *what; /* of each file; ALWAYS once it is known that git converts it */
    GArray *owners; /* guint: of each blob the file */
} Look;

static bool on_blob(size_t index, const uint8_t *data, uint64_t size, void *user_data,
                    GError **error)
{
    Look *look = user_data;
    unsigned *what = &look->what[g_array_index(look->owners, guint, index)];
    bool lines = (*what & LINES) || ((*what & AUTO) && data && !memchr(data, '\0', size));
    bool line = lines && data && memmem(data, size, "\r\n", 2);
    bool ident = (*what & IDENT) && data && memmem(data, size, "$Id", 3);
    if (!data || line || ident)
        *what |= ALWAYS;
    return true;
}

static void add_side(Look *look, GPtrArray *oids, guint file, uint32_t mode, char *oid)
{
    if (mode != TB_MODE_FILE && mode != TB_MODE_EXECUTABLE)
        return;
    g_ptr_array_add(oids, oid);
    g_array_append_val(look->owners, file);
}

/* Looks into the files for which that decides. */
static bool look_into(TbChanges *changes, const GPtrArray *files, unsigned *what, GError **error)
{
    g_autoptr(GPtrArray) oids = g_ptr_array_new();
    g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(guint));
    Look look = {what, owners};
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        if (!what[i] || (what[i] & ALWAYS))
            continue;
        add_side(&look, oids, i, file->old_mode, file->old_oid);
        add_side(&look, oids, i, file->new_mode, file->new_oid);
    }
    return oids->len == 0 || tb_git_read_blobs(changes->git, (const char *const *)oids->pdata,
                                               oids->len, LOOK_LIMIT, on_blob, &look, error);
}

static bool has_bytes(const TbPatchFile *file)
{
    return file->old_mode == TB_MODE_FILE || file->old_mode == TB_MODE_EXECUTABLE ||
           file->new_mode == TB_MODE_FILE || file->new_mode == TB_MODE_EXECUTABLE;
}

static void note_all(TbChanges *changes, const GPtrArray *files, const unsigned *what)
{
    unsigned more = 0, named = 0;
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        if (!(what[i] & ALWAYS) || !has_bytes(file))
            continue;
        if (named++ < NAMED)
            changes_note(changes, file->path, strlen(file->path),
                         "git converts it: 'taskbox apply' is exact, 'git apply' and 'git am' may "
                         "not be");
        else
            more++;
    }
    if (more)
        g_ptr_array_add(changes->notes, g_strdup_printf("and %u more that git converts", more));
}

bool tb_changes_note_converted(TbChanges *changes, const char *result_tree,
                               const TbAttributes *outside, GError **error)
{
    bool own = is_there(outside->repository) || is_there(outside->user) || outside->autocrlf;
    if (!own && !changes->base->has_attributes && !box_has_attributes(changes))
        return true;
    const GPtrArray *files = changes->files;
    g_autofree unsigned *what = g_new0(unsigned, files->len + 1);
    if (files->len == 0)
        return true;
    if (!ask(changes, result_tree, outside, files, what, error) ||
        !look_into(changes, files, what, error))
        return false;
    note_all(changes, files, what);
    return true;
}
