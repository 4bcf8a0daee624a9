/* SPDX-License-Identifier: BSD-2-Clause */
/* The proleptic Gregorian calendar, for clocks: seconds since 1970-01-01 and dates, both UTC. */
#ifndef DEVICES_CALENDAR_H
#define DEVICES_CALENDAR_H

#include <hypercore/types.h>

#define CALENDAR_DAY INT64_C(86400)

struct calendar {
	int year;            /* 1 BC is 0 */
	unsigned month, day; /* from 1 */
	unsigned hour, minute, second;
};

/* Any number of seconds whose year fits an int. */
struct calendar calendar_of(int64_t seconds);

/* The other way; days since 1970-01-01 of the date part. Months out of range are brought to the
 * nearest, all else counts on: February 30 is March 1 or 2. */
int64_t calendar_seconds(const struct calendar *c);
int64_t calendar_days(const struct calendar *c);

/* 0 is Sunday. */
unsigned calendar_weekday(int64_t days);

/* 0 .. CALENDAR_DAY - 1, also before 1970. */
int64_t calendar_second_of_day(int64_t seconds);

#endif
