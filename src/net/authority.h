/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A task's own certificate authority. Its key is made in the egress process, signs one certificate
 * a bound host and is forgotten at once; the constraints of its certificate allow no other names.
 */
#pragma once

#include <gio/gio.h>

/* Days that its certificates hold, from an hour ago. */
#define TB_AUTHORITY_DAYS 7
#define TB_AUTHORITY_PEM  8192 /* bytes, more than it ever has */

typedef struct TbAuthority TbAuthority;

/* One for the hosts that `secrets` (of TbSecret *) are bound to. */
TbAuthority *tb_authority_new(const GPtrArray *secrets, GError **error);
void tb_authority_free(TbAuthority *authority);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbAuthority, tb_authority_free)
/* Its certificate, for the box to trust. */
const char *tb_authority_pem(const TbAuthority *authority);
/* The certificate (with its key) of a bound host; NULL for any other. */
GTlsCertificate *tb_authority_certificate(const TbAuthority *authority, const char *host);
