/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/memory.h"

#include <hypercore/freestanding.h>

#include "core/lock.h"
#include "core/log.h"
#include "platform/board/heap.h"

static struct hc_lock lock;
static struct buddy buddy;
static struct heap heap;
static unsigned max_order;

void memory_init(const struct ranges *unused, uint64_t offset)
{
	buddy_init(&buddy, offset);
	for (unsigned i = 0; i < unused->count; i++)
		if (buddy_add(&buddy, unused->r[i].base, unused->r[i].end - unused->r[i].base))
			hc_log(HC_LOG_WARN, "memory at 0x%llx is left out: too many pieces",
			       (unsigned long long)unused->r[i].base);
	heap_init(&heap, &buddy);
	for (unsigned order = 0; order <= BUDDY_MAX_ORDER; order++)
		if (!hc_list_empty(&buddy.free[order]))
			max_order = order;
}

uint64_t memory_available(void)
{
	return buddy.available << HC_PAGE_SHIFT;
}

#define STEP 32 /* words looked at in a row: few instructions for each */

static bool is_zero(const uint64_t *page)
{
	for (const uint64_t *w = page, *end = page + HC_PAGE_SIZE / sizeof(*w); w != end;
	     w += STEP) {
		uint64_t any = 0;

#pragma GCC unroll 32
		for (unsigned i = 0; i < STEP; i++)
			any |= w[i];
		if (any)
			return false;
	}
	return true;
}

/* Most RAM of a fresh machine is zero. Where that machine is itself virtual, what nobody writes to
 * takes no memory, and no time to find some. */
void hc_platform_clear(void *p, uint64_t size)
{
	for (uint8_t *page = p, *end = page + size; page != end; page += HC_PAGE_SIZE)
		if (!is_zero((const uint64_t *)(const void *)page))
			memset(page, 0, HC_PAGE_SIZE);
}

void *hc_platform_alloc_raw(unsigned order)
{
	bool irq = hc_lock_irq(&lock);
	void *p = order <= BUDDY_MAX_ORDER ? buddy_alloc(&buddy, order) : NULL;

	hc_unlock_irq(&lock, irq);
	return p;
}

void *hc_platform_alloc_pages(unsigned order)
{
	void *p = hc_platform_alloc_raw(order);

	if (p)
		hc_platform_clear(p, HC_PAGE_SIZE << order);
	return p;
}

void hc_platform_free_pages(void *p, unsigned order)
{
	bool irq;
	int err;

	if (!p)
		return;
	irq = hc_lock_irq(&lock);
	err = buddy_free(&buddy, p, order);
	hc_unlock_irq(&lock, irq);
	if (err)
		hc_panic("freed %p as a block of order %u, which it is not", p, order);
}

void *hc_platform_alloc(size_t size)
{
	bool irq = hc_lock_irq(&lock);
	void *p = heap_alloc(&heap, size);

	hc_unlock_irq(&lock, irq);
	if (p)
		memset(p, 0, size);
	return p;
}

void hc_platform_free(void *p, size_t size)
{
	bool irq;
	int err;

	if (!p)
		return;
	irq = hc_lock_irq(&lock);
	err = heap_free(&heap, p, size);
	hc_unlock_irq(&lock, irq);
	if (err)
		hc_panic("freed %p as %zu bytes, which it is not", p, size);
}

unsigned hc_platform_max_order(void)
{
	return max_order;
}
