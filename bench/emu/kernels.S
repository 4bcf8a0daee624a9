/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is timed: void (uint64_t n), n times the same. How many instructions one time takes is in
 * emu.c's table. All follow the C calling convention; vector registers are free.
 */
	.text
	.macro kernel name
	.balign 16
	.globl \name
\name:
	.endm

	/* Ten instructions of arithmetic and logic that depend on each other only a little. */
kernel run_integer
	movl $1, %eax
	movl $0x12345, %edx
	xorl %esi, %esi
1:	addq %rdi, %rax
	xorq %rax, %rdx
	rolq $7, %rdx
	leaq 1(%rdx, %rdi, 4), %rcx
	subq %rcx, %rsi
	andl $0xffffff, %ecx
	orq %rcx, %rsi
	shrq $3, %rcx
	decq %rdi
	jnz 1b
	ret

	/* A branch that is taken now and then, and one that closes the loop: 9 instructions less 1 or
	 * 0, on average 8.5. */
kernel run_branches
	movl $0x9e3779b9, %eax
1:	movl %eax, %edx
	shll $13, %edx
	xorl %edx, %eax
	addl $0x3c6ef372, %eax
	testl %eax, %eax
	js 2f
	xorl $0x55aa, %eax
2:	decq %rdi
	jnz 1b
	ret

kernel run_multiply
	movl $3, %eax
	movl $7, %ecx
1:	imulq %rcx, %rax
	addq $5, %rax
	mulq %rcx
	xorl %edx, %edx
	divq %rcx
	addq $11, %rax
	decq %rdi
	jnz 1b
	ret

	/* Sums up 4 MiB, 32 bytes in 7 instructions. */
kernel run_loads
	leaq walk_area(%rip), %rsi
	xorl %eax, %eax
1:	movq %rdi, %rcx
	andl $0x1ffff, %ecx
	shll $5, %ecx
	addq (%rsi, %rcx), %rax
	addq 8(%rsi, %rcx), %rax
	addq 16(%rsi, %rcx), %rax
	addq 24(%rsi, %rcx), %rax
	decq %rdi
	jnz 1b
	ret

	/* The same with stores, 4 of 9 instructions. */
kernel run_stores
	leaq walk_area(%rip), %rsi
	xorl %eax, %eax
1:	movq %rdi, %rcx
	andl $0x1ffff, %ecx
	shll $5, %ecx
	movq %rax, (%rsi, %rcx)
	movq %rdi, 8(%rsi, %rcx)
	addq %rdi, 16(%rsi, %rcx)
	movl %eax, 24(%rsi, %rcx)
	decq %rdi
	jnz 1b
	ret

	/* One load on another page each time, 1,024 of them in an order without a stride. */
kernel run_pages
	leaq walk_area(%rip), %rsi
	xorl %eax, %eax
	movl $1, %ecx
1:	imull $5, %ecx, %ecx
	addl $7, %ecx
	andl $0x3ff, %ecx
	movl %ecx, %edx
	shll $12, %edx
	addl (%rsi, %rdx), %eax
	decq %rdi
	jnz 1b
	ret

	/* Blocks of 4 KiB: STOSQ, MOVSB. */
kernel run_strings
	movq %rdi, %rdx
1:	leaq walk_area(%rip), %rdi
	movq %rdx, %rax
	movl $512, %ecx
	rep stosq
	leaq walk_area(%rip), %rsi
	movl $4096, %ecx
	rep movsb
	decq %rdx
	jnz 1b
	ret

	/* Calls and returns, two levels. */
kernel run_calls
1:	call 2f
	decq %rdi
	jnz 1b
	ret
2:	pushq %rdi
	call 3f
	popq %rdi
	ret
3:	leaq 1(%rdi), %rax
	ret

	/* Calls by a register, to four functions in turn. */
kernel run_indirect
	leaq 2f(%rip), %rsi
1:	movl %edi, %ecx
	andl $3, %ecx
	shll $4, %ecx
	addq %rsi, %rcx
	call *%rcx
	decq %rdi
	jnz 1b
	ret
	.balign 16
2:	addq $1, %rax
	ret
	.balign 16
	addq $2, %rax
	ret
	.balign 16
	addq $3, %rax
	ret
	.balign 16
	addq $4, %rax
	ret

kernel run_double
	movl $0x3ff00000, %eax
	shlq $32, %rax
	movq %rax, %xmm0
	movapd %xmm0, %xmm1
	movapd %xmm0, %xmm2
