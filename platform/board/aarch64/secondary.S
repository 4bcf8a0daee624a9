/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where CPUs come that polled a spin table: EL2, MMU off, nothing in the registers. Several may have
 * polled the same one, so each waits here for its turn, in memory that is read past the caches.
 */
#include "platform/board/aarch64/mpidr.h"

	.section .text.secondary, "ax"
	.globl	secondary_spin
	.balign	64
secondary_spin:
	adrp	x1, secondary_turn
	add	x1, x1, :lo12:secondary_turn
	ldr	x2, =MPIDR_AFFINITY
	mrs	x3, mpidr_el1
	and	x3, x3, x2
1:	ldr	x2, [x1]
	cmp	x2, x3
	b.ne	2f
	ldr	x0, [x1, #8]
	b	start_secondary
2:	wfe
	b	1b
	.ltorg

/* struct secondary_turn of cpus.c; a cache line of its own. */
	.data
	.globl	secondary_turn
	.balign	256
secondary_turn:
	.quad	-1, 0
	.balign	256

	.section .note.GNU-stack, "", %progbits
