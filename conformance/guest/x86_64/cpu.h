/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86-64 instructions, one a function. Those that may fault do so under TRY: within CHECK_FAULT the
 * exception is taken down and the instruction left out, its result being 0.
 */
#ifndef CONFORMANCE_X86_64_CPU_H
#define CONFORMANCE_X86_64_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* Instructions that fault_expect() covers, as text for asm. A trap after the last one counts, too.
 */
#define TRY(text)                                                                                  \
	"771:\n\t" text "\n772:\n\t"                                                               \
	".pushsection .fixups, \"a\"\n\t.quad 771b, 772b\n\t.popsection\n\t"

#define BIT(n) (UINT64_C(1) << (n))

/* RFLAGS */
#define FLAG_CF   BIT(0)
#define FLAG_ONE  BIT(1)
#define FLAG_PF   BIT(2)
#define FLAG_AF   BIT(4)
#define FLAG_ZF   BIT(6)
#define FLAG_SF   BIT(7)
#define FLAG_TF   BIT(8)
#define FLAG_IF   BIT(9)
#define FLAG_DF   BIT(10)
#define FLAG_OF   BIT(11)
#define FLAG_IOPL (BIT(12) | BIT(13))
#define FLAG_NT   BIT(14)
#define FLAG_RF   BIT(16)
#define FLAG_VM   BIT(17)
#define FLAG_AC   BIT(18)
#define FLAG_VIF  BIT(19)
#define FLAG_VIP  BIT(20)
#define FLAG_ID   BIT(21)

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_SMXE       BIT(14)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)

#define EFER_SCE  BIT(0)
#define EFER_LME  BIT(8)
#define EFER_LMA  BIT(10)
#define EFER_NXE  BIT(11)
#define EFER_SVME BIT(12)

#define MSR_TSC            0x10u
#define MSR_APIC_BASE      0x1bu
#define MSR_SYSENTER_CS    0x174u
#define MSR_SYSENTER_ESP   0x175u
#define MSR_SYSENTER_EIP   0x176u
#define MSR_DEBUGCTL       0x1d9u
#define MSR_PAT            0x277u
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u

enum vector {
	DE = 0,
	DB = 1,
	NMI = 2,
	BP = 3,
	OF = 4,
	BR = 5,
	UD = 6,
	NM = 7,
	DF = 8,
	TS = 10,
	NP = 11,
	SS = 12,
	GP = 13,
	PF = 14,
	MF = 16,
	AC = 17,
	MC = 18,
	XM = 19
};

/* Bits of a page fault's error code. */
#define PF_P  1u
#define PF_W  2u
#define PF_U  4u
#define PF_RS 8u
#define PF_I  16u
#define PF_PK 32u

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
	                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
	                 : "a"(leaf), "c"(subleaf));
	return r;
}

/* A leaf's registers, or zeros beyond the highest leaf of its range. */
struct cpuid cpuid_checked(uint32_t leaf, uint32_t subleaf);

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low = 0, high = 0;

	__asm__ volatile(TRY("rdmsr") : "+a"(low), "+d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile(TRY("wrmsr")
	                 :
	                 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
}

static inline uint64_t xgetbv(uint32_t n)
{
	uint32_t low = 0, high = 0;

	__asm__ volatile(TRY("xgetbv") : "+a"(low), "+d"(high) : "c"(n));
	return (uint64_t)high << 32 | low;
}

