/* SPDX-License-Identifier: BSD-2-Clause */
/* System registers that trap: each row, and each number that is none. */
#include <string.h>

#include "arch/aarch64/internal.h"
#include "tests/a64_env.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define PC   UINT64_C(0x40001000)
#define VBAR UINT64_C(0x40080000)

struct rig {
	struct hc_vm *vm;
	struct hc_vcpu *vcpu;
};

static struct rig rig_on(enum a64_host host)
{
	a64_host = host;
	struct hc_vm *vm = a64_env_vm_with_gic(2, 0);

	assert_non_null(vm);
	return (struct rig){ vm, vm->vcpus[0] };
}

/* The access from a mode. False: UNDEFINED. *value: what is written, or was read. */
static bool access(struct rig *r, unsigned mode, uint32_t number, bool write, uint64_t *value)
{
	struct hc_exit exit = { .reason = HC_EXIT_SYSREG, .next_pc = PC + 4 };
	struct a64_state *s = a64_env_set(r->vcpu);

	s->pc = PC;
	s->pstate = mode | A64_PSTATE_DAIF;
	s->sys[A64_VBAR_EL1] = VBAR;
	s->x[7] = write ? *value : 0xdead;
	exit.u.sysreg.number = number;
	exit.u.sysreg.rt = 7;
	exit.u.sysreg.write = write;
	assert_int_equal(script_exit(r->vcpu, &exit), HC_ACT_RESUME);
	/* Only what was marked reaches the hardware, and comes back from there. */
	script_round(r->vcpu, &exit);
	s = a64_env_state(r->vcpu);
	if (s->pc == PC + 4) {
		assert_int_equal(s->pstate, mode | A64_PSTATE_DAIF);
		if (!write)
			*value = s->x[7];
		return true;
	}
	assert_int_equal(s->pc, VBAR + (mode ? 0x200 : 0x400));
	assert_int_equal(s->sys[A64_ESR_EL1], HC_BIT(25));
	assert_int_equal(s->sys[A64_ELR_EL1], PC);
	assert_int_equal(s->x[7], write ? *value : 0xdead);
	return false;
}

static bool read(struct rig *r, uint32_t number, uint64_t *value)
{
	return access(r, A64_PSTATE_EL1H, number, false, value);
}

static bool write(struct rig *r, uint32_t number, uint64_t value)
{
	return access(r, A64_PSTATE_EL1H, number, true, &value);
}

/* --- The table --- */

static void test_sorted(void **state)
{
	for (unsigned i = 0; i < a64_sysreg_count; i++) {
		const struct a64_sysreg *reg = &a64_sysregs[i];

		assert_true(i == 0 || reg[-1].number < reg->number);
		assert_ptr_equal(a64_find_sysreg(reg->number), reg);
		assert_non_null(reg->name);
		assert_true(!reg->is_wo || (reg->write && !reg->read));
	}
}

static bool is_there(struct rig *r, const struct a64_sysreg *reg)
{
	return !reg->present || reg->present(r->vcpu, reg);
}

/* What reads and writes of a row do besides their effect, from EL1 and from EL0. */
static void check_row(struct rig *r, const struct a64_sysreg *reg)
{
	bool readable = !reg->is_wo && is_there(r, reg);
	bool writable = reg->write && is_there(r, reg);
	uint64_t value = 0, before = 0;

	assert_int_equal(read(r, reg->number, &before), readable);
	assert_int_equal(access(r, A64_PSTATE_EL0T, reg->number, false, &value),
	                 readable && reg->el0);
	value = a64_env_random();
	assert_int_equal(access(r, A64_PSTATE_EL0T, reg->number, true, &value),
	                 writable && reg->el0);
	assert_int_equal(write(r, reg->number, a64_env_random()), writable);
	if (readable && (!reg->write || !reg->read) && reg->read != a64_timer_read) {
		assert_true(read(r, reg->number, &value));
		assert_int_equal(value, before);
	}
}

static void test_refusal_names_it(void **state)
{
	struct rig r = rig_on(A64_HOST_N1);

	assert_false(write(&r, A64_SYSREG(3, 0, 0, 0, 5), 1));
	assert_non_null(strstr(test_log(), "S3_0_C0_C0_5 (MPIDR_EL1) written"));
	a64_env_end(r.vm);
}

