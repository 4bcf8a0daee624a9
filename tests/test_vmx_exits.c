/* SPDX-License-Identifier: BSD-2-Clause */
/* Every exit reason normalised, and values that no hardware should give. */
#include <string.h>

#include "core/log.h"
#include "tests/model/vmx_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

static uint64_t seed = 0xe817;

static struct hc_vcpu *const vcpu = &rig_vcpus[0].vcpu;

/* --- Reasons --- */

/* next: next_pc is due. */
static const struct {
	uint32_t reason;
	enum hc_exit_reason expected;
	bool next;
} known[] = {
	{ 1, HC_EXIT_INTERRUPT, false },  { 2, HC_EXIT_SHUTDOWN, false },
	{ 3, HC_EXIT_INTERRUPT, false },  { 7, HC_EXIT_WINDOW, false },
	{ 8, HC_EXIT_WINDOW, false },     { 9, HC_EXIT_TASK_SWITCH, false },
	{ 10, HC_EXIT_CPUID, true },      { 11, HC_EXIT_UNDEFINED, false },
	{ 12, HC_EXIT_HALT, true },       { 13, HC_EXIT_CACHE, true },
	{ 15, HC_EXIT_EXCEPTION, false }, { 17, HC_EXIT_UNDEFINED, false },
	{ 18, HC_EXIT_HYPERCALL, true },  { 19, HC_EXIT_UNDEFINED, false },
	{ 20, HC_EXIT_UNDEFINED, false }, { 21, HC_EXIT_UNDEFINED, false },
	{ 22, HC_EXIT_UNDEFINED, false }, { 23, HC_EXIT_UNDEFINED, false },
	{ 24, HC_EXIT_UNDEFINED, false }, { 25, HC_EXIT_UNDEFINED, false },
	{ 26, HC_EXIT_UNDEFINED, false }, { 27, HC_EXIT_UNDEFINED, false },
	{ 28, HC_EXIT_CR_WRITE, true },   { 30, HC_EXIT_IO, true },
	{ 31, HC_EXIT_MSR_READ, true },   { 32, HC_EXIT_MSR_WRITE, true },
	{ 36, HC_EXIT_UNDEFINED, false }, { 39, HC_EXIT_UNDEFINED, false },
	{ 40, HC_EXIT_INTERRUPT, false }, { 43, HC_EXIT_WINDOW, false },
	{ 44, HC_EXIT_STAGE2, false },    { 45, HC_EXIT_EOI, false },
	{ 48, HC_EXIT_STAGE2, false },    { 50, HC_EXIT_UNDEFINED, false },
	{ 52, HC_EXIT_INTERRUPT, false }, { 56, HC_EXIT_BUS, false },
	{ 53, HC_EXIT_UNDEFINED, false }, { 54, HC_EXIT_CACHE, true },
	{ 55, HC_EXIT_XSETBV, true },     { 59, HC_EXIT_UNDEFINED, false },
	{ 60, HC_EXIT_UNDEFINED, false }, { 62, HC_EXIT_LOG, false },
	{ 63, HC_EXIT_UNDEFINED, false }, { 64, HC_EXIT_UNDEFINED, false },
	{ 65, HC_EXIT_UNDEFINED, false }, { 67, HC_EXIT_UNDEFINED, false },
	{ 68, HC_EXIT_UNDEFINED, false }, { 69, HC_EXIT_UNDEFINED, false },
	{ 70, HC_EXIT_UNDEFINED, false }, { 72, HC_EXIT_UNDEFINED, false },
	{ 73, HC_EXIT_UNDEFINED, false },
};

static void test_reasons(void **state)
{
	rig_start(&rig_full);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(known); i++) {
		uint8_t len = (uint8_t)(1 + test_below(&seed, 15));
		uint64_t pc = rig_state(0)->rip;
		struct hc_exit exit = EXIT_BY(.reason = known[i].reason, .len = len);

		assert_int_equal(exit.reason, known[i].expected);
		assert_int_equal(exit.pc, pc);
		if (known[i].next)
			assert_int_equal(exit.next_pc, pc + len);
	}
	rig_stop();
}

