/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of the guest to its firmware, by HVC or SMC: the calling convention of DEN 0028 (SMCCC) and
 * PSCI, DEN 0022. Number in W0, arguments in X1 to X3, the result in X0; all else is kept.
 */
#include <hypercore/errno.h>

#include "arch/aarch64/gic/gic.h"
#include "arch/aarch64/internal.h"

#define SMCCC_VERSION 0x10001u /* 1.1 */
#define PSCI_VERSION  0x10001u /* 1.1 */
#define PSCI_NO_TOS   2u       /* MIGRATE_INFO_TYPE: nothing to migrate */
#define CALL_64       (1u << 30)
#define RESET_VENDOR  (1u << 31)
#define NOT_SUPPORTED (-1)
#define NOT_REQUIRED  1

enum psci_result {
	PSCI_SUCCESS = 0,
	PSCI_NOT_SUPPORTED = -1,
	PSCI_INVALID_PARAMETERS = -2,
	PSCI_ALREADY_ON = -4,
	PSCI_ON_PENDING = -5,
	PSCI_INVALID_ADDRESS = -9
};

struct call {
	uint32_t number;
	uint64_t arg[3];
	int64_t result;
	int action; /* enum hc_action */
};

struct function {
	uint32_t number;
	bool has_64; /* its SMC64 twin is there too */
	void (*fn)(struct hc_vcpu *vcpu, struct call *call);
};

/* --- PSCI --- */

static void psci_version(struct hc_vcpu *vcpu, struct call *call)
{
	call->result = PSCI_VERSION;
}

/* 5.1.2: [16] power down, [25:24] level, [15:0] the platform's; the rest must be 0. To come back
 * with everything kept is always allowed (5.4.2), so a power-down request is a long WFI as well. */
static void cpu_suspend(struct hc_vcpu *vcpu, struct call *call)
{
	if ((uint32_t)call->arg[0] & 0xfcfe0000u) {
		call->result = PSCI_INVALID_PARAMETERS;
		return;
	}
	call->result = PSCI_SUCCESS;
	call->action = a64_halt(vcpu);
}

static void cpu_off(struct hc_vcpu *vcpu, struct call *call)
{
	a64_timers_reset(vcpu);
	atomic_store(&a64_vcpu_of(vcpu)->power, A64_POWER_OFF);
	call->action = HC_ACT_HALT;
}

static struct a64_vcpu *find_cpu(struct hc_vm *vm, uint64_t affinity)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		if (a64_affinity(i) == affinity)
			return a64_vcpu_of(vm->vcpus[i]);
	return NULL;
}

/* Instructions are fetched from RAM, and lie at multiples of four. */
static bool is_entry(struct hc_vm *vm, uint64_t pc)
{
	return pc % 4 == 0 && hc_mem_ptr(vm, gpa_of(pc), 4, false);
}

/* Of those that call at the same time, one is first. */
static int64_t switch_on(struct a64_vcpu *target, uint64_t pc, uint64_t context)
{
	uint32_t power = A64_POWER_OFF;

	if (!atomic_compare_exchange_strong(&target->power, &power, A64_POWER_STARTING))
		return power == A64_POWER_ON ? PSCI_ALREADY_ON : PSCI_ON_PENDING;
	target->start_pc = pc;
	target->start_context = context;
	atomic_store(&target->power, A64_POWER_ON_PENDING);
	hc_vcpu_request(&target->vcpu, HC_REQ_EVENT);
	return PSCI_SUCCESS;
}

static void cpu_on(struct hc_vcpu *vcpu, struct call *call)
{
	struct a64_vcpu *target = find_cpu(vcpu->vm, call->arg[0]);

	if (!target)
		call->result = PSCI_INVALID_PARAMETERS;
	else if (!is_entry(vcpu->vm, call->arg[1]))
		call->result = PSCI_INVALID_ADDRESS;
	else
		call->result = switch_on(target, call->arg[1], call->arg[2]);
}

/* ON if any CPU is, else ON_PENDING if any is that (5.7.3: of a level above the CPUs' own). */
static int64_t merge_power(int64_t result, uint32_t power)
{
	if (result == A64_POWER_ON || power == A64_POWER_ON)
		return A64_POWER_ON;
	if (power == A64_POWER_OFF)
		return result < 0 ? A64_POWER_OFF : result;
	return A64_POWER_ON_PENDING;
}

/* Aff3 is not next to Aff2 in MPIDR_EL1. */
static uint64_t level_mask(uint64_t level)
{
	static const uint64_t mask[] = { UINT64_C(0xff00ffffff), UINT64_C(0xff00ffff00),
		                         UINT64_C(0xff00ff0000), UINT64_C(0xff00000000) };

	return level < HC_ARRAY_SIZE(mask) ? mask[level] : 0;
}

static void affinity_info(struct hc_vcpu *vcpu, struct call *call)
{
	struct hc_vm *vm = vcpu->vm;
	uint64_t mask = level_mask(call->arg[1]), wanted = call->arg[0] & mask;

	call->result = PSCI_INVALID_PARAMETERS;
	if (!mask || call->arg[0] & ~level_mask(0))
		return;
	for (unsigned i = 0; i < vm->cpu_count; i++)
		if ((a64_affinity(i) & mask) == wanted)
			call->result = merge_power(call->result,
			                           atomic_load(&a64_vcpu_of(vm->vcpus[i])->power));
}

