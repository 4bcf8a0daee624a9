/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef PLATFORM_BOARD_AARCH64_PAGING_H
#define PLATFORM_BOARD_AARCH64_PAGING_H

/* Boot CPU, before anything is mapped: chooses the format of entries that the CPU uses, as start.S
 * did. */
void paging_init(void);

#endif
