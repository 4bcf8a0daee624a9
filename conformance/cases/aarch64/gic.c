/* SPDX-License-Identifier: BSD-2-Clause */
/* What GICv2 (IHI 0048) and GICv3 (IHI 0069) have in common. */
#include "guest/aarch64/kernel.h"

#define UARTIMSC 0x38u
#define UARTRIS  0x3cu
#define UARTICR  0x44u
#define UART_TX  BIT(5)

static uint8_t load_priority(unsigned int intid)
{
	return load8(gic_bank(intid) + GICD_IPRIORITYR + intid);
}

/* ---- Distributor ---- */

TEST(version, "IHI 0048 4.3.18, IHI 0069 12.9.31: GICD_PIDR2.ArchRev")
{
	need_gic(0);
	if (machine.gic_version == 2)
		CHECK_EQ(FIELD(load32(machine.gicd + 0xfe8), 7, 4), 2);
	else
		CHECK(FIELD(load32(machine.gicd + 0xffe8), 7, 4) >= 3);
}

TEST(cpu_number, "IHI 0048 4.3.2, IHI 0069 12.9.38: GICD_TYPER.CPUNumber")
{
	need_gic(2);
	CHECK(FIELD(load32(machine.gicd + GICD_TYPER), 7, 5) + 1 >= cpu_count());
}

TEST(enable_bits, "IHI 0069 12.9.9, 12.9.24: ISENABLER sets, ICENABLER clears; both read alike")
{
	unsigned int spi = spare_spi(0), other = spare_spi(1);

	CHECK(!irq_bit(GICD_ISENABLER, spi));
	irq_set(GICD_ISENABLER, spi);
	CHECK(irq_bit(GICD_ISENABLER, spi));
	CHECK(irq_bit(GICD_ICENABLER, spi));
	CHECK(!irq_bit(GICD_ISENABLER, other));
	/* Zeros have no effect. */
	store32(gic_bank(spi) + GICD_ISENABLER + spi / 32 * 4, 0);
	store32(gic_bank(spi) + GICD_ICENABLER + spi / 32 * 4, 0);
	CHECK(irq_bit(GICD_ISENABLER, spi));
	irq_set(GICD_ICENABLER, spi);
	CHECK(!irq_bit(GICD_ISENABLER, spi));
	CHECK(!irq_bit(GICD_ICENABLER, spi));
}

TEST(pending_bits, "IHI 0069 12.9.12, 12.9.27: ISPENDR sets, ICPENDR clears; both read alike")
{
	unsigned int spi = spare_spi(0);

	irq_edge(spi, true);
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_bit(GICD_ISPENDR, spi));
	CHECK(irq_bit(GICD_ICPENDR, spi));
	irq_set(GICD_ICPENDR, spi);
	CHECK(!irq_bit(GICD_ISPENDR, spi));
	CHECK(irq_stays_away());
}

TEST(active_bits, "IHI 0069 12.9.6, 12.9.22: ISACTIVER sets, ICACTIVER clears; both read alike")
{
	unsigned int spi = spare_spi(0);

	irq_set(GICD_ISACTIVER, spi);
	CHECK(irq_bit(GICD_ISACTIVER, spi));
	CHECK(irq_bit(GICD_ICACTIVER, spi));
	irq_set(GICD_ICACTIVER, spi);
	CHECK(!irq_bit(GICD_ISACTIVER, spi));
}

TEST(priority_bits, "IHI 0069 4.8: at least the upper 4 bits of a priority are there")
{
	unsigned int spi = spare_spi(0);

	for (unsigned int priority = 0; priority < 0x100; priority += 0x10) {
		irq_priority(spi, (uint8_t)priority);
		CHECK_EQ(load_priority(spi), priority);
	}
	irq_priority(spi, 0xff);
	CHECK_EQ(load_priority(spi) & 0xf0, 0xf0);
}

TEST(priority_words, "IHI 0069 12.9.20: IPRIORITYR by byte and by word")
{
	unsigned int spi = spare_spi(7) & ~3u;
	uint64_t at = machine.gicd + GICD_IPRIORITYR + spi;

	store32(at, 0x40302010);
	for (unsigned int n = 0; n < 4; n++)
		CHECK_EQ(load8(at + n), 0x10 * (n + 1));
	store8(at + 2, 0xc0);
	CHECK_EQ(load32(at), 0x40c02010);
}

