/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which policy a task has; and the egress process, really started in its jail, from the first word
 * to its end, wanted or not. */
#include "../task/fixture.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "channel/frame.h"
#include "channel/mux.h"
#include "run/network.h"
#include "util/auto.h"

static const char settings_text[] =
    "agents:\n  one: {command: [a, '{prompt}'], hosts: [api.test, '*.cdn.test:8443']}\n"
    "  two: {command: [b, '{prompt}']}\nagent: one\nallow_hosts: [extra.test]\n";

typedef struct {
    const char *extra; /* at the end of the settings */
    TbNet net;
    const char *agent; /* NULL: a command */
    const char *allow; /* one host, or NULL */
    const char *policy;
    TbNet project; /* what the project's own file says */
} Case;

static const Case cases[] = {
    {"", TB_NET_UNSET, NULL, NULL, "extra.test"},
    {"", TB_NET_NONE, NULL, NULL, "none"},
    {"", TB_NET_NONE, "one", NULL, "none"},
    {"", TB_NET_NONE, NULL, "x.test:1", "x.test:1"},
    {"", TB_NET_UNSET, "one", NULL, "api.test, *.cdn.test:8443, extra.test"},
    {"", TB_NET_UNSET, "two", "y.test", "extra.test, y.test"},
    {"", TB_NET_AGENT, NULL, NULL, "api.test, *.cdn.test:8443, extra.test"},
    {"", TB_NET_OPEN, NULL, NULL, "open"},
    {"net: none\n", TB_NET_UNSET, "one", NULL, "extra.test"},
    {"net: open\n", TB_NET_UNSET, "one", NULL, "open"},
    {"net: open\n", TB_NET_AGENT, "two", NULL, "extra.test"},
    {"net: open\n", TB_NET_NONE, "two", NULL, "none"},
    /* A project lowers, and never widens; a flag is above it. */
    {"", TB_NET_UNSET, "two", NULL, "extra.test", TB_NET_OPEN},
    {"", TB_NET_UNSET, NULL, NULL, "extra.test", TB_NET_AGENT},
    {"", TB_NET_UNSET, "one", NULL, "none", TB_NET_NONE},
    {"net: open\n", TB_NET_UNSET, "two", NULL, "extra.test", TB_NET_AGENT},
    {"net: open\n", TB_NET_UNSET, NULL, NULL, "none", TB_NET_NONE},
    {"net: open\n", TB_NET_UNSET, NULL, "x.test", "x.test", TB_NET_NONE},
    {"", TB_NET_OPEN, NULL, NULL, "open", TB_NET_NONE},
};

START_TEST(decided)
{
    const Case *c = &cases[_i];
    GError *error = NULL;
    g_autofree char *text = g_strconcat(settings_text, c->extra, NULL);
    g_autoptr(TbSettings) settings = tb_settings_parse("c", text, strlen(text), &error);
    ck_assert_msg(settings != NULL, "%s", error ? error->message : "");
    if (c->project) {
        settings->project = tb_settings_new();
        settings->project->net = c->project;
    }
    const char *allow[] = {c->allow, NULL};
    TbRunOptions options = {.net = c->net, .allow_hosts = allow};
    const TbAgent *agent = c->agent ? tb_settings_agent(settings, c->agent, NULL) : NULL;
    g_autoptr(TbTask) task = new_task();
    TbNetwork network = TB_NETWORK_INIT;
    ck_assert(tb_network_decide(&network, settings, &options, agent, NULL, task, &error));
    ck_assert_str_eq(task->net_policy, c->policy);
    ck_assert_int_eq(network.policy == NULL, strcmp(c->policy, "none") == 0);
    tb_network_clear(&network);
}
END_TEST

START_TEST(refused)
{
    static const char *const texts[] = {
        "agents:\n  one: {command: [a, '{prompt}'], hosts: [127.0.0.1]}\n",
        "agents:\n  one: {command: [a, '{prompt}']}\nallow_hosts: ['http://a.test']\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(TbSettings) settings = tb_settings_parse("c", texts[i], strlen(texts[i]), NULL);
        g_autoptr(TbTask) task = new_task();
        TbNetwork network = TB_NETWORK_INIT;
        TbRunOptions options = {0};
        const TbAgent *agent = tb_settings_agent(settings, NULL, NULL);
        ck_assert(!tb_network_decide(&network, settings, &options, agent, NULL, task, &error));
        ck_assert(strstr(error->message, i == 0 ? "'hosts' of agent 'one'" : "'allow_hosts'"));
        tb_network_clear(&network);
    }
}
END_TEST

