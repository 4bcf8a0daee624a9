/* SPDX-License-Identifier: BSD-2-Clause */
/* The vCPU's registers, one by one as KVM/arm64 has it. */
#include <string.h>

#include "core/log.h"
#include "platform/linux/kvm_a64.h"

int kvm_a64_get_reg(int vcpu_fd, uint64_t id, void *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };

	return kvm_ioctl(vcpu_fd, KVM_GET_ONE_REG, &reg);
}

int kvm_a64_set_reg(int vcpu_fd, uint64_t id, const void *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };

	return kvm_ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg);
}

/* One that this KVM does not have stays as it is in the neutral state. */
static void check(struct hc_vcpu *vcpu, const char *what, uint64_t id, int rc)
{
	if (rc == -ENOENT)
		hc_log(HC_LOG_DEBUG, "kvm: register %#llx is not transferred",
		       (unsigned long long)id);
	else if (rc)
		kvm_refuse(kvm_vcpu_of(vcpu), what, rc);
}

static void get(struct hc_vcpu *vcpu, uint64_t id, void *value)
{
	check(vcpu, "KVM_GET_ONE_REG", id, kvm_a64_get_reg(kvm_vcpu_of(vcpu)->fd, id, value));
}

static void set(struct hc_vcpu *vcpu, uint64_t id, const void *value)
{
	check(vcpu, "KVM_SET_ONE_REG", id, kvm_a64_set_reg(kvm_vcpu_of(vcpu)->fd, id, value));
}

/* In which direction a row goes. */
typedef void (*transfer_fn)(struct hc_vcpu *vcpu, uint64_t id, void *value);

static void transfer_get(struct hc_vcpu *vcpu, uint64_t id, void *value)
{
	get(vcpu, id, value);
}

static void transfer_set(struct hc_vcpu *vcpu, uint64_t id, void *value)
{
	set(vcpu, id, value);
}

/* --- General registers --- */

/* Of element n of an array, two words each. */
static uint64_t x_id(unsigned n)
{
	return KVM_A64_CORE(U64, regs.regs[0]) + 2 * (uint64_t)n;
}

static void get_core(struct hc_vcpu *vcpu, struct a64_state *st)
{
	struct kvm_a64_vcpu *ka = kvm_a64_of(vcpu);

	for (unsigned i = 0; i < HC_ARRAY_SIZE(st->x); i++)
		get(vcpu, x_id(i), &st->x[i]);
	get(vcpu, KVM_A64_CORE(U64, regs.pc), &st->pc);
	get(vcpu, KVM_A64_CORE(U64, regs.pstate), &st->pstate);
	memcpy(ka->core.x, st->x, sizeof(ka->core.x));
	ka->core.pc = st->pc;
	ka->core.pstate = st->pstate;
	ka->core_known = true;
}

static void set_changed(struct hc_vcpu *vcpu, uint64_t id, uint64_t *known, uint64_t value)
{
	if (kvm_a64_of(vcpu)->core_known && *known == value)
		return;
	*known = value;
	set(vcpu, id, known);
}

/* Handlers change one or two of them; each is a system call. */
static void set_core(struct hc_vcpu *vcpu, struct a64_state *st)
{
	struct kvm_a64_vcpu *ka = kvm_a64_of(vcpu);

	for (unsigned i = 0; i < HC_ARRAY_SIZE(st->x); i++)
		set_changed(vcpu, x_id(i), &ka->core.x[i], st->x[i]);
	set_changed(vcpu, KVM_A64_CORE(U64, regs.pc), &ka->core.pc, st->pc);
	set_changed(vcpu, KVM_A64_CORE(U64, regs.pstate), &ka->core.pstate, st->pstate);
	ka->core_known = true;
}

/* --- System registers --- */

