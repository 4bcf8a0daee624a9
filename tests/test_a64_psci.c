/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls to the firmware, CPUs that are switched on and off, and sleep. */
#include <string.h>

#include "tests/a64_env.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define PC     UINT64_C(0x40001000)
#define MEMORY (4 * HC_MIB)
#define CPUS   18 /* more than one cluster */

#define NOT_SUPPORTED      UINT64_MAX
#define INVALID_PARAMETERS ((uint64_t)-2)
#define ALREADY_ON         ((uint64_t)-4)
#define ON_PENDING         ((uint64_t)-5)
#define INVALID_ADDRESS    ((uint64_t)-9)

static struct hc_vm *machine(unsigned cpus)
{
	struct hc_vm *vm = a64_env_vm_with_gic(cpus, MEMORY);

	assert_non_null(vm);
	return vm;
}

static bool has_event(struct hc_vcpu *vcpu)
{
	return vcpu->vm->arch->has_event(vcpu);
}

static int last_action;

/* HVC #0 or SMC #0 at EL1 with these arguments: X0 afterwards. All else stays. */
static uint64_t call(struct hc_vcpu *vcpu, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
	struct hc_exit exit = { .reason = HC_EXIT_HYPERCALL, .next_pc = PC + 4 };
	const uint64_t args[4] = { x0, x1, x2, x3 };
	struct a64_state *s = a64_env_set(vcpu), before;

	memset(s->x, 0x3c, sizeof(s->x));
	memcpy(s->x, args, sizeof(args));
	s->pc = PC;
	s->pstate = A64_PSTATE_EL1H;
	before = *s;
	last_action = script_exit(vcpu, &exit);
	s = a64_env_state(vcpu);
	assert_int_equal(s->pc, PC + 4);
	assert_int_equal(s->pstate, A64_PSTATE_EL1H);
	assert_memory_equal(s->x + 1, before.x + 1, sizeof(s->x) - 8);
	assert_memory_equal(s->sys, before.sys, sizeof(s->sys));
	return s->x[0];
}

/* --- Versions and features --- */

static void test_versions(void **state)
{
	struct hc_vm *vm = machine(1);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	assert_int_equal(call(vcpu, 0x84000000, 0, 0, 0), 0x10001);
	assert_int_equal(call(vcpu, 0x80000000, 0, 0, 0), 0x10001);
	assert_int_equal(call(vcpu, 0x84000006, 0, 0, 0), 2);
	/* The upper half of X0 is not part of the number (DEN 0028 3.1). */
	assert_int_equal(call(vcpu, UINT64_C(0xabcd000084000000), 0, 0, 0), 0x10001);
	a64_env_end(vm);
}

static void test_features(void **state)
{
	static const uint32_t there[] = { 0x80000000, 0x84000000, 0x84000001, 0xc4000001,
		                          0x84000002, 0x84000003, 0xc4000003, 0x84000004,
		                          0xc4000004, 0x84000006, 0x84000008, 0x84000009,
		                          0x8400000a, 0x84000012, 0xc4000012 };
	static const uint32_t missing[] = { 0x80000001, 0x80008000, 0x84000005, 0x84000007,
		                            0x8400000b, 0x8400000e, 0xc400000e, 0x84000013,
		                            0x84000050, 0xc4000000, 0xc4000002, 0xc4000008,
		                            0,          UINT32_MAX };
	struct hc_vm *vm = machine(1);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	for (unsigned i = 0; i < HC_ARRAY_SIZE(there); i++)
		assert_int_equal(call(vcpu, 0x8400000a, there[i], 0, 0), 0);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(missing); i++)
		assert_int_equal(call(vcpu, 0x8400000a, missing[i], 0, 0), NOT_SUPPORTED);
	/* SMCCC_ARCH_FEATURES: of its own calls only. */
	assert_int_equal(call(vcpu, 0x80000001, 0x80000000, 0, 0), 0);
	assert_int_equal(call(vcpu, 0x80000001, 0x80000001, 0, 0), 0);
	assert_int_equal(call(vcpu, 0x80000001, 0x80007fff, 0, 0), NOT_SUPPORTED);
	assert_int_equal(call(vcpu, 0x80000001, 0x84000000, 0, 0), NOT_SUPPORTED);
	a64_env_end(vm);
}

