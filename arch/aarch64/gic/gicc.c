/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Version 2's CPU interface in software (IHI 0048 4.4), for hosts that have none for guests: what
 * the hardware would do with the list registers, the priorities and the controls of the neutral
 * state when the guest reads and writes GICC. It behaves as GICV does (5.5): both groups are the
 * guest's.
 *
 * The registers belong to the vCPU whose access it is, so that no lock is taken. What the
 * distributor has to know of shows in the maintenance conditions, as it would in hardware.
 */
#include "arch/aarch64/gic/internal.h"
#include "core/bus.h"

enum {
	GICC_CTLR = 0x00,
	GICC_PMR = 0x04,
	GICC_BPR = 0x08,
	GICC_IAR = 0x0c,
	GICC_EOIR = 0x10,
	GICC_RPR = 0x14,
	GICC_HPPIR = 0x18,
	GICC_ABPR = 0x1c,
	GICC_AIAR = 0x20,
	GICC_AEOIR = 0x24,
	GICC_AHPPIR = 0x28,
	GICC_APR0 = 0xd0,
	GICC_NSAPR0 = 0xe0,
	GICC_IIDR = 0xfc,
	GICC_DIR = 0x1000
};

#define IIDR         UINT32_C(0x4802043b) /* the distributor's numbers, architecture version 2 */
#define OTHER_GROUP  1022u   /* 3.2.3: pending, but of the group that was not asked for */
#define NUMBER_MASK  0x1fffu /* the INTID, and the CPU that sent it if it is an SGI */
#define EOICOUNT_MAX 31u
#define IDLE         0xffu /* GICC_RPR: nothing is active */

/* GICC_CTLR's bits are in ICH_VMCR_EL2 where they are in GICC_CTLR. */
#define CTLR_BITS                                                                                  \
	(ICH_VMCR_VENG0 | ICH_VMCR_VENG1 | ICH_VMCR_VACKCTL | ICH_VMCR_VFIQEN | ICH_VMCR_VCBPR |   \
	 ICH_VMCR_VEOIM)

/* One access. */
struct access {
	struct gic *g;
	struct hc_vcpu *vcpu;
	struct a64_gic_cpu *s;
};

/* --- Priorities --- */

static void set_field(struct a64_gic_cpu *s, unsigned shift, uint32_t mask, uint32_t value)
{
	s->vmcr = (s->vmcr & ~(mask << shift)) | (value & mask) << shift;
}

/* Bits of a priority that are not there are 0 (4.4.2). */
static void write_mask(const struct access *a, uint32_t value)
{
	set_field(a->s, ICH_VMCR_VPMR_SHIFT, 0xff,
	          value & 0xffu << (8 - a->g->config.priority_bits));
}

/* Below the least value there is, it is that (4.4.3). */
static void write_binary_point(const struct access *a, bool group1, uint32_t value)
{
	uint32_t least = (group1 ? 8 : 7) - a->g->config.priority_bits;

	set_field(a->s, group1 ? ICH_VMCR_VBPR1_SHIFT : ICH_VMCR_VBPR0_SHIFT, 7,
	          (uint32_t)hc_max(value & 7, least));
}

static uint32_t *active_priorities(struct a64_gic_cpu *s, bool group1)
{
	return group1 ? s->ap1r : s->ap0r;
}

static void raise_priority(const struct access *a, uint64_t lr)
{
	bool group1 = lr & ICH_LR_GROUP;
	unsigned priority = ICH_LR_PRIORITY(lr) & gic_group_mask(a->s, group1);
	unsigned n = gic_group_number(a->g, priority);

	active_priorities(a->s, group1)[n / 32] |= 1u << n % 32;
}

/* What is handled now ends, if it is of a group that the register is for. */
static bool drop_priority(struct a64_gic_cpu *s, bool group0, bool group1)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(s->ap0r); i++) {
		uint32_t both = s->ap0r[i] | s->ap1r[i], lowest = both & -both;

		if (!both)
			continue;
		if (group0 && s->ap0r[i] & lowest)
			s->ap0r[i] &= ~lowest;
		else if (group1 && s->ap1r[i] & lowest)
			s->ap1r[i] &= ~lowest;
		else
			return false;
		return true;
	}
	return false;
}

