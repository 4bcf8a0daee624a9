/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Unicorn 2.0.1 lacks, and what it does differently from CPUs. The engine agrees with the host
 * CPU in all of it (known.c has what is open). Each row names an instruction that shows it.
 */
#include <string.h>

#include "tests/oracle/unicorn.h"

/* --- Instructions --- */

/* Those that user mode may not execute, and Unicorn's CPL is 0; and those it does not have. */
static const uint16_t missing[] = {
	X86_OP_LGDT,   X86_OP_LIDT,      X86_OP_LLDT,        X86_OP_LTR,       X86_OP_LMSW,
	X86_OP_CLTS,   X86_OP_INVLPG,    X86_OP_INVD,        X86_OP_WBINVD,    X86_OP_HLT,
	X86_OP_IN,     X86_OP_OUT,       X86_OP_INS,         X86_OP_OUTS,      X86_OP_CLI,
	X86_OP_STI,    X86_OP_MOV_TO_CR, X86_OP_MOV_FROM_CR, X86_OP_MOV_TO_DR, X86_OP_MOV_FROM_DR,
	X86_OP_RDMSR,  X86_OP_WRMSR,     X86_OP_STAC,        X86_OP_CLAC,      X86_OP_MOVBE,
	X86_OP_POPCNT, X86_OP_TZCNT,     X86_OP_LZCNT,       X86_OP_ADCX,      X86_OP_ADOX,
	X86_OP_FXSAVE, X86_OP_FXRSTOR,
};

/* SIMD opcodes, without VEX, that it lacks or that end it. */
static const struct {
	uint8_t map, first, last;
	const char *what;
} missing_simd[] = {
	{ 1, 0x52, 0x53, "RSQRT and RCP, whose approximations are its own" },
	{ 2, 0xc8, 0xcd, "SHA" },
	{ 3, 0xcc, 0xcc, "SHA" },
	{ 3, 0x40, 0x41, "DPPS, DPPD, whose order of additions is its own" },
	{ 3, 0x44, 0x44, "PCLMULQDQ" },
	{ 3, 0x60, 0x62, "PCMPESTRx: some lengths end the process; PCMPISTRM: wrong masks" },
};

static bool is_missing_simd(const struct x86_insn *in)
{
	if (in->op != X86_OP_SIMD)
		return false;
	/* It decodes these by their 66. */
	if (in->prefixes & X86_PFX_66 && in->prefixes & (X86_PFX_F2 | X86_PFX_F3))
		return true;
	for (size_t i = 0; i < HC_ARRAY_SIZE(missing_simd); i++)
		if (in->map == missing_simd[i].map && in->opcode >= missing_simd[i].first &&
		    in->opcode <= missing_simd[i].last)
			return true;
	return false;
}

/* No VEX, and at CPL 0 no alignment checks. In 32-bit mode all its segments are flat and writable.
 */
bool unicorn_has(const struct oracle_case *c)
{
	const struct x86_insn *in = &c->insn;

	if (c->undefined || in->prefixes & X86_PFX_VEX || c->state.rflags & X86_FLAG_AC)
		return false;
	if (c->mode == X86_MODE_32 && (in->seg == X86_CS || in->seg >= X86_FS))
		return false;
	for (size_t i = 0; i < HC_ARRAY_SIZE(missing); i++)
		if (in->op == missing[i])
			return false;
	return !is_missing_simd(in);
}

/* --- Results --- */

