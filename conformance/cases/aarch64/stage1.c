/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage-1 translation (Arm ARM D8): permissions, attributes, and what TLBs may keep. */
#include "guest/aarch64/kernel.h"

static void jump(uint64_t address)
{
	((void (*)(void))address)();
}

static const void *ret_page(void)
{
	const uint32_t code[] = { OPCODE_RET };

	return place_code(code, 1);
}

static volatile uint64_t *word(unsigned int page)
{
	return (volatile uint64_t *)test_pages[page];
}

TEST(alias, "Arm ARM D8.2: two addresses of one page")
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL);
	page_map(WINDOW_NEXT, test_pages[0], PTE_NORMAL);
	store64(WINDOW + 8, 0x1234);
	CHECK_EQ(load64(WINDOW_NEXT + 8), 0x1234);
	CHECK_EQ(word(0)[1], 0x1234);
}

TEST(read_only, "Arm ARM D8.4: AP[2]: a store aborts, level 3")
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL | PTE_RO);
	CHECK_NO_FAULT(load64(WINDOW));
	CHECK_FAULT(EC_DABORT, ISS_WNR | FSC_PERMISSION | 3, store64(WINDOW, 1));
}

TEST(read_only_block, "Arm ARM D8.4: level 2")
{
	page_set(WINDOW, 2, spare_block() | PTE_NORMAL | PTE_RO);
	CHECK_FAULT(EC_DABORT, ISS_WNR | FSC_PERMISSION | 2, store64(WINDOW, 1));
}

TEST(access_flag, "Arm ARM D8.4.5: AF 0: access flag fault")
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL & ~PTE_AF);
	CHECK_FAULT(EC_DABORT, FSC_ACCESS | 3, load64(WINDOW));
	page_set(WINDOW_NEXT, 2, (spare_block() | PTE_NORMAL) & ~PTE_AF);
	CHECK_FAULT(EC_DABORT, FSC_ACCESS | 2, load64(WINDOW_NEXT));
}

TEST(block2, "Arm ARM D8.3: blocks of 2 MiB")
{
	uint64_t block = spare_block();

	page_set(WINDOW, 2, block | PTE_NORMAL);
	store64(WINDOW + 0x1ffff8, 0x77);
	CHECK_EQ(load64(block + 0x1ffff8), 0x77);
}

TEST(block1, "Arm ARM D8.3: blocks of 1 GiB")
{
	uint64_t address = (uint64_t)test_pages[0], gib = address & ~(BIT(30) - 1);

	page_set(WINDOW, 1, gib | PTE_NORMAL);
	*word(0) = 0x5678;
	CHECK_EQ(load64(WINDOW + (address - gib)), 0x5678);
}

TEST(reserved_descriptor, "Arm ARM D8.3: 0b01 at level 3 is reserved: translation fault")
{
	page_set(WINDOW, 3, (uint64_t)test_pages[0] | PTE_NORMAL);
	CHECK_FAULT(EC_DABORT, FSC_TRANSLATION | 3, load64(WINDOW));
}

TEST(address_size, "Arm ARM D8.2.4: an output address beyond TCR_EL1.IPS")
{
	write_sysreg(tcr_el1, read_sysreg(tcr_el1) & ~(UINT64_C(7) << 32));
	tlb_flush();
	page_set(WINDOW, 3, BIT(33) | PTE_NORMAL | PTE_TABLE);
	CHECK_FAULT(EC_DABORT, FSC_SIZE | 3, load64(WINDOW));
}

TEST(pxn, "Arm ARM D8.4: PXN; UXN is EL0's alone")
{
	page_map(WINDOW, ret_page(), PTE_NORMAL | PTE_PXN);
	CHECK_FAULT(EC_IABORT, FSC_PERMISSION | 3, jump(WINDOW));
	page_map(WINDOW, ret_page(), PTE_NORMAL | PTE_UXN);
	CHECK_NO_FAULT(jump(WINDOW));
}

