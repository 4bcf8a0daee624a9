/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector and x87 instructions of the software CPU against the CPU that the test runs on: the same
 * bytes, registers and memory for both.
 */
#include <stdio.h>
#include <string.h>

#include "emu/x86_64/engine/vector.h"
#include "tests/emu_rig.h"
#include "tests/native_x86.h"
#include "tests/unit.h"

#define HANDLERS  0x20000 /* the handler of vector v halts at HANDLERS + 16 v */
#define DATA_SIZE 8192
#define DATA_REG  X86_RBX

static struct emu_rig rig;
static enum rig_mode mode;
static uint64_t seed = 0x9e3779b97f4a7c15;
static uint8_t *native_data; /* DATA_SIZE bytes, page-aligned */
static _Alignas(4096) uint8_t native_area[DATA_SIZE];

struct code {
	uint8_t bytes[32];
	unsigned length;
	bool is_dot; /* DPPS, DPPD */
};

/* What both began with. */
static struct native start;
static uint8_t start_data[DATA_SIZE];
static uint64_t offset; /* of the operand from the data's beginning */

/* --- Random state --- */

static uint64_t random_bits(void)
{
	return test_random(&seed);
}

static uint64_t below(uint64_t n)
{
	return test_below(&seed, n);
}

static uint64_t random_double(void)
{
	static const uint64_t special[] = {
		0,
		0x8000000000000000,
		0x3ff0000000000000,
		0xbff0000000000000,
		0x7ff0000000000000,
		0xfff0000000000000,
		0x7ff8000000000000,
		0x7ff0000000000001,
		1,
		0x000fffffffffffff,
		0x0010000000000000,
		0x7fefffffffffffff,
		0x41dfffffffc00000,
		0x43e0000000000000,
		0x3fe0000000000000,
		0x4059000000000000,
		0x36a0000000000000,
		0x380fffffffffffff,
	};

	if (below(2))
		return special[below(sizeof(special) / sizeof(special[0]))];
	return random_bits();
}

static uint64_t two_floats(void)
{
	static const uint32_t special[] = {
		0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
		0x7fc00000, 0x7f800001, 1,          0x007fffff, 0x00800000, 0x7f7fffff,
		0x4f000000, 0x3f000000, 0x42c80000, 0x33800000,
	};
	const unsigned n = sizeof(special) / sizeof(special[0]);

	return (uint64_t)special[below(n)] << 32 |
	       (below(2) ? special[below(n)] : (uint32_t)random_bits());
}

static uint64_t random_word(void)
{
	switch (below(8)) {
	case 0: return 0;
	case 1: return ~UINT64_C(0);
	case 2: return 0x8000800080008000 ^ (random_bits() & 0x0101010101010101);
	case 3:
	case 4: return random_double();
	case 5:
	case 6: return two_floats();
	default: return random_bits();
	}
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t v = random_word();

		memcpy(p + i, &v, 8);
	}
}

/* A register of x87: FPU and MMX patterns. */
static void fill_st(uint8_t *p)
{
	static const uint16_t exponents[] = {
		0, 0x3fff, 0x7fff, 0x4000, 0x3ffe, 1, 0x7ffe, 0x403e
	};
	uint64_t significand = below(4) ? random_bits() | HC_BIT(63) : random_word();
	uint16_t exponent = below(2) ? exponents[below(8)] : (uint16_t)(0x3fc0 + below(0x80));

	if (!below(4))
		significand = below(2) ? HC_BIT(63) : 0;
	exponent |= (uint16_t)(below(2) << 15);
	memcpy(p, &significand, 8);
	memcpy(p + 8, &exponent, 2);
	memset(p + 10, 0, 6);
}

static uint32_t random_mxcsr(void)
{
	uint32_t v = MXCSR_MASKS | ((uint32_t)random_bits() & (MXCSR_FLAGS | 0xe040));

	if (!below(3))
		v &= ~((uint32_t)random_bits() & MXCSR_MASKS);
	return v;
}

static uint64_t gpr_mask(void)
{
	return mode == RIG_LONG ? UINT64_MAX : UINT32_MAX;
}

static void random_start(void)
{
	const uint16_t fcw = 0x37f;

	memset(&start, 0, sizeof(start));
	for (unsigned i = 0; i < 16; i++)
		start.gpr[i] = (below(3) ? random_word() : below(40) - 20) & gpr_mask();
	start.gpr[X86_RSP] = RIG_STACK;
	start.rflags = (random_bits() & ALU_FLAGS) | 0x202;
	memcpy(start.xsave, &fcw, 2);
	start.xsave[XSAVE_FSW + 1] = (uint8_t)(random_bits() & 0x7f);
	start.xsave[XSAVE_FTW] = (uint8_t)random_bits();
	vec_put32(start.xsave + XSAVE_MXCSR, random_mxcsr());
	for (unsigned i = 0; i < 8; i++)
		fill_st(start.xsave + XSAVE_ST + 16 * i);
	fill(start.xsave + XSAVE_XMM, 256);
	fill(start.xsave + XSAVE_YMM, 256);
	vec_put64(start.xsave + XSAVE_HEADER, XSTATE_ALL);
	fill(start_data, sizeof(start_data));
}

