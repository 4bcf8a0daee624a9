/* SPDX-License-Identifier: BSD-2-Clause */
/* The time-stamp counter: monotony, on one CPU and from one to another, and how it is set. */
#include "cases/x86_64/taken.h"

#define MSR_TSC_ADJUST 0x3bu

static uint64_t rdtscp(uint32_t *aux)
{
	uint32_t low, high;

	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(*aux) : : "memory");
	return (uint64_t)high << 32 | low;
}

TEST(rises, "SDM Vol. 3B 17.17: increments; never back")
{
	uint64_t last = rdtsc();

	for (unsigned int n = 0; n < 20000; n++) {
		uint64_t now = rdtsc();

		CHECK(now >= last);
		last = now;
	}
}

TEST(rises_across_exits, "SDM Vol. 3B 17.17: and with whatever comes between")
{
	uint64_t last = rdtsc();

	for (unsigned int n = 0; n < 500; n++) {
		uint64_t now;

		switch (n % 4) {
		case 0: in8(0x61); break;
		case 1: cpuid(0, 0); break;
		case 2: apic_read(APIC_ID); break;
		default: rdmsr(MSR_APIC_BASE); break;
		}
		now = rdtsc();
		CHECK(now > last);
		last = now;
	}
}

TEST(rdtscp_is_the_same, "SDM Vol. 2B RDTSCP: the same counter, and IA32_TSC_AUX")
{
	uint64_t first, second;
	uint32_t aux;

	need(F_RDTSCP);
	wrmsr(MSR_TSC_AUX, 0x5a5a1234);
	first = rdtsc();
	second = rdtscp(&aux);
	CHECK_EQ(aux, 0x5a5a1234);
	CHECK(second >= first);
	CHECK(rdtsc() >= second);
	wrmsr(MSR_TSC_AUX, 0);
}

TEST(msr_is_the_same, "SDM Vol. 3B 17.17: RDMSR of 10H")
{
	uint64_t first = rdtsc(), second = rdmsr(MSR_TSC);

	CHECK(second >= first);
	CHECK(rdtsc() >= second);
}

/* The two CPUs write the counter by turns: each is to be beyond the other's last. */
static volatile uint64_t stamps[2] __attribute__((aligned(64)));
static volatile unsigned int turn;

static void stamp(unsigned int me)
{
	for (unsigned int n = 0; n < 500; n++) {
		if (!WAIT_FOR(turn == me))
			error("the other CPU does not come");
		__asm__ volatile("mfence; lfence" : : : "memory"); /* RDTSC waits for nothing */
		stamps[me] = rdtsc();
		CHECK(stamps[me] >= stamps[!me]);
		turn = !me;
	}
}

static void stamp_other(void *argument)
{
	stamp(1);
}

TEST_SMP(same_on_all_cpus, 2, "SDM Vol. 3B 17.17.4: what one CPU reads after another is not less")
{
	stamps[0] = stamps[1] = 0;
	turn = 0;
	start_cpu(1, stamp_other, NULL);
	stamp(0);
	wait_cpu(1);
}

/* Those below leave CPU 0's counter a little behind the others'. */

TEST(write_sets, "SDM Vol. 3B 17.17.3: WRMSR of 10H sets all 64 bits")
{
	uint64_t before = rdtsc(), now;

	wrmsr(MSR_TSC, BIT(50));
	now = rdtsc();
	wrmsr(MSR_TSC, before + (now - BIT(50)));
	CHECK(now >= BIT(50) && now < BIT(51));
}

TEST(adjust_follows_writes,
     "SDM Vol. 3B 17.17.3: a write of the TSC adds its step to IA32_TSC_ADJUST")
{
	uint64_t adjust, step = BIT(45);

	need(F_TSC_ADJUST);
	adjust = rdmsr(MSR_TSC_ADJUST);
	wrmsr(MSR_TSC, rdtsc() + step);
	CHECK(rdmsr(MSR_TSC_ADJUST) - adjust > step / 2);
	CHECK(rdmsr(MSR_TSC_ADJUST) - adjust <= step);
	wrmsr(MSR_TSC_ADJUST, adjust);
}

TEST(adjust_steps, "SDM Vol. 3B 17.17.3: a write of IA32_TSC_ADJUST adds its step to the TSC")
{
	uint64_t adjust, before, after;

	need(F_TSC_ADJUST);
	adjust = rdmsr(MSR_TSC_ADJUST);
	before = rdtsc();
	wrmsr(MSR_TSC_ADJUST, adjust + BIT(45));
	after = rdtsc();
	CHECK_EQ(rdmsr(MSR_TSC_ADJUST), adjust + BIT(45));
	wrmsr(MSR_TSC_ADJUST, adjust);
	CHECK(after - before >= BIT(45));
	CHECK(after - before < BIT(46));
}

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
