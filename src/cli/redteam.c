/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox redteam: attacks on this very installation, in real boxes.
 *
 * A case is a script whose head says what it attacks. It gets a directory of its own with a home,
 * a state and a cache that are gone afterwards; of the user's it sees golden images and templates.
 * It ends with 0 when the promise held, with 77 when it could not be tried here; anything else is a
 * broken promise, and its last lines say what was seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/output.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"
#include "util/paths.h"

#define TIMEOUT      900 /* seconds; the first case may have to boot and freeze a template */
#define NOT_TRIED    77
#define SUFFIX       ".sh"
#define MAX_SCRIPT   ((size_t)1 << 20)
#define WORDS        ((gsize)2000)
#define CASE_COLUMNS 4

typedef struct {
    char *id, *path, *promise, *attack;
} Case;

typedef struct {
    char *root;   /* of all that the cases make; gone at the end */
    char *cache;  /* what is known of QEMU and images stays for the next time */
    int cache_fd; /* locked: in use */
    bool cold;    /* boxes are booted, not forked */
    unsigned held, broken, untried;
} Suite;

static void suite_clear(Suite *suite)
{
    if (suite->root)
        (void)tb_remove_tree(AT_FDCWD, suite->root, NULL);
    /* The last one of several suites clears up; the others may be using it. */
    if (suite->cache_fd >= 0 && flock(suite->cache_fd, LOCK_EX | LOCK_NB) == 0) {
        g_autofree char *projects = g_build_filename(suite->cache, "taskbox", "projects", NULL);
        (void)tb_remove_tree(AT_FDCWD, projects, NULL);
    }
    tb_clear_fd(&suite->cache_fd);
    g_free(suite->root);
    g_free(suite->cache);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Suite, suite_clear)

static void case_free(void *data)
{
    Case *item = data;
    g_free(item->id);
    g_free(item->path);
    g_free(item->promise);
    g_free(item->attack);
    g_free(item);
}

/* What follows "# NAME: " on a line of the script's head. g_free. */
static char *head_line(const char *script, const char *name)
{
    g_autofree char *start = g_strdup_printf("\n# %s: ", name);
    const char *at = strstr(script, start);
    if (!at)
        return g_strdup("");
    at += strlen(start);
    return g_strndup(at, strcspn(at, "\n"));
}

static gint case_order(gconstpointer a, gconstpointer b)
{
    return strcmp((*(Case *const *)a)->id, (*(Case *const *)b)->id);
}

static GPtrArray *find_cases(const char *folder, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, error);
    if (!dir)
        return NULL;
    g_autoptr(GPtrArray) cases = g_ptr_array_new_with_free_func(case_free);
    for (const char *name; (name = g_dir_read_name(dir));) {
        if (!g_str_has_suffix(name, SUFFIX))
            continue;
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autoptr(GBytes) script = tb_read_file_at(AT_FDCWD, path, MAX_SCRIPT, error);
        if (!script)
            return NULL;
        Case *item = g_new0(Case, 1);
        item->id = g_strndup(name, strlen(name) - strlen(SUFFIX));
        item->path = g_steal_pointer(&path);
        item->promise = head_line(g_bytes_get_data(script, NULL), "promise");
        item->attack = head_line(g_bytes_get_data(script, NULL), "attack");
        g_ptr_array_add(cases, item);
    }
    g_ptr_array_sort(cases, case_order);
    return g_steal_pointer(&cases);
}

static bool is_asked_for(const Case *item, const char *const *words)
{
    if (!words[0])
        return true;
    for (; *words; words++)
        if (g_ascii_strcasecmp(*words, item->id) == 0)
            return true;
    return false;
}

static bool check_words(const GPtrArray *cases, const char *const *words, GError **error)
{
    for (; *words; words++) {
        bool known = false;
        for (guint i = 0; i < cases->len; i++)
            known |= g_ascii_strcasecmp(*words, ((Case *)cases->pdata[i])->id) == 0;
        if (!known) {
            g_autofree char *name = tb_escape_name(*words);
            return tb_error_set(error, TB_ERROR_USAGE,
                                "there is no case '%s' (taskbox redteam --list)", name);
        }
    }
    return true;
}

/* The folders each case has for itself. */
static bool make_place(const Suite *suite, const Case *item, char **place, GError **error)
{
    *place = g_build_filename(suite->root, item->id, NULL);
    static const char *const names[] = {"home", "state", "config", "run", "tmp"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(*place, names[i], NULL);
        if (!tb_make_dirs(path, 0700, error))
            return false;
    }
    return true;
}

