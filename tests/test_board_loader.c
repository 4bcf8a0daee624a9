/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The readers of multiboot2 and PVH boot information against information generated here, whole and
 * damaged. What they map is handed out as copies of exactly the mapped size, so that the sanitizers
 * see every byte too far.
 */
#include <stdlib.h>
#include <string.h>

#include <hypercore/errno.h>
#include <hypercore/types.h>

#include "platform/board/x86_64/layout.h"
#include "platform/board/x86_64/loader.h"
#include "tests/unit.h"

#define BASE   UINT64_C(0x9000)
#define MEMORY 0x6000

static uint64_t seed = 3935559000370003845u;
static uint8_t memory[MEMORY];
static void *copies[512];
static unsigned copy_count;

static uint32_t below(uint32_t n)
{
	return (uint32_t)test_below(&seed, n);
}

static const void *map(uint64_t pa, uint64_t size)
{
	void *copy;

	if (pa < BASE || pa - BASE > MEMORY || size > MEMORY - (pa - BASE))
		return NULL;
	assert_true(copy_count < HC_ARRAY_SIZE(copies));
	copy = malloc(size ? size : 1);
	memcpy(copy, memory + (pa - BASE), size);
	copies[copy_count++] = copy;
	return copy;
}

static void free_copies(void)
{
	while (copy_count)
		free(copies[--copy_count]);
}

static void put_text(char *at, const char *text)
{
	memcpy(at, text, strlen(text) + 1);
}

static void put(size_t at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		memory[at + i] = (uint8_t)(value >> 8 * i);
}

/* --- What is expected --- */

static void want_range(struct board_boot_info *want, uint64_t base, uint64_t size, uint32_t type)
{
	static const uint32_t types[] = { BOARD_RANGE_RESERVED, BOARD_RANGE_RAM,
		                          BOARD_RANGE_RESERVED, BOARD_RANGE_ACPI,
		                          BOARD_RANGE_ACPI,     BOARD_RANGE_RESERVED };

	if (size && want->range_count < BOARD_MAX_RANGES)
		want->ranges[want->range_count++] =
			(struct board_range){ base, size, types[type], 0 };
}

static void want_module(struct board_boot_info *want, uint64_t base, uint64_t size,
                        const char *name)
{
	struct board_module *m = &want->modules[want->module_count];

	if (!size || want->module_count == BOARD_MAX_MODULES)
		return;
	want->module_count++;
	m->base = base;
	m->size = size;
	put_text(m->name, name);
}

static const struct {
	const char *given, *name;
} names[] = {
	{ "", "" },
	{ "vmlinuz", "vmlinuz" },
	{ "/boot/guests/initrd.img", "initrd.img" },
	{ "dir/x with words", "x" },
	{ "a-name-of-more-than-sixty-three-bytes-which-no-module-of-ours-will-ever-have",
	  "a-name-of-more-than-sixty-three-bytes-which-no-module-of-ours-w" },
};

static const char *random_text(size_t max)
{
	static char text[4096];
	size_t len = below((uint32_t)max);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + below(26));
	text[len] = '\0';
	return text;
}

/* --- Multiboot2 --- */

static size_t tag(size_t at, uint32_t type, uint32_t payload)
{
	put(at, type, 4);
	put(at + 4, payload + 8, 4);
	return (at + 8 + payload + 7) & ~(size_t)7;
}

static size_t text_tag(size_t at, uint32_t type, const char *text)
{
	memcpy(memory + at + 8, text, strlen(text) + 1);
	return tag(at, type, (uint32_t)strlen(text) + 1);
}

static size_t module_tag(size_t at, struct board_boot_info *want)
{
	unsigned n = below(HC_ARRAY_SIZE(names));
	uint32_t base = below(1u << 30), size = below(8) * 4096;

	put(at + 8, base, 4);
	put(at + 12, base + size, 4);
	put_text((char *)memory + at + 16, names[n].given);
	want_module(want, base, size, names[n].name);
	return tag(at, 3, 8 + (uint32_t)strlen(names[n].given) + 1);
}

