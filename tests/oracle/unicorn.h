/* SPDX-License-Identifier: BSD-2-Clause */
/* What Unicorn 2.0.1 lacks, and what it does differently (unicorn_known.c). */
#ifndef TESTS_ORACLE_UNICORN_H
#define TESTS_ORACLE_UNICORN_H

#include "tests/oracle/oracle.h"

/* Whether it can execute the case at all, as user mode would. */
bool unicorn_has(const struct oracle_case *c);

/* oracle_known() and what Unicorn does differently besides. */
struct oracle_leeway unicorn_known(const struct oracle_case *c, const struct oracle_outcome *judge);

#endif
