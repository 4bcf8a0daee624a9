/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is not compared, and why: instructions that cannot be tried in a user process or whose
 * result depends on the machine, and results that the manuals leave undefined.
 */
#include "emu/x86_64/alu.h"
#include "tests/oracle/random.h"

/* --- Instructions --- */

struct exclusion {
	uint16_t op;
	const char *reason;
};

#define SYSTEM   "is the operating system's business"
#define MACHINE  "tells what the machine is, not what the instruction does"
#define TIME     "gives another result each time"
#define MISSING  "belongs to an extension that either side may lack"
#define SEGMENT  "depends on the host's descriptors"
#define TRANSFER "leaves the code page by way of descriptors"

static const struct exclusion exclusions[] = {
	{ X86_OP_SYSCALL, SYSTEM },
	{ X86_OP_SYSRET, SYSTEM },
	{ X86_OP_SYSENTER, SYSTEM },
	{ X86_OP_SYSEXIT, SYSTEM },
	{ X86_OP_INT, SYSTEM },
	{ X86_OP_INT1, SYSTEM },
	{ X86_OP_INT3, SYSTEM },
	{ X86_OP_INTO, SYSTEM },
	{ X86_OP_IRET, TRANSFER },
	{ X86_OP_CALL_FAR, TRANSFER },
	{ X86_OP_JMP_FAR, TRANSFER },
	{ X86_OP_RET_FAR, TRANSFER },
	{ X86_OP_PUSH_SREG, SEGMENT },
	{ X86_OP_POP_SREG, SEGMENT },
	{ X86_OP_MOV_FROM_SREG, SEGMENT },
	{ X86_OP_MOV_TO_SREG, SEGMENT },
	{ X86_OP_LES, SEGMENT },
	{ X86_OP_LDS, SEGMENT },
	{ X86_OP_LSS, SEGMENT },
	{ X86_OP_LFS, SEGMENT },
	{ X86_OP_LGS, SEGMENT },
	{ X86_OP_LAR, SEGMENT },
	{ X86_OP_LSL, SEGMENT },
	{ X86_OP_VERR, SEGMENT },
	{ X86_OP_VERW, SEGMENT },
	{ X86_OP_ARPL, SEGMENT },
	{ X86_OP_SGDT, "is emulated by the host's kernel (UMIP)" },
	{ X86_OP_SIDT, "is emulated by the host's kernel (UMIP)" },
	{ X86_OP_SLDT, "is emulated by the host's kernel (UMIP)" },
	{ X86_OP_STR, "is emulated by the host's kernel (UMIP)" },
	{ X86_OP_SMSW, "is emulated by the host's kernel (UMIP)" },
	{ X86_OP_CPUID, MACHINE },
	{ X86_OP_XGETBV, MACHINE },
	{ X86_OP_XSETBV, MACHINE },
	{ X86_OP_RDPID, MACHINE },
	{ X86_OP_RDTSC, TIME },
	{ X86_OP_RDTSCP, TIME },
	{ X86_OP_RDPMC, TIME },
	{ X86_OP_RDRAND, TIME },
	{ X86_OP_RDSEED, TIME },
	{ X86_OP_RDPRU, TIME },
	{ X86_OP_MONITOR, MACHINE },
	{ X86_OP_MWAIT, MACHINE },
	{ X86_OP_MONITORX, MISSING },
	{ X86_OP_MWAITX, MISSING },
	{ X86_OP_UMONITOR, MISSING },
	{ X86_OP_UMWAIT, MISSING },
	{ X86_OP_TPAUSE, MISSING },
	{ X86_OP_XBEGIN, MISSING },
	{ X86_OP_XABORT, MISSING },
	{ X86_OP_XEND, MISSING },
	{ X86_OP_XTEST, MISSING },
	{ X86_OP_RDPKRU, MISSING },
	{ X86_OP_WRPKRU, MISSING },
	{ X86_OP_CLZERO, MISSING },
	{ X86_OP_INVLPGB, MISSING },
	{ X86_OP_TLBSYNC, MISSING },
	{ X86_OP_ENCLS, MISSING },
	{ X86_OP_ENCLU, MISSING },
	{ X86_OP_ENCLV, MISSING },
	{ X86_OP_PCONFIG, MISSING },
	{ X86_OP_GETSEC, MISSING },
	{ X86_OP_RSM, MISSING },
	{ X86_OP_INCSSP, MISSING },
	{ X86_OP_RDSSP, MISSING },
	{ X86_OP_SAVEPREVSSP, MISSING },
	{ X86_OP_RSTORSSP, MISSING },
	{ X86_OP_WRSS, MISSING },
	{ X86_OP_WRUSS, MISSING },
	{ X86_OP_SETSSBSY, MISSING },
	{ X86_OP_CLRSSBSY, MISSING },
	{ X86_OP_MOVDIRI, MISSING },
	{ X86_OP_MOVDIR64B, MISSING },
	{ X86_OP_ENQCMD, MISSING },
	{ X86_OP_ENQCMDS, MISSING },
	{ X86_OP_CLWB, MISSING },
	{ X86_OP_CLFLUSHOPT, MISSING },
	{ X86_OP_WBNOINVD, MISSING },
	{ X86_OP_INVEPT, MISSING },
	{ X86_OP_INVVPID, MISSING },
	{ X86_OP_INVPCID, MISSING },
	{ X86_OP_VMCALL, MISSING },
	{ X86_OP_VMLAUNCH, MISSING },
	{ X86_OP_VMRESUME, MISSING },
	{ X86_OP_VMXOFF, MISSING },
	{ X86_OP_VMXON, MISSING },
	{ X86_OP_VMCLEAR, MISSING },
	{ X86_OP_VMPTRLD, MISSING },
	{ X86_OP_VMPTRST, MISSING },
	{ X86_OP_VMREAD, MISSING },
	{ X86_OP_VMWRITE, MISSING },
	{ X86_OP_VMFUNC, MISSING },
	{ X86_OP_VMRUN, MISSING },
	{ X86_OP_VMMCALL, MISSING },
	{ X86_OP_VMLOAD, MISSING },
	{ X86_OP_VMSAVE, MISSING },
	{ X86_OP_STGI, MISSING },
	{ X86_OP_CLGI, MISSING },
	{ X86_OP_SKINIT, MISSING },
	{ X86_OP_INVLPGA, MISSING },
	{ X86_OP_EVEX, MISSING },
	{ X86_OP_XRSTOR, "reads components of the host's" },
	{ X86_OP_XSAVE, "writes components of the host's" },
	{ X86_OP_XSAVEOPT, "writes what was modified as the host sees it" },
	{ X86_OP_XSAVEC, "writes components of the host's" },
	{ X86_OP_XSAVES, SYSTEM },
	{ X86_OP_XRSTORS, SYSTEM },
	{ X86_OP_RDFSBASE, SYSTEM },
	{ X86_OP_RDGSBASE, SYSTEM },
	{ X86_OP_WRFSBASE, SYSTEM },
	{ X86_OP_WRGSBASE, SYSTEM },
	{ X86_OP_SWAPGS, SYSTEM },
	{ X86_OP_UD1, "of the manuals' two lengths each side may take its own" },
	{ X86_OP_UD0, "of the manuals' two lengths each side may take its own" },
};

