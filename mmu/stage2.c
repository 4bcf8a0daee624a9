/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a stage 2, and the operations on its mappings. */
#include "mmu/stage2.h"
#include "mmu/walk.h"
#include <hypercore/errno.h>

/* The fewest levels for an address width, given that root tables may be in a row. */
static unsigned levels_for(const struct s2_format *f, unsigned ipa_bits)
{
	unsigned levels = f->min_levels;

	while (ipa_bits > s2_shift(levels) + f->concat_bits)
		levels++;
	return levels;
}

int s2_init(struct s2 *s2, const struct s2_format *format, const struct mm_ops *ops, void *ctx,
            unsigned ipa_bits)
{
	unsigned levels, order, width;
	int err;

	if (ipa_bits < format->min_ipa_bits || ipa_bits > format->oa_bits)
		return -EINVAL;
	levels = levels_for(format, ipa_bits);
	if (levels > format->max_levels)
		return -EINVAL;
	width = s2_shift(levels);
	order = ipa_bits > width ? ipa_bits - width : 0;
	*s2 = (struct s2){
		.format = format,
		.ops = ops,
		.ctx = ctx,
		.ipa_bits = (uint8_t)ipa_bits,
		.root_level = (uint8_t)(levels - 1),
		.root_order = (uint8_t)order,
		.max_leaf = S2_LEAF_LEVELS - 1,
	};
	err = ops->alloc_table(ctx, order, &s2->root);
	if (err)
		return err;
	ops->sync(ctx, ops->table_ptr(ctx, s2->root), (size_t)S2_TABLE_SIZE << order);
	return 0;
}

/* S2_LEAF_LEVELS: there are no such pages. */
static unsigned level_of(uint64_t page)
{
	unsigned level = 0;

	while (level < S2_LEAF_LEVELS && s2_span(level) != page)
		level++;
	return level;
}

int s2_limit_page(struct s2 *s2, uint64_t size)
{
	unsigned level = level_of(size);

	if (level == S2_LEAF_LEVELS)
		return -EINVAL;
	s2->max_leaf = (uint8_t)level;
	return 0;
}

int s2_check_range(const struct s2 *s2, gpa_t gpa, uint64_t size)
{
	uint64_t limit = UINT64_C(1) << s2->ipa_bits;

	if (size == 0 || (gpa.v | size) % HC_PAGE_SIZE || gpa.v + size < gpa.v)
		return -EINVAL;
	return gpa.v < limit && size <= limit - gpa.v ? 0 : -ERANGE;
}

/* ---- Map ---- */

static enum s2_verdict map_decide(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry)
{
	uint64_t hpa = slot->gpa + op->delta;

	if (slot->level > op->s2->max_leaf || !s2_is_whole(slot) || hpa % s2_span(slot->level))
		return S2_DESCEND;
	*entry = s2_encode_leaf(op->format, hpa, op->attr, slot->level);
	if (op->attr & S2_CLEAN)
		*entry = s2_clean_leaf(op->format, *entry);
	return S2_SET;
}

/* As much as fits one table: no mapping is to be kept, and no table is below. */
static uint64_t map_fill(struct s2_op *op, const struct s2_table *t, uint64_t gpa, uint64_t end)
{
	struct s2_slot first = { gpa, s2_slot_end(t->level, gpa, end), t->level };
	s2_entry_t *entry = s2_entry(op->s2, t, gpa);
	uint64_t leaf, set = 0, span = s2_span(t->level);
	size_t count = (size_t)((end - gpa) >> s2_shift(t->level));

	if (map_decide(op, &first, &set) != S2_SET)
		return gpa;
	leaf = set;
	for (size_t i = 0; i < count; i++, leaf += span)
		atomic_store_explicit(&entry[i], leaf, memory_order_relaxed);
	return gpa + count * span;
}

static bool attr_is_valid(unsigned attr)
{
	return (attr & S2_R) && (attr & ~(S2_RWX | S2_TYPE)) == 0 &&
	       (attr & S2_TYPE) >> 3 < S2_TYPES;
}

