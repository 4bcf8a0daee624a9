/* SPDX-License-Identifier: BSD-2-Clause */
/* Every exit code normalised, and values that no hardware should give. */
#include <hypercore/errno.h>

#include "tests/model/svm_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

#include <string.h>

static uint64_t seed = 0xe817;

static struct hc_exit exit_with(uint64_t code, uint64_t info1, uint64_t info2, uint8_t len)
{
	const struct model_step steps[] = {
		{ .op = OP_EXIT, .code = code, .info1 = info1, .info2 = info2, .len = len },
		{ .op = OP_END },
	};
	struct hc_exit exit = rig_run_script(0, steps);

	if (exit.reason != HC_EXIT_ENTRY_FAILED)
		assert_int_equal(exit.pc, rig_vmcb(0)->rip);
	return exit;
}

/* len: of the instruction, where next_pc is due. */
static const struct {
	uint64_t code, info1;
	enum hc_exit_reason reason;
	uint8_t len;
} expected[] = {
	{ 0x18, UINT64_C(1) << 63 | 3, HC_EXIT_CR_WRITE, 4 },
	{ 0x40, 0, HC_EXIT_EXCEPTION, 0 },
	{ 0x41, 0, HC_EXIT_EXCEPTION, 0 },
	{ 0x51, 0, HC_EXIT_EXCEPTION, 0 },
	{ 0x52, 0, HC_EXIT_INTERRUPT, 0 },
	{ 0x5f, 0, HC_EXIT_EXCEPTION, 0 },
	{ 0x60, 0, HC_EXIT_INTERRUPT, 0 },
	{ 0x61, 0, HC_EXIT_INTERRUPT, 0 },
	{ 0x62, 0, HC_EXIT_INTERRUPT, 0 },
	{ 0x63, 0, HC_EXIT_INTERRUPT, 0 },
	{ 0x64, 0, HC_EXIT_WINDOW, 0 },
	{ 0x6f, 0, HC_EXIT_EXCEPTION, 0 },
	{ 0x72, 0, HC_EXIT_CPUID, 2 },
	{ 0x73, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x76, 0, HC_EXIT_CACHE, 2 },
	{ 0x77, 0, HC_EXIT_INTERRUPT, 0 },
	{ 0x78, 0, HC_EXIT_HALT, 1 },
	{ 0x7a, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x7b, 0x3f80011, HC_EXIT_IO, 0 },
	{ 0x7c, 0, HC_EXIT_MSR_READ, 2 },
	{ 0x7c, 1, HC_EXIT_MSR_WRITE, 2 },
	{ 0x7d, 0, HC_EXIT_TASK_SWITCH, 0 },
	{ 0x7f, 0, HC_EXIT_SHUTDOWN, 0 },
	{ 0x80, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x81, 0, HC_EXIT_HYPERCALL, 3 },
	{ 0x82, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x83, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x84, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x85, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x86, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x89, 0, HC_EXIT_CACHE, 2 },
	{ 0x8a, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x8b, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x8c, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x8d, 0, HC_EXIT_XSETBV, 3 },
	{ 0x8e, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0xa0, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0xa1, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0xa3, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0xa4, 0, HC_EXIT_UNDEFINED, 0 },
	{ 0x400, 0, HC_EXIT_STAGE2, 0 },
	{ UINT64_C(0xffffffff), 0, HC_EXIT_ENTRY_FAILED, 0 },
	{ UINT64_MAX, 0, HC_EXIT_ENTRY_FAILED, 0 },
};

static enum hc_exit_reason expected_reason(uint64_t code)
{
	if (code >= 0x40 && code <= 0x5f)
		return code == 0x52 ? HC_EXIT_INTERRUPT : HC_EXIT_EXCEPTION;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(expected); i++) {
		if (expected[i].code == code)
			return expected[i].reason;
	}
	return HC_EXIT_UNKNOWN;
}

static void test_reasons(void **state)
{
	rig_start(&rig_full);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(expected); i++) {
		uint8_t len = expected[i].len;
		struct hc_exit exit = exit_with(expected[i].code, expected[i].info1, 0, len);

		assert_int_equal(exit.reason, expected[i].reason);
		if (len)
			assert_int_equal(exit.next_pc, exit.pc + len);
	}
	rig_stop();
}

