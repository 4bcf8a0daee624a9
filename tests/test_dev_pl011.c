/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PL011: what drivers rely on, then random accesses against a naive reference that keeps lists
 * of characters and the levels that the manual gives (DDI 0183G), with its state saved and loaded
 * into another port on the way.
 */
#include <string.h>

#include "core/timer.h"
#include "devices/pl011.h"
#include "tests/devices_env.h"

#define BASE UINT64_C(0x09000000)
#define LINE 1

enum {
	DR = 0x00,
	RSR = 0x04,
	FR = 0x18,
	ILPR = 0x20,
	IBRD = 0x24,
	FBRD = 0x28,
	LCR_H = 0x2c,
	CR = 0x30,
	IFLS = 0x34,
	IMSC = 0x38,
	RIS = 0x3c,
	MIS = 0x40,
	ICR = 0x44,
	DMACR = 0x48
};

static uint32_t in(struct env *e, unsigned reg)
{
	return env_read32(e, BASE + reg);
}

static void out(struct env *e, unsigned reg, uint32_t value)
{
	env_write32(e, BASE + reg, value);
}

static struct env *make(void **state)
{
	struct env *e = *state;

	assert_int_equal(pl011_create(e->vm, &(struct pl011_config){ BASE, LINE, &e->chr }), 0);
	return e;
}

static void reset_values(void **state)
{
	static const struct {
		unsigned reg;
		uint32_t value;
	} rows[] = {
		{ DR, 0 },       { RSR, 0 },      { FR, 0x97 },    { ILPR, 0 },     { IBRD, 13 },
		{ FBRD, 1 },     { LCR_H, 0x70 }, { CR, 0x301 },   { IFLS, 0x12 },  { IMSC, 0 },
		{ RIS, 0 },      { MIS, 0 },      { ICR, 0 },      { DMACR, 0 },    { 0xfe0, 0x11 },
		{ 0xfe4, 0x10 }, { 0xfe8, 0x14 }, { 0xfec, 0x00 }, { 0xff0, 0x0d }, { 0xff4, 0xf0 },
		{ 0xff8, 0x05 }, { 0xffc, 0xb1 }, { 0xfdc, 0 },    { 0x100, 0 },
	};
	struct env *e = make(state);

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		assert_int_equal(in(e, rows[i].reg), rows[i].value);
}

static void configuration_is_checked(void **state)
{
	struct env *e = *state;

	assert_int_equal(pl011_create(e->vm, &(struct pl011_config){ BASE, LINE, NULL }), -EINVAL);
	assert_int_equal(pl011_create(e->vm, &(struct pl011_config){ BASE, HC_IRQ_LINES, &e->chr }),
	                 -EINVAL);
	make(state);
	assert_int_equal(pl011_create(e->vm, &(struct pl011_config){ BASE + 0xfff, LINE, &e->chr }),
	                 -EEXIST);
}

/* What an early console does, and byte accesses. */
static void polled_output(void **state)
{
	struct env *e = make(state);
	const char *text = "early";

	for (const char *p = text; *p; p++) {
		assert_int_equal(in(e, FR) & 0x28, 0);
		hc_bus_write(e->vm, HC_SPACE_MEMORY, BASE, 1, (uint8_t)*p);
	}
	assert_int_equal(e->output_len, strlen(text));
	assert_memory_equal(e->output, text, strlen(text));
}

/* Characters wait in the FIFO until UART and transmitter are on, and the 17th is lost. */
static void output_waits_for_the_transmitter(void **state)
{
	static const uint32_t off[] = { 0x0300, 0x0201, 0x8301 | 0x80 };
	struct env *e = make(state);

	for (unsigned i = 0; i < HC_ARRAY_SIZE(off); i++) {
		out(e, LCR_H, 0x70);
		out(e, CR, off[i]);
		e->output_len = 0;
		out(e, ICR, 0x7ff);
		for (uint32_t n = 0; n < 17; n++) {
			assert_int_equal(in(e, FR) & 0xa8, n == 0 ? 0x80 : n < 16 ? 0x08 : 0x28);
			out(e, DR, 'a' + n);
		}
		assert_int_equal(in(e, RIS) & 0x20, 0);
		assert_int_equal(e->output_len, 0);
		out(e, CR, 0x301);
		assert_int_equal(e->output_len, 16);
		assert_memory_equal(e->output, "abcdefghijklmnop", 16);
		assert_int_equal(in(e, RIS) & 0x20, 0x20);
	}
}

