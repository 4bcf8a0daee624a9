/* SPDX-License-Identifier: BSD-2-Clause */
/* Synchronous exceptions at EL1: which, with what in ESR_EL1, FAR_EL1, ELR_EL1 and SPSR_EL1. */
#include "guest/aarch64/kernel.h"

#define LDR_X0_X1 0xf9400020u
#define STR_X0_X1 0xf9000020u
#define BRK(n)    (0xd4200000u | (n) << 5)
#define SVC(n)    (0xd4000001u | (n) << 5)

static uint8_t el1_stack[4096] __attribute__((aligned(16)));

/* Runs code at EL1 with some SPSR, until the first exception. */
static struct frame run1(const void *code, uint64_t spsr)
{
	struct frame frame = { .elr = (uint64_t)code,
		               .sp = (uint64_t)el1_stack + sizeof(el1_stack),
		               .spsr = spsr };

	enter(&frame);
	return frame;
}

static void run(uint32_t opcode)
{
	uint64_t x[8] = { 0 };

	execute(opcode, x);
}

TEST(svc, "Arm ARM D17.2.37: ISS is the immediate, IL is 1; ELR_EL1 is behind it")
{
	const uint32_t code[] = { SVC(0xabcd) };
	const void *at = place_code(code, 1);
	struct frame frame = run1(at, SPSR_EL1T | SPSR_DAIF);

	CHECK_EQ(frame.esr, (uint64_t)EC_SVC << 26 | BIT(25) | 0xabcd);
	CHECK_EQ(frame.elr, (uint64_t)at + 4);
}

TEST(brk, "Arm ARM D2.8: ISS is the comment, ELR_EL1 at the instruction, whatever PSTATE.D")
{
	const uint32_t code[] = { BRK(0xbeef) };
	const void *at = place_code(code, 1);
	struct frame frame = run1(at, SPSR_EL1T | SPSR_DAIF);

	CHECK_EQ(frame.esr, (uint64_t)EC_BRK << 26 | BIT(25) | 0xbeef);
	CHECK_EQ(frame.elr, (uint64_t)at);
}

TEST(hlt, "Arm ARM C6.2.124: UNDEFINED if halting is not allowed")
{
	CHECK_FAULT(EC_UNKNOWN, 0, run(0xd4400000));
}

TEST(udf, "Arm ARM C6.2.387")
{
	CHECK_FAULT(EC_UNKNOWN, 0, run(0));
	CHECK_FAULT(EC_UNKNOWN, 0, run(0xffff));
}

TEST(unallocated, "Arm ARM C4.1: unallocated encodings are UNDEFINED")
{
	static const uint32_t opcodes[] = {
		0x00010000, 0x02000000, 0x06000000, 0xd4000000, 0xd4000004, 0xd4600000,
		0xd6ff0000, 0xd63f0800, 0x1ac00000, 0xdac08000, 0xffffffff,
	};

	for (unsigned int n = 0; n < sizeof(opcodes) / sizeof(opcodes[0]); n++) {
		struct fault fault = FAULT_OF(run(opcodes[n]));

		if (fault.vector != EC_UNKNOWN || fault.code)
			FAIL("%#x: exception %#lx, ISS %#lx", opcodes[n], fault.vector, fault.code);
	}
}

TEST(vectors, "Arm ARM D1.3.4: +0 from SP_EL0, +0x200 from SP_EL1, +0x400 from EL0")
{
	const uint32_t code[] = { SVC(0) };
	const void *at = place_code(code, 1);

	CHECK_EQ(run1(at, SPSR_EL1T | SPSR_DAIF).kind, 0);
	CHECK_EQ(run1(at, SPSR_EL1H | SPSR_DAIF).kind, 4);
	CHECK_EQ(enter_el0(place_code_el0(code, 1), 0, 0).kind, 8);
}

TEST(spsr, "Arm ARM D1.3.1: PSTATE as it was")
{
	static const uint64_t states[] = {
		SPSR_EL1T | SPSR_DAIF,
		SPSR_EL1T | SPSR_D | SPSR_A | SPSR_F | SPSR_I | SPSR_NZCV,
		SPSR_EL1H | SPSR_DAIF,
		SPSR_EL1T | SPSR_D | SPSR_I | SPSR_F | 0x50000000,
		SPSR_EL1H | SPSR_A | SPSR_I | SPSR_F | SPSR_D | 0x80000000,
	};
	const uint32_t code[] = { SVC(0) };
	const void *at = place_code(code, 1);

	for (unsigned int n = 0; n < sizeof(states) / sizeof(states[0]); n++)
		CHECK_EQ(run1(at, states[n]).spsr & (SPSR_NZCV | SPSR_DAIF | 0x1f), states[n]);
}

