/* SPDX-License-Identifier: BSD-2-Clause */
/* Model-specific registers: what they keep, and what they refuse. */
#include "guest/x86_64/feature.h"

#define NON_CANONICAL UINT64_C(0x0100000000000000)
#define HIGH_ADDRESS  UINT64_C(0xffff8123456789ab)
#define ALWAYS        F_LM

/* ---- Registers that keep a value ---- */

struct keeps {
	uint32_t msr;
	enum feature feature;
	uint64_t value;
};

static void keeps_case(const struct test_case *self)
{
	const struct keeps *row = self->row;
	uint64_t before, got;

	need(row->feature);
	before = rdmsr(row->msr);
	wrmsr(row->msr, row->value);
	got = rdmsr(row->msr);
	wrmsr(row->msr, before);
	CHECK_EQ(got, row->value);
}

#define KEEPS(name, msr, feature, value, reference)                                                \
	static const struct keeps keeps_##name = { msr, feature, value };                          \
	TEST_ROW(name##_keeps, keeps_case, &keeps_##name, reference)

KEEPS(star, MSR_STAR, ALWAYS, 0x0033000800000000, "APM Vol. 2 6.1.1");
KEEPS(lstar, MSR_LSTAR, ALWAYS, HIGH_ADDRESS, "APM Vol. 2 6.1.1");
KEEPS(cstar, MSR_CSTAR, ALWAYS, HIGH_ADDRESS, "APM Vol. 2 6.1.1");
KEEPS(sfmask, MSR_SFMASK, ALWAYS, 0x00047700, "APM Vol. 2 6.1.1");
KEEPS(fs_base, MSR_FS_BASE, ALWAYS, HIGH_ADDRESS, "SDM Vol. 3A 3.4.4.1");
KEEPS(gs_base, MSR_GS_BASE, ALWAYS, HIGH_ADDRESS, "SDM Vol. 3A 3.4.4.1");
KEEPS(kernel_gs_base, MSR_KERNEL_GS_BASE, ALWAYS, HIGH_ADDRESS, "SDM Vol. 3A 5.8.8");
KEEPS(sysenter_cs, MSR_SYSENTER_CS, F_SEP, 0x1234, "SDM Vol. 3A 5.8.7");
KEEPS(sysenter_esp, MSR_SYSENTER_ESP, F_SEP, 0x12345678, "SDM Vol. 3A 5.8.7");
KEEPS(sysenter_eip, MSR_SYSENTER_EIP, F_SEP, 0x12345678, "SDM Vol. 3A 5.8.7");
KEEPS(tsc_aux, MSR_TSC_AUX, F_RDTSCP, 0x87654321, "SDM Vol. 3B 17.17.2");
KEEPS(pat, MSR_PAT, F_PAT, 0x0001040506070106, "SDM Vol. 3A 11.12.2");
KEEPS(mtrr_physbase0, 0x200, F_MTRR, 0x80000006, "SDM Vol. 3A 11.11.2.3");
KEEPS(mtrr_fix64k, 0x250, F_MTRR, 0x0606060606060606, "SDM Vol. 3A 11.11.2.2");

/* ---- Values that are refused, with #GP(0), and change nothing ---- */

struct refuses {
	uint32_t msr;
	enum feature feature;
	bool intel; /* AMD's manual does not demand it */
	uint64_t value;
};

static void refuses_case(const struct test_case *self)
{
	const struct refuses *row = self->row;
	uint64_t before;

	need(row->feature);
	if (row->intel && !vendor_is_intel())
		skip("an Intel CPU");
	before = rdmsr(row->msr);
	CHECK_FAULT(GP, 0, wrmsr(row->msr, row->value));
	CHECK_EQ(rdmsr(row->msr), before);
}

#define REFUSES(name, msr, feature, intel, value, reference)                                       \
	static const struct refuses refuses_##name = { msr, feature, intel, value };               \
	TEST_ROW(name, refuses_case, &refuses_##name, reference)

REFUSES(lstar_not_canonical, MSR_LSTAR, ALWAYS, false, NON_CANONICAL, "SDM Vol. 2B WRMSR");
REFUSES(cstar_not_canonical, MSR_CSTAR, ALWAYS, false, NON_CANONICAL, "SDM Vol. 2B WRMSR");
REFUSES(fs_base_not_canonical, MSR_FS_BASE, ALWAYS, false, NON_CANONICAL, "SDM Vol. 2B WRMSR");
REFUSES(gs_base_not_canonical, MSR_GS_BASE, ALWAYS, false, NON_CANONICAL, "SDM Vol. 2B WRMSR");
REFUSES(kernel_gs_base_not_canonical, MSR_KERNEL_GS_BASE, ALWAYS, false, NON_CANONICAL,
        "SDM Vol. 2B WRMSR");
REFUSES(sysenter_esp_not_canonical, MSR_SYSENTER_ESP, F_SEP, true, NON_CANONICAL,
        "SDM Vol. 2B WRMSR");
REFUSES(sysenter_eip_not_canonical, MSR_SYSENTER_EIP, F_SEP, true, NON_CANONICAL,
        "SDM Vol. 2B WRMSR");
REFUSES(tsc_aux_high_half, MSR_TSC_AUX, F_RDTSCP, true, BIT(32),
        "SDM Vol. 4, IA32_TSC_AUX: 63:32 reserved");
REFUSES(pat_type_2, MSR_PAT, F_PAT, false, 0x0007040600070402, "SDM Vol. 3A 11.12.2");
REFUSES(pat_type_3, MSR_PAT, F_PAT, false, 0x0307040600070406, "SDM Vol. 3A 11.12.2");
REFUSES(pat_type_8, MSR_PAT, F_PAT, false, 0x0007040608070406, "SDM Vol. 3A 11.12.2");
REFUSES(pat_reserved_bit, MSR_PAT, F_PAT, false, 0x0007040600070486, "SDM Vol. 3A 11.12.2");
REFUSES(mtrr_capability_is_read_only, 0xfe, F_MTRR, false, 0x508, "SDM Vol. 3A 11.11.1");
REFUSES(mtrr_default_type_2, 0x2ff, F_MTRR, false, 0x802, "SDM Vol. 3A 11.11.2.1");
REFUSES(mtrr_default_reserved, 0x2ff, F_MTRR, false, 0x1006, "SDM Vol. 3A 11.11.2.1");
REFUSES(mtrr_fixed_type_3, 0x250, F_MTRR, false, 0x0606060606060603, "SDM Vol. 3A 11.11.2.2");
REFUSES(mtrr_base_type_7, 0x200, F_MTRR, false, 7, "SDM Vol. 3A 11.11.2.3");
REFUSES(mtrr_base_reserved, 0x200, F_MTRR, false, 0x100, "SDM Vol. 3A 11.11.2.3");
REFUSES(apic_base_reserved_bit_9, MSR_APIC_BASE, F_APIC, false, APIC_DEFAULT | 0xa00,
        "SDM Vol. 3A 10.4.4");
REFUSES(apic_base_reserved_bit_0, MSR_APIC_BASE, F_APIC, false, APIC_DEFAULT | 0x901,
        "SDM Vol. 3A 10.4.4");
REFUSES(efer_reserved_bit_9, MSR_EFER, ALWAYS, false, EFER_LME | EFER_LMA | BIT(9),
        "SDM Vol. 3A 2.2.1");
REFUSES(efer_reserved_bit_63, MSR_EFER, ALWAYS, false, EFER_LME | EFER_LMA | BIT(63),
        "SDM Vol. 3A 2.2.1");
REFUSES(efer_lme_while_paging, MSR_EFER, ALWAYS, false, 0, "SDM Vol. 3A 4.1.1");

/* What a CPU has not cannot be switched on. */
struct absent {
	uint32_t msr;
	enum feature feature;
	uint64_t bits;
};

static void absent_case(const struct test_case *self)
{
	const struct absent *row = self->row;
	uint64_t before = rdmsr(row->msr);

	if (has(row->feature))
		skip("a CPU without the feature");
	CHECK_FAULT(GP, 0, wrmsr(row->msr, before | row->bits));
}

#define ABSENT(name, msr, feature, bits, reference)                                                \
	static const struct absent absent_##name = { msr, feature, bits };                         \
	TEST_ROW(name, absent_case, &absent_##name, reference)

ABSENT(efer_svme_without_svm, MSR_EFER, F_SVM, EFER_SVME, "APM Vol. 2 15.4, 3.1.7");
ABSENT(efer_ffxsr_without_it, MSR_EFER, F_FFXSR, BIT(14), "APM Vol. 2 3.1.7");
ABSENT(x2apic_without_it, MSR_APIC_BASE, F_X2APIC, BIT(10), "SDM Vol. 3A 10.12.1");

TEST(apic_base_beyond_physical, "SDM Vol. 3A 10.4.4: bits from MAXPHYADDR on are reserved")
{
	if (physical_bits() == 52)
		skip("less than 52 bits of physical address");
	CHECK_FAULT(GP, 0, wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(physical_bits())));
}

TEST(x2apic_needs_apic, "SDM Vol. 3A 10.12.5: EN = 0 and EXTD = 1 is invalid")
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	need(F_X2APIC);
	CHECK_FAULT(GP, 0, wrmsr(MSR_APIC_BASE, (base & ~BIT(11)) | BIT(10)));
	CHECK_EQ(rdmsr(MSR_APIC_BASE), base);
}

TEST(x2apic_back_to_xapic, "SDM Vol. 3A 10.12.5.1: x2APIC mode is left by disabling only")
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	need(F_X2APIC);
	x2apic_enable();
	CHECK_FAULT(GP, 0, wrmsr(MSR_APIC_BASE, base));
	CHECK_EQ(rdmsr(MSR_APIC_BASE), base | BIT(10));
}

