/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a PC's board wants to know from the firmware's ACPI tables (ACPI 6.4, chapter 5), without an
 * AML interpreter.
 */
#ifndef PLATFORM_BOARD_ACPI_H
#define PLATFORM_BOARD_ACPI_H

#include "platform/board/acpi_tables.h"

#define ACPI_MAX_CPUS      256
#define ACPI_MAX_IOAPICS   8
#define ACPI_MAX_OVERRIDES 16

struct acpi_override {
	uint8_t isa_irq;
	uint16_t flags; /* MPS INTI: polarity in bits 0-1, trigger mode in bits 2-3 */
	uint32_t gsi;
};

struct acpi_info {
	/* MADT */
	bool has_madt;
	uint64_t lapic_address;
	unsigned cpu_count, cpus_left_out; /* enabled ones; those beyond ACPI_MAX_CPUS */
	uint32_t cpu_ids[ACPI_MAX_CPUS];   /* APIC IDs */
	unsigned ioapic_count;
	struct {
		uint32_t address, gsi_base;
	} ioapics[ACPI_MAX_IOAPICS];
	unsigned override_count;
	struct acpi_override overrides[ACPI_MAX_OVERRIDES];

	/* FADT and the DSDT's \_S5; ports are 0 where there is none. */
	uint32_t pm1a_cnt, pm1b_cnt, smi_cmd;
	uint8_t acpi_enable;
	bool has_s5;
	uint8_t s5_type_a, s5_type_b;
	bool has_reset;
	uint8_t reset_space, reset_value; /* space: 0 memory, 1 I/O, as in a generic address */
	uint64_t reset_address;

	/* HPET */
	uint64_t hpet_address; /* 0: there is none */
};

/* Reads what the RSDP at pa leads to. -ENOENT if there is no valid RSDP or root table there
 * (logged); other tables that are missing or bad leave their part of *info zero. */
int acpi_read(struct acpi_info *info, uint64_t rsdp, acpi_map map, void *arg);

/* The global interrupt that an ISA interrupt is wired to, and its flags as in acpi_override. */
uint32_t acpi_isa_gsi(const struct acpi_info *info, uint8_t isa_irq, uint16_t *flags);

#endif
