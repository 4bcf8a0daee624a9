/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of the UEFI specification (2.9) that the loader uses. Members that it does not use are
 * gaps; the assertions pin what stands between them. Pointers and UINTN have 8 bytes.
 */
#ifndef PLATFORM_BOARD_UEFI_UEFI_H
#define PLATFORM_BOARD_UEFI_UEFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uefi_arch.h> /* of the folder named after the architecture: EFIAPI */

typedef uint64_t efi_status_t;
typedef void *efi_handle_t;
typedef uint16_t efi_char_t; /* UCS-2 */

/* Status codes (Appendix D). */
#define EFI_ERROR_BIT         (UINT64_C(1) << 63)
#define EFI_SUCCESS           UINT64_C(0)
#define EFI_LOAD_ERROR        (EFI_ERROR_BIT | 1)
#define EFI_INVALID_PARAMETER (EFI_ERROR_BIT | 2)
#define EFI_UNSUPPORTED       (EFI_ERROR_BIT | 3)
#define EFI_BUFFER_TOO_SMALL  (EFI_ERROR_BIT | 5)
#define EFI_DEVICE_ERROR      (EFI_ERROR_BIT | 7)
#define EFI_OUT_OF_RESOURCES  (EFI_ERROR_BIT | 9)
#define EFI_NOT_FOUND         (EFI_ERROR_BIT | 14)
#define EFI_ABORTED           (EFI_ERROR_BIT | 21)

struct efi_guid {
	uint32_t a;
	uint16_t b, c;
	uint8_t d[8];
};
_Static_assert(sizeof(struct efi_guid) == 16, "EFI_GUID");

struct efi_table_header {
	uint64_t signature;
	uint32_t revision, header_size, crc32, reserved;
};
_Static_assert(sizeof(struct efi_table_header) == 24, "EFI_TABLE_HEADER");

/* --- Memory (7.2) --- */

enum efi_allocate_type { EFI_ALLOCATE_ANY_PAGES, EFI_ALLOCATE_MAX_ADDRESS, EFI_ALLOCATE_ADDRESS };

enum efi_memory_type {
	EFI_RESERVED_MEMORY,
	EFI_LOADER_CODE,
	EFI_LOADER_DATA,
	EFI_BOOT_SERVICES_CODE,
	EFI_BOOT_SERVICES_DATA,
	EFI_RUNTIME_SERVICES_CODE,
	EFI_RUNTIME_SERVICES_DATA,
	EFI_CONVENTIONAL_MEMORY,
	EFI_UNUSABLE_MEMORY,
	EFI_ACPI_RECLAIM_MEMORY,
	EFI_ACPI_MEMORY_NVS,
	EFI_MEMORY_MAPPED_IO,
	EFI_MEMORY_MAPPED_IO_PORT_SPACE,
	EFI_PAL_CODE,
	EFI_PERSISTENT_MEMORY,
	EFI_UNACCEPTED_MEMORY
};

#define EFI_PAGE_SIZE 4096

/* The firmware says how far apart the descriptors of its map are: more than this struct. */
struct efi_memory_descriptor {
	uint32_t type; /* enum efi_memory_type, or an OEM's */
	uint32_t pad;
	uint64_t physical_start, virtual_start, pages, attribute;
};
_Static_assert(offsetof(struct efi_memory_descriptor, pages) == 24, "EFI_MEMORY_DESCRIPTOR");
_Static_assert(sizeof(struct efi_memory_descriptor) == 40, "EFI_MEMORY_DESCRIPTOR");

/* --- Boot services (4.4, chapter 7) --- */

