/* SPDX-License-Identifier: BSD-2-Clause */
/* From ESR_EL2 to struct hc_exit. */
#include <string.h>

#include "tests/model/el2_rig.h"
#include "tests/unit.h"

#define PC  UINT64_C(0x40001000)
#define FAR UINT64_C(0xffff800012345678)

static uint64_t esr_of(unsigned ec, uint32_t iss)
{
	return (uint64_t)ec << 26 | HC_BIT(25) | iss;
}

static struct hc_exit leave(const struct model_step *step)
{
	const struct model_step steps[] = { *step, { .op = OP_END } };

	rig_state(0)->pc = PC;
	return rig_run_script(0, steps);
}

static struct hc_exit leave_by(unsigned ec, uint32_t iss)
{
	const struct model_step step = { .op = OP_EXIT, .esr = esr_of(ec, iss), .far = FAR };

	return leave(&step);
}

static int start(void **state)
{
	rig_start(&rig_plain);
	return 0;
}

static int stop(void **state)
{
	model_be(0);
	rig_put(0);
	rig_stop();
	return 0;
}

static void test_interrupts(void **state)
{
	const struct model_step fiq = { .op = OP_FIQ }, end = { .op = OP_END };
	struct hc_exit exit = leave(&end);

	assert_int_equal(exit.reason, HC_EXIT_INTERRUPT);
	assert_int_equal(exit.pc, PC);
	assert_int_equal(leave(&fiq).reason, HC_EXIT_INTERRUPT);
}

static void test_serror(void **state)
{
	const struct model_step step = { .op = OP_SERROR, .esr = esr_of(0x2f, 0x123456) };
	struct hc_exit exit = leave(&step);

	assert_int_equal(exit.reason, HC_EXIT_SERROR);
	assert_int_equal(exit.u.serror.syndrome, step.esr);
}

/* WFE does not exit. */
static void test_wfi(void **state)
{
	struct hc_exit exit = leave_by(0x01, 0x1e00000);

	assert_int_equal(exit.reason, HC_EXIT_HALT);
	assert_int_equal(exit.next_pc, PC + 4);
	assert_int_equal(rig_state(0)->pc, PC);
	exit = leave_by(0x01, 0x1e00002); /* WFIT */
	assert_int_equal(exit.reason, HC_EXIT_HALT);
	assert_int_equal(model_this()->reg[EL2_HCR_EL2] & (HC_BIT(13) | HC_BIT(14)), HC_BIT(13));
}

/* HVC has been executed when it is taken; SMC has not. */
static void test_calls(void **state)
{
	const struct model_step hvc = { .op = OP_EXIT, .esr = esr_of(0x16, 0xbeef), .skip = 4 };
	struct hc_exit exit = leave(&hvc);

	assert_int_equal(exit.reason, HC_EXIT_HYPERCALL);
	assert_int_equal(exit.pc, PC);
	assert_int_equal(exit.next_pc, PC + 4);
	assert_int_equal(rig_state(0)->pc, PC);
	assert_int_equal(exit.u.call.immediate, 0xbeef);
	exit = leave_by(0x17, 1);
	assert_int_equal(exit.reason, HC_EXIT_HYPERCALL);
	assert_int_equal(exit.pc, PC);
	assert_int_equal(exit.next_pc, PC + 4);
	assert_int_equal(exit.u.call.immediate, 1);
}

/* Bits 20:5 of the instruction are the number; the syndrome has them in another order. */
static void test_system_registers(void **state)
{
	uint64_t seed = 2;

	for (unsigned i = 0; i < test_rounds(2000); i++) {
		uint32_t op0 = (uint32_t)test_below(&seed, 4), op1 = (uint32_t)test_below(&seed, 8),
			 crn = (uint32_t)test_below(&seed, 16),
			 crm = (uint32_t)test_below(&seed, 16),
			 op2 = (uint32_t)test_below(&seed, 8), rt = (uint32_t)test_below(&seed, 32);
		bool read = test_below(&seed, 2);
		struct hc_exit exit = leave_by(0x18, op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 |
		                                             rt << 5 | crm << 1 | read);

		assert_int_equal(exit.reason, HC_EXIT_SYSREG);
		assert_int_equal(exit.u.sysreg.number, A64_SYSREG(op0, op1, crn, crm, op2));
		assert_int_equal(exit.u.sysreg.rt, rt);
		assert_int_equal(exit.u.sysreg.write, !read);
		assert_int_equal(exit.next_pc, PC + 4);
	}
}

/* --- Aborts --- */

static struct hc_exit abort_by(unsigned ec, uint32_t iss, uint64_t far, uint64_t hpfar)
{
	const struct model_step step = {
		.op = OP_EXIT, .esr = esr_of(ec, iss), .far = far, .hpfar = hpfar
	};

	return leave(&step);
}

#define HPFAR(gpa) ((gpa) >> 12 << 4)

