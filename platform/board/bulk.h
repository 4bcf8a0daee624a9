/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU's best way to copy forwards and to fill, behind memcpy() and memset(). */
#ifndef PLATFORM_BOARD_BULK_H
#define PLATFORM_BOARD_BULK_H

#include <stddef.h>
#include <stdint.h>

void bulk_copy(void *dst, const void *src, size_t n);
void bulk_set(void *dst, uint8_t c, size_t n);

#endif
