/* SPDX-License-Identifier: BSD-2-Clause */
/* Moves, LEA, exchanges of registers, conditional moves and sets: what leaves the flags alone. */
#include "emu/x86_64/engine/uop.h"

/* --- MOV --- */

#define MOV_REG(bits)                                                                              \
	UOP(mov_rr##bits)                                                                          \
	{                                                                                          \
		uop_put##bits(s, u->dst, UOP_GET##bits(s, u->src));                                \
		EMU_NEXT(c, u, s);                                                                 \
	}                                                                                          \
	UOP(mov_ri##bits)                                                                          \
	{                                                                                          \
		uop_put##bits(s, u->dst, u->imm64);                                                \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define MOV_LOAD(kind, bits)                                                                       \
	UOP(mov_rm##bits##_##kind)                                                                 \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_READ);                              \
		UOP_READABLE(p, bits, va);                                                         \
		uop_put##bits(s, u->dst, *p);                                                      \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define MOV_STORE(kind, bits)                                                                      \
	UOP(mov_mr##bits##_##kind)                                                                 \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		UOP_WRITABLE(p, bits, va);                                                         \
		*p = UOP_GET##bits(s, u->src);                                                     \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define MOV_STORE_IMM(kind, bits)                                                                  \
	UOP(mov_mi##bits##_##kind)                                                                 \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		UOP_WRITABLE(p, bits, va);                                                         \
		*p = (uint##bits##_t)uop_imm(u);                                                   \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define MOV_ALL(bits)                                                                              \
	MOV_REG(bits)                                                                              \
	UOP_EACH_EA(MOV_LOAD, bits)                                                                \
	UOP_EACH_EA(MOV_STORE, bits)                                                               \
	UOP_EACH_EA_IMM(MOV_STORE_IMM, bits)

MOV_ALL(8)
MOV_ALL(16)
MOV_ALL(32)
MOV_ALL(64)

static emu_fn *const mov_rr[4] = { mov_rr8, mov_rr16, mov_rr32, mov_rr64 };
static emu_fn *const mov_ri[4] = { mov_ri8, mov_ri16, mov_ri32, mov_ri64 };
static emu_fn *const mov_rm[4][UOP_EA_KINDS] = { UOP_EA_ROW(mov_rm8), UOP_EA_ROW(mov_rm16),
	                                         UOP_EA_ROW(mov_rm32), UOP_EA_ROW(mov_rm64) };
static emu_fn *const mov_mr[4][UOP_EA_KINDS] = { UOP_EA_ROW(mov_mr8), UOP_EA_ROW(mov_mr16),
	                                         UOP_EA_ROW(mov_mr32), UOP_EA_ROW(mov_mr64) };
static emu_fn *const mov_mi[4][UOP_EA_KINDS] = { UOP_EA_ROW_IMM(mov_mi8), UOP_EA_ROW_IMM(mov_mi16),
	                                         UOP_EA_ROW_IMM(mov_mi32),
	                                         UOP_EA_ROW_IMM(mov_mi64) };

static bool mov_registers(struct emu_builder *b, const struct x86_insn *in, unsigned width)
{
	bool load = in->form == X86_FORM_RM;
	struct emu_uop *u = emu_emit(b, mov_rr[uop_log2(width)]);

	if (!u)
		return false;
	u->dst = uop_reg(in, load ? in->reg : in->rm, width);
	u->src = uop_reg(in, load ? in->rm : in->reg, width);
	uop_note_pure(b);
	return true;
}

static bool mov_immediate(struct emu_builder *b, const struct x86_insn *in, unsigned width)
{
	struct emu_uop *u = emu_emit(b, mov_ri[uop_log2(width)]);

	if (!u)
		return false;
	u->dst = uop_reg(in, in->form == X86_FORM_OI ? in->reg : in->rm, width);
	u->imm64 = in->imm;
	uop_note_pure(b);
	return true;
}

static bool mov_memory(struct emu_builder *b, const struct x86_insn *in, unsigned width)
{
	unsigned w = uop_log2(width);
	bool load = in->form == X86_FORM_RM || in->form == X86_FORM_FD;
	bool imm = in->form == X86_FORM_MI;
	struct emu_uop *u = uop_emit_ea(b, in, imm, imm ? mov_mi[w] : load ? mov_rm[w] : mov_mr[w]);

	if (!u)
		return false;
	u->dst = u->src = uop_reg(in, in->reg, width);
	if (imm)
		u->imm = (int32_t)in->imm;
	return true;
}

/* MOV and MOVNTI, whose hint means nothing here */
bool uop_tr_mov(struct emu_builder *b, const struct x86_insn *in)
{
	unsigned width = in->rm_width ? in->rm_width : in->reg_width;

	if (in->is_mem || in->form == X86_FORM_FD || in->form == X86_FORM_TD)
		return uop_has_ea(b, in) ? mov_memory(b, in, width) : uop_emit_generic(b, in);
	if (in->form == X86_FORM_OI || in->form == X86_FORM_MI)
		return mov_immediate(b, in, width);
	return mov_registers(b, in, width);
}

/* --- MOVZX, MOVSX, MOVSXD --- */

/* X(name, source bits, type of the source, destination bits); a zero-extension to 64 bits is one
 * to 32 bits. */
#define EACH_EXTENSION(X)                                                                          \
	X(zx8_16, 8, uint8_t, 16)                                                                  \
	X(zx8_32, 8, uint8_t, 32)                                                                  \
	X(zx16_32, 16, uint16_t, 32)                                                               \
	X(sx8_16, 8, int8_t, 16)                                                                   \
	X(sx8_32, 8, int8_t, 32)                                                                   \
	X(sx8_64, 8, int8_t, 64)                                                                   \
	X(sx16_32, 16, int16_t, 32)                                                                \
	X(sx16_64, 16, int16_t, 64)                                                                \
	X(sx32_64, 32, int32_t, 64)

#define EXTEND_REG(name, from, type, to)                                                           \
	UOP(name)                                                                                  \
	{                                                                                          \
		uop_put##to(s, u->dst, (uint64_t)(type)UOP_GET##from(s, u->src));                  \
		EMU_NEXT(c, u, s);                                                                 \
	}
#define EXTEND_LOAD(kind, name, from, type, to)                                                    \
	UOP(name##_##kind)                                                                         \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(from / 8, EMU_READ);                              \
		UOP_READABLE(p, from, va);                                                         \
		uop_put##to(s, u->dst, (uint64_t)(type)*p);                                        \
		EMU_NEXT(c, u, s);                                                                 \
	}
#define EXTEND(name, from, type, to)                                                               \
	EXTEND_REG(name, from, type, to) UOP_EACH_EA(EXTEND_LOAD, name, from, type, to)
EACH_EXTENSION(EXTEND)

struct extension {
	emu_fn *reg;
	emu_fn *mem[UOP_EA_KINDS];
};

#define EXTENSION(name)                                                                            \
	{                                                                                          \
		name, UOP_EA_ROW(name)                                                             \
	}

/* By signedness, log2 of the source's width and of the destination's less 1; same widths are MOV's
 * (MOVZX and MOVSX of words with an operand-size prefix, MOVSXD without REX.W). */
static const struct extension extensions[2][3][3] = {
	{ { EXTENSION(zx8_16), EXTENSION(zx8_32), EXTENSION(zx8_32) },
	  { { NULL, { NULL } }, EXTENSION(zx16_32), EXTENSION(zx16_32) } },
	{ { EXTENSION(sx8_16), EXTENSION(sx8_32), EXTENSION(sx8_64) },
	  { { NULL, { NULL } }, EXTENSION(sx16_32), EXTENSION(sx16_64) },
	  { { NULL, { NULL } }, { NULL, { NULL } }, EXTENSION(sx32_64) } },
};

bool uop_tr_extend(struct emu_builder *b, const struct x86_insn *in)
{
	const struct extension *x;
	struct emu_uop *u;

	if (in->rm_width == in->reg_width)
		return uop_tr_mov(b, in);
	if (in->is_mem && !uop_has_ea(b, in))
		return uop_emit_generic(b, in);
	x = &extensions[in->op != X86_OP_MOVZX][uop_log2(in->rm_width)]
	               [uop_log2(in->reg_width) - 1];
	u = in->is_mem ? uop_emit_ea(b, in, false, x->mem) : emu_emit(b, x->reg);
	if (!u)
		return false;
	u->dst = EMU_GPR(in->reg);
	if (!in->is_mem) {
		u->src = uop_reg(in, in->rm, in->rm_width);
		uop_note_pure(b);
	}
	return true;
}

/* --- LEA --- */

#define LEA(kind, bits)                                                                            \
	UOP(lea##bits##_##kind)                                                                    \
	{                                                                                          \
		uop_put##bits(s, u->dst, UOP_ADDRESS_##kind(0, 0));                                \
		EMU_NEXT(c, u, s);                                                                 \
	}
#define LEA_ALL(bits) LEA(BASE, bits) LEA(INDEX, bits) LEA(ABS, bits)

LEA_ALL(32)
LEA_ALL(64)

/* Any other: the offset without a segment, cut to the address size. */
UOP(lea_any)
{
	uint64_t a = uop_offset(c, u, s);

	if (UOP_ADSIZE(u->scale))
		a &= alu_mask(UOP_ADSIZE(u->scale));
	if (u->src == 2)
		EMU_R16(s, u->dst) = (uint16_t)a;
	else
		EMU_R64(s, u->dst) = u->src == 4 ? (uint32_t)a : a;
	EMU_NEXT(c, u, s);
}

static emu_fn *const lea[2][UOP_EA_KINDS] = {
	{ lea32_BASE, lea32_INDEX, lea32_ABS, lea_any, lea_any },
	{ lea64_BASE, lea64_INDEX, lea64_ABS, lea_any, lea_any },
};

bool uop_tr_lea(struct emu_builder *b, const struct x86_insn *in)
{
	struct x86_insn flat = *in;
	enum uop_ea kind;
	struct emu_uop *u;

	flat.seg = X86_DS;
	u = uop_emit_mem(b, &flat, false, &kind);
	if (!u)
		return false;
	u->dst = EMU_GPR(in->reg);
	if (in->reg_width == 2 && kind == UOP_EA_ABS) {
		u->fn = mov_ri16;
	} else if (in->reg_width == 2) {
		u->fn = lea_any;
	} else {
		u->fn = lea[in->reg_width == 8][kind];
	}
	u->src = in->reg_width;
	uop_note_pure(b);
	return true;
}

/* --- XCHG of registers, BSWAP, CBW and CWD, NOP --- */

#define XCHG(bits)                                                                                 \
	UOP(xchg##bits)                                                                            \
	{                                                                                          \
		uint##bits##_t v = UOP_GET##bits(s, u->src);                                       \
                                                                                                   \
		uop_put##bits(s, u->src, UOP_GET##bits(s, u->dst));                                \
		uop_put##bits(s, u->dst, v);                                                       \
		EMU_NEXT(c, u, s);                                                                 \
	}
XCHG(8)
XCHG(16)
XCHG(32)
XCHG(64)

bool uop_tr_nop(struct emu_builder *b, const struct x86_insn *in)
{
	uop_note_pure(b);
	return true;
}

bool uop_tr_xchg(struct emu_builder *b, const struct x86_insn *in)
{
	static emu_fn *const by_width[4] = { xchg8, xchg16, xchg32, xchg64 };
	bool short_form = in->form == X86_FORM_O;
	struct emu_uop *u;

	if (in->is_mem)
		return uop_tr_locked(b, in);
	if (short_form && in->reg == X86_RAX) /* NOP: not even 32 bits are zero-extended */
		return uop_tr_nop(b, in);
	u = emu_emit(b, by_width[uop_log2(in->reg_width)]);
	if (!u)
		return false;
	u->dst = uop_reg(in, short_form ? X86_RAX : in->rm, in->reg_width);
	u->src = uop_reg(in, in->reg, in->reg_width);
	uop_note_pure(b);
	return true;
}

UOP(bswap16)
{
	EMU_R16(s, u->dst) = 0; /* undefined; what CPUs do */
	EMU_NEXT(c, u, s);
}

UOP(bswap32)
{
	EMU_R64(s, u->dst) = __builtin_bswap32(EMU_R32(s, u->dst));
	EMU_NEXT(c, u, s);
}

UOP(bswap64)
{
	EMU_R64(s, u->dst) = __builtin_bswap64(EMU_R64(s, u->dst));
	EMU_NEXT(c, u, s);
}

bool uop_tr_bswap(struct emu_builder *b, const struct x86_insn *in)
{
	static emu_fn *const by_width[4] = { NULL, bswap16, bswap32, bswap64 };
	struct emu_uop *u = emu_emit(b, by_width[uop_log2(in->reg_width)]);

	if (!u)
		return false;
	u->dst = EMU_GPR(in->reg);
	uop_note_pure(b);
	return true;
}

/* CWD, CDQ, CQO: the sign of rAX all over rDX. CBW, CWDE, CDQE are sign-extensions of rAX. */
#define CWD(bits)                                                                                  \
	UOP(cwd##bits)                                                                             \
	{                                                                                          \
		uop_put##bits(s, EMU_GPR(X86_RDX),                                                 \
		              (uint64_t)((int##bits##_t)UOP_GET##bits(s, EMU_GPR(X86_RAX)) >>      \
		                         (bits - 1)));                                             \
		EMU_NEXT(c, u, s);                                                                 \
	}
CWD(16)
CWD(32)
CWD(64)

bool uop_tr_widen(struct emu_builder *b, const struct x86_insn *in)
{
	static emu_fn *const by_width[2][4] = { { NULL, sx8_16, sx16_32, sx32_64 },
		                                { NULL, cwd16, cwd32, cwd64 } };
	struct emu_uop *u = emu_emit(b, by_width[in->op == X86_OP_CWD][uop_log2(in->opsize)]);

	if (!u)
		return false;
	u->dst = u->src = EMU_GPR(X86_RAX);
	uop_note_pure(b);
	return true;
}

/* --- CMOVcc, SETcc --- */

/* A 32-bit destination's upper half is cleared in either case. */
#define CMOV(cc, bits)                                                                             \
	UOP(cmov##bits##_##cc)                                                                     \
	{                                                                                          \
		uint##bits##_t v = UOP_GET##bits(s, u->dst);                                       \
                                                                                                   \
		if (emu_condition(&c->flags, cc))                                                  \
			v = UOP_GET##bits(s, u->src);                                              \
		uop_put##bits(s, u->dst, v);                                                       \
		EMU_NEXT(c, u, s);                                                                 \
	}
UOP_EACH_CC(CMOV, 16)
UOP_EACH_CC(CMOV, 32)
UOP_EACH_CC(CMOV, 64)

/* The condition in src: memory is the rarer operand. It is read in either case. */
#define CMOV_LOAD(kind, bits)                                                                      \
	UOP(cmov##bits##_rm_##kind)                                                                \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_READ);                              \
		UOP_READABLE(p, bits, va);                                                         \
		uint##bits##_t v = *p;                                                             \
                                                                                                   \
		if (!emu_condition(&c->flags, u->src))                                             \
			v = UOP_GET##bits(s, u->dst);                                              \
		uop_put##bits(s, u->dst, v);                                                       \
		EMU_NEXT(c, u, s);                                                                 \
	}
#define CMOV_LOADS(bits) CMOV_LOAD(FULL, bits) CMOV_LOAD(ANY, bits)
CMOV_LOADS(16)
CMOV_LOADS(32)
CMOV_LOADS(64)

#define SET(cc, unused)                                                                            \
	UOP(set_##cc)                                                                              \
	{                                                                                          \
		EMU_R8(s, u->dst) = emu_condition(&c->flags, cc);                                  \
		EMU_NEXT(c, u, s);                                                                 \
	}
UOP_EACH_CC(SET, )

#define SET_STORE(kind)                                                                            \
	UOP(set_m_##kind)                                                                          \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(1, EMU_WRITE);                                    \
		UOP_WRITABLE(p, 8, va);                                                            \
		*p = emu_condition(&c->flags, u->src);                                             \
		EMU_NEXT(c, u, s);                                                                 \
	}
SET_STORE(FULL)
SET_STORE(ANY)

bool uop_tr_cmov(struct emu_builder *b, const struct x86_insn *in)
{
	static emu_fn *const reg[4][16] = {
		[1] = UOP_CC_ROW(cmov16), [2] = UOP_CC_ROW(cmov32), [3] = UOP_CC_ROW(cmov64)
	};
	static emu_fn *const mem[4][UOP_EA_KINDS] = { [1] = UOP_EA_ROW_RARE(cmov16_rm),
		                                      [2] = UOP_EA_ROW_RARE(cmov32_rm),
		                                      [3] = UOP_EA_ROW_RARE(cmov64_rm) };
	unsigned w = uop_log2(in->reg_width);
	unsigned cc = in->opcode & 0xf;
	struct emu_uop *u;

	if (in->is_mem && !uop_has_ea(b, in))
		return uop_emit_generic(b, in);
	u = in->is_mem ? uop_emit_ea(b, in, true, mem[w]) : emu_emit(b, reg[w][cc]);
	if (!u)
		return false;
	u->dst = EMU_GPR(in->reg);
	u->src = in->is_mem ? (uint8_t)cc : EMU_GPR(in->rm);
	return true;
}

bool uop_tr_setcc(struct emu_builder *b, const struct x86_insn *in)
{
	static emu_fn *const reg[16] = UOP_CC_ROW(set);
	static emu_fn *const mem[UOP_EA_KINDS] = UOP_EA_ROW_RARE(set_m);
	unsigned cc = in->opcode & 0xf;
	struct emu_uop *u;

	if (in->is_mem && !uop_has_ea(b, in))
		return uop_emit_generic(b, in);
	u = in->is_mem ? uop_emit_ea(b, in, true, mem) : emu_emit(b, reg[cc]);
	if (!u)
		return false;
	u->dst = uop_reg(in, in->rm, 1);
	u->src = (uint8_t)cc;
	return true;
}
