/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x87 instructions on control and status words, and on the environment in memory: 14 bytes with
 * a 16-bit operand size, else 28; FNSAVE and FRSTOR have the eight registers after it (SDM Vol. 1
 * 8.1.10, figures 8-9 to 8-12). FCS and FDS are 0, so the formats of real mode, in which pointers
 * are linear addresses, take theirs from the offsets.
 */
#include <hypercore/freestanding.h>

#include "emu/x86_64/engine/vector.h"

#define REGISTER 10 /* bytes of a register in memory */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static unsigned top_of(const struct x86_state *s)
{
	return s->xsave[XSAVE_FSW + 1] >> 3 & 7;
}

/* --- The tag word: 0 valid, 1 zero, 2 special, 3 empty, by physical register --- */

static unsigned tag_of(const uint8_t *st)
{
	unsigned exponent = get16(st + 8) & 0x7fff;
	uint64_t significand = vec_u64(st);

	if (!exponent)
		return significand ? 2 : 1;
	return exponent == 0x7fff || !(significand >> 63) ? 2 : 0;
}

static unsigned full_tags(const struct x86_state *s)
{
	unsigned tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		const uint8_t *st = s->xsave + XSAVE_ST + 16 * ((i - top_of(s)) & 7);
		unsigned tag = s->xsave[XSAVE_FTW] >> i & 1 ? tag_of(st) : 3;

		tags |= tag << 2 * i;
	}
	return tags;
}

static uint8_t abridged_tags(unsigned full)
{
	unsigned tags = 0;

	for (unsigned i = 0; i < 8; i++)
		tags |= (unsigned)((full >> 2 * i & 3) != 3) << i;
	return (uint8_t)tags;
}

/* --- The environment --- */

static bool is_real(const struct x86_state *s)
{
	return !(s->cr0 & X86_CR0_PE) || s->rflags & X86_FLAG_VM;
}

/* 16 bits: words; 32 bits: the same words in doublewords, but for the pointers. */
static void pack16(const struct x86_state *s, uint8_t *e)
{
	uint64_t fip = vec_u64(s->xsave + XSAVE_FIP), fdp = vec_u64(s->xsave + XSAVE_FDP);
	unsigned fop = get16(s->xsave + XSAVE_FOP) & 0x7ff;

	put16(e, get16(s->xsave + XSAVE_FCW));
	put16(e + 2, get16(s->xsave + XSAVE_FSW));
	put16(e + 4, full_tags(s));
	put16(e + 6, (unsigned)fip);
	put16(e + 8, is_real(s) ? (unsigned)(fip >> 16 & 0xf) << 12 | fop : 0);
	put16(e + 10, (unsigned)fdp);
	put16(e + 12, is_real(s) ? (unsigned)(fdp >> 16 & 0xf) << 12 : 0);
}

static void pack32(const struct x86_state *s, uint8_t *e)
{
	uint32_t fip = (uint32_t)vec_u64(s->xsave + XSAVE_FIP);
	uint32_t fdp = (uint32_t)vec_u64(s->xsave + XSAVE_FDP);
	uint32_t fop = get16(s->xsave + XSAVE_FOP) & 0x7ff;
	const uint32_t unused = 0xffff0000;

	vec_put32(e, unused | get16(s->xsave + XSAVE_FCW));
	vec_put32(e + 4, unused | get16(s->xsave + XSAVE_FSW));
	vec_put32(e + 8, unused | full_tags(s));
	vec_put32(e + 12, is_real(s) ? (fip & 0xffff) : fip);
	vec_put32(e + 16, is_real(s) ? (fip >> 16) << 12 | fop : fop << 16);
	vec_put32(e + 20, is_real(s) ? (fdp & 0xffff) : fdp);
	vec_put32(e + 24, is_real(s) ? (fdp >> 16) << 12 : unused);
}

static void set_words(struct x86_state *s, unsigned fcw, unsigned fsw, unsigned tags)
{
	put16(s->xsave + XSAVE_FCW, (fcw & 0x1f3f) | 0x40);
	emu_x87_set_top(s, fsw >> 11);
	put16(s->xsave + XSAVE_FSW, fsw);
	s->xsave[XSAVE_FTW] = abridged_tags(tags);
	emu_x87_summary(s);
}

static void unpack16(struct x86_state *s, const uint8_t *e)
{
	bool real = is_real(s);
	uint64_t high = real ? (uint64_t)(get16(e + 8) >> 12) << 16 : 0;

	vec_put64(s->xsave + XSAVE_FIP, get16(e + 6) | high);
	vec_put64(s->xsave + XSAVE_FDP,
	          get16(e + 10) | (real ? (uint64_t)(get16(e + 12) >> 12) << 16 : 0));
	put16(s->xsave + XSAVE_FOP, real ? get16(e + 8) & 0x7ff : 0);
	set_words(s, get16(e), get16(e + 2), get16(e + 4));
}

static void unpack32(struct x86_state *s, const uint8_t *e)
{
	bool real = is_real(s);
	uint32_t fip = vec_u32(e + 12), fdp = vec_u32(e + 20), word = vec_u32(e + 16);

	if (real) {
		fip = (fip & 0xffff) | (word >> 12 & 0xffff) << 16;
		fdp = (fdp & 0xffff) | (vec_u32(e + 24) >> 12 & 0xffff) << 16;
	}
	vec_put64(s->xsave + XSAVE_FIP, fip);
	vec_put64(s->xsave + XSAVE_FDP, fdp);
	put16(s->xsave + XSAVE_FOP, (real ? word : word >> 16) & 0x7ff);
	set_words(s, get16(e), get16(e + 4), get16(e + 8));
}

