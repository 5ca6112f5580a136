/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest program's own service in namespaces of its own (mounts, pids, network, host name), with
 * its files in a temporary tmpfs and a socket in place of the port. Needs root.
 */
#pragma once

#include <check.h>
#include <glib.h>

#include "util/error.h"
#include "vm/session.h"

enum { HARNESS_UID = 54321, HARNESS_GID = 54322, HARNESS_SKIP = 77 };

typedef struct {
    char *dir; /* root/, state/, workspace/ are in it, on the guest's tmpfs only */
    char *cgroup;
    int listener;
    pid_t pid;
} Harness;

/* Why the tests cannot run here; NULL when they can. */
const char *harness_missing(void);
Harness *harness_start(void);
/* Kills what is left; returns the service's exit status, -1 when it was killed. */
int harness_stop(Harness *harness);
/* A new connection, as a host that opens the port makes it. */
int harness_connect(Harness *harness);
/* Connection and hello. */
TbSession *harness_session(Harness *harness);
/* The same, then setup. */
TbSession *harness_ready(Harness *harness);
/* Microseconds from now, as the session takes it. */
int64_t harness_deadline(double seconds);
/* Fails the test with the error's text. */
void harness_ok(bool ok, GError *error);

/* Runs a shell line; out and err are what it said. `as_root` is true. */
typedef struct {
    GString *out, *err;
    TbExecResult result;
} HarnessRun;
HarnessRun *harness_shell(TbSession *session, const char *line);
void harness_run_free(HarnessRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HarnessRun, harness_run_free)

/* main () of a test program: skips with a reason or runs the suite. */
int harness_main(Suite *suite);
