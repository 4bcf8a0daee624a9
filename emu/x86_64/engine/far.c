/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Far JMP, CALL and RET (SDM Vol. 3A 5.8; Vol. 2A, JMP and CALL; Vol. 2B, RET). A transfer finds
 * its target - by a code segment's selector, or a call gate's - then pushes what it has to, and
 * changes the state last.
 */
#include "emu/x86_64/engine/system.h"

struct far_target {
	struct emu_descriptor cs;
	uint64_t rip;
	unsigned cpl;    /* at the target */
	unsigned width;  /* of what CALL pushes */
	unsigned params; /* to be copied between stacks */
};

_Noreturn void emu_task_switch(struct emu_cpu *c)
{
	c->exit->reason = HC_EXIT_TASK_SWITCH;
	c->exit->next_pc = c->s->rip;
	emu_leave(c, NULL);
}

void emu_check_target(struct emu_cpu *c, const struct x86_segment *cs, uint64_t rip)
{
	bool ok = emu_is_code64(c->s, cs) ? emu_is_canonical(c->s, rip) : rip <= cs->limit;

	if (EMU_UNLIKELY(!ok))
		emu_raise_code(c, NULL, X86_VEC_GP, c->delivering ? EMU_ERROR_EXT : 0);
}

void emu_enter_code(struct emu_cpu *c, const struct x86_segment *cs, uint64_t rip, unsigned cpl)
{
	struct x86_state *s = c->s;

	s->seg[X86_CS] = *cs;
	s->seg[X86_CS].selector = (uint16_t)((cs->selector & 0xfffcu) | cpl);
	s->rip = rip;
	s->cpl = (uint8_t)cpl;
	emu_update_mode(c);
}

/* --- Real and virtual-8086 mode --- */

static void check_real_limit(struct emu_cpu *c, uint64_t rip)
{
	if (rip > c->s->seg[X86_CS].limit)
		emu_gp(c);
}

static void enter_paragraph(struct emu_cpu *c, uint16_t selector, uint64_t rip)
{
	struct x86_state *s = c->s;

	if (emu_is_vm86(s))
		emu_set_vm86(s, X86_CS, selector);
	else
		emu_set_paragraph(s, X86_CS, selector);
	s->rip = rip;
	emu_update_mode(c);
}

/* --- Targets --- */

/* A code segment named directly. */
static void check_code(struct emu_cpu *c, const struct x86_segment *cs)
{
	unsigned dpl = emu_dpl(cs), rpl = cs->selector & 3u, cpl = c->s->cpl;
	bool ok = emu_is_conforming(cs) ? dpl <= cpl : rpl <= cpl && dpl == cpl;

	if (!ok || emu_is_reserved_code(c->s, cs))
		emu_raise_selector(c, X86_VEC_GP, cs->selector);
	if (!emu_is_present(cs))
		emu_raise_selector(c, X86_VEC_NP, cs->selector);
}

/* A gate of any kind, and a TSS, may be used at CPL and RPL up to its DPL (5.8.4, 7.3). */
static void check_gate_rights(struct emu_cpu *c, const struct emu_descriptor *gate)
{
	unsigned dpl = emu_dpl(&gate->seg);

	if (dpl < c->s->cpl || dpl < (gate->seg.selector & 3u))
		emu_raise_selector(c, X86_VEC_GP, gate->seg.selector);
	if (!emu_is_present(&gate->seg))
		emu_raise_selector(c, X86_VEC_NP, gate->seg.selector);
}

/* Whether CALL (else JMP) through a gate may enter cs, and at which CPL. */
static bool gate_allows(const struct emu_cpu *c, const struct x86_segment *cs, bool call,
                        unsigned *cpl)
{
	unsigned dpl = emu_dpl(cs);

	*cpl = c->s->cpl;
	if (!emu_is_code(cs) || dpl > *cpl)
		return false;
	if (emu_is_conforming(cs) || dpl == *cpl)
		return true;
	*cpl = dpl;
	return call;
}

