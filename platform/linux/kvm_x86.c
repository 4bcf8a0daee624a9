/* SPDX-License-Identifier: BSD-2-Clause */
/* The KVM backend for x86-64: entry, exits, and the table of its functions. */
#include <errno.h>
#include <string.h>
/* after the above */
#include "core/log.h"
#include "platform/linux/kvm.h"
#include "platform/linux/kvm_x86.h"

/* --- What the next KVM_RUN finishes --- */

/* RDMSR's result is what its handler left in RDX:RAX; WRMSR does not look at it. */
static void return_msr(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	const struct x86_state *s = x86_state_of(vcpu);

	kv->run->msr.error = 0;
	kv->run->msr.data = s->gpr[X86_RDX] << 32 | (uint32_t)s->gpr[X86_RAX];
	kv->pending = KVM_PENDING_NONE;
}

/* The handler carried the instruction out, rather than raising an exception. */
static bool msr_is_done(struct hc_vcpu *vcpu)
{
	return vcpu->dirty & X86_G_CORE &&
	       x86_state_of(vcpu)->rip == kvm_x86_of(kvm_vcpu_of(vcpu))->msr_next_pc;
}

/* KVM's completion is all that is left of it: nothing else is to be set. After a single step it is
 * not, for that is in DR6: KVM's own trap has to go. */
static bool msr_is_plain(struct hc_vcpu *vcpu)
{
	return vcpu->dirty == X86_G_CORE && msr_is_done(vcpu);
}

/* The neutral registers win over what KVM makes of the instruction, which cannot be taken back
 * otherwise. Only the instruction's length is KVM's to know. */
static void settle_msr(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	struct x86_state *s = x86_state_of(vcpu);
	bool is_done = msr_is_done(vcpu), is_plain = msr_is_plain(vcpu);

	return_msr(vcpu);
	int rc = kvm_finish(vcpu);

	if (rc && rc != -EINTR)
		kvm_refuse(kv, "KVM_RUN", rc);
	kv->stashed = !rc;
	if (is_done)
		s->rip = kv->run->s.regs.regs.rip;
	if (!is_plain)
		kvm_x86_store(vcpu, X86_G_CORE);
	vcpu->dirty &= ~(uint32_t)X86_G_CORE;
}

void kvm_x86_settle(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	switch (kv->pending) {
	case KVM_PENDING_BUS:
		kvm_settle_bus(vcpu);
		if (!(vcpu->dirty & X86_G_CORE))
			kvm_x86_from_regs(x86_state_of(vcpu), &kv->run->s.regs.regs);
		break;
	case KVM_PENDING_MSR: settle_msr(vcpu); break;
	case KVM_PENDING_NONE:
	default: break;
	}
}

/* --- Entry --- */

/* What the last exit's handler leaves for KVM. False: the string instruction goes on. */
static bool hand_back(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	if (kv->pending == KVM_PENDING_MSR && msr_is_plain(vcpu)) {
		return_msr(vcpu);
		vcpu->dirty = 0;
	}
	if (kv->pending == KVM_PENDING_MSR || (kv->pending && vcpu->dirty))
		kvm_x86_settle(vcpu);
	if (kv->pending != KVM_PENDING_BUS)
		return true;
	kvm_bus_return(kv);
	return !kvm_bus_next(kv);
}

/* The core's registers go and come in kvm_run. A vCPU all of whose state is new comes from another
 * backend, on which the guest may have changed its tables. */
static void flush(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	uint32_t rest = vcpu->dirty & X86_G_ALL & ~(uint32_t)X86_G_CORE;

	if (kvm_x86_of(kv)->was_entered && (vcpu->dirty & X86_G_ALL) == X86_G_ALL)
		kvm_x86_forget_translations(vcpu);
	if (rest || kvm_x86_of(kv)->apic_base != x86_vcpu_of(vcpu)->apic.base)
		kvm_x86_store(vcpu, rest);
	kv->run->kvm_dirty_regs = 0;
	if (vcpu->dirty & X86_G_CORE) {
		kvm_x86_to_regs(&kv->run->s.regs.regs, x86_state_of(vcpu));
		kv->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	}
}

static bool prepare(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	kvm_x86_set_up(vcpu);
	if (!kvm_sync_memory(vcpu))
		return false;
	if (!kv->stashed)
		flush(vcpu);
	kv->run->cr8 = x86_apic_cr8(vcpu);
	return !kv->is_refused;
}

