/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions to EL1, and the ways into and out of other contexts. */
#include "guest/aarch64/layout.h"

	/* STP or LDP of X2 to X17, and of X18 to X29, where an array of registers has them. */
	.macro	low_pairs operation, base
	\operation	x2, x3, [\base, #16]
	\operation	x4, x5, [\base, #32]
	\operation	x6, x7, [\base, #48]
	\operation	x8, x9, [\base, #64]
	\operation	x10, x11, [\base, #80]
	\operation	x12, x13, [\base, #96]
	\operation	x14, x15, [\base, #112]
	\operation	x16, x17, [\base, #128]
	.endm
	.macro	high_pairs operation, base
	\operation	x18, x19, [\base, #144]
	\operation	x20, x21, [\base, #160]
	\operation	x22, x23, [\base, #176]
	\operation	x24, x25, [\base, #192]
	\operation	x26, x27, [\base, #208]
	\operation	x28, x29, [\base, #224]
	.endm

	.macro	vector kind
	.balign	128
	sub	sp, sp, #FRAME_BYTES
	stp	x0, x1, [sp]
	mov	x0, #\kind
	b	take
	.endm

	.text
	.balign	2048
	.globl	vectors
vectors:
	.irp	kind, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vector	\kind
	.endr

take:
	low_pairs	stp, sp
	high_pairs	stp, sp
	mrs	x1, sp_el0
	sub	x2, x0, #4		/* 4 to 7: from EL1 on SP_EL1 */
	add	x3, sp, #FRAME_BYTES
	cmp	x2, #4
	csel	x1, x3, x1, lo
	stp	x30, x1, [sp, #240]
	mrs	x1, elr_el1
	mrs	x2, spsr_el1
	stp	x1, x2, [sp, #FRAME_ELR]
	mrs	x1, esr_el1
	mrs	x2, far_el1
	stp	x1, x2, [sp, #FRAME_ESR]
	str	x0, [sp, #FRAME_KIND]
	mov	x0, sp
	mov	x29, #0
	bl	exception
	ldr	x0, [sp, #FRAME_KIND]
	sub	x0, x0, #4
	ldr	x1, [sp, #FRAME_SP]
	cmp	x0, #4
	b.lo	1f
	msr	sp_el0, x1
1:	mov	x0, sp
	add	sp, sp, #FRAME_BYTES
	b	load_frame

	/* void enter_frame(struct frame *): leaves by it. On SP_EL0; SP_EL1 stays. */
	.globl	enter_frame
enter_frame:
	ldr	x1, [x0, #FRAME_SP]
	msr	spsel, #1
	ldr	x2, [x0, #FRAME_SPSR]
	and	x2, x2, #0xf
	cmp	x2, #5			/* EL1h runs below what the traps use */
	b.eq	load_frame
	msr	sp_el0, x1
load_frame:
	ldp	x1, x2, [x0, #FRAME_ELR]
	msr	elr_el1, x1
	msr	spsr_el1, x2
	low_pairs	ldp, x0
	high_pairs	ldp, x0
	ldr	x30, [x0, #240]
	ldp	x0, x1, [x0]
	eret

	/* bool arch_protect(struct arch_unwind *slot, void (*function)(void *), void *argument) */
	.globl	arch_protect
arch_protect:
	stp	x19, x20, [x0]
	stp	x21, x22, [x0, #16]
	stp	x23, x24, [x0, #32]
	stp	x25, x26, [x0, #48]
	stp	x27, x28, [x0, #64]
	mov	x3, sp
	stp	x29, x30, [x0, #80]
	mrs	x5, spsel
	msr	spsel, #1
	mov	x4, sp
	msr	spsel, x5
	stp	x3, x4, [x0, #96]
	str	x5, [x0, #112]
	mov	x3, x1
	mov	x0, x2
	stp	x29, x30, [sp, #-16]!
	mov	x29, sp
	blr	x3
	ldp	x29, x30, [sp], #16
	mov	w0, #0
	ret

	/* void arch_unwind(struct arch_unwind *slot) */
	.globl	arch_unwind
arch_unwind:
	msr	daifset, #15
	ldp	x19, x20, [x0]
	ldp	x21, x22, [x0, #16]
	ldp	x23, x24, [x0, #32]
	ldp	x25, x26, [x0, #48]
	ldp	x27, x28, [x0, #64]
	ldp	x29, x30, [x0, #80]
	ldp	x3, x4, [x0, #96]
	ldr	x5, [x0, #112]
	msr	spsel, #1
	mov	sp, x4
	msr	spsel, x5
	mov	sp, x3
	mov	w0, #1
	ret

	/* void execute_at(const void *code, uint64_t x[8]): X0 to X7 from x, and to it again. Returns at
	 * the RET behind the instruction. X8 to X15 and X18 are free for the code. */
	.globl	execute_at
execute_at:
	stp	x29, x30, [sp, #-32]!
	stp	x19, x20, [sp, #16]
	mov	x29, sp
	mov	x19, x1
	mov	x16, x0
	ldp	x0, x1, [x19]
	ldp	x2, x3, [x19, #16]
	ldp	x4, x5, [x19, #32]
	ldp	x6, x7, [x19, #48]
	blr	x16
	stp	x0, x1, [x19]
	stp	x2, x3, [x19, #16]
	stp	x4, x5, [x19, #32]
	stp	x6, x7, [x19, #48]
	ldp	x19, x20, [sp, #16]
	ldp	x29, x30, [sp], #32
	ret

	/* void on_sp_el1(void (*function)(void *), void *argument): as an exception handler does. */
	.globl	on_sp_el1
on_sp_el1:
	stp	x29, x30, [sp, #-16]!
	mov	x2, x0
	mov	x0, x1
	msr	spsel, #1
	blr	x2
	msr	spsel, #0
	ldp	x29, x30, [sp], #16
	ret

	/* void psci-like call(uint64_t x[18]) by either conduit: X0 to X17 in and out. */
	.macro	conduit name, instruction
	.globl	\name
\name:
	stp	x29, x30, [sp, #-32]!
	stp	x19, x20, [sp, #16]
	mov	x29, sp
	mov	x19, x0
	low_pairs	ldp, x19
	ldp	x0, x1, [x19]
	\instruction	#0
	stp	x0, x1, [x19]
	low_pairs	stp, x19
	ldp	x19, x20, [sp, #16]
	ldp	x29, x30, [sp], #32
	ret
	.endm
	conduit	call_hvc, hvc
	conduit	call_smc, smc
