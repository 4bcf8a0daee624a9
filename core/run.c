/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of a vCPU: requests, entry, exit, handler, and again. Every instruction here is paid
 * on every exit.
 */
#include <hypercore/errno.h>

#include "core/log.h"
#include "core/sched.h"
#include "core/vm.h"

static void trace_exit(struct hc_vcpu *vcpu, const struct hc_exit *exit, uint64_t cycles)
{
	struct hc_trace_record *r = hc_trace_next(&vcpu->trace);

	r->cycles = cycles;
	r->pc = exit->pc;
	r->arg = exit->u.word;
	r->what = HC_TRACE_WHAT(HC_TRACE_EXIT, exit->reason, 0);
}

static void fail(struct hc_vcpu *vcpu, const struct hc_exit *exit, int err)
{
	hc_vm_fail(vcpu->vm, "vcpu %u: exit %s at pc %#llx: %s (error %d)", vcpu->id,
	           hc_exit_reason_name(exit->reason), (unsigned long long)exit->pc,
	           err == -ENOSYS ? "not emulated" : "cannot be carried out", -err);
	hc_trace_dump(vcpu, 8);
}

static int handle_interrupt(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	hc_platform_irq_window();
	hc_sched_tick(vcpu->cpu, vcpu);
	return HC_ACT_RESUME;
}

/* No interrupt is pending, but whoever is due may be. */
static int handle_slice(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	hc_sched_tick(vcpu->cpu, vcpu);
	return HC_ACT_RESUME;
}

static int handle_mode(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	int rc = hc_vm_leave_home(vcpu);

	return rc ? rc : HC_ACT_YIELD;
}

static int handle_log(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	return HC_ACT_RESUME;
}

static int handle_nothing(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	return -ENOSYS;
}

void hc_vcpu_set_handlers(struct hc_vcpu *vcpu, const hc_exit_handler *handlers)
{
	for (unsigned r = 0; r < HC_EXIT_REASON_COUNT; r++)
		vcpu->handlers[r] = handlers[r] ? handlers[r] : handle_nothing;
	vcpu->handlers[HC_EXIT_INTERRUPT] = handle_interrupt;
	vcpu->handlers[HC_EXIT_SLICE] = handle_slice;
	vcpu->handlers[HC_EXIT_MODE] = handle_mode;
	vcpu->handlers[HC_EXIT_LOG] = handle_log;
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
	/* Before events are looked at: what was injected and not delivered goes along. */
	if (requests & HC_REQ_MOVE && !hc_vcpu_move(vcpu)) {
		*next = HC_VCPU_READY;
		return HC_ACT_YIELD;
	}
	if (requests & HC_REQ_HOME)
		hc_vcpu_consider_home(vcpu);
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

/* One round in the guest. *mark is when the time before it ended, and becomes when the exit's
 * handling did: two readings of the counter a round, not four. */
static inline int enter_guest(struct hc_vcpu *vcpu, struct hc_exit *exit, uint64_t *mark)
{
	vcpu->backend->run(vcpu, exit);
	uint64_t left = hc_platform_cycles();
	enum hc_exit_reason reason = exit->reason;
	struct hc_exit_stats *stats = &vcpu->stats.exits[reason];

	vcpu->stats.guest_cycles += left - *mark;
	trace_exit(vcpu, exit, left);
	int action = vcpu->handlers[reason](vcpu, exit);

	*mark = hc_platform_cycles();
	stats->count++;
	stats->cycles += *mark - left;
	return action;
}

static enum hc_vcpu_run_state run_until_it_leaves(struct hc_vcpu *vcpu)
{
	struct hc_exit exit = { .reason = HC_EXIT_INTERRUPT };
	uint64_t mark = hc_platform_cycles();

	for (;;) {
		uint32_t requests = atomic_load_explicit(&vcpu->requests, memory_order_acquire);
		enum hc_vcpu_run_state next = HC_VCPU_READY;

		if (__builtin_expect(requests != 0, 0)) {
			if (take_requests(vcpu, requests, &next) != HC_ACT_RESUME)
				return next;
			mark = hc_platform_cycles();
			/* A request may have come up while these were taken. */
			if (atomic_load_explicit(&vcpu->requests, memory_order_relaxed))
				continue;
		}
		int action = enter_guest(vcpu, &exit, &mark);

		if (__builtin_expect(action == HC_ACT_RESUME, 1))
			continue;
		if (action >= 0)
			return action == HC_ACT_HALT ? HC_VCPU_HALTED : HC_VCPU_READY;
		fail(vcpu, &exit, action); /* it requests parking */
	}
}

enum hc_vcpu_run_state hc_vcpu_run(struct hc_vcpu *vcpu)
{
	vcpu->backend->load(vcpu);
	enum hc_vcpu_run_state next = run_until_it_leaves(vcpu);

	vcpu->backend->put(vcpu);
	return next;
}