static volatile uint64_t seen_daif, seen_spsel, seen_pan;

static bool look(struct frame *frame)
{
	seen_daif = read_sysreg(daif);
	seen_spsel = read_sysreg(spsel);
	if (FIELD(read_sysreg(id_aa64mmfr1_el1), 23, 20))
		seen_pan = read_sysreg(s3_0_c4_c2_3);
	frame->elr += 4;
	return true;
}

TEST(masks, "Arm ARM D1.3.4: PSTATE.DAIF is set, SPSel is 1")
{
	handle(KIND_SYNC, look);
	write_sysreg(daif, 0);
	run(0);
	write_sysreg(daif, SPSR_DAIF);
	CHECK_EQ(seen_daif, SPSR_DAIF);
	CHECK_EQ(seen_spsel, 1);
}

TEST(sets_pan, "Arm ARM D17.2.118: SCTLR_EL1.SPAN is 0: PSTATE.PAN is set")
{
	if (!FIELD(read_sysreg(id_aa64mmfr1_el1), 23, 20))
		skip("ID_AA64MMFR1_EL1.PAN");
	handle(KIND_SYNC, look);
	run(0);
	CHECK_EQ(seen_pan, 0);
	write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) & ~BIT(23));
	run(0);
	CHECK_EQ(seen_pan, BIT(22));
	/* The return took it back. */
	CHECK_EQ(read_sysreg(s3_0_c4_c2_3), 0);
}

static volatile unsigned int depth;

static bool nest(struct frame *frame)
{
	if (depth < 4) {
		depth++;
		op("brk #1");
	}
	frame->elr += 4;
	return true;
}

TEST(nested, "Arm ARM D1.3.4: an exception in a handler comes to the vector at +0x200")
{
	depth = 0;
	handle(KIND_SYNC, nest);
	op("brk #2");
	CHECK_EQ(depth, 4);
}

/* ---- Aborts ---- */

static struct fault load_at(uint64_t address)
{
	uint64_t x[8] = { 0, address };

	return FAULT_OF(execute(LDR_X0_X1, x));
}

static struct fault store_at(uint64_t address)
{
	uint64_t x[8] = { 0, address };

	return FAULT_OF(execute(STR_X0_X1, x));
}

static void check_abort(const struct place *place, uint64_t address, uint64_t fsc)
{
	struct fault fault = load_at(address);

	check_fault(place, "load", fault, EC_DABORT, fsc);
	check_equal(place, "FAR_EL1", fault.address, address);
	fault = store_at(address);
	check_fault(place, "store", fault, EC_DABORT, fsc | ISS_WNR);
	check_equal(place, "FAR_EL1", fault.address, address);
}

TEST(translation_level1, "Arm ARM D17.2.37: translation fault, level 1; WnR; FAR_EL1")
{
	check_abort(HERE, WINDOW + 0x1238, FSC_TRANSLATION | 1);
}

TEST(translation_level2, "Arm ARM D17.2.37: translation fault, level 2")
{
	page_set(WINDOW, 2, 0);
	check_abort(HERE, WINDOW + 0x1238, FSC_TRANSLATION | 2);
}

TEST(translation_level3, "Arm ARM D17.2.37: translation fault, level 3")
{
	page_set(WINDOW, 3, 0);
	check_abort(HERE, WINDOW + 0x1238, FSC_TRANSLATION | 3);
}

TEST(outside_of_range, "Arm ARM D8.2.4: an address beyond TCR_EL1.T0SZ: translation fault, level 0")
{
	check_abort(HERE, BIT(45), FSC_TRANSLATION);
	check_abort(HERE, BIT(39), FSC_TRANSLATION);
}

TEST(upper_half_off, "Arm ARM D17.2.131: TCR_EL1.EPD1: translation fault, level 0")
{
	check_abort(HERE, UINT64_C(0xffffffffffff0000), FSC_TRANSLATION);
}

TEST(elr_of_abort, "Arm ARM D1.3.4: ELR_EL1 is at the instruction, which changes nothing")
{
	uint64_t x[8] = { 0x1111, WINDOW + 0x1238 };
	struct fault fault = FAULT_OF(execute(0xf8408420, x)); /* LDR X0, [X1], #8 */

	CHECK_EQ(fault.vector, EC_DABORT);
	CHECK_EQ(load32(fault.pc), 0xf8408420);
	CHECK_EQ(x[0], 0x1111);
	CHECK_EQ(x[1], WINDOW + 0x1238);
}

