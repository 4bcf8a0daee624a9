/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder against Capstone: every opcode of the four maps in every mode, under the prefixes
 * that matter, with every ModRM byte and random SIB bytes, displacements and immediates. Compared
 * are whether the encoding is defined, its length, its memory and register operands with their
 * sizes, immediates and branch targets; then VEX and EVEX.
 *
 * HC_TEST_SEED=n: other random bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "emu/x86_64/alu.h"
#include "emu/x86_64/decode.h"
#include "tests/test_decode_oracle.h"
#include <hypercore/errno.h>

static uint64_t seed;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static int setup(void **state)
{
	const char *s = getenv("HC_TEST_SEED");

	seed = UINT64_C(0x9e3779b97f4a7c15) ^ (s ? strtoull(s, NULL, 0) : 0);
	return 0;
}

static const enum x86_mode modes[3] = { X86_MODE_16, X86_MODE_32, X86_MODE_64 };

/* How Capstone 4.0.2 differs, and who is right. */
enum difference {
	OURS_ONLY = 1,   /* it does not know the encoding */
	THEIRS_ONLY = 2, /* it decodes what is not defined, or not on CPUs we run on */
	LENGTH = 4,
	SIZE = 8, /* of the memory operand */
	REGISTER = 16
};

#define M16     1u
#define M32     2u
#define M64     4u
#define ANYMODE 7u

struct known {
	uint8_t modes;
	uint8_t map;
	uint8_t first, last; /* opcodes */
	uint8_t what;        /* enum difference */
	const char *why;
};

/* clang-format off */
static const struct known known[] = {
	{ ANYMODE, 1, 0x0e, 0x0f, THEIRS_ONLY, "3DNow! is gone (APM Vol. 3 appendix A.1.2)" },
	{ ANYMODE, 0, 0x8e, 0x8e, THEIRS_ONLY, "MOV CS is #UD (SDM Vol. 2B, MOV)" },
	{ M64, 0, 0x8c, 0x8e, OURS_ONLY, "REX.R is ignored for segment registers" },
	{ ANYMODE, 0, 0x8f, 0x8f, THEIRS_ONLY, "XOP is gone" },
	{ M64, 0, 0x8f, 0x8f, SIZE, "REX.W overrides 66 (SDM Vol. 2A 2.2.1.2)" },
	{ M16 | M32, 1, 0x01, 0x01, THEIRS_ONLY, "SWAPGS exists in 64-bit mode (SDM Vol. 2B)" },
	{ ANYMODE, 1, 0xc7, 0xc7, REGISTER, "RDPID, under F3, is younger" },
	{ ANYMODE, 1, 0xa6, 0xa7, THEIRS_ONLY, "VIA's PadLock" },
	{ ANYMODE, 1, 0x01, 0x01, OURS_ONLY, "CET, PCONFIG, ENCLV, RDPKRU, MONITORX, ... are younger" },
	{ ANYMODE, 1, 0x0d, 0x0d, OURS_ONLY, "/2 to /7 prefetch too (APM Vol. 3, PREFETCH)" },
	{ ANYMODE, 1, 0x18, 0x1f, OURS_ONLY | SIZE, "reserved NOPs have all forms (SDM table A-3)" },
	{ ANYMODE, 1, 0xae, 0xae, OURS_ONLY | SIZE, "LFENCE is E8 to EF; CLWB and CET are younger" },
	{ ANYMODE, 1, 0xb9, 0xb9, LENGTH, "UD1 has a ModRM byte (SDM Vol. 2B, UD)" },
	{ ANYMODE, 1, 0xff, 0xff, LENGTH | OURS_ONLY, "UD0 has a ModRM byte (SDM Vol. 2B, UD)" },
	{ ANYMODE, 2, 0xcf, 0xcf, OURS_ONLY, "GFNI is younger" },
	{ ANYMODE, 3, 0xce, 0xcf, OURS_ONLY, "GFNI is younger" },
	{ ANYMODE, 2, 0xf5, 0xf9, OURS_ONLY, "CET, MOVDIRI, MOVDIR64B, ENQCMD are younger" },
	{ M64, 0, 0xe8, 0xe9, LENGTH, "66 is ignored with near branches, as on Intel CPUs" },
	{ M64, 1, 0x80, 0x8f, LENGTH, "66 is ignored with near branches, as on Intel CPUs" },
	{ M64, 0, 0xc2, 0xc2, LENGTH, "RET's immediate has 16 bits whatever the prefixes" },
	{ ANYMODE, 1, 0x78, 0x79, LENGTH, "66 selects EXTRQ, not VMREAD (APM Vol. 4)" },
	{ M16, 2, 0xf0, 0xf1, SIZE | REGISTER, "F2 selects CRC32, not MOVBE" },
	{ M64, 0, 0x63, 0x63, SIZE | REGISTER, "sizes are r16, r/m16 with 66, r32, r/m32 with none" },
	{ ANYMODE, 0, 0xff, 0xff, SIZE, "far pointers are 2 bytes longer than the operand size" },
	{ ANYMODE, 1, 0x03, 0x03, SIZE, "LSL reads 16 bits (APM Vol. 3, LSL)" },
	{ ANYMODE, 1, 0xb2, 0xb5, SIZE, "far pointers are 2 bytes longer than the operand size" },
};
/* clang-format on */

