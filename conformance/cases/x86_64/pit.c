/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254: modes, latches, read-back, BCD; channel 2's gate and output at port 61h. */
#include "cases/x86_64/taken.h"

#define CONTROL 0x43u
#define CHANNEL 0x42u
#define PORT_B  0x61u

static void gate(bool open)
{
	out8(PORT_B, (uint8_t)((in8(PORT_B) & 0xcu) | open));
}

static bool output(void)
{
	return in8(PORT_B) & 0x20;
}

/* Channel 2, low byte then high. */
static void program(unsigned int mode, bool bcd, uint16_t count)
{
	out8(CONTROL, (uint8_t)(0xb0 | mode << 1 | bcd));
	out8(CHANNEL, (uint8_t)count);
	out8(CHANNEL, (uint8_t)(count >> 8));
}

static uint16_t read_count(void)
{
	uint8_t low = in8(CHANNEL);

	return (uint16_t)(low | in8(CHANNEL) << 8);
}

static uint16_t latched(void)
{
	out8(CONTROL, 0x80);
	return read_count();
}

static uint8_t status(void)
{
	out8(CONTROL, 0xe8); /* read-back of channel 2's status */
	return in8(CHANNEL);
}

TEST(mode_0, "8254 data sheet: mode 0: low until the terminal count, then high")
{
	gate(true);
	program(0, false, 0xffff);
	CHECK(!output());
	program(0, false, 1000);
	CHECK(WAIT_FOR(output()));
	CHECK(output());
	program(0, false, 0xffff);
	CHECK(!output());
}

TEST(mode_1, "8254 data sheet: mode 1: a rise of the gate starts the shot")
{
	gate(false);
	program(1, false, 2000);
	CHECK(WAIT_FOR(output()));
	gate(true);
	CHECK(WAIT_FOR(output()));
	gate(false);
	CHECK(output());
}

TEST(mode_2_reloads, "8254 data sheet: mode 2: counts from N to 1 and again")
{
	unsigned int rises = 0;
	uint16_t last;

	gate(true);
	program(2, false, 2000);
	CHECK(WAIT_FOR(!(status() & 0x40)));
	last = latched();
	CHECK(WAIT_FOR(({
		uint16_t now = latched();

		CHECK(now <= 2000 && now >= 1);
		rises += now > last;
		last = now;
		rises >= 3;
	})));
}

TEST(mode_3_halves, "8254 data sheet: mode 3: high for one half of the count, low for the other")
{
	unsigned int changes = 0;
	bool last;

	gate(true);
	program(3, false, 3000);
	last = output();
	CHECK(WAIT_FOR(({
		bool now = output();

		changes += now != last;
		last = now;
		changes >= 6;
	})));
}

TEST(mode_4_strobes, "8254 data sheet: mode 4: high but for one clock at the terminal count")
{
	gate(true);
	program(4, false, 2000);
	CHECK(output());
	CHECK(WAIT_FOR(latched() > 2000)); /* it wraps around and goes on */
	CHECK(output());
}

TEST(gate_stops, "8254 data sheet: gate low: counting is disabled in mode 0")
{
	uint16_t first;

	gate(true);
	program(0, false, 0xffff);
	gate(false);
	first = latched();
	for (unsigned int n = 0; n < 50; n++)
		CHECK_EQ(latched(), first);
	gate(true);
	CHECK(WAIT_FOR(latched() < first));
}

TEST(gate_reads_back, "PIIX4 data sheet 4.2.6.1: NMISC bits 0 and 1")
{
	gate(false);
	CHECK_EQ(in8(PORT_B) & 3, 0);
	gate(true);
	CHECK_EQ(in8(PORT_B) & 3, 1);
}

TEST(latch_holds, "8254 data sheet: counter latch command: held until it is read")
{
	uint16_t first;

	gate(true);
	program(0, false, 0xffff);
	CHECK(WAIT_FOR(latched() < 0xfff0));
	out8(CONTROL, 0x80);
	for (unsigned int n = 0; n < 1000; n++)
		__asm__ volatile("pause");
	out8(CONTROL, 0x80); /* ignored: there is one already */
	first = read_count();
	CHECK(WAIT_FOR(latched() < first));
}

TEST(low_byte_only, "8254 data sheet: RW 01: the low byte; the high one is 0")
{
	gate(false);
	out8(CONTROL, 0x90);
	out8(CHANNEL, 0x77);
	gate(true);
	CHECK(WAIT_FOR(output()));
	CHECK_EQ(status() & 0x3f, 0x10);
}

TEST(high_byte_only, "8254 data sheet: RW 10: the high byte; the low one is 0")
{
	gate(false);
	out8(CONTROL, 0xa0);
	out8(CHANNEL, 0x12);
	gate(true);
	CHECK(WAIT_FOR(output()));
	CHECK_EQ(status() & 0x3f, 0x20);
}

TEST(status_read_back, "8254 data sheet: read-back: the mode as programmed, the output, null count")
{
	gate(true);
	for (unsigned int mode = 0; mode < 6; mode++) {
		program(mode, false, 0xffff);
		CHECK_EQ(status() & 0x3f, 0x30 | mode << 1);
	}
	program(0, true, 0x9999);
	CHECK_EQ(status() & 0x3f, 0x31);
	CHECK_EQ(status() & 0x80, 0);
	program(0, false, 1);
	CHECK(WAIT_FOR(status() & 0x80));
}

TEST(null_count,
     "8254 data sheet: read-back: null count from the control word until the count is loaded")
{
	gate(true);
	out8(CONTROL, 0xb0);
	CHECK_EQ(status() & 0x40, 0x40);
	out8(CHANNEL, 0xff);
	out8(CHANNEL, 0xff);
	CHECK(WAIT_FOR(!(status() & 0x40)));
}

TEST(read_back_both, "8254 data sheet: read-back of count and status: the status is read first")
{
	gate(true);
	program(0, false, 0xffff);
	CHECK(WAIT_FOR(!(status() & 0x40)));
	out8(CONTROL, 0xc8);
	CHECK_EQ(in8(CHANNEL) & 0x3f, 0x30);
	CHECK(read_count() > 0x100);
}

TEST(bcd, "8254 data sheet: BCD: four decimal digits")
{
	gate(true);
	program(2, true, 0x2000);
	CHECK(WAIT_FOR(!(status() & 0x40)));
	for (unsigned int n = 0; n < 200; n++) {
		uint16_t count = latched();

		CHECK(count <= 0x2000);
		for (unsigned int digit = 0; digit < 16; digit += 4)
			CHECK((count >> digit & 15) <= 9);
	}
}

TEST(zero_is_the_most, "8254 data sheet: a count of 0 is 65536")
{
	gate(true);
	program(0, false, 0);
	CHECK(WAIT_FOR(!(status() & 0x40)));
	CHECK(latched() > 0x8000 || !output());
	CHECK(WAIT_FOR(output()));
}

static void channel_0(unsigned int mode, uint16_t count)
{
	unsigned int pin = ioapic_pin(0);

	out8(CONTROL, (uint8_t)(0x30 | mode << 1));
	expect_vector(0x58);
	ioapic_write((uint8_t)(0x11 + 2 * pin), cpu_apic_id(0) << 24);
	ioapic_write((uint8_t)(0x10 + 2 * pin), 0x58);
	out8(0x40, (uint8_t)count);
	out8(0x40, (uint8_t)(count >> 8));
}

TEST(interrupts_by_mode_3, "8254 data sheet: mode 3: a rise every N clocks")
{
	channel_0(3, 3000);
	CHECK(came(0x58, 5));
}
