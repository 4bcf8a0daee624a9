/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into a case and out of it. Between native_enter and native_return all registers are the case's,
 * FS base included: nothing in between may use thread-local variables.
 */
#define RIP    128
#define RFLAGS 144
#define FS     168
#define GS     176
#define XSAVE  192

	.text
	.globl native_enter, native_return, native_aborted, native_signal
	.type native_enter, @function
native_enter:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, native_host_rsp(%rip)
	rdfsbase %rax
	movq %rax, native_host_fs(%rip)
	rdgsbase %rax
	movq %rax, native_host_gs(%rip)
	movl $0xe7, %eax	/* AVX-512's components, too: initialised, as XSTATE_BV lacks them */
	xorl %edx, %edx
	xrstor64 native_in+XSAVE(%rip)
	movq native_in+FS(%rip), %rax
	wrfsbase %rax
	movq native_in+GS(%rip), %rax
	wrgsbase %rax
	movq native_in+0(%rip), %rax
	movq native_in+8(%rip), %rcx
	movq native_in+16(%rip), %rdx
	movq native_in+24(%rip), %rbx
	movq native_in+40(%rip), %rbp
	movq native_in+48(%rip), %rsi
	movq native_in+56(%rip), %rdi
	movq native_in+64(%rip), %r8
	movq native_in+72(%rip), %r9
	movq native_in+80(%rip), %r10
	movq native_in+88(%rip), %r11
	movq native_in+96(%rip), %r12
	movq native_in+104(%rip), %r13
	movq native_in+112(%rip), %r14
	movq native_in+120(%rip), %r15
	leaq native_in+RIP(%rip), %rsp
	iretq

native_return:
	movq %rax, native_out+0(%rip)
	movq %rcx, native_out+8(%rip)
	movq %rdx, native_out+16(%rip)
	movq %rbx, native_out+24(%rip)
	movq %rsp, native_out+32(%rip)
	movq %rbp, native_out+40(%rip)
	movq %rsi, native_out+48(%rip)
	movq %rdi, native_out+56(%rip)
	movq %r8, native_out+64(%rip)
	movq %r9, native_out+72(%rip)
	movq %r10, native_out+80(%rip)
	movq %r11, native_out+88(%rip)
	movq %r12, native_out+96(%rip)
	movq %r13, native_out+104(%rip)
	movq %r14, native_out+112(%rip)
	movq %r15, native_out+120(%rip)
	movq native_host_rsp(%rip), %rsp
	pushfq
	popq native_out+RFLAGS(%rip)
	movl $7, %eax
	xorl %edx, %edx
	xsave64 native_out+XSAVE(%rip)
	rdfsbase %rax
	movq %rax, native_out+FS(%rip)
	rdgsbase %rax
	movq %rax, native_out+GS(%rip)
	jmp leave

native_aborted:
	rdfsbase %rax
	movq %rax, native_out+FS(%rip)
	rdgsbase %rax
	movq %rax, native_out+GS(%rip)
leave:
	pushq $2
	popfq
	movq native_host_fs(%rip), %rax
	wrfsbase %rax
	movq native_host_gs(%rip), %rax
	wrgsbase %rax
	vzeroupper
	fninit
	pushq $0x1f80
	ldmxcsr (%rsp)
	popq %rax
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

native_signal:
	pushfq
	andl $~0x40500, (%rsp)
	popfq
	jmp native_on_signal

	.bss
	.balign 64
	.globl native_in, native_out, native_host_rsp
native_in:
	.skip 1024
native_out:
	.skip 1024
native_host_rsp:
	.skip 8
native_host_fs:
	.skip 8
native_host_gs:
	.skip 8
	.section .note.GNU-stack, "", @progbits