static inline void xsetbv(uint32_t n, uint64_t value)
{
	__asm__ volatile(TRY("xsetbv")
	                 :
	                 : "c"(n), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
}

#define CPU_REGISTER(name)                                                                         \
	static inline uint64_t read_##name(void)                                                   \
	{                                                                                          \
		uint64_t value = 0;                                                                \
		__asm__ volatile(TRY("movq %%" #name ", %0") : "+r"(value) : : "memory");          \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_##name(uint64_t value)                                            \
	{                                                                                          \
		__asm__ volatile(TRY("movq %0, %%" #name) : : "r"(value) : "memory");              \
	}
CPU_REGISTER(cr0)
CPU_REGISTER(cr2)
CPU_REGISTER(cr3)
CPU_REGISTER(cr4)
CPU_REGISTER(cr8)
CPU_REGISTER(dr0)
CPU_REGISTER(dr1)
CPU_REGISTER(dr2)
CPU_REGISTER(dr3)
CPU_REGISTER(dr6)
CPU_REGISTER(dr7)
#undef CPU_REGISTER

#define CPU_ACCESS(bits, suffix)                                                                   \
	static inline uint##bits##_t load##bits(uint64_t address)                                  \
	{                                                                                          \
		uint##bits##_t value = 0;                                                          \
		__asm__ volatile(TRY("mov" suffix " (%1), %0")                                     \
		                 : "+r"(value)                                                     \
		                 : "r"(address)                                                    \
		                 : "memory");                                                      \
		return value;                                                                      \
	}                                                                                          \
	static inline void store##bits(uint64_t address, uint##bits##_t value)                     \
	{                                                                                          \
		__asm__ volatile(TRY("mov" suffix " %0, (%1)")                                     \
		                 :                                                                 \
		                 : "r"(value), "r"(address)                                        \
		                 : "memory");                                                      \
	}
CPU_ACCESS(8, "b")
CPU_ACCESS(16, "w")
CPU_ACCESS(32, "l")
CPU_ACCESS(64, "q")
#undef CPU_ACCESS

#define CPU_PORT(bits, suffix)                                                                     \
	static inline uint##bits##_t in##bits(uint16_t port)                                       \
	{                                                                                          \
		uint##bits##_t value = 0;                                                          \
		__asm__ volatile(TRY("in" suffix " %w1") : "+a"(value) : "d"(port) : "memory");    \
		return value;                                                                      \
	}                                                                                          \
	static inline void out##bits(uint16_t port, uint##bits##_t value)                          \
	{                                                                                          \
		__asm__ volatile(TRY("out" suffix " %w1") : : "a"(value), "d"(port) : "memory");   \
	}
CPU_PORT(8, "b")
CPU_PORT(16, "w")
CPU_PORT(32, "l")
#undef CPU_PORT

#define CPU_LOAD_TABLE(name)                                                                       \
	static inline void name(uint64_t base, uint16_t limit)                                     \
	{                                                                                          \
		struct {                                                                           \
			uint16_t limit;                                                            \
			uint64_t base;                                                             \
		} __attribute__((packed)) operand = { limit, base };                               \
		__asm__ volatile(TRY(#name " %0") : : "m"(operand) : "memory");                    \
	}
CPU_LOAD_TABLE(lgdt)
CPU_LOAD_TABLE(lidt)
#undef CPU_LOAD_TABLE

#define CPU_SELECTOR(instruction)                                                                  \
	static inline void instruction(uint16_t selector)                                          \
	{                                                                                          \
		__asm__ volatile(TRY(#instruction " %0") : : "r"(selector) : "memory");            \
	}
CPU_SELECTOR(lldt)
CPU_SELECTOR(ltr)
CPU_SELECTOR(lmsw)
#undef CPU_SELECTOR

#define CPU_SEGMENT(name)                                                                          \
	static inline void load_##name(uint16_t selector)                                          \
	{                                                                                          \
		__asm__ volatile(TRY("movw %0, %%" #name) : : "r"(selector) : "memory");           \
	}                                                                                          \
	static inline uint16_t read_##name(void)                                                   \
	{                                                                                          \
		uint16_t selector;                                                                 \
		__asm__ volatile("movw %%" #name ", %0" : "=r"(selector));                         \
		return selector;                                                                   \
	}
CPU_SEGMENT(ds)
CPU_SEGMENT(es)
CPU_SEGMENT(fs)
CPU_SEGMENT(gs)
CPU_SEGMENT(ss)
#undef CPU_SEGMENT

static inline uint16_t read_cs(void)
{
	uint16_t selector;

	__asm__ volatile("movw %%cs, %0" : "=r"(selector));
	return selector;
}

static inline uint16_t str(void)
{
	uint16_t selector;

	__asm__ volatile("str %0" : "=r"(selector));
	return selector;
}

static inline uint16_t sldt(void)
{
	uint16_t selector;

	__asm__ volatile("sldt %0" : "=r"(selector));
	return selector;
}

static inline void invlpg(uint64_t address)
{
	__asm__ volatile(TRY("invlpg (%0)") : : "r"(address) : "memory");
}

static inline void invpcid(uint64_t type, uint64_t pcid, uint64_t address)
{
	const struct {
		uint64_t pcid, address;
	} operand = { pcid, address };

	__asm__ volatile(TRY("invpcid %0, %1") : : "m"(operand), "r"(type) : "memory");
}

static inline uint64_t read_flags(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
	return flags;
}

static inline void write_flags(uint64_t flags)
{
	__asm__ volatile(TRY("pushq %0\n\tpopfq") : : "r"(flags) : "memory", "cc");
}

static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* Lets what is pending in: the interrupt shadow of STI covers the first instruction only. */
static inline void sti_nop_cli(void)
{
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void clts(void)
{
	__asm__ volatile("clts" : : : "memory");
}

#endif
