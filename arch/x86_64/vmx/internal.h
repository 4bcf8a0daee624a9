/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the VT-x backend share. */
#ifndef ARCH_X86_64_VMX_INTERNAL_H
#define ARCH_X86_64_VMX_INTERNAL_H

#include <hypercore/x86_state.h>

#include "arch/x86_64/host/cpu.h"
#include "arch/x86_64/host/fpu.h"
#include "arch/x86_64/vmx/caps.h"
#include "arch/x86_64/vmx/check.h"
#include "arch/x86_64/vmx/hw.h"
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/x86.h"
#include "core/sched.h"
#include "core/shootdown.h"

#define X86_CR4_VMXE HC_BIT(13)

/* A generation of VPIDs: its number, and in the low bits the CPU's, so that no two CPUs ever have
 * the same. No vCPU starts with a valid one: 0 is never used. */
#define VMX_GENERATION_STEP HC_BIT(16)

/* One physical CPU (hc_cpu.backend_data). VPIDs of an older generation are void. */
struct vmx_cpu {
	struct vmx_region *region; /* VMXON's */
	uint64_t generation;
	uint32_t next_vpid; /* next_vpid .. ffffh are free in this generation */
};

struct vmx_vm {
	uint8_t *io_bitmap;     /* A and B, two pages */
	uint8_t *msr_bitmap;    /* one page (25.6.9) */
	uint8_t *x2apic_bitmap; /* the same, of vCPUs in x2APIC mode; NULL without
	                         * vmx_caps.x2apic_registers */
	void *apic_access;  /* a page that stands for the local APICs by its address. NULL without
	                     * vmx_caps.apic_registers */
	unsigned unwatched; /* vCPUs in other modes than xAPIC; under the VM's memory lock */
	struct hc_shootdown tlb;
	_Atomic bool logs; /* vCPUs are to list the pages that they write: log.c */
};

struct vmx_vcpu {
	struct vmx_region *vmcs;
	hpa_t vmcs_pa;
	hpa_t posted;       /* struct x86_posted */
	hpa_t virtual_apic; /* the local APIC's page, where TPR shadow reads VTPR (30.1.1) */
	struct vmx_vm *vm;
	struct vmx_cpu *cpu;      /* where it ran last */
	uint64_t vpid_generation; /* its VPID is its own while this is its CPU's generation */
	struct hc_shootdown_vcpu tlb;
	bool made;      /* its VMCS was initialised: by the first load() */
	bool loaded;    /* between load() and put(): its VMCS is current */
	bool launched;  /* since it was cleared */
	bool unwatched; /* its CPU does not look out for accesses to the xAPIC's page */
	uint64_t cr0_mask, cr4_mask; /* guest/host masks, set by the first load() */
	/* What the VMCS holds, for fields that are often written with what they hold already. */
	uint64_t rip, rsp, rflags;
	uint32_t cpu_controls, cpu2_controls, entry_controls;
	uint64_t eoi_exits[4];     /* EOI_EXIT_BITMAP_0 to _3 */
	uint8_t tpr;               /* as of the last entry: the TPR threshold is its upper half */
	uint64_t apic_value;       /* of the APIC write that exited last */
	uint32_t interruptibility; /* as of the last exit, or as written since */
	uint32_t entry_info;       /* ENTRY_INTERRUPTION_INFO as it will be at the next entry */
	const struct vmx_rule *broken; /* by the entry that was refused last */
	uint32_t limit;                /* the slice, as the preemption timer counts */
	bool limited;                  /* it has been set, or has come to its end */
	/* Of page-modification logging: the list, which vCPUs on other CPUs take addresses from;
	 * NULL until there is a log. */
	_Atomic(uint64_t) *log;
	int enter_error; /* vmx_hw_enter()'s, of the entry that was refused last */
};

#define VMX_NO_LIMIT UINT32_MAX /* vmx_vcpu.limit: there is none */

#define VMX_SHADOW (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS)

static inline void vmx_set_interruptibility(struct vmx_vcpu *vv, uint32_t value)
{
	vv->interruptibility = value;
	vmx_hw_write(VMCS_GUEST_INTERRUPTIBILITY, value);
}

static inline struct vmx_vcpu *vmx_vcpu_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

static inline struct vmx_vm *vmx_vm_of(struct hc_vm *vm)
{
	return hc_vm_part(vm, &vmx_backend);
}

static inline struct vmx_cpu *vmx_cpu_of(struct hc_cpu *cpu)
{
	return cpu->backend_data;
}

