/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manifest.json of a template: what it was made of, and of each of its files the inode, size and
 * ctime. Memory files are too large to hash at every fork; a write moves the ctime, which no call
 * sets back, and a copy has another inode. The device number is left out: it may change at a boot.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>

#include "image/members.h"
#include "image/template-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hole.h"

#define MANIFEST_LIMIT 65536

const char *const tb_template_files[] = {"memory", "state", "disk.qcow2", "overlay.qcow2", NULL};

/* ---- writing */

/* "INODE SIZE CTIME" of a file of the template; NULL when it is not one. g_free. */
static char *seal_of(int dirfd, const char *name, uint64_t *bytes)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        (st.st_mode & 0222) || st.st_uid != geteuid())
        return NULL;
    *bytes += (uint64_t)st.st_blocks * 512;
    return g_strdup_printf("%ju %jd %jd.%09ld", (uintmax_t)st.st_ino, (intmax_t)st.st_size,
                           (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

static bool set_seals(JsonBuilder *json, int dirfd, GError **error)
{
    uint64_t bytes = 0;
    json_builder_set_member_name(json, "files");
    json_builder_begin_object(json);
    for (const char *const *name = tb_template_files; *name; name++) {
        g_autofree char *seal = seal_of(dirfd, *name, &bytes);
        if (!seal)
            return tb_error_set(error, TB_ERROR_INTERNAL, "the template has no '%s'", *name);
        tb_member_set_text(json, *name, seal);
    }
    json_builder_end_object(json);
    return true;
}

bool tb_template_manifest_write(const TbShape *shape, const char *key, const char *machine,
                                int dirfd, GError **error)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    tb_member_set_number(json, "format", TB_TEMPLATE_FORMAT);
    tb_member_set_text(json, "key", key);
    tb_member_set_text(json, "image", shape->image->name);
    tb_member_set_text(json, "imageDigest", shape->image->digest);
    tb_member_set_number(json, "cpus", shape->cpus);
    tb_member_set_number(json, "memory", shape->memory);
    tb_member_set_number(json, "disk", shape->disk);
    tb_member_set_text(json, "accelerator", tb_accel_name(shape->accel));
    tb_member_set_text(json, "mount", tb_mount_type_name(MAX(shape->mount, TB_MOUNT_IMAGE)));
    tb_member_set_text(json, "machine", machine);
    tb_member_set_text(json, "taskbox", TB_VERSION);
    tb_member_set_number(json, "created", (uint64_t)(g_get_real_time() / G_USEC_PER_SEC));
    if (!set_seals(json, dirfd, error))
        return false;
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *text = json_to_string(root, TRUE);
    g_autofree char *lines = g_strconcat(text, "\n", NULL);
    return tb_write_atomic(dirfd, TB_TEMPLATE_MANIFEST, lines, strlen(lines), 0444, error);
}

/* ---- reading */

void tb_template_free(TbTemplate *template)
{
    if (!template)
        return;
    g_free(template->key);
    g_free(template->dir);
    g_free(template->memory_path);
    g_free(template->state_path);
    g_free(template->disk_path);
    g_free(template->overlay_path);
    g_free(template->image_name);
    g_free(template->image_digest);
    g_free(template->accel);
    g_free(template->mount);
    g_free(template->machine);
    g_free(template->taskbox);
    g_free(template->seals);
    g_free(template);
}

static TbTemplate *template_from(JsonObject *object, const char *dir)
{
    TbTemplate *t = g_new0(TbTemplate, 1);
    t->dir = g_strdup(dir);
    t->key = tb_member_text(object, "key");
    t->image_name = tb_member_text(object, "image");
    t->image_digest = tb_member_text(object, "imageDigest");
    t->accel = tb_member_text(object, "accelerator");
    t->mount = tb_member_text(object, "mount");
    if (!t->mount) /* of a template from before there were others */
        t->mount = g_strdup(tb_mount_type_name(TB_MOUNT_IMAGE));
    t->machine = tb_member_text(object, "machine");
    t->taskbox = tb_member_text(object, "taskbox");
    t->cpus = (unsigned)tb_member_number(object, "cpus");
    t->memory = tb_member_number(object, "memory");
    t->disk = tb_member_number(object, "disk");
    t->created = (int64_t)tb_member_number(object, "created");
    t->memory_path = g_build_filename(dir, tb_template_files[0], NULL);
    t->state_path = g_build_filename(dir, tb_template_files[1], NULL);
    t->disk_path = g_build_filename(dir, tb_template_files[2], NULL);
    t->overlay_path = g_build_filename(dir, tb_template_files[3], NULL);
    t->files = (TbBoxTemplate){.memory = t->memory_path,
                               .state = t->state_path,
                               .disk = t->disk_path,
                               .overlay = t->overlay_path};
    return t;
}

static bool changed(const char *key, const char *file, GError **error)
{
    return tb_error_set(error, TB_ERROR_IMAGE, "template '%.12s' has changed since it was made: %s",
                        key, file);
}

static bool check_files(TbTemplate *template, JsonObject *object, int dirfd, bool check,
                        GError **error)
{
    JsonNode *node = json_object_get_member(object, "files");
    JsonObject *noted = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    g_autoptr(GString) seals = g_string_new("");
    for (const char *const *name = tb_template_files; *name; name++) {
        g_autofree char *seal = seal_of(dirfd, *name, &template->bytes);
        g_autofree char *wanted = noted ? tb_member_text(noted, *name) : NULL;
        if (check && !tb_hole("template-write") && (!seal || g_strcmp0(seal, wanted) != 0))
            return changed(template->key, *name, error);
        g_string_append_printf(seals, "%s\n", wanted ? wanted : "");
    }
    template->seals = g_string_free(g_steal_pointer(&seals), FALSE);
    return true;
}

TbTemplate *tb_template_manifest_read(const char *dir, const char *key, bool check, GError **error)
{
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        tb_error_set_errno(error, errno, "cannot open template '%.12s'", key);
        return NULL;
    }
    g_autoptr(GBytes) data = tb_read_file_at(fd, TB_TEMPLATE_MANIFEST, MANIFEST_LIMIT, NULL);
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonNode *root = NULL;
    if (data && json_parser_load_from_data(parser, g_bytes_get_data(data, NULL),
                                           (gssize)g_bytes_get_size(data), NULL))
        root = json_parser_get_root(parser);
    JsonObject *object = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    g_autoptr(TbTemplate) template = object ? template_from(object, dir) : NULL;
    struct stat st;
    if (!template || g_strcmp0(template->key, key) != 0 || !template->image_digest ||
        !template->image_name || !template->machine || !template->accel || !template->taskbox ||
        tb_member_number(object, "format") != TB_TEMPLATE_FORMAT ||
        fstatat(fd, TB_TEMPLATE_MANIFEST, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        changed(key, TB_TEMPLATE_MANIFEST, error);
        return NULL;
    }
    template->used = st.st_mtim.tv_sec;
    return check_files(template, object, fd, check, error) ? g_steal_pointer(&template) : NULL;
}
