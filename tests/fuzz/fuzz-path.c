/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The path check on any bytes: no fault, and what it lets through holds the rules said again here
 * in the plainest way. */
#include "patch/path.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_component(const char *name)
{
    require(*name && strlen(name) <= TB_PATH_MAX_COMPONENT);
    require(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    require(strcasecmp(name, ".git") != 0 && strncasecmp(name, "git~1", 6) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TbPathVerdict verdict = tb_path_check(data, size);
    require(tb_path_reason(verdict) != NULL);
    tb_path_has_gitmodules(data, size);
    tb_path_target_ok(data, size);
    if (verdict != TB_PATH_OK)
        return 0;
    require(size > 0 && size <= TB_PATH_MAX_LENGTH && data[0] != '/');
    char *copy = malloc(size + 1);
    require(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    require(strlen(copy) == size);
    size_t depth = 0;
    for (char *at = copy, *slash; at; at = slash) {
        slash = strchr(at, '/');
        if (slash)
            *slash++ = '\0';
        check_component(at);
        require(++depth <= TB_PATH_MAX_DEPTH);
    }
    free(copy);
    return 0;
}
