/* SPDX-License-Identifier: BSD-2-Clause */
/* boot_info.h says how the image is entered. */
#include "platform/board/uefi/loader.h"

_Noreturn void uefi_enter(uint64_t entry, const struct board_boot_info *info)
{
	__asm__ volatile("cli\n\tcld\n\tjmp *%0" : : "r"(entry), "D"(info) : "memory");
	__builtin_unreachable();
}
