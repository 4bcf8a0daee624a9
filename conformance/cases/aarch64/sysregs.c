/* SPDX-License-Identifier: BSD-2-Clause */
/* System registers at EL1: those that are there keep what is written, others are UNDEFINED. */
#include "guest/aarch64/kernel.h"
#include "guest/arch.h"

/* ---- Registers that keep values ---- */

struct kept {
	uint32_t number;
	uint64_t mask; /* bits that can be anything, and change nothing that runs */
};

static void check_kept(const struct test_case *self)
{
	static const uint64_t patterns[] = { 0, UINT64_MAX, UINT64_C(0x5555555555555555),
		                             UINT64_C(0xaaaaaaaaaaaaaaaa) };
	const struct kept *row = self->row;
	uint64_t before = sysreg_read(row->number), got[4];

	for (unsigned int n = 0; n < 4; n++) {
		sysreg_write(row->number, (before & ~row->mask) | (patterns[n] & row->mask));
		got[n] = sysreg_read(row->number);
	}
	sysreg_write(row->number, before);
	for (unsigned int n = 0; n < 4; n++)
		CHECK_EQ(got[n] & row->mask, patterns[n] & row->mask);
	CHECK_EQ(sysreg_read(row->number), before);
}

#define KEEPS(name, number, ...)                                                                   \
	static const struct kept name##_kept = { number, __VA_ARGS__ };                            \
	TEST_ROW(name, check_kept, &name##_kept,                                                   \
	         "Arm ARM D17.2, D17.12: fields without a reset "                                  \
	         "value hold what is written")

KEEPS(cpacr_fpen, SYSREG(3, 0, 1, 0, 2), CPACR_FPEN(3));
KEEPS(ttbr1, SYSREG(3, 0, 2, 0, 1), UINT64_C(0x00007ffffffff000));
KEEPS(spsr, SYSREG(3, 0, 4, 0, 0), UINT64_C(0xf00003c0));
KEEPS(elr, SYSREG(3, 0, 4, 0, 1), UINT64_MAX);
KEEPS(esr, SYSREG(3, 0, 5, 2, 0), UINT64_C(0xffffffff));
KEEPS(far, SYSREG(3, 0, 6, 0, 0), UINT64_MAX);
KEEPS(mair_upper, SYSREG(3, 0, 10, 2, 0), UINT64_C(0xffffffff00000000));
KEEPS(contextidr, SYSREG(3, 0, 13, 0, 1), UINT64_C(0xffffffff));
KEEPS(tpidr_el1, SYSREG(3, 0, 13, 0, 4), UINT64_MAX);
KEEPS(tpidr_el0, SYSREG(3, 3, 13, 0, 2), UINT64_MAX);
KEEPS(tpidrro_el0, SYSREG(3, 3, 13, 0, 3), UINT64_MAX);
KEEPS(cntkctl, SYSREG(3, 0, 14, 1, 0), UINT64_C(0x3ff));
KEEPS(cntv_cval, SYSREG(3, 3, 14, 3, 2), UINT64_MAX);
KEEPS(cntp_cval, SYSREG(3, 3, 14, 2, 2), UINT64_MAX);
KEEPS(fpcr_rounding, SYSREG(3, 3, 4, 4, 0), UINT64_C(0x03c00000));
KEEPS(fpsr_flags, SYSREG(3, 3, 4, 4, 1), UINT64_C(0x0800009f));
KEEPS(dbgbvr0, SYSREG(2, 0, 0, 0, 4), UINT64_C(0x0000fffffffffffc));
KEEPS(dbgwvr0, SYSREG(2, 0, 0, 0, 6), UINT64_C(0x0000fffffffffffc));
KEEPS(dbgbcr0, SYSREG(2, 0, 0, 0, 5), UINT64_C(0x6));
KEEPS(dbgwcr0, SYSREG(2, 0, 0, 0, 7), UINT64_C(0x1ffe));
KEEPS(mdscr_enables, SYSREG(2, 0, 0, 2, 2), UINT64_C(0xa000));

TEST(vbar, "Arm ARM D17.2.149: bits 10:0 are RES0; the vectors are where it says")
{
	uint64_t before = read_sysreg(vbar_el1), got;

	write_sysreg(vbar_el1, UINT64_C(0x0000007ffffff800));
	got = read_sysreg(vbar_el1);
	write_sysreg(vbar_el1, before);
	CHECK_EQ(got, UINT64_C(0x0000007ffffff800));
}

