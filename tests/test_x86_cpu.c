/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID's coherence on many physical CPUs, and the MSR policy. */
#include <string.h>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/host/cpuid.h"
#include "arch/x86_64/msr.h"
#include "arch/x86_64/x86.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_env.h"

enum { EAX, EBX, ECX, EDX };

static bool has(struct hc_vcpu *vcpu, uint32_t leaf, unsigned reg, unsigned bit)
{
	uint32_t regs[4];

	x86_cpuid(vcpu, leaf, 0, regs);
	return regs[reg] >> bit & 1;
}

/* --- Rules that hold whatever the host is --- */

static void check_hidden(struct hc_vcpu *vcpu)
{
	static const struct {
		uint32_t leaf;
		uint8_t reg, bit;
	} hidden[] = {
		{ 1, ECX, 3 },           /* MONITOR */
		{ 1, ECX, 5 },           /* VMX */
		{ 1, ECX, 15 },          /* PDCM */
		{ 7, EBX, 2 },           /* SGX */
		{ 7, EBX, 14 },          /* MPX */
		{ 7, EBX, 25 },          /* processor trace */
		{ 7, ECX, 3 },           /* PKU */
		{ 7, ECX, 16 },          /* LA57 */
		{ 7, EDX, 26 },          /* SPEC_CTRL */
		{ 0xd, EAX, 3 },         /* MPX state */
		{ 0x80000001, ECX, 2 },  /* SVM */
		{ 0x80000001, ECX, 23 }, /* performance counters */
		{ 0x80000001, ECX, 29 }, /* MONITORX */
	};
	uint32_t regs[4];

	for (unsigned i = 0; i < HC_ARRAY_SIZE(hidden); i++)
		assert_false(has(vcpu, hidden[i].leaf, hidden[i].reg, hidden[i].bit));
	for (uint32_t leaf = 0; leaf < 0x40; leaf++) {
		bool none = leaf == 5 || leaf == 0xa || leaf > 0xd;

		x86_cpuid(vcpu, leaf, 0, regs);
		if (none)
			assert_int_equal(regs[0] | regs[1] | regs[2] | regs[3], 0);
	}
	x86_cpuid(vcpu, 0x8000000a, 0, regs);
	assert_int_equal(regs[0] | regs[1] | regs[2] | regs[3], 0);
}

static void check_offered(struct hc_vcpu *vcpu)
{
	uint32_t regs[4];
	char signature[13] = "";

	assert_true(has(vcpu, 1, ECX, 21) && has(vcpu, 1, ECX, 24) && has(vcpu, 1, ECX, 31));
	assert_true(has(vcpu, 1, EDX, 9));
	x86_cpuid(vcpu, 0x40000000, 0, regs);
	memcpy(signature, &regs[1], 12);
	assert_string_equal(signature, "HypercoreHC");
	assert_int_equal(regs[0], 0x40000001);
}

static void check_limits(struct hc_vcpu *vcpu)
{
	static const uint32_t bases[] = { 0, 0x80000000 };
	uint32_t last[4], regs[4];

	for (unsigned i = 0; i < 2; i++) {
		x86_cpuid(vcpu, bases[i], 0, last);
		assert_in_range(last[0], bases[i] + 1, bases[i] + 0x1f);
		for (uint32_t leaf = last[0] + 1; leaf < bases[i] + 0x40; leaf++) {
			x86_cpuid(vcpu, leaf, 0, regs);
			assert_int_equal(regs[0] | regs[1] | regs[2] | regs[3], 0);
		}
	}
}

