/* SPDX-License-Identifier: BSD-2-Clause */
/* PUSHF, POPF, CLI, STI, CLAC, STAC (SDM Vol. 2; IOPL: Vol. 1 18.5.1, VM-86: Vol. 3B 20.2.8). */
#include "emu/x86_64/engine/system.h"

/* What POPF loads at any privilege level. */
#define POPF_16 (ALU_FLAGS | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT)
#define POPF_32 ((uint64_t)(X86_FLAG_AC | X86_FLAG_ID))

/* Virtual-8086 mode without its extensions, which are not offered: IOPL 3 or #GP(0). */
static void check_vm86(struct emu_cpu *c)
{
	if (EMU_UNLIKELY(emu_is_vm86(c->s)) && emu_iopl(c->s) < 3)
		emu_gp(c);
}

void emu_call_pushf(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_stack st = emu_present_stack(c);
	uint64_t image = c->s->rflags & ~(uint64_t)(X86_FLAG_VM | X86_FLAG_RF);

	check_vm86(c);
	emu_push_words(c, &st, &image, 1, in->opsize);
	emu_set_sp(c->s, &st);
}

static uint64_t popf_mask(const struct x86_state *s, unsigned width)
{
	uint64_t mask = width > 2 ? POPF_16 | POPF_32 : POPF_16;

	if (s->cpl <= emu_iopl(s))
		mask |= X86_FLAG_IF;
	if (s->cpl == 0)
		mask |= X86_FLAG_IOPL;
	return mask;
}

void emu_call_popf(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_stack st = emu_present_stack(c);
	struct x86_state *s = c->s;
	uint64_t image, mask, old = s->rflags;

	check_vm86(c);
	emu_pop_words(c, &st, &image, 1, in->opsize);
	emu_set_sp(s, &st);
	mask = popf_mask(s, in->opsize);
	s->rflags = (old & ~mask) | (image & mask);
	if ((old ^ s->rflags) & X86_FLAG_TF)
		emu_update_mode(c);
	if ((old ^ s->rflags) & X86_FLAG_AC)
		emu_update_tag(c);
	emu_advance(c, in);
}

/* CPL is 3 in virtual-8086 mode and 0 in real mode: one comparison serves all. */
static void need_iopl(struct emu_cpu *c)
{
	if (EMU_UNLIKELY(c->s->cpl > emu_iopl(c->s)))
		emu_gp(c);
}

void emu_call_cli(struct emu_cpu *c, const struct x86_insn *in)
{
	need_iopl(c);
	c->s->rflags &= ~(uint64_t)X86_FLAG_IF;
}

/* Interrupts wait for one more instruction, if they were off. */
void emu_call_sti(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;

	need_iopl(c);
	if (!(s->rflags & X86_FLAG_IF))
		s->events.interrupt_shadow = EMU_SHADOW_STI;
	s->rflags |= X86_FLAG_IF;
	emu_advance(c, in);
}

static void set_ac(struct emu_cpu *c, uint64_t ac)
{
	if (c->s->cpl)
		emu_ud(c);
	c->s->rflags = (c->s->rflags & ~(uint64_t)X86_FLAG_AC) | ac;
	emu_update_tag(c);
}

void emu_call_clac(struct emu_cpu *c, const struct x86_insn *in)
{
	set_ac(c, 0);
}

void emu_call_stac(struct emu_cpu *c, const struct x86_insn *in)
{
	set_ac(c, X86_FLAG_AC);
}
