/* SPDX-License-Identifier: BSD-2-Clause */
/* limit() by the preemption timer: guest time is what counts, and entries have no part in it. The
 * same timer as a watchdog: no guest keeps its CPU for long. */
#include "tests/model/vmx_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"

static uint64_t advance_ns;
static uint64_t random_state = 26;

static uint64_t below(uint64_t bound)
{
	return test_below(&random_state, bound);
}

static void let_time_pass(uint64_t *gpr)
{
	test_now_ns += advance_ns;
}

/* The guest runs for some time, and exits for something else unless its time is over. */
static struct hc_exit run_for(unsigned vcpu, uint64_t ns)
{
	static const struct model_step steps[] = {
		{ .op = OP_CALL, .fn = let_time_pass },
		{ .op = OP_EXIT, .reason = VMX_REASON_CPUID, .len = 2 },
	};

	advance_ns = ns;
	return rig_run_script(vcpu, steps);
}

/* Guest time until the timer's exit, for this reason, in rounds of at most most_ns each; the time
 * between rounds must not count. */
static uint64_t until(enum hc_exit_reason reason, uint64_t most_ns)
{
	uint64_t guest = 0;

	for (;;) {
		uint64_t ns = 1 + below(most_ns);
		struct hc_exit exit = run_for(0, ns);

		guest += ns;
		if (exit.reason == reason)
			return guest;
		assert_int_equal(exit.reason, HC_EXIT_CPUID);
		test_now_ns += below(3 * most_ns);
	}
}

/* The model's TSC counts nanoseconds, its timer as bit 5 of them changes: every round's start may
 * cost a step or win one. */
static void test_guest_time_ends_it(void **state)
{
	rig_start(&rig_full);
	assert_true(vmx_caps.preemption_timer);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t ns = 1 + below(5000000), most = 1 + below(400000);

		if (i % 3 == 0) { /* before load(), as the scheduler does */
			rig_put(0);
			assert_true(vmx_backend.limit(&rig_vcpus[0].vcpu, ns));
			rig_load(0, i % 2);
		} else {
			assert_true(vmx_backend.limit(&rig_vcpus[0].vcpu, ns));
		}
		uint64_t rounds_most = ns / (most / 2 + 1) * 4 + 64,
			 got = until(HC_EXIT_SLICE, most);

		assert_in_range(got, ns - hc_min(ns, 32 * rounds_most),
		                ns + 32 * rounds_most + most);
	}
	rig_stop();
}

/* In one go, it is exact to the timer's step, and never too early. */
static void test_one_round(void **state)
{
	rig_start(&rig_full);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t ns = 33 + below(5000000);
		struct hc_vcpu *vcpu = &rig_vcpus[0].vcpu;

		test_now_ns += below(100);
		assert_true(vmx_backend.limit(vcpu, ns));
		assert_int_equal(run_for(0, ns - 32).reason, HC_EXIT_CPUID);
		assert_true(vmx_backend.limit(vcpu, ns));
		assert_int_equal(run_for(0, ns + 64).reason, HC_EXIT_SLICE);
		/* It stands at its end: nothing more happens in the guest until it is set again. */
		uint64_t rip = rig_state(0)->rip;

		assert_int_equal(run_for(0, 0).reason, HC_EXIT_SLICE);
		assert_int_equal(rig_state(0)->rip, rip);
		assert_true(vmx_backend.limit(vcpu, UINT64_MAX));
		assert_int_equal(run_for(0, 4000000).reason, HC_EXIT_CPUID);
	}
	rig_stop();
}

