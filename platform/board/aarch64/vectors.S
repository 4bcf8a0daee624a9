/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VBAR_EL2's table (Arm ARM D1.3.1.1). Guests are left through el2_vector_* of
 * arch/aarch64/el2/hw.S; interrupts of EL2 run on the interrupted stack; whatever else EL2 takes
 * from itself is the end, and is dumped on the CPU's emergency stack, since SP may be the reason.
 */
#include "platform/board/aarch64/layout.h"

.macro VECTOR target
	.balign 128
	b	\target
.endm

.macro FATAL number
	.balign 128
	/* The guest's registers make room: it will not run again. */
	msr	tpidr_el1, x0
	mov	x0, #\number
	b	fatal
.endm

	.section .vectors, "ax"
	.balign 4096
	.globl trap_vectors
trap_vectors:
	FATAL	0	/* current EL, SP_EL0 */
	FATAL	1
	FATAL	2
	FATAL	3
	FATAL	4	/* current EL */
	VECTOR	irq
	FATAL	6
	FATAL	7
	VECTOR	el2_vector_sync /* lower EL, AArch64 */
	VECTOR	el2_vector_irq
	VECTOR	el2_vector_fiq
	VECTOR	el2_vector_serror
	VECTOR	el2_vector_sync /* lower EL, AArch32 */
	VECTOR	el2_vector_irq
	VECTOR	el2_vector_fiq
	VECTOR	el2_vector_serror
	.balign 128

/* At their places in struct trap_frame. */
.macro X2_TO_X17 operation
	\operation	x2, x3, [sp, #16]
	\operation	x4, x5, [sp, #32]
	\operation	x6, x7, [sp, #48]
	\operation	x8, x9, [sp, #64]
	\operation	x10, x11, [sp, #80]
	\operation	x12, x13, [sp, #96]
	\operation	x14, x15, [sp, #112]
	\operation	x16, x17, [sp, #128]
.endm

/* What a function call does not keep. The handler takes no exceptions, so that ELR
 * and SPSR stay. */
irq:
	sub	sp, sp, #192
	stp	x0, x1, [sp, #0]
	X2_TO_X17 stp
	stp	x18, x30, [sp, #144]
	stp	x29, xzr, [sp, #160]
	bl	gic_handle_irq
	ldp	x0, x1, [sp, #0]
	X2_TO_X17 ldp
	ldp	x18, x30, [sp, #144]
	ldr	x29, [sp, #160]
	add	sp, sp, #192
	eret

/* X0: the vector's number; the interrupted X0 is in TPIDR_EL1. */
fatal:
	msr	tpidr_el0, x1
	mrs	x1, CurrentEL
	cmp	x1, #2 << 2
	b.ne	1f
	mov	x1, sp
	msr	tpidrro_el0, x1
	mrs	x1, tpidr_el2
	ldr	x1, [x1, #BOARD_CPU_EMERGENCY_TOP]
	mov	sp, x1
	sub	sp, sp, #288
	X2_TO_X17 stp
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	mrs	x1, tpidrro_el0
	stp	x30, x1, [sp, #240]
	mrs	x2, tpidr_el1
	mrs	x3, tpidr_el0
	stp	x2, x3, [sp]
	mrs	x1, elr_el2
	mrs	x2, spsr_el2
	stp	x1, x2, [sp, #256]
	stp	x0, xzr, [sp, #272]
	mov	x0, sp
	mov	x29, xzr
	mov	x30, xzr
	bl	trap_fatal
	brk	#0

	/* Not at EL2: there is nothing that could be done. */
1:	wfi
	b	1b

	.section .note.GNU-stack, "", @progbits
