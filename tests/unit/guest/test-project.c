/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Delta, overlay, task, export: what goes in, what the task sees, what comes out. */
#include <stdio.h>
#include <string.h>

#include "harness.h"

static Harness *harness;
static TbSession *session;

static void set_up(void)
{
    harness = harness_start();
    session = harness_ready(harness);
}

static void tear_down(void)
{
    tb_session_free(session);
    harness_stop(harness);
}

/* --- the delta ------------------------------------------------------------------------------- */

typedef struct {
    TbEntryKind kind;
    const char *path, *text; /* text: content or target */
    uint32_t mode;
    size_t repeat; /* content is `text` so many times */
} Item;

typedef struct {
    const Item *items;
    size_t count, at;
    size_t sent;
} Source;

static bool next_item(void *data, TbEntry *entry, bool *done, GError **error)
{
    Source *source = data;
    *done = source->at == source->count;
    if (*done)
        return true;
    const Item *item = &source->items[source->at++];
    *entry = (TbEntry){.kind = item->kind,
                       .mode = item->mode,
                       .mtime_sec = 1234567890,
                       .mtime_nsec = 123456789,
                       .path = (const uint8_t *)item->path,
                       .path_length = strlen(item->path)};
    if (item->kind == TB_ENTRY_FILE)
        entry->size = strlen(item->text) * MAX(item->repeat, 1);
    if (item->kind == TB_ENTRY_SYMLINK) {
        entry->target = (const uint8_t *)item->text;
        entry->target_length = strlen(item->text);
    }
    source->sent = 0;
    return true;
}

static bool read_item(void *data, uint8_t *buffer, size_t size, size_t *length, GError **error)
{
    Source *source = data;
    const char *text = source->items[source->at - 1].text;
    size_t period = strlen(text);
    for (size_t i = 0; i < size; i++)
        buffer[i] = (uint8_t)text[(source->sent + i) % period];
    source->sent += size;
    *length = size;
    return true;
}

static bool send_items(const Item *items, size_t count, GError **error)
{
    Source source = {.items = items, .count = count};
    const TbEntrySource entries = {.next = next_item, .read = read_item, .data = &source};
    return tb_session_send_delta(session, &entries, harness_deadline(20), error);
}

static const Item project[] = {
    {TB_ENTRY_FILE, "dir/deep/file", "deep\n", 0644},
    {TB_ENTRY_FILE, "run.sh", "#!/bin/sh\necho ran\n", 0755},
    {TB_ENTRY_FILE, "empty", "", 0600},
    {TB_ENTRY_FILE, "big", "0123456789", 0644, 100000},
    {TB_ENTRY_SYMLINK, "link", "dir/deep/file"},
    {TB_ENTRY_DIR, "dir", NULL, 0750},
    {TB_ENTRY_DIR, "old", NULL, 0755},
    {TB_ENTRY_FILE, "old/a", "a\n", 0644},
    {TB_ENTRY_FILE, "old/sub/b", "b\n", 0644},
    {TB_ENTRY_FILE, ".git/HEAD", "ref: refs/heads/main\n", 0644},
    {TB_ENTRY_DELETE, "gone", NULL},
    {TB_ENTRY_FILE, "name with\nnewline \xff", "odd\n", 0644},
};

static void mount_project(void)
{
    GError *error = NULL;
    const TbMount mount = {.name = "demo", .filesystem = "none"};
    bool ok = send_items(project, G_N_ELEMENTS(project), &error);
    harness_ok(ok, error);
    ok = tb_session_mount(session, &mount, harness_deadline(10), &error);
    harness_ok(ok, error);
}

/* --- the export ------------------------------------------------------------------------------ */

typedef struct {
    GPtrArray *lines;  /* "KIND path[ -> target]" */
    GArray *files;     /* indices of regular files */
    GString *contents; /* "index:bytes;" */
    uint32_t count;
} Export;