static bool is_known(uint32_t reason)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(known); i++) {
		if (known[i].reason == reason)
			return true;
	}
	return reason == VMX_REASON_EXCEPTION_OR_NMI;
}

static void assert_unknown(uint32_t reason)
{
	struct hc_exit exit = EXIT_BY(.reason = reason, .qualification = 0x51ab, .physical = 0x9a);
	char text[160], number[16];

	assert_int_equal(exit.reason, HC_EXIT_UNKNOWN);
	assert_int_equal(exit.u.raw.code, reason);
	assert_int_equal(exit.u.raw.info1, 0x51ab);
	assert_int_equal(exit.u.raw.info2, 0x9a);
	vmx_backend.explain(vcpu, &exit, text, sizeof(text));
	hc_snprintf(number, sizeof(number), "%#x ", reason);
	assert_non_null(strstr(text, number));
	assert_non_null(strstr(text, vmx_exit_name(reason)));
	assert_non_null(strstr(text, "0x51ab"));
}

/* All reasons up to and beyond the table, and with what else EXIT_REASON can hold: those that no
 * control asks for are unknown, and named. */
static void test_all_reasons(void **state)
{
	rig_start(&rig_full);
	for (uint32_t reason = 0; reason < 0x100; reason++) {
		if (!is_known(reason))
			assert_unknown(reason);
		assert_unknown(reason | 1u << (16 + reason % 15));
	}
	assert_string_equal(vmx_exit_name(VMX_REASON_EPT_MISCONFIGURATION), "EPT_MISCONFIGURATION");
	assert_string_equal(vmx_exit_name(35), "unknown");
	assert_string_equal(vmx_exit_name(0xffff), "unknown");
	rig_stop();
}

static struct model_step random_exit(unsigned i)
{
	uint64_t r = test_random(&seed);

	return (struct model_step){
		.op = OP_EXIT,
		.reason = i & 1 ? (uint32_t)r : (uint32_t)(r % 80),
		.len = (uint8_t)test_random(&seed),
		.qualification = test_random(&seed),
		.insn_info = (uint32_t)test_random(&seed),
		.intr_info = (uint32_t)test_random(&seed),
		.idt_info = (uint32_t)test_random(&seed),
		.physical = test_random(&seed),
	};
}

/* Garbage in all fields: any reason is right that is one, and nothing breaks. */
static void test_garbage(void **state)
{
	rig_start(&rig_full);
	for (unsigned i = 0; i < test_rounds(10000); i++) {
		struct model_step step = random_exit(i);

		rig_long_mode(rig_state(0));
		hc_vcpu_dirty(vcpu, X86_G_ALL);
		model_clear_deliveries();
		struct hc_exit exit = rig_exit_by(step);

		assert_true(exit.reason < HC_EXIT_REASON_COUNT);
		if (exit.reason == HC_EXIT_IO)
			assert_true(exit.u.io.width == 1 || exit.u.io.width == 2 ||
			            exit.u.io.width == 4);
		if (exit.reason == HC_EXIT_EXCEPTION)
			assert_true(exit.u.exception.vector < 32);
	}
	rig_stop();
}

/* --- The next RIP --- */

static void assert_next(uint64_t rip, uint16_t cs_attr, uint64_t next)
{
	rig_long_mode(rig_state(0));
	rig_state(0)->rip = rip;
	rig_state(0)->seg[X86_CS].attr = cs_attr;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(EXIT_BY(.reason = VMX_REASON_CPUID, .len = 2).next_pc, next);
}

