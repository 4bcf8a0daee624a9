/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events for the guest: what exit handlers raise, start-up messages, NMIs and interrupts, and their
 * injection before the next entry in the order of SDM Vol. 3A table 6-2.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/internal.h"
#include "core/log.h"
#include "emu/x86_64/exceptions.h"

/* --- Exceptions --- */

/* An exception comes before the interrupt or NMI whose delivery met it: that one is delivered anew,
 * when the guest can take it again. False: there is no place to keep it. */
static bool put_back(struct hc_vcpu *vcpu, const struct x86_event *e)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);

	if (e->type == X86_EVENT_NMI) {
		atomic_store(&x->nmi_pending, true);
		x->state.events.nmi_masked = 0;
		return true;
	}
	if (e->type == X86_EVENT_INTR) {
		if (x->pending_extint.valid)
			return false;
		x->pending_extint = *e;
	}
	return true;
}

/* The exception whose delivery the exit interrupted is not delivered twice: it becomes part of the
 * new one. */
static enum x86_exception_class take_interrupted(struct hc_vcpu *vcpu)
{
	struct x86_events *ev = &x86_state_of(vcpu)->events;

	hc_vcpu_need(vcpu, X86_G_EVENT);
	enum x86_exception_class class = x86_exception_class(&ev->reinject);

	if (ev->reinject.valid && put_back(vcpu, &ev->reinject)) {
		ev->reinject.valid = 0;
		hc_vcpu_dirty(vcpu, X86_G_EVENT);
	}
	return class;
}

static void set_pending(struct x86_vcpu *x, uint8_t vector, bool has_error_code,
                        uint32_t error_code)
{
	x->pending_exception = (struct x86_event){
		.valid = 1,
		.type = X86_EVENT_EXCEPTION,
		.vector = vector,
		.has_error_code = has_error_code,
		.error_code = error_code,
	};
}

void x86_raise(struct hc_vcpu *vcpu, const struct x86_fault *fault)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);
	enum x86_exception_class first = x86_exception_class(&x->pending_exception);

	if (!x->pending_exception.valid)
		first = take_interrupted(vcpu);
	enum x86_exception_class second = x86_exception_class(&(const struct x86_event){
		.valid = 1, .type = X86_EVENT_EXCEPTION, .vector = fault->vector });

	if (first == X86_DOUBLE_FAULT && second != X86_BENIGN) {
		hc_vm_stop(vcpu->vm, HC_STOP_RESET, 0);
		return;
	}
	if (fault->vector == X86_VEC_PF) {
		hc_vcpu_need(vcpu, X86_G_CR);
		x86_state_of(vcpu)->cr2 = fault->address;
		hc_vcpu_dirty(vcpu, X86_G_CR);
	}
	if (x86_makes_double_fault(first, second))
		set_pending(x, X86_VEC_DF, true, 0);
	else
		set_pending(x, fault->vector, fault->has_error_code, fault->error_code);
	x86_request_event(vcpu);
}

static void raise_vector(struct hc_vcpu *vcpu, uint8_t vector)
{
	const struct x86_fault fault = {
		.vector = vector,
		.has_error_code = x86_has_error_code(vector),
	};

	x86_raise(vcpu, &fault);
}

void x86_raise_gp(struct hc_vcpu *vcpu)
{
	raise_vector(vcpu, X86_VEC_GP);
}

void x86_raise_ud(struct hc_vcpu *vcpu)
{
	raise_vector(vcpu, X86_VEC_UD);
}

/* SDM Vol. 3B 17.2.3: DR6.BS tells a single step from other debug exceptions. */
void x86_raise_single_step(struct hc_vcpu *vcpu)
{
	hc_vcpu_need(vcpu, X86_G_DR);
	x86_state_of(vcpu)->dr6 |= HC_BIT(14);
	hc_vcpu_dirty(vcpu, X86_G_DR);
	raise_vector(vcpu, X86_VEC_DB);
}

