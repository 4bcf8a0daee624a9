/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens between an entry and an exit (SDM Vol. 3C 26, 27.6, 27.7, 28.2, 28.3). */
#include <string.h>

#include "tests/model/vmx_cpu.h"

static _Thread_local const struct model_step *script;

/* What IRET goes back to. */
static struct {
	uint64_t rip, rflags;
} frames[MODEL_DELIVERIES];
static unsigned frame_count;

void model_script(const struct model_step *steps)
{
	script = steps;
}

void model_clear_deliveries(void)
{
	model_delivered = 0;
	frame_count = 0;
}

void model_reset_guest(void)
{
	script = NULL;
	model_clear_deliveries();
}

/* --- Exits --- */

/* What an exit leaves in the fields that it does not define. */
#define UNDEFINED UINT64_C(0xdeadbeefdeadbeef)

static void set_exit(uint32_t reason, uint64_t qualification)
{
	model_set(VMCS_EXIT_REASON, reason);
	model_set(VMCS_EXIT_QUALIFICATION, qualification);
	model_set(VMCS_EXIT_INTERRUPTION_INFO, UNDEFINED & ~VMX_INFO_V);
	model_set(VMCS_IDT_VECTORING_INFO, UNDEFINED & ~VMX_INFO_V);
	model_set(VMCS_EXIT_INTERRUPTION_ERROR_CODE, UNDEFINED);
	model_set(VMCS_IDT_VECTORING_ERROR_CODE, UNDEFINED);
	model_set(VMCS_EXIT_INSTRUCTION_LENGTH, UNDEFINED);
	model_set(VMCS_EXIT_INSTRUCTION_INFO, UNDEFINED);
	model_set(VMCS_GUEST_LINEAR_ADDRESS, UNDEFINED);
	model_set(VMCS_GUEST_PHYSICAL_ADDRESS, UNDEFINED);
}

static void set_exit_by(const struct model_step *s)
{
	set_exit(s->reason, s->qualification);
	if (s->intr_info & VMX_INFO_V)
		model_set(VMCS_EXIT_INTERRUPTION_INFO, s->intr_info);
	if (s->intr_info & VMX_INFO_ERROR)
		model_set(VMCS_EXIT_INTERRUPTION_ERROR_CODE, s->intr_error);
	if (s->idt_info & VMX_INFO_V)
		model_set(VMCS_IDT_VECTORING_INFO, s->idt_info);
	if (s->idt_info & VMX_INFO_ERROR)
		model_set(VMCS_IDT_VECTORING_ERROR_CODE, s->idt_error);
	if (s->len)
		model_set(VMCS_EXIT_INSTRUCTION_LENGTH, s->len);
	if (s->insn_info)
		model_set(VMCS_EXIT_INSTRUCTION_INFO, s->insn_info);
	if (s->linear)
		model_set(VMCS_GUEST_LINEAR_ADDRESS, s->linear);
	if (s->physical || s->reason == VMX_REASON_EPT_VIOLATION)
		model_set(VMCS_GUEST_PHYSICAL_ADDRESS, s->physical);
}

/* --- The preemption timer (26.5.1): it counts how often bit X of the TSC changes --- */

static _Thread_local uint64_t entered_at;

static uint64_t timer_left(void)
{
	unsigned x = VMX_MISC_TIMER_SHIFT(model_features.caps.misc);
	uint64_t gone = (hc_platform_cycles() >> x) - (entered_at >> x);
	uint64_t value = model_get(VMCS_PREEMPTION_TIMER_VALUE);

	return value > gone ? value - gone : 0;
}

/* True if it has come to its end. */
static bool timer(void)
{
	if (!(model_get(VMCS_PIN_BASED_CONTROLS) & VMX_PIN_PREEMPTION_TIMER) || timer_left())
		return false;
	set_exit(VMX_REASON_PREEMPTION_TIMER, 0);
	return true;
}

