/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool tb_fault(TbFault *fault, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    return false;
}

bool tb_fault_errno(TbFault *fault, const char *format, ...)
{
    int err = errno;
    va_list args;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    size_t used = strlen(fault->text);
    snprintf(fault->text + used, sizeof fault->text - used, ": %s", strerror(err));
    errno = err;
    return false;
}

void tb_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

int64_t tb_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void tb_sleep_ms(int ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L};
    nanosleep(&time, NULL);
}

ssize_t tb_read_text(const char *path, char *buffer, size_t size)
{
    tb_auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t have = 0;
    while (have < size - 1) {
        ssize_t n = read(fd, buffer + have, size - 1 - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    buffer[have] = '\0';
    return (ssize_t)have;
}

bool tb_read_whole(const char *path, char *buffer, size_t size, size_t *length, TbFault *fault)
{
    ssize_t n = tb_read_text(path, buffer, size);
    *length = n > 0 ? (size_t)n : 0;
    buffer[*length] = '\0';
    if (n < 0 && errno != ENOENT)
        return tb_fault_errno(fault, "cannot read '%s'", path);
    return *length < size - 1 || tb_fault(fault, "'%s' is too large", path);
}

bool tb_write_full(int fd, const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        ssize_t n = write(fd, at, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

bool tb_write_text(const char *path, const char *text)
{
    tb_auto_fd fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    return fd >= 0 && tb_write_full(fd, text, strlen(text));
}

bool tb_replace_file(const char *path, const void *data, size_t length, mode_t mode, TbFault *fault)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.taskbox", path) >= (int)sizeof temporary)
        return tb_fault(fault, "path too long: %.100s", path);
    unlink(temporary);
    tb_auto_fd fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 && tb_write_full(fd, data, length) && fchmod(fd, mode) == 0 &&
        rename(temporary, path) == 0)
        return true;
    int saved = errno;
    unlink(temporary);
    errno = saved;
    return tb_fault_errno(fault, "cannot write '%s'", path);
}

bool tb_make_dirs(const char *path, mode_t mode)
{
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof part) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return false;
        if (i < length)
            part[i] = '/';
    }
    return true;
}

static void exec_quiet(const char *const *argv)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

int tb_run_program(const char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0)
        exec_quiet(argv);
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool tb_is_entry(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

void tb_remove_all(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0)
        return;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (tb_is_entry(entry->d_name))
            tb_remove_all(fd, entry->d_name);
    if (dir)
        closedir(dir);
    else
        tb_close(&fd);
    unlinkat(parent, name, AT_REMOVEDIR);
}
