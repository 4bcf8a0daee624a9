/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/acpi.h"

#include <hypercore/freestanding.h>

#include "core/log.h"

/* --- MADT (5.2.12) --- */

static void add_cpu(struct acpi_info *info, uint32_t id, uint32_t flags)
{
	if (!(flags & 1))
		return;
	for (unsigned i = 0; i < info->cpu_count; i++)
		if (info->cpu_ids[i] == id) /* listed as local APIC and as x2APIC */
			return;
	if (info->cpu_count == ACPI_MAX_CPUS) {
		info->cpus_left_out++;
		return;
	}
	info->cpu_ids[info->cpu_count++] = id;
}

static void add_ioapic(struct acpi_info *info, uint32_t address, uint32_t gsi_base)
{
	if (info->ioapic_count == ACPI_MAX_IOAPICS)
		return;
	info->ioapics[info->ioapic_count].address = address;
	info->ioapics[info->ioapic_count++].gsi_base = gsi_base;
}

static void add_override(struct acpi_info *info, const struct acpi_table *e)
{
	if (info->override_count == ACPI_MAX_OVERRIDES)
		return;
	info->overrides[info->override_count++] = (struct acpi_override){
		.isa_irq = acpi_get8(e, 3),
		.gsi = acpi_get32(e, 4),
		.flags = acpi_get16(e, 8),
	};
}

static void read_madt_entry(void *arg, uint8_t type, const struct acpi_table *e)
{
	struct acpi_info *info = arg;

	switch (type) {
	case 0: add_cpu(info, acpi_get8(e, 3), acpi_get32(e, 4)); break;
	case 1: add_ioapic(info, acpi_get32(e, 4), acpi_get32(e, 8)); break;
	case 2: add_override(info, e); break;
	case 5: info->lapic_address = acpi_get64(e, 4); break;
	default: add_cpu(info, acpi_get32(e, 4), acpi_get32(e, 8)); break;
	}
}

static void read_madt(const struct acpi_reader *r, const struct acpi_table *t)
{
	static const uint8_t least[] = { [0] = 8, [1] = 12, [2] = 10, [5] = 12, [9] = 16 };
	static const struct acpi_entries kind = { "MADT", least, sizeof(least), read_madt_entry };
	struct acpi_info *info = r->info;

	info->has_madt = true;
	info->lapic_address = acpi_get32(t, 36);
	acpi_read_entries(&kind, info, t, 44);
}

/* --- FADT (5.2.9) and \_S5 (7.4.2) --- */

/* An integer of AML's data encoding (20.2.3) at *at, if it is a small one. */
static bool aml_byte(const struct acpi_table *t, uint64_t *at, uint8_t *value)
{
	uint8_t op = acpi_get8(t, *at);

	if (*at >= t->len)
		return false;
	*at += 1;
	switch (op) {
	case 0x00:
	case 0x01: *value = op; return true;
	case 0x0a: *value = acpi_get8(t, *at); break;
	case 0x0b:
		*value = acpi_get8(t, *at);
		*at += 1;
		break;
	case 0x0c:
		*value = acpi_get8(t, *at);
		*at += 3;
		break;
	default: return false;
	}
	*at += 1;
	return *at <= t->len;
}

/* Name (_S5, Package () { a, b, ... }): found by its bytes. */
static bool find_s5(const struct acpi_table *t, uint8_t *a, uint8_t *b)
{
	for (uint64_t i = ACPI_HEADER_SIZE; i + 8 < t->len; i++) {
		uint64_t at = i + 5;

		if (memcmp(t->data + i, "_S5_\x12", 5) != 0)
			continue;
		if (t->data[i - 1] != 0x08 && !(t->data[i - 1] == '\\' && t->data[i - 2] == 0x08))
			continue;
		at += 1 + (t->data[at] >> 6); /* PkgLength (20.2.4) */
		at += 1;                      /* NumElements */
		if (aml_byte(t, &at, a) && aml_byte(t, &at, b))
			return true;
	}
	return false;
}

static void read_s5(const struct acpi_reader *r, const struct acpi_table *t)
{
	struct acpi_info *info = r->info;

	if (!info->has_s5)
		info->has_s5 = find_s5(t, &info->s5_type_a, &info->s5_type_b);
}

/* The extended address of a register block if it is a port, else the old member. */
static uint32_t port_of(const struct acpi_table *t, uint64_t at, uint64_t extended_at)
{
	uint64_t extended = acpi_get64(t, extended_at + 4);

	if (acpi_get8(t, extended_at) == 1 && extended && extended <= UINT16_MAX)
		return (uint32_t)extended;
	return acpi_get32(t, at) <= UINT16_MAX ? acpi_get32(t, at) : 0;
}

static void read_fadt(const struct acpi_reader *r, const struct acpi_table *t)
{
	struct acpi_info *info = r->info;
	uint64_t dsdt = acpi_get64(t, 140);
	struct acpi_table d;

	info->smi_cmd = acpi_get32(t, 48);
	info->acpi_enable = acpi_get8(t, 52);
	info->pm1a_cnt = port_of(t, 64, 172);
	info->pm1b_cnt = port_of(t, 68, 184);
	/* Flag 10, RESET_REG_SUP. */
	if (acpi_get32(t, 112) & HC_BIT(10) && acpi_get8(t, 116) <= 1) {
		info->has_reset = true;
		info->reset_space = acpi_get8(t, 116);
		info->reset_address = acpi_get64(t, 120);
		info->reset_value = acpi_get8(t, 128);
	}
	if (!dsdt)
		dsdt = acpi_get32(t, 40);
	if (acpi_open_table(r, dsdt, &d))
		read_s5(r, &d);
}

/* --- HPET (IA-PC HPET specification, 3.2.4) --- */

static void read_hpet(const struct acpi_reader *r, const struct acpi_table *t)
{
	struct acpi_info *info = r->info;

	if (t->len >= 56 && acpi_get8(t, 40) == 0)
		info->hpet_address = acpi_get64(t, 44);
}

int acpi_read(struct acpi_info *info, uint64_t rsdp, acpi_map map, void *arg)
{
	static const struct acpi_table_kind kinds[] = {
		{ "APIC", read_madt }, { "FACP", read_fadt }, { "HPET", read_hpet },
		{ "SSDT", read_s5 },   { "", NULL },
	};
	const struct acpi_reader r = { info, map, arg, kinds };

	memset(info, 0, sizeof(*info));
	return acpi_read_tables(&r, rsdp);
}

uint32_t acpi_isa_gsi(const struct acpi_info *info, uint8_t isa_irq, uint16_t *flags)
{
	for (unsigned i = 0; i < info->override_count; i++) {
		if (info->overrides[i].isa_irq == isa_irq) {
			*flags = info->overrides[i].flags;
			return info->overrides[i].gsi;
		}
	}
	*flags = 0;
	return isa_irq;
}
