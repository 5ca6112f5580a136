/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes beside the task's own, and what a box copies out of itself. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/sha256.h"
#include "guest/guest.h"
#include "harness.h"

static Harness *harness;
static TbSession *session;

static void set_up(void)
{
    harness = harness_start();
    session = harness_ready(harness);
}

static void tear_down(void)
{
    tb_session_free(session);
    harness_stop(harness);
}

/* What one test wants of its side processes, and what became of them. */
typedef struct {
    const char *lines[TB_SIDES + 1]; /* of process 1, 2, ... for sh -c */
    bool pty, take;                  /* take: its output is acknowledged */
    const char *input;               /* for each */
    const char *go;                  /* main is fed this once all sides have ended */
    bool fed;
    unsigned started, ended;
    unsigned last; /* number given to the last one started */
    GString *out[TB_SIDES + 1];
    int code[TB_SIDES + 1];
    char *error[TB_SIDES + 1];
    GString *main_out;
} Sides;

static void side_start(Sides *sides, const char *line)
{
    uint8_t payload[4096];
    TbWriter writer = tb_writer(payload, sizeof payload);
    const char *argv[] = {"sh", "-c", line, NULL}, *env[] = {NULL};
    TbExecMessage exec = {.as_root = true,
                          .pty = sides->pty,
                          .has_stdin = sides->input != NULL,
                          .rows = 11,
                          .columns = 22,
                          .cwd = *line ? "/" : "/nonexistent",
                          .argv = argv,
                          .env = env};
    tb_encode_exec(&writer, &exec);
    sides->last = tb_session_side_start(session, payload, writer.length);
    if (sides->last == 0)
        return;
    sides->started++;
    sides->out[sides->last] = g_string_new(NULL);
    sides->code[sides->last] = -1;
}

static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Sides *sides = user_data;
    g_string_append_len(sides->main_out, (const char *)data, (gssize)length);
    bool first = sides->started == 0;
    for (size_t i = 0; first && sides->lines[i]; i++)
        side_start(sides, sides->lines[i]);
    return true;
}

static bool on_side(unsigned process, const TbFrame *frame, void *user_data, GError **error)
{
    Sides *sides = user_data;
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbReader reader = tb_reader(frame->payload, frame->length);
    switch ((TbMessageType)frame->type) {
    case TB_MSG_STARTED:
        break;
    case TB_MSG_CREDIT:
        if (sides->input && sides->out[process]->len == 0) {
            tb_session_side_send(session, process, TB_MSG_STDIN, sides->input,
                                 strlen(sides->input));
            if (!sides->pty)
                tb_session_side_send(session, process, TB_MSG_STDIN, NULL, 0);
        }
        break;
    case TB_MSG_OUTPUT:
        g_string_append_len(sides->out[process], (const char *)frame->payload,
                            (gssize)frame->length);
        tb_put_u32(&writer, frame->length);
        if (sides->take)
            tb_session_side_send(session, process, TB_MSG_TAKEN, payload, 4);
        break;
    case TB_MSG_EXIT:
        sides->code[process] = (int)tb_get_u32(&reader);
        sides->ended++;
        break;
    default:
        sides->error[process] = g_strndup((const char *)frame->payload, frame->length);
        sides->ended++;
    }
    return true;
}

static size_t more_input(uint8_t *bytes, size_t room, void *user_data)
{
    Sides *sides = user_data;
    if (sides->fed || !sides->go || sides->started == 0 || sides->ended < sides->started)
        return 0;
    sides->fed = true;
    size_t length = strlen(sides->go);
    memcpy(bytes, sides->go, length);
    return length;
}

/* Runs `line` as the task's process, with the sides as soon as it has written something. */
static TbExecResult run(const char *line, Sides *sides)
{
    const char *argv[] = {"sh", "-c", line, NULL};
    const TbExec exec = {
        .argv = argv, .cwd = "/", .as_root = true, .stdin_fd = -1, .fed = sides->go != NULL};
    const TbExecHandlers handlers = {
        .output = on_output, .side = on_side, .more_input = more_input, .data = sides};
    TbExecResult result = {0};
    GError *error = NULL;
    sides->main_out = g_string_new(NULL);
    bool ok = tb_session_exec(session, &exec, &handlers, harness_deadline(30), &result, &error);
    harness_ok(ok, error);
    return result;
}

