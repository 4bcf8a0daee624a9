/* SPDX-License-Identifier: BSD-2-Clause */
/* Buses, memory slots, timers and saved state, against naive references. */
#include <stdlib.h>
#include <string.h>

#include "core/bus_access.h"
#include "core/chardev.h"
#include "core/device.h"
#include "core/touch.h"
#include "tests/fake.h"
#include "tests/platform.h"
#include "tests/unit.h"

static struct hc_vm *vm;

static int setup(void **state)
{
	test_platform_init(2);
	vm = fake_vm("parts", 2);
	return vm ? 0 : -1;
}

static int teardown(void **state)
{
	return hc_vm_destroy(vm);
}

/* --- Bus: each device is a stretch of bytes; the oracle is one array of all bytes --- */

#define SPAN 256

static uint8_t bytes[SPAN];
static bool claimed[SPAN];

struct stretch {
	uint64_t base;
	unsigned biggest; /* access it has seen */
};

static uint64_t stretch_read(void *dev, uint64_t offset, unsigned size)
{
	struct stretch *s = dev;
	uint64_t v = 0;

	s->biggest = size > s->biggest ? size : s->biggest;
	memcpy(&v, &bytes[s->base + offset], size);
	return v;
}

static void stretch_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct stretch *s = dev;

	s->biggest = size > s->biggest ? size : s->biggest;
	memcpy(&bytes[s->base + offset], &value, size);
}

static void bus_matches_array(enum hc_space space)
{
	static const struct hc_region_ops ops[] = {
		{ stretch_read, stretch_write, 0 },
		{ stretch_read, stretch_write, 1 },
		{ stretch_read, stretch_write, 1 | 4 },
	};
	static struct stretch stretches[HC_BUS_MAX_REGIONS];
	uint64_t seed = 7, expected[SPAN] = { 0 };
	unsigned added = 0;

	memset(bytes, 0, sizeof(bytes));
	memset(claimed, 0, sizeof(claimed));
	for (unsigned i = 0; i < 60; i++) {
		uint64_t base = test_below(&seed, SPAN - 16), len = 1 + test_below(&seed, 12);
		bool overlap = false;

		for (uint64_t a = base; a < base + len; a++)
			overlap |= claimed[a];
		stretches[added] = (struct stretch){ .base = base };
		const struct hc_region r = { "stretch", base, len, &ops[added % 3],
			                     &stretches[added] };

		assert_int_equal(hc_bus_add(vm, space, &r), overlap ? -EEXIST : 0);
		if (overlap)
			continue;
		added++;
		for (uint64_t a = base; a < base + len; a++)
			claimed[a] = true;
	}
	assert_true(added > 8);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned size = 1u << test_below(&seed, 4);
		uint64_t addr = test_below(&seed, SPAN - 8), value = test_random(&seed), got;
		bool any = false;

		for (unsigned b = 0; b < size; b++)
			any |= claimed[addr + b];
		if (test_below(&seed, 2)) {
			int rc = hc_bus_write(vm, space, addr, size, value);

			assert_int_equal(rc, any ? 0 : -ENOENT);
			for (unsigned b = 0; b < size; b++)
				expected[addr + b] = value >> (b * 8) & 0xff;
			continue;
		}
		assert_int_equal(hc_bus_read(vm, space, addr, size, &got), any ? 0 : -ENOENT);
		assert_int_equal(hc_bus_read_value(vm, space, addr, size), got);
		for (unsigned b = 0; b < size; b++)
			assert_int_equal(got >> (b * 8) & 0xff,
			                 claimed[addr + b] ? expected[addr + b] : 0xff);
	}
	for (unsigned i = 1; i < added; i += 3)
		assert_true(stretches[i].biggest <= 1);
}

/* Hints are by port in one space and by page in the other. */
static void buses_match_array(void **state)
{
	bus_matches_array(HC_SPACE_IO);
	bus_matches_array(HC_SPACE_MEMORY);
}

