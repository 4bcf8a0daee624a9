/* SPDX-License-Identifier: BSD-2-Clause */
/* The generic timer (Arm ARM D12): counters, and the virtual and the physical timer of EL1. */
#include "guest/aarch64/kernel.h"

#define ENABLE  1u
#define IMASK   2u
#define ISTATUS 4u

struct timer {
	bool physical;
};
static const struct timer virtual_timer = { false }, physical_timer = { true };

static uint64_t counter(const struct timer *timer)
{
	isb();
	return timer->physical ? read_sysreg(cntpct_el0) : read_sysreg(cntvct_el0);
}

static void set_ctl(const struct timer *timer, uint64_t value)
{
	if (timer->physical)
		write_sysreg(cntp_ctl_el0, value);
	else
		write_sysreg(cntv_ctl_el0, value);
}

static uint64_t get_ctl(const struct timer *timer)
{
	isb();
	return timer->physical ? read_sysreg(cntp_ctl_el0) : read_sysreg(cntv_ctl_el0);
}

static void set_cval(const struct timer *timer, uint64_t value)
{
	if (timer->physical)
		write_sysreg(cntp_cval_el0, value);
	else
		write_sysreg(cntv_cval_el0, value);
}

static uint64_t get_cval(const struct timer *timer)
{
	return timer->physical ? read_sysreg(cntp_cval_el0) : read_sysreg(cntv_cval_el0);
}

static void set_tval(const struct timer *timer, uint64_t value)
{
	if (timer->physical)
		write_sysreg(cntp_tval_el0, value);
	else
		write_sysreg(cntv_tval_el0, value);
}

static uint64_t get_tval(const struct timer *timer)
{
	return timer->physical ? read_sysreg(cntp_tval_el0) : read_sysreg(cntv_tval_el0);
}

static unsigned int intid(const struct timer *timer)
{
	unsigned int id = timer->physical ? machine.timer_physical : machine.timer_virtual;

	need_gic(0);
	if (!id)
		skip("the timer's interrupt in the device tree");
	return id;
}

/* Later than any case, though not so late that sums of it wrap. */
static uint64_t far_off(const struct timer *timer)
{
	return counter(timer) + BIT(40);
}

