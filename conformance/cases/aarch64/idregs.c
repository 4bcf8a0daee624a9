/* SPDX-License-Identifier: BSD-2-Clause */
/* What the ID registers say, against each other. */
#include "guest/aarch64/kernel.h"

#define ID(crm, op2) sysreg_read(SYSREG(3, 0, 0, crm, op2))

static bool one_of(uint64_t value, uint64_t mask)
{
	return value < 64 && mask & BIT(value);
}

TEST(midr_architecture, "Arm ARM D17.2.101: Architecture is 0b1111")
{
	CHECK_EQ(FIELD(read_sysreg(midr_el1), 19, 16), 15);
}

TEST(mpidr_res1, "Arm ARM D17.2.103: bit 31 is RES1, bits 29:25 and 63:40 are RES0")
{
	uint64_t mpidr = read_sysreg(mpidr_el1);

	CHECK(mpidr & BIT(31));
	CHECK_EQ(FIELD(mpidr, 29, 25), 0);
	CHECK_EQ(mpidr >> 40, 0);
}

TEST(space_readable, "Arm ARM D17.1.1: all of op1 0, CRn 0, CRm 1 to 7 can be read")
{
	for (unsigned int crm = 1; crm < 8; crm++)
		for (unsigned int op2 = 0; op2 < 8; op2++) {
			struct fault fault = FAULT_OF(ID(crm, op2));

			if (fault.vector != FAULT_NONE)
				FAIL("S3_0_C0_C%u_%u: exception %#lx", crm, op2, fault.vector);
		}
}

TEST(space_read_only, "Arm ARM C5.1.2: a write to a read-only register is UNDEFINED")
{
	for (unsigned int crm = 1; crm < 8; crm++)
		for (unsigned int op2 = 0; op2 < 8; op2++) {
			struct fault fault =
				FAULT_OF(sysreg_write(SYSREG(3, 0, 0, crm, op2), UINT64_MAX));

			if (fault.vector != EC_UNKNOWN)
				FAIL("S3_0_C0_C%u_%u: exception %#lx", crm, op2, fault.vector);
		}
}

TEST(space_constant, "Arm ARM D17.1.1: ID registers keep their values")
{
	uint64_t first[64];

	for (unsigned int n = 8; n < 64; n++)
		first[n] = ID(n / 8, n % 8);
	for (unsigned int n = 8; n < 64; n++)
		CHECK_EQ(ID(n / 8, n % 8), first[n]);
}

TEST(levels, "Arm ARM D17.2.67: EL0 and EL1 are there in AArch64")
{
	uint64_t pfr0 = read_sysreg(id_aa64pfr0_el1);

	CHECK(one_of(FIELD(pfr0, 3, 0), BIT(1) | BIT(2)));
	CHECK(one_of(FIELD(pfr0, 7, 4), BIT(1) | BIT(2)));
	CHECK(one_of(FIELD(pfr0, 11, 8), 7));
	CHECK(one_of(FIELD(pfr0, 15, 12), 7));
	/* AArch32 at EL1 takes AArch32 at EL0. */
	CHECK(FIELD(pfr0, 7, 4) <= FIELD(pfr0, 3, 0));
}

TEST(fp_like_advsimd, "Arm ARM D17.2.67: FP and AdvSIMD have the same value")
{
	uint64_t pfr0 = read_sysreg(id_aa64pfr0_el1);

	CHECK_EQ(FIELD(pfr0, 19, 16), FIELD(pfr0, 23, 20));
	CHECK(one_of(FIELD(pfr0, 19, 16), BIT(0) | BIT(1) | BIT(15)));
}

TEST(debug_version, "Arm ARM D17.2.59: DebugVer is 0b0110 or more")
{
	uint64_t version = FIELD(read_sysreg(id_aa64dfr0_el1), 3, 0);

	CHECK(version >= 6 && version <= 11);
}

TEST(debug_counts, "Arm ARM D17.2.59: at least two breakpoints and watchpoints")
{
	uint64_t dfr0 = read_sysreg(id_aa64dfr0_el1);

	CHECK(FIELD(dfr0, 15, 12) >= 1);
	CHECK(FIELD(dfr0, 23, 20) >= 1);
	CHECK(FIELD(dfr0, 31, 28) <= FIELD(dfr0, 15, 12));
}

