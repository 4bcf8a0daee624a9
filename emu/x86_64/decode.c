/* SPDX-License-Identifier: BSD-2-Clause */
#include "emu/x86_64/decode.h"

#include <hypercore/errno.h>

/* The bytes still to be read. Past the end, reads give 0 and `overrun` stays set. */
struct cursor {
	const uint8_t *p;
	const uint8_t *end;
	bool overrun;
};

static uint8_t peek8(struct cursor *c)
{
	if (c->p >= c->end) {
		c->overrun = true;
		return 0;
	}
	return *c->p;
}

static uint8_t take8(struct cursor *c)
{
	if (c->p >= c->end) {
		c->overrun = true;
		return 0;
	}
	return *c->p++;
}

_Static_assert(X86_PFX_66 == 1, "indexes operand_sizes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "operands are copied as they are");

/* n (2, 4 or 8) bytes, little-endian. */
static inline uint64_t take(struct cursor *c, unsigned n)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	if ((size_t)(c->end - c->p) < n) {
		c->overrun = true;
		return 0;
	}
	c->p += n;
	switch (n) {
	case 2: __builtin_memcpy(&v16, c->p - 2, 2); return v16;
	case 4: __builtin_memcpy(&v32, c->p - 4, 4); return v32;
	default: __builtin_memcpy(&v64, c->p - 8, 8); return v64;
	}
}

static uint64_t sign_extend(uint64_t v, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;

	return (uint64_t)((int64_t)(v << shift) >> shift);
}

/* What a byte means before the opcode. */
enum prefix_class { NOT_PREFIX, PREFIX_FLAG, PREFIX_REPEAT, PREFIX_SEG, PREFIX_REX };

struct prefix {
	uint8_t class;
	uint8_t value; /* X86_PFX_..., or the segment */
};

static const struct prefix prefix_table[256] = {
	[0x26] = { PREFIX_SEG, X86_ES },        [0x2e] = { PREFIX_SEG, X86_CS },
	[0x36] = { PREFIX_SEG, X86_SS },        [0x3e] = { PREFIX_SEG, X86_DS },
	[0x40 ... 0x4f] = { PREFIX_REX, 0 },    [0x64] = { PREFIX_SEG, X86_FS },
	[0x65] = { PREFIX_SEG, X86_GS },        [0x66] = { PREFIX_FLAG, X86_PFX_66 },
	[0x67] = { PREFIX_FLAG, X86_PFX_67 },   [0xf0] = { PREFIX_FLAG, X86_PFX_LOCK },
	[0xf2] = { PREFIX_REPEAT, X86_PFX_F2 }, [0xf3] = { PREFIX_REPEAT, X86_PFX_F3 },
};

static void take_prefix(struct x86_insn *in, const struct prefix *prefix, enum x86_mode mode)
{
	switch ((enum prefix_class)prefix->class) {
	case PREFIX_SEG:
		/* 64-bit mode has no ES, CS, SS and DS overrides (APM Vol. 3 1.2.4). */
		if (mode == X86_MODE_64 && prefix->value < X86_FS)
			break;
		in->seg = prefix->value;
		in->prefixes |= X86_PFX_SEG;
		break;
	case PREFIX_REPEAT:
		in->prefixes &= (uint8_t) ~(X86_PFX_F2 | X86_PFX_F3);
		in->prefixes |= prefix->value;
		break;
	case PREFIX_FLAG:
	case PREFIX_REX:
	case NOT_PREFIX:
	default: in->prefixes |= prefix->value; break;
	}
}

/* Leaves the cursor at the opcode. A REX byte counts only just before it (SDM Vol. 2A 2.2.1). */
static void take_prefixes(struct cursor *c, struct x86_insn *in, enum x86_mode mode)
{
	for (;; c->p++) {
		uint8_t byte = peek8(c);
		const struct prefix *prefix = &prefix_table[byte];

		if (prefix->class == NOT_PREFIX)
			return;
		if (prefix->class == PREFIX_REX) {
			if (mode != X86_MODE_64)
				return;
			in->rex = byte;
			continue;
		}
		in->rex = 0;
		take_prefix(in, prefix, mode);
	}
}

