/* SPDX-License-Identifier: BSD-2-Clause */
/* Translation of vector instructions, and MXCSR. */
#include "emu/x86_64/engine/vector.h"

#include <hypercore/freestanding.h>

#include "emu/x86_64/native/native.h"

/* --- Whether the guest may (SDM Vol. 2A 2.4, tables 2-18 and following; Vol. 3A 13.1) --- */

static inline bool sse_ok(const struct x86_state *s)
{
	return !((s->cr0 & (X86_CR0_EM | X86_CR0_TS)) | (~s->cr4 & X86_CR4_OSFXSR));
}

static inline bool avx_exists(const struct x86_state *s)
{
	const uint64_t both = XSTATE_SSE | XSTATE_AVX;

	return s->cr4 & X86_CR4_OSXSAVE && (s->xcr0 & both) == both && s->cr0 & X86_CR0_PE &&
	       !(s->rflags & X86_FLAG_VM);
}

static inline bool x87_ok(const struct x86_state *s)
{
	return !(s->cr0 & (X86_CR0_EM | X86_CR0_TS)) && !vec_x87_pending(s);
}

__attribute__((noinline)) static void refuse_sse(struct emu_cpu *c, const struct emu_uop *u)
{
	const struct x86_state *s = c->s;

	emu_raise(c, u,
	          s->cr0 & X86_CR0_EM || !(s->cr4 & X86_CR4_OSFXSR) ? X86_VEC_UD : X86_VEC_NM);
}

__attribute__((noinline)) static void refuse_avx(struct emu_cpu *c, const struct emu_uop *u)
{
	emu_raise(c, u, avx_exists(c->s) ? X86_VEC_NM : X86_VEC_UD);
}

__attribute__((noinline)) static void refuse_mmx(struct emu_cpu *c, const struct emu_uop *u)
{
	if (c->s->cr0 & X86_CR0_EM)
		emu_raise(c, u, X86_VEC_UD);
	emu_raise(c, u, c->s->cr0 & X86_CR0_TS ? X86_VEC_NM : X86_VEC_MF);
}

void emu_vec_check_sse(struct emu_cpu *c)
{
	if (!sse_ok(c->s))
		refuse_sse(c, NULL);
}

void emu_vec_check_avx(struct emu_cpu *c)
{
	if (!avx_exists(c->s) || c->s->cr0 & X86_CR0_TS)
		refuse_avx(c, NULL);
}

void emu_vec_check_x87(struct emu_cpu *c, bool waits)
{
	if (c->s->cr0 & (X86_CR0_EM | X86_CR0_TS))
		emu_raise(c, NULL, X86_VEC_NM);
	if (waits && vec_x87_pending(c->s))
		emu_raise(c, NULL, X86_VEC_MF);
}

static const struct emu_uop *check_sse(struct emu_cpu *c, const struct emu_uop *u,
                                       struct x86_state *s)
{
	if (EMU_UNLIKELY(!sse_ok(s)))
		refuse_sse(c, u);
	EMU_NEXT(c, u, s);
}

static const struct emu_uop *check_avx(struct emu_cpu *c, const struct emu_uop *u,
                                       struct x86_state *s)
{
	if (EMU_UNLIKELY(!avx_exists(s) || s->cr0 & X86_CR0_TS))
		refuse_avx(c, u);
	EMU_NEXT(c, u, s);
}

static const struct emu_uop *check_mmx(struct emu_cpu *c, const struct emu_uop *u,
                                       struct x86_state *s)
{
	if (EMU_UNLIKELY(!x87_ok(s)))
		refuse_mmx(c, u);
	EMU_NEXT(c, u, s);
}

/* --- MMX registers are x87's (SDM Vol. 1 9.6.2, Vol. 3A 12.2) --- */

static void clear_top(struct x86_state *s)
{
	if (s->xsave[XSAVE_FSW + 1] & 0x38)
		emu_x87_set_top(s, 0);
}