/* The window may open by whatever exit there is, rather than by one of its own. */
static void leave(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	kvm_x86_of(kv)->was_entered = true;
	kvm_x86_of(kv)->touched = kvm_x86_of(kv)->sregs_valid = false;
	vcpu->valid = X86_G_CORE;
	vcpu->dirty = 0;
	kvm_x86_from_regs(x86_state_of(vcpu), &kv->run->s.regs.regs);
	if (kv->run->cr8 != x86_apic_cr8(vcpu))
		x86_apic_set_cr8(vcpu, (unsigned)kv->run->cr8);
	if (kvm_x86_of(kv)->nmi_waits ||
	    (kv->run->request_interrupt_window && kv->run->ready_for_interrupt_injection)) {
		kvm_x86_of(kv)->nmi_waits = false;
		kv->run->request_interrupt_window = 0;
		x86_request_event(vcpu);
	}
}

/* --- Exits --- */

typedef void (*decode_fn)(struct kvm_vcpu *kv, struct hc_exit *exit);

static void decode_bus(struct kvm_vcpu *kv, struct hc_exit *exit)
{
	kvm_bus_exit(kv, exit);
}

/* Two bytes, unless there are prefixes: settle_msr() knows. */
static void decode_msr(struct kvm_vcpu *kv, struct hc_exit *exit)
{
	kv->pending = KVM_PENDING_MSR;
	exit->next_pc = kvm_x86_of(kv)->msr_next_pc = exit->pc + 2;
	exit->u.word = kv->run->msr.index;
}

static void decode_window(struct kvm_vcpu *kv, struct hc_exit *exit)
{
	kv->run->request_interrupt_window = 0;
}

static void decode_raw(struct kvm_vcpu *kv, struct hc_exit *exit)
{
	exit->u.raw.code = kv->run->exit_reason;
	exit->u.raw.info1 = kv->run->hw.hardware_exit_reason;
	exit->u.raw.info2 = 0;
	hc_snprintf(kv->failure, sizeof(kv->failure), "KVM exit reason %u, %#llx",
	            kv->run->exit_reason, kv->run->hw.hardware_exit_reason);
}

static void decode_fail_entry(struct kvm_vcpu *kv, struct hc_exit *exit)
{
	unsigned long long reason = kv->run->fail_entry.hardware_entry_failure_reason;

	exit->u.raw.code = kv->run->exit_reason;
	exit->u.raw.info1 = reason;
	exit->u.raw.info2 = 0;
	hc_snprintf(kv->failure, sizeof(kv->failure), "KVM_EXIT_FAIL_ENTRY: hardware reason %#llx",
	            reason);
}

