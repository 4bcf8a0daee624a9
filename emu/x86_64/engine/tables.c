/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptor-table registers, LDTR and TR, and the instructions that ask about descriptors (SDM
 * Vol. 3A 2.4, 5.10; Vol. 2).
 */
#include "emu/x86_64/engine/system.h"

/* User-mode instruction prevention (SDM Vol. 3A 2.5, CR4.UMIP). */
static void check_umip(struct emu_cpu *c)
{
	if (c->s->cpl && c->s->cr4 & X86_CR4_UMIP)
		emu_gp(c);
}

/* Instructions that real and virtual-8086 mode do not know. */
static void need_protected(struct emu_cpu *c)
{
	if (emu_is_real(c->s))
		emu_ud(c);
}

/* --- SGDT, SIDT, LGDT, LIDT --- */

void emu_call_sgdt(struct emu_cpu *c, const struct x86_insn *in)
{
	const struct x86_dtable *t = in->op == X86_OP_SGDT ? &c->s->gdtr : &c->s->idtr;
	unsigned size = emu_is_64(c) ? 10 : 6;
	uint8_t bytes[10];

	check_umip(c);
	__builtin_memcpy(bytes, &t->limit, 2);
	__builtin_memcpy(bytes + 2, &t->base, 8);
	emu_write(c, emu_insn_linear(c, in, size, EMU_WRITE), bytes, size, EMU_WRITE);
}

static struct x86_dtable read_table(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned size = emu_is_64(c) ? 10 : 6;
	struct x86_dtable t = { 0, 0 };
	uint8_t bytes[10] = { 0 };

	emu_need_cpl0(c);
	emu_read(c, emu_insn_linear(c, in, size, EMU_READ), bytes, size, EMU_READ);
	__builtin_memcpy(&t.limit, bytes, 2);
	__builtin_memcpy(&t.base, bytes + 2, 8);
	if (!emu_is_64(c) && in->opsize == 2)
		t.base &= 0xffffff;
	if (!emu_is_canonical(c->s, t.base))
		emu_gp(c);
	return t;
}

void emu_call_lgdt(struct emu_cpu *c, const struct x86_insn *in)
{
	c->s->gdtr = read_table(c, in);
}

void emu_call_lidt(struct emu_cpu *c, const struct x86_insn *in)
{
	c->s->idtr = read_table(c, in);
}

/* --- SLDT, STR, LLDT, LTR --- */

static void store_selector(struct emu_cpu *c, const struct x86_insn *in, unsigned seg)
{
	need_protected(c);
	check_umip(c);
	emu_write_operand(c, in, c->s->seg[seg].selector, in->is_mem ? 2 : in->opsize);
}

void emu_call_sldt(struct emu_cpu *c, const struct x86_insn *in)
{
	store_selector(c, in, X86_LDTR);
}

void emu_call_str(struct emu_cpu *c, const struct x86_insn *in)
{
	store_selector(c, in, X86_TR);
}

/* Finds the LDT's or TSS's descriptor, which has to be in the GDT; types: bit n: type n will do. */
static void need_system(struct emu_cpu *c, uint16_t selector, uint32_t types,
                        struct emu_descriptor *d)
{
	if (selector & 4)
		emu_raise_selector(c, X86_VEC_GP, selector);
	emu_need_descriptor(c, selector, X86_VEC_GP, d);
	if (!(types >> emu_desc_type(d) & 1))
		emu_raise_selector(c, X86_VEC_GP, selector);
	if (!emu_is_present(&d->seg))
		emu_raise_selector(c, X86_VEC_NP, selector);
	if (!emu_find_upper_half(c, d) || !emu_is_canonical(c->s, d->seg.base))
		emu_raise_selector(c, X86_VEC_GP, selector);
}

void emu_call_lldt(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_descriptor d;
	uint16_t selector;

	need_protected(c);
	emu_need_cpl0(c);
	selector = (uint16_t)emu_read_operand(c, in, 2);
	if (!(selector & 0xfffc)) {
		emu_set_null(c->s, X86_LDTR, selector);
		return;
	}
	need_system(c, selector, 1u << EMU_DESC_LDT, &d);
	c->s->seg[X86_LDTR] = d.seg;
}

