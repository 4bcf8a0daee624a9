/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HPET's comparators: one-shot and periodic, edges and levels by the I/O APIC, the legacy
 * replacement of PIT and RTC. timers.c has its main counter.
 */
#include "cases/x86_64/taken.h"

#define VECTOR     0x68u
#define LEVEL      0x8000u
#define REMOTE_IRR 0x4000u
#define ENTRY(pin) ((uint8_t)(0x10 + 2 * (pin)))

#define CONFIG          0x10u
#define STATUS          0x20u
#define COUNTER         0xf0u
#define TIMER_CONFIG(n) (0x100u + 0x20u * (n))
#define COMPARATOR(n)   (0x108u + 0x20u * (n))
#define FSB_ROUTE(n)    (0x110u + 0x20u * (n))

#define ENABLE_CNF       BIT(0)
#define LEG_RT_CNF       BIT(1)
#define LEG_RT_CAP       BIT(15) /* of the capabilities */
#define COUNT_SIZE_CAP   BIT(13)
#define INT_TYPE_LEVEL   BIT(1)
#define INT_ENB          BIT(2)
#define TYPE_PERIODIC    BIT(3)
#define PER_INT_CAP      BIT(4)
#define SIZE_CAP         BIT(5)
#define VAL_SET          BIT(6)
#define MODE_32          BIT(8)
#define FSB_EN           BIT(14)
#define FSB_INT_DEL_CAP  BIT(15)
#define INT_ROUTE(pin)   ((uint64_t)(pin) << 9)
#define INT_ROUTE_CAP(c) ((uint32_t)((c) >> 32))

static uint64_t base;

static uint64_t get(uint32_t offset)
{
	return load64(base + offset);
}

static void set(uint32_t offset, uint64_t value)
{
	store64(base + offset, value);
}

/* Halted at 0, comparators off, nothing flagged. */
static void prepare(void)
{
	base = hpet_base();
	if (!base)
		skip("a table HPET");
	hpet_reset();
	set(CONFIG, 0);
	set(COUNTER, 0);
}

static uint64_t ticks_of(uint64_t microseconds)
{
	return microseconds * 1000000000 / (get(0) >> 32);
}

/* A pin of the I/O APIC that timer n can use, routed here by the flags given. */
static unsigned int route(unsigned int n, uint32_t flags)
{
	uint32_t pins = INT_ROUTE_CAP(get(TIMER_CONFIG(n)));
	unsigned int most = ioapic_read(1) >> 16 & 0xff, pin = 0;

	for (unsigned int at = 0; at <= most && at < 32; at++)
		if (pins >> at & 1)
			pin = at;
	if (!pin)
		skip("a pin of the I/O APIC for the timer");
	expect_vector(VECTOR);
	ioapic_write((uint8_t)(ENTRY(pin) + 1), cpu_apic_id(0) << 24);
	ioapic_write(ENTRY(pin), flags | VECTOR);
	return pin;
}

/* Has timer 0 compare after so many microseconds, and the counter run. */
static void start(uint64_t microseconds, uint64_t config)
{
	set(COMPARATOR(0), ticks_of(microseconds));
	set(TIMER_CONFIG(0), config);
	set(CONFIG, ENABLE_CNF);
}

static void stays_away(unsigned int count)
{
	for (struct limit limit = limit_of(3); !limit_passed(&limit);)
		let_in();
	CHECK_EQ(taken[VECTOR], count);
}

TEST(capabilities_are_read_only, "HPET specification 2.3.4")
{
	uint64_t before;

	prepare();
	before = get(0);
	set(0, ~before);
	CHECK_EQ(get(0), before);
}

TEST(counter_is_written_in_halves, "HPET specification 2.3.7: halted, by 32-bit accesses, too")
{
	prepare();
	store32(base + COUNTER, 0x89abcdef);
	CHECK_EQ(load32(base + COUNTER), 0x89abcdef);
	if (!(get(0) & COUNT_SIZE_CAP))
		skip("a counter of 64 bits");
	store32(base + COUNTER + 4, 0x1234567);
	CHECK_EQ(get(COUNTER), UINT64_C(0x0123456789abcdef));
}

