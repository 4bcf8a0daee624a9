/* SPDX-License-Identifier: BSD-2-Clause */
/* Near branches. In 64-bit mode they have handlers; in the others all but direct JMP, Jcc and LOOP
 * are functions. */
#include "emu/x86_64/engine/uop.h"

const struct emu_uop *emu_follow(struct emu_cpu *c, struct emu_link *link, struct x86_state *s)
{
	const struct emu_uop *u = emu_find_next(c, link);

	if (!u)
		return NULL;
	EMU_GOTO(c, u, s);
}

/* To s->rip = target, by the jump cache. Not for blocks of one instruction. */
#define FOLLOW_INDIRECT(c, target, s)                                                              \
	do {                                                                                       \
		const struct emu_jump *jump_ = &(c)->jumps[emu_jump_index(target)];                \
		if (EMU_UNLIKELY(jump_->rip != (target) || jump_->tag != (c)->code_tag))           \
			return emu_follow((c), NULL, (s));                                         \
		EMU_ENTER((c), jump_->block, (s));                                                 \
	} while (0)

/* SDM Vol. 1 3.3.7.1 */
static bool is_canonical(const struct emu_cpu *c, uint64_t a)
{
	unsigned shift = c->s->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(a << shift) >> shift) == a;
}

static inline bool is_48_bits(uint64_t a)
{
	return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/* #GP(0) if target is nowhere code can be (SDM Vol. 2A, JMP). */
static bool is_target(const struct emu_cpu *c, uint64_t target)
{
	return c->mode & EMU_MODE_64 ? is_canonical(c, target) : target <= c->s->seg[X86_CS].limit;
}

static void check_target(struct emu_cpu *c, const struct emu_uop *u, uint64_t target)
{
	if (!is_target(c, target))
		emu_raise_code(c, u, X86_VEC_GP, 0);
}

/* --- Functions --- */

/* Of the instruction at s->rip. */
static uint64_t relative_target(const struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t target = c->s->rip + in->length + in->imm;

	if (c->mode & EMU_MODE_64)
		return target;
	return target & (in->opsize == 2 ? 0xffff : UINT32_MAX);
}

/* The instruction is over. */
static void go_to(struct emu_cpu *c, uint64_t target)
{
	c->s->rip = target;
	c->s->rflags &= ~(uint64_t)X86_FLAG_RF;
}

static uint64_t target_of(struct emu_cpu *c, const struct x86_insn *in)
{
	return in->form == X86_FORM_D ? relative_target(c, in) : emu_insn_read(c, in, in->opsize);
}

static void call_jmp(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t target = target_of(c, in);

	check_target(c, NULL, target);
	go_to(c, target);
}

/* CPUs look at the target when they have written the return address. */
static void call_call(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t target = target_of(c, in);
	uint64_t rsp = c->s->gpr[X86_RSP];

	emu_push(c, (c->s->rip + in->length) & alu_mask(in->opsize), in->opsize);
	if (!is_target(c, target)) {
		c->s->gpr[X86_RSP] = rsp;
		emu_raise_code(c, NULL, X86_VEC_GP, 0);
	}
	go_to(c, target);
}

/* imm: bytes of arguments to drop as well. */
static void call_ret(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t target = emu_top(c, 0, in->opsize);

	check_target(c, NULL, target);
	emu_drop(c, in->opsize + in->imm);
	go_to(c, target);
}

/* --- JMP and Jcc to where they say --- */

#define JCC(cc, unused)                                                                            \
	UOP(jcc_##cc)                                                                              \
	{                                                                                          \
		UOP_BRANCH(c, u, s, emu_condition(&c->flags, cc));                                 \
	}
UOP_EACH_CC(JCC, )

UOP(jmp)
{
	s->rip = u->imm64;
	UOP_FOLLOW(c, &c->block->next[0], s);
}

/* Where a branch of b's block goes; the limit of CS is part of what a block is found by. False: to
 * nowhere, or what follows wraps around, and a function shall see to it. */
static bool direct_target(const struct emu_builder *b, const struct x86_insn *in, uint64_t *target)
{
	uint64_t next = b->pc + in->length;

	*target = next + in->imm;
	if (uop_mode64(b))
		return is_canonical(b->c, *target);
	*target &= in->opsize == 2 ? 0xffff : UINT32_MAX;
	return *target <= b->c->s->seg[X86_CS].limit && next <= UINT32_MAX;
}

/* LOOP, LOOPE, LOOPNE, JCXZ: src says which by its opcode's low bits, scale the address size. */
enum { LOOPNE, LOOPE, LOOP, JCXZ };

static inline bool loop_taken(const struct emu_cpu *c, unsigned op, uint64_t count)
{
	if (op == JCXZ)
		return !count;
	if (op == LOOP)
		return count;
	return count && emu_zf(&c->flags) == (op == LOOPE);
}

UOP(loop)
{
	uint64_t mask = alu_mask(UOP_ADSIZE(u->scale));
	uint64_t count = (s->gpr[X86_RCX] - (u->src != JCXZ)) & mask;
	bool taken = loop_taken(c, u->src, count);

	if (u->src != JCXZ)
		s->gpr[X86_RCX] = mask == 0xffff ? (s->gpr[X86_RCX] & ~mask) | count : count;
	UOP_BRANCH(c, u, s, taken);
}

static bool emit_direct(struct emu_builder *b, emu_fn *fn, uint64_t target, unsigned src,
                        unsigned scale)
{
	struct emu_uop *u = emu_emit(b, fn);

	if (!u)
		return false;
	u->imm64 = target;
	u->src = (uint8_t)src;
	u->scale = (uint8_t)scale;
	b->ended = true;
	return true;
}

static void call_jcc(struct emu_cpu *c, const struct x86_insn *in)
{
	if (alu_condition(in->opcode & 0xf, c->s->rflags))
		call_jmp(c, in);
	else
		emu_advance(c, in);
}

/* A LOOP to an address that is not canonical. */
static void call_loop(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned op = in->opcode & 3;
	uint64_t mask = alu_mask(in->adsize);
	uint64_t *rcx = &c->s->gpr[X86_RCX];
	uint64_t count = (*rcx - (op != JCXZ)) & mask;

	if (loop_taken(c, op, count))
		call_jmp(c, in);
	else
		emu_advance(c, in);
	if (op != JCXZ)
		*rcx = in->adsize == 2 ? (*rcx & ~mask) | count : count;
}

bool uop_tr_jcc(struct emu_builder *b, const struct x86_insn *in)
{
	static emu_fn *const handlers[16] = UOP_CC_ROW(jcc);
	unsigned cc = in->opcode & 0xf;
	uint64_t target;

	if (!direct_target(b, in, &target))
		return emu_emit_call(b, call_jcc, in, EMU_CALL_END);
	if (!emit_direct(b, handlers[cc], target, 0, 0))
		return false;
	uop_fuse(b, cc);
	return true;
}

bool uop_tr_loop(struct emu_builder *b, const struct x86_insn *in)
{
	uint64_t target;

	if (!direct_target(b, in, &target))
		return emu_emit_call(b, call_loop, in, EMU_CALL_END);
	return emit_direct(b, loop, target, in->opcode & 3u, (unsigned)in->adsize << 4);
}

/* --- CALL, RET and indirect JMP in 64-bit mode --- */

/* The stack's top is not in the TLB, or will not be (seg is SS in all of these). */
static __attribute__((noinline)) const struct emu_uop *enter_slow(struct emu_cpu *c,
                                                                  const struct emu_uop *u,
                                                                  struct x86_state *s,
                                                                  uint64_t target)
{
	emu_store64(c, u, s->gpr[X86_RSP] - 8, c->block->rip + c->block->bytes);
	check_target(c, u, target); /* as late as in call_call() */
	s->gpr[X86_RSP] -= 8;
	s->rip = target;
	return emu_follow(c, NULL, s);
}

static __attribute__((noinline)) const struct emu_uop *return_slow(struct emu_cpu *c,
                                                                   const struct emu_uop *u,
                                                                   struct x86_state *s)
{
	uint64_t target = emu_load64(c, u, s->gpr[X86_RSP]);

	check_target(c, u, target);
	s->gpr[X86_RSP] += 8 + uop_imm(u);
	s->rip = target;
	return emu_follow(c, NULL, s);
}

static __attribute__((noinline)) const struct emu_uop *jump_slow(struct emu_cpu *c,
                                                                 const struct emu_uop *u,
                                                                 struct x86_state *s,
                                                                 uint64_t target)
{
	check_target(c, u, target);
	s->rip = target;
	return emu_follow(c, NULL, s);
}

/* Declares p: the host's memory for the return address. */
#define PUSH_HOST(p, slow)                                                                         \
	uint64_t p##_va = s->gpr[X86_RSP] - 8;                                                     \
	const struct emu_tlb_entry *p##_entry = emu_tlb_of(c, p##_va);                             \
	if (!emu_tlb_hit(c, p##_entry->write, p##_va, 8))                                          \
		return slow;                                                                       \
	uop_mem64 *p = (uop_mem64 *)(uintptr_t)(p##_va + p##_entry->addend)

UOP(call)
{
	PUSH_HOST(p, enter_slow(c, u, s, u->imm64));
	*p = c->block->rip + c->block->bytes;
	s->gpr[X86_RSP] = p_va;
	s->rip = u->imm64;
	UOP_FOLLOW(c, &c->block->next[0], s);
}

UOP(call_r)
{
	uint64_t target = EMU_R64(s, u->src);
	PUSH_HOST(p, enter_slow(c, u, s, target));

	if (EMU_UNLIKELY(!is_48_bits(target)))
		return enter_slow(c, u, s, target);
	*p = c->block->rip + c->block->bytes;
	s->gpr[X86_RSP] = p_va;
	s->rip = target;
	FOLLOW_INDIRECT(c, target, s);
}

UOP(jmp_r)
{
	uint64_t target = EMU_R64(s, u->src);

	if (EMU_UNLIKELY(!is_48_bits(target)))
		return jump_slow(c, u, s, target);
	s->rip = target;
	FOLLOW_INDIRECT(c, target, s);
}

/* The pointer is read from memory first; its segment is that of the micro-operation after it. */
UOP(jmp_m)
{
	uint64_t va = uop_full(c, u, s);

	return jump_slow(c, u, s, emu_load64(c, u, va));
}

UOP(call_m)
{
	uint64_t va = uop_full(c, u, s);

	return enter_slow(c, u + 1, s, emu_load64(c, u, va));
}

/* imm: bytes of arguments to drop as well. */
UOP(ret)
{
	uint64_t va = s->gpr[X86_RSP];
	const struct emu_tlb_entry *e = emu_tlb_of(c, va);
	uint64_t target;

	if (!emu_tlb_hit(c, e->read, va, 8))
		return return_slow(c, u, s);
	target = *(uop_mem64 *)(uintptr_t)(va + e->addend);
	if (EMU_UNLIKELY(!is_48_bits(target)))
		return return_slow(c, u, s);
	s->gpr[X86_RSP] = va + 8 + uop_imm(u);
	s->rip = target;
	FOLLOW_INDIRECT(c, target, s);
}

static struct emu_uop *emit_stack(struct emu_builder *b, emu_fn *fn)
{
	struct emu_uop *u = emu_emit(b, fn);

	if (u)
		u->seg = X86_SS;
	return u;
}

/* Indirect, in 64-bit mode. */
static bool emit_indirect(struct emu_builder *b, const struct x86_insn *in, bool is_call)
{
	struct emu_uop *before = b->next;
	struct emu_uop *u;
	enum uop_ea kind;

	if (!in->is_mem) {
		u = emit_stack(b, is_call ? call_r : jmp_r);
		if (!u)
			return false;
		u->src = EMU_GPR(in->rm);
	} else {
		u = uop_emit_mem(b, in, true, &kind);
		if (!u)
			return false;
		u->fn = is_call ? call_m : jmp_m;
		if (is_call && !emit_stack(b, emu_uop_data)) {
			b->next = before;
			return false;
		}
	}
	b->ended = true;
	return true;
}

/* Single steps are for functions. */
static bool is_wide(const struct emu_builder *b)
{
	return uop_mode64(b) && !(b->c->mode & EMU_MODE_ONE);
}

static bool has_indirect(const struct emu_builder *b, const struct x86_insn *in)
{
	return is_wide(b) && (!in->is_mem || (in->adsize == 8 && uop_has_ea(b, in)));
}

bool uop_tr_jmp(struct emu_builder *b, const struct x86_insn *in)
{
	uint64_t target;

	if (in->form != X86_FORM_D && has_indirect(b, in))
		return emit_indirect(b, in, false);
	if (in->form != X86_FORM_D || !direct_target(b, in, &target))
		return emu_emit_call(b, call_jmp, in, EMU_CALL_END);
	return emit_direct(b, jmp, target, 0, 0);
}

bool uop_tr_call(struct emu_builder *b, const struct x86_insn *in)
{
	struct emu_uop *u;
	uint64_t target;

	if (in->form != X86_FORM_D && has_indirect(b, in))
		return emit_indirect(b, in, true);
	if (in->form != X86_FORM_D || !is_wide(b) || !direct_target(b, in, &target))
		return emu_emit_call(b, call_call, in, EMU_CALL_END);
	u = emit_stack(b, call);
	if (!u)
		return false;
	u->imm64 = target;
	b->ended = true;
	return true;
}

bool uop_tr_ret(struct emu_builder *b, const struct x86_insn *in)
{
	struct emu_uop *u;

	if (!is_wide(b))
		return emu_emit_call(b, call_ret, in, EMU_CALL_END);
	u = emit_stack(b, ret);
	if (!u)
		return false;
	u->imm = (int32_t)in->imm;
	b->ended = true;
	return true;
}
