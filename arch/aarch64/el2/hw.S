/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The world switch, and what else is easier said in assembly language. See hw.h.
 *
 * The stack while the guest runs, SP_EL2:
 *
 *    +0    st
 *    +16   X19 .. X30 of the caller
 *
 * struct a64_state begins with x[31], pc, pstate.
 */
#define FRAME  112
#define X30_PC 240
#define PSTATE 256

	.section .text.el2_hw_enter, "ax", %progbits
	.globl	el2_hw_enter
	.type	el2_hw_enter, %function
	.balign	64
el2_hw_enter:			/* x0: st */
	sub	sp, sp, #FRAME
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	stp	x29, x30, [sp, #96]
	str	x0, [sp]
	ldp	x30, x1, [x0, #X30_PC]
	ldr	x2, [x0, #PSTATE]
	msr	elr_el2, x1
	msr	spsr_el2, x2
	ldp	x2, x3, [x0, #16]
	ldp	x4, x5, [x0, #32]
	ldp	x6, x7, [x0, #48]
	ldp	x8, x9, [x0, #64]
	ldp	x10, x11, [x0, #80]
	ldp	x12, x13, [x0, #96]
	ldp	x14, x15, [x0, #112]
	ldp	x16, x17, [x0, #128]
	ldp	x18, x19, [x0, #144]
	ldp	x20, x21, [x0, #160]
	ldp	x22, x23, [x0, #176]
	ldp	x24, x25, [x0, #192]
	ldp	x26, x27, [x0, #208]
	ldp	x28, x29, [x0, #224]
	ldp	x0, x1, [x0]
	eret
	dsb	nsh		/* nothing is speculated past ERET */
	isb

/* The way back: x0 and x1 of the guest are on the stack, x0 is the vector. */
	.balign	64
leave:
	ldr	x1, [sp, #16]
	stp	x2, x3, [x1, #16]
	stp	x4, x5, [x1, #32]
	stp	x6, x7, [x1, #48]
	stp	x8, x9, [x1, #64]
	stp	x10, x11, [x1, #80]
	stp	x12, x13, [x1, #96]
	stp	x14, x15, [x1, #112]
	stp	x16, x17, [x1, #128]
	stp	x18, x19, [x1, #144]
	stp	x20, x21, [x1, #160]
	stp	x22, x23, [x1, #176]
	stp	x24, x25, [x1, #192]
	stp	x26, x27, [x1, #208]
	stp	x28, x29, [x1, #224]
	ldp	x2, x3, [sp], #16
	mrs	x4, elr_el2
	mrs	x5, spsr_el2
	stp	x2, x3, [x1]
	stp	x30, x4, [x1, #X30_PC]
	str	x5, [x1, #PSTATE]
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp, #96]
	add	sp, sp, #FRAME
	ret
	.size	el2_hw_enter, . - el2_hw_enter

/* ESR_EL2 means something for synchronous exceptions and SErrors. */
	.globl	el2_vector_sync
	.type	el2_vector_sync, %function
el2_vector_sync:
	stp	x0, x1, [sp, #-16]!
	mrs	x0, esr_el2
	b	leave
	.size	el2_vector_sync, . - el2_vector_sync

	.globl	el2_vector_irq
	.type	el2_vector_irq, %function
el2_vector_irq:
	stp	x0, x1, [sp, #-16]!
	mov	x0, #1 << 56
	b	leave
	.size	el2_vector_irq, . - el2_vector_irq

	.globl	el2_vector_fiq
	.type	el2_vector_fiq, %function
el2_vector_fiq:
	stp	x0, x1, [sp, #-16]!
	mov	x0, #2 << 56
	b	leave
	.size	el2_vector_fiq, . - el2_vector_fiq

	.globl	el2_vector_serror
	.type	el2_vector_serror, %function
el2_vector_serror:
	stp	x0, x1, [sp, #-16]!
	mrs	x0, esr_el2
	orr	x0, x0, #3 << 56
	b	leave
	.size	el2_vector_serror, . - el2_vector_serror

/* --- Vectors of numbers: x0: V0 .. V31, x1, x2: FPSR, FPCR, or where to --- */

	.arch_extension fp
	.macro	all_pairs op
	\op	q0, q1, [x0]
	\op	q2, q3, [x0, #32]
	\op	q4, q5, [x0, #64]
	\op	q6, q7, [x0, #96]
	\op	q8, q9, [x0, #128]
	\op	q10, q11, [x0, #160]
	\op	q12, q13, [x0, #192]
	\op	q14, q15, [x0, #224]
	\op	q16, q17, [x0, #256]
	\op	q18, q19, [x0, #288]
	\op	q20, q21, [x0, #320]
	\op	q22, q23, [x0, #352]
	\op	q24, q25, [x0, #384]
	\op	q26, q27, [x0, #416]
	\op	q28, q29, [x0, #448]
	\op	q30, q31, [x0, #480]
	.endm

	.section .text.el2_hw_fp, "ax", %progbits
	.globl	el2_hw_save_fp
	.type	el2_hw_save_fp, %function
el2_hw_save_fp:
	all_pairs stp
	mrs	x3, fpsr
	mrs	x4, fpcr
	str	w3, [x1]
	str	w4, [x2]
	ret
	.size	el2_hw_save_fp, . - el2_hw_save_fp

	.globl	el2_hw_load_fp
	.type	el2_hw_load_fp, %function
el2_hw_load_fp:
	all_pairs ldp
	msr	fpsr, x1
	msr	fpcr, x2
	ret
	.size	el2_hw_load_fp, . - el2_hw_load_fp

	.section .note.GNU-stack, "", %progbits
