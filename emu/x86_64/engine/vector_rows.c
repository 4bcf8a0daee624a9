/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which operands vector instructions have (SDM Vol. 2A to 2C, the instructions' tables of opcodes
 * and of operand encoding). Rows whose forms with memory cannot be stubs (gathers, masked moves)
 * are vector_masked.c's. Not offered, though the decoder knows their length: SSE4A, FMA4, the
 * AVX-512 mask instructions (VEX 0F 41 to 4B and 90 to 99, 0F3A 30 to 33), VPERMIL2.
 */
#include "emu/x86_64/engine/vector.h"

enum { NP, P66, F3, F2 };

#define V    VEC_CLASS_V
#define X    VEC_CLASS_X
#define P    VEC_CLASS_P
#define G    VEC_CLASS_G
#define EXT  VEC_CLASS_NONE /* ModRM.reg extends the opcode */
#define FULL VEC_W_FULL
#define HALF VEC_W_HALF
#define QRTR VEC_W_QUARTER
#define EGTH VEC_W_EIGHTH
#define DUP  VEC_W_DUP
#define Y    VEC_W_Y

#define TO_RM   VEC_TO_RM
#define TO_NONE VEC_TO_NONE
#define TO_VVVV VEC_TO_VVVV
#define NDS     VEC_NDS
#define NDSR    VEC_NDS_REG
#define RMW     VEC_RMW
#define LIG     VEC_LIG
#define W0      VEC_W0
#define W1      VEC_W1
#define UNAL    VEC_UNALIGNED
#define ALIGN   VEC_ALIGNED
#define FP      VEC_FP
#define EFL     VEC_EFLAGS
#define MOVE    VEC_MOVE
#define STR     VEC_UNALIGNED | VEC_TO_NONE | VEC_EFLAGS

/* The last arguments are an F_... below. */
#define ROW(reg_, rm_, width_, flags_, ...)                                                        \
	{                                                                                          \
		.reg = (reg_), .rm = (rm_), .width = (width_), .flags = (flags_), .feature = {     \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

/* What the legacy, the VEX.128 and the VEX.256 form need (VEX: AVX besides); 0: there is none. */
#define F_MMX   VEC_MMX, 0, 0
#define F_MSSE  VEC_SSE, 0, 0
#define F_MSSE2 VEC_SSE2, 0, 0
#define F_MSSE3 VEC_SSSE3, 0, 0
#define F_SSE   VEC_SSE, VEC_AVX, VEC_AVX
#define F_SSE2  VEC_SSE2, VEC_AVX, VEC_AVX
#define F_SSE3  VEC_SSE3, VEC_AVX, VEC_AVX
#define F_SSE41 VEC_SSE41, VEC_AVX, VEC_AVX
/* 128 bits only */
#define F_SSE_L0   VEC_SSE, VEC_AVX, 0
#define F_SSE2_L0  VEC_SSE2, VEC_AVX, 0
#define F_SSE41_L0 VEC_SSE41, VEC_AVX, 0
#define F_SSE42_L0 VEC_SSE42, VEC_AVX, 0
#define F_AES_L0   VEC_AES, VEC_AES, 0
/* integers: 256 bits are AVX2's */
#define F_INT     VEC_SSE2, VEC_AVX, VEC_AVX2
#define F_SSSE3   VEC_SSSE3, VEC_AVX, VEC_AVX2
#define F_INT41   VEC_SSE41, VEC_AVX, VEC_AVX2
#define F_INT42   VEC_SSE42, VEC_AVX, VEC_AVX2
#define F_AES     VEC_AES, VEC_AES, VEC_VAES
#define F_PCLMUL  VEC_PCLMUL, VEC_PCLMUL, VEC_VPCLMUL
#define F_GFNI    VEC_GFNI, VEC_GFNI, VEC_GFNI
#define F_LEGACY  VEC_SSE41, 0, 0
#define F_SHA     VEC_SHA, 0, 0
#define F_AVX     0, VEC_AVX, VEC_AVX
#define F_AVX_L1  0, 0, VEC_AVX
#define F_AVX2    0, VEC_AVX2, VEC_AVX2
#define F_BLEND   0, VEC_AVX, VEC_AVX2
#define F_AVX2_L1 0, 0, VEC_AVX2
#define F_FMA     0, VEC_FMA, VEC_FMA
#define F_F16C    0, VEC_F16C, VEC_F16C
#define F_VNNI    0, VEC_VNNI, VEC_VNNI

/* clang-format off */
/* Packed and scalar, single and double: none, 66, F3, F2. */
#define ARITHMETIC(flags) { \
	[NP] = ROW(V, V, FULL, (flags) | NDS | FP, F_SSE), \
	[P66] = ROW(V, V, FULL, (flags) | NDS | FP, F_SSE2), \
	[F3] = ROW(X, X, 4, (flags) | NDS | LIG | FP, F_SSE), \
	[F2] = ROW(X, X, 8, (flags) | NDS | LIG | FP, F_SSE2) }
/* Packed single and double alone. */
#define PACKED(flags) { \
	[NP] = ROW(V, V, FULL, flags, F_SSE), [P66] = ROW(V, V, FULL, flags, F_SSE2) }
