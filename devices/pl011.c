/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The outside has no line speed: what the guest writes leaves at once while the transmitter is
 * enabled, and the receiver takes input as soon as it has room, so that only loopback can overrun
 * it. There is no infrared side (UARTCR.SIREN has no effect), no DMA, and no use for RTSEn.
 */
#include "devices/pl011.h"

#include <hypercore/errno.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/timer.h"
#include "core/vm.h"

#define PL011_FIFO  16
#define PL011_NEVER UINT64_MAX

/* Register offsets (DDI 0183G table 3-1). */
enum {
	UARTDR = 0x00,
	UARTRSR_ECR = 0x04,
	UARTFR = 0x18,
	UARTILPR = 0x20,
	UARTIBRD = 0x24,
	UARTFBRD = 0x28,
	UARTLCR_H = 0x2c,
	UARTCR = 0x30,
	UARTIFLS = 0x34,
	UARTIMSC = 0x38,
	UARTRIS = 0x3c,
	UARTMIS = 0x40,
	UARTICR = 0x44,
	UARTDMACR = 0x48,
	UARTPeriphID0 = 0xfe0
};

enum {
	DR_FE = 0x100, /* UARTRSR has these four in bits 3:0 */
	DR_PE = 0x200,
	DR_BE = 0x400,
	DR_OE = 0x800,
	DR_ERRORS_SHIFT = 8,

	RSR_OE = 0x8,

	FR_CTS = 0x01,
	FR_DSR = 0x02,
	FR_DCD = 0x04,
	FR_BUSY = 0x08,
	FR_RXFE = 0x10,
	FR_TXFF = 0x20,
	FR_RXFF = 0x40,
	FR_TXFE = 0x80,
	FR_RI = 0x100,

	LCR_BRK = 0x01,
	LCR_PEN = 0x02,
	LCR_STP2 = 0x08,
	LCR_FEN = 0x10,
	LCR_WLEN_SHIFT = 5,

	CR_UARTEN = 0x0001,
	CR_LBE = 0x0080,
	CR_TXE = 0x0100,
	CR_RXE = 0x0200,
	CR_DTR = 0x0400,
	CR_RTS = 0x0800,
	CR_OUT1 = 0x1000,
	CR_OUT2 = 0x2000,
	CR_CTSEN = 0x8000,
	CR_ALL = 0xff87,

	IFLS_RESET = 0x12,
	IFLS_ALL = 0x3f,

	INT_RI = 0x001,
	INT_CTS = 0x002,
	INT_DCD = 0x004,
	INT_DSR = 0x008,
	INT_RX = 0x010,
	INT_TX = 0x020,
	INT_RT = 0x040,
	INT_BE = 0x200,
	INT_OE = 0x400,
	INT_ALL = 0x7ff,

	DMACR_ALL = 0x7
};

struct pl011 {
	struct hc_device dev; /* first */
	struct hc_chardev *chr;
	unsigned line;
	struct hc_timer timer; /* receive timeout */

	uint16_t ibrd, cr, ris, imsc;
	uint8_t rsr, ilpr, fbrd, lcr_h, ifls, dmacr;
	uint8_t overrun;  /* a character was lost since the last one that was kept */
	uint32_t divisor; /* in 64ths: IBRD and FBRD when LCR_H was last written */
	uint8_t rx_head, rx_count, tx_count;
	uint16_t rx_fifo[PL011_FIFO]; /* as UARTDR shows them */
	uint8_t tx_fifo[PL011_FIFO];  /* from 0 on; it waits while the transmitter is off */
	uint64_t timeout_at;          /* in ns, or PL011_NEVER */
};

static unsigned capacity(const struct pl011 *u)
{
	return u->lcr_h & LCR_FEN ? PL011_FIFO : 1;
}

/* UARTIFLS: 1/8, 1/4, 1/2, 3/4, 7/8 of the FIFO; more is reserved. */
static unsigned trigger(unsigned select)
{
	static const uint8_t levels[8] = { 2, 4, 8, 12, 14, 14, 14, 14 };

	return levels[select & 7];
}

static unsigned rx_trigger(const struct pl011 *u)
{
	return u->lcr_h & LCR_FEN ? trigger(u->ifls >> 3) : 1;
}

static unsigned tx_trigger(const struct pl011 *u)
{
	return u->lcr_h & LCR_FEN ? trigger(u->ifls) : 0;
}

static void update_line(struct pl011 *u)
{
	hc_irq_set(u->dev.vm, u->line, u->ris & u->imsc);
}

/* --- Modem lines: an outside that is always ready, or in loopback our own outputs (3.3.8) --- */

