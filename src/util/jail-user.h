/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who the processes of a jail are on the host, and namespaces that say so. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Who the jail `id` (any name) is on the host: ourselves, or when we are root the system user
 * `taskbox` if there is one, else an unused uid of the range 1878900000 + 0 .. 1048575 that
 * follows from the id. False with error set when there is none. */
typedef struct {
    uid_t uid;
    gid_t gid;
    bool drops; /* we are root and become it on the way */
} TbJailUser;
bool tb_jail_user(const char *id, TbJailUser *user, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * A new user namespace, a descriptor (close-on-exec; the caller closes it), or -1 with errno set.
 * It lives as long as the descriptor or a process in it; see user_namespaces(7).
 * tb_user_namespace_of: files of `uid` and `gid` are `user`'s in it, and there is nobody else.
 * tb_user_namespace_of_all: everybody is who they are, but root has no rights outside. For root.
 */
int tb_user_namespace_of(uid_t uid, gid_t gid, const TbJailUser *user);
int tb_user_namespace_of_all(void);
