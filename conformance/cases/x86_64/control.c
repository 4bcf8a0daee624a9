/* SPDX-License-Identifier: BSD-2-Clause */
/* Control registers, EFER and XCR0: what may be set together, and what reads back. */
#include "guest/x86_64/feature.h"

/* ---- Each bit of CR4: there if CPUID says so, else reserved ---- */

struct cr4_bit {
	unsigned int bit;
	enum feature feature;
};

static void cr4_case(const struct test_case *self)
{
	const struct cr4_bit *row = self->row;
	uint64_t before = read_cr4(), changed = before ^ BIT(row->bit);

	if (!has(row->feature)) {
		CHECK_FAULT(GP, 0, write_cr4(changed));
		CHECK_EQ(read_cr4(), before);
		return;
	}
	CHECK_NO_FAULT(write_cr4(changed));
	CHECK_EQ(read_cr4(), changed);
	CHECK_NO_FAULT(write_cr4(before));
	CHECK_EQ(read_cr4(), before);
}

#define CR4_CASE(name, bit, feature)                                                               \
	static const struct cr4_bit cr4_bit_##name = { bit, feature };                             \
	TEST_ROW(cr4_##name, cr4_case, &cr4_bit_##name,                                            \
	         "SDM Vol. 3A 2.5: CR4, a bit that is not supported is reserved: #GP(0)")
CR4_CASE(vme, 0, F_VME);
CR4_CASE(pvi, 1, F_VME);
CR4_CASE(tsd, 2, F_TSC);
CR4_CASE(de, 3, F_DE_EXTENSIONS);
CR4_CASE(pse, 4, F_PSE);
CR4_CASE(mce, 6, F_MCE);
CR4_CASE(pge, 7, F_PGE);
CR4_CASE(pce, 8, F_LM);
CR4_CASE(osfxsr, 9, F_FXSR);
CR4_CASE(osxmmexcpt, 10, F_SSE);
CR4_CASE(umip, 11, F_UMIP);
CR4_CASE(fsgsbase, 16, F_FSGSBASE);
CR4_CASE(pcide, 17, F_PCID);
CR4_CASE(osxsave, 18, F_XSAVE);
CR4_CASE(smep, 20, F_SMEP);
CR4_CASE(smap, 21, F_SMAP);
CR4_CASE(pke, 22, F_PKU);
CR4_CASE(pks, 24, F_PKS);

/* All in one: some emulators do not survive it.  */
TEST(cr4_reserved_bits, "SDM Vol. 3A 2.5: CR4, a bit that is not supported is reserved: #GP(0)")
{
	uint64_t before = read_cr4();

	for (unsigned int bit = 33; bit < 64; bit++)
		CHECK_FAULT(GP, 0, write_cr4(before | BIT(bit)));
	CHECK_FAULT(GP, 0, write_cr4(before | BIT(15)));
	CHECK_FAULT(GP, 0, write_cr4(before | BIT(26)));
	CHECK_FAULT(GP, 0, write_cr4(before | BIT(31)));
	if (!has(F_VMX))
		CHECK_FAULT(GP, 0, write_cr4(before | CR4_VMXE));
	if (!has(F_SMX))
		CHECK_FAULT(GP, 0, write_cr4(before | CR4_SMXE));
	CHECK_EQ(read_cr4(), before);
}

TEST(cr4_pae_in_long_mode, "SDM Vol. 3A 4.1.1: PAE cannot be cleared while IA-32e mode is active")
{
	uint64_t before = read_cr4();

	CHECK_FAULT(GP, 0, write_cr4(before & ~CR4_PAE));
	CHECK_EQ(read_cr4(), before);
}

TEST(cr4_la57_in_long_mode, "SDM Vol. 3A 2.5: LA57 cannot be changed in IA-32e mode")
{
	uint64_t before = read_cr4();

	CHECK_FAULT(GP, 0, write_cr4(before ^ CR4_LA57));
	CHECK_EQ(read_cr4(), before);
}

TEST(cr4_pcide_with_pcid, "SDM Vol. 3A 4.10.1: PCIDE is set only while CR3[11:0] is 0")
{
	need(F_PCID);
	write_cr3(read_cr3() | PTE_PCD);
	CHECK_FAULT(GP, 0, write_cr4(read_cr4() | CR4_PCIDE));
}

/* ---- CR0 ---- */

struct cr0_row {
	uint64_t clear, set;
};

static void cr0_refused_case(const struct test_case *self)
{
	const struct cr0_row *row = self->row;
	uint64_t before = read_cr0();

	CHECK_FAULT(GP, 0, write_cr0((before & ~row->clear) | row->set));
	CHECK_EQ(read_cr0(), before);
}

