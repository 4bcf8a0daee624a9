/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loaders of arch/x86_64 share: one file for each boot protocol. */
#ifndef ARCH_X86_64_BOOT_H
#define ARCH_X86_64_BOOT_H

#include "arch/x86_64/x86.h"

/* --- Memory as a PC's firmware describes it --- */

#define BOOT_LOW_RAM_END UINT64_C(0x9fc00) /* up to here without anything of ours */
#define BOOT_BIOS_AREA   UINT64_C(0xe0000) /* the ACPI tables */
#define BOOT_HIGH_RAM    UINT64_C(0x100000)

/* Types of ACPI 6.4, table 15-374; all protocols have them. */
enum { BOOT_RAM = 1, BOOT_RESERVED = 2 };

struct boot_range {
	uint64_t base, size;
	uint32_t type;
};

/* Rising, without overlaps; every slot is one entry at most, and low memory four. */
#define BOOT_MAP_MAX (HC_MAX_SLOTS + 4)

struct boot_map {
	unsigned count;
	struct boot_range ranges[BOOT_MAP_MAX];
};

void x86_boot_map(struct hc_vm *vm, struct boot_map *map);

/* Where the RAM that begins at 0 ends, below 4 GiB. */
uint64_t x86_boot_low_ram(struct hc_vm *vm);

/* --- A kernel's places in memory --- */

#define BOOT_MAX_SEGMENTS 64

struct boot_segment {
	uint64_t at, size;         /* in memory */
	uint64_t file, file_bytes; /* from where in the file; what is left of size is zero */
};

/* A kernel that is entered in 32-bit mode, as its file describes it. */
struct boot_kernel {
	struct boot_segment segments[BOOT_MAX_SEGMENTS]; /* rising, without overlaps */
	unsigned count;
	uint64_t end; /* of the last segment */
	uint64_t entry;
};

/* Adds a segment of a file of file_size bytes; what names its header for messages. -EPROTO
 * (truncated, overlaps another, too many), -ENOMEM (not RAM that is free for kernels). */
int x86_boot_add_segment(struct hc_vm *vm, struct boot_kernel *k, const struct boot_segment *s,
                         uint64_t file_size, const char *what);

/* All segments are known: is the entry point in one? -EPROTO. what: the field that it is from. */
int x86_boot_check_entry(struct hc_vm *vm, const struct boot_kernel *k, const char *what);

/* Copies the segments to their places; memory that no file gives is zero since the VM was made, but
 * for what multiboot kernels look for in the BIOS data area. */
int x86_boot_place(struct hc_vm *vm, const struct boot_kernel *k, const void *file);

/* Reads the header and the program headers of an ELF file for x86, of 32 or 64 bits (System V ABI,
 * chapters 4 and 5): k is complete then, with the ELF header's entry point as a physical address
 * and not checked yet. Errors as of x86_boot_add_segment, and -ENOEXEC (not for x86). */
int x86_elf_read(struct hc_vm *vm, const void *file, uint64_t size, struct boot_kernel *k);

/* The entry point of the x86/HVM direct boot protocol: the note of an ELF file that has a valid
 * header. 0: there is none. */
uint64_t x86_elf_pvh_entry(const void *file, uint64_t size);

/* --- The information that a 32-bit kernel is handed --- */

/* A piece of guest memory, filled from its start. */
struct boot_area {
	struct hc_vm *vm;
	uint64_t at, end;
	int error; /* the first one stays */
};

/* Finds room for size bytes in low memory beside the kernel, or else from fallback on, up to limit.
 * -ENOMEM. */
int x86_boot_area(struct hc_vm *vm, struct boot_area *area, const struct boot_kernel *k,
                  uint64_t size, uint64_t fallback, uint64_t limit);

/* Appends bytes, aligned to 8; returns where they are. */
uint32_t x86_boot_put(struct boot_area *area, const void *data, uint64_t size);

/* --- CPU 0 --- */

/* After reset and what firmware would have done: 32-bit protected mode without paging, flat
 * segments, interrupts off. gdt: where three descriptors can be (BOOT_GDT_SIZE bytes). */
#define BOOT_GDT_SIZE 24u

int x86_boot_enter_32(struct hc_vm *vm, uint64_t gdt, uint64_t entry, uint32_t eax, uint32_t ebx);

/* What firmware does to all CPUs: memory types, the interrupt wires. CPU 0 has been reset. */
void x86_boot_firmware(struct hc_vm *vm);

/* --- Protocols --- */

/* Multiboot 0.6.96. Is there a header in the first 8 KiB? broken (may be NULL): there is one, but
 * its checksum is wrong. */
bool x86_is_multiboot(const void *file, uint64_t size, bool *broken);
int x86_load_multiboot(struct hc_vm *vm, const struct x86_boot *boot);

/* The x86/HVM direct boot ABI, version 1 (Xen: docs/misc/pvh.pandoc, start_info.h). The file has
 * the note. */
int x86_load_pvh(struct hc_vm *vm, const struct x86_boot *boot);

#endif
