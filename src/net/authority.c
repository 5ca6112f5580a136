/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* By GnuTLS. All hosts share one key pair, since all of them end here; the authority's own key does
 * not outlive tb_authority_new. */
#include "net/authority.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

#include "net/secret.h"
#include "util/error.h"

#define HOUR 3600
#define DAY  (24 * HOUR)

struct TbAuthority {
    char *pem;
    GHashTable *certificates; /* host -> GTlsCertificate */
};

typedef struct {
    gnutls_x509_privkey_t root_key, key;
    gnutls_x509_crt_t root;
} Making;

static void making_clear(Making *making)
{
    if (making->root)
        gnutls_x509_crt_deinit(making->root);
    if (making->root_key)
        gnutls_x509_privkey_deinit(making->root_key); /* overwrites it */
    if (making->key)
        gnutls_x509_privkey_deinit(making->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Making, making_clear)

static int note(int *result, int value)
{
    if (*result >= 0 && value < 0)
        *result = value;
    return value;
}

static void make_key(gnutls_x509_privkey_t *key, int *result)
{
    note(result, gnutls_x509_privkey_init(key));
    if (*result >= 0)
        note(result,
             gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA,
                                          GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
}

/* What every certificate has. */
static void begin(gnutls_x509_crt_t *crt, gnutls_x509_privkey_t key, const char *name, int *result)
{
    uint8_t serial[16], id[20];
    size_t id_size = sizeof id;
    time_t now = time(NULL);
    note(result, gnutls_x509_crt_init(crt));
    if (*result < 0)
        return;
    note(result, gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial));
    serial[0] &= 0x7f;
    serial[0] |= 0x40;
    note(result, gnutls_x509_crt_set_version(*crt, 3));
    note(result, gnutls_x509_crt_set_serial(*crt, serial, sizeof serial));
    note(result, gnutls_x509_crt_set_activation_time(*crt, now - HOUR));
    note(result, gnutls_x509_crt_set_expiration_time(*crt, now + TB_AUTHORITY_DAYS * DAY));
    note(result, gnutls_x509_crt_set_key(*crt, key));
    note(result, gnutls_x509_crt_set_dn_by_oid(*crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                               (unsigned)strlen(name)));
    if (note(result, gnutls_x509_crt_get_key_id(*crt, 0, id, &id_size)) >= 0)
        note(result, gnutls_x509_crt_set_subject_key_id(*crt, id, id_size));
}

/* Names of hosts are allowed one by one; addresses and mail not at all. */
static void constrain(gnutls_x509_crt_t crt, const GPtrArray *secrets, int *result)
{
    static uint8_t any4[8], any6[32];
    static const struct {
        gnutls_x509_subject_alt_name_t type;
        gnutls_datum_t what;
    } never[] = {{GNUTLS_SAN_IPADDRESS, {any4, sizeof any4}},
                 {GNUTLS_SAN_IPADDRESS, {any6, sizeof any6}}};
    gnutls_x509_name_constraints_t constraints = NULL;
    if (note(result, gnutls_x509_name_constraints_init(&constraints)) < 0)
        return;
    for (guint i = 0; i < secrets->len; i++) {
        const TbSecret *secret = secrets->pdata[i];
        for (guint k = 0; k < secret->hosts->len; k++) {
            const TbSecretHost *host = secret->hosts->pdata[k];
            gnutls_datum_t name = {(unsigned char *)host->host, (unsigned)strlen(host->host)};
            note(result, gnutls_x509_name_constraints_add_permitted(constraints, GNUTLS_SAN_DNSNAME,
                                                                    &name));
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(never); i++)
        note(result,
             gnutls_x509_name_constraints_add_excluded(constraints, never[i].type, &never[i].what));
    note(result, gnutls_x509_crt_set_name_constraints(crt, constraints, 1));
    gnutls_x509_name_constraints_deinit(constraints);
}

static void make_root(Making *making, const GPtrArray *secrets, int *result)
{
    make_key(&making->root_key, result);
    make_key(&making->key, result);
    if (*result < 0)
        return;
    begin(&making->root, making->root_key, "taskbox, for one task only", result);
    if (*result < 0)
        return;
    note(result, gnutls_x509_crt_set_basic_constraints(making->root, 1, 0));
    note(result, gnutls_x509_crt_set_key_usage(making->root, GNUTLS_KEY_KEY_CERT_SIGN));
    constrain(making->root, secrets, result);
    note(result,
         gnutls_x509_crt_sign2(making->root, making->root, making->root_key, GNUTLS_DIG_SHA256, 0));
}

/* PEM of a certificate or of a key. The caller's to wipe. NULL: *result says why. */
static char *export_crt(gnutls_x509_crt_t crt, int *result)
{
    gnutls_datum_t out = {0};
    if (note(result, gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out)) < 0)
        return NULL;
    char *text = g_strndup((const char *)out.data, out.size);
    gnutls_free(out.data);
    return text;
}

static GTlsCertificate *make_certificate(const Making *making, const char *host, int *result,
                                         GError **error)
{
    gnutls_x509_crt_t crt = NULL;
    gnutls_datum_t key = {0};
    uint8_t id[20];
    size_t id_size = sizeof id;
    GTlsCertificate *out = NULL;
    begin(&crt, making->key, strlen(host) <= 64 ? host : "a bound host", result);
    if (*result >= 0) {
        note(result, gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, host,
                                                          (unsigned)strlen(host), GNUTLS_FSAN_SET));
        note(result, gnutls_x509_crt_set_basic_constraints(crt, 0, -1));
        note(result, gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE));
        note(result, gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0));
        if (note(result, gnutls_x509_crt_get_key_id(making->root, 0, id, &id_size)) >= 0)
            note(result, gnutls_x509_crt_set_authority_key_id(crt, id, id_size));
        note(result,
             gnutls_x509_crt_sign2(crt, making->root, making->root_key, GNUTLS_DIG_SHA256, 0));
        note(result, gnutls_x509_privkey_export2_pkcs8(making->key, GNUTLS_X509_FMT_PEM, NULL,
                                                       GNUTLS_PKCS_PLAIN, &key));
    }
    g_autofree char *chain = *result >= 0 ? export_crt(crt, result) : NULL;
    if (chain) {
        char *both = g_strdup_printf("%s%.*s", chain, (int)key.size, (const char *)key.data);
        out = g_tls_certificate_new_from_pem(both, -1, error);
        tb_secret_wipe(both);
    }
    if (key.data) {
        explicit_bzero(key.data, key.size);
        gnutls_free(key.data);
    }
    if (crt)
        gnutls_x509_crt_deinit(crt);
    return out;
}

