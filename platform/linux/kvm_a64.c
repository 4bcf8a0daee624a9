/* SPDX-License-Identifier: BSD-2-Clause */
/* The KVM backend for arm64: entry, exits, and the table of its functions. */
#include <errno.h>
#include <string.h>
/* after the above */
#include "arch/aarch64/gic/gic.h"
#include "core/log.h"
#include "platform/linux/kvm.h"
#include "platform/linux/kvm_a64.h"

#define PSCI_SYSTEM_OFF   0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u

/* --- What the next KVM_RUN finishes --- */

/* Nothing answered: the guest gets an external abort, whose address KVM still has, in place of the
 * access. Kernels before 6.13 would finish the access nevertheless if this is still its exit. */
static void abort_bus(struct kvm_vcpu *kv)
{
	struct kvm_vcpu_events e = { .exception.ext_dabt_pending = 1 };
	int rc = kvm_ioctl(kv->fd, KVM_SET_VCPU_EVENTS, &e);

	if (rc)
		kvm_refuse(kv, "KVM_SET_VCPU_EVENTS", rc);
	kv->run->exit_reason = KVM_EXIT_UNKNOWN;
	kv->pending = KVM_PENDING_NONE;
}

/* The abort is in the registers only when KVM_RUN has been entered. */
static void settle_abort(struct hc_vcpu *vcpu)
{
	abort_bus(kvm_vcpu_of(vcpu));
	int rc = kvm_finish(vcpu);

	if (rc != -EINTR)
		kvm_refuse(kvm_vcpu_of(vcpu), "KVM_RUN", rc);
}

static void settle(struct hc_vcpu *vcpu)
{
	const struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	if (kv->pending != KVM_PENDING_BUS)
		return;
	if (kv->is_missed)
		settle_abort(vcpu);
	else
		kvm_settle_bus(vcpu);
	kvm_a64_of(vcpu)->core_known = false;
}

/* KVM finishes the access with the registers that it has: new ones have to wait for that. */
static void hand_back(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	if (kv->pending == KVM_PENDING_BUS && vcpu->dirty & ~KVM_A64_NEUTRAL)
		settle(vcpu);
	if (kv->pending == KVM_PENDING_BUS && kv->is_missed)
		abort_bus(kv);
	else if (kv->pending == KVM_PENDING_BUS)
		kvm_bus_return(kv);
}

/* --- Interrupts --- */

static int set_line(struct hc_vcpu *vcpu, unsigned number, bool level)
{
	struct kvm_irq_level line = {
		.irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT |
		       vcpu->id << KVM_ARM_IRQ_VCPU_SHIFT | number,
		.level = level,
	};

	return kvm_ioctl(kvm_vm_of(vcpu->vm)->fd, KVM_IRQ_LINE, &line);
}

/* What the CPU interface shows. KVM keeps the two inputs of the CPU as they were set. */
static void show_outputs(struct hc_vcpu *vcpu)
{
	static const struct {
		unsigned output, number;
	} lines[] = { { GIC_OUTPUT_IRQ, KVM_ARM_IRQ_CPU_IRQ },
		      { GIC_OUTPUT_FIQ, KVM_ARM_IRQ_CPU_FIQ } };
	struct kvm_a64_vcpu *ka = kvm_a64_of(vcpu);
	unsigned now = gic_outputs(vcpu);
	int rc = 0;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(lines) && !rc; i++)
		if ((now ^ ka->outputs) & lines[i].output)
			rc = set_line(vcpu, lines[i].number, now & lines[i].output);
	if (rc)
		kvm_refuse(&ka->kv, "KVM_IRQ_LINE", rc);
	ka->outputs = now;
}

/* KVM leaves the guest when one of its timers' levels is not what it last told us. */
static void take_levels(struct hc_vcpu *vcpu)
{
	static const struct {
		uint64_t level;
		unsigned intid;
	} timers[] = { { KVM_ARM_DEV_EL1_VTIMER, A64_PPI_VTIMER },
		       { KVM_ARM_DEV_EL1_PTIMER, A64_PPI_PTIMER } };
	struct kvm_a64_vcpu *ka = kvm_a64_of(vcpu);
	uint64_t now = ka->kv.run->s.regs.device_irq_level;
	uint64_t changed = ka->levels_known ? now ^ ka->levels : UINT64_MAX;

	ka->levels_known = true;
	ka->levels = now;
	if (!a64_vcpu_of(vcpu)->gic)
		return;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(timers); i++)
		if (changed & timers[i].level)
			gic_set_ppi(vcpu, timers[i].intid, now & timers[i].level, false);
}