static void through_call_gate(struct emu_cpu *c, struct emu_descriptor *gate, bool call,
                              struct far_target *t)
{
	uint16_t selector = (uint16_t)(gate->low >> 16);
	bool is_32 = emu_desc_type(gate) == EMU_DESC_CALL32, is_long = emu_is_long(c->s);

	check_gate_rights(c, gate);
	if (!emu_find_upper_half(c, gate))
		emu_raise_selector(c, X86_VEC_GP, gate->seg.selector);
	emu_need_descriptor(c, selector, X86_VEC_GP, &t->cs);
	if (!gate_allows(c, &t->cs.seg, call, &t->cpl) ||
	    (is_long && (t->cs.seg.attr & (X86_ATTR_L | X86_ATTR_DB)) != X86_ATTR_L))
		emu_raise_selector(c, X86_VEC_GP, selector);
	if (!emu_is_present(&t->cs.seg))
		emu_raise_selector(c, X86_VEC_NP, selector);
	t->rip = (gate->low & 0xffff) | (is_32 ? gate->low >> 32 & 0xffff0000 : 0);
	t->rip |= gate->high << 32;
	t->width = is_long ? 8 : is_32 ? 4 : 2;
	t->params = is_long ? 0 : gate->low >> 32 & 0x1f;
}

/* Types of system descriptors, as bits. */
#define CALL_GATES_LONG (1u << EMU_DESC_CALL32)
#define CALL_GATES      (1u << EMU_DESC_CALL16 | 1u << EMU_DESC_CALL32)
#define TASKS           (1u << EMU_DESC_TSS16 | 1u << EMU_DESC_TSS32 | 1u << EMU_DESC_TASK)

/* A system descriptor as the target of CALL or JMP. */
static void through_system(struct emu_cpu *c, struct emu_descriptor *d, bool call,
                           struct far_target *t)
{
	uint32_t type = 1u << emu_desc_type(d);

	if (type & (emu_is_long(c->s) ? CALL_GATES_LONG : CALL_GATES)) {
		through_call_gate(c, d, call, t);
		return;
	}
	if (emu_is_long(c->s) || !(type & TASKS))
		emu_raise_selector(c, X86_VEC_GP, d->seg.selector);
	check_gate_rights(c, d);
	emu_task_switch(c);
}

static void find_target(struct emu_cpu *c, const struct x86_insn *in, uint16_t selector,
                        uint64_t offset, struct far_target *t)
{
	bool call = in->op == X86_OP_CALL_FAR;
	struct emu_descriptor d;

	t->rip = offset;
	t->cpl = c->s->cpl;
	t->width = in->opsize;
	t->params = 0;
	emu_need_descriptor(c, selector, X86_VEC_GP, &d);
	if (!(d.seg.attr & X86_ATTR_S)) {
		through_system(c, &d, call, t);
	} else {
		if (!emu_is_code(&d.seg))
			emu_raise_selector(c, X86_VEC_GP, selector);
		check_code(c, &d.seg);
		t->cs = d;
	}
}

/* --- JMP and CALL --- */

/* The far pointer, immediate or in memory. */
static uint64_t take_pointer(struct emu_cpu *c, const struct x86_insn *in, uint16_t *selector)
{
	unsigned width = in->opsize;
	uint8_t bytes[10] = { 0 };
	uint64_t offset, va;

	if (!in->is_mem) {
		*selector = in->imm2;
		return in->imm & alu_mask(width);
	}
	va = emu_insn_linear(c, in, width + 2, EMU_READ);
	emu_read(c, va, bytes, width + 2, EMU_READ);
	*selector = (uint16_t)(bytes[width] | bytes[width + 1] << 8);
	__builtin_memcpy(&offset, bytes, 8);
	return offset & alu_mask(width);
}

void emu_call_jmp_far(struct emu_cpu *c, const struct x86_insn *in)
{
	struct far_target t;
	uint16_t selector;
	uint64_t offset = take_pointer(c, in, &selector);

	if (emu_is_real(c->s)) {
		check_real_limit(c, offset);
		enter_paragraph(c, selector, offset);
	} else {
		find_target(c, in, selector, offset, &t);
		emu_check_target(c, &t.cs.seg, t.rip);
		emu_mark_descriptor(c, &t.cs, 1);
		emu_enter_code(c, &t.cs.seg, t.rip, t.cpl);
	}
	c->s->rflags &= ~(uint64_t)X86_FLAG_RF;
}

