/* SPDX-License-Identifier: BSD-2-Clause */
/* The two 8259A: initialisation, priorities, the ways to end an interrupt. Mostly by poll command,
 * which acknowledges as the processor would. */
#include "cases/x86_64/taken.h"
#include "cases/x86_64/testdev.h"

#define PIC1 0x20u
#define PIC2 0xa0u
#define ELCR 0x4d0u

#define LINES(...)                                                                                 \
	need_lines((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* These lines, low, by edges, and nothing else. */
static void need_lines(const uint8_t *lines, size_t count)
{
	uint32_t mask = 0xffff & ~4u;

	need_testdev();
	for (size_t n = 0; n < count; n++) {
		set_line(lines[n], false);
		mask &= ~(1u << lines[n]);
	}
	out8(ELCR, in8(ELCR) & (uint8_t)mask);
	out8(ELCR + 1, in8(ELCR + 1) & (uint8_t)(mask >> 8));
	out8(PIC1 + 1, (uint8_t)mask);
	out8(PIC2 + 1, (uint8_t)(mask >> 8));
}

static void initialise(uint16_t pic, uint8_t base, uint8_t icw4)
{
	out8(pic, 0x11);
	out8(pic + 1, base);
	out8(pic + 1, pic == PIC1 ? 4 : 2);
	out8(pic + 1, icw4);
}

static uint8_t irr(uint16_t pic)
{
	out8(pic, 0x0a);
	return in8(pic);
}

static uint8_t isr(uint16_t pic)
{
	out8(pic, 0x0b);
	return in8(pic);
}

static uint8_t poll(uint16_t pic)
{
	out8(pic, 0x0c);
	return in8(pic);
}

#define CHECK_TAKES(line)     CHECK_EQ(poll(PIC1), 0x80 | (line))
#define CHECK_TAKES_NOTHING() CHECK_EQ(poll(PIC1) & 0x80, 0)

/* OCW2: an EOI that names none. */
static void end_highest(void)
{
	out8(PIC1, 0x20);
}

TEST(icw1_clears_imr, "8259A data sheet: ICW1: the interrupt mask register is cleared")
{
	out8(PIC2 + 1, 0xff);
	initialise(PIC2, PIC_VECTOR + 8, 1);
	CHECK_EQ(in8(PIC2 + 1), 0);
}

TEST(icw1_reads_irr, "8259A data sheet: ICW1: status read is set to IRR")
{
	LINES(5);
	out8(PIC1, 0x0b);
	set_line(5, true);
	initialise(PIC1, PIC_VECTOR, 1);
	set_line(5, false);
	out8(PIC1 + 1, 0xdb);
	set_line(5, true);
	CHECK_EQ(in8(PIC1) & 0x20, 0x20);
}

TEST(nothing_to_poll, "8259A data sheet: poll command: bit 7 is clear without a request")
{
	need_testdev();
	out8(PIC1 + 1, 0xff);
	CHECK_TAKES_NOTHING();
	CHECK_EQ(isr(PIC1), 0);
}

TEST(request_and_service, "8259A data sheet: IRR, then ISR, then neither")
{
	LINES(5);
	CHECK_EQ(irr(PIC1) & 0x20, 0);
	set_line(5, true);
	CHECK_EQ(irr(PIC1) & 0x20, 0x20);
	CHECK_EQ(isr(PIC1), 0);
	CHECK_TAKES(5);
	CHECK_EQ(irr(PIC1) & 0x20, 0);
	CHECK_EQ(isr(PIC1), 0x20);
	end_highest();
	CHECK_EQ(isr(PIC1), 0);
}

TEST(edge_once, "8259A data sheet: edge triggered: one request a rise")
{
	LINES(5);
	set_line(5, true);
	CHECK_TAKES(5);
	end_highest();
	CHECK_TAKES_NOTHING();
	set_line(5, false);
	set_line(5, true);
	CHECK_TAKES(5);
	end_highest();
}

TEST(masked_waits, "8259A data sheet: the mask holds back what the IRR keeps")
{
	LINES(5);
	out8(PIC1 + 1, 0xff);
	set_line(5, true);
	CHECK_EQ(irr(PIC1) & 0x20, 0x20);
	CHECK_TAKES_NOTHING();
	out8(PIC1 + 1, 0xdb);
	CHECK_TAKES(5);
	end_highest();
}

TEST(fixed_priority, "8259A data sheet: fully nested mode: 0 is the highest")
{
	LINES(3, 5, 7);
	set_line(7, true);
	set_line(5, true);
	set_line(3, true);
	CHECK_TAKES(3);
	CHECK_TAKES_NOTHING();
	end_highest();
	CHECK_TAKES(5);
	end_highest();
	CHECK_TAKES(7);
	end_highest();
}

TEST(higher_nests, "8259A data sheet: fully nested mode: a higher one while one is in service")
{
	LINES(3, 5);
	set_line(5, true);
	CHECK_TAKES(5);
	set_line(3, true);
	CHECK_TAKES(3);
	CHECK_EQ(isr(PIC1), 0x28);
	end_highest();
	CHECK_EQ(isr(PIC1), 0x20);
	end_highest();
	CHECK_EQ(isr(PIC1), 0);
}

TEST(specific_eoi, "8259A data sheet: OCW2 011: the level that is named")
{
	LINES(3, 5);
	set_line(5, true);
	CHECK_TAKES(5);
	set_line(3, true);
	CHECK_TAKES(3);
	out8(PIC1, 0x65);
	CHECK_EQ(isr(PIC1), 0x08);
	out8(PIC1, 0x63);
	CHECK_EQ(isr(PIC1), 0);
}

TEST(rotate_on_eoi, "8259A data sheet: OCW2 101: the one that ends becomes the lowest")
{
	LINES(3, 5);
	set_line(3, true);
	CHECK_TAKES(3);
	out8(PIC1, 0xa0);
	set_line(3, false);
	set_line(3, true);
	set_line(5, true);
	CHECK_TAKES(5);
	end_highest();
	CHECK_TAKES(3);
	end_highest();
}

TEST(set_priority, "8259A data sheet: OCW2 110: the lowest is the level that is named")
{
	LINES(3, 5);
	out8(PIC1, 0xc3);
	set_line(3, true);
	set_line(5, true);
	CHECK_TAKES(5);
	end_highest();
	CHECK_TAKES(3);
	end_highest();
}

TEST(special_mask,
     "8259A data sheet: OCW3 ESMM, SMM: lower ones while one that is masked is in service")
{
	LINES(3, 5);
	set_line(3, true);
	CHECK_TAKES(3);
	set_line(5, true);
	CHECK_TAKES_NOTHING();
	out8(PIC1, 0x68);
	out8(PIC1 + 1, 0xdb);
	CHECK_TAKES(5);
	out8(PIC1, 0x65);
	out8(PIC1, 0x48);
	out8(PIC1, 0x63);
}

TEST(automatic_eoi, "8259A data sheet: ICW4 AEOI: nothing stays in service")
{
	need_testdev();
	initialise(PIC1, PIC_VECTOR, 3);
	LINES(5);
	set_line(5, true);
	CHECK_TAKES(5);
	CHECK_EQ(isr(PIC1), 0);
}

TEST(slave_cascades, "8259A data sheet: cascade: the slave requests by the master's level 2")
{
	LINES(10);
	set_line(10, true);
	CHECK_EQ(irr(PIC2), 4);
	CHECK_EQ(irr(PIC1) & 4, 4);
	CHECK_TAKES(2);
	CHECK_EQ(poll(PIC2), 0x82);
	CHECK_EQ(isr(PIC1), 4);
	CHECK_EQ(isr(PIC2), 4);
	out8(PIC2, 0x20);
	end_highest();
	CHECK_EQ(isr(PIC1), 0);
	CHECK_EQ(isr(PIC2), 0);
}

TEST(elcr_reads_back,
     "Intel 440BX PIIX4 data sheet, 4.2.2: ELCR1, ELCR2; 0, 1, 2, 8 and 13 are edges")
{
	uint8_t one = in8(ELCR), two = in8(ELCR + 1);

	out8(ELCR, 0x28);
	out8(ELCR + 1, 0x0c);
	CHECK_EQ(in8(ELCR), 0x28);
	CHECK_EQ(in8(ELCR + 1), 0x0c);
	out8(ELCR, one);
	out8(ELCR + 1, two);
}

TEST(level_requests_again, "8259A data sheet: level triggered: as long as the line is high")
{
	LINES(5);
	out8(ELCR, 0x20);
	set_line(5, true);
	CHECK_TAKES(5);
	end_highest();
	CHECK_TAKES(5);
	set_line(5, false);
	end_highest();
	CHECK_TAKES_NOTHING();
}

TEST(level_that_falls, "8259A data sheet: level triggered: IRR follows the line")
{
	LINES(5);
	out8(ELCR, 0x20);
	set_line(5, true);
	CHECK_EQ(irr(PIC1) & 0x20, 0x20);
	set_line(5, false);
	CHECK_EQ(irr(PIC1) & 0x20, 0);
	CHECK_TAKES_NOTHING();
}

/* ---- To the processor ---- */

static void by_lint0(uint8_t base)
{
	apic_write(APIC_LINT0, 0x700); /* ExtINT */
	initialise(PIC1, base, 1);
	initialise(PIC2, base + 8, 1);
	for (unsigned int n = 0; n < 16; n++) {
		taken[base + n] = 0;
		handle((uint8_t)(base + n), take);
	}
	taken_total = 0;
}

TEST(vector_of_line, "8259A data sheet: ICW2: T7 to T3 and the level")
{
	static const uint8_t lines[] = { 3, 5, 7, 9, 11 };

	need_testdev();
	for (unsigned int n = 0; n < sizeof(lines); n++) {
		unsigned int line = lines[n];

		by_lint0(0x40);
		LINES((uint8_t)line);
		set_line(line, true);
		CHECK(came((uint8_t)(0x40 + line), 1));
		set_line(line, false);
		if (line >= 8)
			out8(PIC2, 0x20);
		end_highest();
		CHECK_EQ(taken_total, 1);
	}
}

TEST(extint_has_no_apic_state, "SDM Vol. 3A 10.8.4: ExtINT passes IRR and ISR by")
{
	need_testdev();
	by_lint0(0x40);
	LINES(5);
	set_line(5, true);
	CHECK(came(0x45, 1));
	CHECK(!apic_bit(APIC_ISR, 0x45));
	set_line(5, false);
	end_highest();
}

TEST(lint0_masked, "SDM Vol. 3A 10.5.1: a masked LINT0 lets nothing in")
{
	need_testdev();
	by_lint0(0x40);
	apic_write(APIC_LINT0, 0x10700);
	LINES(5);
	set_line(5, true);
	let_in();
	CHECK_EQ(taken_total, 0);
	apic_write(APIC_LINT0, 0x700);
	CHECK(came(0x45, 1));
	set_line(5, false);
	end_highest();
}
