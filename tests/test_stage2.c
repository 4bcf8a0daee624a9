/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage 2: bounds, page sizes, what is invalidated, the log's precision, and the TLB model itself.
 * Random sequences are in test_stage2_random.c. */
#include "mmu/format.h"
#include "tests/model/tlb_rig.h"
#include <hypercore/errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define K4 S2_PAGE_4K
#define M2 S2_PAGE_2M
#define G1 S2_PAGE_1G

#define RAM (S2_RWX | S2_WB)

typedef void (*body_fn)(struct rig *rig);

static void with_bits(body_fn body, unsigned ipa_bits)
{
	for (unsigned i = 0; i < rig_kind_count; i++) {
		struct rig rig;

		rig_open(&rig, &rig_kinds[i], ipa_bits);
		body(&rig);
		rig_close(&rig);
	}
}

static int map(struct rig *rig, uint64_t gpa, uint64_t hpa, uint64_t size, unsigned attr)
{
	return s2_map(&rig->s2, gpa_of(gpa), hpa_of(hpa), size, attr);
}

static unsigned level_at(struct rig *rig, uint64_t gpa)
{
	struct s2_mapping m;

	assert_int_equal(s2_walk(&rig->s2, gpa_of(gpa), &m), 0);
	return m.level;
}

/* A guest's write at gpa: lands at hpa. */
static void assert_lands(struct rig *rig, uint64_t gpa, uint64_t hpa)
{
	struct tlb_entry e;

	assert_true(tlb_access(rig->tlb, gpa, TLB_WRITE, &e));
	assert_true(e.pa + gpa - e.gpa == hpa);
}

/* ---- Bounds ---- */

static void refuse(struct rig *rig)
{
	const uint64_t top = UINT64_C(1) << 40, oa = UINT64_C(1) << rig->kind->format->oa_bits;
	const struct {
		uint64_t gpa, hpa, size;
		unsigned attr;
		int err;
	} bad[] = {
		{ 0, 0, 0, RAM, -EINVAL },
		{ 1, 0, K4, RAM, -EINVAL },
		{ 0, 1, K4, RAM, -EINVAL },
		{ 0, 0, K4 + 1, RAM, -EINVAL },
		{ 0, 0, K4 - 1, RAM, -EINVAL },
		{ K4, 0, 0 - K4, RAM, -EINVAL },     /* ends at 2^64 */
		{ 2 * K4, 0, 0 - K4, RAM, -EINVAL }, /* wraps */
		{ 0, 0 - K4, 2 * K4, RAM, -EINVAL }, /* wraps on the host's side */
		{ top, 0, K4, RAM, -ERANGE },
		{ top - K4, 0, 2 * K4, RAM, -ERANGE },
		{ 0, 0, top + K4, RAM, -ERANGE },
		{ UINT64_MAX - K4 + 1, 0, K4, RAM, -EINVAL },
		{ 0, oa, K4, RAM, -ERANGE },
		{ 0, oa - K4, 2 * K4, RAM, -ERANGE },
		{ 0, 0, K4, 0, -EINVAL },
		{ 0, 0, K4, S2_W, -EINVAL }, /* never writable and not readable */
		{ 0, 0, K4, S2_X, -EINVAL },
		{ 0, 0, K4, S2_W | S2_X, -EINVAL },
		{ 0, 0, K4, RAM | S2_TYPE, -EINVAL }, /* no such type */
		{ 0, 0, K4, RAM | 1u << 5, -EINVAL },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(bad); i++)
		assert_int_equal(map(rig, bad[i].gpa, bad[i].hpa, bad[i].size, bad[i].attr),
		                 bad[i].err);
	for (unsigned i = 0; i < 12; i++) {
		uint64_t bitmap;
		gpa_t gpa = gpa_of(bad[i].gpa);
		int err = bad[i].hpa ? 0 : bad[i].err;

		if (!err)
			continue;
		assert_int_equal(s2_unmap(&rig->s2, gpa, bad[i].size), err);
		assert_int_equal(s2_protect(&rig->s2, gpa, bad[i].size, S2_R), err);
		assert_int_equal(s2_reserve(&rig->s2, gpa, bad[i].size, M2), err);
		assert_int_equal(s2_merge(&rig->s2, gpa, bad[i].size), err);
		assert_int_equal(s2_log_start(&rig->s2, gpa, bad[i].size), err);
		assert_int_equal(s2_log_collect(&rig->s2, gpa, bad[i].size, &bitmap), err);
	}
	assert_int_equal(s2_protect(&rig->s2, gpa_of(0), K4, S2_R | S2_UC), -EINVAL);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(0), K4, 0), -EINVAL);
	assert_int_equal(s2_log_fault(&rig->s2, gpa_of(top)), -ERANGE);
	assert_int_equal(s2_log_fault(&rig->s2, gpa_of(0)), -EFAULT);
	assert_int_equal(s2_reserve(&rig->s2, gpa_of(0), M2, M2 + K4), -EINVAL);
	assert_int_equal(s2_limit_page(&rig->s2, 0), -EINVAL);
	assert_int_equal(s2_limit_page(&rig->s2, G1 * 512), -EINVAL);
	assert_int_equal(s2_limit_page(&rig->s2, M2 + 1), -EINVAL);
	/* Nothing came of any of it: the root is all there is, and it is empty. */
	assert_int_equal(rig->tlb->allocated, 1u << rig->s2.root_order);
	assert_int_equal(rig->tlb->invalidations, 0);
}

