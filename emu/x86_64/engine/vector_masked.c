/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector instructions that are functions: accesses that a mask chooses (which fault only where it
 * does), gathers, and those that clear registers. Of masked elements and gathered ones alignment is
 * not checked (SDM Vol. 2C, VMASKMOV; Vol. 2A 2.4, class 12).
 */
#include <hypercore/freestanding.h>

#include "emu/x86_64/address.h"
#include "emu/x86_64/engine/vector.h"

struct ymm {
	uint8_t b[32];
};

static struct ymm get_ymm(struct x86_state *s, unsigned n)
{
	struct ymm v;

	memcpy(v.b, vec_xmm(s, n), 16);
	memcpy(v.b + 16, vec_ymm_high(s, n), 16);
	return v;
}

static void put_ymm(struct x86_state *s, unsigned n, const struct ymm *v)
{
	memcpy(vec_xmm(s, n), v->b, 16);
	memcpy(vec_ymm_high(s, n), v->b + 16, 16);
}

static unsigned vector_bytes(const struct x86_insn *in)
{
	return in->vex & X86_VEX_L ? 32 : 16;
}

/* --- VMASKMOVPS and PD, VPMASKMOVD and Q, MASKMOVQ and MASKMOVDQU --- */

/* Which elements of `size` bytes are chosen: those whose mask has its most significant bit set. */
static uint32_t chosen(const uint8_t *mask, unsigned bytes, unsigned size)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < bytes / size; i++)
		bits |= (uint32_t)(mask[i * size + size - 1] >> 7) << i;
	return bits;
}

struct masked {
	uint64_t offset;
	unsigned seg, adsize;
	unsigned size, count; /* of elements */
	uint32_t bits;
};

static uint64_t element_at(struct emu_cpu *c, const struct masked *m, unsigned i, unsigned access)
{
	uint64_t offset = (m->offset + i * m->size) & alu_mask(m->adsize);

	return emu_linear(c, NULL, m->seg, offset, m->size, access);
}

static void masked_load(struct emu_cpu *c, const struct masked *m, uint8_t *to)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->bits >> i & 1)
			emu_read(c, element_at(c, m, i, EMU_READ), to + i * m->size, m->size,
			         EMU_NO_AC);
}

static void masked_store(struct emu_cpu *c, const struct masked *m, const uint8_t *from)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->bits >> i & 1)
			emu_probe(c, NULL, element_at(c, m, i, EMU_WRITE), m->size,
			          EMU_WRITE | EMU_NO_AC);
	for (unsigned i = 0; i < m->count; i++)
		if (m->bits >> i & 1)
			emu_write(c, element_at(c, m, i, EMU_WRITE), from + i * m->size, m->size,
			          EMU_NO_AC);
}

static void vmaskmov(struct emu_cpu *c, const struct x86_insn *in)
{
	bool store = in->opcode == 0x8e || in->opcode == 0x2e || in->opcode == 0x2f;
	bool is_fp = in->opcode < 0x30;
	unsigned bytes = vector_bytes(in);
	struct ymm mask = get_ymm(c->s, in->vvvv), data = { { 0 } };
	struct masked m = { .seg = in->seg, .adsize = in->adsize };

	emu_vec_check_avx(c);
	m.size = (is_fp ? in->opcode & 1u : in->vex & X86_VEX_W) ? 8 : 4;
	m.count = bytes / m.size;
	m.bits = chosen(mask.b, bytes, m.size);
	m.offset = x86_effective_address(c->s, in, 0);
	if (store) {
		data = get_ymm(c->s, in->reg);
		masked_store(c, &m, data.b);
	} else {
		masked_load(c, &m, data.b);
		put_ymm(c->s, in->reg, &data);
	}
}

/*
 * To DS:[rDI], or another segment. Whether bytes that are not chosen may fault is left to CPUs (APM
 * Vol. 4, MASKMOVDQU); here as on those that check 8 bytes at a time, the upper ones first.
 */
static void store_at_rdi(struct emu_cpu *c, const struct x86_insn *in, const uint8_t *mask,
                         const uint8_t *from, unsigned bytes)
{
	const struct masked m = { .offset = c->s->gpr[X86_RDI],
		                  .seg = in->seg,
		                  .adsize = in->adsize,
		                  .size = 1,
		                  .count = bytes,
		                  .bits = chosen(mask, bytes, 1) };
	const struct masked halves = {
		.offset = m.offset, .seg = m.seg, .adsize = m.adsize, .size = 8
	};

	for (unsigned i = bytes / 8; i-- > 0;)
		emu_probe(c, NULL, element_at(c, &halves, i, EMU_WRITE), 8, EMU_WRITE);
	masked_store(c, &m, from);
}

static void maskmovdqu(struct emu_cpu *c, const struct x86_insn *in)
{
	if (in->prefixes & X86_PFX_VEX)
		emu_vec_check_avx(c);
	else
		emu_vec_check_sse(c);
	store_at_rdi(c, in, vec_xmm(c->s, in->rm), vec_xmm(c->s, in->reg), 16);
}

static void maskmovq(struct emu_cpu *c, const struct x86_insn *in)
{
	const uint8_t *registers = c->s->xsave + XSAVE_ST;

	if (c->s->cr0 & X86_CR0_EM)
		emu_raise(c, NULL, X86_VEC_UD);
	emu_vec_check_x87(c, true);
	emu_vec_to_mmx(c->s); /* a fault does not take it back, as on CPUs */
	store_at_rdi(c, in, registers + 16 * (in->rm & 7), registers + 16 * (in->reg & 7), 8);
}