/* SIMD opcodes that either side may lack. */
struct simd_range {
	uint8_t vex, map, first, last;
	const char *what;
};

static const struct simd_range simd_ranges[] = {
	{ 1, 1, 0x41, 0x4b, "AVX-512's mask registers" },
	{ 1, 1, 0x90, 0x99, "AVX-512's mask registers" },
	{ 1, 3, 0x30, 0x33, "AVX-512's mask registers" },
	{ 0, 1, 0x78, 0x79, "SSE4A" },
	{ 1, 3, 0x48, 0x49, "XOP" },
	{ 1, 3, 0x5c, 0x5f, "FMA4" },
	{ 1, 3, 0x68, 0x6f, "FMA4" },
	{ 1, 3, 0x78, 0x7f, "FMA4" },
	{ 1, 2, 0x49, 0x4b, "AMX" },
	{ 1, 2, 0x5c, 0x5e, "AMX" },
	{ 1, 2, 0x50, 0x53, "AVX-VNNI" },
	{ 1, 2, 0xb4, 0xb5, "AVX-IFMA" },
	{ 0, 2, 0xcf, 0xcf, "GFNI" },
	{ 0, 3, 0xce, 0xcf, "GFNI" },
	{ 1, 2, 0xcf, 0xcf, "GFNI" },
	{ 1, 3, 0xce, 0xcf, "GFNI" },
	{ 1, 2, 0xda, 0xda, "SM3, SM4" },
	{ 1, 2, 0xdc, 0xdf, "VAES, where 256 bits wide" },
	{ 1, 3, 0x44, 0x44, "VPCLMULQDQ, where 256 bits wide" },
};

