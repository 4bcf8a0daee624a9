/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events into the guest: injection (APM Vol. 2 15.20), the interrupt window by a virtual interrupt
 * (15.21.4), and NMI masking, which hardware without virtual NMIs does not tell about.
 *
 * An NMI masks further ones until its handler's IRET has completed. IRET is intercepted meanwhile;
 * the exit comes before it executes. If somebody waits for the window, the guest then runs for
 * that one instruction with RFLAGS.TF set, and the #DB after it is ours:
 *
 *    NMI delivered --> masked --IRET exit--> iret --next exit beyond it, or #DB--> unmasked
 *
 * EVENTINJ is where an event waits that is to be delivered. On QEMU's CPUs an external interrupt
 * goes in from there as a virtual interrupt that is not intercepted (15.21.4), which comes to the
 * same: the guest can take it, so it does before its first instruction. QEMU (7.2 to 10.0) keeps
 * the vector of an interrupt that EVENTINJ injected, and delivers it again, with RFLAGS.IF clear,
 * if something asks for the emulated CPU's attention before the next exception or exit. On Bochs
 * (2.7, 3.0) it has to be EVENTINJ: that looks at a virtual interrupt only after the guest has set
 * RFLAGS.IF (handleInterruptMaskChange), and one that comes to its HLT first sleeps over it. A
 * window that has not been noticed when the guest exits with IF set is over there.
 *
 * VMRUN of QEMU (7.2) forgets the interrupt shadow: a window would open before the HLT after an
 * STI, which the guest would then sleep in for ever. With a shadow it is stepped over that
 * instruction.
 */
#include <hypercore/errno.h>

#include "arch/x86_64/svm/internal.h"
#include "core/log.h"

uint64_t svm_event_encode(const struct x86_event *event)
{
	uint64_t field = SVM_EVENT_V | (uint64_t)event->type << 8 | event->vector;
	unsigned known = 1u << X86_EVENT_INTR | 1u << X86_EVENT_NMI | 1u << X86_EVENT_EXCEPTION |
	                 1u << X86_EVENT_SOFT_INT;

	if (!event->valid || event->type > 7 || !(known >> event->type & 1))
		return 0;
	if (event->type == X86_EVENT_EXCEPTION &&
	    (event->vector == X86_VEC_NMI || event->vector > 31))
		return 0;
	if (event->type == X86_EVENT_EXCEPTION && event->has_error_code)
		field |= SVM_EVENT_EV | (uint64_t)event->error_code << 32;
	return field;
}

void svm_event_decode(uint64_t field, struct x86_event *event)
{
	*event = (struct x86_event){ 0 };
	if (!(field & SVM_EVENT_V))
		return;
	event->valid = 1;
	event->type = (uint8_t)SVM_EVENT_TYPE(field);
	event->vector = SVM_EVENT_VECTOR(field);
	/* QEMU says so of an interrupt that it was delivering (handle_even_inj). */
	if (event->type == X86_EVENT_EXCEPTION && event->vector > 31)
		event->type = X86_EVENT_INTR;
	event->has_error_code = (field & SVM_EVENT_EV) != 0;
	event->error_code = event->has_error_code ? SVM_EVENT_ERROR(field) : 0;
}

/* INT n, INT3 and INTO come again by themselves, since RIP is still theirs; injecting them would
 * push the wrong return address where the CPU does not take nRIP for it (15.20). */
uint64_t svm_event_again(uint64_t info)
{
	struct x86_event e;

	svm_event_decode(info, &e);
	if (e.type == X86_EVENT_EXCEPTION && (e.vector == X86_VEC_BP || e.vector == X86_VEC_OF))
		return 0;
	return e.type == X86_EVENT_SOFT_INT ? 0 : svm_event_encode(&e);
}

/* The local APIC has looked at the TPR already. */
static void set_virtual_intr(struct vmcb *v, uint8_t vector)
{
	v->v_irq = SVM_V_IRQ;
	v->v_intr_prio = SVM_V_IGN_TPR;
	v->v_intr_vector = vector;
	v->clean &= ~SVM_CLEAN_TPR;
}

void svm_close_window(struct vmcb *v)
{
	svm_intercept(v, SVM_I_VINTR, false);
	v->v_irq = 0;
	v->clean &= ~SVM_CLEAN_TPR;
}

