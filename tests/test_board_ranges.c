/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of address ranges against a bitmap. */
#include <stdlib.h>

#include "platform/board/ranges.h"
#include "tests/unit.h"

#define SPACE 600

static uint64_t seed = 6364136223846793005u;

static uint32_t below(uint32_t n)
{
	return (uint32_t)test_below(&seed, n);
}

static void check(const struct ranges *l, const bool map[SPACE])
{
	unsigned i = 0;
	uint64_t total = 0;

	for (uint64_t at = 0; at < SPACE;) {
		uint64_t end = at;

		while (end < SPACE && map[end])
			end++;
		if (end == at) {
			at++;
			continue;
		}
		assert_true(i < l->count);
		assert_int_equal(l->r[i].base, at);
		assert_int_equal(l->r[i].end, end);
		total += end - at;
		at = end;
		i++;
	}
	assert_int_equal(l->count, i);
	assert_int_equal(ranges_total(l), total);
}

/* The highest aligned place that is free, as ranges_take() promises. */
static uint64_t naive_take(const bool map[SPACE], uint64_t size, uint64_t align, uint64_t limit)
{
	for (uint64_t at = limit; at-- > 1;) {
		uint64_t n = 0;

		if (at % align || at + size > limit)
			continue;
		while (n < size && map[at + n])
			n++;
		if (n == size)
			return at;
	}
	return 0;
}

static void check_questions(const struct ranges *l, const bool map[SPACE])
{
	uint64_t base = below(SPACE), end = base + 1 + below((uint32_t)(SPACE - base));
	bool all = true, any = false;

	for (uint64_t at = base; at < end; at++) {
		all &= map[at];
		any |= map[at];
	}
	assert_int_equal(ranges_contain(l, base, end), all);
	assert_int_equal(ranges_intersect(l, base, end), any);
	assert_false(ranges_contain(l, end, base));
	assert_false(ranges_contain(l, base, UINT64_MAX));
}

static void random_use(void **state)
{
	struct ranges l = { 0 };
	bool map[SPACE] = { 0 };

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t base = below(SPACE), end = base + below((uint32_t)(SPACE - base) / 8 + 2);
		unsigned what = below(10);
		bool add = what < 4;

		if (end > SPACE)
			end = SPACE;
		if (what == 9) {
			uint64_t size = 1 + below(20), align = HC_BIT(below(4)),
				 limit = below(SPACE);

			base = naive_take(map, size, align, limit);
			assert_int_equal(ranges_take(&l, size, align, limit), base);
			end = base ? base + size : 0;
		} else if (add) {
			ranges_add(&l, base, end);
		} else {
			ranges_remove(&l, base, end);
		}
		for (uint64_t at = base; at < end; at++)
			map[at] = add;
		check(&l, map);
		check_questions(&l, map);
	}
	assert_false(l.full);
}

static void overfull(void **state)
{
	struct ranges l = { 0 };

	for (uint64_t i = 0; i < RANGES_MAX + 10; i++)
		ranges_add(&l, 10 * i, 10 * i + 5);
	assert_int_equal(l.count, RANGES_MAX);
	assert_true(l.full);
	/* A split without room loses the upper part, and no more. */
	ranges_remove(&l, 11, 12);
	assert_int_equal(ranges_total(&l), RANGES_MAX * 5 - 1 - 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_use),
		cmocka_unit_test(overfull),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
