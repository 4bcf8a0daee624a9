/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as a 32-bit ELF file with a PVH note: GRUB and QEMU start it by multiboot 1, Xen and
 * other PVH loaders at the note's entry. Linked to a flat binary, the headers being written here:
 * loaders differ in what they make of a 64-bit file or of sections linked elsewhere.
 */
#include "guest/x86_64/layout.h"

#define FILE_OFFSET 0x1000	/* the multiboot header is to be in the first 8 KiB */
#define HEADER      0x34
#define SEGMENT     0x20

	.section .text
	.byte 0x7f
	.ascii "ELF"
	.byte 1, 1, 1		/* 32 bits, little-endian, version */
	.org 0x10
	.word 2, 3		/* ET_EXEC, EM_386 */
	.long 1
	.long KERNEL_BASE + HEAD_MULTIBOOT
	.long HEADER, 0, 0	/* program headers, section headers, flags */
	.word HEADER, SEGMENT, 2, 40, 0, 0

	.org HEADER
	/* PT_LOAD */
	.long 1, FILE_OFFSET, KERNEL_BASE, KERNEL_BASE
	.long image_file_bytes, image_memory_bytes, 7, 0x1000
	/* PT_NOTE */
	.long 4, note, note, note
	.long note_end - note, note_end - note, 4, 4

note:	/* XEN_ELFNOTE_PHYS32_ENTRY (Xen's docs/misc/pvh) */
	.long 4, 4, 18
	.asciz "Xen"
	.long KERNEL_BASE + HEAD_PVH
note_end:

	.org FILE_OFFSET
	.incbin "conformance.bin"
