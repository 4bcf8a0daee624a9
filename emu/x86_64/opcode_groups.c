/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opcodes whose meaning depends on ModRM, on a mandatory prefix or on the mode (SDM Vol. 2D A.4,
 * table A-6; APM Vol. 3 A.1.4), and the x87 map (SDM Vol. 2D A.5).
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
#define I64    X86_F_I64
#define O64    X86_F_O64
#define D64    X86_F_D64
#define F64    X86_F_F64
#define LOCK   X86_F_LOCK
#define MEM    X86_F_MEM
#define REG    X86_F_REG

/* clang-format off */
#define GROUP(name) static const struct x86_opcode group_##name[X86_ROWS_##name]

/* The order of BY_PFX rows: none, 66, F3, F2. */
#define PFX(np, p66, f3, f2) { np, p66, f3, f2 }
#define UNDEFINED { X86_OP_UNDEFINED, 0, 0, 0, 0, 0 }

#define NOP_ROW ROW(XCHG, O, V, NONE, NONE, 0)
GROUP(NOP) = PFX(NOP_ROW, NOP_ROW, ROW(PAUSE, ZO, NONE, NONE, NONE, 0), NOP_ROW);
GROUP(MOVSXD) = { ROW(ARPL, MR, W, W, NONE, 0), ROW(MOVSXD, RM, V, Z, NONE, 0) };

/* Six segment registers; CS cannot be loaded. */
#define FROM_SREG_ROW ROW(MOV_FROM_SREG, MR, W, MW, NONE, 0)
#define TO_SREG_ROW   ROW(MOV_TO_SREG, RM, W, W, NONE, 0)
GROUP(FROM_SREG) = { FROM_SREG_ROW, FROM_SREG_ROW, FROM_SREG_ROW, FROM_SREG_ROW, FROM_SREG_ROW,
	FROM_SREG_ROW };
GROUP(TO_SREG) = { TO_SREG_ROW, UNDEFINED, TO_SREG_ROW, TO_SREG_ROW, TO_SREG_ROW, TO_SREG_ROW };

#define GROUP_1(w, imm) { \
	ROW(ADD, MI, NONE, w, imm, LOCK), ROW(OR, MI, NONE, w, imm, LOCK), \
	ROW(ADC, MI, NONE, w, imm, LOCK), ROW(SBB, MI, NONE, w, imm, LOCK), \
	ROW(AND, MI, NONE, w, imm, LOCK), ROW(SUB, MI, NONE, w, imm, LOCK), \
	ROW(XOR, MI, NONE, w, imm, LOCK), ROW(CMP, MI, NONE, w, imm, 0) }
GROUP(G1_B) = GROUP_1(B, IB);
GROUP(G1_Z) = GROUP_1(V, IZ);
GROUP(G1_IB) = GROUP_1(V, IB);
GROUP(G1A) = { ROW(POP, M, NONE, V, NONE, D64) };

#define GROUP_2(form, w, imm) { \
	ROW(ROL, form, NONE, w, imm, 0), ROW(ROR, form, NONE, w, imm, 0), \
	ROW(RCL, form, NONE, w, imm, 0), ROW(RCR, form, NONE, w, imm, 0), \
	ROW(SHL, form, NONE, w, imm, 0), ROW(SHR, form, NONE, w, imm, 0), \
	ROW(SAL, form, NONE, w, imm, 0), ROW(SAR, form, NONE, w, imm, 0) }
GROUP(G2_BI) = GROUP_2(MI, B, UB);
GROUP(G2_VI) = GROUP_2(MI, V, UB);
GROUP(G2_B1) = GROUP_2(M1, B, NONE);
GROUP(G2_V1) = GROUP_2(M1, V, NONE);
GROUP(G2_BC) = GROUP_2(MC, B, NONE);
GROUP(G2_VC) = GROUP_2(MC, V, NONE);

/* /1 is an alias of /0 (APM Vol. 3 table A-6). */
#define GROUP_3(w, imm) { \
	ROW(TEST, MI, NONE, w, imm, 0), ROW(TEST, MI, NONE, w, imm, 0), \
	ROW(NOT, M, NONE, w, NONE, LOCK), ROW(NEG, M, NONE, w, NONE, LOCK), \
	ROW(MUL, M, NONE, w, NONE, 0), ROW(IMUL, M, NONE, w, NONE, 0), \
	ROW(DIV, M, NONE, w, NONE, 0), ROW(IDIV, M, NONE, w, NONE, 0) }