/* ---- groups */

static void image_of(TbImage *image)
{
    *image = (TbImage){.name = (char *)"debian", .hosts = tb_image_hosts_new()};
    ck_assert(tb_image_hosts_add(image->hosts, "apt", "deb.test", "/etc/apt/sources.list:1"));
    ck_assert(tb_image_hosts_add(image->hosts, "apt", "security.test:8080", "/etc/apt/x:2"));
    /* What an image says is no host because it says so. */
    ck_assert(tb_image_hosts_add(image->hosts, "apt", "127.0.0.1", "/etc/apt/x:3"));
    ck_assert(tb_image_hosts_add(image->hosts, "npm", "localhost", "npm config"));
    ck_assert(tb_image_hosts_add(image->hosts, "pip", "py.test", "pip config"));
}

static const struct {
    const char *settings, *flag, *only, *policy; /* policy NULL: refused */
    TbNet net;
} grouped[] = {
    {"{}", "apt", NULL, "deb.test, security.test:8080"},
    {"{}", "npm", NULL, NULL},
    {"{}", "go", NULL, NULL},
    {"{}", "cargo", NULL, NULL},
    {"allow_hosts: [apt, x.test]", NULL, NULL, "deb.test, security.test:8080, x.test"},
    {"allow_hosts: [go, npm, x.test]", NULL, NULL, "x.test"},
    {"allow_hosts: [apt, x.test]", NULL, "apt", "deb.test, security.test:8080"},
    {"allow_hosts: [deb.test, x.test]", "y.test", "apt", "deb.test, y.test"},
    {"allow_hosts: [apt, x.test]", "pip", "", "py.test"},
    {"allow_hosts: [apt, x.test]", NULL, "go", "none"},
    {"net: open", NULL, "pip", "py.test"},
    {"net: open", NULL, "pip", "open", TB_NET_OPEN},
    {"secrets: {KEY: {hosts: [s.test], file: /x}}", NULL, "pip", "none"},
    {"secrets: {KEY: {hosts: [py.test], file: /x}}", NULL, "pip", "py.test:443"},
};

START_TEST(groups)
{
    g_autoptr(GError) error = NULL;
    TbImage image;
    image_of(&image);
    g_autoptr(TbSettings) settings =
        tb_settings_parse("c", grouped[_i].settings, strlen(grouped[_i].settings), &error);
    ck_assert_msg(settings != NULL, "%s", error ? error->message : "");
    if (grouped[_i].only) {
        settings->project = tb_settings_new();
        settings->project->only_hosts = g_strsplit(grouped[_i].only, " ", -1);
    }
    const char *allow[] = {grouped[_i].flag, NULL};
    const TbRunOptions options = {.net = grouped[_i].net, .allow_hosts = allow};
    g_autoptr(TbNetPolicy) policy = tb_network_policy(settings, &options, NULL, &image, &error);
    if (grouped[_i].policy) {
        ck_assert_msg(policy != NULL, "%s", error ? error->message : "");
        g_autofree char *text = tb_net_policy_text(policy);
        ck_assert_str_eq(text, grouped[_i].policy);
    } else {
        ck_assert_ptr_null(policy);
        ck_assert_ptr_nonnull(strstr(error->message, "--allow-host: "));
    }
    g_ptr_array_unref(image.hosts);
}
END_TEST

START_TEST(groups_need_an_image)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbSettings) settings = tb_settings_new();
    const char *allow[] = {"apt", NULL};
    const TbRunOptions options = {.allow_hosts = allow};
    ck_assert_ptr_null(tb_network_policy(settings, &options, NULL, NULL, &error));
    ck_assert(g_error_matches(error, TB_ERROR, TB_ERROR_NOT_FOUND));
}
END_TEST

/* ---- the process */

static TbEgress *egress;
static int port = -1, log_fd = -1;

