/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nothing counts here: what a channel shows follows from the tick at which its counting element was
 * loaded and from the tick now. Ticks are those of the channels' common clock since the device was
 * created.
 */
#include "devices/i8254.h"

#include <hypercore/errno.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/timer.h"
#include "core/vm.h"

#define PIT_CHANNELS 3
#define PIT_LINE     0
#define PIT_NEVER    INT64_MAX
#define PIT_FAR      (INT64_C(1) << 52) /* ticks; loaded times lie within +- this */
#define PIT_FAR_NS   (UINT64_C(1) << 62)

/* A guest's shortest interval of interrupts is about 50 us: shorter periods skip some. */
#define PIT_MIN_GAP 60

/* The refresh request bit of port 0x61 toggles every 18 ticks (15 us). */
#define PIT_REFRESH_TICKS 18

enum {
	CW_BCD = 0x01,
	CW_MODE_SHIFT = 1,
	CW_RW_SHIFT = 4,
	CW_LOW6 = 0x3f,
	CW_SC_SHIFT = 6,
	CW_READ_BACK = 3, /* in place of a channel number */
	RB_NO_STATUS = 0x10,
	RB_NO_COUNT = 0x20,
	STATUS_NULL = 0x40,
	STATUS_OUT = 0x80,

	P61_GATE2 = 0x01,
	P61_WRITABLE = 0x0f,
	P61_REFRESH = 0x10,
	P61_OUT2 = 0x20
};

enum { RW_LSB = 1, RW_MSB = 2, RW_BOTH = 3 };

struct channel {
	int64_t start;       /* tick at which the counting element held count */
	int64_t held;        /* ticks counted so far, while GATE stops it */
	int64_t switch_at;   /* tick from which next_count replaces count, */
	int64_t next_start;  /* and what start is then */
	uint32_t count;      /* 1 .. 65536 */
	uint32_t next_count; /* 0: none */
	uint16_t latch;
	uint8_t latched; /* bytes of latch still to be read */
	uint8_t status, status_latched;
	uint8_t control; /* RW, mode, BCD of the control word; mode is 0 .. 5 */
	uint8_t gate;
	uint8_t loaded;     /* a count was written since the control word */
	uint8_t triggered;  /* modes 1 and 5: GATE rose since then */
	uint8_t low_byte;   /* RW_BOTH: of the count being written, */
	uint8_t write_high; /* whose high byte comes next */
	uint8_t read_high;
};

struct i8254 {
	struct hc_device dev; /* first */
	struct hc_timer timer;
	uint64_t epoch_ns;
	int64_t irq_at; /* tick of channel 0's next rising edge, or PIT_NEVER */
	struct channel ch[PIT_CHANNELS];
	uint8_t port61;
	uint8_t line; /* as channel 0 drives it: after a square wave's rise it stays high */
};

static int64_t tick_now(const struct i8254 *s)
{
	uint64_t now = hc_platform_now_ns();

	return now > s->epoch_ns ? (int64_t)hc_ns_to_ticks(now - s->epoch_ns, I8254_HZ) : 0;
}

static unsigned mode_of(const struct channel *ch)
{
	return ch->control >> CW_MODE_SHIFT & 7;
}

static unsigned rw_of(const struct channel *ch)
{
	return ch->control >> CW_RW_SHIFT & 3;
}

static uint32_t modulus(const struct channel *ch)
{
	return ch->control & CW_BCD ? 10000 : 65536;
}

static bool is_periodic(const struct channel *ch)
{
	return mode_of(ch) == 2 || mode_of(ch) == 3;
}

/* Modes 1 and 5: GATE's rising edge starts the count, its level does not matter. */
static bool is_triggered_mode(const struct channel *ch)
{
	return mode_of(ch) == 1 || mode_of(ch) == 5;
}

/* The first half of a square wave is the longer one. */
static int64_t high_half(uint32_t count)
{
	return (count + 1) / 2;
}

/* Ticks counted since the counting element was loaded. */
static int64_t elapsed(const struct channel *ch, int64_t tick)
{
	if (!ch->gate && !is_triggered_mode(ch))
		return ch->held;
	return tick > ch->start ? tick - ch->start : 0;
}

static void take_next(struct channel *ch, int64_t start)
{
	if (ch->next_count)
		ch->count = ch->next_count;
	ch->next_count = 0;
	ch->start = start;
}

/* Lets a count that was written during a period take effect once that period is over. */
static void sync(struct channel *ch, int64_t tick)
{
	if (ch->next_count && ch->gate && tick >= ch->switch_at)
		take_next(ch, ch->next_start);
}

