/* SPDX-License-Identifier: BSD-2-Clause */
/* The stack: PUSH, POP and their like. */
#include "emu/x86_64/operand.h"

/* Bytes of the stack pointer in use (SDM Vol. 1 6.2.3). */
static unsigned stack_width(const struct x86_emulate_ctx *ctx)
{
	if (ctx->mode == X86_MODE_64)
		return 8;
	return ctx->state->seg[X86_SS].attr & X86_ATTR_DB ? 4 : 2;
}

int emu_exec_push(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->opsize;
	unsigned sp_width = stack_width(ctx);
	uint64_t sp = (ctx->state->gpr[X86_RSP] - width) & alu_mask(sp_width);
	uint64_t v = in->imm;
	gva_t top;
	int r = 0;

	if (in->form == X86_FORM_O)
		v = emu_get_reg(ctx, in->reg, width);
	else if (in->form == X86_FORM_M)
		r = emu_read_rm(ctx, width, &v);
	if (!r)
		r = emu_operand_linear(ctx, X86_SS, sp, width, true, &top);
	if (!r)
		r = emu_store(ctx, top, v, width, 0);
	if (!r)
		emu_set_reg(ctx, X86_RSP, sp_width, sp);
	return r;
}

/* An address based on rSP uses the value after the increment (SDM Vol. 2B, POP). */
int emu_exec_pop(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->opsize;
	unsigned sp_width = stack_width(ctx);
	uint64_t sp = ctx->state->gpr[X86_RSP] & alu_mask(sp_width);
	uint64_t v;
	gva_t top;
	int r = emu_operand_linear(ctx, X86_SS, sp, width, false, &top);

	if (!r)
		r = emu_load(ctx, top, &v, width, 0);
	if (!r && in->form == X86_FORM_M)
		r = emu_locate(ctx, width, true, in->base == X86_RSP ? width : 0);
	if (!r && in->is_mem)
		r = emu_write_rm(ctx, width, v);
	if (r)
		return r;
	emu_set_reg(ctx, X86_RSP, sp_width, sp + width);
	if (!in->is_mem)
		emu_set_reg(ctx, in->form == X86_FORM_O ? in->reg : in->rm, width, v);
	return 0;
}

/* --- PUSHA, POPA, ENTER, LEAVE --- */

/* What lies `offset` above rSP (or below: it wraps around). */
static int load_at(struct x86_emulate_ctx *ctx, uint64_t sp, uint64_t *v)
{
	unsigned width = ctx->insn.opsize;
	gva_t address;
	int r = emu_operand_linear(ctx, X86_SS, sp & alu_mask(stack_width(ctx)), width, false,
	                           &address);

	return r ? r : emu_load(ctx, address, v, width, 0);
}

static int store_at(struct x86_emulate_ctx *ctx, uint64_t sp, uint64_t v)
{
	unsigned width = ctx->insn.opsize;
	gva_t address;
	int r = emu_operand_linear(ctx, X86_SS, sp & alu_mask(stack_width(ctx)), width, true,
	                           &address);

	return r ? r : emu_store(ctx, address, v, width, 0);
}

int emu_exec_pusha(struct x86_emulate_ctx *ctx)
{
	unsigned width = ctx->insn.opsize;
	uint64_t sp = ctx->state->gpr[X86_RSP];

	for (unsigned i = 0; i < 8; i++) {
		int r = store_at(ctx, sp - (i + 1) * width, ctx->state->gpr[i]);

		if (r)
			return r;
	}
	emu_set_reg(ctx, X86_RSP, stack_width(ctx), sp - 8 * width);
	return 0;
}

/* rSP's own value is passed over (SDM Vol. 2B, POPA). */
int emu_exec_popa(struct x86_emulate_ctx *ctx)
{
	unsigned width = ctx->insn.opsize;
	uint64_t sp = ctx->state->gpr[X86_RSP];
	uint64_t v[8];

	for (unsigned i = 0; i < 8; i++) {
		int r = load_at(ctx, sp + i * width, &v[7 - i]);

		if (r)
			return r;
	}
	for (unsigned i = 0; i < 8; i++)
		if (i != X86_RSP)
			emu_set_reg(ctx, i, width, v[i]);
	emu_set_reg(ctx, X86_RSP, stack_width(ctx), sp + 8 * width);
	return 0;
}

/* The frame pointers of the enclosing levels, and the new one, below *sp (SDM Vol. 2A, ENTER). */
static int enter_levels(struct x86_emulate_ctx *ctx, unsigned levels, uint64_t frame, uint64_t *sp)
{
	unsigned width = ctx->insn.opsize;
	uint64_t bp = ctx->state->gpr[X86_RBP];
	uint64_t v;
	int r = 0;

	for (unsigned i = 1; i < levels && !r; i++) {
		bp -= width;
		*sp -= width;
		r = load_at(ctx, bp, &v);
		if (!r)
			r = store_at(ctx, *sp, v);
	}
	*sp -= width;
	return r ? r : store_at(ctx, *sp, frame);
}

int emu_exec_enter(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned levels = in->imm2 & 31;
	uint64_t sp = ctx->state->gpr[X86_RSP] - in->opsize;
	uint64_t frame = sp;
	uint64_t ignored;
	gva_t top;
	int r = store_at(ctx, sp, ctx->state->gpr[X86_RBP]);

	if (!r && levels)
		r = enter_levels(ctx, levels, frame, &sp);
	/* The new top of the stack has to be writable (SDM Vol. 2A, ENTER). */
	if (!r)
		r = emu_operand_linear(ctx, X86_SS, (sp - in->imm) & alu_mask(stack_width(ctx)),
		                       in->opsize, true, &top);
	if (!r)
		r = emu_load(ctx, top, &ignored, in->opsize, X86_ACCESS_RMW);
	if (r)
		return r;
	emu_set_reg(ctx, X86_RBP, stack_width(ctx), frame);
	emu_set_reg(ctx, X86_RSP, stack_width(ctx), sp - in->imm);
	return 0;
}

int emu_exec_leave(struct x86_emulate_ctx *ctx)
{
	unsigned width = ctx->insn.opsize;
	uint64_t bp = ctx->state->gpr[X86_RBP];
	uint64_t v;
	int r = load_at(ctx, bp, &v);

	if (r)
		return r;
	emu_set_reg(ctx, X86_RSP, stack_width(ctx), bp + width);
	emu_set_reg(ctx, X86_RBP, width, v);
	return 0;
}
