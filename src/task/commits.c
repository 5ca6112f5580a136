/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commits come out of the box by a process like any other: a few lines of shell look whether HEAD
 * has moved (without git, as long as it has not), and if so git in the box makes a pack. On the
 * host all of it is bytes of the box, at most so many of them.
 *
 * It comes last, when the patch is on the disk: a box that lies, hangs or has broken its
 * repository loses its commits and nothing else.
 */
#include "task/commits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "task/findings.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/interrupt.h"

#define FILE_NAME    "series"
#define FILE_LIMIT   ((size_t)64 << 20)
#define HEAD_BYTES   ((size_t)16 << 10) /* of the answer: a line, and an id for each commit */
#define ANSWER_BYTES (TB_SERIES_PACK + HEAD_BYTES)
#define WORDS_BYTES  300
#define SECONDS      60
#define MAGIC        "taskbox-commits "

enum { EXIT_SAME = 10, EXIT_NO_GIT, EXIT_BROKEN, EXIT_NO_PACK };

/* The answer: "taskbox-commits HOW-MANY OF-HOW-MANY", an id a line (oldest first), the pack. */
const char tb_task_commits_script[] =
    "export GIT_OPTIONAL_LOCKS=0 GIT_NO_REPLACE_OBJECTS=1 GIT_TERMINAL_PROMPT=0\n"
    "base=$1 limit=$2 id=\n"
    "{ IFS= read -r head <.git/HEAD; } 2>/dev/null || exit 12\n"
    "case $head in\n"
    "'ref: '*) { IFS= read -r id <\".git/${head#ref: }\"; } 2>/dev/null ;;\n"
    "*) id=$head ;;\n"
    "esac\n"
    "[ -n \"$base\" ] && [ \"$id\" = \"$base\" ] && exit 10\n"
    "command -v git >/dev/null || exit 11\n"
    "tip=$(git rev-parse -q --verify 'HEAD^{commit}') || { [ -n \"$base\" ] && exit 12; exit 10; "
    "}\n"
    "[ \"$tip\" = \"$base\" ] && exit 10\n"
    "list=$(git rev-list --first-parent --reverse \"$tip\" ${base:+\"^$base\"}) || exit 12\n"
    "[ -n \"$list\" ] || exit 10\n"
    "set -- $list\n"
    "all=$# count=$#\n"
    "[ \"$count\" -le \"$limit\" ] || count=$limit\n"
    "printf 'taskbox-commits %d %d\\n' \"$count\" \"$all\"\n"
    "while [ \"$count\" -gt 0 ]; do\n"
    "    tip=$1 count=$((count - 1))\n"
    "    printf '%s\\n' \"$tip\"\n"
    "    shift\n"
    "done\n"
    "printf '%s\\n' \"$tip\" ${base:+\"^$base\"} |\n"
    "    git pack-objects -q --stdout --revs --delta-base-offset || exit 13\n";

typedef struct {
    int fd; /* the answer so far */
    size_t bytes;
    GString *words; /* the last of stderr */
} Answer;

static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Answer *answer = user_data;
    if (fd != 1) {
        g_string_append_len(answer->words, (const char *)data, (gssize)length);
        if (answer->words->len > WORDS_BYTES)
            g_string_erase(answer->words, 0, (gssize)(answer->words->len - WORDS_BYTES));
        return true;
    }
    answer->bytes += length;
    if (answer->bytes > ANSWER_BYTES)
        return tb_error_set(error, TB_ERROR_LIMIT, "they are larger than 64 MiB");
    return tb_write_all(answer->fd, data, length, "the commits", error);
}

static bool explain(const TbExecResult *result, const Answer *answer, GError **error)
{
    static const char *const reasons[] = {
        [EXIT_NO_GIT] = "there is no git in the box",
        [EXIT_BROKEN] = "the repository in the box cannot be read",
        [EXIT_NO_PACK] = "git in the box cannot pack them",
    };
    const char *reason = result->code >= EXIT_NO_GIT && result->code <= EXIT_NO_PACK
                             ? reasons[result->code]
                             : "the box does not tell them";
    g_autofree char *line = g_strndup(answer->words->str, answer->words->len);
    g_strdelimit(line, "\r\n", ' ');
    g_autofree char *words = tb_escape_name(g_strstrip(line));
    return tb_error_set(error, TB_ERROR_GUEST, "%s%s%s", reason, *words ? ": " : "", words);
}

/* *moved: there is an answer in answer->fd. */
static bool ask(TbSession *session, const TbTask *task, const char *cwd, Answer *answer,
                bool *moved, GError **error)
{
    g_autofree char *limit = g_strdup_printf("%d", TB_SERIES_COMMITS);
    const char *argv[] = {
        "sh",  "-c", tb_task_commits_script, "sh", task->box_commit ? task->box_commit : "",
        limit, NULL};
    TbExec exec = {.argv = argv, .cwd = cwd, .stdin_fd = -1};
    TbExecHandlers handlers = {.output = on_output, .data = answer};
    TbExecResult result = {0};
    int64_t deadline = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC;
    if (!tb_session_exec(session, &exec, &handlers, deadline, &result, error))
        return false;
    *moved = result.code == 0;
    return *moved || result.code == EXIT_SAME || explain(&result, answer, error);
}

