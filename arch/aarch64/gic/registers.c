/* SPDX-License-Identifier: BSD-2-Clause */
/* The registers that have a field for each interrupt (IHI 0069 12.9, 12.11; IHI 0048 4.3): the same
 * in the distributor, for SPIs, and in each redistributor, for its SGIs and PPIs. */
#include "arch/aarch64/gic/internal.h"

static uint32_t read_group(struct gic *g, unsigned bank, unsigned first)
{
	return g->bank[bank].group;
}

static void write_group(struct gic *g, unsigned bank, unsigned first, uint32_t value, uint32_t mask)
{
	uint32_t before = g->bank[bank].group;

	g->bank[bank].group = (before & ~mask) | (value & mask);
	gic_touch(g, bank, before ^ g->bank[bank].group);
}

static uint32_t read_enabled(struct gic *g, unsigned bank, unsigned first)
{
	return g->bank[bank].enabled;
}

static void set_enabled(struct gic *g, unsigned bank, unsigned first, uint32_t value, uint32_t mask)
{
	uint32_t rises = value & mask & ~g->bank[bank].enabled;

	g->bank[bank].enabled |= rises;
	gic_touch(g, bank, rises);
}

static void clear_enabled(struct gic *g, unsigned bank, unsigned first, uint32_t value,
                          uint32_t mask)
{
	uint32_t falls = value & mask & g->bank[bank].enabled;

	g->bank[bank].enabled &= ~falls;
	gic_recall(g, bank, falls);
	gic_touch(g, bank, falls);
}

static uint32_t read_pending(struct gic *g, unsigned bank, unsigned first)
{
	return gic_pending(&g->bank[bank]) | g->bank[bank].again;
}

/* Version 2 keeps SGIs apart by source: there, GICD_SPENDSGIR and GICD_CPENDSGIR change them, and
 * these registers do not (IHI 0048 4.3.7). */
static uint32_t writable_pending(const struct gic *g, unsigned bank)
{
	return gic_is_v2(g) && bank < GIC_SPI_BANK ? ~((1u << GIC_SGIS) - 1) : UINT32_MAX;
}

static void set_pending(struct gic *g, unsigned bank, unsigned first, uint32_t value, uint32_t mask)
{
	value &= mask & writable_pending(g, bank);
	gic_pend(&g->bank[bank], value);
	gic_touch(g, bank, value);
}

/* That a linked interrupt has come in again is the hardware's to say. */
static void clear_pending(struct gic *g, unsigned bank, unsigned first, uint32_t value,
                          uint32_t mask)
{
	struct gic_bank *b = &g->bank[bank];

	value &= mask & writable_pending(g, bank);
	b->again &= ~value | b->linked;
	b->latch &= ~value;
	gic_touch(g, bank, value);
}

static uint32_t read_active(struct gic *g, unsigned bank, unsigned first)
{
	return g->bank[bank].active;
}

/* An SPI that software makes active belongs to the vCPU that it would go to. */
static void hold_active(struct gic *g, unsigned bank, uint32_t bits)
{
	unsigned k = bank - GIC_SPI_BANK;

	for (bits &= ~g->held[k]; bits; bits &= bits - 1) {
		unsigned spi = k * 32 + (unsigned)__builtin_ctz(bits);

		gic_hold(g, &g->cpu[g->route[spi] == GIC_NOBODY ? 0 : g->route[spi]], spi);
	}
}

static void release_inactive(struct gic *g, unsigned bank, uint32_t bits)
{
	unsigned k = bank - GIC_SPI_BANK;

	for (bits &= g->held[k] & ~g->bank[bank].listed; bits; bits &= bits - 1)
		gic_release(g, k * 32 + (unsigned)__builtin_ctz(bits));
}

static void set_active(struct gic *g, unsigned bank, unsigned first, uint32_t value, uint32_t mask)
{
	struct gic_bank *b = &g->bank[bank];

	value &= mask;
	for (uint32_t left = value & ~b->active; left; left &= left - 1)
		b->running[__builtin_ctz(left)] = b->priority[__builtin_ctz(left)];
	b->active |= value;
	b->forced |= value & b->listed;
	if (bank >= GIC_SPI_BANK)
		hold_active(g, bank, value);
	gic_touch(g, bank, value);
}

static void clear_active(struct gic *g, unsigned bank, unsigned first, uint32_t value,
                         uint32_t mask)
{
	struct gic_bank *b = &g->bank[bank];

	value &= mask;
	b->active &= ~value;
	b->forced |= value & b->listed;
	if (bank >= GIC_SPI_BANK)
		release_inactive(g, bank, value);
	gic_touch(g, bank, value);
}

