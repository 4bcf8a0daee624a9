/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a boot loader to C. Three ways in:
 *
 *   start_multiboot2, start_pvh   32-bit protected mode, paging off, EBX = the loader's information,
 *                                 the image at IMAGE_PHYS
 *   start64 (e_entry)             long mode, RDI = struct board_boot_info, the image anywhere below
 *                                 4 GiB at a multiple of 2 MiB
 *
 * All build the same page tables (the first 4 GiB one to one, the image at IMAGE_VIRT) and meet in
 * start_high, which calls board_early(kind, information).
 */
#include "platform/board/x86_64/layout.h"

#define OFFSET(symbol) ((symbol) - IMAGE_VIRT)           /* from the image's start */
#define PHYS(symbol)   (OFFSET(symbol) + IMAGE_PHYS)     /* on the 32-bit paths */

#define PTE_TABLE 0x003 /* present, writable */
#define PTE_LARGE 0x083 /* and a 2 MiB page */

#define CR0_PE 0x1
#define CR0_PG_WP 0x80010000
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100

	.section .boot, "ax"

/* Multiboot2 specification, 3.1.1: entry address, framebuffer wanted but not required. */
	.balign 8
multiboot2_header:
	.long 0xe85250d6, 0
	.long multiboot2_end - multiboot2_header
	.long -(0xe85250d6 + (multiboot2_end - multiboot2_header))
	.short 3, 0
	.long 12, PHYS(start_multiboot2), 0
	.short 5, 1
	.long 20, 0, 0, 32, 0
	.short 0, 0
	.long 8
multiboot2_end:

/* ESI = physical address of the image, below 4 GiB. Fills the early tables, which are zero but for
 * what is set here. Uses EAX, ECX, EDI. Written so that it assembles for both widths. */
.macro EARLY_TABLES
	lea	OFFSET(early_pd_low)(%esi), %edi
	mov	$PTE_LARGE, %eax
	mov	$2048, %ecx
1:	movl	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	dec	%ecx
	jnz	1b

	lea	OFFSET(early_pdpt_low)(%esi), %edi
	lea	OFFSET(early_pd_low) + PTE_TABLE(%esi), %eax
	mov	$4, %ecx
2:	movl	%eax, (%edi)
	add	$8, %edi
	add	$0x1000, %eax
	dec	%ecx
	jnz	2b

	lea	OFFSET(early_pd_image)(%esi), %edi
	lea	PTE_LARGE(%esi), %eax
	mov	$(IMAGE_MAX >> 21), %ecx
3:	movl	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	dec	%ecx
	jnz	3b

	lea	OFFSET(early_pd_image) + PTE_TABLE(%esi), %eax
	movl	%eax, OFFSET(early_pdpt_high) + 510 * 8(%esi)
	lea	OFFSET(early_pdpt_high) + PTE_TABLE(%esi), %eax
	movl	%eax, OFFSET(early_pml4) + 511 * 8(%esi)
	lea	OFFSET(early_pdpt_low) + PTE_TABLE(%esi), %eax
	movl	%eax, OFFSET(early_pml4)(%esi)
.endm

	.code32
start_pvh:
	mov	$START_PVH, %eax
start_multiboot2:
	cli
	cld
	mov	%eax, %ebp
	mov	$IMAGE_PHYS, %esi
	EARLY_TABLES

	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	lea	OFFSET(early_pml4)(%esi), %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$(CR0_PG_WP | CR0_PE), %eax
	mov	%eax, %cr0
	lgdt	PHYS(early_gdt_pointer32)
	ljmp	$SEL_CODE, $PHYS(start_long)

	.code64
start_long:
	mov	%ebp, %ebp /* the kind; the upper halves are undefined after the mode switch */
	mov	%ebx, %ebx
	mov	$start_high, %rax
	jmp	*%rax

	.globl start64
start64:
	cli
	cld
	/* The loader's map may not outlive ours: take the information along. */
	mov	%rdi, %rsi
	lea	board_boot_info(%rip), %rdi
	mov	board_boot_info_size(%rip), %ecx
	rep movsb
	lea	image_start(%rip), %rsi
	EARLY_TABLES
	lea	early_pml4(%rip), %rax
	mov	%rax, %cr3
	xor	%ebp, %ebp /* START_BOOT_INFO */
	xor	%ebx, %ebx
	mov	$start_high, %rax
	jmp	*%rax

	.text
/* EBP = kind, RBX = physical address of the loader's information. */
start_high:
	lgdt	early_gdt_pointer(%rip)
	mov	$early_stack_top, %rsp
	push	$SEL_CODE
	push	$1f
	lretq
1:	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%ebp, %edi
	mov	%rbx, %rsi
	xor	%ebp, %ebp
	call	board_early
	ud2

/* void board_switch_stack(void *top, void (*fn)(void *), void *arg): continues in fn, for good. */
	.globl board_switch_stack
board_switch_stack:
	mov	%rdi, %rsp
	mov	%rdx, %rdi
	xor	%ebp, %ebp
	call	*%rsi
	ud2

	.section .rodata
	.balign 8
early_gdt:
	.quad	0
	.quad	0x00af9b000000ffff /* SEL_CODE: 64-bit, ring 0 */
	.quad	0x00cf93000000ffff /* SEL_DATA */
early_gdt_end:
early_gdt_pointer:
	.short	early_gdt_end - early_gdt - 1
	.quad	early_gdt
early_gdt_pointer32:
	.short	early_gdt_end - early_gdt - 1
	.long	PHYS(early_gdt)

/* Xen's elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY: where hypervisors enter in protected mode. */
	.section .note.pvh, "a", @note
	.balign 4
	.long	4, 8, 18
	.asciz	"Xen"
	.quad	PHYS(start_pvh)

	.bss
	.balign 4096
early_pml4:	.skip 4096
early_pdpt_low:	.skip 4096
early_pdpt_high: .skip 4096
early_pd_low:	.skip 4 * 4096
early_pd_image:	.skip 4096
	.skip	EARLY_STACK_SIZE
early_stack_top:

	.section .note.GNU-stack, "", @progbits