enum condition {
	ALWAYS,
	WITH_66,     /* a 66 prefix in 64-bit mode */
	WITH_REX,    /* any REX prefix */
	WITH_REX_R,  /* REX.R */
	WITH_LOCK,   /* a LOCK prefix */
	AT_RIP,      /* RIP is the base */
	OF_REGISTER, /* r/m is a register */
	WITH_IMM,    /* RET's immediate */
	GROUP_1,     /* ModRM.reg is 1 */
	ASTRAY,      /* it ends where no code can be */
	RESERVED,    /* MXCSR has reserved bits afterwards */
	MISALIGNED,  /* an operand of 16 bytes */
	UNMASKED,    /* MXCSR does not mask all exceptions */
	FLUSHING,    /* MXCSR.FZ or DAZ */
	NANS,        /* floating-point arithmetic with a NaN among its operands */
	NOT_MMX,     /* x87's TOP is not 0, or a register is empty, and MMX is used */
	PREDICATE,   /* CMPPS and others: of the predicates that VEX added */
	UNCHOSEN,    /* MASKMOVDQU, MASKMOVQ */
	ONE_OPERAND, /* SSSE3's horizontal operations on one register */
	MMX_REX,     /* SSSE3's MMX forms with REX.R or REX.B */
	PENDING,     /* an x87 exception is pending or not masked */
	EMPTY,       /* an x87 register is empty */
	PUSHES,      /* an x87 instruction that may find the stack full */
	ROTATES,     /* FINCSTP, FDECSTP, FSQRT */
	ODD,         /* x87 operands that are no normal numbers, or their image is not */
	NARROW,      /* FCW.PC is less than 64 bits */
	FISTTP,      /* FISTTP */
	IMAGE,       /* x87's environment or state is the operand, or BCD */
	COMPARES,    /* FCOMI, FUCOMI */
	COMPUTES     /* x87's transcendental functions and FSCALE */
};

struct known {
	uint16_t op, last_op;
	enum condition condition;
	struct oracle_leeway leeway;
	const char *example;
};

#define ALL                                                                                        \
	{                                                                                          \
		.all = true                                                                        \
	}

#define FSW_FLAGS 0x82ff /* B, C1, ES, SF, the exceptions */

