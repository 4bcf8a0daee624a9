/* SPDX-License-Identifier: BSD-2-Clause */
/* Moves of vCPUs between two backends, on two scripted ones. */
#include <string.h>

#include "mmu/ept.h"
#include "tests/fake.h"
#include "tests/platform.h"
#include "tests/unit.h"

static struct hc_backend_ops second; /* another fake: what it is asked to do is counted apart */
static unsigned second_runs, first_runs;
static uint32_t dirty_at_run;

static void run_first(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	first_runs++;
	dirty_at_run = vcpu->dirty;
	fake_backend.run(vcpu, exit);
}

static void run_second(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	second_runs++;
	dirty_at_run = vcpu->dirty;
	fake_backend.run(vcpu, exit);
}

static struct hc_backend_ops first;

static int setup(void **state)
{
	test_platform_init(1);
	fake_probe_rc = 0;
	first = second = fake_backend;
	first.run = run_first;
	second.run = run_second;
	second.name = "second";
	first_runs = second_runs = 0;
	return 0;
}

static struct hc_vm *vm_with_cpus(const struct hc_backend_ops *other, unsigned cpus)
{
	const struct hc_vm_config config = {
		.name = "two", .arch = &fake_arch, .backend = &first, .cpus = cpus, .other = other
	};
	struct hc_vm *vm = NULL;

	assert_int_equal(hc_vm_create(&vm, &config), 0);
	return vm;
}

static struct hc_vm *vm_with(const struct hc_backend_ops *other)
{
	return vm_with_cpus(other, 1);
}

static void move_all(struct hc_vcpu *vcpu)
{
	assert_int_equal(hc_vm_move(vcpu->vm), 0);
}

static void has_moved(struct hc_vcpu *vcpu)
{
	assert_ptr_equal(vcpu->backend, &second);
	/* The whole of the state came along, and is the new backend's to load. */
	assert_int_equal(dirty_at_run, UINT32_MAX);
	assert_int_equal(second_runs, 1);
	move_all(vcpu);
}

static void is_back(struct hc_vcpu *vcpu)
{
	assert_ptr_equal(vcpu->backend, &first);
	assert_int_equal(dirty_at_run, UINT32_MAX);
	assert_int_equal(hc_vm_stop(vcpu->vm, HC_STOP_POWEROFF, 0), 0);
}

static void moves_and_comes_back(void **state)
{
	static const struct fake_step steps[] = {
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = move_all },
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = has_moved },
		{ .exit = { .reason = HC_EXIT_IO }, .hook = is_back },
	};
	struct hc_vm *vm = vm_with(&second);
	struct fake_vcpu *f = fake_of(vm->vcpus[0]);

	fake_script(vm, 0, steps, 3);
	assert_int_equal(hc_vm_start(vm), 0);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_cause(vm), HC_STOP_POWEROFF);
	assert_int_equal(f->vcpu.stats.moves, 2);
	assert_int_equal(f->gets, 2); /* what was not valid was fetched before each move */
	assert_int_equal(f->loads, f->puts);
	assert_int_equal(first_runs, 2);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