static void bad_ranges_are_refused(void **state)
{
	(void)state;
	with_bits(refuse, 40);
}

static void every_address_width_works(void **state)
{
	(void)state;
	for (unsigned i = 0; i < rig_kind_count; i++) {
		for (unsigned bits = 32; bits <= 48; bits++) {
			uint64_t top = UINT64_C(1) << bits, hpa = 64 * G1;
			struct tlb_entry e;
			struct s2_mapping m;
			struct rig rig;

			rig_open(&rig, &rig_kinds[i], bits);
			assert_int_equal(map(&rig, 0, hpa, K4, RAM), 0);
			assert_int_equal(map(&rig, top - K4, hpa + K4, K4, RAM), 0);
			assert_int_equal(map(&rig, top / 2, hpa + M2, M2, RAM), 0);
			assert_lands(&rig, 8, hpa + 8);
			assert_lands(&rig, top - 8, hpa + 2 * K4 - 8);
			assert_lands(&rig, top / 2 + 5 * K4, hpa + M2 + 5 * K4);
			assert_false(tlb_access(rig.tlb, K4, TLB_READ, &e));
			assert_false(tlb_access(rig.tlb, top / 2 - 1, TLB_READ, &e));
			assert_int_equal(s2_walk(&rig.s2, gpa_of(top), &m), -ERANGE);
			assert_int_equal(s2_walk(&rig.s2, gpa_of(UINT64_MAX), &m), -ERANGE);
			rig_close(&rig);
		}
	}
}

static void impossible_widths_are_refused(void **state)
{
	static const unsigned widths[] = { 0, 12, 31, 49, 52, 53, 64, 255 };

	(void)state;
	for (unsigned i = 0; i < rig_kind_count; i++) {
		struct tlb *tlb = tlb_new(rig_kinds[i].arch);
		struct s2 s2;

		for (unsigned j = 0; j < HC_ARRAY_SIZE(widths); j++)
			assert_int_equal(
				s2_init(&s2, rig_kinds[i].format, &tlb_mm_ops, tlb, widths[j]),
				-EINVAL);
		tlb->fail_after = 0;
		assert_int_equal(s2_init(&s2, rig_kinds[i].format, &tlb_mm_ops, tlb, 40), -ENOMEM);
		assert_int_equal(tlb->allocated, 0);
		free(tlb);
	}
}

/* ---- Page sizes ---- */

