/* SPDX-License-Identifier: BSD-2-Clause */
/* EL0: what it may do, and what comes to EL1 when it does what it may not. */
#include "guest/aarch64/kernel.h"

/* ISS of a trapped MRS, MSR or system instruction (D17.2.37, EC 0x18), with Rt X0. */
#define ISS_SYSREG(op0, op1, crn, crm, op2, read)                                                  \
	((uint64_t)(op0) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1 | (read))

static struct frame run0(uint32_t opcode)
{
	uint64_t x[8] = { 0 };

	return execute_el0(opcode, x);
}

static uint32_t mrs(uint32_t number)
{
	return 0xd5200000 | (number & 0x7fff) << 5 | (number >> 15 & 1) << 20;
}

static uint32_t msr(uint32_t number)
{
	return mrs(number) & ~(1u << 21);
}

static void check_trap(const struct place *place, struct frame frame, uint64_t ec, uint64_t iss)
{
	struct fault got = { .vector = EC_OF(frame), .code = ISS_OF(frame) };

	check_fault(place, "the instruction at EL0", got, ec, iss);
}
#define CHECK_TRAP(opcode, ec, iss) check_trap(HERE, run0(opcode), ec, iss)
#define CHECK_RUNS(opcode)          CHECK_TRAP(opcode, EC_SVC, 0)

static void set_sctlr(uint64_t set, uint64_t clear)
{
	write_sysreg(sctlr_el1, (read_sysreg(sctlr_el1) & ~clear) | set);
}

EL0_CODE(el0_nothing, "nop");
EL0_CODE(el0_add, "add x0, x0, x1");
EL0_CODE(el0_flags, "mov x0, #0\n\tcmp x0, x0");

TEST(enters, "Arm ARM D1.3.2: ERET to EL0, SVC to the vector at +0x400")
{
	struct frame frame = enter_el0(el0_nothing, 0, 0);

	CHECK_EQ(EC_OF(frame), EC_SVC);
	CHECK_EQ(frame.kind, 8);
	CHECK_EQ(frame.spsr & 0x1f, SPSR_EL0T);
	CHECK_EQ(frame.elr, (uint64_t)el0_nothing + 8);
	CHECK_EQ(frame.sp, (uint64_t)user_stack_top);
}

TEST(registers, "Arm ARM D1.3.2")
{
	CHECK_EQ(enter_el0(el0_add, 40, 2).x[0], 42);
}

TEST(flags, "Arm ARM D1.3.1: SPSR_EL1 has the flags")
{
	CHECK_EQ(enter_el0(el0_flags, 0, 0).spsr & SPSR_NZCV, 0x60000000);
}

TEST(svc_immediate, "Arm ARM D17.2.37: ISS is the immediate")
{
	CHECK_TRAP(0xd4000001 | 0x1234 << 5, EC_SVC, 0x1234);
	CHECK_TRAP(0xd4000001 | 0xffff << 5, EC_SVC, 0xffff);
}

TEST(brk, "Arm ARM D2.8: BRK is taken from EL0, too")
{
	struct frame frame = run0(0xd4200000 | 0x42 << 5);

	CHECK_EQ(EC_OF(frame), EC_BRK);
	CHECK_EQ(ISS_OF(frame), 0x42);
}

TEST(privileged_instructions,
     "Arm ARM C6.2, C5.5: HVC, SMC, ERET, DRPS and TLBI are UNDEFINED at EL0")
{
	CHECK_TRAP(0xd4000002, EC_UNKNOWN, 0); /* HVC #0 */
	CHECK_TRAP(0xd4000003, EC_UNKNOWN, 0); /* SMC #0 */
	CHECK_TRAP(0xd69f03e0, EC_UNKNOWN, 0); /* ERET */
	CHECK_TRAP(0xd6bf03e0, EC_UNKNOWN, 0); /* DRPS */
	CHECK_TRAP(0xd508871f, EC_UNKNOWN, 0); /* TLBI VMALLE1 */
	CHECK_TRAP(0xd508751f, EC_UNKNOWN, 0); /* IC IALLU */
	CHECK_TRAP(0xd5087640, EC_UNKNOWN, 0); /* DC ISW */
	CHECK_TRAP(0xd5087800, EC_UNKNOWN, 0); /* AT S1E1R */
}

