/* SPDX-License-Identifier: BSD-2-Clause */
/* The PVH start information (Xen's public/arch-x86/hvm/start_info.h). */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "platform/board/x86_64/layout.h"
#include "platform/board/x86_64/loader.h"

struct pvh_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp;
	/* version 1 and later */
	uint64_t map;
	uint32_t map_entries, reserved;
};

struct pvh_module {
	uint64_t base, size, cmdline, reserved;
};

struct pvh_map_entry {
	uint64_t base, size;
	uint32_t type, reserved;
};

_Static_assert(offsetof(struct pvh_start_info, map) == 40, "start_info.h");
_Static_assert(sizeof(struct pvh_module) == 32, "start_info.h");
_Static_assert(sizeof(struct pvh_map_entry) == 24, "start_info.h");

/* How much of a string at pa can be read, up to max; it may end earlier with a NUL. */
static const char *text_at(uint64_t pa, size_t max, size_t *len, loader_map map)
{
	const char *s = NULL;

	for (*len = max; pa && *len && !(s = map(pa, *len)); *len /= 2)
		;
	return s;
}

static void read_modules(struct board_boot_info *info, const struct pvh_start_info *start,
                         loader_map map)
{
	for (uint64_t i = 0; i < hc_min(start->module_count, BOARD_MAX_MODULES); i++) {
		const struct pvh_module *m = map(start->modules + i * sizeof(*m), sizeof(*m));
		const char *name;
		size_t len;

		if (!m)
			return;
		name = text_at(m->cmdline, BOARD_MODULE_NAME, &len, map);
		loader_add_module(info, m->base, m->size, name ? name : "", name ? len : 0);
	}
}

int pvh_read(struct board_boot_info *info, uint64_t pa, loader_map map)
{
	const struct pvh_start_info *start = map(pa, sizeof(*start));
	const char *cmdline;
	size_t len;

	memset(info, 0, sizeof(*info));
	info->magic = BOARD_BOOT_MAGIC;
	loader_copy_text(info->loader, sizeof(info->loader), "PVH", sizeof(info->loader));
	if (!start)
		return -EFAULT;
	if (start->magic != START_PVH || start->version < 1)
		return -EPROTO;
	info->rsdp = start->rsdp;
	cmdline = text_at(start->cmdline, BOARD_MAX_CMDLINE, &len, map);
	if (cmdline)
		loader_copy_text(info->cmdline, sizeof(info->cmdline), cmdline, len);
	read_modules(info, start, map);
	for (uint64_t i = 0; i < hc_min(start->map_entries, BOARD_MAX_RANGES); i++) {
		const struct pvh_map_entry *e = map(start->map + i * sizeof(*e), sizeof(*e));

		if (e)
			loader_add_range(info, e->base, e->size, e->type);
	}
	return 0;
}
