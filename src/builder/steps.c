/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a recipe wants done in the booted image: packages, files, scripts, in this order. All of it
 * with the recipe's variables, and none of this machine's.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "builder/build-private.h"
#include "image/output.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "vm/box.h"

#define STEP_SECONDS      120
#define SCRIPT_PATH       "/var/tmp/taskbox-provision"
#define CERTIFICATES      "/run/taskbox-certificates.pem"
#define HOST_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

typedef struct {
    const TbBuild *build;
    TbSession *session;
    char **env; /* of every script */
} Steps;

static void steps_clear(Steps *steps)
{
    g_strfreev(steps->env);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Steps, steps_clear)

/* What is in `fd` becomes the file argv[3] names in the image, by our script argv[2]. */
static bool put(TbSession *session, const char *const *argv, int fd, const char *what,
                GError **error)
{
    g_autoptr(TbOutput) output = tb_output_new(false);
    const TbExec exec = {.argv = argv, .cwd = "/", .as_root = true, .stdin_fd = fd};
    const TbExecHandlers handlers = {.output = tb_output_take, .data = output};
    TbExecResult result;
    if (!tb_session_exec(session, &exec, &handlers, tb_session_deadline(STEP_SECONDS), &result,
                         error))
        return false;
    if (result.code == 0)
        return true;
    g_autofree char *tail = tb_output_tail(output);
    return tb_error_set(error, TB_ERROR_IMAGE, "cannot write %s in the image:%s", what, tail);
}

static bool put_program(TbSession *session, const char *path, int fd, const char *what,
                        GError **error)
{
    static const char script[] = "rm -rf \"$0\" && cat >\"$0\" && chmod 0755 \"$0\"";
    const char *const argv[] = {"/bin/sh", "-c", script, path, NULL};
    return put(session, argv, fd, what, error);
}

/* A file in memory, at its start; -1 with error. */
static int memory_file(const char *text, GError **error)
{
    tb_autofd fd = memfd_create("text", MFD_CLOEXEC);
    if (fd < 0) {
        tb_error_set_errno(error, errno, "cannot create a file in memory");
        return -1;
    }
    if (!tb_write_all(fd, text, strlen(text), "a file in memory", error))
        return -1;
    lseek(fd, 0, SEEK_SET);
    return tb_steal_fd(&fd);
}

/* Where a network ends TLS for whoever looks into it, this machine trusts its authority, and the
 * scripts must, too. In /run, so that the image knows nothing of it. */
static bool set_environment(Steps *steps, GError **error)
{
    static const char *const plain[] = {"DEBIAN_FRONTEND=noninteractive", NULL};
    static const char *const trusting[] = {"DEBIAN_FRONTEND=noninteractive",
                                           "SSL_CERT_FILE=" CERTIFICATES,
                                           "CURL_CA_BUNDLE=" CERTIFICATES,
                                           "REQUESTS_CA_BUNDLE=" CERTIFICATES,
                                           "GIT_SSL_CAINFO=" CERTIFICATES,
                                           "PIP_CERT=" CERTIFICATES,
                                           "NODE_EXTRA_CA_CERTS=" CERTIFICATES,
                                           "CARGO_HTTP_CAINFO=" CERTIFICATES,
                                           NULL};
    tb_autofd fd = open(HOST_CERTIFICATES, O_RDONLY | O_CLOEXEC);
    steps->env =
        tb_env_join((const char *const *)steps->build->recipe->env, fd >= 0 ? trusting : plain);
    return fd < 0 ||
           put_program(steps->session, CERTIFICATES, fd, "the certificates of this machine", error);
}

