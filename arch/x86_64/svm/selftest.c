/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the test guest in real mode, with RFLAGS.IF clear, on nested tables of its own. */
#include <hypercore/errno.h>

#include "arch/x86_64/host/selftest.h"
#include "arch/x86_64/svm/internal.h"
#include "mmu/npt.h"

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
	v->rip = X86_SELFTEST_RIP;
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

	for (unsigned i = 0; i < X86_SELFTEST_TRIES; i++) {
		svm_hw_enter(gpr, hc_platform_to_hpa(v), c->host_pa);
		if (v->exitcode < SVM_EXIT_INTR || v->exitcode > SVM_EXIT_SMI)
			break;
		hc_platform_irq_window();
	}
	hc_platform_irq_restore(irq);
}

/* 15.21.1: with V_INTR_MASKING the guest's IF does not mask interrupts of the machine. An IPI takes
 * its time. */
static bool hears_interrupts(struct svm_cpu *c, struct vmcb *v, const struct s2 *s2, uint64_t *gpr)
{
	bool irq = hc_platform_irq_disable(), heard = false;

	hc_platform_kick(hc_platform_this_cpu());
	for (unsigned i = 0; i < X86_SELFTEST_TRIES && !heard; i++) {
		hc_platform_relax();
		real_mode(v, s2);
		svm_hw_enter(gpr, hc_platform_to_hpa(v), c->host_pa);
		heard = v->exitcode == SVM_EXIT_INTR;
	}
	hc_platform_irq_window();
	hc_platform_irq_restore(irq);
	return heard;
}

static int verdict(const struct vmcb *v, const uint64_t *gpr, const uint8_t *page, const char **why)
{
	*why = "AMD-V refused to run a test guest";
	if (SVM_EXIT_IS_INVALID(v->exitcode))
		return -EOPNOTSUPP;
	*why = "AMD-V left a test guest for an unexpected reason";
	if (v->exitcode != SVM_EXIT_HLT)
		return -EOPNOTSUPP;
	*why = "AMD-V ran a test guest, but with a wrong result";
	return x86_selftest_passed(page, v->rax, gpr[X86_RBX], gpr[X86_RDX]) ? 0 : -EOPNOTSUPP;
}

static int run_guest(struct svm_cpu *c, struct vmcb *v, uint8_t *page, const char **why)
{
	uint64_t gpr[X86_GPR_COUNT] = { 0 };
	struct s2 s2;
	int rc = x86_selftest_map(&s2, &npt_format, svm_caps.gpa_bits, page, false);

	if (rc)
		return rc;
	real_mode(v, &s2);
	enter(c, v, gpr);
	rc = verdict(v, gpr, page, why);
	if (!rc)
		svm_caps.bochs = !hears_interrupts(c, v, &s2, gpr);
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
