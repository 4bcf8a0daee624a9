/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the KVM backend for x86-64 share. */
#ifndef PLATFORM_LINUX_KVM_X86_H
#define PLATFORM_LINUX_KVM_X86_H

#include "arch/x86_64/x86.h"
#include "platform/linux/kvm_internal.h"

struct kvm_x86_vcpu {
	struct kvm_vcpu kv; /* first */
	bool is_set_up;     /* CPUID was given to KVM */
	uint64_t msr_next_pc;
	bool was_entered;
	bool touched;    /* events or registers were set after KVM_RUN: its flags are old */
	bool nmi_queued; /* KVM may hold an NMI that the guest has not taken */
	bool nmi_waits;  /* another one waits until KVM can take it */
	uint64_t apic_base, debugctl; /* as KVM has them */
	struct kvm_sregs sregs;
	bool sregs_valid; /* fetched or set since KVM_RUN */
};

static inline struct kvm_x86_vcpu *kvm_x86_of(struct kvm_vcpu *kv)
{
	return HC_CONTAINER_OF(kv, struct kvm_x86_vcpu, kv);
}

/* --- kvm_x86_setup.c --- */

int kvm_x86_probe(struct hc_backend_info *info);

/* KVM_GET_SUPPORTED_CPUID's answer; zeros where there is none. After probe. */
void kvm_x86_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* kvm_x86_tsc.c: of the backend's functions; what a new vCPU of a VM with a rate has to be told
 * (KVM's error). */
int kvm_x86_tsc_ratio(uint64_t hz, uint64_t *ratio);
int kvm_x86_set_tsc_rate(struct hc_vcpu *vcpu);
/* The factor by which a KVM of a host of that rate has guests' TSCs run at khz, if it counts with
 * so many bits behind the point and does nothing about ppm parts per million. */
uint64_t kvm_x86_tsc_factor(uint64_t khz, uint64_t host_khz, unsigned bits, uint64_t ppm);

/* State components that KVM's XSAVE has. */
uint64_t kvm_x86_xcr0(void);

/* Does the CPU walk the guest's tables itself (EPT, NPT), or does KVM keep shadows of them? */
bool kvm_x86_has_nested_paging(void);

/* What every VM's file wants before it gets a vCPU: places for Intel's real mode, exits for the
 * MSRs that are ours. 0 or KVM's error. */
int kvm_x86_prepare(int vm_fd);

/* Gives KVM the VM's CPUID table, which is complete only when all vCPUs were made. A failure is
 * kvm_refuse()'s. */
void kvm_x86_set_up(struct hc_vcpu *vcpu);

/* --- kvm_x86_state.c --- */

/* Registers from and to KVM's format. */
void kvm_x86_from_regs(struct x86_state *st, const struct kvm_regs *regs);
void kvm_x86_to_regs(struct kvm_regs *regs, const struct x86_state *st);

/* Between the neutral state and KVM, whatever is pending: hc_backend_ops less the settling. Errors
 * are kvm_refuse()'s. */
void kvm_x86_fetch(struct hc_vcpu *vcpu, uint32_t groups);
void kvm_x86_store(struct hc_vcpu *vcpu, uint32_t groups);

/* Makes KVM forget the vCPU's translations. The control registers have to be stored after it. */
void kvm_x86_forget_translations(struct hc_vcpu *vcpu);

/* --- kvm_x86_events.c --- */

void kvm_x86_get_events(struct kvm_vcpu *kv, struct x86_events *ev);
void kvm_x86_set_events(struct hc_vcpu *vcpu, const struct x86_state *st);
int kvm_x86_inject(struct hc_vcpu *vcpu, const struct x86_event *event);
void kvm_x86_request_window(struct hc_vcpu *vcpu, bool nmi);

/* An NMI that KVM still holds becomes the local APIC's again. */
void kvm_x86_take_nmi_back(struct hc_vcpu *vcpu);

/* --- kvm_x86.c --- */

/* Finishes what is pending, so that state and events can be looked at and changed. */
void kvm_x86_settle(struct hc_vcpu *vcpu);

#endif