TEST(x2apic_range_in_xapic_mode, "SDM Vol. 3A 10.12.2: #GP outside of x2APIC mode")
{
	need(F_X2APIC);
	CHECK_FAULT(GP, 0, rdmsr(0x803));
	CHECK_FAULT(GP, 0, wrmsr(0x80b, 0));
}

/* ---- Registers that are not there ---- */

struct missing {
	uint32_t msr;
	bool write;
};

static void missing_case(const struct test_case *self)
{
	const struct missing *row = self->row;

	if (row->write)
		CHECK_FAULT(GP, 0, wrmsr(row->msr, 0));
	else
		CHECK_FAULT(GP, 0, rdmsr(row->msr));
}

#define MISSING(name, msr, write)                                                                  \
	static const struct missing missing_##name = { msr, write };                               \
	TEST_ROW(name, missing_case, &missing_##name,                                              \
	         "SDM Vol. 2B RDMSR, WRMSR: #GP(0) for a reserved or unimplemented MSR address")

MISSING(read_unknown, 0x5fff0000, false);
MISSING(write_unknown, 0x5fff0000, true);
MISSING(read_unknown_high, 0xc0dead00, false);
MISSING(write_unknown_high, 0xc0dead00, true);
MISSING(read_reserved_range, 0x40001000, false);
MISSING(write_reserved_range, 0x40001000, true);

