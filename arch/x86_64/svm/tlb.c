/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ASIDs and stale translations (APM Vol. 2 15.16).
 *
 * Each CPU hands out its ASIDs in order; when none is left it starts a new generation with a flush
 * of the whole TLB, which voids all ASIDs that vCPUs hold there. A vCPU takes a new one when it
 * comes to another CPU, so that what it left behind on the first is never used again.
 *
 * A change of stage 2 counts up the VM's generation. A vCPU that finds, at an entry, that it has
 * not flushed since, does so; those in the guest are made to leave:
 *
 *    vCPU:        in_guest = true;  compare generation, flush if it is new;  VMRUN
 *    invalidate:  generation++;     in_guest? kick and wait
 *
 * Both sides write before they read, in sequentially consistent order: one sees the other.
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
	atomic_store_explicit(&sv->tlb_seen, generation, memory_order_release);
}

void svm_tlb_forget(struct svm_cpu *cpu)
{
	cpu->generation += SVM_GENERATION_STEP;
	cpu->next_asid = svm_caps.limits.asids;
}

static bool uses_old(struct svm_vcpu *sv, uint64_t generation)
{
	return atomic_load(&sv->in_guest) &&
	       atomic_load_explicit(&sv->tlb_seen, memory_order_acquire) != generation;
}

void svm_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	struct svm_vm *svm = svm_vm_of(vm);

	if (!svm)
		return; /* the VM is being made: nothing has run */
	uint64_t generation = atomic_fetch_add(&svm->tlb_generation, 1) + 1;

	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct hc_vcpu *vcpu = vm->vcpus[i];
		struct svm_vcpu *sv = vcpu ? hc_vcpu_part(vcpu, &svm_backend) : NULL;

		if (!sv || !uses_old(sv, generation))
			continue;
		hc_platform_kick(vcpu->cpu);
		while (uses_old(sv, generation))
			hc_platform_relax();
	}
}