/* CALL that stays on its stack. A gate of long mode leads to 64-bit code, and it is that code's
 * rules that the stack has then. */
static void call_same_level(struct emu_cpu *c, const struct x86_insn *in, struct far_target *t)
{
	struct emu_stack st = emu_present_stack(c);
	uint64_t words[2] = { c->s->seg[X86_CS].selector, emu_next_rip(c, in) };

	if (t->width == 8) {
		st.flat = true;
		st.mask = UINT64_MAX;
	}
	emu_mark_descriptor(c, &t->cs, 1);
	emu_push_words(c, &st, words, 2, t->width);
	emu_set_sp(c->s, &st);
	emu_enter_code(c, &t->cs.seg, t->rip, t->cpl);
}

#define MAX_PARAMS 31

/* Stack words from the old stack's top, in the order of pushing. */
static void read_params(struct emu_cpu *c, const struct far_target *t, uint64_t *words)
{
	struct emu_stack old = emu_present_stack(c);
	uint64_t ascending[MAX_PARAMS];

	for (unsigned i = 0; i < t->params; i++)
		emu_pop_words(c, &old, &ascending[i], 1, t->width);
	for (unsigned i = 0; i < t->params; i++)
		words[i] = ascending[t->params - 1 - i];
}

/* The stack of the inner level (5.8.5). The TSS's selector is checked with #TS. */
static struct emu_stack inner_stack(struct emu_cpu *c, const struct far_target *t,
                                    struct emu_descriptor *ss)
{
	struct emu_stack st = { .access = EMU_SYSTEM, .flat = emu_is_long(c->s) };
	uint16_t selector;

	st.sp = emu_tss_stack(c, t->cpl, 0, &selector);
	st.mask = UINT64_MAX;
	if (!st.flat) {
		emu_check_stack(c, selector, t->cpl, X86_VEC_TS, ss);
		st.ss = &ss->seg;
		st.mask = emu_sp_mask(&ss->seg);
		st.error = emu_selector_error(c, selector);
	}
	return st;
}

static void call_inner_level(struct emu_cpu *c, const struct x86_insn *in, struct far_target *t)
{
	struct x86_state *s = c->s;
	struct emu_descriptor ss;
	struct emu_stack st = inner_stack(c, t, &ss);
	uint64_t words[4 + MAX_PARAMS];

	words[0] = s->seg[X86_SS].selector;
	words[1] = s->gpr[X86_RSP];
	read_params(c, t, words + 2);
	words[2 + t->params] = s->seg[X86_CS].selector;
	words[3 + t->params] = emu_next_rip(c, in);
	emu_mark_descriptor(c, &t->cs, 1);
	if (!st.flat)
		emu_mark_descriptor(c, &ss, 1);
	emu_push_words(c, &st, words, 4 + t->params, t->width);
	s->cpl = (uint8_t)t->cpl;
	if (st.flat)
		emu_set_null(s, X86_SS, (uint16_t)t->cpl);
	else
		s->seg[X86_SS] = ss.seg;
	emu_set_sp(s, &st);
	emu_enter_code(c, &t->cs.seg, t->rip, t->cpl);
}

static void call_paragraph(struct emu_cpu *c, const struct x86_insn *in, uint16_t selector,
                           uint64_t offset)
{
	struct emu_stack st = emu_present_stack(c);
	uint64_t words[2] = { c->s->seg[X86_CS].selector, emu_next_rip(c, in) };

	check_real_limit(c, offset);
	emu_push_words(c, &st, words, 2, in->opsize);
	emu_set_sp(c->s, &st);
	enter_paragraph(c, selector, offset);
}

void emu_call_call_far(struct emu_cpu *c, const struct x86_insn *in)
{
	struct far_target t;
	uint16_t selector;
	uint64_t offset = take_pointer(c, in, &selector);

	if (emu_is_real(c->s)) {
		call_paragraph(c, in, selector, offset);
	} else {
		find_target(c, in, selector, offset, &t);
		emu_check_target(c, &t.cs.seg, t.rip);
		if (t.cpl == c->s->cpl)
			call_same_level(c, in, &t);
		else
			call_inner_level(c, in, &t);
	}
	c->s->rflags &= ~(uint64_t)X86_FLAG_RF;
}

