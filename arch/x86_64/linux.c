/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads a bzImage and enters it at its 64-bit entry point (Linux: Documentation/arch/x86/boot.rst,
 * "64-bit Boot Protocol").
 *
 * Guest memory as the kernel finds it:
 *
 *   0x1000    GDT                           0x100000   RAM: kernel at its preferred address,
 *   0x2000    page tables, 4 GiB identity              initrd at the top of what it reaches
 *   0x8000    boot_params
 *   0x20000   command line
 *   0xe0000   ACPI tables
 *
 * The file is not trusted: every field of its header is checked before it is used.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/kernel_file.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/linux.h"
#include "core/log.h"

#define GDT_BASE         UINT64_C(0x1000)
#define TABLES_BASE      UINT64_C(0x2000)
#define BOOT_PARAMS_BASE UINT64_C(0x8000)
#define CMDLINE_BASE     UINT64_C(0x20000)

#define CMDLINE_MAX 0x10000u
#define SECTOR      512u

/* --- The kernel's header --- */

/* What was found to be right of it. */
struct image {
	struct linux_setup_header h;
	unsigned header_len;    /* bytes of h that the file has */
	uint64_t payload, size; /* offset in the file and bytes of the protected-mode kernel */
	uint64_t load, need;    /* where it goes, and how much memory it takes from there */
	uint64_t initrd_max;    /* last address that an initrd may have */
	uint64_t cmdline_max;   /* without the terminating zero */
};

static int read_header(struct hc_vm *vm, const uint8_t *file, uint64_t size, struct image *k)
{
	if (size < 0x206 || memcmp(file + 0x202, "HdrS", 4) || file[0x1fe] != 0x55 ||
	    file[0x1ff] != 0xaa) {
		/* Too short to have the mark, but like a kernel up to there? */
		return hc_error(-ENOEXEC,
		                "vm %s: the kernel file is %s; wants a Linux bzImage (vmlinuz)",
		                vm->name, hc_kernel_file_kind(file, size));
	}
	if (size < 0x280)
		return hc_error(-EPROTO,
		                "vm %s: the kernel file ends in its header, after %llu bytes",
		                vm->name, (unsigned long long)size);
	/* The header's end is given by the jump at its second half's start (boot.rst, "jump"). */
	unsigned end = 0x202u + file[0x201];

	memset(&k->h, 0, sizeof(k->h));
	k->header_len = (unsigned)hc_min(end - LINUX_HEADER, sizeof(k->h));
	memcpy(&k->h, file + LINUX_HEADER, k->header_len);
	return 0;
}

static int check_protocol(struct hc_vm *vm, const struct image *k)
{
	const struct linux_setup_header *h = &k->h;

	if (h->version < 0x206 || k->header_len < offsetof(struct linux_setup_header, hw_subarch))
		return hc_error(-ENOEXEC,
		                "vm %s: the kernel has boot protocol %u.%u; wants 2.6 (Linux "
		                "2.6.24) or later",
		                vm->name, h->version >> 8, h->version & 0xffu);
	if (!(h->loadflags & LINUX_LOADED_HIGH))
		return hc_error(-ENOEXEC, "vm %s: the kernel is a zImage; wants a bzImage",
		                vm->name);
	if (h->version >= 0x20c && !(h->xloadflags & LINUX_XLF_KERNEL_64))
		return hc_error(-ENOEXEC,
		                "vm %s: the kernel is a 32-bit one; wants an x86-64 bzImage",
		                vm->name);
	return 0;
}

static int find_payload(struct hc_vm *vm, uint64_t size, struct image *k)
{
	unsigned sectors = k->h.setup_sects ? k->h.setup_sects : 4;

	k->payload = (sectors + 1) * (uint64_t)SECTOR;
	if (k->payload >= size)
		return hc_error(
			-EPROTO,
			"vm %s: the kernel file has %llu bytes, its set-up code alone has %llu",
			vm->name, (unsigned long long)size, (unsigned long long)k->payload);
	k->size = size - k->payload;
	/* In 16-byte units; a signature may follow. */
	uint64_t wanted = (uint64_t)k->h.syssize * 16;

	if (wanted > HC_ALIGN_UP(k->size, 16))
		return hc_error(-EPROTO, "vm %s: the kernel file is truncated: %llu bytes of %llu",
		                vm->name, (unsigned long long)size,
		                (unsigned long long)(k->payload + wanted));
	/* The 64-bit entry point is 0x200 in. */
	if (k->size <= 0x200)
		return hc_error(-EPROTO,
		                "vm %s: the kernel has only %llu bytes behind its set-up code",
		                vm->name, (unsigned long long)k->size);
	return 0;
}