static unsigned modem_lines(unsigned cr)
{
	unsigned lines = 0;

	if (!(cr & CR_LBE))
		return FR_CTS | FR_DSR | FR_DCD;
	if (cr & CR_RTS)
		lines |= FR_CTS;
	if (cr & CR_DTR)
		lines |= FR_DSR;
	if (cr & CR_OUT1)
		lines |= FR_DCD;
	if (cr & CR_OUT2)
		lines |= FR_RI;
	return lines;
}

static unsigned modem_interrupts(unsigned changed)
{
	return (changed & FR_RI ? INT_RI : 0u) | (changed & FR_CTS ? INT_CTS : 0u) |
	       (changed & FR_DCD ? INT_DCD : 0u) | (changed & FR_DSR ? INT_DSR : 0u);
}

/* --- Receiver --- */

static bool receives(const struct pl011 *u)
{
	return (u->cr & (CR_UARTEN | CR_RXE)) == (CR_UARTEN | CR_RXE);
}

/* 32 bits without a character (2.8.3). A bit lasts 16 cycles of the divided clock; a divisor below
 * 1 is not allowed (3.3.5). */
static uint64_t timeout_ns(const struct pl011 *u)
{
	uint64_t divisor = hc_max(u->divisor, 64);

	return hc_ticks_to_ns(32 * 16 * divisor / 64, PL011_CLOCK_HZ);
}

static void restart_timeout(struct pl011 *u)
{
	u->timeout_at = hc_platform_now_ns() + timeout_ns(u);
	hc_timer_arm(&u->timer, u->timeout_at);
}

static void stop_timeout(struct pl011 *u)
{
	u->timeout_at = PL011_NEVER;
	hc_timer_cancel(&u->timer);
}

static void timeout(struct hc_timer *timer, uint64_t now_ns)
{
	struct pl011 *u = HC_CONTAINER_OF(timer, struct pl011, timer);

	u->timeout_at = PL011_NEVER;
	u->ris |= INT_RT;
	update_line(u);
}

/* The receive interrupt stands for a level that was reached; one that was cleared at or above the
 * level comes back with the next character, so that none is forgotten. An overrun loses the new
 * character and shows with the next one that is kept (2.4.3, table 3-2). */
static void receive(struct pl011 *u, unsigned c)
{
	if (u->rx_count == capacity(u)) {
		u->overrun = 1;
		u->rsr |= RSR_OE;
		u->ris |= INT_OE;
		return;
	}
	if (u->overrun)
		c |= DR_OE;
	u->overrun = 0;
	u->rx_fifo[(u->rx_head + u->rx_count++) % PL011_FIFO] = (uint16_t)c;
	if (c & DR_BE)
		u->ris |= INT_BE;
	if (u->rx_count >= rx_trigger(u))
		u->ris |= INT_RX;
	restart_timeout(u);
}

/* In loopback the receiver is cut off from the outside. */
static void refill(struct pl011 *u)
{
	uint8_t buf[PL011_FIFO];
	size_t n;

	if (!receives(u) || (u->cr & CR_LBE) || u->rx_count == capacity(u))
		return;
	n = hc_chardev_take(u->chr, buf, capacity(u) - u->rx_count);
	for (size_t i = 0; i < n; i++)
		receive(u, buf[i]);
}

static void on_input(void *dev)
{
	refill(dev);
	update_line(dev);
}

/* Below the level, and empty: these end the interrupts (2.8.1, 2.8.3). */
static void rx_drained(struct pl011 *u)
{
	if (u->rx_count < rx_trigger(u))
		u->ris &= (uint16_t)~INT_RX;
	if (!u->rx_count) {
		u->ris &= (uint16_t)~INT_RT;
		stop_timeout(u);
	}
}

static unsigned read_dr(struct pl011 *u)
{
	unsigned c = u->rx_fifo[u->rx_head];

	if (!u->rx_count)
		return 0;
	u->rx_head = (uint8_t)((u->rx_head + 1) % PL011_FIFO);
	u->rx_count--;
	u->rsr = (uint8_t)((u->rsr & RSR_OE) | c >> DR_ERRORS_SHIFT);
	rx_drained(u);
	refill(u);
	update_line(u);
	return c;
}

/* --- Transmitter --- */

static bool transmits(const struct pl011 *u)
{
	if ((u->cr & (CR_UARTEN | CR_TXE)) != (CR_UARTEN | CR_TXE) || (u->lcr_h & LCR_BRK))
		return false;
	return !(u->cr & CR_CTSEN) || (modem_lines(u->cr) & FR_CTS);
}

/* Words of 5 to 8 bits. */
static void send_one(struct pl011 *u, uint8_t c)
{
	c &= (uint8_t)(0xff >> (3 - (u->lcr_h >> LCR_WLEN_SHIFT & 3)));
	if (!(u->cr & CR_LBE))
		hc_chardev_send(u->chr, &c, 1);
	else if (receives(u))
		receive(u, c);
}