static bool is_known(unsigned mode_index, unsigned map, unsigned opcode, enum difference what)
{
	for (size_t i = 0; i < HC_ARRAY_SIZE(known); i++) {
		const struct known *k = &known[i];

		if ((k->modes >> mode_index & 1) && k->map == map && opcode >= k->first &&
		    opcode <= k->last && (k->what & what))
			return true;
	}
	return false;
}

struct encoding {
	uint8_t bytes[32];
	unsigned n_prefixes; /* legacy prefixes and REX */
	unsigned map;
	unsigned opcode;
};

static unsigned failures;
static unsigned last_reported; /* one report for each opcode */

static void report(const struct encoding *e, enum x86_mode mode, int r, const struct x86_insn *in,
                   const struct oracle_insn *oi, const char *what)
{
	unsigned id = ((unsigned)mode << 16 | e->map << 8 | e->opcode) + 1;

	if (failures++ >= 100000 || id == last_reported)
		return;
	last_reported = id;
	print_error("%u-bit, %s:", (unsigned)mode, what);
	for (unsigned i = 0; i < X86_INSN_MAX; i++)
		print_error(" %02x", e->bytes[i]);
	print_error("\n  ours %d %s, mem %d base %d index %d<<%d disp %#x width %u/%u imm %#lx\n",
	            r, r > 0 ? x86_op_name(in->op) : "", in->is_mem, in->base, in->index, in->scale,
	            (unsigned)in->disp, in->reg_width, in->rm_width, in->imm);
	if (oi)
		print_error("  Capstone %u: %s, base %d index %d*%d disp %#lx width %u/%u\n",
		            oi->length, oi->text, oi->base, oi->index, oi->scale,
		            (uint64_t)oi->disp, oi->reg_size, oi->mem_size);
}

/* Capstone ignores 66, F2 and F3 where they make an encoding undefined (SDM Vol. 2A 3.1.1.1, NP;
 * A.4.2). So it must be these prefixes alone that we object to. */
static bool only_prefix_undefined(const struct encoding *e, enum x86_mode mode)
{
	uint8_t bare[32];
	struct x86_insn in;
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(e->bytes); i++) {
		uint8_t b = e->bytes[i];

		if (i >= e->n_prefixes || (b != 0x66 && b != 0xf2 && b != 0xf3))
			bare[n++] = b;
	}
	return n < sizeof(e->bytes) && x86_decode(&in, bare, X86_INSN_MAX, mode) > 0;
}

static int reg_or_none(uint8_t reg)
{
	return reg == X86_REG_NONE ? ORACLE_NO_REG : reg;
}

static bool same_memory(const struct x86_insn *in, const struct oracle_insn *oi)
{
	if (!oi->has_mem || oi->base != reg_or_none(in->base) ||
	    oi->index != reg_or_none(in->index) || oi->disp != in->disp)
		return false;
	if (in->index != X86_REG_NONE && oi->scale != 1 << in->scale)
		return false;
	return !(in->prefixes & X86_PFX_SEG) || oi->seg == ORACLE_NO_REG || oi->seg == in->seg;
}

/* The general register that the manual's syntax names first. */
static bool same_register(const struct x86_insn *in, const struct oracle_insn *oi)
{
	bool rm_first = in->form < X86_FORM_RM;
	unsigned reg = in->reg, width = in->reg_width;

	if (in->form < X86_FORM_M) /* O and OI */
		return (in->form != X86_FORM_O && in->form != X86_FORM_OI) || !width ||
		       in->op == X86_OP_XCHG || (oi->reg == (int)reg && oi->reg_size == width);
	if (rm_first && !in->is_mem) {
		reg = in->rm;
		width = in->rm_width;
	} else if (rm_first && in->form < X86_FORM_MR) {
		return true; /* M, MI, M1, MC with memory: no register, or CL */
	}
	return !width || oi->reg == ORACLE_NO_REG || (oi->reg == (int)reg && oi->reg_size == width);
}