static void sizes(struct rig *rig)
{
	/* From 4 KiB below a 1 GiB page to 2 MiB and 4 KiB above it. */
	uint64_t gpa = 2 * G1 - K4, end = 3 * G1 + M2 + K4, hpa = 32 * G1 - K4;

	assert_int_equal(map(rig, gpa, hpa, end - gpa, RAM), 0);
	assert_int_equal(level_at(rig, gpa), 0);
	assert_int_equal(level_at(rig, 2 * G1), 2);
	assert_int_equal(level_at(rig, 3 * G1), 1);
	assert_int_equal(level_at(rig, 3 * G1 + M2), 0);
	assert_lands(rig, 2 * G1 + 12345, 32 * G1 + 12345);
	assert_int_equal(s2_unmap(&rig->s2, gpa_of(gpa), end - gpa), 0);

	assert_int_equal(s2_limit_page(&rig->s2, M2), 0);
	assert_int_equal(map(rig, gpa, hpa, end - gpa, RAM), 0);
	assert_int_equal(level_at(rig, 2 * G1), 1);
	assert_int_equal(s2_merge(&rig->s2, gpa_of(2 * G1), G1), 0);
	assert_int_equal(s2_unmap(&rig->s2, gpa_of(gpa), end - gpa), 0);

	assert_int_equal(s2_limit_page(&rig->s2, K4), 0);
	assert_int_equal(map(rig, M2, M2, M2, RAM), 0);
	assert_int_equal(level_at(rig, M2), 0);
	assert_int_equal(s2_limit_page(&rig->s2, G1), 0);

	/* Not congruent: nothing large is possible. */
	assert_int_equal(map(rig, M2, M2 + K4, 2 * M2, RAM), 0);
	assert_int_equal(level_at(rig, M2), 0);
	assert_int_equal(map(rig, G1, G1 + M2, G1, RAM), 0);
	assert_int_equal(level_at(rig, G1), 1);
}

static void largest_pages_are_used(void **state)
{
	(void)state;
	with_bits(sizes, 40);
}

/* Tables, and nothing in them; of small pages where large ones must not be. */
static void reserve(struct rig *rig)
{
	struct s2_mapping m;

	assert_int_equal(s2_reserve(&rig->s2, gpa_of(G1), G1, M2), 0);
	assert_int_equal(s2_walk(&rig->s2, gpa_of(G1), &m), -EFAULT);
	assert_int_equal(m.level, 1);
	assert_int_equal(rig->tlb->invalidations, 0);
	rig->tlb->fail_after = 0;
	assert_int_equal(map(rig, G1 + M2, 4 * M2, M2, RAM), 0);
	assert_lands(rig, G1 + M2, 4 * M2);
	assert_int_equal(map(rig, G1, K4, K4, RAM), -ENOMEM);
	rig->tlb->fail_after = -1;
	assert_int_equal(s2_limit_page(&rig->s2, K4), 0);
	assert_int_equal(s2_reserve(&rig->s2, gpa_of(2 * G1), 2 * M2, M2), 0);
	rig->tlb->fail_after = 0;
	assert_int_equal(map(rig, 2 * G1 + M2, 8 * M2, M2, RAM), 0);
	assert_lands(rig, 2 * G1 + M2, 8 * M2);
	rig->tlb->fail_after = -1;
}

static void tables_can_be_reserved(void **state)
{
	(void)state;
	with_bits(reserve, 40);
}

