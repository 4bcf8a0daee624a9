/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two tables: how an instruction addresses memory, and, one for each of these classes, what it
 * transfers. Bits that the manual wants to be one or zero without saying what else happens
 * ("(1)", "(0)") are not looked at.
 */
#include "emu/aarch64/ldst.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

static unsigned field(uint32_t insn, unsigned hi, unsigned lo)
{
	return (unsigned)hc_bits(insn, hi, lo);
}

static int64_t signed_field(uint32_t insn, unsigned hi, unsigned lo)
{
	unsigned up = 63 - hi;

	return (int64_t)((uint64_t)insn << up) >> (up + lo);
}

/* --- What is transferred --- */

enum {
	SIGNED = 1,
	TO_64 = 2,
	VECTOR = 4,
	PAIR = 8,    /* rt2 */
	STATUS = 16, /* rs */
	EVEN = 32    /* rs and rt are even: they stand for pairs */
};

struct transfer {
	uint32_t mask, value;
	uint8_t kind;
	uint8_t size; /* 0: as bits 31:30 say */
	uint8_t flags;
};

/* Loads and stores of one register: size, V and opc. PRFM, which not all classes have, is last. */
static const struct transfer singles[] = {
	{ 0x04c00000, 0x00000000, A64_LDST_STORE, 0, 0 },
	{ 0x04c00000, 0x00400000, A64_LDST_LOAD, 0, 0 },
	{ 0xc4c00000, 0x00800000, A64_LDST_LOAD, 1, SIGNED | TO_64 },
	{ 0xc4c00000, 0x40800000, A64_LDST_LOAD, 2, SIGNED | TO_64 },
	{ 0xc4c00000, 0x80800000, A64_LDST_LOAD, 4, SIGNED | TO_64 },
	{ 0xc4c00000, 0x00c00000, A64_LDST_LOAD, 1, SIGNED },
	{ 0xc4c00000, 0x40c00000, A64_LDST_LOAD, 2, SIGNED },
	{ 0x04c00000, 0x04000000, A64_LDST_STORE, 0, VECTOR },
	{ 0x04c00000, 0x04400000, A64_LDST_LOAD, 0, VECTOR },
	{ 0xc4c00000, 0x04800000, A64_LDST_STORE, 16, VECTOR },
	{ 0xc4c00000, 0x04c00000, A64_LDST_LOAD, 16, VECTOR },
	{ 0xc4c00000, 0xc0800000, A64_LDST_PREFETCH, 8, 0 },
};

static const struct transfer literals[] = {
	{ 0xc4000000, 0x00000000, A64_LDST_LOAD, 4, 0 },
	{ 0xc4000000, 0x40000000, A64_LDST_LOAD, 8, 0 },
	{ 0xc4000000, 0x80000000, A64_LDST_LOAD, 4, SIGNED | TO_64 },
	{ 0xc4000000, 0xc0000000, A64_LDST_PREFETCH, 8, 0 },
	{ 0xc4000000, 0x04000000, A64_LDST_LOAD, 4, VECTOR },
	{ 0xc4000000, 0x44000000, A64_LDST_LOAD, 8, VECTOR },
	{ 0xc4000000, 0x84000000, A64_LDST_LOAD, 16, VECTOR },
};

/* LDPSW, which has no form without allocation, is last. */
static const struct transfer pairs[] = {
	{ 0xc4400000, 0x00000000, A64_LDST_STORE, 4, PAIR },
	{ 0xc4400000, 0x00400000, A64_LDST_LOAD, 4, PAIR },
	{ 0xc4400000, 0x80000000, A64_LDST_STORE, 8, PAIR },
	{ 0xc4400000, 0x80400000, A64_LDST_LOAD, 8, PAIR },
	{ 0xc4400000, 0x04000000, A64_LDST_STORE, 4, PAIR | VECTOR },
	{ 0xc4400000, 0x04400000, A64_LDST_LOAD, 4, PAIR | VECTOR },
	{ 0xc4400000, 0x44000000, A64_LDST_STORE, 8, PAIR | VECTOR },
	{ 0xc4400000, 0x44400000, A64_LDST_LOAD, 8, PAIR | VECTOR },
	{ 0xc4400000, 0x84000000, A64_LDST_STORE, 16, PAIR | VECTOR },
	{ 0xc4400000, 0x84400000, A64_LDST_LOAD, 16, PAIR | VECTOR },
	{ 0xc4400000, 0x40400000, A64_LDST_LOAD, 4, PAIR | SIGNED | TO_64 },
};

