/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A counter of seconds with a match register. It is battery-backed: a reset of the machine leaves
 * the time alone, and it cannot be stopped (RTCCR is one already, 3.3.4).
 */
#include "devices/pl031.h"

#include <hypercore/errno.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/timer.h"
#include "core/vm.h"

#define NS_PER_S UINT64_C(1000000000)

/* Register offsets (DDI 0224C table 3-1). */
enum {
	RTCDR = 0x00,
	RTCMR = 0x04,
	RTCLR = 0x08,
	RTCCR = 0x0c,
	RTCIMSC = 0x10,
	RTCRIS = 0x14,
	RTCMIS = 0x18,
	RTCICR = 0x1c,
	RTCPeriphID0 = 0xfe0
};

struct pl031 {
	struct hc_device dev; /* first */
	unsigned line;
	struct hc_timer timer; /* the match */

	uint64_t loaded_ns; /* when the counter was lr: whole seconds follow it */
	uint64_t match_ns;  /* when the timer is due */
	uint32_t lr, mr;
	uint8_t imsc, ris;
};

static uint32_t counter(const struct pl031 *s, uint64_t now_ns)
{
	return s->lr + (uint32_t)((now_ns - s->loaded_ns) / NS_PER_S);
}

static void update_line(struct pl031 *s)
{
	hc_irq_set(s->dev.vm, s->line, s->ris & s->imsc);
}

/* The next time that the counter becomes what it is to match, which is not now. */
static void arm(struct pl031 *s, uint64_t now_ns)
{
	uint64_t ticks = (now_ns - s->loaded_ns) / NS_PER_S;
	uint32_t ahead = s->mr - counter(s, now_ns) - 1;

	s->match_ns = s->loaded_ns + (ticks + ahead + 1) * NS_PER_S;
	hc_timer_arm(&s->timer, s->match_ns);
}

static void matched(struct hc_timer *timer, uint64_t now_ns)
{
	struct pl031 *s = HC_CONTAINER_OF(timer, struct pl031, timer);

	s->ris = 1;
	arm(s, now_ns);
	update_line(s);
}

/* The counter or the match register is new: they may be equal at once. */
static void compare(struct pl031 *s)
{
	uint64_t now = hc_platform_now_ns();

	if (counter(s, now) == s->mr)
		s->ris = 1;
	arm(s, now);
}

static unsigned read_id(uint64_t offset)
{
	static const uint8_t id[8] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

	return offset >= RTCPeriphID0 && !(offset & 3) ? id[(offset - RTCPeriphID0) / 4] : 0;
}

static uint64_t pl031_read(void *dev, uint64_t offset, unsigned size)
{
	const struct pl031 *s = dev;

	switch (offset) {
	case RTCDR: return counter(s, hc_platform_now_ns());
	case RTCMR: return s->mr;
	case RTCLR: return s->lr;
	case RTCCR: return 1;
	case RTCIMSC: return s->imsc;
	case RTCRIS: return s->ris;
	case RTCMIS: return s->ris & s->imsc;
	default: return read_id(offset);
	}
}

static void pl031_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pl031 *s = dev;

	switch (offset) {
	case RTCMR:
		s->mr = (uint32_t)value;
		compare(s);
		break;
	case RTCLR:
		s->lr = (uint32_t)value;
		s->loaded_ns = hc_platform_now_ns();
		compare(s);
		break;
	case RTCIMSC: s->imsc = value & 1; break;
	case RTCICR: s->ris &= (uint8_t)~value; break;
	default: return;
	}
	update_line(s);
}

static const struct hc_region_ops pl031_ops = {
	.read = pl031_read,
	.write = pl031_write,
	.sizes = 4,
};

static void pl031_reset(struct hc_device *dev)
{
	struct pl031 *s = HC_CONTAINER_OF(dev, struct pl031, dev);

	s->mr = s->imsc = s->ris = 0;
	arm(s, hc_platform_now_ns());
	update_line(s);
}

static void pl031_destroy(struct hc_device *dev)
{
	struct pl031 *s = HC_CONTAINER_OF(dev, struct pl031, dev);

	hc_timer_cancel(&s->timer);
	hc_platform_free(s, sizeof(*s));
}

static int pl031_post_load(void *obj)
{
	struct pl031 *s = obj;

	if (s->imsc > 1 || s->ris > 1 || s->loaded_ns > hc_platform_now_ns())
		return -EPROTO;
	hc_timer_arm(&s->timer, s->match_ns);
	update_line(s);
	return 0;
}

static const struct hc_field pl031_fields[] = {
	HC_FIELD(struct pl031, loaded_ns, 1), HC_FIELD(struct pl031, match_ns, 1),
	HC_FIELD(struct pl031, lr, 1),        HC_FIELD(struct pl031, mr, 1),
	HC_FIELD(struct pl031, imsc, 1),      HC_FIELD(struct pl031, ris, 1),
};

static const struct hc_state_desc pl031_state = {
	.name = "pl031",
	.version = 1,
	.fields = pl031_fields,
	.field_count = HC_ARRAY_SIZE(pl031_fields),
	.post_load = pl031_post_load,
};

static const struct hc_device_ops pl031_device = {
	.name = "pl031",
	.reset = pl031_reset,
	.destroy = pl031_destroy,
	.state = &pl031_state,
};

int pl031_create(struct hc_vm *vm, const struct pl031_config *config)
{
	unsigned long long base = config->base;
	struct pl031 *s;

	if (config->line >= HC_IRQ_LINES)
		return hc_error(-EINVAL, "PL031 at %#llx: interrupt line %u, there are %d", base,
		                config->line, HC_IRQ_LINES);
	s = hc_platform_alloc(sizeof(*s));
	if (!s)
		return hc_error(-ENOMEM, "PL031 at %#llx: out of memory", base);
	s->line = config->line;
	s->lr = (uint32_t)hc_platform_wall_clock();
	s->loaded_ns = hc_platform_now_ns();
	hc_timer_init(&s->timer, vm->vcpus[0], true, matched);
	hc_device_add(vm, &s->dev, &pl031_device);
	pl031_reset(&s->dev);
	return hc_bus_add(vm, HC_SPACE_MEMORY,
	                  &(struct hc_region){ .name = "pl031",
	                                       .base = config->base,
	                                       .len = PL031_SIZE,
	                                       .ops = &pl031_ops,
	                                       .dev = s });
}
