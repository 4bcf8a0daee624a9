/* SPDX-License-Identifier: BSD-2-Clause */
/* IN, OUT, INS, OUTS: who may use the port (SDM Vol. 1 18.5.2), then an exit. */
#include "emu/x86_64/engine/system.h"

#define TSS_IO_MAP_BASE 102

static void read_tss(struct emu_cpu *c, unsigned offset, uint16_t *v)
{
	const struct x86_segment *tr = &c->s->seg[X86_TR];
	uint64_t va = tr->base + offset;

	/* A 16-bit TSS has no bitmap. */
	if (!emu_is_present(tr) || !(X86_ATTR_TYPE(tr->attr) & 8) || offset + 1 > tr->limit)
		emu_gp(c);
	emu_read(c, emu_is_long(c->s) ? va : (uint32_t)va, v, 2, EMU_READ | EMU_SYSTEM);
}

/* All bits of the port's bytes have to be clear; two bytes are read always. */
static void check_bitmap(struct emu_cpu *c, uint16_t port, unsigned width)
{
	uint16_t base, bits;

	read_tss(c, TSS_IO_MAP_BASE, &base);
	read_tss(c, base + port / 8u, &bits);
	if ((uint32_t)bits >> port % 8 & ((1u << width) - 1))
		emu_gp(c);
}

static void check_port(struct emu_cpu *c, uint16_t port, unsigned width)
{
	const struct x86_state *s = c->s;

	if (s->cr0 & X86_CR0_PE && (s->cpl > emu_iopl(s) || emu_is_vm86(s)))
		check_bitmap(c, port, width);
}

static _Noreturn void leave_io(struct emu_cpu *c, const struct x86_insn *in, struct hc_exit_io io)
{
	c->exit->u.io = io;
	c->exit->u.io.watched = x86_watches_ports(c->s->dr7);
	emu_leave_insn(c, in, HC_EXIT_IO);
}

static uint16_t port_of(const struct emu_cpu *c, const struct x86_insn *in)
{
	return (uint16_t)(in->form == X86_FORM_I ? in->imm : c->s->gpr[X86_RDX]);
}

static _Noreturn void single(struct emu_cpu *c, const struct x86_insn *in, bool write)
{
	const struct hc_exit_io io = {
		.port = port_of(c, in),
		.width = in->reg_width,
		.write = write,
		.segment = X86_DS,
	};

	check_port(c, io.port, io.width);
	leave_io(c, in, io);
}

void emu_call_in(struct emu_cpu *c, const struct x86_insn *in)
{
	single(c, in, false);
}

void emu_call_out(struct emu_cpu *c, const struct x86_insn *in)
{
	single(c, in, true);
}

static void string(struct emu_cpu *c, const struct x86_insn *in, bool write)
{
	bool rep = in->prefixes & (X86_PFX_F3 | X86_PFX_F2);
	const struct hc_exit_io io = {
		.port = (uint16_t)c->s->gpr[X86_RDX],
		.width = in->rm_width,
		.write = write,
		.string = true,
		.rep = rep,
		.segment = write ? in->seg : X86_ES,
		.addr_size = in->adsize,
	};

	check_port(c, io.port, io.width);
	if (!rep || c->s->gpr[X86_RCX] & alu_mask(in->adsize))
		leave_io(c, in, io);
	emu_advance(c, in);
}

void emu_call_ins(struct emu_cpu *c, const struct x86_insn *in)
{
	string(c, in, false);
}

void emu_call_outs(struct emu_cpu *c, const struct x86_insn *in)
{
	string(c, in, true);
}
