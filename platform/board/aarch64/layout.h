/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things lie in the board's virtual address space, which is the lower half (TTBR0_EL2) with
 * 48 bits, as it is all that EL2 has without VHE. Shared by C, assembly and the linker script:
 * numbers only.
 *
 *     00000000_00000000  the first page of the image at its physical address, for CPUs that have
 *                        just switched their MMU on
 *     00008000_00000000  direct map: all RAM at its physical address, read and write
 *     0000c000_00000000  windows: device registers, firmware tables
 *     0000ffff_80000000  the image, then stacks with unmapped pages between them
 */
#ifndef PLATFORM_BOARD_AARCH64_LAYOUT_H
#define PLATFORM_BOARD_AARCH64_LAYOUT_H

#define DIRECT_BASE 0x0000800000000000
#define DIRECT_SIZE 0x0000400000000000
#define WINDOW_BASE 0x0000c00000000000
#define WINDOW_SIZE 0x0000100000000000

#define IMAGE_VIRT 0x0000ffff80000000
#define IMAGE_MAX  0x800000 /* covered by the page tables in the image; a multiple of 2 MiB */

#define EARLY_STACK_SIZE 0x8000

/* Offsets in struct board_cpu. */
#define BOARD_CPU_STACK_TOP     0
#define BOARD_CPU_EMERGENCY_TOP 8

#endif
