/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machine offers for the end. */
#include "platform/board/aarch64/clock.h"
#include "platform/board/aarch64/cpu.h"
#include "platform/board/aarch64/gic.h"
#include "platform/board/aarch64/psci.h"
#include "platform/board/panic.h"

#define STOP_US 1000 /* for the others to come out of their guests */

/* Firmware's way of ending knows of no status: with debug-exit it is taken from the log. */
void end_machine(enum board_end end, bool ok)
{
	switch (end) {
	case BOARD_END_POWEROFF:
	case BOARD_END_DEBUG_EXIT: psci_system_off(); break;
	case BOARD_END_RESET: psci_system_reset(); break;
	case BOARD_END_HALT:
	default: break;
	}
}

void end_halt(void)
{
	for (;;)
		cpu_wfi();
}

/* CPUs that have interrupts masked, as all do but in hc_platform_irq_window() and in guests, go on
 * until they let one in. */
void end_stop_others(void)
{
	if (board_cpu_count > 1) {
		gic_send_stop();
		clock_delay_us(STOP_US);
	}
}
