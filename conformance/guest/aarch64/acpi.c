/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI's tables (ACPI Specification 6.4, 5.2): what the kernel needs of them. */
#include "guest/aarch64/machine.h"
#include "guest/print.h"

#define TABLE_LENGTH 4u
#define TABLE_BODY   36u

#define MADT_ENTRIES 44u
#define MADT_GICC    0x0bu
#define MADT_GICD    0x0cu
#define MADT_GICR    0x0eu
#define GICC_ENABLED 1u

#define SPCR_PL011 3u
#define SPCR_SBSA  0x0eu

/* Tables need not be aligned. */
static uint64_t get(uint64_t at, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int n = 0; n < bytes; n++)
		value |= (uint64_t)load8(at + n) << 8 * n;
	return value;
}

static uint64_t length_of(uint64_t table)
{
	return get(table + TABLE_LENGTH, 4);
}

/* By the RSDP's XSDT (5.2.8); 0 if it is not there. */
static uint64_t find(uint64_t rsdp, const char *signature)
{
	uint64_t xsdt = get(rsdp + 24, 8);

	for (uint64_t at = TABLE_BODY; xsdt && at + 8 <= length_of(xsdt); at += 8) {
		uint64_t table = get(xsdt + at, 8);

		if (table && memcmp((const void *)table, signature, 4) == 0)
			return table;
	}
	return 0;
}

/* 5.2.12.14: a CPU, and where its interface and its redistributor are. */
static void read_gicc(uint64_t at)
{
	if (!(get(at + 12, 4) & GICC_ENABLED) || machine.cpu_count == CPUS_MAX)
		return;
	machine.mpidr[machine.cpu_count++] = get(at + 68, 8) & UINT64_C(0xff00ffffff);
	machine.gicc = get(at + 32, 8);
	if (!machine.gicr)
		machine.gicr = get(at + 60, 8);
}

/* 5.2.12.15: an older table does not say the version. */
static void read_gicd(uint64_t at)
{
	unsigned int version = (unsigned int)get(at + 20, 1);

	if (!version)
		version = FIELD(read_sysreg(id_aa64pfr0_el1), 27, 24) ? 3 : 2;
	machine.gic_version = version > 2 ? 3 : 2;
	machine.gicd = get(at + 8, 8);
}

static void read_madt(uint64_t madt)
{
	uint64_t end = madt + length_of(madt);

	for (uint64_t at = madt + MADT_ENTRIES; at + 2 <= end && get(at + 1, 1);
	     at += get(at + 1, 1))
		switch (get(at, 1)) {
		case MADT_GICC: read_gicc(at); break;
		case MADT_GICD: read_gicd(at); break;
		case MADT_GICR: /* 5.2.12.17 */
			machine.gicr = get(at + 4, 8);
			machine.gicr_bytes = get(at + 12, 4);
			break;
		default: break;
		}
	/* Redistributors of which the GICC entries alone know: each is marked as a last one. */
	if (machine.gicr && !machine.gicr_bytes)
		machine.gicr_bytes = 0x20000 * machine.cpu_count;
}

/* Microsoft's Serial Port Console Redirection table, revision 2. */
static void read_spcr(uint64_t spcr)
{
	uint64_t kind = get(spcr + 36, 1);

	if (kind != SPCR_PL011 && kind != SPCR_SBSA)
		return;
	machine.uart = get(spcr + 44, 8);
	machine.uart_irq = (unsigned int)get(spcr + 54, 4);
}

bool acpi_read(uint64_t rsdp)
{
	uint64_t madt = find(rsdp, "APIC"), spcr = find(rsdp, "SPCR");
	uint64_t gtdt = find(rsdp, "GTDT"), fadt = find(rsdp, "FACP");

	if (!madt || !spcr)
		return false;
	read_madt(madt);
	read_spcr(spcr);
	if (gtdt) { /* 5.2.24 */
		machine.timer_physical = (unsigned int)get(gtdt + 56, 4);
		machine.timer_virtual = (unsigned int)get(gtdt + 64, 4);
	}
	if (fadt && get(fadt + 129, 2) & 1) /* 5.2.9: ARM_BOOT_ARCH */
		machine.conduit = get(fadt + 129, 2) & 2 ? CONDUIT_HVC : CONDUIT_SMC;
	return machine.uart != 0;
}
