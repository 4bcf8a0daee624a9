/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a boot loader to C, and from firmware to C on the other CPUs.
 *
 * The image begins with the header of the arm64 boot protocol (Linux's booting.rst): it is entered
 * at its first byte, wherever it is loaded (a multiple of 4 KiB), with the MMU off and X0 = the
 * device tree, or a struct board_boot_info (physical addresses).
 *
 * Code in .boot runs at its physical address; the rest, and all of C, at IMAGE_VIRT. The page
 * tables made here are the board's own, with each part of the image protected as it stays; C adds
 * the rest of memory to them. The format of their entries is that of a regime with two ranges of
 * addresses (EL1, EL2 with VHE) or of EL2 without VHE (Arm ARM D8.3, D8.4).
 */
#include "platform/board/aarch64/layout.h"

#define TABLE   0x003
#define PAGE    0x703 /* page, AttrIndx 0, inner shareable, AF */
#define RO      (1 << 7)
#define UXN_BIT 54 /* XN in the regime with one range */
#define PXN_BIT 53
#define AP1_BIT 6 /* RES1 in the regime with one range; else: EL0 too */

/* HCR_EL2: RW, AMO, IMO, FMO; interrupts come to EL2, also when no guest is there. E2H: bit 34. */
#define HCR 0x80000038
#define HCR_E2H_BIT 34

/* MAIR: 0 normal write-back, 1 device nGnRE, 2 normal non-cacheable. */
#define MAIR 0x4404ff

/* T0SZ 16, walks write-back and inner shareable, 4 KiB granule. */
#define TCR 0x3510
#define TCR_ONE (1 << 31 | 1 << 23)                     /* RES1 */
#define TCR_TWO (1 << 23 | 16 << 16 | 2 << 30)          /* EPD1, T1SZ 16, TG1 4 KiB */

/* M, C, SA, I, WXN and what is RES1 (Arm ARM D17.2.118, D17.2.119). */
#define SCTLR_ON  0x8100d
#define SCTLR_ONE (SCTLR_ON | 0x30c50830)
#define SCTLR_TWO (SCTLR_ON | 0x30d00980)

/* Bits that SCTLR_EL1, or SCTLR_EL2 with E2H, has to have while the MMU is off. */
#define SCTLR_TWO_OFF (SCTLR_TWO & ~SCTLR_ON)

	.section .boot, "ax"
	.globl start_image
start_image:
	ccmp	x18, #0, #13, pl	/* its bytes begin with "MZ", which UEFI looks for; no effect */
	b	start_boot
	.quad	0			/* offset from a multiple of 2 MiB */
	.quad	image_size
	.quad	0xa			/* little-endian, 4 KiB pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

.macro CONST reg, value
	movz	\reg, #((\value) & 0xffff)
	movk	\reg, #((\value) >> 16 & 0xffff), lsl #16
	movk	\reg, #((\value) >> 32 & 0xffff), lsl #32
	movk	\reg, #((\value) >> 48 & 0xffff), lsl #48
.endm

/* Registers throughout: X19 exception level at entry, X20 X0 at entry, X21 the image's physical
 * address, X22 1 for entries of two ranges. */
start_boot:
	mov	x20, x0
	bl	set_up_el
	adrp	x21, image_start
	bl	make_tables
	bl	mmu_on
	ldr	x9, =start_high
	br	x9

	.globl start_secondary
start_secondary:
	mov	x20, x0
	bl	set_up_el
	bl	mmu_on
	ldr	x9, =secondary_high
	br	x9

/* Leaves EL3 for EL2; VHE where the CPU has it; X19, X22. Uses X9 to X12. */
set_up_el:
	msr	daifset, #15
	mov	x12, x30
	mrs	x19, CurrentEL
	lsr	x19, x19, #2
	mov	x22, #1
	cmp	x19, #2
	b.lo	2f
	b.eq	1f

	/* EL3: AArch64 and HVC below, non-secure, RES1 bits 4 and 5. */
	mov	x9, #0x531
	msr	scr_el3, x9
	mov	x9, #0x3c9		/* EL2h, masked */
	msr	spsr_el3, x9
	adr	x9, 1f
	msr	elr_el3, x9
	eret

1:	CONST	x9, HCR
	mrs	x10, id_aa64mmfr1_el1
	ubfx	x22, x10, #8, #4	/* VH */
	cmp	x22, #1
	cset	x22, hs
	bfi	x9, x22, #HCR_E2H_BIT, #1
	msr	hcr_el2, x9
	isb
	/* No traps of FP by EL2 itself; SVE and SME stay trapped. */
	CONST	x9, 0x33ff
	mov	x10, #3 << 20
	cmp	x22, #1
	csel	x9, x10, x9, eq
	msr	cptr_el2, x9
	msr	hstr_el2, xzr
	msr	vttbr_el2, xzr
	cbnz	x22, 2f
	CONST	x9, SCTLR_ONE - SCTLR_ON
	msr	sctlr_el2, x9
	isb
	ret	x12

2:	/* Names of EL1, which with E2H are EL2's. */
	CONST	x9, SCTLR_TWO_OFF
	msr	sctlr_el1, x9
	isb
	ret	x12

/* Fills pages from the symbol \from to \to, which are in the image, with \attributes. */
.macro FILL from, to, two, one
	adrp	x9, \from
	adrp	x10, \to
	CONST	x11, \two
	CONST	x12, \one
	bl	fill
.endm

/* X9 .. X10: physical; X11: attributes, two ranges, X12: one range. */
fill:
	cmp	x22, #1
	csel	x11, x11, x12, eq
	adrp	x12, image_l3
	sub	x13, x9, x21
	add	x12, x12, x13, lsr #9
	b	4f
3:	orr	x13, x9, x11
	str	x13, [x12], #8
	add	x9, x9, #0x1000
4:	cmp	x9, x10
	b.lo	3b
	ret

/* *(\table + \index of \va) = \to | TABLE; \index: the level's lowest bit. */
.macro LINK table, address, bit, to
	adrp	x9, \table
	ubfx	x10, \address, #\bit, #9
	adrp	x11, \to
	orr	x11, x11, #TABLE
	str	x11, [x9, x10, lsl #3]
.endm

make_tables:
	mov	x14, x30
	adrp	x9, tables_start
	adrp	x10, tables_end
5:	stp	xzr, xzr, [x9], #16
	cmp	x9, x10
	b.lo	5b

	FILL	image_start, image_rodata, PAGE | RO | 1 << UXN_BIT, PAGE | RO | 1 << AP1_BIT
	FILL	image_rodata, image_data, PAGE | RO | 1 << UXN_BIT | 1 << PXN_BIT, PAGE | RO | 1 << UXN_BIT | 1 << AP1_BIT
	FILL	image_data, image_end, PAGE | 1 << UXN_BIT | 1 << PXN_BIT, PAGE | 1 << UXN_BIT | 1 << AP1_BIT

	CONST	x15, IMAGE_VIRT
	LINK	paging_root, x15, 39, image_l1
	LINK	image_l1, x15, 30, image_l2
	adrp	x9, image_l2
	adrp	x10, image_l3
	orr	x10, x10, #TABLE
	mov	x11, #(IMAGE_MAX >> 21)
6:	str	x10, [x9], #8
	add	x10, x10, #0x1000
	subs	x11, x11, #1
	b.ne	6b

	/* This page, one to one. */
	LINK	paging_root, x21, 39, boot_l1
	LINK	boot_l1, x21, 30, boot_l2
	LINK	boot_l2, x21, 21, boot_l3
	adrp	x9, boot_l3
	ubfx	x10, x21, #12, #9
	adrp	x11, image_l3
	ldr	x11, [x11]		/* of the image's first page */
	str	x11, [x9, x10, lsl #3]

	/* The tables were written past the caches: lines that these may have of them are old. */
	dsb	sy
	mrs	x9, ctr_el0
	ubfx	x9, x9, #16, #4		/* DminLine, log2 of words */
	mov	x10, #4
	lsl	x10, x10, x9
	adrp	x11, tables_start
	adrp	x12, tables_end
7:	dc	ivac, x11
	add	x11, x11, x10
	cmp	x11, x12
	b.lo	7b
	dsb	sy
	ret	x14

mmu_on:
	adrp	x9, paging_root
	CONST	x10, MAIR
	CONST	x11, TCR
	mrs	x12, id_aa64mmfr0_el1
	and	x12, x12, #15		/* PARange; 52 bits take another granule */
	cmp	x12, #5
	mov	x13, #5
	csel	x12, x12, x13, lo
	ic	iallu
	cbnz	x22, 8f

	orr	x11, x11, x12, lsl #16
	CONST	x12, TCR_ONE
	orr	x11, x11, x12
	msr	mair_el2, x10
	msr	tcr_el2, x11
	msr	ttbr0_el2, x9
	tlbi	alle2
	dsb	sy
	isb
	CONST	x12, SCTLR_ONE
	msr	sctlr_el2, x12
	isb
	ret

8:	bfi	x11, x12, #32, #3
	CONST	x12, TCR_TWO
	orr	x11, x11, x12
	msr	mair_el1, x10
	msr	tcr_el1, x11
	msr	ttbr0_el1, x9
	mrs	x12, CurrentEL
	cmp	x12, #2 << 2
	b.ne	9f
	tlbi	alle2
9:	tlbi	vmalle1
	dsb	sy
	isb
	CONST	x12, SCTLR_TWO
	msr	sctlr_el1, x12
	isb
	ret

	.ltorg

	.text
start_high:
	adrp	x9, bss_start
	adrp	x10, bss_end
	b	11f
10:	stp	xzr, xzr, [x9], #16
11:	cmp	x9, x10
	b.lo	10b
	adrp	x9, early_stack_top
	mov	sp, x9
	adrp	x9, board_cpus
	add	x9, x9, :lo12:board_cpus
	bl	set_vectors
	mov	x0, x20
	mov	x1, x21
	mov	x2, x19
	mov	x29, xzr
	mov	x30, xzr
	bl	board_early
	brk	#0

secondary_high:
	ldr	x9, [x20, #BOARD_CPU_STACK_TOP]
	mov	sp, x9
	mov	x9, x20
	bl	set_vectors
	mov	x0, x20
	mov	x29, xzr
	mov	x30, xzr
	bl	cpu_secondary_main
	brk	#0

/* X9: the CPU's struct board_cpu. Uses X10, X11. */
set_vectors:
	adrp	x10, trap_vectors
	mrs	x11, CurrentEL
	cmp	x11, #2 << 2
	b.ne	12f
	msr	vbar_el2, x10
	msr	tpidr_el2, x9
	isb
	ret
12:	msr	vbar_el1, x10
	msr	tpidr_el1, x9
	isb
	ret

/* void board_switch_stack(uint64_t top, void (*fn)(void *), void *arg): continues in fn, for good. */
	.globl board_switch_stack
board_switch_stack:
	mov	sp, x0
	mov	x0, x2
	mov	x29, xzr
	mov	x30, xzr
	blr	x1
	brk	#0

	.section .tables, "aw", @nobits
	.balign 4096
	.globl paging_root
paging_root:	.skip 4096
image_l1:	.skip 4096
image_l2:	.skip 4096
image_l3:	.skip 4096 * (IMAGE_MAX >> 21)
boot_l1:	.skip 4096
boot_l2:	.skip 4096
boot_l3:	.skip 4096

	.bss
	.balign 4096
	.skip	EARLY_STACK_SIZE
early_stack_top:
	.skip	4096

	.section .note.GNU-stack, "", @progbits
