/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A benchmark guest as a bzImage (Linux's Documentation/arch/x86/boot.rst): boot sector with the
 * setup header, real-mode setup code for loaders that start there (QEMU's -kernel, to measure the
 * bare machine), and the protected-mode part with its 32-bit entry at 0 and 64-bit entry at 0x200.
 */

#define LOAD_ADDRESS 0x100000
#define CODE32       0x08
#define DATA         0x10
#define CODE64       0x18

	.section .setup, "ax"
	.code16
setup:
	.org 0x1f1
	.byte 1			/* setup_sects */
	.word 0			/* root_flags */
	.long image_paragraphs	/* syssize */
	.word 0, 0, 0		/* ram_size, vid_mode, root_dev */
	.word 0xaa55		/* boot_flag */
	.byte 0xeb, real_mode - 1f	/* jump; its distance is also the header's size */
1:	.ascii "HdrS"
	.word 0x020f		/* version */
	.long 0			/* realmode_switch */
	.word 0, 0		/* start_sys_seg, kernel_version */
	.byte 0, 1		/* type_of_loader, loadflags: LOADED_HIGH */
	.word 0			/* setup_move_size */
	.long LOAD_ADDRESS	/* code32_start */
	.long 0, 0, 0		/* ramdisk_image, ramdisk_size, bootsect_kludge */
	.word 0			/* heap_end_ptr */
	.byte 0, 0		/* ext_loader_ver, ext_loader_type */
	.long 0			/* cmd_line_ptr */
	.long 0x7fffffff	/* initrd_addr_max */
	.long 0x200000		/* kernel_alignment */
	.byte 1, 21		/* relocatable_kernel, min_alignment */
	.word 1			/* xloadflags: XLF_KERNEL_64 */
	.long 255		/* cmdline_size */
	.long 0			/* hardware_subarch */
	.quad 0			/* hardware_subarch_data */
	.long 0, 0		/* payload_offset, payload_length */
	.quad 0			/* setup_data */
	.quad 0x200000		/* pref_address */
	.long image_memory	/* init_size */
	.long 0, 0		/* handover_offset, kernel_info_offset */

real_mode:
	cli
	xorl %eax, %eax
	movw %cs, %ax		/* the segment of offset 0x200: CS = that of setup + 0x20 */
	subw $0x20, %ax
	movw %ax, %ds
	shll $4, %eax
	addl $(gdt16 - setup), %eax
	movl %eax, gdt16_pointer - setup + 2
	lgdtl gdt16_pointer - setup
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $CODE32, $LOAD_ADDRESS

	.balign 8
gdt16:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00af9b000000ffff
gdt16_end:
gdt16_pointer:
	.word gdt16_end - gdt16 - 1
	.long 0
	.org 0x400

	/* The protected-mode part. */
	.section .entry, "ax"
	.code32
	.globl entry32
entry32:
	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	/* Identity page tables of one 1 GiB: enough to get to the 64-bit entry. */
	movl $(LOAD_ADDRESS + boot_pml4 - entry32), %edi
	leal 0x1003(%edi), %eax
	movl %eax, (%edi)
	leal 0x2003(%edi), %eax
	movl %eax, 0x1000(%edi)
	xorl %ecx, %ecx
1:	movl %ecx, %eax
	shll $21, %eax
	orl $0x83, %eax
	movl %eax, 0x2000(%edi, %ecx, 8)
	incl %ecx
	cmpl $512, %ecx
	jb 1b
	movl %edi, %cr3
	movl $0x20, %eax	/* CR4.PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	ljmpl $CODE64, $(LOAD_ADDRESS + 0x200)

	.org 0x200
	.code64
entry64:
	cli
	cld
	leaq __bss_start(%rip), %rdi
	leaq __bss_end(%rip), %rcx
	subq %rdi, %rcx
	xorl %eax, %eax
	rep stosb
	leaq stack_top(%rip), %rsp
	leaq gdt64(%rip), %rax
	movq %rax, gdt64_pointer+2(%rip)
	lgdt gdt64_pointer(%rip)
	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	pushq $CODE64
	leaq 1f(%rip), %rax
	pushq %rax
	lretq
1:	leaq entry32(%rip), %rdi
	call guest_main
2:	cli
	hlt
	jmp 2b

	.balign 8
gdt64:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00af9b000000ffff
gdt64_pointer:
	.word . - gdt64 - 1
	.quad 0

	/* In use while .bss is cleared. */
	.section .boot_tables, "aw", @nobits
	.balign 4096
boot_pml4:
	.skip 3 * 4096

	.bss
	.balign 16
	.skip 16384
stack_top:
	.section .note.GNU-stack, "", @progbits
