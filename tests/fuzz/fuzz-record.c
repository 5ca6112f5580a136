/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small files that are read back, any bytes in them: a task's record, the record of an apply, a
 * qcow2 header, git's configuration. What is understood is written as it was understood. */
#include <stdlib.h>
#include <string.h>

#include "image/qcow2.h"
#include "project/private.h"
#include "review/undo.h"
#include "task/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void try_record(const char *text, size_t length)
{
    g_autoptr(TbTask) task = tb_record_new();
    g_autoptr(GError) error = NULL;
    if (!tb_record_parse(task, text, length, &error)) {
        require(error != NULL);
        return;
    }
    g_autofree char *once = tb_record_format(task);
    g_autoptr(TbTask) again = tb_record_new();
    require(tb_record_parse(again, once, strlen(once), NULL));
    g_autofree char *twice = tb_record_format(again);
    require(strcmp(once, twice) == 0);
}

static void try_undo(const char *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(TbUndo) undo = tb_undo_parse(bytes, &error);
    require((undo == NULL) == (error != NULL));
    if (!undo)
        return;
    g_autoptr(GBytes) text = tb_undo_format(undo);
    g_autoptr(TbUndo) again = tb_undo_parse(text, NULL);
    require(again && g_hash_table_size(again->modes) == g_hash_table_size(undo->modes));
}

static void try_qcow2(const void *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    bool fine = tb_qcow2_check_header(data, size, "x", &error);
    require(fine == (error == NULL));
    /* Whatever else it says, it names no other file. */
    static const uint8_t none[8];
    require(!fine || (size >= 104 && memcmp((const uint8_t *)data + 8, none, 8) == 0));
}

static void try_config(const char *text)
{
    g_autofree char *tree = tb_git_config_value(text, "core", "worktree");
    g_autofree char *clean = tb_git_config_sanitized(text, true);
    g_autofree char *bare = tb_git_config_value(clean, "core", "bare");
    require(bare && strcmp(bare, "false") == 0);
    g_autofree char *kept = tb_git_config_value(clean, "core", "worktree");
    require(!kept || g_strcmp0(kept, tree) == 0);
    g_autofree char *hooks = tb_git_config_value(clean, "core", "hookspath");
    g_autofree char *monitor = tb_git_config_value(clean, "core", "fsmonitor");
    require(!hooks && !monitor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Ends with a NUL byte, as what is read from a file does, and not a byte behind it. */
    char *text = malloc(size + 1);
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    try_record(text, size);
    try_undo(text, size);
    try_qcow2(text, size);
    try_config(text);
    free(text);
    return 0;
}
