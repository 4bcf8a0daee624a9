/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot2 boot information (Multiboot2 Specification 2.0, 3.6). */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "platform/board/x86_64/loader.h"

struct mb2_tag {
	uint32_t type, size;
};

struct mb2_module {
	struct mb2_tag tag;
	uint32_t start, end;
	char text[];
};

struct mb2_map {
	struct mb2_tag tag;
	uint32_t entry_size, entry_version;
	uint8_t entries[];
};

struct mb2_map_entry {
	uint64_t base, size;
	uint32_t type, reserved;
};

struct mb2_framebuffer {
	struct mb2_tag tag;
	uint64_t address;
	uint32_t pitch, width, height;
	uint8_t bits, type;
	uint16_t reserved;
	uint8_t red_shift, red_size, green_shift, green_size, blue_shift, blue_size;
} __attribute__((packed));

_Static_assert(offsetof(struct mb2_framebuffer, red_shift) == 32, "Multiboot2 3.6.12");
_Static_assert(offsetof(struct mb2_map, entries) == 16, "Multiboot2 3.6.8");

#define MAX_INFO HC_MIB

static void read_cmdline(struct board_boot_info *info, const struct mb2_tag *tag)
{
	loader_copy_text(info->cmdline, sizeof(info->cmdline), (const char *)(tag + 1),
	                 tag->size - sizeof(*tag));
}

static void read_loader(struct board_boot_info *info, const struct mb2_tag *tag)
{
	static const char prefix[] = "multiboot2 (";
	size_t used = sizeof(prefix) - 1, room = sizeof(info->loader) - used - 1;

	memcpy(info->loader, prefix, used);
	loader_copy_text(info->loader + used, room, (const char *)(tag + 1),
	                 tag->size - sizeof(*tag));
	used = strlen(info->loader);
	info->loader[used] = ')';
	info->loader[used + 1] = '\0';
}

static void read_module(struct board_boot_info *info, const struct mb2_tag *tag)
{
	const struct mb2_module *m = (const void *)tag;

	if (tag->size >= sizeof(*m) && m->end > m->start)
		loader_add_module(info, m->start, m->end - m->start, m->text,
		                  tag->size - sizeof(*m));
}

static void read_map(struct board_boot_info *info, const struct mb2_tag *tag)
{
	const struct mb2_map *map = (const void *)tag;
	struct mb2_map_entry e;

	if (tag->size < sizeof(*map) || map->entry_size < sizeof(e))
		return;
	for (uint64_t at = sizeof(*map); at + sizeof(e) <= tag->size; at += map->entry_size) {
		memcpy(&e, (const uint8_t *)tag + at, sizeof(e));
		loader_add_range(info, e.base, e.size, e.type);
	}
}

static void read_framebuffer(struct board_boot_info *info, const struct mb2_tag *tag)
{
	const struct mb2_framebuffer *f = (const void *)tag;

	/* Type 1: direct colour; others are palettes and text. */
	if (tag->size < sizeof(*f) || f->type != 1 || (f->bits != 24 && f->bits != 32))
		return;
	info->framebuffer = (struct board_framebuffer){
		.base = f->address,
		.width = f->width,
		.height = f->height,
		.pitch = f->pitch,
		.bits_per_pixel = f->bits,
		.red_shift = f->red_shift,
		.green_shift = f->green_shift,
		.blue_shift = f->blue_shift,
	};
}

static void read_tag(struct board_boot_info *info, const struct mb2_tag *tag, uint64_t tag_pa)
{
	switch (tag->type) {
	case 1: read_cmdline(info, tag); break;
	case 2: read_loader(info, tag); break;
	case 3: read_module(info, tag); break;
	case 6: read_map(info, tag); break;
	case 8: read_framebuffer(info, tag); break;
	case 14: /* a copy of the RSDP of ACPI 1.0: only if there is no newer one */
		if (!info->rsdp)
			info->rsdp = tag_pa + sizeof(*tag);
		break;
	case 15: info->rsdp = tag_pa + sizeof(*tag); break;
	default: break;
	}
}

int multiboot2_read(struct board_boot_info *info, uint64_t pa, loader_map map)
{
	const uint32_t *head = map(pa, 8);
	uint32_t total;
	const uint8_t *data;

	memset(info, 0, sizeof(*info));
	info->magic = BOARD_BOOT_MAGIC;
	loader_copy_text(info->loader, sizeof(info->loader), "multiboot2", sizeof(info->loader));
	total = head ? head[0] : 0;
	data = total >= 8 && total <= MAX_INFO ? map(pa, total) : NULL;
	if (!data)
		return head ? -EPROTO : -EFAULT;
	for (uint64_t at = 8; at + sizeof(struct mb2_tag) <= total;) {
		const struct mb2_tag *tag = (const void *)(data + at);

		if (tag->size < sizeof(*tag) || tag->size > total - at || tag->type == 0)
			break;
		read_tag(info, tag, pa + at);
		at = HC_ALIGN_UP(at + tag->size, 8);
	}
	/* The copy of the RSDP is read later. */
	if (info->rsdp)
		loader_add_range(info, pa, total, LOADER_E820_ACPI);
	return 0;
}
