/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The outside has no line speed: what the guest writes leaves at once, so the transmitter is always
 * empty, and the receiver takes input as soon as it has room, so that only loopback can overrun it.
 */
#include "devices/uart16550.h"

#include <hypercore/errno.h>

#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/timer.h"
#include "core/vm.h"

#define UART_PORTS 8
#define UART_FIFO  16
#define UART_NEVER UINT64_MAX

/* Register offsets; DLL and DLM replace the first two while LCR.DLAB is set. */
enum {
	UART_RBR_THR = 0,
	UART_IER = 1,
	UART_IIR_FCR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7
};

enum {
	IER_ERBFI = 0x01,
	IER_ETBEI = 0x02,
	IER_ELSI = 0x04,
	IER_EDSSI = 0x08,
	IER_ALL = 0x0f,

	FCR_ENABLE = 0x01,
	FCR_CLEAR_RX = 0x02,
	FCR_KEPT = 0xc9, /* trigger level, DMA mode, enable */

	LCR_WLS = 0x03,
	LCR_STB = 0x04,
	LCR_PEN = 0x08,
	LCR_DLAB = 0x80,

	MCR_DTR = 0x01,
	MCR_RTS = 0x02,
	MCR_OUT1 = 0x04,
	MCR_OUT2 = 0x08,
	MCR_LOOP = 0x10,
	MCR_ALL = 0x1f,

	LSR_DR = 0x01,
	LSR_OE = 0x02,
	LSR_BI = 0x10,
	LSR_ERRORS = 0x1e,
	LSR_THRE = 0x20,
	LSR_TEMT = 0x40,
	LSR_FIFO_ERROR = 0x80,

	MSR_TERI = 0x04,
	MSR_DELTAS = 0x0f,
	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80
};

/* IIR values, highest priority first (data sheet table IV). */
enum {
	IIR_LINE_STATUS = 0x06,
	IIR_RX_DATA = 0x04,
	IIR_RX_TIMEOUT = 0x0c,
	IIR_THR_EMPTY = 0x02,
	IIR_MODEM = 0x00,
	IIR_NONE = 0x01,
	IIR_FIFOS = 0xc0
};

struct uart16550 {
	struct hc_device dev; /* first */
	struct hc_chardev *chr;
	unsigned line;
	bool out2_gates;       /* the interrupt */
	struct hc_timer timer; /* character timeout */

	uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
	uint8_t errors;          /* LSR_ERRORS that were not read yet */
	uint8_t thre_pending;    /* the THRE interrupt; only with IER_ETBEI */
	uint8_t timeout_pending; /* the character timeout interrupt */
	uint8_t rx_head, rx_count;
	uint8_t rx_fifo[UART_FIFO];
	uint16_t rx_break;   /* bit n: rx_fifo[n] arrived as a break */
	uint64_t timeout_at; /* in ns, or UART_NEVER */
};

static bool fifo_on(const struct uart16550 *u)
{
	return u->fcr & FCR_ENABLE;
}

static unsigned rx_capacity(const struct uart16550 *u)
{
	return fifo_on(u) ? UART_FIFO : 1;
}

static unsigned rx_trigger(const struct uart16550 *u)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return fifo_on(u) ? levels[u->fcr >> 6] : 1;
}

