/* SPDX-License-Identifier: BSD-2-Clause */
/* The UARTs of the device tree, the console's first: com1, com2, ... */
#include "platform/board/serial.h"

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/aarch64/gic.h"
#include "platform/board/aarch64/hw.h"
#include "platform/board/aarch64/machine.h"
#include "platform/board/aarch64/pl011.h"
#include "platform/board/paging.h"
#include "platform/board/uart_16550.h"

struct serial_port serial_ports[SERIAL_PORTS];

static const struct serial_ops *const kinds[] = {
	[BOARD_UART_PL011] = &pl011_ops,
	[BOARD_UART_SBSA] = &sbsa_uart_ops,
	[BOARD_UART_8250] = &uart_16550_ops,
};

uint8_t uart_16550_read(const struct serial_port *p, unsigned reg)
{
	const volatile uint8_t *at = p->regs + ((size_t)reg << p->shift);

	switch (p->width) {
	case 2: return (uint8_t)mmio_read16(at);
	case 4: return (uint8_t)mmio_read32(at);
	default: return mmio_read8(at);
	}
}

void uart_16550_write(const struct serial_port *p, unsigned reg, uint8_t value)
{
	volatile uint8_t *at = p->regs + ((size_t)reg << p->shift);

	switch (p->width) {
	case 2: mmio_write16(at, value); break;
	case 4: mmio_write32(at, value); break;
	default: mmio_write8(at, value); break;
	}
}

static void add(struct serial_port *p, const struct board_uart *u)
{
	p->regs = paging_window(hpa_of(u->base), u->size, PAGING_UNCACHED);
	if (!p->regs || u->kind >= HC_ARRAY_SIZE(kinds))
		return;
	p->shift = u->reg_shift;
	p->width = u->io_width;
	p->clock_hz = u->clock_hz;
	p->irq = u->irq.intid;
	p->ops = kinds[u->kind];
}

void serial_find(const struct board_tree *tree)
{
	for (unsigned i = 0; i < tree->uart_count && i < SERIAL_PORTS; i++)
		add(&serial_ports[i], &tree->uarts[i]);
}

static bool interrupt(void *arg)
{
	(void)arg;
	serial_interrupt();
	return false;
}

int serial_route(struct serial_port *p)
{
	unsigned number = (unsigned)(p - serial_ports);
	int err = -ENODEV;

	if (p->irq)
		err = board_irq_register(&machine_tree.uarts[number].irq, interrupt, NULL);
	if (err == -EBUSY) /* ports that share a line */
		err = 0;
	if (err)
		hc_log(HC_LOG_WARN, "com%u has no interrupt: it is output only", number + 1);
	else
		board_irq_enable(p->irq);
	return err;
}
