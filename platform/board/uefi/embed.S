/* SPDX-License-Identifier: BSD-2-Clause */
/* The finished image; HYPERCORE_ELF is the path of its file. */
	.section .rodata.elf, "a"
	.balign	16
	.globl	uefi_elf_start, uefi_elf_end
	.hidden	uefi_elf_start, uefi_elf_end
uefi_elf_start:
	.incbin	HYPERCORE_ELF
uefi_elf_end:
	.byte	0

	.section .note.GNU-stack, "", @progbits
