/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's list registers: taking back what the guest did with what was in them, and choosing what
 * is in them next (IHI 0069 4.8, 5.2.2).
 *
 * If there is more than fits, the most urgent pending interrupt is listed, then those that are
 * active (their EOI finds them there), then the other pending ones. NPIE tells when none that is
 * pending is left, VGrpnEIE and VGrpnDIE when the guest enables a group that waits or disables
 * one that does not. An EOI that finds no list
 * register is counted by the hardware (EOIcount): it was of the most urgent active interrupt that
 * is not listed, since interrupts nest. LRENPIE tells of it.
 */
#include "arch/aarch64/gic/internal.h"

#include "core/sched.h"

#define BANKS (1 + GIC_SPI_BANKS) /* that a vCPU can see, by INTID / 32 */

/* What is to be listed: a bit for each INTID. */
struct plan {
	uint32_t pending[BANKS], active[BANKS];
	unsigned count; /* of those that are in either */
};

struct filler {
	struct gic *g;
	struct gic_cpu *c;
	struct a64_gic_cpu *state;
	unsigned used;
	bool overflow; /* something waits */
	bool changed;
};

static struct a64_gic_cpu *state_of(struct gic_cpu *c)
{
	return &a64_state_of(c->vcpu)->gic;
}

/* That of gic_bank_index(), on whose way to an address there is no multiplication. */
static struct gic_bank *bank_of(struct gic *g, struct gic_cpu *c, unsigned k)
{
	return &g->bank[gic_bank_index(c->index, k)];
}

static unsigned banks_of(const struct gic *g)
{
	return 1 + gic_spi_banks(g);
}

unsigned gic_group_mask(const struct a64_gic_cpu *s, bool group1)
{
	unsigned shift = (s->vmcr >> ICH_VMCR_VBPR0_SHIFT & 7) + 1;

	if (group1 && !(s->vmcr & ICH_VMCR_VCBPR))
		shift = s->vmcr >> ICH_VMCR_VBPR1_SHIFT & 7;
	return 0xffu << shift & 0xff;
}

/* The INTID of the highest priority in set, at equal ones the lowest; -1: it is empty. active: of
 * those that are active, by what they were acknowledged with, as they nest. */
static int most_urgent(struct gic *g, struct gic_cpu *c, const uint32_t set[BANKS], bool active)
{
	unsigned best_priority = 256;
	int best = -1;

	for (unsigned k = 0; k < banks_of(g); k++) {
		const struct gic_bank *b = bank_of(g, c, k);
		const uint8_t *priority = active ? b->running : b->priority;

		for (uint32_t left = set[k]; left; left &= left - 1) {
			unsigned bit = (unsigned)__builtin_ctz(left);

			if (priority[bit] >= best_priority)
				continue;
			best_priority = priority[bit];
			best = (int)(k * 32 + bit);
		}
	}
	return best;
}

static int take_most_urgent(struct gic *g, struct gic_cpu *c, uint32_t set[BANKS], bool active)
{
	int intid = most_urgent(g, c, set, active);

	if (intid >= 0)
		set[intid / 32] &= ~(1u << intid % 32);
	return intid;
}

static bool is_empty(const uint32_t set[BANKS])
{
	uint32_t all = 0;

	for (unsigned k = 0; k < BANKS; k++)
		all |= set[k];
	return !all;
}

/* --- Taking back --- */

static void active_ones(struct gic *g, struct gic_cpu *c, uint32_t set[BANKS])
{
	set[0] = g->bank[c->index].active;
	for (unsigned k = 1; k < BANKS; k++)
		set[k] = bank_of(g, c, k)->active & c->held[k - 1];
}

/* EOIs that found no list register. If all that was active had one, they were of what was not. */
static void take_eoi_count(struct gic *g, struct gic_cpu *c, struct a64_gic_cpu *state)
{
	unsigned n = state->hcr >> ICH_HCR_EOICOUNT_SHIFT;
	uint32_t set[BANKS] = { 0 };

	if (!n || !(state->hcr & ICH_HCR_LRENPIE))
		return;
	active_ones(g, c, set);
	for (unsigned k = 0; k < banks_of(g); k++)
		set[k] &= ~bank_of(g, c, k)->listed;
	while (n--) {
		int intid = take_most_urgent(g, c, set, true);

		if (intid < 0)
			break;
		bank_of(g, c, (unsigned)intid / 32)->active &= ~(1u << intid % 32);
		if (intid >= GIC_SPI_FIRST)
			gic_release(g, (unsigned)intid - GIC_SPI_FIRST);
	}
}