#define BOTH(name, function, reference)                                                            \
	TEST_ROW(virtual_##name, function, &virtual_timer, reference);                             \
	TEST_ROW(physical_##name, function, &physical_timer, reference)

/* ---- Counters ---- */

TEST(virtual_monotonic, "Arm ARM D12.1.2: the count does not go back")
{
	uint64_t last = counter(&virtual_timer);

	for (unsigned int n = 0; n < 20000; n++) {
		uint64_t now = counter(&virtual_timer);

		CHECK(now >= last);
		last = now;
	}
}

TEST(physical_monotonic, "Arm ARM D12.1.2: the count does not go back")
{
	uint64_t last = counter(&physical_timer);

	for (unsigned int n = 0; n < 5000; n++) {
		uint64_t now = counter(&physical_timer);

		CHECK(now >= last);
		last = now;
	}
}

TEST(advances, "Arm ARM D12.1.2: both counts advance")
{
	uint64_t v = counter(&virtual_timer), p = counter(&physical_timer);

	CHECK(WAIT_FOR(counter(&virtual_timer) > v));
	CHECK(WAIT_FOR(counter(&physical_timer) > p));
}

TEST(offset, "Arm ARM D12.1.3: the virtual count is the physical one less an offset")
{
	uint64_t before = counter(&physical_timer), v = counter(&virtual_timer);
	uint64_t after = counter(&physical_timer), least = before - v, most = after - v;

	for (unsigned int n = 0; n < 1000; n++) {
		before = counter(&physical_timer);
		v = counter(&virtual_timer);
		after = counter(&physical_timer);
		/* The two ranges of the offset have something in common. */
		CHECK((int64_t)(before - v - most) <= 0);
		CHECK((int64_t)(after - v - least) >= 0);
	}
}

static volatile uint64_t shared, turn;

static void answer(void *argument)
{
	for (unsigned int n = 0; n < 500; n++) {
		if (!WAIT_FOR(turn == 2 * n + 1))
			return;
		dmb();
		CHECK((int64_t)(counter(argument) - shared) >= 0);
		shared = counter(argument);
		dmb();
		turn = 2 * n + 2;
	}
}

static void check_across(const struct test_case *self)
{
	struct timer *timer = (struct timer *)(uintptr_t)self->row;

	if (cpu_count() < 2)
		skip("2 CPUs");
	turn = 0;
	start_cpu(1, answer, timer);
	for (unsigned int n = 0; n < 500; n++) {
		shared = counter(timer);
		dmb();
		turn = 2 * n + 1;
		if (!WAIT_FOR(turn == 2 * n + 2))
			break;
		dmb();
		CHECK((int64_t)(counter(timer) - shared) >= 0);
	}
	wait_cpu(1);
}
BOTH(across_cpus, check_across, "Arm ARM D12.1.2: all CPUs see the same count");

/* ---- Registers ---- */

static void check_cval(const struct test_case *self)
{
	static const uint64_t values[] = { 0,          1,       UINT64_C(0x123456789abcdef0),
		                           UINT64_MAX, BIT(63), UINT32_MAX };

	for (unsigned int n = 0; n < sizeof(values) / sizeof(values[0]); n++) {
		set_cval(self->row, values[n]);
		CHECK_EQ(get_cval(self->row), values[n]);
	}
}
BOTH(cval, check_cval, "Arm ARM D12.2.1: CompareValue has 64 bits");

static void check_tval_sets(const struct test_case *self)
{
	static const int32_t values[] = { 0, 1, 1000000, INT32_MAX, -1, -1000000, INT32_MIN };

	for (unsigned int n = 0; n < sizeof(values) / sizeof(values[0]); n++) {
		uint64_t before = counter(self->row), after;

		set_tval(self->row, (uint32_t)values[n]);
		after = counter(self->row);
		CHECK(get_cval(self->row) - (uint64_t)values[n] - before <= after - before);
	}
}
BOTH(tval_sets, check_tval_sets,
     "Arm ARM D12.2.2: writing TimerValue sets CompareValue to the count plus it, sign-extended");

static void check_tval_reads(const struct test_case *self)
{
	for (unsigned int n = 0; n < 3; n++) {
		uint64_t before, after;
		uint32_t got;

		set_cval(self->row, counter(self->row) + (n - UINT64_C(1)) * 0x10000000);
		before = counter(self->row);
		got = (uint32_t)get_tval(self->row);
		after = counter(self->row);
		CHECK((uint32_t)(get_cval(self->row) - before) - got <= (uint32_t)(after - before));
	}
	CHECK_EQ(get_tval(self->row) >> 32, 0);
}
BOTH(tval_reads, check_tval_reads,
     "Arm ARM D12.2.2: TimerValue reads as the low half of CompareValue less the count");

static void check_status(const struct test_case *self)
{
	set_cval(self->row, 0);
	set_ctl(self->row, ENABLE | IMASK);
	CHECK_EQ(get_ctl(self->row), ENABLE | IMASK | ISTATUS);
	set_cval(self->row, far_off(self->row));
	CHECK_EQ(get_ctl(self->row), ENABLE | IMASK);
	set_cval(self->row, counter(self->row));
	CHECK_EQ(get_ctl(self->row), ENABLE | IMASK | ISTATUS);
	set_ctl(self->row, ENABLE | IMASK | ISTATUS);
	set_cval(self->row, far_off(self->row));
	CHECK_EQ(get_ctl(self->row), ENABLE | IMASK);
}
BOTH(status, check_status,
     "Arm ARM D12.2.1, D17.12.21: ISTATUS, read-only, is 1 from CompareValue on");

static void check_status_later(const struct test_case *self)
{
	uint64_t end = counter(self->row) + read_sysreg(cntfrq_el0) / 500;

	set_cval(self->row, end);
	set_ctl(self->row, ENABLE | IMASK);
	CHECK(WAIT_FOR(get_ctl(self->row) & ISTATUS));
	CHECK(counter(self->row) >= end);
}
BOTH(status_later, check_status_later, "Arm ARM D12.2.1: not before its time");

/* ---- Interrupts ---- */

static void check_interrupt(const struct test_case *self)
{
	unsigned int id = intid(self->row);

	irq_enable(id);
	set_cval(self->row, 0);
	CHECK(irq_stays_away());
	set_ctl(self->row, ENABLE);
	CHECK(irq_comes());
	CHECK_EQ(irq_ack() & 0x3ff, id);
	irq_eoi(id);
}
BOTH(interrupt, check_interrupt, "Arm ARM D12.2.1: the interrupt of the device tree comes");

static void check_stays(const struct test_case *self)
{
	unsigned int id = intid(self->row);

	irq_enable(id);
	set_cval(self->row, 0);
	set_ctl(self->row, ENABLE);
	for (unsigned int n = 0; n < 3; n++) {
		CHECK(irq_comes());
		CHECK_EQ(irq_ack() & 0x3ff, id);
		irq_eoi(id);
	}
}
BOTH(level, check_stays, "Arm ARM D12.2.1: the interrupt is level-sensitive");

static void check_retracted(const struct test_case *self)
{
	irq_enable(intid(self->row));
	set_cval(self->row, 0);
	set_ctl(self->row, ENABLE);
	CHECK(irq_comes());
	set_ctl(self->row, 0);
	CHECK(WAIT_FOR(!(read_sysreg(isr_el1) & BIT(7))));
	CHECK_EQ(irq_ack() & 0x3ff, GIC_SPURIOUS);
}
BOTH(retracted, check_retracted,
     "IHI 0069 4.1.2: a level-sensitive interrupt is no longer pending when its source is quiet");

static void check_imask(const struct test_case *self)
{
	unsigned int id = intid(self->row);

	irq_enable(id);
	set_cval(self->row, 0);
	set_ctl(self->row, ENABLE | IMASK);
	CHECK(irq_stays_away());
	CHECK(!irq_bit(GICD_ISPENDR, id));
	set_ctl(self->row, ENABLE);
	CHECK(irq_comes());
}
BOTH(imask, check_imask, "Arm ARM D12.2.1: IMASK masks the interrupt, not ISTATUS");

static void check_rearmed(const struct test_case *self)
{
	unsigned int id = intid(self->row);

	irq_enable(id);
	for (unsigned int n = 0; n < 10; n++) {
		uint64_t end = counter(self->row) + read_sysreg(cntfrq_el0) / 2000;

		set_cval(self->row, end);
		set_ctl(self->row, ENABLE);
		CHECK(irq_comes());
		CHECK(counter(self->row) >= end);
		CHECK_EQ(irq_ack() & 0x3ff, id);
		set_cval(self->row, far_off(self->row));
		irq_eoi(id);
	}
	CHECK(irq_stays_away());
}
BOTH(rearmed, check_rearmed, "Arm ARM D12.2.1: set again and again, each time it comes, not early");

static volatile unsigned int taken;

static bool end_timer(struct frame *frame)
{
	uint32_t acked = irq_ack();

	taken = acked & 0x3ff;
	write_sysreg(cntv_ctl_el0, 0);
	write_sysreg(cntp_ctl_el0, 0);
	irq_eoi(acked);
	return true;
}

static void check_taken(const struct test_case *self)
{
	unsigned int id = intid(self->row);

	taken = 0;
	handle(KIND_IRQ, end_timer);
	irq_enable(id);
	set_tval(self->row, read_sysreg(cntfrq_el0) / 1000);
	set_ctl(self->row, ENABLE);
	unmask_irq();
	CHECK(WAIT_FOR(taken));
	mask_irq();
	CHECK_EQ(taken, id);
}
BOTH(taken, check_taken, "Arm ARM D1.3.6, D12.2.1");

static void check_wfi(const struct test_case *self)
{
	unsigned int id = intid(self->row);

	irq_enable(id);
	for (unsigned int n = 0; n < 5; n++) {
		uint64_t end = counter(self->row) + read_sysreg(cntfrq_el0) / 1000;

		set_cval(self->row, end);
		set_ctl(self->row, ENABLE);
		while (!(read_sysreg(isr_el1) & BIT(7)))
			wfi();
		CHECK(counter(self->row) >= end);
		CHECK_EQ(irq_ack() & 0x3ff, id);
		set_ctl(self->row, 0);
		irq_eoi(id);
	}
}
BOTH(ends_wfi, check_wfi, "Arm ARM D1.6.2: WFI ends when the interrupt is pending, masked or not");

TEST(both, "Arm ARM D12.2: the two timers are apart")
{
	unsigned int v = intid(&virtual_timer), p = intid(&physical_timer);
	unsigned int seen = 0;

	irq_enable(v);
	irq_enable(p);
	set_cval(&virtual_timer, 0);
	set_cval(&physical_timer, 0);
	set_ctl(&virtual_timer, ENABLE);
	set_ctl(&physical_timer, ENABLE);
	for (unsigned int n = 0; n < 2; n++) {
		uint32_t acked;

		CHECK(irq_comes());
		acked = irq_ack() & 0x3ff;
		CHECK(acked == v || acked == p);
		set_ctl(acked == v ? &virtual_timer : &physical_timer, 0);
		irq_eoi(acked);
		seen |= acked == v ? 1 : 2;
	}
	CHECK_EQ(seen, 3);
	CHECK(irq_stays_away());
}

static void own_timer(void *argument)
{
	const struct timer *timer = argument;
	unsigned int id = intid(timer);

	irq_enable(id);
	set_tval(timer, read_sysreg(cntfrq_el0) / 1000);
	set_ctl(timer, ENABLE);
	CHECK(irq_comes());
	CHECK_EQ(irq_ack() & 0x3ff, id);
	set_ctl(timer, 0);
	irq_eoi(id);
}

static void check_per_cpu(const struct test_case *self)
{
	if (cpu_count() < 2)
		skip("2 CPUs");
	on_each_cpu(own_timer, (void *)(uintptr_t)self->row);
	CHECK(irq_stays_away());
}
BOTH(per_cpu, check_per_cpu, "Arm ARM D12.2: each CPU has its own");
