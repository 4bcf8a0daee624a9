/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pieces smaller than a page, in a few sizes, cut from pages. Pages once cut stay so. Larger
 * requests take whole blocks. Takes no lock: the caller has one.
 */
#ifndef PLATFORM_BOARD_HEAP_H
#define PLATFORM_BOARD_HEAP_H

#include "platform/board/buddy.h"

#define HEAP_CLASSES 6 /* 64, 128, ... 2048 bytes */

struct heap {
	struct buddy *buddy;
	struct heap_free {
		struct heap_free *next;
	} * free[HEAP_CLASSES];
};

void heap_init(struct heap *h, struct buddy *b);

/* size bytes, aligned to 64 at least; not zeroed. NULL when there are none. */
void *heap_alloc(struct heap *h, size_t size);

/* size as in heap_alloc. -EINVAL if a block larger than a page was not allocated so. */
int heap_free(struct heap *h, void *p, size_t size);

/* The order of the smallest block that holds size bytes. */
unsigned heap_order(size_t size);

#endif
