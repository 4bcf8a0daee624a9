/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes to the TSC: after all cases that compare the CPUs' TSCs, for nothing makes them equal
 * again. */
#include "guest/x86_64/feature.h"

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
