/* SPDX-License-Identifier: BSD-2-Clause */
/* LEA, extensions of the accumulator, flags, XLAT, BOUND, and decimal arithmetic. */
#include "emu/x86_64/address.h"
#include "emu/x86_64/operand.h"

int emu_exec_nop(struct x86_emulate_ctx *ctx)
{
	return 0;
}

int emu_exec_lea(struct x86_emulate_ctx *ctx)
{
	emu_set_reg(ctx, ctx->insn.reg, ctx->insn.reg_width,
	            x86_effective_address(ctx->state, &ctx->insn, 0));
	return 0;
}

/* Of 16 bits the result is undefined; CPUs give 0. */
int emu_exec_bswap(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	uint64_t v = emu_get_reg(ctx, in->reg, in->reg_width);

	emu_set_reg(ctx, in->reg, in->reg_width,
	            in->reg_width == 2 ? 0 : alu_byte_swap(v, in->reg_width));
	return 0;
}

/* CBW, CWDE, CDQE; CWD, CDQ, CQO */
int emu_exec_widen(struct x86_emulate_ctx *ctx)
{
	unsigned width = ctx->insn.opsize;
	uint64_t a = ctx->state->gpr[X86_RAX];

	if (ctx->insn.op == X86_OP_CBW)
		emu_set_reg(ctx, X86_RAX, width, alu_sign_extend(a, width / 2));
	else
		emu_set_reg(ctx, X86_RDX, width, -alu_msb(a, width));
	return 0;
}

/* SF, ZF, AF, PF, CF: what AH holds (SDM Vol. 2A, LAHF). */
#define LOW_FLAGS (ALU_FLAGS & 0xff)

int emu_exec_flag(struct x86_emulate_ctx *ctx)
{
	uint64_t *flags = &ctx->state->rflags;
	uint64_t *rax = &ctx->state->gpr[X86_RAX];

	switch (ctx->insn.op) {
	case X86_OP_CLC: *flags &= ~(uint64_t)X86_FLAG_CF; break;
	case X86_OP_STC: *flags |= X86_FLAG_CF; break;
	case X86_OP_CMC: *flags ^= X86_FLAG_CF; break;
	case X86_OP_CLD: *flags &= ~(uint64_t)X86_FLAG_DF; break;
	case X86_OP_STD: *flags |= X86_FLAG_DF; break;
	case X86_OP_SAHF: *flags = (*flags & ~LOW_FLAGS) | (*rax >> 8 & LOW_FLAGS); break;
	case X86_OP_LAHF:
	default:
		*rax = (*rax & ~UINT64_C(0xff00)) | ((*flags & LOW_FLAGS) | X86_FLAG_1) << 8;
		break;
	}
	return 0;
}

int emu_exec_xlat(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	const uint64_t *gpr = ctx->state->gpr;
	uint64_t offset = (gpr[X86_RBX] + (gpr[X86_RAX] & 0xff)) & alu_mask(in->adsize);
	gva_t address;
	uint64_t v;
	int r = emu_operand_linear(ctx, in->seg, offset, 1, false, &address);

	if (!r)
		r = emu_load(ctx, address, &v, 1, 0);
	if (!r)
		emu_set_reg(ctx, X86_RAX, 1, v);
	return r;
}

/* #BR unless lower <= index <= upper, all signed. */
int emu_exec_bound(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->opsize;
	int64_t index = (int64_t)alu_sign_extend(ctx->state->gpr[in->reg], width);
	uint64_t lower, upper;
	int r = emu_locate(ctx, width, false, 0);

	if (!r)
		r = emu_load(ctx, ctx->operand, &lower, width, 0);
	if (!r && index < (int64_t)alu_sign_extend(lower, width))
		return emu_fault(ctx, X86_VEC_BR);
	if (!r)
		r = emu_locate(ctx, width, false, width);
	if (!r)
		r = emu_load(ctx, ctx->operand, &upper, width, 0);
	if (r)
		return r;
	if (index > (int64_t)alu_sign_extend(upper, width))
		return emu_fault(ctx, X86_VEC_BR);
	return 0;
}

/* --- Decimal arithmetic (SDM Vol. 2A, AAA to AAS; Vol. 2A/B, DAA, DAS) --- */

/* PF, ZF, SF of AL; CF and AF as given; OF, which is undefined, is cleared. */
static void set_decimal_flags(struct x86_emulate_ctx *ctx, bool cf, bool af)
{
	uint64_t *flags = &ctx->state->rflags;

	alu_logic(ctx->state->gpr[X86_RAX], 1, flags);
	*flags |= (cf ? X86_FLAG_CF : 0u) | (af ? X86_FLAG_AF : 0u);
}

/* AAA, AAS */
int emu_exec_ascii_adjust(struct x86_emulate_ctx *ctx)
{
	uint64_t ax = ctx->state->gpr[X86_RAX] & 0xffff;
	bool adjust = (ax & 0xf) > 9 || ctx->state->rflags & X86_FLAG_AF;

	if (adjust)
		ax = ctx->insn.op == X86_OP_AAA ? ax + 0x106 : ax - 0x106;
	emu_set_reg(ctx, X86_RAX, 2, ax & 0xff0f);
	set_decimal_flags(ctx, adjust, adjust);
	return 0;
}

/* DAA, DAS */
int emu_exec_decimal_adjust(struct x86_emulate_ctx *ctx)
{
	uint64_t flags = ctx->state->rflags;
	uint64_t al = ctx->state->gpr[X86_RAX] & 0xff;
	bool low = (al & 0xf) > 9 || flags & X86_FLAG_AF;
	bool high = al > 0x99 || flags & X86_FLAG_CF;
	uint64_t by = (low ? 6u : 0u) + (high ? 0x60u : 0u);
	bool cf = high;

	if (ctx->insn.op == X86_OP_DAS && low && al < 6)
		cf = true;
	emu_set_reg(ctx, X86_RAX, 1, ctx->insn.op == X86_OP_DAA ? al + by : al - by);
	set_decimal_flags(ctx, cf, low);
	return 0;
}

/* AAM, AAD by the immediate. */
int emu_exec_ascii_multiply(struct x86_emulate_ctx *ctx)
{
	uint64_t base = ctx->insn.imm & 0xff;
	uint64_t al = ctx->state->gpr[X86_RAX] & 0xff;
	uint64_t ah = ctx->state->gpr[X86_RAX] >> 8 & 0xff;

	if (ctx->insn.op == X86_OP_AAD)
		emu_set_reg(ctx, X86_RAX, 2, (al + ah * base) & 0xff);
	else if (!base)
		return emu_fault(ctx, X86_VEC_DE);
	else
		emu_set_reg(ctx, X86_RAX, 2, (al / base) << 8 | al % base);
	set_decimal_flags(ctx, false, false);
	return 0;
}

int emu_exec_salc(struct x86_emulate_ctx *ctx)
{
	emu_set_reg(ctx, X86_RAX, 1, ctx->state->rflags & X86_FLAG_CF ? 0xff : 0);
	return 0;
}
