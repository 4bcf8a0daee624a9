/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's real-time clock, a PL031 (DDI 0224). */
#ifndef PLATFORM_BOARD_AARCH64_RTC_H
#define PLATFORM_BOARD_AARCH64_RTC_H

#include <hypercore/types.h>

struct board_tree;

/* Boot CPU, after clock_init(): reads it once; hc_platform_wall_clock() (in rtc.c) goes on from
 * there by the counter. A machine without one has no wall clock. */
void rtc_init(const struct board_tree *tree);

#endif