/* A source that was listed as pending and is not any more has been acknowledged. */
static void take_source(struct gic *g, struct gic_cpu *c, unsigned sgi, bool acknowledged)
{
	struct gic_private *own = c->own;
	struct gic_bank *b = &g->bank[c->index];

	if (acknowledged)
		own->source[sgi] &= (uint8_t) ~(1u << own->source_listed[sgi]);
	own->source[sgi] |= own->source_again[sgi];
	own->source_again[sgi] = 0;
	b->latch = own->source[sgi] ? b->latch | 1u << sgi : b->latch & ~(1u << sgi);
}

/* The guest's deactivation of a linked interrupt deactivated the physical one, which has come again
 * since if it is still wanted. */
static void take_line(struct gic_bank *b, uint32_t bit, bool valid)
{
	if (!valid)
		b->line = (b->line & ~bit) | (b->again & bit);
	b->again &= ~bit;
}

static void take_active(struct gic *g, struct gic_cpu *c, struct gic_bank *b, unsigned intid,
                        uint64_t lr)
{
	const struct a64_gic_cpu *s = state_of(c);
	uint32_t bit = 1u << intid % 32;

	if (b->forced & bit) {
		b->forced &= ~bit;
	} else if (!(lr & ICH_LR_ACTIVE)) {
		b->active &= ~bit;
	} else if (!(b->active & bit)) {
		b->active |= bit;
		b->running[intid % 32] =
			(uint8_t)(ICH_LR_PRIORITY(lr) & gic_group_mask(s, lr & ICH_LR_GROUP));
	}
}

static void take_one(struct gic *g, struct gic_cpu *c, unsigned i, uint64_t lr)
{
	unsigned intid = c->own->lr_intid[i];
	struct gic_bank *b = bank_of(g, c, intid / 32);
	uint32_t bit = 1u << intid % 32;
	bool acknowledged = (c->own->lr_pending >> i & 1) && !(lr & ICH_LR_PENDING);

	take_active(g, c, b, intid, lr);
	b->listed &= ~bit;
	if (gic_is_v2(g) && intid < GIC_SGIS) {
		take_source(g, c, intid, acknowledged);
		return;
	}
	if (acknowledged)
		b->latch &= ~bit;
	if (b->linked & bit)
		take_line(b, bit, (lr & ICH_LR_STATE) != 0);
	b->latch |= b->again & bit;
	b->again &= ~bit;
	if (intid >= GIC_SPI_FIRST && !(b->active & bit))
		gic_release(g, intid - GIC_SPI_FIRST);
}

static void take_all(struct gic *g, struct gic_cpu *c, const struct a64_gic_cpu *state)
{
	for (unsigned used = c->own->lr_used; used; used &= used - 1) {
		unsigned i = (unsigned)__builtin_ctz(used);

		take_one(g, c, i, state->lr[i]);
	}
	c->own->lr_used = c->own->lr_pending = 0;
}

/* As if each were still in the state that it was listed in. */
void gic_unlist(struct gic *g, struct gic_cpu *c)
{
	struct a64_gic_cpu as_listed = { 0 };

	for (unsigned used = c->own->lr_used; used; used &= used - 1) {
		unsigned i = (unsigned)__builtin_ctz(used), intid = c->own->lr_intid[i];

		if (c->own->lr_pending >> i & 1)
			as_listed.lr[i] |= ICH_LR_PENDING;
		if (bank_of(g, c, intid / 32)->active >> intid % 32 & 1)
			as_listed.lr[i] |= ICH_LR_ACTIVE;
	}
	take_all(g, c, &as_listed);
}

/* --- Filling --- */

/* Where an interrupt is active, it can be pending as well, in one list register. Not by level:
 * whether it is still pending shows when it ends. Not if linked (IHI 0069 12.4.9, State). Not if
 * the pending one is of another source. Not if something waits: when the active one ends, the
 * pending one may not be the most urgent. */
