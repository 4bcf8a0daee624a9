/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as a UEFI application: the headers that firmware wants (PE/COFF specification, UEFI
 * 2.1.1), written out, since the whole is linked to a flat binary. Code and data are one section at
 * the file's own offsets, and position-independent: no relocations.
 */
#include "guest/x86_64/layout.h"

#define PE      0x40
#define SECTION (PE + 24 + 112 + 6 * 8)
#define TEXT    0x1000

	.section .head, "ax"
header:
	.ascii "MZ"
	.org 0x3c
	.long PE
	.org PE
	.ascii "PE\0\0"
	.word 0x8664, 1		/* x86-64, sections */
	.long 0, 0, 0		/* time, symbols */
	.word SECTION - PE - 24, 0x22e	/* optional header's size; executable, no line numbers or symbols,
					   large addresses, no debugging information */
	/* Optional header, PE32+ */
	.word 0x20b
	.byte 0, 0
	.long image_size - TEXT, 0, 0	/* code, data, bss */
	.long efi_main, TEXT		/* entry, code's base */
	.quad 0				/* image's base */
	.long 0x1000, 0x200		/* alignment in memory and in the file */
	.word 0, 0, 0, 0, 0, 0		/* versions */
	.long 0
	.long image_size, TEXT		/* image's, headers' size */
	.long 0				/* checksum */
	.word 10, 0			/* EFI application */
	.quad 0, 0, 0, 0		/* stack, heap */
	.long 0, 6			/* flags, directories, all empty */
	.fill 6, 8, 0

	.org SECTION
	.ascii ".text\0\0\0"
	.long image_size - TEXT, TEXT, image_size - TEXT, TEXT
	.long 0, 0
	.word 0, 0
	.long 0xe0000020		/* code; executable, readable, writable */
	.org TEXT

	/* _Noreturn void enter_kernel(const void *image, const void *params): to its link address and in */
	.section .text
	.globl enter_kernel
enter_kernel:
	cli
	cld
	movq %rdi, %rax
	movq %rsi, %rdx
	movq %rax, %rsi
	movl $KERNEL_BASE, %edi
	movl $image_file_bytes, %ecx
	rep movsb
	movq %rdx, %rsi
	movl $KERNEL_BASE + HEAD_64, %eax
	jmp *%rax

	.section .data
	.globl kernel_image, kernel_memory
kernel_memory:
	.quad image_memory_bytes
	.balign 16
kernel_image:
	.incbin "conformance.bin"
