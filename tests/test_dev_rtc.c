/* SPDX-License-Identifier: BSD-2-Clause */
#include <time.h>

#include "devices/calendar.h"
#include "devices/mc146818.h"
#include "tests/devices_env.h"

#define NS_PER_S UINT64_C(1000000000)
#define LINE     8

enum { A = 0x0a, B = 0x0b, C = 0x0c, D = 0x0d, CENTURY = 0x32 };

static uint64_t start_ns;

static struct env *make(void **state)
{
	struct env *e = *state;
	const struct mc146818_config config = { .ram_low = 3 * HC_GIB, .ram_high = 5 * HC_GIB };

	assert_int_equal(mc146818_create(e->vm, &config), 0);
	start_ns = test_now_ns;
	return e;
}

static uint8_t get(struct env *e, uint8_t reg)
{
	env_out(e, 0x70, reg);
	return env_in(e, 0x71);
}

static void set(struct env *e, uint8_t reg, uint8_t value)
{
	env_out(e, 0x70, reg);
	env_out(e, 0x71, value);
}

static time_t time_now(void)
{
	return (time_t)(hc_platform_wall_clock() + (test_now_ns - start_ns) / NS_PER_S);
}

static unsigned from_reg(struct env *e, uint8_t v)
{
	return get(e, B) & 0x04 ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t to_reg(uint8_t b, unsigned v)
{
	return (uint8_t)(b & 0x04 ? v : v / 10 << 4 | v % 10);
}

static unsigned hours(struct env *e, uint8_t v)
{
	if (get(e, B) & 0x02)
		return from_reg(e, v);
	return from_reg(e, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

/* --- Calendar --- */

static void calendar_matches_gmtime(void **state)
{
	uint64_t seed = 1970;

	for (unsigned i = 0; i < 60000; i++) {
		/* years -1200 to 5100 */
		time_t t = (time_t)test_below(&seed, UINT64_C(200000000000)) - 100000000000;
		struct calendar c = calendar_of(t);
		struct tm tm;

		gmtime_r(&t, &tm);
		assert_int_equal(c.year, tm.tm_year + 1900);
		assert_int_equal(c.month, tm.tm_mon + 1);
		assert_int_equal(c.day, tm.tm_mday);
		assert_int_equal(c.hour, tm.tm_hour);
		assert_int_equal(c.minute, tm.tm_min);
		assert_int_equal(c.second, tm.tm_sec);
		assert_int_equal(calendar_weekday(calendar_days(&c)), tm.tm_wday);
		assert_int_equal(calendar_seconds(&c), t);
	}
}

static void every_day_follows_the_last(void **state)
{
	for (int64_t day = -800000; day < 800000; day++) {
		struct calendar c = calendar_of(day * CALENDAR_DAY);

		assert_int_equal(calendar_days(&c), day);
	}
}

/* --- Time --- */

static void assert_shows(struct env *e, time_t t)
{
	struct tm tm;

	gmtime_r(&t, &tm);
	assert_int_equal(from_reg(e, get(e, 0)), tm.tm_sec);
	assert_int_equal(from_reg(e, get(e, 2)), tm.tm_min);
	assert_int_equal(hours(e, get(e, 4)), tm.tm_hour);
	assert_int_equal(from_reg(e, get(e, 6)), tm.tm_wday + 1);
	assert_int_equal(from_reg(e, get(e, 7)), tm.tm_mday);
	assert_int_equal(from_reg(e, get(e, 8)), tm.tm_mon + 1);
	assert_int_equal(from_reg(e, get(e, 9)), (tm.tm_year + 1900) % 100);
	assert_int_equal(from_reg(e, get(e, CENTURY)), (tm.tm_year + 1900) / 100);
}

static void shows_the_time_in_all_formats(void **state)
{
	struct env *e = make(state);
	uint64_t seed = 5;

	for (unsigned i = 0; i < 4000; i++) {
		env_advance(test_below(&seed, 1 << 20) * NS_PER_S + test_below(&seed, NS_PER_S));
		set(e, B, (uint8_t)(test_below(&seed, 4) << 1));
		assert_shows(e, time_now());
	}
}

static void write_time(struct env *e, const struct tm *tm, uint8_t b)
{
	uint8_t hour = to_reg(b, (unsigned)tm->tm_hour);

	if (!(b & 0x02)) {
		hour = to_reg(b, tm->tm_hour % 12 ? (unsigned)tm->tm_hour % 12 : 12);
		hour |= tm->tm_hour >= 12 ? 0x80 : 0;
	}
	set(e, 0, to_reg(b, (unsigned)tm->tm_sec));
	set(e, 2, to_reg(b, (unsigned)tm->tm_min));
	set(e, 4, hour);
	set(e, 6, to_reg(b, (unsigned)tm->tm_wday + 1));
	set(e, 7, to_reg(b, (unsigned)tm->tm_mday));
	set(e, 8, to_reg(b, (unsigned)tm->tm_mon + 1));
	set(e, 9, to_reg(b, (unsigned)tm->tm_year % 100));
	set(e, CENTURY, to_reg(b, (unsigned)(tm->tm_year + 1900) / 100));
}

/* The sequence of the data sheet: SET, write, clear SET. */
static void setting_the_time(void **state)
{
	struct env *e = make(state);
	uint64_t seed = 6;

	for (unsigned i = 0; i < 2000; i++) {
		time_t t = (time_t)test_below(&seed, UINT64_C(250000000000)); /* to year 9892 */
		uint64_t wait = test_below(&seed, 100000) * NS_PER_S;
		uint8_t b = (uint8_t)(test_below(&seed, 4) << 1);
		struct tm tm;

		gmtime_r(&t, &tm);
		set(e, B, 0x80 | b);
		env_advance(test_below(&seed, 10 * NS_PER_S)); /* stands still meanwhile */
		write_time(e, &tm, b);
		set(e, B, b);
		assert_shows(e, t);
		env_advance(wait);
		assert_shows(e, t + (time_t)(wait / NS_PER_S));
	}
}

static void divider_reset_starts_half_a_second_later(void **state)
{
	struct env *e = make(state);

	env_advance(NS_PER_S / 4);
	set(e, A, 0x70);
	env_advance(5 * NS_PER_S);
	uint8_t second = get(e, 0);

	set(e, A, 0x26);
	env_advance(NS_PER_S / 2 - 1);
	assert_int_equal(get(e, 0), second);
	env_advance(1);
	assert_int_equal(from_reg(e, get(e, 0)), (from_reg(e, second) + 1) % 60);
}

static void update_in_progress_announces_updates(void **state)
{
	struct env *e = make(state);

	env_advance(NS_PER_S - 244001);
	assert_int_equal(get(e, A), 0x26);
	env_advance(1);
	assert_int_equal(get(e, A), 0xa6);
	env_advance(243999);
	assert_int_equal(get(e, A), 0xa6);
	env_advance(1);
	assert_int_equal(get(e, A), 0x26);
	set(e, B, 0x82);
	env_advance(NS_PER_S - 1000);
	assert_int_equal(get(e, A), 0x26);
}

/* --- Interrupts --- */

static void periodic_rates(void **state)
{
	struct env *e = make(state);

	set(e, B, 0x42);
	for (unsigned rate = 0; rate < 16; rate++) {
		/* data sheet table 5 */
		unsigned hz = !rate ? 0 : rate < 3 ? 256u >> (rate - 1) : 32768u >> (rate - 1);
		unsigned n = 0;

		set(e, A, (uint8_t)(0x20 | rate));
		env_advance(NS_PER_S - test_now_ns % NS_PER_S);
		get(e, C);
		for (uint64_t end = test_now_ns + 2 * NS_PER_S; test_now_ns < end;) {
			uint64_t next = e->vm->vcpus[0]->timers.next_ns;

			if (next > end)
				break;
			env_advance(next - test_now_ns);
			assert_true(env_line(e, LINE));
			assert_int_equal(get(e, C) & 0xc0, 0xc0);
			assert_false(env_line(e, LINE));
			n++;
		}
		assert_int_equal(n, 2 * hz);
	}
}

static void update_interrupt_every_second(void **state)
{
	struct env *e = make(state);

	set(e, B, 0x12);
	get(e, C);
	for (unsigned i = 0; i < 100; i++) {
		env_advance(NS_PER_S - 1 - (test_now_ns - start_ns) % NS_PER_S);
		assert_false(env_line(e, LINE));
		env_advance(1);
		assert_true(env_line(e, LINE));
		assert_int_equal(get(e, C) & 0x90, 0x90);
	}
	env_advance(10 * NS_PER_S); /* not acknowledged: one edge, and no timer runs */
	assert_int_equal(e->vm->vcpus[0]->timers.next_ns, UINT64_MAX);
	set(e, B, 0x92);
	assert_int_equal(get(e, B), 0x82); /* SET clears UIE */
	assert_false(env_line(e, LINE));
}

static void flags_are_set_without_interrupts(void **state)
{
	struct env *e = make(state);

	get(e, C);
	env_advance(3 * NS_PER_S);
	assert_int_equal(get(e, C) & 0x50, 0x50);
	assert_int_equal(get(e, C), 0);
	assert_int_equal(e->rises[LINE], 0);
	assert_int_equal(get(e, D), 0x80);
}

static bool alarm_hits(uint8_t alarm, int value)
{
	return alarm >= 0xc0 || alarm == value;
}

/* The first second after t that the alarm bytes (binary, 24 hours) name, found by trying them all.
 */
static time_t next_alarm(const uint8_t alarm[3], time_t t)
{
	for (time_t at = t + 1; at <= t + 86400; at++) {
		struct tm tm;

		gmtime_r(&at, &tm);
		if (alarm_hits(alarm[0], tm.tm_sec) && alarm_hits(alarm[1], tm.tm_min) &&
		    alarm_hits(alarm[2], tm.tm_hour))
			return at;
	}
	return 0;
}

static uint8_t random_alarm(uint64_t *seed, unsigned bound)
{
	uint64_t what = test_below(seed, 12);

	if (what < 4)
		return (uint8_t)(0xc0 | test_random(seed));
	return (uint8_t)(what == 4 ? bound + test_below(seed, 30) : test_below(seed, bound));
}

static void alarms_come_when_they_are_due(void **state)
{
	static const unsigned bounds[3] = { 60, 60, 24 };
	struct env *e = make(state);
	uint64_t seed = 77;

	for (unsigned i = 0; i < 150; i++) {
		uint8_t alarm[3];
		time_t want;

		env_advance(test_below(&seed, 1 << 18) * NS_PER_S);
		set(e, B, 0x06);
		for (unsigned n = 0; n < 3; n++) {
			alarm[n] = random_alarm(&seed, bounds[n]);
			set(e, (uint8_t)(1 + 2 * n), alarm[n]);
		}
		get(e, C);
		want = next_alarm(alarm, time_now());
		set(e, B, 0x26);
		uint64_t due = e->vm->vcpus[0]->timers.next_ns;

		if (!want) {
			assert_int_equal(due, UINT64_MAX);
			continue;
		}
		env_advance(due - test_now_ns - 1);
		assert_false(env_line(e, LINE));
		env_advance(1);
		assert_true(env_line(e, LINE));
		assert_int_equal(time_now(), want);
		assert_int_equal(get(e, C) & 0xa0, 0xa0);
	}
}

/* --- CMOS --- */

static void memory_sizes(void **state)
{
	struct env *e = make(state);

	assert_int_equal(get(e, 0x15) | get(e, 0x16) << 8, 640);
	assert_int_equal(get(e, 0x17) | get(e, 0x18) << 8, 0xffff);
	assert_int_equal(get(e, 0x30) | get(e, 0x31) << 8, 0xffff);
	assert_int_equal(get(e, 0x34) | get(e, 0x35) << 8, (3 * HC_GIB - 16 * HC_MIB) >> 16);
	assert_int_equal(get(e, 0x5b) | get(e, 0x5c) << 8 | get(e, 0x5d) << 16, 5 * HC_GIB >> 16);
}

static void memory_survives_reset(void **state)
{
	struct env *e = make(state);

	set(e, 0x0f, 0x0a); /* shutdown status */
	set(e, 0x7f, 0x55);
	set(e, B, 0x72);
	hc_devices_reset(e->vm);
	assert_int_equal(get(e, 0x0f), 0x0a);
	assert_int_equal(get(e, 0xff), 0x55); /* bit 7 masks NMIs */
	assert_int_equal(get(e, B), 0x02);
	assert_shows(e, time_now());
	assert_int_equal(env_in(e, 0x70), 0xff);
}

/* Any bytes in any registers: whatever time they make, it is shown in digits. */
static void nonsense_times(void **state)
{
	struct env *e = make(state);
	uint64_t seed = 99;

	for (unsigned i = 0; i < 60000; i++) {
		uint8_t reg = (uint8_t)test_below(&seed, test_below(&seed, 2) ? 14 : 128);

		if (test_below(&seed, 3))
			set(e, reg, (uint8_t)test_random(&seed));
		else
			env_advance(test_below(&seed, 3 * NS_PER_S));
		if (!(get(e, B) & 0x80) && (get(e, A) & 0x70) <= 0x20) {
			assert_in_range(from_reg(e, get(e, 0)), 0, 59);
			assert_in_range(hours(e, get(e, 4)), 0, 23);
			assert_in_range(from_reg(e, get(e, 6)), 1, 7);
			assert_in_range(from_reg(e, get(e, 8)), 1, 12);
		}
		assert_int_equal(get(e, C) & 0x0f, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calendar_matches_gmtime),
		cmocka_unit_test(every_day_follows_the_last),
		ENV_TEST(shows_the_time_in_all_formats),
		ENV_TEST(setting_the_time),
		ENV_TEST(divider_reset_starts_half_a_second_later),
		ENV_TEST(update_in_progress_announces_updates),
		ENV_TEST(periodic_rates),
		ENV_TEST(update_interrupt_every_second),
		ENV_TEST(flags_are_set_without_interrupts),
		ENV_TEST(alarms_come_when_they_are_due),
		ENV_TEST(memory_sizes),
		ENV_TEST(memory_survives_reset),
		ENV_TEST(nonsense_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
