/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory operands of vector instructions.
 *
 * uop->imm64 is the displacement, dst a register's number, src the mask of address bits that have
 * to be 0. base and index: NONE where there is none. In 64-bit mode without a segment base and with
 * 64-bit addresses the linear address is just their sum; for the rest scale also holds the address
 * size, and emu_linear() has the last word.
 */
#include <hypercore/freestanding.h>

#include "emu/x86_64/engine/vector.h"

#define NONE         0xffu
#define SCALE(u)     ((u)->scale & 3u)
#define ADDRESS_BITS 4     /* of scale: log2 of the address size in bytes, from this bit on */
#define NO_AC        0x80u /* of scale: EMU_NO_AC */

/* --- Addresses --- */

static inline uint64_t sum(const struct emu_uop *u, struct x86_state *s)
{
	uint64_t a = u->imm64;

	if (u->base != NONE)
		a += EMU_R64(s, u->base);
	if (u->index != NONE)
		a += EMU_R64(s, u->index) << SCALE(u);
	return a;
}

static inline uint64_t sum_base(const struct emu_uop *u, struct x86_state *s)
{
	return u->imm64 + EMU_R64(s, u->base);
}

__attribute__((noinline)) static uint64_t general(struct emu_cpu *c, const struct emu_uop *u,
                                                  unsigned size, unsigned access)
{
	unsigned bytes = 1u << (u->scale >> ADDRESS_BITS & 3u);
	uint64_t offset = sum(u, c->s) & (~UINT64_C(0) >> (64 - 8 * bytes));

	return emu_linear(c, u, u->seg, offset, size, access);
}

/* The ways to get the address, with the names of the handlers' suffixes. */
#define ADDRESS_base(c, u, s, size, access)    sum_base(u, s)
#define ADDRESS_flat(c, u, s, size, access)    sum(u, s)
#define ADDRESS_general(c, u, s, size, access) general(c, u, size, access)

/* --- Accesses --- */

_Noreturn __attribute__((noinline)) static void misaligned(struct emu_cpu *c,
                                                           const struct emu_uop *u)
{
	emu_raise_code(c, u, X86_VEC_GP, 0);
}

/* What emu_read() and emu_write() want. The offset of a 64-bit address goes through emu_linear(),
 * perhaps once more, for the canonical form; segment bases are in it already. */
static uint64_t checked(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size,
                        unsigned access)
{
	emu_commit_pc(c, u);
	emu_flags_store(c);
	if (!(c->mode & EMU_MODE_64))
		return va;
	return emu_linear(c, u, u->seg >= X86_FS ? X86_DS : u->seg, va, size, access);
}

static unsigned how(const struct emu_uop *u)
{
	return u->scale & NO_AC ? EMU_NO_AC : 0;
}

static void load_slow(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, void *to,
                      unsigned size)
{
	emu_read(c, checked(c, u, va, size, EMU_READ), to, size, how(u));
}

static void store_slow(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, const void *from,
                       unsigned size)
{
	emu_write(c, checked(c, u, va, size, EMU_WRITE), from, size, how(u));
}

/* --- Handlers ---
 *
 * Each in two parts, of which the second, when the TLB does not have the page, is reached by a tail
 * call: so the first has nothing to save. `before` and `after` are what goes with the access. */

