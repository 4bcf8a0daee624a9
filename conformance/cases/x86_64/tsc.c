/* SPDX-License-Identifier: BSD-2-Clause */
/* The TSC in HLT; and writes to it, after all cases that compare the CPUs' TSCs, for nothing makes
 * them equal again. */
#include "cases/x86_64/taken.h"

TEST(runs_in_hlt, "SDM Vol. 3B 17.17.1: an invariant TSC counts in all C-states")
{
	uint64_t from, to;

	if (!(cpuid_checked(0x80000007, 0).edx & BIT(8)))
		skip("CPUID.80000007H:EDX.InvariantTSC[8]");
	expect_vector(0x61);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER, 0x61);
	from = rdtsc();
	apic_write(APIC_TIMER_INITIAL, 100000);
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	to = rdtsc();
	CHECK(to > from);
	CHECK_EQ(taken[0x61], 1);
}

TEST(can_be_written, "SDM Vol. 3B 17.17.3")
{
	uint64_t want = UINT64_C(0x0000123400000000), got;

	wrmsr(MSR_TSC, want);
	got = rdtsc();
	CHECK(got >= want);
	CHECK(got < want + BIT(40));
}

TEST(adjust_follows_tsc, "SDM Vol. 3B 17.17.3: a write to the TSC is added to IA32_TSC_ADJUST")
{
	uint64_t adjust, before;

	need(F_TSC_ADJUST);
	adjust = rdmsr(0x3b);
	before = rdtsc();
	wrmsr(MSR_TSC, before + BIT(40));
	CHECK(rdmsr(0x3b) - adjust > BIT(39));
	CHECK(rdmsr(0x3b) - adjust <= BIT(40));
}
