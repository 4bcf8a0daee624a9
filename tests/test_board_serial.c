/* SPDX-License-Identifier: BSD-2-Clause */
/* The board's serial ports on models of 16550s that send when they like. */
#include <string.h>

#include "platform/board/board.h"
#include "platform/board/uart_16550.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define WIRE 8192

enum { DATA, IER, FCR, LCR, MCR, LSR, MSR, SCR };

/* PC16550D data sheet, 8.0, as far as the driver goes. */
struct uart {
	bool absent, no_fifo, deaf; /* deaf: never sends again */
	bool gone;                  /* all registers read as ones, but it was there */
	unsigned edges;             /* of its interrupt, by IER */
	uint8_t ier, lcr, fcr, mcr, scr, divisor[2];
	unsigned fifo;
	uint8_t queue[16];
	uint8_t wire[WIRE];
	size_t sent;
	uint8_t coming[WIRE]; /* input that waits in the UART */
	size_t coming_from, coming_to;
	unsigned looks; /* reads of LSR */
};

static struct uart uarts[SERIAL_PORTS];
struct serial_port serial_ports[SERIAL_PORTS];
static bool no_route;
static unsigned routes;
static uint64_t seed = 88172645463325252u;

static struct uart *uart_of(const struct serial_port *p)
{
	return &uarts[p - serial_ports];
}

/* Some bytes leave, in order. */
static void send_some(struct uart *u)
{
	unsigned n = u->deaf ? 0 : (unsigned)test_below(&seed, 5);

	for (; n && u->fifo; n--) {
		assert_true(u->sent < WIRE);
		u->wire[u->sent++] = u->queue[0];
		memmove(u->queue, u->queue + 1, --u->fifo);
	}
}

static uint8_t line_status(struct uart *u)
{
	u->looks++;
	send_some(u);
	return (uint8_t)((u->coming_from < u->coming_to ? 0x01 : 0) | (u->fifo ? 0 : 0x60));
}

uint8_t uart_16550_read(const struct serial_port *p, unsigned reg)
{
	struct uart *u = uart_of(p);

	if (u->gone)
		u->looks++;
	if (u->absent || u->gone)
		return 0xff;
	switch (reg) {
	case DATA: assert_true(u->coming_from < u->coming_to); return u->coming[u->coming_from++];
	case IER: return u->ier;
	case FCR: return u->no_fifo || !(u->fcr & 1) ? 0x01 : 0xc1;
	case LCR: return u->lcr;
	case LSR: return line_status(u);
	case SCR: return u->scr;
	default: fail_msg("read of register %u", reg); return 0;
	}
}

static void write_data(struct uart *u, uint8_t value)
{
	assert_true(u->fifo < (u->no_fifo ? 1 : 16)); /* else it overruns */
	u->queue[u->fifo++] = value;
}

void uart_16550_write(const struct serial_port *p, unsigned reg, uint8_t value)
{
	struct uart *u = uart_of(p);

	if (u->absent)
		return;
	if (u->lcr & 0x80 && reg <= IER) {
		u->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case DATA: write_data(u, value); break;
	case IER:
		u->edges += !(u->ier & 1) && value & 1;
		u->ier = value;
		break;
	case FCR: u->fcr = value; break;
	case LCR: u->lcr = value; break;
	case MCR: u->mcr = value; break;
	case SCR: u->scr = value; break;
	default: fail_msg("write of register %u", reg);
	}
}

int serial_route(struct serial_port *p)
{
	routes++;
	return no_route ? -ENODEV : 0;
}

void console_attach(void (*sink)(void *arg, const char *line, size_t len), void *arg);
static void (*attached)(void *arg, const char *line, size_t len);
static void *attached_arg;

void console_attach(void (*sink)(void *arg, const char *line, size_t len), void *arg)
{
	attached = sink;
	attached_arg = arg;
}

static int setup(void **state)
{
	test_platform_init(1);
	memset(uarts, 0, sizeof(uarts));
	memset(serial_ports, 0, sizeof(serial_ports));
	for (unsigned i = 0; i < SERIAL_PORTS; i++) {
		serial_ports[i].ops = &uart_16550_ops;
		serial_ports[i].clock_hz = 1843200;
	}
	no_route = false;
	routes = 0;
	attached = NULL;
	return 0;
}

/* --- Output --- */

struct expected {
	char text[WIRE];
	size_t len;
};

static void expect(struct expected *e, const char *text, size_t len)
{
	memcpy(e->text + e->len, text, len);
	e->len += len;
}

