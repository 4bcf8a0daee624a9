/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/print.h"
#include "guest/x86_64/machine.h"

#define POOL_PAGES  160
#define SMALL_PAGES 1024 /* the first 4 MiB */

extern uint64_t kernel_pdpt[512], kernel_pd[4 * 512];
extern char user_start[], user_end[];

uint8_t user_data[4096] __attribute__((section(".user.data"), aligned(4096)));
uint8_t user_stack[4096] __attribute__((section(".user.data"), aligned(4096)));

static uint64_t small[SMALL_PAGES] __attribute__((aligned(4096)));
static uint8_t pool[POOL_PAGES][PAGE] __attribute__((aligned(4096)));
static unsigned int pool_used;

/* Entries keep A and D set: only a case's own pages have them written by the CPU. */
void pages_init(void)
{
	for (uint64_t n = 0; n < SMALL_PAGES; n++) {
		uint64_t at = n * PAGE;
		bool user = at >= (uint64_t)user_start && at < (uint64_t)user_end;

		small[n] = at | PTE_P | PTE_W | PTE_A | PTE_D | (user ? PTE_U : 0);
	}
	for (uint64_t n = 0; n < 4 * 512; n++)
		kernel_pd[n] = n * PAGE_2M | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS;
	for (uint64_t n = 0; n < SMALL_PAGES / 512; n++)
		kernel_pd[n] = (uint64_t)&small[n * 512] | PTE_P | PTE_W | PTE_U | PTE_A;
	for (uint64_t n = 0; n < 512; n++)
		kernel_pdpt[n] =
			n < 4 ? ((uint64_t)kernel_pd + n * PAGE) | PTE_P | PTE_W | PTE_U | PTE_A
			      : 0;
	kernel_pml4[0] = (uint64_t)kernel_pdpt | PTE_P | PTE_W | PTE_U | PTE_A;
	for (unsigned int n = 1; n < 512; n++)
		kernel_pml4[n] = 0;
}

void pages_reset(void)
{
	pool_used = 0;
	pages_init();
	write_cr3((uint64_t)kernel_pml4);
	flush_all();
}

void *page_alloc(void)
{
	uint8_t *page;

	if (pool_used == POOL_PAGES)
		error("the case asks for too many pages");
	page = pool[pool_used++];
	memset(page, 0, PAGE);
	return page;
}

uint64_t *page_entry(uint64_t *root, unsigned int levels, uint64_t address, unsigned int level)
{
	uint64_t *table = root;

	for (unsigned int at = levels;; at--) {
		uint64_t *entry = &table[address >> (3 + 9 * at) & 0x1ff];

		if (at == level)
			return entry;
		if (!(*entry & PTE_P))
			*entry = (uint64_t)page_alloc() | PTE_P | PTE_W | PTE_U;
		else if (at <= 3 && *entry & PTE_PS)
			error("the case asks for a small page in a large one");
		table = (uint64_t *)(*entry & UINT64_C(0xffffffffff000));
	}
}

uint64_t *page_map(uint64_t address, uint64_t physical, uint64_t flags, unsigned int level)
{
	uint64_t *entry = page_entry(kernel_pml4, 4, address, level);

	page_set(entry, physical | flags | (level > 1 ? PTE_PS : 0), address);
	return entry;
}

void page_set(uint64_t *entry, uint64_t value, uint64_t address)
{
	*(volatile uint64_t *)entry = value;
	invlpg(address);
}

/* Changing CR4.PGE flushes global pages, too (SDM Vol. 3A 4.10.4.1). */
void flush_all(void)
{
	uint64_t cr4 = read_cr4();

	write_cr4(cr4 ^ CR4_PGE);
	write_cr4(cr4);
}