/* Exclusive, ordered, compare and swap: o2, L, o1, and Rt2 where it is no register. */
static const struct transfer exclusives[] = {
	{ 0x00e00000, 0x00000000, A64_LDST_STORE_EX, 0, STATUS },
	{ 0x00e00000, 0x00400000, A64_LDST_LOAD_EX, 0, 0 },
	{ 0x80e00000, 0x80200000, A64_LDST_STORE_EX, 0, STATUS | PAIR },
	{ 0x80e00000, 0x80600000, A64_LDST_LOAD_EX, 0, PAIR },
	{ 0xc0a07c00, 0x00207c00, A64_LDST_CAS, 4, STATUS | EVEN },
	{ 0xc0a07c00, 0x40207c00, A64_LDST_CAS, 8, STATUS | EVEN },
	{ 0x00e00000, 0x00800000, A64_LDST_STORE, 0, 0 },
	{ 0x00e00000, 0x00c00000, A64_LDST_LOAD, 0, 0 },
	{ 0x00a07c00, 0x00a07c00, A64_LDST_CAS, 0, STATUS },
};

/* o3 and opc; LDAPR with A and R. */
static const struct transfer atomics[] = {
	{ 0x0000f000, 0x00008000, A64_LDST_SWAP, 0, STATUS },
	{ 0x00008000, 0x00000000, A64_LDST_ATOMIC, 0, STATUS },
	{ 0x00c0f000, 0x0080c000, A64_LDST_LOAD, 0, 0 },
};

static int take_transfer(uint32_t insn, const struct transfer *t, struct a64_ldst *out)
{
	out->kind = t->kind;
	out->op = (uint8_t)field(insn, 14, 12);
	out->size = (uint8_t)(t->size ? t->size : 1u << field(insn, 31, 30));
	out->count = t->flags & (PAIR | EVEN) ? 2 : 1;
	out->rt = (uint8_t)field(insn, 4, 0);
	out->rn = (uint8_t)field(insn, 9, 5);
	if (t->flags & PAIR)
		out->rt2 = (uint8_t)field(insn, 14, 10);
	if (t->flags & STATUS)
		out->rs = (uint8_t)field(insn, 20, 16);
	out->is_signed = t->flags & SIGNED;
	out->is_64 = t->flags & TO_64;
	out->is_vector = t->flags & VECTOR;
	if (!(t->flags & EVEN))
		return 0;
	out->rt2 = out->rt + 1;
	return (out->rt | out->rs) & 1 ? -ENOSYS : 0;
}

/* --- Where --- */

static int at_base(uint32_t insn, struct a64_ldst *out)
{
	return 0;
}

static int at_unsigned(uint32_t insn, struct a64_ldst *out)
{
	out->offset = (int64_t)field(insn, 21, 10) * out->size;
	return 0;
}

static int at_unscaled(uint32_t insn, struct a64_ldst *out)
{
	out->offset = signed_field(insn, 20, 12);
	return 0;
}

static int at_user(uint32_t insn, struct a64_ldst *out)
{
	out->is_user = true;
	return at_unscaled(insn, out);
}

static int at_pre(uint32_t insn, struct a64_ldst *out)
{
	out->writeback = true;
	return at_unscaled(insn, out);
}

static int at_post(uint32_t insn, struct a64_ldst *out)
{
	out->post = true;
	return at_pre(insn, out);
}