/* All codes up to and beyond the table: what is not intercepted is unknown, and named. */
static void test_all_codes(void **state)
{
	char text[160];

	rig_start(&rig_full);
	for (uint64_t code = 0; code < 0x500; code++) {
		/* IRET changes the state of NMIs; CR writes and IOIO need their info. */
		if (code == 0x14 || code == 0x18 || code == 0x65 || code == 0x74 || code == 0x7b)
			continue;
		struct hc_exit exit = exit_with(code, 0, 0, 2);

		assert_int_equal(exit.reason, expected_reason(code));
		svm_backend.explain(&rig_vcpus[0].vcpu, &exit, text, sizeof(text));
		if (exit.reason != HC_EXIT_UNKNOWN)
			continue;
		assert_int_equal(exit.u.raw.code, code);
		assert_non_null(strstr(text, svm_exit_name(code)));
	}
	rig_stop();
}

/* Garbage in all fields: any reason is right that is one, and nothing breaks. */
static void test_garbage(void **state)
{
	rig_start(&rig_plain);
	for (unsigned i = 0; i < 20000; i++) {
		const struct model_step steps[] = {
			{ .op = OP_EXIT,
			  .code = i & 1 ? test_random(&seed) : test_below(&seed, 0x410),
			  .info1 = test_random(&seed),
			  .info2 = test_random(&seed),
			  .intinfo = test_random(&seed),
			  .len = (uint8_t)test_random(&seed) },
			{ .op = OP_END },
		};

		rig_insn_len = (int)test_below(&seed, 20) - 4;
		rig_code_len = (int)test_below(&seed, 20) - 4;
		for (unsigned b = 0; b < sizeof(rig_code); b++)
			rig_code[b] = (uint8_t)(test_random(&seed) >> 24);
		rig_long_mode(rig_state(0));
		hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_ALL);
		model_clear_deliveries();
		struct hc_exit exit = rig_run_script(0, steps);

		assert_true(exit.reason < HC_EXIT_REASON_COUNT);
		if (exit.reason == HC_EXIT_IO)
			assert_true(exit.u.io.width == 1 || exit.u.io.width == 2 ||
			            exit.u.io.width == 4);
		if (exit.reason == HC_EXIT_STAGE2)
			assert_true(exit.u.stage2.insn_len <= 15);
	}
	rig_stop();
}

/* --- IOIO --- */

static uint64_t encode_io(const struct hc_exit_io *io)
{
	return (io->write ? 0 : SVM_IOIO_IN) | (io->string ? SVM_IOIO_STR : 0) |
	       (io->rep ? SVM_IOIO_REP : 0) | (uint64_t)io->width << 4 |
	       (uint64_t)io->addr_size << 6 | (uint64_t)io->segment << 10 |
	       (uint64_t)io->port << 16;
}

static void test_io(void **state)
{
	rig_start(&rig_full);
	for (unsigned i = 0; i < 5000; i++) {
		struct hc_exit_io io = rig_random_io(&seed);

		rig_state(0)->dr7 = io.watched ? 0x20401 : 0x400;
		hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_DR);
		uint64_t next = test_random(&seed);
		struct hc_exit exit = exit_with(SVM_EXIT_IOIO, encode_io(&io), next, 0);

		if (!io.write)
			io.segment = X86_ES;
		assert_int_equal(exit.reason, HC_EXIT_IO);
		assert_int_equal(exit.next_pc, next);
		assert_memory_equal(&exit.u.io, &io,
		                    io.string ? offsetof(struct hc_exit_io, addr_size) + 1
		                              : offsetof(struct hc_exit_io, rep));
	}
	rig_stop();
}

/* Without decode assists the segment of OUTS comes from its prefixes. */
static void test_outs_segment(void **state)
{
	static const struct {
		uint8_t code[4];
		uint8_t segment;
	} cases[] = {
		{ { 0x6e }, X86_DS },
		{ { 0xf3, 0x6f }, X86_DS },
		{ { 0x26, 0x6e }, X86_ES },
		{ { 0x2e, 0x66, 0x6f }, X86_CS },
		{ { 0xf3, 0x36, 0x6e }, X86_SS },
		{ { 0x64, 0xf3, 0x48, 0x6f }, X86_FS },
		{ { 0x64, 0x65, 0x6e }, X86_GS },
		{ { 0x65, 0x3e, 0x6e }, X86_DS },
		{ { 0x67, 0x64, 0x6e }, X86_FS },
	};

	rig_start(&rig_plain);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		memcpy(rig_code, cases[i].code, sizeof(cases[i].code));
		rig_code_len = 4;
		struct hc_exit exit = exit_with(SVM_EXIT_IOIO, 0x3f80014 | SVM_IOIO_A32, 0, 0);

		assert_int_equal(exit.u.io.segment, cases[i].segment);
		assert_int_equal(exit.u.io.addr_size, 4);
		/* QEMU does not tell the size. */
		exit = exit_with(SVM_EXIT_IOIO, 0x3f80014, 0, 0);
		assert_int_equal(exit.u.io.addr_size, cases[i].code[0] == 0x67 ? 4 : 8);
	}
	rig_stop();
}

