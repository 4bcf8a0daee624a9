/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/acpi_pm.h"

#include <hypercore/errno.h>
#include <hypercore/vm.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/timer.h"
#include "core/vm.h"

/* Bits of PM1_STS and PM1_EN (ACPI 6.4, tables 4.13 and 4.14) and PM1_CNT (table 4.15). */
enum {
	PM1_TMR = 0x0001,
	PM1_BM_STS = 0x0010,
	PM1_GBL = 0x0020,
	PM1_PWRBTN = 0x0100,
	PM1_SLPBTN = 0x0200,
	PM1_RTC = 0x0400,
	PM1_WAK_STS = 0x8000,
	PM1_EN_ALL = PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC,
	PM1_STS_ALL = PM1_EN_ALL | PM1_BM_STS | PM1_WAK_STS,

	CNT_SCI_EN = 0x0001,
	CNT_BM_RLD = 0x0002,
	CNT_SLP_TYP = 0x1c00,
	CNT_SLP_TYP_SHIFT = 10,
	CNT_SLP_EN = 0x2000,
	CNT_KEPT = CNT_SCI_EN | CNT_BM_RLD | CNT_SLP_TYP
};

/* Loaded times lie before these: decades after the start. */
#define PM_FAR_NS         (UINT64_C(1) << 62)
#define PM_FAR_TICKS_LOG2 52

struct acpi_pm {
	struct hc_device dev; /* first */
	struct acpi_pm_config config;
	struct hc_timer timer;
	uint64_t epoch_ns;    /* when the timer stood at 0 */
	uint64_t seen_halves; /* changes of its top bit that TMR_STS knows of */
	uint16_t sts, en, cnt;
};

static unsigned top_bit(const struct acpi_pm *s)
{
	return s->config.tmr_32bit ? 31 : 23;
}

static uint64_t ticks_now(const struct acpi_pm *s)
{
	uint64_t now = hc_platform_now_ns();

	return now > s->epoch_ns ? hc_ns_to_ticks(now - s->epoch_ns, ACPI_PM_TIMER_HZ) : 0;
}

/* TMR_STS is set whenever the timer's top bit changes, in either direction. */
static void look(struct acpi_pm *s)
{
	uint64_t halves = ticks_now(s) >> top_bit(s);

	if (halves > s->seen_halves) {
		s->seen_halves = halves;
		s->sts |= PM1_TMR;
	}
}

/* The timer runs only for an interrupt that would be taken. */
static void update(struct acpi_pm *s)
{
	bool sci = (s->cnt & CNT_SCI_EN) && (s->sts & s->en);
	uint64_t next = (s->seen_halves + 1) << top_bit(s);

	if ((s->en & PM1_TMR) && !(s->sts & PM1_TMR))
		hc_timer_arm(&s->timer, s->epoch_ns + hc_ticks_to_ns(next, ACPI_PM_TIMER_HZ));
	else
		hc_timer_cancel(&s->timer);
	hc_irq_set(s->dev.vm, s->config.sci_line, sci);
}

static void top_bit_changed(struct hc_timer *timer, uint64_t now_ns)
{
	struct acpi_pm *s = HC_CONTAINER_OF(timer, struct acpi_pm, timer);

	look(s);
	update(s);
}

void acpi_pm_power_button(struct acpi_pm *s)
{
	hc_dev_lock(s->dev.vm);
	s->sts |= PM1_PWRBTN;
	update(s);
	hc_dev_unlock(s->dev.vm);
}

/* --- PM1 event block: two 16-bit registers, also accessed bytewise --- */

static uint64_t evt_read(void *dev, uint64_t offset, unsigned size)
{
	struct acpi_pm *s = dev;

	look(s);
	return (unsigned)(offset < 2 ? s->sts : s->en) >> (offset & 1) * 8;
}

/* The register with the bytes of an access replaced. */
static uint16_t merge(uint16_t old, uint64_t offset, unsigned size, uint64_t value)
{
	unsigned shift = (unsigned)(offset & 1) * 8;
	uint32_t mask = (size == 1 ? 0xffu : 0xffffu) << shift;

	return (uint16_t)((old & ~mask) | ((uint32_t)value << shift & mask));
}

/* Status bits are cleared by writing ones. */
static void evt_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct acpi_pm *s = dev;

	look(s);
	if (offset < 2)
		s->sts &= (uint16_t)~merge(0, offset, size, value);
	else
		s->en = merge(s->en, offset, size, value) & PM1_EN_ALL;
	update(s);
}

static const struct hc_region_ops evt_ops = {
	.read = evt_read,
	.write = evt_write,
	.sizes = 1 | 2,
};

/* --- PM1 control --- */

static uint64_t cnt_read(void *dev, uint64_t offset, unsigned size)
{
	struct acpi_pm *s = dev;

	return (uint16_t)(s->cnt >> offset * 8);
}

/* Sleep states other than S5 are not offered: SLP_EN with their types does nothing. */
static void cnt_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct acpi_pm *s = dev;
	uint16_t cnt = merge(s->cnt, offset, size, value);

	s->cnt = cnt & CNT_KEPT;
	update(s);
	if ((cnt & CNT_SLP_EN) && (cnt & CNT_SLP_TYP) >> CNT_SLP_TYP_SHIFT == s->config.s5_type)
		hc_vm_stop(s->dev.vm, HC_STOP_POWEROFF, 0);
}

