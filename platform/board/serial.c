/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/serial.h"

#include <hypercore/errno.h>

#include "platform/board/board.h"
#include "platform/board/console.h"
#include "platform/platform.h"

#define PATIENCE 1000000 /* looks at a port before it counts as stuck */

struct serial_port *serial_open(unsigned number)
{
	struct serial_port *p = number < SERIAL_PORTS ? &serial_ports[number] : NULL;

	if (!p || !p->ops)
		return NULL;
	if (!p->probed) {
		p->probed = true;
		p->present = p->ops->open(p);
	}
	return p->present ? p : NULL;
}

/* A port that never gets ready (flow control by a management controller) costs time once. */
static void put(struct serial_port *p, const uint8_t *data, size_t len)
{
	for (unsigned waited = 0; len && !p->stuck;) {
		size_t n = p->ops->send(p, data, len);

		data += n;
		len -= n;
		if (n)
			waited = 0;
		else if (++waited == PATIENCE)
			p->stuck = true;
		else
			hc_platform_relax();
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

/* One that never has nothing, as where all registers read as ones, is not waited for: it is enabled
 * anew, for an edge if it is only fast. */
static void receive(struct serial_port *p)
{
	unsigned dropped = 0;
	int c;

	while (dropped < SERIAL_RING && (c = p->ops->receive(p)) >= 0)
		if (p->head - p->tail < SERIAL_RING)
			p->ring[p->head++ & (SERIAL_RING - 1)] = (uint8_t)c;
		else
			dropped++;
	if (dropped == SERIAL_RING)
		p->ops->enable_input(p);
}

/* Ports may share interrupt lines, and an edge is lost while another port holds the line up: look
 * at all of them until none has anything. */
void serial_interrupt(void)
{
	for (unsigned i = 0; i < SERIAL_PORTS; i++)
		if (serial_ports[i].input)
			receive(&serial_ports[i]);
}

void serial_start_input(struct serial_port *p)
{
	if (p->input || serial_route(p))
		return;
	p->input = true;
	receive(p); /* what came before would keep the line up, and no edge would follow */
	p->ops->enable_input(p);
}

static bool pass_on(struct serial_port *p)
{
	uint8_t data[64];
	size_t len = 0;
	uint32_t tail = p->tail;

	while (tail != p->head && len < sizeof(data))
		data[len++] = p->ring[tail++ & (SERIAL_RING - 1)];
	p->tail = tail;
	if (len)
		hc_chardev_feed(&p->chr, data, len);
	return len > 0;
}

bool serial_poll(void)
{
	bool any = false;

	for (unsigned i = 0; i < SERIAL_PORTS; i++)
		while (serial_ports[i].head != serial_ports[i].tail)
			any |= pass_on(&serial_ports[i]);
	return any;
}

static void drain(struct serial_port *p)
{
	for (unsigned waited = 0; !p->stuck && !p->ops->is_idle(p); waited++) {
		if (waited == PATIENCE)
			p->stuck = true;
		hc_platform_relax();
	}
}

void serial_drain(void)
{
	for (unsigned i = 0; i < SERIAL_PORTS; i++)
		if (serial_ports[i].present)
			drain(&serial_ports[i]);
}

/* --- board.h's --- */

int board_attach_serial(enum board_serial port)
{
	struct serial_port *p = serial_open(port - BOARD_SERIAL_COM1);

	if (!p)
		return -ENODEV;
	console_attach(serial_write_line, p);
	return 0;
}

struct hc_chardev *board_serial_chardev(enum board_serial port)
{
	struct serial_port *p = serial_open(port - BOARD_SERIAL_COM1);

	if (!p)
		return NULL;
	serial_start_input(p);
	return serial_chardev(p);
}
