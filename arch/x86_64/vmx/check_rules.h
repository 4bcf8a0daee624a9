/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of rules share. A rule's name says what has to hold, and names the fields that it
 * is about as enum vmcs_field does.
 */
#ifndef ARCH_X86_64_VMX_CHECK_RULES_H
#define ARCH_X86_64_VMX_CHECK_RULES_H

#include <hypercore/x86_state.h>

#include "arch/x86_64/vmx/check.h"

/* A predicate: true if the rule is broken. */
#define VMX_RULE(id) static bool id(const struct vmx_check *c)

extern const struct vmx_rules vmx_control_rules, vmx_host_rules;
/* The third group, in its parts: 27.3.1.1 and 27.3.1.3 to 27.3.1.6; 27.3.1.2. */
extern const struct vmx_rules vmx_guest_rules, vmx_segment_rules;

#define VMX_GET(field) c->read(c, VMCS_##field)

/* Of the secondary controls (25.6.2: none is set unless they are activated). */
static inline uint32_t vmx_get_cpu2(const struct vmx_check *c)
{
	return VMX_GET(PRIMARY_CONTROLS) & VMX_CPU_SECONDARY ? (uint32_t)VMX_GET(SECONDARY_CONTROLS)
	                                                     : 0;
}

static inline bool vmx_has_pin(const struct vmx_check *c, uint64_t bits)
{
	return VMX_GET(PIN_BASED_CONTROLS) & bits;
}

static inline bool vmx_has_cpu(const struct vmx_check *c, uint64_t bits)
{
	return VMX_GET(PRIMARY_CONTROLS) & bits;
}

static inline bool vmx_has_cpu2(const struct vmx_check *c, uint64_t bits)
{
	return vmx_get_cpu2(c) & bits;
}

static inline bool vmx_has_exit(const struct vmx_check *c, uint64_t bits)
{
	return VMX_GET(EXIT_CONTROLS) & bits;
}

static inline bool vmx_has_entry(const struct vmx_check *c, uint64_t bits)
{
	return VMX_GET(ENTRY_CONTROLS) & bits;
}

static inline bool vmx_unrestricted(const struct vmx_check *c)
{
	return vmx_has_cpu2(c, VMX_CPU2_UNRESTRICTED_GUEST);
}

static inline bool vmx_beyond_physical(const struct vmx_check *c, uint64_t address)
{
	return address >> c->caps->phys_bits != 0;
}

/* An address that the CPU follows, aligned to `align` bytes (A.1: the width may be 32 bits). */
static inline bool vmx_bad_address(const struct vmx_check *c, uint64_t address, uint64_t align)
{
	bool narrow = c->caps->basic & VMX_BASIC_32BIT;

	return (address & (align - 1)) || vmx_beyond_physical(c, address) ||
	       (narrow && address >> 32);
}

/* Bits 63 .. lowest are not all alike. */
static inline bool vmx_not_extended(uint64_t address, unsigned lowest)
{
	uint64_t high = address >> lowest;

	return high != 0 && high != UINT64_MAX >> lowest;
}

static inline bool vmx_not_canonical(const struct vmx_check *c, uint64_t address)
{
	return vmx_not_extended(address, c->caps->linear_bits - 1u);
}

/* A bit of value is not as a capability MSR, or a pair of them, fixes it. */
static inline bool vmx_not_fixed(uint64_t value, uint64_t fixed0, uint64_t fixed1)
{
	return (value & fixed0) != fixed0 || (value & ~fixed1);
}

/* IA32_PAT holds something that is no memory type (Vol. 3A 12.12.2). */
bool vmx_bad_pat(uint64_t pat);

/* Bits of IA32_EFER that a CPU with VT-x has. */
#define VMX_EFER_VALID (X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE)

#define VMX_CR0_WP  X86_CR0_WP
#define VMX_CR4_CET HC_BIT(23)

#endif
