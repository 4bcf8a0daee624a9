/* SPDX-License-Identifier: BSD-2-Clause */
/* Operands of instructions that are functions. */
#include "emu/x86_64/address.h"
#include "emu/x86_64/engine/system.h"

uint64_t emu_insn_linear(struct emu_cpu *c, const struct x86_insn *in, unsigned size,
                         unsigned access)
{
	return emu_linear(c, NULL, in->seg, x86_effective_address(c->s, in, 0), size, access);
}

uint64_t emu_read_operand(struct emu_cpu *c, const struct x86_insn *in, unsigned width)
{
	uint64_t v = 0;

	if (!in->is_mem)
		return c->s->gpr[in->rm] & alu_mask(width);
	emu_read(c, emu_insn_linear(c, in, width, EMU_READ), &v, width, EMU_READ);
	return v;
}

void emu_write_operand(struct emu_cpu *c, const struct x86_insn *in, uint64_t v, unsigned width)
{
	uint64_t *gpr = &c->s->gpr[in->rm];

	if (in->is_mem)
		emu_write(c, emu_insn_linear(c, in, width, EMU_WRITE), &v, width, EMU_WRITE);
	else
		*gpr = emu_merge(*gpr, v, width);
}