static int inject_check(const struct svm_vcpu *sv, const struct x86_state *st, unsigned type)
{
	bool shadow = (sv->vmcb->int_state & SVM_SHADOW) != 0;

	if (sv->vmcb->eventinj & SVM_EVENT_V)
		return -EBUSY;
	if (type == X86_EVENT_INTR && (!(st->rflags & X86_FLAG_IF) || shadow))
		return -EAGAIN;
	if (type == X86_EVENT_NMI && (sv->nmi.masked || shadow))
		return -EAGAIN;
	return 0;
}

/* RIP and the event group as the next entry will find them. */
static void flush_events(struct hc_vcpu *vcpu)
{
	svm_sync_rip(svm_vcpu_of(vcpu)->vmcb, x86_state_of(vcpu));
	if (vcpu->dirty & X86_G_EVENT) {
		svm_set_state(vcpu, X86_G_EVENT);
		vcpu->dirty &= ~(uint32_t)X86_G_EVENT;
	}
}

int svm_inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	struct svm_vcpu *sv = svm_vcpu_of(vcpu);
	uint64_t field = svm_event_encode(event);

	if (!field)
		return hc_error(-EINVAL, "svm: vcpu %u: no event has type %u and vector %u",
		                vcpu->id, event->type, event->vector);
	flush_events(vcpu);
	int rc = inject_check(sv, x86_state_of(vcpu), event->type);

	if (rc)
		return rc;
	sv->vmcb->eventinj = field;
	sv->track = true;
	vcpu->valid &= ~(uint32_t)X86_G_EVENT;
	if (event->type == X86_EVENT_INTR)
		svm_close_window(sv->vmcb); /* who waits still, asks again */
	if (event->type == X86_EVENT_NMI) {
		sv->nmi = (struct svm_nmi){ .masked = true };
		svm_intercept(sv->vmcb, SVM_I_IRET, true);
	}
	return 0;
}

static bool forgets_shadow(const struct vmcb *v, const struct x86_state *st)
{
	return svm_caps.tcg && v->int_state & SVM_SHADOW && st->rflags & X86_FLAG_IF;
}

static void start_step(struct svm_vcpu *sv, uint64_t rip, uint64_t rflags, bool shadow)
{
	sv->nmi.step = true;
	sv->nmi.shadow = shadow;
	sv->nmi.step_rip = rip;
	sv->nmi.guest_tf = (rflags & X86_FLAG_TF) != 0;
	sv->track = true;
}

void svm_request_window(struct hc_vcpu *vcpu, bool nmi)
{
	struct svm_vcpu *sv = svm_vcpu_of(vcpu);
	const struct x86_state *st = x86_state_of(vcpu);
	struct vmcb *v = sv->vmcb;

	flush_events(vcpu);
	if (!nmi && forgets_shadow(v, st)) {
		if (!sv->nmi.step)
			start_step(sv, st->rip, st->rflags, true);
		return;
	}
	if (!nmi) {
		svm_intercept(v, SVM_I_VINTR, true);
		set_virtual_intr(v, 0);
		sv->track |= svm_caps.bochs || svm_caps.tcg;
		return;
	}
	sv->nmi.window = true;
	sv->track = true;
	if (!sv->nmi.masked || sv->nmi.iret)
		start_step(sv, st->rip, st->rflags, false);
}

void svm_nmi_iret(struct svm_vcpu *sv)
{
	svm_intercept(sv->vmcb, SVM_I_IRET, false);
	sv->nmi.iret = true;
	sv->nmi.iret_rip = sv->vmcb->rip;
	sv->track = true;
	if (sv->nmi.window)
		start_step(sv, sv->vmcb->rip, sv->vmcb->rflags, false);
}

/* With a window open at the same time, V_IRQ is that window's. */
static bool can_be_virtual(const struct vmcb *v)
{
	return svm_caps.tcg && (v->eventinj & SVM_EVENT_V) &&
	       SVM_EVENT_TYPE(v->eventinj) == X86_EVENT_INTR && (v->rflags & X86_FLAG_IF) &&
	       !(v->int_state & SVM_SHADOW) && !v->v_irq;
}

static void intr_enter(struct svm_vcpu *sv)
{
	struct vmcb *v = sv->vmcb;

	if (!can_be_virtual(v))
		return;
	sv->virtual_intr = v->eventinj;
	sv->virtual_rip = v->rip;
	v->eventinj = 0;
	set_virtual_intr(v, SVM_EVENT_VECTOR(sv->virtual_intr));
}

