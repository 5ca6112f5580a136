/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/exit.h"

#include <signal.h>

#include "util/interrupt.h"

const TbExitClass tb_exit_classes[TB_EXIT_CLASSES] = {
    {TB_ERROR_INTERNAL, 1},    {TB_ERROR_USAGE, 2},      {TB_ERROR_CONFIG, 3},
    {TB_ERROR_NOT_FOUND, 1},   {TB_ERROR_EXISTS, 1},     {TB_ERROR_BUSY, 9},
    {TB_ERROR_UNSUPPORTED, 6}, {TB_ERROR_DEPENDENCY, 5}, {TB_ERROR_IMAGE, 1},
    {TB_ERROR_VM, 1},          {TB_ERROR_GUEST, 1},      {TB_ERROR_TIMEOUT, TB_EXIT_TIMEOUT},
    {TB_ERROR_LIMIT, 1},       {TB_ERROR_CONFLICT, 11},  {TB_ERROR_DENIED, 8},
    {TB_ERROR_NO_SPACE, 10},   {TB_ERROR_IO, 1},         {TB_ERROR_VERIFY, 12},
    {TB_ERROR_INTERRUPTED, 0},
};

static int status_of_signal(void)
{
    int number = tb_interrupt_signal();
    return 128 + (number ? number : SIGINT);
}

int tb_exit_status(const GError *error, bool passes_through)
{
    TbErrorCode code = tb_error_code(error);
    if (code == TB_ERROR_INTERRUPTED)
        return status_of_signal();
    if (passes_through)
        return TB_EXIT_OWN_FAILURE;
    for (size_t i = 0; i < G_N_ELEMENTS(tb_exit_classes); i++)
        if (tb_exit_classes[i].code == code)
            return tb_exit_classes[i].status;
    return 1;
}
