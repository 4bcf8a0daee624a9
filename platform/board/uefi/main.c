/* SPDX-License-Identifier: BSD-2-Clause */
/* The application's entry point and the order in which the boot information comes together. */
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "platform/board/uefi/loader.h"

static const struct efi_guid loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static const struct efi_guid graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
static const struct efi_guid acpi20_guid = EFI_ACPI_20_TABLE_GUID;
static const struct efi_guid acpi10_guid = EFI_ACPI_10_TABLE_GUID;
static const struct efi_guid dtb_guid = EFI_DTB_TABLE_GUID;

/* How long an error stays on the screen before the firmware goes on. */
#define ERROR_PAUSE_US 3000000

efi_status_t EFIAPI uefi_main(efi_handle_t self, struct efi_system_table *system);

static void find_loader_name(const struct efi_system_table *system, struct board_boot_info *info)
{
	char vendor[20];
	size_t n = 0;

	for (const efi_char_t *s = system->firmware_vendor; s && *s && n < sizeof(vendor) - 1; s++)
		vendor[n++] = *s >= ' ' && *s <= '~' ? (char)*s : '?';
	vendor[n] = '\0';
	hc_snprintf(info->loader, sizeof(info->loader), "UEFI (%s)", vendor);
}

/* 0: there is no table of that kind. */
static uint64_t find_table(const struct efi_system_table *system, const struct efi_guid *guid)
{
	for (uint64_t i = 0; i < system->table_count; i++)
		if (memcmp(&system->tables[i].guid, guid, sizeof(*guid)) == 0)
			return (uintptr_t)system->tables[i].table;
	return 0;
}

static void find_tables(const struct efi_system_table *system, struct board_boot_info *info)
{
	info->rsdp = find_table(system, &acpi20_guid);
	if (!info->rsdp)
		info->rsdp = find_table(system, &acpi10_guid);
	info->dtb = find_table(system, &dtb_guid);
}

/* The position of a mask of eight adjacent bits at a byte boundary, or -1. */
static int mask_shift(uint32_t mask)
{
	for (int shift = 0; shift < 32; shift += 8)
		if (mask == UINT32_C(0xff) << shift)
			return shift;
	return -1;
}

/* false: pixels that the console cannot write. */
static bool pixel_shifts(const struct efi_graphics_info *mode, struct board_framebuffer *fb)
{
	int red = 0, green = 8, blue = 16;

	if (mode->format == EFI_PIXEL_BGRX) {
		red = 16;
		blue = 0;
	} else if (mode->format == EFI_PIXEL_BIT_MASK) {
		red = mask_shift(mode->red_mask);
		green = mask_shift(mode->green_mask);
		blue = mask_shift(mode->blue_mask);
	} else if (mode->format != EFI_PIXEL_RGBX) {
		return false;
	}
	if (red < 0 || green < 0 || blue < 0)
		return false;
	fb->red_shift = (uint8_t)red;
	fb->green_shift = (uint8_t)green;
	fb->blue_shift = (uint8_t)blue;
	return true;
}

/* The mode that the firmware left on the screen; none is no error. */
static void find_framebuffer(struct efi_boot_services *services, struct board_boot_info *info)
{
	struct board_framebuffer fb = { .bits_per_pixel = 32 };
	const struct efi_graphics_info *mode;
	struct efi_graphics *graphics;

	if (services->locate_protocol(&graphics_guid, NULL, &graphics) != EFI_SUCCESS ||
	    !graphics->mode || !graphics->mode->info)
		return;
	mode = graphics->mode->info;
	if (!pixel_shifts(mode, &fb) || mode->pixels_per_scan_line > UINT32_MAX / 4)
		return;
	fb.base = graphics->mode->base;
	fb.width = mode->width;
	fb.height = mode->height;
	fb.pitch = mode->pixels_per_scan_line * 4;
	info->framebuffer = fb;
}

/* A shell passes the command with its name first; a boot entry's options may be no text at all. */
static void find_command_line(const struct efi_loaded_image *image, struct board_boot_info *info)
{
	size_t count = image->load_options ? image->load_options_size / sizeof(efi_char_t) : 0;
	size_t n = 0;

	for (size_t i = 0; i < count && image->load_options[i] != 0; i++) {
		efi_char_t c = image->load_options[i];

		if (c < ' ' || c > '~' || n == sizeof(info->cmdline) - 1) {
			hc_log(HC_LOG_WARN,
			       "load options: ignored: should be ASCII text of at most %zu bytes",
			       sizeof(info->cmdline) - 1);
			n = 0;
			break;
		}
		info->cmdline[n++] = (char)c;
	}
	memset(info->cmdline + n, 0, sizeof(info->cmdline) - n);

	size_t name = 0;

	while (name < n && info->cmdline[name] != ' ')
		name++;
	if (name >= 4 && info->cmdline[name - 4] == '.' &&
	    (info->cmdline[name - 3] | 0x20) == 'e' && (info->cmdline[name - 2] | 0x20) == 'f' &&
	    (info->cmdline[name - 1] | 0x20) == 'i')
		memset(info->cmdline, ' ', name);
}

static efi_status_t gather(efi_handle_t self, struct efi_system_table *system,
                           struct board_boot_info **out, uint64_t *entry)
{
	struct efi_boot_services *services = system->boot_services;
	struct efi_loaded_image *image;
	struct board_boot_info *info;
	uint64_t address;
	efi_status_t status;

	status = uefi_alloc(EFI_LOADER_DATA, sizeof(*info), EFI_PAGE_SIZE, UEFI_IMAGE_HIGH_OK,
	                    "the boot information", &address);
	if (status != EFI_SUCCESS)
		return status;
	info = (void *)(uintptr_t)address;
	info->magic = BOARD_BOOT_MAGIC;
	status = services->handle_protocol(self, &loaded_image_guid, &image);
	if (status != EFI_SUCCESS)
		return uefi_error(status, "the firmware does not say where hypercore.efi is from");
	find_loader_name(system, info);
	find_tables(system, info);
	find_framebuffer(services, info);
	find_command_line(image, info);
	status = uefi_load_files(services, image->device, info);
	if (status == EFI_SUCCESS)
		status = uefi_load_image(info, entry);
	*out = info;
	return status;
}

efi_status_t EFIAPI uefi_main(efi_handle_t self, struct efi_system_table *system)
{
	efi_status_t status = uefi_relocate();
	struct board_boot_info *info = NULL;
	uint64_t entry = 0;

	if (status != EFI_SUCCESS)
		return status;
	uefi_log_init(system);
	uefi_memory_init(system->boot_services);
	status = gather(self, system, &info, &entry);
	if (status == EFI_SUCCESS) {
		info->wall_clock = uefi_wall_clock(system->runtime_services);
		status = uefi_exit(self, info);
	}
	if (status == EFI_SUCCESS)
		uefi_enter(entry, info);

	system->boot_services->stall(ERROR_PAUSE_US);
	uefi_free_all();
	return status;
}
