/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/gic_ref.h"

#include <string.h>

void ref_reset(struct ref *r, bool v2, unsigned cpus, unsigned priority_bits)
{
	unsigned preempting = priority_bits < 5 ? 5 : priority_bits;

	memset(r, 0, sizeof(*r));
	r->v2 = v2;
	r->cpus = cpus;
	r->priority_bits = priority_bits;
	for (unsigned i = 0; i < cpus; i++) {
		r->cpu[i].bpr[0] = 7 - preempting;
		r->cpu[i].bpr[1] = 8 - preempting;
		for (unsigned n = 0; n < 16; n++)
			r->cpu[i].private[n].edge = true;
	}
	for (unsigned i = 0; i < REF_INTS - 32; i++) {
		r->spi[i].target = v2 && cpus > 1 ? REF_NONE : 0;
		r->spi[i].holder = REF_NONE;
	}
}

struct ref_irq *ref_irq(struct ref *r, unsigned cpu, unsigned intid)
{
	return intid < 32 ? &r->cpu[cpu].private[intid] : &r->spi[intid - 32];
}

static bool is_v2_sgi(const struct ref *r, unsigned intid)
{
	return r->v2 && intid < 16;
}

void ref_line(struct ref *r, unsigned cpu, unsigned intid, bool level)
{
	struct ref_irq *irq = ref_irq(r, cpu, intid);

	if (level && !irq->line && irq->edge)
		irq->latch = true;
	irq->line = level;
}

void ref_pend(struct ref *r, unsigned cpu, unsigned intid)
{
	if (!is_v2_sgi(r, intid))
		ref_irq(r, cpu, intid)->latch = true;
}

void ref_unpend(struct ref *r, unsigned cpu, unsigned intid)
{
	if (!is_v2_sgi(r, intid))
		ref_irq(r, cpu, intid)->latch = false;
}

static bool is_pending(const struct ref *r, const struct ref_irq *irq, unsigned intid)
{
	if (is_v2_sgi(r, intid))
		return irq->sources != 0;
	return irq->latch || (irq->line && !irq->edge);
}

bool ref_is_pending(struct ref *r, unsigned cpu, unsigned intid)
{
	return is_pending(r, ref_irq(r, cpu, intid), intid);
}

void ref_send_sgi_v2(struct ref *r, unsigned from, unsigned to, unsigned sgi)
{
	r->cpu[to].private[sgi].sources |= (uint8_t)(1u << from);
}

void ref_set_active(struct ref *r, unsigned cpu, unsigned intid, bool active)
{
	struct ref_irq *irq = ref_irq(r, cpu, intid);

	if (intid >= 32 && active && !irq->active)
		irq->holder = irq->target == REF_NONE ? 0 : irq->target;
	irq->active = active;
}

/* --- What the interface sees --- */

static bool is_candidate(struct ref *r, unsigned cpu, unsigned intid)
{
	const struct ref_irq *irq = ref_irq(r, cpu, intid);

	if (!is_pending(r, irq, intid) || !irq->enabled || irq->active)
		return false;
	if (intid >= 32 && irq->target != cpu)
		return false;
	return r->group_enabled[irq->group1] && r->cpu[cpu].enabled[irq->group1];
}

/* 256: there is none. */
static unsigned best_priority(struct ref *r, unsigned cpu)
{
	unsigned best = 256;

	for (unsigned i = 0; i < REF_INTS; i++)
		if (is_candidate(r, cpu, i) && ref_irq(r, cpu, i)->priority < best)
			best = ref_irq(r, cpu, i)->priority;
	return best;
}

static bool has_best_of_group(struct ref *r, unsigned cpu, unsigned best, bool group1)
{
	for (unsigned i = 0; i < REF_INTS; i++)
		if (is_candidate(r, cpu, i) && ref_irq(r, cpu, i)->priority == best &&
		    ref_irq(r, cpu, i)->group1 == group1)
			return true;
	return false;
}

static unsigned group_priority(const struct ref_cpu *c, unsigned group, unsigned priority)
{
	unsigned bits; /* that are not part of it */

	if (group == 0 || c->common_bpr)
		bits = c->bpr[0] + 1;
	else
		bits = c->bpr[1];
	return priority >> bits << bits;
}

static unsigned running(const struct ref_cpu *c)
{
	for (unsigned p = 0; p < 256; p++)
		if (c->active_priority[0][p] || c->active_priority[1][p])
			return p;
	return 256;
}

static bool can_signal(struct ref *r, unsigned cpu, unsigned group)
{
	const struct ref_cpu *c = &r->cpu[cpu];
	unsigned best = best_priority(r, cpu);

	if (best >= c->mask || !has_best_of_group(r, cpu, best, group))
		return false;
	return group_priority(c, group, best) < running(c);
}

bool ref_may_signal(struct ref *r, unsigned cpu, unsigned group, bool signalled)
{
	if (signalled)
		return can_signal(r, cpu, group);
	return !can_signal(r, cpu, group) ||
	       has_best_of_group(r, cpu, best_priority(r, cpu), !group);
}

bool ref_acknowledge(struct ref *r, unsigned cpu, unsigned group, unsigned number)
{
	struct ref_cpu *c = &r->cpu[cpu];
	unsigned intid = number & 0x3ff, source = number >> 10;

	if (number == REF_NOINT)
		return ref_may_signal(r, cpu, group, false);
	if (!can_signal(r, cpu, group) || intid >= REF_INTS || !is_candidate(r, cpu, intid))
		return false;
	struct ref_irq *irq = ref_irq(r, cpu, intid);

	if (irq->priority != best_priority(r, cpu) || irq->group1 != group)
		return false;
	if (is_v2_sgi(r, intid) ? !(irq->sources >> source & 1) : source != 0)
		return false;
	irq->sources &= (uint8_t) ~(1u << source);
	irq->active_source = (uint8_t)source;
	irq->latch = false;
	irq->active = true;
	irq->holder = (uint8_t)cpu;
	c->active_priority[group][group_priority(c, group, irq->priority)] = true;
	return true;
}

void ref_end(struct ref *r, unsigned cpu, unsigned group, unsigned number)
{
	struct ref_cpu *c = &r->cpu[cpu];
	unsigned p = running(c);

	if (p < 256)
		c->active_priority[group][p] = false;
	if (!c->split_eoi)
		ref_deactivate(r, cpu, number);
}

void ref_deactivate(struct ref *r, unsigned cpu, unsigned number)
{
	unsigned intid = number & 0x3ff;

	if (intid < REF_INTS)
		ref_irq(r, cpu, intid)->active = false;
}

unsigned ref_active_count(struct ref *r, unsigned cpu)
{
	unsigned n = 0;

	for (unsigned i = 0; i < REF_INTS; i++) {
		const struct ref_irq *irq = ref_irq(r, cpu, i);

		n += irq->active && (i < 32 || irq->holder == cpu);
	}
	return n;
}
