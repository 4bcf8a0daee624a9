/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * String instructions: microcoded for any length and alignment (SDM Vol. 1 7.3.9.3). Eight bytes at
 * a time and then the rest: where the CPU is emulated each repetition is an instruction.
 */
	.text
	.globl bulk_copy
bulk_copy:			/* rdi: to, rsi: from, rdx: bytes */
	mov	%rdx, %rcx
	shr	$3, %rcx
	rep movsq
	mov	%edx, %ecx
	and	$7, %ecx
	rep movsb
	ret

	.globl bulk_set
bulk_set:			/* rdi: to, sil: value, rdx: bytes */
	movzbl	%sil, %ecx
	movabs	$0x0101010101010101, %rax
	imul	%rcx, %rax
	mov	%rdx, %rcx
	shr	$3, %rcx
	rep stosq
	mov	%edx, %ecx
	and	$7, %ecx
	rep stosb
	ret

	.section .note.GNU-stack, "", @progbits