static void test_io_of_no_width(void **state)
{
	rig_start(&rig_full);
	assert_int_equal(exit_with(SVM_EXIT_IOIO, 0x3f80001, 0, 0).reason, HC_EXIT_UNKNOWN);
	assert_int_equal(exit_with(SVM_EXIT_IOIO, 0x3f80031, 0, 0).reason, HC_EXIT_UNKNOWN);
	rig_stop();
}

/* --- Next RIP --- */

static void test_next_pc_is_decoded(void **state)
{
	rig_start(&rig_plain);
	rig_insn_len = 5; /* with prefixes */
	struct hc_exit exit = exit_with(SVM_EXIT_CPUID, 0, 0, 2);

	assert_int_equal(exit.next_pc, exit.pc + 5);
	rig_insn_len = -EFAULT;
	exit = exit_with(SVM_EXIT_VMMCALL, 0, 0, 3);
	assert_int_equal(exit.next_pc, exit.pc + 3);
	rig_stop();
}

/* --- CR8 --- */

static void test_cr8(void **state)
{
	static const struct {
		uint8_t code[5], len, gpr;
	} cases[] = {
		{ { 0x44, 0x0f, 0x22, 0xc0 }, 4, X86_RAX },
		{ { 0x44, 0x0f, 0x22, 0xc7 }, 4, X86_RDI },
		{ { 0x45, 0x0f, 0x22, 0xc7 }, 4, X86_R15 },
		{ { 0xf0, 0x0f, 0x22, 0xc1 }, 4, X86_RCX },
		{ { 0xf0, 0x41, 0x0f, 0x22, 0xc1 }, 5, X86_R9 },
		{ { 0x44, 0x0f, 0x22, 0xc4 }, 4, X86_RSP },
	};

	rig_start(&rig_plain);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		for (unsigned g = 0; g < X86_GPR_COUNT; g++)
			rig_state(0)->gpr[g] = 0x100 + g;
		memcpy(rig_code, cases[i].code, 5);
		rig_code_len = rig_insn_len = cases[i].len;
		struct hc_exit exit = exit_with(SVM_EXIT_CR8_WRITE, 0, 0, 0);

		assert_int_equal(exit.reason, HC_EXIT_CR_WRITE);
		assert_int_equal(exit.u.cr.number, 8);
		assert_int_equal(exit.u.cr.value, 0x100u + cases[i].gpr);
		assert_int_equal(exit.next_pc, exit.pc + cases[i].len);
	}
	/* The code has gone: the guest tries again. */
	rig_code_len = -EFAULT;
	assert_int_equal(exit_with(SVM_EXIT_CR8_WRITE, 0, 0, 0).reason, HC_EXIT_INTERRUPT);
	rig_stop();
}

/* --- CR0 and CR4 --- */

static void test_control_registers(void **state)
{
	static const uint64_t codes[] = { SVM_EXIT_CR0_WRITE + 4, SVM_EXIT_CR0_SEL_WRITE };

	rig_start(&rig_plain);
	assert_int_equal(rig_vmcb(0)->cr_write, 1u << 4 | 1u << 8);
	assert_true(rig_vmcb(0)->intercept[0] & SVM_INTERCEPT_MASK(SVM_I_CR0_SEL_WRITE));
	for (unsigned i = 0; i < HC_ARRAY_SIZE(codes); i++) {
		rig_state(0)->gpr[X86_RBX] = 0x1234;
		rig_code_len = 3;
		rig_cr = 4;
		struct hc_exit exit = exit_with(codes[i], 0, 0, 0);

		assert_int_equal(exit.reason, HC_EXIT_CR_WRITE);
		assert_int_equal(exit.u.cr.number, 4);
		assert_int_equal(exit.u.cr.value, 0x1234);
		assert_int_equal(exit.next_pc, exit.pc + 3);
		rig_code_len = -ENOENT;
		assert_int_equal(exit_with(codes[i], 0, 0, 0).reason, HC_EXIT_INTERRUPT);
		rig_code_len = -EFAULT;
		exit = exit_with(codes[i], 0, 0, 0);
		assert_int_equal(exit.reason, HC_EXIT_EXCEPTION);
		assert_int_equal(exit.u.exception.vector, X86_VEC_SS);
		assert_true(exit.u.exception.has_error_code);
	}
	rig_stop();
}