TEST(configuration, "IHI 0069 12.9.17: ICFGR: SPIs are what they are set to, SGIs edge-triggered")
{
	unsigned int spi = spare_spi(0);
	uint64_t at = machine.gicd + GICD_ICFGR + spi / 16 * 4;
	unsigned int bit = spi % 16 * 2 + 1;

	irq_edge(spi, true);
	CHECK_EQ(load32(at) >> bit & 1, 1);
	irq_edge(spi, false);
	CHECK_EQ(load32(at) >> bit & 1, 0);
	CHECK_EQ(load32(gic_bank(0) + GICD_ICFGR) & 0xaaaaaaaa, 0xaaaaaaaa);
}

TEST(beyond_lines, "IHI 0069 12.9.9: bits of interrupts that are not there are RAZ/WI")
{
	unsigned int words;

	need_gic(0);
	words = (unsigned int)FIELD(load32(machine.gicd + GICD_TYPER), 4, 0) + 1;
	if (words >= 31)
		skip("a distributor of fewer than 992 interrupts");
	store32(machine.gicd + GICD_ISENABLER + words * 4, UINT32_MAX);
	CHECK_EQ(load32(machine.gicd + GICD_ISENABLER + words * 4), 0);
	CHECK_EQ(load32(machine.gicd + GICD_ISPENDR + words * 4), 0);
}

/* ---- Delivery ---- */

TEST(spurious, "IHI 0069 2.2.1: 1023 if nothing is pending")
{
	need_gic(0);
	CHECK_EQ(irq_ack() & 0x3ff, GIC_SPURIOUS);
	CHECK_EQ(irq_highest() & 0x3ff, GIC_SPURIOUS);
	CHECK_EQ(irq_running(), 0xff);
}

TEST(sgi_self, "IHI 0069 4.1: pending, active, inactive")
{
	uint32_t acked;

	need_gic(0);
	irq_enable(5);
	sgi_send(5, 0);
	CHECK(irq_comes());
	CHECK(irq_bit(GICD_ISPENDR, 5));
	acked = irq_take(HERE, 5);
	CHECK(irq_bit(GICD_ISACTIVER, 5));
	CHECK(!irq_bit(GICD_ISPENDR, 5));
	CHECK(irq_stays_away());
	irq_eoi(acked);
	CHECK(!irq_bit(GICD_ISACTIVER, 5));
	CHECK_EQ(irq_ack() & 0x3ff, GIC_SPURIOUS);
}

TEST(sgi_each, "IHI 0069 4.4: SGIs 0 to 15")
{
	need_gic(0);
	for (unsigned int n = 0; n < 16; n++) {
		irq_enable(n);
		sgi_send(n, 0);
		irq_eoi(irq_take(HERE, n));
	}
}

TEST(sgi_merges, "IHI 0069 4.1: a second one while it is pending is the same")
{
	need_gic(0);
	irq_enable(2);
	sgi_send(2, 0);
	sgi_send(2, 0);
	irq_eoi(irq_take(HERE, 2));
	CHECK(irq_stays_away());
}

TEST(sgi_active_pending, "IHI 0069 4.1: one that comes while it is active comes after")
{
	uint32_t acked;

	need_gic(0);
	irq_enable(2);
	sgi_send(2, 0);
	acked = irq_take(HERE, 2);
	sgi_send(2, 0);
	CHECK(irq_stays_away());
	CHECK(irq_bit(GICD_ISPENDR, 2));
	CHECK(irq_bit(GICD_ISACTIVER, 2));
	irq_eoi(acked);
	irq_eoi(irq_take(HERE, 2));
	CHECK(irq_stays_away());
}

TEST(disabled, "IHI 0069 4.1: a disabled interrupt is pending, and comes when it is enabled")
{
	unsigned int spi = spare_spi(0);

	irq_edge(spi, true);
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_stays_away());
	irq_enable(spi);
	irq_eoi(irq_take(HERE, spi));
}

TEST(disabled_again, "IHI 0069 4.1: disabled while it is pending, it is not signalled")
{
	unsigned int spi = spare_spi(0);

	irq_ready(spi);
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_comes());
	irq_set(GICD_ICENABLER, spi);
	CHECK(WAIT_FOR(!(read_sysreg(isr_el1) & BIT(7))));
	CHECK_EQ(irq_ack() & 0x3ff, GIC_SPURIOUS);
	CHECK(irq_bit(GICD_ISPENDR, spi));
}