/* The level of OUT (data sheet, mode definitions). */
static bool output(const struct channel *ch, int64_t tick)
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
static int64_t square_wave_count(const struct channel *ch, int64_t e)
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
static uint16_t counter(const struct channel *ch, int64_t tick)
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
	return ch->control & CW_BCD ? to_bcd((uint32_t)v) : (uint16_t)v;
}

/* --- Channel 0's interrupt --- */

/* The first tick after tick at which OUT rises. */
static int64_t next_rise(const struct channel *ch, int64_t tick)
{
	int64_t n = ch->count, boundary;

	if (!ch->loaded || !ch->gate || is_triggered_mode(ch) || (is_periodic(ch) && n == 1))
		return PIT_NEVER;
	if (!is_periodic(ch)) {
		int64_t rise = ch->start + n + (mode_of(ch) == 4);

		return rise > tick ? rise : PIT_NEVER;
	}
	boundary = ch->start + (elapsed(ch, tick) / n + 1) * n;
	if (ch->next_count && ch->switch_at < boundary)
		return ch->next_start + ch->next_count;
	return boundary;
}

static void set_line(struct i8254 *s, bool level)
{
	s->line = level;
	hc_irq_set(s->dev.vm, PIT_LINE, level);
}

static void arm(struct i8254 *s)
{
	if (s->irq_at == PIT_NEVER)
		hc_timer_cancel(&s->timer);
	else
		hc_timer_arm(&s->timer,
		             s->epoch_ns + hc_ticks_to_ns((uint64_t)s->irq_at, I8254_HZ));
}

/* After channel 0 was programmed. */
static void update_irq(struct i8254 *s, int64_t tick)
{
	set_line(s, output(&s->ch[0], tick));
	s->irq_at = next_rise(&s->ch[0], tick);
	arm(s);
}

/* A rising edge is due. Edges that went by unnoticed are lost, as they are to a 8259A whose request
 * is still latched. */
static void edge_due(struct hc_timer *timer, uint64_t now_ns)
{
	struct i8254 *s = HC_CONTAINER_OF(timer, struct i8254, timer);
	struct channel *ch = &s->ch[0];
	int64_t tick = tick_now(s);

	sync(ch, tick);
	set_line(s, false);
	set_line(s, true);
	s->irq_at = next_rise(ch, tick);
	if (s->irq_at - tick < PIT_MIN_GAP)
		s->irq_at = next_rise(ch, tick + PIT_MIN_GAP - 1);
	arm(s);
}

/* --- Programming --- */

/* A new count in the middle of a period waits for its end, in mode 3 for that of the half cycle,
 * and in any case for GATE. */
static void defer_count(struct channel *ch, uint32_t n, int64_t tick)
{
	int64_t old = ch->count, e = elapsed(ch, tick), half = high_half(ch->count);
	int64_t period_start = ch->start + e / old * old;

	ch->next_count = n;
	ch->switch_at = ch->gate ? period_start + old : PIT_NEVER;
	if (!ch->gate)
		return;
	ch->next_start = ch->switch_at;
	if (mode_of(ch) == 3 && e % old < half && half < old) {
		ch->switch_at = period_start + half;
		ch->next_start = ch->switch_at - high_half(n);
	}
}

/* A count reaches the counting element with the clock pulse after it was written. */
static void load_count(struct channel *ch, uint16_t raw, int64_t tick)
{
	uint32_t n = ch->control & CW_BCD ? from_bcd(raw) : raw;

	if (!n)
		n = modulus(ch);
	if (ch->loaded && is_periodic(ch) && tick >= ch->start) {
		defer_count(ch, n, tick);
		return;
	}
	if (is_triggered_mode(ch) && ch->triggered) {
		ch->next_count = n;
		ch->switch_at = PIT_NEVER;
		return;
	}
	ch->next_count = 0;
	ch->count = n;
	ch->start = tick + 1;
	ch->held = 0;
	ch->loaded = 1;
}

static void write_count(struct channel *ch, uint8_t value, int64_t tick)
{
	switch (rw_of(ch)) {
	case RW_LSB: load_count(ch, value, tick); return;
	case RW_MSB: load_count(ch, (uint16_t)(value << 8), tick); return;
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

static void set_gate(struct channel *ch, bool level, int64_t tick)
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

static bool null_count(const struct channel *ch, int64_t tick)
{
	return !ch->loaded || ch->next_count || tick < ch->start ||
	       (is_triggered_mode(ch) && !ch->triggered);
}

static void latch_count(struct channel *ch, int64_t tick)
{
	if (ch->latched)
		return;
	ch->latch = counter(ch, tick);
	ch->latched = rw_of(ch) == RW_BOTH ? 2 : 1;
}

static void latch_status(struct channel *ch, int64_t tick)
{
	if (ch->status_latched)
		return;
	ch->status = ch->control | (output(ch, tick) ? STATUS_OUT : 0) |
	             (null_count(ch, tick) ? STATUS_NULL : 0);
	ch->status_latched = 1;
}

static void read_back(struct i8254 *s, uint8_t value, int64_t tick)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & RB_NO_COUNT))
			latch_count(&s->ch[i], tick);
		if (!(value & RB_NO_STATUS))
			latch_status(&s->ch[i], tick);
	}
}

