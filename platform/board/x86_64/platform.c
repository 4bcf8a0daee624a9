/* SPDX-License-Identifier: BSD-2-Clause */
/* The calling CPU, as platform/platform.h wants it. */
#include "platform/platform.h"

#include "platform/board/idle.h"
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

/* STI takes effect after the next instruction (SDM Vol. 2, STI). */
void idle_take_interrupts(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

void idle_sleep(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

void idle_send_kick(const struct hc_cpu *cpu)
{
	apic_send_ipi((uint32_t)cpu->hw_id, VECTOR_KICK);
}

uint8_t hc_platform_posting_vector(void)
{
	return VECTOR_POST;
}

void hc_platform_post(struct hc_cpu *cpu)
{
	bool irq = hc_platform_irq_disable();

	apic_send_ipi((uint32_t)cpu->hw_id, VECTOR_POST);
	hc_platform_irq_restore(irq);
}

void hc_platform_relax(void)
{
	cpu_pause();
}
