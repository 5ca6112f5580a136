/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each message is one write(2), so that lines of several programs on one stderr do not mix. All
 * text is escaped on its way out: the last door before the terminal.
 */
#include "util/log.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/escape.h"

#define DEFAULT_COLUMNS 80

static GMutex lock;
static TbLogLevel current = TB_LOG_NORMAL;
static bool level_was_set;
static bool status_shown;
static char *last_status;

void tb_log_set_level(TbLogLevel level)
{
    current = level;
    level_was_set = true;
}

TbLogLevel tb_log_level(void)
{
    static gsize once;
    static bool debug;
    if (g_once_init_enter(&once)) {
        const char *value = g_getenv("TASKBOX_DEBUG");
        debug = value && *value != '\0' && strcmp(value, "0") != 0;
        g_once_init_leave(&once, 1);
    }
    return debug && (!level_was_set || current > TB_LOG_QUIET) ? TB_LOG_DEBUG : current;
}

static void write_stderr(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written <= 0)
            return; /* nobody to tell */
        text += written;
        length -= (size_t)written;
    }
}

static bool is_live_terminal(void)
{
    const char *term = g_getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static void erase_status(GString *out)
{
    if (status_shown)
        g_string_append(out, "\r\033[K");
    status_shown = false;
}

G_GNUC_PRINTF(2, 0)
static void print_line(const char *prefix, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    g_autofree char *safe = tb_escape_terminal(text, strlen(text), true);
    g_autoptr(GString) out = g_string_new(NULL);
    g_mutex_lock(&lock);
    erase_status(out);
    g_string_append_printf(out, "taskbox: %s%s\n", prefix, safe);
    write_stderr(out->str, out->len);
    g_mutex_unlock(&lock);
}

void tb_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line("warning: ", format, args);
    va_end(args);
}

void tb_info(const char *format, ...)
{
    if (tb_log_level() < TB_LOG_NORMAL)
        return;
    va_list args;
    va_start(args, format);
    print_line("", format, args);
    va_end(args);
}

void tb_verbose(const char *format, ...)
{
    if (tb_log_level() < TB_LOG_VERBOSE)
        return;
    va_list args;
    va_start(args, format);
    print_line("", format, args);
    va_end(args);
}

void tb_debug(const char *format, ...)
{
    if (tb_log_level() < TB_LOG_DEBUG)
        return;
    va_list args;
    va_start(args, format);
    print_line("debug: ", format, args);
    va_end(args);
}

/* A line that wraps could not be erased: cut it one column short of the terminal. */
static void cut_to_terminal(char *text)
{
    struct winsize size = {0};
    long columns = DEFAULT_COLUMNS;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        columns = size.ws_col;
    if (g_utf8_strlen(text, -1) >= columns)
        *g_utf8_offset_to_pointer(text, columns - 1) = '\0';
}

void tb_status(const char *format, ...)
{
    if (tb_log_level() < TB_LOG_NORMAL)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *safe = tb_escape_name(text);
    g_autofree char *line = g_strconcat("taskbox: ", safe, NULL);
    g_autoptr(GString) out = g_string_new(NULL);
    g_mutex_lock(&lock);
    if (is_live_terminal()) {
        erase_status(out);
        cut_to_terminal(line);
        g_string_append(out, line);
        status_shown = true;
    } else if (g_strcmp0(line, last_status) != 0) {
        g_string_append_printf(out, "%s\n", line);
    }
    g_free(last_status);
    last_status = g_steal_pointer(&line);
    write_stderr(out->str, out->len);
    g_mutex_unlock(&lock);
}

void tb_status_done(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_mutex_lock(&lock);
    erase_status(out);
    g_clear_pointer(&last_status, g_free);
    write_stderr(out->str, out->len);
    g_mutex_unlock(&lock);
}
