/* SPDX-License-Identifier: BSD-2-Clause */
/* The test kernels' command line: patterns against a naive matcher, and words in any order. */
#include "tests/unit.h"

#include "conformance/guest/options.h"

#include <stdio.h>
#include <string.h>

/* One pattern by trying everything that a star may stand for. */
static bool naive(const char *pattern, const char *name)
{
	if (!*pattern)
		return !*name || *name == '.';
	if (*pattern == '*')
		return naive(pattern + 1, name) || (*name && naive(pattern, name + 1));
	return *pattern == *name && naive(pattern + 1, name + 1);
}

static void random_text(uint64_t *seed, const char *letters, char *to, size_t most)
{
	size_t length = test_random(seed) % most;

	for (size_t n = 0; n < length; n++)
		to[n] = letters[test_random(seed) % strlen(letters)];
	to[length] = '\0';
}

static void test_patterns(void **state)
{
	uint64_t seed = 5;
	unsigned hits = 0;

	for (unsigned i = 0; i < 20000; i++) {
		char subject[6], test[8], name[16], first[8], second[8], both[24];

		random_text(&seed, "ab", subject, sizeof(subject) - 1);
		random_text(&seed, "ab", test, sizeof(test) - 1);
		snprintf(name, sizeof(name), "%s.%s", subject, test);
		random_text(&seed, "ab*.", first, sizeof(first) - 1);
		random_text(&seed, "ab*.", second, sizeof(second) - 1);
		snprintf(both, sizeof(both), "%s,%s rest", first, second);
		bool expected = naive(first, name) || naive(second, name);

		if (options_match(both, name) != expected)
			fail_msg("%s against %s: should be %d", both, name, expected);
		hits += expected;
	}
	assert_in_range(hits, 1000, 19000);
}

static void test_words(void **state)
{
	struct options o = options_read("console=ttyS0 skip=b.* only=a,b list after=a.x quiet");

	assert_true(o.list);
	assert_true(options_select(&o, "a.y"));
	assert_false(options_select(&o, "b.y"));
	assert_false(options_select(&o, "c.y"));
	assert_true(options_match(o.after, "a.x"));
	o = options_read("only=a,c* skip=a.z only=a.*,b");
	assert_true(options_select(&o, "a.y"));
	assert_false(options_select(&o, "a.z"));
	assert_false(options_select(&o, "b.y"));
	assert_false(options_select(&o, "c.y"));
	o = options_read("listing only=");
	assert_false(o.list);
	assert_false(options_select(&o, "a.y"));
	o = options_read("");
	assert_true(options_select(&o, "a.y"));
	assert_null(o.after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
