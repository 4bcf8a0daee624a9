/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benchmark guests share: the serial port, the end, the clock, gates and page tables. */
#ifndef BENCH_GUEST_BARE_H
#define BENCH_GUEST_BARE_H

#include <stdbool.h>

#include "bench/guest/measure.h"

#define COM1       0x3f8
#define COM_LCR    (COM1 + 3)
#define LCR_8_BITS 3
#define COM_LSR    (COM1 + 5)
#define LSR_THRE   0x20
#define LSR_TEMT   0x40
#define EXIT_PORT  0xf4
#define LINK_BASE  UINT64_C(0x100000)

/* AMD64 interrupt gate (APM Vol. 2 figure 4-24). */
struct gate {
	uint16_t offset_low, selector, attributes, offset_mid;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "gate");

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint64_t counter(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return ((uint64_t)high << 32) | low;
}

static inline void print(const char *text)
{
	for (; *text; text++) {
		while (!(inb(COM_LSR) & LSR_THRE))
			;
		outb(COM1, (uint8_t)*text);
	}
}

static inline void leave(uint8_t status)
{
	outb(EXIT_PORT, status);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* slide: where the guest runs less where it was linked. */
static inline void set_gate(struct gate *gate, void (*handler)(void), uint64_t slide)
{
	uint64_t offset = (uint64_t)(uintptr_t)handler + slide;

	*gate = (struct gate){ .offset_low = (uint16_t)offset,
		               .selector = 0x18,
		               .attributes = 0x8e00,
		               .offset_mid = (uint16_t)(offset >> 16),
		               .offset_high = (uint32_t)(offset >> 32) };
}

#endif