/* Offsets of less than 32 bits are UNDEFINED. */
static int at_register(uint32_t insn, struct a64_ldst *out)
{
	out->has_index = true;
	out->rm = (uint8_t)field(insn, 20, 16);
	out->option = (uint8_t)field(insn, 15, 13);
	if (field(insn, 12, 12))
		out->shift = (uint8_t)__builtin_ctz(out->size);
	return out->option & 2 ? 0 : -ENOSYS;
}

static int at_literal(uint32_t insn, struct a64_ldst *out)
{
	out->is_literal = true;
	out->offset = signed_field(insn, 23, 5) * 4;
	return 0;
}

static int at_pair(uint32_t insn, struct a64_ldst *out)
{
	out->offset = signed_field(insn, 21, 15) * out->size;
	return 0;
}

static int at_pair_pre(uint32_t insn, struct a64_ldst *out)
{
	out->writeback = true;
	return at_pair(insn, out);
}

static int at_pair_post(uint32_t insn, struct a64_ldst *out)
{
	out->post = true;
	return at_pair_pre(insn, out);
}

struct address {
	uint32_t mask, value;
	int (*decode)(uint32_t insn, struct a64_ldst *out);
	const struct transfer *transfers;
	unsigned count;
};

#define ALL(table)          table, HC_ARRAY_SIZE(table)
#define ALL_BUT_LAST(table) table, HC_ARRAY_SIZE(table) - 1

static const struct address addresses[] = {
	{ 0x3b000000, 0x39000000, at_unsigned, ALL(singles) },
	{ 0x3b200c00, 0x38000000, at_unscaled, ALL(singles) },
	{ 0x3b200c00, 0x38000400, at_post, ALL_BUT_LAST(singles) },
	{ 0x3f200c00, 0x38000800, at_user, ALL_BUT_LAST(singles) },
	{ 0x3b200c00, 0x38000c00, at_pre, ALL_BUT_LAST(singles) },
	{ 0x3b200c00, 0x38200800, at_register, ALL(singles) },
	{ 0x3f200c00, 0x19000000, at_unscaled, ALL_BUT_LAST(singles) }, /* LDAPUR, STLUR */
	{ 0x3b000000, 0x18000000, at_literal, ALL(literals) },
	{ 0x3b800000, 0x28000000, at_pair, ALL_BUT_LAST(pairs) }, /* LDNP, STNP */
	{ 0x3b800000, 0x28800000, at_pair_post, ALL(pairs) },
	{ 0x3b800000, 0x29000000, at_pair, ALL(pairs) },
	{ 0x3b800000, 0x29800000, at_pair_pre, ALL(pairs) },
	{ 0x3f000000, 0x08000000, at_base, ALL(exclusives) },
	{ 0x3f200c00, 0x38200000, at_base, ALL(atomics) },
};

static int decode_address(uint32_t insn, const struct address *a, struct a64_ldst *out)
{
	for (unsigned i = 0; i < a->count; i++) {
		const struct transfer *t = &a->transfers[i];

		if ((insn & t->mask) != t->value)
			continue;
		int rc = take_transfer(insn, t, out);

		return rc ? rc : a->decode(insn, out);
	}
	return -ENOSYS;
}

/* --- LD1 .. ST4 --- */

/* Multiple structures, by bits 15:12; count 0: UNDEFINED. */
static const struct {
	uint8_t count, structure;
} multiples[16] = {
	[0] = { 4, 4 }, [2] = { 4, 1 }, [4] = { 3, 3 },  [6] = { 3, 1 },
	[7] = { 1, 1 }, [8] = { 2, 2 }, [10] = { 2, 1 },
};

static int decode_multiple(uint32_t insn, struct a64_ldst *out)
{
	unsigned opcode = field(insn, 15, 12);

	out->size = field(insn, 30, 30) ? 16 : 8;
	out->count = multiples[opcode].count;
	out->structure = multiples[opcode].structure;
	out->element = (uint8_t)(1u << field(insn, 11, 10));
	out->lane = A64_LANE_ALL;
	return !out->count || (out->element == out->size && out->structure > 1) ? -ENOSYS : 0;
}

