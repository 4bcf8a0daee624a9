/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What runs below 64 KiB: the start of other CPUs (INIT, then a start-up IPI with this page's
 * number) and the way to and from modes other than 64-bit mode.
 */
#include "guest/x86_64/layout.h"

#define CODE32 0x08	/* of low_gdt */
#define DATA32 0x10
#define CODE16 0x18
#define LCODE64 0x40

/* struct mode */
#define M_CR0 0
#define M_CR3 4
#define M_CR4 8
#define M_EFER 12
#define M_EIP 16
#define M_CS 20
#define M_EFLAGS 24
#define M_ESP 28
#define M_SS 32
#define M_DS 36
#define M_REGS 40	/* eax ebx ecx edx esi edi ebp */
#define M_VECTOR 68
#define M_CODE 72
#define M_CR2 76

	/* Data segments; changes RAX. */
	.macro set_segments selector
	movw \selector, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	.endm

	/* The request's registers; EAX is saved by those who use it first. */
	.macro save_registers
	movl %ebx, low_mode + M_REGS + 4
	movl %ecx, low_mode + M_REGS + 8
	movl %edx, low_mode + M_REGS + 12
	movl %esi, low_mode + M_REGS + 16
	movl %edi, low_mode + M_REGS + 20
	movl %ebp, low_mode + M_REGS + 24
	.endm
	.macro load_registers
	movl low_mode + M_REGS + 4, %ebx
	movl low_mode + M_REGS + 8, %ecx
	movl low_mode + M_REGS + 12, %edx
	movl low_mode + M_REGS + 16, %esi
	movl low_mode + M_REGS + 20, %edi
	movl low_mode + M_REGS + 24, %ebp
	movl low_mode + M_REGS, %eax
	.endm

	/* Of 32-bit code that is mapped one to one. */
	.macro leave_paging
	movl $low_stack_top, %esp
	movl %cr0, %eax
	andl $0x7fffffff, %eax
	movl %eax, %cr0
	.endm

	.section .low.start, "awx"
	.balign 4096
	.code16
	.globl cpu_start
cpu_start:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	lgdtl low_gdt_pointer
	movl $0x11, %eax
	movl %eax, %cr0
	ljmpl $CODE32, $1f
	.code32
1:	set_segments $DATA32
	movl $kernel_pml4, %eax
	movl %eax, %cr3
	movl $0x20, %eax
	movl %eax, %cr4
	movl $0xc0000080, %ecx
	movl $0x100, %eax
	xorl %edx, %edx
	wrmsr
	movl $0x80000011, %eax
	movl %eax, %cr0
	ljmpl $LCODE64, $1f
	.code64
	/* The next CPU's number, and its stack. */
1:	movl $1, %edi
	lock xaddl %edi, cpu_ticket
	movl %edi, %eax
	shll $15, %eax		/* STACK_BYTES */
	leaq cpu_stacks(%rax), %rsp
	addq $0x8000, %rsp
	xorl %ebp, %ebp
	call cpu_entry
2:	hlt
	jmp 2b

	.balign 8
	.globl low_gdt
low_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 08: code, 32 bits */
	.quad 0x00cf93000000ffff	/* 10: data, 32 bits */
	.quad 0x00009b000000ffff	/* 18: code, 16 bits */
	.quad 0x000093000000ffff	/* 20: data, 16 bits */
	.quad 0x00cffb000000ffff	/* 28: code, 32 bits, ring 3 */
	.quad 0x00cff3000000ffff	/* 30: data, 32 bits, ring 3 */
	.quad 0x0000890000000067	/* 38: TSS, 32 bits; its base is filled in */
	.quad 0x00af9b000000ffff	/* 40: code, 64 bits */
	.fill 6, 8, 0
low_gdt_end:
	.globl low_gdt_pointer
low_gdt_pointer:
	.word low_gdt_end - low_gdt - 1
	.quad low_gdt

	.balign 4
	.globl cpu_ticket
cpu_ticket:
	.long 0

	/* ---- Other modes ---- */
	.balign 8
	.globl low_mode
