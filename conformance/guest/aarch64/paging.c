/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage-1 tables: an identity map, and a window for cases. */
#include "guest/aarch64/machine.h"
#include "guest/print.h"

#define TABLES  48u
#define GIB     UINT64_C(0x40000000)
#define BLOCK   UINT64_C(0x200000)
#define ENTRIES 512u

/* Of level 1. start.S knows it. */
uint64_t page_root[ENTRIES] __attribute__((aligned(4096)));
uint8_t test_pages[16][PAGE] __attribute__((aligned(4096)));
static uint64_t tables[TABLES][ENTRIES] __attribute__((aligned(4096)));
static unsigned int tables_used, tables_kept;

void tlb_flush(void)
{
	op("dsb ish\n\ttlbi vmalle1is\n\tdsb ish\n\tisb");
}

static uint64_t *table_new(void)
{
	if (tables_used == TABLES)
		error("the library has no more page tables");
	memset(tables[tables_used], 0, sizeof(tables[0]));
	return tables[tables_used++];
}

uint64_t *page_entry(uint64_t address, unsigned int level)
{
	uint64_t *table = page_root;

	for (unsigned int at = 1;; at++) {
		uint64_t *entry = &table[address >> (39 - 9 * at) & (ENTRIES - 1)];

		if (at == level)
			return entry;
		if (!(*entry & PTE_VALID)) {
			uint64_t next = (uint64_t)table_new();

			dsb();
			*entry = next | PTE_TABLE | PTE_VALID;
			dsb();
			isb();
		} else if (!(*entry & PTE_TABLE)) {
			error("the library asks for a page in a block");
		}
		table = (uint64_t *)(*entry & PTE_ADDRESS);
	}
}

void page_set(uint64_t address, unsigned int level, uint64_t descriptor)
{
	uint64_t *entry = page_entry(address, level);

	*(volatile uint64_t *)entry = 0;
	tlb_flush();
	*(volatile uint64_t *)entry = descriptor;
	dsb();
	isb();
}

void page_map(uint64_t address, const void *memory, uint64_t attributes)
{
	page_set(address, 3, (uint64_t)memory | attributes | PTE_TABLE);
}

static bool within(uint64_t address, const char *start, const char *end)
{
	return address >= (uint64_t)start && address < (uint64_t)end;
}

static uint64_t kernel_page(uint64_t address)
{
	uint64_t descriptor = address | PTE_NORMAL | PTE_TABLE;

	if (within(address, user_text_start, user_text_end))
		return descriptor | PTE_EL0 | PTE_RO | PTE_PXN;
	if (within(address, user_data_start, user_data_end))
		return descriptor | PTE_EL0 | PTE_UXN | PTE_PXN;
	return descriptor | PTE_UXN;
}

static bool is_ram(uint64_t address)
{
	for (unsigned int n = 0; n < machine.ram_count; n++)
		if (address >= machine.ram[n].start &&
		    address - machine.ram[n].start < machine.ram[n].bytes)
			return true;
	return false;
}

/* With the MMU off, or for the same values again. */
void pages_init(void)
{
	uint64_t start = (uint64_t)image_start & ~(BLOCK - 1), end = (uint64_t)image_end;

	for (uint64_t gib = 0; gib < 16; gib++) {
		bool mixed = gib * GIB < end && (gib + 1) * GIB > start;

		if (!mixed && !is_ram(gib * GIB)) {
			page_root[gib] = gib * GIB | PTE_DEVICE;
			continue;
		}
		for (uint64_t at = gib * GIB; at < (gib + 1) * GIB; at += BLOCK)
			if (at < start || at >= end)
				*page_entry(at, 2) =
					at | (is_ram(at) ? PTE_NORMAL | PTE_UXN : PTE_DEVICE);
	}
	for (uint64_t at = start; at < ((end + BLOCK - 1) & ~(BLOCK - 1)); at += PAGE)
		*page_entry(at, 3) = kernel_page(at);
	tables_kept = tables_used;
}

void pages_reset(void)
{
	uint64_t start = (uint64_t)image_start & ~(BLOCK - 1);
	uint64_t end = ((uint64_t)image_end + BLOCK - 1) & ~(BLOCK - 1);

	for (unsigned int n = WINDOW >> 30; n < ENTRIES; n++)
		page_root[n] = 0;
	for (uint64_t at = start; at < end; at += PAGE) {
		uint64_t *entry = page_entry(at, 3);

		if (*entry != kernel_page(at))
			*entry = kernel_page(at);
	}
	tables_used = tables_kept;
	tlb_flush();
}

uint64_t spare_block_at(unsigned int n)
{
	uint64_t block = (((uint64_t)image_end + 2 * BLOCK - 1) & ~(BLOCK - 1)) + n * BLOCK;

	if (!is_ram(block) || !is_ram(block + BLOCK - 1))
		skip("2 MiB of memory behind the kernel");
	return block;
}

uint64_t spare_block(void)
{
	return spare_block_at(0);
}

/* The first GiB behind all RAM: devices are below it, or far above. */
uint64_t hole_address(void)
{
	uint64_t end = 0;

	for (unsigned int n = 0; n < machine.ram_count; n++)
		if (machine.ram[n].start + machine.ram[n].bytes > end)
			end = machine.ram[n].start + machine.ram[n].bytes;
	end = (end + GIB - 1) & ~(GIB - 1);
	if (end + GIB > 16 * GIB || is_ram(end) || machine.uart >> 30 == end >> 30 ||
	    machine.gicd >> 30 == end >> 30)
		return 0;
	return end + 0x345000;
}
