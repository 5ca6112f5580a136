/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox init: what the project is made of, and what settings and image would do for it. Nothing
 * is written without a yes. The project is not trusted: its names are escaped, its .taskbox.yaml is
 * no link, and nothing of it gets into a recipe, which is the user's and for all projects.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/proposal.h"
#include "cli/review-keys.h"
#include "config/layers.h"
#include "image/store.h"
#include "project/project.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/paths.h"

#define FILE_LIMIT ((size_t)64 << 10)

/* A file that is proposed. */
typedef struct {
    char *dir, *name;
    char *now; /* NULL: it is not there */
    char *text;
} File;

static void file_clear(File *file)
{
    g_free(file->dir);
    g_free(file->name);
    g_free(file->now);
    g_free(file->text);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(File, file_clear)

/* *now is NULL when there is no such file; a link there, or anything else, is an error. */
static bool read_now(const File *file, char **now, GError **error)
{
    g_autoptr(GError) why = NULL;
    tb_autofd dir = open(file->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    *now = NULL;
    if (dir < 0 || (fstatat(dir, file->name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT))
        return true;
    if (!S_ISREG(st.st_mode))
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot propose another '%s': what is there is no regular file",
                            file->name);
    g_autoptr(GBytes) data = tb_read_file_at(dir, file->name, FILE_LIMIT, &why);
    const char *text = data ? g_bytes_get_data(data, NULL) : NULL;
    if (text && strlen(text) == g_bytes_get_size(data)) {
        *now = g_strdup(text);
        return true;
    }
    return tb_error_set(error, why ? tb_error_code(why) : TB_ERROR_UNSUPPORTED,
                        "cannot propose another '%s': %s", file->name,
                        why ? why->message : "what is there is no text");
}

static bool file_changes(const File *file)
{
    return file->text && g_strcmp0(file->now, file->text) != 0;
}

static void indent(GString *out, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line && (line[1] || **line); line++)
        g_string_append_printf(out, "    %s\n", *line);
}

static void show_file(GString *out, const File *file)
{
    if (!file->text)
        return;
    g_autofree char *path = g_build_filename(file->dir, file->name, NULL);
    g_autofree char *shown = tb_escape_name(path);
    g_autofree char *text = file->now && file_changes(file)
                                ? tb_proposal_diff(file->now, file->text)
                                : tb_escape_terminal(file->text, strlen(file->text), true);
    g_string_append_printf(out, "\n%s%s:\n", shown,
                           !file->now           ? ""
                           : file_changes(file) ? ", how it would change"
                                                : ", as it is");
    indent(out, text);
}

static bool write_file(const File *file, bool project, GError **error)
{
    g_autofree char *now = NULL;
    struct stat st;
    if (!file_changes(file))
        return true;
    if (!read_now(file, &now, error))
        return false;
    if (g_strcmp0(now, file->now) != 0)
        return tb_error_set(error, TB_ERROR_CONFLICT, "'%s' has changed meanwhile (run it again)",
                            file->name);
    if (!project && !tb_make_dirs(file->dir, 0700, error))
        return false;
    tb_autofd dir = open(file->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fstat(dir, &st) < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", file->dir);
    if (!tb_write_atomic(dir, file->name, file->text, strlen(file->text), 0644, error))
        return false;
    /* Root works in a user's project. */
    if (project && geteuid() == 0 && st.st_uid != 0 &&
        fchownat(dir, file->name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return tb_error_set_errno(error, errno, "cannot give '%s' to the project's owner",
                                  file->name);
    tb_info("written: %s/%s", file->dir, file->name);
    return true;
}

/* ---- what was found */

static void show_survey(GString *out, const TbSurvey *survey, const char *agent)
{
    for (guint i = 0; i < survey->languages->len; i++) {
        const TbLanguage *language = survey->languages->pdata[i];
        g_autofree char *because = tb_escape_name(language->because);
        g_string_append_printf(out, "found     %s (%s)\n", language->name, because);
    }
    if (survey->languages->len == 0)
        g_string_append(out, "found     no language that taskbox knows of\n");
    for (guint i = 0; i < survey->agents->len; i++) {
        const TbAgentTrace *trace = survey->agents->pdata[i];
        g_autofree char *because = tb_escape_name(trace->because);
        g_string_append_printf(out, "agent     %s (%s)\n", trace->name, because);
    }
    if (agent) {
        g_autofree char *name = tb_escape_name(agent);
        g_string_append_printf(out, "agent     %s (your settings)\n", name);
    }
}

static void show_next(GString *out, const TbSurvey *survey, const TbProposal *proposal)
{
    g_autoptr(TbImage) there = proposal->recipe ? NULL : tb_image_open(proposal->image, NULL);
    g_string_append(out, "\nthen:\n");
    if (!there)
        g_string_append_printf(out, "    taskbox image build %s\n", proposal->image);
    for (guint i = 0; i < survey->languages->len; i++) {
        const char *test = ((const TbLanguage *)survey->languages->pdata[i])->test;
        if (test && strstr(test, "&&"))
            g_string_append_printf(out, "    taskbox run -- sh -c '%s'\n", test);
        else if (test)
            g_string_append_printf(out, "    taskbox run -- %s\n", test);
    }
    for (guint i = 0; i < survey->agents->len; i++)
        g_string_append_printf(out, "    taskbox run --agent %s \"...\"\n",
                               ((const TbAgentTrace *)survey->agents->pdata[i])->name);
}

/* ---- the question */

static bool ask(GError **error)
{
    char key = '\0';
    g_auto(TbKeys) keys = {.fd = -1};
    fprintf(stderr, "write this? [y/N] ");
    if (!tb_keys_begin(&keys, STDIN_FILENO, error) || !tb_keys_read(&keys, &key, error))
        return false;
    fprintf(stderr, "%s\n", strchr("yY", key) && key ? "y" : "n");
    return key == 'y' || key == 'Y';
}

static bool is_wanted(const TbCli *cli, bool *wanted, GError **error)
{
    GError *why = NULL;
    *wanted = tb_arguments_flag(cli->arguments, "yes");
    if (*wanted)
        return true;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        tb_info("nothing is written (run it in a terminal, or with --yes)");
        return true;
    }
    *wanted = ask(&why);
    if (why)
        g_propagate_error(error, why);
    else if (!*wanted)
        tb_info("nothing is written");
    return !why;
}

static bool propose(TbCli *cli, const TbProject *project, const char *agent, GError **error)
{
    g_auto(TbProposal) proposal = {0};
    g_auto(File) settings = {.dir = g_strdup(tb_project_root(project)),
                             .name = g_strdup(TB_PROJECT_SETTINGS)};
    g_auto(File) recipe = {0};
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(TbSurvey) survey = tb_survey_new(tb_project_root(project), error);
    if (!survey)
        return false;
    tb_proposal_make(&proposal, survey, tb_project_name(project), agent);
    g_autofree char *config = tb_path_config();
    recipe.dir = g_build_filename(config, "images", NULL);
    recipe.name = g_strconcat(proposal.image, ".yaml", NULL);
    recipe.text = g_strdup(proposal.recipe);
    if (!read_now(&settings, &settings.now, error) ||
        (recipe.text && !read_now(&recipe, &recipe.now, error)))
        return false;
    settings.text = tb_proposal_settings(&proposal, settings.now);
    show_survey(out, survey, agent);
    show_file(out, &recipe);
    show_file(out, &settings);
    show_next(out, survey, &proposal);
    bool wanted = false;
    if (!tb_print(out->str, error))
        return false;
    if (!file_changes(&recipe) && !file_changes(&settings)) {
        tb_info("all of this is there already");
        return true;
    }
    fflush(stdout);
    return is_wanted(cli, &wanted, error) &&
           (!wanted || (write_file(&recipe, false, error) && write_file(&settings, true, error)));
}

bool tb_cli_init(TbCli *cli, int *status, GError **error)
{
    const char *dir = tb_arguments_value(cli->arguments, "directory");
    if (!tb_arguments_none(cli->arguments, error))
        return false;
    g_autoptr(TbSettings) settings = tb_settings_load(error);
    g_autoptr(TbProject) project = settings ? tb_project_open(dir ? dir : ".", error) : NULL;
    return project && propose(cli, project, settings->agent, error);
}
