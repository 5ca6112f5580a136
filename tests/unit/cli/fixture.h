/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <check.h>
#include <glib.h>
#include <stdlib.h>

#include "../suite.h"

/* A file of docs/. g_free. */
G_GNUC_UNUSED static inline char *read_doc(const char *name)
{
    g_autofree char *path = g_build_filename(TB_DOCS, name, NULL);
    char *text = NULL;
    ck_assert_msg(g_file_get_contents(path, &text, NULL, NULL), "cannot read %s", path);
    return text;
}