/* ---- How the instructions work ---- */

TEST(rdmsr_clears_upper_halves, "SDM Vol. 2B RDMSR")
{
	uint64_t a = BIT(63), d = BIT(63);

	__asm__ volatile("rdmsr" : "+a"(a), "+d"(d) : "c"((uint64_t)MSR_EFER));
	CHECK_EQ(a >> 32, 0);
	CHECK_EQ(d >> 32, 0);
}

TEST(address_is_ecx, "SDM Vol. 2B RDMSR, WRMSR: the high half of RCX is ignored")
{
	uint64_t a, d;

	__asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(BIT(35) | MSR_EFER));
	CHECK_EQ(a, rdmsr(MSR_EFER));
}

TEST(wrmsr_ignores_upper_halves, "SDM Vol. 2B WRMSR: EDX:EAX")
{
	__asm__ volatile("wrmsr" : : "a"(BIT(40) | 0x55), "d"(BIT(40) | 0x7), "c"(MSR_LSTAR));
	CHECK_EQ(rdmsr(MSR_LSTAR), UINT64_C(0x700000055));
}

USER_CODE_TEXT(user_rdmsr, 64, "movl $0xc0000080, %ecx; rdmsr");
USER_CODE_TEXT(user_wrmsr, 64, "movl $0xc0000082, %ecx; xorl %eax, %eax; xorl %edx, %edx; wrmsr");

TEST(rdmsr_in_ring_3, "SDM Vol. 2B RDMSR: #GP(0) if CPL is not 0")
{
	struct frame frame = enter_user(user_rdmsr, 0, 0);

	CHECK_EQ(frame.vector, GP);
	CHECK_EQ(frame.code, 0);
}

TEST(wrmsr_in_ring_3, "SDM Vol. 2B WRMSR: #GP(0) if CPL is not 0")
{
	struct frame frame;

	wrmsr(MSR_LSTAR, 0x1234);
	frame = enter_user(user_wrmsr, 0, 0);
	CHECK_EQ(frame.vector, GP);
	CHECK_EQ(frame.code, 0);
	CHECK_EQ(rdmsr(MSR_LSTAR), 0x1234);
}

TEST(fs_base_is_used, "SDM Vol. 3A 3.4.4.1")
{
	static uint64_t cell = 0x1122334455667788;
	uint64_t got;

	wrmsr(MSR_FS_BASE, (uint64_t)&cell - 0x10);
	__asm__ volatile("movq %%fs:0x10, %0" : "=r"(got));
	CHECK_EQ(got, cell);
}

TEST(gs_base_is_used, "SDM Vol. 3A 3.4.4.1")
{
	static uint64_t cell = 0x8877665544332211;
	uint64_t got;

	wrmsr(MSR_GS_BASE, (uint64_t)&cell - 0x10);
	__asm__ volatile("movq %%gs:0x10, %0" : "=r"(got));
	CHECK_EQ(got, cell);
}