TEST(timer_config_keeps, "HPET specification 2.3.8.1: capabilities are read-only, the rest is kept")
{
	uint64_t before;
	unsigned int pin;

	prepare();
	before = get(TIMER_CONFIG(0));
	pin = route(0, 0x10000);
	set(TIMER_CONFIG(0), INT_ENB | INT_TYPE_LEVEL | INT_ROUTE(pin));
	CHECK_EQ(get(TIMER_CONFIG(0)) & 0x3e0e,
	         (uint64_t)(INT_ENB | INT_TYPE_LEVEL | INT_ROUTE(pin)));
	CHECK_EQ(get(TIMER_CONFIG(0)) & (PER_INT_CAP | SIZE_CAP | FSB_INT_DEL_CAP),
	         before & (PER_INT_CAP | SIZE_CAP | FSB_INT_DEL_CAP));
	CHECK_EQ(INT_ROUTE_CAP(get(TIMER_CONFIG(0))), INT_ROUTE_CAP(before));
}

TEST(comparator_keeps, "HPET specification 2.3.8.2: what is written to a one-shot comparator")
{
	prepare();
	set(TIMER_CONFIG(0), 0);
	set(COMPARATOR(0), 0x12345678);
	CHECK_EQ(get(COMPARATOR(0)), 0x12345678);
}

TEST(one_shot, "HPET specification 2.3.9.2.1: one interrupt when the counter gets there")
{
	unsigned int pin;
	uint64_t at;

	prepare();
	pin = route(0, 0);
	at = ticks_of(300);
	start(300, INT_ENB | INT_ROUTE(pin));
	CHECK(came(VECTOR, 1));
	CHECK(get(COUNTER) >= at);
	CHECK_EQ(get(COMPARATOR(0)), at);
	stays_away(1);
}

TEST(one_shot_again, "HPET specification 2.3.9.2.1: a new value of the comparator, a new interrupt")
{
	unsigned int pin;

	prepare();
	pin = route(0, 0);
	start(200, INT_ENB | INT_ROUTE(pin));
	for (unsigned int n = 1; n < 4; n++) {
		CHECK(came(VECTOR, n));
		set(COMPARATOR(0), get(COUNTER) + ticks_of(1000));
	}
	CHECK(came(VECTOR, 4));
}

TEST(every_timer, "HPET specification 2.3.8: each comparator has its own interrupt")
{
	unsigned int timers;

	prepare();
	timers = (get(0) >> 8 & 0x1f) + 1;
	for (unsigned int n = 0; n < timers; n++) {
		unsigned int pin;

		prepare();
		pin = route(n, 0);
		set(COMPARATOR(n), ticks_of(200));
		set(TIMER_CONFIG(n), INT_ENB | INT_ROUTE(pin));
		set(CONFIG, ENABLE_CNF);
		CHECK(came(VECTOR, 1));
		hpet_reset();
	}
}

TEST(interrupts_disabled, "HPET specification 2.3.8.1: Tn_INT_ENB_CNF clear: no interrupt")
{
	unsigned int pin;

	prepare();
	pin = route(0, 0);
	start(100, INT_ROUTE(pin));
	CHECK(WAIT_FOR(get(COUNTER) > ticks_of(200)));
	stays_away(0);
}

TEST(halted, "HPET specification 2.3.5: ENABLE_CNF clear: no interrupt")
{
	unsigned int pin;

	prepare();
	pin = route(0, 0);
	set(COMPARATOR(0), ticks_of(100));
	set(TIMER_CONFIG(0), INT_ENB | INT_ROUTE(pin));
	stays_away(0);
	set(CONFIG, ENABLE_CNF);
	CHECK(came(VECTOR, 1));
}

TEST(level, "HPET specification 2.3.6: the line is held until the status bit is cleared by a 1")
{
	unsigned int pin;

	prepare();
	pin = route(0, LEVEL | 0x10000);
	start(200, INT_ENB | INT_TYPE_LEVEL | INT_ROUTE(pin));
	CHECK(WAIT_FOR(get(STATUS) & 1));
	set(STATUS, 0);
	CHECK_EQ(get(STATUS) & 1, 1);
	handle(VECTOR, take);
	ioapic_write(ENTRY(pin), LEVEL | VECTOR);
	CHECK(came(VECTOR, 1));
	CHECK_EQ(ioapic_read(ENTRY(pin)) & REMOTE_IRR, REMOTE_IRR);
	apic_write(APIC_EOI, 0);
	CHECK(came(VECTOR, 2)); /* it is still active */
	set(STATUS, 1);
	CHECK_EQ(get(STATUS) & 1, 0);
	apic_write(APIC_EOI, 0);
	stays_away(2);
}

TEST(edge_has_no_status, "HPET specification 2.3.6: the bit is 0 for edges, whatever happened")
{
	unsigned int pin;

	prepare();
	pin = route(0, 0);
	start(200, INT_ENB | INT_ROUTE(pin));
	CHECK(came(VECTOR, 1));
	CHECK_EQ(get(STATUS) & 1, 0);
}

