/* SPDX-License-Identifier: BSD-2-Clause */
/* What an AArch64 guest's CPU is: reset, ID registers on all kinds of hosts, exceptions. */
#include <string.h>

#include "tests/a64_env.h"
#include "tests/platform.h"
#include "tests/unit.h"

static struct hc_vm *vm_on(enum a64_host host, unsigned cpus)
{
	a64_host = host;
	struct hc_vm *vm = a64_env_vm_with_gic(cpus, 0);

	assert_non_null(vm);
	return vm;
}

/* --- Reset --- */

static void test_reset(void **state)
{
	struct hc_vm *vm = vm_on(A64_HOST_N1, 32);

	for (unsigned i = 0; i < 32; i++) {
		struct a64_state *s = a64_env_set(vm->vcpus[i]);

		memset(s, 0x5a, sizeof(*s));
		a64_vcpu_reset(vm->vcpus[i]);
		assert_int_equal(s->pstate, 0x3c5);
		assert_int_equal(s->pc, 0);
		assert_int_equal(s->midr, 0x414fd0c1);
		assert_int_equal(s->mpidr, HC_BIT(31) | (uint64_t)(i / 16) << 8 | i % 16);
		assert_int_equal(s->sys[A64_SCTLR_EL1] & 1, 0);
		assert_int_equal(s->sys[A64_SCTLR_EL1] & 0x30d00800, 0x30d00800);
		assert_int_equal(s->cntv_ctl, 0);
		assert_int_equal(s->cntvoff, a64_vm_of(vm)->cntvoff);
		assert_false(s->serror);
		assert_int_equal(vm->vcpus[i]->dirty & A64_G_ALL, A64_G_ALL);
	}
	a64_env_end(vm);
}

/* --- ID registers --- */

struct expected {
	unsigned index;
	uint64_t value[3]; /* A57, N1, all ones */
};

/* By hand, from the hosts' values: with a stage 2 of 40 bits and GICv3. */
static const struct expected expected[] = {
	{ A64_ID_AT(4, 0),
	  { 0x01000011, UINT64_C(0x1100000001110011), UINT64_C(0x1101000001ff0011) } },
	{ A64_ID_AT(4, 1), { 0, 0x20, UINT64_C(0x0000000100000021) } },
	{ A64_ID_AT(5, 0),
	  { UINT64_C(0xf010305006), UINT64_C(0xf010305006), UINT64_C(0xf0f0f0f006) } },
	{ A64_ID_AT(6, 0),
	  { 0x11120, UINT64_C(0x0000100010211120), UINT64_C(0x1221111110212120) } },
	{ A64_ID_AT(6, 1), { 0, 0x100001, UINT64_C(0x0011111100211002) } },
	{ A64_ID_AT(6, 2), { 0, 0, 0x10100000 } },
	{ A64_ID_AT(7, 0), { 0x22, 0x100022, UINT64_C(0x00001000ff100022) } },
	{ A64_ID_AT(7, 1), { 0, 0x202002, UINT64_C(0x1000001000302002) } },
	{ A64_ID_AT(7, 2), { 0, 0x11, UINT64_C(0x1021000110100011) } },
};

static uint64_t expected_id(unsigned index, unsigned host)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(expected); i++)
		if (expected[i].index == index)
			return expected[i].value[host];
	return 0;
}

static void test_id_of_known_hosts(void **state)
{
	static const enum a64_host hosts[] = { A64_HOST_A57, A64_HOST_N1, A64_HOST_ALL_ONES };

	for (unsigned h = 0; h < HC_ARRAY_SIZE(hosts); h++) {
		struct hc_vm *vm = vm_on(hosts[h], 1);

		for (unsigned i = 0; i < A64_ID_COUNT; i++)
			assert_int_equal(a64_vm_of(vm)->id[i], expected_id(i, h));
		a64_env_end(vm);
	}
}

/* A field shows what the host has, or less, or nothing; and what all ones do not show is never
 * shown. The fixed ones are those that a host of zeros shows. */
static void check_field(uint64_t id, uint64_t host, uint64_t zeros, uint64_t ones, unsigned shift)
{
	uint64_t v = hc_bits(id, shift + 3, shift), h = hc_bits(host, shift + 3, shift);
	uint64_t z = hc_bits(zeros, shift + 3, shift), o = hc_bits(ones, shift + 3, shift);

	if (z)
		assert_int_equal(v, z);
	else
		assert_true(v <= h && (v <= o || o == 15)); /* 15: not there, or a count */
}

