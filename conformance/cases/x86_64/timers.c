/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts of devices by the PICs and the I/O APIC, from the PIT, the HPET and the RTC; and their
 * counters. Nothing here depends on how fast they are, only on whether they count.
 */
#include "guest/x86_64/feature.h"

#define PIC1       0x20u
#define PIC2       0xa0u
#define VECTOR     0x58u
#define MASKED     0x10000u
#define LEVEL      0x8000u
#define ACTIVE_LOW 0x2000u

static volatile unsigned int count;
static volatile bool by_pic;
static volatile uint8_t isr_inside;

static void take(struct frame *frame)
{
	count++;
	if (by_pic) {
		out8(PIC1, 0x0b); /* OCW3: read ISR */
		isr_inside = in8(PIC1);
		if (frame->vector >= PIC_VECTOR + 8)
			out8(PIC2, 0x20);
		out8(PIC1, 0x20);
	} else {
		apic_write(APIC_EOI, 0);
	}
}

#define LET_IN(condition) WAIT_FOR((sti_nop_cli(), (condition)))

static void nothing_comes(void)
{
	unsigned int before = count;

	for (struct limit limit = limit_of(3); !limit_passed(&limit);)
		sti_nop_cli();
	CHECK_EQ(count, before);
}

/* ---- PIT ---- */

#define RATE_GENERATOR 0x34u /* channel 0, both bytes, mode 2 */
#define ONE_SHOT       0x30u /* mode 0 */

static void start_pit(uint8_t mode, uint16_t value)
{
	out8(0x43, mode);
	out8(0x40, (uint8_t)value);
	out8(0x40, (uint8_t)(value >> 8));
}

static uint16_t read_pit(void)
{
	uint8_t low;

	out8(0x43, 0); /* latch channel 0 */
	low = in8(0x40);
	return (uint16_t)(low | in8(0x40) << 8);
}

TEST(pit_counts_down, "8254 data sheet, mode 2")
{
	uint16_t first;

	start_pit(RATE_GENERATOR, 0xffff);
	first = read_pit();
	CHECK(WAIT_FOR(read_pit() != first));
}

TEST(pit_latch_holds, "8254 data sheet, counter latch command: the latched value until it is read")
{
	uint8_t low, high, again;
	uint16_t latched;

	start_pit(RATE_GENERATOR, 0xffff);
	out8(0x43, 0);
	low = in8(0x40);
	for (struct limit limit = limit_of(2); !limit_passed(&limit);)
		;
	high = in8(0x40);
	latched = (uint16_t)(low | high << 8);
	again = (uint8_t)(read_pit() >> 8);
	/* Had it not been held, its high byte would be that of now. */
	CHECK(high != again || latched >= read_pit());
}

TEST(pit_read_back_status,
     "8254 data sheet, read-back command: output, null count, access, mode, BCD")
{
	uint8_t status;

	start_pit(RATE_GENERATOR, 0x1000);
	CHECK(WAIT_FOR((out8(0x43, 0xe2), !((status = in8(0x40)) & 0x40))));
	out8(0x43, 0xe2);
	status = in8(0x40);
	CHECK_EQ(status & 0x3f, RATE_GENERATOR & 0x3f);
}

TEST(pit_channel_2_output, "8254 data sheet, mode 0; port 61H: bit 5 is channel 2's output")
{
	out8(0x61, (uint8_t)((in8(0x61) & ~2u) | 1));
	out8(0x43, 0xb0);
	CHECK_EQ(in8(0x61) & 0x20, 0);
	out8(0x42, 0xe8);
	out8(0x42, 0x03);
	CHECK(WAIT_FOR(in8(0x61) & 0x20));
}

/* ---- PICs ---- */

/* The local APIC lets the PICs' interrupt through: LINT0 as ExtINT. */
static void use_pic(uint16_t unmasked)
{
	/* Some machines' PIT goes on as before until it gets a count; ICW1 forgets what it has
	 * requested. */
	start_pit(ONE_SHOT, 0xffff);
	pic_reset();
	count = 0;
	by_pic = true;
	for (unsigned int n = 0; n < 16; n++)
		handle((uint8_t)(PIC_VECTOR + n), take);
	apic_write(APIC_LINT0, 0x700);
	out8(PIC1 + 1, (uint8_t)~unmasked);
	out8(PIC2 + 1, (uint8_t)(~unmasked >> 8));
}

TEST(pic_one_shot, "8259A data sheet, 8254 data sheet mode 0: one interrupt")
{
	use_pic(1);
	start_pit(ONE_SHOT, 1000);
	CHECK(LET_IN(count == 1));
	CHECK_EQ(isr_inside, 1);
	nothing_comes();
}

