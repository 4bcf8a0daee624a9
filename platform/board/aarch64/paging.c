/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/paging.h"

#include <hypercore/errno.h>

#include "platform/board/aarch64/hw.h"
#include "platform/board/aarch64/layout.h"
#include "platform/board/aarch64/paging.h"

/* VMSAv8-64, 4 KiB granule (Arm ARM D8.3). Bits 6, 53 and 54 differ between a regime of two ranges
 * of addresses (EL2 with E2H, EL1) and one of one range (EL2 without). */
#define PTE_VALID   HC_BIT(0)
#define PTE_PAGE    HC_BIT(1) /* of a page or a table; clear for a block */
#define PTE_ATTR(n) ((uint64_t)(n) << 2)
#define PTE_AP1     HC_BIT(6) /* one range: RES1 */
#define PTE_RO      HC_BIT(7)
#define PTE_SH      (UINT64_C(3) << 8) /* inner shareable */
#define PTE_AF      HC_BIT(10)
#define PTE_PXN     HC_BIT(53) /* two ranges */
#define PTE_UXN     HC_BIT(54) /* one range: XN */
#define PTE_XN      (PTE_UXN | PTE_PXN)
#define PTE_ADDR    UINT64_C(0x0000fffffffff000)

/* start.S has written them to MAIR. */
enum { ATTR_NORMAL, ATTR_DEVICE, ATTR_COMBINING };

#define ENTRY(attr, bits) (PTE_VALID | PTE_AF | PTE_SH | PTE_ATTR(attr) | (bits))

/* As for two ranges; paging_init() makes the other of it. */
struct paging_format paging_format = {
	.address = PTE_ADDR,
	.table = PTE_VALID | PTE_PAGE,
	.large_mask = PTE_PAGE,
	.large = 0,
	.block = {
		[PAGING_RX] = ENTRY(ATTR_NORMAL, PTE_RO | PTE_UXN),
		[PAGING_RO] = ENTRY(ATTR_NORMAL, PTE_RO | PTE_XN),
		[PAGING_RW] = ENTRY(ATTR_NORMAL, PTE_XN),
		[PAGING_UNCACHED] = ENTRY(ATTR_DEVICE, PTE_XN),
		[PAGING_COMBINING] = ENTRY(ATTR_COMBINING, PTE_XN),
	},
	.largest_level = 2,
};

const struct paging_layout paging_layout = {
	.direct_base = DIRECT_BASE,
	.direct_size = DIRECT_SIZE,
	.window_base = WINDOW_BASE,
	.window_size = WINDOW_SIZE,
};

#define HCR_E2H HC_BIT(34)

/* For the first windows (device tree, UARTs), and for the tables of the largest piece of RAM. */
#define POOL_PAGES 24
static uint8_t pool[POOL_PAGES * HC_PAGE_SIZE] __attribute__((aligned(4096)));

/* With one range PXN is RES0, and XN alone says what may be executed. */
static uint64_t for_one_range(uint64_t entry, enum paging_kind kind)
{
	entry &= ~PTE_XN;
	return entry | PTE_AP1 | (kind == PAGING_RX ? 0 : PTE_UXN);
}

/* ID_AA64MMFR0_EL1.PARange (Arm ARM D17.2.64); tables of 4 KiB have no more than 48 bits of it. */
static unsigned address_bits(void)
{
	static const uint8_t bits[] = { 32, 36, 40, 42, 44, 48 };
	uint64_t range = hc_bits(READ_SYSREG(id_aa64mmfr0_el1), 3, 0);

	return bits[hc_min(range, HC_ARRAY_SIZE(bits) - 1)];
}

void paging_init(void)
{
	bool one = current_el() == 2 && !(READ_SYSREG(hcr_el2) & HCR_E2H);

	for (unsigned i = 0; i < PAGING_KINDS; i++) {
		uint64_t *e = &paging_format.block[i];

		if (!*e)
			continue;
		if (one)
			*e = for_one_range(*e, i);
		paging_format.page[i] = *e | PTE_PAGE;
	}
	paging_format.limit = HC_BIT(address_bits());
	paging_tables_from(pool, sizeof(pool));
}

/* The largest piece of RAM comes first: the tables of the others are in it. */
int paging_start(const struct ranges *ram, struct ranges *unused)
{
	unsigned largest = 0;
	int err;

	if (!ram->count)
		return -ENOMEM;
	for (unsigned i = 1; i < ram->count; i++)
		if (ram->r[i].end - ram->r[i].base > ram->r[largest].end - ram->r[largest].base)
			largest = i;
	err = paging_map_direct(ram->r[largest].base, ram->r[largest].end - ram->r[largest].base);
	paging_tables_from_ram(unused, ram->r[largest].base, ram->r[largest].end, DIRECT_BASE);
	for (unsigned i = 0; !err && i < ram->count; i++)
		if (i != largest)
			err = paging_map_direct(ram->r[i].base, ram->r[i].end - ram->r[i].base);
	if (!err)
		paging_tables_from_allocator();
	return err;
}

/* Done by start.S on every CPU. */
void paging_enable(void)
{
}

/* Arm ARM D8.14.1: seen by this CPU's walker, too, after the ISB. */
void paging_written(void)
{
	__asm__ volatile("dsb ishst; isb" : : : "memory");
}

void paging_flush(void)
{
	__asm__ volatile("dsb ishst; tlbi alle2is; dsb ish; isb" : : : "memory");
}
