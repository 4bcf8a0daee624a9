/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID tells guests. A policy table (cpuid.c) says for every register of every leaf which
 * bits come from the physical CPU, which are set, and why; from it each VM gets a table of answers
 * when it is made, so that the exit is an index and four moves.
 */
#ifndef ARCH_X86_64_CPUID_H
#define ARCH_X86_64_CPUID_H

#include <hypercore/types.h>

struct hc_vm;
struct hc_vcpu;

/* Hypervisor leaves. */
#define X86_CPUID_HV_BASE   0x40000000u
#define X86_CPUID_SIGNATURE "HypercoreHC" /* EBX, ECX, EDX; the twelfth byte is 0 */

/* The version of the interface that hypercalls and 40000001h describe. */
#define X86_HV_INTERFACE 1

/* Makes the VM's table from the physical CPU's answers, and the masks of x86_vm. */
void x86_cpuid_init(struct hc_vm *vm);

/* Adapts the topology leaves to cpus virtual CPUs. */
void x86_cpuid_set_cpus(struct hc_vm *vm, unsigned cpus);

/* Answers into regs: EAX, EBX, ECX, EDX. */
void x86_cpuid(struct hc_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

/* Leaf 1 EAX: what RDX holds after reset. */
uint32_t x86_cpuid_signature(struct hc_vm *vm);

/* Bytes that XSAVE's standard format takes for the components in xcr0 (0: leaf 0Dh is not there).
 */
uint32_t x86_xsave_size(struct hc_vm *vm, uint64_t xcr0);

#endif
