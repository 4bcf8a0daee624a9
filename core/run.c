/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of a vCPU: requests, entry, exit, handler, and again. Every instruction here is paid
 * on every exit.
 */
#include <hypercore/errno.h>

#include "core/log.h"
#include "core/sched.h"
#include "core/vm.h"

#define G_CORE 1u /* group 0 of every guest architecture: general registers and PC */

/* What the exit is about, for the trace. */
static uint64_t trace_arg(const struct hc_exit *exit)
{
	switch (exit->reason) {
	case HC_EXIT_IO: return exit->u.io.port;
	case HC_EXIT_STAGE2: return exit->u.stage2.gpa.v;
	case HC_EXIT_EXCEPTION: return exit->u.exception.vector;
	case HC_EXIT_CR_WRITE: return exit->u.cr.value;
	case HC_EXIT_ENTRY_FAILED:
	case HC_EXIT_UNKNOWN: return exit->u.raw.code;
	default: return 0;
	}
}

static void trace_exit(struct hc_vcpu *vcpu, const struct hc_exit *exit, uint64_t cycles)
{
	struct hc_trace_record *r = hc_trace_next(&vcpu->trace);

	r->cycles = cycles;
	r->pc = exit->pc;
	r->arg = trace_arg(exit);
	r->kind = HC_TRACE_EXIT;
	r->what = (uint16_t)exit->reason;
	r->extra = 0;
}

static void fail(struct hc_vcpu *vcpu, const struct hc_exit *exit, int err)
{
	hc_vm_fail(vcpu->vm, "vcpu %u: exit %s at pc %#llx: %s (error %d)", vcpu->id,
	           hc_exit_reason_name(exit->reason), (unsigned long long)exit->pc,
	           err == -ENOSYS ? "not emulated" : "cannot be carried out", -err);
	hc_trace_dump(vcpu, 8);
}

static int handle(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	if (exit->reason == HC_EXIT_INTERRUPT) {
		hc_platform_irq_window();
		hc_sched_tick(vcpu->cpu, vcpu);
		return HC_ACT_RESUME;
	}
	hc_exit_handler handler = vcpu->vm->arch->handlers[exit->reason];
	int action = handler ? handler(vcpu, exit) : -ENOSYS;

	if (action < 0) {
		fail(vcpu, exit, action);
		return HC_ACT_RESUME; /* the failure requested parking */
	}
	return action;
}

/* HC_ACT_RESUME: on to the guest. Otherwise *next says what becomes of the vCPU. */
static int take_requests(struct hc_vcpu *vcpu, uint32_t requests, enum hc_vcpu_run_state *next)
{
	static const struct hc_exit entry = { .reason = HC_EXIT_WINDOW };

	if (requests & HC_REQ_PARK) {
		atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_PARK);
		*next = HC_VCPU_PARKED;
		return HC_ACT_YIELD;
	}
	if (requests & HC_REQ_YIELD) {
		atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_YIELD);
		*next = HC_VCPU_READY;
		return HC_ACT_YIELD;
	}
	/* Cleared first: what comes in from here on is seen in the next round. */
	atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_EVENT);
	int action = vcpu->vm->arch->before_entry(vcpu);

	if (action < 0) {
		fail(vcpu, &entry, action);
		action = HC_ACT_RESUME;
	}
	*next = action == HC_ACT_HALT ? HC_VCPU_HALTED : HC_VCPU_READY;
	return action;
}

static int enter_guest(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	uint64_t entry = hc_platform_cycles();
	int rc = vcpu->backend->run(vcpu, exit);
	uint64_t left = hc_platform_cycles();

	vcpu->valid = G_CORE;
	vcpu->dirty = 0;
	vcpu->stats.entries++;
	vcpu->stats.guest_cycles += left - entry;
	trace_exit(vcpu, exit, left);
	if (rc) {
		fail(vcpu, exit, rc);
		return HC_ACT_RESUME;
	}
	int action = handle(vcpu, exit);

	vcpu->stats.exits[exit->reason]++;
	vcpu->stats.exit_cycles[exit->reason] += hc_platform_cycles() - left;
	return action;
}

static enum hc_vcpu_run_state run_until_it_leaves(struct hc_vcpu *vcpu)
{
	struct hc_exit exit = { .reason = HC_EXIT_INTERRUPT };

	for (;;) {
		uint32_t requests = atomic_load_explicit(&vcpu->requests, memory_order_acquire);
		enum hc_vcpu_run_state next = HC_VCPU_READY;

		if (__builtin_expect(requests != 0, 0)) {
			if (take_requests(vcpu, requests, &next) != HC_ACT_RESUME)
				return next;
			/* A request may have come up while these were taken. */
			if (atomic_load_explicit(&vcpu->requests, memory_order_relaxed))
				continue;
		}
		int action = enter_guest(vcpu, &exit);

		if (__builtin_expect(action != HC_ACT_RESUME, 0))
			return action == HC_ACT_HALT ? HC_VCPU_HALTED : HC_VCPU_READY;
	}
}

enum hc_vcpu_run_state hc_vcpu_run(struct hc_vcpu *vcpu)
{
	vcpu->backend->load(vcpu);
	enum hc_vcpu_run_state next = run_until_it_leaves(vcpu);

	vcpu->backend->put(vcpu);
	return next;
}
