/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's timer: one-shot, periodic and TSC-deadline (SDM Vol. 3A 10.5.4). */
#include <hypercore/errno.h>

#include "arch/x86_64/internal.h"

enum timer_mode { ONE_SHOT, PERIODIC, TSC_DEADLINE, RESERVED };

_Static_assert(X86_APIC_TIMER_HZ == 1000000000, "a tick before the divider is a nanosecond");

static struct x86_apic *apic_of(struct hc_vcpu *vcpu)
{
	return &x86_vcpu_of(vcpu)->apic;
}

static enum timer_mode mode_of(uint32_t lvt)
{
	return (enum timer_mode)hc_bits(lvt, 18, 17);
}

static enum timer_mode mode(const struct x86_apic *apic)
{
	return mode_of(apic->timer_lvt);
}

/* Bits 3, 1, 0: 000 is 2, 001 is 4 ... 110 is 128, 111 is 1 (figure 10-10). */
static unsigned divider_shift(uint32_t dcr)
{
	return (((dcr & 8) >> 1 | (dcr & 3)) + 1) & 7;
}

static unsigned shift(const struct x86_apic *apic)
{
	return divider_shift(apic->timer_dcr);
}

static uint64_t period_ns(const struct x86_apic *apic)
{
	return (uint64_t)apic->timer_icr << shift(apic);
}

static void fired(struct hc_timer *timer, uint64_t now_ns);

void x86_apic_timer_catch_up(struct hc_vcpu *vcpu)
{
	struct hc_timer *timer = &apic_of(vcpu)->timer;

	if (!timer->armed)
		return;
	uint64_t now = hc_platform_now_ns();

	if (timer->deadline_ns > now)
		return;
	hc_timer_cancel(timer);
	fired(timer, now);
}

/* --- TSC deadline --- */

/* When the platform's clock will show that the guest's TSC reached the deadline. */
static uint64_t deadline_ns(struct hc_vcpu *vcpu)
{
	uint64_t now = x86_tsc_now(vcpu), deadline = apic_of(vcpu)->tsc_deadline;
	uint64_t ticks = deadline > now ? deadline - now : 0, hz = x86_tsc_hz(vcpu);

	/* Four years: what is beyond would not fit, and is looked at again then. */
	ticks = hc_min(ticks, hz << 27);
	return hc_platform_now_ns() + hc_ticks_to_ns(ticks, hz);
}

uint64_t x86_apic_read_deadline(struct hc_vcpu *vcpu)
{
	x86_apic_timer_catch_up(vcpu);
	return mode(apic_of(vcpu)) == TSC_DEADLINE ? apic_of(vcpu)->tsc_deadline : 0;
}

void x86_apic_write_deadline(struct hc_vcpu *vcpu, uint64_t value)
{
	struct x86_apic *apic = apic_of(vcpu);

	if (mode(apic) != TSC_DEADLINE)
		return; /* ignored in the other modes (10.5.4.1) */
	x86_apic_timer_catch_up(vcpu);
	apic->tsc_deadline = value;
	if (value)
		hc_timer_arm(&apic->timer, deadline_ns(vcpu));
	else
		hc_timer_cancel(&apic->timer);
}

/* --- Counting down --- */

/* An emulated CPU may be so slow that its guest would never come out of the interrupt's handler. */
static uint64_t least_period(void)
{
	return hc_max(X86_APIC_MIN_PERIOD_NS,
	              hc_ticks_to_ns(X86_APIC_MIN_PERIOD_CYCLES, hc_platform_cycles_hz()));
}

/* The interrupts of a period too short to be real are spread out; the count stays exact. */
static void arm_periodic(struct x86_apic *apic, uint64_t now)
{
	uint64_t period = period_ns(apic), elapsed = now - apic->timer_start_ns;
	uint64_t next = apic->timer_start_ns + (elapsed / period + 1) * period;
	uint64_t least = least_period();

	if (period < least)
		next = hc_max(next, now + least);
	hc_timer_arm(&apic->timer, next);
}

static void start(struct hc_vcpu *vcpu, uint64_t now)
{
	struct x86_apic *apic = apic_of(vcpu);

	if (!apic->timer_icr || mode(apic) > PERIODIC)
		hc_timer_cancel(&apic->timer);
	else if (mode(apic) == PERIODIC)
		arm_periodic(apic, now);
	else if (now - apic->timer_start_ns < period_ns(apic))
		hc_timer_arm(&apic->timer, apic->timer_start_ns + period_ns(apic));
	else
		hc_timer_cancel(&apic->timer);
}

