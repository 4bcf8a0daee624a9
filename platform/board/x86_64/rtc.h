/* SPDX-License-Identifier: BSD-2-Clause */
/* The battery-backed clock of a PC. */
#ifndef PLATFORM_BOARD_X86_64_RTC_H
#define PLATFORM_BOARD_X86_64_RTC_H

#include <stdint.h>

/* The registers, as they were read. */
struct rtc_time {
	uint8_t second, minute, hour, day, month, year, b;
};

/* Seconds since 1970-01-01 of a time from 2000 to 2099; 0 if it is none. */
uint64_t rtc_decode(const struct rtc_time *t);

/* Seconds since 1970-01-01 by the battery-backed clock, taken to be in UTC; 0 if it makes no sense.
 * Takes up to a second's fraction: start-up only. */
uint64_t rtc_seconds(void);

#endif