/* On MMX and, with 66, on XMM and YMM registers; mmx: what the MMX form needs. */
#define INTEGER(mmx) { \
	[NP] = ROW(P, P, 8, 0, mmx), [P66] = ROW(V, V, FULL, NDS, F_INT) }
#define UNPACK { /* the MMX form reads half */ \
	[NP] = ROW(P, P, 4, 0, F_MMX), [P66] = ROW(V, V, FULL, NDS, F_INT) }
#define SHIFT { /* by a count that is 64 or 128 bits wide */ \
	[NP] = ROW(P, P, 8, 0, F_MMX), [P66] = ROW(V, X, 16, NDS, F_INT) }
#define SHIFT_IMM { \
	[NP] = ROW(EXT, P, 0, TO_VVVV, F_MMX), [P66] = ROW(EXT, V, 0, TO_VVVV, F_INT) }

static const struct vec_row rows_0f[256][4] = {
	[0x10] = { [NP] = ROW(V, V, FULL, UNAL | MOVE, F_SSE),
	           [P66] = ROW(V, V, FULL, UNAL | MOVE, F_SSE2),
	           [F3] = ROW(X, X, 4, NDSR | LIG | MOVE, F_SSE),
	           [F2] = ROW(X, X, 8, NDSR | LIG | MOVE, F_SSE2) },
	[0x11] = { [NP] = ROW(V, V, FULL, UNAL | MOVE | TO_RM, F_SSE),
	           [P66] = ROW(V, V, FULL, UNAL | MOVE | TO_RM, F_SSE2),
	           [F3] = ROW(X, X, 4, NDSR | LIG | MOVE | TO_RM, F_SSE),
	           [F2] = ROW(X, X, 8, NDSR | LIG | MOVE | TO_RM, F_SSE2) },
	[0x12] = { [NP] = ROW(X, X, 8, NDS, F_SSE_L0), /* MOVLPS, MOVHLPS */
	           [P66] = ROW(X, X, 8, NDS, F_SSE2_L0),
	           [F3] = ROW(V, V, FULL, 0, F_SSE3), [F2] = ROW(V, V, DUP, 0, F_SSE3) },
	[0x13] = { [NP] = ROW(X, X, 8, TO_RM, F_SSE_L0), [P66] = ROW(X, X, 8, TO_RM, F_SSE2_L0) },
	[0x14 ... 0x15] = PACKED(NDS),
	[0x16] = { [NP] = ROW(X, X, 8, NDS, F_SSE_L0), /* MOVHPS, MOVLHPS */
	           [P66] = ROW(X, X, 8, NDS, F_SSE2_L0), [F3] = ROW(V, V, FULL, 0, F_SSE3) },
	[0x17] = { [NP] = ROW(X, X, 8, TO_RM, F_SSE_L0), [P66] = ROW(X, X, 8, TO_RM, F_SSE2_L0) },
	[0x28] = PACKED(ALIGN | MOVE),
	[0x29] = PACKED(ALIGN | MOVE | TO_RM),
	[0x2a] = { [NP] = ROW(X, P, 8, FP | VEC_NO_MMX, F_MSSE), /* CVTPI2PS, CVTPI2PD */
	           [P66] = ROW(X, P, 8, VEC_NO_MMX, F_MSSE2),
	           [F3] = ROW(X, G, Y, NDS | LIG | FP, F_SSE),
	           [F2] = ROW(X, G, Y, NDS | LIG | FP, F_SSE2) },
	[0x2b] = PACKED(ALIGN | MOVE | TO_RM),
	[0x2c ... 0x2d] = { [NP] = ROW(P, X, 8, FP, F_MSSE), [P66] = ROW(P, X, 16, FP, F_MSSE2),
	           [F3] = ROW(G, X, 4, LIG | FP, F_SSE), [F2] = ROW(G, X, 8, LIG | FP, F_SSE2) },
	[0x2e ... 0x2f] = { [NP] = ROW(X, X, 4, TO_NONE | LIG | FP | EFL, F_SSE),
	           [P66] = ROW(X, X, 8, TO_NONE | LIG | FP | EFL, F_SSE2) },
	[0x50] = { [NP] = ROW(G, V, 0, 0, F_SSE), [P66] = ROW(G, V, 0, 0, F_SSE2) },
	[0x51] = { [NP] = ROW(V, V, FULL, FP, F_SSE), [P66] = ROW(V, V, FULL, FP, F_SSE2),
	           [F3] = ROW(X, X, 4, NDS | LIG | FP, F_SSE),
	           [F2] = ROW(X, X, 8, NDS | LIG | FP, F_SSE2) },
	[0x52 ... 0x53] = { [NP] = ROW(V, V, FULL, 0, F_SSE), [F3] = ROW(X, X, 4, NDS | LIG, F_SSE) },
	[0x54 ... 0x57] = PACKED(NDS),
	[0x58 ... 0x59] = ARITHMETIC(0),
	[0x5a] = { [NP] = ROW(V, X, HALF, FP, F_SSE2), [P66] = ROW(X, V, FULL, FP, F_SSE2),
	           [F3] = ROW(X, X, 4, NDS | LIG | FP, F_SSE2),
	           [F2] = ROW(X, X, 8, NDS | LIG | FP, F_SSE2) },
	[0x5b] = { [NP] = ROW(V, V, FULL, FP, F_SSE2), [P66] = ROW(V, V, FULL, FP, F_SSE2),
	           [F3] = ROW(V, V, FULL, FP, F_SSE2) },
	[0x5c ... 0x5f] = ARITHMETIC(0),
	[0x60 ... 0x62] = UNPACK,
	[0x63 ... 0x67] = INTEGER(F_MMX),
	[0x68 ... 0x6a] = INTEGER(F_MMX),
	[0x6b] = INTEGER(F_MMX),
	[0x6c ... 0x6d] = { [P66] = ROW(V, V, FULL, NDS, F_INT) },
	[0x6e] = { [NP] = ROW(P, G, Y, 0, F_MMX), [P66] = ROW(X, G, Y, MOVE, F_SSE2_L0) },
	[0x6f] = { [NP] = ROW(P, P, 8, 0, F_MMX), [P66] = ROW(V, V, FULL, ALIGN | MOVE, F_SSE2),
	           [F3] = ROW(V, V, FULL, UNAL | MOVE, F_SSE2) },
	[0x70] = { [NP] = ROW(P, P, 8, 0, F_MSSE), [P66] = ROW(V, V, FULL, 0, F_INT),
	           [F3] = ROW(V, V, FULL, 0, F_INT), [F2] = ROW(V, V, FULL, 0, F_INT) },
	[0x71 ... 0x73] = SHIFT_IMM,
	[0x74 ... 0x76] = INTEGER(F_MMX),
	[0x7c ... 0x7d] = { [P66] = ROW(V, V, FULL, NDS | FP, F_SSE3),
	           [F2] = ROW(V, V, FULL, NDS | FP, F_SSE3) },
	[0x7e] = { [NP] = ROW(P, G, Y, TO_RM, F_MMX), [P66] = ROW(X, G, Y, TO_RM | MOVE, F_SSE2_L0),
	           [F3] = ROW(X, X, 8, MOVE, F_SSE2_L0) },
	[0x7f] = { [NP] = ROW(P, P, 8, TO_RM, F_MMX),
	           [P66] = ROW(V, V, FULL, ALIGN | MOVE | TO_RM, F_SSE2),
	           [F3] = ROW(V, V, FULL, UNAL | MOVE | TO_RM, F_SSE2) },
	[0xc2] = ARITHMETIC(0),
	[0xc4] = { [NP] = ROW(P, G, 2, 0, F_MSSE), [P66] = ROW(X, G, 2, NDS, F_SSE2_L0) },
	[0xc5] = { [NP] = ROW(G, P, 0, 0, F_MSSE), [P66] = ROW(G, X, 0, 0, F_SSE2_L0) },
	[0xc6] = PACKED(NDS),
	[0xd0] = { [P66] = ROW(V, V, FULL, NDS | FP, F_SSE3), [F2] = ROW(V, V, FULL, NDS | FP, F_SSE3) },
	[0xd1 ... 0xd3] = SHIFT,
	[0xd4] = INTEGER(F_MSSE2),
	[0xd5] = INTEGER(F_MMX),
	[0xd6] = { [P66] = ROW(X, X, 8, TO_RM | MOVE, F_SSE2_L0), [F3] = ROW(X, P, 0, 0, F_MSSE2),
	           [F2] = ROW(P, X, 0, 0, F_MSSE2) },
	[0xd7] = { [NP] = ROW(G, P, 0, 0, F_MSSE), [P66] = ROW(G, V, 0, 0, F_INT) },
	[0xd8 ... 0xd9] = INTEGER(F_MMX),
	[0xda] = INTEGER(F_MSSE),
	[0xdb ... 0xdd] = INTEGER(F_MMX),
	[0xde] = INTEGER(F_MSSE),
	[0xdf] = INTEGER(F_MMX),
	[0xe0] = INTEGER(F_MSSE),
	[0xe1 ... 0xe2] = SHIFT,
	[0xe3 ... 0xe4] = INTEGER(F_MSSE),
	[0xe5] = INTEGER(F_MMX),
	[0xe6] = { [P66] = ROW(X, V, FULL, FP, F_SSE2), [F3] = ROW(V, X, HALF, 0, F_SSE2),
	           [F2] = ROW(X, V, FULL, FP, F_SSE2) },
	[0xe7] = { [NP] = ROW(P, P, 8, TO_RM, F_MSSE),
	           [P66] = ROW(V, V, FULL, ALIGN | MOVE | TO_RM, F_SSE2) },
	[0xe8 ... 0xe9] = INTEGER(F_MMX),
	[0xea] = INTEGER(F_MSSE),
	[0xeb ... 0xed] = INTEGER(F_MMX),
	[0xee] = INTEGER(F_MSSE),
	[0xef] = INTEGER(F_MMX),
	[0xf0] = { [F2] = ROW(V, V, FULL, UNAL | MOVE, F_SSE3) },
	[0xf1 ... 0xf3] = SHIFT,
	[0xf4] = INTEGER(F_MSSE2),
	[0xf5] = INTEGER(F_MMX),
	[0xf6] = INTEGER(F_MSSE),
	[0xf8 ... 0xfa] = INTEGER(F_MMX),
	[0xfb] = INTEGER(F_MSSE2),
	[0xfc ... 0xfe] = INTEGER(F_MMX),
};