TEST(withdrawn, "IHI 0069 12.9.12: ICPENDR takes back what is signalled")
{
	unsigned int spi = spare_spi(0);

	irq_ready(spi);
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_comes());
	irq_set(GICD_ICPENDR, spi);
	CHECK(WAIT_FOR(!(read_sysreg(isr_el1) & BIT(7))));
	CHECK_EQ(irq_ack() & 0x3ff, GIC_SPURIOUS);
}

TEST(spi_edge, "IHI 0069 4.1.2: pended by ISPENDR, once")
{
	unsigned int spi = spare_spi(0);
	uint32_t acked;

	irq_ready(spi);
	irq_set(GICD_ISPENDR, spi);
	acked = irq_take(HERE, spi);
	CHECK(irq_bit(GICD_ISACTIVER, spi));
	CHECK(!irq_bit(GICD_ISPENDR, spi));
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_bit(GICD_ISPENDR, spi));
	irq_eoi(acked);
	irq_eoi(irq_take(HERE, spi));
	CHECK(irq_stays_away());
}

TEST(ppi, "IHI 0069 12.11.28: a PPI pended by ISPENDR0")
{
	need_gic(0);
	irq_edge(20, true);
	if (!(load32(gic_bank(20) + GICD_ICFGR + 4) >> 9 & 1))
		skip("a PPI that can be edge-triggered");
	irq_enable(20);
	irq_set(GICD_ISPENDR, 20);
	irq_eoi(irq_take(HERE, 20));
}

TEST(active_set, "IHI 0069 12.9.22: an interrupt that ISACTIVER made active does not come")
{
	unsigned int spi = spare_spi(0);

	irq_ready(spi);
	irq_set(GICD_ISACTIVER, spi);
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_stays_away());
	irq_set(GICD_ICACTIVER, spi);
	irq_eoi(irq_take(HERE, spi));
}

/* ---- Priorities ---- */

TEST(priority_mask, "IHI 0069 4.8: signalled if its priority is higher than the mask")
{
	unsigned int spi = spare_spi(0);

	irq_ready(spi);
	irq_priority(spi, 0xa0);
	irq_mask_priority(0xa0);
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_stays_away());
	irq_mask_priority(0xb0);
	irq_eoi(irq_take(HERE, spi));
}

TEST(priority_mask_later, "IHI 0069 4.8: the mask goes for what is signalled already")
{
	unsigned int spi = spare_spi(0);

	irq_ready(spi);
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_comes());
	irq_mask_priority(0x10);
	CHECK(WAIT_FOR(!(read_sysreg(isr_el1) & BIT(7))));
	CHECK_EQ(irq_ack() & 0x3ff, GIC_SPURIOUS);
}

TEST(higher_first, "IHI 0069 4.8: the highest priority first")
{
	unsigned int low = spare_spi(0), high = spare_spi(1);

	irq_ready(low);
	irq_ready(high);
	irq_priority(low, 0xc0);
	irq_priority(high, 0x40);
	irq_set(GICD_ISPENDR, low);
	irq_set(GICD_ISPENDR, high);
	CHECK(WAIT_FOR((irq_highest() & 0x3ff) == high));
	irq_eoi(irq_take(HERE, high));
	irq_eoi(irq_take(HERE, low));
}

TEST(many, "IHI 0069 4.8: six at once come in the order of their priorities")
{
	for (unsigned int n = 0; n < 6; n++) {
		unsigned int spi = spare_spi(n);

		irq_ready(spi);
		irq_priority(spi, (uint8_t)(0x20 + 0x20 * ((n * 5 + 2) % 6)));
		irq_set(GICD_ISPENDR, spi);
	}
	for (unsigned int rank = 0; rank < 6; rank++)
		for (unsigned int n = 0; n < 6; n++)
			if ((n * 5 + 2) % 6 == rank)
				irq_eoi(irq_take(HERE, spare_spi(n)));
	CHECK(irq_stays_away());
}

TEST(many_active, "IHI 0069 4.8: six nested in one another")
{
	uint32_t acked[6];

	for (unsigned int n = 0; n < 6; n++) {
		unsigned int spi = spare_spi(n);

		irq_ready(spi);
		irq_priority(spi, (uint8_t)(0xe0 - 0x20 * n));
		irq_set(GICD_ISPENDR, spi);
		acked[n] = irq_take(HERE, spi);
		CHECK_EQ(irq_running(), 0xe0 - 0x20 * n);
	}
	for (unsigned int n = 6; n-- > 0;) {
		CHECK(irq_bit(GICD_ISACTIVER, spare_spi(n)));
		irq_eoi(acked[n]);
		CHECK(!irq_bit(GICD_ISACTIVER, spare_spi(n)));
	}
	CHECK_EQ(irq_running(), 0xff);
}

