/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time by the generic timer (Arm ARM D11): the physical counter, and the EL2 physical timer for
 * deadlines. clock.c has the functions of platform.h that are about time.
 */
#ifndef PLATFORM_BOARD_AARCH64_CLOCK_H
#define PLATFORM_BOARD_AARCH64_CLOCK_H

#include <hypercore/types.h>

struct board_tree;

/* Boot CPU, as early as there is a tree: the counter's rate. -ENODEV if nobody knows it. From here
 * on hc_platform_now_ns() counts. */
int clock_init(const struct board_tree *tree);

/* Boot CPU, after gic_init(): the timer's interrupt. */
int clock_init_irq(const struct board_tree *tree);

/* Each CPU, after gic_init_cpu(): stops the timers that the firmware may have left on. */
void clock_init_cpu(void);

/* Boot CPU, after clock_init_cpu(): fn runs on it with interrupts masked every period_ns or so,
 * also while it sleeps or runs a guest. One fn only. */
void clock_set_poll(void (*fn)(void), uint64_t period_ns);

/* Busy waiting. */
void clock_delay_us(unsigned us);

#endif
