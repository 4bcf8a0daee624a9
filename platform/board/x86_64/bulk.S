/* SPDX-License-Identifier: BSD-2-Clause */
/* String instructions: microcoded for any length and alignment (SDM Vol. 1 7.3.9.3). */
	.text
	.globl bulk_copy
bulk_copy:
	mov	%rdx, %rcx
	rep movsb
	ret

	.globl bulk_set
bulk_set:
	movzbl	%sil, %eax
	mov	%rdx, %rcx
	rep stosb
	ret

	.section .note.GNU-stack, "", @progbits
