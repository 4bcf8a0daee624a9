/* SPDX-License-Identifier: BSD-2-Clause */
#include "emu/x86_64/operand.h"

#include "emu/x86_64/address.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "guest values are passed as bytes");

int emu_fault(struct x86_emulate_ctx *ctx, enum x86_vector vector)
{
	ctx->fault = (struct x86_fault){ .vector = (uint8_t)vector };
	return X86_EMULATE_FAULT;
}

int emu_fault_code(struct x86_emulate_ctx *ctx, enum x86_vector vector, uint32_t error_code)
{
	ctx->fault = (struct x86_fault){ .vector = (uint8_t)vector,
		                         .has_error_code = true,
		                         .error_code = error_code };
	return X86_EMULATE_FAULT;
}

/* #SS for the stack segment, #GP for the others (SDM Vol. 3A 6.15). */
static int segment_fault(struct x86_emulate_ctx *ctx, unsigned seg)
{
	return emu_fault_code(ctx, seg == X86_SS ? X86_VEC_SS : X86_VEC_GP, 0);
}

/* Canonical: the bits above the linear address width repeat its highest (SDM Vol. 1 3.3.7.1), so
 * that half the address space further on they are all 0. */
static inline bool are_canonical(const struct x86_emulate_ctx *ctx, uint64_t first, uint64_t last)
{
	unsigned width = ctx->state->cr4 & X86_CR4_LA57 ? 57 : 48;
	uint64_t half = UINT64_C(1) << (width - 1);

	return !(((first + half) | (last + half)) >> width);
}

/* Whether the segment's type allows the access (SDM Vol. 3A 5.5); real mode has no types. */
static bool type_allows(const struct x86_emulate_ctx *ctx, const struct x86_segment *s, bool write)
{
	unsigned type = X86_ATTR_TYPE(s->attr);

	if (!(ctx->state->cr0 & X86_CR0_PE) || (ctx->state->rflags & X86_FLAG_VM))
		return true;
	if (!(s->attr & X86_ATTR_P))
		return false;
	if (type & 8) /* code: never writable, perhaps readable */
		return !write && (type & 2);
	return !write || (type & 2);
}

/* SDM Vol. 3A 5.3. An access may not wrap around the segment's end. */
static bool within_limit(const struct x86_segment *s, uint64_t offset, unsigned width)
{
	uint64_t last = offset + width - 1;

	if ((X86_ATTR_TYPE(s->attr) & 0xc) == 4) /* expand-down data */
		return offset > s->limit &&
		       last <= (s->attr & X86_ATTR_DB ? UINT32_MAX : UINT16_MAX);
	return last <= s->limit;
}

/* #AC, which only user mode knows (SDM Vol. 3A 6.15); 16 bytes and more have a #GP instead, or may
 * be anywhere. */
static inline int check_alignment(struct x86_emulate_ctx *ctx, gva_t linear, unsigned width)
{
	const struct x86_state *s = ctx->state;

	if (!(linear.v & (width - 1)) || width >= 16 || !(s->rflags & X86_FLAG_AC) ||
	    !(s->cr0 & X86_CR0_AM) || s->cpl != 3)
		return 0;
	return emu_fault_code(ctx, X86_VEC_AC, 0);
}

static inline int to_linear(struct x86_emulate_ctx *ctx, unsigned seg, uint64_t offset,
                            unsigned width, bool write, gva_t *linear)
{
	const struct x86_segment *s = &ctx->state->seg[seg];

	if (ctx->mode == X86_MODE_64) {
		linear->v = offset + (seg >= X86_FS ? s->base : 0);
		if (!are_canonical(ctx, linear->v, linear->v + width - 1))
			return segment_fault(ctx, seg);
	} else {
		linear->v = (uint32_t)(s->base + offset);
		if (!type_allows(ctx, s, write) || !within_limit(s, offset, width))
			return segment_fault(ctx, seg);
	}
	return check_alignment(ctx, *linear, width);
}

int emu_operand_linear(struct x86_emulate_ctx *ctx, unsigned seg, uint64_t offset, unsigned width,
                       bool write, gva_t *linear)
{
	return to_linear(ctx, seg, offset, width, write, linear);
}

static inline int locate(struct x86_emulate_ctx *ctx, unsigned width, bool write, uint64_t bias)
{
	const struct x86_insn *in = &ctx->insn;
	uint64_t offset;

	if (in->is_mem)
		offset = x86_effective_address(ctx->state, in, bias);
	else if (in->form == X86_FORM_FD || in->form == X86_FORM_TD)
		offset = in->imm;
	else
		return 0;
	return to_linear(ctx, in->seg, offset, width, write, &ctx->operand);
}

int emu_locate(struct x86_emulate_ctx *ctx, unsigned width, bool write, uint64_t bias)
{
	return locate(ctx, width, write, bias);
}

int emu_load(struct x86_emulate_ctx *ctx, gva_t address, uint64_t *v, unsigned width,
             unsigned access)
{
	*v = 0;
	return ctx->ops->read(ctx->opaque, address, v, width, access, &ctx->fault);
}

int emu_store(struct x86_emulate_ctx *ctx, gva_t address, uint64_t v, unsigned width,
              unsigned access)
{
	return ctx->ops->write(ctx->opaque, address, &v, width, access, &ctx->fault);
}

int emu_read_rm(struct x86_emulate_ctx *ctx, unsigned width, uint64_t *v)
{
	int r;

	if (!ctx->insn.is_mem) {
		*v = emu_get_reg(ctx, ctx->insn.rm, width);
		return 0;
	}
	r = locate(ctx, width, false, 0);
	return r ? r : emu_load(ctx, ctx->operand, v, width, 0);
}

int emu_rmw_rm(struct x86_emulate_ctx *ctx, unsigned width, uint64_t *v)
{
	int r;

	if (!ctx->insn.is_mem) {
		*v = emu_get_reg(ctx, ctx->insn.rm, width);
		return 0;
	}
	r = emu_locate(ctx, width, true, 0);
	return r ? r : emu_load(ctx, ctx->operand, v, width, X86_ACCESS_RMW | ctx->access);
}

int emu_write_rm(struct x86_emulate_ctx *ctx, unsigned width, uint64_t v)
{
	if (ctx->insn.is_mem)
		return emu_store(ctx, ctx->operand, v, width, ctx->access);
	emu_set_reg(ctx, ctx->insn.rm, width, v);
	return 0;
}
