/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request of an edge-triggered input stays latched when the input falls before it is
 * acknowledged. The chip would drop it; devices here may pulse a line within one register access,
 * which takes no time. Only the cascade input behaves as the data sheet says, so that a request
 * that the slave withdraws is gone at the master too.
 */
#include "devices/i8259.h"

#include <hypercore/errno.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/vm.h"

#define PIC_INPUTS  8
#define PIC_NONE    8 /* in place of a position in the priority order */
#define PIC_CASCADE 2

enum {
	ICW1_IC4 = 0x01,
	ICW1_SNGL = 0x02,
	ICW1_D4 = 0x10, /* tells ICW1 from OCW2 and OCW3 */
	ICW4_AEOI = 0x02,
	ICW4_SFNM = 0x10,

	OCW2_EOI = 0x20,
	OCW2_SL = 0x40,
	OCW2_R = 0x80,
	OCW3_D3 = 0x08, /* tells OCW3 from OCW2 */
	OCW3_RIS = 0x01,
	OCW3_RR = 0x02,
	OCW3_P = 0x04,
	OCW3_SMM = 0x20,
	OCW3_ESMM = 0x40
};

/* Which command word a write with A0 = 1 is. Until ICW1 was written for the first time and the
 * sequence has been completed the chip gives no interrupt. */
enum { PIC_OCW1, PIC_ICW2, PIC_ICW3, PIC_ICW4 };

struct pic {
	struct i8259 *pair;
	uint8_t index; /* 0: master */
	uint8_t irr, imr, isr;
	uint8_t lines;   /* inputs as they are now */
	uint8_t elcr;    /* inputs that are level-triggered */
	uint8_t highest; /* the input that has the highest priority */
	uint8_t vector;  /* ICW2: bits 7..3 */
	uint8_t icw1, icw4;
	uint8_t step; /* PIC_ICW2 ...: amid the initialisation */
	uint8_t ready;
	uint8_t special_mask, rotate_aeoi, poll, read_isr;
};

struct i8259 {
	struct hc_device dev; /* first */
	struct pic pic[2];
};

static const uint8_t elcr_writable[2] = { 0xf8, 0xde };

/* The place in the priority order of the foremost of the inputs, PIC_NONE if there are none. */
static unsigned foremost(const struct pic *p, unsigned inputs)
{
	for (unsigned at = 0; at < PIC_INPUTS; at++)
		if (inputs >> ((p->highest + at) % PIC_INPUTS) & 1)
			return at;
	return PIC_NONE;
}

static unsigned input_at(const struct pic *p, unsigned at)
{
	return (p->highest + at) % PIC_INPUTS;
}

/* In-service inputs that hold back others of the same or lower priority. In special fully nested
 * mode the master lets further requests of a slave through that is being served. */
static unsigned blocking(const struct pic *p)
{
	unsigned isr = p->isr;

	if (p->special_mask)
		isr &= ~(unsigned)p->imr;
	if (p->index == 0 && (p->icw4 & ICW4_SFNM))
		isr &= ~(1u << PIC_CASCADE);
	return isr;
}

/* The input to be served next, or -1. */
static int pending(const struct pic *p)
{
	unsigned requests = p->irr & ~(unsigned)p->imr;
	unsigned at;

	if (!requests || !p->ready)
		return -1;
	at = foremost(p, requests);
	return at < foremost(p, blocking(p)) ? (int)input_at(p, at) : -1;
}

static void set_input(struct pic *p, unsigned input, bool level)
{
	uint8_t bit = (uint8_t)(1u << input);
	bool cascade = p->index == 0 && input == PIC_CASCADE;

	if (level && !(p->lines & bit))
		p->irr |= bit;
	if (!level && ((p->elcr & bit) || cascade))
		p->irr &= (uint8_t)~bit;
	p->lines = level ? p->lines | bit : p->lines & (uint8_t)~bit;
}

static void update(struct i8259 *s)
{
	set_input(&s->pic[0], PIC_CASCADE, pending(&s->pic[1]) >= 0);
	hc_irq_set_extint(s->dev.vm, pending(&s->pic[0]) >= 0);
}

static void set_line(void *dev, unsigned line, bool level)
{
	struct i8259 *s = dev;

	if (line >= 2 * PIC_INPUTS || line == PIC_CASCADE)
		return;
	set_input(&s->pic[line / PIC_INPUTS], line % PIC_INPUTS, level);
	update(s);
}

/* --- Acknowledge --- */

static void begin_service(struct pic *p, unsigned input)
{
	uint8_t bit = (uint8_t)(1u << input);

	if (!(p->elcr & bit))
		p->irr &= (uint8_t)~bit;
	if (!(p->icw4 & ICW4_AEOI))
		p->isr |= bit;
	else if (p->rotate_aeoi)
		p->highest = (uint8_t)((input + 1) % PIC_INPUTS);
}

