/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's FPU state in the physical CPU, which neither VMRUN nor VM entries switch: it is there
 * from load() to put() of a hardware backend. The hypervisor itself uses no vector registers.
 */
#ifndef ARCH_X86_64_HOST_FPU_H
#define ARCH_X86_64_HOST_FPU_H

#include <hypercore/x86_state.h>

struct x86_fpu_caps {
	bool xsave, xsaves;
	uint64_t xcr0; /* components that are switched: those that the neutral state has room for */
};

/* What the CPUs have, the same on all. Whoever probes sets it with x86_fpu_detect(). */
extern struct x86_fpu_caps x86_fpu_caps;

/* What the calling CPU has. */
struct x86_fpu_caps x86_fpu_detect(void);

/* On each CPU, before any guest: XSAVES is to save no more than XSAVEC would. CR4.OSXSAVE has been
 * set if there is XSAVE. */
void x86_fpu_enable(void);

/* Puts st's FPU state and XCR0 into the CPU, after making it something that XRSTOR and XSETBV take:
 * st->xsave is changed where it was not. CR4.OSXSAVE has to be set if there is XSAVE. */
void x86_fpu_in(struct x86_state *st);

/* Takes them out. The CPU's XCR0 is x86_fpu_caps.xcr0 afterwards. */
void x86_fpu_out(struct x86_state *st);

#endif
