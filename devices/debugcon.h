/* SPDX-License-Identifier: BSD-2-Clause */
/* The debug console of Bochs and QEMU: bytes written to port 0xe9 go out; reading gives 0xe9, by
 * which guests recognise it. */
#ifndef DEVICES_DEBUGCON_H
#define DEVICES_DEBUGCON_H

#include "core/chardev.h"

/* Before the VM starts. chr outlives the VM. The VM owns the device. -EINVAL (no chardev), -ENOMEM,
 * or an error of hc_bus_add. */
int debugcon_create(struct hc_vm *vm, struct hc_chardev *chr);

#endif