TEST(crossing, "Arm ARM D17.2.40: FAR_EL1 of an access that crosses into a page without mapping")
{
	struct fault fault;

	page_map(WINDOW, test_pages[0], PTE_NORMAL);
	page_set(WINDOW + PAGE, 3, 0);
	fault = load_at(WINDOW + PAGE - 4);
	CHECK_EQ(fault.vector, EC_DABORT);
	CHECK_EQ(fault.code, FSC_TRANSLATION | 3);
	CHECK_EQ(fault.address, WINDOW + PAGE);
}

static void jump(uint64_t address)
{
	((void (*)(void))address)();
}

TEST(instruction_abort, "Arm ARM D17.2.37: EC 0x21; ELR_EL1 and FAR_EL1 have the target")
{
	struct fault fault;

	page_set(WINDOW, 3, 0);
	fault = FAULT_OF(jump(WINDOW + 0x100));
	CHECK_EQ(fault.vector, EC_IABORT);
	CHECK_EQ(fault.code, FSC_TRANSLATION | 3);
	CHECK_EQ(fault.address, WINDOW + 0x100);
	CHECK_EQ(fault.pc, WINDOW + 0x100);
}

TEST(pc_alignment, "Arm ARM D1.3.8: EC 0x22, FAR_EL1 has the target")
{
	const uint32_t code[] = { OPCODE_RET };
	const char *at = place_code(code, 1);
	struct fault fault = FAULT_OF(jump((uint64_t)at + 2));

	CHECK_EQ(fault.vector, EC_PC_ALIGNMENT);
	CHECK_EQ(fault.address, (uint64_t)at + 2);
	CHECK_EQ(fault.pc, (uint64_t)at + 2);
}

TEST(pc_alignment_first, "Arm ARM D1.3.5.5: PC alignment has priority over instruction abort")
{
	page_set(WINDOW, 3, 0);
	CHECK_EQ(FAULT_OF(jump(WINDOW + 0x102)).vector, EC_PC_ALIGNMENT);
}

TEST(sp_alignment, "Arm ARM D1.3.8.2: EC 0x26 with SCTLR_EL1.SA, for loads and stores by SP")
{
	const uint32_t code[] = { 0x910003e9, /* MOV X9, SP */
		                  0xd1002129, /* SUB X9, X9, #8 */
		                  0x910003ea, /* MOV X10, SP */
		                  0x9100013f, /* MOV SP, X9 */
		                  0xf94003e0, /* LDR X0, [SP] */
		                  0x9100015f, /* MOV SP, X10 */
		                  OPCODE_RET };
	const void *at = place_code(code, 7);

	CHECK_FAULT(EC_SP_ALIGNMENT, 0, jump((uint64_t)at));
	write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) & ~SCTLR_SA);
	CHECK_NO_FAULT(jump((uint64_t)at));
}

TEST(illegal_state_el2, "Arm ARM D1.3.3: a return to EL2 sets PSTATE.IL: EC 0x0e at the target")
{
	const uint32_t code[] = { SVC(0) };
	const void *at = place_code(code, 1);
	struct frame frame = run1(at, 9 | SPSR_DAIF);

	CHECK_EQ(EC_OF(frame), EC_ILLEGAL);
	CHECK_EQ(frame.elr, (uint64_t)at);
	CHECK(frame.spsr & SPSR_IL);
	/* EL and SP did not change. */
	CHECK_EQ(frame.spsr & 0x1f, SPSR_EL1H);
}

TEST(illegal_state_reserved, "Arm ARM D1.3.3: SPSR_EL1.M that is reserved")
{
	const uint32_t code[] = { SVC(0) };
	const void *at = place_code(code, 1);

	CHECK_EQ(EC_OF(run1(at, 1 | SPSR_DAIF)), EC_ILLEGAL);
	CHECK_EQ(EC_OF(run1(at, 6 | SPSR_DAIF)), EC_ILLEGAL);
	CHECK_EQ(EC_OF(run1(at, 0xd | SPSR_DAIF)), EC_ILLEGAL);
}

TEST(illegal_state_first, "Arm ARM D1.3.5.5: the illegal state has priority over UNDEFINED")
{
	const uint32_t code[] = { 0 };
	struct frame frame = run1(place_code(code, 1), SPSR_EL1T | SPSR_DAIF | SPSR_IL);

	CHECK_EQ(EC_OF(frame), EC_ILLEGAL);
	CHECK_EQ(ISS_OF(frame), 0);
}

