/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's local APICs and I/O APICs (SDM Vol. 3A chapter 10; 82093AA data sheet). */
#ifndef PLATFORM_BOARD_X86_64_APIC_H
#define PLATFORM_BOARD_X86_64_APIC_H

#include <hypercore/types.h>

struct acpi_info;

/* Boot CPU: chooses xAPIC or x2APIC mode, and silences the 8259 pair. -ENODEV without a local APIC.
 */
int apic_init(void);

/* Each CPU: switches its local APIC on, nothing but NMI enabled. */
void apic_init_cpu(void);

uint32_t apic_id(void);
const char *apic_mode(void);
void apic_eoi(void);

/* Interrupts are off. */
void apic_send_ipi(uint32_t id, uint8_t vector);
void apic_send_init(uint32_t id);
void apic_send_startup(uint32_t id, uint8_t page);
void apic_send_nmi_to_others(void);

/* The timer: one-shot down counting at the bus rate, or by comparison with the TSC. */
bool apic_has_tsc_deadline(void);
void apic_timer_init_cpu(uint8_t vector);
void apic_timer_count(uint32_t count); /* 0 stops it */
uint32_t apic_timer_current(void);
void apic_timer_tsc(uint64_t deadline); /* 0 stops it */

/* Maps and masks all I/O APICs. */
void ioapic_init(const struct acpi_info *acpi);

/* Sends an ISA interrupt as vector to the CPU with that APIC ID. -ENOENT: no I/O APIC has its pin.
 */
int ioapic_route_isa(const struct acpi_info *acpi, uint8_t isa_irq, uint8_t vector, uint32_t id);

/* The same as an NMI to all CPUs. */
int ioapic_route_isa_nmi(const struct acpi_info *acpi, uint8_t isa_irq);

#endif