static void clear(Sides *sides)
{
    for (unsigned i = 0; i <= TB_SIDES; i++) {
        if (sides->out[i])
            g_string_free(sides->out[i], TRUE);
        g_free(sides->error[i]);
    }
    g_string_free(sides->main_out, TRUE);
}

START_TEST(beside_the_task)
{
    Sides sides = {.lines = {"cat; exit 5", "cat >/dev/null; kill -TERM $$", "cat; exit 0"},
                   .input = "given\n",
                   .take = true,
                   .go = "go on\n"};
    TbExecResult result = run("echo ready; read a; echo $a; exit 3", &sides);
    ck_assert_int_eq(result.code, 3);
    ck_assert_str_eq(sides.main_out->str, "ready\ngo on\n");
    ck_assert_str_eq(sides.out[1]->str, "given\n");
    ck_assert_int_eq(sides.code[1], 5);
    ck_assert_int_eq(sides.code[2], 128 + SIGTERM);
    ck_assert_str_eq(sides.out[3]->str, "given\n");
    ck_assert_int_eq(sides.code[3], 0);
    clear(&sides);
}
END_TEST

START_TEST(with_a_terminal)
{
    Sides sides = {.lines = {"stty -echo; tty; stty size; read a; echo \"<$a>\""},
                   .pty = true,
                   .input = "typed\r",
                   .take = true,
                   .go = "\n"};
    run("echo ready; read a", &sides);
    ck_assert_ptr_nonnull(strstr(sides.out[1]->str, "/dev/"));
    ck_assert_ptr_nonnull(strstr(sides.out[1]->str, "11 22\r\n"));
    ck_assert_ptr_nonnull(strstr(sides.out[1]->str, "<typed>"));
    ck_assert_int_eq(sides.code[1], 0);
    clear(&sides);
}
END_TEST

START_TEST(cannot_be_started)
{
    Sides sides = {.lines = {""}, .take = true, .go = "\n"};
    run("echo ready; read a", &sides);
    ck_assert_int_eq(sides.code[1], 126 + 0);
    ck_assert_ptr_nonnull(strstr(sides.out[1]->str, "cannot enter '/nonexistent'"));
    clear(&sides);
}
END_TEST

START_TEST(too_many)
{
    Sides sides = {.lines = {"sleep 50", "sleep 50", "sleep 50", "sleep 50", "sleep 50", "sleep 50",
                             "sleep 50", "sleep 50"}};
    run("echo ready; sleep 0.3; echo more", &sides);
    ck_assert_uint_eq(sides.started, TB_SIDES);
    ck_assert_uint_eq(tb_session_side_start(session, "", 0), 0); /* they are not known to be gone */
    clear(&sides);
}
END_TEST

/* One that nobody reads stops at its window; the task's output goes on, and its end is the end. */
START_TEST(not_taken)
{
    Sides sides = {.lines = {"yes", "yes"}};
    TbExecResult result = run("echo ready; sleep 0.5; head -c 3000000 /dev/zero", &sides);
    ck_assert_int_eq(result.code, 0);
    ck_assert_uint_eq(sides.main_out->len, 3000000 + 6);
    ck_assert_uint_eq(sides.out[1]->len, TB_SIDE_WINDOW);
    ck_assert_uint_eq(sides.out[2]->len, TB_SIDE_WINDOW);
    ck_assert_uint_eq(sides.ended, 0);
    g_autoptr(HarnessRun) after = harness_shell(session, "echo fine");
    ck_assert_str_eq(after->out->str, "fine\n");
    clear(&sides);
}
END_TEST

START_TEST(taken)
{
    Sides sides = {.lines = {"head -c 5000000 /dev/zero", "head -c 5000000 /dev/zero"},
                   .take = true,
                   .go = "\n"};
    run("echo ready; read a", &sides);
    ck_assert_uint_eq(sides.out[1]->len, 5000000);
    ck_assert_uint_eq(sides.out[2]->len, 5000000);
    clear(&sides);
}
END_TEST

