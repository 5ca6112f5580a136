/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's own package sources, as far as they offer a suite of the distribution itself. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *uri;        /* with a trailing slash */
    char *suite;      /* as written: "bookworm", "stable", "bookworm-updates" */
    char *components; /* "main universe" */
    char *signed_by;  /* absolute path of a keyring, or NULL */
} TbSource;

void tb_source_free(void *source);

/* Appends the binary sources in the text of a one-line style sources.list. Lines that apt would
 * refuse are skipped: apt complains of them itself. */
void tb_sources_parse_list(const char *text, GPtrArray *sources);
/* The same for a deb822 style .sources file. */
void tb_sources_parse_deb822(const char *text, GPtrArray *sources);

/* What apt knows of a source from its Release file: lines "URI|RELEASE|CODENAME|ORIGIN". */
typedef struct TbReleases TbReleases;
TbReleases *tb_releases_parse(const char *text);
void tb_releases_free(TbReleases *releases);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbReleases, tb_releases_free)

/* The lines to hand to mmdebstrap for `suite`: its release, its updates, its security, of Debian or
 * Ubuntu themselves only (another vendor may name a suite alike). Sorted, no duplicates. */
GPtrArray *tb_sources_select(const GPtrArray *sources, const TbReleases *releases,
                             const char *suite);

/* Both of this host: reads /etc/apt and asks apt-get. An empty array: nothing found. */
GPtrArray *tb_sources_host(const char *suite);

/* From `apt-config dump`: what concerns proxies and certificates, as apt.conf lines. */
GPtrArray *tb_apt_options(const char *dump);
