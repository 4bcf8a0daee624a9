/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The opcode tables: one row per opcode, in the terms of SDM Vol. 2 (3.1.1 for Op/En, A.2 for the
 * operand codes). The decoder interprets rows; a row never says what an instruction does.
 */
#ifndef EMU_X86_64_OPCODES_H
#define EMU_X86_64_OPCODES_H

#include <stdint.h>

#include "emu/x86_64/ops.h"

/*
 * Where the operands are: the manual's Op/En column. For MR the r/m operand is the destination, for
 * RM the register is. I with an ALU mnemonic means the accumulator and an immediate.
 */
enum x86_form {
	X86_FORM_ZO, /* no operand, or implied ones only */
	X86_FORM_O,  /* a register in opcode bits 2:0 */
	X86_FORM_OI, /* the same and an immediate */
	X86_FORM_I,  /* an immediate, with or without the accumulator */
	X86_FORM_D,  /* a branch displacement or far pointer */
	X86_FORM_FD, /* accumulator <- moffs */
	X86_FORM_TD, /* moffs <- accumulator */
	X86_FORM_M,  /* the first form with a ModRM byte */
	X86_FORM_MI,
	X86_FORM_M1, /* shift by one */
	X86_FORM_MC, /* shift by CL */
	X86_FORM_MR,
	X86_FORM_MRI,
	X86_FORM_MRC,
	X86_FORM_RM,
	X86_FORM_RMI,
	X86_FORM_LAST_OPERANDS = X86_FORM_RMI,
	/* Rows that lead to another row: `op` is an enum x86_group. */
	X86_FORM_BY_REG,  /* ModRM.reg: 8 rows */
	X86_FORM_BY_MOD,  /* memory, register: 2 rows */
	X86_FORM_BY_RM,   /* ModRM.rm: 8 rows */
	X86_FORM_BY_PFX,  /* no mandatory prefix, 66, F3, F2: 4 rows */
	X86_FORM_BY_MODE, /* outside 64-bit mode, 64-bit mode: 2 rows */
	X86_FORM_X87,     /* valid when x86_x87_defined() says so */
	X86_FORM_ESCAPE,  /* 0F; C4, C5 and 62 where they are VEX and EVEX */
};

/* Operand widths, A.2.2 of the manual. */
enum x86_width {
	X86_W_NONE, /* no operand in memory, or one whose width the tables do not tell */
	X86_W_B,    /* 1 */
	X86_W_W,    /* 2 */
	X86_W_D,    /* 4 */
	X86_W_Q,    /* 8 */
	X86_W_DQ,   /* 16 */
	X86_W_V,    /* the operand size: 2, 4, 8 */
	X86_W_Z,    /* the same but at most 4 */
	X86_W_Y,    /* 8 with REX.W, else 4 */
	X86_W_P,    /* a far pointer: the operand size and 2 more */
	X86_W_A,    /* BOUND's pair: twice the operand size */
	X86_W_2Y,   /* CMPXCHG8B/16B: 8, 16 with REX.W */
	/* Those that more than the operand size decides. */
	X86_W_N,  /* the mode's own: 8 in 64-bit mode, else 4, whatever the prefixes */
	X86_W_S,  /* a pseudo-descriptor of LGDT: 10 in 64-bit mode, else 6 */
	X86_W_MW, /* V as a register, 2 in memory */
	X86_W_COUNT
};

enum x86_imm {
	X86_IMM_NONE,
	X86_IMM_IB,    /* 8 bits, sign-extended */
	X86_IMM_UB,    /* 8 bits, zero-extended */
	X86_IMM_IW,    /* 16 bits, zero-extended */
	X86_IMM_IZ,    /* 16 or 32 bits, sign-extended */
	X86_IMM_IV,    /* 16, 32 or 64 bits */
	X86_IMM_JB,    /* 8-bit branch displacement */
	X86_IMM_JZ,    /* 16- or 32-bit branch displacement */
	X86_IMM_MOFFS, /* an address of the address size */
	X86_IMM_AP,    /* offset in imm, selector in imm2 */
	X86_IMM_ENTER, /* imm16 in imm, imm8 in imm2 */
	X86_IMM_2UB,   /* two bytes (EXTRQ, INSERTQ): imm and imm2 */
};

/* Mandatory prefixes with which a row is defined; none of them set: prefixes do not matter. */
#define X86_P_NP  0x0001u
#define X86_P_66  0x0002u
#define X86_P_F3  0x0004u
#define X86_P_F2  0x0008u
#define X86_P_ALL 0x000fu
/* The rest of `flags`. */
#define X86_F_I64  0x0010u /* undefined in 64-bit mode */
#define X86_F_O64  0x0020u /* defined in 64-bit mode only */
#define X86_F_D64  0x0040u /* in 64-bit mode the operand size is 8, or 2 with 66 */
#define X86_F_F64  0x0080u /* in 64-bit mode the operand size is 8 */
#define X86_F_LOCK 0x0100u /* LOCK is allowed with a destination in memory */
#define X86_F_MEM  0x0200u /* undefined with a register as r/m */
#define X86_F_REG  0x0400u /* undefined with memory as r/m */
#define X86_F_MODX 0x0800u /* ModRM.mod is ignored: r/m is a register */

