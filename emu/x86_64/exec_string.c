/* SPDX-License-Identifier: BSD-2-Clause */
/* MOVS, CMPS, STOS, LODS, SCAS and their repetition (SDM Vol. 2B, REP). */
#include "emu/x86_64/operand.h"

/* What one iteration does. */
#define READS_SI  0x1u /* loads DS:rSI */
#define READS_DI  0x2u /* loads ES:rDI */
#define WRITES_DI 0x4u /* stores ES:rDI */
#define COMPARES  0x8u

static unsigned steps_of(enum x86_op op)
{
	switch (op) {
	case X86_OP_MOVS: return READS_SI | WRITES_DI;
	case X86_OP_CMPS: return READS_SI | READS_DI | COMPARES;
	case X86_OP_STOS: return WRITES_DI;
	case X86_OP_LODS: return READS_SI;
	case X86_OP_SCAS:
	default: return READS_DI | COMPARES;
	}
}

static uint64_t pointer(const struct x86_emulate_ctx *ctx, unsigned gpr)
{
	return ctx->state->gpr[gpr] & alu_mask(ctx->insn.adsize);
}

static int load(struct x86_emulate_ctx *ctx, unsigned seg, unsigned gpr, uint64_t *v)
{
	unsigned width = ctx->insn.rm_width;
	gva_t address;
	int r = emu_operand_linear(ctx, seg, pointer(ctx, gpr), width, false, &address);

	return r ? r : emu_load(ctx, address, v, width, 0);
}

static int store(struct x86_emulate_ctx *ctx, uint64_t v)
{
	unsigned width = ctx->insn.rm_width;
	gva_t address;
	int r = emu_operand_linear(ctx, X86_ES, pointer(ctx, X86_RDI), width, true, &address);

	return r ? r : emu_store(ctx, address, v, width, 0);
}

static void advance(struct x86_emulate_ctx *ctx, unsigned gpr)
{
	uint64_t width = ctx->insn.rm_width;
	uint64_t step = ctx->state->rflags & X86_FLAG_DF ? -width : width;

	emu_set_reg(ctx, gpr, ctx->insn.adsize, ctx->state->gpr[gpr] + step);
}

static int iterate(struct x86_emulate_ctx *ctx, unsigned steps, uint64_t *flags)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->rm_width;
	uint64_t a = emu_get_reg(ctx, X86_RAX, width);
	uint64_t b;
	int r = 0;

	/* Of CMPS's operands CPUs read ES:rDI first, which shows when neither can be. */
	if (steps & READS_DI)
		r = load(ctx, X86_ES, X86_RDI, &b);
	if (!r && (steps & READS_SI))
		r = load(ctx, in->seg, X86_RSI, &a);
	if (!r && (steps & WRITES_DI))
		r = store(ctx, a);
	if (r)
		return r;
	if (steps & COMPARES)
		alu_sub(a, b, 0, width, flags);
	if (in->op == X86_OP_LODS)
		emu_set_reg(ctx, X86_RAX, width, a);
	if (steps & READS_SI)
		advance(ctx, X86_RSI);
	if (steps & (READS_DI | WRITES_DI))
		advance(ctx, X86_RDI);
	return 0;
}

/* REPE stops at ZF = 0, REPNE at ZF = 1; only CMPS and SCAS look. */
static bool condition_ends(const struct x86_emulate_ctx *ctx, unsigned steps, uint64_t flags)
{
	bool zf = flags & X86_FLAG_ZF;

	return (steps & COMPARES) && zf == !(ctx->insn.prefixes & X86_PFX_F3);
}

int emu_exec_string(struct x86_emulate_ctx *ctx)
{
	unsigned steps = steps_of((enum x86_op)ctx->insn.op);
	unsigned adsize = ctx->insn.adsize;
	uint64_t flags = ctx->state->rflags;
	unsigned most = ctx->repeat ? ctx->repeat : X86_REPEAT_MAX;

	if (!(ctx->insn.prefixes & (X86_PFX_F3 | X86_PFX_F2)))
		return iterate(ctx, steps, &ctx->state->rflags);
	for (unsigned i = 0; pointer(ctx, X86_RCX); i++) {
		int r = i == most ? X86_EMULATE_REPEAT : iterate(ctx, steps, &flags);

		if (r == X86_EMULATE_REPEAT)
			ctx->state->rflags = flags;
		if (r) /* a fault leaves the flags as they were before all iterations */
			return r;
		emu_set_reg(ctx, X86_RCX, adsize, ctx->state->gpr[X86_RCX] - 1);
		if (condition_ends(ctx, steps, flags))
			break;
	}
	ctx->state->rflags = flags;
	return 0;
}