/* Started, with a port of which we have the other end. */
static void begin_with(int secrets)
{
    GError *error = NULL;
    int ends[2];
    g_autoptr(TbNetPolicy) policy = tb_net_policy_new();
    ck_assert(tb_net_policy_add(policy, "a.test", NULL));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    log_fd = openat(AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    egress = tb_egress_start("test", policy, secrets, log_fd, &error);
    ck_assert_msg(egress != NULL, "%s", error ? error->message : "");
    port = ends[0];
    bool ok = tb_egress_attach(egress, ends[1], &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
}

static void begin(void)
{
    begin_with(-1);
}

static void end(void)
{
    g_clear_pointer(&egress, tb_egress_free);
    tb_clear_fd(&port);
    tb_clear_fd(&log_fd);
}

static void ask(const char *text)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, TB_MUX_OPEN, 1, 0);
    ck_assert_int_eq(write(port, header, sizeof header), sizeof header);
    tb_frame_header(header, TB_MUX_DATA, 1, (uint32_t)strlen(text));
    ck_assert_int_eq(write(port, header, sizeof header), sizeof header);
    ck_assert_int_eq(write(port, text, strlen(text)), (ssize_t)strlen(text));
    char answer[512];
    ssize_t got = read(port, answer, sizeof answer - 1);
    ck_assert_int_gt(got, 0);
    answer[got] = '\0';
    ck_assert_msg(memmem(answer, (size_t)got, " 403 ", 5) != NULL, "%s", answer + 8);
}

START_TEST(asked_and_written_down)
{
    TbNetCounts counts = {0};
    char text[512] = "";
    begin();
    ask("GET http://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n");
    tb_egress_stop(egress, &counts);
    ck_assert_uint_eq(counts.connections, 1);
    ck_assert_uint_eq(counts.refused, 1);
    ck_assert(!counts.lost);
    ck_assert_int_gt(pread(log_fd, text, sizeof text - 1, 0), 0);
    ck_assert_msg(strstr(text, "\tGET\tb.test\t80\trefused\t") != NULL, "%s", text);
    end();
}
END_TEST

START_TEST(with_secrets)
{
    static const char *const hosts[] = {"a.test", NULL};
    g_autoptr(GPtrArray) secrets = tb_secrets_new();
    TbSecret *secret = tb_secret_new("KEY", "sk-0123456789abcdef", hosts, NULL);
    g_ptr_array_add(secrets, secret);
    tb_autofd sealed = tb_egress_seal(secrets, NULL);
    ck_assert_int_ge(sealed, 0);
    begin_with(sealed);
    ck_assert(g_str_has_prefix(tb_egress_authority(egress), "-----BEGIN CERTIFICATE-----\n"));
    g_autofree char *request = g_strdup_printf(
        "GET http://b.test/ HTTP/1.1\r\nHost: b.test\r\nX: %s\r\n\r\n", secret->placeholder);
    ask(request);
    tb_egress_stop(egress, NULL);
    g_autoptr(GPtrArray) refusals = tb_egress_refusals(egress);
    ck_assert_uint_eq(refusals->len, 1);
    const TbRefusal *refusal = refusals->pdata[0];
    ck_assert_int_eq(refusal->kind, TB_REFUSED_PLACEHOLDER);
    ck_assert_str_eq(refusal->host, "b.test");
    ck_assert_uint_eq(refusal->count, 1);
    end();
}
END_TEST

/* The process of this name whose parent's parent is ours. */
static pid_t find_egress(void)
{
    DIR *dir = opendir("/proc");
    pid_t found = 0;
    for (struct dirent *entry; (entry = readdir(dir)) && !found;) {
        g_autofree char *path = g_strdup_printf("/proc/%s/comm", entry->d_name);
        g_autofree char *name = NULL;
        if (!g_file_get_contents(path, &name, NULL, NULL) || strcmp(name, "taskbox-egress\n") != 0)
            continue;
        pid_t up = (pid_t)atoi(entry->d_name);
        for (int level = 0; level < 4 && up > 1 && up != getpid(); level++) {
            g_autofree char *status_path = g_strdup_printf("/proc/%d/stat", (int)up);
            g_autofree char *status = NULL;
            int parent = 0;
            if (!g_file_get_contents(status_path, &status, NULL, NULL) ||
                sscanf(strrchr(status, ')') + 1, " %*c %d", &parent) != 1)
                break;
            up = parent;
        }
        if (up == getpid())
            found = (pid_t)atoi(entry->d_name);
    }
    closedir(dir);
    return found;
}

