/* SPDX-License-Identifier: BSD-2-Clause */
/* The two cascaded 8259A interrupt controllers of a PC, with the edge/level registers of its
 * chipset (Intel 8259A data sheet; ELCR: 82371 data sheet). */
#ifndef DEVICES_I8259_H
#define DEVICES_I8259_H

struct hc_vm;

/* Before the VM starts, one per VM: at ports 0x20, 0xa0 and 0x4d0. Listens to lines 0 to 15 and is
 * the VM's source of external interrupts. The VM owns it. -ENOMEM, or an error of hc_bus_add or
 * hc_irq_add_sink. */
int i8259_create(struct hc_vm *vm);

#endif
