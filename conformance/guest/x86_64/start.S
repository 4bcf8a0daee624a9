/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's entries, and the way to x86_start(kind, info) in 64-bit mode. The kernel is linked
 * where it is to be loaded, at 1 MiB; images/ has the files that bring it there.
 */
#include "guest/x86_64/layout.h"

	.section .head, "awx"
	.code32
head:
	/* +0: Linux's 32-bit boot protocol, ESI: boot_params */
	movl $BOOT_LINUX, %edi
	jmp start32
	.org HEAD_PVH
	movl $BOOT_PVH, %edi
	movl %ebx, %esi
	jmp start32
	.org HEAD_MULTIBOOT
	movl $BOOT_MULTIBOOT, %edi
	movl %ebx, %esi
	jmp start32
	/* Multiboot 1: page-aligned modules, memory information */
	.org HEAD_MULTIBOOT_HEADER
	.long 0x1badb002, 3, -(0x1badb002 + 3)

start32:
	cli
	cld
	lgdt start_gdt_pointer
	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $kernel_pml4, %eax
	movl %eax, %cr3
	movl $0x20, %eax	/* CR4.PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl $0x80000011, %eax	/* CR0.PG, ET, PE */
	movl %eax, %cr0
	ljmpl $CODE64, $start64

	/* +200h: Linux's 64-bit boot protocol, RSI: boot_params */
	.org HEAD_64
	.code64
	cli
	cld
	movl $BOOT_LINUX, %edi
	lgdt start_gdt_pointer
	movl $kernel_pml4, %eax
	movq %rax, %cr3
	/* The loader's stack may be anywhere. */
	movl $boot_stack + 0x8000, %esp
	pushq $CODE64
	pushq $start64
	lretq

start64:
	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	movl %edi, %r12d
	movl %esi, %r13d
	movl $__bss_start, %edi
	movl $__bss_end, %ecx
	subl %edi, %ecx
	xorl %eax, %eax
	rep stosb
	movl $boot_stack + 0x8000, %esp
	movl %r12d, %edi
	movl %r13d, %esi
	call x86_start
1:	hlt
	jmp 1b

	.section .data
	.balign 8
start_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
start_gdt_pointer:
	.word . - start_gdt - 1
	.quad start_gdt

	/* The page tables that the kernel has from the start: one to one, 4 GiB. */
	.balign 4096
	.globl kernel_pml4
kernel_pml4:
	.quad kernel_pdpt + 7
	.fill 511, 8, 0
	.globl kernel_pdpt
kernel_pdpt:
	.quad kernel_pd + 7, kernel_pd + 0x1007, kernel_pd + 0x2007, kernel_pd + 0x3007
	.fill 508, 8, 0
	.globl kernel_pd
kernel_pd:
	.set address, 0
	.rept 2048
	.quad address + 0x83
	.set address, address + 0x200000
	.endr
