/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "review/findings.h"

/* Empty ones. */
TbFindings *findings_new(void);