/* What allocations a VM and a vCPU hold, of a VMCS in the state clear. 0, or -ENOMEM; nothing is
 * held then. virtual_apic is a page of the caller's, as is posted, at its start, or NULL. */
int vmx_vm_alloc(struct vmx_vm *vm);
void vmx_vm_free(struct vmx_vm *vm);
int vmx_vcpu_alloc(struct vmx_vcpu *vv, struct vmx_vm *vm, const void *virtual_apic,
                   const void *posted);
void vmx_vcpu_free(struct vmx_vcpu *vv);

/* caps.c */
/* The largest page of stage 2 (S2_PAGE_*). */
uint64_t vmx_ept_page(void);
/* The calling CPU has VT-x, and firmware lets it be used. 0, -ENODEV or -EPERM; *why is a constant.
 * An unlocked IA32_FEATURE_CONTROL is fine: vmx_cpu_enable() sets and locks it. */
int vmx_cpu_usable(const char **why);

/* cpu.c */
int vmx_probe(struct hc_backend_info *info);
int vmx_cpu_enable(struct hc_cpu *cpu);
void vmx_cpu_disable(struct hc_cpu *cpu);
/* data: a struct vmx_cpu. */
int vmx_cpu_switch_on(void *data, unsigned id);
void vmx_cpu_switch_off(void *data);

/* selftest.c: runs a small guest on the calling CPU, which is switched on. 0, -ENOMEM, or
 * -EOPNOTSUPP with *why a constant. */
int vmx_selftest(struct vmx_cpu *c, const char **why);

/* vmcs_init.c: everything that stays as it is while the vCPU lives, in the current VMCS; and what
 * depends on the CPU that it is to run on. */
void vmx_vmcs_init(struct vmx_vcpu *vv);
void vmx_vmcs_set_host(void);
/* All MSRs exit but those that the policy lets pass and that are switched with the guest. */
void vmx_msr_bitmap_init(uint8_t *bitmap, const struct x86_msr_policy *policy, unsigned count);

/* Where in an MSR bitmap those for writes begin (25.6.9). */
#define VMX_BITMAP_WRITES 0x800

/* apic.c. The first two: what allocations a VM holds, 0 or -ENOMEM, with the MSR bitmap filled in;
 * and the page that stands for the local APICs, in stage 2. */
int vmx_apic_alloc(struct vmx_vm *vm);
void vmx_apic_free(struct vmx_vm *vm);
int vmx_apic_map(struct s2 *s2, const struct vmx_vm *vm);
/* The local APIC may be in another mode than before. Between load() and put(); takes the VM's
 * memory lock, so not when the vCPU counts as in the guest. */
void vmx_sync_apic_mode(struct hc_vcpu *vcpu);
bool vmx_show_interrupts(struct hc_vcpu *vcpu);
/* Has interrupts posted, where the CPU delivers them: 0, or -ENOMEM. The other is harmless if that
 * failed. */
int vmx_apic_start(struct x86_apic *apic);
void vmx_apic_end(struct x86_apic *apic);
/* Part of put(): looks for notifications that may have met somebody else. */
void vmx_apic_put(struct hc_vcpu *vcpu);

/* timer.c */
bool vmx_limit(struct hc_vcpu *vcpu, uint64_t ns);
/* Writes what vmx_limit() was told before load(), of vcpu alone. */
void vmx_load_limit(struct vmx_vcpu *vv);
/* The exit: HC_EXIT_SLICE, or HC_EXIT_INTERRUPT if it was the watchdog's. */
void vmx_limit_reached(struct hc_vcpu *vcpu, struct hc_exit *exit);

/* Whether the CPU lists the pages that the vCPU writes. */
static inline bool vmx_is_logging(const struct vmx_vcpu *vv)
{
	return vv->cpu2_controls & VMX_CPU2_PML;
}

/* log.c: the backend's; before an entry that finds vmx_vm.logs changed; VMX_REASON_PML_FULL. */
int vmx_log_start(struct hc_vm *vm);
int vmx_log_collect(struct hc_vm *vm);
void vmx_log_stop(struct hc_vm *vm);
void vmx_log_switch(struct vmx_vcpu *vv);
void vmx_log_full(struct hc_vcpu *vcpu);

/* state.c */
void vmx_get_state(struct hc_vcpu *vcpu, uint32_t groups);
void vmx_set_state(struct hc_vcpu *vcpu, uint32_t groups);
/* Whether entries take the state: without unrestricted guest they want protection and paging, and
 * selectors' RPLs that go with descriptors' DPLs, as loading them would have made sure. */
