/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts that a case takes, counted by vector. */
#ifndef CONFORMANCE_CASES_X86_64_TAKEN_H
#define CONFORMANCE_CASES_X86_64_TAKEN_H

#include "guest/x86_64/feature.h"

static volatile unsigned int taken[256];
static volatile unsigned int taken_order[16], taken_total;

static inline void take(struct frame *frame)
{
	unsigned int n = taken_total;

	taken[frame->vector]++;
	if (n < 16)
		taken_order[n] = (unsigned int)frame->vector;
	taken_total = n + 1;
}

/* From the local APIC: ended there. */
static inline void take_and_end(struct frame *frame)
{
	take(frame);
	apic_write(APIC_EOI, 0);
}

/* Counts from 0, and has the vector counted. */
static inline void expect_vector(uint8_t vector)
{
	taken[vector] = 0;
	taken_total = 0;
	handle(vector, take_and_end);
}

/* Interrupts allowed for long enough that what is on its way arrives. */
static inline void let_in(void)
{
	for (unsigned int n = 0; n < 200; n++) {
		sti();
		__asm__ volatile("pause");
		cli();
	}
}

/* Waits with interrupts allowed until the vector has come that often. */
static inline bool came(uint8_t vector, unsigned int count)
{
	bool yes;

	sti();
	yes = WAIT_FOR(taken[vector] >= count);
	cli();
	return yes;
}

static inline bool apic_bit(uint32_t registers, uint32_t vector)
{
	return apic_read(registers + vector / 32 * 16) >> vector % 32 & 1;
}

#endif
