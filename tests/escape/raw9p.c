/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * raw9p MARK: the box's root speaks 9P2000.L to QEMU itself, which shares the project. As the first
 * program of a kernel (init) it needs nothing else of that: no module, no file system, no shell.
 *
 * Lines of the answer: "spoke" and "found" when the project can be read; "READ: WHAT" when MARK
 * came back, which lies outside of what is shared; "LEFT: WHAT" when a name led out of it; "WROTE:
 * WHAT" when a change was acknowledged; "asked" when all that was tried; "done" after the nonsense.
 * That QEMU is gone by then is fine.
 */
#include "p9.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *mark;

/* ---- reading */

static uint64_t root_qid;

static void look(uint32_t fid, const char *what)
{
    /* In the jail, and in no project of this case's. */
    static const char *const outside[] = {"outside", "usr", "image", "vm", "lv", "etc", "proc"};
    for (size_t i = 0; i < COUNT(outside); i++) {
        if (p9_walk(fid, OTHER, outside[i], NULL) != 0)
            continue;
        device_say("LEFT: '%s' is there below '%.40s'\n", outside[i], what);
        p9_drop(OTHER);
    }
    p9_read(fid, O_RDONLY);
    if (p9_answer_has(mark))
        device_say("READ: %.40s\n", what);
}

/* No name with a slash is one; '..' ends at the root. */
static void lead_out_by_names(void)
{
    static char long_name[3000];
    memset(long_name, 'a', sizeof long_name - 1);
    static const char *const none[] = {"",       "/",           "../outside", "../../etc/passwd",
                                       "/etc",   "/etc/passwd", "dir/inner",  "dir/../../outside",
                                       "./text", "..//",        "../",        long_name};
    uint64_t qid = 0;
    look(ROOT, "the root");
    for (size_t i = 0; i < COUNT(none); i++) {
        if (p9_walk(ROOT, AT, none[i], NULL) != 0)
            continue;
        device_say("LEFT: '%.40s' is a name\n", none[i]);
        look(AT, none[i]);
        p9_drop(AT);
    }
    static const char *const same[] = {"..", ".", "..\0/../outside"};
    for (size_t i = 0; i < COUNT(same); i++) {
        if (p9_walk(ROOT, AT, same[i], &qid) != 0)
            continue;
        if (qid != root_qid)
            device_say("LEFT: '%s' of the root is not the root\n", same[i]);
        look(AT, same[i]);
        p9_drop(AT);
    }
    if (p9_ask(TWALK, "ddwsssss", ROOT, AT, 5, "dir", "..", "..", "..", "..") == 0) {
        look(AT, "dir/../../../..");
        p9_drop(AT);
    }
    if (p9_ask(TWALK, "ddwS", ROOT, AT, 1, "..\0/../outside", 14) == 0) {
        look(AT, "'..' and a NUL");
        p9_drop(AT);
    }
}

/* Each that anybody attaches is the same root. */
static void lead_out_by_attaching(void)
{
    static const char *const names[] = {"", "/", "..", "../..", "/etc", "../outside", "project"};
    static const uint32_t uids[] = {0, 1000, 65534, NO_FID};
    for (size_t i = 0; i < COUNT(names) * COUNT(uids); i++) {
        const char *name = names[i % COUNT(names)];
        if (p9_ask(TATTACH, "ddssd", AT, NO_FID, i & 1 ? "root" : "../..", name,
                   uids[i / COUNT(names)]) != 0)
            continue;
        if (p9_get(P9_QID_PATH, 8) != root_qid)
            device_say("LEFT: attached to '%s', which is not the root\n", name);
        if (i < COUNT(names))
            look(AT, name);
        p9_drop(AT);
    }
}

