/* SPDX-License-Identifier: BSD-2-Clause */
/* GICv3 (IHI 0069): system registers, a distributor with affinity routing, redistributors. */
#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/aarch64/gic_driver.h"
#include "platform/board/paging.h"

#define CTLR_RWP          HC_BIT(31)
#define CTLR_ARE          HC_BIT(4) /* ARE_NS, or ARE with one security state */
#define CTLR_ENABLE_GRP1A HC_BIT(1)
#define CTLR_ENABLE_GRP1  HC_BIT(0)
#define GICD_IROUTER      0x6000
#define GICD_PIDR2        0xffe8

/* Redistributor: RD_base, SGI_base, and two more frames with virtual LPIs (12.10). */
#define FRAME             UINT64_C(0x10000)
#define GICR_CTLR         0x0
#define GICR_TYPER        0x8
#define GICR_WAKER        0x14
#define CTLR_RD_RWP       HC_BIT(3)
#define TYPER_VLPIS       HC_BIT(1)
#define TYPER_LAST        HC_BIT(4)
#define WAKER_SLEEP       HC_BIT(1)
#define WAKER_CHILDREN    HC_BIT(2)
#define PATIENCE          10000000u /* rounds of waiting for the controller */
#define SRE_ALL           0xf       /* SRE, no FIQ or IRQ bypass, EL1 may use its own */
#define ICC_CTLR_EOI_MODE HC_BIT(1)
#define SGI1R_INTID_SHIFT 24
#define INTID_MASK        0xffffffu

static volatile uint8_t *dist;

static struct {
	volatile uint8_t *base;
	uint64_t size;
} regions[BOARD_TREE_REDISTS];
static unsigned region_count;
static uint64_t stride;

/* Where ACPI has no regions it names each CPU's own. */
static const struct board_tree *machine;

static int wait_clear(const volatile uint8_t *base, uint64_t offset, uint32_t bits)
{
	for (unsigned i = 0; i < PATIENCE; i++)
		if (!(mmio_read32(base + offset) & bits))
			return 0;
	return -ETIMEDOUT;
}

static int init(const struct board_tree *tree)
{
	const struct board_gic *g = &tree->gic;

	dist = paging_window(hpa_of(g->dist), FRAME, PAGING_UNCACHED);
	if (!dist)
		return hc_error(-ENOMEM, "no memory to map the GIC's distributor");
	for (unsigned i = 0; i < g->redist_count; i++) {
		regions[i].base = paging_window(hpa_of(g->redists[i].base), g->redists[i].size,
		                                PAGING_UNCACHED);
		regions[i].size = g->redists[i].size;
		if (!regions[i].base)
			return hc_error(-ENOMEM, "no memory to map the GIC's redistributors");
	}
	region_count = g->redist_count;
	stride = g->redist_stride;
	machine = tree;
	/* Affinity routing is changed with everything disabled (12.9.4). */
	mmio_write32(dist + GICD_CTLR, 0);
	if (wait_clear(dist, GICD_CTLR, CTLR_RWP))
		return hc_error(-ENODEV, "the GIC's distributor cannot be disabled");
	mmio_write32(dist + GICD_CTLR, CTLR_ARE);
	if (!(mmio_read32(dist + GICD_CTLR) & CTLR_ARE))
		return hc_error(-ENODEV, "the GIC has no affinity routing");
	return 0;
}

static void enable(void)
{
	wait_clear(dist, GICD_CTLR, CTLR_RWP);
	mmio_write32(dist + GICD_CTLR, CTLR_ARE | CTLR_ENABLE_GRP1A | CTLR_ENABLE_GRP1);
	wait_clear(dist, GICD_CTLR, CTLR_RWP);
}

/* Aff3..Aff0 as the high half of GICR_TYPER has them. */
static uint32_t packed_affinity(uint64_t mpidr)
{
	return (uint32_t)((mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff));
}

static volatile uint8_t *find_in(volatile uint8_t *base, uint64_t size, uint32_t affinity)
{
	for (uint64_t at = 0; size >= 2 * FRAME && at <= size - 2 * FRAME;) {
		uint64_t typer = mmio_read64(base + at + GICR_TYPER);

		if (typer >> 32 == affinity)
			return base + at;
		if (typer & TYPER_LAST)
			break;
		at += stride ? stride : typer & TYPER_VLPIS ? 4 * FRAME : 2 * FRAME;
	}
	return NULL;
}

