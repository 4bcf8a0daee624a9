/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions of an x86-64 host, for hosted.c and board.c. */
#ifndef EMU_X86_64_NATIVE_X86_64_H
#define EMU_X86_64_NATIVE_X86_64_H

#include "emu/x86_64/native/native.h"

static inline void native_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	__asm__ volatile("cpuid"
	                 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
	                 : "a"(leaf), "c"(subleaf)
	                 : "memory");
}

static inline uint64_t native_xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static inline uint32_t native_stmxcsr(void)
{
	uint32_t v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

static inline void native_ldmxcsr(uint32_t v)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(v) : "memory");
}

/* As emu_native_cpuid(). */
static inline void native_cpuid_checked(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	native_cpuid(leaf & 0x80000000u, 0, out);
	if (out[0] < leaf)
		out[0] = out[1] = out[2] = out[3] = 0;
	else
		native_cpuid(leaf, subleaf, out);
}

#endif
