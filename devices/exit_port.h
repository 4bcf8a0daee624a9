/* SPDX-License-Identifier: BSD-2-Clause */
/* A port, or a byte in memory, by which test guests end their VM: the byte written is the status.
 */
#ifndef DEVICES_EXIT_PORT_H
#define DEVICES_EXIT_PORT_H

#include "core/bus.h"

struct hc_vm;

/* Before the VM starts. The VM owns the device. -EINVAL (no such port), -ENOMEM, or an error of
 * hc_bus_add. */
int exit_port_create(struct hc_vm *vm, enum hc_space space, uint64_t at);

#endif
