/* SPDX-License-Identifier: BSD-2-Clause */
/* The time of day: from a PL031 (DDI 0224), or as the boot loader knew it. */
#ifndef PLATFORM_BOARD_AARCH64_RTC_H
#define PLATFORM_BOARD_AARCH64_RTC_H

#include <hypercore/types.h>

struct board_tree;

/* Boot CPU, after clock_init(): reads the clock once; hc_platform_wall_clock() (in rtc.c) goes on
 * from there by the counter. loader: what the loader said the time was, 0 if it did not; a machine
 * without a PL031 takes that. */
void rtc_init(const struct board_tree *tree, uint64_t loader);

#endif
