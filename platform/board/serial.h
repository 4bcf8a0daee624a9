/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's serial ports, whatever UARTs they are: lines of the log go out, and a guest's
 * console may be connected.
 */
#ifndef PLATFORM_BOARD_SERIAL_H
#define PLATFORM_BOARD_SERIAL_H

#include "core/chardev.h"
#include "platform/board/output_lock.h"

#define SERIAL_RING 1024 /* bytes of input; a power of two */

struct serial_port;

/* A kind of UART. */
struct serial_ops {
	/* Sets the port up at its first use. False: it is not there. */
	bool (*open)(struct serial_port *p);
	/* Gives the UART as much as it takes now, and returns how much that was. */
	size_t (*send)(struct serial_port *p, const uint8_t *data, size_t len);
	/* A byte that has come in, or -1. */
	int (*receive)(struct serial_port *p);
	/* Lets input interrupt from now on; what is there already does so again. */
	void (*enable_input)(struct serial_port *p);
	/* The last byte has left. */
	bool (*is_idle)(struct serial_port *p);
};

struct serial_port {
	struct hc_chardev chr;
	const struct serial_ops *ops; /* NULL: there is none */

	/* Where the UART is, for its driver. */
	uint16_t io;            /* x86: port */
	volatile uint8_t *regs; /* mapped; register n is at n << shift, width bytes wide */
	uint8_t shift, width;
	uint32_t clock_hz; /* 0, or too slow for the rate: that is as firmware left it */
	unsigned irq;      /* as the architecture numbers them */
	unsigned fifo;     /* bytes that it takes at once */

	struct output_lock lock;
	bool known; /* the firmware names it: it need not be looked for */
	bool probed, present;
	bool stuck;    /* never gets ready: written to no more */
	bool mid_line; /* a guest has written, but not ended, a line */

	/* Input: filled by the interrupt, emptied by serial_poll(), both on the boot CPU. */
	bool input;
	uint8_t ring[SERIAL_RING];
	volatile uint32_t head, tail;
};

/* --- The architecture's --- */

#define SERIAL_PORTS 4
extern struct serial_port serial_ports[SERIAL_PORTS];

/* Makes serial_interrupt() run on the boot CPU when p has something. An error that was logged. */
int serial_route(struct serial_port *p);

/* --- For all --- */

/* Number 0 is the first, COM1. Sets the port up at its first use. NULL if it is not there. */
struct serial_port *serial_open(unsigned number);

/* A line of the log (console_sink): begins on a line of its own, ends with CR LF. */
void serial_write_line(void *port, const char *line, size_t len);

/* Makes the port the other end of a guest's: what the guest sends goes out, what comes in is fed to
 * it. Needs the interrupt that serial_start_input() sets up. The port owns the chardev. */
struct hc_chardev *serial_chardev(struct serial_port *p);

/* Boot CPU: input of an opened port arrives as interrupts at this CPU from now on. */
void serial_start_input(struct serial_port *p);

/* Takes in what all ports have. Interrupts are off. */
void serial_interrupt(void);

/* Boot CPU, no lock held: passes on what interrupts have brought. True if there was something. */
bool serial_poll(void);

/* Waits until all ports have sent their last byte. */
void serial_drain(void);

#endif
