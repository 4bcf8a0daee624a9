/* SPDX-License-Identifier: BSD-2-Clause */
#include <hypercore/freestanding.h>

#include "emu/x86_64/emulate.h"
#include "emu/x86_64/engine/engine.h"

static int read_memory(void *c, gva_t va, void *value, unsigned len, unsigned access,
                       struct x86_fault *fault)
{
	emu_read(c, va.v, value, len, EMU_READ);
	return 0;
}

static int write_memory(void *c, gva_t va, const void *value, unsigned len, unsigned access,
                        struct x86_fault *fault)
{
	emu_write(c, va.v, value, len, EMU_WRITE);
	return 0;
}

static const struct x86_emulate_ops ops = { NULL, read_memory, write_memory };

static void generic(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_emulate_ctx ctx = { .ops = &ops, .opaque = c, .state = c->s, .insn = *in };
	uint64_t rip = c->s->rip;
	int rc = x86_execute(&ctx, c->mode & EMU_MODE_64   ? X86_MODE_64
	                           : c->mode & EMU_MODE_32 ? X86_MODE_32
	                                                   : X86_MODE_16);

	if (rc == X86_EMULATE_FAULT)
		emu_raise_fault(c, NULL, &ctx.fault);
	c->s->rip = rip;
}

static void jump(struct emu_cpu *c, const struct x86_insn *in)
{
	bool taken = in->op != X86_OP_JCC || alu_condition(in->opcode & 0xf, c->s->rflags);

	emu_advance(c, in);
	if (taken && !in->is_mem && in->form == X86_FORM_D)
		c->s->rip += in->imm;
	else if (taken)
		c->s->rip = c->s->gpr[in->rm];
	if (!(c->mode & EMU_MODE_64))
		c->s->rip = (uint32_t)c->s->rip;
}

bool emu_translate_integer(struct emu_builder *b, const struct x86_insn *in)
{
	if (in->op == X86_OP_JMP || in->op == X86_OP_JCC)
		return emu_emit_call(b, jump, in, EMU_CALL_END);
	if (in->op == X86_OP_NOP)
		return true;
	if (!x86_is_executable(in->op))
		return emu_emit_call(b, emu_call_undefined, in, EMU_CALL_END);
	return emu_emit_call(b, generic, in, EMU_CALL);
}