/* QEMU leaves the guest as if VMRUN were refused. */
static void test_refused_cr3(void **state)
{
	for (unsigned tcg = 0; tcg < 2; tcg++) {
		struct model_features features = rig_plain;

		features.tcg = tcg;
		rig_start(&features);
		rig_code_len = 3;
		for (rig_cr = 0; rig_cr < 5; rig_cr++)
			assert_int_equal(exit_with(UINT32_MAX, 0, 0, 0).reason,
			                 tcg && rig_cr == 3 ? HC_EXIT_CR_WRITE
			                                    : HC_EXIT_ENTRY_FAILED);
		rig_code_len = -EFAULT;
		rig_cr = 3;
		assert_int_equal(exit_with(UINT32_MAX, 0, 0, 0).reason, HC_EXIT_ENTRY_FAILED);
		rig_stop();
	}
}

static void read_cr8(uint64_t *gpr)
{
	struct vmcb *v = rig_vmcb(0);

	gpr[X86_RBX] = v->v_tpr;
}

static void test_cr8_reads_the_local_apic(void **state)
{
	const struct model_step steps[] = { { .op = OP_CALL, .fn = read_cr8 }, { .op = OP_END } };

	rig_start(&rig_full);
	for (unsigned tpr = 0; tpr < 0x100; tpr += 0x10) {
		x86_apic_put(&rig_vcpus[0].apic, APIC_TPR, tpr);
		rig_run_script(0, steps);
		assert_int_equal(rig_state(0)->gpr[X86_RBX], tpr >> 4);
		rig_no_complaint();
	}
	rig_stop();
}

/* --- Nested page faults --- */

static void test_npf(void **state)
{
	static const struct {
		uint64_t info1;
		uint8_t access, in_walk, present;
	} cases[] = {
		{ 0x100000004, HC_ACCESS_READ, 0, 0 },  { 0x100000005, HC_ACCESS_READ, 0, 1 },
		{ 0x100000006, HC_ACCESS_WRITE, 0, 0 }, { 0x100000007, HC_ACCESS_WRITE, 0, 1 },
		{ 0x100000014, HC_ACCESS_EXEC, 0, 0 },  { 0x200000004, HC_ACCESS_READ, 1, 0 },
		{ 0x200000014, HC_ACCESS_READ, 1, 0 },  { 0x200000007, HC_ACCESS_WRITE, 1, 1 },
		{ 0x10000000c, HC_ACCESS_READ, 0, 1 }, /* reserved bit, P not reported */
	};

	rig_start(&rig_full);
	rig_vmcb(0)->insn_len = 3;
	memcpy(rig_vmcb(0)->insn, "\x8b\x04\x25", 3);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		struct hc_exit exit = exit_with(SVM_EXIT_NPF, cases[i].info1, 0xfee00020, 0);

		assert_int_equal(exit.reason, HC_EXIT_STAGE2);
		assert_int_equal(exit.u.stage2.gpa.v, 0xfee00020);
		assert_int_equal(exit.u.stage2.access, cases[i].access);
		assert_int_equal(exit.u.stage2.in_walk, cases[i].in_walk);
		assert_int_equal(exit.u.stage2.present, cases[i].present);
		assert_int_equal(exit.u.stage2.insn_len, 3);
		assert_memory_equal(exit.u.stage2.insn, "\x8b\x04\x25", 3);
	}
	rig_stop();
	rig_start(&rig_plain);
	rig_vmcb(0)->insn_len = 3;
	assert_int_equal(exit_with(SVM_EXIT_NPF, 4, 0, 0).u.stage2.insn_len, 0);
	rig_stop();
}

/* --- Exceptions --- */

static void test_exceptions(void **state)
{
	rig_start(&rig_full);
	for (uint8_t vector = 0; vector < 32; vector++) {
		bool error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;

		if (vector == X86_VEC_MC)
			continue;
		struct hc_exit exit = exit_with(SVM_EXIT_EXCP0 + vector, 0x1b, 0x123456, 0);

		assert_int_equal(exit.reason, HC_EXIT_EXCEPTION);
		assert_int_equal(exit.u.exception.vector, vector);
		assert_int_equal(exit.u.exception.has_error_code, error);
		assert_int_equal(exit.u.exception.error_code, error ? 0x1b : 0);
		assert_int_equal(exit.u.exception.address, vector == X86_VEC_PF ? 0x123456 : 0);
	}
	rig_stop();
}

