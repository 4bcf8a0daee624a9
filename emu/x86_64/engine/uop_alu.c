/* SPDX-License-Identifier: BSD-2-Clause */
/* ADD to CMP, and TEST: two operands, all flags. */
#include "emu/x86_64/engine/uop.h"

#define STORES(op) (X86_OP_##op != X86_OP_CMP && X86_OP_##op != X86_OP_TEST)

/* Two registers or a register and an immediate; _n: without flags. */
#define BINARY_REG(op, bits, name, b)                                                              \
	UOP(op##bits##_##name)                                                                     \
	{                                                                                          \
		struct uop_value v = uop_binary(X86_OP_##op, UOP_GET##bits(s, u->dst), b,          \
		                                emu_cf(&c->flags), bits / 8);                      \
                                                                                                   \
		if (STORES(op))                                                                    \
			uop_put##bits(s, u->dst, v.r);                                             \
		uop_set_flags(c, v, bits / 8);                                                     \
		EMU_NEXT(c, u, s);                                                                 \
	}                                                                                          \
	UOP(op##bits##_##name##_n)                                                                 \
	{                                                                                          \
		struct uop_value v = uop_binary(X86_OP_##op, UOP_GET##bits(s, u->dst), b,          \
		                                emu_cf(&c->flags), bits / 8);                      \
                                                                                                   \
		if (STORES(op))                                                                    \
			uop_put##bits(s, u->dst, v.r);                                             \
		EMU_NEXT(c, u, s);                                                                 \
	}

/* The destination is a register, the source memory. */
#define BINARY_RM(kind, op, bits)                                                                  \
	UOP(op##bits##_rm_##kind)                                                                  \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_READ);                              \
		UOP_READABLE(p, bits, va);                                                         \
		struct uop_value v = uop_binary(X86_OP_##op, UOP_GET##bits(s, u->dst), *p,         \
		                                emu_cf(&c->flags), bits / 8);                      \
                                                                                                   \
		if (STORES(op))                                                                    \
			uop_put##bits(s, u->dst, v.r);                                             \
		uop_set_flags(c, v, bits / 8);                                                     \
		EMU_NEXT(c, u, s);                                                                 \
	}

/* The destination is memory. */
#define BINARY_TO(kind, op, bits, name, b)                                                         \
	UOP(op##bits##_##name##_##kind)                                                            \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, STORES(op) ? EMU_WRITE : EMU_READ);     \
		UOP_HOST(p, bits, va, MEMBER_##op, STORES(op) ? EMU_WRITE : EMU_READ);             \
		struct uop_value v = uop_binary(X86_OP_##op, *p, b, emu_cf(&c->flags), bits / 8);  \
                                                                                                   \
		if (STORES(op))                                                                    \
			*p = (uint##bits##_t)v.r;                                                  \
		uop_set_flags(c, v, bits / 8);                                                     \
		EMU_NEXT(c, u, s);                                                                 \
	}

/* Which right to the destination in memory is needed. */
#define MEMBER_ADD  write
#define MEMBER_OR   write
#define MEMBER_ADC  write
#define MEMBER_SBB  write
#define MEMBER_AND  write
#define MEMBER_SUB  write
#define MEMBER_XOR  write
#define MEMBER_CMP  read
#define MEMBER_TEST read

#define BINARY_WIDTH(op, bits)                                                                     \
	BINARY_REG(op, bits, rr, UOP_GET##bits(s, u->src))                                         \
	BINARY_REG(op, bits, ri, uop_imm(u))                                                       \
	UOP_EACH_EA(BINARY_RM, op, bits)                                                           \
	UOP_EACH_EA(BINARY_TO, op, bits, mr, UOP_GET##bits(s, u->src))                             \
	UOP_EACH_EA_IMM(BINARY_TO, op, bits, mi, uop_imm(u))
#define BINARY(op)                                                                                 \
	BINARY_WIDTH(op, 8)                                                                        \
	BINARY_WIDTH(op, 16)                                                                       \
	BINARY_WIDTH(op, 32)                                                                       \
	BINARY_WIDTH(op, 64)

BINARY(ADD)
BINARY(OR)
BINARY(ADC)
BINARY(SBB)
BINARY(AND)
BINARY(SUB)
BINARY(XOR)
BINARY(CMP)
BINARY(TEST)

struct binary_row {
	emu_fn *rr, *rr_n, *ri, *ri_n;
	emu_fn *rm[UOP_EA_KINDS], *mr[UOP_EA_KINDS], *mi[UOP_EA_KINDS];
};

#define BINARY_ROW(name)                                                                           \
	{                                                                                          \
		name##_rr, name##_rr_n, name##_ri, name##_ri_n, UOP_EA_ROW(name##_rm),             \
			UOP_EA_ROW(name##_mr), UOP_EA_ROW_IMM(name##_mi)                           \
	}
#define BINARY_ROWS(op)                                                                            \
	{                                                                                          \
		BINARY_ROW(op##8), BINARY_ROW(op##16), BINARY_ROW(op##32), BINARY_ROW(op##64)      \
	}

/* In the order of enum x86_op, TEST last; by log2 of the width. */
static const struct binary_row binary_rows[9][4] = {
	BINARY_ROWS(ADD), BINARY_ROWS(OR),  BINARY_ROWS(ADC), BINARY_ROWS(SBB),  BINARY_ROWS(AND),
	BINARY_ROWS(SUB), BINARY_ROWS(XOR), BINARY_ROWS(CMP), BINARY_ROWS(TEST),
};

static unsigned row_of(unsigned op)
{
	return op == X86_OP_TEST ? 8 : op - X86_OP_ADD;
}

/* XOR and SUB of a register with itself. */
UOP(zero32)
{
	EMU_R64(s, u->dst) = 0;
	c->flags = (struct emu_flags){ 0, 0 };
	EMU_NEXT(c, u, s);
}

UOP(zero32_n)
{
	EMU_R64(s, u->dst) = 0;
	EMU_NEXT(c, u, s);
}

static bool is_zero(const struct x86_insn *in, unsigned width)
{
	return (in->op == X86_OP_XOR || in->op == X86_OP_SUB) && width >= 4 &&
	       (in->form == X86_FORM_MR || in->form == X86_FORM_RM) && in->reg == in->rm;
}

static void note(struct emu_builder *b, struct emu_uop *u, const struct x86_insn *in,
                 emu_fn *without)
{
	if (in->op != X86_OP_ADC && in->op != X86_OP_SBB)
		uop_note_overwritten(b);
	uop_note_setter(b, u, without);
}

static bool binary_reg(struct emu_builder *b, const struct x86_insn *in, unsigned width,
                       const struct binary_row *row)
{
	bool imm = in->form == X86_FORM_I || in->form == X86_FORM_MI;
	bool zero = is_zero(in, width);
	struct emu_uop *u = emu_emit(b, zero ? zero32 : imm ? row->ri : row->rr);

	if (!u)
		return false;
	u->dst = uop_reg(in, in->form == X86_FORM_RM ? in->reg : in->rm, width);
	u->src = uop_reg(in, in->form == X86_FORM_RM ? in->rm : in->reg, width);
	if (in->form == X86_FORM_I)
		u->dst = EMU_GPR(X86_RAX);
	if (imm)
		u->imm = (int32_t)in->imm;
	note(b, u, in, zero ? zero32_n : imm ? row->ri_n : row->rr_n);
	if (!zero)
		uop_note_fusable(b, u, uop_fused_binary((enum x86_op)in->op, imm, width));
	return true;
}

static bool binary_mem(struct emu_builder *b, const struct x86_insn *in, unsigned width,
                       const struct binary_row *row)
{
	bool imm = in->form == X86_FORM_MI;
	struct emu_uop *u = uop_emit_ea(b, in, imm,
	                                imm                       ? row->mi
	                                : in->form == X86_FORM_RM ? row->rm
	                                                          : row->mr);

	if (!u)
		return false;
	u->dst = u->src = uop_reg(in, in->reg, width);
	if (imm)
		u->imm = (int32_t)in->imm;
	return true;
}

bool uop_tr_binary(struct emu_builder *b, const struct x86_insn *in)
{
	unsigned width = in->rm_width ? in->rm_width : in->reg_width;
	const struct binary_row *row = &binary_rows[row_of(in->op)][uop_log2(width)];

	if (in->prefixes & X86_PFX_LOCK)
		return uop_tr_locked(b, in);
	if (in->is_mem)
		return uop_has_ea(b, in) ? binary_mem(b, in, width, row) : uop_emit_generic(b, in);
	return binary_reg(b, in, width, row);
}
