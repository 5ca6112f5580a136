/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "channel/wire.h"

#include <string.h>

TbWriter tb_writer(uint8_t *data, size_t size)
{
    return (TbWriter){.data = data, .size = size};
}

void tb_put_raw(TbWriter *writer, const void *data, size_t length)
{
    if (writer->failed || length > writer->size - writer->length) {
        writer->failed = true;
        return;
    }
    if (length > 0)
        memcpy(writer->data + writer->length, data, length);
    writer->length += length;
}

static void put_number(TbWriter *writer, uint64_t value, size_t bytes)
{
    uint8_t out[8];
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * i));
    tb_put_raw(writer, out, bytes);
}

void tb_put_u8(TbWriter *writer, uint8_t value)
{
    put_number(writer, value, 1);
}

void tb_put_u16(TbWriter *writer, uint16_t value)
{
    put_number(writer, value, 2);
}

void tb_put_u32(TbWriter *writer, uint32_t value)
{
    put_number(writer, value, 4);
}

void tb_put_u64(TbWriter *writer, uint64_t value)
{
    put_number(writer, value, 8);
}

void tb_put_bytes(TbWriter *writer, const void *data, size_t length)
{
    if (length > UINT32_MAX) {
        writer->failed = true;
        return;
    }
    tb_put_u32(writer, (uint32_t)length);
    tb_put_raw(writer, data, length);
}

void tb_put_string(TbWriter *writer, const char *text)
{
    tb_put_bytes(writer, text, strlen(text));
    tb_put_u8(writer, 0);
}

TbReader tb_reader(const void *data, size_t length)
{
    return (TbReader){.data = data, .left = length};
}

const uint8_t *tb_get_raw(TbReader *reader, size_t length)
{
    if (reader->failed || length > reader->left) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->data;
    reader->data += length;
    reader->left -= length;
    return at;
}

static uint64_t get_number(TbReader *reader, size_t bytes)
{
    const uint8_t *at = tb_get_raw(reader, bytes);
    uint64_t value = 0;
    for (size_t i = 0; at && i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint8_t tb_get_u8(TbReader *reader)
{
    return (uint8_t)get_number(reader, 1);
}

uint16_t tb_get_u16(TbReader *reader)
{
    return (uint16_t)get_number(reader, 2);
}

uint32_t tb_get_u32(TbReader *reader)
{
    return (uint32_t)get_number(reader, 4);
}

uint64_t tb_get_u64(TbReader *reader)
{
    return get_number(reader, 8);
}

const uint8_t *tb_get_bytes(TbReader *reader, size_t limit, size_t *length)
{
    uint32_t claimed = tb_get_u32(reader);
    if (claimed > limit)
        reader->failed = true;
    const uint8_t *at = tb_get_raw(reader, claimed);
    *length = at ? claimed : 0;
    return at;
}

const char *tb_get_string(TbReader *reader, size_t limit)
{
    size_t length;
    const uint8_t *at = tb_get_bytes(reader, limit, &length);
    uint8_t end = tb_get_u8(reader);
    if (!at || end != 0 || memchr(at, 0, length)) {
        reader->failed = true;
        return "";
    }
    return (const char *)at;
}

bool tb_reader_done(const TbReader *reader)
{
    return !reader->failed && reader->left == 0;
}
