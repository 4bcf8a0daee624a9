/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instruction that sets flags together with the conditional branch after it, in 64-bit mode. The
 * handler replaces the first one's; the branch's micro-operation stays behind it with the target.
 */
#include "emu/x86_64/engine/uop.h"

#define STORES(op) (X86_OP_##op != X86_OP_CMP && X86_OP_##op != X86_OP_TEST)

#define FUSED(cc, op, bits, name, b)                                                               \
	UOP(op##bits##_##name##_##cc)                                                              \
	{                                                                                          \
		struct uop_value v =                                                               \
			uop_binary(X86_OP_##op, UOP_GET##bits(s, u->dst), b, 0, bits / 8);         \
                                                                                                   \
		if (STORES(op))                                                                    \
			uop_put##bits(s, u->dst, v.r);                                             \
		uop_set_flags(c, v, bits / 8);                                                     \
		UOP_BRANCH(c, u + 1, s, emu_condition(&c->flags, cc));                             \
	}

/* Those conditions that compilers use after the instruction. */
#define AFTER_CMP(X, ...)                                                                          \
	X(2, __VA_ARGS__)                                                                          \
	X(3, __VA_ARGS__)                                                                          \
	X(4, __VA_ARGS__)                                                                          \
	X(5, __VA_ARGS__)                                                                          \
	X(6, __VA_ARGS__)                                                                          \
	X(7, __VA_ARGS__)                                                                          \
	X(12, __VA_ARGS__)                                                                         \
	X(13, __VA_ARGS__)                                                                         \
	X(14, __VA_ARGS__)                                                                         \
	X(15, __VA_ARGS__)
#define AFTER_CMP_ROW(name)                                                                        \
	{                                                                                          \
		[2] = name##_2, [3] = name##_3, [4] = name##_4, [5] = name##_5, [6] = name##_6,    \
		[7] = name##_7, [12] = name##_12, [13] = name##_13, [14] = name##_14,              \
		[15] = name##_15                                                                   \
	}
#define AFTER_TEST(X, ...)                                                                         \
	X(4, __VA_ARGS__)                                                                          \
	X(5, __VA_ARGS__)                                                                          \
	X(8, __VA_ARGS__)                                                                          \
	X(9, __VA_ARGS__)                                                                          \
	X(14, __VA_ARGS__)                                                                         \
	X(15, __VA_ARGS__)
#define AFTER_TEST_ROW(name)                                                                       \
	{                                                                                          \
		[4] = name##_4, [5] = name##_5, [8] = name##_8, [9] = name##_9, [14] = name##_14,  \
		[15] = name##_15                                                                   \
	}
#define AFTER_SUM(X, ...)                                                                          \
	X(4, __VA_ARGS__)                                                                          \
	X(5, __VA_ARGS__)
#define AFTER_SUM_ROW(name)                                                                        \
	{                                                                                          \
		[4] = name##_4, [5] = name##_5                                                     \
	}

#define FUSED_WIDTH(after, op, bits)                                                               \
	after(FUSED, op, bits, rr, UOP_GET##bits(s, u->src)) after(FUSED, op, bits, ri, uop_imm(u))
#define FUSED_ALL(after, op)                                                                       \
	FUSED_WIDTH(after, op, 8)                                                                  \
	FUSED_WIDTH(after, op, 16)                                                                 \
	FUSED_WIDTH(after, op, 32)                                                                 \
	FUSED_WIDTH(after, op, 64)
#define FUSED_TABLE(row, op)                                                                       \
	static emu_fn *const fused_##op[2][4][16] = {                                              \
		{ row(op##8_rr), row(op##16_rr), row(op##32_rr), row(op##64_rr) },                 \
		{ row(op##8_ri), row(op##16_ri), row(op##32_ri), row(op##64_ri) },                 \
	};

FUSED_ALL(AFTER_CMP, CMP)
FUSED_ALL(AFTER_TEST, TEST)
FUSED_ALL(AFTER_SUM, ADD)
FUSED_ALL(AFTER_SUM, SUB)
FUSED_ALL(AFTER_SUM, AND)
FUSED_TABLE(AFTER_CMP_ROW, CMP)
FUSED_TABLE(AFTER_TEST_ROW, TEST)
FUSED_TABLE(AFTER_SUM_ROW, ADD)
FUSED_TABLE(AFTER_SUM_ROW, SUB)
FUSED_TABLE(AFTER_SUM_ROW, AND)

emu_fn *const *uop_fused_binary(enum x86_op op, bool imm, unsigned width)
{
	switch (op) {
	case X86_OP_CMP: return fused_CMP[imm][uop_log2(width)];
	case X86_OP_TEST: return fused_TEST[imm][uop_log2(width)];
	case X86_OP_ADD: return fused_ADD[imm][uop_log2(width)];
	case X86_OP_SUB: return fused_SUB[imm][uop_log2(width)];
	case X86_OP_AND: return fused_AND[imm][uop_log2(width)];
	default: return NULL;
	}
}

/* DEC and a loop's branch. */
#define FUSED_DEC(cc, bits)                                                                        \
	UOP(DEC##bits##_##cc)                                                                      \
	{                                                                                          \
		struct uop_value v = uop_step(X86_OP_DEC, UOP_GET##bits(s, u->dst),                \
		                              emu_cf(&c->flags), bits / 8);                        \
                                                                                                   \
		uop_put##bits(s, u->dst, v.r);                                                     \
		uop_set_flags(c, v, bits / 8);                                                     \
		UOP_BRANCH(c, u + 1, s, emu_condition(&c->flags, cc));                             \
	}
FUSED_DEC(4, 32)
FUSED_DEC(5, 32)
FUSED_DEC(4, 64)
FUSED_DEC(5, 64)

emu_fn *const *uop_fused_dec(unsigned width)
{
	static emu_fn *const by_width[2][16] = { AFTER_SUM_ROW(DEC32), AFTER_SUM_ROW(DEC64) };

	return width < 4 ? NULL : by_width[width == 8];
}