/* Each change of a line that is fed back is an interrupt of its own. */
static void loopback_modem_lines(void **state)
{
	static const struct {
		uint32_t cr, fr, ris;
	} lines[] = {
		{ 0x0800, 0x001, 0x02 }, /* RTS, CTS */
		{ 0x0400, 0x002, 0x08 }, /* DTR, DSR */
		{ 0x1000, 0x004, 0x04 }, /* Out1, DCD */
		{ 0x2000, 0x100, 0x01 }, /* Out2, RI */
	};
	struct env *e = make(state);

	out(e, CR, 0x381);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(lines); i++) {
		for (unsigned on = 2; on-- > 0;) {
			out(e, ICR, 0x7ff);
			out(e, CR, 0x381 | (on ? lines[i].cr : 0));
			assert_int_equal(in(e, FR) & 0x107, on ? lines[i].fr : 0);
			assert_int_equal(in(e, RIS), lines[i].ris);
		}
	}
}

/* --- The reference --- */

struct model {
	uint32_t ilpr, ibrd, fbrd, lcr, cr, ifls, imsc, dmacr, ris, rsr;
	uint32_t divisor; /* in 64ths */
	uint32_t rx[16], rx_n;
	uint8_t tx[16];
	unsigned tx_n;
	bool lost;
	uint64_t silent_at; /* when the time-out comes; 0: never */
	uint8_t sent[ENV_OUTPUT], waiting[HC_CHARDEV_INPUT];
	unsigned sent_n, waiting_n;
};

static unsigned depth(const struct model *m)
{
	return m->lcr & 0x10 ? 16 : 1;
}

static unsigned level(const struct model *m, unsigned select)
{
	static const unsigned eighths[8] = { 1, 2, 4, 6, 7, 7, 7, 7 };

	return eighths[select & 7] * 16 / 8;
}

static unsigned rx_level(const struct model *m)
{
	return m->lcr & 0x10 ? level(m, m->ifls >> 3) : 1;
}

static uint32_t lines_of(uint32_t cr)
{
	return !(cr & 0x80) ? 7u
	                    : (cr >> 11 & 1) | (cr >> 10 & 1) << 1 | (cr >> 12 & 1) << 2 |
	                              (cr >> 13 & 1) << 8;
}

static void model_arrives(struct model *m, uint32_t c)
{
	if (m->rx_n == depth(m)) {
		m->lost = true;
		m->rsr |= 8;
		m->ris |= 0x400;
		return;
	}
	m->rx[m->rx_n++] = c | (m->lost ? 0x800 : 0);
	m->lost = false;
	if (c & 0x400)
		m->ris |= 0x200;
	if (m->rx_n >= rx_level(m))
		m->ris |= 0x10;
	m->silent_at = test_now_ns + hc_ticks_to_ns(8 * hc_max(m->divisor, 64), 24000000);
}

static void model_takes(struct model *m)
{
	if ((m->cr & 0x281) != 0x201)
		return;
	while (m->waiting_n && m->rx_n < depth(m)) {
		model_arrives(m, m->waiting[0]);
		memmove(m->waiting, m->waiting + 1, --m->waiting_n);
	}
}

static void model_sends(struct model *m)
{
	if ((m->cr & 0x101) != 0x101 || m->lcr & 1 || !m->tx_n ||
	    (m->cr & 0x8000 && !(lines_of(m->cr) & 1)))
		return;
	for (unsigned i = 0; i < m->tx_n; i++) {
		uint8_t c = m->tx[i] & (uint8_t)((1 << (5 + (m->lcr >> 5 & 3))) - 1);

		if (!(m->cr & 0x80))
			m->sent[m->sent_n++] = c;
		else if ((m->cr & 0x201) == 0x201)
			model_arrives(m, c);
	}
	m->tx_n = 0;
	m->ris |= 0x20;
}