/* 28.3.1: the valid bit of what was injected goes, and CPUs that know unrestricted guests tell by
 * the entry control in which mode the guest is. */
static void save_state(void)
{
	uint64_t entry = model_get(VMCS_ENTRY_CONTROLS);
	bool lma = model_get(VMCS_GUEST_IA32_EFER) & X86_EFER_LMA;

	model_set(VMCS_ENTRY_INTERRUPTION_INFO,
	          model_get(VMCS_ENTRY_INTERRUPTION_INFO) & ~VMX_INFO_V);
	if (VMX_MAY_BE_1(model_features.caps.cpu2) & VMX_CPU2_UNRESTRICTED_GUEST)
		model_set(VMCS_ENTRY_CONTROLS,
		          lma ? entry | VMX_ENTRY_IA32E : entry & ~VMX_ENTRY_IA32E);
	if (model_get(VMCS_EXIT_CONTROLS) & VMX_EXIT_SAVE_PREEMPTION)
		model_set(VMCS_PREEMPTION_TIMER_VALUE, timer_left());
}

/* --- Events --- */

#define BLOCKING_INTR (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS)

static bool software(unsigned type)
{
	return type == VMX_EVENT_SOFT_INT || type == VMX_EVENT_PRIVILEGED ||
	       type == VMX_EVENT_SOFT_EXCEPTION;
}

static void block(uint64_t set, uint64_t clear)
{
	model_set(VMCS_GUEST_INTERRUPTIBILITY,
	          (model_get(VMCS_GUEST_INTERRUPTIBILITY) & ~clear) | set);
}

static void push_frame(uint64_t rip)
{
	frames[frame_count].rip = rip;
	frames[frame_count++].rflags = model_get(VMCS_GUEST_RFLAGS);
}

static void deliver(uint64_t info, uint32_t error_code, uint64_t insn_len)
{
	unsigned type = (unsigned)VMX_INFO_TYPE(info);
	uint64_t rip = model_get(VMCS_GUEST_RIP) + (software(type) ? insn_len : 0);

	if (model_delivered >= MODEL_DELIVERIES || frame_count >= MODEL_DELIVERIES) {
		model_complain("more events than the model has room for");
		return;
	}
	model_deliveries[model_delivered++] = (struct model_delivery){
		.type = (uint8_t)type,
		.vector = VMX_INFO_VECTOR(info),
		.has_error_code = (info & VMX_INFO_ERROR) != 0,
		.error_code = info & VMX_INFO_ERROR ? error_code : 0,
		.rip = rip,
	};
	push_frame(rip);
	model_set(VMCS_GUEST_RIP, MODEL_HANDLER(VMX_INFO_VECTOR(info)));
	model_set(VMCS_GUEST_RFLAGS,
	          model_get(VMCS_GUEST_RFLAGS) & ~(uint64_t)(X86_FLAG_IF | X86_FLAG_TF));
	model_set(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVE);
	block(type == VMX_EVENT_NMI ? VMX_BLOCKING_NMI : 0, BLOCKING_INTR);
}

static void iret(void)
{
	block(0, VMX_BLOCKING_NMI | BLOCKING_INTR);
	if (frame_count) {
		frame_count--;
		model_set(VMCS_GUEST_RIP, frames[frame_count].rip);
		model_set(VMCS_GUEST_RFLAGS, frames[frame_count].rflags);
	}
}

/* --- Debug exceptions --- */

/* A #DB with these bits of DR6. True if it exits. */
static bool debug_exception(uint64_t bits)
{
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	if (model_get(VMCS_EXCEPTION_BITMAP) >> X86_VEC_DB & 1) {
		set_exit(VMX_REASON_EXCEPTION_OR_NMI, bits);
		model_set(VMCS_EXIT_INTERRUPTION_INFO,
		          VMX_INFO_V | VMX_EVENT_EXCEPTION << 8 | X86_VEC_DB);
		return true;
	}
	model_this()->dr6 |= bits;
	deliver(VMX_EVENT_EXCEPTION << 8 | X86_VEC_DB, 0, 0);
	return false;
}

