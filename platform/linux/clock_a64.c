/* SPDX-License-Identifier: BSD-2-Clause */
/* The cycle counter of an arm64 CPU: the generic timer's, which says its rate itself (Arm ARM
 * D11.1.2). A process sees the virtual count, from which a host's kernel takes nothing off. */
#include "platform/linux/linux.h"
#include "platform/platform.h"

/* The read may otherwise be made early (Arm ARM D11.2.1). */
uint64_t hc_platform_cycles(void)
{
	uint64_t count;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(count) : : "memory");
	return count;
}

uint64_t hc_platform_cycles_hz(void)
{
	uint64_t hz;

	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	return hz;
}

/* There is nothing to be measured. */
void linux_clock_init(void)
{
}
