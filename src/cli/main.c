/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>

#include "cli/command.h"
#include "util/interrupt.h"

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    tb_interrupt_install();
    return tb_cli_main(argc, argv);
}