/* ---- Alignment ---- */

TEST(alignment_checked, "Arm ARM B2.5.2: SCTLR_EL1.A: unaligned loads and stores abort")
{
	uint64_t address = (uint64_t)test_pages[0] + 1;

	CHECK_EQ(load_at(address).vector, FAULT_NONE);
	CHECK_EQ(store_at(address).vector, FAULT_NONE);
	write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | SCTLR_A);
	check_abort(HERE, address, FSC_ALIGNMENT);
}

TEST(alignment_exclusive, "Arm ARM B2.5.2: exclusives have to be aligned")
{
	uint64_t x[8] = { 0, (uint64_t)test_pages[0] + 17 };

	/* Within 16 bytes, FEAT_LSE2 may allow it. */
	x[1] = (uint64_t)test_pages[0] + 13;
	CHECK_FAULT(EC_DABORT, FSC_ALIGNMENT, execute(0xc85f7c20, x)); /* LDXR X0, [X1] */
}

TEST(alignment_acquire, "Arm ARM B2.5.2: LDAR across 16 bytes has to be aligned")
{
	uint64_t x[8] = { 0, (uint64_t)test_pages[0] + 13 };

	CHECK_FAULT(EC_DABORT, FSC_ALIGNMENT, execute(0xc8dffc20, x));           /* LDAR X0, [X1] */
	CHECK_FAULT(EC_DABORT, FSC_ALIGNMENT | ISS_WNR, execute(0xc89ffc20, x)); /* STLR */
}

TEST(alignment_device, "Arm ARM B2.5.2: any unaligned access to Device memory aborts")
{
	page_map(WINDOW, test_pages[0], PTE_DEVICE);
	check_abort(HERE, WINDOW + 1, FSC_ALIGNMENT);
	CHECK_EQ(load_at(WINDOW + 8).vector, FAULT_NONE);
}

TEST(data_from_device, "Arm ARM D17.2.37: an instruction from memory that cannot be executed")
{
	const uint32_t code[] = { OPCODE_RET };
	const void *at = place_code(code, 1);

	page_map(WINDOW, at, PTE_NORMAL | PTE_PXN);
	CHECK_FAULT(EC_IABORT, FSC_PERMISSION | 3, jump(WINDOW));
	page_map(WINDOW, at, PTE_NORMAL);
	CHECK_NO_FAULT(jump(WINDOW));
}

/* ---- Traps of EL1's own ---- */

TEST(fp_off, "Arm ARM D17.2.30: CPACR_EL1.FPEN is 0: EC 0x07, with CV and COND")
{
	write_sysreg(cpacr_el1, 0);
	CHECK_FAULT(EC_FP, BIT(24) | 14 << 20, run(0x1e604000)); /* FMOV D0, D0 */
	CHECK_FAULT(EC_FP, BIT(24) | 14 << 20, run(0x3dc00020)); /* LDR Q0, [X1] */
	write_sysreg(cpacr_el1, CPACR_FPEN(1));
	CHECK_NO_FAULT(run(0x1e604000));
}

TEST(address_translation, "Arm ARM C5.4.1: AT S1E1R; PAR_EL1 has the address, or the fault")
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL);
	page_set(WINDOW + PAGE, 3, 0);
	op1("at s1e1r", WINDOW + 0x123);
	isb();
	CHECK_EQ(read_sysreg(par_el1) & 1, 0);
	CHECK_EQ(read_sysreg(par_el1) & PTE_ADDRESS, (uint64_t)test_pages[0]);
	op1("at s1e1r", WINDOW + PAGE);
	isb();
	CHECK_EQ(read_sysreg(par_el1) & 0x7f, 1 | (FSC_TRANSLATION | 3) << 1);
}

TEST(address_translation_el0, "Arm ARM C5.4.1: AT S1E0R, S1E0W and S1E1W look at permissions")
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL | PTE_RO);
	op1("at s1e0r", WINDOW);
	isb();
	CHECK_EQ(read_sysreg(par_el1) & 0x7f, 1 | (FSC_PERMISSION | 3) << 1);
	op1("at s1e1w", WINDOW);
	isb();
	CHECK_EQ(read_sysreg(par_el1) & 0x7f, 1 | (FSC_PERMISSION | 3) << 1);
	page_map(WINDOW, test_pages[0], PTE_NORMAL | PTE_EL0);
	op1("at s1e0w", WINDOW);
	isb();
	CHECK_EQ(read_sysreg(par_el1) & 1, 0);
}
