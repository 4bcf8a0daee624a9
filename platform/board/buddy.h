/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame allocator: physical memory in blocks of 2^order pages, naturally aligned.
 *
 * One byte per frame says what the frame is; the lists of free blocks have their links in the free
 * memory itself. Knows nothing of how memory is mapped but one constant offset. Takes no lock: the
 * caller has one.
 */
#ifndef PLATFORM_BOARD_BUDDY_H
#define PLATFORM_BOARD_BUDDY_H

#include <hypercore/types.h>

#include "core/list.h"

#define BUDDY_MAX_ORDER  18 /* 1 GiB */
#define BUDDY_MAX_RANGES 256

struct buddy_range {
	uint64_t first, end; /* frame numbers */
	uint8_t *state;      /* one byte per frame, at the range's own beginning */
};

struct buddy {
	uint64_t offset; /* virtual minus physical address */
	struct hc_list free[BUDDY_MAX_ORDER + 1];
	struct buddy_range ranges[BUDDY_MAX_RANGES]; /* ascending */
	unsigned range_count;
	uint64_t total, available; /* frames */
};

/* An allocator without memory. offset: what to add to a physical address to get its pointer. */
void buddy_init(struct buddy *b, uint64_t offset);

/* Gives it [base, base + size), which must be above all ranges given before; parts of pages at the
 * ends are left out, and some pages are taken for its own records. -EINVAL (overlap or order),
 * -ENOSPC (too many ranges), 0 also for a range that is too small to be of use. */
int buddy_add(struct buddy *b, uint64_t base, uint64_t size);

/* 2^order pages; their contents are what they were. NULL when there is no such block. */
void *buddy_alloc(struct buddy *b, unsigned order);

/* -EINVAL if p was not allocated with this order: the caller's bookkeeping is broken. */
int buddy_free(struct buddy *b, void *p, unsigned order);

#endif
