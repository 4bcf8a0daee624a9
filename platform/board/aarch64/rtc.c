/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/aarch64/rtc.h"

#include "platform/board/aarch64/hw.h"
#include "platform/board/fdt.h"
#include "platform/board/paging.h"
#include "platform/platform.h"

#define RTCDR 0x00 /* seconds; since 1970 if somebody has set it */

static uint64_t at_start; /* seconds at the clock's zero; 0: not known */

void rtc_init(const struct board_tree *tree, uint64_t loader)
{
	volatile uint8_t *regs =
		tree->pl031 ? paging_window(hpa_of(tree->pl031), HC_PAGE_SIZE, PAGING_UNCACHED)
			    : NULL;
	uint64_t now = regs ? mmio_read32(regs + RTCDR) : loader;
	uint64_t since = hc_platform_now_ns() / 1000000000;

	at_start = now > since ? now - since : 0;
}

uint64_t hc_platform_wall_clock(void)
{
	return at_start ? at_start + hc_platform_now_ns() / 1000000000 : 0;
}
