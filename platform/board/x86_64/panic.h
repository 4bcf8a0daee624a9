/* SPDX-License-Identifier: BSD-2-Clause */
/* The end: after a panic, and in order. */
#ifndef PLATFORM_BOARD_X86_64_PANIC_H
#define PLATFORM_BOARD_X86_64_PANIC_H

/* The first CPU that calls this stops all others and goes on; a second one halts here. After it,
 * output takes no locks. */
void panic_begin(void);

/* In an NMI handler: halts this CPU for good if another one panics. */
void panic_stop_if_other(void);

#endif
