/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares text with a file in tests/unit/vm/data; TASKBOX_REGENERATE=1 writes the file instead. */
#pragma once

#include <check.h>
#include <glib.h>

#include "../suite.h"

static inline void assert_golden(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(TB_TEST_DATA, name, NULL);
    g_autofree char *expected = NULL;
    g_autoptr(GError) error = NULL;
    if (g_getenv("TASKBOX_REGENERATE")) {
        ck_assert(g_file_set_contents(path, text, -1, NULL));
        return;
    }
    ck_assert_msg(g_file_get_contents(path, &expected, NULL, &error), "%s (TASKBOX_REGENERATE=1)",
                  error ? error->message : "");
    ck_assert_str_eq(text, expected);
}
