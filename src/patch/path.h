/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which paths of a box may become paths of a tree. Plain C, no allocation: it sees hostile bytes
 * first, and is fuzzed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TB_PATH_MAX_LENGTH    4096
#define TB_PATH_MAX_DEPTH     128
#define TB_PATH_MAX_COMPONENT 255
#define TB_PATH_MAX_TARGET    4095

typedef enum {
    TB_PATH_OK,
    TB_PATH_EMPTY,     /* nothing, absolute, or an empty component */
    TB_PATH_LONG,      /* over TB_PATH_MAX_LENGTH */
    TB_PATH_DEEP,      /* over TB_PATH_MAX_DEPTH components */
    TB_PATH_COMPONENT, /* a component over TB_PATH_MAX_COMPONENT */
    TB_PATH_NUL,       /* a NUL byte */
    TB_PATH_DOT,       /* a component "." or ".." */
    TB_PATH_GIT,       /* a component that is, on some file system, ".git" */
} TbPathVerdict;

/* Judges a relative path of `length` bytes. */
TbPathVerdict tb_path_check(const uint8_t *path, size_t length);

/* What is wrong, for a message. Static string. */
const char *tb_path_reason(TbPathVerdict verdict);

/* True for a component that some file system takes for ".git": letter case, "git~N" and trailing
 * dots, spaces and streams (NTFS), code points that HFS+ ignores. */
bool tb_path_is_git(const uint8_t *name, size_t length);

/* True when some component of a path is, in the same sense, ".gitmodules": git refuses it as a
 * symbolic link. */
bool tb_path_has_gitmodules(const uint8_t *path, size_t length);

/* Symbolic link targets: 1 .. TB_PATH_MAX_TARGET bytes without NUL. They are never followed. */
bool tb_path_target_ok(const uint8_t *target, size_t length);