#define ONLY_66(reg, rm, width, flags, features) { [P66] = ROW(reg, rm, width, flags, features) }
#define FMA_PACKED ONLY_66(V, V, FULL, NDS | RMW | FP, F_FMA)
#define FMA_SCALAR ONLY_66(X, X, Y, NDS | RMW | LIG | FP, F_FMA)
/* Twelve opcodes from FMADDSUB, FMSUBADD, FMADD on. */
#define FMA_ROWS(base) \
	[(base) ... (base) + 2] = FMA_PACKED, [(base) + 3] = FMA_SCALAR, \
	[(base) + 4] = FMA_PACKED, [(base) + 5] = FMA_SCALAR, [(base) + 6] = FMA_PACKED, \
	[(base) + 7] = FMA_SCALAR, [(base) + 8] = FMA_PACKED, [(base) + 9] = FMA_SCALAR

static const struct vec_row rows_0f38[256][4] = {
	[0x00 ... 0x0b] = { [NP] = ROW(P, P, 8, 0, F_MSSE3), [P66] = ROW(V, V, FULL, NDS, F_SSSE3) },
	[0x0c ... 0x0d] = ONLY_66(V, V, FULL, NDS | W0, F_AVX),
	[0x0e ... 0x0f] = ONLY_66(V, V, FULL, TO_NONE | EFL | W0, F_AVX),
	[0x10] = ONLY_66(X, X, 16, VEC_XMM0, F_LEGACY),
	[0x13] = ONLY_66(V, X, HALF, FP | W0 | VEC_NO_AC, F_F16C),
	[0x14 ... 0x15] = ONLY_66(X, X, 16, VEC_XMM0, F_LEGACY),
	[0x16] = ONLY_66(V, V, FULL, NDS | W0, F_AVX2_L1),
	[0x17] = ONLY_66(V, V, FULL, TO_NONE | EFL, F_SSE41),
	[0x18] = ONLY_66(V, X, 4, W0 | VEC_REG_AVX2, F_AVX),
	[0x19] = ONLY_66(V, X, 8, W0 | VEC_REG_AVX2, F_AVX_L1),
	[0x1a] = ONLY_66(V, X, 16, W0, F_AVX_L1),
	[0x1c ... 0x1e] = { [NP] = ROW(P, P, 8, 0, F_MSSE3), [P66] = ROW(V, V, FULL, 0, F_SSSE3) },
	[0x20] = ONLY_66(V, X, HALF, 0, F_INT41), /* PMOVSX BW, BD, BQ, WD, WQ, DQ */
	[0x21] = ONLY_66(V, X, QRTR, 0, F_INT41),
	[0x22] = ONLY_66(V, X, EGTH, 0, F_INT41),
	[0x23] = ONLY_66(V, X, HALF, 0, F_INT41),
	[0x24] = ONLY_66(V, X, QRTR, 0, F_INT41),
	[0x25] = ONLY_66(V, X, HALF, 0, F_INT41),
	[0x28 ... 0x29] = ONLY_66(V, V, FULL, NDS, F_INT41),
	[0x2a] = ONLY_66(V, V, FULL, ALIGN | MOVE, F_INT41), /* MOVNTDQA */
	[0x2b] = ONLY_66(V, V, FULL, NDS, F_INT41),
	[0x30] = ONLY_66(V, X, HALF, 0, F_INT41), /* PMOVZX in the same order */
	[0x31] = ONLY_66(V, X, QRTR, 0, F_INT41),
	[0x32] = ONLY_66(V, X, EGTH, 0, F_INT41),
	[0x33] = ONLY_66(V, X, HALF, 0, F_INT41),
	[0x34] = ONLY_66(V, X, QRTR, 0, F_INT41),
	[0x35] = ONLY_66(V, X, HALF, 0, F_INT41),
	[0x36] = ONLY_66(V, V, FULL, NDS | W0, F_AVX2_L1),
	[0x37] = ONLY_66(V, V, FULL, NDS, F_INT42),
	[0x38 ... 0x40] = ONLY_66(V, V, FULL, NDS, F_INT41),
	[0x41] = ONLY_66(X, X, 16, 0, F_SSE41_L0),
	[0x45] = ONLY_66(V, V, FULL, NDS, F_AVX2), /* by W: VPSRLVD, VPSRLVQ */
	[0x46] = ONLY_66(V, V, FULL, NDS | W0, F_AVX2),
	[0x47] = ONLY_66(V, V, FULL, NDS, F_AVX2),
	[0x50 ... 0x53] = ONLY_66(V, V, FULL, NDS | RMW | W0, F_VNNI),
	[0x58] = ONLY_66(V, X, 4, W0, F_AVX2),
	[0x59] = ONLY_66(V, X, 8, W0, F_AVX2),
	[0x5a] = ONLY_66(V, X, 16, W0, F_AVX2_L1),
	[0x78] = ONLY_66(V, X, 1, W0, F_AVX2),
	[0x79] = ONLY_66(V, X, 2, W0, F_AVX2),
	FMA_ROWS(0x96),
	FMA_ROWS(0xa6),
	FMA_ROWS(0xb6),
	[0xc8 ... 0xca] = { [NP] = ROW(X, X, 16, 0, F_SHA) },
	[0xcb] = { [NP] = ROW(X, X, 16, VEC_XMM0, F_SHA) }, /* SHA256RNDS2 */
	[0xcc ... 0xcd] = { [NP] = ROW(X, X, 16, 0, F_SHA) },
	[0xcf] = ONLY_66(V, V, FULL, NDS | W0, F_GFNI),
	[0xdb] = ONLY_66(X, X, 16, 0, F_AES_L0),
	[0xdc ... 0xdf] = ONLY_66(V, V, FULL, NDS, F_AES),
};

