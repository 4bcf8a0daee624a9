/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef PLATFORM_BOARD_X86_64_RTC_H
#define PLATFORM_BOARD_X86_64_RTC_H

#include <stdint.h>

/* Seconds since 1970-01-01 by the battery-backed clock, taken to be in UTC; 0 if it makes no sense.
 * Takes up to a second's fraction: start-up only. */
uint64_t rtc_seconds(void);

#endif