static const struct known known[] = {
	{ X86_OP_SIMD,
	  X86_OP_SIMD,
	  ALWAYS,
	  { .mxcsr = 0x3f, .exponents = true },
	  "0f 58 c1 addps: no flags; 0f fc c1 paddb mm0, mm1: bits 79:64 stay" },
	{ X86_OP_SIMD, X86_OP_SIMD, MISALIGNED, ALL, "66 0f 70 36 8a pshufd xmm6, [rsi]: no #GP" },
	{ X86_OP_SIMD, X86_OP_SIMD, UNMASKED, ALL, "0f 58 c1 addps: no exceptions" },
	{ X86_OP_SIMD, X86_OP_SIMD, FLUSHING, ALL, "0f 5f ce maxps: no FZ, no DAZ" },
	{ X86_OP_SIMD, X86_OP_SIMD, NANS, ALL, "0f 59 2e mulps: of two NaN, x87's choice" },
	{ X86_OP_SIMD, X86_OP_SIMD, NOT_MMX, ALL, "0f 38 05 e6 phsubw mm4, mm6: TOP stays" },
	{ X86_OP_SIMD, X86_OP_SIMD, PREDICATE, ALL, "66 0f c2 ee 42 cmppd: not masked to 3 bits" },
	{ X86_OP_SIMD, X86_OP_SIMD, UNCHOSEN, ALL, "0f f7 fe maskmovdqu: faults of chosen bytes" },
	{ X86_OP_SIMD, X86_OP_SIMD, ONE_OPERAND, ALL, "66 0f 38 06 c0: reads what it has written" },
	{ X86_OP_SIMD, X86_OP_SIMD, MMX_REX, ALL, "44 0f 38 0b 5e 17 pmulhrsw mm3: is not mm3" },
	{ X86_OP_SIMD, X86_OP_SIMD, PENDING, ALL, "0f fc c1 paddb mm0, mm1: no #MF" },
	{ X86_OP_X87,
	  X86_OP_X87,
	  ALWAYS,
	  { .fsw = FSW_FLAGS },
	  "d8 f2 fdiv st2: no exceptions' flags, no C1" },
	{ X86_OP_X87, X86_OP_X87, PENDING, ALL, "d8 f2 fdiv st2: no #MF" },
	{ X86_OP_X87, X86_OP_X87, EMPTY, ALL, "d8 f2 fdiv st2: no stack underflow" },
	{ X86_OP_X87, X86_OP_X87, PUSHES, ALL, "d9 c0 fld st0: no stack overflow" },
	{ X86_OP_X87, X86_OP_X87, ROTATES, { .fsw = 0xc7ff }, "d9 f6 fdecstp: clears the rest" },
	{ X86_OP_X87, X86_OP_X87, ODD, ALL, "dc d2 fcom st2: takes unnormals for numbers" },
	{ X86_OP_X87, X86_OP_X87, NARROW, ALL, "de fc fdivp: denormal results are 0 with PC" },
	{ X86_OP_X87, X86_OP_X87, FISTTP, ALL, "db 4b 74 fisttp dword: saturates" },
	{ X86_OP_X87, X86_OP_X87, IMAGE, ALL, "d9 76 32 fnstenv: other unused bits" },
	{ X86_OP_X87, X86_OP_X87, COMPARES, ALL, "df f5 fcomip: keeps OF, SF, AF" },
	{ X86_OP_X87, X86_OP_X87, COMPUTES, ALL, "d9 fe fsin: in double precision" },
	{ X86_OP_JMP, X86_OP_JMP, WITH_66, ALL, "66 eb 9e jmp: to a 16-bit offset, as on AMD's" },
	{ X86_OP_CALL, X86_OP_CALL, WITH_66, ALL, "66 e8 cf e6 03 41 call: the same" },
	{ X86_OP_JCC, X86_OP_JCC, WITH_66, ALL, "66 0f 86 6a 57 13 a3 jbe: the same" },
	{ X86_OP_LOOP, X86_OP_LOOPNE, WITH_66, ALL, "66 e2 7a loop: the same" },
	{ X86_OP_JCXZ, X86_OP_JCXZ, WITH_66, ALL, "66 e3 7a jrcxz: the same" },
	{ X86_OP_RET, X86_OP_RET, WITH_66, ALL, "66 c3 ret: the same" },
	{ X86_OP_JMP, X86_OP_JMP, ASTRAY, ALL, "ff e0 jmp rax: to what is not canonical" },
	{ X86_OP_CALL, X86_OP_CALL, ASTRAY, ALL, "ff d0 call rax: the same" },
	{ X86_OP_RET, X86_OP_RET, ASTRAY, ALL, "c3 ret: the same" },
	{ X86_OP_JCC, X86_OP_JCC, ASTRAY, ALL, "0f 86 6a 57 13 a3 jbe: the same" },
	{ X86_OP_SAHF, X86_OP_SAHF, WITH_REX, ALL, "4c 9e sahf: takes SPL for AH" },
	{ X86_OP_LAHF, X86_OP_LAHF, WITH_REX, ALL, "4d 9f lahf: takes SPL for AH" },
	{ X86_OP_CLFLUSH, X86_OP_CLFLUSH, ALWAYS, ALL, "0f ae 38 clflush [rax]: faults nowhere" },
	{ X86_OP_NOP, X86_OP_NOP, OF_REGISTER, ALL, "0f 18 db nop ebx: raises #UD" },
	{ X86_OP_ENTER, X86_OP_ENTER, ALWAYS, ALL, "c8 f2 b4 03 enter: does not try the new RSP" },
	{ X86_OP_PAUSE, X86_OP_PAUSE, WITH_REX, ALL, "f3 45 90 pause: is xchg eax, r8d" },
	{ X86_OP_LDMXCSR, X86_OP_LDMXCSR, RESERVED, ALL, "0f ae 10 ldmxcsr: takes any bits" },
	{ X86_OP_CMPXCHG,
	  X86_OP_CMPXCHG,
	  ALWAYS,
	  { .upper_halves = true },
	  "0f b1 dc cmpxchg esp, ebx: clears the upper half also of what it leaves" },
	{ X86_OP_RET, X86_OP_RET, WITH_IMM, ALL, "c2 46 de ret 0xde46: extends the sign" },
	{ X86_OP_MOVSXD, X86_OP_MOVSXD, WITH_66, ALL, "66 63 03 movsxd: reads 32 bits, not 16" },
	{ X86_OP_NEG, X86_OP_NEG, WITH_LOCK, ALL, "f0 4a f7 5d 8c lock neg: flags of the result" },
	{ X86_OP_FWAIT, X86_OP_FWAIT, PENDING, ALL, "9b wait: raises no #MF" },
	{ X86_OP_TEST, X86_OP_TEST, GROUP_1, ALL, "f6 c8 17 test al, 0x17: is undefined" },
	{ X86_OP_SHLD, X86_OP_SHRD, AT_RIP, ALL, "0f a4 05 ..: RIP before the immediate" },
	{ X86_OP_MOV, X86_OP_MOV, WITH_REX_R, ALL, "4f c7 c7 ..: REX.R extends the opcode" },
};

