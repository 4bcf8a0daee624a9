/* SPDX-License-Identifier: BSD-2-Clause */
#include "emu/x86_64/alu.h"

#include <hypercore/errno.h>

uint64_t alu_binary(enum x86_op op, uint64_t a, uint64_t b, unsigned width, uint64_t *rflags)
{
	uint64_t cf = *rflags & X86_FLAG_CF;

	switch (op) {
	case X86_OP_ADD: return alu_add(a, b, 0, width, rflags);
	case X86_OP_ADC: return alu_add(a, b, cf, width, rflags);
	case X86_OP_SUB:
	case X86_OP_CMP: return alu_sub(a, b, 0, width, rflags);
	case X86_OP_SBB: return alu_sub(a, b, cf, width, rflags);
	case X86_OP_OR: return alu_logic(a | b, width, rflags);
	case X86_OP_XOR: return alu_logic(a ^ b, width, rflags);
	case X86_OP_AND:
	case X86_OP_TEST:
	default: return alu_logic(a & b, width, rflags);
	}
}

uint64_t alu_unary(enum x86_op op, uint64_t a, unsigned width, uint64_t *rflags)
{
	uint64_t cf = *rflags & X86_FLAG_CF;
	uint64_t r;

	switch (op) {
	case X86_OP_NOT: return ~a & alu_mask(width);
	case X86_OP_NEG: return alu_sub(0, a, 0, width, rflags);
	case X86_OP_INC: r = alu_add(a, 1, 0, width, rflags); break;
	case X86_OP_DEC:
	default: r = alu_sub(a, 1, 0, width, rflags); break;
	}
	*rflags = (*rflags & ~(uint64_t)X86_FLAG_CF) | cf;
	return r;
}

static void set_cf_of(uint64_t cf, uint64_t of, uint64_t *rflags)
{
	*rflags &= ~(uint64_t)(X86_FLAG_CF | X86_FLAG_OF);
	*rflags |= cf * X86_FLAG_CF | of * X86_FLAG_OF;
}

/* Rotates leave SF, ZF, AF and PF alone (SDM Vol. 2B, RCL/RCR/ROL/ROR). */
static uint64_t rotate(enum x86_op op, uint64_t a, unsigned count, unsigned width, uint64_t *rflags)
{
	struct alu_shifted x = alu_rotate_by(op, a, count, width);

	set_cf_of(x.cf, x.of, rflags);
	return x.r;
}

/* Rotates of bits + 1 bits, the carry flag above the operand: by `count`, 1 to bits, to the left.
 */
static uint64_t rotate_carry(enum x86_op op, uint64_t a, unsigned count, unsigned width,
                             uint64_t *rflags)
{
	unsigned bits = alu_bits(width);
	uint64_t cf = *rflags & X86_FLAG_CF;
	uint64_t r;

	count %= bits + 1;
	if (!count)
		return a;
	if (op == X86_OP_RCR)
		count = bits + 1 - count;
	r = cf << (count - 1);
	if (count < bits)
		r |= a << count;
	if (count > 1)
		r |= a >> (bits + 1 - count);
	cf = a >> (bits - count) & 1;
	r &= alu_mask(width);
	set_cf_of(cf, alu_msb(r, width) ^ (op == X86_OP_RCL ? cf : alu_msb(r << 1, width)), rflags);
	return r;
}

/* SHL, SHR, SAR by `count`, 1 to 63. */
static uint64_t shift(enum x86_op op, uint64_t a, unsigned count, unsigned width, uint64_t *rflags)
{
	struct alu_shifted x = alu_shift_by(op, a, count, width);

	alu_logic(x.r, width, rflags);
	set_cf_of(x.cf, x.of, rflags);
	return x.r;
}

uint64_t alu_shift(enum x86_op op, uint64_t a, unsigned count, unsigned width, uint64_t *rflags)
{
	a &= alu_mask(width);
	count &= width == 8 ? 63 : 31;
	if (!count)
		return a;
	switch (op) {
	case X86_OP_ROL:
	case X86_OP_ROR: return rotate(op, a, count, width, rflags);
	case X86_OP_RCL:
	case X86_OP_RCR: return rotate_carry(op, a, count, width, rflags);
	default: return shift(op, a, count, width, rflags);
	}
}

uint64_t alu_double_shift(enum x86_op op, uint64_t dst, uint64_t src, unsigned count,
                          unsigned width, uint64_t *rflags)
{
	unsigned bits = alu_bits(width);
	uint64_t cf, r;

	dst &= alu_mask(width);
	src &= alu_mask(width);
	count &= width == 8 ? 63 : 31;
	if (!count)
		return dst;
	if (count > bits) { /* 16-bit operands: undefined; further bits come from dst again */
		uint64_t first = dst;

		dst = src;
		src = first;
		count -= bits;
	}
	if (op == X86_OP_SHLD) {
		cf = dst >> (bits - count) & 1;
		r = count < bits ? dst << count | src >> (bits - count) : src;
	} else {
		cf = dst >> (count - 1) & 1;
		r = count < bits ? dst >> count | src << (bits - count) : src;
	}
	r = alu_logic(r, width, rflags);
	set_cf_of(cf, alu_msb(r ^ dst, width), rflags);
	return r;
}