/* A CPU that needs the workaround must not be told that it does not. */
static void test_workarounds(void **state)
{
	static const struct {
		enum a64_host host;
		uint64_t features[2], calls[2];
	} cases[] = {
		{ A64_HOST_A57,
		  { NOT_SUPPORTED, NOT_SUPPORTED },
		  { NOT_SUPPORTED, NOT_SUPPORTED } },
		{ A64_HOST_N1, { 1, NOT_SUPPORTED }, { 0, NOT_SUPPORTED } },
		{ A64_HOST_ALL_ONES, { 1, 1 }, { 0, 0 } },
	};
	static const uint32_t numbers[2] = { 0x80008000, 0x80003fff };

	for (unsigned c = 0; c < HC_ARRAY_SIZE(cases); c++) {
		a64_host = cases[c].host;
		struct hc_vm *vm = machine(1);

		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(call(vm->vcpus[0], 0x80000001, numbers[n], 0, 0),
			                 cases[c].features[n]);
			assert_int_equal(call(vm->vcpus[0], numbers[n], 0, 0, 0),
			                 cases[c].calls[n]);
		}
		a64_env_end(vm);
	}
}

static void test_unknown_calls(void **state)
{
	struct hc_vm *vm = machine(1);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct hc_exit exit = { .reason = HC_EXIT_HYPERCALL, .next_pc = PC + 4 };
	struct a64_state *s;

	for (unsigned i = 0; i < 3000; i++) {
		uint64_t number = a64_env_random();

		if (number << 32 >> 56 != 0x84 && number << 32 >> 56 != 0xc4)
			assert_int_equal(call(vcpu, number, 1, 2, 3), NOT_SUPPORTED);
		else /* nothing from 0x20 on */
			assert_int_equal(call(vcpu, number | 0x20, 1, 2, 3), NOT_SUPPORTED);
	}
	/* Another immediate is another service. */
	s = a64_env_set(vcpu);
	s->pstate = A64_PSTATE_EL1H;
	s->x[0] = 0x84000000;
	exit.u.call.immediate = 1;
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(a64_env_state(vcpu)->x[0], NOT_SUPPORTED);
	/* EL0 has no such instructions. */
	s = a64_env_set(vcpu);
	s->pstate = A64_PSTATE_EL0T;
	s->sys[A64_VBAR_EL1] = 0x8000;
	exit.u.call.immediate = 0;
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(a64_env_state(vcpu)->pc, 0x8400);
	a64_env_end(vm);
}

/* --- CPUs --- */

static struct a64_vcpu *cpu(struct hc_vm *vm, unsigned id)
{
	return a64_vcpu_of(vm->vcpus[id]);
}

static void test_cpu_on(void **state)
{
	struct hc_vm *vm = machine(CPUS);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	for (unsigned i = 1; i < CPUS; i++) {
		uint64_t mpidr = i < 16 ? i : 0x100 | (i - 16);
		struct hc_vcpu *target = vm->vcpus[i];
		unsigned resets = a64_env_gic.resets;

		assert_int_equal(vm->arch->before_entry(target), HC_ACT_HALT);
		assert_int_equal(call(vcpu, 0xc4000004, mpidr, 0, 0), A64_POWER_OFF);
		assert_int_equal(call(vcpu, 0xc4000003, mpidr, A64_ENV_RAM + 4 * i, 0x1111 * i), 0);
		assert_true(has_event(target));
		assert_int_equal(call(vcpu, 0xc4000003, mpidr, A64_ENV_RAM, 0), ON_PENDING);
		assert_int_equal(call(vcpu, 0xc4000004, mpidr, 0, 0), A64_POWER_ON_PENDING);
		memset(a64_env_set(target)->x, 0xff, 31 * 8);
		assert_int_equal(vm->arch->before_entry(target), HC_ACT_RESUME);
		assert_int_equal(a64_env_gic.resets, resets + 1);
		assert_int_equal(call(vcpu, 0xc4000003, mpidr, A64_ENV_RAM, 0), ALREADY_ON);
		assert_int_equal(call(vcpu, 0xc4000004, mpidr, 0, 0), A64_POWER_ON);
		const struct a64_state *s = a64_env_state(target);

		assert_int_equal(s->pc, A64_ENV_RAM + 4 * i);
		assert_int_equal(s->x[0], 0x1111 * i);
		assert_int_equal(s->x[1], 0);
		assert_int_equal(s->pstate, 0x3c5);
		assert_int_equal(target->dirty & A64_G_ALL, A64_G_ALL);
	}
	assert_int_equal(call(vcpu, 0xc4000003, 0, A64_ENV_RAM, 0), ALREADY_ON);
	a64_env_end(vm);
}

