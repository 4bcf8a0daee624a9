/* SPDX-License-Identifier: BSD-2-Clause */
/* QEMU's isa-debug-exit: a guest that writes v to its ports ends its VM with status (v << 1) | 1,
 * of which 8 bits remain as of any process' status. So no guest can end with status 0. */
#ifndef DEVICES_DEBUG_EXIT_H
#define DEVICES_DEBUG_EXIT_H

#include <hypercore/types.h>

struct hc_vm;

/* Before the VM starts. The VM owns the device, which answers at ports base to base + size - 1.
 * -EINVAL (size is not 1, 2 or 4, or the ports end beyond 0xffff), -ENOMEM, or an error of
 * hc_bus_add. */
int debug_exit_create(struct hc_vm *vm, uint16_t base, unsigned size);

#endif
