/* SPDX-License-Identifier: BSD-2-Clause */
/* The features that cases depend on, as CPUID tells them. */
#ifndef CONFORMANCE_X86_64_FEATURE_H
#define CONFORMANCE_X86_64_FEATURE_H

#include "guest/x86_64/kernel.h"

enum cpuid_register { EAX, EBX, ECX, EDX };

/* name, leaf, subleaf, register, bit */
#define FEATURES(X)                                                                                \
	X(SSE3, 0x1, 0, ECX, 0)                                                                    \
	X(PCLMULQDQ, 0x1, 0, ECX, 1)                                                               \
	X(MONITOR, 0x1, 0, ECX, 3)                                                                 \
	X(VMX, 0x1, 0, ECX, 5)                                                                     \
	X(SMX, 0x1, 0, ECX, 6)                                                                     \
	X(SSSE3, 0x1, 0, ECX, 9)                                                                   \
	X(FMA, 0x1, 0, ECX, 12)                                                                    \
	X(CMPXCHG16B, 0x1, 0, ECX, 13)                                                             \
	X(PCID, 0x1, 0, ECX, 17)                                                                   \
	X(SSE4_1, 0x1, 0, ECX, 19)                                                                 \
	X(SSE4_2, 0x1, 0, ECX, 20)                                                                 \
	X(X2APIC, 0x1, 0, ECX, 21)                                                                 \
	X(MOVBE, 0x1, 0, ECX, 22)                                                                  \
	X(POPCNT, 0x1, 0, ECX, 23)                                                                 \
	X(AESNI, 0x1, 0, ECX, 25)                                                                  \
	X(XSAVE, 0x1, 0, ECX, 26)                                                                  \
	X(OSXSAVE, 0x1, 0, ECX, 27)                                                                \
	X(AVX, 0x1, 0, ECX, 28)                                                                    \
	X(F16C, 0x1, 0, ECX, 29)                                                                   \
	X(RDRAND, 0x1, 0, ECX, 30)                                                                 \
	X(FPU, 0x1, 0, EDX, 0)                                                                     \
	X(VME, 0x1, 0, EDX, 1)                                                                     \
	X(DE_EXTENSIONS, 0x1, 0, EDX, 2)                                                           \
	X(PSE, 0x1, 0, EDX, 3)                                                                     \
	X(TSC, 0x1, 0, EDX, 4)                                                                     \
	X(MSR, 0x1, 0, EDX, 5)                                                                     \
	X(PAE, 0x1, 0, EDX, 6)                                                                     \
	X(MCE, 0x1, 0, EDX, 7)                                                                     \
	X(CX8, 0x1, 0, EDX, 8)                                                                     \
	X(APIC, 0x1, 0, EDX, 9)                                                                    \
	X(SEP, 0x1, 0, EDX, 11)                                                                    \
	X(MTRR, 0x1, 0, EDX, 12)                                                                   \
	X(PGE, 0x1, 0, EDX, 13)                                                                    \
	X(PAT, 0x1, 0, EDX, 16)                                                                    \
	X(PSE36, 0x1, 0, EDX, 17)                                                                  \
	X(CLFSH, 0x1, 0, EDX, 19)                                                                  \
	X(FXSR, 0x1, 0, EDX, 24)                                                                   \
	X(SSE, 0x1, 0, EDX, 25)                                                                    \
	X(SSE2, 0x1, 0, EDX, 26)                                                                   \
	X(FSGSBASE, 0x7, 0, EBX, 0)                                                                \
	X(TSC_ADJUST, 0x7, 0, EBX, 1)                                                              \
	X(BMI1, 0x7, 0, EBX, 3)                                                                    \
	X(AVX2, 0x7, 0, EBX, 5)                                                                    \
	X(SMEP, 0x7, 0, EBX, 7)                                                                    \
	X(BMI2, 0x7, 0, EBX, 8)                                                                    \
	X(INVPCID, 0x7, 0, EBX, 10)                                                                \
	X(AVX512F, 0x7, 0, EBX, 16)                                                                \
	X(RDSEED, 0x7, 0, EBX, 18)                                                                 \
	X(ADX, 0x7, 0, EBX, 19)                                                                    \
	X(SMAP, 0x7, 0, EBX, 20)                                                                   \
	X(SHA, 0x7, 0, EBX, 29)                                                                    \
	X(UMIP, 0x7, 0, ECX, 2)                                                                    \
	X(PKU, 0x7, 0, ECX, 3)                                                                     \
	X(OSPKE, 0x7, 0, ECX, 4)                                                                   \
	X(CET_SS, 0x7, 0, ECX, 7)                                                                  \
	X(LA57, 0x7, 0, ECX, 16)                                                                   \
	X(RDPID, 0x7, 0, ECX, 22)                                                                  \
	X(PKS, 0x7, 0, ECX, 31)                                                                    \
	X(CET_IBT, 0x7, 0, EDX, 20)                                                                \
	X(LAM, 0x7, 1, EAX, 26)                                                                    \
	X(XSAVEOPT, 0xd, 1, EAX, 0)                                                                \
	X(XSAVEC, 0xd, 1, EAX, 1)                                                                  \
	X(XGETBV1, 0xd, 1, EAX, 2)                                                                 \
	X(XSAVES, 0xd, 1, EAX, 3)                                                                  \
	X(LAHF, 0x80000001, 0, ECX, 0)                                                             \
	X(SVM, 0x80000001, 0, ECX, 2)                                                              \
	X(SYSCALL, 0x80000001, 0, EDX, 11)                                                         \
	X(NX, 0x80000001, 0, EDX, 20)                                                              \
	X(FFXSR, 0x80000001, 0, EDX, 25)                                                           \
	X(PAGE1GB, 0x80000001, 0, EDX, 26)                                                         \
	X(RDTSCP, 0x80000001, 0, EDX, 27)                                                          \
	X(LM, 0x80000001, 0, EDX, 29)

#define FEATURE_NUMBER(name, leaf, subleaf, reg, bit) F_##name,
enum feature { FEATURES(FEATURE_NUMBER) FEATURE_COUNT };
#undef FEATURE_NUMBER

bool has(enum feature feature);
/* Skips the case unless the CPU has it. */
void need(enum feature feature);
const char *feature_name(enum feature feature);
bool vendor_is_intel(void);
unsigned int physical_bits(void);
unsigned int linear_bits(void);

#endif