TEST(pic_periodic, "8259A data sheet, 8254 data sheet mode 2: again and again")
{
	use_pic(1);
	start_pit(RATE_GENERATOR, 2000);
	CHECK(LET_IN(count >= 4));
	start_pit(ONE_SHOT, 0xffff);
}

TEST(pic_masked, "8259A data sheet, OCW1")
{
	use_pic(0);
	start_pit(ONE_SHOT, 100);
	nothing_comes();
	start_pit(ONE_SHOT, 0xffff);
}

TEST(pic_pending_in_irr, "8259A data sheet, OCW3: IRR shows a request that is masked")
{
	use_pic(0);
	start_pit(ONE_SHOT, 100);
	out8(PIC1, 0x0a);
	CHECK(WAIT_FOR(in8(PIC1) & 1));
	CHECK_EQ(count, 0);
}

TEST(pic_needs_eoi, "8259A data sheet, EOI: nothing of the same or lower priority before it")
{
	use_pic(1);
	handle(PIC_VECTOR, NULL);
	start_pit(RATE_GENERATOR, 2000);
	fault_expect();
	for (struct limit limit = limit_of(LIMIT_MS); !limit_passed(&limit);) {
		__asm__ volatile(TRY("sti; nop; nop; cli"));
		cli();
		out8(PIC1, 0x0b);
		if (in8(PIC1) & 1)
			break;
	}
	CHECK_EQ(fault_end().vector, PIC_VECTOR);
	handle(PIC_VECTOR, take);
	nothing_comes();
	out8(PIC1, 0x20);
	CHECK(LET_IN(count));
	start_pit(ONE_SHOT, 0xffff);
}

TEST(pic_mask_reads_back, "8259A data sheet, OCW1: IMR can be read at the odd port")
{
	out8(PIC1 + 1, 0xa5);
	out8(PIC2 + 1, 0x3c);
	CHECK_EQ(in8(PIC1 + 1), 0xa5);
	CHECK_EQ(in8(PIC2 + 1), 0x3c);
}

TEST(pic_cascade,
     "8259A data sheet, cascading: the second one's requests come by the first one's IR2")
{
	use_pic(1u << 8 | 1u << 2);
	out8(0x70, 0x8a);
	out8(0x71, 0x26); /* 1024 Hz */
	out8(0x70, 0x8b);
	out8(0x71, 0x42); /* periodic interrupt, 24 hours, binary */
	out8(0x70, 0x8c);
	in8(0x71);
	CHECK(LET_IN(count));
	CHECK_EQ(isr_inside & 4, 4);
	out8(0x70, 0x8b);
	out8(0x71, 0x02);
	out8(0x70, 0x8c);
	in8(0x71);
}

/* ---- I/O APIC ---- */

static void set_entry(unsigned int pin, uint32_t low)
{
	ioapic_write((uint8_t)(0x11 + 2 * pin), cpu_apic_id(0) << 24);
	ioapic_write((uint8_t)(0x10 + 2 * pin), low);
}

static void use_ioapic(void)
{
	count = 0;
	by_pic = false;
	handle(VECTOR, take);
}

TEST(ioapic_version, "82093AA data sheet 3.2.2: version 11H or above, entries less one")
{
	CHECK((ioapic_read(1) & 0xff) >= 0x11);
	CHECK((ioapic_read(1) >> 16 & 0xff) >= 23);
}

TEST(ioapic_entry_keeps, "82093AA data sheet 3.2.4; delivery status and remote IRR are read-only")
{
	ioapic_write(0x3e, MASKED | 0x5000 | LEVEL | ACTIVE_LOW | 0x77);
	CHECK_EQ(ioapic_read(0x3e), MASKED | LEVEL | ACTIVE_LOW | 0x77);
	ioapic_write(0x3f, 0xa5000000);
	CHECK_EQ(ioapic_read(0x3f) >> 24, 0xa5);
}

TEST(ioapic_edge, "82093AA data sheet 3.2.4: one interrupt for an edge")
{
	use_ioapic();
	start_pit(ONE_SHOT, 0xffff);
	set_entry(ioapic_pin(0), VECTOR);
	start_pit(ONE_SHOT, 1000);
	CHECK(LET_IN(count == 1));
	nothing_comes();
}

TEST(ioapic_masked,
     "82093AA data sheet 3.2.4: masked edges are lost or held, and do not come while masked")
{
	use_ioapic();
	set_entry(ioapic_pin(0), MASKED | VECTOR);
	start_pit(ONE_SHOT, 100);
	nothing_comes();
}

TEST(ioapic_periodic, "82093AA data sheet 3.2.4: every edge")
{
	use_ioapic();
	start_pit(RATE_GENERATOR, 2000);
	set_entry(ioapic_pin(0), VECTOR);
	CHECK(LET_IN(count >= 4));
	start_pit(ONE_SHOT, 0xffff);
}