static bool on_entry(const TbEntry *entry, void *data, GError **error)
{
    static const char *const kinds[] = {"?", "FILE", "LINK", "DIR", "DELETE", "REPLACE", "OTHER"};
    Export *export = data;
    char *line = g_strdup_printf("%s %.*s%s%.*s", kinds[entry->kind], (int)entry->path_length,
                                 (const char *)entry->path, entry->target_length ? " -> " : "",
                                 (int)entry->target_length,
                                 entry->target ? (const char *)entry->target : "");
    g_ptr_array_add(export->lines, line);
    if (entry->kind == TB_ENTRY_FILE)
        g_array_append_val(export->files, export->count);
    export->count++;
    return true;
}

static bool on_begin(uint32_t index, uint64_t size, void *data, GError **error)
{
    Export *export = data;
    g_string_append_printf(export->contents,
                           "%s=", (char *)g_ptr_array_index(export->lines, index) + 5);
    return true;
}

static bool on_bytes(const uint8_t *bytes, size_t length, void *data, GError **error)
{
    Export *export = data;
    g_string_append_len(export->contents, (const char *)bytes, (gssize)length);
    return true;
}

static bool on_end(uint32_t index, void *data, GError **error)
{
    Export *export = data;
    g_string_append_c(export->contents, ';');
    return true;
}

static void export_init(Export *export)
{
    *export = (Export){.lines = g_ptr_array_new_with_free_func(g_free),
                       .files = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
                       .contents = g_string_new(NULL)};
}

static void export_clear(Export *export)
{
    g_ptr_array_unref(export->lines);
    g_array_unref(export->files);
    g_string_free(export->contents, TRUE);
}

typedef bool (*ListFn)(TbSession *, uint32_t, TbEntryFn, void *, int64_t, GError **);

static void export_by(Export *export, ListFn list)
{
    GError *error = NULL;
    export_init(export);
    bool ok = list(session, 10000, on_entry, export, harness_deadline(20), &error);
    harness_ok(ok, error);
    const TbFileSink sink = {on_begin, on_bytes, on_end, export};
    ok =
        tb_session_export_files(session, (const uint32_t *)(void *)export->files->data,
                                export->files->len, 100 << 20, &sink, harness_deadline(20), &error);
    harness_ok(ok, error);
}

