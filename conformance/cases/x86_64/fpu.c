/* SPDX-License-Identifier: BSD-2-Clause */
/* x87, SSE and AVX state: what it is, how it is saved, and whether it survives. */
#include "guest/print.h"
#include "guest/x86_64/feature.h"

static uint8_t area[8192] __attribute__((aligned(64)));
static uint8_t other[8192] __attribute__((aligned(64)));

#define FXSAVE_XMM 160u /* offset of XMM0 */
#define XSTATE_BV  512u
#define XCOMP_BV   520u

static void with_xsave(uint64_t xcr0)
{
	need(F_XSAVE);
	if (xcr0 & 4)
		need(F_AVX);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	xsetbv(0, xcr0);
	memset(area, 0, sizeof(area));
	memset(other, 0, sizeof(other));
}

static void set_xmm(uint64_t low, uint64_t high)
{
	uint64_t value[2] __attribute__((aligned(16))) = { low, high };

	__asm__ volatile("movaps %0, %%xmm0; movaps %%xmm0, %%xmm7; movaps %%xmm0, %%xmm15"
	                 :
	                 : "m"(value));
}

static bool xmm_is(uint64_t low, uint64_t high)
{
	uint64_t value[6] __attribute__((aligned(16)));

	__asm__ volatile("movaps %%xmm0, %0; movaps %%xmm7, %1; movaps %%xmm15, %2"
	                 : "=m"(value[0]), "=m"(value[2]), "=m"(value[4])
	                 :
	                 : "memory");
	return value[0] == low && value[1] == high && value[2] == low && value[3] == high &&
	       value[4] == low && value[5] == high;
}

static uint16_t control_word(void)
{
	uint16_t value;

	__asm__ volatile("fnstcw %0" : "=m"(value));
	return value;
}

static uint16_t status_word(void)
{
	uint16_t value;

	__asm__ volatile("fnstsw %0" : "=m"(value));
	return value;
}

static uint32_t mxcsr(void)
{
	uint32_t value;

	__asm__ volatile("stmxcsr %0" : "=m"(value));
	return value;
}

static void set_mxcsr(uint32_t value)
{
	__asm__ volatile(TRY("ldmxcsr %0") : : "m"(value));
}

TEST(fninit_state, "SDM Vol. 1 8.1: control word 37FH, status word 0, all registers empty")
{
	uint8_t environment[28];

	__asm__ volatile("fld1; fninit; fnstenv %0; fninit" : "=m"(environment));
	CHECK_EQ(*(uint16_t *)environment, 0x37f);
	CHECK_EQ(*(uint16_t *)(environment + 4), 0);
	CHECK_EQ(*(uint16_t *)(environment + 8), 0xffff);
}

TEST(control_word_keeps, "SDM Vol. 2A FLDCW")
{
	uint16_t value = 0xf7f;

	__asm__ volatile("fldcw %0" : : "m"(value));
	CHECK_EQ(control_word(), 0xf7f);
}

TEST(x87_computes, "SDM Vol. 1 8.3")
{
	double result;
	uint64_t bits;

	__asm__ volatile("fninit; fld1; fld1; faddp; fld1; faddp; fstpl %0" : "=m"(result));
	memcpy(&bits, &result, 8);
	CHECK_EQ(bits, UINT64_C(0x4008000000000000)); /* 3.0 */
}

TEST(x87_stack_underflow, "SDM Vol. 1 8.5.1.1: IE and SF")
{
	__asm__ volatile("fninit; fstp %%st(0)" : : : "memory");
	CHECK_EQ(status_word() & 0x41, 0x41);
}

TEST(x87_divide_by_zero, "SDM Vol. 1 8.5.3: ZE")
{
	__asm__ volatile("fninit; fld1; fldz; fdivrp; fstp %%st(0)" : : : "memory");
	CHECK_EQ(status_word() & 4, 4);
}

TEST(x87_exception_waits,
     "SDM Vol. 1 8.7: an unmasked exception is reported at the next waiting instruction")
{
	uint16_t unmasked = 0x37b;
	uint64_t at;
	struct fault got;

	fault_expect();
	__asm__ volatile("leaq 1f(%%rip), %0; fninit; fldcw %1; " TRY(
				 "fld1; fldz; fdivrp; nop; nop; 1: fwait") "fninit"
	                 : "=&r"(at)
	                 : "m"(unmasked)
	                 : "memory");
	got = fault_end();
	check_fault(HERE, "fwait", got, MF, 0);
	CHECK_EQ(got.pc, at);
}