static uint8_t interrupt_id(const struct uart16550 *u)
{
	if ((u->ier & IER_ELSI) && u->errors)
		return IIR_LINE_STATUS;
	if ((u->ier & IER_ERBFI) && u->rx_count >= rx_trigger(u))
		return IIR_RX_DATA;
	if ((u->ier & IER_ERBFI) && u->timeout_pending)
		return IIR_RX_TIMEOUT;
	if (u->thre_pending)
		return IIR_THR_EMPTY;
	if ((u->ier & IER_EDSSI) && (u->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

/* A PC wires INTR to the bus through a driver that OUT2 enables. */
static void update_line(struct uart16550 *u)
{
	bool is_open = (u->mcr & MCR_OUT2) || !u->out2_gates;
	bool level = is_open && interrupt_id(u) != IIR_NONE;

	hc_irq_set(u->dev.vm, u->line, level);
}

/* Start bit, 5 to 8 data bits, parity, 1 or 2 stop bits; four characters of silence are a timeout
 * (data sheet, FIFO interrupt mode operation). */
static uint64_t timeout_ns(const struct uart16550 *u)
{
	unsigned bits =
		1u + 5u + (u->lcr & LCR_WLS) + !!(u->lcr & LCR_PEN) + 1u + !!(u->lcr & LCR_STB);
	unsigned divisor = (unsigned)(u->dlm << 8 | u->dll);

	if (!divisor)
		divisor = 1;
	return hc_ticks_to_ns(UINT64_C(4) * 16 * bits * divisor, UART16550_CLOCK_HZ);
}

/* Every arrival and every read restarts the timeout, which matters while data waits below the
 * trigger level and the interrupt is enabled. */
static void restart_timeout(struct uart16550 *u)
{
	bool wanted = fifo_on(u) && (u->ier & IER_ERBFI) && !u->timeout_pending && u->rx_count &&
	              u->rx_count < rx_trigger(u);

	if (wanted) {
		u->timeout_at = hc_platform_now_ns() + timeout_ns(u);
		hc_timer_arm(&u->timer, u->timeout_at);
	} else if (u->timeout_at != UART_NEVER) {
		u->timeout_at = UART_NEVER;
		hc_timer_cancel(&u->timer);
	}
}

static void timeout(struct hc_timer *timer, uint64_t now_ns)
{
	struct uart16550 *u = HC_CONTAINER_OF(timer, struct uart16550, timer);

	u->timeout_at = UART_NEVER;
	u->timeout_pending = 1;
	update_line(u);
}

/* The status of a character shows when it reaches the head of the FIFO. */
static void expose_head(struct uart16550 *u)
{
	if (u->rx_count && (u->rx_break >> u->rx_head & 1))
		u->errors |= LSR_BI;
}

/* An overrun loses the new character in FIFO mode, the old one otherwise (data sheet, LSR bit 1).
 */
static void receive(struct uart16550 *u, uint8_t c, bool is_break)
{
	unsigned slot;

	if (u->rx_count == rx_capacity(u)) {
		u->errors |= LSR_OE;
		if (fifo_on(u))
			return;
		u->rx_count = 0;
	}
	slot = (u->rx_head + u->rx_count) % UART_FIFO;
	u->rx_fifo[slot] = c;
	u->rx_break = (uint16_t)((u->rx_break & ~(1u << slot)) | (unsigned)is_break << slot);
	if (!u->rx_count++)
		expose_head(u);
}

static void clear_rx(struct uart16550 *u)
{
	u->rx_head = 0;
	u->rx_count = 0;
	u->rx_break = 0;
	u->timeout_pending = 0;
}

/* In loopback the receiver is cut off from the outside. */
static void refill(struct uart16550 *u)
{
	uint8_t buf[UART_FIFO];
	size_t n;

	if ((u->mcr & MCR_LOOP) || u->rx_count == rx_capacity(u))
		return;
	n = hc_chardev_take(u->chr, buf, rx_capacity(u) - u->rx_count);
	for (size_t i = 0; i < n; i++)
		receive(u, buf[i], false);
}

static void input_arrived(struct uart16550 *u)
{
	restart_timeout(u);
	update_line(u);
}

static void on_input(void *dev)
{
	refill(dev);
	input_arrived(dev);
}

void uart16550_break(struct uart16550 *u)
{
	hc_dev_lock(u->dev.vm);
	if (!(u->mcr & MCR_LOOP)) {
		receive(u, 0, true);
		input_arrived(u);
	}
	hc_dev_unlock(u->dev.vm);
}

static uint8_t read_rbr(struct uart16550 *u)
{
	uint8_t c = u->rx_fifo[u->rx_head];

	if (!u->rx_count)
		return 0;
	u->rx_break &= (uint16_t) ~(1u << u->rx_head);
	u->rx_head = (uint8_t)((u->rx_head + 1) % UART_FIFO);
	u->rx_count--;
	u->timeout_pending = 0;
	expose_head(u);
	refill(u);
	input_arrived(u);
	return c;
}

/* Reading IIR ends the THRE interrupt if that is what it shows. */
static uint8_t read_iir(struct uart16550 *u)
{
	uint8_t id = interrupt_id(u);

	if (id == IIR_THR_EMPTY) {
		u->thre_pending = 0;
		update_line(u);
	}
	return fifo_on(u) ? id | IIR_FIFOS : id;
}

static uint8_t read_lsr(struct uart16550 *u)
{
	uint8_t lsr = LSR_THRE | LSR_TEMT | u->errors;

	if (u->rx_count)
		lsr |= LSR_DR;
	if (fifo_on(u) && u->rx_break)
		lsr |= LSR_FIFO_ERROR;
	if (u->errors) {
		u->errors = 0;
		u->rx_break &= (uint16_t) ~(1u << u->rx_head);
		update_line(u);
	}
	return lsr;
}

static uint8_t read_msr(struct uart16550 *u)
{
	uint8_t msr = u->msr;

	if (msr & MSR_DELTAS) {
		u->msr &= (uint8_t)~MSR_DELTAS;
		update_line(u);
	}
	return msr;
}

static uint64_t uart_read(void *dev, uint64_t offset, unsigned size)
{
	struct uart16550 *u = dev;
	bool dlab = u->lcr & LCR_DLAB;

	switch (offset) {
	case UART_RBR_THR: return dlab ? u->dll : read_rbr(u);
	case UART_IER: return dlab ? u->dlm : u->ier;
	case UART_IIR_FCR: return read_iir(u);
	case UART_LCR: return u->lcr;
	case UART_MCR: return u->mcr;
	case UART_LSR: return read_lsr(u);
	case UART_MSR: return read_msr(u);
	default: return u->scr;
	}
}

/* The character leaves at once, so THR is empty again: with the interrupt enabled that is a new
 * edge, which an edge-triggered 8259A has to see. */
static void write_thr(struct uart16550 *u, uint8_t c)
{
	c &= (uint8_t)(0xff >> (3 - (u->lcr & LCR_WLS)));
	if (u->mcr & MCR_LOOP) {
		receive(u, c, false);
		input_arrived(u);
	} else {
		hc_chardev_send(u->chr, &c, 1);
	}
	if (u->ier & IER_ETBEI) {
		u->thre_pending = 0;
		update_line(u);
		u->thre_pending = 1;
		update_line(u);
	}
}

/* Enabling the THRE interrupt while THR is empty raises it (data sheet, IER bit 1). */
static void write_ier(struct uart16550 *u, uint8_t value)
{
	uint8_t old = u->ier;

	u->ier = value & IER_ALL;
	if (!(u->ier & IER_ETBEI))
		u->thre_pending = 0;
	else if (!(old & IER_ETBEI))
		u->thre_pending = 1;
	if ((old ^ u->ier) & IER_ERBFI)
		restart_timeout(u);
	update_line(u);
}

/* Switching the FIFOs on or off empties them; the other bits count only together with bit 0. */
static void write_fcr(struct uart16550 *u, uint8_t value)
{
	bool on = value & FCR_ENABLE;

	if (on != fifo_on(u) || (on && (value & FCR_CLEAR_RX)))
		clear_rx(u);
	u->fcr = on ? value & FCR_KEPT : 0;
	refill(u);
	input_arrived(u);
}

/* The modem's lines: an outside that is always ready, or in loopback our own outputs. */
static uint8_t modem_lines(uint8_t mcr)
{
	uint8_t lines = 0;

	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (mcr & MCR_RTS)
		lines |= MSR_CTS;
	if (mcr & MCR_DTR)
		lines |= MSR_DSR;
	if (mcr & MCR_OUT1)
		lines |= MSR_RI;
	if (mcr & MCR_OUT2)
		lines |= MSR_DCD;
	return lines;
}

/* TERI reports only the trailing edge of RI. */
static void write_mcr(struct uart16550 *u, uint8_t value)
{
	uint8_t lines = modem_lines(value);
	uint8_t deltas = (uint8_t)((u->msr ^ lines) >> 4);

	if (lines & MSR_RI)
		deltas &= (uint8_t)~MSR_TERI;
	u->mcr = value & MCR_ALL;
	u->msr = lines | (u->msr & MSR_DELTAS) | deltas;
	refill(u);
	input_arrived(u);
}

static void uart_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct uart16550 *u = dev;
	uint8_t value = (uint8_t)v;
	bool dlab = u->lcr & LCR_DLAB;

	switch (offset) {
	case UART_RBR_THR:
		if (dlab)
			u->dll = value;
		else
			write_thr(u, value);
		break;
	case UART_IER:
		if (dlab)
			u->dlm = value;
		else
			write_ier(u, value);
		break;
	case UART_IIR_FCR: write_fcr(u, value); break;
	case UART_LCR: u->lcr = value; break;
	case UART_MCR: write_mcr(u, value); break;
	case UART_SCR: u->scr = value; break;
	default: break; /* LSR and MSR are for factory tests */
	}
}

static const struct hc_region_ops uart_ops = {
	.read = uart_read,
	.write = uart_write,
	.sizes = 1,
};

/* Data sheet table III: what a master reset leaves. */
static void uart_reset(struct hc_device *dev)
{
	struct uart16550 *u = HC_CONTAINER_OF(dev, struct uart16550, dev);

	clear_rx(u);
	u->ier = u->fcr = u->lcr = u->mcr = u->errors = u->thre_pending = u->scr = 0;
	u->dlm = 0;
	u->dll = 12; /* 9600 baud */
	u->msr = modem_lines(0);
	refill(u);
	input_arrived(u);
}

static void uart_destroy(struct hc_device *dev)
{
	struct uart16550 *u = HC_CONTAINER_OF(dev, struct uart16550, dev);

	hc_timer_cancel(&u->timer);
	u->chr->on_input = NULL;
	hc_platform_free(u, sizeof(*u));
}

static bool state_valid(const struct uart16550 *u)
{
	return u->ier <= IER_ALL && u->mcr <= MCR_ALL && !(u->errors & ~LSR_ERRORS) &&
	       (fifo_on(u) ? !(u->fcr & ~FCR_KEPT) : !u->fcr) && u->rx_head < UART_FIFO &&
	       u->rx_count <= rx_capacity(u) && u->timeout_pending <= 1 &&
	       u->thre_pending <= !!(u->ier & IER_ETBEI) &&
	       (u->msr & ~MSR_DELTAS) == modem_lines(u->mcr);
}

static int uart_post_load(void *obj)
{
	struct uart16550 *u = obj;

	if (!state_valid(u))
		return -EPROTO;
	hc_timer_cancel(&u->timer);
	if (u->timeout_at != UART_NEVER)
		hc_timer_arm(&u->timer, u->timeout_at);
	refill(u);
	update_line(u);
	return 0;
}

static const struct hc_field uart_fields[] = {
	HC_FIELD(struct uart16550, ier, 1),
	HC_FIELD(struct uart16550, fcr, 1),
	HC_FIELD(struct uart16550, lcr, 1),
	HC_FIELD(struct uart16550, mcr, 1),
	HC_FIELD(struct uart16550, msr, 1),
	HC_FIELD(struct uart16550, scr, 1),
	HC_FIELD(struct uart16550, dll, 1),
	HC_FIELD(struct uart16550, dlm, 1),
	HC_FIELD(struct uart16550, errors, 1),
	HC_FIELD(struct uart16550, thre_pending, 1),
	HC_FIELD(struct uart16550, timeout_pending, 1),
	HC_FIELD(struct uart16550, rx_head, 1),
	HC_FIELD(struct uart16550, rx_count, 1),
	HC_FIELD_ARRAY(struct uart16550, rx_fifo, 1),
	HC_FIELD(struct uart16550, rx_break, 1),
	HC_FIELD(struct uart16550, timeout_at, 1),
};

static const struct hc_state_desc uart_state = {
	.name = "uart16550",
	.version = 1,
	.fields = uart_fields,
	.field_count = HC_ARRAY_SIZE(uart_fields),
	.post_load = uart_post_load,
};

static const struct hc_device_ops uart_device = {
	.name = "uart16550",
	.reset = uart_reset,
	.destroy = uart_destroy,
	.state = &uart_state,
};

static int check_config(const struct uart16550_config *config)
{
	unsigned long long base = config->base;

	if (!config->chr)
		return hc_error(-EINVAL, "serial port %#llx: no character device", base);
	if (config->space == HC_SPACE_IO && base > 0x10000 - UART_PORTS)
		return hc_error(-EINVAL, "serial port %#llx: its %d ports end beyond 0xffff", base,
		                UART_PORTS);
	if (config->line >= HC_IRQ_LINES)
		return hc_error(-EINVAL, "serial port %#llx: interrupt line %u, there are %d", base,
		                config->line, HC_IRQ_LINES);
	return 0;
}

int uart16550_create(struct hc_vm *vm, const struct uart16550_config *config,
                     struct uart16550 **uart)
{
	struct uart16550 *u;
	int rc = check_config(config);

	if (rc)
		return rc;
	u = hc_platform_alloc(sizeof(*u));
	if (!u)
		return hc_error(-ENOMEM, "serial port %#llx: out of memory",
		                (unsigned long long)config->base);
	u->line = config->line;
	u->out2_gates = config->space == HC_SPACE_IO;
	u->chr = config->chr;
	u->chr->vm = vm;
	u->chr->dev = u;
	u->chr->on_input = on_input;
	u->timeout_at = UART_NEVER;
	hc_timer_init(&u->timer, vm->vcpus[0], true, timeout);
	hc_device_add(vm, &u->dev, &uart_device);
	uart_reset(&u->dev);
	if (uart)
		*uart = u;
	return hc_bus_add(vm, config->space,
	                  &(struct hc_region){ .name = "uart16550",
	                                       .base = config->base,
	                                       .len = UART_PORTS,
	                                       .ops = &uart_ops,
	                                       .dev = u });
}
