/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stage 2: the tables that translate guest physical to host physical addresses, for every format
 * the supported hardware walks. The software CPU walks the same tables.
 *
 *   gpa   47      39 38      30 29      21 20      12 11       0
 *        +----------+----------+----------+----------+----------+
 *        | level 3  | level 2  | level 1  | level 0  |  offset  |
 *        +----+-----+----+-----+----+-----+----+-----+----------+
 *             |          |          |          |
 *  root ->  [512] ---> [512] ---> [512] ---> [512] ---> 4 KiB page
 *                        |          |
 *                        |          +-- leaf: 2 MiB page
 *                        +------------- leaf: 1 GiB page
 *
 * Levels count up from the smallest page, as the offset's width does: level n spans
 * 2^(12 + 9n) bytes. (Arm counts the other way: its level 3 is level 0 here.) Which level the root
 * is on, and whether it is one table or up to 16 in a row, follows from the format and from the
 * width of the guest's address space.
 *
 * Locking: every function that changes a struct s2 is called with the VM's memory lock held; the
 * readers (s2_walk) with the lock held either way, since tables may be freed otherwise. CPUs walk
 * the tables all the while, and set accessed and dirty bits where the format has them.
 *
 * While an entry is replaced on hardware that demands break-before-make, a guest CPU may fault on
 * an address that is mapped before and after: the fault's handler takes the memory lock, finds the
 * address mapped, and resumes the guest.
 *
 * Ranges are in bytes, in whole pages. Errors common to all functions that take one:
 *   -EINVAL  not page-aligned, empty, wraps around, or attributes that no mapping can have
 *   -ERANGE  beyond the guest's address space, or beyond the output address width
 *   -ENOMEM  no memory for tables; nothing has changed
 */
#ifndef MMU_STAGE2_H
#define MMU_STAGE2_H

#include <hypercore/types.h>
#include <stdatomic.h>

/* One entry of a table. Walkers read entries and set bits in them at any time. */
typedef _Atomic(uint64_t) s2_entry_t;

struct s2_format;

/* How the engine reaches memory and CPUs: everything outside of the tables' contents. */
struct mm_ops {
	/*
	 * Allocates 2^order pages, zeroed, aligned to their size, and never at address 0. 0 or
	 * -ENOMEM. order is 0 but for the root of a format with concatenated tables (at most 4).
	 */
	int (*alloc_table)(void *ctx, unsigned order, hpa_t *table);
	void (*free_table)(void *ctx, hpa_t table, unsigned order);
	/* Where the hypervisor itself reaches a table; stays valid until the table is freed. */
	s2_entry_t *(*table_ptr)(void *ctx, hpa_t table);
	/*
	 * Drops all that any CPU remembers of [gpa, gpa + size): translations of any page size
	 * that overlap it, those that were combined with the guest's own, and pointers to tables
	 * on the way to it. Complete on all CPUs when it returns, including accesses made through
	 * what was dropped. Called only after a live entry was removed, weakened or replaced.
	 */
	void (*invalidate)(void *ctx, gpa_t gpa, uint64_t size);
	/*
	 * Makes entries that were written visible to the walkers of all CPUs, before it returns.
	 * Nothing to do on x86; on Arm DSB ISHST (DMB does not order walks), after
	 * a clean where walks are not coherent.
	 */
	void (*sync)(void *ctx, const s2_entry_t *entries, size_t bytes);
};

/* Attributes: permissions in bits 2:0, the memory type above. Every mapping is readable. */
#define S2_R    1u
#define S2_W    2u
#define S2_X    4u
#define S2_RWX  7u
#define S2_WB   (0u << 3) /* ordinary memory, write-back */
#define S2_UC   (1u << 3) /* device registers: uncached, in order */
#define S2_WC   (2u << 3) /* uncached, writes may be combined: frame buffers */
#define S2_TYPE (3u << 3) /* the field */

/* For s2_map() of a range that is logged: nobody has written to what is mapped. */
#define S2_CLEAN (1u << 5)

#define S2_PAGE_4K HC_PAGE_SIZE
#define S2_PAGE_2M (UINT64_C(2) * HC_MIB)
#define S2_PAGE_1G HC_GIB

/* A guest's stage 2. Private to the engine but for reading. */
struct s2 {
	const struct s2_format *format;
	const struct mm_ops *ops;
	void *ctx; /* handed to ops */
	hpa_t root;
	uint8_t ipa_bits;   /* width of a guest physical address */
	uint8_t root_level; /* levels of tables, less one */
	uint8_t root_order; /* the root is 2^root_order tables in a row */
	uint8_t max_leaf;   /* the largest page's level */
	bool logging;
	uint64_t log_from, log_to; /* addresses whose writes are logged, while logging */
};

