/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector and x87 instructions: what vector*.c, x87*.c and xsave*.c share. They run on the host's
 * own vector unit:
 *
 *   check   may the guest use the registers at all: once in a block
 *   load    from guest memory to c->operand
 *   stub    host code: registers from the state, the instruction, the result to the state
 *   store   from c->operand to guest memory
 *
 * Each is a micro-operation, and those that an instruction does not need are not there. There is
 * one stub for each combination of opcode, prefix, registers and immediate (vector_stub.c); which
 * operands an opcode has is told by a table (vector_rows.c). What is no such stub is a C function:
 * moves to and from memory (vector_mem.c), masked moves and gathers (vector_masked.c).
 *
 * x87 instructions are stubs too, called by x87.c between FXRSTOR and FXSAVE.
 */
#ifndef EMU_X86_64_ENGINE_VECTOR_H
#define EMU_X86_64_ENGINE_VECTOR_H

#include "emu/x86_64/engine/engine.h"

/* --- The register image (SDM Vol. 1 13.4, in the standard format) --- */

#define XSAVE_FCW       0
#define XSAVE_FSW       2
#define XSAVE_FTW       4 /* abridged: bit i: register i is not empty */
#define XSAVE_FOP       6
#define XSAVE_FIP       8
#define XSAVE_FDP       16
#define XSAVE_MXCSR     24
#define XSAVE_MASK      28
#define XSAVE_ST        32
#define XSAVE_XMM       160
#define XSAVE_LEGACY    416 /* bytes that FXSAVE writes */
#define XSAVE_HEADER    512
#define XSAVE_YMM       576
#define XSAVE_ALL       832
#define XSAVE_FCW_INIT  0x37fu
#define MXCSR_INIT      0x1f80u
#define MXCSR_FLAGS     0x3fu
#define MXCSR_MASKS     0x1f80u
#define MXCSR_IE        0x0001u
#define MXCSR_DE        0x0002u
#define MXCSR_OE        0x0008u
#define MXCSR_UE        0x0010u
#define MXCSR_PE        0x0020u
#define MXCSR_DAZ       0x0040u
#define MXCSR_UM        0x0800u
#define MXCSR_FZ        0x8000u
#define MXCSR_SUPPORTED 0xffffu

/* XCR0 and the header's bit maps. */
#define XSTATE_X87 HC_BIT(0)
#define XSTATE_SSE HC_BIT(1)
#define XSTATE_AVX HC_BIT(2)
#define XSTATE_ALL (XSTATE_X87 | XSTATE_SSE | XSTATE_AVX)

/* FSW */
#define FSW_ES HC_BIT(7)
#define FSW_B  HC_BIT(15)

#define CR4_OSXMMEXCPT HC_BIT(10)

static inline uint8_t *vec_xmm(struct x86_state *s, unsigned n)
{
	return s->xsave + XSAVE_XMM + 16 * n;
}

static inline uint8_t *vec_ymm_high(struct x86_state *s, unsigned n)
{
	return s->xsave + XSAVE_YMM + 16 * n;
}

static inline uint32_t vec_u32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t vec_u64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline void vec_put32(uint8_t *p, uint32_t v)
{
	__builtin_memcpy(p, &v, sizeof(v));
}

static inline void vec_put64(uint8_t *p, uint64_t v)
{
	__builtin_memcpy(p, &v, sizeof(v));
}

/* --- CPUID features (vector_features.c) --- */

/* clang-format off */
/*      name     leaf subleaf register bit (SDM Vol. 2A, CPUID) */
#define VEC_FEATURES(X) \
	X(FPU,     1, 0, 3, 0)  X(MMX,     1, 0, 3, 23) X(FXSR,   1, 0, 3, 24) X(SSE,    1, 0, 3, 25) \
	X(SSE2,    1, 0, 3, 26) X(SSE3,    1, 0, 2, 0)  X(PCLMUL, 1, 0, 2, 1)  X(SSSE3,  1, 0, 2, 9) \
	X(SSE41,   1, 0, 2, 19) X(SSE42,   1, 0, 2, 20) X(AES,    1, 0, 2, 25) X(XSAVE,  1, 0, 2, 26) \
	X(AVX,     1, 0, 2, 28) X(FMA,     1, 0, 2, 12) X(F16C,   1, 0, 2, 29) X(AVX2,   7, 0, 1, 5) \
	X(SHA,     7, 0, 1, 29) X(GFNI,    7, 0, 2, 8)  X(VAES,   7, 0, 2, 9)  X(VPCLMUL, 7, 0, 2, 10) \
	X(VNNI,    7, 1, 0, 4)
