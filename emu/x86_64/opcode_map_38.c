/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 0F38 and 0F3A maps (SDM Vol. 2D A.3, tables ), and the maps under a VEX prefix
 * (SDM Vol. 2D A.3; APM Vol. 4 and Vol. 6 for FMA4).
 */
#include "emu/x86_64/opcodes.h"

#define ROW    X86_ROW
#define GO     X86_GO
#define SIMD   X86_SIMD
#define SIMD_I X86_SIMD_I
#define NP     X86_P_NP
#define P66    X86_P_66
#define F3     X86_P_F3
#define F2     X86_P_F2
#define ALL    X86_P_ALL
#define MEM    X86_F_MEM
#define REG    X86_F_REG

/* clang-format off */
const struct x86_opcode x86_map_0f38[256] = {
	[0x00 ... 0x0b] = SIMD(NP | P66),
	[0x10] = SIMD(P66),
	[0x14 ... 0x15] = SIMD(P66),
	[0x17] = SIMD(P66),
	[0x1c ... 0x1e] = SIMD(NP | P66),
	[0x20 ... 0x25] = SIMD(P66),
	[0x28 ... 0x29] = SIMD(P66),
	[0x2a] = SIMD(P66 | MEM),
	[0x2b] = SIMD(P66),
	[0x30 ... 0x35] = SIMD(P66),
	[0x37 ... 0x41] = SIMD(P66),
	[0x80] = ROW(INVEPT, RM, N, DQ, NONE, P66 | MEM),
	[0x81] = ROW(INVVPID, RM, N, DQ, NONE, P66 | MEM),
	[0x82] = ROW(INVPCID, RM, N, DQ, NONE, P66 | MEM),
	[0xc8 ... 0xcd] = SIMD(NP),
	[0xcf] = SIMD(P66),
	[0xdb ... 0xdf] = SIMD(P66),
	[0xf0] = GO(PFX, 38F0),
	[0xf1] = GO(PFX, 38F1),
	[0xf5] = ROW(WRUSS, MR, Y, Y, NONE, P66 | MEM),
	[0xf6] = GO(PFX, 38F6),
	[0xf8] = GO(PFX, 38F8),
	[0xf9] = ROW(MOVDIRI, MR, Y, Y, NONE, NP | MEM),
};

const struct x86_opcode x86_map_0f3a[256] = {
	[0x08 ... 0x0e] = SIMD_I(P66),
	[0x0f] = SIMD_I(NP | P66),
	[0x14 ... 0x17] = SIMD_I(P66),
	[0x20 ... 0x22] = SIMD_I(P66),
	[0x40 ... 0x42] = SIMD_I(P66),
	[0x44] = SIMD_I(P66),
	[0x60 ... 0x63] = SIMD_I(P66),
	[0xcc] = SIMD_I(NP),
	[0xce ... 0xcf] = SIMD_I(P66),
	[0xdf] = SIMD_I(P66),
};

const struct x86_opcode x86_vex_0f[256] = {
	[0x10 ... 0x11] = SIMD(ALL),
	[0x12] = GO(MOD, 0F12),
	[0x13] = SIMD(NP | P66 | MEM),
	[0x14 ... 0x15] = SIMD(NP | P66),
	[0x16] = GO(MOD, 0F16),
	[0x17] = SIMD(NP | P66 | MEM),
	[0x28 ... 0x29] = SIMD(NP | P66),
	[0x2a] = SIMD(F3 | F2),
	[0x2b] = SIMD(NP | P66 | MEM),
	[0x2c ... 0x2d] = SIMD(F3 | F2),
	[0x2e ... 0x2f] = SIMD(NP | P66),
	[0x41 ... 0x42] = SIMD(NP | P66 | REG), /* 41 to 4B, 90 to 99: AVX-512 mask registers */
	[0x44 ... 0x47] = SIMD(NP | P66 | REG),
	[0x4a ... 0x4b] = SIMD(NP | P66 | REG),
	[0x50] = SIMD(NP | P66 | REG),
	[0x51] = SIMD(ALL),
	[0x52 ... 0x53] = SIMD(NP | F3),
	[0x54 ... 0x57] = SIMD(NP | P66),
	[0x58 ... 0x5a] = SIMD(ALL),
	[0x5b] = SIMD(NP | P66 | F3),
	[0x5c ... 0x5f] = SIMD(ALL),
	[0x60 ... 0x6e] = SIMD(P66),
	[0x6f] = SIMD(P66 | F3),
	[0x70] = SIMD_I(P66 | F3 | F2),
	[0x71] = GO(REG, G12),
	[0x72] = GO(REG, G13),
	[0x73] = GO(REG, G14),
	[0x74 ... 0x76] = SIMD(P66),
	[0x77] = ROW(SIMD, ZO, NONE, NONE, NONE, NP),
	[0x7c ... 0x7d] = SIMD(P66 | F2),
	[0x7e] = SIMD(P66 | F3),
	[0x7f] = SIMD(P66 | F3),
	[0x90] = SIMD(NP | P66),
	[0x91] = SIMD(NP | P66 | MEM),
	[0x92 ... 0x93] = SIMD(NP | P66 | F2 | REG),
	[0x98 ... 0x99] = SIMD(NP | P66 | REG),
	[0xae] = GO(REG, V15),
	[0xc2] = SIMD_I(ALL),
	[0xc4] = SIMD_I(P66),
	[0xc5] = SIMD_I(P66 | REG),
	[0xc6] = SIMD_I(NP | P66),
	[0xd0] = SIMD(P66 | F2),
	[0xd1 ... 0xd6] = SIMD(P66),
	[0xd7] = SIMD(P66 | REG),
	[0xd8 ... 0xe5] = SIMD(P66),
	[0xe6] = SIMD(P66 | F3 | F2),
	[0xe7] = SIMD(P66 | MEM),
	[0xe8 ... 0xef] = SIMD(P66),
	[0xf0] = SIMD(F2 | MEM),
	[0xf1 ... 0xf6] = SIMD(P66),
	[0xf7] = SIMD(P66 | REG),
	[0xf8 ... 0xfe] = SIMD(P66),
};