void emu_vec_to_mmx(struct x86_state *s)
{
	clear_top(s);
	s->xsave[XSAVE_FTW] = 0xff;
}

static const struct emu_uop *enter_mmx(struct emu_cpu *c, const struct emu_uop *u,
                                       struct x86_state *s)
{
	emu_vec_to_mmx(s);
	EMU_NEXT(c, u, s);
}

/* For stores, in two parts: CPUs leave the tags alone where the store faults, but not TOP. */
static const struct emu_uop *enter_mmx_top(struct emu_cpu *c, const struct emu_uop *u,
                                           struct x86_state *s)
{
	clear_top(s);
	EMU_NEXT(c, u, s);
}

static const struct emu_uop *enter_mmx_tags(struct emu_cpu *c, const struct emu_uop *u,
                                            struct x86_state *s)
{
	s->xsave[XSAVE_FTW] = 0xff;
	EMU_NEXT(c, u, s);
}

/* --- MXCSR --- */

static uint32_t guest_mxcsr(const struct emu_cpu *c)
{
	return vec_u32(c->s->xsave + XSAVE_MXCSR);
}

/* While exceptions are unmasked, checked instructions keep the guest's flags themselves. */
void emu_vec_mxcsr_store(struct emu_cpu *c)
{
	uint8_t *at = c->s->xsave + XSAVE_MXCSR;

	if (!c->mxcsr_unmasked)
		vec_put32(at, guest_mxcsr(c) | (emu_native_get_mxcsr() & MXCSR_FLAGS));
}

/* Masked, underflow is flagged of inexact results alone, unmasked of all that are tiny, and FZ is
 * ignored; masked with FZ it is flagged of all, too (SDM Vol. 1 4.9.1.5, 10.2.3.3). */
void emu_vec_mxcsr_load(struct emu_cpu *c)
{
	uint32_t v = guest_mxcsr(c);

	c->mxcsr_unmasked = (~v & MXCSR_MASKS) >> 7;
	c->mxcsr_masked = (v & ~MXCSR_FLAGS) | MXCSR_MASKS;
	if (~v & MXCSR_UM)
		c->mxcsr_masked |= MXCSR_FZ;
	emu_native_set_mxcsr(c->mxcsr_masked | (v & MXCSR_FLAGS));
}

static bool is_inexact(const struct emu_cpu *c)
{
	struct vec_key key = emu_stub_key(c->simd_key);

	return emu_vec_is_inexact(c, &key, guest_mxcsr(c));
}

/*
 * An exception that is not masked: found before the operation (invalid, denormal, division by
 * zero), those alone are flagged; else all (SDM Vol. 1 11.5.2, 11.5.3).
 */
static const struct emu_uop *simd_exception(struct emu_cpu *c, const struct emu_uop *u,
                                            struct x86_state *s)
{
	const uint32_t before = 7;
	uint32_t raised = c->mxcsr_raised & MXCSR_FLAGS;

	if (raised & c->mxcsr_unmasked & before)
		raised &= before;
	else if (raised & c->mxcsr_unmasked & (MXCSR_OE | MXCSR_UE))
		raised = (raised & ~MXCSR_PE) | (is_inexact(c) ? MXCSR_PE : 0);
	vec_put32(s->xsave + XSAVE_MXCSR, guest_mxcsr(c) | raised);
	if (c->stub_locked) {
		emu_stub_once_done(c);
		u = NULL;
	}
	emu_raise(c, u, s->cr4 & CR4_OSXMMEXCPT ? X86_VEC_XM : X86_VEC_UD);
}

/* VCVTPS2PH ignores FZ, so that an underflow that is exact and not masked has to be looked for. */
static const struct emu_uop *check_half(struct emu_cpu *c, const struct emu_uop *u,
                                        struct x86_state *s)
{
	if (EMU_UNLIKELY(c->mxcsr_unmasked & MXCSR_UE)) {
		struct vec_key key = emu_stub_key(u->imm64);

		c->mxcsr_raised = emu_vec_half_flags(c, &key, guest_mxcsr(c));
		c->simd_key = u->imm64;
		if (c->mxcsr_raised & MXCSR_UE)
			return simd_exception(c, u, s);
	}
	EMU_NEXT(c, u, s);
}