/* --- Acknowledging and ending --- */

/* By the registers for group 0 group 1's interrupts are seen only with AckCtl; by the aliases,
 * which are group 1's, group 0's never are (4.4.4, 4.4.9). */
static uint32_t number_for(const struct access *a, int i, bool alias)
{
	if (i < 0)
		return GIC_SPURIOUS;
	uint64_t lr = a->s->lr[i];
	bool group1 = lr & ICH_LR_GROUP;

	if (alias && !group1)
		return GIC_SPURIOUS;
	if (!alias && group1 && !(a->s->vmcr & ICH_VMCR_VACKCTL))
		return OTHER_GROUP;
	return (uint32_t)lr & NUMBER_MASK;
}

static uint32_t acknowledge(const struct access *a, bool alias)
{
	int i = gic_signalled(a->g, a->s);
	uint32_t number = number_for(a, i, alias);

	if (number == GIC_SPURIOUS || number == OTHER_GROUP)
		return number;
	raise_priority(a, a->s->lr[i]);
	a->s->lr[i] ^= ICH_LR_STATE;
	return number;
}

static uint64_t *find_active(const struct access *a, uint32_t number)
{
	for (unsigned i = 0; i < a->g->config.list_registers; i++)
		if (a->s->lr[i] & ICH_LR_ACTIVE && (a->s->lr[i] & NUMBER_MASK) == number)
			return &a->s->lr[i];
	return NULL;
}

/* Those that are active without a list register are the distributor's, which is told how many. */
static void deactivate(const struct access *a, uint32_t number)
{
	uint64_t *lr = find_active(a, number);

	if (lr)
		*lr &= ~ICH_LR_ACTIVE;
	else if (a->s->hcr >> ICH_HCR_EOICOUNT_SHIFT < EOICOUNT_MAX)
		a->s->hcr += 1u << ICH_HCR_EOICOUNT_SHIFT;
}

static void end_interrupt(const struct access *a, uint32_t value, bool alias)
{
	uint32_t number = value & NUMBER_MASK;
	bool acks_both = a->s->vmcr & ICH_VMCR_VACKCTL;

	if ((number & 0x3ff) >= OTHER_GROUP - 2)
		return;
	if (drop_priority(a->s, !alias, alias || acks_both) && !(a->s->vmcr & ICH_VMCR_VEOIM))
		deactivate(a, number);
}

/* It does something only with EOImode (4.4.13). */
static void write_dir(const struct access *a, uint32_t value)
{
	if (!(a->s->vmcr & ICH_VMCR_VEOIM))
		return;
	if (a->s->hcr & ICH_HCR_TDIR && !find_active(a, value & NUMBER_MASK))
		gic_deactivate(a->vcpu, value);
	else
		deactivate(a, value & NUMBER_MASK);
}

/* --- Maintenance (5.3.7) --- */

/* Conditions that ICH_HCR_EL2 enables, at the places of their enables; EOI's are in the list
 * registers. */
static bool wants_maintenance(const struct access *a)
{
	const struct a64_gic_cpu *s = a->s;
	uint32_t is = s->vmcr & ICH_VMCR_VENG0 ? ICH_HCR_VGRP0EIE : ICH_HCR_VGRP0DIE;
	bool pending = false;

	is |= s->vmcr & ICH_VMCR_VENG1 ? ICH_HCR_VGRP1EIE : ICH_HCR_VGRP1DIE;
	is |= s->hcr >> ICH_HCR_EOICOUNT_SHIFT ? ICH_HCR_LRENPIE : 0;
	for (unsigned i = 0; i < a->g->config.list_registers; i++) {
		uint64_t state = s->lr[i] & ICH_LR_STATE;

		if (!state && s->lr[i] & ICH_LR_EOI && !(s->lr[i] & ICH_LR_HW))
			return true;
		pending |= state == ICH_LR_PENDING;
	}
	is |= pending ? 0 : ICH_HCR_NPIE;
	return is & s->hcr;
}

/* --- Registers --- */

static uint32_t running(const struct access *a)
{
	unsigned priority = gic_running_priority(a->g, a->s);

	return priority > IDLE ? IDLE : priority;
}

