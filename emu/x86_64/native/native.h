/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host CPU, an x86-64 one, as vector code needs it. One of these is linked: hosted.c (under an
 * operating system), board.c (on the bare machine).
 */
#ifndef EMU_X86_64_NATIVE_NATIVE_H
#define EMU_X86_64_NATIVE_NATIVE_H

#include <hypercore/types.h>

/* CPUID; leaves beyond the last one are all 0. */
void emu_native_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* The components that XCR0 has on, or will have after emu_native_enable(); 0: no XSAVE. */
uint64_t emu_native_xcr0(void);

/* Board: the calling CPU may use x87, SSE and AVX from now on, and MXCSR and x87 are as after
 * reset. */
void emu_native_enable(void);

uint32_t emu_native_get_mxcsr(void);
void emu_native_set_mxcsr(uint32_t mxcsr);

/* A serializing instruction: code that was just written can be executed. */
void emu_native_serialize(void);

/* What follows begins when all loads before are done: reading the TSC, too (SDM Vol. 2A LFENCE). */
static inline void emu_native_lfence(void)
{
	__asm__ volatile("lfence" : : : "memory");
}

/* --- Random numbers (random_x86.c) --- */

/* Whether the host has RDRAND; seed: RDSEED. */
bool emu_native_has_random(bool seed);

/* 64 bits of it. False: it has none at the moment. */
bool emu_native_random(bool seed, uint64_t *v);

#endif
