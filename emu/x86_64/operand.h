/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operands of the emulated instruction: registers, effective and linear addresses, memory. Private
 * to the emulator. Functions that return int return x86_emulate()'s values.
 */
#ifndef EMU_X86_64_OPERAND_H
#define EMU_X86_64_OPERAND_H

#include "emu/x86_64/alu.h"
#include "emu/x86_64/emulate.h"

int emu_fault(struct x86_emulate_ctx *ctx, enum x86_vector vector);
int emu_fault_code(struct x86_emulate_ctx *ctx, enum x86_vector vector, uint32_t error_code);

/* Low `width` bytes of register n; without REX, one-byte registers 4 to 7 are AH to BH. */
static inline uint64_t emu_get_reg(const struct x86_emulate_ctx *ctx, unsigned n, unsigned width)
{
	if (width == 1 && n >= 4 && n < 8 && !ctx->insn.rex)
		return ctx->state->gpr[n - 4] >> 8 & 0xff;
	return ctx->state->gpr[n] & alu_mask(width);
}

/* Four-byte writes clear the upper half, shorter ones leave the rest (SDM Vol. 1 3.4.1.1). */
static inline void emu_set_reg(struct x86_emulate_ctx *ctx, unsigned n, unsigned width, uint64_t v)
{
	uint64_t *gpr = &ctx->state->gpr[n];

	if (width == 8)
		*gpr = v;
	else if (width == 4)
		*gpr = (uint32_t)v;
	else if (width == 2)
		*gpr = (*gpr & ~UINT64_C(0xffff)) | (v & 0xffff);
	else if (n >= 4 && n < 8 && !ctx->insn.rex)
		gpr[-4] = (gpr[-4] & ~UINT64_C(0xff00)) | (v & 0xff) << 8;
	else
		*gpr = (*gpr & ~UINT64_C(0xff)) | (v & 0xff);
}

/* Segment base plus offset, with all checks of an access of `width` bytes. */
int emu_operand_linear(struct x86_emulate_ctx *ctx, unsigned seg, uint64_t offset, unsigned width,
                       bool write, gva_t *linear);

/* Computes and checks ctx->operand from the decoded r/m operand or moffs; `bias` is added to the
 * offset. Nothing to do for a register operand. */
int emu_locate(struct x86_emulate_ctx *ctx, unsigned width, bool write, uint64_t bias);

/* Memory at a linear address. */
int emu_load(struct x86_emulate_ctx *ctx, gva_t address, uint64_t *v, unsigned width,
             unsigned access);
int emu_store(struct x86_emulate_ctx *ctx, gva_t address, uint64_t v, unsigned width,
              unsigned access);

/* The r/m operand: emu_read_rm() locates and reads; emu_rmw_rm() does so for an operand that
 * emu_write_rm() stores to next; emu_write_rm() needs one of the others or emu_locate(). */
int emu_read_rm(struct x86_emulate_ctx *ctx, unsigned width, uint64_t *v);
int emu_rmw_rm(struct x86_emulate_ctx *ctx, unsigned width, uint64_t *v);
int emu_write_rm(struct x86_emulate_ctx *ctx, unsigned width, uint64_t v);

/* Instructions, by what they have in common. Each handles the operations its row in emulate.c
 * names; none of them changes RIP. */
int emu_exec_mov(struct x86_emulate_ctx *ctx);
int emu_exec_extend(struct x86_emulate_ctx *ctx);
int emu_exec_movbe(struct x86_emulate_ctx *ctx);
int emu_exec_mov_from_sreg(struct x86_emulate_ctx *ctx);
int emu_exec_xchg(struct x86_emulate_ctx *ctx);
int emu_exec_xadd(struct x86_emulate_ctx *ctx);
int emu_exec_cmpxchg(struct x86_emulate_ctx *ctx);
int emu_exec_cmpxchg_pair(struct x86_emulate_ctx *ctx);
int emu_exec_setcc(struct x86_emulate_ctx *ctx);
int emu_exec_cmovcc(struct x86_emulate_ctx *ctx);
int emu_exec_push(struct x86_emulate_ctx *ctx);
int emu_exec_pop(struct x86_emulate_ctx *ctx);
int emu_exec_binary(struct x86_emulate_ctx *ctx);
int emu_exec_compare(struct x86_emulate_ctx *ctx);
int emu_exec_unary(struct x86_emulate_ctx *ctx);
int emu_exec_shift(struct x86_emulate_ctx *ctx);
int emu_exec_double_shift(struct x86_emulate_ctx *ctx);
int emu_exec_bit(struct x86_emulate_ctx *ctx);
int emu_exec_scan(struct x86_emulate_ctx *ctx);
int emu_exec_multiply(struct x86_emulate_ctx *ctx);
int emu_exec_divide(struct x86_emulate_ctx *ctx);
int emu_exec_string(struct x86_emulate_ctx *ctx);
int emu_exec_pusha(struct x86_emulate_ctx *ctx);
int emu_exec_popa(struct x86_emulate_ctx *ctx);
int emu_exec_enter(struct x86_emulate_ctx *ctx);
int emu_exec_leave(struct x86_emulate_ctx *ctx);
int emu_exec_andn(struct x86_emulate_ctx *ctx);
int emu_exec_lowest_bit(struct x86_emulate_ctx *ctx);
int emu_exec_bit_field(struct x86_emulate_ctx *ctx);
int emu_exec_deposit(struct x86_emulate_ctx *ctx);
int emu_exec_shift_vex(struct x86_emulate_ctx *ctx);
int emu_exec_mulx(struct x86_emulate_ctx *ctx);
int emu_exec_add_flag(struct x86_emulate_ctx *ctx);
int emu_exec_crc32(struct x86_emulate_ctx *ctx);
int emu_exec_nop(struct x86_emulate_ctx *ctx);
int emu_exec_lea(struct x86_emulate_ctx *ctx);
int emu_exec_bswap(struct x86_emulate_ctx *ctx);
int emu_exec_widen(struct x86_emulate_ctx *ctx);
int emu_exec_flag(struct x86_emulate_ctx *ctx);
int emu_exec_xlat(struct x86_emulate_ctx *ctx);
int emu_exec_bound(struct x86_emulate_ctx *ctx);
int emu_exec_ascii_adjust(struct x86_emulate_ctx *ctx);
int emu_exec_decimal_adjust(struct x86_emulate_ctx *ctx);
int emu_exec_ascii_multiply(struct x86_emulate_ctx *ctx);
int emu_exec_salc(struct x86_emulate_ctx *ctx);
/* X86_OP_SIMD, also where it is not emulated: -EOPNOTSUPP. */
int emu_exec_vector(struct x86_emulate_ctx *ctx);

#endif