/* What was pending when the guest was entered (27.7.3). */
static bool pending_debug(bool injected)
{
	uint64_t pending = model_get(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);

	if (injected)
		model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	else if (!(model_get(VMCS_GUEST_INTERRUPTIBILITY) & VMX_BLOCKING_MOV_SS) &&
	         (pending & (VMX_PENDING_BS | VMX_PENDING_ENABLED)))
		return debug_exception(pending & VMX_DB_BITS);
	return false;
}

/* --- Between instructions --- */

/* True if a window is open that somebody waits for (26.2). */
static bool window(void)
{
	uint64_t controls = model_get(VMCS_PRIMARY_CONTROLS);
	uint64_t blocking = model_get(VMCS_GUEST_INTERRUPTIBILITY);

	if ((controls & VMX_CPU_NMI_WINDOW) && !(blocking & (BLOCKING_INTR | VMX_BLOCKING_NMI))) {
		set_exit(VMX_REASON_NMI_WINDOW, 0);
		return true;
	}
	if ((controls & VMX_CPU_INTR_WINDOW) && !(blocking & BLOCKING_INTR) &&
	    (model_get(VMCS_GUEST_RFLAGS) & X86_FLAG_IF)) {
		set_exit(VMX_REASON_INTERRUPT_WINDOW, 0);
		return true;
	}
	return false;
}

/* An instruction completes. True if the trap after it exits. */
static bool complete(uint64_t len, bool trap, uint64_t blocking)
{
	uint64_t pending = model_get(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);

	model_set(VMCS_GUEST_RIP, model_get(VMCS_GUEST_RIP) + len);
	block(blocking, BLOCKING_INTR);
	if (trap)
		pending |= VMX_PENDING_BS;
	if (pending && (blocking & VMX_BLOCKING_MOV_SS)) {
		model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, pending);
		return false;
	}
	return pending ? debug_exception(pending & VMX_DB_BITS) : false;
}

static bool sti(bool trap)
{
	uint64_t rflags = model_get(VMCS_GUEST_RFLAGS);

	model_set(VMCS_GUEST_RFLAGS, rflags | X86_FLAG_IF);
	return complete(1, trap, rflags & X86_FLAG_IF ? 0 : VMX_BLOCKING_STI);
}

/* True if it exits. */
static bool store(const struct model_step *s)
{
	uint64_t qualification;
	uint32_t reason = model_guest_store(s->physical, &qualification);

	if (!reason)
		return false;
	script--;
	set_exit(reason, qualification);
	if (reason == VMX_REASON_EPT_VIOLATION)
		model_set(VMCS_GUEST_PHYSICAL_ADDRESS, s->physical);
	return true;
}

/* 26.3, 26.6.5: the factor has 48 bits behind the point. */
static uint64_t guest_tsc(void)
{
	uint64_t tsc = hc_platform_cycles();

	if (!(model_get(VMCS_PRIMARY_CONTROLS) & VMX_CPU_TSC_OFFSETTING))
		return tsc;
	if (model_get(VMCS_SECONDARY_CONTROLS) & VMX_CPU2_TSC_SCALING) {
		/* In four products of 32 bits each. */
		uint64_t factor = model_get(VMCS_TSC_MULTIPLIER), high, low;
		uint64_t t0 = (uint32_t)tsc, t1 = tsc >> 32, f0 = (uint32_t)factor,
			 f1 = factor >> 32;
		uint64_t middle = t0 * f1 + (t0 * f0 >> 32), other = t1 * f0 + (uint32_t)middle;

		low = other << 32 | (uint32_t)(t0 * f0);
		high = t1 * f1 + (middle >> 32) + (other >> 32);
		tsc = high << 16 | low >> 48;
	}
	return tsc + model_get(VMCS_TSC_OFFSET);
}

