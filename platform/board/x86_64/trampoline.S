/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a CPU comes to life after INIT and SIPI: real mode, CS:IP = page:0. A copy of this lies in a
 * page below 1 MiB that is mapped one to one; struct trampoline_data at its end was filled in. Goes
 * to long mode at once with the board's own page tables (SDM Vol. 3A 8.4, 9.8.5).
 */
#include "platform/board/x86_64/layout.h"

#define MSR_EFER 0xc0000080

	.section .rodata
	.balign 16
	.globl trampoline_start, trampoline_data, trampoline_end
	.code16
trampoline_start:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	mov	tr_cr4 - trampoline_start, %eax
	mov	%eax, %cr4
	mov	tr_cr3 - trampoline_start, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	xor	%edx, %edx
	mov	tr_efer - trampoline_start, %eax
	wrmsr
	lgdtl	tr_gdt_pointer - trampoline_start
	mov	tr_cr0 - trampoline_start, %eax
	mov	%eax, %cr0
	ljmpl	*(tr_far - trampoline_start)

	.code64
trampoline_long:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	/* struct cpu_start: state, stack, argument, function. The boot CPU may have given up. */
	mov	tr_start(%rip), %rbx
	mov	$1, %eax
	mov	$2, %ecx
	lock cmpxchg %ecx, (%rbx)
	jne	2f
	mov	8(%rbx), %rsp
	mov	16(%rbx), %rdi
	mov	24(%rbx), %rax
	xor	%ebp, %ebp
	call	*%rax
2:	cli
	hlt
	jmp	2b

	.balign 8
trampoline_data: /* struct trampoline_data */
tr_gdt:		.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
tr_start:	.quad 0
tr_cr0:		.long 0
tr_cr3:		.long 0
tr_cr4:		.long 0
tr_efer:	.long 0
tr_far:		.long trampoline_long - trampoline_start /* + the page's address */
		.short SEL_CODE
tr_gdt_pointer:	.short 23
		.long tr_gdt - trampoline_start /* + the page's address */
trampoline_end:

	.section .note.GNU-stack, "", @progbits