low_mode:
	.fill 20, 4, 0
	.globl low_tss, low_stack_top
low_tss:
	.fill 26, 4, 0
low_idt_pointer:
	.word 256 * 8 - 1
	.quad low_idt
low_ivt_pointer:
	.word 256 * 4 - 1
	.long low_ivt
saved_rsp:
	.quad 0
saved_gdt:
	.fill 10, 1, 0
	.balign 2
saved_idt:
	.fill 10, 1, 0
	.balign 4
saved_cr0:
	.long 0
saved_cr3:
	.long 0
saved_cr4:
	.long 0
saved_efer:
	.long 0, 0
	/* Vectors' stubs of 8 bytes for low_idt, of 6 for low_ivt. */
	.balign 8
	.globl low_stubs32, low_stubs16
	.code32
low_stubs32:
	.set vector, 0
	.rept 256
	.balign 8
	.byte 0x6a, vector		/* push imm8 */
	.byte 0xe9
	.long low_common32 - (. + 4)
	.set vector, vector + 1
	.endr
	.code16
low_stubs16:
	.set vector, 0
	.rept 256
	.byte 0x6a, vector
	.byte 0xe9
	.word low_common16 - (. + 2)
	.set vector, vector + 1
	.endr

	/* Protected mode: vector (its low byte), error code if it has one, EIP, CS, EFLAGS, ESP, SS. */
	.code32
low_common32:
	pushl %eax
	movw $DATA32, %ax
	movw %ax, %ds
	popl low_mode + M_REGS
	save_registers
	popl %eax
	movzbl %al, %eax
	movl %eax, low_mode + M_VECTOR
	movl $0, low_mode + M_CODE
	cmpl $31, %eax
	ja 1f
	movl $0x00227d00, %ecx	/* vectors 8, 10 to 14, 17, 21 */
	btl %eax, %ecx
	jnc 1f
	popl low_mode + M_CODE
1:	popl low_mode + M_EIP
	popl low_mode + M_CS
	popl low_mode + M_EFLAGS
	testl $0x20000, low_mode + M_EFLAGS
	jnz 2f
	testl $3, low_mode + M_CS
	jz 3f
2:	popl low_mode + M_ESP
	popl low_mode + M_SS
	jmp low_back
3:	movl %esp, low_mode + M_ESP
	jmp low_back

	/* Real mode: vector, IP, CS, FLAGS. */
	.code16
low_common16:
	pushl %eax
	pushw %ds
	xorw %ax, %ax
	movw %ax, %ds
	popw low_mode + M_DS
	popl low_mode + M_REGS
	save_registers
	movl $0, low_mode + M_CODE
	popw %ax
	movzbl %al, %eax
	movl %eax, low_mode + M_VECTOR
	xorl %eax, %eax
	popw %ax
	movl %eax, low_mode + M_EIP
	popw %ax
	movl %eax, low_mode + M_CS
	popw %ax
	movl %eax, low_mode + M_EFLAGS
	movl %esp, low_mode + M_ESP
	movw %ss, %ax
	movl %eax, low_mode + M_SS
	lgdtl low_gdt_pointer
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $CODE32, $low_back

	/* From 32-bit code, paged or not, one to one, back to 64-bit mode and mode_switch's caller. */
	.code32
low_back:
	cld
	movl %cr2, %eax
	movl %eax, low_mode + M_CR2
	set_segments $DATA32
	leave_paging
low_back_unpaged:
	movl saved_cr4, %eax
	movl %eax, %cr4
	movl saved_cr3, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	movl saved_efer, %eax
	movl saved_efer + 4, %edx
	wrmsr
	movl saved_cr0, %eax
	movl %eax, %cr0
	lgdt low_gdt_pointer
	ljmpl $LCODE64, $1f
	.code64
