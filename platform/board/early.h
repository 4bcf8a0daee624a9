/* SPDX-License-Identifier: BSD-2-Clause */
/* What start-up does alike on all architectures, before board_main(). */
#ifndef PLATFORM_BOARD_EARLY_H
#define PLATFORM_BOARD_EARLY_H

#include <stdint.h>

/* The stack protector's. */
extern uintptr_t __stack_chk_guard;
_Noreturn void __stack_chk_fail(void);

/* Makes the guard another one at each start: by a counter, and by noise, 0 if there is none. For
 * functions that are no_stack_protector. */
static inline __attribute__((always_inline)) void early_stir_guard(uint64_t counter, uint64_t noise)
{
	uint64_t v = counter * UINT64_C(0x9e3779b97f4a7c15) ^ noise;

	/* A zero byte first, so that overrunning strings cannot reproduce it. */
	__stack_chk_guard ^= v & ~UINT64_C(0xff);
}

/* board_main(), on the stack that ends at stack_top. */
_Noreturn void early_go_on(uint64_t stack_top);

/* start.S: fn(arg) on the stack that ends at top; it does not return. */
_Noreturn void board_switch_stack(uint64_t top, void (*fn)(void *arg), void *arg);

#endif