static uint32_t read_priority(struct gic *g, unsigned bank, unsigned first)
{
	const uint8_t *p = &g->bank[bank].priority[first];

	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void write_priority(struct gic *g, unsigned bank, unsigned first, uint32_t value,
                           uint32_t mask)
{
	unsigned kept = 0xffu << (8 - g->config.priority_bits) & 0xff;
	uint32_t changed = 0;

	for (unsigned i = 0; i < 4; i++) {
		uint8_t *p = &g->bank[bank].priority[first + i];
		uint8_t priority = (uint8_t)(value >> i * 8 & kept);

		if (!(mask >> i * 8 & 0xff) || *p == priority)
			continue;
		*p = priority;
		changed |= 1u << (first + i);
	}
	gic_touch(g, bank, changed);
}

/* Two bits each, of which the upper one says edge. */
static uint32_t read_config(struct gic *g, unsigned bank, unsigned first)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 16; i++)
		value |= (g->bank[bank].edge >> (first + i) & 1) << (2 * i + 1);
	return value;
}

/* SGIs are edges and PPIs, which the CPU's own timers drive, levels. */
static void write_config(struct gic *g, unsigned bank, unsigned first, uint32_t value,
                         uint32_t mask)
{
	struct gic_bank *b = &g->bank[bank];
	uint32_t edge = b->edge;

	if (bank < GIC_SPI_BANK)
		return;
	for (unsigned i = 0; i < 16; i++) {
		uint32_t bit = 1u << (first + i);

		if (mask >> (2 * i + 1) & 1)
			edge = value >> (2 * i + 1) & 1 ? edge | bit : edge & ~bit;
	}
	uint32_t changed = edge ^ b->edge;

	b->edge = edge;
	gic_touch(g, bank, changed);
}

static const struct gic_row rows[] = {
	{ 0x080, 1, false, false, read_group, write_group },
	{ 0x100, 1, false, false, read_enabled, set_enabled },
	{ 0x180, 1, false, false, read_enabled, clear_enabled },
	{ 0x200, 1, false, true, read_pending, set_pending },
	{ 0x280, 1, false, true, read_pending, clear_pending },
	{ 0x300, 1, false, true, read_active, set_active },
	{ 0x380, 1, false, true, read_active, clear_active },
	{ 0x400, 8, true, false, read_priority, write_priority },
	{ 0xc00, 2, false, false, read_config, write_config },
};

const struct gic_row *gic_find_row(uint64_t offset, unsigned *first)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		const struct gic_row *row = &rows[i];
		uint64_t at = offset - row->offset, length = 1024u * row->bits / 8;

		if (offset < row->offset || at >= length)
			continue;
		*first = (unsigned)((at & ~UINT64_C(3)) * 8 / row->bits);
		return row;
	}
	return NULL;
}

/* An interrupt is withdrawn when its vCPU looks at its list registers. Until it has, GICD_CTLR.RWP
 * and GICR_CTLR.RWP say that the write is not complete (IHI 0069 12.9.4). This vCPU itself looks
 * before its next instruction, one that is off has no next one. */
static void recall_from(struct gic *g, unsigned index)
{
	struct gic_cpu *c = &g->cpu[index];

	if (c != gic_current(g) && atomic_load(&a64_vcpu_of(c->vcpu)->power) == A64_POWER_ON)
		c->recalled = true;
}

void gic_recall(struct gic *g, unsigned bank, uint32_t bits)
{
	bits &= g->bank[bank].listed;
	if (!bits)
		return;
	if (bank < GIC_SPI_BANK) {
		recall_from(g, bank);
		return;
	}
	for (; bits; bits &= bits - 1) {
		unsigned bit = (unsigned)__builtin_ctz(bits);

		recall_from(g, g->holder[(bank - GIC_SPI_BANK) * 32 + bit]);
	}
}

void gic_deactivate(struct hc_vcpu *vcpu, uint64_t value)
{
	struct gic_cpu *c = a64_vcpu_of(vcpu)->gic;
	struct gic *g = gic_of(vcpu);
	/* Version 2 puts an SGI's source above the number. */
	unsigned intid = (unsigned)hc_bits(value, c && gic_is_v2(g) ? 9 : 23, 0);

	if (!c || intid >= GIC_SPI_FIRST + g->config.spis)
		return;
	unsigned bank = gic_bank_index(c->index, intid / 32);
	uint32_t bit = 1u << intid % 32;
	bool irq = hc_lock_irq(&g->lock);

	clear_active(g, bank, 0, bit, bit);
	hc_unlock_irq(&g->lock, irq);
}