static bool may_be_both(const struct filler *f, const struct gic_bank *b, unsigned intid)
{
	uint32_t bit = 1u << intid % 32;

	return !f->overflow && (b->edge & bit) && !(b->linked & bit) &&
	       !(gic_is_v2(f->g) && intid < GIC_SGIS);
}

/* Of several, the CPU with the lowest number comes first. */
static uint64_t source_bits(struct filler *f, unsigned sgi, bool active)
{
	struct gic_private *own = f->c->own;

	if (!active && own->source[sgi])
		own->source_listed[sgi] = (uint8_t)__builtin_ctz(own->source[sgi]);
	return (uint64_t)own->source_listed[sgi] << ICH_LR_SOURCE_SHIFT;
}

/* The end of the interrupt is to be told if there is more of it. */
static bool wants_eoi(const struct filler *f, const struct gic_bank *b, unsigned intid,
                      bool listed_pending)
{
	uint32_t bit = 1u << intid % 32;
	uint32_t sources = intid < GIC_SGIS ? f->c->own->source[intid] : 0;

	if (~b->edge & b->line & bit)
		return true;
	return (gic_pending(b) & bit && !listed_pending) || (sources & (sources - 1));
}

static uint64_t make_lr(struct filler *f, const struct gic_bank *b, unsigned intid, bool pending,
                        bool active)
{
	uint32_t bit = 1u << intid % 32;
	uint64_t lr = intid | (uint64_t)b->priority[intid % 32] << ICH_LR_PRIORITY_SHIFT;

	if (gic_is_v2(f->g) && intid < GIC_SGIS)
		lr |= source_bits(f, intid, active);
	if (b->group & bit)
		lr |= ICH_LR_GROUP;
	if (b->linked & bit)
		lr |= ICH_LR_HW | ICH_LR_PINTID_OF(intid);
	else if (wants_eoi(f, b, intid, pending))
		lr |= ICH_LR_EOI;
	return lr | (pending ? ICH_LR_PENDING : 0) | (active ? ICH_LR_ACTIVE : 0);
}

static void put(struct filler *f, unsigned i, uint64_t lr)
{
	f->changed |= f->state->lr[i] != lr;
	f->state->lr[i] = lr;
}

static void list(struct filler *f, unsigned intid, bool pending, bool active)
{
	struct gic_bank *b = bank_of(f->g, f->c, intid / 32);
	struct gic_private *own = f->c->own;
	unsigned i = f->used++;

	pending = pending && (!active || may_be_both(f, b, intid));
	put(f, i, make_lr(f, b, intid, pending, active));
	own->lr_intid[i] = (uint8_t)intid;
	own->lr_used |= (uint16_t)(1u << i);
	if (pending)
		own->lr_pending |= (uint16_t)(1u << i);
	b->listed |= 1u << intid % 32;
	if (intid >= GIC_SPI_FIRST)
		gic_hold(f->g, f->c, intid - GIC_SPI_FIRST);
}

/* An SPI that is active here, pending again, and goes elsewhere now, goes when it ends here. */
static void make_plan(struct gic *g, struct gic_cpu *c, struct plan *p)
{
	const struct gic_bank *b = &g->bank[c->index];

	*p = (struct plan){ 0 };
	if (gic_is_off(c))
		return;
	p->active[0] = b->active;
	p->pending[0] = gic_forwarded(g, b);
	p->count = hc_count_bits(p->active[0] | p->pending[0]);
	for (unsigned k = 1; k < banks_of(g); k++) {
		uint32_t held = c->held[k - 1], elsewhere = g->held[k - 1] & ~held;

		b = bank_of(g, c, k);
		p->active[k] = b->active & held;
		p->pending[k] = gic_pending(b) & c->routed[k - 1] & ~elsewhere;
		if (p->pending[k])
			p->pending[k] &= gic_forwarded(g, b);
		p->count += hc_count_bits(p->active[k] | p->pending[k]);
	}
}

static void list_all(struct filler *f, const struct plan *p)
{
	for (unsigned k = 0; k < BANKS; k++)
		for (uint32_t left = p->pending[k] | p->active[k]; left; left &= left - 1) {
			unsigned bit = (unsigned)__builtin_ctz(left);

			list(f, k * 32 + bit, p->pending[k] >> bit & 1, p->active[k] >> bit & 1);
		}
}

