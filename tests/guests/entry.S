/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry points of the test kernel, and what its other CPUs do. */
#ifndef MULTIBOOT
#define MULTIBOOT 0
#endif
#ifndef ADDRESSES
#define ADDRESSES 0
#endif
#ifndef PVH
#define PVH 0
#endif

#if MULTIBOOT
#define MAGIC 0x1badb002
#define FLAGS (3 | ADDRESSES << 16)
	.section .header, "a"
	.balign 4
header:
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)
#if ADDRESSES
	.long header, image_start, image_end, bss_end, start
#endif
#endif

#if PVH
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start_pvh
#endif

	.text
	.code32
	.globl start
start:
	mov $stack, %esp
	push %ebx
	push %eax
	call kernel_main
stop:
	cli
	hlt
	jmp stop

#if PVH
start_pvh:
	mov $stack, %esp
	push %ebx
	push $0 /* instead of a magic number */
	call kernel_main
	jmp stop
#endif

/* Copied to 8000h: counts itself. */
	.globl ap_start, ap_end
	.code16
ap_start:
	xor %ax, %ax
	mov %ax, %ds
	lock incw 0x7000
0:	cli
	hlt
	jmp 0b
ap_end:

	.bss
	.balign 16
	.skip 16384
stack:

	.section .note.GNU-stack, "", @progbits