/* --- Both executions --- */

static struct native by_native, by_emu;
static uint8_t emu_data[DATA_SIZE];

static void run_native(const struct code *code)
{
	by_native = start;
	by_native.gpr[DATA_REG] = by_native.gpr[X86_RDI] =
		(uint64_t)(uintptr_t)native_data + offset;
	memcpy(native_data, start_data, DATA_SIZE);
	native_run(&by_native, code->bytes, code->length);
	by_native.gpr[DATA_REG] = by_native.gpr[X86_RDI] = 0;
	by_native.gpr[X86_RSP] = start.gpr[X86_RSP];
}

static void run_emu(const struct code *code)
{
	struct x86_state *s = rig.s;
	static const uint8_t hlt = 0xf4;

	emu_rig_reset(&rig, 0);
	s->cr4 |= X86_CR4_OSXSAVE | X86_CR4_OSFXSR | CR4_OSXMMEXCPT;
	s->xcr0 = XSTATE_ALL;
	s->idtr = (struct x86_dtable){ RIG_IDT, 0xfff };
	memcpy(s->gpr, start.gpr, sizeof(s->gpr));
	s->gpr[DATA_REG] = s->gpr[X86_RDI] = RIG_DATA + offset;
	s->rflags = start.rflags & ~(uint64_t)X86_FLAG_IF;
	memcpy(s->xsave, start.xsave, sizeof(s->xsave));
	emu_rig_poke(&rig, RIG_DATA, start_data, DATA_SIZE);
	emu_rig_poke(&rig, RIG_CODE, code->bytes, code->length);
	emu_rig_poke(&rig, RIG_CODE + code->length, &hlt, 1);
	by_emu.vector = -1;
	assert_int_equal(emu_rig_run(&rig), HC_EXIT_HALT);
	if (rig.exit.pc >= HANDLERS)
		by_emu.vector = (int)(rig.exit.pc - HANDLERS) / 16;
	else
		assert_int_equal(rig.exit.pc, RIG_CODE + code->length);
	memcpy(by_emu.gpr, s->gpr, sizeof(by_emu.gpr));
	by_emu.gpr[DATA_REG] = by_emu.gpr[X86_RDI] = 0;
	by_emu.gpr[X86_RSP] = start.gpr[X86_RSP];
	by_emu.rflags = s->rflags;
	memcpy(by_emu.xsave, s->xsave, sizeof(by_emu.xsave));
	memcpy(emu_data, rig.ram + RIG_DATA, DATA_SIZE);
}

static const char *hex(const uint8_t *p, unsigned n)
{
	static char text[8][200];
	static unsigned next;
	char *t = text[next++ % 8];

	for (unsigned i = 0; i < n && i < 64; i++)
		snprintf(t + 2 * i, 4, "%02x", p[i]);
	return t;
}

/* The first difference of two pieces of memory; the test fails there. */
static void same(const struct code *code, const char *what, const uint8_t *emu,
                 const uint8_t *native, const uint8_t *before, unsigned size, unsigned step)
{
	for (unsigned i = 0; i < size; i += step)
		if (memcmp(emu + i, native + i, step))
			fail_msg("%s: %s at %u: %s, CPU: %s, before: %s; mxcsr %08x",
			         hex(code->bytes, code->length), what, i, hex(emu + i, step),
			         hex(native + i, step), hex(before + i, step),
			         vec_u32(start.xsave + XSAVE_MXCSR));
}

/* Pointers to the last x87 instruction differ: CPUs of today keep them only for exceptions. */
static void forget_pointers(uint8_t *xsave)
{
	memset(xsave + XSAVE_FOP, 0, XSAVE_MXCSR - XSAVE_FOP);
	for (unsigned i = 0; i < 8; i++)
		memset(xsave + XSAVE_ST + 16 * i + 10, 0, 6);
	memset(xsave + XSAVE_MASK, 0, 4);
}

/* What cannot be told from a masked execution (docs/CAVEATS.md): which step of a dot product the
 * first exception was in. */
static void forgive_flags(const struct code *code)
{
	uint8_t *emu = by_emu.xsave + XSAVE_MXCSR, *native = by_native.xsave + XSAVE_MXCSR;

	if (by_native.vector == X86_VEC_XM && code->is_dot)
		emu[0] = (uint8_t)((emu[0] & ~MXCSR_FLAGS) | (native[0] & MXCSR_FLAGS));
}