void emu_call_ltr(struct emu_cpu *c, const struct x86_insn *in)
{
	uint32_t types = 1u << EMU_DESC_TSS32;
	struct emu_descriptor d;
	uint16_t selector;

	need_protected(c);
	emu_need_cpl0(c);
	selector = (uint16_t)emu_read_operand(c, in, 2);
	if (!emu_is_long(c->s))
		types |= 1u << EMU_DESC_TSS16;
	need_system(c, selector, types, &d);
	emu_mark_descriptor(c, &d, 2); /* busy */
	c->s->seg[X86_TR] = d.seg;
}

/* --- LAR, LSL, VERR, VERW --- */

/* Types of system descriptors that LAR and LSL tell of, legacy and long mode's (Vol. 2A tables 3-52
 * and 3-56). */
#define LAR_LEGACY                                                                                 \
	(1u << EMU_DESC_TSS16 | 1u << EMU_DESC_LDT | 1u << EMU_DESC_TSS16_BUSY |                   \
	 1u << EMU_DESC_CALL16 | 1u << EMU_DESC_TASK | 1u << EMU_DESC_TSS32 |                      \
	 1u << EMU_DESC_TSS32_BUSY | 1u << EMU_DESC_CALL32)
#define LAR_LONG                                                                                   \
	(1u << EMU_DESC_LDT | 1u << EMU_DESC_TSS32 | 1u << EMU_DESC_TSS32_BUSY |                   \
	 1u << EMU_DESC_CALL32)
#define GATES (1u << EMU_DESC_CALL16 | 1u << EMU_DESC_TASK | 1u << EMU_DESC_CALL32)

/* Whether the descriptor is visible at CPL and RPL; system_types: bit n: type n is. */
static bool is_visible(struct emu_cpu *c, const struct emu_descriptor *d, uint32_t system_types)
{
	unsigned rpl = d->seg.selector & 3u, dpl = emu_dpl(&d->seg);

	if (!(d->seg.attr & X86_ATTR_S) && !(system_types >> emu_desc_type(d) & 1))
		return false;
	return emu_is_conforming(&d->seg) || (c->s->cpl <= dpl && rpl <= dpl);
}

static void set_zf(struct emu_cpu *c, bool zf)
{
	uint64_t rest = c->s->rflags & ~(uint64_t)X86_FLAG_ZF;

	c->s->rflags = zf ? rest | X86_FLAG_ZF : rest;
}

/* Looks the operand up, and sets ZF by what it finds. */
static bool look_up(struct emu_cpu *c, const struct x86_insn *in, uint32_t types,
                    struct emu_descriptor *d)
{
	bool found;

	need_protected(c);
	found = emu_find_descriptor(c, (uint16_t)emu_read_operand(c, in, 2), d) &&
	        is_visible(c, d, types);
	/* In long mode these have a second half, which has to be in the table, too. */
	if (found && emu_is_long(c->s) && !(d->seg.attr & X86_ATTR_S))
		found = emu_find_upper_half(c, d);
	set_zf(c, found);
	return found;
}

void emu_call_lar(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t *gpr = &c->s->gpr[in->reg];
	struct emu_descriptor d;

	if (look_up(c, in, emu_is_long(c->s) ? LAR_LONG : LAR_LEGACY, &d))
		*gpr = emu_merge(*gpr, d.low >> 32 & 0x00ffff00, in->opsize);
}

void emu_call_lsl(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t *gpr = &c->s->gpr[in->reg];
	struct emu_descriptor d;

	if (look_up(c, in, (emu_is_long(c->s) ? LAR_LONG : LAR_LEGACY) & ~GATES, &d))
		*gpr = emu_merge(*gpr, d.seg.limit, in->opsize);
}

void emu_call_verr(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_descriptor d;

	if (look_up(c, in, 0, &d))
		set_zf(c, !emu_is_code(&d.seg) || d.seg.attr & 2);
}

void emu_call_verw(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_descriptor d;

	if (look_up(c, in, 0, &d))
		set_zf(c, emu_is_stack(&d.seg));
}

/* The RPL of r/m raised to that of the register. */
void emu_call_arpl(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t v, rpl = c->s->gpr[in->reg] & 3;

	need_protected(c);
	v = emu_read_operand(c, in, 2);
	if ((v & 3) < rpl)
		emu_write_operand(c, in, (v & ~UINT64_C(3)) | rpl, 2);
	set_zf(c, (v & 3) < rpl);
}
