/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SHA-256 (FIPS 180-4) for the guest, which links no library. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
} TbSha256;

void tb_sha256_init(TbSha256 *hash);
void tb_sha256_add(TbSha256 *hash, const void *data, size_t length);
/* Ends the hash; `hash` must be initialised again before it is used again. */
void tb_sha256_end(TbSha256 *hash, uint8_t out[32]);
