/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways in which a PC is reset and switched off. They come last: each ends the machine. */
#include "guest/arch.h"
#include "guest/x86_64/feature.h"

/* Until the machine is gone; the case fails if that does not come. */
static void wait_for_end(void)
{
	for (struct limit limit = limit_of(3000); !limit_passed(&limit);)
		;
}

TEST_ENDS(reset_by_keyboard_controller, "reset",
          "8042 data sheet, command FEH: pulse the reset line")
{
	for (unsigned int turns = 0; turns < 1000 && in8(0x64) & 2; turns++)
		;
	out8(0x64, 0xfe);
	wait_for_end();
}

TEST_ENDS(reset_by_cf9, "reset", "PIIX3 data sheet 2.3.6: RCR[2] from 0 to 1: reset; RCR[1]: hard")
{
	out8(0xcf9, 2);
	if (in8(0xcf9) != 2)
		skip("a reset control register at CF9H");
	out8(0xcf9, 6);
	wait_for_end();
}

TEST_ENDS(reset_by_acpi, "reset", "ACPI 4.8.3.6: RESET_REG of the FADT")
{
	const uint8_t *fadt = acpi_table("FACP");

	if (!fadt || load32((uint64_t)fadt + 4) < 129 || !(load32((uint64_t)fadt + 112) & BIT(10)))
		skip("RESET_REG in the FADT");
	if (load8((uint64_t)fadt + 116) == 1)
		out8((uint16_t)load64((uint64_t)fadt + 120), load8((uint64_t)fadt + 128));
	else if (load8((uint64_t)fadt + 116) == 0)
		store8(load64((uint64_t)fadt + 120), load8((uint64_t)fadt + 128));
	else
		skip("RESET_REG in I/O or memory");
	wait_for_end();
}

TEST_ENDS(power_off_by_acpi, "power-off",
          "ACPI 4.8.3.2, 16.1.7: SLP_TYP of S5 and SLP_EN in PM1a_CNT")
{
	if (!acpi_table("FACP"))
		skip("a FADT");
	acpi_power_off();
	wait_for_end();
}

static void fault_three_times(void *argument)
{
	lidt(0, 0);
	__asm__ volatile("ud2");
}

TEST_ENDS(triple_fault_of_another_cpu, "triple-fault",
          "SDM Vol. 3A 6.15, interrupt 8: shutdown, on any CPU")
{
	if (cpu_count() < 2)
		skip("2 CPUs");
	start_cpu(1, fault_three_times, NULL);
	wait_for_end();
}
