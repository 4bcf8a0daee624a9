/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An option ROM that starts a kernel which is in memory already, as Bochs can put it there:
 *   optromimage1: file=conformance.rom, address=0xd0000
 *   optramimage1 to 4: file=FILE, address=0x1000000, 0x1020000, 0x1040000 and 0x1060000
 * the last four being conformance.bin in parts of 128 KiB: Bochs scatters what is larger. rom.py puts
 * the command line into it.
 * The BIOS writes to some of the memory that the kernel is linked at: it is copied from further up.
 * By Linux's 32-bit boot protocol, boot_params being the ROM's second KiB, the line from 800h on.
 */
#include "guest/x86_64/layout.h"

#define ROM    0xd0000
#define LINE   0x800 /* rom.py knows it */
#define COPY   0x1000000
#define CODE32 0x08
#define BYTES  0x1000

	.section .text
	.code16
rom:
	.byte 0x55, 0xaa, BYTES / 512
	/* The BIOS calls this in real mode; it need not return. */
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl pointer - rom
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	ljmpl $CODE32, $ROM + (copy - rom)
	.code32
copy:
	cld
	movl $COPY, %esi
	movl $KERNEL_BASE, %edi
	movl $image_file_bytes, %ecx
	rep movsb
	movl $ROM + 0x400, %esi
	movl $KERNEL_BASE, %eax
	jmp *%eax
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
pointer:
	.word . - gdt - 1
	.long ROM + (gdt - rom)

	.org 0x400 + 0x228
	.long ROM + LINE
	/* A ROM's bytes add up to 0: rom.py sets the last one. */
	.org BYTES