static void model_rx_shrank(struct model *m)
{
	if (m->rx_n < rx_level(m))
		m->ris &= ~0x10u;
	if (!m->rx_n) {
		m->ris &= ~0x40u;
		m->silent_at = 0;
	}
}

static void model_time(struct model *m)
{
	if (m->silent_at && m->silent_at <= test_now_ns) {
		m->silent_at = 0;
		m->ris |= 0x40;
	}
}

static uint32_t model_read_dr(struct model *m)
{
	uint32_t c = m->rx[0];

	if (!m->rx_n)
		return 0;
	m->rx_n--;
	memmove(m->rx, m->rx + 1, m->rx_n * sizeof(m->rx[0]));
	m->rsr = (m->rsr & 8) | c >> 8;
	model_rx_shrank(m);
	model_takes(m);
	return c;
}

static uint32_t model_read(struct model *m, unsigned reg)
{
	switch (reg) {
	case DR: return model_read_dr(m);
	case RSR: return m->rsr;
	case FR:
		return lines_of(m->cr) | (m->tx_n ? 0x08u : 0x80u) | (m->rx_n ? 0u : 0x10u) |
		       (m->tx_n == depth(m) ? 0x20u : 0u) | (m->rx_n == depth(m) ? 0x40u : 0u);
	case ILPR: return m->ilpr;
	case IBRD: return m->ibrd;
	case FBRD: return m->fbrd;
	case LCR_H: return m->lcr;
	case CR: return m->cr;
	case IFLS: return m->ifls;
	case IMSC: return m->imsc;
	case RIS: return m->ris;
	case MIS: return m->ris & m->imsc;
	case DMACR: return m->dmacr;
	default: return 0;
	}
}

static void model_write_lcr(struct model *m, uint32_t v)
{
	uint32_t changed = m->lcr ^ v;

	m->lcr = v;
	m->divisor = m->ibrd * 64 + m->fbrd;
	if (changed & 0x10) {
		m->rx_n = m->tx_n = 0;
		m->lost = false;
		model_rx_shrank(m);
	}
	if (changed & v & 1 && (m->cr & 0x281) == 0x281)
		model_arrives(m, 0x400);
}

static void model_write_cr(struct model *m, uint32_t v)
{
	uint32_t changed = lines_of(m->cr) ^ lines_of(v);

	m->cr = v;
	m->ris |= (changed >> 8 & 1) | (changed & 1) << 1 | (changed & 4) | (changed & 2) << 2;
}

static void model_write(struct model *m, unsigned reg, uint32_t v)
{
	switch (reg) {
	case DR:
		if (m->tx_n < depth(m))
			m->tx[m->tx_n++] = (uint8_t)v;
		if (m->tx_n > (m->lcr & 0x10 ? level(m, m->ifls) : 0))
			m->ris &= ~0x20u;
		break;
	case RSR: m->rsr = 0; break;
	case ILPR: m->ilpr = v & 0xff; break;
	case IBRD: m->ibrd = v & 0xffff; break;
	case FBRD: m->fbrd = v & 0x3f; break;
	case LCR_H: model_write_lcr(m, v & 0xff); break;
	case CR: model_write_cr(m, v & 0xff87); break;
	case IFLS: m->ifls = v & 0x3f; break;
	case IMSC: m->imsc = v & 0x7ff; break;
	case ICR: m->ris &= ~v; break;
	case DMACR: m->dmacr = v & 7; break;
	default: return;
	}
	model_sends(m);
	model_takes(m);
}

/* --- Random use --- */

static const unsigned registers[] = { DR,    DR, DR, DR,   RSR,  FR,  ILPR, IBRD, FBRD,  LCR_H,
	                              LCR_H, CR, CR, IFLS, IMSC, RIS, MIS,  ICR,  DMACR, 0x80 };