static void test_cpu_on_rubbish(void **state)
{
	static const uint64_t targets[] = { 2,
		                            0x100,
		                            0x10000,
		                            UINT64_C(0x100000001),
		                            HC_BIT(24) | 1,
		                            HC_BIT(31) | 1,
		                            HC_BIT(63) | 1,
		                            UINT64_MAX };
	static const uint64_t entries[] = { 0,
		                            2,
		                            A64_ENV_RAM - 4,
		                            A64_ENV_RAM + 1,
		                            A64_ENV_RAM + 2,
		                            A64_ENV_RAM + MEMORY,
		                            A64_ENV_RAM + MEMORY - 2,
		                            UINT64_MAX,
		                            UINT64_MAX - 3,
		                            HC_BIT(63) };
	struct hc_vm *vm = machine(2);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	for (unsigned i = 0; i < HC_ARRAY_SIZE(targets); i++) {
		assert_int_equal(call(vcpu, 0xc4000003, targets[i], A64_ENV_RAM, 0),
		                 INVALID_PARAMETERS);
		assert_int_equal(call(vcpu, 0xc4000004, targets[i], 0, 0), INVALID_PARAMETERS);
	}
	for (unsigned i = 0; i < HC_ARRAY_SIZE(entries); i++)
		assert_int_equal(call(vcpu, 0xc4000003, 1, entries[i], 0), INVALID_ADDRESS);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t r =
			call(vcpu, 0xc4000003 + (i & 1), a64_env_random(), a64_env_random(), 0);

		assert_int_equal(r, INVALID_PARAMETERS);
	}
	assert_int_equal(atomic_load(&cpu(vm, 1)->power), A64_POWER_OFF);
	/* SMC32: the upper halves do not count. */
	assert_int_equal(call(vcpu, 0x84000003, UINT64_C(0xfff00000001),
	                      UINT64_C(0xeee00000000) | A64_ENV_RAM, HC_BIT(40) | 9),
	                 0);
	assert_int_equal(vm->arch->before_entry(vm->vcpus[1]), HC_ACT_RESUME);
	assert_int_equal(a64_env_state(vm->vcpus[1])->pc, A64_ENV_RAM);
	assert_int_equal(a64_env_state(vm->vcpus[1])->x[0], 9);
	a64_env_end(vm);
}