static size_t random_text(char *text, size_t most)
{
	size_t len = (size_t)test_below(&seed, most);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + test_below(&seed, 26));
	return len;
}

/* Lines of the log begin on lines of their own, whatever a guest has written before. */
static void lines_and_a_guest(bool no_fifo)
{
	struct expected e = { .len = 0 };
	struct hc_chardev *chr;
	bool mid_line = false;
	char text[64];

	uarts[0].no_fifo = no_fifo;
	assert_int_equal(board_attach_serial(BOARD_SERIAL_COM1), 0);
	chr = board_serial_chardev(BOARD_SERIAL_COM1);
	assert_non_null(chr);
	for (unsigned i = 0; i < 100; i++) {
		size_t len = random_text(text, 40);

		if (test_below(&seed, 2)) {
			if (mid_line)
				expect(&e, "\r\n", 2);
			mid_line = false;
			expect(&e, text, len);
			expect(&e, "\r\n", 2);
			attached(attached_arg, text, len);
			continue;
		}
		if (len && test_below(&seed, 2))
			text[len - 1] = '\n';
		if (len)
			mid_line = text[len - 1] != '\n';
		expect(&e, text, len);
		hc_chardev_send(chr, (const uint8_t *)text, len);
	}
	serial_drain();
	assert_int_equal(uarts[0].sent, e.len);
	assert_memory_equal(uarts[0].wire, e.text, e.len);
}

static void output_is_all_there_and_in_order(void **state)
{
	for (unsigned round = 0; round < test_rounds(20); round++) {
		setup(NULL);
		lines_and_a_guest(round & 1);
	}
}

static void a_port_that_is_not_there_is_refused(void **state)
{
	uarts[1].absent = true;
	serial_ports[2].ops = NULL;
	assert_null(serial_open(1));
	uarts[1].absent = false; /* looked for once only */
	assert_null(serial_open(1));
	assert_null(serial_open(2));
	assert_null(serial_open(SERIAL_PORTS));
	assert_int_equal(board_attach_serial(BOARD_SERIAL_COM2), -ENODEV);
	assert_null(board_serial_chardev(BOARD_SERIAL_COM3));
	assert_non_null(serial_open(3));
}

static void the_rate_is_set_if_the_clock_is_known(void **state)
{
	serial_ports[0].clock_hz = 1843200;
	serial_ports[1].clock_hz = 48000000;
	serial_ports[2].clock_hz = 0;
	serial_ports[3].clock_hz = UINT32_MAX;
	memset(uarts[2].divisor, 0x5a, 2);
	for (unsigned i = 0; i < SERIAL_PORTS; i++)
		assert_non_null(serial_open(i));
	assert_int_equal(uarts[0].divisor[0], 1);
	assert_int_equal(uarts[0].divisor[1], 0);
	assert_int_equal(uarts[1].divisor[0], 26);
	assert_int_equal(uarts[2].divisor[0], 0x5a);
	assert_int_equal(uarts[2].divisor[1], 0x5a);
	assert_int_equal(uarts[3].divisor[0], 2330 & 0xff);
	assert_int_equal(uarts[3].divisor[1], 2330 >> 8);
	for (unsigned i = 0; i < SERIAL_PORTS; i++)
		assert_int_equal(uarts[i].lcr, 3);
}

static void a_clock_too_slow_for_the_rate_sets_none(void **state)
{
	static const uint32_t clocks[SERIAL_PORTS] = { 1, 32768, 8 * 115200 - 1, 8 * 115200 };

	for (unsigned i = 0; i < SERIAL_PORTS; i++) {
		serial_ports[i].clock_hz = clocks[i];
		memset(uarts[i].divisor, 0x5a, 2);
		assert_non_null(serial_open(i));
		assert_int_equal(uarts[i].lcr, 3);
		assert_int_equal(uarts[i].divisor[0], i < 3 ? 0x5a : 1);
		assert_int_equal(uarts[i].divisor[1], i < 3 ? 0x5a : 0);
	}
}

static void a_stuck_port_costs_time_once(void **state)
{
	struct serial_port *p = serial_open(0);
	unsigned looks;

	uarts[0].deaf = true;
	for (unsigned i = 0; i < 3; i++)
		serial_write_line(p, "0123456789abcdef0123", 20);
	looks = uarts[0].looks;
	assert_in_range(looks, 1000, 10000000);
	serial_write_line(p, "more", 4);
	serial_drain();
	assert_in_range(uarts[0].looks, looks, looks + 2);
}

