/* SPDX-License-Identifier: BSD-2-Clause */
/* Arm's PL011 serial port (PrimeCell UART, DDI 0183G), revision r1p1 with FIFOs of 16. */
#ifndef DEVICES_PL011_H
#define DEVICES_PL011_H

#include "core/chardev.h"

/* What its input clock, UARTCLK, has to be said to be. */
#define PL011_CLOCK_HZ UINT64_C(24000000)

#define PL011_SIZE UINT64_C(0x1000)

struct pl011_config {
	uint64_t base;          /* guest physical address of its 4 KiB of registers */
	unsigned line;          /* interrupt line, of UARTINTR */
	struct hc_chardev *chr; /* outlives the VM; the port attaches itself to it */
};

/* Before the VM starts. The VM owns it, on failure too if it got as far as being registered. It is
 * set up for 115200 baud, 8 bits, and enabled, as firmware leaves the port of a console. -EINVAL
 * (no chardev, no such line), -ENOMEM, or an error of hc_bus_add. */
int pl011_create(struct hc_vm *vm, const struct pl011_config *config);

#endif
