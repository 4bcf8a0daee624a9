/* SPDX-License-Identifier: BSD-2-Clause */
/* The time of day, from the machine's MC146818 (data sheet, tables 1 to 3). */
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "devices/calendar.h"
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

static uint8_t rtc_read(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static struct rtc_time read_all(void)
{
	for (unsigned i = 0; i < 100000 && rtc_read(RTC_A) & A_UPDATING; i++)
		;
	return (struct rtc_time){
		.second = rtc_read(RTC_SECOND),
		.minute = rtc_read(RTC_MINUTE),
		.hour = rtc_read(RTC_HOUR),
		.day = rtc_read(RTC_DAY),
		.month = rtc_read(RTC_MONTH),
		.year = rtc_read(RTC_YEAR),
		.b = rtc_read(RTC_B),
	};
}

static unsigned number(const struct rtc_time *t, uint8_t v)
{
	return t->b & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

/* 12-hour clocks count 12, 1, ... 11 twice, the second time with the highest bit set. */
static unsigned hour(const struct rtc_time *t)
{
	if (t->b & B_24_HOURS)
		return number(t, t->hour);
	return number(t, t->hour & (uint8_t)~HOUR_PM) % 12 + (t->hour & HOUR_PM ? 12 : 0);
}

uint64_t rtc_decode(const struct rtc_time *t)
{
	struct calendar c = {
		.year = 2000 + (int)number(t, t->year),
		.month = number(t, t->month),
		.day = number(t, t->day),
		.hour = hour(t),
		.minute = number(t, t->minute),
		.second = number(t, t->second),
	};

	if (c.year > 2099 || c.month < 1 || c.month > 12 || c.day < 1 || c.day > 31 ||
	    c.hour > 23 || c.minute > 59 || c.second > 59)
		return 0;
	return (uint64_t)calendar_seconds(&c);
}

uint64_t rtc_seconds(void)
{
	struct rtc_time t = read_all(), again = read_all();

	for (unsigned i = 0; i < 10 && memcmp(&t, &again, sizeof(t)) != 0; i++) {
		t = again;
		again = read_all();
	}
	return rtc_decode(&t);
}