GROUP(G3_B) = GROUP_3(B, IB);
GROUP(G3_V) = GROUP_3(V, IZ);
GROUP(G4) = { ROW(INC, M, NONE, B, NONE, LOCK), ROW(DEC, M, NONE, B, NONE, LOCK) };
GROUP(G5) = {
	ROW(INC, M, NONE, V, NONE, LOCK), ROW(DEC, M, NONE, V, NONE, LOCK),
	ROW(CALL, M, NONE, V, NONE, F64), ROW(CALL_FAR, M, NONE, P, NONE, MEM),
	ROW(JMP, M, NONE, V, NONE, F64), ROW(JMP_FAR, M, NONE, P, NONE, MEM),
	ROW(PUSH, M, NONE, V, NONE, D64),
};

GROUP(G6) = {
	ROW(SLDT, M, NONE, MW, NONE, 0), ROW(STR, M, NONE, MW, NONE, 0),
	ROW(LLDT, M, NONE, W, NONE, 0), ROW(LTR, M, NONE, W, NONE, 0),
	ROW(VERR, M, NONE, W, NONE, 0), ROW(VERW, M, NONE, W, NONE, 0),
};

GROUP(G7) = { GO(REG, G7_MEM), GO(REG, G7_REG) };
GROUP(G7_MEM) = {
	ROW(SGDT, M, NONE, S, NONE, 0), ROW(SIDT, M, NONE, S, NONE, 0),
	ROW(LGDT, M, NONE, S, NONE, 0), ROW(LIDT, M, NONE, S, NONE, 0),
	ROW(SMSW, M, NONE, MW, NONE, 0), ROW(RSTORSSP, M, NONE, Q, NONE, F3),
	ROW(LMSW, M, NONE, W, NONE, 0), ROW(INVLPG, M, NONE, NONE, NONE, 0),
};
GROUP(G7_REG) = {
	GO(RM, G7_0), GO(RM, G7_1), GO(RM, G7_2), GO(RM, G7_3),
	ROW(SMSW, M, NONE, MW, NONE, 0), GO(RM, G7_5), ROW(LMSW, M, NONE, W, NONE, 0), GO(RM, G7_7),
};
#define SYS(op, flags) ROW(op, M, NONE, NONE, NONE, flags)
GROUP(G7_0) = { SYS(ENCLV, NP), SYS(VMCALL, NP), SYS(VMLAUNCH, NP), SYS(VMRESUME, NP),
	SYS(VMXOFF, NP), SYS(PCONFIG, NP) };
GROUP(G7_1) = { [0] = SYS(MONITOR, NP), [1] = SYS(MWAIT, NP), [2] = SYS(CLAC, NP),
	[3] = SYS(STAC, NP), [7] = SYS(ENCLS, NP) };
GROUP(G7_2) = { [0] = SYS(XGETBV, NP), [1] = SYS(XSETBV, NP), [4] = SYS(VMFUNC, NP),
	[5] = SYS(XEND, NP), [6] = SYS(XTEST, NP), [7] = SYS(ENCLU, NP) };
GROUP(G7_3) = { SYS(VMRUN, 0), SYS(VMMCALL, 0), SYS(VMLOAD, 0), SYS(VMSAVE, 0), SYS(STGI, 0),
	SYS(CLGI, 0), SYS(SKINIT, 0), SYS(INVLPGA, 0) };
GROUP(G7_5) = { [0] = SYS(SETSSBSY, F3), [2] = SYS(SAVEPREVSSP, F3), [6] = SYS(RDPKRU, NP),
	[7] = SYS(WRPKRU, NP) };
GROUP(G7_7) = { SYS(SWAPGS, O64), SYS(RDTSCP, 0), SYS(MONITORX, 0), SYS(MWAITX, 0),
	SYS(CLZERO, 0), SYS(RDPRU, 0), SYS(INVLPGB, 0), SYS(TLBSYNC, 0) };

GROUP(G8) = {
	[4] = ROW(BT, MI, NONE, V, UB, 0), [5] = ROW(BTS, MI, NONE, V, UB, LOCK),
	[6] = ROW(BTR, MI, NONE, V, UB, LOCK), [7] = ROW(BTC, MI, NONE, V, UB, LOCK),
};

GROUP(G9) = { GO(REG, G9_MEM), GO(REG, G9_REG) };
GROUP(G9_MEM) = {
	[1] = ROW(CMPXCHG8B, M, NONE, 2Y, NONE, LOCK), [3] = SYS(XRSTORS, NP), [4] = SYS(XSAVEC, NP),
	[5] = SYS(XSAVES, NP), [6] = GO(PFX, G9_6_MEM), [7] = ROW(VMPTRST, M, NONE, Q, NONE, NP),
};
GROUP(G9_REG) = { [6] = GO(PFX, G9_6_REG), [7] = GO(PFX, G9_7_REG) };
GROUP(G9_6_MEM) = PFX(ROW(VMPTRLD, M, NONE, Q, NONE, 0), ROW(VMCLEAR, M, NONE, Q, NONE, 0),
	ROW(VMXON, M, NONE, Q, NONE, 0), UNDEFINED);
