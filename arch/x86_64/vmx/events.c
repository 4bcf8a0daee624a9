/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events into the guest: injection (SDM Vol. 3C 27.6), the windows, and what exits leave undone of
 * an event's delivery.
 *
 * ENTRY_INTERRUPTION_INFO is where an event waits that is to be delivered; vv->entry_info is what
 * it holds. Virtual NMIs let the CPU itself keep track of masking: from an NMI's injection to IRET
 * GUEST_INTERRUPTIBILITY has VMX_BLOCKING_NMI.
 */
#include <hypercore/errno.h>

#include "arch/x86_64/vmx/internal.h"
#include "core/log.h"
#include "emu/x86_64/exceptions.h"

/* --- Encoding --- */

/* INT3 and INTO come again by themselves, since RIP is still theirs; as does INT n, which is not
 * encoded. */
static bool comes_again(const struct x86_event *event)
{
	return event->type == X86_EVENT_EXCEPTION &&
	       (event->vector == X86_VEC_BP || event->vector == X86_VEC_OF);
}

uint32_t vmx_event_encode(const struct x86_event *event)
{
	uint32_t info = (uint32_t)(VMX_INFO_V | (uint32_t)event->type << 8 | event->vector);

	if (!event->valid)
		return 0;
	switch (event->type) {
	case X86_EVENT_INTR: return info;
	case X86_EVENT_NMI: return event->vector == X86_VEC_NMI ? info : 0;
	case X86_EVENT_EXCEPTION:
		if (event->vector == X86_VEC_NMI || event->vector > 31)
			return 0;
		/* just these, and just in protected mode (27.2.1.3) */
		return x86_has_error_code(event->vector) ? info | VMX_INFO_ERROR : info;
	default: return 0;
	}
}

void vmx_event_decode(uint32_t info, uint32_t error_code, struct x86_event *event)
{
	*event = (struct x86_event){ 0 };
	if (!(info & VMX_INFO_V))
		return;
	event->valid = 1;
	event->type = (uint8_t)VMX_INFO_TYPE(info);
	event->vector = VMX_INFO_VECTOR(info);
	event->has_error_code = (info & VMX_INFO_ERROR) != 0;
	event->error_code = event->has_error_code ? error_code : 0;
}

static bool is_nmi(uint32_t info)
{
	return info & VMX_INFO_V && VMX_INFO_TYPE(info) == VMX_EVENT_NMI;
}

/* --- The next entry's event --- */

static bool is_protected(struct hc_vcpu *vcpu)
{
	uint64_t cr0 =
		vcpu->valid & X86_G_CR ? x86_state_of(vcpu)->cr0 : vmx_hw_read(VMCS_GUEST_CR0);

	return cr0 & X86_CR0_PE;
}

static void set_entry_info(struct vmx_vcpu *vv, uint32_t info, uint32_t error_code)
{
	vv->entry_info = info;
	vmx_hw_write(VMCS_ENTRY_INTERRUPTION_INFO, info);
	if (info & VMX_INFO_ERROR)
		vmx_hw_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, error_code);
}

/* Injecting a #DB drops those that are pending (27.7.3). Out of a shadow they belong to the same
 * instruction: their causes go into DR6. */
static void merge_pending_debug(struct hc_vcpu *vcpu)
{
	uint64_t pending = vmx_hw_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);

	if (!(pending & (VMX_PENDING_ENABLED | VMX_PENDING_BS)))
		return;
	hc_vcpu_need(vcpu, X86_G_DR);
	x86_state_of(vcpu)->dr6 |= pending & (VMX_PENDING_HITS | VMX_PENDING_BS);
	hc_vcpu_dirty(vcpu, X86_G_DR);
}

static void put_event(struct hc_vcpu *vcpu, const struct x86_event *event, uint32_t info)
{
	if (info & VMX_INFO_ERROR && !is_protected(vcpu))
		info &= ~(uint32_t)VMX_INFO_ERROR;
	set_entry_info(vmx_vcpu_of(vcpu), info, event->has_error_code ? event->error_code : 0);
}

/* --- X86_G_EVENT --- */

void vmx_get_events(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	uint32_t error_code = 0;

	vmx_sync_rip(vv, st);
	if (vv->entry_info & VMX_INFO_ERROR)
		error_code = (uint32_t)vmx_hw_read(VMCS_ENTRY_EXCEPTION_ERROR_CODE);
	vmx_event_decode(vv->entry_info, error_code, &st->events.reinject);
	st->events.interrupt_shadow = (vv->interruptibility & VMX_SHADOW) != 0;
	st->events.nmi_masked = vv->interruptibility & VMX_BLOCKING_NMI || is_nmi(vv->entry_info);
}

/* Which of the two shadows it is, the neutral state does not tell. STI's needs IF (27.3.1.5); only
 * MOV SS holds back the trap of TF. */
static uint32_t shadow_of(const struct vmx_vcpu *vv, const struct x86_state *st)
{
	bool may_be_sti = st->rflags & X86_FLAG_IF && !(st->rflags & X86_FLAG_TF);
	uint32_t before = vv->interruptibility & VMX_SHADOW;

	if (!st->events.interrupt_shadow)
		return 0;
	if (may_be_sti && before != VMX_BLOCKING_MOV_SS)
		return VMX_BLOCKING_STI;
	return VMX_BLOCKING_MOV_SS;
}

