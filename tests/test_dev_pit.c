/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/timer.h"
#include "devices/i8254.h"
#include "tests/devices_env.h"
#include "tests/devices_pit_model.h"

#define CONTROL 0x43

static uint64_t epoch_ns, tick;

static struct env *make(void **state)
{
	struct env *e = *state;

	assert_int_equal(i8254_create(e->vm), 0);
	epoch_ns = test_now_ns;
	tick = 0;
	return e;
}

static void to_tick(uint64_t t)
{
	tick = t;
	env_advance(epoch_ns + hc_ticks_to_ns(tick, I8254_HZ) - test_now_ns);
}

static uint32_t to_bcd(uint32_t v)
{
	return v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
}

/* --- Against counters that count, with random programming --- */

struct pair {
	struct env *e;
	struct pit_model m[3];
	unsigned rw[3];
	bool half_written[3]; /* the high byte of this is still to come: */
	uint32_t written[3];
	uint64_t seed;
};

static void program(struct pair *p, unsigned ch)
{
	unsigned mode = (unsigned)test_below(&p->seed, 6), bcd = !test_below(&p->seed, 4);
	unsigned undecoded = mode == 2 || mode == 3 ? (unsigned)test_below(&p->seed, 2) << 2 : 0;

	p->rw[ch] = 1 + (unsigned)test_below(&p->seed, 3);
	p->half_written[ch] = false;
	env_out(p->e, CONTROL, (uint8_t)(ch << 6 | p->rw[ch] << 4 | (mode | undecoded) << 1 | bcd));
	pit_model_control(&p->m[ch], mode, bcd);
	p->m[ch].cr = 0;
}

/* Small counts mostly, so that they run out; channel 0's are long enough for every edge to come;
 * never 1, which modes 2 and 3 do not allow. */
static uint32_t random_count(struct pair *p, unsigned ch)
{
	uint32_t max = p->m[ch].bcd ? 10000 : 65536;
	uint32_t least = ch ? 2 : 64;

	if (!test_below(&p->seed, 10))
		return max;
	if (p->rw[ch] == 2) /* a high byte alone is hundreds in BCD */
		return (p->m[ch].bcd ? 100 : 256) * (1 + (uint32_t)test_below(&p->seed, 3));
	return least + (uint32_t)test_below(&p->seed, p->rw[ch] == 1 ? 90 - least : 600);
}

static uint16_t encode(const struct pair *p, unsigned ch, uint32_t n)
{
	return (uint16_t)(p->m[ch].bcd ? to_bcd(n % 10000) : n);
}

static void write_high(struct pair *p, unsigned ch, uint32_t n)
{
	env_out(p->e, (uint16_t)(0x40 + ch), (uint8_t)(encode(p, ch, n) >> 8));
	p->half_written[ch] = false;
	pit_model_count(&p->m[ch], n);
}

static void write_low(struct pair *p, unsigned ch, uint32_t n)
{
	env_out(p->e, (uint16_t)(0x40 + ch), (uint8_t)encode(p, ch, n));
	if (p->rw[ch] == 1) {
		pit_model_count(&p->m[ch], n);
		return;
	}
	pit_model_first_byte(&p->m[ch]);
	p->half_written[ch] = true;
	p->written[ch] = n;
}

static void write_count(struct pair *p, unsigned ch)
{
	if (p->half_written[ch])
		write_high(p, ch, p->written[ch]);
	else if (p->rw[ch] == 2)
		write_high(p, ch, random_count(p, ch));
	else
		write_low(p, ch, random_count(p, ch));
	if (p->half_written[ch] && test_below(&p->seed, 3)) /* else some time later */
		write_high(p, ch, p->written[ch]);
}

static void set_gate(struct pair *p)
{
	bool level = test_below(&p->seed, 2);

	env_out(p->e, 0x61, level);
	pit_model_gate(&p->m[2], level);
}

static uint32_t read_count(struct pair *p, unsigned ch)
{
	uint16_t port = (uint16_t)(0x40 + ch);
	uint32_t v = env_in(p->e, port);

	if (p->rw[ch] == 2)
		v <<= 8;
	else if (p->rw[ch] == 3)
		v |= (uint32_t)env_in(p->e, port) << 8;
	return v;
}

