/* SPDX-License-Identifier: BSD-2-Clause */
/* A 16550A serial port (National PC16550D data sheet), as a PC has them, or in memory with its
 * registers side by side. */
#ifndef DEVICES_UART16550_H
#define DEVICES_UART16550_H

#include "core/bus.h"
#include "core/chardev.h"

/* The input clock; one bit lasts 16 * divisor of its cycles. */
#define UART16550_CLOCK_HZ UINT64_C(1843200)

struct uart16550;

struct uart16550_config {
	uint64_t base;          /* first of its 8 ports or bytes: 0x3f8 */
	unsigned line;          /* interrupt line: 4 */
	struct hc_chardev *chr; /* outlives the VM; the port attaches itself to it */
	enum hc_space space;    /* only among ports OUT2 switches the interrupt, as a PC does it */
};

/* Before the VM starts. *uart (if uart is not NULL) is for uart16550_break(); the VM owns it, on
 * failure too if it got as far as being registered. -EINVAL (no chardev, ports beyond 0xffff, no
 * such line), -ENOMEM, or an error of hc_bus_add. */
int uart16550_create(struct hc_vm *vm, const struct uart16550_config *config,
                     struct uart16550 **uart);

/* The outside holds the line in the spacing state: a break arrives. Takes the device lock. */
void uart16550_break(struct uart16550 *uart);

#endif