TEST(writable_by_el0, "Arm ARM D8.4: what EL0 can write, EL1 does not execute")
{
	page_map(WINDOW, ret_page(), PTE_NORMAL | PTE_EL0);
	CHECK_FAULT(EC_IABORT, FSC_PERMISSION | 3, jump(WINDOW));
}

TEST(table_read_only, "Arm ARM D8.4: APTable[1] of a level makes all below read-only")
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL);
	CHECK_NO_FAULT(store64(WINDOW, 1));
	page_set(WINDOW, 2, *page_entry(WINDOW, 2) | BIT(62));
	CHECK_NO_FAULT(load64(WINDOW));
	CHECK_FAULT(EC_DABORT, ISS_WNR | FSC_PERMISSION | 3, store64(WINDOW, 1));
}

TEST(table_pxn, "Arm ARM D8.4: PXNTable")
{
	page_map(WINDOW, ret_page(), PTE_NORMAL);
	CHECK_NO_FAULT(jump(WINDOW));
	page_set(WINDOW, 2, *page_entry(WINDOW, 2) | BIT(59));
	CHECK_FAULT(EC_IABORT, FSC_PERMISSION | 3, jump(WINDOW));
}

TEST(contiguous, "Arm ARM D8.5: the contiguous hint on 16 pages changes nothing")
{
	uint64_t block = spare_block();

	for (unsigned int n = 0; n < 16; n++)
		page_set(WINDOW + n * PAGE, 3,
		         (block + n * PAGE) | PTE_NORMAL | PTE_TABLE | PTE_CONTIGUOUS);
	for (unsigned int n = 0; n < 16; n++)
		store64(WINDOW + n * PAGE, n + 100);
	for (unsigned int n = 0; n < 16; n++)
		CHECK_EQ(load64(block + n * PAGE), n + 100);
}

/* Without break-before-make's own invalidation. */
static void change(uint64_t address, uint64_t descriptor)
{
	*(volatile uint64_t *)page_entry(address, 3) = descriptor;
	op("dsb ish");
}

#define TLBI(text, operand)                                                                        \
	do {                                                                                       \
		op1("tlbi " text, operand);                                                        \
		op("dsb ish\n\tisb");                                                              \
	} while (0)

static void check_tlbi(unsigned int which)
{
	uint64_t page = (uint64_t)test_pages[0] | PTE_NORMAL | PTE_TABLE;

	page_set(WINDOW, 3, page);
	CHECK_NO_FAULT(load64(WINDOW));
	change(WINDOW, 0);
	switch (which) {
	case 0: TLBI("vae1", WINDOW >> 12); break;
	case 1: TLBI("vale1", WINDOW >> 12); break;
	case 2: TLBI("vaae1", WINDOW >> 12); break;
	case 3: TLBI("vaae1is", WINDOW >> 12); break;
	case 4: TLBI("vae1is", WINDOW >> 12); break;
	default: op("tlbi vmalle1\n\tdsb nsh\n\tisb"); break;
	}
	CHECK_FAULT(EC_DABORT, FSC_TRANSLATION | 3, load64(WINDOW));
}

TEST(tlbi, "Arm ARM D8.14: after the TLBI the old translation is gone, by each of its forms")
{
	for (unsigned int which = 0; which < 6; which++)
		check_tlbi(which);
}

static void set_asid(uint64_t asid)
{
	write_sysreg(ttbr0_el1, (read_sysreg(ttbr0_el1) & PTE_ADDRESS) | asid << 48);
	isb();
}

TEST(asids, "Arm ARM D8.14: a non-global entry is of its ASID alone")
{
	*word(0) = 111;
	*word(1) = 222;
	set_asid(1);
	page_map(WINDOW, test_pages[0], PTE_NORMAL | PTE_NG);
	CHECK_EQ(load64(WINDOW), 111);
	change(WINDOW, (uint64_t)test_pages[1] | PTE_NORMAL | PTE_NG | PTE_TABLE);
	set_asid(2);
	CHECK_EQ(load64(WINDOW), 222);
}

