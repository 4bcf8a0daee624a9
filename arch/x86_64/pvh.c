/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads an ELF kernel that has a PVH note, and enters it in 32-bit mode (Xen:
 * docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h). The initrd is the one
 * module, at the end of the RAM below 4 GiB.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/boot.h"
#include "core/log.h"

#define START_MAGIC UINT32_C(0x336ec578)

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp;
	uint64_t memmap; /* from here on: version 1 */
	uint32_t memmap_entries, reserved;
};
_Static_assert(offsetof(struct start_info, memmap) == 40, "start_info.h");
_Static_assert(sizeof(struct start_info) == 56, "start_info.h");

struct module {
	uint64_t at, size, cmdline, reserved;
};

struct map_entry {
	uint64_t base, size;
	uint32_t type, reserved;
};
_Static_assert(sizeof(struct map_entry) == 24, "start_info.h");

static int place_module(struct hc_vm *vm, const struct x86_boot *boot, const struct boot_kernel *k,
                        struct module *m, uint64_t *limit)
{
	uint64_t floor = HC_ALIGN_UP(hc_max(k->end, BOOT_HIGH_RAM), HC_PAGE_SIZE);

	*limit = x86_boot_low_ram(vm);
	if (!boot->initrd)
		return 0;
	if (*limit < floor || boot->initrd_size > *limit - floor)
		return hc_error(-ENOMEM,
		                "vm %s: the initrd of %llu KiB does not fit between %#llx and "
		                "%#llx; give the VM more memory",
		                vm->name, (unsigned long long)(boot->initrd_size / HC_KIB),
		                (unsigned long long)floor, (unsigned long long)*limit);
	*limit = HC_ALIGN_DOWN(*limit - boot->initrd_size, HC_PAGE_SIZE);
	m->at = *limit;
	m->size = boot->initrd_size;
	return hc_mem_write(vm, gpa_of(m->at), boot->initrd, m->size);
}

static void put_map(struct boot_area *area, struct start_info *info)
{
	struct boot_map map;
	struct map_entry entries[BOOT_MAP_MAX];

	x86_boot_map(area->vm, &map);
	for (unsigned i = 0; i < map.count; i++)
		entries[i] = (struct map_entry){ map.ranges[i].base, map.ranges[i].size,
			                         map.ranges[i].type, 0 };
	info->memmap_entries = map.count;
	info->memmap = x86_boot_put(area, entries, map.count * sizeof(entries[0]));
}

static void put_module(struct boot_area *area, const struct x86_boot *boot, struct start_info *info,
                       struct module *m)
{
	const char *name = boot->initrd_name ? boot->initrd_name : "";

	if (!boot->initrd)
		return;
	m->cmdline = x86_boot_put(area, name, strlen(name) + 1);
	info->nr_modules = 1;
	info->modlist = x86_boot_put(area, m, sizeof(*m));
}

static uint64_t room_for(const struct x86_boot *boot)
{
	return HC_ALIGN_UP(BOOT_GDT_SIZE + sizeof(struct start_info) + sizeof(struct module) +
	                           BOOT_MAP_MAX * sizeof(struct map_entry) + strlen(boot->cmdline) +
	                           (boot->initrd_name ? strlen(boot->initrd_name) : 0) + 64,
	                   16);
}

static int enter(struct hc_vm *vm, const struct x86_boot *boot, const struct boot_kernel *k,
                 struct boot_area *area, struct module *m)
{
	static const uint64_t no_gdt[BOOT_GDT_SIZE / 8];
	struct start_info info = {
		.magic = START_MAGIC,
		.version = 1,
		.rsdp = x86_vm_of(vm)->rsdp,
	};

	put_map(area, &info);
	put_module(area, boot, &info, m);
	info.cmdline = x86_boot_put(area, boot->cmdline, strlen(boot->cmdline) + 1);
	uint32_t at = x86_boot_put(area, &info, sizeof(info));
	uint32_t gdt = x86_boot_put(area, no_gdt, sizeof(no_gdt));

	return area->error ? area->error : x86_boot_enter_32(vm, gdt, k->entry, 0, at);
}

int x86_load_pvh(struct hc_vm *vm, const struct x86_boot *boot)
{
	struct boot_kernel k = { 0 };
	struct boot_area area;
	struct module m = { 0 };
	uint64_t limit = 0;
	int rc = x86_elf_read(vm, boot->kernel, boot->kernel_size, &k);

	k.entry = x86_elf_pvh_entry(boot->kernel, boot->kernel_size);
	if (!rc)
		rc = x86_boot_check_entry(vm, &k, "PVH note");
	if (!rc)
		rc = place_module(vm, boot, &k, &m, &limit);
	if (!rc)
		rc = x86_boot_area(vm, &area, &k, room_for(boot), k.end, limit);
	if (!rc)
		rc = x86_boot_place(vm, &k, boot->kernel);
	return rc ? rc : enter(vm, boot, &k, &area, &m);
}
