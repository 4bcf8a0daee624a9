/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways in which a PC is reset and ends. */
#include "guest/x86_64/machine.h"

/* A reset may take a while to come. */
static void wait_for_the_end(void)
{
	for (struct limit limit = limit_of(1000); !limit_passed(&limit);)
		;
}

TEST_ENDS(reset_by_keyboard_controller, "reset",
          "8042 data sheet: command FEH pulses output 0: reset")
{
	out8(0x64, 0xfe);
	wait_for_the_end();
}

TEST_ENDS(reset_by_cf9, "reset", "PIIX3 data sheet 2.3.6: RCR[2] from 0 to 1: reset; RCR[1]: hard")
{
	out8(0xcf9, 2);
	if (in8(0xcf9) != 2)
		skip("a reset control register at CF9H");
	out8(0xcf9, 6);
	wait_for_the_end();
}

TEST_ENDS(reset_by_acpi, "reset", "ACPI 6.3, 4.8.3.6: RESET_REG, RESET_VALUE")
{
	const uint8_t *fadt = acpi_table("FACP");

	if (!fadt || load32((uint64_t)fadt + 4) < 129 || !(load32((uint64_t)fadt + 112) & BIT(10)))
		skip("FADT's RESET_REG_SUP");
	if (fadt[116] != 1)
		skip("a reset register among the ports");
	out8((uint16_t)load64((uint64_t)fadt + 120), fadt[128]);
	wait_for_the_end();
}

TEST_ENDS(end_by_debug_exit, "power-off", "QEMU: isa-debug-exit at F4H")
{
	out32(0xf4, 0);
	wait_for_the_end();
	skip("isa-debug-exit");
}

TEST_ENDS(end_by_shutdown_port, "power-off", "Bochs: \"Shutdown\" at port 8900H")
{
	for (const char *at = "Shutdown"; *at; at++)
		out8(0x8900, (uint8_t)*at);
	wait_for_the_end();
	skip("port 8900h");
}

TEST_ENDS(power_off_by_acpi, "power-off", "ACPI 6.3, 4.8.3.2.1: SLP_EN with \\_S5's SLP_TYP")
{
	if (!acpi_table("FACP"))
		skip("FADT");
	acpi_power_off();
	wait_for_the_end();
}
