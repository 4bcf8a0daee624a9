/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The board's page tables, in the formats of both architectures, against a list of what was mapped
 * and a walk of the tables that knows nothing of the code under test.
 */
#include <string.h>

#include "platform/board/image.h"
#include "platform/board/paging.h"
#include "platform/platform.h"
#include "tests/unit.h"

#define PAGE       UINT64_C(0x1000)
#define IMAGE_PA   UINT64_C(0x40200000)
#define IMAGE_SIZE 0x40000
#define RAM_PA     UINT64_C(0x80000000)
#define RAM_PAGES  512

/* The image: image_start .. image_end, as the linker script has it. */
__asm__(".pushsection .bss.image, \"aw\", @nobits\n"
        ".balign 4096\n"
        ".globl image_start, image_rodata, image_data, image_end\n"
        "image_start: image_rodata: image_data:\n"
        ".skip 0x40000\n"
        "image_end:\n"
        ".popsection\n");

struct board_boot_info board_boot_info;
struct paging_format paging_format;
uint64_t paging_root[PAGING_ENTRIES];

static uint8_t ram[RAM_PAGES * PAGE] __attribute__((aligned(4096)));
static unsigned ram_used, ram_most;
static uint64_t seed = 1442695040888963407u;

/* RAM is reached where it lies in this process. The struct is const to the code under test. */
static struct paging_layout layout;
extern const struct paging_layout paging_layout __attribute__((alias("layout")));

void paging_written(void)
{
}

void paging_flush(void)
{
}

void *hc_platform_alloc_pages(unsigned order)
{
	assert_int_equal(order, 0);
	if (ram_used == ram_most)
		return NULL;
	return memset(ram + ram_used++ * PAGE, 0, PAGE);
}

hpa_t hc_platform_to_hpa(const void *p)
{
	return hpa_of((uint64_t)((const uint8_t *)p - ram) + RAM_PA);
}

/* --- Formats (SDM Vol. 3A 4.5; Arm ARM D8.3) --- */

static void use_x86(void)
{
	memset(&paging_format, 0, sizeof(paging_format));
	paging_format.address = UINT64_C(0x000ffffffffff000);
	paging_format.limit = UINT64_C(1) << 46;
	paging_format.table = 0x23;
	paging_format.large_mask = paging_format.large = 0x80;
	for (unsigned i = 0; i < PAGING_KINDS; i++) {
		paging_format.page[i] = 1 | (uint64_t)i << 52;
		paging_format.block[i] = 0x81 | (uint64_t)i << 52;
	}
	paging_format.largest_level = 2;
}

static void use_arm(void)
{
	memset(&paging_format, 0, sizeof(paging_format));
	paging_format.address = UINT64_C(0x0000fffffffff000);
	paging_format.limit = UINT64_C(1) << 48;
	paging_format.table = 3;
	paging_format.large_mask = 2;
	for (unsigned i = 0; i < PAGING_KINDS; i++) {
		paging_format.page[i] = 3 | (uint64_t)i << 55;
		paging_format.block[i] = 1 | (uint64_t)i << 55;
	}
	paging_format.largest_level = 2;
}

static void (*const formats[])(void) = { use_x86, use_arm };

static bool is_x86(void)
{
	return paging_format.table == 0x23;
}

/* --- A walk --- */

static uint64_t *walk_table(uint64_t pa)
{
	if (pa >= IMAGE_PA && pa < IMAGE_PA + IMAGE_SIZE)
		return (uint64_t *)((uintptr_t)image_start + (pa - IMAGE_PA));
	assert_in_range(pa, RAM_PA, RAM_PA + sizeof(ram) - PAGE);
	return (uint64_t *)(void *)(ram + (pa - RAM_PA));
}

/* The kind that va is mapped with, and where to; -1: not at all. */
static int walk(uint64_t va, uint64_t *pa)
{
	uint64_t *table = paging_root;

	for (unsigned shift = 39;; shift -= 9) {
		uint64_t e = table[va >> shift & 511];
		bool leaf = shift == 12 || (is_x86() ? e >> 7 & 1 : !(e >> 1 & 1));
		uint64_t inside = (UINT64_C(1) << shift) - 1;

		if (!(e & 1))
			return -1;
		if (leaf) {
			assert_true(shift <= 30);
			assert_int_equal(is_x86() || shift > 12 ? 1 : 3, e & (is_x86() ? 1 : 3));
			*pa = (e & UINT64_C(0x0000fffffffff000) & ~inside) | (va & inside);
			return (int)(e >> (is_x86() ? 52 : 55) & 7);
		}
		table = walk_table(e & UINT64_C(0x0000fffffffff000));
	}
}

/* --- What was mapped --- */

struct mapping {
	uint64_t va, pa, size;
	int kind;
};

static struct mapping mappings[64];
static unsigned mapping_count;

