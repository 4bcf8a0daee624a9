/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/gic_cpu.h"

#include <string.h>

enum { INVALID, PENDING, ACTIVE, PENDING_AND_ACTIVE };

#define HCR_EN      0x1u
#define VMCR_VCBPR  0x10u
#define VMCR_VEOIM  0x200u
#define MISR_EOI    0x01u
#define MISR_U      0x02u
#define MISR_LRENP  0x04u
#define MISR_NP     0x08u
#define MISR_GRP0E  0x10u
#define MISR_GRP0D  0x20u
#define MISR_GRP1E  0x40u
#define MISR_GRP1D  0x80u
#define LR_EOI      HC_BIT(41)
#define LR_HW       HC_BIT(61)
#define EOI_COUNT   27
#define NO_PRIORITY 256u

static unsigned state_of(uint64_t lr)
{
	return (unsigned)hc_bits(lr, 63, 62);
}

static uint64_t with_state(uint64_t lr, unsigned state)
{
	return (lr & ~(UINT64_C(3) << 62)) | (uint64_t)state << 62;
}

static unsigned priority_of(uint64_t lr)
{
	return (unsigned)hc_bits(lr, 55, 48);
}

static unsigned group_of(uint64_t lr)
{
	return lr >> 60 & 1;
}

static unsigned number_of(const struct model_gic *m, uint64_t lr)
{
	return (unsigned)lr & (m->v2 ? 0x1fff : 0x3ff);
}

static void complain(struct model_gic *m, const char *what)
{
	if (!m->complaint)
		m->complaint = what;
}

/* --- What may be loaded --- */

static void check_lr(struct model_gic *m, uint64_t lr)
{
	unsigned unused = (1u << (8 - m->priority_bits)) - 1;

	if (state_of(lr) == INVALID)
		return;
	if ((lr & 0x3ff) >= 1020)
		complain(m, "a special INTID is listed");
	if (hc_bits(lr, 31, m->v2 ? 13 : 10))
		complain(m, "an INTID with more bits than there are");
	if (priority_of(lr) & unused)
		complain(m, "bits of a priority that do not exist");
	if (hc_bits(lr, 59, 56) || hc_bits(lr, 47, 45))
		complain(m, "reserved bits of a list register");
	if ((lr & LR_HW) && state_of(lr) == PENDING_AND_ACTIVE)
		complain(m, "a linked interrupt is pending and active");
	if ((lr & LR_HW) && hc_bits(lr, 44, 32) < 16)
		complain(m, "a linked interrupt without a physical one");
	if (!(lr & LR_HW) && (hc_bits(lr, 40, 32) || hc_bits(lr, 44, 42)))
		complain(m, "a physical INTID where there is no link");
}

static void check(struct model_gic *m)
{
	for (unsigned i = 0; i < A64_LIST_REGISTERS; i++) {
		check_lr(m, m->r.lr[i]);
		if (i >= m->list_registers && m->r.lr[i])
			complain(m, "a list register that does not exist is used");
		for (unsigned j = 0; j < i; j++)
			if (state_of(m->r.lr[i]) && state_of(m->r.lr[j]) &&
			    !((m->r.lr[i] ^ m->r.lr[j]) & 0x3ff))
				complain(m, "an interrupt is listed twice");
	}
	if (!(m->r.hcr & HCR_EN))
		complain(m, "the interface is off");
}

/* The binary points have least values: writes of less give these (12.2.5). */
void model_gic_load(struct model_gic *m, const struct a64_gic_cpu *registers)
{
	m->r = *registers;
	check(m);
	model_gic_set_binary_point(m, 0, m->r.vmcr >> 21 & 7);
	model_gic_set_binary_point(m, 1, m->r.vmcr >> 18 & 7);
}

/* --- Priorities --- */

static unsigned preemption_bits(const struct model_gic *m)
{
	return m->priority_bits < 5 ? 5 : m->priority_bits;
}

unsigned model_gic_running(const struct model_gic *m)
{
	unsigned step = 1u << (8 - preemption_bits(m));

	for (unsigned i = 0; i < 128; i++)
		if ((m->r.ap0r[i / 32] | m->r.ap1r[i / 32]) >> i % 32 & 1)
			return i * step;
	return NO_PRIORITY;
}

unsigned model_gic_group_mask(const struct model_gic *m, unsigned group)
{
	unsigned bpr0 = m->r.vmcr >> 21 & 7, bpr1 = m->r.vmcr >> 18 & 7;

	if (group == 0 || (m->r.vmcr & VMCR_VCBPR))
		return bpr0 == 7 ? 0 : 0xffu << (bpr0 + 1) & 0xff;
	return 0xffu << bpr1 & 0xff;
}

static bool enabled(const struct model_gic *m, unsigned group)
{
	return m->r.vmcr >> group & 1;
}

/* The list register with the highest priority pending interrupt of an enabled group, or -1. */
static int highest_pending(const struct model_gic *m)
{
	int best = -1;

	for (unsigned i = 0; i < m->list_registers; i++) {
		uint64_t lr = m->r.lr[i];

		if (state_of(lr) != PENDING || !enabled(m, group_of(lr)))
			continue;
		if (best < 0 || priority_of(lr) < priority_of(m->r.lr[best]))
			best = (int)i;
	}
	return best;
}

