/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One event through the IDT or the real-mode table (SDM Vol. 3A 6.12 to 6.14, 20.1.4; Vol. 2A,
 * INT n). What is found on the way is checked in the manual's order; the frame's last word is the
 * last access, after which the state changes.
 *
 *    legacy:  [GS FS DS ES] [SS ESP] EFLAGS CS EIP [error]     from virtual-8086 mode, another
 * level long:                   SS RSP  RFLAGS CS RIP [error]     always
 */
#include "emu/x86_64/engine/system.h"

struct gate {
	unsigned type; /* enum emu_desc_type */
	unsigned dpl;
	unsigned ist;
	bool present;
	uint16_t selector;
	uint64_t offset;
};

/* Gates that the IDT can have, as bits. */
#define GATES_LEGACY                                                                               \
	(1u << EMU_DESC_TASK | 1u << EMU_DESC_INT16 | 1u << EMU_DESC_TRAP16 |                      \
	 1u << EMU_DESC_INT32 | 1u << EMU_DESC_TRAP32)
#define GATES_LONG (1u << EMU_DESC_INT32 | 1u << EMU_DESC_TRAP32)

static _Noreturn void raise_vector(struct emu_cpu *c, enum x86_vector vector, unsigned about)
{
	emu_raise_code(c, NULL, vector,
	               about << 3 | EMU_ERROR_IDT | (c->delivering ? EMU_ERROR_EXT : 0));
}

static void read_idt(struct emu_cpu *c, unsigned vector, void *buf, unsigned size)
{
	const struct x86_dtable *idt = &c->s->idtr;
	uint64_t va = idt->base + vector * size;

	if (EMU_UNLIKELY(vector * size + size - 1 > idt->limit))
		raise_vector(c, X86_VEC_GP, vector);
	emu_read(c, emu_is_long(c->s) ? va : (uint32_t)va, buf, size, EMU_READ | EMU_SYSTEM);
}

static void read_gate(struct emu_cpu *c, unsigned vector, struct gate *g)
{
	bool is_long = emu_is_long(c->s);
	uint64_t raw[2] = { 0, 0 };

	read_idt(c, vector, raw, is_long ? 16 : 8);
	g->type = raw[0] >> 40 & 0x1f;
	g->dpl = raw[0] >> 45 & 3;
	g->present = raw[0] >> 47 & 1;
	g->ist = is_long ? raw[0] >> 32 & 7 : 0;
	g->selector = (uint16_t)(raw[0] >> 16);
	g->offset = (raw[0] & 0xffff) | raw[1] << 32;
	if (g->type & 8)
		g->offset |= raw[0] >> 32 & 0xffff0000;
}

static void check_gate(struct emu_cpu *c, const struct emu_interrupt *i, const struct gate *g)
{
	uint32_t types = emu_is_long(c->s) ? GATES_LONG : GATES_LEGACY;

	if (!(types >> g->type & 1) || (i->software && g->dpl < c->s->cpl))
		raise_vector(c, X86_VEC_GP, i->vector);
	if (!g->present)
		raise_vector(c, X86_VEC_NP, i->vector);
}

/* The handler's code segment. Returns its CPL. */
static unsigned find_handler(struct emu_cpu *c, uint16_t selector, struct emu_descriptor *cs)
{
	const struct x86_state *s = c->s;
	unsigned dpl, cpl;
	bool ok;

	emu_need_descriptor(c, selector, X86_VEC_GP, cs);
	dpl = emu_dpl(&cs->seg);
	cpl = emu_is_conforming(&cs->seg) ? s->cpl : dpl;
	ok = emu_is_code(&cs->seg) && dpl <= s->cpl;
	if (emu_is_long(s))
		ok = ok && (cs->seg.attr & (X86_ATTR_L | X86_ATTR_DB)) == X86_ATTR_L;
	if (emu_is_vm86(s))
		ok = ok && cpl == 0;
	if (EMU_UNLIKELY(!ok))
		emu_raise_selector(c, X86_VEC_GP, selector);
	if (EMU_UNLIKELY(!emu_is_present(&cs->seg)))
		emu_raise_selector(c, X86_VEC_NP, selector);
	return cpl;
}

static unsigned add_error_code(const struct emu_interrupt *i, uint64_t *words, unsigned n)
{
	if (i->has_error_code)
		words[n++] = i->error_code;
	return n;
}

/* RFLAGS in the handler. Interrupt gates are of even type. */
static void set_flags(struct x86_state *s, const struct gate *g)
{
	s->rflags &= ~(uint64_t)(X86_FLAG_TF | X86_FLAG_NT | X86_FLAG_RF | X86_FLAG_VM);
	if (!(g->type & 1))
		s->rflags &= ~(uint64_t)X86_FLAG_IF;
}

/* --- Long mode --- */

static void enter_long(struct emu_cpu *c, const struct emu_interrupt *i, const struct gate *g,
                       struct emu_descriptor *cs, unsigned cpl)
{
	struct x86_state *s = c->s;
	bool inner = cpl != s->cpl;
	struct emu_stack st = {
		.sp = s->gpr[X86_RSP],
		.mask = UINT64_MAX,
		.flat = true,
		.access = inner ? EMU_SYSTEM : 0,
		.error = c->delivering ? EMU_ERROR_EXT : 0,
	};
	uint64_t words[6] = { s->seg[X86_SS].selector, s->gpr[X86_RSP], i->rflags,
		              s->seg[X86_CS].selector, i->rip };
	unsigned n = add_error_code(i, words, 5);