TEST(mxcsr_at_reset_value, "SDM Vol. 1 10.2.3: 1F80H as LDMXCSR left it")
{
	CHECK_EQ(mxcsr(), 0x1f80);
}

TEST(mxcsr_reserved, "SDM Vol. 2A LDMXCSR: #GP(0) for a reserved bit")
{
	CHECK_FAULT(GP, 0, set_mxcsr(0x1f80 | 1u << 16));
	CHECK_FAULT(GP, 0, set_mxcsr(0x1f80 | 1u << 31));
	CHECK_EQ(mxcsr(), 0x1f80);
}

TEST(mxcsr_flags, "SDM Vol. 1 10.2.3: ZE is sticky")
{
	set_mxcsr(0x1f80);
	__asm__ volatile("pcmpeqd %%xmm1, %%xmm1; pslld $25, %%xmm1; psrld $2, %%xmm1; xorps "
	                 "%%xmm0, %%xmm0; "
	                 "divps %%xmm0, %%xmm1"
	                 :
	                 :
	                 : "memory");
	CHECK_EQ(mxcsr() & 4, 4);
}

TEST(flush_to_zero, "SDM Vol. 1 10.2.3.3: MXCSR.FTZ")
{
	uint32_t tiny = 0x00800000, half = 0x3f000000, result = 1;

	set_mxcsr(0x1f80 | 1u << 15);
	__asm__ volatile("movss %1, %%xmm0; mulss %2, %%xmm0; movss %%xmm0, %0"
	                 : "=m"(result)
	                 : "m"(tiny), "m"(half));
	CHECK_EQ(result, 0);
	set_mxcsr(0x1f80);
	__asm__ volatile("movss %1, %%xmm0; mulss %2, %%xmm0; movss %%xmm0, %0"
	                 : "=m"(result)
	                 : "m"(tiny), "m"(half));
	CHECK_EQ(result, 0x00400000);
}

TEST(rounding, "SDM Vol. 1 4.8.4: MXCSR.RC")
{
	uint32_t value = 0x3fc00000; /* 1.5 */
	int32_t results[4];

	for (uint32_t rc = 0; rc < 4; rc++) {
		set_mxcsr(0x1f80 | rc << 13);
		__asm__ volatile("cvtss2si %1, %0" : "=r"(results[rc]) : "m"(value));
	}
	CHECK_EQ(results[0], 2);
	CHECK_EQ(results[1], 1);
	CHECK_EQ(results[2], 2);
	CHECK_EQ(results[3], 1);
}

TEST(fxsave_fxrstor, "SDM Vol. 2A FXSAVE, FXRSTOR")
{
	set_xmm(0x1111, 0x2222);
	__asm__ volatile("fxsaveq %0" : "=m"(area));
	set_xmm(0, 0);
	__asm__ volatile("fxrstorq %0" : : "m"(area));
	CHECK(xmm_is(0x1111, 0x2222));
	CHECK_EQ(*(uint64_t *)(area + FXSAVE_XMM), 0x1111);
	CHECK_EQ(*(uint32_t *)(area + 24), 0x1f80);
}

TEST(fxrstor_reserved_mxcsr, "SDM Vol. 2A FXRSTOR: #GP(0) for a reserved bit of MXCSR")
{
	__asm__ volatile("fxsaveq %0" : "=m"(area));
	area[27] = 0x80;
	fault_expect();
	__asm__ volatile(TRY("fxrstorq %0") : : "m"(area));
	check_fault(HERE, "fxrstor", fault_end(), GP, 0);
}

TEST(survives_exits,
     "SDM Vol. 1 10.2: registers stay as they are, whatever a hypervisor does in between")
{
	set_xmm(UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210));
	__asm__ volatile("fninit; fldpi");
	for (unsigned int n = 0; n < 100; n++) {
		cpuid(0, 0);
		in8(0x61);
		apic_read(APIC_VERSION);
		rdmsr(MSR_APIC_BASE);
	}
	CHECK(xmm_is(UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)));
	__asm__ volatile("fstpl %0" : "=m"(area));
	CHECK_EQ(*(uint64_t *)area, UINT64_C(0x400921fb54442d18));
	CHECK_EQ(mxcsr(), 0x1f80);
}

