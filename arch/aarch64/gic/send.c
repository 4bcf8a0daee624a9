/* SPDX-License-Identifier: BSD-2-Clause */
/* How interrupts come in and where they go: lines, SGIs, routing of SPIs. */
#include "arch/aarch64/gic/internal.h"

#include "core/irq.h"

/* --- Routing --- */

static void set_route(struct gic *g, unsigned spi, unsigned to)
{
	unsigned from = g->route[spi], k = spi / 32;
	uint32_t bit = 1u << spi % 32;

	if (from != GIC_NOBODY)
		g->cpu[from].routed[k] &= ~bit;
	if (to != GIC_NOBODY)
		g->cpu[to].routed[k] |= bit;
	g->route[spi] = (uint8_t)to;
}

/* The affinity's vCPU: where numbers and affinities go together, at once. */
static struct gic_cpu *find_affinity(struct gic *g, uint32_t affinity)
{
	unsigned n = g->dev.vm->cpu_count, guess = (affinity >> 8 & 0xf) << 4 | (affinity & 0xf);

	if (guess < n && g->cpu[guess].affinity == affinity)
		return &g->cpu[guess];
	for (unsigned i = 0; i < n; i++)
		if (g->cpu[i].affinity == affinity)
			return &g->cpu[i];
	return NULL;
}

/* IHI 0069 12.9.22, Interrupt_Routing_Mode */
#define IROUTER_IRM HC_BIT(31)

static uint32_t irouter_affinity(uint64_t irouter)
{
	return (uint32_t)hc_bits(irouter, 39, 32) << 24 | (uint32_t)hc_bits(irouter, 23, 0);
}

/* vCPUs that an SPI that any of several may take could go to: a bit for each. */
static uint32_t participants(struct gic *g, unsigned spi)
{
	unsigned n = g->dev.vm->cpu_count;
	uint32_t awake = 0;

	if (gic_is_v2(g))
		return n == 1 ? 1 : g->targets[spi] & ((1u << n) - 1);
	for (unsigned i = 0; i < n; i++)
		if (!g->own[i].asleep && !gic_is_off(&g->cpu[i]))
			awake |= 1u << i;
	return awake ? awake : 1;
}

static unsigned take_turns(struct gic *g, uint32_t set)
{
	uint32_t after = set & ~((2u << g->next) - 1);
	unsigned chosen = (unsigned)__builtin_ctz(after ? after : set);

	g->next = chosen;
	return chosen;
}

static bool is_one_of_several(struct gic *g, unsigned spi)
{
	return gic_is_v2(g) ? (g->targets[spi] & (g->targets[spi] - 1)) != 0
	                    : (g->irouter[spi] & IROUTER_IRM) != 0;
}

static unsigned choose_route(struct gic *g, unsigned spi)
{
	if (gic_is_v2(g) || is_one_of_several(g, spi)) {
		uint32_t set = participants(g, spi);

		return set ? take_turns(g, set) : GIC_NOBODY;
	}
	const struct gic_cpu *c = find_affinity(g, irouter_affinity(g->irouter[spi]));

	return c ? c->index : GIC_NOBODY;
}

void gic_reroute(struct gic *g, unsigned spi)
{
	set_route(g, spi, choose_route(g, spi));
	gic_touch(g, gic_spi_bank_index(spi), 1u << spi % 32);
}

void gic_hold(struct gic *g, struct gic_cpu *c, unsigned spi)
{
	uint32_t bit = 1u << spi % 32;

	g->holder[spi] = (uint8_t)c->index;
	g->held[spi / 32] |= bit;
	c->held[spi / 32] |= bit;
}

void gic_release(struct gic *g, unsigned spi)
{
	uint32_t bit = 1u << spi % 32;

	unsigned holder = g->holder[spi];

	if (holder == GIC_NOBODY)
		return;
	g->cpu[holder].held[spi / 32] &= ~bit;
	g->held[spi / 32] &= ~bit;
	g->holder[spi] = GIC_NOBODY;
	/* It may have been sent elsewhere meanwhile, or the vCPU have gone to sleep before others.
	 */
	if (g->route[spi] != holder ||
	    (is_one_of_several(g, spi) && !(participants(g, spi) >> holder & 1)))
		gic_touch(g, gic_spi_bank_index(spi), bit);
}

/* --- Whom a change concerns --- */

static void touch_spi(struct gic *g, unsigned spi)
{
	unsigned to = g->holder[spi];

	/* One that was switched off with the interrupt still listed does not look any more. */
	if (to != GIC_NOBODY && gic_is_off(&g->cpu[to]) && !g->quiet) {
		gic_sync_stopped(g, &g->cpu[to]);
		to = g->holder[spi];
	}
	if (to == GIC_NOBODY) {
		if (is_one_of_several(g, spi))
			set_route(g, spi, choose_route(g, spi));
		to = g->route[spi];
	}
	if (to != GIC_NOBODY)
		gic_poke(&g->cpu[to]);
}

void gic_touch(struct gic *g, unsigned bank, uint32_t bits)
{
	const struct gic_bank *b = &g->bank[bank];

	bits &= b->listed | b->active | gic_forwarded(g, b);
	if (!bits)
		return;
	if (bank < GIC_SPI_BANK) {
		gic_poke(&g->cpu[bank]);
		return;
	}
	for (; bits; bits &= bits - 1)
		touch_spi(g, (bank - GIC_SPI_BANK) * 32 + (unsigned)__builtin_ctz(bits));
}