static void compare_count(struct pair *p, unsigned ch)
{
	const struct pit_model *m = &p->m[ch];
	uint32_t mask = p->rw[ch] == 1 ? 0xff : p->rw[ch] == 2 ? 0xff00 : 0xffff;
	uint32_t want = m->bcd ? to_bcd(m->ce % 10000) : m->ce & 0xffff;

	if (test_below(&p->seed, 2))
		env_out(p->e, CONTROL, (uint8_t)(ch << 6)); /* latched or not, it is the same */
	if (m->counting && !p->half_written[ch])
		assert_int_equal(read_count(p, ch), want & mask);
	else
		read_count(p, ch);
}

static void compare(struct pair *p, unsigned ch)
{
	const struct pit_model *m = &p->m[ch];
	uint8_t status;

	env_out(p->e, CONTROL, (uint8_t)(0xe0 | 2u << ch));
	status = env_in(p->e, (uint16_t)(0x40 + ch));
	assert_int_equal(status >> 7, m->out);
	assert_int_equal(status & 0x3f, p->rw[ch] << 4 | m->mode << 1 | m->bcd);
	if (m->cr && !p->half_written[ch])
		assert_int_equal(status >> 6 & 1, m->null_count);
	compare_count(p, ch);
}

static void let_pass(struct pair *p, uint64_t ticks)
{
	for (uint64_t i = 0; i < ticks; i++)
		for (unsigned ch = 0; ch < 3; ch++)
			pit_model_clock(&p->m[ch]);
	to_tick(tick + ticks);
}

static void matches_counters_that_count(void **state)
{
	struct pair p = { .e = make(state), .seed = 8254 };

	for (unsigned ch = 0; ch < 3; ch++) {
		p.m[ch].gate = ch != 2;
		program(&p, ch);
	}
	for (unsigned i = 0; i < 20000; i++) {
		unsigned ch = (unsigned)test_below(&p.seed, 3);

		if (!test_below(&p.seed, 8))
			program(&p, ch);
		else if (test_below(&p.seed, 2))
			write_count(&p, ch);
		else if (ch == 2)
			set_gate(&p);
		let_pass(&p, 1 + test_below(&p.seed, test_below(&p.seed, 20) ? 50 : 70000));
		for (ch = 0; ch < 3; ch++)
			compare(&p, ch);
		assert_int_equal(env_in(p.e, 0x61) >> 5 & 1, p.m[2].out);
	}
}

/* --- Against closed forms, over long times --- */

static void modes_2_and_3_keep_their_period_for_days(void **state)
{
	struct env *e = make(state);
	uint64_t seed = 23, start;

	for (unsigned i = 0; i < 2000; i++) {
		uint32_t n = 2 + (uint32_t)test_below(&seed, 65535);
		unsigned mode = 2 + (i & 1);
		uint64_t t = test_below(&seed, UINT64_C(3) * 86400 * I8254_HZ), v;

		env_out(e, CONTROL, (uint8_t)(0x70 | mode << 1)); /* channel 1: no interrupts */
		env_out(e, 0x41, (uint8_t)n);
		env_out(e, 0x41, (uint8_t)(n >> 8));
		start = tick + 1;
		to_tick(start + t);
		v = env_in(e, 0x41);
		v |= (uint64_t)env_in(e, 0x41) << 8;
		uint64_t at = t % n, half = (n + 1) / 2;
		uint64_t wave = (n & ~1u) - 2 * (at < half ? at : at - half);

		assert_int_equal(v, (mode == 2 ? n - at : wave) & 0xffff);
	}
}

/* --- Channel 0's interrupt --- */

static void program0(struct env *e, unsigned mode, uint32_t n)
{
	env_out(e, CONTROL, (uint8_t)(0x30 | mode << 1));
	env_out(e, 0x40, (uint8_t)n);
	env_out(e, 0x40, (uint8_t)(n >> 8));
}

static void one_shot_interrupts_once(void **state)
{
	struct env *e = make(state);

	program0(e, 0, 1000);
	assert_false(env_line(e, 0));
	unsigned before = e->rises[0];

	to_tick(1000);
	assert_int_equal(e->rises[0], before);
	to_tick(1001);
	assert_int_equal(e->rises[0], before + 1);
	to_tick(1000000);
	assert_int_equal(e->rises[0], before + 1);
	assert_int_equal(e->vm->vcpus[0]->timers.next_ns, UINT64_MAX);
}

