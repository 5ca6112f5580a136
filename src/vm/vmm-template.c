/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freeze and fork, by QEMU's migration.
 *
 * With the capability x-ignore-shared a migration leaves out memory that lies in a shared file:
 * what it writes is the devices' state alone, half a megabyte. So a machine whose memory is a file
 * is frozen by stopping it and migrating it to a file of ours; and a machine that maps the same
 * memory privately and reads that state goes on where the other stopped. libvirt knows nothing of
 * it: it has started a machine that waits (-incoming defer), and is asked to let it run.
 *
 * QEMU 7.2 can migrate to a socket but not to a file, so each way goes through one in the box
 * directory, with this process at its other end.
 */
#include "vm/vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <libvirt/libvirt-qemu.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/auto.h"
#include "vm/layout.h"

#define MIGRATION_SOCKET  TB_JAIL_DIR "/" TB_BOX_MIGRATION
#define STATE_LIMIT       (64 * 1024 * 1024)
#define COPY_SIZE         (256 * 1024)
#define POLL_US           1000
#define PATIENCE_US       (60 * G_USEC_PER_SEC)
#define READONLY_RAM_QEMU 8002000UL /* 8.2 */

#define IGNORE_SHARED                                                                              \
    "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":["                  \
    "{\"capability\":\"x-ignore-shared\",\"state\":true}]}}"
#define MIGRATE "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"unix:" MIGRATION_SOCKET "\"}}"
#define MIGRATE_INCOMING                                                                           \
    "{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"unix:" MIGRATION_SOCKET "\"}}"

bool tb_vmm_maps_read_only(virConnectPtr connection)
{
    unsigned long version = 0;
    return virConnectGetVersion(connection, &version) == 0 && version >= READONLY_RAM_QEMU;
}

/* ---- the monitor */

/* QEMU's answer as text (g_free); NULL when there is none. An error of QEMU's is an answer. */
static char *ask(virDomainPtr domain, const char *command)
{
    char *raw = NULL;
    if (virDomainQemuMonitorCommand(domain, command, &raw, 0) < 0)
        return NULL;
    char *answer = g_strdup(raw);
    free(raw);
    return answer;
}

/* A string in the answer's "return" object: `member`; NULL when it is not there. g_free. */
static char *answer_string(const char *answer, const char *member)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    if (!answer || !json_parser_load_from_data(parser, answer, -1, NULL))
        return NULL;
    JsonNode *root = json_parser_get_root(parser);
    JsonObject *object = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    JsonNode *inner = object ? json_object_get_member(object, "return") : NULL;
    if (!inner || !JSON_NODE_HOLDS_OBJECT(inner))
        return NULL;
    JsonNode *value = json_object_get_member(json_node_get_object(inner), member);
    return value && JSON_NODE_HOLDS_VALUE(value) ? g_strdup(json_node_get_string(value)) : NULL;
}

/* A command whose success has nothing to say. */
bool tb_vmm_order(virDomainPtr domain, const char *what, const char *command)
{
    g_autofree char *answer = ask(domain, command);
    if (!answer)
        return tb_vmm_fail(what, NULL);
    return strstr(answer, "\"error\"") ? tb_vmm_fail(what, answer) : true;
}

/* Asks until `member` is one of `wanted` (NULL-terminated) or, with `wanted` NULL, no longer
 * `unwanted`; "failed" ends it as well. */
static bool await(virDomainPtr domain, const char *what, const char *question,
                  const char *const *wanted, const char *unwanted)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE_US;
    for (;;) {
        g_autofree char *answer = ask(domain, question);
        g_autofree char *status = answer_string(answer, "status");
        if (!answer)
            return tb_vmm_fail(what, NULL);
        if (status && wanted && g_strv_contains(wanted, status))
            return true;
        if (status && !wanted && strcmp(status, unwanted) != 0)
            return true;
        if (g_strcmp0(status, "failed") == 0 || g_strcmp0(status, "internal-error") == 0)
            return tb_vmm_fail(what, answer);
        if (g_get_monotonic_time() > deadline)
            return tb_vmm_fail(what, "it takes too long");
        g_usleep(POLL_US);
    }
}

/* ---- the state's way through a socket */

static struct sockaddr_un migration_address(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, MIGRATION_SOCKET, sizeof address.sun_path);
    return address;
}

static bool write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        length -= (size_t)n;
    }
    return true;
}

/* All of one into the other; the number of bytes, -1 when it failed or was too much. */
static ssize_t copy(int from, int to)
{
    g_autofree char *buffer = g_malloc(COPY_SIZE);
    ssize_t total = 0;
    for (;;) {
        ssize_t n = read(from, buffer, COPY_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -1 : total;
        total += n;
        if (total > STATE_LIMIT || !write_all(to, buffer, (size_t)n))
            return -1;
    }
}

typedef struct {
    int listener, file;
    bool done;
} Receiver;

static void *receive_state(void *data)
{
    Receiver *receiver = data;
    tb_autofd peer = accept4(receiver->listener, NULL, NULL, SOCK_CLOEXEC);
    receiver->done = peer >= 0 && copy(peer, receiver->file) > 0;
    return NULL;
}

static int listen_migration(void)
{
    struct sockaddr_un address = migration_address();
    tb_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(MIGRATION_SOCKET);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
        return -1;
    return tb_steal_fd(&fd);
}

bool tb_vmm_freeze(virDomainPtr domain)
{
    static const char *const completed[] = {"completed", NULL};
    static const char what[] = "cannot freeze the VM";
    tb_autofd listener = listen_migration();
    tb_autofd file =
        open(TB_JAIL_DIR "/" TB_BOX_STATE, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
    if (listener < 0 || file < 0)
        return tb_vmm_fail(what, g_strerror(errno));
    if (virDomainSuspend(domain) < 0)
        return tb_vmm_fail(what, NULL);
    Receiver receiver = {.listener = listener, .file = file};
    pthread_t thread;
    if (pthread_create(&thread, NULL, receive_state, &receiver) != 0)
        return tb_vmm_fail(what, "no thread");
    bool ok = tb_vmm_order(domain, what, IGNORE_SHARED) && tb_vmm_order(domain, what, MIGRATE) &&
              await(domain, what, "{\"execute\":\"query-migrate\"}", completed, NULL);
    shutdown(listener, SHUT_RDWR); /* wakes an accept that nobody has come to */
    pthread_join(thread, NULL);
    if (ok && !receiver.done)
        return tb_vmm_fail(what, "its state could not be written");
    return ok;
}

static bool send_state(const char *what)
{
    struct sockaddr_un address = migration_address();
    tb_autofd file = open(TB_JAIL_STATE, O_RDONLY | O_CLOEXEC);
    tb_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0 || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return tb_vmm_fail(what, g_strerror(errno));
    return copy(file, fd) > 0 || tb_vmm_fail(what, "its state could not be read");
}

bool tb_vmm_thaw(virDomainPtr domain)
{
    static const char what[] = "cannot fork the template";
    return tb_vmm_order(domain, what, IGNORE_SHARED) &&
           tb_vmm_order(domain, what, MIGRATE_INCOMING) && send_state(what) &&
           await(domain, what, "{\"execute\":\"query-status\"}", NULL, "inmigrate");
}