static void split_and_merge(struct rig *rig)
{
	uint64_t hpa = 8 * G1;
	unsigned tables;

	assert_int_equal(map(rig, G1, hpa, G1, RAM), 0);
	tables = rig->tlb->allocated;
	assert_int_equal(level_at(rig, G1), 2);
	assert_lands(rig, G1 + 7 * M2, hpa + 7 * M2);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(G1 + 5 * K4), K4, S2_R), 0);
	rig_check(rig);
	assert_int_equal(level_at(rig, G1), 0);
	assert_int_equal(level_at(rig, G1 + M2), 1);
	assert_int_equal(rig->tlb->allocated, tables + 2);
	assert_lands(rig, G1 + 6 * K4, hpa + 6 * K4);

	/* One page is unlike the others: nothing to merge; wherever it is. */
	assert_int_equal(s2_merge(&rig->s2, gpa_of(G1), G1), 0);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(G1 + 5 * K4), K4, S2_RWX), 0);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(G1 + M2 - K4), K4, S2_R), 0);
	assert_int_equal(s2_merge(&rig->s2, gpa_of(G1), G1), 0);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(G1 + M2 - K4), K4, S2_RWX), 0);
	assert_int_equal(map(rig, G1 + M2 - K4, hpa + M2, K4, RAM), 0);
	assert_int_equal(s2_merge(&rig->s2, gpa_of(G1), G1), 0);
	assert_int_equal(s2_unmap(&rig->s2, gpa_of(G1 + M2 - K4), K4), 0);
	assert_int_equal(s2_merge(&rig->s2, gpa_of(G1), G1), 0);
	assert_int_equal(map(rig, G1 + M2 - K4, hpa + M2 - K4, K4, RAM), 0);
	rig_check(rig);

	/* The range holds no whole table, then one 2 MiB page, then also the 1 GiB page. */
	assert_int_equal(s2_merge(&rig->s2, gpa_of(G1 + K4), G1 - K4), 0);
	assert_int_equal(s2_merge(&rig->s2, gpa_of(G1), M2), 1);
	assert_int_equal(level_at(rig, G1), 1);
	rig_check(rig);
	assert_int_equal(s2_merge(&rig->s2, gpa_of(G1), G1), 1);
	assert_int_equal(level_at(rig, G1), 2);
	assert_int_equal(rig->tlb->allocated, tables);
	assert_lands(rig, G1 + 9 * K4, hpa + 9 * K4);

	/* Two levels at once. */
	assert_int_equal(s2_protect(&rig->s2, gpa_of(G1), K4, S2_R), 0);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(G1), K4, S2_RWX), 0);
	assert_int_equal(s2_merge(&rig->s2, gpa_of(0), 4 * G1), 2);
	assert_int_equal(level_at(rig, G1), 2);
}

static void pages_split_and_merge(void **state)
{
	(void)state;
	with_bits(split_and_merge, 40);
}

static void hole_sizes(struct rig *rig)
{
	struct s2_mapping m;

	assert_int_equal(map(rig, M2, M2, K4, RAM), 0);
	assert_int_equal(s2_walk(&rig->s2, gpa_of(M2 + K4), &m), -EFAULT);
	assert_true(m.size == K4);
	assert_int_equal(s2_walk(&rig->s2, gpa_of(0), &m), -EFAULT);
	assert_true(m.size == M2);
	assert_int_equal(s2_walk(&rig->s2, gpa_of(G1), &m), -EFAULT);
	assert_true(m.size == G1);
}

static void holes_have_sizes(void **state)
{
	(void)state;
	with_bits(hole_sizes, 40);
}

/* ---- Invalidation ---- */

static void thrift(struct rig *rig)
{
	unsigned *n = &rig->tlb->invalidations, before;

	/* Holes are not remembered, and what is not there need not be forgotten. */
	assert_int_equal(map(rig, 0, G1, 3 * M2 + 7 * K4, RAM), 0);
	assert_int_equal(s2_unmap(&rig->s2, gpa_of(8 * G1), G1), 0);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(8 * G1), G1, S2_R), 0);
	assert_int_equal(*n, 0);
	/* The same again changes nothing. */
	assert_int_equal(map(rig, 0, G1, 3 * M2 + 7 * K4, RAM), 0);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(K4), 4 * M2, S2_RWX), 0);
	assert_int_equal(*n, 0);
	/* One for a range that leaves. */
	assert_int_equal(s2_protect(&rig->s2, gpa_of(0), 3 * M2 + 7 * K4, S2_R), 0);
	assert_int_equal(*n, 1);
	/* More rights: only where a stale fault would come again and again. */
	assert_int_equal(s2_protect(&rig->s2, gpa_of(0), 3 * M2 + 7 * K4, S2_RWX), 0);
	assert_int_equal(*n, rig->kind->breaks ? 2 : 1);
	before = *n;
	assert_int_equal(s2_unmap(&rig->s2, gpa_of(0), 3 * M2 + 7 * K4), 0);
	assert_int_equal(*n, before + 1);
}

