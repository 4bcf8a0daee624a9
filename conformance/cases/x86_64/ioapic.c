/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC: registers, edges and levels, destinations. */
#include "cases/x86_64/taken.h"
#include "cases/x86_64/testdev.h"

#define VECTOR     0x64u
#define MASKED     0x10000u
#define LEVEL      0x8000u
#define REMOTE_IRR 0x4000u
#define ACTIVE_LOW 0x2000u
#define LOGICAL    0x800u
#define LINE       5u
#define ENTRY(pin) ((uint8_t)(0x10 + 2 * (pin)))

static void route(unsigned int pin, uint32_t flags, uint32_t destination)
{
	ioapic_write(ENTRY(pin), MASKED);
	ioapic_write((uint8_t)(ENTRY(pin) + 1), destination << 24);
	ioapic_write(ENTRY(pin), flags);
}

/* Line 5's interrupt, by the flags given, which counts from now on. */
static void prepare(uint32_t flags)
{
	need_testdev();
	set_line(LINE, false);
	expect_vector(VECTOR);
	route(ioapic_pin(LINE), flags | VECTOR, cpu_apic_id(0));
}

TEST(index_reads_back, "82093AA data sheet 3.1.1: IOREGSEL")
{
	store32(IOAPIC_DEFAULT, 0x12);
	CHECK_EQ(load32(IOAPIC_DEFAULT) & 0xff, 0x12);
}

TEST(id_reads_back, "82093AA data sheet 3.2.1: bits 27:24")
{
	uint32_t id = ioapic_read(0);

	ioapic_write(0, 0x05000000);
	CHECK_EQ(ioapic_read(0) & 0x0f000000, 0x05000000);
	ioapic_write(0, 0x0a000000);
	CHECK_EQ(ioapic_read(0) & 0x0f000000, 0x0a000000);
	ioapic_write(0, id);
}

TEST(version_is_read_only, "82093AA data sheet 3.2.2")
{
	uint32_t version = ioapic_read(1);

	ioapic_write(1, ~version);
	CHECK_EQ(ioapic_read(1), version);
}

TEST(entries_read_back, "82093AA data sheet 3.2.4: IOREDTBL; bits 12 and 14 are read only")
{
	for (unsigned int pin = 0; pin < 24; pin++) {
		ioapic_write((uint8_t)(ENTRY(pin) + 1), 0xa5000000);
		CHECK_EQ(ioapic_read((uint8_t)(ENTRY(pin) + 1)) & 0xff000000, 0xa5000000);
		ioapic_write(ENTRY(pin), MASKED | 0xaffu);
		CHECK_EQ(ioapic_read(ENTRY(pin)), MASKED | 0xaffu);
		ioapic_write(ENTRY(pin), MASKED | 0x1000 | REMOTE_IRR | pin);
		CHECK_EQ(ioapic_read(ENTRY(pin)), MASKED | pin);
		ioapic_write(ENTRY(pin), MASKED);
	}
}

TEST(edge_once, "82093AA data sheet 3.2.4: edge: one interrupt a rise")
{
	prepare(0);
	for (unsigned int n = 1; n < 5; n++) {
		set_line(LINE, true);
		CHECK(came(VECTOR, n));
		let_in();
		CHECK_EQ(taken[VECTOR], n);
		set_line(LINE, false);
		let_in();
		CHECK_EQ(taken[VECTOR], n);
	}
}

TEST(edge_has_no_remote_irr, "82093AA data sheet 3.2.4: remote IRR is for levels; TMR is clear")
{
	prepare(0);
	set_line(LINE, true);
	CHECK(WAIT_FOR(apic_bit(APIC_IRR, VECTOR)));
	CHECK_EQ(ioapic_read(ENTRY(ioapic_pin(LINE))) & REMOTE_IRR, 0);
	CHECK(!apic_bit(APIC_TMR, VECTOR));
	CHECK(came(VECTOR, 1));
	set_line(LINE, false);
}

TEST(level_remote_irr, "82093AA data sheet 3.2.4: set when the local APIC accepts it, until EOI")
{
	prepare(LEVEL);
	handle(VECTOR, take);
	set_line(LINE, true);
	CHECK(came(VECTOR, 1));
	CHECK_EQ(ioapic_read(ENTRY(ioapic_pin(LINE))) & REMOTE_IRR, REMOTE_IRR);
	CHECK(apic_bit(APIC_TMR, VECTOR));
	set_line(LINE, false);
	CHECK_EQ(ioapic_read(ENTRY(ioapic_pin(LINE))) & REMOTE_IRR, REMOTE_IRR);
	apic_write(APIC_EOI, 0);
	CHECK(WAIT_FOR(!(ioapic_read(ENTRY(ioapic_pin(LINE))) & REMOTE_IRR)));
	let_in();
	CHECK_EQ(taken[VECTOR], 1);
}