static bool comes_first(enum model_op op)
{
	return op == OP_FIRST || op == OP_INTERRUPT;
}

/* One step; true if the guest exits. */
static bool step(uint64_t *gpr)
{
	const struct model_step *s = script;
	bool trap = (model_get(VMCS_GUEST_RFLAGS) & X86_FLAG_TF) != 0;

	if (s->op != OP_END)
		script++;
	switch (s->op) {
	case OP_EXIT:
	case OP_FIRST: set_exit_by(s); return true;
	case OP_HLT:
		set_exit(VMX_REASON_HLT, 0);
		model_set(VMCS_EXIT_INSTRUCTION_LENGTH, 1);
		return true;
	case OP_INSN: return complete(s->len, trap, 0);
	case OP_STI: return sti(trap);
	case OP_MOV_SS: return complete(2, trap, VMX_BLOCKING_MOV_SS);
	case OP_IRET: iret(); return complete(0, trap, 0);
	case OP_CALL: s->fn(gpr); return false;
	case OP_WRITE: return store(s);
	case OP_RDTSC: model_tsc = guest_tsc(); return complete(2, trap, 0);
	case OP_TRIPLE_FAULT: set_exit(VMX_REASON_TRIPLE_FAULT, 0); return true;
	case OP_INTERRUPT:
	case OP_END:
	default: set_exit(VMX_REASON_EXTERNAL_INTERRUPT, 0); return true;
	}
}

/* --- An interpreter for the backend's self-test: code in one page, identity-mapped --- */

/* Whether the code segment's default size is 32 bits. */
static bool is_32(void)
{
	return model_get(VMCS_GUEST_CS_ACCESS_RIGHTS) & HC_BIT(14);
}

/* With paging, by a page directory in the page itself, that maps the first 4 MiB to themselves. */
static bool identity_mapped(const uint8_t *page)
{
	uint32_t entry;

	if (!(model_get(VMCS_GUEST_CR0) & X86_CR0_PG))
		return true;
	if (model_get(VMCS_GUEST_CR3) || !(model_get(VMCS_GUEST_CR4) & X86_CR4_PSE))
		return false;
	memcpy(&entry, page, sizeof(entry));
	return (entry & ~0x60u) == 0x83;
}

static void interpret(uint64_t *gpr)
{
	uint8_t *page = model_first_page(model_get(VMCS_EPT_POINTER));
	unsigned size = is_32() ? 4 : 2;

	set_exit(VMX_REASON_EPT_VIOLATION, 0);
	for (unsigned i = 0; page && i < 100; i++) {
		const uint8_t *p = page + model_get(VMCS_GUEST_RIP) % HC_PAGE_SIZE;
		int len = identity_mapped(page) ? model_interpret_one(page, p, gpr, size) : 0;

		if (!len) {
			set_exit(p[0] == 0xf4 ? VMX_REASON_HLT : VMX_REASON_TRIPLE_FAULT, 0);
			return;
		}
		model_set(VMCS_GUEST_RIP, model_get(VMCS_GUEST_RIP) + (uint64_t)(int64_t)len);
	}
}

/* --- From entry to exit --- */

void model_run_guest(uint64_t *gpr)
{
	uint64_t info = model_get(VMCS_ENTRY_INTERRUPTION_INFO);
	bool injected = info & VMX_INFO_V;

	entered_at = hc_platform_cycles();
	if (injected)
		deliver(info, (uint32_t)model_get(VMCS_ENTRY_EXCEPTION_ERROR_CODE),
		        model_get(VMCS_ENTRY_INSTRUCTION_LENGTH));
	if (!script) {
		interpret(gpr);
	} else if (!pending_debug(injected)) {
		while ((comes_first(script->op) || !(timer() || window())) && !step(gpr)) {
		}
	}
	save_state();
}
