/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions that the decoder tells apart, by the manuals' mnemonics. Near and far forms and
 * moves to special registers have names of their own where the manual gives them one opcode family
 * but another meaning. SIMD, X87 and EVEX stand for whole families: their instructions are decoded
 * for length, memory operand and immediate; opcode, map and prefix tell them apart.
 */
#ifndef EMU_X86_64_OPS_H
#define EMU_X86_64_OPS_H

/* clang-format off */
#define X86_OPS(X) \
	/* The first eight are in the order of the opcode bits 5:3 and of group 1. */ \
	X(ADD) X(OR) X(ADC) X(SBB) X(AND) X(SUB) X(XOR) X(CMP) \
	/* Group 2, in the order of ModRM.reg; /6 is an alias of SHL. */ \
	X(ROL) X(ROR) X(RCL) X(RCR) X(SHL) X(SHR) X(SAL) X(SAR) \
	/* Group 8 /4 to /7. */ \
	X(BT) X(BTS) X(BTR) X(BTC) \
	X(MOV) X(MOVZX) X(MOVSX) X(MOVSXD) X(MOVBE) X(MOVNTI) X(LEA) X(XCHG) X(XADD) \
	X(CMPXCHG) X(CMPXCHG8B) X(TEST) X(INC) X(DEC) X(NEG) X(NOT) \
	X(MUL) X(IMUL) X(DIV) X(IDIV) X(SHLD) X(SHRD) X(SETCC) X(CMOVCC) X(BSWAP) \
	X(BSF) X(BSR) X(TZCNT) X(LZCNT) X(POPCNT) X(CRC32) X(ADCX) X(ADOX) \
	X(ANDN) X(BEXTR) X(BLSR) X(BLSMSK) X(BLSI) X(BZHI) X(PDEP) X(PEXT) X(MULX) \
	X(SARX) X(SHLX) X(SHRX) X(RORX) \
	X(MOVS) X(CMPS) X(STOS) X(LODS) X(SCAS) X(INS) X(OUTS) \
	X(PUSH) X(POP) X(PUSHA) X(POPA) X(PUSHF) X(POPF) X(PUSH_SREG) X(POP_SREG) \
	X(ENTER) X(LEAVE) X(CALL) X(JMP) X(JCC) X(RET) X(CALL_FAR) X(JMP_FAR) X(RET_FAR) \
	X(LOOP) X(LOOPE) X(LOOPNE) X(JCXZ) X(INT) X(INT1) X(INT3) X(INTO) X(IRET) \
	X(CBW) X(CWD) X(SAHF) X(LAHF) X(CMC) X(CLC) X(STC) X(CLI) X(STI) X(CLD) X(STD) \
	X(DAA) X(DAS) X(AAA) X(AAS) X(AAM) X(AAD) X(SALC) X(XLAT) X(BOUND) X(ARPL) \
	X(NOP) X(PAUSE) X(FWAIT) X(IN) X(OUT) X(HLT) X(UD0) X(UD1) X(UD2) \
	X(MOV_FROM_SREG) X(MOV_TO_SREG) X(LES) X(LDS) X(LSS) X(LFS) X(LGS) \
	X(MOV_FROM_CR) X(MOV_TO_CR) X(MOV_FROM_DR) X(MOV_TO_DR) X(CLTS) X(SMSW) X(LMSW) \
	X(SLDT) X(STR) X(LLDT) X(LTR) X(VERR) X(VERW) X(LAR) X(LSL) \
	X(SGDT) X(SIDT) X(LGDT) X(LIDT) X(INVLPG) X(INVD) X(WBINVD) X(WBNOINVD) X(INVPCID) \
	X(SWAPGS) X(SYSCALL) X(SYSRET) X(SYSENTER) X(SYSEXIT) X(RSM) X(GETSEC) \
	X(CPUID) X(RDMSR) X(WRMSR) X(RDTSC) X(RDTSCP) X(RDPMC) X(RDPID) X(RDPRU) \
	X(RDRAND) X(RDSEED) X(XGETBV) X(XSETBV) X(RDPKRU) X(WRPKRU) \
	X(MONITOR) X(MWAIT) X(MONITORX) X(MWAITX) X(UMONITOR) X(UMWAIT) X(TPAUSE) \
	X(CLAC) X(STAC) X(XBEGIN) X(XABORT) X(XEND) X(XTEST) \
	X(ENCLS) X(ENCLU) X(ENCLV) X(PCONFIG) \
	X(RDFSBASE) X(RDGSBASE) X(WRFSBASE) X(WRGSBASE) \
	X(INCSSP) X(RDSSP) X(SAVEPREVSSP) X(RSTORSSP) X(WRSS) X(WRUSS) X(SETSSBSY) X(CLRSSBSY) \
	X(LFENCE) X(MFENCE) X(SFENCE) X(CLFLUSH) X(CLFLUSHOPT) X(CLWB) X(CLZERO) X(PREFETCH) \
	X(FXSAVE) X(FXRSTOR) X(XSAVE) X(XRSTOR) X(XSAVEOPT) X(XSAVEC) X(XSAVES) X(XRSTORS) \
	X(LDMXCSR) X(STMXCSR) X(MOVDIRI) X(MOVDIR64B) X(ENQCMD) X(ENQCMDS) \
	X(VMCALL) X(VMLAUNCH) X(VMRESUME) X(VMXOFF) X(VMXON) X(VMCLEAR) X(VMPTRLD) X(VMPTRST) \
	X(VMREAD) X(VMWRITE) X(VMFUNC) X(INVEPT) X(INVVPID) \
	X(VMRUN) X(VMMCALL) X(VMLOAD) X(VMSAVE) X(STGI) X(CLGI) X(SKINIT) X(INVLPGA) \
	X(INVLPGB) X(TLBSYNC) \
	X(X87) X(SIMD) X(EVEX)
/* clang-format on */

#define X86_OP_ENUM_(name) X86_OP_##name,
enum x86_op {
	X86_OP_UNDEFINED, /* what an empty row of the opcode tables says: #UD */
	X86_OPS(X86_OP_ENUM_) X86_OP_COUNT
};
#undef X86_OP_ENUM_

/* The mnemonic, upper case; "?" for a number that is no enum x86_op. Never NULL. */
const char *x86_op_name(unsigned op);

#endif
