/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <string.h>

#include "task/finish.h"
#include "task/gc.h"

#define DAY UINT64_C(86400)

/* Images and project images of the user's are none of our business. */
static void set_up_away(void)
{
    set_up();
    g_setenv("XDG_DATA_HOME", root, TRUE);
    g_setenv("XDG_CACHE_HOME", root, TRUE);
    g_setenv("XDG_CONFIG_HOME", root, TRUE);
}

#define DIGEST_NEW "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_OLD "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* A task that ended `days` ago; returns its id. */
static char *task_of_age(TbTaskState state, int days, bool kept)
{
    g_autoptr(TbTask) task = new_task();
    g_autofree char *box = tb_task_path(task, "box");
    if (kept)
        ck_assert_int_eq(mkdir(box, 0700), 0);
    task->keep = kept;
    task->ended = g_get_real_time() / 1000 - (int64_t)days * (int64_t)DAY * 1000;
    ck_assert(tb_task_save(task, state, NULL));
    return g_strdup(task->id);
}

static bool mentions(const GPtrArray *items, const char *text)
{
    for (guint i = 0; i < items->len; i++)
        if (strstr(((TbGcItem *)items->pdata[i])->what, text))
            return true;
    return false;
}

static bool exists(const char *id)
{
    g_autofree char *dir = g_build_filename(tb_store_path(store), id, NULL);
    return g_file_test(dir, G_FILE_TEST_EXISTS);
}

START_TEST(test_dry_run_says_what_apply_does)
{
    g_autofree char *discarded = task_of_age(TB_TASK_DISCARDED, 0, false);
    g_autofree char *old_failed = task_of_age(TB_TASK_FAILED, 20, false);
    g_autofree char *new_failed = task_of_age(TB_TASK_FAILED, 2, false);
    g_autofree char *old_applied = task_of_age(TB_TASK_APPLIED, 20, false);
    g_autofree char *old_ready = task_of_age(TB_TASK_READY, 2000, false);
    for (int apply = 0; apply < 2; apply++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) items = tb_gc(store, 14 * DAY, apply, &error);
        ck_assert_msg(items != NULL, "%s", error ? error->message : "");
        ck_assert(mentions(items, discarded));
        ck_assert(mentions(items, old_failed));
        ck_assert(mentions(items, old_applied));
        ck_assert(!mentions(items, new_failed));
        ck_assert(!mentions(items, old_ready));
        ck_assert_int_eq(exists(discarded), !apply);
        ck_assert_int_eq(exists(old_failed), !apply);
        ck_assert_int_eq(exists(old_applied), !apply);
        ck_assert(exists(new_failed) && exists(old_ready));
    }
    g_autoptr(GPtrArray) nothing = tb_gc(store, 14 * DAY, true, NULL);
    ck_assert_uint_eq(nothing->len, 0);
}
END_TEST

START_TEST(test_kept_boxes)
{
    g_autofree char *old = task_of_age(TB_TASK_READY, 20, true);
    g_autofree char *new = task_of_age(TB_TASK_READY, 2, true);
    g_autoptr(GPtrArray) items = tb_gc(store, 14 * DAY, true, NULL);
    ck_assert_uint_eq(items->len, 1);
    ck_assert(mentions(items, old));
    g_autoptr(TbTask) emptied = tb_task_open(store, old, NULL);
    g_autoptr(TbTask) kept = tb_task_open(store, new, NULL);
    ck_assert(!emptied->keep && kept->keep);
    g_autofree char *gone = tb_task_path(emptied, "box"), *there = tb_task_path(kept, "box");
    ck_assert(!g_file_test(gone, G_FILE_TEST_EXISTS));
    ck_assert(g_file_test(there, G_FILE_TEST_EXISTS));
}
END_TEST

/* The directory of an image that no name means. */
static char *make_nameless(const char *digest)
{
    char *dir = g_build_filename(root, "taskbox", "images", digest, NULL);
    ck_assert_int_eq(g_mkdir_with_parents(dir, 0700), 0);
    return dir;
}

static void set_image(const char *id, const char *digest)
{
    g_autoptr(TbTask) task = tb_task_open(store, id, NULL);
    ck_assert(task && tb_task_lock(task, NULL));
    task->image_digest = g_strdup(digest);
    ck_assert(tb_task_save(task, task->state, NULL));
}

START_TEST(test_image_of_a_kept_box)
{
    g_autofree char *old = task_of_age(TB_TASK_READY, 20, true);
    g_autofree char *new = task_of_age(TB_TASK_READY, 2, true);
    g_autofree char *image_old = make_nameless(DIGEST_OLD), *image_new = make_nameless(DIGEST_NEW);
    set_image(old, DIGEST_OLD);
    set_image(new, DIGEST_NEW);
    for (int apply = 0; apply < 2; apply++) {
        g_autoptr(GPtrArray) items = tb_gc(store, 14 * DAY, apply, NULL);
        ck_assert_uint_eq(items->len, 2);
        ck_assert(mentions(items, old));
        ck_assert(mentions(items, "image without a name: bbbbbbbbbbbb"));
        ck_assert(g_file_test(image_new, G_FILE_TEST_IS_DIR));
        ck_assert_int_eq(g_file_test(image_old, G_FILE_TEST_IS_DIR), !apply);
    }
}
END_TEST

/* Somebody is at the task now: what it needs stays, too. */
START_TEST(test_image_of_a_busy_task)
{
    g_autoptr(TbTask) task = new_task();
    task->keep = true;
    task->image_digest = g_strdup(DIGEST_OLD);
    task->ended = 1;
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    g_autofree char *image = make_nameless(DIGEST_OLD);
    g_autoptr(GPtrArray) items = tb_gc(store, 0, true, NULL);
    ck_assert_uint_eq(items->len, 0);
    ck_assert(g_file_test(image, G_FILE_TEST_IS_DIR));
}
END_TEST

START_TEST(test_busy_stays)
{
    g_autoptr(TbTask) task = new_task();
    ck_assert(tb_task_save(task, TB_TASK_DISCARDED, NULL));
    g_autoptr(GPtrArray) items = tb_gc(store, 0, true, NULL);
    ck_assert_uint_eq(items->len, 0);
    ck_assert(exists(task->id));
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("gc");
    tcase_add_checked_fixture(cases, set_up_away, tear_down);
    tcase_add_test(cases, test_dry_run_says_what_apply_does);
    tcase_add_test(cases, test_kept_boxes);
    tcase_add_test(cases, test_busy_stays);
    tcase_add_test(cases, test_image_of_a_kept_box);
    tcase_add_test(cases, test_image_of_a_busy_task);
    return suite_run_case("task gc", cases);
}