static void test_rows(void **state)
{
	for (unsigned host = 0; host < A64_HOST_COUNT; host++) {
		struct rig r = rig_on((enum a64_host)host);

		for (unsigned i = 0; i < a64_sysreg_count; i++)
			check_row(&r, &a64_sysregs[i]);
		a64_env_end(r.vm);
	}
}

/* All that MRS, MSR and SYS can name. */
static void test_all_numbers(void **state)
{
	struct rig r = rig_on(A64_HOST_ALL_ONES);
	unsigned undefined = 0;

	for (uint32_t n = 0; n < 1u << 16; n++) {
		uint64_t value = 0;

		if (a64_find_sysreg(n))
			continue;
		assert_false(
			access(&r, n % 3 ? A64_PSTATE_EL1H : A64_PSTATE_EL0T, n, n & 1, &value));
		undefined += n % 3 != 0; /* EL0's are its own affair */
		assert_int_equal(a64_vm_of(r.vm)->undefined_sysreg, undefined > 0);
	}
	/* One line. */
	assert_non_null(strstr(test_log(), "(not known here) written"));
	assert_null(strstr(strstr(test_log(), "UNDEFINED") + 1, "UNDEFINED"));
	a64_env_end(r.vm);
}

/* The zero register. */
static void test_rt_31(void **state)
{
	struct rig r = rig_on(A64_HOST_A57);
	struct hc_exit exit = { .reason = HC_EXIT_SYSREG, .next_pc = PC + 4 };
	struct a64_state *s = a64_env_set(r.vcpu);

	s->sys[A64_TPIDR_EL1] = 5;
	memset(s->x, 0x77, sizeof(s->x));
	exit.u.sysreg.number = A64_SYSREG(3, 0, 13, 0, 4);
	exit.u.sysreg.rt = 31;
	exit.u.sysreg.write = 1;
	script_exit(r.vcpu, &exit);
	assert_int_equal(a64_env_state(r.vcpu)->sys[A64_TPIDR_EL1], 0);
	exit.u.sysreg.write = 0;
	script_exit(r.vcpu, &exit);
	for (unsigned i = 0; i < 31; i++)
		assert_int_equal(a64_state_of(r.vcpu)->x[i], UINT64_C(0x7777777777777777));
	a64_env_end(r.vm);
}

/* --- What they do --- */

