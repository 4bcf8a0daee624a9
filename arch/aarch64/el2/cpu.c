/* SPDX-License-Identifier: BSD-2-Clause */
/* What a CPU's EL2 registers hold while it runs guests, and between two of them. */
#include "arch/aarch64/el2/internal.h"

void el2_set_hcr(struct el2_cpu *c, uint64_t hcr)
{
	if (c->hcr == hcr)
		return;
	c->hcr = hcr;
	el2_hw_write(EL2_HCR_EL2, hcr);
}

void el2_set_cptr(struct el2_cpu *c, uint64_t cptr)
{
	if (c->cptr == cptr)
		return;
	c->cptr = cptr;
	el2_hw_write(EL2_CPTR_EL2, cptr);
}

/* What resets to values that are not known, and would let the guest do more, or less, than the ID
 * registers say that it sees. */
static void close_extensions(void)
{
	if (a64_host_field(A64_ID_AA64MMFR1, 40)) /* HCX */
		el2_hw_write(EL2_HCRX_EL2, 0);
	if (a64_host_field(A64_ID_AA64MMFR0, 56)) { /* FGT */
		el2_hw_write(EL2_HFGRTR_EL2, 0);
		el2_hw_write(EL2_HFGWTR_EL2, 0);
		el2_hw_write(EL2_HFGITR_EL2, 0);
		el2_hw_write(EL2_HDFGRTR_EL2, 0);
		el2_hw_write(EL2_HDFGWTR_EL2, 0);
		if (a64_host_field(A64_ID_AA64PFR0, 44)) /* AMU */
			el2_hw_write(EL2_HAFGRTR_EL2, 0);
	}
}

/* Without ICC_SRE_EL2.Enable the guest's ICC_SRE_EL1 exits. */
static void switch_on_interrupts(void)
{
	if (el2_caps.gic_version == 3)
		el2_hw_write(EL2_ICC_SRE_EL2, el2_hw_read(EL2_ICC_SRE_EL2) & ~ICC_SRE_ENABLE);
	if (!el2_caps.gic_version)
		return;
	el2_gic_stop();
	el2_host.set_enabled(el2_host.vtimer_ppi, true);
	el2_host.set_enabled(el2_host.maintenance_ppi, true);
}

int el2_cpu_switch_on(void *data, unsigned id)
{
	struct el2_cpu *c = data;

	c->id = id;
	c->host_hcr = c->hcr = el2_hw_read(EL2_HCR_EL2);
	c->cptr = el2_caps.cptr_trap;
	el2_hw_write(EL2_CPTR_EL2, c->cptr);
	el2_hw_write(EL2_MDCR_EL2, el2_caps.mdcr);
	/* Else EL0's accesses are trapped by EL1's PMUSERENR_EL0, and not by MDCR_EL2.TPM, which
	 * makes them UNDEFINED. */
	if (el2_caps.mdcr & MDCR_TPM)
		el2_hw_write(EL2_PMUSERENR_EL0, PMUSERENR_ALL);
	el2_hw_write(EL2_HSTR_EL2, 0);
	el2_hw_write(EL2_CNTHCTL_EL2, 0); /* the physical timer and counter exit */
	el2_hw_write(EL2_MDSCR_EL1, 0);
	close_extensions();
	el2_set_hcr(c, el2_caps.hcr);
	el2_timer_stop();
	el2_hw_isb();
	switch_on_interrupts();
	return 0;
}

void el2_cpu_switch_off(void *data)
{
	struct el2_cpu *c = data;

	el2_timer_stop();
	if (el2_caps.gic_version) {
		el2_gic_stop();
		el2_host.set_enabled(el2_host.vtimer_ppi, false);
		el2_host.set_enabled(el2_host.maintenance_ppi, false);
	}
	el2_set_hcr(c, c->host_hcr);
	el2_set_cptr(c, el2_caps.cptr_open);
	el2_hw_isb();
}
