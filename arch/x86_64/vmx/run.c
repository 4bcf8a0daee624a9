/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry and exit. Every instruction here is paid on every exit, VMREAD and VMWRITE most of all:
 * what the VMCS holds already is not written again. What is rare is elsewhere.
 */
#include "arch/x86_64/vmx/internal.h"
#include "mmu/ept.h"

static inline void sync_core(struct vmx_vcpu *vv, const struct x86_state *st)
{
	if (vv->rsp != st->gpr[X86_RSP]) {
		vv->rsp = st->gpr[X86_RSP];
		vmx_hw_write(VMCS_GUEST_RSP, vv->rsp);
	}
	if (vv->rflags != st->rflags) {
		vv->rflags = st->rflags;
		vmx_hw_write(VMCS_GUEST_RFLAGS, vv->rflags);
	}
}

/* The guest may write to TPR without an exit: it exits as soon as it lowers it, since an interrupt
 * may wait for that (30.1.2). What comes in while it runs makes it exit anyway. */
static inline void sync_tpr(struct hc_vcpu *vcpu, struct vmx_vcpu *vv)
{
	uint8_t tpr = (uint8_t)x86_apic_get(&x86_vcpu_of(vcpu)->apic, APIC_TPR);

	if (__builtin_expect(vv->tpr != tpr, 0)) {
		vv->tpr = tpr;
		vmx_hw_write(VMCS_TPR_THRESHOLD, tpr >> 4);
	}
}

static __attribute__((noinline, cold)) void renew(struct hc_vcpu *vcpu, uint64_t generation)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	if (vmx_is_logging(vv) != atomic_load(&vv->vm->logs))
		vmx_log_switch(vv);
	vmx_tlb_renew(vv, vmx_cpu_of(vcpu->cpu), generation, ept_eptp(&vcpu->vm->s2));
}

static inline void enter_tlb(struct hc_vcpu *vcpu, struct vmx_vcpu *vv)
{
	uint64_t generation = hc_shootdown_enter(&vv->tlb, &vv->vm->tlb);

	if (__builtin_expect(vv->vpid_generation != vmx_cpu_of(vcpu->cpu)->generation ||
	                             hc_shootdown_due(&vv->tlb, generation),
	                     0))
		renew(vcpu, generation);
}

/* All groups but the core's are the hardware's again. */
static inline void leave_guest(struct hc_vcpu *vcpu, struct vmx_vcpu *vv, struct x86_state *st,
                               struct hc_exit *exit)
{
	hc_shootdown_leave(&vv->tlb);
	vcpu->valid = X86_G_CORE;
	vcpu->dirty = 0;
	exit->pc = st->rip = vv->rip = vmx_hw_read(VMCS_GUEST_RIP);
	st->gpr[X86_RSP] = vv->rsp = vmx_hw_read(VMCS_GUEST_RSP);
	st->rflags = vv->rflags = vmx_hw_read(VMCS_GUEST_RFLAGS);
	vv->interruptibility = (uint32_t)vmx_hw_read(VMCS_GUEST_INTERRUPTIBILITY);
}

/* The VMCS is as it was before the entry (27.8). */
static inline void not_entered(struct hc_vcpu *vcpu, struct vmx_vcpu *vv, struct hc_exit *exit)
{
	exit->pc = x86_state_of(vcpu)->rip;
	hc_shootdown_leave(&vv->tlb);
	vcpu->valid = X86_G_CORE;
	vcpu->dirty = 0;
}

/* Out of line, or the other exits would pay for its stack frame. */
static __attribute__((noinline)) void redeliver(struct hc_vcpu *vcpu, uint32_t reason,
                                                struct hc_exit *exit)
{
	vmx_redeliver(vmx_vcpu_of(vcpu), reason);
	vmx_decode_exit(vcpu, reason, exit);
}

static inline __attribute__((always_inline)) void run(struct hc_vcpu *vcpu, struct hc_exit *exit,
                                                      bool virtual_interrupts)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	struct x86_state *st = x86_state_of(vcpu);

	vmx_sync_rip(vv, st);
	if (__builtin_expect((vcpu->dirty & ~(uint32_t)X86_G_CORE) != 0, 0)) {
		if (!vmx_can_enter(vcpu)) {
			exit->reason = HC_EXIT_MODE;
			exit->pc = st->rip;
			return;
		}
		vmx_set_state(vcpu, vcpu->dirty);
		if (vcpu->dirty & X86_G_MSR)
			vmx_sync_apic_mode(vcpu);
	}
	sync_core(vv, st);
	if (!virtual_interrupts)
		sync_tpr(vcpu, vv);
	enter_tlb(vcpu, vv);

	int error = vmx_hw_enter(st->gpr, vv->launched);

	if (__builtin_expect(error != 0, 0)) {
		not_entered(vcpu, vv, exit);
		vmx_decode_failure(vcpu, error, exit);
		return;
	}
	uint32_t reason = (uint32_t)vmx_hw_read(VMCS_EXIT_REASON);

	if (__builtin_expect((reason & VMX_EXIT_REASON_ENTRY) != 0, 0)) {
		not_entered(vcpu, vv, exit);
		vmx_decode_exit(vcpu, reason, exit);
		return;
	}
	vv->launched = true;
	leave_guest(vcpu, vv, st, exit);
	if (__builtin_expect(vmx_may_redeliver(reason), 0)) {
		redeliver(vcpu, reason, exit);
		return;
	}
	vv->entry_info = 0;
	vmx_decode_exit(vcpu, reason, exit);
}

void vmx_run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	run(vcpu, exit, false);
}

void vmx_run_virtual(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	run(vcpu, exit, true);
}