/* Links are the box's to follow, never QEMU's. */
static void lead_out_by_links(void)
{
    static const char *const links[] = {"out",    "absolute", "up",    "jail",
                                        "passwd", "self",     "inward"};
    for (size_t i = 0; i < COUNT(links); i++) {
        if (p9_walk(ROOT, AT, links[i], NULL) != 0) {
            device_say("cannot: find the link '%s'\n", links[i]);
            continue;
        }
        look(AT, links[i]);
        static const uint32_t flags[] = {O_RDONLY, O_RDONLY | O_DIRECTORY, O_RDWR, 010000000};
        for (size_t k = 0; k < COUNT(flags); k++)
            if (p9_read(AT, flags[k]))
                device_say("LEFT: the link '%s' was opened\n", links[i]);
        static const char *const below[] = {"passwd", "inner", "..", "."};
        for (size_t k = 0; k < COUNT(below) - 2; k++)
            if (p9_walk(AT, OTHER, below[k], NULL) == 0) {
                device_say("LEFT: '%s' is there behind the link '%s'\n", below[k], links[i]);
                p9_drop(OTHER);
            }
        p9_drop(AT);
    }
}

/* Of .git the box gets a copy without credentials; what is shared has none at all. */
static void read_git(void)
{
    static const char *const files[] = {".git/config",        ".git/HEAD",
                                        "nested/.git/config", ".git/hooks/post-commit",
                                        ".git/logs/HEAD",     ".git/credentials"};
    for (size_t i = 0; i < COUNT(files); i++) {
        if (p9_walk_path(AT, files[i]) != 0)
            continue;
        device_say("READ: %s is there\n", files[i]);
        look(AT, files[i]);
        p9_drop(AT);
    }
}

/* Numbers that are no file's any more, or never were; counts and places beyond all. */
static void read_by_numbers(void)
{
    if (p9_walk_path(AT, "text") == 0 && p9_ask(TLOPEN, "dd", AT, O_RDONLY) == 0) {
        static const uint32_t counts[] = {0, 4096, 65536, INT32_MAX, UINT32_MAX};
        static const uint64_t places[] = {0, UINT64_C(1) << 32, INT64_MAX, UINT64_MAX};
        for (size_t i = 0; i < COUNT(counts) * COUNT(places); i++) {
            p9_ask(TREAD, "dqd", AT, places[i / COUNT(counts)], counts[i % COUNT(counts)]);
            p9_ask(TREADDIR, "dqd", AT, places[i / COUNT(counts)], counts[i % COUNT(counts)]);
        }
        p9_drop(AT);
        if (p9_ask(TREAD, "dqd", AT, UINT64_C(0), 64) == 0)
            device_say("READ: by a fid that was given back\n");
    }
    for (uint32_t fid = FIRST_FREE; fid < 40; fid++)
        if (p9_ask(TREAD, "dqd", fid, UINT64_C(0), 64) == 0)
            device_say("READ: by a fid that is none\n");
    static const char *const attributes[] = {"",
                                             "user.mine",
                                             "../../outside",
                                             "security.capability",
                                             "system.posix_acl_access",
                                             "user.virtfs.uid"};
    for (size_t i = 0; i < COUNT(attributes) && p9_walk_path(AT, "text") == 0; i++) {
        if (p9_ask(TXATTRWALK, "dds", AT, OTHER, attributes[i]) == 0) {
            p9_ask(TREAD, "dqd", OTHER, UINT64_C(0), UINT32_MAX);
            p9_ask(TREAD, "dqd", OTHER, UINT64_C(1) << 40, 64);
            if (p9_answer_has(mark))
                device_say("READ: by an attribute\n");
            p9_drop(OTHER);
        }
        p9_drop(AT);
    }
}

/* ---- writing */

static void expect_refusal(int error, const char *what)
{
    if (error == 0)
        device_say("WROTE: %s\n", what);
}

static void write_file(const char *path)
{
    static const uint32_t ways[] = {
        O_RDWR, O_WRONLY, O_WRONLY | O_APPEND, O_RDONLY | O_TRUNC, O_RDWR | O_CREAT, 3};
    for (size_t i = 0; i < COUNT(ways); i++) {
        if (p9_walk_path(AT, path) != 0)
            return;
        int error = p9_ask(TLOPEN, "dd", AT, ways[i]);
        if (error == 0)
            device_say("WROTE: %s was opened with %x\n", path, ways[i]);
        expect_refusal(p9_ask(TWRITE, "dqds", AT, UINT64_C(0), 4, "me"), path);
        p9_drop(AT);
    }
    if (p9_walk_path(AT, path) == 0 && p9_ask(TLOPEN, "dd", AT, O_RDONLY) == 0)
        expect_refusal(p9_ask(TWRITE, "dqds", AT, UINT64_C(0), 4, "me"),
                       "a file opened to be read");
    p9_drop(AT);
}

