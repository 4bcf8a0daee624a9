/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiplication, division, single bits, scans, and the instructions on flags. */
#include "emu/x86_64/engine/uop.h"

/* --- IMUL with two and three operands --- */

static inline __attribute__((always_inline)) struct uop_value product(uint64_t a, uint64_t b,
                                                                      unsigned width)
{
	int64_t x = (int64_t)alu_sign_extend(a, width), y = (int64_t)alu_sign_extend(b, width);
	struct uop_value v;
	bool over;
	int64_t r;

	if (width == 8) {
		over = __builtin_mul_overflow(x, y, &r);
	} else {
		r = x * y;
		over = r != (int64_t)alu_sign_extend((uint64_t)r, width);
	}
	v.r = (uint64_t)r;
	v.aux = uop_cf_of(over, over);
	return v;
}

/* b: the factor besides `a`. */
#define IMUL_BODY(bits, a, b)                                                                      \
	struct uop_value v = product(a, b, bits / 8);                                              \
                                                                                                   \
	uop_put##bits(s, u->dst, v.r);                                                             \
	uop_set_flags(c, v, bits / 8);                                                             \
	EMU_NEXT(c, u, s);

#define IMUL_MEM(kind, bits)                                                                       \
	UOP(imul##bits##_rm_##kind)                                                                \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_READ);                              \
		UOP_READABLE(p, bits, va);                                                         \
		IMUL_BODY(bits, *p, UOP_GET##bits(s, u->dst))                                      \
	}                                                                                          \
	UOP(imul##bits##_rmi_##kind)                                                               \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_READ);                              \
		UOP_READABLE(p, bits, va);                                                         \
		IMUL_BODY(bits, *p, uop_imm(u))                                                    \
	}

#define IMUL(bits)                                                                                 \
	UOP(imul##bits##_rr){ IMUL_BODY(bits, UOP_GET##bits(s, u->src),                            \
		                        UOP_GET##bits(s, u->dst)) } UOP(imul##bits##_rri){         \
		IMUL_BODY(bits, UOP_GET##bits(s, u->src), uop_imm(u))                              \
	} IMUL_MEM(FULL, bits) IMUL_MEM(ANY, bits)
IMUL(16)
IMUL(32)
IMUL(64)

static bool emit_imul(struct emu_builder *b, const struct x86_insn *in)
{
	static emu_fn *const reg[2][4] = { { NULL, imul16_rr, imul32_rr, imul64_rr },
		                           { NULL, imul16_rri, imul32_rri, imul64_rri } };
	static emu_fn *const mem[2][4][UOP_EA_KINDS] = {
		{ { NULL },
		  UOP_EA_ROW_RARE(imul16_rm),
		  UOP_EA_ROW_RARE(imul32_rm),
		  UOP_EA_ROW_RARE(imul64_rm) },
		{ { NULL },
		  UOP_EA_ROW_RARE(imul16_rmi),
		  UOP_EA_ROW_RARE(imul32_rmi),
		  UOP_EA_ROW_RARE(imul64_rmi) },
	};
	bool imm = in->form == X86_FORM_RMI;
	unsigned w = uop_log2(in->reg_width);
	struct emu_uop *u =
		in->is_mem ? uop_emit_ea(b, in, true, mem[imm][w]) : emu_emit(b, reg[imm][w]);

	if (!u)
		return false;
	u->dst = EMU_GPR(in->reg);
	u->src = EMU_GPR(in->rm);
	if (imm)
		u->imm = (int32_t)in->imm;
	return true;
}

/* --- MUL, IMUL, DIV and IDIV of rDX:rAX --- */

#define RAX EMU_GPR(X86_RAX)
#define RDX EMU_GPR(X86_RDX)

typedef unsigned __int128 wide;
typedef __int128 swide;

#define MULTIPLY_BODY(type, bits, wtype, b)                                                        \
	wtype r = (wtype)(type)UOP_GET##bits(s, RAX) * (type)(b);                                  \
	struct uop_value v;                                                                        \
	bool over = (wtype)(type)r != r;                                                           \
                                                                                                   \
	v.r = (uint64_t)r;                                                                         \
	v.aux = uop_cf_of(over, over);                                                             \
	uop_put##bits(s, RAX, v.r);                                                                \
	uop_put##bits(s, RDX, (uint64_t)(r >> bits));                                              \
	uop_set_flags(c, v, bits / 8);                                                             \
	EMU_NEXT(c, u, s);

/* Of rAX when rDX holds nothing but its extension, or is narrow enough for one division. What is
 * left - and #DE - is x86_execute()'s. */
#define DIV_BODY(bits, divisor)                                                                    \
	uint64_t b = (divisor);                                                                    \
	uint64_t high = UOP_GET##bits(s, RDX), low = UOP_GET##bits(s, RAX);                        \
                                                                                                   \
	if (high >= b || (bits == 64 && high))                                                     \
		return emu_interpret(c, u, s);                                                     \
	if (bits != 64)                                                                            \
		low |= high << (bits & 63);                                                        \
	uop_put##bits(s, RAX, low / b);                                                            \
	uop_put##bits(s, RDX, low % b);                                                            \
	EMU_NEXT(c, u, s);

#define IDIV_BODY(bits, divisor)                                                                   \
	int64_t b = (int##bits##_t)(divisor);                                                      \
	int64_t low = (int##bits##_t)UOP_GET##bits(s, RAX);                                        \
                                                                                                   \
	if ((int##bits##_t)UOP_GET##bits(s, RDX) != low >> 63 || !b || b == -1)                    \
		return emu_interpret(c, u, s);                                                     \
	uop_put##bits(s, RAX, (uint64_t)(low / b));                                                \
	uop_put##bits(s, RDX, (uint64_t)(low % b));                                                \
	EMU_NEXT(c, u, s);

#define WIDE_OPS(bits, form, b, before)                                                            \
	UOP(mul##bits##_##form){ before MULTIPLY_BODY(uint##bits##_t, bits, wide, b) } UOP(        \
		smul##bits##_##form){                                                              \
		before MULTIPLY_BODY(int##bits##_t, bits, swide, b)                                \
	} UOP(div##bits##_##form){ before DIV_BODY(bits, b) } UOP(idiv##bits##_##form)             \
	{                                                                                          \
		before IDIV_BODY(bits, b)                                                          \
	}
#define WIDE_LOAD(kind, bits)                                                                      \
	uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_READ);                                      \
	UOP_READABLE(p, bits, va);
#define WIDE(bits)                                                                                 \
	WIDE_OPS(bits, r, UOP_GET##bits(s, u->src), )                                              \
	WIDE_OPS(bits, m_FULL, *p, WIDE_LOAD(FULL, bits))                                          \
	WIDE_OPS(bits, m_ANY, *p, WIDE_LOAD(ANY, bits))
WIDE(32)
WIDE(64)

struct wide_row {
	emu_fn *reg, *mem[UOP_EA_KINDS];
};

#define WIDE_ROW(name)                                                                             \
	{                                                                                          \
		name##_r, UOP_EA_ROW_RARE(name##_m)                                                \
	}

/* MUL, IMUL, DIV, IDIV in the order of enum x86_op; 32 and 64 bits. */
static const struct wide_row wide_rows[4][2] = { { WIDE_ROW(mul32), WIDE_ROW(mul64) },
	                                         { WIDE_ROW(smul32), WIDE_ROW(smul64) },
	                                         { WIDE_ROW(div32), WIDE_ROW(div64) },
	                                         { WIDE_ROW(idiv32), WIDE_ROW(idiv64) } };

_Static_assert(X86_OP_IMUL == X86_OP_MUL + 1 && X86_OP_DIV == X86_OP_MUL + 2 &&
                       X86_OP_IDIV == X86_OP_MUL + 3,
               "wide_rows");

static bool emit_wide(struct emu_builder *b, const struct x86_insn *in)
{
	const struct wide_row *row;
	struct emu_uop *u;

	if (in->rm_width < 4)
		return uop_emit_generic(b, in);
	row = &wide_rows[in->op - X86_OP_MUL][in->rm_width == 8];
	u = in->is_mem ? uop_emit_ea(b, in, true, row->mem) : emu_emit(b, row->reg);
	if (!u)
		return false;
	u->src = EMU_GPR(in->rm);
	return true;
}

bool uop_tr_multiply(struct emu_builder *b, const struct x86_insn *in)
{
	if (in->is_mem && !uop_has_ea(b, in))
		return uop_emit_generic(b, in);
	return in->form == X86_FORM_M ? emit_wide(b, in) : emit_imul(b, in);
}

bool uop_tr_divide(struct emu_builder *b, const struct x86_insn *in)
{
	return in->is_mem && !uop_has_ea(b, in) ? uop_emit_generic(b, in) : emit_wide(b, in);
}

/* --- BT, BTS, BTR, BTC --- */

#define BIT_REG(op, bits, name, offset)                                                            \
	UOP(op##bits##_##name)                                                                     \
	{                                                                                          \
		uint64_t mask = UINT64_C(1) << ((offset) & (bits - 1));                            \
		uint64_t v = UOP_GET##bits(s, u->dst);                                             \
                                                                                                   \
		uop_set_cf(c, v &mask);                                                            \
		if (X86_OP_##op == X86_OP_BTS)                                                     \
			uop_put##bits(s, u->dst, v | mask);                                        \
		else if (X86_OP_##op == X86_OP_BTR)                                                \
			uop_put##bits(s, u->dst, v & ~mask);                                       \
		else if (X86_OP_##op == X86_OP_BTC)                                                \
			uop_put##bits(s, u->dst, v ^ mask);                                        \
		EMU_NEXT(c, u, s);                                                                 \
	}
#define BIT_WIDTH(op, bits)                                                                        \
	BIT_REG(op, bits, r, UOP_GET##bits(s, u->src))                                             \
	BIT_REG(op, bits, i, (unsigned)u->imm)
#define BIT(op) BIT_WIDTH(op, 16) BIT_WIDTH(op, 32) BIT_WIDTH(op, 64)
BIT(BT)
BIT(BTS)
BIT(BTR)
BIT(BTC)

/* Of memory, by an immediate. */
#define BT_MEM(kind, bits)                                                                         \
	UOP(bt##bits##_mi_##kind)                                                                  \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_READ);                              \
		UOP_READABLE(p, bits, va);                                                         \
		uop_set_cf(c, (uint64_t)*p >> ((unsigned)u->imm & (bits - 1)) & 1);                \
		EMU_NEXT(c, u, s);                                                                 \
	}
#define BT_MEMS(bits) BT_MEM(FULL, bits) BT_MEM(ANY, bits)
BT_MEMS(16)
BT_MEMS(32)
BT_MEMS(64)

#define BIT_ROW(op)                                                                                \
	{                                                                                          \
		{ NULL, op##16_r, op##32_r, op##64_r },                                            \
		{                                                                                  \
			NULL, op##16_i, op##32_i, op##64_i                                         \
		}                                                                                  \
	}

bool uop_tr_bit(struct emu_builder *b, const struct x86_insn *in)
{
	static emu_fn *const reg[4][2][4] = { BIT_ROW(BT), BIT_ROW(BTS), BIT_ROW(BTR),
		                              BIT_ROW(BTC) };
	static emu_fn *const mem[4][UOP_EA_KINDS] = { { NULL },
		                                      UOP_EA_ROW_RARE(bt16_mi),
		                                      UOP_EA_ROW_RARE(bt32_mi),
		                                      UOP_EA_ROW_RARE(bt64_mi) };
	unsigned w = uop_log2(in->rm_width);
	bool imm = in->form == X86_FORM_MI;
	struct emu_uop *u;

	if (in->prefixes & X86_PFX_LOCK)
		return uop_tr_locked(b, in);
	if (in->is_mem && (in->op != X86_OP_BT || !imm || !uop_has_ea(b, in)))
		return uop_emit_generic(b, in);
	u = in->is_mem ? uop_emit_ea(b, in, true, mem[w])
	               : emu_emit(b, reg[in->op - X86_OP_BT][imm][w]);
	if (!u)
		return false;
	u->dst = EMU_GPR(in->rm);
	u->src = EMU_GPR(in->reg);
	if (imm)
		u->imm = (int32_t)in->imm;
	return true;
}

/* --- BSF, BSR, TZCNT, LZCNT, POPCNT --- */

/* ZF alone: the other flags move into aux. */
static inline void set_zf(struct emu_cpu *c, bool zf)
{
	uint64_t keep = c->flags.aux & (UOP_CF_OF | EMU_AUX_AF);

	c->flags.aux = keep | emu_sf(&c->flags) | (emu_pf(&c->flags) ? 0 : 0x100);
	c->flags.result = zf ? 0 : 0x10000;
}

/* CF and ZF; the others are cleared. */
static inline void set_count_flags(struct emu_cpu *c, bool cf, bool zf)
{
	c->flags.aux = uop_cf_of(cf, false) | 0x100;
	c->flags.result = zf ? 0 : 0x10000;
}

static inline uint64_t ones(uint64_t v)
{
	v -= v >> 1 & UINT64_C(0x5555555555555555);
	v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
	v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return v * UINT64_C(0x0101010101010101) >> 56;
}

/* BSF and BSR of 0 leave the whole destination (APM Vol. 3, BSF). */
#define BSF_BODY(bits, v)                                                                          \
	set_zf(c, !(v));                                                                           \
	if (v)                                                                                     \
		uop_put##bits(s, u->dst, (uint64_t)__builtin_ctzll(v));
#define BSR_BODY(bits, v)                                                                          \
	set_zf(c, !(v));                                                                           \
	if (v)                                                                                     \
		uop_put##bits(s, u->dst, (uint64_t)(63 - __builtin_clzll(v)));
#define TZCNT_BODY(bits, v)                                                                        \
	uint64_t r = (v) ? (uint64_t)__builtin_ctzll(v) : bits;                                    \
	set_count_flags(c, r == bits, !r);                                                         \
	uop_put##bits(s, u->dst, r);
#define LZCNT_BODY(bits, v)                                                                        \
	uint64_t r = (v) ? (uint64_t)__builtin_clzll(v) - (64 - bits) : bits;                      \
	set_count_flags(c, r == bits, !r);                                                         \
	uop_put##bits(s, u->dst, r);
#define POPCNT_BODY(bits, v)                                                                       \
	uint64_t r = ones(v);                                                                      \
	c->flags.aux = 0x100;                                                                      \
	c->flags.result = r ? 0x10000 : 0;                                                         \
	uop_put##bits(s, u->dst, r);

#define SCAN_MEM(kind, op, bits)                                                                   \
	UOP(op##bits##_m_##kind)                                                                   \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_READ);                              \
		UOP_READABLE(p, bits, va);                                                         \
		uint64_t v = *p;                                                                   \
                                                                                                   \
		op##_BODY(bits, v) EMU_NEXT(c, u, s);                                              \
	}
#define SCAN_WIDTH(op, bits)                                                                       \
	UOP(op##bits##_r)                                                                          \
	{                                                                                          \
		uint64_t v = UOP_GET##bits(s, u->src);                                             \
                                                                                                   \
		op##_BODY(bits, v) EMU_NEXT(c, u, s);                                              \
	}                                                                                          \
	SCAN_MEM(FULL, op, bits)                                                                   \
	SCAN_MEM(ANY, op, bits)
#define SCAN(op) SCAN_WIDTH(op, 16) SCAN_WIDTH(op, 32) SCAN_WIDTH(op, 64)
SCAN(BSF)
SCAN(BSR)
SCAN(TZCNT)
SCAN(LZCNT)
SCAN(POPCNT)

#define SCAN_ROW(op)                                                                               \
	{                                                                                          \
		WIDE_ROW(op##16), WIDE_ROW(op##32), WIDE_ROW(op##64)                               \
	}

bool uop_tr_scan(struct emu_builder *b, const struct x86_insn *in)
{
	static const struct wide_row rows[5][3] = { SCAN_ROW(BSF), SCAN_ROW(BSR), SCAN_ROW(TZCNT),
		                                    SCAN_ROW(LZCNT), SCAN_ROW(POPCNT) };
	const struct wide_row *row = &rows[in->op - X86_OP_BSF][uop_log2(in->reg_width) - 1];
	struct emu_uop *u;

	if (in->is_mem && !uop_has_ea(b, in))
		return uop_emit_generic(b, in);
	u = in->is_mem ? uop_emit_ea(b, in, true, row->mem) : emu_emit(b, row->reg);
	if (!u)
		return false;
	u->dst = EMU_GPR(in->reg);
	u->src = EMU_GPR(in->rm);
	return true;
}

/* --- SHLD, SHRD of 32- and 64-bit registers by an immediate --- */

#define DOUBLE_SHIFT(op, bits)                                                                     \
	UOP(op##bits)                                                                              \
	{                                                                                          \
		uint64_t a = UOP_GET##bits(s, u->dst), b = UOP_GET##bits(s, u->src);               \
		unsigned n = (unsigned)u->imm & (bits - 1);                                        \
		struct alu_shifted x = alu_shift_by(                                               \
			X86_OP_##op == X86_OP_SHLD ? X86_OP_SHL : X86_OP_SHR, a, n, bits / 8);     \
		struct uop_value v;                                                                \
                                                                                                   \
		v.r = x.r | (X86_OP_##op == X86_OP_SHLD ? b >> (bits - n)                          \
		                                        : b << (bits - n) & alu_mask(bits / 8));   \
		v.aux = uop_cf_of(x.cf, alu_msb(v.r ^ a, bits / 8));                               \
		uop_put##bits(s, u->dst, v.r);                                                     \
		uop_set_flags(c, v, bits / 8);                                                     \
		EMU_NEXT(c, u, s);                                                                 \
	}
DOUBLE_SHIFT(SHLD, 32)
DOUBLE_SHIFT(SHLD, 64)
DOUBLE_SHIFT(SHRD, 32)
DOUBLE_SHIFT(SHRD, 64)

bool uop_tr_double_shift(struct emu_builder *b, const struct x86_insn *in)
{
	static emu_fn *const by_width[2][2] = { { SHLD32, SHLD64 }, { SHRD32, SHRD64 } };
	unsigned width = in->rm_width;
	struct emu_uop *u;

	if (in->is_mem || in->form != X86_FORM_MRI || width < 4 || !(in->imm & (8 * width - 1)))
		return uop_emit_generic(b, in);
	u = emu_emit(b, by_width[in->op == X86_OP_SHRD][width == 8]);
	if (!u)
		return false;
	u->dst = EMU_GPR(in->rm);
	u->src = EMU_GPR(in->reg);
	u->imm = (int32_t)in->imm;
	return true;
}

/* --- Flags --- */

UOP(clc)
{
	uop_set_cf(c, false);
	EMU_NEXT(c, u, s);
}

UOP(stc)
{
	uop_set_cf(c, true);
	EMU_NEXT(c, u, s);
}

UOP(cmc)
{
	c->flags.aux ^= UOP_CF_OF;
	EMU_NEXT(c, u, s);
}

UOP(cld)
{
	s->rflags &= ~(uint64_t)X86_FLAG_DF;
	EMU_NEXT(c, u, s);
}

UOP(std_)
{
	s->rflags |= X86_FLAG_DF;
	EMU_NEXT(c, u, s);
}

/* SF, ZF, AF, PF, CF as in RFLAGS, and bit 1 (SDM Vol. 2A, LAHF). */
#define LAHF_FLAGS (ALU_FLAGS & 0xff)

UOP(lahf)
{
	EMU_R8(s, EMU_GPR(X86_RAX) + 1) =
		(uint8_t)((emu_flags_get(&c->flags) & LAHF_FLAGS) | X86_FLAG_1);
	EMU_NEXT(c, u, s);
}

UOP(sahf)
{
	uint64_t ah = EMU_R8(s, EMU_GPR(X86_RAX) + 1);
	uint64_t of = emu_of(&c->flags) ? X86_FLAG_OF : 0;

	emu_flags_set(&c->flags, (ah & LAHF_FLAGS) | of);
	EMU_NEXT(c, u, s);
}

bool uop_tr_flag(struct emu_builder *b, const struct x86_insn *in)
{
	emu_fn *fn;

	switch ((enum x86_op)in->op) {
	case X86_OP_CLC: fn = clc; break;
	case X86_OP_STC: fn = stc; break;
	case X86_OP_CMC: fn = cmc; break;
	case X86_OP_CLD: fn = cld; break;
	case X86_OP_STD: fn = std_; break;
	case X86_OP_LAHF: fn = lahf; break;
	case X86_OP_SAHF:
	default: fn = sahf; break;
	}
	return emu_emit(b, fn);
}
