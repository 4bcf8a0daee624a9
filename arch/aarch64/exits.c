/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of each exit, and what happens between exits: power, sleep, interrupts. */
#include <hypercore/errno.h>

#include "arch/aarch64/gic/gic.h"
#include "arch/aarch64/internal.h"
#include "core/log.h"

/* --- Between exits --- */

/* PSCI 5.6.2: CPU_ON's entry point is entered as after a reset, with the context in X0. */
static void start(struct hc_vcpu *vcpu)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);

	a64_vcpu_reset(vcpu);
	a->state.pc = a->start_pc;
	a->state.x[0] = a->start_context;
	atomic_store(&a->power, A64_POWER_ON);
}

static bool has_interrupt(struct hc_vcpu *vcpu)
{
	return a64_vcpu_of(vcpu)->gic && gic_has_interrupt(vcpu);
}

bool a64_has_event(struct hc_vcpu *vcpu)
{
	uint32_t power = atomic_load(&a64_vcpu_of(vcpu)->power);

	return power == A64_POWER_ON_PENDING || (power == A64_POWER_ON && has_interrupt(vcpu));
}

/* What halted the CPU may have been answered before it fell asleep. PSTATE does not matter to WFI
 * (Arm ARM D1.6.2). */
int a64_halt(struct hc_vcpu *vcpu)
{
	if (has_interrupt(vcpu) || (a64_timers_halt(vcpu) && has_interrupt(vcpu)))
		return HC_ACT_RESUME;
	a64_vcpu_of(vcpu)->halted = true;
	return HC_ACT_HALT;
}

/* What was listed for it goes elsewhere. */
static int stay_off(struct hc_vcpu *vcpu)
{
	if (a64_vcpu_of(vcpu)->gic)
		gic_before_entry(vcpu);
	return HC_ACT_HALT;
}

int a64_before_entry(struct hc_vcpu *vcpu)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);
	uint32_t power = atomic_load(&a->power);

	if (power == A64_POWER_ON_PENDING)
		start(vcpu);
	else if (power != A64_POWER_ON)
		return stay_off(vcpu);
	if (a->halted) {
		if (!has_interrupt(vcpu))
			return HC_ACT_HALT;
		a->halted = false;
		a64_timers_wake(vcpu);
	}
	if (a->gic)
		gic_before_entry(vcpu);
	return HC_ACT_RESUME;
}

/* --- Exits --- */

static int exit_halt(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	a64_skip(vcpu, exit->next_pc);
	return a64_halt(vcpu);
}

static int exit_undefined(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	a64_raise_undefined(vcpu);
	return HC_ACT_RESUME;
}

/* Nobody can tell whose fault it was; it came while the guest ran. */
static int exit_serror(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	uint64_t syndrome = exit->u.serror.syndrome;

	if (!vcpu->stats.exits[HC_EXIT_SERROR].count)
		hc_log(HC_LOG_WARN,
		       "vm %s: vcpu %u: SError %#llx at pc %#llx: the guest gets it, and later "
		       "ones",
		       vcpu->vm->name, vcpu->id, (unsigned long long)syndrome,
		       (unsigned long long)exit->pc);
	a64_raise_serror(vcpu, (uint32_t)hc_bits(syndrome, 24, 0));
	return HC_ACT_RESUME;
}

static int exit_refused(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	char why[128] = "";

	if (vcpu->backend->explain)
		vcpu->backend->explain(vcpu, exit, why, sizeof(why));
	hc_vm_fail(vcpu->vm, "vcpu %u: %s at pc %#llx: %s", vcpu->id,
	           hc_exit_reason_name(exit->reason), (unsigned long long)exit->pc, why);
	return HC_ACT_RESUME;
}

const hc_exit_handler a64_exit_handlers[HC_EXIT_REASON_COUNT] = {
	[HC_EXIT_HALT] = exit_halt,
	[HC_EXIT_STAGE2] = a64_exit_stage2,
	[HC_EXIT_BUS] = a64_exit_bus,
	[HC_EXIT_SYSREG] = a64_exit_sysreg,
	[HC_EXIT_HYPERCALL] = a64_exit_hypercall,
	[HC_EXIT_UNDEFINED] = exit_undefined,
	[HC_EXIT_SERROR] = exit_serror,
	[HC_EXIT_ENTRY_FAILED] = exit_refused,
	[HC_EXIT_UNKNOWN] = exit_refused,
};