/* clang-format on */

#define VEC_FEATURE_ENUM_(name, leaf, subleaf, reg, bit) VEC_##name,
enum vec_feature { VEC_NEVER, VEC_FEATURES(VEC_FEATURE_ENUM_) VEC_FEATURE_COUNT };
#undef VEC_FEATURE_ENUM_

/* Whether the guest is offered it. */
bool emu_vec_has(unsigned feature);

/* Looks at the host; what of it code is there for is offered from then on. */
void emu_vec_detect(void);

/* --- The table --- */

/* Kind of the operand that ModRM.reg or ModRM.rm names. */
enum vec_class {
	VEC_CLASS_NONE, /* rm: no such row; reg: part of the opcode */
	VEC_CLASS_V,    /* XMM, YMM where VEX.L says so */
	VEC_CLASS_X,    /* XMM always */
	VEC_CLASS_P,    /* MMX */
	VEC_CLASS_G     /* general; in memory as wide as the row says */
};

/* Width of the operand in memory, in bytes: a number up to 32, or */
enum vec_width {
	VEC_W_FULL = 64, /* the vector: 16, 32 */
	VEC_W_HALF,      /* 8, 16 */
	VEC_W_QUARTER,   /* 4, 8 */
	VEC_W_EIGHTH,    /* 2, 4 */
	VEC_W_DUP,       /* MOVDDUP: 8, 32 */
	VEC_W_Y          /* by W: 4, 8 */
};

/* vec_row.flags. What is not said: the register in ModRM.reg is the destination, and under a legacy
 * prefix a source too; 16 bytes in memory are aligned under a legacy prefix and need not be under
 * VEX; VEX.vvvv is not used, VEX.W ignored. */
#define VEC_TO_RM     0x00001u /* the r/m operand is the destination, ModRM.reg a source */
#define VEC_TO_NONE   0x00002u /* nothing is written but flags or implied registers */
#define VEC_TO_VVVV   0x00004u /* shifts by an immediate: VEX.vvvv is, or r/m without VEX */
#define VEC_NDS       0x00008u /* VEX.vvvv is the first source */
#define VEC_NDS_REG   0x00010u /* the same, if r/m is a register */
#define VEC_RMW       0x00020u /* with VEX too the destination is a source */
#define VEC_LIG       0x00040u /* scalar: VEX.L is ignored */
#define VEC_W0        0x00080u /* VEX.W must be 0 */
#define VEC_W1        0x00100u
#define VEC_UNALIGNED 0x00200u  /* 16 bytes need not be aligned without VEX either */
#define VEC_ALIGNED   0x00400u  /* must be aligned with VEX too */
#define VEC_FP        0x00800u  /* may raise SIMD floating-point exceptions */
#define VEC_EFLAGS    0x01000u  /* sets all status flags */
#define VEC_XMM0      0x02000u  /* XMM0 is a source (without VEX) */
#define VEC_TO_XMM0   0x04000u  /* XMM0 is the destination (with VEC_TO_NONE) */
#define VEC_TO_ECX    0x08000u  /* ECX is (with VEC_TO_NONE) */
#define VEC_LENGTHS   0x10000u  /* EAX and EDX are sources */
#define VEC_IS4       0x20000u  /* imm8[7:4] names a source */
#define VEC_MOVE      0x40000u  /* with memory, a copy and nothing else */
#define VEC_REG_AVX2  0x80000u  /* the form with a register as r/m needs AVX2 */
#define VEC_NO_MMX    0x100000u /* has an MMX operand, but with memory is no MMX instruction */
#define VEC_NO_AC     0x200000u /* of class 11 (SDM Vol. 2A 2.4): alignment is not checked */

struct vec_row {
	uint32_t flags;
	uint8_t reg, rm;    /* enum vec_class */
	uint8_t width;      /* of the r/m operand in memory: bytes or enum vec_width */
	uint8_t feature[3]; /* enum vec_feature: needed by legacy, VEX.128 and VEX.256 forms */
};

/* The row of opcode in map (1 to 3) with the mandatory prefix pp (0 none, 1 66, 2 F3, 3 F2); NULL:
 * there is none. A row says nothing of which forms the decoder lets through. */
