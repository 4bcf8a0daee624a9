/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices that a machine has if it is asked to, as words say it: those of QEMU's that test kernels
 * know. */
#ifndef MACHINES_DEVICE_OPTION_H
#define MACHINES_DEVICE_OPTION_H

#include <hypercore/types.h>

struct machine_devices {
	uint16_t debug_exit;     /* isa-debug-exit: its first port */
	uint8_t debug_exit_size; /* ports; 0: it is not there */
	bool testdev;            /* pc-testdev */
};

/* What a device can be, for messages. */
#define MACHINE_DEVICE_WORDS "isa-debug-exit[,iobase=N][,iosize=1|2|4] or testdev"

/* Adds "isa-debug-exit[,iobase=N][,iosize=N]" (QEMU's defaults: 0x501 and 2) or "testdev"
 * ("pc-testdev" is the same) to those that are there. NULL, or what is wrong; nothing is changed
 * then. */
const char *machine_add_device(struct machine_devices *devices, const char *text);

#endif
