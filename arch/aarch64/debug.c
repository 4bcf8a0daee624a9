/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The debug registers (Arm ARM D2, D17.3): self-hosted debug of ARMv8.0 with as many breakpoints
 * and watchpoints as the ID register counts. The external debugger's side is not there: nobody
 * listens at the DCC, and halting is not allowed.
 */
#include "arch/aarch64/internal.h"

#define MDSCR_SS  HC_BIT(0)
#define MDSCR_KDE HC_BIT(13)
#define MDSCR_MDE HC_BIT(15)
/* TDCC as well. The others are the external debugger's, or of the OS lock's save and restore. */
#define MDSCR_WRITABLE (MDSCR_SS | HC_BIT(12) | MDSCR_KDE | MDSCR_MDE)
/* D2.4.3: while the OS lock is set, there are no debug exceptions. */
#define MDSCR_LOCKED (MDSCR_SS | MDSCR_KDE | MDSCR_MDE)

#define OSLSR_OSLM HC_BIT(3) /* there is an OS lock */
#define OSLSR_OSLK HC_BIT(1)

/* D17.3.2: E, PMC, BAS, HMC, SSC, LBN, BT. D17.3.11: E, PAC, LSC, BAS, HMC, SSC, LBN, WT, MASK. */
#define DBGBCR_WRITABLE UINT64_C(0x00ffe1e7)
#define DBGWCR_WRITABLE UINT64_C(0x1f1fffff)

static uint64_t *file_of(struct a64_state *s, unsigned which)
{
	switch (which & 0xf0) {
	case A64_DBGBVR: return s->dbgbvr;
	case A64_DBGBCR: return s->dbgbcr;
	case A64_DBGWVR: return s->dbgwvr;
	default: return s->dbgwcr;
	}
}

bool a64_debug_present(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	unsigned shift = reg->value < A64_DBGWVR ? 12 : 20; /* BRPs, WRPs: less one */

	return (reg->value & 15) <= a64_id_field(vcpu->vm, A64_ID_AA64DFR0, shift);
}

/* What is locked out waits until the lock is released. */
static void set_mdscr(struct hc_vcpu *vcpu, uint64_t value)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);

	value &= MDSCR_WRITABLE;
	a->mdscr_locked = a->os_lock ? value & MDSCR_LOCKED : 0;
	a->state.mdscr = value & ~a->mdscr_locked;
}

static uint64_t get_mdscr(struct hc_vcpu *vcpu)
{
	return a64_state_of(vcpu)->mdscr | a64_vcpu_of(vcpu)->mdscr_locked;
}

static void set_os_lock(struct hc_vcpu *vcpu, bool locked)
{
	uint64_t mdscr = get_mdscr(vcpu);

	a64_vcpu_of(vcpu)->os_lock = locked;
	set_mdscr(vcpu, mdscr);
}

uint64_t a64_debug_read(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	hc_vcpu_need(vcpu, A64_G_DEBUG);
	switch (reg->value) {
	case A64_MDSCR: return get_mdscr(vcpu);
	case A64_OSLSR: return OSLSR_OSLM | (a64_vcpu_of(vcpu)->os_lock ? OSLSR_OSLK : 0);
	default: return file_of(a64_state_of(vcpu), (unsigned)reg->value)[reg->value & 15];
	}
}

static uint64_t writable(unsigned which, uint64_t value)
{
	switch (which & 0xf0) {
	case A64_DBGBVR: return value; /* a context has all bits */
	case A64_DBGBCR: return value & DBGBCR_WRITABLE;
	case A64_DBGWVR: return value & ~UINT64_C(3);
	default: return value & DBGWCR_WRITABLE;
	}
}

void a64_debug_write(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, uint64_t value)
{
	unsigned which = (unsigned)reg->value;

	hc_vcpu_need(vcpu, A64_G_DEBUG);
	if (which == A64_MDSCR)
		set_mdscr(vcpu, value);
	else if (which == A64_OSLAR)
		set_os_lock(vcpu, value & 1);
	else
		file_of(a64_state_of(vcpu), which)[which & 15] = writable(which, value);
	hc_vcpu_dirty(vcpu, A64_G_DEBUG);
}
