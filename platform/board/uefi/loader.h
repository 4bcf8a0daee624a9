/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hypercore.efi: gathers what the image needs by the firmware's means, then leaves the firmware.
 *
 *    relocate.c  the application itself, to where the firmware put it
 *    main.c      the order of things; the way out of the firmware
 *    memory.c    pages from the firmware, and its map as the board's ranges
 *    files.c     hypercore.conf and the files that it names
 *    image.c     the embedded hypercore.elf
 *    log.c       messages on the firmware's console
 *    time.c      the time of day
 *
 * and a folder of the architecture's name: enter.c, the last steps, and uefi_arch.h.
 *
 * Functions return an EFI status. Where one arises it is explained once on the console.
 */
#ifndef PLATFORM_BOARD_UEFI_LOADER_H
#define PLATFORM_BOARD_UEFI_LOADER_H

#include "core/log.h"
#include "platform/board/boot_info.h"
#include "platform/board/uefi/uefi.h"

/* Where the files are on the volume that the application was loaded from. */
#define UEFI_FOLDER "\\hypercore\\"
#define UEFI_CONFIG "hypercore.conf"

/* --- log.c --- */

void uefi_log_init(struct efi_system_table *system);

/* Logs the message with the status's name behind it and returns status. */
efi_status_t uefi_error(efi_status_t status, const char *fmt, ...) HC_PRINTF(2, 3);

/* --- memory.c --- */

void uefi_memory_init(struct efi_boot_services *services);

/* bytes (> 0) of memory of a type, zeroed, aligned to align (a power of two of at least a page),
 * below 4 GiB, or anywhere if high_ok and there is no room below. EFI_OUT_OF_RESOURCES, logged with
 * what: "no room for ...". */
efi_status_t uefi_alloc(enum efi_memory_type type, uint64_t bytes, uint64_t align, bool high_ok,
                        const char *what, uint64_t *address);

/* Returns everything that uefi_alloc() gave, for an end with an error. */
void uefi_free_all(void);

/* Fills info's ranges from a firmware's map of size bytes, descriptors of descriptor_size each, in
 * any order. Neighbours of one type become one range. Returns how many descriptors did not fit. */
unsigned uefi_convert_map(const void *map, uint64_t size, uint64_t descriptor_size,
                          struct board_boot_info *info);

/* Leaves the firmware and fills info's ranges. After success no boot service may be called. */
efi_status_t uefi_exit(efi_handle_t self, struct board_boot_info *info);

/* --- files.c --- */

/* Loads hypercore.conf and each file that it names, from the volume of device, as info's modules.
 */
efi_status_t uefi_load_files(struct efi_boot_services *services, efi_handle_t device,
                             struct board_boot_info *info);

/* --- image.c --- */

/* Loads the image, fills info's image_base and image_size; *entry is its physical entry point. */
efi_status_t uefi_load_image(struct board_boot_info *info, uint64_t *entry);

/* --- time.c --- */

/* Seconds since 1970-01-01 UTC; 0 if the firmware does not know. Before leaving it. */
uint64_t uefi_wall_clock(const struct efi_runtime_services *services);

/* --- enter.c of the architecture --- */

/* Leaves for the image. */
_Noreturn void uefi_enter(uint64_t entry, const struct board_boot_info *info);

/* --- relocate.c --- */

/* Must run before anything that uses a static pointer. EFI_UNSUPPORTED if the application holds a
 * relocation that it was not to have. */
efi_status_t uefi_relocate(void);

#endif
