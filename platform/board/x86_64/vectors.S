/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One entry per vector: makes the stack look the same for all (struct trap_frame) and calls
 * trap_dispatch().
 */

/* Vectors for which the CPU pushes an error code (SDM Vol. 3A table 6-1; APM Vol. 2 8.2: 29, 30). */
#define ERROR_CODES (1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21 | \
		     1 << 29 | 1 << 30)

	.text
	.balign 16
	.globl trap_vectors
trap_vectors:
	vector = 0
	.rept 256
	.balign 16
	.if vector == 1
	/* The host sets no breakpoints and steps through nothing. One that comes is a guest's, and the
	 * CPU's mistake: Bochs (2.7, 3.0) keeps a trap that is due after an instruction when that
	 * leaves the guest, and delivers it before the host has its GS and TR back. */
	iretq
	.elseif vector >= 32 || !((ERROR_CODES >> vector) & 1)
	push	$0
	.endif
	.if vector != 1
	push	$vector
	jmp	trap_common
	.endif
	vector = vector + 1
	.endr

	.balign 16
trap_common:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	call	trap_dispatch
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq

	.section .note.GNU-stack, "", @progbits
