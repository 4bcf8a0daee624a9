/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/x86_64/paging.h"

#include "platform/board/image.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/layout.h"

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

#define PAGE(bits)  (PTE_P | PTE_A | (bits))
#define BLOCK(bits) (PAGE(bits) | PTE_LARGE)

struct paging_format paging_format = {
	.address = PTE_ADDR,
	.table = PTE_P | PTE_W | PTE_A,
	.large_mask = PTE_LARGE,
	.large = PTE_LARGE,
	.page = {
		[PAGING_RX] = PAGE(0),
		[PAGING_RO] = PAGE(PTE_NX),
		[PAGING_RW] = PAGE(PTE_D | PTE_W | PTE_NX),
		[PAGING_UNCACHED] = PAGE(PTE_D | PTE_W | PTE_NX | PTE_PCD | PTE_PWT),
		[PAGING_COMBINING] = PAGE(PTE_D | PTE_W | PTE_NX | PTE_PAT),
		[PAGING_LOW_CODE] = PAGE(PTE_D | PTE_W),
	},
	.block = {
		[PAGING_RX] = BLOCK(0),
		[PAGING_RO] = BLOCK(PTE_NX),
		[PAGING_RW] = BLOCK(PTE_D | PTE_W | PTE_NX),
		[PAGING_UNCACHED] = BLOCK(PTE_D | PTE_W | PTE_NX | PTE_PCD | PTE_PWT),
		[PAGING_COMBINING] = BLOCK(PTE_D | PTE_W | PTE_NX | PTE_PAT_HIGH),
		[PAGING_LOW_CODE] = BLOCK(PTE_D | PTE_W),
	},
	.largest_level = 1,
};

const struct paging_layout paging_layout = {
	.direct_base = DIRECT_BASE,
	.direct_size = DIRECT_SIZE,
	.window_base = WINDOW_BASE,
	.window_size = WINDOW_SIZE,
};

/* In the image, hence below 4 GiB, where starting CPUs can load it. */
uint64_t paging_root[PAGING_ENTRIES] __attribute__((aligned(4096)));

static bool has_nx(void)
{
	return paging_format.page[PAGING_RW] & PTE_NX;
}

static int map_image(void)
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
		int err = paging_map((uint64_t)(uintptr_t)parts[i].from, image_hpa(parts[i].from).v,
		                     (uint64_t)(parts[i].to - parts[i].from), parts[i].kind);

		if (err)
			return err;
	}
	return 0;
}

/* SDM Vol. 3A 4.1.4: 36 where CPUID does not say. */
static uint64_t address_bits(void)
{
	uint64_t bits = 36;

	if (cpuid(0x80000000, 0).eax >= 0x80000008)
		bits = cpuid(0x80000008, 0).eax & 0xff;
	return hc_min(bits, 52);
}

static void choose_format(void)
{
	uint32_t features = cpuid(0x80000001, 0).edx;

	paging_format.limit = HC_BIT(address_bits());
	if (features & HC_BIT(26))
		paging_format.largest_level = 2;
	if (features & HC_BIT(20))
		return;
	for (unsigned i = 0; i < PAGING_KINDS; i++) {
		paging_format.page[i] &= ~PTE_NX;
		paging_format.block[i] &= ~PTE_NX;
	}
}

/* Before, the first 4 GiB are mapped one to one. */
int paging_start(const struct ranges *ram, struct ranges *unused)
{
	int err;

	choose_format();
	paging_tables_from_ram(unused, 0, 4 * HC_GIB, 0);
	err = map_image();
	for (unsigned i = 0; !err && i < ram->count; i++)
		err = paging_map_direct(ram->r[i].base, ram->r[i].end - ram->r[i].base);
	if (err)
		return err;
	paging_enable();
	paging_tables_from_allocator();
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
	if (has_nx())
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	wrmsr(MSR_PAT, PAT_VALUE);
	write_cr3(paging_root_address());
	write_cr4(cr4_features());
	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS | CR0_CD | CR0_NW)) | CR0_WP | CR0_NE | CR0_MP);
}

uint32_t paging_root_address(void)
{
	return (uint32_t)image_hpa(paging_root).v;
}

uint32_t paging_efer(void)
{
	return (uint32_t)(EFER_LME | (has_nx() ? EFER_NXE : 0));
}

void paging_written(void)
{
}

void paging_flush(void)
{
	write_cr3(read_cr3());
}
