/* SPDX-License-Identifier: BSD-2-Clause */
/* The walk over a range's entries. The picture of the translation is in stage2.h. */
#include "mmu/walk.h"

/* Release: a walker that sees the entry sees the table below it. */
static void store(s2_entry_t *entry, uint64_t value)
{
	atomic_store_explicit(entry, value, memory_order_release);
}

static bool exchange(s2_entry_t *entry, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(entry, &from, to, memory_order_acq_rel,
	                                               memory_order_relaxed);
}

/* ---- Freeing ---- */

void s2_free_tree(struct s2 *s2, uint64_t table, unsigned level, unsigned order)
{
	const s2_entry_t *entries = s2_table_ptr(s2, table);

	for (size_t i = 0; level > 0 && i < (size_t)S2_ENTRIES << order; i++) {
		uint64_t entry = s2_load(&entries[i]);

		if (s2_is_table(s2->format, entry, level))
			s2_free_tree(s2, entry & s2->format->address, level - 1, 0);
	}
	s2->ops->free_table(s2->ctx, hpa_of(table), order);
}

static void settle(struct s2_op *op)
{
	if (op->unsynced)
		op->s2->ops->sync(op->s2->ctx, op->unsynced,
		                  (size_t)(op->unsynced_end - op->unsynced) *
		                          sizeof(*op->unsynced));
	op->unsynced = NULL;
}

static void touch(struct s2_op *op, s2_entry_t *entry)
{
	if (!op->unsynced)
		op->unsynced = entry;
	op->unsynced_end = entry + 1;
}

void s2_finish(struct s2_op *op)
{
	settle(op);
	if (op->stale_end)
		op->s2->ops->invalidate(op->s2->ctx, gpa_of(op->stale), op->stale_end - op->stale);
	op->stale_end = 0;
	while (op->dead_count) {
		op->dead_count--;
		s2_free_tree(op->s2, op->dead[op->dead_count].table, op->dead[op->dead_count].level,
		             0);
	}
}

static void mark_stale(struct s2_op *op, uint64_t gpa, unsigned level)
{
	uint64_t from = HC_ALIGN_DOWN(gpa, s2_span(level));

	op->stale = op->stale_end ? hc_min(op->stale, from) : from;
	op->stale_end = hc_max(op->stale_end, from + s2_span(level));
}

static void bury(struct s2_op *op, uint64_t entry, unsigned level)
{
	op->dead[op->dead_count].table = entry & op->format->address;
	op->dead[op->dead_count].level = level - 1;
	if (++op->dead_count == S2_DEAD_MAX)
		s2_finish(op);
}

/* ---- Replacing an entry ---- */

/* Whether CPUs that remember old do something wrong, or something futile, now that new holds. */
static bool makes_stale(const struct s2_format *f, uint64_t old, uint64_t new)
{
	uint64_t ours = f->may_write | (f->hw_dirty ? 0 : f->dirty);
	uint64_t granted = f->read | f->write | f->exec | (f->hw_dirty ? f->dirty : 0);
	uint64_t changed = (old ^ new) & ~ours;

	if (s2_is_valid(f, new) && !f->stale_faults)
		changed &= ~((granted & new) | (old & f->no_exec));
	return changed != 0;
}

/*
 * Arm ARM D8.16 "break-before-make": what must not change while the entry is valid. Permissions
 * may; so may bits that hardware ignores.
 */
static bool must_break(const struct s2_format *f, uint64_t old, uint64_t new)
{
	uint64_t may_change = f->read | f->write | f->exec | f->no_exec | f->may_write | f->dirty;

	return f->break_before_make && s2_is_valid(f, new) && ((old ^ new) & ~may_change) != 0;
}

/* The hardware sees the entry invalid, and forgets what it was, before it is made anew. */
static bool break_and_make(struct s2_op *op, unsigned level, s2_entry_t *entry, uint64_t gpa,
                           uint64_t old, uint64_t new)
{
	if (!exchange(entry, old, 0))
		return false;
	touch(op, entry);
	settle(op);
	op->s2->ops->invalidate(op->s2->ctx, gpa_of(HC_ALIGN_DOWN(gpa, s2_span(level))),
	                        s2_span(level));
	store(entry, new);
	return true;
}

bool s2_replace(struct s2_op *op, const struct s2_table *t, s2_entry_t *entry, uint64_t gpa,
                uint64_t old, uint64_t new)
{
	const struct s2_format *f = op->format;

	if (!t->live) {
		store(entry, new);
		return true;
	}
	if (!s2_is_valid(f, old)) {
		store(entry, new);
	} else if (must_break(f, old, new)) {
		if (!break_and_make(op, t->level, entry, gpa, old, new))
			return false;
	} else {
		if (!exchange(entry, old, new))
			return false;
		if (makes_stale(f, old, new))
			mark_stale(op, gpa, t->level);
	}
	touch(op, entry);
	if (s2_is_table(f, old, t->level))
		bury(op, old, t->level);
	return true;
}

/* ---- The walk: prepare ---- */

