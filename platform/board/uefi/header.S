/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The headers of a PE32+ file (Microsoft, PE Format), written out, so that the GNU tools alone make
 * an EFI application: the linker script gives file and memory the same layout, and objcopy -O binary
 * turns the linked ELF file into bytes. All distances are from uefi_image_base, in this section.
 */
#define PAGE 0x1000

	.section .header, "a"
	.globl	uefi_image_base
	.hidden	uefi_image_base
uefi_image_base:
	/* MS-DOS stub: the signature, and the PE header's offset at 0x3c. */
	.ascii	"MZ"
	.org	uefi_image_base + 0x3c
	.long	pe_header - uefi_image_base

pe_header:
	.ascii	"PE\0\0"
	/* COFF file header */
	.short	PE_MACHINE			/* Machine: by CMakeLists.txt */
	.short	2				/* NumberOfSections */
	.long	0, 0, 0				/* TimeDateStamp, symbol table: none */
	.short	sections - optional_header	/* SizeOfOptionalHeader */
	.short	0x0206				/* executable, line numbers stripped, no debug information */

optional_header:
	.short	0x20b				/* Magic: PE32+ */
	.byte	0, 0				/* linker version */
	.long	uefi_text_end - uefi_image_base - PAGE	/* SizeOfCode */
	.long	0, 0				/* SizeOfInitializedData, SizeOfUninitializedData */
	.long	uefi_main - uefi_image_base	/* AddressOfEntryPoint */
	.long	PAGE				/* BaseOfCode */
	.quad	0				/* ImageBase */
	.long	PAGE, PAGE			/* SectionAlignment, FileAlignment */
	.short	0, 0, 0, 0, 0, 0		/* versions of system, image, subsystem */
	.long	0				/* Win32VersionValue */
	.long	uefi_image_end - uefi_image_base	/* SizeOfImage */
	.long	PAGE				/* SizeOfHeaders */
	.long	0				/* CheckSum */
	.short	10				/* Subsystem: EFI application */
	.short	0x0100				/* DllCharacteristics: no execution of data */
	.quad	0, 0, 0, 0			/* stack and heap: the firmware's */
	.long	0				/* LoaderFlags */
	.long	6				/* NumberOfRvaAndSizes */
	.quad	0, 0, 0, 0, 0			/* export, import, resource, exception, certificate */
	.long	uefi_reloc - uefi_image_base	/* base relocations */
	.long	12

sections:
	.ascii	".text\0\0\0"
	.long	uefi_text_end - uefi_image_base - PAGE	/* VirtualSize */
	.long	PAGE				/* VirtualAddress */
	.long	uefi_text_end - uefi_image_base - PAGE	/* SizeOfRawData */
	.long	PAGE				/* PointerToRawData */
	.long	0, 0, 0
	.long	0x60000020			/* code, read, execute */

	/* The numbers of this row are in the linker script: they are distances that no relocation can
	 * express. */
	.ascii	".data\0\0\0"

/*
 * The application relocates itself, but firmware takes a file without base relocations for one that
 * can run at ImageBase only: one block of two entries of type ABSOLUTE, which do nothing.
 */
	.section .reloc, "a"
	.globl	uefi_reloc
	.hidden	uefi_reloc
	.balign	4
uefi_reloc:
	.long	PAGE, 12
	.short	0, 0

	.section .note.GNU-stack, "", @progbits