static int listed(uint64_t va, uint64_t *pa)
{
	for (unsigned i = 0; i < mapping_count; i++) {
		const struct mapping *m = &mappings[i];

		if (va >= m->va && va - m->va < m->size) {
			*pa = m->pa + (va - m->va);
			return m->kind;
		}
	}
	return -1;
}

static void compare_at(uint64_t va)
{
	uint64_t pa = 0, expected = 0;
	int kind = listed(va, &expected);
	hpa_t found = hpa_of(0);

	assert_int_equal(walk(va, &pa), kind);
	assert_int_equal(pa, expected);
	assert_int_equal(paging_lookup(va, &found), kind >= 0);
	if (kind >= 0)
		assert_int_equal(found.v, expected);
}

static void compare_all(void)
{
	for (unsigned i = 0; i < mapping_count; i++) {
		const struct mapping *m = &mappings[i];

		compare_at(m->va);
		compare_at(m->va - 1);
		compare_at(m->va + m->size - 1);
		compare_at(m->va + m->size);
		compare_at(m->va + test_below(&seed, m->size));
		compare_at(m->va ^ UINT64_C(1) << (12 + test_below(&seed, 35)));
	}
}

static void start(unsigned format, uint64_t pool)
{
	formats[format]();
	memset(paging_root, 0, sizeof(paging_root));
	memset((void *)(uintptr_t)image_start, 0xa5, IMAGE_SIZE); /* tables are cleared first */
	memset(ram, 0xa5, sizeof(ram));
	board_boot_info.image_base = IMAGE_PA;
	layout.direct_base = (uint64_t)(uintptr_t)ram - RAM_PA;
	layout.direct_size = UINT64_C(1) << 40;
	layout.window_base = UINT64_C(0xc00000000000);
	layout.window_size = UINT64_C(1) << 40;
	mapping_count = 0;
	ram_used = 0;
	ram_most = RAM_PAGES;
	paging_tables_from((void *)(uintptr_t)image_start, pool);
	paging_tables_from_ram(NULL, 0, 0, 0);
}

/* Any page, 2 MiB or 1 GiB boundary. */
static uint64_t boundary(uint64_t below)
{
	static const unsigned shifts[] = { 12, 21, 30 };

	return test_below(&seed, below) >> shifts[test_below(&seed, 3)] << shifts[0];
}

static void map_one(void)
{
	unsigned shift = (unsigned[]){ 12, 21, 30 }[test_below(&seed, 3)];
	uint64_t size = (1 + test_below(&seed, 3)) << shift;
	struct mapping *m = &mappings[mapping_count];

	/* Each in 64 GiB of its own; with the same place in larger pages, or not. */
	m->va = UINT64_C(0x800000000000) + ((uint64_t)mapping_count << 36) +
	        (test_below(&seed, 8) << shift) + (test_below(&seed, 4) ? 0 : PAGE);
	m->pa = (test_below(&seed, 1 << 10) << 30) + (m->va & 0x3fffffff) +
	        (test_below(&seed, 4) ? 0 : boundary(1 << 30));
	m->pa &= ~(PAGE - 1);
	if ((m->pa ^ m->va) & 0x1fffff && size > UINT64_C(8) << 20)
		size = UINT64_C(8) << 20; /* only pages fit: keep it short */
	m->size = size;
	m->kind = (int)test_below(&seed, PAGING_KINDS);
	assert_int_equal(paging_map(m->va, m->pa, m->size, (enum paging_kind)m->kind), 0);
	mapping_count++;
	assert_int_equal(paging_map(m->va, m->pa, PAGE, PAGING_RO), -EEXIST);
}

static void maps_what_it_is_told(void **state)
{
	for (unsigned round = 0; round < test_rounds(40); round++) {
		struct ranges pieces = { 0 };

		start(round & 1, 3 * PAGE);
		ranges_add(&pieces, RAM_PA, RAM_PA + sizeof(ram));
		paging_tables_from_ram(&pieces, RAM_PA, UINT64_MAX, layout.direct_base);
		for (unsigned i = 0; i < 8; i++)
			map_one();
		compare_all();
	}
}

/* 1 GiB at a multiple of it takes one entry of the third level, and no table below. */
static void uses_the_largest_pages(void **state)
{
	for (unsigned format = 0; format < 2; format++) {
		start(format, 1 * PAGE);
		assert_int_equal(paging_map(UINT64_C(5) << 30, UINT64_C(9) << 30, UINT64_C(4) << 30,
		                            PAGING_RW),
		                 0);
		start(format, 1 * PAGE);
		paging_format.largest_level = 1;
		assert_int_equal(paging_map(UINT64_C(5) << 30, UINT64_C(9) << 30, UINT64_C(1) << 30,
		                            PAGING_RW),
		                 -ENOMEM);
	}
}

