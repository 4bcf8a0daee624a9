/* SPDX-License-Identifier: BSD-2-Clause */
/* Code under another SCTLR_EL1, with the MMU or the caches off. */

	.text
	/*
	 * void execute_under_at(const void *code, uint64_t x[8], uint64_t sctlr, uint64_t trap[5]): X0 to
	 * X7 from x, and to it again. Under sctlr no memory is used but the code's own doings: what the
	 * caches hold is then not seen, and what is stored not by them. An exception ends the code:
	 * trap[0] has bit 0 and the vector's offset, the others ESR_EL1, FAR_EL1, ELR_EL1 and SPSR_EL1.
	 * X8 to X15 are free for the code.
	 */
	.globl	execute_under_at
execute_under_at:
	stp	x29, x30, [sp, #-96]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	str	x27, [sp, #80]
	mov	x29, sp
	mov	x19, x1
	mov	x20, x3
	mrs	x21, vbar_el1
	mrs	x22, sctlr_el1
	mov	x23, #0
	mov	x16, x0
	mov	x17, x2
	adrp	x24, under_vectors
	add	x24, x24, :lo12:under_vectors
	msr	vbar_el1, x24
	ldp	x0, x1, [x19]
	ldp	x2, x3, [x19, #16]
	ldp	x4, x5, [x19, #32]
	ldp	x6, x7, [x19, #48]
	dsb	sy
	msr	sctlr_el1, x17
	isb
	blr	x16
under_end:
	msr	daifset, #15
	msr	spsel, #0
	dsb	sy
	msr	sctlr_el1, x22
	isb
	msr	vbar_el1, x21
	isb
	stp	x0, x1, [x19]
	stp	x2, x3, [x19, #16]
	stp	x4, x5, [x19, #32]
	stp	x6, x7, [x19, #48]
	str	x23, [x20]
	stp	x24, x25, [x20, #8]
	stp	x26, x27, [x20, #24]
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldr	x27, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret

	.balign	2048
under_vectors:
	.irp	kind, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.balign	128
	mov	x23, #\kind * 128 + 1
	mrs	x24, esr_el1
	mrs	x25, far_el1
	mrs	x26, elr_el1
	mrs	x27, spsr_el1
	b	under_end
	.endr
