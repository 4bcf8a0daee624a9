/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/tlb.h"
#include <hypercore/errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 4

/* One walk: the tables it went through, then the page if it found one. */
struct walk {
	struct tlb_entry steps[STEPS_MAX];
	unsigned count;
	bool mapped;
};

enum kind { ABSENT, TABLE, PAGE, WRONG };

#define complain(tlb, ...)                                                                         \
	do {                                                                                       \
		if (!(tlb)->complaints++)                                                          \
			snprintf((tlb)->complaint, sizeof((tlb)->complaint), __VA_ARGS__);         \
	} while (0)

static uint64_t low_bits(unsigned n)
{
	return (UINT64_C(1) << n) - 1;
}

static bool any(uint64_t entry, unsigned hi, unsigned lo)
{
	return hi >= lo && hc_bits(entry, hi, lo) != 0;
}

/* ---- The formats, from the manuals ---- */

/* SDM Vol. 3C 29.3.2, tables 29-1 to 29-7; 29.3.3.1 "EPT Misconfigurations". */
static enum kind ept_decode(const struct tlb *tlb, uint64_t e, unsigned shift,
                            struct tlb_entry *out)
{
	bool page = shift == 12 || (shift <= 30 && (e & HC_BIT(7)));
	unsigned type = (unsigned)hc_bits(e, 5, 3);

	if (!any(e, 2, 0))
		return ABSENT;
	if (!(e & 1) || any(e, 51, TLB_PA_BITS))
		return WRONG;
	out->access &= (unsigned)hc_bits(e, 2, 0);
	out->dirty = tlb->flags && (e & HC_BIT(9));
	if (!page)
		return any(e, shift == 39 ? 7 : 6, 3) ? WRONG : TABLE;
	if (any(e, shift - 1, 12) || type == 2 || type == 3 || type == 7)
		return WRONG;
	/* Types 4 and 5 are valid, but nothing asks for write-through or write-protect. */
	out->type = type == 6 ? S2_WB : type == 1 ? S2_WC : type == 0 ? S2_UC : S2_TYPE;
	return PAGE;
}

/* APM Vol. 2 5.3.3 and 5.3.4 (figures 5-17 to 5-25), 7.8, 15.25.5. */
static enum kind npt_decode(const struct tlb *tlb, uint64_t e, unsigned shift,
                            struct tlb_entry *out)
{
	bool page = shift == 12 || (shift <= 30 && (e & HC_BIT(7)));
	unsigned pat_bit = shift == 12 ? 7 : 12;
	unsigned index, type;

	if (!(e & 1))
		return ABSENT;
	if (any(e, 51, TLB_PA_BITS) || (shift == 39 && any(e, 8, 7)))
		return WRONG;
	/* A guest's access is a user's. */
	if (!(e & HC_BIT(2)))
		out->access = 0;
	out->access &= TLB_READ | (e & HC_BIT(1) ? (unsigned)TLB_WRITE : 0) |
	               (e & HC_BIT(63) ? 0 : (unsigned)TLB_EXEC);
	out->dirty = (e & HC_BIT(6)) != 0;
	if (!page)
		return TABLE;
	if (any(e, shift - 1, 13))
		return WRONG;
	index = (unsigned)(hc_bits(e, 4, 3) | hc_bits(e, pat_bit, pat_bit) << 2);
	type = (unsigned)(tlb->pat >> 8 * index) & 0xff;
	out->type = type == 6 ? S2_WB : type == 1 ? S2_WC : type == 0 ? S2_UC : S2_TYPE;
	return PAGE;
}

/* Arm ARM D8.3.1 (figures D8-12 to D8-14), D8.3.2 for stage 2 attributes, D8.6.6. */
static enum kind vmsav8_decode(const struct tlb *tlb, uint64_t e, unsigned shift,
                               struct tlb_entry *out)
{
	unsigned attr = (unsigned)hc_bits(e, 5, 2), share = (unsigned)hc_bits(e, 9, 8);

