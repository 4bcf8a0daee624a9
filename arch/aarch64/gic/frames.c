/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages that the guest sees: distributor and redistributors. All is read and written by words;
 * accesses of other sizes are made of these. Misaligned ones do nothing.
 */
#include <hypercore/errno.h>

#include "arch/aarch64/gic/internal.h"
#include "core/bus.h"
#include "core/sched.h"

#define GICR_SGI_BASE   0x10000
#define GICR_FRAME_MASK 0xffff

/* Offsets (IHI 0069 12.8, 12.10; IHI 0048 4.1.2). */
enum {
	GICD_CTLR = 0x000,
	GICD_TYPER = 0x004,
	GICD_IIDR = 0x008,
	GICD_ITARGETSR = 0x800,
	GICD_ITARGETSR_END = 0xc00,
	GICD_SGIR = 0xf00,
	GICD_CPENDSGIR = 0xf10,
	GICD_SPENDSGIR = 0xf20,
	GICD_SPENDSGIR_END = 0xf30,
	GICD_IROUTER = 0x6100, /* of INTID 32 */
	GICR_CTLR = 0x0000,
	GICR_IIDR = 0x0004,
	GICR_TYPER = 0x0008,
	GICR_WAKER = 0x0014,
	IDENTIFICATION = 0x30 /* bytes at the end of each page of 64 KiB or 4 KiB */
};

#define IIDR             UINT32_C(0x4800043b) /* ours, by an implementer that software knows */
#define GICR_CTLR_RWP    UINT32_C(0x8)
#define GICR_TYPER_LAST  UINT32_C(0x10)
#define WAKER_SLEEP      UINT32_C(0x2)
#define WAKER_ASLEEP     UINT32_C(0x4)
#define IROUTER_WRITABLE UINT64_C(0xff80ffffff)
#define TYPER_IDBITS     (UINT32_C(9) << 19) /* INTIDs have 10 */
#define TYPER_CPUS_SHIFT 5
#define WAIT_AT_MOST     (1u << 17)

/* One word of a page, in which mask says what is written. */
struct page_ops {
	uint32_t (*read)(struct gic *g, uint64_t offset, bool *irq);
	void (*write)(struct gic *g, uint64_t offset, uint32_t value, uint32_t mask);
};

/* PIDR4 .. 7, PIDR0 .. 3, CIDR0 .. 3: Arm's numbers, of which PIDR2 holds the version. */
static uint32_t identification(const struct gic *g, uint64_t offset)
{
	static const uint8_t id[IDENTIFICATION / 4] = { 0x44, 0, 0,    0,    0x92, 0xb4,
		                                        0x0b, 0, 0x0d, 0xf0, 0x05, 0xb1 };
	unsigned i = (unsigned)(offset / 4) % HC_ARRAY_SIZE(id);

	return i == 6 ? id[i] | g->config.version << 4 : id[i];
}

/* --- The state of this moment --- */

/* It may be waiting for this vCPU as well: that is answered meanwhile. Neither of the two locks may
 * be held then. It looks as soon as it leaves the guest; if that takes too long, the answer is as
 * of the last time that it did. */
static void wait_for(struct gic *g, struct gic_cpu *c, struct gic_cpu *self, bool *irq)
{
	uint32_t before = atomic_load(&c->syncs);

	gic_poke(c);
	hc_unlock_irq(&g->lock, *irq);
	hc_dev_unlock(g->dev.vm);
	for (unsigned i = 0; i < WAIT_AT_MOST && atomic_load(&c->syncs) == before; i++) {
		if (atomic_load(&c->vcpu->run_state) != HC_VCPU_RUNNING)
			break;
		if (self && atomic_load(&self->poked))
			gic_before_entry(self->vcpu);
		hc_platform_relax();
	}
	hc_dev_lock(g->dev.vm);
	*irq = hc_lock_irq(&g->lock);
}

static bool has_listed(struct gic *g, struct gic_cpu *c, unsigned bank)
{
	uint32_t listed = g->bank[bank].listed;

	return bank < GIC_SPI_BANK ? listed && c->index == bank
	                           : (listed & c->held[bank - GIC_SPI_BANK]) != 0;
}

static void settle_own(struct gic *g, struct gic_cpu *self)
{
	hc_vcpu_need(self->vcpu, A64_G_GIC);
	gic_sync(g, self);
}

static void settle(struct gic *g, const struct gic_row *row, unsigned bank, bool *irq)
{
	struct gic_cpu *self = gic_current(g);

	for (unsigned i = 0; row->live && i < g->dev.vm->cpu_count; i++) {
		struct gic_cpu *c = &g->cpu[i];

		if (!has_listed(g, c, bank))
			continue;
		if (c == self)
			settle_own(g, self);
		else if (!gic_sync_stopped(g, c))
			wait_for(g, c, self, irq);
	}
}