/* Of levels above the CPUs: on if any is. */
static void test_affinity_levels(void **state)
{
	struct hc_vm *vm = machine(CPUS);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	assert_int_equal(call(vcpu, 0xc4000004, 0x100, 1, 0), A64_POWER_OFF);
	assert_int_equal(call(vcpu, 0xc4000004, 0x000, 1, 0), A64_POWER_ON);
	assert_int_equal(call(vcpu, 0xc4000004, 0x100, 2, 0), A64_POWER_ON);
	assert_int_equal(call(vcpu, 0xc4000004, 0x100, 3, 0), A64_POWER_ON);
	assert_int_equal(call(vcpu, 0xc4000004, 0x200, 1, 0), INVALID_PARAMETERS);
	assert_int_equal(call(vcpu, 0xc4000004, 0x10000, 2, 0), INVALID_PARAMETERS);
	assert_int_equal(call(vcpu, 0xc4000004, 0, 4, 0), INVALID_PARAMETERS);
	assert_int_equal(call(vcpu, 0xc4000004, 0, UINT64_MAX, 0), INVALID_PARAMETERS);
	atomic_store(&cpu(vm, 17)->power, A64_POWER_ON_PENDING);
	assert_int_equal(call(vcpu, 0xc4000004, 0x100, 1, 0), A64_POWER_ON_PENDING);
	atomic_store(&cpu(vm, 16)->power, A64_POWER_STARTING);
	atomic_store(&cpu(vm, 17)->power, A64_POWER_OFF);
	assert_int_equal(call(vcpu, 0xc4000004, 0x100, 1, 0), A64_POWER_ON_PENDING);
	assert_int_equal(call(vcpu, 0xc4000003, 0x100, A64_ENV_RAM, 0), ON_PENDING);
	atomic_store(&cpu(vm, 17)->power, A64_POWER_ON);
	assert_int_equal(call(vcpu, 0xc4000004, 0x100, 1, 0), A64_POWER_ON);
	a64_env_end(vm);
}

/* In the run loop: CPU 0 starts CPU 1 and both switch off. */
static void calls_off(struct hc_vcpu *vcpu, void *hw)
{
	struct a64_state *s = hw;

	s->x[0] = 0x84000002;
	s->cntv_ctl = 1; /* a timer that goes off while the CPU is off wakes nobody */
	s->cntv_cval = 1;
}

static void calls_on(struct hc_vcpu *vcpu, void *hw)
{
	struct a64_state *s = hw;

	s->x[0] = 0xc4000003;
	s->x[1] = 1;
	s->x[2] = A64_ENV_RAM + 0x80;
	s->x[3] = 0x55;
}

static uint64_t seen_pc, seen_x0;

static void looks(struct hc_vcpu *vcpu, void *hw)
{
	struct a64_state *s = hw;

	seen_pc = s->pc;
	seen_x0 = s->x[0];
	calls_off(vcpu, hw);
}

#define HVC                                                                                        \
	{                                                                                          \
		.reason = HC_EXIT_HYPERCALL, .next_pc = PC                                         \
	}

static void test_on_and_off(void **state)
{
	static const struct script_step first[] = { { HVC, 10, calls_on }, { HVC, 10, calls_off } };
	static const struct script_step second[] = { { HVC, 10, looks } };
	struct hc_vm *vm = machine(2);

	assert_int_equal(hc_vm_start(vm), 0);
	test_run_until_idle(); /* CPU 1 finds out that it is off, CPU 0 sleeps */
	script_of(vm->vcpus[0])->entries = 0;
	script_set(vm->vcpus[0], first, 2);
	script_set(vm->vcpus[1], second, 1);
	a64_env_gic.has_interrupt[0] = true;
	hc_vcpu_request(vm->vcpus[0], HC_REQ_EVENT);
	test_run_until_idle();
	assert_int_equal(seen_pc, A64_ENV_RAM + 0x80);
	assert_int_equal(seen_x0, 0x55);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(atomic_load(&cpu(vm, i)->power), A64_POWER_OFF);
		assert_int_equal(script_of(vm->vcpus[i])->entries, i ? 1 : 2);
		/* An interrupt does not switch it on. */
		a64_env_gic.has_interrupt[i] = true;
		hc_vcpu_request(vm->vcpus[i], HC_REQ_EVENT);
	}
	test_now_ns += 1000000;
	test_run_until_idle();
	assert_int_equal(script_of(vm->vcpus[0])->entries, 2);
	assert_int_equal(script_of(vm->vcpus[1])->entries, 1);
	hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	test_run_until_idle();
	a64_env_end(vm);
}