static void invalidations_are_few(void **state)
{
	(void)state;
	with_bits(thrift, 40);
}

static void destroyed(struct rig *rig)
{
	struct tlb_entry e;

	assert_int_equal(map(rig, 0, 8 * G1, 2 * G1 + K4, RAM), 0);
	assert_true(tlb_access(rig->tlb, 0, TLB_READ, &e));
	assert_true(tlb_access(rig->tlb, 2 * G1, TLB_READ, &e));
	s2_destroy(&rig->s2);
	assert_int_equal(rig->tlb->cached, 0);
	assert_int_equal(rig->tlb->allocated, 0);
	assert_int_equal(s2_init(&rig->s2, rig->kind->format, &tlb_mm_ops, rig->tlb, 40), 0);
}

static void destroying_leaves_nothing_remembered(void **state)
{
	(void)state;
	with_bits(destroyed, 40);
}

/* ---- Dirty log ---- */

static int64_t collect(struct rig *rig, uint64_t gpa, uint64_t size, uint64_t *bitmap)
{
	memset(bitmap, 0, (size_t)((size / K4 + 63) / 64 * 8));
	return s2_log_collect(&rig->s2, gpa_of(gpa), size, bitmap);
}

static void guest_write(struct rig *rig, uint64_t gpa)
{
	struct tlb_entry e;

	if (!tlb_access(rig->tlb, gpa, TLB_WRITE, &e)) {
		assert_int_equal(s2_log_fault(&rig->s2, gpa_of(gpa)), 0);
		assert_true(tlb_access(rig->tlb, gpa, TLB_WRITE, &e));
	}
}

static void precise(struct rig *rig)
{
	uint64_t bitmap[1024 / 64];
	struct s2_mapping m;

	assert_int_equal(map(rig, M2, 4 * G1, 4 * M2, RAM), 0);
	guest_write(rig, 2 * M2);
	assert_int_equal(s2_log_start(&rig->s2, gpa_of(2 * M2), 2 * M2), 0);
	assert_int_equal(s2_log_start(&rig->s2, gpa_of(0), K4), -EBUSY);
	assert_int_equal(level_at(rig, M2), 1);
	assert_int_equal(level_at(rig, 2 * M2), 0);
	assert_int_equal(collect(rig, 2 * M2, 2 * M2, bitmap), 0);

	guest_write(rig, 2 * M2 + 70 * K4);
	guest_write(rig, 2 * M2 + 70 * K4 + 8);
	guest_write(rig, 4 * M2 - 1);
	guest_write(rig, M2);                                                 /* not logged */
	assert_int_equal(s2_log_fault(&rig->s2, gpa_of(2 * M2 + 3 * K4)), 0); /* the host's own */
	assert_int_equal(collect(rig, 2 * M2, 2 * M2, bitmap), 3);
	assert_true(bitmap[0] == HC_BIT(3) && bitmap[1] == HC_BIT(6) && bitmap[15] == HC_BIT(63));
	rig_check(rig);
	assert_int_equal(collect(rig, 2 * M2, 2 * M2, bitmap), 0);

	/* Bits that are there stay, and are not counted. */
	guest_write(rig, 2 * M2 + K4);
	guest_write(rig, 2 * M2 + 2 * K4);
	bitmap[0] = HC_BIT(1) | HC_BIT(9);
	assert_int_equal(s2_log_collect(&rig->s2, gpa_of(2 * M2), M2, bitmap), 1);
	assert_true(bitmap[0] == (HC_BIT(1) | HC_BIT(2) | HC_BIT(9)));

	/* What loses its right to be written was written nevertheless. */
	guest_write(rig, 3 * M2);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(3 * M2), M2, S2_R), 0);
	assert_int_equal(s2_log_fault(&rig->s2, gpa_of(3 * M2 + K4)), -EFAULT);
	assert_int_equal(s2_protect(&rig->s2, gpa_of(3 * M2), M2, S2_RWX), 0);
	guest_write(rig, 3 * M2 + 2 * K4);
	assert_int_equal(collect(rig, 3 * M2, M2, bitmap), 2);
	assert_true(bitmap[0] == (HC_BIT(0) | HC_BIT(2)));

	assert_int_equal(collect(rig, 2 * M2 - K4, 2 * K4, bitmap), -EINVAL);
	assert_int_equal(collect(rig, 4 * M2 - K4, 2 * K4, bitmap), -EINVAL);
	assert_int_equal(s2_merge(&rig->s2, gpa_of(0), G1), -EBUSY);
	s2_log_stop(&rig->s2);
	rig_check(rig);
	assert_int_equal(collect(rig, 2 * M2, M2, bitmap), -EINVAL);
	for (uint64_t gpa = 2 * M2; gpa < 4 * M2; gpa += K4) {
		assert_int_equal(s2_walk(&rig->s2, gpa_of(gpa), &m), 0);
		assert_true(m.write_ok);
	}
	assert_int_equal(s2_merge(&rig->s2, gpa_of(0), G1), 2);
}

