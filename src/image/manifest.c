/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manifest is read back to use the image, so a damaged one matters as much as a damaged disk:
 * its own digest stands in SHA256SUMS beside the others.
 */
#include "image/manifest.h"

#include <fcntl.h>
#include <string.h>
#include <json-glib/json-glib.h>
#include "image/members.h"
#include "image/store-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define MANIFEST_LIMIT (16 * 1024 * 1024)

const char *const tb_image_files[] = {TB_IMAGE_DISK, TB_IMAGE_KERNEL, TB_IMAGE_INITRD,
                                      TB_IMAGE_MANIFEST, NULL};

static void set_strv(JsonBuilder *json, const char *key, char *const *texts)
{
    json_builder_set_member_name(json, key);
    json_builder_begin_array(json);
    for (; texts && *texts; texts++)
        json_builder_add_string_value(json, *texts);
    json_builder_end_array(json);
}

static void set_list(JsonBuilder *json, const char *key, const GPtrArray *list)
{
    json_builder_set_member_name(json, key);
    json_builder_begin_array(json);
    for (unsigned i = 0; list && i < list->len; i++)
        json_builder_add_string_value(json, g_ptr_array_index(list, i));
    json_builder_end_array(json);
}

static void set_sources(JsonBuilder *json, const TbManifestSources *sources)
{
    json_builder_set_member_name(json, "source");
    json_builder_begin_object(json);
    if (sources->suite) {
        tb_member_set_text(json, "suite", sources->suite);
        set_list(json, "packageSources", sources->sources);
    } else if (sources->location) {
        tb_member_set_text(json, "location", sources->location);
        tb_member_set_text(json, "sha256", sources->location_digest);
    }
    if (sources->import_of)
        tb_member_set_text(json, "importOf", sources->import_of);
    tb_member_set_text(json, "guestProgramSha256", sources->guest_digest);
    json_builder_end_object(json);
}

/* What a layer lies on. */
static void set_base(JsonBuilder *json, const TbImage *image)
{
    if (!image->base_digest)
        return;
    json_builder_set_member_name(json, "from");
    json_builder_begin_object(json);
    tb_member_set_text(json, "name", image->base_name);
    tb_member_set_text(json, "digest", image->base_digest);
    tb_member_set_text(json, "diskSha256", image->base_sum);
    json_builder_end_object(json);
}

