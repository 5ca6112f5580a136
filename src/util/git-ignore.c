/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check-ignore --verbose --non-matching answers each path with four fields: where the rule stands,
 * its line, the rule (empty: none matches; "!...": one that takes back), the path. It looks for the
 * rules in a work tree, which is a scratch directory of ours. Paths are prefixed with "./" since
 * check-ignore knows no literal pathspecs.
 */
#include "util/git-ignore.h"

#include "util/error.h"

#define OUTPUT_LIMIT ((size_t)4 << 30)

typedef struct {
    guint count, answered;
    TbIgnoreAnswerFn fn;
    void *user_data;
    unsigned field;
    size_t field_length;
    bool ignored;
} Answer;

static bool answer_end(Answer *answer, GError **error)
{
    if (answer->answered >= answer->count)
        return tb_error_set(error, TB_ERROR_INTERNAL, "git answered more paths than it was asked");
    answer->fn(answer->answered++, answer->ignored, answer->user_data);
    answer->ignored = false;
    return true;
}

static bool answer_bytes(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Answer *answer = user_data;
    for (size_t i = 0; i < length; i++) {
        if (data[i]) {
            if (answer->field == 2 && answer->field_length == 0)
                answer->ignored = data[i] != '!';
            answer->field_length++;
            continue;
        }
        answer->field_length = 0;
        answer->field = (answer->field + 1) % 4;
        if (answer->field == 0 && !answer_end(answer, error))
            return false;
    }
    return true;
}

bool tb_git_ignored(TbGit *git, const TbIgnoreRules *rules, guint count, TbIgnorePathFn path,
                    TbIgnoreAnswerFn fn, void *user_data, GError **error)
{
    g_autoptr(GString) input = g_string_new(NULL);
    for (guint i = 0; i < count; i++) {
        bool is_dir = false;
        g_string_append(input, "./");
        g_string_append(input, path(i, &is_dir, user_data));
        g_string_append(input, is_dir ? "/" : "");
        g_string_append_c(input, '\0');
    }
    Answer answer = {.count = count, .fn = fn, .user_data = user_data};
    /* A setting of this call comes after those of all calls. */
    g_autoptr(TbCommand) command = tb_git_command(git, "-c", rules->scratch, NULL);
    tb_command_add(command, rules->any_case ? "core.ignoreCase=true" : "core.ignoreCase=false",
                   "check-ignore", "-z", "--stdin", "--no-index", "--verbose", "--non-matching",
                   NULL);
    tb_command_unsetenv(command, "GIT_LITERAL_PATHSPECS");
    tb_command_set_cwd(command, rules->scratch);
    tb_command_set_stdin_bytes(command, input->str, input->len);
    tb_command_set_stdout_fn(command, answer_bytes, &answer);
    tb_command_set_stdout_limit(command, OUTPUT_LIMIT);
    int status = 0;
    if (!tb_command_run_status(command, NULL, &status, error))
        return false;
    /* 1: none is ignored. */
    if (status > 1 || answer.answered != count || answer.field != 0)
        return tb_error_set(error, TB_ERROR_INTERNAL,
                            "cannot find out which files are ignored: git check-ignore ended "
                            "with %d after %u of %u paths",
                            status, answer.answered, count);
    return true;
}