TEST(par_written, "Arm ARM D17.2.106: PAR_EL1 is a register")
{
	write_sysreg(par_el1, 0);
	CHECK_EQ(read_sysreg(par_el1) & 1, 0);
}

TEST(csselr, "Arm ARM D17.2.32: selects what CCSIDR_EL1 shows")
{
	write_sysreg(csselr_el1, 1);
	CHECK_EQ(read_sysreg(csselr_el1) & 1, 1);
	CHECK_NO_FAULT(read_sysreg(ccsidr_el1));
	write_sysreg(csselr_el1, 0);
	CHECK_EQ(read_sysreg(csselr_el1) & 15, 0);
}

TEST(tpidr_apart, "Arm ARM D17.2: TPIDR_EL0, TPIDRRO_EL0 and TPIDR_EL1 are three registers")
{
	write_sysreg(tpidr_el0, 1);
	write_sysreg(tpidrro_el0, 2);
	write_sysreg(tpidr_el1, 3);
	CHECK_EQ(read_sysreg(tpidr_el0), 1);
	CHECK_EQ(read_sysreg(tpidrro_el0), 2);
	CHECK_EQ(read_sysreg(tpidr_el1), 3);
}

/* Registers with 16 bits or more that can be anything, and change nothing that runs. */
static void keep_own(void *argument)
{
	static const uint32_t numbers[] = {
		SYSREG(3, 0, 4, 0, 1),  SYSREG(3, 0, 6, 0, 0),  SYSREG(3, 0, 5, 2, 0),
		SYSREG(3, 0, 13, 0, 1), SYSREG(3, 0, 13, 0, 4), SYSREG(3, 3, 13, 0, 2),
		SYSREG(3, 3, 13, 0, 3), SYSREG(3, 3, 14, 2, 2), SYSREG(2, 0, 0, 0, 4),
		SYSREG(2, 0, 0, 1, 4),  SYSREG(2, 0, 0, 0, 6),
	};
	const unsigned int count = sizeof(numbers) / sizeof(numbers[0]);
	/* Another VM may run the same beside this one. */
	uint64_t value = (arch_ticks() & 0xff) << 16 | (this_cpu() * 0x1110 + 0x1234);

	meet();
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int n = 0; n < count; n++)
			sysreg_write(numbers[n], value + n * 0x100);
		doze();
		for (unsigned int n = 0; n < count; n++)
			CHECK_EQ(sysreg_read(numbers[n]), value + n * 0x100);
	}
}

TEST_SMP(own, 2, "Arm ARM D17.1: system registers are each CPU's own")
{
	on_each_cpu(keep_own, NULL);
}

/* ---- Read-only, and EL2's and EL3's ---- */

struct number {
	uint32_t number;
	const char *name;
};

TEST(read_only, "Arm ARM C5.1.2: a write to a read-only register is UNDEFINED")
{
	static const struct number rows[] = {
		{ SYSREG(3, 0, 0, 0, 0), "MIDR_EL1" },    { SYSREG(3, 0, 0, 0, 5), "MPIDR_EL1" },
		{ SYSREG(3, 0, 0, 0, 6), "REVIDR_EL1" },  { SYSREG(3, 0, 12, 1, 0), "ISR_EL1" },
		{ SYSREG(3, 1, 0, 0, 0), "CCSIDR_EL1" },  { SYSREG(3, 1, 0, 0, 1), "CLIDR_EL1" },
		{ SYSREG(3, 1, 0, 0, 7), "AIDR_EL1" },    { SYSREG(3, 3, 0, 0, 1), "CTR_EL0" },
		{ SYSREG(3, 3, 0, 0, 7), "DCZID_EL0" },   { SYSREG(3, 3, 14, 0, 1), "CNTPCT_EL0" },
		{ SYSREG(3, 3, 14, 0, 2), "CNTVCT_EL0" }, { SYSREG(3, 0, 4, 2, 2), "CurrentEL" },
	};

	for (unsigned int n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		struct fault read = FAULT_OF(sysreg_read(rows[n].number));
		struct fault write = FAULT_OF(sysreg_write(rows[n].number, 0));

		if (read.vector != FAULT_NONE)
			FAIL("%s read: exception %#lx", rows[n].name, read.vector);
		if (write.vector != EC_UNKNOWN)
			FAIL("%s written: exception %#lx", rows[n].name, write.vector);
	}
}