/* Modes 6 and 7 are 2 and 3: the chip does not decode the bit. */
static void set_control(struct channel *ch, uint8_t value)
{
	unsigned mode = value >> CW_MODE_SHIFT & 7;

	if (mode > 5)
		value &= (uint8_t) ~(4u << CW_MODE_SHIFT);
	ch->control = value & CW_LOW6;
	ch->next_count = 0;
	ch->count = 1;
	ch->held = 0;
	ch->latched = ch->status_latched = 0;
	ch->loaded = ch->triggered = 0;
	ch->write_high = ch->read_high = 0;
}

static void write_control(struct i8254 *s, uint8_t value, int64_t tick)
{
	unsigned channel = value >> CW_SC_SHIFT;

	if (channel == CW_READ_BACK) {
		read_back(s, value, tick);
	} else if (!(value >> CW_RW_SHIFT & 3)) {
		latch_count(&s->ch[channel], tick);
	} else {
		set_control(&s->ch[channel], value);
		if (!channel)
			update_irq(s, tick);
	}
}

static void sync_all(struct i8254 *s, int64_t tick)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++)
		sync(&s->ch[i], tick);
}

static void pit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8254 *s = dev;
	int64_t tick = tick_now(s);

	sync_all(s, tick);
	set_line(s, output(&s->ch[0], tick));
	if (offset == PIT_CHANNELS) {
		write_control(s, (uint8_t)value, tick);
		return;
	}
	write_count(&s->ch[offset], (uint8_t)value, tick);
	if (!offset)
		update_irq(s, tick);
}

static uint8_t read_latch(struct channel *ch)
{
	bool high = rw_of(ch) == RW_MSB || (rw_of(ch) == RW_BOTH && ch->latched == 1);

	ch->latched--;
	return (uint8_t)(high ? ch->latch >> 8 : ch->latch);
}

/* Status comes before the count if both are latched (data sheet, read-back command). */
static uint8_t read_channel(struct channel *ch, int64_t tick)
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
	high = rw_of(ch) == RW_MSB || (rw_of(ch) == RW_BOTH && ch->read_high);
	if (rw_of(ch) == RW_BOTH)
		ch->read_high ^= 1;
	return (uint8_t)(high ? v >> 8 : v);
}

static uint64_t pit_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8254 *s = dev;
	int64_t tick;

	if (offset == PIT_CHANNELS)
		return 0xff; /* the control word cannot be read */
	tick = tick_now(s);
	sync(&s->ch[offset], tick);
	return read_channel(&s->ch[offset], tick);
}

static const struct hc_region_ops pit_ops = { .read = pit_read, .write = pit_write, .sizes = 1 };

/* --- Port 0x61 --- */

static uint64_t port61_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8254 *s = dev;
	int64_t tick = tick_now(s);
	uint8_t value = s->port61;

	sync(&s->ch[2], tick);
	if (output(&s->ch[2], tick))
		value |= P61_OUT2;
	if (tick / PIT_REFRESH_TICKS & 1)
		value |= P61_REFRESH;
	return value;
}

static void port61_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8254 *s = dev;
	int64_t tick = tick_now(s);

	sync(&s->ch[2], tick);
	s->port61 = (uint8_t)value & P61_WRITABLE;
	set_gate(&s->ch[2], value & P61_GATE2, tick);
}

static const struct hc_region_ops port61_ops = {
	.read = port61_read,
	.write = port61_write,
	.sizes = 1,
};

/* --- Life --- */

/* The chip's state after power-on is undefined; firmware leaves square waves. No count has been
 * written here, so that nothing is due until the guest programs it. */
static void i8254_reset(struct hc_device *dev)
{
	struct i8254 *s = HC_CONTAINER_OF(dev, struct i8254, dev);

	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		s->ch[i] = (struct channel){ .gate = i != 2 };
		set_control(&s->ch[i], RW_BOTH << CW_RW_SHIFT | 3 << CW_MODE_SHIFT);
	}
	s->port61 = 0;
	s->epoch_ns = hc_platform_now_ns();
	update_irq(s, 0);
}

static void i8254_destroy(struct hc_device *dev)
{
	struct i8254 *s = HC_CONTAINER_OF(dev, struct i8254, dev);

	hc_timer_cancel(&s->timer);
	hc_platform_free(s, sizeof(*s));
}

static bool tick_valid(int64_t tick)
{
	return tick > -PIT_FAR && tick < PIT_FAR;
}

