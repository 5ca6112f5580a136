/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one boot of a build: it proves that the image boots and speaks, runs the recipe's scripts in
 * the machine they are for, and seals it. The box has a network only when there are scripts.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "image/build-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/log.h"
#include "vm/box.h"

#define BOOT_SECONDS      600
#define STEP_SECONDS      120
#define TAIL_LINES        15
#define LINE_LIMIT        4096
#define PACKAGES_LIMIT    (8 * 1024 * 1024)
#define SCRIPT_PATH       "/var/tmp/taskbox-provision"
#define CERTIFICATES      "/run/taskbox-certificates.pem"
#define HOST_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

static int64_t in_seconds(int seconds)
{
    return g_get_monotonic_time() + (int64_t)seconds * G_USEC_PER_SEC;
}

/* --- a script's output: live on stderr, its end kept for the error -----------------------------
 */

typedef struct {
    GString *line;
    bool returned; /* a carriage return came last: what follows on the line replaces it */
    GQueue *tail;
} Output;

static void end_line(Output *output)
{
    g_autofree char *line = tb_escape_terminal(output->line->str, output->line->len, false);
    g_string_truncate(output->line, 0);
    tb_info("  %s", line);
    g_queue_push_tail(output->tail, g_steal_pointer(&line));
    if (g_queue_get_length(output->tail) > TAIL_LINES)
        g_free(g_queue_pop_head(output->tail));
}

static bool take_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Output *output = user_data;
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n' || output->line->len >= LINE_LIMIT)
            end_line(output);
        else if (output->returned && data[i] != '\r')
            g_string_truncate(output->line, 0);
        output->returned = data[i] == '\r';
        if (data[i] != '\n' && data[i] != '\r')
            g_string_append_c(output->line, (char)data[i]);
    }
    return true;
}

static char *join_tail(Output *output)
{
    GString *text = g_string_new(NULL);
    for (GList *item = output->tail->head; item; item = item->next)
        g_string_append_printf(text, "\n  %s", (char *)item->data);
    return g_string_free(text, FALSE);
}

/* --- running things ----------------------------------------------------------------------------
 */

static bool keep_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    GString *text = user_data;
    if (text->len + length > PACKAGES_LIMIT)
        return tb_error_set(error, TB_ERROR_LIMIT,
                            "the image lists more packages or hosts than can be");
    if (fd == 1)
        g_string_append_len(text, (const char *)data, (gssize)length);
    return true;
}

/* A file at `path` in the image, with what is in `fd`. */
static bool put_file(TbSession *session, const char *path, int fd, const char *what, GError **error)
{
    static const char put[] = "rm -rf \"$0\" && cat >\"$0\" && chmod 0755 \"$0\"";
    const char *const argv[] = {"/bin/sh", "-c", put, path, NULL};
    g_autoptr(GString) said = g_string_new(NULL);
    const TbExec exec = {.argv = argv, .cwd = "/", .as_root = true, .stdin_fd = fd};
    const TbExecHandlers handlers = {.output = keep_output, .data = said};
    TbExecResult result;
    if (!tb_session_exec(session, &exec, &handlers, in_seconds(STEP_SECONDS), &result, error))
        return false;
    return result.code == 0 ||
           tb_error_set(error, TB_ERROR_IMAGE, "cannot write %s in the image", what);
}

static bool put_script(TbSession *session, const char *script, GError **error)
{
    tb_autofd fd = memfd_create("script", MFD_CLOEXEC);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot create a file in memory");
    if (!tb_write_all(fd, script, strlen(script), "the script", error))
        return false;
    lseek(fd, 0, SEEK_SET);
    return put_file(session, SCRIPT_PATH, fd, "the provisioning script", error);
}

/* Where a network ends TLS for whoever looks into it, this machine trusts its authority, and the
 * scripts must, too. In /run, so that the image knows nothing of it. */
static bool put_certificates(TbSession *session, bool *put, GError **error)
{
    tb_autofd fd = open(HOST_CERTIFICATES, O_RDONLY | O_CLOEXEC);
    *put = fd >= 0;
    return fd < 0 || put_file(session, CERTIFICATES, fd, "the certificates of this machine", error);
}

static bool run_script(const TbBuild *build, TbSession *session, unsigned number, bool trust,
                       GError **error)
{
    const TbProvision *step = g_ptr_array_index(build->recipe->provision, number);
    static const char *const plain[] = {"/bin/sh", "-e", SCRIPT_PATH, NULL};
    static const char *const own[] = {SCRIPT_PATH, NULL};
    static const char *const env[] = {"DEBIAN_FRONTEND=noninteractive", NULL};
    static const char *const trusting[] = {"DEBIAN_FRONTEND=noninteractive",
                                           "SSL_CERT_FILE=" CERTIFICATES,
                                           "CURL_CA_BUNDLE=" CERTIFICATES,
                                           "REQUESTS_CA_BUNDLE=" CERTIFICATES,
                                           "GIT_SSL_CAINFO=" CERTIFICATES,
                                           "PIP_CERT=" CERTIFICATES,
                                           "NODE_EXTRA_CA_CERTS=" CERTIFICATES,
                                           "CARGO_HTTP_CAINFO=" CERTIFICATES,
                                           NULL};
    if (!put_script(session, step->script, error))
        return false;
    tb_info("provisioning, script %u of %u (%s)", number + 1, build->recipe->provision->len,
            step->user ? "user" : "system");
    Output output = {.line = g_string_new(NULL), .tail = g_queue_new()};
    const TbExec exec = {
        .argv = g_str_has_prefix(step->script, "#!") ? own : plain,
        .env = trust ? trusting : env,
        .cwd = step->user ? "/home/agent" : "/",
        .as_root = !step->user,
        .stdin_fd = -1,
    };
    const TbExecHandlers handlers = {.output = take_output, .data = &output};
    TbExecResult result = {0};
    bool ok = tb_session_exec(session, &exec, &handlers, 0, &result, error);
    if (output.line->len > 0)
        end_line(&output);
    if (ok && result.code != 0) {
        g_autofree char *tail = join_tail(&output);
        ok =
            tb_error_set(error, TB_ERROR_IMAGE,
                         "provisioning script %u of recipe '%s' failed with exit code %d; its last "
                         "lines:%s",
                         number + 1, build->recipe->path, result.code,
                         *tail ? tail : "\n  (it printed nothing)");
    }
    g_string_free(output.line, TRUE);
    g_queue_free_full(output.tail, g_free);
    return ok;
}

