/* SPDX-License-Identifier: BSD-2-Clause */
/* Work for all CPUs at once; board_call_cpus() of board.h is here. */
#ifndef PLATFORM_BOARD_WORK_H
#define PLATFORM_BOARD_WORK_H

#include "core/sched.h"

/* The body of every CPU but the boot CPU: sleeps, and does what board_call_cpus() gives. cpu: the
 * calling one; interrupts are off. */
_Noreturn void work_loop(struct hc_cpu *cpu);

#endif
