/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The world switch. See hw.h for what it promises.
 *
 * The exit comes back to 3: with everything of the host in place but for the general registers
 * (SDM Vol. 3C 28.5). What VMLAUNCH stored stays in the VMCS until it is cleared: HOST_RIP need not
 * be written again for VMRESUME.
 */
#define VM_INSTRUCTION_ERROR 0x4400
#define HOST_RSP	     0x6c14
#define HOST_RIP	     0x6c16

	.section .text.vmx_hw_enter, "ax", @progbits
	.globl	vmx_hw_enter
	.type	vmx_hw_enter, @function
	.balign	16
vmx_hw_enter:			/* rdi: gpr, sil: resume */
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
	test	%sil, %sil	/* no instruction from here to the jump changes flags */
	mov	0x00(%rdi), %rax
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
	jz	1f
	mov	0x38(%rdi), %rdi
	vmresume
	jmp	2f
1:	lea	3f(%rip), %rax
	mov	$HOST_RIP, %edi
	vmwrite	%rax, %rdi
	mov	(%rsp), %rdi
	mov	0x00(%rdi), %rax
	mov	0x38(%rdi), %rdi
	vmlaunch
	/* Nothing happened: CF without a VMCS, ZF with one, which tells why (31.2). */
2:	mov	$-1, %eax
	jc	4f
	mov	$VM_INSTRUCTION_ERROR, %ecx
	vmread	%rcx, %rax
	jmp	4f
3:	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rax, 0x00(%rdi)
	mov	%rcx, 0x08(%rdi)
	mov	%rdx, 0x10(%rdi)
	mov	%rbx, 0x18(%rdi)
	mov	%rbp, 0x28(%rdi)
	mov	%rsi, 0x30(%rdi)
	pop	0x38(%rdi)
	mov	%r8, 0x40(%rdi)
	mov	%r9, 0x48(%rdi)
	mov	%r10, 0x50(%rdi)
	mov	%r11, 0x58(%rdi)
	mov	%r12, 0x60(%rdi)
	mov	%r13, 0x68(%rdi)
	mov	%r14, 0x70(%rdi)
	mov	%r15, 0x78(%rdi)
	xor	%eax, %eax
4:	add	$8, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	vmx_hw_enter, . - vmx_hw_enter

	.section .note.GNU-stack, "", @progbits