/* Loads; FPTAN, FXTRACT, FSINCOS. */
static bool pushes(const struct x86_insn *in)
{
	unsigned reg = in->modrm >> 3 & 7;

	if (in->is_mem)
		return (in->opcode & 1 && (reg == 0 || reg == 5)) ||
		       (in->opcode == 0xdf && reg == 4);
	return in->opcode == 0xd9 && (reg == 0 || reg == 5 || in->modrm == 0xf2 ||
	                              in->modrm == 0xf4 || in->modrm == 0xfb);
}

/* FLDENV, FNSTENV, FRSTOR, FNSAVE, FBSTP. */
static bool is_image(const struct x86_insn *in)
{
	unsigned reg = in->modrm >> 3 & 7;

	return in->is_mem && (((in->opcode & 0xfb) == 0xd9 && (reg == 4 || reg == 6)) ||
	                      (in->opcode == 0xdf && reg == 6));
}

static bool rotates(const struct x86_insn *in)
{
	return !in->is_mem && in->opcode == 0xd9 &&
	       (in->modrm == 0xf6 || in->modrm == 0xf7 || in->modrm == 0xfa);
}

static unsigned exponent_of(const struct oracle_case *c, unsigned st)
{
	const uint8_t *p = c->state.xsave + 32 + 16 * st;

	return (unsigned)(p[8] | p[9] << 8) & 0x7fff;
}

/* Neither a normal number nor zero: a NaN, infinity, denormal or unnormal. */
static bool is_odd(const struct oracle_case *c, unsigned st)
{
	const uint8_t *p = c->state.xsave + 32 + 16 * st;
	unsigned exponent = exponent_of(c, st);
	uint64_t significand;

	memcpy(&significand, p, 8);
	return exponent == 0x7fff || (!exponent && significand) ||
	       (exponent && !(significand >> 63));
}

/* FST and FSTP to 32 or 64 bits, of which the result is denormal. */
static bool is_tiny(const struct oracle_case *c)
{
	const struct x86_insn *in = &c->insn;

	if (!in->is_mem || (in->modrm >> 4 & 3) != 1)
		return false;
	return (in->opcode == 0xd9 && exponent_of(c, 0) < 0x3fff - 126) ||
	       (in->opcode == 0xdd && exponent_of(c, 0) < 0x3fff - 1022);
}

static bool is_comparison(const struct x86_insn *in)
{
	unsigned reg = in->modrm >> 3 & 7;

	return !in->is_mem && (in->opcode & 0xfb) == 0xdb && (reg == 5 || reg == 6);
}

/* F2XM1 to FYL2XP1, FSINCOS to FCOS. */
static bool computes(const struct x86_insn *in)
{
	return !in->is_mem && in->opcode == 0xd9 && in->modrm >= 0xf0 && in->modrm != 0xf6 &&
	       in->modrm != 0xf7 && in->modrm != 0xfa;
}

static bool is_arithmetic(const struct x86_insn *in)
{
	return in->map == 1 && ((in->opcode >= 0x58 && in->opcode <= 0x5f) || in->opcode == 0x51 ||
	                        in->opcode == 0x7c || in->opcode == 0x7d || in->opcode == 0xd0);
}

/* Among n bytes, as numbers of either precision. */
static bool has_nan(const uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < n; i += 4) {
		uint32_t single, high;

		memcpy(&single, p + i, 4);
		memcpy(&high, p + (i | 4), 4);
		if ((single & 0x7fffffff) > 0x7f800000 || (high & 0x7fffffff) >= 0x7ff00000)
			return true;
	}
	return false;
}

