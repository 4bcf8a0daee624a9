/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sector 0 of a disk that a BIOS starts: reads the plan (plan.h) and what it names by the BIOS's INT
 * 13h, asks for the memory map by INT 15h, and enters the image in 32-bit protected mode as PVH wants
 * it: EBX = start information, flat segments, paging and interrupts off.
 */
#include "platform/board/disk/plan.h"

#define CR0_PE    1
#define SMAP      0x534d4150
#define PORT_92   0x92
#define FLAT_CODE 0x08
#define FLAT_DATA 0x10

	.text
	.code16
	.globl boot
boot:
	cli
	cld
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$BOOT_BASE, %sp
	sti
	ljmp	$0, $1f /* some BIOSes come in by 07c0:0000 */
1:	mov	%dl, drive
	call	read /* the plan */
	cmpl	$PLAN_IS_ONE, PLAN_BASE + PLAN_MAGIC
	jne	fail

	/* ACPI 6.4, 15.1: INT 15h, E820h. */
	xor	%ebx, %ebx
	xor	%bp, %bp
	mov	$MAP_BASE, %di
2:	mov	$0xe820, %eax
	mov	$SMAP, %edx
	mov	$20, %ecx
	int	$0x15
	jc	3f
	cmp	$SMAP, %eax
	jne	3f
	inc	%bp
	add	$MAP_ENTRY, %di
	cmp	$MAP_BASE + MAP_ENTRY * MAP_MOST, %di
	jae	3f
	test	%ebx, %ebx
	jnz	2b
3:	test	%bp, %bp
	jz	fail
	mov	PLAN_BASE + PLAN_INFO, %bx
	mov	%bp, INFO_MAP_ENTRIES(%bx)

	mov	$0x2401, %ax /* address line 20, by the BIOS and by the chipset */
	int	$0x15
	in	$PORT_92, %al
	or	$2, %al
	and	$0xfe, %al
	out	%al, $PORT_92

	mov	$PLAN_BASE + PLAN_RUNS, %bx
	mov	PLAN_BASE + PLAN_COUNT, %cx
	movw	$0, packet_offset
	movw	$BUFFER_BASE >> 4, packet_segment
4:	push	%cx
	call	run
	pop	%cx
	add	$RUN_SIZE, %bx
	loop	4b

	cli
	lgdtl	gdt_pointer
	mov	%cr0, %eax
	or	$CR0_PE, %al
	mov	%eax, %cr0
	ljmpl	$FLAT_CODE, $start

/* BX = a run: its sectors to their place. */
run:
	mov	RUN_LBA(%bx), %eax
	mov	%eax, packet_lba
	mov	RUN_ADDRESS(%bx), %edi
5:	mov	RUN_SECTORS(%bx), %eax
	test	%eax, %eax
	jz	7f
	cmp	$BUFFER_MOST, %eax
	jbe	6f
	mov	$BUFFER_MOST, %eax
6:	mov	%ax, packet_count
	sub	%eax, RUN_SECTORS(%bx)
	push	%eax
	push	%edi
	push	%bx
	call	read
	pop	%bx
	pop	%edi
	pop	%ecx
	add	%ecx, packet_lba
	shl	$7, %ecx /* to words of four bytes */
	mov	$BUFFER_BASE, %esi
	call	reach
	rep movsl (%esi), %es:(%edi)
	sti
	jmp	5b
7:	ret

/* Segment limits of 4 GiB in real mode, until the BIOS changes them; interrupts off. AX. */
reach:
	cli
	lgdtl	gdt_pointer
	mov	%cr0, %eax
	or	$CR0_PE, %al
	mov	%eax, %cr0
	mov	$FLAT_DATA, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%cr0, %eax
	and	$~CR0_PE, %al
	mov	%eax, %cr0
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	ret

/* What packet says. EDD 3.0, function 42h; the BIOS may change the count. */
read:
	mov	$0x42, %ah
	mov	drive, %dl
	mov	$packet, %si
	int	$0x13
	jc	fail
	ret

fail:
	mov	$message, %si
8:	lodsb
	test	%al, %al
	jz	9f
	mov	$0x0e, %ah
	mov	$7, %bx
	int	$0x10
	jmp	8b
9:	cli
	hlt
	jmp	9b

	.code32
start:
	mov	$FLAT_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	PLAN_BASE + PLAN_INFO, %ebx
	jmp	*PLAN_BASE + PLAN_ENTRY

	.balign 8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.short	. - gdt - 1
	.long	gdt

	.balign 4
packet:
	.short	packet_end - packet
packet_count:
	.short	PLAN_SECTORS
packet_offset:
	.short	PLAN_BASE
packet_segment:
	.short	0
packet_lba:
	.quad	1
packet_end:

message:
	.asciz	"Hypercore: this disk cannot be read.\r\n"
drive:
	.byte	0

	.org	boot + 446 /* the partition table is ci/mkdisk's */
	.skip	64
	.short	0xaa55

	.section .note.GNU-stack, "", @progbits
