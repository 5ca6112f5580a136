/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manual pages in man(7), made of the table of subcommands. */
#pragma once

#include "cli/command.h"

/* taskbox(1). g_free. */
char *tb_man_overview(void);
/* taskbox-NAME(1), spaces of the name as dashes. g_free. */
char *tb_man_subcommand(const TbSubcommand *command);
