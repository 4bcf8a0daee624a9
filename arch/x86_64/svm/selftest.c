/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs ten instructions in real mode on nested tables of their own, and looks at what they
 * computed: a CPU, or something that pretends to be one, that says it has AMD-V may still not do
 * it.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/svm/internal.h"
#include "mmu/npt.h"

#define RESULT  0x1250
#define SCRATCH 0x800
#define TRIES   64 /* host interrupts may come first */

/* 16-bit code at guest physical 0. */
static const uint8_t guest_code[] = {
	0xb8, 0x34, 0x12,       /*    mov $0x1234, %ax */
	0xb9, 0x07, 0x00,       /*    mov $7, %cx */
	0x31, 0xd2,             /*    xor %dx, %dx */
	0x01, 0xc8,             /* 1: add %cx, %ax */
	0x42,                   /*    inc %dx */
	0xe2, 0xfb,             /*    loop 1b */
	0xa3, 0x00, 0x08,       /*    mov %ax, SCRATCH */
	0x8b, 0x1e, 0x00, 0x08, /*    mov SCRATCH, %bx */
	0xf4,                   /*    hlt */
};

static int alloc_table(void *ctx, unsigned order, hpa_t *table)
{
	void *p = hc_platform_alloc_pages(order);

	if (!p)
		return -ENOMEM;
	*table = hc_platform_to_hpa(p);
	return 0;
}

static void free_table(void *ctx, hpa_t table, unsigned order)
{
	hc_platform_free_pages(hc_platform_from_hpa(table), order);
}

static s2_entry_t *table_ptr(void *ctx, hpa_t table)
{
	return hc_platform_from_hpa(table);
}

/* Nothing has run on these tables while they change. */
static void invalidate(void *ctx, gpa_t gpa, uint64_t size)
{
}

static void sync(void *ctx, const s2_entry_t *entries, size_t bytes)
{
}

static const struct mm_ops table_ops = { alloc_table, free_table, table_ptr, invalidate, sync };

static void real_mode(struct vmcb *v, const struct s2 *s2)
{
	const struct vmcb_seg data = { .attr = X86_ATTR_P | X86_ATTR_S | 3, .limit = 0xffff };

	v->intercept[0] = SVM_INTERCEPT_MASK(SVM_I_INTR) | SVM_INTERCEPT_MASK(SVM_I_NMI) |
	                  SVM_INTERCEPT_MASK(SVM_I_SMI) | SVM_INTERCEPT_MASK(SVM_I_HLT) |
	                  SVM_INTERCEPT_MASK(SVM_I_SHUTDOWN);
	v->intercept[1] = SVM_INTERCEPT_MASK(SVM_I_VMRUN);
	v->v_intr_control = SVM_V_INTR_MASKING;
	v->asid = 1;
	v->tlb_control = SVM_TLB_FLUSH_ALL;
	v->np_control = SVM_NP_ENABLE;
	v->n_cr3 = s2_root(s2).v;
	v->g_pat = UINT64_C(0x0007040600070406);
	v->efer = X86_EFER_SVME;
	v->cr0 = X86_CR0_ET;
	v->dr6 = 0xffff0ff0;
	v->dr7 = 0x400;
	v->rflags = X86_FLAG_1;
	v->es = v->ss = v->ds = v->fs = v->gs = v->cs = data;
	v->cs.attr |= 8;
	v->ldtr.attr = X86_ATTR_P | 2;
	v->tr.attr = X86_ATTR_P | 11;
	v->gdtr.limit = v->idtr.limit = v->ldtr.limit = v->tr.limit = 0xffff;
}

static void enter(struct svm_cpu *c, struct vmcb *v, uint64_t *gpr)
{
	bool irq = hc_platform_irq_disable();

	for (unsigned i = 0; i < TRIES; i++) {
		svm_hw_enter(gpr, hc_platform_to_hpa(v), c->host_pa);
		if (v->exitcode < SVM_EXIT_INTR || v->exitcode > SVM_EXIT_SMI)
			break;
		hc_platform_irq_window();
	}
	hc_platform_irq_restore(irq);
}

static int verdict(const struct vmcb *v, const uint64_t *gpr, const uint8_t *page, const char **why)
{
	uint16_t stored = (uint16_t)(page[SCRATCH] | page[SCRATCH + 1] << 8);

	*why = "AMD-V refused to run a test guest";
	if (SVM_EXIT_IS_INVALID(v->exitcode))
		return -EOPNOTSUPP;
	*why = "AMD-V left a test guest for an unexpected reason";
	if (v->exitcode != SVM_EXIT_HLT)
		return -EOPNOTSUPP;
	*why = "AMD-V ran a test guest, but with a wrong result";
	if ((uint16_t)v->rax != RESULT || (uint16_t)gpr[X86_RBX] != RESULT ||
	    (uint16_t)gpr[X86_RDX] != 7 || stored != RESULT)
		return -EOPNOTSUPP;
	return 0;
}

static int run_guest(struct svm_cpu *c, struct vmcb *v, uint8_t *page, const char **why)
{
	uint64_t gpr[X86_GPR_COUNT] = { 0 };
	struct s2 s2;
	int rc = s2_init(&s2, &npt_format, &table_ops, NULL, svm_caps.gpa_bits);

	if (rc)
		return rc;
	rc = s2_map(&s2, gpa_of(0), hc_platform_to_hpa(page), HC_PAGE_SIZE, S2_RWX);
	if (!rc) {
		memcpy(page, guest_code, sizeof(guest_code));
		real_mode(v, &s2);
		enter(c, v, gpr);
		rc = verdict(v, gpr, page, why);
	}
	s2_destroy(&s2);
	return rc;
}

int svm_selftest(struct svm_cpu *c, const char **why)
{
	struct vmcb *vmcb = hc_platform_alloc_pages(0);
	uint8_t *page = hc_platform_alloc_pages(0);
	int rc = -ENOMEM;

	*why = "no memory for a test guest";
	if (vmcb && page)
		rc = run_guest(c, vmcb, page, why);
	if (vmcb)
		hc_platform_free_pages(vmcb, 0);
	if (page)
		hc_platform_free_pages(page, 0);
	return rc;
}