/* Row index of the forms BY_PFX: none, 66, F3, F2. */
static unsigned mandatory_prefix(const struct x86_insn *in)
{
	if (in->prefixes & X86_PFX_F2)
		return 3;
	if (in->prefixes & X86_PFX_F3)
		return 2;
	return in->prefixes & X86_PFX_66 ? 1 : 0;
}

/* The pp field of VEX and EVEX as legacy prefixes. */
static const uint8_t pp_prefix[4] = { 0, X86_PFX_66, X86_PFX_F3, X86_PFX_F2 };

/* VEX excludes these before it (SDM Vol. 2A 2.3.2, 2.3.3). */
static bool vex_allowed(const struct x86_insn *in)
{
	return !in->rex && !(in->prefixes & (X86_PFX_66 | X86_PFX_F2 | X86_PFX_F3 | X86_PFX_LOCK));
}

static const struct x86_opcode undefined_row;

static const struct x86_opcode *vex_row(struct cursor *c, struct x86_insn *in, enum x86_mode mode)
{
	static const struct x86_opcode *const map[4] = { NULL, x86_vex_0f, x86_vex_0f38,
		                                         x86_vex_0f3a };
	uint8_t rxb = take8(c);
	uint8_t last = rxb;
	unsigned m = 1;

	if (in->opcode == 0xc4) {
		m = rxb & 0x1f;
		last = take8(c);
	} else {
		rxb |= 0x60;  /* the two-byte form has R alone */
		last &= 0x7f; /* and no W */
	}
	if (m < 1 || m > 3 || !vex_allowed(in))
		return &undefined_row;
	in->map = (uint8_t)m;
	in->prefixes |= X86_PFX_VEX | pp_prefix[last & 3];
	in->vvvv = (~last >> 3) & 0xf;
	in->vex = last & (X86_VEX_W | X86_VEX_L);
	in->rex = (uint8_t)((~rxb >> 5 & 7) | (last >> 7) << 3);
	if (mode != X86_MODE_64) {
		in->rex = 0; /* no 64-bit operands and 8 registers (SDM Vol. 2A 2.3.5) */
		in->vvvv &= 7;
	}
	in->opcode = take8(c);
	return &map[m][in->opcode];
}

static const struct x86_opcode *evex_row(struct cursor *c, struct x86_insn *in, enum x86_mode mode)
{
	static const struct x86_opcode plain = X86_ROW(EVEX, RM, NONE, NONE, NONE, 0);
	static const struct x86_opcode with_imm = X86_ROW(EVEX, RMI, NONE, NONE, UB, 0);
	uint8_t p0 = take8(c);
	uint8_t p1 = take8(c);
	unsigned map = p0 & 7;
	uint8_t op;

	take8(c); /* the third byte has masks and vector length */
	op = take8(c);
	/* SDM Vol. 2A 2.7.1: maps 1 to 3, 5, 6; P0[3] is 0 and P1[2] is 1. */
	if (map < 1 || map > 6 || map == 4 || (p0 & 8) || !(p1 & 4) || !vex_allowed(in))
		return &undefined_row;
	in->map = (uint8_t)map;
	in->opcode = op;
	in->prefixes |= X86_PFX_EVEX | pp_prefix[p1 & 3];
	in->vvvv = (~p1 >> 3) & 0xf;
	in->rex = (uint8_t)((~p0 >> 5 & 7) | (p1 >> 7) << 3);
	if (mode != X86_MODE_64)
		in->rex = 0;
	if (map == 3 ||
	    (map == 1 && ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6))))
		return &with_imm;
	return &plain;
}

static const struct x86_opcode *escape_row(struct cursor *c, struct x86_insn *in,
                                           enum x86_mode mode)
{
	static const struct x86_opcode les = X86_ROW(LES, RM, V, P, NONE, X86_F_MEM);
	static const struct x86_opcode lds = X86_ROW(LDS, RM, V, P, NONE, X86_F_MEM);
	static const struct x86_opcode bound = X86_ROW(BOUND, RM, V, A, NONE, X86_F_MEM);
	uint8_t first = in->opcode;