1:	movl $saved_rsp, %eax
	movq (%rax), %rsp
	lgdt saved_gdt
	lidt saved_idt
	set_segments $DATA
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popfq
	popq %rax
	pushq $CODE64
	pushq %rax
	lretq

	/* To 32-bit code without paging, with low_gdt, EFER, CR4 and CR3 as before. */
	.macro leave_long_mode
	pushfq
	cli
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, saved_rsp
	sgdt saved_gdt
	sidt saved_idt
	movq %cr0, %rax
	movl %eax, saved_cr0
	movq %cr3, %rax
	movl %eax, saved_cr3
	movq %cr4, %rax
	movl %eax, saved_cr4
	movl $0xc0000080, %ecx
	rdmsr
	andl $~0x400, %eax	/* LMA is not for software to write */
	movl %eax, saved_efer
	movl %edx, saved_efer + 4
	lgdt low_gdt_pointer
	pushq $CODE32
	pushq $1f
	lretq
	.code32
1:	set_segments $DATA32
	leave_paging
	.endm

	/* void mode_switch(void): what low_mode says */
	.code64
	.globl mode_switch
mode_switch:
	leave_long_mode
	movl $0xc0000080, %ecx
	movl low_mode + M_EFER, %eax
	xorl %edx, %edx
	wrmsr
	movl low_mode + M_CR4, %eax
	movl %eax, %cr4
	movl low_mode + M_CR3, %eax
	movl %eax, %cr3
	movl low_mode + M_CR0, %eax
	testl $1, %eax
	jz 4f
	/* Protected mode. */
	movl %eax, %cr0
	lidt low_idt_pointer
	andb $0xfd, low_gdt + 0x3d	/* not busy */
	movw $0x38, %ax
	ltr %ax
	testl $0x20000, low_mode + M_EFLAGS
	jnz 3f
	testl $3, low_mode + M_CS
	jz 2f
	pushl low_mode + M_SS
	pushl low_mode + M_ESP
	jmp 1f
3:	/* Virtual-8086 mode: the data segments come with the frame. */
	pushl low_mode + M_DS
	pushl low_mode + M_DS
	pushl low_mode + M_DS
	pushl low_mode + M_DS
	pushl low_mode + M_SS
	pushl low_mode + M_ESP
	jmp 1f
2:	movw low_mode + M_SS, %ss
	movl low_mode + M_ESP, %esp
1:	pushl low_mode + M_EFLAGS
	pushl low_mode + M_CS
	pushl low_mode + M_EIP
	load_registers
	testl $0x20000, low_mode + M_EFLAGS
	jnz 1f
	movw low_mode + M_DS, %es
	movw low_mode + M_DS, %ds
1:	iretl

4:	/* Real mode, by way of 16-bit protected mode (SDM Vol. 3A 9.9.2). */
	ljmpl $CODE16, $1f
	.code16
1:	movw $0x20, %bx
	movw %bx, %ds
	movw %bx, %es
	movw %bx, %fs
	movw %bx, %gs
	movw %bx, %ss
	movl %eax, %cr0
	ljmpl $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %fs
	movw %ax, %gs
	lidtl low_ivt_pointer
	movw low_mode + M_SS, %ss
	movl low_mode + M_ESP, %esp
	pushw low_mode + M_EFLAGS
	pushw low_mode + M_CS
	pushw low_mode + M_EIP
	load_registers
	movw low_mode + M_DS, %es
	movw low_mode + M_DS, %ds
	iretw

	/* void mode_again(uint32_t cr3, uint32_t cr4): 64-bit mode again, with these */
	.code64
	.globl mode_again
mode_again:
	movl %edi, again_cr3
	movl %esi, again_cr4
	leave_long_mode
	movl again_cr3, %eax
	movl %eax, saved_cr3
	movl again_cr4, %eax
	movl %eax, saved_cr4
	jmp low_back_unpaged
	.balign 4
again_cr3:
	.long 0
again_cr4:
	.long 0

	.balign 4
	.globl low_ivt
low_ivt:
	.fill 256, 4, 0
	.fill 1024, 1, 0
low_stack_top:

	.section .bss
	.balign 16
	.globl low_idt
low_idt:
	.fill 256, 8, 0
