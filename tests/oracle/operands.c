/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a case's operands are and what is in them. */
#include <string.h>

#include "emu/x86_64/alu.h"
#include "tests/oracle/random.h"

/* --- Values --- */

uint64_t random_value(uint64_t *r)
{
	static const uint64_t corner[] = {
		0,          1,
		2,          0x7f,
		0x80,       0xff,
		0x7fff,     0x8000,
		0xffff,     0x7fffffff,
		0x80000000, 0xffffffff,
		INT64_MAX,  UINT64_C(1) << 63,
		UINT64_MAX, UINT64_MAX - 1,
	};
	uint64_t v = random64(r);

	return v & 3 ? v : corner[(v >> 8) % HC_ARRAY_SIZE(corner)];
}

/* Zero, the smallest and greatest denormal, the smallest and greatest normal number, one, a half,
 * the integers' limits, infinity, QNaN, SNaN. */
static const uint32_t floats[] = { 0,          1,          0x007fffff, 0x00800000, 0x7f7fffff,
	                           0x3f800000, 0x3f000000, 0x4f000000, 0x4effffff, 0x5f000000,
	                           0x7f800000, 0x7fc00000, 0x7f800001, 0x40490fdb };
static const uint64_t doubles[] = { 0,
	                            1,
	                            0x000fffffffffffff,
	                            0x0010000000000000,
	                            0x7fefffffffffffff,
	                            0x3ff0000000000000,
	                            0x3fe0000000000000,
	                            0x41e0000000000000,
	                            0x41dfffffffc00000,
	                            0x43e0000000000000,
	                            0x7ff0000000000000,
	                            0x7ff8000000000000,
	                            0x7ff0000000000001,
	                            0x400921fb54442d18 };

static uint64_t random_float(uint64_t *r)
{
	uint64_t v = random64(r);

	if (v & 1)
		return floats[(v >> 8) % HC_ARRAY_SIZE(floats)] | (v >> 32 & 0x80000000);
	/* near one, where results neither overflow nor vanish */
	return (uint32_t)(v >> 32 & 0x83ffffff) + 0x3c000000 + (uint32_t)(v >> 2 & 0x03ffffff);
}

static uint64_t random_double(uint64_t *r)
{
	uint64_t v = random64(r);

	if (v & 1)
		return doubles[(v >> 8) % HC_ARRAY_SIZE(doubles)] | (v & UINT64_C(1) << 63);
	return (v & UINT64_C(0x803fffffffffffff)) + UINT64_C(0x3fd0000000000000);
}

uint64_t random_lane(uint64_t *r)
{
	switch (below(r, 4)) {
	case 0: return random64(r);
	case 1: return random_value(r);
	case 2: return random_double(r);
	default: return random_float(r) | random_float(r) << 32;
	}
}

/* 80 bits: a number of the usual range, or any pattern. */
static void random_extended(uint8_t *to, uint64_t *r)
{
	uint64_t significand = random64(r) | UINT64_C(1) << 63;
	uint16_t exponent = (uint16_t)(0x3fff - 70 + below(r, 140));

	if (one_in(r, 3)) { /* zeros, infinities, NaN, denormals, and what is none of them */
		static const uint16_t exponents[] = { 0, 1, 0x7ffe, 0x7fff, 0x3fff };

		exponent = exponents[below(r, HC_ARRAY_SIZE(exponents))];
		significand = one_in(r, 2) ? UINT64_C(1) << 63 : one_in(r, 3) ? 0 : random64(r);
	} else if (one_in(r, 3)) { /* an integer */
		exponent = (uint16_t)(0x3fff + below(r, 66));
		significand = one_in(r, 2) ? UINT64_C(3) << 62 : UINT64_C(1) << 63;
	}
	exponent |= (uint16_t)(random64(r) & 0x8000);
	memcpy(to, &significand, 8);
	memcpy(to + 8, &exponent, 2);
}

/* Offsets: SDM Vol. 1 table 10-2. */
static void random_x87(uint8_t *xsave, uint64_t *r)
{
	uint16_t fcw = 0x037f, fsw = 0;
	uint8_t tags = (uint8_t)random64(r);

	if (one_in(r, 2)) /* rounding and precision control */
		fcw = (uint16_t)((fcw & 0xff) | (random64(r) & 0xc00) | (below(r, 4) ? 0x300 : 0));
	if (one_in(r, 12)) /* exceptions unmasked */
		fcw = (uint16_t)(fcw & ~(random64(r) & 0x3f));
	fsw = (uint16_t)(below(r, 8) << 11 | (random64(r) & 0x4700));
	if (one_in(r, 4))
		fsw |= (uint16_t)(random64(r) & 0x7f);
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080; /* ES and B */
	if (one_in(r, 2))
		tags = 0xff;
	memcpy(xsave, &fcw, 2);
	memcpy(xsave + 2, &fsw, 2);
	xsave[4] = tags;
	for (unsigned i = 0; i < 8; i++)
		random_extended(xsave + 32 + 16 * i, r);
}