static bool makes_no_sense(GError **error)
{
    return tb_error_set(error, TB_ERROR_GUEST, "the box's answer makes no sense");
}

/* Takes the head apart; *offset is where the pack begins. */
static bool parse_head(char *text, unsigned oid_length, GPtrArray *commits, unsigned *all,
                       size_t *offset, GError **error)
{
    unsigned count = 0;
    int used = 0;
    if (sscanf(text, MAGIC "%9u %9u%n", &count, all, &used) != 2 || text[used] != '\n' ||
        count == 0 || count > TB_SERIES_COMMITS || count > *all)
        return makes_no_sense(error);
    char *at = text + used + 1;
    for (unsigned i = 0; i < count; i++, at += oid_length + 1) {
        if (strspn(at, "0123456789abcdef") != oid_length || at[oid_length] != '\n')
            return makes_no_sense(error);
        g_ptr_array_add(commits, g_strndup(at, oid_length));
    }
    *offset = (size_t)(at - text);
    return true;
}

static void note_more(TbTask *task, unsigned all, unsigned taken)
{
    if (all <= taken)
        return;
    g_autofree char *line = g_strdup_printf("only the first %u of %u commits came along; the rest "
                                            "is in the last step",
                                            taken, all);
    tb_task_note(task, line);
}

static bool write_file(TbTask *task, const GPtrArray *series, GError **error)
{
    g_autoptr(GBytes) bytes = tb_series_format(series);
    gsize size = 0;
    const void *data = g_bytes_get_data(bytes, &size);
    return tb_write_atomic(task->dirfd, FILE_NAME, data, size, 0600, error);
}

bool tb_task_commits_store(TbTask *task, TbGit *git, const char *base_index, int fd,
                           unsigned seconds, GError **error)
{
    g_autofree char *head = g_malloc0(HEAD_BYTES + 1);
    g_autoptr(GPtrArray) commits = g_ptr_array_new_with_free_func(g_free);
    unsigned all = 0;
    size_t offset = 0;
    if (pread(fd, head, HEAD_BYTES, 0) < 0)
        return tb_error_set_errno(error, errno, "cannot read the box's answer");
    if (!parse_head(head, tb_git_oid_length(git), commits, &all, &offset, error))
        return false;
    if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
        return tb_error_set_errno(error, errno, "cannot read the box's answer");
    TbSeriesInput input = {.base_index = base_index,
                           .base_tree = task->base_tree,
                           .result_tree = task->result_tree,
                           .commits = commits,
                           .masked = task->masked_paths,
                           .pack_fd = fd,
                           .seconds = seconds};
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) series = tb_series_make(git, &input, notes, error);
    /* Looked through first: nobody takes commits that nobody has looked at. */
    if (!series || !tb_task_findings_add_commits(task, git, series, error) ||
        (series->len > 0 && !write_file(task, series, error)))
        return false;
    task->commits = tb_series_count(series);
    for (guint i = 0; i < notes->len; i++) {
        g_autofree char *line = g_strconcat("not in the series: ", notes->pdata[i], NULL);
        tb_task_note(task, line);
    }
    if (task->commits)
        note_more(task, all, commits->len);
    return true;
}

void tb_task_commits_take(TbTask *task, TbSession *session, TbGit *git, const char *base_index,
                          const char *cwd)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GString) words = g_string_new(NULL);
    tb_autofd fd = memfd_create("commits", MFD_CLOEXEC);
    Answer answer = {.fd = fd, .words = words};
    bool moved = false;
    if (fd < 0)
        tb_error_set_errno(&why, errno, "no memory");
    else if (ask(session, task, cwd, &answer, &moved, &why) && moved)
        tb_task_commits_store(task, git, base_index, fd, 0, &why);
    if (!why)
        return;
    /* The patch is there: what ends the wait for its commits does not end the task. */
    if (tb_error_code(why) == TB_ERROR_INTERRUPTED)
        tb_interrupt_acknowledge();
    g_autofree char *reason = tb_escape_name(why->message);
    g_autofree char *line =
        g_strdup_printf("the commits made in the box did not come along: %s", reason);
    tb_task_note(task, line);
}

GPtrArray *tb_task_series(const TbTask *task, GError **error)
{
    if (!task->commits)
        return tb_series_new();
    g_autoptr(GBytes) bytes = tb_read_file_at(task->dirfd, FILE_NAME, FILE_LIMIT, error);
    return bytes ? tb_series_parse(bytes, error) : NULL;
}
