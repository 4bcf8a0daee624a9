/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/uart_16550.h"

/* Registers (PC16550D table II). */
enum {
	UART_DATA = 0,
	UART_IER = 1,
	UART_FCR = 2,
	UART_IIR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
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
#define BAUD      115200

/* By the scratch register, which what only resembles a 16550 may lack. */
static bool is_there(const struct serial_port *p)
{
	uart_16550_write(p, UART_SCR, 0x5a);
	if (uart_16550_read(p, UART_SCR) != 0x5a)
		return false;
	uart_16550_write(p, UART_SCR, 0xa5);
	return uart_16550_read(p, UART_SCR) == 0xa5;
}

/* By a clock that cannot make the rate, firmware's divisor stays: 0 is none (8.3). */
static void set_rate(const struct serial_port *p)
{
	uint64_t divisor = (p->clock_hz + UINT64_C(8) * BAUD) / (16 * BAUD);

	if (!divisor || divisor > 0xffff)
		return;
	uart_16550_write(p, UART_LCR, LCR_DLAB | LCR_8N1);
	uart_16550_write(p, UART_DATA, (uint8_t)divisor);
	uart_16550_write(p, UART_IER, (uint8_t)(divisor >> 8));
}

static bool open_port(struct serial_port *p)
{
	if (!p->known && !is_there(p))
		return false;
	uart_16550_write(p, UART_IER, 0);
	set_rate(p);
	uart_16550_write(p, UART_LCR, LCR_8N1);
	uart_16550_write(p, UART_FCR, FCR_SETUP);
	uart_16550_write(p, UART_MCR, MCR_ON);
	p->fifo = (uart_16550_read(p, UART_IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_SIZE : 1;
	return true;
}

static size_t send(struct serial_port *p, const uint8_t *data, size_t len)
{
	size_t n = len < p->fifo ? len : p->fifo;

	if (!(uart_16550_read(p, UART_LSR) & LSR_THRE))
		return 0;
	for (size_t i = 0; i < n; i++)
		uart_16550_write(p, UART_DATA, data[i]);
	return n;
}

static int receive(struct serial_port *p)
{
	if (!(uart_16550_read(p, UART_LSR) & LSR_DR))
		return -1;
	return uart_16550_read(p, UART_DATA);
}

/* The line falls, and so may rise. */
static void enable_input(struct serial_port *p)
{
	uart_16550_write(p, UART_IER, 0);
	uart_16550_write(p, UART_IER, IER_RX);
}

static bool is_idle(struct serial_port *p)
{
	return uart_16550_read(p, UART_LSR) & LSR_TEMT;
}

const struct serial_ops uart_16550_ops = { open_port, send, receive, enable_input, is_idle };
