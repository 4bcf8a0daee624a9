/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry and exit. Every instruction here is paid on every exit; what is rare is elsewhere.
 */
#include "arch/x86_64/svm/internal.h"

/* CR8 reads take V_TPR; the local APIC's TPR may have changed through its page. */
static inline void sync_tpr(struct hc_vcpu *vcpu, struct vmcb *v)
{
	uint8_t tpr = (uint8_t)(x86_apic_get(&x86_vcpu_of(vcpu)->apic, APIC_TPR) >> 4);

	if (v->v_tpr != tpr) {
		v->v_tpr = tpr;
		v->clean &= ~SVM_CLEAN_TPR;
	}
}

static inline void enter_tlb(struct svm_vcpu *sv, struct svm_cpu *cpu, struct svm_vm *vm)
{
	uint64_t generation = hc_shootdown_enter(&sv->tlb, &vm->tlb);

	if (__builtin_expect(sv->asid_generation != cpu->generation ||
	                             hc_shootdown_due(&sv->tlb, generation),
	                     0))
		svm_tlb_renew(sv, cpu, generation);
}

/* All groups but the core's are the hardware's again. */
static inline void leave_guest(struct hc_vcpu *vcpu, struct svm_vcpu *sv, struct vmcb *v,
                               struct x86_state *st)
{
	hc_shootdown_leave(&sv->tlb);
	vcpu->valid = X86_G_CORE;
	vcpu->dirty = 0;
	v->clean = SVM_CLEAN_ALL;
	st->gpr[X86_RAX] = v->rax;
	st->gpr[X86_RSP] = v->rsp;
	st->rip = v->rip;
	st->rflags = v->rflags;
}

/* What must not be there at the next entry. Kept until the exit was decoded: a refused entry is
 * explained by it. */
static inline void clear_entry_fields(struct svm_vcpu *sv, struct vmcb *v)
{
	v->tlb_control = SVM_TLB_NONE;
	v->eventinj = 0;
	if (__builtin_expect((v->exitintinfo & SVM_EVENT_V) != 0, 0)) {
		v->eventinj = svm_event_again(v->exitintinfo);
		sv->track = true;
	}
}

void svm_run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct svm_vcpu *sv = svm_vcpu_of(vcpu);
	struct svm_cpu *cpu = sv->here;
	struct x86_state *st = x86_state_of(vcpu);
	struct vmcb *v = sv->vmcb;

	svm_sync_rip(v, st);
	if (__builtin_expect((vcpu->dirty & ~(uint32_t)X86_G_CORE) != 0, 0))
		svm_set_state(vcpu, vcpu->dirty);
	v->rax = st->gpr[X86_RAX];
	v->rsp = st->gpr[X86_RSP];
	v->rflags = st->rflags;
	sync_tpr(vcpu, v);
	if (__builtin_expect(sv->track, 0))
		svm_events_enter(sv);
	enter_tlb(sv, cpu, sv->vm);
	svm_hw_enter(st->gpr, sv->vmcb_pa, cpu->host_pa);
	leave_guest(vcpu, sv, v, st);
	svm_decode_exit(vcpu, v, exit);
	clear_entry_fields(sv, v);
	if (__builtin_expect(sv->track, 0))
		svm_events_leave(vcpu, exit);
}