static size_t map_tag(size_t at, struct board_boot_info *want)
{
	uint32_t entry = below(2) ? 24 : 32, count = below(30);

	put(at + 8, entry, 4);
	put(at + 12, 0, 4);
	for (size_t i = 0; i < count; i++) {
		uint64_t base = (uint64_t)i << 33, size = below(6) * HC_PAGE_SIZE;
		uint32_t type = below(6);

		put(at + 16 + i * entry, base, 8);
		put(at + 16 + i * entry + 8, size, 8);
		put(at + 16 + i * entry + 16, type, 4);
		want_range(want, base, size, type);
	}
	return tag(at, 6, 8 + count * entry);
}

static size_t framebuffer_tag(size_t at, struct board_boot_info *want)
{
	unsigned type = below(3);
	static const uint8_t shifts[] = { 16, 8, 8, 8, 0, 8 };

	put(at + 8, 0xfd000000, 8);
	put(at + 16, 4096, 4);
	put(at + 20, 1024, 4);
	put(at + 24, 768, 4);
	put(at + 28, 32, 1);
	put(at + 29, type, 1);
	memcpy(memory + at + 32, shifts, sizeof(shifts));
	if (type == 1)
		want->framebuffer =
			(struct board_framebuffer){ 0xfd000000, 1024, 768, 4096, 32, 16, 8, 0, 0 };
	return tag(at, 8, 30);
}

/* Returns the size of the whole. */
static size_t generate_multiboot2(struct board_boot_info *want)
{
	size_t at = 8;
	const char *cmdline = random_text(3000);

	memset(memory, 0, sizeof(memory));
	memset(want, 0, sizeof(*want));
	want->magic = BOARD_BOOT_MAGIC;
	put_text(want->loader, "multiboot2 (A loader of a long ");
	want->loader[30] = ')';
	memcpy(want->cmdline, cmdline, strnlen(cmdline, BOARD_MAX_CMDLINE - 1));
	at = text_tag(at, 1, cmdline);
	at = text_tag(at, 2, "A loader of a long name");
	for (unsigned i = below(20); i; i--)
		at = module_tag(at, want);
	at = map_tag(at, want);
	at = framebuffer_tag(at, want);
	at = tag(at, 77, below(100)); /* unknown: passed over */
	if (below(2)) {
		want->rsdp = BASE + at + 8;
		at = tag(at, 15, 36);
		at = tag(at, 14, 20); /* the older copy does not replace it */
	}
	at = tag(at, 0, 0);
	put(0, at, 4);
	if (want->rsdp)
		want_range(want, BASE, at, LOADER_E820_ACPI);
	return at;
}

static void multiboot2_generated(void **state)
{
	for (unsigned i = 0; i < 500; i++) {
		struct board_boot_info want, info;

		generate_multiboot2(&want);
		assert_int_equal(multiboot2_read(&info, BASE, map), 0);
		assert_memory_equal(&info, &want, sizeof(info));
		free_copies();
	}
}

/* What the rest of the board relies on, whatever the loader wrote. */
static void check_sane(const struct board_boot_info *info)
{
	assert_true(info->range_count <= BOARD_MAX_RANGES);
	assert_true(info->module_count <= BOARD_MAX_MODULES);
	assert_true(memchr(info->cmdline, 0, sizeof(info->cmdline)) != NULL);
	assert_true(memchr(info->loader, 0, sizeof(info->loader)) != NULL);
	for (unsigned i = 0; i < info->range_count; i++)
		assert_true(info->ranges[i].base + info->ranges[i].size > info->ranges[i].base);
	for (unsigned i = 0; i < info->module_count; i++) {
		const struct board_module *m = &info->modules[i];

		assert_true(m->base + m->size > m->base);
		assert_true(memchr(m->name, 0, sizeof(m->name)) != NULL);
	}
}

static void multiboot2_damaged(void **state)
{
	for (unsigned i = 0; i < 5000; i++) {
		struct board_boot_info info;
		size_t len = generate_multiboot2(&info);

		for (unsigned n = 1 + below(8); n; n--)
			memory[below(4) ? below(len ? (uint32_t)len : 1) : below(8)] =
				(uint8_t)(below(2) ? 0xff : below(256));
		multiboot2_read(&info, BASE, map);
		check_sane(&info);
		free_copies();
	}
}

