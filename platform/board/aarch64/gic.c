/* SPDX-License-Identifier: BSD-2-Clause */
/* What both versions of the interrupt controller have in common, and who gets which interrupt. */
#include "platform/board/aarch64/gic.h"

#include <hypercore/errno.h>

#include "arch/aarch64/el2/el2.h"
#include "core/log.h"
#include "platform/board/aarch64/gic_driver.h"
#include "platform/board/paging.h"

static const struct gic_driver *driver;
static unsigned intid_end; /* the controller's interrupts are below */

static struct {
	board_irq_fn fn;
	void *arg;
} functions[GIC_INTID_END];

/* --- One interrupt, or 32 of them --- */

static void set_bit(unsigned intid, uint64_t reg)
{
	mmio_write32(driver->bank(intid) + reg + intid / 32 * 4, (uint32_t)HC_BIT(intid % 32));
}

void board_irq_enable(unsigned intid)
{
	set_bit(intid, GICD_ISENABLER);
}

void board_irq_disable(unsigned intid)
{
	set_bit(intid, GICD_ICENABLER);
	if (driver->wait)
		driver->wait(intid);
}

static void set_enabled(unsigned intid, bool enabled)
{
	if (enabled)
		board_irq_enable(intid);
	else
		board_irq_disable(intid);
}

static void set_active(unsigned intid, bool active)
{
	set_bit(intid, active ? GICD_ISACTIVER : GICD_ICACTIVER);
}

static void configure(unsigned intid, bool edge)
{
	volatile uint8_t *bank = driver->bank(intid);
	uint64_t reg = GICD_ICFGR + intid / 16 * 4;
	uint32_t bit = 2u << intid % 16 * 2;
	uint32_t old = mmio_read32(bank + reg);

	mmio_write32(bank + reg, edge ? old | bit : old & ~bit);
}

/* Nothing enabled, pending or active of the 32 from first on; all in our group. */
static void silence(unsigned first)
{
	volatile uint8_t *bank = driver->bank(first);
	unsigned at = first / 32 * 4;

	mmio_write32(bank + GICD_ICENABLER + at, UINT32_MAX);
	if (driver->wait)
		driver->wait(first);
	mmio_write32(bank + GICD_ICPENDR + at, UINT32_MAX);
	mmio_write32(bank + GICD_ICACTIVER + at, UINT32_MAX);
	mmio_write32(bank + GICD_IGROUPR + at, driver->groups);
	for (unsigned i = 0; i < 32; i += 4)
		mmio_write32(bank + GICD_IPRIORITYR + first + i, GIC_PRIORITIES);
}

/* --- The interrupts that guests own --- */

/* The guest deactivates its timer's interrupt by its list register. */
static bool guest_timer(void *arg)
{
	struct hc_vcpu *vcpu = this_cpu()->cpu.current;

	(void)arg;
	if (!vcpu)
		return false; /* its level went as the vCPU was taken off the CPU */
	el2_vtimer_interrupt(vcpu);
	return true;
}

static bool guest_maintenance(void *arg)
{
	struct hc_vcpu *vcpu = this_cpu()->cpu.current;

	(void)arg;
	if (vcpu)
		el2_maintenance_interrupt(vcpu);
	return false;
}

static int fill_host(const struct board_tree *tree)
{
	const struct board_gic *g = &tree->gic;
	int err;

	el2_host.vtimer_ppi = tree->timer_virt.intid;
	el2_host.maintenance_ppi = g->maintenance.intid;
	el2_host.set_active = set_active;
	el2_host.set_enabled = set_enabled;
	if (!g->maintenance.intid || (g->version == 2 && (!g->gich || !g->gicv))) {
		hc_log(HC_LOG_WARN, "the %s has no virtual interface, or no maintenance interrupt",
		       driver->name);
		return 0;
	}
	err = board_irq_register(&g->maintenance, guest_maintenance, NULL);
	if (!err)
		err = board_irq_register(&tree->timer_virt, guest_timer, NULL);
	if (err)
		return err;
	if (g->version == 2) {
		el2_host.gich = paging_window(hpa_of(g->gich), g->gich_size, PAGING_UNCACHED);
		if (!el2_host.gich)
			return hc_error(-ENOMEM, "no memory to map the GIC's virtual interface");
		el2_host.gicv = hpa_of(g->gicv);
	}
	el2_host.gic_version = g->version;
	return 0;
}