/* Bochs' CPU has not cleared GD when it leaves the guest for a #DB, and the handler wants to read
 * DR6. Others have done what is to be done. */
static void test_db_with_gd(void **state)
{
	static const struct model_step db[] = {
		{ .op = OP_EXIT, .code = SVM_EXIT_EXCP0 + X86_VEC_DB },
		{ .op = OP_END },
	};
	static const struct model_features *const machines[] = { &rig_full, &rig_bochs };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(machines); i++) {
		rig_start(machines[i]);
		rig_state(0)->dr7 = 0x400 | HC_BIT(13);
		hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_DR);
		assert_int_equal(rig_run_script(0, db).u.exception.vector, X86_VEC_DB);
		hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_DR);
		assert_int_equal(rig_state(0)->dr7, i ? 0x400 : 0x2400);
		rig_stop();
	}
}

static void change_lma(uint64_t *gpr)
{
	rig_vmcb(0)->efer ^= X86_EFER_LMA;
}

/* Nor is EFER.LMA what it was before the MOV to CR0. */
static void test_lma_of_a_refused_cr0(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_CALL, .fn = change_lma },
		{ .op = OP_EXIT, .code = SVM_EXIT_CR0_SEL_WRITE },
		{ .op = OP_END },
	};

	for (unsigned paged = 0; paged < 2; paged++) {
		rig_start(&rig_bochs);
		if (!paged) {
			rig_real_mode(rig_state(0));
			rig_state(0)->efer = X86_EFER_LME;
		}
		rig_code_len = 3;
		rig_cr = 0;
		uint64_t efer = rig_state(0)->efer;

		assert_int_equal(rig_run_script(0, steps).reason, HC_EXIT_CR_WRITE);
		hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_CR);
		assert_int_equal(rig_state(0)->efer, efer);
		rig_stop();
	}
}

static void test_machine_check_is_the_hosts(void **state)
{
	rig_start(&rig_full);
	exit_with(SVM_EXIT_EXCP0 + (unsigned)X86_VEC_MC, 0, 0, 0);
	assert_int_equal(model_this()->x86.machine_checks, 1);
	rig_stop();
}

static void test_rdpmc_faults(void **state)
{
	rig_start(&rig_full);
	struct hc_exit exit = exit_with(SVM_EXIT_RDPMC, 0, 0, 2);

	assert_int_equal(exit.u.exception.vector, X86_VEC_GP);
	assert_int_equal(exit.u.exception.has_error_code, 1);
	assert_int_equal(exit.u.exception.error_code, 0);
	rig_stop();
}

static void test_pause_gives_way(void **state)
{
	rig_start(&rig_full);
	assert_true(rig_vmcb(0)->pause_count > 0);
	exit_with(SVM_EXIT_PAUSE, 0, 0, 0);
	assert_true(rig_vcpus[0].vcpu.requests & HC_REQ_YIELD);
	rig_stop();
	rig_start(&rig_plain);
	assert_false(rig_vmcb(0)->intercept[0] & SVM_INTERCEPT_MASK(SVM_I_PAUSE));
	rig_stop();
}

/* A refused entry says which rule was broken, whatever width the exit code has. */
static void refused_entry(const struct model_features *features)
{
	char text[160];

	rig_start(features);
	rig_state(0)->dr7 |= HC_BIT(40);
	struct hc_exit exit = rig_run(0);

	assert_int_equal(exit.reason, HC_EXIT_ENTRY_FAILED);
	svm_backend.explain(&rig_vcpus[0].vcpu, &exit, text, sizeof(text));
	assert_string_equal(text, "VMRUN refused: not so: DR7[63:32] is clear (APM Vol. 2 15.5.1)");
	rig_stop();
}

static void test_refused_entry(void **state)
{
	refused_entry(&rig_plain);
	refused_entry(&rig_full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_all_codes),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_outs_segment),
		cmocka_unit_test(test_io_of_no_width),
		cmocka_unit_test(test_next_pc_is_decoded),
		cmocka_unit_test(test_cr8),
		cmocka_unit_test(test_control_registers),
		cmocka_unit_test(test_refused_cr3),
		cmocka_unit_test(test_cr8_reads_the_local_apic),
		cmocka_unit_test(test_npf),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_db_with_gd),
		cmocka_unit_test(test_lma_of_a_refused_cr0),
		cmocka_unit_test(test_machine_check_is_the_hosts),
		cmocka_unit_test(test_rdpmc_faults),
		cmocka_unit_test(test_pause_gives_way),
		cmocka_unit_test(test_refused_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
