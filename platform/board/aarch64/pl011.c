/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/aarch64/pl011.h"

#include "platform/board/aarch64/hw.h"

/* Registers (DDI 0183, table 3-1). */
enum {
	UARTDR = 0x00,
	UARTFR = 0x18,
	UARTLCR_H = 0x2c,
	UARTCR = 0x30,
	UARTIFLS = 0x34,
	UARTIMSC = 0x38,
	UARTICR = 0x44
};

#define FR_BUSY   (1u << 3)
#define FR_RXFE   (1u << 4)
#define FR_TXFF   (1u << 5)
#define LCR_H_8N1 (3u << 5 | 1u << 4)      /* FIFOs on */
#define CR_ON     (1u << 9 | 1u << 8 | 1u) /* RXE, TXE, UARTEN */
#define IFLS_HALF (2u << 3 | 2u)           /* interrupt at half of the FIFO */
#define INT_RX    (1u << 6 | 1u << 4)      /* RTIM: it is not full, but has waited; RXIM */
#define INT_ALL   0x7ffu

static uint32_t rd(const struct serial_port *p, unsigned offset)
{
	return p->width == 2 ? mmio_read16(p->regs + offset) : mmio_read32(p->regs + offset);
}

static void wr(const struct serial_port *p, unsigned offset, uint32_t value)
{
	if (p->width == 2)
		mmio_write16(p->regs + offset, (uint16_t)value);
	else
		mmio_write32(p->regs + offset, value);
}

/* An SBSA UART is on already, and has none of the other registers. */
static bool open_sbsa(struct serial_port *p)
{
	wr(p, UARTIMSC, 0);
	wr(p, UARTICR, INT_ALL);
	return true;
}

/* The rate is firmware's: 3.3.7 wants the UART off while LCR_H is written. */
static bool open_pl011(struct serial_port *p)
{
	open_sbsa(p);
	wr(p, UARTCR, rd(p, UARTCR) & ~1u);
	wr(p, UARTLCR_H, LCR_H_8N1);
	wr(p, UARTIFLS, IFLS_HALF);
	wr(p, UARTCR, CR_ON);
	return true;
}

static size_t send(struct serial_port *p, const uint8_t *data, size_t len)
{
	size_t n = 0;

	for (; n < len && !(rd(p, UARTFR) & FR_TXFF); n++)
		wr(p, UARTDR, data[n]);
	return n;
}

static int receive(struct serial_port *p)
{
	if (rd(p, UARTFR) & FR_RXFE) {
		wr(p, UARTICR, INT_RX);
		return rd(p, UARTFR) & FR_RXFE ? -1 : (int)(rd(p, UARTDR) & 0xff);
	}
	return (int)(rd(p, UARTDR) & 0xff);
}

static void enable_input(struct serial_port *p)
{
	wr(p, UARTIMSC, INT_RX);
}

static bool is_idle(struct serial_port *p)
{
	return !(rd(p, UARTFR) & FR_BUSY);
}

const struct serial_ops pl011_ops = { open_pl011, send, receive, enable_input, is_idle };
const struct serial_ops sbsa_uart_ops = { open_sbsa, send, receive, enable_input, is_idle };
