/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What boot loaders say about the machine, turned into struct board_boot_info. The loader's data is
 * reached through a function, so that this runs on any machine.
 */
#ifndef PLATFORM_BOARD_X86_64_LOADER_H
#define PLATFORM_BOARD_X86_64_LOADER_H

#include <stddef.h>

#include "platform/board/boot_info.h"

/* ACPI 6.4, 15: address range types. */
#define LOADER_E820_RAM  1
#define LOADER_E820_ACPI 3
#define LOADER_E820_NVS  4

/* Pointer to [pa, pa + size), or NULL where there is nothing to read. */
typedef const void *(*loader_map)(uint64_t pa, uint64_t size);

/* Both fill all of info but image_base and image_size. Entries that do not fit or make no sense are
 * left out. -EFAULT if the information itself cannot be read, -EPROTO if it is none. */
int multiboot2_read(struct board_boot_info *info, uint64_t pa, loader_map map);
int pvh_read(struct board_boot_info *info, uint64_t pa, loader_map map);

/* Helpers of the two. Ranges that are empty or wrap are ignored. */
void loader_add_range(struct board_boot_info *info, uint64_t base, uint64_t size,
                      uint32_t e820_type);
void loader_add_module(struct board_boot_info *info, uint64_t base, uint64_t size, const char *name,
                       size_t name_len);

/* Copies at most len bytes or up to a NUL, and terminates. */
void loader_copy_text(char *dst, size_t size, const char *src, size_t len);

#endif