	if (!(e & 1))
		return ABSENT;
	if (any(e, 50, TLB_PA_BITS))
		return WRONG;
	if (shift > 12 && (e & 2))
		return any(e, 63, 59) ? WRONG : TABLE;
	/* No block on level 0, no block encoding on level 3; no flag fault is expected. */
	if (shift == 39 || (shift == 12 && !(e & 2)) || !(e & HC_BIT(10)))
		return WRONG;
	/* DBM, contiguous, XN[0] and bit 11 want features that are not there. */
	if (any(e, shift - 1, 12) || any(e, 53, 51) || (e & HC_BIT(11)) || share == 1)
		return WRONG;
	if (attr > 3 && (attr & 3) == 0)
		return WRONG;
	out->access &= (e & HC_BIT(6) ? (unsigned)TLB_READ : 0) |
	               (e & HC_BIT(7) ? (unsigned)TLB_WRITE : 0) |
	               (e & HC_BIT(54) ? 0 : (unsigned)TLB_EXEC);
	out->type = attr == 15 && share == 3 ? S2_WB
	            : attr <= 3              ? S2_UC
	            : attr == 5              ? S2_WC
	                                     : S2_TYPE;
	return PAGE;
}

static enum kind decode(const struct tlb *tlb, uint64_t e, unsigned shift, struct tlb_entry *out)
{
	switch (tlb->arch) {
	case TLB_EPT: return ept_decode(tlb, e, shift, out);
	case TLB_NPT: return npt_decode(tlb, e, shift, out);
	case TLB_VMSAV8: return vmsav8_decode(tlb, e, shift, out);
	default: return WRONG;
	}
}

/* ---- Walking ---- */

/* The entry's place in memory and seen, or -1: not in a table. */
static long locate(struct tlb *tlb, uint64_t pa)
{
	uint64_t page = (pa - TLB_BASE) / HC_PAGE_SIZE;

	if (pa < TLB_BASE || page >= TLB_PAGES || !tlb->order[page]) {
		complain(tlb, "a walk reads %#" PRIx64 ", where no table is", pa);
		return -1;
	}
	return (long)((pa - TLB_BASE) / 8);
}

/* Hardware sets the accessed flags on its way, and the dirty flag in the page's entry. */
static void set_flags(struct tlb *tlb, uint64_t *entry, bool page, bool write)
{
	if (tlb->arch == TLB_VMSAV8 || (tlb->arch == TLB_EPT && !tlb->flags))
		return;
	*entry |= tlb->arch == TLB_EPT ? HC_BIT(8) : HC_BIT(5);
	if (page && write)
		*entry |= tlb->arch == TLB_EPT ? HC_BIT(9) : HC_BIT(6);
}

/* Walks in memory, or in what is certainly seen of it. A write that will pass sets dirty. */
static struct walk walk(struct tlb *tlb, uint64_t gpa, bool seen, bool write)
{
	uint64_t(*memory)[512] = seen ? tlb->seen : tlb->memory;
	uint64_t table = tlb->root, index = gpa >> tlb->top;
	struct tlb_entry step = { .access = TLB_READ | TLB_WRITE | TLB_EXEC };
	struct walk w = { .count = 0 };

	for (unsigned shift = tlb->top; shift >= 12;
	     shift -= 9, index = hc_bits(gpa, shift + 8, shift)) {
		long at = locate(tlb, table + index * 8);
		uint64_t *entry = at < 0 ? NULL : &memory[at / 512][at % 512];
		enum kind kind = entry ? decode(tlb, *entry, shift, &step) : ABSENT;

		if (kind == WRONG)
			complain(tlb, "entry %#" PRIx64 " for %#" PRIx64 " at bit %u is reserved",
			         *entry, gpa, shift);
		if (kind == ABSENT || kind == WRONG)
			return w;
		set_flags(tlb, entry, kind == PAGE, write && (step.access & TLB_WRITE));
		step.dirty |= kind == PAGE && write && (step.access & TLB_WRITE) && tlb->flags;
		step.table = kind == TABLE;
		step.size = UINT64_C(1) << shift;
		step.gpa = gpa & ~(step.size - 1);
		step.pa = table = *entry & low_bits(48) & ~low_bits(kind == PAGE ? shift : 12);
		w.steps[w.count++] = step;
		if (kind == PAGE) {
			w.mapped = true;
			return w;
		}
	}
	return w;
}

static bool overlap(const struct tlb_entry *a, uint64_t gpa, uint64_t size)
{
	return a->gpa < gpa + size && gpa < a->gpa + a->size;
}