const char *oracle_excluded(const struct x86_insn *in)
{
	unsigned vex = in->prefixes & X86_PFX_VEX ? 1 : 0;

	for (size_t i = 0; i < HC_ARRAY_SIZE(exclusions); i++)
		if (exclusions[i].op == in->op)
			return exclusions[i].reason;
	if (in->op != X86_OP_SIMD)
		return NULL;
	if (!vex && in->map == 1 && in->opcode == 0x2b &&
	    (in->prefixes & (X86_PFX_F2 | X86_PFX_F3)))
		return "SSE4A";
	for (size_t i = 0; i < HC_ARRAY_SIZE(simd_ranges); i++) {
		const struct simd_range *s = &simd_ranges[i];

		if (s->vex == vex && s->map == in->map && in->opcode >= s->first &&
		    in->opcode <= s->last)
			return s->what;
	}
	return NULL;
}

/* Only what is undefined for its LOCK prefix: of empty rows the host may know more. */
bool oracle_excluded_bytes(const uint8_t *code, size_t n)
{
	uint8_t unlocked[X86_INSN_MAX];
	struct x86_insn in;
	bool locked = false;

	if (n < X86_INSN_MAX)
		return true;
	for (unsigned i = 0; i < X86_INSN_MAX; i++)
		unlocked[i] = code[i];
	for (unsigned i = 0; i < 6 && !locked; i++) {
		locked = code[i] == 0xf0;
		if (locked)
			unlocked[i] = 0x3e;
	}
	return !locked || x86_decode(&in, unlocked, X86_INSN_MAX, X86_MODE_64) < 0 ||
	       oracle_excluded(&in) || in.op == X86_OP_MOV_TO_CR || in.op == X86_OP_MOV_FROM_CR;
}

/* --- Results --- */

enum condition {
	ALWAYS,
	COUNTED,     /* the masked count is not 0 */
	NOT_BY_1,    /* nor 1 */
	BY_ALL_BITS, /* not less than the operand's bits */
	BEYOND,      /* more than the operand's bits */
	NO_BIT_SET,  /* the judge says ZF */
	SHORT_NONE,  /* the address size is 32 bits, and a fault or a count of 0 left it at that */
	PROTECTION,  /* the judge raised #GP */
	FAULTED,     /* the judge raised an exception */
	MASKED,      /* a vector of which elements may be left out */
	MASKED_END,  /* of which not all may be canonical */
	GATHER_PART, /* a gather in which a fault has come in between */
	MISALIGNED,  /* in 32-bit mode, around the end of the segment, and not aligned */
	X87_IMAGE,   /* x87's environment or state is the operand */
	X87_UNALIGNED, /* so, and alignment is checked */
	X87_END,       /* so, and not all is canonical */
	STEPS,         /* DPPS, DPPD, and the judge raised #XM */
	BY_16_BITS,    /* the operand size is 16 bits */
	ALIGNMENT,     /* alignment is checked */
	AROUND_END     /* in 32-bit mode, around the end of the segment */
};

struct known {
	uint16_t op, last_op;
	enum condition condition;
	struct oracle_leeway leeway;
	const char *reference;
};

#define CF X86_FLAG_CF
#define PF X86_FLAG_PF
#define AF X86_FLAG_AF
#define ZF X86_FLAG_ZF
#define SF X86_FLAG_SF
#define OF X86_FLAG_OF

#define FLAGS(mask)                                                                                \
	{                                                                                          \
		.flags = (mask)                                                                    \
	}