/* --- RET --- */

static void return_paragraph(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_stack st = emu_present_stack(c);
	uint64_t words[2];

	emu_pop_words(c, &st, words, 2, in->opsize);
	check_real_limit(c, words[0]);
	st.sp += in->imm;
	emu_set_sp(c->s, &st);
	enter_paragraph(c, (uint16_t)words[1], words[0]);
}

void emu_find_return_code(struct emu_cpu *c, uint16_t selector, struct emu_descriptor *cs)
{
	unsigned rpl = selector & 3u;
	bool ok;

	emu_need_descriptor(c, selector, X86_VEC_GP, cs);
	ok = emu_is_conforming(&cs->seg) ? emu_dpl(&cs->seg) <= rpl : emu_dpl(&cs->seg) == rpl;
	if (!ok || !emu_is_code(&cs->seg) || rpl < c->s->cpl ||
	    emu_is_reserved_code(c->s, &cs->seg))
		emu_raise_selector(c, X86_VEC_GP, selector);
	if (!emu_is_present(&cs->seg))
		emu_raise_selector(c, X86_VEC_NP, selector);
}

void emu_find_return_stack(struct emu_cpu *c, const struct x86_segment *cs, uint16_t selector,
                           unsigned cpl, struct emu_descriptor *ss)
{
	if (!(selector & 0xfffc) && emu_is_code64(c->s, cs) && cpl < 3) {
		if ((selector & 3u) != cpl)
			emu_raise_selector(c, X86_VEC_GP, selector);
		ss->seg =
			(struct x86_segment){ .selector = selector, .attr = (uint16_t)(cpl << 5) };
		return;
	}
	emu_check_stack(c, selector, cpl, X86_VEC_GP, ss);
	emu_mark_descriptor(c, ss, 1);
}

void emu_return_outer(struct emu_cpu *c, const struct emu_descriptor *cs, uint64_t rip,
                      const struct emu_descriptor *ss, uint64_t sp)
{
	struct x86_state *s = c->s;
	unsigned old_cpl = s->cpl, cpl = cs->seg.selector & 3u;
	struct emu_stack st = { .sp = sp, .mask = UINT64_MAX };

	if (!emu_is_code64(s, &cs->seg))
		st.mask = emu_sp_mask(&ss->seg);
	s->seg[X86_SS] = ss->seg;
	emu_set_sp(s, &st);
	s->cpl = (uint8_t)cpl;
	if (cpl != old_cpl)
		emu_drop_inner_segments(s);
	emu_enter_code(c, &cs->seg, rip, cpl);
}

static void return_protected(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_stack st = emu_present_stack(c);
	struct emu_descriptor cs, ss;
	uint64_t words[2], outer[2];

	emu_pop_words(c, &st, words, 2, in->opsize);
	emu_find_return_code(c, (uint16_t)words[1], &cs);
	emu_check_target(c, &cs.seg, words[0]);
	st.sp = (st.sp + in->imm) & st.mask;
	if ((words[1] & 3) == c->s->cpl) {
		emu_mark_descriptor(c, &cs, 1);
		emu_set_sp(c->s, &st);
		emu_enter_code(c, &cs.seg, words[0], c->s->cpl);
		return;
	}
	emu_pop_words(c, &st, outer, 2, in->opsize);
	emu_find_return_stack(c, &cs.seg, (uint16_t)outer[1], words[1] & 3, &ss);
	emu_mark_descriptor(c, &cs, 1);
	emu_return_outer(c, &cs, words[0], &ss, outer[0] + in->imm);
}

void emu_call_ret_far(struct emu_cpu *c, const struct x86_insn *in)
{
	if (emu_is_real(c->s))
		return_paragraph(c, in);
	else
		return_protected(c, in);
	c->s->rflags &= ~(uint64_t)X86_FLAG_RF;
}