static void compare(const struct code *code)
{
	struct native first = start;
	uint64_t flags = ALU_FLAGS;

	if (by_emu.vector != by_native.vector)
		fail_msg("%s: exception %d, CPU: %d; mxcsr %08x -> %08x, CPU: %08x",
		         hex(code->bytes, code->length), by_emu.vector, by_native.vector,
		         vec_u32(start.xsave + XSAVE_MXCSR), vec_u32(by_emu.xsave + XSAVE_MXCSR),
		         vec_u32(by_native.xsave + XSAVE_MXCSR));
	first.gpr[DATA_REG] = first.gpr[X86_RDI] = 0;
	forgive_flags(code);
	forget_pointers(by_emu.xsave);
	forget_pointers(by_native.xsave);
	same(code, "gpr", (uint8_t *)by_emu.gpr, (uint8_t *)by_native.gpr, (uint8_t *)first.gpr,
	     sizeof(first.gpr), 8);
	same(code, "x87", by_emu.xsave, by_native.xsave, first.xsave, XSAVE_XMM, 8);
	same(code, "xmm", by_emu.xsave + XSAVE_XMM, by_native.xsave + XSAVE_XMM,
	     first.xsave + XSAVE_XMM, 256, 16);
	same(code, "ymm", by_emu.xsave + XSAVE_YMM, by_native.xsave + XSAVE_YMM,
	     first.xsave + XSAVE_YMM, 256, 16);
	same(code, "memory", emu_data, native_data, start_data, DATA_SIZE, 32);
	if ((by_emu.rflags ^ by_native.rflags) & flags)
		fail_msg("%s: flags %03llx, CPU: %03llx", hex(code->bytes, code->length),
		         (unsigned long long)(by_emu.rflags & flags),
		         (unsigned long long)(by_native.rflags & flags));
}

static void check(const struct code *code)
{
	run_native(code);
	run_emu(code);
	compare(code);
}

/* --- Encoding --- */

struct form {
	unsigned map, pp, opcode;
	bool vex, l, w, mem, vsib;
	unsigned reg, vvvv, rm;
};

static void put(struct code *code, unsigned byte)
{
	code->bytes[code->length++] = (uint8_t)byte;
}

static void put_opcode(struct code *code, const struct form *f)
{
	static const uint8_t prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
	unsigned r = f->reg >> 3, b = f->mem ? 0 : f->rm >> 3, x = f->vsib ? f->rm >> 3 : 0;

	if (f->vex) {
		put(code, 0xc4);
		put(code, (~r & 1) << 7 | (~x & 1) << 6 | (~b & 1) << 5 | f->map);
		put(code, (unsigned)f->w << 7 | (~f->vvvv & 15) << 3 | (unsigned)f->l << 2 | f->pp);
	} else {
		if (f->pp)
			put(code, prefixes[f->pp]);
		if (r | b | (unsigned)f->w)
			put(code, 0x40 | (unsigned)f->w << 3 | r << 2 | b);
		put(code, 0x0f);
		if (f->map > 1)
			put(code, f->map == 2 ? 0x38 : 0x3a);
	}
	put(code, f->opcode);
}

/* Memory is [RBX + disp8]; with a vector index [RBX + rm * 2^n + disp8]. */
static void encode(struct code *code, const struct form *f)
{
	code->length = 0;
	code->is_dot = f->map == 3 && (f->opcode == 0x40 || f->opcode == 0x41);
	put_opcode(code, f);
	if (!f->mem) {
		put(code, 0xc0 | (f->reg & 7) << 3 | (f->rm & 7));
	} else if (f->vsib) {
		put(code, 0x44 | (f->reg & 7) << 3);
		put(code, (unsigned)below(4) << 6 | (f->rm & 7) << 3 | DATA_REG);
		put(code, 0x20);
	} else {
		put(code, 0x40 | (f->reg & 7) << 3 | DATA_REG);
		put(code, 0x20);
	}
	/* An immediate, if there is one; bit 7, part of a register's number, is ignored in 32-bit
	 * mode, and the judge is in 64-bit mode. */
	put(code, (unsigned)random_bits() & (mode == RIG_LONG ? 0xff : 0x7f));
}

/* The length that the decoder gives it; false: it does not know the instruction. */
static bool decode(struct code *code, struct x86_insn *in)
{
	int rc = x86_decode(in, code->bytes, sizeof(code->bytes),
	                    mode == RIG_LONG ? X86_MODE_64 : X86_MODE_32);

	if (rc > 0)
		code->length = (unsigned)rc;
	return rc > 0;
}

/* Outside 64-bit mode there are eight. The bytes of an instruction on those, with a base register
 * and a displacement, are the same in both modes. */
static unsigned any_register(void)
{
	return (unsigned)below(mode == RIG_LONG ? 16 : 8);
}

/* A register that is neither RSP nor points at the data. */
static unsigned plain_gpr(void)
{
	unsigned n;

	do
		n = any_register();
	while (n == X86_RSP || n == DATA_REG || n == X86_RDI);
	return n;
}

/* Mostly aligned; else anywhere, across the page border too. */
static uint64_t random_offset(void)
{
	if (below(4))
		return 32 * below(64);
	return below(2) ? 4096 - 32 - below(32) : below(2048);
}

static bool is_gpr(unsigned class)
{
	return class == VEC_CLASS_G;
}

static void random_registers(struct form *f, const struct vec_row *row)
{
	f->vvvv = any_register();
	f->reg = row && is_gpr(row->reg) ? plain_gpr() : any_register();
	f->rm = row && is_gpr(row->rm) && !f->mem ? plain_gpr() : any_register();
	if (row && row->reg == VEC_CLASS_NONE)
		f->reg = (unsigned)below(8);
	if (f->vex && row && !(row->flags & (VEC_NDS | VEC_TO_VVVV)) &&
	    (!(row->flags & VEC_NDS_REG) || f->mem) && below(16))
		f->vvvv = 0;
}

