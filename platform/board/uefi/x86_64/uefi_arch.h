/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loader needs to know about x86-64. */
#ifndef PLATFORM_BOARD_UEFI_X86_64_UEFI_ARCH_H
#define PLATFORM_BOARD_UEFI_X86_64_UEFI_ARCH_H

/* The firmware is called, and calls, by the calling convention of 2.3.4.2. */
#define EFIAPI __attribute__((ms_abi))

#define UEFI_RELATIVE 8 /* R_X86_64_RELATIVE */

/* The image's first page tables reach 4 GiB. */
#define UEFI_IMAGE_HIGH_OK false

#endif
