/* SPDX-License-Identifier: BSD-2-Clause */
/* What CPUID says, against itself and against the CPU that it describes. */
#include "guest/x86_64/feature.h"

#define EXTENDED 0x80000000u

static bool same(struct cpuid a, struct cpuid b)
{
	return a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx;
}

static bool zero(struct cpuid r)
{
	return !(r.eax | r.ebx | r.ecx | r.edx);
}

TEST(max_leaf, "SDM Vol. 2A CPUID, leaf 0")
{
	CHECK(cpuid(0, 0).eax >= 1);
	CHECK(cpuid(0, 0).eax < 0x1000);
}

TEST(max_extended_leaf, "APM Vol. 3 E.4.1")
{
	uint32_t most = cpuid(EXTENDED, 0).eax;

	CHECK(most >= EXTENDED + 8);
	CHECK(most < EXTENDED + 0x1000);
}

TEST(vendor_is_text, "SDM Vol. 2A CPUID, leaf 0")
{
	struct cpuid r = cpuid(0, 0);
	const uint32_t words[] = { r.ebx, r.edx, r.ecx };

	for (unsigned int n = 0; n < 12; n++) {
		uint32_t c = words[n / 4] >> n % 4 * 8 & 0xff;

		CHECK(c >= ' ' && c < 0x7f);
	}
}

TEST(brand_is_text, "SDM Vol. 2A CPUID, leaves 80000002H to 80000004H")
{
	uint32_t words[12];

	for (uint32_t n = 0; n < 3; n++) {
		struct cpuid r = cpuid_checked(EXTENDED + 2 + n, 0);

		words[4 * n] = r.eax;
		words[4 * n + 1] = r.ebx;
		words[4 * n + 2] = r.ecx;
		words[4 * n + 3] = r.edx;
	}
	for (unsigned int n = 0; n < 48; n++) {
		uint32_t c = words[n / 4] >> n % 4 * 8 & 0xff;

		if (!c)
			return;
		CHECK(c >= ' ' && c < 0x7f);
	}
	FAIL("the brand string has no end");
}

TEST(beyond_max_leaf, "SDM Vol. 2A CPUID: data of the highest basic leaf; APM Vol. 3 E.1: zeros")
{
	uint32_t most = cpuid(0, 0).eax;
	struct cpuid r = cpuid(most + 0x1000, 0);

	CHECK(zero(r) || same(r, cpuid(most, 0)));
}

TEST(beyond_max_extended_leaf,
     "SDM Vol. 2A CPUID: data of the highest basic leaf; APM Vol. 3 E.1: zeros")
{
	struct cpuid r = cpuid(cpuid(EXTENDED, 0).eax + 0x1000, 0);

	CHECK(zero(r) || same(r, cpuid(cpuid(0, 0).eax, 0)));
}

TEST(upper_halves_cleared,
     "SDM Vol. 2A CPUID: on Intel 64 processors the upper 32 bits are cleared")
{
	uint64_t a = BIT(63), b = BIT(63), c = BIT(63), d = BIT(63);

	__asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
	CHECK_EQ(a >> 32, 0);
	CHECK_EQ(b >> 32, 0);
	CHECK_EQ(c >> 32, 0);
	CHECK_EQ(d >> 32, 0);
}

TEST(leaf_of_low_half, "SDM Vol. 2A CPUID: the leaf is EAX")
{
	uint64_t a = BIT(40) | 1, b, c = BIT(33), d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	CHECK_EQ(a, cpuid(1, 0).eax);
	CHECK_EQ(d, cpuid(1, 0).edx);
}

TEST(long_mode_needs, "APM Vol. 2 14.8.1, SDM Vol. 1 5.4: what every 64-bit CPU has")
{
	static const enum feature always[] = { F_FPU, F_TSC,  F_MSR, F_PAE,  F_CX8, F_APIC,
		                               F_PGE, F_FXSR, F_SSE, F_SSE2, F_LM,  F_SYSCALL };

	for (unsigned int n = 0; n < sizeof(always) / sizeof(always[0]); n++)
		if (!has(always[n]))
			FAIL("%s is not set", feature_name(always[n]));
}

