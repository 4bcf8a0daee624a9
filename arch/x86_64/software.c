/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86_64/software.h"

#include <hypercore/freestanding.h>

#include "emu/x86_64/emulate.h"

struct step {
	const struct x86_soft_memory *memory;
	void *cpu;
};

/* The callbacks' results are the emulator's own but for the fault's form. */
static int pass_on(int rc, const struct x86_soft_fault *from, struct x86_fault *to)
{
	if (rc == X86_SOFT_FAULT) {
		to->vector = from->vector;
		to->has_error_code = from->has_error_code;
		to->error_code = from->error_code;
		to->cr2 = from->address;
	}
	return rc;
}

static int fetch(void *opaque, gva_t address, void *bytes, unsigned len, struct x86_fault *fault)
{
	struct step *s = opaque;
	struct x86_soft_fault f;

	return pass_on(s->memory->fetch(s->cpu, address, bytes, len, &f), &f, fault);
}

static int read(void *opaque, gva_t address, void *value, unsigned len, unsigned access,
                struct x86_fault *fault)
{
	struct step *s = opaque;
	struct x86_soft_fault f;
	bool will_write = access & X86_ACCESS_RMW;

	return pass_on(s->memory->read(s->cpu, address, value, len, will_write, &f), &f, fault);
}

static int write(void *opaque, gva_t address, const void *value, unsigned len, unsigned access,
                 struct x86_fault *fault)
{
	struct step *s = opaque;
	struct x86_soft_fault f;

	return pass_on(s->memory->write(s->cpu, address, value, len, &f), &f, fault);
}

static const struct x86_emulate_ops ops = { .fetch = fetch, .read = read, .write = write };

_Static_assert((int)X86_SOFT_DONE == (int)X86_EMULATE_DONE, "passed on");
_Static_assert((int)X86_SOFT_FAULT == (int)X86_EMULATE_FAULT, "passed on");
_Static_assert((int)X86_SOFT_REPEAT == (int)X86_EMULATE_REPEAT, "passed on");

int x86_soft_step(struct x86_state *state, const uint8_t *bytes, unsigned n,
                  const struct x86_soft_memory *memory, void *cpu, struct x86_soft_fault *fault,
                  struct x86_soft_insn *insn)
{
	struct step step = { memory, cpu };
	struct x86_emulate_ctx ctx;

	ctx.ops = &ops;
	ctx.opaque = &step;
	ctx.state = state;
	ctx.n_bytes = (uint8_t)hc_min(n, sizeof(ctx.bytes));
	memcpy(ctx.bytes, bytes, ctx.n_bytes);
	int rc = x86_emulate(&ctx);

	if (rc == X86_EMULATE_FAULT) {
		*fault = (struct x86_soft_fault){ ctx.fault.vector, ctx.fault.has_error_code,
			                          ctx.fault.error_code, ctx.fault.cr2 };
	} else if (rc < 0) {
		insn->name = x86_op_name(ctx.insn.op);
		insn->length = (uint8_t)hc_min(ctx.insn.length, ctx.n_bytes);
		memcpy(insn->bytes, ctx.bytes, insn->length);
	}
	return rc;
}

int x86_soft_length(const uint8_t *bytes, unsigned n, unsigned bits)
{
	struct x86_insn insn;

	return x86_decode(&insn, bytes, n, (enum x86_mode)bits);
}
