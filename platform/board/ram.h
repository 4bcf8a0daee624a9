/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's RAM, from the boot loader's list to the allocator. */
#ifndef PLATFORM_BOARD_RAM_H
#define PLATFORM_BOARD_RAM_H

#include "platform/board/ranges.h"

/* Boot CPU, on the first stack: takes the RAM above lowest out of board_boot_info's ranges, maps it
 * (paging_start), and gives the allocator what of it nothing occupies. -ENOMEM. */
int ram_init(uint64_t lowest);

/* The RAM that the board uses, or that is in use for the image and modules. */
const struct ranges *ram_ranges(void);

/* Bytes of it. */
uint64_t ram_total(void);

/* Some of the size bytes at pa are in it. */
bool ram_is_ours(uint64_t pa, uint64_t size);

/* An acpi_map: board_reach() of what may be anywhere. */
const void *ram_reach_table(void *arg, uint64_t pa, uint64_t size);

#endif
