/* SPDX-License-Identifier: BSD-2-Clause */
/* An I/O APIC with 24 pins (Intel 82093AA data sheet; version and EOI register of its successors:
 * 82801 data sheets). */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include <hypercore/types.h>

struct hc_vm;

#define IOAPIC_PINS 24

struct ioapic_config {
	uint64_t base; /* 0xfec00000 */
	uint8_t id;    /* as the firmware's tables say; the guest may change it */
};

/* Before the VM starts. Line n is pin n, but line 0 is pin 2, as on a PC. The VM owns it. -EINVAL
 * (base not page-aligned, id above 15), -ENOMEM, or an error of hc_bus_add or hc_irq_add_sink. */
int ioapic_create(struct hc_vm *vm, const struct ioapic_config *config);

#endif