/* The transmit interrupt comes of characters that leave, not of an empty FIFO (2.8.2). */
static void drain(struct pl011 *u)
{
	if (!u->tx_count || !transmits(u))
		return;
	for (unsigned i = 0; i < u->tx_count; i++)
		send_one(u, u->tx_fifo[i]);
	u->tx_count = 0;
	u->ris |= INT_TX;
}

static void write_dr(struct pl011 *u, uint8_t c)
{
	if (u->tx_count < capacity(u))
		u->tx_fifo[u->tx_count++] = c;
	if (u->tx_count > tx_trigger(u))
		u->ris &= (uint16_t)~INT_TX;
	drain(u);
}

/* --- Registers --- */

static unsigned read_fr(const struct pl011 *u)
{
	unsigned fr = modem_lines(u->cr);

	if (!u->rx_count)
		fr |= FR_RXFE;
	if (u->rx_count == capacity(u))
		fr |= FR_RXFF;
	if (u->tx_count == capacity(u))
		fr |= FR_TXFF;
	return fr | (u->tx_count ? FR_BUSY : FR_TXFE);
}

/* Peripheral and PrimeCell identification: part 011, Arm (3.3.16 and on). */
static unsigned read_id(uint64_t offset)
{
	static const uint8_t id[8] = { 0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

	return offset >= UARTPeriphID0 && !(offset & 3) ? id[(offset - UARTPeriphID0) / 4] : 0;
}

static uint64_t pl011_read(void *dev, uint64_t offset, unsigned size)
{
	struct pl011 *u = dev;

	switch (offset) {
	case UARTDR: return read_dr(u);
	case UARTRSR_ECR: return u->rsr;
	case UARTFR: return read_fr(u);
	case UARTILPR: return u->ilpr;
	case UARTIBRD: return u->ibrd;
	case UARTFBRD: return u->fbrd;
	case UARTLCR_H: return u->lcr_h;
	case UARTCR: return u->cr;
	case UARTIFLS: return u->ifls;
	case UARTIMSC: return u->imsc;
	case UARTRIS: return u->ris;
	case UARTMIS: return u->ris & u->imsc;
	case UARTDMACR: return u->dmacr;
	default: return read_id(offset);
	}
}

static void clear_fifos(struct pl011 *u)
{
	u->rx_head = u->rx_count = u->tx_count = u->overrun = 0;
	rx_drained(u);
}

/* Strobes the divisor in (3.3.7). Switching the FIFOs empties them. A break that is looped back
 * arrives once (3.3.1). */
static void write_lcr_h(struct pl011 *u, uint8_t value)
{
	unsigned changed = u->lcr_h ^ value;

	u->lcr_h = value;
	u->divisor = (uint32_t)u->ibrd << 6 | u->fbrd;
	if (changed & LCR_FEN)
		clear_fifos(u);
	if ((changed & value & LCR_BRK) && (u->cr & CR_LBE) && receives(u))
		receive(u, DR_BE);
}

static void write_cr(struct pl011 *u, unsigned value)
{
	value &= CR_ALL;
	u->ris |= (uint16_t)modem_interrupts(modem_lines(u->cr) ^ modem_lines(value));
	u->cr = (uint16_t)value;
}

static void pl011_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct pl011 *u = dev;

	switch (offset) {
	case UARTDR: write_dr(u, (uint8_t)v); break;
	case UARTRSR_ECR: u->rsr = 0; break;
	case UARTILPR: u->ilpr = (uint8_t)v; break;
	case UARTIBRD: u->ibrd = (uint16_t)v; break;
	case UARTFBRD: u->fbrd = v & 0x3f; break;
	case UARTLCR_H: write_lcr_h(u, (uint8_t)v); break;
	case UARTCR: write_cr(u, (unsigned)v); break;
	case UARTIFLS: u->ifls = v & IFLS_ALL; break;
	case UARTIMSC: u->imsc = v & INT_ALL; break;
	case UARTICR: u->ris &= (uint16_t)~v; break;
	case UARTDMACR: u->dmacr = v & DMACR_ALL; break;
	default: return;
	}
	drain(u);
	refill(u);
	update_line(u);
}

static const struct hc_region_ops pl011_ops = {
	.read = pl011_read,
	.write = pl011_write,
	.sizes = 1 | 2 | 4,
};

/* --- Device --- */

/* What firmware would have done, which early consoles rely on: 115200 baud, 8 bits, FIFOs, on. */
static void set_up(struct pl011 *u)
{
	u->ibrd = 13;
	u->fbrd = 1;
	u->divisor = (uint32_t)u->ibrd << 6 | u->fbrd;
	u->lcr_h = 3 << LCR_WLEN_SHIFT | LCR_FEN;
	u->cr = CR_UARTEN | CR_TXE | CR_RXE;
}

