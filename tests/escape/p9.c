/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "p9.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEVICE "0x1049" /* 0x1040 and VIRTIO_ID_9P */
#define MSIZE  DEVICE_PAGE

uint8_t *p9_request, *p9_answer;

static size_t put(size_t at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes && at < MSIZE; i++)
        p9_request[at++] = (uint8_t)(value >> (8 * i));
    return at;
}

uint64_t p9_get(size_t at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | p9_answer[at + i];
    return value;
}

static size_t put_bytes(size_t at, const void *bytes, size_t length)
{
    length = length < MSIZE - at ? length : MSIZE - at;
    memcpy(p9_request + at, bytes, length);
    return at + length;
}

static size_t put_body(const char *kinds, va_list arguments)
{
    size_t at = P9_HEAD;
    for (; *kinds; kinds++) {
        if (*kinds == 's') {
            const char *text = va_arg(arguments, const char *);
            at = put_bytes(put(at, strlen(text), 2), text, strlen(text));
        } else if (*kinds == 'S') {
            const char *bytes = va_arg(arguments, const char *);
            unsigned length = va_arg(arguments, unsigned);
            at = put_bytes(put(at, length, 2), bytes, length < 64 ? length : 64);
        } else if (*kinds == 'q') {
            at = put(at, va_arg(arguments, uint64_t), 8);
        } else {
            at = put(at, va_arg(arguments, unsigned), *kinds == 'b' ? 1 : *kinds == 'w' ? 2 : 4);
        }
    }
    return at;
}

int p9_send(uint8_t type, size_t size, uint32_t said, int milliseconds)
{
    put(0, said, 4);
    put(4, type, 1);
    put(5, type == TVERSION ? 0xffff : 7, 2);
    memset(p9_answer, 0, DEVICE_PAGE);
    if (!device_ask(0, p9_request, size, p9_answer, milliseconds))
        return P9_NO_ANSWER;
    if (p9_answer[4] == RLERROR)
        return p9_get(P9_HEAD, 4) != 0 ? (int)p9_get(P9_HEAD, 4) : EIO;
    return p9_answer[4] == type + 1 ? 0 : EPROTO;
}

int p9_ask(uint8_t type, const char *kinds, ...)
{
    va_list arguments;
    va_start(arguments, kinds);
    size_t size = put_body(kinds, arguments);
    va_end(arguments);
    int error = p9_send(type, size, (uint32_t)size, 3000);
    if (error == P9_NO_ANSWER) { /* it has broken off: from the beginning */
        device_say("silent: at %u\n", type);
        p9_speak();
    }
    return error;
}

void p9_speak(void)
{
    static uint32_t owner;
    static int tries; /* in vain, one in the other: p9_ask calls back */
    device_start(1);
    if (++tries > 3 || p9_ask(TVERSION, "ds", MSIZE, "9P2000.L") != 0 ||
        p9_ask(TATTACH, "ddssd", ROOT, NO_FID, "root", "/", owner) != 0)
        device_die("be understood by QEMU");
    tries = 0;
    if (owner != 0 || p9_ask(TGETATTR, "dq", ROOT, UINT64_C(0x7ff)) != 0)
        return;
    owner = (uint32_t)p9_get(P9_HEAD + 8 + 13 + 4, 4);
    if (owner != 0)
        p9_speak();
}

void p9_drop(uint32_t fid)
{
    p9_ask(TCLUNK, "d", fid);
}

int p9_walk(uint32_t from, uint32_t to, const char *name, uint64_t *qid)
{
    int error = p9_ask(TWALK, "ddws", from, to, 1, name);
    if (error == 0 && p9_get(P9_HEAD, 2) != 1)
        return ENOENT;
    if (qid)
        *qid = p9_get(P9_HEAD + 2 + 5, 8);
    return error;
}

int p9_walk_path(uint32_t to, const char *path)
{
    char copy[256], *rest = copy;
    snprintf(copy, sizeof copy, "%s", path);
    int error = p9_ask(TWALK, "ddw", ROOT, to, 0);
    for (char *name; error == 0 && (name = strsep(&rest, "/"));)
        error = p9_walk(to, to, name, NULL);
    if (error != 0)
        p9_drop(to);
    return error;
}

bool p9_answer_has(const char *text)
{
    return memmem(p9_answer, DEVICE_PAGE, text, strlen(text)) != NULL;
}

bool p9_read(uint32_t fid, uint32_t flags)
{
    if (p9_ask(TWALK, "ddw", fid, OPENED, 0) != 0)
        return false;
    bool ok = p9_ask(TLOPEN, "dd", OPENED, flags) == 0;
    if (ok)
        p9_ask(TREAD, "dqd", OPENED, UINT64_C(0), 2048);
    uint8_t kept[DEVICE_PAGE];
    memcpy(kept, p9_answer, sizeof kept);
    p9_drop(OPENED);
    memcpy(p9_answer, kept, sizeof kept);
    return ok;
}

void p9_take(void)
{
    device_take(DEVICE);
    p9_request = device_page();
    p9_answer = device_page();
    p9_speak();
}
