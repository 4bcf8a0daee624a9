/* SPDX-License-Identifier: BSD-2-Clause */
/* The image in memory: its parts (image.ld) and where it was loaded. */
#ifndef PLATFORM_BOARD_IMAGE_H
#define PLATFORM_BOARD_IMAGE_H

#include <hypercore/types.h>

#include "platform/board/boot_info.h"

extern const uint8_t image_start[], image_rodata[], image_data[], image_end[];

/* What the boot loader said, in one format. Filled by the architecture's start-up. */
extern struct board_boot_info board_boot_info;

/* Physical address of something in the image. */
static inline hpa_t image_hpa(const void *p)
{
	return hpa_of((uint64_t)(uintptr_t)p - (uint64_t)(uintptr_t)image_start +
	              board_boot_info.image_base);
}

#endif
