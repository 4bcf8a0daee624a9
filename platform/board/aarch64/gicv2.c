/* SPDX-License-Identifier: BSD-2-Clause */
/* GICv2 (IHI 0048): a distributor and a CPU interface in memory, both banked by CPU. */
#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/aarch64/gic_driver.h"
#include "platform/board/paging.h"

#define GICC_CTLR 0x0000
#define GICC_PMR  0x0004
#define GICC_BPR  0x0008
#define GICC_IAR  0x000c
#define GICC_EOIR 0x0010
#define GICC_DIR  0x1000

#define GICC_ENABLE     HC_BIT(0)
#define GICC_EOI_MODE   HC_BIT(9) /* EOImodeNS, or EOImodeS where there is one state */
#define GICC_BYPASS     0x1e0u    /* the firmware's choice stays */
#define INTERFACE_SIZE  0x2000
#define SGIR_LIST_SHIFT 16

static volatile uint8_t *dist, *interface;

/* What GICD_ITARGETSR and GICD_SGIR call a CPU, by cpu.id: a bit each. */
static uint8_t masks[HC_MAX_CPUS];

static int init(const struct board_tree *tree)
{
	const struct board_gic *g = &tree->gic;

	if (g->cpu_size < INTERFACE_SIZE)
		return hc_error(-ENODEV,
		                "the GIC's CPU interface has 0x%llx bytes: "
		                "0x%x are needed, for GICC_DIR",
		                (unsigned long long)g->cpu_size, INTERFACE_SIZE);
	dist = paging_window(hpa_of(g->dist), HC_PAGE_SIZE, PAGING_UNCACHED);
	interface = paging_window(hpa_of(g->cpu), INTERFACE_SIZE, PAGING_UNCACHED);
	if (!dist || !interface)
		return hc_error(-ENOMEM, "no memory to map the GIC");
	mmio_write32(dist + GICD_CTLR, 0);
	return 0;
}

static void enable(void)
{
	mmio_write32(dist + GICD_CTLR, 1);
}

/* 4.3.12: the first eight targets are read-only and name the CPU that reads. All zero if it is the
 * only one. */
static uint8_t own_mask(void)
{
	for (unsigned i = 0; i < 8; i++) {
		uint32_t v = mmio_read32(dist + GICD_ITARGETSR + 4 * i);

		v |= v >> 16;
		v |= v >> 8;
		if (v & 0xff)
			return (uint8_t)v;
	}
	return 1;
}

static int init_cpu(struct board_cpu *c)
{
	uint32_t bypass = mmio_read32(interface + GICC_CTLR) & GICC_BYPASS;

	masks[c->cpu.id] = own_mask();
	mmio_write32(interface + GICC_PMR, 0xff);
	mmio_write32(interface + GICC_BPR, 0);
	mmio_write32(interface + GICC_CTLR, bypass | GICC_ENABLE | GICC_EOI_MODE);
	return 0;
}

static uint32_t acknowledge(void)
{
	uint32_t iar = mmio_read32(interface + GICC_IAR);

	dsb_sy();
	return iar;
}

static void drop(uint32_t acknowledged)
{
	mmio_write32(interface + GICC_EOIR, acknowledged);
}

static void deactivate(uint32_t acknowledged)
{
	dsb_sy(); /* the device's level has changed before */
	mmio_write32(interface + GICC_DIR, acknowledged);
}

static void send_sgi(const struct board_cpu *c, enum gic_sgi sgi)
{
	__asm__ volatile("dsb ishst" : : : "memory");
	mmio_write32(dist + GICD_SGIR,
	             (uint32_t)masks[c->cpu.id] << SGIR_LIST_SHIFT | (uint32_t)sgi);
}

static void target_this_cpu(unsigned spi)
{
	mmio_write8(dist + GICD_ITARGETSR + spi, masks[this_cpu()->cpu.id]);
}

static volatile uint8_t *bank(unsigned intid)
{
	(void)intid;
	return dist;
}

const struct gic_driver gicv2_driver = {
	.name = "GICv2",
	/* With one security state group 0 makes IRQs, as FIQEn is clear; with two this is the
	 * firmware's, and writes are ignored. */
	.groups = 0,
	.init = init,
	.enable = enable,
	.init_cpu = init_cpu,
	.acknowledge = acknowledge,
	.drop = drop,
	.deactivate = deactivate,
	.send_sgi = send_sgi,
	.target_this_cpu = target_this_cpu,
	.bank = bank,
};