/* --- Distributor --- */

static bool is_write_pending(const struct gic *g)
{
	for (unsigned i = 0; i < g->dev.vm->cpu_count; i++)
		if (g->cpu[i].recalled)
			return true;
	return false;
}

static uint32_t read_ctlr(const struct gic *g)
{
	if (gic_is_v2(g))
		return g->ctlr;
	return g->ctlr | GICD_CTLR_ARE | GICD_CTLR_DS | (is_write_pending(g) ? GICD_CTLR_RWP : 0);
}

/* A group that is switched on or off may concern whatever is pending or listed. */
static void write_ctlr(struct gic *g, uint32_t value)
{
	uint32_t groups = GICD_CTLR_ENABLE_GRP0 | GICD_CTLR_ENABLE_GRP1;
	uint32_t before = g->ctlr;

	g->ctlr = value & (groups | (gic_is_v2(g) ? 0 : GICD_CTLR_E1NWF));
	if (!((before ^ g->ctlr) & groups))
		return;
	for (unsigned bank = 0; bank < GIC_BANKS; bank++) {
		if (before & ~g->ctlr & groups)
			gic_recall(g, bank, UINT32_MAX);
		gic_touch(g, bank, UINT32_MAX);
	}
}

static uint32_t read_typer(const struct gic *g)
{
	uint32_t lines = gic_spi_banks(g);

	if (!gic_is_v2(g))
		return lines | TYPER_IDBITS;
	return lines | (g->dev.vm->cpu_count - 1) << TYPER_CPUS_SHIFT;
}

/* The vCPU whose banked registers version 2 shows. */
static struct gic_cpu *accessing(struct gic *g)
{
	struct gic_cpu *c = gic_current(g);

	return c ? c : &g->cpu[0];
}

/* -1: interrupts that the distributor does not have. */
static int distributor_bank(struct gic *g, unsigned intid)
{
	if (intid < GIC_SPI_FIRST ? !gic_is_v2(g) : intid - GIC_SPI_FIRST >= g->config.spis)
		return -1;
	return (int)gic_bank_index(accessing(g)->index, intid / 32);
}

/* GICD_ITARGETSR (IHI 0048 4.3.12): for SGIs and PPIs, whose they are. */
static uint32_t read_targets(struct gic *g, unsigned intid)
{
	const uint8_t *t = g->targets;

	if (intid < GIC_SPI_FIRST)
		return UINT32_C(0x01010101) << accessing(g)->index;
	if (intid - GIC_SPI_FIRST >= g->config.spis)
		return 0;
	t += intid - GIC_SPI_FIRST;
	return t[0] | (uint32_t)t[1] << 8 | (uint32_t)t[2] << 16 | (uint32_t)t[3] << 24;
}

static void write_targets(struct gic *g, unsigned intid, uint32_t value, uint32_t mask)
{
	unsigned all = (1u << g->dev.vm->cpu_count) - 1;

	for (unsigned i = 0; i < 4; i++) {
		unsigned spi = intid + i - GIC_SPI_FIRST;

		if (intid < GIC_SPI_FIRST || spi >= g->config.spis || !(mask >> i * 8 & 0xff))
			continue;
		g->targets[spi] = (uint8_t)(value >> i * 8 & all);
		gic_reroute(g, spi);
	}
}

/* GICD_SGIR (IHI 0048 4.3.15) */
static void write_sgir(struct gic *g, uint32_t value)
{
	enum { TO_LIST, TO_OTHERS, TO_SELF };
	const struct gic_cpu *from = accessing(g);
	unsigned sgi = value & 15, filter = value >> 24 & 3;
	uint32_t self = 1u << from->index, to = value >> 16 & 0xff;

	if (filter == TO_OTHERS)
		to = ~self;
	else if (filter == TO_SELF)
		to = self;
	else if (filter != TO_LIST)
		to = 0;
	for (unsigned i = 0; i < g->dev.vm->cpu_count; i++) {
		if (!(to >> i & 1))
			continue;
		gic_pend_from(g, &g->cpu[i], sgi, self);
		gic_touch(g, i, 1u << sgi);
	}
}

/* GICD_SPENDSGIR and GICD_CPENDSGIR: a byte for each SGI, with a bit for each source. */
static uint32_t read_sources(struct gic *g, unsigned sgi)
{
	struct gic_cpu *self = gic_current(g);
	const struct gic_private *own = accessing(g)->own;
	uint32_t value = 0;

	if (self)
		settle_own(g, self);
	for (unsigned i = 0; i < 4; i++)
		value |= (uint32_t)(own->source[sgi + i] | own->source_again[sgi + i]) << i * 8;
	return value;
}

