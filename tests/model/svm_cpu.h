/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of a CPU with AMD-V, by APM Vol. 2 chapter 15: implements arch/x86_64/svm/hw.h. It checks
 * what a CPU would refuse, remembers what a CPU would cache, and lets a script be the guest.
 *
 * What code under test does wrong without a CPU noticing at once is a complaint:
 *   - a field changed in the VMCB while its clean bit says that it did not (15.15)
 *   - translations used under an ASID that another VMCB filled, or that are older than the last
 *     change of the nested tables (15.16)
 *   - an instruction that would fault: XSETBV, XRSTOR of values that it refuses, VMRUN without
 *     EFER.SVME or VM_HSAVE_PA, WRMSR of an MSR that is not there
 *   - the state that VMLOAD brings back for the host is not this CPU's
 */
#ifndef TESTS_MODEL_SVM_CPU_H
#define TESTS_MODEL_SVM_CPU_H

#include "arch/x86_64/svm/internal.h"
#include "tests/model/x86_host_model.h"

#define MODEL_ASIDS 64

/* What the machine's CPUs are like. */
struct model_features {
	bool no_svm, no_npt, svmdis, lock;
	bool nrip, flush_by_asid, decode_assists, pause_filter, lbrv, clean_bits, tsc_ratio;
	bool xsave, avx512, xsaves, rdtscp, la57;
	bool short_invalid;  /* VMEXIT_INVALID is stored with 32 bits */
	bool ignores_shadow; /* VMRUN does not load the interrupt shadow */
	bool keeps_eventinj; /* an exit leaves EVENTINJ as it was */
	bool keeps_v_irq;    /* so does one V_IRQ that cuts its delivery short */
	bool repeats_intr;   /* an external interrupt in EVENTINJ is delivered twice */
	bool tcg;            /* QEMU's: TR's type is that of an available TSS */
	bool bochs;          /* Bochs': interrupts and V_IRQ wait for a change of RFLAGS.IF, and
	                      * VMRUN does not load CR2 */
	uint32_t asids;
};

struct model_cpu {
	struct model_x86 x86;
	uint64_t efer, vm_cr, hsave, tsc_aux, tsc_ratio, xss, cr2, cr4;
	uint64_t fs_base, kernel_gs; /* stand for all that VMLOAD and VMSAVE move */
	struct {
		uint64_t vmcb, epoch; /* vmcb 0: empty */
	} tlb[MODEL_ASIDS];
	uint64_t cached_pa; /* of the VMCB in the cache */
	struct vmcb cached;
	unsigned entries, refused, flushes;
	bool sees_v_irq;
};

extern struct model_features model_features;
extern struct model_cpu model_cpus[MODEL_CPUS];
extern const struct svm_rule *model_refused_by; /* the rule that the last refused entry broke */
extern unsigned
	model_nmi_starts; /* calls of hc_platform_start_nmis(), which gives model_nmi_error */
extern int model_nmi_error;

struct model_cpu *model_this(void);

#endif