/* Control, debug and segment registers are no general ones, LAR's and LEA's sizes are notation. */
static bool registers_comparable(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_MOV_FROM_CR:
	case X86_OP_MOV_TO_CR:
	case X86_OP_MOV_FROM_DR:
	case X86_OP_MOV_TO_DR:
	case X86_OP_MOV_FROM_SREG:
	case X86_OP_MOV_TO_SREG:
	case X86_OP_NOP: return false;
	default: return true;
	}
}

static bool same_immediate(const struct x86_insn *in, const struct oracle_insn *oi)
{
	unsigned width = in->rm_width ? in->rm_width : in->reg_width;
	uint64_t imm = in->imm;

	if (!oi->has_imm || in->form == X86_FORM_M1)
		return true;
	if (in->op == X86_OP_ENTER)
		return (uint8_t)in->imm2 == (uint8_t)oi->imm; /* the operand that comes last */
	if (in->op == X86_OP_XBEGIN ||
	    (in->form == X86_FORM_D && in->op != X86_OP_CALL_FAR && in->op != X86_OP_JMP_FAR)) {
		imm += in->length; /* the oracle gives the target of a branch at 0 */
		width = 2;         /* it wraps all targets of 16-bit code there */
	}
	if (in->op == X86_OP_PUSH && width == 8)
		width = 4; /* it does not sign-extend this one */
	if (!width || width > 8)
		width = 1;
	return !((imm ^ (uint64_t)oi->imm) & alu_mask(width));
}

static const char *operands_differ(const struct x86_insn *in, const struct oracle_insn *oi,
                                   unsigned mode_index, const struct encoding *e)
{
	bool moffs = in->form == X86_FORM_FD || in->form == X86_FORM_TD;

	if (in->op == X86_OP_SIMD || in->op == X86_OP_X87)
		return in->is_mem && !same_memory(in, oi) ? "memory operand" : NULL;
	if (in->is_mem && !same_memory(in, oi))
		return "memory operand";
	if (in->is_mem && in->rm_width && in->rm_width != oi->mem_size &&
	    !is_known(mode_index, e->map, e->opcode, SIZE))
		return "memory operand's size";
	if (moffs && (uint64_t)oi->disp != in->imm)
		return "moffs";
	if (registers_comparable(in) && !same_register(in, oi) &&
	    !is_known(mode_index, e->map, e->opcode, REGISTER))
		return "register operand";
	if (in->form != X86_FORM_FD && in->form != X86_FORM_TD && !same_immediate(in, oi))
		return "immediate";
	return NULL;
}

static void check(const struct encoding *e, unsigned mode_index, void *oracle)
{
	enum x86_mode mode = modes[mode_index];
	struct oracle_insn oi;
	struct x86_insn in;
	bool theirs = oracle_decode(oracle, e->bytes, X86_INSN_MAX, 0, &oi);
	int ours = x86_decode(&in, e->bytes, X86_INSN_MAX, mode);
	const char *what;

	if (!theirs && ours > 0) {
		/* In 16-bit mode, or with 66 and 67, it does not see that a 66, F2 or F3 is
		 * a mandatory prefix. */
		unsigned both = X86_PFX_66 | X86_PFX_67;
		bool lost = e->map && e->n_prefixes &&
		            (mode == X86_MODE_16 || (in.prefixes & both) == both);

		if (!lost && !is_known(mode_index, e->map, e->opcode, OURS_ONLY))
			report(e, mode, ours, &in, NULL, "only we decode");
	} else if (theirs && ours < 0) {
		if (!only_prefix_undefined(e, mode) &&
		    !is_known(mode_index, e->map, e->opcode, THEIRS_ONLY))
			report(e, mode, ours, &in, &oi, "only Capstone decodes");
	} else if (theirs && (unsigned)ours != oi.length) {
		if (!is_known(mode_index, e->map, e->opcode, LENGTH))
			report(e, mode, ours, &in, &oi, "length");
	} else if (theirs) {
		what = operands_differ(&in, &oi, mode_index, e);
		if (what)
			report(e, mode, ours, &in, &oi, what);
	}
}

static const char *const prefix_sets[] = {
	"",
	"\x66",
	"\xf3",
	"\xf2",
	"\x67",
	"\x2e",
	"\x65",
	"\x66\x67",
	/* 64-bit mode only */
	"\x48",
	"\x4d",
	"\x43",
	"\x66\x48",
	"\xf3\x4c",
	"\x67\x41",
	"\x64\x4f",
};
#define PREFIX_SETS_32 8

