/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a vector operation whose overflow or underflow is not masked was inexact. For the lanes
 * that are out of range so, MXCSR.PE is about the result with an exponent as large or as small as
 * it takes (SDM Vol. 1 4.9.1.4, 4.9.1.5), which no masked execution tells. So their results are
 * computed here, exactly enough to be rounded.
 */
#include "emu/x86_64/engine/vector.h"

typedef unsigned __int128 u128;

/* m times 2 to the e; m is below 2 to the 127. Bit 0 may stand for all that is below it. */
struct exact {
	u128 m;
	int e;
	bool negative;
};

struct format {
	unsigned size;      /* bytes */
	unsigned precision; /* bits, with the hidden one */
	int least, most;    /* exponents of normal numbers */
};

static const struct format half = { 2, 11, -14, 15 };
static const struct format single = { 4, 24, -126, 127 };
static const struct format twice = { 8, 53, -1022, 1023 };

/* The instruction, and what is to be found out. */
struct operation {
	const struct emu_cpu *c;
	const struct vec_key *key;
	const struct format *from, *to;
	uint32_t mxcsr;
	unsigned rounding; /* MXCSR.RC */
	uint32_t flags;    /* that are raised: OE, UE, PE; of UE only if it is not masked */
};

#define TOP 125 /* where lift() puts the most significant bit */

static int top_bit(u128 m)
{
	uint64_t high = (uint64_t)(m >> 64), low = (uint64_t)m;

	return high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll(low);
}

/* What leaves at the right stays in bit 0. */
static u128 shift_right(u128 m, int by)
{
	if (by > TOP)
		return m != 0;
	return m >> by | (u128)((m & (((u128)1 << by) - 1)) != 0);
}

static struct exact lift(struct exact x)
{
	int by = x.m ? TOP - top_bit(x.m) : 0;

	x.m = by < 0 ? shift_right(x.m, -by) : x.m << by;
	x.e -= by;
	return x;
}

/* --- Operations --- */

static struct exact negated(struct exact x)
{
	x.negative = !x.negative;
	return x;
}

static struct exact add(struct exact x, struct exact y)
{
	struct exact t;

	x = lift(x);
	y = lift(y);
	if (!x.m || (y.m && y.e > x.e)) {
		t = x;
		x = y;
		y = t;
	}
	if (!y.m)
		return x;
	y.m = shift_right(y.m, x.e - y.e);
	if (x.negative == y.negative) {
		x.m += y.m;
	} else if (x.m >= y.m) {
		x.m -= y.m;
	} else {
		x.m = y.m - x.m;
		x.negative = y.negative;
	}
	return x;
}

static struct exact multiply(struct exact x, struct exact y)
{
	return (struct exact){ x.m * y.m, x.e + y.e, x.negative != y.negative };
}

/* 64 bits of the quotient; y is not 0. */
static struct exact divide(struct exact x, struct exact y)
{
	struct exact q = { 0, 0, x.negative != y.negative };
	u128 rest;

	x = lift(x);
	y = lift(y);
	rest = x.m;
	for (unsigned i = 0; i < 64; i++) {
		q.m <<= 1;
		if (rest >= y.m) {
			rest -= y.m;
			q.m |= 1;
		}
		rest <<= 1;
	}
	q.m = q.m << 1 | (rest != 0);
	q.e = x.e - y.e - 64;
	return q;
}

/* --- Rounding --- */

/* Whether `kept`, of which `rest` is cut off (1: less than a half, 2: a half, 3: more), grows. */
static bool rounds_up(unsigned rounding, bool negative, u128 kept, unsigned rest)
{
	switch (rounding) {
	case 0: return rest == 3 || (rest == 2 && kept & 1);
	case 1: return rest && negative;
	case 2: return rest && !negative;
	default: return false;
	}
}

/* Of the bits below bit n: 0 none is set, or as above. */
static unsigned rest_below(u128 m, int n)
{
	u128 one = 1, cut;

	if (n > TOP + 1)
		return m != 0;
	cut = n > 0 ? m & ((one << n) - 1) : 0;
	if (!cut)
		return 0;
	return cut == one << (n - 1) ? 2 : cut >> (n - 1) ? 3 : 1;
}

