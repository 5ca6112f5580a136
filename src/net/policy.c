/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A name is taken apart as bytes and put together from what was understood, so that filter and
 * resolver cannot see two different names. Rules match whole labels.
 */
#include "net/policy.h"

#include <string.h>

#include "util/error.h"
#include "util/escape.h"
#include "util/hole.h"
#include "util/units.h"

#define LABEL_MAX   63
#define FIRST_LINE  "taskbox-policy 1"
#define RULES_LIMIT 1000

/* ---- names */

static const char *bad_label(const char *label, size_t length)
{
    if (length == 0)
        return "an empty label";
    if (length > LABEL_MAX)
        return "a label of more than 63 bytes";
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isalnum(label[i]) && label[i] != '-')
            return "a byte that no host name has";
    if (label[0] == '-' || label[length - 1] == '-')
        return "a hyphen at the end of a label";
    return NULL;
}

/* What inet_aton and its relatives take for a number: decimal, octal, hexadecimal. */
static bool is_number(const char *label)
{
    if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return label[2 + strspn(label + 2, "0123456789abcdefABCDEF")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

static const char *bad_name(const char *bytes, size_t length)
{
    if (length == 0)
        return "no name at all";
    if (length > TB_HOST_MAX)
        return "a name of more than 253 bytes";
    for (size_t start = 0; start <= length;) {
        const char *dot = memchr(bytes + start, '.', length - start);
        size_t end = dot ? (size_t)(dot - bytes) : length;
        const char *why = bad_label(bytes + start, end - start);
        if (why)
            return why;
        start = end + 1;
    }
    return NULL;
}

char *tb_host_parse(const char *bytes, size_t length, const char **why)
{
    if (length > 0 && bytes[length - 1] == '.')
        length--;
    const char *reason = bad_name(bytes, length);
    g_autofree char *name = reason ? NULL : g_ascii_strdown(bytes, (gssize)length);
    if (name && !tb_hole("net-names")) {
        const char *dot = strrchr(name, '.');
        if (is_number(dot ? dot + 1 : name))
            reason = "an address, not a name";
        else if (!dot)
            reason = "a name without a dot, of this machine or its own network";
    }
    if (why)
        *why = reason;
    return reason ? NULL : g_steal_pointer(&name);
}

/* ---- rules */

static void rule_free(void *data)
{
    TbNetRule *rule = data;
    g_free(rule->host);
    g_free(rule);
}

TbNetPolicy *tb_net_policy_new(void)
{
    TbNetPolicy *policy = g_new0(TbNetPolicy, 1);
    policy->rules = g_ptr_array_new_with_free_func(rule_free);
    return policy;
}

void tb_net_policy_free(TbNetPolicy *policy)
{
    if (!policy)
        return;
    g_ptr_array_unref(policy->rules);
    g_free(policy);
}

static bool same_rule(const TbNetRule *a, const TbNetRule *b)
{
    return a->port == b->port && a->any_below == b->any_below && strcmp(a->host, b->host) == 0;
}

/* A copy, unless it is there; false: there are too many. */
static bool add_rule(TbNetPolicy *policy, const TbNetRule *rule)
{
    for (guint i = 0; i < policy->rules->len; i++)
        if (same_rule(policy->rules->pdata[i], rule))
            return true;
    if (policy->rules->len == RULES_LIMIT)
        return false;
    TbNetRule *copy = g_memdup2(rule, sizeof *rule);
    copy->host = g_strdup(rule->host);
    g_ptr_array_add(policy->rules, copy);
    return true;
}

bool tb_net_policy_add(TbNetPolicy *policy, const char *text, GError **error)
{
    bool any_below = g_str_has_prefix(text, "*.");
    const char *host = any_below ? text + 2 : text;
    const char *colon = strrchr(host, ':');
    size_t length = colon ? (size_t)(colon - host) : strlen(host);
    uint64_t port = 0;
    const char *why = NULL;
    if (colon && !tb_number_parse(colon + 1, "port", 1, 65535, &port, error)) {
        g_prefix_error(error, "'%s': ", text);
        return false;
    }
    g_autofree char *name = tb_host_parse(host, length, &why);
    if (!name) {
        g_autofree char *shown = tb_escape_name(text);
        return tb_error_set(error, TB_ERROR_USAGE,
                            "'%s' is no host (%s; write HOST, HOST:PORT or *.DOMAIN)", shown, why);
    }
    const TbNetRule rule = {.host = name, .any_below = any_below, .port = (uint16_t)port};
    return add_rule(policy, &rule) ||
           tb_error_set(error, TB_ERROR_USAGE, "more than %d hosts to be allowed", RULES_LIMIT);
}

static bool has_port(const TbNetRule *rule, uint16_t port)
{
    return rule->port ? port == rule->port : port == 80 || port == 443;
}

static bool has_name(const TbNetRule *rule, const char *host)
{
    if (!rule->any_below)
        return strcmp(host, rule->host) == 0;
    size_t length = strlen(host), suffix = strlen(rule->host);
    return length > suffix + 1 && host[length - suffix - 1] == '.' &&
           strcmp(host + length - suffix, rule->host) == 0;
}

static bool rule_matches(const TbNetRule *rule, const char *host, uint16_t port)
{
    return has_port(rule, port) && has_name(rule, host);
}

/* Every name of `narrow` is one of `wide`. */
static bool has_names_of(const TbNetRule *wide, const TbNetRule *narrow)
{
    if (narrow->any_below && !wide->any_below)
        return false;
    return has_name(wide, narrow->host) ||
           (narrow->any_below && strcmp(wide->host, narrow->host) == 0);
}

/* What both allow; false: nothing. The rule's host is one of theirs. */
static bool in_both(const TbNetRule *a, const TbNetRule *b, TbNetRule *rule)
{
    const TbNetRule *names = has_names_of(a, b) ? b : has_names_of(b, a) ? a : NULL;
    bool same = a->port == b->port;
    const TbNetRule *ports = same || (b->port && has_port(a, b->port)) ? b
                             : a->port && has_port(b, a->port)         ? a
                                                                       : NULL;
    if (!names || !ports)
        return false;
    *rule = (TbNetRule){names->host, names->any_below, ports->port};
    return true;
}

void tb_net_policy_narrow(TbNetPolicy *policy, const TbNetPolicy *only)
{
    if (only->open)
        return;
    GPtrArray *before = policy->rules;
    policy->rules = g_ptr_array_new_with_free_func(rule_free);
    for (guint i = 0; i < only->rules->len; i++) {
        const TbNetRule *wanted = only->rules->pdata[i];
        TbNetRule rule = *wanted;
        for (guint k = 0; !policy->open && k < before->len; k++)
            if (in_both(before->pdata[k], wanted, &rule))
                (void)add_rule(policy, &rule); /* too many are not allowed */
        if (policy->open)
            (void)add_rule(policy, &rule);
    }
    policy->open = false;
    g_ptr_array_unref(before);
}

bool tb_net_policy_allows(const TbNetPolicy *policy, const char *host, uint16_t port)
{
    if (policy->open)
        return true;
    for (guint i = 0; i < policy->rules->len; i++)
        if (rule_matches(policy->rules->pdata[i], host, port))
            return true;
    return false;
}

/* ---- as text */

static void append_rules(GString *out, const TbNetPolicy *policy, const char *before,
                         const char *between)
{
    for (guint i = 0; i < policy->rules->len; i++) {
        const TbNetRule *rule = policy->rules->pdata[i];
        g_string_append_printf(out, "%s%s%s%s", i > 0 ? between : "", before,
                               rule->any_below ? "*." : "", rule->host);
        if (rule->port)
            g_string_append_printf(out, ":%u", rule->port);
    }
}

char *tb_net_policy_text(const TbNetPolicy *policy)
{
    if (policy->open)
        return g_strdup("open");
    GString *out = g_string_new(policy->rules->len ? NULL : "none");
    append_rules(out, policy, "", ", ");
    return g_string_free(out, FALSE);
}

char *tb_net_policy_format(const TbNetPolicy *policy)
{
    GString *out = g_string_new(FIRST_LINE "\n");
    if (policy->open)
        g_string_append(out, "open\n");
    if (policy->rules->len > 0) {
        append_rules(out, policy, "allow ", "\n");
        g_string_append_c(out, '\n');
    }
    if (policy->requests)
        g_string_append_printf(out, "requests %" G_GUINT64_FORMAT "\n", policy->requests);
    if (policy->bytes)
        g_string_append_printf(out, "bytes %" G_GUINT64_FORMAT "\n", policy->bytes);
    g_string_append(out, "end\n");
    return g_string_free(out, FALSE);
}

static bool parse_line(TbNetPolicy *policy, const char *line, GError **error)
{
    if (strcmp(line, "open") == 0) {
        policy->open = true;
        return true;
    }
    if (g_str_has_prefix(line, "allow "))
        return tb_net_policy_add(policy, line + strlen("allow "), error);
    if (g_str_has_prefix(line, "requests "))
        return tb_number_parse(line + strlen("requests "), "requests", 1, INT64_MAX,
                               &policy->requests, error);
    if (g_str_has_prefix(line, "bytes "))
        return tb_number_parse(line + strlen("bytes "), "bytes", 1, INT64_MAX, &policy->bytes,
                               error);
    return tb_error_set(error, TB_ERROR_CONFIG, "the policy has a line that is not known");
}

TbNetPolicy *tb_net_policy_parse(const char *text, GError **error)
{
    g_autoptr(TbNetPolicy) policy = tb_net_policy_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint count = g_strv_length(lines);
    /* The last line tells that nothing is missing. */
    if (count < 3 || strcmp(lines[0], FIRST_LINE) != 0 || strcmp(lines[count - 2], "end") != 0 ||
        *lines[count - 1]) {
        tb_error_set(error, TB_ERROR_CONFIG, "the policy is not whole");
        return NULL;
    }
    for (guint i = 1; i < count - 2; i++)
        if (!parse_line(policy, lines[i], error))
            return NULL;
    return g_steal_pointer(&policy);
}