TEST(el1_registers, "Arm ARM D17.2: EL1's registers are UNDEFINED at EL0")
{
	static const uint32_t rows[] = {
		SYSREG(3, 0, 1, 0, 0),  SYSREG(3, 0, 1, 0, 2),  SYSREG(3, 0, 2, 0, 0),
		SYSREG(3, 0, 2, 0, 2),  SYSREG(3, 0, 4, 0, 0),  SYSREG(3, 0, 4, 0, 1),
		SYSREG(3, 0, 4, 1, 0),  SYSREG(3, 0, 5, 2, 0),  SYSREG(3, 0, 6, 0, 0),
		SYSREG(3, 0, 10, 2, 0), SYSREG(3, 0, 12, 0, 0), SYSREG(3, 0, 13, 0, 4),
		SYSREG(3, 0, 14, 1, 0), SYSREG(2, 0, 0, 2, 2),  SYSREG(2, 0, 0, 0, 5),
	};

	for (unsigned int n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		CHECK_TRAP(mrs(rows[n]), EC_UNKNOWN, 0);
		CHECK_TRAP(msr(rows[n]), EC_UNKNOWN, 0);
	}
}

TEST(thread_registers, "Arm ARM D17.2: TPIDR_EL0 is read and written, TPIDRRO_EL0 read")
{
	uint64_t x[8] = { 77 };

	write_sysreg(tpidrro_el0, 5);
	execute_el0(msr(SYSREG(3, 3, 13, 0, 2)), x);
	CHECK_EQ(read_sysreg(tpidr_el0), 77);
	execute_el0(mrs(SYSREG(3, 3, 13, 0, 3)), x);
	CHECK_EQ(x[0], 5);
	CHECK_TRAP(msr(SYSREG(3, 3, 13, 0, 3)), EC_UNKNOWN, 0);
}

TEST(cache_type_trap, "Arm ARM D17.2.118: SCTLR_EL1.UCT")
{
	set_sctlr(0, SCTLR_UCT);
	CHECK_TRAP(mrs(SYSREG(3, 3, 0, 0, 1)), EC_SYSREG, ISS_SYSREG(3, 3, 0, 0, 1, 1));
	set_sctlr(SCTLR_UCT, 0);
	CHECK_RUNS(mrs(SYSREG(3, 3, 0, 0, 1)));
}

TEST(zeroing_trap, "Arm ARM D17.2.118: SCTLR_EL1.DZE")
{
	uint64_t x[8] = { (uint64_t)user_data };

	if (read_sysreg(dczid_el0) & BIT(4))
		skip("DC ZVA");
	set_sctlr(0, SCTLR_DZE);
	check_trap(HERE, execute_el0(0xd50b7420, x), EC_SYSREG, ISS_SYSREG(1, 3, 7, 4, 1, 0));
	set_sctlr(SCTLR_DZE, 0);
	check_trap(HERE, execute_el0(0xd50b7420, x), EC_SVC, 0);
}

TEST(daif_trap, "Arm ARM D17.2.118: SCTLR_EL1.UMA")
{
	set_sctlr(0, SCTLR_UMA);
	CHECK_TRAP(mrs(SYSREG(3, 3, 4, 2, 1)), EC_SYSREG, ISS_SYSREG(3, 3, 4, 2, 1, 1));
	set_sctlr(SCTLR_UMA, 0);
	CHECK_RUNS(mrs(SYSREG(3, 3, 4, 2, 1)));
}

/* Either may complete at once, for whatever reason; then there is no trap. */
static void check_wait(uint32_t opcode, uint64_t trapped, uint64_t allows)
{
	struct frame frame;

	set_sctlr(0, allows);
	for (unsigned int n = 0; n < 3; n++) { /* a WFE that completes clears the event */
		frame = run0(opcode);
		if (EC_OF(frame) != EC_SVC)
			check_trap(HERE, frame, EC_WFX, BIT(24) | 14 << 20 | trapped);
	}
}

