/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads of segment registers but CS, and the instructions that make them (SDM Vol. 3A 3.4.3, 5.4 to
 * 5.7; Vol. 2, MOV and POP; Vol. 3B 20.1.1 for real mode).
 */
#include "emu/x86_64/engine/system.h"

#define ATTR_VM86        0xf3u  /* present, DPL 3, writable data, accessed; 16-bit */
#define ATTR_FLAT_CODE64 0xa9bu /* G, L, present, code, readable, accessed */
#define ATTR_FLAT_CODE32 0xc9bu /* G, D */
#define ATTR_FLAT_STACK  0xc93u

static uint16_t with_dpl(unsigned attr, unsigned dpl)
{
	return (uint16_t)(attr | dpl << 5);
}

void emu_set_null(struct x86_state *s, unsigned seg, uint16_t selector)
{
	s->seg[seg] = (struct x86_segment){
		.selector = selector,
		.attr = seg == X86_SS ? with_dpl(0, s->cpl) : 0,
	};
}

void emu_set_paragraph(struct x86_state *s, unsigned seg, uint16_t selector)
{
	struct x86_segment *g = &s->seg[seg];

	g->selector = selector;
	g->base = (uint32_t)selector << 4;
	/* What was null before is usable again. */
	if (!emu_is_present(g)) {
		g->attr = with_dpl(X86_ATTR_P | X86_ATTR_S | 3, 0);
		g->limit = UINT16_MAX;
	}
}

void emu_set_vm86(struct x86_state *s, unsigned seg, uint16_t selector)
{
	s->seg[seg] = (struct x86_segment){
		.selector = selector,
		.attr = ATTR_VM86,
		.limit = UINT16_MAX,
		.base = (uint32_t)selector << 4,
	};
}

void emu_set_flat_code(struct x86_state *s, uint16_t selector, unsigned cpl, bool is_64)
{
	s->seg[X86_CS] = (struct x86_segment){
		.selector = (uint16_t)((selector & 0xfffcu) | cpl),
		.attr = with_dpl(is_64 ? ATTR_FLAT_CODE64 : ATTR_FLAT_CODE32, cpl),
		.limit = UINT32_MAX,
	};
}

void emu_set_flat_stack(struct x86_state *s, uint16_t selector, unsigned cpl)
{
	s->seg[X86_SS] = (struct x86_segment){
		.selector = (uint16_t)((selector & 0xfffcu) | cpl),
		.attr = with_dpl(ATTR_FLAT_STACK, cpl),
		.limit = UINT32_MAX,
	};
}

void emu_check_stack(struct emu_cpu *c, uint16_t selector, unsigned cpl, enum x86_vector vector,
                     struct emu_descriptor *d)
{
	emu_need_descriptor(c, selector, vector, d);
	if ((selector & 3u) != cpl || !emu_is_stack(&d->seg) || emu_dpl(&d->seg) != cpl)
		emu_raise_selector(c, vector, selector);
	if (!emu_is_present(&d->seg))
		emu_raise_selector(c, X86_VEC_SS, selector);
}

/* A data segment or readable code that CPL and RPL may access. */
static bool may_load(const struct x86_state *s, const struct x86_segment *seg)
{
	unsigned rpl = seg->selector & 3u;

	if (!(seg->attr & X86_ATTR_S) || (emu_is_code(seg) && !(seg->attr & 2)))
		return false;
	return emu_is_conforming(seg) || (rpl <= emu_dpl(seg) && s->cpl <= emu_dpl(seg));
}

void emu_check_data(struct emu_cpu *c, unsigned seg, uint16_t selector, struct x86_segment *out)
{
	struct emu_descriptor d;

	if (seg == X86_SS) {
		emu_check_stack(c, selector, c->s->cpl, X86_VEC_GP, &d);
	} else {
		emu_need_descriptor(c, selector, X86_VEC_GP, &d);
		if (!may_load(c->s, &d.seg))
			emu_raise_selector(c, X86_VEC_GP, selector);
		if (!emu_is_present(&d.seg))
			emu_raise_selector(c, X86_VEC_NP, selector);
	}
	emu_mark_descriptor(c, &d, 1);
	*out = d.seg;
}

/* SS can be null in 64-bit mode at CPL 0 to 2 (Vol. 3A 5.4.1.1). */
static bool can_be_null(const struct emu_cpu *c, unsigned seg, uint16_t selector)
{
	if (seg != X86_SS)
		return true;
	return emu_is_64(c) && c->s->cpl < 3 && (selector & 3) == c->s->cpl;
}