int s2_map(struct s2 *s2, gpa_t gpa, hpa_t hpa, uint64_t size, unsigned attr)
{
	struct s2_op op = { .s2 = s2,
		            .format = s2->format,
		            .decide = map_decide,
		            .fill = map_fill,
		            .attr = attr,
		            .delta = hpa.v - gpa.v };
	uint64_t limit = UINT64_C(1) << s2->format->oa_bits;
	int err = attr & S2_CLEAN ? s2_check_logged(s2, gpa, size) : s2_check_range(s2, gpa, size);

	if (err)
		return err;
	if (hpa.v % HC_PAGE_SIZE || hpa.v + size < hpa.v || !attr_is_valid(attr & ~S2_CLEAN))
		return -EINVAL;
	if (hpa.v >= limit || size > limit - hpa.v)
		return -ERANGE;
	err = s2_prepare(&op, gpa.v, gpa.v + size);
	if (!err)
		s2_commit(&op, gpa.v, gpa.v + size);
	return err;
}

/* ---- Reserve ---- */

static enum s2_verdict reserve_decide(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry)
{
	return slot->level > op->leaf_level ? S2_DESCEND : S2_SKIP;
}

int s2_reserve(struct s2 *s2, gpa_t gpa, uint64_t size, uint64_t page)
{
	struct s2_op op = { .s2 = s2, .format = s2->format, .decide = reserve_decide };
	unsigned level = level_of(page);
	int err = level < S2_LEAF_LEVELS ? s2_check_range(s2, gpa, size) : -EINVAL;

	op.leaf_level = (unsigned)hc_min(level, s2->max_leaf);
	if (!err)
		err = s2_prepare(&op, gpa.v, gpa.v + size);
	if (!err)
		s2_commit(&op, gpa.v, gpa.v + size);
	return err;
}

/* ---- Unmap ---- */

static enum s2_verdict unmap_decide(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry)
{
	if (!s2_is_valid(op->format, *entry))
		return S2_SKIP;
	if (!s2_is_whole(slot))
		return S2_DESCEND;
	*entry = 0;
	return S2_SET;
}

int s2_unmap(struct s2 *s2, gpa_t gpa, uint64_t size)
{
	struct s2_op op = { .s2 = s2, .format = s2->format, .decide = unmap_decide };
	int err = s2_check_range(s2, gpa, size);

	if (!err)
		err = s2_prepare(&op, gpa.v, gpa.v + size);
	if (!err)
		s2_commit(&op, gpa.v, gpa.v + size);
	return err;
}

/* Whole root entries only: nothing to prepare. */
void s2_destroy(struct s2 *s2)
{
	struct s2_op op = { .s2 = s2, .format = s2->format, .decide = unmap_decide };

	s2_commit(&op, 0, UINT64_C(1) << s2->ipa_bits);
	s2_free_tree(s2, s2->root.v, s2->root_level, s2->root_order);
	*s2 = (struct s2){ .format = NULL };
}

/* ---- Protect ---- */

/*
 * Where no hardware notices writes, a page that the log has not seen written stays write-protected.
 * Others count as written, those across the log's edge as a whole: a later operation may split
 * them, and the log's end would not come to the parts outside.
 */
static uint64_t allow_write(const struct s2_op *op, const struct s2_slot *slot, uint64_t leaf)
{
	const struct s2 *s2 = op->s2;
	bool logged = s2->logging && slot->gpa >= s2->log_from && slot->end <= s2->log_to;

	if (op->format->hw_dirty || leaf & op->format->dirty)
		return leaf;
	return logged ? s2_clean_leaf(op->format, leaf) : leaf | op->format->dirty;
}

static enum s2_verdict protect_decide(struct s2_op *op, const struct s2_slot *slot, uint64_t *entry)
{
	const struct s2_format *f = op->format;
	uint64_t old = *entry;

	if (!s2_is_valid(f, old))
		return S2_SKIP;
	if (!s2_is_leaf(f, old, slot->level))
		return S2_DESCEND;
	if (s2_decode_perm(f, old) == op->attr)
		return S2_SKIP;
	if (!s2_is_whole(slot))
		return S2_DESCEND;
	*entry = (old & ~s2_perm_mask(f)) | s2_encode_perm(f, op->attr);
	if (op->attr & S2_W)
		*entry = allow_write(op, slot, *entry);
	return S2_SET;
}

