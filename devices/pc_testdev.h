/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's pc-testdev, as test kernels know it:
 *
 *   what               how much   what it does
 *   -----------------  ---------  --------------------------------------------------------------
 *   port E0h           4          reads as it was written, in any width
 *   port E4h           4          drops what the hypervisor keeps of the page at this address, of
 *                                 which guests see nothing
 *   port E8h           4          the same as E0h, byte by byte for the device
 *   port 2000h         24         line n of the interrupts: high while the last byte was not 0
 *   memory FF000000h   64 KiB     reads as it was written
 */
#ifndef DEVICES_PC_TESTDEV_H
#define DEVICES_PC_TESTDEV_H

struct hc_vm;

/* Before the VM starts. The VM owns the device. -ENOMEM, or an error of hc_bus_add. */
int pc_testdev_create(struct hc_vm *vm);

#endif