static void tables_run_out(void **state)
{
	for (unsigned pages = 0; pages < 3; pages++) {
		struct ranges pieces = { 0 };

		start(1, pages * PAGE);
		assert_int_equal(paging_map(PAGE, PAGE, PAGE, PAGING_RO), -ENOMEM);
		/* RAM below the floor cannot be reached yet. */
		ranges_add(&pieces, RAM_PA, RAM_PA + PAGE);
		paging_tables_from_ram(&pieces, RAM_PA + PAGE, UINT64_MAX, layout.direct_base);
		assert_int_equal(paging_map(PAGE, PAGE, PAGE, PAGING_RO), -ENOMEM);
	}
}

/* --- Windows and stacks; after start-up tables come from the allocator for good --- */

static void windows_are_apart(void **state)
{
	start(1, 0);
	paging_tables_from_allocator();
	for (unsigned i = 0; i < 20; i++) {
		struct mapping *m = &mappings[mapping_count];
		uint64_t pa = test_below(&seed, UINT64_C(1) << 40);
		uint64_t size = 1 + test_below(&seed, 1 << (i + 2));
		uint8_t *p = paging_window(hpa_of(pa), size, PAGING_UNCACHED);
		uint64_t other = 0;

		assert_non_null(p);
		m->va = (uint64_t)(uintptr_t)p & ~(PAGE - 1);
		m->pa = pa & ~(PAGE - 1);
		m->size = ((pa & (PAGE - 1)) + size + PAGE - 1) & ~(PAGE - 1);
		m->kind = PAGING_UNCACHED;
		assert_int_equal((uint64_t)(uintptr_t)p & (PAGE - 1), pa & (PAGE - 1));
		assert_int_equal(listed(m->va, &other), -1);
		assert_int_equal(listed(m->va + m->size - 1, &other), -1);
		mapping_count++;
	}
	compare_all();
	assert_null(paging_window(hpa_of(UINT64_MAX - 5), 100, PAGING_RO));
	assert_null(paging_window(hpa_of(0), UINT64_C(1) << 41, PAGING_RO));
}

/* What an entry has no room for would be attributes. */
static void windows_end_where_addresses_do(void **state)
{
	for (unsigned format = 0; format < 2; format++) {
		start(format, 0);
		paging_tables_from_allocator();
		uint64_t limit = paging_format.limit, pa;
		uint8_t *p = paging_window(hpa_of(limit - PAGE), PAGE, PAGING_RO);

		assert_non_null(p);
		assert_int_equal(walk((uint64_t)(uintptr_t)p, &pa), PAGING_RO);
		assert_int_equal(pa, limit - PAGE);
		assert_null(paging_window(hpa_of(limit - PAGE), PAGE + 1, PAGING_RO));
		assert_null(paging_window(hpa_of(limit), 1, PAGING_RO));
		assert_null(paging_window(hpa_of(limit + PAGE), PAGE, PAGING_RO));
		assert_null(paging_window(hpa_of(UINT64_C(1) << 63), 8, PAGING_UNCACHED));
		assert_null(paging_window(hpa_of(PAGE), UINT64_MAX - PAGE, PAGING_RO));
	}
}

static void stacks_have_guards(void **state)
{
	uint64_t top[3], pa;

	start(0, 0);
	paging_tables_from_allocator();
	for (unsigned i = 0; i < 3; i++) {
		top[i] = paging_stack(4 * PAGE);
		assert_true(top[i] != 0);
		for (uint64_t at = top[i] - 4 * PAGE; at < top[i]; at += PAGE) {
			assert_int_equal(walk(at, &pa), PAGING_RW);
			assert_false(paging_is_guard(at));
		}
		assert_int_equal(walk(top[i] - 4 * PAGE - 1, &pa), -1);
		assert_true(paging_is_guard(top[i] - 4 * PAGE - 1));
		assert_true(paging_is_guard(top[i]));
	}
	assert_false(paging_is_guard((uint64_t)(uintptr_t)image_end - 1));
	assert_false(paging_is_guard(top[2] + PAGE));
	ram_most = ram_used + 2;
	assert_int_equal(paging_stack(4 * PAGE), 0);
}

static void unmaps_single_pages(void **state)
{
	uint64_t pa = 0;

	start(1, 0);
	paging_tables_from_allocator();
	assert_int_equal(paging_map(0x7000, 0x9000, 4 * PAGE, PAGING_RX), 0);
	paging_unmap(0x8000, 2 * PAGE);
	assert_int_equal(walk(0x7000, &pa), PAGING_RX);
	assert_int_equal(walk(0x8000, &pa), -1);
	assert_int_equal(walk(0x9fff, &pa), -1);
	assert_int_equal(walk(0xa000, &pa), PAGING_RX);
	assert_int_equal(pa, 0xc000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_what_it_is_told),
		cmocka_unit_test(uses_the_largest_pages),
		cmocka_unit_test(tables_run_out),
		cmocka_unit_test(windows_are_apart),
		cmocka_unit_test(stacks_have_guards),
		cmocka_unit_test(unmaps_single_pages),
		cmocka_unit_test(windows_end_where_addresses_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
