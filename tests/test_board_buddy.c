/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The board's frame allocator and heap against a naive reference: a map that says of each frame
 * which block it belongs to.
 */
#include <stdlib.h>
#include <string.h>

#include "platform/board/heap.h"
#include "tests/unit.h"

#define FRAMES   2048
#define BASE     UINT64_C(0x7f9000) /* frame 0 of the arena: not aligned to anything larger */
#define MAX_LIVE 512

static uint64_t seed = 88172645463325252u;

static uint32_t below(uint32_t n)
{
	return (uint32_t)test_below(&seed, n);
}

struct block {
	uint8_t *p;
	unsigned order;
};

struct rig {
	struct buddy buddy;
	uint8_t *arena;
	bool given[FRAMES]; /* belongs to the allocator, and not to its records */
	bool taken[FRAMES];
	struct block live[MAX_LIVE];
	unsigned live_count;
	uint64_t given_count, taken_count;
};

static void give(struct rig *r, uint64_t first, uint64_t end)
{
	uint64_t records = (end - first + HC_PAGE_SIZE - 1) / HC_PAGE_SIZE;

	assert_int_equal(
		buddy_add(&r->buddy, BASE + first * HC_PAGE_SIZE, (end - first) * HC_PAGE_SIZE), 0);
	for (uint64_t f = first + records; f < end; f++) {
		r->given[f] = true;
		r->given_count++;
	}
}

static struct rig *new_rig(void)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->arena = aligned_alloc(HC_PAGE_SIZE, FRAMES * HC_PAGE_SIZE);
	assert_non_null(r->arena);
	/* What would pass for the state of a free frame, if it were taken for one. */
	for (size_t i = 0; i < FRAMES * HC_PAGE_SIZE; i++)
		r->arena[i] = (uint8_t)(0x40 + i % 4);
	buddy_init(&r->buddy, (uint64_t)(uintptr_t)r->arena - BASE);
	return r;
}

static void free_rig(struct rig *r)
{
	free(r->arena);
	free(r);
}

static uint64_t first_frame(const struct rig *r, const uint8_t *p)
{
	return (uint64_t)(p - r->arena) / HC_PAGE_SIZE;
}

/* Frame numbers of the machine decide on alignment, not those of the arena. */
static bool is_aligned(uint64_t frame, unsigned order)
{
	return ((BASE / HC_PAGE_SIZE + frame) & (HC_BIT(order) - 1)) == 0;
}

static bool all_free(const struct rig *r, uint64_t frame, unsigned order)
{
	for (uint64_t f = frame; f < frame + HC_BIT(order); f++)
		if (f >= FRAMES || !r->given[f] || r->taken[f])
			return false;
	return true;
}

/* Is there any block that an allocation could have returned? */
static bool naive_has(const struct rig *r, unsigned order)
{
	for (uint64_t f = 0; f < FRAMES; f++)
		if (is_aligned(f, order) && all_free(r, f, order))
			return true;
	return false;
}

static void mark(struct rig *r, uint64_t frame, unsigned order, bool taken)
{
	for (uint64_t f = frame; f < frame + HC_BIT(order); f++)
		r->taken[f] = taken;
	if (taken)
		r->taken_count += HC_BIT(order);
	else
		r->taken_count -= HC_BIT(order);
}

static void check_counts(const struct rig *r)
{
	assert_int_equal(r->buddy.total, r->given_count);
	assert_int_equal(r->buddy.available, r->given_count - r->taken_count);
}

static void allocate(struct rig *r, unsigned order)
{
	uint8_t *p = buddy_alloc(&r->buddy, order);
	uint64_t frame;

	if (!p) {
		assert_false(naive_has(r, order));
		return;
	}
	assert_true(p >= r->arena);
	frame = first_frame(r, p);
	assert_true(is_aligned(frame, order));
	assert_true(all_free(r, frame, order));
	mark(r, frame, order, true);
	memset(p, (int)(order + 1), HC_PAGE_SIZE << order);
	r->live[r->live_count++] = (struct block){ p, order };
}

static void release(struct rig *r, unsigned i)
{
	struct block b = r->live[i];
	size_t last = (HC_PAGE_SIZE << b.order) - 1;

	/* Nothing wrote into it meanwhile. */
	for (size_t at = 0; at <= last; at += 64)
		assert_int_equal(b.p[at], b.order + 1);
	assert_int_equal(b.p[last], b.order + 1);
	assert_int_equal(buddy_free(&r->buddy, b.p, b.order), 0);
	mark(r, first_frame(r, b.p), b.order, false);
	r->live[i] = r->live[--r->live_count];
}

static void step(struct rig *r)
{
	bool grow = below(100) < 55;

	if (r->live_count < MAX_LIVE && (grow || !r->live_count))
		allocate(r, below(8) ? below(5) : below(12));
	else if (r->live_count)
		release(r, below(r->live_count));
	check_counts(r);
}

/* Everything merged again: each order can be had as often as the naive map says. */
static void check_merged(struct rig *r)
{
	for (unsigned order = BUDDY_MAX_ORDER; order <= BUDDY_MAX_ORDER; order--) {
		bool possible = naive_has(r, order);
		void *p = buddy_alloc(&r->buddy, order);

		assert_int_equal(p != NULL, possible);
		if (p)
			assert_int_equal(buddy_free(&r->buddy, p, order), 0);
	}
}

