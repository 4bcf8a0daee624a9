/* SPDX-License-Identifier: BSD-2-Clause */
/* A TSC of another rate than the machine's: what reads it, what waits for it, what tells of it. */
#include <hypercore/errno.h>
#include <string.h>

#include "arch/x86_64/cpuid.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_env.h"

#define MSR_TSC          0x10
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_APIC_BASE    0x1b

static struct hc_backend_ops first, second;
static uint64_t first_ratio, second_ratio;
static int first_rc;
static uint64_t seed;

/* The test's counter has 1 GHz. */
static int ratio_of_first(uint64_t hz, uint64_t *ratio)
{
	*ratio = first_ratio ? first_ratio : x86_tsc_ratio(hz, 1000000000, 32);
	return first_rc;
}

static int ratio_of_second(uint64_t hz, uint64_t *ratio)
{
	*ratio = second_ratio ? second_ratio : x86_tsc_ratio(hz, 1000000000, 32);
	return 0;
}

static int setup(void **state)
{
	test_platform_init(1);
	first = second = scripted_backend;
	first.tsc_ratio = ratio_of_first;
	second.tsc_ratio = ratio_of_second;
	second.name = "second";
	first_ratio = second_ratio = 0;
	first_rc = 0;
	seed = 13;
	test_now_ns = 5000000000;
	return 0;
}

static int make(struct hc_vm **vm, uint64_t hz, const struct hc_backend_ops *other)
{
	const struct hc_vm_config config = { .name = "tsc",
		                             .arch = &x86_arch_ops,
		                             .backend = &first,
		                             .cpus = 2,
		                             .other = other,
		                             .tsc_hz = hz };

	return hc_vm_create(vm, &config);
}

static struct hc_vm *vm_of(uint64_t hz)
{
	struct hc_vm *vm = NULL;

	assert_int_equal(make(&vm, hz, NULL), 0);
	return vm;
}

static uint64_t random_rate(void)
{
	return (1000 + test_below(&seed, test_below(&seed, 2) ? 5000000 : 90000000)) * 1000;
}

static uint64_t rdmsr(struct hc_vcpu *vcpu, uint32_t msr)
{
	const struct hc_exit exit = { .reason = HC_EXIT_MSR_READ, .next_pc = 2 };
	struct x86_state *s = x86_env_state(vcpu);

	s->gpr[X86_RCX] = msr;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	return s->gpr[X86_RDX] << 32 | (uint32_t)s->gpr[X86_RAX];
}

static void wrmsr(struct hc_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	const struct hc_exit exit = { .reason = HC_EXIT_MSR_WRITE, .next_pc = 2 };
	struct x86_state *s = x86_env_state(vcpu);

	s->gpr[X86_RCX] = msr;
	s->gpr[X86_RAX] = (uint32_t)value;
	s->gpr[X86_RDX] = value >> 32;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
}

/* --- The counter --- */

static uint64_t ticks_of(uint64_t ns, uint64_t hz)
{
	return (uint64_t)((unsigned __int128)ns * hz / 1000000000);
}

/* Less than a tick lost by rounding, and 2^-32 of the rate. */
static void assert_ticks(uint64_t found, uint64_t ns, uint64_t hz)
{
	uint64_t expected = ticks_of(ns, hz);

	assert_in_range(found, expected - expected / 1000000000 - 2, expected + 1);
}

static void runs_at_its_rate(void **state)
{
	for (unsigned i = 0; i < 50; i++) {
		uint64_t hz = random_rate(),
			 ns = test_random(&seed) >> (20 + test_below(&seed, 20));
		struct hc_vm *vm = vm_of(hz);

		assert_int_equal(rdmsr(vm->vcpus[0], MSR_TSC), 0); /* it begins with the VM */
		assert_int_equal(x86_state_of(vm->vcpus[1])->tsc_offset,
		                 x86_state_of(vm->vcpus[0])->tsc_offset);
		test_now_ns += ns;
		assert_ticks(rdmsr(vm->vcpus[0], MSR_TSC), ns, hz);
		assert_ticks(rdmsr(vm->vcpus[1], MSR_TSC), ns, hz);
		x86_vcpu_reset(vm->vcpus[0], true); /* like the others' still */
		assert_ticks(rdmsr(vm->vcpus[0], MSR_TSC), ns, hz);
		wrmsr(vm->vcpus[0], MSR_TSC, 1000);
		assert_int_equal(rdmsr(vm->vcpus[0], MSR_TSC), 1000);
		test_now_ns += ns;
		assert_ticks(rdmsr(vm->vcpus[0], MSR_TSC) - 1000, ns, hz);
		hc_vm_destroy(vm);
	}
}

