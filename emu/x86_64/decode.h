/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x86 instruction decoder: bytes -> struct x86_insn. It knows encodings (opcodes.h) and no
 * semantics, keeps no state and reads nothing but the bytes it is given.
 *
 * Covered: every legacy, REX and VEX encoding of the one-byte, 0F, 0F38 and 0F3A maps, in 16-, 32-
 * and 64-bit mode. Of EVEX encodings, the length and the memory operand with its displacement as
 * encoded (not scaled). Not defined here, because no CPU that Hypercore runs on has them: XOP,
 * 3DNow!.
 */
#ifndef EMU_X86_64_DECODE_H
#define EMU_X86_64_DECODE_H

#include <hypercore/types.h>
#include <hypercore/x86_state.h>

#include "emu/x86_64/opcodes.h"

/* The longest instruction (SDM Vol. 2A 2.3.11). */
#define X86_INSN_MAX 15

/* Default operand and address size of the code segment; 64: EFER.LMA and CS.L. */
enum x86_mode { X86_MODE_16 = 16, X86_MODE_32 = 32, X86_MODE_64 = 64 };

/* x86_insn.prefixes. Of F2 and F3 the last one counts, and only that one is set. */
#define X86_PFX_66   0x01u
#define X86_PFX_F3   0x02u
#define X86_PFX_F2   0x04u
#define X86_PFX_67   0x08u
#define X86_PFX_LOCK 0x10u
#define X86_PFX_SEG  0x20u /* a segment override that counts */
#define X86_PFX_VEX  0x40u
#define X86_PFX_EVEX 0x80u

/* x86_insn.base and .index besides 0 to 15. */
#define X86_REG_RIP  0x10u /* base only: the address of the next instruction */
#define X86_REG_NONE 0xffu

/* x86_insn.vex */
#define X86_VEX_W 0x80u
#define X86_VEX_L 0x04u /* 256 bits */

struct x86_insn {
	uint16_t op;       /* enum x86_op */
	uint8_t length;    /* bytes, 1 to 15 */
	uint8_t form;      /* enum x86_form, up to X86_FORM_LAST_OPERANDS */
	uint8_t map;       /* 0: one-byte, 1: 0F, 2: 0F38, 3: 0F3A; EVEX: also 5 and 6 */
	uint8_t opcode;    /* the last opcode byte */
	uint8_t prefixes;  /* X86_PFX_... */
	uint8_t rex;       /* 0x40 to 0x4f, 0: none; with VEX, its W, R, X, B in REX's places */
	uint8_t opsize;    /* effective operand size in bytes: 2, 4, 8 */
	uint8_t adsize;    /* effective address size in bytes: 2, 4, 8 */
	uint8_t reg_width; /* bytes of the register operand; 0: none, or not told by the tables */
	uint8_t rm_width;  /* bytes of the r/m or string operand; 0: the same */
	uint8_t is_mem;    /* r/m is in memory: base, index, scale, disp, seg describe it */
	uint8_t modrm;     /* the ModRM byte, where the form has one */
	uint8_t reg;       /* ModRM.reg or the register in the opcode, with REX: 0 to 15 */
	uint8_t rm;        /* ModRM.rm with REX.B, when r/m is a register */
	uint8_t base;      /* 0 to 15, X86_REG_RIP, X86_REG_NONE */
	uint8_t index;     /* 0 to 15, X86_REG_NONE */
	uint8_t scale;     /* log2 of the index's factor: 0 to 3 */
	uint8_t seg;       /* enum x86_seg: default or override; moffs and string sources too */
	uint8_t vvvv;      /* VEX.vvvv, the register it means: 0 to 15 */
	uint8_t vex;       /* X86_VEX_W, X86_VEX_L as encoded, W also where rex does not have it */
	uint16_t imm2;     /* second immediate: far selector, ENTER's level */
	int32_t disp;      /* displacement, sign-extended */
	uint64_t imm;      /* immediate, branch displacement (sign-extended) or moffs address */
};

/*
 * Decodes the instruction at bytes[0]; n bytes are readable. Returns its length, 1 to 15, with *out
 * filled in. On errors *out is undefined but for map and opcode:
 *  -EAGAIN  the n bytes end before the instruction does: fetch more
 *  -EPROTO  longer than 15 bytes (#GP(0) on hardware)
 *  -EINVAL  no instruction in this mode, or LOCK where it is not allowed (#UD on hardware)
 * Near branches in 64-bit mode ignore an operand-size prefix, as on Intel CPUs.
 */
int x86_decode(struct x86_insn *restrict in, const uint8_t *restrict bytes, size_t n,
               enum x86_mode mode);

/*
 * The length alone, with x86_decode's errors, for exits that do not report the next RIP; the most
 * frequent of those instructions, when they have no prefix, are not decoded at all.
 */
static inline int x86_decode_length(const uint8_t *bytes, size_t n, enum x86_mode mode)
{
	struct x86_insn insn;

	/* CPUID, WRMSR, RDTSC, RDMSR, RDPMC; HLT; VMMCALL */
	if (n >= 2 && bytes[0] == 0x0f && (bytes[1] == 0xa2 || (bytes[1] & 0xfc) == 0x30))
		return 2;
	if (n >= 1 && bytes[0] == 0xf4)
		return 1;
	if (n >= 3 && bytes[0] == 0x0f && bytes[1] == 0x01 && bytes[2] == 0xd9)
		return 3;
	return x86_decode(&insn, bytes, n, mode);
}

#endif