/* Where the guest's own registers trap, they are the state's. */
static void test_own_registers(void **state)
{
	struct rig r = rig_on(A64_HOST_A57);
	uint64_t value;

#define CHECK_OWN(name, op0, op1, crn, crm, op2, ...)                                              \
	if ((op1) != 4 && A64_##name != A64_ACTLR_EL1) {                                           \
		uint64_t v = a64_env_random();                                                     \
		assert_true(write(&r, A64_SYSREG(op0, op1, crn, crm, op2), v));                    \
		assert_int_equal(a64_env_state(r.vcpu)->sys[A64_##name], v);                       \
		if (A64_##name != A64_VBAR_EL1) {                                                  \
			assert_true(read(&r, A64_SYSREG(op0, op1, crn, crm, op2), &value));        \
			assert_int_equal(value, v);                                                \
		}                                                                                  \
	}
	A64_EL1_REGISTERS(CHECK_OWN)
#undef CHECK_OWN
	a64_env_end(r.vm);
}

static void test_identity(void **state)
{
	struct rig r = rig_on(A64_HOST_N1);
	uint64_t value;

	assert_true(read(&r, A64_SYSREG(3, 0, 0, 0, 0), &value));
	assert_int_equal(value, 0x414fd0c1);
	r.vcpu = r.vm->vcpus[1];
	assert_true(read(&r, A64_SYSREG(3, 0, 0, 0, 5), &value));
	assert_int_equal(value, 0x80000001);
	assert_true(read(&r, A64_SYSREG(3, 3, 0, 0, 1), &value));
	assert_int_equal(value, 0x8444c004);
	for (unsigned i = 0; i < A64_ID_COUNT; i++) {
		assert_true(read(&r, A64_SYSREG(3, 0, 0, i / 8 + 1, i % 8), &value));
		assert_int_equal(value, a64_vm_of(r.vm)->id[i]);
	}
	a64_env_end(r.vm);
}

#define MDSCR     A64_SYSREG(2, 0, 0, 2, 2)
#define OSLAR     A64_SYSREG(2, 0, 1, 0, 4)
#define OSLSR     A64_SYSREG(2, 0, 1, 1, 4)
#define DBG(n, r) A64_SYSREG(2, 0, 0, n, 4 + (r))

/* As many as the ID register counts: on a Cortex-A57, 6 and 4. */
static void test_breakpoints(void **state)
{
	static const uint64_t mask[4] = { UINT64_MAX, 0x00ffe1e7, ~UINT64_C(3), 0x1f1fffff };
	struct rig r = rig_on(A64_HOST_A57);

	for (unsigned n = 0; n < 16; n++)
		for (unsigned reg = 0; reg < 4; reg++) {
			uint64_t v = a64_env_random(), value = 0;
			bool there = n < (reg < 2 ? 6 : 4);

			assert_int_equal(write(&r, DBG(n, reg), v), there);
			assert_int_equal(read(&r, DBG(n, reg), &value), there);
			assert_int_equal(value, there ? v & mask[reg] : 0);
			const struct a64_state *s = a64_env_state(r.vcpu);
			const uint64_t *file[4] = { s->dbgbvr, s->dbgbcr, s->dbgwvr, s->dbgwcr };

			assert_int_equal(file[reg][n], there ? v & mask[reg] : 0);
		}
	a64_env_end(r.vm);
}

/* Debug exceptions wait for the OS lock, which a reset sets. */
static void test_os_lock(void **state)
{
	struct rig r = rig_on(A64_HOST_A57);
	uint64_t value;

	assert_true(read(&r, OSLSR, &value));
	assert_int_equal(value, 0xa);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t v = a64_env_random(), lock = a64_env_random() & 1;
		uint64_t later = a64_env_random() & 1;

		assert_true(write(&r, OSLAR, lock));
		assert_true(write(&r, MDSCR, v));
		assert_true(read(&r, MDSCR, &value));
		assert_int_equal(value, v & 0xb001);
		assert_int_equal(a64_env_state(r.vcpu)->mdscr, v & (lock ? 0x1000 : 0xb001));
		assert_true(write(&r, OSLAR, later));
		assert_true(read(&r, OSLSR, &value));
		assert_int_equal(value, 8 | later << 1);
		assert_int_equal(a64_env_state(r.vcpu)->mdscr, v & (later ? 0x1000 : 0xb001));
		assert_true(read(&r, MDSCR, &value));
		assert_int_equal(value, v & 0xb001);
	}
	a64_env_end(r.vm);
}

static void test_sgi(void **state)
{
	static const unsigned group[3] = { 1, 2, 0 };
	struct rig r = rig_on(A64_HOST_A57);
	uint64_t value;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t v = a64_env_random();

		assert_true(write(&r, A64_SYSREG(3, 0, 12, 11, 5 + i), v));
		assert_int_equal(a64_env_gic.sgis, i + 1);
		assert_int_equal(a64_env_gic.sgi_value, v);
		assert_int_equal(a64_env_gic.sgi_group, group[i]);
		assert_false(read(&r, A64_SYSREG(3, 0, 12, 11, 5 + i), &value));
	}
	assert_true(write(&r, A64_SYSREG(3, 0, 12, 11, 1), 40)); /* ICC_DIR_EL1 */
	assert_int_equal(a64_env_gic.deactivations, 1);
	assert_false(read(&r, A64_SYSREG(3, 0, 12, 11, 1), &value));
	assert_true(read(&r, A64_SYSREG(3, 0, 12, 12, 5), &value));
	assert_int_equal(value, 7);
	/* Version 2 has no such registers; nor has a guest without any controller. */
	a64_set_gic_version(r.vm, 2);
	assert_false(write(&r, A64_SYSREG(3, 0, 12, 11, 5), 0));
	assert_false(read(&r, A64_SYSREG(3, 0, 12, 12, 5), &value));
	a64_set_gic_version(r.vm, 3);
	a64_vcpu_of(r.vcpu)->gic = NULL;
	assert_false(write(&r, A64_SYSREG(3, 0, 12, 11, 5), 0));
	assert_int_equal(a64_env_gic.sgis, 3);
	a64_env_end(r.vm);
}