TEST(wfi_trap, "Arm ARM D17.2.118: SCTLR_EL1.nTWI; ISS has CV and COND, TI 0")
{
	check_wait(0xd503207f, 0, SCTLR_NTWI);
}

TEST(wfe_trap, "Arm ARM D17.2.118: SCTLR_EL1.nTWE; ISS has CV and COND, TI 1")
{
	check_wait(0xd503205f, 1, SCTLR_NTWE);
}

TEST(waits, "Arm ARM D17.2.118: with nTWI and nTWE EL0 waits, as EL1 does")
{
	need_gic(0);
	set_sctlr(SCTLR_NTWI | SCTLR_NTWE, 0);
	irq_enable(3);
	sgi_send(3, 0);
	CHECK(irq_comes());
	CHECK_RUNS(0xd503207f); /* WFI: an IRQ is pending */
	sev();
	CHECK_RUNS(0xd503205f); /* WFE */
	CHECK_RUNS(0xd503209f); /* SEV */
	CHECK_RUNS(0xd50320bf); /* SEVL */
}

TEST(counter_trap, "Arm ARM D17.12.15: CNTKCTL_EL1.EL0VCTEN, EL0PCTEN")
{
	write_sysreg(cntkctl_el1, 0);
	CHECK_TRAP(mrs(SYSREG(3, 3, 14, 0, 2)), EC_SYSREG, ISS_SYSREG(3, 3, 14, 0, 2, 1));
	CHECK_TRAP(mrs(SYSREG(3, 3, 14, 0, 1)), EC_SYSREG, ISS_SYSREG(3, 3, 14, 0, 1, 1));
	CHECK_TRAP(mrs(SYSREG(3, 3, 14, 0, 0)), EC_SYSREG, ISS_SYSREG(3, 3, 14, 0, 0, 1));
	write_sysreg(cntkctl_el1, 2);
	CHECK_RUNS(mrs(SYSREG(3, 3, 14, 0, 2)));
	CHECK_RUNS(mrs(SYSREG(3, 3, 14, 0, 0)));
	CHECK_TRAP(mrs(SYSREG(3, 3, 14, 0, 1)), EC_SYSREG, ISS_SYSREG(3, 3, 14, 0, 1, 1));
	write_sysreg(cntkctl_el1, 1);
	CHECK_RUNS(mrs(SYSREG(3, 3, 14, 0, 1)));
}

TEST(timer_trap, "Arm ARM D17.12.15: CNTKCTL_EL1.EL0VTEN, EL0PTEN")
{
	write_sysreg(cntkctl_el1, 3);
	CHECK_TRAP(mrs(SYSREG(3, 3, 14, 3, 1)), EC_SYSREG, ISS_SYSREG(3, 3, 14, 3, 1, 1));
	CHECK_TRAP(msr(SYSREG(3, 3, 14, 3, 2)), EC_SYSREG, ISS_SYSREG(3, 3, 14, 3, 2, 0));
	CHECK_TRAP(mrs(SYSREG(3, 3, 14, 2, 1)), EC_SYSREG, ISS_SYSREG(3, 3, 14, 2, 1, 1));
	write_sysreg(cntkctl_el1, BIT(8) | BIT(9));
	CHECK_RUNS(mrs(SYSREG(3, 3, 14, 3, 1)));
	CHECK_RUNS(msr(SYSREG(3, 3, 14, 3, 2)));
	CHECK_RUNS(mrs(SYSREG(3, 3, 14, 2, 1)));
	CHECK_RUNS(msr(SYSREG(3, 3, 14, 2, 2)));
}

TEST(fp_trap, "Arm ARM D17.2.30: CPACR_EL1.FPEN; ISS has CV and COND")
{
	write_sysreg(cpacr_el1, CPACR_FPEN(1));
	CHECK_TRAP(0x1e604000, EC_FP, BIT(24) | 14 << 20); /* FMOV D0, D0 */
	write_sysreg(cpacr_el1, CPACR_FPEN(3));
	CHECK_RUNS(0x1e604000);
}

