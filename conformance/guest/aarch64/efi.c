/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * As a UEFI application (UEFI Specification 2.10): reads the device tree, or ACPI's tables and the
 * memory map, and the command line, and takes the machine away from the firmware. All this with the
 * firmware's MMU and caches on: what is not of the image may be in caches alone.
 */
#include "guest/aarch64/machine.h"
#include "guest/print.h"

#define SYSTEM_BOOT_SERVICES 96u
#define SYSTEM_TABLES        104u /* count, then address */
#define BOOT_MEMORY_MAP      56u
#define BOOT_HANDLE_PROTOCOL 152u
#define BOOT_EXIT            232u
#define LOADED_OPTIONS_SIZE  48u
#define LOADED_OPTIONS       56u

struct guid {
	uint32_t a;
	uint16_t b, c;
	uint8_t d[8];
};
static const struct guid loaded_image = {
	0x5b1b31a1, 0x9562, 0x11d2, { 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b }
};
static const struct guid device_tree = {
	0xb1b621d5, 0xf19c, 0x41a5, { 0x83, 0x0b, 0xd9, 0x15, 0x2c, 0x69, 0xaa, 0xe0 }
};

static const struct guid acpi_2_table = {
	0x8868e871, 0xe4f1, 0x11d3, { 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 }
};

/* Types of memory that is RAM (7.2): from the first to the last but for one. */
#define MEMORY_LOADER_CODE 1u
#define MEMORY_UNUSABLE    8u
#define MEMORY_ACPI_NVS    10u

extern char command_line[2048];
uint64_t efi_main(uint64_t image, uint64_t system);

static void read_options(uint64_t image, uint64_t boot)
{
	uint64_t (*handle_protocol)(uint64_t, const struct guid *, uint64_t *) = (uint64_t(*)(
		uint64_t, const struct guid *, uint64_t *))load64(boot + BOOT_HANDLE_PROTOCOL);
	uint64_t loaded, text, count, n = 0;

	if (handle_protocol(image, &loaded_image, &loaded))
		return;
	text = load64(loaded + LOADED_OPTIONS);
	count = load32(loaded + LOADED_OPTIONS_SIZE) / 2;
	for (; n < count && n + 1 < sizeof(command_line) && load16(text + 2 * n); n++)
		command_line[n] = (char)load16(text + 2 * n);
	command_line[n] = '\0';
}

static uint64_t find_table(uint64_t system, const struct guid *guid)
{
	uint64_t count = load64(system + SYSTEM_TABLES), at = load64(system + SYSTEM_TABLES + 8);

	for (; count; count--, at += 24)
		if (memcmp((const void *)at, guid, sizeof(*guid)) == 0)
			return load64(at + 16);
	return 0;
}

static void add_ram(uint64_t start, uint64_t bytes)
{
	unsigned int count = machine.ram_count;

	if (count && machine.ram[count - 1].start + machine.ram[count - 1].bytes == start) {
		machine.ram[count - 1].bytes += bytes;
	} else if (count < sizeof(machine.ram) / sizeof(machine.ram[0])) {
		machine.ram[count].start = start;
		machine.ram[machine.ram_count++].bytes = bytes;
	}
}

/* The map is in the order of addresses, as firmware makes it. */
static void read_map(const uint8_t *map, uint64_t bytes, uint64_t each)
{
	for (uint64_t at = (uint64_t)map; at + each <= (uint64_t)map + bytes; at += each) {
		uint32_t type = load32(at);

		if (type >= MEMORY_LOADER_CODE && type <= MEMORY_ACPI_NVS &&
		    type != MEMORY_UNUSABLE)
			add_ram(load64(at + 8), load64(at + 24) * PAGE);
	}
}

/* map_wanted: the map says where memory is. */
static bool leave_firmware(uint64_t image, uint64_t boot, bool map_wanted)
{
	static uint8_t map[65536] __attribute__((aligned(8)));
	uint64_t (*memory_map)(uint64_t *, void *, uint64_t *, uint64_t *, uint32_t *) =
		(uint64_t(*)(uint64_t *, void *, uint64_t *, uint64_t *, uint32_t *))load64(
			boot + BOOT_MEMORY_MAP);
	uint64_t (*exit_services)(uint64_t, uint64_t) =
		(uint64_t(*)(uint64_t, uint64_t))load64(boot + BOOT_EXIT);
	uint64_t key, each;
	uint32_t version;

	/* The first attempt may change the map (7.4.6). */
	for (unsigned int attempt = 0; attempt < 3; attempt++) {
		uint64_t bytes = sizeof(map);

		if (memory_map(&bytes, map, &key, &each, &version))
			return false;
		if (exit_services(image, key) == 0) {
			if (map_wanted)
				read_map(map, bytes, each);
			return true;
		}
	}
	return false;
}

/* Not 0: the machine is the kernel's. */
uint64_t efi_main(uint64_t image, uint64_t system)
{
	uint64_t boot = load64(system + SYSTEM_BOOT_SERVICES);
	uint64_t tree = find_table(system, &device_tree);
	uint64_t rsdp = tree ? 0 : find_table(system, &acpi_2_table);

	read_options(image, boot);
	if (rsdp ? !acpi_read(rsdp) : !tree_read(tree, command_line, sizeof(command_line)))
		return 0;
	return leave_firmware(image, boot, rsdp != 0);
}
