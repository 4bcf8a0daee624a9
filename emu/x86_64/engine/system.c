/* SPDX-License-Identifier: BSD-2-Clause */
#include "emu/x86_64/engine/engine.h"

static void halt(struct emu_cpu *c, const struct x86_insn *in)
{
	c->exit->reason = HC_EXIT_HALT;
	c->exit->next_pc = c->s->rip + in->length;
	emu_leave(c, NULL);
}

static void invlpg(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_tlb_flush_page(c, (in->base < X86_GPR_COUNT ? c->s->gpr[in->base] : 0) +
	                              (uint64_t)(int64_t)in->disp);
}

static void to_cr(struct emu_cpu *c, const struct x86_insn *in)
{
	c->exit->reason = HC_EXIT_CR_WRITE;
	c->exit->u.cr.number = in->reg;
	c->exit->u.cr.value = c->s->gpr[in->rm];
	c->exit->next_pc = c->s->rip + in->length;
	emu_leave(c, NULL);
}

static void sti(struct emu_cpu *c, const struct x86_insn *in)
{
	if (!(c->s->rflags & X86_FLAG_IF))
		c->s->events.interrupt_shadow = 1;
	c->s->rflags |= X86_FLAG_IF;
	emu_advance(c, in);
}

static void cpuid(struct emu_cpu *c, const struct x86_insn *in)
{
	c->exit->reason = HC_EXIT_CPUID;
	c->exit->next_pc = c->s->rip + in->length;
	emu_leave(c, NULL);
}

struct emu_call_row emu_system_call(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_HLT: return (struct emu_call_row){ halt, EMU_CALL_END };
	case X86_OP_INVLPG: return (struct emu_call_row){ invlpg, EMU_CALL };
	case X86_OP_MOV_TO_CR: return (struct emu_call_row){ to_cr, EMU_CALL_END };
	case X86_OP_STI: return (struct emu_call_row){ sti, EMU_CALL_END };
	case X86_OP_CPUID: return (struct emu_call_row){ cpuid, EMU_CALL_END };
	default: return (struct emu_call_row){ NULL, EMU_CALL };
	}
}
