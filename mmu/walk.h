/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk over the entries of a range, and the one way to change them: what the operations of
 * stage2.h are made of.
 *
 *   prepare  the walk is made without writing, to count the tables that the operation will want;
 *            they are allocated now. This may fail, and nothing has changed.
 *   commit   the same walk writes. A new table is filled, below all of its own new tables, before
 *            the entry that leads to it is written: walkers see the old or the new, never half.
 *   finish   what went stale is invalidated, once; then the tables that went with it are freed.
 */
#ifndef MMU_WALK_H
#define MMU_WALK_H

#include "mmu/format.h"

#define S2_DEAD_MAX 16

/* What an operation wants for an entry. */
enum s2_verdict {
	S2_SKIP,    /* leave it */
	S2_SET,     /* write the new value */
	S2_DESCEND, /* look at the entries below; make a table for them where there is none */
};

/* A table on the way through the tree. Entries of one that is not live, no walker sees yet. */
struct s2_table {
	s2_entry_t *entries;
	unsigned level;
	bool live;
};

/* The part [gpa, end) of what one entry on a level spans. */
struct s2_slot {
	uint64_t gpa, end;
	unsigned level;
};

struct s2_op {
	struct s2 *s2;
	const struct s2_format *format;

	/* Given the entry's value; *entry is to become its new one for S2_SET. */
	enum s2_verdict (*decide)(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry);
	/*
	 * For an operation that keeps nothing of what is there, or NULL: writes entries from gpa on
	 * in a table that is not live, all that are spanned wholly; returns the address where it
	 * stopped, gpa for none. decide says the same for all of them.
	 */
	uint64_t (*fill)(struct s2_op *op, const struct s2_table *t, uint64_t gpa, uint64_t end);
	uint64_t delta;   /* map: hpa = gpa + delta */
	unsigned attr;    /* map, protect */
	uint64_t from;    /* log_collect: the page of bit 0 */
	uint64_t *bitmap; /* log_collect */
	int64_t count;    /* log_collect: bits set; merge: pages formed */
	int err;          /* log_fault */

	unsigned leaf_level; /* reserve: of the tables that pages will be in */

	/* Tables allocated and not yet used, linked by their first entries. */
	hpa_t spare;
	size_t spares;

	/* Entries written that walkers may not see yet, all of one live table. */
	s2_entry_t *unsynced, *unsynced_end;

	/* What CPUs may remember that is no longer so. Empty: stale_end is 0. */
	uint64_t stale, stale_end;

	/* Tables taken out of the tree; freed once nothing stale leads to them. */
	struct {
		uint64_t table;
		unsigned level;
	} dead[S2_DEAD_MAX];
	unsigned dead_count;
};

static inline uint64_t s2_load(const s2_entry_t *entry)
{
	return atomic_load_explicit(entry, memory_order_relaxed);
}

/* The first address after gpa that another entry of the level spans, or end. */
static inline uint64_t s2_slot_end(unsigned level, uint64_t gpa, uint64_t end)
{
	return hc_min(HC_ALIGN_DOWN(gpa, s2_span(level)) + s2_span(level), end);
}

static inline bool s2_is_whole(const struct s2_slot *slot)
{
	return slot->end - slot->gpa == s2_span(slot->level);
}

static inline s2_entry_t *s2_table_ptr(const struct s2 *s2, uint64_t table)
{
	return s2->ops->table_ptr(s2->ctx, hpa_of(table));
}

static inline struct s2_table s2_root_table(const struct s2 *s2)
{
	return (struct s2_table){ s2_table_ptr(s2, s2->root.v), s2->root_level, true };
}

/* What a table's entry in parent leads to. */
static inline struct s2_table s2_child_table(const struct s2 *s2, const struct s2_table *parent,
                                             uint64_t entry)
{
	return (struct s2_table){ s2_table_ptr(s2, entry & s2->format->address), parent->level - 1,
		                  parent->live };
}

/* Concatenated root tables are one long table: only below the root does an index wrap. */
static inline size_t s2_index(const struct s2 *s2, unsigned level, uint64_t gpa)
{
	size_t index = (size_t)(gpa >> s2_shift(level));

	return level == s2->root_level ? index : index % S2_ENTRIES;
}

static inline s2_entry_t *s2_entry(const struct s2 *s2, const struct s2_table *t, uint64_t gpa)
{
	return &t->entries[s2_index(s2, t->level, gpa)];
}

/* Allocates what commit will want, or fails with the allocator's error and changes nothing. */
int s2_prepare(struct s2_op *op, uint64_t gpa, uint64_t end);

/* Walks the range and does what op->decide says; s2_finish() has to follow. Cannot fail. */
void s2_visit(struct s2_op *op, uint64_t gpa, uint64_t end);

/* The same with all that has to follow. */
void s2_commit(struct s2_op *op, uint64_t gpa, uint64_t end);

/*
 * The one place where an entry, t's for gpa, changes: breaks before it makes where the format
 * demands it, and notes what went stale. False, and nothing done: the entry is no longer old, the
 * hardware changed it meanwhile.
 */
bool s2_replace(struct s2_op *op, const struct s2_table *t, s2_entry_t *entry, uint64_t gpa,
                uint64_t old, uint64_t new);

/* Invalidates what went stale, and frees the tables that were replaced. */
void s2_finish(struct s2_op *op);

/* Frees a table and all below it; 2^order tables in a row. */
void s2_free_tree(struct s2 *s2, uint64_t table, unsigned level, unsigned order);

/* 0 for a range of whole pages inside the guest's address space, -EINVAL or -ERANGE. */
int s2_check_range(const struct s2 *s2, gpa_t gpa, uint64_t size);

/* The same, and -EINVAL if the range is not within the log's. */
int s2_check_logged(const struct s2 *s2, gpa_t gpa, uint64_t size);

#endif
