/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The generic timer (Arm ARM D11.2). The virtual timer is the hardware's while the vCPU runs, and
 * one of the core's stands in while it sleeps. The physical timer is the core's always: its
 * registers trap. Both count from 0 at the VM's creation, as on a machine without EL2, where
 * CNTVOFF_EL2 does not exist.
 */
#include "arch/aarch64/gic/gic.h"
#include "arch/aarch64/internal.h"
#include "core/sched.h"

#define CTL_ENABLE  1u
#define CTL_IMASK   2u
#define CTL_ISTATUS 4u

/* One of the two, wherever its registers are kept. */
struct timer {
	uint64_t *cval;
	uint32_t *ctl;
};

static uint64_t count(struct hc_vcpu *vcpu)
{
	return hc_platform_cycles() - a64_vm_of(vcpu->vm)->cntvoff;
}

static bool is_due(const struct timer *t, uint64_t now)
{
	return *t->ctl & CTL_ENABLE && now >= *t->cval;
}

static struct timer virtual_timer(struct hc_vcpu *vcpu)
{
	struct a64_state *s = a64_state_of(vcpu);

	hc_vcpu_need(vcpu, A64_G_TIMER);
	return (struct timer){ &s->cntv_cval, &s->cntv_ctl };
}

static struct timer physical_timer(struct hc_vcpu *vcpu)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);

	return (struct timer){ &a->cntp_cval, &a->cntp_ctl };
}

/* When the platform's clock will show that the count reached the compare value. Beyond 2^31 seconds
 * it does not matter, and would not fit. */
static uint64_t deadline_ns(struct hc_vcpu *vcpu, const struct timer *t)
{
	uint64_t now = count(vcpu), ticks = *t->cval > now ? *t->cval - now : 0;
	uint64_t hz = hc_platform_cycles_hz();

	return hc_platform_now_ns() + hc_ticks_to_ns(hc_min(ticks, hz << 31), hz);
}

/* --- The physical timer --- */

static void drive_ptimer(struct hc_vcpu *vcpu, bool level)
{
	if (a64_vcpu_of(vcpu)->gic)
		gic_set_ppi(vcpu, A64_PPI_PTIMER, level, false);
}

/* Its condition or its registers changed. */
static void update_ptimer(struct hc_vcpu *vcpu)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);
	const struct timer t = physical_timer(vcpu);
	bool due = is_due(&t, count(vcpu)),
	     asks = (a->cntp_ctl & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE;

	if (asks && !due)
		hc_timer_arm(&a->ptimer, deadline_ns(vcpu, &t));
	else
		hc_timer_cancel(&a->ptimer);
	drive_ptimer(vcpu, asks && due);
}

/* The clocks' rounding may wake us a little early: then it is armed once more. */
static void ptimer_fired(struct hc_timer *timer, uint64_t now_ns)
{
	update_ptimer(timer->home);
}

/* --- The virtual timer's stand-in --- */

/* What of the virtual timer the hardware cannot tell, as the vCPU is not on it. True: its interrupt
 * has come up. Reading the registers of a vCPU that sleeps costs nothing: the group has been valid
 * since it fell asleep. */
static bool stand_in(struct hc_vcpu *vcpu)
{
	const struct timer t = virtual_timer(vcpu);
	struct a64_vcpu *a = a64_vcpu_of(vcpu);

	if (!(*t.ctl & CTL_ENABLE) || *t.ctl & CTL_IMASK)
		return false;
	if (!is_due(&t, count(vcpu))) {
		hc_timer_arm(&a->vtimer, deadline_ns(vcpu, &t));
		return false;
	}
	if (a->gic)
		gic_set_ppi(vcpu, A64_PPI_VTIMER, true, true);
	return true;
}

static void vtimer_fired(struct hc_timer *timer, uint64_t now_ns)
{
	stand_in(timer->home);
}

bool a64_timers_halt(struct hc_vcpu *vcpu)
{
	return stand_in(vcpu);
}

/* Nobody but this CPU arms it. */
void a64_timers_wake(struct hc_vcpu *vcpu)
{
	struct hc_timer *timer = &a64_vcpu_of(vcpu)->vtimer;

	if (timer->armed)
		hc_timer_cancel(timer);
}

/* --- Registers --- */

/* TVAL is a signed 32-bit view of how far off the compare value is. */
static uint64_t read_timer(const struct timer *t, unsigned which, uint64_t now)
{
	switch (which) {
	case A64_CNTP_CTL:
		return (*t->ctl & (CTL_ENABLE | CTL_IMASK)) | (is_due(t, now) ? CTL_ISTATUS : 0);
	case A64_CNTP_CVAL: return *t->cval;
	default: return (uint32_t)(*t->cval - now);
	}
}

static void write_timer(const struct timer *t, unsigned which, uint64_t now, uint64_t value)
{
	switch (which) {
	case A64_CNTP_CTL: *t->ctl = (uint32_t)value & (CTL_ENABLE | CTL_IMASK); break;
	case A64_CNTP_CVAL: *t->cval = value; break;
	default: *t->cval = now + (uint64_t)(int64_t)(int32_t)value; break;
	}
}

#define TO_PHYSICAL(which) ((which)-A64_CNTV_CTL + A64_CNTP_CTL)

uint64_t a64_timer_read(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	unsigned which = (unsigned)reg->value;
	uint64_t now = count(vcpu);

	if (which <= A64_CNTVCT)
		return now;
	const struct timer t = which < A64_CNTV_CTL ? physical_timer(vcpu) : virtual_timer(vcpu);

	return read_timer(&t, which < A64_CNTV_CTL ? which : TO_PHYSICAL(which), now);
}

void a64_timer_write(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, uint64_t value)
{
	unsigned which = (unsigned)reg->value;
	struct timer t;

	if (which < A64_CNTV_CTL) {
		t = physical_timer(vcpu);
		write_timer(&t, which, count(vcpu), value);
		update_ptimer(vcpu);
		return;
	}
	t = virtual_timer(vcpu);
	write_timer(&t, TO_PHYSICAL(which), count(vcpu), value);
	hc_vcpu_dirty(vcpu, A64_G_TIMER);
}

/* --- Life --- */

void a64_timers_init(struct hc_vcpu *vcpu)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);

	hc_timer_init(&a->ptimer, vcpu, false, ptimer_fired);
	hc_timer_init(&a->vtimer, vcpu, false, vtimer_fired);
}

/* D11.2.4: ENABLE is 0 after a reset. */
void a64_timers_reset(struct hc_vcpu *vcpu)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);

	a->cntp_ctl = 0;
	a->cntp_cval = 0;
	update_ptimer(vcpu);
	hc_timer_cancel(&a->vtimer);
}

void a64_timers_fini(struct hc_vcpu *vcpu)
{
	hc_timer_cancel(&a64_vcpu_of(vcpu)->ptimer);
	hc_timer_cancel(&a64_vcpu_of(vcpu)->vtimer);
}
