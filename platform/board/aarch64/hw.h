/* SPDX-License-Identifier: BSD-2-Clause */
/* The privileged instructions that the board uses at EL2. */
#ifndef PLATFORM_BOARD_AARCH64_HW_H
#define PLATFORM_BOARD_AARCH64_HW_H

#include <hypercore/types.h>

/* name: as the assembler has it, also S3_4_C12_C9_5 and the like. */
#define READ_SYSREG(name)                                                                          \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(value_) : : "memory");                    \
		value_;                                                                            \
	})
#define WRITE_SYSREG(name, value)                                                                  \
	__asm__ volatile("msr " #name ", %x0" : : "rZ"((uint64_t)(value)) : "memory")

#define DAIF_I HC_BIT(7)

static inline void irq_off(void)
{
	__asm__ volatile("msr daifset, #2" : : : "memory");
}

static inline void irq_on(void)
{
	__asm__ volatile("msr daifclr, #2" : : : "memory");
}

static inline void isb(void)
{
	__asm__ volatile("isb" : : : "memory");
}

/* All earlier accesses of this CPU are complete, for everyone. */
static inline void dsb_sy(void)
{
	__asm__ volatile("dsb sy" : : : "memory");
}

static inline void cpu_wfi(void)
{
	__asm__ volatile("dsb sy; wfi" : : : "memory");
}

static inline void cpu_pause(void)
{
	__asm__ volatile("yield" : : : "memory");
}

/* 1, 2 or 3. */
static inline unsigned current_el(void)
{
	return (unsigned)READ_SYSREG(CurrentEL) >> 2 & 3;
}

/* Device registers: one access of that width each, whatever the compiler thinks of volatile: with a
 * base register and no offset, so that a hypervisor underneath gets a syndrome (Arm ARM D17.2.40,
 * ISS.ISV). */
#define HW_MMIO(bits, type, reg, suffix)                                                           \
	static inline type mmio_read##bits(const volatile void *p)                                 \
	{                                                                                          \
		type v;                                                                            \
                                                                                                   \
		__asm__ volatile("ldr" suffix " %" reg "0, [%1]" : "=r"(v) : "r"(p) : "memory");   \
		return v;                                                                          \
	}                                                                                          \
	static inline void mmio_write##bits(volatile void *p, type v)                              \
	{                                                                                          \
		__asm__ volatile("str" suffix " %" reg "0, [%1]" : : "r"(v), "r"(p) : "memory");   \
	}

HW_MMIO(8, uint8_t, "w", "b")
HW_MMIO(16, uint16_t, "w", "h")
HW_MMIO(32, uint32_t, "w", "")
HW_MMIO(64, uint64_t, "x", "")

#endif
