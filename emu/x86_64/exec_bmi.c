/* SPDX-License-Identifier: BSD-2-Clause */
/* BMI1, BMI2, ADX, CRC32. With a VEX prefix there is a third operand, VEX.vvvv. */
#include "emu/x86_64/operand.h"

/* VEX is not known in real and virtual-8086 mode, and VEX.L is 0 (SDM Vol. 2A 2.3.1, 2.5.1). */
static int read_vex(struct x86_emulate_ctx *ctx, uint64_t *v)
{
	const struct x86_state *s = ctx->state;

	if (!(s->cr0 & X86_CR0_PE) || s->rflags & X86_FLAG_VM || ctx->insn.vex & X86_VEX_L)
		return emu_fault(ctx, X86_VEC_UD);
	return emu_read_rm(ctx, ctx->insn.rm_width, v);
}

static uint64_t vvvv(const struct x86_emulate_ctx *ctx)
{
	return emu_get_reg(ctx, ctx->insn.vvvv, ctx->insn.rm_width);
}

/* Flags as of a logic instruction, but CF. */
static void set_flags(struct x86_emulate_ctx *ctx, uint64_t r, bool cf)
{
	alu_logic(r, ctx->insn.rm_width, &ctx->state->rflags);
	if (cf)
		ctx->state->rflags |= X86_FLAG_CF;
}

int emu_exec_andn(struct x86_emulate_ctx *ctx)
{
	uint64_t v = 0;
	int r = read_vex(ctx, &v);

	if (r)
		return r;
	v &= ~vvvv(ctx);
	set_flags(ctx, v, false);
	emu_set_reg(ctx, ctx->insn.reg, ctx->insn.reg_width, v);
	return 0;
}

/* BLSR, BLSMSK, BLSI: the destination is vvvv. */
int emu_exec_lowest_bit(struct x86_emulate_ctx *ctx)
{
	uint64_t v = 0, result;
	int r = read_vex(ctx, &v);

	if (r)
		return r;
	switch (ctx->insn.op) {
	case X86_OP_BLSR: result = v & (v - 1); break;
	case X86_OP_BLSMSK: result = v ^ (v - 1); break;
	case X86_OP_BLSI:
	default: result = v & -v; break;
	}
	set_flags(ctx, result, ctx->insn.op == X86_OP_BLSI ? v != 0 : v == 0);
	emu_set_reg(ctx, ctx->insn.vvvv, ctx->insn.rm_width, result);
	return 0;
}

static uint64_t low_bits(uint64_t v, unsigned n)
{
	return n < 64 ? v & ~(~UINT64_C(0) << n) : v;
}

/* BEXTR: from the bit that vvvv's first byte says, as many as the second; BZHI: the lowest. */
int emu_exec_bit_field(struct x86_emulate_ctx *ctx)
{
	unsigned bits = alu_bits(ctx->insn.rm_width);
	unsigned first, second;
	uint64_t v = 0;
	bool cf = false;
	int r = read_vex(ctx, &v);

	if (r)
		return r;
	first = vvvv(ctx) & 0xff;
	second = vvvv(ctx) >> 8 & 0xff;
	if (ctx->insn.op == X86_OP_BEXTR) {
		v = first < bits ? low_bits(v >> first, second) : 0;
	} else {
		cf = first >= bits;
		v = low_bits(v, first);
	}
	set_flags(ctx, v, cf);
	emu_set_reg(ctx, ctx->insn.reg, ctx->insn.reg_width, v);
	return 0;
}

/* The lowest bits of v to where mask has ones, and back. */
static uint64_t deposit(uint64_t v, uint64_t mask)
{
	uint64_t r = 0;

	for (; mask; mask &= mask - 1, v >>= 1)
		r |= v & 1 ? mask & -mask : 0;
	return r;
}

static uint64_t extract(uint64_t v, uint64_t mask)
{
	uint64_t r = 0;

	for (unsigned i = 0; mask; mask &= mask - 1, i++)
		r |= v & mask & -mask ? UINT64_C(1) << i : 0;
	return r;
}