static bool remove_script(TbSession *session, GError **error)
{
    static const char *const argv[] = {"rm", "-rf", SCRIPT_PATH, NULL};
    g_autoptr(GString) said = g_string_new(NULL);
    const TbExec exec = {.argv = argv, .cwd = "/", .as_root = true, .stdin_fd = -1};
    const TbExecHandlers handlers = {.output = keep_output, .data = said};
    TbExecResult result;
    return tb_session_exec(session, &exec, &handlers, in_seconds(STEP_SECONDS), &result, error);
}

/* What a shell script in the image prints, for the manifest. */
static bool ask(TbSession *session, const char *script, bool as_root, GString *text, GError **error)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .as_root = as_root, .stdin_fd = -1};
    const TbExecHandlers handlers = {.output = keep_output, .data = text};
    TbExecResult result;
    return tb_session_exec(session, &exec, &handlers, in_seconds(STEP_SECONDS), &result, error);
}

/* One "NAME VERSION" a line. What is not plain text is left out. */
static bool list_packages(TbBuild *build, TbSession *session, GError **error)
{
    static const char script[] =
        "dpkg-query -W -f '${Package} ${Version}\\n' 2>/dev/null ||"
        " rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' 2>/dev/null || true";
    g_autoptr(GString) text = g_string_new(NULL);
    if (!ask(session, script, true, text, error))
        return false;
    build->packages = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
    for (char **line = lines; *line; line++) {
        bool plain = **line && strlen(*line) < 512;
        for (const char *p = *line; plain && *p; p++)
            plain = g_ascii_isprint(*p);
        if (plain)
            g_ptr_array_add(build->packages, g_strdup(*line));
    }
    return true;
}

/* Which hosts its package managers take from (image/hosts.h). A tool that fails has none. */
static bool list_hosts(TbBuild *build, TbSession *session, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (!ask(session, tb_image_hosts_script, false, text, error))
        return false;
    build->hosts = tb_image_hosts_parse(text->str);
    return true;
}

/* --- the boot ----------------------------------------------------------------------------------
 */

static bool check_mount_type(const TbBuild *build, GError **error)
{
    g_auto(GStrv) names = g_strsplit(build->filesystems, ",", -1);
    if (build->recipe->mount_type != TB_MOUNT_9P ||
        g_strv_contains((const char *const *)names, "9p"))
        return true;
    return tb_error_set(error, TB_ERROR_IMAGE,
                        "'mountType: 9p' needs a kernel with 9p, and the image's '%s' has none "
                        "(Debian's is in 'linux-image-amd64')",
                        build->kernel_release);
}

static bool work_in_box(TbBuild *build, TbBox *box, bool network, GError **error)
{
    TbGuestInfo info;
    TbSession *session = tb_box_wait_hello(box, in_seconds(BOOT_SECONDS), &info, error);
    if (!session)
        return false;
    build->kernel_release = g_strdup(info.kernel);
    build->filesystems = g_strdup(info.filesystems);
    if (!check_mount_type(build, error))
        return false;
    const TbSetup setup = {.hostname = "taskbox", .uid = 1000, .gid = 1000, .network = network};
    if (!tb_session_setup(session, &setup, in_seconds(STEP_SECONDS), error))
        return false;
    tb_status_done();
    bool trust = false;
    if (network && !put_certificates(session, &trust, error))
        return false;
    for (unsigned i = 0; i < build->recipe->provision->len; i++)
        if (!run_script(build, session, i, trust, error))
            return false;
    tb_status("sealing the image");
    return (!network || remove_script(session, error)) && list_packages(build, session, error) &&
           list_hosts(build, session, error) &&
           tb_session_seal(session, in_seconds(STEP_SECONDS), error) &&
           tb_box_wait_off(box, in_seconds(STEP_SECONDS), error);
}

bool tb_build_provision(TbBuild *build, GError **error)
{
    g_autofree char *id = g_strdup_printf("build-%.12s", build->digest);
    g_autofree char *dir = g_build_filename(build->work, "box", NULL);
    g_autofree char *disk = g_build_filename(build->staging, TB_IMAGE_DISK, NULL);
    g_autofree char *kernel = g_build_filename(build->staging, TB_IMAGE_KERNEL, NULL);
    g_autofree char *initrd = g_build_filename(build->staging, TB_IMAGE_INITRD, NULL);
    const TbBoxSpec spec = {
        .id = id,
        .dir = dir,
        .disk = disk,
        .disk_writable = true,
        .kernel = kernel,
        .initrd = initrd,
        .cmdline = build->cmdline,
        .cpus = build->recipe->cpus,
        .memory = build->recipe->memory,
        .disk_size = build->recipe->disk,
        .accel = tb_accel_probe(NULL),
        .network = build->recipe->provision->len > 0,
    };
    tb_status("first boot (%s)", tb_accel_name(spec.accel));
    g_autoptr(TbBox) box = tb_box_start(&spec, error);
    bool ok = box && work_in_box(build, box, spec.network, error);
    tb_status_done();
    return ok;
}
