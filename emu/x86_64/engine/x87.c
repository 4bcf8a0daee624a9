/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87 instructions. Those that compute are executed by the host (vector_stub.c); what reads or
 * writes the control and status words alone is in x87_env.c.
 *
 * An exception that the guest does not mask stays flagged in the image and is raised by the next
 * instruction that waits, as on the CPU. Always as #MF: the external interrupt that CR0.NE = 0
 * asks for is not there.
 */
#include <hypercore/freestanding.h>

#include "emu/x86_64/address.h"
#include "emu/x86_64/engine/vector.h"

void emu_x87_init(struct x86_state *s)
{
	const uint16_t fcw = XSAVE_FCW_INIT;

	memset(s->xsave, 0, XSAVE_MXCSR);
	memcpy(s->xsave + XSAVE_FCW, &fcw, sizeof(fcw));
	memset(s->xsave + XSAVE_ST, 0, XSAVE_XMM - XSAVE_ST);
}

void emu_x87_set_top(struct x86_state *s, unsigned top)
{
	uint8_t *fsw = s->xsave + XSAVE_FSW + 1, *st = s->xsave + XSAVE_ST, old[128];
	unsigned by = top - (*fsw >> 3);

	memcpy(old, st, sizeof(old));
	for (unsigned i = 0; i < 8; i++)
		memcpy(st + 16 * i, old + 16 * ((i + by) & 7), 16);
	*fsw = (uint8_t)((*fsw & ~0x38u) | (top & 7) << 3);
}

void emu_x87_summary(struct x86_state *s)
{
	uint8_t *fsw = s->xsave + XSAVE_FSW;

	fsw[0] &= (uint8_t)~FSW_ES;
	fsw[1] &= (uint8_t) ~(FSW_B >> 8);
	if (vec_x87_pending(s)) {
		fsw[0] |= (uint8_t)FSW_ES;
		fsw[1] |= (uint8_t)(FSW_B >> 8);
	}
}

/* Bytes in memory by opcode (D8 to DF) and ModRM.reg; negative: written. 0: in x87_env.c, or
 * undefined. */
static const int8_t memory_width[8][8] = {
	{ 4, 4, 4, 4, 4, 4, 4, 4 }, { 4, 0, -4, -4, 0, 0, 0, 0 },
	{ 4, 4, 4, 4, 4, 4, 4, 4 }, { 4, -4, -4, -4, 0, 10, 0, -10 },
	{ 8, 8, 8, 8, 8, 8, 8, 8 }, { 8, -8, -8, -8, 0, 0, 0, 0 },
	{ 2, 2, 2, 2, 2, 2, 2, 2 }, { 2, -2, -2, -2, 10, 8, -10, -8 },
};

/* FISTTP is SSE3's. */
static bool is_fisttp(const struct x86_insn *in)
{
	unsigned esc = in->opcode & 7u;

	return in->is_mem && (in->modrm >> 3 & 7) == 1 && (esc == 3 || esc == 5 || esc == 7);
}

static bool is_environment(const struct x86_insn *in)
{
	unsigned esc = in->opcode & 7u;

	if (in->is_mem)
		return !memory_width[esc][in->modrm >> 3 & 7];
	/* FNENI, FNDISI, FNCLEX, FNINIT, FNSETPM; FNSTSW AX */
	return (esc == 3 && in->modrm >= 0xe0 && in->modrm <= 0xe4) ||
	       (esc == 7 && in->modrm == 0xe0);
}

/* FNOP, and nothing else the host executes, leaves the pointers alone. */
static bool sets_pointers(const struct x86_insn *in)
{
	return !(in->opcode == 0xd9 && in->modrm == 0xd0);
}

struct pointers {
	uint8_t fop[2], fip[8], fdp[8];
};

static struct pointers pointers_of(const struct x86_state *s)
{
	struct pointers p;

	memcpy(p.fop, s->xsave + XSAVE_FOP, sizeof(p.fop));
	memcpy(p.fip, s->xsave + XSAVE_FIP, sizeof(p.fip));
	memcpy(p.fdp, s->xsave + XSAVE_FDP, sizeof(p.fdp));
	return p;
}

/* The guest's instead of the stub's (SDM Vol. 1 8.1.8). FCS and FDS are 0, as CPUID says. */
static void put_pointers(struct emu_cpu *c, const struct x86_insn *in, struct pointers p,
                         uint64_t offset)
{
	struct x86_state *s = c->s;
	unsigned fop = (in->opcode & 7u) << 8 | in->modrm;

	if (sets_pointers(in)) {
		p.fop[0] = (uint8_t)fop;
		p.fop[1] = (uint8_t)(fop >> 8);
		vec_put64(p.fip, s->rip);
		if (in->is_mem)
			vec_put64(p.fdp, offset);
	}
	memcpy(s->xsave + XSAVE_FOP, p.fop, sizeof(p.fop));
	memcpy(s->xsave + XSAVE_FIP, p.fip, sizeof(p.fip));
	memcpy(s->xsave + XSAVE_FDP, p.fdp, sizeof(p.fdp));
}

