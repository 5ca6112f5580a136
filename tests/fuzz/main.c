/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fuzz target without libFuzzer: runs it over the files of a corpus directory, then over changed
 * copies of them. The changes are the same in every run, so a failure can be had again.
 *
 *     fuzz-NAME DIRECTORY|FILE [ROUNDS]
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUTS = 256, MAX_SIZE = 1 << 17 };

typedef struct {
    uint8_t *data;
    size_t size;
} Input;

static Input inputs[MAX_INPUTS];
static size_t input_count;
static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void load(const char *path)
{
    FILE *file = input_count < MAX_INPUTS ? fopen(path, "rb") : NULL;
    uint8_t *data = malloc(MAX_SIZE);
    if (file && data) {
        inputs[input_count++] = (Input){data, fread(data, 1, MAX_SIZE / 2, file)};
        data = NULL;
    }
    free(data);
    if (file)
        fclose(file);
}

static void load_all(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) {
        load(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            load(name);
    }
    closedir(dir);
}

static size_t change(uint8_t *data, size_t size)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '/', '.', '\n'};
    size_t at = size > 0 ? next_random() % size : 0;
    switch (next_random() % 5) {
    case 0:
        data[at] = (uint8_t)next_random();
        return size > 0 ? size : 1;
    case 1:
        data[at] = odd[next_random() % sizeof odd];
        return size > 0 ? size : 1;
    case 2:
        data[at] ^= (uint8_t)(1u << next_random() % 8);
        return size > 0 ? size : 1;
    case 3: /* cut */
        return at;
    default: { /* repeat a piece */
        size_t length = 1 + next_random() % 64;
        if (at + length > size || size + length > MAX_SIZE)
            return size;
        memmove(data + at + length, data + at, size - at);
        return size + length;
    }
    }
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 20000;
    uint8_t *copy = malloc(MAX_SIZE);
    if (argc < 2 || !copy)
        return 2;
    load_all(argv[1]);
    if (input_count == 0)
        load("/dev/null");
    for (size_t i = 0; i < input_count; i++)
        LLVMFuzzerTestOneInput(inputs[i].data, inputs[i].size);
    for (unsigned long i = 0; i < rounds; i++) {
        const Input *input = &inputs[next_random() % input_count];
        size_t size = input->size;
        memcpy(copy, input->data, size);
        for (uint64_t n = 1 + next_random() % 6; n > 0; n--)
            size = change(copy, size);
        LLVMFuzzerTestOneInput(copy, size);
    }
    for (size_t i = 0; i < input_count; i++)
        free(inputs[i].data);
    free(copy);
    return 0;
}