static volatile uint8_t *find_listed(uint64_t mpidr)
{
	for (unsigned i = 0; i < machine->cpu_count; i++) {
		const struct board_tree_cpu *c = &machine->cpus[i];
		volatile uint8_t *base;

		if (c->mpidr != mpidr || !c->redist)
			continue;
		base = paging_window(hpa_of(c->redist), 2 * FRAME, PAGING_UNCACHED);
		return base ? find_in(base, 2 * FRAME, packed_affinity(mpidr)) : NULL;
	}
	return NULL;
}

/* 9.1: a sleeping redistributor lets nothing through. */
static int wake(volatile uint8_t *rd)
{
	mmio_write32(rd + GICR_WAKER, mmio_read32(rd + GICR_WAKER) & ~(uint32_t)WAKER_SLEEP);
	return wait_clear(rd, GICR_WAKER, WAKER_CHILDREN);
}

static int find_cpu(struct board_cpu *c)
{
	volatile uint8_t *rd = find_listed(c->cpu.hw_id);

	for (unsigned i = 0; i < region_count && !rd; i++)
		rd = find_in(regions[i].base, regions[i].size, packed_affinity(c->cpu.hw_id));
	if (!rd)
		return hc_error(-ENODEV, "cpu %u: no redistributor has its affinity 0x%llx",
		                c->cpu.id, (unsigned long long)c->cpu.hw_id);
	c->redist = rd;
	if (wake(rd))
		return hc_error(-ENODEV, "cpu %u: its redistributor does not wake up", c->cpu.id);
	return 0;
}

static int init_cpu(struct board_cpu *c)
{
	WRITE_SYSREG(ICC_SRE_EL2, SRE_ALL);
	isb();
	if (!(READ_SYSREG(ICC_SRE_EL2) & 1))
		return hc_error(-ENODEV, "cpu %u: the GIC's system registers are disabled by EL3",
		                c->cpu.id);
	WRITE_SYSREG(ICC_PMR_EL1, 0xff);
	WRITE_SYSREG(ICC_BPR1_EL1, 0);
	WRITE_SYSREG(ICC_CTLR_EL1, ICC_CTLR_EOI_MODE);
	WRITE_SYSREG(ICC_IGRPEN1_EL1, 1);
	isb();
	return 0;
}

static uint32_t acknowledge(void)
{
	uint32_t intid = (uint32_t)READ_SYSREG(ICC_IAR1_EL1);

	/* 4.1.1: what follows must see the acknowledgement's effects. */
	dsb_sy();
	return intid & INTID_MASK;
}

static void drop(uint32_t acknowledged)
{
	WRITE_SYSREG(ICC_EOIR1_EL1, acknowledged);
	isb();
}

static void deactivate(uint32_t acknowledged)
{
	WRITE_SYSREG(ICC_DIR_EL1, acknowledged);
	isb();
}

static void send_sgi(const struct board_cpu *c, enum gic_sgi sgi)
{
	uint64_t m = c->cpu.hw_id;
	uint64_t to = (m >> 32 & 0xff) << 48 | (m >> 16 & 0xff) << 32 | (m >> 8 & 0xff) << 16;

	/* 12.2.21: sixteen CPUs by a list, of which RS says the range. */
	to |= (m >> 4 & 0xf) << 44 | HC_BIT(m & 0xf);
	/* What was written for the other CPU must be seen before the interrupt is. */
	__asm__ volatile("dsb ishst" : : : "memory");
	WRITE_SYSREG(ICC_SGI1R_EL1, to | (uint64_t)sgi << SGI1R_INTID_SHIFT);
	isb();
}

static void target_this_cpu(unsigned spi)
{
	mmio_write64(dist + GICD_IROUTER + UINT64_C(8) * spi, this_cpu()->cpu.hw_id);
}

/* RD_base of the calling CPU. */
static volatile uint8_t *own_frame(void)
{
	return this_cpu()->redist;
}

static volatile uint8_t *bank(unsigned intid)
{
	return intid < GIC_SPI_FIRST ? own_frame() + FRAME : dist;
}

static void wait(unsigned intid)
{
	if (intid < GIC_SPI_FIRST)
		wait_clear(own_frame(), GICR_CTLR, CTLR_RD_RWP);
	else
		wait_clear(dist, GICD_CTLR, CTLR_RWP);
}

const struct gic_driver gicv3_driver = {
	.name = "GICv3",
	.groups = UINT32_MAX,
	.init = init,
	.enable = enable,
	.find_cpu = find_cpu,
	.init_cpu = init_cpu,
	.acknowledge = acknowledge,
	.drop = drop,
	.deactivate = deactivate,
	.send_sgi = send_sgi,
	.target_this_cpu = target_this_cpu,
	.bank = bank,
	.wait = wait,
};
