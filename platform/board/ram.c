/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/ram.h"

#include "core/log.h"
#include "platform/board/board.h"
#include "platform/board/image.h"
#include "platform/board/memory.h"
#include "platform/board/paging.h"
#include "platform/platform.h"

static struct ranges ram;    /* what is in the direct map */
static struct ranges unused; /* what of it nobody has a claim to yet */

static void remove_pages(struct ranges *l, uint64_t base, uint64_t size)
{
	ranges_remove(l, HC_ALIGN_DOWN(base, HC_PAGE_SIZE), HC_ALIGN_UP(base + size, HC_PAGE_SIZE));
}

/* Firmware maps overlap now and then: whatever is not RAM wins. */
static void collect(const struct board_boot_info *info, uint64_t lowest)
{
	for (uint32_t i = 0; i < info->range_count; i++) {
		const struct board_range *r = &info->ranges[i];

		if (r->type == BOARD_RANGE_RAM)
			ranges_add(&ram, HC_ALIGN_UP(r->base, HC_PAGE_SIZE),
			           HC_ALIGN_DOWN(r->base + r->size, HC_PAGE_SIZE));
	}
	for (uint32_t i = 0; i < info->range_count; i++)
		if (info->ranges[i].type != BOARD_RANGE_RAM)
			remove_pages(&ram, info->ranges[i].base, info->ranges[i].size);
	ranges_remove(&ram, 0, lowest);
	ranges_remove(&ram, paging_layout.direct_size, UINT64_MAX);
}

int ram_init(uint64_t lowest)
{
	const struct board_boot_info *info = &board_boot_info;
	uint64_t image_size = (uint64_t)(image_end - image_start);
	int err;

	collect(info, lowest);
	unused = ram;
	remove_pages(&unused, info->image_base, hc_max(image_size, info->image_size));
	for (uint32_t i = 0; i < info->module_count; i++)
		remove_pages(&unused, info->modules[i].base, info->modules[i].size);
	err = paging_start(&ram, &unused);
	if (err)
		return hc_error(err, "there is not enough memory to start: %llu KiB",
		                (unsigned long long)(ranges_total(&ram) >> 10));
	memory_init(&unused, paging_layout.direct_base);
	if (ram.full || unused.full)
		hc_log(HC_LOG_WARN, "the memory map has too many pieces: some memory is left out");
	return 0;
}

const struct ranges *ram_ranges(void)
{
	return &ram;
}

uint64_t ram_total(void)
{
	return ranges_total(&ram);
}

bool ram_is_ours(uint64_t pa, uint64_t size)
{
	return ranges_intersect(&ram, pa, pa + size);
}

const void *board_reach(uint64_t pa, uint64_t size)
{
	if (ranges_contain(&ram, pa, pa + size))
		return (const void *)(uintptr_t)(pa + paging_layout.direct_base);
	return paging_window(hpa_of(pa), size, PAGING_RO);
}

const void *ram_reach_table(void *arg, uint64_t pa, uint64_t size)
{
	(void)arg;
	if (!pa || pa + size < pa)
		return NULL;
	return board_reach(pa, size);
}

void *board_map_framebuffer(uint64_t pa, uint64_t size)
{
	return paging_window(hpa_of(pa), size, PAGING_COMBINING);
}

hpa_t hc_platform_to_hpa(const void *p)
{
	uint64_t va = (uint64_t)(uintptr_t)p;
	hpa_t pa;

	if (va >= paging_layout.direct_base &&
	    va - paging_layout.direct_base < paging_layout.direct_size)
		return hpa_of(va - paging_layout.direct_base);
	if (!paging_lookup(va, &pa))
		hc_panic("%p is not mapped and has no physical address", p);
	return pa;
}

void *hc_platform_from_hpa(hpa_t pa)
{
	return (void *)(uintptr_t)(pa.v + paging_layout.direct_base);
}
