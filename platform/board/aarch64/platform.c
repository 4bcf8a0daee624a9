/* SPDX-License-Identifier: BSD-2-Clause */
/* The calling CPU, as platform/platform.h wants it. */
#include "platform/platform.h"

#include "platform/board/aarch64/cpu.h"
#include "platform/board/aarch64/gic.h"
#include "platform/board/console.h"
#include "platform/board/serial.h"

struct hc_cpu *hc_platform_this_cpu(void)
{
	return &this_cpu()->cpu;
}

bool hc_platform_irq_disable(void)
{
	bool enabled = !(READ_SYSREG(daif) & DAIF_I);

	irq_off();
	return enabled;
}

void hc_platform_irq_restore(bool enabled)
{
	if (enabled)
		irq_on();
}

/* Serial interrupts arrive at the boot CPU; what they brought is passed on here, where no lock of
 * the core is held. */
static bool pass_on_input(const struct board_cpu *c)
{
	return c->cpu.id == 0 && serial_poll();
}

/* What is pending is taken before the ISB completes (Arm ARM D1.3.5). */
static void take_interrupts(void)
{
	irq_on();
	isb();
	irq_off();
}

void hc_platform_irq_window(void)
{
	take_interrupts();
	pass_on_input(this_cpu());
}

/* WFI ends for an interrupt that is pending, masked or not (Arm ARM D1.6.2): none is lost between
 * the look at the mark and the sleep. */
void hc_platform_idle(void)
{
	struct board_cpu *c = this_cpu();

	if (!atomic_load(&c->kicked) && !pass_on_input(c))
		cpu_wfi();
	take_interrupts();
	atomic_store(&c->kicked, false);
	pass_on_input(c);
}

void hc_platform_kick(struct hc_cpu *cpu)
{
	struct board_cpu *c = HC_CONTAINER_OF(cpu, struct board_cpu, cpu);
	bool irq;

	atomic_store(&c->kicked, true);
	atomic_store(&cpu->attention, true);
	irq = hc_platform_irq_disable();
	gic_send_kick(c);
	hc_platform_irq_restore(irq);
}

void hc_platform_relax(void)
{
	cpu_pause();
}

void hc_platform_log(const char *line, size_t len)
{
	console_line(line, len);
}
