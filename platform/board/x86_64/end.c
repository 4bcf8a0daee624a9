/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machine offers for the end. */
#include "platform/board/panic.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/cpu.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/machine.h"

#define PORT_DEBUG_EXIT 0xf4
#define PORT_BOCHS      0x8900
#define PORT_RESET      0xcf9
#define PORT_KEYBOARD   0x64

/* ACPI 6.4, 4.8.3.2.1 */
#define PM1_SCI_EN    0x0001
#define PM1_SLP_SHIFT 10
#define PM1_SLP_MASK  0x3c00
#define PM1_SLP_EN    0x2000

/* Time for what was just written to a port to take effect; no clock is needed. */
static void settle(void)
{
	for (unsigned i = 0; i < 100000; i++)
		inb(0x80);
}

static void sleep_register(uint32_t port, uint8_t type)
{
	uint16_t v;

	if (!port)
		return;
	v = (uint16_t)(inw((uint16_t)port) & ~PM1_SLP_MASK);
	outw((uint16_t)port, (uint16_t)(v | type << PM1_SLP_SHIFT | PM1_SLP_EN));
}

/* 4.8.2.3: registers answer only after the switch to ACPI mode, if that has not happened yet. */
static void enter_acpi_mode(const struct acpi_info *a)
{
	if (inw((uint16_t)a->pm1a_cnt) & PM1_SCI_EN || !a->smi_cmd || !a->acpi_enable)
		return;
	outb((uint16_t)a->smi_cmd, a->acpi_enable);
	for (unsigned i = 0; i < 100000 && !(inw((uint16_t)a->pm1a_cnt) & PM1_SCI_EN); i++)
		;
}

static void power_off(void)
{
	const struct acpi_info *a = &machine_acpi;

	if (a->has_s5 && a->pm1a_cnt) {
		enter_acpi_mode(a);
		sleep_register(a->pm1a_cnt, a->s5_type_a);
		sleep_register(a->pm1b_cnt, a->s5_type_b);
		settle();
	}
	for (const char *s = "Shutdown"; *s; s++)
		outb(PORT_BOCHS, (uint8_t)*s);
}

static void reset(void)
{
	const struct acpi_info *a = &machine_acpi;
	struct table_pointer none = { 0, 0 };

	if (a->has_reset && a->reset_space == 1) {
		outb((uint16_t)a->reset_address, a->reset_value);
		settle();
	}
	outb(PORT_RESET, 2);
	outb(PORT_RESET, 6);
	settle();
	outb(PORT_KEYBOARD, 0xfe);
	settle();
	__asm__ volatile("lidt %0; ud2" : : "m"(none)); /* a triple fault */
}

static void debug_exit(bool ok)
{
	outb(PORT_DEBUG_EXIT, ok ? 0 : 1);
}

void end_machine(enum board_end end, bool ok)
{
	switch (end) {
	case BOARD_END_POWEROFF: power_off(); break;
	case BOARD_END_RESET: reset(); break;
	case BOARD_END_DEBUG_EXIT: debug_exit(ok); break;
	case BOARD_END_HALT:
	default: break;
	}
}

/* NMIs still come, and go. */
void end_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void end_stop_others(void)
{
	if (board_cpu_count > 1) {
		apic_send_nmi_to_others();
		settle();
	}
}
