/* SPDX-License-Identifier: BSD-2-Clause */
/* What the board makes of the machine's clock, against the C library's calendar. */
#include <time.h>

#include "platform/board/x86_64/rtc.h"
#include "tests/unit.h"

#define B_BINARY   4
#define B_24_HOURS 2

static uint8_t encode(int v, uint8_t b)
{
	return (uint8_t)(b & B_BINARY ? v : v / 10 * 16 + v % 10);
}

static uint8_t encode_hour(int hour, uint8_t b)
{
	if (b & B_24_HOURS)
		return encode(hour, b);
	return (uint8_t)(encode(hour % 12 ? hour % 12 : 12, b) | (hour >= 12 ? 0x80 : 0));
}

/* Every day of the century, at changing times, in each of the four formats. */
static void century(void **state)
{
	for (time_t at = 946684800; at < 4102444800; at += 86400 - 977) {
		uint8_t b = (uint8_t)(at % 4 * 2);
		struct rtc_time t;
		struct tm tm;

		gmtime_r(&at, &tm);
		t = (struct rtc_time){ encode(tm.tm_sec, b),
			               encode(tm.tm_min, b),
			               encode_hour(tm.tm_hour, b),
			               encode(tm.tm_mday, b),
			               encode(tm.tm_mon + 1, b),
			               encode(tm.tm_year - 100, b),
			               b };
		assert_int_equal(rtc_decode(&t), at);
	}
}

/* A clock whose battery is flat shows anything. */
static void nonsense(void **state)
{
	static const struct rtc_time bad[] = {
		{ 0x60, 0, 0, 1, 1, 0, B_24_HOURS },
		{ 0, 0x7a, 0, 1, 1, 0, B_24_HOURS },
		{ 0, 0, 0x24, 1, 1, 0, B_24_HOURS },
		{ 0, 0, 0, 0, 1, 0, B_24_HOURS },
		{ 0, 0, 0, 0x32, 1, 0, B_24_HOURS },
		{ 0, 0, 0, 1, 0, 0, B_24_HOURS },
		{ 0, 0, 0, 1, 0x13, 0, B_24_HOURS },
		{ 0, 0, 0, 1, 1, 0xff, B_24_HOURS },
		{ 0, 0, 0, 1, 1, 100, B_24_HOURS | B_BINARY },
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(rtc_decode(&bad[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(century),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
