/* SPDX-License-Identifier: BSD-2-Clause */
/* INC, DEC, NEG, NOT, and the shifts and rotates. */
#include "emu/x86_64/engine/uop.h"

/* --- INC, DEC, NEG, NOT --- */

static inline __attribute__((always_inline)) struct uop_value unary(enum x86_op op, uint64_t a,
                                                                    bool cf, unsigned width)
{
	if (op == X86_OP_NEG)
		return uop_binary(X86_OP_SUB, 0, a, 0, width);
	return uop_step(op, a, cf, width);
}

#define UNARY(op, bits)                                                                            \
	UOP(op##bits)                                                                              \
	{                                                                                          \
		struct uop_value v =                                                               \
			unary(X86_OP_##op, UOP_GET##bits(s, u->dst), emu_cf(&c->flags), bits / 8); \
                                                                                                   \
		uop_put##bits(s, u->dst, v.r);                                                     \
		uop_set_flags(c, v, bits / 8);                                                     \
		EMU_NEXT(c, u, s);                                                                 \
	}                                                                                          \
	UOP(op##bits##_n)                                                                          \
	{                                                                                          \
		struct uop_value v =                                                               \
			unary(X86_OP_##op, UOP_GET##bits(s, u->dst), false, bits / 8);             \
                                                                                                   \
		uop_put##bits(s, u->dst, v.r);                                                     \
		EMU_NEXT(c, u, s);                                                                 \
	}                                                                                          \
	UNARY_MEM(FULL, op, bits)                                                                  \
	UNARY_MEM(ANY, op, bits)

#define UNARY_MEM(kind, op, bits)                                                                  \
	UOP(op##bits##_m_##kind)                                                                   \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		UOP_WRITABLE(p, bits, va);                                                         \
		struct uop_value v = unary(X86_OP_##op, *p, emu_cf(&c->flags), bits / 8);          \
                                                                                                   \
		*p = (uint##bits##_t)v.r;                                                          \
		uop_set_flags(c, v, bits / 8);                                                     \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define NOT(bits)                                                                                  \
	UOP(NOT##bits)                                                                             \
	{                                                                                          \
		uop_put##bits(s, u->dst, (uint##bits##_t) ~UOP_GET##bits(s, u->dst));              \
		EMU_NEXT(c, u, s);                                                                 \
	}                                                                                          \
	NOT_MEM(FULL, bits)                                                                        \
	NOT_MEM(ANY, bits)

#define NOT_MEM(kind, bits)                                                                        \
	UOP(NOT##bits##_m_##kind)                                                                  \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		UOP_WRITABLE(p, bits, va);                                                         \
		*p = (uint##bits##_t) ~*p;                                                         \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define UNARY_ALL(op) UNARY(op, 8) UNARY(op, 16) UNARY(op, 32) UNARY(op, 64)
UNARY_ALL(INC)
UNARY_ALL(DEC)
UNARY_ALL(NEG)
NOT(8)
NOT(16)
NOT(32)
NOT(64)

struct unary_row {
	emu_fn *reg, *reg_n;
	emu_fn *mem[UOP_EA_KINDS];
};

#define UNARY_ROW(name)                                                                            \
	{                                                                                          \
		name, name##_n, UOP_EA_ROW_RARE(name##_m)                                          \
	}
#define NOT_ROW(name)                                                                              \
	{                                                                                          \
		name, NULL, UOP_EA_ROW_RARE(name##_m)                                              \
	}
#define UNARY_ROWS(row, op)                                                                        \
	{                                                                                          \
		row(op##8), row(op##16), row(op##32), row(op##64)                                  \
	}

/* In the order of enum x86_op. */
static const struct unary_row unary_rows[4][4] = { UNARY_ROWS(UNARY_ROW, INC),
	                                           UNARY_ROWS(UNARY_ROW, DEC),
	                                           UNARY_ROWS(UNARY_ROW, NEG),
	                                           UNARY_ROWS(NOT_ROW, NOT) };

_Static_assert(X86_OP_DEC == X86_OP_INC + 1 && X86_OP_NEG == X86_OP_INC + 2 &&
                       X86_OP_NOT == X86_OP_INC + 3,
               "unary_rows");

static void note_unary(struct emu_builder *b, struct emu_uop *u, const struct x86_insn *in,
                       emu_fn *without, unsigned width)
{
	if (in->op == X86_OP_NOT) {
		uop_note_pure(b);
		return;
	}
	if (in->op == X86_OP_NEG)
		uop_note_overwritten(b);
	uop_note_setter(b, u, without);
	if (in->op == X86_OP_DEC)
		uop_note_fusable(b, u, uop_fused_dec(width));
}

bool uop_tr_unary(struct emu_builder *b, const struct x86_insn *in)
{
	bool short_form = in->form == X86_FORM_O;
	unsigned width = short_form ? in->reg_width : in->rm_width;
	const struct unary_row *row = &unary_rows[in->op - X86_OP_INC][uop_log2(width)];
	struct emu_uop *u;

	if (in->prefixes & X86_PFX_LOCK)
		return uop_tr_locked(b, in);
	if (in->is_mem && !uop_has_ea(b, in))
		return uop_emit_generic(b, in);
	u = in->is_mem ? uop_emit_ea(b, in, true, row->mem) : emu_emit(b, row->reg);
	if (!u)
		return false;
	u->dst = uop_reg(in, short_form ? in->reg : in->rm, width);
	if (!in->is_mem)
		note_unary(b, u, in, row->reg_n, width);
	return true;
}

/* --- Shifts and rotates of registers by an immediate or CL --- */

static inline __attribute__((always_inline)) struct alu_shifted shifted(enum x86_op op, uint64_t a,
                                                                        unsigned count,
                                                                        unsigned width)
{
	if (op == X86_OP_ROL || op == X86_OP_ROR)
		return alu_rotate_by(op, a, count, width);
	return alu_shift_by(op, a, count, width);
}

/* Rotates leave the other flags alone (SDM Vol. 2B, RCL/RCR/ROL/ROR). */
static inline __attribute__((always_inline)) void set_shift_flags(struct emu_cpu *c, enum x86_op op,
                                                                  struct alu_shifted x,
                                                                  unsigned width)
{
	if (op == X86_OP_ROL || op == X86_OP_ROR) {
		c->flags.aux = (c->flags.aux & ~UOP_CF_OF) | uop_cf_of(x.cf, x.of);
		return;
	}
	c->flags.result = alu_sign_extend(x.r, width);
	c->flags.aux = uop_cf_of(x.cf, x.of);
}

/* By imm, which is not 0; _n: without flags. */
#define SHIFT(op, bits)                                                                            \
	UOP(op##bits##_i)                                                                          \
	{                                                                                          \
		struct alu_shifted x = shifted(X86_OP_##op, UOP_GET##bits(s, u->dst),              \
		                               (unsigned)u->imm, bits / 8);                        \
                                                                                                   \
		uop_put##bits(s, u->dst, x.r);                                                     \
		set_shift_flags(c, X86_OP_##op, x, bits / 8);                                      \
		EMU_NEXT(c, u, s);                                                                 \
	}                                                                                          \
	UOP(op##bits##_i_n)                                                                        \
	{                                                                                          \
		struct alu_shifted x = shifted(X86_OP_##op, UOP_GET##bits(s, u->dst),              \
		                               (unsigned)u->imm, bits / 8);                        \
                                                                                                   \
		uop_put##bits(s, u->dst, x.r);                                                     \
		EMU_NEXT(c, u, s);                                                                 \
	}                                                                                          \
	UOP(op##bits##_c)                                                                          \
	{                                                                                          \
		unsigned count = EMU_R8(s, EMU_GPR(X86_RCX)) & (bits == 64 ? 63 : 31);             \
                                                                                                   \
		if (count) {                                                                       \
			struct alu_shifted x =                                                     \
				shifted(X86_OP_##op, UOP_GET##bits(s, u->dst), count, bits / 8);   \
                                                                                                   \
			uop_put##bits(s, u->dst, x.r);                                             \
			set_shift_flags(c, X86_OP_##op, x, bits / 8);                              \
		} else if (bits == 32) {                                                           \
			EMU_R64(s, u->dst) = EMU_R32(s, u->dst);                                   \
		}                                                                                  \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define SHIFT_ALL(op) SHIFT(op, 8) SHIFT(op, 16) SHIFT(op, 32) SHIFT(op, 64)
SHIFT_ALL(ROL)
SHIFT_ALL(ROR)
SHIFT_ALL(SHL)
SHIFT_ALL(SHR)
SHIFT_ALL(SAR)

struct shift_row {
	emu_fn *imm, *imm_n, *cl;
};

#define SHIFT_ROW(name)                                                                            \
	{                                                                                          \
		name##_i, name##_i_n, name##_c                                                     \
	}
#define SHIFT_ROWS(op)                                                                             \
	{                                                                                          \
		SHIFT_ROW(op##8), SHIFT_ROW(op##16), SHIFT_ROW(op##32), SHIFT_ROW(op##64)          \
	}

/* In the order of enum x86_op; RCL and RCR are left to x86_execute(). */
static const struct shift_row shift_rows[8][4] = {
	[0] = SHIFT_ROWS(ROL),
	[X86_OP_ROR - X86_OP_ROL] = SHIFT_ROWS(ROR),
	[X86_OP_SHL - X86_OP_ROL] = SHIFT_ROWS(SHL),
	[X86_OP_SHR - X86_OP_ROL] = SHIFT_ROWS(SHR),
	[X86_OP_SAL - X86_OP_ROL] = SHIFT_ROWS(SHL),
	[X86_OP_SAR - X86_OP_ROL] = SHIFT_ROWS(SAR),
};

static unsigned immediate_count(const struct x86_insn *in)
{
	if (in->form == X86_FORM_M1)
		return 1;
	return (unsigned)in->imm & (in->rm_width == 8 ? 63 : 31);
}

/* By 0: a 32-bit register is zero-extended nevertheless. */
static bool shift_by_none(struct emu_builder *b, const struct x86_insn *in)
{
	struct x86_insn mov = *in;

	mov.op = X86_OP_MOV;
	mov.form = X86_FORM_MR;
	mov.reg = in->rm;
	return uop_tr_mov(b, &mov);
}

bool uop_tr_shift(struct emu_builder *b, const struct x86_insn *in)
{
	const struct shift_row *row = &shift_rows[in->op - X86_OP_ROL][uop_log2(in->rm_width)];
	bool cl = in->form == X86_FORM_MC;
	bool rotate = in->op == X86_OP_ROL || in->op == X86_OP_ROR;
	unsigned count = cl ? 0 : immediate_count(in);
	struct emu_uop *u;

	if (in->is_mem || !row->imm)
		return uop_emit_generic(b, in);
	if (!cl && !count)
		return shift_by_none(b, in);
	u = emu_emit(b, cl ? row->cl : row->imm);
	if (!u)
		return false;
	u->dst = uop_reg(in, in->rm, in->rm_width);
	u->imm = (int32_t)count;
	if (!cl && !rotate)
		uop_note_overwritten(b);
	uop_note_setter(b, u, cl ? NULL : row->imm_n);
	return true;
}
