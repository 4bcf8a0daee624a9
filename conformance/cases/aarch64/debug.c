/* SPDX-License-Identifier: BSD-2-Clause */
/* Self-hosted debug: software step, breakpoints, watchpoints and the OS lock. */
#include "guest/aarch64/kernel.h"

#define MDSCR_SS                 BIT(0)
#define MDSCR_KDE                BIT(13)
#define MDSCR_MDE                BIT(15)
#define BCR_EL1                  (1u | 1 << 1 | 0xf << 5)
#define BCR_EL0                  (1u | 2 << 1 | 0xf << 5)
#define WCR(el, accesses, bytes) (1u | (el) << 1 | (accesses) << 3 | (uint64_t)(bytes) << 5)
#define LOADS                    1
#define STORES                   2
#define UNMASKED                 (SPSR_A | SPSR_I | SPSR_F) /* PSTATE.D is 0 */
#define FSC_DEBUG                0x22u

static uint8_t el1_stack[4096] __attribute__((aligned(16)));
static uint64_t watched[4] __attribute__((aligned(64)));

static struct frame run1(const void *code, uint64_t spsr)
{
	struct frame frame = { .elr = (uint64_t)code,
		               .sp = (uint64_t)el1_stack + sizeof(el1_stack),
		               .spsr = spsr,
		               .x = { 7, (uint64_t)watched } };

	enter(&frame);
	return frame;
}

/* Four NOPs, or what a case puts there, and SVC. */
static const uint32_t *nops(uint32_t first)
{
	const uint32_t code[] = { first, OPCODE_NOP, OPCODE_NOP, OPCODE_NOP, 0xd4000001 };

	return place_code(code, 5);
}

static const uint32_t *nops_el0(uint32_t first)
{
	const uint32_t code[] = { first, OPCODE_NOP, OPCODE_NOP, OPCODE_NOP, 0xd4000001 };

	return place_code_el0(code, 5);
}

/* ---- Software step (D2.10) ---- */

TEST(step_el1, "Arm ARM D2.10: one instruction, then EC 0x33 behind it")
{
	const uint32_t *code = nops(0x91000400); /* ADD X0, X0, #1 */
	struct frame frame;

	write_sysreg(mdscr_el1, MDSCR_SS | MDSCR_KDE);
	frame = run1(code, SPSR_EL1T | UNMASKED | SPSR_SS);
	write_sysreg(mdscr_el1, 0);
	CHECK_EQ(EC_OF(frame), EC_STEP);
	CHECK_EQ(frame.elr, (uint64_t)&code[1]);
	CHECK_EQ(frame.x[0], 8);
	CHECK_EQ(ISS_OF(frame) & 0x3f, FSC_DEBUG);
	CHECK_EQ(frame.spsr & SPSR_SS, 0);
}

TEST(step_pending, "Arm ARM D2.10: with SPSR.SS 0 the exception comes before the instruction")
{
	const uint32_t *code = nops(0x91000400);
	struct frame frame;

	write_sysreg(mdscr_el1, MDSCR_SS | MDSCR_KDE);
	frame = run1(code, SPSR_EL1T | UNMASKED);
	write_sysreg(mdscr_el1, 0);
	CHECK_EQ(EC_OF(frame), EC_STEP);
	CHECK_EQ(frame.elr, (uint64_t)code);
	CHECK_EQ(frame.x[0], 7);
}

TEST(step_masked, "Arm ARM D2.10: not at EL1 with PSTATE.D set, nor without MDSCR_EL1.KDE")
{
	const uint32_t *code = nops(OPCODE_NOP);

	write_sysreg(mdscr_el1, MDSCR_SS | MDSCR_KDE);
	CHECK_EQ(EC_OF(run1(code, SPSR_EL1T | UNMASKED | SPSR_D | SPSR_SS)), EC_SVC);
	write_sysreg(mdscr_el1, MDSCR_SS);
	CHECK_EQ(EC_OF(run1(code, SPSR_EL1T | UNMASKED | SPSR_SS)), EC_SVC);
	write_sysreg(mdscr_el1, 0);
}

