/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads a multiboot kernel (Multiboot Specification 0.6.96): an ELF file, or any file whose header
 * has the addresses. It is entered in 32-bit mode. The initrd is module 0, and follows the kernel.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/boot.h"
#include "core/log.h"

#define SEARCHED 8192u

#define HEADER_MAGIC UINT32_C(0x1badb002)
#define LOADER_MAGIC UINT32_C(0x2badb002) /* in EAX */

/* 3.1.2 */
#define WANTS_VIDEO   HC_BIT(2)
#define WANTS_KNOWN   UINT32_C(0x7) /* of bits 15:0: page-aligned modules, memory, video */
#define HAS_ADDRESSES HC_BIT(16)

struct header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};
_Static_assert(sizeof(struct header) == 32, "3.1.1");

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
	uint32_t apm_table;
};
_Static_assert(offsetof(struct info, mmap_length) == 44, "3.3");
_Static_assert(offsetof(struct info, boot_loader_name) == 64, "3.3");

enum {
	INFO_MEMORY = 1 << 0,
	INFO_CMDLINE = 1 << 2,
	INFO_MODS = 1 << 3,
	INFO_MMAP = 1 << 6,
	INFO_LOADER = 1 << 9
};

struct module {
	uint32_t start, end, string, reserved;
};

struct map_entry {
	uint32_t size; /* of what follows */
	uint64_t base, len;
	uint32_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct map_entry) == 24, "3.3, mmap_addr");

static const char loader_name[] = "Hypercore";

/* --- The header --- */

/* Where it is in the file, or size. */
static uint64_t find_header(const uint8_t *file, uint64_t size, bool *broken)
{
	uint64_t end = hc_min(size, SEARCHED);
	uint32_t h[3];

	for (uint64_t at = 0; at + sizeof(h) <= end; at += 4) {
		memcpy(h, file + at, sizeof(h));
		if (h[0] != HEADER_MAGIC)
			continue;
		if (h[0] + h[1] + h[2] == 0)
			return at;
		if (broken)
			*broken = true;
	}
	return size;
}

bool x86_is_multiboot(const void *file, uint64_t size, bool *broken)
{
	return find_header(file, size, broken) < size;
}

static int wrong(const struct hc_vm *vm, const char *field, uint32_t value, const char *right)
{
	return hc_error(-EPROTO, "vm %s: the kernel's multiboot header has %s = %#x: should be %s",
	                vm->name, field, value, right);
}

/* The header says what goes where ("a.out kludge"). at: of the header in the file. */
static int read_addresses(struct hc_vm *vm, const struct header *h, uint64_t at, uint64_t size,
                          struct boot_kernel *k)
{
	struct boot_segment s = { .at = h->load_addr };

	if (h->header_addr < h->load_addr || h->header_addr - h->load_addr > at)
		return wrong(vm, "load_addr", h->load_addr,
		             "as far below header_addr as the file has bytes before the header");
	s.file = at - (h->header_addr - h->load_addr);
	if (h->load_end_addr && h->load_end_addr < h->load_addr)
		return wrong(vm, "load_end_addr", h->load_end_addr, "0, or above load_addr");
	s.file_bytes = h->load_end_addr ? h->load_end_addr - h->load_addr : size - s.file;
	s.size = s.file_bytes;
	if (h->bss_end_addr && h->bss_end_addr < s.at + s.file_bytes)
		return wrong(vm, "bss_end_addr", h->bss_end_addr,
		             "0, or not below the end of what is loaded");
	if (h->bss_end_addr)
		s.size = h->bss_end_addr - s.at;
	k->entry = h->entry_addr;
	return x86_boot_add_segment(vm, k, &s, size,
	                            "multiboot header (load_addr, load_end_addr, bss_end_addr)");
}

static int read_kernel(struct hc_vm *vm, const struct x86_boot *boot, struct boot_kernel *k)
{
	const uint8_t *file = boot->kernel;
	uint64_t size = boot->kernel_size, at = find_header(file, size, NULL);
	struct header h = { 0 };
	bool whole = size - at >= sizeof(h);
	int rc;

	if (at == size)
		return hc_error(-EPROTO,
		                "vm %s: the kernel's multiboot header has a wrong checksum: magic, "
		                "flags and checksum should add up to 0",
		                vm->name);
	memcpy(&h, file + at, whole ? sizeof(h) : 12);
	if (h.flags & 0xffff & ~WANTS_KNOWN)
		return wrong(vm, "flags", h.flags, "without any of bits 3 to 15");
	if (h.flags & WANTS_VIDEO)
		hc_log(HC_LOG_WARN, "vm %s: the kernel wants a video mode: there is no screen",
		       vm->name);
	if (!(h.flags & HAS_ADDRESSES))
		rc = x86_elf_read(vm, file, size, k);
	else if (!whole)
		rc = hc_error(-EPROTO, "vm %s: the kernel file ends in its multiboot header",
		              vm->name);
	else
		rc = read_addresses(vm, &h, at, size, k);
	return rc ? rc
	          : x86_boot_check_entry(vm, k, h.flags & HAS_ADDRESSES ? "entry_addr" : "e_entry");
}

