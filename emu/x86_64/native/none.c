/* SPDX-License-Identifier: BSD-2-Clause */
/* A host that has not got the guest's vector instructions: nothing is offered. */
#include "emu/x86_64/native/native.h"

bool emu_native_present(void)
{
	return false;
}

void emu_native_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	out[0] = out[1] = out[2] = out[3] = 0;
}

uint64_t emu_native_xcr0(void)
{
	return 0;
}

void emu_native_enable(void)
{
}

uint32_t emu_native_get_mxcsr(void)
{
	return 0;
}

void emu_native_set_mxcsr(uint32_t mxcsr)
{
}

void emu_native_serialize(void)
{
}
