/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef EMU_X86_64_ADDRESS_H
#define EMU_X86_64_ADDRESS_H

#include "emu/x86_64/alu.h"
#include "emu/x86_64/decode.h"

/* The offset of the memory operand in its segment (SDM Vol. 1 3.7.5), plus bias; state->rip is the
 * instruction's own. */
static inline uint64_t x86_effective_address(const struct x86_state *state,
                                             const struct x86_insn *in, uint64_t bias)
{
	uint64_t a = (uint64_t)(int64_t)in->disp + bias;

	if (in->base < X86_GPR_COUNT)
		a += state->gpr[in->base];
	else if (in->base == X86_REG_RIP)
		a += state->rip + in->length;
	if (in->index != X86_REG_NONE)
		a += state->gpr[in->index] << in->scale;
	return a & alu_mask(in->adsize);
}

#endif
