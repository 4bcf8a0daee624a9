/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/heap.h"

#include <hypercore/freestanding.h>

#define SMALLEST_SHIFT 6
#define LARGEST        (SIZE_MAX >> 1)

void heap_init(struct heap *h, struct buddy *b)
{
	memset(h, 0, sizeof(*h));
	h->buddy = b;
}

/* HEAP_CLASSES for sizes that take whole pages. */
static unsigned class_of(size_t size)
{
	unsigned index = 0;

	while (index < HEAP_CLASSES && ((size_t)1 << (SMALLEST_SHIFT + index)) < size)
		index++;
	return index;
}

unsigned heap_order(size_t size)
{
	unsigned order = 0;

	while (order <= BUDDY_MAX_ORDER && (HC_PAGE_SIZE << order) < size)
		order++;
	return order;
}

static void cut_page(struct heap *h, unsigned index)
{
	size_t piece = (size_t)1 << (SMALLEST_SHIFT + index);
	uint8_t *page = buddy_alloc(h->buddy, 0);

	for (size_t at = 0; page && at < HC_PAGE_SIZE; at += piece) {
		struct heap_free *f = (void *)(page + at);

		f->next = h->free[index];
		h->free[index] = f;
	}
}

void *heap_alloc(struct heap *h, size_t size)
{
	unsigned index = class_of(size);
	struct heap_free *f;

	if (index == HEAP_CLASSES)
		return size > LARGEST ? NULL : buddy_alloc(h->buddy, heap_order(size));
	if (!h->free[index])
		cut_page(h, index);
	f = h->free[index];
	if (f)
		h->free[index] = f->next;
	return f;
}

int heap_free(struct heap *h, void *p, size_t size)
{
	unsigned index = class_of(size);
	struct heap_free *f = p;

	if (index == HEAP_CLASSES)
		return buddy_free(h->buddy, p, heap_order(size));
	f->next = h->free[index];
	h->free[index] = f;
	return 0;
}