/* --- Tests --- */

static void start_rig(enum rig_mode wanted)
{
	mode = wanted;
	emu_rig_start(&rig, mode, 1);
	assert_int_equal(emu_vector_init(), 0);
	for (unsigned v = 0; v < 32; v++) {
		static const uint8_t hlt = 0xf4;

		emu_rig_gate(&rig, v, HANDLERS + 16 * v, 0, 0);
		emu_rig_poke(&rig, HANDLERS + 16 * v, &hlt, 1);
	}
}

static int set_up(void **state)
{
	start_rig(RIG_LONG);
	native_data = native_area;
	return 0;
}

static int tear_down(void **state)
{
	emu_rig_stop(&rig);
	return 0;
}

static unsigned tried;

/* What other bytes would say outside 64-bit mode. */
static bool is_of_mode(const struct form *f, const struct vec_row *row)
{
	if (mode == RIG_LONG || !f->w)
		return true;
	return f->vex && !is_gpr(row->reg) && !is_gpr(row->rm) && !(row->flags & VEC_LENGTHS);
}

/* With the form's registers and all else random. */
static void try_form(struct form *f, const struct vec_row *row)
{
	struct code code;
	struct x86_insn in;

	random_start();
	offset = random_offset();
	random_registers(f, row);
	encode(&code, f);
	if (!decode(&code, &in))
		return;
	tried++;
	check(&code);
}

static void try_row(unsigned map, unsigned pp, unsigned opcode, unsigned rounds)
{
	const struct vec_row *row = emu_vec_row(map, pp, opcode);

	for (unsigned i = 0; row && i < 16 * rounds; i++) {
		struct form f = { .map = map,
			          .pp = pp,
			          .opcode = opcode,
			          .vex = i & 1,
			          .mem = i & 2,
			          .l = i & 4,
			          .w = i & 8 };

		if (is_of_mode(&f, row))
			try_form(&f, row);
	}
}

static void try_all_rows(void)
{
	native_start();
	tried = 0;
	for (unsigned map = 1; map <= 3; map++)
		for (unsigned opcode = 0; opcode < 256; opcode++)
			for (unsigned pp = 0; pp < 4; pp++)
				try_row(map, pp, opcode, test_rounds(2));
	native_stop();
	assert_true(tried > 5000);
}

static void test_rows(void **state)
{
	try_all_rows();
}

static void test_rows_in_32_bits(void **state)
{
	emu_rig_stop(&rig);
	start_rig(RIG_FLAT);
	try_all_rows();
	emu_rig_stop(&rig);
	start_rig(RIG_LONG);
}

static void small_indices(unsigned index_register)
{
	for (unsigned i = 0; i < 4; i++) {
		uint8_t *half = start.xsave + (i < 2 ? XSAVE_XMM : XSAVE_YMM);

		vec_put64(half + 16 * index_register + 8 * (i & 1), below(64) | below(64) << 32);
	}
}

static void try_masked(struct form f)
{
	bool qword_index = f.vsib && f.opcode & 1;
	struct code code;
	struct x86_insn in;

	random_start();
	f.l = below(2);
	f.w = f.vex && below(2);
	random_registers(&f, NULL);
	if (f.vex && (f.opcode == 0x77 || f.opcode == 0xf7) && below(8))
		f.vvvv = 0;
	if (f.vsib) {
		small_indices(f.rm);
		for (unsigned i = 0; qword_index && i < 2; i++) {
			vec_put32(start.xsave + XSAVE_XMM + 16 * f.rm + 8 * i + 4, 0);
			vec_put32(start.xsave + XSAVE_YMM + 16 * f.rm + 8 * i + 4, 0);
		}
	}
	offset = random_offset();
	encode(&code, &f);
	if (decode(&code, &in))
		check(&code);
}

/* Bit patterns of masked moves' and gathers' operands do what they like; VSIB's must be small. */
static void test_masked(void **state)
{
	static const struct form forms[] = {
		{ .map = 1, .pp = 0, .opcode = 0x77, .vex = true },
		{ .map = 1, .pp = 0, .opcode = 0x77 },
		{ .map = 1, .pp = 1, .opcode = 0xf7, .vex = true },
		{ .map = 1, .pp = 1, .opcode = 0xf7 },
		{ .map = 1, .pp = 0, .opcode = 0xf7 },
		{ .map = 2, .pp = 1, .opcode = 0x2c, .vex = true, .mem = true },
		{ .map = 2, .pp = 1, .opcode = 0x2d, .vex = true, .mem = true },
		{ .map = 2, .pp = 1, .opcode = 0x2e, .vex = true, .mem = true },
		{ .map = 2, .pp = 1, .opcode = 0x2f, .vex = true, .mem = true },
		{ .map = 2, .pp = 1, .opcode = 0x8c, .vex = true, .mem = true },
		{ .map = 2, .pp = 1, .opcode = 0x8e, .vex = true, .mem = true },
		{ .map = 2, .pp = 1, .opcode = 0x90, .vex = true, .mem = true, .vsib = true },
		{ .map = 2, .pp = 1, .opcode = 0x91, .vex = true, .mem = true, .vsib = true },
		{ .map = 2, .pp = 1, .opcode = 0x92, .vex = true, .mem = true, .vsib = true },
		{ .map = 2, .pp = 1, .opcode = 0x93, .vex = true, .mem = true, .vsib = true },
	};

	native_start();
	for (unsigned i = 0; i < test_rounds(100) * HC_ARRAY_SIZE(forms); i++)
		try_masked(forms[i % HC_ARRAY_SIZE(forms)]);
	native_stop();
}

