/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * By what test guests end their VM. The exit port, or a byte in memory: the byte written is the
 * status. QEMU's isa-debug-exit: v makes it (v << 1) | 1, of which 8 bits remain as of any process'
 * status, so that no guest can end with status 0.
 */
#ifndef DEVICES_EXIT_PORT_H
#define DEVICES_EXIT_PORT_H

#include "core/bus.h"

struct hc_vm;

/* Both before the VM starts. The VM owns the device. -EINVAL (no such port), -ENOMEM, or an error
 * of hc_bus_add. */
int exit_port_create(struct hc_vm *vm, enum hc_space space, uint64_t at);

/* At ports base to base + size - 1; -EINVAL also if size is not 1, 2 or 4. */
int debug_exit_create(struct hc_vm *vm, uint16_t base, unsigned size);

#endif