/* What RIP does in 64-bit mode EIP does not elsewhere. */
static void test_eip_wraps(void **state)
{
	const uint16_t code_64 = 0xa9b, code_32 = 0xc9b;

	rig_start(&rig_full);
	assert_next(0xfffffffe, code_64, UINT64_C(0x100000000));
	assert_next(0xfffffffe, code_32, 0);
	assert_next(0xffffffff, code_32, 1);
	assert_next(0xfffffffd, code_32, 0xffffffff);
	assert_next(UINT64_C(0xffffffff7fffffff), code_64, UINT64_C(0xffffffff80000001));
	assert_next(UINT64_C(0xfffffffeffffffff), code_64, UINT64_C(0xffffffff00000001));
	rig_stop();
}

/* --- I/O --- */

/* Tables 28-5 and 28-8. Bits that these do not define are set. */
static struct model_step io_exit(const struct hc_exit_io *io, uint8_t len)
{
	uint64_t q = io->width - 1u;
	unsigned address = io->addr_size == 2 ? 0 : io->addr_size == 4 ? 1 : 2;

	q |= io->write ? 0 : 1u << 3;
	q |= io->string ? 1u << 4 : 0;
	q |= io->rep ? 1u << 5 : 0;
	q |= test_below(&seed, 2) << 6; /* how the port is given */
	q |= (uint64_t)io->port << 16;
	return (struct model_step){ .op = OP_EXIT,
		                    .reason = VMX_REASON_IO,
		                    .len = len,
		                    .qualification = q,
		                    .insn_info =
		                            0x7f | address << 7 | (unsigned)io->segment << 15 };
}

static void test_io(void **state)
{
	rig_start(&rig_full);
	for (unsigned i = 0; i < test_rounds(5000); i++) {
		struct hc_exit_io io = rig_random_io(&seed);

		rig_state(0)->dr7 = io.watched ? 0x20401 : 0x400;
		hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_DR);
		uint8_t len = (uint8_t)(1 + test_below(&seed, 15));
		struct hc_exit exit = rig_exit_by(io_exit(&io, len));

		if (!io.write)
			io.segment = X86_ES;
		assert_int_equal(exit.reason, HC_EXIT_IO);
		assert_int_equal(exit.next_pc, exit.pc + len);
		assert_memory_equal(&exit.u.io, &io,
		                    io.string ? offsetof(struct hc_exit_io, addr_size) + 1
		                              : offsetof(struct hc_exit_io, rep));
	}
	rig_stop();
}

static void test_io_of_no_width(void **state)
{
	rig_start(&rig_full);
	for (unsigned size = 0; size < 8; size++) {
		struct hc_exit exit = EXIT_BY(.reason = VMX_REASON_IO, .qualification = size);
		bool is_one = size == 0 || size == 1 || size == 3;

		assert_int_equal(exit.reason, is_one ? HC_EXIT_IO : HC_EXIT_UNKNOWN);
	}
	rig_stop();
}

/* Segments 6 and 7 there are not. */
static void test_outs_of_no_segment(void **state)
{
	rig_start(&rig_full);
	for (unsigned segment = 6; segment < 8; segment++) {
		const struct hc_exit_io io = { .width = 1,
			                       .write = 1,
			                       .string = 1,
			                       .addr_size = 8,
			                       .segment = (uint8_t)segment };

		assert_int_equal(rig_exit_by(io_exit(&io, 1)).u.io.segment, X86_DS);
	}
	rig_stop();
}

/* --- Control registers --- */

static void fill_registers(void)
{
	for (unsigned g = 0; g < X86_GPR_COUNT; g++)
		rig_state(0)->gpr[g] = UINT64_C(0x7777000000000100) + g;
}

static struct hc_exit cr_exit(unsigned number, enum vmx_cr_access type, unsigned gpr, uint16_t lmsw)
{
	return EXIT_BY(.reason = VMX_REASON_CR_ACCESS, .len = 3,
	               .qualification = number | (uint64_t)type << 4 | (uint64_t)gpr << 8 |
	                                (uint64_t)lmsw << 16);
}

static void assert_cr(const struct hc_exit *exit, unsigned number, uint64_t value)
{
	assert_int_equal(exit->reason, HC_EXIT_CR_WRITE);
	assert_int_equal(exit->next_pc, exit->pc + 3);
	assert_int_equal(exit->u.cr.number, number);
	assert_int_equal(exit->u.cr.value, value);
}