/* An NMI that is yet to be delivered masks the next from then on, but must not be masked itself; no
 * shadow holds back what is being delivered already (27.3.1.5). */
void vmx_set_events(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	const struct x86_event *again = &st->events.reinject;
	uint32_t info = comes_again(again) ? 0 : vmx_event_encode(again);
	uint32_t blocking = shadow_of(vv, st);

	if (info && VMX_INFO_TYPE(info) != VMX_EVENT_EXCEPTION)
		blocking = 0;
	if (st->events.nmi_masked && !is_nmi(info))
		blocking |= VMX_BLOCKING_NMI;
	put_event(vcpu, again, info);
	vmx_set_interruptibility(vv, blocking);
	/* vmx_set_state() sets BS where it has to be. */
	vmx_hw_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
}

/* --- Injection --- */

static int inject_check(const struct vmx_vcpu *vv, const struct x86_state *st, unsigned type)
{
	bool shadow = (vv->interruptibility & VMX_SHADOW) != 0;

	if (vv->entry_info & VMX_INFO_V)
		return -EBUSY;
	if (type == X86_EVENT_INTR && (!(st->rflags & X86_FLAG_IF) || shadow))
		return -EAGAIN;
	if (type == X86_EVENT_NMI && (vv->interruptibility & VMX_BLOCKING_NMI || shadow))
		return -EAGAIN;
	return 0;
}

/* RIP and the event group as the next entry will find them. */
static void flush_events(struct hc_vcpu *vcpu)
{
	vmx_sync_rip(vmx_vcpu_of(vcpu), x86_state_of(vcpu));
	if (vcpu->dirty & X86_G_EVENT) {
		vmx_set_state(vcpu, X86_G_EVENT);
		vcpu->dirty &= ~(uint32_t)X86_G_EVENT;
	}
}

int vmx_inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	uint32_t info = vmx_event_encode(event);

	if (!info)
		return hc_error(-EINVAL, "vmx: vcpu %u: no event has type %u and vector %u",
		                vcpu->id, event->type, event->vector);
	flush_events(vcpu);
	int rc = inject_check(vv, x86_state_of(vcpu), event->type);

	if (rc)
		return rc;
	if (event->type == X86_EVENT_EXCEPTION && event->vector == X86_VEC_DB &&
	    !(vv->interruptibility & VMX_SHADOW))
		merge_pending_debug(vcpu);
	put_event(vcpu, event, info);
	vcpu->valid &= ~(uint32_t)X86_G_EVENT;
	if (event->type != X86_EVENT_EXCEPTION) /* who waits still, asks again */
		vmx_close_window(vv, event->type == X86_EVENT_NMI);
	return 0;
}

/* --- Windows --- */

static void set_cpu_controls(struct vmx_vcpu *vv, uint32_t controls)
{
	if (vv->cpu_controls == controls)
		return;
	vv->cpu_controls = controls;
	vmx_hw_write(VMCS_PRIMARY_CONTROLS, controls);
}

static uint32_t window_control(bool nmi)
{
	return (uint32_t)(nmi ? VMX_CPU_NMI_WINDOW : VMX_CPU_INTR_WINDOW);
}

void vmx_close_window(struct vmx_vcpu *vv, bool nmi)
{
	set_cpu_controls(vv, vv->cpu_controls & ~window_control(nmi));
}

/* Some CPUs open the window for NMIs in the shadow of STI, where they refuse to have one injected
 * (26.2, 27.3.1.5): after the instruction that is in it, interrupts have their window, too. */
void vmx_request_window(struct hc_vcpu *vcpu, bool nmi)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	flush_events(vcpu);
	if (vv->interruptibility & VMX_BLOCKING_STI)
		nmi = false;
	set_cpu_controls(vv, vv->cpu_controls | window_control(nmi));
}

/* --- After an exit --- */

void vmx_nmi_unblocked(struct vmx_vcpu *vv)
{
	/* The bit means nothing if there was an event on its way (28.2.3). */
	if (!(vmx_hw_read(VMCS_IDT_VECTORING_INFO) & VMX_INFO_V))
		vmx_set_interruptibility(vv, vv->interruptibility | (uint32_t)VMX_BLOCKING_NMI);
}

/* The CPU has cleared the valid bit of what it has delivered (28.8), unless the entry failed. */
void vmx_redeliver(struct vmx_vcpu *vv, uint32_t reason)
{
	const uint32_t same = (uint32_t)(VMX_INFO_V | VMX_INFO_ERROR) | 0x7ff;

	if (reason & VMX_EXIT_REASON_ENTRY)
		return;
	vv->entry_info = 0;
	uint32_t info = (uint32_t)vmx_hw_read(VMCS_IDT_VECTORING_INFO);

	/* INT n, INT1, INT3 and INTO are executed again. */
	if (!(info & VMX_INFO_V) || VMX_INFO_TYPE(info) >= VMX_EVENT_SOFT_INT)
		return;
	set_entry_info(vv, info & same, (uint32_t)vmx_hw_read(VMCS_IDT_VECTORING_ERROR_CODE));
	/* It masks none before it has been delivered (28.3.4). */
	if (is_nmi(info) && vv->interruptibility & VMX_BLOCKING_NMI)
		vmx_set_interruptibility(vv, vv->interruptibility & ~(uint32_t)VMX_BLOCKING_NMI);
}