static void export_all(Export *export)
{
    export_by(export, tb_session_export_list);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The sorted lines of the list as one text. */
static char *list_text(const Export *export)
{
    GString *text = g_string_new(NULL);
    g_ptr_array_sort(export->lines, by_text);
    for (guint i = 0; i < export->lines->len; i++)
        g_string_append_printf(text, "%s|", (char *)g_ptr_array_index(export->lines, i));
    return g_string_free(text, FALSE);
}

static void shell(const char *line)
{
    g_autofree char *full = g_strdup_printf("cd %s/workspace/demo && %s", harness->dir, line);
    g_autoptr(HarnessRun) done = harness_shell(session, full);
    if (done->result.code != 0)
        ck_abort_msg("'%s': %d %s", line, done->result.code, done->err->str);
}

/* --- tests ----------------------------------------------------------------------------------- */

START_TEST(task_sees_the_delta)
{
    mount_project();
    shell("test \"$(cat dir/deep/file)\" = deep");
    shell("test \"$(./run.sh)\" = ran");
    shell("test \"$(wc -c < big)\" = 1000000");
    shell("test \"$(readlink link)\" = dir/deep/file");
    shell("test ! -e gone");
    shell("test \"$(stat -c %a:%u:%g:%Y run.sh)\" = 755:54321:54322:1234567890");
    shell("test \"$(stat -c %a:%u dir)\" = 750:54321");
    shell("test \"$(stat -c %a:%u:%g .)\" = 755:54321:54322");
    shell("test \"$(stat -c %y empty | cut -c20-29)\" = .123456789");
    Export export;
    export_all(&export);
    ck_assert_uint_eq(export.count, 0); /* reading changes nothing */
    export_clear(&export);
}
END_TEST

START_TEST(changes_come_back)
{
    mount_project();
    shell("echo changed >> dir/deep/file");
    shell("chmod 644 run.sh");
    shell("rm empty && rm -r old && mkdir old && echo new > old/new");
    shell("ln -s /etc/passwd evil && mkfifo pipe && mkdir newdir && : > newdir/zero");
    shell("mv dir moved");
    shell("mkdir -p sub/.git && echo x > sub/.git/config && echo y > .git/index");
    Export export;
    export_all(&export);
    g_autofree char *before = g_strdup(export.contents->str);
    g_autofree char *text = list_text(&export);
    ck_assert_str_eq(text, "DELETE dir|DELETE empty|DIR .git|DIR moved/deep|DIR sub/.git|"
                           "FILE moved/deep/file|FILE newdir/zero|FILE old/new|FILE run.sh|"
                           "LINK evil -> /etc/passwd|OTHER pipe|"
                           "REPLACE moved|REPLACE newdir|REPLACE old|REPLACE sub|");
    ck_assert_ptr_nonnull(strstr(before, "moved/deep/file=deep\nchanged\n;"));
    ck_assert_ptr_nonnull(strstr(before, "old/new=new\n;"));
    ck_assert_ptr_nonnull(strstr(before, "newdir/zero=;"));
    export_clear(&export);
}
END_TEST

/* As when the project's file server is gone: what only the merged view knows is missing. */
START_TEST(upper_alone)
{
    mount_project();
    shell("echo changed >> dir/deep/file && echo more >> run.sh && rm empty");
    shell("rm -r old && mkdir old && echo new > old/new && mkdir -p a/b && echo c > a/b/c");
    shell("mkdir -p sub/.git && echo x > sub/.git/config && ln -s /etc/passwd evil");
    Export whole, alone;
    export_all(&whole);
    export_by(&alone, tb_session_export_upper);
    g_autofree char *whole_text = list_text(&whole), *alone_text = list_text(&alone);
    ck_assert_str_eq(whole_text, alone_text);
    ck_assert_str_eq(whole.contents->str, alone.contents->str);
    export_clear(&whole);
    export_clear(&alone);
    shell("mkdir -p big.d && mv big big.d && rm -r a/b && mv dir moved && rm moved/deep/file");
    shell("mkdir other && mv link other && mv other/link . && mv other later");
    export_by(&alone, tb_session_export_upper);
    g_autofree char *text = list_text(&alone);
    ck_assert_str_eq(
        text, "DELETE big|DELETE dir|DELETE empty|DIR moved/deep|DIR sub/.git|"
              "FILE big.d/big|FILE old/new|FILE run.sh|"
              "LINK evil -> /etc/passwd|LINK link -> dir/deep/file|"
              "REPLACE a|REPLACE big.d|REPLACE later|REPLACE moved|REPLACE old|REPLACE sub|");
    export_clear(&alone);
}
END_TEST

START_TEST(parents_come_first)
{
    mount_project();
    shell("mkdir -p a/b/c/d && touch a/b/c/d/e && touch dir/deep/x");
    Export export;
    export_all(&export);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < export.lines->len; i++) {
        const char *path = strchr(g_ptr_array_index(export.lines, i), ' ') + 1;
        g_autofree char *parent = g_path_get_dirname(path);
        ck_assert(strcmp(parent, ".") == 0 || g_hash_table_contains(seen, parent));
        g_hash_table_add(seen, (void *)(uintptr_t)path);
    }
    ck_assert_uint_eq(export.count, 8);
    export_clear(&export);
}
END_TEST

START_TEST(many_and_large_files)
{
    mount_project();
    shell("mkdir many && cd many && for i in $(seq 5000); do echo $i > f$i; done");
    shell("head -c 7000000 /dev/urandom > large");
    Export export;
    export_all(&export);
    ck_assert_uint_eq(export.files->len, 5001);
    static const char one[] = "many/f4999=4999\n;";
    ck_assert_ptr_nonnull(memmem(export.contents->str, export.contents->len, one, sizeof one - 1));
    ck_assert_uint_gt(export.contents->len, 7000000);
    export_clear(&export);
}
END_TEST