/* --- Exits --- */

/* Most exits need no registers, not even PC: each would be a system call. */
static void need_core(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	hc_vcpu_need(vcpu, A64_G_CORE);
	exit->pc = exit->next_pc = a64_state_of(vcpu)->pc;
}

static void decode_interrupt(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	exit->reason = HC_EXIT_INTERRUPT;
}

static void decode_bus(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	kvm_bus_exit(kvm_vcpu_of(vcpu), exit);
}

/* An access that the CPU did not describe: PC is still that of the instruction. */
static void decode_undescribed(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct kvm_run *run = kvm_vcpu_of(vcpu)->run;

	need_core(vcpu, exit);
	exit->reason = HC_EXIT_STAGE2;
	memset(&exit->u.stage2, 0, sizeof(exit->u.stage2));
	exit->u.stage2.gpa = gpa_of(run->arm_nisv.fault_ipa);
	exit->u.stage2.access =
		run->arm_nisv.esr_iss & A64_ISS_WNR ? HC_ACCESS_WRITE : HC_ACCESS_READ;
}

/* PC is behind the instruction, also of an SMC, which KVM has taken care of. */
static void decode_call(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	need_core(vcpu, exit);
	exit->reason = HC_EXIT_HYPERCALL;
	exit->pc = exit->next_pc - 4;
	exit->u.call.immediate = 0;
}

static void decode_raw(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	need_core(vcpu, exit);
	exit->reason = HC_EXIT_UNKNOWN;
	exit->u.raw.code = kv->run->exit_reason;
	exit->u.raw.info1 = kv->run->hw.hardware_exit_reason;
	exit->u.raw.info2 = 0;
	hc_snprintf(kv->failure, sizeof(kv->failure), "KVM exit reason %u, %#llx",
	            kv->run->exit_reason, kv->run->hw.hardware_exit_reason);
}

/* KVM's own PSCI was called for the machine's end: the call is made once more, to ours. */
static void decode_system(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	unsigned type = kvm_vcpu_of(vcpu)->run->system_event.type;

	if (type != KVM_SYSTEM_EVENT_SHUTDOWN && type != KVM_SYSTEM_EVENT_RESET) {
		decode_raw(vcpu, exit);
		return;
	}
	decode_call(vcpu, exit);
	a64_state_of(vcpu)->x[0] =
		type == KVM_SYSTEM_EVENT_RESET ? PSCI_SYSTEM_RESET : PSCI_SYSTEM_OFF;
}

static void decode_fail_entry(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	unsigned long long reason = kv->run->fail_entry.hardware_entry_failure_reason;

	decode_raw(vcpu, exit);
	exit->reason = HC_EXIT_ENTRY_FAILED;
	exit->u.raw.info1 = reason;
	hc_snprintf(kv->failure, sizeof(kv->failure), "KVM_EXIT_FAIL_ENTRY: hardware reason %#llx",
	            reason);
}

static void decode_internal(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	decode_raw(vcpu, exit);
	exit->u.raw.info1 = kv->run->internal.suberror;
	hc_snprintf(kv->failure, sizeof(kv->failure), "KVM_EXIT_INTERNAL_ERROR %u",
	            kv->run->internal.suberror);
}

static void (*const decoders[])(struct hc_vcpu *vcpu, struct hc_exit *exit) = {
	[KVM_EXIT_INTR] = decode_interrupt,          [KVM_EXIT_MMIO] = decode_bus,
	[KVM_EXIT_ARM_NISV] = decode_undescribed,    [KVM_EXIT_HYPERCALL] = decode_call,
	[KVM_EXIT_SYSTEM_EVENT] = decode_system,     [KVM_EXIT_FAIL_ENTRY] = decode_fail_entry,
	[KVM_EXIT_INTERNAL_ERROR] = decode_internal,
};

