/* SPDX-License-Identifier: BSD-2-Clause */
/* Arm's PL031 real-time clock (PrimeCell RTC, DDI 0224C). */
#ifndef DEVICES_PL031_H
#define DEVICES_PL031_H

#include <hypercore/types.h>

struct hc_vm;

#define PL031_SIZE UINT64_C(0x1000)

struct pl031_config {
	uint64_t base; /* guest physical address of its 4 KiB of registers */
	unsigned line; /* interrupt line, of RTCINTR */
};

/* Before the VM starts. The clock runs, and shows the seconds of hc_platform_wall_clock() until the
 * guest sets it. The VM owns it, on failure too if it got as far as being registered. -EINVAL (no
 * such line), -ENOMEM, or an error of hc_bus_add. */
int pl031_create(struct hc_vm *vm, const struct pl031_config *config);

#endif
