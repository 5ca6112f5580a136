/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mask list: names of files that hold secrets. This table is all of it; docs/masks.md says it
 * in words, and tests/unit/project/test-masks.c that each row works.
 *
 * The forms of a row: "NAME", "BEGINNING*", "BEGINNING*END", "*END", ".DIRECTORY/NAME", and
 * ".DIRECTORY/" for all files below one of that name. Letters of either case are the same. Every
 * file of a project is looked up, so names and ends of the ".xyz" kind are found by hash.
 */
#include "project/private.h"

#include <string.h>

#define PATH_SIZE 4097 /* the walk takes no longer path */

#define KEY     "a private key"
#define STORE   "a key store"
#define ENV     "an environment file"
#define CLOUD   "credentials of a cloud"
#define HOST    "credentials of a host or registry"
#define CLUSTER "credentials of a cluster"
#define STATE   "a state or variables of terraform"
#define AGENT   "credentials of an agent"
#define CORE    "a core dump"
#define OTHER   "credentials"

static const struct {
    const char *pattern, *what;
} list[] = {
    {".env", ENV},
    {".env.*", ENV},
    {".env-*", ENV},
    {".env_*", ENV},
    {".envrc", ENV},
    {"*.env", ENV},

    {"id_rsa*", KEY},
    {"id_dsa*", KEY},
    {"id_ecdsa*", KEY},
    {"id_ed25519*", KEY},
    {"*.pem", KEY},
    {"*.key", KEY},
    {"*.p8", KEY},
    {"*.ppk", KEY},
    {"*_rsa", KEY},
    {"*_ed25519", KEY},
    {"ssh_host_*_key", KEY},
    {"secring.*", KEY},
    {".ssh/", KEY},
    {".gnupg/", KEY},

    {"*.p12", STORE},
    {"*.pfx", STORE},
    {"*.jks", STORE},
    {"*.keystore", STORE},
    {"*.kdb", STORE},
    {"*.kdbx", STORE},
    {"*.ovpn", STORE},
    {".password-store/", STORE},

    {".aws/", CLOUD},
    {".azure/", CLOUD},
    {".oci/", CLOUD},
    {".config/gcloud/", CLOUD},
    {".boto", CLOUD},
    {".s3cfg", CLOUD},
    {"rclone.conf", CLOUD},
    {"application_default_credentials.json", CLOUD},
    {"client_secret*.json", CLOUD},
    {"gha-creds-*.json", CLOUD},
    {"service-account*.json", CLOUD},
    {"service_account*.json", CLOUD},
    {"*-service-account.json", CLOUD},
    {"accesskeys.csv", CLOUD},

    {".netrc", HOST},
    {"_netrc", HOST},
    {".npmrc", HOST},
    {".pypirc", HOST},
    {".git-credentials", HOST},
    {".dockercfg", HOST},
    {".docker/config.json", HOST},
    {"auth.json", HOST},
    {".gem/credentials", HOST},
    {".cargo/credentials", HOST},
    {".cargo/credentials.toml", HOST},
    {".m2/settings.xml", HOST},
    {".gradle/gradle.properties", HOST},
    {".config/gh/hosts.yml", HOST},
    {"nuget.config", HOST},

    {"kubeconfig", CLUSTER},
    {"*.kubeconfig", CLUSTER},
    {"kubeconfig.*", CLUSTER},
    {".kube/", CLUSTER},

    {"*.tfstate", STATE},
    {"*.tfstate.backup", STATE},
    {"*.tfvars", STATE},
    {"*.tfvars.json", STATE},
    {".terraformrc", STATE},
    {"terraform.rc", STATE},
    {"credentials.tfrc.json", STATE},

    {".claude/.credentials.json", AGENT},
    {"oauth_creds.json", AGENT},

    {".pgpass", OTHER},
    {".my.cnf", OTHER},
    {".mylogin.cnf", OTHER},
    {".htpasswd", OTHER},
    {".vault-token", OTHER},
    {"credentials", OTHER},
    {"credentials.json", OTHER},
    {"credentials.yml", OTHER},
    {"credentials.yaml", OTHER},
    {"credentials.toml", OTHER},
    {"secrets.json", OTHER},
    {"secrets.yml", OTHER},
    {"secrets.yaml", OTHER},
    {"secrets.toml", OTHER},
    {".secrets", OTHER},
    {"*.secret", OTHER},
    {"*.secrets", OTHER},
    {"master.key", OTHER},

    {"core", CORE},
    {"core.*", CORE}, /* with a number */
    {"vgcore.*", CORE},
    {"*.core", CORE},
};

/* Made to be seen by others: by their ends, and certificates that programs trust by name. */
static const char *const public_names[] = {
    ".pub",  ".example",   ".sample",       ".template", ".defaults",
    ".dist", "cacert.pem", "ca-bundle.pem", "roots.pem",
};

/* What editors and people put behind the name of a file for a copy of it; "~" is one, too. */
static const char *const copy_ends[] = {
    ".bak", ".backup", ".orig", ".old", ".save", ".tmp",      ".swp",
    ".swo", ".swn",    ".swx",  ".rej", ".copy", ".disabled",
};

struct TbMaskList {
    GHashTable *names;  /* the name in small letters -> what */
    GHashTable *ends;   /* ".xyz" -> what */
    GHashTable *copies; /* ".bak" */
    GArray *beginnings; /* row numbers, likewise below */
    GArray *other_ends;
    GArray *dirs; /* "DIRECTORY/" and "DIRECTORY/NAME" */
};

