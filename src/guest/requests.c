/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each frame of the host does. A request that fails is answered with ERROR and leaves the
 * conversation whole; only a frame whose payload cannot be decoded ends it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/guest.h"

bool tb_request_hello(TbGuest *guest, const TbFrame *frame)
{
    TbHelloMessage hello;
    if (!tb_decode_hello(frame->payload, frame->length, &hello))
        return false;
    tb_delta_clear(&guest->delta);
    tb_export_stop(guest->export);
    tb_task_forget_sides(guest);
    guest->exec_length = 0;
    guest->out.start = 0;
    guest->out.length = sizeof hello.nonce;
    memcpy(guest->out.data, hello.nonce, sizeof hello.nonce);
    TbGuestHelloMessage answer = {.version = TB_PROTOCOL_VERSION,
                                  .task = (uint8_t)guest->tasks[0].state,
                                  .kernel = guest->kernel,
                                  .filesystems = guest->filesystems};
    memcpy(answer.nonce, hello.nonce, sizeof answer.nonce);
    uint8_t payload[512];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_encode_guest_hello(&writer, &answer);
    tb_guest_send(guest, TB_MSG_GUEST_HELLO, 0, payload, writer.length);
    if (guest->tasks[0].state == TB_PROCESS_EXITED)
        tb_task_send_exit(guest, &guest->tasks[0]);
    return true;
}

static void answer(TbGuest *guest, TbMessageType type, bool ok, const TbFault *fault)
{
    if (ok)
        tb_guest_send_ok(guest, type);
    else
        tb_guest_send_fault(guest, 0, fault);
}

static bool run_setup(TbGuest *guest, const TbFrame *frame)
{
    TbSetupMessage setup;
    TbFault fault;
    if (!tb_decode_setup(frame->payload, frame->length, &setup))
        return false;
    bool ok = tb_setup_run(guest->config, &setup, &guest->settled, &guest->user, &fault);
    guest->settled.uid = 0; /* the box is the task's now */
    answer(guest, TB_MSG_SETUP, ok, &fault);
    return true;
}

static bool delta_step(TbGuest *guest, const TbFrame *frame, TbFault *fault)
{
    TbEntry entry;
    switch ((TbMessageType)frame->type) {
    case TB_MSG_DELTA_BEGIN:
        if (guest->user.uid == 0)
            return tb_fault(fault, "a delta before the setup");
        if (guest->project[0] != '\0')
            return tb_fault(fault, "a delta after the mount");
        return tb_delta_begin(&guest->delta, guest->config, fault);
    case TB_MSG_DELTA_ENTRY:
        if (!tb_decode_entry(frame->payload, frame->length, &entry))
            return tb_fault(fault, "an entry of the delta makes no sense");
        return tb_delta_entry(&guest->delta, &entry, &guest->user, fault);
    case TB_MSG_DELTA_DATA:
        return tb_delta_data(&guest->delta, frame->payload, frame->length, fault);
    default:
        return tb_delta_end(&guest->delta, fault);
    }
}

/* After an error the rest of the delta, which the host has already sent, is dropped. */
static bool run_delta(TbGuest *guest, const TbFrame *frame)
{
    TbFault fault;
    if (frame->type == TB_MSG_DELTA_BEGIN)
        guest->delta.failed = false;
    else if (guest->delta.failed)
        return true;
    if (!delta_step(guest, frame, &fault)) {
        tb_delta_clear(&guest->delta);
        guest->delta.failed = true;
        tb_guest_send_fault(guest, 0, &fault);
    } else if (frame->type == TB_MSG_DELTA_END) {
        tb_guest_send_ok(guest, TB_MSG_DELTA_END);
    }
    return true;
}

static bool run_mount(TbGuest *guest, const TbFrame *frame)
{
    TbMountMessage mount;
    TbFault fault;
    if (!tb_decode_mount(frame->payload, frame->length, &mount))
        return false;
    bool ok;
    if (guest->user.uid == 0)
        ok = tb_fault(&fault, "a mount before the setup");
    else if (guest->project[0] != '\0')
        ok = tb_fault(&fault, "the project is mounted already");
    else
        ok = tb_mount_project(guest->config, &mount, &guest->user, &fault);
    if (ok)
        memcpy(guest->project, mount.name, strlen(mount.name) + 1);
    answer(guest, TB_MSG_MOUNT, ok, &fault);
    return true;
}

/* The process that a frame is about; NULL: there can be none of this number. */
static TbTask *task_of(TbGuest *guest, const TbFrame *frame)
{
    unsigned number = tb_stream_process(frame->stream);
    return number < TB_PROCESSES ? &guest->tasks[number] : NULL;
}

static bool start_task(TbGuest *guest, TbTask *task, TbFault *fault)
{
    if (task->state == TB_PROCESS_RUNNING)
        return tb_fault(fault, "a process is running already");
    TbExecMessage exec;
    if (!tb_decode_exec(guest->exec, guest->exec_length, &exec))
        return tb_fault(fault, "the request to run a process makes no sense");
    bool ok = exec.as_root || guest->user.uid != 0
                  ? tb_task_start(guest, task, &exec, fault)
                  : tb_fault(fault, "a process of the task's user before the setup");
    tb_exec_message_clear(&exec);
    return ok;
}

