/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/x86_env.h"

#include <assert.h>
#include <hypercore/errno.h>
#include <string.h>

#include "arch/x86_64/host/cpuid.h"
#include "mmu/npt.h"

/* --- State groups --- */

static void copy_group(void *to_, const void *from_, uint32_t group)
{
	struct x86_state *to = to_;
	const struct x86_state *from = from_;

	switch (group) {
	case X86_G_CORE:
		memcpy(to->gpr, from->gpr, sizeof(to->gpr));
		to->rip = from->rip;
		to->rflags = from->rflags;
		break;
	case X86_G_CR:
		to->cr0 = from->cr0;
		to->cr2 = from->cr2;
		to->cr3 = from->cr3;
		to->cr4 = from->cr4;
		to->efer = from->efer;
		to->cpl = from->cpl;
		break;
	case X86_G_CS: to->seg[X86_CS] = from->seg[X86_CS]; break;
	case X86_G_SEG:
		for (unsigned i = 0; i < X86_SEG_COUNT; i++)
			if (i != X86_CS)
				to->seg[i] = from->seg[i];
		break;
	case X86_G_DT:
		to->gdtr = from->gdtr;
		to->idtr = from->idtr;
		break;
	case X86_G_DR:
		memcpy(to->dr, from->dr, sizeof(to->dr));
		to->dr6 = from->dr6;
		to->dr7 = from->dr7;
		break;
	case X86_G_MSR:
		to->msr_star = from->msr_star;
		to->msr_lstar = from->msr_lstar;
		to->msr_cstar = from->msr_cstar;
		to->msr_sfmask = from->msr_sfmask;
		to->msr_kernel_gs_base = from->msr_kernel_gs_base;
		to->msr_sysenter_cs = from->msr_sysenter_cs;
		to->msr_sysenter_esp = from->msr_sysenter_esp;
		to->msr_sysenter_eip = from->msr_sysenter_eip;
		to->msr_pat = from->msr_pat;
		to->msr_debugctl = from->msr_debugctl;
		to->msr_tsc_aux = from->msr_tsc_aux;
		break;
	case X86_G_EVENT: to->events = from->events; break;
	case X86_G_FPU:
		to->xcr0 = from->xcr0;
		memcpy(to->xsave, from->xsave, sizeof(to->xsave));
		break;
	default: assert(0);
	}
}

/* Everything but CORE and the TSC's offset, which is no register of the hardware. */
static void spoil(void *state)
{
	static struct x86_state rubbish;

	memset(&rubbish, 0xa5, sizeof(rubbish));
	script_copy(state, &rubbish, X86_G_ALL & ~(uint32_t)X86_G_CORE);
}

/* --- The backend --- */

static uint64_t pc(const void *state)
{
	return ((const struct x86_state *)state)->rip;
}

static void enter(struct hc_vcpu *vcpu)
{
	struct x86_script *s = x86_script_of(vcpu);
	uint64_t rip = s->hw.rip;

	script_enter(vcpu);
	/* APM Vol. 2 15.21.5: the shadow covers one instruction. */
	if (s->hw.rip != rip && !(vcpu->dirty & X86_G_EVENT))
		s->hw.events.interrupt_shadow = 0;
	if (s->injecting.valid && s->injecting.type == X86_EVENT_NMI)
		s->hw.events.nmi_masked = 1;
	if (s->injecting.valid && s->injecting.type == X86_EVENT_INTR)
		s->hw.rflags &= ~(uint64_t)X86_FLAG_IF;
	s->injecting.valid = 0;
	s->hw.events.reinject.valid = 0;
}

static bool can_take(const struct x86_script *s)
{
	return s->hw.rflags & X86_FLAG_IF && !s->hw.events.interrupt_shadow;
}

