/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the integer micro-operations share: addresses, memory, results and flags. Private to uop_*.c
 * and translate.c.
 *
 * Handlers are leaf code: whatever is rare is a jump to a function that does the rest of the
 * instruction, so that none of them has a stack frame. A miss of the TLB is a jump to emu_miss(),
 * which fills the TLB and starts the micro-operation again, or executes the instruction by way of
 * x86_execute().
 */
#ifndef EMU_X86_64_ENGINE_UOP_H
#define EMU_X86_64_ENGINE_UOP_H

#include "emu/x86_64/engine/engine.h"

#define EMU_HANDLER(name)                                                                          \
	const struct emu_uop *name(struct emu_cpu *c, const struct emu_uop *u, struct x86_state *s)
#define UOP(name) static EMU_HANDLER(name)

/* --- Registers --- */

#define UOP_GET8(s, o)  EMU_R8(s, o)
#define UOP_GET16(s, o) EMU_R16(s, o)
#define UOP_GET32(s, o) EMU_R32(s, o)
#define UOP_GET64(s, o) EMU_R64(s, o)

static inline void uop_put8(struct x86_state *s, unsigned o, uint64_t v)
{
	EMU_R8(s, o) = (uint8_t)v;
}

static inline void uop_put16(struct x86_state *s, unsigned o, uint64_t v)
{
	EMU_R16(s, o) = (uint16_t)v;
}

static inline void uop_put32(struct x86_state *s, unsigned o, uint64_t v)
{
	EMU_R64(s, o) = (uint32_t)v;
}

static inline void uop_put64(struct x86_state *s, unsigned o, uint64_t v)
{
	EMU_R64(s, o) = v;
}

/* Index of a width in bytes into tables: 1, 2, 4, 8. */
static inline unsigned uop_log2(unsigned width)
{
	return (unsigned)__builtin_ctz(width);
}

/* --- Effective addresses --- */

/* uop->base and index besides EMU_GPR(). */
#define UOP_REG_NONE  0xff
#define UOP_REG_BLOCK 0xfe /* base: the block's RIP, for code that is linked to run anywhere */

/* uop->scale: log2 of the factor; the address size unless it is 8 bytes. */
#define UOP_SCALE(scale)  ((scale)&3)
#define UOP_ADSIZE(scale) ((scale) >> 4)

enum uop_ea {
	UOP_EA_BASE,  /* base + disp */
	UOP_EA_INDEX, /* base + (index << scale) + disp */
	UOP_EA_ABS,   /* imm64, or disp where there is an immediate */
	UOP_EA_FULL,  /* all there may be in 64-bit mode with 64-bit addresses */
	UOP_EA_ANY,   /* the other modes and sizes, with the segment's checks */
	UOP_EA_KINDS
};

static inline uint64_t uop_imm(const struct emu_uop *u)
{
	return (uint64_t)(int64_t)u->imm;
}

static inline uint64_t uop_disp(const struct emu_uop *u)
{
	return (uint64_t)(int64_t)u->disp;
}

/* Everything but the segment's base. */
static inline uint64_t uop_offset(const struct emu_cpu *c, const struct emu_uop *u,
                                  const struct x86_state *s)
{
	const char *regs = (const char *)s;
	uint64_t a = uop_disp(u);

	if (u->base == UOP_REG_BLOCK)
		a += c->block->rip;
	else if (u->base != UOP_REG_NONE)
		a += *(const uint64_t *)(const void *)(regs + u->base);
	if (u->index != UOP_REG_NONE)
		a += *(const uint64_t *)(const void *)(regs + u->index) << UOP_SCALE(u->scale);
	return a;
}

static inline uint64_t uop_full(const struct emu_cpu *c, const struct emu_uop *u,
                                const struct x86_state *s)
{
	uint64_t a = uop_offset(c, u, s);

	return u->seg >= X86_FS ? a + s->seg[u->seg].base : a;
}

/* Linear address by emu_linear(), which may unwind. access: enum emu_access. */
uint64_t emu_ea_any(struct emu_cpu *c, const struct emu_uop *u, unsigned size, unsigned access);

