/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug registers, breakpoints and single steps (SDM Vol. 3B 17.2, 17.3). Breakpoints on I/O ports
 * are kept in DR7, but never hit.
 */
#include "emu/x86_64/engine/system.h"

#define BREAKPOINTS 4
#define DR6_HITS    UINT64_C(0xf)
#define DR6_FIXED   UINT64_C(0xffff0ff0)
#define DR6_MASK    UINT64_C(0xe00f)
#define DR7_FIXED   UINT64_C(0x400)
#define DR7_MASK    UINT64_C(0xffff23ff)
#define DR7_ENABLES UINT64_C(0xff)

enum { RW_EXEC, RW_WRITE, RW_IO, RW_DATA }; /* DR7.R/Wn */

static bool is_enabled(const struct x86_state *s, unsigned n)
{
	return s->dr7 >> (2 * n) & 3;
}

static unsigned kind_of(const struct x86_state *s, unsigned n)
{
	return s->dr7 >> (16 + 4 * n) & 3;
}

static uint64_t length_of(const struct x86_state *s, unsigned n)
{
	static const uint8_t length[4] = { 1, 2, 8, 4 }; /* DR7.LENn */

	return length[s->dr7 >> (18 + 4 * n) & 3];
}

/* --- Data breakpoints --- */

static bool is_watched(const struct x86_state *s, unsigned n, uint64_t first, uint64_t last,
                       bool write)
{
	unsigned kind = kind_of(s, n);
	uint64_t length = length_of(s, n), start = s->dr[n] & ~(length - 1);

	if (!is_enabled(s, n) || !(kind == RW_DATA || (kind == RW_WRITE && write)))
		return false;
	return start <= last && first <= start + length - 1;
}

unsigned emu_watch_hit(struct emu_cpu *c, uint64_t va, unsigned size, unsigned access)
{
	const struct x86_state *s = c->s;
	unsigned hits = 0;

	if (EMU_LIKELY(!(s->dr7 & DR7_ENABLES)))
		return 0;
	for (unsigned n = 0; n < BREAKPOINTS; n++)
		if (is_watched(s, n, va, va + size - 1, access & EMU_WRITE))
			hits |= 1u << n;
	c->watch_hits |= (uint8_t)hits;
	return hits;
}

bool emu_watched_page(const struct emu_cpu *c, uint64_t va)
{
	uint64_t page = va & EMU_PAGE_MASK;

	if (EMU_LIKELY(!(c->s->dr7 & DR7_ENABLES)))
		return false;
	for (unsigned n = 0; n < BREAKPOINTS; n++)
		if (is_watched(c->s, n, page, page + HC_PAGE_SIZE - 1, true))
			return true;
	return false;
}

/* --- #DB --- */

static void set_fault(struct emu_cpu *c, uint64_t dr6, struct x86_fault *fault)
{
	c->s->dr6 = (c->s->dr6 & ~DR6_HITS) | dr6;
	*fault = (struct x86_fault){ .vector = X86_VEC_DB };
}

bool emu_debug_before(struct emu_cpu *c, struct x86_fault *fault)
{
	const struct x86_state *s = c->s;
	uint64_t va = emu_is_64(c) ? s->rip : (uint32_t)(s->seg[X86_CS].base + s->rip), hits = 0;

	if (s->rflags & X86_FLAG_RF || s->events.interrupt_shadow == EMU_SHADOW_MOV_SS)
		return false;
	for (unsigned n = 0; n < BREAKPOINTS; n++)
		if (is_enabled(s, n) && kind_of(s, n) == RW_EXEC && s->dr[n] == va)
			hits |= HC_BIT(n);
	if (hits)
		set_fault(c, hits, fault);
	return hits != 0;
}

bool emu_debug_after(struct emu_cpu *c, uint64_t rflags, struct x86_fault *fault)
{
	struct x86_state *s = c->s;
	bool step = rflags & X86_FLAG_TF && !c->no_step;
	uint64_t hits = c->watch_hits;

	c->no_step = false;
	s->rflags &= ~(rflags & X86_FLAG_RF);
	/* They wait for the instruction after MOV SS; a single step is lost. */
	if (s->events.interrupt_shadow == EMU_SHADOW_MOV_SS)
		return false;
	c->watch_hits = 0;
	if (!hits && !step)
		return false;
	set_fault(c, hits | (step ? EMU_DR6_BS : 0), fault);
	return true;
}

/* --- MOV --- */

/* The register meant, DR4 and DR5 being DR6 and DR7 without debugging extensions. */
static unsigned check_dr_access(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	unsigned n = in->reg;

	if (n > 7 || ((n == 4 || n == 5) && s->cr4 & X86_CR4_DE))
		emu_ud(c);
	emu_need_cpl0(c);
	if (s->dr7 & EMU_DR7_GD) {
		s->dr6 |= EMU_DR6_BD;
		s->rflags |= X86_FLAG_RF; /* a fault */
		emu_raise(c, NULL, X86_VEC_DB);
	}
	return n == 4 || n == 5 ? n + 2 : n;
}

void emu_call_mov_from_dr(struct emu_cpu *c, const struct x86_insn *in)
{
	const struct x86_state *s = c->s;
	unsigned n = check_dr_access(c, in);
	uint64_t v = n == 6 ? s->dr6 : n == 7 ? s->dr7 : s->dr[n & 3];

	c->s->gpr[in->rm] = emu_is_64(c) ? v : (uint32_t)v;
}

static void write_dr(struct x86_state *s, unsigned n, uint64_t v)
{
	if (n == 7)
		s->dr7 = (v & DR7_MASK) | DR7_FIXED;
	else if (n == 6)
		s->dr6 = (v & DR6_MASK) | DR6_FIXED;
	else
		s->dr[n] = v;
}

/* Pages that become watched may be in the TLB. */
void emu_call_mov_to_dr(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	unsigned n = check_dr_access(c, in);
	uint64_t v = s->gpr[in->rm], enabled = s->dr7;

	if (!emu_is_64(c))
		v = (uint32_t)v;
	else if (n >= 6 && v >> 32)
		emu_gp(c);
	write_dr(s, n, v);
	if (n != 6 && (enabled | s->dr7) & DR7_ENABLES) {
		emu_tlb_flush_all(c);
		emu_update_mode(c);
	}
	emu_advance(c, in);
}
