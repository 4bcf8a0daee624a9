/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtual CPU as the core, the architectures and the backends see it. */
#ifndef CORE_VCPU_H
#define CORE_VCPU_H

#include <hypercore/backend.h>

#include "core/arch.h"
#include "core/list.h"
#include "core/stats.h"
#include "core/timer.h"
#include "core/trace.h"

/* Work for the vCPU's own CPU, looked at before every entry. */
enum hc_request {
	HC_REQ_EVENT = 1 << 0, /* call hc_arch_ops.before_entry */
	HC_REQ_PARK = 1 << 1,  /* the VM pauses or stops: leave the run queues */
	HC_REQ_YIELD = 1 << 2, /* the slice is over */
	HC_REQ_MOVE = 1 << 3,  /* go on on the other backend */
	HC_REQ_HOME = 1 << 4   /* say whether the first backend could run it */
};

enum hc_vcpu_run_state {
	HC_VCPU_PARKED,  /* VM not running; on no queue */
	HC_VCPU_READY,   /* waits for its CPU */
	HC_VCPU_RUNNING, /* is its CPU's current */
	HC_VCPU_HALTED   /* sleeps until an event */
};

/* The backends that a VM can have, and what one keeps for a VM or a vCPU. */
#define HC_VM_BACKENDS 2

struct hc_backend_part {
	const struct hc_backend_ops *ops;
	void *data;
};

struct hc_vcpu {
	struct hc_vm *vm;
	unsigned id;                          /* 0 .. vm->cpu_count - 1; 0 is the boot CPU */
	const struct hc_backend_ops *backend; /* that it is on now, */
	void *backend_data;                   /* and what that one keeps for it */
	struct hc_backend_part parts[HC_VM_BACKENDS];
	uint32_t moves;                                 /* hc_vm.moves as of its last one */
	hc_exit_handler handlers[HC_EXIT_REASON_COUNT]; /* none is NULL */

	/* The neutral state (struct x86_state, struct a64_state), inside the architecture's struct.
	 * valid: groups that are up to date here. dirty: groups changed here and not yet written
	 * to the backend (dirty implies valid). */
	void *state;
	uint32_t valid, dirty;

	_Atomic uint32_t requests; /* enum hc_request */

	/* Scheduling; run_state and link belong to cpu's lock. */
	struct hc_cpu *cpu;
	_Atomic uint32_t run_state;
	struct hc_list link;
	uint64_t slice_end_ns;

	struct hc_timer_queue timers;
	struct hc_vcpu_stats stats;
	struct hc_trace trace;
};

/* What a backend keeps for the vCPU, whether it is on it or not; NULL if it is being made. */
static inline void *hc_vcpu_part(const struct hc_vcpu *vcpu, const struct hc_backend_ops *backend)
{
	return vcpu->parts[vcpu->parts[0].ops != backend].data;
}

/* Makes groups valid / marks them changed. On the vCPU's CPU while it is current, or while the VM
 * does not run. A group that is only partly rewritten must be made valid before. */
static inline void hc_vcpu_need(struct hc_vcpu *vcpu, uint32_t groups)
{
	uint32_t missing = groups & ~vcpu->valid;

	if (missing) {
		vcpu->backend->get_state(vcpu, missing);
		vcpu->valid |= missing;
	}
}

static inline void hc_vcpu_dirty(struct hc_vcpu *vcpu, uint32_t groups)
{
	vcpu->valid |= groups;
	vcpu->dirty |= groups;
}

/* Sets requests and makes the vCPU notice: wakes it if halted, makes it exit if in the guest. Any
 * CPU, any lock of an order before the run queue's. */
void hc_vcpu_request(struct hc_vcpu *vcpu, uint32_t requests);

/* The vCPU whose exit the calling CPU is handling, or NULL. */
struct hc_vcpu *hc_vcpu_current(void);

/* Internal to the core: takes the architecture's handlers over, and fills the gaps. */
void hc_vcpu_set_handlers(struct hc_vcpu *vcpu, const hc_exit_handler *handlers);

/* Internal to the core: HC_REQ_MOVE is set, between load() and put(). False: the vCPU has moved,
 * but must not run until all others of its VM have. */
bool hc_vcpu_move(struct hc_vcpu *vcpu);

/* Internal to the core: its backend cannot run vcpu as it is (HC_EXIT_MODE): its VM moves to the
 * other one until the first can run all of its vCPUs. -EOPNOTSUPP if there is no other. */
int hc_vm_leave_home(struct hc_vcpu *vcpu);

/* Internal to the core: HC_REQ_HOME is set, between load() and put(). */
void hc_vcpu_consider_home(struct hc_vcpu *vcpu);

/* Runs vcpu until it halts, yields, parks or its VM fails. Called by the scheduler with host
 * interrupts off. Returns the reason as the state it is to enter next. */
enum hc_vcpu_run_state hc_vcpu_run(struct hc_vcpu *vcpu);

#endif
