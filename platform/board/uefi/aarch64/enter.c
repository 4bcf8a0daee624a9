/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * To the image as the arm64 boot protocol has it: interrupts masked, the MMU and the data caches
 * off, X0 = info. The firmware had everything mapped one to one.
 */
#include <hypercore/types.h>

#include "platform/board/uefi/loader.h"

/* To memory, and out of the caches, whose lines would hide what the image writes past them. */
static void clean(uint64_t base, uint64_t size)
{
	uint64_t ctr, line;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	line = UINT64_C(4) << (ctr >> 16 & 15); /* DminLine */
	for (uint64_t at = HC_ALIGN_DOWN(base, line); at < base + size; at += line)
		__asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
	__asm__ volatile("dsb sy" : : : "memory");
}

/* At EL1 the image says what it needs, and ends. */
static _Noreturn void leave(uint64_t entry, const struct board_boot_info *info)
{
	/* Nothing is called between these and the instructions that they are for. */
	register uint64_t x0 __asm__("x0") = (uintptr_t)info;
	register uint64_t x9 __asm__("x9") = entry;

	__asm__ volatile("mov	x11, #5\n\t" /* SCTLR.M, SCTLR.C */
	                 "mrs	x10, CurrentEL\n\t"
	                 "cmp	x10, #8\n\t"
	                 "b.ne	1f\n\t"
	                 "mrs	x10, sctlr_el2\n\t"
	                 "bic	x10, x10, x11\n\t"
	                 "msr	sctlr_el2, x10\n\t"
	                 "b	2f\n"
	                 "1:\n\t"
	                 "mrs	x10, sctlr_el1\n\t"
	                 "bic	x10, x10, x11\n\t"
	                 "msr	sctlr_el1, x10\n"
	                 "2:\n\t"
	                 "isb\n\t"
	                 "ic	iallu\n\t"
	                 "dsb	sy\n\t"
	                 "isb\n\t"
	                 "mov	x1, xzr\n\t"
	                 "mov	x2, xzr\n\t"
	                 "mov	x3, xzr\n\t"
	                 "br	x9"
	                 :
	                 : "r"(x0), "r"(x9)
	                 : "x1", "x2", "x3", "x10", "x11", "cc", "memory");
	__builtin_unreachable();
}

_Noreturn void uefi_enter(uint64_t entry, const struct board_boot_info *info)
{
	__asm__ volatile("msr daifset, #15" : : : "memory");
	clean(info->image_base, info->image_size);
	clean((uintptr_t)info, sizeof(*info));
	leave(entry, info);
}
