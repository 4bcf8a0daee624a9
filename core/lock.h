/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ticket spin lock: fair, so that no vCPU starves another at a device.
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
	_Atomic uint32_t next, owner;
};

static inline void hc_lock(struct hc_lock *l)
{
	uint32_t ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);

	while (atomic_load_explicit(&l->owner, memory_order_acquire) != ticket)
		hc_platform_relax();
}

static inline void hc_unlock(struct hc_lock *l)
{
	uint32_t owner = atomic_load_explicit(&l->owner, memory_order_relaxed);

	atomic_store_explicit(&l->owner, owner + 1, memory_order_release);
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