static void decode(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	unsigned code = kvm_vcpu_of(vcpu)->run->exit_reason;

	exit->u.word = 0;
	exit->pc = exit->next_pc = 0;
	if (code < HC_ARRAY_SIZE(decoders) && decoders[code])
		decoders[code](vcpu, exit);
	else
		decode_raw(vcpu, exit);
}

/* --- Entry --- */

/* What of the ID registers' policy KVM takes: all KVMs hide some more of the CPU by themselves, and
 * from Linux 6.7 on they can be told more. What it does not take stays as it shows it. */
static void set_up(struct hc_vcpu *vcpu)
{
	struct kvm_a64_vcpu *ka = kvm_a64_of(vcpu);
	const uint64_t *id = a64_vm_of(vcpu->vm)->id;

	if (ka->is_set_up)
		return;
	ka->is_set_up = true;
	for (unsigned i = 0; i < A64_ID_COUNT; i++) {
		uint32_t number = A64_SYSREG(3, 0, 0, 1 + i / 8, i % 8);
		uint64_t value;

		if (kvm_a64_get_reg(ka->kv.fd, KVM_A64_SYSREG(number), &value) || value == id[i])
			continue;
		int rc = kvm_a64_set_reg(ka->kv.fd, KVM_A64_SYSREG(number), &id[i]);

		if (rc && !vcpu->id)
			hc_log(HC_LOG_DEBUG, "kvm: ID register %#x stays %#llx, wanted %#llx",
			       number, (unsigned long long)value, (unsigned long long)id[i]);
	}
}

static bool prepare(struct hc_vcpu *vcpu)
{
	set_up(vcpu);
	if (!kvm_sync_memory(vcpu))
		return false;
	if (vcpu->dirty & ~KVM_A64_NEUTRAL)
		kvm_a64_store(vcpu, vcpu->dirty & A64_G_ALL);
	vcpu->dirty = 0;
	show_outputs(vcpu);
	return !kvm_vcpu_of(vcpu)->is_refused;
}

static void refuse(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	kvm_vcpu_of(vcpu)->is_refused = false;
	exit->reason = HC_EXIT_ENTRY_FAILED;
	exit->u.raw.code = exit->u.raw.info1 = exit->u.raw.info2 = 0;
	need_core(vcpu, exit);
}

/* Also after a KVM_RUN that was interrupted: a timer may have been what did it. */
static void leave(struct hc_vcpu *vcpu)
{
	vcpu->valid = KVM_A64_NEUTRAL;
	vcpu->dirty = 0;
	kvm_a64_of(vcpu)->core_known = false;
	take_levels(vcpu);
}

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	int rc = 0;

	hand_back(vcpu);
	if (!prepare(vcpu)) {
		refuse(vcpu, exit);
		return;
	}
	if (!kv->stashed)
		rc = kvm_enter(vcpu);
	kv->stashed = false;
	if (rc && rc != -EINTR) {
		kvm_refuse(kv, "KVM_RUN", rc);
		refuse(vcpu, exit);
		return;
	}
	leave(vcpu);
	if (rc)
		kv->run->exit_reason = KVM_EXIT_INTR;
	decode(vcpu, exit);
}

/* --- The rest of the table --- */

/* Something else may have stood in for the timers meanwhile. */
static void load(struct hc_vcpu *vcpu)
{
	kvm_a64_of(vcpu)->levels_known = false;
	kvm_load(vcpu);
}

static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	settle(vcpu);
	kvm_a64_fetch(vcpu, groups & ~vcpu->dirty);
}

static void set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	settle(vcpu);
	set_up(vcpu);
	kvm_a64_store(vcpu, groups);
}

const struct hc_backend_ops kvm_backend = {
	KVM_COMMON_OPS,
	.isa = HC_ISA_AARCH64,
	.probe = kvm_a64_probe,
	.vm_create = kvm_a64_vm_create,
	.vcpu_create = kvm_a64_vcpu_create,
	.load = load,
	.put = kvm_put,
	.run = run,
	.get_state = get_state,
	.set_state = set_state,
	.log_start = kvm_log_start,
	.log_collect = kvm_log_collect,
	.log_stop = kvm_log_stop,
};