TEST(preemption, "IHI 0069 4.8: a higher priority preempts; the running priority comes back")
{
	unsigned int low = spare_spi(0), high = spare_spi(1);
	uint32_t first, second;

	irq_ready(low);
	irq_ready(high);
	irq_priority(low, 0xa0);
	irq_priority(high, 0x40);
	irq_set(GICD_ISPENDR, low);
	first = irq_take(HERE, low);
	CHECK_EQ(irq_running(), 0xa0);
	irq_set(GICD_ISPENDR, high);
	second = irq_take(HERE, high);
	CHECK_EQ(irq_running(), 0x40);
	irq_eoi(second);
	CHECK_EQ(irq_running(), 0xa0);
	irq_eoi(first);
	CHECK_EQ(irq_running(), 0xff);
}

TEST(no_preemption, "IHI 0069 4.8: one of the same or a lower priority waits")
{
	unsigned int first = spare_spi(0), second = spare_spi(1);
	uint32_t acked;

	irq_ready(first);
	irq_ready(second);
	irq_set(GICD_ISPENDR, first);
	acked = irq_take(HERE, first);
	irq_set(GICD_ISPENDR, second);
	CHECK(irq_stays_away());
	CHECK_EQ(irq_ack() & 0x3ff, GIC_SPURIOUS);
	irq_eoi(acked);
	irq_eoi(irq_take(HERE, second));
}

TEST(binary_point,
     "IHI 0048 3.3.3, IHI 0069 4.8.2: priorities of one group do not preempt each other")
{
	unsigned int low = spare_spi(0), high = spare_spi(1);
	uint32_t first;

	irq_binary_point(7);
	irq_ready(low);
	irq_ready(high);
	irq_priority(low, 0xa0);
	irq_priority(high, 0x90);
	irq_set(GICD_ISPENDR, low);
	first = irq_take(HERE, low);
	irq_set(GICD_ISPENDR, high);
	CHECK(irq_stays_away());
	irq_eoi(first);
	irq_eoi(irq_take(HERE, high));
}

TEST(split_eoi, "IHI 0069 4.1.1: EOImode 1: EOIR drops the priority, DIR deactivates")
{
	unsigned int spi = spare_spi(0);
	uint32_t acked;

	irq_eoi_mode(true);
	irq_ready(spi);
	irq_set(GICD_ISPENDR, spi);
	acked = irq_take(HERE, spi);
	irq_set(GICD_ISPENDR, spi);
	irq_eoi(acked);
	CHECK_EQ(irq_running(), 0xff);
	CHECK(irq_bit(GICD_ISACTIVER, spi));
	CHECK(irq_stays_away());
	irq_deactivate(acked);
	CHECK(!irq_bit(GICD_ISACTIVER, spi));
	acked = irq_take(HERE, spi);
	irq_eoi(acked);
	irq_deactivate(acked);
}

TEST(split_eoi_order, "IHI 0069 4.1.1: EOImode 1: deactivated in any order")
{
	unsigned int one = spare_spi(0), two = spare_spi(1);
	uint32_t first, second;

	irq_eoi_mode(true);
	irq_ready(one);
	irq_ready(two);
	irq_set(GICD_ISPENDR, one);
	first = irq_take(HERE, one);
	irq_eoi(first);
	irq_set(GICD_ISPENDR, two);
	second = irq_take(HERE, two);
	irq_eoi(second);
	irq_deactivate(first);
	CHECK(!irq_bit(GICD_ISACTIVER, one));
	CHECK(irq_bit(GICD_ISACTIVER, two));
	irq_deactivate(second);
	CHECK(!irq_bit(GICD_ISACTIVER, two));
}

TEST(distributor_off, "IHI 0069 12.9.4: GICD_CTLR without a group: nothing is signalled")
{
	unsigned int spi = spare_spi(0);
	uint32_t control = load32(machine.gicd + GICD_CTLR);

	irq_ready(spi);
	store32(machine.gicd + GICD_CTLR, control & ~3u);
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_stays_away());
	store32(machine.gicd + GICD_CTLR, control);
	irq_eoi(irq_take(HERE, spi));
}

