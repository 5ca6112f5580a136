/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's requests, one at a time. An ERROR of the guest fails the request it answers and leaves
 * the session whole; anything that cannot be an answer is a breach and ends the session.
 */
#include "vm/session.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "vm/session-private.h"

TbSession *tb_session_new(int fd)
{
    TbSession *session = g_new0(TbSession, 1);
    session->fd = fd;
    session->peer = g_strdup("guest");
    session->watch_fd = -1;
    session->out = g_byte_array_new();
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return session;
}

void tb_session_free(TbSession *session)
{
    if (!session)
        return;
    tb_clear_fd(&session->fd);
    g_byte_array_unref(session->out);
    g_free(session->peer);
    g_free(session);
}

void tb_session_set_peer(TbSession *session, const char *name)
{
    g_free(session->peer);
    session->peer = g_strdup(name);
}

void tb_session_begin_clean(TbSession *session)
{
    session->clean = true;
}

void tb_session_set_watch(TbSession *session, int fd, TbWatchFn fn, void *data)
{
    session->watch_fd = fd;
    session->watch = fn;
    session->watch_data = data;
    if (session->called_off)
        session->broken = session->called_off = false;
}

/* Drops everything up to the nonce we just made up: what an earlier listener left unread. */
static bool find_answer(TbSession *session, const uint8_t *nonce, int64_t deadline, GError **error)
{
    TbMarkFinder finder;
    TbSessionWait wait = {.deadline = deadline, .input_fd = -1};
    tb_mark_finder_reset(&finder, nonce);
    for (;;) {
        const uint8_t *data = session->in + session->in_start;
        size_t length = session->in_end - session->in_start;
        bool found = tb_mark_finder_push(&finder, &data, &length);
        session->in_start = session->in_end - length;
        if (found)
            return true;
        if (!tb_session_move(session, &wait, error))
            return false;
    }
}

static bool copy_printable(char *to, size_t size, const char *from)
{
    for (const char *at = from; *at; at++)
        if (*at <= ' ' || *at > '~')
            return false;
    return g_strlcpy(to, from, size) < size;
}

static bool take_answer(TbSession *session, const TbFrame *frame, const uint8_t *nonce,
                        TbGuestInfo *info, GError **error)
{
    TbGuestHelloMessage hello;
    *info = (TbGuestInfo){0};
    if (!tb_decode_guest_hello(frame->payload, frame->length, &hello) ||
        memcmp(hello.nonce, nonce, sizeof hello.nonce) != 0 ||
        !copy_printable(info->kernel, sizeof info->kernel, hello.kernel) ||
        !copy_printable(info->filesystems, sizeof info->filesystems, hello.filesystems))
        return tb_session_breach(session, error, "a hello that makes no sense");
    info->version = hello.version;
    if (hello.version != TB_PROTOCOL_VERSION) {
        session->broken = true;
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "the image's guest program speaks protocol %u, this taskbox %d "
                            "(build the image anew)",
                            hello.version, TB_PROTOCOL_VERSION);
    }
    session->stale = hello.task != TB_PROCESS_NONE;
    session->greeted = true;
    return true;
}

static bool random_bytes(void *to, size_t size, GError **error)
{
    if (getrandom(to, size, 0) == (ssize_t)size)
        return true;
    return tb_error_set_errno(error, errno, "cannot get random bytes");
}

bool tb_session_hello(TbSession *session, int64_t deadline, TbGuestInfo *info, GError **error)
{
    static const uint8_t padding[TB_FRAME_PADDING];
    TbHelloMessage hello = {.version = TB_PROTOCOL_VERSION};
    uint8_t payload[64];
    TbFrame frame;
    if (session->broken)
        return tb_session_usable(session, error);
    if (!random_bytes(hello.nonce, sizeof hello.nonce, error))
        return false;
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_encode_hello(&writer, &hello);
    if (!session->clean)
        g_byte_array_append(session->out, padding, sizeof padding);
    session->clean = false;
    tb_session_queue(session, TB_MSG_HELLO, 0, payload, writer.length);
    tb_frame_decoder_reset(&session->decoder);
    return find_answer(session, hello.nonce, deadline, error) &&
           tb_session_expect(session, TB_MSG_GUEST_HELLO, &frame, deadline, error) &&
           take_answer(session, &frame, hello.nonce, info, error);
}

/* One request with a small payload, answered by OK. */
static bool request(TbSession *session, TbMessageType type, const TbWriter *payload,
                    int64_t deadline, GError **error)
{
    if (payload->failed)
        return tb_error_set(error, TB_ERROR_INTERNAL, "a request to the guest is too long");
    return tb_session_usable(session, error) &&
           tb_session_send(session, type, payload->data, payload->length, deadline, error) &&
           tb_session_expect_ok(session, type, deadline, error);
}

bool tb_session_setup(TbSession *session, const TbSetup *setup, int64_t deadline, GError **error)
{
    int64_t now = g_get_real_time();
    TbSetupMessage message = {.seconds = now / G_USEC_PER_SEC,
                              .nanoseconds = (uint32_t)(now % G_USEC_PER_SEC) * 1000,
                              .uid = setup->uid,
                              .gid = setup->gid,
                              .network = setup->network ? TB_NETWORK_CARD
                                         : setup->proxy ? TB_NETWORK_PROXY
                                                        : TB_NETWORK_NONE,
                              .hostname = setup->hostname};
    uint8_t payload[512];
    TbWriter writer = tb_writer(payload, sizeof payload);
    if (!random_bytes(message.entropy, sizeof message.entropy, error))
        return false;
    tb_encode_setup(&writer, &message);
    bool ok = request(session, TB_MSG_SETUP, &writer, deadline, error);
    explicit_bzero(&message, sizeof message);
    explicit_bzero(payload, sizeof payload);
    return ok;
}

bool tb_session_mount(TbSession *session, const TbMount *mount, int64_t deadline, GError **error)
{
    uint8_t payload[512];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbMountMessage message = {.name = mount->name, .filesystem = mount->filesystem};
    tb_encode_mount(&writer, &message);
    return request(session, TB_MSG_MOUNT, &writer, deadline, error);
}

bool tb_session_settle(TbSession *session, uint32_t uid, uint32_t gid, int64_t deadline,
                       GError **error)
{
    uint8_t payload[8];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, uid);
    tb_put_u32(&writer, gid);
    return request(session, TB_MSG_SETTLE, &writer, deadline, error);
}

bool tb_session_seal(TbSession *session, int64_t deadline, GError **error)
{
    TbWriter writer = tb_writer(NULL, 0);
    return request(session, TB_MSG_SEAL, &writer, deadline, error);
}

bool tb_session_stop(TbSession *session, bool now, int64_t deadline, GError **error)
{
    const uint8_t payload = now;
    return tb_session_usable(session, error) &&
           tb_session_send(session, TB_MSG_STOP, &payload, 1, deadline, error) &&
           tb_session_expect_ok(session, TB_MSG_STOP, deadline, error);
}