/* Moves interrupts from set to list registers until one of the two is used up. */
static void list_most_urgent(struct filler *f, uint32_t set[BANKS], const uint32_t both[BANKS],
                             bool active, unsigned limit)
{
	unsigned room = f->g->config.list_registers - f->used;

	for (limit = limit < room ? limit : room; limit; limit--) {
		int intid = take_most_urgent(f->g, f->c, set, active);

		if (intid < 0)
			return;
		list(f, (unsigned)intid, !active || (both[intid / 32] >> intid % 32 & 1), active);
	}
}

static uint32_t waiting_bits(const struct filler *f, const uint32_t ready[BANKS],
                             const uint32_t disabled[BANKS], const uint32_t active[BANKS])
{
	uint32_t vmcr = f->state->vmcr, hcr = 0;

	if (!is_empty(ready)) {
		hcr |= ICH_HCR_NPIE;
		hcr |= vmcr & ICH_VMCR_VENG0 ? ICH_HCR_VGRP0DIE : 0;
		hcr |= vmcr & ICH_VMCR_VENG1 ? ICH_HCR_VGRP1DIE : 0;
	}
	for (unsigned k = 0; k < banks_of(f->g); k++) {
		uint32_t group = bank_of(f->g, f->c, k)->group;

		hcr |= disabled[k] & ~group ? ICH_HCR_VGRP0EIE : 0;
		hcr |= disabled[k] & group ? ICH_HCR_VGRP1EIE : 0;
	}
	/* DIR names an interrupt, of which EOIcount would not tell which: it is trapped. */
	if (!is_empty(active))
		hcr |= ICH_HCR_LRENPIE | (vmcr & ICH_VMCR_VEOIM ? ICH_HCR_TDIR : 0);
	return hcr;
}

/* There is more than fits. Returns the bits of ICH_HCR_EL2 for what waits. */
static uint32_t list_some(struct filler *f, struct plan *p)
{
	uint32_t ready[BANKS], disabled[BANKS];
	bool group0 = f->state->vmcr & ICH_VMCR_VENG0, group1 = f->state->vmcr & ICH_VMCR_VENG1;

	for (unsigned k = 0; k < BANKS; k++) {
		uint32_t only_pending = p->pending[k] & ~p->active[k];
		uint32_t group = k < banks_of(f->g) ? bank_of(f->g, f->c, k)->group : 0;

		ready[k] = only_pending & ((group0 ? ~group : 0) | (group1 ? group : 0));
		disabled[k] = only_pending & ~ready[k];
	}
	f->overflow = true;
	list_most_urgent(f, ready, NULL, false, 1);
	list_most_urgent(f, p->active, p->pending, true, A64_LIST_REGISTERS);
	list_most_urgent(f, ready, NULL, false, A64_LIST_REGISTERS);
	list_most_urgent(f, disabled, NULL, false, A64_LIST_REGISTERS);
	return waiting_bits(f, ready, disabled, p->active);
}

static void fill(struct gic *g, struct gic_cpu *c, struct a64_gic_cpu *state)
{
	struct filler f = { .g = g, .c = c, .state = state };
	uint32_t hcr = ICH_HCR_EN;
	struct plan p;

	make_plan(g, c, &p);
	if (p.count <= g->config.list_registers)
		list_all(&f, &p);
	else
		hcr |= list_some(&f, &p);
	for (unsigned i = f.used; i < g->config.list_registers; i++)
		put(&f, i, 0);
	f.changed |= state->hcr != hcr;
	state->hcr = hcr;
	if (f.changed)
		hc_vcpu_dirty(c->vcpu, A64_G_GIC);
}

/* --- What the virtual CPU interface makes of it --- */

unsigned gic_running_priority(const struct gic *g, const struct a64_gic_cpu *s)
{
	unsigned shift = 8 - g->config.priority_bits;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(s->ap0r); i++) {
		uint32_t active = s->ap0r[i] | s->ap1r[i];

		if (active)
			return (i * 32 + (unsigned)__builtin_ctz(active)) << shift;
	}
	return 256;
}

static bool is_candidate(const struct a64_gic_cpu *s, uint64_t lr)
{
	if ((lr & ICH_LR_STATE) != ICH_LR_PENDING)
		return false;
	return (s->vmcr & (lr & ICH_LR_GROUP ? ICH_VMCR_VENG1 : ICH_VMCR_VENG0)) != 0;
}

