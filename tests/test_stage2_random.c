/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random sequences of all stage-2 operations, on every format, against an array that has one
 * element per guest page, with the TLB model watching and with allocations that fail.
 */
#include "tests/model/tlb_rig.h"
#include <hypercore/errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OPS        450
#define SWEEP      150
#define LOW_PAGES  (2 * HC_GIB / HC_PAGE_SIZE) /* the start of the address space */
#define HIGH_PAGES (HC_GIB / HC_PAGE_SIZE)     /* and its end */
#define PAGES      (LOW_PAGES + HIGH_PAGES)

struct page {
	uint64_t hpa;
	uint8_t attr; /* 0: not mapped */
	bool dirty;   /* has to be in the next collection */
};

struct world {
	struct rig rig;
	struct page *pages;
	uint64_t *bitmap;
	uint64_t seed, high; /* high: where the end's pages begin */
	bool logging;
	uint64_t log_from, log_pages; /* in pages of the array */
};

/* xorshift64*, Vigna 2016. */
static uint64_t rnd(struct world *w)
{
	w->seed ^= w->seed >> 12;
	w->seed ^= w->seed << 25;
	w->seed ^= w->seed >> 27;
	return w->seed * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t below(struct world *w, uint64_t n)
{
	return (rnd(w) >> 11) % n;
}

static uint64_t gpa_at(const struct world *w, uint64_t page)
{
	return page < LOW_PAGES ? page * HC_PAGE_SIZE : w->high + (page - LOW_PAGES) * HC_PAGE_SIZE;
}

/* A range within one of the two parts; often aligned, often at its ends. */
static void pick_range(struct world *w, uint64_t *page, uint64_t *count)
{
	static const uint64_t units[] = { 1, 1, 1, 512, 512, 262144 };
	bool high = below(w, 4) == 0;
	uint64_t start = high ? LOW_PAGES : 0, total = high ? HIGH_PAGES : LOW_PAGES;
	uint64_t unit = units[below(w, below(w, 4) ? 5 : 6)];
	uint64_t most = unit == 1 ? 1300 : unit == 512 ? 6 : 2;

	/* Most of it in few places, that operations meet. */
	if (below(w, 4))
		total = hc_min(total, UINT64_C(8) * 512);
	*count = hc_min(unit * (1 + below(w, most)), total);
	*page = start + below(w, total - *count + 1);
	if (below(w, 2))
		*page = start + (*page - start) / unit * unit;
	if (high && below(w, 4) == 0)
		*page = PAGES - *count;
}

static unsigned pick_perm(struct world *w)
{
	static const unsigned perms[] = { S2_R, S2_R | S2_W, S2_R | S2_X, S2_RWX, S2_RWX };

	return perms[below(w, HC_ARRAY_SIZE(perms))];
}

static unsigned pick_attr(struct world *w)
{
	static const unsigned types[] = { S2_WB, S2_WB, S2_WB, S2_UC, S2_WC };

	return pick_perm(w) | types[below(w, HC_ARRAY_SIZE(types))];
}

/* Congruent with the guest's address more often than not: large pages are possible. */
static uint64_t pick_hpa(struct world *w, uint64_t gpa)
{
	static const uint64_t offsets[] = { 0, 0, 2 * HC_MIB, HC_GIB, 5 * HC_PAGE_SIZE };

	return 16 * HC_GIB + (gpa & (8 * HC_GIB - 1)) + offsets[below(w, HC_ARRAY_SIZE(offsets))];
}

/* ---- Comparing ---- */

static void check_page(struct world *w, uint64_t page)
{
	struct s2_mapping m;
	uint64_t gpa = gpa_at(w, page) + below(w, HC_PAGE_SIZE);
	int err = s2_walk(&w->rig.s2, gpa_of(gpa), &m);
	const struct page *p = &w->pages[page];

	assert_int_equal(err, p->attr ? 0 : -EFAULT);
	assert_true(m.size == HC_PAGE_SIZE << 9 * m.level);
	if (!p->attr)
		return;
	assert_int_equal(m.attr, p->attr);
	assert_true(m.hpa.v == p->hpa + gpa % HC_PAGE_SIZE);
}

static void sweep(struct world *w)
{
	for (uint64_t page = 0; page < PAGES;) {
		struct s2_mapping m;
		uint64_t gpa = gpa_at(w, page), n;
		int err = s2_walk(&w->rig.s2, gpa_of(gpa), &m);

		n = (m.size - gpa % m.size) / HC_PAGE_SIZE;
		n = hc_min(n, (page < LOW_PAGES ? LOW_PAGES : PAGES) - page);
		for (uint64_t i = 0; i < n; i++) {
			const struct page *p = &w->pages[page + i];

			if (err ? p->attr != 0
			        : p->attr != m.attr || p->hpa != m.hpa.v + i * HC_PAGE_SIZE)
				fail_msg("page %#lx is not as mapped", (unsigned long)(page + i));
		}
		page += n;
	}
}

static bool touches_log(const struct world *w, uint64_t page, uint64_t count)
{
	return w->logging && page < w->log_from + w->log_pages && w->log_from < page + count;
}

/* A guest's access, as its CPU and then the exit handler would do it. */
static void guest_access(struct world *w, uint64_t page)
{
	static const enum tlb_access kinds[] = { TLB_READ, TLB_WRITE, TLB_WRITE, TLB_EXEC };
	enum tlb_access access = kinds[below(w, HC_ARRAY_SIZE(kinds))];
	unsigned need = access == TLB_WRITE ? S2_W : access == TLB_EXEC ? S2_X : S2_R;
	uint64_t gpa = gpa_at(w, page);
	struct page *p = &w->pages[page];
	struct tlb_entry e;
	bool may = (p->attr & need) != 0, passed = tlb_access(w->rig.tlb, gpa, access, &e);

	if (!passed && access == TLB_WRITE) {
		assert_int_equal(s2_log_fault(&w->rig.s2, gpa_of(gpa)), may ? 0 : -EFAULT);
		/* Only a log may have stood in the way, and of its own pages only. */
		assert_true(!may || (touches_log(w, page, 1) && !w->rig.kind->hw_dirty));
		passed = tlb_access(w->rig.tlb, gpa, access, &e);
	}
	assert_int_equal(passed, may);
	if (!passed)
		return;
	assert_true(e.pa + (gpa - e.gpa) == p->hpa);
	assert_int_equal(e.type, p->attr & S2_TYPE);
	p->dirty |= access == TLB_WRITE;
}

static void check_some(struct world *w, uint64_t page, uint64_t count)
{
	rig_check(&w->rig);
	check_page(w, page);
	check_page(w, page + count - 1);
	check_page(w, page ? page - 1 : 0);
	check_page(w, hc_min(page + count, PAGES - 1));
	for (unsigned i = 0; i < 8; i++) {
		check_page(w, below(w, PAGES));
		check_page(w, page + below(w, count));
		guest_access(w, page + below(w, count));
	}
	rig_check(&w->rig);
}

/* ---- Allocation failure ---- */

/* Of the tables' contents and of which pages are tables. */
static uint64_t fingerprint(const struct world *w)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < TLB_PAGES; i++) {
		if (!w->rig.tlb->order[i])
			continue;
		hash = (hash ^ i) * UINT64_C(1099511628211);
		for (size_t j = 0; j < 512; j++)
			hash = (hash ^ w->rig.tlb->memory[i][j]) * UINT64_C(1099511628211);
	}
	return hash;
}