/* By enum a64_sys. Four of them are in struct kvm_regs: where it says sp, it means SP_EL0. */
static const uint64_t sys_ids[A64_SYS_COUNT] = {
#define SYS_ID(name, op0, op1, crn, crm, op2, ...)                                                 \
	[A64_##name] = KVM_A64_SYSREG(A64_SYSREG(op0, op1, crn, crm, op2)),
	A64_EL1_REGISTERS(SYS_ID)
#undef SYS_ID
};

static uint64_t sys_id(unsigned i)
{
	switch (i) {
	case A64_SP_EL0: return KVM_A64_CORE(U64, regs.sp);
	case A64_SP_EL1: return KVM_A64_CORE(U64, sp_el1);
	case A64_ELR_EL1: return KVM_A64_CORE(U64, elr_el1);
	case A64_SPSR_EL1: return KVM_A64_CORE(U64, spsr[KVM_SPSR_EL1]);
	default: return sys_ids[i];
	}
}

static void transfer_sys(struct hc_vcpu *vcpu, struct a64_state *st, transfer_fn transfer)
{
	for (unsigned i = 0; i < A64_SYS_COUNT; i++)
		transfer(vcpu, sys_id(i), &st->sys[i]);
}

/* --- Debug registers --- */

/* As many as the guest is told of (ID_AA64DFR0_EL1). */
static void transfer_debug(struct hc_vcpu *vcpu, struct a64_state *st, transfer_fn transfer)
{
	uint64_t dfr0 = a64_vm_of(vcpu->vm)->id[A64_ID_AA64DFR0];
	unsigned breakpoints = (unsigned)hc_bits(dfr0, 15, 12) + 1;
	unsigned watchpoints = (unsigned)hc_bits(dfr0, 23, 20) + 1;

	transfer(vcpu, KVM_A64_SYSREG(A64_SYSREG(2, 0, 0, 2, 2)), &st->mdscr);
	for (unsigned i = 0; i < breakpoints; i++) {
		transfer(vcpu, KVM_A64_SYSREG(A64_SYSREG(2, 0, 0, i, 4)), &st->dbgbvr[i]);
		transfer(vcpu, KVM_A64_SYSREG(A64_SYSREG(2, 0, 0, i, 5)), &st->dbgbcr[i]);
	}
	for (unsigned i = 0; i < watchpoints; i++) {
		transfer(vcpu, KVM_A64_SYSREG(A64_SYSREG(2, 0, 0, i, 6)), &st->dbgwvr[i]);
		transfer(vcpu, KVM_A64_SYSREG(A64_SYSREG(2, 0, 0, i, 7)), &st->dbgwcr[i]);
	}
}

/* --- Timers --- */

/* The physical one is KVM's too, as far as this KVM lets others see it. The counter's offset is the
 * VM's and was given when that was made. */
static void transfer_timer(struct hc_vcpu *vcpu, struct a64_state *st, transfer_fn transfer)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);
	uint64_t cntv_ctl = st->cntv_ctl, cntp_ctl = a->cntp_ctl;

	transfer(vcpu, KVM_REG_ARM_TIMER_CVAL, &st->cntv_cval);
	transfer(vcpu, KVM_REG_ARM_TIMER_CTL, &cntv_ctl);
	transfer(vcpu, KVM_REG_ARM_PTIMER_CVAL, &a->cntp_cval);
	transfer(vcpu, KVM_REG_ARM_PTIMER_CTL, &cntp_ctl);
	st->cntv_ctl = (uint32_t)cntv_ctl;
	a->cntp_ctl = (uint32_t)cntp_ctl & 3; /* ENABLE, IMASK */
}

/* --- Vectors --- */

static void transfer_fp(struct hc_vcpu *vcpu, struct a64_state *st, transfer_fn transfer)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(st->v); i++)
		transfer(vcpu, KVM_A64_CORE(U128, fp_regs.vregs[0]) + 4 * (uint64_t)i, st->v[i]);
	transfer(vcpu, KVM_A64_CORE(U32, fp_regs.fpsr), &st->fpsr);
	transfer(vcpu, KVM_A64_CORE(U32, fp_regs.fpcr), &st->fpcr);
}

/* --- A pending SError --- */

static void get_event(struct hc_vcpu *vcpu, struct a64_state *st)
{
	struct kvm_vcpu_events e = { 0 };
	int rc = kvm_ioctl(kvm_vcpu_of(vcpu)->fd, KVM_GET_VCPU_EVENTS, &e);

	if (rc)
		kvm_refuse(kvm_vcpu_of(vcpu), "KVM_GET_VCPU_EVENTS", rc);
	st->serror = e.exception.serror_pending;
	st->vsesr = e.exception.serror_has_esr ? e.exception.serror_esr : 0;
}

/* A syndrome is taken only where the CPU has FEAT_RAS, and KVM refuses it elsewhere; it cannot take
 * an SError back. */
static void set_event(struct hc_vcpu *vcpu, struct a64_state *st)
{
	struct kvm_vcpu_events e = { 0 };

	if (!st->serror)
		return;
	e.exception.serror_pending = 1;
	e.exception.serror_has_esr = st->vsesr != 0;
	e.exception.serror_esr = st->vsesr;
	int rc = kvm_ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_VCPU_EVENTS, &e);

	if (rc == -EINVAL && st->vsesr) {
		e.exception.serror_has_esr = 0;
		e.exception.serror_esr = 0;
		rc = kvm_ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_VCPU_EVENTS, &e);
	}
	if (rc)
		kvm_refuse(kvm_vcpu_of(vcpu), "KVM_SET_VCPU_EVENTS", rc);
}

/* --- Groups --- */

static const struct {
	uint32_t group;
	void (*transfer)(struct hc_vcpu *vcpu, struct a64_state *st, transfer_fn transfer);
} rows[] = {
	{ A64_G_SYS, transfer_sys },
	{ A64_G_DEBUG, transfer_debug },
	{ A64_G_TIMER, transfer_timer },
	{ A64_G_FP, transfer_fp },
};

static void transfer(struct hc_vcpu *vcpu, uint32_t groups, transfer_fn fn)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		if (groups & rows[i].group)
			rows[i].transfer(vcpu, a64_state_of(vcpu), fn);
}

void kvm_a64_fetch(struct hc_vcpu *vcpu, uint32_t groups)
{
	if (groups & A64_G_CORE)
		get_core(vcpu, a64_state_of(vcpu));
	transfer(vcpu, groups, transfer_get);
	if (groups & A64_G_EVENT)
		get_event(vcpu, a64_state_of(vcpu));
}

void kvm_a64_store(struct hc_vcpu *vcpu, uint32_t groups)
{
	if (groups & A64_G_CORE)
		set_core(vcpu, a64_state_of(vcpu));
	transfer(vcpu, groups, transfer_set);
	if (groups & A64_G_EVENT)
		set_event(vcpu, a64_state_of(vcpu));
}