static bool fits(const struct image *k, uint64_t load, uint64_t end)
{
	return load >= BOOT_HIGH_RAM && load < end && k->need <= end - load;
}

/* At the address that the kernel prefers; if that does not fit and it can be moved, as low as its
 * alignment permits. */
static int choose_address(struct hc_vm *vm, struct image *k)
{
	const struct linux_setup_header *h = &k->h;
	uint64_t end = x86_boot_low_ram(vm),
		 preferred = h->version >= 0x20a ? h->pref_address : BOOT_HIGH_RAM;
	uint64_t align = h->kernel_alignment;

	/* Older kernels do not say what they need to unpack themselves. */
	k->need = h->version >= 0x20a ? h->init_size : 4 * k->size;
	k->need = hc_max(k->need, k->size);
	k->load = preferred;
	if (!fits(k, k->load, end) && h->relocatable_kernel && align && !(align & (align - 1)))
		k->load = HC_ALIGN_UP(BOOT_HIGH_RAM, align);
	if (!fits(k, k->load, end))
		return hc_error(-ENOMEM,
		                "vm %s: the kernel needs %llu KiB from %#llx on, RAM ends at %#llx",
		                vm->name, (unsigned long long)(k->need / HC_KIB),
		                (unsigned long long)k->load, (unsigned long long)end);
	k->initrd_max = hc_min(h->initrd_addr_max ? h->initrd_addr_max : 0x37ffffff, end - 1);
	k->cmdline_max = hc_min(h->cmdline_size ? h->cmdline_size : 255, CMDLINE_MAX - 1);
	return 0;
}

/* --- Placing --- */

static int place_kernel(struct hc_vm *vm, const uint8_t *file, const struct image *k)
{
	return hc_mem_write(vm, gpa_of(k->load), file + k->payload, k->size);
}

static int place_initrd(struct hc_vm *vm, const void *initrd, uint64_t size, struct image *k)
{
	uint64_t end = k->initrd_max + 1, floor = k->load + k->need;

	if (!initrd || !size)
		return 0;
	if (end <= floor || size > end - floor || HC_ALIGN_DOWN(end - size, HC_PAGE_SIZE) < floor)
		return hc_error(-ENOMEM,
		                "vm %s: the initrd of %llu KiB does not fit between %#llx and "
		                "%#llx; give the VM more memory",
		                vm->name, (unsigned long long)(size / HC_KIB),
		                (unsigned long long)floor, (unsigned long long)end);
	uint64_t at = HC_ALIGN_DOWN(end - size, HC_PAGE_SIZE);

	k->h.ramdisk_image = (uint32_t)at;
	k->h.ramdisk_size = (uint32_t)size;
	return hc_mem_write(vm, gpa_of(at), initrd, size);
}

static int place_cmdline(struct hc_vm *vm, const char *cmdline, struct image *k)
{
	size_t len = strnlen(cmdline, CMDLINE_MAX);

	if (len > k->cmdline_max)
		return hc_error(-E2BIG,
		                "vm %s: the command line has more than the %llu bytes that this "
		                "kernel takes",
		                vm->name, (unsigned long long)k->cmdline_max);
	k->h.cmd_line_ptr = (uint32_t)CMDLINE_BASE;
	return hc_mem_write(vm, gpa_of(CMDLINE_BASE), cmdline, len + 1);
}

/* --- boot_params --- */

_Static_assert(LINUX_E820_MAX >= BOOT_MAP_MAX, "an entry for each range");

static void fill_e820(struct hc_vm *vm, struct linux_boot_params *bp)
{
	struct boot_map map;

	x86_boot_map(vm, &map);
	for (unsigned i = 0; i < map.count; i++)
		bp->e820[i] = (struct linux_e820){ map.ranges[i].base, map.ranges[i].size,
			                           map.ranges[i].type };
	bp->e820_entries = (uint8_t)map.count;
}

