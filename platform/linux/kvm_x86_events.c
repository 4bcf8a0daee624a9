/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events into the guest. KVM keeps what is to be delivered itself, until it is; NMIs it also keeps
 * while the guest masks them, for there is no exit when it does no longer.
 */
#include <string.h>
/* after the above */
#include "platform/linux/kvm_x86.h"

static void get(struct kvm_vcpu *kv, struct kvm_vcpu_events *e)
{
	memset(e, 0, sizeof(*e));
	int rc = kvm_ioctl(kv->fd, KVM_GET_VCPU_EVENTS, e);

	if (rc)
		kvm_refuse(kv, "KVM_GET_VCPU_EVENTS", rc);
}

/* The parts that flags does not name stay as they are. */
static void set(struct kvm_vcpu *kv, struct kvm_vcpu_events *e)
{
	e->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	int rc = kvm_ioctl(kv->fd, KVM_SET_VCPU_EVENTS, e);

	if (rc)
		kvm_refuse(kv, "KVM_SET_VCPU_EVENTS", rc);
	kvm_x86_of(kv)->touched = true;
}

static bool is_delivering(const struct kvm_vcpu_events *e)
{
	return e->exception.injected || e->exception.pending || e->interrupt.injected ||
	       e->nmi.injected;
}

static void decode(const struct kvm_vcpu_events *e, struct x86_event *event)
{
	*event = (struct x86_event){ .valid = is_delivering(e) };
	if (e->exception.injected || e->exception.pending) {
		event->type = X86_EVENT_EXCEPTION;
		event->vector = e->exception.nr;
		event->has_error_code = e->exception.has_error_code != 0;
		event->error_code = event->has_error_code ? e->exception.error_code : 0;
	} else if (e->interrupt.injected) {
		event->type = e->interrupt.soft ? X86_EVENT_SOFT_INT : X86_EVENT_INTR;
		event->vector = e->interrupt.nr;
	} else if (e->nmi.injected) {
		event->type = X86_EVENT_NMI;
		event->vector = X86_VEC_NMI;
	}
}

static void encode(struct kvm_vcpu_events *e, const struct x86_event *event)
{
	memset(&e->exception, 0, sizeof(e->exception));
	e->interrupt.injected = e->interrupt.soft = 0;
	e->nmi.injected = 0;
	if (!event->valid)
		return;
	switch (event->type) {
	case X86_EVENT_EXCEPTION:
		e->exception.injected = 1;
		e->exception.nr = event->vector;
		e->exception.has_error_code = event->has_error_code;
		e->exception.error_code = event->error_code;
		break;
	case X86_EVENT_INTR:
		e->interrupt.injected = 1;
		e->interrupt.nr = event->vector;
		break;
	case X86_EVENT_NMI: e->nmi.injected = 1; break;
	default: break;
	}
}

/* INT n, INT3 and INTO come again by themselves, since RIP is still theirs. */
static bool comes_again(const struct x86_event *event)
{
	return event->type == X86_EVENT_SOFT_INT ||
	       (event->type == X86_EVENT_EXCEPTION &&
	        (event->vector == X86_VEC_BP || event->vector == X86_VEC_OF));
}

void kvm_x86_get_events(struct kvm_vcpu *kv, struct x86_events *ev)
{
	struct kvm_vcpu_events e;

	get(kv, &e);
	decode(&e, &ev->reinject);
	ev->interrupt_shadow = e.interrupt.shadow != 0;
	ev->nmi_masked = e.nmi.masked != 0;
}

/* Entry with the shadow of STI and IF clear would fail (SDM Vol. 3C 26.3.1.5). */
static uint8_t shadow_of(const struct x86_state *st)
{
	if (!st->events.interrupt_shadow)
		return 0;
	return st->rflags & X86_FLAG_IF ? KVM_X86_SHADOW_INT_STI : KVM_X86_SHADOW_INT_MOV_SS;
}

void kvm_x86_set_events(struct hc_vcpu *vcpu, const struct x86_state *st)
{
	static const struct x86_event none = { 0 };
	struct kvm_vcpu_events e;

	get(kvm_vcpu_of(vcpu), &e);
	encode(&e, comes_again(&st->events.reinject) ? &none : &st->events.reinject);
	e.interrupt.shadow = shadow_of(st);
	e.nmi.masked = st->events.nmi_masked;
	set(kvm_vcpu_of(vcpu), &e);
}

/* --- Injection --- */

/* KVM says what it would take when it comes back; what was set since then it does not know of. */
static int check_interrupt(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	struct kvm_vcpu_events e;

	if (!(x86_state_of(vcpu)->rflags & X86_FLAG_IF))
		return -EAGAIN;
	if (!kvm_x86_of(kv)->touched)
		return kv->run->ready_for_interrupt_injection ? 0 : -EAGAIN;
	get(kv, &e);
	if (is_delivering(&e))
		return -EBUSY;
	return e.interrupt.shadow ? -EAGAIN : 0;
}

static int inject_interrupt(struct hc_vcpu *vcpu, uint8_t vector)
{
	struct kvm_interrupt irq = { .irq = vector };
	int rc = check_interrupt(vcpu);

	return rc ? rc : kvm_ioctl(kvm_vcpu_of(vcpu)->fd, KVM_INTERRUPT, &irq);
}

static int inject_nmi(struct kvm_vcpu *kv)
{
	struct kvm_vcpu_events e;

	get(kv, &e);
	if (e.nmi.pending || e.nmi.injected)
		return -EBUSY;
	kvm_x86_of(kv)->nmi_queued = true;
	return kvm_ioctl_value(kv->fd, KVM_NMI, 0);
}

static int inject_exception(struct kvm_vcpu *kv, const struct x86_event *event)
{
	struct kvm_vcpu_events e;

	get(kv, &e);
	if (is_delivering(&e))
		return -EBUSY;
	encode(&e, event);
	set(kv, &e);
	return kv->is_refused ? -EINVAL : 0;
}

int kvm_x86_inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	int rc;

	kvm_x86_settle(vcpu);
	/* The registers follow at the entry: no event depends on them. */
	kvm_x86_set_up(vcpu);
	if (vcpu->dirty & ~(uint32_t)X86_G_CORE) {
		kvm_x86_store(vcpu, vcpu->dirty & ~(uint32_t)X86_G_CORE);
		vcpu->dirty &= X86_G_CORE;
	}
	switch (event->type) {
	case X86_EVENT_INTR: rc = inject_interrupt(vcpu, event->vector); break;
	case X86_EVENT_NMI: rc = inject_nmi(kv); break;
	default: rc = inject_exception(kv, event); break;
	}
	if (rc)
		return rc;
	kvm_x86_of(kv)->touched = true;
	vcpu->valid &= ~(uint32_t)X86_G_EVENT;
	return 0;
}

void kvm_x86_request_window(struct hc_vcpu *vcpu, bool nmi)
{
	if (nmi)
		kvm_x86_of(kvm_vcpu_of(vcpu))->nmi_waits = true;
	else
		kvm_vcpu_of(vcpu)->run->request_interrupt_window = 1;
}

void kvm_x86_take_nmi_back(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	struct kvm_vcpu_events e;

	if (!kvm_x86_of(kv)->nmi_queued)
		return;
	kvm_x86_of(kv)->nmi_queued = false;
	get(kv, &e);
	if (!e.nmi.pending)
		return;
	e.nmi.pending = 0;
	set(kv, &e);
	atomic_store(&x86_vcpu_of(vcpu)->nmi_pending, true);
	x86_request_event(vcpu);
}