static void call_stub(struct emu_cpu *c, const struct x86_insn *in)
{
	struct vec_key key = { .opcode = in->opcode,
		               .modrm = in->is_mem ? in->modrm & 0x38 : in->modrm };
	static const struct vec_row none;
	emu_fn *fn = emu_stub(&key, &none);

	c->operand_flags = (c->s->rflags & ALU_FLAGS) | X86_FLAG_1;
	emu_vec_mxcsr_store(c); /* the image's is loaded by FXRSTOR */
	if (fn)
		(void)fn(c, NULL, c->s);
	else
		emu_stub_once(c, &key, &none);
	emu_vec_mxcsr_load(c);
	c->s->rflags = (c->s->rflags & ~ALU_FLAGS) | (c->operand_flags & ALU_FLAGS);
}

/* Invalid, overflow and underflow, when not masked, keep a store from being done. */
static bool store_was_done(const struct x86_state *s)
{
	const unsigned keep = 1 | 8 | 16;

	return !(s->xsave[XSAVE_FSW] & ~s->xsave[XSAVE_FCW] & keep);
}

/*
 * The operand's part of `size` bytes from `at` on; its linear address. 80 bits are 64 and 16, as
 * CPUs access them: the first part of a store has been done where the second faults.
 */
static uint64_t part_at(struct emu_cpu *c, const struct x86_insn *in, unsigned at, unsigned size,
                        unsigned access)
{
	uint64_t offset = x86_effective_address(c->s, in, 0) + at;

	return emu_linear(c, NULL, in->seg, offset, size, access);
}

static void read_part(struct emu_cpu *c, const struct x86_insn *in, unsigned at, unsigned size)
{
	emu_read(c, part_at(c, in, at, size, EMU_READ), c->operand + at, size, EMU_READ);
}

static void read_operand(struct emu_cpu *c, const struct x86_insn *in, unsigned size)
{
	read_part(c, in, 0, (unsigned)hc_min(size, 8u));
	if (size > 8)
		read_part(c, in, 8, size - 8);
}

/* If it faults, the registers are what they were before the instruction. */
static void write_part(struct emu_cpu *c, const struct x86_insn *in, unsigned at, unsigned size,
                       const uint8_t *before)
{
	uint8_t after[XSAVE_XMM], *registers = c->s->xsave;
	uint32_t mxcsr = vec_u32(registers + XSAVE_MXCSR);
	uint64_t va;

	memcpy(after, registers, sizeof(after));
	memcpy(registers, before, sizeof(after));
	vec_put32(registers + XSAVE_MXCSR, mxcsr);
	va = part_at(c, in, at, size, EMU_WRITE);
	emu_probe(c, NULL, va, size, EMU_WRITE);
	memcpy(registers, after, sizeof(after));
	emu_write(c, va, c->operand + at, size, EMU_WRITE);
}

static void write_operand(struct emu_cpu *c, const struct x86_insn *in, unsigned size,
                          const uint8_t *before)
{
	write_part(c, in, 0, (unsigned)hc_min(size, 8u), before);
	if (size > 8)
		write_part(c, in, 8, size - 8, before);
}

static void execute(struct emu_cpu *c, const struct x86_insn *in)
{
	int width = in->is_mem ? memory_width[in->opcode & 7][in->modrm >> 3 & 7] : 0;
	unsigned size = (unsigned)(width < 0 ? -width : width);
	struct pointers p = pointers_of(c->s);
	uint64_t offset = in->is_mem ? x86_effective_address(c->s, in, 0) : 0;
	uint8_t before[XSAVE_XMM];

	emu_vec_check_x87(c, true);
	if (width > 0)
		read_operand(c, in, size);
	else if (width < 0)
		memcpy(before, c->s->xsave, sizeof(before));
	call_stub(c, in);
	put_pointers(c, in, p, offset);
	if (width < 0 && store_was_done(c->s))
		write_operand(c, in, size, before);
}

bool emu_translate_x87(struct emu_builder *b, const struct x86_insn *in)
{
	emu_call_fn *fn = execute;

	if (!emu_vec_has(VEC_FPU) || !emu_vec_has(VEC_FXSR) ||
	    (is_fisttp(in) && !emu_vec_has(VEC_SSE3)))
		fn = emu_call_undefined;
	else if (is_environment(in))
		fn = emu_x87_environment;
	return emu_emit_call(b, fn, in, EMU_CALL);
}

void emu_fwait(struct emu_cpu *c, const struct x86_insn *in)
{
	if ((c->s->cr0 & (X86_CR0_MP | X86_CR0_TS)) == (X86_CR0_MP | X86_CR0_TS))
		emu_raise(c, NULL, X86_VEC_NM);
	if (vec_x87_pending(c->s))
		emu_raise(c, NULL, X86_VEC_MF);
}
