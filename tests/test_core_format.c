/* SPDX-License-Identifier: BSD-2-Clause */
/* hc_snprintf against the C library's snprintf, on generated formats and values. */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "tests/unit.h"

static void append_flags(char *f, uint64_t *seed, bool hash)
{
	static const char *const flags[] = { "-", "0", "+", " " };

	for (unsigned i = 0; i < 4; i++)
		if (test_below(seed, 4) == 0)
			strcat(f, flags[i]);
	if (hash && test_below(seed, 4) == 0)
		strcat(f, "#");
}

static void append_sizes(char *f, uint64_t *seed)
{
	char number[16];

	if (test_below(seed, 2)) {
		snprintf(number, sizeof(number), "%u", 1 + (unsigned)test_below(seed, 20));
		strcat(f, number);
	}
	if (test_below(seed, 3) == 0) {
		snprintf(number, sizeof(number), ".%u", (unsigned)test_below(seed, 20));
		strcat(f, number);
	}
}

static uint64_t interesting(uint64_t *seed)
{
	static const uint64_t edges[] = {
		0,     1,     127,       128,        255,       256,        32767,
		32768, 65535, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_C(1) << 63
	};

	return test_below(seed, 2) ? edges[test_below(seed, sizeof(edges) / sizeof(edges[0]))]
	                           : test_random(seed) >> test_below(seed, 64);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void compare(const char *f, const char *conversion, uint64_t value)
{
	char ours[128], theirs[128];
	int a, b;

	if (strstr(conversion, "ll") || strchr(conversion, 'l') || strchr(conversion, 'z')) {
		a = hc_snprintf(ours, sizeof(ours), f, value);
		b = snprintf(theirs, sizeof(theirs), f, value);
	} else {
		a = hc_snprintf(ours, sizeof(ours), f, (unsigned)value);
		b = snprintf(theirs, sizeof(theirs), f, (unsigned)value);
	}
	if (a != b || strcmp(ours, theirs))
		fail_msg("format \"%s\" of %#llx: \"%s\" (%d), libc says \"%s\" (%d)", f,
		         (unsigned long long)value, ours, a, theirs, b);
}

static void numbers_match_libc(void **state)
{
	static const char *const conversions[] = { "d",   "i",   "u",   "x",   "X",  "o",
		                                   "hd",  "hhd", "hu",  "hhx", "ld", "lu",
		                                   "llx", "lld", "llo", "zu",  "zx" };
	uint64_t seed = 42;

	for (unsigned i = 0; i < 50000; i++) {
		const char *c = conversions[test_below(&seed, sizeof(conversions) /
		                                                      sizeof(conversions[0]))];
		char f[64] = "<%";

		append_flags(f, &seed, strpbrk(c, "xXo") != NULL);
		append_sizes(f, &seed);
		strcat(f, c);
		strcat(f, ">");
		/* '#' with 'o' and a value of zero or a precision: not used in messages. */
		if (strchr(c, 'o') && strchr(f, '#'))
			continue;
		compare(f, c, interesting(&seed));
	}
}
#pragma GCC diagnostic pop

static void strings_match_libc(void **state)
{
	char ours[64], theirs[64];

	for (int width = -12; width <= 12; width++) {
		for (int precision = -1; precision <= 8; precision++) {
			int a = hc_snprintf(ours, sizeof(ours), "[%*.*s|%c]", width, precision,
			                    "hyper", 'x');
			int b = snprintf(theirs, sizeof(theirs), "[%*.*s|%c]", width, precision,
			                 "hyper", 'x');

			assert_int_equal(a, b);
			assert_string_equal(ours, theirs);
		}
	}
}

static void never_writes_past_the_buffer(void **state)
{
	for (size_t size = 0; size < 40; size++) {
		char buf[48];

		memset(buf, 0x55, sizeof(buf));
		int n = hc_snprintf(buf, size, "%s %#x %lld%%", "a longer text", 0xabcdu, -5LL);

		assert_int_equal(n, 24);
		for (size_t i = size; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0x55);
		if (size)
			assert_int_equal(strlen(buf), size <= 24 ? size - 1 : 24);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_match_libc),
		cmocka_unit_test(strings_match_libc),
		cmocka_unit_test(never_writes_past_the_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