/* One #DB is for all: a single step has raised it already. */
void x86_raise_breakpoints(struct hc_vcpu *vcpu, unsigned hits)
{
	if (!hits)
		return;
	hc_vcpu_need(vcpu, X86_G_DR);
	x86_state_of(vcpu)->dr6 |= hits;
	hc_vcpu_dirty(vcpu, X86_G_DR);
	if (!(x86_state_of(vcpu)->rflags & X86_FLAG_TF))
		raise_vector(vcpu, X86_VEC_DB);
}

/* --- INIT and start-up (SDM Vol. 3A 8.4) --- */

static void start_at(struct hc_vcpu *vcpu, uint8_t page)
{
	struct x86_state *s = x86_state_of(vcpu);

	s->seg[X86_CS].selector = (uint16_t)(page << 8);
	s->seg[X86_CS].base = (uint64_t)page << 12;
	s->rip = 0;
	hc_vcpu_dirty(vcpu, X86_G_CS | X86_G_CORE);
	atomic_store(&x86_vcpu_of(vcpu)->mp_state, X86_MP_RUNNABLE);
}

/* The boot CPU goes to the reset vector after INIT; without firmware there, that is a reset. */
static void take_init(struct hc_vcpu *vcpu)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);

	x86_vcpu_reset(vcpu, false);
	if (vcpu->id)
		atomic_store(&x->mp_state, X86_MP_WAIT_SIPI);
	else if (!hc_mem_ptr(vcpu->vm, gpa_of(0xfffffff0), 16, false))
		hc_vm_stop(vcpu->vm, HC_STOP_RESET, 0);
}

static void take_start_request(struct hc_vcpu *vcpu)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);
	uint32_t request = atomic_exchange(&x->start_request, 0);

	if (request & X86_START_INIT)
		take_init(vcpu);
	if (request & X86_START_SIPI && atomic_load(&x->mp_state) == X86_MP_WAIT_SIPI)
		start_at(vcpu, (uint8_t)(request >> 8));
}

/* --- Injection --- */

static void count_injection(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	struct hc_trace_record *r = hc_trace_next(&vcpu->trace);

	vcpu->stats.injected++;
	r->cycles = hc_platform_cycles();
	r->pc = x86_state_of(vcpu)->rip;
	r->arg = event->vector;
	r->what = HC_TRACE_WHAT(HC_TRACE_INJECT, event->type, event->error_code);
}

static int inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	int rc = vcpu->backend->inject(vcpu, event);

	if (!rc)
		count_injection(vcpu, event);
	return rc;
}

/* Each of the following returns whether it found its kind of event: those of lower priority then
 * wait, for a window if the guest does not end it with an exit of its own. */

/* A backend that has something to deliver already keeps the exception for after that; x86_raise()
 * sees to it that this does not happen but for two interrupts at once. */
static bool inject_exception(struct hc_vcpu *vcpu)
{
	struct x86_event *e = &x86_vcpu_of(vcpu)->pending_exception;

	if (!e->valid)
		return false;
	if (inject(vcpu, e))
		vcpu->backend->request_window(vcpu, false);
	else
		e->valid = 0;
	return true;
}

static bool inject_nmi(struct hc_vcpu *vcpu)
{
	static const struct x86_event nmi = { .valid = 1,
		                              .type = X86_EVENT_NMI,
		                              .vector = X86_VEC_NMI };
	struct x86_vcpu *x = x86_vcpu_of(vcpu);

	if (!atomic_load_explicit(&x->nmi_pending, memory_order_relaxed))
		return false;
	if (inject(vcpu, &nmi)) {
		vcpu->backend->request_window(vcpu, true);
		return false; /* an interrupt may come before it: NMIs may be masked for long */
	}
	atomic_store(&x->nmi_pending, false);
	return true;
}

static bool takes_interrupts(struct hc_vcpu *vcpu)
{
	const struct x86_state *s = x86_state_of(vcpu);

	if (!(s->rflags & X86_FLAG_IF))
		return false;
	hc_vcpu_need(vcpu, X86_G_EVENT);
	return !s->events.interrupt_shadow && !s->events.reinject.valid;
}