/* Each acknowledge lets INT fall and, if there is more, rise again: an edge at the master. */
static void begin_slave_service(struct i8259 *s, unsigned input)
{
	begin_service(&s->pic[1], input);
	set_input(&s->pic[0], PIC_CASCADE, false);
}

/* A request that went away meanwhile yields the vector of input 7 and is not in service (data
 * sheet, "if no interrupt request is present"). */
static int acknowledge(void *dev)
{
	struct i8259 *s = dev;
	struct pic *master = &s->pic[0], *slave = &s->pic[1];
	int input = pending(master);
	int vector = master->vector + (input < 0 ? 7 : input);

	if (input >= 0)
		begin_service(master, (unsigned)input);
	if (input == PIC_CASCADE) {
		input = pending(slave);
		vector = slave->vector + (input < 0 ? 7 : input);
		if (input >= 0)
			begin_slave_service(s, (unsigned)input);
	}
	update(s);
	return vector;
}

/* The read after a poll command acknowledges (data sheet, poll command). */
static uint8_t poll_word(struct pic *p)
{
	int input = pending(p);

	p->poll = 0;
	if (input < 0)
		return 0;
	if (p->index)
		begin_slave_service(p->pair, (unsigned)input);
	else
		begin_service(p, (unsigned)input);
	update(p->pair);
	return (uint8_t)(0x80 | input);
}

/* --- Registers --- */

static uint64_t pic_read(void *dev, uint64_t offset, unsigned size)
{
	struct pic *p = dev;

	if (p->poll)
		return poll_word(p);
	if (offset)
		return p->imr;
	return p->read_isr ? p->isr : p->irr;
}

/* ICW1 also resets the edge detectors: an input that is high has to fall and rise again. */
static void write_icw1(struct pic *p, uint8_t value)
{
	p->icw1 = value;
	p->icw4 = 0;
	p->step = PIC_ICW2;
	p->ready = 0;
	p->imr = p->isr = 0;
	p->irr = p->lines & p->elcr;
	p->highest = 0;
	p->special_mask = p->rotate_aeoi = p->poll = p->read_isr = 0;
}

static void finish_init(struct pic *p)
{
	p->step = PIC_OCW1;
	p->ready = 1;
}

static void after_icw3(struct pic *p)
{
	if (p->icw1 & ICW1_IC4)
		p->step = PIC_ICW4;
	else
		finish_init(p);
}

/* Which input is the slave's, ICW3, is wired. */
static void write_odd(struct pic *p, uint8_t value)
{
	switch (p->step) {
	case PIC_ICW2:
		p->vector = value & 0xf8;
		if (p->icw1 & ICW1_SNGL)
			after_icw3(p);
		else
			p->step = PIC_ICW3;
		break;
	case PIC_ICW3: after_icw3(p); break;
	case PIC_ICW4:
		p->icw4 = value;
		finish_init(p);
		break;
	default: p->imr = value; break;
	}
}

/* The input that an EOI without a number ends: the foremost in service, in special mask mode of
 * those that are not masked. */
static unsigned nonspecific(const struct pic *p)
{
	unsigned isr = p->special_mask ? p->isr & ~(unsigned)p->imr : p->isr;
	unsigned at = foremost(p, isr);

	return at == PIC_NONE ? PIC_NONE : input_at(p, at);
}

static void write_ocw2(struct pic *p, uint8_t value)
{
	unsigned input = value & 7;

	if ((value & (OCW2_SL | OCW2_EOI)) == OCW2_EOI)
		input = nonspecific(p);
	if (!(value & (OCW2_SL | OCW2_EOI))) {
		p->rotate_aeoi = !!(value & OCW2_R);
		return;
	}
	if (input == PIC_NONE)
		return;
	if (value & OCW2_EOI)
		p->isr &= (uint8_t) ~(1u << input);
	if (value & OCW2_R)
		p->highest = (uint8_t)((input + 1) % PIC_INPUTS);
}

static void write_ocw3(struct pic *p, uint8_t value)
{
	p->poll = !!(value & OCW3_P);
	if (value & OCW3_RR)
		p->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		p->special_mask = !!(value & OCW3_SMM);
}

static void pic_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct pic *p = dev;
	uint8_t value = (uint8_t)v;

	if (offset)
		write_odd(p, value);
	else if (value & ICW1_D4)
		write_icw1(p, value);
	else if (value & OCW3_D3)
		write_ocw3(p, value);
	else
		write_ocw2(p, value);
	update(p->pair);
}

static const struct hc_region_ops pic_ops = { .read = pic_read, .write = pic_write, .sizes = 1 };

static uint64_t elcr_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8259 *s = dev;

	return s->pic[offset & 1].elcr;
}