	if (first == 0x0f) {
		in->map = 1;
		in->opcode = take8(c);
		if (in->opcode != 0x38 && in->opcode != 0x3a)
			return &x86_map_0f[in->opcode];
		in->map = in->opcode == 0x38 ? 2 : 3;
		in->opcode = take8(c);
		return in->map == 2 ? &x86_map_0f38[in->opcode] : &x86_map_0f3a[in->opcode];
	}
	/* Outside 64-bit mode the next byte is a ModRM of memory form, or else it is VEX. */
	if (mode != X86_MODE_64 && peek8(c) < 0xc0)
		return first == 0xc4 ? &les : first == 0xc5 ? &lds : &bound;
	return first == 0x62 ? evex_row(c, in, mode) : vex_row(c, in, mode);
}

/* Follows the forms BY_... to a row with operands. Gathers the flags on the way. */
static const struct x86_opcode *resolve(const struct x86_opcode *row, struct cursor *c,
                                        const struct x86_insn *in, enum x86_mode mode,
                                        unsigned *flags)
{
	while (row->form > X86_FORM_LAST_OPERANDS) {
		const struct x86_opcode *group = x86_group_rows[row->op];

		*flags |= row->flags;
		switch ((enum x86_form)row->form) {
		case X86_FORM_BY_REG: row = &group[peek8(c) >> 3 & 7]; break;
		case X86_FORM_BY_MOD: row = &group[peek8(c) >= 0xc0]; break;
		case X86_FORM_BY_RM: row = &group[peek8(c) & 7]; break;
		case X86_FORM_BY_PFX: row = &group[mandatory_prefix(in)]; break;
		case X86_FORM_BY_MODE: row = &group[mode == X86_MODE_64]; break;
		default: return &undefined_row;
		}
	}
	*flags |= row->flags;
	return row;
}

static const struct x86_opcode *x87_row(struct cursor *c, const struct x86_insn *in)
{
	static const struct x86_opcode row = X86_ROW(X87, M, NONE, NONE, NONE, 0);

	return x86_x87_defined(in->opcode & 7u, peek8(c)) ? &row : &undefined_row;
}

/* Sizes by mode (16, 32, 64 bits) and whether the prefix is there: SDM Vol. 1 3.6.1. */
static const uint8_t operand_sizes[3][2] = { { 2, 4 }, { 4, 2 }, { 4, 2 } };
static const uint8_t address_sizes[3][2] = { { 2, 4 }, { 4, 2 }, { 8, 4 } };

static inline unsigned operand_size(const struct x86_insn *in, enum x86_mode mode, unsigned flags)
{
	unsigned size = operand_sizes[mode >> 5][in->prefixes & X86_PFX_66];

	if (in->rex & 8)
		return 8;
	if ((flags & (X86_F_D64 | X86_F_F64)) && mode == X86_MODE_64)
		return size == 2 && !(flags & X86_F_F64) ? 2 : 8;
	return size;
}

static inline unsigned address_size(const struct x86_insn *in, enum x86_mode mode)
{
	return address_sizes[mode >> 5][(in->prefixes & X86_PFX_67) / X86_PFX_67];
}

/* Widths that the operand size alone decides, by its log2 less 1: 2, 4, 8. */
static const uint8_t width_table[X86_W_N][3] = {
	[X86_W_B] = { 1, 1, 1 },  [X86_W_W] = { 2, 2, 2 },     [X86_W_D] = { 4, 4, 4 },
	[X86_W_Q] = { 8, 8, 8 },  [X86_W_DQ] = { 16, 16, 16 }, [X86_W_V] = { 2, 4, 8 },
	[X86_W_Z] = { 2, 4, 4 },  [X86_W_Y] = { 4, 4, 8 },     [X86_W_P] = { 4, 6, 10 },
	[X86_W_A] = { 4, 8, 16 }, [X86_W_2Y] = { 8, 8, 16 },
};

static inline uint8_t width_of(unsigned width, const struct x86_insn *in, enum x86_mode mode)
{
	if (__builtin_expect(width < X86_W_N, 1))
		return width_table[width][in->opsize >> 2];
	if (width == X86_W_MW)
		return in->is_mem ? 2 : in->opsize;
	if (width == X86_W_N)
		return mode == X86_MODE_64 ? 8 : 4;
	return mode == X86_MODE_64 ? 10 : 6;
}

