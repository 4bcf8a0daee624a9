/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LOCK, XCHG with memory and CMPXCHG, XADD: by the host's own atomic instructions where the operand
 * is aligned and in the TLB, else by x86_execute() and emu_cmpxchg().
 */
#include "emu/x86_64/engine/uop.h"

/* As UOP_WRITABLE; an operand that is not aligned is left to x86_execute(). */
#define LOCKED(p, bits, va)                                                                        \
	UOP_HOST(p##_memory, bits, va, write, EMU_WRITE);                                          \
	uint##bits##_t *p = (uint##bits##_t *)(void *)p##_memory;                                  \
	if ((va) & (bits / 8 - 1))                                                                 \
	return emu_interpret(c, u, s)

static inline __attribute__((always_inline)) uint64_t carry_of(const struct emu_cpu *c)
{
	return emu_cf(&c->flags);
}

/* The other operand: a register or the immediate. */
#define BY_mr(bits) UOP_GET##bits(s, u->src)
#define BY_mi(bits) ((uint##bits##_t)uop_imm(u))

#define FETCH_ADD __atomic_fetch_add
#define FETCH_SUB __atomic_fetch_sub
#define FETCH_OR  __atomic_fetch_or
#define FETCH_AND __atomic_fetch_and
#define FETCH_XOR __atomic_fetch_xor

#define LOCK_BINARY(kind, op, bits, name)                                                          \
	UOP(lock_##op##bits##_##name##_##kind)                                                     \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		LOCKED(p, bits, va);                                                               \
		uint##bits##_t b = BY_##name(bits);                                                \
		uint##bits##_t a = FETCH_##op(p, b, __ATOMIC_SEQ_CST);                             \
                                                                                                   \
		uop_set_flags(c, uop_binary(X86_OP_##op, a, b, 0, bits / 8), bits / 8);            \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define LOCK_STEP(kind, op, sum, bits)                                                             \
	UOP(lock_##op##bits##_##kind)                                                              \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		LOCKED(p, bits, va);                                                               \
		uint##bits##_t a = FETCH_##sum(p, (uint##bits##_t)1, __ATOMIC_SEQ_CST);            \
                                                                                                   \
		uop_set_flags(c, uop_step(X86_OP_##op, a, carry_of(c), bits / 8), bits / 8);       \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define XCHG_MEM(kind, bits)                                                                       \
	UOP(xchg##bits##_##kind)                                                                   \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		LOCKED(p, bits, va);                                                               \
		uint##bits##_t v =                                                                 \
			__atomic_exchange_n(p, UOP_GET##bits(s, u->src), __ATOMIC_SEQ_CST);        \
                                                                                                   \
		uop_put##bits(s, u->src, v);                                                       \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define XADD_MEM(kind, bits)                                                                       \
	UOP(xadd##bits##_##kind)                                                                   \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		LOCKED(p, bits, va);                                                               \
		uint##bits##_t b = UOP_GET##bits(s, u->src);                                       \
		uint##bits##_t a = __atomic_fetch_add(p, b, __ATOMIC_SEQ_CST);                     \
                                                                                                   \
		uop_set_flags(c, uop_binary(X86_OP_ADD, a, b, 0, bits / 8), bits / 8);             \
		uop_put##bits(s, u->src, a);                                                       \
		EMU_NEXT(c, u, s);                                                                 \
	}

/* The accumulator is written, and a 32-bit one zero-extended, if they differ. The comparison is
 * with a value that the exchange gives, by a builtin whose local the compiler keeps in a register.
 */
#define CMPXCHG_MEM(kind, bits)                                                                    \
	UOP(cmpxchg##bits##_##kind)                                                                \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		LOCKED(p, bits, va);                                                               \
		uint##bits##_t a = UOP_GET##bits(s, EMU_GPR(X86_RAX));                             \
		uint##bits##_t v = __sync_val_compare_and_swap(p, a, UOP_GET##bits(s, u->src));    \
                                                                                                   \
		if (v != a)                                                                        \
			uop_put##bits(s, EMU_GPR(X86_RAX), v);                                     \
		uop_set_flags(c, uop_binary(X86_OP_CMP, a, v, 0, bits / 8), bits / 8);             \
		EMU_NEXT(c, u, s);                                                                 \
	}

/* BTS, BTR, BTC by an immediate. */
#define LOCK_BIT(kind, op, how, by, bits)                                                          \
	UOP(lock_##op##bits##_##kind)                                                              \
	{                                                                                          \
		uint64_t va = UOP_ADDRESS_##kind(bits / 8, EMU_WRITE);                             \
		LOCKED(p, bits, va);                                                               \
		uint##bits##_t mask = (uint##bits##_t)1 << ((unsigned)u->imm & (bits - 1));        \
                                                                                                   \
		uop_set_cf(c, FETCH_##how(p, by mask, __ATOMIC_SEQ_CST) & mask);                   \
		EMU_NEXT(c, u, s);                                                                 \
	}

#define LOCK_KIND(kind, bits)                                                                      \
	LOCK_BINARY(kind, ADD, bits, mr)                                                           \
	LOCK_BINARY(kind, ADD, bits, mi)                                                           \
	LOCK_BINARY(kind, SUB, bits, mr)                                                           \
	LOCK_BINARY(kind, SUB, bits, mi)                                                           \
	LOCK_BINARY(kind, OR, bits, mr)                                                            \
	LOCK_BINARY(kind, OR, bits, mi)                                                            \
	LOCK_BINARY(kind, AND, bits, mr)                                                           \
	LOCK_BINARY(kind, AND, bits, mi)                                                           \
	LOCK_BINARY(kind, XOR, bits, mr)                                                           \
	LOCK_BINARY(kind, XOR, bits, mi)                                                           \
	LOCK_STEP(kind, INC, ADD, bits)                                                            \
	LOCK_STEP(kind, DEC, SUB, bits)                                                            \
	XCHG_MEM(kind, bits)                                                                       \
	XADD_MEM(kind, bits)                                                                       \
	CMPXCHG_MEM(kind, bits)

#define LOCK_BITS(kind, bits)                                                                      \
	LOCK_BIT(kind, BTS, OR, , bits)                                                            \
	LOCK_BIT(kind, BTR, AND, (uint##bits##_t) ~, bits)                                         \
	LOCK_BIT(kind, BTC, XOR, , bits)

#define LOCK_WIDTH(bits) LOCK_KIND(FULL, bits) LOCK_KIND(ANY, bits)
LOCK_WIDTH(8)
LOCK_WIDTH(16)
LOCK_WIDTH(32)
LOCK_WIDTH(64)
LOCK_BITS(FULL, 32)
LOCK_BITS(FULL, 64)
LOCK_BITS(ANY, 32)
LOCK_BITS(ANY, 64)

/* By log2 of the width; then FULL and ANY. */
#define PAIR(name)                                                                                 \
	{                                                                                          \
		name##_FULL, name##_ANY                                                            \
	}
#define BY_WIDTH(name, form)                                                                       \
	{                                                                                          \
		PAIR(name##8##form), PAIR(name##16##form), PAIR(name##32##form),                   \
			PAIR(name##64##form)                                                       \
	}
#define BITS_BY_WIDTH(name)                                                                        \
	{                                                                                          \
		{ NULL, NULL }, { NULL, NULL }, PAIR(name##32), PAIR(name##64)                     \
	}

struct locked_row {
	uint16_t op;
	uint8_t form; /* enum x86_form */
	emu_fn *fn[4][2];
};

static const struct locked_row locked_rows[] = {
	{ X86_OP_ADD, X86_FORM_MR, BY_WIDTH(lock_ADD, _mr) },
	{ X86_OP_ADD, X86_FORM_MI, BY_WIDTH(lock_ADD, _mi) },
	{ X86_OP_SUB, X86_FORM_MR, BY_WIDTH(lock_SUB, _mr) },
	{ X86_OP_SUB, X86_FORM_MI, BY_WIDTH(lock_SUB, _mi) },
	{ X86_OP_OR, X86_FORM_MR, BY_WIDTH(lock_OR, _mr) },
	{ X86_OP_OR, X86_FORM_MI, BY_WIDTH(lock_OR, _mi) },
	{ X86_OP_AND, X86_FORM_MR, BY_WIDTH(lock_AND, _mr) },
	{ X86_OP_AND, X86_FORM_MI, BY_WIDTH(lock_AND, _mi) },
	{ X86_OP_XOR, X86_FORM_MR, BY_WIDTH(lock_XOR, _mr) },
	{ X86_OP_XOR, X86_FORM_MI, BY_WIDTH(lock_XOR, _mi) },
	{ X86_OP_INC, X86_FORM_M, BY_WIDTH(lock_INC, ) },
	{ X86_OP_DEC, X86_FORM_M, BY_WIDTH(lock_DEC, ) },
	{ X86_OP_XCHG, X86_FORM_MR, BY_WIDTH(xchg, ) },
	{ X86_OP_XADD, X86_FORM_MR, BY_WIDTH(xadd, ) },
	{ X86_OP_CMPXCHG, X86_FORM_MR, BY_WIDTH(cmpxchg, ) },
	{ X86_OP_BTS, X86_FORM_MI, BITS_BY_WIDTH(lock_BTS) },
	{ X86_OP_BTR, X86_FORM_MI, BITS_BY_WIDTH(lock_BTR) },
	{ X86_OP_BTC, X86_FORM_MI, BITS_BY_WIDTH(lock_BTC) },
};

static emu_fn *const *find(const struct x86_insn *in)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(locked_rows); i++)
		if (locked_rows[i].op == in->op && locked_rows[i].form == in->form)
			return locked_rows[i]
			        .fn[uop_log2(in->rm_width ? in->rm_width : in->reg_width)];
	return NULL;
}

/* All these have an operand in memory; CMPXCHG and XADD come here without LOCK too, to which the
 * same instructions do no harm. */
bool uop_tr_locked(struct emu_builder *b, const struct x86_insn *in)
{
	emu_fn *const *fn = find(in);
	enum uop_ea kind;
	struct emu_uop *u;

	if (!fn || !fn[0] || !in->is_mem || !uop_has_ea(b, in))
		return uop_emit_generic(b, in);
	u = uop_emit_mem(b, in, true, &kind);
	if (!u)
		return false;
	u->fn = fn[kind == UOP_EA_ANY];
	u->src = uop_reg(in, in->reg, in->rm_width ? in->rm_width : in->reg_width);
	if (in->form == X86_FORM_MI)
		u->imm = (int32_t)in->imm;
	return true;
}