static void check_topology(struct hc_vm *vm, unsigned cpus)
{
	for (unsigned id = 0; id < cpus; id++) {
		struct hc_vcpu *vcpu = vm->vcpus[id];
		uint32_t one[4], thread[4], core[4], beyond[4];

		x86_cpuid(vcpu, 1, 0, one);
		x86_cpuid(vcpu, 0xb, 0, thread);
		x86_cpuid(vcpu, 0xb, 1, core);
		x86_cpuid(vcpu, 0xb, 2, beyond);
		assert_int_equal(one[EBX] >> 24, id);
		assert_int_equal(one[EDX] >> 28 & 1, cpus > 1);
		assert_true((one[EBX] >> 16 & 0xff) >= cpus);
		assert_int_equal(thread[EDX], id);
		assert_int_equal(core[EDX], id);
		assert_int_equal(beyond[EDX], id);
		assert_int_equal(thread[EBX] & 0xffff, 1);
		assert_int_equal(core[EBX] & 0xffff, cpus);
		assert_int_equal(thread[ECX], 0x100);
		assert_int_equal(core[ECX], 0x201);
		assert_int_equal(beyond[EBX] & 0xffff, 0);
		assert_int_equal(beyond[ECX], 2);
		/* All IDs differ below the core level's shift, and none reaches above it. */
		assert_int_equal(id >> core[EAX], 0);
	}
}

/* Leaf 0Dh describes what fits x86_state.xsave and nothing else. */
static void check_xsave(struct hc_vm *vm)
{
	struct hc_vcpu *vcpu = vm->vcpus[0];
	uint64_t mask = x86_vm_of(vm)->xcr0_mask;
	uint32_t d[4], c[4];

	x86_cpuid(vcpu, 0xd, 0, d);
	assert_int_equal(d[EAX], (uint32_t)mask);
	assert_int_equal(has(vcpu, 1, ECX, 26), mask != 0);
	assert_true(d[ECX] <= X86_XSAVE_SIZE && d[EBX] <= d[ECX]);
	assert_true(!mask || (mask & 3) == 3);
	assert_true((mask & 0xe0) == 0 || (mask & 0xe4) == 0xe4);
	assert_int_equal(mask & ~UINT64_C(0xe7), 0);
	for (unsigned i = 2; i < 63; i++) {
		x86_cpuid(vcpu, 0xd, i, c);
		if (mask >> i & 1)
			assert_true(c[EBX] >= 576 && c[EAX] && c[EBX] + c[EAX] <= d[ECX]);
		else
			assert_int_equal(c[EAX] | c[EBX] | c[ECX] | c[EDX], 0);
	}
	/* AVX and AVX-512 instructions only where their state can be switched on. */
	assert_true(mask & 4 || (!has(vcpu, 1, ECX, 28) && !has(vcpu, 7, EBX, 5)));
	assert_true(mask & 0xe0 || !has(vcpu, 7, EBX, 16));
	assert_true(has(vcpu, 7, EBX, 16) || (!has(vcpu, 7, EBX, 17) && !has(vcpu, 7, EBX, 31)));
}

/* A feature is shown only if the host has it, but for those that we make ourselves. */
static void check_subset(struct hc_vcpu *vcpu)
{

	static const struct {
		uint32_t leaf;
		uint8_t reg;
		uint32_t ours;
	} rows[] = {
		{ 1, ECX, 1u << 21 | 1u << 24 | 1u << 31 | 1u << 27 },
		{ 1, EDX, 1u << 9 | 1u << 12 | 1u << 28 },
		{ 7, EBX, 0 },
		{ 7, ECX, 0 },
		{ 7, EDX, 0 },
		{ 0x80000001, ECX, 1u << 22 | 1u << 1 },
		{ 0x80000001, EDX, 1u << 9 | 1u << 12 },
		{ 0x80000007, EDX, 0 },
	};
	uint32_t host[4], regs[4];

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		x86_host_cpuid(rows[i].leaf, 0, host);
		x86_cpuid(vcpu, rows[i].leaf, 0, regs);
		assert_int_equal(regs[rows[i].reg] & ~(host[rows[i].reg] | rows[i].ours), 0);
	}
}

