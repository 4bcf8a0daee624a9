/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs ten instructions at EL1 on stage-2 tables of their own, and looks at what they computed: a
 * CPU, or something that pretends to be one, that says it is at EL2 may still not virtualize.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/aarch64/el2/internal.h"
#include "core/memory.h"
#include "mmu/vmsav8.h"

#define RESULT    0x1250
#define SCRATCH   0x800
#define IMMEDIATE 0x7e57
#define TRIES     64 /* host interrupts may come first */
#define ESR_HVC   (UINT64_C(0x16) << 26 | HC_BIT(25) | IMMEDIATE)

/* At guest physical 0, with the MMU off. */
static const uint32_t guest_code[] = {
	0xd2824680, /*    mov x0, #0x1234 */
	0xd28000e1, /*    mov x1, #7 */
	0xd2800002, /*    mov x2, #0 */
	0x8b010000, /* 1: add x0, x0, x1 */
	0x91000442, /*    add x2, x2, #1 */
	0xf1000421, /*    subs x1, x1, #1 */
	0x54ffffa1, /*    b.ne 1b */
	0xd2810003, /*    mov x3, #SCRATCH */
	0xf9000060, /*    str x0, [x3] */
	0xf9400064, /*    ldr x4, [x3] */
	0xd40fcae2, /*    hvc #IMMEDIATE */
};

static void prepare(struct a64_state *st)
{
	st->pstate = A64_PSTATE_DAIF | A64_PSTATE_EL1H;
	st->sys[A64_SCTLR_EL1] = UINT64_C(0x30d00800); /* what is RES1, or was */
	st->midr = a64_host_id(A64_SYSREG(3, 0, 0, 0, 0));
	st->mpidr = UINT64_C(1) << 31;
	el2_hw_write(EL2_VPIDR_EL2, st->midr);
	el2_hw_write(EL2_VMPIDR_EL2, st->mpidr);
	el2_hw_load_el1(st->sys, el2_caps.vhe);
}

/* VMID 0 is used by nothing else. */
static uint64_t enter(struct a64_state *st, const struct s2 *s2)
{
	bool irq = hc_platform_irq_disable();
	uint64_t left = 0;

	el2_hw_write(EL2_VTCR_EL2, el2_vtcr(s2));
	el2_hw_write(EL2_VTTBR_EL2, vmsav8_vttbr(s2, 0));
	el2_hw_isb();
	el2_hw_tlbi_vmall();
	for (unsigned i = 0; i < TRIES; i++) {
		left = el2_hw_enter(st);
		if (EL2_LEFT_VECTOR(left) != EL2_VECTOR_IRQ)
			break;
		hc_platform_irq_window();
	}
	el2_hw_tlbi_vmall();
	hc_platform_irq_restore(irq);
	return left;
}

static int verdict(const struct a64_state *st, uint64_t left, const uint8_t *page, const char **why)
{
	uint64_t stored;

	memcpy(&stored, page + SCRATCH, sizeof(stored));
	*why = "EL2 left a test guest for an unexpected reason";
	if (left != ESR_HVC)
		return -EOPNOTSUPP;
	*why = "EL2 ran a test guest, but with a wrong result";
	if (st->x[0] != RESULT || st->x[4] != RESULT || st->x[1] || st->x[2] != 7 ||
	    stored != RESULT || st->pc != sizeof(guest_code))
		return -EOPNOTSUPP;
	return 0;
}

static int run_guest(struct a64_state *st, uint8_t *page, const char **why)
{
	struct s2 s2;
	int rc = s2_init(&s2, &vmsav8_format, &hc_lone_tables, NULL, el2_caps.gpa_bits);

	if (rc)
		return rc;
	rc = s2_map(&s2, gpa_of(0), hc_platform_to_hpa(page), HC_PAGE_SIZE, S2_RWX);
	if (!rc) {
		memcpy(page, guest_code, sizeof(guest_code));
		/* With its caches off the guest reads, and writes, beside ours. */
		el2_hw_clean(page, HC_PAGE_SIZE);
		prepare(st);
		uint64_t left = enter(st, &s2);

		el2_hw_clean(page, HC_PAGE_SIZE);
		rc = verdict(st, left, page, why);
	}
	s2_destroy(&s2);
	return rc;
}

_Static_assert(sizeof(struct a64_state) <= HC_PAGE_SIZE, "one page for the state");

int el2_selftest(const char **why)
{
	struct a64_state *st = hc_platform_alloc_pages(0);
	uint8_t *page = hc_platform_alloc_pages(0);
	int rc = -ENOMEM;

	*why = "no memory for a test guest";
	if (st && page)
		rc = run_guest(st, page, why);
	if (st)
		hc_platform_free_pages(st, 0);
	if (page)
		hc_platform_free_pages(page, 0);
	return rc;
}