static void test_moves_to_cr(void **state)
{
	static const uint8_t numbers[] = { 0, 3, 4, 8 };

	rig_start(&rig_full);
	for (unsigned i = 0; i < 4 * X86_GPR_COUNT; i++) {
		fill_registers();
		struct hc_exit exit = cr_exit(numbers[i % 4], VMX_CR_TO, i / 4, 0);

		assert_cr(&exit, numbers[i % 4], UINT64_C(0x7777000000000100) + i / 4);
	}
	/* 32-bit code moves 32 bits. */
	rig_state(0)->seg[X86_CS].attr = 0xc9b;
	hc_vcpu_dirty(vcpu, X86_G_CS);
	fill_registers();
	struct hc_exit exit = cr_exit(0, VMX_CR_TO, X86_RSP, 0);

	assert_cr(&exit, 0, 0x100u + X86_RSP);
	rig_stop();
}

static void set_cr0(uint64_t cr0)
{
	hc_vcpu_need(vcpu, X86_G_CR);
	rig_state(0)->cr0 = cr0;
	hc_vcpu_dirty(vcpu, X86_G_CR);
}

/* What the guest reads in CR0 is what the others change a part of. */
static void test_clts_and_lmsw(void **state)
{
	const uint64_t others = X86_CR0_PG | X86_CR0_ET | X86_CR0_CD | X86_CR0_WP;

	rig_start(&rig_full);
	set_cr0(others | X86_CR0_PE | X86_CR0_TS | X86_CR0_MP);
	struct hc_exit exit = cr_exit(0, VMX_CR_CLTS, 0, 0);

	assert_cr(&exit, 0, others | X86_CR0_PE | X86_CR0_MP);
	for (unsigned low = 0; low < 16; low++) {
		set_cr0(others | low | X86_CR0_PE);
		for (unsigned source = 0; source < 16; source++) {
			exit = cr_exit(0, VMX_CR_LMSW, 0, (uint16_t)(0xabc0 | source));
			assert_cr(&exit, 0, others | source | X86_CR0_PE);
		}
	}
	rig_stop();
}

static void test_reads_of_cr_are_unknown(void **state)
{
	rig_start(&rig_full);
	assert_int_equal(cr_exit(3, VMX_CR_FROM, 0, 0).reason, HC_EXIT_UNKNOWN);
	assert_int_equal(cr_exit(8, VMX_CR_FROM, 0, 0).reason, HC_EXIT_UNKNOWN);
	rig_stop();
}

/* --- EPT --- */

static void test_ept_violations(void **state)
{
	rig_start(&rig_full);
	for (uint64_t q = 0; q < 0x200; q++) {
		struct hc_exit exit = EXIT_BY(.reason = VMX_REASON_EPT_VIOLATION,
		                              .qualification = q, .physical = 0xfee00020 + q);
		const struct hc_exit_stage2 *s = &exit.u.stage2;
		uint8_t access = q & 2 ? HC_ACCESS_WRITE : q & 4 ? HC_ACCESS_EXEC : HC_ACCESS_READ;

		assert_int_equal(exit.reason, HC_EXIT_STAGE2);
		assert_int_equal(s->gpa.v, 0xfee00020 + q);
		assert_int_equal(s->access, access);
		assert_int_equal(s->in_walk, (q & 0x180) != 0x180);
		assert_int_equal(s->present, (q & 0x38) != 0);
		assert_int_equal(s->insn_len, 0);
	}
	rig_stop();
}

/* --- Exceptions --- */

#define INFO(type, vector) (uint32_t)(VMX_INFO_V | (uint32_t)(type) << 8 | (vector))