static void check_dynamic(struct hc_vcpu *vcpu)
{
	struct x86_state *s = x86_state_of(vcpu);
	uint32_t regs[4];

	s->cr4 = X86_CR4_OSXSAVE;
	assert_true(has(vcpu, 1, ECX, 27));
	s->cr4 = 0;
	assert_false(has(vcpu, 1, ECX, 27));
	s->xcr0 = x86_vm_of(vcpu->vm)->xcr0_mask;
	x86_cpuid(vcpu, 0xd, 0, regs);
	assert_int_equal(regs[EBX], regs[ECX]);
	s->xcr0 = 3;
	x86_cpuid(vcpu, 0xd, 0, regs);
	assert_int_equal(regs[EBX], x86_vm_of(vcpu->vm)->xcr0_mask ? 576 : 0);
	s->xcr0 = 1;
	assert_true(has(vcpu, 1, EDX, 9));
	bool twice = has(vcpu, 0x80000001, EDX, 9);
	assert_int_equal(x86_apic_write_base(vcpu, X86_APIC_BASE), 0);
	assert_false(has(vcpu, 1, EDX, 9));
	assert_false(has(vcpu, 0x80000001, EDX, 9));
	assert_int_equal(x86_apic_write_base(vcpu, X86_APIC_BASE | X86_APIC_BASE_EN), 0);
	assert_true(has(vcpu, 1, EDX, 9));
	assert_int_equal(has(vcpu, 0x80000001, EDX, 9), twice);
}

static void check_host(unsigned cpus)
{
	struct hc_vm *vm = script_vm(cpus, 0);
	struct x86_vm *x = x86_vm_of(vm);

	check_hidden(vm->vcpus[0]);
	check_offered(vm->vcpus[0]);
	check_limits(vm->vcpus[0]);
	check_topology(vm, cpus);
	check_xsave(vm);
	check_subset(vm->vcpus[0]);
	check_dynamic(vm->vcpus[0]);
	assert_int_equal(x->cr4_mask >> 20 & 1, has(vm->vcpus[0], 7, EBX, 7));
	assert_int_equal(x->cr4_mask & 3, has(vm->vcpus[0], 1, EDX, 1) ? 3 : 0);
	assert_int_equal(x->cr4_mask >> 10 & 1, has(vm->vcpus[0], 1, EDX, 25));
	assert_int_equal(x->cr4_mask >> 13 & 1, 0); /* VMXE */
	assert_int_equal(x->efer_mask & X86_EFER_SVME, 0);
	hc_vm_destroy(vm);
}

static void test_coherent_on_every_host(void **state)
{
	for (unsigned cpus = 1; cpus <= X86_MAX_VCPUS; cpus = cpus * 2 + 1)
		for (x86_host = X86_HOST_EPYC; x86_host < X86_HOST_RANDOM; x86_host++)
			check_host(cpus);
	x86_host = X86_HOST_RANDOM;
	for (x86_host_seed = 1; x86_host_seed < 300; x86_host_seed++)
		check_host(1 + (unsigned)x86_host_seed % 5);
	x86_host = X86_HOST_EPYC;
}

