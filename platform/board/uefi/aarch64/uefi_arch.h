/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loader needs to know about AArch64. */
#ifndef PLATFORM_BOARD_UEFI_AARCH64_UEFI_ARCH_H
#define PLATFORM_BOARD_UEFI_AARCH64_UEFI_ARCH_H

/* 2.3.6: the ordinary procedure call standard. */
#define EFIAPI

#define UEFI_RELATIVE 1027 /* R_AARCH64_RELATIVE */

/* The image runs anywhere, and machines need not have memory below 4 GiB. */
#define UEFI_IMAGE_HIGH_OK true

#endif