/* References are to the SDM: the instructions' pages in Vol. 2, "Flags Affected". */
static const struct known known[] = {
	{ X86_OP_AND, X86_OP_AND, ALWAYS, FLAGS(AF), "AND" },
	{ X86_OP_OR, X86_OP_OR, ALWAYS, FLAGS(AF), "OR" },
	{ X86_OP_XOR, X86_OP_XOR, ALWAYS, FLAGS(AF), "XOR" },
	{ X86_OP_TEST, X86_OP_TEST, ALWAYS, FLAGS(AF), "TEST" },
	{ X86_OP_ROL, X86_OP_RCR, NOT_BY_1, FLAGS(OF), "RCL/RCR/ROL/ROR: OF, but for 1 bit" },
	{ X86_OP_SHL, X86_OP_SAR, COUNTED, FLAGS(AF), "SAL/SAR/SHL/SHR" },
	{ X86_OP_SHL, X86_OP_SAR, NOT_BY_1, FLAGS(OF), "SAL/SAR/SHL/SHR: OF, but for 1 bit" },
	{ X86_OP_SHL, X86_OP_SAL, BY_ALL_BITS, FLAGS(CF), "SHL, SHR by the operand's size" },
	{ X86_OP_SHLD, X86_OP_SHRD, COUNTED, FLAGS(AF), "SHLD, SHRD" },
	{ X86_OP_SHLD, X86_OP_SHRD, NOT_BY_1, FLAGS(OF), "SHLD, SHRD: OF, but for 1 bit" },
	{ X86_OP_SHLD, X86_OP_SHRD, BEYOND, { .all = true }, "SHLD, SHRD: count > size" },
	{ X86_OP_BT, X86_OP_BTC, ALWAYS, FLAGS(OF | SF | AF | PF), "BT, BTS, BTR, BTC" },
	{ X86_OP_BSF, X86_OP_BSR, ALWAYS, FLAGS(CF | OF | SF | AF | PF), "BSF, BSR" },
	{ X86_OP_BSF, X86_OP_BSR, NO_BIT_SET, { .destination = true }, "BSF, BSR of 0" },
	{ X86_OP_TZCNT, X86_OP_LZCNT, ALWAYS, FLAGS(OF | SF | AF | PF), "TZCNT, LZCNT" },
	{ X86_OP_MUL, X86_OP_IMUL, ALWAYS, FLAGS(SF | ZF | AF | PF), "MUL, IMUL" },
	{ X86_OP_DIV, X86_OP_IDIV, ALWAYS, FLAGS(CF | OF | SF | ZF | AF | PF), "DIV, IDIV" },
	{ X86_OP_ANDN, X86_OP_ANDN, ALWAYS, FLAGS(AF | PF), "ANDN" },
	{ X86_OP_BEXTR, X86_OP_BEXTR, ALWAYS, FLAGS(AF | SF | PF), "BEXTR" },
	{ X86_OP_BLSR, X86_OP_BZHI, ALWAYS, FLAGS(AF | PF), "BLSR, BLSMSK, BLSI, BZHI" },
	{ X86_OP_DAA, X86_OP_DAS, ALWAYS, FLAGS(OF), "DAA, DAS" },
	{ X86_OP_AAA, X86_OP_AAS, ALWAYS, FLAGS(OF | SF | ZF | PF), "AAA, AAS" },
	{ X86_OP_AAM, X86_OP_AAD, ALWAYS, FLAGS(OF | AF | CF), "AAM, AAD" },
	{ X86_OP_MOVS,
	  X86_OP_SCAS,
	  SHORT_NONE,
	  { .upper_halves = true },
	  "Vol. 1 3.4.1.1: a 32-bit result clears the upper half; without one, Intel's do, too" },
	{ X86_OP_CMPXCHG8B,
	  X86_OP_CMPXCHG8B,
	  PROTECTION,
	  { .all = true },
	  "Vol. 3A 6.9: #GP if not aligned, #SS if not canonical, of the same class" },
	{ X86_OP_UNDEFINED + 1,
	  X86_OP_COUNT - 1,
	  AROUND_END,
	  { .all = true },
	  "Vol. 3A 5.3: whether an access around the end of a segment of 4 GiB faults" },
	{ X86_OP_CALL,
	  X86_OP_CALL,
	  PROTECTION,
	  { .all = true },
	  "CALL to where no code can be: Intel's have stored the return address before" },
	{ X86_OP_POPA,
	  X86_OP_POPA,
	  FAULTED,
	  { .all = true },
	  "Vol. 3A 6.5: a fault restarts; which registers have been loaded by then is open" },
	{ X86_OP_SIMD,
	  X86_OP_SIMD,
	  MASKED,
	  { .address = true },
	  "Vol. 3A 6.15: which byte of an operand that is partly absent CR2 names" },
	{ X86_OP_SIMD,
	  X86_OP_SIMD,
	  MASKED_END,
	  { .all = true },
	  "VMASKMOV: whether elements that are masked out have to be canonical" },
	{ X86_OP_SIMD,
	  X86_OP_SIMD,
	  MISALIGNED,
	  { .all = true },
	  "Vol. 3A 6.9: #GP if not aligned, #SS beyond the limit, of the same class" },
	{ X86_OP_X87,
	  X86_OP_X87,
	  X87_IMAGE,
	  { .address = true },
	  "Vol. 3A 6.15: which byte of an operand that is partly absent CR2 names" },
	{ X86_OP_X87,
	  X86_OP_X87,
	  X87_UNALIGNED,
	  { .all = true },
	  "Vol. 3A 6.15 table 6-7: of environments and states it does not say what #AC checks" },
	{ X86_OP_X87,
	  X86_OP_X87,
	  X87_END,
	  { .all = true },
	  "Vol. 3A 6.9: of a part that is absent and one that is not canonical, which is first" },
	{ X86_OP_SIMD,
	  X86_OP_SIMD,
	  GATHER_PART,
	  { .all = true },
	  "VGATHER: the elements that were there before a fault; in which order is open" },
	{ X86_OP_SIMD,
	  X86_OP_SIMD,
	  STEPS,
	  { .mxcsr = 0x3f },
	  "DPPS, DPPD: which flags the steps leave besides the unmasked exception's" },
	{ X86_OP_BSWAP, X86_OP_BSWAP, BY_16_BITS, { .destination = true }, "BSWAP of 16 bits" },
	{ X86_OP_FXSAVE,
	  X86_OP_FXRSTOR,
	  ALIGNMENT,
	  { .all = true },
	  "FXSAVE, FXRSTOR: not aligned, #AC or #GP" },
	{ X86_OP_FXSAVE,
	  X86_OP_FXRSTOR,
	  PROTECTION,
	  { .all = true },
	  "Vol. 3A 6.9: #GP if not aligned, #SS if not canonical, of the same class" },
	{ X86_OP_FXSAVE,
	  X86_OP_FXRSTOR,
	  ALWAYS,
	  { .address = true },
	  "Vol. 3A 6.15: which of the pages that are absent CR2 names" },
	{ X86_OP_FXSAVE,
	  X86_OP_FXSAVE,
	  ALWAYS,
	  { .environment = true },
	  "Vol. 1 8.1.8: FCS, FDS and when FDP, FOP change depend on the CPU" },
	{ X86_OP_X87,
	  X86_OP_X87,
	  ALWAYS,
	  { .environment = true },
	  "Vol. 1 8.1.8: FCS, FDS and when FDP, FOP change depend on the CPU" },
};

