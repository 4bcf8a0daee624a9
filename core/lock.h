/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A spin lock: test, then test and set. Not a ticket lock: where the CPUs are themselves scheduled
 * (a process, an emulated board), a queue in which a sleeping CPU is next holds up all behind it.
 *
 * Order, outermost first: VM lifecycle, VM memory, VM devices, run queue, timer queue, log.
 * A holder never sleeps and never runs guest code.
 */
#ifndef CORE_LOCK_H
#define CORE_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

#include "platform/platform.h"

struct hc_lock {
	_Atomic bool held;
};

/* Out of line: waiting may take registers and time, a free lock should take neither. */
static __attribute__((noinline, unused)) void hc_lock_wait(struct hc_lock *l)
{
	do {
		while (atomic_load_explicit(&l->held, memory_order_relaxed))
			hc_platform_relax();
	} while (atomic_exchange_explicit(&l->held, true, memory_order_acquire));
}

/* False if somebody holds it. */
static inline bool hc_try_lock(struct hc_lock *l)
{
	return !atomic_exchange_explicit(&l->held, true, memory_order_acquire);
}

static inline void hc_lock(struct hc_lock *l)
{
	if (__builtin_expect(!hc_try_lock(l), 0))
		hc_lock_wait(l);
}

static inline void hc_unlock(struct hc_lock *l)
{
	atomic_store_explicit(&l->held, false, memory_order_release);
}

/* The same with host interrupts off, for data that interrupt handlers touch too. */
static inline bool hc_lock_irq(struct hc_lock *l)
{
	bool irq = hc_platform_irq_disable();

	hc_lock(l);
	return irq;
}

static inline void hc_unlock_irq(struct hc_lock *l, bool irq)
{
	hc_unlock(l);
	hc_platform_irq_restore(irq);
}

#endif