static bool is_prefix_or_escape(enum x86_mode mode, unsigned map, unsigned opcode)
{
	static const uint8_t bytes[] = { 0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x62, 0x64, 0x65,
		                         0x66, 0x67, 0xc4, 0xc5, 0xf0, 0xf2, 0xf3 };

	if (map == 1)
		return opcode == 0x38 || opcode == 0x3a;
	if (map == 0 && mode == X86_MODE_64 && opcode >= 0x40 && opcode < 0x50)
		return true;
	return map == 0 && memchr(bytes, (int)opcode, sizeof(bytes));
}

static void encode(struct encoding *e, const char *prefixes, unsigned map, unsigned opcode)
{
	unsigned n = (unsigned)strlen(prefixes);

	for (unsigned i = 0; i < sizeof(e->bytes); i++)
		e->bytes[i] = (uint8_t)rnd();
	memcpy(e->bytes, prefixes, n);
	e->n_prefixes = n;
	e->map = map;
	e->opcode = opcode;
	if (map)
		e->bytes[n++] = 0x0f;
	if (map >= 2)
		e->bytes[n++] = map == 2 ? 0x38 : 0x3a;
	e->bytes[n++] = (uint8_t)opcode;
}

/* All ModRM bytes without prefix, every eighth with each set of prefixes. */
static void check_opcode(unsigned mode_index, unsigned map, unsigned opcode, void *oracle)
{
	size_t sets =
		modes[mode_index] == X86_MODE_64 ? HC_ARRAY_SIZE(prefix_sets) : PREFIX_SETS_32;

	for (size_t p = 0; p < sets; p++) {
		unsigned step = p ? 7 : 1;
		unsigned at = (unsigned)strlen(prefix_sets[p]) + (map ? map > 1 ? 3 : 2 : 1);

		for (unsigned modrm = p ? (unsigned)rnd() % step : 0; modrm < 256; modrm += step) {
			struct encoding e;

			encode(&e, prefix_sets[p], map, opcode);
			e.bytes[at] = (uint8_t)modrm;
			check(&e, mode_index, oracle);
		}
	}
}

static void test_maps(void **state)
{
	failures = 0;
	for (unsigned m = 0; m < 3; m++) {
		void *oracle = oracle_open(modes[m]);

		for (unsigned i = 0; i < 4 * 256; i++)
			if (!is_prefix_or_escape(modes[m], i / 256, i % 256))
				check_opcode(m, i / 256, i % 256, oracle);
		oracle_close(oracle);
	}
	assert_int_equal(failures, 0);
}

/*
 * VEX: what Capstone decodes we decode, with the same length and memory operand. It knows little of
 * AVX-512's mask instructions and checks VEX.L and VEX.W, which we leave to the semantics.
 */
static void check_vex(const struct encoding *e, unsigned mode_index, void *oracle)
{
	struct oracle_insn oi;
	struct x86_insn in;
	int ours;

	if (!oracle_decode(oracle, e->bytes, X86_INSN_MAX, 0, &oi))
		return;
	ours = x86_decode(&in, e->bytes, X86_INSN_MAX, modes[mode_index]);
	/* It takes the rounding mode of register forms, which is in EVEX, for an immediate. */
	if (strstr(oi.text, "-sae}") && !in.is_mem && ours + 1 == (int)oi.length)
		return;
	if (ours != (int)oi.length)
		report(e, modes[mode_index], ours, &in, &oi, "VEX length");
	else if (in.is_mem && oi.has_mem && !(in.prefixes & X86_PFX_EVEX) &&
	         (oi.base != reg_or_none(in.base) || oi.disp != in.disp))
		report(e, modes[mode_index], ours, &in, &oi, "VEX memory operand");
}

static void test_vex(void **state)
{
	failures = 0;
	for (unsigned m = 0; m < 3; m++) {
		void *oracle = oracle_open(modes[m]);

		for (unsigned i = 0; i < 300000; i++) {
			static const uint8_t first[3] = { 0xc4, 0xc5, 0x62 };
			struct encoding e;

			encode(&e, "", 0, first[i % 3]);
			if (m < 2)
				e.bytes[1] |= 0xc0;
			if (i % 3 == 0)
				e.bytes[1] = (uint8_t)((e.bytes[1] & 0xe0) | (i / 3 % 3 + 1));
			e.opcode = e.bytes[i % 3 == 0 ? 3 : i % 3 == 1 ? 2 : 4];
			e.map = 8 + i % 3;
			check_vex(&e, m, oracle);
		}
		oracle_close(oracle);
	}
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_maps, setup),
		cmocka_unit_test_setup(test_vex, setup),
	};

	/* Which opcodes Capstone gets wrong is its version's. */
	if (oracle_version() != 4) {
		printf("SKIP: Capstone %u: its known differences are those of 4\n",
		       oracle_version());
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