/* Two entries that no CPU may hold at once: Arm ARM D8.16. Given that they overlap. */
static bool contradict(const struct tlb_entry *a, const struct tlb_entry *b)
{
	if (a->table && b->table)
		return a->size == b->size && a->pa != b->pa;
	if (a->table || b->table)
		return (a->table ? b->size >= a->size : a->size >= b->size);
	return a->size != b->size || a->pa != b->pa || a->type != b->type;
}

static bool same(const struct tlb_entry *a, const struct tlb_entry *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->pa == b->pa && a->table == b->table &&
	       (a->table || (a->access == b->access && a->type == b->type && a->dirty == b->dirty));
}

static void remember(struct tlb *tlb, const struct tlb_entry *new)
{
	for (unsigned i = 0; i < tlb->cached; i++) {
		const struct tlb_entry *old = &tlb->cache[i];

		/* As overlap(): most do not, and this is where the time goes. */
		if (old->gpa >= new->gpa + new->size || new->gpa >= old->gpa + old->size)
			continue;
		if (same(old, new))
			return;
		if (tlb->arch == TLB_VMSAV8 && contradict(old, new))
			complain(tlb,
			         "%#" PRIx64 "+%#" PRIx64 " -> %#" PRIx64 " met while %#" PRIx64
			         "+%#" PRIx64 " -> %#" PRIx64
			         " is remembered: no break before make",
			         new->gpa, new->size, new->pa, old->gpa, old->size, old->pa);
	}
	if (tlb->cached < TLB_CACHE)
		tlb->cache[tlb->cached++] = *new;
	else
		tlb->cache[tlb->evict++ % TLB_CACHE] = *new;
}

static struct walk fill(struct tlb *tlb, uint64_t gpa, bool seen, bool write)
{
	struct walk w = walk(tlb, gpa, seen, write);

	for (unsigned i = 0; i < w.count; i++)
		remember(tlb, &w.steps[i]);
	return w;
}

/* On Arm a walk may see, or not see, what was not synchronised. */
static bool toss(struct tlb *tlb)
{
	return tlb->arch == TLB_VMSAV8 && (tlb->coin++ & 1);
}

/* What the other CPUs do meanwhile. */
static void run_others(struct tlb *tlb)
{
	if (tlb->busy || !tlb->watched)
		return;
	tlb->busy = true;
	fill(tlb, tlb->watch[tlb->turn++ % tlb->watched], toss(tlb), tlb->others_write);
	tlb->busy = false;
}

/* ---- What the engine calls ---- */

static int model_alloc(void *ctx, unsigned order, hpa_t *table)
{
	struct tlb *tlb = ctx;
	size_t pages = (size_t)1 << order, first = 0;

	run_others(tlb);
	if (tlb->fail_after >= 0 && tlb->fail_after-- == 0) {
		tlb->fail_after = 0;
		return -ENOMEM;
	}
	for (size_t n = 0; n < pages; n++) {
		if (first + n >= TLB_PAGES)
			return -ENOMEM;
		if (tlb->order[first + n]) {
			first += pages;
			n = (size_t)-1;
		}
	}
	memset(&tlb->order[first], 0xff, pages);
	tlb->order[first] = (uint8_t)(1 + order);
	memset(&tlb->suspect[first], 1, pages);
	memset(tlb->memory[first], 0, pages * HC_PAGE_SIZE);
	memset(tlb->seen[first], tlb->arch == TLB_VMSAV8 ? 0xff : 0, pages * HC_PAGE_SIZE);
	tlb->allocated += (unsigned)pages;
	table->v = TLB_BASE + first * HC_PAGE_SIZE;
	return 0;
}

static void model_free(void *ctx, hpa_t table, unsigned order)
{
	struct tlb *tlb = ctx;
	size_t first = (size_t)((table.v - TLB_BASE) / HC_PAGE_SIZE), pages = (size_t)1 << order;

	run_others(tlb);
	if (table.v < TLB_BASE || first >= TLB_PAGES || tlb->order[first] != 1 + order) {
		complain(tlb, "freed %#" PRIx64 " of order %u, which is no allocation", table.v,
		         order);
		return;
	}
	memset(&tlb->order[first], 0, pages);
	memset(tlb->memory[first], 0xff, pages * HC_PAGE_SIZE);
	memset(tlb->seen[first], 0xff, pages * HC_PAGE_SIZE);
	tlb->allocated -= (unsigned)pages;
}

