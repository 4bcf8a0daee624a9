/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/paging.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "platform/board/image.h"
#include "platform/platform.h"

#define VALID HC_BIT(0)

/* Where tables come from during start-up. */
static struct {
	bool over;
	uint8_t *pool, *pool_end;
	struct ranges *ram;
	uint64_t floor, limit;
} early;

static uint64_t table_offset; /* of those outside of the image */

static uint64_t window_used;
static uint64_t stack_next = (uint64_t)(uintptr_t)image_end;

void paging_tables_from(void *pool, uint64_t size)
{
	early.pool = pool;
	early.pool_end = early.pool + size;
}

void paging_tables_from_ram(struct ranges *ram, uint64_t floor, uint64_t limit, uint64_t offset)
{
	early.ram = ram;
	early.floor = floor;
	early.limit = limit;
	table_offset = offset;
}

void paging_tables_from_allocator(void)
{
	early.over = true;
	table_offset = paging_layout.direct_base;
}

static unsigned level_shift(unsigned level)
{
	return HC_PAGE_SHIFT + 9 * level;
}

static uint64_t *table_at(uint64_t entry)
{
	uint64_t pa = entry & paging_format.address;
	uint64_t inside = pa - board_boot_info.image_base;

	if (inside < (uint64_t)(image_end - image_start))
		return (uint64_t *)((uintptr_t)image_start + inside);
	return (uint64_t *)(uintptr_t)(pa + table_offset);
}

/* From the highest piece below the limit; one below the floor cannot be reached yet. */
static uint64_t early_page(void)
{
	uint64_t pa = 0;

	if (early.pool != early.pool_end) {
		pa = image_hpa(early.pool).v;
		early.pool += HC_PAGE_SIZE;
	} else if (early.ram) {
		pa = ranges_take(early.ram, HC_PAGE_SIZE, HC_PAGE_SIZE, early.limit);
		pa = pa < early.floor ? 0 : pa;
	}
	return pa;
}

static uint64_t early_table(void)
{
	uint64_t pa = early_page();

	if (pa)
		memset(table_at(pa), 0, HC_PAGE_SIZE);
	return pa;
}

/* A zeroed page for a table. 0: there is none. */
static uint64_t new_table(void)
{
	void *p;

	if (!early.over)
		return early_table();
	p = hc_platform_alloc_pages(0);
	return p ? hc_platform_to_hpa(p).v : 0;
}

static bool is_large(uint64_t entry)
{
	return entry & VALID && (entry & paging_format.large_mask) == paging_format.large;
}

/* The entry of va at level (0: 4 KiB pages), or the larger page's entry that covers it. Missing
 * tables are added if create. NULL: there is no table, or no memory for one. */
static uint64_t *entry_of(uint64_t va, unsigned level, bool create, unsigned *found)
{
	uint64_t *table = paging_root;

	for (unsigned l = PAGING_LEVELS - 1;; l--) {
		uint64_t *e = &table[va >> level_shift(l) & (PAGING_ENTRIES - 1)];

		*found = l;
		if (l == level || (l < PAGING_LEVELS - 1 && is_large(*e)))
			return e;
		if (!(*e & VALID)) {
			uint64_t pa = create ? new_table() : 0;

			if (!pa)
				return NULL;
			paging_written();
			*e = pa | paging_format.table;
		}
		table = table_at(*e);
	}
}

/* The largest page that can start at va and pa and ends within size. */
static unsigned fitting_level(uint64_t va, uint64_t pa, uint64_t size)
{
	unsigned level = paging_format.largest_level;

	while (level &&
	       ((va | pa) & (HC_BIT(level_shift(level)) - 1) || size < HC_BIT(level_shift(level))))
		level--;
	return level;
}

static uint64_t leaf(uint64_t pa, unsigned level, enum paging_kind kind)
{
	return pa | (level ? paging_format.block[kind] : paging_format.page[kind]);
}

int paging_map(uint64_t va, uint64_t pa, uint64_t size, enum paging_kind kind)
{
	while (size) {
		unsigned level = fitting_level(va, pa, size), found;
		uint64_t *e = entry_of(va, level, true, &found);

		if (!e)
			return -ENOMEM;
		if (found != level || *e & VALID)
			return -EEXIST;
		*e = leaf(pa, level, kind);
		va += HC_BIT(level_shift(level));
		pa += HC_BIT(level_shift(level));
		size -= HC_BIT(level_shift(level));
	}
	paging_written();
	return 0;
}

int paging_map_direct(uint64_t pa, uint64_t size)
{
	return paging_map(paging_layout.direct_base + pa, pa, size, PAGING_RW);
}

void paging_unmap(uint64_t va, uint64_t size)
{
	for (uint64_t end = va + size; va != end; va += HC_PAGE_SIZE) {
		unsigned found;
		uint64_t *e = entry_of(va, 0, false, &found);

		if (e && found == 0)
			*e = 0;
	}
	paging_flush();
}

bool paging_lookup(uint64_t va, hpa_t *pa)
{
	unsigned found;
	uint64_t *e = entry_of(va, 0, false, &found);
	uint64_t inside;

	if (!e || !(*e & VALID))
		return false;
	inside = HC_BIT(level_shift(found)) - 1;
	pa->v = (*e & paging_format.address & ~inside) | (va & inside);
	return true;
}

void *paging_window(hpa_t pa, uint64_t size, enum paging_kind kind)
{
	uint64_t first = HC_ALIGN_DOWN(pa.v, HC_PAGE_SIZE);
	uint64_t len = HC_ALIGN_UP(pa.v + size, HC_PAGE_SIZE) - first;
	uint64_t at = window_used;

	/* The same place within 2 MiB, so that large pages fit. */
	at += (first - at) & (2 * HC_MIB - 1);
	if (pa.v > paging_format.limit || size > paging_format.limit - pa.v ||
	    len > paging_layout.window_size || at + len > paging_layout.window_size)
		return NULL;
	if (paging_map(paging_layout.window_base + at, first, len, kind))
		return NULL;
	window_used = at + len;
	return (void *)(uintptr_t)(paging_layout.window_base + at + (pa.v - first));
}

uint64_t paging_stack(uint64_t size)
{
	uint64_t bottom = stack_next + HC_PAGE_SIZE;

	for (uint64_t at = 0; at < size; at += HC_PAGE_SIZE) {
		void *page = hc_platform_alloc_pages(0);

		if (!page ||
		    paging_map(bottom + at, hc_platform_to_hpa(page).v, HC_PAGE_SIZE, PAGING_RW))
			return 0;
	}
	stack_next = bottom + size;
	return stack_next;
}

bool paging_is_guard(uint64_t va)
{
	hpa_t pa;

	return va >= (uint64_t)(uintptr_t)image_end && va < stack_next + HC_PAGE_SIZE &&
	       !paging_lookup(va, &pa);
}