	if (inner || g->ist)
		st.sp = emu_tss_stack(c, cpl, g->ist, NULL);
	st.sp &= ~UINT64_C(15);
	emu_mark_descriptor(c, cs, 1);
	emu_push_words(c, &st, words, n, 8);
	s->gpr[X86_RSP] = st.sp;
	s->cpl = (uint8_t)cpl;
	if (inner)
		emu_set_null(s, X86_SS, (uint16_t)cpl);
	set_flags(s, g);
	emu_enter_code(c, &cs->seg, g->offset, cpl);
}

/* --- Protected mode --- */

static unsigned vm86_segments(const struct x86_state *s, uint64_t *words)
{
	words[0] = s->seg[X86_GS].selector;
	words[1] = s->seg[X86_FS].selector;
	words[2] = s->seg[X86_DS].selector;
	words[3] = s->seg[X86_ES].selector;
	return 4;
}

static void drop_vm86_segments(struct x86_state *s)
{
	emu_set_null(s, X86_GS, 0);
	emu_set_null(s, X86_FS, 0);
	emu_set_null(s, X86_DS, 0);
	emu_set_null(s, X86_ES, 0);
}

static void enter_inner(struct emu_cpu *c, const struct emu_interrupt *i, const struct gate *g,
                        struct emu_descriptor *cs, unsigned cpl)
{
	struct x86_state *s = c->s;
	bool vm86 = emu_is_vm86(s);
	struct emu_stack st = { .access = EMU_SYSTEM };
	struct emu_descriptor ss;
	uint16_t selector;
	uint64_t words[10];
	unsigned n = vm86 ? vm86_segments(s, words) : 0;

	st.sp = emu_tss_stack(c, cpl, 0, &selector);
	emu_check_stack(c, selector, cpl, X86_VEC_TS, &ss);
	st.ss = &ss.seg;
	st.mask = emu_sp_mask(&ss.seg);
	st.error = emu_selector_error(c, selector);
	words[n++] = s->seg[X86_SS].selector;
	words[n++] = s->gpr[X86_RSP];
	words[n++] = i->rflags;
	words[n++] = s->seg[X86_CS].selector;
	words[n++] = i->rip;
	n = add_error_code(i, words, n);
	emu_mark_descriptor(c, cs, 1);
	emu_mark_descriptor(c, &ss, 1);
	emu_push_words(c, &st, words, n, g->type & 8 ? 4 : 2);
	if (vm86)
		drop_vm86_segments(s);
	s->seg[X86_SS] = ss.seg;
	emu_set_sp(s, &st);
	set_flags(s, g);
	emu_enter_code(c, &cs->seg, g->offset, cpl);
}

static void enter_same(struct emu_cpu *c, const struct emu_interrupt *i, const struct gate *g,
                       struct emu_descriptor *cs)
{
	struct x86_state *s = c->s;
	struct emu_stack st = emu_present_stack(c);
	uint64_t words[4] = { i->rflags, s->seg[X86_CS].selector, i->rip };
	unsigned n = add_error_code(i, words, 3);

	emu_mark_descriptor(c, cs, 1);
	emu_push_words(c, &st, words, n, g->type & 8 ? 4 : 2);
	emu_set_sp(s, &st);
	set_flags(s, g);
	emu_enter_code(c, &cs->seg, g->offset, s->cpl);
}

static void through_gate(struct emu_cpu *c, const struct emu_interrupt *i)
{
	struct emu_descriptor cs;
	struct gate g;
	unsigned cpl;

	read_gate(c, i->vector, &g);
	check_gate(c, i, &g);
	if (g.type == EMU_DESC_TASK)
		emu_task_switch(c);
	cpl = find_handler(c, g.selector, &cs);
	emu_check_target(c, &cs.seg, g.offset);
	if (emu_is_long(c->s))
		enter_long(c, i, &g, &cs, cpl);
	else if (cpl != c->s->cpl)
		enter_inner(c, i, &g, &cs, cpl);
	else
		enter_same(c, i, &g, &cs);
}

/* --- Real mode: a table of far pointers, and no error codes (20.1.4) --- */

static void through_vector(struct emu_cpu *c, const struct emu_interrupt *i)
{
	struct x86_state *s = c->s;
	struct emu_stack st = emu_present_stack(c);
	uint64_t words[3] = { i->rflags, s->seg[X86_CS].selector, i->rip };
	uint16_t pointer[2];

	read_idt(c, i->vector, pointer, 4);
	if (pointer[0] > s->seg[X86_CS].limit)
		emu_gp(c);
	emu_push_words(c, &st, words, 3, 2);
	emu_set_sp(s, &st);
	s->rflags &= ~(uint64_t)(X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_RF);
	emu_set_paragraph(s, X86_CS, pointer[1]);
	s->rip = pointer[0];
	emu_update_mode(c);
}

void emu_interrupt(struct emu_cpu *c, const struct emu_interrupt *i)
{
	if (c->s->cr0 & X86_CR0_PE)
		through_gate(c, i);
	else
		through_vector(c, i);
	c->s->events.interrupt_shadow = 0;
}