/* Components that XSTATE_BV says are in their initial configuration may have anything in the image;
 * while the guest runs, all are there. */
static void complete_image(struct x86_state *s)
{
	uint64_t have = vec_u64(s->xsave + XSAVE_HEADER);

	if ((have & XSTATE_ALL) == XSTATE_ALL)
		return;
	if (!(have & XSTATE_X87))
		emu_x87_init(s);
	if (!(have & XSTATE_SSE))
		memset(vec_xmm(s, 0), 0, 256);
	if (!(have & XSTATE_AVX))
		memset(vec_ymm_high(s, 0), 0, 256);
	vec_put64(s->xsave + XSAVE_HEADER, have | XSTATE_ALL);
}

void emu_vector_enter(struct emu_cpu *c)
{
	uint8_t *mxcsr = c->s->xsave + XSAVE_MXCSR;

	if (!emu_vec_has(VEC_SSE))
		return;
	complete_image(c->s);
	vec_put32(mxcsr, vec_u32(mxcsr) & MXCSR_SUPPORTED);
	c->simd_exception = simd_exception;
	c->mxcsr_host = emu_native_get_mxcsr();
	emu_vec_mxcsr_load(c);
}

void emu_vector_leave(struct emu_cpu *c)
{
	if (!emu_vec_has(VEC_SSE))
		return;
	emu_vec_mxcsr_store(c);
	emu_native_set_mxcsr(c->mxcsr_host);
	if (!emu_vec_has(VEC_AVX))
		c->s->xsave[XSAVE_HEADER] &= (uint8_t)~XSTATE_AVX;
}

/* --- Translation --- */

/* Kinds of checks: once in a block is enough, as nothing in a block takes the leave back but x87
 * exceptions, for which MMX instructions look each time. */
enum { CHECK_SSE = 1, CHECK_AVX = 2 };

static bool emit_check(struct emu_builder *b, unsigned kind, emu_fn *fn)
{
	if (b->vector_checked & kind)
		return true;
	if (!emu_emit(b, fn))
		return false;
	b->vector_checked |= (uint8_t)kind;
	return true;
}

static bool is_vex(const struct x86_insn *in)
{
	return in->prefixes & X86_PFX_VEX;
}

static unsigned pp_of(const struct x86_insn *in)
{
	if (in->prefixes & X86_PFX_F2)
		return 3;
	if (in->prefixes & X86_PFX_F3)
		return 2;
	return in->prefixes & X86_PFX_66 ? 1 : 0;
}

static bool vex_is_valid(const struct vec_row *row, const struct x86_insn *in)
{
	bool w = in->vex & X86_VEX_W;
	bool has_vvvv =
		row->flags & (VEC_NDS | VEC_TO_VVVV) || (row->flags & VEC_NDS_REG && !in->is_mem);

	if ((row->flags & VEC_W0 && w) || (row->flags & VEC_W1 && !w) || (!has_vvvv && in->vvvv))
		return false;
	if (row->flags & VEC_REG_AVX2 && !in->is_mem && !emu_vec_has(VEC_AVX2))
		return false;
	return emu_vec_has(VEC_AVX);
}

/* Whether the row's form that `in` has exists and is offered. */
static bool is_offered(const struct vec_row *row, const struct x86_insn *in)
{
	unsigned form = !is_vex(in) ? 0 : in->vex & X86_VEX_L ? 2 : 1;

	if (in->is_mem && !row->width)
		return false;
	return emu_vec_has(row->feature[form]) && (!is_vex(in) || vex_is_valid(row, in));
}

