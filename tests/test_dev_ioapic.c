/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC against one written from the 82093AA data sheet: a struct of flags per pin. */
#include <string.h>

#include "devices/ioapic.h"
#include "tests/devices_env.h"

#define BASE UINT64_C(0xfec00000)

static struct env *make(void **state)
{
	struct env *e = *state;

	assert_int_equal(ioapic_create(e->vm, &(struct ioapic_config){ BASE, 3 }), 0);
	return e;
}

static uint32_t get(struct env *e, uint8_t reg)
{
	env_write32(e, BASE, reg);
	return env_read32(e, BASE + 0x10);
}

static void set(struct env *e, uint8_t reg, uint32_t value)
{
	env_write32(e, BASE, reg);
	env_write32(e, BASE + 0x10, value);
}

static void identification(void **state)
{
	struct env *e = make(state);

	assert_int_equal(get(e, 0), 3u << 24);
	assert_int_equal(get(e, 1), 0x00170020);
	set(e, 0, 0xffffffff);
	assert_int_equal(get(e, 0), 15u << 24);
	assert_int_equal(get(e, 2), 15u << 24);
	set(e, 1, 0xffffffff);
	assert_int_equal(get(e, 1), 0x00170020);
	for (unsigned reg = 3; reg < 0x10; reg++)
		assert_int_equal(get(e, (uint8_t)reg), 0);
	for (unsigned reg = 0x40; reg < 0x100; reg++) {
		set(e, (uint8_t)reg, 0xffffffff);
		assert_int_equal(get(e, (uint8_t)reg), 0);
	}
	assert_int_equal(ioapic_create(e->vm, &(struct ioapic_config){ BASE + 1, 0 }), -EINVAL);
	assert_int_equal(ioapic_create(e->vm, &(struct ioapic_config){ BASE, 16 }), -EINVAL);
}

static void entries_keep_defined_bits(void **state)
{
	struct env *e = make(state);

	for (unsigned pin = 0; pin < 24; pin++) {
		assert_int_equal(get(e, (uint8_t)(0x10 + 2 * pin)), 0x10000);
		set(e, (uint8_t)(0x10 + 2 * pin), 0xffffffff);
		set(e, (uint8_t)(0x11 + 2 * pin), 0xffffffff);
		assert_int_equal(get(e, (uint8_t)(0x10 + 2 * pin)), 0x1afff);
		assert_int_equal(get(e, (uint8_t)(0x11 + 2 * pin)), 0xff000000);
	}
}

static void odd_accesses(void **state)
{
	struct env *e = make(state);
	uint64_t v;

	set(e, 0x10, 0x123);
	hc_bus_write(e->vm, HC_SPACE_MEMORY, BASE + 0x10, 1, 0xff); /* not a doubleword */
	assert_int_equal(get(e, 0x10), 0x123);
	hc_bus_read(e->vm, HC_SPACE_MEMORY, BASE + 0x11, 1, &v);
	assert_int_equal(v, 0x01);
	hc_bus_write(e->vm, HC_SPACE_MEMORY, BASE, 1, 1);
	hc_bus_read(e->vm, HC_SPACE_MEMORY, BASE + 0x10, 8, &v);
	assert_int_equal(v, 0x00170020);
	for (unsigned offset = 0; offset < 0x1000; offset++)
		for (unsigned size = 1; size <= 8; size *= 2) {
			hc_bus_read(e->vm, HC_SPACE_MEMORY, BASE + offset, size, &v);
			hc_bus_write(e->vm, HC_SPACE_MEMORY, BASE + offset, size, ~UINT64_C(0));
		}
}

static void message_formats(void **state)
{
	struct env *e = make(state);

	/* Logical, lowest priority, level, vector 0x55, destination 0x81. */
	set(e, 0x10 + 2 * 9 + 1, 0x81000000);
	set(e, 0x10 + 2 * 9, 0x8955);
	env_set_line(e, 9, true);
	assert_int_equal(e->message_count, 1);
	assert_int_equal(e->messages[0].address, 0xfee8100c);
	assert_int_equal(e->messages[0].data, 0xc155);
	/* Physical, fixed, edge. */
	set(e, 0x10 + 2 * 2, 0x30);
	env_set_line(e, 0, true); /* the timer's line is pin 2 */
	assert_int_equal(e->message_count, 2);
	assert_int_equal(e->messages[1].address, 0xfee00000);
	assert_int_equal(e->messages[1].data, 0x30);
	set(e, 0x10 + 2 * 4, 0x400); /* NMI */
	env_set_line(e, 4, true);
	assert_int_equal(e->messages[2].data, 0x400);
}

static void eoi_register_is_an_eoi(void **state)
{
	struct env *e = make(state);

	set(e, 0x10 + 2 * 5, 0x8077);
	env_set_line(e, 5, true);
	assert_int_equal(get(e, 0x10 + 2 * 5), 0xc077);
	env_write32(e, BASE + 0x40, 0x76);
	assert_int_equal(e->message_count, 1);
	env_write32(e, BASE + 0x40, 0x77); /* still asserted: again */
	assert_int_equal(e->message_count, 2);
	env_set_line(e, 5, false);
	env_write32(e, BASE + 0x40, 0x77);
	assert_int_equal(get(e, 0x10 + 2 * 5), 0x8077);
	assert_int_equal(e->message_count, 2);
}