#define RDRAND_ROW ROW(RDRAND, M, NONE, V, NONE, 0)
#define RDSEED_ROW ROW(RDSEED, M, NONE, V, NONE, 0)
GROUP(G9_6_REG) = PFX(RDRAND_ROW, RDRAND_ROW, UNDEFINED, UNDEFINED);
GROUP(G9_7_REG) = PFX(RDSEED_ROW, RDSEED_ROW, ROW(RDPID, M, NONE, N, NONE, 0), UNDEFINED);

GROUP(G11_B) = { [0] = ROW(MOV, MI, NONE, B, IB, 0), [7] = GO(RM, XABORT) };
GROUP(G11_V) = { [0] = ROW(MOV, MI, NONE, V, IZ, 0), [7] = GO(RM, XBEGIN) };
GROUP(XABORT) = { [0] = ROW(XABORT, MI, NONE, NONE, UB, REG) };
GROUP(XBEGIN) = { [0] = ROW(XBEGIN, MI, NONE, NONE, JZ, REG) };

GROUP(G12) = { [2] = SIMD_I(NP | P66 | REG), [4] = SIMD_I(NP | P66 | REG),
	[6] = SIMD_I(NP | P66 | REG) };
GROUP(G13) = { [2] = SIMD_I(NP | P66 | REG), [4] = SIMD_I(NP | P66 | REG),
	[6] = SIMD_I(NP | P66 | REG) };
GROUP(G14) = { [2] = SIMD_I(NP | P66 | REG), [3] = SIMD_I(P66 | REG),
	[6] = SIMD_I(NP | P66 | REG), [7] = SIMD_I(P66 | REG) };

GROUP(G15) = { GO(REG, G15_MEM), GO(REG, G15_REG) };
GROUP(G15_MEM) = {
	SYS(FXSAVE, NP), SYS(FXRSTOR, NP), ROW(LDMXCSR, M, NONE, D, NONE, NP),
	ROW(STMXCSR, M, NONE, D, NONE, NP), SYS(XSAVE, NP), SYS(XRSTOR, NP),
	GO(PFX, G15_6_MEM), GO(PFX, G15_7_MEM),
};
GROUP(G15_REG) = {
	ROW(RDFSBASE, M, NONE, Y, NONE, F3 | O64), ROW(RDGSBASE, M, NONE, Y, NONE, F3 | O64),
	ROW(WRFSBASE, M, NONE, Y, NONE, F3 | O64), ROW(WRGSBASE, M, NONE, Y, NONE, F3 | O64),
	UNDEFINED, GO(PFX, G15_5_REG), GO(PFX, G15_6_REG), SYS(SFENCE, NP),
};
GROUP(G15_5_REG) = PFX(SYS(LFENCE, 0), UNDEFINED, ROW(INCSSP, M, NONE, Y, NONE, 0), UNDEFINED);
GROUP(G15_6_REG) = PFX(SYS(MFENCE, 0), ROW(TPAUSE, M, NONE, D, NONE, 0),
	ROW(UMONITOR, M, NONE, N, NONE, 0), ROW(UMWAIT, M, NONE, D, NONE, 0));
GROUP(G15_6_MEM) = PFX(SYS(XSAVEOPT, 0), ROW(CLWB, M, NONE, B, NONE, 0),
	ROW(CLRSSBSY, M, NONE, Q, NONE, 0), UNDEFINED);
GROUP(G15_7_MEM) = PFX(ROW(CLFLUSH, M, NONE, B, NONE, 0), ROW(CLFLUSHOPT, M, NONE, B, NONE, 0),
	UNDEFINED, UNDEFINED);

#define HINT ROW(NOP, M, NONE, V, NONE, 0)
GROUP(G16) = { GO(REG, G16_MEM), HINT };
GROUP(G16_MEM) = {
	ROW(PREFETCH, M, NONE, B, NONE, 0), ROW(PREFETCH, M, NONE, B, NONE, 0),
	ROW(PREFETCH, M, NONE, B, NONE, 0), ROW(PREFETCH, M, NONE, B, NONE, 0),
	HINT, HINT, HINT, HINT,
};

#define WBINVD_ROW ROW(WBINVD, ZO, NONE, NONE, NONE, 0)
GROUP(WBINVD) = PFX(WBINVD_ROW, WBINVD_ROW, ROW(WBNOINVD, ZO, NONE, NONE, NONE, 0), WBINVD_ROW);
/* 66 and F2 are SSE4A's EXTRQ and INSERTQ, which Intel never had. */
GROUP(VMREAD) = PFX(ROW(VMREAD, MR, N, N, NONE, 0), ROW(SIMD, MI, NONE, NONE, 2UB, REG),
	UNDEFINED, ROW(SIMD, RMI, NONE, NONE, 2UB, REG));
