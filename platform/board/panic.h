/* SPDX-License-Identifier: BSD-2-Clause */
/* The end: after a panic, and in order. board_end() of board.h is here. */
#ifndef PLATFORM_BOARD_PANIC_H
#define PLATFORM_BOARD_PANIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/board/config.h"

/* The first CPU that calls this stops all others and goes on; a second one halts here. After it,
 * output takes no locks. */
void panic_begin(void);

/* In what the others are stopped with: halts this CPU for good if another one panics. */
void panic_stop_if_other(void);

/* --- The architecture's --- */

/* Makes all other CPUs that run call panic_stop_if_other() now, if there is a way. */
void end_stop_others(void);

/* Ends the machine in that way; returns if it cannot. ok: all is well. */
void end_machine(enum board_end end, bool ok);

/* Interrupts are off, and nothing more happens on this CPU. */
_Noreturn void end_halt(void);

/* --- What exceptions leave for people (dump.c) --- */

/* A line of the log; none of the log's levels and prefixes. */
void dump_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* An address of our code as an offset into the image, which is what disassemblies show. */
const char *dump_place(uint64_t va, char *buf, size_t size);

/* What lies on the stack, as far as it is mapped. */
void dump_stack(uint64_t sp);

#endif