void oracle_random_vectors(uint8_t *xsave, uint64_t *r)
{
	uint32_t mxcsr = 0x1f80, mask = 0xffff;
	uint64_t present = ORACLE_XCR0;

	memset(xsave, 0, ORACLE_XSAVE_SIZE);
	random_x87(xsave, r);
	if (one_in(r, 2))
		mxcsr |= (uint32_t)random64(r) & 0x607f; /* rounding, DAZ, flags */
	if (one_in(r, 8))
		mxcsr |= 0x8000; /* FTZ */
	if (one_in(r, 12))
		mxcsr &= ~((uint32_t)random64(r) & 0x1f80);
	memcpy(xsave + 24, &mxcsr, 4);
	memcpy(xsave + 28, &mask, 4);
	for (unsigned i = 0; i < 256; i += 8) {
		uint64_t low = random_lane(r), high = random_lane(r);

		memcpy(xsave + 160 + i, &low, 8);
		memcpy(xsave + ORACLE_XSAVE_YMM + i, &high, 8);
	}
	memcpy(xsave + ORACLE_XSAVE_HEADER, &present, 8);
}

/* --- Places --- */

/* A linear address for an operand of some 64 bytes or less. */
static uint64_t random_target(uint64_t *r)
{
	uint64_t middle = 0x200 + (below(r, 0x1a00) & ~UINT64_C(63));
	uint64_t near = below(r, 64);

	switch (below(r, 20)) {
	case 0: return ORACLE_DATA + HC_PAGE_SIZE - near;         /* across two writable pages */
	case 1: return ORACLE_DATA + ORACLE_READ_ONLY - near;     /* into the read-only page */
	case 2: return ORACLE_DATA + ORACLE_READ_ONLY + 8 * near; /* in it */
	case 3: return ORACLE_DATA + ORACLE_DATA_SIZE - near;     /* out of it at its end */
	case 4: return ORACLE_DATA - near;                        /* into the data from below */
	case 5: return ORACLE_DATA - below(r, 2 * HC_PAGE_SIZE);  /* mostly absent */
	case 6:
	case 7:
	case 8:
	case 9: return ORACLE_DATA + middle + near; /* any alignment */
	default: return ORACLE_DATA + middle;       /* aligned */
	}
}

/* Not canonical, or in the lower half but not mapped. */
static uint64_t random_elsewhere(uint64_t *r)
{
	return one_in(r, 2) ? (UINT64_C(1) << 47) - below(r, 16) : random64(r) >> below(r, 24);
}

static uint64_t offset_of(const struct oracle_case *c, unsigned seg, uint64_t linear,
                          unsigned adsize)
{
	uint64_t base = seg == X86_FS ? c->state.fs_base : seg == X86_GS ? c->state.gs_base : 0;

	return (linear - base) & alu_mask(adsize);
}

static void set_low(uint64_t *gpr, unsigned width, uint64_t v)
{
	*gpr = width == 4 ? (uint32_t)v : (*gpr & ~alu_mask(width)) | (v & alu_mask(width));
}

/* The index of a gather is a vector register: small numbers, some negative. */
static void aim_vector_index(struct oracle_case *c, uint64_t *r)
{
	unsigned n = c->insn.index;
	uint8_t *x = c->state.xsave;

	if (n == X86_REG_NONE)
		n = X86_RSP; /* the SIB byte's 4 means a register here */
	for (unsigned i = 0; i < 32; i += 8) {
		int32_t low = (int32_t)below(r, 96) - 32, high = (int32_t)below(r, 96) - 32;
		uint64_t v = (uint32_t)low | (uint64_t)(uint32_t)high << 32;

		if (c->insn.opcode & 1) /* quadword indices */
			v = (uint64_t)(int64_t)low;
		memcpy(i < 16 ? x + 160 + 16 * n + i : x + ORACLE_XSAVE_YMM + 16 * n + i - 16, &v,
		       8);
	}
}

static bool is_gather(const struct x86_insn *in)
{
	return (in->prefixes & X86_PFX_VEX) && in->map == 2 && (in->opcode & 0xfc) == 0x90;
}