/* Values that keep it running most of the time. */
static uint32_t random_value(uint64_t *seed, unsigned reg)
{
	uint32_t v = (uint32_t)test_random(seed);

	if (reg == CR && test_below(seed, 4))
		v = (v & 0x7c80) | 0x301;
	if (reg == LCR_H && test_below(seed, 4))
		v |= 0x10;
	if (reg == LCR_H && test_below(seed, 8))
		v &= ~1u;
	if (reg == IBRD)
		v &= test_below(seed, 2) ? 0x3f : 0xffff;
	return v;
}

static void random_step(struct env *e, struct model *m, uint64_t *seed)
{
	unsigned reg = registers[test_below(seed, HC_ARRAY_SIZE(registers))];
	uint32_t value = random_value(seed, reg);
	uint8_t byte = (uint8_t)value;

	switch (test_below(seed, 6)) {
	case 0:
		if (env_feed(e, &byte, 1))
			m->waiting[m->waiting_n++] = byte;
		model_takes(m);
		break;
	case 1:
		env_advance(test_below(seed, 40000));
		model_time(m);
		break;
	case 2:
	case 3:
		out(e, reg, value);
		model_write(m, reg, value);
		break;
	default: assert_int_equal(in(e, reg), model_read(m, reg)); break;
	}
	assert_int_equal(env_line(e, LINE), (m->ris & m->imsc) != 0);
	assert_int_equal(e->output_len, m->sent_n);
}

static struct model model;

static void start(struct model *m)
{
	*m = (struct model){ .cr = 0x301, .ifls = 0x12, .lcr = 0x70, .ibrd = 13, .fbrd = 1 };
	m->divisor = 13 * 64 + 1;
}

static void fuzz(void **state)
{
	struct env *e = make(state);
	uint64_t seed = 11;
	unsigned seen = 0;

	start(&model);
	for (unsigned i = 0; i < 300000; i++) {
		random_step(e, &model, &seed);
		seen |= model.ris;
		if (model.sent_n < ENV_OUTPUT / 2)
			continue;
		assert_memory_equal(e->output, model.sent, model.sent_n);
		e->output_len = model.sent_n = 0;
	}
	assert_memory_equal(e->output, model.sent, model.sent_n);
	assert_int_equal(seen, 0x67f); /* all but framing and parity errors */
}

/* In the middle, a new port gets the state of the old one and goes on where that was. */
static void saved_and_loaded(void **state)
{
	uint64_t seed = 12;
	uint8_t buf[1024];

	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		struct env *a = env_begin(0), *b = env_begin(1);
		const struct pl011_config other = { BASE, LINE, &b->chr };
		unsigned steps = (unsigned)test_below(&seed, 2000);

		make((void *)&a);
		assert_int_equal(pl011_create(b->vm, &other), 0);
		start(&model);
		for (unsigned i = 0; i < steps; i++)
			random_step(a, &model, &seed);
		size_t n = env_save(a, buf, sizeof(buf));

		b->output_len = model.sent_n = 0;
		assert_int_equal(env_load(b, buf, n), 0);
		hc_chardev_take(&a->chr, buf, sizeof(buf)); /* what waits outside does not move */
		model.waiting_n = 0;
		assert_int_equal(env_line(b, LINE), (model.ris & model.imsc) != 0);
		for (unsigned i = 0; i < 1000; i++)
			random_step(b, &model, &seed);
		env_end(1);
		env_end(0);
	}
}

static void send_and_look(struct env *e)
{
	out(e, DR, 'x');
	in(e, DR);
	in(e, FR);
}

/* States that a port cannot be in are refused, the others can be used. */
static void hostile_states(void **state)
{
	struct env *e = make(state);
	uint64_t seed = 13;

	start(&model);
	for (unsigned i = 0; i < 500; i++)
		random_step(e, &model, &seed);
	assert_in_range(env_load_damaged(e, 20000, seed, send_and_look), 1000, 19999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENV_TEST(reset_values),
		ENV_TEST(configuration_is_checked),
		ENV_TEST(polled_output),
		ENV_TEST(output_waits_for_the_transmitter),
		ENV_TEST(loopback_modem_lines),
		ENV_TEST(fuzz),
		cmocka_unit_test(saved_and_loaded),
		ENV_TEST(hostile_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
