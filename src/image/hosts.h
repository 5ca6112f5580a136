/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hosts that an image's own package managers take packages from, asked of the image when it is
 * built, before any project comes near it, and kept in its manifest. A running box is never asked:
 * it would name what it likes.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The groups there are: "apt", "npm", "pip", "go", "cargo"; ends with NULL. None has a dot, so that
 * none is a host's name. */
extern const char *const tb_host_groups[];
bool tb_host_group_valid(const char *name);

typedef struct {
    char *group;
    char *host; /* "NAME" or "NAME:PORT"; not judged as a host yet (net/policy.h does) */
    char *from; /* what said so: a file, a command; printable */
} TbImageHost;

void tb_image_host_free(void *host);
/* With tb_image_host_free as its free function. */
GPtrArray *tb_image_hosts_new(void);
/* Adds one, unless it is there. False: the group is not known, the host or `from` is not plain
 * text, or there are too many. */
bool tb_image_hosts_add(GPtrArray *hosts, const char *group, const char *host, const char *from);

/* For `/bin/sh -c` in the image, as the user who has tasks: prints a line "GROUP\tFROM\tURL" each.
 */
extern const char tb_image_hosts_script[];
/* What it printed, bytes of the image's, as hosts: only http and https count, and of an address
 * only its host and a port that is not the usual one are kept (it may hold a password). */
GPtrArray *tb_image_hosts_parse(const char *text);
