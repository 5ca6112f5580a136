/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One entry of a change stream. The same form goes into the box (the delta on top of the project
 * image) and comes out (what the overlay's upper holds). libc only; the decoder side is fuzzed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef enum {
    TB_ENTRY_FILE = 1,    /* regular file: mode, size, data follow */
    TB_ENTRY_SYMLINK = 2, /* target in `target` */
    TB_ENTRY_DIR = 3,     /* directory that exists; its content is what the stream says besides */
    TB_ENTRY_DELETE = 4,  /* the path (file or whole subtree) is gone */
    TB_ENTRY_REPLACE = 5, /* directory whose old subtree is gone; entries for the new one follow */
    TB_ENTRY_OTHER = 6,   /* socket, fifo, device: named, never carried */
} TbEntryKind;

/* Paths are bytes without NUL, relative, '/' between components. They come from the guest:
 * nothing may be believed of them before tb_path_check (patch/path.h). */
typedef struct {
    TbEntryKind kind;
    uint32_t mode;     /* st_mode permission bits (07777) */
    uint64_t size;     /* bytes of a regular file; 0 else */
    int64_t mtime_sec; /* modification time */
    uint32_t mtime_nsec;
    const uint8_t *path;
    size_t path_length;    /* 1 .. 4096 */
    const uint8_t *target; /* symlinks */
    size_t target_length;  /* 0 .. 4095 */
} TbEntry;
