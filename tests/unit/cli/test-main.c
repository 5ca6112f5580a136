/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole command lines, from argv to exit status and output, as far as no box is needed. */
#include "fixture.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "util/fs.h"

static char *root;

/* A user with nothing yet, standing in an empty project. */
static void set_up(void)
{
    root = g_dir_make_tmp("taskbox-test-XXXXXX", NULL);
    static const char *const variables[] = {"HOME", "XDG_STATE_HOME", "XDG_DATA_HOME",
                                            "XDG_CACHE_HOME", "XDG_CONFIG_HOME"};
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++)
        g_setenv(variables[i], root, TRUE);
    g_autofree char *project = g_build_filename(root, "project", NULL);
    ck_assert_int_eq(g_mkdir(project, 0755), 0);
    ck_assert_int_eq(chdir(project), 0);
}

static void tear_down(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert(tb_remove_tree(AT_FDCWD, root, NULL));
    g_free(root);
}

/* Runs with stdout and stderr into files; gives the status. */
static int run(const char *line, char **out, char **err)
{
    g_autofree char *text = g_strconcat("taskbox ", line, NULL);
    g_auto(GStrv) argv = NULL;
    int argc = 0;
    ck_assert(g_shell_parse_argv(text, &argc, &argv, NULL));
    static const char *const names[] = {"out", "err"};
    int saved[2];
    for (int i = 0; i < 2; i++) {
        g_autofree char *path = g_build_filename(root, names[i], NULL);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        saved[i] = dup(i + 1);
        ck_assert_int_eq(dup2(fd, i + 1), i + 1);
        close(fd);
    }
    int status = tb_cli_main(argc, argv);
    fflush(NULL);
    char **texts[] = {out, err};
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
        g_autofree char *path = g_build_filename(root, names[i], NULL);
        ck_assert(g_file_get_contents(path, texts[i], NULL, NULL));
    }
    return status;
}

static const struct {
    const char *line;
    int status;
    const char *out, *err; /* a part of it; NULL: nothing at all */
} lines[] = {
    {"", 2, NULL, "usage: taskbox"},
    {"--help", 0, "usage: taskbox", NULL},
    {"--version", 0, "taskbox ", NULL},
    {"version", 0, "taskbox ", NULL},
    {"help run", 0, "usage: taskbox run", NULL},
    {"run --help", 0, "usage: taskbox run", NULL},
    {"rnu", 2, NULL, "did you mean 'run'"},
    {"image", 2, NULL, "build, ls, show, verify, rm"},
    {"ls", 0, NULL, "no tasks yet"},
    {"-q ls", 0, NULL, NULL},
    {"ls --json", 0, "[]", NULL},
    {"ls --jsno", 2, NULL, "did you mean '--json'"},
    {"ls much", 2, NULL, "'much'"},
    {"show", 2, NULL, "a task is missing"},
    {"show nobody", 1, NULL, "no task 'nobody'"},
    {"logs @last", 1, NULL, "no task yet"},
    {"diff --stat --name-only x", 2, NULL, "do not go together"},
    {"apply", 2, NULL, "a task is missing"},
    {"apply x y", 2, NULL, "y"},
    {"apply --files x", 2, NULL, "no path is given"},
    {"apply nobody --files a b", 1, NULL, "no task 'nobody'"},
    {"undo", 2, NULL, "a task is missing"},
    {"undo nobody", 1, NULL, "no task 'nobody'"},
    {"patch", 2, NULL, "a task is missing"},
    {"patch nobody", 1, NULL, "no task 'nobody'"},
    {"patch verify", 2, NULL, "a patch file is missing"},
    {"patch verify nothing", 1, NULL, "cannot open 'nothing'"},
    {"patch verify .", 2, NULL, "no regular file"},
    {"patch verify /proc/self/cmdline", 12, NULL, "does not begin like a patch of taskbox"},
    {"discard", 2, NULL, "a task is missing"},
    {"image show nothing", 1, NULL, "nothing"},
    {"run", 2, NULL, "a prompt in quotes"},
    {"run ''", 2, NULL, "the prompt is empty"},
    {"run ' '", 2, NULL, "the prompt is empty"},
    {"run --image no-such-image -- true", 125, NULL, "see 'taskbox image ls'"},
    {"run fix it", 2, NULL, "one argument"},
    {"run 'fix it'", 3, NULL, "no agent is the default"},
    {"run --agent x -- true", 125, NULL, "--agent goes with a prompt"},
    {"run --", 125, NULL, "no command after '--'"},
    {"run -- true", 125, NULL, "taskbox image build"},
    {"run --cpus 0 -- true", 125, NULL, "1 to 255"},
    {"run --memory 1K -- true", 125, NULL, "too small"},
    {"run --timeout soon -- true", 125, NULL, "--timeout: 'soon'"},
    {"run --keep sometimes -- true", 125, NULL, "sometimes"},
    {"run -C nowhere -- true", 125, NULL, "nowhere"},
};