static const char *const suberrors[] = {
	[KVM_INTERNAL_ERROR_EMULATION] = "instruction not emulated",
	[KVM_INTERNAL_ERROR_SIMUL_EX] = "exceptions at the same time",
	[KVM_INTERNAL_ERROR_DELIVERY_EV] = "exit during the delivery of an event",
	[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "unexpected exit of the hardware",
};

/* Emulation failures come with the instruction's bytes, since Linux 5.14. */
static void append_bytes(struct kvm_vcpu *kv)
{
	const struct kvm_run *run = kv->run;
	size_t len = strlen(kv->failure);

	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || run->internal.ndata < 1 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	for (unsigned i = 0; i < run->emulation_failure.insn_size && i < 15; i++, len += 3)
		if (len + 4 <= sizeof(kv->failure))
			hc_snprintf(kv->failure + len, sizeof(kv->failure) - len, " %02x",
			            run->emulation_failure.insn_bytes[i]);
}

static void decode_internal(struct kvm_vcpu *kv, struct hc_exit *exit)
{
	const struct kvm_run *run = kv->run;
	unsigned sub = run->internal.suberror;
	const char *name = sub < HC_ARRAY_SIZE(suberrors) ? suberrors[sub] : NULL;

	exit->u.raw.code = run->exit_reason;
	exit->u.raw.info1 = sub;
	exit->u.raw.info2 = run->internal.ndata ? run->internal.data[0] : 0;
	hc_snprintf(kv->failure, sizeof(kv->failure), "KVM_EXIT_INTERNAL_ERROR %u: %s", sub,
	            name ? name : "not known");
	append_bytes(kv);
}

/* HLT: KVM has moved RIP on. SET_TPR: interrupts that the priority held back may come. */
static const struct {
	decode_fn decode;
	enum hc_exit_reason reason;
} rows[] = {
	[KVM_EXIT_IO] = { decode_bus, HC_EXIT_BUS },
	[KVM_EXIT_MMIO] = { decode_bus, HC_EXIT_BUS },
	[KVM_EXIT_HLT] = { NULL, HC_EXIT_HALT },
	[KVM_EXIT_INTR] = { NULL, HC_EXIT_INTERRUPT },
	[KVM_EXIT_IRQ_WINDOW_OPEN] = { decode_window, HC_EXIT_WINDOW },
	[KVM_EXIT_SET_TPR] = { NULL, HC_EXIT_WINDOW },
	[KVM_EXIT_SHUTDOWN] = { NULL, HC_EXIT_SHUTDOWN },
	[KVM_EXIT_X86_RDMSR] = { decode_msr, HC_EXIT_MSR_READ },
	[KVM_EXIT_X86_WRMSR] = { decode_msr, HC_EXIT_MSR_WRITE },
	[KVM_EXIT_FAIL_ENTRY] = { decode_fail_entry, HC_EXIT_ENTRY_FAILED },
	[KVM_EXIT_INTERNAL_ERROR] = { decode_internal, HC_EXIT_UNKNOWN },
	[KVM_EXIT_UNKNOWN] = { decode_raw, HC_EXIT_UNKNOWN },
};

/* Reasons without a row have HC_EXIT_INTERRUPT, which is 0, and no function. */
static void decode(struct kvm_vcpu *kv, struct hc_exit *exit)
{
	unsigned code = kv->run->exit_reason;

	exit->pc = exit->next_pc = kv->run->s.regs.regs.rip;
	exit->u.word = 0;
	kv->element = 0;
	if (code >= HC_ARRAY_SIZE(rows) ||
	    (!rows[code].reason && !rows[code].decode && code != KVM_EXIT_INTR)) {
		exit->reason = HC_EXIT_UNKNOWN;
		decode_raw(kv, exit);
		return;
	}
	exit->reason = rows[code].reason;
	if (rows[code].decode)
		rows[code].decode(kv, exit);
}

_Static_assert(HC_EXIT_INTERRUPT == 0, "what decode() takes an empty row for");

static void refuse(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	kv->is_refused = false;
	exit->reason = HC_EXIT_ENTRY_FAILED;
	exit->pc = exit->next_pc = x86_state_of(vcpu)->rip;
	exit->u.raw.code = exit->u.raw.info1 = exit->u.raw.info2 = 0;
}

static void enter(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	int rc = kv->stashed ? 0 : kvm_enter(vcpu);

	kv->stashed = false;
	if (rc && rc != -EINTR) {
		kvm_refuse(kv, "KVM_RUN", rc);
		refuse(vcpu, exit);
		return;
	}
	leave(vcpu);
	if (rc) {
		exit->reason = HC_EXIT_INTERRUPT;
		exit->pc = exit->next_pc = kv->run->s.regs.regs.rip;
		exit->u.word = 0;
		return;
	}
	decode(kv, exit);
}

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	if (!hand_back(vcpu)) {
		kvm_bus_exit(kv, exit);
		exit->pc = exit->next_pc = kv->run->s.regs.regs.rip;
	} else if (prepare(vcpu)) {
		enter(vcpu, exit);
	} else {
		refuse(vcpu, exit);
	}
}

/* --- The rest of the table --- */

static int vm_create(struct hc_vm *vm)
{
	int rc = kvm_vm_create(vm, 0);

	if (rc)
		return rc;
	rc = kvm_x86_prepare(kvm_vm_of(vm)->fd);
	if (rc) {
		kvm_vm_destroy(vm);
		return hc_error(rc, "kvm: VM %s: KVM does not take its settings: %s", vm->name,
		                strerror(-rc));
	}
	return 0;
}

static int vcpu_create(struct hc_vcpu *vcpu)
{
	int rc = kvm_vcpu_create(vcpu, sizeof(struct kvm_x86_vcpu));

	if (rc)
		return rc;
	rc = kvm_x86_set_tsc_rate(vcpu);
	if (rc)
		kvm_vcpu_destroy(vcpu);
	return rc;
}

static void put(struct hc_vcpu *vcpu)
{
	kvm_put(vcpu);
	kvm_x86_take_nmi_back(vcpu);
}

/* An MSR access in the middle has changed nothing but what its handler made dirty, and that handler
 * may still be asking: it is finished later. */
static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	if (kvm_vcpu_of(vcpu)->pending == KVM_PENDING_BUS)
		kvm_x86_settle(vcpu);
	kvm_x86_fetch(vcpu, groups & ~vcpu->dirty);
}

static void set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	kvm_x86_settle(vcpu);
	kvm_x86_set_up(vcpu);
	kvm_x86_store(vcpu, groups);
}

const struct hc_backend_ops kvm_backend = {
	KVM_COMMON_OPS,
	.isa = HC_ISA_X86_64,
	.cpuid = kvm_x86_cpuid,
	.tsc_ratio = kvm_x86_tsc_ratio,
	.probe = kvm_x86_probe,
	.vm_create = vm_create,
	.vcpu_create = vcpu_create,
	.load = kvm_load,
	.put = put,
	.run = run,
	.get_state = get_state,
	.set_state = set_state,
	.inject = kvm_x86_inject,
	.request_window = kvm_x86_request_window,
	.log_start = kvm_log_start,
	.log_collect = kvm_log_collect,
	.log_stop = kvm_log_stop,
};
