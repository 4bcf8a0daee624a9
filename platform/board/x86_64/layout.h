/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things lie in the board's virtual address space. Shared by C, assembly and the linker
 * script: numbers only.
 *
 *     ffff8000_00000000  direct map: all RAM at its physical address, read and write
 *     ffffc000_00000000  windows: device registers, firmware tables
 *     ffffffff_80000000  the image, then stacks with unmapped pages between them: close together,
 *                        so that an exit needs few page tables
 */
#ifndef PLATFORM_BOARD_X86_64_LAYOUT_H
#define PLATFORM_BOARD_X86_64_LAYOUT_H

#define DIRECT_BASE 0xffff800000000000
#define DIRECT_SIZE 0x0000400000000000
#define WINDOW_BASE 0xffffc00000000000
#define WINDOW_SIZE 0x0000100000000000

#define IMAGE_VIRT 0xffffffff80000000
#define IMAGE_PHYS 0x200000  /* where loaders of the 32-bit paths put it */
#define IMAGE_MAX  0x2000000 /* covered by the start-up page tables */

#define EARLY_STACK_SIZE 0x8000

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS  0x18

/* What start.S passes to board_early() as the kind of information at hand. */
#define START_MULTIBOOT2 0x36d76289 /* the magic that the loader leaves in EAX */
#define START_PVH        0x336ec578 /* the magic of hvm_start_info */
#define START_BOOT_INFO  0

#endif
