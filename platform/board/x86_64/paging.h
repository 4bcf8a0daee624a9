/* SPDX-License-Identifier: BSD-2-Clause */
/* What other CPUs need to know of the page tables before they can use them. */
#ifndef PLATFORM_BOARD_X86_64_PAGING_H
#define PLATFORM_BOARD_X86_64_PAGING_H

#include "platform/board/paging.h"

/* The root table's address, below 4 GiB. */
uint32_t paging_root_address(void);

/* What starting CPUs have to put into EFER (its low half) to use the tables. */
uint32_t paging_efer(void);

#endif
