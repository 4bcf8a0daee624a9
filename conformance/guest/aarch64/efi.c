/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * As a UEFI application (UEFI Specification 2.10): takes the device tree and the command line, and
 * the machine away from the firmware. Firmware that has ACPI alone is not supported.
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

static uint64_t find_tree(uint64_t system)
{
	uint64_t count = load64(system + SYSTEM_TABLES), at = load64(system + SYSTEM_TABLES + 8);

	for (; count; count--, at += 24)
		if (memcmp((const void *)at, &device_tree, sizeof(device_tree)) == 0)
			return load64(at + 16);
	return 0;
}

static bool leave_firmware(uint64_t image, uint64_t boot)
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
		if (exit_services(image, key) == 0)
			return true;
	}
	return false;
}

uint64_t efi_main(uint64_t image, uint64_t system)
{
	uint64_t boot = load64(system + SYSTEM_BOOT_SERVICES), tree = find_tree(system);

	if (!tree)
		return 0;
	read_options(image, boot);
	return leave_firmware(image, boot) ? tree : 0;
}
