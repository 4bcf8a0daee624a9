/* SPDX-License-Identifier: BSD-2-Clause */
/* The controller's life: made, reset, saved, destroyed. */
#include "arch/aarch64/gic/gic.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/aarch64/gic/internal.h"
#include "core/irq.h"
#include "core/log.h"

#define SGI_EDGES UINT32_C(0xffff)
#define LINKABLE  (UINT32_C(1) << A64_PPI_VTIMER) /* to the physical one */

/* MPIDR_EL1 (Arm ARM D17.2.101): Aff3 lies above the others. */
static uint32_t affinity_of(uint64_t mpidr)
{
	return (uint32_t)hc_bits(mpidr, 39, 32) << 24 | (uint32_t)hc_bits(mpidr, 23, 0);
}

/* The least binary points that go with the bits that preempt (IHI 0069 12.2.5, 12.2.6), lowest
 * priority mask, groups off. Group 0 is FIQ where there are system registers for it. */
static void reset_interface(const struct gic *g, struct a64_gic_cpu *s)
{
	unsigned bits = g->config.priority_bits;

	*s = (struct a64_gic_cpu){ .hcr = ICH_HCR_EN };
	s->vmcr = (7 - bits) << ICH_VMCR_VBPR0_SHIFT | (8 - bits) << ICH_VMCR_VBPR1_SHIFT |
	          (gic_is_v2(g) ? 0 : ICH_VMCR_VFIQEN);
}

static void reset_cpu_locked(struct gic *g, struct gic_cpu *c)
{
	gic_unlist(g, c);
	reset_interface(g, &a64_state_of(c->vcpu)->gic);
	hc_vcpu_dirty(c->vcpu, A64_G_GIC);
	gic_sync(g, c);
}

void gic_reset_cpu(struct hc_vcpu *vcpu)
{
	struct gic_cpu *c = a64_vcpu_of(vcpu)->gic;
	struct gic *g = gic_of(vcpu);

	if (!c)
		return;
	bool irq = hc_lock_irq(&g->lock);

	reset_cpu_locked(g, c);
	hc_unlock_irq(&g->lock, irq);
}

/* Lines stay as their devices drive them, which are not those of a bank that does not exist. */
static void reset_bank(struct gic *g, unsigned i)
{
	struct gic_bank *b = &g->bank[i];
	bool private = i < GIC_SPI_BANK;

	uint32_t linked = private ? b->linked & LINKABLE : 0;

	*b = (struct gic_bank){ .edge = private ? SGI_EDGES : 0,
		                .line = gic_bank_exists(g, i) ? b->line : 0,
		                .linked = linked };
}

/* Nobody has anything. Nothing of what was is trusted: it may be of a saved state that was refused.
 */
static void forget_holders(struct gic *g)
{
	for (unsigned spi = 0; spi < HC_IRQ_LINES; spi++)
		g->holder[spi] = GIC_NOBODY;
	for (unsigned k = 0; k < GIC_SPI_BANKS; k++)
		g->held[k] = 0;
	for (unsigned i = 0; i < A64_MAX_VCPUS; i++)
		memset(g->cpu[i].held, 0, sizeof(g->cpu[i].held));
}

static void reset_locked(struct gic *g)
{
	g->ctlr = g->next = 0;
	forget_holders(g);
	for (unsigned i = 0; i < GIC_BANKS; i++)
		reset_bank(g, i);
	for (unsigned spi = 0; spi < g->config.spis; spi++) {
		g->irouter[spi] = 0;
		g->targets[spi] = 0;
		gic_reroute(g, spi);
	}
	for (unsigned i = 0; i < g->dev.vm->cpu_count; i++) {
		g->own[i] = (struct gic_private){ .asleep = true };
		reset_cpu_locked(g, &g->cpu[i]);
	}
}

static void gic_reset(struct hc_device *dev)
{
	struct gic *g = HC_CONTAINER_OF(dev, struct gic, dev);
	bool irq = hc_lock_irq(&g->lock);

	reset_locked(g);
	hc_unlock_irq(&g->lock, irq);
}