static void set_environment(TbCommand *command, const Suite *suite, const Case *item,
                            const char *place, const char *program)
{
    static const struct {
        const char *name, *folder;
    } folders[] = {{"HOME", "home"},
                   {"XDG_STATE_HOME", "state"},
                   {"XDG_CONFIG_HOME", "config"},
                   {"XDG_RUNTIME_DIR", "run"},
                   {"TMPDIR", "tmp"}};
    g_autofree char *data = tb_path_data();
    g_autofree char *data_home = g_path_get_dirname(data);
    const char *path = g_getenv("PATH");
    tb_command_env_clear(command);
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *folder = g_build_filename(place, folders[i].folder, NULL);
        tb_command_setenv(command, folders[i].name, folder);
    }
    tb_command_setenv(command, "XDG_CACHE_HOME", suite->cache);
    tb_command_setenv(command, "XDG_DATA_HOME", data_home);
    tb_command_setenv(command, "PATH", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
    tb_command_setenv(command, "LC_ALL", "C.UTF-8");
    tb_command_setenv(command, "TASKBOX", program);
    tb_command_setenv(command, "PLACE", place);
    tb_command_setenv(command, "CASE", item->id);
    if (suite->cold)
        tb_command_setenv(command, "COLD", "1");
    const char *hole = g_getenv("TASKBOX_HOLE"); /* nobody but a build with holes looks at it */
    if (hole)
        tb_command_setenv(command, "TASKBOX_HOLE", hole);
}

/* The last of what a case said, indented. It may quote a box. */
static bool print_words(GBytes *out, GError **error)
{
    gsize length = 0;
    const char *text = g_bytes_get_data(out, &length);
    gsize skip = length > WORDS ? length - WORDS : 0;
    g_autofree char *safe = tb_escape_terminal(text + skip, length - skip, true);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(safe), "\n", -1);
    for (char **line = lines; *line; line++)
        if (!tb_print_format(error, "      %s\n", *line))
            return false;
    return true;
}

static bool run_case(Suite *suite, const Case *item, const char *program, GError **error)
{
    g_autofree char *place = NULL;
    if (!make_place(suite, item, &place, error))
        return false;
    g_autoptr(TbCommand) command = tb_command_new("bash");
    tb_command_add(command, item->path, NULL);
    set_environment(command, suite, item, place, program);
    tb_command_set_cwd(command, place);
    tb_command_set_timeout(command, TIMEOUT);
    g_autoptr(GBytes) out = NULL;
    g_autoptr(GError) why = NULL;
    int status = -1;
    bool ran = tb_command_run_status(command, &out, &status, &why);
    if (g_error_matches(why, TB_ERROR, TB_ERROR_INTERRUPTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    bool held = ran && status == 0, untried = ran && status == NOT_TRIED;
    suite->held += held;
    suite->untried += untried;
    suite->broken += !held && !untried;
    const char *verdict = held ? "held" : untried ? "not tried" : "BROKEN";
    if (!tb_print_format(error, "%-*s  %-9s  %s\n", CASE_COLUMNS, item->id, verdict,
                         item->attack) ||
        (!ran && !tb_print_format(error, "      %s\n", why->message)))
        return false;
    return held || !out || print_words(out, error);
}

static bool list_cases(const GPtrArray *cases, const char *const *words, GError **error)
{
    for (guint i = 0; i < cases->len; i++) {
        const Case *item = cases->pdata[i];
        if (is_asked_for(item, words) && !tb_print_format(error, "%-*s  %-8s  %s\n", CASE_COLUMNS,
                                                          item->id, item->promise, item->attack))
            return false;
    }
    return true;
}

static bool run_cases(Suite *suite, const GPtrArray *cases, const char *const *words,
                      GError **error)
{
    g_autofree char *program = g_file_read_link("/proc/self/exe", error);
    g_autofree char *tmp = g_build_filename(g_get_tmp_dir(), "taskbox-redteam-XXXXXX", NULL);
    if (!program)
        return false;
    if (!g_mkdtemp(tmp))
        return tb_error_set_errno(error, errno, "cannot make a directory in '%s'", g_get_tmp_dir());
    suite->root = g_steal_pointer(&tmp);
    g_autofree char *cache = tb_path_cache();
    suite->cache = g_build_filename(cache, "redteam", NULL);
    if (!tb_make_dirs(suite->cache, 0700, error))
        return false;
    suite->cache_fd = open(suite->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (suite->cache_fd < 0 || flock(suite->cache_fd, LOCK_SH) < 0)
        return tb_error_set_errno(error, errno, "cannot use '%s'", suite->cache);
    for (guint i = 0; i < cases->len; i++)
        if (is_asked_for(cases->pdata[i], words) &&
            !run_case(suite, cases->pdata[i], program, error))
            return false;
    return true;
}

bool tb_cli_redteam(TbCli *cli, int *status, GError **error)
{
    const char *const *words = tb_arguments_words(cli->arguments);
    g_autofree char *folder = tb_path_redteam(error);
    g_autofree char *cases_folder = folder ? g_build_filename(folder, "cases", NULL) : NULL;
    g_autoptr(GPtrArray) cases = folder ? find_cases(cases_folder, error) : NULL;
    if (!cases || !check_words(cases, words, error))
        return false;
    if (tb_arguments_flag(cli->arguments, "list"))
        return list_cases(cases, words, error);
    g_auto(Suite) suite = {.cache_fd = -1, .cold = tb_arguments_flag(cli->arguments, "cold")};
    if (!run_cases(&suite, cases, words, error))
        return false;
    *status = suite.broken || suite.untried ? 1 : 0;
    return tb_print_format(error, "%u held, %u broken, %u not tried\n", suite.held, suite.broken,
                           suite.untried);
}