/* --- Timers --- */

#define CNTPCT    A64_SYSREG(3, 3, 14, 0, 1)
#define CNTVCT    A64_SYSREG(3, 3, 14, 0, 2)
#define TVAL(crm) A64_SYSREG(3, 3, 14, crm, 0)
#define CTL(crm)  A64_SYSREG(3, 3, 14, crm, 1)
#define CVAL(crm) A64_SYSREG(3, 3, 14, crm, 2)

static uint64_t get(struct rig *r, uint32_t number)
{
	uint64_t value = 0;

	assert_true(read(r, number, &value));
	return value;
}

static void test_counters(void **state)
{
	test_now_ns = 123456789;
	struct rig r = rig_on(A64_HOST_A57);

	test_now_ns += 1000;
	assert_int_equal(get(&r, CNTPCT), 1000);
	assert_int_equal(get(&r, CNTVCT), 1000);
	assert_int_equal(get(&r, A64_SYSREG(3, 3, 14, 0, 0)), 1000000000);
	assert_false(write(&r, CNTVCT, 5));
	a64_env_end(r.vm);
}

/* Either timer against the manual's formulas, after random writes and pauses. */
static void check_timer(struct rig *r, unsigned crm)
{
	uint64_t cval = get(r, CVAL(crm)), ctl = get(r, CTL(crm)) & 3;

	for (unsigned i = 0; i < 3000; i++) {
		uint64_t v = a64_env_random(), now = get(r, CNTPCT);

		switch (i % 4) {
		case 0:
			cval = i % 64 ? now + v % 5000 - 2500 : v;
			assert_true(write(r, CVAL(crm), cval));
			break;
		case 1:
			v = i % 64 == 1 ? v : v % 5000 - 2500;
			assert_true(write(r, TVAL(crm), v));
			cval = now + (uint64_t)(int64_t)(int32_t)v;
			break;
		case 2:
			ctl = v & 3;
			assert_true(write(r, CTL(crm), v));
			break;
		default: test_now_ns += v % 3000; break;
		}
		now = get(r, CNTVCT);
		bool due = ctl & 1 && now >= cval;

		assert_int_equal(get(r, CTL(crm)), ctl | (due ? 4 : 0));
		assert_int_equal(get(r, CVAL(crm)), cval);
		assert_int_equal(get(r, TVAL(crm)), (uint32_t)(cval - now));
		hc_timers_run(r->vcpu, test_now_ns);
		if (crm == 2)
			assert_int_equal(a64_env_gic.ppi[0][30], due && !(ctl & 2));
	}
}

static void test_physical_timer(void **state)
{
	struct rig r = rig_on(A64_HOST_A57);

	check_timer(&r, 2);
	assert_true(a64_env_gic.ppi_changes > 100);
	assert_false(a64_env_gic.linked[0][30]);
	a64_env_end(r.vm);
}

static void test_virtual_timer(void **state)
{
	struct rig r = rig_on(A64_HOST_A57);

	check_timer(&r, 3);
	assert_int_equal(a64_env_gic.ppi_changes, 0); /* that is the hardware's affair */
	a64_env_end(r.vm);
}

/* Without a controller there is nobody to tell. */
static void test_timer_alone(void **state)
{
	struct rig r = rig_on(A64_HOST_A57);

	a64_vcpu_of(r.vcpu)->gic = NULL;
	assert_true(write(&r, CTL(2), 1));
	hc_timers_run(r.vcpu, test_now_ns);
	assert_int_equal(get(&r, CTL(2)), 5);
	assert_int_equal(a64_env_gic.ppi_changes, 0);
	a64_env_end(r.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorted),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_refusal_names_it),
		cmocka_unit_test(test_all_numbers),
		cmocka_unit_test(test_rt_31),
		cmocka_unit_test(test_own_registers),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_breakpoints),
		cmocka_unit_test(test_os_lock),
		cmocka_unit_test(test_sgi),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_physical_timer),
		cmocka_unit_test(test_virtual_timer),
		cmocka_unit_test(test_timer_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