void gic_destroy(struct hc_vm *vm)
{
	struct gic *g = a64_vm_of(vm)->gic;

	if (!g)
		return;
	for (unsigned i = 0; i < vm->cpu_count; i++)
		a64_vcpu_of(vm->vcpus[i])->gic = NULL;
	a64_vm_of(vm)->gic = NULL;
	hc_list_remove(&g->dev.link);
	hc_platform_free(g, sizeof(*g));
}

static void destroy_device(struct hc_device *dev)
{
	gic_destroy(dev->vm);
}

/* --- Saved states --- */

static bool is_private_valid(const struct gic *g, const struct gic_private *own)
{
	unsigned limit = GIC_SPI_FIRST + g->config.spis;

	if (own->lr_used >> g->config.list_registers || (own->lr_pending & ~own->lr_used))
		return false;
	for (unsigned i = 0; i < A64_LIST_REGISTERS; i++)
		if ((own->lr_used >> i & 1) && own->lr_intid[i] >= limit)
			return false;
	for (unsigned i = 0; i < GIC_SGIS; i++)
		if (own->source_listed[i] >= GIC_V2_MAX_VCPUS)
			return false;
	return own->asleep <= 1;
}

/* An SPI's holder: a vCPU, or nobody if it is neither listed nor active. SPIs that there are none
 * of are neither. */
static bool is_spi_valid(struct gic *g, unsigned spi)
{
	const struct gic_bank *b = &g->bank[gic_spi_bank_index(spi)];
	bool held = (b->listed | b->active) >> spi % 32 & 1;
	unsigned holder = g->holder[spi], n = g->dev.vm->cpu_count;

	return held ? holder < n : holder == GIC_NOBODY;
}

/* Every list register's interrupt is one that is said to be listed there. */
static bool is_listed_valid(struct gic *g, uint32_t listed[GIC_BANKS])
{
	for (unsigned i = 0; i < g->dev.vm->cpu_count; i++) {
		for (unsigned used = g->own[i].lr_used; used; used &= used - 1) {
			unsigned intid = g->own[i].lr_intid[__builtin_ctz(used)];
			unsigned bank = gic_bank_index(i, intid / 32);

			if (listed[bank] >> intid % 32 & 1)
				return false;
			if (intid >= 32 && g->holder[intid - GIC_SPI_FIRST] != i)
				return false;
			listed[bank] |= 1u << intid % 32;
		}
	}
	for (unsigned bank = 0; bank < GIC_BANKS; bank++)
		if (listed[bank] != g->bank[bank].listed)
			return false;
	return true;
}

/* Whatever looks at all banks takes it that these concern nobody. */
static bool is_bank_idle(const struct gic_bank *b)
{
	return !(b->group | b->enabled | b->line | b->latch | b->active | b->linked | b->listed |
	         b->again | b->forced);
}

static bool is_bank_valid(const struct gic *g, unsigned i)
{
	const struct gic_bank *b = &g->bank[i];

	if (!gic_bank_exists(g, i))
		return is_bank_idle(b);
	return !(b->linked & ~(i < GIC_SPI_BANK ? LINKABLE : 0)) &&
	       !((b->again | b->forced) & ~b->listed);
}

static int check_loaded(struct gic *g)
{
	uint32_t listed[GIC_BANKS] = { 0 };

	if (g->ctlr & ~(GICD_CTLR_ENABLE_GRP0 | GICD_CTLR_ENABLE_GRP1 | GICD_CTLR_E1NWF))
		return -EPROTO;
	if (g->next >= A64_MAX_VCPUS)
		return -EPROTO;
	for (unsigned i = 0; i < GIC_BANKS; i++)
		if (!is_bank_valid(g, i))
			return -EPROTO;
	for (unsigned i = 0; i < g->dev.vm->cpu_count; i++)
		if (!is_private_valid(g, &g->own[i]))
			return -EPROTO;
	for (unsigned spi = 0; spi < HC_IRQ_LINES; spi++)
		if (!is_spi_valid(g, spi))
			return -EPROTO;
	return is_listed_valid(g, listed) ? 0 : -EPROTO;
}