int gic_highest_pending(const struct gic *g, const struct a64_gic_cpu *s)
{
	int best = -1;

	for (unsigned i = 0; i < g->config.list_registers; i++)
		if (is_candidate(s, s->lr[i]) &&
		    (best < 0 || ICH_LR_PRIORITY(s->lr[i]) < ICH_LR_PRIORITY(s->lr[best])))
			best = (int)i;
	return best;
}

int gic_signalled(const struct gic *g, const struct a64_gic_cpu *s)
{
	int i = gic_highest_pending(g, s);

	if (i < 0)
		return -1;
	unsigned priority = ICH_LR_PRIORITY(s->lr[i]);
	bool preempts = priority < s->vmcr >> ICH_VMCR_VPMR_SHIFT &&
	                (priority & gic_group_mask(s, s->lr[i] & ICH_LR_GROUP)) <
	                        gic_running_priority(g, s);

	return preempts ? i : -1;
}

static bool can_interrupt(const struct gic *g, const struct a64_gic_cpu *s)
{
	return gic_signalled(g, s) >= 0;
}

/* --- Outside --- */

void gic_poke(struct gic_cpu *c)
{
	struct gic *g = gic_of(c->vcpu);

	atomic_store(&c->poked, true);
	if (g->quiet)
		g->kept |= 1u << c->index;
	else
		hc_vcpu_request(c->vcpu, HC_REQ_EVENT);
}

void gic_sync(struct gic *g, struct gic_cpu *c)
{
	struct a64_gic_cpu *state = state_of(c);

	/* First: what comes in from here on pokes again. */
	atomic_store(&c->poked, false);
	c->recalled = false;
	take_eoi_count(g, c, state);
	take_all(g, c, state);
	fill(g, c, state);
	atomic_store(&c->interrupted, c->own->lr_pending != 0);
	atomic_fetch_add(&c->syncs, 1);
}

/* Requests take the lock of the run queue, which may be the very one that was locked. */
static void send_kept(struct gic *g)
{
	g->quiet = false;
	for (; g->kept; g->kept &= g->kept - 1)
		hc_vcpu_request(g->cpu[__builtin_ctz(g->kept)].vcpu, HC_REQ_EVENT);
}

/* It cannot start while the run queue is locked. */
bool gic_sync_stopped(struct gic *g, struct gic_cpu *c)
{
	struct hc_cpu *cpu = c->vcpu->cpu;
	bool irq = cpu ? hc_lock_irq(&cpu->lock) : false;
	bool stopped = atomic_load(&c->vcpu->run_state) != HC_VCPU_RUNNING;

	g->quiet = true;
	if (stopped && (c->vcpu->valid & A64_G_GIC))
		gic_sync(g, c);
	else if (stopped && gic_is_off(c))
		gic_unlist(g, c);
	if (cpu)
		hc_unlock_irq(&cpu->lock, irq);
	send_kept(g);
	return stopped;
}

void gic_before_entry(struct hc_vcpu *vcpu)
{
	struct gic_cpu *c = a64_vcpu_of(vcpu)->gic;
	struct gic *g = gic_of(vcpu);

	if (!c)
		return;
	hc_vcpu_need(vcpu, A64_G_GIC);
	bool irq = hc_lock_irq(&g->lock);

	gic_sync(g, c);
	hc_unlock_irq(&g->lock, irq);
}

/* Called with the run queue's lock held too, so that the controller's may not be taken. The virtual
 * CPU interface of a vCPU that sleeps does not change: it is enough to know what was found when it
 * fell asleep, and whether anything came since. What came may turn out to be nothing, when the list
 * registers are looked at before the entry: WFI may end for no reason. */
bool gic_has_interrupt(struct hc_vcpu *vcpu)
{
	struct gic_cpu *c = a64_vcpu_of(vcpu)->gic;

	if (!c)
		return false;
	if (atomic_load(&c->poked))
		return true;
	if (hc_vcpu_current() == vcpu) {
		hc_vcpu_need(vcpu, A64_G_GIC);
		atomic_store(&c->interrupted, can_interrupt(gic_of(vcpu), state_of(c)));
	}
	return atomic_load(&c->interrupted);
}