static void elcr_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8259 *s = dev;
	struct pic *p = &s->pic[offset & 1];

	p->elcr = (uint8_t)value & elcr_writable[offset & 1];
	p->irr = (uint8_t)((p->irr & ~(unsigned)p->elcr) | (p->lines & p->elcr));
	update(s);
}

static const struct hc_region_ops elcr_ops = { .read = elcr_read, .write = elcr_write, .sizes = 1 };

/* --- Life --- */

static void i8259_reset(struct hc_device *dev)
{
	struct i8259 *s = HC_CONTAINER_OF(dev, struct i8259, dev);

	for (unsigned i = 0; i < 2; i++) {
		struct pic *p = &s->pic[i];

		p->elcr = 0;
		write_icw1(p, 0);
		p->vector = 0;
		p->step = PIC_OCW1;
	}
	update(s);
}

static void i8259_destroy(struct hc_device *dev)
{
	struct i8259 *s = HC_CONTAINER_OF(dev, struct i8259, dev);

	hc_platform_free(s, sizeof(*s));
}

static bool pic_valid(const struct pic *p)
{
	return !(p->elcr & ~(unsigned)elcr_writable[p->index]) && p->highest < PIC_INPUTS &&
	       !(p->vector & 7) && p->step <= PIC_ICW4 && p->ready <= 1 &&
	       !(p->ready && p->step != PIC_OCW1) && p->special_mask <= 1 && p->rotate_aeoi <= 1 &&
	       p->poll <= 1 && p->read_isr <= 1;
}

static int i8259_post_load(void *obj)
{
	struct i8259 *s = obj;

	if (!pic_valid(&s->pic[0]) || !pic_valid(&s->pic[1]))
		return -EPROTO;
	update(s);
	return 0;
}

#define PIC_FIELDS(n)                                                                              \
	HC_FIELD(struct i8259, pic[n].irr, 1), HC_FIELD(struct i8259, pic[n].imr, 1),              \
		HC_FIELD(struct i8259, pic[n].isr, 1), HC_FIELD(struct i8259, pic[n].lines, 1),    \
		HC_FIELD(struct i8259, pic[n].elcr, 1), HC_FIELD(struct i8259, pic[n].highest, 1), \
		HC_FIELD(struct i8259, pic[n].vector, 1), HC_FIELD(struct i8259, pic[n].icw1, 1),  \
		HC_FIELD(struct i8259, pic[n].icw4, 1), HC_FIELD(struct i8259, pic[n].step, 1),    \
		HC_FIELD(struct i8259, pic[n].ready, 1),                                           \
		HC_FIELD(struct i8259, pic[n].special_mask, 1),                                    \
		HC_FIELD(struct i8259, pic[n].rotate_aeoi, 1),                                     \
		HC_FIELD(struct i8259, pic[n].poll, 1), HC_FIELD(struct i8259, pic[n].read_isr, 1)

static const struct hc_field i8259_fields[] = { PIC_FIELDS(0), PIC_FIELDS(1) };

static const struct hc_state_desc i8259_state = {
	.name = "i8259",
	.version = 1,
	.fields = i8259_fields,
	.field_count = HC_ARRAY_SIZE(i8259_fields),
	.post_load = i8259_post_load,
};

static const struct hc_device_ops i8259_device = {
	.name = "i8259",
	.reset = i8259_reset,
	.destroy = i8259_destroy,
	.state = &i8259_state,
};

static int add_regions(struct i8259 *s)
{
	const struct hc_region regions[] = {
		{ .name = "8259 master",
		  .base = 0x20,
		  .len = 2,
		  .ops = &pic_ops,
		  .dev = &s->pic[0] },
		{ .name = "8259 slave",
		  .base = 0xa0,
		  .len = 2,
		  .ops = &pic_ops,
		  .dev = &s->pic[1] },
		{ .name = "8259 ELCR", .base = 0x4d0, .len = 2, .ops = &elcr_ops, .dev = s },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(regions); i++) {
		int rc = hc_bus_add(s->dev.vm, HC_SPACE_IO, &regions[i]);

		if (rc)
			return rc;
	}
	return 0;
}

int i8259_create(struct hc_vm *vm)
{
	struct i8259 *s = hc_platform_alloc(sizeof(*s));
	int rc;

	if (!s)
		return hc_error(-ENOMEM, "8259 interrupt controllers: out of memory");
	for (uint8_t i = 0; i < 2; i++) {
		s->pic[i].pair = s;
		s->pic[i].index = i;
	}
	hc_device_add(vm, &s->dev, &i8259_device);
	i8259_reset(&s->dev);
	rc = add_regions(s);
	if (!rc)
		rc = hc_irq_add_sink(vm, set_line, s);
	if (rc)
		return rc;
	hc_irq_set_extint_source(vm, acknowledge, s);
	return 0;
}