static bool run_exec(TbGuest *guest, const TbFrame *frame)
{
    TbTask *task = task_of(guest, frame);
    if (!task || frame->length > TB_EXEC_LIMIT - guest->exec_length)
        return false;
    memcpy(guest->exec + guest->exec_length, frame->payload, frame->length);
    guest->exec_length += frame->length;
    if (frame->type == TB_MSG_EXEC_PART)
        return true;
    TbFault fault;
    if (!start_task(guest, task, &fault))
        tb_guest_send_fault(guest, frame->stream, &fault);
    guest->exec_length = 0;
    return true;
}

static bool run_control(TbGuest *guest, const TbFrame *frame)
{
    TbTask *task = task_of(guest, frame);
    if (!task)
        return false;
    if (frame->type == TB_MSG_STDIN) {
        tb_task_input(guest, task, frame->payload, frame->length);
        return true;
    }
    TbReader reader = tb_reader(frame->payload, frame->length);
    if (frame->type == TB_MSG_WINDOW) {
        uint16_t rows = tb_get_u16(&reader);
        uint16_t columns = tb_get_u16(&reader);
        if (tb_reader_done(&reader))
            tb_task_window(task, rows, columns);
        return tb_reader_done(&reader);
    }
    uint32_t number = tb_get_u32(&reader);
    if (tb_reader_done(&reader) && frame->type == TB_MSG_SIGNAL)
        tb_task_signal(task, number);
    else if (tb_reader_done(&reader))
        tb_task_taken(task, number);
    return tb_reader_done(&reader);
}

static bool run_export(TbGuest *guest, const TbFrame *frame)
{
    TbFault fault;
    bool ok;
    if (frame->type == TB_MSG_EXPORT_FILES) {
        ok = tb_export_files(guest, frame->payload, frame->length, &fault);
    } else {
        TbReader reader = tb_reader(frame->payload, frame->length);
        uint32_t limit = tb_get_u32(&reader);
        if (!tb_reader_done(&reader))
            return false;
        ok = tb_export_list(guest, limit, frame->type == TB_MSG_EXPORT_UPPER, &fault);
    }
    if (!ok)
        tb_guest_send_fault(guest, 0, &fault);
    return true;
}

/* Up to two seconds for the answer to get out; then the power goes in any case. */
static void power_off(TbGuest *guest)
{
    int64_t deadline = tb_now() + 2000;
    TbQueue *out = &guest->out;
    while (out->length > 0 && tb_now() < deadline) {
        struct pollfd fd = {.fd = guest->port, .events = POLLOUT};
        if (poll(&fd, 1, 100) <= 0)
            continue;
        ssize_t n = write(guest->port, out->data + out->start, out->length);
        if (n <= 0)
            break;
        out->start += (size_t)n;
        out->length -= (size_t)n;
    }
    sync();
    guest->config->power_off();
}

static bool run_seal(TbGuest *guest)
{
    TbFault fault;
    tb_task_kill_all(guest);
    bool ok = tb_seal(guest->config, &fault);
    answer(guest, TB_MSG_SEAL, ok, &fault);
    if (ok)
        power_off(guest);
    return true;
}

/* The user stays unknown: a task's box still waits for its SETUP. */
static bool run_settle(TbGuest *guest, const TbFrame *frame)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    uint32_t uid = tb_get_u32(&reader);
    uint32_t gid = tb_get_u32(&reader);
    TbUser user = {0};
    TbFault fault;
    if (!tb_reader_done(&reader))
        return false;
    bool ok = tb_setup_common(guest->config, uid, gid, true, &user, &fault);
    guest->settled = ok ? user : (TbUser){0};
    if (ok)
        tb_settle(guest->config);
    answer(guest, TB_MSG_SETTLE, ok, &fault);
    return true;
}

/* A request other than these means that the host knows how the last process ended. */
static bool leaves_exit_pending(const TbFrame *frame)
{
    uint8_t type = frame->type;
    return type == TB_MSG_HELLO || type == TB_MSG_STDIN || type == TB_MSG_WINDOW ||
           type == TB_MSG_SIGNAL || tb_stream_process(frame->stream) != 0;
}

bool tb_request_run(TbGuest *guest, const TbFrame *frame)
{
    if (guest->tasks[0].state == TB_PROCESS_EXITED && !leaves_exit_pending(frame))
        guest->tasks[0].state = TB_PROCESS_NONE;
    switch ((TbMessageType)frame->type) {
    case TB_MSG_HELLO:
        return tb_request_hello(guest, frame);
    case TB_MSG_SETUP:
        return run_setup(guest, frame);
    case TB_MSG_DELTA_BEGIN:
    case TB_MSG_DELTA_ENTRY:
    case TB_MSG_DELTA_DATA:
    case TB_MSG_DELTA_END:
        return run_delta(guest, frame);
    case TB_MSG_MOUNT:
        return run_mount(guest, frame);
    case TB_MSG_EXEC_PART:
    case TB_MSG_EXEC:
        return run_exec(guest, frame);
    case TB_MSG_STDIN:
    case TB_MSG_WINDOW:
    case TB_MSG_SIGNAL:
    case TB_MSG_TAKEN:
        return run_control(guest, frame);
    case TB_MSG_EXPORT_LIST:
    case TB_MSG_EXPORT_UPPER:
    case TB_MSG_EXPORT_FILES:
        return run_export(guest, frame);
    case TB_MSG_SEAL:
        return run_seal(guest);
    case TB_MSG_SETTLE:
        return run_settle(guest, frame);
    case TB_MSG_SHUTDOWN:
        guest->config->power_off();
        return true;
    default:
        return false;
    }
}