/* What follows from the rest. Priorities may come from a CPU that has more bits of them. */
static void derive(struct gic *g)
{
	for (unsigned i = 0; i < GIC_BANKS * 32; i++)
		g->bank[i / 32].priority[i % 32] &=
			(uint8_t)(0xffu << (8 - g->config.priority_bits));
	for (unsigned i = 0; i < g->dev.vm->cpu_count; i++)
		for (unsigned k = 0; k < GIC_SPI_BANKS; k++)
			g->cpu[i].routed[k] = g->cpu[i].held[k] = 0;
	for (unsigned k = 0; k < GIC_SPI_BANKS; k++)
		g->held[k] = 0;
	for (unsigned spi = 0; spi < g->config.spis; spi++) {
		g->route[spi] = GIC_NOBODY;
		if (g->holder[spi] != GIC_NOBODY)
			gic_hold(g, &g->cpu[g->holder[spi]], spi);
		gic_reroute(g, spi);
	}
	for (unsigned i = 0; i < g->dev.vm->cpu_count; i++)
		gic_poke(&g->cpu[i]);
}

static int post_load(void *obj)
{
	struct gic *g = obj;
	bool irq = hc_lock_irq(&g->lock);
	int rc = check_loaded(g);

	if (!rc)
		derive(g);
	hc_unlock_irq(&g->lock, irq);
	return rc;
}

static const struct hc_field fields[] = {
	HC_FIELD(struct gic, ctlr, 1),          HC_FIELD(struct gic, next, 1),
	HC_FIELD_ARRAY(struct gic, bank, 1),    HC_FIELD_ARRAY(struct gic, own, 1),
	HC_FIELD_ARRAY(struct gic, irouter, 1), HC_FIELD_ARRAY(struct gic, targets, 1),
	HC_FIELD_ARRAY(struct gic, holder, 1),
};

static const struct hc_state_desc state = {
	.name = "gic",
	.version = 1,
	.fields = fields,
	.field_count = HC_ARRAY_SIZE(fields),
	.post_load = post_load,
};

static const struct hc_device_ops device = {
	.name = "gic",
	.reset = gic_reset,
	.destroy = destroy_device,
	.state = &state,
};

/* --- Making --- */

static int check_config(const struct hc_vm *vm, const struct gic_config *c)
{
	unsigned most = c->version == 2 ? GIC_V2_MAX_VCPUS : A64_MAX_VCPUS;

	if (c->version != 2 && c->version != 3)
		return hc_error(-EINVAL, "GIC: version %u, there are 2 and 3", c->version);
	if (vm->cpu_count > most)
		return hc_error(-EINVAL, "GICv%u: %u CPUs, it can have %u", c->version,
		                vm->cpu_count, most);
	if (!c->spis || c->spis % 32 || c->spis > HC_IRQ_LINES)
		return hc_error(-EINVAL, "GIC: %u SPIs, not a multiple of 32 up to %d", c->spis,
		                HC_IRQ_LINES);
	if (!c->list_registers || c->list_registers > A64_LIST_REGISTERS)
		return hc_error(-EINVAL, "GIC: %u list registers, CPUs have 1 to %d",
		                c->list_registers, A64_LIST_REGISTERS);
	if (c->priority_bits < 5 || c->priority_bits > 7)
		return hc_error(-EINVAL, "GIC: %u bits of priority, CPUs have 5 to 7",
		                c->priority_bits);
	return 0;
}

static void attach(struct gic *g, struct hc_vm *vm)
{
	for (unsigned i = 0; i < HC_IRQ_LINES; i++)
		g->route[i] = g->holder[i] = GIC_NOBODY;
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct gic_cpu *c = &g->cpu[i];

		c->vcpu = vm->vcpus[i];
		c->own = &g->own[i];
		c->index = i;
		c->affinity = affinity_of(a64_state_of(c->vcpu)->mpidr);
		a64_vcpu_of(c->vcpu)->gic = c;
	}
	a64_vm_of(vm)->gic = g;
}

int gic_create(struct hc_vm *vm, const struct gic_config *config)
{
	int rc = check_config(vm, config);
	struct gic *g = rc ? NULL : hc_platform_alloc(sizeof(*g));

	if (rc)
		return rc;
	if (!g)
		return hc_error(-ENOMEM, "GIC: out of memory");
	g->config = *config;
	hc_device_add(vm, &g->dev, &device);
	attach(g, vm);
	gic_reset(&g->dev);
	rc = gic_add_frames(g);
	return rc ? rc : hc_irq_add_sink(vm, gic_device_line, g);
}
