/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI fixed hardware: PM1a event and control blocks, power management timer, power button, and the
 * reset register (ACPI 6.4, 4.8.3 and 4.8.4.6). */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include <hypercore/types.h>

struct hc_vm;
struct acpi_pm;

#define ACPI_PM_TIMER_HZ UINT64_C(3579545)

/* As the guest's FADT and \_S5 say. */
struct acpi_pm_config {
	uint16_t evt_port;   /* 4 bytes: status, enable */
	uint16_t cnt_port;   /* 2 bytes */
	uint16_t tmr_port;   /* 4 bytes */
	uint16_t reset_port; /* 1 byte; 0: there is none */
	uint8_t reset_value; /* what has to be written there */
	uint8_t s5_type;     /* SLP_TYP of \_S5 */
	bool tmr_32bit;      /* FADT flag TMR_VAL_EXT; else 24 bits count */
	unsigned sci_line;
};

/* Before the VM starts, one per VM. *pm (if pm is not NULL) is for acpi_pm_power_button(); the VM
 * owns it, on failure too if it got as far as being registered. ACPI mode is on from the start:
 * there is no SMI command port. -EINVAL (no such line, SLP_TYP above 7), -ENOMEM, or an error of
 * hc_bus_add. */
int acpi_pm_create(struct hc_vm *vm, const struct acpi_pm_config *config, struct acpi_pm **pm);

/* Somebody pressed it: asks the guest to shut down. Takes the device lock. */
void acpi_pm_power_button(struct acpi_pm *s);

#endif