static unsigned environment_size(const struct x86_insn *in)
{
	return in->opsize == 2 ? 14 : 28;
}

static void pack(const struct x86_state *s, const struct x86_insn *in, uint8_t *e)
{
	if (in->opsize == 2)
		pack16(s, e);
	else
		pack32(s, e);
}

static void unpack(struct x86_state *s, const struct x86_insn *in, const uint8_t *e)
{
	if (in->opsize == 2)
		unpack16(s, e);
	else
		unpack32(s, e);
}

/* --- Instructions --- */

/* The registers' contents stay. */
static void fninit(struct x86_state *s)
{
	emu_x87_set_top(s, 0);
	put16(s->xsave + XSAVE_FCW, XSAVE_FCW_INIT);
	memset(s->xsave + XSAVE_FSW, 0, XSAVE_MXCSR - XSAVE_FSW);
}

static void fldenv(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned size = environment_size(in);
	uint64_t va = emu_insn_linear(c, in, size, EMU_READ);
	uint8_t e[28];

	emu_read(c, va, e, size, EMU_READ);
	unpack(c->s, in, e);
}

/* All exceptions are masked afterwards. */
static void fnstenv(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned size = environment_size(in);
	uint64_t va = emu_insn_linear(c, in, size, EMU_WRITE);
	uint8_t e[28];

	pack(c->s, in, e);
	emu_write(c, va, e, size, EMU_WRITE);
	c->s->xsave[XSAVE_FCW] |= 0x3f;
	emu_x87_summary(c->s);
}

static void frstor(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned size = environment_size(in);
	uint64_t va = emu_insn_linear(c, in, size + 8 * REGISTER, EMU_READ);
	uint8_t e[28], st[8 * REGISTER];

	emu_probe(c, NULL, va, size + 8 * REGISTER, EMU_READ);
	emu_read(c, va, e, size, EMU_READ);
	for (unsigned i = 0; i < 8; i += 4)
		emu_read(c, va + size + REGISTER * i, st + REGISTER * i, 4 * REGISTER, EMU_READ);
	unpack(c->s, in, e);
	for (unsigned i = 0; i < 8; i++)
		memcpy(c->s->xsave + XSAVE_ST + 16 * i, st + REGISTER * i, REGISTER);
}

static void fnsave(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned size = environment_size(in);
	uint64_t va = emu_insn_linear(c, in, size + 8 * REGISTER, EMU_WRITE);
	uint8_t e[28];

	emu_probe(c, NULL, va, size + 8 * REGISTER, EMU_WRITE);
	pack(c->s, in, e);
	emu_write(c, va, e, size, EMU_WRITE);
	for (unsigned i = 0; i < 8; i++)
		emu_write(c, va + size + REGISTER * i, c->s->xsave + XSAVE_ST + 16 * i, REGISTER,
		          EMU_WRITE);
	fninit(c->s);
}

static void fldcw(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t va = emu_insn_linear(c, in, 2, EMU_READ);
	uint8_t fcw[2];

	emu_read(c, va, fcw, sizeof(fcw), EMU_READ);
	put16(c->s->xsave + XSAVE_FCW, (get16(fcw) & 0x1f3fu) | 0x40u);
	emu_x87_summary(c->s);
}

static void store_word(struct emu_cpu *c, const struct x86_insn *in, unsigned at)
{
	uint64_t va = emu_insn_linear(c, in, 2, EMU_WRITE);

	emu_write(c, va, c->s->xsave + at, 2, EMU_WRITE);
}

static void fnclex(struct x86_state *s)
{
	s->xsave[XSAVE_FSW] = 0;
	s->xsave[XSAVE_FSW + 1] &= (uint8_t) ~(FSW_B >> 8);
}

/* FNSTSW AX; FNCLEX, FNINIT; the rest did something on the 8087 and the 287. */
static void on_registers(struct emu_cpu *c, const struct x86_insn *in)
{
	if (in->opcode == 0xdf)
		memcpy(&c->s->gpr[X86_RAX], c->s->xsave + XSAVE_FSW, 2);
	else if (in->modrm == 0xe2)
		fnclex(c->s);
	else if (in->modrm == 0xe3)
		fninit(c->s);
}

void emu_x87_environment(struct emu_cpu *c, const struct x86_insn *in)
{
	unsigned what = (in->opcode & 7u) << 3 | (in->modrm >> 3 & 7);
	bool waits = in->is_mem && (what == 014 || what == 015 || what == 054);

	emu_vec_check_x87(c, waits);
	if (!in->is_mem) {
		on_registers(c, in);
		return;
	}
	switch (what) {
	case 014: fldenv(c, in); break;
	case 015: fldcw(c, in); break;
	case 016: fnstenv(c, in); break;
	case 017: store_word(c, in, XSAVE_FCW); break;
	case 054: frstor(c, in); break;
	case 056: fnsave(c, in); break;
	case 057: store_word(c, in, XSAVE_FSW); break;
	default: emu_raise(c, NULL, X86_VEC_UD);
	}
}
