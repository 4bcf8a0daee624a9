/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the software CPU is: an AMD one of family 17h. That vendor, because guests then do without
 * the page-table isolation and buffer clearing that they give Intel's CPUs, and which cost a
 * software CPU dearly while there is nothing to leak to; that family, because kernels know it well.
 */
#include <hypercore/freestanding.h>

#include "arch/x86_64/emu/emu.h"
#include "emu/x86_64/engine/engine_api.h"

#define B(n) (1u << (n))

enum { EAX, EBX, ECX, EDX };

struct answer {
	uint32_t leaf, subleaf;
	uint32_t regs[4];
};

#define VENDOR    0x68747541, 0x444d4163, 0x69746e65 /* AuthenticAMD: EBX, ECX, EDX */
#define SIGNATURE 0x00800f12                         /* family 17h, model 1, stepping 2 */

/* FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFLUSH */
#define L1_EDX                                                                                     \
	(B(0) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(12) | B(13) |    \
	 B(14) | B(15) | B(16) | B(17) | B(19))
/* CX16 PCID */
#define L1_ECX (B(13) | B(17))
/* FSGSBASE SMEP ERMS INVPCID SMAP CLFLUSHOPT CLWB */
#define L7_EBX (B(0) | B(7) | B(9) | B(10) | B(20) | B(23) | B(24))
/* UMIP RDPID */
#define L7_ECX (B(2) | B(22))
/* SYSCALL NX PDPE1GB RDTSCP LM, and leaf 1's */
#define E1_EDX (0x0003f3ffu & L1_EDX) | B(11) | B(20) | B(26) | B(27) | B(29)
/* LAHF in 64-bit mode, PREFETCHW */
#define E1_ECX (B(0) | B(8))

static const struct answer answers[] = {
	{ 0x0, 0, { 0xd, VENDOR } },
	{ 0x1, 0, { SIGNATURE, 0x00000800, L1_ECX, L1_EDX } },
	{ 0x7, 0, { 0, L7_EBX, L7_ECX, 0 } },
	{ 0x80000000, 0, { 0x8000001e, VENDOR } },
	{ 0x80000001, 0, { SIGNATURE, 0, E1_ECX, E1_EDX } },
	/* "Hypercore software CPU" */
	{ 0x80000002, 0, { 0x65707948, 0x726f6372, 0x6f732065, 0x61777466 } },
	{ 0x80000003, 0, { 0x43206572, 0x00005550, 0, 0 } },
	/* Invariant TSC */
	{ 0x80000007, 0, { 0, 0, 0, B(8) } },
	/* 40 bits of physical, 48 of linear addresses */
	{ 0x80000008, 0, { 0x3028, 0, 0, 0 } },
};

/* Extensions of the integer instructions: offered as far as they are executed. */
static const struct {
	uint32_t leaf;
	uint8_t reg, bit;
	uint16_t op; /* one of them */
} extensions[] = {
	{ 0x1, ECX, 22, X86_OP_MOVBE },       { 0x1, ECX, 23, X86_OP_POPCNT },
	{ 0x1, ECX, 30, X86_OP_RDRAND },      { 0x7, EBX, 3, X86_OP_ANDN },
	{ 0x7, EBX, 8, X86_OP_PDEP },         { 0x7, EBX, 18, X86_OP_RDSEED },
	{ 0x7, EBX, 19, X86_OP_ADCX },        { 0x7, ECX, 27, X86_OP_MOVDIRI },
	{ 0x80000001, ECX, 5, X86_OP_LZCNT },
};

static void add_extensions(uint32_t leaf, uint32_t out[4])
{
	for (unsigned i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (extensions[i].leaf == leaf && emu_executes(extensions[i].op))
			out[extensions[i].reg] |= B(extensions[i].bit);
}

void emu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	memset(out, 0, 4 * sizeof(out[0]));
	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].leaf == leaf && answers[i].subleaf == subleaf)
			memcpy(out, answers[i].regs, sizeof(answers[i].regs));
	if (!subleaf)
		add_extensions(leaf, out);
	for (unsigned reg = EAX; reg <= EDX; reg++)
		out[reg] |= emu_vector_features(leaf, subleaf, reg);
}
