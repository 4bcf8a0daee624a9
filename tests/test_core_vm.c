/* SPDX-License-Identifier: BSD-2-Clause */
/* Lifecycle, run loop and scheduler, on the scripted backend. */
#include <string.h>

#include "tests/fake.h"
#include "tests/platform.h"
#include "tests/unit.h"

#include "core/device.h"

static unsigned transitions[HC_VM_STATE_COUNT][HC_VM_STATE_COUNT];

static void count_transition(struct hc_vm *vm, enum hc_vm_state from, enum hc_vm_state to,
                             void *arg)
{
	transitions[from][to]++;
	assert_int_equal(hc_vm_state(vm), to);
	assert_ptr_equal(arg, transitions);
}

static int setup(void **state)
{
	test_platform_init(2);
	memset(transitions, 0, sizeof(transitions));
	fake_probe_rc = 0;
	return 0;
}

static struct hc_vm *observed_vm(unsigned cpus)
{
	struct hc_vm *vm = fake_vm("one", cpus);

	assert_non_null(vm);
	assert_int_equal(hc_vm_observe(vm, count_transition, transitions), 0);
	return vm;
}

/* --- Handlers' side effects --- */

static void power_off(struct hc_vcpu *vcpu)
{
	assert_int_equal(hc_vm_stop(vcpu->vm, HC_STOP_POWEROFF, 0), 0);
}

static void exit_with_42(struct hc_vcpu *vcpu)
{
	assert_int_equal(hc_vm_stop(vcpu->vm, HC_STOP_EXIT, 42), 0);
	/* The first cause wins. */
	assert_int_equal(hc_vm_stop(vcpu->vm, HC_STOP_RESET, 0), -EBUSY);
	hc_vm_fail(vcpu->vm, "too late");
}

static const struct fake_step cpuid_then_off[] = {
	{ .exit = { .reason = HC_EXIT_CPUID, .pc = 0x1000 } },
	{ .exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 100 },
	{ .exit = { .reason = HC_EXIT_IO, .u.io = { .port = 0x604 } }, .hook = power_off },
};

static void runs_until_power_off(void **state)
{
	struct hc_vm *vm = observed_vm(1);

	fake_script(vm, 0, cpuid_then_off, 3);
	assert_int_equal(hc_vm_start(vm), 0);
	assert_int_equal(hc_vm_start(vm), -EBUSY);
	assert_int_equal(hc_vm_destroy(vm), -EBUSY);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_state(vm), HC_VM_STOPPED);
	assert_int_equal(hc_vm_cause(vm), HC_STOP_POWEROFF);
	assert_string_equal(hc_vm_reason(vm), "guest powered off");
	assert_int_equal(transitions[HC_VM_CREATED][HC_VM_RUNNING], 1);
	assert_int_equal(transitions[HC_VM_RUNNING][HC_VM_STOPPED], 1);

	const struct hc_vcpu *v = vm->vcpus[0];

	assert_int_equal(v->stats.exits[HC_EXIT_CPUID].count, 1);
	assert_int_equal(v->stats.exits[HC_EXIT_INTERRUPT].count, 1);
	assert_int_equal(v->stats.exits[HC_EXIT_IO].count, 1);
	assert_int_equal(v->stats.guest_cycles, 100);
	assert_int_equal(fake_of(vm->vcpus[0])->loads, fake_of(vm->vcpus[0])->puts);
	assert_int_equal(hc_vm_state_entries(vm, HC_VM_RUNNING), 1);
	assert_int_equal(hc_vm_state_time_ns(vm, HC_VM_RUNNING), 100);
	assert_int_equal(hc_vm_destroy(vm), 0);
	assert_int_equal(transitions[HC_VM_STOPPED][HC_VM_DESTROYED], 1);
}

static void first_cause_wins(void **state)
{
	static const struct fake_step steps[] = {
		{ .exit = { .reason = HC_EXIT_IO }, .hook = exit_with_42 },
	};
	struct hc_vm *vm = observed_vm(2);

	fake_script(vm, 0, steps, 1);
	hc_vm_start(vm);
	fake_run_cpu(1); /* the other vCPU halts there */
	fake_run_cpu(0);
	assert_int_equal(hc_vm_state(vm), HC_VM_RUNNING); /* vCPU 1 has still to park */
	fake_run_cpu(1);
	assert_int_equal(hc_vm_state(vm), HC_VM_STOPPED);
	assert_string_equal(hc_vm_reason(vm), "exit status 42");
	assert_int_equal(hc_vm_status(vm), 42);
	hc_vm_destroy(vm);
}

