/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How root gets into a jail: not as root.
 *
 * A jail without a user namespace is none (root in it changes its own mounts back), so the child
 * becomes a uid that owns nothing on this host before bwrap starts. That uid could not walk root's
 * home, so what the jail shows is first laid out under /tmp, in a mount namespace of the child's
 * own: the rest of the host never sees these mounts and the kernel drops them with the child. That
 * namespace starts as a copy of the host's; what no jail is made of is let go of there at once, or
 * a disk that somebody unmounts while a box runs would stay busy until the box is gone.
 *
 * A file the uid could not read by its mode is shown through an idmapped mount that gives it to
 * the uid, read-only. Only the box directory and the disk of an image build are writable; they
 * belong to the uid.
 *
 * tb_stage_enter runs between fork and exec: system calls only.
 */
#include "vm/jail-private.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/hole.h"

#define MAX_OLD_FILES 65536 /* where close_range(2) is not there */

/* Not in every libc's headers. */
#define TREE_CLONE     1U
#define TREE_RECURSIVE 0x8000U /* AT_RECURSIVE */
#define MOVE_EMPTY     4U      /* MOVE_MOUNT_F_EMPTY_PATH */

/* ---- before the fork */

static bool readable_by(const struct stat *st, const TbJailUser *user)
{
    mode_t need = S_ISDIR(st->st_mode) ? 05 : 04;
    if (st->st_uid == user->uid)
        return true;
    return (st->st_mode & need) == need;
}

static bool add_item(TbStage *stage, const TbJailUser *user, const char *source, bool writable,
                     bool tree, GError **error)
{
    unsigned i = stage->n;
    struct stat st;
    if (stat(source, &st) < 0)
        return tb_error_set_errno(error, errno, "cannot use '%s'", source);
    stage->items[i].source = source;
    stage->items[i].folder = S_ISDIR(st.st_mode);
    stage->items[i].writable = writable;
    stage->items[i].map = stage->items[i].tree = -1;
    snprintf(stage->items[i].target, sizeof stage->items[i].target, "/tmp/%u", i);
    stage->n++;
    /* A shared tree has files of any mode in it. */
    if (!tree && (writable || readable_by(&st, user)))
        return true;
    stage->items[i].map = tb_user_namespace_of(st.st_uid, st.st_gid, user);
    if (stage->items[i].map < 0)
        return tb_error_set_errno(error, errno,
                                  "cannot show '%s' to the jail's user %u (make it readable for "
                                  "all)",
                                  source, (unsigned)user->uid);
    return true;
}

/* What bwrap is started from and makes the jail of. */
static bool is_needed(const char *mount_point, const char *bwrap)
{
    static const char *const needed[] = {"/usr", "/bin",  "/sbin", "/lib", "/lib64",
                                         "/etc", "/proc", "/sys",  "/dev", "/nix"};
    size_t length = strlen(mount_point);
    bool root = length == 1;
    if (root || (bwrap && strncmp(bwrap, mount_point, length) == 0 && bwrap[length] == '/'))
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        size_t stem = strlen(needed[i]);
        if (strncmp(mount_point, needed[i], stem) == 0 &&
            (mount_point[stem] == '/' || mount_point[stem] == '\0'))
            return true;
    }
    return false;
}

/* NULL-terminated, g_strfreev; empty when it cannot be known, which costs nobody's safety. */
static char **find_detached(void)
{
    enum { MOUNT_POINT = 4 };
    g_autofree char *bwrap = g_find_program_in_path("bwrap");
    g_autofree char *text = NULL;
    GPtrArray *list = g_ptr_array_new();
    g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, " ", MOUNT_POINT + 2);
        if (g_strv_length(fields) <= MOUNT_POINT)
            continue;
        g_autofree char *path = g_strcompress(fields[MOUNT_POINT]); /* \040 is a space */
        if (!is_needed(path, bwrap))
            g_ptr_array_add(list, g_steal_pointer(&path));
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}

bool tb_stage_prepare(TbStage *stage, const TbJailUser *user, const TbJailPlan *plan,
                      GError **error)
{
    const TbJailSpec *spec = plan->spec;
    *stage = (TbStage){.uid = user->uid, .gid = user->gid, .host = getpid(), .group = stage->group};
    stage->detached = find_detached();
    struct stat kvm;
    if (spec->kvm && stat("/dev/kvm", &kvm) == 0 && kvm.st_gid != 0) {
        stage->kvm_group = kvm.st_gid;
        stage->has_kvm_group = true;
    }
    if (!add_item(stage, user, spec->dir, !spec->file_server || tb_hole("share-open"),
                  spec->file_server, error) ||
        !add_item(stage, user, plan->vmm, false, false, error))
        return false;
    for (unsigned i = 0; i < spec->n_binds; i++) {
        const TbJailBind *bind = &spec->binds[i];
        bool tree = g_file_test(bind->source, G_FILE_TEST_IS_DIR);
        if (!add_item(stage, user, bind->source, bind->writable, tree, error))
            return false;
    }
    return true;
}

