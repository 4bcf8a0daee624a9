/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/i8254_counter.h"

enum { STATUS_NULL = 0x40, STATUS_OUT = 0x80 };

static unsigned mode_of(const struct i8254_counter *ch)
{
	return ch->control >> I8254_CW_MODE_SHIFT & 7;
}

static unsigned rw_of(const struct i8254_counter *ch)
{
	return ch->control >> I8254_CW_RW_SHIFT & 3;
}

static uint32_t modulus(const struct i8254_counter *ch)
{
	return ch->control & I8254_CW_BCD ? 10000 : 65536;
}

static bool is_periodic(const struct i8254_counter *ch)
{
	return mode_of(ch) == 2 || mode_of(ch) == 3;
}

/* Modes 1 and 5: GATE's rising edge starts the count, its level does not matter. */
static bool is_triggered_mode(const struct i8254_counter *ch)
{
	return mode_of(ch) == 1 || mode_of(ch) == 5;
}

/* The first half of a square wave is the longer one. */
static int64_t high_half(uint32_t count)
{
	return (count + 1) / 2;
}

/* Ticks counted since the counting element was loaded. */
static int64_t elapsed(const struct i8254_counter *ch, int64_t tick)
{
	if (!ch->gate && !is_triggered_mode(ch))
		return ch->held;
	return tick > ch->start ? tick - ch->start : 0;
}

static void take_next(struct i8254_counter *ch, int64_t start)
{
	if (ch->next_count)
		ch->count = ch->next_count;
	ch->next_count = 0;
	ch->start = start;
}

/* Lets a count that was written during a period take effect once that period is over. */
void i8254_counter_sync(struct i8254_counter *ch, int64_t tick)
{
	if (ch->next_count && ch->gate && tick >= ch->switch_at)
		take_next(ch, ch->next_start);
}

/* The level of OUT (data sheet, mode definitions). */
bool i8254_counter_output(const struct i8254_counter *ch, int64_t tick)
{
	int64_t n = ch->count, e = elapsed(ch, tick);

	if (!ch->loaded)
		return mode_of(ch) != 0;
	switch (mode_of(ch)) {
	case 0: return e >= n;
	case 1: return !ch->triggered || e >= n;
	case 2: return !ch->gate || e % n != n - 1;
	case 3: return !ch->gate || e % n < high_half(ch->count);
	case 4: return !ch->gate || e != n;
	default: return !ch->triggered || e != n;
	}
}

