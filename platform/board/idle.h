/* SPDX-License-Identifier: BSD-2-Clause */
/* What idle.c, which has platform.h's interrupt window, idle and kick, wants of the architecture.
 */
#ifndef PLATFORM_BOARD_IDLE_H
#define PLATFORM_BOARD_IDLE_H

#include "core/sched.h"

/* Interrupts off. Lets those that are pending in, and no others. */
void idle_take_interrupts(void);

/* Interrupts off. Sleeps until one is pending, also if it came just before, and lets it in. */
void idle_sleep(void);

/* Interrupts off. An interrupt for that CPU, which it takes with no more effect. */
void idle_send_kick(const struct hc_cpu *cpu);

#endif
