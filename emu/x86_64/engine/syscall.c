/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM Vol. 3A 5.8.7, 5.8.8; APM Vol. 2 6.1). Where the vendors
 * differ both kinds of software work: SYSCALL and SYSRET also in compatibility and legacy mode, as
 * on AMD CPUs; SYSENTER and SYSEXIT also in long mode, as on Intel's.
 */
#include "emu/x86_64/engine/system.h"

/* RFLAGS bits that SYSRET takes from R11. */
#define SYSRET_FLAGS UINT64_C(0x3c7fd7)

static void need_sce(struct emu_cpu *c)
{
	if (EMU_UNLIKELY(!(c->s->efer & X86_EFER_SCE)))
		emu_ud(c);
}

/* SYSCALL of long mode: the return address and the flags go to RCX and R11. */
static void syscall_long(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;

	s->gpr[X86_RCX] = emu_next_rip(c, in);
	s->gpr[X86_R11] = s->rflags & ~(uint64_t)X86_FLAG_RF;
	s->rip = emu_is_64(c) ? s->msr_lstar : s->msr_cstar;
	s->rflags &= ~(s->msr_sfmask | X86_FLAG_RF);
	s->rflags |= X86_FLAG_1;
}

static void syscall_legacy(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;

	s->gpr[X86_RCX] = emu_next_rip(c, in);
	s->rip = (uint32_t)s->msr_star;
	s->rflags &= ~(uint64_t)(X86_FLAG_IF | X86_FLAG_VM | X86_FLAG_RF);
}

void emu_call_syscall(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	uint16_t selector = (uint16_t)(s->msr_star >> 32);
	bool is_long = emu_is_long(s);

	need_sce(c);
	if (!(s->cr0 & X86_CR0_PE))
		emu_ud(c);
	if (is_long)
		syscall_long(c, in);
	else
		syscall_legacy(c, in);
	emu_set_flat_code(s, selector, 0, is_long);
	emu_set_flat_stack(s, (uint16_t)((selector & 0xfffcu) + 8), 0);
	s->cpl = 0;
	c->no_step = !(s->rflags & X86_FLAG_TF);
	emu_update_mode(c);
}

void emu_call_sysret(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	uint16_t selector = (uint16_t)(s->msr_star >> 48);
	bool to_64 = in->opsize == 8;

	need_sce(c);
	if (!(s->cr0 & X86_CR0_PE))
		emu_ud(c);
	emu_need_cpl0(c);
	/* Checked while CPL is still 0: the fault is the kernel's. */
	if (to_64 && !emu_is_canonical(s, s->gpr[X86_RCX]))
		emu_gp(c);
	if (emu_is_long(s))
		s->rflags = (s->gpr[X86_R11] & SYSRET_FLAGS) | X86_FLAG_1;
	else
		s->rflags |= X86_FLAG_IF;
	s->rip = to_64 ? s->gpr[X86_RCX] : (uint32_t)s->gpr[X86_RCX];
	emu_set_flat_code(s, (uint16_t)((selector & 0xfffcu) + (to_64 ? 16 : 0)), 3, to_64);
	emu_set_flat_stack(s, (uint16_t)((selector & 0xfffcu) + 8), 3);
	s->cpl = 3;
	emu_update_mode(c);
}

static void need_sysenter_cs(struct emu_cpu *c)
{
	if (!(c->s->cr0 & X86_CR0_PE) || !(c->s->msr_sysenter_cs & 0xfffc))
		emu_gp(c);
}

void emu_call_sysenter(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	uint16_t selector = (uint16_t)(s->msr_sysenter_cs & 0xfffc);
	bool is_long = emu_is_long(s);

	need_sysenter_cs(c);
	s->rflags &= ~(uint64_t)(X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF);
	s->gpr[X86_RSP] = is_long ? s->msr_sysenter_esp : (uint32_t)s->msr_sysenter_esp;
	s->rip = is_long ? s->msr_sysenter_eip : (uint32_t)s->msr_sysenter_eip;
	emu_set_flat_code(s, selector, 0, is_long);
	emu_set_flat_stack(s, (uint16_t)(selector + 8), 0);
	s->cpl = 0;
	emu_update_mode(c);
}

void emu_call_sysexit(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	uint16_t selector = (uint16_t)(s->msr_sysenter_cs & 0xfffc);
	bool to_64 = in->opsize == 8;
	uint64_t rip = s->gpr[X86_RDX], rsp = s->gpr[X86_RCX];

	need_sysenter_cs(c);
	emu_need_cpl0(c);
	if (to_64 && (!emu_is_canonical(s, rip) || !emu_is_canonical(s, rsp)))
		emu_gp(c);
	s->rip = to_64 ? rip : (uint32_t)rip;
	s->gpr[X86_RSP] = to_64 ? rsp : (uint32_t)rsp;
	s->rflags &= ~(uint64_t)X86_FLAG_RF;
	emu_set_flat_code(s, (uint16_t)(selector + (to_64 ? 32 : 16)), 3, to_64);
	emu_set_flat_stack(s, (uint16_t)(selector + (to_64 ? 40 : 24)), 3);
	s->cpl = 3;
	emu_update_mode(c);
}
