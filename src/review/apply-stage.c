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
    GString *target;   /* of a symbolic link */
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

static bool blob_begin(size_t index, uint64_t size, void *user_data, GError **error)
{
    Stage *stage = user_data;
    stage->current = (guint)index;
    g_string_truncate(stage->target, 0);
    if (current_file(stage)->new_mode != TB_MODE_SYMLINK)
        return file_open(stage, error);
    return size <= TB_PATH_MAX_TARGET ||
           tb_error_set(error, TB_ERROR_UNSUPPORTED, "a symbolic link's target is too long");
}

static bool link_make(Stage *stage, const char *name, GError **error)
{
    const GString *target = stage->target;
    if (!tb_path_target_ok((const uint8_t *)target->str, target->len))
        return tb_error_set(error, TB_ERROR_UNSUPPORTED, "a symbolic link's target is impossible");
    return symlinkat(target->str, stage->staging, name) == 0 || stage_failed(stage, error);
}

static bool blob_end(size_t index, void *user_data, GError **error)
{
    Stage *stage = user_data;
    Step *step = stage->places->pdata[index];
    g_autofree char *name = g_strdup_printf("n%u", step->number);
    if (current_file(stage)->new_mode == TB_MODE_SYMLINK && !link_make(stage, name, error))
        return false;
    if (geteuid() == 0 && fchownat(stage->staging, name, stage->owner.st_uid, stage->owner.st_gid,
                                   AT_SYMLINK_NOFOLLOW) != 0)
        return stage_failed(stage, error);
    if (!file_close(stage, error))
        return false;
    return fstatat(stage->staging, name, &step->st, AT_SYMLINK_NOFOLLOW) == 0 ||
           stage_failed(stage, error);
}

static bool blob_bytes(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Stage *stage = user_data;
    if (stage->fd >= 0)
        return tb_write_all(stage->fd, data, length, "a new file", error);
    g_string_append_len(stage->target, (const char *)data, (gssize)length);
    return true;
}

static bool stage_run(TbGit *git, Stage *stage, GError **error)
{
    static const TbBlobStream stream = {blob_begin, blob_bytes, blob_end};
    g_autoptr(GPtrArray) oids = g_ptr_array_new();
    for (guint i = 0; i < stage->places->len; i++) {
        const Step *step = stage->places->pdata[i];
        const TbPatchFile *file = stage->survey->files->pdata[step->number];
        g_ptr_array_add(oids, file->new_oid);
    }
    return tb_git_stream_blobs(git, (const char *const *)oids->pdata, oids->len, &stream, stage,
                               error);
}

bool stage_files(TbGit *git, const Survey *survey, Plan *plan, int staging, GError **error)
{
    g_autoptr(GPtrArray) places = g_ptr_array_new();
    for (guint i = 0; i < plan->steps->len; i++)
        if (((Step *)plan->steps->pdata[i])->kind == STEP_PLACE)
            g_ptr_array_add(places, plan->steps->pdata[i]);
    if (places->len == 0)
        return true;
    g_autoptr(GString) target = g_string_new(NULL);
    Stage stage = {
        .survey = survey, .places = places, .staging = staging, .target = target, .fd = -1};
    if (fstat(survey->root, &stage.owner) != 0)
        return tb_error_set_errno(error, errno, "cannot read the project's directory");
    bool done = stage_run(git, &stage, error);
    tb_clear_fd(&stage.fd);
    return done;
}