1:	addsd %xmm0, %xmm1
	mulsd %xmm0, %xmm2
	subsd %xmm0, %xmm1
	divsd %xmm0, %xmm2
	addsd %xmm2, %xmm1
	sqrtsd %xmm0, %xmm3
	decq %rdi
	jnz 1b
	ret

kernel run_sse
	leaq walk_area(%rip), %rsi
	pxor %xmm0, %xmm0
	pcmpeqd %xmm1, %xmm1
1:	movdqa (%rsi), %xmm2
	paddd %xmm1, %xmm2
	pxor %xmm2, %xmm0
	pshufd $0x1b, %xmm0, %xmm3
	punpckldq %xmm3, %xmm0
	psrld $3, %xmm3
	pmaddwd %xmm1, %xmm3
	movdqa %xmm3, 16(%rsi)
	decq %rdi
	jnz 1b
	ret

kernel run_avx
	leaq walk_area(%rip), %rsi
	vpxor %ymm0, %ymm0, %ymm0
	vpcmpeqd %ymm1, %ymm1, %ymm1
1:	vmovdqa (%rsi), %ymm2
	vpaddd %ymm1, %ymm2, %ymm2
	vpxor %ymm2, %ymm0, %ymm0
	vpshufd $0x1b, %ymm0, %ymm3
	vpunpckldq %ymm3, %ymm0, %ymm0
	vpsrld $3, %ymm3, %ymm3
	vpmaddwd %ymm1, %ymm3, %ymm3
	vmovdqa %ymm3, 32(%rsi)
	decq %rdi
	jnz 1b
	vzeroupper
	ret

	/* LOCK and XCHG. */
kernel run_atomics
	leaq walk_area(%rip), %rsi
	movl $1, %eax
1:	lock addq %rax, (%rsi)
	lock xaddq %rax, 8(%rsi)
	xchgq %rax, 16(%rsi)
	decq %rdi
	jnz 1b
	ret

	/* An instruction that changes before it is executed, in a page of its own. */
kernel run_rewrites
	leaq 2f(%rip), %rsi
1:	movl %edi, 1(%rsi)
	call *%rsi
	decq %rdi
	jnz 1b
	ret
	.balign 4096
2:	movl $0, %eax
	ret
	.balign 4096

	/* User mode and back by SYSCALL: 4 instructions there, 3 here. */
kernel run_syscalls
	pushq %rbx
	pushq %rbp
	movq %rsp, syscall_stack(%rip)
	leaq 1f(%rip), %rcx
	movl $2, %r11d
	sysretq
1:	xorl %eax, %eax
	syscall
	decq %rdi
	jnz 1b
	movl $1, %eax
	syscall
	.globl handle_syscall
handle_syscall:
	testl %eax, %eax
	jnz 2f
	sysretq
2:	movl $0x10, %eax	/* SYSCALL's SS is no descriptor of ours: IRETQ would refuse it */
	movw %ax, %ss
	movq syscall_stack(%rip), %rsp
	popq %rbp
	popq %rbx
	ret

	/* A page that is absent, until the fault's handler maps it. */
kernel run_faults
	movq fault_entry(%rip), %rsi
	movq fault_address(%rip), %rdx
1:	movq $0, (%rsi)
	invlpg (%rdx)
	movl (%rdx), %eax
	decq %rdi
	jnz 1b
	ret
	.globl handle_fault
handle_fault:
	pushq %rax
	leaq walk_area+3(%rip), %rax	/* present, writable */
	movq %rax, (%rsi)
	popq %rax
	addq $8, %rsp
	iretq

kernel run_ports
1:	inb $0x21, %al		/* the 8259's mask */
	decq %rdi
	jnz 1b
	ret

kernel run_mmio
	movl $0xfee00030, %esi
1:	movl (%rsi), %eax	/* the local APIC's version */
	decq %rdi
	jnz 1b
	ret

kernel run_cpuid
	pushq %rbx
1:	xorl %eax, %eax
	cpuid
	decq %rdi
	jnz 1b
	popq %rbx
	ret

	.globl handle_other
handle_other:
	call unexpected

	.bss
	.balign 4096
	.globl walk_area, syscall_stack, fault_entry, fault_address
walk_area:
	.skip 0x400000
syscall_stack:
	.skip 8
fault_entry:
	.skip 8
fault_address:
	.skip 8
	.section .note.GNU-stack, "", @progbits
