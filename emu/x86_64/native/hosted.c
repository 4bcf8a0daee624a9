/* SPDX-License-Identifier: BSD-2-Clause */
/* An x86-64 host whose operating system has the vector unit switched on. */
#include "emu/x86_64/native/x86_64.h"

void emu_native_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	native_cpuid_checked(leaf, subleaf, out);
}

uint64_t emu_native_xcr0(void)
{
	uint32_t regs[4];

	native_cpuid(1, 0, regs);
	return regs[2] & (1u << 27) ? native_xgetbv() : 0;
}

void emu_native_enable(void)
{
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