START_TEST(export_kills_what_runs)
{
    mount_project();
    shell("(while :; do date >> noise; sleep 0.01; done) & setsid sleep 61 & disown 2>/dev/null;"
          " sleep 0.1");
    Export export;
    export_all(&export);
    ck_assert_uint_eq(export.files->len, 1);
    export_clear(&export);
    g_autoptr(HarnessRun) done =
        harness_shell(session, "ps -e -o comm,stat | grep '^sleep *[SRD]'");
    ck_assert_str_eq(done->out->str, "");
}
END_TEST

static bool count_output(int fd, const uint8_t *data, size_t length, void *user_data,
                         GError **error)
{
    size_t *bytes = user_data;
    bytes[fd] += length;
    return true;
}

/* The host may ask more of the box once it has the files: its commits. */
START_TEST(task_runs_after_export)
{
    mount_project();
    shell("{ while :; do date >> noise; sleep 0.01; done & } && sleep 0.1");
    Export export;
    export_all(&export);
    export_clear(&export);
    size_t bytes[3] = {0};
    g_autofree char *cwd = g_build_filename(harness->dir, "workspace", "demo", NULL);
    const char *argv[] = {"sh", "-c",
                          "test $(id -u) = 54321 && head -c 3000000 /dev/zero && exit 10", NULL};
    const TbExec exec = {.argv = argv, .cwd = cwd, .stdin_fd = -1};
    const TbExecHandlers handlers = {.output = count_output, .data = bytes};
    TbExecResult result = {0};
    GError *error = NULL;
    harness_ok(tb_session_exec(session, &exec, &handlers, harness_deadline(20), &result, &error),
               error);
    ck_assert_int_eq(result.code, 10);
    ck_assert_uint_eq(bytes[1], 3000000);
}
END_TEST