TEST(taken, "Arm ARM D1.3.6: an IRQ is taken when PSTATE.I is cleared")
{
	need_gic(0);
	irq_count_on();
	irq_enable(7);
	sgi_send(7, 0);
	CHECK(irq_comes());
	CHECK_EQ(irq_counts[0][7], 0);
	unmask_irq();
	CHECK(WAIT_FOR(irq_counts[0][7]));
	mask_irq();
	CHECK_EQ(irq_counts[0][7], 1);
}

TEST(level, "IHI 0069 4.1.2: a level-sensitive interrupt comes again until the device is quiet")
{
	unsigned int spi = machine.uart_irq;

	need_gic(0);
	if (!spi)
		skip("the PL011's interrupt");
	note("for the PL011 to have sent something");
	if (!WAIT_FOR(load32(machine.uart + UARTRIS) & UART_TX))
		skip("the PL011's transmit interrupt");
	irq_enable(spi);
	irq_route(spi, 0);
	CHECK(irq_stays_away());
	store32(machine.uart + UARTIMSC, UART_TX);
	irq_eoi(irq_take(HERE, spi));
	irq_eoi(irq_take(HERE, spi));
	CHECK(irq_bit(GICD_ISPENDR, spi));
	store32(machine.uart + UARTIMSC, 0);
	CHECK(WAIT_FOR(!irq_bit(GICD_ISPENDR, spi)));
	CHECK(irq_stays_away());
}

/* ---- Other CPUs ---- */

static volatile bool ready, over;

static void take_interrupts(void *argument)
{
	for (unsigned int n = 0; n < 16; n++)
		irq_enable(n);
	ready = true;
	/* Asleep, so that many CPUs do not keep each other from running. */
	while (!over) {
		wfi();
		unmask_irq();
		mask_irq();
	}
}

static void start_takers(void)
{
	irq_count_on();
	over = false;
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		ready = false;
		start_cpu(cpu, take_interrupts, NULL);
		CHECK(WAIT_FOR(ready));
	}
}

static void end_takers(void)
{
	over = true;
	sgi_send_others(15);
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++)
		wait_cpu(cpu);
}

TEST_SMP(sgi_other, 2, "IHI 0069 4.4: an SGI for one CPU comes to that alone")
{
	need_gic(0);
	start_takers();
	irq_enable(4);
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		sgi_send(4, cpu);
		CHECK(WAIT_FOR(irq_counts[cpu][4]));
	}
	CHECK(irq_stays_away());
	end_takers();
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++)
		CHECK_EQ(irq_counts[cpu][4], 1);
}

TEST_SMP(sgi_all_others, 2, "IHI 0069 12.2.18: to all but the sender")
{
	need_gic(0);
	start_takers();
	irq_enable(6);
	sgi_send_others(6);
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++)
		CHECK(WAIT_FOR(irq_counts[cpu][6]));
	CHECK(irq_stays_away());
	end_takers();
}

TEST_SMP(sgi_many, 2, "IHI 0069 4.4: one after the other, many times")
{
	need_gic(0);
	start_takers();
	for (unsigned int n = 0; n < 300; n++) {
		sgi_send(n % 15, 1);
		CHECK(WAIT_FOR(irq_counts[1][n % 15] == n / 15 + 1));
	}
	end_takers();
}

TEST_SMP(spi_other, 2, "IHI 0069 12.9.22, IHI 0048 4.3.12: an SPI comes to the CPU it is routed to")
{
	unsigned int spi = spare_spi(0);

	start_takers();
	irq_ready(spi);
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		irq_route(spi, cpu);
		irq_set(GICD_ISPENDR, spi);
		CHECK(WAIT_FOR(irq_counts[cpu][spi]));
		CHECK_EQ(irq_counts[cpu][spi], 1);
	}
	irq_route(spi, 0);
	irq_set(GICD_ISPENDR, spi);
	irq_eoi(irq_take(HERE, spi));
	end_takers();
}

static void see_priority(void *argument)
{
	*(uint64_t *)argument = load_priority(9);
}

/* Whether SGIs can be disabled is not said; their priorities can be set. */
TEST_SMP(banked, 2, "IHI 0069 12.1.2: SGIs' and PPIs' registers are each CPU's own")
{
	static uint64_t seen;

	need_gic(0);
	irq_priority(9, 0x20);
	start_cpu(1, see_priority, &seen);
	wait_cpu(1);
	CHECK_EQ(seen, 0xa0);
	CHECK_EQ(load_priority(9), 0x20);
}
