/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Credentials in added lines, by shapes that their makers document: a prefix and so many characters
 * of an alphabet. What is plainly an example (too few different characters, or "EXAMPLE" in it) is
 * none. A finding shows the prefix and the length only.
 */
#include "review/rules.h"

#include <string.h>

#define MIN_DIFFERENT 8
#define MAX_TOKEN     4096 /* no token is longer; keeps the search linear */

typedef struct {
    const char *prefix;
    const char *more; /* besides letters and digits */
    size_t least;     /* characters behind the prefix */
    const char *what;
} Shape;

static const Shape shapes[] = {
    {"AKIA", "", 16, "AWS access key"},
    {"ASIA", "", 16, "AWS access key"},
    {"ghp_", "", 36, "GitHub token"},
    {"gho_", "", 36, "GitHub token"},
    {"ghu_", "", 36, "GitHub token"},
    {"ghs_", "", 36, "GitHub token"},
    {"ghr_", "", 36, "GitHub token"},
    {"github_pat_", "_", 40, "GitHub token"},
    {"glpat-", "_-", 20, "GitLab token"},
    {"gldt-", "_-", 20, "GitLab token"},
    {"glrt-", "_-", 20, "GitLab token"},
    {"xoxb-", "-", 24, "Slack token"},
    {"xoxp-", "-", 24, "Slack token"},
    {"xoxa-", "-", 24, "Slack token"},
    {"xapp-", "-", 24, "Slack token"},
    {"hooks.slack.com/services/", "/", 30, "Slack webhook"},
    {"discord.com/api/webhooks/", "/_-", 60, "Discord webhook"},
    {"sk-ant-", "_-", 40, "Anthropic key"},
    {"sk-proj-", "_-", 40, "OpenAI key"},
    {"sk-svcacct-", "_-", 40, "OpenAI key"},
    {"sk-", "", 40, "OpenAI key"},
    {"AIza", "_-", 35, "Google key"},
    {"ya29.", "_-", 40, "Google token"},
    {"GOCSPX-", "_-", 24, "Google client secret"},
    {"npm_", "", 36, "npm token"},
    {"pypi-AgE", "_-", 40, "PyPI token"},
    {"rubygems_", "", 40, "RubyGems key"},
    {"hf_", "", 30, "Hugging Face token"},
    {"SG.", "_-.", 60, "SendGrid key"},
    {"sk_live_", "", 24, "Stripe key"},
    {"rk_live_", "", 24, "Stripe key"},
    {"dop_v1_", "", 64, "DigitalOcean token"},
    {"shpat_", "", 32, "Shopify token"},
    {"dckr_pat_", "_-", 24, "Docker token"},
    {"lin_api_", "", 32, "Linear key"},
    {"AGE-SECRET-KEY-1", "", 50, "age key"},
    {"eyJhbGciOi", "_-.", 80, "JSON web token"},
};

static const char *const key_headers[] = {
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN EC PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "-----BEGIN DSA PRIVATE KEY-----",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "PuTTY-User-Key-File-",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----",
};

static bool is_of(const Shape *shape, uint8_t byte)
{
    return g_ascii_isalnum((char)byte) || (byte && strchr(shape->more, byte));
}

/* A placeholder repeats itself or says what it is. */
static bool is_example(const uint8_t *text, size_t length)
{
    static const char *const words[] = {"EXAMPLE", "example", "xxxx",       "XXXX",
                                        "your",    "YOUR",    "placeholder"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (rule_memmem(text, length, words[i]))
            return true;
    bool seen[256] = {false};
    unsigned different = 0;
    for (size_t i = 0; i < length; i++) {
        different += !seen[text[i]];
        seen[text[i]] = true;
    }
    return different < MIN_DIFFERENT;
}

/* The run that begins with the prefix at `at`; *is_token: it is a credential and no example. */
static size_t run_at(const Shape *shape, const uint8_t *text, size_t length, size_t at,
                     bool *is_token)
{
    size_t prefix = strlen(shape->prefix), end = at + prefix;
    *is_token = false;
    if (at > 0 && (g_ascii_isalnum((char)text[at - 1]) || text[at - 1] == '_'))
        return prefix;
    length = MIN(length, at + MAX_TOKEN);
    while (end < length && is_of(shape, text[end]))
        end++;
    *is_token =
        end - at - prefix >= shape->least && !is_example(text + at + prefix, end - at - prefix);
    return end - at;
}

static bool find_shape(TbRuleScan *scan, const Shape *shape, const uint8_t *text, size_t length,
                       uint32_t number)
{
    for (size_t at = 0; at < length;) {
        const uint8_t *found = rule_memmem(text + at, length - at, shape->prefix);
        if (!found)
            return false;
        at = (size_t)(found - text);
        bool is_token = false;
        size_t size = run_at(shape, text, length, at, &is_token);
        if (is_token) {
            rule_found(scan, scan->diff->file->path, number, "%s: %s... (%zu characters)",
                       shape->what, shape->prefix, size);
            return true;
        }
        at += size; /* all of the run: no byte is looked at twice */
    }
    return false;
}

void rule_credential(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    for (size_t i = 0; i < G_N_ELEMENTS(key_headers); i++) {
        if (rule_memmem(text, length, key_headers[i])) {
            rule_found(scan, scan->diff->file->path, number, "private key");
            return;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++)
        if (find_shape(scan, &shapes[i], text, length, number))
            return;
}
