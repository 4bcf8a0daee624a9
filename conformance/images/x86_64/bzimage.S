/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as a bzImage (Linux's Documentation/arch/x86/boot.rst): a boot sector with the setup
 * header, real-mode code for loaders that start there, and the kernel as the protected-mode part.
 */
#include "guest/x86_64/layout.h"

#define CODE32 0x08

	.section .text
	.code16
setup:
	.org 0x1f1
	.byte 1			/* setup_sects */
	.word 0			/* root_flags */
	.long image_paragraphs	/* syssize */
	.word 0, 0, 0		/* ram_size, vid_mode, root_dev */
	.word 0xaa55		/* boot_flag */
	.byte 0xeb, real_mode - 1f /* jump; its distance is also the header's size */
1:	.ascii "HdrS"
	.word 0x020f		/* version */
	.long 0			/* realmode_switch */
	.word 0, 0		/* start_sys_seg, kernel_version */
	.byte 0, 1		/* type_of_loader, loadflags: LOADED_HIGH */
	.word 0			/* setup_move_size */
	.long KERNEL_BASE	/* code32_start */
	.long 0, 0, 0		/* ramdisk_image, ramdisk_size, bootsect_kludge */
	.word 0			/* heap_end_ptr */
	.byte 0, 0		/* ext_loader_ver, ext_loader_type */
	.long 0			/* cmd_line_ptr */
	.long 0x7fffffff	/* initrd_addr_max */
	.long 0x1000		/* kernel_alignment */
	.byte 0, 12		/* relocatable_kernel, min_alignment */
	.word 1			/* xloadflags: XLF_KERNEL_64 */
	.long 2047		/* cmdline_size */
	.long 0			/* hardware_subarch */
	.quad 0			/* hardware_subarch_data */
	.long 0, 0		/* payload_offset, payload_length */
	.quad 0			/* setup_data */
	.quad KERNEL_BASE	/* pref_address */
	.long image_memory_bytes /* init_size */
	.long 0, 0		/* handover_offset, kernel_info_offset */

	/* The setup header stands where boot_params has it: the 32-bit entry gets these sectors as such. */
real_mode:
	cli
	xorl %ebx, %ebx
	movw %cs, %bx		/* the segment of offset 0x200 */
	subw $0x20, %bx
	movw %bx, %ds
	shll $4, %ebx
	leal gdt16 - setup(%ebx), %eax
	movl %eax, gdt16_pointer - setup + 2
	lgdtl gdt16_pointer - setup
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	movl %ebx, %esi
	movw $DATA, %ax		/* flat, as loaders that come here themselves have it */
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	ljmpl $CODE32, $KERNEL_BASE

	.balign 8
gdt16:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
gdt16_end:
gdt16_pointer:
	.word gdt16_end - gdt16 - 1
	.long 0
	.org 0x400

	.incbin "conformance.bin"
	.balign 16, 0
	.set image_paragraphs, (. - setup - 0x400) / 16