/* --- x87 --- */

static void random_x87(void)
{
	uint16_t fcw = 0x37f, fsw = (uint16_t)(below(8) << 11 | (random_bits() & 0x4700));

	if (!below(3))
		fcw = (uint16_t)((random_bits() & 0x1f3f) | 0x40);
	else if (below(2))
		fcw = (uint16_t)(0x7f | (random_bits() & 0x0f00));
	if (!below(6)) /* something pending, perhaps */
		fsw |= (uint16_t)(random_bits() & 0x7f);
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	memcpy(start.xsave + XSAVE_FCW, &fcw, 2);
	memcpy(start.xsave + XSAVE_FSW, &fsw, 2);
	start.xsave[XSAVE_FTW] = (uint8_t)(below(3) ? 0xff : random_bits());
}

static void try_x87(unsigned opcode, unsigned modrm)
{
	struct code code = { .bytes = { (uint8_t)opcode, (uint8_t)modrm }, .length = 2 };

	if (modrm < 0xc0) {
		code.bytes[1] = (uint8_t)(0x40 | (modrm & 0x38) | DATA_REG);
		code.bytes[code.length++] = 0x20;
	}
	random_start();
	random_x87();
	offset = random_offset();
	for (unsigned i = 0; i < DATA_SIZE; i += 32) /* some are numbers with 80 bits */
		fill_st(start_data + i);
	if (opcode == 0xdf && modrm < 0xc0 && (modrm & 0x38) == 0x20) /* FBLD takes digits */
		for (unsigned i = 0; i < DATA_SIZE; i++)
			start_data[i] = (uint8_t)(below(10) << 4 | below(10));
	check(&code);
}

static void test_x87(void **state)
{
	native_start();
	for (unsigned i = 0; i < test_rounds(20); i++)
		for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++)
			for (unsigned modrm = 0; modrm < 256; modrm += modrm < 0xc0 ? 8 : 1)
				if (x86_x87_defined(opcode & 7, (uint8_t)modrm) &&
				    (modrm < 0x40 || modrm >= 0xc0))
					try_x87(opcode, modrm);
	native_stop();
}

/* --- Saving and restoring --- */

/* Components in their initial configuration, and known to be. */
static void random_init(void)
{
	uint64_t in_use = random_bits() & XSTATE_ALL;

	if (below(3))
		return;
	if (!(in_use & XSTATE_X87)) {
		memset(start.xsave, 0, XSAVE_MXCSR);
		start.xsave[0] = 0x7f;
		start.xsave[1] = 3;
		memset(start.xsave + XSAVE_ST, 0, 128);
	}
	if (!(in_use & XSTATE_SSE))
		memset(start.xsave + XSAVE_XMM, 0, 256);
	if (!(in_use & XSTATE_AVX))
		memset(start.xsave + XSAVE_YMM, 0, 256);
	vec_put64(start.xsave + XSAVE_HEADER, in_use);
	if (!below(3))
		vec_put32(start.xsave + XSAVE_MXCSR, MXCSR_INIT);
}

/* An image to be restored, in either format, sometimes one that is not taken. */
static void random_image(uint8_t *image)
{
	uint8_t *header = image + XSAVE_HEADER;
	uint64_t bv = random_bits() & XSTATE_ALL;

	for (unsigned i = 0; i < 8; i++)
		fill_st(image + XSAVE_ST + 16 * i);
	image[XSAVE_FCW + 1] &= 0x1f;
	memset(image + XSAVE_FTW + 1, 0, XSAVE_MXCSR - XSAVE_FTW - 1);
	vec_put32(image + XSAVE_MXCSR, random_mxcsr() | (below(8) ? 0 : 0x10000));
	memset(header, 0, 64);
	vec_put64(header, bv);
	if (below(2))
		vec_put64(header + 8, bv | (random_bits() & XSTATE_ALL) | HC_BIT(63));
	if (!below(8))
		header[below(64)] ^= (uint8_t)(1u << below(below(2) ? 3 : 8));
	if (!below(16))
		header[7] ^= 0x80;
	header[0] &= 7; /* the host may have more components than the guest */
	if (!(header[15] & 0x80))
		header[8] = 0;
	header[8] &= 7;
	header[1] = header[2] = header[9] = header[10] = 0;
}