TEST(tlbi_asid, "Arm ARM D8.14: TLBI ASIDE1")
{
	set_asid(3);
	page_map(WINDOW, test_pages[0], PTE_NORMAL | PTE_NG);
	CHECK_NO_FAULT(load64(WINDOW));
	change(WINDOW, 0);
	TLBI("aside1", UINT64_C(3) << 48);
	CHECK_FAULT(EC_DABORT, FSC_TRANSLATION | 3, load64(WINDOW));
}

TEST(upper_half, "Arm ARM D8.2: TTBR1_EL1 for addresses whose upper bits are ones")
{
	uint64_t tcr = read_sysreg(tcr_el1);

	*word(0) = 0x4321;
	write_sysreg(ttbr1_el1, read_sysreg(ttbr0_el1));
	write_sysreg(tcr_el1, tcr & ~BIT(23));
	tlb_flush();
	CHECK_EQ(load64(UINT64_C(0xffffff8000000000) + (uint64_t)test_pages[0]), 0x4321);
	write_sysreg(tcr_el1, tcr);
	tlb_flush();
	CHECK_FAULT(EC_DABORT, FSC_TRANSLATION, load64(UINT64_C(0xffffff8000000000)));
}

TEST(top_byte, "Arm ARM D8.8: TCR_EL1.TBI0: the top byte is ignored")
{
	uint64_t tagged = (uint64_t)test_pages[0] | UINT64_C(0xa5) << 56;

	CHECK_FAULT(EC_DABORT, FSC_TRANSLATION, load64(tagged));
	write_sysreg(tcr_el1, read_sysreg(tcr_el1) | BIT(37));
	tlb_flush();
	CHECK_NO_FAULT(load64(tagged));
}

TEST(size, "Arm ARM D8.2: TCR_EL1.T0SZ 26: addresses of 38 bits")
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL);
	CHECK_NO_FAULT(load64(WINDOW));
	write_sysreg(tcr_el1, read_sysreg(tcr_el1) + 1);
	tlb_flush();
	CHECK_FAULT(EC_DABORT, FSC_TRANSLATION, load64(WINDOW));
}

TEST(hardware_access_flag, "Arm ARM D8.4.5: TCR_EL1.HA: the CPU sets AF")
{
	if (!FIELD(read_sysreg(id_aa64mmfr1_el1), 3, 0))
		skip("ID_AA64MMFR1_EL1.HAFDBS");
	write_sysreg(tcr_el1, read_sysreg(tcr_el1) | BIT(39));
	tlb_flush();
	page_map(WINDOW, test_pages[0], PTE_NORMAL & ~PTE_AF);
	CHECK_NO_FAULT(load64(WINDOW));
	CHECK(*(volatile uint64_t *)page_entry(WINDOW, 3) & PTE_AF);
}

TEST(privileged_access_never, "Arm ARM D8.4: PSTATE.PAN: no access from EL1 to what EL0 can access")
{
	if (!FIELD(read_sysreg(id_aa64mmfr1_el1), 23, 20))
		skip("ID_AA64MMFR1_EL1.PAN");
	page_map(WINDOW, test_pages[0], PTE_NORMAL | PTE_EL0);
	op(".inst 0xd500419f"); /* MSR PAN, #1 */
	CHECK_FAULT(EC_DABORT, FSC_PERMISSION | 3, load64(WINDOW));
	op(".inst 0xd500409f");
	CHECK_NO_FAULT(load64(WINDOW));
}

static volatile uint64_t go, seen;

static void reader(void *argument)
{
	seen = load64(WINDOW);
	go = 1;
	while (go != 2)
		limit_passed(&(struct limit){ .end = 0 });
	seen = load64(WINDOW);
}

TEST_SMP(tlbi_broadcast, 2, "Arm ARM D8.14: TLBI ...IS is for all CPUs")
{
	*word(0) = 1000;
	*word(1) = 2000;
	go = 0;
	page_map(WINDOW, test_pages[0], PTE_NORMAL);
	start_cpu(1, reader, NULL);
	CHECK(WAIT_FOR(go == 1));
	CHECK_EQ(seen, 1000);
	page_map(WINDOW, test_pages[1], PTE_NORMAL);
	dsb();
	go = 2;
	wait_cpu(1);
	CHECK_EQ(seen, 2000);
}
