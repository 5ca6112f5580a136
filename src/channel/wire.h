/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers and strings in a payload: little-endian, bounds-checked, no allocation. libc only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes into a buffer of the caller's. Once something did not fit, `failed` stays set and nothing
 * more is written: look at it once, at the end. */
typedef struct {
    uint8_t *data;
    size_t size, length;
    bool failed;
} TbWriter;

/* A writer over `size` bytes at `data`. */
TbWriter tb_writer(uint8_t *data, size_t size);
/* Append one number. */
void tb_put_u8(TbWriter *writer, uint8_t value);
void tb_put_u16(TbWriter *writer, uint16_t value);
void tb_put_u32(TbWriter *writer, uint32_t value);
void tb_put_u64(TbWriter *writer, uint64_t value);
/* Appends bytes as they are. */
void tb_put_raw(TbWriter *writer, const void *data, size_t length);
/* Appends a length (u32) and the bytes. */
void tb_put_bytes(TbWriter *writer, const void *data, size_t length);
/* Appends a length (u32), the text and its NUL. */
void tb_put_string(TbWriter *writer, const char *text);

/* Reads a payload. Once something was missing or wrong, `failed` stays set and every further read
 * gives zero, NULL or "": look at it once, at the end (tb_reader_done). */
typedef struct {
    const uint8_t *data;
    size_t left;
    bool failed;
} TbReader;

/* A reader over `length` bytes at `data`. */
TbReader tb_reader(const void *data, size_t length);
/* Take one number. */
uint8_t tb_get_u8(TbReader *reader);
uint16_t tb_get_u16(TbReader *reader);
uint32_t tb_get_u32(TbReader *reader);
uint64_t tb_get_u64(TbReader *reader);
/* Takes exactly `length` bytes; NULL when they are not there. Points into the payload. */
const uint8_t *tb_get_raw(TbReader *reader, size_t length);
/* Takes what tb_put_bytes wrote, at most `limit` bytes. Points into the payload. */
const uint8_t *tb_get_bytes(TbReader *reader, size_t limit, size_t *length);
/* Takes what tb_put_string wrote: NUL at its end, none inside. Never NULL. */
const char *tb_get_string(TbReader *reader, size_t limit);
/* Whether all went well and nothing is left over. */
bool tb_reader_done(const TbReader *reader);
