/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual machines and their lifecycle.
 *
 *              start              stop
 *    created --------> running ---------> stopped ----+
 *       |               ^   |                ^        | destroy
 *       |        resume |   | pause          | stop   v
 *       |               |   v                |     destroyed
 *       |              paused ---------------+        ^
 *       |                                             |
 *       +----------> failed (from any but stopped) ---+
 *
 * A VM stops by itself (power-off, reset, an exit request) or on request; it fails, with a reason
 * that names vCPU, exit and PC, when its guest does what cannot be carried out. Other VMs go on.
 */
#ifndef HYPERCORE_VM_H
#define HYPERCORE_VM_H

#include <hypercore/types.h>

struct hc_vm;
struct hc_arch_ops;
struct hc_backend_ops;

enum hc_vm_state {
	HC_VM_CREATED,
	HC_VM_RUNNING,
	HC_VM_PAUSED,
	HC_VM_STOPPED,
	HC_VM_FAILED,
	HC_VM_DESTROYED,
	HC_VM_STATE_COUNT
};

enum hc_stop_cause {
	HC_STOP_NONE,
	HC_STOP_POWEROFF, /* the guest switched itself off (ACPI S5, PSCI SYSTEM_OFF) */
	HC_STOP_RESET,    /* the guest asked for a reset or triple faulted */
	HC_STOP_EXIT,     /* the guest wrote a status to its exit device */
	HC_STOP_REQUEST,  /* hc_vm_stop() from outside */
	HC_STOP_FAILURE   /* hc_vm_fail(): see hc_vm_reason() */
};

/* What hc_vm_config.tsc_hz may be, and how messages say so. */
#define HC_TSC_HZ_MIN   UINT64_C(1000000)
#define HC_TSC_HZ_MAX   UINT64_C(100000000000)
#define HC_TSC_HZ_WORDS "whole kHz, from 1 MHz to 100 GHz"

static inline bool hc_is_tsc_hz(uint64_t hz)
{
	return hz >= HC_TSC_HZ_MIN && hz <= HC_TSC_HZ_MAX && hz % 1000 == 0;
}

struct hc_vm_config {
	const char *name; /* up to 31 characters, for messages */
	const struct hc_arch_ops *arch;
	const struct hc_backend_ops *backend;
	unsigned cpus; /* 1 .. what architecture and backends support */
	/* A second backend, enabled like the first, that vCPUs can move to while the VM runs
	 * (hc_vm_move, hc_vm_switch_every); NULL: none. The guest sees the CPU that both offer. */
	const struct hc_backend_ops *other;
	/* x86: the rate of the guest's TSC, hc_is_tsc_hz(); 0: the machine's. -EOPNOTSUPP where a
	 * backend cannot have it otherwise. */
	uint64_t tsc_hz;
	/* The guest's memory will be below 2^gpa_bits, 32 or more: what the backends' tables reach
	 * at least, which they may do in fewer levels. The guest sees no difference: what is above
	 * is as empty as ever. 0, or more than there are: as far as the backends can. */
	unsigned gpa_bits;
};

/* Told after every transition, in the order of registration, on the CPU that completed it, with no
 * lock held. It may not destroy the VM. */
typedef void (*hc_vm_observer)(struct hc_vm *vm, enum hc_vm_state from, enum hc_vm_state to,
                               void *arg);

/* A VM without memory or devices, in state created. -EINVAL (name, no CPUs), -ERANGE (more vCPUs
 * than supported, says how many are), -ENOMEM, or the backend's error. */
int hc_vm_create(struct hc_vm **out, const struct hc_vm_config *config);

/* Lets its vCPUs run. -EBUSY unless it is in state created. */
int hc_vm_start(struct hc_vm *vm);

/* Returns when no vCPU executes guest code. Not from the VM's own exit handlers. -EBUSY unless it
 * is running; -ECANCELED if it stopped or failed meanwhile. */
int hc_vm_pause(struct hc_vm *vm);
int hc_vm_resume(struct hc_vm *vm);

/* The vCPUs go on on the VM's other backend, before their next entry and all together: none runs
 * until the last one has moved. Any context. -EOPNOTSUPP if the VM has one backend only; -EBUSY if
 * they are on the move already. */
int hc_vm_move(struct hc_vm *vm);

/* Before start: the VM moves by itself every period_ns nanoseconds. -EOPNOTSUPP as above, -EINVAL
 * for 0. */
int hc_vm_switch_every(struct hc_vm *vm, uint64_t period_ns);

/* Asks the VM to stop; it has when the observers say so. From any context. status matters for
 * HC_STOP_EXIT. -EBUSY if it is not running or paused. The first cause wins. */
int hc_vm_stop(struct hc_vm *vm, enum hc_stop_cause cause, unsigned status);

/* The same for a failure, with a reason for people (at most 191 bytes are kept). */
void hc_vm_fail(struct hc_vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Frees everything. -EBUSY if it is running or paused. */
int hc_vm_destroy(struct hc_vm *vm);

/* Before start. -ENOSPC when there are too many. */
int hc_vm_observe(struct hc_vm *vm, hc_vm_observer fn, void *arg);

enum hc_vm_state hc_vm_state(const struct hc_vm *vm);
const char *hc_vm_state_name(enum hc_vm_state state);
const char *hc_vm_name(const struct hc_vm *vm);

/* Once stopped or failed: why, the status of HC_STOP_EXIT, and the line for people. */
enum hc_stop_cause hc_vm_cause(const struct hc_vm *vm);
unsigned hc_vm_status(const struct hc_vm *vm);
const char *hc_vm_reason(const struct hc_vm *vm);

/* How often the VM entered the state, and nanoseconds spent in it so far. */
uint64_t hc_vm_state_entries(const struct hc_vm *vm, enum hc_vm_state state);
uint64_t hc_vm_state_time_ns(const struct hc_vm *vm, enum hc_vm_state state);

/* Logs the statistics of the VM and its vCPUs as a table. */
void hc_vm_log_stats(struct hc_vm *vm);

#endif
