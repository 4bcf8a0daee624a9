/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log. It has no memory of its own: each leaf says whether its page was written.
 *
 *                     hardware sets dirty      hardware does not
 *   clean, logged     dirty clear, writable    dirty clear, write-protected, may_write set
 *   a guest writes    dirty becomes set        a fault: s2_log_fault sets dirty and writable
 *
 * To clean a page is to weaken its entry: CPUs that remember it as dirty or writable would let
 * writes pass unseen.
 */
#include "mmu/stage2.h"
#include "mmu/walk.h"
#include <hypercore/errno.h>

static uint64_t dirty_leaf(const struct s2_format *f, uint64_t leaf)
{
	return (leaf & ~f->may_write) | f->write | f->dirty;
}

static enum s2_verdict set_if_new(uint64_t *entry, uint64_t new)
{
	if (*entry == new)
		return S2_SKIP;
	*entry = new;
	return S2_SET;
}

/* ---- Start and stop ---- */

/* Large pages that nobody may write need no finer log. */
static enum s2_verdict start_decide(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry)
{
	const struct s2_format *f = op->format;

	if (!s2_is_valid(f, *entry))
		return S2_SKIP;
	if (!s2_is_leaf(f, *entry, slot->level) || (slot->level > 0 && s2_is_writable(f, *entry)))
		return S2_DESCEND;
	return set_if_new(entry, s2_clean_leaf(f, *entry));
}

int s2_log_start(struct s2 *s2, gpa_t gpa, uint64_t size)
{
	struct s2_op op = { .s2 = s2, .format = s2->format, .decide = start_decide };
	int err = s2_check_range(s2, gpa, size);

	if (err)
		return err;
	if (s2->logging)
		return -EBUSY;
	err = s2_prepare(&op, gpa.v, gpa.v + size);
	if (err)
		return err;
	s2->logging = true;
	s2->log_from = gpa.v;
	s2->log_to = gpa.v + size;
	s2_commit(&op, gpa.v, gpa.v + size);
	return 0;
}

static enum s2_verdict stop_decide(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry)
{
	const struct s2_format *f = op->format;

	if (!s2_is_valid(f, *entry))
		return S2_SKIP;
	if (!s2_is_leaf(f, *entry, slot->level))
		return S2_DESCEND;
	return *entry & f->may_write ? set_if_new(entry, dirty_leaf(f, *entry)) : S2_SKIP;
}

void s2_log_stop(struct s2 *s2)
{
	struct s2_op op = { .s2 = s2, .format = s2->format, .decide = stop_decide };

	if (s2->logging)
		s2_commit(&op, s2->log_from, s2->log_to);
	s2->logging = false;
}

/* ---- A write ---- */

static enum s2_verdict fault_decide(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry)
{
	const struct s2_format *f = op->format;

	if (s2_is_table(f, *entry, slot->level))
		return S2_DESCEND;
	if (!s2_is_valid(f, *entry) || !s2_is_writable(f, *entry)) {
		op->err = -EFAULT;
		return S2_SKIP;
	}
	return set_if_new(entry, dirty_leaf(f, *entry));
}

int s2_log_fault(struct s2 *s2, gpa_t gpa)
{
	struct s2_op op = { .s2 = s2, .format = s2->format, .decide = fault_decide };
	uint64_t page = HC_ALIGN_DOWN(gpa.v, HC_PAGE_SIZE);
	int err = s2_check_range(s2, gpa_of(page), HC_PAGE_SIZE);

	if (err)
		return err;
	s2_commit(&op, page, page + HC_PAGE_SIZE);
	return op.err;
}

/* ---- Collect ---- */

static void report(struct s2_op *op, const struct s2_slot *slot)
{
	for (uint64_t gpa = slot->gpa; gpa < slot->end; gpa += HC_PAGE_SIZE) {
		uint64_t page = (gpa - op->from) / HC_PAGE_SIZE;
		uint64_t *word = &op->bitmap[page / 64], bit = HC_BIT(page % 64);

		op->count += (*word & bit) == 0;
		*word |= bit;
	}
}

static enum s2_verdict collect_decide(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry)
{
	const struct s2_format *f = op->format;

	if (!s2_is_valid(f, *entry))
		return S2_SKIP;
	if (!s2_is_leaf(f, *entry, slot->level))
		return S2_DESCEND;
	if (!(*entry & f->dirty))
		return S2_SKIP;
	report(op, slot);
	/* The rest of a large page would be forgotten. */
	return s2_is_whole(slot) ? set_if_new(entry, s2_clean_leaf(f, *entry)) : S2_SKIP;
}

int s2_check_logged(const struct s2 *s2, gpa_t gpa, uint64_t size)
{
	int err = s2_check_range(s2, gpa, size);

	if (err)
		return err;
	return s2->logging && gpa.v >= s2->log_from && gpa.v + size <= s2->log_to ? 0 : -EINVAL;
}

int64_t s2_log_collect(struct s2 *s2, gpa_t gpa, uint64_t size, uint64_t *bitmap)
{
	struct s2_op op = { .s2 = s2,
		            .format = s2->format,
		            .decide = collect_decide,
		            .from = gpa.v,
		            .bitmap = bitmap };
	int err = s2_check_logged(s2, gpa, size);

	if (err)
		return err;
	s2_commit(&op, gpa.v, gpa.v + size);
	return op.count;
}

/* ---- Clean what is known ---- */

static enum s2_verdict clean_decide(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry)
{
	const struct s2_format *f = op->format;

	if (!s2_is_valid(f, *entry))
		return S2_SKIP;
	if (!s2_is_leaf(f, *entry, slot->level))
		return S2_DESCEND;
	return s2_is_whole(slot) ? set_if_new(entry, s2_clean_leaf(f, *entry)) : S2_SKIP;
}

/* The first page from page on whose bit is `set`, or pages. */
static uint64_t next_page(const uint64_t *bitmap, uint64_t page, uint64_t pages, bool set)
{
	while (page < pages) {
		uint64_t word = (set ? bitmap[page / 64] : ~bitmap[page / 64]) >> page % 64;

		if (word)
			return hc_min(page + (unsigned)__builtin_ctzll(word), pages);
		page = (page / 64 + 1) * 64;
	}
	return pages;
}

int s2_log_clean(struct s2 *s2, gpa_t gpa, uint64_t size, const uint64_t *bitmap)
{
	struct s2_op op = { .s2 = s2, .format = s2->format, .decide = clean_decide };
	uint64_t pages = size / HC_PAGE_SIZE, page = 0;
	int err = s2_check_logged(s2, gpa, size);

	if (err)
		return err;
	while ((page = next_page(bitmap, page, pages, true)) < pages) {
		uint64_t end = next_page(bitmap, page, pages, false);

		s2_visit(&op, gpa.v + page * HC_PAGE_SIZE, gpa.v + end * HC_PAGE_SIZE);
		page = end;
	}
	s2_finish(&op);
	return 0;
}
