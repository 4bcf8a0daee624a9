/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions as functions: those without a handler, and those whose handler met memory that the
 * TLB does not give. The same functions that emulate device accesses execute them (emulate.h).
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "emu/x86_64/emulate.h"
#include "emu/x86_64/engine/private.h"
#include "emu/x86_64/engine/uop.h"
#include "emu/x86_64/native/native.h"

/* --- Memory for x86_execute(). Faults unwind. --- */

struct port {
	struct emu_cpu *c;
	uint8_t locked[16]; /* what a locked read found */
};

static int port_fetch(void *opaque, gva_t address, void *bytes, unsigned len,
                      struct x86_fault *fault)
{
	struct port *p = opaque;
	const struct emu_tlb_entry *e = emu_tlb_code(p->c, address.v);
	struct emu_page page = { .host = NULL };
	const void *host;

	if (e) {
		host = (const void *)(uintptr_t)(address.v + e->addend);
	} else {
		if (emu_tlb_fill_code(p->c, address.v, &page, fault) == -EFAULT)
			return X86_EMULATE_FAULT;
		if (!page.host)
			return X86_EMULATE_REPEAT;
		host = page.host + (address.v & ~EMU_PAGE_MASK);
	}
	memcpy(bytes, host, len);
	return 0;
}

static int port_read(void *opaque, gva_t address, void *value, unsigned len, unsigned access,
                     struct x86_fault *fault)
{
	struct port *p = opaque;

	if (access & X86_ACCESS_RMW)
		emu_probe(p->c, NULL, address.v, len, EMU_WRITE);
	emu_read(p->c, address.v, value, len, EMU_READ);
	if (access & X86_ACCESS_LOCKED)
		memcpy(p->locked, value, len);
	return 0;
}

static int port_write(void *opaque, gva_t address, const void *value, unsigned len, unsigned access,
                      struct x86_fault *fault)
{
	struct port *p = opaque;

	if (!(access & X86_ACCESS_LOCKED))
		emu_write(p->c, address.v, value, len, EMU_WRITE);
	else if (!emu_cmpxchg(p->c, NULL, address.v, p->locked, value, len))
		return X86_EMULATE_REPEAT;
	return 0;
}

static const struct x86_emulate_ops port_ops = { port_fetch, port_read, port_write, NULL };

static enum x86_mode mode_of(const struct emu_cpu *c)
{
	if (c->mode & EMU_MODE_64)
		return X86_MODE_64;
	return c->mode & EMU_MODE_32 ? X86_MODE_32 : X86_MODE_16;
}

/* Executes ctx->insn: X86_EMULATE_DONE or X86_EMULATE_REPEAT. */
static int execute(struct emu_cpu *c, struct x86_emulate_ctx *ctx)
{
	int r = x86_execute(ctx, mode_of(c));

	if (r == X86_EMULATE_FAULT)
		emu_raise_fault(c, NULL, &ctx->fault);
	if (r < 0)
		emu_raise(c, NULL, X86_VEC_UD);
	return r;
}

/* An atomic access that another CPU came between is done again, which some CPU has got ahead by.
 * RIP is advanced by whoever goes on. */
static void call_generic(struct emu_cpu *c, const struct x86_insn *in)
{
	struct port port = { .c = c };
	struct x86_emulate_ctx ctx = { .ops = &port_ops, .opaque = &port, .state = c->s };
	uint64_t rip = c->s->rip;

	do
		ctx.insn = *in;
	while (execute(c, &ctx) == X86_EMULATE_REPEAT);
	c->s->rip = rip;
}

/* Once round the loop of run.c, and here again, while there are iterations left: s->rip stays. A
 * single step is one iteration (SDM Vol. 2B, REP). */
static void call_string(struct emu_cpu *c, const struct x86_insn *in)
{
	struct port port = { .c = c };
	struct x86_emulate_ctx ctx = { .ops = &port_ops, .opaque = &port, .state = c->s };

	ctx.insn = *in;
	ctx.repeat = c->mode & EMU_MODE_ONE ? 1 : 0;
	(void)execute(c, &ctx);
}

static bool is_string(unsigned op)
{
	return op >= X86_OP_MOVS && op <= X86_OP_SCAS;
}

/* RDRAND and RDSEED: CF says whether there was a number, 0 if not (SDM Vol. 2B). */
static void call_random(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t *r = &c->s->gpr[in->rm], v = 0, mask = alu_mask(in->opsize);
	bool good = emu_native_random(in->op == X86_OP_RDSEED, &v);

	v = good ? v & mask : 0;
	*r = in->opsize == 2 ? (*r & ~mask) | v : v;
	c->s->rflags = (c->s->rflags & ~ALU_FLAGS) | (good ? X86_FLAG_CF : 0);
}

bool uop_emit_generic(struct emu_builder *b, const struct x86_insn *in)
{
	if (is_string(in->op) && in->prefixes & (X86_PFX_F2 | X86_PFX_F3))
		return emu_emit_call(b, call_string, in, EMU_CALL_END);
	if (in->op == X86_OP_RDRAND || in->op == X86_OP_RDSEED)
		return emu_emit_call(b, call_random, in, EMU_CALL);
	return emu_emit_call(b, call_generic, in, EMU_CALL);
}

/* --- Handlers that were left --- */

EMU_HANDLER(emu_uop_data)
{
	EMU_NEXT(c, u, s);
}

uint64_t emu_ea_any(struct emu_cpu *c, const struct emu_uop *u, unsigned size, unsigned access)
{
	unsigned adsize = UOP_ADSIZE(u->scale) ? UOP_ADSIZE(u->scale) : 8;
	uint64_t offset = uop_offset(c, u, c->s) & alu_mask(adsize);

	return emu_linear(c, u, u->seg, offset, size, access);
}

/* Not part of emu_interpret(): locals that others have the addresses of keep a compiler from a tail
 * call, and each instruction that is interpreted would leave a frame on the stack. */
static __attribute__((noinline)) int interpret(struct emu_cpu *c, const struct emu_uop *u)
{
	struct port port = { .c = c };
	struct x86_emulate_ctx ctx = { .ops = &port_ops, .opaque = &port, .state = c->s };

	emu_commit_pc(c, u);
	emu_flags_store(c);
	int r = x86_emulate(&ctx);

	if (r == X86_EMULATE_FAULT)
		emu_raise_fault(c, NULL, &ctx.fault);
	emu_flags_load(c);
	return r;
}

const struct emu_uop *emu_interpret(struct emu_cpu *c, const struct emu_uop *u, struct x86_state *s)
{
	int r = interpret(c, u);

	/* It takes another round, other bytes are there than were translated, or they cannot be
	 * read any more: the loop finds out. */
	if (r)
		return NULL;
	do
		u++;
	while (u->fn == emu_uop_data);
	EMU_GOTO(c, u, s);
}

const struct emu_uop *emu_miss(struct emu_cpu *c, const struct emu_uop *u, struct x86_state *s,
                               uint64_t va, unsigned size, unsigned access)
{
	const struct emu_tlb_entry *e = emu_tlb_of(c, va);

	emu_probe(c, u, va, size, access);
	if (!emu_tlb_hit(c, access == EMU_WRITE ? e->write : e->read, va, size))
		return emu_interpret(c, u, s);
	EMU_GOTO(c, u, s);
}
