/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic, logic, shifts, bits. What they compute is in alu.c. */
#include <hypercore/errno.h>

#include "emu/x86_64/operand.h"

/* The operand that is only read: immediate, or register for MR. */
static uint64_t source(const struct x86_emulate_ctx *ctx, unsigned width)
{
	const struct x86_insn *in = &ctx->insn;

	if (in->form == X86_FORM_MR)
		return emu_get_reg(ctx, in->reg, width);
	return in->imm;
}

/* The destination is a register, r/m the source: RM; or the accumulator and an immediate: I. */
static int binary_to_reg(struct x86_emulate_ctx *ctx, bool store)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->reg_width;
	uint64_t b = in->imm;
	uint64_t v;
	int r = in->form == X86_FORM_RM ? emu_read_rm(ctx, width, &b) : 0;

	if (r)
		return r;
	v = alu_binary((enum x86_op)in->op, emu_get_reg(ctx, in->reg, width), b, width,
	               &ctx->state->rflags);
	if (store)
		emu_set_reg(ctx, in->reg, width, v);
	return 0;
}

/* ADD, OR, ADC, SBB, AND, SUB, XOR */
int emu_exec_binary(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->rm_width;
	uint64_t flags = ctx->state->rflags;
	uint64_t v;
	int r;

	if (in->form == X86_FORM_RM || in->form == X86_FORM_I)
		return binary_to_reg(ctx, true);
	r = emu_rmw_rm(ctx, width, &v);
	if (r)
		return r;
	v = alu_binary((enum x86_op)in->op, v, source(ctx, width), width, &flags);
	r = emu_write_rm(ctx, width, v);
	if (!r)
		ctx->state->rflags = flags;
	return r;
}

/* CMP, TEST */
int emu_exec_compare(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->rm_width;
	uint64_t v;
	int r;

	if (in->form == X86_FORM_RM || in->form == X86_FORM_I)
		return binary_to_reg(ctx, false);
	r = emu_read_rm(ctx, width, &v);
	if (!r)
		alu_binary((enum x86_op)in->op, v, source(ctx, width), width, &ctx->state->rflags);
	return r;
}

/* Reads r/m, writes compute()'s result to it and then the flags. */
typedef uint64_t compute_fn(const struct x86_emulate_ctx *ctx, uint64_t v, uint64_t *flags);

static int modify(struct x86_emulate_ctx *ctx, compute_fn *compute)
{
	unsigned width = ctx->insn.rm_width;
	uint64_t flags = ctx->state->rflags;
	uint64_t v;
	int r = emu_rmw_rm(ctx, width, &v);

	if (r)
		return r;
	v = compute(ctx, v, &flags);
	r = emu_write_rm(ctx, width, v);
	if (!r)
		ctx->state->rflags = flags;
	return r;
}

static uint64_t compute_unary(const struct x86_emulate_ctx *ctx, uint64_t v, uint64_t *flags)
{
	return alu_unary((enum x86_op)ctx->insn.op, v, ctx->insn.rm_width, flags);
}

/* INC, DEC, NEG, NOT; INC and DEC also in their one-byte forms. */
int emu_exec_unary(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->reg_width;
	uint64_t v;

	if (in->form != X86_FORM_O)
		return modify(ctx, compute_unary);
	v = alu_unary((enum x86_op)in->op, emu_get_reg(ctx, in->reg, width), width,
	              &ctx->state->rflags);
	emu_set_reg(ctx, in->reg, width, v);
	return 0;
}

static unsigned shift_count(const struct x86_emulate_ctx *ctx)
{
	switch ((enum x86_form)ctx->insn.form) {
	case X86_FORM_M1: return 1;
	case X86_FORM_MC:
	case X86_FORM_MRC: return ctx->state->gpr[X86_RCX] & 0xff;
	default: return (unsigned)ctx->insn.imm & 0xff;
	}
}

static uint64_t compute_shift(const struct x86_emulate_ctx *ctx, uint64_t v, uint64_t *flags)
{
	const struct x86_insn *in = &ctx->insn;

	return alu_shift((enum x86_op)in->op, v, shift_count(ctx), in->rm_width, flags);
}

/* Group 2 */
int emu_exec_shift(struct x86_emulate_ctx *ctx)
{
	return modify(ctx, compute_shift);
}