static void write_sources(struct gic *g, unsigned sgi, uint32_t value, bool set)
{
	struct gic_cpu *c = accessing(g);
	unsigned all = (1u << g->dev.vm->cpu_count) - 1;

	for (unsigned i = 0; i < 4; i++) {
		uint32_t sources = value >> i * 8 & all;

		if (!sources)
			continue;
		if (set)
			gic_pend_from(g, c, sgi + i, sources);
		else
			gic_unpend_from(g, c, sgi + i, sources);
		gic_touch(g, c->index, 1u << (sgi + i));
	}
}

static uint32_t read_v2(struct gic *g, uint64_t offset)
{
	if (offset >= GICD_ITARGETSR && offset < GICD_ITARGETSR_END)
		return read_targets(g, (unsigned)(offset - GICD_ITARGETSR));
	if (offset >= GICD_CPENDSGIR && offset < GICD_SPENDSGIR_END)
		return read_sources(g, (unsigned)offset & 0xf);
	if (offset >= GICD_SIZE_V2 - IDENTIFICATION)
		return identification(g, offset - (GICD_SIZE_V2 - IDENTIFICATION));
	return 0;
}

static void write_v2(struct gic *g, uint64_t offset, uint32_t value, uint32_t mask)
{
	if (offset >= GICD_ITARGETSR && offset < GICD_ITARGETSR_END)
		write_targets(g, (unsigned)(offset - GICD_ITARGETSR), value, mask);
	else if (offset >= GICD_CPENDSGIR && offset < GICD_SPENDSGIR_END)
		write_sources(g, (unsigned)offset & 0xf, value & mask, offset >= GICD_SPENDSGIR);
	else if (offset == GICD_SGIR && mask == UINT32_MAX)
		write_sgir(g, value);
}

static uint32_t read_v3(struct gic *g, uint64_t offset)
{
	uint64_t spi = (offset - GICD_IROUTER) / 8;

	if (offset >= GICD_SIZE_V3 - IDENTIFICATION)
		return identification(g, offset - (GICD_SIZE_V3 - IDENTIFICATION));
	if (offset < GICD_IROUTER || spi >= g->config.spis)
		return 0;
	return (uint32_t)(g->irouter[spi] >> (offset & 4) * 8);
}

static void write_v3(struct gic *g, uint64_t offset, uint32_t value, uint32_t mask)
{
	uint64_t spi = (offset - GICD_IROUTER) / 8;
	unsigned shift = (unsigned)(offset & 4) * 8;

	if (offset < GICD_IROUTER || spi >= g->config.spis || mask != UINT32_MAX)
		return;
	uint64_t other_half = g->irouter[spi] & (uint64_t)UINT32_MAX << (32 - shift);

	g->irouter[spi] = (other_half | (uint64_t)value << shift) & IROUTER_WRITABLE;
	gic_reroute(g, (unsigned)spi);
}

static uint32_t read_distributor(struct gic *g, uint64_t offset, bool *irq)
{
	unsigned first;
	const struct gic_row *row = gic_find_row(offset, &first);
	int bank;

	if (row) {
		bank = distributor_bank(g, first);
		if (bank < 0)
			return 0;
		settle(g, row, (unsigned)bank, irq);
		return row->read(g, (unsigned)bank, first % 32);
	}
	switch (offset) {
	case GICD_CTLR: return read_ctlr(g);
	case GICD_TYPER: return read_typer(g);
	case GICD_IIDR: return IIDR;
	default: return gic_is_v2(g) ? read_v2(g, offset) : read_v3(g, offset);
	}
}

static void write_row(struct gic *g, const struct gic_row *row, unsigned bank, unsigned first,
                      uint32_t value, uint32_t mask)
{
	if (row->bytes || mask == UINT32_MAX)
		row->write(g, bank, first % 32, value, mask);
}

static void write_distributor(struct gic *g, uint64_t offset, uint32_t value, uint32_t mask)
{
	unsigned first;
	const struct gic_row *row = gic_find_row(offset, &first);

	if (row) {
		int bank = distributor_bank(g, first);

		if (bank >= 0)
			write_row(g, row, (unsigned)bank, first, value, mask);
	} else if (offset == GICD_CTLR && mask == UINT32_MAX) {
		write_ctlr(g, value);
	} else if (gic_is_v2(g)) {
		write_v2(g, offset, value, mask);
	} else {
		write_v3(g, offset, value, mask);
	}
}

/* --- Redistributors --- */