static void check_undefined(const struct number *rows, unsigned int count)
{
	for (unsigned int n = 0; n < count; n++) {
		struct fault read = FAULT_OF(sysreg_read(rows[n].number));
		struct fault write = FAULT_OF(sysreg_write(rows[n].number, 0));

		if (read.vector != EC_UNKNOWN)
			FAIL("%s read: exception %#lx", rows[n].name, read.vector);
		if (write.vector != EC_UNKNOWN)
			FAIL("%s written: exception %#lx", rows[n].name, write.vector);
	}
}
#define CHECK_UNDEFINED(rows) check_undefined(rows, sizeof(rows) / sizeof((rows)[0]))

TEST(el2_registers, "Arm ARM D17.2: UNDEFINED at EL1")
{
	static const struct number rows[] = {
		{ SYSREG(3, 4, 0, 0, 0), "VPIDR_EL2" },
		{ SYSREG(3, 4, 1, 0, 0), "SCTLR_EL2" },
		{ SYSREG(3, 4, 1, 1, 0), "HCR_EL2" },
		{ SYSREG(3, 4, 1, 1, 1), "MDCR_EL2" },
		{ SYSREG(3, 4, 1, 1, 2), "CPTR_EL2" },
		{ SYSREG(3, 4, 2, 0, 0), "TTBR0_EL2" },
		{ SYSREG(3, 4, 2, 1, 0), "VTTBR_EL2" },
		{ SYSREG(3, 4, 2, 1, 2), "VTCR_EL2" },
		{ SYSREG(3, 4, 4, 0, 1), "ELR_EL2" },
		{ SYSREG(3, 4, 5, 2, 0), "ESR_EL2" },
		{ SYSREG(3, 4, 6, 0, 0), "FAR_EL2" },
		{ SYSREG(3, 4, 6, 0, 4), "HPFAR_EL2" },
		{ SYSREG(3, 4, 12, 0, 0), "VBAR_EL2" },
		{ SYSREG(3, 4, 13, 0, 2), "TPIDR_EL2" },
		{ SYSREG(3, 4, 14, 0, 3), "CNTVOFF_EL2" },
		{ SYSREG(3, 4, 14, 1, 0), "CNTHCTL_EL2" },
		{ SYSREG(3, 4, 14, 2, 1), "CNTHP_CTL_EL2" },
		{ SYSREG(3, 4, 12, 11, 0), "ICH_HCR_EL2" },
		{ SYSREG(3, 4, 12, 9, 5), "ICC_SRE_EL2" },
	};

	CHECK_UNDEFINED(rows);
}

TEST(el12_registers, "Arm ARM D17.2: the _EL12 and _EL02 names are UNDEFINED at EL1")
{
	static const struct number rows[] = {
		{ SYSREG(3, 5, 1, 0, 0), "SCTLR_EL12" },
		{ SYSREG(3, 5, 2, 0, 0), "TTBR0_EL12" },
		{ SYSREG(3, 5, 4, 0, 1), "ELR_EL12" },
		{ SYSREG(3, 5, 12, 0, 0), "VBAR_EL12" },
		{ SYSREG(3, 5, 14, 3, 1), "CNTV_CTL_EL02" },
		{ SYSREG(3, 5, 14, 2, 2), "CNTP_CVAL_EL02" },
	};

	CHECK_UNDEFINED(rows);
}

TEST(el3_registers, "Arm ARM D17.2: UNDEFINED at EL1")
{
	static const struct number rows[] = {
		{ SYSREG(3, 6, 1, 0, 0), "SCTLR_EL3" }, { SYSREG(3, 6, 1, 1, 0), "SCR_EL3" },
		{ SYSREG(3, 6, 1, 3, 1), "MDCR_EL3" },  { SYSREG(3, 6, 12, 0, 0), "VBAR_EL3" },
		{ SYSREG(3, 6, 5, 2, 0), "ESR_EL3" },   { SYSREG(3, 6, 12, 12, 5), "ICC_SRE_EL3" },
	};

	CHECK_UNDEFINED(rows);
}

TEST(unallocated, "Arm ARM D17.1.3: unallocated encodings are UNDEFINED")
{
	static const struct number rows[] = {
		{ SYSREG(3, 0, 3, 0, 0), "S3_0_C3_C0_0" },
		{ SYSREG(3, 0, 8, 0, 0), "S3_0_C8_C0_0" },
		{ SYSREG(3, 3, 3, 0, 0), "S3_3_C3_C0_0" },
		{ SYSREG(3, 2, 5, 0, 0), "S3_2_C5_C0_0" },
		{ SYSREG(2, 7, 3, 0, 0), "S2_7_C3_C0_0" },
		{ SYSREG(3, 1, 9, 0, 0), "S3_1_C9_C0_0" },
		{ SYSREG(3, 0, 7, 1, 0), "S3_0_C7_C1_0" },
	};

	CHECK_UNDEFINED(rows);
}

