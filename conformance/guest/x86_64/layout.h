/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel's assembler files, its linker script and the images share. */
#ifndef CONFORMANCE_X86_64_LAYOUT_H
#define CONFORMANCE_X86_64_LAYOUT_H

#define KERNEL_BASE 0x100000
/* Entries, from the base. At 0: Linux's 32-bit entry. */
#define HEAD_PVH              0x20
#define HEAD_MULTIBOOT        0x30
#define HEAD_MULTIBOOT_HEADER 0x40
#define HEAD_64               0x200

#define BOOT_LINUX     0
#define BOOT_MULTIBOOT 1
#define BOOT_PVH       2

#define CODE64 0x08
#define DATA   0x10

/* What is linked low, for code outside of long mode; its first page is where other CPUs start. */
#define LOW_BASE 0x8000
#define LOW_END  0xf800

#endif