static void test_exceptions(void **state)
{
	rig_start(&rig_full);
	for (uint8_t vector = 0; vector < 32; vector++) {
		bool error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
		uint32_t info = INFO(VMX_EVENT_EXCEPTION, vector);

		if (vector == X86_VEC_MC)
			continue;
		struct hc_exit exit =
			EXIT_BY(.reason = 0, .qualification = 0x123456,
		                .intr_info = error ? info | (uint32_t)VMX_INFO_ERROR : info,
		                .intr_error = 0x1b);

		assert_int_equal(exit.reason, HC_EXIT_EXCEPTION);
		assert_int_equal(exit.u.exception.vector, vector);
		assert_int_equal(exit.u.exception.has_error_code, error);
		assert_int_equal(exit.u.exception.error_code, error ? 0x1b : 0);
		assert_int_equal(exit.u.exception.address, vector == X86_VEC_PF ? 0x123456 : 0);
	}
	rig_stop();
}

static void test_the_hosts_own(void **state)
{
	rig_start(&rig_full);
	struct hc_exit exit = EXIT_BY(.reason = 0, .intr_info = INFO(VMX_EVENT_NMI, 2));

	assert_int_equal(exit.reason, HC_EXIT_INTERRUPT);
	assert_int_equal(model_this()->nmis, 1);
	exit = EXIT_BY(.reason = 0, .intr_info = INFO(VMX_EVENT_EXCEPTION, X86_VEC_MC));
	assert_int_equal(exit.reason, HC_EXIT_INTERRUPT);
	assert_int_equal(model_this()->x86.machine_checks, 1);
	/* A machine check while the guest was entered. */
	exit = EXIT_BY(.reason = VMX_REASON_MACHINE_CHECK | (uint32_t)VMX_EXIT_REASON_ENTRY);
	assert_int_equal(exit.reason, HC_EXIT_INTERRUPT);
	assert_int_equal(model_this()->x86.machine_checks, 2);
	rig_stop();
}

/* As delivery would leave them: old causes go but for those that software clears, and nothing
 * happens to what is neither GD nor a branch trace. */
static void test_debug_registers(void **state)
{
	const uint64_t dr7 = 0x400 | 0x3, gd = HC_BIT(13);

	rig_start(&rig_full);
	for (uint64_t cause = 0; cause < 0x10000; cause += 0x0fff) {
		hc_vcpu_need(vcpu, X86_G_DR | X86_G_MSR);
		rig_state(0)->dr6 = 0xffff0ff0 | HC_BIT(14) | 5;
		rig_state(0)->dr7 = dr7 | (cause & gd);
		rig_state(0)->msr_debugctl = cause & 0x47;
		hc_vcpu_dirty(vcpu, X86_G_DR | X86_G_MSR);
		struct hc_exit exit = EXIT_BY(.reason = 0, .qualification = cause,
		                              .intr_info = INFO(VMX_EVENT_EXCEPTION, X86_VEC_DB));

		assert_int_equal(exit.u.exception.vector, X86_VEC_DB);
		hc_vcpu_need(vcpu, X86_G_DR | X86_G_MSR);
		assert_int_equal(rig_state(0)->dr6, 0xffff0ff0 | HC_BIT(14) | (cause & 0x600f));
		assert_int_equal(rig_state(0)->dr7, dr7);
		assert_int_equal(rig_state(0)->msr_debugctl, cause & 0x44);
	}
	rig_stop();
}

/* It is a trap: the guest's handler returns to what comes after it. */
static void test_int1(void **state)
{
	static const struct x86_event db = { 1, X86_EVENT_EXCEPTION, X86_VEC_DB, 0, 0 };

	rig_start(&rig_full);
	struct hc_exit exit =
		EXIT_BY(.reason = 0, .len = 1, .intr_info = INFO(VMX_EVENT_PRIVILEGED, X86_VEC_DB));

	assert_int_equal(exit.u.exception.vector, X86_VEC_DB);
	assert_int_equal(exit.pc, 0x1000);
	assert_int_equal(vmx_backend.inject(vcpu, &db), 0);
	rig_run(0);
	assert_int_equal(model_deliveries[0].rip, 0x1001);
	rig_stop();
}