static void deadlines_are_the_guests(void **state)
{
	for (unsigned i = 0; i < 50; i++) {
		uint64_t hz = random_rate(), ns = 1000 + test_below(&seed, 1000000000), start;
		struct hc_vm *vm = vm_of(hz);
		struct hc_vcpu *vcpu = vm->vcpus[0];

		x86_apic_mmio_write(vcpu, APIC_SVR, 0x1ff);
		x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x40030);
		test_now_ns += test_below(&seed, 1000000);
		start = test_now_ns;
		wrmsr(vcpu, MSR_TSC_DEADLINE, rdmsr(vcpu, MSR_TSC) + ticks_of(ns, hz));
		/* Nobody is woken in vain meanwhile. */
		assert_in_range(vcpu->timers.next_ns,
		                start + ns - ns / 1000000 - 1000000000 / hz - 2,
		                start + ns + ns / 1000000 + 1000000000 / hz + 2);
		test_now_ns = start + ns - ns / 1000000 - 1000000000 / hz - 2;
		hc_timers_run(vcpu, test_now_ns);
		assert_int_not_equal(rdmsr(vcpu, MSR_TSC_DEADLINE), 0);
		test_now_ns = start + ns + ns / 1000000 + 1000000000 / hz + 2;
		hc_timers_run(vcpu, test_now_ns);
		assert_int_equal(rdmsr(vcpu, MSR_TSC_DEADLINE), 0);
		hc_vm_destroy(vm);
	}
}

/* Nor because a deadline is so far away that it does not fit. */
static void far_deadlines(void **state)
{
	static const uint64_t rates[] = { 1000000, 62000000, 2500000000, 100000000000 };
	const uint64_t year_ns = UINT64_C(31536000) * 1000000000;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rates); i++) {
		struct hc_vm *vm = vm_of(rates[i]);
		struct hc_vcpu *vcpu = vm->vcpus[0];

		x86_apic_mmio_write(vcpu, APIC_SVR, 0x1ff);
		x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x40030);
		for (unsigned shift = 0; shift < 8; shift++) {
			uint64_t ticks = UINT64_MAX >> shift;
			uint64_t ns = ticks / rates[i] > 31536000 ? year_ns
			                                          : ticks / rates[i] * 1000000000;

			wrmsr(vcpu, MSR_TSC_DEADLINE, ticks);
			assert_true(vcpu->timers.next_ns - test_now_ns >= ns - ns / 1000);
		}
		hc_vm_destroy(vm);
	}
}

/* --- What CPUID tells --- */

static void check_rates(struct hc_vm *vm, uint64_t hz)
{
	uint32_t r[4];

	x86_cpuid(vm->vcpus[0], 0x40000000, 0, r);
	assert_int_equal(r[0], 0x40000010);
	x86_cpuid(vm->vcpus[0], 0x40000010, 0, r);
	assert_int_equal(r[0], hz / 1000);
	assert_int_equal(r[1], X86_APIC_TIMER_HZ / 1000);
	x86_cpuid(vm->vcpus[0], 0x15, 0, r);
	if (r[0]) { /* exact, also for who computes as Linux does */
		assert_true((unsigned __int128)r[2] * r[1] == (unsigned __int128)hz * r[0]);
		assert_int_equal(r[2], X86_APIC_TIMER_HZ);
		uint32_t khz = r[2] / 1000 * r[1] / r[0];

		assert_int_equal(khz, hz / 1000);
	}
}

static unsigned last_leaf(struct hc_vm *vm)
{
	uint32_t r[4];

	x86_cpuid(vm->vcpus[0], 0, 0, r);
	return r[0];
}

static void cpuid_tells(void **state)
{
	for (unsigned host = X86_HOST_EPYC; host <= X86_HOST_SKYLAKE; host++) {
		unsigned told = 0;

		x86_host = (enum x86_host)host;
		for (unsigned i = 0; i < 200; i++) {
			uint64_t hz =
				i % 2 ? random_rate() : (1 + test_below(&seed, 5000)) * 1000000;
			struct hc_vm *vm = vm_of(hz);

			check_rates(vm, hz);
			told += last_leaf(vm) == 0x15;
			hc_vm_destroy(vm);
		}
		if (host == X86_HOST_EPYC)
			assert_int_equal(told, 0);
		else
			assert_in_range(told, 60, 140);
	}
	x86_host = X86_HOST_EPYC;
}

