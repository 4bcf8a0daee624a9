/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical memory as a guest sees it: RAM that is used for the first time, what is not there, what
 * takes no writes. */
#include "cases/x86_64/testdev.h"
#include "guest/print.h"
#include "guest/x86_64/feature.h"

/* Nobody else uses these: each case has 2 MiB of its own, which it finds untouched. */
#define FRESH(n) (UINT64_C(0x6000000) + (n)*PAGE_2M)
#define TOP      UINT64_C(0xfffffff0) /* where a PC's ROM ends */

TEST(read_before_write, "SDM Vol. 3A 11.3: RAM holds what was written, from the first access on")
{
	for (uint64_t at = FRESH(0); at < FRESH(1); at += PAGE) {
		uint64_t first = load64(at);

		CHECK_EQ(load64(at), first);
		store64(at, ~first);
		CHECK_EQ(load64(at), ~first);
	}
}

TEST(a20, "SDM Vol. 3A 8.7.13.4: address bit 20 counts")
{
	static uint32_t here __attribute__((aligned(64)));
	uint64_t alias = (uint64_t)&here ^ BIT(20);
	uint32_t old = load32(alias);

	here = ~old;
	CHECK_EQ(load32(alias), old);
	here = 0x12345678;
	CHECK_EQ(load32(alias), old);
}

TEST(locked_first, "SDM Vol. 3A 8.1.2.2: a locked instruction is the first access")
{
	for (uint64_t at = FRESH(2); at < FRESH(3); at += PAGE) {
		uint64_t ones = 1;

		__asm__ volatile("lock xaddq %0, (%1)" : "+r"(ones) : "r"(at) : "memory");
		CHECK_EQ(load64(at), ones + 1);
	}
}

TEST(across_fresh_pages, "SDM Vol. 3A 8.1.1: an access whose both pages are new")
{
	for (uint64_t at = FRESH(3) + PAGE; at < FRESH(4); at += 2 * PAGE) {
		store64(at - 3, UINT64_C(0x1122334455667788));
		CHECK_EQ(load64(at - 3), UINT64_C(0x1122334455667788));
		CHECK_EQ(load8(at - 1), 0x66);
		CHECK_EQ(load8(at), 0x55);
	}
}

TEST(rep_stos_fresh, "SDM Vol. 2B STOS: 1 MiB of new memory")
{
	uint64_t rdi = FRESH(4), rcx = (1u << 20) / 8;

	__asm__ volatile("rep stosq"
	                 : "+D"(rdi), "+c"(rcx)
	                 : "a"(UINT64_C(0xa1b2c3d4e5f60718))
	                 : "memory");
	CHECK_EQ(rcx, 0);
	CHECK_EQ(rdi, FRESH(4) + (1u << 20));
	for (uint64_t at = FRESH(4); at < rdi; at += PAGE - 8)
		CHECK_EQ(load64(at), UINT64_C(0xa1b2c3d4e5f60718));
}

TEST(rep_movs_fresh, "SDM Vol. 2B MOVS: from new memory to new memory")
{
	uint64_t rsi = FRESH(5), rdi = FRESH(6), rcx = (1u << 19) / 8;

	__asm__ volatile("rep movsq" : "+D"(rdi), "+S"(rsi), "+c"(rcx) : : "memory");
	for (uint64_t n = 0; n < 1u << 19; n += 504)
		CHECK_EQ(load64(FRESH(6) + n), load64(FRESH(5) + n));
}

TEST(rep_movsb_overlapping, "SDM Vol. 2B MOVS: a byte at a time, as if one after the other")
{
	uint64_t rsi = FRESH(7) + PAGE - 5, rdi = rsi + 1, rcx = 100;

	store8(rsi, 0x77);
	__asm__ volatile("rep movsb" : "+D"(rdi), "+S"(rsi), "+c"(rcx) : : "memory");
	for (uint64_t n = 0; n <= 100; n++)
		CHECK_EQ(load8(FRESH(7) + PAGE - 5 + n), 0x77);
}

