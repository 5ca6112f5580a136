/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New contents, written before anything is moved: a full disk or a missing object shows while the
 * project is still as it was. Blobs come as they are from one git cat-file --batch; no filter, no
 * attribute, no line end conversion has a part in it.
 */
#include "review/apply-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "patch/path.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"

#define NO_MODE UINT32_MAX

typedef struct {
    const Survey *survey;
    GPtrArray *places; /* PLACE steps in the order they were asked for */
    guint current;
    int staging;
    struct stat owner; /* of the project's root: who gets the files when we are root */
    GString *head;     /* of "OID blob SIZE\n" what has come */
    bool in_blob;
    uint64_t left;   /* bytes of the blob */
    bool newline;    /* the one behind the blob is to come */
    GString *target; /* of a symbolic link */
    int fd;
    uint32_t keep; /* permission bits of the file, or NO_MODE */
} Stage;

static const TbPatchFile *current_file(const Stage *stage)
{
    const Step *step = stage->places->pdata[stage->current];
    return stage->survey->files->pdata[step->number];
}

static bool stage_failed(const Stage *stage, GError **error)
{
    int err = errno;
    g_autofree char *name = tb_escape_name(current_file(stage)->path);
    return tb_error_set_errno(error, err, "cannot write the new '%s'", name);
}