uint64_t alu_bit(enum x86_op op, uint64_t a, unsigned bit, uint64_t *rflags)
{
	uint64_t mask = UINT64_C(1) << bit;

	*rflags &= ~(uint64_t)X86_FLAG_CF;
	if (a & mask)
		*rflags |= X86_FLAG_CF;
	switch (op) {
	case X86_OP_BTS: return a | mask;
	case X86_OP_BTR: return a & ~mask;
	case X86_OP_BTC: return a ^ mask;
	default: return a;
	}
}

static uint64_t ones(uint64_t v)
{
	uint64_t n = 0;

	for (; v; v &= v - 1)
		n++;
	return n;
}

uint64_t alu_scan(enum x86_op op, uint64_t src, uint64_t dst, unsigned width, uint64_t *rflags)
{
	uint64_t bits = alu_bits(width);
	uint64_t flags = 0;
	uint64_t r;

	src &= alu_mask(width);
	if (op == X86_OP_BSF || op == X86_OP_BSR) {
		*rflags &= ~(uint64_t)X86_FLAG_ZF;
		if (!src) {
			*rflags |= X86_FLAG_ZF;
			return dst;
		}
		return (uint64_t)(op == X86_OP_BSF ? __builtin_ctzll(src)
		                                   : 63 - __builtin_clzll(src));
	}
	if (op == X86_OP_POPCNT)
		r = ones(src);
	else if (!src)
		r = bits;
	else if (op == X86_OP_TZCNT)
		r = (uint64_t)__builtin_ctzll(src);
	else
		r = (uint64_t)__builtin_clzll(src) - (64 - bits);
	if (op == X86_OP_POPCNT)
		flags = src ? 0 : X86_FLAG_ZF;
	else
		flags = (r ? 0 : X86_FLAG_ZF) | (r == bits ? X86_FLAG_CF : 0);
	*rflags = (*rflags & ~ALU_FLAGS) | flags;
	return r;
}

uint64_t alu_multiply(enum x86_op op, uint64_t a, uint64_t b, unsigned width, uint64_t *high,
                      uint64_t *rflags)
{
	unsigned bits = alu_bits(width);
	unsigned __int128 product;
	uint64_t low, fits;

	if (op == X86_OP_MUL)
		product = (unsigned __int128)(a & alu_mask(width)) * (b & alu_mask(width));
	else
		product = (unsigned __int128)((__int128)(int64_t)alu_sign_extend(a, width) *
		                              (int64_t)alu_sign_extend(b, width));
	low = (uint64_t)product & alu_mask(width);
	*high = (uint64_t)(product >> bits) & alu_mask(width);
	fits = op == X86_OP_MUL ? 0 : alu_msb(low, width) * alu_mask(width);
	*rflags = (*rflags & ~ALU_FLAGS) | alu_flags_szp(low, width);
	if (*high != fits)
		*rflags |= X86_FLAG_CF | X86_FLAG_OF;
	return low;
}

/* high:low / b with high < b, one bit at a time: no CPU-independent C operator does this. */
static uint64_t divide_128(uint64_t high, uint64_t low, uint64_t b, uint64_t *rest)
{
	uint64_t quotient = 0;

	for (int i = 63; i >= 0; i--) {
		uint64_t out = high >> 63;

		high = high << 1 | (low >> i & 1);
		quotient <<= 1;
		if (out || high >= b) {
			high -= b;
			quotient |= 1;
		}
	}
	*rest = high;
	return quotient;
}

static int divide_unsigned(uint64_t high, uint64_t low, uint64_t b, unsigned width,
                           uint64_t *quotient, uint64_t *rest)
{
	if (high >= b) /* b is 0, or the quotient too large */
		return -ERANGE;
	if (width == 8) {
		*quotient = divide_128(high, low, b, rest);
		return 0;
	}
	low |= high << alu_bits(width);
	*quotient = low / b;
	*rest = low % b;
	return 0;
}

int alu_divide(enum x86_op op, uint64_t high, uint64_t low, uint64_t b, unsigned width,
               uint64_t *quotient, uint64_t *rest)
{
	uint64_t mask = alu_mask(width);
	bool negative_b = op == X86_OP_IDIV && alu_msb(b, width);
	bool negative = op == X86_OP_IDIV && alu_msb(high, width);
	uint64_t q, r;

	high &= mask;
	low &= mask;
	if (negative) {
		low = -low & mask;
		high = (low ? ~high : -high) & mask;
	}
	if (divide_unsigned(high, low, (negative_b ? -b : b) & mask, width, &q, &r))
		return -ERANGE;
	if (op == X86_OP_IDIV && q > (mask >> 1) + (negative != negative_b))
		return -ERANGE;
	*quotient = (negative != negative_b ? -q : q) & mask;
	*rest = (negative ? -r : r) & mask;
	return 0;
}

uint64_t alu_byte_swap(uint64_t a, unsigned width)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < width; i++)
		r = r << 8 | (a >> 8 * i & 0xff);
	return r;
}

bool alu_condition(unsigned cc, uint64_t rflags)
{
	bool cf = rflags & X86_FLAG_CF;
	bool zf = rflags & X86_FLAG_ZF;
	bool less = !(rflags & X86_FLAG_SF) != !(rflags & X86_FLAG_OF);
	bool r;

	switch (cc >> 1 & 7) {
	case 0: r = rflags & X86_FLAG_OF; break;
	case 1: r = cf; break;
	case 2: r = zf; break;
	case 3: r = cf || zf; break;
	case 4: r = rflags & X86_FLAG_SF; break;
	case 5: r = rflags & X86_FLAG_PF; break;
	case 6: r = less; break;
	default: r = less || zf; break;
	}
	return r != (cc & 1);
}