static void migrate_info_type(struct hc_vcpu *vcpu, struct call *call)
{
	call->result = PSCI_NO_TOS;
}

static void system_off(struct hc_vcpu *vcpu, struct call *call)
{
	hc_vm_stop(vcpu->vm, HC_STOP_POWEROFF, 0);
}

static void system_reset(struct hc_vcpu *vcpu, struct call *call)
{
	hc_vm_stop(vcpu->vm, HC_STOP_RESET, 0);
}

/* 5.1.11: 0 is a warm reset; there are no others. */
static void system_reset2(struct hc_vcpu *vcpu, struct call *call)
{
	if ((uint32_t)call->arg[0])
		call->result = PSCI_INVALID_PARAMETERS;
	else
		system_reset(vcpu, call);
}

static void psci_features(struct hc_vcpu *vcpu, struct call *call);

/* --- The calling convention's own --- */

static void smccc_version(struct hc_vcpu *vcpu, struct call *call)
{
	call->result = SMCCC_VERSION;
}

static void arch_features(struct hc_vcpu *vcpu, struct call *call);

/* Where the CPU says that it does not need it, the call does nothing (DEN 0028 7.5 and 7.7). */
static bool needs_no_workaround(uint32_t number)
{
	uint64_t csv2 = hc_bits(a64_host_id(A64_SYSREG(3, 0, 0, 4, 0)), 59, 56);

	return csv2 >= (number == 0x80008000u ? 1 : 3);
}

static void workaround(struct hc_vcpu *vcpu, struct call *call)
{
	call->result = needs_no_workaround(call->number) ? PSCI_SUCCESS : NOT_SUPPORTED;
}

/* --- Dispatch --- */

#define ARCH_WORKAROUND_1 0x80008000u
#define ARCH_WORKAROUND_3 0x80003fffu

static const struct function functions[] = {
	{ 0x80000000, false, smccc_version },     { 0x80000001, false, arch_features },
	{ ARCH_WORKAROUND_3, false, workaround }, { ARCH_WORKAROUND_1, false, workaround },
	{ 0x84000000, false, psci_version },      { 0x84000001, true, cpu_suspend },
	{ 0x84000002, false, cpu_off },           { 0x84000003, true, cpu_on },
	{ 0x84000004, true, affinity_info },      { 0x84000006, false, migrate_info_type },
	{ 0x84000008, false, system_off },        { 0x84000009, false, system_reset },
	{ 0x8400000a, false, psci_features },     { 0x84000012, true, system_reset2 },
};

static const struct function *find_function(uint32_t number)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(functions); i++) {
		const struct function *f = &functions[i];

		if (f->number == number || (f->has_64 && (f->number | CALL_64) == number))
			return f;
	}
	return NULL;
}

static bool is_psci(uint32_t number)
{
	return (number & ~CALL_64) >> 24 == 0x84;
}

/* 5.1.14: also tells that SMCCC_VERSION is there. CPU_SUSPEND's flags are 0: the power state's
 * original format, and the platform coordinates. */
static void psci_features(struct hc_vcpu *vcpu, struct call *call)
{
	uint32_t number = (uint32_t)call->arg[0];
	bool can_ask = is_psci(number) || number == 0x80000000u;

	call->result = can_ask && find_function(number) ? PSCI_SUCCESS : PSCI_NOT_SUPPORTED;
}

static void arch_features(struct hc_vcpu *vcpu, struct call *call)
{
	uint32_t number = (uint32_t)call->arg[0];
	const struct function *f = is_psci(number) ? NULL : find_function(number);

	if (!f)
		call->result = NOT_SUPPORTED;
	else if (f->fn == workaround)
		call->result = needs_no_workaround(number) ? NOT_REQUIRED : NOT_SUPPORTED;
	else
		call->result = 0;
}

/* SMC32's arguments are 32 bits wide. */
static void get_arguments(const struct a64_state *s, struct call *call)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(call->arg); i++)
		call->arg[i] = call->number & CALL_64 ? s->x[i + 1] : (uint32_t)s->x[i + 1];
}

/* An immediate other than 0 is nobody's. PC is moved before: a CPU that sleeps wakes up after the
 * call. */
int a64_exit_hypercall(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct a64_state *s = a64_state_of(vcpu);
	struct call call = { .number = (uint32_t)s->x[0], .action = HC_ACT_RESUME };
	const struct function *f = exit->u.call.immediate ? NULL : find_function(call.number);

	if (a64_is_el0(s)) {
		a64_raise_undefined(vcpu);
		return HC_ACT_RESUME;
	}
	a64_skip(vcpu, exit->next_pc);
	call.result = NOT_SUPPORTED;
	if (f) {
		get_arguments(s, &call);
		f->fn(vcpu, &call);
	}
	s->x[0] = (uint64_t)call.result;
	return call.action;
}
