/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of src/project share among themselves. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "project/project.h"

/* Directories that content comes from. A path in the box is a path in its source, less `skip`
 * bytes (".git/objects/x" of a linked worktree is "objects/x" in the common directory). */
typedef enum {
    TB_SOURCE_ROOT,   /* the work tree */
    TB_SOURCE_GIT,    /* a git directory outside of the work tree */
    TB_SOURCE_COMMON, /* the main repository of a linked worktree */
    TB_SOURCE_MADE,   /* the git directory that history.c has made */
    TB_SOURCE_COUNT,
} TbSource;

struct TbProject {
    char *root, *subdir, *name;
    char *git_dir, *common_dir; /* NULL, or absolute without links */
    bool git_inside;            /* git_dir is ROOT/.git itself */
    bool sha256;
    char *ref_storage;        /* NULL: files */
    uint32_t owner;           /* as it is, 0 included */
    uint32_t uid, gid;        /* as the box has it */
    int fds[TB_SOURCE_COUNT]; /* -1 where there is none */
    char *user_excludes;      /* excludes.c */
    bool excludes_known;
    GString *exclude, *include; /* lines of rules; NULL: none */
    TbHistory history;
};

typedef struct TbMaskList TbMaskList;
typedef struct TbIndex TbIndex;

/* Why an item is masked; kept in an image's manifest. */
enum {
    TB_MASK_EXCLUDE = 1,  /* by --exclude */
    TB_MASK_FILE = 2,     /* by .taskboxignore */
    TB_MASK_LIST = 4,     /* by the mask list */
    TB_MASK_LINK = 8,     /* a hard link of a masked file */
    TB_MASK_TRACKED = 16, /* beside one of those: git's objects hold it */
    TB_MASK_RULES = TB_MASK_EXCLUDE | TB_MASK_FILE,
};

/* Something that is to be in the box. */
typedef struct {
    char *path; /* in the box, relative to the project; "" is the root */
    TbSource source;
    unsigned skip;
    TbEntryKind kind; /* FILE, SYMLINK or DIR */
    uint32_t mode;    /* whole st_mode */
    uint64_t size;    /* FILE: bytes; SYMLINK: length of the target; DIR: 0 */
    uint64_t ino;
    struct timespec mtime, ctime;
    char *text;         /* SYMLINK: the target; FILE: content of a file of ours, else NULL */
    bool ours;          /* made by us: content (files) is in `text`, nothing on disk */
    bool in_base;       /* the base tree holds what the scan saw: it must not change any more */
    const char *listed; /* what the mask list takes it for; NULL: nothing */
    bool linked;        /* has other names, somewhere */
    uint8_t mask;       /* TB_MASK_*; once the scan is masked it stands empty */
    uint8_t known;      /* TB_MASK_RULES: which of these need not be asked for */
} TbItem;

struct TbScan {
    TbProject *project;  /* borrowed */
    GArray *items;       /* TbItem, sorted by tb_path_order; [0] is the root */
    GHashTable *by_path; /* path -> index + 1 */
    GHashTable *omitted; /* paths on disk that the box does not get, whatever the reason */
    GPtrArray *left_out; /* those that the user should know of: "path: reason" */
    struct timespec started;
    uint64_t files, bytes;
    bool has_attributes; /* some .gitattributes is there */
    GPtrArray *nested;   /* paths of nested repositories */
    TbMaskList *list;
    guint listed;              /* items that the mask list names */
    char *ignore_file;         /* the text of .taskboxignore; NULL: none */
    char *rules;               /* digest of all that decides what is masked, the index aside */
    char *index_state;         /* equal text, equal index; "": nobody knows */
    TbIndex *index;            /* when somebody has asked for it */
    char *index_at;            /* the copy that it was read from */
    bool masks_done;           /* tb_scan_mask */
    GPtrArray *masked;         /* "path: why" */
    GPtrArray *masked_paths;   /* in the same order */
    GHashTable *masked_dirs;   /* paths */
    GHashTable *masked_inodes; /* uint64_t as they were on the disk */
    guint masked_tracked;      /* how many of them git's objects hold */
    GPtrArray *shown;
    char *odd_git_input; /* a .gitignore, .gitattributes or the like that is no regular file */
};

/* Empty. */
TbScan *tb_scan_alloc(TbProject *project);