static void bus_refuses_nonsense(void **state)
{
	static const struct hc_region_ops ops = { stretch_read, stretch_write, 0 };
	struct hc_region r = { "r", 0x10, 0, &ops, NULL };

	assert_int_equal(hc_bus_add(vm, HC_SPACE_IO, &r), -EINVAL);
	r = (struct hc_region){ "r", UINT64_MAX, 2, &ops, NULL };
	assert_int_equal(hc_bus_add(vm, HC_SPACE_IO, &r), -EINVAL);
	for (unsigned i = 0; i < HC_BUS_MAX_REGIONS; i++) {
		r = (struct hc_region){ "r", i * 4, 4, &ops, NULL };
		assert_int_equal(hc_bus_add(vm, HC_SPACE_IO, &r), 0);
	}
	r.base = 0x8000;
	assert_int_equal(hc_bus_add(vm, HC_SPACE_IO, &r), -ENOSPC);
}

/* --- Memory --- */

static void memory_reads_what_was_written(void **state)
{
	uint64_t seed = 3;
	uint8_t *image = calloc(1, 8 * HC_MIB);

	assert_int_equal(hc_vm_add_ram(vm, gpa_of(HC_MIB), 8 * HC_MIB), 0);
	assert_true(vm->memory.count > 1);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t at = test_below(&seed, 8 * HC_MIB), len = test_below(&seed, 20000);
		uint8_t buf[20000];
		bool inside = at + len <= 8 * HC_MIB;

		memset(buf, (int)i, sizeof(buf));
		assert_int_equal(hc_mem_write(vm, gpa_of(HC_MIB + at), buf, len),
		                 inside ? 0 : -EFAULT);
		if (inside)
			memset(image + at, (int)i, len);
		at = test_below(&seed, 8 * HC_MIB - sizeof(buf));
		assert_int_equal(hc_mem_read(vm, gpa_of(HC_MIB + at), buf, sizeof(buf)), 0);
		assert_memory_equal(buf, image + at, sizeof(buf));
	}
	free(image);
}

/* Stage 2 maps each slot's pages to where the host has them, when they are touched. */
static void slots_are_mapped(void **state)
{
	assert_int_equal(hc_vm_add_ram(vm, gpa_of(0), 6 * HC_MIB), 0);
	for (uint64_t a = 0; a < 6 * HC_MIB; a += HC_PAGE_SIZE) {
		struct s2_mapping m;

		hc_mem_fault(vm, gpa_of(a));
		assert_int_equal(s2_walk(&vm->s2, gpa_of(a), &m), 0);
		assert_ptr_equal(hc_platform_from_hpa(m.hpa),
		                 hc_mem_ptr(vm, gpa_of(a), HC_PAGE_SIZE, true));
		assert_int_equal(m.attr, S2_RWX | S2_WB);
	}
}

static void memory_refuses_nonsense(void **state)
{
	static _Alignas(4096) uint8_t rom[8192];

	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0x10000), 8192, rom, HC_SLOT_READONLY), 0);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0x11000), 4096, rom, 0), -EEXIST);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0xf000), 8192, rom, 0), -EEXIST);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0x800), 4096, rom, 0), -EINVAL);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0), 0, rom, 0), -EINVAL);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(HC_BIT(40)), 4096, rom, 0), -EINVAL);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(UINT64_MAX - 4095), 8192, rom, 0), -EINVAL);
	assert_int_equal(hc_vm_map_device(vm, gpa_of(0x11000), 4096, hpa_of(0xfe000000)), -EEXIST);
	assert_int_equal(hc_vm_map_device(vm, gpa_of(0xf000), 8192, hpa_of(0xfe000000)), -EEXIST);
	assert_int_equal(hc_vm_map_device(vm, gpa_of(0x800), 4096, hpa_of(0xfe000000)), -EINVAL);
	assert_int_equal(hc_vm_map_device(vm, gpa_of(0), 0, hpa_of(0xfe000000)), -EINVAL);
	assert_int_equal(hc_vm_map_device(vm, gpa_of(HC_BIT(40)), 4096, hpa_of(0)), -EINVAL);
	assert_int_equal(hc_vm_map_device(vm, gpa_of(0x12000), 4096, hpa_of(0xfe000000)), 0);
	assert_non_null(hc_mem_ptr(vm, gpa_of(0x10000), 8192, false));
	assert_null(hc_mem_ptr(vm, gpa_of(0x10000), 1, true));
	assert_null(hc_mem_ptr(vm, gpa_of(0x10000), 8193, false));
	assert_int_equal(hc_mem_read(vm, gpa_of(UINT64_MAX), rom, 2), -EFAULT);
}

/* --- Timers against a sorted list of what is due --- */

struct alarm {
	struct hc_timer timer;
	uint64_t expected, fired;
};