TEST(implied_features, "SDM Vol. 1 12.1.4, 14.3, 14.7.1: detection of SSE3 to SSE4.2, AVX, AVX2")
{
	static const struct {
		enum feature feature, needs;
	} rows[] = { { F_SSSE3, F_SSE3 },   { F_SSE4_1, F_SSSE3 },  { F_SSE4_2, F_SSE4_1 },
		     { F_AVX, F_XSAVE },    { F_AVX2, F_AVX },      { F_FMA, F_AVX },
		     { F_F16C, F_AVX },     { F_AVX512F, F_AVX2 },  { F_XSAVEOPT, F_XSAVE },
		     { F_XSAVEC, F_XSAVE }, { F_XSAVES, F_XSAVEC }, { F_PKU, F_XSAVE } };

	for (unsigned int n = 0; n < sizeof(rows) / sizeof(rows[0]); n++)
		if (has(rows[n].feature) && !has(rows[n].needs))
			FAIL("%s without %s", feature_name(rows[n].feature),
			     feature_name(rows[n].needs));
}

TEST(address_widths, "SDM Vol. 2A CPUID, leaf 80000008H; Vol. 3A 4.1.4")
{
	CHECK(physical_bits() >= 32 && physical_bits() <= 52);
	CHECK_EQ(linear_bits(), has(F_LA57) ? 57 : 48);
}

TEST(apic_id_is_the_apics, "SDM Vol. 3A 10.4.6: the initial APIC ID")
{
	CHECK_EQ(cpuid(1, 0).ebx >> 24, apic_read(APIC_ID) >> 24);
}

TEST(x2apic_id_matches, "SDM Vol. 2A CPUID, leaf 0BH")
{
	if (cpuid(0, 0).eax < 0xb || !cpuid(0xb, 0).ebx)
		skip("CPUID.0BH");
	CHECK_EQ(cpuid(0xb, 0).edx & 0xff, cpuid(1, 0).ebx >> 24);
}

TEST(topology_levels, "SDM Vol. 2A CPUID, leaf 0BH: level types 1, 2; shifts grow; 0 ends")
{
	uint32_t shift = 0, level;

	if (cpuid(0, 0).eax < 0xb || !cpuid(0xb, 0).ebx)
		skip("CPUID.0BH");
	for (level = 0; level < 8; level++) {
		struct cpuid r = cpuid(0xb, level);

		CHECK_EQ(r.ecx & 0xff, level);
		if (!(r.ecx >> 8 & 0xff))
			break;
		CHECK((r.eax & 0x1f) >= shift);
		shift = r.eax & 0x1f;
		CHECK(r.ebx & 0xffff);
	}
	CHECK(level > 0 && level < 8);
}

TEST(osxsave_follows_cr4, "SDM Vol. 2A CPUID, 01H:ECX[27]")
{
	need(F_XSAVE);
	CHECK(!has(F_OSXSAVE));
	write_cr4(read_cr4() | CR4_OSXSAVE);
	CHECK(has(F_OSXSAVE));
	write_cr4(read_cr4() & ~CR4_OSXSAVE);
	CHECK(!has(F_OSXSAVE));
}

TEST(ospke_follows_cr4, "SDM Vol. 2A CPUID, 07H:ECX[4]")
{
	need(F_PKU);
	CHECK(!has(F_OSPKE));
	write_cr4(read_cr4() | CR4_PKE);
	CHECK(has(F_OSPKE));
}

TEST(apic_follows_apic_base, "SDM Vol. 3A 10.4.3: APIC[9] is clear while the APIC is disabled")
{
	uint64_t base = rdmsr(MSR_APIC_BASE);
	bool there;

	wrmsr(MSR_APIC_BASE, base & ~BIT(11));
	there = has(F_APIC);
	wrmsr(MSR_APIC_BASE, base);
	/* Those modelled on a 3-wire bus do not have it enabled again before a reset. */
	CHECK(!there);
}

