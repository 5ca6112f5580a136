/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The examples of FIPS 180-4's companion, and all cuts and lengths around the block size. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "channel/sha256.h"

static void hex(const uint8_t hash[32], char out[65])
{
    for (size_t i = 0; i < 32; i++)
        sprintf(out + 2 * i, "%02x", hash[i]);
}

static void hash_of(const void *data, size_t length, size_t piece, char out[65])
{
    TbSha256 hash;
    uint8_t bytes[32];
    tb_sha256_init(&hash);
    for (size_t at = 0; at < length; at += piece)
        tb_sha256_add(&hash, (const uint8_t *)data + at, piece < length - at ? piece : length - at);
    tb_sha256_end(&hash, bytes);
    hex(bytes, out);
}

START_TEST(known_answers)
{
    static const char *const known[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopq"
         "klmnopqrlmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    char out[65];
    for (size_t i = 0; i < 4; i++) {
        hash_of(known[i][0], strlen(known[i][0]), 1000, out);
        ck_assert_str_eq(out, known[i][1]);
    }
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    hash_of(million, 1000000, 4093, out);
    ck_assert_str_eq(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}
END_TEST

START_TEST(any_cut)
{
    uint8_t data[200];
    char whole[65], cut[65];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31);
    for (size_t length = 0; length <= sizeof data; length++) {
        hash_of(data, length, sizeof data, whole);
        for (size_t piece = 1; piece < 130; piece += 7) {
            hash_of(data, length, piece, cut);
            ck_assert_str_eq(cut, whole);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel-sha256");
    TCase *tcase = tcase_create("sha256");
    tcase_add_test(tcase, known_answers);
    tcase_add_test(tcase, any_cut);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