/* Whether rounding to the format's normal precision, any exponent, is inexact; *exponent: then. */
static bool round_unbounded(const struct operation *o, struct exact x, int *exponent)
{
	int cut = TOP + 1 - (int)o->to->precision;
	u128 kept = x.m >> cut;
	unsigned rest = rest_below(x.m, cut);

	*exponent = x.e + TOP;
	if (rounds_up(o->rounding, x.negative, kept, rest) && (kept + 1) >> o->to->precision)
		(*exponent)++;
	return rest;
}

static void finish(struct operation *o, struct exact x)
{
	const struct format *f = o->to;
	uint32_t unmasked = o->c->mxcsr_unmasked;
	bool inexact;
	int exponent;

	x = lift(x);
	if (!x.m)
		return;
	inexact = round_unbounded(o, x, &exponent);
	if (exponent > f->most) {
		o->flags |= MXCSR_OE;
		inexact |= !(unmasked & MXCSR_OE);
	} else if (exponent < f->least && unmasked & MXCSR_UE) {
		o->flags |= MXCSR_UE;
	} else if (exponent < f->least) {
		inexact |= (o->mxcsr & MXCSR_FZ && f != &half) ||
		           rest_below(x.m, f->least - (int)f->precision + 1 - x.e);
	}
	o->flags |= inexact ? MXCSR_PE : 0;
}

/* --- Operands --- */

static uint64_t lane(const struct operation *o, unsigned n, unsigned i)
{
	unsigned at = i * o->from->size;
	struct x86_state *s = o->c->s;
	const uint8_t *p = at < 16 ? vec_xmm(s, n) + at : vec_ymm_high(s, n) + at - 16;

	return o->from->size == 8 ? vec_u64(p) : vec_u32(p);
}

static uint64_t lane_of_rm(const struct operation *o, unsigned i)
{
	const uint8_t *p = o->c->operand + i * o->from->size;

	if (o->key->modrm >= 0xc0)
		return lane(o, o->key->rm, i);
	return o->from->size == 8 ? vec_u64(p) : vec_u32(p);
}

/* false: infinity or NaN, of which nothing here comes. */
static bool unpack(const struct operation *o, uint64_t bits, struct exact *x)
{
	const struct format *f = o->from;
	unsigned stored = f->precision - 1; /* bits of the significand */
	int biased = (int)(bits >> stored & (unsigned)(2 * f->most + 1));
	uint64_t m = bits & ((UINT64_C(1) << stored) - 1);

	if (biased > 2 * f->most)
		return false;
	if (biased)
		m |= UINT64_C(1) << stored;
	else if (o->mxcsr & MXCSR_DAZ)
		m = 0;
	*x = (struct exact){ m, (biased ? biased - 1 : 0) + f->least - (int)stored,
		             bits >> (8 * f->size - 1) & 1 };
	return true;
}

static unsigned lanes(const struct operation *o)
{
	bool scalar = o->key->pp > 1;

	return scalar ? 1 : (o->key->l ? 32u : 16u) / o->from->size;
}

static unsigned first_source(const struct operation *o)
{
	return o->key->vex ? o->key->vvvv : o->key->reg;
}

/* --- Instructions --- */

static void add_lanes(struct operation *o, uint64_t a, uint64_t b, bool subtract)
{
	struct exact x, y;

	if (unpack(o, a, &x) && unpack(o, b, &y))
		finish(o, add(x, subtract ? negated(y) : y));
}

/* ADD, MUL, SUB, DIV */
static void arithmetic(struct operation *o)
{
	for (unsigned i = 0; i < lanes(o); i++) {
		struct exact x, y;

		if (!unpack(o, lane(o, first_source(o), i), &x) || !unpack(o, lane_of_rm(o, i), &y))
			continue;
		switch (o->key->opcode) {
		case 0x58: finish(o, add(x, y)); break;
		case 0x59: finish(o, multiply(x, y)); break;
		case 0x5c: finish(o, add(x, negated(y))); break;
		default:
			if (y.m)
				finish(o, divide(x, y));
		}
	}
}

/* HADD, HSUB, ADDSUB: always packed, F2 is of single precision. */
static void horizontal(struct operation *o)
{
	unsigned n = (o->key->l ? 32u : 16u) / o->from->size, a = first_source(o);

	for (unsigned i = 0; i < n; i += 2) {
		bool subtract = o->key->opcode == 0x7d;

		if (o->key->opcode == 0xd0) {
			add_lanes(o, lane(o, a, i), lane_of_rm(o, i), true);
			add_lanes(o, lane(o, a, i + 1), lane_of_rm(o, i + 1), false);
		} else {
			add_lanes(o, lane(o, a, i), lane(o, a, i + 1), subtract);
			add_lanes(o, lane_of_rm(o, i), lane_of_rm(o, i + 1), subtract);
		}
	}
}

