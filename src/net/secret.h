/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A credential of the host's that a box may use and never has: in the box stands a placeholder, and
 * the egress process puts the value in its place in requests to the hosts it is bound to. Values
 * are printable ASCII without blanks, and a placeholder is as long as its value, so that taking one
 * for the other changes no length.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TB_SECRET_MIN   12 /* bytes: shorter ones would be met by chance */
#define TB_SECRET_MAX   4096
#define TB_SECRETS_MAX  16  /* a task */
#define TB_SECRET_HOSTS 16  /* a secret */
#define TB_SECRET_NAME  128 /* bytes */

typedef struct {
    char *host; /* canonical (net/policy.h) */
    uint16_t port;
} TbSecretHost;

typedef struct {
    char *name; /* of the variable in the box */
    char *placeholder;
    char *value;      /* NULL once tb_secrets_forget was called */
    GPtrArray *hosts; /* of TbSecretHost *, one at least */
} TbSecret;

/* Overwrites a text and frees it; NULL is fine. */
void tb_secret_wipe(char *text);

/* A variable's name: letters, digits, '_', no digit first. */
bool tb_secret_name_valid(const char *name);

/* "HOST" or "HOST:PORT" (443) into *out. TB_ERROR_USAGE: no host, or "*.DOMAIN", which is refused
 * since whoever can get a name below a domain would get the value. tb_secret_host_free. */
TbSecretHost *tb_secret_host_parse(const char *text, GError **error);
void tb_secret_host_free(void *host);

/* A secret with a fresh placeholder. `hosts` as above. The value is copied; the error never holds
 * it. */
TbSecret *tb_secret_new(const char *name, const char *value, const char *const *hosts,
                        GError **error);
/* Wipes the value. */
void tb_secret_free(void *secret);
/* Whether it may be used for requests to this canonical host and port. */
bool tb_secret_binds(const TbSecret *secret, const char *host, uint16_t port);

/* Looks like the value and is none: begins like well-known kinds of keys do ("sk-", "ghp_"), is as
 * long, and random else. g_free. */
char *tb_secret_placeholder(const char *value);

/* An array of TbSecret * that frees them. */
GPtrArray *tb_secrets_new(void);
/* Whether any of them binds the host and port; NULL is none. */
bool tb_secrets_bind(const GPtrArray *secrets, const char *host, uint16_t port);
/* Wipes all values; placeholders and hosts stay. */
void tb_secrets_forget(GPtrArray *secrets);

/* For the egress process: a text that ends with NUL, and back. The text is the caller's to wipe
 * (tb_secret_wipe). NULL with error set for anything that is not whole. */
char *tb_secrets_format(const GPtrArray *secrets);
GPtrArray *tb_secrets_parse(const char *text, GError **error);
