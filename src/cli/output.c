/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/output.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli/pager.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/log.h"

#define MAX_UTF8 4

struct TbScreen {
    int fd;
    bool escapes;
    bool gone;           /* nobody reads any more */
    bool after_return;   /* the last byte shown was a carriage return */
    char held[MAX_UTF8]; /* the beginning of a character */
    size_t n_held;
};

static TbScreen *screen_new(int fd, bool escapes)
{
    TbScreen *screen = g_new0(TbScreen, 1);
    screen->fd = fd;
    screen->escapes = escapes;
    return screen;
}

TbScreen *tb_screen_new(int fd)
{
    return screen_new(fd, tb_shown_on_terminal(fd));
}

TbScreen *tb_screen_new_escaping(int fd)
{
    return screen_new(fd, true);
}

/* A descriptor we were given may not block. */
static bool wait_writable(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    return poll(&poller, 1, -1) >= 0 || errno == EINTR;
}

static bool put(TbScreen *screen, const char *data, size_t length, GError **error)
{
    while (length > 0 && !screen->gone) {
        ssize_t written = write(screen->fd, data, length);
        if (written < 0 && (errno == EINTR || (errno == EAGAIN && wait_writable(screen->fd))))
            continue;
        if (written < 0 && errno == EPIPE) {
            screen->gone = true;
        } else if (written < 0) {
            return tb_error_set_errno(error, errno, "cannot write to %s",
                                      screen->fd == STDERR_FILENO ? "stderr" : "stdout");
        } else {
            data += written;
            length -= (size_t)written;
        }
    }
    return true;
}

/* How many bytes at the end begin a character that is not complete. */
static size_t incomplete_tail(const char *data, size_t length)
{
    for (size_t back = 1; back < MAX_UTF8 && back <= length; back++) {
        unsigned char byte = (unsigned char)data[length - back];
        if ((byte & 0xc0) == 0x80)
            continue;
        size_t needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        return needs > back ? back : 0;
    }
    return 0;
}

/* "\r\n" and "\r" become "\n". */
static char *with_newlines(TbScreen *screen, const char *data, size_t length, size_t *out_length)
{
    char *out = g_malloc(length + 1);
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (!(data[i] == '\n' && screen->after_return))
            out[n++] = data[i] == '\r' ? '\n' : data[i];
        screen->after_return = data[i] == '\r';
    }
    *out_length = n;
    return out;
}

static bool put_escaped(TbScreen *screen, const char *data, size_t length, GError **error)
{
    size_t n = 0;
    g_autofree char *lines = with_newlines(screen, data, length, &n);
    g_autofree char *text = tb_escape_terminal(lines, n, true);
    return put(screen, text, strlen(text), error);
}

bool tb_screen_write(TbScreen *screen, const void *data, size_t length, GError **error)
{
    tb_status_done();
    if (!screen->escapes)
        return put(screen, data, length, error);
    g_autoptr(GByteArray) all = g_byte_array_new();
    g_byte_array_append(all, (const guint8 *)screen->held, (guint)screen->n_held);
    g_byte_array_append(all, data, (guint)length);
    screen->n_held = incomplete_tail((const char *)all->data, all->len);
    size_t shown = all->len - screen->n_held;
    if (screen->n_held)
        memcpy(screen->held, all->data + shown, screen->n_held);
    return put_escaped(screen, (const char *)all->data, shown, error);
}

static bool put_held(TbScreen *screen, GError **error)
{
    size_t length = screen->n_held;
    screen->n_held = 0;
    return length == 0 || put_escaped(screen, screen->held, length, error);
}

bool tb_screen_colour(TbScreen *screen, const char *sequence, GError **error)
{
    return *sequence == '\0' ||
           (put_held(screen, error) && put(screen, sequence, strlen(sequence), error));
}

void tb_screen_free(TbScreen *screen)
{
    if (!screen)
        return;
    put_held(screen, NULL);
    g_free(screen);
}

bool tb_screens_write(TbScreens *screens, int fd, const void *data, size_t length, GError **error)
{
    bool out = fd != STDERR_FILENO && screens->out;
    return tb_screen_write(out ? screens->out : screens->err, data, length, error);
}

void tb_screens_clear(TbScreens *screens)
{
    g_clear_pointer(&screens->out, tb_screen_free);
    g_clear_pointer(&screens->err, tb_screen_free);
}

bool tb_print(const char *text, GError **error)
{
    tb_status_done();
    TbScreen screen = {.fd = STDOUT_FILENO};
    return put(&screen, text, strlen(text), error);
}

bool tb_print_format(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    return tb_print(text, error);
}

char *tb_error_json(const GError *error)
{
    g_autofree char *message = g_utf8_make_valid(error->message, -1);
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "status");
    json_builder_add_string_value(json, "failed");
    json_builder_set_member_name(json, "error");
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "class");
    json_builder_add_string_value(json, tb_error_code_name(tb_error_code(error)));
    json_builder_set_member_name(json, "message");
    json_builder_add_string_value(json, message);
    json_builder_end_object(json);
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    return json_to_string(root, FALSE);
}

char *tb_age_format(int64_t since_ms)
{
    static const struct {
        int64_t seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
    int64_t age = (g_get_real_time() / 1000 - since_ms) / 1000;
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
        if (age >= units[i].seconds)
            return g_strdup_printf("%" G_GINT64_FORMAT " %s", age / units[i].seconds,
                                   units[i].unit);
    return g_strdup("now");
}

const char *tb_file_kind(const TbPatchFile *file)
{
    if (!file->old_mode)
        return "A";
    if (!file->new_mode)
        return "D";
    return "M";
}

char *tb_stat_format(const TbPatchStat *stat)
{
    if (stat->files == 0)
        return g_strdup("no changes");
    return g_strdup_printf("%u file%s, +%" G_GUINT64_FORMAT " -%" G_GUINT64_FORMAT, stat->files,
                           stat->files == 1 ? "" : "s", stat->added, stat->removed);
}
