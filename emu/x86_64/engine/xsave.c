/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FXSAVE, FXRSTOR, the XSAVE family (there is no supervisor state: IA32_XSS is 0), LDMXCSR and
 * STMXCSR (SDM Vol. 1 10.5, 13.7 to 13.12). The state's own image is in the format that FXSAVE64
 * and XSAVE64 write, so most of it is copied.
 */
#include <hypercore/freestanding.h>

#include "emu/x86_64/engine/vector.h"

#define EFER_FFXSR   HC_BIT(14)
#define XCOMP_FORMAT HC_BIT(63) /* XCOMP_BV: the compacted format */
#define X87_HEAD     24         /* FCW to FDP */
#define HEADER_SIZE  64

/* --- Memory: at once where it is RAM in one page, else in pieces --- */

static void copy_out(struct emu_cpu *c, uint64_t va, const uint8_t *from, unsigned size)
{
	void *host = emu_host_ptr(c, NULL, va, size, EMU_WRITE);

	if (host) {
		memcpy(host, from, size);
		return;
	}
	for (unsigned at = 0; at < size; at += 64)
		emu_write(c, va + at, from + at, (unsigned)hc_min(64, size - at), EMU_WRITE);
}

static void copy_in(struct emu_cpu *c, uint64_t va, uint8_t *to, unsigned size)
{
	const void *host = emu_host_ptr(c, NULL, va, size, EMU_READ);

	if (host) {
		memcpy(to, host, size);
		return;
	}
	for (unsigned at = 0; at < size; at += 64)
		emu_read(c, va + at, to + at, (unsigned)hc_min(64, size - at), EMU_READ);
}

static uint64_t operand(struct emu_cpu *c, const struct x86_insn *in, unsigned size, unsigned align,
                        unsigned access)
{
	uint64_t va = emu_insn_linear(c, in, size, access);

	if (va & (align - 1))
		emu_raise_code(c, NULL, X86_VEC_GP, 0);
	return va;
}

/* --- The legacy region --- */

static bool in_64bit_mode(const struct emu_cpu *c)
{
	return c->mode & EMU_MODE_64;
}

static unsigned xmm_bytes(const struct emu_cpu *c)
{
	return in_64bit_mode(c) ? 256 : 128;
}

/* FFXSR: the kernel's FXSAVE and FXRSTOR leave XMM alone (APM Vol. 2 3.1.7). */
static bool without_xmm(const struct emu_cpu *c)
{
	return c->s->efer & EFER_FFXSR && in_64bit_mode(c) && !c->s->cpl;
}

/* FCW to FDP in the format of the operand size: without REX.W pointers have 32 bits, and the
 * selectors behind them are 0. */
static void x87_head_out(const struct emu_cpu *c, const struct x86_insn *in, uint8_t *head)
{
	memcpy(head, c->s->xsave, X87_HEAD);
	if (!(in->rex & 8)) {
		memset(head + XSAVE_FIP + 4, 0, 4);
		memset(head + XSAVE_FDP + 4, 0, 4);
	}
}

static void x87_head_in(struct x86_state *s, const struct x86_insn *in, const uint8_t *head)
{
	memcpy(s->xsave, head, X87_HEAD);
	if (!(in->rex & 8)) {
		memset(s->xsave + XSAVE_FIP + 4, 0, 4);
		memset(s->xsave + XSAVE_FDP + 4, 0, 4);
	}
	s->xsave[XSAVE_FCW] = (uint8_t)((s->xsave[XSAVE_FCW] & 0x3f) | 0x40);
	s->xsave[XSAVE_FCW + 1] &= 0x1f;
	s->xsave[XSAVE_FTW + 1] = 0;
	s->xsave[XSAVE_FOP + 1] &= 7;
	emu_x87_summary(s);
}

/* Registers have 80 bits, of the 128 that they have room for. */
static void registers_in(struct x86_state *s, const uint8_t *from)
{
	for (unsigned i = 0; i < 8; i++) {
		memcpy(s->xsave + XSAVE_ST + 16 * i, from + 16 * i, 10);
		memset(s->xsave + XSAVE_ST + 16 * i + 10, 0, 6);
	}
}