GROUP(VMWRITE) = PFX(ROW(VMWRITE, RM, N, N, NONE, 0), SIMD(REG), UNDEFINED, SIMD(REG));
#define BSF_ROW ROW(BSF, RM, V, V, NONE, 0)
#define BSR_ROW ROW(BSR, RM, V, V, NONE, 0)
GROUP(BSF) = PFX(BSF_ROW, BSF_ROW, ROW(TZCNT, RM, V, V, NONE, 0), BSF_ROW);
GROUP(BSR) = PFX(BSR_ROW, BSR_ROW, ROW(LZCNT, RM, V, V, NONE, 0), BSR_ROW);

GROUP(0F12) = { SIMD(ALL), SIMD(NP | F3 | F2) };
GROUP(0F16) = { SIMD(NP | P66 | F3), SIMD(NP | F3) };
GROUP(0FD6) = { SIMD(P66), SIMD(P66 | F3 | F2) };

#define MOVBE_LOAD  ROW(MOVBE, RM, V, V, NONE, MEM)
#define MOVBE_STORE ROW(MOVBE, MR, V, V, NONE, MEM)
GROUP(38F0) = PFX(MOVBE_LOAD, MOVBE_LOAD, UNDEFINED, ROW(CRC32, RM, Y, B, NONE, 0));
GROUP(38F1) = PFX(MOVBE_STORE, MOVBE_STORE, UNDEFINED, ROW(CRC32, RM, Y, V, NONE, 0));
GROUP(38F6) = PFX(ROW(WRSS, MR, Y, Y, NONE, MEM), ROW(ADCX, RM, Y, Y, NONE, 0),
	ROW(ADOX, RM, Y, Y, NONE, 0), UNDEFINED);
GROUP(38F8) = PFX(UNDEFINED, ROW(MOVDIR64B, RM, NONE, NONE, NONE, MEM),
	ROW(ENQCMDS, RM, NONE, NONE, NONE, MEM), ROW(ENQCMD, RM, NONE, NONE, NONE, MEM));

/* VEX: the second source or the destination is VEX.vvvv. */
GROUP(V15) = { [2] = ROW(LDMXCSR, M, NONE, D, NONE, NP | MEM),
	[3] = ROW(STMXCSR, M, NONE, D, NONE, NP | MEM) };
GROUP(V17) = { [1] = ROW(BLSR, M, NONE, Y, NONE, NP), [2] = ROW(BLSMSK, M, NONE, Y, NONE, NP),
	[3] = ROW(BLSI, M, NONE, Y, NONE, NP) };
GROUP(V38F5) = PFX(ROW(BZHI, RM, Y, Y, NONE, 0), UNDEFINED, ROW(PEXT, RM, Y, Y, NONE, 0),
	ROW(PDEP, RM, Y, Y, NONE, 0));
GROUP(V38F7) = PFX(ROW(BEXTR, RM, Y, Y, NONE, 0), ROW(SHLX, RM, Y, Y, NONE, 0),
	ROW(SARX, RM, Y, Y, NONE, 0), ROW(SHRX, RM, Y, Y, NONE, 0));
/* clang-format on */

#define GROUP_POINTER(name, rows) [X86_GROUP_##name] = group_##name,
const struct x86_opcode *const x86_group_rows[X86_GROUP_COUNT] = { X86_GROUPS(GROUP_POINTER) };

/* Bit r: /r is defined with memory, for D8 to DF. */
static const uint8_t x87_memory[8] = { 0xff, 0xfd, 0xff, 0xaf, 0xff, 0xdf, 0xff, 0xff };

/* Bit n: ModRM byte C0+n is defined, the aliases of APM Vol. 3 table A-15 among them. */
static const uint64_t x87_register[8] = {
	0xffffffffffffffff, /* D8 */
	0xffff7f33ff01ffff, /* D9: FNOP is D0; E2, E3, E6, E7 and EF are not defined */
	0x00000200ffffffff, /* DA: FUCOMPP is E9 */
	0x00ffff1fffffffff, /* DB: E0, E1 and E4 do nothing */
	0xffffffffffffffff, /* DC */
	0x0000ffffffffffff, /* DD */
	0xffffffff02ffffff, /* DE: FCOMPP is D9 */
	0x00ffff01ffffffff, /* DF: FNSTSW AX is E0 */
};

_Bool x86_x87_defined(unsigned esc, uint8_t modrm)
{
	if (modrm < 0xc0)
		return (x87_memory[esc] >> (modrm >> 3 & 7)) & 1;
	return (x87_register[esc] >> (modrm & 0x3f)) & 1;
}
