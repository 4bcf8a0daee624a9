/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CPU's VT-x can do (SDM Vol. 3D appendix A), and the controls that follow from it.
 */
#ifndef ARCH_X86_64_VMX_CAPS_H
#define ARCH_X86_64_VMX_CAPS_H

#include "arch/x86_64/vmx/vmcs.h"

/* The MSRs as read. Of the controls, the TRUE ones where there are such: allowed-0 settings (bits
 * that have to be 1) in the low half, allowed-1 settings (bits that may be) in the high half. */
struct vmx_cap_msrs {
	uint64_t basic, pin, cpu, cpu2, exit, entry, misc;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	uint64_t ept_vpid; /* 0: neither EPT nor VPID */
	uint64_t vmfunc;
	uint8_t phys_bits, linear_bits; /* CPUID 80000008h */
};

#define VMX_MUST_BE_1(msr) ((uint32_t)(msr))
#define VMX_MAY_BE_1(msr)  ((uint32_t)((msr) >> 32))

/* Reads those of the calling CPU. */
void vmx_read_cap_msrs(struct vmx_cap_msrs *m);

/* What the backend uses. */
struct vmx_caps {
	struct vmx_cap_msrs msrs;
	/* The controls of every vCPU, but for those that are switched while it runs: windows, and
	 * VMX_ENTRY_IA32E. */
	uint32_t pin, cpu, cpu2, exit, entry;
	bool unrestricted_guest, vpid, ept_ad, invept_one, pause_loop, rdtscp, invpcid, xsaves;
	bool preemption_timer; /* which keeps its value over exits */
	bool tsc_scaling;
	bool page_log;                 /* it lists the pages whose dirty flags it sets */
	bool apic_registers;           /* guests read their local APICs' pages themselves */
	uint64_t cr0_fixed, cr4_fixed; /* bits that have to be 1 in the guest's */
	uint8_t gpa_bits;
};

extern struct vmx_caps vmx_caps;

/* Computes caps from m. 0, or -EOPNOTSUPP: why (of size bytes) then names all that is required and
 * missing, by the manual's names of the controls. */
int vmx_compute_caps(struct vmx_caps *caps, const struct vmx_cap_msrs *m, char *why, size_t size);

#endif
