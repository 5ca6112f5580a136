/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the egress process looks at of the box's requests: names, the beginning of TLS, pushes; and
 * what taskbox looks at of the egress process's reports. */
#include <stdlib.h>
#include <string.h>

#include "net/hello.h"
#include "net/policy.h"
#include "net/proxy.h"
#include "net/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A name that was understood is one that reads the same again, and is never a number. */
static void check_name(const char *name)
{
    g_autofree char *again = tb_host_parse(name, strlen(name), NULL);
    if (!again || strcmp(again, name) != 0)
        abort();
    const char *last = strrchr(name, '.');
    if (!last || last[1 + strspn(last + 1, "0123456789")] == '\0')
        abort();
    for (const char *at = name; *at; at++)
        if (!g_ascii_islower(*at) && !g_ascii_isdigit(*at) && *at != '-' && *at != '.')
            abort();
}

static void check_event(const char *text)
{
    g_auto(TbNetEvent) event = {0};
    if (!tb_net_event_parse(text, &event))
        return;
    g_autofree char *line = tb_net_event_format(&event);
    if (strlen(line) >= TB_NET_LINE_MAX)
        abort();
    for (const char *at = line; *at; at++)
        if ((unsigned char)*at < ' ' && *at != '\t')
            abort();
}

/* What two policies make of a name together is what each makes of it. */
static void check_narrow(const char *text)
{
    static const char *const names[] = {"a.test", "b.a.test", "test.a", "c.b.a.test"};
    static const uint16_t ports[] = {80, 443, 8080};
    g_auto(GStrv) words = g_strsplit_set(text, " \n", 32);
    g_autoptr(TbNetPolicy) one = tb_net_policy_new();
    g_autoptr(TbNetPolicy) other = tb_net_policy_new();
    g_autoptr(TbNetPolicy) both = tb_net_policy_new();
    for (guint i = 0; words[i]; i++) {
        TbNetPolicy *policy = i % 2 ? one : other;
        if (strcmp(words[i], "open") == 0)
            policy->open = true;
        else
            (void)tb_net_policy_add(policy, words[i], NULL);
        if (policy == one)
            (void)tb_net_policy_add(both, words[i], NULL);
    }
    both->open = one->open;
    tb_net_policy_narrow(both, other);
    for (size_t i = 0; i < G_N_ELEMENTS(names) * G_N_ELEMENTS(ports); i++) {
        const char *name = names[i / G_N_ELEMENTS(ports)];
        uint16_t port = ports[i % G_N_ELEMENTS(ports)];
        if (tb_net_policy_allows(both, name, port) !=
            (tb_net_policy_allows(one, name, port) && tb_net_policy_allows(other, name, port)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = g_memdup2(size ? data : (const uint8_t *)"", MAX(size, 1));
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autofree char *host = tb_host_parse((const char *)copy, size, NULL);
    if (host)
        check_name(host);
    g_autofree char *name = NULL;
    const char *why = NULL;
    TbHelloResult result = tb_hello_parse(copy, size, &name, &why);
    if ((result == TB_HELLO_NAME) != (name != NULL) || (result == TB_HELLO_BAD) != (why != NULL))
        abort();
    if (name)
        check_name(name);
    g_autoptr(TbNetPolicy) policy = tb_net_policy_parse(text, NULL);
    if (policy && !policy->open && policy->rules->len == 0 &&
        tb_net_policy_allows(policy, "a.test", 443))
        abort();
    tb_is_push(text, text);
    tb_header_stays(text, text);
    check_event(text);
    check_narrow(text);
    return 0;
}
