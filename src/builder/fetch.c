/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cloud images. A download lies in the cache under its digest, or under its address when the recipe
 * names no digest; it gets there by a rename, complete and checked. Locks are per address.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "builder/build-private.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/paths.h"
#include "util/units.h"

#define DOWNLOAD_MAX   (64ULL * 1024 * 1024 * 1024)
#define REPORT_SECONDS 2

typedef struct {
    int fd;
    uint64_t bytes;
    int64_t next_report;
    const char *url;
} Download;

static bool store_chunk(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Download *download = user_data;
    download->bytes += length;
    if (download->bytes > DOWNLOAD_MAX)
        return tb_error_set(error, TB_ERROR_LIMIT, "cannot download '%s': larger than 64 GiB",
                            download->url);
    if (g_get_monotonic_time() >= download->next_report) {
        g_autofree char *size = tb_size_format(download->bytes);
        tb_status("downloading %s: %s", download->url, size);
        download->next_report = g_get_monotonic_time() + REPORT_SECONDS * G_USEC_PER_SEC;
    }
    return tb_write_all(download->fd, data, length, "the downloaded image", error);
}

static bool download_to(int fd, const char *url, GError **error)
{
    Download download = {.fd = fd, .url = url};
    g_autoptr(TbCommand) curl = tb_command_new("curl");
    tb_command_add(curl, "--fail", "--silent", "--show-error", "--location", "--proto", "=https",
                   "--proto-redir", "=https", "--connect-timeout", "30", "--speed-limit", "1",
                   "--speed-time", "120", "--", url, NULL);
    tb_command_set_stdout_fn(curl, store_chunk, &download);
    bool ok = tb_command_run(curl, NULL, error);
    tb_status_done();
    if (!ok)
        g_prefix_error(error, "cannot download %s: ", url);
    return ok && (fsync(fd) == 0 ||
                  tb_error_set_errno(error, errno, "cannot write the downloaded image"));
}

/* Downloads into `name` of the cache directory unless it is there. */
static bool download(int cache, const char *name, const char *url, const char *want, GError **error)
{
    g_autofree char *lock_name = g_strconcat(name, ".lock", NULL);
    g_autofree char *part = g_strconcat(name, ".part", NULL);
    tb_autofd lock = tb_lock(cache, lock_name, true, error);
    if (lock < 0)
        return false;
    struct stat st;
    if (fstatat(cache, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    tb_autofd fd = openat(cache, part, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s' in the cache", part);
    bool ok = download_to(fd, url, error);
    g_autofree char *found = ok ? tb_sha256_fd(fd, url, error) : NULL;
    ok = found != NULL;
    if (ok && want && !g_str_equal(found, want))
        ok = tb_error_set(error, TB_ERROR_IMAGE,
                          "cannot use %s: its digest is sha256:%s, but the recipe says sha256:%s",
                          url, found, want);
    if (ok && renameat(cache, part, cache, name) == 0)
        return true;
    if (ok)
        tb_error_set_errno(error, errno, "cannot rename '%s' in the cache", part);
    unlinkat(cache, part, 0);
    return false;
}

static bool fetch_url(TbBuild *build, const char *url, const char *want, GError **error)
{
    g_autofree char *base = tb_path_cache();
    g_autofree char *path = g_build_filename(base, "downloads", NULL);
    tb_autofd cache = tb_open_private_dir(path, error);
    if (cache < 0)
        return false;
    g_autofree char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, url, -1);
    g_autofree char *name = want ? g_strconcat("sha256-", want, ".qcow2", NULL)
                                 : g_strconcat("url-", key, ".qcow2", NULL);
    build->cloud = g_build_filename(path, name, NULL);
    return download(cache, name, url, want, error);
}

static char *local_path(const TbBuild *build, const char *location)
{
    if (g_str_has_prefix(location, "file://"))
        return g_filename_from_uri(location, NULL, NULL);
    g_autofree char *folder = g_path_get_dirname(build->recipe->path);
    return g_canonicalize_filename(location, folder);
}

static bool check_local(TbBuild *build, GError **error)
{
    struct stat st;
    if (!build->cloud)
        return tb_error_set(error, TB_ERROR_CONFIG, "'%s': bad location '%s'", build->recipe->path,
                            build->cloud_entry->location);
    if (stat(build->cloud, &st) < 0)
        return tb_error_set_errno(error, errno, "cannot read the cloud image '%s'", build->cloud);
    if (!S_ISREG(st.st_mode))
        return tb_error_set(error, TB_ERROR_CONFIG,
                            "cannot read the cloud image '%s': no regular file", build->cloud);
    return true;
}

/* The digest of the file itself, whatever the recipe says. */
static bool take_digest(TbBuild *build, const char *want, GError **error)
{
    if (want) {
        build->cloud_digest = g_strdup(want);
        return tb_check_digest(build->cloud, want, error);
    }
    tb_autofd fd = open(build->cloud, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", build->cloud);
    build->cloud_digest = tb_sha256_fd(fd, build->cloud, error);
    if (build->cloud_digest && g_str_has_prefix(build->cloud_entry->location, "https://"))
        tb_warn("recipe '%s' names no digest for %s; to hold on to what was downloaded, add "
                "'digest: sha256:%s'",
                build->recipe->name, build->cloud_entry->location, build->cloud_digest);
    return build->cloud_digest != NULL;
}

bool tb_build_fetch(TbBuild *build, GError **error)
{
    build->cloud_entry = tb_recipe_image(build->recipe, error);
    if (!build->cloud_entry)
        return false;
    const char *location = build->cloud_entry->location;
    const char *want =
        build->cloud_entry->digest ? build->cloud_entry->digest + strlen("sha256:") : NULL;
    if (g_str_has_prefix(location, "https://")) {
        if (!fetch_url(build, location, want, error))
            return false;
    } else {
        build->cloud = local_path(build, location);
        if (!check_local(build, error))
            return false;
    }
    return take_digest(build, want, error);
}
