/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a box and taking it away.
 *
 * The box directory is ours until the jail runs: the overlay and the channel's socket are made in
 * it first, then it goes to the jail's user. From that moment on it is hostile, and the only things
 * done with it are reading the console's tail and removing it, both without following links.
 *
 * The host listens and QEMU connects. So no name that the jail could have replaced is connected to.
 */
#include "vm/box-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hole.h"
#include "util/log.h"
#include "util/paths.h"
#include "vm/capabilities.h"
#include "vm/layout.h"
#include "vm/share.h"

#define MIN_MEMORY (64ULL * 1024 * 1024)
#define MAX_CPUS   255

#define SHARE_RESERVE 64 /* descriptors that a file server needs itself */
#define LIMIT_EXTRA   (64ULL * 1024 * 1024)
#define MAX_ID        40

static void bind_file(TbJailSpec *jail, const char *source, const char *target, bool writable)
{
    if (source)
        jail->binds[jail->n_binds++] =
            (TbJailBind){.source = source, .target = target, .writable = writable};
}

/* How many there are; all of them are bound. */
static unsigned bind_bases(TbJailSpec *jail, const TbBoxSpec *spec)
{
    static const char *const targets[TB_BOX_MAX_BASES] = TB_JAIL_BASES;
    unsigned count = 0;
    for (; spec->bases && spec->bases[count]; count++)
        if (jail)
            bind_file(jail, spec->bases[count], targets[count], false);
    return count;
}