static void scramble(void *argument)
{
	set_xmm(UINT64_MAX, (uint64_t)argument);
	__asm__ volatile("fninit; fldz; fldz");
	set_mxcsr(0x1fbf);
	for (unsigned int n = 0; n < 20; n++)
		cpuid(0, 0);
	if (!xmm_is(UINT64_MAX, (uint64_t)argument))
		FAIL("the vector registers have changed");
	if (mxcsr() != 0x1fbf)
		FAIL("MXCSR has changed");
}

TEST_SMP(each_cpu_has_its_own, 2, "SDM Vol. 1 8.1, 10.2: registers belong to a logical processor")
{
	set_xmm(0x3333, 0x4444);
	start_cpu(1, scramble, (void *)0x77);
	for (unsigned int n = 0; n < 20; n++)
		cpuid(0, 0);
	wait_cpu(1);
	CHECK(xmm_is(0x3333, 0x4444));
	CHECK_EQ(mxcsr(), 0x1f80);
}

#define XSAVE(instruction, to, mask)                                                               \
	__asm__ volatile(TRY(instruction " %0")                                                    \
	                 : "+m"(to)                                                                \
	                 : "a"((uint32_t)(mask)), "d"(0)                                           \
	                 : "memory")

TEST(xsave_xrstor, "SDM Vol. 2C XSAVE, XRSTOR")
{
	with_xsave(3);
	set_xmm(0x5555, 0x6666);
	XSAVE("xsave64", area, 3);
	CHECK_EQ(*(uint64_t *)(area + XSTATE_BV) & 2, 2);
	CHECK_EQ(*(uint64_t *)(area + XCOMP_BV), 0);
	set_xmm(0, 0);
	XSAVE("xrstor64", area, 3);
	CHECK(xmm_is(0x5555, 0x6666));
}

TEST(xrstor_initialises,
     "SDM Vol. 1 13.8: a component whose bit in XSTATE_BV is 0 gets its initial state")
{
	with_xsave(3);
	set_xmm(1, 2);
	XSAVE("xsave64", area, 3);
	area[XSTATE_BV] = 0;
	XSAVE("xrstor64", area, 2);
	CHECK(xmm_is(0, 0));
}

TEST(xsave_by_mask, "SDM Vol. 1 13.7: only what the mask selects is written")
{
	with_xsave(3);
	set_xmm(0x7777, 0x8888);
	XSAVE("xsave64", area, 1);
	CHECK_EQ(*(uint64_t *)(area + FXSAVE_XMM), 0);
	CHECK_EQ(*(uint64_t *)(area + XSTATE_BV) & 2, 0);
}

TEST(xrstor_reserved_header,
     "SDM Vol. 2C XRSTOR: #GP(0) for a bit of XSTATE_BV that XCR0 has not, or bytes 23:8")
{
	with_xsave(3);
	XSAVE("xsave64", area, 3);
	memcpy(other, area, sizeof(area));
	other[XSTATE_BV + 7] = 0x40;
	fault_expect();
	XSAVE("xrstor64", other, 3);
	check_fault(HERE, "xrstor with XSTATE_BV[62]", fault_end(), GP, 0);
	memcpy(other, area, sizeof(area));
	other[XCOMP_BV] = 1;
	fault_expect();
	XSAVE("xrstor64", other, 3);
	check_fault(HERE, "xrstor with XCOMP_BV[0]", fault_end(), GP, 0);
}

TEST(xsave_alignment, "SDM Vol. 2C XSAVE: #GP(0) unless aligned to 64 bytes")
{
	with_xsave(3);
	fault_expect();
	XSAVE("xsave64", area[16], 3);
	check_fault(HERE, "xsave", fault_end(), GP, 0);
}

TEST(xsave_needs_osxsave, "SDM Vol. 2C XSAVE: #UD if CR4.OSXSAVE is 0")
{
	need(F_XSAVE);
	fault_expect();
	XSAVE("xsave64", area, 3);
	check_fault(HERE, "xsave", fault_end(), UD, 0);
}

TEST(xsaveopt_saves, "SDM Vol. 2C XSAVEOPT: what has changed is saved")
{
	need(F_XSAVEOPT);
	with_xsave(3);
	set_xmm(0x9999, 0xaaaa);
	XSAVE("xsaveopt64", area, 3);
	CHECK_EQ(*(uint64_t *)(area + FXSAVE_XMM), 0x9999);
}

