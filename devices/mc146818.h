/* SPDX-License-Identifier: BSD-2-Clause */
/* The MC146818A real-time clock and the 128 bytes of CMOS memory of a PC (Motorola data sheet; the
 * bytes from 0x0e on are IBM's and their successors'). */
#ifndef DEVICES_MC146818_H
#define DEVICES_MC146818_H

#include <hypercore/types.h>

struct hc_vm;

struct mc146818_config {
	uint64_t ram_low, ram_high; /* bytes of RAM below and above 4 GiB, for the size bytes */
};

/* Before the VM starts, one per VM: at ports 0x70 and 0x71, on line 8. The clock shows UTC of
 * hc_platform_wall_clock(). The VM owns it. -ENOMEM, or an error of hc_bus_add. */
int mc146818_create(struct hc_vm *vm, const struct mc146818_config *config);

#endif
