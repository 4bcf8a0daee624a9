/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual CPU interface between the neutral state and the hardware (IHI 0069 ch. 6, 12.4).
 *
 * The virtual timer's interrupt is the hardware's own: its list register names the physical one,
 * which stays active until the guest ends the virtual one. So it is made active whenever such a
 * list register goes into the hardware, and the register being gone again tells that it no longer
 * is.
 */
#include "arch/aarch64/el2/internal.h"

static bool is_vtimer(uint64_t lr)
{
	return (lr & ICH_LR_HW) && ICH_LR_VINTID(lr) == A64_PPI_VTIMER;
}

static bool holds_vtimer(const struct a64_gic_cpu *gic, uint32_t lrs)
{
	for (; lrs; lrs &= lrs - 1) {
		uint64_t lr = gic->lr[__builtin_ctz(lrs)];

		if (is_vtimer(lr) && (lr & ICH_LR_STATE))
			return true;
	}
	return false;
}

bool el2_gic_lists_vtimer(const struct a64_gic_cpu *gic)
{
	return holds_vtimer(gic, (uint32_t)HC_BIT(el2_caps.list_registers) - 1);
}

void el2_gic_save(struct el2_vcpu *ev, struct a64_gic_cpu *gic)
{
	bool held = ev->vtimer_active && holds_vtimer(gic, ev->live_lrs);

	if (el2_caps.gic_version == 3)
		el2_hw_save_gic(gic, ev->live_lrs, el2_caps.aprs);
	else if (el2_caps.gic_version == 2)
		el2_gich_save(gic, ev->live_lrs);
	if (held && !holds_vtimer(gic, ev->live_lrs))
		ev->vtimer_active = false;
}

/* An interrupt that the guest has not taken yet goes away when it stops its timer: the list
 * register is emptied as if it had been ended. */
static __attribute__((noinline)) void place_vtimer(struct el2_vcpu *ev, const struct a64_state *st,
                                                   uint64_t *lr)
{
	if ((*lr & ICH_LR_STATE) == ICH_LR_PENDING && !el2_timer_output(st)) {
		*lr &= ~ICH_LR_STATE;
		if (ev->vtimer_active)
			el2_timer_set_active(ev, false);
		return;
	}
	*lr = (*lr & ~ICH_LR_PINTID) | ICH_LR_PINTID_OF(el2_host.vtimer_ppi);
	if ((*lr & ICH_LR_STATE) && !ev->vtimer_active)
		el2_timer_set_active(ev, true);
}

void el2_gic_load(struct el2_vcpu *ev, struct a64_state *st)
{
	struct a64_gic_cpu *gic = &st->gic;
	uint32_t used = 0;

	for (unsigned i = 0; i < el2_caps.list_registers; i++) {
		if (!gic->lr[i])
			continue;
		used |= 1u << i;
		if (is_vtimer(gic->lr[i]))
			place_vtimer(ev, st, &gic->lr[i]);
	}
	if (el2_caps.gic_version == 3)
		el2_hw_load_gic(gic, used | ev->live_lrs, el2_caps.aprs);
	else if (el2_caps.gic_version == 2)
		el2_gich_load(gic, used | ev->live_lrs);
	ev->live_lrs = used;
}

void el2_gic_stop(void)
{
	if (el2_caps.gic_version == 3)
		el2_hw_stop_gic();
	else if (el2_caps.gic_version == 2)
		el2_gich_stop();
}

/* Asserted until the list registers are filled anew, before the next entry. */
void el2_maintenance_interrupt(struct hc_vcpu *vcpu)
{
	if (!el2_vcpu_of(vcpu)->here)
		return;
	hc_vcpu_need(vcpu, A64_G_GIC);
	hc_vcpu_dirty(vcpu, A64_G_GIC);
	el2_gic_stop();
	hc_vcpu_request(vcpu, HC_REQ_EVENT);
}
