/* SPDX-License-Identifier: BSD-2-Clause */
/* What the AArch64 benchmark guest stands on: machines/virt.h's devices, system registers, PSCI. */
#ifndef BENCH_GUEST_AARCH64_BARE_H
#define BENCH_GUEST_AARCH64_BARE_H

#include "bench/guest/measure.h"
#include "machines/virt.h"

#define PL011_DR   (VIRT_PL011 + 0x00)
#define PL011_FR   (VIRT_PL011 + 0x18)
#define PL011_LCRH (VIRT_PL011 + 0x2c)
#define PL011_CR   (VIRT_PL011 + 0x30)
#define FR_TXFF    0x20u
#define LCRH_8N1   0x70u  /* with FIFOs */
#define CR_ON      0x301u /* UARTEN, TXE, RXE */
#define GICD_CTLR  (VIRT_GICD + 0x00)
#define GICD_TYPER (VIRT_GICD + 0x04)

/* Of the redistributor of CPU n (IHI 0069 12.10, 12.11). */
#define GICR(n)          (VIRT_GICR + (n)*UINT64_C(0x20000))
#define GICR_WAKER(n)    (GICR(n) + 0x14)
#define GICR_IGROUPR(n)  (GICR(n) + 0x10080)
#define GICR_ISENABLE(n) (GICR(n) + 0x10100)

#define VTIMER_PPI 27
#define IPI_SGI    1

#define PSCI_VERSION UINT64_C(0x84000000)
#define PSCI_CPU_ON  UINT64_C(0xc4000003)

#define READ_SYSREG(name)                                                                          \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(value_) : : "memory");                    \
		value_;                                                                            \
	})
#define WRITE_SYSREG(name, value)                                                                  \
	__asm__ volatile("msr " #name ", %0" : : "r"((uint64_t)(value)) : "memory")

static inline uint32_t read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

/* The virtual counter. */
static inline uint64_t counter(void)
{
	__asm__ volatile("isb" : : : "memory");
	return READ_SYSREG(cntvct_el0);
}

static inline uint64_t hypercall(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return x0;
}

static inline void print(const char *text)
{
	for (; *text; text++) {
		while (read32(PL011_FR) & FR_TXFF)
			;
		write32(PL011_DR, (uint8_t)*text);
	}
}

static inline _Noreturn void leave(uint8_t status)
{
	*(volatile uint8_t *)VIRT_EXIT = status;
	for (;;)
		__asm__ volatile("wfi");
}

#endif