static bool has_nans(const struct oracle_case *c)
{
	const struct x86_insn *in = &c->insn;
	const uint8_t *registers = c->state.xsave + 160;
	uint64_t at = oracle_linear(c) - ORACLE_DATA;

	if (has_nan(registers + 16 * in->reg, 16))
		return true;
	if (!in->is_mem)
		return has_nan(registers + 16 * in->rm, 16);
	return at > ORACLE_DATA_SIZE - 16 || has_nan(c->memory + at, 16);
}

static bool uses_mmx(const struct x86_insn *in)
{
	return !(in->prefixes & (X86_PFX_66 | X86_PFX_F2 | X86_PFX_F3)) || in->opcode == 0x2a;
}

static bool holds_vector(enum condition condition, const struct oracle_case *c)
{
	const struct x86_insn *in = &c->insn;
	const uint8_t *xsave = c->state.xsave;

	switch (condition) {
	case MISALIGNED: return in->is_mem && oracle_linear(c) & 15;
	case UNMASKED: return ~(xsave[24] | xsave[25] << 8) & 0x1f80;
	case FLUSHING: return (xsave[24] & 0x40) || (xsave[25] & 0x80);
	case NANS: return is_arithmetic(in) && has_nans(c);
	case NOT_MMX: return uses_mmx(in) && (xsave[3] & 0x38 || xsave[4] != 0xff);
	case PREDICATE: return in->map == 1 && in->opcode == 0xc2 && in->imm > 7;
	case UNCHOSEN: return in->map == 1 && in->opcode == 0xf7;
	case ONE_OPERAND:
		return in->map == 2 && in->opcode <= 7 && !in->is_mem && in->reg == in->rm;
	case MMX_REX: return in->map > 1 && !(in->prefixes & X86_PFX_66) && in->rex & 5;
	case ODD: return is_odd(c, 0) || is_odd(c, in->is_mem ? 0 : in->modrm & 7) || is_tiny(c);
	case NARROW: return (xsave[1] & 3) != 3;
	case FISTTP: return in->is_mem && in->opcode & 1 && (in->modrm >> 3 & 7) == 1;
	case PENDING: return (xsave[2] | 0x3f) & ~xsave[0] & 0x3f;
	case EMPTY: return xsave[4] != 0xff;
	case PUSHES: return pushes(in);
	case ROTATES: return rotates(in);
	case IMAGE: return is_image(in);
	case COMPARES: return is_comparison(in);
	case COMPUTES: return computes(in);
	default: return true;
	}
}

static bool holds(enum condition condition, const struct oracle_case *c,
                  const struct oracle_outcome *judge)
{
	const struct x86_insn *in = &c->insn;

	switch (condition) {
	case WITH_66: return c->mode == X86_MODE_64 && in->prefixes & X86_PFX_66;
	case WITH_REX: return in->rex;
	case WITH_REX_R: return in->rex & 4;
	case WITH_LOCK: return in->prefixes & X86_PFX_LOCK;
	case AT_RIP: return in->base == X86_REG_RIP;
	case OF_REGISTER: return !in->is_mem;
	case WITH_IMM: return in->opcode == 0xc2;
	case GROUP_1: return (in->modrm >> 3 & 7) == 1;
	case ASTRAY: return judge->state.rip >> 47;
	case RESERVED: return judge->state.xsave[26] | judge->state.xsave[27];
	default: return holds_vector(condition, c);
	}
}

struct oracle_leeway unicorn_known(const struct oracle_case *c, const struct oracle_outcome *judge)
{
	struct oracle_leeway sum = oracle_known(c, judge);

	for (size_t i = 0; i < HC_ARRAY_SIZE(known); i++) {
		const struct known *k = &known[i];

		if (c->insn.op >= k->op && c->insn.op <= k->last_op &&
		    holds(k->condition, c, judge))
			oracle_allow(&sum, &k->leeway);
	}
	return sum;
}