const struct x86_opcode x86_vex_0f38[256] = {
	[0x00 ... 0x0f] = SIMD(P66),
	[0x13] = SIMD(P66),
	[0x16 ... 0x19] = SIMD(P66),
	[0x1a] = SIMD(P66 | MEM),
	[0x1c ... 0x1e] = SIMD(P66),
	[0x20 ... 0x25] = SIMD(P66),
	[0x28 ... 0x29] = SIMD(P66),
	[0x2a] = SIMD(P66 | MEM),
	[0x2b] = SIMD(P66),
	[0x2c ... 0x2f] = SIMD(P66 | MEM),
	[0x30 ... 0x41] = SIMD(P66),
	[0x45 ... 0x47] = SIMD(P66),
	[0x50 ... 0x53] = SIMD(P66),
	[0x58 ... 0x59] = SIMD(P66),
	[0x5a] = SIMD(P66 | MEM),
	[0x78 ... 0x79] = SIMD(P66),
	[0x8c] = SIMD(P66 | MEM),
	[0x8e] = SIMD(P66 | MEM),
	[0x90 ... 0x93] = SIMD(P66 | MEM), /* gathers: the index is a vector register */
	[0x96 ... 0x9f] = SIMD(P66),
	[0xa6 ... 0xaf] = SIMD(P66),
	[0xb6 ... 0xbf] = SIMD(P66),
	[0xcf] = SIMD(P66),
	[0xdb ... 0xdf] = SIMD(P66),
	[0xf2] = ROW(ANDN, RM, Y, Y, NONE, NP),
	[0xf3] = GO(REG, V17),
	[0xf5] = GO(PFX, V38F5),
	[0xf6] = ROW(MULX, RM, Y, Y, NONE, F2),
	[0xf7] = GO(PFX, V38F7),
};

const struct x86_opcode x86_vex_0f3a[256] = {
	[0x00 ... 0x02] = SIMD_I(P66),
	[0x04 ... 0x06] = SIMD_I(P66),
	[0x08 ... 0x0f] = SIMD_I(P66),
	[0x14 ... 0x19] = SIMD_I(P66),
	[0x1d] = SIMD_I(P66),
	[0x20 ... 0x22] = SIMD_I(P66),
	[0x30 ... 0x33] = SIMD_I(P66 | REG),
	[0x38 ... 0x39] = SIMD_I(P66),
	[0x40 ... 0x42] = SIMD_I(P66),
	[0x44] = SIMD_I(P66),
	[0x46] = SIMD_I(P66),
	[0x48 ... 0x4c] = SIMD_I(P66),
	[0x5c ... 0x63] = SIMD_I(P66),
	[0x68 ... 0x6f] = SIMD_I(P66), /* here and 5C to 5F, 78 to 7F: FMA4 */
	[0x78 ... 0x7f] = SIMD_I(P66),
	[0xce ... 0xcf] = SIMD_I(P66),
	[0xdf] = SIMD_I(P66),
	[0xf0] = ROW(RORX, RMI, Y, Y, UB, F2),
};
/* clang-format on */
