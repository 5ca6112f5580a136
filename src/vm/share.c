/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * There are two programs of that name. QEMU's own (up to 7.2; Debian 12) cannot do without a root
 * of its own: it gets the two capabilities for that inside of its namespace and has none left
 * before it reads the first request; its filter kills it on any call it does not need. The one that
 * came after it (the package 'virtiofsd') takes the jail for its sandbox.
 *
 * Both are told to keep what they know of files for as long as they live: the box is to see the
 * project as it began, and what the user changes meanwhile may or may not show (docs/masks.md).
 */
#include "vm/share.h"

#include <unistd.h>

#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/paths.h"
#include "vm/layout.h"

#define FILE_LIMIT   (64ULL * 1024 * 1024) /* it writes none */
#define HELP_SECONDS 10
#define TEXT_(x)     #x
#define TEXT(x)      TEXT_(x)
#define LISTEN       "--fd=" TEXT(TB_JAIL_LISTEN_FD)

typedef struct {
    const char *path;
    bool changes_root;
    const char *arguments[12];
    const char *if_known; /* one more, which not all versions have; NULL: none */
} Program;

static const Program programs[] = {
    {"/usr/libexec/virtiofsd",
     false,
     {LISTEN, "--shared-dir=" TB_JAIL_PROJECT_DIR, "--sandbox=none", "--seccomp=kill",
      "--cache=always", "--inode-file-handles=never", "--thread-pool-size=0", NULL},
     /* Else the guest mounts what is mounted in the project, which no overlay can lie on. */
     "--no-announce-submounts"},
    {"/usr/lib/qemu/virtiofsd",
     true,
     {LISTEN, "-f", "--thread-pool-size=0", "--rlimit-nofile=0", "-o",
      "source=" TB_JAIL_PROJECT_DIR
      ",sandbox=chroot,cache=always,no_xattr,no_posix_lock,no_flock,no_writeback",
      "-o", "modcaps=-chown:-dac_override:-fowner:-fsetid:-setgid:-setuid:-mknod:-setfcap", NULL},
     NULL},
};

static const Program *find_program(GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++)
        if (access(programs[i].path, X_OK) == 0)
            return &programs[i];
    tb_error_set(error, TB_ERROR_DEPENDENCY,
                 "cannot share the project by virtiofs: there is no virtiofsd (install the package "
                 "'virtiofsd'; on Debian 12 'qemu-system-common' has it)");
    return NULL;
}

const char *tb_share_program(GError **error)
{
    const Program *program = find_program(error);
    return program ? program->path : NULL;
}

static bool knows(const Program *program, const char *option)
{
    g_autoptr(TbCommand) command = tb_command_new(program->path);
    g_autoptr(GBytes) out = NULL;
    tb_command_add(command, "--help", NULL);
    tb_command_env_clear(command);
    tb_command_set_timeout(command, HELP_SECONDS);
    if (!tb_command_run(command, &out, NULL))
        return false;
    gsize length = 0;
    const char *text = g_bytes_get_data(out, &length);
    return text && g_strstr_len(text, (gssize)length, option);
}

TbJail *tb_share_start(const TbShareSpec *spec, GError **error)
{
    const Program *program = find_program(error);
    g_autofree char *wrapper =
        program ? tb_path_libexec("vm/taskbox-share", "taskbox-share", error) : NULL;
    if (!wrapper)
        return NULL;
    g_autofree char *id = g_strdup_printf("share-%s", spec->id);
    g_autofree char *memory = g_strdup_printf("%" G_GUINT64_FORMAT, spec->memory);
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();
    g_ptr_array_add(arguments, memory);
    g_ptr_array_add(arguments, (gpointer)(uintptr_t)program->path);
    for (const char *const *argument = program->arguments; *argument; argument++)
        g_ptr_array_add(arguments, (gpointer)(uintptr_t)*argument);
    if (program->if_known && knows(program, program->if_known))
        g_ptr_array_add(arguments, (gpointer)(uintptr_t)program->if_known);
    g_ptr_array_add(arguments, NULL);
    const TbJailSpec jail = {
        .id = id,
        .program = wrapper,
        .dir = spec->dir,
        .unshared = spec->unshared,
        .file_server = true,
        .changes_root = program->changes_root,
        .uid = spec->uid,
        .gid = spec->gid,
        .listener = spec->listener,
        .memory = spec->memory,
        .file_limit = FILE_LIMIT,
        .arguments = (const char *const *)arguments->pdata,
    };
    return tb_jail_start(&jail, error);
}
