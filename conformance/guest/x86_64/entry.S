/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and interrupts in 64-bit mode; the ways in and out of a case and of a ring. */

	.macro push_all
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	.endm

	.macro pop_all
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	.endm

	.text
	/* 16 bytes a vector. An error code is pushed for those that have none (SDM Vol. 3A 6.13). */
	.balign 16
	.globl vector_stubs
vector_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	pushq $0
	.endif
	pushq $vector
	jmp vector_common
	.set vector, vector + 1
	.endr

vector_common:
	push_all
	cld
	movq %rsp, %rdi
	movq %rsp, %rbx
	andq $~15, %rsp
	call exception
	movq %rbx, %rsp
	pop_all
	addq $16, %rsp
	iretq

	.macro save_callee
	pushfq
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	.endm

	.macro restore_callee
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popfq
	.endm

	/* void enter_frame(struct frame *frame, uint64_t *stack) */
	.globl enter_frame
enter_frame:
	save_callee
	movq %rsp, (%rsi)
	movq %rdi, %rsp
	pop_all
	addq $16, %rsp
	iretq

	/* _Noreturn void enter_return(uint64_t stack): as if enter_frame returned */
	.globl enter_return
enter_return:
	movq %rdi, %rsp
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	cld
	restore_callee
	ret

	/* bool arch_protect(struct arch_unwind *slot, void (*function)(void *), void *argument) */
	.globl arch_protect
arch_protect:
	save_callee
	movq %rsp, (%rdi)	/* a multiple of 16 here */
	movq %rsi, %rax
	movq %rdx, %rdi
	call *%rax
	restore_callee
	xorl %eax, %eax
	ret

	/* _Noreturn void arch_unwind(struct arch_unwind *slot). IRETQ ends NMI blocking. */
	.globl arch_unwind
arch_unwind:
	cli
	movq (%rdi), %rcx
	movw $0x10, %ax
	movw %ax, %ss
	pushq $0x10
	pushq %rcx
	pushq $2
	pushq $0x08
	pushq $1f
	iretq
1:	cld
	restore_callee
	movl $1, %eax
	ret

	/* void reload_segments(void), from the GDT as it is. */
	.globl reload_segments
reload_segments:
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	popq %rax
	pushq $0x08
	pushq %rax
	lretq

	/* void end_nmi(void): an IRETQ to the caller, which ends NMI blocking. */
	.globl end_nmi
end_nmi:
	popq %rcx
	movq %rsp, %rdx
	pushq $0x10
	pushq %rdx
	pushq $2
	pushq $0x08
	pushq %rcx
	iretq
