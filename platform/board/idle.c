/* SPDX-License-Identifier: BSD-2-Clause */
/* What CPUs do between guests, and how others end it. */
#include "platform/board/idle.h"

#include "platform/board/console.h"
#include "platform/board/serial.h"
#include "platform/platform.h"

/* CPUs that were kicked since they last came out of idle; a line of the cache each. */
static struct kick_mark {
	_Alignas(64) _Atomic bool set;
} kick_marks[HC_MAX_CPUS];

/* Serial interrupts arrive at the boot CPU; what they brought is passed on here, where no lock of
 * the core is held. */
static bool pass_on_input(const struct hc_cpu *cpu)
{
	return cpu->id == 0 && serial_poll();
}

void hc_platform_irq_window(void)
{
	idle_take_interrupts();
	pass_on_input(hc_platform_this_cpu());
}

/* A kick whose interrupt was taken in an earlier window has left its mark; one that comes from here
 * on is pending when the CPU goes to sleep. */
void hc_platform_idle(void)
{
	const struct hc_cpu *cpu = hc_platform_this_cpu();
	struct kick_mark *mark = &kick_marks[cpu->id];

	if (!atomic_load(&mark->set) && !pass_on_input(cpu))
		idle_sleep();
	else
		idle_take_interrupts();
	atomic_store(&mark->set, false);
	pass_on_input(cpu);
}

void hc_platform_kick(struct hc_cpu *cpu)
{
	bool irq;

	atomic_store(&kick_marks[cpu->id].set, true);
	atomic_store(&cpu->attention, true);
	irq = hc_platform_irq_disable();
	idle_send_kick(cpu);
	hc_platform_irq_restore(irq);
}

void hc_platform_log(const char *line, size_t len)
{
	console_line(line, len);
}
