/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a table format is to the engine: its geometry and its bits, as data. The entries of all
 * formats have their address in the same place and differ in the bits around it.
 */
#ifndef MMU_FORMAT_H
#define MMU_FORMAT_H

#include "mmu/stage2.h"

#define S2_INDEX_BITS  9
#define S2_TABLE_SIZE  HC_PAGE_SIZE
#define S2_ENTRIES     (1u << S2_INDEX_BITS)
#define S2_LEAF_LEVELS 3 /* 4 KiB, 2 MiB, 1 GiB */
#define S2_TYPES       3 /* S2_WB, S2_UC, S2_WC */

struct s2_format {
	const char *name;
	uint8_t min_levels, max_levels; /* of tables */
	uint8_t concat_bits;            /* up to 2^concat_bits root tables in a row */
	uint8_t min_ipa_bits;
	uint8_t oa_bits; /* width of a host physical address */

	bool break_before_make; /* a valid entry must not change into another valid one */
	bool stale_faults;      /* a permission fault leaves the weaker TLB entry that caused it */
	bool hw_dirty;          /* dirty is set by the hardware; otherwise only by the engine */

	uint64_t valid;                 /* an entry with any of these set is in use */
	uint64_t leaf_mask, leaf_value; /* (entry & mask) == value: a leaf, on levels above 0 */
	uint64_t address;               /* of the next table or the page */
	uint64_t table;                 /* all bits of a table's entry but the address */
	uint64_t leaf[S2_LEAF_LEVELS];  /* bits that every leaf of the level has */
	uint64_t read, write, exec;     /* set in a leaf that permits it */
	uint64_t no_exec;               /* set in a leaf that does not permit execution */
	uint64_t type[S2_TYPES];        /* memory types, in the order of S2_WB... */
	uint64_t type_mask;
	uint64_t dirty;     /* the page was written */
	uint64_t may_write; /* ours: writes would be permitted, were they not logged */
};

static inline unsigned s2_shift(unsigned level)
{
	return HC_PAGE_SHIFT + S2_INDEX_BITS * level;
}

static inline uint64_t s2_span(unsigned level)
{
	return UINT64_C(1) << s2_shift(level);
}

static inline bool s2_is_valid(const struct s2_format *f, uint64_t entry)
{
	return (entry & f->valid) != 0;
}

/* Of a valid entry. */
static inline bool s2_is_leaf(const struct s2_format *f, uint64_t entry, unsigned level)
{
	return level == 0 || (entry & f->leaf_mask) == f->leaf_value;
}

static inline bool s2_is_table(const struct s2_format *f, uint64_t entry, unsigned level)
{
	return s2_is_valid(f, entry) && !s2_is_leaf(f, entry, level);
}

/* The bits that hold permissions, ours included. */
static inline uint64_t s2_perm_mask(const struct s2_format *f)
{
	return f->read | f->write | f->exec | f->no_exec | f->may_write;
}

static inline uint64_t s2_encode_perm(const struct s2_format *f, unsigned attr)
{
	return f->read | (attr & S2_W ? f->write : 0) | (attr & S2_X ? f->exec : f->no_exec);
}

/* A leaf. Writable ones are dirty from the start: their contents are new to the guest. */
static inline uint64_t s2_encode_leaf(const struct s2_format *f, uint64_t hpa, unsigned attr,
                                      unsigned level)
{
	return hpa | f->leaf[level] | f->type[(attr & S2_TYPE) >> 3] | s2_encode_perm(f, attr) |
	       (attr & S2_W ? f->dirty : 0);
}

/* The leaf of a page whose next write is to be noticed. */
static inline uint64_t s2_clean_leaf(const struct s2_format *f, uint64_t leaf)
{
	leaf &= ~f->dirty;
	if (!f->hw_dirty && (leaf & f->write))
		leaf ^= f->write | f->may_write;
	return leaf;
}

static inline bool s2_is_writable(const struct s2_format *f, uint64_t leaf)
{
	return (leaf & (f->write | f->may_write)) != 0;
}

static inline unsigned s2_decode_perm(const struct s2_format *f, uint64_t leaf)
{
	bool exec = (leaf & f->exec) == f->exec && !(leaf & f->no_exec);

	return S2_R | (s2_is_writable(f, leaf) ? S2_W : 0) | (exec ? S2_X : 0);
}

static inline unsigned s2_decode_attr(const struct s2_format *f, uint64_t leaf)
{
	unsigned type = 0;

	while (type < S2_TYPES - 1 && (leaf & f->type_mask) != f->type[type])
		type++;
	return s2_decode_perm(f, leaf) | type << 3;
}

/* The entry for part index of a leaf on level + 1, in a table on level. */
static inline uint64_t s2_leaf_part(const struct s2_format *f, uint64_t leaf, unsigned level,
                                    unsigned index)
{
	/* Hardware may mark the whole dirty until the parts are in its place. */
	uint64_t dirty = f->hw_dirty && (leaf & f->write) ? f->dirty : 0;

	return ((leaf & ~f->leaf[level + 1]) | f->leaf[level] | dirty) + index * s2_span(level);
}

#endif
