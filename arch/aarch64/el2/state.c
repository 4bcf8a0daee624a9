/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The neutral state and the CPU's registers.
 *
 * Between load() and put() the guest's registers are the CPU's; put() takes all of them into the
 * neutral state, where load() finds them. It leaves in the CPU what nothing else needs (EL1's
 * registers, vectors): a vCPU that comes back before another one came finds it there.
 */
#include "arch/aarch64/el2/internal.h"

/* --- Timer --- */

/* After a reset the interrupt of what was before is not there to be ended any more. */
static void set_timer(struct el2_vcpu *ev, struct a64_state *st)
{
	el2_timer_load(st);
	if (ev->vtimer_active && !el2_gic_lists_vtimer(&st->gic) && !el2_timer_output(st))
		el2_timer_set_active(ev, false);
}

/* --- Debug: in the CPU only while it does something (D2.8.1, D2.12.3) --- */

static bool debug_is_used(const struct a64_state *st)
{
	return (st->mdscr & (MDSCR_MDE | MDSCR_SS)) != 0;
}

static void set_debug(struct el2_vcpu *ev, struct a64_state *st)
{
	bool used = debug_is_used(st);

	if (used)
		el2_hw_load_debug(st, el2_caps.breakpoints, el2_caps.watchpoints);
	if (used || ev->debug_live)
		el2_hw_write(EL2_MDSCR_EL1,
		             used ? st->mdscr & (MDSCR_SS | MDSCR_MDE | MDSCR_KDE | MDSCR_TDCC)
		                  : 0);
	ev->debug_live = used;
}

/* --- Vectors: loaded when they are new, and when the guest uses them again after another did ---
 */

static void get_fp(struct el2_vcpu *ev, struct a64_state *st)
{
	if (ev->fp_live)
		el2_hw_save_fp(st->v, &st->fpsr, &st->fpcr);
}

/* Not left to the guest's first use: nearly all guests use them soon. To an emulated CPU, code is
 * other code where its vectors trap: QEMU would translate twice what a guest does until then, in
 * Linux' boot 13,000 blocks besides 75,000. */
static void set_fp(struct el2_vcpu *ev, struct a64_state *st)
{
	el2_set_cptr(ev->here, el2_caps.cptr_open);
	el2_hw_isb();
	el2_hw_load_fp(st->v, st->fpsr, st->fpcr);
	ev->fp_live = true;
	ev->fp_cpu = ev->here;
	ev->here->fp_owner = ev;
}

void el2_fp_trap(struct hc_vcpu *vcpu)
{
	set_fp(el2_vcpu_of(vcpu), a64_state_of(vcpu));
}

/* What is in the CPU, if it is this vCPU's, is as new as the neutral state at load(). */
static void load_fp(struct el2_vcpu *ev)
{
	ev->fp_live = ev->here->fp_owner == ev && ev->fp_cpu == ev->here;
	el2_set_cptr(ev->here, ev->fp_live ? el2_caps.cptr_open : el2_caps.cptr_trap);
}

/* --- A virtual SError: HCR_EL2.VSE, which the CPU clears when it is taken (D1.3.4) --- */

static void get_event(struct el2_vcpu *ev, struct a64_state *st)
{
	if (!(ev->hcr & HCR_VSE))
		return;
	ev->hcr = ev->here->hcr = el2_hw_read(EL2_HCR_EL2);
	st->serror = (ev->hcr & HCR_VSE) != 0;
}

static void set_event(struct el2_vcpu *ev, struct a64_state *st)
{
	ev->hcr = el2_caps.hcr | (st->serror ? HCR_VSE : 0);
	if (st->serror && el2_caps.ras)
		el2_hw_write(EL2_VSESR_EL2, st->vsesr);
	/* The register may have lost VSE since it was written. */
	if ((ev->hcr | ev->here->hcr) & HCR_VSE)
		ev->here->hcr = 0;
	el2_set_hcr(ev->here, ev->hcr);
}

