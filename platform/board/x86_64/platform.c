/* SPDX-License-Identifier: BSD-2-Clause */
/* The calling CPU, as platform/platform.h wants it. */
#include "platform/platform.h"

#include "platform/board/console.h"
#include "platform/board/serial.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/cpu.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/trap.h"

struct hc_cpu *hc_platform_this_cpu(void)
{
	return &this_cpu()->cpu;
}

bool hc_platform_irq_disable(void)
{
	bool enabled = read_rflags() & RFLAGS_IF;

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

void hc_platform_irq_window(void)
{
	/* STI takes effect after the next instruction (SDM Vol. 2, STI). */
	__asm__ volatile("sti; nop; cli" : : : "memory");
	pass_on_input(this_cpu());
}

/* A kick whose interrupt was taken in an earlier window has left its mark; one that comes from here
 * on is pending when STI; HLT lets it in, and ends the HLT. */
void hc_platform_idle(void)
{
	struct board_cpu *c = this_cpu();

	if (!atomic_load(&c->kicked) && !pass_on_input(c))
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	else
		__asm__ volatile("sti; nop; cli" : : : "memory");
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
	apic_send_ipi((uint32_t)cpu->hw_id, VECTOR_KICK);
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