void tb_stage_clear(TbStage *stage)
{
    for (unsigned i = 0; i < stage->n; i++)
        tb_clear_fd(&stage->items[i].map);
    g_clear_pointer(&stage->detached, g_strfreev);
}

/* ---- after it */

static int open_items(TbStage *stage)
{
    for (unsigned i = 0; i < stage->n; i++) {
        int tree = (int)syscall(SYS_open_tree, AT_FDCWD, stage->items[i].source,
                                TREE_CLONE | (unsigned)O_CLOEXEC);
        if (tree < 0)
            return -1;
        struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
        if (!stage->items[i].writable)
            attributes.attr_set |= MOUNT_ATTR_RDONLY;
        if (stage->items[i].map >= 0) {
            attributes.attr_set |= MOUNT_ATTR_IDMAP;
            attributes.userns_fd = (uint64_t)stage->items[i].map;
        }
        if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
            return -1;
        stage->items[i].tree = tree;
    }
    return 0;
}

/* One that is below another is gone with it: what fails here was done. */
static void detach_others(const TbStage *stage)
{
    for (char **path = stage->detached; *path; path++)
        umount2(*path, MNT_DETACH | UMOUNT_NOFOLLOW);
}

static int place_items(const TbStage *stage)
{
    for (unsigned i = 0; i < stage->n; i++) {
        const char *target = stage->items[i].target;
        if (stage->items[i].folder ? mkdir(target, 0755) < 0 : mknod(target, S_IFREG | 0444, 0) < 0)
            return -1;
        if (syscall(SYS_move_mount, stage->items[i].tree, "", AT_FDCWD, target, MOVE_EMPTY) < 0)
            return -1;
    }
    return 0;
}

/* ---- the guard */

static void close_all(void)
{
    if (syscall(SYS_close_range, 0U, ~0U, 0U) == 0)
        return;
    for (int fd = 0; fd < MAX_OLD_FILES; fd++)
        close(fd);
}

static _Noreturn void guard(pid_t jail, const sigset_t *signals)
{
    prctl(PR_SET_NAME, "taskbox-guard");
    close_all();
    for (;;) {
        int status = 0;
        if (sigwaitinfo(signals, NULL) == SIGTERM)
            kill(0, SIGKILL);
        if (waitpid(jail, &status, WNOHANG) == jail)
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
}

/*
 * Forks: the child goes on to become bwrap, the parent stays as the leader of their process group.
 * When taskbox dies the kernel tells it, and it kills the group. bwrap alone is not enough: killed
 * right after it has made its own child, it leaves that one waiting for ever. A moment later the
 * child has left the group, but then nothing holds it up and taskbox-vmm sees that the host is
 * gone.
 */
static int stand_guard(pid_t host)
{
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &signals, &before) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 ||
        getppid() != host)
        return -1;
    pid_t self = getpid();
    pid_t jail = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (jail > 0)
        guard(jail, &signals);
    if (jail < 0 || sigprocmask(SIG_SETMASK, &before, NULL) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != self)
        return -1;
    return 0;
}

/* While nothing has been given up, and before there is a process that would have to move, too. */
static int join_group(const TbStage *stage)
{
    return stage->group < 0 || write(stage->group, "0", 1) == 1 ? 0 : -1;
}

int tb_stage_stay(void *data)
{
    const TbStage *stage = data;
    umask(077);
    return join_group(stage) < 0 ? -1 : stand_guard(stage->host);
}

int tb_stage_enter(void *data)
{
    TbStage *stage = data;
    if (join_group(stage) < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || open_items(stage) < 0)
        return -1;
    detach_others(stage);
    umask(022);
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0 ||
        place_items(stage) < 0 || chdir("/") < 0)
        return -1;
    /* Groups first: it needs the rights the next two give up. Not by libc's functions, which
     * would look for other threads of this process. */
    if (syscall(SYS_setgroups, stage->has_kvm_group ? 1 : 0, &stage->kvm_group) < 0 ||
        syscall(SYS_setresgid, stage->gid, stage->gid, stage->gid) < 0 ||
        syscall(SYS_setresuid, stage->uid, stage->uid, stage->uid) < 0)
        return -1;
    umask(077);
    /* Another uid, and the kernel has forgotten whose death we want to hear of. */
    return stand_guard(stage->host);
}