/* Every exit that the architecture has no handler for, every error of a handler and of run(). */
static void failures_name_vcpu_exit_and_pc(void **state)
{
	const struct {
		struct fake_step step;
		const char *text;
	} cases[] = {
		{ { .exit = { .reason = HC_EXIT_UNKNOWN, .pc = 0xabc0 } },
		  "vcpu 0: exit unknown at pc 0xabc0: not emulated" },
		{ { .exit = { .reason = HC_EXIT_CPUID, .pc = 0x77 }, .action = -EFAULT },
		  "vcpu 0: exit cpuid at pc 0x77: cannot be carried out (error 14)" },
		{ { .exit = { .reason = HC_EXIT_IO, .pc = 0x1 }, .action = -EIO },
		  "vcpu 0: exit io at pc 0x1: cannot be carried out (error 5)" },
	};

	for (unsigned i = 0; i < 3; i++) {
		test_platform_init(1);
		struct hc_vm *vm = observed_vm(1);
		struct hc_vm *other = fake_vm("other", 1);

		fake_script(vm, 0, &cases[i].step, 1);
		fake_script(other, 0, cpuid_then_off, 3);
		hc_vm_start(vm);
		hc_vm_start(other);
		fake_run_cpu(0);
		assert_int_equal(hc_vm_state(vm), HC_VM_FAILED);
		assert_non_null(strstr(hc_vm_reason(vm), cases[i].text));
		/* The other VM went on to its own end. */
		assert_int_equal(hc_vm_state(other), HC_VM_STOPPED);
		hc_vm_destroy(vm);
		hc_vm_destroy(other);
	}
}

static struct hc_vm *to_resume;

static void park_from_outside(void)
{
	/* As another CPU would: ask, then let the vCPU's CPU go on. */
	to_resume->target = HC_VM_PAUSED;
	hc_vcpu_request(to_resume->vcpus[0], HC_REQ_PARK);
	test_on_irq_window = NULL;
}

static void pauses_and_resumes(void **state)
{
	struct hc_vm *vm = observed_vm(1);

	to_resume = vm;
	fake_script(vm, 0, cpuid_then_off, 3);
	hc_vm_start(vm);
	test_on_irq_window = park_from_outside;
	fake_run_cpu(0);
	assert_int_equal(hc_vm_state(vm), HC_VM_PAUSED);
	assert_int_equal(vm->vcpus[0]->stats.exits[HC_EXIT_IO].count, 0);
	assert_int_equal(hc_vm_pause(vm), -EBUSY);
	test_now_ns += 5000;
	assert_int_equal(hc_vm_state_time_ns(vm, HC_VM_PAUSED), 5000);
	assert_int_equal(hc_vm_resume(vm), 0);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_state(vm), HC_VM_STOPPED);
	assert_int_equal(hc_vm_state_entries(vm, HC_VM_RUNNING), 2);
	assert_int_equal(hc_vm_state_entries(vm, HC_VM_PAUSED), 1);
	hc_vm_destroy(vm);
}

static void stops_while_paused(void **state)
{
	struct hc_vm *vm = observed_vm(1);

	to_resume = vm;
	fake_script(vm, 0, cpuid_then_off, 3);
	hc_vm_start(vm);
	test_on_irq_window = park_from_outside;
	fake_run_cpu(0);
	assert_int_equal(hc_vm_stop(vm, HC_STOP_REQUEST, 0), 0);
	assert_int_equal(hc_vm_state(vm), HC_VM_STOPPED);
	assert_int_equal(hc_vm_resume(vm), -EBUSY);
	assert_int_equal(hc_vm_stop(vm, HC_STOP_REQUEST, 0), -EBUSY);
	hc_vm_destroy(vm);
}

/* Three busy vCPUs on one CPU take turns, in order, a slice each. */
static unsigned turns[64], turn_count;

static void note_turn(struct hc_vcpu *vcpu)
{
	if (!turn_count || turns[turn_count - 1] != vcpu->id)
		if (turn_count < 64)
			turns[turn_count++] = vcpu->id;
}

static void round_robin_takes_turns(void **state)
{
	struct fake_step steps[40];

	for (unsigned i = 0; i < 40; i++)
		steps[i] = (struct fake_step){ .exit = { .reason = i % 2 ? HC_EXIT_INTERRUPT
			                                                 : HC_EXIT_CPUID },
			                       .advance_ns = 1000000,
			                       .hook = note_turn };
	test_platform_init(1);
	struct hc_vm *vm = observed_vm(3);

	turn_count = 0;
	for (unsigned i = 0; i < 3; i++)
		fake_script(vm, i, steps, 40);
	hc_vm_start(vm);
	fake_run_cpu(0);
	assert_true(turn_count >= 12);
	for (unsigned i = 0; i < turn_count; i++)
		assert_int_equal(turns[i], i % 3);
	hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	fake_run_cpu(0);
	hc_vm_destroy(vm);
}