static void try_save(unsigned opcode, unsigned reg, bool w)
{
	struct code code = { .length = 0 };

	if (w)
		put(&code, 0x48);
	put(&code, 0x0f);
	put(&code, opcode);
	put(&code, 0x40 | reg << 3 | DATA_REG);
	put(&code, 0x20);
	random_start();
	random_init();
	start.gpr[X86_RAX] = random_bits() & XSTATE_ALL;
	start.gpr[X86_RDX] = 0;
	offset = 64 * below(100) + 32 + (below(8) ? 0 : UINT64_C(8) << below(3));
	random_image(start_data + offset + 32);
	run_native(&code);
	run_emu(&code);
	/* What is not in use may change when the host's kernel takes the CPU away meanwhile. */
	for (unsigned i = 0; i < 5 && memcmp(emu_data, native_data, DATA_SIZE); i++)
		run_native(&code);
	/* CPUs may have loaded some components before they find fault with MXCSR. */
	if (by_native.vector < 0 || by_emu.vector != by_native.vector)
		compare(&code);
}

static void test_save(void **state)
{
	native_start();
	for (unsigned i = 0; i < test_rounds(200); i++) {
		for (unsigned reg = 0; reg < 7; reg++)
			try_save(0xae, reg, i & 1);
		try_save(0xc7, 4, i & 1);
	}
	native_stop();
}

/* XSAVES and XRSTORS have no supervisor state to add: they are XSAVEC, and XRSTOR that takes the
 * compacted format alone. Programs may not run them (the uses below): no CPU can be asked. */
static void try_supervisor(const struct code *code, const struct code *like, bool faults)
{
	static uint8_t data[DATA_SIZE];

	run_emu(like);
	if (faults) {
		run_emu(code);
		assert_int_equal(by_emu.vector, X86_VEC_GP);
		assert_memory_equal(by_emu.xsave, start.xsave, XSAVE_HEADER);
		assert_memory_equal(by_emu.xsave + XSAVE_YMM, start.xsave + XSAVE_YMM, 256);
		return;
	}
	by_native = by_emu;
	memcpy(data, emu_data, DATA_SIZE);
	run_emu(code);
	assert_int_equal(by_emu.vector, by_native.vector);
	assert_memory_equal(by_emu.gpr, by_native.gpr, sizeof(by_emu.gpr));
	assert_memory_equal(by_emu.xsave, by_native.xsave, sizeof(by_emu.xsave));
	assert_memory_equal(emu_data, data, DATA_SIZE);
}

static void test_supervisor(void **state)
{
	static const struct code xsaves = { { 0x48, 0x0f, 0xc7, 0x6b, 0x20 }, 5, false };
	static const struct code xsavec = { { 0x48, 0x0f, 0xc7, 0x63, 0x20 }, 5, false };
	static const struct code xrstors = { { 0x48, 0x0f, 0xc7, 0x5b, 0x20 }, 5, false };
	static const struct code xrstor = { { 0x48, 0x0f, 0xae, 0x6b, 0x20 }, 5, false };

	for (unsigned i = 0; i < test_rounds(500); i++) {
		random_start();
		random_init();
		start.gpr[X86_RAX] = random_bits() & XSTATE_ALL;
		start.gpr[X86_RDX] = 0;
		offset = 64 * below(100) + 32 + (below(8) ? 0 : UINT64_C(8) << below(3));
		random_image(start_data + offset + 32);
		try_supervisor(&xsaves, &xsavec, false);
		try_supervisor(&xrstors, &xrstor,
		               !(start_data[offset + 32 + XSAVE_HEADER + 15] & 0x80));
	}
}

/* --- Who may --- */

enum use { USE_X87, USE_FWAIT, USE_MMX, USE_SSE, USE_AVX, USE_FXSAVE, USE_XSAVE, USES };

static const struct code uses[USES] = {
	{ { 0xd9, 0xe8 }, 2, false },             /* FLD1 */
	{ { 0x9b }, 1, false },                   /* FWAIT */
	{ { 0x0f, 0xef, 0xc0 }, 3, false },       /* PXOR MM0, MM0 */
	{ { 0x0f, 0x57, 0xc0 }, 3, false },       /* XORPS XMM0, XMM0 */
	{ { 0xc5, 0xf8, 0x57, 0xc0 }, 4, false }, /* VXORPS XMM0, XMM0, XMM0 */
	{ { 0x0f, 0xae, 0x03 }, 3, false },       /* FXSAVE [RBX] */
	{ { 0x0f, 0xae, 0x23 }, 3, false },       /* XSAVE [RBX] */
};

/* What the use raises (SDM Vol. 3A 2.5, 13.1, table 2-2; Vol. 1 13.5, 14.3); -1: nothing. */
static int expected(enum use use, uint64_t cr0, uint64_t cr4, uint64_t xcr0, bool pending)
{
	bool em = cr0 & X86_CR0_EM, ts = cr0 & X86_CR0_TS;
	bool waits = use == USE_X87 || use == USE_FWAIT || use == USE_MMX;

	switch (use) {
	case USE_X87:
		if (em || ts)
			return X86_VEC_NM;
		break;
	case USE_FWAIT:
		if (ts && cr0 & X86_CR0_MP)
			return X86_VEC_NM;
		break;
	case USE_SSE:
		if (em || !(cr4 & X86_CR4_OSFXSR))
			return X86_VEC_UD;
		break;
	case USE_AVX:
		if (!(cr4 & X86_CR4_OSXSAVE) || (xcr0 & 6) != 6)
			return X86_VEC_UD;
		break;
	case USE_XSAVE:
		if (!(cr4 & X86_CR4_OSXSAVE))
			return X86_VEC_UD;
		break;
	case USE_MMX:
	case USE_FXSAVE:
	case USES:
	default:
		if (em)
			return X86_VEC_UD;
		break;
	}
	if (ts && use != USE_FWAIT)
		return X86_VEC_NM;
	return waits && pending ? X86_VEC_MF : -1;
}