/* Forms 132, 213, 231: which operand is the addend. */
static void multiply_add(struct operation *o)
{
	unsigned kind = o->key->opcode & 15u, form = o->key->opcode >> 4;
	unsigned n = kind > 7 && kind & 1 ? 1 : lanes(o);

	for (unsigned i = 0; i < n; i++) {
		uint64_t reg = lane(o, o->key->reg, i), vvvv = lane(o, o->key->vvvv, i);
		uint64_t rm = lane_of_rm(o, i);
		bool subtract = kind < 8 ? (i & 1) == (kind & 1) : kind & 2;
		struct exact x, y, z;

		if (!unpack(o, form == 0xb ? vvvv : reg, &x) ||
		    !unpack(o, form == 0xa ? vvvv : rm, &y) ||
		    !unpack(o,
		            form == 9     ? vvvv
		            : form == 0xa ? rm
		                          : reg,
		            &z))
			continue;
		x = multiply(x, y);
		finish(o, add(kind >= 12 ? negated(x) : x, subtract ? negated(z) : z));
	}
}

/* CVTPD2PS, CVTSD2SS */
static void narrow(struct operation *o)
{
	struct exact x;

	for (unsigned i = 0; i < lanes(o); i++)
		if (unpack(o, lane_of_rm(o, i), &x))
			finish(o, x);
}

static uint32_t input_flags(const struct operation *o, uint64_t bits)
{
	bool is_special = (bits & 0x7f800000) == 0x7f800000;

	if (is_special && bits & 0x003fffff && !(bits & 0x00400000))
		return MXCSR_IE;
	return !(bits & 0x7f800000) && bits & 0x007fffff && !(o->mxcsr & MXCSR_DAZ) ? MXCSR_DE : 0;
}

/* VCVTPS2PH, which reads ModRM.reg. Denormals are too small for any scaling: always inexact, as on
 * CPUs. */
static void narrow_to_half(struct operation *o)
{
	o->to = &half;
	if (!(o->key->imm & 4))
		o->rounding = o->key->imm & 3;
	for (unsigned i = 0; i < (o->key->l ? 8u : 4u); i++) {
		uint64_t bits = lane(o, o->key->reg, i);
		uint32_t flags = input_flags(o, bits);
		struct exact x;

		o->flags |= flags | (flags & MXCSR_DE ? MXCSR_PE : 0);
		if (unpack(o, bits, &x))
			finish(o, x);
	}
}

static const struct format *format_of(const struct vec_key *key)
{
	if (key->map == 2)
		return key->w ? &twice : &single;
	if (key->map == 3)
		return &single;
	if ((key->opcode & 0xfe) == 0x7c || key->opcode == 0xd0)
		return key->pp == 1 ? &twice : &single;
	return key->pp & 1 ? &twice : &single; /* 66, F2 */
}

bool emu_vec_is_inexact(const struct emu_cpu *c, const struct vec_key *key, uint32_t mxcsr)
{
	struct operation o = { .c = c,
		               .key = key,
		               .from = format_of(key),
		               .to = format_of(key),
		               .mxcsr = mxcsr,
		               .rounding = mxcsr >> 13 & 3 };

	if (key->map == 1 && key->opcode == 0x5a) {
		o.to = &single;
		narrow(&o);
	} else if (key->map == 3 && key->opcode == 0x1d) {
		narrow_to_half(&o);
	} else if (key->map == 2) {
		multiply_add(&o);
	} else if (key->map == 1 && key->opcode >= 0x58 && key->opcode <= 0x5e) {
		arithmetic(&o);
	} else if (key->map == 1) {
		horizontal(&o);
	} else {
		return c->mxcsr_raised & MXCSR_PE; /* DPPS, DPPD */
	}
	return o.flags & MXCSR_PE;
}

uint32_t emu_vec_half_flags(const struct emu_cpu *c, const struct vec_key *key, uint32_t mxcsr)
{
	struct operation o = {
		.c = c, .key = key, .from = &single, .mxcsr = mxcsr, .rounding = mxcsr >> 13 & 3
	};

	narrow_to_half(&o);
	return o.flags;
}