static void test_rdpmc_faults(void **state)
{
	rig_start(&rig_full);
	struct hc_exit exit = EXIT_BY(.reason = VMX_REASON_RDPMC, .len = 2);

	assert_int_equal(exit.u.exception.vector, X86_VEC_GP);
	assert_int_equal(exit.u.exception.has_error_code, 1);
	assert_int_equal(exit.u.exception.error_code, 0);
	rig_stop();
}

static void test_pause_gives_way(void **state)
{
	rig_start(&rig_full);
	EXIT_BY(.reason = VMX_REASON_PAUSE, .len = 2);
	assert_true(vcpu->requests & HC_REQ_YIELD);
	rig_stop();
}

/* --- Refused entries --- */

static void assert_refused(const char *expected)
{
	char text[200];
	struct hc_exit exit = EXIT_BY(.reason = VMX_REASON_HLT);

	assert_int_equal(exit.reason, HC_EXIT_ENTRY_FAILED);
	assert_int_equal(exit.pc, 0x1000);
	vmx_backend.explain(vcpu, &exit, text, sizeof(text));
	assert_string_equal(text, expected);
}

/* The kind of failure, and the rule that was broken. */
static void test_refused_entries(void **state)
{
	rig_start(&rig_full);
	rig_state(0)->dr7 |= HC_BIT(40);
	assert_refused("VM entry refused (exit reason 33): not so: GUEST_DR7[63:32] is 0 (SDM Vol. "
	               "3C 27.3.1.1)");
	rig_state(0)->dr7 = 0x400;
	hc_vcpu_dirty(vcpu, X86_G_DR);
	rig_set(0, VMCS_HOST_TR_SELECTOR, 0);
	struct hc_exit exit = EXIT_BY(.reason = VMX_REASON_HLT);
	char text[200];

	vmx_backend.explain(vcpu, &exit, text, sizeof(text));
	assert_non_null(strstr(text, "VM entry refused (error 8): not so: "));
	assert_non_null(strstr(text, "HOST_TR_SELECTOR"));
	rig_set(0, VMCS_CR3_TARGET_COUNT, 5);
	exit = EXIT_BY(.reason = VMX_REASON_HLT);
	vmx_backend.explain(vcpu, &exit, text, sizeof(text));
	assert_non_null(strstr(text, "VM entry refused (error 7): not so: "));
	assert_non_null(strstr(text, "CR3_TARGET_COUNT"));
	/* And on again, once all is as it has to be. */
	rig_set(0, VMCS_CR3_TARGET_COUNT, 0);
	rig_put(0);
	rig_load(0, 0);
	assert_int_equal(EXIT_BY(.reason = VMX_REASON_HLT).reason, HC_EXIT_HALT);
	rig_stop();
}

/* Should a CPU know a rule that is not known here. */
static void test_refused_for_no_known_rule(void **state)
{
	char text[200];
	struct hc_exit exit;

	rig_start(&rig_full);
	exit = EXIT_BY(.reason = VMX_REASON_INVALID_GUEST_STATE | (uint32_t)VMX_EXIT_REASON_ENTRY);
	assert_int_equal(exit.reason, HC_EXIT_ENTRY_FAILED);
	vmx_backend.explain(vcpu, &exit, text, sizeof(text));
	assert_string_equal(text, "VM entry refused (exit reason 33), but no known rule is broken");
	rig_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_all_reasons),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_eip_wraps),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_io_of_no_width),
		cmocka_unit_test(test_outs_of_no_segment),
		cmocka_unit_test(test_moves_to_cr),
		cmocka_unit_test(test_clts_and_lmsw),
		cmocka_unit_test(test_reads_of_cr_are_unknown),
		cmocka_unit_test(test_ept_violations),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_the_hosts_own),
		cmocka_unit_test(test_debug_registers),
		cmocka_unit_test(test_int1),
		cmocka_unit_test(test_rdpmc_faults),
		cmocka_unit_test(test_pause_gives_way),
		cmocka_unit_test(test_refused_entries),
		cmocka_unit_test(test_refused_for_no_known_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