static struct frame at_el0(const uint32_t *code)
{
	return (struct frame){ .elr = (uint64_t)code,
		               .sp = (uint64_t)user_stack_top,
		               .spsr = SPSR_EL0T | SPSR_DAIF };
}

/* One instruction of EL0's, unless something else comes first. */
static void step(struct frame *frame)
{
	frame->spsr |= SPSR_SS;
	write_sysreg(mdscr_el1, MDSCR_SS);
	enter(frame);
	write_sysreg(mdscr_el1, 0);
}

TEST(step_el0, "Arm ARM D2.10: EC 0x32 from EL0, whatever PSTATE.D")
{
	const uint32_t *code = nops_el0(0x91000400);
	struct frame frame = at_el0(code);

	step(&frame);
	CHECK_EQ(EC_OF(frame), EC_STEP_LOWER);
	CHECK_EQ(frame.elr, (uint64_t)&code[1]);
	CHECK_EQ(frame.x[0], 1);
}

TEST(step_over_svc, "Arm ARM D2.10: SVC is an exception of its own; the step state is kept in SPSR")
{
	const uint32_t *code = nops_el0(0xd4000001 | 5 << 5);
	struct frame frame = at_el0(code);

	step(&frame);
	CHECK_EQ(EC_OF(frame), EC_SVC);
	CHECK_EQ(ISS_OF(frame), 5);
}

TEST(step_many, "Arm ARM D2.10: step by step through the code")
{
	const uint32_t *code = nops_el0(OPCODE_NOP);
	struct frame frame = at_el0(code);

	for (unsigned int n = 1; n <= 4; n++) {
		step(&frame);
		CHECK_EQ(EC_OF(frame), EC_STEP_LOWER);
		CHECK_EQ(frame.elr, (uint64_t)&code[n]);
	}
}

/* ---- Breakpoints (D2.9) ---- */

TEST(breakpoint_el1, "Arm ARM D2.9: EC 0x31 before the instruction")
{
	const uint32_t *code = nops(0x91000400);
	struct frame frame;

	write_sysreg(dbgbvr0_el1, (uint64_t)&code[1]);
	write_sysreg(dbgbcr0_el1, BCR_EL1);
	write_sysreg(mdscr_el1, MDSCR_MDE | MDSCR_KDE);
	frame = run1(code, SPSR_EL1T | UNMASKED);
	CHECK_EQ(EC_OF(frame), EC_BREAK);
	CHECK_EQ(frame.elr, (uint64_t)&code[1]);
	CHECK_EQ(frame.x[0], 8);
	CHECK_EQ(ISS_OF(frame) & 0x3f, FSC_DEBUG);
}

TEST(breakpoint_el0, "Arm ARM D2.9: EC 0x30 from EL0; PMC says where it matches")
{
	const uint32_t *code = nops_el0(OPCODE_NOP);
	struct frame frame;

	write_sysreg(dbgbvr1_el1, (uint64_t)&code[2]);
	write_sysreg(dbgbcr1_el1, BCR_EL0);
	write_sysreg(mdscr_el1, MDSCR_MDE);
	frame = enter_el0(code, 0, 0);
	CHECK_EQ(EC_OF(frame), EC_BREAK_LOWER);
	CHECK_EQ(frame.elr, (uint64_t)&code[2]);
	write_sysreg(dbgbcr1_el1, BCR_EL1);
	CHECK_EQ(EC_OF(enter_el0(code, 0, 0)), EC_SVC);
}