/* SDM Vol. 2A 2.1.5, table 2-1. */
static void take_mem16(struct cursor *c, struct x86_insn *in)
{
	static const struct {
		uint8_t base, index;
	} table[8] = {
		{ X86_RBX, X86_RSI },      { X86_RBX, X86_RDI },      { X86_RBP, X86_RSI },
		{ X86_RBP, X86_RDI },      { X86_RSI, X86_REG_NONE }, { X86_RDI, X86_REG_NONE },
		{ X86_RBP, X86_REG_NONE }, { X86_RBX, X86_REG_NONE },
	};
	unsigned mod = in->modrm >> 6;
	unsigned rm = in->modrm & 7;

	in->base = table[rm].base;
	in->index = table[rm].index;
	if (mod == 0 && rm == 6) {
		in->base = X86_REG_NONE;
		mod = 2;
	}
	if (mod == 1)
		in->disp = (int8_t)take8(c);
	else if (mod == 2)
		in->disp = (int16_t)take(c, 2);
}

static void take_sib(struct cursor *c, struct x86_insn *in)
{
	uint8_t sib = take8(c);
	uint8_t index = (uint8_t)((sib >> 3 & 7) | (in->rex & 2) << 2);

	in->scale = sib >> 6;
	in->index = index == X86_RSP ? X86_REG_NONE : index;
	in->base = (uint8_t)((sib & 7) | (in->rex & 1) << 3);
	if ((sib & 7) == 5 && in->modrm < 0x40)
		in->base = X86_REG_NONE;
}

/* SDM Vol. 2A 2.1.5, tables 2-2 and 2-3, and 2.2.1.6 for RIP-relative addresses. */
static void take_mem(struct cursor *c, struct x86_insn *in, enum x86_mode mode)
{
	unsigned mod = in->modrm >> 6;
	unsigned rm = in->modrm & 7;
	bool no_base = false;

	if (rm == 4) {
		take_sib(c, in);
		no_base = in->base == X86_REG_NONE;
	} else if (mod == 0 && rm == 5) {
		in->base = mode == X86_MODE_64 ? X86_REG_RIP : X86_REG_NONE;
		no_base = true;
	} else {
		in->base = (uint8_t)(rm | (in->rex & 1u) << 3);
	}
	if (mod == 1)
		in->disp = (int8_t)take8(c);
	else if (mod == 2 || no_base)
		in->disp = (int32_t)take(c, 4);
}

static void take_modrm(struct cursor *c, struct x86_insn *in, enum x86_mode mode, unsigned flags)
{
	in->modrm = take8(c);
	in->reg = (uint8_t)((in->modrm >> 3 & 7) | (in->rex & 4) << 1);
	if (in->modrm >= 0xc0 || (flags & X86_F_MODX)) {
		in->rm = (uint8_t)((in->modrm & 7) | (in->rex & 1) << 3);
		return;
	}
	in->is_mem = 1;
	if (in->adsize == 2)
		take_mem16(c, in);
	else
		take_mem(c, in, mode);
	if (!(in->prefixes & X86_PFX_SEG) && (in->base == X86_RSP || in->base == X86_RBP))
		in->seg = X86_SS;
}

static void take_imm(struct cursor *c, struct x86_insn *in, enum x86_imm imm)
{
	unsigned z = in->opsize == 2 ? 2 : 4;

	switch (imm) {
	case X86_IMM_IB:
	case X86_IMM_JB: in->imm = sign_extend(take8(c), 1); break;
	case X86_IMM_UB: in->imm = take8(c); break;
	case X86_IMM_IW: in->imm = take(c, 2); break;
	case X86_IMM_IZ:
	case X86_IMM_JZ: in->imm = sign_extend(take(c, z), z); break;
	case X86_IMM_IV: in->imm = take(c, in->opsize); break;
	case X86_IMM_MOFFS: in->imm = take(c, in->adsize); break;
	case X86_IMM_AP:
		in->imm = take(c, z);
		in->imm2 = (uint16_t)take(c, 2);
		break;
	case X86_IMM_ENTER:
		in->imm = take(c, 2);
		in->imm2 = take8(c);
		break;
	case X86_IMM_2UB:
		in->imm = take8(c);
		in->imm2 = take8(c);
		break;
	case X86_IMM_NONE:
	default: break;
	}
}

