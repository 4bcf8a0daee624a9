/* SPDX-License-Identifier: BSD-2-Clause */
/* The calling CPU, as platform/platform.h wants it. */
#include "platform/platform.h"

#include "platform/board/aarch64/cpu.h"
#include "platform/board/aarch64/gic.h"
#include "platform/board/idle.h"

static bool at_el1;

void cpu_set_at_el1(void)
{
	at_el1 = true;
}

/* TPIDR_EL2 is undefined at EL1 (Arm ARM D17.2.140). */
struct hc_cpu *hc_platform_this_cpu(void)
{
	return __builtin_expect(at_el1, false) ? NULL : &this_cpu()->cpu;
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

/* What is pending is taken before the ISB completes (Arm ARM D1.3.5). */
void idle_take_interrupts(void)
{
	irq_on();
	isb();
	irq_off();
}

/* WFI ends for an interrupt that is pending, masked or not (Arm ARM D1.6.2): none is lost. */
void idle_sleep(void)
{
	cpu_wfi();
	idle_take_interrupts();
}

void idle_send_kick(const struct hc_cpu *cpu)
{
	gic_send_kick(&board_cpus[cpu->id]);
}

void hc_platform_relax(void)
{
	cpu_pause();
}