TEST(breakpoint_off, "Arm ARM D2.9: not with DBGBCR.E, MDE or KDE 0, nor with PSTATE.D set")
{
	const uint32_t *code = nops(OPCODE_NOP);

	write_sysreg(dbgbvr0_el1, (uint64_t)&code[1]);
	write_sysreg(dbgbcr0_el1, BCR_EL1 & ~1u);
	write_sysreg(mdscr_el1, MDSCR_MDE | MDSCR_KDE);
	CHECK_EQ(EC_OF(run1(code, SPSR_EL1T | UNMASKED)), EC_SVC);
	write_sysreg(dbgbcr0_el1, BCR_EL1);
	CHECK_EQ(EC_OF(run1(code, SPSR_EL1T | UNMASKED | SPSR_D)), EC_SVC);
	write_sysreg(mdscr_el1, MDSCR_MDE);
	CHECK_EQ(EC_OF(run1(code, SPSR_EL1T | UNMASKED)), EC_SVC);
	write_sysreg(mdscr_el1, MDSCR_KDE);
	CHECK_EQ(EC_OF(run1(code, SPSR_EL1T | UNMASKED)), EC_SVC);
	write_sysreg(mdscr_el1, MDSCR_MDE | MDSCR_KDE);
	CHECK_EQ(EC_OF(run1(code, SPSR_EL1T | UNMASKED)), EC_BREAK);
}

/* ---- Watchpoints (D2.10) ---- */

/* What comes of one load or store of X0 at X1 plus an offset. */
static struct frame access(uint32_t opcode)
{
	return run1(nops(opcode), SPSR_EL1T | UNMASKED);
}
#define LDR(offset)  (0xf9400020u | (offset) / 8 << 10)
#define STR(offset)  (0xf9000020u | (offset) / 8 << 10)
#define LDRB(offset) (0x39400020u | (offset) << 10)

static void watch(uint64_t address, uint64_t control)
{
	write_sysreg(dbgwvr0_el1, address);
	write_sysreg(dbgwcr0_el1, control);
	write_sysreg(mdscr_el1, MDSCR_MDE | MDSCR_KDE);
}

TEST(watchpoint_load, "Arm ARM D2.11: EC 0x35, FAR_EL1 has the address, WnR is 0")
{
	struct frame frame;

	watch((uint64_t)watched, WCR(1, LOADS, 0xff));
	frame = access(LDR(0));
	CHECK_EQ(EC_OF(frame), EC_WATCH);
	CHECK_EQ(frame.far, (uint64_t)watched);
	CHECK_EQ(ISS_OF(frame) & (ISS_FSC | ISS_WNR), FSC_DEBUG);
	CHECK_EQ(EC_OF(access(STR(0))), EC_SVC);
}

TEST(watchpoint_store, "Arm ARM D2.11: WnR is 1; the store has not been done")
{
	struct frame frame;

	watched[0] = 1234;
	watch((uint64_t)watched, WCR(1, STORES, 0xff));
	frame = access(STR(0));
	write_sysreg(mdscr_el1, 0);
	CHECK_EQ(EC_OF(frame), EC_WATCH);
	CHECK_EQ(ISS_OF(frame) & (ISS_FSC | ISS_WNR), FSC_DEBUG | ISS_WNR);
	CHECK_EQ(*(volatile uint64_t *)watched, 1234);
	write_sysreg(mdscr_el1, MDSCR_MDE | MDSCR_KDE);
	CHECK_EQ(EC_OF(access(LDR(0))), EC_SVC);
}

TEST(watchpoint_bytes, "Arm ARM D2.11: BAS selects bytes of the doubleword")
{
	watch((uint64_t)watched, WCR(1, LOADS | STORES, 0x10));
	CHECK_EQ(EC_OF(access(LDRB(3))), EC_SVC);
	CHECK_EQ(EC_OF(access(LDRB(4))), EC_WATCH);
	CHECK_EQ(EC_OF(access(LDRB(5))), EC_SVC);
	CHECK_EQ(EC_OF(access(LDR(0))), EC_WATCH);
	CHECK_EQ(EC_OF(access(LDR(8))), EC_SVC);
}

