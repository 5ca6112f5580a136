/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The path of a task: project and image are found, the box starts, the project is read while the
 * VM boots, the command runs, the changes come back and become a patch, the box goes away.
 *
 * What must hold: the record says at every moment which stage is under way; the patch and the
 * record are on disk before anything is torn down; a command that was stopped (timeout, Ctrl-C) is
 * exported like one that ended by itself; the host never writes to the project.
 */
#include "run/run.h"

#include <string.h>
#include <unistd.h>

#include "config/layers.h"
#include "task/commits.h"
#include "task/findings.h"
#include "run/limit.h"
#include "run/masking.h"
#include "task/repository.h"
#include "run/run-private.h"
#include "util/error.h"
#include "util/hole.h"
#include "util/log.h"

_Static_assert(TB_PROJECT_IMAGE_SIZE == TB_BOX_PROJECT_DISK_SIZE,
               "a fork cannot learn another size");

#define AGENT          1000 /* the user of a box whose project belongs to root */
#define COPY_DEADLINE  (1800 * SECOND)
#define MOUNT_DEADLINE (120 * SECOND)

void run_clear(Run *run)
{
    tb_front_clear(&run->front);
    g_clear_pointer(&run->control, tb_control_free);
    g_clear_pointer(&run->box, tb_box_free);
    tb_network_clear(&run->network);
    tb_start_clear(&run->start);
    g_clear_pointer(&run->admission, tb_admission_free);
    g_clear_pointer(&run->changes, tb_changes_free);
    g_clear_pointer(&run->base_list, tb_base_list_free);
    g_clear_pointer(&run->log, tb_task_log_free);
    g_clear_pointer(&run->raw, tb_task_log_free);
    g_clear_pointer(&run->stream, tb_agent_stream_free);
    if (run->words)
        g_string_free(g_steal_pointer(&run->words), TRUE);
    g_clear_pointer(&run->delta, tb_delta_free);
    g_clear_pointer(&run->git, tb_git_free);
    if (run->task)
        run->task->masked_paths = NULL; /* the scan's */
    g_clear_pointer(&run->scan, tb_scan_free);
    g_clear_pointer(&run->project_image, tb_project_image_free);
    g_clear_pointer(&run->unshared, g_strfreev);
    g_clear_pointer(&run->argv, g_strfreev);
    g_clear_pointer(&run->image, tb_image_free);
    g_clear_pointer(&run->project, tb_project_free);
    g_clear_pointer(&run->base_index, g_free);
    g_clear_pointer(&run->now_tree, g_free);
    g_clear_pointer(&run->begin_tree, g_free);
    g_clear_pointer(&run->box_dir, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

/* Emulation is slow, and QEMU's developers promise no boundary by it: then the jail is the one. */
static bool choose_accel(Run *run, GError **error)
{
    g_autofree char *why = NULL;
    run->accel = tb_accel_probe(&why);
    run->task->accel = g_strdup(tb_accel_name(run->accel));
    if (run->accel == TB_ACCEL_KVM)
        return true;
    const char *reason = why ? why : "KVM does not work here";
    if (run->options->require_kvm || run->settings->require_kvm)
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot run the box by KVM, which %s asks for: %s ('taskbox doctor' "
                            "says what to mend; without it the box is emulated, and its jail is "
                            "the only boundary)",
                            run->options->require_kvm ? "--require-kvm" : "'require_kvm'", reason);
    tb_info("running by emulation, slower: %s", reason);
    return true;
}

const char *const tb_login_shell[] = {"/bin/sh", "-c", "exec \"$SHELL\" -l", NULL};

/* What was asked for, resolved: agent, project, image. Nothing has been started yet. */
static bool prepare(Run *run, GError **error)
{
    const TbRunOptions *options = run->options;
    TbTask *task = run->task;
    run_phase_begin(run);
    task->prompt = g_strdup(options->prompt);
    task->tty = options->tty;
    task->command = g_strdupv((char **)options->argv);
    task->flags = g_strdupv((char **)(uintptr_t)options->flags);
    task->from = options->from ? g_strdup(options->from->id) : NULL;
    task->on_top = options->on_top;
    if (options->argv) {
        run->argv = g_strdupv((char **)options->argv);
    } else if (options->shell) {
        static const char *const command[] = {"taskbox", "shell", NULL};
        task->command = g_strdupv((char **)(uintptr_t)command);
        run->argv = g_strdupv((char **)(uintptr_t)tb_login_shell);
    } else {
        run->agent = tb_settings_agent(run->settings, options->agent, error);
        if (!run->agent)
            return false;
        run->argv = tb_agent_argv(run->agent, options->prompt);
        task->agent = g_strdup(run->agent->name);
    }
    run->project = tb_project_open(options->dir ? options->dir : ".", error);
    if (!run->project ||
        !tb_settings_add_project(run->settings, tb_project_root(run->project), error) ||
        !choose_accel(run, error) ||
        !tb_task_set_masking(run->project, run->settings, options, error))
        return false;
    task->project_root = g_strdup(tb_project_root(run->project));
    task->project_subdir = g_strdup(tb_project_subdir(run->project));
    task->project_name = g_strdup(tb_project_name(run->project));
    run->image = tb_image_open(tb_start_image(options, run->settings, run->agent), error);
    if (!run->image || !tb_network_decide(&run->network, run->settings, options, run->agent,
                                          run->image, task, error))
        return false;
    task->image_name = g_strdup(run->image->name);
    task->image_digest = g_strdup(run->image->digest);
    run_phase_end(run, "prepare");
    return tb_task_save(task, TB_TASK_STARTING, error);
}

/* Waits until there is room for the box; nothing is held and nothing of the project read till then.
 */
static bool admit(Run *run, GError **error)
{
    const TbShape *shape = &run->start.shape;
    run->admission = tb_admission_take(&run->settings->capacity, shape->cpus, shape->memory, error);
    run_phase_end(run, "admission");
    return run->admission != NULL;
}

/* The task's git directory, with git's jail starting beside the box. */
static bool open_git(Run *run, GError **error)
{
    g_auto(GStrv) alternates = run_alternates(run, error);
    if (!alternates)
        return false;
    g_autofree char *git_dir = tb_task_path(run->task, "git");
    run->git = tb_git_create(git_dir, tb_project_sha256(run->project),
                             (const char *const *)alternates, error);
    run->base_index = g_build_filename(git_dir, "base-index", NULL);
    return run->git && tb_git_start(run->git, tb_project_root(run->project), error);
}

static bool set_limits(Run *run, GError **error)
{
    const TbShape *shape = &run->start.shape;
    const TbLimits *limits = &run->limits;
    uint64_t timeout = run->options->timeout ? run->options->timeout : run->settings->timeout;
    run->limits = tb_limits_merge(&run->options->limits, &run->settings->limits);
    if (run->settings->project)
        tb_limits_lower(&run->limits, &run->options->limits, &run->settings->project->limits);
    /* What a stopped command has written is still in the box's memory, and comes. */
    if (!run->options->limits.free_space && !run->settings->limits.free_space)
        run->limits.free_space += shape->memory / 4;
    run->patch_limits = (TbPatchLimits){
        .max_bytes = limits->changes, .max_entries = limits->files, .max_patch = limits->patch};
    run->task->limits = tb_limits_text(limits, shape->cpus, shape->memory, shape->disk, timeout);
    return tb_limits_check_space(run->task, limits, error);
}

/* What the box is to have of the project, by the mount of its shape. */
static bool open_project_image(Run *run, GError **error)
{
    TbMountType mount = run->start.shape.mount;
    TbBoxSpec *spec = &run->start.spec;
    if (!run->project_image)
        run->project_image = tb_project_image_open(run->project, run->image->filesystems, error);
    if (!run->project_image)
        return false;
    spec->project_disk = tb_project_image_path(run->project_image);
    spec->project_dir = mount == TB_MOUNT_9P ? tb_project_root(run->project) : NULL;
    spec->share_dir = mount == TB_MOUNT_VIRTIOFS ? tb_project_root(run->project) : NULL;
    spec->unshared = (const char *const *)run->unshared;
    return true;
}

bool run_launch(Run *run, GError **error)
{
    TbStart *start = &run->start;
    bool shares = start->shape.mount != TB_MOUNT_IMAGE;
    if ((shares && (!open_git(run, error) || !run_look_before_sharing(run, error))) ||
        !tb_start_prepare(start, error))
        return false;
    if (start->made)
        run_phase_end(run, "template");
    if (!open_project_image(run, error))
        return false;
    run->box_dir = tb_task_path(run->task, "box");
    start->spec.id = run->task->id;
    start->spec.dir = run->box_dir;
    start->spec.owner_uid = start->shape.uid ? start->shape.uid : AGENT;
    start->spec.owner_gid = start->shape.gid ? start->shape.gid : AGENT;
    start->spec.network = tb_hole("network");
    run->box = tb_start_box(start, error);
    if (!run->box || !tb_network_start(&run->network, &run->limits, run->task, error) ||
        (!run->git && !open_git(run, error)))
        return false;
    run_phase_end(run, "start");
    return true;
}

static bool start_box(Run *run, GError **error)
{
    TbStart *start = &run->start;
    start->cold = run->options->cold;
    if (!tb_start_shape(run->options, run->settings, run->image, run->accel, &start->shape, error))
        return false;
    start->shape.uid = tb_project_uid(run->project);
    start->shape.gid = tb_project_gid(run->project);
    return run_choose_mount(run, error) && set_limits(run, error) && admit(run, error) &&
           run_launch(run, error);
}

/* The box was started with the image that was there; seldom the scan shows that another one is
 * worth a second start. */
static bool renew_image(Run *run, GError **error)
{
    if (!tb_project_image_outgrown(run->project_image, run->scan))
        return true;
    g_clear_pointer(&run->box, tb_box_free);
    if (!tb_project_image_renew(run->project_image, error))
        return false;
    run->start.spec.project_disk = tb_project_image_path(run->project_image);
    run->box = tb_start_box(&run->start, error);
    return run->box != NULL;
}

/* Base tree, project image and delta. */
bool run_read_project(Run *run, GError **error)
{
    bool looked = run->scan;
    if ((!looked && !run_scan_project(run, error)) || !renew_image(run, error))
        return false;
    run_add_notes(run, tb_scan_left_out(run->scan), "not in the box: ");
    if (!looked)
        run_phase_end(run, "scan");
    run->task->base_commit = tb_project_head(run->project, tb_git_oid_length(run->git));
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    run->now_tree =
        tb_project_base(run->project_image, run->scan, run->git, run->base_index, notes, error);
    if (!run->now_tree)
        return false;
    run_add_notes(run, notes, "not in the base tree: ");
    if (!tb_scan_make_history(run->scan, run->git, run->base_index, run->task->base_commit,
                              &run->task->box_commit, &run->task->history, error) ||
        !run_begin(run, error))
        return false;
    run_phase_end(run, "base-tree");
    if (!tb_project_image_fill(run->project_image, run->scan, error))
        return false;
    run_phase_end(run, "project-image");
    run->delta = tb_delta_new(run->project_image, run->scan, error);
    return run->delta && run_begin_delta(run, error);
}

bool run_enter(Run *run, GError **error)
{
    TbGuestInfo info;
    run->session = tb_start_hello(&run->start, &run->box, &info, error);
    if (!run->session)
        return false;
    run->task->start = g_strdup(tb_start_how(&run->start));
    run_phase_end(run, run->task->start);
    TbSetup setup = {
        .hostname = tb_hole("fork-identity") ? "same" : run->task->id,
        .uid = tb_project_uid(run->project),
        .gid = tb_project_gid(run->project),
        .proxy = run->network.policy != NULL,
        .network = tb_hole("network"),
    };
    if (!tb_network_attach(&run->network, run->box, error) ||
        !tb_session_setup(run->session, &setup, run_deadline(SETUP_DEADLINE), error))
        return false;
    TbEntrySource source = {.next = tb_delta_next, .read = tb_delta_read, .data = run->delta};
    if (!tb_session_send_delta(run->session, &source, run_deadline(COPY_DEADLINE), error))
        return false;
    run_phase_end(run, "delta");
    TbMount mount = {.name = run->task->project_name,
                     .filesystem = tb_project_image_filesystem(run->project_image)};
    if (!tb_session_mount(run->session, &mount, run_deadline(MOUNT_DEADLINE), error))
        return false;
    run_phase_end(run, "mount");
    if (!run->trial)
        run->base_list = tb_base_list_start(run->git, run->base_index);
    return true;
}

static bool on_entry(const TbEntry *entry, void *user_data, GError **error)
{
    Run *run = user_data;
    run->git_touched |= entry->path_length == 4 && memcmp(entry->path, ".git", 4) == 0;
    return tb_changes_add(entry, run->changes, error);
}

/* The user's configuration, which git may have to be asked for, is looked at only when something
 * has changed. */
static bool note_converted(Run *run, GError **error)
{
    const char *result = run->task->result_tree;
    if (g_str_equal(result, run->begin_tree))
        return true;
    const char *common = tb_project_common_dir(run->project);
    g_autofree char *repositorys =
        common ? g_build_filename(common, "info", "attributes", NULL) : NULL;
    g_autofree char *users = tb_project_user_attributes();
    const TbAttributes outside = {
        .repository = repositorys, .user = users, .autocrlf = tb_project_autocrlf(run->project)};
    return tb_changes_note_converted(run->changes, result, &outside, error);
}

/* The upper comes back and becomes the result tree. */
static bool export_changes(Run *run, GError **error)
{
    TbTask *task = run->task;
    if (!tb_task_save(task, TB_TASK_EXPORTING, error))
        return false;
    const TbPatchLimits *limits = &run->patch_limits;
    const char *excludes = tb_project_user_excludes(run->project);
    const char *common = tb_project_common_dir(run->project);
    g_autofree char *info = common ? g_build_filename(common, "info", "exclude", NULL) : NULL;
    run->changes = tb_changes_new(run->git, run->base_index, run->base_list, run->begin_tree,
                                  excludes, info, limits, error);
    g_clear_pointer(&run->base_list, tb_base_list_free);
    if (!run->changes)
        return false;
    const GPtrArray *nested = tb_scan_nested(run->scan);
    for (guint i = 0; i < nested->len; i++)
        tb_changes_leave_out(run->changes, nested->pdata[i]);
    for (guint i = 0; i < task->masked_paths->len; i++)
        tb_changes_mask(run->changes, task->masked_paths->pdata[i]);
    int64_t deadline = run_deadline(COPY_DEADLINE);
    bool (*export_list)(TbSession *, uint32_t, TbEntryFn, void *, int64_t, GError **) =
        run->unserved ? tb_session_export_upper : tb_session_export_list;
    if (!export_list(run->session, limits->max_entries, on_entry, run, deadline, error))
        return false;
    const uint32_t *wanted = NULL;
    size_t count = 0;
    if (!tb_changes_wanted(run->changes, &wanted, &count, error))
        return false;
    TbFileSink sink = {.begin = tb_changes_file_begin,
                       .bytes = tb_changes_file_bytes,
                       .end = tb_changes_file_end,
                       .data = run->changes};
    if (!tb_session_export_files(run->session, wanted, count, limits->max_bytes, &sink, deadline,
                                 error))
        return false;
    task->result_tree = tb_changes_result_tree(run->changes, error);
    bool done = task->result_tree && note_converted(run, error);
    run_add_notes(run, tb_changes_notes(run->changes), "");
    run_phase_end(run, "export");
    return done;
}

static bool write_patch(Run *run, GError **error)
{
    TbTask *task = run->task;
    g_autofree char *command = tb_task_subject(task);
    TbPatchHeader header = tb_task_patch_header(task, command, task->result_tree, time(NULL));
    if (!tb_patch_write(run->git, &header, &run->patch_limits, task->dirfd, "patch", &task->stat,
                        error))
        return false;
    task->has_patch = task->verified = true;
    run_phase_end(run, "patch");
    if (!tb_task_save(task, TB_TASK_READY, error))
        return false;
    tb_task_findings_make(task, run->git);
    run_phase_end(run, "findings");
    return true;
}

/* Only when the box has touched its .git at all. */
static void take_commits(Run *run)
{
    if (run->unserved) /* what git in the box asks for never comes */
        tb_task_note(run->task,
                     "the project's file server died: commits made in the box, and what a "
                     "directory that was moved in it held of the project, are not in the patch");
    if (!run->git_touched || run->unserved)
        return;
    if (run->from && run->options->on_top) {
        tb_task_note(run->task, "commits made in the box, if any, are in the patch only: it began "
                                "on top of another task's result");
        return;
    }
    g_autofree char *cwd = g_build_filename("/workspace", run->task->project_name, NULL);
    tb_task_commits_take(run->task, run->session, run->git, run->base_index, cwd);
    run_phase_end(run, "commits");
}

static void keep_or_drop_box(Run *run, bool ok)
{
    TbKeep keep = run->options->keep;
    bool failed = !ok || run->task->exit_code != 0;
    if (run->box && (keep == TB_KEEP_ALWAYS || (keep == TB_KEEP_FAILED && failed))) {
        run->task->keep = true;
        tb_box_keep(run->box);
    }
    g_clear_pointer(&run->box, tb_box_free);
}

/* Nothing was started: there is nothing to show, and nothing for a reviewer to ponder. */
static void forget_refused(TbStore *store, TbTask **task)
{
    g_autoptr(GError) error = NULL;
    if (!tb_task_remove(store, *task, &error))
        tb_warn("%s", error->message);
    g_clear_pointer(task, tb_task_free);
}

bool tb_task_run(TbStore *store, TbSettings *settings, const TbRunOptions *options,
                 const TbRunOutput *output, TbTask **out, GError **error)
{
    *out = NULL;
    g_auto(Run)
        run = {.settings = settings, .options = options, .output = output, .from = options->from};
    run.network = TB_NETWORK_INIT;
    run.task = *out = tb_task_create(store, error);
    if (!run.task)
        return false;
    g_autoptr(GError) why = NULL;
    bool ok = (run.control = tb_control_open(run.task, &why)) && prepare(&run, &why) &&
              start_box(&run, &why) && run_read_project(&run, &why) && run_enter(&run, &why) &&
              run_command(&run, &why) &&
              (options->no_patch || (export_changes(&run, &why) && write_patch(&run, &why)));
    if (!ok && run.box && run.session)
        tb_box_explain(run.box, &why);
    if (ok && !options->no_patch)
        take_commits(&run);
    if (!ok && run.task->state == TB_TASK_CREATED) {
        g_clear_pointer(&run.control, tb_control_free);
        run.task = NULL;
        forget_refused(store, out);
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    keep_or_drop_box(&run, ok);
    run_phase_end(&run, "teardown");
    if (ok)
        run_verify(&run);
    if (!ok) {
        tb_task_fail(run.task, why);
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return tb_task_save(run.task, options->no_patch ? TB_TASK_DISCARDED : TB_TASK_READY, error);
}
