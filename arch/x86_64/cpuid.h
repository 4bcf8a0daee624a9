/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID tells guests. A policy table (cpuid.c) says for every register of every leaf which
 * bits come from the physical CPU, which are set, and why; from it each VM gets a table of answers
 * when it is made, so that the exit is an index and four moves.
 */
#ifndef ARCH_X86_64_CPUID_H
#define ARCH_X86_64_CPUID_H

#include "arch/x86_64/x86.h"

/* Hypervisor leaves. */
#define X86_CPUID_HV_BASE   0x40000000u
#define X86_CPUID_HV_RATES  0x40000010u   /* EAX: of the TSC, EBX: of the APIC timer, in kHz */
#define X86_CPUID_SIGNATURE "HypercoreHC" /* EBX, ECX, EDX; the twelfth byte is 0 */

/* The version of the interface that hypercalls and 40000001h describe. */
#define X86_HV_INTERFACE 1

/* Makes the VM's table from the physical CPU's answers, and the masks of x86_vm. */
void x86_cpuid_init(struct hc_vm *vm);

/* Adapts the topology leaves to cpus virtual CPUs. */
void x86_cpuid_set_cpus(struct hc_vm *vm, unsigned cpus);

/* Answers into regs: EAX, EBX, ECX, EDX. */
void x86_cpuid(struct hc_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

/* Index in x86_vm.cpuid of a leaf's first entry; 0: there is no such leaf. */
static inline unsigned x86_cpuid_first(const struct x86_vm *x, uint32_t leaf)
{
	/* Leaf numbers are small, but for bits 31:30. */
	return leaf << 2 >> 2 < 32 ? x->cpuid_index[leaf >> 30][leaf & 31] : 0;
}

/* The answers, whatever ECX says, on every vCPU; NULL: ask x86_cpuid(). */
static inline const struct x86_cpuid_entry *x86_cpuid_whole(struct hc_vm *vm, uint32_t leaf)
{
	const struct x86_vm *x = x86_vm_of(vm);
	const struct x86_cpuid_entry *e = &x->cpuid[x86_cpuid_first(x, leaf)];

	return e->is_whole ? e : NULL;
}

/* Leaf 1 EAX: what RDX holds after reset. */
uint32_t x86_cpuid_signature(struct hc_vm *vm);

/* Bytes that XSAVE's standard format takes for the components in xcr0 (0: leaf 0Dh is not there).
 */
uint32_t x86_xsave_size(struct hc_vm *vm, uint64_t xcr0);

#endif