bool model_gic_signalled(const struct model_gic *m, unsigned group)
{
	int i = highest_pending(m);

	if (i < 0 || group_of(m->r.lr[i]) != group || !(m->r.hcr & HCR_EN))
		return false;
	unsigned priority = priority_of(m->r.lr[i]);

	return priority < m->r.vmcr >> 24 &&
	       (priority & model_gic_group_mask(m, group)) < model_gic_running(m);
}

static void activate_priority(struct model_gic *m, unsigned group, unsigned priority)
{
	unsigned n = (priority & model_gic_group_mask(m, group)) >> (8 - preemption_bits(m));
	uint32_t *ap = group ? m->r.ap1r : m->r.ap0r;

	ap[n / 32] |= 1u << n % 32;
}

static void drop_priority(struct model_gic *m, unsigned group)
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t both = m->r.ap0r[i] | m->r.ap1r[i];
		uint32_t *ap = group ? &m->r.ap1r[i] : &m->r.ap0r[i];

		if (!both)
			continue;
		*ap &= ~(both & -both);
		return;
	}
}

/* --- Registers of the guest's --- */

unsigned model_gic_acknowledge(struct model_gic *m, unsigned group)
{
	if (!model_gic_signalled(m, group))
		return MODEL_GIC_SPURIOUS;
	uint64_t *lr = &m->r.lr[highest_pending(m)];

	activate_priority(m, group, priority_of(*lr));
	*lr = with_state(*lr, ACTIVE);
	return number_of(m, *lr);
}

static void deactivate(struct model_gic *m, unsigned number)
{
	for (unsigned i = 0; i < m->list_registers; i++) {
		uint64_t lr = m->r.lr[i];

		if (!(state_of(lr) & ACTIVE) || number_of(m, lr) != number)
			continue;
		m->r.lr[i] = with_state(lr, state_of(lr) & PENDING);
		if ((lr & LR_HW) && m->deactivated)
			m->deactivated(m, (unsigned)hc_bits(lr, 44, 32));
		return;
	}
	if (m->r.hcr >> EOI_COUNT < 31)
		m->r.hcr += 1u << EOI_COUNT;
}

void model_gic_end(struct model_gic *m, unsigned group, unsigned number)
{
	drop_priority(m, group);
	if (!(m->r.vmcr & VMCR_VEOIM))
		deactivate(m, number);
}

void model_gic_deactivate(struct model_gic *m, unsigned number)
{
	if (m->r.vmcr & VMCR_VEOIM)
		deactivate(m, number);
}

uint32_t model_gic_maintenance(const struct model_gic *m)
{
	unsigned valid = 0, pending = 0;
	uint32_t misr = 0;

	for (unsigned i = 0; i < m->list_registers; i++) {
		uint64_t lr = m->r.lr[i];

		valid += state_of(lr) != INVALID;
		pending += state_of(lr) == PENDING;
		if (state_of(lr) == INVALID && !(lr & LR_HW) && (lr & LR_EOI))
			misr |= MISR_EOI;
	}
	misr |= valid <= 1 ? MISR_U : 0;
	misr |= m->r.hcr >> EOI_COUNT ? MISR_LRENP : 0;
	misr |= pending == 0 ? MISR_NP : 0;
	misr |= enabled(m, 0) ? MISR_GRP0E : MISR_GRP0D;
	misr |= enabled(m, 1) ? MISR_GRP1E : MISR_GRP1D;
	/* The enables are in the same order; the one of EOI is in the list registers. */
	return m->r.hcr & HCR_EN ? misr & (MISR_EOI | (m->r.hcr & 0xfe)) : 0;
}

void model_gic_set_mask(struct model_gic *m, unsigned priority)
{
	unsigned kept = 0xffu << (8 - m->priority_bits) & 0xff;

	m->r.vmcr = (m->r.vmcr & 0xffffff) | (priority & kept) << 24;
}

void model_gic_set_group(struct model_gic *m, unsigned group, bool on)
{
	m->r.vmcr = (m->r.vmcr & ~(1u << group)) | (uint32_t)on << group;
}

void model_gic_set_binary_point(struct model_gic *m, unsigned group, unsigned point)
{
	unsigned shift = group ? 18 : 21, least = (group ? 8 : 7) - preemption_bits(m);

	point = point < least ? least : point;
	m->r.vmcr = (m->r.vmcr & ~(7u << shift)) | point << shift;
}

void model_gic_set_common(struct model_gic *m, bool cbpr)
{
	m->r.vmcr = cbpr ? m->r.vmcr | VMCR_VCBPR : m->r.vmcr & ~VMCR_VCBPR;
}

void model_gic_set_eoi_mode(struct model_gic *m, bool split)
{
	m->r.vmcr = split ? m->r.vmcr | VMCR_VEOIM : m->r.vmcr & ~VMCR_VEOIM;
}