static const struct hc_region_ops cnt_ops = {
	.read = cnt_read,
	.write = cnt_write,
	.sizes = 1 | 2,
};

/* --- Timer and reset register --- */

static uint64_t tmr_read(void *dev, uint64_t offset, unsigned size)
{
	struct acpi_pm *s = dev;
	uint32_t ticks = (uint32_t)ticks_now(s);

	if (!s->config.tmr_32bit)
		ticks &= 0xffffff;
	return ticks >> offset * 8;
}

static void tmr_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
}

static const struct hc_region_ops tmr_ops = {
	.read = tmr_read,
	.write = tmr_write,
	.sizes = 1 | 2 | 4,
};

static uint64_t reset_read(void *dev, uint64_t offset, unsigned size)
{
	return 0;
}

static void reset_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct acpi_pm *s = dev;

	if ((uint8_t)value == s->config.reset_value)
		hc_vm_stop(s->dev.vm, HC_STOP_RESET, 0);
}

static const struct hc_region_ops reset_ops = {
	.read = reset_read,
	.write = reset_write,
	.sizes = 1,
};

/* --- Life --- */

static void acpi_pm_reset(struct hc_device *dev)
{
	struct acpi_pm *s = HC_CONTAINER_OF(dev, struct acpi_pm, dev);

	s->epoch_ns = hc_platform_now_ns();
	s->seen_halves = 0;
	s->sts = s->en = 0;
	s->cnt = CNT_SCI_EN;
	update(s);
}

static void acpi_pm_destroy(struct hc_device *dev)
{
	struct acpi_pm *s = HC_CONTAINER_OF(dev, struct acpi_pm, dev);

	hc_timer_cancel(&s->timer);
	hc_platform_free(s, sizeof(*s));
}

static int acpi_pm_post_load(void *obj)
{
	struct acpi_pm *s = obj;

	if ((s->sts & (uint16_t)~PM1_STS_ALL) || (s->en & (uint16_t)~PM1_EN_ALL) ||
	    (s->cnt & (uint16_t)~CNT_KEPT) || s->epoch_ns >= PM_FAR_NS ||
	    s->seen_halves >> (PM_FAR_TICKS_LOG2 - top_bit(s)))
		return -EPROTO;
	update(s);
	return 0;
}

static const struct hc_field acpi_pm_fields[] = {
	HC_FIELD(struct acpi_pm, epoch_ns, 1), HC_FIELD(struct acpi_pm, seen_halves, 1),
	HC_FIELD(struct acpi_pm, sts, 1),      HC_FIELD(struct acpi_pm, en, 1),
	HC_FIELD(struct acpi_pm, cnt, 1),
};

static const struct hc_state_desc acpi_pm_state = {
	.name = "acpi_pm",
	.version = 1,
	.fields = acpi_pm_fields,
	.field_count = HC_ARRAY_SIZE(acpi_pm_fields),
	.post_load = acpi_pm_post_load,
};

static const struct hc_device_ops acpi_pm_device = {
	.name = "acpi_pm",
	.reset = acpi_pm_reset,
	.destroy = acpi_pm_destroy,
	.state = &acpi_pm_state,
};

static int add_regions(struct acpi_pm *s)
{
	const struct acpi_pm_config *c = &s->config;
	const struct hc_region regions[] = {
		{ .name = "PM1a event", .base = c->evt_port, .len = 4, .ops = &evt_ops, .dev = s },
		{ .name = "PM1a control",
		  .base = c->cnt_port,
		  .len = 2,
		  .ops = &cnt_ops,
		  .dev = s },
		{ .name = "PM timer", .base = c->tmr_port, .len = 4, .ops = &tmr_ops, .dev = s },
		{ .name = "ACPI reset",
		  .base = c->reset_port,
		  .len = 1,
		  .ops = &reset_ops,
		  .dev = s },
	};
	unsigned count = HC_ARRAY_SIZE(regions) - !c->reset_port;

	for (unsigned i = 0; i < count; i++) {
		int rc = hc_bus_add(s->dev.vm, HC_SPACE_IO, &regions[i]);

		if (rc)
			return rc;
	}
	return 0;
}

int acpi_pm_create(struct hc_vm *vm, const struct acpi_pm_config *config, struct acpi_pm **pm)
{
	struct acpi_pm *s;

	if (config->sci_line >= HC_IRQ_LINES)
		return hc_error(-EINVAL, "ACPI: SCI line %u, there are %d", config->sci_line,
		                HC_IRQ_LINES);
	if (config->s5_type > 7)
		return hc_error(-EINVAL, "ACPI: SLP_TYP %u, the field holds 0 to 7",
		                config->s5_type);
	s = hc_platform_alloc(sizeof(*s));
	if (!s)
		return hc_error(-ENOMEM, "ACPI power management: out of memory");
	s->config = *config;
	hc_timer_init(&s->timer, vm->vcpus[0], true, top_bit_changed);
	hc_device_add(vm, &s->dev, &acpi_pm_device);
	acpi_pm_reset(&s->dev);
	if (pm)
		*pm = s;
	return add_regions(s);
}