/* A deferred count takes over within its own first period. */
static bool deferral_valid(const struct channel *ch)
{
	if (ch->switch_at == PIT_NEVER || !ch->next_count)
		return true;
	return tick_valid(ch->switch_at) && ch->next_start <= ch->switch_at &&
	       ch->next_start + ch->next_count >= ch->switch_at;
}

static bool channel_valid(const struct channel *ch)
{
	bool times = tick_valid(ch->start) && tick_valid(ch->next_start) && ch->held >= 0 &&
	             ch->held < PIT_FAR && deferral_valid(ch);
	bool flags = ch->gate <= 1 && ch->loaded <= 1 && ch->triggered <= 1 &&
	             ch->write_high <= 1 && ch->read_high <= 1 && ch->status_latched <= 1;

	return times && flags && ch->control <= CW_LOW6 && mode_of(ch) <= 5 && rw_of(ch) &&
	       ch->count && ch->count <= modulus(ch) && ch->next_count <= modulus(ch) &&
	       ch->latched <= (rw_of(ch) == RW_BOTH ? 2 : 1) &&
	       !(rw_of(ch) != RW_BOTH && (ch->write_high || ch->read_high));
}

static bool state_valid(const struct i8254 *s)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++)
		if (!channel_valid(&s->ch[i]))
			return false;
	return s->epoch_ns < PIT_FAR_NS && s->line <= 1 && s->ch[0].gate && s->ch[1].gate &&
	       s->port61 <= P61_WRITABLE && s->ch[2].gate == (s->port61 & P61_GATE2) &&
	       (s->irq_at == PIT_NEVER || (s->irq_at >= 0 && s->irq_at < PIT_FAR));
}

static int i8254_post_load(void *obj)
{
	struct i8254 *s = obj;

	if (!state_valid(s))
		return -EPROTO;
	hc_irq_set(s->dev.vm, PIT_LINE, s->line);
	arm(s);
	return 0;
}

#define CHANNEL_FIELD(n, member) HC_FIELD(struct i8254, ch[n].member, 1)
#define CHANNEL_FIELDS(n)                                                                          \
	CHANNEL_FIELD(n, start), CHANNEL_FIELD(n, held), CHANNEL_FIELD(n, switch_at),              \
		CHANNEL_FIELD(n, next_start), CHANNEL_FIELD(n, count),                             \
		CHANNEL_FIELD(n, next_count), CHANNEL_FIELD(n, latch), CHANNEL_FIELD(n, latched),  \
		CHANNEL_FIELD(n, status), CHANNEL_FIELD(n, status_latched),                        \
		CHANNEL_FIELD(n, control), CHANNEL_FIELD(n, gate), CHANNEL_FIELD(n, loaded),       \
		CHANNEL_FIELD(n, triggered), CHANNEL_FIELD(n, low_byte),                           \
		CHANNEL_FIELD(n, write_high), CHANNEL_FIELD(n, read_high)

static const struct hc_field i8254_fields[] = {
	HC_FIELD(struct i8254, epoch_ns, 1),
	HC_FIELD(struct i8254, irq_at, 1),
	HC_FIELD(struct i8254, port61, 1),
	HC_FIELD(struct i8254, line, 1),
	CHANNEL_FIELDS(0),
	CHANNEL_FIELDS(1),
	CHANNEL_FIELDS(2),
};

static const struct hc_state_desc i8254_state = {
	.name = "i8254",
	.version = 1,
	.fields = i8254_fields,
	.field_count = HC_ARRAY_SIZE(i8254_fields),
	.post_load = i8254_post_load,
};

static const struct hc_device_ops i8254_device = {
	.name = "i8254",
	.reset = i8254_reset,
	.destroy = i8254_destroy,
	.state = &i8254_state,
};

int i8254_create(struct hc_vm *vm)
{
	struct i8254 *s = hc_platform_alloc(sizeof(*s));
	int rc;

	if (!s)
		return hc_error(-ENOMEM, "8254 timer: out of memory");
	hc_timer_init(&s->timer, vm->vcpus[0], true, edge_due);
	hc_device_add(vm, &s->dev, &i8254_device);
	i8254_reset(&s->dev);
	rc = hc_bus_add(vm, HC_SPACE_IO,
	                &(struct hc_region){ .name = "8254",
	                                     .base = 0x40,
	                                     .len = PIT_CHANNELS + 1,
	                                     .ops = &pit_ops,
	                                     .dev = s });
	if (rc)
		return rc;
	return hc_bus_add(vm, HC_SPACE_IO,
	                  &(struct hc_region){ .name = "port 0x61",
	                                       .base = 0x61,
	                                       .len = 1,
	                                       .ops = &port61_ops,
	                                       .dev = s });
}
