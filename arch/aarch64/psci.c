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
#define NOT_REQUIRED  1

enum psci_result {
	PSCI_SUCCESS = 0,
	PSCI_NOT_SUPPORTED = -1, /* SMCCC has the same */
	PSCI_INVALID_PARAMETERS = -2,
	PSCI_ALREADY_ON = -4,
	PSCI_ON_PENDING = -5,
	PSCI_INVALID_ADDRESS = -9
};

struct call {
	uint32_t number;
	int action; /* enum hc_action, RESUME before the call */
};

/* Returns what X0 becomes. */
typedef int64_t (*call_fn)(struct hc_vcpu *vcpu, struct call *call);

struct function {
	call_fn fn;
	bool has_64; /* its SMC64 twin is there too */
};

/* Argument n, 1 to 3: those of SMC32 are 32 bits wide. */
static uint64_t argument(struct hc_vcpu *vcpu, const struct call *call, unsigned n)
{
	uint64_t x = a64_state_of(vcpu)->x[n];

	return call->number & CALL_64 ? x : (uint32_t)x;
}

/* --- PSCI --- */

static int64_t psci_version(struct hc_vcpu *vcpu, struct call *call)
{
	return PSCI_VERSION;
}

/* 5.1.2: [16] power down, [25:24] level, [15:0] the platform's; the rest must be 0. To come back
 * with everything kept is always allowed (5.4.2), so a power-down request is a long WFI as well. */
static int64_t cpu_suspend(struct hc_vcpu *vcpu, struct call *call)
{
	if ((uint32_t)argument(vcpu, call, 1) & 0xfcfe0000u)
		return PSCI_INVALID_PARAMETERS;
	call->action = a64_halt(vcpu);
	return PSCI_SUCCESS;
}

static int64_t cpu_off(struct hc_vcpu *vcpu, struct call *call)
{
	a64_timers_reset(vcpu);
	atomic_store(&a64_vcpu_of(vcpu)->power, A64_POWER_OFF);
	call->action = HC_ACT_HALT;
	return PSCI_SUCCESS; /* which nobody sees */
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

static int64_t cpu_on(struct hc_vcpu *vcpu, struct call *call)
{
	struct a64_vcpu *target = find_cpu(vcpu->vm, argument(vcpu, call, 1));
	uint64_t pc = argument(vcpu, call, 2);

	if (!target)
		return PSCI_INVALID_PARAMETERS;
	if (!is_entry(vcpu->vm, pc))
		return PSCI_INVALID_ADDRESS;
	return switch_on(target, pc, argument(vcpu, call, 3));
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

static int64_t affinity_info(struct hc_vcpu *vcpu, struct call *call)
{
	struct hc_vm *vm = vcpu->vm;
	uint64_t affinity = argument(vcpu, call, 1), mask = level_mask(argument(vcpu, call, 2));
	int64_t result = PSCI_INVALID_PARAMETERS;

	if (!mask || affinity & ~level_mask(0))
		return result;
	for (unsigned i = 0; i < vm->cpu_count; i++)
		if (((a64_affinity(i) ^ affinity) & mask) == 0)
			result =
				merge_power(result, atomic_load(&a64_vcpu_of(vm->vcpus[i])->power));
	return result;
}

static int64_t migrate_info_type(struct hc_vcpu *vcpu, struct call *call)
{
	return PSCI_NO_TOS;
}

static int64_t system_off(struct hc_vcpu *vcpu, struct call *call)
{
	hc_vm_stop(vcpu->vm, HC_STOP_POWEROFF, 0);
	return PSCI_SUCCESS;
}

static int64_t system_reset(struct hc_vcpu *vcpu, struct call *call)
{
	hc_vm_stop(vcpu->vm, HC_STOP_RESET, 0);
	return PSCI_SUCCESS;
}

/* 5.1.11: 0 is a warm reset; there are no others. */
static int64_t system_reset2(struct hc_vcpu *vcpu, struct call *call)
{
	return (uint32_t)argument(vcpu, call, 1) ? PSCI_INVALID_PARAMETERS
	                                         : system_reset(vcpu, call);
}

static int64_t psci_features(struct hc_vcpu *vcpu, struct call *call);
static int64_t arch_features(struct hc_vcpu *vcpu, struct call *call);

/* --- The calling convention's own --- */

static int64_t smccc_version(struct hc_vcpu *vcpu, struct call *call)
{
	return SMCCC_VERSION;
}

#define ARCH_WORKAROUND_1 0x80008000u
#define ARCH_WORKAROUND_3 0x80003fffu

/* Where the CPU says that it does not need it (CSV2), the call does nothing (DEN 0028 7.5 and 7.7).
 */
static bool needs_no_workaround(uint32_t number)
{
	return a64_host_field(A64_ID_AA64PFR0, 56) >= (number == ARCH_WORKAROUND_1 ? 1 : 3);
}

static int64_t workaround(struct hc_vcpu *vcpu, struct call *call)
{
	return needs_no_workaround(call->number) ? PSCI_SUCCESS : PSCI_NOT_SUPPORTED;
}

/* --- Dispatch --- */

#define PSCI_FIRST UINT32_C(0x84000000)

/* By number from there on. */
static const struct function psci_functions[] = {
	[0x00] = { psci_version, false },  [0x01] = { cpu_suspend, true },
	[0x02] = { cpu_off, false },       [0x03] = { cpu_on, true },
	[0x04] = { affinity_info, true },  [0x06] = { migrate_info_type, false },
	[0x08] = { system_off, false },    [0x09] = { system_reset, false },
	[0x0a] = { psci_features, false }, [0x12] = { system_reset2, true },
};

static const struct {
	uint32_t number;
	call_fn fn;
} arch_functions[] = {
	{ 0x80000000, smccc_version },
	{ 0x80000001, arch_features },
	{ ARCH_WORKAROUND_1, workaround },
	{ ARCH_WORKAROUND_3, workaround },
};

static call_fn find_arch_function(uint32_t number)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(arch_functions); i++)
		if (arch_functions[i].number == number)
			return arch_functions[i].fn;
	return NULL;
}

