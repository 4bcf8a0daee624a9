/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads an arm64 Image and enters it (Linux: Documentation/arch/arm64/booting.rst), or a program
 * without a header.
 *
 * Guest memory as the kernel finds it, from the first multiple of 2 MiB in RAM on:
 *
 *   + text_offset   kernel, image_size bytes
 *   next 2 MiB      device tree, 64 KiB
 *   behind it       initrd
 *
 * So all of it lies within the 512 MiB that old kernels want the tree in. The file is not trusted:
 * every field of its header is checked before it is used.
 *
 * A program without a header does not say how much memory it takes behind its end, for zeroed data
 * and stacks. It is loaded 512 KiB into RAM, where QEMU loads it and where those that are not
 * position-independent were linked to be; the device tree is as far from it as QEMU's initrd.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/aarch64/a64.h"
#include "arch/kernel_file.h"
#include "core/log.h"

#define RAM_UNIT  (2 * HC_MIB)
#define TREE_ROOM (64 * HC_KIB)

/* Kernels before 3.17 do not say how large they are, nor, reliably, where they want to be. */
#define OLD_TEXT_OFFSET 0x80000u
#define OLD_BSS         (16 * HC_MIB)

/* Programs without a header. */
#define PROGRAM_OFFSET (512 * HC_KIB)
#define FAR_TREE       (128 * HC_MIB)

struct image_header {
	uint32_t code[2];
	uint64_t text_offset, image_size, flags, reserved[3];
	uint32_t magic;
	uint32_t pe; /* offset of the PE header, if code[0] starts with "MZ" */
};
_Static_assert(offsetof(struct image_header, magic) == 56, "booting.rst, section 4");
_Static_assert(sizeof(struct image_header) == 64, "booting.rst, section 4");

#define IMAGE_MAGIC      UINT32_C(0x644d5241) /* "ARM\x64" */
#define IMAGE_BIG_ENDIAN HC_BIT(0)

/* --- The kernel's header --- */

/* What was found to be right of it. */
struct image {
	uint64_t offset;             /* from a multiple of 2 MiB */
	uint64_t need;               /* bytes that it takes of memory */
	uint64_t load, tree, initrd; /* guest physical addresses */
};

static int foreign_file(const struct hc_vm *vm, const struct a64_boot *boot)
{
	return hc_error(
		-ENOEXEC,
		"vm %s: the kernel file is %s; wants an uncompressed Linux Image for arm64, "
		"or a program without a header",
		vm->name, hc_kernel_file_kind(boot->kernel, boot->kernel_size));
}

/* By bits 2:1 of the flags: the field of ID_AA64MMFR0_EL1 that tells whether the CPU has pages of
 * that size, and what it says if not (Arm ARM D17.2.64). */
static const struct {
	uint8_t low, none, kib;
} granules[] = { { 0, 16, 0 }, { 28, 0xf, 4 }, { 20, 0, 16 }, { 24, 0xf, 64 } };

static int check_flags(struct hc_vm *vm, uint64_t flags)
{
	unsigned pages = (unsigned)hc_bits(flags, 2, 1);

	if (flags & IMAGE_BIG_ENDIAN)
		return hc_error(-ENOEXEC,
		                "vm %s: the kernel is a big-endian one; wants a little-endian one",
		                vm->name);
	if (a64_id_field(vm, A64_ID_AA64MMFR0, granules[pages].low) == granules[pages].none)
		return hc_error(-ENOEXEC,
		                "vm %s: the kernel uses pages of %u KiB, which this CPU lacks",
		                vm->name, granules[pages].kib);
	return 0;
}