int s2_protect(struct s2 *s2, gpa_t gpa, uint64_t size, unsigned perm)
{
	struct s2_op op = {
		.s2 = s2, .format = s2->format, .decide = protect_decide, .attr = perm
	};
	int err = s2_check_range(s2, gpa, size);

	if (err)
		return err;
	if (!attr_is_valid(perm) || (perm & S2_TYPE))
		return -EINVAL;
	err = s2_prepare(&op, gpa.v, gpa.v + size);
	if (!err)
		s2_commit(&op, gpa.v, gpa.v + size);
	return err;
}

/* ---- Walk ---- */

int s2_walk(const struct s2 *s2, gpa_t gpa, struct s2_mapping *mapping)
{
	const struct s2_format *f = s2->format;
	struct s2_table t = s2_root_table(s2);
	uint64_t entry;

	if (gpa.v >> s2->ipa_bits)
		return -ERANGE;
	while (entry = s2_load(s2_entry(s2, &t, gpa.v)), s2_is_table(f, entry, t.level))
		t = s2_child_table(s2, &t, entry);
	*mapping = (struct s2_mapping){ .level = t.level, .size = s2_span(t.level) };
	if (!s2_is_valid(f, entry))
		return -EFAULT;
	mapping->hpa.v = (entry & f->address) | (gpa.v & (mapping->size - 1));
	mapping->attr = s2_decode_attr(f, entry);
	mapping->dirty = (entry & f->dirty) != 0;
	mapping->write_ok = (entry & f->write) != 0;
	return 0;
}

/* ---- Merge ---- */

/* The leaf that says the same as a whole table's entries, or 0. */
static uint64_t merged_leaf(const struct s2_op *op, const struct s2_table *below)
{
	const struct s2_format *f = op->format;
	uint64_t first = s2_load(&below->entries[0]), kept = ~f->dirty;

	if (!s2_is_valid(f, first) || !s2_is_leaf(f, first, below->level) ||
	    (first & f->address) % s2_span(below->level + 1))
		return 0;
	for (unsigned i = 1; i < S2_ENTRIES; i++) {
		uint64_t expected = first + i * s2_span(below->level);

		if ((s2_load(&below->entries[i]) ^ expected) & kept)
			return 0;
	}
	return s2_encode_leaf(f, first & f->address, s2_decode_attr(f, first), below->level + 1);
}

static void merge_entry(struct s2_op *op, const struct s2_table *t, uint64_t gpa)
{
	s2_entry_t *entry = s2_entry(op->s2, t, gpa);
	uint64_t old = s2_load(entry);
	struct s2_table below = s2_child_table(op->s2, t, old);
	uint64_t leaf = t->level <= op->s2->max_leaf ? merged_leaf(op, &below) : 0;

	if (!leaf)
		return;
	while (!s2_replace(op, t, entry, gpa, old, leaf))
		old = s2_load(entry);
	op->count++;
}

/* From the bottom up: pages formed below may be merged again. */
static void merge_table(struct s2_op *op, const struct s2_table *t, uint64_t gpa, uint64_t end)
{
	for (uint64_t next; t->level > 0 && gpa < end; gpa = next) {
		struct s2_slot slot = { gpa, s2_slot_end(t->level, gpa, end), t->level };
		uint64_t entry = s2_load(s2_entry(op->s2, t, gpa));

		next = slot.end;
		if (!s2_is_table(op->format, entry, t->level))
			continue;
		if (t->level > 1) {
			struct s2_table below = s2_child_table(op->s2, t, entry);

			merge_table(op, &below, gpa, next);
		}
		if (s2_is_whole(&slot))
			merge_entry(op, t, gpa);
		s2_finish(op);
	}
}

int64_t s2_merge(struct s2 *s2, gpa_t gpa, uint64_t size)
{
	struct s2_op op = { .s2 = s2, .format = s2->format };
	struct s2_table root = s2_root_table(s2);
	int err = s2_check_range(s2, gpa, size);

	if (err)
		return err;
	if (s2->logging && gpa.v < s2->log_to && s2->log_from < gpa.v + size)
		return -EBUSY;
	merge_table(&op, &root, gpa.v, gpa.v + size);
	return op.count;
}