static void random_use(void **state)
{
	for (unsigned round = 0; round < 12; round++) {
		struct rig *r = new_rig();
		uint64_t at = below(5);

		seed = 88172645463325252u + round;
		while (at < FRAMES) {
			uint64_t end = at + 2 + below(round % 2 ? 900 : 60);

			give(r, at, end < FRAMES ? end : FRAMES);
			at = end + below(4);
		}
		for (unsigned i = 0; i < 3000; i++)
			step(r);
		while (r->live_count)
			release(r, below(r->live_count));
		check_counts(r);
		check_merged(r);
		free_rig(r);
	}
}

static void bad_frees(void **state)
{
	struct rig *r = new_rig();
	uint8_t *p;

	give(r, 3, 1000);
	p = buddy_alloc(&r->buddy, 3);
	assert_non_null(p);
	assert_int_equal(buddy_free(&r->buddy, p, 2), -EINVAL);
	assert_int_equal(buddy_free(&r->buddy, p, 4), -EINVAL);
	assert_int_equal(buddy_free(&r->buddy, p, BUDDY_MAX_ORDER + 1), -EINVAL);
	assert_int_equal(buddy_free(&r->buddy, p + 64, 3), -EINVAL);
	assert_int_equal(buddy_free(&r->buddy, p + HC_PAGE_SIZE, 0), -EINVAL);
	assert_int_equal(buddy_free(&r->buddy, r->arena, 0), -EINVAL);
	assert_int_equal(buddy_free(&r->buddy, r->arena + 3 * HC_PAGE_SIZE, 0), -EINVAL);
	assert_int_equal(buddy_free(&r->buddy, r->arena + 1001 * HC_PAGE_SIZE, 0), -EINVAL);
	assert_int_equal(buddy_free(&r->buddy, p, 3), 0);
	assert_int_equal(buddy_free(&r->buddy, p, 3), -EINVAL);
	check_counts(r);
	free_rig(r);
}

static void bad_ranges(void **state)
{
	struct rig *r = new_rig();

	give(r, 100, 200);
	assert_int_equal(buddy_add(&r->buddy, BASE + 150 * HC_PAGE_SIZE, HC_PAGE_SIZE), -EINVAL);
	assert_int_equal(buddy_add(&r->buddy, BASE, HC_PAGE_SIZE), -EINVAL);
	assert_int_equal(buddy_add(&r->buddy, UINT64_MAX - HC_PAGE_SIZE, 2 * HC_PAGE_SIZE),
	                 -EINVAL);
	/* Less than a page, and a page that its own record would fill. */
	assert_int_equal(buddy_add(&r->buddy, BASE + 300 * HC_PAGE_SIZE + 1, HC_PAGE_SIZE), 0);
	assert_int_equal(buddy_add(&r->buddy, BASE + 400 * HC_PAGE_SIZE, HC_PAGE_SIZE), 0);
	check_counts(r);
	for (uint64_t f = 500; r->buddy.range_count < BUDDY_MAX_RANGES; f += 3)
		give(r, f, f + 2);
	assert_int_equal(buddy_add(&r->buddy, BASE + 2000 * HC_PAGE_SIZE, 2 * HC_PAGE_SIZE),
	                 -ENOSPC);
	check_counts(r);
	free_rig(r);
}

/* --- Heap --- */

struct piece {
	uint8_t *p;
	size_t size;
	uint8_t fill;
};

static void check_piece(const struct piece *piece)
{
	for (size_t i = 0; i < piece->size; i++)
		assert_int_equal(piece->p[i], piece->fill);
}

static void heap_random(void **state)
{
	struct rig *r = new_rig();
	struct heap heap;
	struct piece live[200];
	unsigned count = 0;

	seed = 2463534242u;
	give(r, 0, FRAMES);
	heap_init(&heap, &r->buddy);
	for (unsigned i = 0; i < 20000; i++) {
		if (count < HC_ARRAY_SIZE(live) && (below(2) || !count)) {
			struct piece p = { NULL, 1 + below(below(4) ? 300 : 20000),
				           (uint8_t)below(256) };

			p.p = heap_alloc(&heap, p.size);
			if (!p.p)
				continue;
			assert_int_equal((uintptr_t)p.p % 64, 0);
			memset(p.p, p.fill, p.size);
			live[count++] = p;
		} else {
			unsigned n = below(count);

			check_piece(&live[n]);
			assert_int_equal(heap_free(&heap, live[n].p, live[n].size), 0);
			live[n] = live[--count];
		}
	}
	/* Pieces did not overlap: each still holds what was written to it. */
	for (unsigned i = 0; i < count; i++)
		check_piece(&live[i]);
	free_rig(r);
}

static void heap_exhausted(void **state)
{
	struct rig *r = new_rig();
	struct heap heap;

	give(r, 0, 3); /* two usable pages */
	heap_init(&heap, &r->buddy);
	assert_null(heap_alloc(&heap, SIZE_MAX));
	assert_null(heap_alloc(&heap, (size_t)BUDDY_MAX_ORDER << 40));
	for (unsigned i = 0; i < 2 * HC_PAGE_SIZE / 64; i++)
		assert_non_null(heap_alloc(&heap, 33));
	assert_null(heap_alloc(&heap, 64));
	assert_null(heap_alloc(&heap, 4096));
	free_rig(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_use),     cmocka_unit_test(bad_frees),
		cmocka_unit_test(bad_ranges),     cmocka_unit_test(heap_random),
		cmocka_unit_test(heap_exhausted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