static void mxcsr_out(struct emu_cpu *c, uint8_t *to)
{
	emu_vec_mxcsr_store(c);
	memcpy(to, c->s->xsave + XSAVE_MXCSR, 4);
	vec_put32(to + 4, MXCSR_SUPPORTED);
}

static void check_mxcsr(struct emu_cpu *c, uint32_t v)
{
	if (v & ~MXCSR_SUPPORTED)
		emu_raise_code(c, NULL, X86_VEC_GP, 0);
}

static void mxcsr_in(struct emu_cpu *c, uint32_t v)
{
	vec_put32(c->s->xsave + XSAVE_MXCSR, v);
	emu_vec_mxcsr_load(c);
}

static void check_fx(struct emu_cpu *c)
{
	if (c->s->cr0 & X86_CR0_EM)
		emu_raise(c, NULL, X86_VEC_UD);
	if (c->s->cr0 & X86_CR0_TS)
		emu_raise(c, NULL, X86_VEC_NM);
}

void emu_fxsave(struct emu_cpu *c, const struct x86_insn *in)
{
	uint8_t image[XSAVE_LEGACY];
	unsigned size = without_xmm(c) ? XSAVE_XMM : XSAVE_XMM + xmm_bytes(c);
	uint64_t va;

	check_fx(c);
	va = operand(c, in, XSAVE_HEADER, 16, EMU_WRITE);
	emu_probe(c, NULL, va, XSAVE_HEADER, EMU_WRITE);
	memcpy(image, c->s->xsave, sizeof(image));
	x87_head_out(c, in, image);
	mxcsr_out(c, image + XSAVE_MXCSR);
	copy_out(c, va, image, size);
}

void emu_fxrstor(struct emu_cpu *c, const struct x86_insn *in)
{
	uint8_t image[XSAVE_LEGACY];
	uint64_t va;

	check_fx(c);
	va = operand(c, in, XSAVE_HEADER, 16, EMU_READ);
	copy_in(c, va, image, sizeof(image));
	check_mxcsr(c, vec_u32(image + XSAVE_MXCSR));
	x87_head_in(c->s, in, image);
	registers_in(c->s, image + XSAVE_ST);
	if (!without_xmm(c))
		memcpy(vec_xmm(c->s, 0), image + XSAVE_XMM, xmm_bytes(c));
	mxcsr_in(c, vec_u32(image + XSAVE_MXCSR));
}

/* --- XINUSE --- */

static bool all_zero(const uint8_t *p, unsigned size)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < size; i += 8)
		any |= vec_u64(p + i);
	return !any;
}

static bool x87_is_initial(const struct x86_state *s)
{
	return vec_u64(s->xsave) == XSAVE_FCW_INIT && all_zero(s->xsave + XSAVE_FIP, 16) &&
	       all_zero(s->xsave + XSAVE_ST, XSAVE_XMM - XSAVE_ST);
}

uint64_t emu_xinuse(const struct x86_state *s)
{
	uint64_t in_use = 0;

	if (!x87_is_initial(s))
		in_use |= XSTATE_X87;
	if (!all_zero(s->xsave + XSAVE_XMM, 256))
		in_use |= XSTATE_SSE;
	if (!all_zero(s->xsave + XSAVE_YMM, 256))
		in_use |= XSTATE_AVX;
	return in_use;
}

/* --- XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS --- */

/* The last of each is the kernel's alone. */
static bool is_supervisor(const struct x86_insn *in)
{
	return in->op == X86_OP_XSAVES || in->op == X86_OP_XRSTORS;
}

static void check_xsave(struct emu_cpu *c, const struct x86_insn *in)
{
	if (!(c->s->cr4 & X86_CR4_OSXSAVE))
		emu_raise(c, NULL, X86_VEC_UD);
	if (c->s->cr0 & X86_CR0_TS)
		emu_raise(c, NULL, X86_VEC_NM);
	if (is_supervisor(in) && c->s->cpl)
		emu_raise_code(c, NULL, X86_VEC_GP, 0);
}

/* XCR0 & EDX:EAX, of the components that there are. */
static uint64_t requested(const struct emu_cpu *c)
{
	uint64_t mask = (uint32_t)c->s->gpr[X86_RAX] | c->s->gpr[X86_RDX] << 32;

	return mask & c->s->xcr0 & XSTATE_ALL;
}