static bool extint_waits(struct hc_vcpu *vcpu)
{
	const struct x86_vcpu *x = x86_vcpu_of(vcpu);

	if (x->pending_extint.valid)
		return true;
	return vcpu->id == 0 && hc_irq_extint_pending(vcpu->vm) && x86_apic_takes_extint(&x->apic);
}

/* The 8259s are asked for their vector only once the guest can take it: acknowledging changes
 * them. Should the backend refuse all the same, the vector is kept. */
static bool inject_extint(struct hc_vcpu *vcpu, bool busy)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);
	struct x86_event *e = &x->pending_extint;

	if (!extint_waits(vcpu))
		return false;
	if (!e->valid && !busy && takes_interrupts(vcpu)) {
		int vector = hc_irq_extint_ack(vcpu->vm);

		if (vector < 0)
			return false;
		*e = (struct x86_event){ .valid = 1,
			                 .type = X86_EVENT_INTR,
			                 .vector = (uint8_t)vector };
	}
	if (busy || !e->valid || inject(vcpu, e))
		vcpu->backend->request_window(vcpu, false);
	else
		e->valid = 0;
	return true;
}

static void inject_apic(struct hc_vcpu *vcpu, bool busy)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	/* For such a backend interrupts are posted. */
	if (vcpu->backend->show_interrupts) {
		x86_apic_merge(apic);
		if (vcpu->backend->show_interrupts(vcpu))
			return;
	}
	int vector = x86_apic_pending(apic);

	if (vector < 0)
		return;
	const struct x86_event e = { .valid = 1,
		                     .type = X86_EVENT_INTR,
		                     .vector = (uint8_t)vector };

	if (busy || inject(vcpu, &e))
		vcpu->backend->request_window(vcpu, false);
	else
		x86_apic_take(apic, (unsigned)vector);
}

/* --- What the core calls --- */

static bool interrupt_ends_halt(struct hc_vcpu *vcpu)
{
	return x86_state_of(vcpu)->rflags & X86_FLAG_IF &&
	       (extint_waits(vcpu) || x86_apic_pending(&x86_vcpu_of(vcpu)->apic) >= 0);
}

/* The groups CORE and EVENT of a halted vCPU are valid (x86_halt). */
bool x86_has_event(struct hc_vcpu *vcpu)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);

	if (atomic_load(&x->start_request))
		return true;
	if (atomic_load(&x->mp_state) == X86_MP_WAIT_SIPI)
		return false;
	if (x->pending_exception.valid)
		return true;
	if (atomic_load(&x->nmi_pending) && !x86_state_of(vcpu)->events.nmi_masked)
		return true;
	return interrupt_ends_halt(vcpu);
}

int x86_halt(struct hc_vcpu *vcpu)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);

	hc_vcpu_need(vcpu, X86_G_EVENT);
	/* What was to be delivered before the HLT, and was not, wakes it all the same. */
	if (x86_has_event(vcpu) || x86_state_of(vcpu)->events.reinject.valid) {
		x86_request_event(vcpu);
		return HC_ACT_RESUME;
	}
	atomic_store(&x->mp_state, X86_MP_HALTED);
	return HC_ACT_HALT;
}

int x86_before_entry(struct hc_vcpu *vcpu)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);

	if (atomic_load_explicit(&x->start_request, memory_order_relaxed))
		take_start_request(vcpu);
	uint32_t mp_state = atomic_load_explicit(&x->mp_state, memory_order_relaxed);

	if (mp_state == X86_MP_WAIT_SIPI)
		return HC_ACT_HALT;
	if (mp_state == X86_MP_HALTED) {
		if (!x86_has_event(vcpu))
			return HC_ACT_HALT;
		atomic_store(&x->mp_state, X86_MP_RUNNABLE);
	}
	bool busy = inject_exception(vcpu) || inject_nmi(vcpu);

	/* The APIC's own waits for a window while the 8259s' is delivered. */
	busy = inject_extint(vcpu, busy) || busy;
	inject_apic(vcpu, busy);
	return HC_ACT_RESUME;
}
