/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PL031 against a reference that walks through the seconds one by one, over random loads,
 * matches and waits, with its state moved to another clock on the way.
 */
#include "devices/pl031.h"
#include "tests/devices_env.h"

#define BASE UINT64_C(0x09010000)
#define LINE 2
#define S    UINT64_C(1000000000)

enum {
	DR = 0x00,
	MR = 0x04,
	LR = 0x08,
	CR = 0x0c,
	IMSC = 0x10,
	RIS = 0x14,
	MIS = 0x18,
	ICR = 0x1c
};

static uint32_t in(struct env *e, unsigned reg)
{
	return env_read32(e, BASE + reg);
}

static void out(struct env *e, unsigned reg, uint32_t value)
{
	env_write32(e, BASE + reg, value);
}

static struct env *make(struct env *e)
{
	assert_int_equal(pl031_create(e->vm, &(struct pl031_config){ BASE, LINE }), 0);
	return e;
}

static void shows_the_wall_clock(void **state)
{
	static const uint32_t ids[] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };
	struct env *e = make(*state);
	uint32_t start = in(e, DR);

	assert_int_equal(start, (uint32_t)hc_platform_wall_clock());
	env_advance(S - 1);
	assert_int_equal(in(e, DR), start);
	env_advance(1);
	assert_int_equal(in(e, DR), start + 1);
	out(e, CR, 0); /* it cannot be stopped */
	assert_int_equal(in(e, CR), 1);
	out(e, DR, 5);
	assert_int_equal(in(e, DR), start + 1);
	hc_devices_reset(e->vm);
	assert_int_equal(in(e, DR), start + 1);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(ids); i++)
		assert_int_equal(in(e, 0xfe0 + 4 * i), ids[i]);
	assert_int_equal(in(e, 0x20), 0);
}

static void configuration_is_checked(void **state)
{
	struct env *e = *state;
	const struct pl031_config bad = { BASE, HC_IRQ_LINES };

	assert_int_equal(pl031_create(e->vm, &bad), -EINVAL);
	make(e);
	assert_int_equal(pl031_create(e->vm, &(struct pl031_config){ BASE + 4, LINE }), -EEXIST);
}

/* As Linux's driver sets an alarm. */
static void alarm_is_on_the_second(void **state)
{
	struct env *e = make(*state);
	uint32_t now = in(e, DR);

	out(e, ICR, 1);
	out(e, MR, now + 3);
	out(e, IMSC, 1);
	env_advance(3 * S - 1);
	assert_false(env_line(e, LINE));
	env_advance(1);
	assert_true(env_line(e, LINE));
	assert_int_equal(in(e, MIS), 1);
	out(e, ICR, 1);
	assert_false(env_line(e, LINE));
	env_advance(100 * S);
	assert_false(env_line(e, LINE));
}

/* The counter wraps, and what it is to match comes again after 2^32 seconds. */
static void wraps(void **state)
{
	struct env *e = make(*state);

	out(e, LR, 0xfffffffe);
	out(e, MR, 1);
	env_advance(2 * S);
	assert_int_equal(in(e, DR), 0);
	assert_int_equal(in(e, RIS), 0);
	env_advance(S);
	assert_int_equal(in(e, RIS), 1);
	out(e, ICR, 1);
	env_advance((UINT64_C(1) << 32) * S - 1);
	assert_int_equal(in(e, RIS), 0);
	env_advance(1);
	assert_int_equal(in(e, RIS), 1);
	assert_int_equal(in(e, DR), 1);
}

struct model {
	uint32_t counter, lr, mr, imsc, ris;
	uint64_t left; /* ns to the next second */
};

static void model_wait(struct model *m, uint64_t ns)
{
	while (ns >= m->left) {
		ns -= m->left;
		m->left = S;
		m->counter++;
		m->ris |= m->counter == m->mr;
	}
	m->left -= ns;
}

static void random_write(struct env *e, struct model *m, uint64_t *seed)
{
	static const unsigned registers[] = { MR, MR, LR, IMSC, ICR };
	unsigned reg = registers[test_below(seed, HC_ARRAY_SIZE(registers))];
	uint32_t value = reg == MR && test_below(seed, 4)
	                         ? m->counter + (uint32_t)test_below(seed, 6)
	                         : (uint32_t)test_random(seed);

	out(e, reg, value);
	if (reg == MR)
		m->mr = value;
	if (reg == LR) {
		m->counter = m->lr = value;
		m->left = S;
	}
	if (reg == IMSC)
		m->imsc = value & 1;
	if (reg == ICR)
		m->ris &= ~value;
	else if (reg != IMSC)
		m->ris |= m->counter == m->mr;
}

static void compare(struct env *e, const struct model *m)
{
	assert_int_equal(in(e, DR), m->counter);
	assert_int_equal(in(e, MR), m->mr);
	assert_int_equal(in(e, LR), m->lr);
	assert_int_equal(in(e, IMSC), m->imsc);
	assert_int_equal(in(e, RIS), m->ris);
	assert_int_equal(in(e, MIS), m->ris & m->imsc);
	assert_int_equal(in(e, ICR), 0);
	assert_int_equal(env_line(e, LINE), m->ris & m->imsc);
}

static void random_steps(struct env *e, struct model *m, uint64_t *seed, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		uint64_t wait = test_below(seed, 3) ? test_below(seed, 5 * S) : 0;

		env_advance(wait);
		model_wait(m, wait);
		random_write(e, m, seed);
		compare(e, m);
	}
}

static void fuzz(void **state)
{
	uint64_t seed = 31;
	uint8_t buf[256];

	(void)state;
	for (unsigned round = 0; round < 100; round++) {
		struct env *a = make(env_begin(0)), *b = make(env_begin(1));
		struct model m = { .left = S };

		out(a, LR, 0);
		out(a, ICR, 1);
		random_steps(a, &m, &seed, 100);
		size_t n = env_save(a, buf, sizeof(buf));
		uint64_t pause = test_below(&seed, 9 * S);

		env_advance(pause); /* a match meanwhile comes late */
		model_wait(&m, pause);
		assert_int_equal(env_load(b, buf, n), 0);
		env_advance(0);
		compare(b, &m);
		random_steps(b, &m, &seed, 100);
		env_end(1);
		env_end(0);
	}
}

static void look_and_wait(struct env *e)
{
	in(e, DR);
	env_advance(S);
}

static void hostile_states(void **state)
{
	struct env *e = make(*state);

	assert_in_range(env_load_damaged(e, 5000, 14, look_and_wait), 100, 4999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENV_TEST(shows_the_wall_clock),   ENV_TEST(configuration_is_checked),
		ENV_TEST(alarm_is_on_the_second), ENV_TEST(wraps),
		cmocka_unit_test(fuzz),           ENV_TEST(hostile_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
