/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves between XMM or YMM registers and memory: what reaches devices when a frame buffer is filled
 * or copied, and what compilers make of copies of structures. The registers are in the XSAVE area.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "emu/x86_64/operand.h"

/* SDM Vol. 1 13.4, the standard format. */
#define XSAVE_XMM    160
#define XSAVE_HEADER 512 /* XSTATE_BV */
#define XSAVE_YMM    576

#define XSTATE_SSE HC_BIT(1)
#define XSTATE_AVX HC_BIT(2)
#define XSTATE_ZMM HC_BIT(6) /* the upper halves of ZMM0 to ZMM15 */

/* Mandatory prefixes. */
#define NP  0x1u
#define P66 0x2u
#define F3  0x4u
#define F2  0x8u

#define STORE   0x1u
#define ALIGNED 0x2u /* else #GP (SDM Vol. 2A 2.4, exceptions type 1) */
#define LIG     0x4u /* VEX.L is ignored; it must be 0 where the whole vector is not meant */
#define LOW     0x8u /* half of the register; a load takes the rest from the first source */
#define HIGH    0x10u

/* move.width besides a number of bytes */
enum { FULL = 16, BY_W = 0 };

struct move {
	uint8_t map, opcode, prefixes, width, flags;
};

/* SDM Vol. 2B, the instructions named. */
static const struct move moves[] = {
	{ 1, 0x10, NP | P66, FULL, 0 }, /* MOVUPS, MOVUPD */
	{ 1, 0x11, NP | P66, FULL, STORE },
	{ 1, 0x10, F3, 4, LIG }, /* MOVSS */
	{ 1, 0x11, F3, 4, LIG | STORE },
	{ 1, 0x10, F2, 8, LIG }, /* MOVSD */
	{ 1, 0x11, F2, 8, LIG | STORE },
	{ 1, 0x12, NP | P66, 8, LOW }, /* MOVLPS, MOVLPD */
	{ 1, 0x13, NP | P66, 8, LOW | STORE },
	{ 1, 0x16, NP | P66, 8, HIGH }, /* MOVHPS, MOVHPD */
	{ 1, 0x17, NP | P66, 8, HIGH | STORE },
	{ 1, 0x28, NP | P66, FULL, ALIGNED }, /* MOVAPS, MOVAPD */
	{ 1, 0x29, NP | P66, FULL, ALIGNED | STORE },
	{ 1, 0x2b, NP | P66, FULL, ALIGNED | STORE }, /* MOVNTPS, MOVNTPD */
	{ 1, 0x6e, P66, BY_W, 0 },                    /* MOVD, MOVQ */
	{ 1, 0x7e, P66, BY_W, STORE },
	{ 1, 0x7e, F3, 8, 0 }, /* MOVQ */
	{ 1, 0xd6, P66, 8, STORE },
	{ 1, 0x6f, P66, FULL, ALIGNED }, /* MOVDQA */
	{ 1, 0x7f, P66, FULL, ALIGNED | STORE },
	{ 1, 0x6f, F3, FULL, 0 }, /* MOVDQU */
	{ 1, 0x7f, F3, FULL, STORE },
	{ 1, 0xe7, P66, FULL, ALIGNED | STORE }, /* MOVNTDQ */
	{ 1, 0xf0, F2, FULL, 0 },                /* LDDQU */
	{ 2, 0x2a, P66, FULL, ALIGNED },         /* MOVNTDQA */
};

static bool is_vex(const struct x86_insn *in)
{
	return in->prefixes & X86_PFX_VEX;
}

static unsigned prefix_of(const struct x86_insn *in)
{
	if (in->prefixes & X86_PFX_F2)
		return F2;
	if (in->prefixes & X86_PFX_F3)
		return F3;
	return in->prefixes & X86_PFX_66 ? P66 : NP;
}

static const struct move *find(const struct x86_insn *in)
{
	for (size_t i = 0; in->is_mem && i < HC_ARRAY_SIZE(moves); i++)
		if (moves[i].map == in->map && moves[i].opcode == in->opcode &&
		    moves[i].prefixes & prefix_of(in))
			return &moves[i];
	return NULL;
}

static unsigned width_of(const struct move *m, const struct x86_insn *in)
{
	if (m->width == BY_W)
		return in->rex & 8 ? 8 : 4;
	return m->width == FULL && in->vex & X86_VEX_L ? 32 : m->width;
}

/* --- Whether the guest may (SDM Vol. 2A 2.4, Vol. 3A 2.5 and 13.1) --- */

static bool has_sse(const struct x86_state *s)
{
	return !(s->cr0 & X86_CR0_EM) && s->cr4 & X86_CR4_OSFXSR;
}