struct call {
	enum { MAP, UNMAP, PROTECT, LOG_START, RESERVE } what;
	uint64_t gpa, hpa, size;
	unsigned attr;
	uint64_t page; /* RESERVE */
};

static int make(struct s2 *s2, const struct call *c)
{
	switch (c->what) {
	case MAP: return s2_map(s2, gpa_of(c->gpa), hpa_of(c->hpa), c->size, c->attr);
	case UNMAP: return s2_unmap(s2, gpa_of(c->gpa), c->size);
	case PROTECT: return s2_protect(s2, gpa_of(c->gpa), c->size, c->attr);
	case LOG_START: return s2_log_start(s2, gpa_of(c->gpa), c->size);
	case RESERVE: return s2_reserve(s2, gpa_of(c->gpa), c->size, c->page);
	default: return -EINVAL;
	}
}

/* Fails the first allocation, then the second, ...; each time nothing may have changed. */
static void make_starved(struct world *w, const struct call *c)
{
	struct tlb *tlb = w->rig.tlb;
	uint64_t before = fingerprint(w);
	struct s2 s2 = w->rig.s2;
	int err;

	for (int64_t n = 0;; n = n < 8 ? n + 1 : n * 2) {
		unsigned allocated = tlb->allocated, invalidations = tlb->invalidations;

		tlb->fail_after = n;
		err = make(&w->rig.s2, c);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(tlb->allocated, allocated);
		assert_int_equal(tlb->invalidations, invalidations);
		assert_memory_equal(&w->rig.s2, &s2, sizeof(s2));
		assert_true(fingerprint(w) == before);
		rig_check(&w->rig);
	}
	tlb->fail_after = -1;
}

/* ---- One operation each ---- */

