/* SPDX-License-Identifier: BSD-2-Clause */
/* Time of a process. The cycle counter is in clock_x86.c and clock_a64.c. */
#include <time.h>

#include "platform/platform.h"

static uint64_t now_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t hc_platform_now_ns(void)
{
	return now_of(CLOCK_MONOTONIC);
}

uint64_t hc_platform_wall_clock(void)
{
	return now_of(CLOCK_REALTIME) / 1000000000;
}