/* --- Input --- */

static void come_in(struct uart *u, size_t len)
{
	for (size_t i = 0; i < len; i++)
		u->coming[u->coming_to++] = (uint8_t)test_random(&seed);
}

static void take_all(struct hc_chardev *chr, uint8_t *got, size_t *len)
{
	*len += hc_chardev_take(chr, got + *len, WIRE - *len);
}

/* Two ports of one line, which one interrupt serves. */
static void input_arrives_in_order(void **state)
{
	static uint8_t got[2][WIRE];
	struct hc_chardev *chr[2];
	size_t len[2] = { 0, 0 };

	come_in(&uarts[0], 10); /* before anyone listens */
	chr[0] = board_serial_chardev(BOARD_SERIAL_COM1);
	chr[1] = board_serial_chardev(BOARD_SERIAL_COM2);
	assert_int_equal(uarts[0].ier, 1);
	assert_int_equal(uarts[0].coming_from, 10);
	assert_non_null(board_serial_chardev(BOARD_SERIAL_COM1));
	assert_int_equal(routes, 2);
	for (unsigned i = 0; i < 100; i++) {
		come_in(&uarts[0], (size_t)test_below(&seed, 40));
		come_in(&uarts[1], (size_t)test_below(&seed, 40));
		serial_interrupt();
		if (test_below(&seed, 4))
			continue;
		serial_poll();
		assert_false(serial_poll());
		take_all(chr[0], got[0], &len[0]);
		take_all(chr[1], got[1], &len[1]);
	}
	serial_poll();
	for (unsigned i = 0; i < 2; i++) {
		take_all(chr[i], got[i], &len[i]);
		assert_int_equal(len[i], uarts[i].coming_to);
		assert_memory_equal(got[i], uarts[i].coming, len[i]);
	}
}

static void what_does_not_fit_is_dropped(void **state)
{
	static uint8_t got[WIRE];
	struct hc_chardev *chr = board_serial_chardev(BOARD_SERIAL_COM1);
	size_t len = 0;

	come_in(&uarts[0], SERIAL_RING + 100);
	serial_interrupt();
	assert_int_equal(uarts[0].coming_from, uarts[0].coming_to); /* the line goes down */
	assert_true(serial_poll());
	take_all(chr, got, &len);
	assert_int_equal(len, SERIAL_RING);
	assert_memory_equal(got, uarts[0].coming, len);
}

/* As a card that is pulled out. */
static void a_port_that_always_has_input_is_left(void **state)
{
	static uint8_t got[WIRE];
	struct hc_chardev *chr = board_serial_chardev(BOARD_SERIAL_COM1);
	size_t len = 0;

	uarts[0].gone = true;
	uarts[0].looks = 0;
	serial_interrupt();
	assert_in_range(uarts[0].looks, SERIAL_RING, 5 * SERIAL_RING);
	assert_int_equal(uarts[0].edges, 2);
	assert_true(serial_poll());
	take_all(chr, got, &len);
	assert_int_equal(len, SERIAL_RING);
	/* It was only fast. */
	uarts[0].gone = false;
	come_in(&uarts[0], 3);
	serial_interrupt();
	assert_true(serial_poll());
	len = 0;
	take_all(chr, got, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(got, uarts[0].coming, 3);
}

static void without_an_interrupt_there_is_output_only(void **state)
{
	struct hc_chardev *chr;

	no_route = true;
	chr = board_serial_chardev(BOARD_SERIAL_COM1);
	assert_non_null(chr);
	assert_int_equal(uarts[0].ier, 0);
	come_in(&uarts[0], 5);
	serial_interrupt();
	assert_false(serial_poll());
	hc_chardev_send(chr, (const uint8_t *)"x", 1);
	serial_drain();
	assert_int_equal(uarts[0].sent, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(output_is_all_there_and_in_order, setup),
		cmocka_unit_test_setup(a_port_that_is_not_there_is_refused, setup),
		cmocka_unit_test_setup(the_rate_is_set_if_the_clock_is_known, setup),
		cmocka_unit_test_setup(a_clock_too_slow_for_the_rate_sets_none, setup),
		cmocka_unit_test_setup(a_stuck_port_costs_time_once, setup),
		cmocka_unit_test_setup(input_arrives_in_order, setup),
		cmocka_unit_test_setup(what_does_not_fit_is_dropped, setup),
		cmocka_unit_test_setup(a_port_that_always_has_input_is_left, setup),
		cmocka_unit_test_setup(without_an_interrupt_there_is_output_only, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