static void placement_spreads(void **state)
{
	test_platform_init(4);
	struct hc_vm *a = fake_vm("a", 2), *b = fake_vm("b", 2);

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(a->vcpus[i]->cpu->id, i);
		assert_int_equal(b->vcpus[i]->cpu->id, 2 + i);
	}
	hc_vm_destroy(a);
	hc_vm_destroy(b);
	assert_int_equal(hc_sched_cpu(3)->assigned, 0);
}

/* CPUs come up in any order, and stand in the order of their numbers. */
static void cpus_are_kept_in_order(void **state)
{
	static struct hc_cpu late[4];
	static const unsigned order[] = { 6, 4, 7, 5 };

	test_platform_init(4);
	for (unsigned i = 0; i < 4; i++) {
		late[i].id = order[i];
		assert_int_equal(hc_sched_add_cpu(&late[i]), 0);
	}
	assert_int_equal(hc_sched_cpu_count(), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(hc_sched_cpu(i)->id, i);
	assert_null(hc_sched_cpu(8));
}

static void halted_vcpu_wakes_on_request(void **state)
{
	struct hc_vm *vm = observed_vm(2);

	hc_vm_start(vm);
	fake_run_cpu(0);
	fake_run_cpu(1);
	assert_int_equal(vm->vcpus[1]->run_state, HC_VCPU_HALTED);
	unsigned kicks = test_kicks[1], entries = fake_of(vm->vcpus[1])->entries;

	hc_dev_lock(vm);
	hc_irq_message(vm, 1, 0x31);
	hc_dev_unlock(vm);
	assert_int_equal(vm->vcpus[1]->run_state, HC_VCPU_READY);
	assert_int_equal(test_kicks[1], kicks + 1);
	fake_run_cpu(1);
	assert_int_equal(fake_of(vm->vcpus[1])->entries, entries + 1);
	hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	fake_run_cpu(0);
	fake_run_cpu(1);
	hc_vm_destroy(vm);
}

/* An event that comes between the guest's HLT and the queue must not be slept through. */
static void event_before_sleep(struct hc_vcpu *vcpu)
{
	fake_of(vcpu)->event = true;
}

static void no_lost_wakeup(void **state)
{
	static const struct fake_step steps[] = {
		{ .exit = { .reason = HC_EXIT_HALT },
		  .action = HC_ACT_HALT,
		  .hook = event_before_sleep },
		{ .exit = { .reason = HC_EXIT_IO }, .hook = power_off },
	};
	struct hc_vm *vm = observed_vm(1);

	fake_script(vm, 0, steps, 2);
	hc_vm_start(vm);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_state(vm), HC_VM_STOPPED);
	hc_vm_destroy(vm);
}

/* The requests were taken before the sleeper was seen to sleep: it must not enter the guest. */
static void a_wake_for_nothing_enters_no_guest(void **state)
{
	struct hc_vm *vm = observed_vm(1);
	struct fake_vcpu *f = fake_of(vm->vcpus[0]);
	unsigned entries;

	fake_script(vm, 0, cpuid_then_off, 0);
	assert_int_equal(hc_vm_start(vm), 0);
	fake_run_cpu(0);
	assert_int_equal(vm->vcpus[0]->run_state, HC_VCPU_HALTED);
	entries = f->entries;
	hc_vcpu_request(vm->vcpus[0], 0);
	fake_run_cpu(0);
	assert_int_equal(f->entries, entries + 1);
	assert_int_equal(hc_vm_stop(vm, HC_STOP_REQUEST, 0), 0);
	fake_run_cpu(0);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

static void never(struct hc_timer *t, uint64_t now)
{
	fail_msg("a timer fired before its time");
}

static uint64_t deadline_in_guest;

static void note_deadline(struct hc_vcpu *vcpu)
{
	deadline_in_guest = test_deadline_ns[0];
}

/* A process waits with the deadline as time-out, and has no timer set when it is woken early. */
static void wake_with_timer_used_up(void)
{
	test_deadline_ns[0] = UINT64_MAX;
	test_on_idle = test_stop_loop;
	hc_vcpu_request(HC_CONTAINER_OF(hc_sched_cpu(0)->halted.next, struct hc_vcpu, link), 0);
}

static void idling_does_not_lose_deadlines(void **state)
{
	static const struct fake_step looks[] = {
		{ .exit = { .reason = HC_EXIT_HALT }, .action = HC_ACT_HALT },
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = note_deadline },
	};
	struct hc_vm *vm = observed_vm(1);
	struct hc_timer timer;

	hc_timer_init(&timer, vm->vcpus[0], false, never);
	hc_timer_arm(&timer, test_now_ns + 1000);
	fake_script(vm, 0, looks, 2);
	assert_int_equal(hc_vm_start(vm), 0);
	test_on_idle = wake_with_timer_used_up;
	test_run_loop();
	assert_int_equal(deadline_in_guest, test_now_ns + 1000);
	hc_timer_cancel(&timer);
	hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	fake_run_cpu(0);
	hc_vm_destroy(vm);
}

