/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks of what prints. Unlike others they are entered in NMI handlers too, which may have
 * interrupted their owner, and in a panic, when the owner may be stopped: both go in without.
 */
#ifndef PLATFORM_BOARD_OUTPUT_LOCK_H
#define PLATFORM_BOARD_OUTPUT_LOCK_H

#include "core/lock.h"

struct output_lock {
	struct hc_lock lock;
	_Atomic uint64_t cpus; /* bit n: CPU n has it or waits for it */
};

struct output_hold {
	bool irq, taken;
};

/* Host interrupts are off between the two. */
struct output_hold output_enter(struct output_lock *l);
void output_leave(struct output_lock *l, struct output_hold hold);

/* This CPU is the only one that still runs: from here on no output lock is taken. */
void output_break_locks(void);

#endif