/* Each step lasts half a period; every second one is run on the other backend. */
static void moves_by_itself(void **state)
{
	static struct fake_step steps[41];
	struct hc_vm *vm = vm_with(&second);

	for (unsigned i = 0; i < 40; i++)
		steps[i] = (struct fake_step){ .exit = { .reason = HC_EXIT_INTERRUPT },
			                       .advance_ns = 500 };
	steps[40] = (struct fake_step){ .exit = { .reason = HC_EXIT_CPUID }, .hook = NULL };
	fake_script(vm, 0, steps, 41);
	assert_int_equal(hc_vm_switch_every(vm, 0), -EINVAL);
	assert_int_equal(hc_vm_switch_every(vm, 1000), 0);
	assert_int_equal(hc_vm_start(vm), 0);
	fake_run_cpu(0);
	assert_in_range(vm->vcpus[0]->stats.moves, 15, 21);
	assert_in_range(second_runs, 15, 25);
	assert_int_equal(hc_vm_stop(vm, HC_STOP_REQUEST, 0), 0);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

/* The second backend's hardware walks NPT only; the first would take EPT, and walks anything. */
static void hardware_decides_on_the_tables(void **state)
{
	struct hc_vm *vm;

	first.s2_format = &ept_format;
	first.s2_any = true;
	vm = vm_with(&second);
	assert_ptr_equal(vm->s2.format, second.s2_format);
	assert_int_equal(hc_vm_destroy(vm), 0);
	vm = vm_with(NULL);
	assert_ptr_equal(vm->s2.format, &ept_format);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

static void one_backend_has_nowhere_to_go(void **state)
{
	struct hc_vm *vm = vm_with(NULL);

	assert_int_equal(hc_vm_move(vm), -EOPNOTSUPP);
	assert_int_equal(hc_vm_switch_every(vm, 1000), -EOPNOTSUPP);
	assert_non_null(strstr(test_log(), "no backend but fake to move to"));
	assert_int_equal(hc_vm_destroy(vm), 0);
}

/* --- Away from home: the first backend cannot run everything --- */

static unsigned can_run_after; /* refusals still to come */

static bool can_run(struct hc_vcpu *vcpu)
{
	assert_ptr_equal(vcpu->backend, &second);
	if (!can_run_after)
		return true;
	can_run_after--;
	return false;
}

static void is_away(struct hc_vcpu *vcpu)
{
	assert_ptr_equal(vcpu->backend, &second);
}

/* Each step is a millisecond, in which every vCPU is asked once. */
static void goes_away_and_comes_home(void **state)
{
	static const struct fake_step steps[] = {
		{ .exit = { .reason = HC_EXIT_MODE } },
		{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 1000000 },
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = is_away },
		{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 1000000 },
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = is_away },
		{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 1000000 },
		{ .exit = { .reason = HC_EXIT_IO }, .hook = is_back },
	};
	struct hc_vm *vm;

	first.can_run = can_run;
	can_run_after = 2;
	vm = vm_with(&second);
	fake_script(vm, 0, steps, HC_ARRAY_SIZE(steps));
	assert_int_equal(hc_vm_start(vm), 0);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_cause(vm), HC_STOP_POWEROFF);
	assert_int_equal(can_run_after, 0);
	assert_int_equal(vm->vcpus[0]->stats.moves, 2);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

/* The last to agree takes all home; until then nobody goes. */
static void all_come_home_together(void **state)
{
	static const struct fake_step leaves[] = {
		{ .exit = { .reason = HC_EXIT_MODE } },
		{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 1000000 },
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = is_away },
		{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 1000000 },
		{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 1000000 },
		{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 1000000 },
	};
	struct hc_vm *vm;

	first.can_run = can_run;
	can_run_after = 1;
	vm = vm_with_cpus(&second, 2);
	fake_script(vm, 0, leaves, HC_ARRAY_SIZE(leaves));
	fake_script(vm, 1, NULL, 0);
	assert_int_equal(hc_vm_start(vm), 0);
	fake_run_cpu(0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vm->vcpus[i]->stats.moves, 2);
		assert_ptr_equal(vm->vcpus[i]->backend, &first);
	}
	assert_int_equal(hc_vm_stop(vm, HC_STOP_REQUEST, 0), 0);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

static void stays_home(struct hc_vcpu *vcpu)
{
	assert_ptr_equal(vcpu->backend, &first);
	assert_int_equal(hc_vm_stop(vcpu->vm, HC_STOP_POWEROFF, 0), 0);
}

/* Whoever else moves it while it is away: it does not go back there by itself. */
static void somebody_else_brings_it_home(void **state)
{
	static const struct fake_step steps[] = {
		{ .exit = { .reason = HC_EXIT_MODE } },
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = move_all },
		{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 1000000 },
		{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 1000000 },
		{ .exit = { .reason = HC_EXIT_IO }, .hook = stays_home },
	};
	struct hc_vm *vm;

	first.can_run = can_run;
	can_run_after = 0;
	vm = vm_with(&second);
	fake_script(vm, 0, steps, HC_ARRAY_SIZE(steps));
	assert_int_equal(hc_vm_start(vm), 0);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_cause(vm), HC_STOP_POWEROFF);
	assert_int_equal(vm->vcpus[0]->stats.moves, 2);
	assert_false(vm->away);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

static void no_other_backend_to_go_to(void **state)
{
	static const struct fake_step steps[] = { { .exit = { .reason = HC_EXIT_MODE } } };
	struct hc_vm *vm = vm_with(NULL);

	fake_script(vm, 0, steps, 1);
	assert_int_equal(hc_vm_start(vm), 0);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_state(vm), HC_VM_FAILED);
	assert_non_null(strstr(test_log(), "backend fake cannot run the mode"));
	assert_int_equal(hc_vm_destroy(vm), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(moves_and_comes_back, setup),
		cmocka_unit_test_setup(moves_by_itself, setup),
		cmocka_unit_test_setup(hardware_decides_on_the_tables, setup),
		cmocka_unit_test_setup(one_backend_has_nowhere_to_go, setup),
		cmocka_unit_test_setup(goes_away_and_comes_home, setup),
		cmocka_unit_test_setup(all_come_home_together, setup),
		cmocka_unit_test_setup(somebody_else_brings_it_home, setup),
		cmocka_unit_test_setup(no_other_backend_to_go_to, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