/* Of the area, in either format: AVX is the first and only component behind the header. */
static unsigned area_size(uint64_t components)
{
	return components & XSTATE_AVX ? XSAVE_ALL : XSAVE_YMM;
}

struct save {
	uint64_t va;
	uint64_t rfbm;   /* asked for */
	uint64_t in_use; /* of them, not in their initial configuration */
	uint64_t write;  /* written: all that are asked for, or those in use */
	bool compact;
};

static void save_legacy(struct emu_cpu *c, const struct x86_insn *in, const struct save *w)
{
	uint8_t head[X87_HEAD], mxcsr[8];

	if (w->write & XSTATE_X87) {
		x87_head_out(c, in, head);
		copy_out(c, w->va, head, sizeof(head));
		copy_out(c, w->va + XSAVE_ST, c->s->xsave + XSAVE_ST, XSAVE_XMM - XSAVE_ST);
	}
	/* MXCSR goes with SSE and AVX; in the compacted format it is a part of SSE. */
	if (w->compact ? w->write & XSTATE_SSE : w->rfbm & (XSTATE_SSE | XSTATE_AVX)) {
		mxcsr_out(c, mxcsr);
		copy_out(c, w->va + XSAVE_MXCSR, mxcsr, sizeof(mxcsr));
	}
	if (w->write & XSTATE_SSE)
		copy_out(c, w->va + XSAVE_XMM, vec_xmm(c->s, 0), xmm_bytes(c));
}

static void save_header(struct emu_cpu *c, const struct save *w)
{
	uint8_t bv[16];

	if (w->compact) {
		vec_put64(bv, w->in_use);
		vec_put64(bv + 8, w->rfbm | XCOMP_FORMAT);
		copy_out(c, w->va + XSAVE_HEADER, bv, 16);
	} else {
		copy_in(c, w->va + XSAVE_HEADER, bv, 8);
		vec_put64(bv, (vec_u64(bv) & ~w->rfbm) | w->in_use);
		copy_out(c, w->va + XSAVE_HEADER, bv, 8);
	}
}

/* The modified optimization of XSAVEOPT and XSAVES is not made: they may always write. */
void emu_xsave(struct emu_cpu *c, const struct x86_insn *in)
{
	struct save w = { .rfbm = requested(c),
		          .compact = in->op == X86_OP_XSAVEC || in->op == X86_OP_XSAVES };
	unsigned size;

	check_xsave(c, in);
	size = area_size(w.rfbm);
	w.va = operand(c, in, size, 64, EMU_WRITE);
	if (!w.compact)
		emu_probe(c, NULL, w.va, size, EMU_READ);
	emu_probe(c, NULL, w.va, size, EMU_WRITE);
	w.in_use = emu_xinuse(c->s) & w.rfbm;
	emu_vec_mxcsr_store(c);
	if (w.compact && vec_u32(c->s->xsave + XSAVE_MXCSR) != MXCSR_INIT)
		w.in_use |= w.rfbm & XSTATE_SSE;
	w.write = in->op == X86_OP_XSAVE ? w.rfbm : w.in_use;
	save_legacy(c, in, &w);
	if (w.write & XSTATE_AVX)
		copy_out(c, w.va + XSAVE_YMM, vec_ymm_high(c->s, 0), xmm_bytes(c));
	save_header(c, &w);
}

/* #GP(0) for a header that XRSTOR does not take (SDM Vol. 1 13.8, 13.8.1, 13.8.2). That
 * XCOMP_BV[63] is set does not allow XSTATE_BV[63], though the manual's words would have it so:
 * CPUs (Intel's family 6, model 167) refuse it. */
static bool header_is_valid(const struct emu_cpu *c, const uint8_t *header)
{
	uint64_t xstate_bv = vec_u64(header), xcomp_bv = vec_u64(header + 8);

	if (!(xcomp_bv & XCOMP_FORMAT))
		return !xcomp_bv && !vec_u64(header + 16) && !(xstate_bv & ~c->s->xcr0);
	xcomp_bv &= ~XCOMP_FORMAT;
	return !(xcomp_bv & ~c->s->xcr0) && !(xstate_bv & ~xcomp_bv) &&
	       all_zero(header + 16, HEADER_SIZE - 16);
}

struct restore {
	uint8_t image[XSAVE_ALL];
	uint64_t rfbm;
	uint64_t load; /* of them, those that are there; the rest is initialized */
	bool compact;
};

