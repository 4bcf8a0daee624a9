/* SPDX-License-Identifier: BSD-2-Clause */
/* What a GICv3 alone has (IHI 0069). */
#include "guest/aarch64/kernel.h"

#define ICC_IAR0               s3_0_c12_c8_0
#define ICC_EOIR0              s3_0_c12_c8_1
#define ICC_HPPIR0             s3_0_c12_c8_2
#define ICC_BPR0               s3_0_c12_c8_3
#define ICC_IAR1               s3_0_c12_c12_0
#define ICC_BPR1               s3_0_c12_c12_3
#define ICC_CTLR               s3_0_c12_c12_4
#define ICC_SRE                s3_0_c12_c12_5
#define ICC_IGRPEN0            s3_0_c12_c12_6
#define ICC_IGRPEN1            s3_0_c12_c12_7
#define ICC_SGI1R              s3_0_c12_c11_5
#define ICC_SGI0R              s3_0_c12_c11_7
#define icc_read(name)         read_sysreg(name)
#define icc_write(name, value) write_sysreg(name, value)

TEST(sre, "IHI 0069 12.2.26: ICC_SRE_EL1.SRE is 1 once system registers are used")
{
	need_gic(3);
	CHECK_EQ(icc_read(ICC_SRE) & 1, 1);
}

TEST(control,
     "IHI 0069 12.2.6: ICC_CTLR_EL1: EOImode is kept, PRIbits is 4 to 7, the rest read-only")
{
	uint64_t before;

	need_gic(3);
	before = icc_read(ICC_CTLR);
	CHECK(FIELD(before, 10, 8) >= 3);
	icc_write(ICC_CTLR, before | 2);
	CHECK_EQ(icc_read(ICC_CTLR), before | 2);
	icc_write(ICC_CTLR, before & ~UINT64_C(2));
	CHECK_EQ(icc_read(ICC_CTLR), before & ~UINT64_C(2));
}

TEST(affinity_routing, "IHI 0069 12.9.4: GICD_CTLR.ARE is 1")
{
	need_gic(3);
	CHECK_EQ(load32(machine.gicd + GICD_CTLR) >> 4 & 1, 1);
}

TEST(redistributors, "IHI 0069 12.11.36: GICR_TYPER: affinities, the last one is marked")
{
	unsigned int found = 0;
	uint64_t typer = 0;

	need_gic(3);
	for (uint64_t at = machine.gicr; at < machine.gicr + machine.gicr_bytes;) {
		uint64_t affinity;

		typer = load64(at + GICR_TYPER);
		affinity = FIELD(typer, 63, 56) << 32 | FIELD(typer, 55, 32);
		for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
			found += machine.mpidr[cpu] == affinity;
		CHECK(FIELD(load32(at + 0xffe8), 7, 4) >= 3);
		if (typer & BIT(4))
			break;
		at += typer & 2 ? 0x40000 : 0x20000;
	}
	CHECK_EQ(found, cpu_count());
	CHECK(typer & BIT(4));
}

TEST(redistributor_halves, "IHI 0069 12.11.36: GICR_TYPER can be read as two words")
{
	uint64_t at, typer;

	need_gic(3);
	at = gicr_of(0) + GICR_TYPER;
	typer = load64(at);
	CHECK_EQ(load32(at), typer & UINT32_MAX);
	CHECK_EQ(load32(at + 4), typer >> 32);
}

TEST(waker, "IHI 0069 12.11.40: awake: ProcessorSleep and ChildrenAsleep are 0")
{
	need_gic(3);
	CHECK_EQ(load32(gicr_of(0) + GICR_WAKER) & 6, 0);
}

TEST(router, "IHI 0069 12.9.22: GICD_IROUTER holds an affinity")
{
	unsigned int spi;
	uint64_t at;

	need_gic(3);
	spi = spare_spi(0);
	at = machine.gicd + GICD_IROUTER + 8 * spi;
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		irq_route(spi, cpu);
		CHECK_EQ(load64(at), machine.mpidr[cpu]);
	}
}

TEST(private_in_distributor,
     "IHI 0069 12.9.24: with ARE, SGIs and PPIs are RAZ/WI in the distributor")
{
	need_gic(3);
	store32(machine.gicd + GICD_ISENABLER, UINT32_MAX);
	CHECK_EQ(load32(machine.gicd + GICD_ISENABLER), 0);
	CHECK_EQ(load32(machine.gicd + GICD_IPRIORITYR), 0);
	CHECK_EQ(load32(gicr_of(0) + 0x10000 + GICD_ISENABLER), 0);
}