/* Timer 0, every so many ticks. */
static uint64_t start_periodic(uint64_t config)
{
	uint64_t period = ticks_of(500);

	if (!(get(TIMER_CONFIG(0)) & PER_INT_CAP))
		skip("a periodic timer");
	set(TIMER_CONFIG(0), config | INT_ENB | TYPE_PERIODIC | VAL_SET);
	set(COMPARATOR(0), period); /* the comparator itself, by VAL_SET */
	set(COMPARATOR(0), period); /* what is added to it */
	set(CONFIG, ENABLE_CNF);
	return period;
}

TEST(periodic,
     "HPET specification 2.3.9.2.2: again and again; the comparator moves on by the period")
{
	unsigned int pin;
	uint64_t period, comparator;

	prepare();
	pin = route(0, 0);
	period = start_periodic(INT_ROUTE(pin));
	CHECK(came(VECTOR, 5));
	comparator = get(COMPARATOR(0));
	CHECK(comparator >= 5 * period);
	CHECK_EQ(comparator % period, 0);
	set(TIMER_CONFIG(0), 0);
	let_in();
	stays_away(taken[VECTOR]);
}

TEST(counter_of_32_bits, "HPET specification 2.3.9.2.1: Tn_32MODE_CNF: the low half is compared")
{
	unsigned int pin;

	prepare();
	if (!(get(TIMER_CONFIG(0)) & SIZE_CAP) || !(get(0) & COUNT_SIZE_CAP))
		skip("a timer of 64 bits");
	pin = route(0, 0);
	set(COUNTER, BIT(40) | 0x1000);
	set(TIMER_CONFIG(0), INT_ENB | MODE_32 | INT_ROUTE(pin));
	set(COMPARATOR(0), 0x1000 + ticks_of(200));
	set(CONFIG, ENABLE_CNF);
	CHECK(came(VECTOR, 1));
}

TEST(by_message, "HPET specification 2.3.9.4: a write of the value to the address of the FSB route")
{
	prepare();
	if (!(get(TIMER_CONFIG(0)) & FSB_INT_DEL_CAP))
		skip("interrupts by message");
	expect_vector(VECTOR);
	set(FSB_ROUTE(0), (uint64_t)(APIC_DEFAULT | cpu_apic_id(0) << 12) << 32 | VECTOR);
	start(200, INT_ENB | FSB_EN);
	CHECK(came(VECTOR, 1));
	stays_away(1);
}

/* ---- Legacy replacement ---- */

static void need_legacy(void)
{
	prepare();
	if (!(get(0) & LEG_RT_CAP))
		skip("LEG_RT_CAP");
}

static void listen_to(unsigned int pin)
{
	expect_vector(VECTOR);
	ioapic_write((uint8_t)(ENTRY(pin) + 1), cpu_apic_id(0) << 24);
	ioapic_write(ENTRY(pin), VECTOR);
}

TEST(legacy_timer_0, "HPET specification 2.3.9.1: timer 0 on IRQ 0, which is the I/O APIC's pin 2")
{
	need_legacy();
	listen_to(2);
	set(COMPARATOR(0), ticks_of(300));
	set(TIMER_CONFIG(0), INT_ENB);
	set(CONFIG, ENABLE_CNF | LEG_RT_CNF);
	CHECK_EQ(get(CONFIG) & LEG_RT_CNF, LEG_RT_CNF);
	CHECK(came(VECTOR, 1));
	stays_away(1);
}

TEST(legacy_timer_1, "HPET specification 2.3.9.1: timer 1 on IRQ 8")
{
	need_legacy();
	listen_to(8);
	set(COMPARATOR(1), ticks_of(300));
	set(TIMER_CONFIG(1), INT_ENB);
	set(CONFIG, ENABLE_CNF | LEG_RT_CNF);
	CHECK(came(VECTOR, 1));
}

TEST(legacy_silences_pit, "HPET specification 2.3.5: with LEG_RT_CNF the 8254 causes no interrupts")
{
	need_legacy();
	listen_to(ioapic_pin(0));
	set(CONFIG, ENABLE_CNF | LEG_RT_CNF);
	out8(0x43, 0x34); /* channel 0, mode 2 */
	out8(0x40, 0xd0);
	out8(0x40, 0x07);
	stays_away(0);
	set(CONFIG, ENABLE_CNF);
	CHECK(came(VECTOR, 1));
}
