/* SPDX-License-Identifier: BSD-2-Clause */
/* The UARTs of the device tree, the console's first, then those on PCI cards: com1, com2, ... */
#include "platform/board/serial.h"

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/aarch64/clock.h"
#include "platform/board/aarch64/gic.h"
#include "platform/board/aarch64/hw.h"
#include "platform/board/aarch64/machine.h"
#include "platform/board/aarch64/pl011.h"
#include "platform/board/paging.h"
#include "platform/board/pci_serial.h"
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

static void add(struct serial_port *p, const struct board_uart *u, bool known)
{
	p->regs = paging_window(hpa_of(u->base), u->size, PAGING_UNCACHED);
	if (!p->regs || u->kind >= HC_ARRAY_SIZE(kinds))
		return;
	p->shift = u->reg_shift;
	p->width = u->io_width;
	p->clock_hz = u->clock_hz;
	p->irq = u->irq.intid;
	p->known = known;
	p->ops = kinds[u->kind];
}

/* --- PCI --- */

#define POLL_MS   5u      /* sixteen bytes come in 1.4 ms at 115200 baud; people type slower */
#define PCI_CLOCK 1843200 /* what cards with 16550s run at */

static uint32_t config_read(void *arg, uint32_t at)
{
	return mmio_read32((volatile uint8_t *)arg + at);
}

static void config_write(void *arg, uint32_t at, uint32_t value)
{
	mmio_write32((volatile uint8_t *)arg + at, value);
}

/* Cards' interrupts are not looked for: their ports are looked at now and then. */
static unsigned find_cards(const struct pci_host *host, struct board_uart *found, unsigned most)
{
	struct pci_config config = { config_read, config_write, NULL };
	uint64_t at[SERIAL_PORTS];
	unsigned count;

	if (!most || host->ecam_size < PCI_BUS_SIZE)
		return 0;
	config.arg = paging_window(hpa_of(host->ecam), PCI_BUS_SIZE, PAGING_UNCACHED);
	if (!config.arg)
		return 0;
	count = pci_serial_find(host, &config, at, most);
	for (unsigned i = 0; i < count; i++)
		found[i] = (struct board_uart){ .base = at[i],
			                        .size = 8,
			                        .clock_hz = PCI_CLOCK,
			                        .kind = BOARD_UART_8250,
			                        .io_width = 1 };
	return count;
}

void serial_find(const struct board_tree *tree)
{
	struct board_uart cards[SERIAL_PORTS];
	unsigned own = (unsigned)hc_min(tree->uart_count, SERIAL_PORTS), count;

	for (unsigned i = 0; i < own; i++)
		add(&serial_ports[i], &tree->uarts[i], true);
	count = find_cards(&tree->pci, cards, SERIAL_PORTS - own);
	for (unsigned i = 0; i < count; i++)
		add(&serial_ports[own + i], &cards[i], false);
}

static bool interrupt(void *arg)
{
	(void)arg;
	serial_interrupt();
	return false;
}

int serial_route(struct serial_port *p)
{
	size_t number = (size_t)(p - serial_ports);

	if (p->irq && !board_irq_register(&machine_tree.uarts[number].irq, interrupt, NULL)) {
		board_irq_enable(p->irq);
		return 0;
	}
	hc_log(HC_LOG_INFO, "com%u has no interrupt: it is looked at every %u ms",
	       (unsigned)number + 1, POLL_MS);
	clock_set_poll(serial_interrupt, POLL_MS * UINT64_C(1000000));
	return 0;
}
