/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a change that CPUs in the guest may have cached, of stage 2 above all, reaches them.
 *
 * A change counts up the VM's generation. A vCPU that finds, at an entry, that it has not flushed
 * since, does so; those in the guest are made to leave:
 *
 *    vCPU:        in_guest = true;  compare generation, flush if it is new;  enter
 *    shootdown:   generation++;     in_guest? kick and wait
 *
 * Both sides write before they read, in sequentially consistent order: one sees the other. A
 * backend keeps one struct for each VM and one for each vCPU, zeroed: a vCPU starts with nothing
 * cached, or flushes at its first entry for a reason of the backend's own.
 */
#ifndef CORE_SHOOTDOWN_H
#define CORE_SHOOTDOWN_H

#include <stdatomic.h>

#include "core/vcpu.h"

struct hc_shootdown {
	_Atomic uint64_t generation; /* changes so far */
};

struct hc_shootdown_vcpu {
	_Atomic uint64_t seen; /* the VM's generation at the last flush */
	_Atomic bool in_guest;
};

/* The vCPU's CPU, host interrupts off, is about to enter the guest, or to find that it cannot:
 * hc_shootdown_leave() follows either way. From here on what it has cached counts as used. Returns
 * the generation to compare and to flush for. */
static inline uint64_t hc_shootdown_enter(struct hc_shootdown_vcpu *vcpu,
                                          const struct hc_shootdown *vm)
{
	atomic_store(&vcpu->in_guest, true);
	return atomic_load(&vm->generation);
}

/* Whether a flush is due before the entry. Between enter and leave. */
static inline bool hc_shootdown_due(const struct hc_shootdown_vcpu *vcpu, uint64_t generation)
{
	return atomic_load_explicit(&vcpu->seen, memory_order_relaxed) != generation;
}

/* All that was cached before hc_shootdown_enter() returned generation is void now. Between enter
 * and leave. */
static inline void hc_shootdown_seen(struct hc_shootdown_vcpu *vcpu, uint64_t generation)
{
	atomic_store_explicit(&vcpu->seen, generation, memory_order_release);
}

/* The vCPU's CPU has left the guest, or did not get into it. */
static inline void hc_shootdown_leave(struct hc_shootdown_vcpu *vcpu)
{
	atomic_store_explicit(&vcpu->in_guest, false, memory_order_release);
}

/* What a backend keeps for a vCPU of the VM, or NULL while that is being made. */
typedef struct hc_shootdown_vcpu *(*hc_shootdown_of)(struct hc_vcpu *vcpu);

/* The caller has made its change. Returns when no vCPU of the VM uses what was cached before: each
 * has flushed, has left the guest, or flushes before it enters. Any context in which the CPUs of
 * the others can leave the guest; the caller's own CPU is not in it. */
void hc_shootdown(struct hc_vm *vm, struct hc_shootdown *shootdown, hc_shootdown_of of);

#endif