/* Fields in which 15 is "not there" say it if the host does. */
static void check_absent(const struct hc_vm *vm, unsigned index, unsigned shift)
{
	const uint64_t *id = ((const struct a64_vm *)(const void *)vm)->id;
	uint64_t host = a64_host_id(A64_SYSREG(3, 0, 0, index / 8 + 1, index % 8));

	assert_int_equal(hc_bits(host, shift + 3, shift) == 15,
	                 hc_bits(id[index], shift + 3, shift) == 15);
}

static void test_id_of_any_host(void **state)
{
	uint64_t zeros[A64_ID_COUNT], ones[A64_ID_COUNT];
	struct hc_vm *vm = vm_on(A64_HOST_ZERO, 1);

	memcpy(zeros, a64_vm_of(vm)->id, sizeof(zeros));
	a64_env_end(vm);
	assert_int_equal(zeros[A64_ID_AA64PFR0], 0x01000011);
	assert_int_equal(zeros[A64_ID_AA64DFR0], UINT64_C(0xf000000006));
	vm = vm_on(A64_HOST_ALL_ONES, 1);
	memcpy(ones, a64_vm_of(vm)->id, sizeof(ones));
	a64_env_end(vm);
	for (a64_host_seed = 1; a64_host_seed < 300; a64_host_seed++) {
		vm = vm_on(A64_HOST_RANDOM, 1);
		a64_host = A64_HOST_RANDOM;
		for (unsigned i = 0; i < A64_ID_COUNT; i++) {
			uint32_t number = A64_SYSREG(3, 0, 0, i / 8 + 1, i % 8);

			for (unsigned shift = 0; shift < 64; shift += 4)
				check_field(a64_vm_of(vm)->id[i], a64_host_id(number), zeros[i],
				            ones[i], shift);
		}
		check_absent(vm, A64_ID_AA64PFR0, 16);
		check_absent(vm, A64_ID_AA64PFR0, 20);
		check_absent(vm, A64_ID_AA64MMFR0, 24);
		check_absent(vm, A64_ID_AA64MMFR0, 28);
		uint64_t dfr0 = a64_vm_of(vm)->id[A64_ID_AA64DFR0];

		assert_true(hc_bits(dfr0, 31, 28) <= hc_bits(dfr0, 15, 12));
		a64_env_end(vm);
	}
}

/* Addresses are no wider than stage 2's. */
static void test_id_parange(void **state)
{
	static const struct {
		unsigned bits, range;
	} cases[] = { { 32, 0 }, { 35, 0 }, { 36, 1 }, { 39, 1 }, { 40, 2 },
		      { 42, 3 }, { 44, 4 }, { 47, 4 }, { 48, 5 } };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		script_gpa_bits = cases[i].bits;
		struct hc_vm *vm = vm_on(A64_HOST_ALL_ONES, 1);

		assert_int_equal(a64_vm_of(vm)->id[A64_ID_AA64MMFR0] & 15, cases[i].range);
		a64_env_end(vm);
		vm = vm_on(A64_HOST_A57, 1); /* 44 bits */
		assert_int_equal(a64_vm_of(vm)->id[A64_ID_AA64MMFR0] & 15,
		                 cases[i].range < 4 ? cases[i].range : 4);
		a64_env_end(vm);
	}
	script_gpa_bits = 40;
}

static void test_id_gic(void **state)
{
	struct hc_vm *vm = vm_on(A64_HOST_N1, 1);

	for (unsigned version = 0; version < 4; version++) {
		a64_set_gic_version(vm, version);
		assert_int_equal(hc_bits(a64_vm_of(vm)->id[A64_ID_AA64PFR0], 27, 24), version == 3);
	}
	a64_env_end(vm);
}

/* --- Exceptions --- */

