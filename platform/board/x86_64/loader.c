/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/x86_64/loader.h"

#include <hypercore/freestanding.h>
#include <hypercore/types.h>

void loader_add_range(struct board_boot_info *info, uint64_t base, uint64_t size,
                      uint32_t e820_type)
{
	struct board_range *r = &info->ranges[info->range_count];

	if (!size || base + size < base || info->range_count == BOARD_MAX_RANGES)
		return;
	info->range_count++;
	r->base = base;
	r->size = size;
	r->type = e820_type == LOADER_E820_RAM ? BOARD_RANGE_RAM
	          : e820_type == LOADER_E820_ACPI || e820_type == LOADER_E820_NVS
	                  ? BOARD_RANGE_ACPI
	                  : BOARD_RANGE_RESERVED;
}

void loader_copy_text(char *dst, size_t size, const char *src, size_t len)
{
	size_t n = strnlen(src, len);

	if (n >= size)
		n = size - 1;
	memcpy(dst, src, n);
	dst[n] = '\0';
}

/* The name is the last part of the path, up to the first blank. */
void loader_add_module(struct board_boot_info *info, uint64_t base, uint64_t size, const char *name,
                       size_t name_len)
{
	struct board_module *m = &info->modules[info->module_count];
	size_t start = 0, end = 0;

	if (!size || base + size < base || info->module_count == BOARD_MAX_MODULES)
		return;
	info->module_count++;
	m->base = base;
	m->size = size;
	while (end < name_len && name[end] && name[end] != ' ') {
		if (name[end++] == '/')
			start = end;
	}
	loader_copy_text(m->name, sizeof(m->name), name + start, end - start);
}
