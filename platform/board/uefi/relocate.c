/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The application is linked at address 0. Its code is position-independent; only static pointers
 * (tables of strings and functions) have to be moved. The linker lists them in .rela.dyn, all of
 * one type (System V ABI, supplements for AMD64, 4.4, and AArch64, 5.7).
 */
#include "platform/board/uefi/loader.h"

struct rela {
	uint64_t offset, info;
	int64_t addend;
};
_Static_assert(sizeof(struct rela) == 24, "Elf64_Rela");

/* By the linker script; hidden, so that taking their address needs no relocation. */
extern char uefi_image_base[] __attribute__((visibility("hidden")));
extern const struct rela uefi_rela_start[] __attribute__((visibility("hidden")));
extern const struct rela uefi_rela_end[] __attribute__((visibility("hidden")));

efi_status_t uefi_relocate(void)
{
	for (const struct rela *r = uefi_rela_start; r < uefi_rela_end; r++) {
		uint64_t *place = (uint64_t *)(void *)(uefi_image_base + r->offset);

		if (r->info != UEFI_RELATIVE)
			return EFI_UNSUPPORTED;
		*place = (uint64_t)(uintptr_t)uefi_image_base + (uint64_t)r->addend;
	}
	return EFI_SUCCESS;
}
