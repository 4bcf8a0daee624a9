/* SPDX-License-Identifier: BSD-2-Clause */
/* A bzImage around a few instructions, for tests in C (test_cli.py has the same). */
#ifndef TESTS_LINUX_KERNEL_H
#define TESTS_LINUX_KERNEL_H

#include <string.h>

#include "arch/x86_64/linux.h"

#define TEST_KERNEL_SIZE 2048

/* Writes the kernel to image, which has TEST_KERNEL_SIZE bytes. The 64-bit entry point is 0x200
 * into the payload, which follows the boot sector and one sector of set-up code. */
static inline void test_kernel(uint8_t *image, const void *code, size_t size)
{
	struct linux_setup_header h = {
		.setup_sects = 1,
		.syssize = (TEST_KERNEL_SIZE - 1024) / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20c,
		.loadflags = LINUX_LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = LINUX_XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = 0x1000000,
		.init_size = 0x100000,
	};

	memset(image, 0, TEST_KERNEL_SIZE);
	memcpy(image + LINUX_HEADER, &h, sizeof(h));
	memcpy(image + 1024 + 0x200, code, size);
}

#endif
