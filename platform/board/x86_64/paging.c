/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/x86_64/paging.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/image.h"
#include "platform/platform.h"

/* SDM Vol. 3A 4.5, tables 4-15 to 4-20. */
#define PTE_P        HC_BIT(0)
#define PTE_W        HC_BIT(1)
#define PTE_PWT      HC_BIT(3)
#define PTE_PCD      HC_BIT(4)
#define PTE_A        HC_BIT(5)
#define PTE_D        HC_BIT(6)
#define PTE_LARGE    HC_BIT(7)
#define PTE_PAT      HC_BIT(7)  /* of 4 KiB pages */
#define PTE_PAT_HIGH HC_BIT(12) /* of larger pages */
#define PTE_NX       HC_BIT(63)
#define PTE_ADDR     UINT64_C(0x000ffffffffff000)

#define LEVELS 4

/* PAT entries 0 to 3 as after reset (WB, WT, UC-, UC), 4 is write combining (SDM Vol. 3A 11.12). */
#define MSR_PAT   0x277
#define PAT_VALUE UINT64_C(0x0007040100070406)

#define MSR_EFER    0xc0000080
#define EFER_LME    HC_BIT(8)
#define EFER_NXE    HC_BIT(11)
#define CR0_MP      HC_BIT(1)
#define CR0_EM      HC_BIT(2)
#define CR0_TS      HC_BIT(3)
#define CR0_NE      HC_BIT(5)
#define CR0_WP      HC_BIT(16)
#define CR0_NW      HC_BIT(29)
#define CR0_CD      HC_BIT(30)
#define CR4_PSE     HC_BIT(4)
#define CR4_PAE     HC_BIT(5)
#define CR4_MCE     HC_BIT(6)
#define CR4_PGE     HC_BIT(7)
#define CR4_OSFXSR  HC_BIT(9)
#define CR4_OSXMM   HC_BIT(10)
#define CR4_UMIP    HC_BIT(11)
#define CR4_OSXSAVE HC_BIT(18)
#define CR4_SMEP    HC_BIT(20)
#define CR4_SMAP    HC_BIT(21)

static const uint64_t kind_bits[PAGING_KINDS] = {
	[PAGING_RX] = PTE_P | PTE_A,
	[PAGING_RO] = PTE_P | PTE_A | PTE_NX,
	[PAGING_RW] = PTE_P | PTE_A | PTE_D | PTE_W | PTE_NX,
	[PAGING_UNCACHED] = PTE_P | PTE_A | PTE_D | PTE_W | PTE_NX | PTE_PCD | PTE_PWT,
	[PAGING_COMBINING] = PTE_P | PTE_A | PTE_D | PTE_W | PTE_NX | PTE_PAT,
	[PAGING_LOW_CODE] = PTE_P | PTE_A | PTE_D | PTE_W,
};

/* In the image, hence below 4 GiB, where starting CPUs can load it. */
static uint64_t root[512] __attribute__((aligned(4096)));

/* Until the switch tables come from early_ram and are reached at their physical addresses. */
static struct ranges *early_ram;
static uint64_t table_offset;
static unsigned largest_level = 1;
static uint64_t usable_bits = UINT64_MAX;

static uint64_t window_next = WINDOW_BASE;
static uint64_t stack_next = (uint64_t)(uintptr_t)image_end;

static unsigned level_shift(unsigned level)
{
	return HC_PAGE_SHIFT + 9 * level;
}

static uint64_t *table_at(uint64_t entry)
{
	return (uint64_t *)(uintptr_t)((entry & PTE_ADDR) + table_offset);
}

/* A zeroed page for a table. 0: there is none. */
static uint64_t new_table(void)
{
	uint64_t pa;
	void *p;

	if (!early_ram) {
		p = hc_platform_alloc_pages(0);
		return p ? hc_platform_to_hpa(p).v : 0;
	}
	pa = ranges_take(early_ram, HC_PAGE_SIZE, HC_PAGE_SIZE, 4 * HC_GIB);
	if (pa)
		memset(table_at(pa), 0, HC_PAGE_SIZE);
	return pa;
}

/* The entry of va at level (0: 4 KiB pages), or the larger page's entry that covers it. Missing
 * tables are added if create. NULL: there is no table, or no memory for one. */
static uint64_t *entry_of(uint64_t va, unsigned level, bool create, unsigned *found)
{
	uint64_t *table = root;

	for (unsigned l = LEVELS - 1;; l--) {
		uint64_t *e = &table[va >> level_shift(l) & 511];

		*found = l;
		if (l == level || (l < LEVELS - 1 && *e & PTE_P && *e & PTE_LARGE))
			return e;
		if (!(*e & PTE_P)) {
			uint64_t pa = create ? new_table() : 0;

			if (!pa)
				return NULL;
			*e = pa | PTE_P | PTE_W | PTE_A;
		}
		table = table_at(*e);
	}
}

/* The largest page that can start at va and pa and ends within size. */
static unsigned fitting_level(uint64_t va, uint64_t pa, uint64_t size)
{
	unsigned level = largest_level;

	while (level &&
	       ((va | pa) & (HC_BIT(level_shift(level)) - 1) || size < HC_BIT(level_shift(level))))
		level--;
	return level;
}

static uint64_t leaf(uint64_t pa, unsigned level, enum paging_kind kind)
{
	uint64_t bits = kind_bits[kind] & usable_bits;

	if (level == 0)
		return pa | bits;
	if (bits & PTE_PAT)
		bits |= PTE_PAT_HIGH;
	return pa | bits | PTE_LARGE;
}

