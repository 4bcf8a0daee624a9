/* SPDX-License-Identifier: BSD-2-Clause */
/* The board's memory behind hc_platform_alloc*(): frame allocator and heap, under one lock. */
#ifndef PLATFORM_BOARD_MEMORY_H
#define PLATFORM_BOARD_MEMORY_H

#include "platform/board/ranges.h"

/* Gives the allocator all of unused. offset: virtual minus physical address of RAM. */
void memory_init(const struct ranges *unused, uint64_t offset);

/* Bytes that are free. */
uint64_t memory_available(void);

#endif
