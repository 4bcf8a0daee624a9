/* SPDX-License-Identifier: BSD-2-Clause */
/* Moves and exchanges. */
#include "emu/x86_64/operand.h"

#include <hypercore/freestanding.h>

static int mov_load(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->reg_width;
	uint64_t v;
	int r;

	if (in->form == X86_FORM_RM) {
		r = emu_read_rm(ctx, width, &v);
	} else {
		r = emu_locate(ctx, width, false, 0);
		if (!r)
			r = emu_load(ctx, ctx->operand, &v, width, 0);
	}
	if (!r)
		emu_set_reg(ctx, in->reg, width, v); /* moffs: reg is 0, the accumulator */
	return r;
}

int emu_exec_mov(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->rm_width ? in->rm_width : in->reg_width;
	uint64_t v = in->imm;
	int r;

	if (in->form == X86_FORM_RM || in->form == X86_FORM_FD)
		return mov_load(ctx);
	switch ((enum x86_form)in->form) {
	case X86_FORM_OI: emu_set_reg(ctx, in->reg, width, v); return 0;
	case X86_FORM_MR:
	case X86_FORM_TD: v = emu_get_reg(ctx, in->reg, width); break;
	case X86_FORM_MI:
	default: break;
	}
	r = emu_locate(ctx, width, true, 0);
	if (r)
		return r;
	if (in->form == X86_FORM_TD)
		return emu_store(ctx, ctx->operand, v, width, 0);
	return emu_write_rm(ctx, width, v);
}

/* MOVZX, MOVSX, MOVSXD */
int emu_exec_extend(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	uint64_t v;
	int r = emu_read_rm(ctx, in->rm_width, &v);

	if (r)
		return r;
	if (in->op != X86_OP_MOVZX)
		v = alu_sign_extend(v, in->rm_width);
	emu_set_reg(ctx, in->reg, in->reg_width, v);
	return 0;
}

int emu_exec_movbe(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->rm_width;
	uint64_t v;
	int r;

	if (in->form == X86_FORM_RM) {
		r = emu_read_rm(ctx, width, &v);
		if (!r)
			emu_set_reg(ctx, in->reg, width, alu_byte_swap(v, width));
		return r;
	}
	r = emu_locate(ctx, width, true, 0);
	if (r)
		return r;
	return emu_write_rm(ctx, width, alu_byte_swap(emu_get_reg(ctx, in->reg, width), width));
}

int emu_exec_mov_from_sreg(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	int r = emu_locate(ctx, in->rm_width, true, 0);

	return r ? r : emu_write_rm(ctx, in->rm_width, ctx->state->seg[in->reg & 7].selector);
}

/* With memory, locked even without the prefix (SDM Vol. 2D, XCHG). */
int emu_exec_xchg(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->reg_width;
	uint64_t reg = emu_get_reg(ctx, in->reg, width);
	uint64_t v;
	int r;

	if (in->form == X86_FORM_O) {
		if (in->reg == X86_RAX) /* NOP: not even 32 bits are zero-extended */
			return 0;
		v = emu_get_reg(ctx, X86_RAX, width);
		emu_set_reg(ctx, X86_RAX, width, reg);
		emu_set_reg(ctx, in->reg, width, v);
		return 0;
	}
	ctx->access |= X86_ACCESS_LOCKED;
	r = emu_rmw_rm(ctx, width, &v);
	if (!r)
		r = emu_write_rm(ctx, width, reg);
	if (!r)
		emu_set_reg(ctx, in->reg, width, v);
	return r;
}

int emu_exec_xadd(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->reg_width;
	uint64_t flags = ctx->state->rflags;
	uint64_t sum, v;
	int r = emu_rmw_rm(ctx, width, &v);

	if (r)
		return r;
	sum = alu_add(v, emu_get_reg(ctx, in->reg, width), 0, width, &flags);
	/* With two registers the sum, which goes to r/m, is written last. */
	if (in->is_mem) {
		r = emu_write_rm(ctx, width, sum);
		if (r)
			return r;
		emu_set_reg(ctx, in->reg, width, v);
	} else {
		emu_set_reg(ctx, in->reg, width, v);
		emu_set_reg(ctx, in->rm, width, sum);
	}
	ctx->state->rflags = flags;
	return 0;
}

/* A destination in memory is written in either case (SDM Vol. 2A, CMPXCHG); a register is not: the
 * upper half of a 32-bit one stays as it was. */
int emu_exec_cmpxchg(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->reg_width;
	uint64_t flags = ctx->state->rflags;
	uint64_t accumulator = emu_get_reg(ctx, X86_RAX, width);
	bool equal;
	uint64_t v;
	int r = emu_rmw_rm(ctx, width, &v);

	if (r)
		return r;
	alu_sub(accumulator, v, 0, width, &flags);
	equal = flags & X86_FLAG_ZF;
	if (in->is_mem || equal)
		r = emu_write_rm(ctx, width, equal ? emu_get_reg(ctx, in->reg, width) : v);
	if (r)
		return r;
	if (!equal)
		emu_set_reg(ctx, X86_RAX, width, v);
	ctx->state->rflags = flags;
	return 0;
}

/* CMPXCHG8B and CMPXCHG16B: rDX:rAX against memory, rCX:rBX the replacement. */
int emu_exec_cmpxchg_pair(struct x86_emulate_ctx *ctx)
{
	unsigned width = ctx->insn.rm_width;
	unsigned half = width / 2;
	uint8_t memory[16], replacement[16];
	uint64_t low = 0, high = 0;
	uint64_t *gpr = ctx->state->gpr;
	bool equal;
	int r = emu_locate(ctx, width, true, 0);

	if (r)
		return r;
	if (width == 16 && (ctx->operand.v & 15))
		return emu_fault_code(ctx, X86_VEC_GP, 0);
	r = ctx->ops->read(ctx->opaque, ctx->operand, memory, width, X86_ACCESS_RMW | ctx->access,
	                   &ctx->fault);
	if (r)
		return r;
	memcpy(&low, memory, half);
	memcpy(&high, memory + half, half);
	equal = low == (gpr[X86_RAX] & alu_mask(half)) && high == (gpr[X86_RDX] & alu_mask(half));
	memcpy(replacement, &gpr[X86_RBX], half);
	memcpy(replacement + half, &gpr[X86_RCX], half);
	r = ctx->ops->write(ctx->opaque, ctx->operand, equal ? replacement : memory, width,
	                    ctx->access, &ctx->fault);
	if (r)
		return r;
	ctx->state->rflags &= ~(uint64_t)X86_FLAG_ZF;
	if (equal) {
		ctx->state->rflags |= X86_FLAG_ZF;
	} else {
		emu_set_reg(ctx, X86_RAX, half, low);
		emu_set_reg(ctx, X86_RDX, half, high);
	}
	return 0;
}

int emu_exec_setcc(struct x86_emulate_ctx *ctx)
{
	int r = emu_locate(ctx, 1, true, 0);

	if (r)
		return r;
	return emu_write_rm(ctx, 1, alu_condition(ctx->insn.opcode & 0xf, ctx->state->rflags));
}

/* The source is read, and a 32-bit destination's upper half cleared, in either case. */
int emu_exec_cmovcc(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->reg_width;
	uint64_t v;
	int r = emu_read_rm(ctx, width, &v);

	if (r)
		return r;
	if (!alu_condition(in->opcode & 0xf, ctx->state->rflags))
		v = emu_get_reg(ctx, in->reg, width);
	emu_set_reg(ctx, in->reg, width, v);
	return 0;
}