TEST(page_tables_in_fresh_memory,
     "SDM Vol. 3A 4.5: tables that a hypervisor may have to find first")
{
	uint64_t table = FRESH(8);
	uint64_t *directory = page_entry(kernel_pml4, 4, FREE_SPACE, 2);

	for (uint64_t n = 0; n < 512; n++)
		store64(table + 8 * n, (FRESH(9) + PAGE * n) | PTE_P | PTE_W);
	*directory = table | PTE_P | PTE_W;
	flush_all();
	for (uint64_t n = 0; n < 512; n++)
		store64(FREE_SPACE + PAGE * n, n);
	for (uint64_t n = 0; n < 512; n++)
		CHECK_EQ(load64(FRESH(9) + PAGE * n), n);
}

TEST(code_in_fresh_memory, "SDM Vol. 3A 11.6: code that was just written runs")
{
	for (uint64_t n = 0; n < 64; n++) {
		uint64_t at = FRESH(10) + n * PAGE * 3 - (n % 5);
		uint32_t result;

		store8(at, 0xb8); /* mov $n, %eax; ret */
		store32(at + 1, (uint32_t)n);
		store8(at + 5, 0xc3);
		__asm__ volatile("callq *%1" : "=a"(result) : "r"(at) : "memory");
		CHECK_EQ(result, n);
	}
}

TEST(aliases_agree, "SDM Vol. 3A 4.1: a small and a large page of the same memory")
{
	page_map(FREE_SPACE, FRESH(11), PTE_P | PTE_W, 2);
	page_map(FREE_SPACE + PAGE_1G, FRESH(11) + 5 * PAGE, PTE_P | PTE_W, 1);
	for (uint64_t n = 0; n < 100; n++) {
		store64(FREE_SPACE + 5 * PAGE + 8 * n, n);
		CHECK_EQ(load64(FREE_SPACE + PAGE_1G + 8 * n), n);
		store64(FREE_SPACE + PAGE_1G + 8 * n, ~n);
		CHECK_EQ(load64(FRESH(11) + 5 * PAGE + 8 * n), ~n);
	}
}

TEST(every_mib, "SDM Vol. 3A 3.3: each physical address has a byte of its own")
{
	for (uint64_t at = 0x2000000; at < 0x8000000; at += 1u << 20)
		store64(at + 0x88, at ^ UINT64_C(0x5a5a5a5a5a5a5a5a));
	for (uint64_t at = 0x2000000; at < 0x8000000; at += 1u << 20)
		CHECK_EQ(load64(at + 0x88), at ^ UINT64_C(0x5a5a5a5a5a5a5a5a));
}

TEST(rom_takes_no_writes, "SDM Vol. 3A 9.1.4: the last 16 bytes below 4 GiB are ROM, or nothing")
{
	uint64_t first = load64(TOP), second = load64(TOP + 8);

	store64(TOP, ~first);
	store32(TOP + 8, (uint32_t)~second);
	CHECK_EQ(load64(TOP), first);
	CHECK_EQ(load64(TOP + 8), second);
}

/* Where stores change nothing: instructions that read and write there work on what they read. */
static void check_unwritable(uint64_t at)
{
	uint64_t first = load64(at), second = load64(at + 8), rdi = at, rcx = 2, old = 0x1234;
	uint32_t added = 5, exchanged = 0x77, before = (uint32_t)first;
	uint8_t zero;

	__asm__ volatile("lock xaddl %0, (%1)" : "+r"(added) : "r"(at) : "memory", "cc");
	CHECK_EQ(added, before);
	__asm__ volatile("xchgl %0, (%1)" : "+r"(exchanged) : "r"(at) : "memory");
	CHECK_EQ(exchanged, before);
	__asm__ volatile("subl %2, (%1); setz %0"
	                 : "=q"(zero)
	                 : "r"(at), "r"(before)
	                 : "memory", "cc");
	CHECK_EQ(zero, 1);
	__asm__ volatile("lock cmpxchgq %3, (%2); setz %0"
	                 : "=q"(zero), "+a"(old)
	                 : "r"(at), "r"(~first)
	                 : "memory", "cc");
	CHECK_EQ(zero, first == 0x1234);
	CHECK_EQ(old, first);
	__asm__ volatile("rep stosq" : "+D"(rdi), "+c"(rcx) : "a"(~first) : "memory");
	CHECK_EQ(rdi, at + 16);
	CHECK_EQ(rcx, 0);
	__asm__ volatile("movups %%xmm0, (%0); notl (%0); incl 4(%0)" : : "r"(at) : "memory", "cc");
	CHECK_EQ(load64(at), first);
	CHECK_EQ(load64(at + 8), second);
}