static void multiboot2_not_there(void **state)
{
	struct board_boot_info info;

	memset(memory, 0, sizeof(memory));
	assert_int_equal(multiboot2_read(&info, 0, map), -EFAULT);
	assert_int_equal(multiboot2_read(&info, BASE, map), -EPROTO);
	put(0, MEMORY + 1, 4);
	assert_int_equal(multiboot2_read(&info, BASE, map), -EPROTO);
	free_copies();
}

/* --- PVH --- */

#define PVH_CMDLINE 0x1000
#define PVH_MODULES 0x3000
#define PVH_MAP     0x3400
#define PVH_NAMES   0x5000

static void generate_pvh(struct board_boot_info *want)
{
	uint32_t modules = below(20), ranges = below(40);
	const char *cmdline = random_text(3000);

	memset(memory, 0, sizeof(memory));
	memset(want, 0, sizeof(*want));
	want->magic = BOARD_BOOT_MAGIC;
	put_text(want->loader, "PVH");
	memcpy(want->cmdline, cmdline, strnlen(cmdline, BOARD_MAX_CMDLINE - 1));
	put_text((char *)memory + PVH_CMDLINE, cmdline);
	want->rsdp = 0xf5000;
	put(0, START_PVH, 4);
	put(4, 1, 4);
	put(12, modules, 4);
	put(16, BASE + PVH_MODULES, 8);
	put(24, BASE + PVH_CMDLINE, 8);
	put(32, want->rsdp, 8);
	put(40, BASE + PVH_MAP, 8);
	put(48, ranges, 4);
	for (uint32_t i = 0; i < modules; i++) {
		unsigned n = below(HC_ARRAY_SIZE(names));
		size_t name_at = PVH_NAMES + 90 * i, at = PVH_MODULES + 32 * i;
		uint64_t base = below(1u << 30), size = below(8);

		put_text((char *)memory + name_at, names[n].given);
		put(at, base, 8);
		put(at + 8, size, 8);
		put(at + 16, n ? BASE + name_at : 0, 8);
		if (i < BOARD_MAX_MODULES)
			want_module(want, base, size, names[n].name);
	}
	for (uint32_t i = 0; i < ranges; i++) {
		uint64_t size = below(6) * HC_PAGE_SIZE;
		uint32_t type = below(6);

		put(PVH_MAP + 24 * i, (uint64_t)i << 33, 8);
		put(PVH_MAP + 24 * i + 8, size, 8);
		put(PVH_MAP + 24 * i + 16, type, 4);
		want_range(want, (uint64_t)i << 33, size, type);
	}
}

static void pvh_generated(void **state)
{
	for (unsigned i = 0; i < 500; i++) {
		struct board_boot_info want, info;

		generate_pvh(&want);
		assert_int_equal(pvh_read(&info, BASE, map), 0);
		assert_memory_equal(&info, &want, sizeof(info));
		free_copies();
	}
}

static void pvh_damaged(void **state)
{
	for (unsigned i = 0; i < 5000; i++) {
		struct board_boot_info info;

		generate_pvh(&info);
		for (unsigned n = 1 + below(8); n; n--)
			memory[below(2) ? 8 + below(48) : PVH_MODULES + below(0x1000)] =
				(uint8_t)(below(2) ? 0xff : below(256));
		pvh_read(&info, BASE, map);
		check_sane(&info);
		free_copies();
	}
}

static void pvh_not_there(void **state)
{
	struct board_boot_info info;

	generate_pvh(&info);
	assert_int_equal(pvh_read(&info, 0, map), -EFAULT);
	put(4, 0, 4); /* version 0 has no memory map */
	assert_int_equal(pvh_read(&info, BASE, map), -EPROTO);
	put(4, 1, 4);
	memory[0]++;
	assert_int_equal(pvh_read(&info, BASE, map), -EPROTO);
	free_copies();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(multiboot2_generated), cmocka_unit_test(multiboot2_damaged),
		cmocka_unit_test(multiboot2_not_there), cmocka_unit_test(pvh_generated),
		cmocka_unit_test(pvh_damaged),          cmocka_unit_test(pvh_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