/* AArch64.TakeException() to EL1, as the manual has it, one field after the other. */
static void reference_entry(struct a64_state *s, bool has_pan, bool has_ssbs)
{
	uint64_t sctlr = s->sys[A64_SCTLR_EL1], old = s->pstate, new = 5 | 0xfu << 6;
	unsigned offset;

	if (old & 0x10)
		offset = 0x600;
	else if ((old & 0xc) == 0)
		offset = 0x400;
	else
		offset = old & 1 ? 0x200 : 0;
	new |= old &UINT64_C(0xf0000000); /* N Z C V */
	new |= old &HC_BIT(24);           /* DIT */
	new |= old &HC_BIT(22);           /* PAN */
	if (has_pan && !(sctlr & HC_BIT(23)))
		new |= HC_BIT(22);
	if (has_ssbs && sctlr & HC_BIT(44))
		new |= HC_BIT(12);
	s->sys[A64_SPSR_EL1] = old;
	s->sys[A64_ELR_EL1] = s->pc;
	s->pc = (s->sys[A64_VBAR_EL1] >> 11 << 11) + offset;
	s->pstate = new;
}

static const uint8_t modes[] = { 0x0, 0x4, 0x5, 0x10 };

static struct a64_state random_state(unsigned mode)
{
	struct a64_state s = { 0 };

	for (unsigned i = 0; i < A64_SYS_COUNT; i++)
		s.sys[i] = a64_env_random();
	s.pc = a64_env_random() & ~UINT64_C(3);
	s.pstate = (a64_env_random() & UINT64_C(0xf1f01fc0)) | mode;
	return s;
}

enum how { RAISE, RAISE_AT, UNDEFINED, EXTERNAL_READ, EXTERNAL_WRITE, EXTERNAL_FETCH, HOWS };

/* Raises, and tells the reference what it adds. */
static void raise(struct hc_vcpu *vcpu, enum how how, struct a64_state *want)
{
	bool el1 = want->pstate & 0xc;
	gva_t far = gva_of(a64_env_random());
	uint64_t esr = HC_BIT(25);

	switch (how) {
	case RAISE:
		a64_raise(vcpu, A64_EC_ILLEGAL, 0x123);
		esr |= UINT64_C(0x0e) << 26 | 0x123;
		break;
	case RAISE_AT:
		a64_raise_at(vcpu, A64_EC_PC_ALIGN, 0, far);
		esr |= UINT64_C(0x22) << 26;
		break;
	case UNDEFINED: a64_raise_undefined(vcpu); break;
	case EXTERNAL_READ:
	case EXTERNAL_WRITE:
		a64_raise_external(vcpu, far, false, how == EXTERNAL_WRITE);
		esr |= (el1 ? UINT64_C(0x25) : 0x24) << 26 | 0x10;
		esr |= how == EXTERNAL_WRITE ? 0x40 : 0;
		break;
	case EXTERNAL_FETCH:
		a64_raise_external(vcpu, far, true, false);
		esr |= (el1 ? UINT64_C(0x21) : 0x20) << 26 | 0x10;
		break;
	case HOWS:
	default: fail();
	}
	want->sys[A64_ESR_EL1] = esr;
	if (how != RAISE && how != UNDEFINED)
		want->sys[A64_FAR_EL1] = far.v;
}

static void test_exceptions(void **state)
{
	static const enum a64_host hosts[] = { A64_HOST_A57, A64_HOST_N1 };

	for (unsigned h = 0; h < 2; h++) {
		struct hc_vm *vm = vm_on(hosts[h], 1);
		struct hc_vcpu *vcpu = vm->vcpus[0];
		struct hc_exit nothing = { .reason = HC_EXIT_INTERRUPT };

		for (unsigned n = 0; n < 2000; n++) {
			struct a64_state want = random_state(modes[n % 4]);
			struct a64_state *s = a64_env_set(vcpu);

			s->pc = want.pc;
			s->pstate = want.pstate;
			memcpy(s->sys, want.sys, sizeof(s->sys));
			script_round(vcpu, &nothing); /* SYS is rubbish now */
			reference_entry(&want, hosts[h] == A64_HOST_N1, hosts[h] == A64_HOST_N1);
			uint64_t pstate = want.pstate;

			want.pstate = want.sys[A64_SPSR_EL1];
			raise(vcpu, n / 4 % HOWS, &want);
			want.pstate = pstate;
			script_round(vcpu, &nothing); /* and goes to the hardware and back */
			s = a64_env_state(vcpu);
			assert_int_equal(s->pc, want.pc);
			assert_int_equal(s->pstate, want.pstate);
			assert_memory_equal(s->sys, want.sys, sizeof(s->sys));
		}
		a64_env_end(vm);
	}
}

