/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "devices/i8259.h"
#include "tests/devices_env.h"
#include "tests/devices_pic_model.h"

static const uint16_t base_port[2] = { 0x20, 0xa0 };

static void program(struct env *e)
{
	static const uint8_t words[2][4] = { { 0x11, 0x30, 0x04, 0x01 },
		                             { 0x11, 0x38, 0x02, 0x01 } };

	for (unsigned c = 0; c < 2; c++)
		for (unsigned i = 0; i < 4; i++)
			env_out(e, (uint16_t)(base_port[c] + !!i), words[c][i]);
}

static struct env *make(void **state)
{
	struct env *e = *state;

	assert_int_equal(i8259_create(e->vm), 0);
	return e;
}

static void nothing_before_initialisation(void **state)
{
	struct env *e = make(state);

	env_set_line(e, 4, true);
	assert_false(hc_irq_extint_pending(e->vm));
	env_out(e, 0x21, 0xfb); /* how Linux looks whether there is a controller */
	assert_int_equal(env_in(e, 0x21), 0xfb);
}

static void priorities_and_cascade(void **state)
{
	struct env *e = make(state);

	program(e);
	env_set_line(e, 4, true);
	env_set_line(e, 10, true);
	env_set_line(e, 8, true);
	assert_true(hc_irq_extint_pending(e->vm));
	assert_int_equal(hc_irq_extint_ack(e->vm), 0x38);
	assert_false(hc_irq_extint_pending(e->vm)); /* 10 and 4 are lower */
	env_out(e, 0xa0, 0x20);
	env_out(e, 0x20, 0x20);
	assert_int_equal(hc_irq_extint_ack(e->vm), 0x3a);
	env_set_line(e, 1, true); /* higher than the cascade */
	assert_int_equal(hc_irq_extint_ack(e->vm), 0x31);
	env_out(e, 0x20, 0x20);
	env_out(e, 0xa0, 0x20);
	env_out(e, 0x20, 0x20);
	assert_int_equal(hc_irq_extint_ack(e->vm), 0x34);
}

static void spurious_vectors(void **state)
{
	struct env *e = make(state);

	program(e);
	assert_int_equal(hc_irq_extint_ack(e->vm), 0x37);
	env_out(e, 0x20, 0x0b);
	assert_int_equal(env_in(e, 0x20), 0); /* not in service */
	env_out(e, 0x4d1, 0x04);
	env_set_line(e, 10, true);
	assert_true(hc_irq_extint_pending(e->vm));
	env_set_line(e, 10, false); /* a level that went away takes the request with it */
	assert_false(hc_irq_extint_pending(e->vm));
}

static void elcr_has_fixed_edges(void **state)
{
	struct env *e = make(state);

	env_out(e, 0x4d0, 0xff);
	env_out(e, 0x4d1, 0xff);
	assert_int_equal(env_in(e, 0x4d0), 0xf8);
	assert_int_equal(env_in(e, 0x4d1), 0xde);
}

/* --- Against the naive pair --- */

static uint8_t random_command(uint64_t *seed)
{
	switch (test_below(seed, 6)) {
	case 0: return (uint8_t)(0x20 | test_below(seed, 8)); /* non-specific EOI */
	case 1: return (uint8_t)(0x60 | test_below(seed, 8));
	case 2: return (uint8_t)(test_random(seed) & 0xe7);          /* any OCW2 */
	case 3: return (uint8_t)((test_random(seed) & 0x67) | 0x08); /* any OCW3 */
	case 4: return 0x0c;
	default: return test_below(seed, 20) ? 0x20 : (uint8_t)(0x10 | test_below(seed, 256));
	}
}

static void compare(struct env *e, struct pic_model *m)
{
	assert_int_equal(hc_irq_extint_pending(e->vm), pic_model_intr(m));
	for (unsigned c = 0; c < 2; c++)
		for (unsigned a0 = 0; a0 < 2; a0++)
			assert_int_equal(env_in(e, (uint16_t)(base_port[c] + a0)),
			                 pic_model_read(m, c, a0));
}

static void step(struct env *e, struct pic_model *m, uint64_t *seed)
{
	unsigned chip = (unsigned)test_below(seed, 2), line = (unsigned)test_below(seed, 16);
	uint8_t value;

	switch (test_below(seed, 8)) {
	case 0:
	case 1:
	case 2:
		if (line == 2)
			line = 20; /* the cascade cannot be driven; other sinks' lines are not ours
			            */
		pic_model_line(m, line, !env_line(e, line));
		env_set_line(e, line, !env_line(e, line));
		break;
	case 3:
	case 4:
		if (pic_model_intr(m) || !test_below(seed, 8))
			assert_int_equal(hc_irq_extint_ack(e->vm), pic_model_inta(m));
		break;
	case 5:
		value = random_command(seed);
		env_out(e, base_port[chip], value);
		pic_model_write(m, chip, 0, value);
		break;
	case 6:
		/* Few bits: a mask that leaves most lines open. */
		value = (uint8_t)test_random(seed);
		value &= (uint8_t)test_random(seed);
		env_out(e, base_port[chip] + 1, value);
		pic_model_write(m, chip, 1, value);
		break;
	default:
		if (test_below(seed, 8))
			break;
		value = (uint8_t)test_random(seed);
		env_out(e, (uint16_t)(0x4d0 + chip), value);
		pic_model_write_elcr(m, chip, value);
		break;
	}
}

static void matches_naive_pair(void **state)
{
	struct env *e = make(state);
	struct pic_model m;
	uint64_t seed = 8259;
	unsigned interrupts = 0;

	pic_model_init(&m);
	for (unsigned i = 0; i < 300000; i++) {
		step(e, &m, &seed);
		compare(e, &m);
		interrupts += pic_model_intr(&m);
	}
	assert_true(interrupts > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENV_TEST(nothing_before_initialisation),
		ENV_TEST(priorities_and_cascade),
		ENV_TEST(spurious_vectors),
		ENV_TEST(elcr_has_fixed_edges),
		ENV_TEST(matches_naive_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