/* A file keeps its permissions when only its content changes; else they are as git makes them. */
static bool file_open(Stage *stage, GError **error)
{
    const Step *step = stage->places->pdata[stage->current];
    const TbPatchFile *file = current_file(stage);
    const Look *old = &g_array_index(stage->survey->looks, Look, step->number);
    g_autofree char *name = g_strdup_printf("n%u", step->number);
    mode_t mode = file->new_mode == TB_MODE_EXECUTABLE ? 0777 : 0666;
    stage->fd =
        openat(stage->staging, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (stage->fd < 0)
        return stage_failed(stage, error);
    bool same = old->kind == LOOK_FILE && file->old_mode == file->new_mode;
    stage->keep = same ? old->st.st_mode & 0777 : NO_MODE;
    if (stage->survey->restore)
        stage->keep = tb_undo_mode(stage->survey->restore, file->path, false, stage->keep);
    return stage->keep == NO_MODE || fchmod(stage->fd, stage->keep & 0777) == 0 ||
           stage_failed(stage, error);
}

/* A write and a change of the owner take set-user-id and set-group-id away: they come last. */
static bool file_close(Stage *stage, GError **error)
{
    bool special = stage->fd >= 0 && stage->keep != NO_MODE && (stage->keep & 07000);
    if (special && fchmod(stage->fd, stage->keep) != 0)
        return stage_failed(stage, error);
    tb_clear_fd(&stage->fd);
    return true;
}

static bool blob_begin(Stage *stage, GError **error)
{
    const TbPatchFile *file = current_file(stage);
    g_autofree char *expected = g_strdup_printf("%s blob ", file->new_oid);
    char *rest = NULL;
    if (!g_str_has_prefix(stage->head->str, expected))
        return tb_error_set(error, TB_ERROR_INTERNAL, "cannot read '%s' of the result tree",
                            file->new_oid);
    stage->left = g_ascii_strtoull(stage->head->str + strlen(expected), &rest, 10);
    g_string_truncate(stage->head, 0);
    g_string_truncate(stage->target, 0);
    stage->in_blob = true;
    if (file->new_mode != TB_MODE_SYMLINK)
        return file_open(stage, error);
    return stage->left <= TB_PATH_MAX_TARGET ||
           tb_error_set(error, TB_ERROR_UNSUPPORTED, "a symbolic link's target is too long");
}

static bool link_make(Stage *stage, const char *name, GError **error)
{
    const GString *target = stage->target;
    if (!tb_path_target_ok((const uint8_t *)target->str, target->len))
        return tb_error_set(error, TB_ERROR_UNSUPPORTED, "a symbolic link's target is impossible");
    return symlinkat(target->str, stage->staging, name) == 0 || stage_failed(stage, error);
}

static bool blob_end(Stage *stage, GError **error)
{
    Step *step = stage->places->pdata[stage->current];
    g_autofree char *name = g_strdup_printf("n%u", step->number);
    if (current_file(stage)->new_mode == TB_MODE_SYMLINK && !link_make(stage, name, error))
        return false;
    if (geteuid() == 0 && fchownat(stage->staging, name, stage->owner.st_uid, stage->owner.st_gid,
                                   AT_SYMLINK_NOFOLLOW) != 0)
        return stage_failed(stage, error);
    if (!file_close(stage, error))
        return false;
    if (fstatat(stage->staging, name, &step->st, AT_SYMLINK_NOFOLLOW) != 0)
        return stage_failed(stage, error);
    stage->in_blob = false;
    stage->newline = true;
    stage->current++;
    return true;
}

static bool blob_bytes(Stage *stage, const uint8_t *data, size_t length, GError **error)
{
    stage->left -= length;
    if (stage->fd >= 0)
        return tb_write_all(stage->fd, data, length, "a new file", error);
    g_string_append_len(stage->target, (const char *)data, (gssize)length);
    return true;
}

static bool stage_bytes(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Stage *stage = user_data;
    while (length > 0) {
        size_t used = 1;
        if (stage->newline) {
            stage->newline = false;
        } else if (stage->current >= stage->places->len) {
            return tb_error_set(error, TB_ERROR_INTERNAL, "git says more than it was asked");
        } else if (stage->in_blob) {
            used = (size_t)MIN(stage->left, length);
            if (!blob_bytes(stage, data, used, error))
                return false;
        } else if (*data != '\n') {
            g_string_append_c(stage->head, (char)*data);
        } else if (!blob_begin(stage, error)) {
            return false;
        }
        if (stage->in_blob && stage->left == 0 && !blob_end(stage, error))
            return false;
        data += used;
        length -= used;
    }
    return true;
}

static bool stage_run(TbGit *git, Stage *stage, GError **error)
{
    g_autoptr(GString) input = g_string_new(NULL);
    for (guint i = 0; i < stage->places->len; i++) {
        const Step *step = stage->places->pdata[i];
        const TbPatchFile *file = stage->survey->files->pdata[step->number];
        g_string_append_printf(input, "%s\n", file->new_oid);
    }
    g_autoptr(TbCommand) command = tb_git_command(git, "cat-file", NULL, NULL);
    tb_command_add(command, "--batch", NULL);
    tb_command_set_stdin_bytes(command, input->str, input->len);
    tb_command_set_stdout_fn(command, stage_bytes, stage);
    tb_command_set_stdout_limit(command, SIZE_MAX);
    if (!tb_command_run(command, NULL, error))
        return false;
    return stage->current == stage->places->len ||
           tb_error_set(error, TB_ERROR_INTERNAL, "the result tree's files are not all there");
}

bool stage_files(TbGit *git, const Survey *survey, Plan *plan, int staging, GError **error)
{
    g_autoptr(GPtrArray) places = g_ptr_array_new();
    for (guint i = 0; i < plan->steps->len; i++)
        if (((Step *)plan->steps->pdata[i])->kind == STEP_PLACE)
            g_ptr_array_add(places, plan->steps->pdata[i]);
    if (places->len == 0)
        return true;
    g_autoptr(GString) head = g_string_new(NULL);
    g_autoptr(GString) target = g_string_new(NULL);
    Stage stage = {.survey = survey,
                   .places = places,
                   .staging = staging,
                   .head = head,
                   .target = target,
                   .fd = -1};
    if (fstat(survey->root, &stage.owner) != 0)
        return tb_error_set_errno(error, errno, "cannot read the project's directory");
    bool done = stage_run(git, &stage, error);
    tb_clear_fd(&stage.fd);
    return done;
}
