/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The builder: it only remembers. command-child.c starts, command-run.c moves the bytes. */
#include "util/command.h"
#include "util/command-private.h"

#include <string.h>

#include "util/escape.h"

#define DEFAULT_STDOUT_LIMIT ((size_t)64 << 20)
#define LABEL_WORD_MAX       32

TbCommand *tb_command_new(const char *program)
{
    TbCommand *command = g_new0(TbCommand, 1);
    command->program = g_strdup(program);
    command->argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(command->argv, g_strdup(program));
    command->env = g_get_environ();
    command->stdin_fd = command->stdout_fd = command->stderr_fd = -1;
    command->stdout_limit = DEFAULT_STDOUT_LIMIT;
    command->passed = g_array_new(FALSE, FALSE, sizeof(FdMapping));
    return command;
}

void tb_command_free(TbCommand *command)
{
    if (!command)
        return;
    g_free(command->program);
    g_ptr_array_unref(command->argv);
    g_strfreev(command->env);
    g_free(command->cwd);
    g_clear_pointer(&command->stdin_bytes, g_bytes_unref);
    g_array_unref(command->passed);
    g_free(command);
}

void tb_command_add(TbCommand *command, ...)
{
    va_list args;
    va_start(args, command);
    const char *arg;
    while ((arg = va_arg(args, const char *)))
        g_ptr_array_add(command->argv, g_strdup(arg));
    va_end(args);
}

void tb_command_add_format(TbCommand *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_ptr_array_add(command->argv, g_strdup_vprintf(format, args));
    va_end(args);
}

void tb_command_add_strv(TbCommand *command, const char *const *argv)
{
    for (; argv && *argv; argv++)
        g_ptr_array_add(command->argv, g_strdup(*argv));
}

void tb_command_env_clear(TbCommand *command)
{
    g_strfreev(command->env);
    command->env = g_new0(char *, 1);
}

void tb_command_setenv(TbCommand *command, const char *name, const char *value)
{
    command->env = g_environ_setenv(command->env, name, value, TRUE);
}

void tb_command_unsetenv(TbCommand *command, const char *name)
{
    command->env = g_environ_unsetenv(command->env, name);
}

void tb_command_set_cwd(TbCommand *command, const char *path)
{
    g_free(command->cwd);
    command->cwd = g_strdup(path);
}

void tb_command_set_stdin_bytes(TbCommand *command, const void *data, size_t length)
{
    g_clear_pointer(&command->stdin_bytes, g_bytes_unref);
    command->stdin_bytes = g_bytes_new(data, length);
}

void tb_command_set_stdin_fn(TbCommand *command, TbInputFn fn, void *user_data)
{
    command->stdin_fn = fn;
    command->stdin_data = user_data;
}

void tb_command_set_stdin_fd(TbCommand *command, int fd)
{
    command->stdin_fd = fd;
}

void tb_command_set_stdout_fd(TbCommand *command, int fd)
{
    command->stdout_fd = fd;
}

void tb_command_set_stdout_fn(TbCommand *command, TbOutputFn fn, void *user_data)
{
    command->stdout_fn = fn;
    command->stdout_data = user_data;
}

void tb_command_set_stdout_limit(TbCommand *command, size_t bytes)
{
    command->stdout_limit = bytes;
}

void tb_command_set_stderr_fd(TbCommand *command, int fd)
{
    command->stderr_fd = fd;
}

void tb_command_set_stderr_fn(TbCommand *command, TbOutputFn fn, void *user_data)
{
    command->stderr_fn = fn;
    command->stderr_data = user_data;
}

void tb_command_pass_fd(TbCommand *command, int fd, int target)
{
    FdMapping mapping = {.source = fd, .target = target};
    g_array_append_val(command->passed, mapping);
}

void tb_command_set_timeout(TbCommand *command, unsigned seconds)
{
    command->timeout = seconds;
}

void tb_command_set_rlimit(TbCommand *command, int resource, uint64_t value)
{
    g_assert(command->n_limits < MAX_LIMITS);
    command->limits[command->n_limits].resource = resource;
    command->limits[command->n_limits++].value = value;
}

void tb_command_set_child_setup(TbCommand *command, TbChildSetup fn, void *data)
{
    command->setup = fn;
    command->setup_data = data;
}

void tb_command_ignore_interrupt(TbCommand *command)
{
    command->ignore_interrupt = true;
}

static bool needs_quotes(const char *arg)
{
    return *arg == '\0' || arg[strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789%+,-./:=@_^")] != '\0';
}

char *tb_command_to_string(const TbCommand *command)
{
    g_autoptr(GString) line = g_string_new(NULL);
    for (guint i = 0; i < command->argv->len; i++) {
        const char *arg = command->argv->pdata[i];
        g_autofree char *quoted = needs_quotes(arg) ? g_shell_quote(arg) : g_strdup(arg);
        g_string_append_printf(line, "%s%s", i > 0 ? " " : "", quoted);
    }
    return tb_escape_terminal(line->str, line->len, false);
}

/* git's global options that take the next word: what follows them is no subcommand. */
static bool takes_a_value(const char *arg)
{
    static const char *const options[] = {"-c", "-C", "--git-dir", "--work-tree", NULL};
    return g_strv_contains(options, arg);
}

static bool is_plain_word(const char *arg)
{
    size_t length = strspn(arg, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return g_ascii_islower(arg[0]) && arg[length] == '\0' && length <= LABEL_WORD_MAX;
}

char *tb_command_label(const TbCommand *command)
{
    g_autofree char *base = g_path_get_basename(command->program);
    g_autofree char *name = tb_escape_name(base);
    for (guint i = 1; i < command->argv->len; i++) {
        const char *arg = command->argv->pdata[i];
        if (takes_a_value(arg))
            i++;
        else if (is_plain_word(arg))
            return g_strdup_printf("%s %s", name, arg);
        else if (arg[0] != '-')
            break;
    }
    return g_steal_pointer(&name);
}
