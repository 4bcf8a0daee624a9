/* SPDX-License-Identifier: BSD-2-Clause */
/* RDRAND and RDSEED of the host (SDM Vol. 1 7.3.17). */
#include "emu/x86_64/native/native.h"

#define TRIES 10 /* as many as the manual advises for RDRAND */

/* CPUID may be slow, where the host is a guest itself. */
bool emu_native_has_random(bool seed)
{
	static _Atomic uint8_t known[2]; /* 1: no, 2: yes */
	uint32_t regs[4];

	if (!known[seed]) {
		emu_native_cpuid(seed ? 7 : 1, 0, regs);
		known[seed] = (uint8_t)(1 + ((seed ? regs[1] >> 18 : regs[2] >> 30) & 1));
	}
	return known[seed] == 2;
}

bool emu_native_random(bool seed, uint64_t *v)
{
	bool good = false;

	for (unsigned i = 0; i < TRIES && !good; i++)
		if (seed)
			__asm__ volatile("rdseed %0" : "=r"(*v), "=@ccc"(good));
		else
			__asm__ volatile("rdrand %0" : "=r"(*v), "=@ccc"(good));
	return good;
}
