/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/calendar.h"

#define DAYS_TO_1970   INT64_C(719468) /* from March 1 of year 0 */
#define DAYS_400_YEARS INT64_C(146097)
#define DAYS_4_YEARS   INT64_C(1461)

/* Days of a year that starts in March before each of its months. */
static const uint16_t days_before[12] = { 0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337 };

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t calendar_second_of_day(int64_t seconds)
{
	return seconds - floor_div(seconds, CALENDAR_DAY) * CALENDAR_DAY;
}

unsigned calendar_weekday(int64_t days)
{
	return (unsigned)((days + 4) - floor_div(days + 4, 7) * 7); /* 1970-01-01 was a Thursday */
}

/* Years begin in March, so that the leap day is the last of its year. */
int64_t calendar_days(const struct calendar *c)
{
	unsigned month = c->month < 1 ? 1 : c->month > 12 ? 12 : c->month;
	int64_t year = (int64_t)c->year - (month < 3);
	int64_t leap = floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400);

	return year * 365 + leap + days_before[(month + 9) % 12] + (int64_t)c->day - 1 -
	       DAYS_TO_1970;
}

int64_t calendar_seconds(const struct calendar *c)
{
	return calendar_days(c) * CALENDAR_DAY + (int64_t)c->hour * 3600 + (int64_t)c->minute * 60 +
	       (int64_t)c->second;
}

/* The year of the 400-year era that day (0 .. 146096) falls in: leap days that went by are taken
 * off, the century's missing ones are put back. */
static int64_t year_of_era(int64_t day)
{
	int64_t centuries = day / 36524, quads = day / (DAYS_4_YEARS - 1);

	return (day - quads + centuries - day / (DAYS_400_YEARS - 1)) / 365;
}

struct calendar calendar_of(int64_t seconds)
{
	int64_t days = floor_div(seconds, CALENDAR_DAY) + DAYS_TO_1970;
	int64_t tod = calendar_second_of_day(seconds);
	int64_t era = floor_div(days, DAYS_400_YEARS);
	int64_t day = days - era * DAYS_400_YEARS;
	int64_t year = year_of_era(day);
	unsigned month = 11;

	day -= year * 365 + year / 4 - year / 100;
	while (days_before[month] > day)
		month--;
	return (struct calendar){
		.year = (int)(era * 400 + year + (month >= 10)),
		.month = (month + 2) % 12 + 1,
		.day = (unsigned)(day - days_before[month] + 1),
		.hour = (unsigned)(tod / 3600),
		.minute = (unsigned)(tod / 60 % 60),
		.second = (unsigned)(tod % 60),
	};
}