static void set_packages(JsonBuilder *json, const GPtrArray *packages)
{
    json_builder_set_member_name(json, "packages");
    json_builder_begin_array(json);
    for (unsigned i = 0; packages && i < packages->len; i++) {
        g_auto(GStrv) words = g_strsplit(g_ptr_array_index(packages, i), " ", 2);
        json_builder_begin_object(json);
        tb_member_set_text(json, "name", words[0]);
        tb_member_set_text(json, "version", words[0] ? words[1] : NULL);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static void set_files(JsonBuilder *json, const char *const sums[3])
{
    json_builder_set_member_name(json, "sha256");
    json_builder_begin_object(json);
    for (int i = 0; i < 3; i++)
        tb_member_set_text(json, tb_image_files[i], sums[i]);
    json_builder_end_object(json);
}

/* {"apt": [{"host": ..., "from": ...}], ...}: a group without any is not there. */
static void set_hosts(JsonBuilder *json, const GPtrArray *hosts)
{
    json_builder_set_member_name(json, "hosts");
    json_builder_begin_object(json);
    for (const char *const *group = tb_host_groups; *group; group++) {
        bool begun = false;
        for (guint i = 0; hosts && i < hosts->len; i++) {
            const TbImageHost *host = hosts->pdata[i];
            if (!g_str_equal(host->group, *group))
                continue;
            if (!begun) {
                json_builder_set_member_name(json, *group);
                json_builder_begin_array(json);
                begun = true;
            }
            json_builder_begin_object(json);
            tb_member_set_text(json, "host", host->host);
            tb_member_set_text(json, "from", host->from);
            json_builder_end_object(json);
        }
        if (begun)
            json_builder_end_array(json);
    }
    json_builder_end_object(json);
}

static void set_facts(JsonBuilder *json, const TbImage *image)
{
    g_autoptr(GDateTime) created = g_date_time_new_from_unix_utc(image->created);
    g_autofree char *created_text = g_date_time_format_iso8601(created);
    tb_member_set_number(json, "format", TB_IMAGE_FORMAT);
    tb_member_set_text(json, "name", image->name);
    tb_member_set_text(json, "digest", image->digest);
    tb_member_set_text(json, "created", created_text);
    tb_member_set_text(json, "taskbox", image->taskbox);
    tb_member_set_text(json, "arch", image->arch);
    tb_member_set_text(json, "kernel", image->kernel_release);
    tb_member_set_text(json, "cmdline", image->cmdline);
    tb_member_set_text(json, "filesystems", image->filesystems);
    tb_member_set_number(json, "cpus", image->cpus);
    tb_member_set_number(json, "memory", image->memory);
    tb_member_set_number(json, "disk", image->disk_size);
    tb_member_set_text(json, "mountType", tb_mount_type_name(image->mount_type));
}

char *tb_image_manifest_write(const TbImage *image, const TbManifestSources *sources,
                              const char *const sums[3])
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    set_facts(json, image);
    tb_member_set_text(json, "initrd", image->own_initrd ? "taskbox" : "distribution");
    set_strv(json, "env", image->env);
    set_strv(json, "warm", image->warm);
    json_builder_set_member_name(json, "imported");
    json_builder_add_boolean_value(json, image->imported);
    set_base(json, image);
    set_sources(json, sources);
    set_files(json, sums);
    set_hosts(json, image->hosts);
    set_packages(json, sources->packages);
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *text = json_to_string(root, TRUE);
    return g_strconcat(text, "\n", NULL);
}

static JsonArray *get_array(JsonObject *object, const char *key)
{
    JsonNode *node = json_object_get_member(object, key);
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

/* What is not understood allows nothing. */
static GPtrArray *get_hosts(JsonObject *object)
{
    GPtrArray *hosts = tb_image_hosts_new();
    JsonNode *node = json_object_get_member(object, "hosts");
    JsonObject *groups = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    for (const char *const *group = tb_host_groups; groups && *group; group++) {
        JsonArray *list = get_array(groups, *group);
        for (guint i = 0; list && i < json_array_get_length(list); i++) {
            JsonNode *item = json_array_get_element(list, i);
            if (!JSON_NODE_HOLDS_OBJECT(item))
                continue;
            g_autofree char *host = tb_member_text(json_node_get_object(item), "host");
            g_autofree char *from = tb_member_text(json_node_get_object(item), "from");
            if (host && from)
                (void)tb_image_hosts_add(hosts, *group, host, from);
        }
    }
    return hosts;
}

/* Texts only; what is none is left out. */
static char **get_list(JsonObject *object, const char *key)
{
    JsonNode *node = json_object_get_member(object, key);
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *item = json_array_get_element(array, i);
        if (JSON_NODE_HOLDS_VALUE(item) && json_node_get_value_type(item) == G_TYPE_STRING)
            g_ptr_array_add(list, g_strdup(json_node_get_string(item)));
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_steal(list, NULL);
}

static bool get_flag(JsonObject *object, const char *key)
{
    JsonNode *node = json_object_get_member(object, key);
    return node && JSON_NODE_HOLDS_VALUE(node) &&
           json_node_get_value_type(node) == G_TYPE_BOOLEAN && json_node_get_boolean(node);
}

static void get_base(TbImage *image, JsonObject *object)
{
    JsonNode *node = json_object_get_member(object, "from");
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return;
    JsonObject *base = json_node_get_object(node);
    image->base_name = tb_member_text(base, "name");
    image->base_digest = tb_member_text(base, "digest");
    image->base_sum = tb_member_text(base, "diskSha256");
}

static TbImage *image_from(JsonObject *object, const char *dir)
{
    TbImage *image = g_new0(TbImage, 1);
    image->lock = -1;
    image->name = tb_member_text(object, "name");
    image->digest = tb_member_text(object, "digest");
    image->dir = g_strdup(dir);
    image->disk = g_build_filename(dir, TB_IMAGE_DISK, NULL);
    image->kernel = g_build_filename(dir, TB_IMAGE_KERNEL, NULL);
    image->initrd = g_build_filename(dir, TB_IMAGE_INITRD, NULL);
    image->cmdline = tb_member_text(object, "cmdline");
    image->cpus = (unsigned)tb_member_number(object, "cpus");
    image->memory = tb_member_number(object, "memory");
    image->disk_size = tb_member_number(object, "disk");
    g_autofree char *mount = tb_member_text(object, "mountType");
    if (!mount || !tb_mount_type_parse(mount, &image->mount_type, NULL))
        image->mount_type = TB_MOUNT_IMAGE;
    image->filesystems = tb_member_text(object, "filesystems");
    image->kernel_release = tb_member_text(object, "kernel");
    image->arch = tb_member_text(object, "arch");
    image->taskbox = tb_member_text(object, "taskbox");
    image->hosts = get_hosts(object);
    g_autofree char *created = tb_member_text(object, "created");
    g_autoptr(GDateTime) time = created ? g_date_time_new_from_iso8601(created, NULL) : NULL;
    image->created = time ? g_date_time_to_unix(time) : 0;
    g_autofree char *initrd = tb_member_text(object, "initrd");
    image->own_initrd = g_strcmp0(initrd, "taskbox") == 0;
    image->env = get_list(object, "env");
    image->warm = get_list(object, "warm");
    image->imported = get_flag(object, "imported");
    get_base(image, object);
    return image;
}

static void count_bytes(TbImage *image)
{
    const char *const files[] = {image->disk, image->kernel, image->initrd};
    for (int i = 0; i < 3; i++) {
        struct stat st;
        if (lstat(files[i], &st) == 0)
            image->bytes += (uint64_t)st.st_blocks * 512;
    }
}

static bool base_complete(const TbImage *image)
{
    if (!image->base_name && !image->base_digest && !image->base_sum)
        return true;
    return image->base_name && image->base_digest && image->base_sum &&
           tb_image_name_valid(image->base_name) && tb_digest_valid(image->base_digest) &&
           tb_digest_valid(image->base_sum);
}

static bool complete(const TbImage *image, const char *digest)
{
    return base_complete(image) && image->name && image->cmdline && image->filesystems &&
           image->kernel_release && image->arch && image->cpus > 0 && image->memory > 0 &&
           image->disk_size > 0 && g_strcmp0(image->digest, digest) == 0 &&
           tb_image_name_valid(image->name);
}

static GPtrArray *get_packages(JsonObject *object)
{
    JsonNode *node = json_object_get_member(object, "packages");
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    GPtrArray *packages = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *item = json_array_get_element(array, i);
        if (!JSON_NODE_HOLDS_OBJECT(item))
            continue;
        g_autofree char *name = tb_member_text(json_node_get_object(item), "name");
        g_autofree char *version = tb_member_text(json_node_get_object(item), "version");
        if (name && version)
            g_ptr_array_add(packages, g_strdup_printf("%s %s", name, version));
    }
    return packages;
}

static char *get_guest(JsonObject *object)
{
    JsonNode *node = json_object_get_member(object, "source");
    return node && JSON_NODE_HOLDS_OBJECT(node)
               ? tb_member_text(json_node_get_object(node), "guestProgramSha256")
               : NULL;
}

/* The top object, which lives as long as the parser; NULL with why. */
static JsonObject *parse_object(JsonParser *parser, const char *text, size_t length, GError **why)
{
    JsonNode *root = json_parser_load_from_data(parser, text, (gssize)length, why)
                         ? json_parser_get_root(parser)
                         : NULL;
    return root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
}

TbImage *tb_image_manifest_parse(const char *text, size_t length, const char *dir,
                                 GPtrArray **packages, char **guest, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) why = NULL;
    JsonObject *object = parse_object(parser, text, length, &why);
    g_autoptr(TbImage) image = object ? image_from(object, dir) : NULL;
    if (!image || !image->digest || !tb_digest_valid(image->digest) ||
        !complete(image, image->digest) || tb_member_number(object, "format") != TB_IMAGE_FORMAT) {
        tb_error_set(error, TB_ERROR_IMAGE, "cannot read the image's manifest: %s",
                     why ? why->message : "something is missing in it");
        return NULL;
    }
    if (packages)
        *packages = get_packages(object);
    if (guest)
        *guest = get_guest(object);
    return g_steal_pointer(&image);
}

TbImage *tb_image_manifest_read(const char *dir, const char *digest, GError **error)
{
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) data =
        fd >= 0 ? tb_read_file_at(fd, TB_IMAGE_MANIFEST, MANIFEST_LIMIT, &why) : NULL;
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    size_t length = 0;
    const char *text = data ? g_bytes_get_data(data, &length) : NULL;
    JsonObject *object = text ? parse_object(parser, text, length, &why) : NULL;
    g_autoptr(TbImage) image = object ? image_from(object, dir) : NULL;
    if (!image || !complete(image, digest)) {
        tb_error_set(error, TB_ERROR_IMAGE,
                     "cannot read the manifest of image '%.12s': %s (run 'taskbox image rm %.12s' "
                     "and build it again)",
                     digest, why ? why->message : "something is missing in it", digest);
        return NULL;
    }
    if (tb_member_number(object, "format") != TB_IMAGE_FORMAT) {
        tb_error_set(error, TB_ERROR_IMAGE,
                     "image '%s' was made by another version of taskbox (run 'taskbox image build "
                     "%s')",
                     image->name, image->name);
        return NULL;
    }
    count_bytes(image);
    return g_steal_pointer(&image);
}
