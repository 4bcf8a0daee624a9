/* SPDX-License-Identifier: BSD-2-Clause */
/* Time: the TSC, its rate, and the local APIC timer's deadlines. */
#ifndef PLATFORM_BOARD_X86_64_CLOCK_H
#define PLATFORM_BOARD_X86_64_CLOCK_H

#include <hypercore/types.h>

/* Boot CPU, local APIC on: measures the TSC, and the local APIC timer if that is needed, against
 * the HPET (hpet: its registers' address, 0 if there is none) or the PIT. -ENODEV if neither
 * counts. */
int clock_init(hpa_t hpet);

/* What the TSC was measured against ("HPET", "PIT"). */
const char *clock_reference(void);

/* Each CPU. */
void clock_init_cpu(void);

/* Busy waiting. */
void clock_delay_us(unsigned us);

#endif