/* Made in AT, a directory; by names of all kinds. */
static void make_all(const char *where)
{
    static const char *const names[] = {
        "made", "../made", "dir/made", "../.git/hooks/pre-commit", "..", "/made", "../../vm/made"};
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *name = names[i];
        char what[120];
        snprintf(what, sizeof what, "%s in %s", name, where);
        if (p9_ask(TWALK, "ddw", AT, OTHER, 0) == 0) {
            expect_refusal(p9_ask(TLCREATE, "dsddd", OTHER, name, O_RDWR, 06755, 0), what);
            p9_drop(OTHER);
        }
        expect_refusal(p9_ask(TMKDIR, "dsdd", AT, name, 0777, 0), what);
        expect_refusal(p9_ask(TSYMLINK, "dssd", AT, name, "/etc", 0), what);
        expect_refusal(p9_ask(TMKNOD, "dsdddd", AT, name, S_IFBLK | 0666, 8, 0, 0), what);
        expect_refusal(p9_ask(TMKNOD, "dsdddd", AT, name, S_IFCHR | 0666, 1, 1, 0), what);
        expect_refusal(p9_ask(TMKNOD, "dsdddd", AT, name, S_IFIFO | 0666, 0, 0, 0), what);
        expect_refusal(p9_ask(TMKNOD, "dsdddd", AT, name, S_IFSOCK | 0666, 0, 0, 0), what);
        if (p9_ask(TWALK, "ddw", AT, OTHER, 0) == 0) {
            expect_refusal(p9_ask(TCREATE, "dsdbs", OTHER, name, 0666, 2, ""), what);
            p9_drop(OTHER);
        }
        if (p9_walk(AT, OTHER, name, NULL) == 0) { /* through what was made */
            if (strcmp(name, "..") != 0)
                look(OTHER, name);
            p9_drop(OTHER);
        }
    }
}

/* AT is 'text'. */
static void change_text(void)
{
    static const char *const targets[] = {"hard", "../hard", "dir/hard", ".git/hooks/pre-push"};
    for (size_t i = 0; i < COUNT(targets); i++) {
        expect_refusal(p9_ask(TLINK, "dds", ROOT, AT, targets[i]), "link");
        expect_refusal(p9_ask(TRENAME, "dds", AT, ROOT, targets[i]), "rename");
        expect_refusal(p9_ask(TRENAMEAT, "dsds", ROOT, "tool", ROOT, targets[i]), "renameat");
    }
    expect_refusal(p9_ask(TRENAMEAT, "dsds", ROOT, "../outside", ROOT, "made"),
                   "renameat, from out");
    static const char *const gone[] = {"text", "../outside", "empty", "dir/inner", ".git", ".."};
    for (size_t i = 0; i < COUNT(gone); i++) {
        expect_refusal(p9_ask(TUNLINKAT, "dsd", ROOT, gone[i], 0), "unlinkat");
        expect_refusal(p9_ask(TUNLINKAT, "dsd", ROOT, gone[i], 0x200), "unlinkat of a directory");
    }
    static const struct {
        uint32_t valid, mode, id;
        const char *what;
    } sets[] = {{1, S_IFREG | 06777, 0, "chmod, setuid"},
                {2, 0, 0, "chown"},
                {4, 0, 0, "chgrp"},
                {8, 0, 0, "truncate"},
                {0x20, 0, 0, "utimes"},
                {0x1ff, 04777, 0, "all of setattr"}};
    for (size_t i = 0; i < COUNT(sets); i++)
        expect_refusal(p9_ask(TSETATTR, "ddddd" /* size, times */ "qqqqq", AT, sets[i].valid,
                              sets[i].mode, sets[i].id, sets[i].id, UINT64_C(0), UINT64_C(1),
                              UINT64_C(0), UINT64_C(1), UINT64_C(0)),
                       sets[i].what);
    if (p9_ask(TXATTRCREATE, "dsqd", AT, "user.mine", UINT64_C(2), 0) == 0) {
        p9_ask(TWRITE, "dqds", AT, UINT64_C(0), 4, "me");
        expect_refusal(p9_ask(TCLUNK, "d", AT), "setxattr");
        if (p9_walk_path(AT, "text") != 0)
            return;
    }
    expect_refusal(p9_ask(TREMOVE, "d", AT), "remove");
    p9_drop(AT);
}