static const struct vec_row rows_0f3a[256][4] = {
	[0x00 ... 0x01] = ONLY_66(V, V, FULL, W1, F_AVX2_L1),
	[0x02] = ONLY_66(V, V, FULL, NDS | W0, F_AVX2),
	[0x04 ... 0x05] = ONLY_66(V, V, FULL, W0, F_AVX),
	[0x06] = ONLY_66(V, V, FULL, NDS | W0, F_AVX_L1),
	[0x08 ... 0x09] = ONLY_66(V, V, FULL, FP, F_SSE41),
	[0x0a] = ONLY_66(X, X, 4, NDS | LIG | FP, F_SSE41),
	[0x0b] = ONLY_66(X, X, 8, NDS | LIG | FP, F_SSE41),
	[0x0c ... 0x0d] = ONLY_66(V, V, FULL, NDS, F_SSE41),
	[0x0e] = ONLY_66(V, V, FULL, NDS, F_INT41),
	[0x0f] = { [NP] = ROW(P, P, 8, 0, F_MSSE3), [P66] = ROW(V, V, FULL, NDS, F_SSSE3) },
	[0x14] = ONLY_66(X, G, 1, TO_RM, F_SSE41_L0),
	[0x15] = ONLY_66(X, G, 2, TO_RM, F_SSE41_L0),
	[0x16] = ONLY_66(X, G, Y, TO_RM, F_SSE41_L0),
	[0x17] = ONLY_66(X, G, 4, TO_RM, F_SSE41_L0),
	[0x18] = ONLY_66(V, X, 16, NDS | W0, F_AVX_L1),
	[0x19] = ONLY_66(V, X, 16, TO_RM | W0, F_AVX_L1),
	[0x1d] = ONLY_66(V, X, HALF, TO_RM | FP | W0 | VEC_NO_AC, F_F16C),
	[0x20] = ONLY_66(X, G, 1, NDS, F_SSE41_L0),
	[0x21] = ONLY_66(X, X, 4, NDS, F_SSE41_L0),
	[0x22] = ONLY_66(X, G, Y, NDS, F_SSE41_L0),
	[0x38] = ONLY_66(V, X, 16, NDS | W0, F_AVX2_L1),
	[0x39] = ONLY_66(V, X, 16, TO_RM | W0, F_AVX2_L1),
	[0x40] = ONLY_66(V, V, FULL, NDS | FP, F_SSE41),
	[0x41] = ONLY_66(X, X, 16, NDS | FP, F_SSE41_L0),
	[0x42] = ONLY_66(V, V, FULL, NDS, F_INT41),
	[0x44] = ONLY_66(V, V, FULL, NDS, F_PCLMUL),
	[0x46] = ONLY_66(V, V, FULL, NDS | W0, F_AVX2_L1),
	[0x4a ... 0x4b] = ONLY_66(V, V, FULL, NDS | VEC_IS4 | W0, F_AVX),
	[0x4c] = ONLY_66(V, V, FULL, NDS | VEC_IS4 | W0, F_BLEND),
	[0x60] = ONLY_66(X, X, 16, STR | VEC_LENGTHS | VEC_TO_XMM0, F_SSE42_L0),
	[0x61] = ONLY_66(X, X, 16, STR | VEC_LENGTHS | VEC_TO_ECX, F_SSE42_L0),
	[0x62] = ONLY_66(X, X, 16, STR | VEC_TO_XMM0, F_SSE42_L0),
	[0x63] = ONLY_66(X, X, 16, STR | VEC_TO_ECX, F_SSE42_L0),
	[0xcc] = { [NP] = ROW(X, X, 16, 0, F_SHA) },
	[0xce ... 0xcf] = ONLY_66(V, V, FULL, NDS | W1, F_GFNI),
	[0xdf] = ONLY_66(X, X, 16, 0, F_AES_L0),
};
/* clang-format on */

const struct vec_row *emu_vec_row(unsigned map, unsigned pp, unsigned opcode)
{
	static const struct vec_row(*const maps[4])[4] = { NULL, rows_0f, rows_0f38, rows_0f3a };
	const struct vec_row *row;

	if (map < 1 || map > 3)
		return NULL;
	row = &maps[map][opcode & 0xff][pp & 3];
	return row->rm ? row : NULL;
}
