/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The world switch. See hw.h for what it promises.
 *
 * From CLGI to STGI nothing interrupts this code, not even an NMI, so that nobody notices that FS,
 * GS and TR are the guest's for a moment. STI before VMRUN does not let interrupts in (GIF is
 * clear); it is what makes them end the guest (APM Vol. 2 15.21.1: with V_INTR_MASKING the IF of
 * the host masks physical interrupts, and VMRUN sets GIF).
 */
	.section .text.svm_hw_enter, "ax", @progbits
	.globl	svm_hw_enter
	.type	svm_hw_enter, @function
	.balign	16
svm_hw_enter:			/* rdi: gpr, rsi: VMCB, rdx: host state */
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	%rdi
	mov	%rsi, %rax
	clgi
	sti
	vmload	%rax
	mov	0x08(%rdi), %rcx
	mov	0x10(%rdi), %rdx
	mov	0x18(%rdi), %rbx
	mov	0x28(%rdi), %rbp
	mov	0x30(%rdi), %rsi
	mov	0x40(%rdi), %r8
	mov	0x48(%rdi), %r9
	mov	0x50(%rdi), %r10
	mov	0x58(%rdi), %r11
	mov	0x60(%rdi), %r12
	mov	0x68(%rdi), %r13
	mov	0x70(%rdi), %r14
	mov	0x78(%rdi), %r15
	mov	0x38(%rdi), %rdi
	vmrun	%rax
	vmsave	%rax		/* RAX and RSP are ours again */
	mov	8(%rsp), %rax
	vmload	%rax
	mov	(%rsp), %rax
	mov	%rcx, 0x08(%rax)
	mov	%rdx, 0x10(%rax)
	mov	%rbx, 0x18(%rax)
	mov	%rbp, 0x28(%rax)
	mov	%rsi, 0x30(%rax)
	mov	%rdi, 0x38(%rax)
	mov	%r8, 0x40(%rax)
	mov	%r9, 0x48(%rax)
	mov	%r10, 0x50(%rax)
	mov	%r11, 0x58(%rax)
	mov	%r12, 0x60(%rax)
	mov	%r13, 0x68(%rax)
	mov	%r14, 0x70(%rax)
	mov	%r15, 0x78(%rax)
	cli
	stgi
	add	$16, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	svm_hw_enter, . - svm_hw_enter

	.section .note.GNU-stack, "", @progbits