static bool check_spec(const TbBoxSpec *spec, GError **error)
{
    size_t length = strlen(spec->id);
    if (length == 0 || length > MAX_ID ||
        strspn(spec->id, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-") != length)
        return tb_error_set(error, TB_ERROR_INTERNAL, "'%s' is no box id", spec->id);
    if (spec->cpus < 1 || spec->cpus > MAX_CPUS)
        return tb_error_set(error, TB_ERROR_USAGE, "cannot give a box %u cpus (1 to %d)",
                            spec->cpus, MAX_CPUS);
    if (spec->memory < MIN_MEMORY)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "cannot give a box %" G_GUINT64_FORMAT " bytes of memory (64 MiB or "
                            "more)",
                            spec->memory);
    if (bind_bases(NULL, spec) > TB_BOX_MAX_BASES)
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot use an image of more than %d layers", TB_BOX_MAX_BASES);
    return true;
}

static bool make_dir(TbBox *box, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(box->dir);
    box->name = g_path_get_basename(box->dir);
    box->parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (box->parent_fd < 0 || mkdirat(box->parent_fd, box->name, 0700) < 0) {
        int err = errno;
        g_clear_pointer(&box->name, g_free); /* not ours to remove */
        return tb_error_set_errno(error, err, "cannot make the box directory '%s'", box->dir);
    }
    box->dir_fd =
        openat(box->parent_fd, box->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (box->dir_fd < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", box->dir);
    return true;
}

/* By way of /proc: a socket's path has room for 107 bytes. */
static bool listen_as(TbBox *box, const char *name, int *fd, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", box->dir_fd, name);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        fchmodat(box->dir_fd, name, 0600, 0) < 0 || listen(*fd, 1) < 0)
        return tb_error_set_errno(error, errno, "cannot make the socket '%s' in '%s'", name,
                                  box->dir);
    return true;
}

static bool listen_channels(TbBox *box, GError **error)
{
    return listen_as(box, TB_BOX_CHANNEL, &box->listen_fd, error) &&
           listen_as(box, TB_BOX_EGRESS, &box->egress_fd, error);
}

/* In a user namespace root may have no other uid to give anything to. */
static bool cannot_give(const char *what, GError **error)
{
    if (errno == EINVAL || errno == EPERM)
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot hand '%s' to the jail's user: root of a container without "
                            "that uid (run taskbox as an ordinary user)",
                            what);
    return tb_error_set_errno(error, errno, "cannot hand '%s' to the jail's user", what);
}

/* What the jail may write now belongs to its user. */
static bool give_to_user(TbBox *box, const TbBoxSpec *spec, GError **error)
{
    if (!box->user.drops)
        return true;
    if (spec->disk_writable) {
        struct stat st;
        if (lstat(spec->disk, &st) < 0 || !S_ISREG(st.st_mode) ||
            lchown(spec->disk, box->user.uid, box->user.gid) < 0)
            return cannot_give(spec->disk, error);
        box->lent_disk = g_strdup(spec->disk);
        box->lent_uid = st.st_uid;
        box->lent_gid = st.st_gid;
    } else if (fchownat(box->dir_fd, TB_BOX_OVERLAY, box->user.uid, box->user.gid,
                        AT_SYMLINK_NOFOLLOW) < 0) {
        return cannot_give(TB_BOX_OVERLAY, error);
    }
    if (fchownat(box->dir_fd, TB_BOX_CHANNEL, box->user.uid, box->user.gid, AT_SYMLINK_NOFOLLOW) <
            0 ||
        fchownat(box->dir_fd, TB_BOX_EGRESS, box->user.uid, box->user.gid, AT_SYMLINK_NOFOLLOW) <
            0 ||
        fchown(box->dir_fd, box->user.uid, box->user.gid) < 0)
        return cannot_give(box->dir, error);
    return true;
}

static GPtrArray *vmm_arguments(const TbBoxSpec *spec)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(list, g_strconcat("--name=", spec->id, NULL));
    g_ptr_array_add(list, g_strdup_printf("--cpus=%u", spec->cpus));
    g_ptr_array_add(list, g_strdup_printf("--memory=%" G_GUINT64_FORMAT, spec->memory));
    g_ptr_array_add(list, g_strconcat("--cmdline=", spec->cmdline, NULL));
    g_ptr_array_add(list, g_strdup_printf("--bases=%u", bind_bases(NULL, spec)));
    const struct {
        bool is_set;
        const char *flag;
    } flags[] = {
        {spec->accel == TB_ACCEL_KVM, "--kvm"}, {spec->initrd, "--initrd"},
        {!spec->disk_writable, "--overlay"},    {spec->project_disk, "--project-disk"},
        {spec->project_dir, "--project-dir"},   {spec->network, "--network"},
        {spec->freezable, "--freezable"},       {spec->fork, "--fork"},
        {spec->share_dir, "--share"},           {spec->share_port, "--share-port"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
        if (flags[i].is_set)
            g_ptr_array_add(list, g_strdup(flags[i].flag));
    g_ptr_array_add(list, NULL);
    return list;
}

static bool start_jail(TbBox *box, const TbBoxSpec *spec, uint64_t limit, GError **error)
{
    g_autoptr(GBytes) capabilities = tb_capabilities_get(spec->accel == TB_ACCEL_KVM, error);
    if (!capabilities)
        return false;
    g_autofree char *preload =
        spec->fork ? tb_path_libexec("vm/taskbox-memory.so", "taskbox-memory.so", error) : NULL;
    if (spec->fork && !preload)
        return false;
    g_autoptr(GPtrArray) arguments = vmm_arguments(spec);
    TbJailSpec jail = {
        .id = spec->id,
        .dir = spec->dir,
        .kvm = spec->accel == TB_ACCEL_KVM,
        .own_memory = spec->share_dir,
        .unshared = spec->project_dir ? spec->unshared : NULL,
        .uid = spec->project_dir ? spec->owner_uid : 0,
        .gid = spec->owner_gid,
        .network = spec->network,
        .memory = spec->memory,
        .file_limit = limit,
        .capabilities = capabilities,
        .arguments = (const char *const *)arguments->pdata,
    };
    bind_file(&jail, spec->disk, TB_JAIL_IMAGE, spec->disk_writable);
    bind_bases(&jail, spec);
    if (!spec->fork) {
        bind_file(&jail, spec->kernel, TB_JAIL_KERNEL, false);
        bind_file(&jail, spec->initrd, TB_JAIL_INITRD, false);
    }
    if (tb_hole("template-write") && spec->fork) {
        if (chmod(spec->fork->disk, 0600) < 0 ||
            lchown(spec->fork->disk, box->user.uid, box->user.gid) < 0)
            return cannot_give(spec->fork->disk, error);
        bind_file(&jail, spec->fork->disk, TB_JAIL_DIR "/" TB_BOX_OVERLAY, true);
    }
    bind_file(&jail, spec->project_disk, TB_JAIL_PROJECT_DISK, tb_hole("project-disk"));
    bind_file(&jail, spec->project_dir, TB_JAIL_PROJECT_DIR, tb_hole("share-9p"));
    if (spec->fork) {
        bind_file(&jail, spec->fork->memory, TB_JAIL_MEMORY, false);
        bind_file(&jail, spec->fork->state, TB_JAIL_STATE, false);
        bind_file(&jail, spec->fork->disk, TB_JAIL_TEMPLATE_DISK, false);
        bind_file(&jail, preload, TB_JAIL_PRELOAD, false);
    }
    box->jail = tb_jail_start(&jail, error);
    return box->jail != NULL;
}

bool tb_box_can_share(GError **error)
{
    return tb_share_program(error) != NULL;
}

uint64_t tb_box_share_files(void)
{
    uint64_t files = tb_jail_server_files();
    return files > SHARE_RESERVE ? files - SHARE_RESERVE : 0;
}

/* It listens already when QEMU looks for it. That the socket can be waited for without end is the
 * server's affair: it has nothing else to do. */
static bool start_share(TbBox *box, const TbBoxSpec *spec, GError **error)
{
    if (!spec->share_dir)
        return true;
    tb_autofd listener = -1;
    if (!listen_as(box, TB_BOX_SHARE, &listener, error))
        return false;
    if (fcntl(listener, F_SETFL, 0) < 0)
        return tb_error_set_errno(error, errno, "cannot make the file server's socket wait");
    if (box->user.drops &&
        fchownat(box->dir_fd, TB_BOX_SHARE, box->user.uid, box->user.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return cannot_give(TB_BOX_SHARE, error);
    const TbShareSpec share = {.id = spec->id,
                               .dir = spec->share_dir,
                               .unshared = spec->unshared,
                               .uid = spec->owner_uid,
                               .gid = spec->owner_gid,
                               .memory = spec->memory,
                               .listener = listener};
    box->share = tb_share_start(&share, error);
    return box->share != NULL;
}

/* Where an open hole leaves what a box wrote for the next one to find. g_free. */
static char *left_overlay(const char *dir)
{
    return g_build_filename(dir, "..", "..", "..", "left-overlay", NULL);
}

/* A fork's is a copy of an empty one, which saves a program's start. */
static bool make_overlay(TbBox *box, const TbBoxSpec *spec, uint64_t size, GError **error)
{
    if (spec->disk_writable)
        return true;
    g_autofree char *left = tb_hole("box-left") ? left_overlay(spec->dir) : NULL;
    bool has_left = left && access(left, F_OK) == 0; /* of a booted box, for another */
    if (!spec->fork && !has_left)
        return tb_overlay_create(box->dir_fd, TB_BOX_OVERLAY, TB_JAIL_IMAGE, size, error);
    tb_autofd from = open(has_left ? left : spec->fork->overlay, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    box->template_disk = has_left ? -1 : open(spec->fork->disk, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    tb_autofd to =
        openat(box->dir_fd, TB_BOX_OVERLAY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (from < 0 || (!has_left && box->template_disk < 0) || to < 0)
        return tb_error_set_errno(error, errno, "cannot make the overlay");
    return tb_copy_file(from, to, TB_BOX_OVERLAY, error);
}

/* Files that only the jail writes: the machine's memory, and later its devices' state. */
static bool make_memory(TbBox *box, const TbBoxSpec *spec, GError **error)
{
    static const char *const names[] = {TB_BOX_MEMORY, TB_BOX_STATE};
    for (size_t i = 0; spec->freezable && i < G_N_ELEMENTS(names); i++) {
        tb_autofd fd = openat(box->dir_fd, names[i], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || (i == 0 && ftruncate(fd, (off_t)spec->memory) < 0))
            return tb_error_set_errno(error, errno, "cannot make the file '%s'", names[i]);
        if (box->user.drops && fchown(fd, box->user.uid, box->user.gid) < 0)
            return cannot_give(names[i], error);
    }
    return true;
}

static bool start(TbBox *box, const TbBoxSpec *spec, GError **error)
{
    uint64_t size = 0;
    if (!check_spec(spec, error) || !tb_jail_user(spec->id, &box->user, error) ||
        !tb_overlay_size(spec->disk, &size, error) || !make_dir(box, error))
        return false;
    size = MAX(size, spec->disk_size);
    uint64_t limit = spec->disk_limit ? spec->disk_limit : size + size / 8 + LIMIT_EXTRA;
    if (spec->freezable || spec->share_dir)
        limit = MAX(limit, spec->memory);
    return make_overlay(box, spec, size, error) && make_memory(box, spec, error) &&
           listen_channels(box, error) && start_share(box, spec, error) &&
           give_to_user(box, spec, error) && start_jail(box, spec, limit, error);
}

TbBox *tb_box_start(const TbBoxSpec *spec, GError **error)
{
    g_autoptr(TbBox) box = g_new0(TbBox, 1);
    box->parent_fd = box->dir_fd = box->listen_fd = box->egress_fd = -1;
    box->session_fd = box->template_disk = box->both = -1;
    box->id = g_strdup(spec->id);
    box->dir = g_strdup(spec->dir);
    box->forked = spec->fork != NULL;
    if (!start(box, spec, error)) {
        g_prefix_error(error, "cannot start box '%s': ", spec->id);
        return NULL;
    }
    return g_steal_pointer(&box);
}

void tb_box_keep(TbBox *box)
{
    box->keep = true;
}

static void keep_template_disk(TbBox *box)
{
    g_autoptr(GError) error = NULL;
    unlinkat(box->dir_fd, TB_BOX_TEMPLATE, 0);
    tb_autofd to = openat(box->dir_fd, TB_BOX_TEMPLATE,
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0 || !tb_copy_file(box->template_disk, to, TB_BOX_TEMPLATE, &error))
        tb_warn("the kept box lacks the template's disk: %s",
                error ? error->message : g_strerror(errno));
}

void tb_box_free(TbBox *box)
{
    if (!box)
        return;
    tb_jail_free(box->jail);
    tb_jail_free(box->share);
    tb_session_free(box->session);
    tb_clear_fd(&box->listen_fd);
    tb_clear_fd(&box->egress_fd);
    if (box->lent_disk && lchown(box->lent_disk, box->lent_uid, box->lent_gid) < 0)
        tb_warn("cannot take '%s' back from the jail: %s", box->lent_disk, g_strerror(errno));
    g_autoptr(GError) error = NULL;
    if (box->keep && box->template_disk >= 0)
        keep_template_disk(box);
    if (tb_hole("box-left") && box->name) {
        g_autofree char *left = left_overlay(box->dir);
        renameat(box->dir_fd, TB_BOX_OVERLAY, AT_FDCWD, left);
    }
    if (tb_hole("box-disk") && box->name) {
        g_autoptr(TbCommand) command = tb_command_new("qemu-img");
        tb_command_add(command, "convert", "-O", "raw", "-f", "qcow2", NULL);
        tb_command_add_format(command, "%s/" TB_BOX_OVERLAY, box->dir);
        tb_command_add_format(command, "%s/raw", box->dir);
        if (!tb_command_run(command, NULL, NULL))
            tb_verbose("no raw disk");
    }
    if (box->keep) {
        unlinkat(box->dir_fd, TB_BOX_CHANNEL, 0);
        unlinkat(box->dir_fd, TB_BOX_EGRESS, 0);
        unlinkat(box->dir_fd, TB_BOX_SHARE, 0);
    } else if (box->name && !tb_remove_tree(box->parent_fd, box->name, &error)) {
        tb_warn("cannot remove the box directory '%s': %s", box->dir, error->message);
    }
    tb_clear_fd(&box->both);
    tb_clear_fd(&box->template_disk);
    tb_clear_fd(&box->dir_fd);
    tb_clear_fd(&box->parent_fd);
    g_clear_error(&box->failure);
    g_free(box->share_end);
    g_free(box->lent_disk);
    g_free(box->name);
    g_free(box->dir);
    g_free(box->id);
    g_free(box);
}

bool tb_box_clean(const char *dir, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(dir);
    g_autofree char *name = g_path_get_basename(dir);
    tb_autofd fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ||
               tb_error_set_errno(error, errno, "cannot remove the box directory '%s'", dir);
    return tb_remove_tree(fd, name, error);
}