static void cr0_kept_case(const struct test_case *self)
{
	const struct cr0_row *row = self->row;
	uint64_t before = read_cr0(), changed = (before & ~row->clear) | row->set, got;

	CHECK(changed != before);
	write_cr0(changed);
	got = read_cr0();
	write_cr0(before);
	CHECK_EQ(got, changed);
	CHECK_EQ(read_cr0(), before);
}

#define CR0_CASE(name, function, clear, set, reference)                                            \
	static const struct cr0_row cr0_row_##name = { clear, set };                               \
	TEST_ROW(cr0_##name, function, &cr0_row_##name, reference)
CR0_CASE(pg_without_pe, cr0_refused_case, CR0_PE, 0,
         "SDM Vol. 2B MOV CR: #GP(0) for PG = 1 and PE = 0");
CR0_CASE(nw_without_cd, cr0_refused_case, 0, CR0_NW,
         "SDM Vol. 2B MOV CR: #GP(0) for NW = 1 and CD = 0");
CR0_CASE(pg_in_64_bit_mode, cr0_refused_case, CR0_PG, 0,
         "SDM Vol. 2B MOV CR: #GP(0) in 64-bit mode");
CR0_CASE(bit_32, cr0_refused_case, 0, BIT(32), "SDM Vol. 3A 2.5: bits 63:32 are reserved, #GP(0)");
CR0_CASE(bit_63, cr0_refused_case, 0, BIT(63), "SDM Vol. 3A 2.5: bits 63:32 are reserved, #GP(0)");
CR0_CASE(keeps_wp, cr0_kept_case, CR0_WP, 0, "SDM Vol. 3A 2.5");
CR0_CASE(keeps_am, cr0_kept_case, 0, CR0_AM, "SDM Vol. 3A 2.5");
CR0_CASE(keeps_ts, cr0_kept_case, 0, CR0_TS, "SDM Vol. 3A 2.5");
CR0_CASE(keeps_em, cr0_kept_case, 0, CR0_EM, "SDM Vol. 3A 2.5");
CR0_CASE(keeps_mp, cr0_kept_case, CR0_MP, 0, "SDM Vol. 3A 2.5");
CR0_CASE(keeps_ne, cr0_kept_case, CR0_NE, 0, "SDM Vol. 3A 2.5");
CR0_CASE(keeps_cd, cr0_kept_case, 0, CR0_CD, "SDM Vol. 3A 2.5");

TEST(cr0_et_is_set, "SDM Vol. 3A 2.5: ET is hardcoded to 1")
{
	write_cr0(read_cr0() & ~CR0_ET);
	CHECK(read_cr0() & CR0_ET);
}

TEST(lmsw_sets, "SDM Vol. 2A LMSW: PE, MP, EM and TS")
{
	lmsw((uint16_t)(CR0_PE | CR0_EM | CR0_TS));
	CHECK_EQ(read_cr0() & 0xf, CR0_PE | CR0_EM | CR0_TS);
}

TEST(lmsw_keeps_pe, "SDM Vol. 2A LMSW: PE cannot be cleared")
{
	lmsw(0);
	CHECK_EQ(read_cr0() & 0xf, CR0_PE);
}

TEST(lmsw_four_bits, "SDM Vol. 2A LMSW: only the low 4 bits")
{
	uint64_t before = read_cr0();

	lmsw(0xfff0 | (before & 0xf));
	CHECK_EQ(read_cr0(), before);
}

TEST(smsw_is_cr0, "SDM Vol. 2B SMSW: with a 64-bit register, CR0")
{
	uint64_t value;

	__asm__ volatile("smsw %0" : "=r"(value));
	CHECK_EQ(value, read_cr0());
}

TEST(smsw_to_memory, "SDM Vol. 2B SMSW: 16 bits to memory")
{
	uint64_t cell = UINT64_MAX;

	__asm__ volatile("smsw %0" : "+m"(cell));
	CHECK_EQ(cell, UINT64_C(0xffffffffffff0000) | (read_cr0() & 0xffff));
}

TEST(clts_clears, "SDM Vol. 2A CLTS")
{
	write_cr0(read_cr0() | CR0_TS);
	clts();
	CHECK(!(read_cr0() & CR0_TS));
}

/* ---- CR2, CR3, CR8, and those that do not exist ---- */

TEST(cr2_keeps, "SDM Vol. 3A 2.5")
{
	write_cr2(UINT64_C(0xffff8000deadbeef));
	CHECK_EQ(read_cr2(), UINT64_C(0xffff8000deadbeef));
}

TEST(cr3_keeps_pcd_pwt, "SDM Vol. 3A 2.5")
{
	write_cr3(read_cr3() | PTE_PCD | PTE_PWT);
	CHECK_EQ(read_cr3() & 0x18, 0x18);
}

TEST(cr3_beyond_physical, "SDM Vol. 2B MOV CR: #GP(0) for a reserved bit of CR3")
{
	uint64_t before = read_cr3();

	if (physical_bits() == 52)
		skip("less than 52 bits of physical address");
	CHECK_FAULT(GP, 0, write_cr3(before | BIT(physical_bits())));
	CHECK_EQ(read_cr3(), before);
}

TEST(cr3_bit_51, "SDM Vol. 2B MOV CR: #GP(0) for a reserved bit of CR3")
{
	if (physical_bits() == 52)
		skip("less than 52 bits of physical address");
	CHECK_FAULT(GP, 0, write_cr3(read_cr3() | BIT(51)));
}

TEST(cr3_bit_63_without_pcide, "SDM Vol. 2B MOV CR: bit 63 is reserved unless CR4.PCIDE is set")
{
	CHECK_FAULT(GP, 0, write_cr3(read_cr3() | BIT(63)));
}

TEST(cr3_bit_63_with_pcide, "SDM Vol. 3A 4.10.4.1: bit 63 is not written to CR3")
{
	need(F_PCID);
	write_cr4(read_cr4() | CR4_PCIDE);
	CHECK_NO_FAULT(write_cr3(read_cr3() | BIT(63)));
	CHECK(!(read_cr3() & BIT(63)));
}

TEST(cr3_keeps_pcid, "SDM Vol. 3A 4.10.1")
{
	need(F_PCID);
	write_cr4(read_cr4() | CR4_PCIDE);
	write_cr3(read_cr3() | 0xabc);
	CHECK_EQ(read_cr3() & 0xfff, 0xabc);
}

TEST(cr8_is_tpr, "SDM Vol. 3A 10.8.6.1: CR8 is TPR[7:4]")
{
	write_cr8(9);
	CHECK_EQ(read_cr8(), 9);
	CHECK_EQ(apic_read(APIC_TPR), 0x90);
	apic_write(APIC_TPR, 0x5b);
	CHECK_EQ(read_cr8(), 5);
}

TEST(cr8_reserved, "SDM Vol. 2B MOV CR: #GP(0) for a reserved bit of CR8")
{
	CHECK_FAULT(GP, 0, write_cr8(0x10));
	CHECK_FAULT(GP, 0, write_cr8(BIT(63)));
	CHECK_EQ(read_cr8(), 0);
}

#define NO_REGISTER(name, text)                                                                    \
	TEST(name, "SDM Vol. 2B MOV CR: #UD for CR1, CR5 to CR7, CR9 to CR15")                     \
	{                                                                                          \
		fault_expect();                                                                    \
		__asm__ volatile(TRY(text) : : : "rax", "memory");                                 \
		check_fault(HERE, #name, fault_end(), UD, 0);                                      \
	}
NO_REGISTER(cr1_read, ".byte 0x0f, 0x20, 0xc8")
NO_REGISTER(cr1_write, ".byte 0x0f, 0x22, 0xc8")
NO_REGISTER(cr5_read, ".byte 0x0f, 0x20, 0xe8")
NO_REGISTER(cr7_write, ".byte 0x0f, 0x22, 0xf8")
NO_REGISTER(cr9_read, ".byte 0x44, 0x0f, 0x20, 0xc8")
NO_REGISTER(cr15_write, ".byte 0x44, 0x0f, 0x22, 0xf8")

TEST(mov_cr_ignores_mod, "SDM Vol. 2B MOV CR: the ModR/M byte's mod field is ignored")
{
	uint64_t value;

	__asm__ volatile(".byte 0x0f, 0x20, 0x00" : "=a"(value)); /* mod 0: still CR0 to RAX */
	CHECK_EQ(value, read_cr0());
}

TEST(mov_cr_lock, "SDM Vol. 2B MOV CR: #UD with LOCK")
{
	if (!vendor_is_intel())
		skip("an Intel CPU: AMD has LOCK MOV CR0 as CR8");
	fault_expect();
	__asm__ volatile(TRY(".byte 0xf0, 0x0f, 0x20, 0xc0") : : : "rax");
	check_fault(HERE, "lock mov %cr0, %eax", fault_end(), UD, 0);
}

/* ---- EFER ---- */

TEST(efer_is_long_mode, "SDM Vol. 3A 2.2.1: LMA and LME")
{
	CHECK_EQ(rdmsr(MSR_EFER) & (EFER_LMA | EFER_LME), EFER_LMA | EFER_LME);
}

TEST(efer_keeps_sce, "SDM Vol. 3A 2.2.1")
{
	uint64_t before = rdmsr(MSR_EFER);

	wrmsr(MSR_EFER, before | EFER_SCE);
	CHECK_EQ(rdmsr(MSR_EFER), before | EFER_SCE);
	wrmsr(MSR_EFER, before);
	CHECK_EQ(rdmsr(MSR_EFER), before);
}

TEST(efer_nxe_as_cpuid_says, "SDM Vol. 3A 2.2.1: reserved without CPUID.80000001H:EDX.NX[20]")
{
	uint64_t before = rdmsr(MSR_EFER);

	if (!has(F_NX)) {
		CHECK_FAULT(GP, 0, wrmsr(MSR_EFER, before | EFER_NXE));
		return;
	}
	wrmsr(MSR_EFER, before & ~EFER_NXE);
	CHECK(!(rdmsr(MSR_EFER) & EFER_NXE));
}

/* ---- XCR0 ---- */

static void with_osxsave(void)
{
	need(F_XSAVE);
	write_cr4(read_cr4() | CR4_OSXSAVE);
}

TEST(xcr0_starts_with_x87, "SDM Vol. 1 13.3: bit 0 is always set")
{
	with_osxsave();
	CHECK_EQ(xgetbv(0), 1);
}

TEST(xcr0_x87_cannot_be_cleared, "SDM Vol. 2C XSETBV: #GP(0)")
{
	with_osxsave();
	CHECK_FAULT(GP, 0, xsetbv(0, 2));
	CHECK_EQ(xgetbv(0), 1);
}

TEST(xcr0_avx_needs_sse, "SDM Vol. 2C XSETBV: #GP(0) for AVX without SSE")
{
	need(F_AVX);
	with_osxsave();
	CHECK_FAULT(GP, 0, xsetbv(0, 5));
}

TEST(xcr0_unknown_bits, "SDM Vol. 2C XSETBV: #GP(0) for a bit that CPUID.0DH does not give")
{
	struct cpuid leaf;

	with_osxsave();
	leaf = cpuid(0xd, 0);
	CHECK_FAULT(GP, 0, xsetbv(0, BIT(63) | 1));
	for (unsigned int n = 2; n < 32; n++)
		if (!(leaf.eax >> n & 1))
			CHECK_FAULT(GP, 0, xsetbv(0, BIT(n) | 7));
	CHECK_EQ(xgetbv(0), 1);
}

TEST(xcr0_keeps_avx, "SDM Vol. 2C XSETBV")
{
	need(F_AVX);
	with_osxsave();
	CHECK_NO_FAULT(xsetbv(0, 7));
	CHECK_EQ(xgetbv(0), 7);
	xsetbv(0, 3);
	CHECK_EQ(xgetbv(0), 3);
}

TEST(xsetbv_other_register, "SDM Vol. 2C XSETBV: #GP(0) for an ECX that names no register")
{
	with_osxsave();
	CHECK_FAULT(GP, 0, xsetbv(1, 1));
	CHECK_FAULT(GP, 0, xsetbv(0xffffffff, 1));
}

TEST(xgetbv_other_register, "SDM Vol. 2C XGETBV: #GP(0) for an ECX that names no register")
{
	with_osxsave();
	CHECK_FAULT(GP, 0, xgetbv(2));
}

TEST(xgetbv_1_as_cpuid_says, "SDM Vol. 2C XGETBV: ECX = 1 with CPUID.0DH.1:EAX[2]")
{
	with_osxsave();
	if (has(F_XGETBV1))
		CHECK_NO_FAULT(xgetbv(1));
	else
		CHECK_FAULT(GP, 0, xgetbv(1));
}

TEST(xsetbv_needs_osxsave, "SDM Vol. 2C XSETBV: #UD if CR4.OSXSAVE is 0")
{
	CHECK_FAULT(UD, 0, xsetbv(0, 1));
	CHECK_FAULT(UD, 0, xgetbv(0));
}

USER_CODE_TEXT(user_xsetbv, 64, "xorl %ecx, %ecx; xorl %edx, %edx; movl $3, %eax; xsetbv");
USER_CODE_TEXT(user_xgetbv, 64, "xorl %ecx, %ecx; xgetbv");

TEST(xsetbv_in_ring_3, "SDM Vol. 2C XSETBV: #GP(0) if CPL is not 0")
{
	struct frame frame;

	with_osxsave();
	frame = enter_user(user_xsetbv, 0, 0);
	CHECK_EQ(frame.vector, GP);
	CHECK_EQ(xgetbv(0), 1);
}

TEST(xgetbv_in_ring_3, "SDM Vol. 2C XGETBV: at any privilege level")
{
	struct frame frame;

	with_osxsave();
	frame = enter_user(user_xgetbv, 0, 0);
	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rax, 1);
}