bool vmx_can_enter(struct hc_vcpu *vcpu);
/* The same of a vCPU on another backend, which may also be one that is not to run (INIT). */
bool vmx_can_run(struct hc_vcpu *vcpu);
void vmx_load(struct hc_vcpu *vcpu);
void vmx_put(struct hc_vcpu *vcpu);
/* Brings the VMCS's RIP up to date. An instruction that was emulated ended the shadow of STI or
 * MOV SS that it stood in. */
static inline void vmx_sync_rip(struct vmx_vcpu *vv, const struct x86_state *st)
{
	if (vv->rip == st->rip)
		return;
	vv->rip = st->rip;
	vmx_hw_write(VMCS_GUEST_RIP, st->rip);
	if (__builtin_expect((vv->interruptibility & VMX_SHADOW) != 0, 0))
		vmx_set_interruptibility(vv, vv->interruptibility & ~(uint32_t)VMX_SHADOW);
}

/* Of a guest in a shadow: BS has to be pending just if the trap of TF is (27.3.1.5). */
void vmx_sync_pending_step(const struct x86_state *st);
/* Between the attributes of struct x86_segment and access rights. */
uint32_t vmx_access_rights(const struct x86_segment *s);
uint16_t vmx_segment_attr(uint32_t access_rights);

/* events.c */
int vmx_inject(struct hc_vcpu *vcpu, const struct x86_event *event);
void vmx_request_window(struct hc_vcpu *vcpu, bool nmi);
uint32_t vmx_event_encode(const struct x86_event *event); /* 0: not one that can be delivered */
void vmx_event_decode(uint32_t info, uint32_t error_code, struct x86_event *event);
/* X86_G_EVENT of get_state() and set_state(). */
void vmx_get_events(struct hc_vcpu *vcpu, struct x86_state *st);
void vmx_set_events(struct hc_vcpu *vcpu, struct x86_state *st);
/* NMIs are blocked again: the exit met an IRET that had unblocked them (28.2.3). */
void vmx_nmi_unblocked(struct vmx_vcpu *vv);
void vmx_close_window(struct vmx_vcpu *vv, bool nmi);
void vmx_redeliver(struct vmx_vcpu *vv, uint32_t reason);

/* Exits that can come in the middle of an event's delivery, of those below 64 (25.9.3). */
#define VMX_DURING_DELIVERY                                                                        \
	(HC_BIT(VMX_REASON_EXCEPTION_OR_NMI) | HC_BIT(VMX_REASON_TRIPLE_FAULT) |                   \
	 HC_BIT(VMX_REASON_TASK_SWITCH) | HC_BIT(VMX_REASON_APIC_ACCESS) |                         \
	 HC_BIT(VMX_REASON_VIRTUALIZED_EOI) | HC_BIT(VMX_REASON_APIC_WRITE) |                      \
	 HC_BIT(VMX_REASON_EPT_VIOLATION) | HC_BIT(VMX_REASON_EPT_MISCONFIGURATION) |              \
	 HC_BIT(VMX_REASON_PML_FULL))

/* Whether an exit for this reason, EXIT_REASON as read, may have cut the delivery of an event
 * short: then vmx_redeliver() comes before it is decoded. After others nothing is left to inject.
 */
static inline bool vmx_may_redeliver(uint32_t reason)
{
	return reason >= 64 || VMX_DURING_DELIVERY >> reason & 1;
}

/* run.c: run() where interrupts are injected, and where vmx_caps.virtual_interrupts. */
void vmx_run(struct hc_vcpu *vcpu, struct hc_exit *exit);
void vmx_run_virtual(struct hc_vcpu *vcpu, struct hc_exit *exit);

/* tlb.c */
void vmx_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size);
/* Before an entry that finds its VPID or its EPT translations out of date. */
void vmx_tlb_renew(struct vmx_vcpu *vv, struct vmx_cpu *cpu, uint64_t generation, uint64_t eptp);

/* exits.c. The members of struct vmx_vcpu, the neutral state's core group and exit->pc are those of
 * the exit; reason is EXIT_REASON as read. */
void vmx_decode_exit(struct hc_vcpu *vcpu, uint32_t reason, struct hc_exit *exit);
/* The entry itself failed: error is vmx_hw_enter()'s. */
void vmx_decode_failure(struct hc_vcpu *vcpu, int error, struct hc_exit *exit);
const char *vmx_exit_name(uint32_t reason);
/* After an exit for an external interrupt: has the host handle it, if the exit acknowledged it. */
void vmx_take_acknowledged(void);
void vmx_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size);

#endif
