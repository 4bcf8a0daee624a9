/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the integer instructions compute: pure functions of operands and flags.
 *
 * Widths are in bytes (1, 2, 4, 8). Operands may have anything above their width; results are
 * zero-extended. `rflags` is read where an instruction uses a flag and changed only in the flags
 * that the instruction defines or leaves undefined; undefined ones get what most CPUs give.
 */
#ifndef EMU_X86_64_ALU_H
#define EMU_X86_64_ALU_H

#include <hypercore/types.h>
#include <hypercore/x86_state.h>

#include "emu/x86_64/ops.h"

/* The status flags (SDM Vol. 1 3.4.3.1). */
#define ALU_FLAGS                                                                                  \
	((uint64_t)(X86_FLAG_CF | X86_FLAG_PF | X86_FLAG_AF | X86_FLAG_ZF | X86_FLAG_SF |          \
	            X86_FLAG_OF))

static inline unsigned alu_bits(unsigned width)
{
	return 8 * width;
}

static inline uint64_t alu_mask(unsigned width)
{
	return ~UINT64_C(0) >> (64 - alu_bits(width));
}

static inline uint64_t alu_sign_extend(uint64_t v, unsigned width)
{
	unsigned shift = 64 - alu_bits(width);

	return (uint64_t)((int64_t)(v << shift) >> shift);
}

/* The most significant bit of the operand, as 0 or 1. */
static inline uint64_t alu_msb(uint64_t v, unsigned width)
{
	return v >> (alu_bits(width) - 1) & 1;
}

/* PF, ZF and SF of a result. */
static inline uint64_t alu_flags_szp(uint64_t r, unsigned width)
{
	uint64_t flags = alu_msb(r, width) * X86_FLAG_SF;

	if (!(r & alu_mask(width)))
		flags |= X86_FLAG_ZF;
	if (!(0x6996u >> ((r ^ r >> 4) & 0xf) & 1)) /* bit n: n has an odd number of ones */
		flags |= X86_FLAG_PF;
	return flags;
}

/* The carries out of each bit of r = a + b + carry, and the borrows of r = a - b - borrow: CF is
 * the most significant bit's, AF bit 3's, and OF is CF unlike the carry into the most significant
 * bit (SDM Vol. 1 3.4.3.1, appendix A). */
static inline uint64_t alu_carries(uint64_t a, uint64_t b, uint64_t r)
{
	return (a & b) | ((a | b) & ~r);
}

static inline uint64_t alu_borrows(uint64_t a, uint64_t b, uint64_t r)
{
	return (~a & b) | ((~a | b) & r);
}

/* All status flags of an addition or a subtraction. */
static inline uint64_t alu_flags(uint64_t r, uint64_t carries, unsigned width)
{
	uint64_t flags = alu_flags_szp(r, width);

	flags |= alu_msb(carries, width) * X86_FLAG_CF;
	flags |= alu_msb(carries ^ carries << 1, width) * X86_FLAG_OF;
	flags |= carries << 1 & X86_FLAG_AF;
	return flags;
}

/* ADD and ADC: a + b + carry (0 or 1). */
static inline uint64_t alu_add(uint64_t a, uint64_t b, uint64_t carry, unsigned width,
                               uint64_t *rflags)
{
	uint64_t r = (a + b + carry) & alu_mask(width);

	*rflags = (*rflags & ~ALU_FLAGS) | alu_flags(r, alu_carries(a, b, r), width);
	return r;
}

/* SUB, CMP and SBB: a - b - borrow (0 or 1). */
static inline uint64_t alu_sub(uint64_t a, uint64_t b, uint64_t borrow, unsigned width,
                               uint64_t *rflags)
{
	uint64_t r = (a - b - borrow) & alu_mask(width);

	*rflags = (*rflags & ~ALU_FLAGS) | alu_flags(r, alu_borrows(a, b, r), width);
	return r;
}

/* The result of AND, OR, XOR, TEST: sets the flags. AF, which is undefined, is cleared. */
static inline uint64_t alu_logic(uint64_t r, unsigned width, uint64_t *rflags)
{
	r &= alu_mask(width);
	*rflags = (*rflags & ~ALU_FLAGS) | alu_flags_szp(r, width);
	return r;
}

/* ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST (the last two: what they would store). */
uint64_t alu_binary(enum x86_op op, uint64_t a, uint64_t b, unsigned width, uint64_t *rflags);

/* INC, DEC, NEG, NOT. INC and DEC keep CF, NOT keeps all flags. */
uint64_t alu_unary(enum x86_op op, uint64_t a, unsigned width, uint64_t *rflags);

/* A shifted operand, zero-extended, and the flags CF and OF that are left. */
struct alu_shifted {
	uint64_t r;
	bool cf, of;
};

/* SHL (and SAL), SHR, SAR of a, which is zero-extended, by count, 1 to 63. */
static inline struct alu_shifted alu_shift_by(enum x86_op op, uint64_t a, unsigned count,
                                              unsigned width)
{
	struct alu_shifted x;

	if (op == X86_OP_SHR) {
		x.of = alu_msb(a, width);
		a >>= count - 1;
		x.cf = a & 1;
		x.r = a >> 1;
	} else if (op == X86_OP_SAR) {
		int64_t v = (int64_t)alu_sign_extend(a, width) >> (count - 1);

		x.cf = v & 1;
		x.r = (uint64_t)(v >> 1) & alu_mask(width);
		x.of = false;
	} else {
		a <<= count - 1;
		x.cf = alu_msb(a, width);
		x.r = a << 1 & alu_mask(width);
		x.of = x.cf != alu_msb(x.r, width);
	}
	return x;
}

/* ROL and ROR of a, which is zero-extended, by count, 1 to 63. */
static inline struct alu_shifted alu_rotate_by(enum x86_op op, uint64_t a, unsigned count,
                                               unsigned width)
{
	unsigned bits = alu_bits(width);
	unsigned left = (op == X86_OP_ROL ? count : bits - count % bits) % bits;
	struct alu_shifted x = { .r = a };

	if (left)
		x.r = (a << left | a >> (bits - left)) & alu_mask(width);
	x.cf = op == X86_OP_ROL ? x.r & 1 : alu_msb(x.r, width);
	x.of = alu_msb(x.r, width) != (op == X86_OP_ROL ? x.cf : alu_msb(x.r << 1, width));
	return x;
}

/* ROL, ROR, RCL, RCR, SHL, SAL, SHR, SAR; masks the count as the CPU does. */
uint64_t alu_shift(enum x86_op op, uint64_t a, unsigned count, unsigned width, uint64_t *rflags);

/* SHLD, SHRD of width 2, 4, 8; masks the count. */
uint64_t alu_double_shift(enum x86_op op, uint64_t dst, uint64_t src, unsigned count,
                          unsigned width, uint64_t *rflags);

/* BT, BTS, BTR, BTC on bit `bit` (below 8 * width): the new operand; CF is the old bit. */
uint64_t alu_bit(enum x86_op op, uint64_t a, unsigned bit, uint64_t *rflags);

/* BSF, BSR, TZCNT, LZCNT, POPCNT of src; dst is what BSF and BSR of 0 leave. */
uint64_t alu_scan(enum x86_op op, uint64_t src, uint64_t dst, unsigned width, uint64_t *rflags);

/* MUL, IMUL: the low half; *high gets the high half. */
uint64_t alu_multiply(enum x86_op op, uint64_t a, uint64_t b, unsigned width, uint64_t *high,
                      uint64_t *rflags);

/* DIV, IDIV of high:low by b: the quotient; *rest gets the remainder. -ERANGE: #DE, *quotient and
 * *rest unchanged. Flags, all undefined, stay. */
int alu_divide(enum x86_op op, uint64_t high, uint64_t low, uint64_t b, unsigned width,
               uint64_t *quotient, uint64_t *rest);

/* The bytes of a in reverse order. */
uint64_t alu_byte_swap(uint64_t a, unsigned width);

/* Whether condition cc (the low four bits of Jcc's, SETcc's, CMOVcc's opcode) holds. */
bool alu_condition(unsigned cc, uint64_t rflags);

#endif