void gic_pend(struct gic_bank *b, uint32_t bits)
{
	b->again |= bits & b->listed;
	b->latch |= bits & ~b->listed;
}

void gic_pend_from(struct gic *g, struct gic_cpu *to, unsigned sgi, uint32_t sources)
{
	struct gic_bank *b = &g->bank[to->index];

	if (b->listed >> sgi & 1) {
		to->own->source_again[sgi] |= (uint8_t)sources;
		return;
	}
	to->own->source[sgi] |= (uint8_t)sources;
	if (to->own->source[sgi])
		b->latch |= 1u << sgi;
}

void gic_unpend_from(struct gic *g, struct gic_cpu *to, unsigned sgi, uint32_t sources)
{
	to->own->source_again[sgi] &= (uint8_t)~sources;
	to->own->source[sgi] &= (uint8_t)~sources;
	if (!to->own->source[sgi])
		g->bank[to->index].latch &= ~(1u << sgi);
}

/* --- Lines --- */

/* Whether a line that went down while its interrupt is listed as pending is withdrawn at once, or
 * as active only not resampled at its end, shows when the list register is looked at: either way
 * that is worth it. */
static void set_line(struct gic *g, unsigned bank, uint32_t bit, bool level)
{
	struct gic_bank *b = &g->bank[bank];
	bool rises = level && !(b->line & bit);

	b->line = level ? b->line | bit : b->line & ~bit;
	if (rises && (b->edge & bit))
		gic_pend(b, bit);
	if (rises || (b->listed & ~b->edge & bit))
		gic_touch(g, bank, bit);
}

void gic_device_line(void *dev, unsigned line, bool level)
{
	struct gic *g = dev;

	if (line >= g->config.spis)
		return;
	bool irq = hc_lock_irq(&g->lock);

	set_line(g, gic_spi_bank_index(line), 1u << line % 32, level);
	hc_unlock_irq(&g->lock, irq);
}

/* A linked interrupt that comes in while it is listed has been deactivated by the guest before, or
 * else the vCPU has changed CPUs: taking it back tells. */
static void set_linked(struct gic *g, unsigned bank, uint32_t bit, bool level)
{
	struct gic_bank *b = &g->bank[bank];

	b->line = level ? b->line | bit : b->line & ~bit;
	b->again = level ? b->again | (bit & b->listed) : b->again & ~bit;
	gic_touch(g, bank, bit);
}

void gic_set_ppi(struct hc_vcpu *vcpu, unsigned intid, bool level, bool linked)
{
	struct gic_cpu *c = a64_vcpu_of(vcpu)->gic;
	struct gic *g = gic_of(vcpu);

	if (!c || intid < GIC_SGIS || intid >= GIC_SPI_FIRST)
		return;
	uint32_t bit = 1u << intid;
	bool irq = hc_lock_irq(&g->lock);
	struct gic_bank *b = &g->bank[c->index];

	b->linked = linked ? b->linked | bit : b->linked & ~bit;
	if (linked)
		set_linked(g, c->index, bit, level);
	else
		set_line(g, c->index, bit, level);
	hc_unlock_irq(&g->lock, irq);
}

/* --- SGIs --- */

static void send_to(struct gic *g, struct gic_cpu *to, unsigned sgi, unsigned group)
{
	struct gic_bank *b = &g->bank[to->index];
	uint32_t bit = 1u << sgi;

	/* Group 1's register makes interrupts of either group, the others of group 0 only. */
	if (group != 1 && (b->group & bit))
		return;
	gic_pend(b, bit);
	gic_touch(g, to->index, bit);
}

static void send_to_others(struct gic *g, const struct gic_cpu *from, unsigned sgi, unsigned group)
{
	for (unsigned i = 0; i < g->dev.vm->cpu_count; i++)
		if (&g->cpu[i] != from)
			send_to(g, &g->cpu[i], sgi, group);
}

/* ICC_SGI1R_EL1 (IHI 0069 12.2.20) */
#define SGIR_IRM HC_BIT(40)

void gic_send_sgi(struct hc_vcpu *vcpu, uint64_t value, unsigned group)
{
	struct gic_cpu *from = a64_vcpu_of(vcpu)->gic;
	struct gic *g = gic_of(vcpu);
	unsigned sgi = (unsigned)hc_bits(value, 27, 24);
	uint32_t cluster = (uint32_t)hc_bits(value, 55, 48) << 24 |
	                   (uint32_t)hc_bits(value, 39, 32) << 16 |
	                   (uint32_t)hc_bits(value, 23, 16) << 8;

	if (!from)
		return;
	bool irq = hc_lock_irq(&g->lock);

	if (value & SGIR_IRM) {
		send_to_others(g, from, sgi, group);
	} else if (hc_bits(value, 47, 44) == 0) { /* GICD_TYPER.RSS says 0 */
		for (unsigned left = value & 0xffff; left; left &= left - 1) {
			struct gic_cpu *to =
				find_affinity(g, cluster | (unsigned)__builtin_ctz(left));

			if (to)
				send_to(g, to, sgi, group);
		}
	}
	hc_unlock_irq(&g->lock, irq);
}