TEST(rom_read_and_written, "SDM Vol. 3A 9.1.4; Vol. 2: an instruction's result is of what it reads")
{
	uint64_t first = load64(TOP);

	store64(TOP, ~first);
	if (load64(TOP) != first)
		error("the reset vector can be written");
	check_unwritable(TOP);
}

TEST(bios_area_read_only, "82441FX data sheet 3.2.19: F0000H to FFFFFH after the BIOS: reads are "
                          "of DRAM, writes are not")
{
	uint64_t at = 0xffe40, first = load64(at);

	store64(at, ~first);
	if (load64(at) != first) {
		store64(at, first);
		skip("a BIOS area that is write-protected");
	}
	check_unwritable(at);
}

/* In PCI's hole, far from what PCs put there: reads give ones (QEMU: zeroes). */
#define NOWHERE UINT64_C(0xe7654000)
#define NOTHING "PCI Local Bus 3.0, 3.3.3.1: where nothing answers: no fault, no state"

TEST(nothing_reads_the_same, NOTHING)
{
	uint32_t first = load32(NOWHERE);

	CHECK(first == UINT32_MAX || first == 0);
	store32(NOWHERE, 0x12345678);
	store8(NOWHERE + 5, 0x9a);
	store64(NOWHERE + 8, 77);
	CHECK_EQ(load32(NOWHERE), first);
	CHECK_EQ(load8(NOWHERE + 5), first & 0xff);
	CHECK_EQ(load16(NOWHERE + 6), first & 0xffff);
	CHECK_EQ(load64(NOWHERE + 8), first ? UINT64_MAX : 0);
}

TEST(nothing_read_and_written, NOTHING)
{
	check_unwritable(NOWHERE + 0x20);
}

TEST(nothing_across_pages, NOTHING)
{
	uint64_t value = load32(NOWHERE) ? UINT64_MAX : 0, rsi = NOWHERE + PAGE - 20,
		 rdi = FRESH(12), rcx = 10;

	CHECK_EQ(load64(NOWHERE + PAGE - 3), value);
	CHECK_EQ(load32(NOWHERE + PAGE - 1), value & UINT32_MAX);
	store64(NOWHERE + PAGE - 5, 1);
	CHECK_EQ(load64(NOWHERE + PAGE - 5), value);
	__asm__ volatile("rep movsl" : "+S"(rsi), "+D"(rdi), "+c"(rcx) : : "memory");
	CHECK_EQ(rcx, 0);
	for (uint64_t n = 0; n < 40; n += 8)
		CHECK_EQ(load64(FRESH(12) + n), value);
}

TEST(page_table_in_nothing,
     "SDM Vol. 3A 4.7: ones in a table are a present entry with reserved bits; zeroes are none")
{
	bool ones = load32(NOWHERE) != 0;

	page_set(page_entry(kernel_pml4, 4, FREE_SPACE, 2), NOWHERE | PTE_P | PTE_W, FREE_SPACE);
	CHECK_FAULT(PF, ones ? PF_P | PF_RS : 0, load64(FREE_SPACE + 0x5000));
	CHECK_FAULT(PF, ones ? PF_P | PF_RS | PF_W : PF_W, store64(FREE_SPACE + 0x6000, 1));
}

TEST(page_table_in_device,
     "SDM Vol. 3A 4.5: entries are read where the address says, a device's registers too")
{
	uint64_t *entry = page_entry(kernel_pml4, 4, FREE_SPACE, 2);

	need_testdev();
	store64(TESTDEV_MEMORY + 8 * 5, FRESH(13) | PTE_P | PTE_W | PTE_A | PTE_D);
	store64(TESTDEV_MEMORY + 8 * 6, 0);
	if (load64(TESTDEV_MEMORY + 8 * 5) != (FRESH(13) | PTE_P | PTE_W | PTE_A | PTE_D))
		skip("pc-testdev's memory");
	store64(FRESH(13) + 0x10, 0x4711);
	page_set(entry, TESTDEV_MEMORY | PTE_P | PTE_W, FREE_SPACE);
	CHECK_EQ(load64(FREE_SPACE + 5 * PAGE + 0x10), 0x4711);
	store64(FREE_SPACE + 5 * PAGE + 0x18, 0x4712);
	CHECK_EQ(load64(FRESH(13) + 0x18), 0x4712);
	CHECK_FAULT(PF, 0, load64(FREE_SPACE + 6 * PAGE));
}