/* What is to be seen where it is. As root of the host we can look. */
START_TEST(what_it_sees)
{
    begin();
    pid_t pid = find_egress();
    ck_assert_int_gt(pid, 0);
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *status = NULL;
    ck_assert(g_file_get_contents(path, &status, NULL, NULL));
    ck_assert_ptr_nonnull(strstr(status, "\nSeccomp:\t2\n"));
    ck_assert_ptr_nonnull(strstr(status, "\nNoNewPrivs:\t1\n"));
    ck_assert_ptr_nonnull(strstr(status, "\nCapPrm:\t0000000000000000\n"));
    ck_assert_ptr_null(strstr(status, "\nUid:\t0\t"));
    if (geteuid() == 0) {
        static const char *const hidden[] = {"root",       "home",       "tmp",        "var",
                                             "etc/passwd", "etc/shadow", "sys",        "srv",
                                             "mnt",        "opt",        "run/systemd"};
        static const char *const seen[] = {"usr", "etc/nsswitch.conf", "proc"};
        for (size_t i = 0; i < G_N_ELEMENTS(hidden); i++) {
            g_autofree char *file = g_strdup_printf("/proc/%d/root/%s", (int)pid, hidden[i]);
            ck_assert_msg(access(file, F_OK) != 0, "it sees /%s", hidden[i]);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(seen); i++) {
            g_autofree char *file = g_strdup_printf("/proc/%d/root/%s", (int)pid, seen[i]);
            ck_assert_msg(access(file, F_OK) == 0, "it does not see /%s", seen[i]);
        }
    }
    end();
    ck_assert_int_eq(find_egress(), 0);
}
END_TEST

START_TEST(killed)
{
    TbNetCounts counts = {0};
    char byte;
    begin();
    kill(find_egress(), SIGKILL);
    ck_assert_int_eq(read(port, &byte, 1), 0); /* the box's end hears of it */
    for (int i = 0; i < 200 && find_egress(); i++)
        g_usleep(10000);
    g_usleep(200000);
    tb_egress_stop(egress, &counts);
    ck_assert(counts.lost);
    end();
}
END_TEST

/* A guest that breaks the rules of the port has no network any more. */
START_TEST(liar)
{
    char bytes[64];
    begin();
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_int_eq(write(port, bytes, sizeof bytes), sizeof bytes);
    ck_assert_int_le(read(port, bytes, 1), 0);
    end();
}
END_TEST

/* SIGKILL of taskbox, with no time to do anything. */
START_TEST(taskbox_is_killed)
{
    int said[2];
    pid_t pid = 0;
    ck_assert_int_eq(pipe(said), 0);
    pid_t child = fork();
    if (child == 0) {
        begin();
        pid = find_egress();
        _exit(write(said[1], &pid, sizeof pid) == sizeof pid && pause() ? 1 : 2);
    }
    ck_assert_int_eq(read(said[0], &pid, sizeof pid), sizeof pid);
    ck_assert_int_gt(pid, 0);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    bool there = true;
    for (int i = 0; there && i < 300; i++) {
        g_usleep(10000);
        there = kill(pid, 0) == 0;
    }
    ck_assert(!there);
    close(said[0]);
    close(said[1]);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("network");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, decided, 0, (int)G_N_ELEMENTS(cases));
    tcase_add_test(tests, refused);
    tcase_add_loop_test(tests, groups, 0, G_N_ELEMENTS(grouped));
    tcase_add_test(tests, groups_need_an_image);
    tcase_add_test(tests, asked_and_written_down);
    tcase_add_test(tests, with_secrets);
    tcase_add_test(tests, what_it_sees);
    tcase_add_test(tests, killed);
    tcase_add_test(tests, liar);
    tcase_add_test(tests, taskbox_is_killed);
    return suite_run_case("task network", tests);
}