TEST(xsavec_compacts, "SDM Vol. 2C XSAVEC: XCOMP_BV[63] is set")
{
	need(F_XSAVEC);
	with_xsave(3);
	set_xmm(0xbbbb, 0xcccc);
	XSAVE("xsavec64", area, 3);
	CHECK_EQ(*(uint64_t *)(area + XCOMP_BV), BIT(63) | 3);
	set_xmm(0, 0);
	XSAVE("xrstor64", area, 3);
	CHECK(xmm_is(0xbbbb, 0xcccc));
}

TEST(avx_needs_xcr0, "SDM Vol. 2A 2.4: #UD unless XCR0 has SSE and AVX")
{
	with_xsave(7);
	xsetbv(0, 3);
	fault_expect();
	__asm__ volatile(TRY("vaddps %ymm0, %ymm0, %ymm0"));
	check_fault(HERE, "vaddps", fault_end(), UD, 0);
}

TEST(avx_needs_osxsave, "SDM Vol. 2A 2.4: #UD if CR4.OSXSAVE is 0")
{
	need(F_AVX);
	fault_expect();
	__asm__ volatile(TRY("vaddps %ymm0, %ymm0, %ymm0"));
	check_fault(HERE, "vaddps", fault_end(), UD, 0);
}

TEST(avx_nm, "SDM Vol. 3A 2.5, CR0.TS: #NM for AVX")
{
	with_xsave(7);
	write_cr0(read_cr0() | CR0_TS);
	fault_expect();
	__asm__ volatile(TRY("vaddps %ymm0, %ymm0, %ymm0"));
	check_fault(HERE, "vaddps", fault_end(), NM, 0);
}

TEST(avx_upper_halves, "SDM Vol. 2A 3.1.1.6: VEX.128 clears the upper half; legacy SSE leaves it")
{
	uint64_t value[4] __attribute__((aligned(32))) = { 1, 2, 3, 4 },
			  got[4] __attribute__((aligned(32)));

	with_xsave(7);
	__asm__ volatile("vmovaps %1, %%ymm3; addps %%xmm3, %%xmm3; vmovaps %%ymm3, %0"
	                 : "=m"(got)
	                 : "m"(value));
	CHECK_EQ(got[2], 3);
	CHECK_EQ(got[3], 4);
	__asm__ volatile("vmovaps %1, %%ymm3; vmovaps %%xmm3, %%xmm3; vmovaps %%ymm3, %0"
	                 : "=m"(got)
	                 : "m"(value));
	CHECK_EQ(got[1], 2);
	CHECK_EQ(got[2], 0);
	CHECK_EQ(got[3], 0);
	__asm__ volatile("vmovaps %1, %%ymm3; vzeroupper; vmovaps %%ymm3, %0"
	                 : "=m"(got)
	                 : "m"(value));
	CHECK_EQ(got[1], 2);
	CHECK_EQ(got[2], 0);
}

TEST(avx_saved, "SDM Vol. 1 13.5.2: AVX state in an XSAVE area")
{
	uint64_t value[4] __attribute__((aligned(32))) = { 5, 6, 7, 8 },
			  got[4] __attribute__((aligned(32)));
	uint32_t offset;

	with_xsave(7);
	offset = cpuid(0xd, 2).ebx;
	__asm__ volatile("vmovaps %0, %%ymm9" : : "m"(value));
	XSAVE("xsave64", area, 7);
	CHECK_EQ(*(uint64_t *)(area + offset + 9 * 16), 7);
	__asm__ volatile("vzeroall");
	XSAVE("xrstor64", area, 7);
	__asm__ volatile("vmovaps %%ymm9, %0" : "=m"(got));
	CHECK_EQ(got[0], 5);
	CHECK_EQ(got[3], 8);
}

TEST(avx_survives_exits,
     "SDM Vol. 1 14.1: registers stay as they are, whatever a hypervisor does in between")
{
	uint64_t value[4] __attribute__((aligned(32))) = { 11, 12, 13, 14 },
			  got[4] __attribute__((aligned(32)));

	with_xsave(7);
	__asm__ volatile("vmovaps %0, %%ymm12" : : "m"(value));
	for (unsigned int n = 0; n < 100; n++) {
		cpuid(0, 0);
		in8(0x61);
		apic_read(APIC_VERSION);
	}
	__asm__ volatile("vmovaps %%ymm12, %0" : "=m"(got));
	CHECK_EQ(got[0], 11);
	CHECK_EQ(got[3], 14);
	CHECK_EQ(xgetbv(0), 7);
}
