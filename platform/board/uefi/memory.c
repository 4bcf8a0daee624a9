/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages from the firmware, and its memory map as the board wants it. */
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "platform/board/uefi/loader.h"

static struct efi_boot_services *services;

/* Image, boot information, map, and the modules. */
static struct allocation {
	uint64_t address, pages;
} allocations[BOARD_MAX_MODULES + 4];
static unsigned allocation_count;

void uefi_memory_init(struct efi_boot_services *boot_services)
{
	services = boot_services;
}

/* Takes more than is needed, so that an aligned part is inside, and gives the rest back. */
static efi_status_t alloc_below(enum efi_memory_type type, uint64_t pages, uint64_t align,
                                uint64_t limit, uint64_t *address)
{
	uint64_t extra = align / EFI_PAGE_SIZE - 1;
	uint64_t start = limit - 1, head;
	efi_status_t status =
		services->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, type, pages + extra, &start);

	if (status != EFI_SUCCESS)
		return status;
	*address = HC_ALIGN_UP(start, align);
	head = (*address - start) / EFI_PAGE_SIZE;
	if (head > 0)
		services->free_pages(start, head);
	if (extra > head)
		services->free_pages(*address + pages * EFI_PAGE_SIZE, extra - head);
	return EFI_SUCCESS;
}

efi_status_t uefi_alloc(enum efi_memory_type type, uint64_t bytes, uint64_t align, bool high_ok,
                        const char *what, uint64_t *address)
{
	uint64_t pages = HC_ALIGN_UP(bytes, EFI_PAGE_SIZE) / EFI_PAGE_SIZE;
	efi_status_t status = EFI_OUT_OF_RESOURCES;

	if (allocation_count < HC_ARRAY_SIZE(allocations))
		status = alloc_below(type, pages, align, 4 * HC_GIB, address);
	if (status != EFI_SUCCESS && high_ok && allocation_count < HC_ARRAY_SIZE(allocations))
		status = alloc_below(type, pages, align, HC_BIT(52), address);
	if (status != EFI_SUCCESS)
		return uefi_error(status, "no room for %s: %llu KiB of free memory%s are needed",
		                  what, (unsigned long long)(pages * EFI_PAGE_SIZE / HC_KIB),
		                  high_ok ? "" : " below 4 GiB");
	allocations[allocation_count++] = (struct allocation){ *address, pages };
	memset((void *)(uintptr_t)*address, 0, (size_t)(pages * EFI_PAGE_SIZE));
	return EFI_SUCCESS;
}

void uefi_free_all(void)
{
	while (allocation_count > 0) {
		const struct allocation *a = &allocations[--allocation_count];

		services->free_pages(a->address, a->pages);
	}
}

/* --- The map --- */

/* What becomes of a type of memory once boot services have ended (7.2, table 7-6). */
static enum board_range_type range_type(uint32_t type)
{
	switch (type) {
	case EFI_LOADER_CODE:
	case EFI_LOADER_DATA:
	case EFI_BOOT_SERVICES_CODE:
	case EFI_BOOT_SERVICES_DATA:
	case EFI_CONVENTIONAL_MEMORY: return BOARD_RANGE_RAM;
	case EFI_ACPI_RECLAIM_MEMORY:
	case EFI_ACPI_MEMORY_NVS: return BOARD_RANGE_ACPI;
	default: return BOARD_RANGE_RESERVED;
	}
}

static bool joins(const struct board_range *low, const struct board_range *high)
{
	return low->type == high->type && low->base + low->size == high->base;
}

static void remove_range(struct board_boot_info *info, unsigned at)
{
	memmove(&info->ranges[at], &info->ranges[at + 1],
	        (info->range_count - at - 1) * sizeof(info->ranges[0]));
	info->range_count--;
}