/* One element of Q:S:size, where the element's size leaves bits of it for the index. */
static int decode_single(uint32_t insn, struct a64_ldst *out)
{
	unsigned scale = field(insn, 15, 14),
		 q_s_size = field(insn, 30, 30) << 3 | field(insn, 12, 10);

	out->count = out->structure =
		(uint8_t)((field(insn, 13, 13) << 1 | field(insn, 21, 21)) + 1);
	out->lane = (uint8_t)(q_s_size >> scale);
	if (scale == 3) {
		scale = field(insn, 11, 10);
		out->lane = A64_LANE_COPY;
		if (out->kind == A64_LDST_STORE || field(insn, 12, 12))
			return -ENOSYS;
	} else if (scale == 2 && (q_s_size & 1)) {
		scale = 3;
		out->lane = (uint8_t)(q_s_size >> 3);
		if (q_s_size & 6)
			return -ENOSYS;
	} else if (q_s_size & ((1u << scale) - 1)) {
		return -ENOSYS;
	}
	out->element = (uint8_t)(1u << scale);
	/* Of LD1R .. LD4R Q says how much is filled. */
	out->size = out->lane != A64_LANE_COPY ? out->element : field(insn, 30, 30) ? 16 : 8;
	return 0;
}

unsigned a64_ldst_bytes(const struct a64_ldst *i)
{
	if (i->kind == A64_LDST_PREFETCH)
		return 0;
	if (i->element && i->lane != A64_LANE_ALL)
		return i->count * i->element;
	return i->count * i->size;
}

/* Post-indexed by Rm, or, where that is 31, by what was transferred. */
static int take_post(uint32_t insn, struct a64_ldst *out)
{
	out->rm = (uint8_t)field(insn, 20, 16);
	if (!field(insn, 23, 23))
		return out->rm ? -ENOSYS : 0;
	out->writeback = out->post = true;
	out->has_index = out->rm != 31;
	out->option = 3; /* LSL */
	out->offset = out->has_index ? 0 : (int64_t)a64_ldst_bytes(out);
	return 0;
}

/* 0 Q 00110 single post L ...; bit 21 is R of single structures, else 0. */
static int decode_structures(uint32_t insn, struct a64_ldst *out)
{
	bool is_single = field(insn, 24, 24);
	int rc;

	out->kind = field(insn, 22, 22) ? A64_LDST_LOAD : A64_LDST_STORE;
	out->rt = (uint8_t)field(insn, 4, 0);
	out->rn = (uint8_t)field(insn, 9, 5);
	out->is_vector = true;
	if (!is_single && field(insn, 21, 21))
		return -ENOSYS;
	rc = is_single ? decode_single(insn, out) : decode_multiple(insn, out);
	return rc ? rc : take_post(insn, out);
}

/* --- DC ZVA (Arm ARM C5.3.13) --- */

static int decode_zero(uint32_t insn, struct a64_ldst *out)
{
	out->kind = A64_LDST_ZERO;
	out->rn = (uint8_t)field(insn, 4, 0);
	out->size = 8;
	out->count = 1;
	return 0;
}

static int decode(uint32_t insn, struct a64_ldst *out)
{
	if ((insn & 0xbe000000) == 0x0c000000)
		return decode_structures(insn, out);
	if ((insn & 0xffffffe0) == 0xd50b7420)
		return decode_zero(insn, out);
	for (size_t i = 0; i < HC_ARRAY_SIZE(addresses); i++)
		if ((insn & addresses[i].mask) == addresses[i].value)
			return decode_address(insn, &addresses[i], out);
	return -ENOSYS;
}

int a64_decode_ldst(uint32_t insn, struct a64_ldst *out)
{
	memset(out, 0, sizeof(*out));
	return decode(insn, out);
}
