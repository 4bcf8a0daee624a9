/* SPDX-License-Identifier: BSD-2-Clause */
/* A port by which test guests end their VM: the byte written is the status. */
#ifndef DEVICES_EXIT_PORT_H
#define DEVICES_EXIT_PORT_H

#include <hypercore/types.h>

struct hc_vm;

/* Before the VM starts. The VM owns the device. -ENOMEM, or an error of hc_bus_add. */
int exit_port_create(struct hc_vm *vm, uint16_t port);

#endif