static int place_boot_params(struct hc_vm *vm, const struct image *k)
{
	struct linux_boot_params *bp = hc_mem_ptr(vm, gpa_of(BOOT_PARAMS_BASE), sizeof(*bp), true);

	if (!bp)
		return -EFAULT;
	memset(bp, 0, sizeof(*bp));
	memcpy(&bp->hdr, &k->h, k->header_len);
	bp->hdr.type_of_loader = 0xff; /* no number of its own */
	bp->hdr.setup_data = 0;
	bp->hdr.ext_loader_ver = bp->hdr.ext_loader_type = 0;
	bp->acpi_rsdp_addr = x86_vm_of(vm)->rsdp;
	fill_e820(vm, bp);
	return 0;
}

/* --- CPU 0 --- */

/* Selectors that the protocol wants: 0x10 code, 0x18 data. */
static const uint64_t gdt[] = {
	0,
	0,
	UINT64_C(0x00af9b000000ffff),
	UINT64_C(0x00cf93000000ffff),
};

/* PML4, one PDPT, four page directories of 2 MiB pages. */
static int write_tables(struct hc_vm *vm)
{
	uint64_t *t = hc_mem_ptr(vm, gpa_of(TABLES_BASE), 6 * HC_PAGE_SIZE, true);
	const uint64_t link = 0x3, page = 0x83; /* present, writable; large */

	if (!t)
		return -EFAULT;
	memset(t, 0, 6 * HC_PAGE_SIZE);
	t[0] = (TABLES_BASE + HC_PAGE_SIZE) | link;
	for (unsigned i = 0; i < 4; i++)
		t[512 + i] = (TABLES_BASE + (2 + i) * HC_PAGE_SIZE) | link;
	for (uint64_t i = 0; i < 4 * 512; i++)
		t[1024 + i] = i << 21 | page;
	return hc_mem_write(vm, gpa_of(GDT_BASE), gdt, sizeof(gdt));
}

static struct x86_segment flat(uint16_t selector, uint16_t attr)
{
	return (struct x86_segment){ selector, attr, UINT32_MAX, 0 };
}

static void set_entry_state(struct hc_vm *vm, const struct image *k)
{
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct x86_state *s = x86_state_of(vcpu);

	x86_vcpu_reset(vcpu, true);
	s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_PG;
	s->cr3 = TABLES_BASE;
	s->cr4 = X86_CR4_PAE;
	s->efer = X86_EFER_LME | X86_EFER_LMA;
	s->seg[X86_CS] = flat(0x10, 0xa9b);
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		if (i != X86_CS)
			s->seg[i] = flat(0x18, 0xc93);
	s->gdtr = (struct x86_dtable){ GDT_BASE, sizeof(gdt) - 1 };
	s->rip = k->load + 0x200;
	s->gpr[X86_RSI] = BOOT_PARAMS_BASE;
	s->gpr[X86_RSP] = BOOT_PARAMS_BASE; /* below it, unused; the kernel sets its own */
	s->gpr[X86_RDX] = 0;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	x86_boot_firmware(vm);
}

int x86_load_linux(struct hc_vm *vm, const void *kernel, uint64_t kernel_size, const void *initrd,
                   uint64_t initrd_size, const char *cmdline)
{
	struct image k = { 0 };
	int rc = read_header(vm, kernel, kernel_size, &k);

	if (!rc)
		rc = check_protocol(vm, &k);
	if (!rc)
		rc = find_payload(vm, kernel_size, &k);
	if (!rc)
		rc = choose_address(vm, &k);
	if (!rc)
		rc = place_kernel(vm, kernel, &k);
	if (!rc)
		rc = place_initrd(vm, initrd, initrd_size, &k);
	if (!rc)
		rc = place_cmdline(vm, cmdline, &k);
	if (!rc)
		rc = place_boot_params(vm, &k);
	if (!rc)
		rc = write_tables(vm);
	if (!rc)
		set_entry_state(vm, &k);
	return rc;
}
