/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest machine is made from, whatever its architecture. */
#ifndef MACHINES_MACHINE_H
#define MACHINES_MACHINE_H

#include <hypercore/vm.h>

#include "core/chardev.h"
#include "machines/device_option.h"

struct machine_config {
	const char *name;
	unsigned cpus;
	uint64_t memory;             /* bytes, a multiple of 2 MiB */
	const void *kernel, *initrd; /* initrd may be NULL */
	uint64_t kernel_size, initrd_size;
	const char *cmdline;
	const char *initrd_name; /* what a multiboot kernel is told of its module; NULL: nothing */
	struct hc_chardev *serial[2];       /* NULL: the port is not there */
	struct hc_chardev *debugcon;        /* the PC's port 0xe9; NULL: not there */
	const struct hc_backend_ops *other; /* vCPUs move between the two; NULL: they do not */
	uint64_t switch_ns;                 /* every so many nanoseconds; 0: when asked to */
	uint64_t tsc_hz;   /* the PC's: of the guest's TSC; 0: the machine's rate */
	bool small_pages;  /* stage 2's; false: as large as they fit */
	uint64_t dirty_ns; /* count the pages written in so many nanoseconds; 0: do not */
	/* A byte written here stops the VM with it as status: the PC's port, another machine's
	 * guest physical address; 0: there is no such device. */
	uint64_t exit_at;
	/* The PC's. With isa-debug-exit there is no device at exit_at. */
	struct machine_devices devices;
};

/* Creates the VM, ready for hc_vm_start(). On failure everything is undone and the error has been
 * explained with hc_error(). */
typedef int (*machine_create_fn)(struct hc_vm **out, const struct hc_backend_ops *backend,
                                 const struct machine_config *config);

#endif