static void on_alarm(struct hc_timer *t, uint64_t now)
{
	struct alarm *a = HC_CONTAINER_OF(t, struct alarm, timer);

	a->fired++;
	assert_true(t->deadline_ns <= now);
}

static void timers_fire_when_due(void **state)
{
	struct alarm alarms[20] = { 0 };
	uint64_t seed = 11;

	for (unsigned i = 0; i < 20; i++)
		hc_timer_init(&alarms[i].timer, vm->vcpus[0], i % 2, on_alarm);
	for (unsigned round = 0; round < 5000; round++) {
		struct alarm *a = &alarms[test_below(&seed, 20)];

		if (test_below(&seed, 4) == 0)
			hc_timer_cancel(&a->timer);
		else
			hc_timer_arm(&a->timer, test_now_ns + test_below(&seed, 1000));
		test_now_ns += test_below(&seed, 100);
		uint64_t next = UINT64_MAX;

		for (unsigned i = 0; i < 20; i++) {
			struct hc_timer *t = &alarms[i].timer;

			if (t->armed && t->deadline_ns <= test_now_ns)
				alarms[i].expected++;
			else if (t->armed && t->deadline_ns < next)
				next = t->deadline_ns;
		}
		hc_timers_run(vm->vcpus[0], test_now_ns);
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(alarms[i].fired, alarms[i].expected);
		assert_int_equal(vm->vcpus[0]->timers.next_ns, next);
	}
	for (unsigned i = 0; i < 20; i++)
		hc_timer_cancel(&alarms[i].timer);
}

static void earlier_deadline_reaches_the_platform(void **state)
{
	struct hc_timer here, there;

	hc_timer_init(&here, vm->vcpus[0], false, on_alarm);
	hc_timer_init(&there, vm->vcpus[1], true, on_alarm);
	hc_timer_arm(&here, test_now_ns + 500);
	assert_int_equal(test_deadline_ns[0], test_now_ns + 500);
	hc_timer_arm(&there, test_now_ns + 100);
	assert_int_equal(test_kicks[1], 1);
	hc_timer_cancel(&here);
	hc_timer_cancel(&there);
}

static void tick_conversions_round_trip(void **state)
{
	static const uint64_t hz[] = { 1, 1193182, 3579545, 62500000, 1000000000, 4294967295 };
	uint64_t seed = 5;

	for (unsigned i = 0; i < 60000; i++) {
		uint64_t f = hz[i % 6], ns = test_random(&seed) >> (1 + test_below(&seed, 60));
		unsigned __int128 exact = (unsigned __int128)ns * f / 1000000000;

		if (exact >> 63)
			continue;
		assert_int_equal(hc_ns_to_ticks(ns, f), (uint64_t)exact);
		/* The first moment that has as many ticks. */
		uint64_t t = (uint64_t)exact, at = hc_ticks_to_ns(t, f);

		if (at > UINT64_MAX / 2)
			continue;
		assert_true(hc_ns_to_ticks(at, f) >= t);
		assert_true(at == 0 || hc_ns_to_ticks(at - 1, f) < t);
	}
}

/* As of a guest's TSC. */
static void fast_ticks_take_their_time(void **state)
{
	uint64_t seed = 6;

	for (unsigned i = 0; i < 10000; i++) {
		uint64_t hz = 1000000 + test_random(&seed) % UINT64_C(100000000000);
		uint64_t ticks = test_random(&seed) >> test_below(&seed, 60);
		unsigned __int128 exact = ((unsigned __int128)ticks * 1000000000 + hz - 1) / hz;

		if (!(exact >> 63))
			assert_int_equal(hc_ticks_to_ns(ticks, hz), (uint64_t)exact);
	}
}

/* --- Saved state --- */

struct gadget {
	uint32_t a;
	uint16_t table[5];
	uint8_t late;
};

static int gadget_check(void *obj)
{
	return ((struct gadget *)obj)->a > 1000 ? -EPROTO : 0;
}

static const struct hc_field gadget_fields[] = {
	HC_FIELD(struct gadget, a, 1),
	HC_FIELD_ARRAY(struct gadget, table, 1),
	HC_FIELD(struct gadget, late, 2),
};
static const struct hc_state_desc gadget_v1 = { "gadget", 1, gadget_fields, 2, gadget_check };
static const struct hc_state_desc gadget_v2 = { "gadget", 2, gadget_fields, 3, gadget_check };

