/* SPDX-License-Identifier: BSD-2-Clause */
/* The time of day (8.3): where firmware keeps the clock for itself, it alone knows. */
#include <hypercore/types.h>

#include "devices/calendar.h"
#include "platform/board/uefi/loader.h"

#define TIMEZONE_UNSPECIFIED 0x7ff /* local time, of who knows where: taken to be UTC */

static bool is_time(const struct efi_time *t)
{
	return t->year >= 1970 && t->year <= 9999 && t->month >= 1 && t->month <= 12 &&
	       t->day >= 1 && t->day <= 31 && t->hour <= 23 && t->minute <= 59 && t->second <= 59 &&
	       ((t->timezone >= -1440 && t->timezone <= 1440) ||
	        t->timezone == TIMEZONE_UNSPECIFIED);
}

uint64_t uefi_wall_clock(const struct efi_runtime_services *services)
{
	struct efi_time t = { 0 };
	struct calendar c;
	int64_t seconds;

	if (!services || services->get_time(&t, NULL) != EFI_SUCCESS || !is_time(&t))
		return 0;
	c = (struct calendar){
		.year = t.year,
		.month = t.month,
		.day = t.day,
		.hour = t.hour,
		.minute = t.minute,
		.second = t.second,
	};
	/* Local time is UTC less the time zone's minutes. */
	seconds = calendar_seconds(&c);
	if (t.timezone != TIMEZONE_UNSPECIFIED)
		seconds += t.timezone * INT64_C(60);
	return seconds > 0 ? (uint64_t)seconds : 0;
}