#define UOP_ADDRESS_BASE(size, access) (EMU_R64(s, u->base) + uop_disp(u))
#define UOP_ADDRESS_INDEX(size, access)                                                            \
	(EMU_R64(s, u->base) + (EMU_R64(s, u->index) << u->scale) + uop_disp(u))
#define UOP_ADDRESS_ABS(size, access)  (u->imm64)
#define UOP_ADDRESS_ABSI(size, access) uop_disp(u)
#define UOP_ADDRESS_FULL(size, access) uop_full(c, u, s)
#define UOP_ADDRESS_ANY(size, access)  emu_ea_any(c, u, size, access)

/* X(kind, name in UOP_ADDRESS_...) of each kind, for handlers without and with an immediate. */
#define UOP_EACH_EA(X, ...)                                                                        \
	X(BASE, __VA_ARGS__)                                                                       \
	X(INDEX, __VA_ARGS__)                                                                      \
	X(ABS, __VA_ARGS__)                                                                        \
	X(FULL, __VA_ARGS__)                                                                       \
	X(ANY, __VA_ARGS__)
#define UOP_EACH_EA_IMM(X, ...)                                                                    \
	X(BASE, __VA_ARGS__)                                                                       \
	X(INDEX, __VA_ARGS__)                                                                      \
	X(ABSI, __VA_ARGS__)                                                                       \
	X(FULL, __VA_ARGS__)                                                                       \
	X(ANY, __VA_ARGS__)
/* A row of a table by enum uop_ea of the handlers whose names end in the kinds'. */
#define UOP_EA_ROW(name)                                                                           \
	{                                                                                          \
		name##_BASE, name##_INDEX, name##_ABS, name##_FULL, name##_ANY                     \
	}
#define UOP_EA_ROW_IMM(name)                                                                       \
	{                                                                                          \
		name##_BASE, name##_INDEX, name##_ABSI, name##_FULL, name##_ANY                    \
	}

/* The same where two handlers do: the operand in memory is rare. imm is true for these. */
#define UOP_EA_ROW_RARE(name)                                                                      \
	{                                                                                          \
		name##_FULL, name##_FULL, name##_FULL, name##_FULL, name##_ANY                     \
	}

/* --- Conditions --- */

/* X(cc, ...) for all sixteen. */
#define UOP_EACH_CC(X, ...)                                                                        \
	X(0, __VA_ARGS__)                                                                          \
	X(1, __VA_ARGS__)                                                                          \
	X(2, __VA_ARGS__)                                                                          \
	X(3, __VA_ARGS__)                                                                          \
	X(4, __VA_ARGS__)                                                                          \
	X(5, __VA_ARGS__)                                                                          \
	X(6, __VA_ARGS__)                                                                          \
	X(7, __VA_ARGS__)                                                                          \
	X(8, __VA_ARGS__)                                                                          \
	X(9, __VA_ARGS__)                                                                          \
	X(10, __VA_ARGS__)                                                                         \
	X(11, __VA_ARGS__)                                                                         \
	X(12, __VA_ARGS__)                                                                         \
	X(13, __VA_ARGS__)                                                                         \
	X(14, __VA_ARGS__)                                                                         \
	X(15, __VA_ARGS__)
#define UOP_CC_ROW(name)                                                                           \
	{                                                                                          \
		name##_0, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7,    \
			name##_8, name##_9, name##_10, name##_11, name##_12, name##_13, name##_14, \
			name##_15                                                                  \
	}

/* --- Memory --- */

typedef uint8_t __attribute__((may_alias)) uop_mem8;
typedef uint16_t __attribute__((may_alias, aligned(1))) uop_mem16;
typedef uint32_t __attribute__((may_alias, aligned(1))) uop_mem32;
typedef uint64_t __attribute__((may_alias, aligned(1))) uop_mem64;

/* After an access of u's that the TLB does not allow: does the whole instruction. */
const struct emu_uop *emu_miss(struct emu_cpu *c, const struct emu_uop *u, struct x86_state *s,
                               uint64_t va, unsigned size, unsigned access);

/* The instruction by x86_execute(), then what follows it. */
const struct emu_uop *emu_interpret(struct emu_cpu *c, const struct emu_uop *u,
                                    struct x86_state *s);

/* Not executed: more operands of the micro-operation before it. */
EMU_HANDLER(emu_uop_data);