/* A CPU that is off has no timers. */
static void test_off_timers(void **state)
{
	struct hc_vm *vm = machine(2);
	struct hc_vcpu *vcpu = vm->vcpus[1];
	struct hc_exit exit = { .reason = HC_EXIT_SYSREG };

	atomic_store(&cpu(vm, 1)->power, A64_POWER_ON);
	a64_env_set(vcpu)->x[0] = 1;
	exit.u.sysreg.number = A64_SYSREG(3, 3, 14, 2, 1); /* CNTP_CTL_EL0: due at once */
	exit.u.sysreg.write = 1;
	script_exit(vcpu, &exit);
	assert_true(a64_env_gic.ppi[1][30]);
	a64_env_gic.has_interrupt[1] = false;
	call(vcpu, 0x84000002, 0, 0, 0);
	assert_int_equal(last_action, HC_ACT_HALT);
	assert_false(a64_env_gic.ppi[1][30]);
	assert_int_equal(vm->arch->before_entry(vcpu), HC_ACT_HALT);
	a64_env_end(vm);
}

/* --- The machine --- */

static void check_stop(uint64_t x0, uint64_t x1, enum hc_stop_cause cause)
{
	struct hc_vm *vm = machine(2);

	assert_int_equal(hc_vm_start(vm), 0);
	call(vm->vcpus[1], x0, x1, 0, 0);
	test_run_until_idle();
	assert_int_equal(hc_vm_state(vm), cause == HC_STOP_NONE ? HC_VM_RUNNING : HC_VM_STOPPED);
	assert_int_equal(hc_vm_cause(vm), cause);
	if (cause == HC_STOP_NONE) {
		assert_int_equal(a64_state_of(vm->vcpus[1])->x[0], INVALID_PARAMETERS);
		hc_vm_stop(vm, HC_STOP_REQUEST, 0);
		test_run_until_idle();
	}
	a64_env_end(vm);
}

static void test_system(void **state)
{
	check_stop(0x84000008, 0, HC_STOP_POWEROFF);
	check_stop(0x84000009, 0, HC_STOP_RESET);
	check_stop(0x84000012, 0, HC_STOP_RESET);
	check_stop(0xc4000012, 0, HC_STOP_RESET);
	check_stop(0x84000012, HC_BIT(32), HC_STOP_RESET); /* SMC32 */
	check_stop(0xc4000012, 1, HC_STOP_NONE);
	check_stop(0xc4000012, HC_BIT(31), HC_STOP_NONE);
}

/* --- Sleep --- */

static const struct hc_exit wfi = { .reason = HC_EXIT_HALT, .next_pc = PC + 4 };

static void test_wfi(void **state)
{
	struct hc_vm *vm = machine(1);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	assert_int_equal(script_exit(vcpu, &wfi), HC_ACT_HALT);
	assert_int_equal(a64_env_state(vcpu)->pc, PC + 4);
	assert_false(has_event(vcpu));
	assert_int_equal(vm->arch->before_entry(vcpu), HC_ACT_HALT); /* woken for nothing */
	a64_env_gic.has_interrupt[0] = true;
	assert_true(has_event(vcpu));
	assert_int_equal(vm->arch->before_entry(vcpu), HC_ACT_RESUME);
	/* One that waits ends it at once, and the controller is looked at before entries. */
	unsigned entries = a64_env_gic.entries;

	assert_int_equal(script_exit(vcpu, &wfi), HC_ACT_RESUME);
	a64_env_gic.has_interrupt[0] = false;
	assert_int_equal(vm->arch->before_entry(vcpu), HC_ACT_RESUME);
	assert_int_equal(a64_env_gic.entries, entries + 1);
	a64_env_end(vm);
}