static void run_call(struct world *w, struct call c)
{
	if (below(w, 8) == 0) {
		tlb_unwatch(w->rig.tlb);
		make_starved(w, &c);
	} else {
		assert_int_equal(make(&w->rig.s2, &c), 0);
	}
}

static void map_to(struct world *w, uint64_t page, uint64_t count, uint64_t hpa)
{
	unsigned attr = pick_attr(w);
	bool logged =
		w->logging && page >= w->log_from && page + count <= w->log_from + w->log_pages;
	bool clean = logged && below(w, 2);

	run_call(w, (struct call){ MAP, gpa_at(w, page), hpa, count * HC_PAGE_SIZE,
	                           attr | (clean ? S2_CLEAN : 0), 0 });
	for (uint64_t i = 0; i < count; i++)
		w->pages[page + i] = (struct page){ hpa + i * HC_PAGE_SIZE, (uint8_t)attr,
			                            (attr & S2_W) && !clean };
}

static void op_map(struct world *w, uint64_t page, uint64_t count)
{
	map_to(w, page, count, pick_hpa(w, gpa_at(w, page)));
}

/* Then some of the pages of that size are mapped, without memory for tables. */
static void op_reserve(struct world *w, uint64_t page, uint64_t count)
{
	static const unsigned lengths[] = { 1, 512, 512, 512, 262144 };
	unsigned length = lengths[below(w, HC_ARRAY_SIZE(lengths))];
	uint64_t from = (page + length - 1) / length * length;
	uint64_t to = (page + count) / length * length;

	run_call(w, (struct call){ RESERVE, gpa_at(w, page), 0, count * HC_PAGE_SIZE, 0,
	                           length * HC_PAGE_SIZE });
	for (unsigned n = 0; n < 4 && from < to; n++) {
		uint64_t at = from + below(w, (to - from) / length) * length;

		w->rig.tlb->fail_after = 0;
		map_to(w, at, length, 16 * HC_GIB + below(w, 8) * 4 * HC_GIB);
	}
	w->rig.tlb->fail_after = -1;
}

static void op_unmap(struct world *w, uint64_t page, uint64_t count)
{
	run_call(w, (struct call){ UNMAP, gpa_at(w, page), 0, count * HC_PAGE_SIZE, 0, 0 });
	memset(&w->pages[page], 0, count * sizeof(w->pages[0]));
}

static void op_protect(struct world *w, uint64_t page, uint64_t count)
{
	unsigned perm = pick_perm(w);

	run_call(w, (struct call){ PROTECT, gpa_at(w, page), 0, count * HC_PAGE_SIZE, perm, 0 });
	for (uint64_t i = 0; i < count; i++) {
		struct page *p = &w->pages[page + i];

		if (p->attr)
			p->attr = (uint8_t)((p->attr & S2_TYPE) | perm);
	}
}

static void op_merge(struct world *w, uint64_t page, uint64_t count)
{
	int64_t n = s2_merge(&w->rig.s2, gpa_of(gpa_at(w, page)), count * HC_PAGE_SIZE);

	if (touches_log(w, page, count))
		assert_int_equal(n, -EBUSY);
	else
		assert_true(n >= 0);
}

static void op_log_start(struct world *w, uint64_t page, uint64_t count)
{
	struct call c = { LOG_START, gpa_at(w, page), 0, count * HC_PAGE_SIZE, 0, 0 };

	if (w->logging) {
		assert_int_equal(make(&w->rig.s2, &c), -EBUSY);
		return;
	}
	run_call(w, c);
	w->logging = true;
	w->log_from = page;
	w->log_pages = count;
	for (uint64_t i = 0; i < count; i++)
		w->pages[page + i].dirty = false;
}

/* A part of the log, or by chance all of it. */
static void op_log_collect(struct world *w, uint64_t page, uint64_t count)
{
	int64_t n, set = 0;

	if (w->logging) {
		page = w->log_from + (below(w, 2) ? below(w, w->log_pages) : 0);
		count = w->log_from + w->log_pages - page;
		count -= below(w, 2) ? below(w, count) : 0;
	}
	memset(w->bitmap, 0, (count + 63) / 64 * 8);
	n = s2_log_collect(&w->rig.s2, gpa_of(gpa_at(w, page)), count * HC_PAGE_SIZE, w->bitmap);
	if (!w->logging) {
		assert_int_equal(n, -EINVAL);
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		struct page *p = &w->pages[page + i];
		bool bit = (w->bitmap[i / 64] >> i % 64) & 1;

		if (p->dirty && !bit)
			fail_msg("the write to page %#lx was lost", (unsigned long)(page + i));
		if (bit && !p->attr)
			fail_msg("page %#lx is no page", (unsigned long)(page + i));
		p->dirty = false;
		set += bit;
	}
	assert_true(n == set);
}