static void change(void)
{
    static const char *const files[] = {"text", "tool", "dir/inner", ".git/config",
                                        ".git/hooks/post-commit"};
    static const char *const folders[] = {"", "dir", ".git", ".git/hooks"};
    for (size_t i = 0; i < COUNT(files); i++)
        write_file(files[i]);
    for (size_t i = 0; i < COUNT(folders); i++) {
        if (*folders[i] ? p9_walk_path(AT, folders[i]) : p9_ask(TWALK, "ddw", ROOT, AT, 0))
            continue;
        make_all(*folders[i] ? folders[i] : "the root");
        p9_drop(AT);
    }
    if (p9_walk_path(AT, "text") == 0)
        change_text();
}

/* ---- nonsense */

/* Afterwards it must be there again, or not at all. */
static void talk_nonsense(void)
{
    static const uint32_t sizes[] = {0, 1, 6, 8, 4096, 4097, 65536, INT32_MAX, UINT32_MAX};
    srandom(1);
    for (size_t i = 0; i < COUNT(sizes); i++)
        if (p9_send(TGETATTR, 64, sizes[i], 50) == P9_NO_ANSWER)
            p9_speak();
    p9_ask(TWALK, "ddw", ROOT, AT, 0xffff);
    p9_ask(TWALK, "ddwS", ROOT, AT, 1, "text", 0xffff);
    p9_ask(TWALK, "ddwssssssssssssssssss", ROOT, AT, 18, ".", ".", ".", ".", ".", ".", ".", ".",
           ".", ".", ".", ".", ".", ".", ".", ".", ".", ".");
    p9_ask(TFLUSH, "w", 7);
    p9_ask(TLOCK, "dbdqqds", ROOT, 1, 0, UINT64_C(0), UINT64_MAX, 1, "x");
    p9_ask(TVERSION, "ds", 4, "9P2000.L");
    p9_ask(TVERSION, "ds", UINT32_MAX, "9P2000.L");
    p9_speak();
    for (unsigned i = 0; i < 140; i++) {
        size_t length = P9_HEAD + (size_t)random() % 200;
        for (size_t k = P9_HEAD; k < length; k++)
            p9_request[k] = (uint8_t)(random() & (i & 1 ? 0xff : 3));
        uint8_t type = i < 128 ? (uint8_t)i : (uint8_t)random();
        if (p9_send(type, length, (uint32_t)length, 30) == P9_NO_ANSWER)
            p9_speak();
        if (p9_answer_has(mark))
            device_say("READ: by noise\n");
    }
}

static void attack(void)
{
    p9_take();
    if (p9_ask(TATTACH, "ddssd", AT, NO_FID, "root", "/", 0) == 0)
        root_qid = p9_get(P9_QID_PATH, 8);
    p9_drop(AT);
    device_say("spoke\n");
    if (p9_walk_path(AT, "dir/inner") == 0 && p9_read(AT, O_RDONLY) && p9_answer_has("inner"))
        device_say("found\n");
    p9_drop(AT);
    lead_out_by_names();
    lead_out_by_attaching();
    lead_out_by_links();
    read_git();
    read_by_numbers();
    change();
    device_say("asked\n");
    sleep(1); /* until that is out: what follows may end QEMU */
    talk_nonsense();
    device_lie(0, p9_request, p9_answer, p9_speak);
    device_say("done\n");
}

/* As init: a console, and then no machine any more, however the attack ends. */
static void be_init(void)
{
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);
    for (int i = 0; fd >= 0 && i < 3; i++)
        dup2(fd, i);
    pid_t child = fork();
    if (child == 0)
        return;
    waitpid(child, NULL, 0);
    sleep(1); /* the console is emulated: let the last line out */
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    if (getpid() == 1)
        be_init();
    if (argc != 2)
        return 2;
    mark = argv[1];
    attack();
    return 0;
}