static call_fn find_psci_function(uint32_t number)
{
	uint32_t index = (number & ~CALL_64) - PSCI_FIRST;

	if (index >= HC_ARRAY_SIZE(psci_functions) ||
	    (number & CALL_64 && !psci_functions[index].has_64))
		return NULL;
	return psci_functions[index].fn;
}

/* 5.1.14: also tells that SMCCC_VERSION is there. CPU_SUSPEND's flags are 0: the power state's
 * original format, and the platform coordinates. */
static int64_t psci_features(struct hc_vcpu *vcpu, struct call *call)
{
	uint32_t number = (uint32_t)argument(vcpu, call, 1);

	return find_psci_function(number) || number == 0x80000000u ? PSCI_SUCCESS
	                                                           : PSCI_NOT_SUPPORTED;
}

static int64_t arch_features(struct hc_vcpu *vcpu, struct call *call)
{
	uint32_t number = (uint32_t)argument(vcpu, call, 1);
	call_fn fn = find_arch_function(number);

	if (!fn)
		return PSCI_NOT_SUPPORTED;
	if (fn == workaround)
		return needs_no_workaround(number) ? NOT_REQUIRED : PSCI_NOT_SUPPORTED;
	return 0;
}

/* An immediate other than 0 is nobody's. PC is moved before: a CPU that sleeps wakes up after the
 * call. */
int a64_exit_hypercall(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct a64_state *s = a64_state_of(vcpu);
	struct call call = { .number = (uint32_t)s->x[0], .action = HC_ACT_RESUME };
	call_fn fn = find_psci_function(call.number);

	if (__builtin_expect(a64_is_el0(s), 0)) {
		a64_raise_undefined(vcpu);
		return HC_ACT_RESUME;
	}
	a64_skip(vcpu, exit->next_pc);
	if (!fn)
		fn = find_arch_function(call.number);
	s->x[0] = (uint64_t)(fn && !exit->u.call.immediate ? fn(vcpu, &call) : PSCI_NOT_SUPPORTED);
	return call.action;
}
