/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings, from the lowest up: the user's config.yaml, the project's own .taskbox.yaml, TASKBOX_*
 * variables; flags are above all of them. A project is not trusted: its file can hold what a run
 * may reach, see and use to less than the others do, never to more. docs/settings.md lists the
 * keys.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "config/mount.h"
#include "config/secret.h"

/* What to keep of a box after the task: its directory with overlay and console log. */
typedef enum { TB_KEEP_NEVER, TB_KEEP_FAILED, TB_KEEP_ALWAYS } TbKeep;

/* What a box may reach: nothing, what its agent needs, all of the internet. */
typedef enum { TB_NET_UNSET, TB_NET_NONE, TB_NET_AGENT, TB_NET_OPEN } TbNet;

/* How an agent is started. The prompt stands in the place of "{prompt}" in any argument, or comes
 * on stdin; never through a shell. */
typedef struct {
    char *name;
    bool shipped;       /* one of taskbox's own profiles: never the default by itself */
    char **command;     /* not empty */
    bool prompt_stdin;  /* stdin: prompt */
    char **env;         /* "K=V"; may be empty, never NULL */
    char **hosts;       /* what it must reach (net/policy.h); NULL: nothing */
    GPtrArray *secrets; /* of TbSecretSetting *; NULL: none */
    char *image;        /* that has the program, for when nobody names another; NULL */
    GPtrArray *output;  /* of TbStreamRule * (config/stream.h): it writes JSON lines; NULL: text */
    char *install;      /* a shell script that puts the program into an image; NULL: none */
} TbAgent;

/* What all boxes that run at once may take together. 0: not set. */
typedef struct {
    unsigned cpus;
    uint64_t memory; /* bytes */
} TbCapacity;

/* Where a runaway ends. 0: the default, which docs/limits.md names. */
typedef struct {
    uint64_t free_space; /* bytes that stay free on the host's file system */
    uint64_t log;        /* bytes of the command's output that are kept */
    uint64_t changes;    /* bytes of new content that come back */
    unsigned files;      /* changed paths that come back */
    uint64_t patch;      /* bytes of the patch file */
    unsigned processes;  /* of the command at once, in the box */
    unsigned requests;   /* to the network, in all; 0 has no default, here and below */
    uint64_t net_bytes;  /* to and from the network, in all */
} TbLimits;

#define TB_DEFAULT_IMAGE "debian"

typedef struct TbSettings TbSettings;
struct TbSettings {
    char *path;       /* the file that was read; NULL: there was none */
    char *image;      /* name of an image; NULL: not set (TB_DEFAULT_IMAGE) */
    unsigned cpus;    /* 0: not set (the image's recipe decides), likewise below */
    uint64_t memory;  /* bytes */
    uint64_t disk;    /* bytes */
    uint64_t timeout; /* seconds; 0: none */
    bool has_keep;
    TbKeep keep;       /* TB_KEEP_NEVER when not set */
    char *agent;       /* default agent's name or NULL */
    char *verify;      /* a shell command that tries a patch; NULL: none */
    GPtrArray *agents; /* of TbAgent * */
    TbCapacity capacity;
    TbLimits limits;
    char **exclude, **include; /* patterns; NULL: none */
    bool has_history;
    unsigned history;  /* commits that go into the box */
    TbMountType mount; /* TB_MOUNT_UNSAID: as the image says */
    bool require_kvm;  /* no box by emulation */
    TbNet net;
    char **allow_hosts; /* of every task with a network; may be NULL */
    char **only_hosts;  /* of a project: no others; NULL: it does not say */
    GPtrArray *secrets; /* likewise; of TbSecretSetting * */

    /* What the layers above the file say, each by itself; NULL: nothing. */
    TbSettings *environment; /* has been taken in above, but for `net`: that can only lower */
    TbSettings *
        project; /* image, timeout and require_kvm have been taken in, the rest is for the askers */
};

/* The user's file alone, tb_path_config ()/config.yaml; no file: all unset. */
TbSettings *tb_settings_user(GError **error);
/* The same from a text; `name` stands in the messages. */
TbSettings *tb_settings_parse(const char *name, const void *data, size_t length, GError **error);
/* An agent from its profile, a file of its own with the same keys (config/profile.h). `path` stands
 * in the messages. TB_ERROR_CONFIG. */
TbAgent *tb_agent_parse(const char *name, const char *path, const void *data, size_t length,
                        GError **error);
void tb_agent_free(TbAgent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbAgent, tb_agent_free)
/* A project's file: the keys it may have, and no others. */
TbSettings *tb_settings_parse_project(const char *name, const void *data, size_t length,
                                      GError **error);
TbSettings *tb_settings_new(void);
void tb_settings_free(TbSettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbSettings, tb_settings_free)

/* The agent called `name`, or the default one when `name` is NULL (a sole agent is the default,
 * too). TB_ERROR_CONFIG that says how to configure one when there is none. */
const TbAgent *tb_settings_agent(const TbSettings *settings, const char *name, GError **error);
/* "a, b", NULL when there are none. g_free. */
char *tb_settings_agent_names(const TbSettings *settings);
/* The agent's command line for this prompt: "{prompt}" replaced. g_strfreev. */
char **tb_agent_argv(const TbAgent *agent, const char *prompt);

/* "none", "agent", "open" and back; of TB_NET_UNSET the name is NULL. TB_ERROR_USAGE on anything
 * else. */
const char *tb_net_name(TbNet net);
bool tb_net_parse(const char *text, TbNet *net, GError **error);
/* "never", "failed", "always" and back. TB_ERROR_USAGE on anything else. */
const char *tb_keep_name(TbKeep keep);
bool tb_keep_parse(const char *text, TbKeep *keep, GError **error);
