/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the frames mean: types and payloads of both directions. docs/protocol.md is the text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/entry.h"
#include "channel/wire.h"

#define TB_CHANNEL_PORT "taskbox.channel.0" /* name of the virtio-serial port */

enum {
    TB_PROTOCOL_VERSION = 4,
    TB_NONCE_SIZE = 16,
    TB_ENTROPY_SIZE = 64,
    TB_HASH_SIZE = 32,
    TB_PATH_LIMIT = 4096,
    TB_TARGET_LIMIT = 4095,
    TB_ERROR_TEXT_LIMIT = 1024,
    TB_ENTRY_WIRE_LIMIT = 64 + TB_PATH_LIMIT + TB_TARGET_LIMIT,
    TB_EXEC_LIMIT = 1 << 20,     /* bytes of an EXEC request over all its parts */
    TB_STDIN_WINDOW = 64 * 1024, /* credit the guest ever has given out */
    TB_FILES_BATCH = 4096,       /* indices in one EXPORT_FILES */
    TB_SIDES = 8,                /* processes beside the task's own, numbered from 1 */
    TB_SIDE_WINDOW = 128 * 1024, /* bytes of OUTPUT a side process may be ahead of its TAKEN */
};

typedef enum {
    /* host to guest */
    TB_MSG_HELLO = 0x01,
    TB_MSG_SETUP = 0x02,
    TB_MSG_DELTA_BEGIN = 0x03,
    TB_MSG_DELTA_ENTRY = 0x04,
    TB_MSG_DELTA_DATA = 0x05,
    TB_MSG_DELTA_END = 0x06,
    TB_MSG_MOUNT = 0x07,
    TB_MSG_EXEC_PART = 0x08,
    TB_MSG_EXEC = 0x09,
    TB_MSG_STDIN = 0x0a,
    TB_MSG_WINDOW = 0x0b,
    TB_MSG_SIGNAL = 0x0c,
    TB_MSG_EXPORT_LIST = 0x0d,
    TB_MSG_EXPORT_FILES = 0x0e,
    TB_MSG_SEAL = 0x0f,
    TB_MSG_SHUTDOWN = 0x10,
    TB_MSG_SETTLE = 0x11,
    TB_MSG_TAKEN = 0x12,
    TB_MSG_EXPORT_UPPER = 0x13,
    /* client to a task's control socket, besides */
    TB_MSG_STOP = 0x20,
    TB_MSG_ATTACH = 0x21,
    /* guest to host */
    TB_MSG_GUEST_HELLO = 0x81,
    TB_MSG_OK = 0x82,
    TB_MSG_ERROR = 0x83,
    TB_MSG_STARTED = 0x84,
    TB_MSG_OUTPUT = 0x85,
    TB_MSG_CREDIT = 0x86,
    TB_MSG_EXIT = 0x87,
    TB_MSG_ENTRY = 0x88,
    TB_MSG_LIST_END = 0x89,
    TB_MSG_FILE_BEGIN = 0x8a,
    TB_MSG_FILE_DATA = 0x8b,
    TB_MSG_FILE_END = 0x8c,
    TB_MSG_BOOT = 0x8d,
} TbMessageType;

/* The stream field of a frame that has to do with a process: which one (0: the task's own), and of
 * an OUTPUT 1 or 2. */
static inline uint16_t tb_stream(unsigned process, unsigned fd)
{
    return (uint16_t)(process << 8 | fd);
}
static inline unsigned tb_stream_process(uint16_t stream)
{
    return stream >> 8;
}
static inline unsigned tb_stream_fd(uint16_t stream)
{
    return stream & 0xff;
}

/* The 16 bytes every HELLO of a host starts with: its frame header and the magic. A guest that has
 * lost the beginning of frames looks for them. */
extern const uint8_t tb_hello_mark[16];

/* The encoders append to a writer; the decoders return false for anything but exactly one message.
 * Decoded pointers point into the payload. */

typedef struct {
    uint16_t version;
    uint8_t nonce[TB_NONCE_SIZE];
} TbHelloMessage;
void tb_encode_hello(TbWriter *writer, const TbHelloMessage *hello);
bool tb_decode_hello(const void *data, size_t length, TbHelloMessage *hello);

typedef enum { TB_PROCESS_NONE, TB_PROCESS_RUNNING, TB_PROCESS_EXITED } TbProcessState;

typedef struct {
    uint8_t nonce[TB_NONCE_SIZE];
    uint16_t version;
    uint8_t task;       /* TbProcessState: whether OUTPUT and EXIT of an earlier EXEC may follow */
    const char *kernel; /* <= 64 */
    const char *filesystems; /* <= 127, comma list */
} TbGuestHelloMessage;
void tb_encode_guest_hello(TbWriter *writer, const TbGuestHelloMessage *hello);
bool tb_decode_guest_hello(const void *data, size_t length, TbGuestHelloMessage *hello);

/* What SETUP brings up besides the loopback: the card of an image build, the proxy of a task. */
typedef enum { TB_NETWORK_NONE, TB_NETWORK_CARD, TB_NETWORK_PROXY } TbNetworkKind;

typedef struct {
    int64_t seconds; /* the host's clock */
    uint32_t nanoseconds;
    uint8_t entropy[TB_ENTROPY_SIZE];
    uint32_t uid, gid;
    uint8_t network;      /* TbNetworkKind */
    const char *hostname; /* <= 64 */
} TbSetupMessage;
void tb_encode_setup(TbWriter *writer, const TbSetupMessage *setup);
bool tb_decode_setup(const void *data, size_t length, TbSetupMessage *setup);

void tb_encode_entry(TbWriter *writer, const TbEntry *entry);
/* Checks the kind, the lengths, that names hold no NUL and that a field is used only by its kind;
 * not what the path says. */
bool tb_decode_entry(const void *data, size_t length, TbEntry *entry);

typedef struct {
    const char *name;       /* <= 255 */
    const char *filesystem; /* <= 15 */
} TbMountMessage;
void tb_encode_mount(TbWriter *writer, const TbMountMessage *mount);
bool tb_decode_mount(const void *data, size_t length, TbMountMessage *mount);

typedef struct {
    bool as_root, pty, has_stdin;
    uint16_t rows, columns;
    const char *cwd;
    const char **argv, **env; /* NULL-terminated */
    size_t argc, envc;        /* for the encoder NULL-terminated, too; filled in by the decoder */
} TbExecMessage;
void tb_encode_exec(TbWriter *writer, const TbExecMessage *exec);
/* argv and env are malloced (their strings are not): tb_exec_message_clear. */
bool tb_decode_exec(const void *data, size_t length, TbExecMessage *exec);
void tb_exec_message_clear(TbExecMessage *exec);
