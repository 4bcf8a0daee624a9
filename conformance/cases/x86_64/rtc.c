/* SPDX-License-Identifier: BSD-2-Clause */
/* The MC146818: registers, updates, its three interrupts. */
#include "cases/x86_64/taken.h"

#define VECTOR 0x5au
#define A      10u
#define B      11u
#define C      12u
#define D      13u
#define RATE_A 0x26u /* 32768 Hz time base, 1024 Hz */
#define B_SET  0x80u
#define B_PIE  0x40u
#define B_AIE  0x20u
#define B_UIE  0x10u
#define B_24   0x02u

static uint8_t get(uint8_t n)
{
	out8(0x70, n);
	return in8(0x71);
}

static void set(uint8_t n, uint8_t value)
{
	out8(0x70, n);
	out8(0x71, value);
}

/* BCD, 24 hours, no interrupts, nothing flagged. */
static void prepare(void)
{
	set(B, B_24);
	set(A, RATE_A);
	get(C);
}

/* The time, with updates stopped. */
static void set_time(uint8_t hour, uint8_t minute, uint8_t second)
{
	set(B, B_SET | B_24);
	set(0, second);
	set(2, minute);
	set(4, hour);
}

static void set_date(uint8_t day, uint8_t month, uint8_t year)
{
	set(7, day);
	set(8, month);
	set(9, year);
}

/* Lets the clock go on, with these bits of register B, until its next second. */
static void update(uint8_t format)
{
	uint8_t second = get(0);

	set(B, format);
	CHECK(WAIT_FOR(!(get(A) & 0x80) && get(0) != second));
}

TEST(alarm_reads_back, "MC146818A data sheet: alarm bytes")
{
	static const uint8_t at[] = { 1, 3, 5 };

	prepare();
	for (unsigned int n = 0; n < 3; n++) {
		set(at[n], 0x17);
		CHECK_EQ(get(at[n]), 0x17);
		set(at[n], 0xc0);
		CHECK_EQ(get(at[n]), 0xc0);
	}
}

TEST(valid_ram, "MC146818A data sheet: register D: VRT is set, and read only")
{
	prepare();
	CHECK_EQ(get(D) & 0x80, 0x80);
	set(D, 0);
	CHECK_EQ(get(D) & 0x80, 0x80);
}

TEST(a_reads_back, "MC146818A data sheet: register A: UIP is read only")
{
	prepare();
	set(A, 0xaf);
	CHECK_EQ(get(A) & 0x7f, 0x2f);
	set(A, RATE_A);
	CHECK_EQ(get(A) & 0x7f, RATE_A);
}

TEST(b_reads_back, "MC146818A data sheet: register B")
{
	prepare();
	for (unsigned int n = 0; n < 4; n++) {
		uint8_t value = (uint8_t)(B_SET | (n & 1 ? 2 : 0) | (n & 2 ? 4 : 0));

		set(B, value);
		CHECK_EQ(get(B), value);
	}
	prepare();
}

TEST(set_stops_updates, "MC146818A data sheet: register B: SET; UIP stays clear")
{
	prepare();
	set_time(0x12, 0x34, 0x56);
	CHECK_EQ(get(0), 0x56);
	for (struct limit limit = limit_of(1200); !limit_passed(&limit);)
		CHECK_EQ(get(A) & 0x80, 0);
	CHECK_EQ(get(0), 0x56);
	CHECK_EQ(get(2), 0x34);
	CHECK_EQ(get(4), 0x12);
	prepare();
}

TEST(rolls_over, "MC146818A data sheet: update cycle: seconds to years")
{
	prepare();
	set_time(0x23, 0x59, 0x59);
	set_date(0x31, 0x12, 0x23);
	update(B_24);
	CHECK_EQ(get(4), 0);
	CHECK_EQ(get(2), 0);
	CHECK_EQ(get(7), 1);
	CHECK_EQ(get(8), 1);
	CHECK_EQ(get(9), 0x24);
}

TEST(leap_day, "MC146818A data sheet: leap years are accounted for")
{
	prepare();
	set_time(0x23, 0x59, 0x59);
	set_date(0x28, 0x02, 0x24);
	update(B_24);
	CHECK_EQ(get(7), 0x29);
	CHECK_EQ(get(8), 2);
}

TEST(twelve_hours, "MC146818A data sheet: 12-hour mode: bit 7 is PM; 11 PM and an hour is 12 AM")
{
	prepare();
	set_time(0, 0x59, 0x59);
	set(B, B_SET);
	set(4, 0x91);
	CHECK_EQ(get(4), 0x91);
	update(0);
	CHECK_EQ(get(4), 0x12);
	prepare();
}

TEST(binary_mode, "MC146818A data sheet: DM: binary")
{
	prepare();
	set(B, B_SET | B_24 | 4);
	set(0, 58);
	set(2, 45);
	set(4, 10);
	set_date(5, 6, 24);
	CHECK_EQ(get(2), 45);
	update(B_24 | 4);
	CHECK_EQ(get(0), 59);
	prepare();
}

static void route(void)
{
	unsigned int pin = ioapic_pin(8);

	prepare();
	expect_vector(VECTOR);
	ioapic_write((uint8_t)(0x11 + 2 * pin), cpu_apic_id(0) << 24);
	ioapic_write((uint8_t)(0x10 + 2 * pin), VECTOR);
}

static void off(void)
{
	set(B, B_24);
	get(C);
}

TEST(periodic_interrupt, "MC146818A data sheet: PIE: one for each read of register C")
{
	route();
	set(B, B_24 | B_PIE);
	for (unsigned int n = 1; n < 5; n++) {
		CHECK(came(VECTOR, n));
		CHECK_EQ(get(C) & 0xc0, 0xc0);
	}
	off();
}

TEST(interrupt_stays_until_read, "MC146818A data sheet: IRQF: the line is held until C is read")
{
	route();
	set(B, B_24 | B_PIE);
	CHECK(came(VECTOR, 1));
	for (struct limit limit = limit_of(10); !limit_passed(&limit);)
		let_in();
	CHECK_EQ(taken[VECTOR], 1);
	get(C);
	CHECK(came(VECTOR, 2));
	off();
}

TEST(update_interrupt,
     "MC146818A data sheet: UIE: at the end of each update; reading register C clears it")
{
	route();
	set(B, B_24 | B_UIE);
	CHECK(came(VECTOR, 1));
	CHECK_EQ(get(C) & 0x90, 0x90);
	CHECK_EQ(get(C) & 0x90, 0);
	off();
}

TEST(alarm_interrupt, "MC146818A data sheet: AIE: when time and alarm bytes agree")
{
	route();
	set_time(0x10, 0x20, 0x30);
	set(1, 0x31);
	set(3, 0x20);
	set(5, 0x10);
	get(C);
	set(B, B_24 | B_AIE);
	CHECK(came(VECTOR, 1));
	CHECK_EQ(get(C) & 0xa0, 0xa0);
	CHECK_EQ(get(0), 0x31);
	off();
}

TEST(alarm_does_not_care, "MC146818A data sheet: alarm bytes from C0H on agree with anything")
{
	route();
	set(1, 0xc0);
	set(3, 0xc0);
	set(5, 0xff);
	set(B, B_24 | B_AIE);
	CHECK(came(VECTOR, 1));
	off();
}