static void log_is_precise(void **state)
{
	(void)state;
	with_bits(precise, 40);
}

static void read_only_large(struct rig *rig)
{
	uint64_t bitmap[512 / 64];
	unsigned tables;

	assert_int_equal(map(rig, 0, 4 * G1, M2, S2_R), 0);
	tables = rig->tlb->allocated;
	assert_int_equal(s2_log_start(&rig->s2, gpa_of(K4), M2 - K4), 0);
	assert_int_equal(rig->tlb->allocated, tables);
	/* Made writable as a whole it is logged as a whole, and not missed. */
	assert_int_equal(s2_protect(&rig->s2, gpa_of(0), M2, S2_RWX), 0);
	assert_int_equal(level_at(rig, 0), 1);
	guest_write(rig, 0);
	assert_int_equal(collect(rig, K4, M2 - K4, bitmap), 511);
	s2_log_stop(&rig->s2);
}

static void read_only_pages_are_not_split(void **state)
{
	(void)state;
	with_bits(read_only_large, 40);
}

/* A CPU writes to a page between the filling of the table that is to replace it and the moment when
 * that is published: the first synchronisation of the operation. */
static uint64_t racing_gpa;

static void racing_sync(void *ctx, const s2_entry_t *entries, size_t bytes)
{
	struct tlb_entry e;

	tlb_mm_ops.sync(ctx, entries, bytes);
	if (racing_gpa)
		tlb_access(ctx, racing_gpa, TLB_WRITE, &e);
	racing_gpa = 0;
}

static void split_race(struct rig *rig)
{
	struct mm_ops racing = tlb_mm_ops;
	uint64_t bitmap[512 / 64], gpa = 2 * M2 + 9 * K4;

	racing.sync = racing_sync;
	rig->s2.ops = &racing;
	/* Mapped after the start of the log, and clean: a large page. */
	assert_int_equal(s2_log_start(&rig->s2, gpa_of(2 * M2), M2), 0);
	assert_int_equal(map(rig, 2 * M2, 4 * G1, M2, RAM), 0);
	assert_int_equal(collect(rig, 2 * M2, M2, bitmap), 512);
	assert_int_equal(collect(rig, 2 * M2, M2, bitmap), 0);
	assert_int_equal(level_at(rig, gpa), 1);
	racing_gpa = gpa;
	assert_int_equal(s2_protect(&rig->s2, gpa_of(2 * M2), K4, S2_R), 0);
	assert_int_equal(racing_gpa, 0);
	assert_int_equal(level_at(rig, gpa), 0);
	/* Where the hardware needs no permission to write, the write passed. */
	assert_true(collect(rig, 2 * M2, M2, bitmap) >= 0);
	assert_true(!rig->kind->hw_dirty || (bitmap[0] & HC_BIT(9)));
	s2_log_stop(&rig->s2);
	rig->s2.ops = &tlb_mm_ops;
}

