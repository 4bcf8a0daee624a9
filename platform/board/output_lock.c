/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/output_lock.h"

#include "core/sched.h"

static _Atomic bool broken;

_Static_assert(HC_MAX_CPUS <= 64, "a bit for each in struct output_lock");

static uint64_t own_bit(void)
{
	return HC_BIT(hc_platform_this_cpu()->id);
}

struct output_hold output_enter(struct output_lock *l)
{
	struct output_hold hold = { .irq = hc_platform_irq_disable() };

	if (!atomic_load(&broken)) {
		uint64_t bit = own_bit();

		hold.taken = !(atomic_fetch_or(&l->cpus, bit) & bit);
	}
	if (hold.taken)
		hc_lock(&l->lock);
	return hold;
}

void output_leave(struct output_lock *l, struct output_hold hold)
{
	if (hold.taken) {
		hc_unlock(&l->lock);
		atomic_fetch_and(&l->cpus, ~own_bit());
	}
	hc_platform_irq_restore(hold.irq);
}

void output_break_locks(void)
{
	atomic_store(&broken, true);
}