struct efi_boot_services {
	struct efi_table_header header;
	void *gap1[2];
	efi_status_t(EFIAPI *allocate_pages)(uint32_t allocate_type, uint32_t memory_type,
	                                     uint64_t pages, uint64_t *address);
	efi_status_t(EFIAPI *free_pages)(uint64_t address, uint64_t pages);
	efi_status_t(EFIAPI *get_memory_map)(uint64_t *size, struct efi_memory_descriptor *map,
	                                     uint64_t *key, uint64_t *descriptor_size,
	                                     uint32_t *descriptor_version);
	void *gap2[11];
	efi_status_t(EFIAPI *handle_protocol)(efi_handle_t handle, const struct efi_guid *protocol,
	                                      void *interface);
	void *gap3[9];
	efi_status_t(EFIAPI *exit_boot_services)(efi_handle_t image, uint64_t map_key);
	void *gap4;
	efi_status_t(EFIAPI *stall)(uint64_t microseconds);
	void *gap5[8];
	efi_status_t(EFIAPI *locate_protocol)(const struct efi_guid *protocol, void *registration,
	                                      void *interface);
};
_Static_assert(offsetof(struct efi_boot_services, allocate_pages) == 40, "AllocatePages");
_Static_assert(offsetof(struct efi_boot_services, free_pages) == 48, "FreePages");
_Static_assert(offsetof(struct efi_boot_services, get_memory_map) == 56, "GetMemoryMap");
_Static_assert(offsetof(struct efi_boot_services, handle_protocol) == 152, "HandleProtocol");
_Static_assert(offsetof(struct efi_boot_services, exit_boot_services) == 232, "ExitBootServices");
_Static_assert(offsetof(struct efi_boot_services, stall) == 248, "Stall");
_Static_assert(offsetof(struct efi_boot_services, locate_protocol) == 320, "LocateProtocol");

/* --- Console output (12.4) --- */

struct efi_text_output {
	void *reset;
	efi_status_t(EFIAPI *output_string)(struct efi_text_output *self, const efi_char_t *text);
};
_Static_assert(offsetof(struct efi_text_output, output_string) == 8, "OutputString");

/* --- Runtime services (4.5, 8.3) --- */

struct efi_time {
	uint16_t year;
	uint8_t month, day, hour, minute, second, pad1;
	uint32_t nanosecond;
	int16_t timezone; /* minutes */
	uint8_t daylight, pad2;
};
_Static_assert(offsetof(struct efi_time, timezone) == 12, "EFI_TIME");
_Static_assert(sizeof(struct efi_time) == 16, "EFI_TIME");

struct efi_runtime_services {
	struct efi_table_header header;
	efi_status_t(EFIAPI *get_time)(struct efi_time *time, void *capabilities);
};
_Static_assert(offsetof(struct efi_runtime_services, get_time) == 24, "GetTime");

/* --- System table (4.3, 4.6) --- */

struct efi_configuration_table {
	struct efi_guid guid;
	void *table;
};
_Static_assert(sizeof(struct efi_configuration_table) == 24, "EFI_CONFIGURATION_TABLE");

#define EFI_ACPI_20_TABLE_GUID                                                                     \
	{                                                                                          \
		0x8868e871, 0xe4f1, 0x11d3,                                                        \
		{                                                                                  \
			0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81                             \
		}                                                                                  \
	}
#define EFI_ACPI_10_TABLE_GUID                                                                     \
	{                                                                                          \
		0xeb9d2d30, 0x2d88, 0x11d3,                                                        \
		{                                                                                  \
			0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d                             \
		}                                                                                  \
	}

#define EFI_DTB_TABLE_GUID                                                                         \
	{                                                                                          \
		0xb1b621d5, 0xf19c, 0x41a5,                                                        \
		{                                                                                  \
			0x83, 0x0b, 0xd9, 0x15, 0x2c, 0x69, 0xaa, 0xe0                             \
		}                                                                                  \
	}

struct efi_system_table {
	struct efi_table_header header;
	const efi_char_t *firmware_vendor;
	uint32_t firmware_revision;
	void *gap1[3];
	struct efi_text_output *con_out;
	void *gap2[2];
	const struct efi_runtime_services *runtime_services;
	struct efi_boot_services *boot_services;
	uint64_t table_count;
	struct efi_configuration_table *tables;
};
_Static_assert(offsetof(struct efi_system_table, con_out) == 64, "ConOut");
_Static_assert(offsetof(struct efi_system_table, runtime_services) == 88, "RuntimeServices");
_Static_assert(offsetof(struct efi_system_table, boot_services) == 96, "BootServices");
_Static_assert(offsetof(struct efi_system_table, tables) == 112, "ConfigurationTable");

