/* SPDX-License-Identifier: BSD-2-Clause */
/* The structures of Linux' x86 boot protocol (Documentation/arch/x86/boot.rst, zero-page.rst). */
#ifndef ARCH_X86_64_LINUX_H
#define ARCH_X86_64_LINUX_H

#include <hypercore/types.h>

/* Offset of the set-up header in the file and in boot_params. */
#define LINUX_HEADER 0x1f1u

#define LINUX_LOADED_HIGH   (1u << 0) /* loadflags */
#define LINUX_XLF_KERNEL_64 (1u << 0) /* xloadflags: there is a 64-bit entry point */

struct linux_setup_header {
	uint8_t setup_sects;
	uint16_t root_flags;
	uint32_t syssize;
	uint16_t ram_size, vid_mode, root_dev, boot_flag;
	uint16_t jump;
	uint32_t header; /* "HdrS" */
	uint16_t version;
	uint32_t realmode_swtch;
	uint16_t start_sys_seg, kernel_version;
	uint8_t type_of_loader, loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver, ext_loader_type;
	uint32_t cmd_line_ptr, initrd_addr_max; /* 2.2, 2.3 */
	uint32_t kernel_alignment;              /* 2.5 */
	uint8_t relocatable_kernel, min_alignment;
	uint16_t xloadflags;   /* 2.12 */
	uint32_t cmdline_size; /* 2.6 */
	uint32_t hw_subarch;   /* 2.7 */
	uint64_t hw_subarch_data;
	uint32_t payload_offset, payload_length; /* 2.8 */
	uint64_t setup_data;                     /* 2.9 */
	uint64_t pref_address;                   /* 2.10 */
	uint32_t init_size, handover_offset, kernel_info_offset;
} __attribute__((packed));

_Static_assert(LINUX_HEADER + offsetof(struct linux_setup_header, version) == 0x206, "boot.rst");
_Static_assert(LINUX_HEADER + offsetof(struct linux_setup_header, cmdline_size) == 0x238,
               "boot.rst");
_Static_assert(LINUX_HEADER + offsetof(struct linux_setup_header, init_size) == 0x260, "boot.rst");
_Static_assert(LINUX_HEADER + sizeof(struct linux_setup_header) == 0x26c, "boot.rst");

struct linux_e820 {
	uint64_t base, size;
	uint32_t type;
} __attribute__((packed));

#define LINUX_E820_MAX 128

struct linux_boot_params {
	uint8_t reserved0[0x70]; /* screen and APM: none */
	uint64_t acpi_rsdp_addr;
	uint8_t reserved1[0x170];
	uint8_t e820_entries;
	uint8_t reserved2[8];
	struct linux_setup_header hdr;
	uint8_t reserved3[0x2d0 - 0x26c];
	struct linux_e820 e820[LINUX_E820_MAX];
	uint8_t reserved4[0x1000 - 0x2d0 - LINUX_E820_MAX * sizeof(struct linux_e820)];
} __attribute__((packed));

_Static_assert(offsetof(struct linux_boot_params, e820_entries) == 0x1e8, "zero-page.rst");
_Static_assert(offsetof(struct linux_boot_params, hdr) == LINUX_HEADER, "zero-page.rst");
_Static_assert(sizeof(struct linux_boot_params) == 0x1000, "zero-page.rst");

#endif