static bool has_avx(const struct x86_state *s)
{
	const uint64_t both = XSTATE_SSE | XSTATE_AVX;

	return s->cr4 & X86_CR4_OSXSAVE && (s->xcr0 & both) == both && s->cr0 & X86_CR0_PE &&
	       !(s->rflags & X86_FLAG_VM);
}

static bool vex_is_valid(const struct move *m, const struct x86_insn *in)
{
	bool merges = m->flags & (LOW | HIGH) && !(m->flags & STORE);

	if (in->vvvv && !merges)
		return false;
	return !(in->vex & X86_VEX_L) || m->width == FULL || m->flags & LIG;
}

static int check(struct x86_emulate_ctx *ctx, const struct move *m)
{
	const struct x86_state *s = ctx->state;

	if (is_vex(&ctx->insn) ? !has_avx(s) || !vex_is_valid(m, &ctx->insn) : !has_sse(s))
		return emu_fault(ctx, X86_VEC_UD);
	return s->cr0 & X86_CR0_TS ? emu_fault(ctx, X86_VEC_NM) : 0;
}

static int locate(struct x86_emulate_ctx *ctx, const struct move *m, unsigned width)
{
	int r = emu_locate(ctx, width, m->flags & STORE, 0);

	if (r)
		return r;
	if (m->flags & ALIGNED && ctx->operand.v % width)
		return emu_fault_code(ctx, X86_VEC_GP, 0);
	return 0;
}

/* --- Registers --- */

static uint8_t *xmm(struct x86_state *s, unsigned n)
{
	return s->xsave + XSAVE_XMM + 16 * n;
}

static uint8_t *ymm_high(struct x86_state *s, unsigned n)
{
	return s->xsave + XSAVE_YMM + 16 * n;
}

/* Components in their initial configuration may have anything in the area (SDM Vol. 1 13.6): 0 is
 * what they are. */
static void complete(struct x86_state *s, bool avx)
{
	uint64_t have;

	memcpy(&have, s->xsave + XSAVE_HEADER, sizeof(have));
	if (!(have & XSTATE_SSE))
		memset(xmm(s, 0), 0, 256);
	if (avx && !(have & XSTATE_AVX))
		memset(ymm_high(s, 0), 0, 256);
	have |= XSTATE_SSE | (avx ? XSTATE_AVX : 0);
	memcpy(s->xsave + XSAVE_HEADER, &have, sizeof(have));
}

/* A VEX prefix clears what lies above; where the CPU keeps the upper halves of ZMM registers is not
 * known here. */
static bool reaches_zmm(const struct x86_emulate_ctx *ctx, const struct move *m)
{
	uint64_t have;

	memcpy(&have, ctx->state->xsave + XSAVE_HEADER, sizeof(have));
	return is_vex(&ctx->insn) && !(m->flags & STORE) && have & XSTATE_ZMM;
}

/* --- Execution --- */

static int load(struct x86_emulate_ctx *ctx, const struct move *m, unsigned width)
{
	const struct x86_insn *in = &ctx->insn;
	struct x86_state *s = ctx->state;
	unsigned half = m->flags & HIGH ? 8 : 0;
	uint8_t value[32] = { 0 };
	int r;

	if (m->flags & (LOW | HIGH))
		memcpy(value, xmm(s, is_vex(in) ? in->vvvv : in->reg), 16);
	r = ctx->ops->read(ctx->opaque, ctx->operand, value + half, width, 0, &ctx->fault);
	if (r)
		return r;
	memcpy(xmm(s, in->reg), value, 16);
	if (is_vex(in))
		memcpy(ymm_high(s, in->reg), value + 16, 16);
	return 0;
}

static int store(struct x86_emulate_ctx *ctx, const struct move *m, unsigned width)
{
	struct x86_state *s = ctx->state;
	uint8_t value[32];

	memcpy(value, xmm(s, ctx->insn.reg), 16);
	memcpy(value + 16, ymm_high(s, ctx->insn.reg), 16);
	return ctx->ops->write(ctx->opaque, ctx->operand, value + (m->flags & HIGH ? 8 : 0), width,
	                       0, &ctx->fault);
}

int emu_exec_vector(struct x86_emulate_ctx *ctx)
{
	const struct move *m = find(&ctx->insn);
	unsigned width;
	int r;

	if (!m || !ctx->ops->vector)
		return -EOPNOTSUPP;
	ctx->ops->vector(ctx->opaque, !(m->flags & STORE));
	if (reaches_zmm(ctx, m))
		return -EOPNOTSUPP;
	width = width_of(m, &ctx->insn);
	r = check(ctx, m);
	if (!r)
		r = locate(ctx, m, width);
	if (r)
		return r;
	complete(ctx->state, is_vex(&ctx->insn));
	return m->flags & STORE ? store(ctx, m, width) : load(ctx, m, width);
}
