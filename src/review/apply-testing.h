/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests only. */
#pragma once

#include <stdbool.h>

/* The apply that follows stops at its `point`th fault point (from 0; -1: never): with an error, or
 * with SIGKILL to the process. */
void tb_apply_testing_fault(int point, bool kill);
/* At that point `call` is made instead, and the apply goes on. */
void tb_apply_testing_call(int point, void (*call)(void));
/* How many fault points have been passed since the last of the calls above. */
int tb_apply_testing_passed(void);