static void try_use(enum use use, uint64_t cr0, uint64_t cr4, uint64_t xcr0, bool pending)
{
	struct x86_state *s = rig.s;
	static const uint8_t hlt = 0xf4;
	int got;

	emu_rig_reset(&rig, 0);
	s->idtr = (struct x86_dtable){ RIG_IDT, 0xfff };
	s->cr0 = (s->cr0 & ~(X86_CR0_EM | X86_CR0_TS | X86_CR0_MP)) | cr0;
	s->cr4 = (s->cr4 & ~(X86_CR4_OSFXSR | X86_CR4_OSXSAVE)) | cr4;
	s->xcr0 = xcr0;
	s->gpr[DATA_REG] = RIG_DATA;
	s->xsave[XSAVE_FCW] = pending ? 0x7e : 0x7f;
	s->xsave[XSAVE_FSW] = pending ? 0x81 : 0;
	vec_put64(s->xsave + XSAVE_HEADER, XSTATE_ALL);
	emu_rig_poke(&rig, RIG_CODE, uses[use].bytes, uses[use].length);
	emu_rig_poke(&rig, RIG_CODE + uses[use].length, &hlt, 1);
	assert_int_equal(emu_rig_run(&rig), HC_EXIT_HALT);
	got = rig.exit.pc < HANDLERS ? -1 : (int)(rig.exit.pc - HANDLERS) / 16;
	if (got != expected(use, cr0, cr4, xcr0, pending))
		fail_msg("use %d, cr0 %llx, cr4 %llx, xcr0 %llx, pending %d: %d, not %d", use,
		         (unsigned long long)cr0, (unsigned long long)cr4, (unsigned long long)xcr0,
		         pending, got, expected(use, cr0, cr4, xcr0, pending));
}

static void test_who_may(void **state)
{
	for (unsigned i = 0; i < 128; i++)
		for (unsigned use = 0; use < USES; use++)
			try_use((enum use)use,
			        (i & 1 ? X86_CR0_EM : 0) | (i & 2 ? X86_CR0_TS : 0) |
			                (i & 4 ? X86_CR0_MP : 0),
			        (i & 8 ? X86_CR4_OSFXSR : 0) | (i & 16 ? X86_CR4_OSXSAVE : 0),
			        i & 32 ? 7u : 3u, i & 64);
}

/* --- The table and the decoder --- */

/* What the decoder knows and the guest is not offered. */
static bool is_left_out(const struct x86_insn *in)
{
	unsigned op = in->opcode;

	if (!(in->prefixes & X86_PFX_VEX)) /* SSE4A */
		return in->map == 1 && (op == 0x78 || op == 0x79);
	if (in->map == 1) /* the AVX-512 mask instructions */
		return (op >= 0x41 && op <= 0x4b) || (op >= 0x90 && op <= 0x99);
	/* the same; FMA4 and VPERMIL2 */
	return in->map == 3 &&
	       ((op >= 0x30 && op <= 0x33) || op == 0x48 || op == 0x49 ||
	        (op >= 0x5c && op <= 0x5f) || (op >= 0x68 && op <= 0x6f) || op >= 0x78);
}

static void check_known(const struct form *f)
{
	struct code code;
	struct x86_insn in;

	encode(&code, f);
	if (!decode(&code, &in) || in.op != X86_OP_SIMD || is_left_out(&in))
		return;
	if (!emu_vec_row(f->map, f->pp, f->opcode) && !emu_vec_function(&in))
		fail_msg("%s: neither a row nor a function nor left out",
		         hex(code.bytes, code.length));
}

static void test_table_is_complete(void **state)
{
	for (unsigned i = 0; i < 3 * 4 * 256 * 4; i++) {
		struct form f = { .map = 1 + i / 4096,
			          .pp = i / 1024 % 4,
			          .opcode = i / 4 % 256,
			          .vex = i & 1,
			          .mem = i & 2,
			          .reg = 2 };

		check_known(&f);
		f.reg = 6;
		check_known(&f);
	}
}

/* --- No room for stubs --- */

