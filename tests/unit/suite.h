/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a test program ends. */
#pragma once

#include <check.h>
#include <stdlib.h>

/* Runs the suite and frees it; how much is said is CK_VERBOSITY's. What main returns. */
static inline int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The same for a suite that is one test case; not yours afterwards. */
static inline int suite_run_case(const char *name, TCase *cases)
{
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
