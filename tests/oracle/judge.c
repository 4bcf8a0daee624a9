/* SPDX-License-Identifier: BSD-2-Clause */
/* The judge of the program `oracle`. */
#include "tests/oracle/oracle.h"

const struct oracle_executor *const oracle_judge = &oracle_native;