/* --- Naive I/O APIC --- */

struct pin {
	bool input, masked, level, active_low, logical, remote_irr;
	unsigned vector, delivery, destination;
};

static struct pin pins[24];
static unsigned sent;
static struct env_message last;

static bool waits_for_eoi(const struct pin *p)
{
	return p->level && (p->delivery == 0 || p->delivery == 1);
}

static void naive_send(struct pin *p)
{
	sent++;
	last.address = UINT64_C(0xfee00000) + p->destination * UINT64_C(4096);
	last.address += p->logical ? 4 : 0;
	last.address += p->delivery == 1 ? 8 : 0;
	last.data = p->vector + p->delivery * 256;
	last.data += waits_for_eoi(p) ? 0xc000 : 0;
}

static void naive_level(struct pin *p)
{
	if (waits_for_eoi(p) && p->input && !p->masked && !p->remote_irr) {
		p->remote_irr = true;
		naive_send(p);
	}
}

static void naive_input(struct pin *p, bool level)
{
	bool rises = level && !p->input;

	p->input = level;
	if (rises && !p->masked && !waits_for_eoi(p))
		naive_send(p);
	naive_level(p);
}

static void naive_write(struct pin *p, unsigned high, uint32_t value)
{
	if (high) {
		p->destination = value >> 24;
		return;
	}
	p->vector = value & 0xff;
	p->delivery = value >> 8 & 7;
	p->logical = value >> 11 & 1;
	p->active_low = value >> 13 & 1;
	p->level = value >> 15 & 1;
	p->masked = value >> 16 & 1;
	if (!waits_for_eoi(p))
		p->remote_irr = false;
	naive_level(p);
}

static uint32_t naive_read(const struct pin *p, unsigned high)
{
	if (high)
		return p->destination << 24;
	return p->vector | p->delivery << 8 | (uint32_t)p->logical << 11 |
	       (uint32_t)p->active_low << 13 | (uint32_t)p->remote_irr << 14 |
	       (uint32_t)p->level << 15 | (uint32_t)p->masked << 16;
}

static void naive_eoi(unsigned vector)
{
	for (unsigned i = 0; i < 24; i++)
		if (pins[i].remote_irr && pins[i].vector == vector) {
			pins[i].remote_irr = false;
			naive_level(&pins[i]);
		}
}

/* Few vectors, so that pins share them and EOIs hit. */
static uint32_t random_entry(uint64_t *seed)
{
	uint32_t v = (uint32_t)test_random(seed) & ~0xffu;

	if (test_below(seed, 2))
		v &= ~0x600u; /* fixed or lowest priority */
	if (test_below(seed, 4))
		v &= ~0x10000u;
	return v | (0x40 + (uint32_t)test_below(seed, 4));
}

static void step(struct env *e, uint64_t *seed)
{
	unsigned n = (unsigned)test_below(seed, 24), vector = 0x40 + (unsigned)test_below(seed, 4);
	unsigned high = !test_below(seed, 3);
	uint32_t value;

	switch (test_below(seed, 6)) {
	case 0:
		value = random_entry(seed);
		set(e, (uint8_t)(0x10 + 2 * n + high), value);
		naive_write(&pins[n], high, value);
		break;
	case 1:
		hc_irq_broadcast_eoi(e->vm, vector);
		naive_eoi(vector);
		break;
	case 2:
		assert_int_equal(get(e, (uint8_t)(0x10 + 2 * n + high)),
		                 naive_read(&pins[n], high));
		break;
	default:
		n = (unsigned)test_below(seed, 64);
		if (n == 0)
			naive_input(&pins[2], !env_line(e, 0));
		else if (n != 2 && n < 24)
			naive_input(&pins[n], !env_line(e, n));
		env_set_line(e, n, !env_line(e, n));
		break;
	}
}

static void matches_naive(void **state)
{
	struct env *e = make(state);
	uint64_t seed = 82093;

	memset(pins, 0, sizeof(pins));
	sent = 0;
	for (unsigned i = 0; i < 24; i++)
		pins[i].masked = true;
	for (unsigned i = 0; i < 300000; i++) {
		step(e, &seed);
		assert_int_equal(e->message_count, sent);
		if (!sent)
			continue;
		assert_int_equal(e->messages[(sent - 1) % ENV_MESSAGES].address, last.address);
		assert_int_equal(e->messages[(sent - 1) % ENV_MESSAGES].data, last.data);
	}
	assert_true(sent > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENV_TEST(identification),         ENV_TEST(entries_keep_defined_bits),
		ENV_TEST(odd_accesses),           ENV_TEST(message_formats),
		ENV_TEST(eoi_register_is_an_eoi), ENV_TEST(matches_naive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