TEST(group0_register, "IHI 0069 12.2.14: ICC_IAR0_EL1 does not acknowledge one of Group 1")
{
	uint64_t acked;

	need_gic(3);
	irq_enable(3);
	sgi_send(3, 0);
	CHECK(irq_comes());
	acked = icc_read(ICC_IAR0) & 0xffffff;
	CHECK(acked >= 1020 && acked <= 1023);
	CHECK_EQ(irq_ack(), 3);
	irq_eoi(3);
}

TEST(group1_off, "IHI 0069 12.2.21: ICC_IGRPEN1_EL1 0: nothing is signalled")
{
	need_gic(3);
	irq_enable(3);
	icc_write(ICC_IGRPEN1, 0);
	sgi_send(3, 0);
	CHECK(irq_stays_away());
	CHECK(irq_bit(GICD_ISPENDR, 3));
	icc_write(ICC_IGRPEN1, 1);
	CHECK(irq_comes());
	irq_eoi(irq_ack());
}

TEST(group0_fiq, "IHI 0069 4.6: one of Group 0 comes as FIQ, and is acknowledged by ICC_IAR0_EL1")
{
	unsigned int spi;
	uint64_t group, at;

	need_gic(3);
	spi = spare_spi(0);
	at = machine.gicd + GICD_IGROUPR + spi / 32 * 4;
	group = load32(at);
	store32(at, (uint32_t)(group & ~BIT(spi % 32)));
	if (load32(at) >> spi % 32 & 1 || !(load32(machine.gicd + GICD_CTLR) & BIT(6)))
		skip("a single security state");
	store32(machine.gicd + GICD_CTLR, load32(machine.gicd + GICD_CTLR) | 1);
	icc_write(ICC_IGRPEN0, 1);
	irq_ready(spi);
	irq_set(GICD_ISPENDR, spi);
	CHECK(WAIT_FOR(read_sysreg(isr_el1) & BIT(6)));
	CHECK(!(read_sysreg(isr_el1) & BIT(7)));
	CHECK_EQ(icc_read(ICC_IAR0) & 0xffffff, spi);
	icc_write(ICC_EOIR0, spi);
	store32(at, (uint32_t)group);
}

TEST(sgi_nobody, "IHI 0069 12.2.19: a target that is not there: the SGI is dropped")
{
	need_gic(3);
	irq_enable(3);
	icc_write(ICC_SGI1R,
	          UINT64_C(0x77) << 48 | UINT64_C(0x66) << 32 | 0x55 << 16 | 3 << 24 | 1);
	CHECK(irq_stays_away());
	icc_write(ICC_SGI1R, 3 << 24); /* nobody in the list */
	CHECK(irq_stays_away());
}

TEST(sgi_group, "IHI 0069 12.2.18: ICC_SGI0R_EL1 does not send one that is in Group 1")
{
	need_gic(3);
	if (!(load32(machine.gicd + GICD_CTLR) & BIT(6)))
		skip("a single security state");
	irq_enable(3);
	icc_write(ICC_SGI0R,
	          FIELD(machine.mpidr[0], 15, 8) << 16 | 3 << 24 | BIT(machine.mpidr[0] & 15));
	CHECK(irq_stays_away());
}

TEST(binary_point_least,
     "IHI 0069 12.2.5: ICC_BPR1_EL1 has a smallest value, and holds larger ones")
{
	need_gic(3);
	icc_write(ICC_BPR1, 0);
	CHECK(icc_read(ICC_BPR1) <= 4);
	icc_write(ICC_BPR1, 7);
	CHECK_EQ(icc_read(ICC_BPR1), 7);
}

TEST(eoi_spurious, "IHI 0069 12.2.11: EOI of 1023 has no effect")
{
	need_gic(3);
	irq_enable(3);
	sgi_send(3, 0);
	CHECK(irq_comes());
	CHECK_EQ(irq_ack(), 3);
	irq_eoi(1023);
	CHECK_EQ(irq_running(), 0xa0);
	irq_eoi(3);
	CHECK_EQ(irq_running(), 0xff);
}

TEST(write_only,
     "IHI 0069 12.2: EOIR, DIR and SGIR cannot be read, IAR, HPPIR and RPR not be written")
{
	static const uint32_t write_only[] = { SYSREG(3, 0, 12, 12, 1), SYSREG(3, 0, 12, 11, 1),
		                               SYSREG(3, 0, 12, 11, 5), SYSREG(3, 0, 12, 8, 1) };
	static const uint32_t read_only[] = { SYSREG(3, 0, 12, 12, 0), SYSREG(3, 0, 12, 12, 2),
		                              SYSREG(3, 0, 12, 11, 3), SYSREG(3, 0, 12, 8, 0) };

	need_gic(3);
	for (unsigned int n = 0; n < 4; n++) {
		CHECK_FAULT(EC_UNKNOWN, 0, sysreg_read(write_only[n]));
		CHECK_FAULT(EC_UNKNOWN, 0, sysreg_write(read_only[n], 0));
	}
}