static unsigned count_of(const struct oracle_case *c)
{
	const struct x86_insn *in = &c->insn;
	uint64_t count = in->imm;

	if (in->form == X86_FORM_M1)
		count = 1;
	else if (in->form == X86_FORM_MC || in->form == X86_FORM_MRC)
		count = c->state.gpr[X86_RCX];
	return (unsigned)count & (in->rm_width == 8 ? 63 : 31);
}

static bool is_gather(const struct x86_insn *in)
{
	return in->map == 2 && (in->prefixes & X86_PFX_VEX) && (in->opcode & 0xfc) == 0x90;
}

/* VMASKMOV and VPMASKMOV, gathers. */
static bool is_masked(const struct x86_insn *in)
{
	return is_gather(in) || (in->map == 2 && (in->prefixes & X86_PFX_VEX) &&
	                         ((in->opcode & 0xfc) == 0x2c || (in->opcode & 0xfd) == 0x8c));
}

static bool is_dot_product(const struct x86_insn *in)
{
	return in->map == 3 && (in->opcode == 0x40 || in->opcode == 0x41);
}

uint64_t oracle_linear(const struct oracle_case *c)
{
	const struct x86_insn *in = &c->insn;
	uint64_t a = (uint64_t)(int64_t)in->disp;

	if (in->base < X86_GPR_COUNT)
		a += c->state.gpr[in->base];
	else if (in->base == X86_REG_RIP)
		a += c->state.rip + in->length;
	if (in->index != X86_REG_NONE && !is_gather(in))
		a += c->state.gpr[in->index] << in->scale;
	a &= alu_mask(in->adsize);
	if (in->seg == X86_FS)
		return a + c->state.fs_base;
	return in->seg == X86_GS ? a + c->state.gs_base : a;
}