/* A window that was asked for opens before the guest gets to its next exit. */
static bool window_opens(struct x86_script *s, struct hc_exit *exit)
{
	if ((s->window && can_take(s)) || (s->nmi_window && !s->hw.events.nmi_masked)) {
		s->window = s->nmi_window = false;
		exit->reason = HC_EXIT_WINDOW;
		return true;
	}
	return false;
}

const struct script_isa script_isa = {
	.arch = &x86_arch_ops,
	.size = sizeof(struct x86_script),
	.hw_offset = offsetof(struct x86_script, hw),
	.core = X86_G_CORE,
	.all = X86_G_ALL,
	.copy_group = copy_group,
	.spoil = spoil,
	.pc = pc,
	.enter = enter,
	.add_ram = x86_add_ram,
};

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct x86_script *s = x86_script_of(vcpu);

	enter(vcpu);
	if (!window_opens(s, exit)) {
		if (!script_next(vcpu, exit))
			s->hw.rflags &= ~(uint64_t)X86_FLAG_IF;
		else if (window_opens(s, exit))
			s->script.at--;
	}
	script_leave(vcpu, exit);
}

static int inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	struct x86_script *s = x86_script_of(vcpu);

	assert(event->valid);
	script_set_state(vcpu, vcpu->dirty);
	if (s->injecting.valid || s->hw.events.reinject.valid)
		return -EBUSY;
	if (event->type == X86_EVENT_INTR && !can_take(s))
		return -EAGAIN;
	if (event->type == X86_EVENT_NMI && s->hw.events.nmi_masked)
		return -EAGAIN;
	s->injecting = *event;
	assert(s->event_count < X86_ENV_EVENTS);
	s->events[s->event_count++] = *event;
	return 0;
}

static void request_window(struct hc_vcpu *vcpu, bool nmi)
{
	struct x86_script *s = x86_script_of(vcpu);

	*(nmi ? &s->nmi_window : &s->window) = true;
	s->windows++;
}

const struct hc_backend_ops scripted_backend = {
	.isa = HC_ISA_X86_64,
	.s2_format = &npt_format,
	.run = run,
	.inject = inject,
	.request_window = request_window,
	SCRIPT_BACKEND,
};

/* --- Physical CPUs --- */

enum x86_host x86_host;
uint64_t x86_host_seed = 1;

struct answer {
	uint32_t leaf, subleaf, regs[4];
};

static const struct answer epyc[] = {
	{ 0x0, 0, { 0xd, 0x68747541, 0x444d4163, 0x69746e65 } },
	{ 0x1, 0, { 0x00800f12, 0x00000800, 0xf6f83203, 0x078bfbff } },
	{ 0x7, 0, { 0, 0x209c01ab, 0, 0 } },
	{ 0xd, 0, { 7, 0x340, 0x340, 0 } },
	{ 0xd, 1, { 7, 0, 0, 0 } },
	{ 0xd, 2, { 0x100, 0x240, 0, 0 } },
	{ 0x80000000, 0, { 0x8000001e, 0x68747541, 0x444d4163, 0x69746e65 } },
	{ 0x80000001, 0, { 0x00800f12, 0, 0x004003f7, 0x2fd3fbff } },
	{ 0x80000002, 0, { 0x20444d41, 0x43595045, 0x6f725020, 0x73736563 } },
	{ 0x80000005, 0, { 0x01ff01ff, 0x01ff01ff, 0x20080140, 0x40040140 } },
	{ 0x80000006, 0, { 0, 0x42004200, 0x02006140, 0x00408140 } },
	{ 0x80000008, 0, { 0x3028, 0, 0, 0 } },
	{ 0x8000000a, 0, { 1, 16, 0, 1 } },
	{ 0x8000001d, 0, { 0x00000121, 0x01c0003f, 0x3f, 1 } },
	{ 0x8000001d, 1, { 0x00000122, 0x00c0003f, 0xff, 1 } },
	{ 0x8000001d, 2, { 0x00000143, 0x01c0003f, 0x3ff, 0 } },
	{ 0x8000001d, 3, { 0x00000163, 0x03c0003f, 0x1fff, 6 } },
};