/* What Skylake has has to be there: a policy of zeros would pass the above. */
static void test_passes_features_on(void **state)
{
	x86_host = X86_HOST_SKYLAKE;
	struct hc_vm *vm = script_vm(4, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	uint32_t regs[4];

	assert_int_equal(x86_vm_of(vm)->xcr0_mask, 0xe7);
	x86_cpuid(vcpu, 0xd, 0, regs);
	assert_int_equal(regs[ECX], 0xa80);
	assert_true(has(vcpu, 7, EBX, 16) && has(vcpu, 7, EBX, 5) && has(vcpu, 1, ECX, 17));
	assert_true(has(vcpu, 0x80000007, EDX, 8));
	/* L3 is shared by all four, L1 by none; four cores. */
	x86_cpuid(vcpu, 4, 3, regs);
	assert_int_equal(regs[EAX] >> 14 & 0xfff, 3);
	assert_int_equal(regs[EAX] >> 26, 3);
	x86_cpuid(vcpu, 4, 0, regs);
	assert_int_equal(regs[EAX] >> 14 & 0xfff, 0);
	hc_vm_destroy(vm);
	x86_host = X86_HOST_EPYC;
}

/* --- MSRs --- */

static void test_policy_is_sorted(void **state)
{
	for (unsigned i = 0; i < x86_msr_policy_count; i++) {
		const struct x86_msr_policy *p = &x86_msr_policy[i];

		assert_true(p->first <= p->last);
		assert_true(p->name && *p->name && p->why && *p->why);
		if (i)
			assert_true(p->first > p[-1].last);
		for (uint32_t msr = p->first; msr <= p->last; msr++)
			assert_ptr_equal(x86_msr_find(msr), p);
	}
	assert_null(x86_msr_find(0xffffffff));
	assert_null(x86_msr_find(2));
}

/* Anything may be read and written; nothing gets beyond what a register can hold. */
static void test_random_access(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct x86_state *s = x86_state_of(vcpu);
	uint64_t seed = 31337, unknown = 0;

	for (unsigned n = 0; n < 400000; n++) {
		const struct x86_msr_policy *p =
			&x86_msr_policy[test_below(&seed, x86_msr_policy_count)];
		uint32_t msr =
			test_below(&seed, 8)
				? p->first + (uint32_t)test_below(&seed, p->last - p->first + 1)
				: (uint32_t)test_random(&seed);
		uint64_t value = test_random(&seed) >> test_below(&seed, 64), before, after;
		bool known = x86_msr_find(msr) || msr - 0x800 < 0x100;

		int readable = x86_msr_read(vcpu, msr, &before);
		int rc = x86_msr_write(vcpu, msr, value);

		unknown += known ? 0 : 2;
		assert_int_equal(vcpu->stats.unknown_msrs, unknown);
		if (!known)
			assert_true(rc == -EINVAL && readable == -EINVAL);
		/* A refused write changes nothing but what counts by itself. */
		if (rc && !readable && msr != 0x10 && msr != 0x839) {
			assert_int_equal(x86_msr_read(vcpu, msr, &after), 0);
			assert_int_equal(before, after);
		}
		assert_int_equal(s->efer & (X86_EFER_SVME | HC_BIT(63)), 0);
		assert_int_equal(s->msr_tsc_aux >> 32, 0);
	}
	hc_vm_destroy(vm);
}

static void test_efer(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct x86_state *s = x86_state_of(vcpu);

	assert_int_equal(x86_msr_write(vcpu, 0xc0000080, X86_EFER_SVME), -EINVAL);
	assert_int_equal(x86_msr_write(vcpu, 0xc0000080, X86_EFER_LME | X86_EFER_NXE | 1), 0);
	assert_int_equal(s->efer, X86_EFER_LME | X86_EFER_NXE | 1);
	/* LMA is not the guest's to set. */
	assert_int_equal(x86_msr_write(vcpu, 0xc0000080, X86_EFER_LME | X86_EFER_LMA), 0);
	assert_int_equal(s->efer, X86_EFER_LME);
	s->cr0 |= X86_CR0_PG | X86_CR0_PE;
	s->efer |= X86_EFER_LMA;
	assert_int_equal(x86_msr_write(vcpu, 0xc0000080, 0), -EINVAL);
	assert_int_equal(x86_msr_write(vcpu, 0xc0000080, X86_EFER_LME | X86_EFER_NXE), 0);
	assert_int_equal(s->efer, X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE);
	hc_vm_destroy(vm);
}

static void test_tsc(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	uint64_t v;

	assert_int_equal(x86_msr_read(vcpu, 0x10, &v), 0);
	assert_int_equal(v, 0);
	test_now_ns += 1234;
	x86_msr_read(vcpu, 0x10, &v);
	assert_int_equal(v, 1234);
	assert_int_equal(x86_msr_write(vcpu, 0x10, UINT64_C(1) << 40), 0);
	test_now_ns += 5;
	x86_msr_read(vcpu, 0x10, &v);
	assert_int_equal(v, (UINT64_C(1) << 40) + 5);
	hc_vm_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_coherent_on_every_host),
		cmocka_unit_test(test_passes_features_on),
		cmocka_unit_test(test_policy_is_sorted),
		cmocka_unit_test(test_random_access),
		cmocka_unit_test(test_efer),
		cmocka_unit_test(test_tsc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
