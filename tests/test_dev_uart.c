/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/uart16550.h"
#include "tests/devices_env.h"

#define BASE 0x3f8
#define LINE 4

enum { RBR = BASE, THR = BASE, DLL = BASE, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { DLM = IER, FCR = IIR };

static struct uart16550 *uart;

static struct env *make(void **state)
{
	struct env *e = *state;
	const struct uart16550_config config = { BASE, LINE, &e->chr, HC_SPACE_IO };

	assert_int_equal(uart16550_create(e->vm, &config, &uart), 0);
	return e;
}

static void reset_values(void **state)
{
	struct env *e = make(state);

	assert_int_equal(env_in(e, IER), 0);
	assert_int_equal(env_in(e, IIR), 0x01);
	assert_int_equal(env_in(e, LCR), 0);
	assert_int_equal(env_in(e, MCR), 0);
	assert_int_equal(env_in(e, LSR), 0x60);
	assert_int_equal(env_in(e, MSR), 0xb0);
	assert_int_equal(env_in(e, RBR), 0);
}

static void configuration_is_checked(void **state)
{
	struct env *e = *state;
	const struct uart16550_config bad[] = {
		{ BASE, LINE, NULL, HC_SPACE_IO },
		{ 0xfff9, LINE, &e->chr, HC_SPACE_IO },
		{ BASE, HC_IRQ_LINES, &e->chr, HC_SPACE_IO },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(bad); i++)
		assert_int_equal(uart16550_create(e->vm, &bad[i], NULL), -EINVAL);
	make(state);
	assert_int_equal(
		uart16550_create(e->vm,
	                         &(struct uart16550_config){ BASE + 4, LINE, &e->chr, HC_SPACE_IO },
	                         NULL),
		-EEXIST);
}

static void divisor_hides_data_and_ier(void **state)
{
	struct env *e = make(state);

	env_out(e, LCR, 0x83);
	env_out(e, DLL, 0x12);
	env_out(e, DLM, 0x34);
	assert_int_equal(e->output_len, 0);
	env_out(e, LCR, 0x03);
	env_out(e, IER, 0xff);
	env_out(e, THR, 'x');
	assert_int_equal(env_in(e, IER), 0x0f);
	env_out(e, LCR, 0x83);
	assert_int_equal(env_in(e, DLL), 0x12);
	assert_int_equal(env_in(e, DLM), 0x34);
	assert_int_equal(e->output_len, 1);
	assert_int_equal(e->output[0], 'x');
}

static void word_length_cuts_what_is_sent(void **state)
{
	struct env *e = make(state);

	for (uint8_t wls = 0; wls < 4; wls++) {
		env_out(e, LCR, wls);
		env_out(e, THR, 0xff);
		assert_int_equal(e->output[wls], (1 << (5 + wls)) - 1);
	}
}

/* The probe by which Linux decides that a port has no THRE bug, and the interrupt's life. */
static void thre_interrupt(void **state)
{
	struct env *e = make(state);

	env_out(e, LCR, 3);
	env_out(e, MCR, 0x08);
	env_out(e, IER, 0x02);
	assert_true(env_line(e, LINE));
	assert_int_equal(env_in(e, IIR), 0x02);
	assert_false(env_line(e, LINE)); /* reading IIR was the acknowledge */
	assert_int_equal(env_in(e, IIR), 0x01);
	env_out(e, IER, 0x00);
	env_out(e, IER, 0x02);
	assert_int_equal(env_in(e, IIR), 0x02);
	env_out(e, THR, 'a');
	assert_true(env_line(e, LINE));
	unsigned before = e->rises[LINE];

	env_out(e, THR, 'b'); /* without an acknowledge between: still an edge per character */
	assert_int_equal(e->rises[LINE], before + 1);
	env_out(e, IER, 0x00);
	assert_false(env_line(e, LINE));
}

static void out2_gates_the_line(void **state)
{
	struct env *e = make(state);

	env_out(e, IER, 0x02);
	assert_false(env_line(e, LINE));
	env_out(e, MCR, 0x08);
	assert_true(env_line(e, LINE));
	env_out(e, MCR, 0x00);
	assert_false(env_line(e, LINE));
	assert_int_equal(env_in(e, IIR), 0x02);
}

static void trigger_levels(void **state)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };
	struct env *e = make(state);

	env_out(e, LCR, 3);
	env_out(e, MCR, 0x08);
	for (uint8_t i = 0; i < 4; i++) {
		env_out(e, FCR, (uint8_t)(i << 6 | 0x03));
		env_out(e, IER, 0x01);
		for (unsigned n = 1; n <= 16; n++) {
			env_feed(e, "x", 1);
			assert_int_equal(env_line(e, LINE), n >= levels[i]);
			assert_int_equal(env_in(e, IIR), n >= levels[i] ? 0xc4 : 0xc1);
		}
		for (unsigned n = 15; n < 16; n--) {
			assert_int_equal(env_in(e, RBR), 'x');
			assert_int_equal(env_line(e, LINE), n >= levels[i]);
		}
		assert_int_equal(env_in(e, LSR), 0x60);
	}
}

