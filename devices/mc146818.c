/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * While the clock runs, its registers are computed when they are read and the flags of register C
 * are brought up to date from the time that passed since the last look. While it stands still
 * (register B's SET, or the divider chain in reset) the time lies in the registers themselves.
 */
#include "devices/mc146818.h"

#include <hypercore/errno.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/timer.h"
#include "core/vm.h"
#include "devices/calendar.h"

#define RTC_LINE      8
#define RTC_HZ        UINT64_C(32768)
#define RTC_UPDATE_NS UINT64_C(244000) /* UIP is set this long before an update */
#define NS_PER_S      UINT64_C(1000000000)
#define RTC_FAR       (INT64_C(1) << 40) /* seconds; loaded times lie within +- this */
#define RTC_FAR_NS    (UINT64_C(1) << 62)

enum {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_WEEKDAY = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	CMOS_BASE_KIB = 0x15,
	CMOS_EXTENDED_KIB = 0x17,
	CMOS_EXTENDED_KIB_AGAIN = 0x30,
	CMOS_CENTURY = 0x32,
	CMOS_ABOVE_16M = 0x34,
	CMOS_ABOVE_4G = 0x5b,
	CMOS_BYTES = 0x80
};

enum {
	A_RATE = 0x0f,
	A_DV = 0x70,
	A_DV_32768 = 0x20,
	A_UIP = 0x80,
	B_24_HOURS = 0x02,
	B_BINARY = 0x04,
	B_UIE = 0x10,
	B_AIE = 0x20,
	B_PIE = 0x40,
	B_SET = 0x80,
	C_UF = 0x10,
	C_AF = 0x20,
	C_PF = 0x40,
	C_FLAGS = 0x70,
	C_IRQF = 0x80,
	D_VRT = 0x80,
	HOURS_PM = 0x80,
	ALARM_ANY = 0xc0 /* in an alarm byte: matches every value */
};

struct mc146818 {
	struct hc_device dev; /* first */
	struct hc_timer timer;
	uint8_t index;
	uint8_t cmos[CMOS_BYTES];
	uint8_t stopped;
	uint8_t weekday_shift; /* 0 .. 6: what the guest set differs by from the calendar's */
	int64_t base_s;        /* the clock's time, in seconds since 1970, */
	uint64_t base_ns;      /* when hc_platform_now_ns() was this; whole seconds follow it */
	uint64_t seen_ns;      /* the flags of register C are complete up to here */
};

static bool wants_to_stop(const struct mc146818 *s)
{
	return (s->cmos[RTC_B] & B_SET) || (s->cmos[RTC_A] & A_DV) > A_DV_32768;
}

static uint64_t since_base(const struct mc146818 *s, uint64_t now)
{
	return now > s->base_ns ? now - s->base_ns : 0;
}

static int64_t seconds_at(const struct mc146818 *s, uint64_t now)
{
	return s->base_s + (int64_t)(since_base(s, now) / NS_PER_S);
}

/* --- Register formats --- */

static uint8_t encode(const struct mc146818 *s, unsigned v)
{
	return (uint8_t)(s->cmos[RTC_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

/* Digits above 9 count as what they are worth. */
static unsigned decode(const struct mc146818 *s, unsigned v)
{
	return s->cmos[RTC_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hours(const struct mc146818 *s, unsigned hours)
{
	if (s->cmos[RTC_B] & B_24_HOURS)
		return encode(s, hours);
	return encode(s, hours % 12 ? hours % 12 : 12) | (hours >= 12 ? HOURS_PM : 0);
}

static unsigned decode_hours(const struct mc146818 *s, uint8_t v)
{
	if (s->cmos[RTC_B] & B_24_HOURS)
		return decode(s, v);
	return decode(s, v & (uint8_t)~HOURS_PM) % 12 + (v & HOURS_PM ? 12 : 0);
}

static uint8_t weekday(const struct mc146818 *s, int64_t days)
{
	return (uint8_t)((calendar_weekday(days) + s->weekday_shift) % 7);
}

/* Writes the time into the registers. */
static void store_time(struct mc146818 *s, int64_t seconds)
{
	struct calendar c = calendar_of(seconds);

	s->cmos[RTC_SECONDS] = encode(s, c.second);
	s->cmos[RTC_MINUTES] = encode(s, c.minute);
	s->cmos[RTC_HOURS] = encode_hours(s, c.hour);
	s->cmos[RTC_WEEKDAY] = encode(s, weekday(s, calendar_days(&c)) + 1u);
	s->cmos[RTC_DAY] = encode(s, c.day);
	s->cmos[RTC_MONTH] = encode(s, c.month);
	s->cmos[RTC_YEAR] = encode(s, (unsigned)(c.year % 100));
	s->cmos[CMOS_CENTURY] = encode(s, (unsigned)(c.year / 100 % 100));
}

/* The time that the registers say. Values out of range spill over or are brought into it. */
static int64_t load_time(struct mc146818 *s)
{
	struct calendar c = {
		.year = (int)(decode(s, s->cmos[CMOS_CENTURY]) * 100 +
		              decode(s, s->cmos[RTC_YEAR])),
		.month = decode(s, s->cmos[RTC_MONTH]),
		.day = decode(s, s->cmos[RTC_DAY]),
		.hour = decode_hours(s, s->cmos[RTC_HOURS]),
		.minute = decode(s, s->cmos[RTC_MINUTES]),
		.second = decode(s, s->cmos[RTC_SECONDS]),
	};
	unsigned day_of_week = decode(s, s->cmos[RTC_WEEKDAY]) + 6; /* register: 1 is Sunday */

	s->weekday_shift = (uint8_t)((day_of_week + 7 - calendar_weekday(calendar_days(&c))) % 7);
	return calendar_seconds(&c);
}

static bool is_time(unsigned index)
{
	return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
	       (index >= RTC_WEEKDAY && index <= RTC_YEAR) || index == CMOS_CENTURY;
}

/* --- Flags and interrupts --- */

/* Length of the periodic interrupt in 1/32768 s; 0: off (data sheet table 5, 32.768 kHz). */
static uint64_t period_ticks(const struct mc146818 *s)
{
	unsigned rate = s->cmos[RTC_A] & A_RATE;

	if (!rate || (s->cmos[RTC_A] & A_DV) != A_DV_32768)
		return 0;
	return UINT64_C(1) << (rate <= 2 ? rate + 6 : rate - 1);
}

static bool alarm_matches(const struct mc146818 *s, uint8_t alarm, unsigned value, bool hours)
{
	if (alarm >= ALARM_ANY)
		return true;
	return (hours ? decode_hours(s, alarm) : decode(s, alarm)) == value;
}

/* Seconds from the moment t (exclusive) to the next alarm, 0: there is none. Skips hours and
 * minutes that do not match, so that it takes at most 24 + 60 + 60 steps. */
static int64_t alarm_after(const struct mc146818 *s, int64_t t)
{
	int64_t at = calendar_second_of_day(t) + 1, from = at - 1;

	while (at <= from + CALENDAR_DAY) {
		int64_t tod = at % CALENDAR_DAY;

		if (!alarm_matches(s, s->cmos[RTC_HOURS_ALARM], (unsigned)(tod / 3600), true))
			at += 3600 - tod % 3600;
		else if (!alarm_matches(s, s->cmos[RTC_MINUTES_ALARM], (unsigned)(tod / 60 % 60),
		                        false))
			at += 60 - tod % 60;
		else if (!alarm_matches(s, s->cmos[RTC_SECONDS_ALARM], (unsigned)(tod % 60), false))
			at++;
		else
			return at - from;
	}
	return 0;
}

static bool period_passed(const struct mc146818 *s, uint64_t now)
{
	uint64_t period = period_ticks(s);

	return period && hc_ns_to_ticks(since_base(s, now), RTC_HZ) / period !=
	                         hc_ns_to_ticks(since_base(s, s->seen_ns), RTC_HZ) / period;
}

/* Brings the flags up to date. */
static void look(struct mc146818 *s, uint64_t now)
{
	int64_t before = seconds_at(s, s->seen_ns), after = seconds_at(s, now);

	if (now <= s->seen_ns)
		return;
	if (period_passed(s, now))
		s->cmos[RTC_C] |= C_PF;
	if (!s->stopped && after != before) {
		int64_t wait = alarm_after(s, before);

		s->cmos[RTC_C] |= C_UF;
		if (wait && wait <= after - before)
			s->cmos[RTC_C] |= C_AF;
	}
	s->seen_ns = now;
}

/* When the given flag will be set next; UINT64_MAX: never. */
static uint64_t flag_due(const struct mc146818 *s, uint8_t flag, uint64_t now)
{
	uint64_t since = since_base(s, now), period = period_ticks(s);

	if (flag == C_PF) {
		uint64_t ticks = hc_ns_to_ticks(since, RTC_HZ);

		return period ? s->base_ns + hc_ticks_to_ns((ticks / period + 1) * period, RTC_HZ)
		              : UINT64_MAX;
	}
	if (s->stopped)
		return UINT64_MAX;
	if (flag == C_UF)
		return s->base_ns + (since / NS_PER_S + 1) * NS_PER_S;

	int64_t wait = alarm_after(s, seconds_at(s, now));

	return wait ? s->base_ns + (since / NS_PER_S + (uint64_t)wait) * NS_PER_S : UINT64_MAX;
}

/* Drives the line and arms the timer for the first flag that will raise it. With the line up
 * nothing more can happen until the guest reads register C. */
static void update_irq(struct mc146818 *s, uint64_t now)
{
	uint8_t enabled = s->cmos[RTC_B] & C_FLAGS;
	bool level = s->cmos[RTC_C] & enabled;
	uint64_t due = UINT64_MAX;

	for (uint8_t flag = C_UF; !level && flag <= C_PF; flag = (uint8_t)(flag << 1))
		if (enabled & flag)
			due = hc_min(due, flag_due(s, flag, now));
	if (due != UINT64_MAX)
		hc_timer_arm(&s->timer, due);
	else
		hc_timer_cancel(&s->timer);
	hc_irq_set(s->dev.vm, RTC_LINE, level);
}

static void flag_is_due(struct hc_timer *timer, uint64_t now_ns)
{
	struct mc146818 *s = HC_CONTAINER_OF(timer, struct mc146818, timer);
	uint64_t now = hc_platform_now_ns();

	look(s, now);
	update_irq(s, now);
}

/* --- Registers --- */

static void stop_clock(struct mc146818 *s, uint64_t now)
{
	store_time(s, seconds_at(s, now));
	s->stopped = 1;
}

/* SET leaves the divider chain running, so that the second's phase stays; after a reset of the
 * chain the first update comes half a second later (data sheet, divider control). */
static void start_clock(struct mc146818 *s, uint64_t now, bool was_reset)
{
	uint64_t phase = was_reset ? NS_PER_S / 2 : since_base(s, now) % NS_PER_S;

	s->base_s = load_time(s);
	s->base_ns = now - hc_min(phase, now);
	s->seen_ns = now;
	s->stopped = 0;
}

static void write_control(struct mc146818 *s, unsigned index, uint8_t value, uint64_t now)
{
	bool was_reset = (s->cmos[RTC_A] & A_DV) > A_DV_32768;

	if (index == RTC_B && (value & B_SET))
		value &= (uint8_t)~B_UIE;
	if (!s->stopped && index == RTC_B && ((value ^ s->cmos[RTC_B]) & (B_BINARY | B_24_HOURS)))
		store_time(s, seconds_at(s, now));
	s->cmos[index] = index == RTC_A ? value & (uint8_t)~A_UIP : value;
	if (wants_to_stop(s) && !s->stopped)
		stop_clock(s, now);
	else if (!wants_to_stop(s) && s->stopped)
		start_clock(s, now, was_reset);
}

static void write_time(struct mc146818 *s, unsigned index, uint8_t value, uint64_t now)
{
	if (!s->stopped)
		store_time(s, seconds_at(s, now));
	s->cmos[index] = value;
	if (!s->stopped)
		start_clock(s, now, false);
}

static void write_register(struct mc146818 *s, uint8_t value)
{
	uint64_t now = hc_platform_now_ns();
	unsigned index = s->index;

	look(s, now);
	if (index == RTC_A || index == RTC_B)
		write_control(s, index, value, now);
	else if (is_time(index))
		write_time(s, index, value, now);
	else if (index != RTC_C && index != RTC_D)
		s->cmos[index] = value;
	if (index <= RTC_B || index == CMOS_CENTURY)
		update_irq(s, now);
}

static uint8_t read_a(const struct mc146818 *s, uint64_t now)
{
	bool updating = !s->stopped && since_base(s, now) % NS_PER_S >= NS_PER_S - RTC_UPDATE_NS;

	return s->cmos[RTC_A] | (updating ? A_UIP : 0);
}

static uint8_t read_c(struct mc146818 *s, uint64_t now)
{
	uint8_t flags;

	look(s, now);
	flags = s->cmos[RTC_C] & C_FLAGS;
	if (flags & s->cmos[RTC_B])
		flags |= C_IRQF;
	s->cmos[RTC_C] = 0;
	update_irq(s, now);
	return flags;
}

static uint8_t read_register(struct mc146818 *s)
{
	uint64_t now = hc_platform_now_ns();

	switch (s->index) {
	case RTC_A: return read_a(s, now);
	case RTC_C: return read_c(s, now);
	case RTC_D: return D_VRT;
	default: break;
	}
	if (is_time(s->index) && !s->stopped)
		store_time(s, seconds_at(s, now));
	return s->cmos[s->index];
}

/* The index port can only be written; its bit 7 masks NMIs, of which there are none. */
static uint64_t rtc_read(void *dev, uint64_t offset, unsigned size)
{
	return offset ? read_register(dev) : 0xff;
}

static void rtc_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct mc146818 *s = dev;

	if (offset)
		write_register(s, (uint8_t)value);
	else
		s->index = value & (CMOS_BYTES - 1);
}

static const struct hc_region_ops rtc_ops = { .read = rtc_read, .write = rtc_write, .sizes = 1 };

/* --- Life --- */

static bool state_valid(const struct mc146818 *s)
{
	bool times = s->base_s > -RTC_FAR && s->base_s < RTC_FAR && s->base_ns <= s->seen_ns &&
	             s->seen_ns < RTC_FAR_NS;
	bool registers = !(s->cmos[RTC_A] & A_UIP) && !(s->cmos[RTC_C] & (uint8_t)~C_FLAGS) &&
	                 !((s->cmos[RTC_B] & B_SET) && (s->cmos[RTC_B] & B_UIE));

	return times && registers && s->index < CMOS_BYTES && s->stopped == wants_to_stop(s) &&
	       s->weekday_shift <= 6;
}

/* The battery is new: the clock gets its time, the registers what firmware leaves in them. */
static void power_up(struct mc146818 *s)
{
	s->base_s = (int64_t)hc_min(hc_platform_wall_clock(), RTC_FAR - 1);
	s->base_ns = s->seen_ns = hc_platform_now_ns();
	s->weekday_shift = 0;
	s->stopped = 0;
	s->cmos[RTC_A] = A_DV_32768 | 6; /* 1024 Hz */
	s->cmos[RTC_B] = B_24_HOURS;
}

/* The RESET pin: interrupts off; time and memory stay (data sheet, RESET), unless a state was
 * loaded that the device cannot be in. */
static void rtc_reset(struct hc_device *dev)
{
	struct mc146818 *s = HC_CONTAINER_OF(dev, struct mc146818, dev);
	uint64_t now = hc_platform_now_ns();

	if (!state_valid(s))
		power_up(s);
	look(s, now);
	s->cmos[RTC_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE);
	s->cmos[RTC_C] = 0;
	s->index = 0;
	update_irq(s, now);
}

static void rtc_destroy(struct hc_device *dev)
{
	struct mc146818 *s = HC_CONTAINER_OF(dev, struct mc146818, dev);

	hc_timer_cancel(&s->timer);
	hc_platform_free(s, sizeof(*s));
}

static int rtc_post_load(void *obj)
{
	struct mc146818 *s = obj;

	if (!state_valid(s))
		return -EPROTO;
	update_irq(s, hc_platform_now_ns());
	return 0;
}

static const struct hc_field rtc_fields[] = {
	HC_FIELD(struct mc146818, index, 1),   HC_FIELD_ARRAY(struct mc146818, cmos, 1),
	HC_FIELD(struct mc146818, stopped, 1), HC_FIELD(struct mc146818, weekday_shift, 1),
	HC_FIELD(struct mc146818, base_s, 1),  HC_FIELD(struct mc146818, base_ns, 1),
	HC_FIELD(struct mc146818, seen_ns, 1),
};

static const struct hc_state_desc rtc_state = {
	.name = "mc146818",
	.version = 1,
	.fields = rtc_fields,
	.field_count = HC_ARRAY_SIZE(rtc_fields),
	.post_load = rtc_post_load,
};

static const struct hc_device_ops rtc_device = {
	.name = "mc146818",
	.reset = rtc_reset,
	.destroy = rtc_destroy,
	.state = &rtc_state,
};

static void put16(struct mc146818 *s, unsigned at, uint64_t v)
{
	v = hc_min(v, 0xffff);
	s->cmos[at] = (uint8_t)v;
	s->cmos[at + 1] = (uint8_t)(v >> 8);
}

/* Sizes as a PC's firmware leaves them: 640 KiB, KiB above 1 MiB, 64 KiB units above 16 MiB and
 * above 4 GiB. */
static void put_memory_sizes(struct mc146818 *s, const struct mc146818_config *config)
{
	uint64_t low = config->ram_low, high = config->ram_high / (64 * HC_KIB);

	put16(s, CMOS_BASE_KIB, hc_min(low / HC_KIB, 640));
	low = low > HC_MIB ? low - HC_MIB : 0;
	put16(s, CMOS_EXTENDED_KIB, low / HC_KIB);
	put16(s, CMOS_EXTENDED_KIB_AGAIN, low / HC_KIB);
	low = low > 15 * HC_MIB ? low - 15 * HC_MIB : 0;
	put16(s, CMOS_ABOVE_16M, low / (64 * HC_KIB));
	high = hc_min(high, 0xffffff);
	s->cmos[CMOS_ABOVE_4G] = (uint8_t)high;
	s->cmos[CMOS_ABOVE_4G + 1] = (uint8_t)(high >> 8);
	s->cmos[CMOS_ABOVE_4G + 2] = (uint8_t)(high >> 16);
}

int mc146818_create(struct hc_vm *vm, const struct mc146818_config *config)
{
	struct mc146818 *s = hc_platform_alloc(sizeof(*s));

	if (!s)
		return hc_error(-ENOMEM, "MC146818 clock: out of memory");
	power_up(s);
	put_memory_sizes(s, config);
	hc_timer_init(&s->timer, vm->vcpus[0], true, flag_is_due);
	hc_device_add(vm, &s->dev, &rtc_device);
	rtc_reset(&s->dev);
	return hc_bus_add(
		vm, HC_SPACE_IO,
		&(struct hc_region){
			.name = "mc146818", .base = 0x70, .len = 2, .ops = &rtc_ops, .dev = s });
}