/* What s2_walk found. */
struct s2_mapping {
	hpa_t hpa;      /* of the address asked for, not of the page's start */
	unsigned attr;  /* as the mapping was asked for, whatever the dirty log does to it */
	unsigned level; /* of the entry that ended the walk */
	uint64_t size;  /* what that entry spans, in bytes: the page, or the hole's known part */
	bool dirty;     /* written since its dirty state was last collected, as far as is known */
	bool write_ok;  /* hardware lets writes pass now: false for a clean page of a log */
};

/*
 * Makes an empty stage 2 for addresses below 2^ipa_bits. ops and format must outlive it; ctx is
 * the caller's. -EINVAL when the format cannot have that width, -ENOMEM.
 */
int s2_init(struct s2 *s2, const struct s2_format *format, const struct mm_ops *ops, void *ctx,
            unsigned ipa_bits);

/*
 * Removes all mappings, invalidates what was mapped (ops must still work), and frees all tables. No
 * CPU may enter the guest any more.
 */
void s2_destroy(struct s2 *s2);

/*
 * Lets later mappings use pages of at most size (S2_PAGE_*) bytes: for hardware without 1 GiB
 * pages. Mappings made before keep theirs. -EINVAL for any other size.
 */
int s2_limit_page(struct s2 *s2, uint64_t size);

/* The root for the hardware: nCR3's, EPTP's or VTTBR_EL2's address field. */
static inline hpa_t s2_root(const struct s2 *s2)
{
	return s2->root;
}

/*
 * Maps [gpa, gpa + size) to [hpa, hpa + size) with the largest pages that alignment permits, and
 * replaces what was mapped there. In a logged range, a writable page starts out dirty, unless attr
 * has S2_CLEAN. -EINVAL also for S2_CLEAN in a range that is not logged.
 */
int s2_map(struct s2 *s2, gpa_t gpa, hpa_t hpa, uint64_t size, unsigned attr);

/*
 * Makes the tables that lead to pages of page (S2_PAGE_*) bytes in the range, and splits larger
 * pages: from now on s2_map() of whole such pages, to addresses that are aligned alike, allocates
 * nothing, until the range is unmapped or merged. What is mapped stays so. -EINVAL also for any
 * other page.
 */
int s2_reserve(struct s2 *s2, gpa_t gpa, uint64_t size, uint64_t page);

/* Unmaps the range; holes in it are left. Dirty state is lost: collect it before. */
int s2_unmap(struct s2 *s2, gpa_t gpa, uint64_t size);

/*
 * Gives all that is mapped in the range the permissions perm (of S2_RWX); holes are left, and
 * memory types. Logged pages stay logged, and what was dirty stays so.
 */
int s2_protect(struct s2 *s2, gpa_t gpa, uint64_t size, unsigned perm);

/*
 * Looks an address up. 0, -EFAULT when nothing is mapped there (level and size then tell how far
 * the hole is known to reach), -ERANGE.
 */
int s2_walk(const struct s2 *s2, gpa_t gpa, struct s2_mapping *mapping);

/*
 * Replaces full tables by large pages where a table lies wholly in the range and its leaves are
 * contiguous and alike. How many large pages were formed, -EBUSY when the range is logged.
 */
int64_t s2_merge(struct s2 *s2, gpa_t gpa, uint64_t size);

/*
 * Starts to log writes to what is mapped in the range, page by page: large writable pages are
 * split, and all of it is clean. One log at a time: -EBUSY. -ENOMEM: no log was started.
 */
int s2_log_start(struct s2 *s2, gpa_t gpa, uint64_t size);

/*
 * A write to gpa is to pass: a guest's that faulted on a clean page, or the hypervisor's own on the
 * guest's behalf. Marks the page dirty and lets further writes pass. 0: repeat the access. -EFAULT:
 * nothing writable is mapped there. Allocates nothing.
 */
int s2_log_fault(struct s2 *s2, gpa_t gpa);

/*
 * Sets bit n of bitmap for page n of the range if it was written since the log was started or last
 * collected, clears no bit, and makes the pages clean again. A write that is not in the bitmap
 * will be in a later one. How many bits it set anew; -EINVAL also when the range is not within the
 * log's. A large page that was mapped or made writable after the start counts as written as a
 * whole. Allocates nothing.
 */
int64_t s2_log_collect(struct s2 *s2, gpa_t gpa, uint64_t size, uint64_t *bitmap);

/*
 * For who knows by itself what was written, such as from a list that the hardware keeps: makes page
 * n of the range clean again for each bit n of bitmap that is set, looks at no other, and
 * invalidates once. Pages of more than 4 KiB stay as they are. Errors as of s2_log_collect().
 * Allocates nothing.
 */
int s2_log_clean(struct s2 *s2, gpa_t gpa, uint64_t size, const uint64_t *bitmap);

/* Ends the log, and forgets what was not collected. Large pages come back by s2_merge. */
void s2_log_stop(struct s2 *s2);

#endif
