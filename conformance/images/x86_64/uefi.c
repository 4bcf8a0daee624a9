/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A UEFI application that holds the kernel: takes its command line from the load options and the
 * ACPI tables' address from the configuration table, leaves the boot services, and starts the
 * kernel by Linux's 64-bit boot protocol. Structures by the UEFI specification 2.10, with what is
 * not used as padding.
 */
#include "guest/x86_64/layout.h"

#include <stddef.h>
#include <stdint.h>

#define EFIAPI __attribute__((ms_abi))

struct guid {
	uint32_t a;
	uint16_t b, c;
	uint8_t d[8];
};

struct table_header {
	uint64_t signature;
	uint32_t revision, size, crc, reserved;
};

struct boot_services { /* 4.4 */
	struct table_header header;
	void *raise_tpl, *restore_tpl;
	uint64_t(EFIAPI *allocate_pages)(uint32_t how, uint32_t type, uint64_t pages,
	                                 uint64_t *address);
	void *free_pages;
	uint64_t(EFIAPI *get_memory_map)(uint64_t *size, void *map, uint64_t *key, uint64_t *one,
	                                 uint32_t *version);
	void *pool[2], *events[6], *protocols[3];
	uint64_t(EFIAPI *handle_protocol)(void *handle, const struct guid *protocol,
	                                  void **interface);
	void *more[5], *images[4];
	uint64_t(EFIAPI *exit_boot_services)(void *image, uint64_t key);
};
_Static_assert(offsetof(struct boot_services, allocate_pages) == 40, "UEFI 4.4");
_Static_assert(offsetof(struct boot_services, get_memory_map) == 56, "UEFI 4.4");
_Static_assert(offsetof(struct boot_services, handle_protocol) == 152, "UEFI 4.4");
_Static_assert(offsetof(struct boot_services, exit_boot_services) == 232, "UEFI 4.4");

struct text_output { /* 12.4 */
	void *reset;
	uint64_t(EFIAPI *output)(struct text_output *self, const uint16_t *text);
};

struct configuration {
	struct guid guid;
	void *table;
};

struct system_table { /* 4.3 */
	struct table_header header;
	void *vendor;
	uint64_t revision;
	void *console_in[2], *console_out_handle;
	struct text_output *console_out;
	void *error_out[2], *runtime;
	struct boot_services *boot;
	uint64_t configurations;
	const struct configuration *configuration;
};
_Static_assert(offsetof(struct system_table, console_out) == 64, "UEFI 4.3");
_Static_assert(offsetof(struct system_table, boot) == 96, "UEFI 4.3");
_Static_assert(offsetof(struct system_table, configuration) == 112, "UEFI 4.3");

struct loaded_image { /* 9.1 */
	uint32_t revision;
	void *parent, *system, *device, *path, *reserved;
	uint32_t options_bytes;
	const uint16_t *options;
};
_Static_assert(offsetof(struct loaded_image, options) == 56, "UEFI 9.1");

#define ALLOCATE_ADDRESS 2
#define LOADER_DATA      2
#define EFI_LOAD_ERROR   (UINT64_C(1) << 63 | 1)

static const struct guid loaded_image_protocol = {
	0x5b1b31a1, 0x9562, 0x11d2, { 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b }
};
static const struct guid acpi_2_table = {
	0x8868e871, 0xe4f1, 0x11d3, { 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 }
};
static const struct guid acpi_1_table = {
	0xeb9d2d30, 0x2d88, 0x11d3, { 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d }
};

extern const uint8_t kernel_image[];
extern const uint64_t kernel_memory;
_Noreturn void enter_kernel(const void *image, const void *params);
EFIAPI uint64_t efi_main(void *image, struct system_table *system);

static uint8_t params[4096] __attribute__((aligned(16)));
static char line[2048];
static uint8_t memory_map[32768] __attribute__((aligned(16)));

static _Bool same(const struct guid *a, const struct guid *b)
{
	const uint8_t *left = (const uint8_t *)a, *right = (const uint8_t *)b;

	for (unsigned int n = 0; n < sizeof(*a); n++)
		if (left[n] != right[n])
			return 0;
	return 1;
}

static void put(unsigned int offset, uint64_t value, unsigned int bytes)
{
	for (unsigned int n = 0; n < bytes; n++)
		params[offset + n] = (uint8_t)(value >> 8 * n);
}

/* UCS-2 to ASCII. A shell puts the application's name first; the kernel ignores what it does not
 * know. */
static void read_options(void *image, const struct boot_services *boot)
{
	const struct loaded_image *loaded;
	void *interface;
	unsigned int count;

	if (boot->handle_protocol(image, &loaded_image_protocol, &interface))
		return;
	loaded = interface;
	count = loaded->options_bytes / 2;
	for (unsigned int n = 0; loaded->options && n < count && n < sizeof(line) - 1; n++)
		line[n] = loaded->options[n] < 0x80 ? (char)loaded->options[n] : '?';
}

static uint64_t find_rsdp(const struct system_table *system)
{
	uint64_t found = 0;

	for (uint64_t n = 0; n < system->configurations; n++) {
		const struct configuration *entry = &system->configuration[n];

		if (same(&entry->guid, &acpi_2_table))
			return (uint64_t)entry->table;
		if (same(&entry->guid, &acpi_1_table))
			found = (uint64_t)entry->table;
	}
	return found;
}

/* The map's key is good for one call only; a second try follows a change in between (UEFI 7.4.6).
 */
static uint64_t leave(void *image, const struct boot_services *boot)
{
	uint64_t size, key, one, status = 0;
	uint32_t version;

	for (unsigned int tries = 0; tries < 2; tries++) {
		size = sizeof(memory_map);
		status = boot->get_memory_map(&size, memory_map, &key, &one, &version);
		if (!status)
			status = boot->exit_boot_services(image, key);
		if (!status)
			break;
	}
	return status;
}

EFIAPI uint64_t efi_main(void *image, struct system_table *system)
{
	uint64_t address = KERNEL_BASE, pages = (kernel_memory + 4095) / 4096;

	read_options(image, system->boot);
	put(0x228, (uint64_t)line, 4);   /* cmd_line_ptr */
	put(0x70, find_rsdp(system), 8); /* acpi_rsdp_addr */
	if (system->boot->allocate_pages(ALLOCATE_ADDRESS, LOADER_DATA, pages, &address)) {
		system->console_out->output(system->console_out,
		                            u"conformance: the memory at 1 MiB is in use\r\n");
		return EFI_LOAD_ERROR;
	}
	if (leave(image, system->boot))
		return EFI_LOAD_ERROR;
	enter_kernel(kernel_image, params);
}