#define DEFINE_SLOW(name, size, slow, where, before, after)                                        \
	__attribute__((noinline)) static const struct emu_uop *name(                               \
		struct emu_cpu *c, const struct emu_uop *u, struct x86_state *s, uint64_t va)      \
	{                                                                                          \
		before;                                                                            \
		slow(c, u, va, where, size);                                                       \
		after;                                                                             \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define DEFINE_FAST(name, slow_name, ea, size, access, member, copy, before, after)                \
	static const struct emu_uop *name(struct emu_cpu *c, const struct emu_uop *u,              \
	                                  struct x86_state *s)                                     \
	{                                                                                          \
		uint64_t va = ADDRESS_##ea(c, u, s, size, access);                                 \
		const struct emu_tlb_entry *e = emu_tlb_of(c, va);                                 \
                                                                                                   \
		if (EMU_UNLIKELY(va & u->src))                                                     \
			misaligned(c, u);                                                          \
		if (!emu_tlb_hit(c, e->member, va, size))                                          \
			return slow_name(c, u, s, va);                                             \
		before;                                                                            \
		copy((void *)(uintptr_t)(va + e->addend), size);                                   \
		after;                                                                             \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define DEFINE(op, size, slow, where, access, member, copy, before, after)                         \
	DEFINE_SLOW(op##_slow_##size, size, slow, where, before, after)                            \
	DEFINE_FAST(op##_base_##size, op##_slow_##size, base, size, access, member, copy, before,  \
	            after)                                                                         \
	DEFINE_FAST(op##_flat_##size, op##_slow_##size, flat, size, access, member, copy, before,  \
	            after)                                                                         \
	DEFINE_FAST(op##_general_##size, op##_slow_##size, general, size, access, member, copy,    \
	            before, after)

#define OPERAND c->operand
#define XMM     vec_xmm(s, u->dst)
#define NOTHING ((void)0)

#define OPERAND_IN(memory, size)  __builtin_memcpy(OPERAND, memory, size)
#define OPERAND_OUT(memory, size) __builtin_memcpy(memory, OPERAND, size)
#define XMM_IN(memory, size)      __builtin_memcpy(XMM, memory, size)
#define XMM_OUT(memory, size)     __builtin_memcpy(memory, XMM, size)

/* Between memory and c->operand. */
#define DEFINE_OPERAND(size)                                                                       \
	DEFINE(load, size, load_slow, OPERAND, EMU_READ, read, OPERAND_IN, NOTHING, NOTHING)       \
	DEFINE(store, size, store_slow, OPERAND, EMU_WRITE, write, OPERAND_OUT, NOTHING, NOTHING)

/* Between memory and XMM, the rest of which narrow loads clear; under VEX, of YMM. */
static inline void clear_xmm(struct x86_state *s, unsigned n, unsigned from)
{
	if (from < 8)
		vec_put32(vec_xmm(s, n) + 4, 0);
	if (from < 16)
		vec_put64(vec_xmm(s, n) + 8, 0);
}

static inline void clear_ymm_high(struct x86_state *s, unsigned n)
{
	vec_put64(vec_ymm_high(s, n), 0);
	vec_put64(vec_ymm_high(s, n) + 8, 0);
}

#define DEFINE_MOVE(size)                                                                          \
	DEFINE(move_load, size, load_slow, XMM, EMU_READ, read, XMM_IN, NOTHING,                   \
	       clear_xmm(s, u->dst, size))                                                         \
	DEFINE(vmove_load, size, load_slow, XMM, EMU_READ, read, XMM_IN, NOTHING,                  \
	       (clear_xmm(s, u->dst, size), clear_ymm_high(s, u->dst)))                            \
	DEFINE(move_store, size, store_slow, XMM, EMU_WRITE, write, XMM_OUT, NOTHING, NOTHING)

/* YMM, whose halves are not together. */
static inline void operand_to_ymm(struct emu_cpu *c, struct x86_state *s, unsigned n)
{
	__builtin_memcpy(vec_xmm(s, n), c->operand, 16);
	__builtin_memcpy(vec_ymm_high(s, n), c->operand + 16, 16);
}

static inline void ymm_to_operand(struct emu_cpu *c, struct x86_state *s, unsigned n)
{
	__builtin_memcpy(c->operand, vec_xmm(s, n), 16);
	__builtin_memcpy(c->operand + 16, vec_ymm_high(s, n), 16);
}

DEFINE_OPERAND(1)
DEFINE_OPERAND(2)
DEFINE_OPERAND(4)
DEFINE_OPERAND(8)
DEFINE_OPERAND(16)
DEFINE_OPERAND(32)
DEFINE_MOVE(4)
DEFINE_MOVE(8)
DEFINE_MOVE(16)
DEFINE(move_load, 32, load_slow, OPERAND, EMU_READ, read, OPERAND_IN, NOTHING,
       operand_to_ymm(c, s, u->dst))
DEFINE(move_store, 32, store_slow, OPERAND, EMU_WRITE, write, OPERAND_OUT,
       ymm_to_operand(c, s, u->dst), NOTHING)

/* --- Operands --- */

/* Bytes in memory. */
static unsigned width_of(const struct vec_row *row, const struct x86_insn *in)
{
	unsigned l = in->vex & X86_VEX_L && !(row->flags & VEC_LIG) ? 1 : 0;
	bool w = row->reg == VEC_CLASS_G || row->rm == VEC_CLASS_G ? in->rex & 8
	                                                           : in->vex & X86_VEX_W;

	switch ((enum vec_width)row->width) {
	case VEC_W_FULL: return 16u << l;
	case VEC_W_HALF: return 8u << l;
	case VEC_W_QUARTER: return 4u << l;
	case VEC_W_EIGHTH: return 2u << l;
	case VEC_W_DUP: return l ? 32 : 8;
	case VEC_W_Y: return w ? 8 : 4;
	default: return row->width;
	}
}

/* The bits of its address that have to be 0. */
static unsigned alignment_of(const struct vec_row *row, const struct x86_insn *in, unsigned size)
{
	bool vex = in->prefixes & X86_PFX_VEX;

	if (size < 16 || row->flags & VEC_UNALIGNED || (vex && !(row->flags & VEC_ALIGNED)))
		return 0;
	return size - 1;
}

/* --- Emission --- */

enum address_kind { BASE, FLAT, GENERAL, ADDRESS_KINDS };

#define WIDTHS 6 /* 1 to 32 bytes, by log2 */

#define OPERANDS_OF(op, ea)                                                                        \
	{                                                                                          \
		op##_##ea##_1, op##_##ea##_2, op##_##ea##_4, op##_##ea##_8, op##_##ea##_16,        \
			op##_##ea##_32                                                             \
	}
#define MOVES_OF(op, ea, wide)                                                                     \
	{                                                                                          \
		NULL, NULL, op##_##ea##_4, op##_##ea##_8, op##_##ea##_16, wide                     \
	}

static emu_fn *const loads[ADDRESS_KINDS][WIDTHS] = { OPERANDS_OF(load, base),
	                                              OPERANDS_OF(load, flat),
	                                              OPERANDS_OF(load, general) };
static emu_fn *const stores[ADDRESS_KINDS][WIDTHS] = { OPERANDS_OF(store, base),
	                                               OPERANDS_OF(store, flat),
	                                               OPERANDS_OF(store, general) };
static emu_fn *const move_loads[ADDRESS_KINDS][WIDTHS] = { MOVES_OF(move_load, base, NULL),
	                                                   MOVES_OF(move_load, flat, NULL),
	                                                   MOVES_OF(move_load, general, NULL) };
static emu_fn *const vmove_loads[ADDRESS_KINDS][WIDTHS] = {
	MOVES_OF(vmove_load, base, move_load_base_32),
	MOVES_OF(vmove_load, flat, move_load_flat_32),
	MOVES_OF(vmove_load, general, move_load_general_32)
};
static emu_fn *const move_stores[ADDRESS_KINDS][WIDTHS] = {
	MOVES_OF(move_store, base, move_store_base_32),
	MOVES_OF(move_store, flat, move_store_flat_32),
	MOVES_OF(move_store, general, move_store_general_32)
};

static enum address_kind kind_of(const struct emu_builder *b, const struct x86_insn *in)
{
	if (!(b->c->mode & EMU_MODE_64) || in->adsize != 8 || in->seg >= X86_FS)
		return GENERAL;
	return in->base < X86_GPR_COUNT && in->index == X86_REG_NONE ? BASE : FLAT;
}

static unsigned log2_of(unsigned power)
{
	return (unsigned)__builtin_ctz(power);
}

/* NULL: no room. */
static struct emu_uop *emit(struct emu_builder *b, const struct vec_row *row,
                            const struct x86_insn *in, emu_fn *const fns[ADDRESS_KINDS][WIDTHS])
{
	unsigned size = width_of(row, in);
	struct emu_uop *u = emu_emit(b, fns[kind_of(b, in)][log2_of(size)]);

	if (!u)
		return NULL;
	u->dst = in->reg;
	u->src = (uint8_t)alignment_of(row, in, size);
	u->base = in->base < X86_GPR_COUNT ? EMU_GPR(in->base) : NONE;
	u->index = in->index < X86_GPR_COUNT ? EMU_GPR(in->index) : NONE;
	u->scale = (uint8_t)(in->scale | log2_of(in->adsize) << ADDRESS_BITS);
	if (row->flags & VEC_NO_AC)
		u->scale |= NO_AC;
	u->seg = in->seg;
	u->imm64 = (uint64_t)(int64_t)in->disp;
	if (in->base == X86_REG_RIP)
		u->imm64 += b->pc + in->length;
	return u;
}

bool emu_vec_emit_load(struct emu_builder *b, const struct vec_row *row, const struct x86_insn *in)
{
	return emit(b, row, in, loads);
}

bool emu_vec_emit_store(struct emu_builder *b, const struct vec_row *row, const struct x86_insn *in)
{
	return emit(b, row, in, stores);
}

bool emu_vec_emit_move(struct emu_builder *b, const struct vec_row *row, const struct x86_insn *in)
{
	bool vex = in->prefixes & X86_PFX_VEX;

	if (row->flags & VEC_TO_RM)
		return emit(b, row, in, move_stores);
	return emit(b, row, in, vex ? vmove_loads : move_loads);
}
