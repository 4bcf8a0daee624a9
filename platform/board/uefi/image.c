/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads the hypercore.elf that is part of the application. */
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "platform/board/uefi/loader.h"

#define IMAGE_ALIGN (2 * HC_MIB)

/* System V ABI, chapters 4 and 5, as far as it is used. */
struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf_header) == 64, "Elf64_Ehdr");

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf_segment) == 56, "Elf64_Phdr");

#define PT_LOAD 1

/* By embed.S. */
extern const uint8_t uefi_elf_start[] __attribute__((visibility("hidden")));
extern const uint8_t uefi_elf_end[] __attribute__((visibility("hidden")));

static const struct elf_header *elf_header(void)
{
	return (const void *)uefi_elf_start;
}

static const struct elf_segment *elf_segment(unsigned i)
{
	return (const struct elf_segment *)(const void *)(uefi_elf_start + elf_header()->phoff) + i;
}

/* The build made the file, so this is a check of the build, not of a stranger. */
static bool elf_is_sound(void)
{
	static const uint8_t ident[5] = { 0x7f, 'E', 'L', 'F', 2 };
	const struct elf_header *h = elf_header();
	uint64_t size = (uint64_t)(uefi_elf_end - uefi_elf_start);

	if (size < sizeof(*h) || memcmp(h->ident, ident, sizeof(ident)) != 0 ||
	    h->phentsize != sizeof(struct elf_segment) || h->phoff > size ||
	    h->phnum > (size - h->phoff) / sizeof(struct elf_segment))
		return false;
	for (unsigned i = 0; i < h->phnum; i++) {
		const struct elf_segment *s = elf_segment(i);

		if (s->type == PT_LOAD &&
		    (s->offset > size || s->filesz > size - s->offset || s->filesz > s->memsz ||
		     s->memsz > HC_GIB || s->paddr > UINT64_MAX - HC_GIB))
			return false;
	}
	return true;
}

/* From the lowest to behind the highest byte of the segments, by their physical addresses. */
static void elf_extent(uint64_t *low, uint64_t *high)
{
	*low = UINT64_MAX;
	*high = 0;
	for (unsigned i = 0; i < elf_header()->phnum; i++) {
		const struct elf_segment *s = elf_segment(i);

		if (s->type != PT_LOAD || s->memsz == 0)
			continue;
		*low = hc_min(*low, s->paddr);
		*high = hc_max(*high, s->paddr + s->memsz);
	}
}

/* e_entry is a virtual address; the physical one is in the segment that holds it. 0: in none. */
static uint64_t elf_entry(uint64_t shift)
{
	uint64_t entry = elf_header()->entry;

	for (unsigned i = 0; i < elf_header()->phnum; i++) {
		const struct elf_segment *s = elf_segment(i);

		if (s->type == PT_LOAD && entry - s->vaddr < s->memsz)
			return entry - s->vaddr + s->paddr + shift;
	}
	return 0;
}

efi_status_t uefi_load_image(struct board_boot_info *info, uint64_t *entry)
{
	uint64_t low, high, base, shift;
	efi_status_t status;

	if (!elf_is_sound())
		return uefi_error(EFI_LOAD_ERROR, "the image inside hypercore.efi is damaged");
	elf_extent(&low, &high);
	if (low >= high || high - low > HC_GIB || low % IMAGE_ALIGN != 0)
		return uefi_error(EFI_LOAD_ERROR, "the image inside hypercore.efi should start at "
		                                  "a multiple of 2 MiB");

	/* Code, because firmware may forbid execution in data pages. */
	status = uefi_alloc(EFI_LOADER_CODE, high - low, IMAGE_ALIGN, UEFI_IMAGE_HIGH_OK,
	                    "the hypervisor", &base);
	if (status != EFI_SUCCESS)
		return status;
	shift = base - low;
	for (unsigned i = 0; i < elf_header()->phnum; i++) {
		const struct elf_segment *s = elf_segment(i);

		if (s->type == PT_LOAD)
			memcpy((void *)(uintptr_t)(s->paddr + shift), uefi_elf_start + s->offset,
			       (size_t)s->filesz);
	}
	*entry = elf_entry(shift);
	if (*entry == 0)
		return uefi_error(EFI_LOAD_ERROR, "the image inside hypercore.efi has no entry");
	info->image_base = base;
	info->image_size = high - low;
	return EFI_SUCCESS;
}