static uint32_t read_register(const struct access *a, uint64_t offset)
{
	const struct a64_gic_cpu *s = a->s;

	switch (offset) {
	case GICC_CTLR: return s->vmcr & CTLR_BITS;
	case GICC_PMR: return s->vmcr >> ICH_VMCR_VPMR_SHIFT;
	case GICC_BPR: return s->vmcr >> ICH_VMCR_VBPR0_SHIFT & 7;
	case GICC_ABPR: return s->vmcr >> ICH_VMCR_VBPR1_SHIFT & 7;
	case GICC_IAR: return acknowledge(a, false);
	case GICC_AIAR: return acknowledge(a, true);
	case GICC_RPR: return running(a);
	case GICC_HPPIR: return number_for(a, gic_highest_pending(a->g, s), false);
	case GICC_AHPPIR: return number_for(a, gic_highest_pending(a->g, s), true);
	case GICC_APR0: return s->ap0r[0];
	case GICC_NSAPR0: return s->ap1r[0];
	case GICC_IIDR: return IIDR;
	default: return 0;
	}
}

static void write_register(const struct access *a, uint64_t offset, uint32_t value)
{
	struct a64_gic_cpu *s = a->s;

	switch (offset) {
	case GICC_CTLR: set_field(s, 0, CTLR_BITS, value); break;
	case GICC_PMR: write_mask(a, value); break;
	case GICC_BPR: write_binary_point(a, false, value); break;
	case GICC_ABPR: write_binary_point(a, true, value); break;
	case GICC_EOIR: end_interrupt(a, value, false); break;
	case GICC_AEOIR: end_interrupt(a, value, true); break;
	case GICC_DIR: write_dir(a, value); break;
	case GICC_APR0: s->ap0r[0] = value; break;
	case GICC_NSAPR0: s->ap1r[0] = value; break;
	default: break;
	}
}

/* Registers are words (4.1.4). Who is not a vCPU of the VM has no interface. */
static bool begin(struct access *a, struct gic *g, uint64_t offset, unsigned size)
{
	struct gic_cpu *c = gic_current(g);

	if (!c || size < 4 || offset % 4)
		return false;
	hc_vcpu_need(c->vcpu, A64_G_GIC);
	*a = (struct access){ g, c->vcpu, &a64_state_of(c->vcpu)->gic };
	return true;
}

static void end(const struct access *a)
{
	hc_vcpu_dirty(a->vcpu, A64_G_GIC);
	if (wants_maintenance(a))
		hc_vcpu_request(a->vcpu, HC_REQ_EVENT);
}

static uint64_t gicc_read(void *dev, uint64_t offset, unsigned size)
{
	struct access a;

	if (!begin(&a, dev, offset, size))
		return 0;
	uint32_t value = read_register(&a, offset);

	end(&a);
	return value;
}

static void gicc_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct access a;

	if (!begin(&a, dev, offset, size))
		return;
	write_register(&a, offset, (uint32_t)value);
	end(&a);
}

static const struct hc_region_ops ops = { .read = gicc_read, .write = gicc_write };

int gic_add_cpu_interface(struct hc_vm *vm, uint64_t base)
{
	const struct hc_region region = { .name = "gicc",
		                          .base = base,
		                          .len = GICC_SIZE,
		                          .ops = &ops,
		                          .dev = a64_vm_of(vm)->gic };

	return hc_bus_add(vm, HC_SPACE_MEMORY, &region);
}

/* FIQEn makes group 0's interrupts FIQs (4.4.1). */
unsigned gic_outputs(struct hc_vcpu *vcpu)
{
	struct gic_cpu *c = a64_vcpu_of(vcpu)->gic;

	if (!c)
		return 0;
	hc_vcpu_need(vcpu, A64_G_GIC);
	const struct a64_gic_cpu *s = &a64_state_of(vcpu)->gic;
	int i = gic_signalled(gic_of(vcpu), s);

	if (i < 0)
		return 0;
	return !(s->lr[i] & ICH_LR_GROUP) && s->vmcr & ICH_VMCR_VFIQEN ? GIC_OUTPUT_FIQ
	                                                               : GIC_OUTPUT_IRQ;
}