TEST(pmu_version, "Arm ARM D17.2.59: the values that PMUVer has")
{
	CHECK(one_of(FIELD(read_sysreg(id_aa64dfr0_el1), 11, 8), 0x83f3));
}

TEST(memory_model, "Arm ARM D17.2.64: the values that the fields have")
{
	uint64_t mmfr0 = read_sysreg(id_aa64mmfr0_el1);

	CHECK(FIELD(mmfr0, 3, 0) <= 7);
	CHECK(one_of(FIELD(mmfr0, 7, 4), BIT(0) | BIT(2)));
	CHECK(FIELD(mmfr0, 23, 20) <= 2);
	CHECK(one_of(FIELD(mmfr0, 27, 24), BIT(0) | BIT(15)));
	CHECK(one_of(FIELD(mmfr0, 31, 28), BIT(0) | BIT(1) | BIT(15)));
}

TEST(crypto_fields, "Arm ARM D17.2.61: SHA3 and SHA512 take SHA1 and SHA256")
{
	uint64_t isar0 = read_sysreg(id_aa64isar0_el1);

	if (FIELD(isar0, 35, 32) || FIELD(isar0, 15, 12) == 2)
		CHECK(FIELD(isar0, 11, 8) && FIELD(isar0, 15, 12));
	CHECK(FIELD(isar0, 7, 4) <= 2);
	CHECK_EQ(FIELD(isar0, 11, 8) != 0, FIELD(isar0, 15, 12) != 0);
}

TEST(atomic_field, "Arm ARM D17.2.61: Atomic is 0b0000, 0b0010 or 0b0011")
{
	CHECK(one_of(FIELD(read_sysreg(id_aa64isar0_el1), 23, 20), 0xd));
}

TEST(cache_type, "Arm ARM D17.2.34: bit 31 is RES1, PoU and PoC granules")
{
	uint64_t ctr = read_sysreg(ctr_el0);

	CHECK(ctr & BIT(31));
	CHECK(FIELD(ctr, 15, 14) != 0); /* L1Ip: 0b00 is VPIPT, which is gone, or reserved */
	CHECK(FIELD(ctr, 19, 16) >= 2 && FIELD(ctr, 19, 16) <= 9);
	CHECK(FIELD(ctr, 3, 0) >= 2 && FIELD(ctr, 3, 0) <= 9);
	CHECK_EQ(ctr >> 38, 0);
}

TEST(counter_frequency, "Arm ARM D17.12.16: CNTFRQ_EL0 holds the frequency; bits 63:32 are RES0")
{
	uint64_t frequency = read_sysreg(cntfrq_el0);

	CHECK(frequency >= 1000000);
	CHECK_EQ(frequency >> 32, 0);
}

TEST(current_el, "Arm ARM C5.2.2")
{
	CHECK_EQ(read_sysreg(CurrentEL), 4);
}

struct seen {
	uint64_t id[64], midr, ctr, dczid, frequency, mpidr;
};

static void see(void *argument)
{
	struct seen *seen = argument;

	for (unsigned int n = 8; n < 64; n++)
		seen->id[n] = ID(n / 8, n % 8);
	seen->midr = read_sysreg(midr_el1);
	seen->ctr = read_sysreg(ctr_el0);
	seen->dczid = read_sysreg(dczid_el0);
	seen->frequency = read_sysreg(cntfrq_el0);
	seen->mpidr = read_sysreg(mpidr_el1);
}

/* A machine may have CPUs of different kinds: then this does not hold. */
TEST_SMP(same_on_all, 2, "Arm ARM D17.1.1: CPUs of one MIDR_EL1 have the same features")
{
	static struct seen own, other;

	see(&own);
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		start_cpu(cpu, see, &other);
		wait_cpu(cpu);
		CHECK_EQ(other.frequency, own.frequency);
		if (other.midr != own.midr)
			continue;
		for (unsigned int n = 8; n < 64; n++)
			CHECK_EQ(other.id[n], own.id[n]);
		CHECK_EQ(other.ctr, own.ctr);
		CHECK_EQ(other.dczid, own.dczid);
	}
}

TEST_SMP(mpidr_unique, 2,
         "Arm ARM D17.2.103: the affinity is the CPU's own, as the device tree has it")
{
	static struct seen other;

	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		start_cpu(cpu, see, &other);
		wait_cpu(cpu);
		CHECK_EQ(other.mpidr & UINT64_C(0xff00ffffff), machine.mpidr[cpu]);
	}
}