/* The items' array frees what is in it: after another array was put in its place. */
void tb_scan_own_items(TbScan *scan);

/* Parents before children, each directory's content together: bytes, '/' below all. */
int tb_path_order(const char *a, const char *b);
/* Below the directory, at any depth. */
bool tb_path_is_beneath(const char *path, const char *dir);
/* The project's own .git, or below it. */
bool tb_path_in_git(const char *path);
TbItem *tb_scan_item(const TbScan *scan, guint index);
TbItem *tb_scan_find(const TbScan *scan, const char *path); /* NULL when it is not there */
/* "path: reason" to the left-out list, and the path to the omitted. */
void tb_scan_leave_out(TbScan *scan, const char *path, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Opens a regular file of the scan for reading; *st is what it is now. */
int tb_item_open(const TbProject *project, const TbItem *item, struct stat *st, GError **error);
/* True when `st` is what the scan saw. */
bool tb_item_same(const TbItem *item, const struct stat *st);
void tb_item_take_stat(TbItem *item, const struct stat *st);

/* A number for a text of ours: two contents with one are as likely as two files with one inode and
 * one set of times. */
uint64_t tb_text_number(const char *text);

/* masks.c: the mask list. */
TbMaskList *tb_mask_list_new(void);
void tb_mask_list_free(TbMaskList *masks);
/* What the list takes a file of this path for (static string); NULL: nothing. */
const char *tb_mask_list_match(const TbMaskList *masks, const char *path);
void tb_mask_list_digest(GChecksum *checksum);
guint tb_mask_list_rows(void);
const char *tb_mask_list_pattern(guint index);

/* mask-rules.c: asks git which items --exclude and .taskboxignore mask (bits into item->mask) and,
 * with `include`, which of the listed ones are let in (item->listed becomes NULL). Only about items
 * that are not known. */
bool tb_mask_ask(TbScan *scan, TbGit *git, GError **error);

/* mask-scan.c. Reads .taskboxignore and knows whether anything is to be decided: the end of each
 * scan. */
bool tb_scan_read_rules(TbScan *scan, GError **error);
/* Makes the scan what the items' masks say. */
void tb_scan_carry_out(TbScan *scan);
/* True when the box gets none of the project's history. */
bool tb_scan_without_history(const TbScan *scan);
/* True when the path is masked, or below a directory that is. */
bool tb_scan_is_masked(const TbScan *scan, const char *path);
/* The index, read once; the scan's. NULL with an error. */
TbIndex *tb_scan_index(TbScan *scan, TbGit *git, GError **error);
/* The copy of the project's index in git's directory. g_free. */
char *tb_scan_index_copy(TbGit *git);

/* scan-walk.c, for history.c: drops from the project's .git what is not `kept` (NULL: all of it;
 * paths below .git), all of nested repositories' .git directories too, and puts what lies in
 * TB_SOURCE_MADE in its place. */
bool tb_scan_replace_git(TbScan *scan, const char *const *kept, GError **error);

/* scan-git.c: what of a git directory goes into the box. */
typedef enum { TB_GIT_WHOLE, TB_GIT_COMMON, TB_GIT_OWN } TbGitPart;
/* `path` is relative to the git directory. */
bool tb_git_part_wanted(const char *path, bool is_dir, TbGitPart part);
/* The text of packed-refs less what is not wanted. g_free. */
char *tb_git_packed_refs(const char *text);
/* True when the directory has what makes it a git directory. */
bool tb_is_git_dir(int dirfd);
/* The configuration that the box gets in place of the one whose text is given (may be NULL).
 * `worktree` is kept for submodules when it is relative. */
char *tb_git_config_sanitized(const char *config, bool submodule);
/* The text of a submodule's .git file as it must be in the box, NULL when it leads nowhere that
 * the box has. */
char *tb_git_file_in_box(const TbProject *project, const char *path, const char *text);

/* git-config.c: the value of SECTION.KEY (last one wins), NULL when not set; no includes. Keys are
 * compared without regard to case. */
char *tb_git_config_value(const char *text, const char *section, const char *key);

/* user-config.c: the value of KEY in the user's own configuration, includes and all, "" or more
 * (g_free), NULL when not set. `type` is git's (--type, may be NULL). The repository has no say. */
char *tb_user_config(const char *key, const char *type);
/* The value of SECTION.KEY in the repository's own; NULL: not set, or no repository. g_free. */
char *tb_repository_config(const TbProject *project, const char *section, const char *key);

/* git-dir.c: fills git_dir, common_dir and what depends on them when `root` has a repository. */
bool tb_project_find_git(TbProject *project, const char *root, bool *found, GError **error);

/* base-index.c: the project's own index. */
typedef struct {
    char *path;
    char oid[65];
    uint32_t mode;
    unsigned stage;
    uint32_t mtime_sec, mtime_nsec, ctime_sec, ctime_nsec, ino, size, flags;
} TbIndexEntry;
#define TB_INDEX_INTENT_TO_ADD (UINT32_C(1) << 29)
#define TB_INDEX_SKIP_WORKTREE (UINT32_C(1) << 30)
struct TbIndex {
    GArray *entries;         /* TbIndexEntry in git's order */
    struct timespec written; /* when the index was */
};
TbIndex *tb_index_read(TbProject *project, TbGit *git, const char *index_path, GError **error);
void tb_index_free(TbIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbIndex, tb_index_free)
/* True when `item`'s content is for sure what the entry's id names, filters aside. */
bool tb_index_entry_clean(const TbIndex *index, const TbIndexEntry *entry, const TbItem *item,
                          unsigned oid_length);

/* base-filter.c: takes from `clean` (array of TbIndexEntry *) those whose blob may differ from the
 * bytes on disk. */
bool tb_filtered_entries(TbProject *project, TbScan *scan, TbGit *git, GPtrArray *clean,
                         GPtrArray *filtered, GError **error);

/* base-write.c: one path of the base tree. */
typedef struct {
    const char *path; /* borrowed */
    uint32_t mode;
    const char *oid; /* borrowed; NULL: that of `item`, to be stored */
    TbItem *item;    /* NULL for what is not on disk (sparse, gitlink, unreadable) */
} TbBaseEntry;
/* Stores contents, makes the index at `index_path` hold exactly `entries` (sorted by bytes) and
 * returns its tree. */
char *tb_base_write(TbProject *project, TbGit *git, const char *index_path, GArray *entries,
                    GPtrArray *notes, GError **error);

/* manifest.c: what is in a kept project image. */
typedef struct {
    char *path;
    uint32_t kind, mode;
    uint64_t size, ino;
    int64_t mtime_sec, ctime_sec;
    uint32_t mtime_nsec, ctime_nsec;
    uint32_t mask; /* TB_MASK_* */
} TbManifestEntry;
typedef struct {
    char *image;   /* file name */
    char *boot_id; /* NULL: the image is safely on disk */
    char *rules;   /* what was masked: by these rules, likewise below */
    char *index;   /* with this index */
    bool no_history;
    uint64_t bytes;
    GArray *entries; /* in tb_path_order */
    GBytes *text;    /* what was read, which has the paths; NULL: the entries own them */
} TbManifest;
TbManifest *tb_manifest_new(const char *image);
void tb_manifest_free(TbManifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbManifest, tb_manifest_free)
bool tb_manifest_write(const TbManifest *manifest, int dirfd, const char *name, GError **error);
/* NULL without an error when there is none that can be used. */
TbManifest *tb_manifest_read(int dirfd, const char *name);

/* image.c, for the delta. */
const TbManifest *tb_project_image_manifest(const TbProjectImage *image); /* NULL: empty image */
TbProject *tb_project_image_project(const TbProjectImage *image);
/* mask-known.c: takes over what the manifest of a kept image knows of the scan's masks. When that
 * is all there is to know, the scan is masked; else tb_scan_mask has less to ask. */
void tb_scan_mask_known(TbScan *scan, const TbManifest *manifest);
/* True when a box may have the image for its disk: nothing that is masked now is in it. */
bool tb_manifest_fits(const TbManifest *manifest, const TbScan *scan);
/* True when so much changed since the image was made that a new one is cheaper. */
bool tb_delta_outgrows(const TbManifest *manifest, TbScan *scan);

/* erofs.c: writes the scan as a file system into `fd`; marks in `taken` (one byte an item) what is
 * in it exactly as scanned. False when it does not fit in `limit` bytes or on the disk. */
bool tb_erofs_write(int fd, const TbScan *scan, uint64_t limit, uint8_t *taken, GError **error);