static void test_described_data_aborts(void **state)
{
	uint64_t seed = 3;

	for (unsigned i = 0; i < test_rounds(2000); i++) {
		uint32_t sas = (uint32_t)test_below(&seed, 4), rt = (uint32_t)test_below(&seed, 32),
			 sse = (uint32_t)test_below(&seed, 2), sf = (uint32_t)test_below(&seed, 2),
			 wnr = (uint32_t)test_below(&seed, 2), isv = (uint32_t)test_below(&seed, 2),
			 cm = (uint32_t)test_below(&seed, 2),
			 level = (uint32_t)test_below(&seed, 4);
		uint64_t gpa = test_below(&seed, HC_BIT(40)),
			 far = (FAR & ~0xfffull) | (gpa & 0xfff);
		uint32_t fsc = (test_below(&seed, 2) ? 0x04 : 0x08) | level;
		struct hc_exit exit = abort_by(0x24,
		                               isv << 24 | sas << 22 | sse << 21 | rt << 16 |
		                                       sf << 15 | cm << 8 | wnr << 6 | fsc,
		                               far, HPFAR(gpa));
		const struct hc_exit_stage2 *s = &exit.u.stage2;

		assert_int_equal(exit.reason, HC_EXIT_STAGE2);
		assert_int_equal(s->gpa.v, gpa);
		assert_int_equal(s->gva.v, far);
		assert_int_equal(s->access, wnr ? HC_ACCESS_WRITE : HC_ACCESS_READ);
		assert_false(s->in_walk || s->present);
		assert_int_equal(s->insn_len, 0);
		assert_int_equal(s->described, isv);
		assert_int_equal(s->is_cache, cm);
		if (!isv)
			continue;
		assert_int_equal(s->width, 1 << sas);
		assert_int_equal(s->is_signed, sse);
		assert_int_equal(s->is_64, sf);
		assert_int_equal(s->rt, rt);
	}
}

/* HPFAR_EL2 then holds anything. */
static void test_permission_faults_ask_stage_1(void **state)
{
	model_par = UINT64_C(0xff00000047654000);
	struct hc_exit exit = abort_by(0x24, 0x0f | 1 << 6, FAR, ~UINT64_C(0));

	assert_int_equal(exit.reason, HC_EXIT_STAGE2);
	assert_int_equal(exit.u.stage2.gpa.v, 0x47654678);
	assert_true(exit.u.stage2.present);
	model_par |= PAR_F;
	exit = abort_by(0x24, 0x0f, FAR, ~UINT64_C(0));
	assert_int_equal(exit.reason, HC_EXIT_INTERRUPT);
	assert_int_equal(rig_state(0)->pc, PC);
}

static void test_faults_on_walks(void **state)
{
	struct hc_exit exit = abort_by(0x24, 0x07 | 1 << 7 | 1 << 24, FAR, HPFAR(0x7000));

	assert_int_equal(exit.reason, HC_EXIT_STAGE2);
	assert_true(exit.u.stage2.in_walk);
	assert_false(exit.u.stage2.described);
	assert_int_equal(exit.u.stage2.gpa.v, 0x7000);
	assert_int_equal(exit.u.stage2.access, HC_ACCESS_READ);
	/* On a walk HPFAR_EL2 is good for permission faults as well. */
	exit = abort_by(0x24, 0x0f | 1 << 7 | 1 << 6, FAR, HPFAR(0x8000));
	assert_int_equal(exit.u.stage2.gpa.v, 0x8000);
	assert_true(exit.u.stage2.present);
	assert_int_equal(exit.u.stage2.access, HC_ACCESS_WRITE);
	exit = abort_by(0x20, 0x06 | 1 << 7, FAR, HPFAR(0x9000));
	assert_true(exit.u.stage2.in_walk);
	assert_int_equal(exit.u.stage2.access, HC_ACCESS_READ);
}

static void test_fetches(void **state)
{
	struct hc_exit exit = abort_by(0x20, 0x06 | 1 << 24, FAR, HPFAR(0x9000000));

	assert_int_equal(exit.reason, HC_EXIT_STAGE2);
	assert_int_equal(exit.u.stage2.access, HC_ACCESS_EXEC);
	assert_false(exit.u.stage2.described);
	assert_int_equal(exit.u.stage2.gpa.v, 0x9000678);
}

static void test_real_errors_are_the_guests(void **state)
{
	static const uint32_t codes[] = { 0x10, 0x14, 0x15, 0x16, 0x17 };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(codes); i++) {
		struct hc_exit exit = abort_by(0x24, codes[i] | 1 << 6, FAR, 0);

		assert_int_equal(exit.reason, HC_EXIT_INTERRUPT);
		assert_int_equal(rig_told.externals, 2 * i + 1);
		assert_int_equal(rig_told.raised_far, FAR);
		assert_true(rig_told.external_write && !rig_told.external_fetch);
		abort_by(0x20, codes[i], FAR, 0);
		assert_true(rig_told.external_fetch && !rig_told.external_write);
	}
	rig_told = (struct rig_told){ 0 };
}

