/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical memory as a guest sees it: RAM that is used for the first time, what is not there, what
 * takes no writes. */
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

TEST(every_mib, "SDM Vol. 3A 3.3: each physical address has a byte of its own")
{
	for (uint64_t at = 0x2000000; at < 0x8000000; at += 1u << 20)
		store64(at + 0x88, at ^ UINT64_C(0x5a5a5a5a5a5a5a5a));
	for (uint64_t at = 0x2000000; at < 0x8000000; at += 1u << 20)
		CHECK_EQ(load64(at + 0x88), at ^ UINT64_C(0x5a5a5a5a5a5a5a5a));
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

TEST(rom_takes_no_writes, "SDM Vol. 3A 9.1.4: the last 16 bytes below 4 GiB are ROM, or nothing")
{
	uint64_t first = load64(TOP), second = load64(TOP + 8);

	store64(TOP, ~first);
	store32(TOP + 8, (uint32_t)~second);
	CHECK_EQ(load64(TOP), first);
	CHECK_EQ(load64(TOP + 8), second);
}

TEST(nothing_reads_the_same,
     "PCI Local Bus 3.0, 3.3.3.1: where nothing answers: no fault, no state")
{
	uint64_t nowhere = 0xe7654000;
	uint32_t first = load32(nowhere);

	CHECK(first == UINT32_MAX || first == 0);
	store32(nowhere, 0x12345678);
	store8(nowhere + 5, 0x9a);
	store64(nowhere + 8, 77);
	CHECK_EQ(load32(nowhere), first);
	CHECK_EQ(load8(nowhere + 5), first & 0xff);
	CHECK_EQ(load16(nowhere + 6), first & 0xffff);
	CHECK_EQ(load64(nowhere + 8), first ? UINT64_MAX : 0);
}
