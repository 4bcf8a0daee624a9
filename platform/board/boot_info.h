/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every start-up path (multiboot2, PVH, UEFI) hands to the image: one format, so that the rest
 * of the board knows nothing of the boot loader. All addresses are physical.
 *
 * The image's ELF entry point (e_entry) takes it. x86-64: entered in long mode with the image and
 * this struct identity-mapped, interrupts off, RDI = address of this struct. AArch64: as in the
 * arm64 boot protocol, X0 = address of this struct in the place of the device tree's.
 */
#ifndef PLATFORM_BOARD_BOOT_INFO_H
#define PLATFORM_BOARD_BOOT_INFO_H

#include <stdint.h>

#define BOARD_BOOT_MAGIC  UINT64_C(0x65726f6372657079) /* "ypercore", little-endian */
#define BOARD_MAX_RANGES  192
#define BOARD_MAX_MODULES 16
#define BOARD_MAX_CMDLINE 2048
#define BOARD_MODULE_NAME 64

enum board_range_type {
	BOARD_RANGE_RAM,     /* free for use; modules and the image lie inside */
	BOARD_RANGE_ACPI,    /* tables: to be read, kept */
	BOARD_RANGE_RESERVED /* firmware, devices */
};

struct board_range {
	uint64_t base, size;
	uint32_t type; /* enum board_range_type */
	uint32_t pad;
};

/* A file that the boot loader put in memory. A module without a name is a bundle: a cpio (newc)
 * archive whose members are the modules. */
struct board_module {
	uint64_t base, size;
	char name[BOARD_MODULE_NAME]; /* terminated; without a path */
};

struct board_framebuffer {
	uint64_t base;                 /* 0: there is none */
	uint32_t width, height, pitch; /* pixels, pixels, bytes */
	uint8_t bits_per_pixel;        /* 32 or 24 */
	uint8_t red_shift, green_shift, blue_shift;
	uint32_t pad;
};

struct board_boot_info {
	uint64_t magic;
	char loader[32]; /* "PVH", "multiboot2 (GRUB 2.06)", "UEFI", for messages */
	uint64_t image_base,
		image_size;  /* where the image's first segment was loaded; 2 MiB aligned */
	uint64_t rsdp;       /* 0: the loader did not say */
	uint64_t dtb;        /* device tree; 0: there is none, or the loader did not say */
	uint64_t wall_clock; /* seconds since 1970-01-01 UTC as the loader left; 0: not known */
	uint32_t range_count, module_count;
	struct board_range ranges[BOARD_MAX_RANGES];
	struct board_module modules[BOARD_MAX_MODULES];
	struct board_framebuffer framebuffer;
	char cmdline[BOARD_MAX_CMDLINE];
};

/* Terminates what is text. -EPROTO if this is no such struct: the loader's version of it is checked
 * as any other input. */
int boot_info_check(struct board_boot_info *info);

#endif