/* Four characters of the programmed length and speed after the last arrival or read. */
static void character_timeout(void **state)
{
	struct env *e = make(state);
	uint64_t seed = 3;

	env_out(e, MCR, 0x08);
	env_out(e, FCR, 0xc1);
	env_out(e, IER, 0x01);
	for (unsigned i = 0; i < 200; i++) {
		uint16_t divisor = (uint16_t)(1 + test_below(&seed, 65535));
		uint8_t lcr = (uint8_t)test_below(&seed, 0x20);
		unsigned bits = 7 + (lcr & 3u) + (lcr >> 2 & 1u) + (lcr >> 3 & 1u);
		uint64_t wait = hc_ticks_to_ns(UINT64_C(64) * bits * divisor, 1843200);

		env_out(e, LCR, 0x80);
		env_out(e, DLL, (uint8_t)divisor);
		env_out(e, DLM, (uint8_t)(divisor >> 8));
		env_out(e, LCR, lcr);
		env_feed(e, "ab", 2);
		env_advance(wait - 1);
		assert_int_equal(env_in(e, IIR), 0xc1);
		env_advance(1);
		assert_int_equal(env_in(e, IIR), 0xcc);
		assert_true(env_line(e, LINE));
		assert_int_equal(env_in(e, RBR), 'a');
		assert_false(env_line(e, LINE));
		env_advance(wait);
		assert_int_equal(env_in(e, IIR), 0xcc);
		assert_int_equal(env_in(e, RBR), 'b');
		env_advance(4 * wait);
		assert_int_equal(env_in(e, IIR), 0xc1);
	}
}

/* In memory there is no PC's board around it: eight bytes anywhere, and OUT2 gates nothing. */
static void in_memory(void **state)
{
	struct env *e = *state;
	const uint64_t base = UINT64_C(0x9040000);
	const struct uart16550_config config = { base, LINE, &e->chr, HC_SPACE_MEMORY };
	uint64_t value = 0;

	assert_int_equal(uart16550_create(e->vm, &config, &uart), 0);
	for (unsigned i = 0; i < 4; i++)
		hc_bus_write(e->vm, HC_SPACE_MEMORY, base, 1, (uint8_t) "mmio"[i]);
	assert_memory_equal(e->output, "\r\r\t\x0f", 4); /* of five bits each */
	hc_bus_write(e->vm, HC_SPACE_MEMORY, base + 7, 1, 0x5a);
	hc_bus_read(e->vm, HC_SPACE_MEMORY, base + 4, 4, &value);
	assert_int_equal(value, 0x5ab06000); /* SCR, MSR, LSR, MCR */
	assert_false(env_line(e, LINE));
	hc_bus_write(e->vm, HC_SPACE_MEMORY, base + 1, 1, 0x02);
	assert_true(env_line(e, LINE));
	assert_int_equal(env_in(e, LSR), 0xff); /* no port */
}

static void loopback_modem_lines(void **state)
{
	struct env *e = make(state);

	for (uint8_t mcr = 0; mcr < 16; mcr++) {
		uint8_t want = (uint8_t)((mcr & 2 ? 0x10 : 0) | (mcr & 1 ? 0x20 : 0) |
		                         (mcr & 4 ? 0x40 : 0) | (mcr & 8 ? 0x80 : 0));

		env_out(e, MCR, 0x10 | mcr);
		assert_int_equal(env_in(e, MSR) & 0xf0, want);
		assert_int_equal(env_in(e, MSR), want); /* the deltas are gone */
	}
	env_out(e, IER, 0x08);
	env_out(e, MCR, 0x14 | 0x08);
	env_in(e, MSR);
	env_out(e, MCR, 0x10 | 0x08); /* RI falls: TERI */
	assert_int_equal(env_in(e, IIR), 0x00);
	assert_int_equal(env_in(e, MSR), 0x84);
	env_out(e, MCR, 0x14 | 0x08); /* RI rises: nothing */
	assert_int_equal(env_in(e, MSR), 0xc0);
	assert_int_equal(env_in(e, IIR), 0x01);
}

static void loopback_data_and_overrun(void **state)
{
	struct env *e = make(state);

	env_out(e, LCR, 3);
	env_out(e, MCR, 0x10);
	env_out(e, FCR, 0x01);
	for (uint8_t i = 0; i < 17; i++)
		env_out(e, THR, i);
	assert_int_equal(e->output_len, 0);
	assert_int_equal(env_in(e, LSR), 0x63);
	assert_int_equal(env_in(e, LSR), 0x61);
	for (uint8_t i = 0; i < 16; i++) /* the 17th is the one that was lost */
		assert_int_equal(env_in(e, RBR), i);
	assert_int_equal(env_in(e, LSR), 0x60);
	env_out(e, FCR, 0x00);
	env_out(e, THR, 1);
	env_out(e, THR, 2);
	assert_int_equal(env_in(e, LSR), 0x63);
	assert_int_equal(env_in(e, RBR), 2); /* without a FIFO the older one */
}

