/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/i8254.h"

#include <hypercore/errno.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/timer.h"
#include "core/vm.h"
#include "devices/i8254_counter.h"

#define PIT_CHANNELS 3
#define PIT_LINE     0
#define PIT_FAR_NS   (UINT64_C(1) << 62) /* loaded times lie before this */

/* A guest's shortest interval of interrupts is about 50 us: shorter periods skip some. */
#define PIT_MIN_GAP 60

/* The refresh request bit of port 0x61 toggles every 18 ticks (15 us). */
#define PIT_REFRESH_TICKS 18

enum {
	CW_SC_SHIFT = 6,
	CW_READ_BACK = 3, /* in place of a channel number */
	RB_NO_STATUS = 0x10,
	RB_NO_COUNT = 0x20,

	P61_GATE2 = 0x01,
	P61_WRITABLE = 0x0f,
	P61_REFRESH = 0x10,
	P61_OUT2 = 0x20
};

struct i8254 {
	struct hc_device dev; /* first */
	struct hc_timer timer;
	uint64_t epoch_ns; /* tick 0 of the channels' common clock */
	int64_t irq_at;    /* tick of channel 0's next rising edge, or I8254_NEVER */
	struct i8254_counter ch[PIT_CHANNELS];
	uint8_t port61;
	uint8_t line; /* as channel 0 drives it: after a square wave's rise it stays high */
};

static int64_t tick_now(const struct i8254 *s)
{
	uint64_t now = hc_platform_now_ns();

	return now > s->epoch_ns ? (int64_t)hc_ns_to_ticks(now - s->epoch_ns, I8254_HZ) : 0;
}

/* --- Channel 0's interrupt --- */

static void set_line(struct i8254 *s, bool level)
{
	s->line = level;
	hc_irq_set(s->dev.vm, PIT_LINE, level);
}

static void arm(struct i8254 *s)
{
	if (s->irq_at == I8254_NEVER)
		hc_timer_cancel(&s->timer);
	else
		hc_timer_arm(&s->timer,
		             s->epoch_ns + hc_ticks_to_ns((uint64_t)s->irq_at, I8254_HZ));
}

/* After channel 0 was programmed. */
static void update_irq(struct i8254 *s, int64_t tick)
{
	set_line(s, i8254_counter_output(&s->ch[0], tick));
	s->irq_at = i8254_counter_next_rise(&s->ch[0], tick);
	arm(s);
}

/* A rising edge is due. Edges that went by unnoticed are lost, as they are to a 8259A whose request
 * is still latched. */
static void deliver_edge(struct i8254 *s, int64_t tick)
{
	struct i8254_counter *ch = &s->ch[0];

	i8254_counter_sync(ch, tick);
	set_line(s, false);
	set_line(s, true);
	s->irq_at = i8254_counter_next_rise(ch, tick);
	if (s->irq_at - tick < PIT_MIN_GAP)
		s->irq_at = i8254_counter_next_rise(ch, tick + PIT_MIN_GAP - 1);
	arm(s);
}

static void edge_due(struct hc_timer *timer, uint64_t now_ns)
{
	struct i8254 *s = HC_CONTAINER_OF(timer, struct i8254, timer);

	deliver_edge(s, tick_now(s));
}

/* --- Programming --- */

static void read_back(struct i8254 *s, uint8_t value, int64_t tick)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & RB_NO_COUNT))
			i8254_counter_latch_count(&s->ch[i], tick);
		if (!(value & RB_NO_STATUS))
			i8254_counter_latch_status(&s->ch[i], tick);
	}
}

static void write_control(struct i8254 *s, uint8_t value, int64_t tick)
{
	unsigned channel = value >> CW_SC_SHIFT;

	if (channel == CW_READ_BACK) {
		read_back(s, value, tick);
	} else if (!(value >> I8254_CW_RW_SHIFT & 3)) {
		i8254_counter_latch_count(&s->ch[channel], tick);
	} else {
		i8254_counter_control(&s->ch[channel], value);
		if (!channel)
			update_irq(s, tick);
	}
}

static void sync_all(struct i8254 *s, int64_t tick)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++)
		i8254_counter_sync(&s->ch[i], tick);
}

static void pit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8254 *s = dev;
	int64_t tick = tick_now(s);

	sync_all(s, tick);
	if (s->irq_at <= tick) /* the timer is late */
		deliver_edge(s, tick);
	set_line(s, i8254_counter_output(&s->ch[0], tick));
	if (offset == PIT_CHANNELS) {
		write_control(s, (uint8_t)value, tick);
		return;
	}
	i8254_counter_write(&s->ch[offset], (uint8_t)value, tick);
	if (!offset)
		update_irq(s, tick);
}

static uint64_t pit_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8254 *s = dev;
	int64_t tick;

	if (offset == PIT_CHANNELS)
		return 0xff; /* the control word cannot be read */
	tick = tick_now(s);
	i8254_counter_sync(&s->ch[offset], tick);
	return i8254_counter_read(&s->ch[offset], tick);
}

static const struct hc_region_ops pit_ops = { .read = pit_read, .write = pit_write, .sizes = 1 };

/* --- Port 0x61 --- */

static uint64_t port61_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8254 *s = dev;
	int64_t tick = tick_now(s);
	uint8_t value = s->port61;

	i8254_counter_sync(&s->ch[2], tick);
	if (i8254_counter_output(&s->ch[2], tick))
		value |= P61_OUT2;
	if (tick / PIT_REFRESH_TICKS & 1)
		value |= P61_REFRESH;
	return value;
}

static void port61_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8254 *s = dev;
	int64_t tick = tick_now(s);

	i8254_counter_sync(&s->ch[2], tick);
	s->port61 = (uint8_t)value & P61_WRITABLE;
	i8254_counter_gate(&s->ch[2], value & P61_GATE2, tick);
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
		s->ch[i] = (struct i8254_counter){ .gate = i != 2 };
		i8254_counter_control(&s->ch[i], I8254_RW_BOTH << I8254_CW_RW_SHIFT |
		                                         3 << I8254_CW_MODE_SHIFT);
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

static bool state_valid(const struct i8254 *s)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++)
		if (!i8254_counter_valid(&s->ch[i]))
			return false;
	return s->epoch_ns < PIT_FAR_NS && s->line <= 1 && s->ch[0].gate && s->ch[1].gate &&
	       s->port61 <= P61_WRITABLE && s->ch[2].gate == (s->port61 & P61_GATE2) &&
	       (s->irq_at == I8254_NEVER || (s->irq_at >= 0 && s->irq_at < I8254_FAR));
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
