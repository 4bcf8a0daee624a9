/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/early.h"

#include "core/log.h"
#include "platform/board/board.h"
#include "platform/board/image.h"

uintptr_t __stack_chk_guard = 0x2b992ddfa23249d6;

void __stack_chk_fail(void)
{
	hc_panic("a function's stack frame was overwritten, found at %p",
	         __builtin_return_address(0));
}

static void on_own_stack(void *arg)
{
	(void)arg;
	board_main(&board_boot_info);
}

void early_go_on(uint64_t stack_top)
{
	board_switch_stack(stack_top, on_own_stack, NULL);
}