/* --- Loaded image (9.1) --- */

#define EFI_LOADED_IMAGE_PROTOCOL_GUID                                                             \
	{                                                                                          \
		0x5b1b31a1, 0x9562, 0x11d2,                                                        \
		{                                                                                  \
			0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b                             \
		}                                                                                  \
	}

struct efi_loaded_image {
	uint32_t revision;
	void *gap1[2];
	efi_handle_t device;
	void *gap2[2];
	uint32_t load_options_size; /* bytes */
	const efi_char_t *load_options;
};
_Static_assert(offsetof(struct efi_loaded_image, device) == 24, "DeviceHandle");
_Static_assert(offsetof(struct efi_loaded_image, load_options_size) == 48, "LoadOptionsSize");
_Static_assert(offsetof(struct efi_loaded_image, load_options) == 56, "LoadOptions");

/* --- Files (13.4, 13.5) --- */

#define EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID                                                       \
	{                                                                                          \
		0x964e5b22, 0x6459, 0x11d2,                                                        \
		{                                                                                  \
			0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b                             \
		}                                                                                  \
	}

#define EFI_FILE_MODE_READ    UINT64_C(1)
#define EFI_FILE_POSITION_END UINT64_MAX

struct efi_file {
	uint64_t revision;
	efi_status_t(EFIAPI *open)(struct efi_file *self, struct efi_file **file,
	                           const efi_char_t *name, uint64_t mode, uint64_t attributes);
	efi_status_t(EFIAPI *close)(struct efi_file *self);
	void *gap1;
	efi_status_t(EFIAPI *read)(struct efi_file *self, uint64_t *size, void *buffer);
	void *gap2;
	efi_status_t(EFIAPI *get_position)(struct efi_file *self, uint64_t *position);
	efi_status_t(EFIAPI *set_position)(struct efi_file *self, uint64_t position);
};
_Static_assert(offsetof(struct efi_file, read) == 32, "Read");
_Static_assert(offsetof(struct efi_file, set_position) == 56, "SetPosition");

struct efi_file_system {
	uint64_t revision;
	efi_status_t(EFIAPI *open_volume)(struct efi_file_system *self, struct efi_file **root);
};
_Static_assert(offsetof(struct efi_file_system, open_volume) == 8, "OpenVolume");

/* --- Graphics output (12.9) --- */

#define EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID                                                          \
	{                                                                                          \
		0x9042a9de, 0x23dc, 0x4a38,                                                        \
		{                                                                                  \
			0x96, 0xfb, 0x7a, 0xde, 0xd0, 0x80, 0x51, 0x6a                             \
		}                                                                                  \
	}

enum efi_pixel_format { EFI_PIXEL_RGBX, EFI_PIXEL_BGRX, EFI_PIXEL_BIT_MASK, EFI_PIXEL_BLT_ONLY };

struct efi_graphics_info {
	uint32_t version, width, height;
	uint32_t format; /* enum efi_pixel_format */
	uint32_t red_mask, green_mask, blue_mask, reserved_mask;
	uint32_t pixels_per_scan_line;
};
_Static_assert(sizeof(struct efi_graphics_info) == 36, "EFI_GRAPHICS_OUTPUT_MODE_INFORMATION");

struct efi_graphics_mode {
	uint32_t max_mode, mode;
	const struct efi_graphics_info *info;
	uint64_t info_size, base, size;
};
_Static_assert(offsetof(struct efi_graphics_mode, base) == 24, "FrameBufferBase");

struct efi_graphics {
	void *gap[3];
	const struct efi_graphics_mode *mode;
};
_Static_assert(offsetof(struct efi_graphics, mode) == 24, "Mode");

#endif