/* --- Start-up --- */

static bool kicked(void *arg)
{
	(void)arg;
	return false; /* it has ended the guest's run or the sleep, which was its purpose */
}

static void (*stop_fn)(void);

static bool stopped(void *arg)
{
	(void)arg;
	if (stop_fn)
		stop_fn();
	return false;
}

/* GICD_TYPER.ITLinesNumber */
static unsigned count_interrupts(void)
{
	unsigned n = 32 * ((mmio_read32(driver->bank(GIC_SPI_FIRST) + GICD_TYPER) & 31) + 1);

	return n < GIC_INTID_END ? n : GIC_INTID_END;
}

int gic_init(const struct board_tree *tree)
{
	int err;

	driver = tree->gic.version == 3 ? &gicv3_driver : &gicv2_driver;
	if (!tree->gic.version)
		return hc_error(-ENODEV, "the machine has no GICv2 or GICv3");
	err = driver->init(tree);
	if (err)
		return err;
	intid_end = count_interrupts();
	for (unsigned i = GIC_SPI_FIRST; i < intid_end; i += 32)
		silence(i);
	driver->enable();
	functions[GIC_SGI_KICK].fn = kicked;
	functions[GIC_SGI_STOP].fn = stopped;
	return fill_host(tree);
}

int gic_init_cpu(struct board_cpu *c)
{
	int err = driver->find_cpu ? driver->find_cpu(c) : 0;

	if (err)
		return err;
	silence(0);
	err = driver->init_cpu(c);
	if (err)
		return err;
	board_irq_enable(GIC_SGI_KICK);
	board_irq_enable(GIC_SGI_STOP);
	return 0;
}

int board_irq_register(const struct board_irq *irq, board_irq_fn fn, void *arg)
{
	if (irq->intid < GIC_PPI_FIRST || irq->intid >= intid_end)
		return hc_error(-EINVAL, "the %s has no interrupt %u: 16 .. %u", driver->name,
		                irq->intid, intid_end - 1);
	if (functions[irq->intid].fn == fn && functions[irq->intid].arg == arg)
		return 0;
	if (functions[irq->intid].fn)
		return hc_error(-EBUSY, "two devices have interrupt %u", irq->intid);
	functions[irq->intid].arg = arg;
	functions[irq->intid].fn = fn;
	if (irq->intid >= GIC_SPI_FIRST) {
		configure(irq->intid, irq->edge);
		driver->target_this_cpu(irq->intid);
	}
	return 0;
}

/* --- Running --- */

void gic_handle_irq(void)
{
	uint32_t acknowledged = driver->acknowledge();
	unsigned intid = acknowledged & 0x3ff;
	bool keep = false;

	if (intid >= GIC_INTID_END)
		return; /* spurious: it went before it was acknowledged */
	driver->drop(acknowledged);
	if (functions[intid].fn) {
		keep = functions[intid].fn(functions[intid].arg);
	} else {
		board_irq_disable(intid);
		hc_log(HC_LOG_WARN, "interrupt %u came, which nobody has enabled: disabled", intid);
	}
	if (!keep)
		driver->deactivate(acknowledged);
}

void gic_send_kick(const struct board_cpu *cpu)
{
	driver->send_sgi(cpu, GIC_SGI_KICK);
}

void gic_on_stop(void (*fn)(void))
{
	stop_fn = fn;
}

void gic_send_stop(void)
{
	const struct board_cpu *self = this_cpu();

	for (unsigned i = 0; driver && i < board_cpu_count; i++)
		if (&board_cpus[i] != self)
			driver->send_sgi(&board_cpus[i], GIC_SGI_STOP);
}

const char *gic_name(void)
{
	return driver->name;
}