/* A bitmap of chance: nothing, single pages, runs. */
static void fill_bitmap(struct world *w, uint64_t count)
{
	for (uint64_t i = 0; i < (count + 63) / 64; i++) {
		uint64_t kind = below(w, 4);

		w->bitmap[i] = kind ? UINT64_MAX : 0;
		for (unsigned turn = 1; turn < kind; turn++)
			w->bitmap[i] &= rnd(w);
	}
}

/* What is cleaned was written as far as somebody else knows: it need not be collected, but what is
 * written from then on has to be. */
static void op_log_clean(struct world *w, uint64_t page, uint64_t count)
{
	int rc;

	if (w->logging) {
		page = w->log_from + below(w, w->log_pages);
		count = 1 + below(w, w->log_from + w->log_pages - page);
	}
	fill_bitmap(w, count);
	for (uint64_t i = 0; w->logging && i < count; i++) {
		struct s2_mapping m;
		struct page *p = &w->pages[page + i];

		if (!(w->bitmap[i / 64] >> i % 64 & 1) || !p->attr)
			continue;
		assert_int_equal(s2_walk(&w->rig.s2, gpa_of(gpa_at(w, page + i)), &m), 0);
		if (!m.level)
			p->dirty = false;
	}
	rc = s2_log_clean(&w->rig.s2, gpa_of(gpa_at(w, page)), count * HC_PAGE_SIZE, w->bitmap);
	assert_int_equal(rc, w->logging ? 0 : -EINVAL);
}

static void op_log_stop(struct world *w, uint64_t page, uint64_t count)
{
	(void)page;
	(void)count;
	s2_log_stop(&w->rig.s2);
	w->logging = false;
}

static const struct {
	void (*op)(struct world *w, uint64_t page, uint64_t count);
	unsigned weight;
} ops[] = {
	{ op_map, 8 },       { op_unmap, 4 },     { op_protect, 6 },
	{ op_merge, 3 },     { op_log_start, 2 }, { op_log_collect, 4 },
	{ op_log_clean, 3 }, { op_log_stop, 1 },  { op_reserve, 3 },
};

static void step(struct world *w)
{
	uint64_t page, count;
	unsigned total = 0, i;

	for (i = 0; i < HC_ARRAY_SIZE(ops); i++)
		total += ops[i].weight;
	total = (unsigned)below(w, total);
	for (i = 0; total >= ops[i].weight; i++)
		total -= ops[i].weight;
	pick_range(w, &page, &count);
	for (unsigned n = 0; n < 12; n++) {
		uint64_t at = n % 3 ? page + below(w, count) : below(w, PAGES);

		tlb_watch(w->rig.tlb, gpa_at(w, at));
		guest_access(w, at);
	}
	w->rig.tlb->others_write = below(w, 2);
	ops[i].op(w, page, count);
	tlb_unwatch(w->rig.tlb);
	check_some(w, page, count);
}

static void run(const struct rig_kind *kind, unsigned ipa_bits, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->seed = seed;
	w->pages = calloc(PAGES, sizeof(*w->pages));
	w->bitmap = calloc(PAGES / 64, sizeof(*w->bitmap));
	assert_true(w->pages && w->bitmap);
	w->high = (UINT64_C(1) << ipa_bits) - HIGH_PAGES * HC_PAGE_SIZE;
	rig_open(&w->rig, kind, ipa_bits);
	for (unsigned n = 0; n < OPS; n++) {
		step(w);
		if (n % SWEEP == SWEEP - 1)
			sweep(w);
	}
	/* The model met something, and something was forgotten in time. */
	assert_true(w->rig.tlb->invalidations > OPS / 8);
	rig_close(&w->rig);
	free(w->pages);
	free(w->bitmap);
	free(w);
}

static const struct {
	unsigned kind, ipa_bits;
} cases[] = { { 0, 48 }, { 1, 40 }, { 2, 48 }, { 3, 32 }, { 3, 36 }, { 3, 40 }, { 3, 48 } };

static void random_operations(void **state)
{
	const char *seed = getenv("HC_SEED");
	uint64_t base = seed ? strtoull(seed, NULL, 0) : 1;

	(void)state;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		print_message("%s, %u bits, HC_SEED=%lu\n", rig_kinds[cases[i].kind].name,
		              cases[i].ipa_bits, (unsigned long)base);
		run(&rig_kinds[cases[i].kind], cases[i].ipa_bits,
		    base * UINT64_C(0x9e3779b97f4a7c15) + i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_operations) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