static void test_tlb_conflicts_are_resolved(void **state)
{
	unsigned before = model_tlbi_vmall;

	assert_int_equal(abort_by(0x24, 0x30, FAR, 0).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(model_tlbi_vmall, before + 1);
	assert_int_equal(rig_state(0)->pc, PC);
}

/* --- Classes --- */

static bool contains(const unsigned *set, size_t count, unsigned ec)
{
	for (size_t i = 0; i < count; i++)
		if (set[i] == ec)
			return true;
	return false;
}

static void test_every_class_is_something(void **state)
{
	static const unsigned undefined[] = { 0x00, 0x03, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0a,
		                              0x0c, 0x0d, 0x0e, 0x11, 0x12, 0x13, 0x14, 0x19,
		                              0x1a, 0x1b, 0x1c, 0x1d, 0x27, 0x28, 0x38, 0x3a };
	static const unsigned others[] = { 0x01, 0x07, 0x16, 0x17, 0x18, 0x20, 0x22, 0x24, 0x26 };

	for (unsigned ec = 0; ec < 64; ec++) {
		if (contains(others, HC_ARRAY_SIZE(others), ec))
			continue;
		struct hc_exit exit = leave_by(ec, 0x1ffffff);

		assert_int_equal(exit.pc, PC);
		if (contains(undefined, HC_ARRAY_SIZE(undefined), ec)) {
			assert_int_equal(exit.reason, HC_EXIT_UNDEFINED);
			continue;
		}
		assert_int_equal(exit.reason, HC_EXIT_UNKNOWN);
		assert_int_equal(exit.u.raw.code, esr_of(ec, 0x1ffffff));
		assert_int_equal(exit.u.raw.info1, FAR);
	}
}

static void test_alignment_faults_are_the_guests(void **state)
{
	assert_int_equal(leave_by(0x22, 0).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(rig_told.raised_ec, 0x22);
	assert_int_equal(rig_told.raised_far, FAR);
	assert_int_equal(leave_by(0x26, 0).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(rig_told.raised_ec, 0x26);
	assert_int_equal(rig_told.raised, 2);
	rig_told = (struct rig_told){ 0 };
}

static void test_random_syndromes(void **state)
{
	uint64_t seed = 4;

	for (unsigned i = 0; i < test_rounds(20000); i++) {
		uint64_t esr = test_random(&seed) & UINT64_C(0x1fffffffff);
		char why[128] = "";

		if (ESR_EC(esr) == 0x07 && esr >> 32 == 0)
			continue; /* comes again and again */
		const struct model_step step = { .op = OP_EXIT,
			                         .esr = esr,
			                         .far = test_random(&seed) };
		struct hc_exit exit = leave(&step);

		assert_true(exit.reason < HC_EXIT_REASON_COUNT);
		if (exit.reason != HC_EXIT_UNKNOWN)
			continue;
		el2_backend.explain(&rig_vcpus[0].vcpu, &exit, why, sizeof(why));
		assert_non_null(strstr(why, "ESR_EL2 0x"));
	}
	rig_vcpus[0].vcpu.requests = 0;
}

/* --- Entries --- */

static void test_modes_that_are_not_entered(void **state)
{
	unsigned entries = model_this()->entries;

	for (unsigned mode = 0; mode < 32; mode++) {
		char why[128];
		bool legal = mode == 0 || mode == 4 || mode == 5;

		rig_state(0)->pstate = A64_PSTATE_DAIF | mode;
		struct hc_exit exit = leave_by(0x01, 0);

		assert_int_equal(exit.reason, legal ? HC_EXIT_HALT : HC_EXIT_ENTRY_FAILED);
		entries += legal;
		assert_int_equal(model_this()->entries, entries);
		if (legal)
			continue;
		el2_backend.explain(&rig_vcpus[0].vcpu, &exit, why, sizeof(why));
		assert_non_null(strstr(why, "EL0t, EL1t, EL1h"));
	}
	rig_state(0)->pstate = A64_PSTATE_EL1H;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_serror),
		cmocka_unit_test(test_wfi),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_system_registers),
		cmocka_unit_test(test_described_data_aborts),
		cmocka_unit_test(test_permission_faults_ask_stage_1),
		cmocka_unit_test(test_faults_on_walks),
		cmocka_unit_test(test_fetches),
		cmocka_unit_test(test_real_errors_are_the_guests),
		cmocka_unit_test(test_tlb_conflicts_are_resolved),
		cmocka_unit_test(test_every_class_is_something),
		cmocka_unit_test(test_alignment_faults_are_the_guests),
		cmocka_unit_test(test_random_syndromes),
		cmocka_unit_test(test_modes_that_are_not_entered),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
