/* SPDX-License-Identifier: BSD-2-Clause */
/* What has to be true of a machine, whoever described it. */
#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/fdt.h"

#define REDIST_SIZE (128 * HC_KIB) /* RD_base and SGI_base (IHI 0069, 12.10) */

typedef unsigned long long ull;

/* Registers are mapped, one of them for guests, by whole pages. */
static int check_frame(const struct board_tree *t, const char *name, uint64_t base, uint64_t size)
{
	if (base % HC_PAGE_SIZE || base + size < base)
		return hc_error(-EPROTO, "the GIC's %s at 0x%llx: wants a multiple of 4 KiB", name,
		                (ull)base);
	if (base && ranges_intersect(&t->memory, base, base + size))
		return hc_error(-EPROTO, "the GIC's %s at 0x%llx is in memory", name, (ull)base);
	return 0;
}

static int check_redists(const struct board_tree *t)
{
	const struct board_gic *g = &t->gic;
	bool any = g->redist_count || (t->cpu_count && t->cpus[0].redist);
	int err = 0;

	if (!any)
		return hc_error(-ENODEV, "nothing says where the GIC's redistributors are");
	for (unsigned i = 0; !err && i < g->redist_count; i++) {
		if (!g->redists[i].base || g->redists[i].size < REDIST_SIZE)
			return hc_error(-EPROTO,
			                "the GIC's redistributors at 0x%llx have 0x%llx bytes: "
			                "0x%llx are needed",
			                (ull)g->redists[i].base, (ull)g->redists[i].size,
			                (ull)REDIST_SIZE);
		err = check_frame(t, "redistributors", g->redists[i].base, g->redists[i].size);
	}
	for (unsigned i = 0; !err && i < t->cpu_count; i++)
		err = check_frame(t, "redistributor", t->cpus[i].redist, REDIST_SIZE);
	return err;
}

static int check_gic(const struct board_tree *t)
{
	const struct board_gic *g = &t->gic;
	int err;

	if (!g->dist || g->version < 2 || g->version > 3)
		return hc_error(-ENODEV, "the machine has no GIC of version 2, 3 or 4");
	if (g->version == 2 && !g->cpu)
		return hc_error(-ENODEV, "nothing says where the GIC's CPU interface is");
	err = check_frame(t, "distributor", g->dist, g->dist_size);
	if (!err)
		err = check_frame(t, "CPU interface", g->cpu, g->cpu_size);
	if (!err)
		err = check_frame(t, "virtual interface's control", g->gich, g->gich_size);
	if (!err)
		err = check_frame(t, "virtual CPU interface", g->gicv, g->gicv_size);
	return err || g->version == 2 ? err : check_redists(t);
}

/* Every CPU has its own of these. */
static int check_ppi(const struct board_irq *irq, const char *name)
{
	if (irq->intid >= 16 && irq->intid < 32)
		return 0;
	return hc_error(-EPROTO, "interrupt %u of %s is not private to CPUs: wants 16 to 31",
	                irq->intid, name);
}

static int check_interrupts(const struct board_tree *t)
{
	int err;

	if (!t->timer_hyp.intid || !t->timer_virt.intid)
		return hc_error(-ENODEV, "the machine has no timer with interrupts for EL2 and for "
		                         "guests (hyp-phys and virt)");
	err = check_ppi(&t->timer_hyp, "EL2's timer");
	if (!err)
		err = check_ppi(&t->timer_virt, "the virtual timer");
	if (!err && t->gic.maintenance.intid)
		err = check_ppi(&t->gic.maintenance, "the GIC's maintenance");
	return err;
}

int board_tree_check(const struct board_tree *tree)
{
	int err = check_gic(tree);

	if (!err && !tree->cpu_count)
		err = hc_error(-ENODEV, "the machine has no CPU that is enabled");
	return err ? err : check_interrupts(tree);
}