static void pl011_reset(struct hc_device *dev)
{
	struct pl011 *u = HC_CONTAINER_OF(dev, struct pl011, dev);

	clear_fifos(u);
	u->ris = u->imsc = 0;
	u->rsr = u->ilpr = u->dmacr = 0;
	u->ifls = IFLS_RESET;
	set_up(u);
	refill(u);
	update_line(u);
}

static void pl011_destroy(struct hc_device *dev)
{
	struct pl011 *u = HC_CONTAINER_OF(dev, struct pl011, dev);

	hc_timer_cancel(&u->timer);
	u->chr->on_input = NULL;
	hc_platform_free(u, sizeof(*u));
}

static bool fifos_valid(const struct pl011 *u)
{
	for (unsigned i = 0; i < PL011_FIFO; i++)
		if (u->rx_fifo[i] & ~(0xffu | DR_BE | DR_OE))
			return false;
	return u->rx_head < PL011_FIFO && u->rx_count <= capacity(u) &&
	       u->tx_count <= capacity(u) && !(u->tx_count && transmits(u)) && u->overrun <= 1;
}

static bool state_valid(const struct pl011 *u)
{
	return !(u->cr & ~CR_ALL) && !(u->ris & ~INT_ALL) && !(u->imsc & ~INT_ALL) &&
	       u->rsr <= 0xf && u->fbrd <= 0x3f && u->ifls <= IFLS_ALL && u->dmacr <= DMACR_ALL &&
	       u->divisor < 1u << 22 && fifos_valid(u);
}

static int pl011_post_load(void *obj)
{
	struct pl011 *u = obj;

	if (!state_valid(u))
		return -EPROTO;
	hc_timer_cancel(&u->timer);
	if (u->timeout_at != PL011_NEVER)
		hc_timer_arm(&u->timer, u->timeout_at);
	refill(u);
	update_line(u);
	return 0;
}

static const struct hc_field pl011_fields[] = {
	HC_FIELD(struct pl011, ibrd, 1),          HC_FIELD(struct pl011, cr, 1),
	HC_FIELD(struct pl011, ris, 1),           HC_FIELD(struct pl011, imsc, 1),
	HC_FIELD(struct pl011, rsr, 1),           HC_FIELD(struct pl011, ilpr, 1),
	HC_FIELD(struct pl011, fbrd, 1),          HC_FIELD(struct pl011, lcr_h, 1),
	HC_FIELD(struct pl011, ifls, 1),          HC_FIELD(struct pl011, dmacr, 1),
	HC_FIELD(struct pl011, overrun, 1),       HC_FIELD(struct pl011, divisor, 1),
	HC_FIELD(struct pl011, rx_head, 1),       HC_FIELD(struct pl011, rx_count, 1),
	HC_FIELD(struct pl011, tx_count, 1),      HC_FIELD_ARRAY(struct pl011, rx_fifo, 1),
	HC_FIELD_ARRAY(struct pl011, tx_fifo, 1), HC_FIELD(struct pl011, timeout_at, 1),
};

static const struct hc_state_desc pl011_state = {
	.name = "pl011",
	.version = 1,
	.fields = pl011_fields,
	.field_count = HC_ARRAY_SIZE(pl011_fields),
	.post_load = pl011_post_load,
};

static const struct hc_device_ops pl011_device = {
	.name = "pl011",
	.reset = pl011_reset,
	.destroy = pl011_destroy,
	.state = &pl011_state,
};

static int check_config(const struct pl011_config *config)
{
	unsigned long long base = config->base;

	if (!config->chr)
		return hc_error(-EINVAL, "PL011 at %#llx: no character device", base);
	if (config->line >= HC_IRQ_LINES)
		return hc_error(-EINVAL, "PL011 at %#llx: interrupt line %u, there are %d", base,
		                config->line, HC_IRQ_LINES);
	return 0;
}

int pl011_create(struct hc_vm *vm, const struct pl011_config *config)
{
	struct pl011 *u;
	int rc = check_config(config);

	if (rc)
		return rc;
	u = hc_platform_alloc(sizeof(*u));
	if (!u)
		return hc_error(-ENOMEM, "PL011 at %#llx: out of memory",
		                (unsigned long long)config->base);
	u->line = config->line;
	u->chr = config->chr;
	u->chr->vm = vm;
	u->chr->dev = u;
	u->chr->on_input = on_input;
	hc_timer_init(&u->timer, vm->vcpus[0], true, timeout);
	hc_device_add(vm, &u->dev, &pl011_device);
	pl011_reset(&u->dev);
	return hc_bus_add(vm, HC_SPACE_MEMORY,
	                  &(struct hc_region){ .name = "pl011",
	                                       .base = config->base,
	                                       .len = PL011_SIZE,
	                                       .ops = &pl011_ops,
	                                       .dev = u });
}