START_TEST(limits)
{
    GError *error = NULL;
    Export export;
    mount_project();
    shell("for i in 1 2 3 4 5; do echo 12345 > f$i; done");
    export_init(&export);
    ck_assert(!tb_session_export_list(session, 4, on_entry, &export, harness_deadline(10), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
    g_clear_error(&error);
    export_clear(&export);
    export_all(&export);
    const TbFileSink sink = {on_begin, on_bytes, on_end, &export};
    ck_assert(!tb_session_export_files(session, (const uint32_t *)(void *)export.files->data,
                                       export.files->len, 20, &sink, harness_deadline(10), &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    g_clear_error(&error);
    export_clear(&export);
}
END_TEST

START_TEST(changed_file_is_an_error)
{
    GError *error = NULL;
    Export export;
    mount_project();
    shell("echo one > f && echo two > g");
    export_init(&export);
    bool ok = tb_session_export_list(session, 100, on_entry, &export, harness_deadline(10), &error);
    harness_ok(ok, error);
    shell("echo longer > f; rm g; ln -s /etc/passwd g");
    const TbFileSink sink = {on_begin, on_bytes, on_end, &export};
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert(
            !tb_session_export_files(session, &i, 1, 1000, &sink, harness_deadline(10), &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
        ck_assert_ptr_nonnull(strstr(error->message, "guest: "));
        g_clear_error(&error);
    }
    g_autoptr(HarnessRun) done = harness_shell(session, "echo still usable");
    ck_assert_str_eq(done->out->str, "still usable\n");
    export_clear(&export);
}
END_TEST

START_TEST(bad_delta_is_refused)
{
    static const Item bad[][1] = {{{TB_ENTRY_FILE, "../outside", "x", 0644}},
                                  {{TB_ENTRY_FILE, "a/../b", "x", 0644}},
                                  {{TB_ENTRY_FILE, "/abs", "x", 0644}},
                                  {{TB_ENTRY_FILE, "a//b", "x", 0644}},
                                  {{TB_ENTRY_OTHER, "pipe", NULL, 0644}}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        ck_assert(!send_items(bad[i], 1, &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
        g_clear_error(&error);
    }
    mount_project(); /* the session is whole */
}
END_TEST

START_TEST(delta_over_itself)
{
    static const Item items[] = {
        {TB_ENTRY_FILE, "a/b", "1", 0644},    {TB_ENTRY_FILE, "a/b", "22", 0755},
        {TB_ENTRY_SYMLINK, "a/b", "../c", 0}, {TB_ENTRY_FILE, "a/b/c", "now a directory", 0644},
        {TB_ENTRY_REPLACE, "r", NULL, 0755},  {TB_ENTRY_FILE, "r/x", "y", 0644},
        {TB_ENTRY_FILE, "t/u/v", "w", 0644},  {TB_ENTRY_DELETE, "t/x", NULL},
        {TB_ENTRY_FILE, "t", "a file", 0644}, {TB_ENTRY_DELETE, "w", NULL},
        {TB_ENTRY_FILE, "w/x", "back", 0644}};
    GError *error = NULL;
    bool ok = send_items(items, G_N_ELEMENTS(items), &error);
    harness_ok(ok, error);
    mount_project();
    shell("test \"$(cat a/b/c)\" = 'now a directory' && test \"$(cat r/x)\" = y && "
          "test \"$(cat t)\" = 'a file' && test \"$(cat w/x)\" = back");
}
END_TEST

/* Deeper than the longest path: what can be told is, and the rest is named once. */
START_TEST(deep_tree)
{
    mount_project();
    shell("perl -e 'for (1..2500) { mkdir \"a\" or die; chdir \"a\" or die }'");
    shell("mkdir new; cd new; ln -s ../a l; perl -e 'for (1..1200) { mkdir \"b\"; chdir \"b\" }'");
    Export export;
    export_all(&export);
    guint others = 0;
    size_t longest = 0;
    for (guint i = 0; i < export.lines->len; i++) {
        const char *line = g_ptr_array_index(export.lines, i);
        others += g_str_has_prefix(line, "OTHER ");
        longest = MAX(longest, strlen(strchr(line, ' ') + 1));
    }
    ck_assert_uint_eq(others, 1);
    ck_assert_uint_eq(export.count, 2047 + 1 + 1 + 1 + 1200);
    ck_assert_uint_le(longest, 4096);
    export_clear(&export);
}
END_TEST

START_TEST(order_is_enforced)
{
    GError *error = NULL;
    const TbMount nowhere = {.name = "..", .filesystem = "none"};
    const TbMount no_disk = {.name = "demo", .filesystem = "erofs"};
    Export export;
    export_init(&export);
    ck_assert(!tb_session_export_list(session, 9, on_entry, &export, harness_deadline(10), &error));
    ck_assert_str_eq(error->message, "guest: an export before the mount");
    g_clear_error(&error);
    ck_assert(!tb_session_mount(session, &nowhere, harness_deadline(10), &error));
    g_clear_error(&error);
    ck_assert(!tb_session_mount(session, &no_disk, harness_deadline(10), &error));
    ck_assert_str_eq(error->message, "guest: there is no disk with serial 'tbproject'");
    g_clear_error(&error);
    mount_project();
    const TbMount again = {.name = "demo", .filesystem = "none"};
    ck_assert(!tb_session_mount(session, &again, harness_deadline(10), &error));
    g_clear_error(&error);
    export_clear(&export);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {task_sees_the_delta,
                                  changes_come_back,
                                  upper_alone,
                                  parents_come_first,
                                  many_and_large_files,
                                  export_kills_what_runs,
                                  task_runs_after_export,
                                  limits,
                                  changed_file_is_an_error,
                                  bad_delta_is_refused,
                                  delta_over_itself,
                                  deep_tree,
                                  order_is_enforced};
    Suite *suite = suite_create("guest-project");
    TCase *tcase = tcase_create("project");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return harness_main(suite);
}
