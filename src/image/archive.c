/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/archive.h"

#include <stdio.h>
#include <string.h>

#include "util/error.h"

#define NAME_SIZE  100
#define SIZE_AT    124
#define SIZE_SIZE  12
#define SUM_AT     148
#define SUM_SIZE   8
#define TYPE_AT    156
#define LINK_AT    157
#define MAGIC_AT   257
#define PREFIX_AT  345
#define PREFIX_END 500
#define OCTAL_MAX  ((uint64_t)1 << 33) /* what eleven digits hold; more is binary, as GNU has it */

enum { END_BLOCKS = 2, END_BLOCKS_MAX = 40 }; /* tar fills up its records with them */

static unsigned sum_of(const uint8_t *block)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < TB_ARCHIVE_BLOCK; i++)
        sum += i >= SUM_AT && i < SUM_AT + SUM_SIZE ? ' ' : block[i];
    return sum;
}

static void put_size(uint8_t *field, uint64_t size)
{
    if (size < OCTAL_MAX) {
        char text[SIZE_SIZE + 12];
        snprintf(text, sizeof text, "%011llo", (unsigned long long)size);
        memcpy(field, text, SIZE_SIZE);
        return;
    }
    memset(field, 0, SIZE_SIZE);
    field[0] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        field[SIZE_SIZE - 1 - i] = (uint8_t)(size >> (8 * i));
}