/* --- Gathers --- */

struct gather {
	unsigned index_size, size, count;
	struct ymm index;
};

static uint64_t gather_offset(const struct emu_cpu *c, const struct x86_insn *in,
                              const struct gather *g, unsigned i)
{
	const uint8_t *at = g->index.b + i * g->index_size;
	uint64_t index = g->index_size == 8 ? vec_u64(at) : (uint64_t)(int32_t)vec_u32(at);
	uint64_t a = (uint64_t)(int64_t)in->disp + (index << in->scale);

	if (in->base < X86_GPR_COUNT)
		a += c->s->gpr[in->base];
	return a & alu_mask(in->adsize);
}

/* The index register; 4 needs no REX.X here (SDM Vol. 2A 2.3.12). */
static unsigned index_of(const struct x86_insn *in)
{
	return in->index == X86_REG_NONE ? 4 : in->index;
}

/* All that the masks have chosen, lowest first. What a fault leaves is good to begin again with:
 * an element that is there is not chosen any more. */
static void gather_elements(struct emu_cpu *c, const struct x86_insn *in, const struct gather *g)
{
	struct ymm mask = get_ymm(c->s, in->vvvv), data = get_ymm(c->s, in->reg);

	for (unsigned i = 0; i < g->count; i++) {
		uint64_t va;

		if (!(mask.b[(i + 1) * g->size - 1] >> 7))
			continue;
		va = emu_linear(c, NULL, in->seg, gather_offset(c, in, g, i), g->size, EMU_READ);
		emu_read(c, va, data.b + i * g->size, g->size, EMU_NO_AC);
		memset(mask.b + i * g->size, 0, g->size);
		put_ymm(c->s, in->reg, &data);
		put_ymm(c->s, in->vvvv, &mask);
	}
	memset(data.b + g->count * g->size, 0, sizeof(data.b) - g->count * g->size);
	put_ymm(c->s, in->reg, &data);
	memset(mask.b, 0, sizeof(mask.b));
	put_ymm(c->s, in->vvvv, &mask);
}

static void gather(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned index = index_of(in);
	struct gather g;

	emu_vec_check_avx(c);
	if ((in->modrm & 7) != 4 || in->adsize == 2 || index == in->reg || index == in->vvvv ||
	    in->reg == in->vvvv)
		emu_raise(c, NULL, X86_VEC_UD);
	g.index_size = in->opcode & 1 ? 8 : 4;
	g.size = in->vex & X86_VEX_W ? 8 : 4;
	g.count = vector_bytes(in) / (g.size > g.index_size ? g.size : g.index_size);
	g.index = get_ymm(c->s, index);
	gather_elements(c, in, &g);
}

/* --- EMMS, VZEROUPPER, VZEROALL --- */

static void emms(struct emu_cpu *c, const struct x86_insn *in)
{
	if (c->s->cr0 & X86_CR0_EM)
		emu_raise(c, NULL, X86_VEC_UD);
	emu_vec_check_x87(c, true);
	emu_vec_to_mmx(c->s);
	c->s->xsave[XSAVE_FTW] = 0;
}

/* Outside 64-bit mode there are eight registers. */
static void vzero(struct emu_cpu *c, const struct x86_insn *in)
{
	size_t bytes = c->mode & EMU_MODE_64 ? 256 : 128;

	emu_vec_check_avx(c);
	memset(vec_ymm_high(c->s, 0), 0, bytes);
	if (in->vex & X86_VEX_L)
		memset(vec_xmm(c->s, 0), 0, bytes);
}

/* --- Which --- */

static emu_call_fn *if_offered(unsigned feature, emu_call_fn *fn)
{
	return emu_vec_has(feature) ? fn : emu_call_undefined;
}

static emu_call_fn *function_0f(const struct x86_insn *in)
{
	bool vex = in->prefixes & X86_PFX_VEX;

	if (in->opcode == 0x77 && vex)
		return in->vvvv ? emu_call_undefined : if_offered(VEC_AVX, vzero);
	if (in->opcode == 0x77)
		return if_offered(VEC_MMX, emms);
	if (in->opcode != 0xf7)
		return NULL;
	if (vex)
		return in->vvvv || in->vex & X86_VEX_L ? emu_call_undefined
		                                       : if_offered(VEC_AVX, maskmovdqu);
	return in->prefixes & X86_PFX_66 ? if_offered(VEC_SSE2, maskmovdqu)
	                                 : if_offered(VEC_SSE, maskmovq);
}

static emu_call_fn *function_0f38(const struct x86_insn *in)
{
	switch (in->opcode) {
	case 0x2c:
	case 0x2d:
	case 0x2e:
	case 0x2f: return in->vex & X86_VEX_W ? emu_call_undefined : if_offered(VEC_AVX, vmaskmov);
	case 0x8c:
	case 0x8e: return if_offered(VEC_AVX2, vmaskmov);
	case 0x90:
	case 0x91:
	case 0x92:
	case 0x93: return if_offered(VEC_AVX2, gather);
	default: return NULL;
	}
}

emu_call_fn *emu_vec_function(const struct x86_insn *in)
{
	if (in->map == 1)
		return function_0f(in);
	return in->map == 2 ? function_0f38(in) : NULL;
}
