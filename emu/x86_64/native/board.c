/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An x86-64 host without an operating system. Hypercore's own code has no vector registers, so that
 * nothing is to be saved; what another backend's guest left in them does not matter either.
 */
#include "emu/x86_64/native/x86_64.h"

#define CR0_MP      HC_BIT(1)
#define CR0_EM      HC_BIT(2)
#define CR0_TS      HC_BIT(3)
#define CR0_NE      HC_BIT(5)
#define CR4_OSFXSR  HC_BIT(9)
#define CR4_OSXMM   HC_BIT(10)
#define CR4_OSXSAVE HC_BIT(18)
#define XCR0_X87    HC_BIT(0)
#define XCR0_SSE    HC_BIT(1)
#define XCR0_AVX    HC_BIT(2)
#define MXCSR_RESET 0x1f80u

void emu_native_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	native_cpuid_checked(leaf, subleaf, out);
}

/* Of what the CPU has, the components that stubs use. */
uint64_t emu_native_xcr0(void)
{
	uint32_t regs[4];

	native_cpuid(1, 0, regs);
	if (!(regs[2] & (1u << 26)))
		return 0;
	native_cpuid_checked(0xd, 0, regs);
	return regs[0] & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
}

void emu_native_enable(void)
{
	uint64_t cr0, cr4, xcr0 = emu_native_xcr0();

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	cr0 = (cr0 & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE;
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	cr4 |= CR4_OSFXSR | CR4_OSXMM | (xcr0 ? CR4_OSXSAVE : 0);
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
	if (xcr0) {
		xcr0 |= native_xgetbv();
		__asm__ volatile("xsetbv"
		                 :
		                 : "c"(0), "a"((uint32_t)xcr0), "d"((uint32_t)(xcr0 >> 32))
		                 : "memory");
	}
	__asm__ volatile("fninit" : : : "memory");
	native_ldmxcsr(MXCSR_RESET);
}

uint32_t emu_native_get_mxcsr(void)
{
	return native_stmxcsr();
}

void emu_native_set_mxcsr(uint32_t mxcsr)
{
	native_ldmxcsr(mxcsr);
}

void emu_native_serialize(void)
{
	uint32_t regs[4];

	native_cpuid(0, 0, regs);
}
