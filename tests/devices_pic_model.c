/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices_pic_model.h"

#include <string.h>

static bool is_master(const struct pic_model *m, const struct pic_model_chip *c)
{
	return c == &m->chip[0];
}

static void standard_order(struct pic_model_chip *c)
{
	for (unsigned i = 0; i < 8; i++)
		c->order[i] = i;
}

/* Rotates the list until the input is the last. */
static void make_lowest(struct pic_model_chip *c, unsigned input)
{
	while (c->order[7] != input) {
		unsigned first = c->order[0];

		memmove(&c->order[0], &c->order[1], 7 * sizeof(c->order[0]));
		c->order[7] = first;
	}
}

void pic_model_init(struct pic_model *m)
{
	memset(m, 0, sizeof(*m));
	standard_order(&m->chip[0]);
	standard_order(&m->chip[1]);
}

/* The input that interrupts now, or 8. Goes down the list: the first unmasked request wins, unless
 * something in service that counts is met at the same place or before. */
static unsigned interrupting(const struct pic_model *m, const struct pic_model_chip *c)
{
	if (!c->operational)
		return 8;
	for (unsigned i = 0; i < 8; i++) {
		unsigned input = c->order[i];
		bool counts = c->service[input];

		if (c->special_mask && c->masked[input])
			counts = false;
		if (is_master(m, c) && c->nested_special && input == 2)
			counts = false;
		if (counts)
			return 8;
		if (c->request[input] && !c->masked[input])
			return input;
	}
	return 8;
}

static void drive(struct pic_model_chip *c, unsigned input, bool level)
{
	if (!c->input[input] && level)
		c->request[input] = true;
	if (c->level[input])
		c->request[input] = level;
	c->input[input] = level;
}

/* The slave's INT is the master's input 2; the request goes away with it. */
static void cascade(struct pic_model *m)
{
	bool slave_int = interrupting(m, &m->chip[1]) < 8;

	drive(&m->chip[0], 2, slave_int);
	if (!slave_int)
		m->chip[0].request[2] = false;
}

void pic_model_line(struct pic_model *m, unsigned line, bool level)
{
	if (line == 2 || line > 15)
		return;
	drive(&m->chip[line / 8], line % 8, level);
	cascade(m);
}

static void serve(struct pic_model *m, struct pic_model_chip *c, unsigned input)
{
	c->request[input] = c->level[input] && c->input[input];
	if (!c->aeoi)
		c->service[input] = true;
	else if (c->rotate_aeoi)
		make_lowest(c, input);
	if (!is_master(m, c)) { /* INT drops with the acknowledge */
		m->chip[0].input[2] = false;
		m->chip[0].request[2] = false;
	}
}

bool pic_model_intr(const struct pic_model *m)
{
	return interrupting(m, &m->chip[0]) < 8;
}

unsigned pic_model_inta(struct pic_model *m)
{
	unsigned input = interrupting(m, &m->chip[0]), vector;

	if (input == 8)
		return m->chip[0].base + 7;
	vector = m->chip[0].base + input;
	serve(m, &m->chip[0], input);
	if (input == 2) {
		input = interrupting(m, &m->chip[1]);
		vector = m->chip[1].base + (input == 8 ? 7 : input);
		if (input < 8)
			serve(m, &m->chip[1], input);
	}
	cascade(m);
	return vector;
}

static void icw1(struct pic_model_chip *c, uint8_t value)
{
	for (unsigned i = 0; i < 8; i++) {
		c->masked[i] = c->service[i] = false;
		c->request[i] = c->level[i] && c->input[i];
	}
	standard_order(c);
	c->special_mask = c->rotate_aeoi = c->poll = c->show_service = false;
	c->aeoi = c->nested_special = c->operational = false;
	c->single = value & 2;
	c->needs_icw4 = value & 1;
	c->expecting = 2;
}

static void next_icw(struct pic_model_chip *c)
{
	c->expecting++;
	if (c->expecting == 3 && c->single)
		c->expecting++;
	if (c->expecting == 5 || (c->expecting == 4 && !c->needs_icw4)) {
		c->expecting = 0;
		c->operational = true;
	}
}

static void data_write(struct pic_model_chip *c, uint8_t value)
{
	if (!c->expecting) {
		for (unsigned i = 0; i < 8; i++)
			c->masked[i] = value >> i & 1;
		return;
	}
	if (c->expecting == 2)
		c->base = value & 0xf8;
	if (c->expecting == 4) {
		c->aeoi = value & 0x02;
		c->nested_special = value & 0x10;
	}
	next_icw(c);
}

static unsigned highest_in_service(const struct pic_model_chip *c)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned input = c->order[i];

		if (c->service[input] && !(c->special_mask && c->masked[input]))
			return input;
	}
	return 8;
}

static void ocw2(struct pic_model_chip *c, uint8_t value)
{
	unsigned level = value & 7, top = highest_in_service(c);

	switch (value >> 5) {
	case 0: c->rotate_aeoi = false; break;
	case 1: /* non-specific EOI */
		if (top < 8)
			c->service[top] = false;
		break;
	case 3: c->service[level] = false; break;
	case 4: c->rotate_aeoi = true; break;
	case 5: /* rotate on non-specific EOI */
		if (top < 8) {
			c->service[top] = false;
			make_lowest(c, top);
		}
		break;
	case 6: make_lowest(c, level); break;
	case 7:
		c->service[level] = false;
		make_lowest(c, level);
		break;
	default: break;
	}
}

static void ocw3(struct pic_model_chip *c, uint8_t value)
{
	c->poll = value & 4;
	if (value & 2)
		c->show_service = value & 1;
	if (value & 0x40)
		c->special_mask = value & 0x20;
}

void pic_model_write(struct pic_model *m, unsigned chip, unsigned a0, uint8_t value)
{
	struct pic_model_chip *c = &m->chip[chip];

	if (a0)
		data_write(c, value);
	else if (value & 0x10)
		icw1(c, value);
	else if (value & 0x08)
		ocw3(c, value);
	else
		ocw2(c, value);
	cascade(m);
}

static uint8_t pack(const bool flags[8])
{
	unsigned v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (unsigned)flags[i] << i;
	return (uint8_t)v;
}

uint8_t pic_model_read(struct pic_model *m, unsigned chip, unsigned a0)
{
	struct pic_model_chip *c = &m->chip[chip];
	unsigned input;

	if (!c->poll)
		return pack(a0 ? c->masked : c->show_service ? c->service : c->request);
	c->poll = false;
	input = interrupting(m, c);
	if (input == 8)
		return 0;
	serve(m, c, input);
	cascade(m);
	return (uint8_t)(0x80 | input);
}

void pic_model_write_elcr(struct pic_model *m, unsigned chip, uint8_t value)
{
	struct pic_model_chip *c = &m->chip[chip];

	value &= chip ? 0xde : 0xf8; /* timer, keyboard, cascade, clock and FPU are edges */
	for (unsigned i = 0; i < 8; i++) {
		c->level[i] = value >> i & 1;
		if (c->level[i])
			c->request[i] = c->input[i];
	}
	cascade(m);
}
