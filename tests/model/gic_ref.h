/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole interrupt controller as the architecture describes it, without list registers: one
 * record per interrupt, searched from end to end (IHI 0069 4.1, 4.8; IHI 0048 3.2).
 *
 * Where it leaves a choice (interrupts of equal priority, sources of an SGI), the reference is told
 * what was chosen and says whether it might be.
 */
#ifndef TESTS_MODEL_GIC_REF_H
#define TESTS_MODEL_GIC_REF_H

#include <stdbool.h>
#include <stdint.h>

#define REF_CPUS  8
#define REF_INTS  96
#define REF_NONE  0xff
#define REF_NOINT 1023u

struct ref_irq {
	bool enabled, latch, line, edge, active, group1;
	uint8_t priority;
	uint8_t sources; /* version 2's SGIs: pending from these */
	uint8_t active_source;
	uint8_t target, holder; /* SPIs: CPU or REF_NONE */
};

struct ref_cpu {
	struct ref_irq private[32];
	bool enabled[2], split_eoi, common_bpr;
	unsigned mask, bpr[2];
	bool active_priority[2][256]; /* by group and group priority */
};

struct ref {
	bool v2, group_enabled[2];
	unsigned cpus, priority_bits;
	struct ref_cpu cpu[REF_CPUS];
	struct ref_irq spi[REF_INTS - 32];
};

void ref_reset(struct ref *r, bool v2, unsigned cpus, unsigned priority_bits);

struct ref_irq *ref_irq(struct ref *r, unsigned cpu, unsigned intid);

/* Its input. */
void ref_line(struct ref *r, unsigned cpu, unsigned intid, bool level);
void ref_pend(struct ref *r, unsigned cpu, unsigned intid);
void ref_unpend(struct ref *r, unsigned cpu, unsigned intid);
bool ref_is_pending(struct ref *r, unsigned cpu, unsigned intid);
void ref_send_sgi_v2(struct ref *r, unsigned from, unsigned to, unsigned sgi);
void ref_set_active(struct ref *r, unsigned cpu, unsigned intid, bool active);

/* May the interface signal an interrupt of that group, or not signal one? With equal priorities in
 * both groups it may do both. */
bool ref_may_signal(struct ref *r, unsigned cpu, unsigned group, bool signalled);

/* ICC_IAR gave that number: may it? If so it has been acknowledged. */
bool ref_acknowledge(struct ref *r, unsigned cpu, unsigned group, unsigned number);

void ref_end(struct ref *r, unsigned cpu, unsigned group, unsigned number);
void ref_deactivate(struct ref *r, unsigned cpu, unsigned number);

/* How many are active on the CPU. */
unsigned ref_active_count(struct ref *r, unsigned cpu);

#endif