static uint64_t field(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

/* How long the file has to be by the sections that UEFI would load (PE/COFF 3.3, 4). 0: it has no
 * such header. */
static uint64_t pe_size(const uint8_t *file, uint64_t size, const struct image_header *h)
{
	uint64_t at = h->pe, end = 0;

	if (memcmp(file, "MZ", 2) != 0)
		return 0;
	if (size < at + 24)
		return at + 24;
	if (memcmp(file + at, "PE\0", 4) != 0)
		return 0;
	unsigned count = (unsigned)field(file + at + 6, 2);

	at += 24 + field(file + at + 20, 2);
	if (size < at + 40 * count)
		return at + 40 * count;
	for (unsigned i = 0; i < count; i++, at += 40)
		if (field(file + at + 16, 4))
			end = hc_max(end, field(file + at + 16, 4) + field(file + at + 20, 4));
	return end;
}

bool a64_is_image(const void *file, uint64_t size)
{
	const uint8_t *p = file;

	return size >= sizeof(struct image_header) &&
	       field(p + offsetof(struct image_header, magic), 4) == IMAGE_MAGIC;
}

/* Bits 28:25 of the first word, its entry point: instructions are allocated to all groups but these
 * (Arm ARM C4.1). */
bool a64_is_program(const void *file, uint64_t size)
{
	unsigned group;

	if (size < 4 || !hc_kernel_file_is_unknown(file, size))
		return false;
	group = (unsigned)hc_bits(field(file, 4), 28, 25);
	return group != 0 && group != 1 && group != 3;
}

static int read_program(struct hc_vm *vm, const struct a64_boot *boot, struct image *k)
{
	uint64_t far = hc_min(boot->ram_size / 2, FAR_TREE);

	hc_log(HC_LOG_INFO,
	       "vm %s: the kernel file has no header that is known: taken for a program for arm64",
	       vm->name);
	k->offset = PROGRAM_OFFSET;
	k->need = hc_max(boot->kernel_size, far - PROGRAM_OFFSET);
	return 0;
}

static int read_image(struct hc_vm *vm, const struct a64_boot *boot, struct image *k)
{
	struct image_header h;

	if (a64_is_program(boot->kernel, boot->kernel_size))
		return read_program(vm, boot, k);
	if (!a64_is_image(boot->kernel, boot->kernel_size))
		return foreign_file(vm, boot);
	memcpy(&h, boot->kernel, sizeof(h));
	int rc = check_flags(vm, h.flags);

	if (rc)
		return rc;
	uint64_t whole = pe_size(boot->kernel, boot->kernel_size, &h);

	if (whole > boot->kernel_size)
		return hc_error(-EPROTO, "vm %s: the kernel file is truncated: %llu bytes of %llu",
		                vm->name, (unsigned long long)boot->kernel_size,
		                (unsigned long long)whole);
	k->offset = h.image_size ? h.text_offset : OLD_TEXT_OFFSET;
	k->need = h.image_size ? hc_max(h.image_size, boot->kernel_size)
	                       : boot->kernel_size + OLD_BSS;
	if (k->offset % 4 || k->offset + k->need < k->need)
		return hc_error(
			-EPROTO, "vm %s: the kernel wants to be at %#llx and have %#llx bytes",
			vm->name, (unsigned long long)k->offset, (unsigned long long)k->need);
	return 0;
}

/* --- Placing --- */

static int too_small(const struct hc_vm *vm, const struct a64_boot *boot, uint64_t end)
{
	return hc_error(
		-ENOMEM, "vm %s: the kernel and its initrd need %llu MiB of memory; it has %llu",
		vm->name, (unsigned long long)(HC_ALIGN_UP(end - boot->ram.v, RAM_UNIT) / HC_MIB),
		(unsigned long long)(boot->ram_size / HC_MIB));
}

/* Largest size that anything can have, so that sums of a few do not wrap. */
#define SANE_SIZE HC_BIT(52)

static int place(struct hc_vm *vm, const struct a64_boot *boot, struct image *k)
{
	uint64_t initrd_size = boot->initrd ? boot->initrd_size : 0;
	uint64_t end = boot->ram.v + boot->ram_size;

	if (k->offset + k->need > SANE_SIZE || initrd_size > SANE_SIZE)
		return too_small(vm, boot, boot->ram.v + SANE_SIZE);
	k->load = HC_ALIGN_UP(boot->ram.v, RAM_UNIT) + k->offset;
	k->tree = HC_ALIGN_UP(k->load + k->need, RAM_UNIT);
	k->initrd = k->tree + TREE_ROOM;
	if (k->initrd + initrd_size > end)
		return too_small(vm, boot, k->initrd + initrd_size);
	int rc = hc_mem_write(vm, gpa_of(k->load), boot->kernel, boot->kernel_size);

	if (!rc && initrd_size)
		rc = hc_mem_write(vm, gpa_of(k->initrd), boot->initrd, initrd_size);
	return rc ? hc_error(rc, "vm %s: there is no memory from %#llx to %#llx", vm->name,
	                     (unsigned long long)k->load, (unsigned long long)end)
	          : 0;
}

static int place_tree(struct hc_vm *vm, const struct a64_boot *boot, const struct image *k)
{
	unsigned order = 0;

	while (HC_PAGE_SIZE << order < TREE_ROOM)
		order++;
	/* The guest's memory may be in pieces, and the tree is made in one. */
	void *buf = hc_platform_alloc_pages(order);

	if (!buf)
		return hc_error(-ENOMEM, "vm %s: no memory for its device tree", vm->name);
	int rc = boot->make_tree(boot->arg, gpa_of(boot->initrd ? k->initrd : 0),
	                         boot->initrd ? boot->initrd_size : 0, buf, TREE_ROOM);

	if (!rc)
		rc = hc_mem_write(vm, gpa_of(k->tree), buf, TREE_ROOM);
	hc_platform_free_pages(buf, order);
	return rc;
}

static void set_entry_state(struct hc_vcpu *vcpu, const struct image *k)
{
	struct a64_state *s = a64_state_of(vcpu);

	a64_vcpu_reset(vcpu);
	s->pc = k->load;
	s->x[0] = k->tree; /* x1 to x3 are reserved and 0 */
}

int a64_load_linux(struct hc_vm *vm, const struct a64_boot *boot)
{
	struct image k = { 0 };
	int rc = read_image(vm, boot, &k);

	if (!rc)
		rc = place(vm, boot, &k);
	if (!rc)
		rc = place_tree(vm, boot, &k);
	if (!rc)
		set_entry_state(vm->vcpus[0], &k);
	return rc;
}

int a64_add_ram(struct hc_vm *vm, gpa_t base, uint64_t size)
{
	if (!size || (base.v | size) % RAM_UNIT)
		return hc_error(-EINVAL,
		                "vm %s: %llu KiB of memory: wants a multiple of 2 MiB, at least 2",
		                vm->name, (unsigned long long)(size / HC_KIB));
	return hc_vm_add_ram(vm, base, size);
}
