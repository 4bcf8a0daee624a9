/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The measuring guest of an arm64 CPU. Entered at EL1 with all that it touches mapped, and:
 *   x0  counts the rounds (uint64_t in memory)
 *   x1  4 KiB of memory to work on
 *   VBAR_EL1: the table below
 */
	.section .rodata
	.globl linux_measure_guest, linux_measure_fault, linux_measure_end
	.balign 2048
linux_measure_guest:
	/* 250 times five instructions, one load and one store among them */
	mov w3, #250
1:	add x4, x4, x3
	ldr x5, [x1, w3, uxtw #3]
	str x4, [x1, w3, uxtw #3]
	subs w3, w3, #1
	b.ne 1b

	/* An exception and its return; translations are dropped. */
	svc #0
	tlbi vmalle1
	dsb nsh
	isb
	ldr x6, [x0]
	add x6, x6, #1
	str x6, [x0]
	b linux_measure_guest

	/* Current EL with SP_ELx, synchronous: offset 200h of the table that begins here. */
	.balign 2048
linux_measure_fault:
	.skip 0x200
	eret
linux_measure_end:

	.section .note.GNU-stack, "", @progbits