const struct vec_row *emu_vec_row(unsigned map, unsigned pp, unsigned opcode);

/* --- Stubs (vector_stub.c) --- */

/* What tells stubs apart. */
struct vec_key {
	uint8_t map, pp, opcode; /* as for emu_vec_row(); map 0: D8 to DF */
	uint8_t modrm;           /* of x87; else 0xc0 or 0 by r/m's kind */
	bool vex, l, w;
	uint8_t reg, vvvv, rm; /* register numbers; reg may be a part of the opcode */
	uint8_t imm;
};

/* A key as a number that is not 0, and back. */
uint64_t emu_stub_pack(const struct vec_key *key);
struct vec_key emu_stub_key(uint64_t packed);

/* Makes room; -ENOMEM. */
int emu_stub_init(void);

/* The stub of *key: found or made. NULL: the room for stubs is used up. A stub of x87 is a function
 * and returns to its caller. */
emu_fn *emu_stub(const struct vec_key *key, const struct vec_row *row);

/* Makes *key's stub, has it executed and forgets it: for when emu_stub() has no room any more. The
 * room for that is locked until it is over, or until once_done() if it raised an exception
 * (c->stub_locked). */
void emu_stub_once(struct emu_cpu *c, const struct vec_key *key, const struct vec_row *row);
void emu_stub_once_done(struct emu_cpu *c);

/* Whether the instruction, whose operands are still in the state and in c->operand, flags PE when
 * an overflow or underflow of it is not masked (vector_exact.c). mxcsr: as before it. */
bool emu_vec_is_inexact(const struct emu_cpu *c, const struct vec_key *key, uint32_t mxcsr);

/* What VCVTPS2PH flags, of underflow only if that is not masked. */
uint32_t emu_vec_half_flags(const struct emu_cpu *c, const struct vec_key *key, uint32_t mxcsr);

/* --- Memory (vector_mem.c) --- */

/* Uops that move the row's operand between memory and c->operand. false: no room. */
bool emu_vec_emit_load(struct emu_builder *b, const struct vec_row *row, const struct x86_insn *in);
bool emu_vec_emit_store(struct emu_builder *b, const struct vec_row *row,
                        const struct x86_insn *in);
/* A uop that is the whole of a VEC_MOVE row's form with memory. */
bool emu_vec_emit_move(struct emu_builder *b, const struct vec_row *row, const struct x86_insn *in);

/* --- Checks (vector.c) --- */

/* For functions: #UD, #NM, #MF as CR0, CR4 and XCR0 have it (SDM Vol. 3A 2.5, table 9-3). */
void emu_vec_check_sse(struct emu_cpu *c);
void emu_vec_check_avx(struct emu_cpu *c);
void emu_vec_check_x87(struct emu_cpu *c, bool waits);

/* Brings MXCSR in s->xsave up to date, and makes the host use what it says from now on. */
void emu_vec_mxcsr_store(struct emu_cpu *c);
void emu_vec_mxcsr_load(struct emu_cpu *c);

/* What every MMX instruction does to x87: TOP is 0, no register is empty. */
void emu_vec_to_mmx(struct x86_state *s);

/* Whether an x87 exception is flagged that FCW does not mask. */
static inline bool vec_x87_pending(const struct x86_state *s)
{
	return s->xsave[XSAVE_FSW] & ~s->xsave[XSAVE_FCW] & 0x3f;
}

/* FSW.ES and B, which follow from the flags and FCW. */
void emu_x87_summary(struct x86_state *s);
/* As after reset: FNINIT's, and registers that are 0. */
void emu_x87_init(struct x86_state *s);
/* Another TOP. The image has ST(0) first, the registers stay what they are: they are turned. */
void emu_x87_set_top(struct x86_state *s, unsigned top);

/* --- Instructions that are functions --- */

/* vector_masked.c; NULL: in is none of them. */
emu_call_fn *emu_vec_function(const struct x86_insn *in);

bool emu_translate_x87(struct emu_builder *b, const struct x86_insn *in); /* x87.c */
emu_call_fn emu_x87_environment;                                          /* x87_env.c */
emu_call_fn emu_fwait;                                                    /* x87.c */

/* xsave.c */
emu_call_fn emu_fxsave, emu_fxrstor, emu_xsave, emu_xrstor, emu_ldmxcsr, emu_stmxcsr;

#endif