static void bad_configurations(void **state)
{
	struct hc_vm_config c = { "x", &fake_arch, &fake_backend, 1, NULL, 0, 0 };
	struct hc_vm *vm;

	c.cpus = 9; /* the backend's limit is 8 */
	assert_int_equal(hc_vm_create(&vm, &c), -ERANGE);
	assert_non_null(strstr(test_log(), "9 vCPUs asked for, 1 to 8 are supported"));
	c.cpus = 0;
	assert_int_equal(hc_vm_create(&vm, &c), -ERANGE);
	c.cpus = 1;
	c.name = "a name that is longer than a name may be";
	assert_int_equal(hc_vm_create(&vm, &c), -EINVAL);
	c.name = "";
	assert_int_equal(hc_vm_create(&vm, &c), -EINVAL);
	c.name = "x";
	fake_probe_rc = -ENODEV;
	assert_int_equal(hc_vm_create(&vm, &c), -ENODEV);
	assert_non_null(strstr(test_log(), "backend fake: replays exits"));
}

/* Memory is where the tables reach, which is where it was said to be, or where the backend can. */
static void tables_reach(void **state)
{
	static const struct {
		unsigned asked, bits;
	} cases[] = { { 0, 40 }, { 32, 32 }, { 35, 35 }, { 40, 40 }, { 41, 40 }, { 200, 40 } };
	struct hc_vm_config c = {
		.name = "x", .arch = &fake_arch, .backend = &fake_backend, .cpus = 1
	};
	static _Alignas(4096) uint8_t page[HC_PAGE_SIZE];
	struct hc_vm *vm;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		uint64_t end = HC_BIT(cases[i].bits);
		struct s2_mapping m;

		c.gpa_bits = cases[i].asked;
		assert_int_equal(hc_vm_create(&vm, &c), 0);
		assert_int_equal(hc_vm_add_slot(vm, gpa_of(end), sizeof(page), page, 0), -EINVAL);
		assert_non_null(strstr(test_log(), "wants whole pages below 0x"));
		assert_int_equal(
			hc_vm_add_slot(vm, gpa_of(end - sizeof(page)), sizeof(page), page, 0), 0);
		assert_int_equal(s2_walk(&vm->s2, gpa_of(end - 1), &m), 0);
		assert_int_equal(hc_vm_destroy(vm), 0);
	}
	c.gpa_bits = 31;
	assert_int_equal(hc_vm_create(&vm, &c), -EINVAL);
	assert_non_null(strstr(test_log(), "31-bit addresses"));
}

/* Whatever allocation fails, creation says so and leaves nothing behind. */
static void creation_survives_exhaustion(void **state)
{
	struct hc_vm_config c = { "x", &fake_arch, &fake_backend, 4, NULL, 0, 0 };
	uint64_t before = test_allocated;

	for (unsigned n = 1;; n++) {
		struct hc_vm *vm = NULL;

		test_fail_alloc = n;
		int rc = hc_vm_create(&vm, &c);

		if (!rc)
			rc = hc_vm_add_ram(vm, gpa_of(0), 64 * HC_MIB);
		bool reached = test_fail_alloc == 0;

		test_fail_alloc = 0;
		if (vm)
			hc_vm_destroy(vm);
		assert_int_equal(test_allocated, before);
		if (!reached) {
			assert_int_equal(rc, 0);
			assert_true(n > 6);
			break;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(runs_until_power_off, setup),
		cmocka_unit_test_setup(first_cause_wins, setup),
		cmocka_unit_test_setup(failures_name_vcpu_exit_and_pc, setup),
		cmocka_unit_test_setup(pauses_and_resumes, setup),
		cmocka_unit_test_setup(stops_while_paused, setup),
		cmocka_unit_test_setup(round_robin_takes_turns, setup),
		cmocka_unit_test_setup(placement_spreads, setup),
		cmocka_unit_test_setup(cpus_are_kept_in_order, setup),
		cmocka_unit_test_setup(halted_vcpu_wakes_on_request, setup),
		cmocka_unit_test_setup(no_lost_wakeup, setup),
		cmocka_unit_test_setup(a_wake_for_nothing_enters_no_guest, setup),
		cmocka_unit_test_setup(idling_does_not_lose_deadlines, setup),
		cmocka_unit_test_setup(bad_configurations, setup),
		cmocka_unit_test_setup(tables_reach, setup),
		cmocka_unit_test_setup(creation_survives_exhaustion, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