static void fired(struct hc_timer *timer, uint64_t now_ns)
{
	struct x86_vcpu *x = HC_CONTAINER_OF(timer, struct x86_vcpu, apic.timer);

	if (mode(&x->apic) == TSC_DEADLINE) {
		/* The clocks' rounding may wake us a little early: the guest must not see that. */
		if (x86_tsc_now(&x->vcpu) < x->apic.tsc_deadline) {
			hc_timer_arm(timer, hc_max(deadline_ns(&x->vcpu), now_ns + 1));
			return;
		}
		x->apic.tsc_deadline = 0;
	} else if (mode(&x->apic) == PERIODIC) {
		arm_periodic(&x->apic, now_ns);
	}
	x86_apic_local(&x->vcpu, LVT_TIMER);
}

uint32_t x86_apic_timer_ccr(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = apic_of(vcpu);
	uint64_t elapsed, period = period_ns(apic);

	if (!period || mode(apic) > PERIODIC)
		return 0;
	x86_apic_timer_catch_up(vcpu);
	elapsed = hc_platform_now_ns() - apic->timer_start_ns;
	if (mode(apic) == PERIODIC)
		elapsed %= period;
	else if (elapsed >= period)
		return 0;
	return apic->timer_icr - (uint32_t)(elapsed >> shift(apic));
}

/* --- Registers --- */

static void set_icr(struct x86_apic *apic, uint32_t value)
{
	apic->timer_icr = value;
	x86_apic_put(apic, APIC_TIMER_ICR, value);
}

void x86_apic_timer_write_icr(struct hc_vcpu *vcpu, uint32_t value)
{
	struct x86_apic *apic = apic_of(vcpu);

	if (mode(apic) == TSC_DEADLINE) {
		set_icr(apic, 0); /* the register is not writable then (10.5.4.1) */
		return;
	}
	x86_apic_timer_catch_up(vcpu);
	set_icr(apic, value);
	apic->timer_start_ns = hc_platform_now_ns();
	start(vcpu, apic->timer_start_ns);
}

/* The count goes on from where it is, at the new rate. */
void x86_apic_timer_write_dcr(struct hc_vcpu *vcpu, uint32_t value)
{
	struct x86_apic *apic = apic_of(vcpu);
	uint32_t count = x86_apic_timer_ccr(vcpu);
	uint64_t now = hc_platform_now_ns();

	apic->timer_dcr = value & 0xb;
	x86_apic_put(apic, APIC_TIMER_DCR, apic->timer_dcr);
	if (!count)
		return;
	uint64_t counted = apic->timer_icr - count;

	apic->timer_start_ns = now - (counted << shift(apic));
	start(vcpu, now);
}

/* A change between TSC-deadline and the other modes disarms the timer; one-shot and periodic share
 * the running count. */
void x86_apic_timer_write_lvt(struct hc_vcpu *vcpu, uint32_t value)
{
	struct x86_apic *apic = apic_of(vcpu);
	uint32_t old = apic->timer_lvt;

	apic->timer_lvt = value;
	if (mode_of(old) == mode(apic))
		return;
	if (mode_of(old) > PERIODIC || mode(apic) > PERIODIC) {
		set_icr(apic, 0);
		apic->tsc_deadline = 0;
	}
	start(vcpu, hc_platform_now_ns());
}

void x86_apic_timer_init(struct hc_vcpu *vcpu)
{
	hc_timer_init(&apic_of(vcpu)->timer, vcpu, false, fired);
}

void x86_apic_timer_reset(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = apic_of(vcpu);

	hc_timer_cancel(&apic->timer);
	apic->timer_lvt = APIC_LVT_MASKED;
	apic->timer_icr = apic->timer_dcr = 0;
	apic->timer_start_ns = 0;
	apic->tsc_deadline = 0;
}

void x86_apic_timer_rearm(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = apic_of(vcpu);

	if (mode(apic) == TSC_DEADLINE && apic->tsc_deadline)
		hc_timer_arm(&apic->timer, deadline_ns(vcpu));
	else
		start(vcpu, hc_platform_now_ns());
}