TEST(watchpoint_el, "Arm ARM D2.11: PAC says where it matches")
{
	watch((uint64_t)watched, WCR(2, LOADS | STORES, 0xff));
	CHECK_EQ(EC_OF(access(LDR(0))), EC_SVC);
	watch((uint64_t)watched, WCR(3, LOADS | STORES, 0xff));
	CHECK_EQ(EC_OF(access(LDR(0))), EC_WATCH);
}

TEST(watchpoint_mask, "Arm ARM D2.11: MASK leaves out low bits of the address")
{
	watch((uint64_t)watched, WCR(1, LOADS | STORES, 0xff) | (uint64_t)5 << 24);
	CHECK_EQ(EC_OF(access(LDR(24))), EC_WATCH);
	CHECK_EQ(EC_OF(access(LDR(32))), EC_SVC);
}

/* ---- The OS lock (H6.6) ---- */

TEST(os_lock, "Arm ARM D17.3.16, D17.3.17: OSLAR_EL1 sets OSLSR_EL1.OSLK")
{
	write_sysreg(oslar_el1, 1);
	CHECK_EQ(read_sysreg(oslsr_el1) & 2, 2);
	write_sysreg(oslar_el1, 0);
	CHECK_EQ(read_sysreg(oslsr_el1) & 2, 0);
	/* OSLM is 0b10, nTT is 0. */
	CHECK_EQ(read_sysreg(oslsr_el1) & 0xd, 8);
}

TEST(os_lock_masks, "Arm ARM D2.3: no breakpoints while the OS lock is locked")
{
	const uint32_t *code = nops(OPCODE_NOP);

	write_sysreg(dbgbvr0_el1, (uint64_t)&code[1]);
	write_sysreg(dbgbcr0_el1, BCR_EL1);
	write_sysreg(mdscr_el1, MDSCR_MDE | MDSCR_KDE);
	write_sysreg(oslar_el1, 1);
	CHECK_EQ(EC_OF(run1(code, SPSR_EL1T | UNMASKED)), EC_SVC);
	write_sysreg(oslar_el1, 0);
	CHECK_EQ(EC_OF(run1(code, SPSR_EL1T | UNMASKED)), EC_BREAK);
}

TEST(all_there, "Arm ARM D17.2.59: as many breakpoints and watchpoints as ID_AA64DFR0_EL1 says")
{
	uint64_t dfr0 = read_sysreg(id_aa64dfr0_el1);

	for (unsigned int n = 0; n <= FIELD(dfr0, 15, 12); n++) {
		CHECK_NO_FAULT(sysreg_read(SYSREG(2, 0, 0, n, 4)));
		CHECK_NO_FAULT(sysreg_read(SYSREG(2, 0, 0, n, 5)));
	}
	for (unsigned int n = 0; n <= FIELD(dfr0, 23, 20); n++) {
		CHECK_NO_FAULT(sysreg_read(SYSREG(2, 0, 0, n, 6)));
		CHECK_NO_FAULT(sysreg_read(SYSREG(2, 0, 0, n, 7)));
	}
}

static void read_debug(void *argument)
{
	uint64_t *value = argument;

	value[0] = read_sysreg(dbgbvr0_el1);
	value[1] = read_sysreg(dbgbcr0_el1);
	value[2] = read_sysreg(mdscr_el1) & (MDSCR_MDE | MDSCR_KDE);
}

TEST_SMP(per_cpu, 2, "Arm ARM D2.9: the registers are each CPU's own")
{
	static uint64_t other[3];

	write_sysreg(dbgbvr0_el1, 0x123450);
	write_sysreg(dbgbcr0_el1, BCR_EL0);
	write_sysreg(mdscr_el1, MDSCR_MDE | MDSCR_KDE);
	start_cpu(1, read_debug, other);
	wait_cpu(1);
	CHECK_EQ(other[1], 0);
	CHECK_EQ(other[2], 0);
	CHECK_EQ(read_sysreg(dbgbvr0_el1), 0x123450);
	CHECK_EQ(read_sysreg(dbgbcr0_el1), BCR_EL0);
}