/* LOCK needs a destination in memory (SDM Vol. 2A, LOCK). */
static bool lock_allowed(const struct x86_insn *in, unsigned flags)
{
	return (flags & X86_F_LOCK) && in->is_mem && in->form != X86_FORM_RM;
}

/* What is_defined() looks at besides LOCK; most rows have none of it. */
#define CONDITIONS (X86_P_ALL | X86_F_I64 | X86_F_O64 | X86_F_MEM | X86_F_REG)

/* Whether the row may be used as it was: mode, mandatory prefix, LOCK, kind of r/m. */
static bool is_defined(const struct x86_insn *in, enum x86_mode mode, unsigned flags)
{
	if ((flags & X86_P_ALL) && !(flags >> mandatory_prefix(in) & 1))
		return false;
	if (flags & (mode == X86_MODE_64 ? X86_F_I64 : X86_F_O64))
		return false;
	if (flags & (in->is_mem ? X86_F_REG : X86_F_MEM))
		return false;
	return !(in->prefixes & X86_PFX_LOCK) || lock_allowed(in, flags);
}

/* VEX.L and VEX.vvvv of what is no vector instruction: L is 0, and vvvv is 1111b where it names no
 * operand (SDM Vol. 2A 2.6.3, Vol. 2 on each instruction). */
static bool vex_fields_allowed(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_SIMD: return true;
	case X86_OP_RORX:
	case X86_OP_LDMXCSR:
	case X86_OP_STMXCSR: return !(in->vex & X86_VEX_L) && !in->vvvv;
	default: return !(in->vex & X86_VEX_L);
	}
}

int x86_decode(struct x86_insn *restrict in, const uint8_t *restrict bytes, size_t n,
               enum x86_mode mode)
{
	struct cursor c = { bytes, bytes + (n < X86_INSN_MAX ? n : X86_INSN_MAX), false };
	const struct x86_opcode *row;
	unsigned flags = 0;

	*in = (struct x86_insn){ .base = X86_REG_NONE, .index = X86_REG_NONE, .seg = X86_DS };
	take_prefixes(&c, in, mode);
	in->opcode = take8(&c);
	row = &x86_map_1[in->opcode];
	if (row->form > X86_FORM_LAST_OPERANDS) {
		if (row->form == X86_FORM_ESCAPE)
			row = escape_row(&c, in, mode);
		if (row->form == X86_FORM_X87)
			row = x87_row(&c, in);
		row = resolve(row, &c, in, mode, &flags);
	} else {
		flags = row->flags;
	}
	in->op = row->op;
	in->form = row->form;
	in->opsize = (uint8_t)operand_size(in, mode, flags);
	in->adsize = (uint8_t)address_size(in, mode);
	if (row->form >= X86_FORM_M)
		take_modrm(&c, in, mode, flags);
	else if (row->form == X86_FORM_O || row->form == X86_FORM_OI)
		in->reg = (uint8_t)((in->opcode & 7) | (in->rex & 1) << 3);
	if (row->imm != X86_IMM_NONE)
		take_imm(&c, in, (enum x86_imm)row->imm);
	if (c.overrun)
		return n >= X86_INSN_MAX ? -EPROTO : -EAGAIN;
	if (row->op == X86_OP_UNDEFINED)
		return -EINVAL;
	if (((flags & CONDITIONS) || (in->prefixes & X86_PFX_LOCK)) && !is_defined(in, mode, flags))
		return -EINVAL;
	if ((in->prefixes & X86_PFX_VEX) && !vex_fields_allowed(in))
		return -EINVAL;
	in->reg_width = width_of(row->reg, in, mode);
	in->rm_width = width_of(row->rm, in, mode);
	in->length = (uint8_t)(c.p - bytes);
	return in->length;
}

#define OP_NAME(name) [X86_OP_##name] = #name,
static const char *const op_names[X86_OP_COUNT] = { X86_OPS(OP_NAME) };

const char *x86_op_name(unsigned op)
{
	return op > X86_OP_UNDEFINED && op < X86_OP_COUNT ? op_names[op] : "?";
}
