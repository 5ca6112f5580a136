/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Settings by TASKBOX_* variables. */
#pragma once

#include "config/settings.h"

/* What the variables say; NULL without an error: none is set. An empty one is not set.
 * TB_ERROR_CONFIG that names the variable. */
TbSettings *tb_settings_environment(GError **error);