TEST(xsave_legacy_size, "SDM Vol. 1 13.2, 13.4: 512 + 64 bytes while XCR0 is x87 or x87 and SSE")
{
	need(F_XSAVE);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	CHECK_EQ(cpuid(0xd, 0).ebx, 576);
	xsetbv(0, 3);
	CHECK_EQ(cpuid(0xd, 0).ebx, 576);
}

TEST(xsave_size_follows_xcr0, "SDM Vol. 1 13.2: EBX is the size for what is enabled in XCR0")
{
	struct cpuid avx;

	need(F_AVX);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	avx = cpuid(0xd, 2);
	xsetbv(0, 7);
	CHECK_EQ(avx.eax, 256);
	CHECK_EQ(cpuid(0xd, 0).ebx, avx.ebx + avx.eax);
	CHECK(cpuid(0xd, 0).ebx <= cpuid(0xd, 0).ecx);
}

TEST(xsave_components, "SDM Vol. 1 13.2: subleaves of leaf 0DH")
{
	struct cpuid main, one;

	need(F_XSAVE);
	main = cpuid(0xd, 0);
	one = cpuid(0xd, 1);
	CHECK_EQ(main.eax & 3, 3);
	for (uint32_t n = 2; n < 63; n++) {
		struct cpuid r = cpuid(0xd, n);
		uint64_t user = (uint64_t)main.edx << 32 | main.eax;
		uint64_t supervisor = one.eax & BIT(3) ? (uint64_t)one.edx << 32 | one.ecx : 0;

		if (!((user | supervisor) >> n & 1)) {
			if (!zero(r))
				FAIL("subleaf %u is not zero, its component not there", n);
			continue;
		}
		if (!r.eax)
			FAIL("component %u has no size", n);
		if (user >> n & 1 && (r.ebx < 576 || r.ebx + r.eax > main.ecx))
			FAIL("component %u is not within the area", n);
	}
}

TEST(reserved_bits_clear,
     "SDM Vol. 2A CPUID: leaf 7's bits that belong to no feature, 01H:EDX[10], [20]")
{
	CHECK_EQ(cpuid(1, 0).edx & (BIT(10) | BIT(20)), 0);
	CHECK_EQ(cpuid(1, 0).ecx & BIT(16), 0);
}

TEST_SMP(same_on_every_cpu, 2, "SDM Vol. 3A 8.4: CPUs of a system are alike")
{
	static struct cpuid there[3];
	struct cpuid here;
	void take(void *argument);

	start_cpu(1, take, there);
	wait_cpu(1);
	CHECK(same(cpuid(0, 0), there[0]));
	here = cpuid(1, 0);
	CHECK_EQ(here.eax, there[1].eax);
	CHECK_EQ(here.ecx, there[1].ecx);
	CHECK_EQ(here.edx, there[1].edx);
	CHECK(here.ebx >> 24 != there[1].ebx >> 24);
	CHECK_EQ(cpuid_checked(EXTENDED + 1, 0).edx, there[2].edx);
}

void take(void *argument);
void take(void *argument)
{
	struct cpuid *to = argument;

	to[0] = cpuid(0, 0);
	to[1] = cpuid(1, 0);
	to[2] = cpuid_checked(EXTENDED + 1, 0);
}

/* ---- Instructions that are there if, and only if, CPUID says so ---- */

struct instruction {
	enum feature feature;
	uint64_t cr4;
	uint64_t xcr0;
	void (*execute)(void);
};

static void instruction_case(const struct test_case *self)
{
	const struct instruction *row = self->row;
	struct fault got;

	if (has(row->feature) || row->xcr0) {
		if (row->xcr0)
			need(F_XSAVE);
		write_cr4(read_cr4() | row->cr4);
	}
	if (row->xcr0 && has(F_AVX))
		xsetbv(0, row->xcr0);
	got = FAULT_OF(row->execute());
	if (has(row->feature))
		check_fault(HERE, "CPUID has it: execution", got, FAULT_NONE, ANY_CODE);
	else
		check_fault(HERE, "CPUID has it not: execution", got, UD, ANY_CODE);
}