/* Changes base register or displacement so that the r/m operand is at c->target. */
static void aim_rm(struct oracle_case *c, unsigned disp_at, unsigned disp_len, uint64_t *r)
{
	const struct x86_insn *in = &c->insn;
	struct oracle_state *s = &c->state;
	uint64_t target = offset_of(c, in->seg, c->target, in->adsize);
	uint64_t ea = (uint64_t)(int64_t)in->disp;

	if (is_gather(in)) {
		aim_vector_index(c, r);
	} else if (in->index != X86_REG_NONE) {
		if (in->base >= X86_GPR_COUNT)
			set_low(&s->gpr[in->index], in->adsize, below(r, 256));
		ea += s->gpr[in->index] << in->scale;
	}
	if (in->base < X86_GPR_COUNT) {
		set_low(&s->gpr[in->base], in->adsize, target - ea);
		return;
	}
	if (in->base == X86_REG_RIP)
		ea += s->rip + in->length;
	ea = target - (ea - (uint64_t)(int64_t)in->disp);
	memcpy(c->code + disp_at, &ea, disp_len);
}

/* Implied operands in memory. */
struct implied {
	uint16_t op;
	uint8_t gpr; /* its address */
	uint8_t seg; /* enum x86_seg, X86_SEG_COUNT: x86_insn.seg */
};

static const struct implied implied[] = {
	{ X86_OP_MOVS, X86_RSI, X86_SEG_COUNT }, { X86_OP_MOVS, X86_RDI, X86_ES },
	{ X86_OP_CMPS, X86_RSI, X86_SEG_COUNT }, { X86_OP_CMPS, X86_RDI, X86_ES },
	{ X86_OP_STOS, X86_RDI, X86_ES },        { X86_OP_LODS, X86_RSI, X86_SEG_COUNT },
	{ X86_OP_SCAS, X86_RDI, X86_ES },        { X86_OP_XLAT, X86_RBX, X86_SEG_COUNT },
	{ X86_OP_PUSH, X86_RSP, X86_SS },        { X86_OP_POP, X86_RSP, X86_SS },
	{ X86_OP_PUSHA, X86_RSP, X86_SS },       { X86_OP_POPA, X86_RSP, X86_SS },
	{ X86_OP_PUSHF, X86_RSP, X86_SS },       { X86_OP_POPF, X86_RSP, X86_SS },
	{ X86_OP_CALL, X86_RSP, X86_SS },        { X86_OP_RET, X86_RSP, X86_SS },
	{ X86_OP_ENTER, X86_RSP, X86_SS },       { X86_OP_ENTER, X86_RBP, X86_SS },
	{ X86_OP_LEAVE, X86_RBP, X86_SS },
};

static bool is_string(const struct x86_insn *in)
{
	return in->op >= X86_OP_MOVS && in->op <= X86_OP_SCAS;
}

static bool is_maskmov(const struct x86_insn *in)
{
	return in->op == X86_OP_SIMD && in->map == 1 && in->opcode == 0xf7;
}

static void aim_implied(struct oracle_case *c, uint64_t *r)
{
	const struct x86_insn *in = &c->insn;

	for (size_t i = 0; i < HC_ARRAY_SIZE(implied); i++) {
		const struct implied *row = &implied[i];
		unsigned seg = row->seg == X86_SEG_COUNT ? in->seg : row->seg;
		unsigned adsize = row->seg == X86_SS ? c->mode / 8u : in->adsize;

		if (row->op != in->op)
			continue;
		set_low(&c->state.gpr[row->gpr], adsize,
		        offset_of(c, seg, c->target + 8 * below(r, 4), adsize));
	}
	if (is_maskmov(in))
		set_low(&c->state.gpr[X86_RDI], in->adsize,
		        offset_of(c, in->seg, c->target, in->adsize));
	if (is_string(in)) {
		set_low(&c->state.gpr[X86_RCX], in->adsize, below(r, 24));
		if (in->op <= X86_OP_CMPS && one_in(r, 3)) /* overlapping */
			set_low(&c->state.gpr[X86_RSI], in->adsize,
			        c->state.gpr[X86_RDI] + below(r, 32) - 16);
	}
}