TEST(ioapic_nmi, "82093AA data sheet 3.2.4: delivery mode NMI")
{
	use_ioapic();
	handle(NMI, take);
	start_pit(ONE_SHOT, 0xffff);
	set_entry(ioapic_pin(0), 0x400);
	start_pit(ONE_SHOT, 1000);
	CHECK(WAIT_FOR(count == 1));
}

/* ---- HPET ---- */

static uint64_t hpet(void)
{
	const uint8_t *table = acpi_table("HPET");

	if (!table)
		skip("a table HPET");
	return load64((uint64_t)table + 44);
}

TEST(hpet_capabilities,
     "HPET specification 2.3.4: a period of at most 100 ns, at least three comparators' count")
{
	uint64_t base = hpet(), period = load64(base) >> 32;

	CHECK(period > 0 && period <= 100000000);
	CHECK((load32(base) >> 8 & 0x1f) >= 1);
}

TEST(hpet_counts, "HPET specification 2.3.7")
{
	uint64_t base = hpet(), first;

	store32(base + 0x10, 1);
	first = load64(base + 0xf0);
	CHECK(WAIT_FOR(load64(base + 0xf0) > first));
}

TEST(hpet_halts, "HPET specification 2.3.5: with ENABLE_CNF clear it halts, and can be written")
{
	uint64_t base = hpet(), first;

	store32(base + 0x10, 0);
	store64(base + 0xf0, UINT64_C(0x123456789a));
	first = load64(base + 0xf0);
	CHECK_EQ(first, UINT64_C(0x123456789a));
	for (struct limit limit = limit_of(2); !limit_passed(&limit);)
		;
	CHECK_EQ(load64(base + 0xf0), first);
	store32(base + 0x10, 1);
}

/* ---- RTC ---- */

static uint8_t cmos(uint8_t index)
{
	out8(0x70, (uint8_t)(0x80 | index));
	return in8(0x71);
}

TEST(rtc_register_d, "MC146818 data sheet: VRT is set, the rest 0")
{
	CHECK_EQ(cmos(0xd) & 0x80, 0x80);
}

TEST(rtc_time_is_valid, "MC146818 data sheet: BCD or binary by register B")
{
	bool binary = cmos(0xb) & 4;
	static const uint8_t registers[] = { 0, 2, 4, 7, 8 }, most[] = { 59, 59, 23, 31, 12 };

	for (unsigned int n = 0; n < 5; n++) {
		unsigned int value, raw;

		CHECK(WAIT_FOR(!(cmos(0xa) & 0x80)));
		raw = cmos(registers[n]);
		if (registers[n] == 4 && !(cmos(0xb) & 2))
			raw &= 0x7f;
		CHECK(binary || ((raw & 0xf) < 10 && raw >> 4 < 10));
		value = binary ? raw : (raw >> 4) * 10 + (raw & 0xf);
		CHECK(value <= most[n]);
	}
}

TEST(rtc_periodic_flag,
     "MC146818 data sheet: PF in register C at the rate of register A; reading clears it")
{
	uint8_t a = cmos(0xa);
	bool came = false;

	out8(0x70, 0x8a);
	out8(0x71, 0x26);
	cmos(0xc);
	for (struct limit limit = limit_of(200); !came && !limit_passed(&limit);)
		came = cmos(0xc) & 0x40;
	out8(0x70, 0x8a);
	out8(0x71, a & 0x7f);
	CHECK(came);
}

TEST(cmos_keeps, "MC146818 data sheet: RAM")
{
	uint8_t before = cmos(0x7e);

	out8(0x70, 0xfe);
	out8(0x71, 0x5a);
	CHECK_EQ(cmos(0x7e), 0x5a);
	out8(0x70, 0xfe);
	out8(0x71, before);
}

/* ---- TSC and the ACPI timer ---- */

TEST(tsc_goes_on, "SDM Vol. 3B 17.17: it is never lower than before")
{
	uint64_t last = rdtsc();

	for (unsigned int n = 0; n < 5000; n++) {
		uint64_t now = rdtsc();

		if (n % 100 == 0)
			in8(0x61);
		CHECK(now >= last);
		last = now;
	}
}

TEST(acpi_timer_counts, "ACPI 4.8.2.1: 24 or 32 bits, 3.579545 MHz")
{
	const uint8_t *fadt = acpi_table("FACP");
	uint16_t port;
	uint32_t first;

	if (!fadt || !load32((uint64_t)fadt + 76))
		skip("PM_TMR_BLK in the FADT");
	port = (uint16_t)load32((uint64_t)fadt + 76);
	first = in32(port);
	CHECK(WAIT_FOR(in32(port) != first));
}
