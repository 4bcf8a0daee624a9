/* SPDX-License-Identifier: BSD-2-Clause */
#include "emu/x86_64/engine/engine.h"

bool emu_translate_vector(struct emu_builder *b, const struct x86_insn *in)
{
	return emu_emit_call(b, emu_call_undefined, in, EMU_CALL_END);
}

void emu_vector_enter(struct emu_cpu *c)
{
}

void emu_vector_leave(struct emu_cpu *c)
{
}