static void writes_during_a_split_are_logged(void **state)
{
	(void)state;
	with_bits(split_race, 40);
}

/* ---- The model: what it is there for, it does ---- */

/* Remembers a page, lets the engine remove it from a CPU that does not listen, and looks. */
static void deaf(struct rig *rig, bool protect)
{
	struct tlb_entry e;

	assert_int_equal(map(rig, M2, G1, M2, RAM), 0);
	assert_true(tlb_access(rig->tlb, M2, TLB_WRITE, &e));
	rig->tlb->ignore_invalidate = true;
	if (protect)
		assert_int_equal(s2_protect(&rig->s2, gpa_of(M2), M2, S2_R), 0);
	else
		assert_int_equal(s2_unmap(&rig->s2, gpa_of(M2), M2), 0);
	assert_int_equal(rig->tlb->complaints, 0);
	tlb_check(rig->tlb);
	assert_int_equal(rig->tlb->complaints, 1);
	assert_non_null(strstr(rig->tlb->complaint, "stale"));
}

static void reset(struct rig *rig)
{
	rig->tlb->ignore_invalidate = false;
	rig->tlb->complaints = 0;
	rig->tlb->cached = 0;
}

static void deaf_unmap(struct rig *rig)
{
	deaf(rig, false);
	reset(rig);
}

static void deaf_protect(struct rig *rig)
{
	deaf(rig, true);
	reset(rig);
}

static void model_finds_missing_invalidations(void **state)
{
	(void)state;
	with_bits(deaf_unmap, 40);
	with_bits(deaf_protect, 40);
}

/* The leaf's place, to do with it what the engine would not. */
static s2_entry_t *leaf_at(struct rig *rig, uint64_t gpa)
{
	const struct s2_format *f = rig->kind->format;
	uint64_t table = s2_root(&rig->s2).v;

	for (unsigned level = rig->s2.root_level;; level--) {
		uint64_t index = gpa >> s2_shift(level);
		s2_entry_t *entries = tlb_mm_ops.table_ptr(rig->tlb, hpa_of(table));
		s2_entry_t *entry;

		if (level != rig->s2.root_level)
			index %= S2_ENTRIES;
		entry = &entries[index];
		if (!s2_is_table(f, *entry, level))
			return entry;
		table = *entry & f->address;
	}
}

static void no_break(struct rig *rig)
{
	s2_entry_t *leaf;
	uint64_t value;
	struct tlb_entry e;

	if (!rig->kind->breaks)
		return;
	assert_int_equal(map(rig, M2, G1, M2, RAM), 0);
	assert_true(tlb_access(rig->tlb, M2, TLB_WRITE, &e));
	leaf = leaf_at(rig, M2);
	value = *leaf;
	/* Another address at once, and only then invalidated. */
	*leaf = value + M2;
	tlb_mm_ops.sync(rig->tlb, leaf, 8);
	tlb_mm_ops.invalidate(rig->tlb, gpa_of(M2), M2);
	assert_true(rig->tlb->complaints > 0);
	assert_non_null(strstr(rig->tlb->complaint, "no break"));
	reset(rig);

	/* Broken, but walkers may not have seen it before the invalidation. */
	*leaf = value;
	tlb_mm_ops.sync(rig->tlb, leaf, 8);
	assert_true(tlb_access(rig->tlb, M2, TLB_WRITE, &e));
	*leaf = 0;
	tlb_mm_ops.invalidate(rig->tlb, gpa_of(M2), M2);
	assert_true(rig->tlb->complaints > 0);
	assert_non_null(strstr(rig->tlb->complaint, "before it synchronises"));
	reset(rig);

	/* Made, and never synchronised. */
	tlb_mm_ops.sync(rig->tlb, leaf, 8);
	assert_int_equal(rig->tlb->cached, 0);
	*leaf = value;
	tlb_check(rig->tlb);
	assert_true(rig->tlb->complaints > 0);
	assert_non_null(strstr(rig->tlb->complaint, "never synchronised"));
	tlb_mm_ops.sync(rig->tlb, leaf, 8);
	reset(rig);
}

