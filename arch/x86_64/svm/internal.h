/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the AMD-V backend share. */
#ifndef ARCH_X86_64_SVM_INTERNAL_H
#define ARCH_X86_64_SVM_INTERNAL_H

#include <hypercore/x86_state.h>

#include "arch/x86_64/host/cpu.h"
#include "arch/x86_64/host/fpu.h"
#include "arch/x86_64/svm/check.h"
#include "arch/x86_64/svm/hw.h"
#include "arch/x86_64/svm/svm.h"
#include "arch/x86_64/svm/vmcb.h"
#include "arch/x86_64/x86.h"
#include "core/sched.h"
#include "core/shootdown.h"

/* What the CPUs can do. Written by svm_probe(), the same on all CPUs. */
struct svm_caps {
	uint32_t rev;
	bool nrip, flush_by_asid, decode_assists, pause_filter, lbrv;
	bool tsc_aux, tsc_ratio;
	bool tcg; /* the CPU is QEMU's: see set_tr(), describe() and events.c */
	/* It is Bochs': a guest that was entered with RFLAGS.IF clear is not left for interrupts
	 * until it sets IF (selftest.c). So NMIs are wanted; see also events.c and exits.c. */
	bool bochs;
	uint8_t gpa_bits;
	struct svm_limits limits;
};

extern struct svm_caps svm_caps;

/* A generation of ASIDs: its number, and in the low bits the CPU's, so that no two CPUs ever have
 * the same. No vCPU starts with a valid one: 0 is never used. */
#define SVM_GENERATION_STEP HC_BIT(16)

/* One physical CPU (hc_cpu.backend_data). ASIDs of an older generation are void. */
struct svm_cpu {
	struct vmcb *host; /* VMSAVEd state of our own */
	hpa_t host_pa;
	void *save_area; /* VM_HSAVE_PA */
	uint64_t generation;
	uint64_t tsc_ratio; /* what MSR_TSC_RATIO holds, where there is one */
	uint32_t next_asid; /* next_asid .. asids - 1 are free in this generation */
};

struct svm_vm {
	uint8_t *iopm, *msrpm;
	struct hc_shootdown tlb;
};

/* How far the end of an NMI's masking has come (see events.c). */
struct svm_nmi {
	bool masked;   /* an NMI was delivered and its handler has not returned */
	bool iret;     /* the IRET at iret_rip is about to be executed */
	bool window;   /* HC_EXIT_WINDOW is wanted */
	bool step;     /* RFLAGS.TF is ours for one instruction */
	bool shadow;   /* ... which is in an interrupt shadow that VMRUN forgets */
	bool guest_tf; /* the guest's own RFLAGS.TF meanwhile */
	uint64_t iret_rip, step_rip;
};

struct svm_vcpu {
	struct vmcb *vmcb;
	hpa_t vmcb_pa;
	struct svm_vm *vm;
	struct svm_cpu *here;     /* between load() and put(): the CPU it is on */
	uint64_t asid_generation; /* vmcb->asid is ours while this is its CPU's generation */
	struct hc_shootdown_vcpu tlb;
	bool loaded;         /* between load() and put(): FPU, DR0..3 and TSC_AUX are in the CPU */
	bool track;          /* events.c has work at entries and exits */
	struct svm_cpu *cpu; /* where it ran last */
	struct svm_nmi nmi;
	uint64_t virtual_intr;         /* what the entry made a virtual interrupt of; 0: nothing */
	uint64_t virtual_rip;          /* where it should come */
	const struct svm_rule *broken; /* by the entry that was refused last */
};

static inline struct svm_vcpu *svm_vcpu_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

static inline struct svm_vm *svm_vm_of(struct hc_vm *vm)
{
	return hc_vm_part(vm, &svm_backend);
}

static inline struct svm_cpu *svm_cpu_of(struct hc_cpu *cpu)
{
	return cpu->backend_data;
}

