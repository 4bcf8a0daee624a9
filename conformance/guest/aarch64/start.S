/* SPDX-License-Identifier: BSD-2-Clause */
/* From a loader to C, at EL1 on SP_EL0, on the first CPU and on others. */
#include "guest/aarch64/layout.h"

/* What SCTLR_EL1 has to be without MMU and caches: RES1 bits of Armv8.0 (Arm ARM D17.2.118). */
#define SCTLR_OFF 0x30d00980

	.section .text.efi, "ax"
	/* X0: image handle, X1: system table. Firmware has its MMU on. */
	.globl	efi_start
efi_start:
	stp	x29, x30, [sp, #-32]!
	stp	x0, x1, [sp, #16]
	bl	relocate
	ldp	x0, x1, [sp, #16]
	bl	efi_main		/* 0: it stays the firmware's */
	ldp	x29, x30, [sp], #32
	cbnz	x0, 1f
	mov	x0, #3			/* EFI_UNSUPPORTED, but for its top bit */
	orr	x0, x0, #1 << 63
	ret
1:	msr	daifset, #15
	mov	x19, x0
	mov	x0, #1
	bl	clean_image
	mov	x0, x19
	mrs	x1, CurrentEL
	cmp	x1, #8
	b.eq	2f
	mrs	x1, sctlr_el1
	bic	x1, x1, #1
	bic	x1, x1, #4
	msr	sctlr_el1, x1
	b	3f
2:	mrs	x1, sctlr_el2
	bic	x1, x1, #1
	bic	x1, x1, #4
	msr	sctlr_el2, x1
3:	isb
	ic	iallu
	dsb	nsh
	isb
	b	start

	.text
	/* X0: device tree; MMU off. */
	.globl	start
start:
	msr	daifset, #15
	mov	x19, x0
	bl	relocate
	mov	x0, #0
	bl	clean_image
	mov	x20, #0
	bl	leave_el2
	bl	set_stacks
	mov	x0, x19
	mov	x29, #0
	bl	a64_start
0:	wfi
	b	0b

	/* X0: the CPU's number, from PSCI's CPU_ON. Nothing is read from memory before the MMU is on. */
	.globl	secondary_start
secondary_start:
	msr	daifset, #15
	mov	x20, x0
	bl	leave_el2
	bl	set_stacks
	ldr	x0, =TCR_BASE
	mrs	x1, id_aa64mmfr0_el1
	bl	tcr_complete
	bl	mmu_enable
	mov	x0, x20
	mov	x29, #0
	bl	secondary_main
1:	wfi
	b	1b

/* R_AARCH64_RELATIVE entries: *(base + offset) = base + addend. */
relocate:
	adrp	x0, image_start
	adrp	x1, rela_start
	add	x1, x1, :lo12:rela_start
	adrp	x2, rela_end
	add	x2, x2, :lo12:rela_end
0:	cmp	x1, x2
	b.hs	2f
	ldp	x3, x4, [x1]
	ldr	x5, [x1, #16]
	add	x1, x1, #24
	cmp	w4, #1027
	b.ne	0b
	add	x5, x5, x0
	str	x5, [x0, x3]
	b	0b
2:	ret

/* X0 = 0: what the caches hold of the image is older than memory, and of no worth (the boot protocol
 * has it clean). Else it is newer. */
clean_image:
	adrp	x1, image_start
	adrp	x2, image_end
	mrs	x3, ctr_el0
	ubfx	x3, x3, #16, #4
	mov	x4, #4
	lsl	x3, x4, x3
	dsb	sy
0:	cbz	x0, 1f
	dc	cvac, x1
	b	2f
1:	dc	ivac, x1
2:	add	x1, x1, x3
	cmp	x1, x2
	b.lo	0b
	dsb	sy
	ic	iallu
	dsb	nsh
	isb
	ret

set_stacks:
	msr	spsel, #1
	adrp	x0, trap_stacks
	add	x0, x0, :lo12:trap_stacks
	add	x1, x20, #1
	mov	x2, #STACK_BYTES
	madd	x0, x1, x2, x0
	mov	sp, x0
	msr	spsel, #0
	adrp	x0, stacks
	add	x0, x0, :lo12:stacks
	madd	x0, x1, x2, x0
	mov	sp, x0
	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el1, x0
	isb
	ret

/* At EL2: gives EL1 all that there is, and goes there. X20 and others above X15 are kept. */
leave_el2:
	mrs	x0, CurrentEL
	cmp	x0, #8
	b.ne	9f
	ldr	x0, =1 << 31		/* HCR_EL2.RW */
	mrs	x1, id_aa64isar1_el1
	ldr	x2, =0xff000ff0		/* APA, API, GPA, GPI */
	tst	x1, x2
	b.eq	1f
	orr	x0, x0, #3 << 40	/* APK, API */
1:	mrs	x1, id_aa64pfr1_el1
	ubfx	x2, x1, #8, #4
	cmp	x2, #2
	b.lo	7f
	orr	x0, x0, #1 << 56	/* ATA */
7:	mrs	x2, id_aa64pfr0_el1
	ubfx	x2, x2, #56, #4		/* CSV2, CSV2_frac */
	ubfx	x1, x1, #32, #4
	cmp	x2, #2
	ccmp	x1, #2, #2, lo
	b.lo	8f
	orr	x0, x0, #1 << 53	/* EnSCXT */
8:	msr	hcr_el2, x0
	isb
	ldr	x0, =0x30c50830		/* SCTLR_EL2's RES1 */
	msr	sctlr_el2, x0
	mov	x0, #0x33ff		/* CPTR_EL2's RES1; no traps */
	mrs	x1, id_aa64pfr0_el1
	ubfx	x2, x1, #32, #4
	cbz	x2, 2f
	bic	x0, x0, #1 << 8		/* TZ */
	msr	cptr_el2, x0
	isb
	mov	x2, #0xf
	msr	s3_4_c1_c2_0, x2	/* ZCR_EL2: all lengths up to 2048 bits */
2:	mrs	x2, id_aa64pfr1_el1
	ubfx	x2, x2, #24, #4
	cbz	x2, 3f
	bic	x0, x0, #1 << 12	/* TSM */
3:	msr	cptr_el2, x0
	msr	hstr_el2, xzr
	msr	vttbr_el2, xzr
	msr	cntvoff_el2, xzr
	mov	x0, #3			/* EL1PCTEN, EL1PCEN */
	msr	cnthctl_el2, x0
	mrs	x0, midr_el1
	msr	vpidr_el2, x0
	mrs	x0, mpidr_el1
	msr	vmpidr_el2, x0
	mov	x0, #0
	mrs	x2, id_aa64dfr0_el1
	ubfx	x2, x2, #8, #4
	sub	x3, x2, #1
	cmp	x3, #14
	b.hs	4f
	mrs	x0, pmcr_el0
	ubfx	x0, x0, #11, #5		/* HPMN = PMCR_EL0.N */
4:	msr	mdcr_el2, x0
	mrs	x2, id_aa64mmfr0_el1
	ubfx	x2, x2, #56, #4		/* FGT: no fine-grained traps */
	cbz	x2, 6f
	msr	s3_4_c1_c1_4, xzr	/* HFGRTR_EL2, HFGWTR_EL2, HFGITR_EL2 */
	msr	s3_4_c1_c1_5, xzr
	msr	s3_4_c1_c1_6, xzr
	msr	s3_4_c3_c1_4, xzr	/* HDFGRTR_EL2, HDFGWTR_EL2 */
	msr	s3_4_c3_c1_5, xzr
6:	ubfx	x2, x1, #24, #4
	cbz	x2, 5f
	mov	x0, #0xf		/* ICC_SRE_EL2: Enable, DIB, DFB, SRE */
	msr	s3_4_c12_c9_5, x0
	isb
	msr	s3_4_c12_c11_0, xzr	/* ICH_HCR_EL2 */
5:	adrp	x0, el2_vectors
	add	x0, x0, :lo12:el2_vectors
	msr	vbar_el2, x0
	ldr	x0, =SCTLR_OFF
	msr	sctlr_el1, x0
	mov	x0, #0x3c5		/* EL1h, all masked */
	msr	spsr_el2, x0
	msr	elr_el2, x30
	isb
	eret
9:	ldr	x0, =SCTLR_OFF
	msr	sctlr_el1, x0
	isb
	ret

/* X0: TCR_EL1 but for IPS and AS, X1: ID_AA64MMFR0_EL1. */
	.globl	tcr_complete
tcr_complete:
	ubfx	x2, x1, #0, #4		/* PARange */
	mov	x3, #5
	cmp	x2, #5
	csel	x2, x2, x3, lo
	orr	x0, x0, x2, lsl #32
	ubfx	x2, x1, #4, #4		/* ASIDBits */
	lsr	x2, x2, #1
	orr	x0, x0, x2, lsl #36
	ret

/* X0: TCR_EL1. */
	.globl	mmu_enable
mmu_enable:
	msr	tcr_el1, x0
	ldr	x0, =MAIR_VALUE
	msr	mair_el1, x0
	adrp	x0, page_root
	msr	ttbr0_el1, x0
	msr	ttbr1_el1, xzr
	isb
	tlbi	vmalle1
	dsb	nsh
	isb
	ldr	x0, =SCTLR_ON
	msr	sctlr_el1, x0
	isb
	ic	iallu
	dsb	nsh
	isb
	ret

	.ltorg
/* Whatever comes to EL2 after that: HVC, which nobody answers. */
	.balign	2048
el2_vectors:
	.rept	16
	.balign	128
	mov	x0, #-1
	eret
	.endr
	.balign	128
