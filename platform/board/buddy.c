/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/buddy.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

/* A frame's state: head of a free or of an allocated block of an order, or inside a block. */
#define INSIDE       0x00
#define FREE(order)  ((uint8_t)(0x40 | (order)))
#define TAKEN(order) ((uint8_t)(0x80 | (order)))

static void *frame_ptr(const struct buddy *b, uint64_t frame)
{
	return (void *)(uintptr_t)((frame << HC_PAGE_SHIFT) + b->offset);
}

static uint64_t ptr_frame(const struct buddy *b, const void *p)
{
	return ((uint64_t)(uintptr_t)p - b->offset) >> HC_PAGE_SHIFT;
}

static struct buddy_range *range_of(struct buddy *b, uint64_t frame)
{
	for (unsigned i = 0; i < b->range_count; i++) {
		struct buddy_range *r = &b->ranges[i];

		if (frame >= r->first && frame < r->end)
			return r;
	}
	return NULL;
}

static void put_free(struct buddy *b, struct buddy_range *r, uint64_t frame, unsigned order)
{
	r->state[frame - r->first] = FREE(order);
	hc_list_append(&b->free[order], frame_ptr(b, frame));
}

static void take_free(struct buddy *b, struct buddy_range *r, uint64_t frame)
{
	r->state[frame - r->first] = INSIDE;
	hc_list_remove(frame_ptr(b, frame));
}

void buddy_init(struct buddy *b, uint64_t offset)
{
	memset(b, 0, sizeof(*b));
	b->offset = offset;
	for (unsigned i = 0; i <= BUDDY_MAX_ORDER; i++)
		hc_list_init(&b->free[i]);
}

/* The largest block that may start at frame and ends before end. */
static unsigned fitting_order(uint64_t frame, uint64_t end)
{
	unsigned order = 0;

	while (order < BUDDY_MAX_ORDER && !(frame & HC_BIT(order)) &&
	       frame + HC_BIT(order + 1) <= end)
		order++;
	return order;
}

int buddy_add(struct buddy *b, uint64_t base, uint64_t size)
{
	uint64_t first = HC_ALIGN_UP(base, HC_PAGE_SIZE) >> HC_PAGE_SHIFT;
	uint64_t end = (base + size) >> HC_PAGE_SHIFT;
	struct buddy_range *last = b->range_count ? &b->ranges[b->range_count - 1] : NULL;
	struct buddy_range *r = &b->ranges[b->range_count];
	uint64_t records;

	if (base + size < base || (last && first < last->end))
		return -EINVAL;
	records = end > first ? HC_ALIGN_UP(end - first, HC_PAGE_SIZE) >> HC_PAGE_SHIFT : 0;
	if (end <= first + records)
		return 0;
	if (b->range_count == BUDDY_MAX_RANGES)
		return -ENOSPC;
	b->range_count++;
	r->first = first;
	r->end = end;
	r->state = frame_ptr(b, first);
	memset(r->state, INSIDE, end - first);
	for (uint64_t f = first + records; f < end;) {
		unsigned order = fitting_order(f, end);

		put_free(b, r, f, order);
		f += HC_BIT(order);
	}
	b->total += end - first - records;
	b->available += end - first - records;
	return 0;
}

void *buddy_alloc(struct buddy *b, unsigned order)
{
	unsigned from = order;
	struct buddy_range *r;
	uint64_t frame;

	while (from <= BUDDY_MAX_ORDER && hc_list_empty(&b->free[from]))
		from++;
	if (from > BUDDY_MAX_ORDER)
		return NULL;
	frame = ptr_frame(b, b->free[from].next);
	r = range_of(b, frame);
	take_free(b, r, frame);
	while (from > order) {
		from--;
		put_free(b, r, frame + HC_BIT(from), from);
	}
	r->state[frame - r->first] = TAKEN(order);
	b->available -= HC_BIT(order);
	return frame_ptr(b, frame);
}

int buddy_free(struct buddy *b, void *p, unsigned order)
{
	uint64_t frame = ptr_frame(b, p);
	struct buddy_range *r = range_of(b, frame);

	if (!r || order > BUDDY_MAX_ORDER || (uintptr_t)p & (HC_PAGE_SIZE - 1) ||
	    r->state[frame - r->first] != TAKEN(order))
		return -EINVAL;
	b->available += HC_BIT(order);
	r->state[frame - r->first] = INSIDE;
	while (order < BUDDY_MAX_ORDER) {
		uint64_t other = frame ^ HC_BIT(order);

		/* A block never reaches beyond its range, so its head lies inside. */
		if (other < r->first || other >= r->end ||
		    r->state[other - r->first] != FREE(order))
			break;
		take_free(b, r, other);
		frame &= ~HC_BIT(order);
		order++;
	}
	put_free(b, r, frame, order);
	return 0;
}