/* Declares `p`, where va's `bits` bits are in the host's memory; leaves the handler on a miss. */
#define UOP_HOST(p, bits, va, member, access)                                                      \
	const struct emu_tlb_entry *p##_entry = emu_tlb_of(c, va);                                 \
	uop_mem##bits *p;                                                                          \
	if (!emu_tlb_hit(c, p##_entry->member, va, bits / 8))                                      \
		return emu_miss(c, u, s, va, bits / 8, access);                                    \
	p = (uop_mem##bits *)(uintptr_t)((va) + p##_entry->addend)

#define UOP_READABLE(p, bits, va) UOP_HOST(p, bits, va, read, EMU_READ)
#define UOP_WRITABLE(p, bits, va) UOP_HOST(p, bits, va, write, EMU_WRITE)

/* --- Results --- */

struct uop_value {
	uint64_t r, aux; /* struct emu_flags' aux */
};

/* ADD to CMP and TEST; carry: CF. With a constant op little is left of it. */
static inline __attribute__((always_inline)) struct uop_value uop_binary(enum x86_op op, uint64_t a,
                                                                         uint64_t b, uint64_t carry,
                                                                         unsigned width)
{
	struct uop_value v = { 0, 0 };

	switch (op) {
	case X86_OP_ADC:
	case X86_OP_ADD:
		v.r = a + b + (op == X86_OP_ADC ? carry : 0);
		v.aux = emu_aux(alu_carries(a, b, v.r), width);
		break;
	case X86_OP_SBB:
	case X86_OP_CMP:
	case X86_OP_SUB:
		v.r = a - b - (op == X86_OP_SBB ? carry : 0);
		v.aux = emu_aux(alu_borrows(a, b, v.r), width);
		break;
	case X86_OP_OR: v.r = a | b; break;
	case X86_OP_XOR: v.r = a ^ b; break;
	case X86_OP_AND:
	case X86_OP_TEST:
	default: v.r = a & b; break;
	}
	return v;
}

/* INC and DEC, which keep CF. */
static inline __attribute__((always_inline)) struct uop_value uop_step(enum x86_op op, uint64_t a,
                                                                       bool cf, unsigned width)
{
	struct uop_value v = uop_binary(op == X86_OP_INC ? X86_OP_ADD : X86_OP_SUB, a, 1, 0, width);
	uint64_t of = (v.aux ^ v.aux << 1) >> 63;

	v.aux = (v.aux & EMU_AUX_AF) | (uint64_t)cf << 63 | (cf ^ of) << 62;
	return v;
}

static inline void uop_set_flags(struct emu_cpu *c, struct uop_value v, unsigned width)
{
	c->flags.result = alu_sign_extend(v.r, width);
	c->flags.aux = v.aux;
}

/* The bits of aux that hold CF and OF. */
static inline uint64_t uop_cf_of(bool cf, bool of)
{
	return (uint64_t)cf << 63 | (uint64_t)(cf != of) << 62;
}

#define UOP_CF_OF (EMU_AUX_CF | EMU_AUX_CARRY_IN)

/* CF alone: OF is the difference of the two. */
static inline void uop_set_cf(struct emu_cpu *c, bool cf)
{
	c->flags.aux ^= cf != emu_cf(&c->flags) ? UOP_CF_OF : 0;
}

/* --- The end of a block --- */

/* What EMU_FOLLOW does, when the link is not good; link NULL: by address. */
const struct emu_uop *emu_follow(struct emu_cpu *c, struct emu_link *link, struct x86_state *s);

#define UOP_FOLLOW(c, link_, s)                                                                    \
	do {                                                                                       \
		struct emu_link *uop_link_ = (link_);                                              \
		if (EMU_UNLIKELY(uop_link_->tag != (c)->code_tag))                                 \
			return emu_follow((c), uop_link_, (s));                                    \
		EMU_ENTER((c), uop_link_->to, (s));                                                \
	} while (0)

/* The end of a block with the conditional branch at `uop`, in 64-bit mode. */
#define UOP_BRANCH(c, uop, s, taken)                                                               \
	do {                                                                                       \
		struct emu_block *uop_block_ = (c)->block;                                         \
		if (taken) {                                                                       \
			(s)->rip = (uop)->imm64;                                                   \
			UOP_FOLLOW((c), &uop_block_->next[1], (s));                                \
		}                                                                                  \
		(s)->rip = uop_block_->rip + uop_block_->bytes;                                    \
		UOP_FOLLOW((c), &uop_block_->next[0], (s));                                        \
	} while (0)

/* Handlers by condition of an instruction and the branch after it; NULL, or NULL in them: none. */
emu_fn *const *uop_fused_binary(enum x86_op op, bool imm, unsigned width);
emu_fn *const *uop_fused_dec(unsigned width);

/* --- The stack, for functions. s->rip is up to date; faults unwind. --- */

/* rSP less `width`, and v of that width there. */
void emu_push(struct emu_cpu *c, uint64_t v, unsigned width);

/* What is `skip` bytes above rSP; rSP stays. */
uint64_t emu_top(struct emu_cpu *c, unsigned skip, unsigned width);

/* rSP += n, in as many bits as the stack has. */
void emu_drop(struct emu_cpu *c, uint64_t n);

/* The r/m operand's value; as a branch target, without regard to 8-bit registers. */
uint64_t emu_insn_read(struct emu_cpu *c, const struct x86_insn *in, unsigned width);

/* --- Translation (translate.c) --- */

/* A micro-operation for an instruction whose r/m operand is in memory, with its address filled in
 * and which kind that is; fn is left to the caller. NULL: no room. */
struct emu_uop *uop_emit_mem(struct emu_builder *b, const struct x86_insn *in, bool imm,
                             enum uop_ea *kind);

/* The same, from a table by enum uop_ea. */
struct emu_uop *uop_emit_ea(struct emu_builder *b, const struct x86_insn *in, bool imm,
                            emu_fn *const row[UOP_EA_KINDS]);

/* Whether in's address can be translated at all. If not: uop_emit_generic(). */
bool uop_has_ea(const struct emu_builder *b, const struct x86_insn *in);

/* The instruction by x86_execute(). */
bool uop_emit_generic(struct emu_builder *b, const struct x86_insn *in);

static inline uint8_t uop_reg(const struct x86_insn *in, unsigned n, unsigned width)
{
	return width == 1 ? EMU_GPR8(n, in->rex) : EMU_GPR(n);
}

static inline bool uop_mode64(const struct emu_builder *b)
{
	return b->c->mode & EMU_MODE_64;
}

/*
 * Flags that nobody reads. After an instruction that does nothing but change registers and flags
 * (uop_note_setter) the next may turn out to set all flags as well, before anything can fault or
 * read them (uop_note_overwritten): the first then becomes its variant without flags.
 */
void uop_note_overwritten(struct emu_builder *b);
void uop_note_setter(struct emu_builder *b, struct emu_uop *u, emu_fn *without);
/* An instruction that neither faults nor reads or writes flags. */
void uop_note_pure(struct emu_builder *b);

/* For the branch that may follow at once: u's handlers by condition that branch as well. */
void uop_note_fusable(struct emu_builder *b, struct emu_uop *u, emu_fn *const *by_condition);
/* Makes the instruction before, if there is such, branch by the uop that is emitted next. */
void uop_fuse(struct emu_builder *b, unsigned cc);

/* One function a family, in uop_*.c; each is emu_translate_integer() for its instructions. */
typedef bool emu_translate_fn(struct emu_builder *b, const struct x86_insn *in);
emu_translate_fn uop_tr_mov, uop_tr_extend, uop_tr_lea, uop_tr_xchg, uop_tr_bswap, uop_tr_cmov,
	uop_tr_setcc, uop_tr_nop, uop_tr_widen;
emu_translate_fn uop_tr_binary, uop_tr_unary, uop_tr_shift, uop_tr_double_shift, uop_tr_bit,
	uop_tr_scan, uop_tr_multiply, uop_tr_divide, uop_tr_flag;
emu_translate_fn uop_tr_jcc, uop_tr_jmp, uop_tr_call, uop_tr_ret, uop_tr_loop;
emu_translate_fn uop_tr_push, uop_tr_pop, uop_tr_leave;
emu_translate_fn uop_tr_string;
/* LOCK, and XCHG with memory. */
emu_translate_fn uop_tr_locked;

#endif
