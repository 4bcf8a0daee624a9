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

static void give(struct heap *h, unsigned index, void *p)
{
	struct heap_free *f = p;

	f->next = h->free[index];
	h->free[index] = f;
}

static void *take(struct heap *h, unsigned index)
{
	struct heap_free *f = h->free[index];

	if (f)
		h->free[index] = f->next;
	return f;
}

/* A piece cut from the smallest larger one: what is asked for in a row lies together, whatever the
 * sizes. */
static void *cut(struct heap *h, unsigned index)
{
	unsigned from = index + 1;
	uint8_t *p;

	while (from < HEAP_CLASSES && !h->free[from])
		from++;
	p = from < HEAP_CLASSES ? take(h, from) : buddy_alloc(h->buddy, 0);
	while (p && from-- > index)
		give(h, from, p + ((size_t)1 << (SMALLEST_SHIFT + from)));
	return p;
}

void *heap_alloc(struct heap *h, size_t size)
{
	unsigned index = class_of(size);

	if (index == HEAP_CLASSES)
		return size > LARGEST ? NULL : buddy_alloc(h->buddy, heap_order(size));
	return h->free[index] ? take(h, index) : cut(h, index);
}

int heap_free(struct heap *h, void *p, size_t size)
{
	unsigned index = class_of(size);

	if (index == HEAP_CLASSES)
		return buddy_free(h->buddy, p, heap_order(size));
	give(h, index, p);
	return 0;
}