/* `what` names it in messages. */
static bool run_script(Steps *steps, const char *script, bool user, const char *what,
                       GError **error)
{
    static const char *const plain[] = {"/bin/sh", "-e", SCRIPT_PATH, NULL};
    static const char *const own[] = {SCRIPT_PATH, NULL};
    tb_autofd fd = memory_file(script, error);
    if (fd < 0 || !put_program(steps->session, SCRIPT_PATH, fd, what, error))
        return false;
    g_autoptr(TbOutput) output = tb_output_new(true);
    const TbExec exec = {
        .argv = g_str_has_prefix(script, "#!") ? own : plain,
        .env = (const char *const *)steps->env,
        .cwd = user ? "/home/agent" : "/",
        .as_root = !user,
        .stdin_fd = -1,
    };
    const TbExecHandlers handlers = {.output = tb_output_take, .data = output};
    TbExecResult result = {0};
    if (!tb_session_exec(steps->session, &exec, &handlers, 0, &result, error))
        return false;
    g_autofree char *tail = tb_output_tail(output);
    return result.code == 0 ||
           tb_error_set(error, TB_ERROR_IMAGE,
                        "%s of recipe '%s' failed with exit code %d; its last lines:%s", what,
                        steps->build->recipe->path, result.code, tail);
}

/* Names of packages hold nothing that a shell would take for more. */
static bool install_packages(Steps *steps, GError **error)
{
    static const char script[] = "if command -v apt-get >/dev/null; then\n"
                                 "  apt-get -o Acquire::Languages=none update\n"
                                 "  apt-get install -y --no-install-recommends %s\n"
                                 "elif command -v dnf >/dev/null; then\n"
                                 "  dnf install -y --setopt=install_weak_deps=False %s\n"
                                 "else\n"
                                 "  echo 'the image has neither apt-get nor dnf' >&2\n"
                                 "  exit 1\n"
                                 "fi\n";
    if (!steps->build->recipe->install[0])
        return true;
    g_autofree char *names = g_strjoinv(" ", steps->build->recipe->install);
    g_auto(GStrv) parts = g_strsplit(script, "%s", -1);
    g_autofree char *text = g_strjoinv(names, parts);
    tb_info("installing packages: %s", names);
    return run_script(steps, text, false, "installation of packages", error);
}

/* Directories that are made on the way belong to whom the file belongs. */
static bool write_files(Steps *steps, GError **error)
{
    static const char script[] =
        "set -e; path=$0 made= dir=$(dirname \"$0\"); top=$dir\n"
        "while [ ! -d \"$top\" ]; do made=$top; top=$(dirname \"$top\"); done\n"
        "mkdir -p \"$dir\"; [ -z \"$made\" ] || chown -R \"$1\" \"$made\"\n"
        "rm -f \"$path\"; cat >\"$path\"; chown \"$1\" \"$path\"; chmod \"$2\" \"$path\"";
    const GPtrArray *files = steps->build->recipe->files;
    for (guint i = 0; i < files->len; i++) {
        const TbRecipeFile *file = files->pdata[i];
        const char *name = file->owner ? file->owner : "root";
        g_autofree char *owner = g_strconcat(name, strchr(name, ':') ? "" : ":", NULL);
        g_autofree char *mode = g_strdup_printf("%04o", file->mode);
        g_autofree char *what = g_strdup_printf("'%s'", file->path);
        const char *const argv[] = {"/bin/sh", "-c", script, file->path, owner, mode, NULL};
        tb_autofd fd = memory_file(file->content, error);
        if (fd < 0 || !put(steps->session, argv, fd, what, error))
            return false;
    }
    return true;
}

static bool run_scripts(Steps *steps, GError **error)
{
    const GPtrArray *scripts = steps->build->recipe->provision;
    for (guint i = 0; i < scripts->len; i++) {
        const TbProvision *step = scripts->pdata[i];
        g_autofree char *what = g_strdup_printf("provisioning script %u", i + 1);
        tb_info("provisioning, script %u of %u (%s)", i + 1, scripts->len,
                step->user ? "user" : "system");
        if (!run_script(steps, step->script, step->user, what, error))
            return false;
    }
    return true;
}

static bool remove_script(TbSession *session, GError **error)
{
    static const char *const argv[] = {"rm", "-rf", SCRIPT_PATH, NULL};
    return put(session, argv, -1, "the end of the scripts", error);
}

bool tb_build_steps(const TbBuild *build, TbSession *session, GError **error)
{
    g_auto(Steps) steps = {.build = build, .session = session};
    return set_environment(&steps, error) && install_packages(&steps, error) &&
           write_files(&steps, error) && run_scripts(&steps, error) &&
           remove_script(session, error);
}