/* ---- Registers of features ---- */

struct optional {
	uint32_t number;
	uint8_t crm, op2, low, least; /* the ID register's field; 15 counts as 0 */
};

static void check_optional(const struct test_case *self)
{
	const struct optional *row = self->row;
	uint64_t field = sysreg_read(SYSREG(3, 0, 0, row->crm, row->op2)) >> row->low & 15;
	struct fault fault;

	write_sysreg(cpacr_el1, CPACR_FPEN(3) | 3 << 16 | 3 << 24);
	isb();
	fault = FAULT_OF(sysreg_read(row->number));
	if (field == 15)
		field = 0;
	if (field >= row->least)
		/* There is more that can keep EL1 from it: EL2 and EL3, which a guest does not see.
		 */
		check_fault(HERE, "the register", fault, FAULT_NONE, ANY_CODE);
	else
		check_fault(HERE, "the register", fault, EC_UNKNOWN, ANY_CODE);
}

#define OPTIONAL(name, number, ...)                                                                \
	static const struct optional name##_optional = { number, __VA_ARGS__ };                    \
	TEST_ROW(name, check_optional, &name##_optional,                                           \
	         "Arm ARM D17.2: there if the ID register says so, else UNDEFINED")

OPTIONAL(zcr, SYSREG(3, 0, 1, 2, 0), 4, 0, 32, 1);
OPTIONAL(smcr, SYSREG(3, 0, 1, 2, 6), 4, 1, 24, 1);
OPTIONAL(gcr, SYSREG(3, 0, 1, 0, 6), 4, 1, 8, 2);
OPTIONAL(tfsr, SYSREG(3, 0, 5, 6, 0), 4, 1, 8, 2);
OPTIONAL(lorc, SYSREG(3, 0, 10, 4, 3), 7, 1, 16, 1);
OPTIONAL(trfcr, SYSREG(3, 0, 1, 2, 1), 5, 0, 40, 1);
OPTIONAL(pmscr, SYSREG(3, 0, 9, 9, 0), 5, 0, 32, 1);
OPTIONAL(trblimitr, SYSREG(3, 0, 9, 11, 0), 5, 0, 44, 1);
OPTIONAL(amcr, SYSREG(3, 3, 13, 2, 0), 4, 0, 44, 1);
OPTIONAL(disr, SYSREG(3, 0, 12, 1, 1), 4, 0, 28, 1);
OPTIONAL(erridr, SYSREG(3, 0, 5, 3, 0), 4, 0, 28, 1);
OPTIONAL(mpam0, SYSREG(3, 0, 10, 5, 1), 4, 0, 40, 1);
OPTIONAL(pmcr, SYSREG(3, 3, 9, 12, 0), 5, 0, 8, 1);
OPTIONAL(trcprgctlr, SYSREG(2, 1, 0, 1, 0), 5, 0, 4, 1);
OPTIONAL(tcr2, SYSREG(3, 0, 2, 0, 3), 7, 3, 0, 1);
OPTIONAL(icc_sre, SYSREG(3, 0, 12, 12, 5), 4, 0, 24, 1);

TEST(pointer_keys, "Arm ARM D17.2.10: APIAKeyLo_EL1 is there with FEAT_PAuth, else UNDEFINED")
{
	uint64_t isar1 = read_sysreg(id_aa64isar1_el1);
	uint64_t isar2 = sysreg_read(SYSREG(3, 0, 0, 6, 2));
	bool there = FIELD(isar1, 11, 4) || FIELD(isar2, 15, 12);

	check_fault(HERE, "APIAKeyLo_EL1", FAULT_OF(sysreg_read(SYSREG(3, 0, 2, 1, 0))),
	            there ? FAULT_NONE : EC_UNKNOWN, ANY_CODE);
}

TEST(scxtnum, "Arm ARM D17.2.116: there with FEAT_CSV2_2 or FEAT_CSV2_1p2, else UNDEFINED")
{
	uint64_t pfr0 = read_sysreg(id_aa64pfr0_el1), pfr1 = read_sysreg(id_aa64pfr1_el1);
	bool there = FIELD(pfr0, 59, 56) >= 2 || FIELD(pfr1, 35, 32) >= 2;

	check_fault(HERE, "SCXTNUM_EL1", FAULT_OF(sysreg_read(SYSREG(3, 0, 13, 0, 7))),
	            there ? FAULT_NONE : EC_UNKNOWN, ANY_CODE);
}
