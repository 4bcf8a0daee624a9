/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's timer: one-shot, periodic, TSC deadline; its divider. */
#include "cases/x86_64/taken.h"
#include "guest/arch.h"

#define VECTOR       0x61u
#define MASKED       0x10000u
#define PERIODIC     0x20000u
#define DEADLINE     0x40000u
#define DIVIDE_BY_1  0xbu
#define MSR_DEADLINE 0x6e0u

static void start(uint32_t mode, uint32_t divide, uint32_t count)
{
	expect_vector(VECTOR);
	apic_write(APIC_TIMER_DIVIDE, divide);
	apic_write(APIC_TIMER, mode | VECTOR);
	apic_write(APIC_TIMER_INITIAL, count);
}

/* Interrupts allowed for some thousand turns and a millisecond. */
static void linger(void)
{
	struct limit limit = limit_of(1);

	sti();
	while (!limit_passed(&limit))
		;
	cli();
}

TEST(one_shot_again, "SDM Vol. 3A 10.5.4: writing the initial count starts it")
{
	for (unsigned int n = 1; n < 5; n++) {
		start(0, DIVIDE_BY_1, 5000 * n);
		CHECK(came(VECTOR, 1));
	}
}

TEST(unmasked_later, "SDM Vol. 3A 10.5.4: what passed while masked is not made up for")
{
	start(MASKED, DIVIDE_BY_1, 20000);
	CHECK(WAIT_FOR(apic_read(APIC_TIMER_CURRENT) == 0));
	apic_write(APIC_TIMER, VECTOR);
	linger();
	CHECK_EQ(taken[VECTOR], 0);
}

TEST(current_is_read_only, "SDM Vol. 3A 10.4.1, table 10-1")
{
	start(MASKED, DIVIDE_BY_1, UINT32_MAX);
	apic_write(APIC_TIMER_CURRENT, 1);
	CHECK(apic_read(APIC_TIMER_CURRENT) > 0x1000000);
	CHECK_EQ(apic_read(APIC_TIMER_INITIAL), UINT32_MAX);
}

TEST(idle_is_zero, "SDM Vol. 3A 10.5.4: stopped")
{
	CHECK_EQ(apic_read(APIC_TIMER_CURRENT), 0);
	CHECK_EQ(apic_read(APIC_TIMER_INITIAL), 0);
}

TEST(vector_may_change, "SDM Vol. 3A 10.5.1: the LVT entry as it is when the count ends")
{
	/* Again where it ended before the entry was written. */
	for (unsigned int n = 0; n < 20; n++) {
		start(0, DIVIDE_BY_1, 2000000);
		expect_vector(VECTOR + 0x20);
		apic_write(APIC_TIMER, VECTOR + 0x20);
		if (!apic_read(APIC_TIMER_CURRENT)) {
			sti();
			CHECK(WAIT_FOR(taken[VECTOR] || taken[VECTOR + 0x20]));
			cli();
			continue;
		}
		CHECK(came(VECTOR + 0x20, 1));
		CHECK_EQ(taken[VECTOR], 0);
		return;
	}
	error("the count ends too soon");
}

/* Timer ticks in 2^20 TSC ticks, or more. */
static uint64_t rate(uint32_t divide)
{
	uint64_t from, to, first, last;

	start(MASKED, divide, UINT32_MAX);
	first = apic_read(APIC_TIMER_CURRENT);
	from = rdtsc();
	do {
		last = apic_read(APIC_TIMER_CURRENT);
		to = rdtsc();
	} while (to - from < BIT(22) || first - last < 64);
	return (first - last) * BIT(30) / (to - from);
}

struct divide_row {
	uint32_t code, by;
};
/* The host may take the CPU away between the two clocks' readings: the best of some attempts. */
static void divides(const struct test_case *self)
{
	const struct divide_row *row = self->row;
	uint64_t one = 0, divided = 0;

	for (unsigned int n = 0; n < 20; n++) {
		one = rate(DIVIDE_BY_1);
		divided = rate(row->code) * row->by;
		if (divided * 4 > one * 3 && divided * 3 < one * 4)
			return;
	}
	FAIL("%lu ticks of %u are %lu without", divided, row->by, one);
}
#define DIVIDE_ROW(divisor, divide_code)                                                           \
	static const struct divide_row row_##divisor = { divide_code, divisor };                   \
	TEST_ROW(divide_by_##divisor, divides, &row_##divisor, "SDM Vol. 3A 10.5.4, figure 10-10")
DIVIDE_ROW(2, 0);
DIVIDE_ROW(4, 1);
DIVIDE_ROW(8, 2);
DIVIDE_ROW(16, 3);
DIVIDE_ROW(32, 8);
DIVIDE_ROW(64, 9);
DIVIDE_ROW(128, 10);

/* ---- TSC deadline ---- */

static void deadline_mode(void)
{
	if (!(cpuid(1, 0).ecx & BIT(24)))
		skip("CPUID.01H:ECX.TSC_Deadline[24]");
	expect_vector(VECTOR);
	apic_write(APIC_TIMER, DEADLINE | VECTOR);
	__asm__ volatile("mfence" : : : "memory"); /* SDM Vol. 3A 10.5.4.1 */
}

TEST(deadline_reads_back, "SDM Vol. 3A 10.5.4.1: the armed value")
{
	uint64_t far = rdtsc() + BIT(40);

	deadline_mode();
	wrmsr(MSR_DEADLINE, far);
	CHECK_EQ(rdmsr(MSR_DEADLINE), far);
	wrmsr(MSR_DEADLINE, 0);
	CHECK_EQ(rdmsr(MSR_DEADLINE), 0);
}

TEST(deadline_has_no_counts, "SDM Vol. 3A 10.5.4.1: initial-count writes ignored, current reads 0")
{
	deadline_mode();
	apic_write(APIC_TIMER_INITIAL, 1000);
	CHECK_EQ(apic_read(APIC_TIMER_CURRENT), 0);
	linger();
	CHECK_EQ(taken[VECTOR], 0);
}

TEST(leaving_deadline_mode_disarms, "SDM Vol. 3A 10.5.4.1: a transition disarms the timer")
{
	deadline_mode();
	wrmsr(MSR_DEADLINE, rdtsc() + BIT(40));
	apic_write(APIC_TIMER, VECTOR);
	apic_write(APIC_TIMER, DEADLINE | VECTOR);
	CHECK_EQ(rdmsr(MSR_DEADLINE), 0);
}

TEST(no_deadline_no_msr, "SDM Vol. 3A 10.5.4: without CPUID's bit the mode's bit 18 is reserved")
{
	if (cpuid(1, 0).ecx & BIT(24))
		skip("a CPU without TSC deadline");
	CHECK_FAULT(GP, 0, rdmsr(MSR_DEADLINE));
}
