/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's pc-testdev, as test kernels know it:
 *
 *   ports E0h to E3h     32 bits that read as they were written, in any width
 *   ports E4h to E7h     a page's guest physical address: whatever the hypervisor keeps of that
 * page is dropped. Guests see nothing of it. ports E8h to EBh     the same 32 bits, whose accesses
 * reach the device byte by byte ports 2000h + n      interrupt line n, 0 to 23: high while the last
 * byte written was not 0 memory FF000000h     64 KiB that read as they were written, by the device
 */
#ifndef DEVICES_PC_TESTDEV_H
#define DEVICES_PC_TESTDEV_H

struct hc_vm;

/* Before the VM starts. The VM owns the device. -ENOMEM, or an error of hc_bus_add. */
int pc_testdev_create(struct hc_vm *vm);

#endif