static void test_entries_write_nothing(void **state)
{
	rig_start(&rig_full);
	struct hc_vcpu *vcpu = &rig_vcpus[0].vcpu;

	assert_true(vmx_backend.limit(vcpu, 5000000));
	run_for(0, 10);
	unsigned writes = model_this()->writes;

	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(run_for(0, 100).reason, HC_EXIT_CPUID);
	assert_int_equal(model_this()->writes, writes);
	/* Nor is it written where it has no limit anyway. */
	assert_true(vmx_backend.limit(vcpu, UINT64_MAX));
	writes = model_this()->writes;
	assert_true(vmx_backend.limit(vcpu, UINT64_MAX));
	assert_int_equal(model_this()->writes, writes);
	rig_stop();
}

/* Without a limit, and with one that is far off: not a slice's end, and more than a slice is long.
 */
static void assert_watched(void)
{
	const uint64_t least = 6000000, most = 50000000, round = 100000;
	uint64_t got = until(HC_EXIT_INTERRUPT, round);

	assert_in_range(got, least, most);
}

static void set_limit(uint64_t ns)
{
	assert_true(vmx_backend.limit(&rig_vcpus[0].vcpu, ns));
}

static void test_watchdog(void **state)
{
	rig_start(&rig_full);
	for (unsigned i = 0; i < 20; i++) {
		assert_watched();
		set_limit(UINT64_MAX); /* as the tick after the exit does: it is taken up again */
		assert_watched();
		set_limit(1000000000 + below(1000000000));
		assert_watched();
		set_limit(1 + below(5000000));
		set_limit(UINT64_MAX); /* the slice's end is none any more */
		assert_watched();
		set_limit(1);
		assert_int_equal(run_for(0, 2000).reason, HC_EXIT_SLICE);
		/* put() forgets what was left. */
		rig_put(0);
		rig_load(0, 0);
	}
	rig_stop();
}

/* The time counts on if it is said again that there is no limit, as every tick does. */
static void test_watchdog_goes_on(void **state)
{
	uint64_t guest = 0;

	rig_start(&rig_full);
	while (run_for(0, 100000).reason == HC_EXIT_CPUID) {
		guest += 100000;
		assert_in_range(guest, 0, 50000000);
		set_limit(UINT64_MAX);
	}
	rig_stop();
}

/* However long, of whatever step: what does not fit comes to its end sooner, never at once. */
static void test_any_length(void **state)
{
	struct model_features f = rig_full;

	for (unsigned shift = 0; shift < 32; shift++) {
		f.caps.misc = (rig_full.caps.misc & ~UINT64_C(0x1f)) | shift;
		rig_start(&f);
		for (unsigned bits = 0; bits < 64; bits++) {
			uint64_t ns = (UINT64_C(1) << bits) + below(UINT64_C(1) << bits);

			assert_true(vmx_backend.limit(&rig_vcpus[0].vcpu, ns));
			assert_in_range(rig_get(0, VMCS_PREEMPTION_TIMER_VALUE), 1,
			                (50000000 >> shift) + 1);
		}
		rig_stop();
	}
}

/* It needs both: a timer, and one that keeps its value. */
static void test_without(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct model_features f = i == 2 ? rig_plain : rig_full;

		if (i == 0)
			f.caps.pin &= ~(VMX_PIN_PREEMPTION_TIMER << 32);
		if (i == 1)
			f.caps.exit &= ~(VMX_EXIT_SAVE_PREEMPTION << 32);
		rig_start(&f);
		assert_false(vmx_caps.preemption_timer);
		assert_false(vmx_backend.limit(&rig_vcpus[0].vcpu, 1000));
		assert_false(rig_get(0, VMCS_PIN_BASED_CONTROLS) & VMX_PIN_PREEMPTION_TIMER);
		assert_false(rig_get(0, VMCS_EXIT_CONTROLS) & VMX_EXIT_SAVE_PREEMPTION);
		assert_int_equal(run_for(0, 1000000000).reason, HC_EXIT_CPUID);
		rig_stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guest_time_ends_it),
		cmocka_unit_test(test_one_round),
		cmocka_unit_test(test_entries_write_nothing),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_watchdog_goes_on),
		cmocka_unit_test(test_any_length),
		cmocka_unit_test(test_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