void tb_archive_header(uint8_t block[TB_ARCHIVE_BLOCK], const char *name, uint64_t size)
{
    static const struct {
        unsigned at;
        const char *text;
    } fields[] = {{100, "0000644"}, {108, "0000000"}, {116, "0000000"}, {136, "00000000000"}};
    memset(block, 0, TB_ARCHIVE_BLOCK);
    g_strlcpy((char *)block, name, NAME_SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        memcpy(block + fields[i].at, fields[i].text, strlen(fields[i].text));
    put_size(block + SIZE_AT, size);
    block[TYPE_AT] = '0';
    memcpy(block + MAGIC_AT, "ustar\00000", 8);
    char sum[SUM_SIZE + 8];
    snprintf(sum, sizeof sum, "%06o", sum_of(block));
    memcpy(block + SUM_AT, sum, 7);
    block[SUM_AT + 7] = ' ';
}

/* ---- reading */

typedef enum { AT_HEADER, AT_BYTES, AT_PADDING, AT_END, AT_FAILURE } State;

struct TbArchive {
    const char *label;
    const char *const *names;
    TbArchiveHandlers handlers;
    State state;
    unsigned index;
    uint8_t block[TB_ARCHIVE_BLOCK];
    size_t filled;  /* of the block */
    uint64_t left;  /* bytes of the file, or of the padding */
    size_t padding; /* after the file */
    unsigned zeros; /* blocks of zeros seen at the end */
};

TbArchive *tb_archive_new(const char *label, const char *const *names,
                          const TbArchiveHandlers *handlers)
{
    TbArchive *archive = g_new0(TbArchive, 1);
    archive->label = label;
    archive->names = names;
    archive->handlers = *handlers;
    return archive;
}

void tb_archive_free(TbArchive *archive)
{
    g_free(archive);
}

static bool wrong(const TbArchive *archive, GError **error, const char *what)
{
    return tb_error_set(error, TB_ERROR_IMAGE,
                        "'%s' is no exported image, or damaged: %s (make it with 'taskbox image "
                        "export')",
                        archive->label, what);
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* Digits to the end of the field but for one NUL or blank; 0 with *ok false otherwise. */
static uint64_t read_octal(const uint8_t *field, unsigned size, bool *ok)
{
    uint64_t value = 0;
    unsigned digits = 0;
    while (digits < size && field[digits] >= '0' && field[digits] <= '7')
        value = value << 3 | (uint64_t)(field[digits++] - '0');
    *ok = *ok && digits > 0 && digits < size && (field[digits] == 0 || field[digits] == ' ');
    return value;
}

static uint64_t read_size(const uint8_t *field, bool *ok)
{
    if (field[0] != 0x80)
        return read_octal(field, SIZE_SIZE, ok);
    uint64_t value = 0;
    *ok = *ok && is_zero(field + 1, SIZE_SIZE - 9) && field[SIZE_SIZE - 8] < 0x40;
    for (unsigned i = SIZE_SIZE - 8; i < SIZE_SIZE; i++)
        value = value << 8 | field[i];
    return value;
}

static bool take_header(TbArchive *archive, GError **error)
{
    const uint8_t *block = archive->block;
    const char *name = archive->names[archive->index];
    bool ok = true;
    if (read_octal(block + SUM_AT, SUM_SIZE, &ok) != sum_of(block) || !ok ||
        memcmp(block + MAGIC_AT, "ustar\00000", 8) != 0)
        return wrong(archive, error, "it is not a tar archive of this kind");
    if (strnlen((const char *)block, NAME_SIZE) != strlen(name) ||
        memcmp(block, name, strlen(name)) != 0 || block[TYPE_AT] != '0' || block[LINK_AT] != 0 ||
        !is_zero(block + PREFIX_AT, PREFIX_END - PREFIX_AT))
        return wrong(archive, error, "a file in it is not the one that must be there");
    archive->left = read_size(block + SIZE_AT, &ok);
    if (!ok)
        return wrong(archive, error, "the size of a file makes no sense");
    archive->padding = (size_t)(-archive->left % TB_ARCHIVE_BLOCK);
    archive->state = AT_BYTES;
    return archive->handlers.begin(archive->index, archive->left, archive->handlers.data, error);
}

static bool take_end(TbArchive *archive, GError **error)
{
    if (!is_zero(archive->block, TB_ARCHIVE_BLOCK) || archive->zeros == END_BLOCKS_MAX)
        return wrong(archive, error, "there is more in it than an image");
    archive->zeros++;
    return true;
}

/* Whole blocks: a header, or what is after the last file. */
static bool feed_block(TbArchive *archive, const uint8_t **data, size_t *length, GError **error)
{
    size_t take = MIN(*length, TB_ARCHIVE_BLOCK - archive->filled);
    memcpy(archive->block + archive->filled, *data, take);
    archive->filled += take;
    *data += take;
    *length -= take;
    if (archive->filled < TB_ARCHIVE_BLOCK)
        return true;
    archive->filled = 0;
    return archive->state == AT_HEADER ? take_header(archive, error) : take_end(archive, error);
}

static bool end_file(TbArchive *archive, GError **error)
{
    if (!archive->handlers.end(archive->index, archive->handlers.data, error))
        return false;
    archive->index++;
    archive->left = archive->padding;
    archive->state = AT_PADDING;
    return true;
}

static bool step(TbArchive *archive, const uint8_t **data, size_t *length, GError **error)
{
    if (archive->state == AT_HEADER || archive->state == AT_END)
        return feed_block(archive, data, length, error);
    size_t take = (size_t)MIN((uint64_t)*length, archive->left);
    if (archive->state == AT_BYTES && take > 0 &&
        !archive->handlers.bytes(*data, take, archive->handlers.data, error))
        return false;
    if (archive->state == AT_PADDING && !is_zero(*data, take))
        return wrong(archive, error, "there is something between the files in it");
    *data += take;
    *length -= take;
    archive->left -= take;
    if (archive->left > 0)
        return true;
    if (archive->state == AT_BYTES)
        return end_file(archive, error);
    archive->state = archive->names[archive->index] ? AT_HEADER : AT_END;
    return true;
}

bool tb_archive_feed(TbArchive *archive, const uint8_t *data, size_t length, GError **error)
{
    if (archive->state == AT_FAILURE)
        return wrong(archive, error, "it was refused already");
    /* A file or padding without bytes ends by itself, so a step may be due with no bytes left. */
    while (length > 0 ||
           (archive->left == 0 && (archive->state == AT_BYTES || archive->state == AT_PADDING))) {
        if (step(archive, &data, &length, error))
            continue;
        archive->state = AT_FAILURE;
        return false;
    }
    return true;
}

bool tb_archive_finish(TbArchive *archive, GError **error)
{
    if (archive->state != AT_END || archive->zeros < END_BLOCKS || archive->filled > 0)
        return wrong(archive, error, "it ends too early");
    return true;
}