static void model_finds_missing_breaks(void **state)
{
	(void)state;
	with_bits(no_break, 40);
}

static void reserved(struct rig *rig)
{
	/* One bit each that a 2 MiB page must not have: in the address, and above it. */
	static const unsigned bits[] = { 13, 20, TLB_PA_BITS };
	s2_entry_t *leaf;
	struct tlb_entry e;

	assert_int_equal(map(rig, M2, G1, M2, RAM), 0);
	leaf = leaf_at(rig, M2);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(bits); i++) {
		*leaf ^= HC_BIT(bits[i]);
		tlb_mm_ops.sync(rig->tlb, leaf, 8);
		assert_false(tlb_access(rig->tlb, M2, TLB_READ, &e));
		assert_int_equal(rig->tlb->complaints, 1);
		*leaf ^= HC_BIT(bits[i]);
		tlb_mm_ops.sync(rig->tlb, leaf, 8);
		reset(rig);
	}
}

static void model_finds_reserved_bits(void **state)
{
	(void)state;
	with_bits(reserved, 40);
}

static void early_free(struct rig *rig)
{
	struct tlb_entry e;
	uintptr_t leaf;
	hpa_t table;

	assert_int_equal(map(rig, M2, G1, K4, RAM), 0);
	assert_true(tlb_access(rig->tlb, M2, TLB_WRITE, &e));
	leaf = (uintptr_t)leaf_at(rig, M2);
	table.v = TLB_BASE + HC_ALIGN_DOWN(leaf - (uintptr_t)rig->tlb->memory, HC_PAGE_SIZE);
	tlb_mm_ops.free_table(rig->tlb, table, 0);
	assert_int_equal(rig->tlb->complaints, 0);
	tlb_check(rig->tlb);
	assert_true(rig->tlb->complaints > 0);
	reset(rig);
	tlb_mm_ops.free_table(rig->tlb, table, 0);
	assert_int_equal(rig->tlb->complaints, 1);
	reset(rig);
	/* Tables are given out from the lowest address: it is the same one again. */
	assert_int_equal(tlb_mm_ops.alloc_table(rig->tlb, 0, &table), 0);
	tlb_mm_ops.sync(rig->tlb, tlb_mm_ops.table_ptr(rig->tlb, table), HC_PAGE_SIZE);
}

static void model_finds_freed_tables(void **state)
{
	(void)state;
	with_bits(early_free, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_ranges_are_refused),
		cmocka_unit_test(every_address_width_works),
		cmocka_unit_test(impossible_widths_are_refused),
		cmocka_unit_test(largest_pages_are_used),
		cmocka_unit_test(tables_can_be_reserved),
		cmocka_unit_test(pages_split_and_merge),
		cmocka_unit_test(holes_have_sizes),
		cmocka_unit_test(invalidations_are_few),
		cmocka_unit_test(destroying_leaves_nothing_remembered),
		cmocka_unit_test(log_is_precise),
		cmocka_unit_test(read_only_pages_are_not_split),
		cmocka_unit_test(writes_during_a_split_are_logged),
		cmocka_unit_test(model_finds_missing_invalidations),
		cmocka_unit_test(model_finds_missing_breaks),
		cmocka_unit_test(model_finds_reserved_bits),
		cmocka_unit_test(model_finds_freed_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