TEST(swapgs_exchanges, "SDM Vol. 2B SWAPGS")
{
	wrmsr(MSR_GS_BASE, 0x1000);
	wrmsr(MSR_KERNEL_GS_BASE, 0x2000);
	__asm__ volatile("swapgs" : : : "memory");
	CHECK_EQ(rdmsr(MSR_GS_BASE), 0x2000);
	CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), 0x1000);
}

TEST(fsgsbase_is_the_msr, "SDM Vol. 2B RDFSBASE, WRFSBASE, RDGSBASE, WRGSBASE")
{
	uint64_t got;

	need(F_FSGSBASE);
	write_cr4(read_cr4() | CR4_FSGSBASE);
	__asm__ volatile("wrfsbase %0" : : "r"(HIGH_ADDRESS));
	__asm__ volatile("wrgsbase %0" : : "r"(HIGH_ADDRESS + 1));
	CHECK_EQ(rdmsr(MSR_FS_BASE), HIGH_ADDRESS);
	CHECK_EQ(rdmsr(MSR_GS_BASE), HIGH_ADDRESS + 1);
	wrmsr(MSR_FS_BASE, 0x5678);
	__asm__ volatile("rdfsbase %0" : "=r"(got));
	CHECK_EQ(got, 0x5678);
}

TEST(wrfsbase_not_canonical, "SDM Vol. 2B WRFSBASE: #GP(0)")
{
	need(F_FSGSBASE);
	write_cr4(read_cr4() | CR4_FSGSBASE);
	fault_expect();
	__asm__ volatile(TRY("wrfsbase %0") : : "r"(NON_CANONICAL));
	check_fault(HERE, "wrfsbase", fault_end(), GP, 0);
}

TEST(fsgsbase_needs_cr4, "SDM Vol. 2B RDFSBASE: #UD if CR4.FSGSBASE is 0")
{
	fault_expect();
	__asm__ volatile(TRY("rdfsbase %%rax") : : : "rax");
	check_fault(HERE, "rdfsbase", fault_end(), UD, 0);
}

TEST(tsc_msr_is_rdtsc, "SDM Vol. 3B 17.17")
{
	uint64_t first = rdtsc(), second = rdmsr(MSR_TSC), third = rdtsc();

	CHECK(first <= second);
	CHECK(second <= third);
}

TEST(tsc_adjust_moves_tsc, "SDM Vol. 3B 17.17.3: a write to IA32_TSC_ADJUST is added to the TSC")
{
	uint64_t adjust, before, after;

	need(F_TSC_ADJUST);
	adjust = rdmsr(0x3b);
	before = rdtsc();
	wrmsr(0x3b, adjust + BIT(40));
	after = rdtsc();
	wrmsr(0x3b, adjust);
	CHECK(after - before >= BIT(40));
}

TEST(rdtscp_gives_tsc_aux, "SDM Vol. 2B RDTSCP")
{
	uint64_t a, c, d;

	need(F_RDTSCP);
	wrmsr(MSR_TSC_AUX, 0xfedcba98);
	__asm__ volatile("rdtscp" : "=a"(a), "=c"(c), "=d"(d));
	CHECK_EQ(c, 0xfedcba98);
}

TEST(rdpid_gives_tsc_aux, "SDM Vol. 2B RDPID")
{
	uint64_t value;

	need(F_RDPID);
	wrmsr(MSR_TSC_AUX, 0x1234567);
	__asm__ volatile("rdpid %0" : "=r"(value));
	CHECK_EQ(value, 0x1234567);
}

TEST(apic_base_names_the_bsp, "SDM Vol. 3A 10.4.4: bit 8 is set on the bootstrap processor")
{
	CHECK(rdmsr(MSR_APIC_BASE) & BIT(8));
}

static void take_apic_base(void *argument)
{
	*(uint64_t *)argument = rdmsr(MSR_APIC_BASE);
}

TEST_SMP(apic_base_of_others, 2, "SDM Vol. 3A 10.4.4: bit 8 is set on the bootstrap processor only")
{
	static uint64_t base;

	start_cpu(1, take_apic_base, &base);
	wait_cpu(1);
	CHECK(!(base & BIT(8)));
}

static void write_lstar(void *argument)
{
	wrmsr(MSR_LSTAR, 0x4321);
}

TEST_SMP(each_cpu_has_its_own, 2, "SDM Vol. 4, IA32_LSTAR: scope thread")
{
	wrmsr(MSR_LSTAR, 0x1234);
	start_cpu(1, write_lstar, NULL);
	wait_cpu(1);
	CHECK_EQ(rdmsr(MSR_LSTAR), 0x1234);
}