static void test_serror(void **state)
{
	struct hc_vm *vm = vm_on(A64_HOST_A57, 1);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct hc_exit exit = { .reason = HC_EXIT_SERROR, .u.serror.syndrome = 0xbe123456 };

	for (unsigned i = 0; i < 2; i++) {
		a64_env_set(vcpu)->serror = false;
		assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
		vcpu->stats.exits[HC_EXIT_SERROR].count++;
		script_round(vcpu, &exit);
		assert_true(a64_env_state(vcpu)->serror);
		assert_int_equal(a64_env_state(vcpu)->vsesr, 0x123456);
	}
	/* Told once. */
	assert_non_null(strstr(test_log(), "SError 0xbe123456"));
	assert_null(strstr(strstr(test_log(), "SError") + 1, "SError"));
	a64_env_end(vm);
}

/* A step of the guest's own debugger ends with the instruction. */
static void test_skip(void **state)
{
	struct hc_vm *vm = vm_on(A64_HOST_A57, 1);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	const struct hc_exit exit = { .reason = HC_EXIT_SYSREG,
		                      .next_pc = 0x1004,
		                      .u.sysreg = { A64_SYSREG(3, 0, 0, 0, 0), 31, 0 } };

	a64_env_set(vcpu)->pstate = A64_PSTATE_EL1H | A64_PSTATE_SS | 3 << 10 | 1u << 30;
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(a64_env_state(vcpu)->pc, 0x1004);
	assert_int_equal(a64_env_state(vcpu)->pstate, A64_PSTATE_EL1H | 1u << 30);
	assert_true(vcpu->dirty & A64_G_CORE);
	a64_env_end(vm);
}

/* --- Ends --- */

static void test_refused(void **state)
{
	static const enum hc_exit_reason reasons[] = { HC_EXIT_ENTRY_FAILED, HC_EXIT_UNKNOWN };

	for (unsigned i = 0; i < 2; i++) {
		struct hc_vm *vm = vm_on(A64_HOST_A57, 1);
		const struct script_step step = { { .reason = reasons[i], .u.raw = { 77, 0, 0 } },
			                          0,
			                          NULL };

		script_set(vm->vcpus[0], &step, 1);
		assert_int_equal(hc_vm_start(vm), 0);
		test_run_until_idle();
		assert_int_equal(hc_vm_state(vm), HC_VM_FAILED);
		assert_non_null(strstr(hc_vm_reason(vm), "scripted code 77"));
		a64_env_end(vm);
	}
}

/* Reasons that are none of an AArch64 guest's end its VM, and nothing else. */
static void test_foreign_reasons(void **state)
{
	static const enum hc_exit_reason reasons[] = { HC_EXIT_IO,       HC_EXIT_CPUID,
		                                       HC_EXIT_MSR_READ, HC_EXIT_XSETBV,
		                                       HC_EXIT_SHUTDOWN, HC_EXIT_WINDOW,
		                                       HC_EXIT_CACHE };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(reasons); i++) {
		struct hc_vm *vm = vm_on(A64_HOST_A57, 1);
		const struct script_step step = { { .reason = reasons[i] }, 0, NULL };

		script_set(vm->vcpus[0], &step, 1);
		assert_int_equal(hc_vm_start(vm), 0);
		test_run_until_idle();
		assert_int_equal(hc_vm_state(vm), HC_VM_FAILED);
		a64_env_end(vm);
	}
}

static void test_undefined(void **state)
{
	struct hc_vm *vm = vm_on(A64_HOST_A57, 1);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	const struct hc_exit exit = { .reason = HC_EXIT_UNDEFINED };

	a64_env_set(vcpu)->sys[A64_VBAR_EL1] = 0x8000;
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(a64_env_state(vcpu)->pc, 0x8200);
	assert_int_equal(a64_env_state(vcpu)->sys[A64_ESR_EL1], HC_BIT(25));
	a64_env_end(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),          cmocka_unit_test(test_id_of_known_hosts),
		cmocka_unit_test(test_id_of_any_host), cmocka_unit_test(test_id_parange),
		cmocka_unit_test(test_id_gic),         cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_serror),         cmocka_unit_test(test_skip),
		cmocka_unit_test(test_refused),        cmocka_unit_test(test_foreign_reasons),
		cmocka_unit_test(test_undefined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