/* Mode 3 counts down by two from the even count twice per period. */
static int64_t square_wave_count(const struct i8254_counter *ch, int64_t e)
{
	int64_t at = e % ch->count, half = high_half(ch->count);

	return (ch->count & ~1u) - 2 * (at < half ? at : at - half);
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

/* Digits above 9, which the chip does not define, count as what they are worth. */
static uint32_t from_bcd(uint32_t v)
{
	return ((v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15)) % 10000;
}

/* What the counting element shows, as the guest reads it. */
static uint16_t counter(const struct i8254_counter *ch, int64_t tick)
{
	int64_t e = elapsed(ch, tick), m = modulus(ch), v;

	if (!ch->loaded)
		return 0;
	if (mode_of(ch) == 2)
		v = ch->count - e % ch->count;
	else if (mode_of(ch) == 3)
		v = square_wave_count(ch, e);
	else if (is_triggered_mode(ch) && !ch->triggered)
		v = ch->count;
	else
		v = ch->count + m - e % m;
	v %= m;
	return ch->control & I8254_CW_BCD ? to_bcd((uint32_t)v) : (uint16_t)v;
}

/* The first tick after tick at which OUT rises. */
int64_t i8254_counter_next_rise(const struct i8254_counter *ch, int64_t tick)
{
	int64_t n = ch->count, boundary;

	if (!ch->loaded || !ch->gate || is_triggered_mode(ch) || (is_periodic(ch) && n == 1))
		return I8254_NEVER;
	if (!is_periodic(ch)) {
		int64_t rise = ch->start + n + (mode_of(ch) == 4);

		return rise > tick ? rise : I8254_NEVER;
	}
	boundary = ch->start + (elapsed(ch, tick) / n + 1) * n;
	if (ch->next_count && ch->switch_at < boundary)
		return ch->next_start + ch->next_count;
	return boundary;
}

/* A new count in the middle of a period waits for its end, in mode 3 for that of the half cycle,
 * and in any case for GATE. */
static void defer_count(struct i8254_counter *ch, uint32_t n, int64_t tick)
{
	int64_t old = ch->count, e = elapsed(ch, tick), half = high_half(ch->count);
	int64_t period_start = ch->start + e / old * old;

	ch->next_count = n;
	ch->switch_at = ch->gate ? period_start + old : I8254_NEVER;
	if (!ch->gate)
		return;
	ch->next_start = ch->switch_at;
	if (mode_of(ch) == 3 && e % old < half && half < old) {
		ch->switch_at = period_start + half;
		ch->next_start = ch->switch_at - high_half(n);
	}
}

/* A count reaches the counting element with the clock pulse after it was written. */
static void load_count(struct i8254_counter *ch, uint16_t raw, int64_t tick)
{
	uint32_t n = ch->control & I8254_CW_BCD ? from_bcd(raw) : raw;

	if (!n)
		n = modulus(ch);
	if (ch->loaded && is_periodic(ch) && tick >= ch->start) {
		defer_count(ch, n, tick);
		return;
	}
	if (is_triggered_mode(ch) && ch->triggered) {
		ch->next_count = n;
		ch->switch_at = I8254_NEVER;
		return;
	}
	ch->next_count = 0;
	ch->count = n;
	ch->start = tick + 1;
	ch->held = 0;
	ch->loaded = 1;
}

void i8254_counter_write(struct i8254_counter *ch, uint8_t value, int64_t tick)
{
	switch (rw_of(ch)) {
	case I8254_RW_LSB: load_count(ch, value, tick); return;
	case I8254_RW_MSB: load_count(ch, (uint16_t)(value << 8), tick); return;
	default: break;
	}
	if (ch->write_high) {
		load_count(ch, (uint16_t)(value << 8 | ch->low_byte), tick);
	} else {
		ch->low_byte = value;
		if (mode_of(ch) == 0)
			ch->loaded = 0; /* the first byte stops the count */
	}
	ch->write_high ^= 1;
}

void i8254_counter_gate(struct i8254_counter *ch, bool level, int64_t tick)
{
	if (ch->gate == level)
		return;
	if (!level)
		ch->held = elapsed(ch, tick);
	ch->gate = level;
	if (!level || !ch->loaded)
		return;
	if (is_periodic(ch)) {
		take_next(ch, tick + 1);
	} else if (is_triggered_mode(ch)) {
		take_next(ch, tick + 1);
		ch->triggered = 1;
	} else if (tick >= ch->start) {
		ch->start = tick - ch->held;
	}
}

static bool null_count(const struct i8254_counter *ch, int64_t tick)
{
	return !ch->loaded || ch->next_count || tick < ch->start ||
	       (is_triggered_mode(ch) && !ch->triggered);
}

void i8254_counter_latch_count(struct i8254_counter *ch, int64_t tick)
{
	if (ch->latched)
		return;
	ch->latch = counter(ch, tick);
	ch->latched = rw_of(ch) == I8254_RW_BOTH ? 2 : 1;
}

void i8254_counter_latch_status(struct i8254_counter *ch, int64_t tick)
{
	if (ch->status_latched)
		return;
	ch->status = ch->control | (i8254_counter_output(ch, tick) ? STATUS_OUT : 0) |
	             (null_count(ch, tick) ? STATUS_NULL : 0);
	ch->status_latched = 1;
}

/* Modes 6 and 7 are 2 and 3: the chip does not decode the bit. */
void i8254_counter_control(struct i8254_counter *ch, uint8_t value)
{
	unsigned mode = value >> I8254_CW_MODE_SHIFT & 7;

	if (mode > 5)
		value &= (uint8_t) ~(4u << I8254_CW_MODE_SHIFT);
	ch->control = value & I8254_CW_LOW6;
	ch->next_count = 0;
	ch->count = 1;
	ch->held = 0;
	ch->latched = ch->status_latched = 0;
	ch->loaded = ch->triggered = 0;
	ch->write_high = ch->read_high = 0;
}

static uint8_t read_latch(struct i8254_counter *ch)
{
	bool high = rw_of(ch) == I8254_RW_MSB || (rw_of(ch) == I8254_RW_BOTH && ch->latched == 1);

	ch->latched--;
	return (uint8_t)(high ? ch->latch >> 8 : ch->latch);
}

/* Status comes before the count if both are latched (data sheet, read-back command). */
uint8_t i8254_counter_read(struct i8254_counter *ch, int64_t tick)
{
	uint16_t v;
	bool high;

	if (ch->status_latched) {
		ch->status_latched = 0;
		return ch->status;
	}
	if (ch->latched)
		return read_latch(ch);
	v = counter(ch, tick);
	high = rw_of(ch) == I8254_RW_MSB || (rw_of(ch) == I8254_RW_BOTH && ch->read_high);
	if (rw_of(ch) == I8254_RW_BOTH)
		ch->read_high ^= 1;
	return (uint8_t)(high ? v >> 8 : v);
}

static bool tick_valid(int64_t tick)
{
	return tick > -I8254_FAR && tick < I8254_FAR;
}

/* A deferred count takes over within its own first period. */
static bool deferral_valid(const struct i8254_counter *ch)
{
	if (ch->switch_at == I8254_NEVER || !ch->next_count)
		return true;
	return tick_valid(ch->switch_at) && ch->next_start <= ch->switch_at &&
	       ch->next_start + ch->next_count >= ch->switch_at;
}

bool i8254_counter_valid(const struct i8254_counter *ch)
{
	bool times = tick_valid(ch->start) && tick_valid(ch->next_start) && ch->held >= 0 &&
	             ch->held < I8254_FAR && deferral_valid(ch);
	bool flags = ch->gate <= 1 && ch->loaded <= 1 && ch->triggered <= 1 &&
	             ch->write_high <= 1 && ch->read_high <= 1 && ch->status_latched <= 1;

	return times && flags && ch->control <= I8254_CW_LOW6 && mode_of(ch) <= 5 && rw_of(ch) &&
	       ch->count && ch->count <= modulus(ch) && ch->next_count <= modulus(ch) &&
	       ch->latched <= (rw_of(ch) == I8254_RW_BOTH ? 2 : 1) &&
	       !(rw_of(ch) != I8254_RW_BOTH && (ch->write_high || ch->read_high));
}