static void input_waits_during_loopback(void **state)
{
	struct env *e = make(state);

	env_out(e, MCR, 0x10);
	env_feed(e, "z", 1);
	assert_int_equal(env_in(e, LSR), 0x60);
	env_out(e, MCR, 0x00);
	assert_int_equal(env_in(e, LSR), 0x61);
	assert_int_equal(env_in(e, RBR), 'z');
}

/* More than the FIFO holds: the rest follows as the guest reads, also from one byte to the next. */
static void input_follows_as_it_is_read(void **state)
{
	struct env *e = make(state);
	uint8_t data[300];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (uint8_t fcr = 0; fcr < 2; fcr++) {
		env_out(e, FCR, fcr);
		assert_int_equal(env_feed(e, data, sizeof(data)), sizeof(data));
		for (unsigned i = 0; i < sizeof(data); i++) {
			assert_int_equal(env_in(e, LSR), 0x61);
			assert_int_equal(env_in(e, RBR), data[i]);
		}
		assert_int_equal(env_in(e, LSR), 0x60);
	}
}

static void break_shows_with_its_character(void **state)
{
	struct env *e = make(state);

	env_out(e, MCR, 0x08);
	env_out(e, FCR, 0x01);
	env_out(e, IER, 0x05);
	env_feed(e, "a", 1);
	uart16550_break(uart);
	env_feed(e, "b", 1);
	assert_int_equal(env_in(e, LSR), 0xe1); /* in the FIFO, not at its head */
	assert_int_equal(env_in(e, RBR), 'a');
	assert_int_equal(env_in(e, IIR), 0xc6);
	assert_int_equal(env_in(e, LSR), 0xf1);
	assert_int_equal(env_in(e, LSR), 0x61);
	assert_int_equal(env_in(e, RBR), 0);
	assert_int_equal(env_in(e, RBR), 'b');
}

/* Whatever the guest does, the interrupt line agrees with what the registers say, and no byte from
 * outside is lost, doubled or reordered as long as the guest does not clear the FIFO. */
static void fuzz(void **state)
{
	struct env *e = make(state);
	uint64_t seed = 20;
	uint8_t fed = 0, expected = 0;
	bool dirty = false; /* loopback or a FIFO reset touched the data */

	for (unsigned i = 0; i < 200000; i++) {
		uint16_t reg = (uint16_t)(BASE + test_below(&seed, 8));
		uint8_t value = (uint8_t)test_random(&seed);

		switch (test_below(&seed, 8)) {
		case 0:
			if (env_feed(e, &fed, 1))
				fed++;
			break;
		case 1: env_advance(test_below(&seed, 1000000)); break;
		case 2:
		case 3:
			if (reg == FCR || (reg == MCR && (value & 0x10)))
				dirty = true;
			env_out(e, reg, value);
			break;
		default: {
			bool ready = env_in(e, LSR) & 1, dlab = env_in(e, LCR) & 0x80;
			uint8_t got = env_in(e, reg);

			if (reg == RBR && !dlab && ready) {
				if (!dirty)
					assert_int_equal(got, expected);
				expected = (uint8_t)(got + 1);
			}
		}
		}
		assert_int_equal(env_in(e, LSR) & 0x60, 0x60);
		bool line = env_line(e, LINE), out2 = env_in(e, MCR) & 0x08;
		uint8_t iir = env_in(e, IIR);

		assert_int_equal(line, out2 && !(iir & 1));
		assert_int_equal(iir & 0x30, 0);
		if (e->chr.tail == e->chr.head && !(env_in(e, LSR) & 1) &&
		    !(env_in(e, MCR) & 0x10)) {
			expected = fed; /* drained: what comes next is known again */
			dirty = false;
		}
	}
	assert_true(e->rises[LINE] > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENV_TEST(reset_values),
		ENV_TEST(configuration_is_checked),
		ENV_TEST(divisor_hides_data_and_ier),
		ENV_TEST(word_length_cuts_what_is_sent),
		ENV_TEST(thre_interrupt),
		ENV_TEST(out2_gates_the_line),
		ENV_TEST(in_memory),
		ENV_TEST(trigger_levels),
		ENV_TEST(character_timeout),
		ENV_TEST(loopback_modem_lines),
		ENV_TEST(loopback_data_and_overrun),
		ENV_TEST(input_waits_during_loopback),
		ENV_TEST(input_follows_as_it_is_read),
		ENV_TEST(break_shows_with_its_character),
		ENV_TEST(fuzz),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