TEST(level_comes_again, "82093AA data sheet 3.2.4: after EOI while the line is still active")
{
	prepare(LEVEL);
	handle(VECTOR, take);
	set_line(LINE, true);
	CHECK(came(VECTOR, 1));
	let_in();
	CHECK_EQ(taken[VECTOR], 1);
	apic_write(APIC_EOI, 0);
	CHECK(came(VECTOR, 2));
	set_line(LINE, false);
	apic_write(APIC_EOI, 0);
	let_in();
	CHECK_EQ(taken[VECTOR], 2);
}

TEST(level_masked_then_not, "82093AA data sheet 3.2.4: a level that is there when the mask goes")
{
	prepare(LEVEL | MASKED);
	handle(VECTOR, take);
	set_line(LINE, true);
	let_in();
	CHECK_EQ(taken[VECTOR], 0);
	ioapic_write(ENTRY(ioapic_pin(LINE)), LEVEL | VECTOR);
	CHECK(came(VECTOR, 1));
	set_line(LINE, false);
	apic_write(APIC_EOI, 0);
}

TEST(logical_destination, "82093AA data sheet 3.2.4: bit 11: a set of processors")
{
	need_testdev();
	set_line(LINE, false);
	apic_write(APIC_LDR, 0x10000000);
	expect_vector(VECTOR);
	route(ioapic_pin(LINE), LOGICAL | VECTOR, 0x30);
	set_line(LINE, true);
	CHECK(came(VECTOR, 1));
	set_line(LINE, false);
	route(ioapic_pin(LINE), LOGICAL | VECTOR, 0x20);
	set_line(LINE, true);
	let_in();
	CHECK_EQ(taken[VECTOR], 1);
	set_line(LINE, false);
}

TEST(lowest_priority, "82093AA data sheet 3.2.4: delivery mode 1")
{
	need_testdev();
	set_line(LINE, false);
	apic_write(APIC_LDR, 0x10000000);
	expect_vector(VECTOR);
	route(ioapic_pin(LINE), LOGICAL | 0x100 | VECTOR, 0x10);
	set_line(LINE, true);
	CHECK(came(VECTOR, 1));
	set_line(LINE, false);
}

TEST(delivers_nmi, "82093AA data sheet 3.2.4: delivery mode 4, the vector ignored")
{
	prepare(0);
	handle(NMI, take);
	taken[NMI] = 0;
	route(ioapic_pin(LINE), 0x400 | VECTOR, cpu_apic_id(0));
	set_line(LINE, true);
	CHECK(WAIT_FOR(taken[NMI] == 1));
	CHECK_EQ(taken[VECTOR], 0);
	set_line(LINE, false);
}

TEST(every_line, "82093AA data sheet 2.4: each by its own entry")
{
	static const uint8_t lines[] = { 3, 5, 6, 7, 10, 11, 14, 15 };

	need_testdev();
	for (unsigned int n = 0; n < sizeof(lines); n++) {
		uint8_t vector = (uint8_t)(0x70 + lines[n]);

		set_line(lines[n], false);
		expect_vector(vector);
		route(ioapic_pin(lines[n]), vector, cpu_apic_id(0));
		set_line(lines[n], true);
		CHECK(came(vector, 1));
		set_line(lines[n], false);
		ioapic_write(ENTRY(ioapic_pin(lines[n])), MASKED);
		CHECK_EQ(taken_total, 1);
	}
}

static void park(void *argument)
{
	sti();
	for (;;)
		__asm__ volatile("pause");
}

static volatile unsigned int taken_there;
static void take_there(struct frame *frame)
{
	taken_there = this_cpu() + 1;
	apic_write(APIC_EOI, 0);
}

TEST_SMP(to_another_cpu, 2, "82093AA data sheet 3.2.4: the destination's APIC ID")
{
	need_testdev();
	set_line(LINE, false);
	taken_there = 0;
	handle(VECTOR, take_there);
	start_cpu(1, park, NULL);
	route(ioapic_pin(LINE), VECTOR, cpu_apic_id(1));
	set_line(LINE, true);
	CHECK(WAIT_FOR(taken_there));
	CHECK_EQ(taken_there, 2);
	set_line(LINE, false);
}
