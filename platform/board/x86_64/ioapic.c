/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O APICs (82093AA data sheet, 3.2). */
#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/acpi.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/paging.h"

#define REG_VERSION  0x01
#define REG_REDIRECT 0x10 /* two registers per pin */

#define PIN_MASKED 0x10000
#define PIN_LEVEL  0x8000
#define PIN_LOW    0x2000
#define PIN_NMI    0x400
#define EVERY_CPU  0xff

/* MPS INTI flags (ACPI 6.4, table 5.26). */
#define INTI_POLARITY 0x3 /* both bits set: active low */
#define INTI_TRIGGER  0xc /* both bits set: level */

static struct {
	volatile uint32_t *mmio; /* IOREGSEL; IOWIN at + 0x10 */
	uint32_t gsi_base, pins;
} ioapics[ACPI_MAX_IOAPICS];
static unsigned count;

static uint32_t reg_read(unsigned i, uint32_t reg)
{
	ioapics[i].mmio[0] = reg;
	return ioapics[i].mmio[4];
}

static void reg_write(unsigned i, uint32_t reg, uint32_t v)
{
	ioapics[i].mmio[0] = reg;
	ioapics[i].mmio[4] = v;
}

void ioapic_init(const struct acpi_info *acpi)
{
	for (unsigned n = 0; n < acpi->ioapic_count; n++) {
		hpa_t pa = hpa_of(acpi->ioapics[n].address);
		unsigned i = count;

		ioapics[i].mmio = paging_window(pa, 0x20, PAGING_UNCACHED);
		if (!ioapics[i].mmio) {
			hc_log(HC_LOG_WARN, "no memory to map the IOAPIC at 0x%llx",
			       (unsigned long long)pa.v);
			continue;
		}
		ioapics[i].gsi_base = acpi->ioapics[n].gsi_base;
		ioapics[i].pins = (reg_read(i, REG_VERSION) >> 16 & 0xff) + 1;
		count++;
		for (uint32_t pin = 0; pin < ioapics[i].pins; pin++)
			reg_write(i, REG_REDIRECT + 2 * pin, PIN_MASKED);
	}
}

static int route(const struct acpi_info *acpi, uint8_t isa_irq, uint32_t low, uint32_t id)
{
	uint16_t flags;
	uint32_t gsi = acpi_isa_gsi(acpi, isa_irq, &flags);

	if ((flags & INTI_POLARITY) == INTI_POLARITY)
		low |= PIN_LOW;
	if ((flags & INTI_TRIGGER) == INTI_TRIGGER)
		low |= PIN_LEVEL;
	for (unsigned i = 0; i < count; i++) {
		uint32_t pin = gsi - ioapics[i].gsi_base;

		if (gsi < ioapics[i].gsi_base || pin >= ioapics[i].pins)
			continue;
		reg_write(i, REG_REDIRECT + 2 * pin + 1, id << 24);
		reg_write(i, REG_REDIRECT + 2 * pin, low);
		return 0;
	}
	return -ENOENT;
}

int ioapic_route_isa(const struct acpi_info *acpi, uint8_t isa_irq, uint8_t vector, uint32_t id)
{
	return route(acpi, isa_irq, vector, id);
}

int ioapic_route_isa_nmi(const struct acpi_info *acpi, uint8_t isa_irq)
{
	return route(acpi, isa_irq, PIN_NMI, EVERY_CPU);
}