static void state_round_trips(void **state)
{
	struct gadget g = { 77, { 1, 2, 3, 4, 5 }, 9 }, h = { 0 };
	uint8_t buf[256];
	size_t n = hc_state_save(&gadget_v2, &g, buf, sizeof(buf));

	assert_int_equal(hc_state_save(&gadget_v2, &g, NULL, 0), n);
	assert_int_equal(hc_state_load(&gadget_v2, &h, buf, n), (long)n);
	assert_memory_equal(&g, &h, sizeof(g));
	/* An older description's data leaves the newer field alone. */
	n = hc_state_save(&gadget_v1, &g, buf, sizeof(buf));
	h.late = 55;
	assert_int_equal(hc_state_load(&gadget_v2, &h, buf, n), (long)n);
	assert_int_equal(h.late, 55);
	/* A newer one's is refused. */
	n = hc_state_save(&gadget_v2, &g, buf, sizeof(buf));
	assert_int_equal(hc_state_load(&gadget_v1, &h, buf, n), -EPROTO);
	g.a = 1001;
	n = hc_state_save(&gadget_v2, &g, buf, sizeof(buf));
	assert_int_equal(hc_state_load(&gadget_v2, &h, buf, n), -EPROTO);
}

static void state_survives_mutation(void **state)
{
	struct gadget g = { 77, { 1, 2, 3, 4, 5 }, 9 };
	uint8_t good[256];
	size_t n = hc_state_save(&gadget_v2, &g, good, sizeof(good));
	uint64_t seed = 9;

	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *exact = malloc(cut + 1);
		struct gadget h = { 0 };

		memcpy(exact, good, cut);
		assert_int_equal(hc_state_load(&gadget_v2, &h, exact, cut), -EPROTO);
		assert_int_equal(h.a, 0);
		free(exact);
	}
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t buf[256];
		struct gadget h = { 0 };

		memcpy(buf, good, n);
		for (unsigned k = 0; k <= test_below(&seed, 3); k++)
			buf[test_below(&seed, n)] = (uint8_t)test_random(&seed);
		long rc = hc_state_load(&gadget_v2, &h, buf, n);

		assert_true(rc == -EPROTO || rc == (long)n);
		assert_true(rc < 0 || h.a <= 1000);
	}
}

/* --- Character devices --- */

static unsigned notified;

static void on_input(void *dev)
{
	notified++;
}

static void chardev_keeps_order_and_counts_loss(void **state)
{
	static struct hc_chardev chr;
	uint8_t in[3000], out[3000];
	size_t taken = 0, fed = 0;
	uint64_t seed = 2;

	chr = (struct hc_chardev){ .on_input = on_input, .vm = vm };
	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)test_random(&seed);
	while (fed < sizeof(in)) {
		size_t want = hc_min(1 + test_below(&seed, 700), sizeof(in) - fed);

		fed += hc_chardev_feed(&chr, in + fed, want);
		taken += hc_chardev_take(&chr, out + taken,
		                         hc_min(test_below(&seed, 900), sizeof(out) - taken));
	}
	taken += hc_chardev_take(&chr, out + taken, sizeof(out) - taken);
	assert_int_equal(taken, fed);
	assert_memory_equal(in, out, fed);
	assert_false(hc_chardev_has_input(&chr));
	assert_true(notified > 0);
	uint64_t lost = chr.dropped;

	assert_int_equal(hc_chardev_feed(&chr, in, sizeof(in)), HC_CHARDEV_INPUT);
	assert_int_equal(chr.dropped, lost + sizeof(in) - HC_CHARDEV_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(buses_match_array, setup, teardown),
		cmocka_unit_test_setup_teardown(bus_refuses_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_reads_what_was_written, setup, teardown),
		cmocka_unit_test_setup_teardown(slots_are_mapped, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_refuses_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(timers_fire_when_due, setup, teardown),
		cmocka_unit_test_setup_teardown(earlier_deadline_reaches_the_platform, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(tick_conversions_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(fast_ticks_take_their_time, setup, teardown),
		cmocka_unit_test_setup_teardown(state_round_trips, setup, teardown),
		cmocka_unit_test_setup_teardown(state_survives_mutation, setup, teardown),
		cmocka_unit_test_setup_teardown(chardev_keeps_order_and_counts_loss, setup,
		                                teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