static struct vec_key key_of(const struct emu_cpu *c, const struct vec_row *row,
                             const struct x86_insn *in)
{
	/* Eight registers outside 64-bit mode, for imm8[7:4] too. */
	unsigned ignored = row->flags & VEC_IS4 && !(c->mode & EMU_MODE_64) ? 0x80 : 0;
	/* Where W is about general registers, there is none outside 64-bit mode: VEX.W is ignored.
	 */
	bool gpr = row->reg == VEC_CLASS_G || row->rm == VEC_CLASS_G || row->flags & VEC_LENGTHS;
	bool w = gpr || !is_vex(in) ? in->rex & 8 : in->vex & X86_VEX_W;

	return (struct vec_key){ .map = in->map,
		                 .pp = (uint8_t)pp_of(in),
		                 .opcode = in->opcode,
		                 .modrm = in->is_mem ? 0 : 0xc0,
		                 .vex = is_vex(in),
		                 .l = in->vex & X86_VEX_L && !(row->flags & VEC_LIG),
		                 .w = w,
		                 .reg = in->reg,
		                 .vvvv = in->vvvv,
		                 .rm = in->rm,
		                 .imm = (uint8_t)(in->imm & ~(uint64_t)ignored) };
}

static const struct vec_row *row_of(const struct x86_insn *in)
{
	return emu_vec_row(in->map, pp_of(in), in->opcode);
}

static void run_once(struct emu_cpu *c, const struct x86_insn *in)
{
	const struct vec_row *row = row_of(in);
	struct vec_key key = key_of(c, row, in);

	emu_stub_once(c, &key, row);
}

static bool is_vcvtps2ph(const struct x86_insn *in)
{
	return is_vex(in) && in->map == 3 && in->opcode == 0x1d;
}

static bool emit_check_half(struct emu_builder *b, const struct vec_row *row,
                            const struct x86_insn *in)
{
	struct vec_key key = key_of(b->c, row, in);
	struct emu_uop *u = emu_emit(b, check_half);

	if (u)
		u->imm64 = emu_stub_pack(&key);
	return u;
}

static bool emit_stub(struct emu_builder *b, const struct vec_row *row, const struct x86_insn *in)
{
	struct vec_key key = key_of(b->c, row, in);
	emu_fn *fn = emu_stub(&key, row);

	return fn ? emu_emit(b, fn) != NULL : emu_emit_call(b, run_once, in, EMU_CALL);
}

static const struct emu_uop *set_flags(struct emu_cpu *c, const struct emu_uop *u,
                                       struct x86_state *s)
{
	emu_flags_set(&c->flags, c->operand_flags);
	EMU_NEXT(c, u, s);
}

/* VZEROUPPER, which compilers put at the end of every function that used YMM registers. */
static const struct emu_uop *zero_upper(struct emu_cpu *c, const struct emu_uop *u,
                                        struct x86_state *s)
{
	memset(vec_ymm_high(s, 0), 0, 256);
	EMU_NEXT(c, u, s);
}

static bool is_zero_upper(const struct emu_builder *b, const struct x86_insn *in)
{
	return in->map == 1 && in->opcode == 0x77 && is_vex(in) && !in->vvvv &&
	       !(in->vex & X86_VEX_L) && b->c->mode & EMU_MODE_64 && emu_vec_has(VEC_AVX);
}

static bool is_mmx(const struct vec_row *row, const struct x86_insn *in)
{
	return (row->reg == VEC_CLASS_P || row->rm == VEC_CLASS_P) &&
	       !(row->flags & VEC_NO_MMX && in->is_mem);
}