/* --- What it is told --- */

/* *end: the first address behind the kernel and the module. */
static int place_module(struct hc_vm *vm, const struct x86_boot *boot, const struct boot_kernel *k,
                        struct module *m, uint64_t *end)
{
	uint64_t at = HC_ALIGN_UP(hc_max(k->end, BOOT_HIGH_RAM), HC_PAGE_SIZE);
	uint64_t limit = x86_boot_low_ram(vm);

	*end = at;
	if (!boot->initrd)
		return 0;
	if (at > limit || boot->initrd_size > limit - at)
		return hc_error(-ENOMEM,
		                "vm %s: the module of %llu KiB does not fit between %#llx and "
		                "%#llx; give the VM more memory",
		                vm->name, (unsigned long long)(boot->initrd_size / HC_KIB),
		                (unsigned long long)at, (unsigned long long)limit);
	*end = at + boot->initrd_size;
	m->start = (uint32_t)at;
	m->end = (uint32_t)*end;
	return hc_mem_write(vm, gpa_of(at), boot->initrd, boot->initrd_size);
}

static void put_map(struct boot_area *area, struct info *info)
{
	struct boot_map map;
	struct map_entry entries[BOOT_MAP_MAX];

	x86_boot_map(area->vm, &map);
	for (unsigned i = 0; i < map.count; i++)
		entries[i] = (struct map_entry){ sizeof(entries[i]) - 4, map.ranges[i].base,
			                         map.ranges[i].size, map.ranges[i].type };
	info->mmap_length = map.count * (uint32_t)sizeof(entries[0]);
	info->mmap_addr = x86_boot_put(area, entries, info->mmap_length);
}

static void put_strings(struct boot_area *area, const struct x86_boot *boot, struct info *info,
                        struct module *m)
{
	const char *name = boot->initrd_name ? boot->initrd_name : "";

	info->cmdline = x86_boot_put(area, boot->cmdline, strlen(boot->cmdline) + 1);
	info->boot_loader_name = x86_boot_put(area, loader_name, sizeof(loader_name));
	if (boot->initrd)
		m->string = x86_boot_put(area, name, strlen(name) + 1);
}

/* Room for all of it, with the padding between. */
static uint64_t room_for(const struct x86_boot *boot)
{
	return HC_ALIGN_UP(BOOT_GDT_SIZE + sizeof(struct info) + sizeof(struct module) +
	                           BOOT_MAP_MAX * sizeof(struct map_entry) + sizeof(loader_name) +
	                           strlen(boot->cmdline) +
	                           (boot->initrd_name ? strlen(boot->initrd_name) : 0) + 64,
	                   16);
}

static int enter(struct hc_vm *vm, const struct x86_boot *boot, const struct boot_kernel *k,
                 struct boot_area *area, struct module *m)
{
	static const uint64_t no_gdt[BOOT_GDT_SIZE / 8];
	struct info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_LOADER,
		.mem_lower = BOOT_LOW_RAM_END / HC_KIB,
		.mem_upper = (uint32_t)((x86_boot_low_ram(vm) - BOOT_HIGH_RAM) / HC_KIB),
		.mods_count = boot->initrd ? 1 : 0,
	};

	put_map(area, &info);
	put_strings(area, boot, &info, m);
	info.mods_addr = x86_boot_put(area, m, sizeof(*m));
	uint32_t at = x86_boot_put(area, &info, sizeof(info));
	uint32_t gdt = x86_boot_put(area, no_gdt, sizeof(no_gdt));

	return area->error ? area->error : x86_boot_enter_32(vm, gdt, k->entry, LOADER_MAGIC, at);
}

int x86_load_multiboot(struct hc_vm *vm, const struct x86_boot *boot)
{
	struct boot_kernel k = { 0 };
	struct boot_area area;
	struct module m = { 0 };
	uint64_t end = 0;
	int rc = read_kernel(vm, boot, &k);

	if (!rc)
		rc = place_module(vm, boot, &k, &m, &end);
	if (!rc)
		rc = x86_boot_area(vm, &area, &k, room_for(boot), end, x86_boot_low_ram(vm));
	if (!rc)
		rc = x86_boot_place(vm, &k, boot->kernel);
	return rc ? rc : enter(vm, boot, &k, &area, &m);
}
