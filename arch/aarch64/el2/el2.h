/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AArch64 EL2 backend (Arm ARM D1.6, D7, D8.4): virtualization by the CPU's own exception
 * level, with the host's code at EL2 (HCR_EL2.TGE clear while a guest runs). Works with and without
 * VHE: where the CPU has it, HCR_EL2.E2H is set by the board before (it may be RES1), and the
 * guest's registers are reached by their _EL12 names.
 */
#ifndef ARCH_AARCH64_EL2_EL2_H
#define ARCH_AARCH64_EL2_EL2_H

#include <hypercore/backend.h>

extern const struct hc_backend_ops el2_backend;

/*
 * What the machine underneath owes the backend: about its interrupt controller, which only the
 * board's driver knows. The board fills it in before the backend is probed; unit tests have one of
 * their own.
 */
struct el2_host {
	unsigned gic_version;     /* 2, 3; 0: there is none that can be virtualized */
	volatile void *gich;      /* version 2: the virtual interface control block, mapped */
	hpa_t gicv;               /* version 2: the virtual CPU interface, for the guest */
	unsigned maintenance_ppi; /* INTID of the maintenance interrupt (25) */
	unsigned vtimer_ppi;      /* INTID of the EL1 virtual timer's interrupt (27) */

	/* On this CPU: a PPI's active state, and whether it is enabled. */
	void (*set_active)(unsigned intid, bool active);
	void (*set_enabled)(unsigned intid, bool enabled);
};

extern struct el2_host el2_host;

/* Called by the board's interrupt handler, at EL2 with interrupts masked, when the PPI of that name
 * was acknowledged on this CPU, whose current vCPU it belongs to. vtimer: the board has dropped the
 * priority and left the interrupt active. */
void el2_vtimer_interrupt(struct hc_vcpu *vcpu);
void el2_maintenance_interrupt(struct hc_vcpu *vcpu);

#endif
