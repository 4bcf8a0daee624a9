/* SPDX-License-Identifier: BSD-2-Clause */
/* Port 8900h of Bochs' and QEMU's PCs: "Shutdown", written a byte at a time, switches it off. */
#ifndef DEVICES_SHUTDOWN_PORT_H
#define DEVICES_SHUTDOWN_PORT_H

struct hc_vm;

/* Before the VM starts. The VM owns the device. -ENOMEM, or an error of hc_bus_add. */
int shutdown_port_create(struct hc_vm *vm);

#endif
