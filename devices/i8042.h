/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8042 keyboard controller of a PC with nothing attached to it, and the system control port
 * 0x92: enough for guests to find no keyboard and no mouse without waiting, and to reset the
 * machine (IBM PS/2 Hardware Interface Technical Reference, Keyboard and Auxiliary Device
 * Controller). */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

struct hc_vm;

/* Before the VM starts, one per VM: at ports 0x60, 0x64 and 0x92, on lines 1 and 12. The VM owns
 * it. A20 is always open: guests read back what they set. -ENOMEM, or an error of hc_bus_add. */
int i8042_create(struct hc_vm *vm);

#endif
