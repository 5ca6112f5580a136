/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plan as a file: fields that end with a NUL byte. It is written whole before each phase
 * begins, so that whatever stage a killed apply was in, the next one knows what may lie around:
 * "stage" nothing has moved, "move" see each step, "done" all has moved, only staging is to go.
 */
#include "review/apply-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "patch/path.h"
#include "util/error.h"
#include "util/fields.h"
#include "util/fs.h"

#define JOURNAL       "apply-journal"
#define MAGIC         "taskbox apply journal 3"
#define JOURNAL_LIMIT ((size_t)1 << 30)
#define STAGING       ".taskbox-apply-"

Plan *plan_new(const char *root)
{
    Plan *plan = g_new0(Plan, 1);
    plan->phase = PHASE_STAGE;
    plan->root = g_strdup(root);
    plan->staging = g_strdup_printf(STAGING "%08x%08x", g_random_int(), g_random_int());
    plan->steps = g_ptr_array_new();
    plan->swaps = tb_swaps_new();
    return plan;
}

void plan_free(Plan *plan)
{
    if (!plan)
        return;
    for (guint i = 0; i < plan->steps->len; i++) {
        Step *step = plan->steps->pdata[i];
        g_free(step->path);
        g_free(step);
    }
    g_ptr_array_unref(plan->steps);
    g_ptr_array_unref(plan->swaps);
    g_free(plan->root);
    g_free(plan->staging);
    g_free(plan->note);
    g_free(plan);
}

Step *plan_add(Plan *plan, StepKind kind, const char *path)
{
    Step *step = g_new0(Step, 1);
    step->kind = kind;
    step->path = g_strdup(path);
    g_ptr_array_add(plan->steps, step);
    return step;
}

static void put_step(GByteArray *out, const Step *step)
{
    tb_field_put_format(
        out, "%c %u %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %ld %o",
        step->kind, step->number, (uint64_t)step->st.st_ino, (int64_t)step->st.st_size,
        (int64_t)step->st.st_mtim.tv_sec, step->st.st_mtim.tv_nsec, step->st.st_mode);
    tb_field_put(out, step->path);
}

/* "w", whether there was a file and whether there will be one, and where. */
static void put_swap(GByteArray *out, const TbSwap *swap)
{
    tb_field_put_format(out, "w %d %d", swap->old != NULL, swap->fresh != NULL);
    tb_field_put(out, swap->dir);
    tb_field_put(out, swap->path);
}

bool journal_write(const Plan *plan, int scratch, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    tb_field_put(out, MAGIC);
    tb_field_put_format(out, "%c", (char)plan->phase);
    tb_field_put(out, plan->root);
    tb_field_put(out, plan->staging);
    tb_field_put(out, plan->note);
    for (guint i = 0; i < plan->swaps->len; i++)
        put_swap(out, plan->swaps->pdata[i]);
    /* Only the middle phase needs the steps. */
    for (guint i = 0; plan->phase == PHASE_MOVE && i < plan->steps->len; i++)
        put_step(out, plan->steps->pdata[i]);
    tb_field_put(out, "end");
    return tb_write_atomic(scratch, JOURNAL, out->data, out->len, 0600, error);
}

static bool take_step(Plan *plan, const char *numbers, const char *path)
{
    char kind = 0;
    unsigned number = 0, mode = 0;
    guint64 inode = 0;
    gint64 size = 0, seconds = 0;
    long nanoseconds = 0;
    if (!path || tb_path_check((const uint8_t *)path, strlen(path)) != TB_PATH_OK ||
        sscanf(numbers,
               "%c %u %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %ld %o",
               &kind, &number, &inode, &size, &seconds, &nanoseconds, &mode) != 7 ||
        !strchr("brmp", kind))
        return false;
    Step *step = plan_add(plan, (StepKind)kind, path);
    step->number = number;
    step->st.st_ino = inode;
    step->st.st_size = size;
    step->st.st_mtim.tv_sec = seconds;
    step->st.st_mtim.tv_nsec = nanoseconds;
    step->st.st_mode = mode;
    return true;
}

static bool take_swap(Plan *plan, const char *flags, const char *dir, const char *path)
{
    int old = 0, fresh = 0;
    if (!path || dir[0] != '/' || path[0] == '/' || strstr(path, "..") ||
        sscanf(flags, "w %d %d", &old, &fresh) != 2)
        return false;
    g_autoptr(GBytes) staged = g_bytes_new_static("", 0);
    g_ptr_array_add(plan->swaps,
                    tb_swap_new(dir, path, old ? staged : NULL, fresh ? staged : NULL));
    return true;
}

static bool take_part(Plan *plan, const char *field, const char **at, const char *end)
{
    const char *first = tb_field_take(at, end);
    return *field == 'w' ? take_swap(plan, field, first, tb_field_take(at, end))
                         : take_step(plan, field, first);
}

static Plan *journal_parse(const char *at, const char *end)
{
    const char *magic = tb_field_take(&at, end), *phase = tb_field_take(&at, end),
               *root = tb_field_take(&at, end);
    const char *staging = tb_field_take(&at, end), *note = tb_field_take(&at, end);
    if (!note || strchr(note, '/') || strcmp(magic, MAGIC) != 0 || !*phase ||
        !strchr("smd", *phase) || !g_str_has_prefix(staging, STAGING) || strchr(staging, '/'))
        return NULL;
    g_autoptr(Plan) plan = plan_new(root);
    plan->phase = (Phase)*phase;
    g_free(plan->staging);
    plan->staging = g_strdup(staging);
    plan->note = *note ? g_strdup(note) : NULL;
    for (const char *field; (field = tb_field_take(&at, end));) {
        if (strcmp(field, "end") == 0)
            return g_steal_pointer(&plan);
        if (!take_part(plan, field, &at, end))
            return NULL;
    }
    return NULL;
}

bool journal_read(int scratch, Plan **plan, GError **error)
{
    *plan = NULL;
    g_autoptr(GError) reason = NULL;
    g_autoptr(GBytes) bytes = tb_read_file_at(scratch, JOURNAL, JOURNAL_LIMIT, &reason);
    if (!bytes && tb_error_code(reason) == TB_ERROR_NOT_FOUND)
        return true;
    if (!bytes) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    gsize size = 0;
    const char *text = g_bytes_get_data(bytes, &size);
    *plan = journal_parse(text, text + size);
    return *plan || tb_error_set(error, TB_ERROR_INTERNAL,
                                 "cannot read the journal of an interrupted apply");
}

bool journal_remove(int scratch, GError **error)
{
    if (unlinkat(scratch, JOURNAL, 0) != 0 && errno != ENOENT)
        return tb_error_set_errno(error, errno, "cannot remove the journal of the apply");
    return fsync(scratch) == 0 ||
           tb_error_set_errno(error, errno, "cannot store the end of the apply");
}

bool journal_drop_note(const Plan *plan, int scratch, GError **error)
{
    if (!plan->note || unlinkat(scratch, plan->note, 0) == 0 || errno == ENOENT)
        return true;
    return tb_error_set_errno(error, errno, "cannot remove the record of the apply");
}