/* What CS:RIP depends on is not changed by these: SS.B is part of the mode, though. */
static void load_segment(struct emu_cpu *c, unsigned seg, uint16_t selector)
{
	struct x86_state *s = c->s;
	struct x86_segment loaded;

	if (emu_is_vm86(s)) {
		emu_set_vm86(s, seg, selector);
	} else if (!(s->cr0 & X86_CR0_PE)) {
		emu_set_paragraph(s, seg, selector);
	} else if (selector & 0xfffc) {
		emu_check_data(c, seg, selector, &loaded);
		s->seg[seg] = loaded;
	} else if (can_be_null(c, seg, selector)) {
		emu_set_null(s, seg, selector);
	} else {
		emu_gp(c);
	}
	if (seg == X86_SS)
		emu_update_mode(c);
}

void emu_drop_inner_segments(struct x86_state *s)
{
	static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(data); i++) {
		const struct x86_segment *g = &s->seg[data[i]];

		if (emu_is_present(g) && !emu_is_conforming(g) && emu_dpl(g) < s->cpl)
			emu_set_null(s, data[i], 0);
	}
}

/* --- MOV, PUSH, POP --- */

void emu_call_mov_from_sreg(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_write_operand(c, in, c->s->seg[in->reg & 7].selector, in->is_mem ? 2 : in->opsize);
}

static void shadow_of_ss(struct emu_cpu *c, unsigned seg)
{
	if (seg == X86_SS)
		c->s->events.interrupt_shadow = EMU_SHADOW_MOV_SS;
}

void emu_call_mov_to_sreg(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned seg = in->reg & 7;

	load_segment(c, seg, (uint16_t)emu_read_operand(c, in, 2));
	shadow_of_ss(c, seg);
	emu_advance(c, in);
}

/* 06 to 1E, and 0F A0 and A8, name the register in bits 5:3. */
static unsigned segment_in_opcode(const struct x86_insn *in)
{
	return in->opcode >> 3 & 7;
}

void emu_call_push_sreg(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_stack st = emu_present_stack(c);
	uint64_t selector = c->s->seg[segment_in_opcode(in)].selector;

	emu_push_words(c, &st, &selector, 1, in->opsize);
	emu_set_sp(c->s, &st);
}

void emu_call_pop_sreg(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_stack st = emu_present_stack(c);
	unsigned seg = segment_in_opcode(in);
	uint64_t selector;

	emu_pop_words(c, &st, &selector, 1, in->opsize);
	load_segment(c, seg, (uint16_t)selector);
	emu_set_sp(c->s, &st);
	shadow_of_ss(c, seg);
	emu_advance(c, in);
}

/* --- LDS, LES, LFS, LGS, LSS --- */

static unsigned far_pointer_segment(unsigned op)
{
	switch (op) {
	case X86_OP_LES: return X86_ES;
	case X86_OP_LDS: return X86_DS;
	case X86_OP_LSS: return X86_SS;
	case X86_OP_LFS: return X86_FS;
	default: return X86_GS;
	}
}

void emu_call_load_far_pointer(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned seg = far_pointer_segment(in->op), width = in->opsize;
	uint64_t va = emu_insn_linear(c, in, width + 2, EMU_READ);
	uint64_t offset = 0, *gpr = &c->s->gpr[in->reg];
	uint8_t bytes[10];

	emu_read(c, va, bytes, width + 2, EMU_READ);
	load_segment(c, seg, (uint16_t)(bytes[width] | bytes[width + 1] << 8));
	__builtin_memcpy(&offset, bytes, 8);
	*gpr = emu_merge(*gpr, offset, width);
	emu_advance(c, in);
}

/* --- Bases of FS and GS --- */

void emu_call_swapgs(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	uint64_t base = s->seg[X86_GS].base;

	emu_need_cpl0(c);
	s->seg[X86_GS].base = s->msr_kernel_gs_base;
	s->msr_kernel_gs_base = base;
}

static struct x86_segment *base_segment(struct emu_cpu *c, const struct x86_insn *in)
{
	bool gs = in->op == X86_OP_RDGSBASE || in->op == X86_OP_WRGSBASE;

	if (!(c->s->cr4 & X86_CR4_FSGSBASE))
		emu_ud(c);
	return &c->s->seg[gs ? X86_GS : X86_FS];
}

void emu_call_rdfsbase(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t base = base_segment(c, in)->base;

	c->s->gpr[in->rm] = in->opsize == 8 ? base : (uint32_t)base;
}

void emu_call_wrfsbase(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_segment *seg = base_segment(c, in);
	uint64_t base = c->s->gpr[in->rm];

	if (in->opsize != 8)
		base = (uint32_t)base;
	else if (!emu_is_canonical(c->s, base))
		emu_gp(c);
	seg->base = base;
}