/* Still pending: another exit came first. Unless that exit cut its delivery short: then EXITINTINFO
 * has it, and QEMU leaves V_IRQ set besides. It does so as well where the delivery led to a fault,
 * whose handler runs by then. */
static void intr_leave(struct svm_vcpu *sv)
{
	struct vmcb *v = sv->vmcb;

	if (!sv->virtual_intr)
		return;
	if (v->v_irq && v->rip == sv->virtual_rip && !(v->exitintinfo & SVM_EVENT_V))
		v->eventinj = sv->virtual_intr;
	v->v_irq = 0;
	v->clean &= ~SVM_CLEAN_TPR;
	sv->virtual_intr = 0;
}

void svm_events_enter(struct svm_vcpu *sv)
{
	/* Not if an exit's handler has carried it out. */
	sv->nmi.step &= sv->vmcb->rip == sv->nmi.step_rip;
	if (sv->nmi.step)
		sv->vmcb->rflags |= X86_FLAG_TF;
	intr_enter(sv);
}

/* The instruction that was stepped over is done: is the #DB the guest's, too? */
static bool step_is_ours(struct svm_vcpu *sv)
{
	const uint64_t bs = HC_BIT(14), hits = 0xf | HC_BIT(13) | HC_BIT(15);

	if (sv->nmi.guest_tf)
		return false;
	sv->vmcb->dr6 &= ~bs;
	sv->vmcb->clean &= ~SVM_CLEAN_DRX;
	return !(sv->vmcb->dr6 & hits);
}

static void end_step(struct svm_vcpu *sv, struct x86_state *st, struct hc_exit *exit)
{
	bool moved = st->rip != sv->nmi.step_rip;
	bool db = exit->reason == HC_EXIT_EXCEPTION && exit->u.exception.vector == X86_VEC_DB;

	/* An IRET has loaded the guest's own flags; before it, TF is ours still. */
	if (!sv->nmi.guest_tf && !(moved && sv->nmi.iret))
		st->rflags &= ~(uint64_t)X86_FLAG_TF;
	if (!moved && !db) { /* interrupted: step again */
		sv->vmcb->int_state |= sv->nmi.shadow ? SVM_SHADOW : 0;
		return;
	}
	sv->nmi.step = false;
	if (db && sv->nmi.iret) /* also when IRET came back to itself */
		sv->nmi.masked = sv->nmi.iret = false;
	if (db && step_is_ours(sv))
		exit->reason = HC_EXIT_INTERRUPT;
}

/* The window is open. Other exits have their own handlers first: events are looked at after them.
 */
static void end_window(struct hc_vcpu *vcpu, struct svm_nmi *nmi, struct hc_exit *exit)
{
	nmi->window = false;
	if (exit->reason == HC_EXIT_INTERRUPT)
		exit->reason = HC_EXIT_WINDOW;
	else
		atomic_fetch_or(&vcpu->requests, HC_REQ_EVENT);
}

/* Bochs' CPU would not open it at the next entry, QEMU's too early. In an interrupt shadow it is
 * asked for again. */
static bool window_waits(struct hc_vcpu *vcpu, struct vmcb *v)
{
	const struct x86_state *st = x86_state_of(vcpu);

	if (!(svm_caps.bochs || svm_caps.tcg) || !v->v_irq)
		return false;
	if (svm_caps.bochs ? !(st->rflags & X86_FLAG_IF) : !forgets_shadow(v, st))
		return true;
	svm_close_window(v);
	atomic_fetch_or(&vcpu->requests, HC_REQ_EVENT);
	return false;
}

void svm_events_leave(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct svm_vcpu *sv = svm_vcpu_of(vcpu);
	struct x86_state *st = x86_state_of(vcpu);
	struct svm_nmi *nmi = &sv->nmi;

	intr_leave(sv);
	if (nmi->step) {
		end_step(sv, st, exit);
		atomic_fetch_or(&vcpu->requests, HC_REQ_EVENT);
	}
	if (nmi->iret && st->rip != nmi->iret_rip)
		nmi->masked = nmi->iret = false;
	if (nmi->window && !nmi->masked && !nmi->step)
		end_window(vcpu, nmi, exit);
	sv->track = nmi->masked || nmi->window || nmi->step || window_waits(vcpu, sv->vmcb) ||
	            (sv->vmcb->eventinj & SVM_EVENT_V);
}
