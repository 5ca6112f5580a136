/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run/front.h"

#include <string.h>
#include <unistd.h>

#include "util/error.h"

bool tb_front_possible(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

const char *const *tb_front_env(TbFront *front, const char *const *env)
{
    const char *term = tb_terminal_name();
    const char *colours = g_getenv("COLORTERM");
    g_strfreev(front->env);
    front->env = env ? g_strdupv((char **)(uintptr_t)env) : g_new0(char *, 1);
    if (term)
        front->env = g_environ_setenv(front->env, "TERM", term, FALSE);
    if (colours && (strcmp(colours, "truecolor") == 0 || strcmp(colours, "24bit") == 0))
        front->env = g_environ_setenv(front->env, "COLORTERM", colours, FALSE);
    return (const char *const *)front->env;
}

bool tb_front_begin(TbFront *front, TbExec *exec, GError **error)
{
    front->terminal = tb_terminal_take(STDOUT_FILENO, error);
    if (!front->terminal)
        return false;
    tb_terminal_size(STDOUT_FILENO, &exec->rows, &exec->columns);
    return true;
}

bool tb_front_output(TbFront *front, const void *data, size_t length, GError **error)
{
    return tb_terminal_write(front->terminal, data, length, error);
}

bool tb_front_input(TbFront *front, uint8_t *bytes, size_t *length, GError **error)
{
    front->left = tb_terminal_keys(&front->keys, bytes, length);
    return !front->left || tb_error_set(error, TB_ERROR_INTERRUPTED, "left by '~.'");
}

size_t tb_front_poll(const TbFront *front, struct pollfd *fds)
{
    if (!front->terminal || tb_terminal_window_fd() < 0)
        return 0;
    fds[0] = (struct pollfd){.fd = tb_terminal_window_fd(), .events = POLLIN};
    return 1;
}

void tb_front_polled(const TbFront *front, const struct pollfd *fds, TbSession *session)
{
    if (!front->terminal || fds[0].revents == 0)
        return;
    unsigned rows, columns;
    tb_terminal_size(STDOUT_FILENO, &rows, &columns);
    tb_session_window(session, rows, columns);
}

void tb_front_clear(TbFront *front)
{
    g_clear_pointer(&front->terminal, tb_terminal_give_back);
    g_clear_pointer(&front->env, g_strfreev);
}

static bool visit_output(int fd, const uint8_t *data, size_t length, void *user_data,
                         GError **error)
{
    TbVisit *visit = user_data;
    return tb_front_output(&visit->front, data, length, error);
}

static bool visit_input(uint8_t *bytes, size_t *length, void *user_data, GError **error)
{
    TbVisit *visit = user_data;
    return tb_front_input(&visit->front, bytes, length, error);
}

static size_t visit_poll(struct pollfd *fds, void *user_data)
{
    TbVisit *visit = user_data;
    return tb_front_poll(&visit->front, fds);
}

static bool visit_polled(const struct pollfd *fds, size_t count, void *user_data, GError **error)
{
    TbVisit *visit = user_data;
    tb_front_polled(&visit->front, fds, visit->session);
    return true;
}

void tb_visit_handle(TbVisit *visit, TbExecHandlers *handlers)
{
    handlers->output = visit_output;
    handlers->input = visit_input;
    handlers->poll = visit_poll;
    handlers->polled = visit_polled;
    handlers->data = visit;
}

void tb_visit_clear(TbVisit *visit)
{
    tb_front_clear(&visit->front);
    g_clear_pointer(&visit->session, tb_session_free);
}
