/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User "agent" with the uid of the project's owner, written straight into passwd, group and shadow
 * (a static program has no NSS, and the box has no other source of users that matters). Its lines
 * go right behind the first one, root's, so that a uid which the image gave to somebody else, too,
 * still shows as "agent".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/guest.h"

#define NAME "agent"

enum { FILE_SIZE = 256 * 1024 };

/* The nth field of a line with ':' between fields; empty when there is none. */
static void get_field(const char *line, int n, char *out, size_t size)
{
    for (; n > 0; n--) {
        line = strchr(line, ':');
        if (!line) {
            out[0] = '\0';
            return;
        }
        line++;
    }
    snprintf(out, size, "%.*s", (int)strcspn(line, ":\n"), line);
}

static bool is_ours(const char *line)
{
    return strncmp(line, NAME ":", sizeof NAME) == 0;
}

/* Copies the line of "agent" to `found` ("" when there is none). False: file not readable. */
static bool find_line(const char *path, char *text, char *found, size_t size)
{
    found[0] = '\0';
    if (tb_read_text(path, text, FILE_SIZE) < 0)
        return false;
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        if (is_ours(line))
            snprintf(found, size, "%.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    return true;
}

/* `text` without the line of "agent", and with `ours` behind the first line. */
static size_t insert_line(const char *text, const char *ours, char *out)
{
    size_t used = 0;
    bool written = false;
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        if (length > 0 && !is_ours(line))
            used += (size_t)sprintf(out + used, "%.*s\n", (int)length, line);
        if (!written && used > 0) {
            used += (size_t)sprintf(out + used, "%s\n", ours);
            written = true;
        }
        line += length + (line[length] == '\n');
    }
    return written ? used : (size_t)sprintf(out, "%s\n", ours);
}

/* Whether `ours` stands in the text where insert_line would put it. */
static bool stands_there(const char *text, const char *ours)
{
    const char *second = text + strcspn(text, "\n");
    size_t length = strlen(ours);
    return *second == '\n' && strncmp(second + 1, ours, length) == 0 && second[1 + length] == '\n';
}

/* Replaces the line of "agent" in a file; a file that is not there is made with `mode`. */
static bool put_line(const char *path, const char *ours, mode_t mode, TbFault *fault)
{
    char *text = calloc(1, FILE_SIZE), *out = calloc(1, FILE_SIZE + 2048);
    struct stat st = {.st_mode = mode};
    size_t length;
    stat(path, &st);
    bool ok = text && out ? tb_read_whole(path, text, FILE_SIZE, &length, fault)
                          : tb_fault(fault, "no memory");
    if (ok && !stands_there(text, ours)) {
        length = insert_line(text, ours, out);
        ok = tb_replace_file(path, out, length, st.st_mode & 07777, fault);
        if (ok && chown(path, st.st_uid, st.st_gid) != 0)
            ok = tb_fault_errno(fault, "cannot set the owner of '%s'", path);
    }
    free(text);
    free(out);
    return ok;
}

static bool chown_tree(int parent, const char *name, uid_t uid, gid_t gid)
{
    if (fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP;
    DIR *dir = fdopendir(fd);
    bool ok = dir != NULL;
    for (struct dirent *entry; ok && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = chown_tree(fd, entry->d_name, uid, gid);
    if (dir)
        closedir(dir);
    else
        tb_close(&fd);
    return ok;
}

static bool settle_home(const TbGuestConfig *config, const TbUser *user, TbFault *fault)
{
    char path[TB_PATH_SIZE];
    snprintf(path, sizeof path, "%s%s", config->root, user->home);
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (!tb_make_dirs(path, 0755))
            return tb_fault_errno(fault, "cannot make '%s'", path);
    } else if (st.st_uid == user->uid && st.st_gid == user->gid) {
        return true;
    }
    return chown_tree(AT_FDCWD, path, user->uid, user->gid) ||
           tb_fault_errno(fault, "cannot give '%s' to the task's user", path);
}

static void choose_home(const TbGuestConfig *config, const char *line, TbUser *user)
{
    char bash[TB_PATH_SIZE];
    get_field(line, 5, user->home, sizeof user->home);
    get_field(line, 6, user->shell, sizeof user->shell);
    snprintf(bash, sizeof bash, "%s/bin/bash", config->root);
    if (user->home[0] != '/' || user->home[1] == '\0')
        strcpy(user->home, "/home/" NAME);
    if (user->shell[0] != '/')
        strcpy(user->shell, access(bash, X_OK) == 0 ? "/bin/bash" : "/bin/sh");
}

/* The group's members stay as they are. */
static bool put_group(const TbGuestConfig *config, uint32_t gid, char *text, TbFault *fault)
{
    char path[TB_PATH_SIZE], line[1024], members[512], ours[1024];
    snprintf(path, sizeof path, "%s/etc/group", config->root);
    find_line(path, text, line, sizeof line);
    get_field(line, 3, members, sizeof members);
    snprintf(ours, sizeof ours, NAME ":x:%u:%s", gid, members);
    return put_line(path, ours, 0644, fault);
}

static bool put_shadow(const TbGuestConfig *config, char *text, TbFault *fault)
{
    char path[TB_PATH_SIZE], line[1024];
    snprintf(path, sizeof path, "%s/etc/shadow", config->root);
    if (find_line(path, text, line, sizeof line) && line[0] != '\0')
        return true;
    return put_line(path, NAME ":*:19000:0:99999:7:::", 0640, fault);
}

bool tb_setup_user(const TbGuestConfig *config, uint32_t uid, uint32_t gid, TbUser *user,
                   TbFault *fault)
{
    char path[TB_PATH_SIZE], line[1024], ours[1024];
    char *text = calloc(1, FILE_SIZE);
    if (!text)
        return tb_fault(fault, "no memory");
    snprintf(path, sizeof path, "%s/etc/passwd", config->root);
    find_line(path, text, line, sizeof line);
    choose_home(config, line, user);
    snprintf(ours, sizeof ours, NAME ":x:%u:%u:AI Agent:%s:%s", uid, gid, user->home, user->shell);
    bool ok = put_line(path, ours, 0644, fault) && put_group(config, gid, text, fault) &&
              put_shadow(config, text, fault);
    free(text);
    user->uid = uid;
    user->gid = gid;
    return ok && settle_home(config, user, fault);
}

static bool has_member(const char *members)
{
    for (const char *at = members; *at;) {
        size_t length = strcspn(at, ",");
        if (length == strlen(NAME) && strncmp(at, NAME, length) == 0)
            return true;
        at += length + (at[length] == ',');
    }
    return false;
}

size_t tb_user_groups(const TbGuestConfig *config, uint32_t gid, gid_t *groups, size_t limit)
{
    static char text[FILE_SIZE];
    char path[TB_PATH_SIZE], members[4096], number[16];
    size_t count = 0;
    groups[count++] = gid;
    snprintf(path, sizeof path, "%s/etc/group", config->root);
    if (tb_read_text(path, text, sizeof text) < 0)
        return count;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line && count < limit;
         line = strtok_r(NULL, "\n", &save)) {
        get_field(line, 3, members, sizeof members);
        get_field(line, 2, number, sizeof number);
        if (has_member(members) && number[0] != '\0')
            groups[count++] = (gid_t)strtoul(number, NULL, 10);
    }
    return count;
}
