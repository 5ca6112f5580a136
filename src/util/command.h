/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every program that taskbox starts is started here: an argument vector (never a shell), an
 * environment that is given or cleared, descriptors that are named, limits, a deadline.
 *
 * A child is in a process group of its own (a Ctrl-C reaches taskbox only) and gets SIGKILL when
 * the thread that started it dies: start children from the main thread. Set-up calls never fail;
 * what is wrong shows at run. When the child ends, what is left of its group is killed. While a
 * command runs, an interrupt (util/interrupt.h) ends it with TB_ERROR_INTERRUPTED.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct TbCommand TbCommand;
typedef struct TbChild TbChild;

/* Called in the child between fork and exec: async-signal-safe calls only. Non-zero: exit 127. */
typedef int (*TbChildSetup)(void *data);
/* Called with each chunk the child writes; false (with error set) stops the child. */
typedef bool (*TbOutputFn)(const uint8_t *data, size_t length, void *user_data, GError **error);
/* Called when the child can take more input. Fill at most `size` bytes into `buffer`, set *length;
 * *length == 0 closes the child's stdin. */
typedef bool (*TbInputFn)(uint8_t *buffer, size_t size, size_t *length, void *user_data,
                          GError **error);

/* A new command. `program` is searched in our PATH (absolute entries) unless it has a slash. Free
 * with tb_command_free. */
TbCommand *tb_command_new(const char *program) G_GNUC_WARN_UNUSED_RESULT;
void tb_command_free(TbCommand *command);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbCommand, tb_command_free)

/* Appends arguments; the list ends with NULL. */
void tb_command_add(TbCommand *command, ...) G_GNUC_NULL_TERMINATED;
void tb_command_add_format(TbCommand *command, const char *format, ...) G_GNUC_PRINTF(2, 3);
void tb_command_add_strv(TbCommand *command, const char *const *argv);

/* The child's environment: tb_command_env_clear starts from nothing, else it is inherited. */
void tb_command_env_clear(TbCommand *command);
void tb_command_setenv(TbCommand *command, const char *name, const char *value);
void tb_command_unsetenv(TbCommand *command, const char *name);

/* Working directory of the child, by path. */
void tb_command_set_cwd(TbCommand *command, const char *path);
/* stdin is /dev/null unless one of these is called. The bytes are copied. */
void tb_command_set_stdin_bytes(TbCommand *command, const void *data, size_t length);
void tb_command_set_stdin_fn(TbCommand *command, TbInputFn fn, void *user_data);
void tb_command_set_stdin_fd(TbCommand *command, int fd);
/* stdout is captured in memory unless one of these is called (fd: passed to the child as is). */
void tb_command_set_stdout_fd(TbCommand *command, int fd);
void tb_command_set_stdout_fn(TbCommand *command, TbOutputFn fn, void *user_data);
/* Captured stdout over this size is a TB_ERROR_LIMIT; default 64 MiB. */
void tb_command_set_stdout_limit(TbCommand *command, size_t bytes);
/* stderr is kept for the error message (last 4 KiB) unless passed on or handled here. */
void tb_command_set_stderr_fd(TbCommand *command, int fd);
void tb_command_set_stderr_fn(TbCommand *command, TbOutputFn fn, void *user_data);
/* The child sees `fd` of ours as `target`. `fd` stays ours. */
void tb_command_pass_fd(TbCommand *command, int fd, int target);
/* Kill after so many seconds (TB_ERROR_TIMEOUT); 0, the default, waits for ever. */
void tb_command_set_timeout(TbCommand *command, unsigned seconds);
/* setrlimit in the child, soft and hard; `resource` as in setrlimit(2). At most 8. */
void tb_command_set_rlimit(TbCommand *command, int resource, uint64_t value);
/* Runs in the child last before exec, after limits. */
void tb_command_set_child_setup(TbCommand *command, TbChildSetup fn, void *data);
/* A normal command ends on tb_interrupt_pending (); this one does not. */
void tb_command_ignore_interrupt(TbCommand *command);

/* The argument vector as one line, quoted for reading. Free with g_free. */
char *tb_command_to_string(const TbCommand *command);

/* Runs to the end. Exit status 0: true, and *out (may be NULL) holds stdout (always followed by a
 * NUL byte that is not counted). Any other end: false; the message names the program, its exit
 * status or signal, and the last lines of its stderr. A program that is not there is a
 * TB_ERROR_DEPENDENCY. */
bool tb_command_run(TbCommand *command, GBytes **out, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same, but exit statuses 0..255 are all given back in *status (signal N: 128 + N). */
bool tb_command_run_status(TbCommand *command, GBytes **out, int *status,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Starts and does not wait; of the three standard descriptors those that are not given are
 * /dev/null (stdin bytes, callbacks and capture do not work). Returns when exec has succeeded.
 * tb_child_free kills the child with SIGKILL and reaps it. */
TbChild *tb_command_start(TbCommand *command, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Not of a child in git's jail, which has no number that means anything here. */
pid_t tb_child_pid(const TbChild *child);
/* True when it has ended; *status as of waitpid(2) when not NULL. Does not block. */
bool tb_child_poll(TbChild *child, int *wait_status);
/* Waits up to `milliseconds` (-1: for ever). True when it has ended. */
bool tb_child_wait(TbChild *child, int milliseconds, int *wait_status);
/* To the whole process group; nothing when the child has ended. In git's jail every signal is
 * SIGKILL. */
void tb_child_kill(TbChild *child, int signal);
/* False, with an error, when the child has ended and nobody could say how: the jail that it was in
 * is gone. */
bool tb_child_check_lost(const TbChild *child, const char *label, GError **error);
void tb_child_free(TbChild *child);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbChild, tb_child_free)
