/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A benchmark guest as an arm64 Image (Linux's Documentation/arm64/booting.rst): it runs where it was
 * loaded, with the MMU off.
 */
	.section .entry, "ax"
	.globl image_start
image_start:
	b	start
	.long	0
	.quad	0			/* text_offset */
	.quad	image_memory
	.quad	0xa			/* flags: little-endian, 4 KiB pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

start:
	msr	daifset, #0xf
	adrp	x0, __bss_start
	add	x0, x0, :lo12:__bss_start
	adrp	x1, __bss_end
	add	x1, x1, :lo12:__bss_end
1:	cmp	x0, x1
	b.hs	2f
	str	xzr, [x0], #8
	b	1b
2:	adrp	x0, stack_top
	add	x0, x0, :lo12:stack_top
	mov	sp, x0
	bl	set_vectors
	adr	x0, image_start
	bl	guest_main

	.globl	secondary
secondary:
	msr	daifset, #0xf
	adrp	x0, second_stack_top
	add	x0, x0, :lo12:second_stack_top
	mov	sp, x0
	bl	set_vectors
	bl	second_main

set_vectors:
	adr	x0, vectors
	msr	vbar_el1, x0
	isb
	ret

	.macro	entry to
	.balign	128
	b	\to
	.endm

	.balign	2048
vectors:
	.rept	4
	entry	unexpected
	.endr
	entry	unexpected
	entry	interrupt
	entry	unexpected
	entry	unexpected
	.rept	8
	entry	unexpected
	.endr

	/* Acknowledges, notes what it was and when, ends it. */
interrupt:
	stp	x0, x1, [sp, #-32]!
	stp	x2, x3, [sp, #16]
	mrs	x2, cntvct_el0
	mrs	x0, s3_0_c12_c12_0	/* ICC_IAR1_EL1 */
	cmp	w0, #27
	b.ne	1f
	mov	x1, #2			/* CNTV_CTL_EL0: IMASK */
	msr	cntv_ctl_el0, x1
	isb
1:	msr	s3_0_c12_c12_1, x0	/* ICC_EOIR1_EL1 */
	isb
	mrs	x3, mpidr_el1
	and	x3, x3, #0xff
	adrp	x1, interrupts
	add	x1, x1, :lo12:interrupts
	add	x1, x1, x3, lsl #4
	str	x2, [x1, #8]
	ldr	x0, [x1]
	add	x0, x0, #1
	str	x0, [x1]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp], #32
	eret

	/* interrupts[n]: how many CPU n took, and the counter at the last one. */
	.bss
	.balign	16
	.globl	interrupts
interrupts:
	.skip	32
	.skip	16384
stack_top:
	.skip	4096
second_stack_top:
	.section .note.GNU-stack, "", @progbits
