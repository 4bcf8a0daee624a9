/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The measuring guest: what a kernel does, in about the proportions of its start. A backend that is
 * fast at user code and slow at a kernel's must not look fast here.
 *
 * Entered in 64-bit mode at CPL 0 with:
 *   rbp  counts the rounds (uint64_t in memory)
 *   rsi  4 KiB of memory to work on
 *   rdi  an address that is not mapped
 *   r8, r9  two page tables that map all the rest alike
 */
	.section .rodata
	.globl linux_measure_guest, linux_measure_fault, linux_measure_end
linux_measure_guest:
	/* 250 times five instructions, one load and one store among them */
	mov $250, %ecx
1:	add %rcx, %rax
	mov %rax, (%rsi, %rcx, 8)
	xor -8(%rsi, %rcx, 8), %rax
	dec %ecx
	jnz 1b

	mov %r8, %cr3
	mov %r9, %cr3
	mov (%rdi), %rax
	xor %eax, %eax
	cpuid
	out %al, $0x80
	incq (%rbp)
	jmp linux_measure_guest

	/* The handler of the page fault: on to the instruction after "mov (%rdi), %rax". */
linux_measure_fault:
	add $8, %rsp
	addq $3, (%rsp)
	iretq
linux_measure_end:

	.section .note.GNU-stack, "", @progbits