/* The uops that come before anything is changed: checks, and the memory operand. */
static bool emit_before(struct emu_builder *b, const struct vec_row *row, const struct x86_insn *in)
{
	bool mmx = is_mmx(row, in);
	bool xmm = row->reg == VEC_CLASS_V || row->reg == VEC_CLASS_X || row->rm == VEC_CLASS_V ||
	           row->rm == VEC_CLASS_X;

	if (is_vex(in) ? !emit_check(b, CHECK_AVX, check_avx)
	               : xmm && !emit_check(b, CHECK_SSE, check_sse))
		return false;
	if (mmx && !emu_emit(b, check_mmx))
		return false;
	if (!in->is_mem || row->flags & VEC_TO_RM)
		return true;
	return emu_vec_emit_load(b, row, in);
}

/* A store that faults comes after what its stub did to MXCSR, as on CPUs. */
static bool emit_row(struct emu_builder *b, const struct vec_row *row, const struct x86_insn *in)
{
	bool store = in->is_mem && row->flags & VEC_TO_RM, mmx = is_mmx(row, in);

	if (row->flags & VEC_MOVE && in->is_mem)
		return emit_check(b, is_vex(in) ? CHECK_AVX : CHECK_SSE,
		                  is_vex(in) ? check_avx : check_sse) &&
		       emu_vec_emit_move(b, row, in);
	if (!emit_before(b, row, in) || (is_vcvtps2ph(in) && !emit_check_half(b, row, in)) ||
	    (mmx && !emu_emit(b, store ? enter_mmx_top : enter_mmx)) || !emit_stub(b, row, in))
		return false;
	if (row->flags & VEC_EFLAGS && !emu_emit(b, set_flags))
		return false;
	if (!store)
		return true;
	return emu_vec_emit_store(b, row, in) && (!mmx || emu_emit(b, enter_mmx_tags));
}

static bool emit_simd(struct emu_builder *b, const struct x86_insn *in)
{
	const struct vec_row *row = row_of(in);
	emu_call_fn *fn = emu_vec_function(in);

	if (is_zero_upper(b, in))
		return emit_check(b, CHECK_AVX, check_avx) && emu_emit(b, zero_upper);
	if (fn)
		return emu_emit_call(b, fn, in, EMU_CALL);
	if (!row || !is_offered(row, in))
		return emu_emit_call(b, emu_call_undefined, in, EMU_CALL);
	return emit_row(b, row, in);
}

static bool translate_simd(struct emu_builder *b, const struct x86_insn *in)
{
	uint8_t checked = b->vector_checked;
	bool ok = emit_simd(b, in);

	if (!ok)
		b->vector_checked = checked; /* none of it stays */
	return ok;
}

/* Instructions that are not op SIMD or X87. */
static emu_call_fn *function_of(const struct x86_insn *in)
{
	bool fxsr = emu_vec_has(VEC_FXSR), sse = emu_vec_has(VEC_SSE);
	bool xsave = emu_vec_has(VEC_XSAVE) && emu_vec_has(VEC_SSE);

	switch (in->op) {
	case X86_OP_FWAIT: return emu_fwait;
	case X86_OP_FXSAVE: return fxsr ? emu_fxsave : emu_call_undefined;
	case X86_OP_FXRSTOR: return fxsr ? emu_fxrstor : emu_call_undefined;
	case X86_OP_LDMXCSR: return sse ? emu_ldmxcsr : emu_call_undefined;
	case X86_OP_STMXCSR: return sse ? emu_stmxcsr : emu_call_undefined;
	case X86_OP_XSAVE:
	case X86_OP_XSAVEOPT:
	case X86_OP_XSAVEC:
	case X86_OP_XSAVES: return xsave ? emu_xsave : emu_call_undefined;
	case X86_OP_XRSTOR:
	case X86_OP_XRSTORS: return xsave ? emu_xrstor : emu_call_undefined;
	default: return emu_call_undefined;
	}
}

bool emu_translate_vector(struct emu_builder *b, const struct x86_insn *in)
{
	if (in->op == X86_OP_SIMD)
		return translate_simd(b, in);
	if (in->op == X86_OP_X87)
		return emu_translate_x87(b, in);
	return emu_emit_call(b, function_of(in), in, EMU_CALL);
}