int paging_map(uint64_t va, uint64_t pa, uint64_t size, enum paging_kind kind)
{
	while (size) {
		unsigned level = fitting_level(va, pa, size), found;
		uint64_t *e = entry_of(va, level, true, &found);

		if (!e)
			return -ENOMEM;
		if (found != level || *e & PTE_P)
			return -EEXIST;
		*e = leaf(pa, level, kind);
		va += HC_BIT(level_shift(level));
		pa += HC_BIT(level_shift(level));
		size -= HC_BIT(level_shift(level));
	}
	return 0;
}

void paging_unmap(uint64_t va, uint64_t size)
{
	for (uint64_t end = va + size; va != end; va += HC_PAGE_SIZE) {
		unsigned found;
		uint64_t *e = entry_of(va, 0, false, &found);

		if (e && found == 0)
			*e = 0;
	}
	paging_flush();
}

bool paging_lookup(uint64_t va, hpa_t *pa)
{
	unsigned found;
	uint64_t *e = entry_of(va, 0, false, &found);
	uint64_t inside;

	if (!e || !(*e & PTE_P))
		return false;
	inside = HC_BIT(level_shift(found)) - 1;
	pa->v = (*e & PTE_ADDR & ~inside) | (va & inside);
	return true;
}

void *paging_window(hpa_t pa, uint64_t size, enum paging_kind kind)
{
	uint64_t first = HC_ALIGN_DOWN(pa.v, HC_PAGE_SIZE);
	uint64_t len = HC_ALIGN_UP(pa.v + size, HC_PAGE_SIZE) - first;
	uint64_t va = window_next;

	if (pa.v + size < pa.v || len > WINDOW_SIZE || va + len > WINDOW_BASE + WINDOW_SIZE)
		return NULL;
	/* The same place within 2 MiB, so that large pages fit. */
	va += (first - va) & (2 * HC_MIB - 1);
	if (paging_map(va, first, len, kind))
		return NULL;
	window_next = va + len;
	return (void *)(uintptr_t)(va + (pa.v - first));
}

uint64_t paging_stack(uint64_t size)
{
	uint64_t bottom = stack_next + HC_PAGE_SIZE;

	for (uint64_t at = 0; at < size; at += HC_PAGE_SIZE) {
		void *page = hc_platform_alloc_pages(0);

		if (!page ||
		    paging_map(bottom + at, hc_platform_to_hpa(page).v, HC_PAGE_SIZE, PAGING_RW))
			return 0;
	}
	stack_next = bottom + size;
	return stack_next;
}

bool paging_is_guard(uint64_t va)
{
	hpa_t pa;

	return va >= (uint64_t)(uintptr_t)image_end && va < stack_next + HC_PAGE_SIZE &&
	       !paging_lookup(va, &pa);
}

static int map_image(uint64_t base)
{
	const struct {
		const uint8_t *from, *to;
		enum paging_kind kind;
	} parts[] = {
		{ image_start, image_rodata, PAGING_RX },
		{ image_rodata, image_data, PAGING_RO },
		{ image_data, image_end, PAGING_RW },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(parts); i++) {
		uint64_t va = (uint64_t)(uintptr_t)parts[i].from;
		int err = paging_map(va, base + (va - IMAGE_VIRT),
		                     (uint64_t)(parts[i].to - parts[i].from), parts[i].kind);

		if (err)
			return err;
	}
	return 0;
}

int paging_start(const struct ranges *ram, struct ranges *unused, uint64_t image_base)
{
	uint32_t features = cpuid(0x80000001, 0).edx;
	int err;

	if (features & HC_BIT(26))
		largest_level = 2;
	if (!(features & HC_BIT(20)))
		usable_bits &= ~PTE_NX;
	early_ram = unused;
	err = map_image(image_base);
	for (unsigned i = 0; !err && i < ram->count; i++)
		err = paging_map(DIRECT_BASE + ram->r[i].base, ram->r[i].base,
		                 ram->r[i].end - ram->r[i].base, PAGING_RW);
	if (err)
		return err;
	paging_enable();
	early_ram = NULL;
	table_offset = DIRECT_BASE;
	return 0;
}

static uint64_t cr4_features(void)
{
	struct cpuid max = cpuid(0, 0), f1 = cpuid(1, 0), f7 = { 0 };
	/* No entry here is global, and PSE means nothing in long mode. But guests have both bits
	 * set, and where paging bits stay as they are, an emulated CPU has less to flush when it
	 * enters and leaves them. */
	uint64_t cr4 = CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMM;

	if (max.eax >= 7)
		f7 = cpuid(7, 0);
	if (f1.ecx & HC_BIT(26))
		cr4 |= CR4_OSXSAVE;
	if (f7.ebx & HC_BIT(7))
		cr4 |= CR4_SMEP;
	if (f7.ebx & HC_BIT(20))
		cr4 |= CR4_SMAP;
	if (f7.ecx & HC_BIT(2))
		cr4 |= CR4_UMIP;
	return cr4;
}

void paging_enable(void)
{
	if (usable_bits & PTE_NX)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	wrmsr(MSR_PAT, PAT_VALUE);
	write_cr3(paging_root());
	write_cr4(cr4_features());
	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS | CR0_CD | CR0_NW)) | CR0_WP | CR0_NE | CR0_MP);
}

uint32_t paging_root(void)
{
	return (uint32_t)image_hpa(root).v;
}

uint32_t paging_efer(void)
{
	return (uint32_t)(EFER_LME | (usable_bits & PTE_NX ? EFER_NXE : 0));
}

void paging_flush(void)
{
	write_cr3(read_cr3());
}