/* Keeps the ranges in the order of their addresses. false: the table is full. */
static bool add_range(struct board_boot_info *info, const struct board_range *range)
{
	struct board_range *r = info->ranges;
	unsigned at = info->range_count;

	while (at > 0 && r[at - 1].base > range->base)
		at--;
	if (at > 0 && joins(&r[at - 1], range)) {
		r[at - 1].size += range->size;
		if (at < info->range_count && joins(&r[at - 1], &r[at])) {
			r[at - 1].size += r[at].size;
			remove_range(info, at);
		}
		return true;
	}
	if (at < info->range_count && joins(range, &r[at])) {
		r[at].base = range->base;
		r[at].size += range->size;
		return true;
	}
	if (info->range_count == BOARD_MAX_RANGES)
		return false;
	memmove(&r[at + 1], &r[at], (info->range_count - at) * sizeof(r[0]));
	r[at] = *range;
	info->range_count++;
	return true;
}

unsigned uefi_convert_map(const void *map, uint64_t size, uint64_t descriptor_size,
                          struct board_boot_info *info)
{
	unsigned dropped = 0;

	info->range_count = 0;
	for (uint64_t at = 0; size - at >= descriptor_size; at += descriptor_size) {
		const struct efi_memory_descriptor *d =
			(const void *)((const char *)map + (size_t)at);
		struct board_range range = { .base = d->physical_start,
			                     .size = d->pages * EFI_PAGE_SIZE,
			                     .type = range_type(d->type) };

		/* A map that wraps around the address space comes from broken firmware. */
		if (d->pages == 0 || d->pages > (UINT64_MAX - range.base) / EFI_PAGE_SIZE)
			continue;
		if (!add_range(info, &range))
			dropped++;
	}
	return dropped;
}

/* --- Leaving --- */

#define EXIT_ATTEMPTS 8

/* Room for the map as it is now and as allocating that room, and the firmware's own timers, may
 * make it: 64 descriptors more. */
static efi_status_t map_room(uint64_t *room, void **map)
{
	uint64_t size = 0, key, descriptor_size = 0, address = 0;
	uint32_t version;
	efi_status_t status =
		services->get_memory_map(&size, NULL, &key, &descriptor_size, &version);

	if (status != EFI_BUFFER_TOO_SMALL ||
	    descriptor_size < sizeof(struct efi_memory_descriptor))
		return uefi_error(EFI_DEVICE_ERROR, "the firmware does not give its memory map");
	*room = HC_ALIGN_UP(size + 64 * descriptor_size, EFI_PAGE_SIZE);
	status =
		uefi_alloc(EFI_LOADER_DATA, *room, EFI_PAGE_SIZE, true, "the memory map", &address);
	if (status == EFI_SUCCESS)
		*map = (void *)(uintptr_t)address;
	return status;
}

efi_status_t uefi_exit(efi_handle_t self, struct board_boot_info *info)
{
	uint64_t room = 0, size, key, descriptor_size;
	uint32_t version;
	efi_status_t status;
	unsigned dropped;
	void *map = NULL;

	status = map_room(&room, &map);
	if (status != EFI_SUCCESS || !map)
		return status;
	/* Once before leaving: afterwards nothing can be said. */
	size = room;
	status = services->get_memory_map(&size, map, &key, &descriptor_size, &version);
	if (status != EFI_SUCCESS)
		return uefi_error(status, "the firmware does not give its memory map");
	dropped = uefi_convert_map(map, size, descriptor_size, info);
	if (dropped > 0)
		hc_log(HC_LOG_WARN, "the memory map is too long: %u of its ranges are left out",
		       dropped);

	/* What the firmware does on the way out can change the map: then the key is refused, and
	 * only the map's functions may still be called (7.4.6). */
	for (int i = 0; i < EXIT_ATTEMPTS; i++) {
		size = room;
		status = services->get_memory_map(&size, map, &key, &descriptor_size, &version);
		if (status == EFI_SUCCESS)
			status = services->exit_boot_services(self, key);
		if (status == EFI_SUCCESS) {
			uefi_convert_map(map, size, descriptor_size, info);
			return EFI_SUCCESS;
		}
		if (status != EFI_INVALID_PARAMETER)
			break;
	}
	return uefi_error(status, "the firmware does not let go of the machine");
}
