/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC that x86 guests see, put together from arch/x86_64 and devices/: RAM, local APICs, IOAPIC,
 * 8259 pair, 8254, MC146818, two 16550s, ACPI power management, i8042 reset, port 0xe9.
 */
#ifndef MACHINES_PC_H
#define MACHINES_PC_H

#include <hypercore/vm.h>

#include "core/chardev.h"

struct pc_config {
	const char *name;
	unsigned cpus;
	uint64_t memory;             /* bytes, a multiple of 2 MiB */
	const void *kernel, *initrd; /* bzImage; initrd may be NULL */
	uint64_t kernel_size, initrd_size;
	const char *cmdline;
	struct hc_chardev *serial[2];       /* at 0x3f8 and 0x2f8; NULL: the port is not there */
	struct hc_chardev *debugcon;        /* at 0xe9; NULL: not there */
	const struct hc_backend_ops *other; /* vCPUs move between the two; NULL: they do not */
	uint64_t switch_ns;                 /* every so many nanoseconds; 0: when asked to */
	uint16_t exit_port; /* a byte written here stops the VM with it as status; 0: none */
};

/* Creates the VM, ready for hc_vm_start(). On failure everything is undone and the error has been
 * explained with hc_error(). */
int pc_create(struct hc_vm **out, const struct hc_backend_ops *backend,
              const struct pc_config *config);

#endif
