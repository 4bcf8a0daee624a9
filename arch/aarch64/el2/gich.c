/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual interface control block of a GICv2 (IHI 0048 5.3), whose registers say the same as
 * GICv3's, with fields in other places.
 */
#include "arch/aarch64/el2/internal.h"

#define GICH_HCR   0x000
#define GICH_VTR   0x004
#define GICH_VMCR  0x008
#define GICH_APR   0x0f0
#define GICH_LR(n) (0x100 + 4 * (n))

#define HCR_FIELDS 0xf80000ffu /* EOICount and the enables */

/* A list register: interrupt, physical interrupt (or bit 19: EOI; 12:10: the source CPU of an SGI,
 * which are bits 12:10 of vINTID for GICv3), priority's upper 5 bits, state, group, HW. */
#define LR_VIRTUAL(lr)  hc_bits(lr, 9, 0)
#define LR_PHYSICAL(lr) hc_bits(lr, 19, 10)
#define LR_CPU(lr)      hc_bits(lr, 12, 10)
#define LR_EOI          HC_BIT(19)
#define LR_HW           HC_BIT(31)

static volatile uint32_t *reg(unsigned offset)
{
	return (volatile uint32_t *)((volatile char *)el2_host.gich + offset);
}

static uint32_t lr_to_v2(uint64_t lr)
{
	uint64_t v2 = hc_bits(lr, 9, 0) | hc_bits(lr, 55, 51) << 23 | hc_bits(lr, 63, 62) << 28 |
	              hc_bits(lr, 60, 60) << 30;

	if (lr & ICH_LR_HW)
		v2 |= hc_bits(lr, 41, 32) << 10 | LR_HW;
	else
		v2 |= hc_bits(lr, 12, 10) << 10 | (lr & ICH_LR_EOI ? LR_EOI : 0);
	return (uint32_t)v2;
}

static uint64_t lr_from_v2(uint32_t v2)
{
	uint64_t lr = LR_VIRTUAL(v2) | hc_bits(v2, 27, 23) << 51 | hc_bits(v2, 29, 28) << 62 |
	              hc_bits(v2, 30, 30) << 60;

	if (v2 & LR_HW)
		return lr | LR_PHYSICAL(v2) << 32 | ICH_LR_HW;
	return lr | LR_CPU(v2) << 10 | (v2 & LR_EOI ? ICH_LR_EOI : 0);
}

uint32_t el2_gich_vtr(void)
{
	return *reg(GICH_VTR);
}

/* The one register of active priorities, which are at most 32, is kept as group 1's. */
void el2_gich_save(struct a64_gic_cpu *gic, uint32_t lrs)
{
	gic->hcr = *reg(GICH_HCR);
	gic->vmcr = *reg(GICH_VMCR);
	gic->ap0r[0] = 0;
	gic->ap1r[0] = *reg(GICH_APR);
	for (; lrs; lrs &= lrs - 1) {
		unsigned i = (unsigned)__builtin_ctz(lrs);

		gic->lr[i] = lr_from_v2(*reg(GICH_LR(i)));
	}
}

void el2_gich_load(const struct a64_gic_cpu *gic, uint32_t lrs)
{
	*reg(GICH_VMCR) = gic->vmcr;
	*reg(GICH_APR) = gic->ap0r[0] | gic->ap1r[0];
	for (; lrs; lrs &= lrs - 1) {
		unsigned i = (unsigned)__builtin_ctz(lrs);

		*reg(GICH_LR(i)) = lr_to_v2(gic->lr[i]);
	}
	*reg(GICH_HCR) = gic->hcr & HCR_FIELDS;
}

void el2_gich_stop(void)
{
	*reg(GICH_HCR) = 0;
}