/* A refused line leaves no task behind. */
static void no_tasks(void)
{
    g_autoptr(TbStore) store = tb_store_open(NULL);
    g_autoptr(GPtrArray) tasks = tb_task_list(store, NULL);
    ck_assert_uint_eq(tasks->len, 0);
}

START_TEST(test_line)
{
    g_autofree char *out = NULL, *err = NULL;
    ck_assert_int_eq(run(lines[_i].line, &out, &err), lines[_i].status);
    if (lines[_i].out)
        ck_assert_msg(strstr(out, lines[_i].out) != NULL, "stdout: %s", out);
    else
        ck_assert_str_eq(out, "");
    if (lines[_i].err)
        ck_assert_msg(strstr(err, lines[_i].err) != NULL, "stderr: %s", err);
    else
        ck_assert_str_eq(err, "");
    no_tasks();
}
END_TEST

/* With --json a failure is one object on stdout, too. */
static const struct {
    const char *line, *class;
} failures[] = {
    {"run --json -- true", "not-found"},
    {"run --json --memory lots -- true", "usage"},
    {"run --json 'fix it'", "config"},
    {"show --json nobody", "not-found"},
};

START_TEST(test_json_failure)
{
    g_autofree char *out = NULL, *err = NULL;
    ck_assert_int_ne(run(failures[_i].line, &out, &err), 0);
    ck_assert_ptr_eq(strchr(out, '\n'), out + strlen(out) - 1);
    g_autoptr(JsonParser) parser = json_parser_new();
    ck_assert(json_parser_load_from_data(parser, out, -1, NULL));
    JsonObject *object = json_node_get_object(json_parser_get_root(parser));
    ck_assert_str_eq(json_object_get_string_member(object, "status"), "failed");
    JsonObject *error = json_object_get_object_member(object, "error");
    ck_assert_str_eq(json_object_get_string_member(error, "class"), failures[_i].class);
    ck_assert_ptr_nonnull(strstr(err, "taskbox: "));
    no_tasks();
}
END_TEST

/* What a task's record holds reaches no terminal unescaped. */
START_TEST(test_show_escapes)
{
    g_autoptr(TbStore) store = tb_store_open(NULL);
    g_autoptr(TbTask) task = tb_task_create(store, NULL);
    task->prompt = g_strdup("a\033]0;owned\a");
    tb_task_note(task, "note \xe2\x80\xae\033[2J");
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    static const char *const commands[] = {"show @last", "ls"};
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *out = NULL, *err = NULL;
        ck_assert_int_eq(run(commands[i], &out, &err), 0);
        ck_assert_ptr_null(strchr(out, '\033'));
        ck_assert_ptr_null(strstr(out, "\xe2\x80\xae"));
        ck_assert_ptr_nonnull(strstr(out, "owned"));
    }
}
END_TEST

/* Byte for byte, to stdout and to a file. */
START_TEST(test_patch_bytes)
{
    static const char bytes[] = "any\033[31m\xff\0bytes\r\n";
    g_autoptr(TbStore) store = tb_store_open(NULL);
    g_autoptr(TbTask) task = tb_task_create(store, NULL);
    g_autofree char *out = NULL, *err = NULL, *again = NULL, *none = NULL, *file = NULL;
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    ck_assert_int_eq(run("patch @last -o file", &none, &err), 1);
    ck_assert(!g_file_test("file", G_FILE_TEST_EXISTS));
    g_autofree char *path = tb_task_path(task, "patch");
    ck_assert(g_file_set_contents(path, bytes, sizeof bytes, NULL));
    task->has_patch = true;
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    g_clear_pointer(&err, g_free);
    ck_assert_int_eq(run("patch @last", &out, &err), 0);
    ck_assert_mem_eq(out, bytes, sizeof bytes);
    g_clear_pointer(&err, g_free);
    ck_assert_int_eq(run("patch @last -o file", &again, &err), 0);
    ck_assert_str_eq(again, "");
    gsize size = 0;
    ck_assert(g_file_get_contents("file", &file, &size, NULL));
    ck_assert_uint_eq(size, sizeof bytes);
    ck_assert_mem_eq(file, bytes, sizeof bytes);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("main");
    tcase_set_timeout(cases, 60); /* the first run may try KVM */
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, test_line, 0, G_N_ELEMENTS(lines));
    tcase_add_loop_test(cases, test_json_failure, 0, G_N_ELEMENTS(failures));
    tcase_add_test(cases, test_show_escapes);
    tcase_add_test(cases, test_patch_bytes);
    return suite_run_case("cli main", cases);
}