static bool make_all(TbAuthority *authority, const Making *making, const GPtrArray *secrets,
                     int *result, GError **error)
{
    for (guint i = 0; i < secrets->len; i++) {
        const TbSecret *secret = secrets->pdata[i];
        for (guint k = 0; k < secret->hosts->len; k++) {
            const char *host = ((TbSecretHost *)secret->hosts->pdata[k])->host;
            if (g_hash_table_contains(authority->certificates, host))
                continue;
            GTlsCertificate *certificate = make_certificate(making, host, result, error);
            if (!certificate)
                return false;
            g_hash_table_insert(authority->certificates, g_strdup(host), certificate);
        }
    }
    return true;
}

TbAuthority *tb_authority_new(const GPtrArray *secrets, GError **error)
{
    g_autoptr(TbAuthority) authority = g_new0(TbAuthority, 1);
    g_auto(Making) making = {0};
    g_autoptr(GError) why = NULL;
    int result = 0;
    authority->certificates =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);
    make_root(&making, secrets, &result);
    if (result >= 0)
        authority->pem = export_crt(making.root, &result);
    if (result < 0 || !make_all(authority, &making, secrets, &result, &why)) {
        tb_error_set(error, TB_ERROR_INTERNAL, "cannot make the task's certificates: %s",
                     why ? why->message : gnutls_strerror(result));
        return NULL;
    }
    return g_steal_pointer(&authority);
}

void tb_authority_free(TbAuthority *authority)
{
    if (!authority)
        return;
    g_free(authority->pem);
    g_hash_table_unref(authority->certificates);
    g_free(authority);
}

const char *tb_authority_pem(const TbAuthority *authority)
{
    return authority->pem;
}

GTlsCertificate *tb_authority_certificate(const TbAuthority *authority, const char *host)
{
    return authority ? g_hash_table_lookup(authority->certificates, host) : NULL;
}
