/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An option ROM that starts a kernel which is in memory already, as Bochs can put it there:
 *   optromimage1: file=conformance.rom, address=0xd0000
 *   optramimage1: file=conformance.bin, address=0x100000
 *   optramimage2: file=FILE, address=0x90000    (the command line, at most 2 KiB, ended by a NUL)
 * By Linux's 32-bit boot protocol, boot_params being the ROM's second KiB.
 */
#include "guest/x86_64/layout.h"

#define ROM    0xd0000
#define LINE   0x90000
#define CODE32 0x08
#define BYTES  0x800

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
	movl $ROM + 0x400, %esi
	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	ljmpl $CODE32, $KERNEL_BASE
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
pointer:
	.word . - gdt - 1
	.long ROM + (gdt - rom)

	.org 0x400 + 0x228
	.long LINE
	/* A ROM's bytes add up to 0; the builder sets the last one. */
	.org BYTES