struct x86_opcode {
	uint16_t op;  /* enum x86_op, or enum x86_group for the forms BY_... */
	uint8_t form; /* enum x86_form */
	uint8_t reg;  /* enum x86_width of the register operand (ModRM.reg, opcode, accumulator) */
	uint8_t rm;   /* enum x86_width of the r/m operand */
	uint8_t imm;  /* enum x86_imm */
	uint16_t flags; /* X86_P_..., X86_F_... */
};

/* The maps; an empty row is undefined. x86_vex_*: the same maps under a VEX prefix. */
extern const struct x86_opcode x86_map_1[256];
extern const struct x86_opcode x86_map_0f[256];
extern const struct x86_opcode x86_map_0f38[256];
extern const struct x86_opcode x86_map_0f3a[256];
extern const struct x86_opcode x86_vex_0f[256];
extern const struct x86_opcode x86_vex_0f38[256];
extern const struct x86_opcode x86_vex_0f3a[256];

/* clang-format off */
#define X86_GROUPS(X) \
	X(NOP, 4) X(MOVSXD, 2) X(FROM_SREG, 8) X(TO_SREG, 8) X(G1_B, 8) X(G1_Z, 8) X(G1_IB, 8) X(G1A, 8) \
	X(G2_BI, 8) X(G2_VI, 8) X(G2_B1, 8) X(G2_V1, 8) X(G2_BC, 8) X(G2_VC, 8) \
	X(G3_B, 8) X(G3_V, 8) X(G4, 8) X(G5, 8) X(G6, 8) X(G7, 2) X(G7_MEM, 8) X(G7_REG, 8) \
	X(G7_0, 8) X(G7_1, 8) X(G7_2, 8) X(G7_3, 8) X(G7_5, 8) X(G7_7, 8) \
	X(G8, 8) X(G9, 2) X(G9_MEM, 8) X(G9_REG, 8) X(G9_6_MEM, 4) X(G9_6_REG, 4) X(G9_7_REG, 4) \
	X(G11_B, 8) X(G11_V, 8) X(XABORT, 8) X(XBEGIN, 8) X(G12, 8) X(G13, 8) X(G14, 8) \
	X(G15, 2) X(G15_MEM, 8) X(G15_REG, 8) X(G15_5_REG, 4) X(G15_6_REG, 4) \
	X(G15_6_MEM, 4) X(G15_7_MEM, 4) X(G16, 2) X(G16_MEM, 8) \
	X(WBINVD, 4) X(VMREAD, 4) X(VMWRITE, 4) X(BSF, 4) X(BSR, 4) \
	X(0F12, 2) X(0F16, 2) X(0FD6, 2) X(38F0, 4) X(38F1, 4) X(38F6, 4) X(38F8, 4) \
	X(V15, 8) X(V17, 8) X(V38F5, 4) X(V38F7, 4)
/* clang-format on */

#define X86_GROUP_ENUM_(name, rows) X86_GROUP_##name,
enum x86_group { X86_GROUPS(X86_GROUP_ENUM_) X86_GROUP_COUNT };
#undef X86_GROUP_ENUM_

/* How many rows each group has. */
#define X86_GROUP_ROWS_(name, rows) X86_ROWS_##name = (rows),
enum x86_group_rows { X86_GROUPS(X86_GROUP_ROWS_) };
#undef X86_GROUP_ROWS_

/* The rows of each group. */
extern const struct x86_opcode *const x86_group_rows[X86_GROUP_COUNT];

/* Whether opcode D8+`esc` (0..7) with this ModRM byte is a defined x87 instruction. */
_Bool x86_x87_defined(unsigned esc, uint8_t modrm);

/* clang-format off */
#define X86_ROW(op_, form_, reg_, rm_, imm_, flags_) \
	{ X86_OP_##op_, X86_FORM_##form_, X86_W_##reg_, X86_W_##rm_, X86_IMM_##imm_, flags_ }
#define X86_GO(by_, group_) \
	{ X86_GROUP_##group_, X86_FORM_BY_##by_, X86_W_NONE, X86_W_NONE, X86_IMM_NONE, 0 }
#define X86_SIMD(flags_)   X86_ROW(SIMD, RM, NONE, NONE, NONE, flags_)
#define X86_SIMD_I(flags_) X86_ROW(SIMD, RMI, NONE, NONE, UB, flags_)
/* clang-format on */

#endif