TEST(kernel_memory, "Arm ARM D8.4: AP[1] is 0: no access from EL0; FAR_EL1 has the address")
{
	static uint64_t mine;
	uint64_t x[8] = { 0, (uint64_t)&mine };
	struct frame frame = execute_el0(0xf9400020, x); /* LDR X0, [X1] */

	check_trap(HERE, frame, EC_DABORT_LOWER, FSC_PERMISSION | 3);
	CHECK_EQ(frame.far, (uint64_t)&mine);
	frame = execute_el0(0xf9000020, x); /* STR X0, [X1] */
	check_trap(HERE, frame, EC_DABORT_LOWER, ISS_WNR | FSC_PERMISSION | 3);
	CHECK_EQ(frame.far, (uint64_t)&mine);
	CHECK_EQ(mine, 0);
}

TEST(own_memory, "Arm ARM D8.4: AP[1] is 1")
{
	uint64_t x[8] = { 99, (uint64_t)user_data + 64 };

	check_trap(HERE, execute_el0(0xf9000020, x), EC_SVC, 0);
	CHECK_EQ(load64((uint64_t)user_data + 64), 99);
	x[0] = 0;
	execute_el0(0xf9400020, x);
	CHECK_EQ(x[0], 99);
}

TEST(own_code_written, "Arm ARM D8.4: AP[2] is 1: read-only")
{
	uint64_t x[8] = { 99, (uint64_t)el0_nothing };

	check_trap(HERE, execute_el0(0xb9000020, x), EC_DABORT_LOWER, ISS_WNR | FSC_PERMISSION | 3);
}

TEST(execute_never, "Arm ARM D8.4: UXN; ELR_EL1 and FAR_EL1 have the address")
{
	struct frame frame = enter_el0(user_data, 0, 0);

	check_trap(HERE, frame, EC_IABORT_LOWER, FSC_PERMISSION | 3);
	CHECK_EQ(frame.elr, (uint64_t)user_data);
	CHECK_EQ(frame.far, (uint64_t)user_data);
}

TEST(pc_alignment, "Arm ARM D1.3.8")
{
	struct frame frame = enter_el0(el0_nothing + 2, 0, 0);

	CHECK_EQ(EC_OF(frame), EC_PC_ALIGNMENT);
	CHECK_EQ(frame.far, (uint64_t)el0_nothing + 2);
}

TEST(sp_alignment, "Arm ARM D1.3.8.2: SCTLR_EL1.SA0")
{
	struct frame frame = { .sp = (uint64_t)user_stack + 8, .spsr = SPSR_A | SPSR_I | SPSR_F };
	const uint32_t code[] = { 0xf94003e0 /* LDR X0, [SP] */, 0xd4000001 };
	struct frame other;

	frame.elr = (uint64_t)place_code_el0(code, 2);
	other = frame;
	enter(&frame);
	CHECK_EQ(EC_OF(frame), EC_SP_ALIGNMENT);
	set_sctlr(0, SCTLR_SA0);
	enter(&other);
	CHECK_EQ(EC_OF(other), EC_SVC);
}

TEST(unprivileged_access, "Arm ARM C3.2.5: LDTR and STTR at EL1 access as EL0 does")
{
	static uint64_t mine;
	uint64_t x[8] = { 0, (uint64_t)&mine };

	CHECK_FAULT(EC_DABORT, FSC_PERMISSION | 3, execute(0xf8400820, x)); /* LDTR X0, [X1] */
	CHECK_FAULT(EC_DABORT, ISS_WNR | FSC_PERMISSION | 3, execute(0xf8000820, x));
	x[1] = (uint64_t)user_data;
	CHECK_NO_FAULT(execute(0xf8400820, x));
}

TEST(interrupts_unmasked, "Arm ARM D1.3.6: an IRQ that was pending is taken at EL0")
{
	struct frame frame;

	need_gic(0);
	irq_enable(1);
	sgi_send(1, 0);
	CHECK(irq_comes());
	frame = (struct frame){ .elr = (uint64_t)el0_nothing,
		                .sp = (uint64_t)user_stack_top,
		                .spsr = SPSR_EL0T };
	enter(&frame);
	CHECK_EQ(frame.kind, 8 + KIND_IRQ);
	CHECK_EQ(frame.elr, (uint64_t)el0_nothing);
	CHECK_EQ(irq_ack() & 0x3ff, 1);
	irq_eoi(1);
}