static uint32_t read_rd(struct gic *g, const struct gic_cpu *c, uint64_t offset)
{
	uint32_t last = c->index + 1 == g->dev.vm->cpu_count ? GICR_TYPER_LAST : 0;

	if (offset >= GICD_SIZE_V3 - IDENTIFICATION)
		return identification(g, offset - (GICD_SIZE_V3 - IDENTIFICATION));
	switch (offset) {
	case GICR_CTLR: return c->recalled ? GICR_CTLR_RWP : 0;
	case GICR_IIDR: return IIDR;
	case GICR_TYPER: return last | c->index << 8;
	case GICR_TYPER + 4: return c->affinity;
	case GICR_WAKER: return c->own->asleep ? WAKER_SLEEP | WAKER_ASLEEP : 0;
	default: return 0;
	}
}

static uint32_t read_redistributor(struct gic *g, uint64_t offset, bool *irq)
{
	unsigned index = (unsigned)(offset / GICR_SIZE), first;
	const struct gic_row *row;

	if (!(offset & GICR_SGI_BASE))
		return read_rd(g, &g->cpu[index], offset & GICR_FRAME_MASK);
	row = gic_find_row(offset & GICR_FRAME_MASK, &first);
	if (!row || first >= GIC_SPI_FIRST)
		return 0;
	settle(g, row, index, irq);
	return row->read(g, index, first);
}

static void write_redistributor(struct gic *g, uint64_t offset, uint32_t value, uint32_t mask)
{
	unsigned index = (unsigned)(offset / GICR_SIZE), first;
	const struct gic_row *row;

	if (!(offset & GICR_SGI_BASE)) {
		if ((offset & GICR_FRAME_MASK) == GICR_WAKER && mask == UINT32_MAX)
			g->own[index].asleep = (value & WAKER_SLEEP) != 0;
		return;
	}
	row = gic_find_row(offset & GICR_FRAME_MASK, &first);
	if (row && first < GIC_SPI_FIRST)
		write_row(g, row, index, first, value, mask);
}

/* --- Accesses --- */

static const struct page_ops distributor = { read_distributor, write_distributor };
static const struct page_ops redistributor = { read_redistributor, write_redistributor };

static uint64_t read_page(struct gic *g, const struct page_ops *ops, uint64_t offset, unsigned size)
{
	if (offset & (size - 1))
		return 0;
	bool irq = hc_lock_irq(&g->lock);
	uint64_t value = ops->read(g, offset & ~UINT64_C(3), &irq) >> (offset & 3) * 8;

	if (size == 8)
		value |= (uint64_t)ops->read(g, offset + 4, &irq) << 32;
	hc_unlock_irq(&g->lock, irq);
	return value;
}

static void write_page(struct gic *g, const struct page_ops *ops, uint64_t offset, unsigned size,
                       uint64_t value)
{
	unsigned shift = (unsigned)(offset & 3) * 8;
	uint32_t mask = size >= 4 ? UINT32_MAX : ((1u << size * 8) - 1) << shift;

	if (offset & (size - 1))
		return;
	bool irq = hc_lock_irq(&g->lock);

	ops->write(g, offset & ~UINT64_C(3), (uint32_t)(value << shift), mask);
	if (size == 8)
		ops->write(g, offset + 4, (uint32_t)(value >> 32), UINT32_MAX);
	hc_unlock_irq(&g->lock, irq);
}

static uint64_t distributor_read(void *dev, uint64_t offset, unsigned size)
{
	return read_page(dev, &distributor, offset, size);
}

static void distributor_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	write_page(dev, &distributor, offset, size, value);
}

static uint64_t redistributor_read(void *dev, uint64_t offset, unsigned size)
{
	return read_page(dev, &redistributor, offset, size);
}

static void redistributor_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	write_page(dev, &redistributor, offset, size, value);
}

static const struct hc_region_ops distributor_ops = { .read = distributor_read,
	                                              .write = distributor_write };
static const struct hc_region_ops redistributor_ops = { .read = redistributor_read,
	                                                .write = redistributor_write };

int gic_add_frames(struct gic *g)
{
	const struct hc_region dist = { .name = "gicd",
		                        .base = g->config.dist,
		                        .len = gic_is_v2(g) ? GICD_SIZE_V2 : GICD_SIZE_V3,
		                        .ops = &distributor_ops,
		                        .dev = g };
	const struct hc_region redist = { .name = "gicr",
		                          .base = g->config.redist,
		                          .len = g->dev.vm->cpu_count * GICR_SIZE,
		                          .ops = &redistributor_ops,
		                          .dev = g };
	int rc = hc_bus_add(g->dev.vm, HC_SPACE_MEMORY, &dist);

	if (rc || gic_is_v2(g))
		return rc;
	return hc_bus_add(g->dev.vm, HC_SPACE_MEMORY, &redist);
}
