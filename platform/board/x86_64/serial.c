/* SPDX-License-Identifier: BSD-2-Clause */
/* COM1 to COM4. */
#include "platform/board/serial.h"

#include "core/log.h"
#include "platform/board/uart_16550.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/machine.h"
#include "platform/board/x86_64/trap.h"

#define CLOCK 1843200

#define COM(port, isa_irq)                                                                         \
	{                                                                                          \
		.ops = &uart_16550_ops, .io = (port), .clock_hz = CLOCK, .irq = (isa_irq)          \
	}

struct serial_port serial_ports[SERIAL_PORTS] = { COM(0x3f8, 4), COM(0x2f8, 3), COM(0x3e8, 4),
	                                          COM(0x2e8, 3) };

uint8_t uart_16550_read(const struct serial_port *p, unsigned reg)
{
	return inb((uint16_t)(p->io + reg));
}

void uart_16550_write(const struct serial_port *p, unsigned reg, uint8_t value)
{
	outb((uint16_t)(p->io + reg), value);
}

int serial_route(struct serial_port *p)
{
	uint8_t vector = (uint8_t)(VECTOR_IRQ + p->irq);
	int err;

	trap_set_handler(vector, serial_interrupt);
	err = ioapic_route_isa(&machine_acpi, (uint8_t)p->irq, vector, apic_id());
	if (err)
		hc_log(HC_LOG_WARN,
		       "no IOAPIC has a pin for interrupt %u: serial port 0x%x is output only",
		       p->irq, p->io);
	return err;
}