static void restore_mxcsr(struct emu_cpu *c, const struct restore *r)
{
	if (!r->compact ? r->rfbm & (XSTATE_SSE | XSTATE_AVX) : r->load & XSTATE_SSE)
		mxcsr_in(c, vec_u32(r->image + XSAVE_MXCSR));
	else if (r->compact && r->rfbm & XSTATE_SSE)
		mxcsr_in(c, MXCSR_INIT);
}

static void restore_vectors(uint8_t *to, const uint8_t *from, bool is_there, unsigned bytes)
{
	if (is_there)
		memcpy(to, from, bytes);
	else
		memset(to, 0, bytes);
}

static void restore(struct emu_cpu *c, const struct x86_insn *in, const struct restore *r)
{
	struct x86_state *s = c->s;
	unsigned bytes = xmm_bytes(c);

	emu_vec_mxcsr_store(c);
	if (r->load & XSTATE_X87) {
		x87_head_in(s, in, r->image);
		registers_in(s, r->image + XSAVE_ST);
	} else if (r->rfbm & XSTATE_X87) {
		emu_x87_init(s);
	}
	if (r->rfbm & XSTATE_SSE)
		restore_vectors(vec_xmm(s, 0), r->image + XSAVE_XMM, r->load & XSTATE_SSE, bytes);
	if (r->rfbm & XSTATE_AVX)
		restore_vectors(vec_ymm_high(s, 0), r->image + XSAVE_YMM, r->load & XSTATE_AVX,
		                bytes);
	restore_mxcsr(c, r);
}

/* Whether MXCSR is read, and hence checked. */
static bool reads_mxcsr(const struct restore *r)
{
	return r->compact ? r->load & XSTATE_SSE : r->rfbm & (XSTATE_SSE | XSTATE_AVX);
}

void emu_xrstor(struct emu_cpu *c, const struct x86_insn *in)
{
	struct restore r;
	const uint8_t *header = r.image + XSAVE_HEADER;
	uint64_t va;

	check_xsave(c, in);
	r.rfbm = requested(c);
	va = operand(c, in, area_size(r.rfbm), 64, EMU_READ);
	copy_in(c, va + XSAVE_HEADER, r.image + XSAVE_HEADER, HEADER_SIZE);
	r.compact = vec_u64(header + 8) & XCOMP_FORMAT;
	/* XRSTORS takes the compacted format alone (13.12). */
	if (!header_is_valid(c, header) || (is_supervisor(in) && !r.compact))
		emu_raise_code(c, NULL, X86_VEC_GP, 0);
	r.load = r.rfbm & vec_u64(header);
	copy_in(c, va, r.image, XSAVE_LEGACY);
	if (r.load & XSTATE_AVX)
		copy_in(c, va + XSAVE_YMM, r.image + XSAVE_YMM, XSAVE_ALL - XSAVE_YMM);
	if (reads_mxcsr(&r))
		check_mxcsr(c, vec_u32(r.image + XSAVE_MXCSR));
	restore(c, in, &r);
}

/* --- LDMXCSR, STMXCSR --- */

static void check_mxcsr_access(struct emu_cpu *c, const struct x86_insn *in)
{
	if (!(in->prefixes & X86_PFX_VEX)) {
		emu_vec_check_sse(c);
		return;
	}
	if (in->vvvv || in->vex & X86_VEX_L || !emu_vec_has(VEC_AVX))
		emu_raise(c, NULL, X86_VEC_UD);
	emu_vec_check_avx(c);
}

void emu_ldmxcsr(struct emu_cpu *c, const struct x86_insn *in)
{
	uint8_t v[4];

	check_mxcsr_access(c, in);
	emu_read(c, emu_insn_linear(c, in, 4, EMU_READ), v, sizeof(v), EMU_READ);
	check_mxcsr(c, vec_u32(v));
	mxcsr_in(c, vec_u32(v));
}

void emu_stmxcsr(struct emu_cpu *c, const struct x86_insn *in)
{
	check_mxcsr_access(c, in);
	emu_vec_mxcsr_store(c);
	emu_write(c, emu_insn_linear(c, in, 4, EMU_WRITE), c->s->xsave + XSAVE_MXCSR, 4, EMU_WRITE);
}
