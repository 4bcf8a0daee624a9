/* SPDX-License-Identifier: BSD-2-Clause */
/* PUSH, POP and LEAVE of 8 bytes, and the stack for functions. */
#include "emu/x86_64/address.h"
#include "emu/x86_64/engine/uop.h"

/* --- For functions --- */

/* Bytes of the stack pointer in use (SDM Vol. 1 6.2.3). */
static unsigned stack_width(const struct emu_cpu *c)
{
	if (c->mode & EMU_MODE_64)
		return 8;
	return c->mode & EMU_MODE_SS32 ? 4 : 2;
}

static void set_sp(struct emu_cpu *c, uint64_t sp)
{
	unsigned width = stack_width(c);
	uint64_t mask = alu_mask(width);

	c->s->gpr[X86_RSP] = (width == 2 ? c->s->gpr[X86_RSP] & ~mask : 0) | (sp & mask);
}

void emu_push(struct emu_cpu *c, uint64_t v, unsigned width)
{
	uint64_t sp = (c->s->gpr[X86_RSP] - width) & alu_mask(stack_width(c));

	emu_store_slow(c, NULL, emu_linear(c, NULL, X86_SS, sp, width, EMU_WRITE), v, width);
	set_sp(c, sp);
}

uint64_t emu_top(struct emu_cpu *c, unsigned skip, unsigned width)
{
	uint64_t sp = (c->s->gpr[X86_RSP] + skip) & alu_mask(stack_width(c));

	return emu_load_slow(c, NULL, emu_linear(c, NULL, X86_SS, sp, width, EMU_READ), width);
}

void emu_drop(struct emu_cpu *c, uint64_t n)
{
	set_sp(c, c->s->gpr[X86_RSP] + n);
}

uint64_t emu_insn_read(struct emu_cpu *c, const struct x86_insn *in, unsigned width)
{
	if (!in->is_mem)
		return c->s->gpr[in->rm] & alu_mask(width);
	return emu_load_slow(
		c, NULL,
		emu_linear(c, NULL, in->seg, x86_effective_address(c->s, in, 0), width, EMU_READ),
		width);
}

/* --- Handlers, for 64-bit mode --- */

#define PUSH(name, v)                                                                              \
	UOP(name)                                                                                  \
	{                                                                                          \
		uint64_t va = s->gpr[X86_RSP] - 8;                                                 \
		UOP_WRITABLE(p, 64, va);                                                           \
		*p = (v);                                                                          \
		s->gpr[X86_RSP] = va;                                                              \
		EMU_NEXT(c, u, s);                                                                 \
	}
PUSH(push_r, EMU_R64(s, u->src))
PUSH(push_i, uop_imm(u))

/* RSP itself is loaded after it was added to. */
UOP(pop_r)
{
	uint64_t va = s->gpr[X86_RSP];
	UOP_READABLE(p, 64, va);

	s->gpr[X86_RSP] = va + 8;
	EMU_R64(s, u->dst) = *p;
	EMU_NEXT(c, u, s);
}

UOP(push_m)
{
	uint64_t from = uop_full(c, u, s);
	uint64_t va = s->gpr[X86_RSP] - 8;
	const struct emu_tlb_entry *e = emu_tlb_of(c, va);
	UOP_READABLE(p, 64, from);

	if (!emu_tlb_hit(c, e->write, va, 8)) /* u->seg is not SS */
		return emu_interpret(c, u, s);
	*(uop_mem64 *)(uintptr_t)(va + e->addend) = *p;
	s->gpr[X86_RSP] = va;
	EMU_NEXT(c, u, s);
}

UOP(leave)
{
	uint64_t va = s->gpr[X86_RBP];
	UOP_READABLE(p, 64, va);

	s->gpr[X86_RSP] = va + 8;
	s->gpr[X86_RBP] = *p;
	EMU_NEXT(c, u, s);
}

static bool emit(struct emu_builder *b, emu_fn *fn, unsigned reg, uint64_t imm)
{
	struct emu_uop *u = emu_emit(b, fn);

	if (!u)
		return false;
	u->seg = X86_SS;
	u->dst = u->src = EMU_GPR(reg);
	u->imm = (int32_t)imm;
	return true;
}

static bool is_wide(const struct emu_builder *b, const struct x86_insn *in)
{
	return uop_mode64(b) && in->opsize == 8;
}

bool uop_tr_push(struct emu_builder *b, const struct x86_insn *in)
{
	enum uop_ea kind;
	struct emu_uop *u;

	if (!is_wide(b, in) || (in->is_mem && (in->adsize != 8 || !uop_has_ea(b, in))))
		return uop_emit_generic(b, in);
	if (!in->is_mem)
		return emit(b, in->form == X86_FORM_I ? push_i : push_r,
		            in->form == X86_FORM_O ? in->reg : in->rm, in->imm);
	u = uop_emit_mem(b, in, true, &kind);
	if (u)
		u->fn = push_m;
	return u;
}

bool uop_tr_pop(struct emu_builder *b, const struct x86_insn *in)
{
	if (!is_wide(b, in) || in->is_mem)
		return uop_emit_generic(b, in);
	return emit(b, pop_r, in->form == X86_FORM_O ? in->reg : in->rm, 0);
}

bool uop_tr_leave(struct emu_builder *b, const struct x86_insn *in)
{
	return is_wide(b, in) ? emit(b, leave, 0, 0) : uop_emit_generic(b, in);
}
