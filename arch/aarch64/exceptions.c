/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions that the hypervisor gives to the guest: what AArch64.TakeException() does for EL1
 * (Arm ARM D1.3.1 and D1.3.2), in the neutral state.
 */
#include "arch/aarch64/internal.h"

#define SCTLR_SPAN  HC_BIT(23)
#define SCTLR_DSSBS HC_BIT(44)

#define PSTATE_DIT HC_BIT(24)

/* D1.3.1.1: by where the exception comes from. */
static uint64_t vector_offset(const struct a64_state *s)
{
	if (a64_is_aarch32(s))
		return 0x600;
	switch (s->pstate & 0xf) {
	case A64_PSTATE_EL0T: return 0x400;
	case A64_PSTATE_EL1T: return 0x000;
	default: return 0x200;
	}
}

/* UAO, BTYPE, IL and SS become 0. */
static uint64_t handler_pstate(struct hc_vcpu *vcpu)
{
	const struct a64_state *s = a64_state_of(vcpu);
	uint64_t sctlr = s->sys[A64_SCTLR_EL1];
	uint64_t p = s->pstate & (A64_PSTATE_NZCV | A64_PSTATE_PAN | PSTATE_DIT);

	p |= A64_PSTATE_EL1H | A64_PSTATE_DAIF;
	if (!(sctlr & SCTLR_SPAN) && a64_id_field(vcpu->vm, A64_ID_AA64MMFR1, 20))
		p |= A64_PSTATE_PAN;
	if (sctlr & SCTLR_DSSBS && a64_id_field(vcpu->vm, A64_ID_AA64PFR1, 4))
		p |= A64_PSTATE_SSBS;
	return p;
}

/* Aborts have a class each for a lower and for the same exception level. */
static unsigned class_here(const struct a64_state *s, unsigned ec)
{
	bool is_abort = ec == A64_EC_IABT_LOWER || ec == A64_EC_DABT_LOWER;

	return is_abort && !a64_is_el0(s) ? ec + 1 : ec;
}

void a64_raise(struct hc_vcpu *vcpu, unsigned ec, uint32_t iss)
{
	struct a64_state *s = a64_state_of(vcpu);

	hc_vcpu_need(vcpu, A64_G_SYS);
	s->sys[A64_ESR_EL1] = (uint64_t)class_here(s, ec) << 26 | A64_ESR_IL | iss;
	s->sys[A64_ELR_EL1] = s->pc;
	s->sys[A64_SPSR_EL1] = s->pstate;
	s->pc = (s->sys[A64_VBAR_EL1] & ~UINT64_C(0x7ff)) + vector_offset(s);
	s->pstate = handler_pstate(vcpu);
	hc_vcpu_dirty(vcpu, A64_G_CORE | A64_G_SYS);
}

void a64_raise_at(struct hc_vcpu *vcpu, unsigned ec, uint32_t iss, gva_t far)
{
	a64_raise(vcpu, ec, iss);
	a64_state_of(vcpu)->sys[A64_FAR_EL1] = far.v;
}

void a64_raise_undefined(struct hc_vcpu *vcpu)
{
	a64_raise(vcpu, A64_EC_UNKNOWN, 0);
}

void a64_raise_external(struct hc_vcpu *vcpu, gva_t far, bool fetch, bool write)
{
	a64_raise_at(vcpu, fetch ? A64_EC_IABT_LOWER : A64_EC_DABT_LOWER,
	             A64_FSC_EXTERNAL | (write ? A64_ISS_WNR : 0), far);
}

void a64_raise_serror(struct hc_vcpu *vcpu, uint32_t iss)
{
	struct a64_state *s = a64_state_of(vcpu);

	s->serror = true;
	s->vsesr = iss;
	hc_vcpu_dirty(vcpu, A64_G_EVENT);
}