static void test_cpu_suspend(void **state)
{
	static const uint32_t bad[] = { 0x80000000, 0x04000000, 0x00800000, 0x00020000,
		                        UINT32_MAX };
	static const uint32_t good[] = { 0, 0x00010000, 0x01010000, 0x03010000, 0x0000ffff };
	struct hc_vm *vm = machine(1);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	for (unsigned i = 0; i < HC_ARRAY_SIZE(bad); i++) {
		assert_int_equal(call(vcpu, 0xc4000001, bad[i], PC, 1), INVALID_PARAMETERS);
		assert_int_equal(last_action, HC_ACT_RESUME);
	}
	for (unsigned i = 0; i < HC_ARRAY_SIZE(good); i++) {
		assert_int_equal(call(vcpu, i & 1 ? 0x84000001 : 0xc4000001, good[i], PC, 1), 0);
		assert_int_equal(last_action, HC_ACT_HALT);
		a64_env_gic.has_interrupt[0] = true;
		assert_int_equal(vm->arch->before_entry(vcpu), HC_ACT_RESUME);
		a64_env_gic.has_interrupt[0] = false;
	}
	a64_env_end(vm);
}

/* The virtual timer's interrupt wakes, exactly when it is due and only if it would interrupt. */
static void check_vtimer(uint32_t ctl, uint64_t after, bool wakes)
{
	struct hc_vm *vm = machine(1);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct a64_state *s = a64_env_set(vcpu);

	s->cntv_ctl = ctl;
	s->cntv_cval = test_now_ns - a64_vm_of(vm)->cntvoff + after;
	assert_int_equal(hc_vm_start(vm), 0); /* an empty script: WFI */
	test_run_until_idle();
	assert_int_equal(atomic_load(&vcpu->run_state), HC_VCPU_HALTED);
	test_now_ns += after - 1;
	test_run_until_idle();
	assert_false(a64_env_gic.ppi[0][27]);
	test_now_ns += 1;
	unsigned entries = script_of(vcpu)->entries;

	if (wakes) {
		hc_sched_tick(vcpu->cpu, NULL);
		assert_true(a64_env_gic.ppi[0][27]);
		assert_true(a64_env_gic.linked[0][27]);
		assert_int_equal(vm->arch->before_entry(vcpu), HC_ACT_RESUME);
		assert_false(a64_vcpu_of(vcpu)->vtimer.armed);
		/* The guest masks it, or it would find it due for ever. */
		a64_env_set(vcpu)->cntv_ctl = 3;
		a64_env_gic.has_interrupt[0] = false;
	}
	test_run_until_idle();
	assert_true(wakes || script_of(vcpu)->entries == entries);
	assert_int_equal(a64_env_gic.ppi[0][27], wakes);
	hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	test_run_until_idle();
	a64_env_end(vm);
}

static void test_vtimer_wakes(void **state)
{
	check_vtimer(1, 5000, true);
	check_vtimer(1, 1, true);
	check_vtimer(3, 5000, false);
	check_vtimer(0, 5000, false);
	check_vtimer(2, 5000, false);
}

/* Due already: the controller learns of it, whether it lets it through or not. */
static void test_vtimer_due(void **state)
{
	struct hc_vm *vm = machine(1);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct a64_state *s = a64_env_set(vcpu);

	s->cntv_ctl = 1;
	s->cntv_cval = 0;
	assert_int_equal(script_exit(vcpu, &wfi), HC_ACT_RESUME);
	assert_true(a64_env_gic.ppi[0][27]);
	a64_env_gic.has_interrupt[0] = false; /* disabled there */
	a64_env_set(vcpu)->cntv_ctl = 3;
	assert_int_equal(script_exit(vcpu, &wfi), HC_ACT_HALT);
	assert_false(a64_vcpu_of(vcpu)->vtimer.armed);
	a64_env_end(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),        cmocka_unit_test(test_features),
		cmocka_unit_test(test_workarounds),     cmocka_unit_test(test_unknown_calls),
		cmocka_unit_test(test_cpu_on),          cmocka_unit_test(test_cpu_on_rubbish),
		cmocka_unit_test(test_affinity_levels), cmocka_unit_test(test_on_and_off),
		cmocka_unit_test(test_system),          cmocka_unit_test(test_wfi),
		cmocka_unit_test(test_cpu_suspend),     cmocka_unit_test(test_vtimer_wakes),
		cmocka_unit_test(test_vtimer_due),      cmocka_unit_test(test_off_timers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
