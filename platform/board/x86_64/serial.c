/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/x86_64/serial.h"

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/output_lock.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/trap.h"

/* Registers (PC16550D table II). */
enum {
	UART_DATA = 0,
	UART_IER = 1,
	UART_FCR = 2,
	UART_IIR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7
};

#define IER_RX    0x01
#define FCR_SETUP 0x87 /* on, both cleared, trigger at 8 bytes */
#define IIR_FIFO  0xc0
#define LCR_8N1   0x03
#define LCR_DLAB  0x80
#define MCR_ON    0x0b /* DTR, RTS, OUT2: the gate of the interrupt line on a PC */
#define LSR_DR    0x01
#define LSR_THRE  0x20
#define LSR_TEMT  0x40

#define FIFO_SIZE 16
#define RX_RING   1024    /* a power of two */
#define PATIENCE  1000000 /* reads of LSR before a port counts as stuck */

struct serial_port {
	struct hc_chardev chr;
	struct output_lock lock;
	unsigned fifo; /* bytes that it takes at once */
	uint16_t base;
	uint8_t isa_irq;
	bool probed, present;
	bool stuck;    /* never gets ready: written to no more */
	bool mid_line; /* a guest has written, but not ended, a line */

	/* Input: filled by the interrupt, emptied by serial_poll(), both on the boot CPU. */
	bool input;
	uint8_t ring[RX_RING];
	volatile uint32_t head, tail;
};

static struct serial_port ports[SERIAL_PORTS] = {
	{ .base = 0x3f8, .isa_irq = 4 },
	{ .base = 0x2f8, .isa_irq = 3 },
	{ .base = 0x3e8, .isa_irq = 4 },
	{ .base = 0x2e8, .isa_irq = 3 },
};

static bool probe(const struct serial_port *p)
{
	outb(p->base + UART_SCR, 0x5a);
	if (inb(p->base + UART_SCR) != 0x5a)
		return false;
	outb(p->base + UART_SCR, 0xa5);
	return inb(p->base + UART_SCR) == 0xa5;
}

static void set_up(struct serial_port *p)
{
	outb(p->base + UART_IER, 0);
	outb(p->base + UART_LCR, LCR_DLAB | LCR_8N1);
	outb(p->base + UART_DATA, 1); /* divisor 1: 115200 baud */
	outb(p->base + UART_IER, 0);
	outb(p->base + UART_LCR, LCR_8N1);
	outb(p->base + UART_FCR, FCR_SETUP);
	outb(p->base + UART_MCR, MCR_ON);
	p->fifo = (inb(p->base + UART_IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_SIZE : 1;
}

struct serial_port *serial_open(unsigned number)
{
	struct serial_port *p = number < SERIAL_PORTS ? &ports[number] : NULL;

	if (p && !p->probed) {
		p->probed = true;
		p->present = probe(p);
		if (p->present)
			set_up(p);
	}
	return p && p->present ? p : NULL;
}

static bool wait_for(struct serial_port *p, uint8_t lsr_bit)
{
	for (unsigned i = 0; !p->stuck && i < PATIENCE; i++) {
		if (inb(p->base + UART_LSR) & lsr_bit)
			return true;
		cpu_pause();
	}
	/* A port that never gets ready (flow control by a management controller) costs time once.
	 */
	p->stuck = true;
	return false;
}

static void put(struct serial_port *p, const uint8_t *data, size_t len)
{
	while (len) {
		size_t n = len < p->fifo ? len : p->fifo;

		if (!wait_for(p, LSR_THRE))
			return;
		len -= n;
		while (n--)
			outb(p->base + UART_DATA, *data++);
	}
}

void serial_write_line(void *port, const char *line, size_t len)
{
	static const uint8_t newline[] = { '\r', '\n' };
	struct serial_port *p = port;
	struct output_hold hold = output_enter(&p->lock);

	if (p->mid_line)
		put(p, newline, sizeof(newline));
	p->mid_line = false;
	put(p, (const uint8_t *)line, len);
	put(p, newline, sizeof(newline));
	output_leave(&p->lock, hold);
}

static void guest_write(struct hc_chardev *chr, const uint8_t *data, size_t len)
{
	struct serial_port *p = HC_CONTAINER_OF(chr, struct serial_port, chr);
	struct output_hold hold = output_enter(&p->lock);

	put(p, data, len);
	if (len)
		p->mid_line = data[len - 1] != '\n';
	output_leave(&p->lock, hold);
}

struct hc_chardev *serial_chardev(struct serial_port *p)
{
	p->chr.write = guest_write;
	return &p->chr;
}

/* --- Input --- */

static void receive(struct serial_port *p)
{
	while (inb(p->base + UART_LSR) & LSR_DR) {
		uint8_t c = inb(p->base + UART_DATA);

		if (p->head - p->tail < RX_RING)
			p->ring[p->head++ & (RX_RING - 1)] = c;
	}
}

/* Ports share interrupt lines, and an edge is lost while another port holds the line up: look at
 * all of them until none has anything. */
static void interrupt(void)
{
	for (unsigned i = 0; i < SERIAL_PORTS; i++)
		if (ports[i].input)
			receive(&ports[i]);
}

void serial_start_input(struct serial_port *p, const struct acpi_info *acpi)
{
	uint8_t vector = (uint8_t)(VECTOR_IRQ + p->isa_irq);

	if (p->input)
		return;
	trap_set_handler(vector, interrupt);
	if (ioapic_route_isa(acpi, p->isa_irq, vector, apic_id())) {
		hc_log(HC_LOG_WARN,
		       "no IOAPIC has a pin for interrupt %u: serial port 0x%x is output only",
		       p->isa_irq, p->base);
		return;
	}
	p->input = true;
	receive(p); /* what came before would keep the line up, and no edge would follow */
	outb(p->base + UART_IER, IER_RX);
}

static bool pass_on(struct serial_port *p)
{
	uint8_t data[64];
	size_t len = 0;
	uint32_t tail = p->tail;

	while (tail != p->head && len < sizeof(data))
		data[len++] = p->ring[tail++ & (RX_RING - 1)];
	p->tail = tail;
	if (len)
		hc_chardev_feed(&p->chr, data, len);
	return len > 0;
}

bool serial_poll(void)
{
	bool any = false;

	for (unsigned i = 0; i < SERIAL_PORTS; i++)
		while (ports[i].head != ports[i].tail)
			any |= pass_on(&ports[i]);
	return any;
}

void serial_drain(void)
{
	for (unsigned i = 0; i < SERIAL_PORTS; i++)
		if (ports[i].present)
			wait_for(&ports[i], LSR_TEMT);
}