/* An operand that begins near the end of the lower half. */
static bool is_at_canonical_end(const struct oracle_case *c)
{
	uint64_t linear = oracle_linear(c);

	return c->mode == X86_MODE_64 && linear >= (UINT64_C(1) << 47) - 128 &&
	       linear < UINT64_C(1) << 47;
}

/* FLDENV, FNSTENV, FRSTOR, FNSAVE */
static bool is_x87_image(const struct x86_insn *in)
{
	unsigned reg = in->modrm >> 3 & 7;

	return in->is_mem && (in->opcode & 0xfb) == 0xd9 && (reg == 4 || reg == 6);
}

static bool holds(enum condition condition, const struct oracle_case *c,
                  const struct oracle_outcome *judge)
{
	unsigned bits = 8u * c->insn.rm_width;

	switch (condition) {
	case COUNTED: return count_of(c) > 0;
	case NOT_BY_1: return count_of(c) > 1;
	case BY_ALL_BITS: return count_of(c) >= bits;
	case BEYOND: return count_of(c) > bits;
	case NO_BIT_SET: return judge->state.rflags & X86_FLAG_ZF;
	case SHORT_NONE:
		return c->insn.adsize == 4 &&
		       (judge->vector != ORACLE_COMPLETED || !(uint32_t)c->state.gpr[X86_RCX]);
	case PROTECTION: return judge->vector == X86_VEC_GP;
	case FAULTED: return judge->vector != ORACLE_COMPLETED;
	case MASKED: return is_masked(&c->insn);
	case GATHER_PART: return is_gather(&c->insn) && judge->vector != ORACLE_COMPLETED;
	case MASKED_END: return is_masked(&c->insn) && is_at_canonical_end(c);
	case MISALIGNED:
		return c->mode == X86_MODE_32 && judge->vector == X86_VEC_GP &&
		       oracle_linear(c) > UINT32_MAX - 64;
	case STEPS: return is_dot_product(&c->insn) && judge->vector == X86_VEC_XM;
	case X87_END: return is_x87_image(&c->insn) && is_at_canonical_end(c);
	case X87_IMAGE: return is_x87_image(&c->insn);
	case X87_UNALIGNED: return is_x87_image(&c->insn) && (c->state.rflags & X86_FLAG_AC);
	case BY_16_BITS: return c->insn.opsize == 2;
	case ALIGNMENT: return c->state.rflags & X86_FLAG_AC;
	case AROUND_END:
		return c->mode == X86_MODE_32 && judge->vector == X86_VEC_PF &&
		       (judge->cr2 > UINT32_MAX - 64 || oracle_linear(c) > UINT32_MAX - 512);
	case ALWAYS:
	default: return true;
	}
}

void oracle_allow(struct oracle_leeway *sum, const struct oracle_leeway *more)
{
	sum->flags |= more->flags;
	sum->mxcsr |= more->mxcsr;
	sum->fsw |= more->fsw;
	sum->exponents |= more->exponents;
	sum->all |= more->all;
	sum->destination |= more->destination;
	sum->upper_halves |= more->upper_halves;
	sum->address |= more->address;
	sum->environment |= more->environment;
}

struct oracle_leeway oracle_known(const struct oracle_case *c, const struct oracle_outcome *judge)
{
	struct oracle_leeway sum = { .flags = 0 };

	if (c->undefined)
		return sum;
	for (size_t i = 0; i < HC_ARRAY_SIZE(known); i++) {
		const struct known *k = &known[i];

		if (c->insn.op >= k->op && c->insn.op <= k->last_op &&
		    holds(k->condition, c, judge))
			oracle_allow(&sum, &k->leeway);
	}
	return sum;
}
