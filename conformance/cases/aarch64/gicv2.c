/* SPDX-License-Identifier: BSD-2-Clause */
/* What a GICv2 alone has (IHI 0048). */
#include "guest/aarch64/kernel.h"

static uint32_t source_of(uint32_t acked)
{
	return acked >> 10 & 7;
}

TEST(interface_id, "IHI 0048 4.4.14: GICC_IIDR: architecture version 2")
{
	need_gic(2);
	CHECK_EQ(FIELD(load32(machine.gicc + GICC_IIDR), 19, 16), 2);
}

TEST(targets_own, "IHI 0048 4.3.12: GICD_ITARGETSR0 to 7 are read-only, and say which CPU reads")
{
	uint32_t before;

	need_gic(2);
	before = load32(machine.gicd + GICD_ITARGETSR);
	if (cpu_count() > 1) {
		CHECK(before & 0xff && !((before & 0xff) & ((before & 0xff) - 1)));
		CHECK_EQ(before, (before & 0xff) * 0x01010101);
	}
	store32(machine.gicd + GICD_ITARGETSR, ~before);
	CHECK_EQ(load32(machine.gicd + GICD_ITARGETSR), before);
}

TEST_SMP(targets_kept, 2,
         "IHI 0048 4.3.12: those of SPIs hold what is written, for CPUs that are there")
{
	unsigned int spi;

	need_gic(2);
	spi = spare_spi(0);
	for (unsigned int cpu = 0; cpu < 2; cpu++) {
		irq_route(spi, cpu);
		CHECK(load8(machine.gicd + GICD_ITARGETSR + spi) != 0);
	}
	store8(machine.gicd + GICD_ITARGETSR + spi, 0);
	CHECK_EQ(load8(machine.gicd + GICD_ITARGETSR + spi), 0);
}

TEST(targets_none, "IHI 0048 4.3.12: with no target an SPI does not come")
{
	unsigned int spi;

	need_gic(2);
	if (cpu_count() == 1)
		skip("two CPUs: of one the targets are RAZ/WI");
	spi = spare_spi(0);
	irq_ready(spi);
	store8(machine.gicd + GICD_ITARGETSR + spi, 0);
	irq_set(GICD_ISPENDR, spi);
	CHECK(irq_stays_away());
}

TEST(sgi_self_filter, "IHI 0048 4.3.15: TargetListFilter 0b10: the sender")
{
	need_gic(2);
	irq_enable(3);
	store32(machine.gicd + GICD_SGIR, 2 << 24 | 3);
	CHECK(irq_comes());
	CHECK_EQ(irq_ack() & 0x3ff, 3);
	irq_eoi(3);
}

TEST(sgi_pending_registers, "IHI 0048 4.3.16, 4.3.17: SPENDSGIR and CPENDSGIR")
{
	uint32_t acked;

	need_gic(2);
	irq_enable(8);
	store8(machine.gicd + 0xf20 + 8, 1);
	CHECK(irq_comes());
	CHECK_EQ(load8(machine.gicd + 0xf10 + 8), 1);
	store8(machine.gicd + 0xf10 + 8, 1);
	CHECK(WAIT_FOR(!(read_sysreg(isr_el1) & BIT(7))));
	CHECK_EQ(load8(machine.gicd + 0xf20 + 8), 0);
	store8(machine.gicd + 0xf20 + 8, 1);
	acked = irq_ack();
	CHECK_EQ(acked & 0x3ff, 8);
	CHECK_EQ(source_of(acked), 0);
	irq_eoi(acked);
}

static void send_to_first(void *argument)
{
	sgi_send(11, 0);
}

TEST_SMP(sgi_source, 2, "IHI 0048 4.4.4: GICC_IAR has the sender's number")
{
	need_gic(2);
	irq_enable(11);
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		uint32_t acked;

		start_cpu(cpu, send_to_first, NULL);
		wait_cpu(cpu);
		CHECK(irq_comes());
		acked = irq_ack();
		CHECK_EQ(acked & 0x3ff, 11);
		CHECK_EQ(source_of(acked), cpu);
		irq_eoi(acked);
	}
}

TEST_SMP(sgi_sources_apart, 2, "IHI 0048 2.2.1: of two senders the same SGI comes twice")
{
	unsigned int seen = 0;

	need_gic(2);
	irq_enable(11);
	sgi_send(11, 0);
	start_cpu(1, send_to_first, NULL);
	wait_cpu(1);
	for (unsigned int n = 0; n < 2; n++) {
		uint32_t acked;

		CHECK(irq_comes());
		acked = irq_ack();
		CHECK_EQ(acked & 0x3ff, 11);
		seen |= 1u << source_of(acked);
		irq_eoi(acked);
	}
	CHECK_EQ(seen, 3);
	CHECK(irq_stays_away());
}

TEST(interface_off, "IHI 0048 4.4.1: GICC_CTLR.Enable 0: nothing is signalled")
{
	need_gic(2);
	irq_enable(3);
	store32(machine.gicc + GICC_CTLR, 0);
	sgi_send(3, 0);
	CHECK(irq_stays_away());
	store32(machine.gicc + GICC_CTLR, 1);
	CHECK(irq_comes());
	irq_eoi(irq_ack());
}

TEST(fast, "IHI 0048 2.3: with FIQEn a Group 0 interrupt comes as FIQ")
{
	unsigned int spi;

	need_gic(2);
	spi = spare_spi(0);
	store32(machine.gicc + GICC_CTLR, 1 | 8);
	if (!(load32(machine.gicc + GICC_CTLR) & 8))
		skip("GICC_CTLR.FIQEn");
	irq_ready(spi);
	irq_set(GICD_ISPENDR, spi);
	CHECK(WAIT_FOR(read_sysreg(isr_el1) & BIT(6)));
	CHECK(!(read_sysreg(isr_el1) & BIT(7)));
	irq_eoi(irq_ack());
}
