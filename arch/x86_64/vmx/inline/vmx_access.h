/* SPDX-License-Identifier: BSD-2-Clause */
/* VMREAD and VMWRITE of the current VMCS, for hw.h: several to an exit, hence inline. The field
 * exists on this CPU. */
#ifndef ARCH_X86_64_VMX_INLINE_VMX_ACCESS_H
#define ARCH_X86_64_VMX_INLINE_VMX_ACCESS_H

#include <hypercore/types.h>

static inline uint64_t vmx_hw_read(uint32_t field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=rm"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

static inline void vmx_hw_write(uint32_t field, uint64_t value)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "rm"(value) : "cc", "memory");
}

#endif
