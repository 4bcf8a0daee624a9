/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies and fills of bulk.h: the start to a multiple of 16 of the destination, then 64 bytes at a
 * time by pairs of general registers (vector registers belong to the guest), then the rest.
 */
	.text
	.globl bulk_copy
bulk_copy:			/* x0: to, x1: from, x2: bytes */
	cmp	x2, #96
	b.lo	4f
	neg	x3, x0
	ands	x3, x3, #15
	sub	x2, x2, x3
	b.eq	2f
1:	ldrb	w4, [x1], #1
	strb	w4, [x0], #1
	subs	x3, x3, #1
	b.ne	1b
2:	sub	x2, x2, #64
3:	ldp	x4, x5, [x1]
	ldp	x6, x7, [x1, #16]
	ldp	x8, x9, [x1, #32]
	ldp	x10, x11, [x1, #48]
	stp	x4, x5, [x0]
	stp	x6, x7, [x0, #16]
	stp	x8, x9, [x0, #32]
	stp	x10, x11, [x0, #48]
	add	x1, x1, #64
	add	x0, x0, #64
	subs	x2, x2, #64
	b.hs	3b
	add	x2, x2, #64
4:	subs	x2, x2, #8
	b.lo	6f
5:	ldr	x4, [x1], #8
	str	x4, [x0], #8
	subs	x2, x2, #8
	b.hs	5b
6:	add	x2, x2, #8
	cbz	x2, 8f
7:	ldrb	w4, [x1], #1
	strb	w4, [x0], #1
	subs	x2, x2, #1
	b.ne	7b
8:	ret

	.globl bulk_set
bulk_set:			/* x0: to, w1: value, x2: bytes */
	and	x1, x1, #0xff
	mov	x3, #0x0101010101010101
	mul	x1, x1, x3
	cmp	x2, #96
	b.lo	4f
	neg	x3, x0
	ands	x3, x3, #15
	sub	x2, x2, x3
	b.eq	2f
1:	strb	w1, [x0], #1
	subs	x3, x3, #1
	b.ne	1b
2:	sub	x2, x2, #64
3:	stp	x1, x1, [x0]
	stp	x1, x1, [x0, #16]
	stp	x1, x1, [x0, #32]
	stp	x1, x1, [x0, #48]
	add	x0, x0, #64
	subs	x2, x2, #64
	b.hs	3b
	add	x2, x2, #64
4:	subs	x2, x2, #8
	b.lo	6f
5:	str	x1, [x0], #8
	subs	x2, x2, #8
	b.hs	5b
6:	add	x2, x2, #8
	cbz	x2, 8f
7:	strb	w1, [x0], #1
	subs	x2, x2, #1
	b.ne	7b
8:	ret

	.section .note.GNU-stack, "", @progbits
