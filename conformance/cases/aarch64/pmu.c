/* SPDX-License-Identifier: BSD-2-Clause */
/* The performance monitors: all of them as ID_AA64DFR0_EL1.PMUVer says. */
#include "guest/aarch64/kernel.h"

static bool there(void)
{
	uint64_t version = FIELD(read_sysreg(id_aa64dfr0_el1), 11, 8);

	return version && version != 15;
}

TEST(presence, "Arm ARM D17.5: the registers are there with PMUVer, else UNDEFINED")
{
	static const uint32_t rows[] = {
		SYSREG(3, 3, 9, 12, 0), SYSREG(3, 3, 9, 12, 1), SYSREG(3, 3, 9, 12, 2),
		SYSREG(3, 3, 9, 12, 3), SYSREG(3, 3, 9, 12, 5), SYSREG(3, 3, 9, 12, 6),
		SYSREG(3, 3, 9, 12, 7), SYSREG(3, 3, 9, 13, 0), SYSREG(3, 3, 9, 14, 3),
		SYSREG(3, 0, 9, 14, 1), SYSREG(3, 0, 9, 14, 2), SYSREG(3, 3, 14, 15, 7),
	};

	for (unsigned int n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		struct fault fault = FAULT_OF(sysreg_read(rows[n]));

		if (fault.vector != (there() ? FAULT_NONE : EC_UNKNOWN))
			FAIL("S3_%u_C%u_C%u_%u: exception %#lx", rows[n] >> 11 & 7,
			     rows[n] >> 7 & 15, rows[n] >> 3 & 15, rows[n] & 7, fault.vector);
	}
}

TEST(cycles, "Arm ARM D11.1: PMCCNTR_EL0 counts when PMCR_EL0.E and PMCNTENSET_EL0.C are set")
{
	uint64_t before;

	if (!there())
		skip("ID_AA64DFR0_EL1.PMUVer");
	write_sysreg(pmccfiltr_el0, 0);
	write_sysreg(pmcntenset_el0, BIT(31));
	write_sysreg(pmcr_el0, BIT(0) | BIT(6));
	before = read_sysreg(pmccntr_el0);
	CHECK(WAIT_FOR(read_sysreg(pmccntr_el0) != before));
	write_sysreg(pmcr_el0, BIT(6));
	before = read_sysreg(pmccntr_el0);
	for (unsigned int n = 0; n < 100; n++)
		op("nop");
	CHECK_EQ(read_sysreg(pmccntr_el0), before);
}

TEST(cycles_reset, "Arm ARM D17.5.11: PMCR_EL0.C resets the cycle counter")
{
	if (!there())
		skip("ID_AA64DFR0_EL1.PMUVer");
	write_sysreg(pmccntr_el0, 0x12345678);
	CHECK(read_sysreg(pmccntr_el0) >= 0x12345678);
	write_sysreg(pmcr_el0, BIT(2) | BIT(6));
	CHECK(read_sysreg(pmccntr_el0) < 0x12345678);
}

TEST(overflow_bits, "Arm ARM D17.5.13, D17.5.14: PMOVSSET_EL0 sets, PMOVSCLR_EL0 clears")
{
	if (!there())
		skip("ID_AA64DFR0_EL1.PMUVer");
	write_sysreg(pmovsset_el0, BIT(31));
	CHECK_EQ(read_sysreg(pmovsclr_el0) & BIT(31), BIT(31));
	write_sysreg(pmovsclr_el0, BIT(31));
	CHECK_EQ(read_sysreg(pmovsset_el0) & BIT(31), 0);
}

TEST(el0, "Arm ARM D17.5.18: PMUSERENR_EL0.EN is 0: trapped at EL0 with EC 0x18; else UNDEFINED")
{
	uint64_t x[8] = { 0 };
	struct frame frame = execute_el0(0xd53b9c00, x); /* MRS X0, PMCR_EL0 */

	CHECK_EQ(EC_OF(frame), there() ? EC_SYSREG : EC_UNKNOWN);
}