static void periodic_interrupts_do_not_drift(void **state)
{
	static const uint32_t counts[] = { 64, 100, 1193, 11932, 0 };
	struct env *e = make(state);

	for (unsigned mode = 2; mode < 4; mode++) {
		for (unsigned i = 0; i < HC_ARRAY_SIZE(counts); i++) {
			uint64_t n = counts[i] ? counts[i] : 65536;

			program0(e, mode, counts[i]);
			unsigned before = e->rises[0];
			uint64_t start = tick + 1;

			to_tick(start + 1000 * n - 1);
			assert_int_equal(e->rises[0] - before, 999);
			to_tick(start + 1000 * n);
			assert_int_equal(e->rises[0] - before, 1000);
		}
	}
}

/* Counts that real time could not keep up with: interrupts come, but not without bound. */
static void short_periods_are_thinned_out(void **state)
{
	struct env *e = make(state);

	for (uint32_t n = 1; n < 60; n++) {
		program0(e, 2 + (n & 1), n);
		unsigned before = e->rises[0];

		to_tick(tick + 60000);
		assert_in_range(e->rises[0] - before, n == 1 ? 0 : 500, 1001);
	}
}

static void edges_match_the_counter(void **state)
{
	struct pair p = { .e = make(state), .seed = 40 };

	p.m[0].gate = true;
	program(&p, 0);
	p.m[0].rises = p.e->rises[0];
	for (unsigned i = 0; i < 100000; i++) {
		if (!test_below(&p.seed, 300))
			program(&p, 0);
		else if (!test_below(&p.seed, 100))
			write_count(&p, 0);
		let_pass(&p, 1 + test_below(&p.seed, 20));
		assert_int_equal(p.e->rises[0], p.m[0].rises);
	}
	assert_true(p.m[0].rises > 1000);
}

/* Programming comes between the edge and the timer that is to bring it. */
static void late_timer_loses_no_edge(void **state)
{
	struct env *e = make(state);

	for (unsigned mode = 2; mode < 4; mode++) {
		program0(e, mode, 1000);
		unsigned before = e->rises[0];

		test_now_ns += hc_ticks_to_ns(1600, I8254_HZ);
		env_out(e, 0x40, 0x10);
		assert_int_equal(e->rises[0], before + 1);
		tick = hc_ns_to_ticks(test_now_ns - epoch_ns, I8254_HZ);
	}
}

/* --- Reading --- */

static void latches_hold_until_read(void **state)
{
	struct env *e = make(state);

	program0(e, 2, 0x1234);
	to_tick(1);
	env_out(e, CONTROL, 0xc2); /* read-back: status and count of channel 0 */
	to_tick(200);
	env_out(e, CONTROL, 0x00); /* ignored: the first latch was not read */
	assert_int_equal(env_in(e, 0x40), 0xb4);
	assert_int_equal(env_in(e, 0x40), 0x34);
	assert_int_equal(env_in(e, 0x40), 0x12);
	assert_int_equal(env_in(e, 0x40), (0x1234 - 199) & 0xff);
	assert_int_equal(env_in(e, CONTROL), 0xff);
}

static void refresh_bit_toggles(void **state)
{
	struct env *e = make(state);
	unsigned toggles = 0;
	uint8_t last = env_in(e, 0x61) & 0x10;

	for (unsigned i = 0; i < 1000; i++) {
		env_advance(1000);
		uint8_t now = env_in(e, 0x61) & 0x10;

		toggles += now != last;
		last = now;
	}
	assert_in_range(toggles, 60, 70); /* 1 ms at 15 us each */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENV_TEST(matches_counters_that_count),
		ENV_TEST(modes_2_and_3_keep_their_period_for_days),
		ENV_TEST(one_shot_interrupts_once),
		ENV_TEST(periodic_interrupts_do_not_drift),
		ENV_TEST(short_periods_are_thinned_out),
		ENV_TEST(edges_match_the_counter),
		ENV_TEST(late_timer_loses_no_edge),
		ENV_TEST(latches_hold_until_read),
		ENV_TEST(refresh_bit_toggles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