void oracle_aim(struct oracle_case *c, unsigned disp_at, unsigned disp_len, uint64_t *r)
{
	struct x86_insn *in = &c->insn;
	uint64_t moffs;

	c->target = random_target(r);
	if (one_in(r, 40)) {
		c->target = random_elsewhere(r);
		/* #AC or the fault of an operand that is half canonical: CPUs differ. */
		c->state.rflags &= ~(uint64_t)X86_FLAG_AC;
	}
	if (in->op >= X86_OP_BT && in->op <= X86_OP_BTC && in->form == X86_FORM_MR && in->is_mem)
		set_low(&c->state.gpr[in->reg], in->reg_width, below(r, 0x2000) - 0x1000);
	if (in->op == X86_OP_ENTER && !one_in(r, 8)) { /* frames for which there is room */
		c->code[in->length - 2] = (uint8_t)below(r, 2);
		c->code[in->length - 1] &= one_in(r, 2) ? 0xe0 : 0xe3;
	}
	if (one_in(r, 50) && in->op != X86_OP_CALL) { /* as the registers are */
		c->state.rflags &= ~(uint64_t)X86_FLAG_AC;
		return;
	}
	aim_implied(c, r);
	if (in->form == X86_FORM_FD || in->form == X86_FORM_TD) {
		moffs = offset_of(c, in->seg, c->target, in->adsize);
		memcpy(c->code + in->length - in->adsize, &moffs, in->adsize);
	}
	if (in->is_mem)
		aim_rm(c, disp_at, disp_len, r);
	x86_decode(in, c->code, X86_INSN_MAX, (enum x86_mode)c->mode);
}

/* --- Contents --- */

/* What is in memory there, or a random number. */
static uint64_t memory_at(const struct oracle_case *c, uint64_t address, unsigned width,
                          uint64_t *r)
{
	uint64_t v = random_value(r);

	if (address - ORACLE_DATA <= ORACLE_DATA_SIZE - 8)
		memcpy(&v, c->memory + (address - ORACLE_DATA), width);
	return v;
}

/* Makes about half of the divisions succeed. */
static void suit_division(struct oracle_case *c, uint64_t *r)
{
	const struct x86_insn *in = &c->insn;
	uint64_t *gpr = c->state.gpr;
	unsigned width = in->rm_width;

	if (width == 1) {
		set_low(&gpr[X86_RAX], 2, gpr[X86_RAX] & (one_in(r, 2) ? 0xff : 0x7ff));
		return;
	}
	set_low(&gpr[X86_RDX], width, below(r, 16));
	if (in->op == X86_OP_IDIV && one_in(r, 2))
		set_low(&gpr[X86_RDX], width, alu_msb(gpr[X86_RAX], width) ? UINT64_MAX : 0);
}

void oracle_suit(struct oracle_case *c, uint64_t *r)
{
	const struct x86_insn *in = &c->insn;
	uint64_t *gpr = c->state.gpr;
	unsigned half = in->rm_width / 2u;

	switch (in->op) {
	case X86_OP_DIV:
	case X86_OP_IDIV:
		if (in->base != X86_RAX && in->base != X86_RDX)
			suit_division(c, r);
		break;
	case X86_OP_CALL: /* to where it may go: else, has the return address been pushed or not? */
		if (in->form == X86_FORM_M && !in->is_mem)
			gpr[in->rm] >>= 17;
		else if (in->form == X86_FORM_M && c->target - ORACLE_DATA < ORACLE_DATA_SIZE - 8)
			memset(c->memory + (c->target - ORACLE_DATA) + 5, 0, 3);
		break;
	case X86_OP_POPF: /* RFLAGS.TF would have the next instruction trap */
		if (c->state.gpr[X86_RSP] - ORACLE_DATA < ORACLE_DATA_SIZE - 1)
			c->memory[c->state.gpr[X86_RSP] - ORACLE_DATA + 1] &= 0xfe;
		break;
	case X86_OP_CMPXCHG:
		if (in->is_mem && one_in(r, 2) && in->base != X86_RAX && in->index != X86_RAX)
			set_low(&gpr[X86_RAX], in->reg_width,
			        memory_at(c, c->target, in->reg_width, r));
		break;
	case X86_OP_CMPXCHG8B:
		if (!one_in(r, 2) || in->base == X86_RAX || in->index == X86_RAX ||
		    in->base == X86_RDX || in->index == X86_RDX)
			break;
		set_low(&gpr[X86_RAX], half, memory_at(c, c->target, half, r));
		set_low(&gpr[X86_RDX], half, memory_at(c, c->target + half, half, r));
		break;
	default: break;
	}
	if (is_string(in) && one_in(r, 3)) /* runs of equal elements */
		memset(c->memory, one_in(r, 8), ORACLE_DATA_SIZE);
}
