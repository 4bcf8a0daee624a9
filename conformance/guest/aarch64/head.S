/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first page of the image: the header of an arm64 Image (Linux: Documentation/arch/arm64/
 * booting.rst), which is the start of a PE32+ file as well (Microsoft, PE Format), so that one file
 * boots both ways. FLAT leaves out what makes it known as either. Sizes are kernel.ld's.
 */
	.section .head.0, "ax"
#ifdef FLAT
	nop
#else
	.inst	0xfa405a4d	/* "MZ" and an instruction without effect: CCMP X18, #0, #0xd, PL */
#endif
	b	start
	.quad	0		/* text_offset */

	/* image_size is here */
	.section .head.1, "a"
#ifndef FLAT
	.quad	0xa		/* flags: little-endian, pages of 4 KiB, anywhere in memory */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0x40		/* the PE header's offset */
	.ascii	"PE\0\0"
	.short	0xaa64, 1	/* machine: ARM64; NumberOfSections */
	.long	0, 0, 0
	.short	0xa0, 0x0206	/* SizeOfOptionalHeader (6 directories); executable, nothing to strip */
	.short	0x20b, 0	/* PE32+ */
	.long	0, 0, 0		/* sizes of code and data: not looked at */
	.long	0x1000		/* AddressOfEntryPoint: efi_start, the first of the code */
	.long	0x1000		/* BaseOfCode */
	.quad	0		/* ImageBase */
	.long	0x1000, 0x1000	/* SectionAlignment, FileAlignment */
	.short	0, 0, 0, 0, 0, 0
	.long	0
	/* SizeOfImage is here */
	.section .head.2, "a"
	.long	0x1000		/* SizeOfHeaders */
	.long	0
	.short	10, 0		/* Subsystem: EFI application; DllCharacteristics */
	.quad	0, 0, 0, 0
	.long	0, 6
	.quad	0, 0, 0, 0, 0, 0
	.ascii	".text\0\0\0"
	/* VirtualSize, VirtualAddress, SizeOfRawData, PointerToRawData are here */
	.section .head.3, "a"
	.long	0, 0, 0
	.long	0xe0000020	/* code; execute, read, write */
#endif
