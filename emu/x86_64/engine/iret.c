/* SPDX-License-Identifier: BSD-2-Clause */
/* IRET, IRETD, IRETQ (SDM Vol. 2A, IRET). */
#include "emu/x86_64/engine/system.h"

/* RFLAGS bits that any IRET loads, and what it takes to load the others. */
#define FLAGS_ALWAYS (ALU_FLAGS | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT)
#define FLAGS_32     ((uint64_t)(X86_FLAG_RF | X86_FLAG_AC | X86_FLAG_ID))

enum { WORD_IP, WORD_CS, WORD_FLAGS, WORD_SP, WORD_SS, WORD_ES, WORD_DS, WORD_FS, WORD_GS };

static uint64_t loadable_flags(const struct x86_state *s, unsigned width)
{
	uint64_t mask = FLAGS_ALWAYS;

	if (width > 2)
		mask |= FLAGS_32;
	if (s->cpl <= emu_iopl(s))
		mask |= X86_FLAG_IF;
	if (s->cpl == 0)
		mask |= X86_FLAG_IOPL;
	return mask;
}

/* RF matters to instruction breakpoints alone: without any it would only slow things down. */
static void load_flags(struct emu_cpu *c, uint64_t image, uint64_t mask)
{
	struct x86_state *s = c->s;

	if (!(s->dr7 & 0xff))
		image &= ~(uint64_t)X86_FLAG_RF;
	s->rflags = (s->rflags & ~mask & ~(uint64_t)X86_FLAG_RF) | (image & mask) | X86_FLAG_1;
}

/* Real mode may load everything but VM; virtual-8086 mode, whose IOPL is 3, not IOPL. */
static void iret_paragraph(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_stack st = emu_present_stack(c);
	struct x86_state *s = c->s;
	uint64_t words[3], mask = FLAGS_ALWAYS | X86_FLAG_IF;

	if (emu_is_vm86(s) && emu_iopl(s) < 3)
		emu_gp(c);
	emu_pop_words(c, &st, words, 3, in->opsize);
	if (words[WORD_IP] > s->seg[X86_CS].limit)
		emu_gp(c);
	emu_set_sp(s, &st);
	if (in->opsize > 2)
		mask |= FLAGS_32;
	if (emu_is_vm86(s)) {
		emu_set_vm86(s, X86_CS, (uint16_t)words[WORD_CS]);
	} else {
		emu_set_paragraph(s, X86_CS, (uint16_t)words[WORD_CS]);
		mask |= X86_FLAG_IOPL;
	}
	load_flags(c, words[WORD_FLAGS], mask);
	s->rip = words[WORD_IP];
	emu_update_mode(c);
}

static void iret_to_vm86(struct emu_cpu *c, struct emu_stack *st, uint64_t *words)
{
	struct x86_state *s = c->s;

	emu_pop_words(c, st, words + WORD_SP, 6, 4);
	if ((uint32_t)words[WORD_IP] > UINT16_MAX)
		emu_gp(c);
	load_flags(c, words[WORD_FLAGS], loadable_flags(s, 4) | X86_FLAG_VM);
	emu_set_vm86(s, X86_CS, (uint16_t)words[WORD_CS]);
	emu_set_vm86(s, X86_SS, (uint16_t)words[WORD_SS]);
	emu_set_vm86(s, X86_ES, (uint16_t)words[WORD_ES]);
	emu_set_vm86(s, X86_DS, (uint16_t)words[WORD_DS]);
	emu_set_vm86(s, X86_FS, (uint16_t)words[WORD_FS]);
	emu_set_vm86(s, X86_GS, (uint16_t)words[WORD_GS]);
	s->gpr[X86_RSP] = (uint32_t)words[WORD_SP];
	s->rip = words[WORD_IP];
	s->cpl = 3;
	emu_update_mode(c);
}

/* 64-bit code always pops SS:RSP; other code does when it returns to an outer level. */
static void iret_protected(struct emu_cpu *c, const struct x86_insn *in)
{
	struct emu_stack st = emu_present_stack(c);
	struct x86_state *s = c->s;
	uint64_t words[9], mask = loadable_flags(s, in->opsize);
	struct emu_descriptor cs, ss;
	unsigned rpl;

	emu_pop_words(c, &st, words, emu_is_64(c) ? 5 : 3, in->opsize);
	if (words[WORD_FLAGS] & X86_FLAG_VM && in->opsize == 4 && !s->cpl && !emu_is_long(s)) {
		iret_to_vm86(c, &st, words);
		return;
	}
	rpl = words[WORD_CS] & 3;
	emu_find_return_code(c, (uint16_t)words[WORD_CS], &cs);
	emu_check_target(c, &cs.seg, words[WORD_IP]);
	if (!emu_is_64(c) && rpl == s->cpl) {
		emu_mark_descriptor(c, &cs, 1);
		emu_set_sp(s, &st);
		load_flags(c, words[WORD_FLAGS], mask);
		emu_enter_code(c, &cs.seg, words[WORD_IP], rpl);
		return;
	}
	if (!emu_is_64(c))
		emu_pop_words(c, &st, words + WORD_SP, 2, in->opsize);
	emu_find_return_stack(c, &cs.seg, (uint16_t)words[WORD_SS], rpl, &ss);
	emu_mark_descriptor(c, &cs, 1);
	load_flags(c, words[WORD_FLAGS], mask);
	emu_return_outer(c, &cs, words[WORD_IP], &ss, words[WORD_SP]);
}

void emu_call_iret(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;

	if (emu_is_real(s)) {
		iret_paragraph(c, in);
	} else {
		if (s->rflags & X86_FLAG_NT) {
			if (emu_is_long(s))
				emu_gp(c);
			emu_task_switch(c);
		}
		iret_protected(c, in);
	}
	/* SDM Vol. 3A 6.7.1 */
	s->events.nmi_masked = 0;
}