static uint64_t compute_double_shift(const struct x86_emulate_ctx *ctx, uint64_t v, uint64_t *flags)
{
	const struct x86_insn *in = &ctx->insn;

	return alu_double_shift((enum x86_op)in->op, v, emu_get_reg(ctx, in->reg, in->reg_width),
	                        shift_count(ctx), in->rm_width, flags);
}

/* SHLD, SHRD */
int emu_exec_double_shift(struct x86_emulate_ctx *ctx)
{
	return modify(ctx, compute_double_shift);
}

/*
 * BT, BTS, BTR, BTC. A bit offset in a register is signed and selects any operand-sized word around
 * the effective address; an immediate one stays within the operand (SDM Vol. 2A 3.1.1.9 and BT).
 */
int emu_exec_bit(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->rm_width;
	uint64_t offset = source(ctx, width);
	unsigned bit = (unsigned)offset & (alu_bits(width) - 1);
	bool store = in->op != X86_OP_BT;
	uint64_t flags = ctx->state->rflags;
	uint64_t bias = 0;
	uint64_t v;
	int r;

	if (in->form == X86_FORM_MR)
		bias = (uint64_t)((int64_t)alu_sign_extend(offset, width) >> 3) &
		       ~(uint64_t)(width - 1);
	if (in->is_mem) {
		r = emu_locate(ctx, width, store, bias);
		if (!r)
			r = emu_load(ctx, ctx->operand, &v, width,
			             store ? X86_ACCESS_RMW | ctx->access : 0);
	} else {
		r = emu_read_rm(ctx, width, &v);
	}
	if (r)
		return r;
	v = alu_bit((enum x86_op)in->op, v, bit, &flags);
	if (store)
		r = emu_write_rm(ctx, width, v);
	if (!r)
		ctx->state->rflags = flags;
	return r;
}

/* BSF, BSR, TZCNT, LZCNT, POPCNT */
int emu_exec_scan(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->reg_width;
	bool keeps = in->op == X86_OP_BSF || in->op == X86_OP_BSR;
	uint64_t src, v;
	int r = emu_read_rm(ctx, width, &src);

	if (r)
		return r;
	v = alu_scan((enum x86_op)in->op, src, emu_get_reg(ctx, in->reg, width), width,
	             &ctx->state->rflags);
	/* BSF and BSR of 0 leave the whole destination (APM Vol. 3, BSF). */
	if (src || !keeps)
		emu_set_reg(ctx, in->reg, width, v);
	return 0;
}

/* rDX:rAX, or AX for bytes, as SDM Vol. 2 has it for MUL, DIV and the like. */
static void set_double_accumulator(struct x86_emulate_ctx *ctx, unsigned width, uint64_t high,
                                   uint64_t low)
{
	if (width == 1) {
		emu_set_reg(ctx, X86_RAX, 2, high << 8 | low);
		return;
	}
	emu_set_reg(ctx, X86_RAX, width, low);
	emu_set_reg(ctx, X86_RDX, width, high);
}

/* MUL and the three forms of IMUL */
int emu_exec_multiply(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->rm_width;
	uint64_t a = in->imm;
	uint64_t b, high, low;
	int r = emu_read_rm(ctx, width, &b);

	if (r)
		return r;
	if (in->form == X86_FORM_M)
		a = emu_get_reg(ctx, X86_RAX, width);
	else if (in->form == X86_FORM_RM)
		a = emu_get_reg(ctx, in->reg, width);
	low = alu_multiply((enum x86_op)in->op, a, b, width, &high, &ctx->state->rflags);
	if (in->form == X86_FORM_M)
		set_double_accumulator(ctx, width, high, low);
	else
		emu_set_reg(ctx, in->reg, width, low);
	return 0;
}

/* DIV, IDIV */
int emu_exec_divide(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->rm_width;
	uint64_t low = emu_get_reg(ctx, X86_RAX, width);
	uint64_t high = emu_get_reg(ctx, X86_RDX, width);
	uint64_t b, quotient, rest;
	int r = emu_read_rm(ctx, width, &b);

	if (r)
		return r;
	if (width == 1)
		high = ctx->state->gpr[X86_RAX] >> 8 & 0xff;
	if (alu_divide((enum x86_op)in->op, high, low, b, width, &quotient, &rest))
		return emu_fault(ctx, X86_VEC_DE);
	set_double_accumulator(ctx, width, rest, quotient);
	return 0;
}
