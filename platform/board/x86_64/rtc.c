/* SPDX-License-Identifier: BSD-2-Clause */
/* The time of day, from the machine's MC146818 (data sheet, tables 1 to 3). */
#include <hypercore/types.h>

#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/rtc.h"

enum {
	RTC_SECOND = 0,
	RTC_MINUTE = 2,
	RTC_HOUR = 4,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_A = 0xa,
	RTC_B = 0xb
};

#define A_UPDATING 0x80
#define B_BINARY   0x04
#define B_24_HOURS 0x02
#define HOUR_PM    0x80

struct rtc_time {
	uint8_t second, minute, hour, day, month, year;
};

static uint8_t rtc_read(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static bool same(const struct rtc_time *a, const struct rtc_time *b)
{
	return a->second == b->second && a->minute == b->minute && a->hour == b->hour &&
	       a->day == b->day && a->month == b->month && a->year == b->year;
}

static struct rtc_time read_all(void)
{
	for (unsigned i = 0; i < 100000 && rtc_read(RTC_A) & A_UPDATING; i++)
		;
	return (struct rtc_time){ rtc_read(RTC_SECOND), rtc_read(RTC_MINUTE), rtc_read(RTC_HOUR),
		                  rtc_read(RTC_DAY),    rtc_read(RTC_MONTH),  rtc_read(RTC_YEAR) };
}

static uint8_t from_bcd(uint8_t v)
{
	return (uint8_t)((v >> 4) * 10 + (v & 15));
}

static void decode(struct rtc_time *t, uint8_t b)
{
	bool pm = t->hour & HOUR_PM;

	t->hour &= (uint8_t)~HOUR_PM;
	if (!(b & B_BINARY))
		*t =
			(struct rtc_time){ from_bcd(t->second), from_bcd(t->minute),
			                   from_bcd(t->hour),   from_bcd(t->day),
			                   from_bcd(t->month),  from_bcd(t->year) };
	if (!(b & B_24_HOURS))
		t->hour = (uint8_t)(t->hour % 12 + (pm ? 12 : 0));
}

/* Days since 1970-01-01 of a date from 2000 to 2099. */
static uint64_t days_of(const struct rtc_time *t)
{
	static const uint16_t before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	bool leap_day = t->year % 4 == 0 && t->month > 2;

	return 10957 + 365u * t->year + (t->year + 3u) / 4 + before[t->month - 1] + t->day - 1 +
	       (leap_day ? 1 : 0);
}

uint64_t rtc_seconds(void)
{
	struct rtc_time t = read_all(), again = read_all();

	for (unsigned i = 0; i < 10 && !same(&t, &again); i++) {
		t = again;
		again = read_all();
	}
	decode(&t, rtc_read(RTC_B));
	if (t.month < 1 || t.month > 12 || t.day < 1 || t.day > 31 || t.hour > 23 ||
	    t.minute > 59 || t.second > 59 || t.year > 99)
		return 0;
	return days_of(&t) * 86400 + t.hour * 3600u + t.minute * 60u + t.second;
}