/* A host that comes anew knows nothing of them. */
START_TEST(gone_with_the_host)
{
    g_autofree char *mark = g_strdup_printf("sleep 7%d", (int)getpid() % 10000 + 10000);
    g_autofree char *line = g_strdup_printf("exec %s", mark);
    Sides sides = {.lines = {line}};
    run("echo ready; sleep 0.3; echo more", &sides);
    tb_session_free(session);
    session = harness_session(harness);
    g_autofree char *look =
        g_strdup_printf("sleep 0.5; ps ax -o args= | grep -c '^%s' || true", mark);
    g_autoptr(HarnessRun) after = harness_shell(session, look);
    ck_assert_str_eq(after->out->str, "0\n");
    clear(&sides);
}
END_TEST

/* --- copies ------------------------------------------------------------------------------------
 */

static GString *copy_of(const char *path, int *status)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        _exit(tb_copy_run(fds[1], path));
    }
    close(fds[1]);
    GString *told = g_string_new(NULL);
    TbFrameDecoder *decoder = g_new0(TbFrameDecoder, 1);
    uint8_t buffer[5000];
    for (ssize_t n; (n = read(fds[0], buffer, sizeof buffer)) > 0;) {
        const uint8_t *data = buffer;
        size_t length = (size_t)n;
        TbFrame frame;
        TbEntry entry;
        while (tb_frame_decoder_push(decoder, &data, &length, &frame) == TB_FRAME_READY) {
            if (frame.type == TB_MSG_ENTRY) {
                ck_assert(tb_decode_entry(frame.payload, frame.length, &entry));
                g_string_append_printf(told, "[%d %.*s %o %.*s]", entry.kind,
                                       (int)entry.path_length, (const char *)entry.path, entry.mode,
                                       (int)entry.target_length, (const char *)entry.target);
            } else if (frame.type == TB_MSG_FILE_DATA) {
                g_string_append_printf(told, "%u,", frame.length);
            } else if (frame.type == TB_MSG_FILE_END) {
                ck_assert_uint_eq(frame.length, TB_HASH_SIZE);
                g_string_append(told, "end");
            } else if (frame.type == TB_MSG_ERROR) {
                g_string_append_printf(told, "!%.*s!", (int)frame.length,
                                       (const char *)frame.payload);
            } else {
                ck_assert_uint_eq(frame.type, TB_MSG_LIST_END);
                g_string_append_printf(told, "of %u", frame.payload[0]);
            }
        }
    }
    close(fds[0]);
    waitpid(pid, status, 0);
    *status = WEXITSTATUS(*status);
    g_free(decoder);
    return told;
}

START_TEST(copies)
{
    g_autofree char *dir = g_dir_make_tmp("taskbox-copy-XXXXXX", NULL);
    g_autofree char *make =
        g_strdup_printf("cd %s && chmod 755 . && mkdir a && chmod 750 a && "
                        "head -c 40000 /dev/zero >a/file && chmod 640 a/file && "
                        "ln -s a/file link && mkfifo a/pipe",
                        dir);
    ck_assert_int_eq(system(make), 0);
    int status = -1;
    g_autofree char *file = g_build_filename(dir, "link", NULL);
    g_autofree char *sub = g_build_filename(dir, "a", NULL);
    GString *told = copy_of(file, &status);
    ck_assert_str_eq(told->str, "[1 x 640 ]32768,7232,endof 1");
    ck_assert_int_eq(status, 0);
    g_string_free(told, TRUE);
    told = copy_of(sub, &status);
    ck_assert(g_str_has_prefix(told->str, "[3 x 750 ]"));
    ck_assert_ptr_nonnull(strstr(told->str, "[1 x/file 640 ]32768,7232,end"));
    ck_assert_ptr_nonnull(strstr(told->str, "[6 x/pipe"));
    ck_assert(g_str_has_suffix(told->str, "of 3"));
    g_string_free(told, TRUE);
    told = copy_of(dir, &status);
    ck_assert_ptr_nonnull(strstr(told->str, "[2 x/link 777 a/file]"));
    g_string_free(told, TRUE);
    told = copy_of("/nonexistent/x", &status);
    ck_assert_str_eq(told->str, "!No such file or directory!of 0");
    ck_assert_int_eq(status, 1);
    g_string_free(told, TRUE);
    g_autofree char *remove = g_strdup_printf("rm -rf %s", dir);
    ck_assert_int_eq(system(remove), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {beside_the_task, with_a_terminal, cannot_be_started,  too_many,
                                  not_taken,       taken,           gone_with_the_host, copies};
    Suite *suite = suite_create("guest-side");
    TCase *tcase = tcase_create("side");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return harness_main(suite);
}
