/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ASIDs and stale translations (APM Vol. 2 15.16).
 *
 * Each CPU hands out its ASIDs in order; when none is left it starts a new generation with a flush
 * of the whole TLB, which voids all ASIDs that vCPUs hold there. A vCPU takes a new one when it
 * comes to another CPU, so that what it left behind on the first is never used again.
 *
 * Changes of stage 2 reach the vCPUs as core/shootdown.h has it.
 */
#include "arch/x86_64/svm/internal.h"

static void new_asid(struct svm_vcpu *sv, struct svm_cpu *cpu)
{
	struct vmcb *v = sv->vmcb;

	v->tlb_control = SVM_TLB_NONE;
	if (cpu->next_asid >= svm_caps.limits.asids) {
		cpu->generation += SVM_GENERATION_STEP;
		cpu->next_asid = 1; /* 0 is the host's */
		v->tlb_control = SVM_TLB_FLUSH_ALL;
	}
	v->asid = cpu->next_asid++;
	v->clean &= ~SVM_CLEAN_ASID;
}

void svm_tlb_renew(struct svm_vcpu *sv, struct svm_cpu *cpu, uint64_t generation)
{
	bool ours = sv->asid_generation == cpu->generation;

	if (ours && svm_caps.flush_by_asid)
		sv->vmcb->tlb_control = SVM_TLB_FLUSH_ASID;
	else
		new_asid(sv, cpu);
	/* Of VMCBs that were last run elsewhere, this CPU may have cached old contents (15.15.1).
	 */
	if (sv->cpu != cpu)
		sv->vmcb->clean = 0;
	sv->cpu = cpu;
	sv->asid_generation = cpu->generation;
	hc_shootdown_seen(&sv->tlb, generation);
}

void svm_tlb_forget(struct svm_cpu *cpu)
{
	cpu->generation += SVM_GENERATION_STEP;
	cpu->next_asid = svm_caps.limits.asids;
}

/* NULL: it is being made. */
static struct hc_shootdown_vcpu *tlb_of(struct hc_vcpu *vcpu)
{
	struct svm_vcpu *sv = hc_vcpu_part(vcpu, &svm_backend);

	return sv ? &sv->tlb : NULL;
}

void svm_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	struct svm_vm *svm = svm_vm_of(vm);

	if (svm) /* else the VM is being made: nothing has run */
		hc_shootdown(vm, &svm->tlb, tlb_of);
}