/* --- Which CPU the guest sees itself on --- */

static void set_id(struct el2_vcpu *ev, struct a64_state *st)
{
	el2_hw_write(EL2_VPIDR_EL2, st->midr);
	el2_hw_write(EL2_VMPIDR_EL2, st->mpidr);
}

/* --- Groups. A row of ifs, not a table: each interrupt and each IPI goes through here. --- */

static void get_groups(struct el2_vcpu *ev, struct a64_state *st, uint32_t groups)
{
	if (groups & A64_G_SYS)
		el2_hw_save_el1(st->sys, el2_caps.vhe);
	if (groups & A64_G_TIMER)
		el2_timer_save(st);
	if (groups & A64_G_FP)
		get_fp(ev, st);
	if (groups & A64_G_GIC)
		el2_gic_save(ev, &st->gic);
	if (groups & A64_G_EVENT)
		get_event(ev, st);
}

/* The timer comes before the virtual CPU interface, which looks at it. */
static void set_groups(struct el2_vcpu *ev, struct a64_state *st, uint32_t groups)
{
	if (groups & A64_G_TIMER)
		set_timer(ev, st);
	if (groups & A64_G_GIC)
		el2_gic_load(ev, st);
	if (__builtin_expect(!(groups & ~(uint32_t)(A64_G_CORE | A64_G_TIMER | A64_G_GIC)), 1))
		return;
	if (groups & A64_G_SYS)
		el2_hw_load_el1(st->sys, el2_caps.vhe);
	if (groups & A64_G_DEBUG)
		set_debug(ev, st);
	if (groups & A64_G_FP)
		set_fp(ev, st);
	if (groups & A64_G_EVENT)
		set_event(ev, st);
	if (groups & A64_G_ID)
		set_id(ev, st);
}

/* Of a vCPU that is not loaded, all is in the neutral state. */
void el2_get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	if (el2_vcpu_of(vcpu)->here)
		get_groups(el2_vcpu_of(vcpu), a64_state_of(vcpu), groups);
}

void el2_set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	if (el2_vcpu_of(vcpu)->here)
		set_groups(el2_vcpu_of(vcpu), a64_state_of(vcpu), groups);
}

/* Timer and interrupts were stopped at put(). */
void el2_load(struct hc_vcpu *vcpu)
{
	struct el2_vcpu *ev = el2_vcpu_of(vcpu);
	struct el2_cpu *cpu = el2_cpu_of(vcpu->cpu);

	ev->here = cpu;
	el2_tlb_load(vcpu, cpu);
	hc_vcpu_dirty(vcpu, A64_G_TIMER | A64_G_GIC);
	if (cpu->resident != ev || ev->cpu != cpu) {
		cpu->resident = ev;
		ev->cpu = cpu;
		/* What the list registers hold is another vCPU's. */
		ev->live_lrs = (uint32_t)HC_BIT(el2_caps.list_registers) - 1;
		hc_vcpu_dirty(vcpu, A64_G_SYS | A64_G_EVENT | A64_G_ID);
	}
	if (debug_is_used(a64_state_of(vcpu)))
		hc_vcpu_dirty(vcpu, A64_G_DEBUG);
	load_fp(ev);
	if (ev->vtimer_active)
		el2_host.set_active(el2_host.vtimer_ppi, true);
}

void el2_put(struct hc_vcpu *vcpu)
{
	struct el2_vcpu *ev = el2_vcpu_of(vcpu);

	get_groups(ev, a64_state_of(vcpu), ~vcpu->valid);
	vcpu->valid = A64_G_ALL;
	el2_timer_stop();
	el2_gic_stop();
	if (ev->debug_live)
		el2_hw_write(EL2_MDSCR_EL1, 0);
	ev->debug_live = false;
	if (ev->vtimer_active)
		el2_host.set_active(el2_host.vtimer_ppi, false);
	el2_hw_isb();
	ev->fp_live = false;
	ev->here = NULL;
}
