/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's virtual timer (Arm ARM D11.2), which is the CPU's own while the vCPU is loaded.
 *
 * When it expires, its interrupt ends the guest. The board leaves the physical interrupt active,
 * so that the timer, which stays due until the guest has dealt with it, does not interrupt again;
 * the guest ends both at once through the list register that is linked to it (see gic.c). A vCPU
 * that leaves the CPU takes the active state along: it is the vCPU's, not the CPU's.
 */
#include "arch/aarch64/el2/internal.h"
#include "arch/aarch64/gic/gic.h"

void el2_timer_save(struct a64_state *st)
{
	st->cntv_ctl = el2_hw_timer_ctl(el2_caps.vhe);
	st->cntv_cval = el2_hw_timer_cval(el2_caps.vhe);
}

void el2_timer_load(const struct a64_state *st)
{
	el2_hw_load_timer(st->cntvoff, st->cntv_cval,
	                  st->cntv_ctl & (CNTV_CTL_ENABLE | CNTV_CTL_IMASK), el2_caps.vhe);
}

void el2_timer_stop(void)
{
	el2_hw_stop_timer(el2_caps.vhe);
}

/* QEMU's ISTATUS becomes set when its main loop comes to it, which may be long after the count has
 * shown that it is due; a write of the compare value makes it look at once. */
bool el2_timer_output(const struct a64_state *st)
{
	uint32_t ctl = el2_hw_timer_ctl(el2_caps.vhe);

	if (ctl == CNTV_CTL_ENABLE) {
		el2_hw_load_timer(st->cntvoff, el2_hw_timer_cval(el2_caps.vhe), ctl, el2_caps.vhe);
		ctl = el2_hw_timer_ctl(el2_caps.vhe);
	}
	return ctl == (CNTV_CTL_ENABLE | CNTV_CTL_ISTATUS);
}

void el2_timer_set_active(struct el2_vcpu *ev, bool active)
{
	ev->vtimer_active = active;
	el2_host.set_active(el2_host.vtimer_ppi, active);
}

/* It may have been stopped since it interrupted. That it could interrupt says that the guest has
 * ended the last one, which el2_gic_save() notices first. */
void el2_vtimer_interrupt(struct hc_vcpu *vcpu)
{
	struct el2_vcpu *ev = el2_vcpu_of(vcpu);

	if (!ev->here || !el2_timer_output(a64_state_of(vcpu))) {
		el2_host.set_active(el2_host.vtimer_ppi, false);
		return;
	}
	hc_vcpu_need(vcpu, A64_G_GIC);
	ev->vtimer_active = true;
	gic_set_ppi(vcpu, A64_PPI_VTIMER, true, true);
}
