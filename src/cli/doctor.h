/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks of `taskbox doctor`, a file a kind. */
#pragma once

#include <glib.h>

typedef enum { TB_CHECK_OK, TB_CHECK_WARN, TB_CHECK_FAIL } TbCheckStatus;

typedef struct {
    const char *name; /* static */
    TbCheckStatus status;
    char *detail;
    char *fix; /* what to do; NULL: nothing */
} TbCheck;

/* Appends one check; `fix` may be NULL, `detail` is taken. */
void tb_check_add(GPtrArray *checks, const char *name, TbCheckStatus status, char *detail,
                  const char *fix);

void tb_doctor_programs(GPtrArray *checks); /* versions of what is started or loaded */
void tb_doctor_jail(GPtrArray *checks);     /* namespaces, KVM, libvirt in the jail */
void tb_doctor_host(GPtrArray *checks);     /* space, memory, security modules */
void tb_doctor_taskbox(GPtrArray *checks);  /* own parts, settings, images */