/* Tables wanted below one table; below a leaf or a hole that has none yet when entries is NULL. */
static size_t tables_wanted(struct s2_op *op, const struct s2_table *t, uint64_t instead,
                            uint64_t gpa, uint64_t end)
{
	size_t wanted = 0;

	for (uint64_t next; t->level > 0 && gpa < end; gpa = next) {
		struct s2_slot slot = { gpa, s2_slot_end(t->level, gpa, end), t->level };
		unsigned index = (unsigned)s2_index(op->s2, t->level, gpa);
		struct s2_table below = { NULL, t->level - 1, false };
		uint64_t entry = instead, new;

		next = slot.end;
		if (t->entries)
			entry = s2_load(&t->entries[index]);
		else if (instead)
			entry = s2_leaf_part(op->format, instead, t->level, index);
		new = entry;
		if (op->decide(op, &slot, &new) != S2_DESCEND) {
			if (op->fill && !t->entries)
				next = hc_max(next, HC_ALIGN_DOWN(end, s2_span(t->level)));
			continue;
		}
		if (s2_is_table(op->format, entry, t->level))
			below = s2_child_table(op->s2, t, entry);
		else
			wanted++;
		wanted += tables_wanted(op, &below, s2_is_valid(op->format, entry) ? entry : 0, gpa,
		                        next);
	}
	return wanted;
}

static hpa_t take_spare(struct s2_op *op)
{
	hpa_t table = op->spare;
	s2_entry_t *entries = s2_table_ptr(op->s2, table.v);

	op->spare = hpa_of(s2_load(entries));
	op->spares--;
	store(entries, 0);
	return table;
}

static void free_spares(struct s2_op *op)
{
	while (op->spares)
		op->s2->ops->free_table(op->s2->ctx, take_spare(op), 0);
}

int s2_prepare(struct s2_op *op, uint64_t gpa, uint64_t end)
{
	struct s2_table root = s2_root_table(op->s2);
	size_t wanted = tables_wanted(op, &root, 0, gpa, end);

	while (op->spares < wanted) {
		hpa_t table;
		int err = op->s2->ops->alloc_table(op->s2->ctx, 0, &table);

		if (err) {
			free_spares(op);
			return err;
		}
		store(s2_table_ptr(op->s2, table.v), op->spare.v);
		op->spare = table;
		op->spares++;
	}
	return 0;
}

/* ---- The walk: commit ---- */

static void visit(struct s2_op *op, const struct s2_table *t, uint64_t gpa, uint64_t end);

static void split_leaf(struct s2_op *op, const struct s2_table *below, uint64_t leaf)
{
	for (unsigned i = 0; i < S2_ENTRIES; i++)
		store(&below->entries[i], s2_leaf_part(op->format, leaf, below->level, i));
}

static void descend(struct s2_op *op, const struct s2_table *t, s2_entry_t *at, uint64_t entry,
                    const struct s2_slot *slot)
{
	struct s2_table below;
	hpa_t table;

	settle(op);
	if (s2_is_table(op->format, entry, t->level)) {
		below = s2_child_table(op->s2, t, entry);
		visit(op, &below, slot->gpa, slot->end);
		return;
	}
	table = take_spare(op);
	below = (struct s2_table){ s2_table_ptr(op->s2, table.v), t->level - 1, false };
	if (s2_is_valid(op->format, entry))
		split_leaf(op, &below, entry);
	visit(op, &below, slot->gpa, slot->end);
	op->s2->ops->sync(op->s2->ctx, below.entries, S2_TABLE_SIZE);
	/* The hardware may have marked the leaf dirty meanwhile: so are its parts already. */
	while (!s2_replace(op, t, at, slot->gpa, entry, table.v | op->format->table))
		entry = s2_load(at);
}

static void visit_entry(struct s2_op *op, const struct s2_table *t, const struct s2_slot *slot)
{
	s2_entry_t *entry = s2_entry(op->s2, t, slot->gpa);
	uint64_t old, new;

	do {
		enum s2_verdict verdict;

		old = new = s2_load(entry);
		verdict = op->decide(op, slot, &new);
		if (verdict == S2_DESCEND)
			descend(op, t, entry, old, slot);
		if (verdict != S2_SET)
			return;
	} while (!s2_replace(op, t, entry, slot->gpa, old, new));
}

static void visit(struct s2_op *op, const struct s2_table *t, uint64_t gpa, uint64_t end)
{
	while (gpa < end) {
		uint64_t next = op->fill && !t->live ? op->fill(op, t, gpa, end) : gpa;

		if (next == gpa) {
			struct s2_slot slot = { gpa, s2_slot_end(t->level, gpa, end), t->level };

			visit_entry(op, t, &slot);
			next = slot.end;
		}
		gpa = next;
	}
	if (t->live)
		settle(op);
}

void s2_visit(struct s2_op *op, uint64_t gpa, uint64_t end)
{
	struct s2_table root = s2_root_table(op->s2);

	visit(op, &root, gpa, end);
}

void s2_commit(struct s2_op *op, uint64_t gpa, uint64_t end)
{
	s2_visit(op, gpa, end);
	s2_finish(op);
}