TbMaskList *tb_mask_list_new(void)
{
    TbMaskList *masks = g_new0(TbMaskList, 1);
    masks->names = g_hash_table_new(g_str_hash, g_str_equal);
    masks->ends = g_hash_table_new(g_str_hash, g_str_equal);
    masks->copies = g_hash_table_new(g_str_hash, g_str_equal);
    masks->beginnings = g_array_new(FALSE, FALSE, sizeof(guint));
    masks->other_ends = g_array_new(FALSE, FALSE, sizeof(guint));
    masks->dirs = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < G_N_ELEMENTS(list); i++) {
        const char *pattern = list[i].pattern, *star = strchr(pattern, '*');
        if (strchr(pattern, '/'))
            g_array_append_val(masks->dirs, i);
        else if (!star)
            g_hash_table_insert(masks->names, (void *)pattern, (void *)list[i].what);
        else if (star == pattern && pattern[1] == '.' && !strchr(pattern + 2, '.'))
            g_hash_table_insert(masks->ends, (void *)(pattern + 1), (void *)list[i].what);
        else if (star == pattern)
            g_array_append_val(masks->other_ends, i);
        else
            g_array_append_val(masks->beginnings, i);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(copy_ends); i++)
        g_hash_table_add(masks->copies, (void *)copy_ends[i]);
    return masks;
}

void tb_mask_list_free(TbMaskList *masks)
{
    g_hash_table_unref(masks->names);
    g_hash_table_unref(masks->ends);
    g_hash_table_unref(masks->copies);
    g_array_unref(masks->beginnings);
    g_array_unref(masks->other_ends);
    g_array_unref(masks->dirs);
    g_free(masks);
}

static const char *row(const GArray *rows, guint index, const char **what)
{
    guint i = g_array_index(rows, guint, index);
    *what = list[i].what;
    return list[i].pattern;
}

/* "core.PID", not core.js. */
static bool is_core(const char *name)
{
    const char *number = name + strlen("core.");
    return *number && number[strspn(number, "0123456789")] == '\0';
}

/* "BEGINNING*" or "BEGINNING*END". */
static bool begins(const char *name, const char *pattern)
{
    size_t length = strcspn(pattern, "*");
    if (strncmp(name, pattern, length) != 0)
        return false;
    const char *end = pattern + length + 1;
    if (strcmp(pattern, "core.*") == 0)
        return is_core(name);
    return !*end || g_str_has_suffix(name + length, end);
}

/* `name` is in small letters. */
static const char *match_name(const TbMaskList *masks, const char *name)
{
    const char *what = g_hash_table_lookup(masks->names, name);
    const char *dot = strrchr(name, '.');
    if (!what && dot)
        what = g_hash_table_lookup(masks->ends, dot);
    if (what)
        return what;
    for (guint i = 0; i < masks->beginnings->len; i++)
        if (begins(name, row(masks->beginnings, i, &what)))
            return what;
    for (guint i = 0; i < masks->other_ends->len; i++)
        if (g_str_has_suffix(name, row(masks->other_ends, i, &what) + 1))
            return what;
    return NULL;
}

/* `path` is in small letters: does it hold "/PATTERN" (a directory), or end with it? */
static const char *match_dirs(const TbMaskList *masks, const char *path)
{
    for (guint i = 0; i < masks->dirs->len; i++) {
        const char *what, *pattern = row(masks->dirs, i, &what);
        size_t length = strlen(pattern);
        bool whole = pattern[length - 1] == '/';
        for (const char *at = path; (at = strstr(at, pattern)); at++)
            if ((at == path || at[-1] == '/') && (whole || at[length] == '\0'))
                return what;
    }
    return NULL;
}

static bool is_public(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(public_names); i++)
        if (g_str_has_suffix(name, public_names[i]))
            return true;
    return false;
}

/* The name of what `name` is a copy of: "..env.swp", ".env~", "#.env#", ".#.env" and "x.pem.bak"
 * hold what the file has. NULL when it is none. g_free. */
static char *original(const TbMaskList *masks, const char *name)
{
    size_t length = strlen(name);
    if (length < 3)
        return NULL;
    if (name[0] == '.' && name[1] == '#')
        return g_strdup(name + 2);
    if (name[0] == '#' && name[length - 1] == '#')
        return g_strndup(name + 1, length - 2);
    if (name[length - 1] == '~')
        return g_strndup(name, length - 1);
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name || !g_hash_table_contains(masks->copies, dot))
        return NULL;
    bool swap = name[0] == '.' && strncmp(dot, ".sw", 3) == 0;
    return g_strndup(name + swap, (gsize)(dot - name) - swap);
}

const char *tb_mask_list_match(const TbMaskList *masks, const char *path)
{
    char lower[PATH_SIZE];
    size_t length = 0;
    for (; path[length] && length + 1 < sizeof lower; length++)
        lower[length] = g_ascii_tolower(path[length]);
    lower[length] = '\0';
    const char *slash = strrchr(lower, '/');
    const char *name = slash ? slash + 1 : lower;
    const char *what = match_name(masks, name);
    if (!what && slash && (lower[0] == '.' || strstr(lower, "/.")))
        what = match_dirs(masks, lower);
    if (what)
        return is_public(name) ? NULL : what;
    g_autofree char *copied = original(masks, name);
    return copied ? match_name(masks, copied) : NULL;
}

void tb_mask_list_digest(GChecksum *checksum)
{
    for (size_t i = 0; i < G_N_ELEMENTS(list); i++)
        g_checksum_update(checksum, (const guchar *)list[i].pattern,
                          (gssize)strlen(list[i].pattern) + 1);
}

guint tb_mask_list_rows(void)
{
    return G_N_ELEMENTS(list);
}

const char *tb_mask_list_pattern(guint index)
{
    return list[index].pattern;
}