/* PDEP, PEXT */
int emu_exec_deposit(struct x86_emulate_ctx *ctx)
{
	uint64_t mask = 0;
	int r = read_vex(ctx, &mask);

	if (r)
		return r;
	emu_set_reg(ctx, ctx->insn.reg, ctx->insn.reg_width,
	            ctx->insn.op == X86_OP_PDEP ? deposit(vvvv(ctx), mask)
	                                        : extract(vvvv(ctx), mask));
	return 0;
}

/* SARX, SHLX, SHRX by vvvv, RORX by an immediate: no flags. */
int emu_exec_shift_vex(struct x86_emulate_ctx *ctx)
{
	static const struct {
		uint16_t op, as;
	} plain[] = { { X86_OP_SARX, X86_OP_SAR },
		      { X86_OP_SHLX, X86_OP_SHL },
		      { X86_OP_SHRX, X86_OP_SHR },
		      { X86_OP_RORX, X86_OP_ROR } };
	const struct x86_insn *in = &ctx->insn;
	unsigned count = (unsigned)(in->form == X86_FORM_RMI ? in->imm : vvvv(ctx)) & 0xff;
	uint64_t flags = 0;
	uint64_t v = 0;
	int r = 0;

	if (in->form == X86_FORM_RMI && in->vvvv) /* not used: all ones as encoded */
		r = emu_fault(ctx, X86_VEC_UD);
	if (!r)
		r = read_vex(ctx, &v);
	if (r)
		return r;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(plain); i++)
		if (plain[i].op == in->op)
			v = alu_shift((enum x86_op)plain[i].as, v, count, in->rm_width, &flags);
	emu_set_reg(ctx, in->reg, in->reg_width, v);
	return 0;
}

/* rDX times r/m: the high half goes to the destination last. */
int emu_exec_mulx(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	unsigned width = in->rm_width;
	uint64_t flags = 0;
	uint64_t v = 0, low, high;
	int r = read_vex(ctx, &v);

	if (r)
		return r;
	low = alu_multiply(X86_OP_MUL, emu_get_reg(ctx, X86_RDX, width), v, width, &high, &flags);
	emu_set_reg(ctx, in->vvvv, width, low);
	emu_set_reg(ctx, in->reg, width, high);
	return 0;
}

/* ADCX adds by way of CF, ADOX of OF, and neither changes another flag. */
int emu_exec_add_flag(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	uint64_t flag = in->op == X86_OP_ADCX ? X86_FLAG_CF : X86_FLAG_OF;
	uint64_t *rflags = &ctx->state->rflags;
	uint64_t flags = 0;
	uint64_t v = 0;
	int r = emu_read_rm(ctx, in->rm_width, &v);

	if (r)
		return r;
	v = alu_add(emu_get_reg(ctx, in->reg, in->reg_width), v, (*rflags & flag) != 0,
	            in->reg_width, &flags);
	*rflags = (*rflags & ~flag) | (flags & X86_FLAG_CF ? flag : 0);
	emu_set_reg(ctx, in->reg, in->reg_width, v);
	return 0;
}

/* The polynomial 11EDC6F41, bits reflected (SDM Vol. 2A, CRC32). */
static uint32_t crc32c(uint32_t crc, uint64_t v, unsigned width)
{
	for (unsigned i = 0; i < width; i++) {
		crc ^= (uint32_t)(v >> 8 * i & 0xff);
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return crc;
}

int emu_exec_crc32(struct x86_emulate_ctx *ctx)
{
	const struct x86_insn *in = &ctx->insn;
	uint64_t v = 0;
	int r = emu_read_rm(ctx, in->rm_width, &v);

	if (r)
		return r;
	emu_set_reg(ctx, in->reg, in->reg_width,
	            crc32c((uint32_t)ctx->state->gpr[in->reg], v, in->rm_width));
	return 0;
}