static s2_entry_t *model_ptr(void *ctx, hpa_t table)
{
	struct tlb *tlb = ctx;
	long at = locate(tlb, table.v);

	run_others(tlb);
	if (at < 0)
		abort();
	tlb->suspect[at / 512] = true;
	return (s2_entry_t *)&tlb->memory[at / 512][at % 512];
}

static void model_sync(void *ctx, const s2_entry_t *entries, size_t bytes)
{
	struct tlb *tlb = ctx;
	size_t at = (size_t)((uintptr_t)entries - (uintptr_t)tlb->memory);

	run_others(tlb);
	tlb->syncs++;
	if (at > sizeof(tlb->memory) || bytes > sizeof(tlb->memory) - at)
		complain(tlb, "synchronised what is no table memory");
	else
		memcpy((char *)tlb->seen + at, (const char *)tlb->memory + at, bytes);
	run_others(tlb);
}

/* Before a break is over, walkers must be certain to see it: both views are walked. */
static void meet_all(struct tlb *tlb, uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < tlb->cached; i++) {
		uint64_t at = hc_max(tlb->cache[i].gpa, gpa);

		if (!overlap(&tlb->cache[i], gpa, size))
			continue;
		fill(tlb, at, false, false);
		if (tlb->arch == TLB_VMSAV8) {
			struct walk now = walk(tlb, at, false, false);
			struct walk seen = walk(tlb, at, true, false);

			if (now.count != seen.count || now.mapped != seen.mapped)
				complain(tlb, "invalidates %#" PRIx64 " before it synchronises",
				         at);
		}
	}
}

static void model_invalidate(void *ctx, gpa_t gpa, uint64_t size)
{
	struct tlb *tlb = ctx;
	unsigned kept = 0;

	run_others(tlb);
	tlb->invalidations++;
	if (tlb->ignore_invalidate)
		return;
	tlb->busy = true;
	meet_all(tlb, gpa.v, size);
	for (unsigned i = 0; i < tlb->cached; i++)
		if (!overlap(&tlb->cache[i], gpa.v, size))
			tlb->cache[kept++] = tlb->cache[i];
	tlb->cached = kept;
	tlb->busy = false;
	run_others(tlb);
}

const struct mm_ops tlb_mm_ops = {
	.alloc_table = model_alloc,
	.free_table = model_free,
	.table_ptr = model_ptr,
	.invalidate = model_invalidate,
	.sync = model_sync,
};

/* ---- What tests call ---- */

struct tlb *tlb_new(enum tlb_arch arch)
{
	struct tlb *tlb = calloc(1, sizeof(*tlb));

	if (!tlb)
		abort();
	tlb->arch = arch;
	tlb->fail_after = -1;
	return tlb;
}

void tlb_load_npt(struct tlb *tlb, uint64_t ncr3, uint64_t pat)
{
	tlb->root = ncr3;
	tlb->pat = pat;
	tlb->flags = true;
	tlb->top = 39;
	tlb->ipa_bits = 48;
}

/* SDM Vol. 3C 25.6.11, 27.2.1.1 "VM-Execution Control Fields". */
void tlb_load_ept(struct tlb *tlb, uint64_t eptp)
{
	if (hc_bits(eptp, 2, 0) != 6 || hc_bits(eptp, 5, 3) != 3 || any(eptp, 11, 7) ||
	    any(eptp, 63, TLB_PA_BITS))
		complain(tlb, "EPTP %#" PRIx64 " fails VM entry", eptp);
	tlb->root = eptp & ~low_bits(12);
	tlb->flags = (eptp & HC_BIT(6)) != 0;
	tlb->top = 39;
	tlb->ipa_bits = 48;
}

