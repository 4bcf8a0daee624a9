/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * REP MOVS and REP STOS upwards, a page at a time. Everything else - the other string instructions,
 * DF, other sizes of addresses, the iteration that crosses a page border, devices - is for
 * x86_execute(), in whose terms a piece here is so many iterations at once.
 */
#include <hypercore/freestanding.h>

#include "emu/x86_64/engine/uop.h"

/* Iterations whose bytes from va on end in va's page. */
static uint64_t in_page(uint64_t va, unsigned shift)
{
	return (HC_PAGE_SIZE - (va & ~EMU_PAGE_MASK)) >> shift;
}

/* The result of MOVS one after the other also where source and destination overlap: ascending. */
static void copy_up(uint8_t *to, const uint8_t *from, uint64_t n, unsigned width)
{
	uint64_t distance = (uint64_t)((uintptr_t)to - (uintptr_t)from);

	if (distance >= n) {
		memmove(to, from, n);
		return;
	}
	for (uint64_t i = 0; i < n; i += width)
		memmove(to + i, from + i, width);
}

static void fill(uint8_t *to, uint64_t v, uint64_t n, unsigned width)
{
	if (width == 1 || v == 0) {
		memset(to, (int)(v & 0xff), n);
		return;
	}
	for (uint64_t i = 0; i < n; i += width)
		memcpy(to + i, &v, width);
}

/* Up to `count` iterations of u's instruction: how many were done; 0: it takes x86_execute(). */
static uint64_t repeat_movs(struct emu_cpu *c, const struct emu_uop *u, uint64_t count)
{
	struct x86_state *s = c->s;
	uint64_t from = s->gpr[X86_RSI] + (u->seg >= X86_FS ? s->seg[u->seg].base : 0);
	uint64_t to = s->gpr[X86_RDI];
	uint64_t n = hc_min(count, hc_min(in_page(from, u->scale), in_page(to, u->scale)));
	unsigned bytes = (unsigned)(n << u->scale);
	const uint8_t *src;
	uint8_t *dst;

	if (!n || !emu_host_ptr(c, u, from, bytes, EMU_READ))
		return 0;
	dst = emu_host_ptr(c, u, to, bytes, EMU_WRITE);
	src = emu_host_ptr(c, u, from, bytes, EMU_READ);
	if (!src || !dst || dst != emu_host_ptr(c, u, to, bytes, EMU_WRITE))
		return 0;
	copy_up(dst, src, bytes, 1u << u->scale);
	s->gpr[X86_RSI] += bytes;
	s->gpr[X86_RDI] += bytes;
	return n;
}

static uint64_t repeat_stos(struct emu_cpu *c, const struct emu_uop *u, uint64_t count)
{
	struct x86_state *s = c->s;
	uint64_t to = s->gpr[X86_RDI];
	uint64_t n = hc_min(count, in_page(to, u->scale));
	unsigned bytes = (unsigned)(n << u->scale);
	uint8_t *dst = n ? emu_host_ptr(c, u, to, bytes, EMU_WRITE) : NULL;

	if (!dst)
		return 0;
	fill(dst, s->gpr[X86_RAX] & alu_mask(1u << u->scale), bytes, 1u << u->scale);
	s->gpr[X86_RDI] += bytes;
	return n;
}

/* Pieces until rCX is 0 (true), or somebody wants the CPU, or x86_execute() has to go on. */
static bool repeat(struct emu_cpu *c, const struct emu_uop *u)
{
	uint64_t *rcx = &c->s->gpr[X86_RCX];

	for (unsigned pieces = 0; *rcx; pieces++) {
		uint64_t n;

		if (pieces && atomic_load_explicit(c->attention, memory_order_relaxed))
			return false;
		n = u->src ? repeat_stos(c, u, *rcx) : repeat_movs(c, u, *rcx);
		if (!n)
			return false;
		*rcx -= n;
	}
	return true;
}

/* The micro-operation behind it is the instruction as a function, for what is left of it. */
UOP(rep)
{
	/* With AC every access would have to be checked for alignment. */
	if (!(s->rflags & (X86_FLAG_DF | X86_FLAG_AC)) && repeat(c, u)) {
		u += 2;
		EMU_GOTO(c, u, s);
	}
	EMU_NEXT(c, u, s);
}

static bool is_plain(const struct emu_builder *b, const struct x86_insn *in)
{
	return uop_mode64(b) && in->adsize == 8 && !(b->c->mode & EMU_MODE_ONE) &&
	       in->prefixes & (X86_PFX_F2 | X86_PFX_F3) &&
	       (in->op == X86_OP_MOVS || in->op == X86_OP_STOS);
}

bool uop_tr_string(struct emu_builder *b, const struct x86_insn *in)
{
	struct emu_uop *u;

	if (!is_plain(b, in))
		return uop_emit_generic(b, in);
	u = emu_emit(b, rep);
	if (!u)
		return false;
	u->scale = (uint8_t)uop_log2(in->rm_width);
	u->seg = in->seg;
	u->src = in->op == X86_OP_STOS;
	return uop_emit_generic(b, in);
}