/* Nothing is told of a rate that was not asked for: it may change when the guest moves. */
static void cpuid_is_silent_otherwise(void **state)
{
	uint32_t r[4];

	for (unsigned host = 0; host < X86_HOST_COUNT; host++) {
		x86_host = (enum x86_host)host;
		struct hc_vm *vm = vm_of(0);

		assert_true(last_leaf(vm) < 0x15);
		for (uint32_t leaf = 0x15; leaf < 0x50000000; leaf += 0x40000010 - 0x15) {
			x86_cpuid(vm->vcpus[0], leaf, 0, r);
			assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
		}
		x86_cpuid(vm->vcpus[0], 0x40000000, 0, r);
		assert_int_equal(r[0], 0x40000001);
		assert_int_equal(x86_state_of(vm->vcpus[0])->tsc_ratio, 0);
		hc_vm_destroy(vm);
	}
	x86_host = X86_HOST_EPYC;
}

/* --- What is refused --- */

static void refuses(uint64_t hz, const struct hc_backend_ops *other, int rc, const char *says)
{
	struct hc_vm *vm = NULL;

	test_platform_init(1);
	assert_int_equal(make(&vm, hz, other), rc);
	if (!strstr(test_log(), says))
		fail_msg("%s: not in: %s", says, test_log());
	assert_int_equal(test_allocated, 0);
}

static void bad_rates(void **state)
{
	static const uint64_t bad[] = { 1, 999000, 2500000001, 100000001000, UINT64_MAX };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(bad); i++)
		refuses(bad[i], NULL, -EINVAL, "wants whole kHz, from 1 MHz to 100 GHz");
}

static void backends_that_cannot(void **state)
{
	first_rc = -EOPNOTSUPP;
	refuses(2000000000, NULL, -EOPNOTSUPP, "");
	first_rc = 0;
	first.tsc_ratio = NULL;
	refuses(2000000000, NULL, -EOPNOTSUPP, "a TSC of 2000000000 Hz: backend scripted cannot");
	first.tsc_ratio = ratio_of_first;
	second.tsc_ratio = NULL;
	refuses(2000000000, &second, -EOPNOTSUPP, "backend second cannot");
}

static uint64_t agreed(void)
{
	struct hc_vm *vm = NULL;
	uint64_t ratio;

	assert_int_equal(make(&vm, 2000000000, &second), 0);
	ratio = x86_state_of(vm->vcpus[0])->tsc_ratio;
	assert_int_equal(x86_state_of(vm->vcpus[1])->tsc_ratio, ratio);
	hc_vm_destroy(vm);
	return ratio;
}

/* Two that compute it for themselves have to come to the same; software takes what the other has.
 */
static void two_backends(void **state)
{
	assert_int_equal(agreed(), HC_BIT(49));
	first_ratio = 5;
	refuses(2000000000, &second, -EOPNOTSUPP,
	        "backends scripted and second would have it differ");
	second.s2_any = true;
	assert_int_equal(agreed(), 5);
	second.s2_any = false;
	first.s2_any = true;
	assert_int_equal(agreed(), HC_BIT(49));
	second_ratio = 7;
	assert_int_equal(agreed(), 7);
}

/* Against division by the compiler's means. */
static void factors(void **state)
{
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t hz = 1 + (test_random(&seed) >> (16 + test_below(&seed, 40)));
		uint64_t of = 1 + (test_random(&seed) >> (16 + test_below(&seed, 40)));
		unsigned bits = i % 2 ? 32 : 48;
		unsigned __int128 exact = ((unsigned __int128)hz << bits) / of << (48 - bits);

		if (hz / of >> 16)
			exact = 0;
		assert_true(x86_tsc_ratio(hz, of, bits) == exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(runs_at_its_rate, setup),
		cmocka_unit_test_setup(deadlines_are_the_guests, setup),
		cmocka_unit_test_setup(far_deadlines, setup),
		cmocka_unit_test_setup(cpuid_tells, setup),
		cmocka_unit_test_setup(cpuid_is_silent_otherwise, setup),
		cmocka_unit_test_setup(bad_rates, setup),
		cmocka_unit_test_setup(backends_that_cannot, setup),
		cmocka_unit_test_setup(two_backends, setup),
		cmocka_unit_test_setup(factors, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