static void try_once(unsigned opcode, unsigned pp, bool mem)
{
	const struct vec_row *row = emu_vec_row(1, pp, opcode);
	struct emu_cpu *c = rig.vcpu->backend_data;
	struct vec_key key = { .map = 1,
		               .pp = (uint8_t)pp,
		               .opcode = (uint8_t)opcode,
		               .modrm = mem ? 0 : 0xc0,
		               .reg = 1,
		               .rm = 2 };
	struct code code = { .length = 0 };
	struct form f = { .map = 1, .pp = pp, .opcode = opcode, .mem = mem, .reg = 1, .rm = 2 };

	random_start();
	vec_put32(start.xsave + XSAVE_MXCSR, MXCSR_INIT);
	offset = 0;
	encode(&code, &f);
	code.length--;
	run_native(&code);
	memcpy(rig.s->xsave, start.xsave, sizeof(start.xsave));
	memcpy(c->operand, start_data + 0x20, 16);
	emu_vector_enter(c);
	emu_stub_once(c, &key, row);
	emu_vector_leave(c);
	assert_false(c->stub_locked);
	memcpy(by_emu.xsave, rig.s->xsave, sizeof(by_emu.xsave));
	same(&code, "xmm", by_emu.xsave + XSAVE_XMM, by_native.xsave + XSAVE_XMM,
	     start.xsave + XSAVE_XMM, 256, 16);
	assert_int_equal(vec_u32(by_emu.xsave + XSAVE_MXCSR),
	                 vec_u32(by_native.xsave + XSAVE_MXCSR));
}

static void test_stub_used_once(void **state)
{
	native_start();
	for (unsigned i = 0; i < 64; i++) {
		try_once(0x58 + i % 2, i / 2 % 4, i & 8); /* ADD, MUL */
		try_once(0xfe, 1, i & 1);                 /* PADDD */
	}
	native_stop();
}

/* --- Faults on the way --- */

/* The operand's second page is not there: the fault is that page's, and nothing has changed. */
static void try_page_fault(const struct code *code, bool write)
{
	const uint64_t entry = RIG_TABLES + 0x2000; /* of the first 2 MiB pages */
	struct x86_state *s = rig.s;
	struct native before;

	random_start();
	vec_put32(start.xsave + XSAVE_MXCSR, MXCSR_INIT);
	emu_rig_reset(&rig, 0);
	s->cr4 |= X86_CR4_OSXSAVE;
	s->xcr0 = XSTATE_ALL;
	s->idtr = (struct x86_dtable){ RIG_IDT, 0xfff };
	start.gpr[DATA_REG] = start.gpr[X86_RDI] = 4 * HC_MIB - 0x20 - 8;
	memcpy(s->gpr, start.gpr, sizeof(s->gpr));
	memcpy(s->xsave, start.xsave, sizeof(s->xsave));
	before = start;
	emu_rig_put(&rig, entry + 16, 0, 8);
	emu_rig_poke(&rig, RIG_CODE, code->bytes, code->length);
	assert_int_equal(emu_rig_run(&rig), HC_EXIT_HALT);
	assert_int_equal(rig.exit.pc, HANDLERS + 16 * X86_VEC_PF);
	assert_int_equal(s->cr2, 4 * HC_MIB);
	assert_int_equal(emu_rig_get(&rig, s->gpr[X86_RSP], 8), write ? X86_PF_W : 0u);
	before.gpr[X86_RSP] = s->gpr[X86_RSP];
	assert_memory_equal(s->gpr, before.gpr, sizeof(before.gpr));
	assert_memory_equal(s->xsave + XSAVE_ST, before.xsave + XSAVE_ST, XSAVE_LEGACY - XSAVE_ST);
	assert_memory_equal(s->xsave + XSAVE_YMM, before.xsave + XSAVE_YMM, 256);
	assert_memory_equal(s->xsave, before.xsave, 6);
}

static void test_page_faults(void **state)
{
	static const struct {
		struct code code;
		bool write;
	} cases[] = {
		{ { { 0x0f, 0x10, 0x4b, 0x20 }, 4, false }, false },       /* MOVUPS load */
		{ { { 0x0f, 0x11, 0x4b, 0x20 }, 4, false }, true },        /* MOVUPS store */
		{ { { 0xc5, 0xfc, 0x10, 0x4b, 0x20 }, 5, false }, false }, /* VMOVUPS load */
		{ { { 0xc5, 0xfc, 0x58, 0x4b, 0x20 }, 5, false }, false }, /* VADDPS */
		{ { { 0xc5, 0xfc, 0x11, 0x4b, 0x20 }, 5, false }, true },
		{ { { 0xdb, 0x6b, 0x20 }, 3, false }, false },                     /* FLD m80 */
		{ { { 0xdb, 0x7b, 0x20 }, 3, false }, true },                      /* FSTP m80 */
		{ { { 0xdd, 0x63, 0x20 }, 3, false }, false },                     /* FRSTOR */
		{ { { 0xdd, 0x73, 0x20 }, 3, false }, true },                      /* FNSAVE */
		{ { { 0xc4, 0xe3, 0x7d, 0x1d, 0x4b, 0x20, 0 }, 7, false }, true }, /* VCVTPS2PH */
	};
	uint64_t old = emu_rig_get(&rig, RIG_TABLES + 0x2010, 8);

	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++)
		try_page_fault(&cases[i].code, cases[i].write);
	emu_rig_put(&rig, RIG_TABLES + 0x2010, old, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),           cmocka_unit_test(test_rows_in_32_bits),
		cmocka_unit_test(test_masked),         cmocka_unit_test(test_x87),
		cmocka_unit_test(test_save),           cmocka_unit_test(test_supervisor),
		cmocka_unit_test(test_who_may),        cmocka_unit_test(test_table_is_complete),
		cmocka_unit_test(test_stub_used_once), cmocka_unit_test(test_page_faults),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