/* Arm ARM D8.2.8 "VMSAv8-64 translation using the 4KB granule", VTCR_EL2, VTTBR_EL2. */
void tlb_load_vmsav8(struct tlb *tlb, uint64_t vtcr, uint64_t vttbr)
{
	unsigned t0sz = (unsigned)hc_bits(vtcr, 5, 0), sl0 = (unsigned)hc_bits(vtcr, 7, 6);
	unsigned bits = 64 - t0sz, top = 21 + 9 * sl0;
	unsigned index_bits = bits > top ? bits - top : 0;
	/* BADDR is aligned to the size of all root tables: from 64 entries' worth up. */
	unsigned align = index_bits + 3 > 12 ? index_bits + 3 : 12;

	if (sl0 > 2 || bits > 48 || index_bits == 0 || index_bits > 13 ||
	    (sl0 == 2 && index_bits > 9) || any(vtcr, 15, 14) || !(vtcr & HC_BIT(31)))
		complain(tlb, "VTCR_EL2 %#" PRIx64 " is reserved", vtcr);
	tlb->root = vttbr & low_bits(48);
	if (tlb->root & low_bits(align))
		complain(tlb, "VTTBR_EL2 %#" PRIx64 " is not aligned to 2^%u", vttbr, align);
	tlb->top = top;
	tlb->ipa_bits = bits;
}

/* One that permits the access, if any does: the TLB is free to use it. */
static struct tlb_entry *find(struct tlb *tlb, uint64_t gpa, enum tlb_access access)
{
	struct tlb_entry *found = NULL;

	for (unsigned i = 0; i < tlb->cached; i++) {
		struct tlb_entry *e = &tlb->cache[i];

		if (!e->table && overlap(e, gpa, 1) && (!found || !(found->access & access)))
			found = e;
	}
	return found;
}

bool tlb_access(struct tlb *tlb, uint64_t gpa, enum tlb_access access, struct tlb_entry *entry)
{
	struct tlb_entry *hit = find(tlb, gpa, access);
	bool write = access == TLB_WRITE;
	struct walk w;

	/* A CPU walks to set the dirty flag; x86 CPUs walk before they report a fault. */
	if (hit && (!write || hit->dirty || !tlb->flags) &&
	    (tlb->arch == TLB_VMSAV8 || (hit->access & access))) {
		*entry = *hit;
		return (hit->access & access) != 0;
	}
	if (gpa >> tlb->ipa_bits)
		return false;
	w = fill(tlb, gpa, toss(tlb), write);
	if (!w.mapped)
		return false;
	*entry = w.steps[w.count - 1];
	return (entry->access & access) != 0;
}

void tlb_watch(struct tlb *tlb, uint64_t gpa)
{
	if (tlb->watched < TLB_WATCH_MAX && gpa >> tlb->ipa_bits == 0)
		tlb->watch[tlb->watched++] = gpa;
}

void tlb_unwatch(struct tlb *tlb)
{
	tlb->watched = 0;
}

static bool still_true(const struct tlb *tlb, const struct tlb_entry *e, const struct walk *now)
{
	for (unsigned i = 0; i < now->count; i++) {
		const struct tlb_entry *n = &now->steps[i];

		if (n->table != e->table || n->size != e->size || n->pa != e->pa)
			continue;
		if (e->table)
			return true;
		/* A right that was granted since: x86 CPUs look again before they fault. */
		return n->type == e->type && (e->access & ~n->access) == 0 &&
		       (tlb->arch != TLB_VMSAV8 || e->access == n->access) &&
		       (!e->dirty || n->dirty);
	}
	return false;
}

static void check_synced(struct tlb *tlb)
{
	for (size_t i = 0; i < TLB_PAGES; i++) {
		if (tlb->suspect[i] && tlb->order[i] && tlb->arch == TLB_VMSAV8 &&
		    memcmp(tlb->memory[i], tlb->seen[i], HC_PAGE_SIZE) != 0)
			complain(tlb, "table %zu holds entries that were never synchronised", i);
		tlb->suspect[i] = false;
	}
}

void tlb_check(struct tlb *tlb)
{
	check_synced(tlb);
	for (unsigned i = 0; i < tlb->cached; i++) {
		const struct tlb_entry *e = &tlb->cache[i];
		struct walk now = walk(tlb, e->gpa, false, false);

		if (!still_true(tlb, e, &now))
			complain(tlb,
			         "%s %#" PRIx64 "+%#" PRIx64 " -> %#" PRIx64
			         " (access %u, dirty %d) is stale",
			         e->table ? "table" : "page", e->gpa, e->size, e->pa, e->access,
			         e->dirty);
	}
}
