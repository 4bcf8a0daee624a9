/* SPDX-License-Identifier: BSD-2-Clause */
/* The little of ACPI that is of use: which CPUs there are, where ISA interrupts go, how to power
 * off. */
#include "guest/print.h"
#include "guest/x86_64/machine.h"

struct header {
	char signature[4];
	uint32_t length;
	uint8_t rest[28];
} __attribute__((packed));
_Static_assert(sizeof(struct header) == 36, "ACPI 5.2.6");

#define FIRMWARE_END UINT64_C(0x100000)

static const struct header *root;
static bool wide; /* XSDT */

static bool is_rsdp(uint64_t at)
{
	uint8_t sum = 0;

	if (memcmp((const void *)at, "RSD PTR ", 8))
		return false;
	for (unsigned int n = 0; n < 20; n++)
		sum = (uint8_t)(sum + *(const uint8_t *)(at + n));
	return sum == 0;
}

/* ACPI 5.2.5.1: the first KiB of the EBDA, and E0000h to FFFFFh. */
static uint64_t find_rsdp(void)
{
	uint64_t ebda = (uint64_t)load16(0x40e) << 4;

	if (ebda >= 0x400 && ebda < 0xa0000)
		for (uint64_t at = ebda; at < ebda + 1024; at += 16)
			if (is_rsdp(at))
				return at;
	for (uint64_t at = 0xe0000; at < FIRMWARE_END; at += 16)
		if (is_rsdp(at))
			return at;
	return 0;
}

void acpi_init(uint64_t rsdp)
{
	uint64_t at = rsdp && is_rsdp(rsdp) ? rsdp : find_rsdp();

	if (!at)
		return;
	wide = load8(at + 15) >= 2 && load64(at + 24) && load64(at + 24) < BIT(32);
	root = (const struct header *)(wide ? load64(at + 24) : load32(at + 16));
}

const void *acpi_table(const char *signature)
{
	unsigned int size = wide ? 8 : 4;

	if (!root)
		return NULL;
	for (uint32_t at = sizeof(*root); at + size <= root->length; at += size) {
		uint64_t entry = (uint64_t)root + at;
		uint64_t address = wide ? load64(entry) : load32(entry);

		if (address && address < BIT(32) && !memcmp((const void *)address, signature, 4))
			return (const void *)address;
	}
	return NULL;
}

/* The MADT's entry of a type after another (NULL: the first). ACPI 5.2.12. */
static const uint8_t *madt_next(const uint8_t *entry, uint8_t type)
{
	const struct header *madt = acpi_table("APIC");
	const uint8_t *end;

	if (!madt)
		return NULL;
	end = (const uint8_t *)madt + madt->length;
	entry = entry ? entry + entry[1] : (const uint8_t *)madt + 44;
	for (; entry + 2 <= end && entry[1] >= 2; entry += entry[1])
		if (entry[0] == type)
			return entry;
	return NULL;
}

unsigned int acpi_cpus(uint32_t ids[CPUS_MAX])
{
	unsigned int count = 0;

	for (const uint8_t *at = NULL; (at = madt_next(at, 0)) && count < CPUS_MAX;)
		if (at[4] & 1)
			ids[count++] = at[3];
	return count;
}

unsigned int ioapic_pin(unsigned int isa)
{
	for (const uint8_t *at = NULL; (at = madt_next(at, 2));)
		if (at[3] == isa)
			return load8((uint64_t)at + 4);
	return isa;
}

/* The package \_S5 in the DSDT's code: "_S5_", PackageOp, PkgLength, NumElements, SLP_TYPa. */
static bool find_s5(const struct header *dsdt, uint16_t *type)
{
	const uint8_t *at = (const uint8_t *)dsdt + sizeof(*dsdt),
		      *end = (const uint8_t *)dsdt + dsdt->length;

	for (; at + 9 <= end; at++) {
		if (memcmp(at, "_S5_\x12", 5))
			continue;
		at += 5;
		at += (*at >> 6) + 2;
		*type = *at == 0x0a ? at[1] : (uint16_t)(*at <= 1 ? *at : 0);
		return true;
	}
	return false;
}

void acpi_power_off(void)
{
	const uint8_t *fadt = acpi_table("FACP");
	uint16_t type = 0, port;

	if (!fadt || !find_s5((const struct header *)(uint64_t)load32((uint64_t)fadt + 40), &type))
		return;
	port = (uint16_t)load32((uint64_t)fadt + 64);
	if (port)
		out16(port, (uint16_t)(1u << 13 | (unsigned int)type << 10));
}
