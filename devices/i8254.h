/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254 programmable interval timer of a PC with the port that controls its channel 2 and the
 * speaker (Intel 8254 data sheet). Channel 0's output drives line 0. */
#ifndef DEVICES_I8254_H
#define DEVICES_I8254_H

#include <hypercore/types.h>

struct hc_vm;

#define I8254_HZ UINT64_C(1193182)

/* Before the VM starts, one per VM: at ports 0x40 and 0x61. Channels count ticks of I8254_HZ from
 * then, or the last reset, on. The VM owns it. -ENOMEM, or an error of hc_bus_add. */
int i8254_create(struct hc_vm *vm);

#endif