#define INSTRUCTIONS(X)                                                                            \
	X(popcnt, POPCNT, 0, 0, "popcnt %%eax, %%ecx")                                             \
	X(crc32, SSE4_2, 0, 0, "crc32l %%eax, %%ecx")                                              \
	X(movbe, MOVBE, 0, 0, "movbe (%%rsi), %%eax")                                              \
	X(rdrand, RDRAND, 0, 0, "rdrand %%eax")                                                    \
	X(rdseed, RDSEED, 0, 0, "rdseed %%eax")                                                    \
	X(rdtscp, RDTSCP, 0, 0, "rdtscp")                                                          \
	X(rdpid, RDPID, 0, 0, "rdpid %%rax")                                                       \
	X(rdfsbase, FSGSBASE, CR4_FSGSBASE, 0, "rdfsbase %%rax")                                   \
	X(adcx, ADX, 0, 0, "adcx %%eax, %%ecx")                                                    \
	X(cmpxchg16b, CMPXCHG16B, 0, 0, "cmpxchg16b (%%rsi)")                                      \
	X(pshufb, SSSE3, 0, 0, "pshufb %%xmm0, %%xmm1")                                            \
	X(haddpd, SSE3, 0, 0, "haddpd %%xmm0, %%xmm1")                                             \
	X(ptest, SSE4_1, 0, 0, "ptest %%xmm0, %%xmm1")                                             \
	X(pcmpgtq, SSE4_2, 0, 0, "pcmpgtq %%xmm0, %%xmm1")                                         \
	X(aesenc, AESNI, 0, 0, "aesenc %%xmm0, %%xmm1")                                            \
	X(pclmulqdq, PCLMULQDQ, 0, 0, "pclmulqdq $0, %%xmm0, %%xmm1")                              \
	X(sha1nexte, SHA, 0, 0, "sha1nexte %%xmm0, %%xmm1")                                        \
	X(stac, SMAP, 0, 0, "stac; clac")                                                          \
	X(monitor, MONITOR, 0, 0,                                                                  \
	  "movq %%rsi, %%rax; xorl %%ecx, %%ecx; xorl %%edx, %%edx; monitor")                      \
	X(lahf, LAHF, 0, 0, "lahf")                                                                \
	X(vaddps, AVX, CR4_OSXSAVE, 7, "vaddps %%xmm0, %%xmm0, %%xmm1")                            \
	X(vpaddd_ymm, AVX2, CR4_OSXSAVE, 7, "vpaddd %%ymm0, %%ymm0, %%ymm1")                       \
	X(vfmadd, FMA, CR4_OSXSAVE, 7, "vfmadd132ps %%xmm0, %%xmm0, %%xmm1")                       \
	X(vcvtph2ps, F16C, CR4_OSXSAVE, 7, "vcvtph2ps %%xmm0, %%xmm1")                             \
	X(andn, BMI1, 0, 0, "andn %%eax, %%eax, %%ecx")                                            \
	X(pdep, BMI2, 0, 0, "pdep %%eax, %%eax, %%ecx")

static uint64_t operand[2] __attribute__((aligned(64)));

#define INSTRUCTION_CASE(name, feature, cr4, xcr0, text)                                           \
	static void execute_##name(void)                                                           \
	{                                                                                          \
		__asm__ volatile(TRY(text)                                                         \
		                 :                                                                 \
		                 : "S"(operand)                                                    \
		                 : "rax", "rcx", "rdx", "rbx", "cc", "memory");                    \
	}                                                                                          \
	static const struct instruction instruction_##name = { F_##feature, cr4, xcr0,             \
		                                               execute_##name };                   \
	TEST_ROW(name##_as_cpuid_says, instruction_case, &instruction_##name,                      \
	         "SDM Vol. 2A/2B, the instruction's exceptions: #UD if CPUID's " #feature          \
	         " is 0");
INSTRUCTIONS(INSTRUCTION_CASE)
