/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The board's own page tables: 4 levels of 512 entries of 8 bytes, which both architectures have.
 * Everything is mapped at start-up by the boot CPU; all CPUs share one root, so what is mapped
 * later is seen by all.
 */
#ifndef PLATFORM_BOARD_PAGING_H
#define PLATFORM_BOARD_PAGING_H

#include <hypercore/types.h>

#include "platform/board/ranges.h"

#define PAGING_LEVELS  4
#define PAGING_ENTRIES 512

enum paging_kind {
	PAGING_RX,        /* the image's code */
	PAGING_RO,        /* constants, firmware tables */
	PAGING_RW,        /* RAM */
	PAGING_UNCACHED,  /* device registers */
	PAGING_COMBINING, /* framebuffers */
	PAGING_LOW_CODE,  /* x86: RWX: the page from which other CPUs start, while they do */
	PAGING_KINDS
};

/* --- What the architecture says --- */

/* Bit 0 of an entry says that it means something; level 0 entries map pages of 4 KiB. */
struct paging_format {
	uint64_t address;             /* where an entry has an address */
	uint64_t limit;               /* physical addresses are below, for the CPUs there are */
	uint64_t table;               /* an entry that points to a table, without the address */
	uint64_t large_mask, large;   /* how larger pages' entries differ from those */
	uint64_t page[PAGING_KINDS];  /* entries of pages, without the address */
	uint64_t block[PAGING_KINDS]; /* and of larger pages */
	unsigned largest_level;
};

struct paging_layout {
	uint64_t direct_base, direct_size; /* RAM at its physical address */
	uint64_t window_base, window_size;
};

extern struct paging_format paging_format; /* complete before anything is mapped */
extern const struct paging_layout paging_layout;
extern uint64_t paging_root[PAGING_ENTRIES]; /* in the image */

/* Maps all of ram, with tables from pages out of unused (a part of ram), and what else start-up
 * wants mapped: from here on RAM is reached in the direct map. -ENOMEM. */
int paging_start(const struct ranges *ram, struct ranges *unused);

/* Turns on, on the calling CPU, what protection it has, and loads the root. */
void paging_enable(void);

/* Entries that were invalid before have been written. */
void paging_written(void);

/* Forgets translations that are not in use any more, on the calling CPU at least. */
void paging_flush(void);

/* --- For paging_start() --- */

/* Tables come from the pages in [pool, pool + size) of the image first, then from pages of ram (may
 * be NULL) in [floor, limit), which are reached at their physical address plus offset. */
void paging_tables_from(void *pool, uint64_t size);
void paging_tables_from_ram(struct ranges *ram, uint64_t floor, uint64_t limit, uint64_t offset);

/* Start-up is over: they come from the allocator. */
void paging_tables_from_allocator(void);

/* Adds [pa, pa + size) to the direct map. -ENOMEM. */
int paging_map_direct(uint64_t pa, uint64_t size);

/* --- For all --- */

/* Maps [pa, pa + size) at va; all multiples of the page size. -ENOMEM (for tables), -EEXIST. */
int paging_map(uint64_t va, uint64_t pa, uint64_t size, enum paging_kind kind);

/* Takes a mapping of single pages away; other CPUs must not have used it, or flush themselves. */
void paging_unmap(uint64_t va, uint64_t size);

/* Maps size bytes at pa somewhere, for good, and returns the pointer to pa. NULL: no memory, or
 * they reach beyond the format's limit, which may be as a firmware's table says. */
void *paging_window(hpa_t pa, uint64_t size, enum paging_kind kind);

/* Memory for a stack of size bytes (a multiple of the page size) with unmapped pages around it.
 * Returns its top, or 0 if there is no memory. */
uint64_t paging_stack(uint64_t size);

/* True if va is in one of the gaps between stacks. */
bool paging_is_guard(uint64_t va);

/* Physical address of va. False if it is not mapped. */
bool paging_lookup(uint64_t va, hpa_t *pa);

#endif