static const struct answer skylake[] = {
	{ 0x0, 0, { 0x16, 0x756e6547, 0x6c65746e, 0x49656e69 } },
	{ 0x1, 0, { 0x00050654, 0x00100800, 0x7ffefbff, 0xbfebfbff } },
	{ 0x2, 0, { 0x76036301, 0x00f0b5ff, 0, 0x00c30000 } },
	{ 0x4, 0, { 0x1c004121, 0x01c0003f, 0x3f, 0 } },
	{ 0x4, 1, { 0x1c004122, 0x01c0003f, 0x3f, 0 } },
	{ 0x4, 2, { 0x1c004143, 0x03c0003f, 0x3ff, 0 } },
	{ 0x4, 3, { 0x1c03c163, 0x0280003f, 0x3fff, 4 } },
	{ 0x7, 0, { 0, 0xd39ffffb, 0x00000008, 0xbc000000 } },
	{ 0xd, 0, { 0x2ff, 0xa88, 0xa88, 0 } },
	{ 0xd, 1, { 0xf, 0xa08, 0x100, 0 } },
	{ 0xd, 2, { 0x100, 0x240, 0, 0 } },
	{ 0xd, 3, { 0x40, 0x3c0, 0, 0 } },
	{ 0xd, 4, { 0x40, 0x400, 0, 0 } },
	{ 0xd, 5, { 0x40, 0x440, 0, 0 } },
	{ 0xd, 6, { 0x200, 0x480, 0, 0 } },
	{ 0xd, 7, { 0x400, 0x680, 0, 0 } },
	{ 0x80000000, 0, { 0x80000008, 0, 0, 0 } },
	{ 0x80000001, 0, { 0, 0, 0x00000121, 0x2c100800 } },
	{ 0x80000006, 0, { 0, 0, 0x01006040, 0 } },
	{ 0x80000007, 0, { 0, 0, 0, 0x100 } },
	{ 0x80000008, 0, { 0x302e, 0, 0, 0 } },
};

static const struct answer old[] = {
	{ 0x0, 0, { 1, 0x68747541, 0x444d4163, 0x69746e65 } },
	{ 0x1, 0, { 0x00000f48, 0x00000800, 0, 0x078bfbff } },
	{ 0x80000000, 0, { 0x80000008, 0x68747541, 0x444d4163, 0x69746e65 } },
	{ 0x80000001, 0, { 0x00000f48, 0, 0, 0xe1d3fbff } },
	{ 0x80000008, 0, { 0x3028, 0, 0, 0 } },
};

static void look_up(const struct answer *answers, size_t n, uint32_t leaf, uint32_t subleaf,
                    uint32_t out[4])
{
	memset(out, 0, 16);
	for (size_t i = 0; i < n; i++)
		if (answers[i].leaf == leaf && answers[i].subleaf == subleaf)
			memcpy(out, answers[i].regs, 16);
}

static uint32_t by_chance(uint64_t x)
{
	x = (x + x86_host_seed) * UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(x >> 32);
}

void x86_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	switch (x86_host) {
	case X86_HOST_EPYC: look_up(epyc, HC_ARRAY_SIZE(epyc), leaf, subleaf, out); break;
	case X86_HOST_SKYLAKE: look_up(skylake, HC_ARRAY_SIZE(skylake), leaf, subleaf, out); break;
	case X86_HOST_OLD: look_up(old, HC_ARRAY_SIZE(old), leaf, subleaf, out); break;
	case X86_HOST_ALL_ONES: memset(out, 0xff, 16); break;
	case X86_HOST_RANDOM:
		for (unsigned i = 0; i < 4; i++)
			out[i] = by_chance((uint64_t)leaf << 20 ^ subleaf << 4 ^ i);
		break;
	case X86_HOST_COUNT:
	default: assert(0);
	}
}
