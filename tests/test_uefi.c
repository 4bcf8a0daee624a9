/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the UEFI application does with the firmware, against a model of the firmware: memory whose
 * pages have types, a map that lists them, files, and the rules of UEFI 2.9 for calls (7.2, 7.4.6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include <hypercore/types.h>

#include "platform/board/uefi/loader.h"

static char last_message[512];

static void keep(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
static void keep(const char *fmt, va_list ap)
{
	vsnprintf(last_message, sizeof(last_message), fmt, ap);
}

int hc_error(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	keep(fmt, ap);
	va_end(ap);
	return err;
}

void hc_log(enum hc_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	keep(fmt, ap);
	va_end(ap);
}

efi_status_t uefi_error(efi_status_t status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	keep(fmt, ap);
	va_end(ap);
	return status;
}

int hc_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int len = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return len;
}

static uint64_t seed = 2862933555777941757u;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

/* --- The map --- */

#define PAGES      2048
#define FIRST_PAGE 16

static enum board_range_type kind_of(uint32_t type)
{
	if (type == 1 || type == 2 || type == 3 || type == 4 || type == 7)
		return BOARD_RANGE_RAM;
	return type == 9 || type == 10 ? BOARD_RANGE_ACPI : BOARD_RANGE_RESERVED;
}

struct map {
	uint8_t bytes[PAGES * 56];
	uint64_t size, step;
	int types[PAGES]; /* of each page; -1: not in the map */
};

static struct efi_memory_descriptor *descriptor(struct map *m, uint64_t i)
{
	return (void *)(m->bytes + i * m->step);
}

static void random_map(struct map *m, uint32_t longest)
{
	uint64_t count = 0;

	m->step = 40 + 8 * below(3);
	for (unsigned page = 0; page < PAGES;) {
		unsigned len = 1 + below(longest);
		int type = below(8) ? (int)below(16) : -1;

		if (below(2))
			type = EFI_CONVENTIONAL_MEMORY;
		if (len > PAGES - page)
			len = PAGES - page;
		for (unsigned i = 0; i < len; i++)
			m->types[page + i] = type;
		if (type >= 0) {
			struct efi_memory_descriptor *d = descriptor(m, count++);

			memset(d, 0xa5, m->step);
			d->type = (uint32_t)type;
			d->physical_start = (FIRST_PAGE + page) * 4096ull;
			d->pages = len;
		}
		page += len;
	}
	m->size = count * m->step;
	for (uint64_t i = count; i > 1 && below(4); i--) {
		uint8_t other[56];
		uint64_t j = below((uint32_t)i);

		memcpy(other, descriptor(m, i - 1), m->step);
		memcpy(descriptor(m, i - 1), descriptor(m, j), m->step);
		memcpy(descriptor(m, j), other, m->step);
	}
}

/* Ascending, apart, and no two that could be one. */
static void assert_tidy(const struct board_boot_info *info)
{
	assert_in_range(info->range_count, 0, BOARD_MAX_RANGES);
	for (unsigned i = 1; i < info->range_count; i++) {
		const struct board_range *a = &info->ranges[i - 1], *b = a + 1;

		assert_true(a->base + a->size <= b->base);
		assert_false(a->base + a->size == b->base && a->type == b->type);
	}
}

static int kind_in(const struct board_boot_info *info, unsigned page)
{
	uint64_t at = (FIRST_PAGE + page) * 4096ull;

	for (unsigned i = 0; i < info->range_count; i++)
		if (at - info->ranges[i].base < info->ranges[i].size)
			return (int)info->ranges[i].type;
	return -1;
}

static void maps_say_the_same_in_ranges(void **state)
{
	static struct board_boot_info info;
	static struct map m;

	for (int round = 0; round < 200; round++) {
		random_map(&m, 64);
		assert_int_equal(uefi_convert_map(m.bytes, m.size, m.step, &info), 0);
		assert_tidy(&info);
		for (unsigned page = 0; page < PAGES; page++)
			assert_int_equal(kind_in(&info, page),
			                 m.types[page] < 0 ? -1
			                                   : (int)kind_of((uint32_t)m.types[page]));
	}
}

static void too_long_maps_lose_ranges_but_not_the_truth(void **state)
{
	static struct board_boot_info info;
	static struct map m;
	unsigned lost = 0;

	for (int round = 0; round < 50; round++) {
		random_map(&m, 4);
		unsigned dropped = uefi_convert_map(m.bytes, m.size, m.step, &info);

		assert_tidy(&info);
		lost += dropped;
		for (unsigned page = 0; page < PAGES; page++) {
			int kind = kind_in(&info, page);

			if (kind >= 0)
				assert_int_equal(kind, kind_of((uint32_t)m.types[page]));
		}
	}
	assert_true(lost > 0);
}

static void descriptors_that_wrap_are_left_out(void **state)
{
	static struct board_boot_info info;
	const struct efi_memory_descriptor bad[] = {
		{ .type = 7, .physical_start = 4096, .pages = 0 },
		{ .type = 7, .physical_start = 4096, .pages = UINT64_MAX },
		{ .type = 7, .physical_start = UINT64_MAX - 4095, .pages = 2 },
		{ .type = 7, .physical_start = 8192, .pages = UINT64_C(1) << 52 },
		{ .type = 7, .physical_start = 8192, .pages = 3 },
	};

	assert_int_equal(uefi_convert_map(bad, sizeof(bad), sizeof(bad[0]), &info), 0);
	assert_int_equal(info.range_count, 1);
	assert_int_equal(info.ranges[0].base, 8192);
	assert_int_equal(info.ranges[0].size, 3 * 4096);
	/* Half a descriptor is none. */
	assert_int_equal(uefi_convert_map(&bad[4], sizeof(bad[0]) - 1, sizeof(bad[0]), &info), 0);
	assert_int_equal(info.range_count, 0);
}

/* --- The firmware's memory: two areas, below and above 4 GiB --- */

#define AREA_PAGES 4096

struct area {
	uint64_t base;
	uint8_t types[AREA_PAGES];
};

static struct area areas[2] = { { .base = 0x20000000 }, { .base = 0x7a0000000000 } };
static unsigned open_calls, exit_refusals, map_key, map_calls;
static bool leaving, left;

static struct area *area_at(uint64_t address)
{
	for (unsigned i = 0; i < 2; i++)
		if (address - areas[i].base < AREA_PAGES * 4096ull)
			return &areas[i];
	fail_msg("%#llx is not the firmware's memory", (unsigned long long)address);
	return NULL;
}

static uint8_t *page_type(uint64_t address)
{
	struct area *a = area_at(address);

	assert_int_equal(address % 4096, 0);
	return &a->types[(address - a->base) / 4096];
}

static bool find_run(struct area *a, uint64_t pages, uint64_t limit, uint64_t *address)
{
	for (uint64_t at = AREA_PAGES - pages + 1; pages <= AREA_PAGES && at-- > 0;) {
		uint64_t n = 0;

		while (n < pages && a->types[at + n] == EFI_CONVENTIONAL_MEMORY)
			n++;
		if (n == pages && a->base + (at + pages) * 4096 - 1 <= limit) {
			*address = a->base + at * 4096;
			return true;
		}
	}
	return false;
}

static efi_status_t EFIAPI model_allocate(uint32_t how, uint32_t type, uint64_t pages,
                                          uint64_t *address)
{
	uint64_t limit = *address;

	assert_false(leaving);
	assert_int_equal(how, EFI_ALLOCATE_MAX_ADDRESS);
	assert_true(pages > 0);
	if (!find_run(&areas[1], pages, limit, address) &&
	    !find_run(&areas[0], pages, limit, address))
		return EFI_OUT_OF_RESOURCES;
	for (uint64_t i = 0; i < pages; i++)
		*page_type(*address + i * 4096) = (uint8_t)type;
	memset((void *)(uintptr_t)*address, 0xcc, pages * 4096);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI model_free(uint64_t address, uint64_t pages)
{
	assert_false(leaving);
	assert_true(pages > 0);
	for (uint64_t i = 0; i < pages; i++) {
		uint8_t *type = page_type(address + i * 4096);

		assert_in_range(*type, EFI_LOADER_CODE, EFI_LOADER_DATA);
		*type = EFI_CONVENTIONAL_MEMORY;
	}
	return EFI_SUCCESS;
}

/* One descriptor per run of pages of a type. */
static efi_status_t EFIAPI model_map(uint64_t *size, struct efi_memory_descriptor *map,
                                     uint64_t *key, uint64_t *step, uint32_t *version)
{
	uint64_t count = 0, room = *size / 48;

	assert_false(left);
	map_calls++;
	*step = 48;
	*version = 1;
	*key = ++map_key;
	for (unsigned i = 0; i < 2 * AREA_PAGES; i++) {
		struct area *a = &areas[i / AREA_PAGES];
		unsigned page = i % AREA_PAGES;

		if (page == 0 || a->types[page] != a->types[page - 1])
			count++;
		if (map && count <= room) {
			struct efi_memory_descriptor *d =
				(void *)((uint8_t *)map + 48 * (count - 1));

			if (page == 0 || a->types[page] != a->types[page - 1])
				*d = (struct efi_memory_descriptor){
					.type = a->types[page],
					.physical_start = a->base + page * 4096ull
				};
			d->pages++;
		}
	}
	*size = count * 48;
	return count > room ? EFI_BUFFER_TOO_SMALL : EFI_SUCCESS;
}

static efi_status_t EFIAPI model_exit(efi_handle_t self, uint64_t key)
{
	leaving = true;
	if (key != map_key)
		return EFI_INVALID_PARAMETER;
	if (exit_refusals > 0) {
		uint8_t *type = &areas[0].types[below(AREA_PAGES)];

		/* A driver gives up its memory on the way out, or takes some. */
		exit_refusals--;
		map_key++;
		if (*type == EFI_BOOT_SERVICES_DATA || *type == EFI_CONVENTIONAL_MEMORY)
			*type ^= EFI_BOOT_SERVICES_DATA ^ EFI_CONVENTIONAL_MEMORY;
		return EFI_INVALID_PARAMETER;
	}
	left = true;
	return EFI_SUCCESS;
}

/* --- Its files --- */

struct model_file {
	struct efi_file file; /* first */
	const char *path, *contents;
	bool directory, breaks;
	uint64_t position;
};

static struct model_file files[40];
static unsigned file_count;
static struct efi_file root;
static struct efi_file_system file_system;

static efi_status_t EFIAPI model_open(struct efi_file *self, struct efi_file **file,
                                      const efi_char_t *name, uint64_t mode, uint64_t attributes)
{
	char path[128];
	size_t n = 0;

	assert_ptr_equal(self, &root);
	assert_int_equal(mode, EFI_FILE_MODE_READ);
	for (; name[n]; n++)
		path[n] = (char)name[n];
	path[n] = '\0';
	for (unsigned i = 0; i < file_count; i++) {
		if (strcmp(files[i].path, path) == 0) {
			open_calls++;
			files[i].position = 0;
			*file = &files[i].file;
			return EFI_SUCCESS;
		}
	}
	return EFI_NOT_FOUND;
}

static efi_status_t EFIAPI model_close(struct efi_file *self)
{
	open_calls--;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI model_set_position(struct efi_file *self, uint64_t position)
{
	struct model_file *f = (void *)self;

	if (f->directory && position != 0)
		return EFI_UNSUPPORTED;
	f->position = position == UINT64_MAX ? strlen(f->contents) : position;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI model_get_position(struct efi_file *self, uint64_t *position)
{
	*position = ((struct model_file *)(void *)self)->position;
	return EFI_SUCCESS;
}

/* Gives less than was asked for now and then. */
static efi_status_t EFIAPI model_read(struct efi_file *self, uint64_t *size, void *buffer)
{
	struct model_file *f = (void *)self;
	uint64_t left_over = strlen(f->contents) - f->position;

	if (f->breaks && f->position > 2)
		return EFI_DEVICE_ERROR;
	if (*size > left_over)
		*size = left_over;
	if (*size > 3)
		*size = 3;
	memcpy(buffer, f->contents + f->position, *size);
	f->position += *size;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI model_open_volume(struct efi_file_system *self, struct efi_file **out)
{
	open_calls++;
	*out = &root;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI model_protocol(efi_handle_t handle, const struct efi_guid *guid,
                                          void *interface)
{
	if (!handle)
		return EFI_UNSUPPORTED;
	assert_int_equal(guid->a, 0x964e5b22);
	*(struct efi_file_system **)interface = &file_system;
	return EFI_SUCCESS;
}

static struct efi_boot_services services = {
	.allocate_pages = model_allocate,
	.free_pages = model_free,
	.get_memory_map = model_map,
	.exit_boot_services = model_exit,
	.handle_protocol = model_protocol,
};

static struct model_file *add_file(const char *path, const char *contents)
{
	struct model_file *f = &files[file_count++];

	*f = (struct model_file){ .path = path, .contents = contents };
	f->file.open = model_open;
	f->file.close = model_close;
	f->file.read = model_read;
	f->file.get_position = model_get_position;
	f->file.set_position = model_set_position;
	return f;
}

static int start_firmware(void **state)
{
	for (unsigned i = 0; i < 2; i++)
		memset(areas[i].types, EFI_CONVENTIONAL_MEMORY, AREA_PAGES);
	file_count = open_calls = exit_refusals = map_calls = 0;
	leaving = left = false;
	root.open = model_open;
	root.close = model_close;
	file_system.open_volume = model_open_volume;
	last_message[0] = '\0';
	uefi_memory_init(&services);
	return 0;
}

static int stop_firmware(void **state)
{
	leaving = left = false;
	uefi_free_all();
	for (unsigned i = 0; i < 2 * AREA_PAGES; i++) {
		uint8_t type = areas[i / AREA_PAGES].types[i % AREA_PAGES];

		/* Nothing of the loader's is left behind. */
		assert_true(type != EFI_LOADER_CODE && type != EFI_LOADER_DATA);
	}
	return 0;
}

static int map_areas(void **state)
{
	for (unsigned i = 0; i < 2; i++)
		if (mmap((void *)(uintptr_t)areas[i].base, AREA_PAGES * 4096ul,
		         PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		         -1, 0) != (void *)(uintptr_t)areas[i].base)
			return -1;
	return 0;
}

/* --- What the loader does with it --- */

static void allocations_are_aligned_zeroed_and_exact(void **state)
{
	for (int round = 0; round < 50; round++) {
		uint64_t bytes = 1 + below(100000), align = 4096ull << below(10), address;
		uint64_t pages = (bytes + 4095) / 4096, owned = 0;

		start_firmware(state);
		for (int hole = 0; hole < 4; hole++)
			areas[0].types[below(AREA_PAGES)] = EFI_RESERVED_MEMORY;
		assert_int_equal(uefi_alloc(EFI_LOADER_CODE, bytes, align, false, "x", &address),
		                 EFI_SUCCESS);
		assert_int_equal(address % align, 0);
		assert_true(address + bytes <= 4 * HC_GIB);
		for (uint64_t i = 0; i < pages * 4096; i++)
			assert_int_equal(((const char *)(uintptr_t)address)[i], 0);
		for (unsigned i = 0; i < AREA_PAGES; i++)
			owned += areas[0].types[i] == EFI_LOADER_CODE;
		assert_int_equal(owned, pages);
		uefi_free_all();
	}
}

static void memory_above_4_gib_is_the_second_choice(void **state)
{
	uint64_t address;

	memset(areas[0].types, EFI_RESERVED_MEMORY, AREA_PAGES);
	assert_int_not_equal(uefi_alloc(EFI_LOADER_DATA, 1, 4096, false, "the thing", &address), 0);
	assert_non_null(strstr(last_message, "no room for the thing: 4 KiB"));
	assert_int_equal(uefi_alloc(EFI_LOADER_DATA, 1, 4096, true, "x", &address), EFI_SUCCESS);
	assert_true(address >= areas[1].base);
	assert_int_not_equal(uefi_alloc(EFI_LOADER_DATA, HC_GIB, 4096, true, "x", &address), 0);
}

static void leaving_takes_as_many_attempts_as_the_firmware_wants(void **state)
{
	static const uint8_t others[] = {
		EFI_RESERVED_MEMORY,       EFI_BOOT_SERVICES_CODE,  EFI_BOOT_SERVICES_DATA,
		EFI_RUNTIME_SERVICES_DATA, EFI_ACPI_RECLAIM_MEMORY, EFI_MEMORY_MAPPED_IO,
	};
	static struct board_boot_info info;

	for (unsigned refusals = 0; refusals < 4; refusals++) {
		start_firmware(state);
		for (int i = 0; i < 60; i++)
			areas[0].types[below(AREA_PAGES)] = others[below(sizeof(others))];
		exit_refusals = refusals;
		assert_int_equal(uefi_exit(&services, &info), EFI_SUCCESS);
		assert_true(left);
		assert_tidy(&info);
		for (unsigned page = 0; page < AREA_PAGES; page++) {
			uint64_t at = areas[0].base + page * 4096ull;
			unsigned i = 0;

			while (at - info.ranges[i].base >= info.ranges[i].size)
				assert_true(++i < info.range_count);
			assert_int_equal(info.ranges[i].type, kind_of(areas[0].types[page]));
		}
		leaving = left = false;
		uefi_free_all();
	}
}

static void firmware_that_does_not_let_go_is_given_up(void **state)
{
	static struct board_boot_info info;

	exit_refusals = 1000;
	assert_int_equal(uefi_exit(&services, &info), EFI_INVALID_PARAMETER);
	assert_false(left);
	assert_true(map_calls < 50);
	assert_non_null(strstr(last_message, "does not let go"));
}

static efi_status_t load(struct board_boot_info *info)
{
	memset(info, 0, sizeof(*info));
	efi_status_t status = uefi_load_files(&services, &services, info);

	assert_int_equal(open_calls, 0);
	return status;
}

static void files_become_modules(void **state)
{
	static struct board_boot_info info;
	static const char *const names[] = { "hypercore.conf", "k1", "i1", "k2" };

	add_file("\\hypercore\\hypercore.conf",
	         "[vm a]\nkernel=k1\ninitrd=i1\n[vm b]\nkernel=k2\ninitrd=i1\n[vm c]\nkernel=k1\n");
	add_file("\\hypercore\\k1", "first kernel");
	add_file("\\hypercore\\i1", "disk");
	add_file("\\hypercore\\k2", "k");
	assert_int_equal(load(&info), EFI_SUCCESS);
	assert_int_equal(info.module_count, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_string_equal(info.modules[i].name, names[i]);
		assert_int_equal(info.modules[i].size, strlen(files[i].contents));
		assert_memory_equal((void *)(uintptr_t)info.modules[i].base, files[i].contents,
		                    info.modules[i].size);
	}
}

static void wrong_files_are_named(void **state)
{
	static const struct {
		const char *path, *contents, *message;
		bool directory, breaks;
	} cases[] = {
		{ "\\elsewhere", "x", "hypercore\\k: cannot be opened", false, false },
		{ "\\hypercore\\k", "", "hypercore\\k: has 0 bytes", false, false },
		{ "\\hypercore\\k", "x", "hypercore\\k: has no size", true, false },
		{ "\\hypercore\\k", "xxxxxxx", "hypercore\\k: reading ended after 3 of 7", false,
		  true },
	};
	static struct board_boot_info info;

	assert_int_equal(load(&info), EFI_NOT_FOUND);
	assert_non_null(strstr(last_message, "hypercore\\hypercore.conf: cannot be opened"));
	assert_int_not_equal(uefi_load_files(&services, NULL, &info), EFI_SUCCESS);
	assert_non_null(strstr(last_message, "FAT file system"));
	for (size_t i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		struct model_file *f;

		file_count = 0;
		add_file("\\hypercore\\hypercore.conf", "[vm a]\nkernel = k\n");
		f = add_file(cases[i].path, cases[i].contents);
		f->directory = cases[i].directory;
		f->breaks = cases[i].breaks;
		assert_int_not_equal(load(&info), EFI_SUCCESS);
		if (!strstr(last_message, cases[i].message))
			fail_msg("\"%s\" instead of \"%s\"", last_message, cases[i].message);
		uefi_free_all();
	}
	file_count = 0;
	add_file("\\hypercore\\hypercore.conf", "[vm a]\nkernel = k\nmemory = much");
	assert_int_equal(load(&info), EFI_LOAD_ERROR);
	assert_non_null(strstr(last_message, "hypercore.conf:3: memory = much: should be"));
}

/* --- The time of day --- */

static struct efi_time told;
static efi_status_t told_status;

static efi_status_t EFIAPI get_time(struct efi_time *time, void *capabilities)
{
	*time = told;
	return told_status;
}

static const struct efi_runtime_services runtime = { .get_time = get_time };

/* Against libc's idea of the calendar. */
static void the_time_is_in_utc(void **state)
{
	for (unsigned i = 0; i < 2000; i++) {
		time_t seconds = (time_t)(86400 + below(4000000000u));
		int zone = (int)below(2881) - 1440;
		time_t local = seconds - zone * 60;
		struct tm t;

		assert_non_null(gmtime_r(&local, &t));
		if (local < 0)
			continue;
		told_status = EFI_SUCCESS;
		told = (struct efi_time){
			.year = (uint16_t)(1900 + t.tm_year),
			.month = (uint8_t)(1 + t.tm_mon),
			.day = (uint8_t)t.tm_mday,
			.hour = (uint8_t)t.tm_hour,
			.minute = (uint8_t)t.tm_min,
			.second = (uint8_t)t.tm_sec,
			.timezone = (int16_t)zone,
		};
		assert_int_equal(uefi_wall_clock(&runtime), seconds);
		told.timezone = 0x7ff;
		assert_int_equal(uefi_wall_clock(&runtime), local);
	}
}

static void firmware_that_does_not_know_the_time(void **state)
{
	const struct efi_time good = { .year = 2024, .month = 2, .day = 29, .hour = 23 };
	struct efi_time bad[] = { good, good, good, good, good, good, good };

	told_status = EFI_SUCCESS;
	told = good;
	assert_int_equal(uefi_wall_clock(&runtime), 1709247600);
	told_status = EFI_DEVICE_ERROR;
	assert_int_equal(uefi_wall_clock(&runtime), 0);
	assert_int_equal(uefi_wall_clock(NULL), 0);
	told_status = EFI_SUCCESS;
	bad[0].year = 1969;
	bad[1].month = 13;
	bad[2].day = 0;
	bad[3].hour = 24;
	bad[4].minute = 60;
	bad[5].second = 60;
	bad[6].timezone = 1441;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(bad); i++) {
		told = bad[i];
		assert_int_equal(uefi_wall_clock(&runtime), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_time_is_in_utc),
		cmocka_unit_test(firmware_that_does_not_know_the_time),
		cmocka_unit_test(maps_say_the_same_in_ranges),
		cmocka_unit_test(too_long_maps_lose_ranges_but_not_the_truth),
		cmocka_unit_test(descriptors_that_wrap_are_left_out),
#define WITH_FIRMWARE(fn) cmocka_unit_test_setup_teardown(fn, start_firmware, stop_firmware)
		WITH_FIRMWARE(allocations_are_aligned_zeroed_and_exact),
		WITH_FIRMWARE(memory_above_4_gib_is_the_second_choice),
		WITH_FIRMWARE(leaving_takes_as_many_attempts_as_the_firmware_wants),
		WITH_FIRMWARE(firmware_that_does_not_let_go_is_given_up),
		WITH_FIRMWARE(files_become_modules),
		WITH_FIRMWARE(wrong_files_are_named),
	};

	return cmocka_run_group_tests_name("uefi", tests, map_areas, NULL);
}
