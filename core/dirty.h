/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log: which pages of its RAM a VM has written, for who copies a running VM's memory and
 * for who wants to know how large its working set is.
 *
 * There are three kinds of writers, and for each somebody who notices:
 *
 *   who writes                    who notices
 *   ----------------------------  --------------------------------------------------------
 *   hypervisor, for the guest     hc_dirty_mark(), by hc_mem_write(), hc_mem_wrote(), walks
 *   CPU that stage 2 stops        hc_dirty_fault(), by the fault's handler
 *   CPU that stage 2 lets pass    the CPU: dirty flags in the tables, or a list (log_collect)
 *
 * All but the flags come together in one bitmap for each slot, without a lock. If nobody but these
 * writes unnoticed, collecting costs as much as there are written pages; where the tables' flags
 * are all there is, they are searched.
 *
 * A collection takes the bits, makes these pages clean in stage 2, and sees to it that no CPU
 * remembers them as anything else. What is written while it goes on is in it or in the next one.
 */
#ifndef CORE_DIRTY_H
#define CORE_DIRTY_H

#include <hypercore/types.h>

#include "core/lock.h"
#include "core/timer.h"

struct hc_vm;

struct hc_dirty {
	_Atomic bool on;
	bool told;                /* nobody writes unnoticed: tables need not be searched */
	struct hc_lock collector; /* held by the one who collects; of the slots' taken and ever */

	/* hc_vm_dirty_every(); written by one CPU at a time, the collector's lock held. */
	struct hc_timer timer;
	uint64_t period_ns, last_ns;
	uint64_t periods; /* that are over */
	uint64_t pages, least, most, ever;
};

/*
 * Logs from now on; nothing counts as written. Pages of stage 2 become small. -EBUSY if it is on;
 * -EOPNOTSUPP if a backend of the VM's keeps its own stage 2 and cannot say what was written;
 * -ENOMEM or the backend's error: nothing has changed.
 */
int hc_vm_dirty_start(struct hc_vm *vm);

/* Told of a slot's pages: bit n of bitmap is the page n pages after gpa. It may not change the VM's
 * memory or its log. */
typedef void (*hc_dirty_fn)(void *arg, gpa_t gpa, const uint64_t *bitmap, uint64_t pages);

/*
 * What was written since the start or the last collection: calls fn (NULL: nobody) for each slot of
 * RAM, and returns how many pages it is. All that was written before the call is in it, or was in
 * an earlier one. Any context in which vCPUs may be made to leave the guest, no lock held. -EINVAL
 * if it is not on, -EBUSY if somebody is at it, or a backend's error: what was taken until then
 * comes with the next collection.
 */
int64_t hc_vm_dirty_collect(struct hc_vm *vm, hc_dirty_fn fn, void *arg);

/* Ends the log; what was not collected is forgotten. Not while somebody collects. */
void hc_vm_dirty_stop(struct hc_vm *vm);

/* Before start: counts the pages written in every period_ns nanoseconds, says so in the log, and
 * keeps the sums for hc_vm_log_stats(). Errors of hc_vm_dirty_start() and hc_vm_observe(), after
 * which nothing is logged; -EINVAL for 0. */
int hc_vm_dirty_every(struct hc_vm *vm, uint64_t period_ns);

/* Any context, any lock held: [gpa, gpa + len) has been written. What is no RAM of the VM's is left
 * out. Nothing if the log is not on. */
void hc_dirty_mark(struct hc_vm *vm, gpa_t gpa, uint64_t len);

/* The same for a bitmap of pages from gpa on, which is a slot's first. */
void hc_dirty_merge(struct hc_vm *vm, gpa_t gpa, const uint64_t *bitmap, uint64_t pages);

/* A vCPU's write to RAM at gpa did not pass stage 2, or a software CPU is about to write there: it
 * is logged, and the next one passes. Takes the memory lock; or is called with it held. -EFAULT:
 * nothing writable is mapped there. */
int hc_dirty_fault(struct hc_vm *vm, gpa_t gpa);
int hc_dirty_fault_locked(struct hc_vm *vm, gpa_t gpa);

/* Internal to the core: the sums as a line of the log; the end of the VM's memory. */
void hc_dirty_log_stats(struct hc_vm *vm);
void hc_dirty_free(struct hc_vm *vm);

#endif