static inline void svm_intercept(struct vmcb *vmcb, enum svm_intercept i, bool on)
{
	uint32_t *word = &vmcb->intercept[i / 32];
	uint32_t value = on ? *word | SVM_INTERCEPT_MASK(i) : *word & ~SVM_INTERCEPT_MASK(i);

	if (*word != value) {
		*word = value;
		vmcb->clean &= ~SVM_CLEAN_I;
	}
}

/* Brings the VMCB's RIP up to date. An instruction that was emulated ended the interrupt shadow
 * that it stood in (APM Vol. 2 15.21.5). */
static inline void svm_sync_rip(struct vmcb *vmcb, const struct x86_state *st)
{
	if (vmcb->rip != st->rip) {
		vmcb->rip = st->rip;
		vmcb->int_state = 0;
	}
}

/* probe.c */
int svm_probe(struct hc_backend_info *info);
int svm_cpu_enable(struct hc_cpu *cpu);
void svm_cpu_disable(struct hc_cpu *cpu);
/* The calling CPU has what svm_caps says. 0, -ENODEV, -EPERM or -EOPNOTSUPP; *why is a constant. */
int svm_cpu_usable(const char **why);
/* data: a struct svm_cpu. */
int svm_cpu_switch_on(void *data, unsigned id);
void svm_cpu_switch_off(void *data);

/* selftest.c: runs a small guest on the calling CPU, which is switched on, and finds out
 * svm_caps.bochs. 0, -ENOMEM, or -EOPNOTSUPP with *why a constant. */
int svm_selftest(struct svm_cpu *c, const char **why);

/* vmcb_init.c: intercepts and everything else that stays as it is while the vCPU lives. */
void svm_vmcb_init(struct vmcb *vmcb, hpa_t iopm, hpa_t msrpm);
/* Opens the map for the MSRs that the policy lets pass and that are switched with the guest. */
void svm_msrpm_init(uint8_t *msrpm, const struct x86_msr_policy *policy, unsigned count);
/* The 2 bits (read, write) of msr in a map, or -1 if it has none there. */
int svm_msrpm_bits(const uint8_t *msrpm, uint32_t msr);

/* state.c */
void svm_get_state(struct hc_vcpu *vcpu, uint32_t groups);
void svm_set_state(struct hc_vcpu *vcpu, uint32_t groups);
/* What fetching an instruction looks at, X86_G_CR and X86_G_CS, and marks it valid: the short way,
 * for the exit path of CPUs that do not save the next RIP. */
void svm_get_code_state(struct hc_vcpu *vcpu);
void svm_load(struct hc_vcpu *vcpu);
void svm_put(struct hc_vcpu *vcpu);

/* events.c */
int svm_inject(struct hc_vcpu *vcpu, const struct x86_event *event);
void svm_request_window(struct hc_vcpu *vcpu, bool nmi);
uint64_t svm_event_encode(const struct x86_event *event); /* 0: not one that can be delivered */
void svm_event_decode(uint64_t field, struct x86_event *event);
/* What to inject at the next entry after an exit interrupted the delivery of exitintinfo. */
uint64_t svm_event_again(uint64_t exitintinfo);
/* While sv->track: last thing before an entry; first thing after the exit was decoded, which it may
 * turn into another reason. */
void svm_events_enter(struct svm_vcpu *sv);
void svm_events_leave(struct hc_vcpu *vcpu, struct hc_exit *exit);
/* No more HC_EXIT_WINDOW for interrupts. */
void svm_close_window(struct vmcb *v);
/* IRET was intercepted. */
void svm_nmi_iret(struct svm_vcpu *sv);

/* run.c */
void svm_run(struct hc_vcpu *vcpu, struct hc_exit *exit);

/* tlb.c */
void svm_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size);
void svm_tlb_renew(struct svm_vcpu *sv, struct svm_cpu *cpu, uint64_t generation);
/* The entry was refused: whether the TLB was flushed is not known. */
void svm_tlb_forget(struct svm_cpu *cpu);

/* exits.c */
void svm_decode_exit(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit);
const char *svm_exit_name(uint64_t code);
void svm_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size);

#endif
